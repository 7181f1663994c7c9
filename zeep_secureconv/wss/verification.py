"""Verifies the signatures of a received message: their values, and later the digests of what they cover."""

from __future__ import annotations

import hmac
from datetime import datetime

from cryptography import x509
from lxml import etree

from ..errors import VerificationError
from ..policy.model import TransportBinding
from ..soap.addressing import read_addressing
from . import signature
from .c14n import canonicalize
from .certificates import may_sign, same
from .elements import holds
from .incoming import Incoming
from .key_judgement import check_length, primary_signature
from .opened import VerifiedSignature
from .seen import OLDEST, Seen
from .signature_form import SignatureForm, SignedReference, read_signature
from .sources import KeySource


class Verification:
    """Verifies the signatures of one message.

    Args:
        message: the message; what is verified is noted there.
        seen: memory of signature values; a value in it is refused.
        sent: signature values of the request that the message answers; a message with one of them is our own,
            reflected.
    """

    def __init__(self, message: Incoming, seen: Seen | None, sent: tuple[bytes, ...]) -> None:
        self._message = message
        self._seen = seen
        self._sent = sent

    # ------------------------------------------------------------------------------------------ values

    def verify_value(self, place: int, element: etree._Element, *, hidden: bool) -> bool:
        """Verify the value of a signature, and remember it.

        Args:
            place: which child of the header it is.
            element: the ds:Signature.
            hidden: whether it was encrypted.

        Returns:
            False where the token that it needs is not in the clear yet, if it is there at all.

        Raises:
            VerificationError: ``check`` names the check that refused.
        """
        message = self._message
        form = read_signature(element, message.suite, message.environment.limits)
        if message.has_hidden() and message.keys.waits(form.key, message.header):
            return False
        source = message.keys.resolve(form.key, message.header)
        if source.ephemeral is not None and not message.rules.takes(source.ephemeral):
            raise VerificationError("token", "A signature is made with a key that came with the message")
        check_length(source, message.binding)
        if any(hmac.compare_digest(form.value, own) for own in self._sent):
            raise VerificationError("reflection", "The answer carries our own signature")
        if not self._is_good(form, source):
            raise VerificationError("signature", "A signature does not verify")
        self._remember(form, source)
        message.signatures[place] = VerifiedSignature(place, form, source, hidden)
        return True

    def need_primary(self) -> None:
        """The binding's own signature is among those verified, and it is known now which secret gives the keys.

        Raises:
            VerificationError: checks "signature-missing", "encrypted-parts", "derived-key", "context".
        """
        message = self._message
        primary = primary_signature(
            message.signatures.values(), message.binding, message.header, hides=message.hides
        )
        if primary is not None:
            message.rules.refuse_second_secret(primary.source, signs=True)

    def _is_good(self, form: SignatureForm, source: KeySource) -> bool:
        certificate, suite = source.certificate, self._message.suite
        wanted = suite.symmetric_signature if certificate is None else suite.asymmetric_signature
        if form.algorithm != wanted:
            raise VerificationError("algorithm", "A signature algorithm is not that of the policy")
        data = canonicalize(form.info, form.prefixes)
        if certificate is None:
            # WebSphere leaves out Length where the suite fixes it; otherwise the default of 32 bytes holds
            lengths = (
                {len(source.secret), suite.signature_key_length} if source.unsized else {len(source.secret)}
            )
            return any(
                hmac.compare_digest(signature.mac(wanted, source.secret[:length], data), form.value)
                for length in lengths
            )
        self._check_signer(certificate, source.path)
        return signature.rsa_verify(wanted, certificate, data, form.value)

    def _check_signer(self, certificate: x509.Certificate, path: tuple[x509.Certificate, ...]) -> None:
        keyring = self._message.keyring
        if keyring.trust is None and not keyring.signers:
            raise VerificationError("signer", "Nothing says whose certificates to believe")
        if keyring.signers and not any(same(certificate, signer) for signer in keyring.signers):
            raise VerificationError(
                "signer",
                f"The message is signed by a certificate that is not the {keyring.role}'s",
                hint="name every certificate the service may sign with in peer=",
            )
        if not may_sign(certificate):
            raise VerificationError("signer", "The signer's certificate may not sign")
        if keyring.trust is not None:
            now = self._message.environment.clock.now()
            keyring.trust.check(certificate, role=keyring.role, now=now, intermediates=path)

    # ------------------------------------------------------------------------------------------ memory

    def _remember(self, form: SignatureForm, source: KeySource) -> None:
        """Before anything is decrypted, so that a changed ciphertext under a good signature is tried once."""
        now, created, until = self._message.environment.clock.now(), *self._worth_remembering(form)
        if self._seen is not None and not self._seen.add(
            self._told_apart(form, source), until=until, now=now, created=created
        ):
            raise VerificationError("replay", "The message was received before")

    def _told_apart(self, form: SignatureForm, source: KeySource) -> bytes:
        """What no other message has.

        Over TLS a context's signature covers the Timestamp alone: two messages of one second have the same from Metro,
        whose Created has whole seconds. MessageID, which TLS protects like everything else, tells them apart.
        """
        message = self._message
        if not isinstance(message.binding, TransportBinding) or source.certificate is not None:
            return form.value
        return form.value + (read_addressing(message.soap).message_id or "").encode()

    def _worth_remembering(self, form: SignatureForm) -> tuple[datetime | None, datetime]:
        """(Created, until when a value could come back): its Timestamp tells, if the signature really covers that.

        Otherwise somebody could put a Timestamp of his own beside it, to have the value forgotten at once.
        """
        message = self._message
        for reference in form.references:
            if message.timestamp is not None and message.header.find(reference.id) is message.timestamp:
                assert message.expires is not None
                self._check_digest(message.timestamp, reference)
                return message.created, message.expires
        return None, message.environment.clock.now() + OLDEST

    # ----------------------------------------------------------------------------------------- digests

    def check_digests(self, found: VerifiedSignature) -> None:
        """Compare every part that a signature covers, as it stands now, with its digest.

        Raises:
            VerificationError: checks "reference", "canonicalization" and "digest".
        """
        message = self._message
        for reference in found.form.references:
            element = message.header.find(reference.id)
            if element is None:
                raise VerificationError(
                    "reference", "A signature refers to something that is not in the message"
                )
            self._check_digest(element, reference)
            found.elements.append(element)
        found.body_was_clear = holds(message.contents, message.soap.body)

    def _check_digest(self, element: etree._Element, reference: SignedReference) -> None:
        digest = signature.digest(self._message.suite.digest, canonicalize(element, reference.prefixes))
        if not hmac.compare_digest(digest, reference.digest):
            raise VerificationError("digest", "A signed part was changed")
