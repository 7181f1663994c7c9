"""What the parties and their attackers hold: channels with genuine messages, and tools to change them."""

from __future__ import annotations

import base64
import copy
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from tests.unit import messages
from tests.unit.messages import ENDPOINT, asymmetric, symmetric
from tests.unit.parties import Time, environment, identity, trust
from zeep_secureconv import Identity, Limits, Policy
from zeep_secureconv.environment import Environment
from zeep_secureconv.names import DS, SOAP11, WSA_2005, WSC_200512, WSSE, WSSE11, WSU, X509_V3, XENC
from zeep_secureconv.policy.model import Direction
from zeep_secureconv.policy.suites import AES128_CBC, HMAC_SHA1, RSA_OAEP_MGF1P, RSA_SHA1, SHA1
from zeep_secureconv.soap.addressing import address_reply, address_request
from zeep_secureconv.soap.envelope import Soap, new_envelope, parse, serialize
from zeep_secureconv.wss import encryption, signature
from zeep_secureconv.wss.c14n import canonicalize
from zeep_secureconv.wss.certificates import thumbprint
from zeep_secureconv.wss.kdf import derive_key
from zeep_secureconv.wss.keys import ContextKey, Keyring
from zeep_secureconv.wss.protect import Protected, protect
from zeep_secureconv.wss.reply import Reply, read_reply
from zeep_secureconv.wss.seen import SeenSignatures
from zeep_secureconv.wss.unprotect import Verified, unprotect

NS = {
    "soap": SOAP11,
    "wsa": WSA_2005,
    "wsse": WSSE,
    "wsse11": WSSE11,
    "wsu": WSU,
    "ds": DS,
    "xenc": XENC,
    "wsc": WSC_200512,
}
WSU_ID = f"{{{WSU}}}Id"

#: In the Body of every genuine message; nobody but the parties may ever see it.
PLAINTEXT = "plaintext-that-must-not-leak"
CONTENT = f'<e:echo xmlns:e="urn:test"><e:text>{PLAINTEXT}</e:text></e:echo>'
EVIL = '<e:echo xmlns:e="urn:test"><e:text>evil</e:text></e:echo>'
ACTION = "urn:test:echo"
#: The MessageID of the request that replies answer to, and the signature value that it had.
REQUEST_ID = "urn:uuid:11111111-2222-4333-8444-555555555555"
OWN_VALUE = b"our own signature.."

MINE = messages.context()
#: Another context of the same service, held by another client.
THEIRS = messages.context(identifier="urn:uuid:sct-2", secret=bytes(range(100, 132)))
#: An earlier key of the context itself.
EARLIER = messages.context(instance="urn:uuid:instance-1", secret=bytes(range(50, 82)))


class Vault:
    """Everything that is secret in a test, so that it can be looked for where it must not be."""

    def __init__(self) -> None:
        self._secrets = {MINE.secret, THEIRS.secret, EARLIER.secret, PLAINTEXT.encode()}

    def add(self, secret: bytes) -> None:
        """Keep one more secret."""
        if len(secret) >= 8:
            self._secrets.add(secret)

    def random(self, count: int) -> bytes:
        """Random octets, every one of them a secret: keys, entropies, nonces."""
        value = secrets.token_bytes(count)
        self.add(value)
        return value

    def leaks(self, text: str) -> list[str]:
        """The secrets that *text* holds, in any form they are usually written in."""
        return [form for secret in self._secrets for form in _forms(secret) if form in text]


def _forms(secret: bytes) -> Iterable[str]:
    yield secret.hex()
    yield secret.hex().upper()
    yield base64.b64encode(secret).decode()
    yield repr(secret)[2:-1]
    if secret.isascii():
        yield secret.decode()


# --------------------------------------------------------------------------------------------- messages


