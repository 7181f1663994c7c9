"""What a service grants of what is asked for: lifetimes, keys, renewals."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.unit.conversation.pair import ENDPOINT, HOUR, PRINCIPAL, Pair, who
from tests.unit.conversation.test_issue import rst
from tests.unit.conversation.test_renew_cancel import known, renewal
from tests.unit.messages import conversation
from tests.unit.parties import NOW
from zeep_secureconv import ConfigurationError, SecurityContext
from zeep_secureconv.conversation.granting import RequestRefused, is_for
from zeep_secureconv.conversation.issuer import ANONYMOUS, Issuer, RenewalKeys
from zeep_secureconv.conversation.terms import Terms
from zeep_secureconv.names import WSC_2005, WST_2005, WST_200512, sct_type
from zeep_secureconv.policy import DerivedKeys, TrustOptions
from zeep_secureconv.trust import (
    Entropy,
    Lifetime,
    Renewing,
    RequestSecurityToken,
    RequestType,
    TokenReference,
    context_key,
)

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
CLIENT = bytes(range(32))


def given(pair: Pair, **changes: Any) -> timedelta:
    """How long a context lives that is asked for so."""
    lifetime = pair.issuer.issue(rst(**changes), who(PRINCIPAL)).response.lifetime
    assert lifetime is not None
    assert lifetime.created == NOW
    assert lifetime.expires is not None
    return lifetime.expires - NOW


def refusal(pair: Pair, request: RequestSecurityToken, principal: str = PRINCIPAL) -> str:
    """The code that a request is refused with; it changes nothing in the store."""
    before = list(pair.store.items("service"))
    act = pair.issuer.issue if request.request_type is RequestType.ISSUE else pair.issuer.renew
    with pytest.raises(RequestRefused) as caught:
        act(request, who(principal))
    assert list(pair.store.items("service")) == before
    return caught.value.code


# ------------------------------------------------------------------------------------------------ lifetimes


def test_the_defaults_are_those_of_websphere() -> None:
    """Token timeout 120 minutes, at least 10; no renewal after the end; the draft is answered."""
    assert Terms() == Terms(
        lifetime=timedelta(minutes=120),
        minimum_lifetime=timedelta(minutes=10),
        renew_after_expiry=False,
        keep_after_expiry=timedelta(minutes=120),
        allow_200502=True,
        key_entropy="both",
        key_size=None,
    )


@pytest.mark.parametrize(
    ("wanted", "granted"),
    [
        (None, HOUR),
        (Lifetime(None, None), HOUR),
        (Lifetime(NOW, None), HOUR),
        (Lifetime(NOW, NOW + 30 * MINUTE), 30 * MINUTE),
        (Lifetime(None, NOW + 30 * MINUTE), 30 * MINUTE),
        (Lifetime(NOW, NOW + 5 * MINUTE), 10 * MINUTE),
        (Lifetime(NOW, NOW + timedelta(milliseconds=1)), 10 * MINUTE),
        (Lifetime(NOW, NOW + timedelta(days=9)), HOUR),
        (Lifetime(NOW, datetime.max.replace(tzinfo=timezone.utc)), HOUR),
        # their clock is off, and the length counts
        (Lifetime(NOW - 2 * MINUTE, NOW + 28 * MINUTE), 30 * MINUTE),
        (Lifetime(NOW + 2 * MINUTE, NOW + 32 * MINUTE), 30 * MINUTE),
        # it began long ago, and what is left counts
        (Lifetime(NOW - HOUR, NOW + 30 * MINUTE), 30 * MINUTE),
        (Lifetime(datetime.min.replace(tzinfo=timezone.utc), NOW + 30 * MINUTE), 30 * MINUTE),
        (
            Lifetime(
                NOW.astimezone(timezone(timedelta(hours=14))),
                (NOW + 30 * MINUTE).astimezone(timezone(timedelta(hours=-14))),
            ),
            30 * MINUTE,
        ),
    ],
)
def test_the_lifetime_asked_for_counts_within_bounds(wanted: Lifetime | None, granted: timedelta) -> None:
    """From ten minutes to what the service grants at most, whatever zone it is written in."""
    assert given(Pair(), lifetime=wanted) == granted


@pytest.mark.parametrize(
    "wanted",
    [
        Lifetime(NOW, NOW),
        Lifetime(NOW, NOW - HOUR),
        Lifetime(NOW - 2 * HOUR, NOW - HOUR),
        Lifetime(None, NOW - MINUTE),
        Lifetime(NOW + 4 * MINUTE, NOW + HOUR),
        Lifetime(NOW + HOUR, None),
    ],
)
def test_a_lifetime_that_is_over_or_begins_later_is_refused(wanted: Lifetime) -> None:
    """What is over, backwards or postdated beyond the clock skew is an InvalidTimeRange."""
    pair = Pair()
    assert refusal(pair, rst(lifetime=wanted)) == "InvalidTimeRange"
    assert given(pair) == HOUR


def test_seconds_are_granted_where_the_service_says_so() -> None:
    """A lifetime below ten minutes is the minimum too; a lower minimum lets clients ask for less."""
    wanted = Lifetime(NOW, NOW + 3 * SECOND)
    assert given(Pair(terms=Terms(lifetime=30 * SECOND)), lifetime=wanted) == 30 * SECOND
    assert given(Pair(terms=Terms(lifetime=30 * SECOND))) == 30 * SECOND
    assert given(Pair(terms=Terms(minimum_lifetime=SECOND)), lifetime=wanted) == 3 * SECOND


def test_a_renewal_grants_a_lifetime_as_an_issue_does() -> None:
    """The renewed context lives as long as its renewal asked for."""
    pair = Pair()
    first = pair.issue()
    shorter = renewal(first, lifetime=Lifetime(NOW, NOW + 20 * MINUTE))
    assert pair.renew(shorter).context.expires == NOW + 20 * MINUTE
    assert refusal(pair, renewal(first, lifetime=Lifetime(NOW, NOW))) == "InvalidTimeRange"


@pytest.mark.parametrize(
    "options",
    [
        {"lifetime": timedelta(0)},
        {"lifetime": -HOUR},
        {"minimum_lifetime": timedelta(0)},
        {"keep_after_expiry": -SECOND},
        {"key_entropy": "none"},
    ],
)
def test_terms_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """No lifetime, a negative time, and entropy of nobody are named at once."""
    with pytest.raises(ConfigurationError) as caught:
        Terms(**options)
    assert f"{next(iter(options))}=" in caught.value.message


# ----------------------------------------------------------------------------------------------------- keys


def test_the_service_may_make_keys_alone() -> None:
    """With key_entropy="service" the client's entropy adds nothing, and the key travels as the proof."""
    pair = Pair(terms=Terms(key_entropy="service"))
    issued = pair.issuer.issue(rst(), who(PRINCIPAL))
    answer = issued.response
    assert answer.proof_secret == issued.context.key.secret
    assert (answer.computed_key, answer.entropy) == (None, None)
    mine = pair.issue()
    held = known(pair, mine)
    assert held is not None
    assert mine.key.secret == held.key.secret


