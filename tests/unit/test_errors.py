"""The exceptions: what they derive from, what they carry, what they say."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import zeep.exceptions
from lxml import etree

from zeep_secureconv import errors

_WSC = "http://docs.oasis-open.org/ws-sx/ws-secureconversation/200512"

_EXAMPLES = [
    errors.SecureConversationError("It went wrong."),
    errors.ConfigurationError("It went wrong."),
    errors.PolicyError("It went wrong."),
    errors.VerificationError("signature", "It went wrong."),
    errors.TransportError("It went wrong."),
    errors.LimitExceeded("depth", "It went wrong."),
    errors.ContextExpired("It went wrong."),
    errors.StoreError("It went wrong."),
    errors.TokenFault("It went wrong."),
    errors.UnsecuredFault("It went wrong."),
]


def _name(error: BaseException) -> str:
    return type(error).__name__


def test_examples_are_all() -> None:
    """Every public exception of the module is among the examples that the tests below go through."""
    public = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_")
    }
    assert {_name(error) for error in _EXAMPLES} == public


@pytest.mark.parametrize("error", _EXAMPLES, ids=_name)
def test_zeep_catches_it(error: errors.SecureConversationError) -> None:
    """Code that catches zeep's Error catches every error of this library."""
    assert isinstance(error, errors.SecureConversationError)
    with pytest.raises(zeep.exceptions.Error):
        raise error


@pytest.mark.parametrize("error", _EXAMPLES, ids=_name)
def test_message_comes_first(error: errors.SecureConversationError) -> None:
    """Without circumstances and hint, the first line is the message and nothing else."""
    assert error.message == "It went wrong."
    assert str(error).splitlines()[0] == "It went wrong."


@pytest.mark.parametrize("error", _EXAMPLES, ids=_name)
def test_hint_and_circumstances_are_carried(error: errors.SecureConversationError) -> None:
    """Every error can carry the hint, what was being done, the endpoint and the context."""
    positional = [error.check] if isinstance(error, errors.VerificationError) else []
    kind: Callable[..., errors.SecureConversationError] = type(error)
    full = kind(
        *positional,
        "It went wrong.",
        hint="Change it.",
        doing="issuing a context",
        endpoint="https://example.org/service",
        context="urn:uuid:1",
    )
    assert (full.hint, full.doing) == ("Change it.", "issuing a context")
    assert (full.endpoint, full.context) == ("https://example.org/service", "urn:uuid:1")
    assert str(full).splitlines()[:2] == [
        "It went wrong. (issuing a context, endpoint https://example.org/service, context urn:uuid:1)",
        "Hint: Change it.",
    ]


@pytest.mark.parametrize(
    ("circumstances", "text"),
    [
        ({}, "No."),
        ({"doing": "renewing"}, "No. (renewing)"),
        ({"endpoint": "https://example.org/"}, "No. (endpoint https://example.org/)"),
        ({"context": "urn:uuid:1"}, "No. (context urn:uuid:1)"),
        ({"hint": "Try again."}, "No.\nHint: Try again."),
        ({"doing": "renewing", "context": "urn:uuid:1"}, "No. (renewing, context urn:uuid:1)"),
    ],
)
def test_text_names_what_is_known(circumstances: dict[str, str], text: str) -> None:
    """The text names the circumstances that are known, and leaves no gap for those that are not."""
    assert str(errors.SecureConversationError("No.", **circumstances)) == text


def test_circumstances_are_filled_in_on_the_way_up() -> None:
    """at() adds what the raiser did not know, keeps what it knew, and returns the same error."""
    error = errors.ContextExpired("The context is over.", doing="calling echo")
    assert error.at(doing="anything", endpoint="https://example.org/", context="urn:uuid:1") is error
    assert error.doing == "calling echo"
    assert error.endpoint == "https://example.org/"
    assert error.context == "urn:uuid:1"
    assert error.at(context="urn:uuid:2").context == "urn:uuid:1"


_FULL = [
    errors.PolicyError("No.", assertion="{urn:x}Odd", position="line 14", hint="Change it.", doing="calling"),
    errors.VerificationError("signature", "No.", endpoint="https://example.org/", context="urn:uuid:1"),
    errors.LimitExceeded("depth", "No."),
    errors.TransportError("No.", status_code=502),
    errors.TokenFault("Gone.", code="{urn:x}Lost", verified=True, actor="urn:a", subcodes=["a"]),
    errors.UnsecuredFault(
        "Gone.", detail=etree.fromstring("<detail xmlns:p='urn:p'><p:a>p:b</p:a></detail>")
    ),
]


@pytest.mark.parametrize("error", [*_EXAMPLES, *_FULL], ids=_name)
@pytest.mark.parametrize(
    "again",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy],  # noqa: S301
    ids=["pickle", "copy", "deepcopy"],
)
def test_it_survives_pickle_and_copy(
    error: errors.SecureConversationError,
    again: Callable[[errors.SecureConversationError], errors.SecureConversationError],
) -> None:
    """Errors cross processes whole: class, text and every attribute."""
    other = again(error)
    assert type(other) is type(error)
    assert (str(other), other.args) == (str(error), error.args)
    mine, theirs = dict(vars(error)), dict(vars(other))
    detail, copied = mine.pop("detail", None), theirs.pop("detail", None)
    assert theirs == mine
    if detail is not None:
        assert etree.tostring(copied, method="c14n") == etree.tostring(detail, method="c14n")