class Message:
    """A message in an attacker's hands.

    Args:
        data: as it was on the wire.
    """

    def __init__(self, data: bytes) -> None:
        self.envelope = etree.fromstring(data)

    def find(self, path: str) -> etree._Element:
        """The one element at an XPath from the envelope."""
        (found,) = self.all(path)
        return found

    def all(self, path: str) -> list[etree._Element]:
        """Every element at an XPath from the envelope."""
        found = self.envelope.xpath(path, namespaces=NS)
        assert isinstance(found, list)
        return found

    @property
    def header(self) -> etree._Element:
        """soap:Header."""
        return self.find("soap:Header")

    @property
    def body(self) -> etree._Element:
        """soap:Body."""
        return self.find("soap:Body")

    @property
    def security(self) -> etree._Element:
        """The wsse:Security header."""
        return self.find("soap:Header/wsse:Security")

    @property
    def signature(self) -> etree._Element:
        """The first ds:Signature."""
        return self.all(".//ds:Signature")[0]

    @property
    def timestamp(self) -> etree._Element:
        """wsu:Timestamp."""
        return self.find("soap:Header/wsse:Security/wsu:Timestamp")

    def reference_to(self, element: etree._Element) -> etree._Element:
        """The ds:Reference that covers an element."""
        return self.find(f".//ds:Reference[@URI='#{element.get(WSU_ID)}']")

    def insert_body(self, content: str) -> etree._Element:
        """A new Body of the attacker's own after the Header."""
        body = etree.fromstring(f'<soap:Body xmlns:soap="{SOAP11}">{content}</soap:Body>')
        self.header.addnext(body)
        return body

    def digest_again(self, *elements: etree._Element) -> None:
        """Put the true digests of these elements into the signature."""
        for element in elements:
            value = self.reference_to(element).find("ds:DigestValue", NS)
            assert value is not None
            value.text = base64.b64encode(signature.digest(SHA1, canonicalize(element))).decode()

    def sign_again(self, sign: Callable[[bytes], bytes]) -> Message:
        """Sign what SignedInfo says now."""
        (info,) = self.signature.iterchildren(f"{{{DS}}}SignedInfo")
        (value,) = self.signature.iterchildren(f"{{{DS}}}SignatureValue")
        value.text = base64.b64encode(sign(canonicalize(info))).decode()
        return self

    def drop(self, *elements: etree._Element) -> Message:
        """Remove elements."""
        for element in elements:
            parent = element.getparent()
            assert parent is not None
            parent.remove(element)
        return self

    @property
    def bytes(self) -> bytes:
        """As it goes on the wire."""
        return etree.tostring(self.envelope)


def move(element: etree._Element, into: etree._Element) -> None:
    """Move an element to the end of another one."""
    into.append(element)


def exchange(old: etree._Element, new: etree._Element) -> None:
    """Put another element in the place of one."""
    parent = old.getparent()
    assert parent is not None
    parent.replace(old, new)


def twin(element: etree._Element) -> etree._Element:
    """A copy of an element, right after it."""
    other = copy.deepcopy(element)
    element.addnext(other)
    return other


def element(text: str) -> etree._Element:
    """An element of the attacker's own, with every prefix of :data:`NS` declared."""
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
    (child,) = etree.fromstring(f"<x {declared}>{text}</x>")
    return child


