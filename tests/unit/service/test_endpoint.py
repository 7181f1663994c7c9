"""Who a message is from, and which of the published alternatives it satisfies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.messages import SIGNED, asymmetric, symmetric
from tests.unit.parties import CLIENT, identity, trust
from tests.unit.service.peer import INVALID, Application, Peer
from zeep_secureconv import (
    Algorithms,
    ConfigurationError,
    Limits,
    LtpaToken,
    Policy,
    PolicyError,
    SecurityContext,
    UsernameToken,
    XmlToken,
)
from zeep_secureconv.conversation.policies import conversation_policy
from zeep_secureconv.names import SOAP12, WSSE
from zeep_secureconv.policy import (
    SUITES,
    DerivedKeys,
    Direction,
    EndpointPolicy,
    OperationPolicy,
    Parts,
    SecureConversationToken,
    SymmetricBinding,
    X509Token,
)
from zeep_secureconv.policy.model import (
    HttpsToken,
    PasswordForm,
    SuppliedToken,
    SupportingToken,
    TransportBinding,
)
from zeep_secureconv.policy.model import UsernameToken as UsernamePolicy
from zeep_secureconv.service.middleware import SecureConversationMiddleware
from zeep_secureconv.service.users import DemoUsers, Users
from zeep_secureconv.soap.envelope import Soap, new_envelope, parse, serialize
from zeep_secureconv.soap.faults import read_fault
from zeep_secureconv.trust import RequestSecurityToken, RequestType, TokenReference, request_to_xml
from zeep_secureconv.wss.certificates import holder
from zeep_secureconv.wss.credentials import Credential, ReceivedToken
from zeep_secureconv.wss.protect import protect

UNAUTHENTICATED = f"{{{WSSE}}}FailedAuthentication"
USERS = Users({"alice": "wonderland", "bob": "builder"})
ALICE = UsernameToken("alice", "wonderland")
_LTPA = SuppliedToken(
    assertion="{urn:sp}LTPA", accepts=frozenset({"{http://www.ibm.com/websphere/appserver/tokentype}LTPAv2"})
)


def supporting(token: Any, **options: Any) -> tuple[SupportingToken, ...]:
    """One supporting token."""
    return (SupportingToken(token=token, **options),)


def over_tls(*tokens: SupportingToken, bootstrap: Policy | None = None) -> Policy:
    """A policy over TLS; with a bootstrap a context endorses its messages."""
    if bootstrap is not None:
        conversation = SecureConversationToken(bootstrap=bootstrap)
        tokens = (SupportingToken(token=conversation, endorsing=True), *tokens)
    binding = TransportBinding(
        transport_token=HttpsToken(), algorithm_suite=SUITES["Basic128"], include_timestamp=True
    )
    return Policy(binding=binding, supporting=tokens)


def over_certificate(*tokens: SupportingToken) -> Policy:
    """A bootstrap under a key that is encrypted to the service."""
    token = X509Token(derived_keys=DerivedKeys.EXPLICIT)
    binding = SymmetricBinding(
        signature_token=token,
        encryption_token=token,
        algorithm_suite=SUITES["Basic128"],
        include_timestamp=True,
    )
    return Policy(binding=binding, signed=SIGNED, encrypted=Parts(body=True), supporting=tokens)


def for_user(form: PasswordForm = PasswordForm.TEXT) -> EndpointPolicy:
    """An endpoint whose contexts are for users, over TLS."""
    bootstrap = over_tls(*supporting(UsernamePolicy(password=form)))
    return EndpointPolicy(endpoint=over_tls(bootstrap=bootstrap))


def fault_of(answer: tuple[int, dict[str, str], bytes]) -> tuple[str | None, str]:
    """(code, text without the number) of the fault in an answer."""
    fault = read_fault(Soap.of(parse(answer[2], Limits())))
    return fault.code, fault.text.partition(" [")[0]


# --------------------------------------------------------------------------------------------- principals


@pytest.mark.parametrize("form", [PasswordForm.TEXT, PasswordForm.DIGEST])
def test_a_user_is_the_principal_of_his_context(form: PasswordForm) -> None:
    """Without certificates a context belongs to the user who asked for it, by password or digest."""
    peer = Peer(policy=for_user(form), tokens=(ALICE,), https=True, authenticate=USERS)
    context = peer.issue()
    assert peer.call(context)[0] == 200
    (environ,) = peer.app.asked
    assert environ["zeep_secureconv.principal"] == "alice"
    assert environ["zeep_secureconv.context"].owner == "user=alice"
    assert environ["zeep_secureconv.username"] is None


@pytest.mark.parametrize("form", [PasswordForm.TEXT, PasswordForm.DIGEST])
def test_unknown_users_and_wrong_passwords_look_alike(form: PasswordForm) -> None:
    """Both get the fault for failed authentication, with the same text, and no context."""
    answers = []
    for user in (UsernameToken("alice", "wrong"), UsernameToken("mallory", "wonderland")):
        peer = Peer(policy=for_user(form), tokens=(user,), https=True, authenticate=USERS)
        answers.append(fault_of(peer.post(peer.ask(), peer.exchange.action)))
        assert list(peer.middleware._store.items("service")) == []
    assert answers[0] == answers[1]
    assert answers[0][0] == UNAUTHENTICATED
    Peer(policy=for_user(form), tokens=(ALICE,), https=True, authenticate=USERS).issue()


def test_a_key_made_from_a_password_proves_its_user() -> None:
    """Where the bootstrap is secured by a key made from the password, the one who knows it is the principal."""
    token = UsernamePolicy(derived_keys=DerivedKeys.EXPLICIT)
    binding = SymmetricBinding(
        signature_token=token,
        encryption_token=token,
        algorithm_suite=SUITES["Basic128"],
        include_timestamp=True,
    )
    bootstrap = Policy(binding=binding, signed=SIGNED, encrypted=Parts(body=True))
    policy = EndpointPolicy(endpoint=symmetric(bootstrap=bootstrap))
    peer = Peer(policy=policy, tokens=(ALICE,), authenticate=USERS)
    peer.call(peer.issue())
    assert peer.app.asked[0]["zeep_secureconv.context"].owner == "user=alice"
    for user in (UsernameToken("alice", "wrong"), UsernameToken("mallory", "wonderland")):
        wrong = Peer(policy=policy, tokens=(user,), authenticate=USERS)
        assert wrong.refused(wrong.ask(), wrong.exchange.action) == INVALID
    empty = Peer(policy=policy, tokens=(UsernameToken("alice", ""),), authenticate=Users({"alice": ""}))
    assert empty.refused(empty.ask(), empty.exchange.action) == INVALID


def test_check_goes_before_password() -> None:
    """An object that can check a password itself is asked to, and need not know any."""

    class Checks:
        def check(self, name: str, password: str) -> bool:
            return (name, password) == ("alice", "by hash")

    peer = Peer(
        policy=for_user(), tokens=(UsernameToken("alice", "by hash"),), https=True, authenticate=Checks()
    )
    assert peer.call(peer.issue())[0] == 200
    other = Peer(policy=for_user(), tokens=(ALICE,), https=True, authenticate=Checks())
    assert fault_of(other.post(other.ask(), other.exchange.action))[0] == UNAUTHENTICATED


def test_an_empty_password_is_none() -> None:
    """Directories may say yes to a login without a password, and a user may have none yet: neither lets anybody in."""

    class Directory:
        def check(self, name: str, password: str) -> bool:
            return (name, password) in (("alice", "x"), ("alice", ""))

    for form, authenticate in (
        (PasswordForm.TEXT, Directory()),
        (PasswordForm.TEXT, Users({"alice": "x", "bob": ""})),
        (PasswordForm.DIGEST, Users({"alice": "x", "bob": ""})),
    ):
        known = UsernameToken("alice", "x")
        peer = Peer(policy=for_user(form), tokens=(known,), https=True, authenticate=authenticate)
        assert peer.call(peer.issue())[0] == 200
        for name in ("alice", "bob"):
            empty = UsernameToken(name, "")
            other = Peer(policy=for_user(form), tokens=(empty,), https=True, authenticate=authenticate)
            assert fault_of(other.post(other.ask(), other.exchange.action))[0] == UNAUTHENTICATED


def test_a_name_without_a_password_is_nobodys() -> None:
    """Where the policy wants no password, whoever gives a name may be anybody: the context is nobody's."""
    tokens = (UsernameToken("alice"),)
    peer = Peer(policy=for_user(PasswordForm.NONE), tokens=tokens, https=True, authenticate=USERS)
    peer.call(peer.issue())
    (environ,) = peer.app.asked
    assert environ["zeep_secureconv.principal"] is None
    assert environ["zeep_secureconv.context"].owner == "anonymous"


