"""Reads the policies of a WSDL 1.1, or a bare policy, into the model.

This room knows where policies may be attached and what belongs to a message; what a policy means is
``assertions``' business. A WSDL is as little to be trusted as a message: nothing is fetched here but what
*load* is asked for, and that is bounded.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import urljoin

from lxml import etree

from ..errors import ConfigurationError, PolicyError
from ..names import DS, SOAP11, SOAP12, WSA_2004, WSA_2005, WSAM, WSDL, WSDL_SOAP11, WSDL_SOAP12
from .alternatives import (
    Alternatives,
    Library,
    Load,
    PolicyDocument,
    children,
    is_attachment,
    is_policy,
    merge,
    position,
)
from .choice import Chooser, Satisfiable
from .model import Direction, EndpointPolicy, OperationPolicy, Policy
from .vocabulary import USING_ADDRESSING

_ENVELOPE_OF = {WSDL_SOAP11: SOAP11, WSDL_SOAP12: SOAP12}
_ACTIONS = tuple(
    f"{{{namespace}}}Action"
    for namespace in (
        WSAM,
        "http://www.w3.org/2007/02/addressing/metadata",
        "http://www.w3.org/2006/05/addressing/wsdl",
        "http://www.w3.org/2005/02/addressing/wsdl",
        WSA_2004,
    )
)
_MAX_DOCUMENTS = 64

_ENDPOINT_REFERENCES = tuple(f"{{{wsa}}}EndpointReference" for wsa in (WSA_2005, WSA_2004))
#: Where it has the certificate (Application Note: Web Services Addressing Endpoint References and Identity).
_IDENTITY = (
    "{http://schemas.xmlsoap.org/ws/2006/02/addressingidentity}Identity/"
    f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate"
)

_Scope = tuple[Alternatives, ...]


def read_document(
    root: etree._Element,
    *,
    location: str | None = None,
    load: Load | None = None,
    binding: str | None = None,
    port: str | None = None,
    satisfiable: Satisfiable | None = None,
    allow_external: bool = False,
) -> EndpointPolicy:
    """Reads a WSDL or a bare wsp:Policy, whichever *root* is.

    Arguments and errors are those of :func:`read_wsdl` and :func:`read_policy`.
    """
    if is_policy(root):
        return read_policy(
            root, location=location, load=load, satisfiable=satisfiable, allow_external=allow_external
        )
    return read_wsdl(
        root,
        location=location,
        load=load,
        binding=binding,
        port=port,
        satisfiable=satisfiable,
        allow_external=allow_external,
    )


def read_policy(
    root: etree._Element,
    *,
    location: str | None = None,
    load: Load | None = None,
    satisfiable: Satisfiable | None = None,
    allow_external: bool = False,
) -> EndpointPolicy:
    """Reads a wsp:Policy that stands alone: it holds for every message of an endpoint.

    Args:
        root: the wsp:Policy, of either namespace of WS-Policy, or a policy.xml of WebSphere.
        location: where it came from: references are relative to it, and messages to people name it.
        load: gives the root of a document that a reference leads to; None: references stay in the document.
        satisfiable: says why an alternative cannot be satisfied, or None; default: any can.
        allow_external: whether references may leave the origin or the folder of *location*.

    Raises:
        ConfigurationError: *root* is no policy.
        PolicyError: no alternative of it can be satisfied; the error has the reasons.
    """
    alternatives = _alternatives(root, location, load, allow_external)
    chooser = Chooser(satisfiable=satisfiable)
    request = chooser.choose(alternatives, Direction.REQUEST)
    return EndpointPolicy(endpoint=request, response=chooser.answer(alternatives, request))


def read_wsdl(
    root: etree._Element,
    *,
    location: str | None = None,
    load: Load | None = None,
    binding: str | None = None,
    port: str | None = None,
    satisfiable: Satisfiable | None = None,
    allow_external: bool = False,
) -> EndpointPolicy:
    """Reads the effective policies of one endpoint of a WSDL (WS-PolicyAttachment 1.5, 4).

    Args:
        root: the wsdl:definitions, parsed without DTD and without entities.
        location: where it came from: imports and references are relative to it, and messages to people name it.
        load: gives the root of an imported document by its absolute location; it decides what may be loaded.
            None: a WSDL that needs its imports is refused.
        binding: the wsdl:binding as a QName in Clark notation; default: that of the port.
        port: the name of the wsdl:port; default: the only one with a SOAP address.
        satisfiable: says why an alternative cannot be satisfied, or None; default: any can.
        allow_external: whether references to policies may leave the origin or the folder of *location*.

    Raises:
        ConfigurationError: there is no such endpoint or more than one, or the WSDL is broken or incomplete.
        PolicyError: for one of the messages no alternative can be satisfied; the error has the reasons.
    """
    documents = _documents(root, location, load, Library(load, allow_external=allow_external))
    return _Endpoint.of(documents, _choose_port(documents, binding, port), satisfiable).read()


def read_alternatives(
    root: etree._Element,
    *,
    location: str | None = None,
    load: Load | None = None,
    binding: str | None = None,
    port: str | None = None,
    satisfiable: Satisfiable | None = None,
    allow_external: bool = False,
) -> tuple[EndpointPolicy, ...]:
    """Every alternative of an endpoint, each complete: a service that publishes them accepts any.

    The policies of the operations are the alternatives that agree with that of the endpoint in binding, suite and
    conversation. What an operation cannot agree with is left out.

    Args:
        root: the wsdl:definitions or wsp:Policy.
        location: where it came from.
        load: gives the root of another document.
        binding: the wsdl:binding as a QName in Clark notation.
        port: the name of the wsdl:port.
        satisfiable: says why an alternative cannot be satisfied, or None; default: any can.
        allow_external: whether references to policies may leave the origin or the folder of *location*.

    Raises:
        ConfigurationError: as of :func:`read_document`.
        PolicyError: no alternative can be satisfied.
    """
    if not is_policy(root):
        library = Library(load, allow_external=allow_external)
        documents = _documents(root, location, load, library)
        return _Endpoint.of(documents, _choose_port(documents, binding, port), satisfiable).read_every()
    alternatives = _alternatives(root, location, load, allow_external)
    chooser = Chooser(satisfiable=satisfiable)
    return tuple(
        EndpointPolicy(endpoint=request, response=chooser.answer(alternatives, request))
        for request in chooser.every(alternatives, Direction.REQUEST)
    )


def _alternatives(
    root: etree._Element, location: str | None, load: Load | None, allow_external: bool
) -> Alternatives:
    """Those of a wsp:Policy that stands alone."""
    if not is_policy(root):
        raise ConfigurationError(
            f"The document is a {root.tag!s}, not a policy",
            hint="Give a document whose root element is wsp:Policy.",
        )
    library = Library(load, allow_external=allow_external)
    return PolicyDocument(root, location, library).alternatives(root)


def _documents(root: etree._Element, location: str | None, load: Load | None, library: Library) -> _Documents:
    if root.tag != _wsdl("definitions"):
        raise ConfigurationError(
            f"The document is a {root.tag!s}, not a WSDL 1.1",
            hint="Give a document whose root element is wsdl:definitions or wsp:Policy.",
        )
    return _Documents(root, location, load, library)


def _agreeing(chosen: Policy) -> Satisfiable:
    """Refuses a policy that is not of the same conversation as *chosen*, or that differs in its protection."""

    def disagrees(policy: Policy) -> str | None:
        if policy.binding == chosen.binding and policy.conversation_token == chosen.conversation_token:
            return None
        return "it does not go with the alternative that was chosen for the endpoint"

    return disagrees


class _Node(NamedTuple):
    """An element of a WSDL and the document that it stands in."""

    element: etree._Element
    document: PolicyDocument

    def scope(self) -> _Scope:
        return self.document.attached(self.element, USING_ADDRESSING)

    def children(self, local: str) -> Iterator[_Node]:
        for child in self.element.iterchildren(_wsdl(local)):
            yield _Node(child, self.document)

    def name(self) -> str:
        return self.element.get("name", "")

    def qname(self, attribute: str) -> str:
        """The QName that *attribute* holds, in Clark notation; "" without it."""
        prefix, _, local = self.element.get(attribute, "").strip().rpartition(":")
        namespace = self.element.nsmap.get(prefix or None)
        if prefix and namespace is None:
            raise _broken(f"the prefix {prefix!r} of a {attribute} is not declared")
        return f"{{{namespace}}}{local}" if namespace else local


class _Documents:
    """The documents of a WSDL; imports are loaded only when something is not found without them."""

    def __init__(
        self, root: etree._Element, location: str | None, load: Load | None, library: Library
    ) -> None:
        self._load = load
        self._library = library
        self._loaded: list[PolicyDocument] = []
        self._named: dict[tuple[str, str], _Node] = {}
        self._seen: set[str] = set()
        self._waiting: list[tuple[str, PolicyDocument]] = []
        self._add(PolicyDocument(root, location, library))

    def __iter__(self) -> Iterator[PolicyDocument]:
        index = 0
        while index < len(self._loaded) or self._load_next():
            yield self._loaded[index]
            index += 1

    def find(self, local: str, name: str) -> _Node:
        """The top-level element called *name* (Clark notation)."""
        key = _wsdl(local), name
        while key not in self._named:
            if not self._load_next():
                raise _broken(f"it has no wsdl:{local} called {name!r}")
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
            name = _in_namespace(document.root.get("targetNamespace"), child.get("name", ""))
            self._named.setdefault((str(child.tag), name), _Node(child, document))
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
                raise _broken(f"it imports more than {_MAX_DOCUMENTS} documents")
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


class _Port(NamedTuple):
    """A wsdl:port with its wsdl:service, or just a binding that no port has."""

    binding: str
    name: str = ""
    address: str | None = None
    nodes: tuple[_Node, ...] = ()

    def scope(self) -> _Scope:
        return tuple(policy for node in self.nodes for policy in node.scope())

    def identity(self) -> bytes | None:
        """The service's certificate (DER), in the endpoint reference that Metro and WCF put into the port."""
        if not self.nodes or self.address is None:
            return None
        for reference in self.nodes[-1].element.iterchildren(*_ENDPOINT_REFERENCES):
            for certificate in reference.iterfind(_IDENTITY):
                return _decoded(certificate.text or "")
        return None


