"""Secures calls, reads their replies, and sends a call again that a lost context kept from being executed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal

from lxml import etree

from ..conversation.context import SecurityContext
from ..conversation.faults import Sign, fault_error, sign_of
from ..environment import Environment
from ..errors import SecureConversationError, VerificationError
from ..policy.model import Direction, OperationPolicy, Policy
from ..soap.addressing import address_request, remove_message_id
from ..soap.envelope import Soap, parse
from ..soap.faults import Fault
from ..wss.header import ENCRYPTED_DATA
from ..wss.protect import protect
from ..wss.reply import Reply, read_reply
from .call import Call, Clear, Sent
from .contexts import Borrowed, Contexts
from .partner import Partners
from .way import Way, would_block

Recover = Literal["auto", "always", "never"]
#: Operations that may be executed twice: by name, or told by a function.
Idempotent = Collection[str] | Callable[[str], bool]

_DOING = "checking a reply"
#: What a fault has in the clear even where its Body is encrypted: the Action.
_MAY_BE_FAULT = re.compile(rb"[Ff]ault")


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """When a call is sent again.

    Args:
        mode: "auto": where a fault proves that the call was not executed, or the operation may be executed twice;
            "always": at every sign of a lost context, unless the service failed after that; "never".
        idempotent: operations that may be executed twice.
    """

    mode: Recover
    idempotent: Idempotent

    def sends_again(self, sign: Sign, operation: str) -> bool:
        """Whether a call of an operation is sent again after a fault with that sign."""
        if sign is Sign.NONE or self.mode == "never":
            return False
        if sign.is_proven or (self.mode == "always" and sign is Sign.SUSPECT):
            return True
        return self.idempotent(operation) if callable(self.idempotent) else operation in self.idempotent


class Calls:
    """What is done to every call.

    Args:
        partners: whom calls go to.
        contexts: what secures them.
        environment: time, randomness and bounds.
        recovery: when a call is sent again.
    """

    def __init__(
        self, partners: Partners, contexts: Contexts, environment: Environment, recovery: Recovery
    ) -> None:
        self._partners = partners
        self._contexts = contexts
        self._environment = environment
        self._recovery = recovery

    def secure(self, call: Call, envelope: etree._Element) -> None:
        """Get a context where there is none, and secure a request in place.

        Raises:
            ConfigurationError: when something is missing, before any traffic.
            PolicyError: when the policy cannot be satisfied.
            VerificationError, TokenFault, TransportError: when no context could be got.
        """
        self.protect(call, envelope, self._contexts.borrow(call.partner, self.ready(call)))

    def secure_at_once(self, call: Call, envelope: etree._Element) -> None:
        """As :meth:`secure`, for event loops: with the context that is there, without waiting for anything.

        Raises:
            ConfigurationError: when there is none, or something else is missing.
        """
        self.ready(call)
        borrowed = self._contexts.at_hand(call.partner)
        if borrowed is None:
            raise would_block()
        self.protect(call, envelope, borrowed)

    def ready(self, call: Call) -> Way:
        """Check that everything that a call needs besides a context is there; the way that it goes.

        Raises:
            ConfigurationError: when something is missing.
            PolicyError: when that is TLS.
        """
        way = self._way(call)
        call.partner.need_everything(call.operation, way)
        return way

    def protect(self, call: Call, envelope: etree._Element, borrowed: Borrowed) -> None:
        """Secure a request in place, under a context that is there; whatever happens, the call ends its lease.

        Raises:
            PolicyError: when the policy cannot be satisfied.
        """
        try:
            self._protect(call, envelope, borrowed.context)
        except BaseException:
            borrowed.lease.end()
            raise
        call.lease = borrowed.lease

    def _protect(self, call: Call, envelope: etree._Element, context: SecurityContext) -> None:
        call.put_back(envelope)
        partner, over_tls = call.partner, self._way(call).is_verified(call.partner.endpoint)
        keyring = replace(partner.keyring, context=context.key, over_tls=over_tls)
        soap = Soap.of(envelope)
        if self._recovery.mode != "never" and call.clear is None:
            call.clear = Clear.of(soap, whole=_takes_apart(call.operation.request))
        message_id = address_request(
            soap,
            wsa=partner.conversation.wsa,
            to=partner.endpoint,
            action=call.action,
            random=self._environment.random,
        )
        protected = protect(
            soap,
            call.operation.request,
            keyring,
            self._environment,
            direction=Direction.REQUEST,
            message_id=message_id,
            seen=partner.seen,
        )
        answered = replace(keyring, ephemeral=protected.ephemeral)
        call.sent = Sent(
            context=context, keyring=answered, protected=protected, limits=self._environment.limits
        )

    def read(self, call: Call, soap: Soap) -> Reply:
        """The reply to a call, verified and decrypted.

        Raises:
            VerificationError: when the reply is not what the policy and the request demand.
            TokenFault, UnsecuredFault: for a fault that is not the application's own and proven.
        """
        sent, partner = call.sent, call.partner
        assert sent is not None
        context = sent.context
        try:
            reply = self._checked(call, sent, soap)
        except SecureConversationError as error:
            if isinstance(error, VerificationError):
                self._contexts.tell("refused", partner.endpoint, context, error.check)
            raise error.at(
                doing=_DOING, endpoint=partner.endpoint, context=context.identifier
            ) from error.__cause__
        finally:
            call.end()
        if reply.fault is not None:
            sign = _sign(call, reply, reply.fault)
            if sign is not Sign.NONE and not call.given_up:
                proven = sign.is_proven
                self._contexts.lose(partner, context, reply.fault.code or "", proven=proven)
            fault = fault_error(
                reply, doing="calling the service", endpoint=partner.endpoint, context=context.identifier
            )
            if fault is not None:
                raise fault
        self._contexts.tell("verified", partner.endpoint, context, "")
        return reply

    def recover(
        self, call: Call, envelope: etree._Element, content: bytes, *, gives_up: bool = False
    ) -> bool:
        """Secure a call again, under a new context, if its answer is a fault after which it is sent again. Once.

        Args:
            call: the call that was answered.
            envelope: its request, which is secured again in place.
            content: the answer.
            gives_up: otherwise forget its context, if the answer tells that the service did, as :meth:`read` does
                later. For calls in an event loop, where a store that is not in memory must not be asked.

        Returns:
            Whether the request is to be sent again.

        Raises:
            What :meth:`secure` raises.
        """
        sent, clear = call.sent, None if call.resent else call.clear
        if sent is None or not (clear or gives_up) or not _MAY_BE_FAULT.search(content):
            return False
        sign, code = self._sign_in(call, sent, content)
        if clear is not None and self._recovery.sends_again(sign, call.operation.name):
            call.end()
            if self._is_replaced(call, sent, sign, code):
                self._secure_again(call, envelope, clear, code)
                return True
        if gives_up and sign is not Sign.NONE:
            self._contexts.lose(call.partner, sent.context, code, proven=sign.is_proven)
            call.given_up = True
        return False

    def _is_replaced(self, call: Call, sent: Sent, sign: Sign, code: str) -> bool:
        """Whether another context than that of a call is used from now on."""
        if sign is Sign.RENEW:
            self._contexts.refresh(call.partner, sent.context, self._way(call))
            return True
        return self._contexts.lose(call.partner, sent.context, code, proven=sign.is_proven)

    def _secure_again(self, call: Call, envelope: etree._Element, clear: Clear, code: str) -> None:
        call.resent = True
        clear.restore(envelope)
        remove_message_id(Soap.of(envelope))
        self.secure(call, envelope)
        assert call.sent is not None
        self._contexts.tell("recovered", call.partner.endpoint, call.sent.context, code)

    def _way(self, call: Call) -> Way:
        return call.way or self._partners.way_to(call.partner)

    def _sign_in(self, call: Call, sent: Sent, content: bytes) -> tuple[Sign, str]:
        """(what the fault in an answer tells of the context, its code); nothing where no fault can be read.

        The answer is not remembered, and whatever is wrong with it is told when zeep's own tree of it is read as the
        reply.
        """
        try:
            soap = Soap.of(parse(content, self._environment.limits))
            payload = soap.payload
            if payload is None or not (soap.is_fault() or payload.tag == ENCRYPTED_DATA):
                return Sign.NONE, ""
            reply = self._checked(call, sent, soap, remember=False)
        except SecureConversationError:
            return Sign.NONE, ""
        fault = reply.fault
        return (Sign.NONE, "") if fault is None else (_sign(call, reply, fault), fault.code or "")

    def _checked(self, call: Call, sent: Sent, soap: Soap, *, remember: bool = True) -> Reply:
        return read_reply(
            soap,
            call.operation.response,
            sent.keyring,
            self._environment,
            request=sent.protected,
            seen=call.partner.seen if remember else None,
        )


def _sign(call: Call, reply: Reply, fault: Fault) -> Sign:
    over_tls = call.sent is not None and call.sent.keyring.over_tls
    return sign_of(reply, declared=_is_declared(fault, call.operation), over_tls=over_tls)


def _is_declared(fault: Fault, operation: OperationPolicy) -> bool:
    """Whether a fault is one that the WSDL declares for the operation: then the application was reached."""
    details = [] if fault.detail is None else [str(child.tag) for child in fault.detail]
    return any(tag in operation.faults for tag in details)


def _takes_apart(policy: Policy) -> bool:
    """Whether securing a message changes what is inside its Body and its header blocks."""
    return bool(policy.encrypted.elements or policy.encrypted.contents)
