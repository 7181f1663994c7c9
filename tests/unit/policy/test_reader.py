from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from tests.unit.policy.documents import (
    binding,
    cxf_wsdl,
    parsed,
    policy,
    policy_text,
    read,
    wsdl_text,
)
from zeep_secureconv.errors import ConfigurationError, PolicyError
from zeep_secureconv.names import (
    SOAP11,
    SOAP12,
    SP_2005,
    SP_200512,
    SP_200702,
    WSA_2005,
    WSP_2004,
    WSP_W3C,
    WST_200512,
)
from zeep_secureconv.policy import (
    SUITES,
    AsymmetricBinding,
    DerivedKeys,
    EndpointPolicy,
    HeaderPart,
    Include,
    Layout,
    Parts,
    Policy,
    ReferenceStyle,
    SecureConversationToken,
    SymmetricBinding,
    TrustOptions,
    Wss,
    X509Token,
    read_document,
    read_policy,
    read_wsdl,
)

VECTORS = Path(__file__).parents[2] / "vectors"

BODY_ONLY = Parts(body=True)
BODY_AND_ADDRESSING = Parts(body=True, headers=(HeaderPart(namespace=WSA_2005),))
SEVEN_HEADERS = tuple(
    HeaderPart(namespace=WSA_2005, name=name)
    for name in ("To", "From", "FaultTo", "ReplyTo", "MessageID", "RelatesTo", "Action")
)


def conversation(
    suite: str,
    *,
    recipient: frozenset[ReferenceStyle],
    bootstrap_signed: Parts,
    wss: Wss,
    bootstrap_trust: TrustOptions | None,
    outer_wss: Wss | None,
) -> Policy:
    """The endpoint policy that all the variants of asym-dk have in common."""
    initiator_token = X509Token(include=Include.ALWAYS_TO_RECIPIENT)
    recipient_token = X509Token(include=Include.NEVER, references=recipient)
    bootstrap = Policy(
        binding=AsymmetricBinding(
            initiator_signature_token=initiator_token,
            initiator_encryption_token=initiator_token,
            recipient_signature_token=recipient_token,
            recipient_encryption_token=recipient_token,
            algorithm_suite=SUITES[suite],
            layout=Layout.STRICT,
            include_timestamp=True,
            only_sign_entire_headers_and_body=True,
        ),
        signed=bootstrap_signed,
        encrypted=BODY_ONLY,
        wss=wss,
        trust=bootstrap_trust,
    )
    token = SecureConversationToken(
        include=Include.ALWAYS_TO_RECIPIENT, derived_keys=DerivedKeys.EITHER, bootstrap=bootstrap
    )
    return Policy(
        binding=SymmetricBinding(
            signature_token=token,
            encryption_token=token,
            algorithm_suite=SUITES[suite],
            layout=Layout.STRICT,
            include_timestamp=True,
            only_sign_entire_headers_and_body=True,
        ),
        wss=outer_wss,
        trust=TrustOptions(wst=WST_200512, require_client_entropy=True, require_server_entropy=True),
        addressing=WSA_2005,
    )


