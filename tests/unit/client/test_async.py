"""Asynchronous clients of SecureConversation, in event loops, against a service on a real socket."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import zeep
from zeep.exceptions import Fault
from zeep.transports import AsyncTransport

from tests.unit.client.conftest import Posted, Service
from tests.unit.parties import identity
from zeep_secureconv import (
    ConfigurationError,
    FileStore,
    Identity,
    PolicyError,
    SecureConversation,
    TokenFault,
    TransportError,
    UnsecuredFault,
    VerificationError,
)
from zeep_secureconv.client.flights import Leases, SingleFlight
from zeep_secureconv.service.contract import demonstration_wsdl

HOURS = timedelta(hours=2)
KEY = bytes(range(32))
Answer = tuple[str, dict[str, str], bytes]
Talk = Callable[[SecureConversation, Any], Coroutine[Any, Any, Any]]


def talking(service: Service, talk: Talk, **options: Any) -> Any:
    """The result of a conversation with the service, which is closed afterwards, in an event loop."""

    async def conversation() -> Any:
        async with service.conversation(**options) as sc:
            client = sc.async_client(str(service.wsdl))
            return await talk(sc, client.service)

    return asyncio.run(conversation())


def leases_of(sc: SecureConversation) -> int:
    """How many calls are using keys."""
    return sum(sum(partner.leases._counts.values()) for partner in sc._partners.known())


# ----------------------------------------------------------------------------------------------------- calls


def test_calls_are_secured_and_answered(service: Service) -> None:
    """Several operations share one context, which is cancelled at the end, and nothing travels in the clear."""

    async def talk(_: SecureConversation, operations: Any) -> list[Any]:
        return [
            await operations.echo("a secret"),
            await operations.sum([1, 2, 39]),
            await operations.whoami(),
        ]

    assert talking(service, talk) == ["a secret", 42, "CN=client,O=Test"]
    assert service.kinds() == ["issue", "echo", "sum", "whoami", "cancel"]
    assert service.told() == ["issued", "cancelled"]
    assert not any(b"a secret" in posted.body + posted.answer for posted in service.posted)


def test_a_wsdl_from_a_url_is_taken(service: Service) -> None:
    """The WSDL may come over HTTP; its policy is read again in a thread."""

    async def conversation() -> str:
        async with service.conversation() as sc:
            client = await asyncio.to_thread(sc.async_client, service.url + "?wsdl")
            return str(await client.service.echo("x"))

    assert asyncio.run(conversation()) == "x"


def test_a_declared_fault_is_zeeps_own(service: Service) -> None:
    """A fault that the context signed is zeep's Fault with its detail, and the context stays."""

    async def talk(sc: SecureConversation, operations: Any) -> None:
        with pytest.raises(Fault) as caught:
            await operations.fail("E42")
        assert not isinstance(caught.value, (TokenFault, UnsecuredFault))
        assert "".join(caught.value.detail.itertext()) == "E42"
        assert len(sc.contexts()) == 1
        assert leases_of(sc) == 0

    talking(service, talk)


@pytest.mark.parametrize(
    ("answer", "check"),
    [
        (("200 OK", {}, b""), "empty-answer"),
        (("202 Accepted", {}, b""), "empty-answer"),
        (("307 Temporary Redirect", {"Location": "/elsewhere"}, b""), 307),
        (("503 Service Unavailable", {}, b""), 503),
        (("200 OK", {"Content-Type": "text/html"}, b"<html><body>Hello</body></html>"), 200),
    ],
    ids=["200", "202", "redirect", "503", "web page"],
)
def test_odd_answers_are_refused(service: Service, answer: Answer, check: str | int) -> None:
    """Nothing where something is due, redirects and what is no SOAP are errors; calls before and after work."""

    async def talk(sc: SecureConversation, operations: Any) -> Any:
        assert await operations.echo("before") == "before"
        service.interfere = lambda _: answer
        with pytest.raises((VerificationError, TransportError)) as caught:
            await operations.echo("x")
        service.interfere = None
        assert leases_of(sc) == 0
        assert await operations.echo("after") == "after"
        error = caught.value
        assert error.endpoint == service.url
        return error.status_code if isinstance(error, TransportError) else getattr(error, "check", None)

    assert talking(service, talk) == check
    assert service.kinds() == ["issue", "echo", "echo", "echo", "cancel"]
    assert not any(posted.environ["PATH_INFO"].endswith("elsewhere") for posted in service.posted)