def test_the_owner_of_a_token_is_the_principal() -> None:
    """What this library only carries the service's people judge; what they do not believe is refused."""

    class Judge:
        def token(self, received: ReceivedToken) -> str | None:
            assert received.kind in _LTPA.accepts
            return "ltpa-user" if received.element.text == "R09PRA==" else None

    policy = EndpointPolicy(endpoint=over_tls(bootstrap=over_tls(*supporting(_LTPA))))
    good = Peer(policy=policy, tokens=(LtpaToken("R09PRA=="),), https=True, authenticate=Judge())
    good.call(good.issue())
    assert good.app.asked[0]["zeep_secureconv.principal"] == "ltpa-user"
    assert good.app.asked[0]["zeep_secureconv.context"].owner == "token=ltpa-user"
    bad = Peer(policy=policy, tokens=(LtpaToken("QkFE"),), https=True, authenticate=Judge())
    assert fault_of(bad.post(bad.ask(), bad.exchange.action))[0] == UNAUTHENTICATED


def test_a_user_goes_before_an_endorsing_certificate() -> None:
    """The principal bears the user's name, and the context belongs to user and certificate together."""
    tokens = (
        *supporting(X509Token(), endorsing=True),
        *supporting(UsernamePolicy(), signed=True, encrypted=True),
    )
    policy = EndpointPolicy(endpoint=symmetric(bootstrap=over_certificate(*tokens)))
    peer = Peer(policy=policy, tokens=(ALICE,), authenticate=USERS)
    peer.call(peer.issue())
    held = peer.app.asked[0]["zeep_secureconv.context"]
    assert (held.principal, held.owner) == ("alice", f"user=alice {holder(CLIENT.make())}")
    wrong = Peer(policy=policy, tokens=(UsernameToken("alice", "wrong"),), authenticate=USERS)
    assert wrong.refused(wrong.ask(), wrong.exchange.action) == UNAUTHENTICATED


