"""WS-Trust messages that stacks send: each is read into exactly what it says."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timezone

import pytest
from lxml import etree

from zeep_secureconv.limits import Limits
from zeep_secureconv.names import (
    WSC_2005,
    WSC_200512,
    WSSE,
    WST_2005,
    WST_200512,
    WSU,
    sct_type,
)
from zeep_secureconv.trust import (
    DIALECTS,
    ContextToken,
    Entropy,
    Lifetime,
    Renewing,
    RequestSecurityToken,
    RequestSecurityTokenResponse,
    RequestType,
    TokenReference,
    request_from_xml,
    request_to_xml,
    response_from_xml,
    response_to_xml,
)

Payload = Callable[[str], etree._Element]

_LIMITS = Limits()
_SCT = sct_type(WSC_200512)
_NONCE = f"{WST_200512}/Nonce"
_PSHA1 = f"{WST_200512}/CK/PSHA1"
_ECHO_SERVICE = "http://localhost:80/WSSampleSei/EchoService"
_LOGIN = "https://www.ibm.com/login/"


def _b64(text: str) -> bytes:
    return base64.b64decode(text)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def _token(identifier: str, instance: str | None, name: str, wsc: str = WSC_200512) -> ContextToken:
    return ContextToken(identifier, instance, name, wsc, b"")


def _request(element: etree._Element) -> RequestSecurityToken:
    return request_from_xml(element, _LIMITS)


def _response(element: etree._Element) -> RequestSecurityTokenResponse:
    return response_from_xml(element, _LIMITS)


# The sample messages of WebSphere


def _uuid(tail: str) -> str:
    return f"uuid:{tail}"


_SEED_REQUESTS = {
    "issue": RequestSecurityToken(
        wst=WST_200512,
        request_type=RequestType.ISSUE,
        token_type=_SCT,
        context="http://www.ibm.com/login/",
        applies_to=_ECHO_SERVICE,
        entropy=Entropy(_b64("zb//KsawV6DmfC8kB6vNOQ=="), _NONCE),
        key_size=16,
    ),
    "cancel": RequestSecurityToken(
        wst=WST_200512,
        request_type=RequestType.CANCEL,
        token_type=_SCT,
        context=_LOGIN,
        applies_to=_ECHO_SERVICE,
        target=_token(
            _uuid("AC4764EB4BE91011501223028453768"),
            _uuid("AC4764EB4BE91011501223028453751"),
            _uuid("AC4764EB4BE91011501223028453769"),
        ),
    ),
    "renew": RequestSecurityToken(
        wst=WST_200512,
        request_type=RequestType.RENEW,
        token_type=_SCT,
        context=_LOGIN,
        applies_to=_ECHO_SERVICE,
        entropy=Entropy(_b64("U8rH9l/wLV1gpsBf/yCooA=="), _NONCE),
        key_size=16,
        target=_token(
            _uuid("FFA51A32EB818FB6EA1223026418868"),
            _uuid("FFA51A32EB818FB6EA1223026418867"),
            _uuid("FFA51A32EB818FB6EA1223026418869"),
        ),
    ),
    "validate": RequestSecurityToken(
        wst=WST_200512,
        request_type=RequestType.VALIDATE,
        token_type=_SCT,
        context=_LOGIN,
        applies_to=_ECHO_SERVICE,
        target=_token(
            _uuid("6B77A2DA28C1E523BD1223045150687"),
            _uuid("6B77A2DA28C1E523BD1223045150670"),
            _uuid("6B77A2DA28C1E523BD1223045150688"),
        ),
    ),
}

_SEED_RESPONSES = {
    "issue": RequestSecurityTokenResponse(
        wst=WST_200512,
        context="http://www.ibm.com/login/",
        token=_token(
            _uuid("FFA51A32EB818FB6EA1222986227346"),
            _uuid("FFA51A32EB818FB6EA1222986227345"),
            _uuid("FFA51A32EB818FB6EA1222986227363"),
        ),
        attached=TokenReference("#uuid:FFA51A32EB818FB6EA1222986227363", _SCT),
        unattached=TokenReference("uuid:FFA51A32EB818FB6EA1222986227346", _SCT),
        computed_key=_PSHA1,
        entropy=Entropy(_b64("rF1Yp5zhRhamLQNPAOm4TA=="), _NONCE),
        lifetime=Lifetime(_utc("2008-10-02T22:23:44.765"), _utc("2008-10-02T22:35:44.765")),
        key_size=16,
        renewing=Renewing(allow=True, ok=False),
        applies_to=_ECHO_SERVICE,
    ),
    "cancel": RequestSecurityTokenResponse(wst=WST_200512, context=_LOGIN, cancelled=True),
    "renew": RequestSecurityTokenResponse(
        wst=WST_200512,
        context=_LOGIN,
        token=_token(
            _uuid("FFA51A32EB818FB6EA1223026418868"),
            _uuid("FFA51A32EB818FB6EA1223026990447"),
            _uuid("FFA51A32EB818FB6EA1223026990448"),
        ),
        attached=TokenReference("#uuid:FFA51A32EB818FB6EA1223026990448", _SCT),
        entropy=Entropy(_b64("lFkKSI/pajtTZzRpQalNMA=="), _NONCE),
        lifetime=Lifetime(_utc("2008-10-03T09:43:07.421"), _utc("2008-10-03T09:55:07.421")),
        renewing=Renewing(allow=True, ok=False),
    ),
    "validate": RequestSecurityTokenResponse(
        wst=WST_200512, context="http://www.ibm.com/login/", status=f"{WST_200512}/status/valid"
    ),
}


@pytest.mark.parametrize("operation", _SEED_REQUESTS)
def test_a_request_of_websphere_is_read(operation: str, payload: Payload) -> None:
    """The sample requests give exactly the values that they show, white space and quirks notwithstanding."""
    assert _request(payload(f"seeds/{operation}-rst")) == _SEED_REQUESTS[operation]


@pytest.mark.parametrize("operation", _SEED_RESPONSES)
def test_an_answer_of_websphere_is_read(operation: str, payload: Payload) -> None:
    """The sample answers give exactly the values that they show, bare or in a collection."""
    assert _response(payload(f"seeds/{operation}-rstr")) == _SEED_RESPONSES[operation]


def _outline(element: etree._Element) -> list[str]:
    return [etree.QName(child).localname for child in element.iter("*")]


def _whole(element: etree._Element) -> list[tuple[str, str, dict[str, str]]]:
    """Names, texts and attributes; a sample has a dash beside an element, where no text may be."""
    return [
        (str(child.tag), "" if len(child) else (child.text or "").strip(), dict(child.attrib))
        for child in element.iter("*")
    ]


@pytest.mark.parametrize("operation", _SEED_REQUESTS)
def test_the_dialect_of_websphere_writes_its_requests(operation: str, payload: Payload) -> None:
    """What was read from the samples is written with the same names, texts and attributes in the same order."""
    sample = payload(f"seeds/{operation}-rst")
    written = request_to_xml(_request(sample), DIALECTS["websphere13"])
    assert _whole(written) == _whole(sample)
    assert _request(written) == _SEED_REQUESTS[operation]


@pytest.mark.parametrize("operation", _SEED_RESPONSES)
def test_the_dialect_of_websphere_writes_its_answers(operation: str, payload: Payload) -> None:
    """What was read from the samples is written with the same names, texts and attributes, and collected alike."""
    sample = payload(f"seeds/{operation}-rstr")
    written = response_to_xml(
        _response(sample), DIALECTS["websphere13"], _SEED_REQUESTS[operation].request_type
    )
    assert _whole(written) == _whole(sample)
    assert _response(written) == _SEED_RESPONSES[operation]


# Messages of running stacks

_METRO_IDENTIFIER = "urn:uuid:8546bb78-17d4-4768-9eae-9964e995024b"
_CXF_IDENTIFIER = "uuid:482698fe-9df7-40f1-80ca-583b2ffc8a09"


def test_metro_issues(payload: Payload) -> None:
    """Metro asks with KeyType and ComputedKeyAlgorithm, without AppliesTo; its answer has no KeySize."""
    assert _request(payload("trust/metro-issue-rst")) == RequestSecurityToken(
        wst=WST_200512,
        request_type=RequestType.ISSUE,
        token_type=_SCT,
        entropy=Entropy(_b64("ET5CjCmD9OfGnJv/fkiHANRE4X1Wgs2xToBu3I0YmKk="), _NONCE),
        key_size=32,
        key_type=f"{WST_200512}/SymmetricKey",
        computed_key_algorithm=_PSHA1,
    )
    name = "uuid-dacf84a3-3456-4e44-ac48-13872174a640"
    assert _response(payload("trust/metro-issue-rstr")) == RequestSecurityTokenResponse(
        wst=WST_200512,
        token_type=_SCT,
        token=_token(_METRO_IDENTIFIER, None, name),
        attached=TokenReference(f"#{name}", _SCT),
        unattached=TokenReference(_METRO_IDENTIFIER, _SCT),
        computed_key=_PSHA1,
        entropy=Entropy(_b64("8ZaMnAPcsqN303TDpRflmJFL5O9sPsTzFef8W8xvZyo="), _NONCE),
        lifetime=Lifetime(_utc("2026-11-20T23:11:52.813"), _utc("2026-11-20T23:12:04.813")),
    )


def test_metro_renews(payload: Payload) -> None:
    """Metro names the target by a reference; its answer has a new Instance, no unattached reference."""
    rst = _request(payload("trust/metro-renew-rst"))
    assert (rst.request_type, rst.target) == (RequestType.RENEW, TokenReference(_METRO_IDENTIFIER, _SCT))
    rstr = _response(payload("trust/metro-renew-rstr"))
    assert rstr.token is not None
    assert rstr.token.identifier == _METRO_IDENTIFIER
    assert rstr.token.instance == "uuid-f4fb0489-1629-4858-be2d-9965121255d4"
    assert rstr.attached == rstr.token.attached
    assert rstr.unattached is None


@pytest.mark.parametrize(("stack", "wst"), [("metro", WST_200512), ("metro-draft", WST_2005)])
def test_metro_cancels(stack: str, wst: str, payload: Payload) -> None:
    """A cancellation has a type and a target, its answer only says that it was done."""
    rst = _request(payload(f"trust/{stack}-cancel-rst"))
    assert isinstance(rst.target, TokenReference)
    assert rst == RequestSecurityToken(wst=wst, request_type=RequestType.CANCEL, target=rst.target)
    answer = _response(payload(f"trust/{stack}-cancel-rstr"))
    assert answer == RequestSecurityTokenResponse(wst=wst, cancelled=True)


def test_metro_speaks_the_draft(payload: Payload) -> None:
    """The draft answers without a collection, in its own namespaces, and puts an attribute on Entropy."""
    rst = _request(payload("trust/metro-draft-issue-rst"))
    rstr = _response(payload("trust/metro-draft-issue-rstr"))
    assert (rst.wst, rst.token_type) == (WST_2005, sct_type(WSC_2005))
    assert rst.entropy is not None
    assert rst.entropy.type_uri == f"{WST_2005}/Nonce"
    assert rstr.token is not None
    assert (rstr.token.wsc, rstr.computed_key) == (WSC_2005, f"{WST_2005}/CK/PSHA1")


def test_cxf_issues(payload: Payload) -> None:
    """CXF asks with a Lifetime, an empty Renewing and AppliesTo in the namespace of the W3C."""
    endpoint = "https://127.0.0.1:34557/tls-endorsing-sct"
    assert _request(payload("trust/cxf-issue-rst")) == RequestSecurityToken(
        wst=WST_200512,
        request_type=RequestType.ISSUE,
        token_type=_SCT,
        applies_to=endpoint,
        entropy=Entropy(_b64("DsRCGhopg7weIqMQIHRdhJtBWQsE3WLvL+/8odSMpIY="), _NONCE),
        key_size=32,
        lifetime=Lifetime(_utc("2026-11-20T23:39:42.412"), _utc("2026-11-20T23:44:42.412")),
        renewing=Renewing(),
        computed_key_algorithm=_PSHA1,
    )
    rstr = _response(payload("trust/cxf-issue-rstr"))
    assert rstr.token is not None
    assert rstr.token.identifier == _CXF_IDENTIFIER
    assert (rstr.key_size, rstr.token_type) == (None, None)


def test_cxf_renews(payload: Payload) -> None:
    """CXF renews without entropy or TokenType; it gets a proof key, an unprefixed Instance, no ValueType."""
    rst = _request(payload("trust/cxf-renew-rst"))
    assert (rst.token_type, rst.entropy, rst.key_size) == (None, None, None)
    assert rst.target == _token(_CXF_IDENTIFIER, None, "sctId-cee62ab8-f0e6-4224-aef4-f8e073d6d8ca")
    rstr = _response(payload("trust/cxf-renew-rstr"))
    instance, name = "G7315bbbf-f411-43cb-ba7d-1156614c2d4e", "sctId-d57e7513-0915-4b18-8841-45684e6807b7"
    assert rstr.token == _token(_CXF_IDENTIFIER, instance, name)
    assert rstr.attached == TokenReference(f"#{name}")
    assert rstr.unattached == TokenReference(_CXF_IDENTIFIER, None, instance)
    assert rstr.proof_secret == _b64("2eDUOdaOHQNDmaKZ/pkr6cJPprpkL7SKcFsySnWqEuc=")
    assert (rstr.computed_key, rstr.entropy) == (None, None)


def test_cxf_cancels(payload: Payload) -> None:
    """CXF copies the token into its cancellation; the answer comes in a collection."""
    rst = _request(payload("trust/cxf-cancel-rst"))
    assert isinstance(rst.target, ContextToken)
    assert rst.target.instance == "G7315bbbf-f411-43cb-ba7d-1156614c2d4e"
    assert _response(payload("trust/cxf-cancel-rstr")).cancelled


def test_rampart_answers_with_its_own_key(payload: Payload) -> None:
    """Rampart gives a bare BinarySecret without a Type, although the request offered entropy."""
    rst = _request(payload("trust/rampart-issue-rst"))
    assert rst.entropy is not None
    assert (len(rst.entropy.secret), rst.key_size) == (16, None)
    rstr = _response(payload("trust/rampart-issue-rstr"))
    assert rstr.proof_secret == _b64("TJY7x71jT97oUCi+5cAY0rJ93GQ1MTxiH2dhq2cfxmk=")
    assert (rstr.computed_key, rstr.entropy) == (None, None)


# No capture of WCF: these two are composed as its source writes them.
_ZEROS = base64.b64encode(bytes(32)).decode()
_WCF_REQUEST = f"""
<t:RequestSecurityToken xmlns:t="{WST_2005}" Context="uuid-7f3a-1">
  <t:TokenType>{WSC_2005}/sct</t:TokenType>
  <t:RequestType>{WST_2005}/Renew</t:RequestType>
  <t:Entropy><t:BinarySecret u:Id="uuid-7f3a-2" xmlns:u="{WSU}">{_ZEROS}</t:BinarySecret></t:Entropy>
  <t:KeySize>256</t:KeySize>
  <t:RenewTarget><o:SecurityTokenReference xmlns:o="{WSSE}"><o:Reference URI="urn:uuid:6b"
     ValueType="{WSC_2005}/sct" xmlns:c="{WSC_2005}" c:Instance="urn:uuid:7c"/></o:SecurityTokenReference>
  </t:RenewTarget>
