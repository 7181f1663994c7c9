"""``zeep-secureconv sessions``, and ``call`` with ``--store``, ``--renew`` and ``--validate``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.redis_server import RedisServer
from zeep_secureconv import Identity, Trust
from zeep_secureconv.cli.embedded import PATH, protected_service
from zeep_secureconv.service.server import HttpServer

CommandLine = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path, key: Path) -> list[object]:
    """The options for an empty store in a file."""
    return ["--store", f"file:{tmp_path / 'contexts'}", "--store-key", key]


@pytest.fixture
def call(
    cli: CommandLine, endpoint: str, credentials: list[object], store: list[object]
) -> Callable[..., dict[str, Any]]:
    """A call with --store, and its JSON object."""

    def call(*arguments: object) -> dict[str, Any]:
        told: dict[str, Any] = cli(
            "call", f"{endpoint}?wsdl", "whoami", *credentials, *store, *arguments, "--json"
        ).json
        return told

    return call


@pytest.fixture
def sessions(cli: CommandLine, endpoint: str, credentials: list[object], store: list[object]) -> CommandLine:
    """The command with everything that it needs to ask services."""

    def sessions(*arguments: object) -> Any:
        return cli("sessions", *store, *arguments, "--wsdl", f"{endpoint}?wsdl", *credentials)

    return sessions


# ------------------------------------------------------------------------------------------- call --store


def test_calls_share_a_context_through_the_store(call: Callable[..., dict[str, Any]]) -> None:
    """The second process uses the context of the first without a bootstrap; --cancel ends it."""
    first, second = call(), call("--repeat", 2)
    assert (first["ok"], first["events"], first["cancelled"]) == (True, ["issued"], None)
    assert (second["ok"], second["events"], second["cancelled"]) == (True, [], None)
    assert second["context"] == first["context"]
    assert second["timing"]["bootstrap_ms"] is None
    last = call("--cancel")
    assert (last["events"], last["cancelled"], last["context"]) == (["cancelled"], True, first["context"])
    assert call()["events"] == ["issued"]


def test_calls_share_a_context_through_redis(
    call: Callable[..., dict[str, Any]], redis_server: RedisServer
) -> None:
    """The same in Redis."""
    first, second = (call("--store", redis_server.url) for _ in range(2))
    assert (first["events"], second["events"]) == (["issued"], [])
    assert call("--store", redis_server.url, "--cancel")["cancelled"] is True


def test_another_client_has_a_context_of_its_own(call: Callable[..., dict[str, Any]], pki: Path) -> None:
    """Credentials belong to a context's name in the store."""
    assert call()["events"] == ["issued"]
    assert call("--identity", pki / "client2.p12")["events"] == ["issued"]
    assert call()["events"] == []


def test_a_store_with_another_key_is_an_error(call: Callable[..., dict[str, Any]], key: Path) -> None:
    """What cannot be opened is told, and nothing is overwritten."""
    first = call()
    kept = key.read_text()
    key.write_text("another passphrase")
    told = call()
    assert (told["ok"], told["error"]["type"]) == (False, "StoreError")
    key.write_text(kept)
    assert call()["context"] == first["context"]


def test_renew_and_validate(cli: CommandLine, endpoint: str, credentials: list[object]) -> None:
    """--renew gives the context another key between the calls, and --validate asks the service about it."""
    told = cli(
        "call", f"{endpoint}?wsdl", "whoami", *credentials, "--repeat", 3, "--renew", "--validate", "--json"
    ).json
    assert (told["ok"], told["calls"], told["valid"], told["cancelled"]) == (True, 3, True, True)
    assert told["events"] == ["issued", "renewed", "cancelled"]
    assert told["context"]["instance"].startswith("urn:uuid:")
    without = cli("call", f"{endpoint}?wsdl", "whoami", *credentials, "--json").json
    assert "valid" not in without


# ------------------------------------------------------------------------------------------------- list


def test_an_empty_store_is_told(cli: CommandLine, store: list[object]) -> None:
    """There is nothing on standard output, and status 0."""
    result = cli("sessions", *store)
    assert (result.status, result.out, result.err) == (0, "", "No contexts\n")


def test_the_list_needs_nothing_but_the_store(
    cli: CommandLine, call: Callable[..., dict[str, Any]], store: list[object], endpoint: str
) -> None:
    """It has every context, whoever's, with a line or an object for each, and no secret."""
    context = call()["context"]
    result = cli("sessions", *store)
    assert result.status == 0
    assert re.fullmatch(rf"client {context['identifier']} {re.escape(endpoint)} until \S+Z\n", result.out)
    (told,) = cli("sessions", *store, "list", "--json").json["contexts"]
    assert set(told) == {
        "role",
        "endpoint",
        "identifier",
        "instance",
        "created",
        "expires",
        "over",
        "renewable",
        "dialect",
        "principal",
        "outcome",
        "error",
    }
    assert (told["role"], told["endpoint"], told["over"]) == ("client", endpoint, False)
    assert (told["identifier"], told["expires"]) == (context["identifier"], context["expires"])


