"""WS-SecurityPolicy: from the assertions of one alternative to the model.

Every place where an assertion may stand has a table from its name to what reads it. A name is written with
the prefix of its family, whatever the generation of its namespace: ``sp:X509Token`` is that of 2005/07,
200512 and 200702 alike. What a table does not hold is refused by name, never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
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
from .alternatives import Alternative, Assertion, position
from .model import (
    AsymmetricBinding,
    DerivedKeys,
    Direction,
    HeaderPart,
    HttpsToken,
    Include,
    Layout,
    Parts,
    PasswordForm,
    Policy,
    ReferenceStyle,
    SecureConversationToken,
    SuppliedToken,
    SupportingToken,
    SymmetricBinding,
    TransportBinding,
    TrustOptions,
    UsernameToken,
    Wss,
    X509Token,
)
from .suites import CXF_SUITES, SUITES
from .xpath import XPathError, element_path

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
    # WebSphere's own tokens
    "http://www.ibm.com/xmlns/prod/websphere/200605/ws-securitypolicy-ext": "spe",
    "http://schemas.xmlsoap.org/ws/2004/09/policy/optimizedmimeserialization": "wsoma",
    "http://www.w3.org/2007/08/soap12-mtom-policy": "wsoma",
}

#: Tags of the addressing assertions that a WSDL may also hold outside any policy.
USING_ADDRESSING = frozenset(
    f"{{{namespace}}}UsingAddressing" for namespace, family in _FAMILIES.items() if family in ("wsaw", "wsap")
)

#: Configuration of the stack that published the policy: nothing of it goes over the wire.
_VENDOR_CONFIGURATION = (
    "http://schemas.sun.com/2006/03/wss/",
    "http://schemas.sun.com/2006/03/rm",
    "http://schemas.sun.com/ws/2006/05/sc/",
    "http://schemas.sun.com/ws/2006/05/trust/",
    "http://sun.com/2006/03/rm",
    "http://java.sun.com/xml/ns/wsit/2006/09/policy/",
    "http://java.sun.com/xml/ns/metro/",
    "http://ws.apache.org/rampart/policy",
    "http://ws.apache.org/sandesha2/policy",
    "http://wso2.org/ns/",
    "http://www.wso2.org/products/carbon/security",
    "http://cxf.apache.org/transports/http/configuration",
    "http://cxf.apache.org/configuration/",
    "http://schemas.microsoft.com/ws/06/2004/policy/http",
    "http://schemas.microsoft.com/ws/2005/12/wsdl/contract",
    "http://schemas.microsoft.com/net/2005/02/rm/policy",
)

_NO_NEGOTIATION = (
    "TLSNEGO and SPNEGO are not supported: ask the service's people for negotiateServiceCredential=false "
    "(WCF), so that the certificate of the service is known beforehand"
)
#: What is understood and cannot be done, each with what to do about it where more is known than in general.
_UNSUPPORTED: Mapping[str, str | None] = {
    "mssp:SslContextToken": _NO_NEGOTIATION,
    "mssp:SpnegoContextToken": _NO_NEGOTIATION,
    "mssp:RsaToken": None,
    "sp:SpnegoContextToken": _NO_NEGOTIATION,
    "sp:KerberosToken": "ask the service's people for a policy with X509Token or UsernameToken",
    "sp:KeyValueToken": None,
    "sp:SecurityContextToken": "name a SecureConversationToken with a BootstrapPolicy: contexts that are agreed "
    "otherwise cannot be used",
    "sp:Attachments": "messages with attachments (SwA) cannot be protected; leave sp:Attachments out",
    "sp:XPath2": "write the path as sp:XPath",
    "sp:Issuer": None,
    "sp:IssuerName": "leave the issuer out where it is the service itself",
    "wst:Claims": None,
    "cxf:CustomAlgorithmSuite": "what it stands for is in the configuration of the service: pass policy= with the "
    "suite that has those algorithms",
    # Signatures here are over exclusive C14N of what was sent.
    "sp:InclusiveC14N": None,
    "sp:InclusiveC14N11": None,
    "sp:SoapNormalization10": None,
    "wsam:NonAnonymousResponses": "answers come on the connection of their request only",
    "wsrmp:RMAssertion": "WS-ReliableMessaging is not supported yet: use an endpoint without it, or mark it "
    'wsp:Optional="true"',
    "wsoma:OptimizedMimeSerialization": 'MTOM is not supported: mark it wsp:Optional="true"',
    "wsoma:MTOM": 'MTOM is not supported: mark it wsp:Optional="true"',
}

_Fields = dict[str, Any]
_Reader = Callable[[Assertion], _Fields]
_Table = Mapping[str, _Reader]


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
        if named and _name(assertion.element).endswith("SupportingTokens"):
            raise _error(assertion, "is for answers, and tokens are supported in requests only")
    source = effective[0].position if effective else ""
    return Policy(**_read(effective, _POLICY), spec=_generation(effective), source=source)


def _generation(assertions: Iterable[Assertion]) -> str:
    """The namespace that a policy is written in: that of its binding, or of whatever else it has."""
    ranked = sorted(assertions, key=lambda assertion: _name(assertion.element) not in _BINDINGS)
    namespaces = (etree.QName(assertion.element).namespace for assertion in ranked)
    return next((found for found in namespaces if found in (SP_2005, SP_200512, SP_200702)), SP_200702)


def _with_bootstrap(alternative: Alternative) -> Alternative:
    """The alternative with what WebSphere's ids mark as the bootstrap's moved into sp:BootstrapPolicy."""
    moved = tuple(entry for entry in alternative if entry.role is not None and entry.role.bootstrap)
    if not moved:
        return alternative
    if not any(_holds(assertion, "sp:BootstrapPolicy") for assertion in alternative):
        raise _error(moved[0], "is for the bootstrap, and stands outside of a sp:BootstrapPolicy")

    def within(assertion: Assertion) -> Assertion:
        own = moved if _name(assertion.element) == "sp:BootstrapPolicy" else ()
        return replace(assertion, nested=tuple(map(within, assertion.nested)) + own)

    return tuple(within(assertion) for assertion in alternative if assertion not in moved)


def _holds(assertion: Assertion, name: str) -> bool:
    return _name(assertion.element) == name or any(_holds(child, name) for child in assertion.nested)


def _refuse_other_issuers(assertion: Assertion, address: str | None) -> None:
    if _name(assertion.element) == "sp:SecureConversationToken":
        for parameter in assertion.parameters:
            if _name(parameter) == "sp:Issuer":
                _refuse_other_issuer(Assertion(parameter, assertion.document), address)
    for child in assertion.nested:
        _refuse_other_issuers(child, address)


def _refuse_other_issuer(issuer: Assertion, address: str | None) -> None:
    named = [found.xpath("string()").strip() for found in issuer.element.iter(*_ADDRESSES)]
    if not named:
        raise _error(issuer, "names no address")
    for issuing in named:
        if issuing not in (_ANONYMOUS if address is None else (*_ANONYMOUS, address)):
            raise _error(
                issuer,
                f"names another issuer of contexts than the endpoint, {issuing}, which is not supported",
                hint="ask for a policy under which the service itself issues the SecurityContextToken",
            )


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
        known = _PARAMETERS.get(name, ())
        _refuse_all((p for p in assertion.parameters if _name(p) not in known), assertion.document)
        for field, value in reader(assertion).items():
            found[field] = _joined(assertion, found[field], value) if field in found else value
    return found


def _joined(assertion: Assertion, old: Any, new: Any) -> Any:
    if isinstance(new, (Parts, frozenset)):
        return old | new
    if isinstance(new, tuple):
        return tuple(dict.fromkeys(old + new))
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


def _parts(field: str, empty: Parts | None) -> _Reader:
    """Reads an assertion of parts into *field*; *empty* is what it says without any."""

    def read(assertion: Assertion) -> _Fields:
        _refuse_all((child.element for child in assertion.nested), assertion.document)
        if not assertion.parameters:
            if empty is None:
                raise _error(assertion, "names no parts")
            return {field: empty}
        headers = [part for part in assertion.parameters if _name(part) == "sp:Header"]
        named = dict.fromkeys(_header(part, assertion.document) for part in headers)
        return {field: Parts(body=len(headers) < len(assertion.parameters), headers=tuple(named))}

    return read


def _elements(field: str, kind: str = "elements") -> _Reader:
    """Reads an assertion of XPaths into *kind* of *field*."""

    def read(assertion: Assertion) -> _Fields:
        _refuse_all((child.element for child in assertion.nested), assertion.document)
        version = _attribute(assertion.element, "XPathVersion")
        if version not in (None, _XPATH_10):
            raise _error(assertion, f"has the XPathVersion {version}, and only XPath 1.0 is supported")
        paths = tuple(_path(part, assertion.document) for part in assertion.parameters)
        if not paths:
            raise _error(assertion, "names no elements")
        selected: dict[str, Any] = {kind: tuple(dict.fromkeys(paths))}
        return {field: Parts(**selected)}

    return read


def _path(part: etree._Element, document: str) -> Any:
    try:
        return element_path(str(part.xpath("string()")), part.nsmap)
    except XPathError as error:
        raise _error(
            Assertion(part, document),
            str(error),
            hint="write a path of names, as /soap:Envelope/soap:Body/x:part, and declare its prefixes at sp:XPath",
        ) from None


def _header(part: etree._Element, document: str) -> HeaderPart:
    namespace = part.get("Namespace")
    if namespace is None:
        raise _error(Assertion(part, document), "has no Namespace")
    return HeaderPart(namespace=namespace.strip(), name=part.get("Name", "").strip() or None)


def _attribute(element: etree._Element, local: str) -> str | None:
    """An attribute of an assertion; stacks write it with the namespace of the assertion and without."""
    values = {
        str(value).strip()
        for key, value in element.attrib.items()
        if key == local or _canonical(str(key)) in (f"sp:{local}", f"spe:{local}")
    }
    return " and ".join(sorted(values)) if values else None


def _include(assertion: Assertion) -> Include:
    value = _attribute(assertion.element, "IncludeToken")
    if value is None:
        return Include.ALWAYS  # the default of the standard, 5.1.1
    include = _INCLUDE.get(value)
    if include is None:
        raise _error(assertion, "has an IncludeToken that is not known")
    return include


def _x509_token(assertion: Assertion) -> _Fields:
    return {"token": X509Token(include=_include(assertion), **_read(assertion.nested, _X509_TOKEN))}


def _secure_conversation_token(assertion: Assertion) -> _Fields:
    found = _read(assertion.nested, _SECURE_CONVERSATION_TOKEN)
    return {"token": SecureConversationToken(include=_include(assertion), **found)}


def _bootstrap(assertion: Assertion) -> _Fields:
    request, response = (
        _policy(assertion.nested, direction, bootstrap=True)
        for direction in (Direction.REQUEST, Direction.RESPONSE)
    )
    if request.binding is None:
        raise _error(assertion, "secures nothing")
    found: _Fields = {"bootstrap": request}
    return found if request == response else found | {"bootstrap_response": response}


def _username_token(assertion: Assertion) -> _Fields:
    return {"token": UsernameToken(include=_include(assertion), **_read(assertion.nested, _USERNAME_TOKEN))}


def _supplied(*accepts: str, options: _Table | None = None) -> _Reader:
    """Reads a token that the user supplies: by default one of *accepts*, unless *options* in it say more."""

    def read(assertion: Assertion) -> _Fields:
        found = _read(assertion.nested, options or {})
        token = SuppliedToken(
            include=_include(assertion),
            assertion=str(assertion.element.tag),
            accepts=found.get("accepts", frozenset(accepts)),
        )
        return {"token": token}

    return read


def _issued_token(assertion: Assertion) -> _Fields:
    found = _supplied(options=_ISSUED_TOKEN)(assertion)
    types = {
        found.text.strip()
        for template in assertion.parameters
        if _name(template) == "sp:RequestSecurityTokenTemplate"
        for found in template.iter(*_TOKEN_TYPES)
        if found.text
    }
    accepts = frozenset(tag for uri in types for tag in _SAML_TYPES.get(uri, ()))
    return {"token": replace(found["token"], accepts=accepts)}


def _ltpa_token(*accepts: str) -> _Reader:
    def read(assertion: Assertion) -> _Fields:
        # Its options are WebSphere's own and not published. They could but say which version of token the user
        # supplies, which the service will tell.
        return _supplied(*accepts)(replace(assertion, nested=()))

    return read


def _custom_token(assertion: Assertion) -> _Fields:
    """WebSphere's name of a custom token: the ValueType as a QName, or for SAML a token type."""
    uri, local = _attribute(assertion.element, "uri"), _attribute(assertion.element, "localname")
    if not local:
        raise _error(assertion, "has no localname")
    name = f"{{{uri}}}{local}" if uri else local
    return {"accepts": frozenset((name, *_SAML_TYPES.get(name, ())))}


