"""Security tokens as they stand in a header."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.unit.parties import CLIENT
from zeep_secureconv import Limits, VerificationError
from zeep_secureconv.errors import LimitExceeded
from zeep_secureconv.names import (
    BASE64_BINARY,
    WSC_2005,
    WSC_200512,
    WSSE,
    WSU,
    X509_PKI_PATH,
    X509_V3,
)
from zeep_secureconv.wss import times, tokens

NONCE = base64.b64encode(bytes(range(16))).decode()
SOURCE = '<wsse:SecurityTokenReference><wsse:Reference URI="#sct-id"/></wsse:SecurityTokenReference>'
LIMITS = Limits()


def utc(year: int, month: int, day: int, *time: int) -> datetime:
    """A time in UTC."""
    hour, minute, second, micro = (*time, 0, 0, 0, 0)[:4]
    return datetime(year, month, day, hour, minute, second, micro, timezone.utc)


# -------------------------------------------------------------------------------------------- derived keys


def derived(
    inside: str = f"<c:Nonce>{NONCE}</c:Nonce>",
    *,
    wsc: str = WSC_200512,
    attributes: str = "",
    source: str = SOURCE,
) -> etree._Element:
    """A DerivedKeyToken."""
    return etree.fromstring(
        f'<c:DerivedKeyToken xmlns:c="{wsc}" xmlns:wsse="{WSSE}" {attributes}>{source}{inside}</c:DerivedKeyToken>'
    )


def nonce_and(inside: str) -> str:
    """The usual nonce after other children."""
    return f"{inside}<c:Nonce>{NONCE}</c:Nonce>"


def refused(element: etree._Element, limits: Limits = LIMITS) -> VerificationError:
    """The error that reading a DerivedKeyToken gives; the plain one is accepted."""
    assert tokens.read_derived_key(derived(), limits).nonce == bytes(range(16))
    with pytest.raises(VerificationError) as caught:
        tokens.read_derived_key(element, limits)
    return caught.value


@pytest.mark.parametrize("wsc", [WSC_2005, WSC_200512])
def test_a_derived_key_token_has_defaults(wsc: str) -> None:
    """With a nonce alone: offset 0, a length that is not said, the default label."""
    token = tokens.read_derived_key(derived(wsc=wsc), LIMITS)
    assert (token.offset, token.length, token.label) == (0, None, None)
    assert token.nonce == bytes(range(16))
    assert token.source.id == "sct-id"


def test_a_derived_key_token_says_everything() -> None:
    """Offset, Length and Label are read, with white space around them."""
    inside = nonce_and("<c:Offset> 7 </c:Offset> <c:Length>\n24</c:Length><c:Label>Custom</c:Label>")
    token = tokens.read_derived_key(derived(inside), LIMITS)
    assert (token.offset, token.length, token.label) == (7, 24, "Custom")


def test_an_empty_label_is_the_default_label() -> None:
    """An empty Label stands for the default one."""
    assert tokens.read_derived_key(derived(nonce_and("<c:Label/>")), LIMITS).label is None


def test_a_generation_is_an_offset() -> None:
    """Generation g starts g keys of the same length further on."""
    inside = nonce_and("<c:Generation>3</c:Generation><c:Length>16</c:Length>")
    token = tokens.read_derived_key(derived(inside), LIMITS)
    assert (token.offset, token.length) == (48, 16)


@pytest.mark.parametrize("wsc", [WSC_2005, WSC_200512])
@pytest.mark.parametrize("attribute", ["Algorithm", "c:Algorithm"])
@pytest.mark.parametrize("algorithm", [f"{WSC_2005}/dk/p_sha1", f"{WSC_200512}/dk/p_sha1"])
def test_p_sha1_is_accepted_by_either_name(wsc: str, attribute: str, algorithm: str) -> None:
    """The derivation's URI of both generations is accepted in both, qualified or not."""
    element = derived(wsc=wsc, attributes=f'{attribute}="{algorithm}"')
    assert tokens.read_derived_key(element, LIMITS).nonce == bytes(range(16))