@pytest.mark.parametrize("wanted", [32, None])
def test_the_client_s_entropy_may_be_the_key(wanted: int | None) -> None:
    """With key_entropy="client" the answer holds neither proof nor entropy, and both sides have the same key."""
    pair = Pair(terms=Terms(key_entropy="client"))
    issued = pair.issuer.issue(rst(key_size=wanted), who(PRINCIPAL))
    answer = issued.response
    assert (answer.computed_key, answer.entropy, answer.proof_secret, answer.key_size) == (
        None,
        None,
        None,
        32,
    )
    assert issued.context.key.secret == CLIENT
    assert context_key(CLIENT, answer, 32, minimum=16, require_server_entropy=False) == CLIENT
    mine = pair.issue()
    held = known(pair, mine)
    assert held is not None
    assert mine.key.secret == held.key.secret


@pytest.mark.parametrize(
    "changes",
    [
        {"entropy": None},
        {"entropy": Entropy(b"k")},
        {"entropy": Entropy(bytes(15)), "key_size": None},
        {"entropy": Entropy(bytes(33)), "key_size": None},
        {"entropy": Entropy(bytes(16)), "key_size": 32},
    ],
)
def test_a_client_s_entropy_that_is_no_key_is_refused(changes: dict[str, Any]) -> None:
    """Where the client's entropy is the key, none, a short and a long one are InvalidRequest."""
    pair = Pair(terms=Terms(key_entropy="client"))
    assert refusal(pair, rst(**changes)) == "InvalidRequest"
    pair.issuer.issue(rst(), who(PRINCIPAL))