def _https_token(assertion: Assertion) -> _Fields:
    found = _read(assertion.nested, _HTTPS_TOKEN)
    if _attribute(assertion.element, "RequireClientCertificate") in ("true", "1"):  # 2005/07
        found["require_client_certificate"] = True
    return {"token": HttpsToken(**found)}


def _listed(table: _Table) -> _Table:
    """The readers of *table*, each for one of several tokens."""

    def listed(reader: _Reader) -> _Reader:
        return lambda assertion: {"tokens": (reader(assertion)["token"],)}

    return {name: listed(reader) for name, reader in table.items()}


def _supporting(kind: str) -> _Reader:
    """Reads a sp:…SupportingTokens (8), whose name says what its tokens are for."""

    def read(assertion: Assertion) -> _Fields:
        found = _read(assertion.nested, _SUPPORTING_TOKENS)
        tokens = found.pop("tokens", ())
        if not tokens:
            raise _error(assertion, "names no token")
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

    return read


def _token(*fields: str, among: _Table) -> _Reader:
    """Reads an assertion that holds one token, which is then the value of all *fields*."""

    def read(assertion: Assertion) -> _Fields:
        for child in assertion.nested:
            if _name(child.element) in _SUPPLIED_TOKENS:
                raise _error(child, "gives no key here, so it cannot protect messages")
        found = _read(assertion.nested, among)
        if "token" not in found:
            raise _error(assertion, "names no token")
        return dict.fromkeys(fields, found["token"])

    return read


