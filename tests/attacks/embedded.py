"""The whole service without a socket, and clients that write their own messages to it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from lxml import etree

from tests.attacks.forge import NS, Message, World, element
from tests.loopback import Answer, Request, call_wsgi
from tests.unit.parties import identity, trust
from tests.unit.policy.documents import cxf_wsdl
from tests.unit.service.secured import Refusal, policies_of, read_refusal
from zeep_secureconv import VerificationError
from zeep_secureconv.conversation.context import SecurityContext
from zeep_secureconv.conversation.initiator import Exchange, Initiator
from zeep_secureconv.conversation.policies import conversation_policy
from zeep_secureconv.limits import Limits
from zeep_secureconv.policy.model import Direction, EndpointPolicy, Policy
from zeep_secureconv.policy.reader import read_wsdl
from zeep_secureconv.service.contract import NAMESPACE
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.soap.addressing import address_request
from zeep_secureconv.soap.envelope import Soap, new_envelope, parse, serialize
from zeep_secureconv.soap.faults import Fault
from zeep_secureconv.trust import DIALECTS
from zeep_secureconv.wss.keys import Keyring
from zeep_secureconv.wss.protect import Protected, protect
from zeep_secureconv.wss.reply import Reply, read_reply

DIALECT = DIALECTS["oasis13"]
ENDPOINT = "http://localhost/peer"
_NUMBER = re.compile(r"\[[0-9a-f]+\]")


def endpoint_policy(variant: str = "asym-dk") -> EndpointPolicy:
    """The policy that CXF publishes for a variant."""
    return read_wsdl(etree.fromstring(cxf_wsdl(variant).encode()))


class Service:
    """The demonstration service behind the middleware.

    Args:
        world: time, randomness, keys.
        policy: what it demands.
        alternatives: what it publishes, where that is more than *policy*.
        options: further arguments of the middleware.
    """

    def __init__(
        self,
        world: World,
        policy: EndpointPolicy | None = None,
        *,
        alternatives: tuple[EndpointPolicy, ...] = (),
        **options: Any,
    ) -> None:
        self.world = world
        self.policy = policy or endpoint_policy()
        self.callers: list[Caller] = []
        self.application = DemonstrationService()
        self.middleware = SecureConversationMiddleware(
            self.application,
            policy=alternatives or self.policy,
            identity=identity("server"),
            trust=trust(),
            clock=world.time.clock,
            random=world.vault.random,
            **options,
        )

    def post(self, message: Message | bytes, *, path: str = "/peer", action: str | None = None) -> Answer:
        """Post a message; *action* is the SOAPAction of HTTP."""
        headers = {"Content-Type": "text/xml"}
        if action is not None:
            headers["SOAPAction"] = f'"{action}"'
        body = message if isinstance(message, bytes) else message.bytes
        return call_wsgi(self.middleware, Request("POST", path, headers, body))

    def fault(self, message: Message | bytes, **how: Any) -> Fault:
        """The fault that the service answers with, secured or not."""
        return self.refusal(message, **how).fault

    def refusal(self, message: Message | bytes, **how: Any) -> Refusal:
        """The fault that the service answers with, and what it proves to the clients that there are."""
        answer = self.post(message, **how)
        assert answer.status == 500, answer.body
        callers = self.callers or [Caller(self)]
        policies = policies_of(conversation_policy(self.policy))
        rings = [caller.ring for caller in callers]
        environment, store = callers[0].environment, self.middleware._store
        body = message if isinstance(message, bytes) else message.bytes
        return read_refusal(answer.body, body, policies, rings, environment, store=store)


def outward(answer: Answer) -> tuple[int, str, bytes]:
    """What an attacker sees of an answer, but for the number that correlates it with the log.

    Of a secured one that is its elements, and how long their texts are: all else is random.
    """
    body = _NUMBER.sub("[N]", answer.body.decode()).encode()
    if b"Security>" in body:
        body = b"\n".join(
            f"{element.tag!s} {sorted(map(str, element.attrib))} {len(element.text or '')}".encode()
            for element in parse(body, Limits()).iter()
        )
    return answer.status, answer.headers["Content-Type"], body


class Caller:
    """A client that talks to the service by hand.

    Args:
        service: whom it calls.
        name: which identity it has.
    """

    def __init__(self, service: Service, name: str = "client") -> None:
        self.service = service
        service.callers.append(self)
        self.conversation = conversation_policy(service.policy)
        self.environment = service.world.environment()
        self.initiator = Initiator(self.environment)
        self.ring = Keyring(
            signing=identity(name),
            decrypting=identity(name),
            peer=identity("server").certificate,
            signers=(identity("server").certificate,),
            trust=trust(),
            role="server",
        )

    # ------------------------------------------------------------------------------------------- trust

    def ask(self) -> Exchange:
        """A request for a context."""
        return self.initiator.ask_issue(ENDPOINT, self.conversation, self.ring, DIALECT)

    def bootstrap(self, *, path: str = "/peer") -> SecurityContext:
        """A context of its own."""
        exchange = self.ask()
        answer = self.service.post(serialize(exchange.soap.envelope), path=path)
        context = self.initiator.accept_issue(exchange, Soap.of(parse(answer.body, Limits())), DIALECT)
        assert isinstance(context, SecurityContext), answer.body
        self.service.world.vault.add(context.key.secret)
        return context

    def trust_message(
        self,
        content: str,
        action: str,
        *,
        context: SecurityContext | None = None,
        policy: Policy | None = None,
    ) -> Message:
        """A request to the trust service with a content of one's own, under the bootstrap or a context."""
        if policy is None:
            policy = (
                self.conversation.bootstrap.request if context is None else self.conversation.cancel.request
            )
        return self._protected(content, action, policy, context)[0]

    # -------------------------------------------------------------------------------------- application

    def message(
        self,
        context: SecurityContext,
        content: str = f'<p:echo xmlns:p="{NAMESPACE}"><p:text>hello</p:text></p:echo>',
        *,
        action: str = f"{NAMESPACE}:echo",
        policy: Policy | None = None,
        headers: str = "",
    ) -> Message:
        """A request to the application."""
        policy = policy or self.service.policy.operations["echo"].request
        return self._protected(content, action, policy, context, headers=headers)[0]

    def echo(self, context: SecurityContext) -> str:
        """What a call of echo answers."""
        action = f"{NAMESPACE}:echo"
        operation = self.service.policy.operations["echo"]
        content = f'<p:echo xmlns:p="{NAMESPACE}"><p:text>hello</p:text></p:echo>'
        message, request = self._protected(content, action, operation.request, context)
        reply = self.read(self.service.post(message), request, operation.response)
        assert reply.soap.payload is not None
        return reply.soap.payload[0].text or ""

    def read(self, answer: Answer, request: Protected, policy: Policy) -> Reply:
        """Check an answer as a client does."""
        assert request.context is not None
        return read_reply(
            Soap.of(parse(answer.body, Limits())),
            policy,
            replace(self.ring, context=request.context),
            self.environment,
            request=request,
            seen=None,
        )

    def _protected(
        self, content: str, action: str, policy: Policy, context: SecurityContext | None, *, headers: str = ""
    ) -> tuple[Message, Protected]:
        soap = new_envelope(NS["soap"])
        soap.body.append(element(content))
        if headers:
            soap.need_header().extend(list(element(f"<x>{headers}</x>")))
        message_id = address_request(
            soap, wsa=NS["wsa"], to=ENDPOINT, action=action, random=self.environment.random
        )
        ring = self.ring if context is None else replace(self.ring, context=context.key)
        request = protect(
            soap, policy, ring, self.environment, direction=Direction.REQUEST, message_id=message_id
        )
        return Message(serialize(soap.envelope)), request


__all__ = ["Caller", "Service", "VerificationError", "endpoint_policy", "outward"]
