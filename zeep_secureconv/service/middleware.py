"""WSGI middleware that puts secure conversation in front of any SOAP application."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from ..clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, RandomBytes
from ..conversation.store import Store
from ..conversation.store.memory import MemoryStore
from ..conversation.terms import KeyEntropy, Terms
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
from .authorization import Authorize
from .endpoint import Endpoint
from .messages import Answer, Called, Request
from .system import SystemPolicies

log = logging.getLogger("zeep_secureconv.service")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApplication = Callable[[Environ, StartResponse], Iterable[bytes]]

#: Methods that go to the application without security. Case counts in HTTP, but some frameworks fold it.
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

#: How the message was sent; the application gets it in the clear, and as a whole.
_OF_ENCODING = frozenset({"HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_ENCODING"})

_PHRASES = {status.value: status.phrase for status in HTTPStatus}

#: Of a length that may be read.
_DIGITS = 18

#: What ``tolerate=`` may name.
_TOLERABLE = frozenset({"cxf"})

PRINCIPAL = "zeep_secureconv.principal"
CONTEXT = "zeep_secureconv.context"
ACTION = "zeep_secureconv.action"
USERNAME = "zeep_secureconv.username"


class SecureConversationMiddleware:
    """Protects a WSGI SOAP application with secure conversation.

    Requests for security contexts are answered here, as if the application's endpoint gave the answer. Everything
    else is verified and decrypted; the application sees clear SOAP, and its answers and faults are protected.
    In its environment are ``zeep_secureconv.principal`` (whose the context is: the subject of the client's
    certificate, or the name of the user who asked for it; None where the policy does not want to know),
    ``zeep_secureconv.username`` (the user whom the call itself names, where its policy wants that; otherwise None),
    ``zeep_secureconv.context`` (the :class:`SecurityContext`) and ``zeep_secureconv.action`` (the wsa:Action that was
    signed, "" where none was and no WSDL says what the Body means; SOAPAction is set to the same). GET, HEAD and
    OPTIONS go to the application without their bodies; every other method is taken for a message, and is POST to the
    application. Of the application's answer the status and the message go on, its headers do not.

    Args:
        app: the application.
        policy: path of a WSDL or wsp:Policy file, name of a preset, or a policy, or its alternatives in a tuple. Every
            alternative is accepted.
        identity: the service's certificate and key, or a pair (for signing, for encryption); not needed where TLS does
            everything.
        trust: whose clients to believe, where they have certificates.
        authenticate: checks user names and tokens, where the policy wants them: an object with the methods
            ``check(name, password)`` or ``password(name)``, and ``token(received)``.
        authorize: says who may do what: a function that is called with an
            :class:`~zeep_secureconv.service.authorization.Access` before a context is issued, renewed, cancelled or
            validated, and before each call, and allows it with True. Anything else is refused with a secured fault:
            wsse:FailedAuthentication, for calls Client (SOAP 1.1) or Sender (1.2). What it raises goes to the server,
            as what the application raises does, and nothing was done then.
        system_policies: how requests to the trust service itself are secured: a mapping from "issue", "renew",
            "cancel" and "validate" to what *policy* takes. Without it, WebSphere's defaults hold: issue and renew by
            the BootstrapPolicy, cancel and validate by the context. A policy for the first two must be the
            BootstrapPolicy, one for the others must be for its contexts. Of a policy that asks for secure conversation
            itself, such as the presets TrustServiceSecurityDefault and TrustServiceSymmetricDefault, its
            BootstrapPolicy counts for the first two, and the rest for the others.
        algorithms: what was agreed on besides the policy, and how weak algorithms may be.
        store: where contexts are kept; in memory by default.
        endpoint: what contexts are bound to; by default the path of each request. AppliesTo in a request for a context
            must name that path, on whatever host, or this: give the public URL where a proxy changes paths.
        lifetime: how long a context lives at most: WebSphere's "token timeout". Seconds are possible.
        minimum_lifetime: how long it lives at least where a client asks for less; a shorter *lifetime* is the minimum
            itself.
        renew_after_expiry: whether a context that is over may be renewed: WebSphere's "allow renewal after timeout".
            Metro's client renews no sooner, CXF's neither.
        keep_after_expiry: for how long after its end: WebSphere's "time in cache after expiration".
        allow_200502: whether requests in the draft version of February 2005 are answered where the policy is of the
            standard, as WebSphere's "Tolerate Secure Conversation Token v200502".
        key_entropy: whose entropy makes the keys of contexts: "both", "service" or "client".
        key_size: length of these keys, in bytes; by default what a client asks for, within the algorithm suite.
        tolerate: names of stacks whose clients are met halfway. "cxf": a context is cancelled by whom it belongs to
            without the context's own key, as CXF's client does it.
        clock_skew: how far a client's clock may be off.
        limits: bounds on what a client may send.
        clock, random: time and randomness, for tests.

    Raises:
        ConfigurationError: when something is missing.
        PolicyError: when the policy asks for no secure conversation, or for what is not supported; when a system policy
            does not fit it, saying where they differ.
    """

    def __init__(
        self,
        app: WsgiApplication,
        *,
        policy: PolicySource | tuple[EndpointPolicy, ...],
        identity: Identity | tuple[Identity, Identity] | None = None,
        trust: Trust | None = None,
        authenticate: Authenticate | None = None,
        authorize: Authorize | None = None,
        system_policies: SystemPolicies | None = None,
        algorithms: Algorithms | None = None,
        store: Store | None = None,
        endpoint: str | None = None,
        lifetime: timedelta = timedelta(minutes=120),
        minimum_lifetime: timedelta = timedelta(minutes=10),
        renew_after_expiry: bool = False,
        keep_after_expiry: timedelta = timedelta(minutes=120),
        allow_200502: bool = True,
        key_entropy: KeyEntropy = "both",
        key_size: int | None = None,
        tolerate: Collection[str] = (),
        clock_skew: timedelta = timedelta(minutes=3),
        limits: Limits | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: RandomBytes = SYSTEM_RANDOM,
    ) -> None:
        terms = Terms(
            lifetime=lifetime,
            minimum_lifetime=minimum_lifetime,
            renew_after_expiry=renew_after_expiry,
            keep_after_expiry=keep_after_expiry,
            allow_200502=allow_200502,
            key_entropy=key_entropy,
            key_size=key_size,
        )
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
            terms=terms,
            tolerate=_tolerated(tolerate),
            authorize=authorize,
            system_policies=system_policies,
            algorithms=agreed,
        )

    def change_trust(self, trust: Trust) -> None:
        """Believe others from the next message on: with newer lists of revoked certificates, or other authorities.

        Contexts that were issued live on; ``authorize=`` may refuse them.

        Args:
            trust: whose clients to believe, in the place of what was given at the start.
        """
        self._endpoint.change_trust(trust)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request."""
        if environ.get("REQUEST_METHOD") in _READING:
            return self._app(_without_message(environ), start_response)
        taken = self._take(environ)
        if isinstance(taken, Called):
            # what the application raises is its server's business
            taken = self._respond(taken, *self._run(taken, environ))
        return _send(taken, start_response)

    def _take(self, environ: Environ) -> Answer | Called:
        """The message of a request, checked: the call that it is, or its answer where it is none."""
        version, request = self._endpoint.soap or SOAP11, None
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
                environ=environ,
            )
            return self._endpoint.take(request)
        except SecureConversationError as error:
            return self._endpoint.refuse(error, version, request)

    def _respond(self, called: Called, status: int, reply: Soap | None) -> Answer:
        try:
            return called.respond(status, reply)
        except SecureConversationError as error:
            return self._endpoint.refuse(error, called.verified.soap.version, None)

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
            **_without_overrides(environ),
            # whatever somebody on the way made of it: no signature covers the method
            "REQUEST_METHOD": "POST",
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": content_type(clear.version),
            "HTTP_SOAPACTION": f'"{called.action}"',
            "wsgi.input": io.BytesIO(body),
            PRINCIPAL: called.context.principal,
            USERNAME: called.username,
            CONTEXT: called.context,
            ACTION: called.action,
        }
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


