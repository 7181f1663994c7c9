"""System policies: how requests to the trust service itself are secured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.messages import SIGNED, asymmetric, symmetric
from tests.unit.parties import identity, trust
from tests.unit.service.peer import INVALID, Application, Peer
from tests.unit.service.test_endpoint import for_user, supporting
from zeep_secureconv import Algorithms, ConfigurationError, Policy, PolicyError, SecurityContext, SuiteChanges
from zeep_secureconv import UsernameToken as Username
from zeep_secureconv.conversation.policies import ExchangePolicy, conversation_policy
from zeep_secureconv.names import SOAP11, WSA_2004, WSC_2005
from zeep_secureconv.policy import SUITES, EndpointPolicy, Parts, SymmetricBinding
from zeep_secureconv.policy.model import HeaderPart, Layout, SecureConversationToken, UsernameToken
from zeep_secureconv.policy.presets import preset
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.users import Users
from zeep_secureconv.soap.envelope import Soap, parse, serialize

BY_BOOTSTRAP, BY_CONTEXT = "TrustServiceSecurityDefault", "TrustServiceSymmetricDefault"
WEBSPHERE = {"issue": BY_BOOTSTRAP, "renew": BY_BOOTSTRAP, "cancel": BY_CONTEXT, "validate": BY_CONTEXT}


def service(policy: Any, **options: Any) -> SecureConversationMiddleware:
    """A service that starts, or does not."""
    usual: dict[str, Any] = {"identity": identity("server"), "trust": trust()}
    return SecureConversationMiddleware(Application(), policy=policy, **(usual | options))


def refused(policy: Any, system: dict[str, Any], **options: Any) -> PolicyError:
    """Why a service does not start; without its system policies it does."""
    service(policy, **options)
    with pytest.raises(PolicyError) as caught:
        service(policy, system_policies=system, **options)
    assert caught.value.hint
    return caught.value


def cancel(peer: Peer, context: SecurityContext, exchange: ExchangePolicy) -> bytes:
    """A Cancel that is secured in one of the ways."""
    conversation = replace(peer.conversation, cancel=exchange, cancel_in_full=exchange)
    return serialize(peer.initiator.ask_cancel(context, conversation, peer.ring, peer.dialect).soap.envelope)


# ------------------------------------------------------------------------------------------------- WebSphere


@pytest.mark.parametrize("kind", ["", " SHA256", " (draft)", " SHA256 (draft)"])
def test_websphere_s_sets_fit_each_other(kind: str) -> None:
    """Its trust service's sets are those for its application set, of each strength and generation."""
    system = {name: f"{policy}{kind}" for name, policy in WEBSPHERE.items()}
    service(f"SecureConversation{kind}", system_policies=system)
    peer = Peer(
        policy=replace(preset(f"SecureConversation{kind}").policy(), soap=SOAP11), system_policies=system
    )
    context = peer.issue()
    assert peer.call(context)[0] == 200
    status, _, content = peer.post(cancel(peer, context, peer.conversation.cancel_in_full), "")
    assert status == 200, content
    assert list(peer.middleware._store.items("service")) == []


@pytest.mark.parametrize("name", ["issue", "renew"])
def test_a_set_of_another_strength_is_refused_by_name(name: str) -> None:
    """A trust service left behind when the bootstrap policy was changed is told at the start, with the assertion."""
    error = refused("SecureConversation", {name: f"{BY_BOOTSTRAP} SHA256"})
    assert (
        "sp:AlgorithmSuite in sp:AsymmetricBinding: sp:Basic128Sha256Rsa15 in the policy of "
        f"{name}, sp:Basic128Rsa15 in the bootstrap policy" in error.message
    )
    assert name in (error.hint or "")


def test_the_policy_of_the_bootstrap_itself_is_a_mirror(tmp_path: Path) -> None:
    """It may be given as a document of its own, as WebSphere has it, or as a policy."""
    application = preset("SecureConversation").policy()
    token = application.endpoint.conversation_token
    assert token is not None
    assert token.bootstrap is not None
    alone = EndpointPolicy(endpoint=token.bootstrap, response=token.bootstrap_response)
    text = preset(BY_BOOTSTRAP).document().decode()
    start = text.index("<sp:BootstrapPolicy>") + len("<sp:BootstrapPolicy>")
    inner = text[start : text.index("</sp:BootstrapPolicy>")]
    names = text[text.index("xmlns:wsp") : text.index(">", text.index("xmlns:wsp"))]
    path = tmp_path / "policy.xml"
    path.write_text(inner.replace("<wsp:Policy>", f"<wsp:Policy {names}>", 1).replace("bootstrap_", "app_"))
    for source in (alone, token.bootstrap, path, str(path)):
        service(application, system_policies={"issue": source, "renew": source})
    path.write_text(path.read_text().replace("<sp:IncludeTimestamp/>", ""))
    assert "sp:IncludeTimestamp" in refused(application, {"issue": path}).message