@pytest.mark.parametrize(
    ("variant", "suite", "encrypted", "soap"),
    [
        ("asym-dk", "Basic128", BODY_ONLY, SOAP11),
        ("asym-dk-basic256", "Basic256", BODY_ONLY, SOAP11),
        ("asym-dk-basic256sha256", "Basic256Sha256", BODY_ONLY, SOAP11),
        ("asym-dk-tripledes", "TripleDes", BODY_ONLY, SOAP11),
        ("asym-dk-signonly", "Basic128", Parts(), SOAP11),
        ("asym-dk-soap12", "Basic128", BODY_ONLY, SOAP12),
    ],
)
def test_cxf_variants(variant: str, suite: str, encrypted: Parts, soap: str) -> None:
    """What CXF publishes is read into exactly the policies that it demands, per message."""
    styles = frozenset({ReferenceStyle.KEY_IDENTIFIER, ReferenceStyle.ISSUER_SERIAL})
    endpoint = conversation(
        suite,
        recipient=frozenset(),
        bootstrap_signed=BODY_AND_ADDRESSING,
        wss=Wss(version="1.0", references=styles),
        bootstrap_trust=None,
        outer_wss=None,
    )
    message = replace(endpoint, signed=BODY_AND_ADDRESSING, encrypted=encrypted)

    found = read_wsdl(parsed(cxf_wsdl(variant)))

    assert found.endpoint == endpoint
    assert (found.soap, found.address) == (soap, "http://127.0.0.1:8080/peer")
    assert list(found.operations) == ["echo", "sum", "fail", "big", "whoami"]
    for name, operation in found.operations.items():
        assert operation.name == name
        assert operation.actions == {f"urn:secureconv:peer:{name}"}
        assert operation.input_element == f"{{urn:secureconv:peer}}{name}"
        assert operation.has_output
        assert (operation.request, operation.response, operation.fault) == (message, message, endpoint)
        assert found.response_actions[f"{name}:output"] == f"urn:secureconv:peer:{name}Response"
    assert found.operations["echo"].faults == {}
    # CXF leaves declared faults without parts: only their Timestamp is signed.
    assert found.operations["fail"].faults == {"{urn:secureconv:peer}PeerFault": endpoint}
    assert found.response_actions["fail:fault:PeerFault"] == "urn:secureconv:peer:failFault"


def test_metro() -> None:
    """What Metro publishes is read likewise: named headers, Wss11, nested Trust13, a policy for the fault."""
    styles = {ReferenceStyle.ISSUER_SERIAL, ReferenceStyle.THUMBPRINT, ReferenceStyle.ENCRYPTED_KEY}
    wss = Wss(version="1.1", references=frozenset(styles))
    parts = Parts(body=True, headers=SEVEN_HEADERS)
    trust = TrustOptions(wst=WST_200512, require_client_entropy=True, require_server_entropy=True)
    endpoint = conversation(
        "Basic128",
        recipient=frozenset({ReferenceStyle.ISSUER_SERIAL}),
        bootstrap_signed=parts,
        wss=wss,
        bootstrap_trust=trust,
        outer_wss=wss,
    )
    message = replace(endpoint, signed=parts, encrypted=BODY_ONLY)

    found = read_document(etree.parse(VECTORS / "metro" / "asym-dk.wsdl").getroot())

    assert found.endpoint == endpoint
    assert found.soap == SOAP11
    assert set(found.operations) == {"echo", "sum", "fail", "big", "whoami"}
    fail = found.operations["fail"]
    assert (fail.request, fail.response, fail.fault) == (message, message, endpoint)
    assert fail.faults == {"{urn:secureconv:peer}PeerFault": message}
    assert fail.actions == {"urn:secureconv:peer:fail"}
    assert found.response_actions["fail:fault:PeerFault"] == "urn:secureconv:peer:PeerFault"


def test_both_namespaces_of_ws_policy() -> None:
    """A policy means the same under either namespace of WS-Policy."""
    text = cxf_wsdl("asym-dk")
    assert WSP_W3C in text
    assert read_wsdl(parsed(text.replace(WSP_W3C, WSP_2004))) == read_wsdl(parsed(text))


@pytest.mark.parametrize("generation", [SP_2005, SP_200512])
def test_older_generations_of_securitypolicy(generation: str) -> None:
    """Assertions that older generations have under the same name mean the same there."""
    text = cxf_wsdl("asym-dk")
    assert SP_200702 in text
    found = read_wsdl(parsed(text.replace(SP_200702, generation))).operations["echo"].request
    assert found.spec == generation
    assert in_generation(found, SP_200702) == read_wsdl(parsed(text)).operations["echo"].request


def in_generation(policy: Policy, spec: str) -> Policy:
    """The policy as if it, and the bootstrap in it, had been written in another namespace."""
    token = policy.conversation_token
    assert token is not None
    assert token.bootstrap is not None
    assert isinstance(policy.binding, SymmetricBinding)
    other = replace(token, bootstrap=replace(token.bootstrap, spec=spec))
    binding = replace(policy.binding, signature_token=other, encryption_token=other)
    return replace(policy, spec=spec, binding=binding)