def _binding(
    kind: type[SymmetricBinding | AsymmetricBinding | TransportBinding],
    table: _Table,
    tokens: tuple[str, ...],
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
    return vendor or (assertion.ignorable and not name.startswith(("sp:", "mssp:", "cxf:", "spe:")))


def _refuse_all(elements: Iterable[etree._Element], document: str) -> None:
    for element in elements:
        raise _refusal(element, document)


def _refusal(element: etree._Element, document: str) -> PolicyError:
    name = _name(element)
    what = "is not supported" if name in _UNSUPPORTED else "is not known here"
    return _error(Assertion(element, document), what, hint=_UNSUPPORTED.get(name))


def _error(assertion: Assertion, what: str, *, hint: str | None = None) -> PolicyError:
    name = _name(assertion.element)
    where = position(assertion.element, assertion.document)
    return PolicyError(
        f"The policy's assertion {name} {what} ({where})",
        assertion=str(assertion.element.tag),
        position=where,
        hint=hint
        or 'Mark it wsp:Optional="true" or offer an alternative without it, '
        "or pass policy= with a policy of your own.",
    )


_PARTS = ("sp:Body", "sp:Header")
_PATHS = ("sp:XPath",)
#: The child elements of assertions that are no policies.
_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "sp:SignedParts": _PARTS,
    "sp:EncryptedParts": _PARTS,
    "sp:RequiredParts": _PARTS,
    "sp:SignedElements": _PATHS,
    "sp:EncryptedElements": _PATHS,
    "sp:ContentEncryptedElements": _PATHS,
    "sp:RequiredElements": _PATHS,
    "sp:SecureConversationToken": ("sp:Issuer",),  # judged beforehand, by _refuse_other_issuers
    # Where the token comes from and what is in it is between the user and his token service.
    "sp:IssuedToken": ("sp:Issuer", "sp:IssuerName", "sp:RequestSecurityTokenTemplate", "wst:Claims"),
    "sp:SamlToken": ("sp:Issuer", "sp:IssuerName", "wst:Claims"),
    "sp:RelToken": ("sp:Issuer", "sp:IssuerName", "wst:Claims"),
}
_XPATH_10 = "http://www.w3.org/TR/1999/REC-xpath-19991116"
_ADDRESSES = tuple(f"{{{wsa}}}Address" for wsa in (WSA_2004, WSA_2005))
_ANONYMOUS = (f"{WSA_2004}/role/anonymous", f"{WSA_2005}/anonymous")

