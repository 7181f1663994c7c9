from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import requests

from zeep_secureconv.service import contract
from zeep_secureconv.service.demonstration import DemonstrationService
from zeep_secureconv.service.server import HttpServer


class Result(Protocol):
    """What a command line led to (see conftest.py)."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object."""


CommandLine = Callable[..., Result]

_HTML = b"<html><body>Welcome<br></body></html>"
_TRUNCATED = b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Bo'
#: What a server that is no SOAP service answers, by path: (HTTP status, body), or None to close the connection.
_ANSWERS: dict[str, tuple[int, bytes] | None] = {
    "/html": (200, _HTML),
    "/not-found": (404, _HTML),
    "/empty": (500, b""),
    "/truncated": (500, _TRUNCATED),
    "/nothing": (200, b" " * 20_000_000),
    "/xml": (200, b"<a><b/></a>"),
    "/closed": None,
}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = _ANSWERS[self.path]
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(answer[1])))
        self.end_headers()
        self.wfile.write(answer[1])

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Keep standard error clean."""


@pytest.fixture(scope="module")
def stranger() -> Iterator[str]:
    """The URL of an HTTP server that knows nothing of SOAP."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def call(cli: CommandLine, endpoint: str, credentials: list[object]) -> CommandLine:
    """Calls an operation of the service with good credentials; of an option given twice the last one counts."""

    def call(*arguments: object, wsdl: str = f"{endpoint}?wsdl") -> Result:
        return cli("call", wsdl, *credentials, *arguments)

    return call


def test_json_is_one_object_with_result_context_timing(call: CommandLine) -> None:
    """A good call prints every field of the object, with the context cancelled and exit status 0."""
    result = call("echo", "text=Grüße", "--json")
    told = result.json
    assert result.status == 0
    assert set(told) == {"ok", "result", "calls", "context", "cancelled", "events", "timing", "error"}
    assert (told["ok"], told["result"], told["calls"]) == (True, "Grüße", 1)
    assert (told["cancelled"], told["error"]) == (True, None)
    assert told["context"]["identifier"].startswith("urn:uuid:")
    assert told["context"]["instance"] is None
    assert told["context"]["expires"].endswith("Z")
    assert told["events"] == ["issued", "cancelled"]
    assert all(told["timing"][name] > 0 for name in ("bootstrap_ms", "median_us", "p90_us"))


def test_repeat_uses_one_context(call: CommandLine) -> None:
    """N calls are N calls under one context."""
    told = call("sum", "values=1", "values=2", "--repeat", 5, "--json").json
    assert (told["result"], told["calls"], told["events"].count("issued")) == (3, 5, 1)


def test_result_is_on_stdout_and_the_rest_on_stderr(call: CommandLine) -> None:
    """Without --json the result alone is on standard output."""
    result = call("echo", "text=hello")
    assert (result.status, result.out) == (0, "hello\n")
    assert "1 call;" in result.err
    assert "cancelled" in result.err


@pytest.mark.parametrize(
    ("values", "expected"),
    [(["values=7"], 7), (["values=1", "values:=2"], 3), (["values:=[1, 2, 3]"], 6), ([], 0)],
)
def test_values_become_what_the_schema_wants(call: CommandLine, values: list[str], expected: int) -> None:
    """A name given again makes a list, := gives JSON, and both go together."""
    assert call("sum", *values, "--json").json["result"] == expected


def test_keep_does_not_cancel(call: CommandLine) -> None:
    """With --keep the context stays, and nothing is said about cancelling it."""
    told = call("whoami", "--keep", "--json").json
    assert (told["ok"], told["cancelled"]) == (True, None)
    assert "cancelled" not in told["events"]


def test_cancel_is_satisfied_by_a_service_that_cancels(call: CommandLine) -> None:
    """--cancel changes nothing when the service confirms."""
    assert call("whoami", "--cancel", "--json").json["cancelled"] is True


