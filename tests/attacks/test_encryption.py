"""Ciphertext that is missing, foreign, hidden or changed, and what its decryption may tell."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from lxml import etree

from tests.attacks.conftest import Refuses
from tests.attacks.forge import (
    EVIL,
    MINE,
    NS,
    PLAINTEXT,
    WSU_ID,
    Channel,
    Message,
    World,
    derived,
    element,
    encrypted_data,
    exchange,
    wrap,
    wrapped_key,
)
from zeep_secureconv import Identity, VerificationError
from zeep_secureconv.names import XENC, XENC11
from zeep_secureconv.policy.model import HeaderPart, Parts
from zeep_secureconv.policy.suites import HMAC_SHA1
from zeep_secureconv.wss import signature
from zeep_secureconv.wss.encryption import decryption_failed
from zeep_secureconv.wss.seen import SeenSignatures

Tamper = Callable[[Message], None]

ADDRESSING = HeaderPart(namespace=NS["wsa"])


# ------------------------------------------------------------------------- what the policy demands


def test_a_body_in_the_clear_is_refused_where_the_policy_encrypts(channel: Channel, refuses: Refuses) -> None:
    """Signed by the real key and readable for everybody on the way: that is less than was agreed."""
    channel.read(channel.genuine())
    careless = channel.but(policy=replace(channel.policy, encrypted=Parts()))
    careless.read(careless.genuine())
    with refuses("encrypted-parts"):
        channel.read(careless.genuine())


def test_a_header_in_the_clear_is_refused_where_the_policy_encrypts_it(
    world: World, refuses: Refuses
) -> None:
    """The same for header blocks."""
    both = Parts(body=True, headers=(replace(ADDRESSING, name="To"),))
    channel = world.channel("request", encrypted=both)
    channel.read(channel.genuine())
    careless = world.channel("request")
    with refuses("encrypted-parts"):
        channel.read(careless.genuine())


def test_a_signature_in_the_clear_is_refused_where_the_policy_encrypts_it(
    channel: Channel, refuses: Refuses
) -> None:
    """A signature in the clear lets everybody confirm a guess at the Body."""
    strict = channel.bound(encrypt_signature=True)
    strict.read(strict.genuine())
    with refuses("encrypted-parts"):
        strict.read(channel.genuine())


def test_part_of_a_body_is_not_the_body(world: World, refuses: Refuses) -> None:
    """Encrypted content beside content in the clear does not count as an encrypted Body."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.body.append(element(EVIL))
    with refuses("encryption-form"):
        channel.read(message)


@pytest.mark.parametrize("order", ["sign first", "encrypt first"])
def test_signing_and_encryption_are_in_the_order_of_the_policy(
    channel: Channel, refuses: Refuses, order: str
) -> None:
    """Neither order passes for the other: each binds the plaintext to its signer in another way."""
    other = channel.bound(encrypt_before_signing=True)
    channel.read(channel.genuine())
    other.read(other.genuine())
    reader, writer = (channel, other) if order == "sign first" else (other, channel)
    with refuses("protection-order"):
        reader.read(writer.genuine())


