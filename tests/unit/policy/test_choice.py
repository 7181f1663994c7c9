from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.policy.documents import BODY, HEADER, parsed, policy, policy_text, wsdl_text
from zeep_secureconv.errors import PolicyError
from zeep_secureconv.names import SP_200702
from zeep_secureconv.policy import (
    EndpointPolicy,
    Policy,
    SymmetricBinding,
    UsernameToken,
    read_alternatives,
    read_policy,
    read_wsdl,
)

_USERNAME = "<sp:SupportingTokens><wsp:Policy><sp:UsernameToken/></wsp:Policy></sp:SupportingTokens>"
_KERBEROS = _USERNAME.replace("Username", "Kerberos")
_PKCS7 = (
    "<sp:EndorsingSupportingTokens><wsp:Policy><sp:X509Token><wsp:Policy><sp:WssX509Pkcs7Token10/></wsp:Policy>"
    "</sp:X509Token></wsp:Policy></sp:EndorsingSupportingTokens>"
)


def one_of(*choices: str) -> str:
    """Alternatives."""
    return f"<wsp:ExactlyOne>{''.join(f'<wsp:All>{choice}</wsp:All>' for choice in choices)}</wsp:ExactlyOne>"


def without_password(found: Policy) -> str | None:
    """What a client says that has no user name."""
    wanted = any(isinstance(entry.token, UsernameToken) for entry in found.supporting)
    return "there is no user name: give username=" if wanted else None


def chosen(*choices: str) -> Policy:
    """The alternative that a client without a user name takes."""
    root = parsed(policy_text(more=one_of(*choices)))
    return read_policy(root, location="x.wsdl", satisfiable=without_password).endpoint


def test_what_was_passed_over_is_told() -> None:
    """The policy that is taken has one line for every alternative before it, with the place and the reason."""
    found = chosen(_KERBEROS, _USERNAME, _PKCS7, BODY, HEADER)
    assert found == policy(more=BODY)
    kerberos, username, pkcs7 = found.rejected
    assert kerberos.startswith("alternative 1 (line ")
    assert kerberos.endswith(" of x.wsdl): the assertion sp:KerberosToken is not supported")
    assert username.startswith("alternative 2 (line ")
    assert username.endswith(": there is no user name: give username=")
    assert pkcs7.endswith(
        ": it asks for certificates of the form WssX509Pkcs7Token10, which is not supported"
    )


def test_nothing_was_passed_over() -> None:
    """Alternatives behind the one that is taken were not passed over."""
    assert chosen(BODY, _KERBEROS).rejected == ()


def test_without_credentials_to_judge_by_the_first_that_can_be_done_is_taken() -> None:
    """A reader that knows of no credentials takes what a client with all of them would."""
    root = parsed(policy_text(more=one_of(_KERBEROS, _USERNAME, BODY)))
    assert read_policy(root).endpoint == policy(more=_USERNAME)


def test_all_reasons_are_told() -> None:
    """Where no alternative can be satisfied the error has the reason of each; it stands where the first does."""
    assert chosen(_KERBEROS, _USERNAME, BODY) == policy(more=BODY)
    with pytest.raises(PolicyError) as caught:
        chosen(_KERBEROS, _USERNAME)
    assert "alternative 1 (line" in caught.value.message
    assert "sp:KerberosToken is not supported" in caught.value.message
    assert "alternative 2 (line" in caught.value.message
    assert "there is no user name" in caught.value.message
    assert caught.value.assertion == f"{{{SP_200702}}}KerberosToken"
    assert caught.value.position is not None


def test_a_hundred_reasons_are_not_told() -> None:
    """The error of a policy with very many alternatives stays readable."""
    with pytest.raises(PolicyError, match="and 90 more") as caught:
        chosen(*[_KERBEROS] * 100)
    assert caught.value.message.count("KerberosToken") == 10


def test_a_single_alternative_has_its_own_error() -> None:
    """Where there is but one alternative, its error is not wrapped."""
    with pytest.raises(PolicyError, match="there is no user name") as caught:
        chosen(_USERNAME)
    assert "alternative" not in caught.value.message


def test_what_can_be_read_and_not_done_is_returned_without_a_judge() -> None:
    """Somebody who only wants to explain a policy gets it, with the reason why it cannot be used."""
    found = read_policy(parsed(policy_text(more=_PKCS7))).endpoint
    assert len(found.supporting) == 1
    assert "WssX509Pkcs7Token10" in found.rejected[0]


def test_a_policy_without_a_binding_needs_nothing() -> None:
    """Nobody is asked for credentials for what secures nothing: a fault without a policy, for example."""

    def never(_: Policy) -> str:
        return "no"

    assert read_wsdl(parsed(wsdl_text()), satisfiable=never).endpoint == Policy()


