"""wsse:SecurityTokenReference: every form is written, read, and means one certificate or context."""

from __future__ import annotations

import base64

import pytest
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.unit.messages import SCT, context
from tests.unit.parties import CA, CLIENT, CLIENT2, SERVER
from zeep_secureconv import ConfigurationError, VerificationError
from zeep_secureconv.names import (
    DS,
    WSC_2005,
    WSC_200512,
    WSSE,
    X509_SKI,
    X509_THUMBPRINT,
    X509_V3,
    dk_type,
    sct_type,
)
from zeep_secureconv.policy import ReferenceStyle, Wss, X509Token
from zeep_secureconv.wss import references
from zeep_secureconv.wss.certificates import is_issued_as, issuer_name, subject_key_identifier, thumbprint
from zeep_secureconv.wss.distinguished import normal_name
from zeep_secureconv.wss.references import TokenReference, read_reference

STYLES = (ReferenceStyle.KEY_IDENTIFIER, ReferenceStyle.ISSUER_SERIAL, ReferenceStyle.THUMBPRINT)


def parsed(text: str) -> etree._Element:
    """A reference as it stands in a header, whose prefixes it uses."""
    (element,) = etree.fromstring(f'<h xmlns:wsse="{WSSE}" xmlns:ds="{DS}">{text}</h>')
    return element


def reference(inside: str) -> etree._Element:
    """A wsse:SecurityTokenReference with that content."""
    return parsed(f"<wsse:SecurityTokenReference>{inside}</wsse:SecurityTokenReference>")


# ------------------------------------------------------------------------------------------ certificates


@pytest.mark.parametrize("style", STYLES)
def test_a_certificate_is_found_by_each_style(style: ReferenceStyle) -> None:
    """What is written for a certificate means that one, among others of the same CA."""
    mine, others = CLIENT.make(), [CA.make(), SERVER.make(), CLIENT2.make()]
    read = read_reference(parsed(references.x509_reference(style, mine)))
    assert read.uri is None
    assert read.id is None
    assert references.means(read, mine)
    assert not any(references.means(read, other) for other in others)
    assert references.find_certificate(read, [*others, mine]) is mine
    assert references.find_certificate(read, others) is None


def test_each_style_says_what_the_profile_says() -> None:
    """Key identifier and thumbprint are KeyIdentifiers with their ValueType, issuer and serial is X509Data."""
    certificate = CLIENT.make()
    by_ski = read_reference(parsed(references.x509_reference(STYLES[0], certificate)))
    assert (by_ski.value_type, by_ski.key_identifier) == (X509_SKI, subject_key_identifier(certificate))
    by_issuer = read_reference(parsed(references.x509_reference(STYLES[1], certificate)))
    assert by_issuer.issuer_serial == ("CN=ca,O=Test", str(certificate.serial_number))
    by_thumbprint = read_reference(parsed(references.x509_reference(STYLES[2], certificate)))
    assert (by_thumbprint.value_type, by_thumbprint.key_identifier) == (
        X509_THUMBPRINT,
        thumbprint(certificate),
    )


def test_a_key_identifier_of_another_kind_means_nothing() -> None:
    """The octets of one kind under the ValueType of another, or of none, mean no certificate."""
    certificate = CLIENT.make()
    ski = subject_key_identifier(certificate)
    assert references.means(TokenReference(key_identifier=ski, value_type=X509_SKI), certificate)
    for value_type in (X509_THUMBPRINT, X509_V3, "", None):
        assert not references.means(TokenReference(key_identifier=ski, value_type=value_type), certificate)


def test_a_certificate_without_key_identifier_is_not_found_by_none() -> None:
    """A certificate without SubjectKeyIdentifier is not meant by an empty key identifier."""
    bare = CLIENT.but(key_identifier=False).make()
    assert subject_key_identifier(bare) is None
    assert not references.means(TokenReference(key_identifier=b"", value_type=X509_SKI), bare)


@pytest.mark.parametrize(
    "spelling",
    [
        "CN=ca,O=Test",
        "CN=ca, O=Test",
        "O=Test, CN=ca",
        "o=Test,cn=ca",
        "CN = ca , O =  Test ",
        "CN=CA,O=TEST",
        "\n  CN=ca,\n  O=Test\n",
    ],
)
def test_spellings_of_an_issuer_mean_the_same(spelling: str) -> None:
    """Order, case and white space of a distinguished name differ between stacks and do not count."""
    certificate = CLIENT.make()
    assert is_issued_as(certificate, spelling, str(certificate.serial_number))
    assert is_issued_as(certificate, spelling, f" {certificate.serial_number}\n")
    assert not is_issued_as(certificate, spelling, str(certificate.serial_number + 1))
    assert not is_issued_as(certificate, spelling.replace("est", "ext").replace("EST", "EXT"), "1")


