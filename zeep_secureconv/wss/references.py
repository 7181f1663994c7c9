"""wsse:SecurityTokenReference: written for every kind of token, and read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from cryptography import x509
from lxml import etree

from ..errors import ConfigurationError, VerificationError
from ..names import (
    BASE64_BINARY,
    DS,
    ENCRYPTED_KEY_TYPE,
    WSC_2005,
    WSC_200512,
    WSSE,
    WSSE11,
    X509_SKI,
    X509_THUMBPRINT,
    X509_V3,
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

    Exactly one of *uri*, *key_identifier* and *issuer_serial* is set.

    Args:
        uri: wsse:Reference/@URI: "#id" of a token in the message, or a context's Identifier.
        instance: wsse:Reference/@wsc:Instance.
        value_type: the ValueType attribute, or None.
        key_identifier: the octets of a wsse:KeyIdentifier; *value_type* says of what.
        issuer_serial: (X509IssuerName, X509SerialNumber).
    """

    uri: str | None = None
    instance: str | None = None
    value_type: str | None = None
    key_identifier: bytes | None = None
    issuer_serial: tuple[str, str] | None = None

    @property
    def id(self) -> str | None:
        """The id that a same-document reference names."""
        return self.uri[1:] if self.uri and self.uri.startswith("#") else None


def read_reference(element: etree._Element | None) -> TokenReference:
    """What a wsse:SecurityTokenReference says.

    Raises:
        VerificationError: check "token-reference", when it is missing, or not of a known form.
    """
    if element is None or element.tag != f"{{{WSSE}}}SecurityTokenReference":
        raise _unreadable()
    if len(element) != 1:
        raise _unreadable()
    child = element[0]
    value_type = child.get("ValueType")
    if child.tag == f"{{{WSSE}}}Reference" and child.get("URI"):
        instance = child.get(f"{{{WSC_200512}}}Instance") or child.get(f"{{{WSC_2005}}}Instance")
        return TokenReference(uri=child.get("URI"), instance=instance, value_type=value_type)
    if child.tag == f"{{{WSSE}}}KeyIdentifier":
        octets = octets_of(child, "token-reference")
        return TokenReference(key_identifier=octets, value_type=value_type)
    if child.tag == f"{{{DS}}}X509Data":
        name = child.findtext(f"{{{DS}}}X509IssuerSerial/{{{DS}}}X509IssuerName")
        serial = child.findtext(f"{{{DS}}}X509IssuerSerial/{{{DS}}}X509SerialNumber")
        if name and serial:
            return TokenReference(issuer_serial=(name, serial))
    raise _unreadable()


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


def binary_token_reference(token_id: str) -> str:
    """A SecurityTokenReference to a BinarySecurityToken in the same header."""
    return token_reference(token_id, X509_V3)


def derived_key_reference(token_id: str, wsc: str) -> str:
    """A SecurityTokenReference to a DerivedKeyToken in the same header."""
    return token_reference(token_id, dk_type(wsc))


def encrypted_key_reference(key_id: str) -> str:
    """A SecurityTokenReference to an EncryptedKey in the same header (BSP 1.1, R3069)."""
    return (
        f'<wsse:SecurityTokenReference xmlns:wsse11="{WSSE11}" wsse11:TokenType="{ENCRYPTED_KEY_TYPE}">'
        f'<wsse:Reference URI="#{key_id}"/></wsse:SecurityTokenReference>'
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