def test_values_are_hashable_and_say_where_they_were_read() -> None:
    """Policies can be keys, and tell people where they stand."""
    found = read_wsdl(parsed(cxf_wsdl("asym-dk")), location="http://example.org/peer?wsdl")
    assert len({found.operations["echo"].request, found.operations["sum"].request}) == 1
    assert found.endpoint.source.startswith("line ")
    assert found.endpoint.source.endswith(" of http://example.org/peer?wsdl")


def signed(found: EndpointPolicy) -> str:
    """Which policies have a signed Body: e(ndpoint), q = request, r(esponse), f(ault), d(eclared fault)."""
    operation = found.operations["op"]
    policies = {
        "e": found.endpoint,
        "q": operation.request,
        "r": operation.response,
        "f": operation.fault,
        "d": operation.faults["{urn:t}oops"],
    }
    return "".join(letter for letter, policy in policies.items() if policy.signed.body)


_POINTS = {
    "service": "eqrfd",
    "port": "eqrfd",
    "binding": "eqrfd",
    "port_type": "eqrfd",
    "binding_operation": "qrfd",
    "port_type_operation": "qrfd",
    "binding_input": "q",
    "port_type_input": "q",
    "input_message": "q",
    "binding_output": "r",
    "port_type_output": "r",
    "output_message": "r",
    "binding_fault": "d",
    "port_type_fault": "d",
    "fault_message": "d",
}


@pytest.mark.parametrize(
    "attached",
    [
        '<wsp:PolicyReference URI="#P"/>',
        '<wsp2004:PolicyReference URI="#P"/>',
        "<wsp:Policy><sp:SignedParts><sp:Body/></sp:SignedParts></wsp:Policy>",
        "<wsp2004:Policy><wsp2004:All><sp:SignedParts><sp:Body/></sp:SignedParts></wsp2004:All></wsp2004:Policy>",
    ],
)
@pytest.mark.parametrize(("point", "messages"), _POINTS.items())
def test_attachment_points(point: str, messages: str, attached: str) -> None:
    """A policy holds for exactly the messages in whose scope it is attached, however it is written."""
    assert signed(read()) == ""
    assert signed(read(**{point: attached})) == messages


@pytest.mark.parametrize(
    ("attribute", "messages"),
    [("port_type_attribute", "eqrfd"), ("input_attribute", "q"), ("input_message_attribute", "q")],
)
@pytest.mark.parametrize("prefix", ["wsp", "wsp2004"])
def test_policy_uris(attribute: str, messages: str, prefix: str) -> None:
    """wsp:PolicyURIs attaches every policy that it lists."""
    other = '<wsp:Policy wsu:Id="Q"><sp:EncryptedParts><sp:Body/></sp:EncryptedParts></wsp:Policy>'
    found = read(definitions=other, **{attribute: f'{prefix}:PolicyURIs="#Q #P"'})
    assert signed(found) == messages
    assert found.operations["op"].request.encrypted.body


def test_scopes_join() -> None:
    """The parts of all scopes of a message are demanded together."""

    def parts(namespace: str) -> str:
        part = f'<sp:SignedParts><sp:Header Namespace="{namespace}"/></sp:SignedParts>'
        return f"<wsp:Policy>{part}</wsp:Policy>"

    found = read(binding=parts("urn:1"), binding_operation=parts("urn:2"), binding_input=parts("urn:3"))
    operation = found.operations["op"]

    def namespaces(policy: Policy) -> list[str | None]:
        return [header.namespace for header in policy.signed.headers]

    assert namespaces(found.endpoint) == ["urn:1"]
    assert namespaces(operation.request) == ["urn:1", "urn:2", "urn:3"]
    assert namespaces(operation.response) == namespaces(operation.fault) == ["urn:1", "urn:2"]
    assert namespaces(operation.faults["{urn:t}oops"]) == ["urn:1", "urn:2"]


def test_binding_at_an_operation() -> None:
    """The binding may come from the operation's policy, too."""
    found = read(binding_operation=policy_text())
    assert found.endpoint.binding is None
    assert found.operations["op"].request.binding == binding()
    assert found.operations["op"].fault.binding == binding()


def test_no_policy_at_all() -> None:
    """A WSDL without policy is read, and says that nothing is secured."""
    found = read()
    assert found.endpoint == Policy()
    operation = found.operations["op"]
    assert operation.request == operation.response == operation.fault == Policy()
    assert operation.faults == {"{urn:t}oops": Policy()}


