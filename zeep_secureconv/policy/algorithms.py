"""Other algorithms than the policy's suite says, and how weak they may be.

WS-SecurityPolicy has no assertion for many algorithms that services do use: rsa-sha256 signatures with
WebSphere's SHA256 bindings, the *Sha256 suites as WCF reads them, AES-GCM. What both sides have agreed on besides
the policy is said here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..errors import ConfigurationError, PolicyError
from . import suites
from .model import AsymmetricBinding, EndpointPolicy, Policy, SymmetricBinding, TransportBinding, X509Token
from .suites import AlgorithmSuite

_DIGESTS = {
    "sha1": suites.SHA1,
    "sha256": suites.SHA256,
    "sha384": suites.SHA384,
    "sha512": suites.SHA512,
}
#: For each field of :class:`SuiteChanges` the short names, and what they mean.
_NAMES: dict[str, dict[str, str]] = {
    "digest": _DIGESTS,
    "symmetric_signature": {
        "hmac-sha1": suites.HMAC_SHA1,
        "hmac-sha256": suites.HMAC_SHA256,
        "hmac-sha384": suites.HMAC_SHA384,
        "hmac-sha512": suites.HMAC_SHA512,
    },
    "asymmetric_signature": {
        "rsa-sha1": suites.RSA_SHA1,
        "rsa-sha256": suites.RSA_SHA256,
        "rsa-sha384": suites.RSA_SHA384,
        "rsa-sha512": suites.RSA_SHA512,
    },
    "encryption": {
        "tripledes-cbc": suites.TRIPLEDES_CBC,
        "aes128-cbc": suites.AES128_CBC,
        "aes192-cbc": suites.AES192_CBC,
        "aes256-cbc": suites.AES256_CBC,
        "aes128-gcm": suites.AES128_GCM,
        "aes192-gcm": suites.AES192_GCM,
        "aes256-gcm": suites.AES256_GCM,
    },
    "key_transport": {
        "rsa-1_5": suites.RSA_15,
        "rsa-oaep-mgf1p": suites.RSA_OAEP_MGF1P,
        "rsa-oaep": suites.RSA_OAEP,
    },
    "oaep_digest": _DIGESTS,
    "oaep_mgf": {
        "mgf1-sha1": suites.MGF1_SHA1,
        "mgf1-sha224": suites.MGF1_SHA224,
        "mgf1-sha256": suites.MGF1_SHA256,
        "mgf1-sha384": suites.MGF1_SHA384,
        "mgf1-sha512": suites.MGF1_SHA512,
    },
}
#: Fields of AlgorithmSuite that have another name there.
_FIELDS = {"key_transport": "asymmetric_key_wrap"}
_KEY_BYTES = {
    suites.TRIPLEDES_CBC: 24,
    suites.AES128_CBC: 16,
    suites.AES192_CBC: 24,
    suites.AES256_CBC: 32,
    suites.AES128_GCM: 16,
    suites.AES192_GCM: 24,
    suites.AES256_GCM: 32,
}

_WEAK = frozenset({suites.SHA1, suites.RSA_SHA1, suites.RSA_15, suites.TRIPLEDES_CBC})
_CBC = frozenset({suites.AES128_CBC, suites.AES192_CBC, suites.AES256_CBC})
#: What each level of minimum= forbids.
_FORBIDDEN = {"sha256": _WEAK, "strong": _WEAK | _CBC | {suites.HMAC_SHA1}}

Minimum = Literal["sha256", "strong"]


@dataclass(frozen=True, kw_only=True)
class SuiteChanges:
    """Algorithms in place of those of the policy's suite; None leaves the suite's.

    Args:
        digest: "sha1", "sha256", "sha384" or "sha512".
        symmetric_signature: "hmac-sha1", "hmac-sha256", "hmac-sha384" or "hmac-sha512".
        asymmetric_signature: "rsa-sha1", "rsa-sha256", "rsa-sha384" or "rsa-sha512".
        encryption: "aes128-cbc", "aes192-cbc", "aes256-cbc", "tripledes-cbc", "aes128-gcm", "aes192-gcm" or
            "aes256-gcm". Where its keys have another length than the suite's, encryption keys get that length;
            all other lengths stay those of the suite.
        key_transport: "rsa-1_5", "rsa-oaep-mgf1p" or "rsa-oaep" (XML Encryption 1.1).
        oaep_digest: digest of OAEP, as *digest*.
        oaep_mgf: "mgf1-sha1", "mgf1-sha224", "mgf1-sha256", "mgf1-sha384" or "mgf1-sha512"; for "rsa-oaep".

    Raises:
        ConfigurationError: for a name that is not one of these.
    """

    digest: str | None = None
    symmetric_signature: str | None = None
    asymmetric_signature: str | None = None
    encryption: str | None = None
    key_transport: str | None = None
    oaep_digest: str | None = None
    oaep_mgf: str | None = None

    def __post_init__(self) -> None:
        for name, known in _NAMES.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                raise ConfigurationError(
                    f"There is no {name} {value!r}", hint=f"give one of: {', '.join(known)}"
                )

    def change(self, suite: AlgorithmSuite) -> AlgorithmSuite:
        """The suite with these changes."""
        chosen = {name: getattr(self, name) for name in _NAMES}
        changes: dict[str, Any] = {
            _FIELDS.get(name, name): _NAMES[name][value]
            for name, value in chosen.items()
            if value is not None
        }
        length = _KEY_BYTES.get(changes.get("encryption", ""), suite.encryption_key_length)
        if length != suite.encryption_key_length:
            changes |= {"encryption_key_length": length, "minimum_key_length": length}
        return replace(suite, **changes)


@dataclass(frozen=True, kw_only=True)
class Algorithms:
    """What both sides have agreed on besides the policy, and what is not to be used at all.

    Args:
        bootstrap: changes for requests for contexts and their answers.
        application: changes for calls, their answers, and cancels.
        sha256: what the suites with Sha256 in their names mean: "oasis", SHA-256 for digests alone (as CXF, Metro
            and Rampart read them), or "wcf", for signatures too (hmac-sha256 and rsa-sha256).
        minimum: refuses policies that use weaker algorithms. "sha256" forbids SHA-1 digests, rsa-sha1, RSA 1.5 and
            TripleDES; "strong" also hmac-sha1 and CBC, so that encryption is AES-GCM. None refuses nothing. It is
            about signatures and encryption: keys are derived with P_SHA1, and a password digest is SHA-1, by
            definition.

    Raises:
        ConfigurationError: for a value that is not one of these.
    """

    bootstrap: SuiteChanges = field(default_factory=SuiteChanges)
    application: SuiteChanges = field(default_factory=SuiteChanges)
    sha256: Literal["oasis", "wcf"] = "oasis"
    minimum: Minimum | None = None

    def __post_init__(self) -> None:
        if self.sha256 not in ("oasis", "wcf"):
            raise ConfigurationError(
                f"There is no reading {self.sha256!r} of the Sha256 suites", hint="give 'oasis' or 'wcf'"
            )
        if self.minimum is not None and self.minimum not in _FORBIDDEN:
            raise ConfigurationError(
                f"There is no minimum {self.minimum!r}", hint=f"give one of: {', '.join(_FORBIDDEN)}; or None"
            )

    def apply(self, policy: EndpointPolicy) -> EndpointPolicy:
        """The policy with these algorithms in all its bindings.

        Raises:
            PolicyError: naming the suite and the algorithm that is below the minimum.
        """
        if self == _AS_THE_POLICY_SAYS:
            return policy
        changed = self._changed(policy, self.application)
        assert isinstance(changed, EndpointPolicy)
        for operation in (changed.everywhere(), *changed.operations.values()):
            for message in (operation.request, operation.response):
                reason = self._below(message)
                if reason is not None:
                    raise PolicyError(
                        reason,
                        position=message.source or None,
                        hint="ask the service for stronger algorithms, agree on others with algorithms=, or lower "
                        "minimum=",
                    )
        return changed

    def against(self, policy: Policy) -> str | None:
        """Why a policy, or the bootstrap in it, is below the minimum; None where it is not."""
        if self.minimum is None:
            return None
        changed = self._changed(policy, self.application)
        assert isinstance(changed, Policy)
        return self._below(changed)

    def _below(self, policy: Policy) -> str | None:
        if self.minimum is None:
            return None
        forbidden = _FORBIDDEN[self.minimum]
        token = policy.conversation_token
        bootstraps = (token.bootstrap, token.bootstrap_response) if token is not None else ()
        for one in (policy, *bootstraps):
            for suite, uri in used_algorithms(one) if one is not None else ():
                if uri in forbidden:
                    where = f" ({one.source})" if one is not None and one.source else ""
                    return f"The policy's suite {suite}{where} uses {uri}, which is below the minimum {self.minimum!r}"
        return None

    def _changed(self, value: Any, changes: SuiteChanges) -> Any:
        """*value*, any part of the policy model, with the suites in it changed."""
        if isinstance(value, AlgorithmSuite):
            return changes.change(self._flavoured(value))
        if isinstance(value, tuple):
            return tuple(self._changed(item, changes) for item in value)
        if isinstance(value, Mapping):
            return {key: self._changed(item, changes) for key, item in value.items()}
        if not dataclasses.is_dataclass(value) or isinstance(value, type):
            return value
        fields = {}
        for one in dataclasses.fields(value):
            leg = self.bootstrap if one.name in ("bootstrap", "bootstrap_response") else changes
            fields[one.name] = self._changed(getattr(value, one.name), leg)
        return replace(value, **fields)

    def _flavoured(self, suite: AlgorithmSuite) -> AlgorithmSuite:
        if self.sha256 == "oasis" or "Sha256" not in suite.name:
            return suite
        return replace(suite, symmetric_signature=suites.HMAC_SHA256, asymmetric_signature=suites.RSA_SHA256)


_AS_THE_POLICY_SAYS = Algorithms()


def used_algorithms(policy: Policy) -> Iterator[tuple[str, str]]:
    """(name of the suite, URI) of each algorithm that messages under a policy really use, but for bootstraps.

    A suite names algorithms for everything; a conversation uses no RSA, and TLS leaves nothing to encrypt.
    """
    binding = policy.binding
    if binding is None:
        return
    tokens = [entry.token for entry in policy.supporting if entry.endorsing]
    certificates = isinstance(binding, AsymmetricBinding) or any(isinstance(t, X509Token) for t in tokens)
    symmetric = isinstance(binding, SymmetricBinding) or any(not isinstance(t, X509Token) for t in tokens)
    wraps = isinstance(binding, AsymmetricBinding) or (
        isinstance(binding, SymmetricBinding)
        and any(isinstance(t, X509Token) for t in (binding.signature_token, binding.encryption_token))
    )
    suite = binding.algorithm_suite
    for used, uri in (
        (certificates or symmetric, suite.digest),
        (symmetric, suite.symmetric_signature),
        (certificates, suite.asymmetric_signature),
        (not isinstance(binding, TransportBinding), suite.encryption),
        (wraps, suite.asymmetric_key_wrap),
    ):
        if used:
            yield suite.name, uri


def weak_algorithms(policy: Policy) -> tuple[str, ...]:
    """URIs of what a policy uses, but for bootstraps, and is known to be weak today."""
    return tuple(dict.fromkeys(uri for _, uri in used_algorithms(policy) if uri in _WEAK))
