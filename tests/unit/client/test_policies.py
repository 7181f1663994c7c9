"""Which policy holds for a call."""

from __future__ import annotations

import logging
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import zeep

from tests.unit.client.conftest import POLICY, Service
from tests.unit.messages import symmetric
from zeep_secureconv import ConfigurationError, PolicyError
from zeep_secureconv.client.policies import Policies
from zeep_secureconv.policy import EndpointPolicy
from zeep_secureconv.service.contract import demonstration_wsdl

URL, OTHER = "http://localhost/a", "http://localhost/b"


@pytest.fixture
def wsdl(tmp_path: Path) -> Path:
    """A WSDL with a policy."""
    path = tmp_path / "service.wsdl"
    path.write_bytes(demonstration_wsdl(POLICY, address=URL))
    return path


def binding_of(source: Any, **options: Any) -> Any:
    """Zeep's binding of a WSDL."""
    return zeep.Client(source, **options).service._binding


def test_without_a_given_policy_the_wsdl_speaks(wsdl: Path) -> None:
    """The policy of a call is that of the WSDL which zeep loaded, read once."""
    policies = Policies(None)
    binding = binding_of(str(wsdl))
    found = policies.of_call(URL, binding)
    assert sorted(found.operations) == ["big", "echo", "fail", "sum", "whoami"]
    assert found.endpoint.conversation_token is not None
    assert policies.of_call(URL, binding) is found
    assert policies.of_call(URL, binding_of(str(wsdl))) is not found
    assert not policies.is_given(URL)
    assert policies.given(URL) is None


def test_a_given_policy_wins(wsdl: Path, tmp_path: Path) -> None:
    """policy= counts instead of the WSDL: a path, a Policy or an EndpointPolicy."""
    plain = tmp_path / "plain.wsdl"
    plain.write_bytes(demonstration_wsdl(None, address=URL))
    binding = binding_of(str(plain))
    for source in (wsdl, str(wsdl)):
        policies = Policies(source)
        assert policies.is_given(URL)
        found = policies.of_call(URL, binding)
        assert found.endpoint.conversation_token is not None
        assert policies.of_call(URL, binding) is found
        assert policies.given(URL) is not None
    made = symmetric()
    assert Policies(made).of_call(URL, binding).endpoint is made
    whole = EndpointPolicy(endpoint=made)
    assert Policies(whole).of_call(URL, binding) is whole


def test_a_mapping_goes_by_endpoint(wsdl: Path) -> None:
    """A mapping gives some endpoints a policy, and the others keep that of their WSDL."""
    made = symmetric()
    policies = Policies({OTHER: made})
    assert policies.is_given(OTHER)
    assert not policies.is_given(URL)
    assert policies.given(URL) is None
    binding = binding_of(str(wsdl))
    assert policies.of_call(OTHER, binding).endpoint is made
    assert policies.of_call(URL, binding).endpoint.conversation_token != made.conversation_token


def test_a_policy_file_that_is_none_is_told(tmp_path: Path) -> None:
    """A missing file, and one that is no policy, are ConfigurationErrors with a hint."""
    broken = tmp_path / "broken.wsdl"
    broken.write_text("<a>")
    other = tmp_path / "other.xml"
    other.write_text("<a/>")
    for source in (tmp_path / "missing.wsdl", broken, other):
        with pytest.raises((ConfigurationError, PolicyError)) as caught:
            Policies(source).given(URL)
        assert caught.value.hint


def test_a_wsdl_without_a_place_is_told(wsdl: Path) -> None:
    """A WSDL from an open file cannot be read again."""
    with pytest.raises(ConfigurationError, match="open file") as caught:
        Policies(None).of_call(URL, binding_of(BytesIO(wsdl.read_bytes())))
    assert "policy=" in str(caught.value.hint)
    Policies(None).of_call(URL, binding_of(str(wsdl)))


def test_a_policy_read_over_http_is_warned_about(
    service: Service, wsdl: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A policy that came over http may have been changed on the way; one from a file was not."""
    caplog.set_level(logging.WARNING, "zeep_secureconv")
    Policies(None).of_call(URL, binding_of(str(wsdl)))
    assert caplog.text == ""
    Policies(None).of_call(service.url, binding_of(f"{service.url}?wsdl"))
    assert "over http" in caplog.text