@pytest.mark.parametrize("point", ["binding", "port"])
def test_using_addressing_outside_a_policy(point: str) -> None:
    """UsingAddressing as an extension element of a binding or a port counts as well."""
    assert read().endpoint.addressing is None
    assert read(**{point: "<wsaw:UsingAddressing/>"}).endpoint.addressing == WSA_2005


def test_alternatives_of_all_scopes_are_weighed_together() -> None:
    """A message takes the first combination of its scopes' alternatives that can be satisfied."""
    choice = "<wsp:Policy><wsp:ExactlyOne><sp:SignedElements/>{}</wsp:ExactlyOne></wsp:Policy>"
    body = "<sp:SignedParts><sp:Body/></sp:SignedParts>"
    encrypted = "<sp:EncryptedParts><sp:Body/></sp:EncryptedParts>"
    found = read(binding=choice.format(body), binding_input=choice.format(encrypted))
    assert signed(found) == "eqrfd"
    assert found.operations["op"].request.encrypted.body
    assert not found.operations["op"].response.encrypted.body


def test_alternatives_of_all_scopes_are_bounded() -> None:
    """The combinations of all scopes are at most 256, too."""
    optional = '<sp:EncryptedParts wsp:Optional="true"><sp:Body/></sp:EncryptedParts>'
    assert read(binding=f"<wsp:Policy>{optional * 4}</wsp:Policy>" * 2).endpoint.encrypted.body
    with pytest.raises(PolicyError, match="256"):
        read(
            binding=f"<wsp:Policy>{optional * 4}</wsp:Policy>" * 2,
            binding_input=f"<wsp:Policy>{optional}</wsp:Policy>",
        )


def test_error_in_an_attached_policy_names_the_line() -> None:
    """The error of an attached policy says where in the WSDL the assertion stands."""
    root = parsed(wsdl_text(binding_input="<wsp:Policy><sp:SignedElements/></wsp:Policy>"))
    line = next(root.iter(f"{{{SP_200702}}}SignedElements")).sourceline
    assert signed(read(binding_input='<wsp:PolicyReference URI="#P"/>')) == "q"
    with pytest.raises(PolicyError) as caught:
        read_wsdl(root)
    assert caught.value.position == f"line {line} of the WSDL"


@pytest.mark.parametrize(
    ("slots", "actions"),
    [
        ({}, {"urn:act"}),
        ({"input_attribute": 'wsam:Action="urn:a"'}, {"urn:a", "urn:act"}),
        ({"input_attribute": 'wsaw:Action="urn:a"', "soap_operation": ""}, {"urn:a"}),
        (
            {
                "input_attribute": 'm:Action="urn:a" xmlns:m="http://www.w3.org/2007/02/addressing/metadata"',
                "soap_operation": 'soapAction=""',
            },
            {"urn:a"},
        ),
        ({"soap_operation": 'soapAction=""'}, {"urn:t:Type:opRequest"}),
        ({"soap_operation": "", "input_attribute": 'name="Ask"'}, {"urn:t:Type:Ask"}),
        (
            {"soap_operation": "", "namespace": "http://example.org/t"},
            {"http://example.org/t/Type/opRequest"},
        ),
        (
            {"soap_operation": "", "namespace": "http://example.org/t/"},
            {"http://example.org/t/Type/opRequest"},
        ),
        ({"soap_operation": "", "output": ""}, {"urn:t:Type:op"}),
    ],
)
def test_request_actions(slots: dict[str, str], actions: set[str]) -> None:
    """Actions come from soapAction and the port type, from the default pattern where both are silent."""
    assert read(**slots).operations["op"].actions == actions


def test_response_actions() -> None:
    """Actions of outputs and faults are the explicit ones, else those of the default pattern."""
    assert read().response_actions == {
        "op:output": "urn:t:Type:opResponse",
        "op:fault:Oops": "urn:t:Type:op:Fault:Oops",
    }
    explicit = read(
        output='<wsdl:output message="t:Out" wsam:Action="urn:o"/>', fault_attribute='wsam:Action="urn:f"'
    )
    assert explicit.response_actions == {"op:output": "urn:o", "op:fault:Oops": "urn:f"}