def test_every_check_has_a_hint_of_its_own() -> None:
    """The documented checks are those that have a hint; a given hint wins; a limit's says to raise it."""
    page = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    checks = set(re.findall(r"^\| `([\w-]+)` \|", page.partition("## The checks")[2], flags=re.MULTILINE))
    assert len(checks) > 40
    assert checks - set(errors._HINTS) == set()
    assert errors.VerificationError("timestamp", "Old.").hint != errors.VerificationError("dtd", "No.").hint
    assert errors.VerificationError("timestamp", "Old.", hint="Wait.").hint == "Wait."
    assert "Limits" in str(errors.LimitExceeded("derived-key", "Long.").hint)
    assert "Limits" not in str(errors.VerificationError("derived-key", "Odd.").hint)


@pytest.mark.parametrize(
    "error",
    [errors.PolicyError("No."), errors.UnsecuredFault("No."), errors.TokenFault("No.")],
    ids=_name,
)
def test_what_a_peer_causes_has_a_hint(error: errors.SecureConversationError) -> None:
    """Where the place that raises knows no better, the class says what to do."""
    assert error.hint
    assert "Hint: " in str(error)


def test_verification_error_is_zeeps_too() -> None:
    """A message that is refused is a SignatureVerificationFailed for zeep, and names the check."""
    error = errors.VerificationError("coverage", "The Body is not signed.")
    assert isinstance(error, zeep.exceptions.SignatureVerificationFailed)
    assert error.check == "coverage"


def test_transport_error_is_zeeps_too() -> None:
    """A service that was not reached is zeep's TransportError, with the status where zeep has it."""
    error = errors.TransportError("It answered with HTML.", status_code=502)
    assert isinstance(error, zeep.exceptions.TransportError)
    assert error.status_code == 502
    assert not isinstance(error, zeep.exceptions.SignatureVerificationFailed)
    assert errors.TransportError("Nobody is there.").status_code == 0


def test_limit_is_a_failed_verification() -> None:
    """A message beyond a limit is refused like any other message that fails a check."""
    assert issubclass(errors.LimitExceeded, errors.VerificationError)


@pytest.mark.parametrize(
    "kind", [errors.ConfigurationError, errors.PolicyError, errors.ContextExpired, errors.StoreError]
)
def test_local_errors_are_no_failed_verifications(kind: type[Exception]) -> None:
    """What is wrong on this side is neither a failed verification nor a fault of the peer."""
    assert not issubclass(kind, zeep.exceptions.SignatureVerificationFailed)
    assert not issubclass(kind, zeep.exceptions.Fault)


def test_policy_error_points_at_the_assertion() -> None:
    """A PolicyError carries the assertion and where it stands."""
    error = errors.PolicyError("Unknown.", assertion="{urn:x}Odd", position="line 14 of peer.wsdl")
    assert (error.assertion, error.position) == ("{urn:x}Odd", "line 14 of peer.wsdl")


@pytest.mark.parametrize("kind", [errors.TokenFault, errors.UnsecuredFault])
def test_fault_is_zeeps_fault(kind: type[errors.TokenFault | errors.UnsecuredFault]) -> None:
    """Code that catches zeep's Fault gets the parts of the fault where zeep has them."""
    detail = etree.Element("detail")
    with pytest.raises(zeep.exceptions.Fault) as caught:
        raise kind("Gone.", code="{urn:x}Lost", actor="urn:actor", detail=detail, subcodes=["a"])
    fault = caught.value
    assert (fault.message, fault.code, fault.actor) == ("Gone.", "{urn:x}Lost", "urn:actor")
    assert fault.detail is detail
    assert fault.subcodes == ["a"]


@pytest.mark.parametrize("kind", [errors.TokenFault, errors.UnsecuredFault])
def test_fault_text_is_marked_until_verified(kind: type[errors.TokenFault | errors.UnsecuredFault]) -> None:
    """The text of a fault is marked as unauthenticated, unless a signature of the context covered it."""
    assert kind("Call this number.").verified is False
    assert "unauthenticated" in str(kind("Call this number."))
    assert "unauthenticated" in str(kind("Call this number.", hint="Issue anew."))
    assert str(kind("Call this number.", verified=True)) == "Call this number."


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (f"{{{_WSC}}}BadContextToken", "BadContextToken"),
        (f"{{{_WSC}}}RenewNeeded", "RenewNeeded"),
        ("Server", "Server"),
        (None, ""),
    ],
)
def test_token_fault_has_a_name(code: str | None, name: str) -> None:
    """The name of a token fault is the local name of its code."""
    assert errors.TokenFault("Gone.", code=code).name == name
