"""What a client asks of the trust service, judged: what is granted of it, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import unquote, urlsplit

from lxml import etree

from ..environment import Environment
from ..errors import LimitExceeded, SecureConversationError, VerificationError
from ..limits import Limits
from ..names import WSC_OF_WST, WST_2005, sct_type
from ..policy.model import DerivedKeys
from ..trust import (
    ContextToken,
    Dialect,
    Entropy,
    Lifetime,
    RequestSecurityToken,
    RequestType,
    TokenReference,
    request_from_xml,
)
from ..wss.kdf import p_sha1
from .policies import ConversationPolicy
from .terms import Terms


class RequestRefused(SecureConversationError):
    """The trust service refuses a request.

    Args:
        code: local name of the WS-Trust fault (WS-Trust 1.3, section 11).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class AgreedKey:
    """The key of a context, and what an answer says of it.

    Args:
        secret: the key.
        entropy: what the service added to it, or None.
        proof: the key itself, where it is the service's alone, or None.
    """

    secret: bytes = field(repr=False)
    entropy: Entropy | None = None
    proof: bytes | None = field(default=None, repr=False)


def read_request(payload: etree._Element | None, dialect: Dialect, limits: Limits) -> RequestSecurityToken:
    """The request in a message that was verified.

    Args:
        payload: the child of its Body.
        dialect: that of its Action.
        limits: bounds on what it may hold.

    Raises:
        RequestRefused: when it is none, or is not of the generation of its Action.
    """
    if payload is None:
        raise RequestRefused("InvalidRequest", "The request is empty")
    try:
        request = request_from_xml(payload, limits)
    except (VerificationError, LimitExceeded) as error:
        raise RequestRefused("InvalidRequest", error.message) from error
    if request.wst != dialect.wst:
        raise RequestRefused("InvalidRequest", "Action and Body are of two generations of WS-Trust")
    return request


def check_request(
    request: RequestSecurityToken,
    kind: RequestType,
    policy: ConversationPolicy,
    terms: Terms,
    places: Iterable[str],
) -> None:
    """Refuse a request for what is not given, or from somebody who means another endpoint.

    What only expresses a wish may be left out of account (WS-Trust 1.3, section 3.1); what would give another token
    than the one asked for may not.

    Args:
        request: the request.
        kind: what its Action says.
        policy: the conversation that contexts are for.
        terms: what is granted.
        places: what the endpoint is called, see :func:`is_for`.

    Raises:
        RequestRefused: when it is refused.
    """
    wst = request.wst
    if request.request_type is not kind:
        raise RequestRefused("InvalidRequest", "RequestType and Action do not agree")
    if wst == WST_2005 != policy.wst and not terms.allow_200502:
        raise RequestRefused("InvalidRequest", "The draft version of February 2005 is not answered")
    if request.unsupported or request.entropy_encrypted_key is not None:
        raise RequestRefused("InvalidRequest", "The request asks for what is not supported")
    # WS-Trust's own TokenType for a validation asks for nothing but the status
    status = f"{wst}/RSTR/Status" if kind is RequestType.VALIDATE else None
    if request.token_type not in (None, status, sct_type(WSC_OF_WST[wst])):
        raise RequestRefused("InvalidRequest", "Only SecurityContextTokens are issued here")
    asymmetric = request.entropy is not None and request.entropy.type_uri == f"{wst}/AsymmetricKey"
    if request.key_type not in (None, f"{wst}/SymmetricKey") or asymmetric:
        raise RequestRefused("InvalidRequest", "The key of a context is symmetric")
    if request.applies_to is None:
        if policy.requires_applies_to and kind is RequestType.ISSUE:
            raise RequestRefused("InvalidRequest", "The policy demands AppliesTo")
    elif not is_for(request.applies_to, places):
        raise RequestRefused("InvalidScope", "The request is for another endpoint")


