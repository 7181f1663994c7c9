"""Where two policies differ, by the names of their assertions."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .model import (
    ElementPath,
    HeaderPart,
    Parts,
    Policy,
    SuppliedToken,
    SupportingToken,
    Wss,
)
from .suites import AlgorithmSuite

#: The assertion, or what an assertion says, that each field of the model was read from.
_ASSERTIONS = {
    "initiator_signature_token": "sp:InitiatorSignatureToken",
    "initiator_encryption_token": "sp:InitiatorEncryptionToken",
    "recipient_signature_token": "sp:RecipientSignatureToken",
    "recipient_encryption_token": "sp:RecipientEncryptionToken",
    "signature_token": "sp:SignatureToken",
    "encryption_token": "sp:EncryptionToken",
    "transport_token": "sp:TransportToken",
    "algorithm_suite": "sp:AlgorithmSuite",
    "layout": "sp:Layout",
    "include_timestamp": "sp:IncludeTimestamp",
    "encrypt_before_signing": "sp:EncryptBeforeSigning",
    "encrypt_signature": "sp:EncryptSignature",
    "protect_tokens": "sp:ProtectTokens",
    "only_sign_entire_headers_and_body": "sp:OnlySignEntireHeadersAndBody",
    "include": "sp:IncludeToken",
    "token_type": "the type of the token",
    "references": "the references that must be supported or used",
    "derived_keys": "sp:RequireDerivedKeys",
    "require_external_uri_reference": "sp:RequireExternalUriReference",
    "wsc": "the kind of sp:SecurityContextToken",
    "must_not_send_cancel": "sp:MustNotSendCancel",
    "must_not_send_renew": "sp:MustNotSendRenew",
    "must_not_send_amend": "sp:MustNotSendAmend",
    "password": "the form of the password",
    "nonce": "sp:Nonce",
    "created": "sp:Created",
    "require_client_certificate": "sp:RequireClientCertificate",
    "http_basic_authentication": "sp:HttpBasicAuthentication",
    "http_digest_authentication": "sp:HttpDigestAuthentication",
    "signed_parts": "sp:SignedParts",
    "encrypted_parts": "sp:EncryptedParts",
    "wss": "sp:Wss",
    "version": "the version",
    "require_signature_confirmation": "sp:RequireSignatureConfirmation",
    "addressing": "WS-Addressing",
    "trust": "sp:Trust",
    "require_client_entropy": "sp:RequireClientEntropy",
    "require_server_entropy": "sp:RequireServerEntropy",
    "bootstrap": "sp:BootstrapPolicy",
    "bootstrap_response": "sp:BootstrapPolicy (of answers)",
}
#: The assertions that name parts, by field of :class:`Policy` and of :class:`Parts`.
_PARTS = {
    "signed": ("sp:SignedParts", "sp:SignedElements", "sp:SignedElements"),
    "encrypted": ("sp:EncryptedParts", "sp:EncryptedElements", "sp:ContentEncryptedElements"),
    "required": ("sp:RequiredParts", "sp:RequiredElements", "sp:RequiredElements"),
}
_NOTHING = "nothing"


@dataclass(frozen=True)
class Difference:
    """One thing that two policies say differently.

    Args:
        where: the assertion, and what it stands in.
        one, other: what each says.
    """

    where: str
    one: str
    other: str


def differences(one: Policy, other: Policy) -> tuple[Difference, ...]:
    """Where two policies differ in what messages look like.

    The generation that they were written in, their order, and where they were read do not count.
    """
    found = [*_values("", one.binding, other.binding)]
    for name, assertions in _PARTS.items():
        found += _parts(assertions, getattr(one, name), getattr(other, name))
    found += _items("the supporting tokens", one.supporting, other.supporting)
    for name in ("wss", "trust", "addressing"):
        found += _values(_ASSERTIONS[name], getattr(one, name), getattr(other, name))
    return tuple(found)


def differences_of_suites(one: AlgorithmSuite, other: AlgorithmSuite) -> tuple[Difference, ...]:
    """Where two algorithm suites differ: in their names, or with one name in algorithms that were agreed on."""
    return tuple(_values(_ASSERTIONS["algorithm_suite"], one, other))


def _values(where: str, one: Any, other: Any) -> Iterator[Difference]:
    """The differences of two values of the model, as deep down as they can be named."""
    if one == other:
        return
    if type(one) is not type(other) or not dataclasses.is_dataclass(one) or _is_one_name(one, other):
        yield Difference(where or "the binding", _word(one), _word(other))
        return
    inside = where or _word(one)
    for field in dataclasses.fields(one):
        if field.compare:
            name = f"{_ASSERTIONS.get(field.name, field.name)} in {inside}"
            yield from _values(name, getattr(one, field.name), getattr(other, field.name))


def _is_one_name(one: Any, other: Any) -> bool:
    """Whether a name says all: suites of two names, versions of WSS, tokens of two kinds that are only carried."""
    if isinstance(one, AlgorithmSuite):
        return bool(one.name != other.name)
    if isinstance(one, Wss):
        return bool(one.version != other.version)
    return isinstance(one, SuppliedToken)


def _parts(assertions: tuple[str, str, str], one: Parts, other: Parts) -> Iterator[Difference]:
    parts, elements, contents = assertions
    if one.body != other.body:
        yield Difference(f"sp:Body in {parts}", _word(one.body), _word(other.body))
    for where, ours, theirs in (
        (parts, one.headers, other.headers),
        (elements, one.elements, other.elements),
        (contents, one.contents, other.contents),
    ):
        yield from _items(where, ours, theirs)


def _items(where: str, one: tuple[Any, ...], other: tuple[Any, ...]) -> Iterator[Difference]:
    """What stands in one of two lists only; their order does not count."""
    alone = [item for item in one if item not in other], [item for item in other if item not in one]
    for item in alone[0]:
        yield Difference(where, _word(item), _NOTHING)
    for item in alone[1]:
        yield Difference(where, _NOTHING, _word(item))


def _word(value: Any) -> str:
    """A value of the model in few words."""
    if value is None or value is False or value == frozenset():
        return _NOTHING
    if value is True:
        return "there"
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(_word, value)))
    word = _WORDS.get(type(value))
    if word is not None:
        return word(value)
    return f"sp:{type(value).__name__}" if dataclasses.is_dataclass(value) else str(value)


def _word_of_header(part: HeaderPart) -> str:
    name = f" {part.name}" if part.name else ""
    return f"sp:Header {part.namespace or 'of any namespace'}{name}"


def _word_of_supporting(entry: SupportingToken) -> str:
    words = [word for word in ("signed", "encrypted", "endorsing") if getattr(entry, word)]
    token = entry.token
    details = [_word(getattr(token, name)) for name in _DETAILS if hasattr(token, name)]
    return " ".join([*words, _word(token), f"({', '.join(details)})"])


#: What tells tokens of one kind apart.
_DETAILS = ("include", "token_type", "password", "derived_keys")
_WORDS: dict[type, Callable[[Any], str]] = {
    HeaderPart: _word_of_header,
    SupportingToken: _word_of_supporting,
    ElementPath: lambda path: f"sp:XPath {path.xpath}",
    AlgorithmSuite: lambda suite: f"sp:{suite.name}",
    SuppliedToken: lambda token: "sp:" + token.assertion.rpartition("}")[2],
    Wss: lambda wss: f"sp:Wss{wss.version.replace('.', '')}",
}