@pytest.mark.parametrize(
    "element",
    [
        derived(""),
        derived("<c:Nonce/>"),
        derived("<c:Nonce>not base64!</c:Nonce>"),
        derived(nonce_and("<c:Nonce>AAAA</c:Nonce>")),
        derived(nonce_and("<c:Offset>0</c:Offset><c:Generation>0</c:Generation>")),
        derived(nonce_and("<c:Offset>-1</c:Offset>")),
        derived(nonce_and("<c:Offset>1.0</c:Offset>")),
        derived(nonce_and("<c:Offset>\u0661</c:Offset>")),
        derived(nonce_and("<c:Offset/>")),
        derived(nonce_and("<c:Length>0</c:Length>")),
        derived(nonce_and("<c:Length>1<?pi?>6</c:Length>")),
        derived(nonce_and("<c:Length>16</c:Length><c:Length>16</c:Length>")),
        derived(nonce_and("<c:Properties><c:Name>x</c:Name></c:Properties>")),
        derived(nonce_and("<c:Unknown/>")),
        derived(nonce_and('<o:Offset xmlns:o="urn:other">0</o:Offset>')),
        derived(nonce_and(f'<o:Label xmlns:o="{WSC_2005}">x</o:Label>')),
        derived(attributes='Algorithm="urn:md5"'),
        derived(attributes='c:Algorithm="urn:md5"'),
    ],
)
def test_malformed_derived_key_tokens_are_refused(element: etree._Element) -> None:
    """What is missing, doubled, foreign or no number is refused."""
    assert refused(element).check == "derived-key"


def test_a_derived_key_token_without_source_is_refused() -> None:
    """Without a reference nobody knows what the key is derived from."""
    assert refused(derived(source="")).check == "token-reference"


@pytest.mark.parametrize(
    "inside",
    [
        nonce_and("<c:Offset>1025</c:Offset>"),
        nonce_and("<c:Offset>999999999</c:Offset>"),
        nonce_and("<c:Length>65</c:Length>"),
        nonce_and("<c:Generation>65</c:Generation><c:Length>16</c:Length>"),
        nonce_and("<c:Generation>33</c:Generation>"),
        nonce_and(f"<c:Label>{'x' * 129}</c:Label>"),
        f"<c:Nonce>{base64.b64encode(bytes(129)).decode()}</c:Nonce>",
    ],
)
def test_numbers_and_lengths_have_bounds(inside: str) -> None:
    """Offset, Length, Generation, Label and Nonce beyond the limits are refused before anything is computed."""
    error = refused(derived(inside))
    assert isinstance(error, LimitExceeded)
    assert error.check == "derived-key"


def test_bounds_are_settings() -> None:
    """What the default limits refuse, wider ones accept."""
    wide = Limits(derived_offset=5000, derived_length=100, label_chars=200, nonce_bytes=500)
    nonce = base64.b64encode(bytes(200)).decode()
    inside = f"<c:Offset>4000</c:Offset><c:Length>100</c:Length><c:Label>{'x' * 150}</c:Label>"
    inside += f"<c:Nonce>{nonce}</c:Nonce>"
    refused(derived(inside))
    assert tokens.read_derived_key(derived(inside), wide).offset == 4000


# ------------------------------------------------------------------------------------------ context tokens


def sct(inside: str, wsc: str = WSC_200512) -> etree._Element:
    """A SecurityContextToken."""
    return etree.fromstring(f'<c:SecurityContextToken xmlns:c="{wsc}">{inside}</c:SecurityContextToken>')


@pytest.mark.parametrize("wsc", [WSC_2005, WSC_200512])
def test_a_context_token_names_a_context(wsc: str) -> None:
    """Identifier and Instance are read without the white space around them; unknown children do not count."""
    name = tokens.read_context_token(sct("<c:Identifier> urn:a\n</c:Identifier>", wsc), LIMITS)
    assert (name.identifier, name.instance) == ("urn:a", None)
    renewed = sct(
        "<c:Identifier>urn:a</c:Identifier><c:Instance> 2 </c:Instance><o:Cookie xmlns:o='urn:o'/>", wsc
    )
    name = tokens.read_context_token(renewed, LIMITS)
    assert (name.identifier, name.instance) == ("urn:a", "2")


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<c:Identifier/>",
        "<c:Identifier> </c:Identifier>",
        "<c:Identifier>urn:a</c:Identifier><c:Identifier>urn:b</c:Identifier>",
        "<c:Identifier>urn:a</c:Identifier><c:Instance>1</c:Instance><c:Instance>2</c:Instance>",
        "<o:Identifier xmlns:o='urn:o'>urn:a</o:Identifier>",
        f"<c:Identifier>{'x' * 1025}</c:Identifier>",
        f"<c:Identifier>urn:a</c:Identifier><c:Instance>{'x' * 1025}</c:Instance>",
    ],
)
def test_a_context_token_that_names_no_context_or_two_is_refused(inside: str) -> None:
    """Identifier stands there once, Instance at most once, and neither is endless."""
    tokens.read_context_token(sct("<c:Identifier>urn:a</c:Identifier>"), LIMITS)
    with pytest.raises(VerificationError) as caught:
        tokens.read_context_token(sct(inside), LIMITS)
    assert caught.value.check == "context-token"


# -------------------------------------------------------------------------------------------- certificates


def binary(text: str, attributes: str) -> etree._Element:
    """A BinarySecurityToken."""
    return etree.fromstring(
        f'<w:BinarySecurityToken xmlns:w="{WSSE}" {attributes}>{text}</w:BinarySecurityToken>'
    )


