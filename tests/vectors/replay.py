"""Captured conversations of real stacks, read offline with the keys that were recorded beside them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

from cryptography import x509
from lxml import etree

from tests.peers.peer import STACKS
from tests.peers.variants import Variant
from zeep_secureconv import Identity, Limits, Trust
from zeep_secureconv.clock import Clock
from zeep_secureconv.conversation.policies import ConversationPolicy, conversation_policy
from zeep_secureconv.environment import Environment
from zeep_secureconv.names import WSC_200512, WSU
from zeep_secureconv.policy import Direction, EndpointPolicy, OperationPolicy, Policy, read_wsdl
from zeep_secureconv.soap.addressing import read_addressing
from zeep_secureconv.soap.envelope import Soap, parse
from zeep_secureconv.trust import RequestType, action_of
from zeep_secureconv.wss.certificates import load_certificates
from zeep_secureconv.wss.keys import ContextKey, Keyring
from zeep_secureconv.wss.protect import Protected
from zeep_secureconv.wss.reply import Reply, read_reply
from zeep_secureconv.wss.seen import SeenSignatures
from zeep_secureconv.wss.times import read_time
from zeep_secureconv.wss.unprotect import Verified, unprotect

HERE = Path(__file__).parent
_ADDRESS = "http://127.0.0.1/peer"
#: By stack: the file with the keys that the server held, or with what the client reported, and the way in it.
_SECRETS = {
    "cxf": ("session.json", ("sessions",)),
    "metro": ("secrets.json", ()),
    "rampart": ("sessions.json", ()),
}
_REPORTS = {
    "cxf": ("session.json", ("result", "steps")),
    "metro": ("client.json", ("steps",)),
    "rampart": ("runs.json", ()),
}
PRINCIPAL = "CN=client,O=SecureConv Test"
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_X20 = ("echo", ["x" * 20], ["x" * 20])
#: By stack and number of the exchange: operation, texts of the request, texts of the answer.
CALLS: dict[str, dict[int, tuple[str, list[str], list[str]]]] = {
    "cxf": {
        2: ("echo", ["one"], ["one"]),
        3: ("echo", ["two ä€<&>"], ["two ä€<&>"]),
        4: ("echo", ["three"], ["three"]),
        5: ("sum", ["1", "2", "39"], ["42"]),
        7: ("big", ["2000"], [(ALPHABET * 77)[:2000]]),
        8: ("whoami", [], [PRINCIPAL]),
        10: ("echo", ["renewed"], ["renewed"]),
        11: ("whoami", [], [PRINCIPAL]),
    },
    "metro": {
        2: _X20,
        3: ("echo", ["héllo <&> 1"], ["héllo <&> 1"]),
        4: ("echo", ["héllo <&> 2"], ["héllo <&> 2"]),
        5: ("sum", ["1", "2", "3", "36"], ["42"]),
        7: ("big", ["100000"], ["x" * 100_000]),
        8: ("whoami", [], [PRINCIPAL]),
        9: _X20,
        11: _X20,
        12: _X20,
    },
    "rampart": {
        2: ("echo", ["xxxxx"], ["xxxxx"]),
        3: ("echo", ["xxxxx"], ["xxxxx"]),
        6: ("sum", ["1", "2", "39"], ["42"]),
    },
}
#: The exchange with the declared fault, the renewal and the Cancel.
FAULT = {"cxf": 6, "metro": 6, "rampart": 8}
RENEWAL = {"cxf": 9, "metro": 10}
CANCEL = {"cxf": 12, "metro": 13, "rampart": 4}
_HTTP = re.compile(rb"(?P<head>.*?)\r\n\r\n(?P<body>.*)", re.DOTALL)


@dataclass(frozen=True)
class Recorded:
    """One HTTP message as it was recorded."""

    number: int
    direction: Direction
    head: str
    body: bytes

    @classmethod
    def read(cls, path: Path) -> Recorded:
        """Read ``NNNN-request….txt`` or ``NNNN-response….txt``."""
        number, direction = path.stem.split("-")[:2]
        match = _HTTP.fullmatch(path.read_bytes())
        assert match is not None, path
        return cls(int(number), Direction(direction), match["head"].decode(), match["body"])

    @property
    def status(self) -> int:
        """HTTP status of an answer."""
        return int(self.head.split()[1])

    def soap(self) -> Soap:
        """A fresh copy of the message."""
        return Soap.of(parse(self.body, Limits()))

    @cached_property
    def created(self) -> datetime:
        """Created of its Timestamp, or a time of no account when it has none."""
        element = etree.fromstring(self.body).find(f".//{{{WSU}}}Created")
        return datetime(2026, 11, 20, tzinfo=timezone.utc) if element is None else read_time(element.text)


@dataclass(frozen=True)
class Exchange:
    """A request and its answer."""

    conversation: Conversation
    request: Recorded
    response: Recorded

    @property
    def name(self) -> str:
        """Its number and the end of its action."""
        return f"{self.request.number:02d}-{re.split('[:/]', self.action)[-1]}"

    @cached_property
    def action(self) -> str:
        """wsa:Action of the request."""
        return read_addressing(self.request.soap()).action or ""

    @cached_property
    def kind(self) -> RequestType | None:
        """What it asks of the trust service; None for a call of the application."""
        asked = action_of(self.action)
        return asked[0] if asked is not None else None

    @cached_property
    def operation(self) -> OperationPolicy:
        """The operation that it calls."""
        operations = self.conversation.policy.operations.values()
        return next(operation for operation in operations if self.action in operation.actions)

    @cached_property
    def policies(self) -> tuple[Policy, Policy]:
        """The policies of the request and of the answer."""
        conversation = self.conversation.conversation
        if self.kind in (RequestType.ISSUE, RequestType.RENEW):
            return conversation.bootstrap.request, conversation.bootstrap.response
        if self.kind is RequestType.CANCEL:
            in_full = b"EncryptedData" in self.request.body and not self.is_bootstrapped_cancel
            form = conversation.cancel_in_full if in_full else conversation.cancel
            return form.request, form.response
        return self.operation.request, self.operation.response

    def read_request(
        self, soap: Soap | None = None, *, policy: Policy | None = None, seen: SeenSignatures | None = None
    ) -> Verified:
        """The request as the service read it.

        Args:
            soap: a changed copy of it.
            policy: another policy than its own.
            seen: memory of signature values.
        """
        return unprotect(
            soap or self.request.soap(),
            policy or self.policies[0],
            self.conversation.service,
            environment_at(self.request.created),
            seen=seen,
        )

    def sent(self) -> Protected:
        """What the client knows of its request."""
        # CXF secures Cancel with the bootstrap, which tells nothing of the policy of Cancel
        policy = self.conversation.conversation.bootstrap.request if self.is_bootstrapped_cancel else None
        verified = self.read_request(policy=policy)
        return Protected(
            message_id=verified.addressing.message_id,
            signature_values=verified.signature_values,
            context=verified.context,
            signed=(),
            encrypted=(),
            ephemeral=verified.ephemeral,
        )

    def read_response(
        self, soap: Soap | None = None, *, sent: Protected | None = None, seen: SeenSignatures | None = None
    ) -> Reply:
        """The answer as the client read it.

        Args:
            soap: a changed copy of it.
            sent: what the client knows of its request.
            seen: memory of signature values.
        """
        sent = sent or self.sent()
        return read_reply(
            soap or self.response.soap(),
            self.policies[1],
            replace(self.conversation.client, ephemeral=sent.ephemeral),
            environment_at(self.response.created),
            request=sent,
            seen=seen,
        )

    @property
    def is_bootstrapped_cancel(self) -> bool:
        """Whether it is a Cancel that the context itself does not secure."""
        header = self.request.body.partition(b":Body")[0]
        return self.kind is RequestType.CANCEL and b"SecurityContextToken" not in header


@dataclass(frozen=True)
class Conversation:
    """A recorded conversation.

    Args:
        stack: "cxf", "metro" or "rampart".
        variant: name of its folder.
    """

    stack: str
    variant: str

    @property
    def folder(self) -> Path:
        """Where it is recorded."""
        return HERE / self.stack / self.variant

    @cached_property
    def exchanges(self) -> list[Exchange]:
        """All of it, in order."""
        recorded = [Recorded.read(path) for path in sorted(self.folder.glob("0*.txt"))]
        answers = {one.number: one for one in recorded if one.direction is Direction.RESPONSE}
        return [
            Exchange(self, one, answers[one.number]) for one in recorded if one.direction is Direction.REQUEST
        ]

    def exchange(self, number: int) -> Exchange:
        """The exchange with that number."""
        return next(exchange for exchange in self.exchanges if exchange.request.number == number)

    @cached_property
    def policy(self) -> EndpointPolicy:
        """The policy that the service published."""
        recorded = self.folder / "service.wsdl"
        text = recorded.read_bytes() if recorded.exists() else self._variant.wsdl(_ADDRESS).encode()
        return read_wsdl(etree.fromstring(text))

    @property
    def _variant(self) -> Variant:
        return Variant(STACKS[self.stack], self.variant)

    @cached_property
    def conversation(self) -> ConversationPolicy:
        """What follows from it for secure conversation."""
        return conversation_policy(self.policy)

    @cached_property
    def secrets(self) -> dict[tuple[str, str | None], bytes]:
        """The keys of its contexts, by Identifier and Instance."""
        name, path = _SECRETS[self.stack]
        records = json.loads((self.folder / name).read_text("utf-8"))
        for step in path:
            records = records[step]
        return {(one["identifier"], one.get("instance")): bytes.fromhex(one["secretHex"]) for one in records}

    @cached_property
    def told(self) -> dict[str, object]:
        """What the client that took part reported of each step."""
        name, path = _REPORTS[self.stack]
        steps = json.loads((self.folder / name).read_text("utf-8"))
        for step in path:
            steps = steps[step]
        return dict(steps)

    def find(self, identifier: str, instance: str | None) -> ContextKey | None:
        """The context key with that name."""
        secret = self.secrets.get((identifier, instance))
        if secret is None:
            return None
        return ContextKey(identifier=identifier, instance=instance, wsc=WSC_200512, secret=secret, token=b"")

    @cached_property
    def service(self) -> Keyring:
        """What the service knew."""
        return Keyring(
            decrypting=self._identity("server"),
            trust=self._trust,
            role="client",
            lookup=self.find,
            over_tls=self._variant.is_tls,
        )

    @cached_property
    def client(self) -> Keyring:
        """What the client knew."""
        server = self.certificate("server")
        return replace(
            self.service,
            decrypting=self._identity("client"),
            peer=server,
            signers=(server,),
            role="server",
        )

    def certificate(self, name: str) -> x509.Certificate:
        """The certificate of "server" or "client"."""
        return load_certificates(self._pki / f"{name}.pem")[0]

    def _identity(self, name: str) -> Identity:
        return Identity.from_pem(self._pki / f"{name}.pem", self._pki / f"{name}.key")

    @property
    def _pki(self) -> Path:
        return HERE / self.stack / "pki"

    @cached_property
    def _trust(self) -> Trust:
        return Trust.from_pem(self._pki / "ca.pem")


def texts(soap: Soap) -> list[str]:
    """The texts in the child of the Body."""
    return [] if soap.payload is None else [str(text) for text in soap.payload.itertext()]


def environment_at(moment: datetime) -> Environment:
    """An environment whose clock stands still."""
    return Environment(clock=Clock(now=lambda: moment, monotonic=lambda: 0.0))
