"""Many asynchronous calls at once against the embedded service, and policies of every kind in an event loop."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zeep

from tests.peers.grid import ATTEMPTED, USER, principal, service_arguments
from tests.peers.our_side import OurService, our_client, our_service
from tests.peers.variants import Variant
from zeep_secureconv import PolicyError, SecureConversation, UsernameToken

#: One for each way in which an application message can be secured, and each of the bootstrap.
SAMPLE = {
    "cxf-asym-dk",
    "cxf-asym-dk-app-username",
    "cxf-draft-asym-nodk",
    "cxf-tls-endorsing-sct-dk",
    "cxf-tls-x509-bootstrap",
    "metro-soap12",
    "metro-symx509-username",
    "rampart-ut-tls",
}
VARIANTS = [variant for variant in ATTEMPTED if str(variant) in SAMPLE]


def named(name: str) -> Variant:
    """The variant of a name."""
    (variant,) = (variant for variant in VARIANTS if str(variant) == name)
    return variant


@pytest.fixture
def plain(pki: Path, tmp_path: Path) -> Iterator[OurService]:
    """A service over http, under certificates."""
    variant = named("cxf-asym-dk")
    with our_service(pki, variant.write_wsdl(tmp_path), **service_arguments(variant)) as service:
        yield service


async def called(
    sc: SecureConversation, service: OurService, pki: Path, whoami: str | None = None, **options: Any
) -> list[str]:
    """What the operations answered."""
    tls = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    transport = sc.async_transport(verify_ssl=tls, **options)
    client = await asyncio.to_thread(sc.async_client, service.wsdl, transport=transport)
    answers = await asyncio.gather(*(client.service.echo(f"text {number}") for number in range(5)))
    assert await client.service.sum([1, 2, 39]) == 42
    with pytest.raises(zeep.exceptions.Fault):
        await client.service.fail("E42")
    assert whoami is None or await client.service.whoami() == whoami
    return list(answers)


def test_the_sample_is_there() -> None:
    """Every variant of the sample is one of the grid's."""
    assert {str(variant) for variant in VARIANTS} == SAMPLE


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_kind_of_policy(variant: Variant, pki: Path, tmp_path: Path) -> None:
    """Calls, a declared fault and Cancel work in an event loop as they do in threads, with one context."""
    username = {"username": USER} if variant.wants_username else {}

    async def conversation(service: OurService) -> list[str]:
        async with our_client(pki, **username) as sc:
            return await called(sc, service, pki, principal(variant))

    with our_service(pki, variant.write_wsdl(tmp_path), **service_arguments(variant)) as service:
        assert asyncio.run(conversation(service)) == [f"text {number}" for number in range(5)]
        assert service.counted()["Issue"] == 1
        assert service.contexts() == []


def test_transport_security_needs_verified_certificates(pki: Path, tmp_path: Path) -> None:
    """A policy of TLS is not used through a client that verifies nothing, before any message."""
    variant = named("cxf-tls-endorsing-sct-dk")

    async def conversation(service: OurService) -> None:
        async with our_client(pki, username=USER) as sc:
            transport = sc.async_transport(verify_ssl=False)
            client = await asyncio.to_thread(sc.async_client, service.wsdl, transport=transport)
            with pytest.raises(PolicyError):
                await client.service.echo("x")

    with our_service(pki, variant.write_wsdl(tmp_path), **service_arguments(variant)) as service:
        asyncio.run(conversation(service))
        assert service.counted()["Issue"] == 0


def test_two_hundred_calls_at_once(plain: OurService, pki: Path) -> None:
    """Two hundred calls at once are answered over one context, each with its own answer, and all are executed once."""

    async def conversation() -> list[str]:
        async with our_client(pki) as sc:
            client = await asyncio.to_thread(sc.async_client, plain.wsdl)
            answers = await asyncio.gather(*(client.service.echo(f"text {number}") for number in range(200)))
            assert len(sc.contexts()) == 1
            return list(answers)

    assert asyncio.run(conversation()) == [f"text {number}" for number in range(200)]
    assert plain.app.calls == 200
    assert plain.counted()["Issue"] == 1
    assert plain.contexts() == []


def test_calls_that_are_cancelled_leave_nothing(plain: OurService, pki: Path) -> None:
    """Of a hundred calls every second one is cancelled, each a step later; the others and later ones are answered."""

    async def conversation() -> None:
        async with our_client(pki) as sc:
            client = await asyncio.to_thread(sc.async_client, plain.wsdl)
            tasks = [asyncio.create_task(client.service.echo(f"text {number}")) for number in range(100)]
            for task in tasks[::2]:
                await asyncio.sleep(0)
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            for number, (task, result) in enumerate(zip(tasks, done, strict=True)):
                assert task.cancelled() or result == f"text {number}"
            assert done[1::2] == [f"text {number}" for number in range(1, 100, 2)]
            assert any(task.cancelled() for task in tasks)
            (partner,) = sc._partners.known()
            assert not partner.leases._counts
            assert await client.service.echo("after") == "after"

    asyncio.run(conversation())
    assert plain.counted()["Issue"] == 1
    assert plain.contexts() == []


def test_a_forgotten_context_under_load(plain: OurService, pki: Path) -> None:
    """When the service forgets everything in the middle of a hundred calls, none fails, and none is executed twice."""

    async def conversation() -> None:
        async with our_client(pki, recover="always") as sc:
            client = await asyncio.to_thread(sc.async_client, plain.wsdl)
            await client.service.echo("before")
            tasks = [asyncio.create_task(client.service.echo(f"text {number}")) for number in range(100)]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert done
            for key, context in list(plain.store.items("service")):
                assert plain.store.drop(key, context)
            assert await asyncio.gather(*tasks) == [f"text {number}" for number in range(100)]

    asyncio.run(conversation())
    assert plain.app.calls == 101
    assert plain.contexts() == []


def test_functions_of_the_user_do_not_block(pki: Path, tmp_path: Path) -> None:
    """A token that calls need, and that a function of the user makes, is made in another thread than the loop's."""
    variant, threads = named("cxf-asym-dk-app-username"), list[int]()

    def password() -> str:
        threads.append(threading.get_ident())
        return "secret"

    async def conversation(service: OurService) -> None:
        async with our_client(pki, username=UsernameToken("alice", password)) as sc:
            await called(sc, service, pki)

    with our_service(pki, variant.write_wsdl(tmp_path), **service_arguments(variant)) as service:
        asyncio.run(conversation(service))
    assert len(threads) >= 7
    assert threading.get_ident() not in threads