def test_a_message_cannot_be_decrypted_after_its_digests_were_compared(
    world: World, refuses: Refuses
) -> None:
    """A ReferenceList that was moved behind the Signature would change what was verified already."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.security.append(message.find(".//xenc:ReferenceList"))
    with refuses("digest"):
        channel.read(message)


# --------------------------------------------------------------------------------- foreign algorithms


def _cipher(algorithm: str) -> Tamper:
    def tamper(message: Message) -> None:
        message.find(".//xenc:EncryptedData/xenc:EncryptionMethod").set("Algorithm", algorithm)

    return tamper


def _cipher_parameter(message: Message) -> None:
    message.find(".//xenc:EncryptedData/xenc:EncryptionMethod").append(
        element("<xenc:KeySize>8</xenc:KeySize>")
    )


@pytest.mark.parametrize(
    "tamper",
    [
        _cipher(f"{XENC}aes256-cbc"),
        _cipher(f"{XENC}tripledes-cbc"),
        _cipher(f"{XENC11}aes128-gcm"),
        _cipher("urn:null"),
        _cipher(""),
        _cipher_parameter,
    ],
    ids=["another length", "tripledes", "gcm", "null", "none", "parameter"],
)
def test_a_cipher_that_the_policy_does_not_name_is_refused(
    channel: Channel, refuses: Refuses, tamper: Tamper
) -> None:
    """Neither a weaker cipher nor one for which the same key means something else."""
    channel.read(channel.genuine())
    message = channel.genuine()
    tamper(message)
    with refuses("algorithm"):
        channel.read(message)


def _transport(algorithm: str) -> Tamper:
    def tamper(message: Message) -> None:
        message.find(".//xenc:EncryptedKey/xenc:EncryptionMethod").set("Algorithm", algorithm)

    return tamper


def _transport_parameter(text: str) -> Tamper:
    def tamper(message: Message) -> None:
        message.find(".//xenc:EncryptedKey/xenc:EncryptionMethod").append(element(text))

    return tamper


@pytest.mark.parametrize("name", ["rst", "rstr"])
@pytest.mark.parametrize(
    "tamper",
    [
        _transport(f"{XENC}rsa-1_5"),
        _transport(f"{XENC11}rsa-oaep"),
        _transport(f"{XENC}kw-aes128"),
        _transport(""),
        _transport_parameter("<xenc:OAEPparams>AAAA</xenc:OAEPparams>"),
        _transport_parameter('<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'),
        _transport_parameter(f'<x:MGF xmlns:x="{XENC11}" Algorithm="{XENC11}mgf1sha1"/>'),
        _transport_parameter("<?x?>"),
    ],
    ids=["rsa-1_5", "rsa-oaep 1.1", "kw-aes128", "none", "OAEPparams", "sha256", "MGF", "instruction"],
)
def test_a_key_transport_that_the_policy_does_not_name_is_refused(
    world: World, refuses: Refuses, name: str, tamper: Tamper
) -> None:
    """RSA 1.5 above all: the same key would answer Bleichenbacher's questions about OAEP ciphertexts."""
    channel = world.channel(name)
    channel.read(channel.genuine())
    message = channel.genuine()
    tamper(message)
    with refuses("algorithm"):
        channel.read(message)


def test_rsa_15_has_no_parameters(world: World, refuses: Refuses) -> None:
    """Where the policy has RSA 1.5 a digest makes no sense; where it has OAEP the one of the standard is taken."""
    digest = _transport_parameter(f'<ds:DigestMethod Algorithm="{NS["ds"]}sha1"/>')
    for suite in ("Basic128", "Basic128Rsa15"):
        channel = world.channel("rst", suite=suite)
        channel.read(channel.genuine())
        message = channel.genuine()
        digest(message)
        if suite == "Basic128":
            channel.read(message)
        else:
            with refuses("algorithm"):
                channel.read(message)


def test_who_has_no_key_decrypts_nothing(world: World, refuses: Refuses) -> None:
    """A reader without a certificate of its own refuses what is encrypted to one."""
    channel = world.channel("rst")
    channel.read(channel.genuine())
    keyless = channel.but(reader=replace(channel.reader, decrypting=None))
    with refuses("encrypted-key"):
        keyless.read(channel.genuine())


@pytest.mark.parametrize("name", ["rst", "rstr"])
def test_a_key_for_somebody_else_is_not_tried(world: World, refuses: Refuses, name: str) -> None:
    """An EncryptedKey that names another certificate than ours is not opened with ours."""
    channel = world.channel(name)
    channel.read(channel.genuine())
    message = channel.genuine()
    message.find(".//xenc:EncryptedKey//ds:X509SerialNumber").text = "1"
    with refuses("encrypted-key"):
        channel.read(message)


# ----------------------------------------------------------------------------- what is read, and where


@pytest.mark.parametrize(
    "text",
    [
        '<xenc:CipherReference URI="http://127.0.0.1:9/evil"/>',
        '<xenc:CipherReference URI="file:///etc/hostname"/>',
        '<xenc:CipherReference URI="#elsewhere"/>',
        "<xenc:CipherValue>*</xenc:CipherValue>",
        "<xenc:CipherValue>AAAA<x/></xenc:CipherValue>",
        "<xenc:CipherValue>AA<?x?>AA</xenc:CipherValue>",
        "<xenc:CipherValue/><xenc:CipherValue/>",
        "",
    ],
    ids=["http", "file", "here", "no base64", "element", "instruction", "two", "nothing"],
)
@pytest.mark.parametrize("of", ["EncryptedData", "EncryptedKey"])
def test_ciphertext_stands_in_the_message(world: World, refuses: Refuses, text: str, of: str) -> None:
    """A CipherReference is not followed anywhere, and a CipherValue holds base64 and nothing else."""
    channel = world.channel("rst")
    channel.read(channel.genuine())
    message = channel.genuine()
    message.find(f".//xenc:{of}/xenc:CipherData")[:] = list(element(f"<x>{text}</x>"))
    with refuses("encryption-form"):
        channel.read(message)


