"""What there is to say of a policy: read, tried out with sample messages, and put into plain values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from cryptography import x509
from lxml import etree

from ..client.parties import Parties, missing
from ..client.way import is_https
from ..conversation.policies import ConversationPolicy, conversation_policy, dialect_of
from ..errors import ConfigurationError, PolicyError, SecureConversationError
from ..names import WSP_2004, WSP_W3C
from ..policy.algorithms import weak_algorithms
from ..policy.choice import Satisfiable
from ..policy.model import Direction, EndpointPolicy, OperationPolicy, Policy, SuppliedToken, TransportBinding
from ..policy.needs import Need, needs
from ..soap.addressing import ANONYMOUS
from ..trust import DIALECTS
from ..wss.certificates import load_certificates
from ..wss.credentials import Leg
from .describe import algorithms, binding_sentences, is_named, message_sentences, token_words
from .failures import explain
from .sample import MessageLayout, Samples

_MAX_PROBLEMS = 20
_WSP = frozenset({WSP_2004, WSP_W3C})
_LINE = re.compile(r"line (\d+) of (.*)", re.DOTALL)

#: Makes the policy of a document; the second argument says why an alternative cannot be satisfied, or None.
Reader = Callable[["etree._Element", "Satisfiable | None"], EndpointPolicy]  # noqa: SLF001 - lxml's own name

#: What each need is called, and the option that supplies it.
_NEEDS = {
    "signing identity": ("a certificate with its private key, to sign with", "--identity FILE"),
    "decrypting identity": ("a certificate with its private key, to decrypt answers", "--identity FILE"),
    "trust": ("certificates to trust", "--trust FILE"),
    "peer": ("the service's certificate", "--peer FILE"),
    "user name": ("a user name", "--username NAME"),
    "password": ("the user's password", "--password TEXT"),
    "token": ("a token", "--ltpa FILE"),
    "https": ("an https address", "--endpoint URL"),
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is in the way of using a policy.

    Args:
        message: what it is.
        assertion: Clark name of the assertion, where it is one.
        position: where that stands ("line 14 of service.wsdl").
        hint: what to change.
    """

    message: str
    assertion: str | None = None
    position: str | None = None
    hint: str | None = None

    @classmethod
    def of(cls, error: SecureConversationError) -> Problem:
        """The problem that an error is about."""
        failure = explain(error)
        return cls(
            message=failure.message,
            hint=failure.hint,
            assertion=getattr(error, "assertion", None),
            position=getattr(error, "position", None),
        )


@dataclass(frozen=True, kw_only=True)
class CredentialNeed:
    """Something that the user must supply.

    Args:
        leg: "bootstrap" or "application".
        what: what it is.
        why: the assertion that wants it, and where that stands.
        option: the option that supplies it.
        given: whether it was supplied; None where that cannot be told (https without an address).
    """

    leg: str
    what: str
    why: str
    option: str
    given: bool | None


@dataclass(frozen=True, kw_only=True)
class Message:
    """One of the messages of a conversation.

    Args:
        sentences: what is in it, and what is protected.
        layout: what a sample of it looked like; None where it could not be made.
    """

    sentences: tuple[str, ...]
    layout: MessageLayout | None


