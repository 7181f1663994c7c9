from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from zeep_secureconv import ConfigurationError
from zeep_secureconv.service.contract import published_wsdl

_GREETING = Path(__file__).parents[3] / "samples" / "greeting.wsdl"
_HERE = "https://example.org/a?b&c"
_TWO_PORTS = b"""<?xml version="1.0"?>
<!-- before --><?keep this?>
<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:s11="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:s12="http://schemas.xmlsoap.org/wsdl/soap12/" xmlns:a="http://www.w3.org/2005/08/addressing"
    xmlns:only-in-text="urn:prefix" targetNamespace="urn:other">
  <w:documentation>http://one/ stays here; only-in-text:name</w:documentation>
  <w:service name="S">
    <w:port name="A" binding="B"><s11:address location="http://one/"/></w:port>
    <w:port name="B" binding="C"><s12:address location="http://two/"/>
      <a:EndpointReference><a:Address>http://two/</a:Address><a:Metadata/></a:EndpointReference></w:port>
  </w:service>
</w:definitions>
"""


def _canonical(document: bytes) -> bytes:
    return etree.tostring(etree.fromstring(document).getroottree(), method="c14n", with_comments=True)


def test_every_port_has_the_new_address() -> None:
    """Ports of either SOAP version, and their endpoint references, get the address; nothing else changes."""
    here = _HERE.replace("&", "&amp;").encode()
    expected = _TWO_PORTS
    for old in (b'"http://one/"', b'"http://two/"'):
        expected = expected.replace(old, b'"' + here + b'"')
    expected = expected.replace(b">http://two/<", b">" + here + b"<")
    assert _canonical(published_wsdl(_TWO_PORTS, address=_HERE)) == _canonical(expected)


def test_the_policy_stays() -> None:
    """The policy of a WSDL, and what refers to it, is published as it was configured."""
    given = _GREETING.read_bytes()
    published = published_wsdl(given, address=_HERE)
    assert b"SecureConversationToken" in published
    assert _canonical(published) == _canonical(
        given.replace(b"http://localhost/greeting", _HERE.replace("&", "&amp;").encode())
    )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"no XML", "cannot be read"),
        (b"<!DOCTYPE a>" + _TWO_PORTS.partition(b"?>")[2], "cannot be read"),
        (_TWO_PORTS.replace(b":address", b":dress"), "no port"),
    ],
)
def test_what_is_no_wsdl_of_a_service_is_refused(document: bytes, said: str) -> None:
    """What cannot be published says why, and what to give."""
    with pytest.raises(ConfigurationError, match=said) as raised:
        published_wsdl(document, address=_HERE)
    assert raised.value.hint
