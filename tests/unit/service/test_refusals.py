"""The faults of a service: standard codes, secured as soon as it is known who is told."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.messages import asymmetric, symmetric
from tests.unit.parties import identity
from tests.unit.service.peer import INVALID, Peer
from tests.unit.service.test_endpoint import (
    ALICE,
    USERS,
    calling,
    contract,
    for_user,
    over_certificate,
    renewal,
    supporting,
)
from zeep_secureconv import Limits, SecurityContext, StoreError, UsernameToken
from zeep_secureconv.conversation.store.memory import MemoryStore
from zeep_secureconv.names import (
    SOAP11,
    SOAP12,
    WSA_2005,
    WSC_200512,
    WSSE,
    WST_2005,
    WST_200512,
)
from zeep_secureconv.policy import Direction, EndpointPolicy
from zeep_secureconv.policy.model import HeaderPart, Parts
from zeep_secureconv.policy.model import UsernameToken as UsernamePolicy
from zeep_secureconv.soap.addressing import FAULT_ACTION
from zeep_secureconv.soap.envelope import Soap, parse, serialize
from zeep_secureconv.soap.faults import read_fault
from zeep_secureconv.trust import (
    DIALECTS,
    RequestSecurityToken,
    RequestType,
    TokenReference,
    request_to_xml,
)
from zeep_secureconv.wss.protect import protect

VERSIONS = pytest.mark.parametrize("soap", [SOAP11, SOAP12], ids=["soap11", "soap12"])
BAD_CONTEXT = f"{{{WSC_200512}}}BadContextToken"


def named(context: SecurityContext, identifier: str) -> SecurityContext:
    """The context under another name."""
    token = context.key.token.replace(context.identifier.encode(), identifier.encode())
    return replace(context, key=replace(context.key, identifier=identifier, token=token))


def by_context(peer: Peer, context: SecurityContext, kind: RequestType, target: str) -> tuple[bytes, str]:
    """(message, action) of a request about a context that another one secures."""
    soap = Soap.of(parse(_clear(peer, kind, target), Limits()))
    protect(
        soap,
        peer.conversation.cancel.request,
        replace(peer.ring, context=context.key),
        peer.environment,
        direction=Direction.REQUEST,
    )
    return serialize(soap.envelope), peer.dialect.action(kind, Direction.REQUEST) or ""


def _clear(peer: Peer, kind: RequestType, target: str) -> bytes:
    """The request in the clear, with its addressing headers."""
    dialect = peer.dialect
    request = RequestSecurityToken(
        wst=dialect.wst, request_type=kind, target=TokenReference(target, f"{dialect.wsc}/sct", None)
    )
    version, action = peer.conversation.soap, dialect.action(kind, Direction.REQUEST)
    text = (
        f'<s:Envelope xmlns:s="{version}" xmlns:a="{WSA_2005}"><s:Header><a:Action>{action}</a:Action>'
        "<a:MessageID>urn:uuid:1</a:MessageID></s:Header><s:Body/></s:Envelope>"
    )
    soap = Soap.of(parse(text.encode(), Limits()))
    soap.body.append(request_to_xml(request, dialect))
    return serialize(soap.envelope)


# ------------------------------------------------------------------------------------------ who is told


@VERSIONS
@pytest.mark.parametrize("kind", [RequestType.CANCEL, RequestType.VALIDATE, RequestType.RENEW])
def test_a_refused_request_about_a_context_is_answered_with_proof(kind: RequestType, soap: str) -> None:
    """Body and addressing of the fault are signed, by the context or as the bootstrap says, with our RelatesTo."""
    peer = Peer(soap=soap)
    context = peer.issue()
    if kind is RequestType.RENEW:
        gone = named(context, "urn:uuid:gone")
        action = peer.dialect.action(kind, Direction.REQUEST)
        assert action is not None
        refusal = peer.refusal(renewal(peer, gone, endorsed=False), action)
        assert refusal.fault.code == f"{{{WST_200512}}}UnableToRenew"
    elif kind is RequestType.CANCEL:
        refusal = peer.refusal(*by_context(peer, context, kind, "urn:uuid:gone"))
        assert refusal.fault.code == f"{{{WST_200512}}}InvalidRequest"
    else:
        message, action = by_context(peer, context, kind, "#attached")
        refusal = peer.refusal(message, action)
        assert refusal.fault.code == f"{{{WST_200512}}}InvalidRequest"
    assert refusal.proven
    assert refusal.verified is not None
    if kind is not RequestType.RENEW:
        assert refusal.verified.context is not None
        assert refusal.verified.context.secret == context.key.secret
        assert refusal.verified.addressing.relates_to == "urn:uuid:1"
    assert refusal.verified.addressing.action == FAULT_ACTION[WSA_2005]
    assert peer.call(context)[0] == 200


def test_a_refused_bootstrap_is_answered_with_proof() -> None:
    """With the service's signature, encrypted to who asked; or under the key that an anonymous request brought."""
    for policy in (None, EndpointPolicy(endpoint=symmetric(bootstrap=over_certificate()))):
        peer = Peer(policy=policy, authorize=lambda _: False)
        refusal = peer.refusal(peer.ask(), peer.exchange.action)
        assert refusal.fault.code == f"{{{WSSE}}}FailedAuthentication"
        assert refusal.proven
        assert refusal.verified is not None
        assert refusal.verified.soap.body in refusal.verified.decrypted
        signer = refusal.verified.signer
        assert signer == (identity("server").certificate if policy is None else None)