_INCLUDE = {
    f"{namespace}/IncludeToken/{include.value}": include
    for namespace, family in _FAMILIES.items()
    if family == "sp"
    for include in Include
}

_NOTHING = _set()
#: What assertions without parts mean (4.1.1, 4.2.1).
_EVERYTHING = Parts(body=True, headers=(HeaderPart(namespace=None),))
_BODY = Parts(body=True)

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
        ("", DerivedKeys.EITHER),
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

_USERNAME_TOKEN: _Table = {
    **_DERIVED_KEYS,
    **{f"sp:{name}": _set(token_type=name) for name in ("WssUsernameToken10", "WssUsernameToken11")},
    "sp:NoPassword": _set(password=PasswordForm.NONE),
    "sp:HashPassword": _set(password=PasswordForm.DIGEST),
    "sp:Nonce": _set(nonce=True),
    "sp:Created": _set(created=True),
}
_HTTPS_TOKEN: _Table = {
    "sp:RequireClientCertificate": _set(require_client_certificate=True),
    "sp:HttpBasicAuthentication": _set(http_basic_authentication=True),
    "sp:HttpDigestAuthentication": _set(http_digest_authentication=True),
}

_SAML_1 = "{urn:oasis:names:tc:SAML:1.0:assertion}Assertion"
_SAML_2 = "{urn:oasis:names:tc:SAML:2.0:assertion}Assertion"
_SAML_PROFILE = "http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1"
#: The elements of a token type, as WS-Trust templates and WebSphere's custom tokens name it.
_SAML_TYPES = {
    "urn:oasis:names:tc:SAML:1.0:assertion": (_SAML_1,),
    "urn:oasis:names:tc:SAML:2.0:assertion": (_SAML_2,),
    f"{_SAML_PROFILE}#SAMLV1.1": (_SAML_1,),
    f"{_SAML_PROFILE}#SAMLV2.0": (_SAML_2,),
}
_TOKEN_TYPES = tuple(f"{{{wst}}}TokenType" for wst in (WST_2005, WST_200512))
#: How a carried token is referred to; no signature here refers to one.
_CARRIED: _Table = {
    f"sp:Require{style}Reference": _NOTHING for style in ("KeyIdentifier", "External", "Internal")
}
_ISSUED_TOKEN = _CARRIED
_SAML_TOKEN: _Table = {
    **_CARRIED,
    **{
        f"sp:WssSaml{version}Token{profile}": _set(accepts=frozenset({tag}))
        for version, profile, tag in (
            ("V10", "10", _SAML_1),
            ("V11", "10", _SAML_1),
            ("V10", "11", _SAML_1),
            ("V11", "11", _SAML_1),
            ("V20", "11", _SAML_2),
        )
    },
}
_REL_TOKEN: _Table = {
    **_CARRIED,
    **{f"sp:WssRelV{version}": _NOTHING for version in ("10Token10", "20Token10", "10Token11", "20Token11")},
}
_IBM_TOKENS = "http://www.ibm.com/websphere/appserver/tokentype"
_LTPA = f"{{{_IBM_TOKENS}/5.0.2}}LTPA", f"{{{_IBM_TOKENS}}}LTPAv2"