def test_a_renewal_without_entropy_gets_the_service_s_key() -> None:
    """CXF's client renews without entropy, wherever keys come from otherwise."""
    pair = Pair(terms=Terms(key_entropy="client"))
    first = pair.issue()
    issued = pair.renew(renewal(first, entropy=None))
    assert issued.response.proof_secret == issued.context.key.secret


def test_the_size_of_keys_may_be_the_service_s_to_say() -> None:
    """key_size= overrides what is asked for, and the answer says so."""
    pair = Pair(terms=Terms(key_size=24))
    for wanted in (None, 16, 32):
        issued = pair.issuer.issue(rst(key_size=wanted), who(PRINCIPAL))
        assert len(issued.context.key.secret) == 24
        assert issued.response.key_size == 24


@pytest.mark.parametrize(
    ("terms", "options", "said"),
    [
        (Terms(key_size=8), {}, "key_size="),
        (Terms(key_size=33), {}, "key_size="),
        (Terms(key_size=32), {"derived_keys": DerivedKeys.NONE}, "key_size="),
        (
            Terms(key_entropy="client"),
            {"trust": TrustOptions(require_server_entropy=True)},
            "RequireServerEntropy",
        ),
        (
            Terms(key_entropy="service"),
            {"trust": TrustOptions(require_client_entropy=True)},
            "RequireClientEntropy",
        ),
    ],
)
def test_terms_that_the_policy_contradicts_are_refused(
    terms: Terms, options: dict[str, Any], said: str
) -> None:
    """Before anything is served, by the name of what contradicts; without it the policy is served."""
    with pytest.raises(ConfigurationError) as caught:
        terms.check(conversation(**options))
    assert said in caught.value.message
    Terms().check(conversation(**options))
    Terms(key_size=16).check(conversation(**options))


@pytest.mark.parametrize(
    "changes",
    [
        {"computed_key_algorithm": f"{WST_200512}/CK/HASH"},
        {"computed_key_algorithm": f"{WST_2005}/CK/PSHA1"},
        {"key_type": f"{WST_200512}/PublicKey"},
        {"key_type": f"{WST_200512}/Bearer"},
        {"key_type": f"{WST_2005}/SymmetricKey"},
        {"entropy": Entropy(CLIENT, f"{WST_200512}/AsymmetricKey")},
    ],
)
def test_other_kinds_of_keys_are_refused(changes: dict[str, Any]) -> None:
    """Another computation, asymmetric keys and no keys are InvalidRequest; what Metro and WCF write is taken."""
    pair = Pair()
    assert refusal(pair, rst(**changes)) == "InvalidRequest"
    usual = {
        "computed_key_algorithm": f"{WST_200512}/CK/PSHA1",
        "key_type": f"{WST_200512}/SymmetricKey",
        "entropy": Entropy(CLIENT, f"{WST_200512}/SymmetricKey"),
    }
    pair.issuer.issue(rst(**usual), who(PRINCIPAL))


def test_a_computation_that_does_not_happen_is_not_judged() -> None:
    """Where the key is the service's alone, how two entropies would be combined does not matter."""
    issued = Pair().issuer.issue(rst(entropy=None, computed_key_algorithm="urn:any"), who(PRINCIPAL))
    assert issued.response.proof_secret == issued.context.key.secret


# ------------------------------------------------------------------------------------------------ AppliesTo


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        ("http://localhost:8080/peer", True),
        ("https://service.example/peer", True),
        ("http://10.0.0.1:9080/peer?wsdl", True),
        ("http://service.example/pe%65r", True),
        ("http://service.example/other", False),
        ("http://service.example/peer/", False),
        ("http://service.example/", False),
        ("http://service.example", False),
        ("/peer", False),
        ("urn:peer", False),
        ("http://[", False),
        ("http://www.w3.org/2005/08/addressing/anonymous", False),
    ],
)
def test_a_request_for_another_endpoint_is_refused(address: str, fits: bool) -> None:
    """The path must be the endpoint's; host and port are those of a proxy, perhaps, and do not count."""
    pair = Pair()
    request = rst(applies_to=address)
    if fits:
        assert pair.issuer.issue(request, who(PRINCIPAL)).response.applies_to == address
    else:
        assert refusal(pair, request) == "InvalidScope"