def test_a_binary_token_holds_a_certificate() -> None:
    """An X.509 v3 certificate is read, its base64 folded or not, EncodingType said or not."""
    text = base64.b64encode(CLIENT.make().public_bytes(Encoding.DER)).decode()
    folded = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    kinds = (f'ValueType="{X509_V3}"', f'ValueType="{X509_V3}" EncodingType="{BASE64_BINARY}"')
    for attributes in kinds:
        assert tokens.read_certificates(binary(text, attributes))[-1] == CLIENT.make()
        assert tokens.read_certificates(binary(folded, attributes))[-1] == CLIENT.make()


@pytest.mark.parametrize(
    ("cut", "attributes"),
    [
        (0, f'ValueType="{X509_PKI_PATH}"'),
        (0, ""),
        (0, f'ValueType="{X509_V3}" EncodingType="urn:hex"'),
        (8, f'ValueType="{X509_V3}"'),
        (9, f'ValueType="{X509_V3}"'),
        (9999, f'ValueType="{X509_V3}"'),
    ],
)
def test_other_binary_tokens_are_refused(cut: int, attributes: str) -> None:
    """Paths, unknown types and encodings, cut or empty certificates are refused."""
    text = base64.b64encode(CLIENT.make().public_bytes(Encoding.DER)).decode()
    tokens.read_certificates(binary(text, f'ValueType="{X509_V3}"'))
    with pytest.raises(VerificationError) as caught:
        tokens.read_certificates(binary(text[: max(len(text) - cut, 0)], attributes))
    assert caught.value.check == "token"


# -------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T23:38:19Z", utc(2026, 11, 20, 23, 38, 19)),
        (" 2026-11-20T23:38:19Z\n", utc(2026, 11, 20, 23, 38, 19)),
        ("2026-11-20T23:38:19", utc(2026, 11, 20, 23, 38, 19)),
        ("2026-11-20T23:38:19.5Z", utc(2026, 11, 20, 23, 38, 19, 500_000)),
        ("2026-11-20T23:38:19.032106964Z", utc(2026, 11, 20, 23, 38, 19, 32_106)),
        ("2026-11-21T01:08:19+01:30", utc(2026, 11, 20, 23, 38, 19)),
        ("2026-11-20T23:38:19-00:30", utc(2026, 11, 21, 0, 8, 19)),
        ("2016-12-31T23:59:60Z", utc(2016, 12, 31, 23, 59, 59)),
    ],
)
def test_times_are_read(text: str, moment: datetime) -> None:
    """A time is UTC unless it says otherwise, and finer fractions than ours are cut off."""
    assert times.read_time(text) == moment
    assert times.read_time(text).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "now",
        "2026-11-20",
        "2026-11-20 23:38:19Z",
        "2026-13-20T23:38:19Z",
        "2026-02-30T23:38:19Z",
        "2026-11-20T24:38:19Z",
        "2026-11-20T23:38:19.Z",
        "2026-11-20T23:38:19ZZ",
        "2026-11-20T23:38:19 Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "\u0662026-11-20T23:38:19Z",
    ],
)
def test_what_is_no_time_is_refused(text: str | None) -> None:
    """Anything else than an xs:dateTime that exists is refused."""
    with pytest.raises(VerificationError) as caught:
        times.read_time(text)
    assert caught.value.check == "timestamp"


@given(st.datetimes(datetime(1900, 1, 1), datetime(9998, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_times_come_back_to_the_millisecond(moment: datetime) -> None:
    """What is written is read again, in UTC and with milliseconds."""
    expected = moment.astimezone(timezone.utc)
    expected = expected.replace(microsecond=expected.microsecond // 1000 * 1000)
    text = times.write_time(moment)
    assert times.read_time(text) == expected
    assert len(text) == len("2026-11-20T23:38:19.032Z")


def stamp(inside: str) -> etree._Element:
    """A Timestamp."""
    return etree.fromstring(f'<u:Timestamp xmlns:u="{WSU}">{inside}</u:Timestamp>')


def test_a_timestamp_is_read() -> None:
    """Created is needed, Expires is not."""
    created, expires = (
        "<u:Created>2026-11-20T00:00:00Z</u:Created>",
        "<u:Expires>2026-11-20T00:05:00Z</u:Expires>",
    )
    assert tokens.read_timestamp(stamp(created)) == tokens.Timestamp(utc(2026, 11, 20), None)
    both = tokens.read_timestamp(stamp(expires + created))
    assert both == tokens.Timestamp(utc(2026, 11, 20), utc(2026, 11, 20, 0, 5))
    for wrong in ("", expires, created * 2, created + expires * 2, "<u:Created/>", created + "<u:Expires/>"):
        with pytest.raises(VerificationError) as caught:
            tokens.read_timestamp(stamp(wrong))
        assert caught.value.check == "timestamp"