@pytest.mark.parametrize("kind", ["", "http://www.w3.org/2001/04/xmlenc#Element", "urn:other"])
def test_a_body_is_encrypted_as_content(channel: Channel, refuses: Refuses, kind: str) -> None:
    """A Type that is missing, foreign or for whole elements leaves open what the plaintext stands for."""
    channel.read(channel.genuine())
    message = channel.genuine()
    message.find(".//xenc:EncryptedData").set("Type", kind)
    with refuses("encryption-form"):
        channel.read(message)


@pytest.mark.parametrize(
    "uri", ["", "#", "#nobody", "http://127.0.0.1:9/evil", "file:///etc/hostname", "#body"]
)
def test_a_reference_list_names_encrypted_data_of_this_message(
    channel: Channel, refuses: Refuses, uri: str
) -> None:
    """Nothing outside the message is read, and nothing that is not encrypted is decrypted."""
    channel.read(channel.genuine())
    message = channel.genuine()
    name = message.body.get(WSU_ID) if uri == "#body" else uri[1:]
    message.find(".//xenc:DataReference").set("URI", f"#{name}" if uri.startswith("#") else uri)
    with refuses("reference"):
        channel.read(message)


def test_data_is_decrypted_once(channel: Channel) -> None:
    """A second reference to the same data changes nothing; it does not decrypt what came out of the first."""
    message = channel.genuine()
    reference = message.find(".//xenc:DataReference")
    reference.addnext(copy.deepcopy(reference))
    payload = channel.read(message).soap.payload
    assert payload is not None
    assert payload[0].text == PLAINTEXT


# ----------------------------------------------------- parts replaced by ciphertext of the attacker's own


KEY = b"the attackers key"[:16]


def _hide(target: etree._Element, name: str, kind: str) -> None:
    """Replace a part by its encryption under a key that the attacker chose and wrapped for the reader."""
    data = encrypted_data(KEY, etree.tostring(target, with_tail=False), name=name, kind=kind)
    exchange(target, data)


def test_a_key_that_came_along_opens_nothing_under_a_context(world: World, refuses: Refuses) -> None:
    """Under a SymmetricBinding content is encrypted with the context, never with a key that anybody could send."""
    for name in ("request", "reply"):
        channel = world.channel(name, encrypted=Parts())
        channel.read(channel.genuine())
        strict = world.channel(name)
        message = channel.genuine()
        content = encrypted_data(KEY, EVIL.encode(), name="ED-evil")
        message.body[:] = [content]
        message.security.insert(0, wrapped_key(_reader(channel), KEY, ["ED-evil"]))
        with refuses("encrypted-key"):
            strict.read(message)


def test_a_wrapped_key_signs_nothing(world: World, refuses: Refuses) -> None:
    """A key that the attacker encrypted to us is no proof of anything, though the HMAC made with it verifies."""
    channel = world.channel("rst", encrypted=Parts())
    channel.read(channel.genuine())
    message = channel.genuine(EVIL)
    message.security.insert(0, wrapped_key(_reader(channel), KEY, []))
    message.find(".//ds:Signature/ds:KeyInfo")[:] = [
        element('<wsse:SecurityTokenReference><wsse:Reference URI="#EK-evil"/></wsse:SecurityTokenReference>')
    ]
    message.find(".//ds:SignatureMethod").set("Algorithm", HMAC_SHA1)
    message.sign_again(partial(signature.mac, HMAC_SHA1, KEY))
    with refuses("token"):
        channel.read(message)


def test_a_bootstrap_message_is_not_encrypted_under_a_context(world: World, refuses: Refuses) -> None:
    """Who asks for a context cannot have the service decrypt what another client sent under an existing one."""
    honest = world.channel("rst", encrypt_before_signing=True)
    honest.read(honest.genuine())
    captured = world.channel("request", encrypt_before_signing=True).genuine()
    message = honest.genuine()
    theirs, own = captured.find("soap:Body/xenc:EncryptedData"), message.find("soap:Body/xenc:EncryptedData")
    exchange(own, theirs)
    for token in [captured.find(".//wsc:SecurityContextToken"), *captured.all(".//wsc:DerivedKeyToken")]:
        message.security.insert(1, token)
    message.drop(message.find(".//xenc:EncryptedKey"), *message.all(".//wsse:Security/xenc:ReferenceList"))
    message.security.append(
        element(f'<xenc:ReferenceList><xenc:DataReference URI="#{theirs.get("Id")}"/></xenc:ReferenceList>')
    )
    message.digest_again(message.body)
    with refuses("token"):
        honest.read(honest.sign(message))


