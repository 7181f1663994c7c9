"""What a policy demands of whoever wants to live by it: certificates, passwords, tokens, TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from lxml import etree

from .model import (
    AsymmetricBinding,
    DerivedKeys,
    KeyToken,
    PasswordForm,
    Policy,
    SecureConversationToken,
    SuppliedToken,
    SupportingToken,
    SymmetricBinding,
    Token,
    TransportBinding,
    UsernameToken,
    X509Token,
)

#: The part of a conversation that a need is of: requests for contexts, or calls.
Leg = Literal["bootstrap", "application"]
Kind = Literal[
    "signing identity",
    "decrypting identity",
    "trust",
    "peer",
    "user name",
    "password",
    "token",
    "https",
    "user check",
    "user passwords",
    "token check",
]


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that a user must supply.

    Args:
        kind: what it is; the last three kinds are needs of a service.
        why: the assertion, and where it stands.
        hint: the argument that supplies it.
        leg: where it is needed.
        token: the assertion of a "token".
    """

    kind: Kind
    why: str
    hint: str = field(compare=False)
    leg: Leg = "application"
    token: SuppliedToken | None = None


#: For each kind, the argument that supplies it.
_HINTS: dict[Kind, str] = {
    "signing identity": "give identity=Identity.from_pkcs12('client.p12', 'password')",
    "decrypting identity": "give identity=Identity.from_pkcs12('client.p12', 'password')",
    "trust": "give trust=Trust.from_pem('ca.pem')",
    "peer": "give peer='server.pem', or pin exactly one certificate in trust=",
    "user name": "give username=UsernameToken('alice', 'password')",
    "password": "give username=UsernameToken('alice', 'password')",
    "token": "give tokens=[LtpaToken(…)] or tokens=[XmlToken(…)]",
    "https": "call the service by its https address, with certificate verification on",
    "user check": "give authenticate= an object with check(name, password) or password(name)",
    "user passwords": "give authenticate= an object with password(name)",
    "token check": "give authenticate= an object with token(received)",
}
#: On a service the same identity is the service's.
_SERVICE_HINTS: dict[Kind, str] = {
    "signing identity": "give identity=Identity.from_pkcs12('server.p12', 'password')",
    "decrypting identity": "give identity=Identity.from_pkcs12('server.p12', 'password')",
}

_Found = tuple[Kind, str]


def needs(application: Policy, bootstrap: Policy | None) -> tuple[Need, ...]:
    """What a client must supply for calls under *application*, and for contexts under *bootstrap*.

    Args:
        application: the policy of a request.
        bootstrap: that of requests for contexts; None when there are none.

    Returns:
        The needs of the bootstrap, then those of the application, each once.
    """
    legs: tuple[tuple[Policy | None, Leg], ...] = ((bootstrap, "bootstrap"), (application, "application"))
    found = [need for policy, leg in legs if policy is not None for need in _of_client(policy, leg)]
    return tuple({(need.kind, need.leg, need.token, need.why): need for need in found}.values())


def service_needs(policy: Policy) -> tuple[Need, ...]:
    """What a service must be given to check requests under *policy*, and to answer them; "https" to be reached."""
    return tuple(dict.fromkeys(_of_service(policy)))


# --------------------------------------------------------------------------------------------- clients


def _of_client(policy: Policy, leg: Leg) -> Iterator[Need]:
    binding = policy.binding
    if binding is None:
        return
    for kind, assertion in _BINDINGS[type(binding)](binding):
        yield Need(kind=kind, why=_why(assertion, policy.source), hint=_HINTS[kind], leg=leg)
    for entry in policy.supporting:
        token = entry.token
        why = _why(f"sp:{_local(token)} in sp:{_wrapper(entry)}", entry.source or policy.source)
        supplied = token if isinstance(token, SuppliedToken) else None
        for kind in _TOKENS[type(token)](token, entry.endorsing):
            yield Need(kind=kind, why=why, hint=_HINTS[kind], leg=leg, token=supplied)


def _asymmetric(binding: AsymmetricBinding) -> Iterator[_Found]:
    yield "signing identity", "sp:InitiatorToken in sp:AsymmetricBinding"
    if binding.initiator_encryption_token is not None:
        yield "decrypting identity", "sp:InitiatorToken in sp:AsymmetricBinding"
    yield "trust", "sp:RecipientToken in sp:AsymmetricBinding"
    yield "peer", "sp:RecipientToken in sp:AsymmetricBinding"


def _symmetric(binding: SymmetricBinding) -> Iterator[_Found]:
    for token in dict.fromkeys((binding.signature_token, binding.encryption_token)):
        if isinstance(token, X509Token):
            yield "peer", "sp:X509Token in sp:SymmetricBinding"
        if isinstance(token, UsernameToken):
            yield "user name", "sp:UsernameToken in sp:SymmetricBinding"
            yield "password", "sp:UsernameToken in sp:SymmetricBinding"


