"""SecureConversation, as zeep uses it and as its user does."""

from __future__ import annotations

import gc
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import requests
import zeep
import zeep.wsa
from zeep.exceptions import Fault

from tests.unit.client.conftest import Service
from tests.unit.parties import CLIENT, NOW, SERVER, identity, pem, trust
from zeep_secureconv import (
    ConfigurationError,
    Identity,
    MemoryStore,
    PolicyError,
    SecureConversation,
    TokenFault,
    TransportError,
    Trust,
    UnsecuredFault,
    VerificationError,
)
from zeep_secureconv.names import WSC_200512
from zeep_secureconv.service.contract import demonstration_wsdl

HOURS = timedelta(hours=2)


@pytest.fixture
def sc(service: Service) -> SecureConversation:
    """The client's side of a conversation with the service."""
    return service.conversation()


@pytest.fixture
def client(service: Service, sc: SecureConversation) -> zeep.Client:
    """A zeep client of the service."""
    return sc.client(str(service.wsdl))


# ----------------------------------------------------------------------------------------------------- calls


def test_many_calls_use_one_context(service: Service, client: zeep.Client) -> None:
    """Operations answer as the contract says, and one context serves them all."""
    assert client.service.echo("h\u00e9llo <&> \u20ac") == "h\u00e9llo <&> \u20ac"
    assert client.service.sum([1, 2, 39]) == 42
    assert client.service.whoami() == "CN=client,O=Test"
    assert client.service.big(1000) == ("abcdefghijklmnopqrstuvwxyz" * 39)[:1000]
    assert service.kinds() == ["issue", "echo", "sum", "whoami", "big"]


def test_the_long_form_is_the_same(service: Service, sc: SecureConversation) -> None:
    """wsse= and plugins= on an ordinary zeep client do the same as sc.client()."""
    client = zeep.Client(str(service.wsdl), wsse=sc, plugins=[sc])
    assert client.service.echo("hello") == "hello"
    assert service.kinds() == ["issue", "echo"]


def test_nothing_travels_in_the_clear(service: Service, client: zeep.Client) -> None:
    """Neither payload nor entropy is to be seen in what went over the wire."""
    client.service.echo("top secret")
    for posted in service.posted:
        for octets in (posted.body, posted.answer):
            assert b"top secret" not in octets
            assert b"BinarySecret" not in octets
            assert b"EncryptedData" in octets


def test_a_wsdl_from_a_url_is_taken(service: Service, sc: SecureConversation) -> None:
    """The WSDL may come over HTTP, policy included."""
    client = sc.client(f"{service.url}?wsdl")
    assert client.service.echo("hello") == "hello"


def test_several_clients_and_endpoints(service: Service, sc: SecureConversation, tmp_path: Path) -> None:
    """One object serves two clients of one endpoint with one context, and another endpoint with another."""
    other = tmp_path / "other.wsdl"
    other.write_bytes(demonstration_wsdl(service.document, address=service.url + "2"))
    first, second = sc.client(str(service.wsdl)), sc.client(str(service.wsdl))
    third = sc.client(str(other))
    for client in (first, second, third, first):
        assert client.service.echo("x") == "x"
    assert service.kinds() == ["issue", "echo", "echo", "issue", "echo", "echo"]
    assert len({context.endpoint for context in sc.contexts()}) == 2


def test_the_clients_own_session_is_used(service: Service, sc: SecureConversation) -> None:
    """Headers, cookies and the like of the client's HTTP session travel with trust messages too."""
    session = requests.Session()
    session.headers["X-Mark"] = "mine"
    client = sc.client(str(service.wsdl), transport=zeep.Transport(session=session))
    client.service.echo("x")
    assert [posted.environ.get("HTTP_X_MARK") for posted in service.posted] == ["mine", "mine"]


def test_other_plugins_stay(service: Service, sc: SecureConversation) -> None:
    """Plugins given to client() work beside, and zeep's addressing plugin doubles nothing."""
    client = sc.client(str(service.wsdl), plugins=[zeep.wsa.WsAddressingPlugin()])
    assert client.service.echo("x") == "x"
    assert service.posted[-1].body.count(b"MessageID") == service.posted[0].body.count(b"MessageID") == 2


