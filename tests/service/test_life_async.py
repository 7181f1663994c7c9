"""The same faults as in test_life.py, for asynchronous clients: httpx fails in ways of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.service.faulty import UNSEEN, Fault, Step
from tests.service.line import EVERYWHERE, HARMLESS, REFUSED, Line, named, patience
from zeep_secureconv import SecureConversation, SecureConversationError


async def first_call(_: SecureConversation, echo: Any) -> bool:
    """A call that has to ask for a context."""
    return bool(await echo("first") == "first")


async def call(_: SecureConversation, echo: Any) -> bool:
    """A call."""
    return bool(await echo("second") == "second")


async def renew(sc: SecureConversation, _: Any) -> bool:
    """A renewal."""
    return (await sc.arenew()).instance is not None


async def cancel(sc: SecureConversation, _: Any) -> bool:
    """A Cancel."""
    return await sc.acancel() == 1


#: What is done at each step, and the faults besides the harmless ones with which it works.
_ACTS: dict[Step, Callable[[SecureConversation, Any], Awaitable[bool]]] = {
    Step.ISSUE: first_call,
    Step.CALL: call,
    Step.RENEW: renew,
    Step.CANCEL: cancel,
}


async def tried(act: Awaitable[bool]) -> bool:
    """Whether something worked; otherwise it was refused, or one error of ours."""
    try:
        return await act
    except SecureConversationError:
        return False


@pytest.mark.parametrize("step", Step, ids=named)
@pytest.mark.parametrize(("fault", "tls"), EVERYWHERE, ids=named)
def test_a_fault_at_a_step(line: Line, step: Step, fault: Fault) -> None:
    """It works, or is one error of ours; nothing is executed twice, no lease is left over, and the next call works."""
    # a Renew that is refused is asked in another form
    works = fault in HARMLESS or (step is Step.RENEW and fault in REFUSED)

    async def conversation() -> None:
        async with line.conversation() as sc:
            service = await line.asynchronous(sc, patience=patience(fault))
            if step is not Step.ISSUE:
                assert await service.echo("first") == "first"
            before = line.app.calls
            line.spoil(step, fault)
            assert await tried(_ACTS[step](sc, service.echo)) == works
            assert line.proxy.spoiled == 1
            executed = {Step.CALL: fault not in UNSEEN, Step.ISSUE: works}.get(step, False)
            assert line.app.calls == before + executed
            assert sum(sum(partner.leases._counts.values()) for partner in sc._partners.known()) == 0
            line.proxy.spoiler = None
            assert await service.echo("next") == "next"
            assert line.app.calls == before + executed + 1
            assert len(sc.contexts()) == 1

    asyncio.run(conversation())
