"""Signatures by the wrong key, with the wrong algorithms, or over something else than it seems."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from tests.attacks.conftest import Refuses
from tests.attacks.forge import (
    EARLIER,
    EVIL,
    MINE,
    NS,
    THEIRS,
    WSU_ID,
    Channel,
    Message,
    World,
    element,
    exchange,
    hmac_of,
    rsa,
    sign_as,
    twin,
)
from tests.unit.parties import CLIENT, SERVER, identity
from zeep_secureconv import Identity, Trust
from zeep_secureconv.names import DS, DSIG_MORE, EXC_C14N
from zeep_secureconv.policy.model import DerivedKeys, Include, Parts, X509Token
from zeep_secureconv.policy.suites import HMAC_SHA1, RSA_SHA1
from zeep_secureconv.wss import signature
from zeep_secureconv.wss.c14n import canonicalize
from zeep_secureconv.wss.keys import ContextKey

Tamper = Callable[[Message], None]


# ------------------------------------------------------------------------------------------- other keys


@pytest.mark.parametrize("other", [THEIRS, EARLIER], ids=["another context", "another instance"])
def test_a_reply_under_another_context_is_refused(world: World, refuses: Refuses, other: ContextKey) -> None:
    """Only the context and instance that the request used can answer it, also when the key is a real one."""
    channel = world.channel("reply")
    channel.read(channel.genuine())
    foreign = channel.but(sender=replace(channel.sender, context=other))
    foreign.but(reader=replace(channel.reader, context=other)).read(foreign.genuine())
    with refuses("context"):
        channel.read(foreign.genuine())


def test_a_body_signed_under_one_context_does_not_count_for_another(world: World, refuses: Refuses) -> None:
    """A message that names the victim's context and is signed with the attacker's own key does not verify."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    attacker = channel.but(sender=replace(channel.sender, context=THEIRS))
    attacker.read(attacker.genuine())
    message = attacker.genuine()
    for identifier in message.all(".//wsc:Identifier"):
        identifier.text = MINE.identifier
    with refuses("signature"):
        channel.read(message)


def test_two_contexts_in_one_message_are_refused(world: World, refuses: Refuses) -> None:
    """A client cannot have the service decrypt a captured ciphertext of another client for it.

    The policy encrypts before it signs, so that the attacker can sign the captured ciphertext as its own.
    """
    channel = world.channel("request", encrypt_before_signing=True)
    attacker = channel.but(sender=replace(channel.sender, context=THEIRS))
    attacker.read(attacker.genuine())
    captured, message = channel.genuine(), attacker.genuine(EVIL)
    victims_key = captured.all(".//wsc:DerivedKeyToken")[0]
    victims_token = captured.find(".//wsc:SecurityContextToken")
    victims_token.set(WSU_ID, "victim")
    captured.all(".//wsc:DerivedKeyToken//wsse:Reference")[0].set("URI", "#victim")
    message.security.insert(1, victims_token)
    message.security.insert(2, victims_key)
    theirs, own = captured.find("soap:Body/xenc:EncryptedData"), message.find("soap:Body/xenc:EncryptedData")
    exchange(own, theirs)
    message.find(".//xenc:DataReference").set("URI", "#" + theirs.get("Id", ""))
    message.digest_again(message.body)
    message.sign_again(hmac_of(message, THEIRS))
    with refuses("context"):
        channel.read(message)


@pytest.mark.parametrize("name", ["rst", "rstr"])
def test_a_stranger_with_a_certificate_of_its_own_is_refused(
    world: World, refuses: Refuses, name: str, stranger: Identity
) -> None:
    """A certificate that the trusted CA did not issue proves nothing, on either side."""
    channel = world.channel(name)
    channel.read(channel.genuine())
    evil = channel.but(sender=replace(channel.sender, signing=stranger))
    with refuses("certificate" if name == "rst" else "signer"):
        channel.read(evil.genuine())


@pytest.fixture
def stranger() -> Identity:
    """A self-signed certificate that calls itself the server."""
    return SERVER.but(issuer=None, key=None, name="stranger").identity()


