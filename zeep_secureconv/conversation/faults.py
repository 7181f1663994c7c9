"""Faults of a peer as exceptions, with what to do about them."""

from __future__ import annotations

import enum

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


class Sign(enum.Enum):
    """What a fault tells about the context that its request used."""

    #: Proven: the service does not know the context, and did not execute the request.
    LOST = "lost"
    #: Proven: the context is over, and the service did not execute the request.
    RENEW = "renew"
    #: The context may be lost; nothing is proven.
    SUSPECT = "suspect"
    #: The context may be lost, and the service may have executed the request: it failed later.
    UNANSWERED = "unanswered"
    #: Nothing.
    NONE = "none"

    @property
    def is_proven(self) -> bool:
        """Whether it is certain that the request was not executed."""
        return self in (Sign.LOST, Sign.RENEW)


#: Codes that say, where they are proven, that the message was not executed (WS-SecureConversation 1.4, section 9).
_PROOFS = {"BadContextToken": Sign.LOST, "RenewNeeded": Sign.RENEW}
#: Codes of security that speak of something else than the context.
_NO_SIGN = frozenset({"FailedAuthentication", "UnsupportedSecurityToken", "UnsupportedAlgorithm"})
_CONVERSATION = frozenset({WSC_2005, WSC_200512})
#: Codes of SOAP 1.1 and 1.2 for trouble of the service's own. CXF says so when it lost the context while the
#: application was at work, and cannot secure the answer.
_OWN_TROUBLE = frozenset({"Server", "Receiver"})


def sign_of(reply: Reply, *, declared: bool, over_tls: bool) -> Sign:
    """What a fault tells about the context of its request.

    WCF and this library's service say BadContextToken and RenewNeeded. CXF says {wss4j}SecurityError whatever is wrong;
    Metro wsse:InvalidSecurity, or the text of an exception where the context is over; Rampart and Liberty
    "General security error"; CoreWCF nothing but HTTP 500. None of those is signed.

    Args:
        reply: the answer with the fault.
        declared: whether the WSDL declares the fault for the operation: then the application was reached.
        over_tls: whether it came over TLS with verified certificates, which proves it too.
    """
    fault = reply.fault
    if fault is None or declared:
        return Sign.NONE
    namespace, _, local = (fault.code or "")[1:].partition("}")
    if (reply.proven or over_tls) and namespace in _CONVERSATION and local in _PROOFS:
        return _PROOFS[local]
    if namespace in _SECURITY and local not in _NO_SIGN and not _is_signed(reply):
        return Sign.SUSPECT
    if reply.verified is not None or namespace in _SECURITY:
        # a fault with security of the context comes from a service that knows it
        return Sign.NONE
    return Sign.UNANSWERED if local in _OWN_TROUBLE else Sign.SUSPECT


def _is_signed(reply: Reply) -> bool:
    """Whether the context signed a fault. Over TLS alone nothing is: Metro's InvalidSecurity has a Timestamp there."""
    return reply.proven and reply.verified is not None and bool(reply.verified.signature_values)


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