def test_pem_identity(cli: CommandLine, endpoint: str, pki: Path) -> None:
    """An identity may be a PEM certificate with --key."""
    identity = ["--identity", pki / "client.pem", "--key", pki / "client.key"]
    parties = [*identity, "--trust", pki / "ca.pem", "--peer", pki / "server.pem"]
    result = cli("call", f"{endpoint}?wsdl", "whoami", *parties)
    assert result.status == 0
    assert "CN=client" in result.out


def test_endpoint_and_policy_replace_the_wsdls(
    call: CommandLine, endpoint: str, policy_file: Path, tmp_path: Path
) -> None:
    """A WSDL without address and policy serves with --endpoint and --policy, and is refused without."""
    wsdl = tmp_path / "plain.wsdl"
    wsdl.write_bytes(contract.demonstration_wsdl(None, address="http://127.0.0.1:9/none"))
    refused = call("echo", "text=a", "--json", wsdl=str(wsdl)).json
    assert refused["error"]["type"] == "PolicyError"
    given = call("echo", "text=a", "--json", "--endpoint", endpoint, "--policy", policy_file, wsdl=str(wsdl))
    assert given.json["result"] == "a"


def test_declared_fault_is_a_failure(call: CommandLine) -> None:
    """A fault of the operation is told with its text; the conversation still ends in order."""
    result = call("fail", "code=X-17", "--json")
    assert result.status == 1
    assert (result.json["ok"], result.json["calls"], result.json["cancelled"]) == (False, 0, True)
    assert result.json["error"]["type"] == "Fault"
    assert "failed with X-17" in result.json["error"]["message"]


def test_failure_for_people_has_type_message_and_hint(call: CommandLine) -> None:
    """Without --json a failure is two lines on standard error, and nothing on standard output."""
    result = call("echo", "text=a", "--identity-password", "wrong")
    assert (result.status, result.out) == (1, "")
    first, second = result.err.splitlines()
    assert first.startswith("ConfigurationError: ")
    assert second.startswith("Hint: ")