@pytest.mark.parametrize(
    "spelling",
    [
        "1.2.840.113549.1.9.1=ca@example.org,CN=The CA\\, Inc.,ST=Hessen,C=DE",
        "EMAILADDRESS=ca@example.org, CN=The CA\\, Inc., ST=Hessen, C=DE",
        "E=ca@example.org, CN=The CA\\, Inc., S=Hessen, C=DE",
        "C=DE, ST=Hessen, CN=The CA\\, Inc., emailAddress=ca@example.org",
    ],
)
def test_java_and_openssl_write_some_names_otherwise(spelling: str) -> None:
    """EMAILADDRESS, E and S are what RFC 4514 writes as an OID and as ST."""
    issuer = CA.but(
        subject=(
            (NameOID.COUNTRY_NAME, "DE"),
            (NameOID.STATE_OR_PROVINCE_NAME, "Hessen"),
            (NameOID.COMMON_NAME, "The CA, Inc."),
            (NameOID.EMAIL_ADDRESS, "ca@example.org"),
        )
    )
    certificate = CLIENT.but(issuer=issuer).make()
    serial = str(certificate.serial_number)
    assert is_issued_as(certificate, spelling, serial)
    assert not is_issued_as(certificate, spelling.replace("Hessen", "Bayern"), serial)
    assert not is_issued_as(CLIENT.make(), spelling, str(CLIENT.make().serial_number))


_SPECIAL = CA.but(
    subject=(
        (NameOID.COUNTRY_NAME, "DE"),
        (NameOID.ORGANIZATION_NAME, 'Acme, "Best" + Inc.'),
        (NameOID.SERIAL_NUMBER, "AB=12"),
        (NameOID.EMAIL_ADDRESS, "ca@test.org"),
        (NameOID.COMMON_NAME, "M\u00fcller #1"),
    )
)


@pytest.mark.parametrize(
    "spelling",
    [
        # RFC 4514, RFC 2253 as Java's getName(), Java's toString(), .NET, OpenSSL, RFC 1779
        '1.2.840.113549.1.9.1=ca@test.org,CN=M\u00fcller #1,2.5.4.5=AB=12,O=Acme\\, \\"Best\\" \\+ Inc.,C=DE',
        (
            "CN=M\u00fcller \\#1,1.2.840.113549.1.9.1=#160b636140746573742e6f7267,2.5.4.5=#130541423d3132,O=Acme\\, "
            '\\"Best\\" \\+ Inc.,C=DE'
        ),
        (
            "CN=M\u00fcller #1, EMAILADDRESS=ca@test.org, OID.2.5.4.5=#130541423D3132, "
            'O="Acme, \\"Best\\" + Inc.", C=DE'
        ),
        'CN=M\u00fcller #1, E=ca@test.org, SERIALNUMBER=AB=12, O="Acme, ""Best"" + Inc.", C=DE',
        'CN="M\u00fcller #1", E=ca@test.org, oid.2.5.4.5=AB=12, O="Acme, ""Best"" + Inc.", C=DE',
        (
            "C = DE, O = \\"
            "41cme\\2C \\22Best\\22 \\2B Inc., serialNumber = AB\\3D12, "
            "emailAddress = ca@test.org, CN = M\\C3\\BCller #1"
        ),
        'CN=M\u00fcller #1; E=ca@test.org; OID.2.5.4.5="AB=12"; O="Acme, \\"Best\\" + Inc."; C=DE',
    ],
)
def test_quoted_escaped_and_hexadecimal_names_mean_the_same(spelling: str) -> None:
    """Quotes, escapes, DER in hexadecimal, keywords and OIDs are ways to write one name; another name is another."""
    certificate = CLIENT.but(issuer=_SPECIAL).make()
    serial = str(certificate.serial_number)
    assert is_issued_as(certificate, issuer_name(certificate), serial)
    assert is_issued_as(certificate, spelling, serial)
    for old, new in (
        ("C=DE", "C=FR"),
        ("C = DE", "C = FR"),
        ("Best", "Worst"),
        ("Inc.", "Ltd."),
        ("ller", "lller"),
    ):
        if old in spelling:
            assert not is_issued_as(certificate, spelling.replace(old, new), serial)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("O=Acme\\, Inc.,C=DE", "O=Acme,Inc.,C=DE"),
        ("O=a\\,CN=b", "O=a,CN=b"),
        ('O="a,CN=b"', "O=a,CN=b"),
        ("O=a+CN=b", "O=a,CN=b"),
        ("O=a+CN=b", "O=a\\+CN=b"),
        ("O=#130161", "O=#130162"),
        ("O=#1301", "O="),
        ("O=\\#130161", "O=#130161"),
        ("SN=x", "SERIALNUMBER=x"),
        ("CN=a", "CN=a,CN=a"),
        ("CN=a", ""),
        ("CN=a", "a"),
        ('CN="a', "CN=a"),
    ],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    """Reading many spellings makes no two names the same, nor does it fail on what is no name."""
    assert normal_name(one) == normal_name(f" {one} ")
    assert normal_name(one) != normal_name(other)


