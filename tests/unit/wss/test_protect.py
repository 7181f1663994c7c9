"""What an outgoing message looks like."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import zeep
import zeep.wsa
from lxml import etree

from tests.unit.messages import (
    ADDRESSING,
    BODY,
    ENDPOINT,
    SCT,
    SECRET,
    SIGNED,
    TICKET,
    asymmetric,
    bare,
    canonical,
    context,
    message,
    order,
    rings,
    secured,
    security,
    symmetric,
)
from tests.unit.parties import CLIENT, NOW, SERVER, environment
from zeep_secureconv import ConfigurationError, Policy, PolicyError
from zeep_secureconv.names import (
    DS,
    EXC_C14N,
    SOAP11,
    SOAP12,
    WSA_2005,
    WSC_2005,
    WSSE,
    WSSE11,
    WSU,
    X509_SKI,
    X509_THUMBPRINT,
    XENC,
    dk_type,
)
from zeep_secureconv.policy import (
    SUITES,
    AsymmetricBinding,
    DerivedKeys,
    Direction,
    HeaderPart,
    Include,
    Layout,
    Parts,
    ReferenceStyle,
    SymmetricBinding,
    Wss,
    X509Token,
)
from zeep_secureconv.soap.addressing import address_request
from zeep_secureconv.soap.envelope import Soap
from zeep_secureconv.wss.keys import Keyring
from zeep_secureconv.wss.times import read_time

REQUEST, RESPONSE = Direction.REQUEST, Direction.RESPONSE
TICKETED = f'<t:Ticket xmlns:t="{TICKET}" s:mustUnderstand="1">x</t:Ticket>'
TICKET_PART = (HeaderPart(namespace=TICKET),)
Options = dict[str, Any]
BEFORE: Options = {"encrypt_before_signing": True}
HIDDEN: Options = {"encrypt_signature": True}
NO_DERIVED: Options = {"derived_keys": DerivedKeys.NONE}
IN_CLEAR: Options = {"encrypted": Parts()}
LAST: Options = {"layout": Layout.LAX_TIMESTAMP_LAST}

TS, TOKEN, DK, LIST, SIG = (
    "Timestamp",
    "SecurityContextToken",
    "DerivedKeyToken",
    "ReferenceList",
    "Signature",
)
BST, EK, DATA = "BinarySecurityToken", "EncryptedKey", "EncryptedData"


def one(soap: Soap, path: str) -> etree._Element:
    """The only element of the wsse:Security header on that path."""
    (found,) = security(soap).findall(path)
    return found


def sent(policy: Policy, *, direction: Direction = REQUEST, **options: Any) -> Soap:
    """A protected message."""
    soap = message(**options)
    secured(soap, policy, direction=direction)
    return soap


# -------------------------------------------------------------------------------------------- header order


@pytest.mark.parametrize(
    ("options", "request_order", "response_order"),
    [
        ({}, [TS, TOKEN, DK, DK, LIST, SIG], [TS, DK, DK, LIST, SIG]),
        (IN_CLEAR, [TS, TOKEN, DK, SIG], [TS, DK, SIG]),
        (NO_DERIVED, [TS, TOKEN, LIST, SIG], [TS, LIST, SIG]),
        (NO_DERIVED | IN_CLEAR, [TS, TOKEN, SIG], [TS, SIG]),
        (HIDDEN, [TS, TOKEN, DK, DK, LIST, DATA], [TS, DK, DK, LIST, DATA]),
        (HIDDEN | IN_CLEAR, [TS, TOKEN, DK, DK, LIST, DATA], [TS, DK, DK, LIST, DATA]),
        (BEFORE, [TS, TOKEN, DK, DK, SIG, LIST], [TS, DK, DK, SIG, LIST]),
        (BEFORE | NO_DERIVED, [TS, TOKEN, SIG, LIST], [TS, SIG, LIST]),
        (BEFORE | IN_CLEAR, [TS, TOKEN, DK, SIG], [TS, DK, SIG]),
        (BEFORE | HIDDEN, [TS, TOKEN, DK, DK, LIST, DATA, LIST], [TS, DK, DK, LIST, DATA, LIST]),
        (LAST, [TOKEN, DK, DK, LIST, SIG, TS], [DK, DK, LIST, SIG, TS]),
        (LAST | BEFORE, [TOKEN, DK, DK, SIG, LIST, TS], [DK, DK, SIG, LIST, TS]),
        ({"layout": Layout.STRICT}, [TS, TOKEN, DK, DK, LIST, SIG], [TS, DK, DK, LIST, SIG]),
        ({"layout": Layout.LAX_TIMESTAMP_FIRST}, [TS, TOKEN, DK, DK, LIST, SIG], [TS, DK, DK, LIST, SIG]),
        ({"include_timestamp": False}, [TOKEN, DK, DK, LIST, SIG], [DK, DK, LIST, SIG]),
        ({"include": Include.NEVER}, [TS, DK, DK, LIST, SIG], [TS, DK, DK, LIST, SIG]),
        ({"include": Include.ALWAYS}, [TS, TOKEN, DK, DK, LIST, SIG], [TS, TOKEN, DK, DK, LIST, SIG]),
        ({"include": Include.ALWAYS_TO_INITIATOR}, [TS, DK, DK, LIST, SIG], [TS, TOKEN, DK, DK, LIST, SIG]),
    ],
)
def test_the_header_of_a_context_message_has_its_order(
    options: dict[str, Any], request_order: list[str], response_order: list[str]
) -> None:
    """Each option of the SymmetricBinding gives the order that the stacks write and read."""
    assert order(sent(symmetric(**options))) == request_order
    assert order(sent(symmetric(**options), direction=RESPONSE)) == response_order


@pytest.mark.parametrize(
    ("options", "request_order", "response_order"),
    [
        ({}, [TS, EK, BST, SIG], [TS, EK, SIG]),
        (IN_CLEAR, [TS, BST, SIG], [TS, SIG]),
        (HIDDEN, [TS, EK, BST, DATA], [TS, EK, DATA]),
        (LAST, [EK, BST, SIG, TS], [EK, SIG, TS]),
    ],
)
def test_the_header_of_a_bootstrap_message_has_its_order(
    options: dict[str, Any], request_order: list[str], response_order: list[str]
) -> None:
    """The EncryptedKey with its own list comes first, then the certificate, then the signature."""
    policy = asymmetric(initiator=X509Token(include=Include.ALWAYS_TO_RECIPIENT), **options)
    both = replace(policy, binding=_recipient_is_named(policy))
    assert order(sent(both)) == request_order
    assert order(sent(both, direction=RESPONSE)) == response_order


def _recipient_is_named(policy: Policy) -> AsymmetricBinding:
    """The binding with encryption tokens that never travel."""
    binding = policy.binding
    assert isinstance(binding, AsymmetricBinding)
    never = X509Token(include=Include.NEVER)
    return replace(binding, initiator_encryption_token=never, recipient_encryption_token=never)


def test_a_bootstrap_message_that_encrypts_first_has_its_order() -> None:
    """The EncryptedKey stands before the signature, the list of what it encrypts after it, as CXF writes them."""
    policy = asymmetric(encrypt_before_signing=True)
    both = replace(policy, binding=_recipient_is_named(policy))
    found = order(sent(both))
    assert sorted(found[1:3]) == [BST, EK]
    assert [found[0], *found[3:]] == [TS, SIG, LIST]
    assert one(sent(both), f"{{{XENC}}}EncryptedKey").find(f"{{{XENC}}}ReferenceList") is None


def test_the_security_header_is_the_last_block() -> None:
    """wsse:Security comes after the addressing headers and the user's own, and must be understood."""
    for version in (SOAP11, SOAP12):
        soap = sent(symmetric(), headers=TICKETED, version=version)
        names = [etree.QName(block).localname for block in soap.blocks()]
        assert names == ["Ticket", "Action", "MessageID", "To", "ReplyTo", "Security"]
        assert dict(security(soap).attrib) == {f"{{{version}}}mustUnderstand": "1"}


