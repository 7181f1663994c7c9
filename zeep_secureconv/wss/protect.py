"""Makes one message look like its policy says: signs, encrypts, and writes the wsse:Security header."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from ..clock import RandomBytes
from ..environment import Environment
from ..errors import ConfigurationError, PolicyError
from ..names import BASE64_BINARY, DS, EXC_C14N, WSSE, WSSE11, WSU, X509_V3, XENC, XENC_CONTENT, XENC_ELEMENT
from ..policy.model import (
    AsymmetricBinding,
    DerivedKeys,
    Direction,
    Layout,
    Policy,
    SecureConversationToken,
    SymmetricBinding,
    X509Token,
)
from ..soap.envelope import Soap
from . import base64, encryption, references, signature
from .c14n import canonicalize
from .certificates import may_encrypt, may_sign
from .kdf import derive_key
from .keys import ContextKey, Keyring
from .tokens import write_time

_ID = f"{{{WSU}}}Id"
_NONCE_BYTES = 16

# lxml makes up ns0, ns1 … for attributes; people read these messages
etree.register_namespace("wsu", WSU)
etree.register_namespace("wsse11", WSSE11)


@dataclass(frozen=True, kw_only=True)
class Protected:
    """What was sent: what the reply must answer to.

    Args:
        message_id: the request's MessageID, or None when it has none.
        signature_values: every SignatureValue in it, in bytes.
        context: the context key it was protected with, or None for a bootstrap message.
        signed: names of the signed parts, for people.
        encrypted: names of the encrypted parts, for people.
    """

    message_id: str | None
    signature_values: tuple[bytes, ...]
    context: ContextKey | None
    signed: tuple[str, ...]
    encrypted: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _SigningKey:
    """Makes the signature: *tokens* stand in the header before it, *reference* is its KeyInfo."""

    algorithm: str
    sign: Callable[[bytes], bytes]
    reference: str
    tokens: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _EncryptionKey:
    """Encrypts parts. *tokens* stand in the header before the data; *carrier* wraps a ReferenceList, so that a
    key that travels with the message (EncryptedKey) holds the list itself.
    """

    key: bytes = field(repr=False)
    reference: str
    tokens: tuple[str, ...] = ()
    carrier: Callable[[str], str] = str


@dataclass(frozen=True, kw_only=True)
class _Keys:
    """*shared* tokens come first: what both keys are made from."""

    signing: _SigningKey
    encryption: _EncryptionKey | None
    shared: tuple[str, ...] = ()
    context: ContextKey | None = None


class _Ids:
    """Ids that no other message has."""

    def __init__(self, random: RandomBytes) -> None:
        self._base = random(12).hex()
        self._count = 0

    def new(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self._base}-{self._count}"


def protect(
    soap: Soap,
    policy: Policy,
    keyring: Keyring,
    environment: Environment,
    *,
    direction: Direction,
    message_id: str | None = None,
) -> Protected:
    """Sign and encrypt a message in place, as *policy* says.

    Args:
        soap: the message in the clear, with its addressing headers.
        policy: the effective policy of this message.
        keyring: the keys to use.
        direction: whether the message goes to the recipient or back.
        message_id: its MessageID, kept in the result.

    Raises:
        PolicyError: when the policy asks for what cannot be done.
        ConfigurationError: when a key is missing.
    """
    binding = policy.binding
    if binding is None:
        raise PolicyError("The policy has no security binding, so nothing would be protected")
    if any(child.tag == f"{{{WSSE}}}Security" for child in soap.blocks()):
        raise ConfigurationError(
            "The message has a wsse:Security header already",
            hint="remove other WS-Security plugins from wsse= and plugins=; supporting tokens go to tokens=",
        )
    ids = _Ids(environment.random)
    signed = _give_ids(_signed_parts(soap, policy), ids)
    headers = [block for block in soap.blocks() if policy.encrypted.header(str(block.tag))]
    encrypts = policy.encrypted.body or bool(headers) or binding.encrypt_signature
    keys = _KEYS[type(binding)](binding, policy, keyring, environment.random, direction, ids, encrypts)
    cipher = _Cipher(binding.algorithm_suite.encryption, keys.encryption, environment.random, ids)
    names = tuple(etree.QName(part).localname for part in signed)

    if binding.encrypt_before_signing:
        cipher.encrypt_parts(soap, body=policy.encrypted.body, headers=headers)
        # a header that was encrypted is now inside an EncryptedHeader: the block in its place is signed
        signed = _give_ids(_signed_parts(soap, policy, also=f"{{{WSSE11}}}EncryptedHeader"), ids)
    digests = [(part.get(_ID, ""), _digest(binding.algorithm_suite.digest, part)) for part in signed]
    timestamp = ids.new("TS") if binding.include_timestamp else None
    planned = cipher.plan(
        body=policy.encrypted.body, headers=len(headers), signature=binding.encrypt_signature
    )
    security = _parse_header(soap, _header_text(binding, keys, planned, timestamp, digests, environment, ids))
    soap.need_header().append(security)
    value = _sign(security, binding.algorithm_suite.digest, keys.signing, timestamp)
    if not binding.encrypt_before_signing:
        cipher.encrypt_parts(soap, body=policy.encrypted.body, headers=headers)
    if binding.encrypt_signature:
        cipher.encrypt_element(security.find(f"{{{DS}}}Signature"))
    return Protected(
        message_id=message_id,
        signature_values=(value,),
        context=keys.context,
        signed=(("Timestamp",) if timestamp else ()) + names,
        encrypted=tuple(cipher.done),
    )


def _signed_parts(soap: Soap, policy: Policy, *, also: str = "") -> list[etree._Element]:
    parts = [block for block in soap.blocks() if policy.signed.header(str(block.tag)) or block.tag == also]
    return [soap.body, *parts] if policy.signed.body else parts


def _give_ids(parts: list[etree._Element], ids: _Ids) -> list[etree._Element]:
    for part in parts:
        if part.get(_ID) is None:
            part.set(_ID, ids.new("id"))
    return parts


def _digest(algorithm: str, part: etree._Element) -> str:
    return base64.encode(signature.digest(algorithm, canonicalize(part)))


# ------------------------------------------------------------------------------------------------- keys


def _symmetric_keys(
    binding: SymmetricBinding,
    policy: Policy,
    keyring: Keyring,
    random: RandomBytes,
    direction: Direction,
    ids: _Ids,
    encrypts: bool,
) -> _Keys:
    """Keys from a security context (WS-SecurityPolicy 1.2, section 7.4 with a SecureConversationToken)."""
    token = binding.signature_token
    if not isinstance(token, SecureConversationToken) or binding.encryption_token != token:
        raise PolicyError(
            "A SymmetricBinding is supported with a SecureConversationToken as its ProtectionToken only"
        )
    if keyring.context is None:
        raise ConfigurationError("There is no security context to protect the message with")
    context = keyring.context
    suite = binding.algorithm_suite
    included = token.include.in_message(direction)
    inside = context.token_id if included else None
    by_id = inside if included and not token.require_external_uri_reference else None
    reference = references.context_reference(context, token_id=by_id)
    if token.derived_keys not in _CONTEXT_KEYS:
        raise PolicyError("Implied derived keys are not supported", hint="ask the service for explicit ones")
    make = partial(_CONTEXT_KEYS[token.derived_keys], context, reference, random, ids)
    mac_key, mac_reference, mac_tokens = make(length=suite.signature_key_length, signing=True)
    signing = _SigningKey(
        algorithm=suite.symmetric_signature,
        sign=partial(signature.mac, suite.symmetric_signature, mac_key),
        reference=mac_reference,
        tokens=mac_tokens,
    )
    encryption_key = None
    if encrypts:
        key, key_reference, tokens = make(length=suite.encryption_key_length, signing=False)
        encryption_key = _EncryptionKey(key=key, reference=key_reference, tokens=tokens)
    shared = (context.token.decode(),) if included else ()
    return _Keys(signing=signing, encryption=encryption_key, shared=shared, context=context)


def _explicit_key(
    context: ContextKey, reference: str, random: RandomBytes, ids: _Ids, *, length: int, signing: bool
) -> tuple[bytes, str, tuple[str, ...]]:
    """A key of its own for this use, with a fresh nonce (WS-SecureConversation 1.4, section 7.1)."""
    nonce = random(_NONCE_BYTES)
    name = ids.new("DK")
    text = (
        f'<wsc:DerivedKeyToken xmlns:wsc="{context.wsc}" wsu:Id="{name}">{reference}<wsc:Offset>0</wsc:Offset>'
        f"<wsc:Length>{length}</wsc:Length><wsc:Nonce>{base64.encode(nonce)}</wsc:Nonce></wsc:DerivedKeyToken>"
    )
    key = derive_key(context.secret, nonce, length=length)
    return key, references.derived_key_reference(name, context.wsc), (text,)


def _raw_key(
    context: ContextKey, reference: str, _random: RandomBytes, _ids: _Ids, *, length: int, signing: bool
) -> tuple[bytes, str, tuple[str, ...]]:
    """The context's key itself: whole for signatures, its first bytes for encryption (as WSS4J does)."""
    return (context.secret if signing else context.secret[:length]), reference, ()


