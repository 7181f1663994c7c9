"""Whom a client talks as, and to: identities and certificates in every form the user may give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from ..errors import ConfigurationError
from ..policy.fingerprint import fingerprint
from ..wss.certificates import Trust, load_certificates, thumbprint
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
    """

    signing: Identity | None
    decrypting: Identity | None
    trust: Trust | None = field(repr=False)
    peer: Peer | Mapping[str, Peer] | None

    @classmethod
    def of(
        cls,
        identity: Identity | tuple[Identity, Identity] | None,
        trust: Trust | None,
        peer: Peer | Mapping[str, Peer] | None,
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
        return cls(signing=signing, decrypting=decrypting, trust=trust, peer=peer)

    def keyring(self, endpoint: str) -> Keyring:
        """The keys for talking to *endpoint*, without a context.

        Raises:
            ConfigurationError: when a certificate cannot be loaded.
        """
        signer, recipient = self._certificates(endpoint)
        return Keyring(
            signing=self.signing,
            decrypting=self.decrypting,
            peer=recipient,
            signers=tuple(c for c in (signer, recipient) if c is not None),
            trust=self.trust,
            role="server",
        )

    def fingerprint(self, endpoint: str) -> str:
        """The same for the same parties, so that contexts are not shared between different ones."""
        certificates = [*(i.certificate for i in (self.signing, self.decrypting) if i is not None)]
        certificates += [c for c in self._certificates(endpoint) if c is not None]
        return fingerprint(*(thumbprint(c).hex() for c in certificates))

    def _certificates(self, endpoint: str) -> tuple[x509.Certificate | None, x509.Certificate | None]:
        """(the certificate the service signs with, the one to encrypt to)."""
        peer: Any = self.peer.get(endpoint) if isinstance(self.peer, Mapping) else self.peer
        if peer is None:
            pins = self.trust.pins if self.trust is not None else ()
            return (pins[0], pins[0]) if len(pins) == 1 else (None, None)
        signer, recipient = peer if isinstance(peer, tuple) else (peer, peer)
        return _load(signer), _load(recipient)


def need_everything(keyring: Keyring, endpoint: str, now: datetime) -> None:
    """Check, before any traffic, that everything that an X.509 bootstrap needs is there and valid.

    Raises:
        ConfigurationError: naming the first thing that is missing or out of date.
    """
    for present, what, hint in (
        (
            keyring.signing,
            "The policy wants us to sign with a certificate, and there is none",
            "give identity=Identity.from_pkcs12('client.p12', 'password')",
        ),
        (keyring.trust, "Nothing says whom to trust", "give trust=Trust.from_pem('ca.pem')"),
        (
            keyring.peer,
            "The service's certificate is not known, so nothing can be encrypted to it",
            "give peer='server.pem', or pin exactly one certificate in trust=",
        ),
    ):
        if present is None:
            raise ConfigurationError(what, hint=hint, endpoint=endpoint)
    ours = keyring.signing.certificate if keyring.signing is not None else None
    for whose, certificate in (("Our", ours), ("The service's", keyring.peer)):
        if certificate is not None:
            _need_valid(certificate, whose, endpoint, now)


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
