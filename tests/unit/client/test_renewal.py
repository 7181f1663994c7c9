"""Contexts that are renewed before they end, by a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.conftest import POLICY, Posted, Service
from tests.unit.conversation.pair import Pair
from tests.unit.parties import NOW
from zeep_secureconv import (
    ConfigurationError,
    ContextExpired,
    MemoryStore,
    SecureConversation,
    SecurityContext,
    TransportError,
)
from zeep_secureconv.names import WSSE
from zeep_secureconv.service.server import HttpServer
from zeep_secureconv.trust import Lifetime

SECOND, MINUTE, HOUR, YEAR = (timedelta(seconds=count) for count in (1, 60, 3600, 365 * 86400))
REFUSED = (
    "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><s:Fault>"
    f"<faultcode xmlns:w='{WSSE}'>w:InvalidSecurity</faultcode><faultstring>no</faultstring>"
    "</s:Fault></s:Body></s:Envelope>"
).encode()


def refuse(service: Service, *, times: int, kind: str = "Renew") -> None:
    """Let the service refuse so many requests of a kind."""
    left = [times]

    def interfere(posted: Posted) -> tuple[str, dict[str, str], bytes] | None:
        if posted.kind != kind or not left[0]:
            return None
        left[0] -= 1
        return "500 Refused", {"Content-Type": "text/xml"}, REFUSED

    service.interfere = interfere


def age(service: Service, by: timedelta) -> None:
    """Let a client grow older, while the wall clock stands still: certificates are judged by that."""
    service.time.seconds += by.total_seconds()


# ------------------------------------------------------------------------------------------------ when it is time


@pytest.mark.parametrize(
    ("lifetime", "before", "margin"),
    [
        (2 * HOUR, 10 * MINUTE, 10 * MINUTE),
        (2 * HOUR, 30 * SECOND, 30 * SECOND),
        (2 * HOUR, 3 * HOUR, HOUR),
        (10 * MINUTE, 10 * MINUTE, 5 * MINUTE),
        (SECOND, 10 * MINUTE, SECOND / 2),
        (10 * YEAR, 10 * MINUTE, 10 * MINUTE),
    ],
)
def test_renewal_is_due_in_the_margin(
    service: Service, lifetime: timedelta, before: timedelta, margin: timedelta
) -> None:
    """A call in the margin renews first, one before it does not; the margin is never more than half the lifetime."""
    service.restart(lifetime=lifetime)
    with service.conversation(renew_before=before, cancel_on_close=False) as sc:
        echo = sc.client(str(service.wsdl)).service.echo
        echo("x")
        (first,) = sc.contexts()
        age(service, lifetime - margin - timedelta(milliseconds=1))
        echo("x")
        assert sc.contexts() == [first]
        age(service, timedelta(milliseconds=1))
        echo("x")
        (second,) = sc.contexts()
    assert (second.identifier, second.first) == (first.identifier, first.key)
    assert second.instance is not None
    assert service.kinds() == ["issue", "echo", "echo", "Renew", "echo"]
    assert service.told() == ["issued", "renewed"]


@pytest.mark.parametrize("jump", [HOUR + 55 * MINUTE, -HOUR, -2 * HOUR])
def test_jumps_of_the_wall_clock_change_nothing(service: Service, jump: timedelta) -> None:
    """What this process received ages on the monotonic clock: a wall clock that is set neither renews nor prolongs."""
    sc = service.conversation()
    echo = sc.client(str(service.wsdl)).service.echo
    echo("x")
    service.time.forward(jump, monotonic=False)
    echo("x")
    assert service.kinds() == ["issue", "echo", "echo"]
    age(service, HOUR + 50 * MINUTE)
    echo("x")
    assert service.kinds()[3:] == ["Renew", "echo"]


def changed(service: Service, **changes: Any) -> tuple[SecureConversation, Callable[[str], str]]:
    """A client that called once, and whose context was changed then."""
    store = MemoryStore(clock=service.time.clock)
    sc = service.conversation(store=store)
    echo = sc.client(str(service.wsdl)).service.echo
    echo("x")
    ((key, context),) = store.items("client")
    assert store.replace(key, context, replace(context, **changes))
    return sc, echo


def test_what_has_no_end_is_not_renewed(service: Service) -> None:
    """A context without Expires is used for ever."""
    service.restart(lifetime=200 * YEAR)
    _, echo = changed(service, expires=None)
    age(service, 100 * YEAR)
    echo("x")
    assert service.kinds() == ["issue", "echo", "echo"]


def test_a_lifetime_may_lack_its_beginning_or_its_end() -> None:
    """Without Created a lifetime begins with its receipt and ages like others; without Expires it has no end."""

    def given(lifetime: Lifetime | None) -> tuple[Pair, SecurityContext]:
        pair = Pair()
        exchange = pair.ask()
        context = pair.accept(
            exchange, pair.answer(exchange, lambda answer: replace(answer, lifetime=lifetime))
        )
        assert isinstance(context, SecurityContext)
        return pair, context

    pair, context = given(Lifetime(None, NOW + HOUR))
    assert (context.created, context.expires) == (NOW, NOW + HOUR)
    pair.time.forward(-HOUR, monotonic=False)
    assert context.remaining(pair.time.clock) == HOUR
    pair.time.forward(HOUR)
    assert context.is_over(pair.time.clock)
    for lifetime in (None, Lifetime(NOW, None)):
        pair, context = given(lifetime)
        assert context.remaining(pair.time.clock) is None


def test_a_negative_margin_is_refused() -> None:
    """renew_before= must not be negative."""
    with pytest.raises(ConfigurationError, match="renew_before=") as caught:
        SecureConversation(renew_before=-SECOND)
    assert caught.value.hint


# --------------------------------------------------------------------------------------------------- how it is done


def test_renewals_in_a_row_take_one_request_each(service: Service) -> None:
    """Each renewal has a new Instance and key; calls and Cancel work under the latest."""
    sc = service.conversation()
    echo = sc.client(str(service.wsdl)).service.echo
    echo("x")
    instances, keys = set(), set()
    for _ in range(3):
        renewed = sc.renew()
        instances.add(renewed.instance)
        keys.add(renewed.key.secret)
        assert echo("x") == "x"
    assert (len(instances), len(keys)) == (3, 3)
    assert sc.cancel() == 1
    assert service.kinds() == ["issue", "echo", *["Renew", "echo"] * 3, "cancel"]


def test_the_form_that_was_taken_is_remembered(service: Service) -> None:
    """Where the endorsed Renew is refused the bootstrap alone secures it, and the next time that is tried first."""
    sc = service.conversation()
    echo = sc.client(str(service.wsdl)).service.echo
    echo("x")
    refuse(service, times=1)
    sc.renew()
    sc.renew()
    assert echo("x") == "x"
    assert service.kinds() == ["issue", "echo", "Renew", "Renew", "Renew", "echo"]
    endorsed, alone, again = (posted.body for posted in service.posted if posted.kind == "Renew")
    assert (endorsed.count(b"<ds:Signature "), alone.count(b"<ds:Signature ")) == (2, 1)
    assert again.count(b"<ds:Signature ") == 1


def test_a_refused_renewal_gives_a_new_context(service: Service) -> None:
    """A service that renews in no form is asked for a new context, and the call works."""
    sc = service.conversation()
    echo = sc.client(str(service.wsdl)).service.echo
    echo("x")
    (first,) = sc.contexts()
    refuse(service, times=2)
    age(service, 2 * HOUR - MINUTE)
    assert echo("x") == "x"
    (second,) = sc.contexts()
    assert second.identifier != first.identifier
    assert service.kinds() == ["issue", "echo", "Renew", "Renew", "issue", "echo"]


def test_a_service_that_does_not_allow_it_is_not_asked(service: Service) -> None:
    """After Renewing Allow="false" there is no Renew but a new context."""
    _, echo = changed(service, renewable=False)
    age(service, 2 * HOUR - MINUTE)
    assert echo("x") == "x"
    assert service.kinds() == ["issue", "echo", "issue", "echo"]


def test_a_policy_that_forbids_it_is_obeyed(server: HttpServer, tmp_path: Path) -> None:
    """Under sp:MustNotSendRenew there is no Renew but a new context."""
    text = POLICY.decode()
    start = text.index("<sp:RequireDerivedKeys/>", text.index("<sp:SecureConversationToken"))
    policy = f"{text[:start]}<sp:MustNotSendRenew/>{text[start:]}"
    service = Service(server, tmp_path, policy.encode())
    sc = service.conversation()
    echo = sc.client(str(service.wsdl)).service.echo
    echo("x")
    age(service, 2 * HOUR - MINUTE)
    assert echo("x") == "x"
    assert service.kinds() == ["issue", "echo", "issue", "echo"]


@pytest.mark.parametrize(
    ("late", "kinds"), [(False, ["issue", "echo"]), (True, ["Renew", "echo"])], ids=["not allowed", "allowed"]
)
def test_after_the_end(service: Service, late: bool, kinds: list[str]) -> None:
    """A context that is over is renewed where the issuer said OK="true", and otherwise followed by a new one."""
    service.restart(renew_after_expiry=late)
    _, echo = changed(service, renewable_late=late)
    age(service, 3 * HOUR)
    assert echo("x") == "x"
    assert service.kinds()[2:] == kinds


# ------------------------------------------------------------------------------------------------------ on request


def test_renew_needs_one_of_this_clients_contexts(service: Service) -> None:
    """Without a context, with a foreign one, and with one that was given up there is an error that says so."""
    sc, other = service.conversation(), service.conversation()
    with pytest.raises(ConfigurationError, match="0 contexts") as caught:
        sc.renew()
    assert caught.value.hint
    for client in (sc, other):
        client.client(str(service.wsdl)).service.echo("x")
    (foreign,) = other.contexts()
    with pytest.raises(ConfigurationError, match="none of this client's"):
        sc.renew(foreign)
    assert "Renew" not in service.kinds()
    (own,) = sc.contexts()
    assert sc.renew(own).identifier == own.identifier


def test_a_context_that_another_thread_gave_up_is_not_renewed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is gone by the time that the renewal begins, that is a ContextExpired, and nothing is sent."""
    store = MemoryStore(clock=service.time.clock)
    sc = service.conversation(store=store)
    sc.client(str(service.wsdl)).service.echo("x")
    ((key, context),) = store.items("client")
    flight = store.flight

    def late(wanted: tuple[str, ...]) -> Any:
        store.drop(key, context)
        return flight(wanted)

    monkeypatch.setattr(store, "flight", late)
    with pytest.raises(ContextExpired) as caught:
        sc.renew(context)
    assert caught.value.hint
    assert "Renew" not in service.kinds()


