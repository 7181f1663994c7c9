"""A program that forks in the middle of conversations: ``python -m tests.service.forking ACT PKI WSDL PLACE``.

It prints a line for each thing that it finds, those of the child first. PLACE is "memory", or where a store is.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zeep

from tests.peers.our_side import our_client
from tests.unit.conversation.store.user import KEY, open_store
from zeep_secureconv import SecureConversation

_CALLS = 3
#: Ends what would wait without end, in seconds.
_TOO_LONG = 100


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def _conversation(pki: str, place: str) -> SecureConversation:
    options: dict[str, Any] = {} if place == "memory" else {"store": open_store(place, key=KEY)}
    return our_client(Path(pki), **options)


def _call(who: str, service: Any) -> None:
    for number in range(_CALLS):
        text = f"{who} {number}"
        assert service.echo(text) == text


def _name(sc: SecureConversation) -> str:
    (context,) = sc.contexts()
    return context.identifier


def _in_child(act: Callable[[], None]) -> int:
    """Fork; the number of the child."""
    child = os.fork()
    if child == 0:
        signal.alarm(_TOO_LONG)
        status = 1
        try:
            act()
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)
    return child


def _ended(child: int) -> None:
    assert os.waitpid(child, 0)[1] == 0, "the child failed"


def both_call(pki: str, wsdl: str, place: str, *, own: bool = True) -> None:
    """The parent has a context and an open connection, the child forks, and both call at once."""
    with _conversation(pki, place) as sc:
        client = sc.client(wsdl) if own else zeep.Client(wsdl, wsse=sc, plugins=[sc])
        service = client.service
        _call("before", service)
        before = _name(sc)

        def act() -> None:
            found = len(sc.contexts())
            _call("child", service)
            _say("child had", found, "and has", "the same" if _name(sc) == before else "another one")
            sc.close()
            client.transport.session.close()

        child = _in_child(act)
        _call("parent", service)
        _ended(child)
        _call("parent again", service)
        _say("parent has", "the same" if _name(sc) == before else "another one")
        client.transport.session.close()


def both_call_through_zeep(pki: str, wsdl: str, place: str) -> None:
    """The same on a transport that is zeep's own."""
    both_call(pki, wsdl, place, own=False)


def while_another_asks(pki: str, wsdl: str, place: str) -> None:
    """Another thread waits for its context, and holds everything that one holds then, when the child forks."""
    with _conversation(pki, place) as sc:
        client = sc.client(wsdl)
        service = client.service
        thread = threading.Thread(target=_call, args=("thread", service))
        thread.start()
        # a line comes when the service was asked, and its answer is held back
        sys.stdin.readline()

        def act() -> None:
            _say("asked")
            _call("child", service)
            _say("child has", len(sc.contexts()))
            sc.close()
            client.transport.session.close()

        child = _in_child(act)
        _ended(child)
        thread.join(_TOO_LONG)
        assert not thread.is_alive()
        _say("parent has", len(sc.contexts()))
        client.transport.session.close()


_ACTS = {act.__name__: act for act in (both_call, both_call_through_zeep, while_another_asks)}

if __name__ == "__main__":
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(_TOO_LONG)
    _ACTS[sys.argv[1]](*sys.argv[2:])