def test_a_client_of_the_same_ca_cannot_sign_for_the_server(world: World, refuses: Refuses) -> None:
    """Trust in the CA is necessary and never sufficient: the signer must be the certificate of the server."""
    channel = world.channel("rstr")
    channel.read(channel.genuine())
    evil = channel.but(sender=replace(channel.sender, signing=identity("client2")))
    with refuses("signer"):
        channel.read(evil.genuine())


def test_a_certificate_that_comes_along_must_be_the_servers_too(world: World, refuses: Refuses) -> None:
    """The same where the answer brings the certificate that it is signed with: it is found, and not believed."""
    channel = world.channel("rstr", recipient=X509Token(include=Include.ALWAYS))
    channel.read(channel.genuine())
    evil = channel.but(sender=replace(channel.sender, signing=identity("client2")))
    with refuses("signer"):
        channel.read(evil.genuine())


@pytest.mark.parametrize("pinned", [False, True], ids=["issued", "pinned"])
def test_an_expired_certificate_proves_nothing(world: World, refuses: Refuses, pinned: bool) -> None:
    """Whether a CA vouches for it or it is trusted by itself: a certificate is good for as long as it says."""
    channel = world.channel("rst")
    if pinned:
        pins = Trust.of([identity("client").certificate])
        channel = channel.but(reader=replace(channel.reader, trust=pins))
    channel.read(channel.genuine())
    world.time.forward(timedelta(days=1, minutes=1))
    with refuses("certificate"):
        channel.read(channel.genuine())


def test_a_certificate_beside_the_pins_proves_nothing(world: World, refuses: Refuses) -> None:
    """Who trusts single certificates trusts no other, not even one of the same CA."""
    channel = world.channel("rst")
    pins = Trust.of([identity("client").certificate])
    channel = channel.but(reader=replace(channel.reader, trust=pins))
    channel.read(channel.genuine())
    with refuses("certificate"):
        channel.read(channel.but(sender=replace(channel.sender, signing=identity("client2"))).genuine())


def test_a_certificate_for_encryption_signs_nothing(world: World, refuses: Refuses) -> None:
    """KeyUsage is obeyed where it is there, on the reader's side too."""
    channel = world.channel("rst", encrypted=Parts())
    for usage, allowed in (("digital_signature", True), ("key_encipherment", False)):
        message = channel.genuine()
        sign_as(message, CLIENT.but(usage=frozenset({usage})).identity())
        if allowed:
            assert channel.read(message).signer is not None
        else:
            with refuses("signer"):
                channel.read(message)


def test_a_signature_by_a_certificate_does_not_replace_the_context(world: World, refuses: Refuses) -> None:
    """Under a SymmetricBinding nobody is believed for having a certificate, not even the real server's."""
    channel = world.channel("reply", encrypted=Parts())
    channel.read(channel.genuine())
    message = channel.genuine()
    sign_as(message, identity("server"))
    with refuses("signature-missing"):
        channel.read(message)


def test_a_second_signature_leaves_open_who_sent_the_message(world: World, refuses: Refuses) -> None:
    """An attacker cannot add its own signature, by a certificate that the service trusts, to another's request."""
    channel = world.channel("rst", encrypted=Parts())
    channel.read(channel.genuine())
    message = channel.genuine()
    twin(message.signature).set("Id", "second")
    second = message.all(".//ds:Signature")[1]
    sign_as(message, identity("client2"), second)
    with refuses("signature-missing"):
        channel.read(message)


def test_a_second_signature_by_the_context_is_one_too_many(world: World, refuses: Refuses) -> None:
    """Two signatures by the same context leave open which of them covers what the policy demands."""
    channel = world.channel("request", encrypted=Parts())
    channel.read(channel.genuine())
    message = channel.genuine()
    second = twin(message.signature)
    second.set("Id", "second")
    info = second.find("ds:SignedInfo", NS)
    assert info is not None
    del info[2:-1]
    value = second.find("ds:SignatureValue", NS)
    assert value is not None
    value.text = base64.b64encode(hmac_of(message, MINE)(canonicalize(info))).decode()
    with refuses("signature-missing"):
        channel.read(message)