def test_the_client_believes_a_secured_fault() -> None:
    """Our own client takes it for proven, and knows its code."""
    peer = Peer()
    context = peer.issue()
    peer.middleware._endpoint._authorize = lambda _: False
    message, sent = peer.secured(context)
    status, _, content = peer.post(serialize(message.envelope), "urn:test:a")
    reply = peer.read(content, context, sent)
    assert (status, reply.proven) == (500, True)
    assert reply.fault is not None
    assert reply.fault.code == f"{{{SOAP11}}}Client"


def test_an_unauthenticated_user_of_a_call_is_told_with_proof() -> None:
    """The context is proven, the user is not: the fault belongs to the context."""
    policy = calling(*supporting(UsernamePolicy(), signed=True, encrypted=True))
    peer = Peer(policy=policy, tokens=(UsernameToken("bob", "builder"),), authenticate=USERS)
    context = peer.issue()
    assert peer.call(context)[0] == 200
    peer.ring = replace(peer.ring, tokens=(UsernameToken("bob", "guess"),))
    refusal = peer.refusal(serialize(peer.secured(context)[0].envelope))
    assert (refusal.fault.code, refusal.proven) == (f"{{{WSSE}}}FailedAuthentication", True)


def test_over_tls_a_fault_has_the_security_of_any_answer() -> None:
    """TLS proves it; the context endorses nothing in answers."""
    peer = Peer(policy=for_user(), tokens=(ALICE,), https=True, authenticate=USERS)
    context = peer.issue()
    peer.middleware._endpoint._authorize = lambda _: False
    refusal = peer.refusal(serialize(peer.secured(context)[0].envelope))
    assert refusal.fault.code == f"{{{SOAP11}}}Client"
    assert refusal.verified is not None


def test_nobody_in_particular_gets_nothing_signed() -> None:
    """What proves nothing is answered with nothing that proves anything, or costs anything."""
    peer = Peer()
    context = peer.issue()
    soap, _ = peer.secured(context)
    forged = serialize(soap.envelope).replace(b"DigestValue>", b"DigestValue>AAAA", 1)
    for message in (forged, b"", peer.ask()[:-40]):
        refusal = peer.refusal(message)
        assert (refusal.fault.code, refusal.verified) == (INVALID, None)
    unknown = named(context, "urn:uuid:unknown")
    refusal = peer.refusal(serialize(peer.secured(unknown)[0].envelope))
    assert (refusal.fault.code, refusal.verified) == (BAD_CONTEXT, None)


# ---------------------------------------------------------------------------------------- which code it is