@pytest.mark.parametrize(
    ("slots", "element"),
    [
        ({}, "{urn:t}in"),
        ({"input_body": ""}, "{urn:t}in"),
        ({"input_body": '<soap:body use="literal" parts="b"/>'}, "{urn:t}second"),
        ({"input_body": '<soap:body use="literal" parts=""/>'}, None),
        (
            {"input_body": '<soap:header message="t:In" part="a" use="literal"/><soap:body use="literal"/>'},
            "{urn:t}second",
        ),
        (
            {"input_body": '<soap:header message="t:Out" part="a" use="literal"/><soap:body use="literal"/>'},
            "{urn:t}in",
        ),
        (
            {
                "input_body": '<m:multipartRelated xmlns:m="http://schemas.xmlsoap.org/wsdl/mime/">'
                '<m:part><soap:body use="literal" parts="b"/></m:part></m:multipartRelated>'
            },
            "{urn:t}second",
        ),
        ({"style": "rpc", "input_body": '<soap:body use="literal" namespace="urn:r"/>'}, "{urn:r}op"),
        (
            {"soap_operation": 'style="rpc"', "input_body": '<soap:body use="literal" namespace="urn:r"/>'},
            "{urn:r}op",
        ),
        ({"style": "rpc", "soap_operation": 'style="document"'}, "{urn:t}in"),
    ],
)
def test_input_element(slots: dict[str, str], element: str | None) -> None:
    """The Body child is the message part's element, for rpc one named after the operation."""
    found = read(input_parts='<wsdl:part name="b" element="t:second"/>', **slots)
    assert found.operations["op"].input_element == element


def test_message_that_the_binding_leaves_out() -> None:
    """Where the binding is silent on an input, the port type's says what the request is."""
    text = wsdl_text()
    start, end = text.index("<wsdl:input><soap:body"), text.index("</wsdl:input>\n   <wsdl:output>")
    found = read_wsdl(parsed(text[:start] + text[end + len("</wsdl:input>") :]))
    assert found.operations["op"].input_element == "{urn:t}in"


def test_one_way_operation() -> None:
    """An operation without output has none; its policy of faults is that of the operation."""
    found = read(output="", binding_operation='<wsp:PolicyReference URI="#P"/>')
    assert not found.operations["op"].has_output
    assert "op:output" not in found.response_actions
    assert signed(found) == "qrfd"


def test_operation_that_only_the_service_can_start() -> None:
    """Notifications are left out: no client can call them."""
    found = read(
        more_operations='<wsdl:operation name="note"><wsdl:output message="t:Out"/></wsdl:operation>',
        more_bound='<wsdl:operation name="note"><wsdl:output/></wsdl:operation>',
    )
    assert set(found.operations) == {"op"}


def test_fault_without_element() -> None:
    """A fault that has no element cannot be told from others, so it must not need a policy of its own."""
    typed = 'type="xs:string"'
    assert read(fault_part=typed).operations["op"].faults == {}
    with pytest.raises(ConfigurationError, match="Oops"):
        read(fault_part=typed, binding_fault='<wsp:PolicyReference URI="#P"/>')


def test_overloaded_operation_is_refused() -> None:
    """Two operations of one name could not be told apart."""
    assert set(read().operations) == {"op"}
    with pytest.raises(ConfigurationError, match="'op'"):
        read(more_bound='<wsdl:operation name="op"/>')
    with pytest.raises(ConfigurationError, match="'op'"):
        read(more_operations='<wsdl:operation name="op"/>')


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('type="t:Type"', 'type="t:Other"', "portType"),
        ('type="t:Type"', 'type="u:Type"', "prefix"),
        ('binding="t:Binding"', 'binding="t:Other"', "binding"),
        ('message="t:In"', 'message="t:Other"', "message"),
        ('<soap:binding style="document"', "<http:binding", "not one of SOAP"),
    ],
)
def test_broken_wsdl(old: str, new: str, says: str) -> None:
    """What a WSDL refers to must be there, and be SOAP."""
    text = wsdl_text()
    assert read_wsdl(parsed(text)).soap == SOAP11
    with pytest.raises(ConfigurationError, match=says) as caught:
        read_wsdl(parsed(text.replace(old, new)))
    assert caught.value.hint


