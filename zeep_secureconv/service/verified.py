"""What is left to check of a message when its signatures are verified."""

from __future__ import annotations

from lxml import etree

from ..conversation.context import SecurityContext
from ..conversation.issuer import Issuer
from ..errors import VerificationError
from ..soap.addressing import ANONYMOUS, Addressing, is_addressing
from ..soap.envelope import Soap
from ..wss.elements import holds
from ..wss.header import ACTOR
from ..wss.keys import ContextKey
from ..wss.unprotect import Verified
from .refusals import ContextOver, NotUnderstood


def settle(verified: Verified, action: str) -> None:
    """What is left to check of a request to the trust service that was verified, before it is read.

    Raises:
        VerificationError: check "action", when it was encrypted and is another one; "reply-to".
        NotUnderstood: when it has headers that must be understood, and are not.
    """
    if verified.addressing.action not in (None, action):
        raise VerificationError("action", "SOAPAction and wsa:Action differ")
    refuse_other_addresses(verified.addressing)
    _refuse_unknown_headers(verified.soap)


def refuse_other_addresses(addressing: Addressing) -> None:
    """Answers go back the way that their requests came.

    Raises:
        VerificationError: check "reply-to".
    """
    for address in (addressing.reply_to, addressing.fault_to):
        if address is not None and address not in ANONYMOUS.values():
            raise VerificationError("reply-to", "Answers are sent to the anonymous address only")


def drop_unproven_headers(verified: Verified) -> None:
    """Take out of a call whatever somebody on the way may have put into its Header, before the application sees it.

    Raises:
        NotUnderstood: when a block must be understood that nothing proves.
    """
    proven = (*verified.signed, *verified.decrypted)
    unproven = [
        block for block in verified.soap.blocks() if not holds(proven, block) and not _is_security(block)
    ]
    _refuse_to_understand(verified.soap, unproven)
    for block in unproven:
        parent = block.getparent()
        assert parent is not None
        parent.remove(block)


def _refuse_unknown_headers(soap: Soap) -> None:
    """The trust service is the last that reads its requests: nobody behind it could understand a header."""
    _refuse_to_understand(soap, [block for block in soap.blocks() if not _is_security(block)])


def _refuse_to_understand(soap: Soap, blocks: list[etree._Element]) -> None:
    must, actor = (f"{{{soap.version}}}{name}" for name in ("mustUnderstand", ACTOR[soap.version]))
    unknown = [
        str(block.tag)
        for block in blocks
        if (block.get(must) or "").strip() in ("1", "true")
        and (block.get(actor) or "").rpartition("/")[2] in ("", "next", "ultimateReceiver")
        and not is_addressing(str(block.tag))
    ]
    if unknown:
        raise NotUnderstood(unknown)


def _is_security(block: etree._Element) -> bool:
    return etree.QName(block).localname == "Security"


def keys_of(verified: Verified) -> tuple[ContextKey, ...]:
    """The keys of contexts that secured a message: by the primary signature, or by endorsing it."""
    return (*filter(None, [verified.context]), *verified.endorsed_by)


def key_of(verified: Verified) -> ContextKey | None:
    """The key of the context that secured a message."""
    return next(iter(keys_of(verified)), None)


def context_of(verified: Verified, issuer: Issuer) -> SecurityContext:
    """The living context that secured a message.

    Raises:
        ContextOver: when it ended, and may be renewed.
        VerificationError: check "context", when it ended, or there are two.
    """
    keys = keys_of(verified)
    if len({key.identifier for key in keys}) > 1:
        raise VerificationError("context", "The message is secured by two contexts")
    context = issuer.find(keys[0].identifier, keys[0].instance) if keys else None
    if context is not None:
        return context
    if keys and issuer.to_renew(keys[0].identifier, keys[0].instance) is not None:
        raise ContextOver("The context is over, and may be renewed")
    raise VerificationError("context", "The context ended while its message was read")
