"""Faults, made and read."""

from __future__ import annotations

import pytest

from zeep_secureconv import Limits
from zeep_secureconv.names import SOAP11, SOAP12, WSSE
from zeep_secureconv.soap.envelope import Soap, parse, serialize
from zeep_secureconv.soap.faults import Fault, make_fault, read_fault

VERSIONS = pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=["soap11", "soap12"])


def fault(inside: str, version: str = SOAP11, declarations: str = "") -> Fault:
    """The fault with that content, read."""
    data = f'<s:Envelope xmlns:s="{version}" {declarations}><s:Body><s:Fault>{inside}</s:Fault></s:Body></s:Envelope>'
    soap = Soap.of(parse(data.encode(), Limits()))
    assert soap.is_fault()
    return read_fault(soap)


@VERSIONS
@pytest.mark.parametrize("code", [f"{{{WSSE}}}InvalidSecurity", "{urn:a}B", "own"])
def test_a_fault_is_read_as_it_was_made(version: str, code: str) -> None:
    """Code and text come back from the wire."""
    if version == SOAP12 and not code.startswith("{"):
        code = "{urn:a}own"
    made = make_fault(version, code=code, text="it <failed> & \u20ac")
    read = read_fault(Soap.of(parse(serialize(made.envelope), Limits())))
    assert (read.code, read.text) == (code, "it <failed> & \u20ac")
    assert read.subcodes == ((code,) if version == SOAP12 else ())
    assert (read.detail, read.actor) == (None, None)


@pytest.mark.parametrize(("sender", "outer"), [(True, "Sender"), (False, "Receiver")])
def test_soap_12_says_who_is_to_blame(sender: bool, outer: str) -> None:
    """The Code of SOAP 1.2 is Sender or Receiver, and a code of SOAP's own stands alone."""
    lone = make_fault(SOAP12, code=f"{{{SOAP12}}}{outer}", text="x", sender=sender)
    assert read_fault(lone).code == f"{{{SOAP12}}}{outer}"
    assert read_fault(lone).subcodes == ()
    inner = make_fault(SOAP12, code="{urn:a}B", text="x", sender=sender)
    assert inner.body[0][0][0].text == f"soap:{outer}"


def test_soap_11_faults_are_read() -> None:
    """Faultcode is resolved where it stands; faultactor and detail are kept."""
    read = fault(
        '<faultcode xmlns:q="urn:q"> q:Code </faultcode><faultstring> text </faultstring>'
        "<faultactor>urn:actor</faultactor><detail><a/></detail>"
    )
    assert (read.code, read.text, read.actor) == ("{urn:q}Code", "text", "urn:actor")
    assert read.detail is not None
    assert [child.tag for child in read.detail] == ["a"]


def test_soap_12_faults_are_read() -> None:
    """The innermost Subcode is the code, and all of them are kept; Role and Detail too."""
    read = fault(
        "<s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>q:Outer</s:Value><s:Subcode>"
        "<s:Value>q:Inner</s:Value></s:Subcode></s:Subcode></s:Code><s:Reason><s:Text xml:lang='en'> text </s:Text>"
        "<s:Text xml:lang='de'>Text</s:Text></s:Reason><s:Role>urn:role</s:Role><s:Detail><a/></s:Detail>",
        SOAP12,
        'xmlns:q="urn:q"',
    )
    assert read.code == "{urn:q}Inner"
    assert read.subcodes == ("{urn:q}Outer", "{urn:q}Inner")
    assert (read.text, read.actor) == ("text", "urn:role")
    assert read.detail is not None


@VERSIONS
def test_an_empty_fault_says_nothing(version: str) -> None:
    """Nothing in a fault is needed, and nothing is made up."""
    read = fault("", version)
    assert (read.code, read.text, read.subcodes, read.actor, read.detail) == (None, "", (), None, None)


@pytest.mark.parametrize(
    ("text", "declarations", "code"),
    [
        ("Server", "", "Server"),
        ("Server", 'xmlns="urn:d"', "Server"),
        ("p:Server", "", "Server"),
        ("s:Server", "", f"{{{SOAP11}}}Server"),
        ("", "", None),
    ],
)
def test_codes_with_odd_prefixes_are_read(text: str, declarations: str, code: str | None) -> None:
    """A prefix that is not declared names nothing; without a prefix the default namespace counts."""
    read = fault(f"<faultcode>{text}</faultcode>", SOAP11, declarations)
    if declarations:  # faultcode itself has no namespace, so that nothing is found under a default one
        assert read.code is None
    else:
        assert read.code == code


def test_nested_subcodes_have_a_bound() -> None:
    """A thousand Subcodes are not followed to their end."""
    inner = "<s:Subcode><s:Value>q:X</s:Value>" * 150 + "</s:Subcode>" * 150
    read = fault(f"<s:Code><s:Value>s:Sender</s:Value>{inner}</s:Code>", SOAP12, 'xmlns:q="urn:q"')
    assert len(read.subcodes) < 20