_CONTEXT_KEYS = {DerivedKeys.EXPLICIT: _explicit_key, DerivedKeys.NONE: _raw_key, DerivedKeys.ANY: _raw_key}


def _asymmetric_keys(
    binding: AsymmetricBinding,
    policy: Policy,
    keyring: Keyring,
    random: RandomBytes,
    direction: Direction,
    ids: _Ids,
    encrypts: bool,
) -> _Keys:
    """RSA keys of both sides (WS-SecurityPolicy 1.2, section 7.5)."""
    token = binding.signature_token(direction)
    if token is None:
        raise PolicyError("The AsymmetricBinding has no token that signs this message")
    encryption_key = None
    if encrypts:
        recipient = binding.encryption_token(direction)
        if recipient is None:
            raise PolicyError("The AsymmetricBinding has no token that this message is encrypted to")
        encryption_key = _encrypted_key(binding, recipient, policy, keyring, random, ids)
    return _Keys(signing=_rsa_key(binding, token, policy, keyring, direction, ids), encryption=encryption_key)


def _rsa_key(
    binding: AsymmetricBinding,
    token: X509Token,
    policy: Policy,
    keyring: Keyring,
    direction: Direction,
    ids: _Ids,
) -> _SigningKey:
    identity = keyring.signing
    if identity is None:
        raise ConfigurationError(
            "The policy wants messages signed with a certificate, and there is none",
            hint="give identity=Identity.from_pkcs12(…) or Identity.from_pem(…)",
        )
    if not may_sign(identity.certificate):
        raise ConfigurationError(
            "Our certificate's KeyUsage does not allow signatures",
            hint="give a pair identity=(for signing, for encryption), or a certificate with digitalSignature",
        )
    algorithm = binding.algorithm_suite.asymmetric_signature
    tokens: tuple[str, ...] = ()
    if token.include.in_message(direction):
        name = ids.new("X509")
        der = base64.encode(identity.certificate.public_bytes(Encoding.DER))
        tokens = (
            f'<wsse:BinarySecurityToken EncodingType="{BASE64_BINARY}" ValueType="{X509_V3}" wsu:Id="{name}">'
            f"{der}</wsse:BinarySecurityToken>",
        )
        reference = references.binary_token_reference(name)
    else:
        style = references.choose_style(token, policy.wss, identity.certificate)
        reference = references.x509_reference(style, identity.certificate)
    return _SigningKey(
        algorithm=algorithm,
        sign=lambda data: identity.sign(data, algorithm),
        reference=reference,
        tokens=tokens,
    )