def test_an_earlier_answer_is_refused(service: Service) -> None:
    """A genuine answer to an earlier call is no answer to this one."""

    async def talk(_: SecureConversation, operations: Any) -> None:
        assert await operations.echo("first") == "first"
        earlier = service.posted[-1].answer
        service.interfere = lambda _: ("200 OK", {"Content-Type": "text/xml"}, earlier)
        with pytest.raises(VerificationError):
            await operations.echo("second")
        service.interfere = None

    talking(service, talk)


# ------------------------------------------------------------------------------------------- single flight


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "file"])
def test_concurrent_calls_ask_once(service: Service, tmp_path: Path, stored: bool) -> None:
    """Sixty calls at once use one context, whichever store it is kept in, and each gets its own answer."""
    options = {"store": FileStore(tmp_path / "contexts", key=KEY, clock=service.time.clock)} if stored else {}

    async def talk(sc: SecureConversation, operations: Any) -> list[str]:
        answers = await asyncio.gather(*(operations.echo(f"text {number}") for number in range(60)))
        assert leases_of(sc) == 0
        return list(answers)

    assert talking(service, talk, **options) == [f"text {number}" for number in range(60)]
    assert service.kinds().count("issue") == 1


def test_an_error_reaches_all_who_wait(service: Service) -> None:
    """Where no context is to be had, it is asked for once, and all calls fail, each with an error of its own."""

    async def talk(_: SecureConversation, operations: Any) -> list[Any]:
        service.interfere = lambda _: ("500 Oops", {"Content-Type": "text/plain"}, b"no")
        failed = await asyncio.gather(*(operations.echo("x") for _ in range(20)), return_exceptions=True)
        service.interfere = None
        assert await operations.echo("again") == "again"
        return failed

    failed = talking(service, talk)
    assert {type(error) for error in failed} == {TransportError}
    assert len({id(error) for error in failed}) == 20
    assert service.kinds() == ["issue", "issue", "echo", "cancel"]


def test_a_second_object_uses_the_stored_context(service: Service, tmp_path: Path) -> None:
    """What one client stored, another one finds, and no context is asked for."""

    async def talk(_: SecureConversation, operations: Any) -> Any:
        return await operations.echo("x")

    for _ in range(2):
        store = FileStore(tmp_path / "contexts", key=KEY, clock=service.time.clock)
        assert talking(service, talk, store=store) == "x"
    assert service.kinds() == ["issue", "echo", "echo"]


# ---------------------------------------------------------------------------------------------- cancellation


class Gate:
    """Holds up the service's answers of one kind, until it is opened.

    Args:
        service: whose.
        kind: what it was asked.
    """

    def __init__(self, service: Service, kind: str) -> None:
        self._kind = kind
        self._reached, self._open = threading.Event(), threading.Event()
        service.interfere = self._wait

    def _wait(self, posted: Posted) -> None:
        if posted.kind == self._kind:
            self._reached.set()
            assert self._open.wait(30)

    async def reached(self) -> None:
        """Until a request is held up."""
        assert await asyncio.to_thread(self._reached.wait, 30)

    def open(self) -> None:
        """Let all pass."""
        self._open.set()


