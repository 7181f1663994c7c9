"""Requests that should get nobody a context, nor a word more about one than he is due."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from lxml import etree

from tests.attacks.embedded import DIALECT, ENDPOINT, Caller, Service, endpoint_policy, outward
from tests.attacks.forge import NS, Message, World
from tests.loopback import Answer
from tests.unit.messages import asymmetric, symmetric
from tests.unit.parties import NOW
from tests.unit.service.peer import Peer
from tests.unit.service.test_endpoint import over_certificate, renewal
from zeep_secureconv import ConfigurationError, Limits
from zeep_secureconv.conversation.context import SecurityContext
from zeep_secureconv.conversation.initiator import Exchange
from zeep_secureconv.names import WSC_2005, WSC_200512, WST_2005, WST_200512, sct_type
from zeep_secureconv.policy.model import Direction, EndpointPolicy, TrustOptions
from zeep_secureconv.soap.envelope import Soap, parse, serialize
from zeep_secureconv.trust import (
    DIALECTS,
    Dialect,
    RequestSecurityTokenResponse,
    RequestType,
    response_from_xml,
)
from zeep_secureconv.wss.keys import ContextKey
from zeep_secureconv.wss.reply import Reply, read_reply

INVALID_REQUEST = f"{{{WST_200512}}}InvalidRequest"
UNABLE = f"{{{WST_200512}}}UnableToRenew"
REFUSED = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}InvalidSecurity"
BAD_CONTEXT = f"{{{WSC_200512}}}BadContextToken"

ISSUE = f"{WST_200512}/RST/SCT"
RENEW = f"{WST_200512}/RST/SCT/Renew"
CANCEL = f"{WST_200512}/RST/SCT/Cancel"

ENTROPY = f'<t:Entropy><t:BinarySecret Type="{WST_200512}/Nonce">{"A" * 43}=</t:BinarySecret></t:Entropy>'
HOUR = timedelta(hours=1)


def rst(extra: str = ENTROPY, *, kind: str = "Issue", token_type: str = sct_type(WSC_200512)) -> str:
    """A request with those children besides TokenType and RequestType."""
    return (
        f'<t:RequestSecurityToken xmlns:t="{WST_200512}"><t:TokenType>{token_type}</t:TokenType>'
        f"<t:RequestType>{WST_200512}/{kind}</t:RequestType>{extra}</t:RequestSecurityToken>"
    )


def target(kind: str, context: SecurityContext) -> str:
    """A request about a context."""
    extra = f' xmlns:c="{WSC_200512}" c:Instance="{context.instance}"' if context.instance else ""
    return rst(
        f'<t:{kind}Target><wsse:SecurityTokenReference><wsse:Reference URI="{context.identifier}"{extra}/>'
        f"</wsse:SecurityTokenReference></t:{kind}Target>",
        kind=kind,
    )


def held(service: Service) -> list[SecurityContext]:
    """What the service keeps."""
    return [context for _, context in service.middleware._store.items("service")]


@pytest.fixture
def alice(world: World) -> Caller:
    """An honest client of a service that has given her a context for an ordinary request."""
    caller = Caller(Service(world))
    assert caller.service.post(caller.trust_message(rst(), ISSUE)).status == 200
    return caller


@pytest.fixture
def mallory(alice: Caller) -> Caller:
    """A client whom the same CA trusts."""
    return Caller(alice.service, "client2")


def refused(caller: Caller, content: str, action: str = ISSUE, **how: Any) -> str | None:
    """The code of the fault that a request gets; nothing is kept for it, and nothing called."""
    before, calls = held(caller.service), caller.service.application.calls
    code = caller.service.fault(caller.trust_message(content, action, **how)).code
    assert held(caller.service) == before
    assert caller.service.application.calls == calls
    return code


# --------------------------------------------------------------------------------- what is not supported


def test_nothing_is_amended(alice: Caller) -> None:
    """Amend is InvalidRequest: by its action, under the bootstrap or the context, and by its RequestType."""
    context = alice.bootstrap()
    amend = f"{WST_200512}/RST/SCT/Amend"
    assert refused(alice, rst(kind="Amend"), amend) == INVALID_REQUEST
    assert refused(alice, rst(kind="Amend"), amend, context=context) == INVALID_REQUEST
    assert refused(alice, rst(kind="Amend")) == INVALID_REQUEST
    assert alice.echo(context) == "hello"


def test_nothing_is_negotiated(alice: Caller) -> None:
    """A BinaryExchange, the first leg of a negotiation, is InvalidRequest; so is a challenge."""
    exchange = '<t:BinaryExchange ValueType="urn:x" EncodingType="urn:y">AAAA</t:BinaryExchange>'
    assert refused(alice, rst(ENTROPY + exchange)) == INVALID_REQUEST
    challenge = "<t:SignChallenge><t:Challenge>x</t:Challenge></t:SignChallenge>"
    assert refused(alice, rst(ENTROPY + challenge)) == INVALID_REQUEST


def test_no_keys_are_exchanged(alice: Caller) -> None:
    """A request for a key exchange token is InvalidRequest, by its action and by what stands in a request."""
    for extra in ("<t:RequestKET/>", "<t:KeyExchangeToken><x/></t:KeyExchangeToken>"):
        assert refused(alice, rst(ENTROPY + extra)) == INVALID_REQUEST
    for action in ("/RST/KET", "/RSTR/KETFinal"):
        assert refused(alice, rst(ENTROPY + "<t:RequestKET/>"), WST_200512 + action) == INVALID_REQUEST


def rstr(identifier: str = "urn:uuid:propagated") -> str:
    """An answer that nobody asked for, with a token and its key."""
    return (
        f'<t:RequestSecurityTokenResponse xmlns:t="{WST_200512}"><t:TokenType>{sct_type(WSC_200512)}</t:TokenType>'
        f'<t:RequestedSecurityToken><c:SecurityContextToken xmlns:c="{WSC_200512}">'
        f"<c:Identifier>{identifier}</c:Identifier></c:SecurityContextToken></t:RequestedSecurityToken>"
        f"<t:RequestedProofToken><t:BinarySecret>{'A' * 43}=</t:BinarySecret></t:RequestedProofToken>"
        "</t:RequestSecurityTokenResponse>"
    )


@pytest.mark.parametrize("collection", [False, True])
def test_an_answer_that_nobody_asked_for_is_none(alice: Caller, *, collection: bool) -> None:
    """An RSTR, alone or collected, is InvalidRequest under any action of WS-Trust, and refused under a call's."""
    content = rstr()
    if collection:
        name = "RequestSecurityTokenResponseCollection"
        content = f'<t:{name} xmlns:t="{WST_200512}">{content}</t:{name}>'
    for action in ("/RST/SCT", "/RSTR/SCT", "/RSTRC/IssueFinal", "/RSTR/Issue"):
        assert refused(alice, content, WST_200512 + action) == INVALID_REQUEST
    context = alice.bootstrap()
    assert refused(alice, content, f"{WST_200512}/RSTR/SCT", context=context) == INVALID_REQUEST
    assert alice.service.fault(alice.message(context, content)).code == REFUSED
    assert alice.echo(context) == "hello"


