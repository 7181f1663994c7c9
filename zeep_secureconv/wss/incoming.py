"""A received message on its way through the checks: what was verified and decrypted of it so far."""

from __future__ import annotations

from datetime import datetime

from lxml import etree

from ..environment import Environment
from ..errors import PolicyError, VerificationError
from ..names import XENC_ELEMENT
from ..policy.model import (
    Binding,
    DerivedKeys,
    ElementPath,
    Policy,
    SymmetricBinding,
    TransportBinding,
    X509Token,
)
from ..soap.envelope import Soap, refuse_depth, refuse_dtd
from .elements import hides_signature, is_within, select
from .encryption import decryption_failed
from .header import ENCRYPTED_DATA, TIMESTAMP, SecurityHeader
from .key_judgement import KeyRules
from .keys import EphemeralKey, Keyring
from .opened import Opened, VerifiedSignature
from .sources import KeyResolver
from .splice import element_at, path_of, splice


class Incoming:
    """One message, and what is known of it so far.

    Args:
        soap: the message as it was received.
        policy: its policy.
        keyring: the keys and contexts that are allowed.
        environment: time, randomness and bounds.

    Attributes:
        binding, suite: those of the policy.
        hides: whether the policy wants the signature encrypted.
        header: its wsse:Security header.
        keys: finds the keys that it names.
        rules: what the binding says of them.
        timestamp, created, expires: its Timestamp; until when it is taken, clock skew included.
        signatures: those whose value was verified, by their place in the header.
        decrypted: elements that were encrypted as a whole.
        contents: elements whose content was encrypted.
        ephemeral: the key of an EncryptedKey that it was encrypted under, or None.

    Raises:
        PolicyError: when the policy secures nothing.
        VerificationError: checks "dtd", "transport", "security-header", "duplicate-id".
        LimitExceeded: checks "depth", "header-size".
    """

    def __init__(self, soap: Soap, policy: Policy, keyring: Keyring, environment: Environment) -> None:
        if policy.binding is None:
            raise PolicyError("The policy has no security binding, so nothing could be verified")
        refuse_dtd(soap.envelope)
        refuse_depth(soap.envelope, environment.limits)
        self.soap = soap
        self.policy = policy
        self.binding = policy.binding
        self.suite = policy.binding.algorithm_suite
        self.keyring = keyring
        self.environment = environment
        over_tls = isinstance(policy.binding, TransportBinding)
        if over_tls and not keyring.over_tls:
            raise VerificationError("transport", "The policy leaves security to TLS, and there is none")
        self.hides = not over_tls and hides_signature(policy, soap.version)
        self._needed = not over_tls or policy.binding.include_timestamp or self.has_tokens()
        self.header = SecurityHeader(soap, environment.limits, needed=self._needed)
        self.keys = KeyResolver(
            keyring,
            self.suite,
            environment.limits,
            environment.random,
            derives=_derives_from_key(policy.binding),
        )
        self.rules = KeyRules(policy.binding, keyring)
        self.timestamp: etree._Element | None = None
        self.created: datetime | None = None
        self.expires: datetime | None = None
        self.signatures: dict[int, VerifiedSignature] = {}
        self.decrypted: list[etree._Element] = []
        self.contents: list[etree._Element] = []
        self.ephemeral: EphemeralKey | None = None

    def has_tokens(self) -> bool:
        """Whether the message has supporting tokens: requests have, answers have none."""
        return self.keyring.role == "client" and bool(self.policy.supporting)

    def has_hidden(self) -> bool:
        """Whether anything in the header is encrypted, so that a token may be missing until it is decrypted."""
        return next(self.header.element.iterchildren(ENCRYPTED_DATA), None) is not None

    def select(self, paths: tuple[ElementPath, ...]) -> list[etree._Element]:
        """The elements that paths of the policy name in the message as it is now.

        Raises:
            LimitExceeded: check "elements".
        """
        return select(paths, self.soap.envelope, self.environment.limits) if paths else []

    def put(self, data: etree._Element, plaintext: bytes) -> tuple[etree._Element, int]:
        """Put plaintext in the place of an xenc:EncryptedData; find everything again where that made a new tree.

        Returns:
            The parent of what was put, and which child of it stands in that place now.

        Raises:
            VerificationError: check "decryption", when an encrypted element is not one node; whatever stands
                behind it would then be another child of its parent than before. "signed-parts".
        """
        parent = data.getparent()
        assert parent is not None
        position, siblings = parent.index(data), len(parent)
        self.header.forget(data)
        self._leave_out(data)
        root = splice(data, plaintext)
        there = parent if root is None else element_at(root, path_of(parent))
        one = data.get("Type") == XENC_ELEMENT
        if one and len(there) != siblings:
            raise decryption_failed()
        if root is not None:
            self._move(root)
        elif not one:
            self.header.index(there)
        elif isinstance(there[position].tag, str):
            self.header.index(there[position])
        return there, position

    def _leave_out(self, data: etree._Element) -> None:
        """What stands in a ciphertext leaves the message with it."""
        for found in self.signatures.values():
            found.elements = [element for element in found.elements if element is not data]
            if any(is_within(element, [data]) for element in found.elements):
                # as if it had never been in the message
                raise VerificationError("signed-parts", "Something signed stands in a ciphertext")
        self.decrypted = [element for element in self.decrypted if not is_within(element, [data])]
        self.contents = [element for element in self.contents if not is_within(element, [data])]

    def _move(self, root: etree._Element) -> None:
        """Go on with a new tree, in which everything stands where it stood in the old one."""
        self.soap = Soap.of(root)
        self.header = SecurityHeader(self.soap, self.environment.limits, needed=self._needed)
        if self.timestamp is not None:
            self.timestamp = self.header.element.find(TIMESTAMP)
        self.decrypted = [element_at(root, path_of(element)) for element in self.decrypted]
        self.contents = [element_at(root, path_of(element)) for element in self.contents]
        for found in self.signatures.values():
            found.elements = [element_at(root, path_of(element)) for element in found.elements]

    def opened(self) -> Opened:
        """The message, when everything in it is verified and decrypted.

        Raises:
            LimitExceeded: check "depth".
        """
        self.soap = Soap.of(self.soap.envelope)
        refuse_depth(self.soap.envelope, self.environment.limits)
        return Opened(
            soap=self.soap,
            header=self.header,
            timestamp=self.timestamp,
            signatures=tuple(found for _, found in sorted(self.signatures.items())),
            decrypted=tuple(self.decrypted),
            contents=tuple(self.contents),
            ephemeral=self.ephemeral,
        )


def _derives_from_key(binding: Binding) -> bool:
    """Whether the key that a request brings is never used itself, only derived from."""
    if not isinstance(binding, SymmetricBinding):
        return False
    tokens = [t for t in (binding.signature_token, binding.encryption_token) if isinstance(t, X509Token)]
    return all(t.derived_keys not in (DerivedKeys.NONE, DerivedKeys.ANY) for t in tokens)
