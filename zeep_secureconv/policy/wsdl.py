"""The documents of a WSDL 1.1, what stands in them, and the port that is meant.

A WSDL is as little to be trusted as a message: nothing is fetched here but what *load* is asked for, and that is
bounded.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urljoin

from lxml import etree

from ..errors import ConfigurationError, PolicyError
from ..names import DS, SOAP11, SOAP12, WSA_2004, WSA_2005, WSDL, WSDL_SOAP11, WSDL_SOAP12
from .alternatives import Alternatives, Library, Load, PolicyDocument, children, is_attachment, position
from .vocabulary import USING_ADDRESSING

#: The envelope's namespace by that of the binding's extension.
ENVELOPE_OF = {WSDL_SOAP11: SOAP11, WSDL_SOAP12: SOAP12}
_MAX_DOCUMENTS = 64

_ENDPOINT_REFERENCES = tuple(f"{{{wsa}}}EndpointReference" for wsa in (WSA_2005, WSA_2004))
#: Where it has the certificate (Application Note: Web Services Addressing Endpoint References and Identity).
_IDENTITY = (
    "{http://schemas.xmlsoap.org/ws/2006/02/addressingidentity}Identity/"
    f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate"
)

#: The policies that hold together for a subject: of a message, its operation, its endpoint.
Scope = tuple[Alternatives, ...]


class Node(NamedTuple):
    """An element of a WSDL and the document that it stands in."""

    element: etree._Element
    document: PolicyDocument

    def scope(self) -> Scope:
        """The policies that are attached to it."""
        return self.document.attached(self.element, USING_ADDRESSING)

    def children(self, local: str) -> Iterator[Node]:
        """Its children of that local name, in the namespace of WSDL."""
        for child in self.element.iterchildren(_wsdl(local)):
            yield Node(child, self.document)

    def name(self) -> str:
        """Its name; "" without one."""
        return self.element.get("name", "")

    def qname(self, attribute: str) -> str:
        """The QName that *attribute* holds, in Clark notation; "" without it.

        Raises:
            ConfigurationError: its prefix is not declared.
        """
        prefix, _, local = self.element.get(attribute, "").strip().rpartition(":")
        namespace = self.element.nsmap.get(prefix or None)
        if prefix and namespace is None:
            raise broken(f"the prefix {prefix!r} of a {attribute} is not declared")
        return f"{{{namespace}}}{local}" if namespace else local


class Documents:
    """The documents of a WSDL; imports are loaded only when something is not found without them.

    Args:
        root: the wsdl:definitions.
        location: where it came from, or None.
        load: gives the root of another document, or None where nothing may be loaded.
        library: the policies that are kept while the WSDL is read.

    Raises:
        ConfigurationError: it is none, or it is broken.
        PolicyError: it has a wsp:PolicyAttachment.
    """

    def __init__(
        self, root: etree._Element, location: str | None, load: Load | None, library: Library
    ) -> None:
        if root.tag != _wsdl("definitions"):
            raise ConfigurationError(
                f"The document is a {root.tag!s}, not a WSDL 1.1",
                hint="Give a document whose root element is wsdl:definitions or wsp:Policy.",
            )
        self._load = load
        self._library = library
        self._loaded: list[PolicyDocument] = []
        self._named: dict[tuple[str, str], Node] = {}
        self._seen: set[str] = set()
        self._waiting: list[tuple[str, PolicyDocument]] = []
        self._add(PolicyDocument(root, location, library))

    def __iter__(self) -> Iterator[PolicyDocument]:
        index = 0
        while index < len(self._loaded) or self._load_next():
            yield self._loaded[index]
            index += 1

    def find(self, local: str, name: str) -> Node:
        """The top-level element called *name* (Clark notation).

        Raises:
            ConfigurationError: there is none, or an import cannot be loaded.
        """
        key = _wsdl(local), name
        while key not in self._named:
            if not self._load_next():
                raise broken(f"it has no wsdl:{local} called {name!r}")
        return self._named[key]

    def _add(self, document: PolicyDocument) -> None:
        self._loaded.append(document)
        if document.location is not None:
            self._seen.add(document.location)
        for child in children(document.root):
            if is_attachment(child):
                where = position(child, document.name)
                raise PolicyError(
                    f"The WSDL has a wsp:PolicyAttachment, which is not supported ({where})",
                    assertion=str(child.tag),
                    position=where,
                    hint="attach the policy by wsp:PolicyReference where it holds, or pass policy=",
                )
            name = in_namespace(document.root.get("targetNamespace"), child.get("name", ""))
            self._named.setdefault((str(child.tag), name), Node(child, document))
            if child.tag == _wsdl("import") and child.get("location"):
                self._waiting.append((child.get("location", "").strip(), document))

    def _load_next(self) -> bool:
        """Loads imports until one of them is a further document."""
        while self._waiting:
            relative, importer = self._waiting.pop(0)
            location = _joined(importer.location or "", relative)
            if location in self._seen:
                continue
            self._seen.add(location)
            if len(self._seen) > _MAX_DOCUMENTS:
                raise broken(f"it imports more than {_MAX_DOCUMENTS} documents")
            root = self._fetch(location, importer)
            # Some import a schema where xs:import belongs; it holds nothing for us.
            if root.tag == _wsdl("definitions"):
                self._add(PolicyDocument(root, location, self._library))
                return True
        return False

    def _fetch(self, location: str, importer: PolicyDocument) -> etree._Element:
        if self._load is None:
            raise ConfigurationError(
                f"The WSDL imports {location!r}, and imports cannot be loaded here",
                hint="Give a WSDL in one piece, or pass policy= with the policy.",
            )
        if importer.location is None:
            raise ConfigurationError(
                f"The WSDL imports {location!r}, and where it came from itself is not known",
                hint="Give the WSDL by its location, or pass policy= with the policy.",
            )
        return self._load(location)


class Port(NamedTuple):
    """A wsdl:port with its wsdl:service, or just a binding that no port has."""

    binding: str
    name: str = ""
    address: str | None = None
    nodes: tuple[Node, ...] = ()

    def scope(self) -> Scope:
        """The policies that are attached to it and to its service."""
        return tuple(policy for node in self.nodes for policy in node.scope())

    def identity(self) -> bytes | None:
        """The service's certificate (DER), in the endpoint reference that Metro and WCF put into the port."""
        if not self.nodes or self.address is None:
            return None
        for reference in self.nodes[-1].element.iterchildren(*_ENDPOINT_REFERENCES):
            for certificate in reference.iterfind(_IDENTITY):
                return _decoded(certificate.text or "")
        return None