def _ports(documents: _Documents, binding: str | None, name: str | None) -> list[_Port]:
    """The SOAP ports that *binding* and *name* leave, from the first document that has any."""
    for document in documents:
        services = _Node(document.root, document).children("service")
        found = [
            _Port(port.qname("binding"), f"{service.name()}/{port.name()}", address, (service, port))
            for service in services
            for port in service.children("port")
            if (address := _soap_address(port)) is not None
            and name in (None, port.name())
            and binding in (None, port.qname("binding"))
        ]
        if found:
            return found
    return []


def _soap_address(port: _Node) -> str | None:
    found = port.element.iterchildren(*(f"{{{namespace}}}address" for namespace in _ENVELOPE_OF))
    return next((address.get("location", "") for address in found), None)


def _choose_port(documents: _Documents, binding: str | None, name: str | None) -> _Port:
    ports = _ports(documents, binding, name)
    if len(ports) == 1:
        return ports[0]
    if not ports and binding is not None and name is None:
        return _Port(binding)
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


class _Message(NamedTuple):
    """An input, output or fault: in the binding, if it stands there; in the port type; its wsdl:message."""

    bound: _Node | None
    abstract: _Node
    message: _Node

    def scope(self) -> _Scope:
        return tuple(policy for node in self if node is not None for policy in node.scope())

    def action(self) -> str | None:
        """The action that the port type gives explicitly (WS-Addressing 1.0 Metadata, 4.4.1)."""
        return next(filter(None, (self.abstract.element.get(name) for name in _ACTIONS)), None)

    def first_element(self, left_out: Container[str] = (), only: Container[str] | None = None) -> str | None:
        """The element of the first part that is not left out and, where given, is among *only*."""
        for part in self.message.children("part"):
            if part.name() not in left_out and (only is None or part.name() in only):
                return part.qname("element") or None
        return None