# -------------------------------------------------------------------------------------------------- mirrors

_APPLICATION = EndpointPolicy(endpoint=symmetric(bootstrap=asymmetric()))


def changed(**changes: Any) -> Policy:
    """The bootstrap with a changed binding."""
    policy = asymmetric()
    assert policy.binding is not None
    return replace(policy, binding=replace(policy.binding, **changes))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (
            changed(layout=Layout.LAX_TIMESTAMP_LAST),
            "sp:Layout in sp:AsymmetricBinding: LaxTsLast in the policy",
        ),
        (changed(algorithm_suite=SUITES["Basic256"]), "sp:Basic256 in the policy of issue, sp:Basic128 in"),
        (changed(encrypt_signature=True), "sp:EncryptSignature in sp:AsymmetricBinding: there in the policy"),
        (
            replace(asymmetric(), signed=SIGNED | Parts(headers=(HeaderPart(namespace=WSA_2004),))),
            "sp:SignedParts: sp:Header " + WSA_2004,
        ),
        (
            for_user().endpoint,
            "the binding: sp:TransportBinding in the policy of issue, sp:AsymmetricBinding",
        ),
        (
            replace(asymmetric(), supporting=supporting(UsernameToken(), signed=True)),
            "the supporting tokens: signed sp:UsernameToken",
        ),
    ],
)
def test_what_differs_is_named(policy: Policy, said: str) -> None:
    """The assertion, what the one says and what the other."""
    service(_APPLICATION, system_policies={"issue": asymmetric()})
    assert said in refused(_APPLICATION, {"issue": policy}).message


def test_what_the_bootstrap_has_in_any_case_may_be_missing() -> None:
    """The Body is signed and encrypted whatever a bootstrap policy says; a policy that says so is no other one."""
    bare = replace(asymmetric(), signed=replace(SIGNED, body=False), encrypted=Parts())
    assert bare != asymmetric()
    service(_APPLICATION, system_policies={"issue": bare})


def test_the_answers_count_too() -> None:
    """A policy whose answers differ does not mirror the bootstrap."""
    other = EndpointPolicy(endpoint=asymmetric(), response=changed(include_timestamp=False))
    assert "sp:IncludeTimestamp" in refused(_APPLICATION, {"renew": other}).message


def test_every_alternative_has_its_mirror() -> None:
    """Of a published policy with alternatives each needs one, and none may be without its counterpart."""
    users = Users({"alice": "wonderland"})
    published = (_APPLICATION, for_user())
    token = for_user().endpoint.conversation_token
    assert token is not None
    by_name = EndpointPolicy(endpoint=token.bootstrap or Policy())
    both = (by_name, EndpointPolicy(endpoint=asymmetric()))
    service(published, system_policies={"issue": both}, authenticate=users)
    refused(published, {"issue": both[:1]}, authenticate=users)
    refused(_APPLICATION, {"issue": both}, authenticate=users)


def test_what_was_agreed_on_holds_for_system_policies_too() -> None:
    """algorithms= changes the bootstrap of the application and its mirror alike."""
    agreed = Algorithms(bootstrap=SuiteChanges(digest="sha256"))
    for source in (asymmetric(), _APPLICATION):
        service(_APPLICATION, system_policies={"issue": source}, algorithms=agreed)
        already = agreed.apply(_APPLICATION)
        service(already, system_policies={"issue": source}, algorithms=agreed)
        assert "digest" in refused(already, {"issue": source}).message


@pytest.mark.parametrize("source", [Policy(), symmetric()])
def test_a_policy_without_a_way_to_ask_is_none(source: Policy) -> None:
    """One that secures nothing, or has a context already, does not say how to ask for the first one."""
    refused(_APPLICATION, {"issue": source})


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ({"amend": BY_CONTEXT}, "amend"),
        ({"issue": "/nowhere.xml"}, "nowhere"),
        ({"cancel": "No Such Set"}, "No"),
    ],
)
def test_what_is_no_operation_or_policy_is_told(system: dict[str, Any], said: str) -> None:
    """Amend is none; a file or preset that does not exist neither."""
    service(_APPLICATION, system_policies={})
    with pytest.raises(ConfigurationError, match=said):
        service(_APPLICATION, system_policies=system)


