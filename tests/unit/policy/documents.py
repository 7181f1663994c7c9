"""WSDLs and policies to read."""

from __future__ import annotations

import re
from string import Template

import pytest
from lxml import etree

from tests.peers.peer import CXF
from tests.peers.variants import Variant
from zeep_secureconv.errors import PolicyError
from zeep_secureconv.policy import EndpointPolicy, Policy, SymmetricBinding, read_policy, read_wsdl

BODY = "<sp:SignedParts><sp:Body/></sp:SignedParts>"
HEADER = '<sp:SignedParts><sp:Header Namespace="urn:h"/></sp:SignedParts>'


def parsed(text: str) -> etree._Element:
    """The root element of an XML text."""
    return etree.fromstring(text.encode())


def cxf_wsdl(variant: str) -> str:
    """The WSDL that the CXF peer publishes for a variant."""
    return Variant(CXF, variant).wsdl("http://127.0.0.1:8080/peer")


_POLICY = Template("""<wsp:Policy
  xmlns:wsp="http://www.w3.org/ns/ws-policy"
  xmlns:sp="http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702"
  xmlns:sp13="http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200802"
  xmlns:mssp="http://schemas.microsoft.com/ws/2005/07/securitypolicy"
  xmlns:cxf="http://cxf.apache.org/custom/security-policy"
  xmlns:spe="http://www.ibm.com/xmlns/prod/websphere/200605/ws-securitypolicy-ext"
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
