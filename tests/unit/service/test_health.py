from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.loopback import Answer, Request, call_wsgi
from zeep_secureconv import FileStore, MemoryStore, RedisStore, Store
from zeep_secureconv.service.health import Health


def _app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [f"the application at {environ['PATH_INFO']}".encode()]


def _ask(app: Health, path: str = "/health", method: str = "GET") -> Answer:
    return call_wsgi(app, Request(method, path, {}, b""))


@pytest.fixture(params=["none", "memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store | None:
    """A store that answers."""
    stores: dict[str, Store | None] = {
        "none": None,
        "memory": MemoryStore(),
        "file": FileStore(tmp_path / "contexts", key=bytes(32)),
    }
    return stores[request.param]


def test_a_store_that_answers_is_healthy(store: Store | None) -> None:
    """With a store that answers, or none, the service is healthy, and nobody keeps the answer for later."""
    answer = _ask(Health(_app, store=store))
    assert (answer.status, answer.body) == (200, b'{"status": "ok"}')
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"


def _absent(_folder: Path) -> Store:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return RedisStore(f"redis://user:secret@127.0.0.1:{port}/0", key=bytes(32))


def _unreadable(folder: Path) -> Store:
    (folder / "contexts").write_bytes(b"no store")
    return FileStore(folder / "contexts", key=bytes(32))


@pytest.mark.parametrize("broken", [_absent, _unreadable])
def test_a_store_that_does_not_answer_is_not(
    broken: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its store the service is not healthy; the answer says no more, and the log no secret."""
    answer = _ask(Health(_app, store=broken(tmp_path)))
    assert (answer.status, answer.body) == (503, b'{"status": "unavailable"}')
    assert "not healthy" in caplog.text
    assert "secret" not in caplog.text


def test_head_has_no_body() -> None:
    """HEAD is answered with the headers alone."""
    answer = _ask(Health(_app), method="HEAD")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "16")


@pytest.mark.parametrize(("method", "path"), [("POST", "/health"), ("GET", "/"), ("GET", "/health/more")])
def test_everything_else_is_the_applications(method: str, path: str) -> None:
    """Other methods and other paths go to the application."""
    assert _ask(Health(_app), path, method).body == f"the application at {path}".encode()


def test_the_path_can_be_another() -> None:
    """Where /health is taken, another path can be asked."""
    app = Health(_app, path="/alive")
    assert _ask(app, "/alive").body == b'{"status": "ok"}'
    assert _ask(app).body == b"the application at /health"
