"""SOAP faults: read without trusting them, and made."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from ..names import SOAP11
from .envelope import Soap, new_envelope


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A soap:Fault.

    Args:
        code: the faultcode (SOAP 1.1) or the innermost Subcode, else the Code (SOAP 1.2), in Clark notation.
        subcodes: the Subcodes of SOAP 1.2 from the outermost on.
        text: faultstring or the first Reason.
        actor: faultactor or Role.
        detail: the detail element, or None.
    """

    code: str | None
    subcodes: tuple[str, ...]
    text: str
    actor: str | None
    detail: etree._Element | None


#: Codes that are neither the sender's nor the receiver's fault, and stand for themselves (SOAP 1.2, part 1, 5.4.6).
_OWN_CODES = frozenset({"VersionMismatch", "MustUnderstand", "DataEncodingUnknown"})


def read_fault(soap: Soap) -> Fault:
    """The fault in the Body of *soap*, whose single child it must be (:meth:`Soap.is_fault`)."""
    fault = soap.payload
    assert fault is not None
    if soap.version == SOAP11:
        return Fault(
            code=_qname(fault.find("faultcode")),
            subcodes=(),
            text=(fault.findtext("faultstring") or "").strip(),
            actor=fault.findtext("faultactor"),
            detail=fault.find("detail"),
        )
    ns = f"{{{soap.version}}}"
    code = fault.find(f"{ns}Code")
    values: list[str] = []
    while code is not None and len(values) < 10:
        value = _qname(code.find(f"{ns}Value"))
        if value is not None:
            values.append(value)
        code = code.find(f"{ns}Subcode")
    return Fault(
        code=values[-1] if values else None,
        subcodes=tuple(values[1:]),
        text=(fault.findtext(f"{ns}Reason/{ns}Text") or "").strip(),
        actor=fault.findtext(f"{ns}Role"),
        detail=fault.find(f"{ns}Detail"),
    )


def make_fault(version: str, *, code: str, text: str, sender: bool = True) -> Soap:
    """An envelope with a fault.

    Args:
        version: the SOAP namespace.
        code: the fault's own code in Clark notation; becomes faultcode (1.1) or Subcode (1.2). A code in the
            SOAP namespace itself stands alone.
        text: the reason, in English.
        sender: whether the sender of the request is to blame.
    """
    soap = new_envelope(version)
    fault = etree.SubElement(soap.body, f"{{{version}}}Fault")
    if version == SOAP11:
        _put_qname(etree.SubElement(fault, "faultcode"), code)
        etree.SubElement(fault, "faultstring").text = text
        return soap
    outer = etree.SubElement(fault, f"{{{version}}}Code")
    value = etree.SubElement(outer, f"{{{version}}}Value")
    own = code.rpartition("}")[2] if code.startswith(f"{{{version}}}") else ""
    value.text = f"soap:{own if own in _OWN_CODES else 'Sender' if sender else 'Receiver'}"
    if not code.startswith(f"{{{version}}}"):
        inner = etree.SubElement(outer, f"{{{version}}}Subcode")
        _put_qname(
            etree.SubElement(inner, f"{{{version}}}Value", nsmap={"f": code[1:].partition("}")[0]}), code
        )
    reason = etree.SubElement(fault, f"{{{version}}}Reason")
    reason_text = etree.SubElement(reason, f"{{{version}}}Text")
    reason_text.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
    reason_text.text = text
    return soap


def _qname(element: etree._Element | None) -> str | None:
    """The QName that an element holds, resolved by the declarations in scope there."""
    if element is None or not element.text:
        return None
    prefix, colon, local = element.text.strip().rpartition(":")
    namespace = element.nsmap.get(prefix if colon else None)
    return f"{{{namespace}}}{local}" if namespace else local


def _put_qname(element: etree._Element, code: str) -> None:
    # QName() makes lxml declare a prefix for the namespace where none is in scope
    element.text = etree.QName(code) if code.startswith("{") else code
