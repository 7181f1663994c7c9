"""WS-SecurityPolicy: from the assertions of one alternative to the model.

Every place where an assertion may stand has a table from its name to what reads it. A name is written with
the prefix of its family, whatever the generation of its namespace: ``sp:X509Token`` is that of 2005/07,
200512 and 200702 alike. What a table does not hold is refused by name, never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lxml import etree

from ..errors import PolicyError
from ..names import (
    SP_2005,
    SP_200512,
    SP_200702,
    SP_200802,
    WSA_2004,
    WSA_2005,
    WSAM,
    WSC_2005,
    WSC_200512,
    WST_2005,
    WST_200512,
)
from .alternatives import Alternative, Alternatives, Assertion, position
from .model import (
    AsymmetricBinding,
    DerivedKeys,
    HeaderPart,
    Include,
    Layout,
    Parts,
    Policy,
    ReferenceStyle,
    SecureConversationToken,
    SymmetricBinding,
    TrustOptions,
    Wss,
    X509Token,
)
from .suites import CXF_SUITES, SUITES
from .support import is_supported

#: Namespace of an assertion, and the prefix its family has in the tables.
_FAMILIES = {
    SP_2005: "sp",
    SP_200512: "sp",
    SP_200702: "sp",
    SP_200802: "sp",
    CXF_SUITES: "cxf",
    "http://schemas.microsoft.com/ws/2005/07/securitypolicy": "mssp",
    WSAM: "wsam",
    "http://www.w3.org/2006/05/addressing/wsdl": "wsaw",
    "http://www.w3.org/2005/02/addressing/wsdl": "wsaw",
    "http://schemas.xmlsoap.org/ws/2004/08/addressing/policy": "wsap",
    WST_2005: "wst",
    WST_200512: "wst",
    "http://schemas.xmlsoap.org/ws/2005/02/rm/policy": "wsrmp",
    "http://docs.oasis-open.org/ws-rx/wsrmp/200702": "wsrmp",
}

#: Tags of the addressing assertions that a WSDL may also hold outside any policy.
USING_ADDRESSING = frozenset(
    f"{{{namespace}}}UsingAddressing" for namespace, family in _FAMILIES.items() if family in ("wsaw", "wsap")
)

#: Configuration of the stack that published the policy: nothing of it goes over the wire.
_VENDOR_CONFIGURATION = (
    "http://schemas.sun.com/2006/03/wss/",
    "http://schemas.sun.com/ws/2006/05/sc/",
    "http://schemas.sun.com/ws/2006/05/trust/",
    "http://java.sun.com/xml/ns/wsit/2006/09/policy/transport/",
    "http://ws.apache.org/rampart/policy",
    "http://cxf.apache.org/transports/http/configuration",
    "http://schemas.microsoft.com/ws/06/2004/policy/http",
)

_SUPPORTING = (
    "",
    "Signed",
    "Endorsing",
    "SignedEndorsing",
    "Encrypted",
    "SignedEncrypted",
    "EndorsingEncrypted",
    "SignedEndorsingEncrypted",
)

#: Assertions that are understood and cannot be done.
_UNSUPPORTED = frozenset(
    {f"sp:{kind}SupportingTokens" for kind in _SUPPORTING}
    | {
        "sp:TransportBinding",
        "sp:HttpsToken",
        "sp:IssuedToken",
        "sp:KerberosToken",
        "sp:KeyValueToken",
        "sp:RelToken",
        "sp:SamlToken",
        "sp:SecurityContextToken",
        "sp:SpnegoContextToken",
        "sp:UsernameToken",
        "sp:SignedElements",
        "sp:EncryptedElements",
        "sp:ContentEncryptedElements",
        "sp:RequiredElements",
        "sp:Attachments",
        "sp:Issuer",
        "sp:IssuerName",
        "wst:Claims",
        "sp:InclusiveC14N",
        "sp:InclusiveC14N11",
        "sp:SoapNormalization10",
        "sp:MustSupportClientChallenge",
        "sp:MustSupportServerChallenge",
        "sp:MustSupportInteractiveChallenge",
        "sp:ScopePolicy15",
        "wsam:NonAnonymousResponses",
        "wsrmp:RMAssertion",
    }
)

_Fields = dict[str, Any]
_Reader = Callable[[Assertion], _Fields]
_Table = Mapping[str, _Reader]


def choose(alternatives: Alternatives) -> Policy:
    """The first alternative that can be satisfied.

    Args:
        alternatives: the alternatives of the effective policy of one message, in the order of preference.

    Raises:
        PolicyError: none can be; the error is that of the first.
    """
    readable: Policy | None = None
    first: PolicyError | None = None
    for attempt in map(_attempt, alternatives):
        if isinstance(attempt, PolicyError):
            first = first or attempt
        elif is_supported(attempt):
            return attempt
        else:
            readable = readable or attempt
    if readable is not None:
        return readable  # whoever wants to use it says what it asks for in vain
    raise first or PolicyError(
        "The policy admits no alternative at all",
        hint="Give the policy's wsp:ExactlyOne an alternative, or pass policy= with a policy of your own.",
    )


def _attempt(alternative: Alternative) -> Policy | PolicyError:
    try:
        return _policy(alternative)
    except PolicyError as error:
        return error


def _policy(alternative: Alternative) -> Policy:
    source = alternative[0].position if alternative else ""
    return Policy(**_read(alternative, _POLICY), source=source)


def _read(assertions: Iterable[Assertion], table: _Table) -> _Fields:
    """Reads *assertions* by *table*; sets and parts join, everything else may be said once or alike."""
    found: _Fields = {}
    for assertion in assertions:
        name = _name(assertion.element)
        reader = table.get(name)
        if reader is None:
            if _may_be_ignored(assertion, name):
                continue
            raise _refusal(assertion.element, assertion.document)
        if name not in _WITH_PARAMETERS:
            _refuse_all(assertion.parameters, assertion.document)
        for field, value in reader(assertion).items():
            found[field] = _joined(assertion, found[field], value) if field in found else value
    return found


def _joined(assertion: Assertion, old: Any, new: Any) -> Any:
    if isinstance(new, (Parts, frozenset)):
        return old | new
    if old != new:
        raise _error(assertion, "contradicts another assertion of the same alternative")
    return old


def _set(**fields: Any) -> _Reader:
    """Reads an assertion without content: its presence says *fields*."""

    def read(assertion: Assertion) -> _Fields:
        _refuse_all((child.element for child in assertion.nested), assertion.document)
        return fields

    return read


def _nested(make: Callable[[_Fields], _Fields], table: _Table) -> _Reader:
    """Reads the policy inside an assertion by *table* and makes the assertion's own value from it."""
    return lambda assertion: make(_read(assertion.nested, table))