async def cancelled(task: asyncio.Task[Any]) -> None:
    """The task is cancelled, and says so."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_task_that_waits_for_a_context_may_be_cancelled(service: Service) -> None:
    """The context is got and kept all the same: the next call uses it, and other waiters do not notice."""
    gate = Gate(service, "issue")

    async def talk(sc: SecureConversation, operations: Any) -> None:
        first, second = (asyncio.create_task(operations.echo(text)) for text in ("first", "second"))
        await gate.reached()
        await cancelled(first)
        gate.open()
        assert await second == "second"
        assert await operations.echo("third") == "third"
        assert leases_of(sc) == 0

    talking(service, talk)
    assert service.kinds() == ["issue", "echo", "echo", "cancel"]


def test_all_who_wait_for_a_context_may_be_cancelled(service: Service) -> None:
    """Where nobody waits for it any more, the context is kept for the next call."""
    gate = Gate(service, "issue")

    async def talk(_: SecureConversation, operations: Any) -> None:
        task = asyncio.create_task(operations.echo("x"))
        await gate.reached()
        await cancelled(task)
        gate.open()
        assert await operations.echo("y") == "y"

    talking(service, talk)
    assert service.kinds() == ["issue", "echo", "cancel"]


def test_a_task_that_waits_for_its_answer_may_be_cancelled(service: Service) -> None:
    """The context stays, and a renewal does not wait for the call."""
    gate = Gate(service, "echo")

    async def talk(sc: SecureConversation, operations: Any) -> None:
        task = asyncio.create_task(operations.echo("x"))
        await gate.reached()
        assert leases_of(sc) == 1
        await cancelled(task)
        assert leases_of(sc) == 0
        gate.open()
        assert await operations.whoami() == "CN=client,O=Test"

    talking(service, talk)
    assert service.kinds() == ["issue", "echo", "whoami", "cancel"]


def test_a_task_that_recovers_may_be_cancelled(service: Service) -> None:
    """The new context is got and kept; nothing is sent again, and no use of its key remains."""

    async def talk(sc: SecureConversation, operations: Any) -> None:
        assert await operations.echo("x") == "x"
        service.restart()
        gate = Gate(service, "issue")
        task = asyncio.create_task(operations.echo("y"))
        await gate.reached()
        await cancelled(task)
        gate.open()
        assert await operations.whoami() == "CN=client,O=Test"
        await asyncio.sleep(0)
        assert leases_of(sc) == 0

    talking(service, talk, recover="always")
    assert service.kinds() == ["issue", "echo", "echo", "issue", "whoami", "cancel"]


def test_a_twin_that_is_cancelled_goes_on(service: Service) -> None:
    """A context that was asked for by acontext() is there for the next call, even if nobody waited."""
    gate = Gate(service, "issue")

    async def talk(sc: SecureConversation, operations: Any) -> None:
        task = asyncio.create_task(sc.acontext(service.url))
        await gate.reached()
        await cancelled(task)
        gate.open()
        assert await operations.echo("x") == "x"

    talking(service, talk, policy=service.wsdl)
    assert service.kinds() == ["issue", "echo", "cancel"]


# ---------------------------------------------------------------------------------------------- life of contexts


def test_a_lost_context_is_recovered(service: Service) -> None:
    """After the service forgot its contexts, thirty calls at once succeed with one new context; each is told."""

    async def talk(sc: SecureConversation, operations: Any) -> list[str]:
        assert await operations.echo("before") == "before"
        service.restart()
        answers = await asyncio.gather(*(operations.echo(f"text {number}") for number in range(30)))
        assert leases_of(sc) == 0
        return list(answers)

    assert talking(service, talk, recover="always") == [f"text {number}" for number in range(30)]
    assert service.kinds().count("issue") == 2
    assert service.told().count("issued") == 2
    assert service.told().count("recovered") >= 1


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "file"])
def test_a_lost_context_is_replaced_by_the_next_call(service: Service, tmp_path: Path, stored: bool) -> None:
    """Where nothing proves that the service lost the context, the call fails, and the next one asks for a new one."""
    options = {"store": FileStore(tmp_path / "contexts", key=KEY, clock=service.time.clock)} if stored else {}

    async def talk(sc: SecureConversation, operations: Any) -> None:
        await operations.echo("x")
        service.restart()
        with pytest.raises(TokenFault) as caught:
            await operations.echo("y")
        assert caught.value.name == "BadContextToken"
        assert not caught.value.verified
        assert sc.contexts() == []
        assert await operations.echo("z") == "z"

    talking(service, talk, **options)
    assert service.kinds()[:5] == ["issue", "echo", "echo", "issue", "echo"]
    assert service.told()[:3] == ["issued", "lost", "issued"]


def test_a_context_is_renewed_once(service: Service) -> None:
    """When its end is near, twenty calls at once renew it once, and all succeed."""

    async def talk(sc: SecureConversation, operations: Any) -> None:
        await operations.echo("x")
        (old,) = sc.contexts()
        service.time.forward(HOURS - timedelta(minutes=5))
        answers = await asyncio.gather(*(operations.echo(str(number)) for number in range(20)))
        assert answers == [str(number) for number in range(20)]
        (new,) = sc.contexts()
        assert new.identifier == old.identifier
        assert new.instance != old.instance

    talking(service, talk)
    assert service.told() == ["issued", "renewed", "cancelled"]


def test_every_method_has_a_twin(service: Service) -> None:
    """acontext, aissue, arenew, avalidate and acancel do what the others do."""

    async def talk(sc: SecureConversation, operations: Any) -> None:
        await operations.echo("x")
        first = await sc.acontext(service.url)
        assert [first] == sc.contexts()
        renewed = await sc.arenew()
        assert renewed.identifier == first.identifier
        assert renewed.instance != first.instance
        assert await sc.avalidate(renewed)
        issued = await sc.aissue(service.url)
        assert issued.identifier != first.identifier
        assert await sc.acancel(issued) == 1
        assert sc.contexts() == []
        with pytest.raises(ConfigurationError):
            await sc.arenew(issued)

    talking(service, talk)
    assert service.told() == ["issued", "renewed", "issued", "cancelled", "cancelled"]


def test_closing_closes_the_client_too(service: Service) -> None:
    """aclose() cancels contexts and closes the httpx client that it made; a second time nothing happens."""

    async def conversation() -> None:
        sc = service.conversation()
        client = sc.async_client(str(service.wsdl))
        await client.service.echo("x")
        assert not client.transport.client.is_closed
        await sc.aclose()
        assert client.transport.client.is_closed
        assert client.transport.wsdl_client.is_closed
        await sc.aclose()
        with pytest.raises(ConfigurationError) as caught:
            await client.service.echo("y")
        assert "closed" in caught.value.message

    asyncio.run(conversation())
    assert service.kinds() == ["issue", "echo", "cancel"]


def test_the_clients_own_client_is_used_and_left_open(service: Service) -> None:
    """An httpx client of the user, with its headers, posts the messages of the trust service too, and stays open."""

    async def conversation() -> None:
        async with httpx.AsyncClient(headers={"X-Mark": "mine"}) as mine:
            async with service.conversation() as sc:
                client = sc.async_client(str(service.wsdl), transport=sc.async_transport(client=mine))
                await client.service.echo("x")
            assert not mine.is_closed

    asyncio.run(conversation())
    assert service.kinds() == ["issue", "echo", "cancel"]
    assert [posted.environ["HTTP_X_MARK"] for posted in service.posted] == ["mine"] * 3


def test_contexts_are_cancelled_after_the_event_loop_ended(service: Service) -> None:
    """``with`` around ``asyncio.run()`` gives contexts back all the same."""

    async def talk(sc: SecureConversation) -> None:
        async with sc.async_client(str(service.wsdl)) as client:
            await client.service.echo("x")

    with service.conversation() as sc:
        asyncio.run(talk(sc))
        assert len(sc.contexts()) == 1
    assert service.kinds() == ["issue", "echo", "cancel"]
    assert service.told() == ["issued", "cancelled"]


def test_one_object_serves_two_event_loops(service: Service) -> None:
    """Two threads with an event loop and a client each share the context."""
    both = threading.Barrier(2)

    async def talk(sc: SecureConversation) -> list[str]:
        async with sc.async_client(str(service.wsdl)) as client:
            await asyncio.to_thread(both.wait, 30)
            answers = await asyncio.gather(*(client.service.echo(str(number)) for number in range(20)))
            await asyncio.to_thread(both.wait, 30)
            return list(answers)

    with service.conversation() as sc:
        results: list[Future[list[str]]] = [Future(), Future()]
        threads = [
            threading.Thread(target=lambda to=to: to.set_result(asyncio.run(talk(sc)))) for to in results
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(to.result(0) == [str(number) for number in range(20)] for to in results)
        assert leases_of(sc) == 0
    assert service.kinds().count("issue") == 1
    assert service.kinds()[-1] == "cancel"


def test_synchronous_and_asynchronous_clients_share_a_context(service: Service) -> None:
    """A context is the endpoint's, whoever asked for it."""
    with service.conversation() as sc:
        assert sc.client(str(service.wsdl)).service.echo("x") == "x"

        async def talk() -> None:
            async with sc.async_client(str(service.wsdl)) as client:
                assert await client.service.echo("y") == "y"

        asyncio.run(talk())
    assert service.kinds() == ["issue", "echo", "echo", "cancel"]


