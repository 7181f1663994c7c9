"""Faults of a service as exceptions of zeep."""

from __future__ import annotations

from typing import Any

import pytest
import zeep.exceptions

from tests.unit.messages import bare
from zeep_secureconv import TokenFault, UnsecuredFault
from zeep_secureconv.conversation.faults import DOTNET, WSS4J, fault_error, is_security_fault
from zeep_secureconv.names import SOAP11, WSC_2005, WSC_200512, WSSE, WST_2005, WST_200512
from zeep_secureconv.soap.faults import Fault
from zeep_secureconv.wss.reply import Reply

SECURITY = (WSC_2005, WSC_200512, WST_2005, WST_200512, WSSE, WSS4J, DOTNET)


def reply(code: str | None, *, proven: bool, text: str = "text") -> Reply:
    """A fault with that code."""
    fault = Fault(code=code, subcodes=(), text=text, actor="urn:actor", detail=None)
    return Reply(soap=bare(), verified=None, fault=fault, proven=proven)


def error(
    code: str | None, *, proven: bool = False, text: str = "text"
) -> TokenFault | UnsecuredFault | None:
    """The exception for it."""
    return fault_error(
        reply(code, proven=proven, text=text), doing="calling", endpoint="http://to", context="urn:c"
    )


@pytest.mark.parametrize("namespace", SECURITY)
def test_codes_of_security_are_token_faults(namespace: str) -> None:
    """A code of the security specifications, and of the stacks' security layers, is a TokenFault, proven or not."""
    for proven in (False, True):
        found = error(f"{{{namespace}}}BadContextToken", proven=proven)
        assert isinstance(found, TokenFault)
        assert (found.name, found.verified) == ("BadContextToken", proven)


@pytest.mark.parametrize("code", [f"{{{SOAP11}}}Server", "{urn:app}BadContextToken", "Server", None, ""])
def test_other_codes_are_the_applications(code: str | None) -> None:
    """Any other code is the application's own where it is proven, and an UnsecuredFault where it is not."""
    assert not is_security_fault(code)
    assert error(code, proven=True) is None
    found = error(code)
    assert isinstance(found, UnsecuredFault)
    assert not found.verified


def test_a_fault_keeps_what_it_says() -> None:
    """Code, text, actor and circumstances are kept; it is zeep's Fault, and marked when nothing proves it."""
    found = error(f"{{{WSSE}}}FailedCheck")
    assert isinstance(found, zeep.exceptions.Fault)
    assert isinstance(found, zeep.exceptions.Error)
    assert (found.message, found.actor) == ("text", "urn:actor")
    assert (found.doing, found.endpoint, found.context) == ("calling", "http://to", "urn:c")
    assert found.hint
    assert "unauthenticated" in str(found)
    proven = error(f"{{{WSSE}}}FailedCheck", proven=True)
    assert "unauthenticated" not in str(proven)


def test_a_fault_without_text_says_something() -> None:
    """An empty reason is replaced by a sentence."""
    found: Any = error("{urn:app}Oops", text="")
    assert found.message


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (f"{{{WSC_200512}}}BadContextToken", "new one"),
        (f"{{{WSC_2005}}}RenewNeeded", "new one"),
        (f"{{{WSS4J}}}SecurityError", "log"),
        (f"{{{WSSE}}}InvalidSecurity", "policy"),
        (f"{{{WST_200512}}}FailedAuthentication", "certificate"),
        (f"{{{WSSE}}}MessageExpired", "clocks"),
    ],
)
def test_known_codes_have_a_hint(code: str, word: str) -> None:
    """A code that is known says what to do about it."""
    found = error(code)
    assert found is not None
    assert word in str(found.hint)


def test_an_applications_fault_is_not_explained() -> None:
    """What an application means is not explained, even under a name that we know."""
    found = error("{urn:app}MessageExpired")
    assert found is not None
    assert "clocks" in str(error(f"{{{WSSE}}}MessageExpired").hint)  # type: ignore[union-attr]
    assert "clocks" not in str(found.hint)
