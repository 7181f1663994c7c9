"""The effective policies of the messages of an endpoint (WS-PolicyAttachment 1.5, 4).

This room knows what belongs to a message, and what it is called: which scopes its policy comes from, its actions, the
element in its Body.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from lxml import etree

from ..errors import ConfigurationError, PolicyError
from ..names import WSA_2004, WSAM
from .alternatives import Alternatives, merge
from .choice import Chooser, Satisfiable
from .model import Direction, EndpointPolicy, OperationPolicy, Policy
from .wsdl import ENVELOPE_OF, Documents, Node, Port, Scope, broken, in_namespace

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


class _Message(NamedTuple):
    """An input, output or fault: in the binding, if it stands there; in the port type; its wsdl:message."""

    bound: Node | None
    abstract: Node
    message: Node

    def scope(self) -> Scope:
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
class Endpoint:
    """What the messages of one endpoint have in common.

    The policy of an operation that cannot be satisfied is no error before somebody calls it, that of the endpoint is.

    Args:
        documents: the WSDL.
        port, binding, port_type: where it stands in that.
        soap: namespace of the binding's extension, which tells the version of SOAP.
        style: "document" or "rpc", where an operation says nothing else.
        scope: the policies that hold for all its messages.
        chooser: takes one alternative of those of the endpoint.
        choose: takes one of those of a message.
        policies: what was chosen already.
    """

    documents: Documents
    port: Port
    binding: Node
    port_type: Node
    soap: str
    style: str
    scope: Scope
    chooser: Chooser
    choose: Callable[[Alternatives, Direction], Policy]
    policies: dict[tuple[Scope, Direction], Policy] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: Documents, port: Port, satisfiable: Satisfiable | None) -> Endpoint:
        """The endpoint at a port.

        Args:
            documents: the WSDL.
            port: the port.
            satisfiable: says why an alternative cannot be satisfied, or None; default: any can.

        Raises:
            ConfigurationError: the WSDL is broken or incomplete, or the binding is none of SOAP.
        """
        binding = documents.find("binding", port.binding)
        port_type = documents.find("portType", binding.qname("type"))
        chooser = Chooser(satisfiable=satisfiable, address=port.address)
        for namespace in ENVELOPE_OF:
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
        """Every alternative of the endpoint with those of its operations that agree with it.

        Raises:
            PolicyError: there is none.
        """
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
        """The policies of all its messages.

        Raises:
            ConfigurationError: the WSDL is broken or incomplete.
            PolicyError: for one of the messages no alternative can be satisfied.
        """
        operations: dict[str, OperationPolicy] = {}
        actions: dict[str, str] = {}
        for bound in self.binding.children("operation"):
            if bound.name() in operations:
                raise broken(f"the binding has several operations called {bound.name()!r}")
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
            soap=ENVELOPE_OF[self.soap],
            address=self.port.address,
            response_actions=actions,
            identity=self.port.identity(),
        )

    def _operation(
        self,
        bound: Node,
        abstract: Node,
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

    def _policy(self, scope: Scope, direction: Direction) -> Policy:
        key = scope, direction
        if key not in self.policies:
            choose = self.chooser.choose if key == (self.scope, Direction.REQUEST) else self.choose
            self.policies[key] = choose(merge(scope), direction)
        return self.policies[key]

    def _abstract(self, bound: Node) -> Node:
        named = [node for node in self.port_type.children("operation") if node.name() == bound.name()]
        if len(named) != 1:
            raise broken(f"the portType has {len(named)} operations called {bound.name()!r}")
        return named[0]

    def _message(self, bound: Node, abstract: Node, kind: str) -> _Message | None:
        for node in abstract.children(kind):
            return self._described(next(bound.children(kind), None), node)
        return None

    def _faults(self, bound: Node, abstract: Node) -> dict[str, _Message]:
        bindings = {node.name(): node for node in bound.children("fault")}
        return {
            node.name(): self._described(bindings.get(node.name()), node)
            for node in abstract.children("fault")
        }

    def _described(self, bound: Node | None, abstract: Node) -> _Message:
        return _Message(bound, abstract, self.documents.find("message", abstract.qname("message")))

    def _soap_child(self, node: Node | None, local: str) -> etree._Element | None:
        # soap:body may stand inside the parts of a mime:multipartRelated.
        return next(node.element.iter(f"{{{self.soap}}}{local}"), None) if node is not None else None

    def _request_actions(self, bound: Node, request: _Message, response: _Message | None) -> frozenset[str]:
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

    def _input_element(self, bound: Node, request: _Message) -> str | None:
        operation = self._soap_child(bound, "operation")
        style = operation.get("style") if operation is not None else None
        body = self._soap_child(request.bound, "body")
        if (style or self.style) == "rpc":
            return in_namespace(body.get("namespace") if body is not None else None, bound.name())
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
            if Node(header, message.bound.document).qname("message") == own
        }

    def _fault_policies(self, scope: Scope, faults: dict[str, _Message]) -> dict[str, Policy]:
        policies: dict[str, Policy] = {}
        for name, fault in faults.items():
            element = fault.first_element()
            policy = self._policy(scope + fault.scope(), Direction.RESPONSE)
            # A fault that cannot be told by its detail is judged as any other, so it must be like any other.
            usual = self._policy(scope, Direction.RESPONSE)
            known = usual if element is None else policies.setdefault(element, policy)
            if known != policy:
                raise broken(f"the fault {name!r} has a policy, and no element of its own to be known by")
        return policies


def _agreeing(chosen: Policy) -> Satisfiable:
    """Refuses a policy that is not of the same conversation as *chosen*, or that differs in its protection."""

    def disagrees(policy: Policy) -> str | None:
        if policy.binding == chosen.binding and policy.conversation_token == chosen.conversation_token:
            return None
        return "it does not go with the alternative that was chosen for the endpoint"

    return disagrees
