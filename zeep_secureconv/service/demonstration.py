"""The demonstration service: a small SOAP application in clear, for the middleware to protect."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lxml import etree

from ..errors import LimitExceeded, VerificationError
from ..limits import Limits
from ..names import SOAP11, SOAP12, WSA_2004, WSA_2005
from ..soap.envelope import Soap, content_type, new_envelope, parse, serialize
from ..soap.faults import make_fault
from .contract import NAMESPACE, contract_schema

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: Where the middleware leaves the name of the authenticated party.
PRINCIPAL = "zeep_secureconv.principal"

_DEFAULT_LIMITS = Limits()
_FAULT = "500 Internal Server Error"
_LARGEST_TEXT = 16 * 1024 * 1024
_STRING = etree.XPath("string()")
_INT = range(-(2**31), 2**31)
#: Blocks that the layer in front of this application answers for.
_NOT_OURS = frozenset({WSA_2004, WSA_2005})
#: The codes of SOAP 1.1 (section 4.4.1) and their counterparts in SOAP 1.2 (part 1, section 5.4.6).
_CODES_12 = {"Client": "Sender", "Server": "Receiver", "MustUnderstand": "MustUnderstand"}


@dataclass(frozen=True)
class _Request:
    """One call: the operation's element, and who calls."""

    element: etree._Element
    principal: str | None

    def texts(self, name: str) -> list[str]:
        # a processing instruction may stand in the middle of a text
        return [str(_STRING(child)) for child in self.element.iterfind(f"{{{NAMESPACE}}}{name}")]


