"""The contract of the demonstration service: its WSDL, and how it is published with a policy."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from lxml import etree

from ..errors import ConfigurationError, VerificationError
from ..limits import Limits
from ..names import WSA_2005, WSDL, WSDL_SOAP11, WSDL_SOAP12, WSP_2004, WSP_W3C, WSU
from ..soap.envelope import parse

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: The namespace of the contract, and of everything in its messages.
NAMESPACE = "urn:secureconv:peer"

_ADDRESS = 'location="http://localhost/peer"'
_POLICY = "<!-- policy -->"
_REFERENCE = "<!-- policy reference -->"
_WSDL_SOAP = {"1.1": WSDL_SOAP11, "1.2": WSDL_SOAP12}


def demonstration_wsdl(policy_document: bytes | None, *, address: str, soap: str = "1.1") -> bytes:
    """The WSDL that the demonstration service publishes.

    Args:
        policy_document: a wsp:Policy, which is attached to the binding (WS-PolicyAttachment, endpoint policy
            subject); or a WSDL of this same contract, which is published as it is but for its soap:address;
            or None for the contract without a policy.
        address: URL of the service.
        soap: "1.1" or "1.2": the binding; a WSDL brings its own.

    Raises:
        ConfigurationError: when *policy_document* is neither, or a WSDL of another contract.
    """
    if policy_document is None:
        return _contract("", "", address=address, soap=soap)
    root = _parse(policy_document)
    if root.tag == f"{{{WSDL}}}definitions":
        _need_contract(root)
        return published_wsdl(policy_document, address=address)
    if root.tag in (f"{{{WSP_2004}}}Policy", f"{{{WSP_W3C}}}Policy"):
        return _with_policy(root, address=address, soap=soap)
    raise ConfigurationError(
        f"The policy document is neither a WSDL nor a wsp:Policy: its root is {etree.QName(root).text}",
        hint="give a saved WSDL, or a file whose root is wsp:Policy",
    )


def published_wsdl(document: bytes, *, address: str) -> bytes:
    """A WSDL of any contract as a service publishes it: as it is, policy and all, but for the service's address.

    Args:
        document: the WSDL; what it imports must be reachable for clients by itself.
        address: URL of the service; every port gets it.

    Raises:
        ConfigurationError: when it cannot be read, or has no port with a soap:address.
    """
    _parse(document)
    # now that it is known to be harmless, with the comments that messages must not have
    faithful = etree.XMLParser(resolve_entities=False, no_network=True, strip_cdata=False)
    return _with_address(etree.fromstring(document, faithful), address)


def contract_schema() -> etree.XMLSchema:
    """The XML Schema of the contract's messages."""
    definitions = etree.fromstring(_template().encode())
    (schema,) = definitions.iterfind(f"{{{WSDL}}}types/{{http://www.w3.org/2001/XMLSchema}}schema")
    return etree.XMLSchema(schema)


class Published:
    """A WSGI application that answers ``GET …?wsdl`` with a WSDL, and hands everything else on.

    Args:
        app: the application that answers the rest.
        wsdl: the document.
    """

    def __init__(self, app: WSGIApplication, wsdl: bytes) -> None:
        self._app = app
        self._wsdl = wsdl

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        if environ["REQUEST_METHOD"] != "GET" or environ.get("QUERY_STRING", "").lower() != "wsdl":
            return self._app(environ, start_response)
        length = str(len(self._wsdl))
        start_response("200 OK", [("Content-Type", "text/xml; charset=utf-8"), ("Content-Length", length)])
        return [self._wsdl]


def _template() -> str:
    return files(__package__).joinpath("peer.wsdl").read_text(encoding="utf-8")


def _parse(document: bytes) -> etree._Element:
    try:
        return parse(document, Limits())
    except VerificationError as error:
        raise ConfigurationError(
            f"The policy document cannot be read: {error.message}",
            hint="give a saved WSDL, or a file whose root is wsp:Policy",
        ) from error


def _contract(policy: str, reference: str, *, address: str, soap: str) -> bytes:
    text = _template().replace(WSDL_SOAP11, _WSDL_SOAP[soap])
    location = f"location={quoteattr(address)}"
    for mark, value in ((_ADDRESS, location), (_REFERENCE, reference), (_POLICY, policy)):
        text = text.replace(mark, value)
    return text.encode()


def _with_policy(policy: etree._Element, *, address: str, soap: str) -> bytes:
    # The policy goes in as text: lxml would drop declarations that only the content of an sp:XPath needs
    identifier = policy.get(f"{{{WSU}}}Id") or "Policy"
    policy.set(f"{{{WSU}}}Id", identifier)
    namespace = quoteattr(str(etree.QName(policy).namespace))
    reference = f"<wsp:PolicyReference xmlns:wsp={namespace} URI={quoteattr('#' + identifier)}/>"
    text = etree.tostring(policy, encoding="unicode", with_tail=False)
    return _contract(text, reference, address=address, soap=soap)


def _need_contract(definitions: etree._Element) -> None:
    if definitions.get("targetNamespace") != NAMESPACE:
        raise ConfigurationError(
            f"The WSDL describes another contract: {definitions.get('targetNamespace')}",
            hint=f"give a WSDL of {NAMESPACE}, or save the wsp:Policy alone and give that",
        )


def _with_address(definitions: etree._Element, address: str) -> bytes:
    ports = definitions.findall(f"{{{WSDL}}}service/{{{WSDL}}}port")
    places = [
        place
        for soap in _WSDL_SOAP.values()
        for port in ports
        for place in port.iterfind(f"{{{soap}}}address")
    ]
    if not places:
        raise ConfigurationError(
            "The WSDL has no port with a soap:address", hint="save the WSDL that has the wsdl:service"
        )
    for place in places:
        place.set("location", address)
    for port in ports:
        # WCF and Metro write the address a second time (WS-Addressing 1.0 Metadata, section 4.1)
        for place in port.iterfind(f"{{{WSA_2005}}}EndpointReference/{{{WSA_2005}}}Address"):
            place.text = address
    # the whole tree: comments may stand around its root
    return etree.tostring(definitions.getroottree(), xml_declaration=True, encoding="UTF-8")