# -------------------------------------------------------------------------------------------------- content


def test_the_timestamp_is_now() -> None:
    """Created is the clock's time in UTC, Expires the message's lifetime later."""
    stamp = one(sent(symmetric()), f"{{{WSU}}}Timestamp")
    assert [etree.QName(child).localname for child in stamp] == ["Created", "Expires"]
    assert read_time(stamp[0].text) == NOW
    assert read_time(stamp[1].text) == NOW + timedelta(minutes=5)


def test_the_token_of_the_context_is_sent_as_it_came() -> None:
    """The SecurityContextToken is the issuer's, with its id, its white space and what only the issuer understands."""
    token = (
        '<q:SecurityContextToken xmlns:q="http://docs.oasis-open.org/ws-sx/ws-secureconversation/200512" '
        f'xmlns:u="{WSU}" u:Id="odd id:1"><q:Identifier> urn:uuid:sct-1 </q:Identifier>'
        '<d:Cookie xmlns:d="urn:dotnet">AAAA</d:Cookie></q:SecurityContextToken>'
    )
    soap = message()
    secured(soap, symmetric(), ring=replace(rings()[0], context=context(token=token.encode())))
    found, given = security(soap)[1], etree.fromstring(token)
    assert [(e.tag, e.text, dict(e.attrib)) for e in found.iter()] == [
        (e.tag, e.text, dict(e.attrib)) for e in given.iter()
    ]
    reference = next(security(soap).iter(f"{{{WSSE}}}Reference"))
    assert reference.get("URI") == "#odd id:1"