class _FaultAnswer(Exception):
    """Ends a call with a fault.

    Args:
        code: a fault code of SOAP 1.1.
        text: the reason.
        detail: the ``code`` of the declared PeerFault, or None for any other fault.
    """

    def __init__(self, code: str, text: str, detail: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.detail = detail


def _echo(request: _Request) -> str:
    return request.texts("text")[0]


def _sum(request: _Request) -> str:
    total = sum(map(int, request.texts("values")))
    if total not in _INT:
        raise _FaultAnswer("Client", "The sum does not fit xs:int")
    return str(total)


def _fail(request: _Request) -> str:
    code = request.texts("code")[0]
    raise _FaultAnswer("Server", f"failed with {code}", code)


def _big(request: _Request) -> str:
    size = int(request.texts("size")[0])
    if not 0 <= size <= _LARGEST_TEXT:
        raise _FaultAnswer("Client", f"The size is not between 0 and {_LARGEST_TEXT}")
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return (alphabet * (size // 26 + 1))[:size]


def _whoami(request: _Request) -> str:
    return request.principal or "anonymous"


_OPERATIONS: dict[str, Callable[[_Request], str]] = {
    "echo": _echo,
    "sum": _sum,
    "fail": _fail,
    "big": _big,
    "whoami": _whoami,
}


class DemonstrationService:
    """A WSGI application of the demonstration contract (``peer.wsdl``): document/literal, SOAP 1.1 and 1.2.

    It knows nothing of security or addressing: it reads and answers clear messages, and takes the name of the
    caller from ``environ["zeep_secureconv.principal"]``. Every fault has HTTP status 500, as CXF 3.6 does.

    Args:
        limits: bounds on requests.

    Attributes:
        calls: operations carried out, the failing one included.
    """

    def __init__(self, *, limits: Limits = _DEFAULT_LIMITS) -> None:
        self.calls = 0
        self._limits = limits
        self._schema = contract_schema()
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        if environ["REQUEST_METHOD"] != "POST":
            return _answer(start_response, "405 Method Not Allowed", "text/plain", b"POST a SOAP message\n")
        try:
            soap = Soap.of(parse(_read(environ, self._limits), self._limits))
        except LimitExceeded as error:
            return _answer(start_response, "413 Content Too Large", "text/plain", error.message.encode())
        except (VerificationError, ValueError):
            reply = _fault(SOAP11, _FaultAnswer("Client", "The request is not a SOAP message"))
            return _answer(start_response, _FAULT, content_type(SOAP11), serialize(reply.envelope))
        status, reply = self._reply(soap, environ.get(PRINCIPAL))
        return _answer(start_response, status, content_type(soap.version), serialize(reply.envelope))

    def _reply(self, soap: Soap, principal: str | None) -> tuple[str, Soap]:
        try:
            operation, request = self._request(soap, principal)
            with self._lock:
                self.calls += 1
            return "200 OK", _response(soap.version, operation, _OPERATIONS[operation](request))
        except _FaultAnswer as fault:
            return _FAULT, _fault(soap.version, fault)

    def _request(self, soap: Soap, principal: str | None) -> tuple[str, _Request]:
        _refuse_unknown_headers(soap)
        try:
            element = soap.payload
        except VerificationError as error:
            raise _FaultAnswer("Client", error.message) from error
        operation = "" if element is None else str(element.tag).removeprefix(f"{{{NAMESPACE}}}")
        if element is None or operation not in _OPERATIONS:
            raise _FaultAnswer("Client", "The Body names no operation of this service")
        if not self._schema.validate(element):
            raise _FaultAnswer("Client", f"The request does not fit the schema of {operation}")
        return operation, _Request(element, principal)


def _refuse_unknown_headers(soap: Soap) -> None:
    """SOAP 1.1 section 4.2.3, SOAP 1.2 part 1 section 2.4."""
    for block in soap.blocks():
        must = block.get(f"{{{soap.version}}}mustUnderstand", "0").strip()
        if must in ("1", "true") and etree.QName(block).namespace not in _NOT_OURS:
            raise _FaultAnswer("MustUnderstand", "A header block that must be understood is not")


def _response(version: str, operation: str, value: str) -> Soap:
    soap = new_envelope(version)
    wrapper = etree.SubElement(soap.body, f"{{{NAMESPACE}}}{operation}Response", nsmap={None: NAMESPACE})
    etree.SubElement(wrapper, f"{{{NAMESPACE}}}return").text = value
    return soap


def _fault(version: str, fault: _FaultAnswer) -> Soap:
    code = _CODES_12[fault.code] if version == SOAP12 else fault.code
    soap = make_fault(version, code=f"{{{version}}}{code}", text=fault.text, sender=fault.code != "Server")
    (element,) = soap.body
    if version == SOAP12 and code == "MustUnderstand":
        element[0][0].text = "soap:MustUnderstand"
    if fault.detail is not None:
        detail = etree.SubElement(element, f"{{{SOAP12}}}Detail" if version == SOAP12 else "detail")
        declared = etree.SubElement(detail, f"{{{NAMESPACE}}}PeerFault", nsmap={None: NAMESPACE})
        etree.SubElement(declared, f"{{{NAMESPACE}}}code").text = fault.detail
    return soap


def _read(environ: WSGIEnvironment, limits: Limits) -> bytes:
    """The request's body, chunked or with a Content-Length.

    Raises:
        LimitExceeded: check "message-size".
        ValueError: when the length or the chunks are malformed, or the body is shorter than announced.
    """
    most = limits.message_bytes + 1
    if environ.get("wsgi.input_terminated"):
        data: bytes = environ["wsgi.input"].read(most)
    else:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        data = environ["wsgi.input"].read(min(max(length, 0), most))
        if len(data) < min(length, most):
            raise ValueError("the body is shorter than its Content-Length")
    if len(data) == most:
        raise LimitExceeded("message-size", f"The message is longer than {limits.message_bytes} bytes")
    return data


def _answer(start_response: StartResponse, status: str, media: str, body: bytes) -> Iterable[bytes]:
    headers = [("Content-Type", media), ("Content-Length", str(len(body)))]
    if status.startswith("405"):
        headers.append(("Allow", "POST"))
    start_response(status, headers)
    return [body]
