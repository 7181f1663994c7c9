"""Which alternative of a policy is taken, and why not the others.

A client takes the first alternative that can be read, done and satisfied, and judges answers by it. A service
accepts any that can be read and done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from ..errors import PolicyError
from .alternatives import Alternative, Alternatives, Assertion
from .assertions import read_alternative
from .model import Direction, Policy
from .support import unsupported

#: Says why a policy cannot be satisfied, for example for want of a password; None when it can.
Satisfiable = Callable[[Policy], str | None]

_MAX_REASONS = 10


def choose(
    alternatives: Alternatives,
    *,
    satisfiable: Satisfiable | None = None,
    direction: Direction = Direction.REQUEST,
    address: str | None = None,
) -> Policy:
    """The first alternative that can be satisfied (WS-Policy 1.5, 3.4).

    Args:
        alternatives: the alternatives of the effective policy of one message, in the order of preference.
        satisfiable: says of a policy with a binding whether credentials and minimum allow it; None: any is allowed.
        direction: the messages it is for.
        address: the endpoint.

    Returns:
        The policy; its *rejected* says why those before it were passed over. Where none can be done and
        *satisfiable* is None it is the first that can be read: whoever wants to use it says what is missing.

    Raises:
        PolicyError: none can be satisfied; where there is but one the error is its own.
    """
    return Chooser(satisfiable=satisfiable, address=address).choose(alternatives, direction)


@dataclass(frozen=True, kw_only=True)
class _Refusal:
    """An alternative that is passed over."""

    number: int
    position: str
    reason: str
    error: PolicyError

    def __str__(self) -> str:
        where = f" ({self.position})" if self.position else ""
        return f"alternative {self.number}{where}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Chooser:
    """Chooses for all messages of an endpoint, and reads no alternative twice.

    Args:
        satisfiable: says why a policy with a binding cannot be satisfied; None: any can.
        address: the endpoint, which may be named as the issuer of contexts.
    """

    satisfiable: Satisfiable | None = None
    address: str | None = None
    _known: dict[tuple[Alternative, Direction], Policy | PolicyError] = field(
        default_factory=dict, compare=False, repr=False
    )
    #: What stands against an assertion, whatever stands beside it: many alternatives may hold the same one.
    _alone: dict[Assertion, PolicyError | None] = field(default_factory=dict, compare=False, repr=False)

    def within(self, satisfiable: Satisfiable) -> Chooser:
        """This chooser with another demand, after its own."""
        own = self.satisfiable

        def both(policy: Policy) -> str | None:
            return (own(policy) if own is not None else None) or satisfiable(policy)

        return replace(self, satisfiable=both)

    def choose(self, alternatives: Alternatives, direction: Direction) -> Policy:
        """As the function :func:`choose`."""
        if self.satisfiable is None:
            return self.prefer(alternatives, direction)
        refused: list[_Refusal] = []
        for outcome in self._weighed(alternatives, direction):
            if isinstance(outcome, Policy):
                return replace(outcome, rejected=tuple(map(str, refused)))
            refused.append(outcome)
        raise _none_of(refused)

    def prefer(self, alternatives: Alternatives, direction: Direction) -> Policy:
        """The first alternative that can be satisfied, or else the first that can be read.

        Raises:
            PolicyError: none can be read.
        """
        readable: Policy | None = None
        refused: list[_Refusal] = []
        for outcome in self._weighed(alternatives, direction):
            if isinstance(outcome, Policy):
                return replace(outcome, rejected=tuple(map(str, refused)))
            refused.append(outcome)
            known = self._read(alternatives[outcome.number - 1], direction)
            if readable is None and isinstance(known, Policy):
                readable = known
        if readable is None:
            raise _none_of(refused)
        return replace(readable, rejected=tuple(map(str, refused)))

    def answer(self, alternatives: Alternatives, request: Policy) -> Policy | None:
        """The policy of answers in the alternative that *request* is, or None where it is the same.

        Raises:
            PolicyError: it cannot be read.
        """
        for alternative in alternatives:
            if self._read(alternative, Direction.REQUEST) == request:
                found = self._read(alternative, Direction.RESPONSE)
                if isinstance(found, PolicyError):
                    raise found
                return found if found != request else None
        return None

    def every(self, alternatives: Alternatives, direction: Direction) -> tuple[Policy, ...]:
        """Each alternative that can be satisfied, without repetitions.

        Raises:
            PolicyError: there is none.
        """
        outcomes = list(self._weighed(alternatives, direction))
        found = dict.fromkeys(outcome for outcome in outcomes if isinstance(outcome, Policy))
        if not found:
            raise _none_of([outcome for outcome in outcomes if isinstance(outcome, _Refusal)])
        return tuple(found)

    def _weighed(self, alternatives: Alternatives, direction: Direction) -> Iterator[Policy | _Refusal]:
        for number, alternative in enumerate(alternatives, start=1):
            found = self._read(alternative, direction)
            error = found if isinstance(found, PolicyError) else self._against(found)
            if error is None:
                assert isinstance(found, Policy)
                yield found
                continue
            position = error.position or (alternative[0].position if alternative else "")
            yield _Refusal(number=number, position=position, reason=_reason(error), error=error)

    def _read(self, alternative: Alternative, direction: Direction) -> Policy | PolicyError:
        key = alternative, direction
        if key not in self._known:
            bad = next((error for entry in alternative if (error := self._alone.get(entry))), None)
            self._known[key] = bad or self._attempt(alternative, direction)
        return self._known[key]

    def _attempt(self, alternative: Alternative, direction: Direction) -> Policy | PolicyError:
        try:
            return read_alternative(alternative, direction=direction, address=self.address)
        except PolicyError as error:
            for assertion in alternative:
                # What is for the bootstrap, and stands outside of it, says nothing alone.
                if assertion.role is None and assertion not in self._alone:
                    self._alone[assertion] = self._against_alone(assertion)
            return error

    def _against_alone(self, assertion: Assertion) -> PolicyError | None:
        try:
            read_alternative((assertion,), address=self.address)
        except PolicyError as error:
            return error
        return None

    def _against(self, policy: Policy) -> PolicyError | None:
        """What stands against a policy; nothing stands against one that secures nothing: nobody will use it."""
        if policy.binding is None:
            return None
        missing = next(unsupported(policy), None)
        if missing is not None:
            return PolicyError(
                f"The policy asks for {missing}, which is not supported", position=policy.source
            )
        reason = self.satisfiable(policy) if self.satisfiable is not None else None
        return PolicyError(reason, position=policy.source) if reason else None


def _reason(error: PolicyError) -> str:
    text: str = error.message.removesuffix(f" ({error.position})")
    return text.replace("The policy's assertion ", "the assertion ", 1).replace(
        "The policy asks ", "it asks ", 1
    )


def _none_of(refused: list[_Refusal]) -> PolicyError:
    if not refused:
        return PolicyError(
            "The policy admits no alternative at all",
            hint="Give the policy's wsp:ExactlyOne an alternative, or pass policy= with a policy of your own.",
        )
    first = refused[0].error
    if len(refused) == 1:
        return first
    reasons = [str(refusal) for refusal in refused[:_MAX_REASONS]]
    if len(refused) > _MAX_REASONS:
        reasons.append(f"and {len(refused) - _MAX_REASONS} more")
    return PolicyError(
        f"No alternative of the policy can be satisfied: {'; '.join(reasons)}",
        assertion=first.assertion,
        position=first.position,
        hint=first.hint,
    )
