"""Reads the policies of a WSDL 1.1, or a bare policy, into the model.

What a policy means is ``assertions``' business, where policies are attached ``wsdl``'s, and which of them hold for a
message ``effective``'s.
"""

from __future__ import annotations

from lxml import etree

from ..errors import ConfigurationError
from .alternatives import Alternatives, Library, Load, PolicyDocument, is_policy
from .choice import Chooser, Satisfiable
from .effective import Endpoint
from .model import Direction, EndpointPolicy
from .wsdl import Documents, choose_port


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
    documents = Documents(root, location, load, Library(load, allow_external=allow_external))
    return Endpoint.of(documents, choose_port(documents, binding, port), satisfiable).read()


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
        documents = Documents(root, location, load, library)
        return Endpoint.of(documents, choose_port(documents, binding, port), satisfiable).read_every()
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
