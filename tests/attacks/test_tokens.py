"""References and tokens that mean something else than they seem, or that cost more than they are worth."""

from __future__ import annotations

import base64
import contextlib
import random

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from tests.attacks.conftest import Refuses
from tests.attacks.forge import MINE, NS, WSU_ID, Channel, World, element, twin
from tests.unit.parties import NOW, identity, trust
from zeep_secureconv import Identity, LimitExceeded, Limits, SecureConversationError, VerificationError
from zeep_secureconv.names import X509_V3
from zeep_secureconv.policy.model import Include
from zeep_secureconv.wss import certificates
from zeep_secureconv.wss.tokens import read_certificates

_REFERENCE = '<wsse:Reference URI="#x"/>'


_PLACES = {
    "signature": ("request", ".//ds:Signature/ds:KeyInfo"),
    "ciphertext": ("request", ".//xenc:EncryptedData/ds:KeyInfo"),
    "wrapped key": ("rst", ".//xenc:EncryptedKey/ds:KeyInfo"),
}


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "<ds:KeyName>k</ds:KeyName>",
        "<ds:KeyValue><ds:RSAKeyValue/></ds:KeyValue>",
        '<ds:RetrievalMethod URI="http://127.0.0.1:9/key"/>',
        "<wsse:SecurityTokenReference/>",
        '<wsse:SecurityTokenReference><wsse:Reference URI=""/></wsse:SecurityTokenReference>',
        "<wsse:SecurityTokenReference><wsse:Embedded/></wsse:SecurityTokenReference>",
        "<wsse:SecurityTokenReference><wsse:KeyIdentifier>*</wsse:KeyIdentifier></wsse:SecurityTokenReference>",
        "<wsse:SecurityTokenReference><ds:X509Data/></wsse:SecurityTokenReference>",
        "<wsse:SecurityTokenReference><ds:KeyName>k</ds:KeyName></wsse:SecurityTokenReference>",
        f"<wsse:SecurityTokenReference>{2 * _REFERENCE}</wsse:SecurityTokenReference>",
        "<wsse:SecurityTokenReference/><wsse:SecurityTokenReference/>",
    ],
    ids=[
        *("nothing", "KeyName", "KeyValue", "RetrievalMethod", "empty", "empty URI", "Embedded"),
        *("no base64", "empty X509Data", "KeyName inside", "two references", "two of them"),
    ],
)
def test_a_key_is_named_in_a_known_way(world: World, refuses: Refuses, place: str, text: str) -> None:
    """A key that the message itself brings, or names in an unknown way, is not looked for anywhere."""
    name, path = _PLACES[place]
    channel = world.channel(name)
    channel.read(channel.genuine())
    message = channel.genuine()
    message.find(path)[:] = list(element(f"<x>{text}</x>"))
    with refuses("token-reference"):
        channel.read(message)


def test_a_derived_key_says_what_it_is_derived_from(world: World, refuses: Refuses) -> None:
    """A DerivedKeyToken without a reference leaves open whose key it means."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.drop(*message.all(".//wsc:DerivedKeyToken/wsse:SecurityTokenReference"))
    with refuses("token-reference"):
        channel.read(message)


def test_a_context_nobody_knows_is_refused(world: World, refuses: Refuses) -> None:
    """An Identifier of the attacker's own invention opens nothing."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.find(".//wsc:Identifier").text = "urn:uuid:invented"
    with refuses("context"):
        channel.read(message)


@pytest.mark.parametrize("text", ["x" * 1025, ""], ids=["long", "empty"])
def test_an_identifier_has_a_length(world: World, refuses: Refuses, text: str) -> None:
    """Identifiers end up in look-ups and logs, so that they are bounded before that."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.find(".//wsc:Identifier").text = text
    with refuses("context-token"):
        channel.read(message)


def test_a_long_identifier_in_a_reference_is_refused(world: World, refuses: Refuses) -> None:
    """The same where the context is named by its Identifier instead of its token."""
    channel = world.channel("request", include=Include.NEVER)
    channel.read(channel.genuine())
    message = channel.genuine()
    for reference in message.all(f".//wsse:Reference[@URI='{MINE.identifier}']"):
        reference.set("URI", "x" * 1025)
    with refuses("context") as caught:
        channel.read(message)
    assert isinstance(caught.value, LimitExceeded)


def test_an_instance_has_a_length(world: World, refuses: Refuses) -> None:
    """The same for the name of a key."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.find(".//wsc:SecurityContextToken").append(element(f"<wsc:Instance>{'x' * 1025}</wsc:Instance>"))
    with refuses("context-token"):
        channel.read(message)