def test_sixteen_threads_ask_once(service: Service, client: zeep.Client) -> None:
    """Sixteen threads that start at once share one request for a context."""
    barrier = Barrier(16)

    def call(number: int) -> str:
        barrier.wait()
        return str(client.service.echo(f"thread {number}"))

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(call, range(16))) == [f"thread {number}" for number in range(16)]
    assert service.kinds().count("issue") == 1
    assert service.kinds().count("echo") == 16


def test_a_failed_request_for_a_context_harms_nothing(service: Service, client: zeep.Client) -> None:
    """When the service fails to issue, the call fails, and the next one asks again."""
    service.interfere = lambda posted: ("500 Oops", {}, b"") if posted.kind == "issue" else None
    with pytest.raises(TransportError):
        client.service.echo("x")
    service.interfere = None
    assert client.service.echo("x") == "x"
    assert service.kinds() == ["issue", "issue", "echo"]


# ---------------------------------------------------------------------------------------------------- faults


def test_a_declared_fault_is_zeeps_own(service: Service, sc: SecureConversation, client: zeep.Client) -> None:
    """A fault that the context signed is zeep's Fault with its detail, and the context stays."""
    with pytest.raises(Fault) as caught:
        client.service.fail("E42")
    assert not isinstance(caught.value, (TokenFault, UnsecuredFault))
    assert "".join(caught.value.detail.itertext()) == "E42"
    assert caught.value.message == "failed with E42"
    assert len(sc.contexts()) == 1
    assert client.service.echo("x") == "x"
    assert service.kinds() == ["issue", "fail", "echo"]


def test_a_lost_context_is_replaced_by_the_next_call(
    service: Service, sc: SecureConversation, client: zeep.Client
) -> None:
    """A service that forgot everything answers BadContextToken; the call fails, and the next one works."""
    client.service.echo("x")
    service.restart()
    with pytest.raises(TokenFault) as caught:
        client.service.echo("y")
    assert caught.value.name == "BadContextToken"
    assert caught.value.code == f"{{{WSC_200512}}}BadContextToken"
    assert not caught.value.verified
    assert "unauthenticated" in str(caught.value)
    assert caught.value.hint
    assert sc.contexts() == []
    assert client.service.echo("z") == "z"
    assert service.kinds() == ["issue", "echo", "echo", "issue", "echo"]
    assert service.told() == ["issued", "lost", "issued"]


def test_an_unsecured_fault_is_marked(service: Service, sc: SecureConversation, client: zeep.Client) -> None:
    """A fault that anybody could have sent is a zeep Fault, marked as unauthenticated; the context is suspect."""
    client.service.echo("x")
    text = b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><s:Fault>"
    text += b"<faultcode>s:Server</faultcode><faultstring>oops</faultstring></s:Fault></s:Body></s:Envelope>"
    service.interfere = lambda _: ("500 Oops", {"Content-Type": "text/xml"}, text)
    with pytest.raises(Fault) as caught:
        client.service.echo("x")
    assert isinstance(caught.value, UnsecuredFault)
    assert not caught.value.verified
    assert caught.value.message == "oops"
    assert caught.value.context is not None
    assert sc.contexts() == []  # Liberty and Metro answer so when they lost a context
    service.interfere = None
    assert client.service.echo("x") == "x"
    assert service.kinds().count("issue") == 2


# ------------------------------------------------------------------------------------------- other answers


def failing(service: Service, client: zeep.Client, answer: tuple[str, dict[str, str], bytes]) -> Exception:
    """The error that an odd answer gives; calls before and after it work, on one context."""
    assert client.service.echo("before") == "before"
    service.interfere = lambda _: answer
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the caller looks at it
        client.service.echo("x")
    service.interfere = None
    assert client.service.echo("after") == "after"
    assert service.kinds().count("issue") == 1
    return caught.value