_SECOND_PORT = (
    '<wsdl:port name="Second" binding="t:Binding"><soap:address location="http://example.org/b"/></wsdl:port>'
)


def test_ports_that_are_not_soap_do_not_count() -> None:
    """The only SOAP port is found among others."""
    other = (
        '<wsdl:port name="Get" binding="t:Get"><http:address location="http://example.org/get"/></wsdl:port>'
    )
    assert read(more_ports=other).address == "http://example.org/a"


def test_several_ports() -> None:
    """Of several SOAP ports one must be named, and the error names them all."""
    root = parsed(wsdl_text(more_ports=_SECOND_PORT))
    assert read_wsdl(root, port="Port").address == "http://example.org/a"
    assert read_wsdl(root, port="Second").address == "http://example.org/b"
    with pytest.raises(ConfigurationError, match=r"Service/Port .*Service/Second") as caught:
        read_wsdl(root)
    assert caught.value.hint


def test_binding_by_name() -> None:
    """A binding by name is enough while its ports have no policies that differ."""
    root = parsed(wsdl_text(more_ports=_SECOND_PORT))
    assert read_wsdl(parsed(wsdl_text()), binding="{urn:t}Binding").address == "http://example.org/a"
    found = read_wsdl(root, binding="{urn:t}Binding")
    assert set(found.operations) == {"op"}
    assert found.address is None
    differing = parsed(wsdl_text(more_ports=_SECOND_PORT, port='<wsp:PolicyReference URI="#P"/>'))
    assert signed(read_wsdl(differing, binding="{urn:t}Binding", port="Port")) == "eqrfd"
    assert signed(read_wsdl(differing, binding="{urn:t}Binding", port="Second")) == ""
    with pytest.raises(ConfigurationError, match="several SOAP ports"):
        read_wsdl(differing, binding="{urn:t}Binding")


def test_binding_without_a_port() -> None:
    """A binding that no port has can be read, without an address."""
    text = wsdl_text(binding='<wsp:PolicyReference URI="#P"/>')
    service = text[text.index("<wsdl:service") : text.index("</wsdl:definitions>")]
    root = parsed(text.replace(service, ""))
    found = read_wsdl(root, binding="{urn:t}Binding")
    assert signed(found) == "eqrfd"
    assert found.address is None
    with pytest.raises(ConfigurationError, match="no SOAP port"):
        read_wsdl(root)


def test_names_that_are_not_there() -> None:
    """A port or a binding that the WSDL does not have is an error of the user's configuration."""
    root = parsed(wsdl_text())
    assert read_wsdl(root, port="Port", binding="{urn:t}Binding").soap == SOAP11
    with pytest.raises(ConfigurationError, match="'Nowhere'"):
        read_wsdl(root, port="Nowhere")
    with pytest.raises(ConfigurationError, match="Nowhere"):
        read_wsdl(root, binding="{urn:t}Nowhere")


def split_wsdl() -> dict[str, str]:
    """A WSDL in three documents: service; binding with its policy; port type and messages."""
    whole = wsdl_text(
        binding='<wsp:PolicyReference URI="#P"/>', definitions='<wsdl:import namespace="urn:t" location="@"/>'
    )

    def without(*tags: str) -> str:
        root = parsed(whole)
        for child in list(root):
            if etree.QName(child).localname in tags:
                root.remove(child)
        return etree.tostring(root, encoding="unicode")

    service = without("Policy", "message", "portType", "binding")
    binding = without("message", "portType", "service")
    abstract = without("Policy", "binding", "service")
    return {
        "http://example.org/w/service.wsdl": service.replace('"@"', '"parts/binding.wsdl"'),
        "http://example.org/w/parts/binding.wsdl": binding.replace('"@"', '"../abstract.wsdl"'),
        "http://example.org/w/abstract.wsdl": abstract.replace('"@"', '"service.wsdl"'),
    }