def _ports(documents: Documents, binding: str | None, name: str | None) -> list[Port]:
    """The SOAP ports that *binding* and *name* leave, from the first document that has any."""
    for document in documents:
        services = Node(document.root, document).children("service")
        found = [
            Port(port.qname("binding"), f"{service.name()}/{port.name()}", address, (service, port))
            for service in services
            for port in service.children("port")
            if (address := _soap_address(port)) is not None
            and name in (None, port.name())
            and binding in (None, port.qname("binding"))
        ]
        if found:
            return found
    return []


def _soap_address(port: Node) -> str | None:
    found = port.element.iterchildren(*(f"{{{namespace}}}address" for namespace in ENVELOPE_OF))
    return next((address.get("location", "") for address in found), None)


def choose_port(documents: Documents, binding: str | None, name: str | None) -> Port:
    """The port that is meant.

    Args:
        documents: the WSDL.
        binding: the wsdl:binding as a QName in Clark notation, or None.
        name: of the wsdl:port, or None.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    ports = _ports(documents, binding, name)
    if len(ports) == 1:
        return ports[0]
    if not ports and binding is not None and name is None:
        return Port(binding)
    if not ports:
        raise ConfigurationError(
            f"The WSDL has no SOAP port {name!r}" if name else "The WSDL has no SOAP port",
            hint="Name a port of the WSDL that has a soap:address.",
        )
    if binding is not None and len({port.scope() for port in ports}) == 1:
        # Such ports differ in nothing but their address, as those for HTTP and HTTPS often do.
        return ports[0]._replace(address=None)
    candidates = "; ".join(f"{port.name} with binding {port.binding}" for port in ports)
    raise ConfigurationError(
        f"The WSDL has several SOAP ports that fit: {candidates}",
        hint="Name the port, or the binding, that you want.",
    )


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None


def _joined(base: str, relative: str) -> str:
    try:
        return urljoin(base, relative)
    except ValueError:
        raise broken("it imports a document whose location is no URL") from None


def in_namespace(namespace: str | None, local: str) -> str:
    """A name in Clark notation."""
    return f"{{{namespace}}}{local}" if namespace else local


def _wsdl(local: str) -> str:
    return f"{{{WSDL}}}{local}"


def broken(what: str) -> ConfigurationError:
    """The error for a WSDL that says *what*."""
    return ConfigurationError(f"The WSDL is broken: {what}", hint="Correct the WSDL, or pass policy=.")