def test_a_removed_signature_is_missed(channel: Channel, refuses: Refuses) -> None:
    """A message whose signature was cut out is not one that needs none."""
    channel.read(channel.genuine())
    message = channel.genuine()
    with refuses("signature-missing"):
        channel.read(message.drop(message.signature))


def test_a_removed_security_header_is_missed(channel: Channel, refuses: Refuses) -> None:
    """A message whose wsse:Security was cut out is refused; the Body may even be in the clear."""
    channel.read(channel.genuine())
    message = channel.genuine()
    with refuses("security-header"):
        channel.read(message.drop(message.security))


def test_a_removed_header_is_missed(channel: Channel, refuses: Refuses) -> None:
    """A message without any Header has no security either."""
    channel.read(channel.genuine())
    message = channel.genuine()
    with refuses("security-header"):
        channel.read(message.drop(message.header))


# ------------------------------------------------------------------------------------ foreign algorithms


def _method(algorithm: str) -> Tamper:
    def tamper(message: Message) -> None:
        message.find(".//ds:SignatureMethod").set("Algorithm", algorithm)

    return tamper


def _output_length(bits: int) -> Tamper:
    def tamper(message: Message) -> None:
        message.find(".//ds:SignatureMethod").append(
            element(f"<ds:HMACOutputLength>{bits}</ds:HMACOutputLength>")
        )

    return tamper


def _digest_method(algorithm: str) -> Tamper:
    def tamper(message: Message) -> None:
        message.reference_to(message.body)[1].set("Algorithm", algorithm)

    return tamper


def _digest_parameter(message: Message) -> None:
    method = message.reference_to(message.body).find("ds:DigestMethod", NS)
    assert method is not None
    method.append(element("<ds:Parameter/>"))


@pytest.mark.parametrize(
    "tamper",
    [
        _method(f"{DSIG_MORE}hmac-md5"),
        _method(f"{DSIG_MORE}rsa-md5"),
        _method(f"{DSIG_MORE}hmac-sha256"),
        _method(f"{DS}dsa-sha1"),
        _method(""),
        _method("urn:none"),
        _output_length(0),
        _output_length(8),
        _output_length(80),
        _output_length(160),
        _digest_method(f"{DSIG_MORE}md5"),
        _digest_method("http://www.w3.org/2001/04/xmlenc#sha256"),
        _digest_method(""),
        _digest_parameter,
    ],
    ids=[
        *("hmac-md5", "rsa-md5", "hmac-sha256", "dsa", "no signature method", "unknown"),
        *("HMACOutputLength 0", "HMACOutputLength 8", "HMACOutputLength 80", "HMACOutputLength 160"),
        *("digest md5", "digest sha256", "no digest method", "digest with a parameter"),
    ],
)
def test_an_algorithm_that_the_policy_does_not_name_is_refused(
    channel: Channel, refuses: Refuses, tamper: Tamper
) -> None:
    """The suite of the policy decides, not what the message says; HMACOutputLength is refused at any length."""
    channel.read(channel.genuine())
    message = channel.genuine()
    tamper(message)
    with refuses("algorithm"):
        channel.read(channel.sign(message))


def test_a_public_key_is_no_hmac_key(world: World, refuses: Refuses) -> None:
    """The signer's certificate, which everybody has, used as the secret of an HMAC does not verify."""
    channel = world.channel("rstr", encrypted=Parts())
    channel.read(channel.genuine())
    certificate = identity("server").certificate
    for key in (
        certificate.public_bytes(Encoding.DER),
        certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ):
        message = channel.genuine(EVIL)
        _method(HMAC_SHA1)(message)
        message.sign_again(partial(signature.mac, HMAC_SHA1, key))
        with refuses("algorithm"):
            channel.read(message)


def test_a_context_is_no_rsa_key(world: World, refuses: Refuses) -> None:
    """An RSA signature value is not even looked at where the key is that of a context."""
    channel = world.channel("reply", encrypted=Parts())
    channel.read(channel.genuine())
    message = channel.genuine(EVIL)
    _method(RSA_SHA1)(message)
    message.sign_again(rsa(identity("server")))
    with refuses("algorithm"):
        channel.read(message)


