"""Secures what a service answers: answers of the trust service and the application, and faults."""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import dataclass, field, replace

from ..conversation.policies import ConversationPolicy
from ..environment import Environment
from ..errors import SecureConversationError
from ..policy.model import Direction, Policy
from ..soap.addressing import ANSWER_HEADERS, FAULT_ACTION, address_reply
from ..soap.envelope import Soap
from ..trust import Dialect
from ..wss.keys import ContextKey, Keyring
from ..wss.protect import protect
from ..wss.unprotect import Verified
from .authentication import Authentication
from .messages import Answer, Request
from .operations import signed_fault
from .reception import Reception
from .refusals import Circumstances, Failed, refusal

log = logging.getLogger("zeep_secureconv.service")


@dataclass(frozen=True, kw_only=True)
class Back:
    """How the answer to a verified message is secured.

    Args:
        policy: that of answers.
        ring: its keys.
        verified: the message.
        known: what a fault and the log may say of it.
    """

    policy: Policy
    ring: Keyring = field(repr=False)
    verified: Verified
    known: Circumstances


class Answers:
    """Secures answers to messages that were verified.

    Args:
        keyring: the service's keys.
        authentication: knows the passwords that answers are secured with, where their requests were.
        reception: remembers what was sent.
        conversation: that of the first alternative, for what a message leaves open.
        environment: time and randomness.
    """

    def __init__(
        self,
        keyring: Keyring,
        authentication: Authentication,
        reception: Reception,
        conversation: ConversationPolicy,
        environment: Environment,
    ) -> None:
        self._keyring = keyring
        self._authentication = authentication
        self._reception = reception
        self._conversation = conversation
        self._environment = environment

    def known(
        self,
        version: str,
        request: Request | None,
        action: str | None = None,
        dialect: Dialect | None = None,
        context: ContextKey | None = None,
    ) -> Circumstances:
        """What a fault and the log may say of a message.

        Args:
            version: namespace of SOAP.
            request: the message, if it could be read.
            action: what it asks for, where that is known.
            dialect: that of a request to the trust service.
            context: the key of the context that secured it.
        """
        application = self._conversation.application
        return Circumstances(
            version=version,
            wst=dialect.wst if dialect is not None else application.wst,
            wsc=context.wsc if context is not None else application.wsc,
            endpoint=request.path if request is not None else None,
            action=action or (request.action if request is not None else None),
            context=context.identifier if context is not None else None,
        )

    def ring(self, request: Request, verified: Verified, context: ContextKey | None) -> Keyring:
        """The keys for the answer to a message."""
        certificates = (*filter(None, [verified.signer]), *verified.endorsers)
        return replace(
            self._keyring,
            peer=next(iter(certificates), None),
            context=context,
            ephemeral=verified.ephemeral,
            tokens=self._authentication.credentials(verified),
            over_tls=request.over_tls,
        )

    def refused(self, error: SecureConversationError, back: Back) -> Answer:
        """The fault for a message whose sender is proven: Body and addressing signed, so that it proves itself."""
        answer = refusal(error, back.known)
        assert answer.soap is not None
        fault = Soap.of(deepcopy(answer.soap.envelope))
        policy = signed_fault(back.policy, self.wsa(back.verified))
        try:
            secured = self.secure(fault, replace(back, policy=policy), None)
        except Failed as failed:
            log.warning("a fault goes out unsecured: %s", failed.message)
            return answer
        return replace(secured, status=answer.status)

    def wsa(self, verified: Verified) -> str:
        """The generation of addressing to answer in: that of the request, if it has any."""
        return verified.addressing.wsa or self._conversation.wsa

    def secure(
        self, reply: Soap, back: Back, action: str | None, headers: tuple[str, ...] = ANSWER_HEADERS
    ) -> Answer:
        """An answer with its addressing headers, secured.

        Args:
            reply: the message, in the clear.
            back: how it is secured.
            action: its wsa:Action; None works it out.
            headers: the addressing headers that it has.

        Raises:
            Failed: when it cannot be secured.
        """
        request, wsa = back.verified.addressing, self.wsa(back.verified)
        address_reply(
            reply,
            wsa=wsa,
            action=action or (FAULT_ACTION[wsa] if reply.is_fault() else (request.action or "") + "Response"),
            relates_to=request.message_id,
            random=self._environment.random,
            headers=headers,
        )
        try:
            protect(
                reply,
                back.policy,
                back.ring,
                self._environment,
                direction=Direction.RESPONSE,
                confirm=back.verified.signature_values,
                seen=self._reception.sent,
            )
        except SecureConversationError as error:
            raise Failed(f"The answer could not be secured: {error.message}") from error
        return Answer(status=200, soap=reply)
