"""Clocks that are apart, that jump, and that somebody sets to another time zone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.client.conftest import Service
from tests.unit.conversation.store.user import made
from tests.unit.parties import Time
from zeep_secureconv import FileStore, TokenFault
from zeep_secureconv.clock import SYSTEM_CLOCK
from zeep_secureconv.wss.times import read_time, write_time

SECOND, MINUTE, HOUR = (timedelta(seconds=count) for count in (1, 60, 3600))
#: Certificates of these tests are valid for a day before and after now; a jump and the life of a context fit into that.
NEARLY_A_DAY = 21 * HOUR


@pytest.fixture
def here(service: Service) -> Time:
    """A clock of the client's own; that of the service goes with it from now on, but for what is set."""
    own = Time()
    own.seconds = service.time.seconds + 12345
    return own


def pass_by(by: timedelta, *clocks: Time) -> None:
    """Let time pass for everybody."""
    for clock in clocks:
        clock.forward(by)


@pytest.mark.parametrize("apart", [-170 * SECOND, 170 * SECOND], ids=["behind", "ahead"])
def test_a_service_whose_clock_is_minutes_off(service: Service, here: Time, apart: timedelta) -> None:
    """Contexts live as long as the service said, and are renewed in time, whatever its clock shows."""
    service.time.forward(apart, monotonic=False)
    sc = service.conversation(clock=here.clock)
    echo = sc.client(str(service.wsdl)).service.echo
    assert echo("one") == "one"
    pass_by(2 * HOUR - 11 * MINUTE, here, service.time)
    assert echo("two") == "two"
    assert service.kinds() == ["issue", "echo", "echo"]
    pass_by(MINUTE, here, service.time)
    assert echo("three") == "three"
    pass_by(3 * HOUR, here, service.time)
    assert echo("four") == "four"
    assert service.kinds()[3:] == ["Renew", "echo", "issue", "echo"]


@pytest.mark.parametrize("jump", [-NEARLY_A_DAY, NEARLY_A_DAY], ids=["back", "forward"])
def test_a_machine_whose_clock_jumps_by_a_day(service: Service, jump: timedelta) -> None:
    """Where both sides jump nothing happens: the context neither ends nor lives longer."""
    sc = service.conversation()
    echo = sc.client(str(service.wsdl)).service.echo
    assert echo("one") == "one"
    service.time.forward(jump, monotonic=False)
    assert echo("two") == "two"
    assert service.kinds() == ["issue", "echo", "echo"]
    service.time.seconds += (2 * HOUR - 10 * MINUTE).total_seconds()
    assert echo("three") == "three"
    assert service.kinds()[3:] == ["Renew", "echo"]


@pytest.mark.parametrize("jump", [-NEARLY_A_DAY, NEARLY_A_DAY], ids=["back", "forward"])
def test_a_client_whose_clock_jumps_by_a_day(service: Service, here: Time, jump: timedelta) -> None:
    """Its messages are from another time then, which is an error and no hang; with the clock set right it goes on."""
    sc = service.conversation(clock=here.clock)
    echo = sc.client(str(service.wsdl)).service.echo
    assert echo("one") == "one"
    here.forward(jump, monotonic=False)
    with pytest.raises(TokenFault):
        echo("two")
    here.forward(-jump, monotonic=False)
    assert echo("three") == "three"
    assert service.application.calls == 2


@pytest.mark.parametrize("jump", [-NEARLY_A_DAY, NEARLY_A_DAY], ids=["back", "forward"])
def test_a_stored_context_and_a_clock_that_jumps(service: Service, tmp_path: Path, jump: timedelta) -> None:
    """What came out of a file ages by the wall clock alone: a jump may cost a renewal or a bootstrap, and no call."""

    def echo() -> Callable[[str], str]:
        store = FileStore(tmp_path / "contexts", key=bytes(32), clock=service.time.clock)
        found: Callable[[str], str] = service.conversation(store=store).client(str(service.wsdl)).service.echo
        return found

    assert echo()("one") == "one"
    service.time.forward(jump, monotonic=False)
    assert echo()("two") == "two"
    service.time.forward(-jump, monotonic=False)
    assert echo()("three") == "three"
    assert service.kinds().count("issue") <= 2
    assert service.application.calls == 3


@pytest.mark.parametrize("lifetime", [SECOND, timedelta(days=3652)], ids=["a second", "ten years"])
def test_lifetimes_of_any_length(service: Service, lifetime: timedelta) -> None:
    """A conversation works with contexts of a second and of ten years."""
    service.restart(lifetime=lifetime)
    sc = service.conversation()
    echo = sc.client(str(service.wsdl)).service.echo
    for number in range(3):
        assert echo(str(number)) == str(number)
        service.time.forward(0.6 * SECOND)
    assert service.kinds() == [
        "issue",
        "echo",
        *(["Renew", "echo"] * 2 if lifetime == SECOND else ["echo", "echo"]),
    ]


# ------------------------------------------------------------------------------------------------ time zones


@pytest.fixture
def set_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the time zone of this process, as an administrator does, or the end of daylight saving time."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system does not set time zones")

    def set_to(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()


def test_the_time_zone_does_not_matter(tmp_path: Path, set_zone: Callable[[str], None]) -> None:
    """Times are UTC: those of contexts, of stores and of messages; summer time and other zones change none of them."""
    # the second is an hour before the first, the third a day away
    zones = ["CET-1CEST,0,365", "CET-1", "LINT-14", "AST+12"]
    set_zone(zones[0])
    context = made("urn:uuid:1")
    assert FileStore(tmp_path / "contexts", key=bytes(32)).add(("client", "a", "b", "c"), context)
    moment, said = SYSTEM_CLOCK.now(), write_time(context.created or SYSTEM_CLOCK.now())
    for zone in zones:
        set_zone(zone)
        assert abs(SYSTEM_CLOCK.now() - moment) < 5 * MINUTE
        found = FileStore(tmp_path / "contexts", key=bytes(32)).get(("client", "a", "b", "c"))
        assert found == context
        left = found.remaining(SYSTEM_CLOCK)
        assert left is not None
        assert 55 * MINUTE < left <= HOUR
        assert write_time(read_time(said)) == said
        assert os.environ["TZ"] == zone


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-12-31T23:59:60Z", "2026-12-31T23:59:59.000Z"),
        ("2026-12-31T23:59:60.5Z", "2026-12-31T23:59:59.500Z"),
        ("2027-01-01T00:59:60+01:00", "2026-12-31T23:59:59.000Z"),
        ("2026-12-31T18:59:60-05:00", "2026-12-31T23:59:59.000Z"),
    ],
)
def test_a_leap_second_is_a_time(text: str, meant: str) -> None:
    """It is read as the second before it, in every zone."""
    assert write_time(read_time(text)) == meant