# --------------------------------------------------------------------- what a reference may look like


def _transform(algorithm: str) -> Tamper:
    def tamper(message: Message) -> None:
        transform = message.reference_to(message.body).find(".//ds:Transform", NS)
        assert transform is not None
        transform.set("Algorithm", algorithm)

    return tamper


def _further_transform(text: str, *, first: bool = True) -> Tamper:
    def tamper(message: Message) -> None:
        transforms = message.reference_to(message.body).find("ds:Transforms", NS)
        assert transforms is not None
        transforms.insert(0 if first else 1, element(text))

    return tamper


def _no_transforms(message: Message) -> None:
    reference = message.reference_to(message.body)
    reference.remove(reference[0])


def _empty_transforms(message: Message) -> None:
    message.reference_to(message.body)[0][:] = []


def _no_children(message: Message) -> None:
    message.reference_to(message.body)[:] = []


def _other_element(message: Message) -> None:
    message.reference_to(message.body)[0][:] = [element(f'<ds:Transformation Algorithm="{EXC_C14N}"/>')]


_XPATH = '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>1=0</ds:XPath></ds:Transform>'
_XSLT = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><x:stylesheet '
    'xmlns:x="http://www.w3.org/1999/XSL/Transform" version="1.0"/></ds:Transform>'
)
_STR = (
    '<ds:Transform Algorithm="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0'
    '#STR-Transform"/>'
)


@pytest.mark.parametrize(
    "tamper",
    [
        _transform("http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
        _transform("http://www.w3.org/2006/12/xml-c14n11"),
        _transform(f"{EXC_C14N}WithComments"),
        _transform(f"{DS}base64"),
        _transform(f"{DS}enveloped-signature"),
        _transform(""),
        _no_transforms,
        _empty_transforms,
        _further_transform(f'<ds:Transform Algorithm="{DS}enveloped-signature"/>'),
        _further_transform(f'<ds:Transform Algorithm="{EXC_C14N}"/>'),
        _further_transform(_XPATH),
        _further_transform(_XPATH, first=False),
        _further_transform(_XSLT),
        _further_transform(_XSLT, first=False),
        _further_transform(_STR),
        _no_children,
        _other_element,
    ],
    ids=[
        *("inclusive", "c14n 1.1", "with comments", "base64", "enveloped", "no algorithm", "no Transforms"),
        *("empty Transforms", "enveloped first", "two", "XPath first", "XPath second", "XSLT first"),
        *("XSLT second", "STR-Transform", "empty Reference", "another element"),
    ],
)
def test_only_exclusive_canonicalization_is_a_transform(
    channel: Channel, refuses: Refuses, tamper: Tamper
) -> None:
    """Anything else could let a signature cover less than it names, also when the real key signs it."""
    channel.read(channel.genuine())
    message = channel.genuine()
    tamper(message)
    with refuses("transform"):
        channel.read(channel.sign(message))


def _canonicalization(algorithm: str) -> Tamper:
    def tamper(message: Message) -> None:
        message.find(".//ds:CanonicalizationMethod").set("Algorithm", algorithm)

    return tamper


def _canonicalization_parameter(message: Message) -> None:
    message.find(".//ds:CanonicalizationMethod").append(element("<ds:XPath>1=0</ds:XPath>"))


def _two_prefix_lists(message: Message) -> None:
    for _ in range(2):
        message.find(".//ds:CanonicalizationMethod").append(
            element(f'<ec:InclusiveNamespaces xmlns:ec="{EXC_C14N}" PrefixList="soap"/>')
        )


def _transform_parameter(message: Message) -> None:
    transform = message.reference_to(message.body).find(".//ds:Transform", NS)
    assert transform is not None
    transform.append(element("<ds:XPath>1=0</ds:XPath>"))


def _long_prefix_list(message: Message) -> None:
    names = " ".join(f"p{number}" for number in range(101))
    message.find(".//ds:CanonicalizationMethod").append(
        element(f'<ec:InclusiveNamespaces xmlns:ec="{EXC_C14N}" PrefixList="{names}"/>')
    )


@pytest.mark.parametrize(
    "tamper",
    [
        _canonicalization("http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
        _canonicalization(f"{EXC_C14N}WithComments"),
        _canonicalization(""),
        _canonicalization_parameter,
        _two_prefix_lists,
        _transform_parameter,
        _long_prefix_list,
    ],
    ids=["inclusive", "with comments", "none", "parameter", "two lists", "of a transform", "long list"],
)
def test_the_canonicalization_has_one_form(channel: Channel, refuses: Refuses, tamper: Tamper) -> None:
    """SignedInfo and every part are canonicalized in the one way that the suite names, with a short PrefixList."""
    channel.read(channel.genuine())
    message = channel.genuine()
    tamper(message)
    with refuses("canonicalization"):
        channel.read(channel.sign(message))


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "#",
        None,
        "http://127.0.0.1:9/evil",
        "https://example.org/evil.xml#id",
        "file:///etc/hostname",
        "/etc/hostname",
        "etc/hostname",
        "../evil.xml#id",
        "cid:attachment",
        "#xpointer(/)",
        "#xpointer(id('x'))",
        "#element(/1/2)",
        "#nobody",
        "# ",
    ],
)
def test_a_reference_names_an_element_of_this_message(
    channel: Channel, refuses: Refuses, uri: str | None
) -> None:
    """Nothing outside the message is read, whatever the URI of a reference, and the whole document is no part."""
    channel.read(channel.genuine())
    message = channel.genuine()
    reference = message.reference_to(message.body)
    if uri is None:
        del reference.attrib["URI"]
    else:
        reference.set("URI", uri)
    with refuses("reference"):
        channel.read(channel.sign(message))