@pytest.fixture
def among_keys(pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes to the folder of the certificates, so that their names are their paths."""
    monkeypatch.chdir(pki)


_CLEAR_KEY = ["--identity-password", ""]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (["--identity-password", "wrong"], "ConfigurationError", "password"),
        (["--identity", "missing.p12"], "ConfigurationError", "missing.p12"),
        (
            ["--identity", "client.pem", "--key", "server.key", *_CLEAR_KEY],
            "ConfigurationError",
            "not belong",
        ),
        (["--identity", "client.pem", *_CLEAR_KEY], "ConfigurationError", "private key"),
        (["--identity", "client.key", *_CLEAR_KEY], "ConfigurationError", "not an X.509 certificate"),
        (["--peer", "missing.pem"], "ConfigurationError", "missing.pem"),
        (["--trust", "client.p12"], "ConfigurationError", "trust file"),
        (["--peer", "client2.pem"], "TokenFault", "unauthenticated"),
        (["--identity", "expired.p12"], "ConfigurationError", "not valid now"),
        (["--policy", "missing.xml"], "ConfigurationError", "missing.xml"),
        (["--port-name", "Missing"], "ConfigurationError", "Missing"),
        (["--tls-ca", "missing.pem"], "ConfigurationError", "missing.pem"),
        (["--endpoint", "http://127.0.0.1:1/peer"], "TransportError", "Connection refused"),
    ],
)
@pytest.mark.usefixtures("among_keys")
def test_bad_options_are_failures_with_hints(
    call: CommandLine, options: list[str], error: str, said: str
) -> None:
    """Every wrong option ends in a typed error with a hint and status 1; the same call without it is good."""
    assert call("echo", "text=a", "--json").json["ok"] is True
    _assert_failure(call("echo", "text=a", "--json", *options), error, said)


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["nope"], "no operation nope", "echo"),
        (["echo"], "Missing element text", "text"),
        (["echo", "txt=a"], "txt", "text"),
        (["echo", "text=a", "other=b"], "other", "text"),
    ],
)
def test_values_that_do_not_fit_are_told_before_any_traffic(
    call: CommandLine, arguments: list[str], said: str, hint: str
) -> None:
    """An unknown operation and wrong names are failures that name what there is, and no context is issued."""
    result = call(*arguments, "--json")
    _assert_failure(result, "ConfigurationError", said)
    assert hint in result.json["error"]["hint"]
    assert result.json["events"] == []


@pytest.mark.parametrize("path", ["/html", "/empty", "/truncated", "/nothing", "/closed"])
def test_answers_that_are_no_soap_are_failures(call: CommandLine, stranger: str, path: str) -> None:
    """Whatever answers at the endpoint instead of a SOAP service is told with a hint."""
    _assert_failure(
        call("echo", "text=a", "--json", "--endpoint", stranger + path), "TransportError", "service"
    )


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("/html", "ConfigurationError", "web page"),
        ("/xml", "ConfigurationError", "no service"),
        ("/not-found", "TransportError", "404"),
        ("/closed", "TransportError", "Remote end closed connection"),
    ],
)
def test_wsdls_that_are_none_are_failures(
    call: CommandLine, stranger: str, path: str, error: str, said: str
) -> None:
    """Whatever is at the WSDL's address instead of a WSDL is told with a hint."""
    _assert_failure(call("echo", "text=a", "--json", wsdl=stranger + path), error, said)


@pytest.mark.parametrize(
    ("wsdl", "error"),
    [
        ("missing.wsdl", "FileNotFoundError"),
        (".", "IsADirectoryError"),
        ("http://127.0.0.1:1/peer?wsdl", "TransportError"),
        ("http://host.invalid/peer?wsdl", "TransportError"),
    ],
)
def test_wsdls_that_cannot_be_read_are_failures(
    call: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wsdl: str, error: str
) -> None:
    """A WSDL that is not there, or whose host cannot be reached, is told with a hint."""
    monkeypatch.chdir(tmp_path)
    _assert_failure(call("echo", "text=a", "--json", wsdl=wsdl), error, "")


def test_https_without_the_ca_is_refused_and_with_it_accepted(
    call: CommandLine, endpoint: str, pki: Path
) -> None:
    """A WSDL is read over https only when the server's certificate is trusted, which --tls-ca does."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    wsdl = requests.get(f"{endpoint}?wsdl", timeout=10).content
    with HttpServer(contract.Published(DemonstrationService(), wsdl), tls=context) as server:
        address = f"{server.url}/peer?wsdl"
        _assert_failure(call("echo", "text=a", "--json", wsdl=address), "TransportError", "certificate")
        # zeep turns the http address of a WSDL that it read over https into an https one
        options = ["--tls-ca", pki / "ca.pem", "--endpoint", endpoint]
        assert call("echo", "text=a", "--json", *options, wsdl=address).json["ok"] is True


@pytest.mark.parametrize(
    "arguments",
    [
        ["echo", "text"],
        ["echo", "=a"],
        ["echo", "text:={"],
        ["echo", "text=a", "--cancel", "--keep"],
        ["echo", "text=a", "--repeat", "0"],
        ["echo", "text=a", "--timeout", "0"],
        ["echo", "text=a", "--no-such-option"],
        [],
    ],
)
def test_wrong_usage_has_status_2(call: CommandLine, arguments: list[str]) -> None:
    """Wrong usage is told on standard error, with status 2, and with --json in the object too."""
    result = call(*arguments, "--json")
    assert result.status == 2
    assert "Usage:" in result.err
    assert result.json["ok"] is False
    assert result.json["error"]["message"]


def test_no_option_shows_a_password(call: CommandLine) -> None:
    """A password that was given is in no output of a failure."""
    result = call("echo", "text=a", "--identity-password", "Kennwort-7")
    assert result.status == 1
    assert "Kennwort-7" not in result.out + result.err


def _assert_failure(result: Result, error: str, said: str) -> None:
    assert result.status == 1
    assert (result.json["ok"], result.json["error"]["type"]) == (False, error)
    assert said in result.json["error"]["message"]
    assert result.json["error"]["hint"]
    assert "Traceback" not in result.err
