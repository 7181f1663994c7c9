"""What a user proves himself with besides certificates: tokens as they are sent, and as they are received."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from ..clock import RandomBytes
from ..errors import ConfigurationError
from ..names import BASE64_BINARY, PASSWORD_TYPE, WSSE, WSSE11, WSU
from ..policy.model import PasswordForm, SuppliedToken
from ..policy.model import UsernameToken as UsernamePolicy
from . import base64
from .times import write_time

#: The part of a conversation that a token is for: requests for contexts, or calls.
Leg = Literal["bootstrap", "application"]

_LTPA = {
    1: "{http://www.ibm.com/websphere/appserver/tokentype/5.0.2}LTPA",
    2: "{http://www.ibm.com/websphere/appserver/tokentype}LTPAv2",
}
_BINARY = f"{{{WSSE}}}BinarySecurityToken"
_ID = f"{{{WSU}}}Id"
_NONCE_BYTES = 16


@dataclass(frozen=True)
class UsernameToken:
    """A user's name and password (WSS UsernameToken Profile 1.1).

    Whether the password travels as text or as a digest is the policy's to say. As text it leaves encrypted or over
    TLS only.

    Args:
        username: the name.
        password: the password, or what gives it; None where the policy asks for none.
        leg: "bootstrap" or "application", where it is for one of them only.
    """

    username: str
    password: str | Callable[[], str] | None = field(default=None, repr=False)
    leg: Leg | None = field(default=None, kw_only=True)

    @property
    def cache_key(self) -> str:
        """What tells users apart, so that they never share a context."""
        return f"username {self.username}"

    def secret(self) -> str:
        """The password.

        Raises:
            ConfigurationError: when there is none.
        """
        password = self.password() if callable(self.password) else self.password
        if password is None:
            raise ConfigurationError(
                "The policy wants a user name with a password, and there is no password",
                hint="give username=UsernameToken('alice', 'password')",
            )
        return password

    def write(self, policy: UsernamePolicy, name: str, random: RandomBytes, now: datetime) -> str:
        """The wsse:UsernameToken that *policy* asks for, with the id *name*.

        Args:
            policy: the assertion.
            name: its wsu:Id.
            random: gives the nonce.
            now: aware UTC.
        """
        parts = [f"<wsse:Username>{escape(self.username)}</wsse:Username>"]
        digest = policy.password is PasswordForm.DIGEST
        nonce, created = random(_NONCE_BYTES), write_time(now)
        if policy.password is not PasswordForm.NONE:
            password = self.secret()
            value = password_digest(nonce, created, password) if digest else password
            parts.append(
                f'<wsse:Password Type="{PASSWORD_TYPE}#{policy.password.value}">{escape(value)}</wsse:Password>'
            )
        if digest or policy.nonce:
            parts.append(f'<wsse:Nonce EncodingType="{BASE64_BINARY}">{base64.encode(nonce)}</wsse:Nonce>')
        if digest or policy.created:
            parts.append(f"<wsu:Created>{created}</wsu:Created>")
        return _username_token(name, parts)

    def write_derived(self, name: str, salt: bytes, iterations: int) -> str:
        """The wsse:UsernameToken from whose password a key is made (UsernameToken Profile 1.1, section 4)."""
        return _username_token(
            name,
            [
                f"<wsse:Username>{escape(self.username)}</wsse:Username>",
                f"<wsse11:Salt>{base64.encode(salt)}</wsse11:Salt>",
                f"<wsse11:Iteration>{iterations}</wsse11:Iteration>",
            ],
        )


def _username_token(name: str, parts: list[str]) -> str:
    start = f'<wsse:UsernameToken xmlns:wsse="{WSSE}" xmlns:wsse11="{WSSE11}" xmlns:wsu="{WSU}"'
    return f"{start} wsu:Id={quoteattr(name)}>{''.join(parts)}</wsse:UsernameToken>"


def password_digest(nonce: bytes, created: str, password: str) -> str:
    """Base64 of SHA-1(nonce + created + password) (UsernameToken Profile 1.1, section 3.1)."""
    return base64.encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest())


@dataclass(frozen=True)
class LtpaToken:
    """A WebSphere LTPA token, as its LtpaToken2 (LtpaToken) cookie holds it.

    Args:
        value: the text of the cookie, or what gives it.
        version: 2, or 1 for LtpaToken.
        leg: "bootstrap" or "application", where it is for one of them only.
        cache_key: what tells its user from others, so that they never share a context; needed with a callable.
    """

    value: str | Callable[[], str] = field(repr=False)
    version: int = 2
    leg: Leg | None = field(default=None, kw_only=True)
    cache_key: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if self.version not in _LTPA:
            raise ConfigurationError(f"There is no LTPA version {self.version}", hint="give 1 or 2")
        object.__setattr__(self, "cache_key", _need_cache_key(self.value, self.cache_key))

    def satisfies(self, policy: SuppliedToken) -> bool:
        """Whether the assertion asks for LTPA of this version, or for any token."""
        return not policy.accepts or _LTPA[self.version] in policy.accepts

    def element(self) -> etree._Element:
        """A wsse:BinarySecurityToken, as WebSphere writes it: no EncodingType, the ValueType a QName."""
        value = self.value() if callable(self.value) else self.value
        namespace, _, local = _LTPA[self.version][1:].partition("}")
        encoding = ' EncodingType="wsse:Base64Binary"' if self.version == 1 else ""
        return etree.fromstring(
            f'<wsse:BinarySecurityToken xmlns:wsse="{WSSE}" xmlns:wsst="{namespace}" ValueType="wsst:{local}"'
            f"{encoding}>{escape(value.strip())}</wsse:BinarySecurityToken>"
        )


@dataclass(frozen=True)
class XmlToken:
    """Any token as XML: a SAML assertion, a wsse:BinarySecurityToken of whatever kind.

    Args:
        token: the element, its text, or what gives either.
        leg: "bootstrap" or "application", where it is for one of them only.
        cache_key: what tells its user from others, so that they never share a context; needed with a callable.
    """

    token: etree._Element | str | bytes | Callable[[], etree._Element | str | bytes] = field(repr=False)
    leg: Leg | None = field(default=None, kw_only=True)
    cache_key: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        token = self.token
        known = token if callable(token) or isinstance(token, (str, bytes)) else etree.tostring(token)
        object.__setattr__(self, "cache_key", _need_cache_key(known, self.cache_key))

    def satisfies(self, policy: SuppliedToken) -> bool:
        """Whether the assertion asks for a token of this name or type, or for any token."""
        return not policy.accepts or kind_of(self.element()) in policy.accepts

    def element(self) -> etree._Element:
        """The token.

        Raises:
            ConfigurationError: when it is not XML.
        """
        token = self.token() if callable(self.token) else self.token
        text = token if isinstance(token, (str, bytes)) else etree.tostring(token, with_tail=False)
        try:
            return etree.fromstring(
                text, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
            )
        except (etree.XMLSyntaxError, ValueError) as error:
            raise ConfigurationError(
                f"An XmlToken is not XML: {error}", hint="give an element, or the text of one"
            ) from None


def _need_cache_key(value: object, cache_key: str) -> str:
    if cache_key:
        return cache_key
    if callable(value):
        raise ConfigurationError(
            "A token that is made by a function needs a cache_key",
            hint="give cache_key= a text that is another one for every user",
        )
    octets = value if isinstance(value, bytes) else str(value).encode()
    return f"token {hashlib.sha256(octets).hexdigest()[:16]}"


def kind_of(token: etree._Element) -> str:
    """What an XML token is: its tag, or the ValueType of a wsse:BinarySecurityToken, a QName as Clark name."""
    if token.tag != _BINARY:
        return str(token.tag)
    value = token.get("ValueType", "").strip()
    prefix, colon, local = value.partition(":")
    namespace = token.nsmap.get(prefix) if colon else None
    if namespace:
        return f"{{{namespace}}}{local}"
    # neither a URI nor a QName begins so: it would pass for a Clark name, which only a tag or a prefix gives
    return "" if value.startswith("{") else value


Credential = UsernameToken | LtpaToken | XmlToken


@dataclass(frozen=True, kw_only=True)
class ReceivedUsername:
    """A wsse:UsernameToken of a verified message.

    Args:
        username: the name.
        password: the password, where it came as text.
        digest: where it came as a digest, that.
        nonce, created: what the digest is over, as they were sent.
        proven: whether a signature by a key made from the password was verified: nothing more needs to be checked.
    """

    username: str
    password: str | None = field(default=None, repr=False)
    digest: str | None = field(default=None, repr=False)
    nonce: bytes = field(default=b"", repr=False)
    created: str = ""
    proven: bool = False

    def matches(self, password: str) -> bool:
        """Whether the token was made with this password."""
        if self.proven:
            return True
        if self.digest is not None:
            wanted = password_digest(self.nonce, self.created, password)
            return hmac.compare_digest(self.digest.encode(), wanted.encode())
        return self.password is not None and hmac.compare_digest(self.password.encode(), password.encode())


@dataclass(frozen=True, kw_only=True)
class ReceivedToken:
    """Another token of a verified message.

    Args:
        kind: its tag, or its ValueType where it is a wsse:BinarySecurityToken.
        element: the token itself, in the message.
    """

    kind: str
    element: etree._Element = field(repr=False)
