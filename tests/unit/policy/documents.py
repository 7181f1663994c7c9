"""WSDLs and policies to read."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

import pytest
from lxml import etree

from zeep_secureconv.errors import PolicyError
from zeep_secureconv.names import WSDL_SOAP11, WSDL_SOAP12, WSU
from zeep_secureconv.policy import EndpointPolicy, Policy, SymmetricBinding, read_policy, read_wsdl

BODY = "<sp:SignedParts><sp:Body/></sp:SignedParts>"
HEADER = '<sp:SignedParts><sp:Header Namespace="urn:h"/></sp:SignedParts>'

_RESOURCES = Path(__file__).parents[2] / "peers" / "cxf" / "src" / "main" / "resources"
_OPERATIONS = {"echo": None, "sum": None, "fail": "PeerFault", "big": None, "whoami": None}
_NAMESPACE = "urn:secureconv:peer"


def parsed(text: str) -> etree._Element:
    """The root element of an XML text."""
    return etree.fromstring(text.encode())


def cxf_wsdl(variant: str) -> str:
    """The WSDL that the CXF peer publishes for a variant, composed as its Variant.java does."""
    root = etree.parse(_RESOURCES / "policies" / f"{variant}.xml").getroot()
    policies = {policy.get(f"{{{WSU}}}Id", ""): policy for policy in root if "Policy" in str(policy.tag)}
    wsp = etree.QName(next(iter(policies.values()))).namespace or ""
    messages, port_type, binding, body = "", "", "", '<soap:body use="literal"/>'
    for name, fault in _OPERATIONS.items():
        messages += _message(name, name) + _message(f"{name}Response", f"{name}Response")
        port_type += (
            f'<wsdl:operation name="{name}">'
            f'<wsdl:input message="tns:{name}" wsaw:Action="{_NAMESPACE}:{name}"/>'
            f'<wsdl:output message="tns:{name}Response" wsaw:Action="{_NAMESPACE}:{name}Response"/>'
        )
        binding += (
            f'<wsdl:operation name="{name}"><soap:operation soapAction="{_NAMESPACE}:{name}"/>'
            f"<wsdl:input>{_references(policies, 'Message', 'Input')}{body}</wsdl:input>"
            f"<wsdl:output>{_references(policies, 'Message', 'Output')}{body}</wsdl:output>"
        )
        if fault is not None:
            messages += _message(fault, fault)
            port_type += (
                f'<wsdl:fault name="{fault}" message="tns:{fault}" wsaw:Action="{_NAMESPACE}:{name}Fault"/>'
            )
            binding += (
                f'<wsdl:fault name="{fault}">{_references(policies, "Fault")}'
                f'<soap:fault name="{fault}" use="literal"/></wsdl:fault>'
            )
        port_type += "</wsdl:operation>"
        binding += "</wsdl:operation>"
    slots = {
        "@SOAP_NS@": WSDL_SOAP12 if root.get("soap") == "1.2" else WSDL_SOAP11,
        "@WSP_NS@": wsp,
        "@POLICIES@": "\n".join(etree.tostring(policy, encoding="unicode") for policy in policies.values()),
        "@MESSAGES@": messages,
        "@PORTTYPE@": port_type,
        "@REF_ENDPOINT@": _references(policies, "Endpoint"),
        "@BINDING@": binding,
        "@ADDRESS@": "http://127.0.0.1:8080/peer",
    }
    text = (_RESOURCES / "peer.wsdl").read_text("utf-8")
    for slot, content in slots.items():
        text = text.replace(slot, content)
    return text


def _references(policies: dict[str, etree._Element], *ids: str) -> str:
    return "".join(f'<wsp:PolicyReference URI="#{name}"/>' for name in ids if name in policies)


def _message(name: str, element: str) -> str:
    return (
        f'<wsdl:message name="{name}"><wsdl:part name="parameters" element="tns:{element}"/></wsdl:message>'
    )


_POLICY = Template("""<wsp:Policy
  xmlns:wsp="http://www.w3.org/ns/ws-policy"
  xmlns:sp="http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702"
  xmlns:sp13="http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200802"
  xmlns:mssp="http://schemas.microsoft.com/ws/2005/07/securitypolicy"
  xmlns:cxf="http://cxf.apache.org/custom/security-policy"
  xmlns:wst="http://docs.oasis-open.org/ws-sx/ws-trust/200512"
  xmlns:wsam="http://www.w3.org/2007/05/addressing/metadata"
  xmlns:wsrmp="http://docs.oasis-open.org/ws-rx/wsrmp/200702"
  xmlns:wsu="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
  xmlns:x="urn:x">
 <wsp:ExactlyOne><wsp:All>
  <sp:SymmetricBinding><wsp:Policy>
   <sp:ProtectionToken><wsp:Policy>
    <sp:SecureConversationToken $include>$parameter<wsp:Policy>
     $token
     <sp:BootstrapPolicy><wsp:Policy>
      <sp:AsymmetricBinding><wsp:Policy>
       $initiator
       <sp:RecipientToken><wsp:Policy>
        <sp:X509Token $x509_include>$x509_parameter<wsp:Policy>$x509</wsp:Policy></sp:X509Token>
       </wsp:Policy></sp:RecipientToken>
       <sp:AlgorithmSuite><wsp:Policy><sp:Basic128/></wsp:Policy></sp:AlgorithmSuite>
      </wsp:Policy></sp:AsymmetricBinding>
      $bootstrap
     </wsp:Policy></sp:BootstrapPolicy>
    </wsp:Policy></sp:SecureConversationToken>
   </wsp:Policy></sp:ProtectionToken>
   <sp:AlgorithmSuite><wsp:Policy>$suite</wsp:Policy></sp:AlgorithmSuite>
   $binding
  </wsp:Policy></sp:SymmetricBinding>
  $more
 </wsp:All></wsp:ExactlyOne>