def test_a_name_that_the_endpoint_was_given_fits_too() -> None:
    """Behind a proxy that changes paths endpoint= tells the public one, and the path of the request counts as well."""
    for places in (("https://public.example/orders", "/peer"), ("urn:orders", "/peer")):
        assert is_for(places[0], places)
        assert is_for("http://localhost/peer", places)
        assert not is_for("http://localhost/urn:orders", places)
        assert not is_for("http://localhost/else", places)
    assert is_for("http://inside:9080/orders", ("https://public.example/orders", "/peer"))
    assert is_for("http://localhost", ("/",))
    # WSGI gives the octets of a path one by one
    assert is_for("http://localhost/%C3%A4", ("/\u00c3\u00a4",))


def test_the_policy_may_demand_applies_to() -> None:
    """Under sp:RequireAppliesTo a context is for whom the client says; a renewal is for the context that there is."""
    pair = Pair(conversation(trust=TrustOptions(require_applies_to=True)))
    assert refusal(pair, rst()) == "InvalidRequest"
    pair.issuer.issue(rst(applies_to=ENDPOINT), who(PRINCIPAL))
    pair.renew(renewal(pair.issue()))


# ------------------------------------------------------------------------------------------------ the draft


def draft() -> RequestSecurityToken:
    """A request of the version of February 2005."""
    return rst(wst=WST_2005, token_type=sct_type(WSC_2005), entropy=Entropy(CLIENT, f"{WST_2005}/Nonce"))


def test_the_draft_is_answered_unless_the_service_says_no() -> None:
    """Where the policy is of the standard a switch decides; where it is of the draft there is nothing to decide."""
    assert Pair().issuer.issue(draft(), who(PRINCIPAL)).context.key.wsc == WSC_2005
    strict = Pair(terms=Terms(allow_200502=False))
    assert refusal(strict, draft()) == "InvalidRequest"
    strict.issuer.issue(rst(), who(PRINCIPAL))
    of_the_draft = conversation(trust=TrustOptions(wst=WST_2005))
    Pair(of_the_draft, terms=Terms(allow_200502=False)).issuer.issue(draft(), who(PRINCIPAL))


# ------------------------------------------------------------------------------------------------- renewals


@pytest.mark.parametrize(
    ("wanted", "granted"),
    [
        (None, Renewing(allow=True, ok=False)),
        (Renewing(), Renewing(allow=True, ok=False)),
        (Renewing(ok=True), Renewing(allow=True, ok=False)),
        (Renewing(allow=False), Renewing(allow=False, ok=False)),
        (Renewing(allow=False, ok=True), Renewing(allow=False, ok=False)),
    ],
)
def test_a_client_may_forgo_renewals_and_no_more(wanted: Renewing | None, granted: Renewing) -> None:
    """Allow="false" is kept to; OK="true" is for the service to grant."""
    pair = Pair()
    issued = pair.issuer.issue(rst(renewing=wanted), who(PRINCIPAL))
    assert issued.response.renewing == granted
    if granted.allow:
        assert pair.renew(renewal(issued.context)).context.identifier == issued.context.identifier
    else:
        assert refusal(pair, renewal(issued.context)) == "UnableToRenew"
        assert known(pair, issued.context) == issued.context


LATE = Terms(lifetime=HOUR, renew_after_expiry=True, keep_after_expiry=30 * MINUTE)


def test_a_context_that_is_over_is_renewed_where_the_service_allows_it() -> None:
    """Within the time that it is kept, and it is good for nothing else meanwhile."""
    pair = Pair(terms=LATE)
    issued = pair.issuer.issue(rst(), who(PRINCIPAL))
    assert issued.response.renewing == Renewing(allow=True, ok=True)
    pair.time.forward(HOUR)
    assert known(pair, issued.context) is None
    pair.time.forward(29 * MINUTE)
    assert known(pair, issued.context) is None
    renewed = pair.renew(renewal(issued.context)).context
    assert known(pair, issued.context) == renewed
    assert renewed.expires == NOW + HOUR + 29 * MINUTE + HOUR


def test_a_context_is_kept_for_so_long_and_no_longer() -> None:
    """When the time after its end is over it is gone, and other calls about it change nothing of that."""
    pair = Pair(terms=LATE)
    first = pair.issuer.issue(rst(), who(PRINCIPAL)).context
    pair.time.forward(HOUR + 30 * MINUTE)
    assert refusal(pair, renewal(first)) == "UnableToRenew"
    assert known(pair, first) is None
    assert list(pair.store.items("service")) == []


