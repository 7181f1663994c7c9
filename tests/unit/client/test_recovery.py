"""Calls that are sent again, once, after a fault that says that the service lost the context."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
import zeep
from zeep.exceptions import Fault as ZeepFault

from tests.unit.client.conftest import Posted, Service
from tests.unit.messages import bare
from tests.unit.parties import environment, identity
from zeep_secureconv import (
    ConfigurationError,
    Limits,
    SecureConversation,
    SecurityContext,
    TokenFault,
    UnsecuredFault,
)
from zeep_secureconv.conversation.faults import DOTNET, WSS4J, Sign, sign_of
from zeep_secureconv.names import SOAP11, WSA_2005, WSC_2005, WSC_200512, WSSE, WST_200512
from zeep_secureconv.policy.model import Direction, Parts
from zeep_secureconv.policy.reader import read_wsdl
from zeep_secureconv.service.contract import NAMESPACE
from zeep_secureconv.soap.addressing import FAULT_ACTION, address_reply
from zeep_secureconv.soap.envelope import Soap, parse, serialize
from zeep_secureconv.soap.faults import Fault, make_fault
from zeep_secureconv.wss.keys import Keyring
from zeep_secureconv.wss.protect import protect
from zeep_secureconv.wss.reply import Reply

Answer = tuple[str, dict[str, str], bytes]
XML = {"Content-Type": "text/xml; charset=utf-8"}
BAD_CONTEXT = f"{{{WSC_200512}}}BadContextToken"
RENEW_NEEDED = f"{{{WSC_200512}}}RenewNeeded"
SECURITY_ERROR = f"{{{WSS4J}}}SecurityError"


def unsecured(code: str) -> bytes:
    """A fault that anybody can send."""
    return serialize(make_fault(SOAP11, code=code, text="forged").envelope)


def secured(service: Service, posted: Posted, context: SecurityContext, code: str, *, parts: bool) -> bytes:
    """A fault under the context of a request, as the service would send it.

    Args:
        service: the service.
        posted: the request.
        context: its context.
        code: of the fault.
        parts: secure what the policy says, and not the Timestamp alone.
    """
    policy = read_wsdl(parse(service.document, Limits())).operations["echo"].response
    if not parts:
        policy = replace(policy, signed=Parts(), encrypted=Parts())
    request = Soap.of(parse(posted.body, Limits()))
    message_id = next(block.text for block in request.blocks() if block.tag == f"{{{WSA_2005}}}MessageID")
    around = environment(time=service.time)
    fault = make_fault(SOAP11, code=code, text="signed")
    address_reply(
        fault, wsa=WSA_2005, action=FAULT_ACTION[WSA_2005], relates_to=message_id, random=around.random
    )
    ring = Keyring(signing=identity("server"), role="client", context=context.key)
    protect(fault, policy, ring, around, direction=Direction.RESPONSE)
    return serialize(fault.envelope)


def answer_calls(service: Service, *bodies: Callable[[Posted], bytes], executed: bool) -> None:
    """Answer the next calls with these in turn, in the service's place or after it did what they ask."""
    left = list(bodies)

    def interfere(posted: Posted) -> Answer | None:
        if posted.kind not in ("echo", "fail") or not left:
            return None
        if executed:
            service.execute(posted)
        return "500 Fault", XML, left.pop(0)(posted)

    service.interfere = interfere


def opened(service: Service, **options: Any) -> tuple[SecureConversation, Any]:
    """A conversation with a context, before anything goes wrong."""
    sc = service.conversation(**options)
    operations = sc.client(str(service.wsdl)).service
    assert operations.echo("first") == "first"
    assert service.application.calls == 1
    return sc, operations


# ------------------------------------------------------------------------------------------------------- proven


def test_a_proven_loss_is_recovered_from(service: Service) -> None:
    """After a signed BadContextToken the call is sent again under a new context, and executed once."""
    sc, operations = opened(service)
    (lost,) = sc.contexts()
    answer_calls(
        service, lambda posted: secured(service, posted, lost, BAD_CONTEXT, parts=True), executed=False
    )
    assert operations.echo("second") == "second"
    (found,) = sc.contexts()
    assert found.identifier != lost.identifier
    assert service.kinds() == ["issue", "echo", "echo", "issue", "echo"]
    assert service.told() == ["issued", "lost", "issued", "recovered"]
    assert service.application.calls == 2


