"""How many bootstraps are worked on at the same time, and what is done before RSA is."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.messages import asymmetric, symmetric
from tests.unit.parties import identity
from tests.unit.service.peer import INVALID, Peer
from tests.unit.service.test_endpoint import renewal
from zeep_secureconv import Identity, Limits
from zeep_secureconv.names import SOAP11, SOAP12
from zeep_secureconv.policy import Direction, EndpointPolicy, SymmetricBinding
from zeep_secureconv.service.authorization import Access
from zeep_secureconv.service.refusals import Busy
from zeep_secureconv.service.turns import Turns
from zeep_secureconv.soap.envelope import Soap, content_type, parse, serialize
from zeep_secureconv.soap.faults import read_fault
from zeep_secureconv.trust import RequestType

NOW = timedelta(0)


class Gate:
    """Lets questions through once it is open, and says when one is waiting."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self, access: Access) -> bool:
        """Wait, if it is a bootstrap."""
        if access.kind in ("issue", "renew"):
            self.reached.release()
            assert self.opened.wait(30)
        return True


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Runs something in a thread, and waits for it in the end."""
    threads: list[threading.Thread] = []

    def start(work: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


# -------------------------------------------------------------------------------------------------- turns


def test_so_many_work_and_the_others_are_sent_away() -> None:
    """A turn that is given back is another's."""
    turns = Turns(2, 0, patience=NOW)
    with turns.turn():
        with turns.turn(), pytest.raises(Busy), turns.turn():
            pytest.fail("there is no third turn")
        with turns.turn():
            pass
    for _ in range(3):
        with pytest.raises(ValueError, match="mine"), turns.turn():
            raise ValueError("mine")


def test_who_waits_too_long_is_sent_away() -> None:
    """Some may wait besides; nobody waits for ever, and nobody keeps a place that he left."""
    turns = Turns(1, 1, patience=NOW)
    with turns.turn():
        for _ in range(3):
            with pytest.raises(Busy, match="longer"), turns.turn():
                pytest.fail("it is not free")
    with turns.turn():
        pass


def test_who_waits_gets_the_next_turn(in_thread: Callable[[Callable[[], None]], None]) -> None:
    """As soon as one ends."""
    turns, done, working = Turns(1, 1), threading.Event(), threading.Event()

    def wait() -> None:
        working.set()
        with turns.turn():
            done.set()

    with turns.turn():
        in_thread(wait)
        assert working.wait(30)
        assert not done.is_set()
    assert done.wait(30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_turns_of_its_own() -> None:
    """What threads of the parent hold, they give back in the parent alone."""
    turns = Turns(1, 0, patience=NOW)
    with turns.turn():
        child = os.fork()
        if not child:
            status = 1
            try:
                with turns.turn():
                    status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(Busy), turns.turn():
            pytest.fail("it is not free")


# ------------------------------------------------------------------------------------------------ service


@pytest.mark.parametrize("soap", [SOAP11, SOAP12], ids=["soap11", "soap12"])
@pytest.mark.parametrize("kind", ["issue", "renew"])
def test_bootstraps_beyond_the_limit_are_told_to_come_back(
    soap: str, kind: str, in_thread: Callable[[Callable[[], None]], None]
) -> None:
    """With HTTP 503, Retry-After and a fault that says nothing; calls go on, and later it is their turn."""
    gate = Gate()
    gate.opened.set()
    peer = Peer(soap=soap, authorize=gate, limits=Limits(bootstraps=1, waiting_bootstraps=0))
    context = peer.issue()
    gate.reached.acquire()
    gate.opened.clear()
    answers: queue.SimpleQueue[int] = queue.SimpleQueue()
    first, action = peer.ask(), peer.exchange.action
    in_thread(lambda: answers.put(peer.post(first, action)[0]))
    assert gate.reached.acquire(timeout=30)
    second = peer.ask() if kind == "issue" else renewal(peer, context, endorsed=True)
    wanted = RequestType.ISSUE if kind == "issue" else RequestType.RENEW
    action = peer.dialect.action(wanted, Direction.REQUEST) or ""
    status, headers, content = peer.post(second, action)
    assert (status, headers["Retry-After"]) == (503, "5")
    assert headers["Content-Type"] == content_type(soap)
    fault = read_fault(Soap.of(parse(content, Limits())))
    assert fault.code == f"{{{soap}}}{'Server' if soap == SOAP11 else 'Receiver'}"
    assert peer.call(context)[0] == 200
    exchange = peer.initiator.ask_validate(context, peer.conversation, peer.ring, peer.dialect)
    assert peer.post(serialize(exchange.soap.envelope), exchange.action)[0] == 200
    gate.opened.set()
    assert answers.get(timeout=30) == 200
    assert peer.post(second, action)[0] == 200


class Counting:
    """An identity that counts what is decrypted with it."""

    def __init__(self) -> None:
        self.opened = 0
        server = identity("server")

        def decrypt(data: bytes, algorithm: object) -> bytes:
            self.opened += 1
            return server.decrypt(data, algorithm)  # type: ignore[arg-type]

        self.identity = Identity(server.certificate, sign=server.sign, decrypt=decrypt)


def test_what_is_cheap_is_checked_before_rsa() -> None:
    """Size, structure, age and addressing of a request for a context, and which certificate it is for."""
    counting = Counting()
    peer = Peer(identity=counting.identity, limits=Limits(encrypted_keys=2, tokens=20))
    message = peer.ask()
    key_start = message.index(b"<xenc:EncryptedKey")
    key = message[key_start : message.index(b"</xenc:EncryptedKey>") + len(b"</xenc:EncryptedKey>")]
    for bad in (
        message.replace(key, key * 3),
        message[:-1],
        message.replace(b"anonymous<", b"elsewhere<", 1),
        message.replace(b"Timestamp", b"Zeitstempel"),
    ):
        assert bad != message
        assert peer.refused(bad, peer.exchange.action) == INVALID
    peer.time.forward(timedelta(minutes=20))
    assert peer.refused(message, peer.exchange.action) == INVALID
    assert counting.opened == 0
    peer.time.forward(timedelta(minutes=-20))
    assert peer.post(message, peer.exchange.action)[0] == 200
    assert counting.opened == 1


@pytest.mark.parametrize("hidden", [False, True], ids=["clear", "encrypted signature"])
def test_a_call_never_costs_rsa(hidden: bool) -> None:
    """Keys that are encrypted to the service have no place in a conversation, and are not opened to learn that."""
    policy = symmetric(bootstrap=asymmetric())
    assert isinstance(policy.binding, SymmetricBinding)
    policy = replace(policy, binding=replace(policy.binding, encrypt_signature=hidden))
    counting = Counting()
    peer = Peer(policy=EndpointPolicy(endpoint=policy, soap=SOAP11), identity=counting.identity)
    bootstrap = peer.ask()
    start = bootstrap.index(b"<xenc:EncryptedKey")
    key = bootstrap[start : bootstrap.index(b"</xenc:EncryptedKey>") + len(b"</xenc:EncryptedKey>")]
    context = peer.issue()
    assert peer.call(context)[0] == 200
    opened = counting.opened
    message = serialize(peer.secured(context)[0].envelope)
    at = message.index(b"<xenc:ReferenceList")
    bound = (
        b' xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" '
        b'xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"'
    )
    extra = key.replace(b"<xenc:EncryptedKey", b"<xenc:EncryptedKey" + bound, 1)
    assert peer.refused(message[:at] + extra + message[at:]) == INVALID
    assert counting.opened == opened
    assert peer.call(context)[0] == 200
