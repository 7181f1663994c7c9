"""Security tokens in a header: SecurityContextToken, DerivedKeyToken, BinarySecurityToken, Timestamp."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from ..errors import LimitExceeded, VerificationError
from ..limits import Limits
from ..names import (
    BASE64_BINARY,
    PASSWORD_TYPE,
    WSC_2005,
    WSC_200512,
    WSSE,
    WSSE11,
    WSU,
    X509_PKI_PATH,
    X509_V3,
)
from . import base64
from .certificates import UNREADABLE, read_through
from .credentials import ReceivedUsername
from .forms import children_of, octets_of, only, text_of
from .references import TokenReference, read_reference
from .times import read_time

_ID = f"{{{WSU}}}Id"
_DERIVATIONS = frozenset(f"{wsc}/dk/p_sha1" for wsc in (WSC_2005, WSC_200512))


_SEQUENCE = 0x30
_LONGEST_PATH = 10
_TIMES = {f"{{{WSU}}}{local}": local for local in ("Created", "Expires")}
#: Length of a derived key that does not say it, in bytes (WS-SecureConversation 1.4, section 7.1).
DEFAULT_LENGTH = 32
#: The children of a DerivedKeyToken by its own tag. Properties would rename what the key is derived from; no stack
#: sends them.
_DERIVED_KEY = {
    f"{{{wsc}}}DerivedKeyToken": {
        f"{{{WSSE}}}SecurityTokenReference": "SecurityTokenReference",
        **{f"{{{wsc}}}{local}": local for local in ("Generation", "Offset", "Length", "Label", "Nonce")},
    }
    for wsc in (WSC_2005, WSC_200512)
}


@dataclass(frozen=True, kw_only=True)
class DerivedKeyToken:
    """wsc:DerivedKeyToken (WS-SecureConversation 1.4, section 7).

    Args:
        source: the token it is derived from.
        offset: in bytes.
        length: in bytes; None when it is not said.
        label: None for the default label.
    """

    source: TokenReference
    offset: int
    length: int | None
    label: str | None
    nonce: bytes


def read_derived_key(element: etree._Element, limits: Limits) -> DerivedKeyToken:
    """The DerivedKeyToken that *element* holds.

    Raises:
        VerificationError: check "derived-key", when it is malformed or asks for what is not supported.
        LimitExceeded: check "derived-key", when a value is out of bounds.
    """
    tag = str(element.tag)
    children = children_of(element, _DERIVED_KEY[tag], "derived-key")
    # CXF reads the attribute with the namespace, WCF and the schema without
    algorithm = element.get("Algorithm") or element.get(f"{tag.partition('}')[0]}}}Algorithm")
    if algorithm is not None and algorithm not in _DERIVATIONS:
        raise _derived_key_error("asks for another derivation than P_SHA1")
    length = _number(children["Length"], limits.derived_length) if "Length" in children else None
    if length == 0:
        raise _derived_key_error("asks for a key of no length")
    label = text_of(children["Label"], "derived-key") if "Label" in children else ""
    if len(label) > limits.label_chars:
        raise LimitExceeded("derived-key", "A DerivedKeyToken's Label is too long")
    nonce = octets_of(children["Nonce"], "derived-key") if "Nonce" in children else b""
    if not 0 < len(nonce) <= limits.nonce_bytes:
        raise LimitExceeded("derived-key", "A DerivedKeyToken's Nonce is missing or too long")
    return DerivedKeyToken(
        source=read_reference(children.get("SecurityTokenReference")),
        offset=_offset(children, length or DEFAULT_LENGTH, limits),
        length=length,
        label=label or None,
        nonce=nonce,
    )


def _offset(children: dict[str, etree._Element], length: int, limits: Limits) -> int:
    """Where the key starts: Offset, or Generation keys of the same length further on."""
    if "Generation" not in children:
        return _number(children["Offset"], limits.derived_offset) if "Offset" in children else 0
    if "Offset" in children:
        raise _derived_key_error("has both Generation and Offset")
    return _number(children["Generation"], limits.derived_offset // length) * length


def _number(element: etree._Element, maximum: int) -> int:
    return read_number(text_of(element, "derived-key"), maximum)


def read_number(text: str, maximum: int) -> int:
    """A number of a derivation.

    Raises:
        VerificationError: check "derived-key", when it is none.
        LimitExceeded: check "derived-key", when it is larger than *maximum*.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise _derived_key_error("has a number that is none")
    if int(text) > maximum:
        raise LimitExceeded("derived-key", "A DerivedKeyToken's number is out of bounds")
    return int(text)