@pytest.mark.parametrize("name", ["Identifier", "Instance"])
def test_a_context_has_one_name(world: World, refuses: Refuses, name: str) -> None:
    """A token with two Identifiers or two Instances names two contexts."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    for _ in range(2):
        message.find(".//wsc:SecurityContextToken").append(element(f"<wsc:{name}>urn:x</wsc:{name}>"))
    with refuses("context-token"):
        channel.read(message)


@pytest.mark.parametrize("name", ["Identifier", "Instance"])
def test_a_processing_instruction_does_not_cut_a_name_short(
    world: World, refuses: Refuses, name: str
) -> None:
    """``<Identifier>a<?x?>b</Identifier>`` is neither a nor ab: readers would differ."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    token = message.find(".//wsc:SecurityContextToken")
    (identifier,) = token.iterchildren(f"{{{NS['wsc']}}}Identifier")
    if name == "Identifier":
        changed = element(f"<wsc:Identifier>{MINE.identifier}<?x?>evil</wsc:Identifier>")
        token.replace(identifier, changed)
    else:
        token.append(element("<wsc:Instance><?x?>evil</wsc:Instance>"))
    with refuses("context-token"):
        channel.read(message)


def test_a_token_is_looked_for_in_the_security_header_only(world: World, refuses: Refuses) -> None:
    """A token anywhere else, in the Body for example, could be application data that somebody else wrote."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    token = message.all(".//wsc:DerivedKeyToken")[0]
    message.header.append(element("<elsewhere/>"))
    message.find("soap:Header/elsewhere").append(token)
    with refuses("token"):
        channel.read(message)


@pytest.mark.parametrize("path", [".//ds:Signature/ds:KeyInfo", ".//wsc:DerivedKeyToken"])
def test_a_token_that_is_not_there_is_no_key(world: World, refuses: Refuses, path: str) -> None:
    """A reference that leads nowhere is refused, and never an internal error."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.all(f"{path}//wsse:Reference")[0].set("URI", "#nobody")
    with refuses("token"):
        channel.read(message)


def test_a_signature_key_is_a_token(world: World, refuses: Refuses) -> None:
    """A reference to something in the header that is no token, the Timestamp for example, is no key."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    name = message.timestamp.get(WSU_ID)
    message.find(".//ds:Signature/ds:KeyInfo//wsse:Reference").set("URI", f"#{name}")
    with refuses("token"):
        channel.read(message)


def test_content_is_encrypted_under_a_context_not_a_certificate(world: World, refuses: Refuses) -> None:
    """EncryptedData that names a certificate as its key names something that encrypts nothing."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    der = base64.b64encode(_der(identity("client2"))).decode()
    message.security.insert(0, _binary_token(der))
    message.find(".//xenc:EncryptedData//wsse:Reference").set("URI", "#BST-evil")
    with refuses("token"):
        channel.read(message)


@pytest.mark.parametrize("der", ["", "AAAA", "MIIB", "*"], ids=["empty", "zeros", "cut", "no base64"])
def test_a_certificate_that_cannot_be_read_is_refused(world: World, refuses: Refuses, der: str) -> None:
    """A BinarySecurityToken with garbage in it is a refused message, not an internal error."""
    channel = world.channel("rst")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.find(".//wsse:BinarySecurityToken").text = der
    with refuses("token"):
        channel.read(message)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_damaged_certificate_is_refused_or_read(world: World) -> None:
    """Certificates with octets changed at random end in an error of ours, and what is read can be looked at."""
    channel = world.channel("rst")
    channel.read(channel.genuine())
    chance, der = random.Random(20261121), _der(identity("client"))  # noqa: S311
    refused = read = 0
    for number in range(1_500):
        data = bytearray(der)
        for _ in range(chance.choice((1, 1, 2, 4))):
            data[chance.randrange(len(data))] = chance.choice((chance.randrange(256), 0, 0x30, 0x80, 0xFF))
        text = base64.b64encode(data).decode()
        try:
            certificate = read_certificates(element(_BINARY.format(text)))[-1]
        except VerificationError as error:
            refused += error.check == "token"
        else:
            read += 1
            certificates.may_sign(certificate)
            certificates.may_encrypt(certificate)
            certificates.subject_key_identifier(certificate)
            certificates.is_issued_as(certificate, certificates.issuer_name(certificate), "1")
            certificates.Trust.of([certificate])
            with contextlib.suppress(VerificationError):
                trust().check(certificate, role="client", now=NOW)
        if number % 15 == 0:
            message = channel.genuine()
            message.find(".//wsse:BinarySecurityToken").text = text
            with contextlib.suppress(SecureConversationError):
                channel.read(message)
    assert refused + read == 1_500
    assert min(refused, read) > 100


_BINARY = f'<wsse:BinarySecurityToken ValueType="{X509_V3}">{{}}</wsse:BinarySecurityToken>'
_OID = "0603551d"
_STRANGE = {
    "version 2": ("a003020102", "a003020101"),
    "version 10": ("a003020102", "a003020109"),
    "KeyUsage twice": (f"{_OID}0e", f"{_OID}0f"),
    "BasicConstraints twice": (f"{_OID}23", f"{_OID}13"),
    "another thing as names": (f"{_OID}0e", f"{_OID}11"),
    "another thing as constraints": (f"{_OID}0e", f"{_OID}1e"),
}