def test_imports() -> None:
    """What belongs to an endpoint may live in imported documents, which may import in a circle."""
    documents = split_wsdl()
    loaded: list[str] = []

    def load(location: str) -> etree._Element:
        loaded.append(location)
        return parsed(documents[location])

    location = "http://example.org/w/service.wsdl"
    found = read_wsdl(parsed(documents[location]), location=location, load=load)

    assert signed(found) == "eqrfd"
    assert found.operations["op"].input_element == "{urn:t}in"
    assert found.address == "http://example.org/a"
    assert loaded == ["http://example.org/w/parts/binding.wsdl", "http://example.org/w/abstract.wsdl"]


def test_error_in_an_imported_document_names_it() -> None:
    """The position of an error names the document that the assertion stands in."""
    documents = split_wsdl()
    name = "http://example.org/w/parts/binding.wsdl"
    documents[name] = documents[name].replace("SignedParts", "SignedElements")
    location = "http://example.org/w/service.wsdl"
    with pytest.raises(PolicyError) as caught:
        read_wsdl(parsed(documents[location]), location=location, load=lambda at: parsed(documents[at]))
    assert caught.value.position is not None
    assert caught.value.position.endswith(f" of {name}")


def test_imports_that_cannot_be_loaded() -> None:
    """Imports that are needed are refused where they cannot be loaded; others are not missed."""
    documents = split_wsdl()
    root = parsed(documents["http://example.org/w/service.wsdl"])
    with pytest.raises(ConfigurationError, match="imports"):
        read_wsdl(root, location="http://example.org/w/service.wsdl")
    with pytest.raises(ConfigurationError, match="where it came from"):
        read_wsdl(root, load=lambda at: parsed(documents[at]))
    whole = wsdl_text(definitions='<wsdl:import namespace="urn:u" location="unused.wsdl"/>')
    assert read_wsdl(parsed(whole)).address == "http://example.org/a"


def test_imported_schema_is_passed_over() -> None:
    """A schema that is imported as if it were a WSDL does no harm."""
    documents = split_wsdl()
    location = "http://example.org/w/service.wsdl"
    schema = '<wsdl:import namespace="urn:s" location="types.xsd"/>' * 2 + "<wsdl:import"
    documents[location] = documents[location].replace("<wsdl:import", schema, 1)
    documents["http://example.org/w/types.xsd"] = '<schema xmlns="http://www.w3.org/2001/XMLSchema"/>'
    found = read_wsdl(parsed(documents[location]), location=location, load=lambda at: parsed(documents[at]))
    assert signed(found) == "eqrfd"


def test_imports_are_bounded() -> None:
    """A WSDL that imports without end is refused."""
    loaded: list[str] = []

    def load(location: str) -> etree._Element:
        loaded.append(location)
        text = f'<wsdl:import namespace="urn:u" location="next{len(loaded)}.wsdl"/>'
        return parsed(
            wsdl_text(definitions=text).replace('targetNamespace="urn:t"', 'targetNamespace="urn:u"')
        )

    root = parsed(split_wsdl()["http://example.org/w/service.wsdl"])
    with pytest.raises(ConfigurationError, match="more than 64 documents"):
        read_wsdl(root, location="http://example.org/w/service.wsdl", load=load)
    assert len(loaded) == 63


def test_import_of_no_url() -> None:
    """A location that is no URL is an error of the WSDL, not of the reader."""
    text = split_wsdl()["http://example.org/w/service.wsdl"].replace("parts/binding.wsdl", "http://[x")
    with pytest.raises(ConfigurationError, match="no URL"):
        read_wsdl(parsed(text), location="http://example.org/w/service.wsdl", load=lambda _: parsed(text))


def test_soap12() -> None:
    """The envelope's namespace follows the binding's."""
    assert read().soap == SOAP11
    assert read(soap="http://schemas.xmlsoap.org/wsdl/soap12/").soap == SOAP12


def test_read_document_takes_either() -> None:
    """read_document takes a WSDL and a bare policy, and nothing else."""
    bare = read_document(parsed(policy_text()))
    assert bare == EndpointPolicy(endpoint=policy())
    assert read_document(parsed(wsdl_text()), port="Port") == read()
    with pytest.raises(ConfigurationError, match="not a WSDL"):
        read_document(parsed('<description xmlns="http://www.w3.org/ns/wsdl"/>'))
    with pytest.raises(ConfigurationError, match="not a policy"):
        read_policy(parsed(wsdl_text()))
