"""Reading WS-Trust messages: what is taken in every form, and what is refused."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta, timezone

import pytest
from lxml import etree

from zeep_secureconv.errors import LimitExceeded, VerificationError
from zeep_secureconv.limits import Limits
from zeep_secureconv.names import (
    WSC_2005,
    WSC_200512,
    WSP_2004,
    WSSE,
    WST_2005,
    WST_200512,
    WSU,
    sct_type,
)
from zeep_secureconv.soap.envelope import parse
from zeep_secureconv.trust import (
    Lifetime,
    Renewing,
    RequestSecurityToken,
    RequestSecurityTokenResponse,
    request_from_xml,
    response_from_xml,
)

_LIMITS = Limits()
_SCT = sct_type(WSC_200512)
_PSHA1 = f"{WST_200512}/CK/PSHA1"


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


_REQUEST = f"""
<t:RequestSecurityToken xmlns:t="{WST_200512}" xmlns:o="{WSSE}" xmlns:c="{WSC_200512}" xmlns:u="{WSU}"
    xmlns:p="{WSP_2004}" xmlns:a="http://www.w3.org/2005/08/addressing" Context="urn:context">
  <t:TokenType>{_SCT}</t:TokenType>
  <t:RequestType>{WST_200512}/Renew</t:RequestType>
  <t:RenewTarget><c:SecurityContextToken u:Id="id"><c:Identifier>urn:i</c:Identifier>
    <c:Instance>urn:n</c:Instance></c:SecurityContextToken></t:RenewTarget>
  <p:AppliesTo><a:EndpointReference><a:Address>urn:here</a:Address></a:EndpointReference></p:AppliesTo>
  <t:Entropy><t:BinarySecret>c2VjcmV0</t:BinarySecret></t:Entropy>
  <t:KeySize>128</t:KeySize>
  <t:KeyType>{WST_200512}/SymmetricKey</t:KeyType>
  <t:ComputedKeyAlgorithm>{_PSHA1}</t:ComputedKeyAlgorithm>
  <t:Lifetime><u:Created>2026-01-01T00:00:00Z</u:Created><u:Expires>2026-01-01T00:05:00Z</u:Expires></t:Lifetime>
  <t:Renewing Allow="true"/>
</t:RequestSecurityToken>"""

_REFERENCE = '<o:SecurityTokenReference><o:Reference URI="{}"/></o:SecurityTokenReference>'
_RESPONSE = f"""
<t:RequestSecurityTokenResponseCollection xmlns:t="{WST_200512}" xmlns:o="{WSSE}" xmlns:c="{WSC_200512}"
    xmlns:u="{WSU}" xmlns:p="{WSP_2004}" xmlns:a="http://www.w3.org/2005/08/addressing">
<t:RequestSecurityTokenResponse>
  <t:TokenType>{_SCT}</t:TokenType>
  <t:RequestedSecurityToken><c:SecurityContextToken u:Id="id"><c:Identifier>urn:i</c:Identifier>
    <c:Instance>urn:n</c:Instance></c:SecurityContextToken></t:RequestedSecurityToken>
  <p:AppliesTo><a:EndpointReference><a:Address>urn:here</a:Address></a:EndpointReference></p:AppliesTo>
  <t:RequestedAttachedReference>{_REFERENCE.format("#id")}</t:RequestedAttachedReference>
  <t:RequestedUnattachedReference>{_REFERENCE.format("urn:i")}</t:RequestedUnattachedReference>
  <t:RequestedProofToken><t:ComputedKey>{_PSHA1}</t:ComputedKey></t:RequestedProofToken>
  <t:Entropy><t:BinarySecret Type="urn:any">c2VjcmV0</t:BinarySecret></t:Entropy>
  <t:Lifetime><u:Created>2026-01-01T00:00:00Z</u:Created><u:Expires>2026-01-01T00:05:00Z</u:Expires></t:Lifetime>
  <t:Status><t:Code>{WST_200512}/status/valid</t:Code></t:Status>
  <t:RequestedTokenCancelled/>
  <t:Renewing/>
  <t:KeySize>128</t:KeySize>
