"""System policies: how requests to the trust service itself are secured, for each of its operations.

WebSphere attaches a policy set to each operation of its trust service, for an endpoint or as the default. Its defaults
are those here: Issue and Renew are secured as the bootstrap policy of the application says
(TrustServiceSecurityDefault), Cancel and Validate by the context (TrustServiceSymmetricDefault).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..conversation.policies import ConversationPolicy, ExchangePolicy, bootstrap_policy
from ..errors import ConfigurationError, PolicyError
from ..policy.algorithms import Algorithms
from ..policy.differences import Difference, differences, differences_of_suites
from ..policy.files import PolicySource, load_policies
from ..policy.model import (
    EndpointPolicy,
    Parts,
    Policy,
    SecureConversationToken,
    SymmetricBinding,
    TransportBinding,
)
from ..policy.support import supported
from ..trust import RequestType

#: What ``system_policies=`` takes.
SystemPolicies = Mapping[str, PolicySource | tuple[EndpointPolicy, ...]]

_KINDS = {
    "issue": RequestType.ISSUE,
    "renew": RequestType.RENEW,
    "cancel": RequestType.CANCEL,
    "validate": RequestType.VALIDATE,
}
_BY_BOOTSTRAP = ("issue", "renew")
_SOME = 8

#: The ways that requests of a kind may be secured.
Exchanges = Mapping[RequestType, tuple[ExchangePolicy, ...]]


def exchanges(
    given: SystemPolicies | None, conversations: Iterable[ConversationPolicy], agreed: Algorithms
) -> list[Exchanges]:
    """How requests of each kind that the context secures are secured, in each of the conversations.

    Args:
        given: for each operation, "issue", "renew", "cancel" or "validate", its policy: the path of a file, the name
            of a preset, or a policy; where there is none WebSphere's default holds. Of a policy that asks for secure
            conversation the BootstrapPolicy counts for the first two, and the rest for the others.
        conversations: those of the application.
        agreed: what was agreed on besides the policies.

    Raises:
        ConfigurationError: when there is no such operation, file or preset.
        PolicyError: when the policy of Issue or Renew is not the bootstrap policy of the application, saying where
            they differ; when that of Cancel or Validate is not for its contexts; when one asks for what is not
            supported.
    """
    loaded = {name: _load(name, source) for name, source in (given or {}).items()}
    everywhere = list(conversations)
    for name in _BY_BOOTSTRAP:
        if name in loaded:
            _need_mirrors(name, _bootstraps(name, loaded[name], agreed), everywhere)
    return [
        {
            _KINDS[name]: _by_context(name, tuple(map(agreed.apply, loaded[name])), conversation)
            if name in loaded
            else by_default(conversation)
            for name in ("cancel", "validate")
        }
        for conversation in everywhere
    ]


def by_default(conversation: ConversationPolicy) -> tuple[ExchangePolicy, ...]:
    """The ways that clients secure a Cancel, and a Validate.

    What is encrypted first: it would satisfy the other too, and be answered in clear. Last what has tokens besides.
    """
    pairs = ((conversation.cancel, conversation.cancel_in_full), conversation.cancel_with_tokens)
    forms = [form for in_clear, in_full in pairs for form in _encrypted_first(in_clear, in_full)]
    return tuple(dict.fromkeys(forms))


def _encrypted_first(in_clear: ExchangePolicy, in_full: ExchangePolicy) -> tuple[ExchangePolicy, ...]:
    return (in_full, in_clear) if in_full.request.encrypted else (in_clear, in_full)


def _load(name: str, source: PolicySource | tuple[EndpointPolicy, ...]) -> tuple[EndpointPolicy, ...]:
    if name not in _KINDS:
        raise ConfigurationError(
            f"system_policies= has a policy for {name!r}, which the trust service does not do",
            hint=f"give a mapping with keys out of: {', '.join(_KINDS)}",
        )
    return source if isinstance(source, tuple) else load_policies(source)


# ------------------------------------------------------------------------------------- issue and renew


def _bootstraps(
    name: str, policies: tuple[EndpointPolicy, ...], agreed: Algorithms
) -> list[tuple[Policy, Policy]]:
    """What each alternative says of requests and of answers, as a bootstrap policy."""
    found = []
    for policy in policies:
        # what was agreed on for bootstraps holds for what stands in the place of one
        application = agreed.apply(EndpointPolicy(endpoint=_around_bootstrap(name, policy))).endpoint
        token = application.conversation_token
        assert token is not None
        assert token.bootstrap is not None
        found.append((token.bootstrap, token.bootstrap_response or token.bootstrap))
    return found


def _around_bootstrap(name: str, policy: EndpointPolicy) -> Policy:
    """A policy that has what a document says as its BootstrapPolicy, or as all there is, as its BootstrapPolicy."""
    request, response = _messages(policy)
    token = request.conversation_token
    if token is not None and token.bootstrap is not None:
        return request
    if token is not None or request.binding is None:
        raise PolicyError(
            f"The policy of {name} does not say how requests without a context are secured",
            position=request.source or None,
            hint="give the policy that the application has as its BootstrapPolicy",
        )
    token = SecureConversationToken(bootstrap=request, bootstrap_response=response)
    suite = request.binding.algorithm_suite
    return Policy(
        binding=SymmetricBinding(signature_token=token, encryption_token=token, algorithm_suite=suite)
    )


def _need_mirrors(
    name: str, given: list[tuple[Policy, Policy]], conversations: list[ConversationPolicy]
) -> None:
    """Refuse a policy that is not that of the application's bootstrap: clients live by the latter alone."""
    for conversation in conversations:
        against = [_against(one, conversation) for one in given]
        if all(against):
            raise _differing(name, min(against, key=len), conversation)
    for one in given:
        against = [_against(one, conversation) for conversation in conversations]
        if all(against):
            raise _differing(name, min(against, key=len), conversations[0])


