"""WSGI middleware that puts secure conversation in front of any SOAP application."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from ..clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, RandomBytes
from ..conversation.issuer import RequestRefused
from ..conversation.store import Store
from ..conversation.store.memory import MemoryStore
from ..environment import Environment
from ..errors import ConfigurationError, LimitExceeded, SecureConversationError, VerificationError
from ..limits import Limits
from ..names import SOAP11, WSSE, WSU
from ..policy.algorithms import Algorithms
from ..policy.files import PolicySource, load_policies
from ..policy.model import EndpointPolicy
from ..soap.envelope import Soap, content_type, parse, serialize
from ..soap.faults import make_fault
from ..wss.certificates import Trust
from ..wss.keys import Identity, Keyring
from .authentication import Authenticate, Authentication
from .endpoint import Answer, Called, Endpoint, Request

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
USERNAME = "zeep_secureconv.username"

#: What every failure of a check looks like from outside.
_REFUSED = (f"{{{WSSE}}}InvalidSecurity", "An error was discovered processing the <wsse:Security> header.")
#: What a wrong password looks like: who comes that far has passed every other check (WSS 1.1, section 12).
_UNAUTHENTICATED = (
    f"{{{WSSE}}}FailedAuthentication",
    "The security token could not be authenticated or authorized.",
)


class SecureConversationMiddleware:
    """Protects a WSGI SOAP application with secure conversation.

    Requests for security contexts are answered here, as if the application's endpoint gave the answer. Everything
    else is verified and decrypted; the application sees clear SOAP, and its answers and faults are protected.
    In its environment are ``zeep_secureconv.principal`` (whose the context is: the subject of the client's
    certificate, or the name of the user who asked for it; None where the policy does not want to know),
    ``zeep_secureconv.username`` (the user whom the call itself names, where its policy wants that; otherwise None),
    ``zeep_secureconv.context`` (the :class:`SecurityContext`) and ``zeep_secureconv.action`` (the wsa:Action that was
    signed; SOAPAction is set to the same). GET, HEAD and OPTIONS go to the application without their
    bodies; every other method is taken for a message.

    Args:
        app: the application.
        policy: path of a WSDL or wsp:Policy file, name of a preset, or a policy, or its alternatives in a tuple. Every
            alternative is accepted.
        identity: the service's certificate and key, or a pair (for signing, for encryption); not needed where TLS does
            everything.
        trust: whose clients to believe, where they have certificates.
        authenticate: checks user names and tokens, where the policy wants them: an object with the methods
            ``check(name, password)`` or ``password(name)``, and ``token(received)``.
        algorithms: what was agreed on besides the policy, and how weak algorithms may be.
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
        policy: PolicySource | tuple[EndpointPolicy, ...],
        identity: Identity | tuple[Identity, Identity] | None = None,
        trust: Trust | None = None,
        authenticate: Authenticate | None = None,
        algorithms: Algorithms | None = None,
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
        limits, agreed = limits or Limits(), algorithms or Algorithms()
        self._app = app
        self._environment = Environment(clock=clock, random=random, limits=limits, clock_skew=clock_skew)
        signing, decrypting = identity if isinstance(identity, tuple) else (identity, identity)
        self._store: Store = store if store is not None else MemoryStore(limits.contexts, clock=clock)
        self._endpoint = Endpoint(
            tuple(map(agreed.apply, policy if isinstance(policy, tuple) else load_policies(policy))),
            Keyring(signing=signing, decrypting=decrypting, trust=trust, role="client"),
            Authentication(authenticate),
            self._store,
            self._environment,
            name=endpoint,
            lifetime=lifetime,
        )

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request."""
        if environ.get("REQUEST_METHOD") in _READING:
            return self._app(_without_message(environ), start_response)
        version = self._endpoint.soap or SOAP11
        try:
            body = _read(environ, self._environment.limits)
            soap = Soap.of(parse(body, self._environment.limits))
            version = soap.version
            request = Request(
                body=body,
                soap=soap,
                action=_soap_action(environ),
                path=environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
                over_tls=environ.get("wsgi.url_scheme") == "https",
                # as Apache, nginx and cheroot say it; what clients write into HTTP headers has other names
                client_certificate=environ.get("SSL_CLIENT_VERIFY") == "SUCCESS",
                authentication=environ.get("AUTH_TYPE", "").lower() if environ.get("REMOTE_USER") else None,
            )
            answer = self._endpoint.answer(request, lambda called: self._run(called, environ))
        except SecureConversationError as error:
            answer = Answer(status=500, soap=self._fault(version, error))
        return _send(answer, version, start_response)

    def _run(self, called: Called, environ: Environ) -> tuple[int, Soap | None]:
        """Run the application with the clear message; (HTTP status, its answer)."""
        clear = called.verified.soap
        for block in clear.blocks():
            if block.tag == f"{{{WSSE}}}Security" and clear.header is not None:
                clear.header.remove(block)
        for element in called.verified.signed:
            if element is not clear.body:
                # a path had it signed; schemas of applications know no such attribute
                element.attrib.pop(f"{{{WSU}}}Id", None)
        body = serialize(clear.envelope)
        inner = {
            **environ,
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": content_type(clear.version),
            "HTTP_SOAPACTION": f'"{called.action}"',
            "wsgi.input": _Input(body),
            PRINCIPAL: called.context.principal,
            USERNAME: called.username,
            CONTEXT: called.context,
            ACTION: called.action,
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
            log.error(
                "the application answered %s with something that is no SOAP: %s", called.action, error.message
            )
            text = "The service failed."
            return 500, make_fault(clear.version, code=f"{{{clear.version}}}Server", text=text, sender=False)

    def _fault(self, version: str, error: SecureConversationError) -> Soap:
        """The one answer to whatever was refused; the log says more, under the number that the answer carries."""
        number = secrets.token_hex(4)
        check = getattr(error, "check", type(error).__name__)
        log.warning("refused [%s] %s: %s", number, check, error.message)
        code, text = _REFUSED
        if check == "context":
            code = f"{{{self._endpoint.conversation.application.wsc}}}BadContextToken"
            text = "The requested context elements are insufficient or unsupported."
        elif check == "authentication":
            code, text = _UNAUTHENTICATED
        elif isinstance(error, RequestRefused):
            code, text = f"{{{self._endpoint.conversation.wst}}}{error.code}", "The request was refused."
        return make_fault(version, code=code, text=f"{text} [{number}]")


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


def _send(answer: Answer, version: str, start_response: StartResponse) -> list[bytes]:
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
