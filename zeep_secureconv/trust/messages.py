"""WS-Trust messages for a SecurityContextToken: plain values to XML, and XML to plain values.

What is read has been verified before, but was still written by somebody else. Reading is lenient where the
stacks differ: white space around every text, any order of children, unknown children, AppliesTo in any
namespace, any Type of a BinarySecret, ids that are no NCName. It is strict where a second reader could take
another meaning from the same message: each child is there once, base64 and numbers have one form, and
everything has a bound.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lxml import etree

from ..limits import Limits
from ..names import WSU
from ._reader import TARGETS, Reader, elements, local_name, only_child, refuse
from ._writer import Writer
from .dialects import Dialect
from .model import (
    ContextToken,
    Entropy,
    Lifetime,
    Renewing,
    RequestSecurityToken,
    RequestSecurityTokenResponse,
    RequestType,
    TokenReference,
)

__all__ = [
    "ContextToken",
    "Entropy",
    "Lifetime",
    "Renewing",
    "RequestSecurityToken",
    "RequestSecurityTokenResponse",
    "RequestType",
    "TokenReference",
    "new_context_token",
    "request_from_xml",
    "request_to_xml",
    "response_from_xml",
    "response_to_xml",
]

_REQUEST_CHILDREN = frozenset(
    {
        "TokenType",
        "RequestType",
        "AppliesTo",
        "Entropy",
        "KeySize",
        "Lifetime",
        "ComputedKeyAlgorithm",
        "KeyType",
        "Renewing",
        "RenewTarget",
        "CancelTarget",
        "ValidateTarget",
    }
)
_RESPONSE_CHILDREN = frozenset(
    {
        "TokenType",
        "RequestedSecurityToken",
        "AppliesTo",
        "RequestedAttachedReference",
        "RequestedUnattachedReference",
        "RequestedProofToken",
        "Entropy",
        "Lifetime",
        "Status",
        "RequestedTokenCancelled",
        "Renewing",
        "KeySize",
    }
)
#: Negotiation, key exchange, delegation, and tokens or proofs in a form that is not made here. Other unknown
#: children may be left out of account (WS-Trust 1.3, 3.1).
_UNSUPPORTED = frozenset(
    {
        "ActAs",
        "Authenticator",
        "BinaryExchange",
        "DelegateTo",
        "Encryption",
        "KeyExchangeToken",
        "OnBehalfOf",
        "Participants",
        "ProofEncryption",
        "RequestKET",
        "SignChallenge",
        "SignChallengeResponse",
        "UseKey",
    }
)


def request_from_xml(element: etree._Element, limits: Limits) -> RequestSecurityToken:
    """Read a wst:RequestSecurityToken.

    Args:
        element: the child of the Body.
        limits: bounds on what it may hold.

    Raises:
        VerificationError: check "trust-message", when it is malformed, ambiguous, or of no known generation.
        LimitExceeded: the same check, when a part of it is too long.
    """
    read = Reader(element, "RequestSecurityToken", limits)
    found = read.children(element, _REQUEST_CHILDREN, read.wst)
    request_type = read.request_type(found.get("RequestType"))
    entropy, encrypted = read.entropy(found.get("Entropy"))
    return RequestSecurityToken(
        wst=read.wst,
        request_type=request_type,
        token_type=read.text(found.get("TokenType")),
        context=read.attribute(element, "Context"),
        applies_to=read.address(found.get("AppliesTo")),
        entropy=entropy,
        entropy_encrypted_key=encrypted,
        key_size=read.key_size(found.get("KeySize")),
        lifetime=read.lifetime(found.get("Lifetime")),
        computed_key_algorithm=read.text(found.get("ComputedKeyAlgorithm")),
        key_type=read.text(found.get("KeyType")),
        renewing=read.renewing(found.get("Renewing")),
        target=read.target(found, request_type),
        unsupported=_unsupported(element),
    )


def _unsupported(element: etree._Element) -> tuple[str, ...]:
    names = dict.fromkeys(map(local_name, elements(element)))
    return tuple(name for name in names if name in _UNSUPPORTED)


def response_from_xml(element: etree._Element, limits: Limits) -> RequestSecurityTokenResponse:
    """Read a wst:RequestSecurityTokenResponse, alone or as the only one of a collection.

    Args:
        element: the child of the Body.
        limits: bounds on what it may hold.

    Raises:
        VerificationError: check "trust-message", when it is malformed, ambiguous, or of no known generation.
        LimitExceeded: the same check, when a part of it is too long.
    """
    if local_name(element) == "RequestSecurityTokenResponseCollection":
        inner = only_child(element)
        if etree.QName(inner).namespace != etree.QName(element).namespace:
            refuse("The collection and its response are of different generations")
        element = inner
    read = Reader(element, "RequestSecurityTokenResponse", limits)
    found = read.children(element, _RESPONSE_CHILDREN, read.wst)
    entropy, encrypted = read.entropy(found.get("Entropy"))
    computed_key, proof_secret, proof_encrypted_key = read.proof(found.get("RequestedProofToken"))
    return RequestSecurityTokenResponse(
        wst=read.wst,
        token_type=read.text(found.get("TokenType")),
        context=read.attribute(element, "Context"),
        token=read.requested_token(found.get("RequestedSecurityToken")),
        attached=read.requested_reference(found.get("RequestedAttachedReference")),
        unattached=read.requested_reference(found.get("RequestedUnattachedReference")),
        computed_key=computed_key,
        proof_secret=proof_secret,
        proof_encrypted_key=proof_encrypted_key,
        entropy=entropy,
        entropy_encrypted_key=encrypted,
        lifetime=read.lifetime(found.get("Lifetime")),
        key_size=read.key_size(found.get("KeySize")),
        renewing=read.renewing(found.get("Renewing")),
        applies_to=read.address(found.get("AppliesTo")),
        cancelled="RequestedTokenCancelled" in found,
        status=read.status(found.get("Status")),
    )


def request_to_xml(rst: RequestSecurityToken, dialect: Dialect) -> etree._Element:
    """Write a wst:RequestSecurityToken.

    A ContextToken as target goes in verbatim. lxml may replace prefixes when the result is appended to a tree
    that binds the same namespaces; who must keep the very text splices the serialised result instead.

    Args:
        rst: what to ask for; its ``unsupported`` must be empty.
        dialect: the order of the children. Its generation must be that of *rst*.

    Raises:
        ValueError: the generations differ, or *rst* asks for what cannot be written.
    """
    if rst.unsupported:
        raise ValueError("a request with unsupported children cannot be written")
    if (rst.target is not None) != (rst.request_type in TARGETS):
        raise ValueError("a request has a target exactly where its type needs one")
    write = Writer(rst.wst, dialect)
    parts = {
        "TokenType": write.text("TokenType", rst.token_type),
        "RequestType": write.text("RequestType", rst.request_type.uri(rst.wst)),
        "AppliesTo": write.applies_to(rst.applies_to),
        "Lifetime": write.lifetime(rst.lifetime),
        "Renewing": write.renewing(rst.renewing),
        "Entropy": write.entropy(rst.entropy, rst.entropy_encrypted_key),
        "KeySize": write.key_size(rst.key_size),
        "KeyType": write.text("KeyType", rst.key_type),
        "ComputedKeyAlgorithm": write.text("ComputedKeyAlgorithm", rst.computed_key_algorithm),
    }
    if rst.request_type in TARGETS:
        parts[TARGETS[rst.request_type]] = write.token(TARGETS[rst.request_type], rst.target)
    root = write.message("RequestSecurityToken", rst.context, parts, dialect.request_order)
    return write.finish(root)


def response_to_xml(
    rstr: RequestSecurityTokenResponse, dialect: Dialect, request_type: RequestType
) -> etree._Element:
    """Write a wst:RequestSecurityTokenResponse, in a collection where the dialect has it so.

    The token and references that were given as XML go in verbatim; see :func:`request_to_xml`.

    Args:
        rstr: the answer.
        dialect: the order of the children, and which there are. Its generation must be that of *rstr*.
        request_type: what the answer answers.

    Raises:
        ValueError: the generations differ, or *rstr* has more than one proof.
    """
    left_out: dict[str, Any] = dict.fromkeys(dialect.left_out.get(request_type, ()))
    rstr = replace(rstr, **left_out)
    write = Writer(rstr.wst, dialect)
    parts = {
        "TokenType": write.text("TokenType", rstr.token_type),
        "Status": write.status(rstr.status),
        "RequestedSecurityToken": write.token("RequestedSecurityToken", rstr.token),
        "RequestedAttachedReference": write.reference("RequestedAttachedReference", rstr.attached),
        "RequestedUnattachedReference": write.reference("RequestedUnattachedReference", rstr.unattached),
        "AppliesTo": write.applies_to(rstr.applies_to, dialect.answered_applies_to),
        "RequestedProofToken": write.proof(rstr),
        "Entropy": write.entropy(rstr.entropy, rstr.entropy_encrypted_key),
        "Lifetime": write.lifetime(rstr.lifetime),
        "RequestedTokenCancelled": write.text("RequestedTokenCancelled", "" if rstr.cancelled else None),
        "Renewing": write.renewing(rstr.renewing),
        "KeySize": write.key_size(rstr.key_size),
    }
    root = write.message("RequestSecurityTokenResponse", rstr.context, parts, dialect.response_order)
    if request_type in dialect.collection_for:
        collection = write.element("RequestSecurityTokenResponseCollection")
        collection.append(root)
        root = collection
    return write.finish(root)


def new_context_token(
    identifier: str, *, wsc: str, element_id: str | None = None, instance: str | None = None
) -> ContextToken:
    """A wsc:SecurityContextToken of our own: Identifier and Instance, as WCF and Metro can read it, no more.

    Args:
        identifier: the name of the context, an absolute URI.
        wsc: namespace of the generation.
        element_id: wsu:Id.
        instance: the name of the key, for every key of a context but the first.
    """
    element = etree.Element(f"{{{wsc}}}SecurityContextToken", nsmap={"wsc": wsc, "wsu": WSU})
    if element_id is not None:
        element.set(f"{{{WSU}}}Id", element_id)
    etree.SubElement(element, f"{{{wsc}}}Identifier").text = identifier
    if instance is not None:
        etree.SubElement(element, f"{{{wsc}}}Instance").text = instance
    return ContextToken(identifier, instance, element_id, wsc, etree.tostring(element))
