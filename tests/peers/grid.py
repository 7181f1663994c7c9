"""The grid: every policy of every stack, every way; what one cell does, what is expected of it, and the table."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import zeep

from tests.peers.our_side import CLIENT, OurService, Users, our_client
from tests.peers.peer import CXF, METRO, RAMPART, PeerClients, PeerServer, Stack
from tests.peers.variants import VARIANTS, Variant
from zeep_secureconv import UnsecuredFault
from zeep_secureconv.wss.credentials import UsernameToken

USER = UsernameToken("alice", "secret")
#: Length of the longest answer.
BIG = 100_000
# no character outside the basic plane, and no CR: Metro reckons their digests otherwise than Canonical XML
_TEXTS = ("hello", "ünï € <&> ]]>")
#: How many calls our client makes, and how many each stack's does.
_CALLS = 6
_THEIR_CALLS = {CXF: 10, METRO: 6, RAMPART: 6}
#: What each stack's client asks for besides.
AFTERWARDS = {CXF: ("Renew", "Cancel"), METRO: ("Cancel",), RAMPART: ("Cancel",)}
#: The stacks whose clients our service meets halfway only where it is told to: ``tolerate=``.
TOLERATED = {CXF: {"cxf"}}


class Way(Enum):
    """Who calls whom; the value is the head of its column."""

    OUR_CLIENT = "our client, their server"
    THEIR_CLIENT = "their client, our service"
    OURS = "our client, our service"


#: The variants that ask for secure conversation, and of these the ones that can be had today.
SECURED = [variant for variant in VARIANTS if variant.is_secured]
ATTEMPTED = [variant for variant in SECURED if not variant.is_reliable]
RELIABLE = [variant for variant in SECURED if variant.is_reliable]


class Cell(NamedTuple):
    """What stands in the table, and why it is not everything."""

    text: str
    reason: str = ""


EVERYTHING = Cell("calls, fault, Cancel")
_NOT_YET = Cell("not yet", "The policy asks for WS-ReliableMessaging, and is refused before anything is sent")
_TIMESTAMP_ONLY = Cell("calls, fault (unproven), Cancel", "CXF signs nothing of the fault but its Timestamp")
_BODY_ONLY = Cell(
    "calls, fault (unproven), Cancel",
    "The policy signs Body and no addressing header, so that nothing ties the fault to the request; where it is ours, "
    "the service signs both",
)
NO_PROOF = (
    "CXF's client secures Cancel with the bootstrap alone, which does not prove that it has the context: our service "
    'takes that with tolerate={"cxf"} only, and the context stays otherwise'
)

#: What differs from run to run; what is done is judged all the same.
AT_TIMES = Cell(
    "calls, fault; Renew and Cancel at times",
    "Whether CXF's client puts the endorsing signature of the bootstrap policy into Renew and Cancel differs from run "
    "to run; without it they are refused, and CXF's own server refuses them too",
)

#: What is expected of a stack, where it is not everything.
_USUAL: dict[tuple[Stack, Way], Cell] = {
    (CXF, Way.OUR_CLIENT): _TIMESTAMP_ONLY,
    (CXF, Way.THEIR_CLIENT): Cell("calls, fault, Renew; Cancel if tolerated", NO_PROOF),
    (RAMPART, Way.OUR_CLIENT): _BODY_ONLY,
}

#: Where a variant differs from its stack.
_DIFFERENT: dict[tuple[str, Way], Cell] = {
    # over TLS nothing of an answer is signed, and everything is proven
    ("cxf-tls-endorsing-sct", Way.OUR_CLIENT): EVERYTHING,
    ("cxf-tls-endorsing-sct-dk", Way.OUR_CLIENT): EVERYTHING,
    ("cxf-tls-x509-bootstrap", Way.OUR_CLIENT): EVERYTHING,
    ("cxf-symx509-dk", Way.THEIR_CLIENT): Cell(
        "calls, fault; Renew and Cancel refused",
        "The client is anonymous, and CXF's secures Renew and Cancel with the bootstrap alone: nothing proves that "
        "it has the context",
    ),
    ("cxf-tls-x509-bootstrap", Way.THEIR_CLIENT): AT_TIMES,
    ("rampart-asym-wsa", Way.OUR_CLIENT): EVERYTHING,
}

#: Options that a stack's own client needs to call even its own server.
_NEEDED: dict[str, dict[str, Any]] = {
    "cxf-asym-dk-basic192": {"set": {"ws-security.is-bsp-compliant": "false"}},
}

#: What was seen since this module was loaded.
seen_in_this_run: dict[tuple[Variant, Way], str] = {}

#: Whom a service takes the client for, where that is neither the user nor the certificate's subject.
_PRINCIPALS = {"cxf-asym-dk-app-username": CLIENT, "cxf-symx509-dk": "anonymous"}
#: How a stack writes a name that is known by another here; None where it does not know who calls.
_WRITTEN: dict[Stack, Mapping[str, str] | None] = {
    CXF: {},
    METRO: {USER.username: f"CN={USER.username}"},
    RAMPART: None,
}

#: Where the tables are published.
PAGE = Path(__file__).parents[2] / "docs" / "interoperability.md"
_MARK, _END = "<!-- {0}: made by tests/peers/test_{0}.py -->", "<!-- end of {0} -->"


def principal(variant: Variant) -> str:
    """Whom our service takes the client of a variant for."""
    return _PRINCIPALS.get(str(variant)) or (USER.username if variant.wants_username else CLIENT)


def expected(variant: Variant, way: Way) -> Cell:
    """What stands in a cell of the table."""
    if variant.is_reliable:
        return _NOT_YET
    return _DIFFERENT.get((str(variant), way)) or _USUAL.get((variant.stack, way), EVERYTHING)


# ------------------------------------------------------------------------------------------- what a cell does


def service_arguments(variant: Variant) -> dict[str, Any]:
    """What our service needs for a variant, besides keys."""
    return {"tls": variant.is_tls} | ({"authenticate": Users()} if variant.wants_username else {})


def our_client_calls(variant: Variant, server: PeerServer, pki: Path) -> str:
    """Our client calls a stack's server; the server's counters say what of it is true."""
    names, known = _WRITTEN[variant.stack], principal(variant)
    whoami = None if names is None else names.get(known, known)
    before = server.stats()
    done = call_everything(variant, server.wsdl(variant.name), pki, whoami)
    after = server.stats()
    counted = {name: after[name] - before[name] for name in ("issued", "calls", "cancelled")}
    assert counted["issued"] == 1
    assert counted["calls"] == _CALLS
    return ", ".join([*done, "Cancel"] if counted["cancelled"] else done)


def we_call_ourselves(variant: Variant, service: OurService, pki: Path) -> str:
    """Our client calls our service."""
    done = call_everything(variant, service.wsdl, pki, principal(variant))
    counted = service.counted()
    assert counted["Issue"] == 1, service.said
    assert service.app.calls == _CALLS
    return ", ".join([*done, "Cancel"] if counted["Cancel"] and not service.contexts() else done)


def call_everything(variant: Variant, wsdl: str, pki: Path, whoami: str | None) -> list[str]:
    """Call every operation of the contract with our client, then cancel.

    Args:
        variant: says who the client is.
        wsdl: of the service.
        pki: folder with the certificate that TLS is checked with.
        whoami: whom the service must take us for; None where it does not know.

    Returns:
        What worked.
    """
    username = {"username": USER} if variant.wants_username else {}
    with requests.Session() as session, our_client(pki, **username) as sc:
        # without the environment, whose REQUESTS_CA_BUNDLE would win over the session's own certificates
        session.trust_env = False
        session.verify = str(pki / "ca.pem")
        service = sc.client(wsdl, transport=sc.transport(session=session)).service
        for text in _TEXTS:
            assert service.echo(text) == text
        assert service.sum([1, 2, 39]) == 42
        assert len(service.big(BIG)) == BIG
        assert service.whoami() == whoami or whoami is None
        fault = _declared_fault(service)
        assert len(sc.contexts()) == 1
    return ["calls", fault]


def _declared_fault(service: Any) -> str:
    with pytest.raises(zeep.exceptions.Fault) as caught:
        service.fail("E42")
    fault = caught.value
    assert fault.detail is not None, fault
    assert fault.detail.findtext("{*}PeerFault/{*}code") == "E42"
    return "fault (unproven)" if isinstance(fault, UnsecuredFault) else "fault"


def their_client_calls(variant: Variant, service: OurService, client: PeerClients) -> Sequence[str]:
    """A stack's client calls our service, which must have everything be true that its store does not tell.

    Returns:
        What of Renew and Cancel the store tells of.
    """
    options = dict(_NEEDED.get(str(variant), {}))
    if variant.wants_username:
        options |= USER_OPTIONS
    report = client(wsdl=service.wsdl, check=True, size=BIG, **options)
    return checked(variant.stack, report, service, principal(variant))


#: What makes a stack's client a user.
USER_OPTIONS: dict[str, Any] = {"username": USER.username, "password": USER.secret()}


def checked(stack: Stack, report: Mapping[str, Any], service: OurService, known: str) -> Sequence[str]:
    """What a stack's client did besides its calls, by the contexts of our service.

    Args:
        stack: whose client.
        report: what the client says of its calls.
        service: ours.
        known: whom the service must take it for.
    """
    assert report["ok"], (report, service.said)
    steps = report["steps"]
    assert (steps["echo1"], steps["echo2"], steps["sum"], steps["big"]) == ("one", "two ä€<&>", 42, BIG)
    assert (steps["fail"], steps["whoami"]) == ("E42", known)
    counted = service.counted()
    done = [name for name in AFTERWARDS[stack] if counted[name]]
    # CXF's client asks for another context where the first one is not renewed, and after its Cancel calls once more in
    # the context that it gave back
    anew, late = ("Renew" not in done, "Cancel" in done) if stack is CXF else (False, False)
    assert service.app.calls == _THEIR_CALLS[stack] - late, service.said
    assert counted["refused"] == len(AFTERWARDS[stack]) - len(done) + late, service.said
    assert counted["Issue"] == 1 + anew, service.said
    assert len(service.living()) == counted["Issue"] - counted["Cancel"]
    return done


def described(stack: Stack, done: Collection[str], tolerated: Collection[str], cell: Cell) -> str:
    """A cell: what a stack's client does at our service, as it is and where it is tolerated.

    Args:
        stack: whose client.
        done: what of Renew and Cancel it did.
        tolerated: the same where it is tolerated.
        cell: what is expected.
    """
    if cell is AT_TIMES:
        return cell.text
    kinds = {
        "": [name for name in AFTERWARDS[stack] if name in done],
        " if tolerated": [name for name in AFTERWARDS[stack] if name in tolerated and name not in done],
        " refused": [name for name in AFTERWARDS[stack] if name not in tolerated and name not in done],
    }
    return "; ".join(
        [
            ", ".join(["calls", "fault", *kinds.pop("")]),
            *(" and ".join(names) + end for end, names in kinds.items() if names),
        ]
    )


# ------------------------------------------------------------------------------------------------- the table


def table(cells: Mapping[tuple[Variant, Way], str]) -> str:
    """The table in Markdown, from what was seen, and from what is expected of what was not tried this time."""
    rows = [
        (
            [variant.stack.title, f"`{variant.name}`"],
            [
                Cell(cells.get((variant, way), text), reason)
                for way in Way
                for text, reason in [expected(variant, way)]
            ],
        )
        for variant in SECURED
    ]
    return tabulated(["stack", "policy", *(way.value for way in Way)], rows)


def tabulated(heads: Sequence[str], rows: Iterable[tuple[Sequence[str], Iterable[Cell]]]) -> str:
    """A table in Markdown, with the reasons of its cells as numbered notes below it.

    Args:
        heads: of the columns.
        rows: what each is, and its cells.
    """
    notes: dict[str, int] = {}
    numbers = count(1)
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for names, cells in rows:
        row = list(names)
        for text, reason in cells:
            if reason and reason not in notes:
                notes[reason] = next(numbers)
            row.append(text + (f" ({notes[reason]})" if reason else ""))
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, "", *(f"({number}) {reason}." for reason, number in notes.items())])


def compared_with(page: Path, name: str, new: str) -> tuple[str, str]:
    """(the table that a page of the documentation has between its marks, what it should be).

    With ZEEP_SECURECONV_WRITE_GRID=1 the page is written anew before.

    Args:
        page: the page.
        name: of the table.
        new: the table.
    """
    before, old, after = _between(page.read_text(encoding="utf-8"), name)
    if os.environ.get(_WRITE):
        page.write_text(f"{before}\n\n{new}\n\n{after}", encoding="utf-8")
        old = new
    return old.strip(), new


_WRITE = "ZEEP_SECURECONV_WRITE_GRID"


def _between(page: str, name: str) -> tuple[str, str, str]:
    marks = (re.escape(mark.format(name)) for mark in (_MARK, _END))
    found = re.fullmatch("(.*{})(.*)({}.*)".format(*marks), page, re.DOTALL)
    assert found is not None, f"the page has no marks for the table {name}"
    return found[1], found[2], found[3]