def propagated(alice: Caller) -> SecurityContext:
    """A context that only its client made."""
    token = f'<c:SecurityContextToken xmlns:c="{WSC_200512}"><c:Identifier>urn:uuid:propagated</c:Identifier>'
    key = ContextKey(
        identifier="urn:uuid:propagated",
        instance=None,
        wsc=WSC_200512,
        secret=bytes(32),
        token=f"{token}</c:SecurityContextToken>".encode(),
    )
    return replace(alice.bootstrap(), key=key)


def test_a_propagated_context_is_not_taken_over(alice: Caller) -> None:
    """What a message propagates in wst:IssuedTokens is ignored: the call is answered, the context is unknown."""
    context, own = alice.bootstrap(), propagated(alice)
    assert alice.service.fault(alice.message(own)).code == BAD_CONTEXT
    before = len(held(alice.service))
    tokens = f'<t:IssuedTokens xmlns:t="{WST_200512}">{rstr()}</t:IssuedTokens>'
    assert alice.service.post(alice.message(context, headers=tokens)).status == 200
    assert len(held(alice.service)) == before
    assert alice.service.fault(alice.message(own)).code == BAD_CONTEXT


# ----------------------------------------------------------------------------------------- what is odd


def until(expires: str) -> str:
    """Entropy, and a lifetime that ends then."""
    return f'{ENTROPY}<t:Lifetime xmlns:u="{NS["wsu"]}"><u:Expires>{expires}</u:Expires></t:Lifetime>'