def test_refusals_are_in_the_dialect_of_the_request() -> None:
    """A request in the draft version is refused with the codes of that."""
    peer = Peer()
    draft = replace(
        DIALECTS["draft200502"], wsc="http://docs.oasis-open.org/ws-sx/ws-secureconversation/200512"
    )
    exchange = peer.initiator.ask_issue("http://localhost/soap/peer", peer.conversation, peer.ring, draft)
    code = peer.refused(serialize(exchange.soap.envelope), exchange.action)
    assert code == f"{{{WST_2005}}}InvalidRequest"


@pytest.mark.parametrize("renewable", [True, False])
def test_a_context_that_is_over_needs_renewal(renewable: bool) -> None:
    """Where that is possible the fault is RenewNeeded, proven by the context; elsewhere the context is unknown."""
    peer = Peer(renew_after_expiry=renewable)
    context = peer.issue()
    assert peer.call(context)[0] == 200
    peer.time.forward(timedelta(minutes=121))
    refusal = peer.refusal(serialize(peer.secured(context)[0].envelope))
    if renewable:
        assert (refusal.fault.code, refusal.proven) == (f"{{{WSC_200512}}}RenewNeeded", True)
    else:
        assert (refusal.fault.code, refusal.verified) == (BAD_CONTEXT, None)
    stranger = replace(context, key=replace(context.key, secret=bytes(32)))
    forged = peer.refusal(serialize(peer.secured(stranger)[0].envelope))
    assert (forged.fault.code, forged.verified) == (INVALID if renewable else BAD_CONTEXT, None)
    unknown = named(context, "urn:uuid:unknown")
    assert peer.refused(serialize(peer.secured(unknown)[0].envelope)) == BAD_CONTEXT


@VERSIONS
@pytest.mark.parametrize(
    ("attributes", "understood"),
    [
        ('s:mustUnderstand="1"', False),
        ('s:mustUnderstand="true"', False),
        ('s:mustUnderstand="0"', True),
        ("", True),
        ('s:mustUnderstand="1" s:{actor}="{next}"', False),
        ('s:mustUnderstand="1" s:{actor}="urn:somebody:else"', True),
    ],
)
def test_headers_that_must_be_understood_are(soap: str, attributes: str, understood: bool) -> None:
    """A header that nobody knows or nothing proves is refused where it must be understood, and else dropped."""
    peer = Peer(soap=soap)
    actor, following = {
        SOAP11: ("actor", "http://schemas.xmlsoap.org/soap/actor/next"),
        SOAP12: ("role", "http://www.w3.org/2003/05/soap-envelope/role/next"),
    }[soap]
    written = attributes.format(actor=actor, next=following)
    header = f'<x:Strange xmlns:x="urn:strange" xmlns:s="{soap}" {written}/>'
    message = peer.ask().replace(b"Header>", b"Header>" + header.encode(), 1)
    if understood:
        assert peer.post(message, peer.exchange.action)[0] == 200
    else:
        refusal = peer.refusal(message, peer.exchange.action)
        assert refusal.proven
        if soap == SOAP12:
            assert refusal.verified is not None
            (named,) = (
                block for block in refusal.verified.soap.blocks() if block.tag == f"{{{SOAP12}}}NotUnderstood"
            )
            prefix, _, local = (named.get("qname") or "").partition(":")
            assert (named.nsmap[prefix], local) == ("urn:strange", "Strange")
        assert refusal.fault.code == f"{{{soap}}}MustUnderstand"
    call = serialize(peer.secured(peer.issue(), headers=header)[0].envelope)
    if understood:
        assert peer.post(call, "urn:test:a")[0] == 200
        assert b"urn:strange" not in peer.app.messages[-1]
    else:
        assert peer.refusal(call, "urn:test:a").fault.code == f"{{{soap}}}MustUnderstand"