def _encrypted_key(
    binding: AsymmetricBinding,
    token: X509Token,
    policy: Policy,
    keyring: Keyring,
    random: RandomBytes,
    ids: _Ids,
) -> _EncryptionKey:
    certificate = keyring.peer
    if certificate is None:
        raise ConfigurationError(
            "The policy wants messages encrypted to the other side, and its certificate is not known",
            hint="give peer='server.pem'",
        )
    public_key = certificate.public_key()
    if not isinstance(public_key, RSAPublicKey) or not may_encrypt(certificate):
        raise ConfigurationError(
            "The other side's certificate cannot be used for the encryption of keys",
            hint="give a certificate with an RSA key and KeyUsage keyEncipherment",
        )
    suite = binding.algorithm_suite
    key = random(encryption.key_length(suite.encryption))
    wrapped = base64.encode(encryption.wrap_key(suite.asymmetric_key_wrap, public_key, key))
    style = references.choose_style(token, policy.wss, certificate)
    name = ids.new("EK")

    def carrier(reference_list: str) -> str:
        return (
            f'<xenc:EncryptedKey Id="{name}"><xenc:EncryptionMethod Algorithm="{suite.asymmetric_key_wrap}"/>'
            f"<ds:KeyInfo>{references.x509_reference(style, certificate)}</ds:KeyInfo>"
            f"<xenc:CipherData><xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData>{reference_list}"
            "</xenc:EncryptedKey>"
        )

    return _EncryptionKey(key=key, reference=references.encrypted_key_reference(name), carrier=carrier)