_X509_ONLY: _Table = {"sp:X509Token": _x509_token}
_ANY_TOKEN: _Table = {
    **_X509_ONLY,
    "sp:SecureConversationToken": _secure_conversation_token,
    "sp:UsernameToken": _username_token,
}
_HTTPS_ONLY: _Table = {"sp:HttpsToken": _https_token}
_SUPPLIED_TOKENS: _Table = {
    "sp:SamlToken": _supplied(_SAML_1, _SAML_2, options=_SAML_TOKEN),
    "sp:RelToken": _supplied("{urn:mpeg:mpeg21:2003:01-REL-R-NS}license", options=_REL_TOKEN),
    "sp:IssuedToken": _issued_token,
    "spe:LTPAToken": _ltpa_token(*_LTPA),
    "spe:LTPAPropagationToken": _ltpa_token(f"{{{_IBM_TOKENS}}}LTPA_PROPAGATION"),
    "spe:CustomToken": _supplied(options={"spe:WssCustomToken": _custom_token}),
}

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

_TRANSPORT_BINDING: _Table = {
    **{name: _ANY_BINDING[name] for name in ("sp:AlgorithmSuite", "sp:Layout", "sp:IncludeTimestamp")},
    "sp:TransportToken": _token("transport_token", among=_HTTPS_ONLY),
}