def test_who_is_called_like_a_certificate_is_somebody_else() -> None:
    """Users, holders of tokens and of certificates are told apart, whatever their names."""
    subject = holder(CLIENT.make())
    users = Users({subject: "x"})
    peer = Peer(policy=for_user(), tokens=(UsernameToken(subject, "x"),), https=True, authenticate=users)
    peer.call(peer.issue())
    assert peer.app.asked[0]["zeep_secureconv.context"].owner == f"user={subject}"


# --------------------------------------------------------------------------------------- users of a call


def calling(*tokens: SupportingToken) -> EndpointPolicy:
    """An endpoint whose calls carry tokens, and whose contexts are for certificates."""
    return EndpointPolicy(endpoint=symmetric(bootstrap=asymmetric(), supporting=tokens))


def test_a_call_may_name_a_user_who_does_not_become_the_principal() -> None:
    """The context stays its principal's; the user of the call is told beside."""
    policy = calling(*supporting(UsernamePolicy(), signed=True, encrypted=True))
    peer = Peer(policy=policy, tokens=(UsernameToken("bob", "builder"),), authenticate=USERS)
    assert peer.call(peer.issue())[0] == 200
    (environ,) = peer.app.asked
    assert environ["zeep_secureconv.principal"] == "CN=client,O=Test"
    assert environ["zeep_secureconv.username"] == "bob"


def test_the_user_of_a_call_is_checked_every_time() -> None:
    """A wrong password in a call is refused, however good the context is, and the application sees nothing."""
    policy = calling(*supporting(UsernamePolicy(), signed=True, encrypted=True))
    peer = Peer(policy=policy, tokens=(UsernameToken("bob", "builder"),), authenticate=USERS)
    context = peer.issue()
    assert peer.call(context)[0] == 200
    peer.ring = replace(peer.ring, tokens=(UsernameToken("bob", "guess"),))
    soap, _ = peer.secured(context)
    assert peer.refused(serialize(soap.envelope)) == UNAUTHENTICATED


def test_a_call_without_its_user_is_refused() -> None:
    """The token that the policy wants in calls cannot be left out."""
    policy = calling(*supporting(UsernamePolicy(), signed=True, encrypted=True))
    peer = Peer(policy=policy, tokens=(UsernameToken("bob", "builder"),), authenticate=USERS)
    context = peer.issue()
    soap, _ = peer.secured(context, policy=replace(peer.conversation.application, supporting=()))
    assert peer.refused(serialize(soap.envelope)) == INVALID
    assert peer.call(context)[0] == 200


