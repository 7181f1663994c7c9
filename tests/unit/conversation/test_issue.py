"""Contexts that a client asks for and a service issues."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.conversation.pair import ENDPOINT, HOUR, PRINCIPAL, Change, Pair, who
from tests.unit.messages import asymmetric, canonical, conversation, message, order, read, secured, wire
from tests.unit.parties import NOW, Time, identity
from zeep_secureconv import SecurityContext, VerificationError
from zeep_secureconv.conversation.granting import RequestRefused
from zeep_secureconv.names import SOAP12, WSC_2005, WSC_200512, WST_2005, WST_200512, sct_type
from zeep_secureconv.policy import Direction, Parts, TrustOptions
from zeep_secureconv.soap.envelope import new_envelope
from zeep_secureconv.soap.faults import make_fault
from zeep_secureconv.trust import (
    DIALECTS,
    Entropy,
    Lifetime,
    RequestSecurityToken,
    RequestType,
    TokenReference,
    new_context_token,
)
from zeep_secureconv.wss.kdf import p_sha1
from zeep_secureconv.wss.reply import Reply

_PSHA1 = f"{WST_200512}/CK/PSHA1"
_DEMANDING = TrustOptions(require_client_entropy=True, require_server_entropy=True)


def held(pair: Pair, context: SecurityContext) -> SecurityContext:
    """The service's side of a context."""
    found = pair.issuer.find(context.identifier, context.instance)
    assert found is not None
    return found


# -------------------------------------------------------------------------------------------- what is agreed


@pytest.mark.parametrize(
    "suite", ["Basic128", "Basic192", "Basic256", "TripleDes", "Basic256Sha256Rsa15", "Basic256GCM"]
)
def test_both_sides_hold_the_same_key(suite: str) -> None:
    """Client and service work out one key, as long as the suite wants it, and call it by one name."""
    pair = Pair(conversation(suite))
    mine = pair.issue()
    theirs = held(pair, mine)
    assert mine.key.secret == theirs.key.secret
    assert len(mine.key.secret) == pair.policy.key_size
    assert (mine.identifier, mine.instance) == (theirs.identifier, None)
    assert mine.identifier.startswith("urn:uuid:")
    assert mine.endpoint == theirs.endpoint == ENDPOINT
    assert theirs.principal == PRINCIPAL
    assert mine.principal is None
    assert mine.policy == theirs.policy == pair.policy.fingerprint


@pytest.mark.parametrize("suite", ["Basic128", "Basic256"])
def test_messages_pass_under_the_new_context(suite: str) -> None:
    """What the client protects with the context the service reads, and the reverse, by the references issued."""
    pair = Pair(conversation(suite))
    mine = pair.issue()
    theirs = held(pair, mine)
    policy = pair.policy.application
    for direction, sender, receiver in (
        (Direction.REQUEST, mine, theirs),
        (Direction.RESPONSE, theirs, mine),
    ):
        soap = message()
        clear = canonical(soap.body[0])
        secured(soap, policy, direction=direction, ring=replace(pair.client_ring, context=sender.key))
        assert ("SecurityContextToken" in order(soap)) == (direction is Direction.REQUEST)
        verified = read(wire(soap), policy, ring=replace(pair.client_ring, context=receiver.key))
        assert canonical(verified.soap.body[0]) == clear


@pytest.mark.parametrize("soap", [None, SOAP12])
@pytest.mark.parametrize("wst", [WST_2005, WST_200512])
def test_either_generation_and_version(wst: str, soap: str | None) -> None:
    """The draft and the standard, SOAP 1.1 and 1.2, agree on a context of their generation."""
    options: dict[str, Any] = {"soap": soap} if soap else {}
    pair = Pair(conversation(trust=TrustOptions(wst=wst), **options))
    mine = pair.issue()
    assert mine.key.wsc == (WSC_2005 if wst == WST_2005 else WSC_200512)
    assert mine.key.secret == held(pair, mine).key.secret
    assert mine.dialect == ("draft200502" if wst == WST_2005 else "oasis13")


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_is_answered(name: str) -> None:
    """A client of any dialect gets a context."""
    pair = Pair()
    pair.dialect = DIALECTS[name].in_generation(pair.policy.wst)
    mine = pair.issue()
    assert mine.key.secret == held(pair, mine).key.secret
    assert len(mine.key.secret) == (DIALECTS[name].key_size or 16)