def test_what_is_sent_again_is_a_new_message(service: Service) -> None:
    """It has its own MessageID, signature and nonces, under the new context, and says the same."""
    sc, operations = opened(service)
    (lost,) = sc.contexts()
    answer_calls(
        service, lambda posted: secured(service, posted, lost, BAD_CONTEXT, parts=True), executed=False
    )
    assert operations.echo("ünï & <b>") == "ünï & <b>"
    (found,) = sc.contexts()
    before, after = (
        posted.body for posted in service.posted if posted.kind == "echo" and posted is not service.posted[1]
    )
    marks = [f"{{{WSA_2005}}}MessageID"]
    first, second = (
        [block.text for block in Soap.of(parse(body, Limits())).blocks() if block.tag in marks]
        for body in (before, after)
    )
    assert len(first) == len(second) == 1
    assert first != second
    assert lost.identifier.encode() in before
    assert found.identifier.encode() in after
    assert lost.identifier.encode() not in after


def test_a_proven_end_is_recovered_from_by_renewal(service: Service) -> None:
    """After a signed RenewNeeded the context is renewed, and the call sent again."""
    sc, operations = opened(service)
    (old,) = sc.contexts()
    answer_calls(
        service, lambda posted: secured(service, posted, old, RENEW_NEEDED, parts=True), executed=False
    )
    assert operations.echo("second") == "second"
    (new,) = sc.contexts()
    assert new.identifier == old.identifier
    assert new.instance != old.instance
    assert service.kinds() == ["issue", "echo", "echo", "Renew", "echo"]
    assert service.told() == ["issued", "renewed", "recovered"]


def test_never_twice(service: Service) -> None:
    """When the call that was sent again meets the same fault, that is the error; it is not sent a third time."""
    sc, operations = opened(service, recover="always")

    def answer(posted: Posted) -> bytes:
        return secured(service, posted, sc.contexts()[0], BAD_CONTEXT, parts=True)

    answer_calls(service, answer, answer, executed=False)
    with pytest.raises(TokenFault) as caught:
        operations.echo("second")
    assert (caught.value.name, caught.value.verified) == ("BadContextToken", True)
    assert service.kinds() == ["issue", "echo", "echo", "issue", "echo"]
    assert operations.echo("third") == "third"


def test_never_is_never(service: Service) -> None:
    """With recover="never" not even a proven loss of an idempotent operation is recovered from; the next call works."""
    sc, operations = opened(service, recover="never", idempotent=["echo"])
    (lost,) = sc.contexts()
    answer_calls(
        service, lambda posted: secured(service, posted, lost, BAD_CONTEXT, parts=True), executed=False
    )
    with pytest.raises(TokenFault):
        operations.echo("second")
    assert operations.echo("third") == "third"
    assert service.kinds() == ["issue", "echo", "echo", "issue", "echo"]


# ----------------------------------------------------------------------------------------------------- unproven


@pytest.mark.parametrize(
    ("options", "recovers"),
    [
        ({}, False),
        ({"recover": "auto", "idempotent": ["sum"]}, False),
        ({"recover": "auto", "idempotent": lambda name: name == "sum"}, False),
        ({"recover": "never", "idempotent": ["echo"]}, False),
        ({"recover": "auto", "idempotent": ["echo"]}, True),
        ({"recover": "auto", "idempotent": lambda name: name == "echo"}, True),
        ({"recover": "always"}, True),
    ],
)
def test_an_unproven_loss(service: Service, options: dict[str, Any], recovers: bool) -> None:
    """Our service's BadContextToken over HTTP proves nothing: the user says whether the call is sent again."""
    _, operations = opened(service, **options)
    service.restart()
    if recovers:
        assert operations.echo("second") == "second"
    else:
        with pytest.raises(TokenFault) as caught:
            operations.echo("second")
        assert caught.value.hint
        assert not caught.value.verified
    assert operations.echo("third") == "third"
    assert service.kinds().count("issue") == 2
    assert service.application.calls == (3 if recovers else 2)
    assert service.told().count("recovered") == recovers


@pytest.mark.parametrize("code", [SECURITY_ERROR, BAD_CONTEXT, RENEW_NEEDED, f"{{{WSSE}}}InvalidSecurity"])
def test_forged_in_the_clear(service: Service, code: str) -> None:
    """Whoever swallows the answer and forges a fault in its place does not have the call executed twice."""
    _, operations = opened(service)
    answer_calls(service, lambda _: unsecured(code), executed=True)
    with pytest.raises(TokenFault) as caught:
        operations.echo("second")
    assert not caught.value.verified
    assert service.application.calls == 2
    assert operations.echo("third") == "third"
    assert service.application.calls == 3