@pytest.mark.parametrize("encrypted", [False, True], ids=["in clear", "encrypted"])
def test_proven_headers_reach_the_application(encrypted: bool) -> None:
    """What the client signed is the application's to understand; what somebody on the way put beside it is not."""
    peer = Peer()
    strange = HeaderPart(namespace="urn:strange", name="Strange")
    usual = peer.conversation.application
    policy = replace(
        usual,
        signed=replace(usual.signed, headers=(*usual.signed.headers, strange)),
        encrypted=replace(usual.encrypted, headers=(strange,) if encrypted else ()),
    )
    header = f'<x:Strange xmlns:x="urn:strange" xmlns:s="{SOAP11}" s:mustUnderstand="1">mine</x:Strange>'
    soap, _ = peer.secured(peer.issue(), headers=header, policy=policy)
    message = serialize(soap.envelope).replace(b"Header>", b'Header><y:Evil xmlns:y="urn:evil"/>', 1)
    assert peer.post(message, "urn:test:a")[0] == 200
    assert b">mine</" in peer.app.messages[-1]
    assert b"urn:evil" not in peer.app.messages[-1]


class _AwayStore(MemoryStore):
    """A store that stops answering."""

    away = False

    def get(self, key: tuple[str, ...]) -> SecurityContext | None:
        """The context, while there is an answer."""
        if self.away:
            raise StoreError("the store does not answer", hint="start it")
        return super().get(key)


@VERSIONS
def test_trouble_of_the_service_is_its_own(soap: str) -> None:
    """A store that is away is no fault of the client's, and no reason to give its context up."""
    store = _AwayStore()
    peer = Peer(soap=soap, store=store)
    context = peer.issue()
    store.away = True
    message = serialize(peer.secured(context)[0].envelope)
    status, _, content = peer.post(message, "urn:test:a")
    fault = read_fault(Soap.of(parse(content, Limits())))
    assert (status, fault.code) == (500, f"{{{soap}}}{'Server' if soap == SOAP11 else 'Receiver'}")
    assert "store" not in fault.text
    store.away = False
    assert peer.call(context)[0] == 200


# -------------------------------------------------------------------------------------------- the application


def test_an_error_of_the_application_is_not_one_of_ours() -> None:
    """An application that calls a secure service itself may fail as we do: its client's context is not at fault."""
    peer = Peer()
    context = peer.issue()

    def broken(_soap: Soap) -> bytes:
        raise StoreError("another store", hint="of the application")

    working = peer.app.answer
    peer.app.answer = broken
    soap, _ = peer.secured(context)
    with pytest.raises(StoreError, match="another store"):
        peer.post(serialize(soap.envelope), "urn:test:a")
    peer.app.answer = working
    assert peer.call(context)[0] == 200


def test_an_answer_that_cannot_be_secured_is_trouble_of_the_service(caplog: pytest.LogCaptureFixture) -> None:
    """It does not go out in the clear: the client gets a fault that says nothing, the log says why."""
    caplog.set_level(logging.WARNING, "zeep_secureconv.service")
    peer = Peer()
    context = peer.issue()
    peer.app.answer = lambda _: (
        f'<s:Envelope xmlns:s="{SOAP11}"><s:Header><w:Security xmlns:w="{WSSE}"/><w:Security xmlns:w="{WSSE}"/>'
        "</s:Header><s:Body><secret/></s:Body></s:Envelope>"
    ).encode()
    soap, _ = peer.secured(context)
    status, _, content = peer.post(serialize(soap.envelope), "urn:test:a")
    assert (status, read_fault(Soap.of(parse(content, Limits()))).code) == (500, f"{{{SOAP11}}}Server")
    assert "could not be secured" in caplog.text
    assert b"<secret" not in content


# ------------------------------------------------------------------------------------------- what is signed