def test_the_request_says_what_is_wanted() -> None:
    """TokenType, RequestType, entropy and KeySize of the suite stand in the request; the entropy is fresh."""
    pair = Pair(conversation("Basic256"))
    seen = set()
    for _ in range(5):
        exchange = pair.ask()
        verified, request = pair.read(exchange)
        assert request.request_type is RequestType.ISSUE
        assert request.token_type == sct_type(WSC_200512)
        assert request.key_size == 32
        assert request.computed_key_algorithm == _PSHA1
        assert request.entropy is not None
        assert len(request.entropy.secret) == 32
        assert request.entropy.type_uri == f"{WST_200512}/Nonce"
        seen.add(request.entropy.secret)
        assert verified.addressing.action == exchange.action == f"{WST_200512}/RST/SCT"
        assert verified.addressing.to == ENDPOINT
        assert verified.is_signed(verified.soap.body)
    assert len(seen) == 5


def test_every_context_is_another() -> None:
    """Names, keys and tokens never repeat."""
    pair = Pair()
    contexts = [pair.issue() for _ in range(5)]
    assert len({context.identifier for context in contexts}) == 5
    assert len({context.key.secret for context in contexts}) == 5
    assert len({context.key.token_id for context in contexts}) == 5


def test_the_lifetime_is_the_services() -> None:
    """A context lives as long as the service grants, from now."""
    pair = Pair()
    mine = pair.issue()
    assert (mine.created, mine.expires) == (NOW, NOW + HOUR)
    pair.time.forward(HOUR - timedelta(seconds=1))
    held(pair, mine)
    assert not mine.is_over(pair.time.clock)
    pair.time.forward(timedelta(seconds=1))
    assert pair.issuer.find(mine.identifier, None) is None
    assert mine.is_over(pair.time.clock)


# ---------------------------------------------------------------------------------------------- the service


def rst(**changes: Any) -> RequestSecurityToken:
    """A request for a context."""
    usual: dict[str, Any] = {
        "wst": WST_200512,
        "request_type": RequestType.ISSUE,
        "token_type": sct_type(WSC_200512),
        "entropy": Entropy(bytes(range(32)), f"{WST_200512}/Nonce"),
        "key_size": 32,
    }
    return RequestSecurityToken(**(usual | changes))


def test_two_entropies_make_a_computed_key() -> None:
    """With the client's entropy the key is P_SHA1 of both, and the answer says so without holding it."""
    issued = Pair().issuer.issue(rst(), who(PRINCIPAL))
    answer = issued.response
    assert answer.entropy is not None
    assert issued.context.key.secret == p_sha1(bytes(range(32)), answer.entropy.secret, 32)
    assert (answer.computed_key, answer.proof_secret, answer.key_size) == (_PSHA1, None, 32)
    assert len(answer.entropy.secret) == 32


def test_without_client_entropy_the_service_gives_the_key() -> None:
    """Without the client's entropy the key travels as a proof, where the policy lets it."""
    issued = Pair().issuer.issue(rst(entropy=None), who(PRINCIPAL))
    assert issued.response.proof_secret == issued.context.key.secret
    assert (issued.response.computed_key, issued.response.entropy) == (None, None)
    with pytest.raises(RequestRefused) as caught:
        Pair(conversation(trust=_DEMANDING)).issuer.issue(rst(entropy=None), who(PRINCIPAL))
    assert caught.value.code == "InvalidRequest"