def _against(given: tuple[Policy, Policy], conversation: ConversationPolicy) -> list[Difference]:
    """Where a policy differs from the bootstrap of a conversation, in requests or in answers."""
    bootstrap = conversation.bootstrap
    found: list[Difference] = []
    for ours, theirs in zip(given, (bootstrap.request, bootstrap.response), strict=True):
        policy = bootstrap_policy(ours, conversation.application)
        # where one is silent about the generation of addressing, the other says it
        wsa = policy.addressing or theirs.addressing, theirs.addressing or policy.addressing
        found += differences(replace(policy, addressing=wsa[0]), replace(theirs, addressing=wsa[1]))
    return list(dict.fromkeys(found))


def _differing(name: str, found: list[Difference], conversation: ConversationPolicy) -> PolicyError:
    told = [
        f"{one.where}: {one.one} in the policy of {name}, {one.other} in the bootstrap policy"
        for one in found
    ]
    more = f"; and {len(told) - _SOME} more" if len(told) > _SOME else ""
    return PolicyError(
        f"The policy of {name} does not mirror the bootstrap policy of the application. "
        f"{'; '.join(told[:_SOME])}{more}",
        position=conversation.application.source or None,
        hint=f"change the one or the other, or leave {name!r} out of system_policies=: "
        "the bootstrap policy holds then",
    )


# --------------------------------------------------------------------------------- cancel and validate


def _by_context(
    name: str, policies: tuple[EndpointPolicy, ...], conversation: ConversationPolicy
) -> tuple[ExchangePolicy, ...]:
    """The ways to secure requests by the context, of all alternatives that are for this conversation."""
    reasons = [_unfit(name, policy, conversation) for policy in policies]
    fitting = [policy for policy, reason in zip(policies, reasons, strict=True) if reason is None]
    if not fitting:
        raise next(filter(None, reasons))
    return tuple(dict.fromkeys(_exchange(policy, conversation) for policy in fitting))


def _unfit(name: str, policy: EndpointPolicy, conversation: ConversationPolicy) -> PolicyError | None:
    """Why a policy cannot secure requests by a context of this conversation; None where it can."""
    application = conversation.application
    assert application.binding is not None
    for message in _messages(policy):
        token = message.conversation_token
        if token is None or message.binding is None:
            return PolicyError(
                f"The policy of {name} has no SecureConversationToken: a context is given up, and asked about, by "
                "whoever has its key",
                position=message.source or None,
                hint="give a policy whose ProtectionToken is a SecureConversationToken, such as the preset "
                "'TrustServiceSymmetricDefault'",
            )
        suite, wanted = message.binding.algorithm_suite, application.binding.algorithm_suite
        found = differences_of_suites(suite, wanted)
        if (token.wsc or application.wsc) != application.wsc:
            found += (
                Difference("the kind of sp:SecurityContextToken", token.wsc or "none", application.wsc),
            )
        if found:
            told = "; ".join(
                f"{one.where}: {one.one} in the policy of {name}, {one.other} in that of the application"
                for one in found
            )
            return PolicyError(
                f"The policy of {name} is not for the contexts of the application. {told}",
                position=message.source or None,
                hint="give both policies the same algorithm suite and kind of token",
            )
    return None


def _exchange(policy: EndpointPolicy, conversation: ConversationPolicy) -> ExchangePolicy:
    request, response = (_whole(message, conversation) for message in _messages(policy))
    supported(request)
    supported(response)
    return ExchangePolicy(request=request, response=response)


def _whole(policy: Policy, conversation: ConversationPolicy) -> Policy:
    """The policy with what it leaves to that of the application, and with the Body signed in any case."""
    application = conversation.application
    policy = replace(policy, trust=application.trust, addressing=policy.addressing or application.addressing)
    if isinstance(policy.binding, TransportBinding):
        return policy
    return replace(policy, signed=policy.signed | Parts(body=True))


def _messages(policy: EndpointPolicy) -> tuple[Policy, Policy]:
    """(policy of requests, policy of answers) of a document: that of the endpoint, or of its first operation."""
    operations = () if policy.endpoint.signed else tuple(policy.operations.values())
    operation = operations[0] if operations else policy.everywhere()
    return operation.request, operation.response
