"""What the attacks share: a world with honest parties, and the proof that a refusal leaked nothing."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.attacks.forge import Channel, World
from zeep_secureconv import VerificationError
from zeep_secureconv.policy.model import Parts

Refuses = Callable[[str], AbstractContextManager[pytest.ExceptionInfo[VerificationError]]]


@pytest.fixture
def world() -> World:
    """Honest parties with their keys."""
    return World()


@pytest.fixture(params=["request", "reply", "rst", "rstr"])
def channel(request: pytest.FixtureRequest, world: World) -> Channel:
    """Each kind of message: of an application under a context, and of the trust service under certificates."""
    return world.channel(request.param)


@pytest.fixture(params=["request", "reply", "rst", "rstr"])
def open_channel(request: pytest.FixtureRequest, world: World) -> Channel:
    """The same under policies that sign and do not encrypt, so that an attacker can compute every digest."""
    return world.channel(request.param, encrypted=Parts())


@pytest.fixture
def refuses(world: World, caplog: pytest.LogCaptureFixture) -> Refuses:
    """Expects that a check refuses, and that nothing secret got out with the refusal."""
    caplog.set_level(logging.DEBUG)

    @contextmanager
    def expect(check: str) -> Iterator[pytest.ExceptionInfo[VerificationError]]:
        with pytest.raises(VerificationError) as caught:
            yield caught
        error = caught.value
        assert error.check == check, error
        said = [str(error), repr(error), repr(error.args), "".join(traceback.format_exception(error))]
        said += [record.getMessage() for record in caplog.records]
        assert world.vault.leaks("\n".join(said)) == []

    return expect