def test_one_context_can_be_picked(
    cli: CommandLine, call: Callable[..., dict[str, Any]], store: list[object], pki: Path
) -> None:
    """By its Identifier, or by the address of its service; an unknown one is an error."""
    first, second = call()["context"], call("--identity", pki / "client2.p12")["context"]
    listed = cli("sessions", *store, "--json").json["contexts"]
    assert {one["identifier"] for one in listed} == {first["identifier"], second["identifier"]}
    (one,) = cli("sessions", *store, "list", second["identifier"], "--json").json["contexts"]
    assert one["identifier"] == second["identifier"]
    assert cli("sessions", *store, "--endpoint", "http://elsewhere/", "--json").json["contexts"] == []
    missing = cli("sessions", *store, "list", "urn:uuid:unknown")
    assert missing.status == 1
    assert "no such context" in missing.err


# ----------------------------------------------------------------------------- validate, renew and cancel


def test_validate_renew_cancel(call: Callable[..., dict[str, Any]], sessions: CommandLine) -> None:
    """One after the other, on the context that a call left; after that the store is empty."""
    identifier = call()["context"]["identifier"]
    told = sessions("validate", "--json").json
    assert (told["ok"], [one["outcome"] for one in told["contexts"]]) == (True, ["valid"])
    told = sessions("renew", identifier, "--json").json
    assert (told["ok"], told["contexts"][0]["outcome"]) == (True, "renewed")
    instance = told["contexts"][0]["instance"]
    assert instance.startswith("urn:uuid:")
    assert call()["context"]["instance"] == instance
    result = sessions("cancel", identifier)
    assert (result.status, result.out.endswith("- cancelled\n")) == (0, True)
    assert sessions("list", "--json").json["contexts"] == []
    assert call()["events"] == ["issued"]


def test_the_policy_may_come_from_a_file(
    *,
    cli: CommandLine,
    call: Callable[..., dict[str, Any]],
    store: list[object],
    credentials: list[object],
    endpoint: str,
    tmp_path: Path,
) -> None:
    """--policy does instead of --wsdl; one of both is needed."""
    saved = tmp_path / "saved.wsdl"
    saved.write_bytes(requests.get(f"{endpoint}?wsdl", timeout=60).content)
    call()
    told = cli("sessions", *store, "validate", "--policy", saved, *credentials, "--json").json
    assert [one["outcome"] for one in told["contexts"]] == ["valid"]
    assert cli("sessions", *store, "validate", *credentials).status == 2


def test_contexts_of_others_are_left_alone(
    cli: CommandLine,
    call: Callable[..., dict[str, Any]],
    sessions: CommandLine,
    store: list[object],
    pki: Path,
) -> None:
    """Contexts of other credentials are skipped, and naming one is an error; they stay."""
    mine, other = call()["context"], call("--identity", pki / "client2.p12")["context"]
    told = sessions("cancel", "--json").json
    outcomes = {one["identifier"]: one["outcome"] for one in told["contexts"]}
    assert outcomes == {mine["identifier"]: "cancelled", other["identifier"]: "skipped"}
    assert told["ok"] is True
    refused = sessions("cancel", other["identifier"], "--json")
    assert (refused.status, refused.json["error"]["type"]) == (1, "ConfigurationError")
    (left,) = cli("sessions", *store, "--json").json["contexts"]
    assert left["identifier"] == other["identifier"]


@pytest.fixture
def forgetful(pki: Path, policy_file: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """(URL of a service, what makes it forget every context)."""
    with HttpServer() as server:
        url = server.url + PATH

        def start() -> None:
            server.app = protected_service(
                policy_file.read_bytes(),
                location=str(policy_file),
                endpoint=url,
                soap="1.1",
                identity=Identity.from_pkcs12(pki / "server.p12", "changeit"),
                trust=Trust.from_pem(pki / "ca.pem"),
                lifetime=timedelta(minutes=5),
            )

        start()
        yield url, start


@pytest.mark.parametrize(
    ("action", "outcome"), [("validate", "not valid"), ("renew", "failed"), ("cancel", "not confirmed")]
)
def test_a_service_that_forgot_is_told_by_the_status(
    *,
    cli: CommandLine,
    credentials: list[object],
    store: list[object],
    forgetful: tuple[str, Callable[[], None]],
    action: str,
    outcome: str,
) -> None:
    """Status 1 and the outcome say so; a cancelled context is gone from the store all the same."""
    url, forget = forgetful
    cli("call", f"{url}?wsdl", "whoami", *credentials, *store)
    command = ["sessions", *store, action, "--wsdl", f"{url}?wsdl", *credentials, "--json"]
    if action != "cancel":
        assert cli(*command).status == 0
    forget()
    result = cli(*command)
    (told,) = result.json["contexts"]
    assert (result.status, result.json["ok"], told["outcome"]) == (1, False, outcome)
    assert (told["error"] is not None) == (outcome == "failed")
    left = cli("sessions", *store, "--json").json["contexts"]
    assert len(left) == (0 if action == "cancel" else 1)


def test_a_dialect_is_remembered(
    cli: CommandLine, endpoint: str, credentials: list[object], store: list[object], sessions: CommandLine
) -> None:
    """What is asked about a context is asked in the dialect that it was asked for."""
    called = cli(
        "call", f"{endpoint}?wsdl", "whoami", *credentials, *store, "--dialect", "websphere13", "--json"
    )
    assert called.json["ok"] is True
    for action in ("validate", "renew", "cancel"):
        (told,) = sessions(action, "--json").json["contexts"]
        assert (told["dialect"], told["error"]) == ("websphere13", None)
