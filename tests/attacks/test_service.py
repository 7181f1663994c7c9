"""Attacks on the whole service: what it lets through, and what its answers tell."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from lxml import etree

from tests.attacks.embedded import Caller, Service, endpoint_policy, outward
from tests.attacks.forge import NS, WSU_ID, Message, World, element, hmac_of, sign_as, twin
from tests.loopback import Request, call_wsgi
from tests.unit.parties import SERVER, identity, trust
from zeep_secureconv import Limits
from zeep_secureconv.conversation.context import SecurityContext
from zeep_secureconv.conversation.initiator import Exchange
from zeep_secureconv.errors import PolicyError
from zeep_secureconv.names import WSC_200512, WST_200512
from zeep_secureconv.policy.model import HeaderPart, Parts, Policy
from zeep_secureconv.service.contract import NAMESPACE
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.soap.envelope import serialize

REFUSED = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}InvalidSecurity"
BAD_CONTEXT = f"{{{WSC_200512}}}BadContextToken"
SUM = f'<p:sum xmlns:p="{NAMESPACE}"><p:values>1</p:values></p:sum>'


@pytest.fixture
def service(world: World) -> Service:
    """The service under the policy asym-dk."""
    return Service(world)


@pytest.fixture
def alice(service: Service) -> Caller:
    """An honest client."""
    return Caller(service)


@pytest.fixture
def mallory(service: Service) -> Caller:
    """A client whom the same CA trusts."""
    return Caller(service, "client2")


@pytest.fixture
def held(alice: Caller) -> SecurityContext:
    """A context of alice's that works."""
    context = alice.bootstrap()
    assert alice.echo(context) == "hello"
    return context


@pytest.fixture(autouse=True)
def nothing_leaks(world: World, caplog: pytest.LogCaptureFixture) -> object:
    """No log record of any test here holds a key or a plaintext."""
    caplog.set_level(logging.DEBUG)
    yield
    assert world.vault.leaks("\n".join(record.getMessage() for record in caplog.records)) == []


def _log(caplog: pytest.LogCaptureFixture) -> str:
    return [record.getMessage() for record in caplog.records if "refused [" in record.getMessage()][-1]


# ----------------------------------------------------------------------------------------- what answers tell


FAILURES: dict[str, tuple[str, Callable[[Message], object]]] = {
    "no security": ("security-header", lambda m: m.drop(m.security)),
    "no signature": ("signature-missing", lambda m: m.drop(m.signature)),
    "wrong signature": ("signature", lambda m: _set(m, ".//ds:SignatureValue", "AAAA")),
    "expired": ("timestamp", lambda m: _set(m, ".//wsu:Created", "2020-01-01T00:00:00Z")),
    "digest": ("digest", lambda m: m.find("soap:Header/wsa:To").set("x", "y")),
    "ciphertext": ("decryption", lambda m: _flip(m, 5)),
    "padding": ("decryption", lambda m: _flip(m, -17)),
    "length": ("decryption", lambda m: _set(m, "soap:Body//xenc:CipherValue", "AAAA")),
    "algorithm": ("algorithm", lambda m: m.find(".//ds:SignatureMethod").set("Algorithm", "urn:x")),
    "duplicate id": (
        "duplicate-id",
        lambda m: m.header.append(element(f'<x wsu:Id="{m.body.get(WSU_ID)}"/>')),
    ),
    "body in the clear": (
        "signed-parts",
        lambda m: m.body.set(WSU_ID, "other"),
    ),
    "too many": ("header-size", lambda m: m.security.extend([element("<x/>") for _ in range(2001)])),
    "attributes": ("attributes", lambda m: _attributes(m, 1001)),
    "references": ("reference", lambda m: _repeat(m.reference_to(m.body), 100)),
    "encrypted keys": ("header-size", lambda m: m.security.extend([_encrypted_key(n) for n in range(5)])),
    "somebody else's key": ("encrypted-key", lambda m: m.security.insert(0, _encrypted_key(0))),
    "unknown certificate": ("signer", lambda m: _signed_by(m, "AAAA")),
    "reply-to": ("reply-to", lambda m: _set(m, "soap:Header/wsa:ReplyTo/wsa:Address", "http://evil")),
    "action": ("action", lambda m: _set(m, "soap:Header/wsa:Action", "urn:evil")),
    "envelope": ("envelope", lambda m: m.drop(m.body)),
    "addressing": ("addressing", lambda m: m.header.append(element("<wsa:To>x</wsa:To>"))),
    "derived key": ("derived-key", lambda m: _set(m, ".//wsc:Length", "99999")),
    "reference": ("reference", lambda m: m.reference_to(m.body).set("URI", "http://evil")),
    "transform": (
        "transform",
        lambda m: m.find(".//ds:Reference[1]//ds:Transform").set("Algorithm", "urn:x"),
    ),
}