@pytest.mark.parametrize(
    ("wanted", "given"), [(None, 16), (1, 16), (8, 16), (16, 16), (24, 24), (32, 32), (64, 32), (512, 32)]
)
def test_the_key_size_stays_within_the_suite(wanted: int | None, given: int) -> None:
    """The size asked for is granted between the suite's minimum and its maximum."""
    issued = Pair().issuer.issue(rst(key_size=wanted), who(PRINCIPAL))
    assert len(issued.context.key.secret) == given
    assert issued.response.key_size == given


def test_the_answer_names_what_was_asked() -> None:
    """@Context and AppliesTo come back, and references inside and outside of messages are given."""
    issued = Pair().issuer.issue(rst(context="urn:context", applies_to=ENDPOINT), who(PRINCIPAL))
    answer = issued.response
    assert (answer.context, answer.applies_to) == ("urn:context", ENDPOINT)
    assert answer.token is not None
    assert answer.attached == TokenReference(f"#{answer.token.id}", sct_type(WSC_200512))
    assert answer.unattached == TokenReference(answer.token.identifier, sct_type(WSC_200512))


@pytest.mark.parametrize(
    "request_",
    [
        rst(request_type=RequestType.RENEW),
        rst(request_type=RequestType.CANCEL),
        rst(token_type=sct_type(WSC_2005)),
        rst(token_type="urn:saml"),
        rst(unsupported=("OnBehalfOf",)),
        rst(entropy_encrypted_key=b"<k/>"),
        rst(computed_key_algorithm=f"{WST_200512}/CK/HASH"),
    ],
)
def test_what_is_not_issued_is_refused(request_: RequestSecurityToken) -> None:
    """Other requests, tokens of another generation, and what nobody supports are refused as InvalidRequest."""
    pair = Pair()
    pair.issuer.issue(rst(computed_key_algorithm=_PSHA1), who(PRINCIPAL))
    before = len(list(pair.store.items("service")))
    with pytest.raises(RequestRefused) as caught:
        pair.issuer.issue(request_, who(PRINCIPAL))
    assert caught.value.code == "InvalidRequest"
    assert len(list(pair.store.items("service"))) == before


def test_a_context_is_for_its_endpoint_and_policy_only() -> None:
    """A service at another path, or under another policy, does not know the context."""
    pair = Pair()
    mine = pair.issue()
    other = Pair(conversation("Basic256"))
    other.store._records = pair.store._records
    elsewhere = type(pair.issuer)("/elsewhere", pair.policy, pair.store, pair.environment, terms=pair.terms)
    assert pair.issuer.find(mine.identifier, None) is not None
    assert elsewhere.find(mine.identifier, None) is None
    assert other.issuer.find(mine.identifier, None) is None
    assert pair.issuer.find(mine.identifier, "1") is None
    assert pair.issuer.find("urn:uuid:other", None) is None


# ----------------------------------------------------------------------------------------------- the client


def refused(pair: Pair, change: Change | None = None, **options: Any) -> str:
    """The id of the check that refuses an odd answer; an ordinary one is accepted beside it."""
    assert isinstance(pair.issue(), SecurityContext)
    exchange = pair.ask()
    with pytest.raises(VerificationError) as caught:
        pair.accept(exchange, pair.answer(exchange, change, **options))
    return caught.value.check


def test_another_client_cannot_play_the_service() -> None:
    """An answer signed by another certificate of the same CA is refused."""
    pair = Pair()
    assert refused(pair, signer=identity("client2")) == "signer"


def test_an_answer_with_less_security_is_refused() -> None:
    """An answer with an unsigned or an unencrypted Body is refused."""
    unsigned = asymmetric(signed=Parts(headers=asymmetric().signed.headers))
    assert refused(Pair(), policy=unsigned) == "signed-parts"
    assert refused(Pair(), policy=asymmetric(encrypted=Parts())) == "encrypted-parts"


def test_an_answer_to_another_request_is_refused() -> None:
    """An answer must relate to the request."""
    assert refused(Pair(), relates_to="urn:uuid:other") == "relates-to"