def test_too_many_references_are_refused(channel: Channel, refuses: Refuses) -> None:
    """A signature may not make us canonicalize the same part over and over."""
    channel.read(channel.genuine())
    message = channel.genuine()
    reference = message.reference_to(message.body)
    for _ in range(100):
        twin(reference)
    with refuses("reference"):
        channel.read(channel.sign(message))


def test_a_signature_over_nothing_is_refused(channel: Channel, refuses: Refuses) -> None:
    """A SignedInfo without references verifies, and proves nothing."""
    channel.read(channel.genuine())
    message = channel.genuine()
    message.drop(*message.all(".//ds:Reference"))
    with refuses("signature-form"):
        channel.read(channel.sign(message))


@pytest.mark.parametrize(
    "path",
    [
        ".//ds:SignedInfo",
        ".//ds:SignatureValue",
        ".//ds:Signature/ds:KeyInfo",
        ".//ds:CanonicalizationMethod",
        ".//ds:SignatureMethod",
        ".//ds:Reference[1]/ds:DigestMethod",
        ".//ds:Reference[1]/ds:DigestValue",
    ],
)
@pytest.mark.parametrize("change", ["twice", "missing"])
def test_each_piece_of_a_signature_stands_once(
    channel: Channel, refuses: Refuses, path: str, change: str
) -> None:
    """A second SignedInfo, value or method would let two readers take two meanings from one signature."""
    channel.read(channel.genuine())
    message = channel.genuine()
    piece = message.find(path)
    if change == "twice":
        twin(piece)
    else:
        message.drop(piece)
    with refuses("signature-form"):
        channel.read(message)


@pytest.mark.parametrize("text", ["", "%%%", "AAA", "é", "AAAA<?x?>AAAA"])
@pytest.mark.parametrize("path", [".//ds:SignatureValue", ".//ds:Reference[1]/ds:DigestValue"])
def test_a_value_that_is_not_base64_is_refused(
    channel: Channel, refuses: Refuses, path: str, text: str
) -> None:
    """What cannot be read is refused, and not taken for another value; a PI does not cut a value short."""
    channel.read(channel.genuine())
    message = channel.genuine()
    value = message.find(path)
    changed = element(f"<x>{text}</x>")
    value.text, value[:] = changed.text, list(changed)
    empty = not text
    check = "signature-form"
    if empty:
        check = "signature" if "SignatureValue" in path else "digest"
    with refuses(check):
        channel.read(message if "SignatureValue" in path else channel.sign(message))


