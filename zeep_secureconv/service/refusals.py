"""What a service refuses, and the faults that say so: to the peer as little as possible, to the log everything."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from ..conversation.granting import RequestRefused
from ..errors import SecureConversationError
from ..names import SOAP11, WSSE
from ..soap.envelope import Soap
from ..soap.faults import make_fault
from .messages import Answer

log = logging.getLogger("zeep_secureconv.service")

_FAILED = 500
_BUSY = 503
_BUSY_SECONDS = 5
_UNAUTHENTICATED = "The security token could not be authenticated or authorized."


class NotPermitted(SecureConversationError):
    """``authorize=`` does not allow what somebody wants.

    Args:
        message: who and what, for the log.
        call: whether it is a call of the application; otherwise a request to the trust service.
    """

    def __init__(self, message: str, *, call: bool) -> None:
        super().__init__(message)
        self.check = "call-not-permitted" if call else "not-permitted"


class NotUnderstood(SecureConversationError):
    """A request to the trust service has headers that must be understood, and are not.

    Args:
        headers: their tags.
    """

    check = "must-understand"

    def __init__(self, headers: Sequence[str]) -> None:
        super().__init__(f"Headers that must be understood are not: {', '.join(headers)}")
        self.headers = tuple(headers)


class ContextOver(SecureConversationError):
    """A context is over, and may be renewed."""

    check = "context-over"


class Busy(SecureConversationError):
    """Too many requests for contexts at the same time."""

    check = "busy"


class Failed(SecureConversationError):
    """The service could not secure an answer."""

    check = "failed"


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What is known of a message that is refused, for the fault and for the log.

    Args:
        version: namespace of SOAP.
        wst, wsc: namespaces of WS-Trust and WS-SecureConversation.
        endpoint: where it was sent to.
        action: what it asks for.
        context: name of the context that secured it.
        principal: whose that is.
    """

    version: str
    wst: str
    wsc: str
    endpoint: str | None = None
    action: str | None = None
    context: str | None = None
    principal: str | None = None


#: Namespace, local name in SOAP 1.1, text, and whether the client is to blame, by the check that refused.
_TOLD = {
    # WS-SecureConversation 1.4, section 9
    "context": (
        "wsc",
        "BadContextToken",
        "The requested context elements are insufficient or unsupported.",
        True,
    ),
    "context-over": ("wsc", "RenewNeeded", "The provided context token has expired.", True),
    # WSS 1.1, section 12; who comes that far has passed every other check
    "authentication": ("wsse", "FailedAuthentication", _UNAUTHENTICATED, True),
    "not-permitted": ("wsse", "FailedAuthentication", _UNAUTHENTICATED, True),
    "call-not-permitted": ("soap", "Client", "The call is not permitted.", True),
    "must-understand": ("soap", "MustUnderstand", "A header that must be understood is not.", True),
    "busy": ("soap", "Server", "The service is busy.", False),
    "failed": ("soap", "Server", "The service failed.", False),
    "StoreError": ("soap", "Server", "The service failed.", False),
}
_ANY = ("wsse", "InvalidSecurity", "An error was discovered processing the <wsse:Security> header.", True)
#: The codes of SOAP 1.1 that have another name in 1.2.
_IN_SOAP12 = {"Client": "Sender", "Server": "Receiver"}


def refusal(error: SecureConversationError, known: Circumstances) -> Answer:
    """The fault for whatever was refused; the log says more, under the number that the fault carries.

    What could tell somebody without a key about a key, a padding or a password is one fault with one text: that of
    wsse:InvalidSecurity. Another one is for those who passed every check of that, or whose message named a context that
    is not known.
    """
    number = secrets.token_hex(4)
    check = getattr(error, "check", type(error).__name__)
    log.warning(
        "refused [%s] %s: %s",
        number,
        check,
        error.message,
        extra={
            "correlation": number,
            "check": check,
            "endpoint": known.endpoint,
            "action": known.action,
            "context": known.context,
            "principal": known.principal,
        },
    )
    kind, local, text, sender = _TOLD.get(check, _ANY)
    if isinstance(error, RequestRefused):
        kind, local, text = "wst", error.code, "The request was refused."
    if kind == "soap" and known.version != SOAP11:
        local = _IN_SOAP12.get(local, local)
    namespace = {"soap": known.version, "wsse": WSSE, "wsc": known.wsc, "wst": known.wst}[kind]
    fault = make_fault(
        known.version, code=f"{{{namespace}}}{local}", text=f"{text} [{number}]", sender=sender
    )
    if isinstance(error, NotUnderstood):
        _name_headers(fault, error.headers)
    if isinstance(error, Busy):
        return Answer(status=_BUSY, soap=fault, headers=(("Retry-After", str(_BUSY_SECONDS)),))
    return Answer(status=_FAILED, soap=fault)


def _name_headers(fault: Soap, tags: Sequence[str]) -> None:
    """Say in SOAP 1.2 which headers were not understood (part 1, section 5.4.8)."""
    if fault.version == SOAP11:
        return
    for name in map(etree.QName, tags):
        prefix = {"h": name.namespace} if name.namespace else {}
        block = etree.SubElement(fault.need_header(), f"{{{fault.version}}}NotUnderstood", nsmap=prefix)
        block.set("qname", f"h:{name.localname}" if prefix else name.localname)