</wsp:Policy>""")

_SLOTS = {
    "include": "",
    "parameter": "",
    "token": "",
    "initiator": "<sp:InitiatorToken><wsp:Policy><sp:X509Token/></wsp:Policy></sp:InitiatorToken>",
    "x509_include": "",
    "x509_parameter": "",
    "x509": "",
    "bootstrap": "",
    "suite": "<sp:Basic256/>",
    "binding": "",
    "more": "",
}


def policy_text(**slots: str) -> str:
    """A policy with *slots* filled in; without any it is one that is accepted."""
    return _POLICY.substitute(_SLOTS | slots)


def policy(**slots: str) -> Policy:
    """The policy that is read from :func:`policy_text`."""
    return read_policy(parsed(policy_text(**slots))).endpoint


def binding(**slots: str) -> SymmetricBinding:
    """Its binding."""
    found = policy(**slots).binding
    assert isinstance(found, SymmetricBinding)
    return found


def refused(**slots: str) -> PolicyError:
    """The error that *slots* cause in a policy that is accepted without them."""
    assert policy().binding is not None
    with pytest.raises(PolicyError) as caught:
        policy(**slots)
    assert caught.value.hint
    return caught.value


_WSDL = Template("""<wsdl:definitions targetNamespace="$namespace" xmlns:t="$namespace"
  xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="$soap"
  xmlns:http="http://schemas.xmlsoap.org/wsdl/http/"
  xmlns:wsp="http://www.w3.org/ns/ws-policy" xmlns:wsp2004="http://schemas.xmlsoap.org/ws/2004/09/policy"
  xmlns:sp="http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702"
  xmlns:wsam="http://www.w3.org/2007/05/addressing/metadata"
  xmlns:wsaw="http://www.w3.org/2006/05/addressing/wsdl"
  xmlns:wsu="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
  xmlns:xs="http://www.w3.org/2001/XMLSchema">
 $definitions
 <wsp:Policy wsu:Id="P"><sp:SignedParts><sp:Body/></sp:SignedParts></wsp:Policy>
 <wsdl:message name="In" $input_message_attribute>$input_message
  <wsdl:part name="a" element="t:in"/>$input_parts</wsdl:message>
 <wsdl:message name="Out">$output_message<wsdl:part name="a" element="t:out"/></wsdl:message>
 <wsdl:message name="Oops">$fault_message<wsdl:part name="a" $fault_part/></wsdl:message>
 <wsdl:portType name="Type" $port_type_attribute>$port_type
  <wsdl:operation name="op">$port_type_operation
   <wsdl:input message="t:In" $input_attribute>$port_type_input</wsdl:input>
   $output
   <wsdl:fault name="Oops" message="t:Oops" $fault_attribute>$port_type_fault</wsdl:fault>
  </wsdl:operation>
  $more_operations
 </wsdl:portType>
 <wsdl:binding name="Binding" type="t:Type">$binding
  <soap:binding style="$style" transport="http://schemas.xmlsoap.org/soap/http"/>
  <wsdl:operation name="op">$binding_operation<soap:operation $soap_operation/>
   <wsdl:input>$binding_input$input_body</wsdl:input>
   <wsdl:output>$binding_output<soap:body use="literal"/></wsdl:output>
   <wsdl:fault name="Oops">$binding_fault<soap:fault name="Oops" use="literal"/></wsdl:fault>
  </wsdl:operation>
  $more_bound
 </wsdl:binding>
 <wsdl:service name="Service">$service
  <wsdl:port name="Port" binding="t:Binding">$port<soap:address location="http://example.org/a"/></wsdl:port>
  $more_ports
 </wsdl:service>
</wsdl:definitions>""")


def wsdl_text(**slots: str) -> str:
    """A WSDL with one operation and no attached policy, with *slots* filled in."""
    empty = dict.fromkeys(re.findall(r"\$(\w+)", _WSDL.template), "")
    usual = {
        "namespace": "urn:t",
        "soap": "http://schemas.xmlsoap.org/wsdl/soap/",
        "style": "document",
        "soap_operation": 'soapAction="urn:act"',
        "input_body": '<soap:body use="literal"/>',
        "fault_part": 'element="t:oops"',
        "output": f'<wsdl:output message="t:Out">{slots.pop("port_type_output", "")}</wsdl:output>',
    }
    return _WSDL.substitute(empty | usual | slots)


def read(**slots: str) -> EndpointPolicy:
    """The policies that are read from :func:`wsdl_text`."""
    return read_wsdl(parsed(wsdl_text(**slots)))
