"""Parts of a message that a policy names by XPath."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

from lxml import etree

from ..errors import LimitExceeded, PolicyError
from ..limits import Limits
from ..names import DS, WSSE
from ..policy.model import ElementPath, Policy

_DEFAULT_LIMITS = Limits()


def select(
    paths: Iterable[ElementPath], envelope: etree._Element, limits: Limits = _DEFAULT_LIMITS
) -> list[etree._Element]:
    """The elements that *paths* name, each once, in the order of the document for each path.

    Args:
        paths: XPath 1.0, evaluated with the envelope as context node (WS-SecurityPolicy 1.2, section 4.1.2).
        envelope: the root of the message.
        limits: bounds how many there may be.

    Raises:
        PolicyError: a path is none, or names something else than elements.
        LimitExceeded: check "elements".
    """
    found: list[etree._Element] = []
    for path in paths:
        try:
            nodes = _compiled(path)(envelope)
        except etree.XPathError:
            # the path was compiled: it is the message that is too much for it
            raise LimitExceeded(
                "elements", "A XPath of the policy cannot be followed in the message"
            ) from None
        if not isinstance(nodes, list) or any(not etree.iselement(node) for node in nodes):
            raise PolicyError(f"The policy's XPath {path.xpath!r} names something else than elements")
        if len(nodes) > limits.references:
            raise LimitExceeded("elements", "A XPath of the policy names too many elements")
        found.extend(node for node in nodes if node not in found)
    return found


@lru_cache(maxsize=1024)
def _compiled(path: ElementPath) -> etree.XPath:
    try:
        return etree.XPath(path.xpath, namespaces=dict(path.namespaces), regexp=False)
    except etree.XPathError as error:
        raise PolicyError(f"The policy's XPath {path.xpath!r} is none: {error}") from None


@lru_cache(maxsize=1024)
def hides_signature(policy: Policy, soap: str) -> bool:
    """Whether the policy wants the signature encrypted: by sp:EncryptSignature, or by a path that names it.

    WebSphere has the latter. The path may be written in many ways, so it is tried on an empty message.

    Args:
        policy: the policy of a message.
        soap: SOAP namespace of the message.
    """
    binding = policy.binding
    if binding is not None and binding.encrypt_signature:
        return True
    if not policy.encrypted.elements:
        return False
    envelope = etree.fromstring(
        f'<s:Envelope xmlns:s="{soap}"><s:Header><w:Security xmlns:w="{WSSE}"><d:Signature xmlns:d="{DS}"/>'
        "</w:Security></s:Header><s:Body/></s:Envelope>"
    )
    return any(element.tag == f"{{{DS}}}Signature" for element in select(policy.encrypted.elements, envelope))


def holds(elements: Collection[etree._Element], element: etree._Element) -> bool:
    """Whether this very element is among *elements*: an element of lxml equals nothing but itself."""
    return element in elements


def is_within(element: etree._Element, others: Collection[etree._Element]) -> bool:
    """Whether an element is one of *others*, or inside one."""
    return element in others or any(node in others for node in element.iterancestors())


def outermost(elements: Collection[etree._Element]) -> list[etree._Element]:
    """Those that are not inside another one of them."""
    return [element for element in elements if not any(node in elements for node in element.iterancestors())]
