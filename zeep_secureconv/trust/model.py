"""What WS-Trust messages for a SecurityContextToken say, as frozen values without any XML tree.

Lengths of keys are in bytes here and in bits on the wire; times are aware. Secrets never show in a ``repr``.
Names are those of WS-Trust 1.3 (OASIS ws-trust-1.3-os) and hold for the 2005/02 generation too.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime

from ..names import sct_type


class RequestType(enum.Enum):
    """wst:RequestType: what a request asks for (WS-Trust 1.3, 3.1). Values are the ends of the URIs."""

    ISSUE = "Issue"
    RENEW = "Renew"
    CANCEL = "Cancel"
    VALIDATE = "Validate"

    def uri(self, wst: str) -> str:
        """The URI of this type in the generation *wst*."""
        return f"{wst}/{self.value}"


@dataclass(frozen=True)
class Entropy:
    """wst:Entropy with a wst:BinarySecret: what one side contributes to the key (WS-Trust 1.3, 4.1).

    Args:
        secret: the contribution.
        type_uri: BinarySecret's Type, usually ``{wst}/Nonce``; None where the peer wrote none.
    """

    secret: bytes = field(repr=False)
    type_uri: str | None = None


@dataclass(frozen=True)
class Lifetime:
    """wst:Lifetime: from when to when a token holds; either end may be open.

    Raises:
        ValueError: a time without its time zone.
    """

    created: datetime | None
    expires: datetime | None

    def __post_init__(self) -> None:
        for moment in (self.created, self.expires):
            if moment is not None and moment.utcoffset() is None:
                raise ValueError("a Lifetime needs aware times")


@dataclass(frozen=True)
class Renewing:
    """wst:Renewing: whether a token may be renewed, and whether even after it expired (WS-Trust 1.3, 5)."""

    allow: bool = True
    ok: bool = False


@dataclass(frozen=True)
class TokenReference:
    """A wsse:SecurityTokenReference with its wsse:Reference.

    Args:
        uri: "#" and a wsu:Id where the token stands in the same message, otherwise the token's Identifier.
        value_type: the token type; CXF leaves it out after a renewal that did not ask for a TokenType.
        instance: @wsc:Instance, which names one key of a context that has several.
        xml: the wsse:SecurityTokenReference as it was received, or None for one of our own. Where it is given
            it is what gets written, verbatim. It does not count when references are compared.
    """

    uri: str
    value_type: str | None = None
    instance: str | None = None
    xml: bytes | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class ContextToken:
    """A wsc:SecurityContextToken (WS-SecureConversation 1.3, 2).

    Args:
        identifier: wsc:Identifier, the name of the context.
        instance: wsc:Instance, the name of one of its keys, or None for the first one.
        id: wsu:Id, the name of this element.
        wsc: namespace of the generation that it is written in.
        xml: the element as it was received, with every namespace declaration that was in scope. This is what
            is sent back, verbatim, never a copy built from the fields above: a token may hold a Cookie or
            other children that only its issuer understands. It does not count when tokens are compared.
    """

    identifier: str
    instance: str | None
    id: str | None
    wsc: str
    xml: bytes = field(repr=False, compare=False)

    @property
    def attached(self) -> TokenReference | None:
        """The reference for messages that hold the token, for issuers that give none; None without wsu:Id."""
        return TokenReference(f"#{self.id}", sct_type(self.wsc)) if self.id else None

    @property
    def unattached(self) -> TokenReference:
        """The reference for messages that do not hold the token, for issuers that give none."""
        return TokenReference(self.identifier, sct_type(self.wsc), self.instance)


@dataclass(frozen=True, kw_only=True)
class RequestSecurityToken:
    """wst:RequestSecurityToken, as far as a SecurityContextToken needs it.

    Args:
        wst: namespace of the generation.
        request_type: what is asked for.
        token_type: the type of token asked for, a URI.
        context: @Context, which an answer echoes.
        applies_to: the address of the endpoint that the token is for; None means the recipient.
        entropy: the requester's contribution to the key.
        entropy_encrypted_key: the xenc:EncryptedKey that stands in wst:Entropy instead of it, as received.
        key_size: wanted length of the key, in bytes.
        lifetime: wanted lifetime.
        computed_key_algorithm: how the key is to be computed from two entropies, a URI.
        key_type: the kind of key, a URI.
        renewing: whether the token is to be renewable.
        target: the token to renew, cancel or validate.
        unsupported: local names of children which ask for what is not supported; to leave them out of account
            would give the requester another token than it asked for.
    """

    wst: str
    request_type: RequestType
    token_type: str | None = None
    context: str | None = None
    applies_to: str | None = None
    entropy: Entropy | None = None
    entropy_encrypted_key: bytes | None = field(default=None, repr=False)
    key_size: int | None = None
    lifetime: Lifetime | None = None
    computed_key_algorithm: str | None = None
    key_type: str | None = None
    renewing: Renewing | None = None
    target: ContextToken | TokenReference | None = None
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RequestSecurityTokenResponse:
    """wst:RequestSecurityTokenResponse, as far as a SecurityContextToken needs it.

    Of *computed_key*, *proof_secret* and *proof_encrypted_key* at most one is given: together they are
    wst:RequestedProofToken.

    Args:
        wst: namespace of the generation.
        token_type: the type of the token, a URI.
        context: @Context of the request.
        token: the token issued or renewed.
        attached: how messages that hold the token refer to it.
        unattached: how messages that do not hold the token refer to it.
        computed_key: the key is computed from both entropies; the URI says how.
        proof_secret: the key itself.
        proof_encrypted_key: the xenc:EncryptedKey that holds the key, as received.
        entropy: the issuer's contribution to the key.
        entropy_encrypted_key: the xenc:EncryptedKey that stands in wst:Entropy instead of it, as received.
        lifetime: when the token holds.
        key_size: length of the key, in bytes.
        renewing: whether the token can be renewed.
        applies_to: the address of the endpoint that the token is for.
        cancelled: whether the answer says that the token was cancelled.
        status: the code of a validation, a URI.
    """

    wst: str
    token_type: str | None = None
    context: str | None = None
    token: ContextToken | None = None
    attached: TokenReference | None = None
    unattached: TokenReference | None = None
    computed_key: str | None = None
    proof_secret: bytes | None = field(default=None, repr=False)
    proof_encrypted_key: bytes | None = field(default=None, repr=False)
    entropy: Entropy | None = None
    entropy_encrypted_key: bytes | None = field(default=None, repr=False)
    lifetime: Lifetime | None = None
    key_size: int | None = None
    renewing: Renewing | None = None
    applies_to: str | None = None
    cancelled: bool = False
    status: str | None = None

    @property
    def attached_xml(self) -> bytes | None:
        """The attached wsse:SecurityTokenReference as it was received, to be used verbatim."""
        return self.attached.xml if self.attached is not None else None

    @property
    def unattached_xml(self) -> bytes | None:
        """The unattached wsse:SecurityTokenReference as it was received, to be used verbatim."""
        return self.unattached.xml if self.unattached is not None else None