@pytest.mark.parametrize(
    ("suite", "signature_length", "encryption_length"),
    [("Basic128", 16, 16), ("Basic192", 24, 24), ("Basic256", 24, 32), ("TripleDes", 24, 24)],
)
def test_derived_keys_are_as_long_as_the_suite_says(
    suite: str, signature_length: int, encryption_length: int
) -> None:
    """One key for the signature and one for encryption, each with its length, offset 0 and 16 octets of nonce."""
    soap = sent(symmetric(suite))
    found = security(soap).findall("{*}DerivedKeyToken")
    assert [token.findtext("{*}Length") for token in found] == [str(signature_length), str(encryption_length)]
    for token in found:
        assert [etree.QName(child).localname for child in token] == [
            "SecurityTokenReference",
            "Offset",
            "Length",
            "Nonce",
        ]
        assert token.findtext("{*}Offset") == "0"
        assert len(base64.b64decode(token.findtext("{*}Nonce") or "")) == 16
    users = [security(soap).find(f"{{{DS}}}Signature"), soap.body[0]]
    for token, user in zip(found, users, strict=True):
        assert user is not None
        (reference,) = user.findall(f"{{{DS}}}KeyInfo/{{{WSSE}}}SecurityTokenReference/{{{WSSE}}}Reference")
        assert reference.get("URI") == f"#{token.get(f'{{{WSU}}}Id')}"
        assert reference.get("ValueType") == dk_type(context().wsc)


def test_a_context_of_the_draft_is_written_in_the_draft() -> None:
    """Derived keys and references are in the generation of the context."""
    soap = message()
    secured(soap, symmetric(), ring=replace(rings()[0], context=context(wsc=WSC_2005)))
    assert {etree.QName(child).namespace for child in security(soap)[1:4]} == {WSC_2005}
    types = [reference.get("ValueType") for reference in security(soap).iter(f"{{{WSSE}}}Reference")]
    assert set(types) == {f"{WSC_2005}/sct", f"{WSC_2005}/dk"}


def test_the_context_is_named_as_the_policy_wants() -> None:
    """A token in the message is named by its id, one outside or under RequireExternalUriReference by Identifier."""

    def named(policy: Policy, direction: Direction = REQUEST) -> set[str | None]:
        tokens = security(sent(policy, direction=direction)).iterfind("{*}DerivedKeyToken")
        return {next(token.iter(f"{{{WSSE}}}Reference")).get("URI") for token in tokens}

    assert named(symmetric()) == {"#sct-id"}
    assert named(symmetric(), RESPONSE) == {"urn:uuid:sct-1"}
    assert named(symmetric(include=Include.NEVER)) == {"urn:uuid:sct-1"}
    assert named(symmetric(require_external_uri_reference=True)) == {"urn:uuid:sct-1"}


