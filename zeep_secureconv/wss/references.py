"""wsse:SecurityTokenReference: written for every kind of token, and read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from xml.sax.saxutils import escape, quoteattr

from cryptography import x509
from lxml import etree

from ..errors import ConfigurationError, VerificationError
from ..names import (
    BASE64_BINARY,
    DS,
    ENCRYPTED_KEY_SHA1,
    ENCRYPTED_KEY_TYPE,
    USERNAME_TOKEN,
    WSC_2005,
    WSC_200512,
    WSSE,
    WSSE11,
    X509_SKI,
    X509_THUMBPRINT,
    dk_type,
    sct_type,
)
from ..policy.model import ReferenceStyle, Wss, X509Token
from . import base64
from .certificates import is_issued_as, issuer_name, subject_key_identifier, thumbprint
from .forms import octets_of
from .keys import ContextKey

_STYLES = (ReferenceStyle.KEY_IDENTIFIER, ReferenceStyle.ISSUER_SERIAL, ReferenceStyle.THUMBPRINT)


@dataclass(frozen=True)
class TokenReference:
    """What a SecurityTokenReference says.

    Exactly one of *uri*, *key_identifier*, *issuer_serial* and *embedded* is set.

    Args:
        uri: wsse:Reference/@URI: "#id" of a token in the message, or a context's Identifier.
        instance: wsse:Reference/@wsc:Instance.
        value_type: the ValueType attribute, or None.
        key_identifier: the octets of a wsse:KeyIdentifier; *value_type* says of what.
        issuer_serial: (X509IssuerName, X509SerialNumber).
        embedded: the token in a wsse:Embedded.
        nonce: of an implied derived key, or None.
        length: of an implied derived key, as text, or None.
    """

    uri: str | None = None
    instance: str | None = None
    value_type: str | None = None
    key_identifier: bytes | None = None
    issuer_serial: tuple[str, str] | None = None
    embedded: etree._Element | None = None
    nonce: bytes | None = field(default=None, repr=False)
    length: str | None = None

    @property
    def id(self) -> str | None:
        """The id that a same-document reference names."""
        return self.uri[1:] if self.uri and self.uri.startswith("#") else None


def read_reference(element: etree._Element | None) -> TokenReference:
    """What a wsse:SecurityTokenReference says.

    Raises:
        VerificationError: check "token-reference", when it is missing, or not of a known form.
    """
    if element is None or element.tag != f"{{{WSSE}}}SecurityTokenReference" or len(element) != 1:
        raise _unreadable()
    read = _READ.get(str(element[0].tag))
    reference = read(element[0]) if read is not None else None
    if reference is None:
        raise _unreadable()
    nonce = _either(element, "Nonce")
    if nonce is None:
        return reference
    try:
        return replace(reference, nonce=base64.decode(nonce), length=_either(element, "Length"))
    except ValueError:
        raise _unreadable() from None


def _either(element: etree._Element, local: str) -> str | None:
    """An attribute of WS-SecureConversation, of either generation."""
    value = element.get(f"{{{WSC_200512}}}{local}")
    return element.get(f"{{{WSC_2005}}}{local}") if value is None else value


def _direct(child: etree._Element) -> TokenReference | None:
    uri = child.get("URI")
    if not uri:
        return None
    return TokenReference(
        uri=uri, instance=_either(child, "Instance") or None, value_type=child.get("ValueType")
    )


def _identified(child: etree._Element) -> TokenReference:
    octets = octets_of(child, "token-reference")
    return TokenReference(key_identifier=octets, value_type=child.get("ValueType"))


def _issued(child: etree._Element) -> TokenReference | None:
    name = child.findtext(f"{{{DS}}}X509IssuerSerial/{{{DS}}}X509IssuerName")
    serial = child.findtext(f"{{{DS}}}X509IssuerSerial/{{{DS}}}X509SerialNumber")
    return TokenReference(issuer_serial=(name, serial)) if name and serial else None


def _embedded(child: etree._Element) -> TokenReference | None:
    return TokenReference(embedded=child[0]) if len(child) == 1 else None


_READ: dict[str, Callable[[etree._Element], TokenReference | None]] = {
    f"{{{WSSE}}}Reference": _direct,
    f"{{{WSSE}}}KeyIdentifier": _identified,
    f"{{{DS}}}X509Data": _issued,
    f"{{{WSSE}}}Embedded": _embedded,
}


def _unreadable() -> VerificationError:
    return VerificationError("token-reference", "A SecurityTokenReference is missing or of an unknown form")


def means(reference: TokenReference, certificate: x509.Certificate) -> bool:
    """Whether a reference by key identifier or issuer and serial number means this certificate."""
    if reference.issuer_serial is not None:
        return is_issued_as(certificate, *reference.issuer_serial)
    if reference.key_identifier is None:
        return False
    known = {X509_SKI: subject_key_identifier, X509_THUMBPRINT: thumbprint}
    identify = known.get(reference.value_type or "")
    return identify is not None and identify(certificate) == reference.key_identifier


def find_certificate(
    reference: TokenReference, candidates: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    """The first of *candidates* that the reference means."""
    return next((certificate for certificate in candidates if means(reference, certificate)), None)


def choose_style(token: X509Token, wss: Wss | None, certificate: x509.Certificate) -> ReferenceStyle:
    """How to name a certificate that is not in the message.

    A style that the token requires wins; then what Wss10/Wss11 names, key identifier before issuer and serial
    before thumbprint; otherwise issuer and serial, which every certificate has (as WSS4J does).

    Raises:
        ConfigurationError: when the policy demands a key identifier and the certificate has none.
    """
    demanded = [style for style in _STYLES if style in token.references]
    supported = [style for style in _STYLES if wss is not None and style in wss.references]
    has_ski = subject_key_identifier(certificate) is not None
    for style in demanded or supported:
        if style is not ReferenceStyle.KEY_IDENTIFIER or has_ski:
            return style
    if demanded:
        raise ConfigurationError(
            "The policy names certificates by SubjectKeyIdentifier, and this certificate has none",
            hint="use a certificate with the SubjectKeyIdentifier extension",
        )
    return ReferenceStyle.ISSUER_SERIAL


def x509_reference(style: ReferenceStyle, certificate: x509.Certificate) -> str:
    """A SecurityTokenReference that names a certificate (WSS X.509 token profile 1.1, section 3.2)."""
    if style is ReferenceStyle.ISSUER_SERIAL:
        inner = (
            f"<ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>{escape(issuer_name(certificate))}"
            f"</ds:X509IssuerName><ds:X509SerialNumber>{certificate.serial_number}</ds:X509SerialNumber>"
            "</ds:X509IssuerSerial></ds:X509Data>"
        )
    elif style is ReferenceStyle.KEY_IDENTIFIER:
        identifier = subject_key_identifier(certificate)
        assert identifier is not None
        inner = _key_identifier(X509_SKI, identifier)
    else:
        inner = _key_identifier(X509_THUMBPRINT, thumbprint(certificate))
    return f"<wsse:SecurityTokenReference>{inner}</wsse:SecurityTokenReference>"


def _key_identifier(value_type: str, octets: bytes) -> str:
    return (
        f'<wsse:KeyIdentifier EncodingType="{BASE64_BINARY}" ValueType="{value_type}">'
        f"{base64.encode(octets)}</wsse:KeyIdentifier>"
    )


def token_reference(token_id: str, value_type: str) -> str:
    """A SecurityTokenReference to a token in the same header."""
    return (
        f'<wsse:SecurityTokenReference><wsse:Reference URI="#{token_id}" ValueType="{value_type}"/>'
        "</wsse:SecurityTokenReference>"
    )


def derived_key_reference(token_id: str, wsc: str) -> str:
    """A SecurityTokenReference to a DerivedKeyToken in the same header."""
    return token_reference(token_id, dk_type(wsc))


def encrypted_key_reference(key_id: str, *, typed: bool = False) -> str:
    """A SecurityTokenReference to an EncryptedKey in the same header (BSP 1.1, R3069).

    Args:
        key_id: its Id.
        typed: with the ValueType on the reference too, as the stacks write it for signatures and derived keys.
    """
    value_type = f' ValueType="{ENCRYPTED_KEY_TYPE}"' if typed else ""
    return (
        f'{_ENCRYPTED_KEY_START}<wsse:Reference URI="#{key_id}"{value_type}/></wsse:SecurityTokenReference>'
    )


def encrypted_key_sha1_reference(sha1: bytes) -> str:
    """A SecurityTokenReference to the EncryptedKey of the request that is answered (WSS 1.1, section 7.7)."""
    return f"{_ENCRYPTED_KEY_START}{_key_identifier(ENCRYPTED_KEY_SHA1, sha1)}</wsse:SecurityTokenReference>"


_ENCRYPTED_KEY_START = (
    f'<wsse:SecurityTokenReference xmlns:wsse11="{WSSE11}" wsse11:TokenType="{ENCRYPTED_KEY_TYPE}">'
)


def username_reference(token_id: str) -> str:
    """A SecurityTokenReference to a UsernameToken in the same header (UsernameToken Profile 1.1, section 3.2)."""
    return token_reference(token_id, USERNAME_TOKEN)


def embedded_reference(token: str) -> str:
    """A SecurityTokenReference that holds the token itself (WSS 1.1, section 7.4)."""
    return (
        f"<wsse:SecurityTokenReference><wsse:Embedded>{token}</wsse:Embedded></wsse:SecurityTokenReference>"
    )


def context_reference(key: ContextKey, *, token_id: str | None) -> str:
    """A SecurityTokenReference to a security context.

    The reference that came with the token is used as it is; without one (Rampart, WebSphere's renewals) it is
    made. WS-SecureConversation 1.4, section 8.

    Args:
        key: the context's key.
        token_id: wsu:Id of the token when it is in the same header, None when it is not.
    """
    given = key.unattached if token_id is None else key.attached
    if given is not None:
        return given.decode()
    if token_id is not None:
        return token_reference(token_id, sct_type(key.wsc))
    instance = f' xmlns:wsc="{key.wsc}" wsc:Instance={quoteattr(key.instance)}' if key.instance else ""
    return (
        f"<wsse:SecurityTokenReference><wsse:Reference URI={quoteattr(key.identifier)} "
        f'ValueType="{sct_type(key.wsc)}"{instance}/></wsse:SecurityTokenReference>'
    )
