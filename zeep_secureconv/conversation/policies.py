"""The policies of trust messages, worked out from the policy of an endpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from ..errors import PolicyError
from ..names import SOAP11, WSA_2005
from ..policy.fingerprint import fingerprint
from ..policy.model import (
    DerivedKeys,
    EndpointPolicy,
    HeaderPart,
    Include,
    Layout,
    Parts,
    Policy,
    SecureConversationToken,
    SupportingToken,
    SymmetricBinding,
    TransportBinding,
)
from ..policy.support import supported
from ..trust import Dialect, dialect_for


@dataclass(frozen=True, kw_only=True)
class ExchangePolicy:
    """The policies of a request to the trust service, and of its answer."""

    request: Policy
    response: Policy


@dataclass(frozen=True, kw_only=True)
class ConversationPolicy:
    """What secure conversation with one endpoint looks like.

    Args:
        application: the policy whose binding is protected by the context.
        token: its SecureConversationToken.
        bootstrap: requests for the token, which are secured without it.
        renewal: requests for a new key, secured as the bootstrap and endorsed by the context.
        cancel: a Cancel, secured by the context: signed and in clear, as CXF, Metro and WCF want it.
        cancel_in_full: a Cancel secured as any message of the application, as Rampart and WebSphere want it.
        cancel_with_tokens: both, with the tokens that calls have besides: Metro's client sends the first one so,
            Rampart's the second.
        soap: SOAP namespace.
        wsa: namespace of WS-Addressing.
    """

    application: Policy
    token: SecureConversationToken
    bootstrap: ExchangePolicy
    renewal: ExchangePolicy
    cancel: ExchangePolicy
    cancel_in_full: ExchangePolicy
    cancel_with_tokens: tuple[ExchangePolicy, ExchangePolicy]
    soap: str
    wsa: str

    @property
    def wst(self) -> str:
        """Namespace of WS-Trust."""
        return self.application.wst

    @property
    def key_size(self) -> int:
        """Length of a context's key to ask for, and the least to accept, in bytes."""
        assert self.application.binding is not None
        return self.application.binding.algorithm_suite.minimum_key_length

    @property
    def requires_server_entropy(self) -> bool:
        """Whether the issuer must add to the key."""
        trust = self.application.trust
        return trust is not None and trust.require_server_entropy

    @property
    def requires_applies_to(self) -> bool:
        """Whether requests must say which endpoint they are for."""
        trust = self.application.trust
        return trust is not None and trust.require_applies_to

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same policy, so that contexts are not shared between different ones."""
        return fingerprint(self.application, self.soap, self.wsa)


def conversation_policy(policy: EndpointPolicy) -> ConversationPolicy:
    """The secure conversation that an endpoint's policy asks for.

    Raises:
        PolicyError: when it asks for none, or says nothing of how a context is got.
    """
    application = next(
        (
            candidate
            for candidate in (policy.endpoint, *(op.request for op in policy.operations.values()))
            if candidate.conversation_token is not None
        ),
        None,
    )
    if application is None:
        raise PolicyError(
            "The policy does not ask for secure conversation",
            hint="check that this is the right WSDL and port, or give policy= with a SecureConversationToken",
        )
    for operation in policy.operations.values():
        for message in (operation.request, operation.response):
            if message.binding is not None and not _same_conversation(message, application):
                raise PolicyError(
                    f"Operation {operation.name} asks for another conversation than the rest of the endpoint",
                    hint="one endpoint has one SecureConversationToken and one algorithm suite here; "
                    "use one client for each, with policy= of its own",
                )
    request, response = application, application
    for operation in policy.operations.values():
        if not application.signed and operation.request.signed and operation.response.binding is not None:
            request, response = operation.request, operation.response
            break
    return _for_application(application, request, response, policy.soap or SOAP11)


def _same_conversation(one: Policy, other: Policy) -> bool:
    """Whether messages of both policies can be protected by one context."""
    assert one.binding is not None
    assert other.binding is not None
    suites = one.binding.algorithm_suite, other.binding.algorithm_suite
    return one.conversation_token == other.conversation_token and suites[0] == suites[1]


def _for_application(application: Policy, request: Policy, response: Policy, soap: str) -> ConversationPolicy:
    """The conversation of an endpoint.

    Args:
        application: the policy of the endpoint.
        request: that of a call, with everything that calls have.
        response: that of its answer.
        soap: SOAP namespace.
    """
    token = application.conversation_token
    assert token is not None
    if token.bootstrap is None or token.bootstrap.binding is None:
        raise PolicyError(
            "The SecureConversationToken has no BootstrapPolicy, so there is no way to ask for a context",
            hint="give policy= with the BootstrapPolicy that the service uses",
        )
    for policy in (application, token.bootstrap, token.bootstrap_response or token.bootstrap):
        supported(policy)
    bootstrap = ExchangePolicy(
        request=bootstrap_policy(token.bootstrap, application),
        response=bootstrap_policy(token.bootstrap_response or token.bootstrap, application),
    )
    whole = replace(request, required=Parts())
    return ConversationPolicy(
        application=application,
        token=token,
        bootstrap=bootstrap,
        renewal=replace(bootstrap, request=_endorsed(bootstrap.request, token)),
        cancel=_cancel(_conversation_alone(application)),
        cancel_in_full=ExchangePolicy(
            request=_conversation_alone(request), response=_conversation_alone(response)
        ),
        cancel_with_tokens=(
            replace(_cancel(_conversation_alone(application)), request=_cancel(whole).request),
            ExchangePolicy(request=whole, response=_conversation_alone(response)),
        ),
        soap=soap,
        wsa=application.addressing or token.bootstrap.addressing or WSA_2005,
    )


def _conversation_alone(policy: Policy) -> Policy:
    """A policy without what is the application's own: required parts, and tokens besides the conversation's."""
    tokens = tuple(
        entry
        for entry in policy.supporting
        if entry.endorsing and isinstance(entry.token, SecureConversationToken)
    )
    return replace(policy, supporting=tokens, required=Parts())


def bootstrap_policy(bootstrap: Policy, application: Policy) -> Policy:
    """The bootstrap with what no policy can waive: the answer's Body is signed, and secrets travel encrypted.

    TLS does both under a TransportBinding. Trust, and with it the generation, is that of the outer policy.

    Args:
        bootstrap: the policy of requests for contexts, or of their answers.
        application: the policy that the contexts are for.
    """
    policy = replace(
        bootstrap, wss=bootstrap.wss or application.wss, trust=application.trust or bootstrap.trust
    )
    if isinstance(bootstrap.binding, TransportBinding):
        return policy
    return replace(
        policy, signed=bootstrap.signed | Parts(body=True), encrypted=bootstrap.encrypted | Parts(body=True)
    )


def _endorsed(bootstrap: Policy, token: SecureConversationToken) -> Policy:
    """The bootstrap with the context as endorsing token besides (WS-SecureConversation 1.4, section 5)."""
    # what endorses needs no policy of how it is got
    bare = replace(token, bootstrap=None, bootstrap_response=None, include=Include.ALWAYS_TO_RECIPIENT)
    return replace(bootstrap, supporting=(*bootstrap.supporting, SupportingToken(token=bare, endorsing=True)))


def _cancel(application: Policy) -> ExchangePolicy:
    """Cancel is secured by the context: Body, addressing and Timestamp signed, nothing encrypted.

    CXF judges it so whatever the binding says, and Metro refuses an encrypted one. Answers come under the raw key
    from CXF even where the policy asks for derived ones, and CXF confirms no signature in them, and puts the Timestamp
    where it does under any layout. Over TLS the
    context endorses the Timestamp, as in every message.
    """
    binding = application.binding
    token = binding.signature_token if isinstance(binding, SymmetricBinding) else None
    if not isinstance(binding, SymmetricBinding) or not isinstance(token, SecureConversationToken):
        return ExchangePolicy(request=application, response=application)
    any_key = replace(token, derived_keys=DerivedKeys.ANY)
    in_clear = replace(binding, encrypt_before_signing=False, encrypt_signature=False)
    request = replace(
        application,
        binding=replace(in_clear, encryption_token=token, include_timestamp=True),
        signed=Parts(body=True, headers=(HeaderPart(namespace=application.addressing or WSA_2005),)),
        encrypted=Parts(),
        wss=None,
    )
    response = replace(
        request,
        binding=replace(in_clear, signature_token=any_key, encryption_token=any_key, layout=Layout.LAX),
        signed=Parts(body=True),
    )
    return ExchangePolicy(request=request, response=response)


def dialect_of(policy: ConversationPolicy) -> Dialect:
    """The dialect that a policy speaks when nobody chose another."""
    return dialect_for(policy.wst)