def test_the_raw_key_is_named_by_the_token_itself() -> None:
    """Without derived keys signature and encrypted data refer to the context."""
    soap = sent(symmetric(**NO_DERIVED))
    for user in (security(soap).find(f"{{{DS}}}Signature"), soap.body[0]):
        assert user is not None
        reference = next(user.iter(f"{{{WSSE}}}Reference"))
        assert (reference.get("URI"), reference.get("ValueType")) == ("#sct-id", SCT)


@pytest.mark.parametrize("name", SUITES)
def test_the_algorithms_are_those_of_the_suite(name: str) -> None:
    """Digest, signature, canonicalization, encryption and key transport are what the suite says."""
    suite = SUITES[name]
    for policy, method in (
        (symmetric(name), suite.symmetric_signature),
        (asymmetric(name), suite.asymmetric_signature),
    ):
        soap = sent(policy)
        info = one(soap, f"{{{DS}}}Signature/{{{DS}}}SignedInfo")
        assert [child.get("Algorithm") for child in info[:2]] == [EXC_C14N, method]
        assert {d.get("Algorithm") for d in info.iter(f"{{{DS}}}DigestMethod")} == {suite.digest}
        assert {t.get("Algorithm") for t in info.iter(f"{{{DS}}}Transform")} == {EXC_C14N}
        assert soap.body[0][0].get("Algorithm") == suite.encryption
    wrap = one(soap, f"{{{XENC}}}EncryptedKey")[0]
    assert wrap.get("Algorithm") == suite.asymmetric_key_wrap


@pytest.mark.parametrize(
    "style", [ReferenceStyle.ISSUER_SERIAL, ReferenceStyle.KEY_IDENTIFIER, ReferenceStyle.THUMBPRINT]
)
def test_a_certificate_that_does_not_travel_is_named(style: ReferenceStyle) -> None:
    """The recipient's certificate, and a signer's that is never sent, is named in the style of the policy."""
    never = X509Token(include=Include.NEVER)
    soap = sent(asymmetric(initiator=never, wss=Wss(references=frozenset({style}))))
    assert order(soap) == [TS, EK, SIG]
    kinds = {ReferenceStyle.KEY_IDENTIFIER: X509_SKI, ReferenceStyle.THUMBPRINT: X509_THUMBPRINT}
    for user, certificate in ((EK, SERVER.make()), (SIG, CLIENT.make())):
        (named,) = security(soap).findall(f"{{*}}{user}/{{{DS}}}KeyInfo/{{{WSSE}}}SecurityTokenReference/*")
        if style is ReferenceStyle.ISSUER_SERIAL:
            assert named.findtext(f".//{{{DS}}}X509SerialNumber") == str(certificate.serial_number)
        else:
            assert named.get("ValueType") == kinds[style]


def test_what_is_signed_and_encrypted_is_told() -> None:
    """The result names the parts, the context, the MessageID and the signature value of the message."""
    soap = message(headers=TICKETED)
    policy = symmetric(
        signed=SIGNED | Parts(headers=TICKET_PART), encrypted=BODY | Parts(headers=TICKET_PART)
    )
    done = secured(soap, policy)
    assert done.signed == ("Timestamp", "Body", "Ticket", "Action", "MessageID", "To", "ReplyTo")
    assert done.encrypted == ("Body", "Ticket")
    assert done.context == context()
    (value,) = done.signature_values
    assert security(soap).findtext(f".//{{{DS}}}SignatureValue") == base64.b64encode(value).decode()
    assert base64.b64encode(value).decode() not in repr(done)
    assert secured(message(), asymmetric()).context is None