ODD: dict[str, str] = {
    "no RequestType": f'<t:RequestSecurityToken xmlns:t="{WST_200512}">{ENTROPY}</t:RequestSecurityToken>',
    "RequestType of another generation": rst().replace(f"{WST_200512}/Issue", f"{WST_2005}/Issue"),
    "STSCancel": rst(kind="STSCancel"),
    "TokenType of another generation": rst(token_type=sct_type(WSC_2005)),
    "TokenType of SAML": rst(token_type="urn:oasis:names:tc:SAML:2.0:assertion"),
    "a target": rst(ENTROPY + "<t:RenewTarget><x/></t:RenewTarget>"),
    "on behalf of another": rst(ENTROPY + "<t:OnBehalfOf><x/></t:OnBehalfOf>"),
    "for another": rst(ENTROPY + "<t:DelegateTo><x/></t:DelegateTo>"),
    "with a key of its own": rst(ENTROPY + "<t:UseKey><x/></t:UseKey>"),
    "KeyType PublicKey": rst(f"{ENTROPY}<t:KeyType>{WST_200512}/PublicKey</t:KeyType>"),
    "KeyType Bearer": rst(f"{ENTROPY}<t:KeyType>{WST_200512}/Bearer</t:KeyType>"),
    "two entropies": rst(ENTROPY * 2),
    "an empty entropy": rst("<t:Entropy/>"),
    "an encrypted entropy": rst(f'<t:Entropy><e:EncryptedKey xmlns:e="{NS["xenc"]}"/></t:Entropy>'),
    "an asymmetric entropy": rst(ENTROPY.replace("/Nonce", "/AsymmetricKey")),
    "a long entropy": rst(ENTROPY.replace("A" * 43 + "=", "A" * 400)),
    "ComputedKeyAlgorithm HASH": rst(
        f"{ENTROPY}<t:ComputedKeyAlgorithm>{WST_200512}/CK/HASH</t:ComputedKeyAlgorithm>"
    ),
    "Allow perhaps": rst(f'{ENTROPY}<t:Renewing Allow="perhaps"/>'),
    "OK perhaps": rst(f'{ENTROPY}<t:Renewing OK="2"/>'),
    **{
        f"KeySize {size!r}": rst(f"{ENTROPY}<t:KeySize>{size}</t:KeySize>")
        for size in ("", "0", "7", "127", "129", "-128", "+128", "128.0", "0x80", "1e2", "99999", "4104")
    },
    **{
        f"Expires {time!r}": rst(until(time))
        for time in ("", "tomorrow", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00")
    },
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_a_request_that_makes_no_sense_is_refused(alice: Caller, content: str) -> None:
    """By InvalidRequest, with no context and no word of what is wrong."""
    assert refused(alice, content) == INVALID_REQUEST


IN_HALF_AN_HOUR = f"{NOW + HOUR / 2:%Y-%m-%dT%H:%M:%S}"
IN_HALF_AN_HOUR_AND_14 = f"{NOW + 14.5 * HOUR:%Y-%m-%dT%H:%M:%S}"

TAKEN: dict[str, tuple[str, int, timedelta]] = {
    "nothing but entropy": (ENTROPY, 16, HOUR),
    "64 bits, which are too few": (f"{ENTROPY}<t:KeySize>64</t:KeySize>", 16, HOUR),
    "256 bits": (f"{ENTROPY}<t:KeySize>256</t:KeySize>", 32, HOUR),
    "4096 bits, which are too many": (f"{ENTROPY}<t:KeySize> 4096 </t:KeySize>", 32, HOUR),
    "unknown children": (f"{ENTROPY}<t:Forwardable>true</t:Forwardable><x:y xmlns:x='urn:x'/>", 16, HOUR),
    "a lifetime": (until(f"{IN_HALF_AN_HOUR}Z"), 16, HOUR / 2),
    "a lifetime in another zone": (until(f"{IN_HALF_AN_HOUR_AND_14}+14:00"), 16, HOUR / 2),
    "a lifetime that has no end": (until("9999-12-31T23:59:59Z"), 16, HOUR),
    "an unknown wish about renewals": (f'{ENTROPY}<t:Renewing Allow="1" OK="1" Often="1"/>', 16, HOUR),
}


@pytest.mark.parametrize("case", TAKEN.values(), ids=TAKEN)
def test_a_wish_is_granted_within_bounds(world: World, case: tuple[str, int, timedelta]) -> None:
    """What only expresses a wish is overridden or left out of account."""
    extra, size, lifetime = case
    alice = Caller(Service(world, lifetime=HOUR))
    assert alice.service.post(alice.trust_message(rst(extra), ISSUE)).status == 200
    (context,) = held(alice.service)
    assert len(context.key.secret) == size
    assert context.created == world.time.now
    assert context.expires == world.time.now + lifetime


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        (ENDPOINT, True),
        ("https://proxy.example:8443/peer", True),
        ("http://localhost/other", False),
        ("urn:uuid:somebody", False),
        ("http://[::1/peer", False),
    ],
)
def test_a_request_is_for_this_endpoint(alice: Caller, address: str, *, fits: bool) -> None:
    """The path in AppliesTo tells; what is for another endpoint gets no context that is good here."""
    applies_to = (
        '<p:AppliesTo xmlns:p="http://schemas.xmlsoap.org/ws/2004/09/policy">'
        f'<wsa:EndpointReference xmlns:wsa="{NS["wsa"]}"><wsa:Address>{address}</wsa:Address>'
        "</wsa:EndpointReference></p:AppliesTo>"
    )
    if fits:
        assert alice.service.post(alice.trust_message(rst(ENTROPY + applies_to), ISSUE)).status == 200
    else:
        assert refused(alice, rst(ENTROPY + applies_to)) == f"{{{WST_200512}}}InvalidScope"