def test_signed_timestamp_alone_proves_nothing(service: Service) -> None:
    """A BadContextToken with nothing but its Timestamp signed has a Body that anybody can write: it is not obeyed."""
    sc, operations = opened(service)
    (context,) = sc.contexts()
    answer_calls(
        service, lambda posted: secured(service, posted, context, BAD_CONTEXT, parts=False), executed=True
    )
    with pytest.raises(TokenFault) as caught:
        operations.echo("second")
    assert (caught.value.name, caught.value.verified) == ("BadContextToken", False)
    assert service.application.calls == 2
    assert service.kinds() == ["issue", "echo", "echo"]
    assert operations.echo("third") == "third"


def test_a_service_that_failed_later_is_not_asked_twice(service: Service) -> None:
    """CXF's soap:Server comes after the application: even "always" does not send such a call again; idempotent does."""
    _, operations = opened(service, recover="always")
    answer_calls(service, lambda _: unsecured(f"{{{SOAP11}}}Server"), executed=True)
    with pytest.raises(UnsecuredFault):
        operations.echo("second")
    assert service.application.calls == 2
    assert operations.echo("third") == "third"
    assert service.kinds() == ["issue", "echo", "echo", "issue", "echo"]


@pytest.mark.parametrize("recover", ["auto", "always"])
def test_a_declared_fault_is_no_sign(service: Service, recover: str) -> None:
    """A fault that the WSDL declares came from the application, signed or not: the context stays, nothing is resent."""
    sc, operations = opened(service, recover=recover, idempotent=["fail"])
    with pytest.raises(ZeepFault):
        operations.fail("E1")
    fault = (
        f"<s:Envelope xmlns:s='{SOAP11}'><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>no</faultstring>"
        f"<detail><p:PeerFault xmlns:p='{NAMESPACE}'><p:code>E2</p:code></p:PeerFault></detail>"
        "</s:Fault></s:Body></s:Envelope>"
    )
    answer_calls(service, lambda _: fault.encode(), executed=False)
    with pytest.raises(UnsecuredFault):
        operations.fail("E2")
    assert service.kinds() == ["issue", "echo", "fail", "fail"]
    assert len(sc.contexts()) == 1


def test_without_our_transport_the_next_call_works(service: Service) -> None:
    """On zeep's own transport nothing is sent again: the error says what the next call does, and it does."""
    sc = service.conversation(recover="always")
    operations = zeep.Client(str(service.wsdl), wsse=sc, plugins=[sc]).service
    operations.echo("first")
    service.restart()
    with pytest.raises(TokenFault) as caught:
        operations.echo("second")
    assert "the next call" in str(caught.value.hint)
    assert operations.echo("third") == "third"
    assert service.kinds() == ["issue", "echo", "echo", "issue", "echo"]


def test_forged_faults_start_no_storm(service: Service) -> None:
    """A fault that proves nothing is obeyed ten times a minute; after that the context is kept, and works."""
    sc, operations = opened(service, recover="always")
    service.interfere = lambda posted: (
        ("500 Fault", XML, unsecured(SECURITY_ERROR)) if posted.kind == "echo" else None
    )
    for _ in range(15):
        with pytest.raises(TokenFault):
            operations.echo("x")
    assert service.kinds().count("issue") <= 11
    service.time.seconds += timedelta(seconds=30).total_seconds()
    issued = service.kinds().count("issue")
    with pytest.raises(TokenFault):
        operations.echo("x")
    assert service.kinds().count("issue") == issued
    assert len(sc.contexts()) == 1
    service.interfere = None
    assert operations.echo("y") == "y"
    assert service.kinds().count("issue") == issued
    service.time.seconds += timedelta(seconds=30).total_seconds()
    service.restart()
    assert operations.echo("z") == "z"
    assert service.kinds().count("issue") == issued + 1


def test_recover_has_three_values() -> None:
    """Any other is refused with the three named."""
    with pytest.raises(ConfigurationError, match="recover=") as caught:
        SecureConversation(recover="sometimes")  # type: ignore[arg-type]
    assert "always" in str(caught.value.hint)


# -------------------------------------------------------------------------------------------------------- signs


def fault(code: str) -> Reply:
    """An unsecured fault with that code."""
    return Reply(
        soap=bare(), verified=None, fault=Fault(code=code, subcodes=(), text="", actor=None, detail=None)
    )