# -------------------------------------------------------------------------------------- cancel and validate


def test_a_system_policy_replaces_the_usual_ways() -> None:
    """A Cancel is taken as its policy says, and no longer as it was without one."""
    usual = Peer()
    strict = conversation_policy(_APPLICATION).cancel_in_full
    ways = {"in clear": usual.conversation.cancel, "in full": strict}
    for name, exchange in ways.items():
        peer = Peer()
        assert peer.post(cancel(peer, peer.issue(), exchange), "")[0] == 200
        peer = Peer(system_policies={"cancel": symmetric()})
        body = cancel(peer, peer.issue(), exchange)
        if name == "in full":
            assert peer.post(body, "")[0] == 200
        else:
            assert peer.refused(body, "") == INVALID


def test_only_its_own_operation_is_changed() -> None:
    """A policy for Validate says nothing of Cancel."""
    peer = Peer(system_policies={"validate": symmetric()})
    assert peer.post(cancel(peer, peer.issue(), peer.conversation.cancel), "")[0] == 200


def test_the_body_of_a_cancel_is_signed_in_any_case() -> None:
    """A system policy that forgets it is not taken at its word."""
    careless = replace(symmetric(), signed=Parts(), encrypted=Parts())
    peer = Peer(system_policies={"cancel": careless})
    unsigned = ExchangePolicy(request=careless, response=careless)
    assert peer.refused(cancel(peer, peer.issue(), unsigned), "") == INVALID
    signed = replace(careless, signed=Parts(body=True))
    assert (
        peer.post(cancel(peer, peer.issue(), ExchangePolicy(request=signed, response=signed)), "")[0] == 200
    )


def test_a_system_policy_may_want_a_user() -> None:
    """A token that it asks for is demanded and checked; nothing checks it, nothing starts."""
    wanting = replace(symmetric(), supporting=supporting(UsernameToken(), signed=True, encrypted=True))
    exchange = ExchangePolicy(request=wanting, response=symmetric())
    users = Users({"alice": "wonderland"})
    with pytest.raises(ConfigurationError, match="UsernameToken"):
        service(_APPLICATION, system_policies={"cancel": wanting})
    for password, status in (("wrong", 500), ("wonderland", 200)):
        tokens = (Username("alice", password),)
        peer = Peer(system_policies={"cancel": wanting}, authenticate=users, tokens=tokens)
        context = peer.issue()
        assert peer.refused(cancel(peer, context, peer.conversation.cancel), "") == INVALID
        assert peer.post(cancel(peer, context, exchange), "")[0] == status


@pytest.mark.parametrize("name", ["cancel", "validate"])
@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (asymmetric(), "SecureConversationToken"),
        (symmetric("Basic256"), "sp:AlgorithmSuite: sp:Basic256 in the policy of {}, sp:Basic128"),
        (
            EndpointPolicy(endpoint=symmetric(), response=asymmetric()),
            "SecureConversationToken",
        ),
    ],
)
def test_a_policy_for_other_contexts_is_refused(name: str, policy: Any, said: str) -> None:
    """Without a context, or for contexts of another algorithm suite."""
    service(_APPLICATION, system_policies={name: symmetric()})
    assert said.format(name) in refused(_APPLICATION, {name: policy}).message


def test_a_policy_for_contexts_of_the_draft_is_refused() -> None:
    """The kind of token is that of the application's contexts."""
    policy = symmetric()
    assert isinstance(policy.binding, SymmetricBinding)
    token = SecureConversationToken(wsc=WSC_2005)
    draft = replace(policy, binding=replace(policy.binding, signature_token=token, encryption_token=token))
    assert "SecurityContextToken" in refused(_APPLICATION, {"cancel": draft}).message


def test_answers_are_secured_by_the_system_policy() -> None:
    """The answer to a Cancel is what its policy says of answers."""
    answers = replace(symmetric(), encrypted=Parts())
    both = EndpointPolicy(endpoint=symmetric(), response=answers)
    for system, encrypted in ((symmetric(), True), (both, False)):
        peer = Peer(system_policies={"cancel": system})
        status, _, content = peer.post(
            cancel(peer, peer.issue(), conversation_policy(_APPLICATION).cancel_in_full), ""
        )
        assert status == 200
        payload = Soap.of(parse(content, peer.environment.limits)).payload
        assert payload is not None
        assert str(payload.tag).endswith("EncryptedData") == encrypted