# --------------------------------------------------------------------------------------------- channels


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One kind of message between two honest parties.

    Args:
        name: "request", "reply", "rst" or "rstr".
        policy: what its messages look like.
        sender, reader: the keys of the two sides.
        environment: time and randomness of both.
    """

    name: str
    policy: Policy
    sender: Keyring
    reader: Keyring
    environment: Environment = field(repr=False)

    @property
    def is_reply(self) -> bool:
        """Whether the client reads it."""
        return self.name in ("reply", "rstr")

    @property
    def direction(self) -> Direction:
        """Which way it goes."""
        return Direction.RESPONSE if self.is_reply else Direction.REQUEST

    def but(self, **changes: Any) -> Channel:
        """The same with changes."""
        return replace(self, **changes)

    def bound(self, **changes: Any) -> Channel:
        """The same with changes of the policy's binding."""
        assert self.policy.binding is not None
        return self.but(policy=replace(self.policy, binding=replace(self.policy.binding, **changes)))

    def genuine(self, content: str = CONTENT, *, relates_to: str | None = REQUEST_ID) -> Message:
        """A message as the honest sender makes it."""
        soap = new_envelope(SOAP11)
        soap.body.append(element(content))
        random = self.environment.random
        if self.is_reply:
            address_reply(
                soap, wsa=WSA_2005, action=f"{ACTION}Response", relates_to=relates_to, random=random
            )
        else:
            address_request(soap, wsa=WSA_2005, to=ENDPOINT, action=ACTION, random=random)
        protect(soap, self.policy, self.sender, self.environment, direction=self.direction)
        return Message(serialize(soap.envelope))

    def read(
        self, message: Message | bytes | etree._Element, *, seen: SeenSignatures | None = None
    ) -> Verified:
        """Read a message as the honest reader does."""
        if self.is_reply:
            verified = self.answer(message, seen=seen).verified
            assert verified is not None
            return verified
        return unprotect(self._soap(message), self.policy, self.reader, self.environment, seen=seen)

    def answer(
        self,
        message: Message | bytes | etree._Element,
        *,
        seen: SeenSignatures | None = None,
        request: Protected | None = None,
    ) -> Reply:
        """Read a message as the answer to our request."""
        return read_reply(
            self._soap(message),
            self.policy,
            self.reader,
            self.environment,
            request=request or self.request,
            seen=seen,
        )

    @property
    def request(self) -> Protected:
        """The request that replies answer to."""
        return Protected(
            message_id=REQUEST_ID,
            signature_values=(OWN_VALUE,),
            context=self.reader.context,
            signed=(),
            encrypted=(),
        )

    def sign(self, message: Message, sender: Keyring | None = None) -> Message:
        """Sign a message again with the real keys of its sender."""
        ring = sender or self.sender
        if ring.context is None:
            assert ring.signing is not None
            return message.sign_again(rsa(ring.signing))
        return message.sign_again(hmac_of(message, ring.context))

    def _soap(self, message: Message | bytes | etree._Element) -> Soap:
        if isinstance(message, etree._Element):
            return Soap.of(message)
        data = message if isinstance(message, bytes) else message.bytes
        return Soap.of(parse(data, self.environment.limits))


def rsa(signer: Identity) -> Callable[[bytes], bytes]:
    """Signs with a certificate's key."""
    return lambda data: signer.sign(data, RSA_SHA1)


def hmac_of(message: Message, context: ContextKey) -> Callable[[bytes], bytes]:
    """Signs with the derived key that the signature of *message* names."""
    (uri,) = message.signature.xpath("ds:KeyInfo//wsse:Reference/@URI", namespaces=NS)
    token = message.find(f".//*[@wsu:Id='{str(uri)[1:]}']")
    return lambda data: signature.mac(HMAC_SHA1, derived(token, context), data)


def derived(token: etree._Element, context: ContextKey) -> bytes:
    """The key of a DerivedKeyToken."""
    nonce = base64.b64decode(token.findtext("wsc:Nonce", namespaces=NS) or "")
    length = int(token.findtext("wsc:Length", "32", namespaces=NS))
    offset = int(token.findtext("wsc:Offset", "0", namespaces=NS))
    label = token.findtext("wsc:Label", namespaces=NS)
    return derive_key(context.secret, nonce, length=length, offset=offset, label=label)


