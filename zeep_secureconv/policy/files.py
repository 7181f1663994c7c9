"""Policies from files of the user."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from ..errors import ConfigurationError
from .model import EndpointPolicy, Policy
from .reader import read_document

#: What ``policy=`` takes: the path of a WSDL or wsp:Policy file, or a policy that was read or made.
PolicySource = str | Path | Policy | EndpointPolicy


def load_policy(source: PolicySource, *, binding: str | None = None) -> EndpointPolicy:
    """The policy of an endpoint, from whatever the user gave.

    Args:
        source: path of a WSDL or wsp:Policy file, or a policy.
        binding: Clark name of the binding to choose in a WSDL; not used where the file has no binding of that
            local name, since the policy of a service may be kept in another WSDL.

    Raises:
        ConfigurationError: when the file cannot be read.
        PolicyError: when what it says cannot be satisfied.
    """
    if isinstance(source, EndpointPolicy):
        return source
    if isinstance(source, Policy):
        return EndpointPolicy(endpoint=source)
    path = Path(source)
    if not path.is_file():
        raise ConfigurationError(
            f"There is no policy file {str(source)!r}", hint="give the path of a WSDL or wsp:Policy file"
        )
    root = parse_document(path.read_bytes(), str(path))
    return read_document(
        root,
        location=str(path.resolve()),
        load=_load_import,
        binding=binding if _has_binding(root, binding) else None,
    )


def _load_import(location: str) -> etree._Element:
    try:
        data = Path(location).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"What the policy file imports cannot be read: {reason}: {location}",
            hint="put the imported file there, or give policy= a file in one piece",
        ) from error
    return parse_document(data, location)


def parse_document(data: bytes, location: str) -> etree._Element:
    """The root of a WSDL or policy document. Entities are not resolved and no network is used.

    Raises:
        ConfigurationError: when it is not well-formed.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise ConfigurationError(
            f"{location} is not well-formed XML: {error}", hint="give a WSDL or a wsp:Policy file"
        ) from error


def _has_binding(root: etree._Element, binding: str | None) -> bool:
    local = (binding or "").rpartition("}")[2]
    return any(
        isinstance(child.tag, str)
        and etree.QName(child).localname == "binding"
        and child.get("name") == local
        for child in root
    )