</t:RequestSecurityToken>"""

_WCF_RESPONSE = f"""
<t:RequestSecurityTokenResponse xmlns:t="{WST_2005}" xmlns:u="{WSU}" Context="uuid-7f3a-1">
  <t:TokenType>{WSC_2005}/sct</t:TokenType>
  <t:RequestedSecurityToken><c:SecurityContextToken u:Id="uuid-8" xmlns:c="{WSC_2005}">
    <c:Identifier>urn:uuid:6b</c:Identifier><c:Instance>urn:uuid:7d</c:Instance>
    <d:Cookie xmlns:d="http://schemas.microsoft.com/ws/2006/05/security">AAEC</d:Cookie>
  </c:SecurityContextToken></t:RequestedSecurityToken>
  <t:RequestedAttachedReference><o:SecurityTokenReference xmlns:o="{WSSE}"
     ><o:Reference ValueType="{WSC_2005}/sct" URI="#uuid-8"/></o:SecurityTokenReference></t:RequestedAttachedReference>
  <t:RequestedUnattachedReference><o:SecurityTokenReference xmlns:o="{WSSE}"
     ><o:Reference URI="urn:uuid:6b" ValueType="{WSC_2005}/sct" xmlns:c="{WSC_2005}" c:Instance="urn:uuid:7d"
     /></o:SecurityTokenReference></t:RequestedUnattachedReference>
  <t:RequestedProofToken><t:ComputedKey>{WST_2005}/CK/PSHA1</t:ComputedKey></t:RequestedProofToken>
  <t:Entropy><t:BinarySecret u:Id="uuid-9" Type="{WST_2005}/Nonce">{_ZEROS}</t:BinarySecret></t:Entropy>
  <t:Lifetime><u:Created>2026-11-20T23:00:00.1234567Z</u:Created><u:Expires>2026-11-21T14:00:00Z</u:Expires></t:Lifetime>
  <t:KeySize>256</t:KeySize>