@pytest.mark.parametrize("long_form", [False, True], ids=["client", "long form"])
@pytest.mark.parametrize("status", ["200 OK", "202 Accepted"])
def test_an_empty_answer_is_refused(
    service: Service, sc: SecureConversation, status: str, long_form: bool
) -> None:
    """Nothing, in answer to an operation with an output, is an error in either way of attaching."""
    client = sc.client(str(service.wsdl))
    if long_form:
        client = zeep.Client(str(service.wsdl), wsse=sc, plugins=[sc])
    error = failing(service, client, (status, {}, b""))
    assert isinstance(error, VerificationError)
    assert error.check == "empty-answer"


@pytest.mark.parametrize("long_form", [False, True], ids=["client", "long form"])
@pytest.mark.parametrize("status", ["307 Temporary Redirect", "302 Found"])
def test_a_redirect_is_not_followed(
    service: Service, sc: SecureConversation, status: str, long_form: bool
) -> None:
    """A secured message is for nobody else, in either way of attaching."""
    client = sc.client(str(service.wsdl))
    if long_form:
        client = zeep.Client(str(service.wsdl), wsse=sc, plugins=[sc])
    error = failing(service, client, (status, {"Location": service.url + "/elsewhere"}, b""))
    assert isinstance(error, TransportError)
    assert error.status_code == int(status[:3])
    assert not any(posted.environ["PATH_INFO"].endswith("elsewhere") for posted in service.posted)


def test_an_earlier_answer_is_refused(service: Service, client: zeep.Client) -> None:
    """The answer to an earlier call, sent again, is refused."""
    client.service.echo("first")
    earlier = service.posted[-1].answer
    error = failing(service, client, ("200 OK", {"Content-Type": "text/xml"}, earlier))
    assert isinstance(error, VerificationError)
    assert error.check == "replay"
    assert error.doing == "checking a reply"
    assert "refused" in service.told()


def test_an_answer_in_the_clear_is_refused(service: Service, client: zeep.Client) -> None:
    """An answer without any security is refused, whatever it says."""
    clear = (
        b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body>"
        b"<echoResponse xmlns='urn:secureconv:peer'><return>forged</return></echoResponse></s:Body></s:Envelope>"
    )
    error = failing(service, client, ("200 OK", {"Content-Type": "text/xml"}, clear))
    assert isinstance(error, VerificationError)
    assert error.check == "security-header"


def test_trust_answers_that_are_no_soap_are_transport_errors(service: Service, client: zeep.Client) -> None:
    """HTML, nothing, and truncated XML in answer to the request for a context say what happened."""
    for status, body, text in (
        ("200 OK", b"<html><body>Welcome</body></html>", "no SOAP message"),
        ("404 Not Found", b"", "HTTP status 404 and nothing else"),
        ("500 Oops", b"<s:Envelope xmlns:s='u'", "no SOAP message"),
        ("302 Found", b"", "redirects"),
    ):
        service.interfere = lambda _, answer=(status, {"Location": "/x"}, body): answer
        with pytest.raises(TransportError, match=text) as caught:
            client.service.echo("x")
        assert caught.value.status_code == int(status[:3])
        assert caught.value.endpoint == service.url
        assert caught.value.doing == "asking for a security context"
        assert caught.value.hint
    service.interfere = None
    assert client.service.echo("x") == "x"


def test_an_unreachable_service_is_a_transport_error(
    service: Service, sc: SecureConversation, tmp_path: Path
) -> None:
    """A closed port is a TransportError with the address and a hint."""
    wsdl = tmp_path / "closed.wsdl"
    wsdl.write_bytes(demonstration_wsdl(service.document, address="http://127.0.0.1:9/peer"))
    with pytest.raises(TransportError, match="not reached") as caught:
        sc.client(str(wsdl)).service.echo("x")
    assert (caught.value.status_code, caught.value.endpoint) == (0, "http://127.0.0.1:9/peer")
    assert isinstance(caught.value, zeep.exceptions.TransportError)


# -------------------------------------------------------------------------------------------- life of contexts


def test_contexts_are_those_alive(service: Service, sc: SecureConversation, client: zeep.Client) -> None:
    """contexts() is empty, then holds the one in use, until it is over."""
    assert sc.contexts() == []
    client.service.echo("x")
    (context,) = sc.contexts()
    assert context.endpoint == service.url
    assert context.expires == NOW + HOURS
    assert context.instance is None
    assert repr(sc) == "<SecureConversation with 1 contexts>"
    service.time.forward(HOURS)
    assert sc.contexts() == []


