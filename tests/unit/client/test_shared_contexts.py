"""Contexts in a shared store that another process asked for: listed, renewed, validated and given back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.client.conftest import Service
from tests.unit.parties import identity
from zeep_secureconv import ConfigurationError, FileStore, SecureConversation, SecurityContext

KEY = bytes(range(32))


@pytest.fixture
def asked(service: Service, tmp_path: Path) -> SecurityContext:
    """A context that another process asked for, and left in the store."""
    sc = process(service, tmp_path)
    assert sc.client(str(service.wsdl)).service.echo("x") == "x"
    (context,) = sc.contexts()
    return context


def process(service: Service, folder: Path, **options: object) -> SecureConversation:
    """A process that has called nobody yet, as far as the store is concerned."""
    return service.conversation(
        store=FileStore(folder / "contexts", key=KEY, clock=service.time.clock), **options
    )


def test_a_policy_tells_which_contexts_are_ours(
    service: Service, tmp_path: Path, asked: SecurityContext
) -> None:
    """With policy= a new process lists, validates, renews and cancels what is there, without a bootstrap or a call."""
    sc = process(service, tmp_path, policy=service.wsdl)
    assert sc.contexts() == [asked]
    assert sc.validate(asked)
    renewed = sc.renew()
    assert (renewed.identifier, renewed.instance is None) == (asked.identifier, False)
    assert process(service, tmp_path, policy=service.wsdl).renew(renewed).identifier == asked.identifier
    assert sc.cancel() == 1
    assert sc.contexts() == []
    assert service.kinds() == ["issue", "echo", "Validate", "Renew", "Renew", "cancel"]


def test_without_a_policy_the_first_call_tells(
    service: Service, tmp_path: Path, asked: SecurityContext
) -> None:
    """Before that nothing is listed, and the context is told apart from those of others only then."""
    sc = process(service, tmp_path)
    assert sc.contexts() == []
    with pytest.raises(ConfigurationError, match="none of this client's") as caught:
        sc.renew(asked)
    assert caught.value.hint
    assert sc.client(str(service.wsdl)).service.echo("y") == "y"
    assert sc.contexts() == [asked]
    assert service.kinds() == ["issue", "echo", "echo"]


@pytest.mark.usefixtures("asked")
def test_contexts_of_others_are_not_listed(service: Service, tmp_path: Path) -> None:
    """Other credentials, and another policy, have nothing to do with it."""
    other = process(service, tmp_path, policy=service.wsdl, identity=identity("client2"))
    assert other.contexts() == []
    assert other.cancel() == 0
    elsewhere = process(service, tmp_path, policy="SecureConversation")
    assert elsewhere.contexts() == []
    assert len(process(service, tmp_path, policy=service.wsdl).contexts()) == 1