_SUPPORTING_TOKENS: _Table = {
    **_listed({**_ANY_TOKEN, **_SUPPLIED_TOKENS}),
    "sp:AlgorithmSuite": _ANY_BINDING["sp:AlgorithmSuite"],
    "sp:SignedParts": _parts("signed_parts", _EVERYTHING),
    "sp:EncryptedParts": _parts("encrypted_parts", _BODY),
    "sp:SignedElements": _elements("signed_parts"),
    "sp:EncryptedElements": _elements("encrypted_parts"),
    "sp:ContentEncryptedElements": _elements("encrypted_parts", "contents"),
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
    # What a side must support, should the other use it. None of it is asked of a message in the exchanges for a
    # SecurityContextToken: neither side sends a wst:IssuedTokens header, a challenge, or one for a person.
    **{
        f"sp:MustSupport{what}": _NOTHING
        for what in ("IssuedTokens", "ClientChallenge", "ServerChallenge", "InteractiveChallenge")
    },
    "sp:RequireClientEntropy": _set(require_client_entropy=True),
    "sp:RequireServerEntropy": _set(require_server_entropy=True),
}
_TRUST13: _Table = {
    **_TRUST10,
    "sp:RequireRequestSecurityTokenCollection": _set(require_rstr_collection=True),
    "sp:RequireAppliesTo": _set(require_applies_to=True),
    "sp:ScopePolicy15": _set(scope_policy_15=True),
}
_ADDRESSING: _Table = {"wsam:AnonymousResponses": _NOTHING}

_BINDINGS: _Table = {
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
_POLICY: _Table = {
    **_BINDINGS,
    **{f"sp:{kind}SupportingTokens": _supporting(kind) for kind in _SUPPORTING_KINDS},
    "sp:SignedParts": _parts("signed", _EVERYTHING),
    "sp:EncryptedParts": _parts("encrypted", _BODY),
    "sp:RequiredParts": _parts("required", None),
    "sp:SignedElements": _elements("signed"),
    "sp:EncryptedElements": _elements("encrypted"),
    "sp:ContentEncryptedElements": _elements("encrypted", "contents"),
    "sp:RequiredElements": _elements("required"),
    "sp:Wss10": _nested(lambda found: {"wss": Wss(version="1.0", **found)}, _WSS10),
    "sp:Wss11": _nested(lambda found: {"wss": Wss(version="1.1", **found)}, _WSS11),
    "sp:Trust10": _nested(lambda found: {"trust": TrustOptions(wst=WST_2005, **found)}, _TRUST10),
    "sp:Trust13": _nested(lambda found: {"trust": TrustOptions(wst=WST_200512, **found)}, _TRUST13),
    "wsam:Addressing": _nested(lambda _: {"addressing": WSA_2005}, _ADDRESSING),
    "wsaw:UsingAddressing": _set(addressing=WSA_2005),
    "wsap:UsingAddressing": _set(addressing=WSA_2004),
}