@pytest.mark.parametrize("part", ["wsu:Timestamp", "ds:Signature", "wsse:BinarySecurityToken"])
def test_nothing_in_the_security_header_hides(world: World, refuses: Refuses, part: str) -> None:
    """A Timestamp, Signature or token that only appears after decryption would come too late for its check."""
    channel = world.channel("rst", include_timestamp=False, encrypted=Parts())
    honest = world.channel("rst", include_timestamp=part == "wsu:Timestamp", encrypted=Parts())
    honest.read(honest.genuine())
    channel.read(channel.genuine())
    message = honest.genuine()
    target = message.find(f".//wsse:Security/{part}")
    if part == "ds:Signature":
        other = copy.deepcopy(target)
        other.set("Id", "hidden")
        target.addnext(other)
        target = other
    if part == "wsse:BinarySecurityToken":
        target = copy.deepcopy(target)
        target.set(WSU_ID, "hidden")
        message.security.append(target)
    _hide(target, "ED-evil", "Element")
    message.security.insert(0, wrapped_key(_reader(channel), KEY, ["ED-evil"]))
    with refuses("encryption-form"):
        channel.read(message)


@pytest.mark.parametrize("place", ["soap:Header", "soap:Header/wsa:To", "soap:Body/e:echo", "soap:Body"])
def test_ciphertext_is_taken_where_the_policy_has_some(world: World, refuses: Refuses, place: str) -> None:
    """Anybody can encrypt to a certificate; nothing that they encrypt may turn up in headers or content."""
    channel = world.channel("rst", encrypted=Parts())
    channel.read(channel.genuine())
    message = channel.genuine()
    (parent,) = message.envelope.xpath(place, namespaces={**NS, "e": "urn:test"})
    parent.append(encrypted_data(KEY, b"<evil/>", name="ED-evil", kind="Element"))
    message.security.insert(0, wrapped_key(_reader(channel), KEY, ["ED-evil"]))
    with refuses("encryption-form"):
        channel.read(message)


@pytest.mark.parametrize(
    "plaintext", [b"", b"text", b"<wsa:A xmlns:wsa='urn:x'/><b/>", b"<!--c-->", b"<?x?>"]
)
def test_an_encrypted_header_holds_one_block(world: World, refuses: Refuses, plaintext: bytes) -> None:
    """An EncryptedHeader stands for one header block, neither for none nor for two."""
    channel = world.channel("rst", encrypted=Parts())
    channel.read(channel.genuine())
    message = channel.genuine()
    wrapper = element('<wsse11:EncryptedHeader wsu:Id="EH-evil"/>')
    wrapper.append(encrypted_data(KEY, plaintext, name="ED-evil", kind="Element"))
    message.header.append(wrapper)
    message.security.insert(0, wrapped_key(_reader(channel), KEY, ["ED-evil"]))
    with refuses("decryption"):
        channel.read(message)


def test_an_encrypted_header_does_not_smuggle_addressing(world: World, refuses: Refuses) -> None:
    """A block that anybody encrypted to us is held to the policy like one in the clear: it is not signed."""
    channel = world.channel("rst", encrypted=Parts())
    channel.read(channel.genuine())
    message = channel.genuine()
    wrapper = element('<wsse11:EncryptedHeader wsu:Id="EH-evil"/>')
    block = f'<a:FaultTo xmlns:a="{NS["wsa"]}"><a:Address>urn:evil</a:Address></a:FaultTo>'
    wrapper.append(encrypted_data(KEY, block.encode(), name="ED-evil", kind="Element"))
    message.header.append(wrapper)
    message.security.insert(0, wrapped_key(_reader(channel), KEY, ["ED-evil"]))
    with refuses("signed-parts"):
        channel.read(message)