def test_the_endpoint_may_have_another_name_outside(world: World) -> None:
    """endpoint= is what clients know it by where a proxy changes the path."""
    alice = Caller(Service(world, endpoint="https://public.example/orders"))
    message = '<p:AppliesTo xmlns:p="urn:any"><a:EndpointReference xmlns:a="urn:a"><a:Address>{}</a:Address>'
    message += "</a:EndpointReference></p:AppliesTo>"
    for address in ("https://public.example/orders", "http://inside:9080/orders", ENDPOINT):
        content = rst(ENTROPY + message.format(address))
        assert alice.service.post(alice.trust_message(content, ISSUE)).status == 200
    wrong = rst(ENTROPY + message.format("https://public.example/other"))
    assert refused(alice, wrong) == f"{{{WST_200512}}}InvalidScope"


def test_the_draft_may_be_refused(world: World) -> None:
    """With allow_200502=False a service of the standard answers nothing in the version of February 2005."""
    for allowed in (True, False):
        caller = Caller(Service(world, allow_200502=allowed))
        exchange = caller.initiator.ask_issue(
            ENDPOINT, caller.conversation, caller.ring, DIALECTS["draft200502"]
        )
        answer = caller.service.post(serialize(exchange.soap.envelope))
        assert (answer.status, len(held(caller.service))) == ((200, 1) if allowed else (500, 0))


# ---------------------------------------------------------------------------------------------- dialects


def ask(caller: Caller, kind: RequestType, dialect: Dialect, context: SecurityContext | None) -> Exchange:
    """A request of a client that speaks a dialect."""
    initiator, policy, ring = caller.initiator, caller.conversation, caller.ring
    if context is None:
        return initiator.ask_issue(ENDPOINT, policy, ring, dialect)
    if kind is RequestType.RENEW:
        return initiator.ask_renew(context, policy, ring, dialect, endorsed_by=context.key)
    about = initiator.ask_cancel if kind is RequestType.CANCEL else initiator.ask_validate
    return about(context, policy, ring, dialect)


def reply(caller: Caller, exchange: Exchange) -> Reply:
    """The answer to it, verified."""
    answer = caller.service.post(serialize(exchange.soap.envelope), action=exchange.action)
    assert answer.status == 200, answer.body
    return read_reply(
        Soap.of(parse(answer.body, Limits())),
        exchange.response,
        exchange.keyring,
        caller.environment,
        request=exchange.protected,
        seen=None,
    )


