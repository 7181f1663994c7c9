from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
import zeep.exceptions

from zeep_secureconv import ConfigurationError, PolicyError
from zeep_secureconv.cli.failures import EXPLAINED, explain, printable


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (PolicyError("no such suite", hint="give policy='other.xml'"), "no such suite", "give --policy FILE"),
        (
            ConfigurationError("no key", hint="give identity=Identity.from_pem('a', 'b')"),
            "no key",
            "--identity FILE",
        ),
        (
            zeep.exceptions.Fault("out of stock"),
            "The service answered with a fault: out of stock",
            "operation",
        ),
        (zeep.exceptions.TransportError("x", status_code=503), "503 Service Unavailable", "--endpoint"),
        (zeep.exceptions.TransportError("x", status_code=799), "HTTP status 799", "--endpoint"),
        (zeep.exceptions.Error("odd"), "odd", "WSDL"),
        (requests.exceptions.ReadTimeout(), "No answer in time", "--timeout"),
        (requests.exceptions.InvalidSchema("no adapter"), "no adapter", "http://"),
        (requests.exceptions.RequestException(), "The request failed", "address"),
        (FileNotFoundError(2, "No such file", "a.pem"), "No such file: a.pem", "existing file"),
    ],
)
def test_every_error_has_type_message_and_hint(error: BaseException, message: str, hint: str) -> None:
    """Each kind of error is told by its class, a message, and what to change in terms of options."""
    assert isinstance(error, EXPLAINED)
    failure = explain(error)
    assert failure.type == type(error).__name__
    assert message in failure.message
    assert hint in (failure.hint or "")


def test_reason_and_address_of_a_lost_connection_without_its_password() -> None:
    """What the system said is dug out of the exception; user and password of the URL are not shown."""
    with pytest.raises(requests.exceptions.ConnectionError) as raised:
        requests.get("http://alice:Kennwort@127.0.0.1:1/peer?wsdl", timeout=10)
    message = explain(raised.value).message
    assert message == "No connection to http://127.0.0.1:1/peer: Connection refused"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text: ä ☃", "plain text: ä ☃"),
        ("two\nlines\tand", "two lines and"),
        ("\x1b[2Jgone", "\N{REPLACEMENT CHARACTER}[2Jgone"),
        ("\x9b2J", "\N{REPLACEMENT CHARACTER}2J"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}txt", "\N{REPLACEMENT CHARACTER}txt"),
    ],
)
def test_what_a_peer_says_cannot_steer_a_terminal(text: str, shown: str) -> None:
    """Control characters are replaced, and a message stays on one line."""
    assert printable(text) == shown


def test_defects_are_not_explained(tmp_path: Path) -> None:
    """An error that no user can cause is not dressed up as one."""
    missing: Callable[[], object] = (tmp_path / "missing").read_bytes
    with pytest.raises(EXPLAINED):
        missing()
    assert not isinstance(KeyError("x"), EXPLAINED)
