"""How the stacks differ in the WS-Trust messages that they send and take. A dialect is data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from ..names import SP_2005, WSC_OF_WST, WSP_2004, WST_2005, WST_200512
from ..policy.model import Direction
from ..soap.addressing import ANSWER_HEADERS, REQUEST_HEADERS
from .model import RequestSecurityToken, RequestType

_REQUEST, _RESPONSE = Direction.REQUEST, Direction.RESPONSE
_ISSUE, _RENEW, _CANCEL, _VALIDATE = RequestType

#: What secures a Renew besides the bootstrap: a signature of the context's current key, of its first key, or nothing.
RenewalForm = Literal["endorsed", "endorsed by the first key", "bootstrap"]

Actions = Mapping[tuple[RequestType, Direction], str]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One way to speak WS-Trust for a SecurityContextToken.

    Args:
        name: the name that a user chooses it by.
        wst, wsc: namespaces of the generation.
        actions: the end of wsa:Action after the namespace, by type of request and direction. What is missing
            does not exist in this dialect.
        collection_for: the requests whose answer stands in a RequestSecurityTokenResponseCollection.
        request_order, response_order: local names of the children in the order they are written. What is
            missing here comes last.
        target: whether a token to renew, cancel or validate is named by a copy of it or by a reference.
        renew_security: what secures Renew: the attempts, in their order.
        cancel_security: whether Cancel, which the context itself secures, is signed only or encrypted too.
        keeps_old_key: whether the old key of a renewed context goes on working for a while.
        applies_to: whether requests say which endpoint they are for.
        context_attributes: @Context of requests, by their type; the others have none.
        computation: whether requests for contexts say how the key is to be computed.
        key_size: length of the key to ask for, in bytes; None leaves it to the algorithm suite.
        left_out: what answers do not say, by type of request: fields of :class:`RequestSecurityTokenResponse`.
        answered_applies_to: namespace of AppliesTo in answers.
        names_first_key: whether a new context has an Instance, as others have after a renewal only.
        request_headers, answer_headers: the addressing headers, in the order they are written.
    """

    name: str
    wst: str
    wsc: str
    actions: Actions = field(hash=False)
    collection_for: frozenset[RequestType]
    request_order: tuple[str, ...]
    response_order: tuple[str, ...]
    target: Literal["token", "reference"]
    renew_security: tuple[RenewalForm, ...]
    cancel_security: Literal["signed", "signed+encrypted"]
    keeps_old_key: bool = False
    applies_to: bool = False
    context_attributes: Mapping[RequestType, str] = field(default_factory=dict, hash=False)
    computation: bool = True
    key_size: int | None = None
    left_out: Mapping[RequestType, frozenset[str]] = field(default_factory=dict, hash=False)
    answered_applies_to: str = WSP_2004
    names_first_key: bool = False
    request_headers: tuple[str, ...] = REQUEST_HEADERS
    answer_headers: tuple[str, ...] = ANSWER_HEADERS

    def action(self, request_type: RequestType, direction: Direction) -> str | None:
        """wsa:Action of a message, or None where the dialect has no such request."""
        suffix = self.actions.get((request_type, direction))
        return None if suffix is None else self.wst + suffix

    def in_generation(self, wst: str) -> Dialect:
        """This dialect with the namespaces of the generation *wst*; in 2005/02 no answer is a collection."""
        if wst == self.wst:
            return self
        collection_for = frozenset[RequestType]() if wst == WST_2005 else self.collection_for
        return replace(self, wst=wst, wsc=WSC_OF_WST[wst], collection_for=collection_for)


def _actions(table: Mapping[RequestType, tuple[str, str]]) -> Actions:
    pairs = ((kind, zip((_REQUEST, _RESPONSE), ends, strict=True)) for kind, ends in table.items())
    return MappingProxyType({(kind, direction): end for kind, both in pairs for direction, end in both})