@pytest.mark.parametrize(
    ("code", "plain", "over_tls"),
    [
        (BAD_CONTEXT, Sign.SUSPECT, Sign.LOST),
        (f"{{{WSC_2005}}}BadContextToken", Sign.SUSPECT, Sign.LOST),
        (RENEW_NEEDED, Sign.SUSPECT, Sign.RENEW),
        (f"{{{WSC_200512}}}UnableToRenew", Sign.SUSPECT, Sign.SUSPECT),
        (SECURITY_ERROR, Sign.SUSPECT, Sign.SUSPECT),
        (f"{{{WSSE}}}InvalidSecurity", Sign.SUSPECT, Sign.SUSPECT),
        (f"{{{WSSE}}}FailedAuthentication", Sign.NONE, Sign.NONE),
        (f"{{{DOTNET}}}InvalidSecurity", Sign.SUSPECT, Sign.SUSPECT),
        (f"{{{WST_200512}}}BadContextToken", Sign.SUSPECT, Sign.SUSPECT),
        (f"{{{SOAP11}}}Client", Sign.SUSPECT, Sign.SUSPECT),
        (f"{{{SOAP11}}}Server", Sign.UNANSWERED, Sign.UNANSWERED),
        ("{urn:app}BadContextToken", Sign.SUSPECT, Sign.SUSPECT),
    ],
)
def test_the_signs_of_unsecured_faults(code: str, plain: Sign, over_tls: Sign) -> None:
    """Only verified TLS makes an unsecured fault a proof, and only of what the standard's own codes say."""
    assert sign_of(fault(code), declared=False, over_tls=False) is plain
    assert sign_of(fault(code), declared=False, over_tls=True) is over_tls
    assert sign_of(fault(code), declared=True, over_tls=True) is Sign.NONE
    assert [sign for sign in Sign if sign.is_proven] == [Sign.LOST, Sign.RENEW]


@dataclass(frozen=True)
class Row:
    """What a stack answers when it lost a context; unsecured, as all of them send it.

    Args:
        code: of its fault.
        text: of its fault.
        executed: whether the service may have executed the call: then it is not sent again even by "always".
    """

    code: str
    text: str = "no"
    executed: bool = False


SIGNS = {
    "this library, WCF": Row(BAD_CONTEXT),
    "WCF, draft": Row(f"{{{WSC_2005}}}BadContextToken"),
    "WCF, over": Row(RENEW_NEEDED),
    "WCF, aborted": Row(f"{{{DOTNET}}}SecuritySessionAborted"),
    "the specification": Row(f"{{{WSC_200512}}}UnableToRenew"),
    "CXF": Row(SECURITY_ERROR, "A security error was encountered when verifying the message"),
    "CXF with details": Row(f"{{{WSSE}}}FailedCheck"),
    "CXF with details, token": Row(f"{{{WSSE}}}InvalidSecurityToken"),
    "CXF, lost while it worked": Row(f"{{{SOAP11}}}Server", "No signature token id", executed=True),
    "Metro": Row(f"{{{WSSE}}}InvalidSecurity", "Invalid Security Header"),
    "Metro, over": Row(f"{{{SOAP11}}}Server", "Not yet implemented", executed=True),
    "Rampart": Row(f"{{{WSSE}}}InvalidSecurity", "General security error"),
    "Liberty": Row(f"{{{SOAP11}}}Client", "General security error"),
}


@pytest.mark.parametrize("name", SIGNS)
@pytest.mark.parametrize("recover", ["auto", "always", "never"])
def test_every_sign_is_told_of_once(service: Service, name: str, recover: Any) -> None:
    """Whatever a stack says: the context is lost once, the call is sent again once or never, and all of it is told."""
    row = SIGNS[name]
    _, operations = opened(service, recover=recover)
    body = serialize(make_fault(SOAP11, code=row.code, text=row.text).envelope)
    answer_calls(service, lambda _: body, executed=row.executed)
    again = recover == "always" and not row.executed
    if again:
        assert operations.echo("second") == "second"
    else:
        with pytest.raises((TokenFault, UnsecuredFault)) as caught:
            operations.echo("second")
        assert not caught.value.verified
    assert operations.echo("third") == "third"
    told = Counter(event.kind for event in service.events)
    assert told == Counter({"issued": 2, "lost": 1, "verified": 2 + again, "recovered": int(again)})
    assert [event.detail for event in service.events if event.kind in ("lost", "recovered")] == [row.code] * (
        1 + again
    )
    assert service.application.calls == 2 + again + row.executed