_KEYS: dict[type, Callable[..., _Keys]] = {
    SymmetricBinding: _symmetric_keys,
    AsymmetricBinding: _asymmetric_keys,
}


# ----------------------------------------------------------------------------------------------- header


def _header_text(
    binding: SymmetricBinding | AsymmetricBinding,
    keys: _Keys,
    planned: list[str],
    timestamp: str | None,
    digests: list[tuple[str, str]],
    environment: Environment,
    ids: _Ids,
) -> str:
    """The children of wsse:Security in order.

    What comes first was applied last: WSS4J works from the top down, so the ReferenceList stands before the
    Signature when the message was signed first. Tokens stand before what uses them (Layout Strict), which every
    layout allows.
    """
    encrypt = keys.encryption
    listed = ""
    if encrypt is not None and planned:
        items = "".join(f'<xenc:DataReference URI="#{data_id}"/>' for data_id in planned)
        listed = encrypt.carrier(f"<xenc:ReferenceList>{items}</xenc:ReferenceList>")
    encryption_tokens = encrypt.tokens if encrypt is not None and planned else ()
    signed = _signature_text(binding, keys.signing, timestamp, digests, ids)
    if binding.encrypt_before_signing:
        rest = [*encryption_tokens, *keys.signing.tokens, signed, listed]
    elif isinstance(binding, AsymmetricBinding):
        rest = [listed, *keys.signing.tokens, signed]
    else:
        rest = [*keys.signing.tokens, *encryption_tokens, listed, signed]
    stamp = [_timestamp_text(timestamp, environment)] if timestamp else []
    last = binding.layout is Layout.LAX_TIMESTAMP_LAST
    return "".join([*keys.shared, *rest, *stamp] if last else [*stamp, *keys.shared, *rest])


def _timestamp_text(name: str, environment: Environment) -> str:
    now = environment.clock.now()
    return (
        f'<wsu:Timestamp wsu:Id="{name}"><wsu:Created>{write_time(now)}</wsu:Created>'
        f"<wsu:Expires>{write_time(now + environment.message_lifetime)}</wsu:Expires></wsu:Timestamp>"
    )


def _signature_text(
    binding: SymmetricBinding | AsymmetricBinding,
    key: _SigningKey,
    timestamp: str | None,
    digests: list[tuple[str, str]],
    ids: _Ids,
) -> str:
    """The ds:Signature; the digest of the Timestamp and the value are filled in when it stands in the message."""
    suite = binding.algorithm_suite
    parts = [(timestamp, ""), *digests] if timestamp else digests
    listed = "".join(
        f'<ds:Reference URI="#{name}"><ds:Transforms><ds:Transform Algorithm="{EXC_C14N}"/></ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{suite.digest}"/><ds:DigestValue>{value}</ds:DigestValue></ds:Reference>'
        for name, value in parts
    )
    return (
        f'<ds:Signature Id="{ids.new("SIG")}"><ds:SignedInfo>'
        f'<ds:CanonicalizationMethod Algorithm="{EXC_C14N}"/>'
        f'<ds:SignatureMethod Algorithm="{key.algorithm}"/>{listed}</ds:SignedInfo><ds:SignatureValue/>'
        f"<ds:KeyInfo>{key.reference}</ds:KeyInfo></ds:Signature>"
    )


