"""What on_event= may do: call the client that tells it, wait for other threads, and fail."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.conftest import Posted, Service
from zeep_secureconv import Event, FileStore, SecureConversation, TokenFault, VerificationError

#: Far more than anything here takes: ends a test that would wait for itself.
_TOO_LONG = 60.0
_ME = "CN=client,O=Test"
_KINDS = {"issued", "verified", "renewed", "lost", "recovered", "refused", "cancelled"}


def in_time(work: Callable[[], None]) -> None:
    """Do *work*, and fail if it does not end."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_TOO_LONG)
    assert not thread.is_alive(), "it waits for itself"
    if failed:
        raise failed[0]


class Curious:
    """Does something when it is told, but not when it is told of what that leads to.

    Args:
        act: what it does.
    """

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act
        self.found: list[tuple[str, object]] = []
        self._busy = False

    def __call__(self, event: Event) -> None:
        """Be told."""
        if self._busy:
            return
        self._busy = True
        try:
            self.found.append((event.kind, self.act()))
        finally:
            self._busy = False


def reflect(posted: Posted) -> tuple[str, dict[str, str], bytes] | None:
    """The request as the answer."""
    return ("200 OK", {"Content-Type": "text/xml"}, posted.body) if posted.kind == "echo" else None


def everything(service: Service, sc: SecureConversation, client: Any) -> None:
    """A conversation in which there is an event of every kind."""
    echo = client.service.echo
    assert echo("one") == "one"
    assert sc.renew().instance is not None
    assert echo("two") == "two"
    service.restart()
    assert echo("three") == "three"
    service.interfere = reflect
    with pytest.raises(VerificationError):
        echo("four")
    service.interfere = None
    assert echo("five") == "five"
    assert sc.cancel() == 1


@pytest.mark.parametrize("elsewhere", [False, True], ids=["itself", "in another thread"])
def test_the_client_may_be_called_from_there(service: Service, elsewhere: bool) -> None:
    """Whatever it is told of, it may make a call of its own and wait for it; the call that it is told of goes on."""

    def work() -> None:
        with ThreadPoolExecutor(1) as pool:

            def ask() -> object:
                whoami = client.service.whoami
                return pool.submit(whoami).result() if elsewhere else whoami()

            curious = Curious(ask)
            sc = service.conversation(recover="always", on_event=curious)
            client = sc.client(str(service.wsdl))
            everything(service, sc, client)
        assert {kind for kind, _ in curious.found} == _KINDS
        assert {answer for _, answer in curious.found} == {_ME}

    in_time(work)


def test_contexts_may_be_handled_from_there(service: Service) -> None:
    """Every method may be called when a context was issued: it is there, and may be renewed and given back."""

    def work() -> None:
        curious = Curious(lambda: None)
        sc = service.conversation(on_event=curious)
        client = sc.client(str(service.wsdl))

        def handle() -> object:
            curious.act = lambda: None
            (context,) = sc.contexts()
            return (
                sc.validate(context),
                sc.renew().identifier == context.identifier,
                sc.cancel(),
                sc.contexts(),
            )

        curious.act = handle
        assert client.service.echo("x") == "x"
        curious.act = lambda: None
        assert curious.found[0] == ("issued", (True, True, 1, []))

    in_time(work)


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "file"])
def test_the_asynchronous_client_may_be_called_from_there(
    service: Service, tmp_path: Path, stored: bool
) -> None:
    """In a thread that asks for contexts it may wait for a call of its own in the event loop, whatever the store."""
    clock = service.time.clock
    options = {"store": FileStore(tmp_path / "contexts", key=bytes(32), clock=clock)} if stored else {}

    async def conversation() -> list[tuple[str, object]]:
        loop, of_loop = asyncio.get_running_loop(), threading.get_ident()

        def ask() -> object:
            if threading.get_ident() == of_loop:
                return _ME
            return asyncio.run_coroutine_threadsafe(client.service.whoami(), loop).result()

        curious = Curious(ask)
        async with service.conversation(recover="always", on_event=curious, **options) as sc:
            client = sc.async_client(str(service.wsdl))
            assert await client.service.echo("one") == "one"
            assert (await sc.arenew()).instance is not None
            service.restart()
            assert await client.service.echo("two") == "two"
        return curious.found

    def work() -> None:
        found = asyncio.run(conversation())
        assert [kind for kind, _ in found][:4] == ["issued", "verified", "renewed", "lost"]
        assert {answer for _, answer in found} == {_ME}

    in_time(work)


class Failing:
    """Raises whatever it is told of."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.kinds: list[str] = []

    def __call__(self, event: Event) -> None:
        """Be told."""
        self.kinds.append(event.kind)
        raise self.error


def test_what_it_raises_breaks_nothing(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Calls, renewal, recovery and Cancel work as if nobody was told, and each failure is in the log."""
    failing = Failing(ZeroDivisionError("mine"))
    sc = service.conversation(recover="always", on_event=failing)
    with caplog.at_level(logging.ERROR, logger="zeep_secureconv"):
        everything(service, sc, sc.client(str(service.wsdl)))
    assert set(failing.kinds) == _KINDS
    told = [record for record in caplog.records if record.name == "zeep_secureconv.client.events"]
    assert len(told) == len(failing.kinds)
    assert all(record.exc_info and record.exc_info[1] is failing.error for record in told)
    assert service.application.calls == 4


def test_what_it_raises_breaks_nothing_in_an_event_loop(service: Service) -> None:
    """The same for asynchronous calls."""
    failing = Failing(ZeroDivisionError("mine"))

    async def conversation() -> None:
        async with service.conversation(on_event=failing) as sc:
            client = sc.async_client(str(service.wsdl))
            assert await asyncio.gather(*(client.service.echo(str(n)) for n in range(5))) == list("01234")
            service.restart()
            with pytest.raises(TokenFault):
                await client.service.echo("x")
            assert await client.service.echo("y") == "y"

    asyncio.run(conversation())
    assert failing.kinds == ["issued", *["verified"] * 5, "lost", "issued", "verified", "cancelled"]


def test_an_interruption_passes_and_the_context_stays(service: Service) -> None:
    """KeyboardInterrupt ends the call in which it comes; the context that was issued just then is there."""
    failing = Failing(KeyboardInterrupt())
    sc = service.conversation(on_event=failing)
    echo = sc.client(str(service.wsdl)).service.echo
    with pytest.raises(KeyboardInterrupt):
        echo("x")
    assert len(sc.contexts()) == 1
    assert failing.kinds == ["issued"]
    failing.error = ZeroDivisionError()
    assert echo("y") == "y"
    assert service.kinds() == ["issue", "echo"]