def test_an_expired_context_is_replaced(service: Service) -> None:
    """When the lifetime is over the next call asks for a new context, without a failure."""
    sc = service.conversation(renew_before=timedelta(0))
    client = sc.client(str(service.wsdl))
    client.service.echo("x")
    (first,) = sc.contexts()
    service.time.forward(HOURS - timedelta(seconds=1))
    client.service.echo("x")
    assert sc.contexts() == [first]
    service.time.forward(timedelta(seconds=1))
    client.service.echo("x")
    (second,) = sc.contexts()
    assert second.identifier != first.identifier
    assert service.kinds() == ["issue", "echo", "echo", "issue", "echo"]


def test_a_context_can_be_had_before_a_call(
    service: Service, sc: SecureConversation, client: zeep.Client
) -> None:
    """context() gives the one in use, or gets one where the endpoint is known."""
    with pytest.raises(ConfigurationError, match="not known") as caught:
        sc.context(service.url)
    assert caught.value.hint
    client.service.echo("x")
    assert sc.context(service.url) == sc.contexts()[0]
    assert service.kinds() == ["issue", "echo"]
    early = service.conversation(policy=service.wsdl)
    context = early.context(service.url)
    assert early.client(str(service.wsdl)).service.echo("x") == "x"
    assert early.contexts() == [context]
    assert service.kinds() == ["issue", "echo", "issue", "echo"]


def test_issue_always_gives_a_new_context(
    service: Service, sc: SecureConversation, client: zeep.Client
) -> None:
    """issue() asks in any case, later calls use what it got, and the context before is given back."""
    client.service.echo("x")
    (first,) = sc.contexts()
    second = sc.issue(service.url)
    assert second.identifier != first.identifier
    assert sc.contexts() == [second]
    client.service.echo("x")
    assert second.identifier.encode() in service.posted[-1].body
    assert service.kinds() == ["issue", "echo", "issue", "cancel", "echo"]


def test_cancel_gives_contexts_back(service: Service, sc: SecureConversation, client: zeep.Client) -> None:
    """cancel() of one or of all says how many were confirmed; after it a new context is asked for."""
    client.service.echo("x")
    (context,) = sc.contexts()
    assert sc.cancel(replace(context, key=replace(context.key, identifier="urn:uuid:other"))) == 0
    assert sc.cancel(context) == 1
    assert sc.cancel(context) == 0
    assert sc.contexts() == []
    client.service.echo("x")
    assert sc.cancel() == 1
    assert sc.cancel() == 0
    assert service.kinds() == ["issue", "echo", "cancel", "issue", "echo", "cancel"]


def test_a_context_is_forgotten_whatever_the_answer(
    service: Service, sc: SecureConversation, client: zeep.Client
) -> None:
    """A refused or lost Cancel is no error, confirms nothing, and the context is not used again."""
    for status, body in (("500 Oops", b""), ("200 OK", b"<html/>")):
        client.service.echo("x")
        service.interfere = lambda posted, a=(status, {}, body): a if posted.kind == "cancel" else None
        assert sc.cancel() == 0
        assert sc.contexts() == []
        service.interfere = None
    client.service.echo("x")
    assert service.kinds().count("issue") == 3


def test_close_cancels_once(service: Service, sc: SecureConversation, client: zeep.Client) -> None:
    """close() gives every context back; a second close does nothing."""
    client.service.echo("x")
    sc.close()
    sc.close()
    assert service.kinds() == ["issue", "echo", "cancel"]
    assert service.told() == ["issued", "cancelled"]


def test_with_closes(service: Service) -> None:
    """At the end of with, also by an exception, contexts are given back."""
    with service.conversation() as sc:
        sc.client(str(service.wsdl)).service.echo("x")
    assert service.kinds() == ["issue", "echo", "cancel"]
    with pytest.raises(Fault), service.conversation() as sc:
        sc.client(str(service.wsdl)).service.fail("x")
    assert service.kinds()[3:] == ["issue", "fail", "cancel"]