def _set(message: Message, path: str, text: str) -> None:
    message.all(path)[0].text = text


def _attributes(message: Message, count: int) -> None:
    for number in range(count):
        message.body.set(f"a{number}", "")


def _repeat(reference: etree._Element, times: int) -> None:
    for _ in range(times):
        reference.addnext(deepcopy(reference))


def _encrypted_key(number: int) -> etree._Element:
    """A key for nobody, with the list of what it encrypts."""
    identifier = "<wsse:KeyIdentifier ValueType='urn:x'>AAAA</wsse:KeyIdentifier>"
    return element(
        f"<xenc:EncryptedKey Id='K{number}'><xenc:EncryptionMethod "
        "Algorithm='http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p'/><ds:KeyInfo><wsse:SecurityTokenReference>"
        f"{identifier}</wsse:SecurityTokenReference></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>AAAA"
        "</xenc:CipherValue></xenc:CipherData><xenc:ReferenceList/></xenc:EncryptedKey>"
    )


def _signed_by(message: Message, key: str) -> None:
    """Name a certificate that nobody has as the signer's."""
    reference = message.signature.find(".//wsse:SecurityTokenReference", NS)
    assert reference is not None
    style = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1"
    reference.clear()
    reference.append(element(f"<wsse:KeyIdentifier ValueType='{style}'>{key}</wsse:KeyIdentifier>"))


def _flip(message: Message, position: int) -> None:
    value = message.find("soap:Body//xenc:CipherValue")
    octets = bytearray(base64.b64decode(value.text or ""))
    octets[position] ^= 1
    value.text = base64.b64encode(octets).decode()


@pytest.mark.parametrize("failure", FAILURES)
def test_every_failed_check_has_the_same_answer(
    alice: Caller, held: SecurityContext, caplog: pytest.LogCaptureFixture, failure: str
) -> None:
    """Outside there is one fault for whatever was refused; inside the log names the check under the number."""
    check, tamper = FAILURES[failure]
    service = alice.service
    message = alice.message(held)
    tamper(message)
    calls = service.application.calls
    answer = service.post(message)
    if failure == "body in the clear":
        check = "reference"
    assert f" {check}: " in _log(caplog) or f"] {check}:" in _log(caplog)
    assert outward(answer) == outward(service.post(b"no XML"))
    assert service.application.calls == calls


def test_the_number_of_a_refusal_is_in_the_log_and_says_nothing(
    alice: Caller, held: SecurityContext, caplog: pytest.LogCaptureFixture
) -> None:
    """Each refusal has another number, which whoever runs the service finds again."""
    service = alice.service
    message = alice.message(held)
    texts = {service.fault(message.drop(*message.all(".//ds:Signature"))).text for _ in range(3)}
    assert len(texts) == 3
    assert all(text.rpartition("[")[2][:-1] in caplog.text for text in texts)


def test_bad_context_token_is_for_contexts_alone(alice: Caller, held: SecurityContext) -> None:
    """An unknown context is told from everything else, since a client must know that it needs another one."""
    service = alice.service
    message = alice.message(held)
    message.find(".//wsc:Identifier").text = "urn:uuid:unknown"
    assert service.fault(message).code == BAD_CONTEXT
    assert service.fault(b"no XML").code == REFUSED


