"""Our client in conversation with CXF's server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import zeep

from tests.peers.our_side import CLIENT, VARIANTS, our_client
from tests.peers.peer import PeerServer
from zeep_secureconv import SecureConversation, TokenFault, UnsecuredFault

_TEXTS = {
    "ascii": "hello",
    "accents": "ünï € żółć",
    "astral": "clef 𝄞 face 😀",
    "empty": "",
    "section-end": "a ]]> b ]]&gt; c",
    "markup": '<a b="c">&amp;\'</a>',
    "line-ends": "a\r\nb\rc\nd",
    "blanks": "  leading, trailing\t ",
    "megabyte": "0123456789abcdef" * 65_536,
}


def _long_form(sc: SecureConversation, wsdl: str) -> zeep.Client:
    return zeep.Client(wsdl, wsse=sc, plugins=[sc])


def _short_form(sc: SecureConversation, wsdl: str) -> zeep.Client:
    return sc.client(wsdl)


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    """The name of one variant after the other."""
    return str(request.param)


@pytest.mark.parametrize("connect", [_long_form, _short_form])
def test_every_operation(
    cxf: PeerServer, pki: Path, variant: str, connect: Callable[[SecureConversation, str], zeep.Client]
) -> None:
    """Every operation and every kind of text comes through, all in one conversation."""
    before = cxf.stats()
    with our_client(pki) as sc:
        service = connect(sc, cxf.wsdl(variant)).service
        for name, text in _TEXTS.items():
            assert (service.echo(text) or "") == text, name
        assert service.sum([1, 2, 39]) == 42
        assert service.sum([]) == 0
        assert len(service.big(100_000)) == 100_000
        assert service.whoami() == CLIENT
        (context,) = sc.contexts()
        assert context.identifier in {session["identifier"] for session in cxf.sessions()}
    after = cxf.stats()
    assert after["issued"] - before["issued"] == 1
    assert after["calls"] - before["calls"] == len(_TEXTS) + 4
    assert after["cancelled"] - before["cancelled"] == 1


def test_declared_fault(cxf: PeerServer, pki: Path, variant: str) -> None:
    """A declared fault is a zeep Fault with its detail, not called verified: CXF signs its Timestamp only."""
    with our_client(pki) as sc:
        service = _long_form(sc, cxf.wsdl(variant)).service
        with pytest.raises(zeep.exceptions.Fault) as caught:
            service.fail("E42")
        fault = caught.value
        assert isinstance(fault, UnsecuredFault)
        assert not fault.verified
        assert fault.detail is not None
        assert fault.detail.findtext("{*}PeerFault/{*}code") == "E42"
        # the conversation goes on
        (context,) = sc.contexts()
        assert service.echo("on") == "on"
        assert sc.contexts() == [context]


def test_cancel_then_a_new_conversation(cxf: PeerServer, pki: Path, variant: str) -> None:
    """CXF counts the Cancel and no longer holds the context; the next call begins a new one."""
    with our_client(pki) as sc:
        service = _long_form(sc, cxf.wsdl(variant)).service
        service.echo("first")
        (first,) = sc.contexts()
        before = cxf.stats()
        assert sc.cancel(first) == 1
        after = cxf.stats()
        assert after["cancelled"] - before["cancelled"] == 1
        assert first.identifier not in {session["identifier"] for session in cxf.sessions()}
        assert sc.contexts() == []
        assert service.echo("again") == "again"
        (second,) = sc.contexts()
        assert second.identifier != first.identifier
        assert cxf.stats()["issued"] - after["issued"] == 1


def test_wsse_without_plugins(cxf: PeerServer, pki: Path, variant: str, tmp_path: Path) -> None:
    """With endpoint= and policy= given, wsse= alone is enough."""
    policy = tmp_path / "service.wsdl"
    policy.write_text(cxf.wsdl_text(variant), encoding="utf-8")
    with our_client(pki, endpoint=cxf.url(variant), policy=policy) as sc:
        service = zeep.Client(cxf.wsdl(variant), wsse=sc).service
        for text in ("hello", _TEXTS["accents"], _TEXTS["megabyte"]):
            assert service.echo(text) == text
        with pytest.raises(UnsecuredFault, match="E42"):
            service.fail("E42")
        assert service.whoami() == CLIENT


def test_threads_share_one_context(cxf: PeerServer, pki: Path) -> None:
    """Eight threads with two clients make 160 calls, and ask for one context between them."""
    threads, calls = 8, 20

    def call_often(client: zeep.Client, number: int) -> list[str]:
        return [client.service.echo(f"thread {number} call {turn}") for turn in range(calls)]

    with our_client(pki) as sc:
        clients = [sc.client(cxf.wsdl("asym-dk")) for _ in range(2)]
        before = cxf.stats()
        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(call_often, clients * (threads // 2), range(threads)))
        after = cxf.stats()
    for number, received in enumerate(answers):
        assert received == [f"thread {number} call {turn}" for turn in range(calls)]
    assert after["issued"] - before["issued"] == 1
    assert after["calls"] - before["calls"] == threads * calls
    assert after["faults"] == before["faults"]


def test_two_endpoints_two_contexts(cxf: PeerServer, pki: Path) -> None:
    """One object serves two endpoints, each with a context of its own."""
    with our_client(pki) as sc:
        before = cxf.stats()
        services = [sc.client(cxf.wsdl(name)).service for name in ("asym-dk", "asym-dk-basic256")]
        for _ in range(2):
            for service in services:
                assert service.echo("hello") == "hello"
        assert {context.endpoint for context in sc.contexts()} == {
            cxf.url("asym-dk"),
            cxf.url("asym-dk-basic256"),
        }
        assert cxf.stats()["issued"] - before["issued"] == 2


@pytest.mark.parametrize("name", ["asym-dk", "asym-dk-soap12"])
def test_lost_context(cxf: PeerServer, pki: Path, name: str) -> None:
    """A server that lost the context refuses the call with a typed fault; the next call gets a new context."""
    with our_client(pki) as sc:
        service = sc.client(cxf.wsdl(name)).service
        assert service.echo("before") == "before"
        (lost,) = sc.contexts()
        calls = cxf.stats()["calls"]
        assert cxf.forget() >= 1
        with pytest.raises(TokenFault) as caught:
            service.echo("lost")
        assert caught.value.name == "SecurityError"
        assert not caught.value.verified
        assert caught.value.hint
        assert cxf.stats()["calls"] == calls
        assert service.echo("after") == "after"
        (found,) = sc.contexts()
        assert found.identifier != lost.identifier


def test_conversation_uses_the_session_of_the_client(cxf: PeerServer, pki: Path) -> None:
    """The HTTP session given to zeep carries the request for a context, the calls and the Cancel."""
    posts: list[requests.PreparedRequest] = []

    def note(response: requests.Response, **_: object) -> None:
        if response.request.method == "POST":
            posts.append(response.request)

    with requests.Session() as session, our_client(pki) as sc:
        session.hooks["response"].append(note)
        client = sc.client(cxf.wsdl("asym-dk"), transport=zeep.Transport(session=session))
        for _ in range(3):
            client.service.echo("hello")
        assert len(posts) == 1 + 3
        assert sc.cancel() == 1
    assert len(posts) == 1 + 3 + 1