class World:
    """The parties of one test: a client and a service, their contexts, one clock, one vault."""

    def __init__(self) -> None:
        self.vault = Vault()
        self.time = Time()

    def environment(self, limits: Limits | None = None) -> Environment:
        """Time and randomness of this world."""
        return environment(time=self.time, random=self.vault.random, limits=limits)

    def channel(self, name: str, *, limits: Limits | None = None, **changes: Any) -> Channel:
        """A channel by its name.

        Args:
            name: "request" or "reply" under a context, "rst" or "rstr" under certificates.
            limits: bounds of the reader.
            changes: of the policy, as ``tests.unit.messages`` takes them.
        """
        known = {(key.identifier, key.instance): key for key in (MINE, THEIRS, EARLIER)}
        client = Keyring(
            signing=identity("client"),
            decrypting=identity("client"),
            peer=identity("server").certificate,
            signers=(identity("server").certificate,),
            trust=trust(),
            role="server",
        )
        service = Keyring(
            signing=identity("server"),
            decrypting=identity("server"),
            trust=trust(),
            role="client",
            lookup=lambda identifier, instance: known.get((identifier, instance)),
        )
        made = {
            "request": (symmetric, replace(client, context=MINE), service),
            "reply": (symmetric, replace(service, context=MINE), replace(client, context=MINE)),
            "rst": (asymmetric, client, service),
            "rstr": (asymmetric, replace(service, peer=identity("client").certificate), client),
        }
        policy, sender, reader = made[name]
        return Channel(
            name=name,
            policy=policy(**changes),
            sender=sender,
            reader=reader,
            environment=self.environment(limits),
        )


def wrap(recipient: Identity, key: bytes) -> bytes:
    """A key, encrypted to somebody's public key."""
    public = recipient.certificate.public_key()
    assert isinstance(public, RSAPublicKey)
    return encryption.wrap_key(RSA_OAEP_MGF1P, public, key)


def wrapped_key(recipient: Identity, key: bytes, ids: Iterable[str]) -> etree._Element:
    """An EncryptedKey to somebody's public certificate, which anybody can make."""
    value = wrap(recipient, key)
    thumb = base64.b64encode(thumbprint(recipient.certificate)).decode()
    listed = "".join(f'<xenc:DataReference URI="#{name}"/>' for name in ids)
    return element(
        '<xenc:EncryptedKey Id="EK-evil">'
        f'<xenc:EncryptionMethod Algorithm="{RSA_OAEP_MGF1P}"/>'
        "<ds:KeyInfo><wsse:SecurityTokenReference><wsse:KeyIdentifier "
        'ValueType="http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1#ThumbprintSHA1">'
        f"{thumb}</wsse:KeyIdentifier></wsse:SecurityTokenReference></ds:KeyInfo>"
        f"<xenc:CipherData><xenc:CipherValue>{base64.b64encode(value).decode()}</xenc:CipherValue>"
        f"</xenc:CipherData><xenc:ReferenceList>{listed}</xenc:ReferenceList></xenc:EncryptedKey>"
    )


def encrypted_data(key: bytes, plaintext: bytes, *, name: str, kind: str = "Content") -> etree._Element:
    """An EncryptedData under a key of the attacker's choice; an EncryptedKey says which."""
    octets = encryption.encrypt(AES128_CBC, key, plaintext, secrets.token_bytes)
    return element(
        f'<xenc:EncryptedData Id="{name}" Type="http://www.w3.org/2001/04/xmlenc#{kind}">'
        f'<xenc:EncryptionMethod Algorithm="{AES128_CBC}"/>'
        "<xenc:CipherData><xenc:CipherValue>"
        f"{base64.b64encode(octets).decode()}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>"
    )


def sign_as(message: Message, signer: Identity, target: etree._Element | None = None) -> None:
    """Replace the key and the value of a signature by those of a certificate, which joins the header."""
    target = message.signature if target is None else target
    der = base64.b64encode(signer.certificate.public_bytes(Encoding.DER)).decode()
    message.security.insert(
        0,
        element(
            f'<wsse:BinarySecurityToken wsu:Id="BST-evil" ValueType="{X509_V3}">{der}</wsse:BinarySecurityToken>'
        ),
    )
    info, value, key_info = target
    key_info[:] = [
        element(
            '<wsse:SecurityTokenReference><wsse:Reference URI="#BST-evil"/></wsse:SecurityTokenReference>'
        )
    ]
    info[1].set("Algorithm", RSA_SHA1)
    value.text = base64.b64encode(signer.sign(canonicalize(info), RSA_SHA1)).decode()