@pytest.mark.parametrize("strange", _STRANGE)
def test_a_strange_certificate_is_no_crash(world: World, refuses: Refuses, strange: str) -> None:
    """Anybody can send a certificate whose extensions fail only when they are looked at."""
    channel = world.channel("rst")
    channel.read(channel.genuine())
    message = channel.genuine()
    old, new = map(bytes.fromhex, _STRANGE[strange])
    der = _der(identity("client"))
    assert old in der
    message.find(".//wsse:BinarySecurityToken").text = base64.b64encode(der.replace(old, new)).decode()
    with refuses("token"):
        channel.read(message)


@pytest.mark.parametrize("attribute", ["ValueType", "EncodingType"])
def test_a_binary_token_says_that_it_is_a_certificate(world: World, refuses: Refuses, attribute: str) -> None:
    """A token of another type, such as a path or a Kerberos ticket, is not read as a certificate."""
    channel = world.channel("rst")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.find(".//wsse:BinarySecurityToken").set(attribute, "urn:other")
    with refuses("token"):
        channel.read(message)


def test_an_unknown_certificate_by_reference_is_refused(world: World, refuses: Refuses) -> None:
    """A reference to a certificate that is not in the message finds known ones only."""
    channel = world.channel("rstr")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.find(".//ds:Signature/ds:KeyInfo//ds:X509SerialNumber").text = "1"
    with refuses("signer"):
        channel.read(message)


# --------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("<ds:Signature/>", 9),
        ("<wsse11:SignatureConfirmation/>", 9),
        ("<wsc:DerivedKeyToken/>", 17),
        ("<wsc:SecurityContextToken/>", 31),
        ("<wsse:BinarySecurityToken/>", 31),
        ("<xenc:EncryptedKey/>", 31),
        ("<anything/>", 2001),
    ],
    ids=[
        "signatures",
        "confirmations",
        "derived keys",
        "contexts",
        "certificates",
        "encrypted keys",
        "elements",
    ],
)
def test_a_header_is_bounded(channel: Channel, refuses: Refuses, text: str, count: int) -> None:
    """Tokens, keys and signatures are counted before the first of them is read."""
    channel.read(channel.genuine())
    message = channel.genuine()
    message.security.extend([element(text) for _ in range(count)])
    with refuses("header-size"):
        channel.read(message)


def test_header_blocks_are_bounded(channel: Channel, refuses: Refuses) -> None:
    """The same for blocks outside wsse:Security."""
    channel.read(channel.genuine())
    message = channel.genuine()
    message.header.extend([element("<block/>") for _ in range(2001)])
    with refuses("header-size"):
        channel.read(message)


def test_a_reference_list_is_bounded(world: World, refuses: Refuses) -> None:
    """A ReferenceList may not make us decrypt without end."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    reference = message.find(".//xenc:DataReference")
    for _ in range(100):
        twin(reference)
    with refuses("reference"):
        channel.read(message)


def test_the_bounds_can_be_set(world: World, refuses: Refuses) -> None:
    """Who knows its peer can be stricter: the same message passes under the defaults."""
    world.channel("request").read(world.channel("request").genuine())
    strict = world.channel("request", limits=Limits(derived_keys=1))
    with refuses("header-size"):
        strict.read(strict.genuine())


# ---------------------------------------------------------------------------------- several headers, actors


def test_two_security_headers_are_refused(channel: Channel, refuses: Refuses) -> None:
    """Which of two headers for us counts is nobody's guess."""
    channel.read(channel.genuine())
    message = channel.genuine()
    message.header.append(element("<wsse:Security/>"))
    with refuses("security-header"):
        channel.read(message)


def test_a_security_header_for_another_actor_is_not_ours(channel: Channel, refuses: Refuses) -> None:
    """Nothing in a header that is meant for somebody else secures a message for us, nor does it get in the way."""
    honest = channel.genuine()
    honest.header.insert(
        0, element('<wsse:Security soap:actor="urn:somebody"><ds:Signature/></wsse:Security>')
    )
    channel.read(honest)
    message = channel.genuine()
    message.security.set(f"{{{NS['soap']}}}actor", "urn:somebody")
    with refuses("security-header"):
        channel.read(message)


def test_a_second_header_with_an_actor_does_not_bring_tokens(world: World, refuses: Refuses) -> None:
    """Keys and signatures are taken from our header alone, not from one beside it."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.header.insert(0, element('<wsse:Security soap:actor="urn:somebody"/>'))
    message.all("soap:Header/wsse:Security")[0].append(message.all(".//wsc:DerivedKeyToken")[0])
    with refuses("token"):
        channel.read(message)


def _der(holder: Identity) -> bytes:
    return holder.certificate.public_bytes(Encoding.DER)


def _binary_token(der: str) -> etree._Element:
    return element(
        '<wsse:BinarySecurityToken wsu:Id="BST-evil" ValueType="http://docs.oasis-open.org/wss/2004/01/'
        f'oasis-200401-wss-x509-token-profile-1.0#X509v3">{der}</wsse:BinarySecurityToken>'
    )
