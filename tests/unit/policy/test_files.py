from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.policy.documents import BODY, policy, policy_text, wsdl_text
from zeep_secureconv.errors import ConfigurationError, PolicyError
from zeep_secureconv.policy import EndpointPolicy, Policy, load_policies, load_policy
from zeep_secureconv.policy.presets import PRESETS

_SUITES = "<wsp:ExactlyOne><sp:Basic256/><sp:Basic128/></wsp:ExactlyOne>"


def test_policies_that_need_no_file() -> None:
    """A policy, an endpoint's policy and a preset are taken as they are; each is the one alternative."""
    endpoint = EndpointPolicy(endpoint=policy())
    assert load_policy(policy()) == load_policy(endpoint) == endpoint
    assert load_policies(endpoint) == (endpoint,)
    for name, preset in PRESETS.items():
        assert load_policy(name) == preset.policy()
        assert load_policies(name) == (preset.policy(),)


def test_a_file_goes_before_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is called like a preset is the file."""
    name = next(iter(PRESETS))
    monkeypatch.chdir(tmp_path)
    assert load_policy(name) == PRESETS[name].policy()
    Path(name).write_text(policy_text())
    assert load_policy(name).endpoint == policy()


def test_alternatives_of_a_file(tmp_path: Path) -> None:
    """A client takes the first alternative of a file that it can satisfy, a service all."""
    path = tmp_path / "policy.xml"
    path.write_text(policy_text(suite=_SUITES))
    first, second = load_policies(str(path))
    assert load_policy(path) == first

    def against(found: Policy) -> str | None:
        return "not this one" if found == first.endpoint else None

    assert load_policy(path, satisfiable=against) == second
    assert load_policies(path, satisfiable=against) == (second,)
    with pytest.raises(PolicyError, match="no"):
        load_policies(path, satisfiable=lambda _: "no")


def test_binding_of_a_wsdl(tmp_path: Path) -> None:
    """The binding is chosen where the file has it; a WSDL that knows another is read as it is."""
    path = tmp_path / "service.wsdl"
    path.write_text(wsdl_text(binding=f"<wsp:Policy>{BODY}</wsp:Policy>"))
    for binding in ("{urn:t}Binding", "{urn:other}Another", None):
        assert load_policy(path, binding=binding).endpoint.signed.body
        assert load_policies(path, binding=binding)[0].endpoint.signed.body


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no policy file"),
        ("not XML", "not well-formed"),
        ("<a/>", "not a WSDL"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: str | None, says: str) -> None:
    """A file that is missing or something else is an error that says so."""
    path = tmp_path / "policy.xml"
    if content is not None:
        path.write_text(content)
    for load in (load_policy, load_policies):
        with pytest.raises(ConfigurationError, match=says) as caught:
            load(path)
        assert caught.value.hint
    path.write_text(policy_text())
    assert load_policy(path).endpoint == policy()