@dataclass(frozen=True)
class _Endpoint:
    """What the messages of one endpoint have in common.

    The policy of an operation that cannot be satisfied is no error before somebody calls it, that of the endpoint is.
    """

    documents: _Documents
    port: _Port
    binding: _Node
    port_type: _Node
    soap: str
    style: str
    scope: _Scope
    chooser: Chooser
    choose: Callable[[Alternatives, Direction], Policy]
    policies: dict[tuple[_Scope, Direction], Policy] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: _Documents, port: _Port, satisfiable: Satisfiable | None) -> _Endpoint:
        binding = documents.find("binding", port.binding)
        port_type = documents.find("portType", binding.qname("type"))
        chooser = Chooser(satisfiable=satisfiable, address=port.address)
        for namespace in _ENVELOPE_OF:
            for soap in binding.element.iterchildren(f"{{{namespace}}}binding"):
                scope = port.scope() + binding.scope() + port_type.scope()
                style = soap.get("style", "document")
                return cls(
                    documents, port, binding, port_type, namespace, style, scope, chooser, chooser.prefer
                )
        raise ConfigurationError(
            f"The binding {port.binding} is not one of SOAP", hint="Name a binding that has a soap:binding."
        )

    def read_every(self) -> tuple[EndpointPolicy, ...]:
        """Every alternative of the endpoint with those of its operations that agree with it."""
        found: list[EndpointPolicy] = []
        first: PolicyError | None = None
        for policy in self.chooser.every(merge(self.scope), Direction.REQUEST):
            # A binding may stand at the operations only; then they have nothing to agree with.
            own = self.chooser
            agreeing = own if policy.binding is None else own.within(_agreeing(policy))
            known = {(self.scope, Direction.REQUEST): policy}
            try:
                read = replace(self, choose=agreeing.choose, policies=known).read()
            except PolicyError as error:
                first = first or error
            else:
                found += [] if read in found else [read]
        if not found and first is not None:
            raise first
        return tuple(found)

    def read(self) -> EndpointPolicy:
        operations: dict[str, OperationPolicy] = {}
        actions: dict[str, str] = {}
        for bound in self.binding.children("operation"):
            if bound.name() in operations:
                raise _broken(f"the binding has several operations called {bound.name()!r}")
            abstract = self._abstract(bound)
            request = self._message(bound, abstract, "input")
            if request is None:
                continue  # only the service could start such an operation
            response = self._message(bound, abstract, "output")
            faults = self._faults(bound, abstract)
            operations[bound.name()] = self._operation(bound, abstract, request, response, faults)
            actions |= self._response_actions(bound.name(), response, faults)
        return EndpointPolicy(
            endpoint=self._policy(self.scope, Direction.REQUEST),
            operations=operations,
            soap=_ENVELOPE_OF[self.soap],
            address=self.port.address,
            response_actions=actions,
            identity=self.port.identity(),
        )

    def _operation(
        self,
        bound: _Node,
        abstract: _Node,
        request: _Message,
        response: _Message | None,
        faults: dict[str, _Message],
    ) -> OperationPolicy:
        scope = self.scope + bound.scope() + abstract.scope()
        return OperationPolicy(
            name=bound.name(),
            actions=self._request_actions(bound, request, response),
            input_element=self._input_element(bound, request),
            has_output=response is not None,
            request=self._policy(scope + request.scope(), Direction.REQUEST),
            response=self._policy(scope + response.scope() if response else scope, Direction.RESPONSE),
            fault=self._policy(scope, Direction.RESPONSE),
            faults=self._fault_policies(scope, faults),
        )

    def _policy(self, scope: _Scope, direction: Direction) -> Policy:
        key = scope, direction
        if key not in self.policies:
            choose = self.chooser.choose if key == (self.scope, Direction.REQUEST) else self.choose
            self.policies[key] = choose(merge(scope), direction)
        return self.policies[key]

    def _abstract(self, bound: _Node) -> _Node:
        named = [node for node in self.port_type.children("operation") if node.name() == bound.name()]
        if len(named) != 1:
            raise _broken(f"the portType has {len(named)} operations called {bound.name()!r}")
        return named[0]

    def _message(self, bound: _Node, abstract: _Node, kind: str) -> _Message | None:
        for node in abstract.children(kind):
            return self._described(next(bound.children(kind), None), node)
        return None

    def _faults(self, bound: _Node, abstract: _Node) -> dict[str, _Message]:
        bindings = {node.name(): node for node in bound.children("fault")}
        return {
            node.name(): self._described(bindings.get(node.name()), node)
            for node in abstract.children("fault")
        }

    def _described(self, bound: _Node | None, abstract: _Node) -> _Message:
        return _Message(bound, abstract, self.documents.find("message", abstract.qname("message")))

    def _soap_child(self, node: _Node | None, local: str) -> etree._Element | None:
        # soap:body may stand inside the parts of a mime:multipartRelated.
        return next(node.element.iter(f"{{{self.soap}}}{local}"), None) if node is not None else None

    def _request_actions(self, bound: _Node, request: _Message, response: _Message | None) -> frozenset[str]:
        operation = self._soap_child(bound, "operation")
        soap_action = operation.get("soapAction") if operation is not None else None
        named = {action for action in (request.action(), soap_action) if action}
        usual = f"{bound.name()}Request" if response else bound.name()
        return frozenset(named or {self._default_action(request.abstract.name() or usual)})

    def _response_actions(
        self, operation: str, response: _Message | None, faults: dict[str, _Message]
    ) -> dict[str, str]:
        actions = {
            f"{operation}:fault:{name}": fault.action() or self._default_action(operation, "Fault", name)
            for name, fault in faults.items()
        }
        if response is not None:
            usual = response.abstract.name() or f"{operation}Response"
            actions[f"{operation}:output"] = response.action() or self._default_action(usual)
        return actions

    def _default_action(self, *names: str) -> str:
        """The action of a message that is given none (WS-Addressing 1.0 Metadata, 4.4.4)."""
        namespace = self.port_type.document.root.get("targetNamespace", "")
        if namespace.lower().startswith("urn:"):
            return ":".join((namespace, self.port_type.name(), *names))
        return "/".join((namespace.removesuffix("/"), self.port_type.name(), *names))

    def _input_element(self, bound: _Node, request: _Message) -> str | None:
        operation = self._soap_child(bound, "operation")
        style = operation.get("style") if operation is not None else None
        body = self._soap_child(request.bound, "body")
        if (style or self.style) == "rpc":
            return _in_namespace(body.get("namespace") if body is not None else None, bound.name())
        parts = body.get("parts") if body is not None else None
        return request.first_element(
            self._header_parts(request), parts.split() if parts is not None else None
        )

    def _header_parts(self, message: _Message) -> set[str]:
        """The parts of a message that its binding puts into soap:Header."""
        if message.bound is None:
            return set()
        headers = message.bound.element.iter(f"{{{self.soap}}}header")
        own = message.abstract.qname("message")
        return {
            header.get("part", "")
            for header in headers
            if _Node(header, message.bound.document).qname("message") == own
        }

    def _fault_policies(self, scope: _Scope, faults: dict[str, _Message]) -> dict[str, Policy]:
        policies: dict[str, Policy] = {}
        for name, fault in faults.items():
            element = fault.first_element()
            policy = self._policy(scope + fault.scope(), Direction.RESPONSE)
            # A fault that cannot be told by its detail is judged as any other, so it must be like any other.
            usual = self._policy(scope, Direction.RESPONSE)
            known = usual if element is None else policies.setdefault(element, policy)
            if known != policy:
                raise _broken(f"the fault {name!r} has a policy, and no element of its own to be known by")
        return policies


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None


def _joined(base: str, relative: str) -> str:
    try:
        return urljoin(base, relative)
    except ValueError:
        raise _broken("it imports a document whose location is no URL") from None


def _in_namespace(namespace: str | None, local: str) -> str:
    return f"{{{namespace}}}{local}" if namespace else local


def _wsdl(local: str) -> str:
    return f"{{{WSDL}}}{local}"


def _broken(what: str) -> ConfigurationError:
    return ConfigurationError(f"The WSDL is broken: {what}", hint="Correct the WSDL, or pass policy=.")