def test_the_answer_to_a_refused_bootstrap_is_the_same(alice: Caller, mallory: Caller) -> None:
    """A stranger, a client whose ciphertext does not open, and garbage learn the same about the trust service."""
    service = alice.service
    alice.bootstrap()
    garbled = Message(_bytes(alice.ask()))
    _flip(garbled, -17)
    stranger = Caller(service)
    stranger.ring = replace(stranger.ring, signing=SERVER.but(issuer=None, name="stranger").identity())
    unwrapped = Message(_bytes(mallory.ask()))
    _set(
        unwrapped,
        ".//xenc:EncryptedKey/xenc:CipherData/xenc:CipherValue",
        base64.b64encode(bytes(256)).decode(),
    )
    answers = {outward(service.post(m)) for m in (garbled, unwrapped, Message(_bytes(stranger.ask())))}
    assert answers == {outward(service.post(b"no XML"))}


def _bytes(exchange: Exchange) -> bytes:
    return serialize(exchange.soap.envelope)


def test_one_captured_message_answers_one_question(
    alice: Caller, held: SecurityContext, caplog: pytest.LogCaptureFixture
) -> None:
    """A padding oracle against a captured message: the first try is decrypted, all others are replays."""
    captured = alice.message(held).bytes
    checks = []
    for position in range(-33, -16):
        message = Message(captured)
        _flip(message, position)
        alice.service.post(message)
        checks.append(_log(caplog).split("] ")[1].split(":")[0])
    assert checks[0] in ("decryption", "digest")
    assert set(checks[1:]) == {"replay"}


# ------------------------------------------------------------------------------------- one for another