def test_close_may_leave_contexts_alone(service: Service) -> None:
    """Neither with cancel_on_close=False, nor through a shared store, nor when garbage is collected, is cancelled."""
    for options in ({"cancel_on_close": False}, {"store": MemoryStore(clock=service.time.clock)}):
        with service.conversation(**options) as sc:
            sc.client(str(service.wsdl)).service.echo("x")
            assert len(sc.contexts()) == 1
    lost = service.conversation()
    lost.client(str(service.wsdl)).service.echo("x")
    del lost
    gc.collect()
    assert "cancel" not in service.kinds()


def test_a_store_is_shared_by_the_same_party(service: Service) -> None:
    """Two objects with the same credentials and store use one context."""
    store = MemoryStore(clock=service.time.clock)
    for _ in range(2):
        service.conversation(store=store).client(str(service.wsdl)).service.echo("x")
    assert service.kinds() == ["issue", "echo", "echo"]


def test_a_store_is_not_shared_by_different_parties(service: Service) -> None:
    """Another identity, or another idea of the peer, gets a context of its own from the same store."""
    store = MemoryStore(clock=service.time.clock)
    principals = []
    for name in ("client", "client2", "client", "client2"):
        sc = service.conversation(store=store, identity=identity(name))
        principals.append(sc.client(str(service.wsdl)).service.whoami())
    assert principals == ["CN=client,O=Test", "CN=client2,O=Test"] * 2
    assert service.kinds().count("issue") == 2
    pair = (identity("server").certificate, identity("server").certificate)
    service.conversation(store=store, peer=pair).client(str(service.wsdl)).service.echo("x")
    assert service.kinds().count("issue") == 2


# --------------------------------------------------------------------------------------------- events and logs


def test_events_tell_what_happened(service: Service, sc: SecureConversation, client: zeep.Client) -> None:
    """Events name kind, endpoint, context and time."""
    client.service.echo("x")
    (context,) = sc.contexts()
    sc.close()
    issued, verified, cancelled = service.events
    assert [event.kind for event in service.events] == ["issued", "verified", "cancelled"]
    for event in (issued, verified, cancelled):
        assert (event.endpoint, event.identifier, event.instance) == (service.url, context.identifier, None)
        assert event.at == NOW
    assert issued.detail == "expires 2026-11-21T14:00:00Z"