@given(st.lists(st.sampled_from(["supported", "username", "unsupported"]), min_size=1, max_size=8))
def test_the_first_that_fits_is_taken(kinds: list[str]) -> None:
    """Whatever the order, the first alternative that fits is taken and all before it are told."""
    texts = {"supported": BODY, "username": _USERNAME, "unsupported": _KERBEROS}
    choices = [texts[kind] for kind in kinds]
    if "supported" not in kinds:
        with pytest.raises(PolicyError):
            chosen(*choices)
        return
    found = chosen(*choices)
    assert found == policy(more=BODY)
    assert len(found.rejected) == kinds.index("supported")


# -------------------------------------------------------------------------------------- every alternative


def suites(*found: EndpointPolicy) -> list[str]:
    """The algorithm suites of endpoints, and of their operations."""
    names = []
    for endpoint in found:
        operations = [
            policy for op in endpoint.operations.values() for policy in (op.request, op.response, op.fault)
        ]
        used = {
            p.binding.algorithm_suite.name for p in (endpoint.endpoint, *operations) if p.binding is not None
        }
        names.append(" ".join(sorted(used)))
    return names


def test_every_alternative_of_a_policy() -> None:
    """A service gets each alternative that it can do, once, in the order of the policy."""
    suite = one_of("<sp:Basic512/>", "<sp:Basic256/>", "<sp:Basic128/>", "<sp:Basic256/>")
    root = parsed(policy_text(suite=suite))
    assert suites(*read_alternatives(root)) == ["Basic256", "Basic128"]
    assert read_alternatives(root)[0] == read_policy(root)


def test_every_alternative_of_an_endpoint() -> None:
    """The policies of the operations are those that agree with the endpoint's, in every alternative."""
    text = policy_text(suite=one_of("<sp:Basic256/>", "<sp:Basic128/>"))
    root = parsed(wsdl_text(binding=text, binding_input=BODY_POLICY, binding_output=BODY_POLICY))
    found = read_alternatives(root)
    assert suites(*found) == ["Basic256", "Basic128"]
    assert [endpoint.operations["op"].request.signed.body for endpoint in found] == [True, True]
    assert found[0] == read_wsdl(root)


def test_alternatives_that_the_operations_cannot_have() -> None:
    """An alternative with which no message of an operation agrees is left out; without any left it is an error."""
    endpoint = policy_text(suite=one_of("<sp:Basic256/>", "<sp:Basic128/>"))
    message = policy_text(suite="<sp:Basic128/>")
    root = parsed(wsdl_text(binding=endpoint, binding_input=message))
    assert suites(*read_alternatives(root)) == ["Basic128"]
    other = parsed(wsdl_text(binding=endpoint, binding_input=policy_text(suite="<sp:Basic192/>")))
    with pytest.raises(PolicyError, match="contradicts"):
        read_alternatives(other)


def test_alternatives_below_the_minimum_are_left_out() -> None:
    """What a service does not accept is no alternative of it; nothing left is an error."""

    def only_256(found: Policy) -> str | None:
        assert isinstance(found.binding, SymmetricBinding)
        return None if found.binding.algorithm_suite.name == "Basic256" else "below the minimum"

    root = parsed(policy_text(suite=one_of("<sp:Basic256/>", "<sp:Basic128/>")))
    assert suites(*read_alternatives(root, satisfiable=only_256)) == ["Basic256"]
    with pytest.raises(PolicyError, match="below the minimum"):
        read_alternatives(parsed(policy_text(suite="<sp:Basic128/>")), satisfiable=only_256)


def test_a_binding_at_the_operations() -> None:
    """Where the endpoint itself has no binding, its operations have nothing to agree with."""
    (found,) = read_alternatives(parsed(wsdl_text(binding_operation=policy_text())))
    assert found.endpoint.binding is None
    assert found.operations["op"].request.binding is not None


def test_an_operation_that_cannot_be_satisfied_spoils_no_other() -> None:
    """A client without a user name reads the WSDL of a service that wants one for one operation only."""
    operation = f'<wsp:Policy xmlns:sp="{SP_200702}">{_USERNAME}</wsp:Policy>'
    root = parsed(wsdl_text(binding=policy_text(), binding_operation=operation))
    found = read_wsdl(root, satisfiable=without_password)
    assert found.endpoint.supporting == ()
    assert "there is no user name" in found.operations["op"].request.rejected[0]
    with pytest.raises(PolicyError, match="there is no user name"):
        read_wsdl(parsed(wsdl_text(binding=policy_text(more=_USERNAME))), satisfiable=without_password)


BODY_POLICY = f"<wsp:Policy>{BODY}</wsp:Policy>"