</t:RequestSecurityTokenResponse>
</t:RequestSecurityTokenResponseCollection>"""


def _changed(text: str, pattern: str, replacement: str) -> str:
    changed, count = re.subn(pattern, lambda _: replacement, text, count=1, flags=re.DOTALL)
    assert count == 1, pattern
    return changed


def _read(text: str, limits: Limits = _LIMITS) -> object:
    element = parse(text.encode(), limits)
    if etree.QName(element).localname == "RequestSecurityToken":
        return request_from_xml(element, limits)
    return response_from_xml(element, limits)


def _refused(text: str, limits: Limits = _LIMITS) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        _read(text, limits)
    assert caught.value.check == "trust-message"
    return caught.value


_ONCE = [
    (text, name)
    for text in (_REQUEST, _RESPONSE)
    for name in dict.fromkeys(re.findall(r"<([a-z]:\w+)", text))
    if not name.startswith("t:RequestSecurityToken")
]


@pytest.mark.parametrize(
    ("text", "name"), _ONCE, ids=[f"{'rst' if text is _REQUEST else 'rstr'}-{name}" for text, name in _ONCE]
)
def test_nothing_may_stand_there_twice(text: str, name: str) -> None:
    """Every element that is read is refused when a second one stands beside it."""
    assert _read(text)
    pattern = rf"<{name}(?:\s[^>]*)?(?:/>|>.*?</{name}>)"
    found = re.search(pattern, text, re.DOTALL)
    assert found is not None
    _refused(text[: found.end()] + found.group() + text[found.end() :])


@pytest.mark.parametrize("text", [_REQUEST, _RESPONSE], ids=["rst", "rstr"])
def test_order_and_unknown_children_do_not_matter(text: str) -> None:
    """Children in reverse, with foreign ones between them, say the same."""
    element = parse(text.encode(), _LIMITS)
    parent = element if element.get("Context") else element[0]
    for child in list(parent):
        parent.insert(0, child)
        parent.insert(0, etree.Element("{urn:foreign}Entropy"))
        parent.insert(0, etree.Element(f"{{{WST_200512}}}Foreign"))
    assert _read(etree.tostring(element).decode()) == _read(text)


@pytest.mark.parametrize("text", [_REQUEST, _RESPONSE], ids=["rst", "rstr"])
def test_white_space_around_texts_does_not_matter(text: str) -> None:
    """White space round every text and in base64 is left out, and comments do not cut a text short."""
    spaced = re.sub(r">([^<>\s]+)</", r">&#13;\n\t \1 \t\n</", text)
    assert spaced != text
    assert _read(spaced) == _read(text)
    assert _read(text.replace("c2VjcmV0", "c2Vj\n  cmV0")) == _read(text)
    assert _read(text.replace("urn:here", "urn:<!-- -->here")) == _read(text)


@pytest.mark.parametrize(
    ("text", "pattern", "replacement"),
    [
        (
            _REQUEST,
            re.escape(f'xmlns:t="{WST_200512}"'),
            'xmlns:t="http://schemas.xmlsoap.org/ws/2004/04/trust"',
        ),
        (_REQUEST, re.escape(f'xmlns:t="{WST_200512}"'), f'xmlns:t="{WST_2005}"'),
        (
            _RESPONSE,
            re.escape(f'xmlns:t="{WST_200512}"'),
            'xmlns:t="http://schemas.xmlsoap.org/ws/2004/04/trust"',
        ),
        (
            _RESPONSE,
            "<t:RequestSecurityTokenResponse>",
            f'<t:RequestSecurityTokenResponse xmlns:t="{WST_2005}">',
        ),
        (
            _REQUEST,
            re.escape(f'xmlns:c="{WSC_200512}"'),
            'xmlns:c="http://schemas.xmlsoap.org/ws/2004/04/sc"',
        ),
        (_RESPONSE, re.escape(f'xmlns:c="{WSC_200512}"'), f'xmlns:c="{WST_200512}"'),
        (_RESPONSE, re.escape(f'xmlns:o="{WSSE}"'), 'xmlns:o="urn:o"'),
        (_RESPONSE, "<c:Identifier>", f'<c:Identifier xmlns:c="{WSC_2005}">'),
        (_RESPONSE, "<t:ComputedKey>", f'<t:ComputedKey xmlns:t="{WST_2005}">'),
        (_RESPONSE, "<t:BinarySecret ", f'<t:BinarySecret xmlns:t="{WST_2005}" '),
    ],
)
def test_a_foreign_namespace_is_refused(text: str, pattern: str, replacement: str) -> None:
    """Root, token and secrets count in the two known generations only, and in one at a time."""
    assert _read(text)
    _refused(_changed(text, pattern, replacement))


def test_a_token_may_be_of_the_other_generation() -> None:
    """Stacks were seen to mix generations between message and token; the token tells its own."""
    mixed = _read(_changed(_RESPONSE, re.escape(f'xmlns:c="{WSC_200512}"'), f'xmlns:c="{WSC_2005}"'))
    assert isinstance(mixed, RequestSecurityTokenResponse)
    assert mixed.token is not None
    assert (mixed.wst, mixed.token.wsc) == (WST_200512, WSC_2005)


def test_a_collection_holds_one_answer() -> None:
    """Two answers, none, or something else beside the one are refused; the one alone is taken."""
    answer = re.search(
        "<t:RequestSecurityTokenResponse>.*</t:RequestSecurityTokenResponse>", _RESPONSE, re.DOTALL
    )
    assert answer is not None
    assert _read(_RESPONSE)
    for instead in (answer.group() * 2, "", answer.group() + "<t:Other/>", "<t:RequestSecurityToken/>"):
        _refused(_RESPONSE.replace(answer.group(), instead))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        " ",
        "c2VjcmV0=",
        "c2VjcmV",
        "c2VjcmU",
        "c2VjcmU=c2Vj",
        "c2VjcmV0!",
        "c2Vj-cmV0",
        "c2VjcmV=",
        "c2Vj\u00a0cmV0",
        "c2Vj<t:x/>cmV0",
        "c2Vj<?x?>cmV0",
    ],
)
@pytest.mark.parametrize("text", [_REQUEST, _RESPONSE], ids=["rst", "rstr"])
def test_a_secret_is_base64_and_nothing_else(text: str, secret: str) -> None:
    """What is not the one base64 form of at least one octet is refused, and not repeated."""
    assert _read(text.replace("c2VjcmV0", "c2VjcmU="))
    error = _refused(text.replace("c2VjcmV0", secret))
    assert "c2V" not in f"{error!r} {error}"


@pytest.mark.parametrize(
    "bits", ["", "0", "7", "12", "130", "4104", "99999", "-128", "+128", "1e3", "0x80", "١٢٨"]
)
def test_a_key_size_is_a_number_of_whole_bytes(bits: str) -> None:
    """KeySize has ASCII digits, 8 to 4096 bits, in whole bytes."""
    for good, size in (("8", 1), ("4096", 512), (" 256 ", 32)):
        for text in (_REQUEST, _RESPONSE):
            assert getattr(_read(text.replace(">128<", f">{good}<")), "key_size") == size  # noqa: B009
    for text in (_REQUEST, _RESPONSE):
        _refused(text.replace(">128<", f">{bits}<"))


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00"),
        ("2026-01-01T12:00:00", "2026-01-01T12:00:00"),
        ("2026-01-01T12:00:00.5Z", "2026-01-01T12:00:00.500000"),
        ("2026-01-01T12:00:00.712488048Z", "2026-01-01T12:00:00.712488"),
        ("2026-01-01T01:30:00+02:00", "2025-12-31T23:30:00"),
        ("2025-12-31T18:00:00.25-05:30", "2025-12-31T23:30:00.250000"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59"),
    ],
)
def test_a_time_is_read_in_all_its_forms(written: str, moment: str) -> None:
    """Offsets, fractions of any length, a missing zone and a leap second are read as UTC."""
    read = _read(_RESPONSE.replace("2026-01-01T00:00:00Z", written))
    assert isinstance(read, RequestSecurityTokenResponse)
    assert read.lifetime is not None
    assert read.lifetime.created == _utc(moment)
    assert read.lifetime.created.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "2026-01-01",
        "2026-13-01T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "yesterday",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_a_time_that_is_none_is_refused(written: str) -> None:
    """What is no xs:dateTime, or outside of the calendar, is refused."""
    assert _read(_RESPONSE)
    _refused(_RESPONSE.replace("2026-01-01T00:00:00Z", written))


def test_a_lifetime_may_be_open() -> None:
    """A token need not say when it begins or ends."""
    read = _read(re.sub("<u:(Created|Expires)>.*?</u:.*?>", "", _RESPONSE))
    assert isinstance(read, RequestSecurityTokenResponse)
    assert read.lifetime == Lifetime(None, None)


@pytest.mark.parametrize(
    ("attributes", "renewing"),
    [
        ("", Renewing(allow=True, ok=False)),
        (' Allow="false"', Renewing(allow=False, ok=False)),
        (' Allow="1" OK=" true "', Renewing(allow=True, ok=True)),
    ],
)
def test_renewing_has_its_defaults(attributes: str, renewing: Renewing) -> None:
    """Allow is true and OK is false where they are not said."""
    read = _read(_RESPONSE.replace("<t:Renewing/>", f"<t:Renewing{attributes}/>"))
    assert isinstance(read, RequestSecurityTokenResponse)
    assert read.renewing == renewing
    _refused(_RESPONSE.replace("<t:Renewing/>", '<t:Renewing Allow="yes"/>'))


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"<t:RequestType>.*?</t:RequestType>", ""),
        (r"/Renew<", "/Amend<"),
        (re.escape(f"{WST_200512}/Renew<"), f"{WST_2005}/Renew<"),
        (r"<t:RenewTarget>.*?</t:RenewTarget>", ""),
        (r"<t:RenewTarget>.*?</t:RenewTarget>", "<t:RenewTarget/>"),
        (r"/Renew<", "/Issue<"),
        (r"/Renew<", "/Cancel<"),
        (r"<t:Entropy>", f"<t:CancelTarget>{_REFERENCE.format('urn:i')}</t:CancelTarget><t:Entropy>"),
        (r"<c:Identifier>.*?</c:Identifier>", ""),
        (r"<c:Identifier>.*?</c:Identifier>", "<c:Identifier> </c:Identifier>"),
        (r"urn:i<", "urn:i&#10;urn:forged<"),
        (r"urn:i<", "urn:i<?x?>j<"),
        (r"urn:n<", "urn: n<"),
        (r"<c:Sec.*</c:SecurityContextToken>", "<o:SecurityTokenReference/>"),
        (r"<c:Sec.*</c:SecurityContextToken>", _REFERENCE.format("")),
        (
            r"<c:Sec.*</c:SecurityContextToken>",
            '<o:SecurityTokenReference><o:KeyIdentifier URI="urn:i"/></o:SecurityTokenReference>',
        ),
        (
            r"<c:Sec.*</c:SecurityContextToken>",
            _REFERENCE.format(f'urn:i" xmlns:d="{WSC_2005}" c:Instance="1" d:Instance="2'),
        ),
        (r"<t:BinarySecret>.*?</t:BinarySecret>", ""),
        (r"<t:BinarySecret>.*?</t:BinarySecret>", "<t:Other/>"),
        (r"<a:Address>.*?</a:Address>", ""),
        (r"<a:EndpointReference>.*?</a:EndpointReference>", ""),
    ],
)
def test_a_malformed_request_is_refused(pattern: str, replacement: str) -> None:
    """A type, a target that fits it, and the one form of everything are needed."""
    assert _read(_REQUEST)
    _refused(_changed(_REQUEST, pattern, replacement))


def test_a_request_is_no_answer() -> None:
    """Each reader takes its own kind of message only."""
    request, response = (parse(text.encode(), _LIMITS) for text in (_REQUEST, _RESPONSE))
    assert request_from_xml(request, _LIMITS).wst == response_from_xml(response, _LIMITS).wst
    with pytest.raises(VerificationError):
        response_from_xml(request, _LIMITS)
    with pytest.raises(VerificationError):
        request_from_xml(response, _LIMITS)


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"<c:Sec.*?</c:SecurityContextToken>", ""),
        (r"<c:Sec.*?</c:SecurityContextToken>", _REFERENCE.format("urn:i")),
        (r"<t:ComputedKey>.*?</t:ComputedKey>", ""),
        (r"<t:ComputedKey>.*?</t:ComputedKey>", "<t:ComputedKey/>"),
        (r"<t:ComputedKey>", "<t:BinarySecret>c2Vj</t:BinarySecret><t:ComputedKey>"),
        (r"<o:Reference URI=\"#id\"/>", ""),
        (r"<t:Code>.*?</t:Code>", ""),
        (r"<t:Code>.*?</t:Code>", "<t:Code/>"),
        (r"<t:TokenType>", "<t:TokenType><t:x/>"),
    ],
)
def test_a_malformed_answer_is_refused(pattern: str, replacement: str) -> None:
    """Token, proof, references and status say one thing each."""
    assert _read(_RESPONSE)
    _refused(_changed(_RESPONSE, pattern, replacement))


@pytest.mark.parametrize(
    ("old", "new", "limits"),
    [
        ("c2VjcmV0", base64.b64encode(bytes(16)).decode(), Limits(entropy_bytes=12)),
        ("urn:here", "urn:" + "h" * 200, Limits(identifier_chars=200)),
        ("urn:i", "urn:" + "h" * 200, Limits(identifier_chars=200)),
        ("urn:n", "urn:" + "h" * 200, Limits(identifier_chars=200)),
        (f">{_SCT}<", f">{_SCT}{'t' * 200}<", Limits(identifier_chars=200)),
        ("2026-01-01T00:00:00Z", f"2026-01-01T00:00:00.{'0' * 200}Z", Limits(identifier_chars=200)),
        ('u:Id="id"', f'u:Id="{"i" * 201}"', Limits(identifier_chars=200)),
        ("</c:Instance>", f"</c:Instance><x>{'x' * 65_536}</x>", Limits()),
    ],
)
@pytest.mark.parametrize("text", [_REQUEST, _RESPONSE], ids=["rst", "rstr"])
def test_what_is_too_long_is_refused(text: str, old: str, new: str, limits: Limits) -> None:
    """Secrets, identifiers, addresses, times and tokens have bounds, within which they are taken."""
    assert old in text
    assert _read(text, limits)
    assert isinstance(_refused(text.replace(old, new), limits), LimitExceeded)


def test_what_is_not_supported_is_told() -> None:
    """Children that ask for another service are named once each, others are not."""
    extra = "<t:OnBehalfOf/><t:Claims/><t:BinaryExchange/><x:ActAs xmlns:x='urn:x'/><t:OnBehalfOf/>"
    read = _read(_REQUEST.replace("<t:Entropy>", f"{extra}<t:Entropy>"))
    assert isinstance(read, RequestSecurityToken)
    assert read.unsupported == ("OnBehalfOf", "BinaryExchange", "ActAs")
    plain = _read(_REQUEST)
    assert isinstance(plain, RequestSecurityToken)
    assert plain.unsupported == ()


def test_no_secret_shows() -> None:
    """Neither request nor answer repeats a secret or a token in its repr."""
    answer = _changed(
        _RESPONSE, "<t:ComputedKey>.*?</t:ComputedKey>", "<t:BinarySecret>cHJvb2Y=</t:BinarySecret>"
    )
    for text, secrets in ((_REQUEST, [b"secret"]), (answer, [b"secret", b"proof"])):
        shown = repr(_read(text))
        assert "urn:i" in shown
        for secret in secrets:
            assert secret.decode() not in shown
            assert base64.b64encode(secret).decode() not in shown
            assert secret.hex() not in shown
        assert "xml" not in shown