def _derived_key_error(what: str) -> VerificationError:
    return VerificationError("derived-key", f"A DerivedKeyToken {what}")


@dataclass(frozen=True, kw_only=True)
class ContextTokenName:
    """What a wsc:SecurityContextToken in a header says: which context, and which instance of it."""

    identifier: str
    instance: str | None


def read_context_token(element: etree._Element, limits: Limits) -> ContextTokenName:
    """The name that a wsc:SecurityContextToken holds.

    Raises:
        VerificationError: check "context-token", when Identifier is missing, or it or Instance stands twice.
    """
    wsc = str(element.tag).partition("}")[0]
    identifier = text_of(only(element, f"{wsc}}}Identifier", "context-token"), "context-token")
    instances = list(element.iterchildren(f"{wsc}}}Instance"))
    if len(instances) > 1:
        raise VerificationError("context-token", "A SecurityContextToken has two Instances")
    instance = text_of(instances[0], "context-token") if instances else None
    if not 0 < len(identifier) <= limits.identifier_chars or len(instance or "") > limits.identifier_chars:
        raise LimitExceeded("context-token", "A SecurityContextToken's Identifier is missing or too long")
    return ContextTokenName(identifier=identifier, instance=instance)


def read_certificates(element: etree._Element) -> list[x509.Certificate]:
    """The certificates in a wsse:BinarySecurityToken: one, or a path whose end comes last.

    Raises:
        VerificationError: check "token", when it is no X.509 v3 certificate and no path of them.
    """
    split = {X509_V3: lambda der: [der], X509_PKI_PATH: _path_members}.get(element.get("ValueType", ""))
    if split is not None and element.get("EncodingType", BASE64_BINARY) == BASE64_BINARY:
        try:
            found = [
                x509.load_der_x509_certificate(der) for der in split(base64.decode(text_of(element, "token")))
            ]
            for certificate in found:
                read_through(certificate)
            if found:
                return found
        except UNREADABLE:
            pass
    raise VerificationError("token", "A BinarySecurityToken is no X.509 certificate")


def write_certificate(
    token_type: str, certificate: x509.Certificate, chain: tuple[x509.Certificate, ...], name: str
) -> tuple[str, str]:
    """(a wsse:BinarySecurityToken with the certificate, its ValueType).

    Args:
        token_type: local name of the policy's token type; "…PkiPath…" makes a path.
        certificate: the certificate.
        chain: what issued it, from its issuer upwards; sent in a path only.
        name: wsu:Id of the token.
    """
    octets, value_type = certificate.public_bytes(Encoding.DER), X509_V3
    if "PkiPath" in token_type:
        members = [c.public_bytes(Encoding.DER) for c in (*reversed(chain), certificate)]
        octets, value_type = _sequence(b"".join(members)), X509_PKI_PATH
    attributes = f'EncodingType="{BASE64_BINARY}" ValueType="{value_type}" wsu:Id="{name}"'
    text = (
        f'<wsse:BinarySecurityToken xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" {attributes}>'
        f"{base64.encode(octets)}</wsse:BinarySecurityToken>"
    )
    return text, value_type


def _path_members(der: bytes) -> list[bytes]:
    """The members of a PkiPath, a DER SEQUENCE OF Certificate (ITU-T X.509; the end of the path comes last)."""
    content, rest = _take(der)
    if rest or len(der) - len(content) < 2:
        raise ValueError("something stands behind the path")
    members = []
    while content:
        inner, after = _take(content)
        members.append(content[: len(content) - len(after)])
        content = after
        if len(members) > _LONGEST_PATH or not inner:
            raise ValueError("the path is too long")
    return members


def _take(der: bytes) -> tuple[bytes, bytes]:
    """(content of the SEQUENCE at the start, what stands behind it)."""
    if len(der) < 2 or der[0] != _SEQUENCE:
        raise ValueError("no SEQUENCE")
    length, start = der[1], 2
    if length >= 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(der[2:start], "big")
        if not 2 < start <= 6:
            raise ValueError("a length that is not DER")
    if len(der) < start + length:
        raise ValueError("cut short")
    return der[start : start + length], der[start + length :]