def test_an_old_key_is_not_kept_for_renewals() -> None:
    """The record of the key before the current one goes when that one is over, and one that is over gets none."""
    pair = Pair(terms=LATE)
    second = pair.renew(renewal(pair.issuer.issue(rst(), who(PRINCIPAL)).context)).context
    pair.renew(renewal(second))
    fading = pair.store.get(("service", ENDPOINT, second.identifier, second.instance or ""))
    assert fading is not None
    assert (fading.expires, fading.renewable_late, fading.kept_until) == (NOW + 5 * MINUTE, False, None)
    late = pair.renew(renewal(pair.issuer.issue(rst(), who(PRINCIPAL)).context)).context
    pair.time.forward(HOUR)
    pair.renew(renewal(late))
    assert pair.store.get(("service", ENDPOINT, late.identifier, late.instance or "")) is None


def test_what_was_issued_before_the_switch_was_on_is_not_renewed_late() -> None:
    """Both must agree: the service when it gave the context, and the service now."""
    for then, now in ((Terms(lifetime=HOUR), LATE), (LATE, Terms(lifetime=HOUR))):
        pair = Pair(terms=then)
        first = pair.issuer.issue(rst(), who(PRINCIPAL)).context
        pair.issuer = Issuer(ENDPOINT, pair.policy, pair.store, pair.environment, terms=now)
        pair.time.forward(HOUR)
        assert refusal(pair, renewal(first)) == "UnableToRenew"


def test_a_renewal_names_the_key_that_is_renewed() -> None:
    """Without an Instance, or with that of the current key; an older one is not renewed any more."""
    pair = Pair()
    first = pair.issue()
    second = pair.renew(renewal(first)).context
    third = pair.renew(renewal(second)).context
    assert refusal(pair, renewal(second)) == "UnableToRenew"
    assert pair.renew(renewal(third)).context.identifier == first.identifier
    assert pair.renew(renewal(first)).context.identifier == first.identifier


# ------------------------------------------------------------------------------------ who renews and cancels


def endorsed(pair: Pair, request: RequestSecurityToken, *contexts: SecurityContext, name: str = "") -> None:
    """A renewal that the keys of those contexts endorse, by a principal or by nobody in particular."""
    pair.issuer.renew(request, who(name) if name else ANONYMOUS, tuple(context.key for context in contexts))


def test_the_first_key_endorses_every_renewal() -> None:
    """Metro's client has every renewal endorsed by it; the current key does too, and no other."""
    pair = Pair()
    first = pair.issuer.issue(rst(), ANONYMOUS).context
    second = pair.issuer.renew(renewal(first), ANONYMOUS, (first.key,)).context
    third = pair.issuer.renew(renewal(second), ANONYMOUS, (first.key,)).context
    assert third.first == second.first == first.key
    foreign = pair.issuer.issue(rst(), ANONYMOUS).context
    by_another = replace(third, key=replace(foreign.key, identifier=third.identifier))
    refused: list[tuple[SecurityContext, ...]] = [
        (),
        (second,),
        (foreign,),
        (by_another,),
        (first, second),
        (third, foreign),
    ]
    for contexts in refused:
        with pytest.raises(RequestRefused) as caught:
            endorsed(pair, renewal(third), *contexts)
        assert caught.value.code == "UnableToRenew"
    fourth = pair.issuer.renew(renewal(third), ANONYMOUS, (third.key,)).context
    endorsed(pair, renewal(fourth), first, fourth)


def test_an_endorsement_by_another_context_is_refused_whoever_asks() -> None:
    """Who shows a key that is not the context's means another one; without any he is believed."""
    pair = Pair()
    first, other = pair.issue(), pair.issue()
    theirs = known(pair, other)
    assert theirs is not None
    with pytest.raises(RequestRefused) as caught:
        endorsed(pair, renewal(first), theirs, name=PRINCIPAL)
    assert caught.value.code == "UnableToRenew"
    endorsed(pair, renewal(first), name=PRINCIPAL)


def test_the_first_key_is_found_for_renewals_alone() -> None:
    """The name of the current key, or of none, means that key to everything else; another name means that key alone."""
    pair = Pair()
    first = pair.issuer.issue(rst(), who(PRINCIPAL)).context
    keys = RenewalKeys(pair.issuer)
    assert keys.current(first.identifier, None) == first.key
    assert keys.first(first.identifier, None) == first.key
    assert not keys.ambiguous
    second = pair.renew(renewal(first)).context
    for name in (None, second.instance):
        keys = RenewalKeys(pair.issuer)
        assert keys.current(first.identifier, name) == second.key
        assert keys.ambiguous
        assert keys.first(first.identifier, name) == first.key
    assert keys.current(first.identifier, "other") is None
    assert keys.first(first.identifier, "other") is None
    assert keys.first("urn:uuid:unknown", None) is None
    assert known(pair, first) == second


