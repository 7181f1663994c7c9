"""The words of WS-SecurityPolicy, and how one alternative of them is read by a table.

A name is written with the prefix of its family, whatever the generation of its namespace: ``sp:X509Token`` is that of
2005/07, 200512 and 200702 alike. What a table does not hold is refused by name, never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lxml import etree

from ..errors import PolicyError
from ..names import SP_2005, SP_200512, SP_200702, SP_200802, WSAM, WST_2005, WST_200512
from .alternatives import Assertion, position
from .model import Parts
from .suites import CXF_SUITES

#: Namespace of an assertion, and the prefix its family has in the tables.
FAMILIES = {
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
    f"{{{namespace}}}UsingAddressing" for namespace, family in FAMILIES.items() if family in ("wsaw", "wsap")
)

#: Configuration of the stack that published the policy: nothing of it goes over the wire.
_VENDOR_CONFIGURATION = (
    "http://schemas.sun.com/2006/03/wss/",
    "http://schemas.sun.com/2006/03/rm",
    "http://schemas.sun.com/ws/2006/05/sc/",
    "http://schemas.sun.com/ws/2006/05/trust/",
    "http://sun.com/2006/03/rm",
    "http://java.sun.com/xml/ns/wsit/2006/09/policy/",
    "http://java.sun.com/xml/ns/metro/management",
    "http://ws.apache.org/rampart/policy",
    "http://ws.apache.org/sandesha2/policy",
    "http://www.wso2.org/products/carbon/security",
    "http://cxf.apache.org/transports/http/configuration",
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

Fields = dict[str, Any]
Reader = Callable[[Assertion], Fields]
Table = Mapping[str, Reader]


def read(assertions: Iterable[Assertion], table: Table) -> Fields:
    """Reads *assertions* by *table*; sets and parts join, everything else may be said once or alike."""
    found: Fields = {}
    for assertion in assertions:
        name = name_of(assertion.element)
        reader = table.get(name)
        if reader is None:
            if _may_be_ignored(assertion, name):
                continue
            raise _refusal(assertion.element, assertion.document)
        known = _PARAMETERS.get(name, ())
        refuse_all((p for p in assertion.parameters if name_of(p) not in known), assertion.document)
        for field, value in reader(assertion).items():
            found[field] = _joined(assertion, found[field], value) if field in found else value
    return found


def _joined(assertion: Assertion, old: Any, new: Any) -> Any:
    if isinstance(new, (Parts, frozenset)):
        return old | new
    if isinstance(new, tuple):
        return tuple(dict.fromkeys(old + new))
    if old != new:
        raise policy_error(assertion, "contradicts another assertion of the same alternative")
    return old


def says(**fields: Any) -> Reader:
    """Reads an assertion without content: its presence says *fields*."""

    def reader(assertion: Assertion) -> Fields:
        refuse_all((child.element for child in assertion.nested), assertion.document)
        return fields

    return reader


def nested(make: Callable[[Fields], Fields], table: Table) -> Reader:
    """Reads the policy inside an assertion by *table* and makes the assertion's own value from it."""
    return lambda assertion: make(read(assertion.nested, table))


def inner(field: str, table: Table) -> Reader:
    """Reads an assertion whose nested policy chooses the value of *field*."""

    def reader(assertion: Assertion) -> Fields:
        found = read(assertion.nested, table)
        if field not in found:
            raise policy_error(assertion, "chooses nothing")
        return found

    return reader


def attribute(element: etree._Element, local: str) -> str | None:
    """An attribute of an assertion; stacks write it with the namespace of the assertion and without."""
    values = {
        str(value).strip()
        for key, value in element.attrib.items()
        if key == local or _canonical(str(key)) in (f"sp:{local}", f"spe:{local}")
    }
    return " and ".join(sorted(values)) if values else None


def name_of(element: etree._Element) -> str:
    """The name of an assertion as the tables have it; the tag of what is in no family."""
    return _canonical(str(element.tag))


def _canonical(tag: str) -> str:
    namespace, _, local = tag[1:].rpartition("}") if tag[:1] == "{" else ("", "", tag)
    family = FAMILIES.get(namespace)
    return f"{family}:{local}" if family else tag


def _may_be_ignored(assertion: Assertion, name: str) -> bool:
    """Configuration of a vendor, and what is marked wsp:Ignorable; never a demand of WS-SecurityPolicy."""
    vendor = str(assertion.element.tag)[1:].startswith(_VENDOR_CONFIGURATION)
    return vendor or (assertion.ignorable and not name.startswith(("sp:", "mssp:", "cxf:", "spe:")))


def refuse_all(elements: Iterable[etree._Element], document: str) -> None:
    """Refuses what has no place where it stands.

    Raises:
        PolicyError: there is anything.
    """
    for element in elements:
        raise _refusal(element, document)


def _refusal(element: etree._Element, document: str) -> PolicyError:
    name = name_of(element)
    what = "is not supported" if name in _UNSUPPORTED else "is not known here"
    return policy_error(Assertion(element, document), what, hint=_UNSUPPORTED.get(name))


def policy_error(assertion: Assertion, what: str, *, hint: str | None = None) -> PolicyError:
    """An error that names an assertion and says where it stands."""
    name = name_of(assertion.element)
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

NOTHING = says()