@pytest.mark.parametrize("change", ["shorter", "longer", "led by a zero", "flipped"])
def test_a_signature_value_has_one_form(channel: Channel, refuses: Refuses, change: str) -> None:
    """No truncated, padded or otherwise changed value verifies, which would also slip past the replay memory."""
    channel.read(channel.genuine())
    message = channel.genuine()
    value = message.find(".//ds:SignatureValue")
    octets = base64.b64decode(value.text or "")
    changed = {
        "shorter": octets[:-1],
        "longer": octets + b"\0",
        "led by a zero": b"\0" + octets,
        "flipped": bytes([octets[0] ^ 1]) + octets[1:],
    }[change]
    value.text = base64.b64encode(changed).decode()
    with refuses("signature"):
        channel.read(message)


def test_a_changed_signed_info_is_noticed(channel: Channel, refuses: Refuses) -> None:
    """A digest that was exchanged in SignedInfo breaks the signature value."""
    channel.read(channel.genuine())
    message = channel.genuine()
    message.digest_again(message.timestamp)
    message.find(".//ds:Reference[1]/ds:DigestValue").text = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
    with refuses("signature"):
        channel.read(message)


@pytest.mark.parametrize(
    "path", ["soap:Body/e:echo/e:text", "soap:Header/wsa:Action", "soap:Header/wsse:Security/wsu:Timestamp"]
)
def test_a_changed_part_is_noticed(open_channel: Channel, refuses: Refuses, path: str) -> None:
    """A signed part with another content has another digest."""
    open_channel.read(open_channel.genuine())
    message = open_channel.genuine()
    (part,) = message.envelope.xpath(path, namespaces={**NS, "e": "urn:test"})
    part.set("changed", "1")
    with refuses("digest"):
        open_channel.read(message)


# ---------------------------------------------------------------------------------------- derived keys


def _signing_token(message: Message) -> etree._Element:
    (uri,) = message.signature.xpath("ds:KeyInfo//wsse:Reference/@URI", namespaces=NS)
    return message.find(f".//*[@wsu:Id='{str(uri)[1:]}']")


def _set(name: str, text: str) -> Tamper:
    def tamper(message: Message) -> None:
        child = _signing_token(message).find(f"wsc:{name}", NS)
        assert child is not None
        child.text = text

    return tamper


def _by_another_algorithm(message: Message) -> None:
    _signing_token(message).set("Algorithm", "urn:another")


def _add(text: str) -> Tamper:
    def tamper(message: Message) -> None:
        _signing_token(message).append(element(text))

    return tamper


@pytest.mark.parametrize(
    "tamper",
    [
        _set("Length", "65"),
        _set("Length", "999999999"),
        _set("Length", "9" * 30),
        _set("Length", "9" * 5000),
        _set("Length", "-1"),
        _set("Length", "0"),
        _set("Length", "²"),
        _set("Length", ""),
        _set("Offset", "1025"),
        _set("Offset", "999999999"),
        _set("Offset", "-1"),
        _set("Nonce", ""),
        _set("Nonce", "*"),
        _set("Nonce", base64.b64encode(bytes(129)).decode()),
        _add("<wsc:Nonce>AAAA</wsc:Nonce>"),
        _add("<wsc:Label>" + "x" * 129 + "</wsc:Label>"),
        _add("<wsc:Generation>1</wsc:Generation>"),
        _add("<wsc:Properties/>"),
        _add("<wsc:Length>16</wsc:Length>"),
        _add('<x xmlns="urn:other"/>'),
        _by_another_algorithm,
    ],
)
def test_a_derived_key_stays_within_bounds(world: World, refuses: Refuses, tamper: Tamper) -> None:
    """No short key that could be guessed, no long or far one that costs, nothing that could be read in two ways."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    tamper(message)
    with refuses("derived-key"):
        channel.read(message)


def _spoilt(message: Message) -> Message:
    """With a ciphertext that does not decrypt, so that it shows whether somebody tried."""
    message.find("soap:Body/xenc:EncryptedData//xenc:CipherValue").text = "AAAA"
    return message


@pytest.mark.parametrize("hidden", [False, True], ids=["clear", "hidden"])
def test_nothing_is_decrypted_for_a_guessed_key(world: World, refuses: Refuses, hidden: bool) -> None:
    """Who signs with a key of one byte guesses it soon, and may then not ask what ciphertexts decrypt to."""
    channel = world.channel("request", encrypt_signature=hidden)
    channel.read(channel.genuine())
    with refuses("decryption"):
        channel.read(_spoilt(channel.genuine()))
    assert channel.policy.binding is not None
    weak = replace(channel.policy.binding.algorithm_suite, signature_key_length=1)
    with refuses("derived-key"):
        channel.read(_spoilt(channel.bound(algorithm_suite=weak).genuine()))


def test_nothing_is_decrypted_for_a_certificate(world: World, refuses: Refuses) -> None:
    """Nor for somebody whom the service trusts, and who is no party of the context."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = _spoilt(channel.genuine())
    sign_as(message, identity("client2"))
    with refuses("signature-missing"):
        channel.read(message)


