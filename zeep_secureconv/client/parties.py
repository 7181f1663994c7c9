"""Whom a client talks as, and to: identities, certificates and tokens in every form the user may give them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from ..errors import ConfigurationError, PolicyError
from ..policy.fingerprint import fingerprint
from ..policy.model import Policy
from ..policy.needs import Kind, Leg, Need, needs
from ..wss.certificates import Trust, load_certificates, thumbprint
from ..wss.credentials import Credential, LtpaToken, UsernameToken, XmlToken
from ..wss.keys import Identity, Keyring

Certificate = x509.Certificate | str | Path | bytes
#: One certificate for everything, or a pair (the one the service signs with, the one to encrypt to).
Peer = Certificate | tuple[Certificate, Certificate]


@dataclass(frozen=True, kw_only=True)
class Parties:
    """The two sides of a conversation.

    Args:
        signing, decrypting: our identities, or None.
        trust: judges certificates, or None.
        peer: the service's certificate(s), for all endpoints or by endpoint; None when *trust* pins it.
        tokens: what we prove ourselves with besides.
    """

    signing: Identity | None
    decrypting: Identity | None
    trust: Trust | None = field(repr=False)
    peer: Peer | Mapping[str, Peer] | None
    tokens: tuple[Credential, ...] = ()

    @classmethod
    def of(
        cls,
        identity: Identity | tuple[Identity, Identity] | None,
        trust: Trust | None,
        peer: Peer | Mapping[str, Peer] | None,
        username: UsernameToken | None = None,
        tokens: Iterable[Credential] = (),
    ) -> Parties:
        """The parties in the forms that the constructor of SecureConversation takes.

        Raises:
            ConfigurationError: when something has the wrong type.
        """
        signing, decrypting = identity if isinstance(identity, tuple) else (identity, identity)
        for one in (signing, decrypting):
            if one is not None and not isinstance(one, Identity):
                raise ConfigurationError(
                    "identity= is not an Identity",
                    hint="give Identity.from_pkcs12(…) or Identity.from_pem(…)",
                )
        if trust is not None and not isinstance(trust, Trust):
            raise ConfigurationError("trust= is not a Trust", hint="give Trust.from_pem('ca.pem')")
        if username is not None and not isinstance(username, UsernameToken):
            raise ConfigurationError(
                "username= is not a UsernameToken", hint="give UsernameToken('alice', 'password')"
            )
        everything = (*(() if username is None else (username,)), *tokens)
        if not all(isinstance(token, (UsernameToken, LtpaToken, XmlToken)) for token in everything):
            raise ConfigurationError(
                "tokens= holds something that is no token",
                hint="give a list of UsernameToken, LtpaToken and XmlToken",
            )
        return cls(signing=signing, decrypting=decrypting, trust=trust, peer=peer, tokens=everything)

    def knows_peer(self, endpoint: str) -> bool:
        """Whether the user named the certificate of the service at *endpoint*."""
        return self._certificates(endpoint)[1] is not None

    def keyring(self, endpoint: str, named: x509.Certificate | None = None) -> Keyring:
        """The keys for talking to *endpoint*, without a context.

        Args:
            endpoint: URL of the service.
            named: the certificate that its WSDL names, which counts where the user named none.

        Raises:
            ConfigurationError: when a certificate cannot be loaded.
        """
        signer, recipient = self._certificates(endpoint, named)
        return Keyring(
            signing=self.signing,
            decrypting=self.decrypting,
            peer=recipient,
            signers=tuple(c for c in (signer, recipient) if c is not None),
            trust=self.trust,
            role="server",
            tokens=self.tokens,
            password_of=self._password_of,
        )

    def fingerprint(self, endpoint: str, named: x509.Certificate | None = None) -> str:
        """The same for the same parties, so that contexts are not shared between different ones."""
        certificates = [*(i.certificate for i in (self.signing, self.decrypting) if i is not None)]
        certificates += [c for c in self._certificates(endpoint, named) if c is not None]
        tokens = (f"{token.cache_key} {token.leg or ''}" for token in self.tokens)
        return fingerprint(*(thumbprint(c).hex() for c in certificates), *tokens)

    def against(
        self, policy: Policy, endpoint: str, over_tls: bool, named: x509.Certificate | None
    ) -> str | None:
        """Why an alternative of a policy cannot be satisfied by these parties; None where it can."""
        token = policy.conversation_token
        wanted = needs(policy, token.bootstrap if token is not None else None)
        lacking = missing(wanted, replace(self.keyring(endpoint, named), over_tls=over_tls))
        return _told(lacking[0]) if lacking else None

    def believe(self, certificate: bytes, now: datetime) -> x509.Certificate:
        """A certificate that a WSDL names for its service, once *trust* vouches for it.

        Args:
            certificate: in DER form.
            now: aware UTC.

        Raises:
            ConfigurationError: when it cannot be read, or nothing says whom to trust.
            VerificationError: check "certificate", when it is not trusted.
        """
        found = load_certificates(certificate, "certificate of the service in the WSDL")[0]
        if self.trust is None:
            raise ConfigurationError(
                "The WSDL names the service's certificate, and nothing says whom to trust",
                hint="give trust=Trust.from_pem('ca.pem'), or peer='server.pem'",
            )
        self.trust.check(found, role="server", now=now)
        return found

    def _password_of(self, name: str) -> str | None:
        """Our password, under which an answer may be secured as its request was."""
        users = (token for token in self.tokens if isinstance(token, UsernameToken))
        user = next((user for user in users if user.username == name and user.password is not None), None)
        return user.secret() if user is not None else None

    def _certificates(
        self, endpoint: str, named: x509.Certificate | None = None
    ) -> tuple[x509.Certificate | None, x509.Certificate | None]:
        """(the certificate the service signs with, the one to encrypt to)."""
        peer: Any = self.peer.get(endpoint) if isinstance(self.peer, Mapping) else self.peer
        if peer is None:
            pins = self.trust.pins if self.trust is not None else ()
            return (pins[0], pins[0]) if len(pins) == 1 else (named, named)
        signer, recipient = peer if isinstance(peer, tuple) else (peer, peer)
        return _load(signer), _load(recipient)


#: What is said where a need is not met.
_LACKING: dict[Kind, str] = {
    "signing identity": "The policy wants us to sign with a certificate, and there is none",
    "decrypting identity": "The policy wants answers encrypted to a certificate of ours, and there is none",
    "trust": "Nothing says whom to trust",
    "peer": "The service's certificate is not known, so nothing can be encrypted to it",
    "user name": "The policy wants a user name, and there is none",
    "password": "The policy wants a user name with a password, and there is no password",
    "token": "The policy wants a token, and there is none of its kind in tokens=",
    "https": "The policy leaves security to TLS, and the service is not called over TLS with verified certificates",
}


def _user(ring: Keyring, leg: Leg) -> UsernameToken | None:
    users = (token for token in ring.tokens if isinstance(token, UsernameToken))
    return next((user for user in users if user.leg in (None, leg)), None)


def _has_password(ring: Keyring, need: Need) -> bool:
    user = _user(ring, need.leg)
    return user is not None and user.password is not None


def _has_token(ring: Keyring, need: Need) -> bool:
    assert need.token is not None
    return any(
        not isinstance(token, UsernameToken) and token.leg in (None, need.leg) and token.satisfies(need.token)
        for token in ring.tokens
    )


_PRESENT: dict[Kind, Callable[[Keyring, Need], bool]] = {
    "signing identity": lambda ring, _: ring.signing is not None,
    "decrypting identity": lambda ring, _: ring.decrypting is not None,
    "trust": lambda ring, _: ring.trust is not None,
    "peer": lambda ring, _: ring.peer is not None,
    "user name": lambda ring, need: _user(ring, need.leg) is not None,
    "password": _has_password,
    "token": _has_token,
    "https": lambda ring, _: ring.over_tls,
}


def missing(wanted: Iterable[Need], ring: Keyring) -> list[Need]:
    """The needs that a keyring does not meet."""
    return [need for need in wanted if not _PRESENT[need.kind](ring, need)]


def need_everything(wanted: Iterable[Need], ring: Keyring, endpoint: str) -> None:
    """Check, before any traffic, that everything that a policy needs is there.

    Raises:
        ConfigurationError: naming the first thing that is missing, and the assertion that wants it.
        PolicyError: when that is TLS.
    """
    for need in missing(wanted, ring):
        if need.kind == "https":
            raise PolicyError(_told(need), assertion="TransportBinding", hint=need.hint, endpoint=endpoint)
        raise ConfigurationError(_told(need), hint=need.hint, endpoint=endpoint)


def need_valid(wanted: Iterable[Need], ring: Keyring, endpoint: str, now: datetime) -> None:
    """Check, before any traffic, that the certificates that will be used are valid.

    Raises:
        ConfigurationError: naming the first that is out of date.
    """
    kinds = {need.kind for need in wanted}
    if ring.signing is not None and "signing identity" in kinds:
        _need_valid(ring.signing.certificate, "Our", endpoint, now)
    if ring.peer is not None and "peer" in kinds:
        _need_valid(ring.peer, "The service's", endpoint, now)


def _told(need: Need) -> str:
    return f"{_LACKING[need.kind]} ({need.why})"


def _need_valid(certificate: x509.Certificate, whose: str, endpoint: str, now: datetime) -> None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= now <= end:
        raise ConfigurationError(
            f"{whose} certificate is not valid now: it is for {start:%Y-%m-%d} to {end:%Y-%m-%d}",
            hint="get a new certificate, or set the clock",
            endpoint=endpoint,
        )


def _load(certificate: Certificate) -> x509.Certificate:
    if isinstance(certificate, x509.Certificate):
        return certificate
    return load_certificates(certificate, "peer's certificate")[0]