def test_an_unsigned_action_is_not_believed() -> None:
    """Where the policy signs no addressing the Body alone says what is done; without a WSDL the action is unknown."""
    bare = replace(symmetric(bootstrap=asymmetric()), signed=Parts(body=True))
    peer = Peer(policy=EndpointPolicy(endpoint=bare, soap=SOAP11))
    context = peer.issue()
    for action in ("urn:test:a", "urn:test:other"):
        assert peer.post(serialize(peer.secured(context, action=action)[0].envelope), action)[0] == 200
    assert [asked["zeep_secureconv.action"] for asked in peer.app.asked] == ["", ""]
    assert {asked["HTTP_SOAPACTION"] for asked in peer.app.asked} == {'""'}
    signed = Peer()
    signed.call(signed.issue())
    assert signed.app.asked[0]["HTTP_SOAPACTION"] == '"urn:test:a"'


def test_an_unsigned_action_does_not_choose_between_operations() -> None:
    """Of two operations with one Body somebody on the way could choose; where the Body names one, nobody can."""
    unsigned = replace(symmetric(bootstrap=asymmetric()), signed=Parts(body=True))

    def serving(*names: str, **policy: Any) -> Peer:
        published = contract(*names, **policy)
        return Peer(policy=replace(published, soap=SOAP11))

    one = serving("a", "b", a=unsigned, b=unsigned)
    call = one.secured(one.issue(), "<a/>", policy=unsigned)[0]
    assert one.post(serialize(call.envelope), "urn:test:a")[0] == 200
    assert one.app.asked[0]["zeep_secureconv.action"] == "urn:test:a"
    spoofed = one.secured(one.issue(), "<a/>", action="urn:test:b", policy=unsigned)[0]
    assert one.refused(serialize(spoofed.envelope), "urn:test:b") == INVALID
    two = serving("a", "a2", a=unsigned, a2=unsigned)
    call = two.secured(two.issue(), "<a/>", policy=unsigned)[0]
    assert two.refused(serialize(call.envelope)) == INVALID
    sound = serving("a", "a2")
    call = sound.secured(sound.issue(), "<a/>", action="urn:test:a2")[0]
    assert sound.post(serialize(call.envelope), "urn:test:a2")[0] == 200
    assert sound.app.asked[0]["zeep_secureconv.action"] == "urn:test:a2"


@pytest.mark.parametrize("local", ["ReplyTo", "FaultTo"])
@pytest.mark.parametrize("trust_service", [True, False])
def test_an_encrypted_address_is_looked_at_too(local: str, trust_service: bool) -> None:
    """Where answers are to go counts also where it is hidden until the message is decrypted."""
    secret = Parts(body=True, headers=(HeaderPart(namespace=WSA_2005, name=local),))
    bootstrap = replace(asymmetric(), encrypted=secret if trust_service else Parts(body=True))
    policy = replace(symmetric(bootstrap=bootstrap), encrypted=secret)
    for address, accepted in ((f"{WSA_2005}/anonymous", True), ("http://elsewhere", False)):
        peer = Peer(policy=EndpointPolicy(endpoint=policy, soap=SOAP11))
        block = f'<w:{local} xmlns:w="{WSA_2005}"><w:Address>{address}</w:Address></w:{local}>'
        if trust_service:
            message, action = _asking(peer, block)
        else:
            message = serialize(peer.secured(peer.issue(), headers=block)[0].envelope)
            action = "urn:test:a"
        assert b"elsewhere" not in message
        if accepted:
            assert peer.post(message, action)[0] == 200
        else:
            assert peer.refused(message, action) == INVALID


def _asking(peer: Peer, block: str) -> tuple[bytes, str]:
    """A request for a context with another header block."""
    request = RequestSecurityToken(wst=peer.dialect.wst, request_type=RequestType.ISSUE)
    action = peer.dialect.action(RequestType.ISSUE, Direction.REQUEST)
    text = (
        f'<s:Envelope xmlns:s="{SOAP11}"><s:Header><a:Action xmlns:a="{WSA_2005}">{action}</a:Action>{block}'
        "</s:Header><s:Body/></s:Envelope>"
    )
    soap = Soap.of(parse(text.encode(), Limits()))
    soap.body.append(request_to_xml(request, peer.dialect))
    policy = peer.conversation.bootstrap.request
    protect(soap, policy, peer.ring, peer.environment, direction=Direction.REQUEST)
    return serialize(soap.envelope), action or ""
