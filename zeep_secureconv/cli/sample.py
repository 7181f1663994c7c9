"""What messages under a policy look like: sample messages are really protected, and looked at.

Nothing here says what stands where in a header; that is asked of ``wss.protect``, with keys that exist for the
moment. What is hidden in a header is told by ``wss.unprotect``, which must accept the message anyhow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from ..clock import SYSTEM_CLOCK
from ..conversation.policies import ConversationPolicy
from ..environment import Environment
from ..names import DS, WSC_2005, WSC_200512, WSSE, WSU, XENC, sct_type
from ..policy.model import Direction, Parts, Policy, SuppliedToken, TransportBinding
from ..soap.addressing import address_reply, address_request
from ..soap.envelope import Soap, new_envelope, parse, serialize
from ..wss.certificates import Trust
from ..wss.credentials import Credential, Leg, LtpaToken, UsernameToken, XmlToken
from ..wss.keys import ContextKey, Identity, Keyring
from ..wss.protect import Protected, protect
from ..wss.unprotect import unprotect

_ENDPOINT = "https://service.example/endpoint"
_ACTION = "urn:sample"
_USER, _PASSWORD = "user", "password"
_LTPA = {
    "{http://www.ibm.com/websphere/appserver/tokentype/5.0.2}LTPA": 1,
    "{http://www.ibm.com/websphere/appserver/tokentype}LTPAv2": 2,
}
_ID = f"{{{WSU}}}Id"
_SECURITY = f"{{{WSSE}}}Security"
_SIGNATURE = f"{{{DS}}}Signature"
_ENCRYPTED_DATA = f"{{{XENC}}}EncryptedData"
_DERIVED = frozenset(f"{{{wsc}}}DerivedKeyToken" for wsc in (WSC_2005, WSC_200512))


@dataclass(frozen=True, kw_only=True)
class Child:
    """One child of wsse:Security.

    Args:
        name: its local name, as it is sent.
        hides: of an EncryptedData, the local name of what it hides.
        use: what it is for, in a few words; "" where its name says it.
    """

    name: str
    hides: str | None = None
    use: str = ""


@dataclass(frozen=True, kw_only=True)
class MessageLayout:
    """What one message looks like.

    Args:
        security: the children of wsse:Security, in order; none where the message has no such header.
        signed: the parts under its signatures, by name.
        encrypted: the parts that are encrypted, by name.
    """

    security: tuple[Child, ...]
    signed: tuple[str, ...]
    encrypted: tuple[str, ...]


@dataclass(frozen=True)
class Samples:
    """Sample messages between a client and a service that exist for the moment.

    Args:
        conversation: what secure conversation with the endpoint looks like.
        environment: time and randomness.
    """

    conversation: ConversationPolicy
    environment: Environment = field(default_factory=Environment)

    def exchange(
        self, leg: Leg, request: Policy, response: Policy | None, *, body: str | None = None
    ) -> tuple[MessageLayout, MessageLayout | None]:
        """The layouts of a request and of its answer.

        Args:
            leg: whether they ask for a context or use it.
            request: the policy of the request.
            response: that of the answer; None for a one-way operation.
            body: tag of what the Body of the request holds; None for an empty one.

        Raises:
            PolicyError: when a policy asks for what cannot be done.
        """
        soap = self._message(body)
        random = self.environment.random
        message_id = address_request(
            soap, wsa=self.conversation.wsa, to=_ENDPOINT, action=_ACTION, random=random
        )
        client = self._ring(leg, request, "client")
        # what must be in a message by the policy's own demand is for the caller to put there
        request = replace(request, required=Parts())
        sent = protect(
            soap, request, client, self.environment, direction=Direction.REQUEST, message_id=message_id
        )
        first = self._look(soap, request, self._ring(leg, request, "server"), sent)
        if response is None:
            return first, None
        answer = self._message(body)
        address_reply(answer, wsa=self.conversation.wsa, action=_ACTION, relates_to=message_id, random=random)
        response = replace(response, required=Parts())
        server = replace(self._ring(leg, request, "server"), ephemeral=sent.ephemeral)
        returned = protect(
            answer,
            response,
            server,
            self.environment,
            direction=Direction.RESPONSE,
            confirm=sent.signature_values,
        )
        client = replace(client, ephemeral=sent.ephemeral)
        return first, self._look(answer, response, client, returned, sent=sent.signature_values)

    def _message(self, body: str | None) -> Soap:
        soap = new_envelope(self.conversation.soap)
        if body is not None:
            etree.SubElement(soap.body, body)
        return soap

    def _ring(self, leg: Leg, policy: Policy, who: str) -> Keyring:
        """What the client or the service ("server") knows."""
        own, peer = _identities() if who == "client" else _identities()[::-1]
        return Keyring(
            signing=own,
            decrypting=own,
            peer=peer.certificate,
            signers=(peer.certificate,),
            trust=Trust(pins=(peer.certificate,)),
            role="server" if who == "client" else "client",
            context=None if leg == "bootstrap" else self._context,
            tokens=tuple(_credentials(policy)),
            leg=leg,
            password_of=lambda _: _PASSWORD,
            over_tls=isinstance(policy.binding, TransportBinding),
        )

    @cached_property
    def _context(self) -> ContextKey:
        wsc = self.conversation.application.wsc
        identifier = "urn:uuid:00000000-0000-4000-8000-000000000000"
        token = (
            f'<wsc:SecurityContextToken xmlns:wsc="{wsc}" xmlns:wsu="{WSU}" wsu:Id="context">'
            f"<wsc:Identifier>{identifier}</wsc:Identifier></wsc:SecurityContextToken>"
        )
        reference = '<wsse:SecurityTokenReference xmlns:wsse="{}"><wsse:Reference URI="{}" ValueType="{}"/>'
        attached, unattached = (
            (reference.format(WSSE, uri, sct_type(wsc)) + "</wsse:SecurityTokenReference>").encode()
            for uri in ("#context", identifier)
        )
        return ContextKey(
            identifier=identifier,
            instance=None,
            wsc=wsc,
            secret=self.environment.random(self.conversation.key_size),
            token=token.encode(),
            attached=attached,
            unattached=unattached,
        )

    def _look(
        self, soap: Soap, policy: Policy, ring: Keyring, made: Protected, *, sent: tuple[bytes, ...] = ()
    ) -> MessageLayout:
        """Take a message that was made apart, as its receiver can."""
        if _security(soap) is None:
            return MessageLayout(security=(), signed=made.signed, encrypted=made.encrypted)
        octets = serialize(soap.envelope)
        limits = self.environment.limits
        covered, clear = (Soap.of(parse(octets, limits)) for _ in range(2))
        clear = unprotect(clear, policy, ring, self.environment, sent=sent).soap
        children = tuple(_children(covered, clear))
        return MessageLayout(security=children, signed=made.signed, encrypted=made.encrypted)


def _security(soap: Soap) -> etree._Element | None:
    return next((block for block in soap.blocks() if block.tag == _SECURITY), None)


def _children(covered: Soap, clear: Soap) -> Iterator[Child]:
    """What the header of a message holds; *clear* is the same message, decrypted."""
    hidden, shown = _security(covered), _security(clear)
    assert hidden is not None
    assert shown is not None
    signing = {uri for signature in shown.iter(_SIGNATURE) for uri in _references(signature)}
    encrypting = {uri for data in covered.envelope.iter(_ENCRYPTED_DATA) for uri in _references(data)}
    signatures = {f"#{signature.get('Id')}" for signature in shown.iterchildren(_SIGNATURE)}
    for sent, read in zip(hidden, shown, strict=True):
        name = etree.QName(sent).localname
        if sent.tag == _ENCRYPTED_DATA and read.tag != _ENCRYPTED_DATA:
            yield Child(
                name=name, hides=etree.QName(read).localname, use=_use(read, signing, encrypting, signatures)
            )
        else:
            yield Child(name=name, use=_use(read, signing, encrypting, signatures))


def _use(child: etree._Element, signing: set[str], encrypting: set[str], signatures: set[str]) -> str:
    uri = f"#{child.get(_ID)}"
    if child.tag in _DERIVED:
        uses = [word for word, uris in (("signature", signing), ("encryption", encrypting)) if uri in uris]
        return " and ".join(uses)
    if child.tag == f"{{{WSSE}}}BinarySecurityToken":
        kind = child.get("ValueType", "")
        return "certificate" if "#X509" in kind else kind.replace("#", ":").rpartition(":")[2]
    if child.tag == _SIGNATURE and signatures & _signed(child):
        return "endorsing"
    return ""


def _references(element: etree._Element) -> set[str]:
    """The URIs in its KeyInfo."""
    return {
        reference.get("URI", "")
        for info in element.iterchildren(f"{{{DS}}}KeyInfo")
        for reference in info.iter(f"{{{WSSE}}}Reference")
    }


def _signed(signature: etree._Element) -> set[str]:
    return {reference.get("URI", "") for reference in signature.iter(f"{{{DS}}}Reference")}


def _credentials(policy: Policy) -> Iterator[Credential]:
    """Something for every token that a policy may ask for."""
    yield UsernameToken(_USER, _PASSWORD)
    for entry in policy.supporting:
        if isinstance(entry.token, SuppliedToken):
            yield _supplied(entry.token)


def _supplied(token: SuppliedToken) -> Credential:
    for kind in sorted(token.accepts, key=lambda kind: (-_LTPA.get(kind, 0), kind)):
        if kind in _LTPA:
            return LtpaToken("c2FtcGxl", _LTPA[kind])
        if kind.startswith("{"):
            return XmlToken(etree.Element(kind))
        return XmlToken(
            f'<wsse:BinarySecurityToken xmlns:wsse="{WSSE}" ValueType="{kind}">c2FtcGxl</wsse:BinarySecurityToken>'
        )
    return XmlToken('<Token xmlns="urn:sample"/>')


@cache
def _identities() -> tuple[Identity, Identity]:
    """(a client, a service), made once for the life of the process."""
    return _identity("client"), _identity("service")


def _identity(name: str) -> Identity:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = SYSTEM_CLOCK.now()
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Identity.from_pem(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
