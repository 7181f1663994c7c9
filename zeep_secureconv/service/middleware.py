"""WSGI middleware that puts secure conversation in front of any SOAP application."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from ..clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, RandomBytes
from ..conversation.context import SecurityContext
from ..conversation.issuer import Issuer, Principal, RequestRefused
from ..conversation.policies import ConversationPolicy, conversation_policy
from ..conversation.store import Store
from ..conversation.store.memory import MemoryStore
from ..environment import Environment
from ..errors import (
    ConfigurationError,
    LimitExceeded,
    PolicyError,
    SecureConversationError,
    VerificationError,
)
from ..limits import Limits
from ..names import SOAP11, WSSE
from ..policy.files import PolicySource, load_policy
from ..policy.model import Direction, HeaderPart, OperationPolicy, Parts, Policy
from ..policy.support import supported
from ..soap.addressing import ANONYMOUS, FAULT_ACTION, address_reply, read_addressing
from ..soap.envelope import Soap, content_type, new_envelope, parse, serialize
from ..soap.faults import make_fault
from ..trust import Dialect, RequestType, action_of, request_from_xml, response_to_xml
from ..wss.certificates import Trust, holder
from ..wss.keys import ContextKey, Identity, Keyring
from ..wss.protect import protect
from ..wss.seen import SeenSignatures
from ..wss.unprotect import Verified, unprotect

log = logging.getLogger("zeep_secureconv.service")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApplication = Callable[[Environ, StartResponse], Iterable[bytes]]

#: Methods that go to the application without security. Case counts in HTTP, but some frameworks fold it.
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

_PHRASES = {status.value: status.phrase for status in HTTPStatus}

PRINCIPAL = "zeep_secureconv.principal"
CONTEXT = "zeep_secureconv.context"
ACTION = "zeep_secureconv.action"

#: What every failure of a check looks like from outside.
_REFUSED = (f"{{{WSSE}}}InvalidSecurity", "An error was discovered processing the <wsse:Security> header.")


@dataclass(frozen=True)
class _Answer:
    """An HTTP answer that is SOAP."""

    status: int
    soap: Soap | None


class SecureConversationMiddleware:
    """Protects a WSGI SOAP application with secure conversation.

    Requests for security contexts are answered here, as if the application's endpoint gave the answer. Everything
    else is verified and decrypted; the application sees clear SOAP, and its answers and faults are protected.
    In its environment are ``zeep_secureconv.principal`` (subject of the client's certificate),
    ``zeep_secureconv.context`` (the :class:`SecurityContext`) and ``zeep_secureconv.action`` (the wsa:Action that was
    signed; SOAPAction is set to the same). GET, HEAD and OPTIONS go to the application without their
    bodies; every other method is taken for a message.

    Args:
        app: the application.
        policy: path of a WSDL or wsp:Policy file, or a policy.
        identity: the service's certificate and key, or a pair (for signing, for encryption).
        trust: whose clients to believe.
        store: where contexts are kept; in memory by default.
        endpoint: what contexts are bound to; by default the path that the application is mounted at.
        lifetime: how long a context lives at most.
        clock_skew: how far a client's clock may be off.
        limits: bounds on what a client may send.
        clock, random: time and randomness, for tests.

    Raises:
        ConfigurationError: when something is missing.
        PolicyError: when the policy asks for no secure conversation, or for what is not supported.
    """

    def __init__(
        self,
        app: WsgiApplication,
        *,
        policy: PolicySource,
        identity: Identity | tuple[Identity, Identity],
        trust: Trust,
        store: Store | None = None,
        endpoint: str | None = None,
        lifetime: timedelta = timedelta(minutes=120),
        clock_skew: timedelta = timedelta(minutes=3),
        limits: Limits | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: RandomBytes = SYSTEM_RANDOM,
    ) -> None:
        if lifetime <= timedelta(0):
            raise ConfigurationError("lifetime= must be positive", hint="give timedelta(minutes=120)")
        limits = limits or Limits()
        self._app = app
        self._environment = Environment(clock=clock, random=random, limits=limits, clock_skew=clock_skew)
        self._policy = load_policy(policy)
        self._conversation: ConversationPolicy = conversation_policy(self._policy)
        self._refuse_open_operations()
        signing, decrypting = identity if isinstance(identity, tuple) else (identity, identity)
        self._keyring = Keyring(signing=signing, decrypting=decrypting, trust=trust, role="client")
        self._endpoint = endpoint
        self._lifetime = lifetime
        self._store: Store = store if store is not None else MemoryStore(limits.contexts, clock=clock)
        self._seen = SeenSignatures(200_000)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request."""
        if environ.get("REQUEST_METHOD") in _READING:
            return self._app(_without_message(environ), start_response)
        version = self._policy.soap or SOAP11
        try:
            soap = Soap.of(parse(_read(environ, self._environment.limits), self._environment.limits))
            version = soap.version
            answer = self._answer(soap, environ)
        except SecureConversationError as error:
            answer = _Answer(500, self._fault(version, error))
        return _send(answer, version, start_response)

    # ------------------------------------------------------------------------------------- dispatch

    def _answer(self, soap: Soap, environ: Environ) -> _Answer:
        if self._policy.soap is not None and soap.version != self._policy.soap:
            raise VerificationError("soap-version", "The message has another SOAP version than the policy")
        addressing = read_addressing(soap)
        action = addressing.action or _soap_action(environ) or ""
        if _soap_action(environ) not in (None, "", action):
            raise VerificationError("action", "SOAPAction and wsa:Action differ")
        for address in (addressing.reply_to, addressing.fault_to):
            if address is not None and address not in ANONYMOUS.values():
                raise VerificationError("reply-to", "Answers are sent to the anonymous address only")
        issuer = self._issuer(environ)
        asked = action_of(action)
        if asked is not None:
            return self._trust(soap, issuer, *asked)
        return self._call(soap, action, issuer, environ)

    def _issuer(self, environ: Environ) -> Issuer:
        endpoint = self._endpoint or environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        return Issuer(endpoint, self._conversation, self._store, self._environment, lifetime=self._lifetime)

    # ---------------------------------------------------------------------------------- trust service

    def _trust(self, soap: Soap, issuer: Issuer, kind: RequestType, dialect: Dialect) -> _Answer:
        handlers = {
            RequestType.ISSUE: self._issue,
            RequestType.RENEW: self._issue,
            RequestType.CANCEL: self._cancel,
        }
        handler = handlers.get(kind)
        if handler is None:
            raise RequestRefused("InvalidRequest", "Validation of contexts is not offered")
        return handler(soap, issuer, kind, dialect)

    def _issue(self, soap: Soap, issuer: Issuer, kind: RequestType, dialect: Dialect) -> _Answer:
        """Issue and renew: secured both ways as the bootstrap policy says."""
        policy = self._conversation.bootstrap.request
        ring = replace(self._keyring, lookup=_lookup(issuer))
        verified = self._unprotect(soap, policy, ring)
        signer = verified.signer
        if signer is None or verified.soap.payload is None:
            raise VerificationError("signer", "The request is not signed with a certificate")
        principal = Principal(name=signer.subject.rfc4514_string() or "anonymous", owner=holder(signer))
        request = request_from_xml(verified.soap.payload, self._environment.limits)
        _same_generation(request.wst, dialect)
        act = issuer.issue if kind is RequestType.ISSUE else issuer.renew
        issued = act(request, principal)
        log.info("%s %s for %s", kind.value, issued.context.identifier, principal.name)
        reply = new_envelope(verified.soap.version)
        reply.body.append(response_to_xml(issued.response, dialect, kind))
        ring = replace(self._keyring, peer=signer)
        return self._secure(reply, policy, ring, verified, dialect.action(kind, Direction.RESPONSE))

    def _cancel(self, soap: Soap, issuer: Issuer, kind: RequestType, dialect: Dialect) -> _Answer:
        """Cancel: secured by the context itself."""
        policy = self._conversation.cancel.request
        verified = self._unprotect(soap, policy, replace(self._keyring, lookup=_lookup(issuer)))
        context = _context_of(verified, issuer)
        if verified.soap.payload is None:
            raise VerificationError("trust-message", "The request is empty")
        request = request_from_xml(verified.soap.payload, self._environment.limits)
        _same_generation(request.wst, dialect)
        response = issuer.cancel(request, context)
        log.info("Cancel %s for %s", context.identifier, context.principal)
        reply = new_envelope(verified.soap.version)
        reply.body.append(response_to_xml(response, dialect, kind))
        ring = replace(self._keyring, context=context.key)
        return self._secure(reply, policy, ring, verified, dialect.action(kind, Direction.RESPONSE))

    # ------------------------------------------------------------------------------------ application

    def _call(self, soap: Soap, action: str, issuer: Issuer, environ: Environ) -> _Answer:
        operation = self._operation(action)
        verified = self._unprotect(soap, operation.request, replace(self._keyring, lookup=_lookup(issuer)))
        context = _context_of(verified, issuer)
        if verified.addressing.action not in (None, action):
            # it was encrypted, and SOAPAction chose the policy
            raise VerificationError("action", "SOAPAction and wsa:Action differ")
        payload = verified.soap.payload
        tag = None if payload is None else payload.tag
        if self._policy.operations and tag != operation.input_element:
            # otherwise a message could be judged by the policy of one operation and run as another
            raise VerificationError("operation", "The Body is not that of the operation that Action names")
        status, reply = self._run(verified, action, context, environ)
        if reply is None:
            return _Answer(status, None)
        ring = replace(self._keyring, context=context.key)
        policy, reply_action = self._reply_policy(operation, reply)
        answer = self._secure(reply, policy, ring, verified, reply_action)
        return replace(answer, status=status)

    def _operation(self, action: str) -> OperationPolicy:
        for operation in self._policy.operations.values():
            if action in operation.actions:
                return operation
        if self._policy.operations:
            raise VerificationError("action", "No operation has this action")
        return self._policy.everywhere()

    def _run(
        self, verified: Verified, action: str, context: SecurityContext, environ: Environ
    ) -> tuple[int, Soap | None]:
        """Run the application with the clear message; (HTTP status, its answer)."""
        clear = verified.soap
        for block in clear.blocks():
            if block.tag == f"{{{WSSE}}}Security" and clear.header is not None:
                clear.header.remove(block)
        body = serialize(clear.envelope)
        inner = {
            **environ,
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": content_type(clear.version),
            "HTTP_SOAPACTION": f'"{action}"',
            "wsgi.input": _Input(body),
            PRINCIPAL: context.principal,
            CONTEXT: context,
            ACTION: action,
        }
        inner.pop("HTTP_TRANSFER_ENCODING", None)
        started: list[str] = []

        def start(
            status: str, _headers: list[tuple[str, str]], _exc_info: object = None
        ) -> Callable[[bytes], None]:
            started[:] = [status]
            return written.append

        written: list[bytes] = []
        chunks = self._app(inner, start)
        try:
            written.extend(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        content = b"".join(written)
        status = int(started[0].split(" ", 1)[0])
        if not content:
            return status, None
        try:
            return status, Soap.of(parse(content, self._environment.limits))
        except VerificationError as error:
            log.error("the application answered %s with something that is no SOAP: %s", action, error.message)
            text = "The service failed."
            return 500, make_fault(clear.version, code=f"{{{clear.version}}}Server", text=text, sender=False)

    def _reply_policy(self, operation: OperationPolicy, reply: Soap) -> tuple[Policy, str | None]:
        """(policy, action) of what the application answered."""
        actions = self._policy.response_actions
        if not reply.is_fault():
            return operation.response, actions.get(f"{operation.name}:output")
        payload = reply.payload
        detail = None
        if payload is not None:
            holders = [child for child in payload if str(child.tag).rpartition("}")[2].lower() == "detail"]
            detail = (
                next((child.tag for child in holders[0] if isinstance(child.tag, str)), None)
                if holders
                else None
            )
        policy = operation.faults.get(str(detail), operation.fault)
        local = str(detail).rpartition("}")[2]
        return _signed_fault(policy, self._conversation.wsa), actions.get(f"{operation.name}:fault:{local}")

    # --------------------------------------------------------------------------------------- security

    def _unprotect(self, soap: Soap, policy: Policy, ring: Keyring) -> Verified:
        return unprotect(soap, policy, ring, self._environment, seen=self._seen)

    def _secure(
        self, reply: Soap, policy: Policy, ring: Keyring, verified: Verified, action: str | None
    ) -> _Answer:
        request = verified.addressing
        wsa = request.wsa or self._conversation.wsa
        address_reply(
            reply,
            wsa=wsa,
            action=action or (FAULT_ACTION[wsa] if reply.is_fault() else (request.action or "") + "Response"),
            relates_to=request.message_id,
            random=self._environment.random,
        )
        protect(
            reply,
            policy,
            ring,
            self._environment,
            direction=Direction.RESPONSE,
            confirm=verified.signature_values,
            seen=self._seen,
        )
        return _Answer(200, reply)

    def _fault(self, version: str, error: SecureConversationError) -> Soap:
        """The one answer to whatever was refused; the log says more, under the number that the answer carries."""
        number = secrets.token_hex(4)
        check = getattr(error, "check", type(error).__name__)
        log.warning("refused [%s] %s: %s", number, check, error.message)
        code, text = _REFUSED
        if check == "context":
            code = f"{{{self._conversation.application.wsc}}}BadContextToken"
            text = "The requested context elements are insufficient or unsupported."
        elif isinstance(error, RequestRefused):
            code, text = f"{{{self._conversation.wst}}}{error.code}", "The request was refused."
        return make_fault(version, code=code, text=f"{text} [{number}]")

    def _refuse_open_operations(self) -> None:
        for operation in self._policy.operations.values():
            if operation.request.binding is None or operation.response.binding is None:
                raise PolicyError(
                    f"The policy of operation {operation.name} secures nothing",
                    hint="attach the policy to the binding, or serve that operation elsewhere",
                )
            supported(operation.request)
            supported(operation.response)


def _without_message(environ: Environ) -> Environ:
    """A request that reads, with nothing in it that an application could take for a message.

    Frameworks know headers by which a GET counts as a POST.
    """
    kept = {name: value for name, value in environ.items() if "METHOD_OVERRIDE" not in name}
    kept.pop("HTTP_TRANSFER_ENCODING", None)
    return {**kept, "CONTENT_LENGTH": "0", "wsgi.input": _Input(b"")}


class _Input:
    """wsgi.input with the clear message."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._body) if size is None or size < 0 else self._at + size
        piece, self._at = self._body[self._at : end], min(end, len(self._body))
        return piece


def _read(environ: Environ, limits: Limits) -> bytes:
    """The body of an HTTP request, within bounds; chunked bodies end by themselves."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isascii() and length.isdigit():
        size = int(length)
    else:
        # without a length only a server that ends the input itself can be read to its end (PEP 3333 is silent)
        size = limits.message_bytes + 1 if environ.get("wsgi.input_terminated") else 0
    if length and size > limits.message_bytes:
        raise LimitExceeded("message-size", f"The message is longer than {limits.message_bytes} bytes")
    data: bytes = environ["wsgi.input"].read(size)
    return data


def _send(answer: _Answer, version: str, start_response: StartResponse) -> list[bytes]:
    body = serialize(answer.soap.envelope) if answer.soap is not None else b""
    headers = [("Content-Length", str(len(body)))]
    if body:
        headers.append(("Content-Type", content_type(version)))
    start_response(f"{answer.status} {_PHRASES.get(answer.status, 'Answer')}", headers)
    return [body]


def _soap_action(environ: Environ) -> str | None:
    """SOAPAction of SOAP 1.1, or the action parameter of SOAP 1.2's Content-Type."""
    value: str | None = environ.get("HTTP_SOAPACTION")
    if value is None:
        for parameter in (environ.get("CONTENT_TYPE") or "").split(";")[1:]:
            name, _, text = parameter.partition("=")
            if name.strip().lower() == "action":
                value = text
    return value.strip().strip('"') if value is not None else None


def _lookup(issuer: Issuer) -> Callable[[str, str | None], ContextKey | None]:
    def find(identifier: str, instance: str | None) -> ContextKey | None:
        context = issuer.find(identifier, instance)
        return context.key if context is not None else None

    return find


def _context_of(verified: Verified, issuer: Issuer) -> SecurityContext:
    """The context that secured a message."""
    key = verified.context
    context = issuer.find(key.identifier, key.instance) if key is not None else None
    if context is None:
        raise VerificationError("context", "The context ended while its message was read")
    return context


def _same_generation(wst: str, dialect: Dialect) -> None:
    if wst != dialect.wst:
        raise RequestRefused("InvalidRequest", "Action and Body are of two generations of WS-Trust")


def _signed_fault(policy: Policy, wsa: str) -> Policy:
    """The policy of a fault, with Body and addressing signed.

    Many policies have no parts for faults, and such a fault would prove nothing to the client.
    """
    return replace(policy, signed=policy.signed | Parts(body=True, headers=(HeaderPart(namespace=wsa),)))