def test_the_clients_own_request_is_no_answer() -> None:
    """The request, reflected, is refused."""
    pair = Pair()
    exchange = pair.ask()
    with pytest.raises(VerificationError) as caught:
        pair.accept(exchange, wire(exchange.soap))
    assert caught.value.check == "reflection"


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda r: replace(r, computed_key=None, entropy=None, proof_secret=b"\1"), "context-key"),
        (lambda r: replace(r, computed_key=None, entropy=None, proof_secret=bytes(15)), "context-key"),
        (lambda r: replace(r, computed_key=None, entropy=None, proof_secret=bytes(65)), "context-key"),
        (lambda r: replace(r, key_size=8), "context-key"),
        (lambda r: replace(r, computed_key=f"{WST_200512}/CK/HASH"), "context-key"),
        (lambda r: replace(r, entropy=None), "context-key"),
        (lambda r: replace(r, token=None), "trust-message"),
        (lambda r: replace(r, token_type="urn:saml"), "trust-message"),
        (lambda r: replace(r, token_type=sct_type(WSC_2005)), "trust-message"),
        (
            lambda r: replace(r, token=new_context_token("urn:a", wsc=WSC_2005, element_id="x")),
            "trust-message",
        ),
        (lambda r: replace(r, lifetime=Lifetime(NOW + HOUR, NOW + 2 * HOUR)), "lifetime"),
        (lambda r: replace(r, lifetime=Lifetime(NOW, NOW)), "lifetime"),
        (lambda r: replace(r, lifetime=Lifetime(NOW, NOW - HOUR)), "lifetime"),
        (lambda r: replace(r, lifetime=Lifetime(None, NOW - HOUR)), "lifetime"),
    ],
)
def test_an_answer_that_gives_no_good_context_is_refused(change: Change, check: str) -> None:
    """Short or overlong keys, other tokens, and lifetimes that are over or not begun are refused."""
    assert refused(Pair(), change) == check


def test_the_services_entropy_must_be_worth_something_where_it_is_required() -> None:
    """Where server entropy is required, a short one, none, or our own sent back is refused."""

    def pair() -> Pair:
        return Pair(conversation(trust=TrustOptions(require_server_entropy=True)))

    short: Change = lambda r: replace(r, entropy=Entropy(bytes(15)))  # noqa: E731
    alone: Change = lambda r: replace(r, computed_key=None, entropy=None)  # noqa: E731
    for change in (short, alone):
        assert refused(pair(), change) == "context-key"
    echoing = pair()
    exchange = echoing.ask()
    own = echoing.read(exchange)[1].entropy
    assert own is not None
    answer = echoing.answer(
        exchange, lambda r: replace(r, computed_key=None, entropy=None, proof_secret=own.secret)
    )
    with pytest.raises(VerificationError) as caught:
        echoing.accept(exchange, answer)
    assert caught.value.check == "context-key"


def test_a_context_is_given_once() -> None:
    """A service that gives a context again, even under another key, is refused."""
    pair = Pair()
    first = pair.issue()
    again: Change = lambda r: replace(  # noqa: E731
        r, token=new_context_token(first.identifier, wsc=WSC_200512, element_id="other")
    )
    assert refused(pair, again) == "context-reused"


def test_an_answer_without_lifetime_or_references_is_accepted() -> None:
    """Lifetime, KeySize, TokenType and references are optional; the token is then named by its id and Identifier."""
    pair = Pair()
    exchange = pair.ask()
    bare: Change = lambda r: replace(  # noqa: E731
        r, lifetime=None, key_size=None, token_type=None, attached=None, unattached=None, renewing=None
    )
    mine = pair.accept(exchange, pair.answer(exchange, bare))
    assert isinstance(mine, SecurityContext)
    assert (mine.created, mine.expires) == (None, None)
    assert (mine.key.attached, mine.key.unattached) == (None, None)
    assert mine.key.secret == held(pair, mine).key.secret


