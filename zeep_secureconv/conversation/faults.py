"""Faults of a peer as exceptions, with what to do about them."""

from __future__ import annotations

from ..errors import TokenFault, UnsecuredFault
from ..names import WSC_2005, WSC_200512, WSSE, WST_2005, WST_200512
from ..wss.reply import Reply

WSS4J = "http://ws.apache.org/wss4j"
DOTNET = "http://schemas.microsoft.com/ws/2006/05/security"

#: Namespaces whose fault codes speak of security, not of the application.
_SECURITY = frozenset({WSC_2005, WSC_200512, WST_2005, WST_200512, WSSE, WSS4J, DOTNET})

#: What to do, by local name of the fault code.
_HINTS = {
    "BadContextToken": "the service does not know the context any more; the next call asks for a new one",
    "RenewNeeded": "the context is over; the next call asks for a new one",
    "SecurityError": "the service refused the message without a reason: it may have lost the context, or refuse our "
    "certificate, its own clock or ours may be wrong; its log tells",
    "InvalidSecurity": "the service refused the security header: it may have lost the context, or expect another "
    "policy; its log tells",
    "FailedAuthentication": "the service does not accept our certificate or user name",
    "FailedCheck": "a signature or a decryption failed at the service: check which certificate it expects (peer=)",
    "MessageExpired": "the clocks are apart: set them",
    "InvalidSecurityToken": "the service does not accept a token: check the certificate; it may have lost the context",
    "SecurityTokenUnavailable": "the service lacks a token that we refer to: it may not know our certificate",
}


def is_security_fault(code: str | None) -> bool:
    """Whether a fault code (Clark notation) belongs to one of the security specifications or stacks."""
    return (code or "").partition("}")[0][1:] in _SECURITY


def fault_error(
    reply: Reply, *, doing: str, endpoint: str, context: str | None
) -> TokenFault | UnsecuredFault | None:
    """The exception for a fault, or None for one that is proven and the application's own."""
    fault = reply.fault
    assert fault is not None
    security = is_security_fault(fault.code)
    if not security and reply.proven:
        return None
    kind = TokenFault if security else UnsecuredFault
    return kind(
        fault.text or "The service answered with a fault",
        code=fault.code,
        verified=reply.proven,
        detail=fault.detail,
        actor=fault.actor,
        subcodes=list(fault.subcodes) or None,
        hint=_HINTS.get((fault.code or "").rpartition("}")[2]) if security else None,
        doing=doing,
        endpoint=endpoint,
        context=context,
    )