def test_only_listed_headers_are_signed_and_encrypted() -> None:
    """A header that no part of the policy means stays as it was, without an id."""
    soap = sent(symmetric(), headers=TICKETED)
    ticket = soap.blocks()[0]
    assert dict(ticket.attrib) == {f"{{{SOAP11}}}mustUnderstand": "1"}
    assert ticket.text == "x"
    named = sent(symmetric(signed=Parts(body=True, headers=(HeaderPart(namespace=WSA_2005, name="To"),))))
    with_ids = [etree.QName(b).localname for b in named.blocks() if b.get(f"{{{WSU}}}Id")]
    assert with_ids == ["To"]


@pytest.mark.parametrize("before", [False, True])
def test_an_encrypted_header_says_to_whom_it_is(before: bool) -> None:
    """An encrypted block is an EncryptedHeader with the block's mustUnderstand and role, and an id."""
    extra = f'<t:Ticket xmlns:t="{TICKET}" s:mustUnderstand="1" s:actor="urn:next">secret</t:Ticket>'
    policy = symmetric(encrypted=BODY | Parts(headers=TICKET_PART), encrypt_before_signing=before)
    soap = sent(policy, headers=extra)
    block = soap.blocks()[0]
    assert block.tag == f"{{{WSSE11}}}EncryptedHeader"
    assert block.get(f"{{{SOAP11}}}mustUnderstand") == "1"
    assert block.get(f"{{{SOAP11}}}actor") == "urn:next"
    assert block.get(f"{{{WSU}}}Id")
    (data,) = block
    assert data.get("Type") == f"{XENC}Element"
    assert b"secret" not in etree.tostring(soap.envelope)


def test_the_body_is_encrypted_as_content() -> None:
    """Body itself stays, with its id and attributes, and holds nothing but encrypted data."""
    soap = message()
    soap.body.set("{urn:app}mark", "1")
    secured(soap, symmetric())
    assert soap.body.get("{urn:app}mark") == "1"
    assert soap.body.get(f"{{{WSU}}}Id")
    assert [child.tag for child in soap.body] == [f"{{{XENC}}}EncryptedData"]
    assert soap.body[0].get("Type") == f"{XENC}Content"
    assert soap.body.text is None
    listed = [reference.get("URI") for reference in security(soap).iter(f"{{{XENC}}}DataReference")]
    assert listed == [f"#{soap.body[0].get('Id')}"]


def test_ids_are_unique_and_fresh() -> None:
    """No id stands twice in a message, and none in two messages; nonces and IVs differ too."""
    policy = symmetric(encrypted=BODY | Parts(headers=TICKET_PART), **HIDDEN)
    seen: set[str] = set()
    nonces: set[str] = set()
    for _ in range(50):
        soap = sent(policy, headers=TICKETED)
        found = [element.attrib for element in soap.envelope.iter("*")]
        ids = [str(names[id_]) for names in found for id_ in ("Id", f"{{{WSU}}}Id") if id_ in names]
        ids.remove("sct-id")
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        seen |= set(ids)
        nonces |= {
            token.findtext("{*}Nonce") or "" for token in security(soap).iterfind("{*}DerivedKeyToken")
        }
    assert len(nonces) == 100


def test_an_id_that_is_there_is_kept() -> None:
    """A part that has a wsu:Id keeps it, and the signature refers to that."""
    soap = message()
    soap.body.set(f"{{{WSU}}}Id", "my-body")
    secured(soap, symmetric())
    assert soap.body.get(f"{{{WSU}}}Id") == "my-body"
    uris = [reference.get("URI") for reference in security(soap).iter(f"{{{DS}}}Reference")]
    assert "#my-body" in uris


def test_randomness_is_what_it_was_handed() -> None:
    """With the same random octets and the same time the same message is made."""

    def fixed() -> Any:
        numbers = iter(range(1000))
        return environment(random=lambda count: bytes([next(numbers) % 256]) * count)

    twins = []
    for _ in range(2):
        soap = message()
        for block in soap.blocks():
            if block.tag == f"{{{WSA_2005}}}MessageID":
                block.text = "urn:uuid:1"
        secured(soap, symmetric(), env=fixed())
        twins.append(canonical(soap.envelope))
    assert twins[0] == twins[1]


