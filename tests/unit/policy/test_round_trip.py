"""What is written of a policy is read as the same policy."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.policy.documents import parsed, wsdl_text
from tests.unit.policy.strategies import applications, bootstraps
from tests.unit.policy.writer import write_policy
from zeep_secureconv.names import SP_200512, SP_200702, WSP_2004, WSP_W3C
from zeep_secureconv.policy import Policy, read_policy, read_wsdl
from zeep_secureconv.policy.fingerprint import fingerprint

_SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_SLOW
@given(st.one_of(bootstraps, applications))
def test_a_policy_is_read_as_it_was_written(policy: Policy) -> None:
    """Whatever the model can hold, its reading says the same, and has the same fingerprint."""
    found = read_policy(parsed(write_policy(policy)))
    assert found.endpoint == policy
    assert found.response is None
    assert fingerprint(found.endpoint) == fingerprint(policy)


@_SLOW
@given(bootstraps)
def test_other_namespaces_say_the_same(policy: Policy) -> None:
    """The other namespace of WS-Policy and an older one of WS-SecurityPolicy change nothing but the generation."""
    text = write_policy(policy).replace(WSP_W3C, WSP_2004)
    assert read_policy(parsed(text)).endpoint == policy
    older = read_policy(parsed(text.replace(SP_200702, SP_200512))).endpoint
    assert older.binding == policy.binding
    assert (older.signed, older.encrypted, older.required) == (
        policy.signed,
        policy.encrypted,
        policy.required,
    )


@_SLOW
@given(st.lists(applications, min_size=1, max_size=3))
def test_the_first_of_several_is_read(policies: list[Policy]) -> None:
    """Several policies as alternatives are read as the first that can be done."""
    alternatives = "".join(write_policy(policy) for policy in policies)
    text = f'<wsp:Policy xmlns:wsp="{WSP_W3C}"><wsp:ExactlyOne>{alternatives}</wsp:ExactlyOne></wsp:Policy>'
    found = read_policy(parsed(text)).endpoint
    assert found in policies
    alone = [read_policy(parsed(write_policy(policy))).endpoint for policy in policies]
    able = [policy for policy in alone if not policy.rejected]
    assert found == (able or alone)[0]


@_SLOW
@given(applications)
def test_attached_to_an_endpoint_it_holds_for_every_message(policy: Policy) -> None:
    """A policy at the binding of a WSDL is that of every message of its operations."""
    operation = read_wsdl(parsed(wsdl_text(binding=write_policy(policy)))).operations["op"]
    assert operation.request == operation.response == operation.fault == policy