def test_a_context_key_has_the_length_of_the_suite(world: World, refuses: Refuses) -> None:
    """A context of another policy, with a shorter key than this one's suite allows, does not secure its messages."""
    channel = world.channel("reply", suite="Basic256")
    channel.read(channel.genuine())
    short = replace(MINE, secret=MINE.secret[:31])
    weak = channel.but(
        sender=replace(channel.sender, context=short), reader=replace(channel.reader, context=short)
    )
    with refuses("context"):
        weak.read(weak.genuine())


@pytest.mark.parametrize("length", [1, 8, 15])
def test_a_key_that_could_be_guessed_does_not_sign(world: World, refuses: Refuses, length: int) -> None:
    """A derived key shorter than the suite's is refused, before anything is decrypted, also when it is right."""
    channel = world.channel("request", encrypted=Parts())
    channel.read(channel.genuine())
    message = channel.genuine(EVIL)
    _set("Length", str(length))(message)
    with refuses("derived-key"):
        channel.read(channel.sign(message))


@pytest.mark.parametrize(
    ("asked", "given"),
    [(DerivedKeys.EXPLICIT, DerivedKeys.NONE), (DerivedKeys.NONE, DerivedKeys.EXPLICIT)],
    ids=["raw key", "derived key"],
)
def test_keys_are_made_as_the_policy_says(
    world: World, refuses: Refuses, asked: DerivedKeys, given: DerivedKeys
) -> None:
    """The raw key of the context is no key where the policy wants derived ones, and the reverse."""
    for encrypted in (Parts(), Parts(body=True)):
        channel = world.channel("request", derived_keys=asked, encrypted=encrypted)
        other = world.channel("request", derived_keys=given, encrypted=encrypted)
        other.read(other.genuine())
        with refuses("derived-key"):
            channel.read(other.genuine())


def test_a_key_for_encryption_is_made_as_the_policy_says(world: World, refuses: Refuses) -> None:
    """The same for the key of the ciphertext alone, with a signature as it should be."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    token = message.find(".//wsc:SecurityContextToken").get(WSU_ID)
    message.find(".//xenc:EncryptedData//wsse:Reference").set("URI", f"#{token}")
    with refuses("derived-key"):
        channel.read(message)


def test_a_derived_key_comes_from_a_context(world: World, refuses: Refuses) -> None:
    """A key derived from another derived key, from a Timestamp or from a certificate is not supported."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    for source in ("wsu:Timestamp", "wsc:DerivedKeyToken[1]"):
        message = channel.genuine()
        name = message.find(f".//wsse:Security/{source}").get(WSU_ID)
        reference = _signing_token(message).find(".//wsse:Reference", NS)
        assert reference is not None
        reference.set("URI", f"#{name}")
        with refuses("derived-key"):
            channel.read(message)
    message = channel.genuine()
    _signing_token(message)[0][:] = [
        element(
            '<wsse:KeyIdentifier ValueType="http://docs.oasis-open.org/wss/2004/01/'
            'oasis-200401-wss-x509-token-profile-1.0#X509SubjectKeyIdentifier">AAAA</wsse:KeyIdentifier>'
        )
    ]
    with refuses("derived-key"):
        channel.read(message)
