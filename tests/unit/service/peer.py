"""A client of the middleware, and a small application behind it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tests.unit.messages import asymmetric, symmetric
from tests.unit.parties import Time, environment, identity, trust
from tests.unit.service.secured import Refusal, policies_of, read_refusal
from zeep_secureconv import Limits, Policy, SecurityContext
from zeep_secureconv.client.parties import Parties
from zeep_secureconv.conversation.initiator import Initiator
from zeep_secureconv.conversation.policies import conversation_policy, dialect_of
from zeep_secureconv.names import SOAP11, WSA_2005, WSSE
from zeep_secureconv.policy import Direction, EndpointPolicy
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.soap.addressing import address_request
from zeep_secureconv.soap.envelope import Soap, content_type, http_headers, parse, serialize
from zeep_secureconv.wss.credentials import Credential
from zeep_secureconv.wss.keys import Keyring
from zeep_secureconv.wss.protect import Protected, protect
from zeep_secureconv.wss.reply import Reply, read_reply

PATH = "/soap/peer"
URL = f"http://localhost{PATH}"
Environ = dict[str, Any]


class Application:
    """A SOAP application that answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Environ] = []
        self.messages: list[bytes] = []
        self.closed = 0
        self.status = "200 OK"
        self.answer: Callable[[Soap], bytes | None] = _echo

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        self.asked.append(environ)
        if environ["REQUEST_METHOD"] != "POST":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"hello"]
        self.messages.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        answer = self.answer(Soap.of(parse(self.messages[-1], Limits())))
        start_response(self.status, [("Content-Type", environ["CONTENT_TYPE"])])
        return _Chunks(self, [answer[:7], answer[7:]] if answer else [])


class _Chunks(list[bytes]):
    """An answer in pieces that wants to be closed."""

    def __init__(self, app: Application, pieces: list[bytes]) -> None:
        super().__init__(pieces)
        self._app = app

    def close(self) -> None:
        """Count it."""
        self._app.closed += 1


def _echo(soap: Soap) -> bytes:
    """The same Body, in an answer."""
    assert soap.payload is not None
    soap.payload.tag = f"{soap.payload.tag!s}Response"
    return serialize(soap.envelope)


class Peer:
    """A client that talks to the middleware through WSGI, and the middleware.

    Args:
        soap: version of SOAP.
        policy: the policy of both; by default the usual one.
        published: where the service accepts more than that one, the alternatives.
        name: whose identity the client has.
        tokens: what else the client proves itself with.
        https: whether both talk over TLS.
        options: further arguments of the middleware.
    """

    def __init__(
        self,
        *,
        soap: str = SOAP11,
        policy: EndpointPolicy | None = None,
        published: tuple[EndpointPolicy, ...] | None = None,
        name: str = "client",
        tokens: tuple[Credential, ...] = (),
        https: bool = False,
        **options: Any,
    ) -> None:
        self.time = Time()
        self.scheme = "https" if https else "http"
        self.environment = environment(time=self.time)
        self.policy = policy or EndpointPolicy(endpoint=symmetric(bootstrap=asymmetric()), soap=soap)
        self.conversation = conversation_policy(self.policy)
        self.dialect = dialect_of(self.conversation)
        self.app = Application()
        usual: dict[str, Any] = {
            "policy": published or self.policy,
            "identity": identity("server"),
            "trust": trust(),
            "clock": self.time.clock,
        }
        self.middleware = SecureConversationMiddleware(self.app, **(usual | options))
        server = identity("server").certificate
        self.ring = Keyring(
            signing=identity(name),
            decrypting=identity(name),
            peer=server,
            signers=(server,),
            trust=trust(),
            role="server",
            tokens=tokens,
            password_of=Parties.of(None, None, None, tokens=tokens).keyring(URL).password_of,
            over_tls=https,
        )
        self.initiator = Initiator(self.environment)

    def post(self, body: bytes, action: str = "", **environ: Any) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, content) of the answer to a POST; *environ* changes the request, None takes a key out."""
        usual: Environ = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "/soap",
            "PATH_INFO": "/peer",
            "wsgi.url_scheme": self.scheme,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        for name, value in http_headers(self.conversation.soap, action).items():
            key = name.upper().replace("-", "_")
            usual[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        whole = {key: value for key, value in (usual | environ).items() if value is not None}
        started: list[Any] = []
        content = b"".join(self.middleware(whole, lambda *arguments: started.append(arguments)))
        ((status, headers),) = started
        assert dict(headers)["Content-Length"] == str(len(content))
        return int(status.split(" ")[0]), dict(headers), content

    def ask(self) -> bytes:
        """A request for a context, as it is sent."""
        self.exchange = self.initiator.ask_issue(URL, self.conversation, self.ring, self.dialect)
        return serialize(self.exchange.soap.envelope)

    def issue(self) -> SecurityContext:
        """A context."""
        body = self.ask()
        exchange = self.exchange
        status, _, content = self.post(body, exchange.action)
        assert status == 200, content
        context = self.initiator.accept_issue(exchange, Soap.of(parse(content, Limits())), self.dialect)
        assert isinstance(context, SecurityContext)
        return context

    def secured(
        self,
        context: SecurityContext,
        content: str = "<a/>",
        *,
        action: str = "urn:test:a",
        headers: str = "",
        wsa: str = WSA_2005,
        policy: Policy | None = None,
    ) -> tuple[Soap, Protected]:
        """A request under a context."""
        version = self.conversation.soap
        text = f'<s:Envelope xmlns:s="{version}"><s:Header>{headers}</s:Header><s:Body>{content}</s:Body></s:Envelope>'
        soap = Soap.of(parse(text.encode(), Limits()))
        message_id = address_request(soap, wsa=wsa, to=URL, action=action, random=self.environment.random)
        sent = protect(
            soap,
            policy or self.conversation.application,
            replace(self.ring, context=context.key),
            self.environment,
            direction=Direction.REQUEST,
            message_id=message_id,
        )
        return soap, sent

    def call(self, context: SecurityContext, content: str = "<a/>", **options: Any) -> tuple[int, Reply]:
        """(HTTP status, the answer, verified) of a call."""
        soap, sent = self.secured(context, content, **options)
        status, headers, answer = self.post(serialize(soap.envelope), options.get("action", "urn:test:a"))
        assert headers["Content-Type"] == content_type(self.conversation.soap)
        return status, self.read(answer, context, sent)

    def read(self, answer: bytes, context: SecurityContext, sent: Protected) -> Reply:
        """An answer, verified."""
        return read_reply(
            Soap.of(parse(answer, Limits())),
            self.conversation.application,
            replace(self.ring, context=context.key, ephemeral=sent.ephemeral),
            self.environment,
            request=sent,
            seen=None,
        )

    def refused(self, body: bytes, action: str = "urn:test:a", **environ: Any) -> str:
        """The code of the fault that a message is answered with; the application saw nothing of it."""
        return self.refusal(body, action, **environ).fault.code or ""

    def refusal(self, body: bytes, action: str = "urn:test:a", **environ: Any) -> Refusal:
        """The fault that a message is answered with, and what it proves; the application saw nothing of it."""
        before = len(self.app.asked)
        status, headers, content = self.post(body, action, **environ)
        assert status == 500
        assert headers["Content-Type"].startswith(content_type(self.conversation.soap).partition(";")[0])
        assert len(self.app.asked) == before
        policies, store = policies_of(self.conversation), self.middleware._store
        return read_refusal(content, body, policies, [self.ring], self.environment, store=store)


INVALID = f"{{{WSSE}}}InvalidSecurity"
