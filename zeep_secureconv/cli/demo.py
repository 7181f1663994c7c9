"""``zeep-secureconv demo``: a service and a client in one process, and what goes between them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import requests
import zeep
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from .. import SecureConversation, service
from ..service.contract import NAMESPACE
from ..service.pki import PASSWORD, make_pki
from ..service.server import HttpServer
from ..wss.certificates import Trust
from ..wss.keys import Identity
from .embedded import PATH, protected_service
from .failures import EXPLAINED, explain, report
from .progress import progress
from .wire import Exchange, Layout, Recorder, layout

_TEXT = "Grüße aus dem Gespräch ]]> \N{SNOWMAN}"
_CODE = "X-17"
_LIFETIME = timedelta(minutes=5)

_MIXED = (
    "The service's half comes back, encrypted to the client's certificate. Both sides mix the halves "
    "(P_SHA-1) and now share a key that was never sent."
)
#: Why a message looks as it does, by the end of its wsa:Action.
_WHY = {
    "/RST/SCT": "There is no security context yet, so the client asks for one. This message is secured with "
    "certificates (RSA), as the policy's BootstrapPolicy says; the client's half of a new secret is in it.",
    "/RSTR/SCT": _MIXED,
    "/RSTRC/IssueFinal": _MIXED,
    "/RST/SCT/Cancel": "The client is done and cancels the context. The request is signed with the context "
    "itself, which proves that its holder asks.",
    "/RSTR/SCT/Cancel": "The service has forgotten the context: its identifier is of no more use to anybody.",
    ":echo": "From here on no certificate is needed: signature (HMAC) and encryption (AES) use keys derived "
    "from the context with fresh nonces, so that no two messages share a key.",
    ":failFault": "A declared fault is a reply like any other, signed and encrypted: it can be trusted.",
}


@dataclass
class _Story:
    """What the client does, what is seen of it, and whether it is as it must be."""

    console: Console
    recorder: Recorder
    told: int = 0
    verified: list[tuple[str, bool]] = field(default_factory=list)

    def step(self, title: str, action: Callable[[], bool], claim: str) -> None:
        """Do one thing, tell the messages it led to, and note whether *claim* holds."""
        self.console.rule(Text(title, style="bold"), align="left")
        try:
            holds = action()
        except EXPLAINED as error:
            report(explain(error))
            holds = False
        for exchange in self.recorder.exchanges[self.told :]:
            self._tell(exchange)
        self.told = len(self.recorder.exchanges)
        self.check(claim, holds)

    def check(self, claim: str, holds: bool) -> None:
        """Note whether *claim* holds, and say so."""
        self.verified.append((claim, holds))
        mark = Text("verified: ", style="green") if holds else Text("NOT TRUE: ", style="bold red")
        self.console.print(mark + Text(claim))

    def _tell(self, exchange: Exchange) -> None:
        sent, received = layout(exchange.request), layout(exchange.response)
        self.console.print(_tree("→", sent, ""))
        self.console.print(_tree("←", received, f", HTTP {exchange.status}, {exchange.seconds * 1e3:.1f} ms"))


def _tree(arrow: str, message: Layout, more: str) -> Tree:
    tree = Tree(Text(f"{arrow} {message.action} ({message.size:,} bytes{more})", style="cyan"))
    for end, reason in _WHY.items():
        if message.action.endswith(end):
            tree.add(Text(reason, style="italic"))
    security = tree.add("wsse:Security")
    for line in message.security:
        security.add(Text(line))
    tree.add(Text(f"soap:Body: {message.body}"))
    return tree


@click.command(
    "demo",
    short_help="Show a secure conversation, told message by message.",
    epilog="""\b
Examples:
  zeep-secureconv demo
  zeep-secureconv demo > conversation.txt
""",
)
@click.pass_context
def demo(ctx: click.Context, /) -> None:
    """Run a service and a client on this machine and tell what goes over the wire, and why.

    Certificates are made in a temporary folder, the service listens on a free loopback port, and the client
    does what any zeep client does. The exit status is 0 only if everything that is claimed was verified.
    """
    console = Console(highlight=False)
    with TemporaryDirectory() as folder:
        keys = Path(folder)
        with progress("Making keys"):
            make_pki(keys)
        verified = _run(console, keys)
    console.rule(align="left")
    count = sum(holds for _, holds in verified)
    console.print(f"{count} of {len(verified)} claims verified")
    ctx.exit(0 if count == len(verified) else 1)


def _run(console: Console, keys: Path) -> list[tuple[str, bool]]:
    trust = Trust.from_pem(keys / "ca.pem")
    with HttpServer() as server:
        endpoint = server.url + PATH
        server.app = protected_service(
            files(service).joinpath("demonstration-policy.xml").read_bytes(),
            location="demonstration-policy.xml",
            endpoint=endpoint,
            soap="1.1",
            identity=Identity.from_pkcs12(keys / "server.p12", PASSWORD),
            trust=trust,
            lifetime=_LIFETIME,
        )
        console.print(
            f"A service at {endpoint}; its WSDL demands secure conversation: bootstrap with certificates, "
            "derived keys, Body signed and encrypted. A zeep client that has nothing but certificates and "
            "that WSDL calls it."
        )
        conversation = SecureConversation(
            identity=Identity.from_pkcs12(keys / "client.p12", PASSWORD),
            trust=trust,
            peer=keys / "server.pem",
        )
        with requests.Session() as session, conversation:
            return _converse(console, conversation, session, endpoint)


def _converse(
    console: Console, conversation: SecureConversation, session: requests.Session, endpoint: str
) -> list[tuple[str, bool]]:
    recorder = Recorder()
    session.mount("http://", recorder)
    client = conversation.client(f"{endpoint}?wsdl", transport=conversation.transport(session=session))
    story, call = _Story(console, recorder), client.service
    story.step("client.service.echo(…)", lambda: call.echo(_TEXT) == _TEXT, "the text came back unchanged")
    for context in conversation.contexts():
        console.print(f"The context is {context.identifier}, until {context.expires:%H:%M:%S} UTC")
    story.step("client.service.sum([1, 2, 3])", lambda: call.sum([1, 2, 3]) == 6, "1 + 2 + 3 = 6")
    story.step(
        "client.service.fail(…)", lambda: _fails(client), "the declared fault was raised, with its detail"
    )
    story.step(
        "client.service.whoami()",
        lambda: call.whoami() == "CN=client",
        "the service knows who calls: CN=client",
    )
    story.step(
        "sc.cancel()", lambda: conversation.cancel() == 1, "the service confirmed the end of the context"
    )
    octets = b"".join(one.request + one.response for one in recorder.exchanges)
    said = ("Gespräch".encode(), _CODE.encode(), b"CN=client")
    nonces = re.findall(rb"Nonce[^>]*>([^<]+)<", octets)
    story.check(
        "nothing of what was said can be read in what was sent", not any(word in octets for word in said)
    )
    story.check(f"{len(nonces)} derived keys, no nonce twice", 0 < len(nonces) == len(set(nonces)))
    story.check("one bootstrap served every call", octets.count(b"/RST/SCT<") == 1)
    return story.verified


def _fails(client: zeep.Client) -> bool:
    try:
        client.service.fail(_CODE)
    except zeep.exceptions.Fault as fault:
        return fault.detail is not None and fault.detail.findtext(f".//{{{NAMESPACE}}}code") == _CODE
    return False