@pytest.mark.parametrize("plaintext", [b"", b"text", b"<a/><b/>", b"<a/>"])
def test_an_encrypted_signature_is_one_signature(world: World, refuses: Refuses, plaintext: bytes) -> None:
    """Where a signature may be encrypted, nothing else may come out of the ciphertext in its place."""
    channel = world.channel("rst", encrypt_signature=True)
    channel.read(channel.genuine())
    message = channel.genuine()
    (data,) = message.all("soap:Header/wsse:Security/xenc:EncryptedData")
    name = data.get("Id") or ""
    message.security.append(encrypted_data(KEY, plaintext, name=name, kind="Element"))
    message.drop(data)
    for reference in message.all(".//xenc:DataReference"):
        if reference.get("URI") == f"#{name}":
            message.drop(reference)
    message.security.insert(0, wrapped_key(_reader(channel), KEY, [name]))
    with refuses("decryption"):
        channel.read(message)


def _reader(channel: Channel) -> Identity:
    decrypting = channel.reader.decrypting
    assert decrypting is not None
    return decrypting


# ------------------------------------------------------------------------------ what decryption tells


def _flip(message: Message, position: int, mask: int = 1) -> None:
    """Change one octet of the ciphertext of the Body."""
    value = message.find("soap:Body/xenc:EncryptedData//xenc:CipherValue")
    octets = bytearray(base64.b64decode(value.text or ""))
    octets[position] ^= mask
    value.text = base64.b64encode(octets).decode()


def _cut(message: Message, length: int) -> None:
    value = message.find("soap:Body/xenc:EncryptedData//xenc:CipherValue")
    value.text = base64.b64encode(base64.b64decode(value.text or "")[:length]).decode()


def _content(message: Message, padded: bytes) -> None:
    """Put octets of our choice, padding included, under the real key into the Body: what a lucky guess leads to."""
    uri = message.find("soap:Body//wsse:Reference").get("URI", "")[1:]
    key = derived(message.find(f".//*[@wsu:Id='{uri}']"), MINE)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
    value = message.find("soap:Body/xenc:EncryptedData//xenc:CipherValue")
    octets = bytes(16) + encryptor.update(padded) + encryptor.finalize()
    value.text = base64.b64encode(octets).decode()


