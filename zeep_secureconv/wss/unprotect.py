"""Checks one message against its policy and decrypts it.

The order is that of an attacker's cost: what is cheap and secret-free comes first, then the value of each signature
(so that nobody without a key gets any further, and a message is taken once), then decryption and digests in the
order of the header, then whether what was signed and encrypted is what the policy demands. Nothing is used that
was not reached through a verified reference or stands where the policy says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509
from lxml import etree

from ..environment import Environment
from ..errors import VerificationError
from ..policy.model import Policy
from ..soap.addressing import Addressing, read_addressing
from ..soap.envelope import Soap
from .credentials import ReceivedToken, ReceivedUsername
from .decryption import LISTS, OF_SIGNING, Decryption
from .elements import holds
from .header import SIGNATURE, TIMESTAMP
from .incoming import Incoming
from .judgement import Judgement, judge
from .keys import ContextKey, EphemeralKey, Keyring
from .opened import Opened
from .seen import Seen
from .tokens import read_timestamp
from .verification import Verification


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a message proved.

    Args:
        soap: the message in the clear; its tree may be another one than the message's (see ``splice``).
        addressing: its addressing headers.
        signer: certificate of the primary signature (bootstrap), or None.
        context: key of the security context of the primary signature, or None.
        endorsed_by: context keys that endorsed the message: signed its primary signature, or its Timestamp over TLS.
        endorsers: certificates that did.
        usernames: the user names in it, with what proves them; not checked yet.
        tokens: the supporting tokens in it that are not understood here; not checked yet.
        ephemeral: the key that came with it, for the answer.
        signed: elements under the primary signature: Body, header blocks, tokens.
        decrypted: Body, header blocks, elements and tokens that were encrypted, themselves or their content.
        signature_values: of every signature, in bytes.
    """

    soap: Soap
    addressing: Addressing
    signer: x509.Certificate | None
    context: ContextKey | None
    endorsed_by: tuple[ContextKey, ...]
    endorsers: tuple[x509.Certificate, ...] = ()
    usernames: tuple[ReceivedUsername, ...] = ()
    tokens: tuple[ReceivedToken, ...] = ()
    ephemeral: EphemeralKey | None = field(default=None, repr=False)
    signed: tuple[etree._Element, ...] = field(repr=False)
    decrypted: tuple[etree._Element, ...] = field(repr=False)
    signature_values: tuple[bytes, ...] = field(repr=False)

    def is_signed(self, element: etree._Element | None) -> bool:
        """Whether this very element is under the primary signature."""
        return element is not None and holds(self.signed, element)


def unprotect(
    soap: Soap,
    policy: Policy,
    keyring: Keyring,
    environment: Environment,
    *,
    seen: Seen | None = None,
    sent: tuple[bytes, ...] = (),
) -> Verified:
    """Verify and decrypt a message, in place where that is exact.

    Args:
        soap: the message as it was received.
        policy: the effective policy of this message.
        keyring: the keys and contexts that are allowed.
        environment: time, randomness and bounds.
        seen: memory of signature values; a value in it is refused.
        sent: signature values of the request that this message answers; a message with one of them is our own,
            reflected, and they are what the policy may want confirmed.

    Raises:
        VerificationError: ``check`` names the check that refused.
        PolicyError: when the policy cannot be checked.
    """
    message = Incoming(soap, policy, keyring, environment)
    _check_timestamp(message)
    verification, decryption = Verification(message, seen, sent), Decryption(message)
    _verify_values(message, verification)
    if message.hides or message.has_hidden():
        _reveal(message, verification, decryption)
    _walk(message, verification, decryption)
    opened = message.opened()
    found = judge(opened, policy, keyring, environment, hides=message.hides, sent=sent, seen=seen)
    return _verified(opened, found)


def _check_timestamp(message: Incoming) -> None:
    stamps = [child for child in message.header.element if child.tag == TIMESTAMP]
    if len(stamps) > 1:
        raise VerificationError("timestamp", "The message has two Timestamps")
    if not stamps:
        if message.binding.include_timestamp:
            raise VerificationError("timestamp", "The policy demands a Timestamp and the message has none")
        return
    environment, stamp = message.environment, read_timestamp(stamps[0])
    now, skew = environment.clock.now(), environment.clock_skew
    if stamp.created > now + skew:
        raise VerificationError(
            "timestamp", "The message comes from the future", hint="set the clocks, or widen clock_skew="
        )
    # the sender may shorten the life of a message, and not prolong it
    latest = stamp.created + environment.message_lifetime
    expires = min(stamp.expires or latest, latest)
    if expires <= stamp.created or expires <= now - skew:
        raise VerificationError(
            "timestamp", "The message is too old", hint="set the clocks, or widen clock_skew="
        )
    message.timestamp, message.created, message.expires = stamps[0], stamp.created, expires + skew


def _verify_values(message: Incoming, verification: Verification) -> None:
    """Verify the value of every signature that is in the clear, and whose token is.

    Where the policy hides none, the binding's own must be among them before anything is decrypted.
    """
    for place, child in enumerate(message.header.element):
        if child.tag == SIGNATURE:
            verification.verify_value(place, child, hidden=False)
    if not message.hides:
        verification.need_primary()


def _reveal(message: Incoming, verification: Verification, decryption: Decryption) -> None:
    """Decrypt what is hidden in the header, and nothing else before every signature is verified and remembered.

    Otherwise somebody without a key could try changed ciphertexts of the Body one after the other.
    """
    for place in range(len(message.header.element)):
        child = message.header.element[place]
        if child.tag in LISTS:
            decryption.undo(child, header_only=True)
    for place, child in enumerate(message.header.element):
        if child.tag == SIGNATURE and place not in message.signatures:
            hidden = holds(message.decrypted, child)
            if not verification.verify_value(place, child, hidden=hidden):
                raise VerificationError("token", "A reference names a token that is not in the header")
    verification.need_primary()


def _walk(message: Incoming, verification: Verification, decryption: Decryption) -> None:
    """Undo the header's children from the top: what stands first was applied last."""
    place = 0
    while place < len(message.header.element):
        child = message.header.element[place]
        if child.tag in LISTS:
            decryption.undo(child)
        elif child.tag == SIGNATURE:
            verification.check_digests(message.signatures[place])
        place += 1


def _verified(opened: Opened, found: Judgement) -> Verified:
    primary = found.primary
    return Verified(
        soap=opened.soap,
        addressing=read_addressing(opened.soap),
        signer=primary.source.certificate if primary is not None else None,
        context=found.context,
        endorsed_by=found.endorsed_by,
        endorsers=found.endorsers,
        usernames=found.usernames,
        tokens=found.tokens,
        ephemeral=(primary.source.ephemeral if primary is not None else None) or opened.ephemeral,
        signed=tuple(primary.elements) if primary is not None else (),
        decrypted=tuple(e for e in (*opened.decrypted, *opened.contents) if e.tag not in OF_SIGNING),
        signature_values=tuple(signed.form.value for signed in opened.signatures),
    )