def test_a_renewal_without_an_answer_gives_the_context_up(service: Service) -> None:
    """When nobody knows whether the old key still works, renew() says what happened, and the next call begins anew."""
    sc = service.conversation()
    echo = sc.client(str(service.wsdl)).service.echo
    echo("x")

    def interfere(posted: Posted) -> tuple[str, dict[str, str], bytes] | None:
        if posted.kind != "Renew":
            return None
        service.execute(posted)
        return "502 Bad Gateway", {"Content-Type": "text/html"}, b"<html/>"

    service.interfere = interfere
    with pytest.raises(TransportError) as caught:
        sc.renew()
    assert caught.value.doing == "renewing a security context"
    assert sc.contexts() == []
    assert echo("x") == "x"
    assert service.kinds() == ["issue", "echo", "Renew", "issue", "echo"]


def test_a_refused_renewal_on_request_keeps_the_context(service: Service) -> None:
    """renew() tells of the refusal, and calls go on under the key there is."""
    sc = service.conversation()
    echo = sc.client(str(service.wsdl)).service.echo
    echo("x")
    (context,) = sc.contexts()
    refuse(service, times=2)
    with pytest.raises(Exception, match="renewing a security context"):
        sc.renew()
    assert sc.contexts() == [context]
    assert echo("x") == "x"
    assert service.kinds() == ["issue", "echo", "Renew", "Renew", "echo"]