_BLOCK = b"<a>" + b"x" * 9 + b"</a>"
_CHANGES: dict[str, Tamper] = {
    "empty": lambda message: _cut(message, 0),
    "only an IV": lambda message: _cut(message, 16),
    "not whole blocks": lambda message: _cut(message, 40),
    "one block less": lambda message: _cut(message, 48),
    "first block": lambda message: _flip(message, 20),
    "IV": lambda message: _flip(message, 0),
    "last octet": lambda message: _flip(message, -1),
    "padding 0": lambda message: _content(message, _BLOCK + bytes(16)),
    "padding 17": lambda message: _content(message, _BLOCK + bytes(15) + b"\x11"),
    "padding 255": lambda message: _content(message, _BLOCK + b"\xff" * 16),
    "not XML": lambda message: _content(message, b"<a><b></a></b>\x02\x02"),
    "not UTF-8": lambda message: _content(message, b"\xff\xfe" + b"x" * 12 + b"\x02\x02"),
    "NUL": lambda message: _content(message, b"\0" * 14 + b"\x02\x02"),
    "breaks out": lambda message: _content(message, b"</fragment><a/>\x01"),
    "entity": lambda message: _content(message, b"<a>&undefined;</a>" + b"\x0e" * 14),
    "doctype": lambda message: _content(message, b"<!DOCTYPE a []>\x01"),
    "declaration": lambda message: _content(message, b'<?xml version="1.0"?><a/>' + b"\x07" * 7),
    "undeclared prefix": lambda message: _content(message, b"<undeclared:a/>\x01"),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_every_failure_of_decryption_looks_the_same(world: World, refuses: Refuses, change: str) -> None:
    """Length, padding, characters, well-formedness and digest fail with one check and one text."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    _CHANGES[change](message)
    with refuses("decryption") as caught:
        channel.read(message)
    assert str(caught.value) == str(decryption_failed())


def test_a_key_has_the_length_of_its_cipher(world: World, refuses: Refuses) -> None:
    """AES takes keys of three lengths; the one of another cipher than the policy's is refused, also if it is right."""
    channel = world.channel("request", signed=Parts())
    padded = b"<a/>" + b"\x0c" * 12
    for length, allowed in ((16, True), (24, False), (32, False)):
        message = channel.genuine()
        uri = message.find("soap:Body//wsse:Reference").get("URI", "")[1:]
        message.find(f".//*[@wsu:Id='{uri}']/wsc:Length").text = str(length)
        _content(message, padded)
        if allowed:
            assert channel.read(message).soap.payload is not None
        else:
            with refuses("decryption"):
                channel.read(message)


@pytest.mark.parametrize("place", ["soap:Header", "soap:Header/wsa:To", "soap:Body"])
def test_plaintext_goes_where_its_ciphertext_was(world: World, refuses: Refuses, place: str) -> None:
    """The mark that stands in for ciphertext while a message is parsed again cannot be put elsewhere by an attacker."""
    content = '<e:echo xmlns:e="urn:test" xmlns:f="urn:test"><f:text>two prefixes of one namespace</f:text></e:echo>'
    channel = world.channel("request", signed=Parts())
    assert channel.read(channel.genuine(content)).soap.payload is not None
    message = channel.genuine(content)
    message.find(place).insert(0, etree.ProcessingInstruction("splice", "here"))
    with refuses("encryption-form" if place == "soap:Body" else "decryption"):
        channel.read(message)


@pytest.mark.parametrize("suite", ["Basic128GCM", "TripleDes", "Basic256"])
def test_failures_of_other_ciphers_look_the_same(world: World, refuses: Refuses, suite: str) -> None:
    """The same for every cipher of the suites."""
    channel = world.channel("request", suite=suite)
    channel.read(channel.genuine())
    for length in (0, 8, 12, 16, 27, 28, 41):
        message = channel.genuine()
        _cut(message, length)
        with refuses("decryption") as caught:
            channel.read(message)
        assert str(caught.value) == str(decryption_failed())


@pytest.mark.parametrize("name", ["rst", "rstr"])
@pytest.mark.parametrize(
    "change", ["garbage", "short", "long", "empty", "key of another length", "wrong key"]
)
def test_a_wrapped_key_that_does_not_open_looks_like_a_wrong_one(
    world: World, refuses: Refuses, name: str, change: str
) -> None:
    """Nobody learns whether RSA unwrapped something, which would answer Bleichenbacher's and Manger's questions."""
    channel = world.channel(name)
    channel.read(channel.genuine())
    message = channel.genuine()
    value = message.find(".//xenc:EncryptedKey/xenc:CipherData/xenc:CipherValue")
    octets = base64.b64decode(value.text or "")
    changed = {
        "garbage": bytes(range(256)),
        "short": octets[:-1],
        "long": octets + b"\0",
        "empty": b"",
        "key of another length": wrap(_reader(channel), bytes(24)),
        "wrong key": wrap(_reader(channel), bytes(16)),
    }[change]
    value.text = base64.b64encode(changed).decode()
    with refuses("decryption") as caught:
        channel.read(message)
    assert str(caught.value) == str(decryption_failed())


def test_a_changed_plaintext_is_told_by_its_digest(world: World, refuses: Refuses) -> None:
    """A ciphertext that decrypts to well-formed content of another meaning does not get past the signature."""
    channel = world.channel("request")
    channel.read(channel.genuine())
    message = channel.genuine()
    _content(message, b"<e:echo xmlns:e='urn:test'/>" + b"\x04" * 4)
    with refuses("digest"):
        channel.read(message)


def test_one_signed_message_answers_one_question(world: World, refuses: Refuses) -> None:
    """A padding oracle needs thousands of tries; the value of a signature is taken once, then nothing is decrypted."""
    channel = world.channel("request")
    channel.read(channel.genuine(), seen=SeenSignatures())
    message, seen = channel.genuine(), SeenSignatures()
    first, second = Message(message.bytes), Message(message.bytes)
    _flip(first, -17)
    _flip(second, -18)
    with refuses("decryption"):
        channel.read(first, seen=seen)
    for changed in (second, first, message):
        with refuses("replay"):
            channel.read(changed, seen=seen)


@pytest.mark.parametrize("name", ["request", "rst"])
def test_a_forged_timestamp_does_not_buy_more_questions(world: World, name: str) -> None:
    """The memory of signatures must not forget sooner because of a Timestamp that nobody verified yet."""
    channel = world.channel(name)
    channel.read(channel.genuine(), seen=SeenSignatures())
    message, seen = channel.genuine(), SeenSignatures()
    decrypted = 0
    for attempt in range(3):
        changed = Message(message.bytes)
        now = world.time.now - timedelta(minutes=3) + timedelta(milliseconds=1)
        created, expires = changed.timestamp
        created.text = (now - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
        expires.text = now.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
        _flip(changed, -17 - attempt)
        with pytest.raises(VerificationError) as caught:
            channel.read(changed, seen=seen)
        decrypted += caught.value.check == "decryption"
        world.time.forward(timedelta(seconds=1))
    assert decrypted <= 1