# ------------------------------------------------------------------------------------------------- start


class _Checks:
    def check(self, name: str, password: str) -> bool:
        return bool(name and password)


@pytest.mark.parametrize(
    ("policy", "options", "error", "said"),
    [
        (for_user(), {}, ConfigurationError, "UsernameToken"),
        (for_user(PasswordForm.DIGEST), {}, ConfigurationError, "UsernameToken"),
        (for_user(PasswordForm.DIGEST), {"authenticate": _Checks()}, PolicyError, "digests"),
        (calling(*supporting(_LTPA)), {"authenticate": USERS}, ConfigurationError, "LTPA"),
        (calling(*supporting(UsernamePolicy())), {}, ConfigurationError, "UsernameToken"),
        (calling(), {"trust": None}, ConfigurationError, "which clients to trust"),
        (calling(), {"identity": None}, ConfigurationError, "AsymmetricBinding"),
        (calling(), {"algorithms": Algorithms(minimum="sha256")}, PolicyError, "Basic128"),
    ],
)
def test_what_a_service_lacks_is_told_at_its_start(
    policy: EndpointPolicy, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    """A service that could not check its clients does not start; it says which assertion wants what."""
    everything: dict[str, Any] = {
        "policy": policy,
        "identity": identity("server"),
        "trust": trust(),
        "authenticate": DemoUsers(),
    }
    SecureConversationMiddleware(Application(), **everything)
    del everything["authenticate"]
    with pytest.raises(error, match=said) as caught:
        SecureConversationMiddleware(Application(), **(everything | options))
    assert getattr(caught.value, "hint", None)


def test_over_tls_alone_a_service_needs_no_certificates() -> None:
    """Where TLS does everything the service has neither identity nor trust of its own."""
    peer = Peer(policy=for_user(), tokens=(ALICE,), https=True, authenticate=USERS, identity=None, trust=None)
    assert peer.call(peer.issue())[0] == 200


def test_a_policy_for_tls_is_for_tls() -> None:
    """Messages of a policy that leaves security to TLS are refused over http, whatever headers say."""
    peer = Peer(policy=for_user(), tokens=(ALICE,), https=True, authenticate=USERS)
    context = peer.issue()
    for environ in ({}, {"HTTP_X_FORWARDED_PROTO": "https"}):
        body = peer.ask()
        plain = {"wsgi.url_scheme": "http", **environ}
        assert peer.refused(body, peer.exchange.action, **plain) == INVALID
        soap, _ = peer.secured(context)
        assert peer.refused(serialize(soap.envelope), **plain) == INVALID
    assert peer.call(context)[0] == 200


@pytest.mark.parametrize(
    ("token", "environ"),
    [
        (HttpsToken(require_client_certificate=True), {"SSL_CLIENT_VERIFY": "SUCCESS"}),
        (HttpsToken(http_basic_authentication=True), {"AUTH_TYPE": "Basic", "REMOTE_USER": "alice"}),
    ],
)
def test_what_tls_or_http_must_have_seen_to_is_checked(token: HttpsToken, environ: dict[str, str]) -> None:
    """A policy that knows clients by TLS or HTTP takes the HTTP server's word for it, and nobody else's."""
    binding = TransportBinding(
        transport_token=token, algorithm_suite=SUITES["Basic128"], include_timestamp=True
    )
    policy = EndpointPolicy(endpoint=over_tls(bootstrap=Policy(binding=binding)))
    peer = Peer(policy=policy, https=True)
    pretended = {f"HTTP_{name}": value for name, value in environ.items()}
    assert peer.refused(peer.ask(), peer.exchange.action, **pretended) == INVALID
    partly = {name: value for name, value in environ.items() if name == "REMOTE_USER"}
    assert peer.refused(peer.ask(), peer.exchange.action, **partly) == INVALID
    assert peer.post(peer.ask(), peer.exchange.action, **environ)[0] == 200


# ---------------------------------------------------------------------------------------- alternatives

_CERTIFICATES = EndpointPolicy(endpoint=symmetric(bootstrap=asymmetric()))


def test_any_published_alternative_is_accepted() -> None:
    """Clients of every alternative get contexts, each under its own, and call."""
    published = (_CERTIFICATES, for_user())
    for policy, principal in zip(published, ("CN=client,O=Test", "alice"), strict=True):
        peer = Peer(policy=policy, published=published, tokens=(ALICE,), https=True, authenticate=USERS)
        assert peer.call(peer.issue())[0] == 200
        assert peer.app.asked[0]["zeep_secureconv.principal"] == principal


def test_no_other_alternative_is_accepted() -> None:
    """What satisfies none of the published alternatives is refused, though a service might publish it."""
    signed_only = EndpointPolicy(endpoint=symmetric(bootstrap=asymmetric(), encrypted=Parts()))
    peer = Peer(policy=signed_only, published=(_CERTIFICATES, for_user()), authenticate=USERS)
    soap, _ = peer.secured(peer.issue())
    assert peer.refused(serialize(soap.envelope)) == INVALID
    peer.policy = _CERTIFICATES
    peer.conversation = conversation_policy(_CERTIFICATES)
    assert peer.call(peer.issue())[0] == 200


def test_a_context_is_for_the_alternative_that_it_was_asked_for_by() -> None:
    """Who got a context as one party of the policy does not use it under the alternative of another."""
    peer = Peer(
        policy=for_user(),
        published=(_CERTIFICATES, for_user()),
        tokens=(ALICE,),
        https=True,
        authenticate=USERS,
    )
    context = peer.issue()
    soap, _ = peer.secured(context, policy=_CERTIFICATES.endpoint)
    assert peer.refused(serialize(soap.envelope)) == INVALID
    assert peer.call(context)[0] == 200


def test_alternatives_that_ask_alike_for_contexts_share_them() -> None:
    """Where alternatives differ in calls alone, a bootstrap does not say which is meant: all may be used."""
    older = EndpointPolicy(endpoint=symmetric("Basic128Sha256", bootstrap=asymmetric()))
    peer = Peer(policy=_CERTIFICATES, published=(older, _CERTIFICATES))
    context = peer.issue()
    assert peer.call(context)[0] == 200
    peer.policy, peer.conversation = older, conversation_policy(older)
    assert peer.call(context)[0] == 200


def test_a_message_is_taken_once_whatever_alternative_it_satisfies() -> None:
    """A replay is refused under every alternative, of a request for a context and of a call."""
    published = (for_user(), _CERTIFICATES)
    for policy in published:
        peer = Peer(policy=policy, published=published, tokens=(ALICE,), https=True, authenticate=USERS)
        body = peer.ask()
        if (
            policy is _CERTIFICATES
        ):  # over TLS nothing of the bootstrap is signed, and its nonce is not wanted
            assert peer.post(body, peer.exchange.action)[0] == 200
            assert peer.refused(body, peer.exchange.action) == INVALID
        soap, _ = peer.secured(peer.issue())
        assert peer.post(serialize(soap.envelope), "urn:test:a")[0] == 200
        assert peer.refused(serialize(soap.envelope)) == INVALID


def test_too_many_alternatives_are_refused() -> None:
    """A message would be tried under each."""
    with pytest.raises(ConfigurationError, match="alternatives"):
        Peer(published=(_CERTIFICATES,) * 17)
    Peer(published=(_CERTIFICATES,) * 16)


# --------------------------------------------------------------------------------------------- renewals


def renewal(peer: Peer, context: SecurityContext, *, endorsed: bool) -> bytes:
    """A request to renew a context."""
    dialect = peer.dialect
    request = RequestSecurityToken(
        wst=dialect.wst,
        request_type=RequestType.RENEW,
        target=TokenReference(context.identifier, f"{dialect.wsc}/sct", context.instance),
    )
    soap = new_envelope(peer.conversation.soap)
    soap.body.append(request_to_xml(request, dialect))
    policy = peer.conversation.bootstrap.request
    if endorsed:
        entry = SupportingToken(token=SecureConversationToken(), endorsing=True)
        policy = replace(policy, supporting=(*policy.supporting, entry))
    ring = replace(peer.ring, context=context.key)
    protect(soap, policy, ring, peer.environment, direction=Direction.REQUEST)
    return serialize(soap.envelope)


def test_an_anonymous_context_is_renewed_by_its_key_alone() -> None:
    """Nobody in particular holds it, so a renewal that its key does not endorse could be anybody's."""
    peer = Peer(policy=EndpointPolicy(endpoint=symmetric(bootstrap=over_certificate())))
    context = peer.issue()
    action = peer.dialect.action(RequestType.RENEW, Direction.REQUEST)
    assert action is not None
    assert peer.refused(renewal(peer, context, endorsed=False), action).endswith("}UnableToRenew")
    other = peer.issue()
    by_other = replace(context, key=replace(other.key, identifier=context.identifier))
    assert peer.refused(renewal(peer, by_other, endorsed=True), action).endswith("}UnableToRenew")
    assert peer.post(renewal(peer, context, endorsed=True), action)[0] == 200


def test_the_holder_of_a_certificate_renews_without_the_key() -> None:
    """WebSphere and CXF renew with the bootstrap alone, which says who asks."""
    peer = Peer()
    action = peer.dialect.action(RequestType.RENEW, Direction.REQUEST)
    assert action is not None
    assert peer.post(renewal(peer, peer.issue(), endorsed=False), action)[0] == 200


# ---------------------------------------------------------------------------------- calls without action


def contract(*names: str, **changes: Policy) -> EndpointPolicy:
    """An endpoint with operations of these names, whose Body holds the name."""
    policy = symmetric(bootstrap=asymmetric())
    operations = {
        name: OperationPolicy(
            name=name,
            actions=frozenset({f"urn:test:{name}"}),
            input_element=name.rstrip("2"),
            has_output=True,
            request=changes.get(name, policy),
            response=policy,
            fault=policy,
        )
        for name in names
    }
    return EndpointPolicy(endpoint=policy, operations=operations, soap=SOAP12)


def without_action(peer: Peer, content: str) -> bytes:
    """A call with no addressing header."""
    text = f'<s:Envelope xmlns:s="{SOAP12}"><s:Header/><s:Body>{content}</s:Body></s:Envelope>'
    soap = Soap.of(parse(text.encode(), Limits()))
    ring = replace(peer.ring, context=peer.issue().key)
    protect(soap, peer.conversation.application, ring, peer.environment, direction=Direction.REQUEST)
    return serialize(soap.envelope)


def test_the_body_names_the_operation_where_nothing_else_does() -> None:
    """Clients of SOAP 1.2 may send neither action nor addressing; the verified Body says what they want."""
    peer = Peer(soap=SOAP12, policy=contract("a", "b"))
    assert peer.post(without_action(peer, "<b/>"), "")[0] == 200
    assert peer.app.asked[0]["zeep_secureconv.action"] == "urn:test:b"
    assert peer.app.asked[0]["HTTP_SOAPACTION"] == '"urn:test:b"'
    assert peer.refused(without_action(peer, "<c/>"), "") == INVALID


def test_the_body_alone_does_not_choose_between_two() -> None:
    """Where two operations have the same Body, or requests differ in their policies, the action must be there."""
    twice = Peer(soap=SOAP12, policy=contract("a", "a2"))
    assert twice.refused(without_action(twice, "<a/>"), "") == INVALID
    signed_only = symmetric(bootstrap=asymmetric(), encrypted=Parts())
    different = Peer(soap=SOAP12, policy=contract("a", "b", b=signed_only))
    assert different.refused(without_action(different, "<a/>"), "") == INVALID
    assert different.call(different.issue(), "<a/>")[0] == 200


# ------------------------------------------------------------------------------------------------ tokens


def test_a_token_of_another_kind_does_not_do() -> None:
    """A token that the policy does not ask for is not taken in the place of one that it does."""
    tokens: tuple[Credential, ...] = (XmlToken("<t:Token xmlns:t='urn:t'/>"),)
    own = SuppliedToken(assertion="{urn:sp}OwnToken", accepts=frozenset({"{urn:t}Token"}))
    loose = Peer(policy=calling(*supporting(own)), tokens=tokens, authenticate=DemoUsers())
    context = loose.issue()
    soap, _ = loose.secured(context)
    assert loose.post(serialize(soap.envelope), "urn:test:a")[0] == 200
    assert loose.app.asked[0]["zeep_secureconv.username"] == "bearer of Token"
    strict = Peer(policy=calling(*supporting(_LTPA)), tokens=tokens, authenticate=DemoUsers())
    with pytest.raises(ConfigurationError, match="LTPA"):
        strict.secured(strict.issue())
    soap, _ = strict.secured(strict.issue(), policy=loose.conversation.application)
    assert strict.refused(serialize(soap.envelope)) == INVALID