def _parts(field: str) -> _Reader:
    def read(assertion: Assertion) -> _Fields:
        _refuse_all((child.element for child in assertion.nested), assertion.document)
        if not assertion.parameters:
            # The standard lets an empty sp:SignedParts stand for Body and every header (4.1.1).
            raise _error(assertion, "without parts is not supported")
        body, headers = False, []
        for part in assertion.parameters:
            name = _name(part)
            if name == "sp:Body":
                body = True
            elif name == "sp:Header":
                headers.append(_header(part, assertion.document))
            else:
                raise _refusal(part, assertion.document)
        return {field: Parts(body=body, headers=tuple(dict.fromkeys(headers)))}

    return read


def _header(part: etree._Element, document: str) -> HeaderPart:
    namespace = part.get("Namespace")
    if namespace is None:
        raise _error(Assertion(part, document), "has no Namespace")
    return HeaderPart(namespace=namespace.strip(), name=part.get("Name", "").strip() or None)


def _include(assertion: Assertion) -> Include:
    values = {
        str(value).strip()
        for key, value in assertion.element.attrib.items()
        if key == "IncludeToken" or _canonical(str(key)) == "sp:IncludeToken"
    }
    if not values:
        return Include.ALWAYS  # the default of the standard, 5.1.1
    include = _INCLUDE.get(values.pop())
    if include is None or values:
        raise _error(assertion, "has an IncludeToken that is not known")
    return include