def _sequence(content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([_SEQUENCE, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([_SEQUENCE, 0x80 | len(octets)]) + octets + content


@dataclass(frozen=True)
class Timestamp:
    """wsu:Timestamp. Times are aware UTC; *expires* is None when it is not said."""

    created: datetime
    expires: datetime | None


def read_timestamp(element: etree._Element) -> Timestamp:
    """The wsu:Timestamp that *element* holds.

    Raises:
        VerificationError: check "timestamp", when Created is missing or a time is malformed.
    """
    children = children_of(element, _TIMES, "timestamp")
    if "Created" not in children:
        raise VerificationError("timestamp", "The Timestamp has no Created")
    expires = children.get("Expires")
    return Timestamp(
        read_time(text_of(children["Created"], "timestamp")),
        read_time(text_of(expires, "timestamp")) if expires is not None else None,
    )


def token_id(element: etree._Element) -> str | None:
    """The wsu:Id of a token."""
    return element.get(_ID)


_USERNAME_PARTS = {
    **{f"{{{WSSE}}}{local}": local for local in ("Username", "Password", "Nonce")},
    f"{{{WSU}}}Created": "Created",
    **{f"{{{WSSE11}}}{local}": local for local in ("Salt", "Iteration")},
}


def read_username(element: etree._Element, limits: Limits) -> ReceivedUsername:
    """What a wsse:UsernameToken says (WSS UsernameToken Profile 1.1, section 3).

    Raises:
        VerificationError: check "username-token", when it is malformed.
        LimitExceeded: check "username-token", when something in it is too long.
    """
    children = children_of(element, _USERNAME_PARTS, "username-token")
    texts = {name: text_of(child, "username-token") for name, child in children.items()}
    if not texts.get("Username") or any(len(text) > limits.identifier_chars for text in texts.values()):
        raise LimitExceeded("username-token", "A UsernameToken has no name, or something too long")
    nonce = octets_of(children["Nonce"], "username-token") if "Nonce" in children else b""
    if len(nonce) > limits.nonce_bytes:
        raise LimitExceeded("username-token", "A UsernameToken's Nonce is too long")
    # the text of a password counts as it is, white space around it too
    password = children["Password"].text or "" if "Password" in children else None
    kind = children["Password"].get("Type", "") if "Password" in children else ""
    digest = kind == f"{PASSWORD_TYPE}#PasswordDigest"
    if kind and not digest and kind != f"{PASSWORD_TYPE}#PasswordText":
        raise VerificationError("username-token", "A UsernameToken has a password of an unknown kind")
    return ReceivedUsername(
        username=texts["Username"],
        password=None if digest else password,
        digest=password.strip() if digest and password is not None else None,
        nonce=nonce,
        created=texts.get("Created", ""),
    )


@dataclass(frozen=True, kw_only=True)
class SaltedUsername:
    """A wsse:UsernameToken from whose password a key is made."""

    username: str
    salt: bytes
    iterations: int


def read_salted_username(element: etree._Element, limits: Limits) -> SaltedUsername:
    """What a wsse:UsernameToken with a Salt says (WSS UsernameToken Profile 1.1, section 4).

    Raises:
        VerificationError: check "username-token", when it is malformed, or has a password.
        LimitExceeded: check "username-token", when it asks for too much work.
    """
    children = children_of(element, _USERNAME_PARTS, "username-token")
    if "Password" in children or not {"Username", "Salt"} <= set(children):
        raise VerificationError("username-token", "A UsernameToken gives no key")
    text = text_of(children["Iteration"], "username-token") if "Iteration" in children else "1000"
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise VerificationError("username-token", "A UsernameToken's Iteration is no number")
    salt = octets_of(children["Salt"], "username-token")
    username = text_of(children["Username"], "username-token")
    if not 1 <= int(text) <= limits.password_iterations or not 8 <= len(salt) <= limits.nonce_bytes:
        raise LimitExceeded("username-token", "A UsernameToken asks for too much work, or for none")
    if not 0 < len(username) <= limits.identifier_chars:
        raise LimitExceeded("username-token", "A UsernameToken has no name, or one too long")
    return SaltedUsername(username=username, salt=salt, iterations=int(text))