</t:RequestSecurityTokenResponse>"""


def test_wcf_renews() -> None:
    """WCF names an Instance in the target, leaves the Type of its entropy out, and may add a Cookie."""
    rst = _request(etree.fromstring(_WCF_REQUEST))
    assert rst == RequestSecurityToken(
        wst=WST_2005,
        request_type=RequestType.RENEW,
        token_type=f"{WSC_2005}/sct",
        context="uuid-7f3a-1",
        entropy=Entropy(bytes(32), None),
        key_size=32,
        target=TokenReference("urn:uuid:6b", f"{WSC_2005}/sct", "urn:uuid:7c"),
    )
    assert _outline(request_to_xml(rst, DIALECTS["wcf"].in_generation(WST_2005))) == _outline(
        etree.fromstring(_WCF_REQUEST)
    )
    rstr = _response(etree.fromstring(_WCF_RESPONSE))
    assert rstr.token is not None
    assert b"Cookie" in rstr.token.xml
    assert (rstr.key_size, rstr.token_type) == (32, f"{WSC_2005}/sct")
    assert rstr.unattached == rstr.token.unattached
    assert rstr.lifetime == Lifetime(_utc("2026-11-20T23:00:00.123456"), _utc("2026-11-21T14:00:00.000000"))
    written = response_to_xml(rstr, DIALECTS["wcf"].in_generation(WST_2005), RequestType.RENEW)
    assert _outline(written) == _outline(etree.fromstring(_WCF_RESPONSE))