def test_no_secret_is_told_or_logged(
    service: Service, sc: SecureConversation, client: zeep.Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither events, logs, reprs nor errors hold keys or payloads of ours."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("zeep.transports").setLevel(logging.INFO)
    client.service.echo("top secret")
    (context,) = sc.contexts()
    service.interfere = lambda posted: ("200 OK", {}, posted.body)
    with pytest.raises(VerificationError) as caught:
        client.service.echo("top secret")
    service.interfere = None
    sc.close()
    key = context.key.secret
    texts = [
        caplog.text,
        repr(service.events),
        repr(sc),
        repr(context),
        str(caught.value),
        repr(caught.value),
    ]
    assert any(context.identifier in text for text in texts)
    for text in texts:
        for secret in ("top secret", key.hex(), repr(key)[2:-1]):
            assert secret not in text


# ----------------------------------------------------------------------------------------------- configuration


def without_actions(service: Service, folder: Path) -> str:
    """The service's WSDL without actions, for which zeep adds no addressing headers."""
    text = re.sub(r' wsaw:Action="[^"]*"', "", service.document.decode())
    path = folder / "without-actions.wsdl"
    path.write_text(text)
    return str(path)


def test_wsse_alone_needs_endpoint_and_policy(
    service: Service, sc: SecureConversation, tmp_path: Path
) -> None:
    """wsse= without plugins= says what to write, before any traffic."""
    with pytest.raises(ConfigurationError, match="The endpoint is not known") as caught:
        zeep.Client(without_actions(service, tmp_path), wsse=sc).service.echo("x")
    assert "plugins=[sc]" in str(caught.value)
    assert "endpoint=" in str(caught.value)
    for client in (
        zeep.Client(without_actions(service, tmp_path), wsse=service.conversation(endpoint=service.url)),
        zeep.Client(str(service.wsdl), wsse=sc),
    ):
        with pytest.raises(ConfigurationError, match="The policy of this endpoint is not known") as caught:
            client.service.echo("x")
        assert "policy='service.wsdl'" in str(caught.value)
    assert service.posted == []


def test_wsse_alone_works_with_both(service: Service, tmp_path: Path) -> None:
    """With endpoint= and policy=, or with wsa:To and policy=, wsse= alone does."""
    given = service.conversation(endpoint=service.url, policy=service.wsdl)
    assert zeep.Client(without_actions(service, tmp_path), wsse=given).service.echo("x") == "x"
    by_to = service.conversation(policy={service.url: service.wsdl})
    assert zeep.Client(str(service.wsdl), wsse=by_to).service.echo("y") == "y"
    assert service.kinds() == ["issue", "echo"] * 2


def test_wsse_alone_works_beside_zeeps_addressing(service: Service) -> None:
    """Zeep's addressing plugin doubles what zeep adds by itself; the message has each header once all the same."""
    by_to = service.conversation(policy={service.url: service.wsdl})
    client = zeep.Client(str(service.wsdl), wsse=by_to, plugins=[zeep.wsa.WsAddressingPlugin()])
    assert client.service.echo("y") == "y"
    assert service.posted[-1].body.count(b"MessageID") == 2


def test_plugins_alone_is_refused(service: Service, sc: SecureConversation) -> None:
    """plugins= without wsse= would take unverified replies; it says what to write."""
    clear = b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body>"
    clear += (
        b"<echoResponse xmlns='urn:secureconv:peer'><return>x</return></echoResponse></s:Body></s:Envelope>"
    )
    client = zeep.Client(str(service.wsdl), plugins=[sc])
    service.interfere = lambda _: ("200 OK", {"Content-Type": "text/xml"}, clear)
    with pytest.raises(ConfigurationError, match="not wsse=") as caught:
        client.service.echo("x")
    assert "wsse=sc" in str(caught.value)


@pytest.mark.parametrize("settings", [{"raw_response": True}, {"strict": False}])
def test_settings_that_hide_replies_are_refused(
    service: Service, sc: SecureConversation, settings: dict[str, bool]
) -> None:
    """raw_response=True and strict=False are refused with a reason, before any traffic."""
    client = sc.client(str(service.wsdl), settings=zeep.Settings(**settings))
    with pytest.raises(ConfigurationError, match=next(iter(settings))) as caught:
        client.service.echo("x")
    assert caught.value.hint
    assert service.posted == []
    with client.settings(raw_response=False, strict=True):
        assert client.service.echo("x") == "x"


def test_a_wsdl_without_a_place_needs_a_policy(service: Service, sc: SecureConversation) -> None:
    """A WSDL from an open file cannot be read again; policy= helps."""
    client = zeep.Client(BytesIO(service.document), wsse=sc, plugins=[sc])
    with pytest.raises(ConfigurationError, match="open file") as caught:
        client.service.echo("x")
    assert "policy=" in str(caught.value)
    assert service.posted == []
    given = service.conversation(policy=str(service.wsdl))
    client = zeep.Client(BytesIO(service.document), wsse=given, plugins=[given])
    assert client.service.echo("x") == "x"


def test_a_wsdl_without_a_policy_is_never_sent_in_the_clear(
    service: Service, sc: SecureConversation, tmp_path: Path
) -> None:
    """A WSDL that secures nothing is a PolicyError before any traffic."""
    plain = tmp_path / "plain.wsdl"
    plain.write_bytes(demonstration_wsdl(None, address=service.url))
    with pytest.raises(PolicyError) as caught:
        sc.client(str(plain)).service.echo("x")
    assert caught.value.hint
    assert service.posted == []
    given = service.conversation(policy=service.wsdl)
    assert given.client(str(plain)).service.echo("x") == "x"


@pytest.mark.parametrize(
    ("missing", "text"),
    [({"identity": None}, "identity="), ({"trust": None}, "trust="), ({"peer": None}, "peer=")],
)
def test_what_is_missing_is_told_before_any_traffic(
    service: Service, missing: dict[str, None], text: str
) -> None:
    """Without identity, trust or the service's certificate nothing is sent, and the hint names the argument."""
    client = service.conversation(**missing).client(str(service.wsdl))
    with pytest.raises(ConfigurationError) as caught:
        client.service.echo("x")
    assert text in str(caught.value.hint)
    assert service.posted == []


def test_certificates_that_are_over_are_told_before_any_traffic(service: Service) -> None:
    """An expired certificate of ours, or of the service, is a ConfigurationError."""
    past = {"begin": NOW - timedelta(days=9), "end": NOW - timedelta(days=1)}
    for options, text in (
        ({"identity": CLIENT.but(**past).identity()}, "Our certificate"),
        ({"peer": SERVER.but(**past).make()}, "The service's certificate"),
    ):
        with pytest.raises(ConfigurationError, match=text) as caught:
            service.conversation(**options).client(str(service.wsdl)).service.echo("x")
        assert "2026-11-20" in caught.value.message
    assert service.posted == []


@pytest.mark.parametrize(
    "options",
    [
        lambda _: {"peer": pem(SERVER.make())},
        lambda _: {"peer": (SERVER.make(), SERVER.make())},
        lambda service: {"peer": {service.url: SERVER.make()}},
        lambda _: {"peer": None, "trust": Trust.of([SERVER.make()])},
        lambda _: {"identity": (identity("client"), identity("client"))},
        lambda service: {"policy": {service.url: service.wsdl}},
        lambda _: {"dialect": "wcf"},
    ],
)
def test_arguments_come_in_several_forms(
    service: Service, options: Callable[[Service], dict[str, Any]]
) -> None:
    """Certificates as bytes, pairs, mappings or pins, identities as pairs, policies by endpoint: all work."""
    with service.conversation(**options(service)) as sc:
        assert sc.client(str(service.wsdl)).service.echo("x") == "x"


def test_the_service_must_be_the_one_named(service: Service) -> None:
    """When peer= names another certificate of the CA, the service cannot even read the request."""
    sc = service.conversation(peer=CLIENT.make())
    with pytest.raises(TokenFault) as caught:
        sc.client(str(service.wsdl)).service.echo("x")
    assert caught.value.name == "InvalidSecurity"
    pair = (CLIENT.make(), SERVER.make())
    sc = service.conversation(peer=pair)
    assert sc.client(str(service.wsdl)).service.echo("x") == "x"


def test_arguments_of_no_use_are_refused() -> None:
    """A dialect that does not exist, and things of the wrong type, are refused by the constructor."""
    SecureConversation(dialect="wcf", trust=trust(), identity=identity("client"))
    wrong: list[dict[str, Any]] = [
        {"dialect": "klingon"},
        {"identity": "client.p12"},
        {"identity": ("client.p12", None)},
        {"trust": "ca.pem"},
    ]
    for options in wrong:
        with pytest.raises(ConfigurationError) as caught:
            SecureConversation(**options)
        assert caught.value.hint


def test_a_reply_without_a_request_is_refused(
    service: Service, sc: SecureConversation, client: zeep.Client
) -> None:
    """verify() takes no reply that no request waits for, and none twice."""
    taken: list[Any] = []

    class Keep(zeep.Plugin):
        """Keeps the decrypted reply."""

        def ingress(self, envelope: Any, http_headers: Any, operation: Any) -> tuple[Any, Any]:
            assert operation
            taken.append(envelope)
            return envelope, http_headers

    sc.client(str(service.wsdl), plugins=[Keep()]).service.echo("x")
    with pytest.raises(VerificationError) as caught:
        sc.verify(taken[0])
    assert caught.value.check == "no-request"
    assert client.service.echo("x") == "x"


def test_identities_may_be_devices(service: Service) -> None:
    """An identity of callables holds a whole conversation."""
    real = identity("client")
    device = Identity(real.certificate, real.sign, real.decrypt)
    with service.conversation(identity=device) as sc:
        assert sc.client(str(service.wsdl)).service.echo("x") == "x"