def is_for(address: str, places: Iterable[str]) -> bool:
    """Whether the address in AppliesTo means this endpoint.

    Scheme, host and port are not compared: behind a proxy the service does not know those that clients use. The path
    must be that of the endpoint, or the address must be the very name that it was given.

    Args:
        address: what the client wrote.
        places: what the endpoint is called: its path, and the name that contexts are bound to, which may be a URL.
            The path is that of PEP 3333, decoded.
    """
    path = _path(address)
    return any(address == place or path == (_path(place) or place) for place in places)


def _path(address: str) -> str | None:
    """The path of a URL, as PEP 3333 has it in PATH_INFO; None for what is no URL of HTTP."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    return unquote(parts.path, encoding="latin-1") or "/"


def target_of(request: RequestSecurityToken) -> tuple[str, str | None]:
    """(Identifier, Instance) of the context that a request is about.

    Raises:
        RequestRefused: when it does not say.
    """
    target: ContextToken | TokenReference | None = request.target
    if isinstance(target, ContextToken):
        return target.identifier, target.instance
    if target is None or target.uri.startswith("#"):
        raise RequestRefused("InvalidRequest", "The request does not name a context by its Identifier")
    return target.uri, target.instance


def granted_lifetime(wanted: Lifetime | None, terms: Terms, environment: Environment) -> timedelta:
    """How long a context lives from now: as long as was asked for, within the terms.

    What counts is the length of the lifetime that was asked for, since the client's clock may be off; where it began
    longer ago than that explains, what is left of it.

    Raises:
        RequestRefused: when it is over, ends before it begins, or begins later: no context is postdated.
    """
    if wanted is None:
        return terms.lifetime
    now, skew = environment.clock.now(), environment.clock_skew
    created, expires = wanted.created or now, wanted.expires
    if created > now + skew:
        raise RequestRefused("InvalidTimeRange", "The context is not wanted yet")
    if expires is None:
        return terms.lifetime
    if expires <= created or expires <= now - skew:
        raise RequestRefused("InvalidTimeRange", "The lifetime that is asked for is over before it begins")
    asked = expires - (created if created >= now - skew else now)
    return min(terms.lifetime, max(terms.minimum_lifetime, asked))


def agree_on_key(
    request: RequestSecurityToken, policy: ConversationPolicy, terms: Terms, environment: Environment
) -> AgreedKey:
    """The key of a new context: computed from both entropies, or of one side (WS-Trust 1.3, 4.4.3 and 4.4.4).

    Raises:
        RequestRefused: when the client's part is missing, too short, or to be used in another way.
    """
    client = request.entropy.secret if request.entropy is not None else None
    if client is None and request.request_type is RequestType.ISSUE and _needs_client(policy, terms):
        raise RequestRefused("InvalidRequest", "The request lacks the client's entropy")
    alone = client is not None and terms.key_entropy == "client"
    size = _key_size(request.key_size or (len(client) if client and alone else 0), policy, terms)
    if client is not None and alone:
        if len(client) != size:
            raise RequestRefused(
                "InvalidRequest", "The client's entropy is no key of the length that is given"
            )
        return AgreedKey(client)
    own = environment.random(size)
    if client is None or terms.key_entropy == "service":
        return AgreedKey(own, proof=own)
    if request.computed_key_algorithm not in (None, f"{request.wst}/CK/PSHA1"):
        raise RequestRefused("InvalidRequest", "Keys are computed with P_SHA1 only")
    return AgreedKey(p_sha1(client, own, size), Entropy(own, f"{request.wst}/Nonce"))


def _needs_client(policy: ConversationPolicy, terms: Terms) -> bool:
    trust = policy.application.trust
    return terms.key_entropy == "client" or (trust is not None and trust.require_client_entropy)


def _key_size(wanted: int, policy: ConversationPolicy, terms: Terms) -> int:
    """Length of a new key, in bytes."""
    assert policy.application.binding is not None
    suite = policy.application.binding.algorithm_suite
    if policy.token.derived_keys is DerivedKeys.NONE:
        # Metro and CXF ask for 256 bits under every suite, and would take all of them for the key of a cipher
        return suite.encryption_key_length
    if terms.key_size is not None:
        return terms.key_size
    return min(max(wanted, suite.minimum_key_length), suite.maximum_key_length)