#: Of WS-Trust 1.3, section 7. WS-SecureConversation has none of its own, and among the stacks WebSphere alone.
_VALIDATE_ACTIONS = ("/RST/Validate", "/RSTR/ValidateFinal")
#: As CXF, Metro, WCF and WebLogic do (WS-SecureConversation 1.3, 3 to 6).
_SCT_ACTIONS = _actions(
    {
        _ISSUE: ("/RST/SCT", "/RSTR/SCT"),
        _RENEW: ("/RST/SCT/Renew", "/RSTR/SCT/Renew"),
        _CANCEL: ("/RST/SCT/Cancel", "/RSTR/SCT/Cancel"),
        _VALIDATE: _VALIDATE_ACTIONS,
    }
)
#: As the sample messages of WebSphere show.
_WEBSPHERE_ACTIONS = _actions(
    {
        _ISSUE: ("/RST/SCT", "/RSTR/SCT"),
        _RENEW: ("/RST/Renew", "/RSTR/RenewFinal"),
        _CANCEL: ("/RST/Cancel", "/RSTR/Cancel"),
        _VALIDATE: _VALIDATE_ACTIONS,
    }
)
#: WS-Trust 1.3, 4. Its other actions are those of WebSphere.
_PLAIN_ACTIONS = _actions({_ISSUE: ("/RST/Issue", "/RSTRC/IssueFinal")})
_PLAIN_ACTIONS_2005 = _actions({_ISSUE: ("/RST/Issue", "/RSTR/Issue")})

_OASIS13 = Dialect(
    name="oasis13",
    wst=WST_200512,
    wsc=WSC_OF_WST[WST_200512],
    actions=_SCT_ACTIONS,
    # ValidateFinal of WebSphere is bare, and it is the one that is known
    collection_for=frozenset({_ISSUE, _RENEW, _CANCEL}),
    # Metro writes the target before Entropy; WCF and CXF read by name.
    request_order=(
        "TokenType",
        "RequestType",
        "RenewTarget",
        "CancelTarget",
        "ValidateTarget",
        "AppliesTo",
        "Lifetime",
        "Renewing",
        "Entropy",
        "KeySize",
        "KeyType",
        "ComputedKeyAlgorithm",
    ),
    # The order of WCF's answers.
    response_order=(
        "TokenType",
        "Status",
        "RequestedSecurityToken",
        "AppliesTo",
        "RequestedAttachedReference",
        "RequestedUnattachedReference",
        "RequestedProofToken",
        "Entropy",
        "Lifetime",
        "RequestedTokenCancelled",
        "Renewing",
        "KeySize",
    ),
    target="reference",
    # CXF takes every form, as long as the current key endorses; Metro's later renewals want the first key.
    renew_security=("endorsed", "endorsed by the first key", "bootstrap"),
    cancel_security="signed",
)

#: @Context of the samples of WebSphere's requests.
_WEBSPHERE_CONTEXTS = MappingProxyType(
    {_ISSUE: "http://www.ibm.com/login/"}
    | dict.fromkeys((_RENEW, _CANCEL, _VALIDATE), "https://www.ibm.com/login/")
)

_WEBSPHERE13 = replace(
    _OASIS13,
    name="websphere13",
    actions=_WEBSPHERE_ACTIONS,
    collection_for=frozenset({_ISSUE}),
    request_order=(
        "TokenType",
        "RequestType",
        "RenewTarget",
        "ValidateTarget",
        "AppliesTo",
        "CancelTarget",
        "Entropy",
        "KeySize",
    ),
    response_order=(
        "TokenType",
        "Status",
        "RequestedTokenCancelled",
        "RequestedSecurityToken",
        "AppliesTo",
        "RequestedProofToken",
        "Entropy",
        "Lifetime",
        "RequestedAttachedReference",
        "RequestedUnattachedReference",
        "Renewing",
        "KeySize",
    ),
    target="token",
    renew_security=("bootstrap", "endorsed", "endorsed by the first key"),
    cancel_security="signed+encrypted",
    applies_to=True,
    context_attributes=_WEBSPHERE_CONTEXTS,
    computation=False,
    key_size=16,
    left_out=MappingProxyType(
        {
            _ISSUE: frozenset({"token_type"}),
            _RENEW: frozenset({"token_type", "computed_key", "key_size", "unattached", "applies_to"}),
        }
    ),
    answered_applies_to=SP_2005,
    names_first_key=True,
    request_headers=("To", "MessageID", "Action"),
    answer_headers=("Action", "RelatesTo"),
)

