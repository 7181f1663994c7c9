"""WS-SecurityPolicy: from the assertions of one alternative to the model.

Every place where an assertion may stand has a table from its name to what reads it; see ``vocabulary`` for the names,
and ``tokens`` for the tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from lxml import etree

from ..names import SP_2005, SP_200512, SP_200702, WSA_2004, WSA_2005, WST_2005, WST_200512
from .alternatives import Alternative, Assertion
from .model import (
    AsymmetricBinding,
    Direction,
    ElementPath,
    HeaderPart,
    Layout,
    Parts,
    Policy,
    ReferenceStyle,
    SupportingToken,
    SymmetricBinding,
    TransportBinding,
    TrustOptions,
    Wss,
)
from .suites import SUITES
from .tokens import HTTPS_ONLY, KEY_TOKENS, SUPPLIED_TOKENS, X509_ONLY, secure_conversation_token
from .vocabulary import (
    NOTHING,
    Fields,
    Reader,
    Table,
    attribute,
    inner,
    name_of,
    nested,
    policy_error,
    read,
    refuse_all,
    says,
)
from .xpath import XPathError, element_path


def read_alternative(
    alternative: Alternative, *, direction: Direction = Direction.REQUEST, address: str | None = None
) -> Policy:
    """The policy that one alternative is.

    Args:
        alternative: its assertions.
        direction: the messages it is read for; WebSphere's form has assertions for one direction only.
        address: the endpoint, which may be named as the issuer of contexts.

    Raises:
        PolicyError: an assertion in it is not known or not supported, or contradicts another.
    """
    for assertion in alternative:
        _refuse_other_issuers(assertion, address)
    return _policy(_with_bootstrap(alternative), direction, bootstrap=False)


def _policy(alternative: Alternative, direction: Direction, *, bootstrap: bool) -> Policy:
    effective = [
        assertion
        for assertion in alternative
        if assertion.role is None
        or (assertion.role.direction is direction and (bootstrap or not assertion.role.bootstrap))
    ]
    for assertion in effective:
        named = assertion.role is not None and assertion.role.direction is Direction.RESPONSE
        if named and name_of(assertion.element).endswith("SupportingTokens"):
            raise policy_error(assertion, "is for answers, and tokens are supported in requests only")
    source = effective[0].position if effective else ""
    return Policy(**read(effective, _POLICY), spec=_generation(effective), source=source)


def _generation(assertions: Iterable[Assertion]) -> str:
    """The namespace that a policy is written in: that of its binding, or of whatever else it has."""
    ranked = sorted(assertions, key=lambda assertion: name_of(assertion.element) not in _BINDINGS)
    namespaces = (etree.QName(assertion.element).namespace for assertion in ranked)
    return next((found for found in namespaces if found in (SP_2005, SP_200512, SP_200702)), SP_200702)


def _with_bootstrap(alternative: Alternative) -> Alternative:
    """The alternative with what WebSphere's ids mark as the bootstrap's moved into sp:BootstrapPolicy."""
    moved = tuple(entry for entry in alternative if entry.role is not None and entry.role.bootstrap)
    if not moved:
        return alternative
    if not any(_holds(assertion, "sp:BootstrapPolicy") for assertion in alternative):
        raise policy_error(moved[0], "is for the bootstrap, and stands outside of a sp:BootstrapPolicy")

    def within(assertion: Assertion) -> Assertion:
        own = moved if name_of(assertion.element) == "sp:BootstrapPolicy" else ()
        return replace(assertion, nested=tuple(map(within, assertion.nested)) + own)

    return tuple(within(assertion) for assertion in alternative if assertion not in moved)


def _holds(assertion: Assertion, name: str) -> bool:
    return name_of(assertion.element) == name or any(_holds(child, name) for child in assertion.nested)


def _refuse_other_issuers(assertion: Assertion, address: str | None) -> None:
    if name_of(assertion.element) == "sp:SecureConversationToken":
        for parameter in assertion.parameters:
            if name_of(parameter) == "sp:Issuer":
                _refuse_other_issuer(Assertion(parameter, assertion.document), address)
    for child in assertion.nested:
        _refuse_other_issuers(child, address)


def _refuse_other_issuer(issuer: Assertion, address: str | None) -> None:
    named = [found.xpath("string()").strip() for found in issuer.element.iter(*_ADDRESSES)]
    if not named:
        raise policy_error(issuer, "names no address")
    for issuing in named:
        if issuing not in (_ANONYMOUS if address is None else (*_ANONYMOUS, address)):
            raise policy_error(
                issuer,
                f"names another issuer of contexts than the endpoint, {issuing}, which is not supported",
                hint="ask for a policy under which the service itself issues the SecurityContextToken",
            )


def _bootstrap(assertion: Assertion) -> Fields:
    request, response = (
        _policy(assertion.nested, direction, bootstrap=True)
        for direction in (Direction.REQUEST, Direction.RESPONSE)
    )
    if request.binding is None:
        raise policy_error(assertion, "secures nothing")
    found: Fields = {"bootstrap": request}
    return found if request == response else found | {"bootstrap_response": response}


def _parts(field: str, empty: Parts | None) -> Reader:
    """Reads an assertion of parts into *field*; *empty* is what it says without any."""

    def reader(assertion: Assertion) -> Fields:
        refuse_all((child.element for child in assertion.nested), assertion.document)
        if not assertion.parameters:
            if empty is None:
                raise policy_error(assertion, "names no parts")
            return {field: empty}
        headers = [part for part in assertion.parameters if name_of(part) == "sp:Header"]
        named = dict.fromkeys(_header(part, assertion.document) for part in headers)
        return {field: Parts(body=len(headers) < len(assertion.parameters), headers=tuple(named))}

    return reader


def _elements(field: str, kind: str = "elements") -> Reader:
    """Reads an assertion of XPaths into *kind* of *field*."""

    def reader(assertion: Assertion) -> Fields:
        refuse_all((child.element for child in assertion.nested), assertion.document)
        version = attribute(assertion.element, "XPathVersion")
        if version not in (None, _XPATH_10):
            raise policy_error(assertion, f"has the XPathVersion {version}, and only XPath 1.0 is supported")
        paths = tuple(_path(part, assertion.document) for part in assertion.parameters)
        if not paths:
            raise policy_error(assertion, "names no elements")
        selected: dict[str, Any] = {kind: tuple(dict.fromkeys(paths))}
        return {field: Parts(**selected)}

    return reader


def _path(part: etree._Element, document: str) -> ElementPath:
    try:
        return element_path(str(part.xpath("string()")), part.nsmap)
    except XPathError as error:
        raise policy_error(
            Assertion(part, document),
            str(error),
            hint="write a path of names, as /soap:Envelope/soap:Body/x:part, and declare its prefixes at sp:XPath",
        ) from None


def _header(part: etree._Element, document: str) -> HeaderPart:
    namespace = part.get("Namespace")
    if namespace is None:
        raise policy_error(Assertion(part, document), "has no Namespace")
    return HeaderPart(namespace=namespace.strip(), name=part.get("Name", "").strip() or None)


def _listed(table: Table) -> Table:
    """The readers of *table*, each for one of several tokens."""

    def listed(reader: Reader) -> Reader:
        return lambda assertion: {"tokens": (reader(assertion)["token"],)}

    return {name: listed(reader) for name, reader in table.items()}


def _supporting(kind: str) -> Reader:
    """Reads a sp:…SupportingTokens (8), whose name says what its tokens are for."""

    def reader(assertion: Assertion) -> Fields:
        found = read(assertion.nested, _SUPPORTING_TOKENS)
        tokens = found.pop("tokens", ())
        if not tokens:
            raise policy_error(assertion, "names no token")
        entries = tuple(
            SupportingToken(
                token=token,
                signed="Signed" in kind,
                encrypted="Encrypted" in kind,
                endorsing="Endorsing" in kind,
                source=assertion.position,
                **found,
            )
            for token in tokens
        )
        return {"supporting": entries}

    return reader


def _token(*fields: str, among: Table) -> Reader:
    """Reads an assertion that holds one token, which is then the value of all *fields*."""

    def reader(assertion: Assertion) -> Fields:
        for child in assertion.nested:
            if name_of(child.element) in SUPPLIED_TOKENS:
                raise policy_error(child, "gives no key here, so it cannot protect messages")
        found = read(assertion.nested, among)
        if "token" not in found:
            raise policy_error(assertion, "names no token")
        return dict.fromkeys(fields, found["token"])

    return reader


def _binding(
    kind: type[SymmetricBinding | AsymmetricBinding | TransportBinding],
    table: Table,
    tokens: tuple[str, ...],
) -> Reader:
    def reader(assertion: Assertion) -> Fields:
        found = read(assertion.nested, table)
        if "algorithm_suite" not in found:
            raise policy_error(assertion, "names no algorithm suite")
        if not any(token in found for token in tokens):
            raise policy_error(assertion, "names no token")
        absent: Fields = dict.fromkeys(tokens)
        return {"binding": kind(**absent | found)}

    return reader


_XPATH_10 = "http://www.w3.org/TR/1999/REC-xpath-19991116"
_ADDRESSES = tuple(f"{{{wsa}}}Address" for wsa in (WSA_2004, WSA_2005))
_ANONYMOUS = (f"{WSA_2004}/role/anonymous", f"{WSA_2005}/anonymous")


#: What assertions without parts mean (4.1.1, 4.2.1).
_EVERYTHING = Parts(body=True, headers=(HeaderPart(namespace=None),))
_BODY = Parts(body=True)

_SUITE: Table = {
    **{
        f"{family}:{name}": says(algorithm_suite=suite)
        for name, suite in SUITES.items()
        for family in ("sp", "cxf")
    },
    # Transforms that a sender may use; this library needs none of them.
    **{f"sp:{name}": NOTHING for name in ("STRTransform10", "XPath10", "XPathFilter20", "AbsXPath")},
}
_LAYOUT: Table = {
    "sp:Strict": says(layout=Layout.STRICT),
    "sp:Lax": says(layout=Layout.LAX),
    # A Timestamp must be first or last, so there is one even without sp:IncludeTimestamp (6.7; as CXF does).
    "sp:LaxTsFirst": says(layout=Layout.LAX_TIMESTAMP_FIRST, include_timestamp=True),
    "sp:LaxTsLast": says(layout=Layout.LAX_TIMESTAMP_LAST, include_timestamp=True),
}

_ANY_TOKEN: Table = {**KEY_TOKENS, "sp:SecureConversationToken": secure_conversation_token(_bootstrap)}
_ANY_BINDING: Table = {
    "sp:AlgorithmSuite": inner("algorithm_suite", _SUITE),
    "sp:Layout": inner("layout", _LAYOUT),
    "sp:IncludeTimestamp": says(include_timestamp=True),
    "sp:EncryptBeforeSigning": says(encrypt_before_signing=True),
    "sp:EncryptSignature": says(encrypt_signature=True),
    "sp:ProtectTokens": says(protect_tokens=True),
    "sp:OnlySignEntireHeadersAndBody": says(only_sign_entire_headers_and_body=True),
}
_SYMMETRIC_TOKENS = ("signature_token", "encryption_token")
_SYMMETRIC_BINDING: Table = {
    **_ANY_BINDING,
    "sp:ProtectionToken": _token(*_SYMMETRIC_TOKENS, among=_ANY_TOKEN),
    "sp:SignatureToken": _token("signature_token", among=_ANY_TOKEN),
    "sp:EncryptionToken": _token("encryption_token", among=_ANY_TOKEN),
}
_INITIATOR_TOKENS = ("initiator_signature_token", "initiator_encryption_token")
_RECIPIENT_TOKENS = ("recipient_signature_token", "recipient_encryption_token")
_ASYMMETRIC_BINDING: Table = {
    **_ANY_BINDING,
    "sp:InitiatorToken": _token(*_INITIATOR_TOKENS, among=X509_ONLY),
    "sp:InitiatorSignatureToken": _token("initiator_signature_token", among=X509_ONLY),
    "sp:InitiatorEncryptionToken": _token("initiator_encryption_token", among=X509_ONLY),
    "sp:RecipientToken": _token(*_RECIPIENT_TOKENS, among=X509_ONLY),
    "sp:RecipientSignatureToken": _token("recipient_signature_token", among=X509_ONLY),
    "sp:RecipientEncryptionToken": _token("recipient_encryption_token", among=X509_ONLY),
}

_TRANSPORT_BINDING: Table = {
    **{name: _ANY_BINDING[name] for name in ("sp:AlgorithmSuite", "sp:Layout", "sp:IncludeTimestamp")},
    "sp:TransportToken": _token("transport_token", among=HTTPS_ONLY),
}

_SUPPORTING_TOKENS: Table = {
    **_listed({**_ANY_TOKEN, **SUPPLIED_TOKENS}),
    "sp:AlgorithmSuite": _ANY_BINDING["sp:AlgorithmSuite"],
    "sp:SignedParts": _parts("signed_parts", _EVERYTHING),
    "sp:EncryptedParts": _parts("encrypted_parts", _BODY),
    "sp:SignedElements": _elements("signed_parts"),
    "sp:EncryptedElements": _elements("encrypted_parts"),
    "sp:ContentEncryptedElements": _elements("encrypted_parts", "contents"),
}

_WSS10: Table = {
    f"sp:MustSupportRef{style.value}": says(references=frozenset({style}))
    for style in (
        ReferenceStyle.KEY_IDENTIFIER,
        ReferenceStyle.ISSUER_SERIAL,
        ReferenceStyle.EXTERNAL_URI,
        ReferenceStyle.EMBEDDED_TOKEN,
    )
}
_WSS11: Table = {
    **_WSS10,
    **{
        f"sp:MustSupportRef{style.value}": says(references=frozenset({style}))
        for style in (ReferenceStyle.THUMBPRINT, ReferenceStyle.ENCRYPTED_KEY)
    },
    "sp:RequireSignatureConfirmation": says(require_signature_confirmation=True),
}
_TRUST10: Table = {
    # What a side must support, should the other use it. None of it is asked of a message in the exchanges for a
    # SecurityContextToken: neither side sends a wst:IssuedTokens header, a challenge, or one for a person.
    **{
        f"sp:MustSupport{what}": NOTHING
        for what in ("IssuedTokens", "ClientChallenge", "ServerChallenge", "InteractiveChallenge")
    },
    "sp:RequireClientEntropy": says(require_client_entropy=True),
    "sp:RequireServerEntropy": says(require_server_entropy=True),
}
_TRUST13: Table = {
    **_TRUST10,
    "sp:RequireRequestSecurityTokenCollection": says(require_rstr_collection=True),
    "sp:RequireAppliesTo": says(require_applies_to=True),
    "sp:ScopePolicy15": says(scope_policy_15=True),
}
_ADDRESSING: Table = {"wsam:AnonymousResponses": NOTHING}

_BINDINGS: Table = {
    "sp:SymmetricBinding": _binding(SymmetricBinding, _SYMMETRIC_BINDING, _SYMMETRIC_TOKENS),
    "sp:AsymmetricBinding": _binding(
        AsymmetricBinding, _ASYMMETRIC_BINDING, _INITIATOR_TOKENS + _RECIPIENT_TOKENS
    ),
    "sp:TransportBinding": _binding(TransportBinding, _TRANSPORT_BINDING, ("transport_token",)),
}
_SUPPORTING_KINDS = (
    "",
    "Signed",
    "Endorsing",
    "SignedEndorsing",
    "Encrypted",
    "SignedEncrypted",
    "EndorsingEncrypted",
    "SignedEndorsingEncrypted",
)
_POLICY: Table = {
    **_BINDINGS,
    **{f"sp:{kind}SupportingTokens": _supporting(kind) for kind in _SUPPORTING_KINDS},
    "sp:SignedParts": _parts("signed", _EVERYTHING),
    "sp:EncryptedParts": _parts("encrypted", _BODY),
    "sp:RequiredParts": _parts("required", None),
    "sp:SignedElements": _elements("signed"),
    "sp:EncryptedElements": _elements("encrypted"),
    "sp:ContentEncryptedElements": _elements("encrypted", "contents"),
    "sp:RequiredElements": _elements("required"),
    "sp:Wss10": nested(lambda found: {"wss": Wss(version="1.0", **found)}, _WSS10),
    "sp:Wss11": nested(lambda found: {"wss": Wss(version="1.1", **found)}, _WSS11),
    "sp:Trust10": nested(lambda found: {"trust": TrustOptions(wst=WST_2005, **found)}, _TRUST10),
    "sp:Trust13": nested(lambda found: {"trust": TrustOptions(wst=WST_200512, **found)}, _TRUST13),
    "wsam:Addressing": nested(lambda _: {"addressing": WSA_2005}, _ADDRESSING),
    "wsaw:UsingAddressing": says(addressing=WSA_2005),
    "wsap:UsingAddressing": says(addressing=WSA_2004),
}