def _tolerated(names: Collection[str]) -> frozenset[str]:
    unknown = {names} if isinstance(names, str) else set(names) - _TOLERABLE
    if unknown:
        raise ConfigurationError(
            f"tolerate= has {', '.join(sorted(map(repr, unknown)))}, which is nothing to tolerate",
            hint=f"give a set of names out of: {', '.join(sorted(_TOLERABLE))}",
        )
    return frozenset(names)


def _without_message(environ: Environ) -> Environ:
    """A request that reads, with nothing in it that an application could take for a message."""
    return {**_without_overrides(environ), "CONTENT_LENGTH": "0", "wsgi.input": io.BytesIO(b"")}


def _without_overrides(environ: Environ) -> Environ:
    """An environment without the headers that make a message, or a method, another one.

    Frameworks know some by which a GET counts as a POST, and the other way round.
    """
    return {
        name: value
        for name, value in environ.items()
        if "METHOD_OVERRIDE" not in name and name not in _OF_ENCODING
    }


def _read(environ: Environ, limits: Limits) -> bytes:
    """The body of an HTTP request, within bounds; chunked bodies end by themselves."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isascii() and length.isdigit():
        # more digits than that Python may refuse to read, and they are too many in any case
        size = int(length[-_DIGITS:]) if len(length.lstrip("0")) <= _DIGITS else limits.message_bytes + 1
    else:
        # without a length only a server that ends the input itself can be read to its end (PEP 3333 is silent)
        size = limits.message_bytes + 1 if environ.get("wsgi.input_terminated") else 0
    if length and size > limits.message_bytes:
        raise LimitExceeded("message-size", f"The message is longer than {limits.message_bytes} bytes")
    data: bytes = environ["wsgi.input"].read(size)
    return data


def _send(answer: Answer, start_response: StartResponse) -> list[bytes]:
    body = serialize(answer.soap.envelope) if answer.soap is not None else b""
    headers = [("Content-Length", str(len(body))), *answer.headers]
    if answer.soap is not None:
        headers.append(("Content-Type", content_type(answer.soap.version)))
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
