"""What a conversation tells through events and logs, and what it never tells."""

from __future__ import annotations

import base64
import logging
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.client.conftest import Posted, Service
from zeep_secureconv import FileStore, SecureConversation, SecurityContext, VerificationError
from zeep_secureconv.clock import Clock
from zeep_secureconv.conversation.store import RecordKey

_TEXT = "a text that nobody else may read"
_PASSPHRASE = "the passphrase of the store"


class _Watched(FileStore):
    """A store that remembers every context that was ever in it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, passphrase=_PASSPHRASE, clock=clock)
        self.seen: list[SecurityContext] = []

    def add(self, key: RecordKey, context: SecurityContext, *, most: int | None = None) -> bool:
        self.seen.append(context)
        return super().add(key, context, most=most)

    def replace(self, key: RecordKey, old: SecurityContext, new: SecurityContext) -> bool:
        self.seen.append(new)
        return super().replace(key, old, new)


def _damaged(posted: Posted) -> tuple[str, dict[str, str], bytes] | None:
    """What somebody on the way makes of calls: the request itself, sent back."""
    return ("200 OK", {"Content-Type": "text/xml"}, posted.body) if posted.kind == "echo" else None


def _whole_life(service: Service, sc: SecureConversation) -> None:
    """A conversation in which everything happens that there is an event for."""
    client = sc.client(str(service.wsdl))
    client.service.echo(_TEXT)
    (context,) = sc.contexts()
    assert sc.validate(sc.renew(context))
    client.service.echo(_TEXT)
    service.restart()
    client.service.echo(_TEXT)
    service.interfere = _damaged
    with pytest.raises(VerificationError):
        client.service.echo(_TEXT)
    service.interfere = None
    assert sc.cancel() == 1
    client.transport.session.close()


def _forms(secret: bytes) -> list[str]:
    """How a secret could be written."""
    return [secret.hex(), base64.b64encode(secret).decode(), repr(secret)[2:-1], str(list(secret))[1:-1]]


def test_every_kind_is_told_in_its_order(service: Service, tmp_path: Path) -> None:
    """The events of a life: their kinds, whose context they are about, and what more there is to say."""
    store = _Watched(tmp_path / "contexts", service.time.clock)
    _whole_life(service, service.conversation(store=store, recover="always"))
    kinds = [event.kind for event in service.events]
    assert kinds == [
        "issued",
        "verified",
        "renewed",
        "verified",
        "lost",
        "issued",
        "recovered",
        "verified",
        "refused",
        "cancelled",
    ]
    issued, _, renewed, _, lost, again, recovered, *_ = service.events
    assert (issued.identifier, issued.instance) == (renewed.identifier, None)
    assert renewed.instance == lost.instance is not None
    assert again.identifier == recovered.identifier != issued.identifier
    assert issued.detail.startswith("expires ")
    assert lost.detail == recovered.detail
    assert lost.detail.endswith("}BadContextToken")
    assert service.events[8].detail == "reflection"
    assert all(event.endpoint == service.url and event.at.tzinfo is not None for event in service.events)


def test_nothing_tells_a_secret(service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No key of a context, no passphrase and no plaintext stands in an event or in a log, at whatever level."""
    store = _Watched(tmp_path / "contexts", service.time.clock)
    sc = service.conversation(store=store, recover="always")
    with caplog.at_level(logging.DEBUG, logger="zeep_secureconv"):
        _whole_life(service, sc)
    own = [record for record in caplog.records if record.name.startswith("zeep_secureconv")]
    formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")
    told = "\n".join([*map(formatter.format, own), *map(repr, service.events), repr(sc), repr(store)])
    told += "\n".join(repr(context) for context in store.seen)
    assert {record.name.split(".")[1] for record in own} >= {"client", "service"}
    assert len(store.seen) == 3
    assert all(context.identifier in told for context in store.seen)
    secrets = {
        key.secret for context in store.seen for key in (context.key, context.first) if key is not None
    }
    assert len(secrets) == 3
    for secret in secrets:
        assert not any(form in told for form in _forms(secret))
    assert _TEXT not in told
    assert _PASSPHRASE not in told


def test_the_text_of_a_fault_makes_no_line_of_its_own(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """What a peer writes into a fault cannot look like a line of our log."""

    def forge(posted: Posted) -> tuple[str, dict[str, str], bytes] | None:
        if posted.kind != "Renew":
            return None
        fault = (
            b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
            b"<faultcode>s:Server</faultcode><faultstring>no&#10;CRITICAL forged</faultstring>"
            b"</s:Fault></s:Body></s:Envelope>"
        )
        return "500 Error", {"Content-Type": "text/xml"}, fault

    with caplog.at_level(logging.DEBUG, logger="zeep_secureconv"), service.conversation() as sc:
        client = sc.client(str(service.wsdl))
        client.service.echo(_TEXT)
        service.interfere = forge
        service.time.forward(timedelta(minutes=115))
        client.service.echo(_TEXT)
        client.transport.session.close()
    lines = [
        record.getMessage() for record in caplog.records if record.name.startswith("zeep_secureconv.client")
    ]
    assert any("was not renewed" in line and "CRITICAL forged" in line for line in lines)
    assert not any("\n" in line for line in lines)