def _x509_token(assertion: Assertion) -> _Fields:
    return {"token": X509Token(include=_include(assertion), **_read(assertion.nested, _X509_TOKEN))}


def _secure_conversation_token(assertion: Assertion) -> _Fields:
    found = _read(assertion.nested, _SECURE_CONVERSATION_TOKEN)
    return {"token": SecureConversationToken(include=_include(assertion), **found)}


def _bootstrap(assertion: Assertion) -> _Fields:
    policy = _policy(assertion.nested)
    if policy.binding is None:
        raise _error(assertion, "secures nothing")
    return {"bootstrap": policy}


def _token(*fields: str, among: _Table) -> _Reader:
    """Reads an assertion that holds one token, which is then the value of all *fields*."""

    def read(assertion: Assertion) -> _Fields:
        found = _read(assertion.nested, among)
        if "token" not in found:
            raise _error(assertion, "names no token")
        return dict.fromkeys(fields, found["token"])

    return read


def _binding(
    kind: type[SymmetricBinding | AsymmetricBinding], table: _Table, tokens: tuple[str, ...]
) -> _Reader:
    def read(assertion: Assertion) -> _Fields:
        found = _read(assertion.nested, table)
        if "algorithm_suite" not in found:
            raise _error(assertion, "names no algorithm suite")
        if not any(token in found for token in tokens):
            raise _error(assertion, "names no token")
        absent: _Fields = dict.fromkeys(tokens)
        return {"binding": kind(**absent | found)}

    return read


def _inner(field: str, table: _Table) -> _Reader:
    """Reads an assertion whose nested policy chooses the value of *field*."""

    def read(assertion: Assertion) -> _Fields:
        found = _read(assertion.nested, table)
        if field not in found:
            raise _error(assertion, "chooses nothing")
        return found

    return read


def _name(element: etree._Element) -> str:
    return _canonical(str(element.tag))


def _canonical(tag: str) -> str:
    namespace, _, local = tag[1:].rpartition("}") if tag[:1] == "{" else ("", "", tag)
    family = _FAMILIES.get(namespace)
    return f"{family}:{local}" if family else tag


def _may_be_ignored(assertion: Assertion, name: str) -> bool:
    """Configuration of a vendor, and what is marked wsp:Ignorable; never a demand of WS-SecurityPolicy."""
    vendor = str(assertion.element.tag)[1:].startswith(_VENDOR_CONFIGURATION)
    return vendor or (assertion.ignorable and not name.startswith(("sp:", "mssp:", "cxf:")))


def _refuse_all(elements: Iterable[etree._Element], document: str) -> None:
    for element in elements:
        raise _refusal(element, document)


def _refusal(element: etree._Element, document: str) -> PolicyError:
    supported = "is not supported yet" if _name(element) in _UNSUPPORTED else "is not known here"
    return _error(Assertion(element, document), supported)


def _error(assertion: Assertion, what: str) -> PolicyError:
    name = _name(assertion.element)
    where = position(assertion.element, assertion.document)
    return PolicyError(
        f"The policy's assertion {name} {what} ({where})",
        assertion=str(assertion.element.tag),
        position=where,
        hint='Mark it wsp:Optional="true" or offer an alternative without it, '
        "or pass policy= with a policy of your own.",
    )


_WITH_PARAMETERS = frozenset({"sp:SignedParts", "sp:EncryptedParts", "sp:RequiredParts"})

_INCLUDE = {
    f"{namespace}/IncludeToken/{include.value}": include
    for namespace, family in _FAMILIES.items()
    if family == "sp"
    for include in Include
}

_NOTHING = _set()

