from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from zeep_secureconv.cli import demo as demo_module

CommandLine = Callable[..., Any]


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What the demonstration printed, once it ran."""
    return []


@pytest.fixture
def output(cli: CommandLine, told: list[str]) -> str:
    """The output of a demonstration that ended well."""
    if not told:
        result = cli("demo")
        assert result.status == 0, result.out
        told.append(result.out)
    return told[0]


def test_everything_is_verified(output: str) -> None:
    """Each claim of the demonstration is verified, and the end says so."""
    assert output.count("verified: ") == 8
    assert "8 of 8 claims verified" in output
    assert "NOT TRUE" not in output


@pytest.mark.parametrize(
    "action",
    ["/RST/SCT", "/RSTR/SCT", ":echo", ":echoResponse", ":sum", ":failFault", ":whoami", "/RST/SCT/Cancel"],
)
def test_every_message_is_told(output: str, action: str) -> None:
    """The bootstrap, the calls, the fault and the cancelling are there with their action and size."""
    flat = " ".join(output.split())
    assert re.search(rf"[→←] \S+{re.escape(action)} \([\d,]+ bytes", flat)


def test_layout_is_that_of_the_policy(output: str) -> None:
    """The security headers hold what a bootstrap with certificates and calls with derived keys need."""
    for part in (
        "BinarySecurityToken",
        "EncryptedKey",
        "SecurityContextToken",
        "DerivedKeyToken",
        "hmac-sha1",
    ):
        assert part in output
    assert "soap:Body: encrypted" in output


def test_the_context_is_named(output: str) -> None:
    """The identifier of the context is told with its end."""
    assert re.search(r"The context is urn:uuid:[0-9a-f-]{36}, until \d\d:\d\d:\d\d", output)


def test_a_claim_that_does_not_hold_is_a_failure(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status is 1 when one thing is not as it must be."""
    # what goes over the wire in the clear anyway passes for something secret
    monkeypatch.setattr(demo_module, "_CODE", "RequestSecurityToken")
    result = cli("demo")
    assert result.status == 1
    assert "NOT TRUE: nothing of what was said can be read" in result.out
    assert "7 of 8 claims verified" in result.out