PLAIN = replace(
    DIALECTS["oasis13"],
    name="plain",
    actions={
        **DIALECTS["websphere13"].actions,
        (RequestType.ISSUE, Direction.REQUEST): "/RST/Issue",
        (RequestType.ISSUE, Direction.RESPONSE): "/RSTRC/IssueFinal",
    },
    collection_for=frozenset({RequestType.ISSUE}),
)
SPOKEN = {
    "oasis13": DIALECTS["oasis13"],
    "websphere13": DIALECTS["websphere13"],
    "wcf": DIALECTS["wcf"],
    "draft200502": DIALECTS["draft200502"],
    "websphere of the draft": DIALECTS["websphere13"].in_generation(WST_2005),
    "wcf of the draft": DIALECTS["wcf"].in_generation(WST_2005),
    "plain": PLAIN,
}


@pytest.mark.parametrize("name", SPOKEN)
def test_every_dialect_is_answered_in_its_own(world: World, name: str) -> None:
    """Action, generation, collection and the names of tokens in each answer are those of the requester's dialect."""
    caller, dialect = Caller(Service(world)), SPOKEN[name]
    context: SecurityContext | None = None
    for kind in (RequestType.ISSUE, RequestType.RENEW, RequestType.VALIDATE, RequestType.CANCEL):
        exchange = ask(caller, kind, dialect, context)
        said = reply(caller, exchange)
        assert said.verified is not None
        assert said.verified.addressing.action == dialect.action(kind, Direction.RESPONSE)
        payload = said.soap.payload
        assert payload is not None
        collected = etree.QName(payload).localname == "RequestSecurityTokenResponseCollection"
        assert collected == (kind in dialect.collection_for)
        assert etree.QName(payload).namespace == dialect.wst
        response = response_from_xml(payload, Limits())
        assert response.context == exchange.request.context
        if response.token is not None:
            context = _context(caller, exchange, response, dialect, context)
            assert caller.echo(context) == "hello"
    assert context is not None
    assert (caller.service.fault(caller.message(context)).code or "").endswith("}BadContextToken")


def _context(
    caller: Caller,
    exchange: Exchange,
    response: RequestSecurityTokenResponse,
    dialect: Dialect,
    old: SecurityContext | None,
) -> SecurityContext:
    """What the client makes of an answer, once it is sure that it says what the dialect wants."""
    made = caller.initiator._context(exchange, response, dialect)
    assert made.key.wsc == dialect.wsc
    assert (made.instance is None) == (old is None and not dialect.names_first_key)
    token, left_out = response.token, dialect.left_out.get(exchange.kind, ())
    assert token is not None
    assert response.attached == token.attached
    if "unattached" in left_out:
        assert response.unattached is None
    else:
        # WebSphere's names the context, which has one key yet
        named = token if old is not None else replace(token, instance=None)
        assert response.unattached == named.unattached
    assert (response.token_type is None) == ("token_type" in left_out)
    return made


def test_action_and_body_are_of_one_generation(alice: Caller) -> None:
    """A draft request under the standard's action, and the reverse, is InvalidRequest."""
    draft = rst(token_type=sct_type(WSC_2005)).replace(WST_200512, WST_2005)
    assert alice.service.post(alice.trust_message(draft, f"{WST_2005}/RST/SCT")).status == 200
    assert refused(alice, draft) == INVALID_REQUEST
    assert refused(alice, rst(), f"{WST_2005}/RST/SCT") == f"{{{WST_2005}}}InvalidRequest"


@pytest.mark.parametrize("action", ["/RST/SCT/Renew", "/RST/Renew"])
@pytest.mark.parametrize("kind", ["Issue", "Cancel", "Validate"])
def test_what_is_asked_for_is_what_the_action_says(alice: Caller, kind: str, action: str) -> None:
    """Of either family of actions; a Renew under it is answered."""
    context = alice.bootstrap()
    content = rst() if kind == "Issue" else target(kind, context)
    assert refused(alice, content, WST_200512 + action) == INVALID_REQUEST
    assert (
        alice.service.post(alice.trust_message(target("Renew", context), WST_200512 + action)).status == 200
    )


# ---------------------------------------------------------------------------------------------- renewals