@given(st.text(alphabet='aA1#=,;+"\\ .OID\u00fc\n', max_size=40))
def test_any_text_can_be_compared(text: str) -> None:
    """What a peer writes for a name is compared and never fails."""
    assert normal_name(text) == normal_name(text.swapcase()) or "\\" in text or "#" in text


def test_an_issuer_with_special_characters_survives_xml() -> None:
    """Ampersands, angle brackets and umlauts in an issuer's name are written and read."""
    issuer = CA.but(subject=((NameOID.COMMON_NAME, "M\u00fcller & <S\u00f6hne>"),))
    certificate = CLIENT.but(issuer=issuer).make()
    read = read_reference(parsed(references.x509_reference(ReferenceStyle.ISSUER_SERIAL, certificate)))
    assert read.issuer_serial is not None
    assert read.issuer_serial[0] == issuer_name(certificate)
    assert references.means(read, certificate)


# ---------------------------------------------------------------------------------------- choice of style


@pytest.mark.parametrize(
    ("demanded", "supported", "style"),
    [
        ((), (), ReferenceStyle.ISSUER_SERIAL),
        ((), (ReferenceStyle.THUMBPRINT,), ReferenceStyle.THUMBPRINT),
        ((), (ReferenceStyle.THUMBPRINT, ReferenceStyle.ISSUER_SERIAL), ReferenceStyle.ISSUER_SERIAL),
        ((), STYLES, ReferenceStyle.KEY_IDENTIFIER),
        ((ReferenceStyle.THUMBPRINT,), STYLES, ReferenceStyle.THUMBPRINT),
        ((ReferenceStyle.ISSUER_SERIAL,), (), ReferenceStyle.ISSUER_SERIAL),
        ((), (ReferenceStyle.EXTERNAL_URI,), ReferenceStyle.ISSUER_SERIAL),
    ],
)
def test_the_style_follows_token_and_wss_assertion(
    demanded: tuple[ReferenceStyle, ...], supported: tuple[ReferenceStyle, ...], style: ReferenceStyle
) -> None:
    """The token's demand wins over what Wss10 names; without either it is issuer and serial."""
    token = X509Token(references=frozenset(demanded))
    wss = Wss(references=frozenset(supported)) if supported else None
    assert references.choose_style(token, wss, CLIENT.make()) is style


def test_a_certificate_without_key_identifier_is_named_otherwise() -> None:
    """Without SubjectKeyIdentifier the next supported style is taken, and a demand for it is an error."""
    bare = CLIENT.but(key_identifier=False).make()
    every = Wss(references=frozenset(STYLES))
    assert references.choose_style(X509Token(), every, bare) is ReferenceStyle.ISSUER_SERIAL
    demanding = X509Token(references=frozenset({ReferenceStyle.KEY_IDENTIFIER}))
    assert references.choose_style(demanding, every, CLIENT.make()) is ReferenceStyle.KEY_IDENTIFIER
    with pytest.raises(ConfigurationError, match="SubjectKeyIdentifier") as caught:
        references.choose_style(demanding, every, bare)
    assert caught.value.hint


# --------------------------------------------------------------------------------------- tokens, contexts


