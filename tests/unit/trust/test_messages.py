"""Writing WS-Trust messages, verbatim where it must be, and reading them back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from zeep_secureconv.limits import Limits
from zeep_secureconv.names import (
    WSC_2005,
    WSC_200512,
    WSSE,
    WST_2005,
    WST_200512,
    XENC,
    sct_type,
)
from zeep_secureconv.soap.envelope import parse
from zeep_secureconv.trust import (
    DIALECTS,
    ContextToken,
    Dialect,
    Entropy,
    Lifetime,
    Renewing,
    RequestSecurityToken,
    RequestSecurityTokenResponse,
    RequestType,
    TokenReference,
    new_context_token,
    request_from_xml,
    request_to_xml,
    response_from_xml,
    response_to_xml,
)

Payload = Callable[[str], etree._Element]

_LIMITS = Limits()
_SCT = sct_type(WSC_200512)
_PSHA1 = f"{WST_200512}/CK/PSHA1"


def _token(identifier: str, instance: str | None, name: str, wsc: str = WSC_200512) -> ContextToken:
    return ContextToken(identifier, instance, name, wsc, b"")


def _request(element: etree._Element) -> RequestSecurityToken:
    return request_from_xml(element, _LIMITS)


def _response(element: etree._Element) -> RequestSecurityTokenResponse:
    return response_from_xml(element, _LIMITS)


# What is sent back verbatim


def test_a_token_is_kept_as_it_was_received(payload: Payload) -> None:
    """The bytes of a token stand alone and hold prefixes, declarations and unknown children as they came."""
    token = _response(payload("trust/cxf-renew-rstr")).token
    assert token is not None
    assert etree.tostring(etree.fromstring(token.xml)) == token.xml
    assert f'<Instance xmlns="{WSC_200512}">'.encode() in token.xml
    assert b"<wsc:Identifier>" in token.xml


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_token_goes_into_a_request_as_it_was_received(dialect: Dialect) -> None:
    """Neither the prefix of a second declaration nor one that only a value uses is lost on the way."""
    xml = (
        f'<c:SecurityContextToken xmlns:c="{dialect.wsc}" xmlns:v="{dialect.wst}">'
        f'<c:Identifier>urn:x</c:Identifier><Instance xmlns="{dialect.wsc}">1</Instance>'
        '<m xmlns="urn:m">v:q</m></c:SecurityContextToken>'
    ).encode()
    token = ContextToken("urn:x", "1", None, dialect.wsc, xml)
    rst = RequestSecurityToken(wst=dialect.wst, request_type=RequestType.RENEW, target=token)
    assert xml in etree.tostring(request_to_xml(rst, dialect))
    rstr = RequestSecurityTokenResponse(wst=dialect.wst, token=token)
    assert xml in etree.tostring(response_to_xml(rstr, dialect, RequestType.RENEW))


@pytest.mark.parametrize("marked", [True, False])
def test_a_reference_is_written_as_it_was_received(marked: bool) -> None:
    """A reference that came from a peer keeps attributes that are not ours; without its XML it is built."""
    xml = (
        f'<o:SecurityTokenReference xmlns:o="{WSSE}"><o:Reference xmlns:d="{WSC_2005}" x="1" URI="urn:i"'
        ' d:Instance="urn:n"/></o:SecurityTokenReference>'
    ).encode()
    reference = TokenReference("urn:i", None, "urn:n", xml if marked else None)
    rst = RequestSecurityToken(wst=WST_2005, request_type=RequestType.CANCEL, target=reference)
    written = request_to_xml(rst, DIALECTS["draft200502"])
    assert (xml in etree.tostring(written)) == marked
    assert _request(written).target == reference


def test_our_own_token_is_read_back() -> None:
    """A token of ours holds what was put in, and can be referred to from inside and outside a message."""
    token = new_context_token("urn:uuid:1", wsc=WSC_200512, element_id="sct-1", instance="urn:uuid:2")
    assert token == _token("urn:uuid:1", "urn:uuid:2", "sct-1")
    assert token.attached == TokenReference("#sct-1", _SCT)
    assert token.unattached == TokenReference("urn:uuid:1", _SCT, "urn:uuid:2")
    rstr = RequestSecurityTokenResponse(
        wst=WST_200512, token=token, attached=token.attached, unattached=token.unattached
    )
    written = response_to_xml(rstr, DIALECTS["oasis13"], RequestType.ISSUE)
    assert _response(written) == rstr
    bare = new_context_token("urn:uuid:1", wsc=WSC_200512)
    assert (bare.id, bare.instance, bare.attached) == (None, None, None)


# There and back

_uris = st.from_regex(r"urn:[a-z0-9:/#&<>'\"éß]{1,30}", fullmatch=True)
_secrets = st.binary(min_size=1, max_size=64)
_moments = st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(timezone.utc),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
_lifetimes = st.builds(Lifetime, st.none() | _moments, st.none() | _moments)
_renewings = st.builds(Renewing, st.booleans(), st.booleans())
_entropies = st.builds(Entropy, _secrets, st.none() | _uris)
_sizes = st.integers(1, 512)
_references = st.builds(TokenReference, _uris, st.none() | _uris, st.none() | _uris)
_dialects = st.sampled_from(
    [dialect.in_generation(wst) for dialect in DIALECTS.values() for wst in (WST_2005, WST_200512)]
)


def _tokens(wsc: str) -> st.SearchStrategy[ContextToken]:
    return st.builds(
        lambda identifier, name, instance: new_context_token(
            identifier, wsc=wsc, element_id=name, instance=instance
        ),
        _uris,
        st.none() | _uris,
        st.none() | _uris,
    )


@st.composite
def _requests(draw: st.DrawFn) -> tuple[RequestSecurityToken, Dialect]:
    dialect = draw(_dialects)
    request_type = draw(st.sampled_from(RequestType))
    target = None if request_type is RequestType.ISSUE else draw(_references | _tokens(dialect.wsc))
    request = RequestSecurityToken(
        wst=dialect.wst,
        request_type=request_type,
        token_type=draw(st.none() | _uris),
        context=draw(st.none() | _uris),
        applies_to=draw(st.none() | _uris),
        entropy=draw(st.none() | _entropies),
        key_size=draw(st.none() | _sizes),
        lifetime=draw(st.none() | _lifetimes),
        computed_key_algorithm=draw(st.none() | _uris),
        key_type=draw(st.none() | _uris),
        renewing=draw(st.none() | _renewings),
        target=target,
    )
    return request, dialect


@st.composite
def _responses(draw: st.DrawFn) -> tuple[RequestSecurityTokenResponse, Dialect, RequestType]:
    dialect = draw(_dialects)
    proof = draw(st.sampled_from(["computed_key", "proof_secret", None]))
    response = RequestSecurityTokenResponse(
        wst=dialect.wst,
        token_type=draw(st.none() | _uris),
        context=draw(st.none() | _uris),
        token=draw(st.none() | _tokens(dialect.wsc)),
        attached=draw(st.none() | _references),
        unattached=draw(st.none() | _references),
        computed_key=draw(_uris) if proof == "computed_key" else None,
        proof_secret=draw(_secrets) if proof == "proof_secret" else None,
        entropy=draw(st.none() | _entropies),
        lifetime=draw(st.none() | _lifetimes),
        key_size=draw(st.none() | _sizes),
        renewing=draw(st.none() | _renewings),
        applies_to=draw(st.none() | _uris),
        cancelled=draw(st.booleans()),
        status=draw(st.none() | _uris),
    )
    return response, dialect, draw(st.sampled_from(RequestType))


@given(_requests())
def test_a_request_survives_the_wire(case: tuple[RequestSecurityToken, Dialect]) -> None:
    """Whatever is asked for, in whatever dialect, is read back as it was."""
    request, dialect = case
    sent = etree.tostring(request_to_xml(request, dialect))
    received = _request(parse(sent, _LIMITS))
    assert received == request
    if isinstance(request.target, ContextToken):
        assert isinstance(received.target, ContextToken)
        assert _canonical(received.target.xml) == _canonical(request.target.xml)


@given(_responses())
def test_an_answer_survives_the_wire(
    case: tuple[RequestSecurityTokenResponse, Dialect, RequestType],
) -> None:
    """Whatever is answered is read back as it was, but for what a dialect leaves out, collected where it should be."""
    response, dialect, request_type = case
    written = response_to_xml(response, dialect, request_type)
    collected = etree.QName(written).localname == "RequestSecurityTokenResponseCollection"
    assert collected == (request_type in dialect.collection_for)
    received = _response(parse(etree.tostring(written), _LIMITS))
    left_out: dict[str, Any] = dict.fromkeys(dialect.left_out.get(request_type, ()))
    assert received == replace(response, **left_out)
    if response.token is not None:
        assert received.token is not None
        assert _canonical(received.token.xml) == _canonical(response.token.xml)


def _canonical(xml: bytes) -> bytes:
    return etree.tostring(etree.fromstring(xml), method="c14n", exclusive=True)


def test_a_moment_goes_out_in_utc_with_milliseconds() -> None:
    """Every time is written with Z and three digits, whatever zone it was given in."""
    moment = datetime(2026, 1, 1, 1, 30, 0, 1999, timezone(timedelta(hours=2)))
    rst = RequestSecurityToken(
        wst=WST_200512, request_type=RequestType.ISSUE, lifetime=Lifetime(moment, None)
    )
    written = etree.tostring(request_to_xml(rst, DIALECTS["oasis13"]))
    assert b"<wsu:Created>2025-12-31T23:30:00.001Z</wsu:Created>" in written
    with pytest.raises(ValueError, match="aware"):
        Lifetime(datetime(2026, 1, 1), None)  # noqa: DTZ001


@pytest.mark.parametrize("field", ["entropy_encrypted_key", "proof_encrypted_key"])
def test_an_encrypted_key_is_kept_as_it_stands(field: str) -> None:
    """An EncryptedKey in place of a secret is recognised, kept and written again, not opened."""
    xml = f'<x:EncryptedKey xmlns:x="{XENC}"><x:CipherData/></x:EncryptedKey>'.encode()
    rstr = replace(RequestSecurityTokenResponse(wst=WST_200512), **{field: xml})  # type: ignore[arg-type]
    received = _response(response_to_xml(rstr, DIALECTS["oasis13"], RequestType.ISSUE))
    kept: bytes = getattr(received, field)
    assert _canonical(kept) == _canonical(xml)
    assert (received.proof_secret, received.entropy) == (None, None)


def test_the_entropy_of_a_request_may_be_encrypted() -> None:
    """An EncryptedKey in the Entropy of a request is kept too."""
    xml = f'<x:EncryptedKey xmlns:x="{XENC}"><x:CipherData/></x:EncryptedKey>'.encode()
    rst = RequestSecurityToken(wst=WST_200512, request_type=RequestType.ISSUE, entropy_encrypted_key=xml)
    received = _request(request_to_xml(rst, DIALECTS["oasis13"]))
    assert received.entropy is None
    assert received.entropy_encrypted_key is not None
    assert _canonical(received.entropy_encrypted_key) == _canonical(xml)


_ISSUE = RequestSecurityToken(wst=WST_200512, request_type=RequestType.ISSUE)
_ANSWER = RequestSecurityTokenResponse(wst=WST_200512)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (replace(_ISSUE, wst=WST_2005), "generation"),
        (replace(_ISSUE, target=TokenReference("urn:x")), "target"),
        (replace(_ISSUE, request_type=RequestType.CANCEL), "target"),
        (replace(_ISSUE, unsupported=("OnBehalfOf",)), "unsupported"),
        (replace(_ISSUE, entropy=Entropy(b"1"), entropy_encrypted_key=b"<x/>"), "one secret"),
    ],
)
def test_a_request_that_cannot_be_written_is_refused(wrong: RequestSecurityToken, reason: str) -> None:
    """Contradictions of our own are programming errors, never messages."""
    assert request_to_xml(_ISSUE, DIALECTS["oasis13"]) is not None
    with pytest.raises(ValueError, match=reason):
        request_to_xml(wrong, DIALECTS["oasis13"])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (replace(_ANSWER, wst=WST_2005), "generation"),
        (replace(_ANSWER, computed_key=_PSHA1, proof_secret=b"1"), "one proof"),
    ],
)
def test_an_answer_that_cannot_be_written_is_refused(
    wrong: RequestSecurityTokenResponse, reason: str
) -> None:
    """An answer is of the generation of its dialect and proves one key."""
    assert response_to_xml(_ANSWER, DIALECTS["oasis13"], RequestType.ISSUE) is not None
    with pytest.raises(ValueError, match=reason):
        response_to_xml(wrong, DIALECTS["oasis13"], RequestType.ISSUE)