@dataclass(frozen=True, kw_only=True)
class LegExplanation:
    """One part of a conversation: requests for contexts, or calls, and their answers.

    Args:
        source: where its policy stands.
        binding: name of the binding.
        sentences: how its messages are secured.
        suite: the algorithms.
        weak: those of them that are weak, by URI.
        rejected: the alternatives that were not taken, each with the reason.
        warnings: what the policy leaves open to whoever can read or change messages.
        request, response: its messages; no *response* for one-way operations.
        operations: the operations that it is about, or () for all.
    """

    source: str
    binding: str | None
    sentences: tuple[str, ...]
    suite: dict[str, str | int] | None
    weak: tuple[str, ...]
    rejected: tuple[str, ...]
    warnings: tuple[str, ...]
    request: Message
    response: Message | None
    operations: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OutlineEntry:
    """One assertion of a document.

    Args:
        depth: how many assertions it stands in.
        assertion: its local name.
        line: of the document.
    """

    depth: int
    assertion: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All that there is to say of a policy.

    Args:
        bootstrap: requests for contexts; None where that is not known.
        application: calls, one entry for each group of operations that are alike; () where nothing is known.
        credentials: what the user must supply, and whether he did.
        problems: what is in the way; the first is what stops a call.
        outline: where the policy cannot be read as it is, its assertions as they are nested.
    """

    address: str | None = None
    soap: str | None = None
    addressing: str | None = None
    trust: str | None = None
    secure_conversation: str | None = None
    dialect: str | None = None
    bootstrap: LegExplanation | None = None
    application: tuple[LegExplanation, ...] = ()
    credentials: tuple[CredentialNeed, ...] = ()
    problems: tuple[Problem, ...] = ()
    outline: tuple[OutlineEntry, ...] = ()

    @property
    def missing(self) -> tuple[CredentialNeed, ...]:
        """What the user must supply and did not."""
        return tuple(need for need in self.credentials if need.given is False)

    @property
    def ok(self) -> bool:
        """Whether the policy can be satisfied with what there is."""
        return not self.problems and not self.missing

    @property
    def weak(self) -> tuple[str, ...]:
        """Every weak algorithm, by URI."""
        legs = (*((self.bootstrap,) if self.bootstrap else ()), *self.application)
        return tuple(dict.fromkeys(uri for leg in legs for uri in leg.weak))

    @property
    def layout(self) -> dict[str, list[str]]:
        """The children of wsse:Security in each of the four messages; calls are those of the first group."""
        legs = {"bootstrap": self.bootstrap, "application": next(iter(self.application), None)}
        return {
            f"{name}_{direction.value}": [child.name for child in message.layout.security]
            for name, leg in legs.items()
            if leg is not None
            for direction, message in ((Direction.REQUEST, leg.request), (Direction.RESPONSE, leg.response))
            if message is not None and message.layout is not None
        }

    def as_dict(self) -> dict[str, Any]:
        """The object of ``--json``, but for where it came from."""
        computed = {
            "layout": self.layout,
            "missing": self.missing,
            "unsupported": tuple(problem for problem in self.problems if problem.assertion is not None),
            "weak": self.weak,
        }
        told = {f.name: getattr(self, f.name) for f in fields(self)} | computed
        return {"ok": self.ok} | {name: _plain(value) for name, value in told.items()}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


@dataclass(frozen=True, kw_only=True)
class Means:
    """What there is to satisfy a policy with.

    Args:
        parties: who we are, and whom to trust.
        endpoint: address of the service, instead of the policy's own.
        dialect: name of the dialect of WS-Trust, where it is known.
    """

    parties: Parties
    endpoint: str | None = None
    dialect: str | None = None

    def address(self, policy: EndpointPolicy) -> str:
        """Where the service is; "" where that is not known."""
        return self.endpoint or policy.address or ""

    def lacking(self, policy: EndpointPolicy, wanted: Iterable[Need]) -> list[Need]:
        """What of *wanted* is not there."""
        address = self.address(policy)
        ring = self.parties.keyring(address, _named(policy))
        return missing(wanted, replace(ring, over_tls=is_https(address)))

    def against(self, policy: EndpointPolicy) -> Satisfiable:
        """Says why an alternative of an endpoint's policy cannot be satisfied."""
        address = self.address(policy)
        named = _named(policy)
        return lambda one: self.parties.against(one, address, not address or is_https(address), named)


def _named(policy: EndpointPolicy) -> x509.Certificate | None:
    """The certificate that a WSDL names for its service."""
    if policy.identity is None:
        return None
    try:
        return load_certificates(policy.identity)[0]
    except ConfigurationError:
        return None


def explain_policy(root: etree._Element, read: Reader, means: Means) -> Explanation:
    """Read a policy and say everything that can be said of it.

    Args:
        root: the document; assertions that are not supported are taken out of it.
        read: makes the policy from it.
        means: what there is to satisfy it with.
    """
    outline = tuple(_outline(root))
    policy, problems = _read(root, read)
    if policy is None:
        return Explanation(problems=problems, outline=outline)
    # of the alternatives the first that can be satisfied, or else the first: what it lacks is told
    chosen, _ = _attempt(root, read, means.against(policy))
    found = _explain(chosen or policy, problems, means)
    return replace(found, outline=outline if problems else ())


