"""The wsse:Security header of a received message, ids, and base64."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from zeep_secureconv import LimitExceeded, Limits, VerificationError
from zeep_secureconv.names import DS, SOAP11, SOAP12, WSC_200512, WSSE, WSU, XENC
from zeep_secureconv.soap.envelope import Soap, parse
from zeep_secureconv.wss import base64 as ours
from zeep_secureconv.wss.header import SecurityHeader, find_security

LIMITS = Limits()


def soap(headers: str, body: str = "", version: str = SOAP11) -> Soap:
    """A message; w, u, d, x and c are the usual namespaces."""
    names = {"s": version, "w": WSSE, "u": WSU, "d": DS, "x": XENC, "c": WSC_200512}
    declared = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in names.items())
    text = f"<s:Envelope{declared}><s:Header>{headers}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    return Soap.of(parse(text.encode(), LIMITS))


def refused(message: Soap, limits: Limits = LIMITS) -> str:
    """The id of the check that refuses the header."""
    with pytest.raises(VerificationError) as caught:
        SecurityHeader(message, limits)
    return caught.value.check


# ------------------------------------------------------------------------------------------------- position


@pytest.mark.parametrize(("version", "role"), [(SOAP11, "actor"), (SOAP12, "role")], ids=["soap11", "soap12"])
def test_the_header_for_us_is_found(version: str, role: str) -> None:
    """A header without actor or role is ours, wherever it stands; one for somebody else is not."""
    other = f'<w:Security s:{role}="urn:other"/>'
    message = soap(f'{other}<a/><w:Security u:Id="mine"/><b/>', version=version)
    assert SecurityHeader(message, LIMITS).element.get(f"{{{WSU}}}Id") == "mine"
    assert find_security(soap(other, version=version), LIMITS) is None
    assert find_security(soap(f'<w:Security s:{role}=""/>', version=version), LIMITS) is not None


def test_no_header_and_two_headers_are_refused() -> None:
    """A message has one wsse:Security header for us, as a block of its Header and nowhere else."""
    SecurityHeader(soap("<w:Security/>"), LIMITS)
    assert refused(soap("<w:Security/><w:Security/>")) == "security-header"
    for message in (soap(""), soap("<a><w:Security/></a>"), soap("", "<w:Security/>"), soap("<Security/>")):
        assert refused(message) == "security-header"
    bare = etree.fromstring(f'<s:Envelope xmlns:s="{SOAP11}"><s:Body/></s:Envelope>')
    assert find_security(Soap.of(bare), LIMITS) is None


# --------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("child", "bound"),
    [
        ("<d:Signature/>", {"signatures": 4}),
        ("<c:DerivedKeyToken/>", {"derived_keys": 4}),
        ("<c:SecurityContextToken/>", {"tokens": 4}),
        ("<w:BinarySecurityToken/>", {"tokens": 4}),
        ("<x:EncryptedKey/>", {"tokens": 4}),
    ],
)
def test_a_header_has_bounds(child: str, bound: dict[str, int]) -> None:
    """So many signatures, derived keys and tokens, and no more, stand in one header."""
    limits = Limits(**bound)
    SecurityHeader(soap(f"<w:Security>{child * 4}</w:Security>"), limits)
    assert refused(soap(f"<w:Security>{child * 5}</w:Security>"), limits) == "header-size"


def test_the_elements_of_a_header_are_counted() -> None:
    """Elements of all blocks count together."""
    limits = Limits(header_elements=10)
    SecurityHeader(soap(f"<w:Security/><a>{'<b/>' * 8}</a>"), limits)
    with pytest.raises(LimitExceeded) as caught:
        SecurityHeader(soap(f"<w:Security/><a>{'<b/>' * 9}</a>"), limits)
    assert caught.value.check == "header-size"


# ------------------------------------------------------------------------------------------------------ ids


def test_ids_are_those_of_the_standards() -> None:
    """wsu:Id counts anywhere, Id on signatures and encrypted data; an application's own Id is none."""
    header = SecurityHeader(
        soap(
            '<w:Security><d:Signature Id="sig"/><x:EncryptedKey Id="key"/><c:SecurityContextToken u:Id="sct"/>'
            '</w:Security><a u:Id="block" Id="own"/>',
            '<b u:Id="part"><c Id="own"/><d Id="sig"/></b>',
        ),
        LIMITS,
    )
    for name in ("sig", "key", "sct", "block", "part"):
        assert header.find(name) is not None
    assert header.find("own") is None
    found = header.find("sig")
    assert found is not None
    assert found.tag == f"{{{DS}}}Signature"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ('<w:Security/><a u:Id="1"/><b u:Id="1"/>', ""),
        ('<w:Security/><a u:Id="1"/>', '<b u:Id="1"/>'),
        ('<w:Security><d:Signature Id="1"/></w:Security>', '<b u:Id="1"/>'),
        ('<w:Security><d:Signature Id="1"/><x:EncryptedKey Id="1"/></w:Security>', ""),
        ("<w:Security/>", '<b u:Id="1"><c><d u:Id="1"/></c></b>'),
    ],
)
def test_an_id_stands_once(headers: str, body: str) -> None:
    """An id that stands twice, in whatever attribute, is refused."""
    numbers = iter(range(2, 9))
    apart = [re.sub('"1"', lambda _: f'"{next(numbers)}"', part) for part in (headers, body)]
    SecurityHeader(soap(*apart), LIMITS)
    assert refused(soap(headers, body)) == "duplicate-id"


def test_a_token_stands_in_the_header() -> None:
    """A token is found by its id when it is a child of the header, and nowhere else."""
    header = SecurityHeader(
        soap(
            '<w:Security><a u:Id="in"><b u:Id="deeper"/></a></w:Security><c u:Id="beside"/>',
            '<d u:Id="out"/>',
        ),
        LIMITS,
    )
    assert header.token("in").tag == "a"
    for name in ("deeper", "beside", "out", "nowhere"):
        with pytest.raises(VerificationError) as caught:
            header.token(name)
        assert caught.value.check == "token"


def test_what_left_the_message_is_forgotten() -> None:
    """The id of an element that was replaced may be used again."""
    message = soap("<w:Security/>", '<a u:Id="1"/>')
    header = SecurityHeader(message, LIMITS)
    old = message.body[0]
    fresh = soap("", '<b u:Id="1"/>').body[0]
    message.body.replace(old, fresh)
    with pytest.raises(VerificationError):
        header.index(fresh)
    header.forget(old)
    header.index(fresh)
    assert header.find("1") is fresh


# --------------------------------------------------------------------------------------------------- base64


@given(st.binary(max_size=200), st.sampled_from(["", "\n", " ", "\r\n\t"]))
def test_base64_comes_back_folded_or_not(octets: bytes, space: str) -> None:
    """What is encoded is decoded, with white space anywhere, and is what the standard library says."""
    text = ours.encode(octets)
    assert text.encode() == ours.encode_octets(octets) == base64.b64encode(octets)
    folded = space + space.join(text[at : at + 5] for at in range(0, len(text), 5)) + space
    assert ours.decode(folded) == octets


@pytest.mark.parametrize(
    "text", ["A", "AA", "AAA", "AAAA=", "A===", "AA=A", "AA-_", "AAA\u00e9", "AAAA!", "=AAA"]
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    """Wrong lengths, wrong padding and foreign characters are a ValueError."""
    assert ours.decode("AAAA") == bytes(3)
    with pytest.raises(ValueError):  # noqa: PT011 - the codec's own words
        ours.decode(text)
