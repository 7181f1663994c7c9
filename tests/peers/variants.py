"""The policies of the peers as data, and the WSDLs that the peers make of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lxml import etree

from tests.peers.peer import CXF, METRO, RAMPART, STACKS, Stack
from zeep_secureconv.names import WSDL_SOAP11, WSDL_SOAP12, WSU

_NAMESPACE = "urn:secureconv:peer"
#: The operations of the contract, with the fault that each declares.
_OPERATIONS = {"echo": "", "sum": "", "fail": "PeerFault", "big": "", "whoami": ""}


@dataclass(frozen=True)
class Variant:
    """One policy of one stack.

    Args:
        stack: whose.
        name: of its file.
    """

    stack: Stack
    name: str

    def __str__(self) -> str:
        return f"{self.stack.name}-{self.name}"

    @cached_property
    def _text(self) -> str:
        return (self.stack.policies / f"{self.name}.xml").read_text(encoding="utf-8")

    @cached_property
    def _root(self) -> etree._Element:
        return etree.fromstring(self._text.encode())

    @property
    def soap12(self) -> bool:
        """Whether its binding is of SOAP 1.2."""
        return self._root.get("soap") == "1.2"

    @property
    def is_secured(self) -> bool:
        """Whether it asks for a secure conversation at all."""
        return "SecureConversationToken" in self._text

    @property
    def is_tls(self) -> bool:
        """Whether a leg of it goes over https."""
        return "HttpsToken" in self._text

    @property
    def is_reliable(self) -> bool:
        """Whether it asks for WS-ReliableMessaging."""
        return "RMAssertion" in self._text

    @property
    def wants_username(self) -> bool:
        """Whether a leg of it has a UsernameToken."""
        return "UsernameToken" in self._text

    def wsdl(self, address: str) -> str:
        """The WSDL that the peer publishes for it.

        Args:
            address: URL of the endpoint.
        """
        return _COMPOSERS[self.stack](self, address)

    def write_wsdl(self, folder: Path) -> Path:
        """A file with its WSDL, for whoever fills in the address of the service."""
        path = folder / f"{self}.wsdl"
        path.write_text(self.wsdl("http://localhost/peer"), encoding="utf-8")
        return path

    def slots(self) -> Mapping[str, str]:
        """What every composer needs: namespaces, and the text of each policy by its wsu:Id."""
        return {
            str(policy.get(f"{{{WSU}}}Id")): etree.tostring(policy, encoding="unicode", with_tail=False)
            for policy in self._root
            if isinstance(policy.tag, str) and etree.QName(policy).localname == "Policy"
        }

    def template(self, name: str, slots: Mapping[str, str]) -> str:
        """A resource of the peer with its *slots* filled."""
        text = (self.stack.policies.parent / name).read_text(encoding="utf-8")
        for slot, content in slots.items():
            text = text.replace(slot, content)
        return text

    @property
    def wsp(self) -> str:
        """The namespace of WS-Policy that it is written in."""
        return self._root.nsmap["wsp"]

    @property
    def soap(self) -> str:
        """The namespace of its WSDL's SOAP binding."""
        return WSDL_SOAP12 if self.soap12 else WSDL_SOAP11

    @property
    def document(self) -> str:
        """Its file, without an XML declaration."""
        return re.sub(r"^<\?xml.*?\?>", "", self._text, flags=re.DOTALL)


def _cxf(variant: Variant, address: str) -> str:
    """As ``Variant.java`` of the CXF peer does."""
    policies = variant.slots()
    body = '<soap:body use="literal"/>'

    def refer(*ids: str) -> str:
        return "".join(f'<wsp:PolicyReference URI="#{name}"/>' for name in ids if name in policies)

    messages, port_type, binding = "", "", ""
    for name, fault in _OPERATIONS.items():
        action = f"{_NAMESPACE}:{name}"
        messages += _message(name) + _message(f"{name}Response")
        port_type += (
            f'<wsdl:operation name="{name}"><wsdl:input message="tns:{name}" wsaw:Action="{action}"/>'
            f'<wsdl:output message="tns:{name}Response" wsaw:Action="{action}Response"/>'
        )
        binding += (
            f'<wsdl:operation name="{name}">{refer("Operation")}<soap:operation soapAction="{action}"/>'
            f"<wsdl:input>{refer('Message', 'Input')}{body}</wsdl:input>"
            f"<wsdl:output>{refer('Message', 'Output')}{body}</wsdl:output>"
        )
        if fault:
            messages += _message(fault)
            port_type += f'<wsdl:fault name="{fault}" message="tns:{fault}" wsaw:Action="{action}Fault"/>'
            binding += _bound_fault(fault, refer("Fault"))
        port_type += "</wsdl:operation>"
        binding += "</wsdl:operation>"
    return variant.template(
        "peer.wsdl",
        {
            "@SOAP_NS@": variant.soap,
            "@WSP_NS@": variant.wsp,
            "@POLICIES@": "\n".join(policies.values()),
            "@MESSAGES@": messages,
            "@PORTTYPE@": port_type,
            "@REF_ENDPOINT@": refer("Endpoint"),
            "@BINDING@": binding,
            "@ADDRESS@": address,
        },
    )


def _metro(variant: Variant, address: str) -> str:
    """As ``Variant.java`` of the Metro peer does, without the keys of its server."""
    policies = variant.slots()
    body = '<soap:body use="literal"/>'
    (asked, answered) = (
        f'<wsp:PolicyReference URI="#{name}"/>' if name in policies else "" for name in ("Input", "Output")
    )
    operations = "".join(
        f'<wsdl:operation name="{name}"><soap:operation soapAction="{_NAMESPACE}:{name}"/>'
        f"<wsdl:input>{asked}{body}</wsdl:input><wsdl:output>{answered}{body}</wsdl:output>"
        f"{_bound_fault(fault, answered) if fault else ''}</wsdl:operation>"
        for name, fault in _OPERATIONS.items()
    )
    return variant.template(
        "service.wsdl",
        {
            "${soap}": variant.soap,
            "http://www.w3.org/ns/ws-policy": variant.wsp,
            "${policies}": "\n".join(policies.values()).replace("${config}", ""),
            "${operations}": operations,
            "${address}": address,
        },
    )


def _rampart(variant: Variant, address: str) -> str:
    """As ``Server.java`` of the Rampart peer does."""
    (name,) = re.findall(r'wsu:Id="([^"]*)"', variant.document)[:1]
    return variant.template(
        "service.wsdl", {"${policy}": variant.document, "${policy-id}": name, "${address}": address}
    )


_COMPOSERS: dict[Stack, Callable[[Variant, str], str]] = {CXF: _cxf, METRO: _metro, RAMPART: _rampart}


def _message(name: str) -> str:
    return f'<wsdl:message name="{name}"><wsdl:part name="parameters" element="tns:{name}"/></wsdl:message>'


def _bound_fault(name: str, reference: str) -> str:
    return f'<wsdl:fault name="{name}">{reference}<soap:fault name="{name}" use="literal"/></wsdl:fault>'


#: Every policy of every stack.
VARIANTS = [Variant(stack, name) for stack in STACKS.values() for name in stack.variants]
