"""What went over the wire: recorded at the HTTP session, and told without any secret."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from lxml import etree
from requests.adapters import HTTPAdapter

from ..limits import Limits
from ..names import DS, WSC_2005, WSC_200512, WSSE, WSU, XENC
from ..soap.addressing import read_addressing
from ..soap.envelope import Soap, parse


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request and its answer, as they were sent and received.

    Args:
        request, response: the octets of the bodies.
        status: the HTTP status of the answer.
        seconds: from sending to the last octet of the answer.
    """

    request: bytes
    response: bytes
    status: int
    seconds: float


class Recorder(HTTPAdapter):
    """An adapter for a :class:`requests.Session` that keeps every POST.

    Attributes:
        exchanges: in their order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[Exchange] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request as usual, and keep it with its answer."""
        started = time.perf_counter()
        response = super().send(request, *args, **kwargs)
        received = response.content
        if request.method == "POST":
            body = request.body or b""
            self.exchanges.append(
                Exchange(
                    request=body if isinstance(body, bytes) else str(body).encode(),
                    response=received,
                    status=response.status_code,
                    seconds=time.perf_counter() - started,
                )
            )
        return response


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What can be seen of a message without its keys.

    Args:
        action: wsa:Action.
        security: a line for each child of wsse:Security, in their order.
        body: what the Body looks like.
        size: in bytes.
    """

    action: str
    security: tuple[str, ...]
    body: str
    size: int


def layout(message: bytes) -> Layout:
    """Take a captured message apart.

    Raises:
        VerificationError: when it is not a SOAP message.
    """
    soap = Soap.of(parse(message, Limits()))
    names = _names(soap.envelope)
    security = [child for block in soap.blocks() if block.tag == f"{{{WSSE}}}Security" for child in block]
    return Layout(
        action=read_addressing(soap).action or "none",
        security=tuple(_TOLD.get(str(child.tag), _local)(child, names) for child in security),
        body=_body(soap),
        size=len(message),
    )


#: The local name of what an Id stands for; of ciphertext, that of the element around it.
_Names = dict[str, str]


def _names(envelope: etree._Element) -> _Names:
    names = {}
    for element in envelope.iter(etree.Element):
        identifier = element.get(f"{{{WSU}}}Id") or element.get("Id")
        if identifier is not None:
            parent = element.getparent()
            told = parent if element.tag == f"{{{XENC}}}EncryptedData" and parent is not None else element
            names[f"#{identifier}"] = etree.QName(told).localname
    return names


def _local(element: etree._Element, _names: _Names) -> str:
    return etree.QName(element).localname


def _timestamp(element: etree._Element, _names: _Names) -> str:
    return f"Timestamp: {element.findtext(f'{{{WSU}}}Created')} to {element.findtext(f'{{{WSU}}}Expires')}"


def _certificate(_element: etree._Element, _names: _Names) -> str:
    return "BinarySecurityToken: the certificate of the sender"


def _context_token(element: etree._Element, _names: _Names) -> str:
    return f"SecurityContextToken: {element.findtext(f'{{{etree.QName(element).namespace}}}Identifier')}"


def _derived_key(element: etree._Element, names: _Names) -> str:
    namespace = etree.QName(element).namespace
    length = element.findtext(f"{{{namespace}}}Length")
    reference = element.find(f"{{{WSSE}}}SecurityTokenReference/{{{WSSE}}}Reference")
    uri = "" if reference is None else reference.get("URI", "")
    return f"DerivedKeyToken: {length} bytes from {names.get(uri, 'the context')} and a fresh nonce"


def _signature(element: etree._Element, names: _Names) -> str:
    method = element.find(f"{{{DS}}}SignedInfo/{{{DS}}}SignatureMethod")
    signed = [names.get(ref.get("URI", ""), "?") for ref in element.iter(f"{{{DS}}}Reference")]
    algorithm = "?" if method is None else method.get("Algorithm", "").rpartition("#")[2]
    return f"Signature ({algorithm}) over {', '.join(signed)}"


def _encrypted(element: etree._Element, names: _Names) -> str:
    data = [names.get(ref.get("URI", ""), "?") for ref in element.iter(f"{{{XENC}}}DataReference")]
    return f"{etree.QName(element).localname}: encrypts {', '.join(data) or 'nothing'}"


def _encrypted_key(element: etree._Element, names: _Names) -> str:
    method = element.find(f"{{{XENC}}}EncryptionMethod")
    algorithm = "?" if method is None else method.get("Algorithm", "").rpartition("#")[2]
    return f"{_encrypted(element, names)}, with a fresh key ({algorithm}) for the receiver's certificate"


_TOLD: dict[str, Callable[[etree._Element, _Names], str]] = {
    f"{{{WSU}}}Timestamp": _timestamp,
    f"{{{WSSE}}}BinarySecurityToken": _certificate,
    f"{{{DS}}}Signature": _signature,
    f"{{{XENC}}}ReferenceList": _encrypted,
    f"{{{XENC}}}EncryptedKey": _encrypted_key,
    **{f"{{{wsc}}}SecurityContextToken": _context_token for wsc in (WSC_2005, WSC_200512)},
    **{f"{{{wsc}}}DerivedKeyToken": _derived_key for wsc in (WSC_2005, WSC_200512)},
}


def _body(soap: Soap) -> str:
    child = soap.payload
    if child is None:
        return "empty"
    if child.tag == f"{{{XENC}}}EncryptedData":
        return "encrypted"
    return f"{etree.QName(child).localname} in the clear"