_SUITE: _Table = {
    **{
        f"{family}:{name}": _set(algorithm_suite=suite)
        for name, suite in SUITES.items()
        for family in ("sp", "cxf")
    },
    # Transforms that a sender may use; this library needs none of them.
    **{f"sp:{name}": _NOTHING for name in ("STRTransform10", "XPath10", "XPathFilter20", "AbsXPath")},
}
_LAYOUT: _Table = {
    "sp:Strict": _set(layout=Layout.STRICT),
    "sp:Lax": _set(layout=Layout.LAX),
    # A Timestamp must be first or last, so there is one even without sp:IncludeTimestamp (6.7; as CXF does).
    "sp:LaxTsFirst": _set(layout=Layout.LAX_TIMESTAMP_FIRST, include_timestamp=True),
    "sp:LaxTsLast": _set(layout=Layout.LAX_TIMESTAMP_LAST, include_timestamp=True),
}

_DERIVED_KEYS: _Table = {
    f"sp:Require{style}DerivedKeys": _set(derived_keys=derived_keys)
    for style, derived_keys in (
        # Either style is allowed; every stack answers with DerivedKeyToken elements.
        ("", DerivedKeys.EXPLICIT),
        ("Explicit", DerivedKeys.EXPLICIT),
        ("Implied", DerivedKeys.IMPLIED),
        ("Implicit", DerivedKeys.IMPLIED),  # its name in 200512
    )
}
_X509_TYPES = (
    "WssX509V1Token10",  # in 2005/07 only
    "WssX509V3Token10",
    "WssX509Pkcs7Token10",
    "WssX509PkiPathV1Token10",
    "WssX509V1Token11",
    "WssX509V3Token11",
    "WssX509Pkcs7Token11",
    "WssX509PkiPathV1Token11",
)
_X509_TOKEN: _Table = {
    **_DERIVED_KEYS,
    **{f"sp:{name}": _set(token_type=name) for name in _X509_TYPES},
    **{
        f"sp:Require{style.value}Reference": _set(references=frozenset({style}))
        for style in (
            ReferenceStyle.KEY_IDENTIFIER,
            ReferenceStyle.ISSUER_SERIAL,
            ReferenceStyle.EMBEDDED_TOKEN,
            ReferenceStyle.THUMBPRINT,
        )
    },
}
_SECURE_CONVERSATION_TOKEN: _Table = {
    **_DERIVED_KEYS,
    "sp:RequireExternalUriReference": _set(require_external_uri_reference=True),
    "sp:SC13SecurityContextToken": _set(wsc=WSC_200512),
    "sp:SC10SecurityContextToken": _set(wsc=WSC_2005),
    "sp:SC200502SecurityContextToken": _set(wsc=WSC_2005),
    **{
        f"{family}:MustNotSend{operation.title()}": _set(**{f"must_not_send_{operation}": True})
        for family in ("sp", "mssp")
        for operation in ("cancel", "amend", "renew")
    },
    "sp:BootstrapPolicy": _bootstrap,
}

_X509_ONLY: _Table = {"sp:X509Token": _x509_token}
_ANY_TOKEN: _Table = {**_X509_ONLY, "sp:SecureConversationToken": _secure_conversation_token}