def _parse_header(soap: Soap, children: str) -> etree._Element:
    return etree.fromstring(
        f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" xmlns:ds="{DS}" xmlns:xenc="{XENC}" '
        f'xmlns:soap="{soap.version}" soap:mustUnderstand="1">{children}</wsse:Security>'
    )


def _sign(security: etree._Element, digest: str, key: _SigningKey, timestamp: str | None) -> bytes:
    """Fill in what depends on where the header stands; prefixes may change when it joins the envelope."""
    element = security.find(f"{{{DS}}}Signature")
    assert element is not None
    info, value_element = element[0], element[1]
    if timestamp is not None:
        stamp = security.find(f"{{{WSU}}}Timestamp")
        assert stamp is not None
        info[2][2].text = _digest(digest, stamp)
    value = key.sign(canonicalize(info))
    value_element.text = base64.encode(value)
    return value


# ------------------------------------------------------------------------------------------- encryption


class _Cipher:
    """Encrypts parts of one message with one key."""

    def __init__(self, algorithm: str, key: _EncryptionKey | None, random: RandomBytes, ids: _Ids) -> None:
        self._algorithm = algorithm
        self._key = key
        self._random = random
        self._ids = ids
        self._names: list[str] = []
        self.done: list[str] = []

    def plan(self, *, body: bool, headers: int, signature: bool) -> list[str]:
        """Names for the EncryptedData elements to come; what was encrypted already has its name."""
        while len(self._names) < body + headers + signature:
            self._names.append(self._ids.new("ED"))
        return self._names

    def encrypt_parts(self, soap: Soap, *, body: bool, headers: list[etree._Element]) -> None:
        """Encrypt the content of Body, and header blocks into EncryptedHeader (WSS 1.1, section 9.3)."""
        self.plan(body=body, headers=len(headers), signature=False)
        if body:
            self._encrypt_content(soap.body)
        for block in headers:
            wrapper = etree.Element(f"{{{WSSE11}}}EncryptedHeader")
            wrapper.set(_ID, self._ids.new("EH"))
            for name in (
                f"{{{soap.version}}}mustUnderstand",
                f"{{{soap.version}}}actor",
                f"{{{soap.version}}}role",
            ):
                if name in block.attrib:
                    wrapper.set(name, block.attrib[name])
            parent = block.getparent()
            assert parent is not None
            parent.replace(block, wrapper)
            wrapper.append(self._data(XENC_ELEMENT, etree.tostring(block, encoding="utf-8", with_tail=False)))
            self.done.append(etree.QName(block).localname)

    def encrypt_element(self, element: etree._Element | None) -> None:
        """Replace an element by its encrypted form."""
        assert element is not None
        parent = element.getparent()
        assert parent is not None
        data = self._data(XENC_ELEMENT, etree.tostring(element, encoding="utf-8", with_tail=False))
        parent.replace(element, data)
        self.done.append(etree.QName(element).localname)

    def _encrypt_content(self, body: etree._Element) -> None:
        first = (body.text or "").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        first = first.replace("\r", "&#13;")
        children = [etree.tostring(child, encoding="utf-8") for child in body]
        plaintext = b"".join([first.encode(), *children])
        for child in list(body):
            body.remove(child)
        body.text = None
        body.append(self._data(XENC_CONTENT, plaintext))
        self.done.append("Body")

    def _data(self, kind: str, plaintext: bytes) -> etree._Element:
        assert self._key is not None
        name = self._names[len(self.done)]
        data = etree.fromstring(
            f'<xenc:EncryptedData xmlns:xenc="{XENC}" Id="{name}" Type="{kind}">'
            f'<xenc:EncryptionMethod Algorithm="{self._algorithm}"/>'
            f'<ds:KeyInfo xmlns:ds="{DS}" xmlns:wsse="{WSSE}">{self._key.reference}</ds:KeyInfo>'
            "<xenc:CipherData><xenc:CipherValue/></xenc:CipherData></xenc:EncryptedData>"
        )
        octets = encryption.encrypt(self._algorithm, self._key.key, plaintext, self._random)
        data[2][0].text = base64.encode_octets(octets)
        return data