def test_a_body_holds_one_call(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Which of two calls an application carries out is nobody's guess, also if both are signed."""
    policy = endpoint_policy()
    operation = policy.operations["echo"]
    careless = replace(operation.request, encrypted=Parts())
    service = Service(world, replace(policy, operations={"echo": replace(operation, request=careless)}))
    alice = Caller(service)
    held = alice.bootstrap()
    assert service.post(alice.message(held, policy=careless)).status == 200
    message = alice.message(held, policy=careless)
    twin(message.body[0])
    message.digest_again(message.body)
    message.sign_again(hmac_of(message, held.key))
    assert service.fault(message).code == REFUSED
    assert "] envelope:" in _log(caplog)


@pytest.mark.parametrize("check", ["dtd", "depth"])
def test_a_bad_document_is_refused_before_anything_is_read(
    alice: Caller, held: SecurityContext, caplog: pytest.LogCaptureFixture, check: str
) -> None:
    """Before its addressing above all, which the message gets wrong as well."""
    message = alice.message(held)
    message.find("soap:Header/wsa:Action").text = "urn:evil"
    data = message.bytes
    assert alice.service.fault(data).code == REFUSED
    assert "] action:" in _log(caplog)
    if check == "dtd":
        data = b"<!DOCTYPE soap:Envelope []>" + data
    else:
        data = data.replace(b"</soap:Body>", b"<a>" * 250 + b"</a>" * 250 + b"</soap:Body>")
    assert alice.service.fault(data).code == REFUSED
    assert f"] {check}:" in _log(caplog)


@pytest.mark.parametrize("soap_action", [None, f"{NAMESPACE}:echo"])
def test_the_body_is_that_of_the_action(
    alice: Caller, held: SecurityContext, caplog: pytest.LogCaptureFixture, soap_action: str | None
) -> None:
    """A message is not judged by the policy of one operation and run as another, even if its sender wants it."""
    service = alice.service
    assert service.post(alice.message(held, SUM, action=f"{NAMESPACE}:sum")).status == 200
    calls = service.application.calls
    message = alice.message(held, SUM, action=f"{NAMESPACE}:echo")
    assert service.fault(message, action=soap_action).code == REFUSED
    assert "operation" in _log(caplog)
    assert service.application.calls == calls


def test_the_weaker_policy_of_another_operation_is_not_borrowed(world: World) -> None:
    """Where one operation is signed only, its policy does not let another one's message through in the clear."""
    policy = endpoint_policy()
    weak = replace(
        policy.operations["echo"], request=replace(policy.operations["echo"].request, encrypted=Parts())
    )
    service = Service(world, replace(policy, operations={**policy.operations, "echo": weak}))
    alice = Caller(service)
    held = alice.bootstrap()
    assert service.post(alice.message(held, policy=weak.request)).status == 200
    for action in (f"{NAMESPACE}:echo", f"{NAMESPACE}:sum"):
        assert service.fault(alice.message(held, SUM, action=action, policy=weak.request)).code == REFUSED


@pytest.mark.parametrize("action", [f"{NAMESPACE}:sum", "urn:evil", f"{WST_200512}/RST/SCT/Cancel"])
def test_soap_action_does_not_overrule_the_signed_action(
    alice: Caller, held: SecurityContext, caplog: pytest.LogCaptureFixture, action: str
) -> None:
    """SOAPAction is not signed; one that differs is refused instead of believed."""
    service = alice.service
    assert service.post(alice.message(held), action=f"{NAMESPACE}:echo").status == 200
    assert service.fault(alice.message(held), action=action).code == REFUSED
    assert "] action:" in _log(caplog)


def test_an_encrypted_action_is_compared_too(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Where wsa:Action travels encrypted SOAPAction chooses the policy, and must turn out to have told the truth."""
    policy = endpoint_policy()
    secret = Parts(body=True, headers=(HeaderPart(namespace=NS["wsa"], name="Action"),))
    same = policy.operations["echo"].input_element
    operations = {
        name: replace(
            operation,
            request=replace(operation.request, encrypted=secret),
            input_element=same if name == "sum" else operation.input_element,
        )
        for name, operation in policy.operations.items()
    }
    service = Service(world, replace(policy, operations=operations))
    alice = Caller(service)
    held = alice.bootstrap()
    assert service.post(alice.message(held), action=f"{NAMESPACE}:echo").status == 200
    assert service.fault(alice.message(held), action=f"{NAMESPACE}:sum").code == REFUSED
    assert "] action:" in _log(caplog)


def test_a_removed_action_is_missed(alice: Caller, held: SecurityContext) -> None:
    """Without wsa:Action the SOAPAction would decide alone; the signature covers one that is gone."""
    service = alice.service
    message = alice.message(held)
    message.drop(message.find("soap:Header/wsa:Action"))
    assert service.fault(message, action=f"{NAMESPACE}:echo").code == REFUSED


@pytest.mark.parametrize("header", ["ReplyTo", "FaultTo"])
def test_answers_go_back_the_way_they_came(
    alice: Caller, held: SecurityContext, caplog: pytest.LogCaptureFixture, header: str
) -> None:
    """A service that posted answers elsewhere could be made to attack others, or to tell them what it knows."""
    service = alice.service
    reply_to = f"<wsa:{header}><wsa:Address>http://127.0.0.1:9/elsewhere</wsa:Address></wsa:{header}>"
    honest = reply_to.replace("http://127.0.0.1:9/elsewhere", f"{NS['wsa']}/anonymous")
    assert service.post(alice.message(held, headers=honest)).status == 200
    assert service.fault(alice.message(held, headers=reply_to)).code == REFUSED
    assert "] reply-to:" in _log(caplog)


def test_a_trust_message_is_not_an_application_message(alice: Caller, held: SecurityContext) -> None:
    """The action of an operation on a request for a context, and the reverse, lead nowhere."""
    service = alice.service
    rst = (
        f'<t:RequestSecurityToken xmlns:t="{WST_200512}"><t:RequestType>{WST_200512}/Issue</t:RequestType>'
        "</t:RequestSecurityToken>"
    )
    calls = service.application.calls
    assert service.fault(alice.message(held, rst)).code == REFUSED
    cancel = f"{WST_200512}/RST/SCT/Cancel"
    for action in (f"{WST_200512}/RST/SCT", f"{WST_200512}/RST/SCT/Renew"):
        assert service.fault(alice.message(held, action=action)).code == REFUSED
        assert service.fault(alice.trust_message(SUM, action)).code == f"{{{WST_200512}}}InvalidRequest"
    assert service.fault(alice.message(held, action=cancel)).code == f"{{{WST_200512}}}InvalidRequest"
    assert service.fault(alice.trust_message(SUM, cancel)).code == REFUSED
    assert service.application.calls == calls


def test_action_and_request_type_agree(alice: Caller, held: SecurityContext) -> None:
    """A request is judged by its action and carried out by its RequestType, so that the two may not differ."""
    service = alice.service
    pairs = (
        ("Cancel", "/RST/SCT"),
        ("Issue", "/RST/SCT/Renew"),
        ("Renew", "/RST/SCT"),
        ("Cancel", "/RST/SCT/Renew"),
    )
    for kind, action in pairs:
        target = "" if kind == "Issue" else _target(kind, held.identifier)
        rst = (
            f'<t:RequestSecurityToken xmlns:t="{WST_200512}"><t:RequestType>{WST_200512}/{kind}</t:RequestType>'
            f"{target}</t:RequestSecurityToken>"
        )
        fault = service.fault(alice.trust_message(rst, WST_200512 + action))
        assert fault.code == f"{{{WST_200512}}}InvalidRequest"
    assert alice.echo(held) == "hello"


def _target(kind: str, identifier: str, instance: str | None = None) -> str:
    extra = f' xmlns:c="{WSC_200512}" c:Instance="{instance}"' if instance else ""
    return (
        f'<t:{kind}Target><wsse:SecurityTokenReference><wsse:Reference URI="{identifier}"{extra}/>'
        f"</wsse:SecurityTokenReference></t:{kind}Target>"
    )


def _request(kind: str, identifier: str, instance: str | None = None) -> str:
    return (
        f'<t:RequestSecurityToken xmlns:t="{WST_200512}"><t:RequestType>{WST_200512}/{kind}</t:RequestType>'
        f"{_target(kind, identifier, instance)}</t:RequestSecurityToken>"
    )


# ------------------------------------------------------------------------------------- whose context it is


def test_a_context_is_for_the_endpoint_it_was_issued_for(alice: Caller, held: SecurityContext) -> None:
    """The same middleware under another path does not know it."""
    assert alice.service.fault(alice.message(held), path="/other").code == BAD_CONTEXT
    elsewhere = alice.bootstrap(path="/other")
    assert alice.service.fault(alice.message(elsewhere)).code == BAD_CONTEXT


def test_a_context_is_for_the_policy_it_was_issued_under(
    world: World, alice: Caller, held: SecurityContext
) -> None:
    """A store that two policies share does not lend one's contexts to the other."""
    store = alice.service.middleware._store
    other = Service(world, endpoint_policy("asym-dk-basic192"), store=store)
    same = Service(world, store=store)
    assert same.post(alice.message(held)).status == 200
    weak = other.policy.operations["echo"].request
    assert other.fault(alice.message(held, policy=weak)).code == BAD_CONTEXT


def test_an_expired_context_is_over(alice: Caller, held: SecurityContext) -> None:
    """Its lifetime is the service's to decide, and it ends."""
    alice.service.world.time.forward(timedelta(hours=1, minutes=59))
    assert alice.echo(held) == "hello"
    alice.service.world.time.forward(timedelta(minutes=1))
    assert alice.service.fault(alice.message(held)).code == BAD_CONTEXT


def _cancel(caller: Caller, by: SecurityContext, target: str) -> Message:
    return caller.trust_message(_request("Cancel", target), f"{WST_200512}/RST/SCT/Cancel", context=by)


def test_a_call_without_a_timestamp_is_refused(
    alice: Caller, held: SecurityContext, caplog: pytest.LogCaptureFixture
) -> None:
    """Metro's server takes it; ours does not, whether it was taken out or never written."""
    message, before = alice.message(held), alice.service.application.calls
    message.drop(message.timestamp)
    policy = alice.service.policy.operations["echo"].request
    assert policy.binding is not None
    never = replace(policy, binding=replace(policy.binding, include_timestamp=False))
    for late in (message, alice.message(held, policy=never)):
        assert alice.service.fault(late).code == REFUSED
    assert alice.service.application.calls == before
    assert "] timestamp:" in _log(caplog)
    assert alice.echo(held) == "hello"


def test_a_cancelled_context_is_over(alice: Caller, held: SecurityContext) -> None:
    """After a cancel nothing is accepted under it, not even a message that was made before."""
    late = alice.message(held)
    assert alice.service.post(_cancel(alice, held, held.identifier)).status == 200
    assert alice.service.fault(late).code == BAD_CONTEXT


def test_nobody_cancels_the_context_of_another(alice: Caller, mallory: Caller, held: SecurityContext) -> None:
    """A cancel is proved by the key of the very context that it is about."""
    own = mallory.bootstrap()
    fault = alice.service.fault(_cancel(mallory, own, held.identifier))
    assert fault.code == f"{{{WST_200512}}}InvalidRequest"
    assert alice.echo(held) == "hello"
    assert alice.service.post(_cancel(mallory, own, own.identifier)).status == 200


def test_a_certificate_does_not_cancel_a_context(alice: Caller, held: SecurityContext) -> None:
    """Not even the one it was issued to: possession of the key is what a cancel needs (CXF's client differs)."""
    request = _request("Cancel", held.identifier)
    message = alice.trust_message(request, f"{WST_200512}/RST/SCT/Cancel")
    assert alice.service.fault(message).code == REFUSED
    assert alice.echo(held) == "hello"


def _renew(caller: Caller, target: str, instance: str | None = None) -> Message:
    return caller.trust_message(_request("Renew", target, instance), f"{WST_200512}/RST/SCT/Renew")


def test_nobody_renews_the_context_of_another(alice: Caller, mallory: Caller, held: SecurityContext) -> None:
    """A renewal would give mallory a key of alice's context; the answer is that of a context that does not exist."""
    service = alice.service
    theirs = service.post(_renew(mallory, held.identifier))
    nobodys = service.post(_renew(mallory, "urn:uuid:nobody"))
    assert outward(theirs) == outward(nobodys)
    assert theirs.status == 500
    assert alice.echo(held) == "hello"
    assert service.post(_renew(alice, held.identifier)).status == 200


def test_the_first_key_works_for_five_minutes_after_a_renewal(alice: Caller, held: SecurityContext) -> None:
    """A name without an Instance means the current key and, for messages on their way, the first; no longer."""
    current, service = _renewed(alice, held), alice.service
    nameless = replace(current, key=replace(current.key, token=held.key.token, instance=None))
    service.world.time.forward(timedelta(minutes=4, seconds=59))
    assert [service.post(alice.message(one)).status for one in (held, current, nameless)] == [200] * 3
    assert alice.echo(held) == "hello"
    service.world.time.forward(timedelta(seconds=1))
    assert [service.post(alice.message(one)).status for one in (current, nameless)] == [200] * 2
    assert service.fault(alice.message(held)).code == REFUSED


def test_a_renewal_makes_no_message_new(
    alice: Caller, held: SecurityContext, caplog: pytest.LogCaptureFixture
) -> None:
    """What was taken before a renewal is not taken again after it, though another key is tried first."""
    service, call, renewal = alice.service, alice.message(held), _renew(alice, held.identifier)
    assert service.post(call).status == 200
    assert service.post(renewal).status == 200
    assert alice.echo(held) == "hello"
    for message in (call, renewal):
        caplog.clear()
        assert service.fault(message).code == REFUSED
        assert "replay" in caplog.text


def test_a_cancel_ends_every_key_of_a_context(alice: Caller, held: SecurityContext) -> None:
    """Keys of earlier renewals live on for messages on their way, but not beyond a cancel."""
    service = alice.service
    first = _renewed(alice, held)
    assert alice.echo(first) == "hello"
    second = _renewed(alice, first)
    assert alice.echo(second) == "hello"
    assert alice.echo(first) == "hello"
    assert service.post(_cancel(alice, second, second.identifier)).status == 200
    assert service.fault(alice.message(second)).code == BAD_CONTEXT
    assert service.fault(alice.message(first)).code == BAD_CONTEXT


def _renewed(caller: Caller, context: SecurityContext) -> SecurityContext:
    """The context with its new key, taken from the store, where the service keeps it."""
    assert caller.service.post(_renew(caller, context.identifier)).status == 200
    store = caller.service.middleware._store
    found = store.get(("service", "/peer", context.identifier, ""))
    assert found is not None
    caller.service.world.vault.add(found.key.secret)
    return found


def test_the_key_before_a_renewal_works_for_five_minutes(alice: Caller, held: SecurityContext) -> None:
    """For messages on their way, and no longer: whoever got hold of an old key has no use for it."""
    first = _renewed(alice, held)
    _renewed(alice, first)
    alice.service.world.time.forward(timedelta(minutes=4, seconds=59))
    assert alice.echo(first) == "hello"
    alice.service.world.time.forward(timedelta(seconds=1))
    assert alice.service.fault(alice.message(first)).code == BAD_CONTEXT


def test_one_principal_cannot_fill_the_store(world: World) -> None:
    """Contexts are counted for each principal, so that others still get theirs; those without a call make room."""
    service = Service(world, limits=Limits(contexts_per_principal=2))
    alice, mallory = Caller(service), Caller(service, "client2")
    for _ in range(3):
        pending = mallory.bootstrap()
    mallory.echo(pending)
    mallory.echo(mallory.bootstrap())
    assert service.fault(_bytes(mallory.ask())).code == f"{{{WST_200512}}}RequestFailed"
    assert alice.echo(alice.bootstrap()) == "hello"


def test_a_full_store_forgets_nobody(world: World) -> None:
    """When the store is full, a new context is refused; those that others use stay, those never used do not."""
    service = Service(world, limits=Limits(contexts=2))
    alice, mallory = Caller(service), Caller(service, "client2")
    held = alice.bootstrap()
    assert alice.echo(held) == "hello"
    for _ in range(3):
        pending = mallory.bootstrap()
    assert mallory.echo(pending) == "hello"
    assert service.fault(_bytes(mallory.ask())).code == f"{{{WST_200512}}}RequestFailed"
    assert alice.echo(held) == "hello"


# ------------------------------------------------------------------------------------------ a second time


def test_a_request_is_carried_out_once(
    alice: Caller, held: SecurityContext, caplog: pytest.LogCaptureFixture
) -> None:
    """A replayed request does not reach the application."""
    service = alice.service
    message = alice.message(held)
    assert service.post(message).status == 200
    calls = service.application.calls
    assert service.fault(message).code == REFUSED
    assert "] replay:" in _log(caplog)
    assert service.application.calls == calls


def test_a_replayed_bootstrap_gives_no_second_context(
    alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """A captured request for a context does not make the service hold another one for the same client."""
    message = _bytes(alice.ask())
    assert alice.service.post(message).status == 200
    held = len(list(alice.service.middleware._store.items("service")))
    assert alice.service.fault(message).code == REFUSED
    assert "] replay:" in _log(caplog)
    assert len(list(alice.service.middleware._store.items("service"))) == held


def test_an_answer_of_the_service_is_no_request(
    alice: Caller, held: SecurityContext, caplog: pytest.LogCaptureFixture
) -> None:
    """What the service signed itself under the same context comes back as a request, and is refused."""
    service = alice.service
    answer = Message(service.post(alice.message(held)).body)
    calls = service.application.calls
    assert service.fault(answer).code == REFUSED
    assert "] action:" in _log(caplog)
    answer.find("soap:Header/wsa:Action").text = f"{NAMESPACE}:echo"
    assert service.fault(answer).code == REFUSED
    assert service.application.calls == calls


def test_an_answer_is_no_request_under_a_policy_without_operations(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor where nothing tells operations apart, so that only the signature can: it is one of our own."""
    policy = endpoint_policy()
    bare = replace(policy, endpoint=policy.operations["echo"].request, operations={})
    service = Service(world, bare)
    alice = Caller(service)
    held = alice.bootstrap()
    message = alice.message(held, policy=bare.endpoint)
    answer = service.post(message)
    assert answer.status == 200
    calls = service.application.calls
    assert service.fault(answer.body).code == REFUSED
    assert "] replay:" in _log(caplog)
    assert service.application.calls == calls


# ------------------------------------------------------------------------------------------ ways around it


@pytest.mark.parametrize("method", ["post", "Post", "PUT", "PATCH", "DELETE", "FOO", "POST "])
def test_only_reading_goes_past_the_middleware(alice: Caller, method: str) -> None:
    """Frameworks fold the case of methods, or treat PUT like POST: only what reads reaches them unsecured."""
    reached: list[str] = []

    def application(environ: dict[str, object], start_response: Callable[..., object]) -> list[bytes]:
        reached.append(str(environ["REQUEST_METHOD"]))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    middleware = SecureConversationMiddleware(application, policy=alice.service.policy, **_parties())
    clear = b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>'
    call_wsgi(middleware, Request("GET", "/peer", {}, b""))
    assert reached == ["GET"]
    call_wsgi(middleware, Request(method, "/peer", {"Content-Type": "text/xml"}, clear))
    assert reached == ["GET"]


def test_a_get_brings_no_message(alice: Caller) -> None:
    """A message in the body of a GET, or one that asks to be taken for a POST, does not reach the application."""
    seen: list[tuple[bytes, list[str]]] = []

    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        overrides = [name for name in environ if "OVERRIDE" in name]
        seen.append((environ["wsgi.input"].read(), overrides))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    middleware = SecureConversationMiddleware(application, policy=alice.service.policy, **_parties())
    headers = {"X-HTTP-Method-Override": "POST", "X-Method-Override": "POST", "Content-Type": "text/xml"}
    call_wsgi(middleware, Request("GET", "/peer", headers, b"<message/>"))
    assert seen == [(b"", [])]


def _parties() -> dict[str, Any]:
    return {"identity": identity("server"), "trust": trust()}


def test_the_method_is_not_for_the_line_to_choose(alice: Caller, held: SecurityContext) -> None:
    """However a call came, the application sees a POST of a message in the clear, and no header that says otherwise."""
    seen: list[tuple[object, list[str]]] = []
    application = alice.service.middleware._app

    def spy(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        headers = [name for name in environ if "OVERRIDE" in name or "ENCODING" in name]
        seen.append((environ["REQUEST_METHOD"], headers))
        return application(environ, start_response)

    alice.service.middleware._app = spy
    headers = {
        "Content-Type": "text/xml",
        "X-HTTP-Method-Override": "DELETE",
        "Content-Encoding": "gzip",
        "Transfer-Encoding": "chunked",
    }
    for method, extra in (("POST", {}), ("POST", headers), ("DELETE", headers)):
        request = Request(method, "/peer", extra, alice.message(held).bytes)
        assert call_wsgi(alice.service.middleware, request).status == 200
    assert seen == [("POST", [])] * 3


@pytest.mark.parametrize(
    "length", ["²", "-1", "1e9", "99999999999999999999", "9" * 5000, "0x10", " "], ids=lambda text: text[:25]
)
def test_a_strange_content_length_is_no_crash(alice: Caller, length: str) -> None:
    """Whatever a server passes on in CONTENT_LENGTH, the answer is that to every refused message."""
    started: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/peer",
        "CONTENT_LENGTH": length,
        "wsgi.input": io.BytesIO(b"<x/>"),
    }
    list(alice.service.middleware(environ, lambda status, _headers: started.append(status)))
    assert started == ["500 Internal Server Error"]


def test_a_message_over_the_limit_is_not_parsed(world: World) -> None:
    """The announced length is compared before anything is read."""
    service = Service(world, limits=Limits(message_bytes=100_000))
    alice = Caller(service)
    held = alice.bootstrap()
    assert alice.echo(held) == "hello"
    long = f'<p:echo xmlns:p="{NAMESPACE}"><p:text>{"x" * 100_000}</p:text></p:echo>'
    assert service.fault(alice.message(held, long)).code == REFUSED


def test_another_version_of_soap_is_refused(alice: Caller, held: SecurityContext) -> None:
    """Parts are found by position in the version that the policy is for; the other one could hide some."""
    data = alice.message(held).bytes.replace(
        b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope"
    )
    answer = alice.service.post(data)
    assert answer.status == 500
    assert b"InvalidSecurity" in answer.body


def test_a_policy_that_secures_nothing_is_not_served(world: World) -> None:
    """An operation without security beside secured ones would be an open door."""
    policy = endpoint_policy()
    Service(world, policy)
    for cleared in ({"request": Policy()}, {"response": Policy()}):
        open_ = replace(policy.operations["echo"], **cleared)  # type: ignore[arg-type]
        with pytest.raises(PolicyError):
            Service(world, replace(policy, operations={**policy.operations, "echo": open_}))


def test_a_second_signature_by_another_client_changes_nothing(alice: Caller, held: SecurityContext) -> None:
    """The principal is that of the context, whoever else signs the message."""
    service = alice.service
    whoami = f'<p:whoami xmlns:p="{NAMESPACE}"/>'
    operation = service.policy.operations["whoami"]
    message, request = alice._protected(whoami, f"{NAMESPACE}:whoami", operation.request, held)
    second = twin(message.signature)
    second.set("Id", "second")
    sign_as(message, identity("client2"), second)
    reply = alice.read(service.post(message), request, operation.response)
    assert reply.soap.payload is not None
    assert "client2" not in (reply.soap.payload[0].text or "")
    assert "client" in (reply.soap.payload[0].text or "")