_ANY_BINDING: _Table = {
    "sp:AlgorithmSuite": _inner("algorithm_suite", _SUITE),
    "sp:Layout": _inner("layout", _LAYOUT),
    "sp:IncludeTimestamp": _set(include_timestamp=True),
    "sp:EncryptBeforeSigning": _set(encrypt_before_signing=True),
    "sp:EncryptSignature": _set(encrypt_signature=True),
    "sp:ProtectTokens": _set(protect_tokens=True),
    "sp:OnlySignEntireHeadersAndBody": _set(only_sign_entire_headers_and_body=True),
}
_SYMMETRIC_TOKENS = ("signature_token", "encryption_token")
_SYMMETRIC_BINDING: _Table = {
    **_ANY_BINDING,
    "sp:ProtectionToken": _token(*_SYMMETRIC_TOKENS, among=_ANY_TOKEN),
    "sp:SignatureToken": _token("signature_token", among=_ANY_TOKEN),
    "sp:EncryptionToken": _token("encryption_token", among=_ANY_TOKEN),
}
_INITIATOR_TOKENS = ("initiator_signature_token", "initiator_encryption_token")
_RECIPIENT_TOKENS = ("recipient_signature_token", "recipient_encryption_token")
_ASYMMETRIC_BINDING: _Table = {
    **_ANY_BINDING,
    "sp:InitiatorToken": _token(*_INITIATOR_TOKENS, among=_X509_ONLY),
    "sp:InitiatorSignatureToken": _token("initiator_signature_token", among=_X509_ONLY),
    "sp:InitiatorEncryptionToken": _token("initiator_encryption_token", among=_X509_ONLY),
    "sp:RecipientToken": _token(*_RECIPIENT_TOKENS, among=_X509_ONLY),
    "sp:RecipientSignatureToken": _token("recipient_signature_token", among=_X509_ONLY),
    "sp:RecipientEncryptionToken": _token("recipient_encryption_token", among=_X509_ONLY),
}

_WSS10: _Table = {
    f"sp:MustSupportRef{style.value}": _set(references=frozenset({style}))
    for style in (
        ReferenceStyle.KEY_IDENTIFIER,
        ReferenceStyle.ISSUER_SERIAL,
        ReferenceStyle.EXTERNAL_URI,
        ReferenceStyle.EMBEDDED_TOKEN,
    )
}
_WSS11: _Table = {
    **_WSS10,
    **{
        f"sp:MustSupportRef{style.value}": _set(references=frozenset({style}))
        for style in (ReferenceStyle.THUMBPRINT, ReferenceStyle.ENCRYPTED_KEY)
    },
    "sp:RequireSignatureConfirmation": _set(require_signature_confirmation=True),
}
_TRUST10: _Table = {
    # Every stack's policies say so; it asks nothing of a message without a wst:IssuedTokens header.
    "sp:MustSupportIssuedTokens": _NOTHING,
    "sp:RequireClientEntropy": _set(require_client_entropy=True),
    "sp:RequireServerEntropy": _set(require_server_entropy=True),
}
_TRUST13: _Table = {
    **_TRUST10,
    "sp:RequireRequestSecurityTokenCollection": _set(require_rstr_collection=True),
    "sp:RequireAppliesTo": _set(require_applies_to=True),
}
_ADDRESSING: _Table = {"wsam:AnonymousResponses": _NOTHING}

_POLICY: _Table = {
    "sp:SymmetricBinding": _binding(SymmetricBinding, _SYMMETRIC_BINDING, _SYMMETRIC_TOKENS),
    "sp:AsymmetricBinding": _binding(
        AsymmetricBinding, _ASYMMETRIC_BINDING, _INITIATOR_TOKENS + _RECIPIENT_TOKENS
    ),
    "sp:SignedParts": _parts("signed"),
    "sp:EncryptedParts": _parts("encrypted"),
    "sp:RequiredParts": _parts("required"),
    "sp:Wss10": _nested(lambda found: {"wss": Wss(version="1.0", **found)}, _WSS10),
    "sp:Wss11": _nested(lambda found: {"wss": Wss(version="1.1", **found)}, _WSS11),
    "sp:Trust10": _nested(lambda found: {"trust": TrustOptions(wst=WST_2005, **found)}, _TRUST10),
    "sp:Trust13": _nested(lambda found: {"trust": TrustOptions(wst=WST_200512, **found)}, _TRUST13),
    "wsam:Addressing": _nested(lambda _: {"addressing": WSA_2005}, _ADDRESSING),
    "wsaw:UsingAddressing": _set(addressing=WSA_2005),
    "wsap:UsingAddressing": _set(addressing=WSA_2004),
}