# --------------------------------------------------------------------------------------- other people's headers


def test_a_second_security_header_is_refused() -> None:
    """A message that another plugin secured already is refused before anything is changed."""
    extra = f'<w:Security xmlns:w="{WSSE}"/>'
    sent(symmetric())
    soap = message(headers=extra)
    before = canonical(soap.envelope)
    with pytest.raises(ConfigurationError, match="already") as caught:
        secured(soap, symmetric())
    assert caught.value.hint
    assert canonical(soap.envelope) == before


def test_zeeps_own_addressing_is_not_doubled() -> None:
    """With zeep's WsAddressingPlugin every addressing header stands there once, as the plugin wrote it."""
    soap = bare()
    operation = type("Operation", (), {"abstract": type("Abstract", (), {"wsa_action": "urn:plugin"})()})()
    zeep.wsa.WsAddressingPlugin().egress(soap.envelope, {}, operation, {"address": "urn:to"})
    soap = Soap.of(soap.envelope)
    mine = soap.blocks()[1].text
    name = address_request(soap, wsa=WSA_2005, to=ENDPOINT, action="urn:act", random=environment().random)
    assert name == mine
    found = [(etree.QName(block).localname, block.text) for block in soap.blocks()]
    assert found[:3] == [("Action", "urn:plugin"), ("MessageID", mine), ("To", "urn:to")]
    assert [local for local, _ in found] == ["Action", "MessageID", "To", "ReplyTo"]


# ------------------------------------------------------------------------------------- what cannot be done


def test_a_policy_without_binding_protects_nothing() -> None:
    """A policy that secures nothing is refused."""
    sent(symmetric())
    with pytest.raises(PolicyError, match="no security binding"):
        secured(message(), Policy(signed=SIGNED))


@pytest.mark.parametrize(
    ("policy", "ring", "error"),
    [
        (symmetric(), Keyring(), "no security context"),
        (asymmetric(), Keyring(peer=SERVER.make()), "signed with a certificate"),
        (asymmetric(), Keyring(signing=CLIENT.identity()), "is not known"),
    ],
)
def test_a_missing_key_is_told(policy: Policy, ring: Keyring, error: str) -> None:
    """What the policy needs and nobody gave is a ConfigurationError, before the message is changed."""
    secured(message(), policy)
    soap = message()
    with pytest.raises(ConfigurationError, match=error):
        secured(soap, policy, ring=ring)
    assert not any(block.tag == f"{{{WSSE}}}Security" for block in soap.blocks())


def test_key_usage_is_obeyed() -> None:
    """A certificate that may not sign does not sign, and one that may not encrypt is not encrypted to."""
    policy = asymmetric()
    sender = rings()[0]
    secured(message(), policy)
    only_encrypts = CLIENT.but(usage=frozenset({"key_encipherment"})).identity()
    with pytest.raises(ConfigurationError, match="KeyUsage"):
        secured(message(), policy, ring=replace(sender, signing=only_encrypts))
    only_signs = SERVER.but(usage=frozenset({"digital_signature"})).make()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        secured(message(), policy, ring=replace(sender, peer=only_signs))


def test_what_is_not_supported_is_a_policy_error() -> None:
    """Missing tokens are told, not passed over."""
    binding = symmetric().binding
    assert isinstance(binding, SymmetricBinding)
    unsupported = (
        replace(symmetric(), binding=replace(binding, signature_token=None)),
        replace(symmetric(), binding=replace(binding, encryption_token=None)),
        asymmetric(initiator=None),
        asymmetric(recipient=None),
    )
    for policy in unsupported:
        with pytest.raises(PolicyError):
            secured(message(), policy)


def test_no_secret_is_in_the_message() -> None:
    """Neither the context's key nor a derived one stands in the message."""
    soap = sent(symmetric(**NO_DERIVED))
    text = etree.tostring(soap.envelope)
    for form in (SECRET, base64.b64encode(SECRET), SECRET.hex().encode()):
        assert form not in text
    assert ADDRESSING