# --------------------------------------------------------------------------------------------- event loop


@contextmanager
def no_blocking(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Notes what blocks this thread while it is in an event loop: sockets that wait, futures, flights and leases."""
    here, noted = threading.get_ident(), list[str]()

    def note(of: Any, name: str, blocks: Callable[[Any], bool]) -> None:
        original = getattr(of, name)

        def noting(self: Any, *arguments: Any, **keywords: Any) -> Any:
            if threading.get_ident() == here and asyncio._get_running_loop() is not None and blocks(self):
                noted.append(f"{of.__name__}.{name}")
            return original(self, *arguments, **keywords)

        monkeypatch.setattr(of, name, noting)

    for name in ("connect", "recv", "recv_into", "send", "sendall"):
        note(socket.socket, name, lambda it: it.gettimeout() != 0)
    for name in ("result", "exception"):
        note(Future, name, lambda it: not it.done())
    note(SingleFlight, "run", lambda _: True)
    note(Leases, "drain", lambda _: True)
    note(requests.Session, "send", lambda _: True)
    note(httpx.Client, "send", lambda _: True)
    yield noted
    monkeypatch.undo()


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "file"])
def test_nothing_blocks_the_event_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stored: bool
) -> None:
    """Reading the policy, asking, calling, a lost context, renewing and cancelling leave the loop free."""
    store = FileStore(tmp_path / "contexts", key=KEY, clock=service.time.clock) if stored else None
    loop_thread, in_store = threading.get_ident(), list[bool]()
    if store is not None:
        for name in ("get", "add", "replace", "drop"):
            original = getattr(store, name)

            def noted(*arguments: Any, original: Any = original) -> Any:
                in_store.append(threading.get_ident() == loop_thread)
                return original(*arguments)

            monkeypatch.setattr(store, name, noted)

    async def talk(sc: SecureConversation, client: Any) -> None:
        operations = client.service
        assert await operations.echo("x") == "x"
        await sc.arenew(await sc.acontext(service.url))
        service.restart()
        with pytest.raises(TokenFault):
            await operations.echo("y")
        assert await operations.echo("z") == "z"
        assert await sc.acancel() == 1
        await sc.aclose()

    sc = service.conversation(store=store)
    client = sc.async_client(service.url + "?wsdl")
    with no_blocking(monkeypatch) as blocked:
        asyncio.run(talk(sc, client))
    assert blocked == []
    assert not any(in_store)
    assert bool(in_store) == stored


def test_what_blocks_an_event_loop_would_be_noticed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same watch notices a synchronous client in a coroutine."""

    async def talk(client: Any) -> None:
        assert client.service.echo("x") == "x"

    with service.conversation() as sc:
        client = sc.client(str(service.wsdl))
        with no_blocking(monkeypatch) as blocked:
            asyncio.run(talk(client))
    assert {"socket.connect", "SingleFlight.run", "Session.send"} <= set(blocked)


def test_synchronous_methods_are_refused_in_the_event_loop(service: Service) -> None:
    """A method that would wait for its own event loop says which to await, and the context is kept."""

    async def talk(sc: SecureConversation, operations: Any) -> None:
        await operations.echo("x")
        (context,) = sc.contexts()
        for work in (sc.cancel, sc.close, sc.renew, lambda: sc.issue(service.url)):
            with pytest.raises(ConfigurationError) as caught:
                work()
            assert "acancel" in str(caught.value.hint)
        assert sc.contexts() == [context]

    talking(service, talk)
    assert service.kinds() == ["issue", "echo", "cancel"]


_FORKS = """
import asyncio, os, sys
from zeep_secureconv import SecureConversation

sc = SecureConversation()
assert asyncio.run(sc._asynchronous.run(os.getpid)) == os.getpid()
child = os.fork()
found = asyncio.run(sc._asynchronous.run(os.getpid))
assert found == os.getpid()
if child == 0:
    os._exit(17)
print("the child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """Those of its parent are not there, and are not waited for."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _FORKS], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "the child ended with 17\n"


# ------------------------------------------------------------------------------------- other ways to attach


async def plain(sc: SecureConversation, service: Service, talk: Callable[[Any], Awaitable[Any]]) -> None:
    """Talk through zeep's own asynchronous transport."""
    client = httpx.AsyncClient(follow_redirects=True)
    with httpx.Client() as wsdl_client:
        transport = AsyncTransport(client=client, wsdl_client=wsdl_client)
        async with zeep.AsyncClient(str(service.wsdl), wsse=sc, plugins=[sc], transport=transport) as made:
            await talk(made.service)


def test_zeeps_own_transport_needs_a_context(service: Service) -> None:
    """Without one it is told to use sc.async_client(), before any traffic; with one it works."""

    async def conversation() -> None:
        async with service.conversation() as sc:

            async def talk(operations: Any) -> None:
                with pytest.raises(ConfigurationError) as caught:
                    await operations.echo("x")
                assert "sc.async_client(" in str(caught.value)
                assert service.posted == []
                await sc.acontext(service.url)
                assert await operations.echo("y") == "y"

            await plain(sc, service, talk)

    asyncio.run(conversation())
    assert service.kinds() == ["issue", "echo", "cancel"]


@pytest.mark.parametrize(
    "answer", [("202 Accepted", {}, b""), ("307 Temporary Redirect", {"Location": "/elsewhere"}, b"")]
)
def test_zeeps_own_transport_is_watched(service: Service, answer: Answer) -> None:
    """Empty answers and redirects are refused there too, even by a client that would follow."""

    async def conversation() -> None:
        async with service.conversation(policy=service.wsdl) as sc:
            await sc.acontext(service.url)

            async def talk(operations: Any) -> None:
                assert await operations.echo("x") == "x"
                service.interfere = lambda _: answer
                with pytest.raises((VerificationError, TransportError)):
                    await operations.echo("y")
                service.interfere = None
                assert await operations.echo("z") == "z"
                assert leases_of(sc) == 0

            await plain(sc, service, talk)

    asyncio.run(conversation())
    assert service.kinds() == ["issue", "echo", "echo", "echo", "cancel"]


def test_plugins_alone_is_refused(service: Service) -> None:
    """In plugins= without wsse= nothing is sent, since no reply would be verified."""

    async def conversation() -> None:
        async with service.conversation() as sc:
            transport = sc.async_transport()
            client = zeep.AsyncClient(str(service.wsdl), plugins=[sc], transport=transport)
            with pytest.raises(ConfigurationError) as caught:
                await client.service.echo("x")
            assert "wsse=sc" in str(caught.value.hint)

    asyncio.run(conversation())
    assert service.posted == []


def test_what_is_missing_is_told_before_any_traffic(service: Service) -> None:
    """A client without a certificate, and a policy that secures nothing, are refused in the same words as ever."""

    async def talk(_: SecureConversation, operations: Any) -> None:
        await operations.echo("x")

    with pytest.raises(ConfigurationError) as caught:
        talking(service, talk, identity=None)
    assert "identity=" in str(caught.value)
    service.wsdl.write_bytes(demonstration_wsdl(None, address=service.url))
    with pytest.raises(PolicyError):
        talking(service, talk)
    assert service.posted == []


def test_a_call_outside_of_an_event_loop_is_refused(service: Service) -> None:
    """Outside of a coroutine nobody could wait for a context."""
    with service.conversation() as sc:
        client = sc.async_client(str(service.wsdl))
        with pytest.raises(ConfigurationError) as caught:
            client.create_message(client.service, "echo", "x")
        assert "event loop" in caught.value.message
        asyncio.run(client.transport.aclose())


def test_without_httpx_it_is_told_what_to_install(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where httpx is not installed, the error names the extra; synchronous clients work."""
    for module in ("async_transport", "async_way"):
        monkeypatch.delitem(sys.modules, f"zeep_secureconv.client.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "httpx", None)
    with service.conversation() as sc:
        with pytest.raises(ConfigurationError) as caught:
            sc.async_client(str(service.wsdl))
        assert "zeep_secureconv[async]" in str(caught.value.hint)
        assert sc.client(str(service.wsdl)).service.echo("x") == "x"


def test_identities_may_be_devices(service: Service) -> None:
    """A device that signs is asked in another thread than that of the event loop."""
    mine, threads = identity("client"), list[int]()

    def sign(data: bytes, algorithm: str) -> bytes:
        threads.append(threading.get_ident())
        return mine.sign(data, algorithm)

    async def talk(_: SecureConversation, operations: Any) -> Any:
        return await operations.echo("x")

    device = Identity(mine.certificate, sign=sign, decrypt=mine.decrypt)
    assert talking(service, talk, identity=device) == "x"
    assert threads
    assert threading.get_ident() not in threads