def test_references_to_tokens_of_the_header_are_by_id() -> None:
    """Binary tokens, derived keys and encrypted keys are named by their ids."""
    binary = read_reference(parsed(references.token_reference("X-1", X509_V3)))
    assert (binary.id, binary.value_type) == ("X-1", X509_V3)
    derived = read_reference(parsed(references.derived_key_reference("DK-1", WSC_2005)))
    assert (derived.id, derived.value_type) == ("DK-1", dk_type(WSC_2005))
    assert read_reference(parsed(references.encrypted_key_reference("EK-1"))).id == "EK-1"


@pytest.mark.parametrize("wsc", [WSC_2005, WSC_200512])
def test_a_context_without_references_of_its_own_is_named_by_the_standard(wsc: str) -> None:
    """Without references from the issuer the token is named by its id, or the context by its Identifier."""
    key = context(wsc=wsc)
    inside = read_reference(parsed(references.context_reference(key, token_id="sct-id")))
    assert (inside.id, inside.value_type, inside.instance) == ("sct-id", sct_type(wsc), None)
    outside = read_reference(parsed(references.context_reference(key, token_id=None)))
    assert (outside.uri, outside.id, outside.value_type) == ("urn:uuid:sct-1", None, sct_type(wsc))
    assert outside.instance is None


@pytest.mark.parametrize("wsc", [WSC_2005, WSC_200512])
def test_a_renewed_context_is_named_with_its_instance(wsc: str) -> None:
    """After a renewal the reference by Identifier has the Instance, also with characters that XML escapes."""
    key = context(wsc=wsc, identifier="urn:a&amp;b", instance="i&amp;2")
    renewed = type(key)(identifier='urn:a&"b', instance='i&"2', wsc=wsc, secret=b"", token=key.token)
    read = read_reference(parsed(references.context_reference(renewed, token_id=None)))
    assert (read.uri, read.instance) == ('urn:a&"b', 'i&"2')


def test_the_issuers_references_are_used_as_they_are() -> None:
    """Attached and unattached references of the issuer are written verbatim, odd as they may be."""
    attached = (
        f'<w:SecurityTokenReference xmlns:w="{WSSE}"><w:Reference URI="#sct-id"/></w:SecurityTokenReference>'
    )
    unattached = attached.replace("#sct-id", "urn:uuid:sct-1")
    key = context(attached=attached.encode(), unattached=unattached.encode())
    assert references.context_reference(key, token_id="sct-id") == attached
    assert references.context_reference(key, token_id=None) == unattached
    assert read_reference(parsed(attached)).value_type is None


# ----------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("wsc", [WSC_2005, WSC_200512])
def test_the_instance_of_either_generation_is_read(wsc: str) -> None:
    """@wsc:Instance is read in both namespaces."""
    read = read_reference(
        reference(f'<wsse:Reference URI="urn:c" xmlns:c="{wsc}" c:Instance="2" ValueType="{SCT}"/>')
    )
    assert (read.uri, read.instance) == ("urn:c", "2")


def test_white_space_in_a_key_identifier_does_not_count() -> None:
    """A KeyIdentifier may be folded."""
    octets = bytes(range(20))
    text = base64.b64encode(octets).decode()
    read = reference(
        f'<wsse:KeyIdentifier ValueType="{X509_SKI}">\n {text[:9]}\n {text[9:]} </wsse:KeyIdentifier>'
    )
    assert read_reference(read).key_identifier == octets


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<wsse:Reference/>",
        '<wsse:Reference URI=""/>',
        '<wsse:Reference URI="#a"/><wsse:Reference URI="#b"/>',
        "<wsse:KeyIdentifier>not base64!</wsse:KeyIdentifier>",
        "<wsse:Embedded/>",
        "<ds:KeyName>client</ds:KeyName>",
        "<ds:X509Data/>",
        "<ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>CN=ca</ds:X509IssuerName></ds:X509IssuerSerial></ds:X509Data>",
        '<Reference URI="#a"/>',
    ],
)
def test_other_forms_are_refused(inside: str) -> None:
    """What is no known form of reference, or more than one, is refused."""
    assert read_reference(reference('<wsse:Reference URI="#a"/>')).id == "a"
    with pytest.raises(VerificationError) as caught:
        read_reference(reference(inside))
    assert caught.value.check == "token-reference"


def test_a_missing_reference_is_refused() -> None:
    """No element, and another element, is no reference."""
    for element in (None, parsed("<ds:KeyInfo/>")):
        with pytest.raises(VerificationError) as caught:
            read_reference(element)
        assert caught.value.check == "token-reference"