def test_a_first_key_with_an_instance_goes_by_that_too() -> None:
    """WebSphere's contexts have one from the beginning; it names their first key for renewals, and nothing else."""
    pair = Pair()
    first = pair.issuer.issue(rst(), who(PRINCIPAL), named=True).context
    second = pair.renew(renewal(first)).context
    third = pair.renew(renewal(second)).context
    assert None not in (first.instance, second.instance, third.instance)
    keys = RenewalKeys(pair.issuer)
    assert keys.current(first.identifier, first.instance) == first.key
    assert keys.first(first.identifier, first.instance) == first.key
    assert keys.current(first.identifier, second.instance) is None
    assert not keys.ambiguous
    pair.time.forward(5 * MINUTE)
    assert known(pair, first, first.instance) is None
    endorsed(pair, renewal(third), first, name=PRINCIPAL)


def test_the_first_key_ends_with_the_context() -> None:
    """After a Cancel, and after the end, nothing is renewed by it."""
    pair = Pair()
    for end in ("cancelled", "over"):
        first = pair.issue()
        second = pair.renew(renewal(first)).context
        keys = RenewalKeys(pair.issuer)
        assert keys.first(first.identifier, None) is not None
        if end == "cancelled":
            pair.issuer.cancel(cancel(first), second)
        else:
            pair.time.forward(HOUR)
        assert keys.first(first.identifier, None) is None
        assert keys.current(first.identifier, None) is None


def test_the_first_key_survives_a_store() -> None:
    """It is part of the record, and secret like the rest of it."""
    pair = Pair()
    second = pair.renew(renewal(pair.issue())).context
    third = pair.renew(renewal(second)).context
    assert third.first is not None
    assert SecurityContext.from_bytes(b"k" * 16, third.to_bytes(b"k" * 16)) == third
    assert repr(third.first.secret)[2:-1] not in repr(third)


def cancel(context: SecurityContext) -> RequestSecurityToken:
    """A request to cancel a context."""
    target = TokenReference(context.identifier, None, context.instance)
    return RequestSecurityToken(wst=WST_200512, request_type=RequestType.CANCEL, target=target)


def test_a_context_is_cancelled_by_its_principal_without_its_key() -> None:
    """As CXF's client does it, where that is tolerated; by nobody else, and never by somebody unknown."""
    pair = Pair()
    first = pair.issue()
    unknown = replace(first, key=replace(first.key, identifier="urn:uuid:unknown"))
    refusals = []
    for target, principal in (
        (first, who("CN=client2,O=Test")),
        (first, ANONYMOUS),
        (unknown, who(PRINCIPAL)),
    ):
        with pytest.raises(RequestRefused) as caught:
            pair.issuer.cancel_of(cancel(target), principal)
        refusals.append((caught.value.code, caught.value.message))
    assert len(set(refusals)) == 1
    assert refusals[0][0] == "RequestFailed"
    assert known(pair, first) is not None
    assert pair.issuer.cancel_of(cancel(first), who(PRINCIPAL)).cancelled
    assert known(pair, first) is None
    assert list(pair.store.items("service")) == []


def test_an_anonymous_context_is_cancelled_by_its_key() -> None:
    """Where the bootstrap says nothing of who asks, an endorsement by the context does."""
    pair = Pair()
    mine, other = (pair.issuer.issue(rst(), ANONYMOUS).context for _ in range(2))
    for keys in ((), (other.key,)):
        with pytest.raises(RequestRefused):
            pair.issuer.cancel_of(cancel(mine), ANONYMOUS, keys)
    assert pair.issuer.cancel_of(cancel(mine), ANONYMOUS, (mine.key,)).cancelled
    assert known(pair, mine) is None
    assert known(pair, other) is not None


def test_a_request_about_nothing_cancels_nothing() -> None:
    """Another type of request, and one without a target, are InvalidRequest."""
    pair = Pair()
    first = pair.issue()
    for request in (replace(cancel(first), target=None), renewal(first)):
        with pytest.raises(RequestRefused) as caught:
            pair.issuer.cancel_of(request, who(PRINCIPAL))
        assert caught.value.code == "InvalidRequest"
    assert pair.issuer.cancel_of(cancel(first), who(PRINCIPAL)).cancelled