# --------------------------------------------------------------------------------------------- reading


def _read(root: etree._Element, read: Reader) -> tuple[EndpointPolicy | None, tuple[Problem, ...]]:
    """The policy without what is not supported, and what that is."""
    problems: list[Problem] = []
    around: set[etree._Element] = set()
    while len(problems) < _MAX_PROBLEMS:
        policy, error = _attempt(root, read, None)
        if error is None:
            return policy, tuple(problems)
        element = _element_at(root, error)
        if element in around:
            break  # it lacks what was taken out of it
        problems.append(Problem.of(error))
        if element is None:
            break
        around |= _take_out(element)
    return None, tuple(problems)


def _attempt(
    root: etree._Element, read: Reader, satisfiable: Satisfiable | None
) -> tuple[EndpointPolicy | None, PolicyError | None]:
    try:
        return read(root, satisfiable), None
    except PolicyError as error:
        return None, error


def _element_at(root: etree._Element, error: PolicyError) -> etree._Element | None:
    """The assertion that an error is about, if it is in this document."""
    match = _LINE.fullmatch(error.position or "")
    if match is None or error.assertion is None:
        return None
    line = int(match[1])
    found = [element for element in root.iter(error.assertion) if element.sourceline == line]
    return found[0] if len(found) == 1 else None


def _take_out(element: etree._Element) -> set[etree._Element]:
    """Take an assertion out, and the operators and assertions that would be empty without it.

    Returns:
        What stood around it.
    """
    parent = element.getparent()
    while parent is not None and len(parent) == 1 and parent.getparent() is not None:
        element, parent = parent, parent.getparent()
    around = set(element.iterancestors())
    if parent is not None:
        parent.remove(element)
    return around


def _outline(root: etree._Element) -> Iterator[OutlineEntry]:
    """Every assertion, with its depth among them; operators and references of WS-Policy do not count."""
    waiting = [(root, -1, False)]
    while waiting:
        element, depth, in_policy = waiting.pop()
        name = etree.QName(element)
        if name.namespace in _WSP:
            in_policy = True
        elif in_policy:
            depth += 1
            yield OutlineEntry(depth=depth, assertion=name.localname, line=element.sourceline or 0)
        waiting += [(child, depth, in_policy) for child in reversed(element) if isinstance(child.tag, str)]


# ------------------------------------------------------------------------------------------ explaining


def _explain(policy: EndpointPolicy, problems: tuple[Problem, ...], means: Means) -> Explanation:
    try:
        conversation = conversation_policy(policy)
    except PolicyError as error:
        return Explanation(
            address=means.address(policy) or None,
            soap=policy.soap,
            application=tuple(_application(policy, None)),
            problems=(*problems, Problem.of(error)),
        )
    spoken = dialect_of(conversation)
    if means.dialect is not None:
        spoken = DIALECTS[means.dialect].in_generation(conversation.wst)
    found: list[Problem] = []
    samples = _Tried(Samples(conversation), found)
    bootstrap = _bootstrap(conversation, samples)
    application = tuple(_application(policy, samples))
    return Explanation(
        address=means.address(policy) or None,
        soap=conversation.soap,
        addressing=conversation.wsa,
        trust=spoken.wst,
        secure_conversation=spoken.wsc,
        dialect=spoken.name,
        bootstrap=bootstrap,
        application=application,
        credentials=_credentials(policy, conversation, means),
        problems=tuple(dict.fromkeys((*problems, *found))),
    )


def _credentials(
    policy: EndpointPolicy, conversation: ConversationPolicy, means: Means
) -> tuple[CredentialNeed, ...]:
    requests = [operation.request for operation in policy.operations.values()] or [policy.endpoint]
    secured = [request for request in requests if request.binding is not None]
    bootstrap = conversation.bootstrap.request
    wanted = dict.fromkeys(need for request in secured for need in needs(request, bootstrap))
    lacking = means.lacking(policy, wanted)
    told = []
    for need in wanted:
        what, option = _NEEDS[need.kind]
        if need.token is not None:
            what, option = _token(need.token)
        unknown = need.kind == "https" and not means.address(policy)
        given = None if unknown else need not in lacking
        told.append(CredentialNeed(leg=need.leg, what=what, why=need.why, option=option, given=given))
    return tuple(told)


