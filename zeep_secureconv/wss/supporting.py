"""Supporting tokens of outgoing messages: what stands in the header besides the keys (WS-SecurityPolicy 1.2, 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from ..errors import ConfigurationError, PolicyError
from ..names import WSU
from ..policy.model import (
    Direction,
    PasswordForm,
    Policy,
    SecureConversationToken,
    SuppliedToken,
    SupportingToken,
    Token,
    TransportBinding,
    UsernameToken,
    X509Token,
)
from .credentials import LtpaToken, kind_of
from .credentials import UsernameToken as UsernameCredential
from .header import SAML_IDS
from .message_keys import username_of
from .pieces import KeyRequest, Piece, SigningKey
from .tokens import write_certificate

_ID = f"{{{WSU}}}Id"


@dataclass(frozen=True, kw_only=True, eq=False)
class Carried:
    """A supporting token of a message.

    Args:
        entry: what the policy says of it.
        piece: the token, or None where it is not in the message.
        key: what endorses with it.
        encrypted: whether it is encrypted.
    """

    entry: SupportingToken
    piece: Piece | None
    key: SigningKey | None = None
    encrypted: bool = False


def hides_tokens(policy: Policy, direction: Direction) -> bool:
    """Whether any supporting token of a message is encrypted."""
    return direction is Direction.REQUEST and any(is_encrypted(entry, policy) for entry in policy.supporting)


def is_encrypted(entry: SupportingToken, policy: Policy) -> bool:
    """Whether a token is encrypted: where the policy says so, and a password in any case (as CXF and WCF do).

    TLS encrypts everything.
    """
    if isinstance(policy.binding, TransportBinding):
        return False
    token = entry.token
    reveals = isinstance(token, UsernameToken) and token.password is PasswordForm.TEXT and not entry.endorsing
    return entry.encrypted or reveals


def supporting_tokens(
    request: KeyRequest, endorsing: tuple[SigningKey, ...], now: datetime
) -> tuple[Carried, ...]:
    """The supporting tokens of a message, in the order of its policy; answers have none.

    Args:
        request: says the policy, the keys and the tokens there are.
        endorsing: the keys of the endorsing ones, in their order.
        now: aware UTC.

    Raises:
        ConfigurationError: when the user has no such token.
        PolicyError: when it cannot be made.
    """
    if request.direction is not Direction.REQUEST:
        return ()
    keys = iter(endorsing)
    carried = []
    for entry in request.policy.supporting:
        key = next(keys) if entry.endorsing else None
        piece = key.token if key is not None else _WRITE[type(entry.token)](entry.token, request, now)
        hidden = is_encrypted(entry, request.policy) and piece is not None
        carried.append(Carried(entry=entry, piece=piece, key=key, encrypted=hidden))
    return tuple(carried)


def _username(token: UsernameToken, request: KeyRequest, now: datetime) -> Piece:
    credential, name = username_of(request.keyring), request.ids.new("UsernameToken")
    return Piece(text=credential.write(token, name, request.random, now), id=name)


def _supplied(token: SuppliedToken, request: KeyRequest, _now: datetime) -> Piece:
    for credential in request.keyring.tokens:
        if isinstance(credential, UsernameCredential) or credential.leg not in (None, request.keyring.leg):
            continue
        if isinstance(credential, LtpaToken) and not credential.satisfies(token):
            continue
        element = credential.element()  # once: a function may give another one each time
        if not token.accepts or kind_of(element) in token.accepts:
            attribute = SAML_IDS.get(str(element.tag), _ID)
            if element.get(attribute) is None:
                element.set(attribute, request.ids.new("token"))
            # text, as it was written: a QName in its content needs its declaration
            return Piece(text=etree.tostring(element, encoding="unicode"), id=element.get(attribute) or "")
    kind = ", ".join(sorted(token.accepts)) or "token"
    raise ConfigurationError(
        f"The policy wants a token ({etree.QName(token.assertion).localname}: {kind}), and there is none",
        hint="give tokens=[LtpaToken(…)] or tokens=[XmlToken(…)]",
    )


def _certificate(token: X509Token, request: KeyRequest, _now: datetime) -> Piece:
    identity = request.keyring.signing
    if identity is None:
        raise ConfigurationError(
            "The policy wants our certificate in the message, and there is none",
            hint="give identity=Identity.from_pkcs12(…) or Identity.from_pem(…)",
        )
    name = request.ids.new("X509")
    return Piece(
        text=write_certificate(token.token_type, identity.certificate, identity.chain, name)[0], id=name
    )


def _context(_token: SecureConversationToken, _request: KeyRequest, _now: datetime) -> Piece:
    raise PolicyError("A SecureConversationToken supports a message only by endorsing it")


_WRITE: dict[type[Token], Callable[..., Piece]] = {
    UsernameToken: _username,
    SuppliedToken: _supplied,
    X509Token: _certificate,
    SecureConversationToken: _context,
}