_WCF = replace(
    _OASIS13,
    name="wcf",
    request_order=(
        "TokenType",
        "RequestType",
        "AppliesTo",
        "Entropy",
        "KeySize",
        "RenewTarget",
        "CancelTarget",
    ),
    keeps_old_key=True,
    key_size=32,
)

_DRAFT200502 = replace(_OASIS13.in_generation(WST_2005), name="draft200502")

_PLAIN13 = replace(_OASIS13, name="plain13", actions=_PLAIN_ACTIONS)
_PLAIN200502 = replace(_DRAFT200502, name="plain200502", actions=_PLAIN_ACTIONS_2005)

#: The dialects that a user can choose, by name. WCF and WebSphere speak both generations: see
#: :meth:`Dialect.in_generation`.
DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {dialect.name: dialect for dialect in (_OASIS13, _WEBSPHERE13, _DRAFT200502, _WCF)}
)

#: Every dialect whose requests are recognised. Where two share an action the first one answers.
_RECOGNISED = (
    _OASIS13,
    _DRAFT200502,
    _WEBSPHERE13,
    _WEBSPHERE13.in_generation(WST_2005),
    _PLAIN13,
    _PLAIN200502,
)


def _by_request_action() -> dict[str, tuple[RequestType, Dialect]]:
    found: dict[str, tuple[RequestType, Dialect]] = {}
    for dialect in _RECOGNISED:
        for (request_type, direction), suffix in dialect.actions.items():
            if direction is _REQUEST:
                found.setdefault(dialect.wst + suffix, (request_type, dialect))
    return found


_BY_REQUEST_ACTION = _by_request_action()


def dialect_for(wst: str) -> Dialect:
    """The dialect of the standard itself in the generation *wst*.

    Raises:
        KeyError: *wst* is the namespace of no generation.
    """
    return {WST_200512: _OASIS13, WST_2005: _DRAFT200502}[wst]


def action_of(uri: str) -> tuple[RequestType, Dialect] | None:
    """What the wsa:Action of a request asks for, and the dialect to answer it in.

    Both generations are recognised, and the actions of WS-SecureConversation, of WebSphere and of plain
    WS-Trust. The action of the answer is ``dialect.action(request_type, Direction.RESPONSE)``.

    Args:
        uri: wsa:Action without white space around it.

    Returns:
        None where the action is no such request, for example because it asks for an amendment.
    """
    return _BY_REQUEST_ACTION.get(uri)


def is_trust_action(uri: str) -> bool:
    """Whether wsa:Action is one of WS-Trust, known or not: a request that is not answered, or an answer to none.

    Args:
        uri: wsa:Action without white space around it.
    """
    return uri.startswith(tuple(f"{wst}/RST" for wst in WSC_OF_WST))


def dialect_of_answer(dialect: Dialect, request: RequestSecurityToken) -> Dialect:
    """The dialect that a request is answered in, where its action is that of several: WebSphere's has a @Context.

    Others that use WebSphere's actions are told what it leaves out.

    Args:
        dialect: what :func:`action_of` found.
        request: the request.
    """
    kind, websphere = request.request_type, _WEBSPHERE13.in_generation(dialect.wst)
    if websphere.action(kind, _REQUEST) != dialect.action(kind, _REQUEST):
        return dialect
    if request.context in _WEBSPHERE_CONTEXTS.values():
        return websphere
    return replace(dialect, left_out={}, answered_applies_to=WSP_2004, answer_headers=ANSWER_HEADERS)