def _token(token: SuppliedToken) -> tuple[str, str]:
    """(what a token is, the option that supplies it)."""
    ltpa = any("LTPA" in kind for kind in token.accepts)
    return token_words(token), "--ltpa FILE" if ltpa else "tokens=[XmlToken(…)] in Python"


@dataclass(frozen=True)
class _Tried:
    """Makes samples, and notes why one could not be made."""

    samples: Samples
    problems: list[Problem]

    def exchange(
        self, leg: Leg, request: Policy, response: Policy | None, body: str | None
    ) -> tuple[MessageLayout | None, MessageLayout | None]:
        try:
            return self.samples.exchange(leg, request, response, body=body)
        except SecureConversationError as error:
            self.problems.append(Problem.of(error))
            return None, None


def _bootstrap(conversation: ConversationPolicy, samples: _Tried) -> LegExplanation:
    pair = conversation.bootstrap
    body = f"{{{conversation.wst}}}RequestSecurityToken"
    return _leg("bootstrap", pair.request, pair.response, samples, body=body)


def _application(policy: EndpointPolicy, samples: _Tried | None) -> Iterator[LegExplanation]:
    """One leg for each group of operations whose messages are alike."""
    groups: dict[tuple[Policy, Policy | None], list[OperationPolicy]] = {}
    for operation in policy.operations.values() or (policy.everywhere(),):
        response = operation.response if operation.has_output else None
        groups.setdefault((operation.request, response), []).append(operation)
    for (request, response), operations in groups.items():
        names = tuple(operation.name for operation in operations) if policy.operations else ()
        body = operations[0].input_element if policy.operations else "{urn:sample}Request"
        yield replace(_leg("application", request, response, samples, body=body), operations=names)


def _leg(
    leg: Leg, request: Policy, response: Policy | None, samples: _Tried | None, *, body: str | None
) -> LegExplanation:
    layouts: tuple[MessageLayout | None, MessageLayout | None] = (None, None)
    if samples is not None:
        layouts = samples.exchange(leg, request, response, body)
    binding = request.binding
    suite = binding.algorithm_suite if binding is not None else None
    return LegExplanation(
        source=request.source,
        binding=type(binding).__name__ if binding is not None else None,
        sentences=tuple(binding_sentences(request)),
        suite=algorithms(suite) if suite is not None else None,
        weak=weak_algorithms(request),
        rejected=request.rejected,
        warnings=tuple(_warnings(request, response)),
        request=_message(request, Direction.REQUEST, layouts[0]),
        response=None if response is None else _message(response, Direction.RESPONSE, layouts[1]),
    )


def _warnings(request: Policy, response: Policy | None) -> Iterator[str]:
    """What a policy leaves open."""
    if request.binding is None:
        yield "Nothing is secured; this library refuses to send such messages."
        return
    if isinstance(request.binding, TransportBinding):
        return
    if not request.signed.body:
        yield "The Body is not signed; this library refuses such a policy unless it is given with policy=."
    for entry in request.supporting:
        hidden = entry.encrypted or is_named(entry.token, request.encrypted)
        if isinstance(entry.token, SuppliedToken) and not hidden:
            yield f"{_sentence(token_words(entry.token))} can be read on the way, unless https is used."
    if response is not None and response.signed.body:
        related = any(response.signed.header(f"{{{wsa}}}RelatesTo") for wsa in ANONYMOUS)
        if not related and not response.confirms_signatures:
            yield (
                "Answers sign neither RelatesTo nor confirmations: whoever can change messages can exchange the "
                "answers of one conversation."
            )


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _message(policy: Policy, direction: Direction, layout: MessageLayout | None) -> Message:
    return Message(sentences=tuple(message_sentences(policy, direction)), layout=layout)