def _transport(_binding: TransportBinding) -> Iterator[_Found]:
    # how TLS or HTTP know the client is the HTTP session's business; the server will say what that lacks
    yield "https", "sp:TransportBinding"


def _username(token: UsernameToken, endorsing: bool) -> Iterator[Kind]:
    yield "user name"
    if endorsing or token.password is not PasswordForm.NONE or token.derived_keys is not DerivedKeys.NONE:
        yield "password"


def _certificate(_token: X509Token, _endorsing: bool) -> Iterator[Kind]:
    yield "signing identity"


def _supplied(_token: SuppliedToken, _endorsing: bool) -> Iterator[Kind]:
    yield "token"


def _nothing(_token: Token, _endorsing: bool) -> Iterator[Kind]:
    return iter(())


_BINDINGS: dict[type, Callable[..., Iterator[_Found]]] = {
    AsymmetricBinding: _asymmetric,
    SymmetricBinding: _symmetric,
    TransportBinding: _transport,
}
_TOKENS: dict[type, Callable[..., Iterator[Kind]]] = {
    UsernameToken: _username,
    X509Token: _certificate,
    SuppliedToken: _supplied,
    SecureConversationToken: _nothing,
}


# -------------------------------------------------------------------------------------------- services


def _of_service(policy: Policy) -> Iterator[Need]:
    binding = policy.binding
    if binding is None:
        return
    for kind, assertion in _SERVICE_BINDINGS[type(binding)](binding):
        hint = _SERVICE_HINTS.get(kind, _HINTS[kind])
        yield Need(kind=kind, why=_why(assertion, policy.source), hint=hint)
    for entry in policy.supporting:
        token = entry.token
        why = _why(f"sp:{_local(token)} in sp:{_wrapper(entry)}", entry.source or policy.source)
        supplied = token if isinstance(token, SuppliedToken) else None
        for kind in _SERVICE_TOKENS[type(token)](token, entry.endorsing):
            yield Need(kind=kind, why=why, hint=_HINTS[kind], token=supplied)


def _service_asymmetric(_binding: AsymmetricBinding) -> Iterator[_Found]:
    yield "signing identity", "sp:RecipientToken in sp:AsymmetricBinding"
    yield "decrypting identity", "sp:RecipientToken in sp:AsymmetricBinding"
    yield "trust", "sp:InitiatorToken in sp:AsymmetricBinding"


def _service_symmetric(binding: SymmetricBinding) -> Iterator[_Found]:
    for token in dict.fromkeys((binding.signature_token, binding.encryption_token)):
        yield from _service_protection(token)


def _service_protection(token: KeyToken | None) -> Iterator[_Found]:
    if isinstance(token, X509Token):
        yield "decrypting identity", "sp:X509Token in sp:SymmetricBinding"
    if isinstance(token, UsernameToken):
        yield "user passwords", "sp:UsernameToken in sp:SymmetricBinding"


def _service_username(token: UsernameToken, endorsing: bool) -> Iterator[Kind]:
    derives = endorsing or token.derived_keys is not DerivedKeys.NONE
    if derives or token.password is PasswordForm.DIGEST:
        yield "user passwords"
    elif token.password is PasswordForm.TEXT:
        yield "user check"


def _service_certificate(_token: X509Token, _endorsing: bool) -> Iterator[Kind]:
    yield "trust"


def _service_supplied(_token: SuppliedToken, _endorsing: bool) -> Iterator[Kind]:
    yield "token check"


_SERVICE_BINDINGS: dict[type, Callable[..., Iterator[_Found]]] = {
    AsymmetricBinding: _service_asymmetric,
    SymmetricBinding: _service_symmetric,
    TransportBinding: _transport,
}
_SERVICE_TOKENS: dict[type, Callable[..., Iterator[Kind]]] = {
    UsernameToken: _service_username,
    X509Token: _service_certificate,
    SuppliedToken: _service_supplied,
    SecureConversationToken: _nothing,
}


# --------------------------------------------------------------------------------------------- in words


def _local(token: Token) -> str:
    if isinstance(token, SuppliedToken):
        return str(etree.QName(token.assertion).localname)
    return type(token).__name__


def _wrapper(entry: SupportingToken) -> str:
    signed, endorsing, encrypted = (
        word if wanted else ""
        for word, wanted in (
            ("Signed", entry.signed),
            ("Endorsing", entry.endorsing),
            ("Encrypted", entry.encrypted),
        )
    )
    return f"{signed}{endorsing}{encrypted}SupportingTokens"


def _why(assertion: str, source: str) -> str:
    return f"{assertion}, {source}" if source else assertion
