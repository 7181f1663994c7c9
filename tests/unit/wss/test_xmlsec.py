"""xmlsec as an independent verifier of whole messages, and as an independent maker of them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import xmlsec
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from tests.unit.messages import (
    SCT,
    SECRET,
    TICKET,
    asymmetric,
    canonical,
    context,
    message,
    order,
    read,
    rings,
    secured,
    security,
    symmetric,
    wire,
)
from tests.unit.parties import CLIENT, NOW, SERVER, key_pem, pem
from tests.unit.wss.independent import (
    CIPHERS,
    DS,
    LABEL,
    WSSE,
    WSU,
    Reader,
    encrypted_data,
    hmac_key,
    p_sha1,
    pem_key,
    sign,
    signature_template,
)
from zeep_secureconv import Policy, VerificationError
from zeep_secureconv.names import BASE64_BINARY, WSC_200512, X509_V3, XENC, dk_type
from zeep_secureconv.policy import SUITES, DerivedKeys, Direction, HeaderPart, Parts
from zeep_secureconv.soap.envelope import Soap, serialize
from zeep_secureconv.wss.times import write_time

CONTENT = (
    '<e:echo xmlns:e="urn:test" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="e:Text">'
    "h\u00e9llo <e:t/>\u20ac \U0001d4b3 &amp; &lt;<?pi x?></e:echo>"
)
ORDERS = {"sign-encrypt": False, "encrypt-sign": True}
HEADERS = Parts(body=True, headers=(HeaderPart(namespace=TICKET),))


def reader_of(soap: Soap) -> Reader:
    """Reads what the client sent, with the keys of the service."""
    return Reader(
        serialize(soap.envelope),
        secret=SECRET,
        signer=pem(CLIENT.make()),
        recipient=key_pem(SERVER.private_key),
    )


@pytest.mark.parametrize("before", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("make", [symmetric, asymmetric], ids=["context", "x509"])
@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_is_verified_by_xmlsec(suite: str, make: Callable[..., Policy], before: bool) -> None:
    """Xmlsec verifies the signature of every suite, and opens what was encrypted."""
    policy = make(suite, encrypt_before_signing=before)
    soap = message(CONTENT)
    clear = canonical(soap.body[0])
    secured(soap, policy)
    reader = reader_of(soap)
    root = reader.read()
    assert (reader.signatures, reader.decrypted) == (1, 1)
    assert canonical(root.find("{*}Body")[0]) == clear  # type: ignore[index]


@pytest.mark.parametrize(
    ("derived", "encrypt_signature", "before"),
    list(product([DerivedKeys.EXPLICIT, DerivedKeys.NONE], [False, True], [False, True])),
)
def test_every_option_is_verified_by_xmlsec(
    derived: DerivedKeys, encrypt_signature: bool, before: bool
) -> None:
    """With or without derived keys, encrypted signatures and headers, in both orders, xmlsec reads the message."""
    policy = symmetric(
        derived_keys=derived,
        encrypt_signature=encrypt_signature,
        encrypt_before_signing=before,
        encrypted=HEADERS,
    )
    soap = message(CONTENT, headers=f'<t:Ticket xmlns:t="{TICKET}">secret &amp; sealed</t:Ticket>')
    clear = canonical(soap.body[0])
    secured(soap, policy)
    assert b"sealed" not in serialize(soap.envelope)
    reader = reader_of(soap)
    if encrypt_signature and before:
        # the signature itself is opened by a list that stands after it
        _signature_first(reader)
    root = reader.read()
    assert (reader.signatures, reader.decrypted) == (1, 2 + encrypt_signature)
    assert canonical(root.find("{*}Body")[0]) == clear  # type: ignore[index]
    assert root.findtext(f".//{{{TICKET}}}Ticket") == "secret & sealed"


def _signature_first(reader: Reader) -> None:
    """Open the encrypted signature before all else."""
    reader.root = etree.fromstring(reader.data)
    (data,) = security(Soap.of(reader.root)).findall(f"{{{XENC}}}EncryptedData")
    name = data.get("Id", "")
    reader._decrypt(name)
    for listed in list(reader.root.iter(f"{{{XENC}}}DataReference")):
        if listed.get("URI") == f"#{name}":
            listed.getparent().remove(listed)  # type: ignore[union-attr]
    reader.data = etree.tostring(reader.root)


@pytest.mark.parametrize("make", [symmetric, asymmetric], ids=["context", "x509"])
def test_xmlsec_refuses_what_was_changed(make: Callable[..., Policy]) -> None:
    """The verifier of these tests refuses a changed message: it does verify."""
    soap = message(CONTENT)
    secured(soap, make(encrypted=Parts()))
    reader_of(soap).read()
    soap.body[0].text = "other"
    with pytest.raises(xmlsec.Error):
        reader_of(soap).read()


# ------------------------------------------------------------------------------- made by xmlsec, read by us


def handmade(policy: Policy, *, prefixes: str | None, encrypted: bool) -> Soap:
    """A message under a context that xmlsec signed and encrypted: sign first."""
    assert policy.binding is not None
    suite = policy.binding.algorithm_suite
    soap = message(CONTENT)
    ids = _mark(soap)
    tokens, keys = "", []
    for name, length in (("DK-s", suite.signature_key_length), ("DK-e", suite.encryption_key_length)):
        nonce = secrets.token_bytes(18)
        keys.append(p_sha1(SECRET, LABEL + nonce, length))
        tokens += (
            f'<c:DerivedKeyToken xmlns:c="{WSC_200512}" wsu:Id="{name}">'
            f'<wsse:SecurityTokenReference><wsse:Reference URI="#sct-id" ValueType="{SCT}"/>'
            f"</wsse:SecurityTokenReference><c:Length>{length}</c:Length>"
            f"<c:Nonce>{base64.b64encode(nonce).decode()}</c:Nonce></c:DerivedKeyToken>"
        )
    listed = f'<x:ReferenceList xmlns:x="{XENC}"><x:DataReference URI="#ED"/></x:ReferenceList>'
    template = signature_template(
        suite.symmetric_signature, suite.digest, ids, _derived_reference("DK-s"), prefixes
    )
    content = context().token.decode() + tokens + (listed if encrypted else "") + template
    soap.need_header().append(_security(soap, content))
    sign(soap.envelope, hmac_key(keys[0]))
    if encrypted:
        _encrypt(soap, suite.encryption, keys[1], _derived_reference("DK-e"))
    return wire(soap)


def _mark(soap: Soap) -> list[str]:
    """Give ids to what will be signed, the Timestamp included."""
    for number, part in enumerate([soap.body, *soap.blocks()]):
        part.set(f"{{{WSU}}}Id", f"part-{number}")
    return ["TS", *(f"part-{number}" for number in range(1 + len(soap.blocks())))]


def _security(soap: Soap, content: str) -> etree._Element:
    stamp = f'<wsu:Timestamp wsu:Id="TS"><wsu:Created>{write_time(NOW)}</wsu:Created></wsu:Timestamp>'
    return etree.fromstring(
        f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" xmlns:s="{soap.version}" '
        f's:mustUnderstand="1">{stamp}{content}</wsse:Security>'
    )


def _derived_reference(name: str) -> str:
    return (
        f'<wsse:SecurityTokenReference xmlns:wsse="{WSSE}"><wsse:Reference URI="#{name}" '
        f'ValueType="{dk_type(WSC_200512)}"/></wsse:SecurityTokenReference>'
    )


def _encrypt(soap: Soap, algorithm: str, key: bytes, key_info: str) -> None:
    plaintext = b"".join(etree.tostring(child) for child in soap.body)
    soap.body[:] = [encrypted_data("ED", algorithm, key, key_info, plaintext)]


@pytest.mark.parametrize("prefixes", [None, "", "s wsse", "#default", "#default s e"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["signed", "encrypted"])
@pytest.mark.parametrize("suite", ["Basic128", "Basic256Sha256", "TripleDes", "Basic256GCM"])
def test_a_message_made_by_xmlsec_is_accepted(suite: str, encrypted: bool, prefixes: str | None) -> None:
    """A message that xmlsec signed and encrypted with our keys is verified and decrypted."""
    policy = symmetric(suite, **({} if encrypted else {"encrypted": Parts()}))
    soap = handmade(policy, prefixes=prefixes, encrypted=encrypted)
    verified = read(soap, policy)
    assert verified.context == context()
    assert verified.is_signed(verified.soap.body)
    assert canonical(verified.soap.body[0]) == canonical(message(CONTENT).body[0])
    assert verified.decrypted == ((verified.soap.body,) if encrypted else ())


@pytest.mark.parametrize("suite", ["Basic128", "Basic256Sha256"])
def test_a_certificate_signature_made_by_xmlsec_is_accepted(suite: str) -> None:
    """A message that xmlsec signed with the client's RSA key is accepted, and names its signer."""
    policy = asymmetric(suite, encrypted=Parts())
    assert policy.binding is not None
    soap = message(CONTENT)
    ids = _mark(soap)
    der = base64.b64encode(CLIENT.make().public_bytes(Encoding.DER)).decode()
    token = (
        f'<wsse:BinarySecurityToken EncodingType="{BASE64_BINARY}" ValueType="{X509_V3}" wsu:Id="BST">{der}'
        "</wsse:BinarySecurityToken>"
    )
    key_info = (
        f'<wsse:SecurityTokenReference xmlns:wsse="{WSSE}"><wsse:Reference URI="#BST" ValueType="{X509_V3}"/>'
        "</wsse:SecurityTokenReference>"
    )
    suite_of = policy.binding.algorithm_suite
    template = signature_template(suite_of.asymmetric_signature, suite_of.digest, ids, key_info, "s")
    soap.need_header().append(_security(soap, token + template))
    sign(soap.envelope, pem_key(key_pem(CLIENT.private_key)))
    assert order(soap) == ["Timestamp", "BinarySecurityToken", "Signature"]
    arrived = wire(soap)
    verified = read(arrived, policy)
    assert verified.signer == CLIENT.make()
    arrived = wire(soap)
    arrived.body[0].text = "other"
    with pytest.raises(VerificationError) as caught:
        read(arrived, policy)
    assert caught.value.check == "digest"


def test_every_cipher_of_the_suites_is_compared() -> None:
    """The table of ciphers in these tests names those of all suites."""
    assert {suite.encryption for suite in SUITES.values()} == CIPHERS.keys()


def test_the_answer_is_verified_by_xmlsec() -> None:
    """What the service sends, without the context's token in it, is verified by xmlsec as well."""
    policy = symmetric()
    soap = message(CONTENT)
    secured(soap, policy, direction=Direction.RESPONSE)
    assert "SecurityContextToken" not in order(soap)
    # the derived keys name the context by its Identifier
    reader = replace(reader_of(soap), recipient=b"", signer=b"")
    root = reader.read()
    assert (reader.signatures, reader.decrypted) == (1, 1)
    assert canonical(root.find("{*}Body")[0]) == canonical(message(CONTENT).body[0])  # type: ignore[index]
    assert rings(Direction.RESPONSE)[1].role == "server"
    assert f"{{{DS}}}Signature" in [child.tag for child in security(soap)]
