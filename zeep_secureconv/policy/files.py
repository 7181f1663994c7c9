"""Policies from files of the user."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from ..errors import ConfigurationError
from .choice import Satisfiable
from .model import EndpointPolicy, Policy
from .presets import NAMES, is_preset, preset
from .reader import read_alternatives, read_document

#: What ``policy=`` takes: the path of a WSDL or wsp:Policy file, the name of a preset, or a policy that was read or
#: made.
PolicySource = str | Path | Policy | EndpointPolicy


def load_policy(
    source: PolicySource,
    *,
    binding: str | None = None,
    satisfiable: Satisfiable | None = None,
    allow_external: bool = False,
) -> EndpointPolicy:
    """The policy of an endpoint, from whatever the user gave.

    Args:
        source: path of a WSDL or wsp:Policy file, WebSphere's policy.xml among them; name of a preset; or a policy.
        binding: Clark name of the binding to choose in a WSDL; not used where the file has no binding of that
            local name, since the policy of a service may be kept in another WSDL.
        satisfiable: says why an alternative of a file cannot be satisfied, or None; default: any can.
        allow_external: whether references may lead to files that are not in the folder of this one or below.

    Raises:
        ConfigurationError: when there is no such file or preset, or it cannot be read.
        PolicyError: when what it says cannot be satisfied.
    """
    known = _known(source)
    if known is not None:
        return known
    path, root = _parsed(source)
    return read_document(
        root,
        location=path,
        load=_load_import,
        binding=binding if _has_binding(root, binding) else None,
        satisfiable=satisfiable,
        allow_external=allow_external,
    )


def load_policies(
    source: PolicySource,
    *,
    binding: str | None = None,
    satisfiable: Satisfiable | None = None,
    allow_external: bool = False,
) -> tuple[EndpointPolicy, ...]:
    """Every alternative of the policy that the user gave, the first one first: a service accepts any of them.

    Arguments and errors are those of :func:`load_policy`.
    """
    known = _known(source)
    if known is not None:
        return (known,)
    path, root = _parsed(source)
    return read_alternatives(
        root,
        location=path,
        load=_load_import,
        binding=binding if _has_binding(root, binding) else None,
        satisfiable=satisfiable,
        allow_external=allow_external,
    )


def _known(source: PolicySource) -> EndpointPolicy | None:
    """What needs no file; a file that is called like a preset goes before it."""
    if isinstance(source, EndpointPolicy):
        return source
    if isinstance(source, Policy):
        return EndpointPolicy(endpoint=source)
    if isinstance(source, str) and is_preset(source) and not Path(source).is_file():
        return preset(source).policy()
    return None


def _parsed(source: PolicySource) -> tuple[str, etree._Element]:
    """The absolute path of a file and its root element."""
    assert isinstance(source, (str, Path))
    path = Path(source)
    if not path.is_file():
        raise ConfigurationError(
            f"There is no policy file {str(source)!r}",
            hint=f"give the path of a WSDL or wsp:Policy file, or the name of a preset: {NAMES}",
        )
    return str(path.resolve()), parse_document(path.read_bytes(), str(path))


def _load_import(location: str) -> etree._Element:
    try:
        data = Path(location).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"What the policy file imports or refers to cannot be read: {reason}: {location}",
            hint="put the other file there, or give policy= a file in one piece",
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