def renew(caller: Caller, context: SecurityContext, key: ContextKey | None) -> Answer | SecurityContext:
    """A renewal that a key endorses: the renewed context, or the answer that refuses it."""
    exchange = caller.initiator.ask_renew(context, caller.conversation, caller.ring, DIALECT, endorsed_by=key)
    answer = caller.service.post(serialize(exchange.soap.envelope))
    if answer.status != 200:
        return answer
    renewed = caller.initiator.accept_renew(exchange, Soap.of(parse(answer.body, Limits())), DIALECT)
    assert isinstance(renewed, SecurityContext)
    caller.service.world.vault.add(renewed.key.secret)
    return renewed


def renewed_twice(caller: Caller) -> tuple[SecurityContext, SecurityContext]:
    """A context as it began, and as it is after two renewals, each endorsed by its first key as Metro's client does."""
    first = context = caller.bootstrap()
    for _ in range(2):
        after = renew(caller, context, first.key)
        assert isinstance(after, SecurityContext)
        assert caller.echo(after) == "hello"
        context = after
    return first, context


def test_the_first_key_renews(alice: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Metro's client endorses its second renewal, and every later one, with the context's first key."""
    caplog.set_level(logging.WARNING)
    first, context = renewed_twice(alice)
    assert first.instance is None
    assert context.first == first.key
    third = renew(alice, context, context.key)
    assert isinstance(third, SecurityContext)
    assert alice.echo(third) == "hello"
    assert caplog.records == []


def test_the_first_key_does_nothing_else(alice: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """No call, once it has faded, and no Cancel and no Validate is secured by it after a renewal."""
    first, context = renewed_twice(alice)
    assert alice.echo(first) == "hello"
    alice.service.world.time.forward(timedelta(minutes=5))
    before = alice.service.application.calls
    assert alice.service.fault(alice.message(first)).code == REFUSED
    for kind, action in (("Cancel", CANCEL), ("Validate", f"{WST_200512}/RST/Validate")):
        by_first = alice.trust_message(target(kind, context), action, context=first)
        assert alice.service.fault(by_first).code == REFUSED
    assert {
        record.getMessage().split("] ")[1] for record in caplog.records if "refused" in record.message
    } == {"signature: A signature does not verify"}
    assert alice.service.application.calls == before
    assert alice.echo(context) == "hello"


def test_a_key_goes_by_its_own_name(alice: Caller) -> None:
    """A key before the current one and another context's do not renew; Metro shows the current token for the first."""
    first, context = renewed_twice(alice)
    other = alice.bootstrap()
    unknown = replace(first.key, secret=bytes(len(first.key.secret)))
    foreign = replace(first.key, secret=other.key.secret)
    for key in (unknown, foreign, other.key):
        answer = renew(alice, context, key)
        assert isinstance(answer, Answer)
        assert answer.status == 500
    after = renew(alice, context, first.key)
    assert isinstance(after, SecurityContext)
    between = renew(alice, context, context.key)
    assert isinstance(between, Answer)
    as_current = replace(after.key, secret=first.key.secret)
    assert isinstance(renew(alice, after, as_current), SecurityContext)


def test_nobody_renews_with_another_s_key(alice: Caller, mallory: Caller) -> None:
    """A key that endorses is not enough: the context is alice's, whoever has got hold of its first key."""
    first, context = renewed_twice(alice)
    for key in (first.key, context.key, None):
        answer = renew(mallory, context, key)
        assert isinstance(answer, Answer)
        unknown = replace(context, key=replace(context.key, identifier="urn:uuid:unknown"))
        nothing = renew(mallory, unknown, None)
        assert isinstance(nothing, Answer)
        assert outward(answer) == outward(nothing)
    assert isinstance(renew(alice, context, first.key), SecurityContext)


def test_a_replayed_renewal_is_refused(alice: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Under whichever of the two keys it was accepted."""
    first, context = renewed_twice(alice)
    for key in (first.key, None):
        exchange = alice.initiator.ask_renew(
            context, alice.conversation, alice.ring, DIALECT, endorsed_by=key
        )
        message = serialize(exchange.soap.envelope)
        answer = alice.service.post(message)
        assert answer.status == 200
        caplog.clear()
        assert alice.service.fault(message).code == REFUSED
        assert "] replay:" in caplog.text
        after = alice.initiator.accept_renew(exchange, Soap.of(parse(answer.body, Limits())), DIALECT)
        assert isinstance(after, SecurityContext)
        context = after


def test_who_is_not_known_renews_with_the_first_key() -> None:
    """Where the bootstrap is anonymous the first key is the proof, and without one there is none."""
    peer = Peer(policy=EndpointPolicy(endpoint=symmetric(bootstrap=over_certificate())))
    first = peer.issue()
    action = peer.dialect.action(RequestType.RENEW, Direction.REQUEST)
    assert action is not None
    assert peer.post(renewal(peer, first, endorsed=True), action)[0] == 200
    assert peer.refused(renewal(peer, first, endorsed=False), action).endswith("}UnableToRenew")
    assert peer.post(renewal(peer, first, endorsed=True), action)[0] == 200
    assert peer.post(renewal(peer, first, endorsed=True), action)[0] == 200


def test_a_context_that_is_over_is_renewed_where_the_service_says_so(world: World) -> None:
    """By its key, as Metro's client does it, or by the bootstrap, as CXF's; for calls it is over."""
    for allowed in (True, False):
        alice = Caller(Service(world, lifetime=HOUR, renew_after_expiry=allowed, keep_after_expiry=HOUR))
        first, other = alice.bootstrap(), alice.bootstrap()
        assert first.renewable_late == allowed
        world.time.forward(HOUR)
        for context, key in ((first, first.key), (other, None)):
            over = f"{{{WSC_200512}}}RenewNeeded" if allowed else BAD_CONTEXT
            assert alice.service.fault(alice.message(context)).code == over
            late = renew(alice, context, key)
            assert isinstance(late, SecurityContext) == allowed
            if isinstance(late, SecurityContext):
                assert alice.echo(late) == "hello"
        third = alice.bootstrap()
        world.time.forward(2 * HOUR)
        assert isinstance(renew(alice, third, third.key), Answer)


# ----------------------------------------------------------------------------------------------- cancels


def cancel(caller: Caller, context: SecurityContext) -> Message:
    """A Cancel that the bootstrap secures alone, as CXF's client sends it."""
    return caller.trust_message(target("Cancel", context), CANCEL)


def test_a_cancel_without_the_context_is_tolerated_where_the_service_says_so(world: World) -> None:
    """With tolerate={"cxf"} it really ends the context of whoever asks, and of nobody else."""
    service = Service(world, tolerate={"cxf"})
    alice, mallory = Caller(service), Caller(service, "client2")
    context, second = alice.bootstrap(), alice.bootstrap()
    assert alice.echo(context) == "hello"
    theirs = service.post(cancel(mallory, context))
    unknown = replace(context, key=replace(context.key, identifier="urn:uuid:unknown"))
    assert outward(theirs) == outward(service.post(cancel(mallory, unknown)))
    assert service.fault(cancel(mallory, context)).code == f"{{{WST_200512}}}RequestFailed"
    assert alice.echo(context) == "hello"
    assert service.post(cancel(alice, context)).status == 200
    assert service.fault(alice.message(context)).code == BAD_CONTEXT
    assert [one.identifier for one in held(service)] == [second.identifier]
    assert alice.echo(second) == "hello"


def test_a_renewed_context_is_cancelled_so_too(world: World) -> None:
    """No key of it outlives the Cancel: not the current one, not the one before, not the first."""
    alice = Caller(Service(world, tolerate={"cxf"}))
    first, context = renewed_twice(alice)
    assert alice.service.post(cancel(alice, context)).status == 200
    assert alice.service.fault(alice.message(context)).code == BAD_CONTEXT
    answer = renew(alice, context, first.key)
    assert isinstance(answer, Answer)
    assert alice.service.fault(alice.message(first)).code == BAD_CONTEXT


def test_without_tolerance_it_is_refused(alice: Caller) -> None:
    """The certificate that the context was issued to is no proof of having its key, and the context lives on."""
    context = alice.bootstrap()
    assert alice.service.fault(cancel(alice, context)).code == REFUSED
    assert alice.echo(context) == "hello"


def test_tolerance_needs_somebody_who_is_known() -> None:
    """Where the bootstrap is anonymous a Cancel is secured by the context, whatever is tolerated."""
    policy = EndpointPolicy(endpoint=symmetric(bootstrap=over_certificate()))
    peer = Peer(policy=policy, tolerate=["cxf"])
    context = peer.issue()
    bootstrap = peer.conversation.bootstrap
    by_bootstrap = peer.initiator._exchange
    request = peer.initiator.ask_cancel(context, peer.conversation, peer.ring, peer.dialect).request
    exchange = by_bootstrap(
        context.endpoint,
        request,
        peer.conversation,
        keyring=peer.ring,
        dialect=peer.dialect,
        secured=bootstrap,
    )
    body = serialize(exchange.soap.envelope)
    assert peer.refused(body, exchange.action) == f"{{{WST_200512}}}RequestFailed"
    assert peer.call(context)[0] == 200
    honest = peer.initiator.ask_cancel(context, peer.conversation, peer.ring, peer.dialect)
    assert peer.post(serialize(honest.soap.envelope), honest.action)[0] == 200


def test_tolerance_is_for_cancels_alone(world: World) -> None:
    """A Validate, and a call, are secured by the context still."""
    alice = Caller(Service(world, tolerate={"cxf"}))
    context = alice.bootstrap()
    validate = f"{WST_200512}/RST/Validate"
    assert refused(alice, target("Validate", context), validate) == REFUSED
    assert refused(alice, '<a xmlns="urn:a"/>', "urn:test:echo") == REFUSED
    assert (
        alice.service.post(alice.trust_message(target("Validate", context), validate, context=context)).status
        == 200
    )


@pytest.mark.parametrize("names", [{"axis"}, {"cxf", "metro"}, "cxf", ["CXF"]])
def test_only_what_is_known_is_tolerated(world: World, names: Any) -> None:
    """A name that means nothing is refused at the start, as is one that is no collection of names."""
    with pytest.raises(ConfigurationError) as caught:
        Service(world, tolerate=names)
    assert "tolerate=" in caught.value.message
    assert "cxf" in (caught.value.hint or "")
    for known in ((), {"cxf"}, ["cxf"]):
        Service(world, tolerate=known)


# --------------------------------------------------------------------------------- what the policy says


def test_the_service_s_terms_and_the_policy_must_agree() -> None:
    """A middleware whose keys would come from where the policy does not want them is not started."""
    demanding = TrustOptions(require_client_entropy=True, require_server_entropy=True)
    policy = EndpointPolicy(endpoint=replace(symmetric(bootstrap=asymmetric()), trust=demanding))
    for options in ({"key_entropy": "client"}, {"key_entropy": "service"}, {"key_size": 8}):
        with pytest.raises(ConfigurationError):
            Peer(policy=policy, **options)
    Peer(policy=policy).issue()


def test_the_settings_of_the_middleware_reach_the_trust_service(world: World) -> None:
    """Each term that it takes is kept to, where the default would have been another."""
    undemanding = replace(
        endpoint_policy(), endpoint=replace(endpoint_policy().endpoint, trust=TrustOptions())
    )
    undemanding = replace(
        undemanding,
        operations={
            name: replace(operation, request=replace(operation.request, trust=TrustOptions()))
            for name, operation in undemanding.operations.items()
        },
    )
    second = f"{NOW + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}Z"
    for key_entropy, size in (("service", 24), ("client", 32)):
        terms: dict[str, Any] = {"minimum_lifetime": timedelta(seconds=1), "key_entropy": key_entropy}
        alice = Caller(Service(world, undemanding, key_size=size, **terms))
        assert alice.service.post(alice.trust_message(rst(until(second)), ISSUE)).status == 200
        (context,) = held(alice.service)
        assert context.expires == world.time.now + timedelta(seconds=1)
        assert len(context.key.secret) == size
        assert (context.key.secret == bytes(32)) == (key_entropy == "client")


def test_an_application_may_have_actions_of_ws_trust(world: World) -> None:
    """Where the policy names such an action it is the application's, and a trust service of another kind may serve."""
    service = Service(world)
    operations = dict(service.policy.operations)
    action = f"{WST_200512}/RST/KET"
    echo = operations["echo"]
    policy = replace(service.policy, operations={"echo": replace(echo, actions=echo.actions | {action})})
    caller = Caller(Service(world, policy))
    context = caller.bootstrap()
    assert caller.service.post(caller.message(context, action=action)).status == 200
    assert refused(caller, rst(), f"{WST_200512}/RST/Other") == INVALID_REQUEST