def test_references_to_something_else_are_not_used() -> None:
    """References of the answer that do not name its token are left aside."""
    pair = Pair()
    exchange = pair.ask()
    odd: Change = lambda r: replace(  # noqa: E731
        r, attached=TokenReference("#other"), unattached=TokenReference("urn:uuid:other")
    )
    mine = pair.accept(exchange, pair.answer(exchange, odd))
    assert isinstance(mine, SecurityContext)
    assert (mine.key.attached, mine.key.unattached) == (None, None)


def test_a_proof_of_the_service_is_the_key() -> None:
    """A BinarySecret in the answer is the key, whatever entropy stands beside it."""
    pair = Pair()
    exchange = pair.ask()
    proof: Change = lambda r: replace(r, computed_key=None, proof_secret=b"k" * 16)  # noqa: E731
    mine = pair.accept(exchange, pair.answer(exchange, proof))
    assert isinstance(mine, SecurityContext)
    assert mine.key.secret == b"k" * 16


@pytest.mark.parametrize("secure", [False, True])
def test_a_fault_is_handed_out(secure: bool) -> None:
    """A fault of the service, secured or not, is a Reply, and proves what its signature proves."""
    pair = Pair()
    exchange = pair.ask()
    fault = make_fault(pair.policy.soap, code=f"{{{WST_200512}}}RequestFailed", text="no")
    if secure:
        ring = replace(pair.service_ring, peer=identity("client").certificate)
        fault = pair.secure(fault, pair.policy.bootstrap.response, ring, exchange.protected.message_id)
    answer = pair.accept(exchange, fault)
    assert isinstance(answer, Reply)
    assert answer.fault is not None
    assert answer.fault.code == f"{{{WST_200512}}}RequestFailed"
    assert answer.proven == secure


def test_an_empty_answer_is_refused() -> None:
    """A well secured answer with nothing in its Body is no context."""
    pair = Pair(conversation(bootstrap=asymmetric(encrypted=Parts())))
    exchange = pair.ask()
    ring = replace(pair.service_ring, peer=identity("client").certificate)
    empty = pair.secure(
        new_envelope(pair.policy.soap), pair.policy.bootstrap.response, ring, exchange.protected.message_id
    )
    with pytest.raises(VerificationError) as caught:
        pair.accept(exchange, empty)
    assert caught.value.check == "trust-message"


def test_nothing_secret_shows() -> None:
    """Neither a request nor an issued context shows entropy or key in its repr."""
    pair = Pair()
    exchange = pair.ask()
    _, request = pair.read(exchange)
    assert request.entropy is not None
    issued = pair.issuer.issue(request, who(PRINCIPAL))
    secrets: list[bytes] = [request.entropy.secret, issued.context.key.secret]
    for shown in (repr(exchange), repr(request), repr(issued), repr(pair.issue())):
        for secret in secrets:
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown


@pytest.mark.parametrize("minutes", [-2, 2])
def test_clocks_may_differ_within_the_skew(minutes: int) -> None:
    """A service whose clock is two minutes off issues contexts that live as long as it says."""
    pair = Pair()
    service = Pair(pair.policy, Time(NOW + timedelta(minutes=minutes)))
    exchange = pair.ask()
    mine = pair.accept(exchange, service.answer(exchange))
    assert isinstance(mine, SecurityContext)
    assert mine.created == NOW + timedelta(minutes=minutes)
    pair.time.forward(HOUR - timedelta(seconds=1))
    assert not mine.is_over(pair.time.clock)
    pair.time.forward(timedelta(seconds=1))
    assert mine.is_over(pair.time.clock)


def test_clocks_may_not_differ_beyond_the_skew() -> None:
    """The answer of a service whose clock is four minutes ahead comes from the future."""
    pair = Pair()
    service = Pair(pair.policy, Time(NOW + timedelta(minutes=4)))
    exchange = pair.ask()
    with pytest.raises(VerificationError) as caught:
        pair.accept(exchange, service.answer(exchange))
    assert caught.value.check == "timestamp"
