from __future__ import annotations

import pytest

from tests.unit.policy.documents import (
    BODY,
    HEADER,
    binding,
    parsed,
    policy,
    policy_text,
    refused,
)
from zeep_secureconv.errors import PolicyError
from zeep_secureconv.policy import (
    Policy,
    read_policy,
)

_TO_P = '<wsp:PolicyReference URI="#P"/>'


def nested_in_assertions(depth: int, content: str = "") -> str:
    """*content* inside that many assertions, each of which may be ignored."""
    opening, closing = '<x:U wsp:Ignorable="true"><wsp:Policy>', "</wsp:Policy></x:U>"
    return opening * depth + content + closing * depth


def test_first_alternative_wins() -> None:
    """Of several alternatives that can be satisfied the first is taken."""
    both = f"<wsp:ExactlyOne>{BODY}{HEADER}</wsp:ExactlyOne>"
    other = f"<wsp:ExactlyOne><wsp:All>{HEADER}</wsp:All><wsp:All>{BODY}</wsp:All></wsp:ExactlyOne>"
    assert policy(more=both) == policy(more=BODY)
    assert policy(more=other) == policy(more=HEADER)


def test_first_alternative_that_can_be_satisfied_wins() -> None:
    """Alternatives that cannot be satisfied are passed over, nested ones too."""
    assert policy(more=f"<wsp:ExactlyOne><x:Unheard/>{BODY}</wsp:ExactlyOne>") == policy(more=BODY)
    suite = "<wsp:ExactlyOne><sp:Basic512/><sp:Basic192/><sp:Basic128/></wsp:ExactlyOne>"
    assert binding(suite=suite) == binding(suite="<sp:Basic192/>")


def test_error_of_the_first_alternative() -> None:
    """Where no alternative can be satisfied, the error is that of the first."""
    error = refused(more="<wsp:ExactlyOne><x:First/><x:Second/></wsp:ExactlyOne>")
    assert error.assertion == "{urn:x}First"


def test_optional_gives_two_alternatives() -> None:
    """An optional assertion is done where it can be done, and left out where not."""
    optional = BODY.replace("<sp:SignedParts>", '<sp:SignedParts wsp:Optional="true">')
    assert policy(more=optional) == policy(more=BODY)
    assert policy(more='<x:Unheard wsp:Optional="true"/>') == policy()
    assert policy(binding='<sp:IncludeTimestamp wsp:Optional="1"/>') == policy(
        binding="<sp:IncludeTimestamp/>"
    )
    assert refused(more='<x:Unheard wsp:Optional="false"/>').assertion == "{urn:x}Unheard"


def test_operators_nest() -> None:
    """Policy, All and ExactlyOne nest in any order; a policy without operators is one alternative."""
    inner = f"<wsp:All><wsp:ExactlyOne>{HEADER}</wsp:ExactlyOne></wsp:All>"
    nested = f"<wsp:All><wsp:Policy>{BODY}{inner}</wsp:Policy></wsp:All>"
    assert policy(more=nested) == policy(more=BODY + HEADER)
    bare = parsed(policy_text().replace("<wsp:ExactlyOne>", "").replace("</wsp:ExactlyOne>", ""))
    assert read_policy(bare).endpoint == policy()


def test_no_alternative_at_all() -> None:
    """A policy whose ExactlyOne is empty admits nothing, which is an error and not freedom."""
    assert "no alternative" in refused(more="<wsp:ExactlyOne/>").message


def test_256_alternatives_and_no_more() -> None:
    """256 alternatives are weighed, the 257th is one too many."""

    def one_of(count: int) -> str:
        return f"<wsp:ExactlyOne>{'<x:Unheard/>' * (count - 1)}{BODY}</wsp:ExactlyOne>"

    assert policy(more=one_of(256)) == policy(more=BODY)
    assert "256" in refused(more=one_of(257)).message
    assert policy(more=one_of(16) * 2) == policy(more=BODY)
    assert "256" in refused(more=one_of(17) * 2).message
    assert "256" in refused(more='<x:Unheard wsp:Optional="true"/>' * 60).message


def test_nesting_is_bounded() -> None:
    """Operators and assertions may nest a while, and no further."""

    def nested(depth: int) -> str:
        return "<wsp:All>" * depth + BODY + "</wsp:All>" * depth

    assert policy(more=nested(50)) == policy(more=BODY)
    assert "deeply" in refused(more=nested(100)).message
    assert policy(more=nested_in_assertions(20)) == policy()
    assert "deeply" in refused(more=nested_in_assertions(100)).message


def test_assertions_of_one_alternative_are_bounded() -> None:
    """An alternative may be large, and no larger."""
    assert policy(more='<x:U wsp:Ignorable="true"/>' * 900) == policy()
    assert "1,000" in refused(more='<x:U wsp:Ignorable="true"/>' * 1001).message


def referring(reference: str, *policies: str) -> str:
    """A policy that holds *reference*, beside it *policies* in an alternative that is not reached."""
    defined = f"<wsp:All><x:Never/>{''.join(policies)}</wsp:All>"
    return policy_text(more=reference).replace("</wsp:ExactlyOne>", f"{defined}</wsp:ExactlyOne>", 1)


def read_reference(reference: str, *policies: str) -> Policy:
    """The policy that is read from :func:`referring`."""
    return read_policy(parsed(referring(reference, *policies))).endpoint


@pytest.mark.parametrize(
    ("identity", "uri"),
    [('wsu:Id="P"', "#P"), ('xml:id="P"', "#P"), ('Name="P"', "#P"), ('Name="urn:p:1"', "urn:p:1")],
)
def test_reference(identity: str, uri: str) -> None:
    """A reference stands for the policy with that id or name in the same document."""
    found = read_reference(
        f'<wsp:PolicyReference URI="{uri}"/>', f"<wsp:Policy {identity}>{BODY}</wsp:Policy>"
    )
    assert found == policy(more=BODY)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("#Q", "leads to no policy"),
        ("#", "leads to no policy"),
        ("", "leads to no policy"),
        ("http://example.org/policy.xml", "outside the document"),
        ("other.wsdl#P", "outside the document"),
        ("file:///etc/passwd", "outside the document"),
    ],
)
def test_reference_that_leads_nowhere(uri: str, says: str) -> None:
    """A reference to an unknown id, or out of the document, is refused."""
    target = f'<wsp:Policy wsu:Id="P">{BODY}</wsp:Policy>'
    assert read_reference('<wsp:PolicyReference URI="#P"/>', target) == policy(more=BODY)
    with pytest.raises(PolicyError, match=says) as caught:
        read_reference(f'<wsp:PolicyReference URI="{uri}"/>', target)
    assert caught.value.position is not None
    assert caught.value.position.startswith("line ")


def test_ambiguous_reference() -> None:
    """An id that two policies have stands for neither."""
    target = f'<wsp:Policy wsu:Id="P">{BODY}</wsp:Policy>'
    assert read_reference('<wsp:PolicyReference URI="#P"/>', target) == policy(more=BODY)
    with pytest.raises(PolicyError, match="ambiguous"):
        read_reference(
            '<wsp:PolicyReference URI="#P"/>', target, f'<wsp:Policy wsu:Id="P">{HEADER}</wsp:Policy>'
        )


@pytest.mark.parametrize(
    "policies",
    [
        ('<wsp:Policy wsu:Id="P"><wsp:PolicyReference URI="#P"/></wsp:Policy>',),
        (
            '<wsp:Policy wsu:Id="P"><wsp:PolicyReference URI="#Q"/></wsp:Policy>',
            f'<wsp:Policy wsu:Id="Q">{nested_in_assertions(1, _TO_P)}</wsp:Policy>',
        ),
    ],
)
def test_cyclic_reference(policies: tuple[str, ...]) -> None:
    """Policies that refer to themselves, directly or round a corner, are refused."""
    reference = '<wsp:PolicyReference URI="#P"/>'
    assert read_reference(reference, f'<wsp:Policy wsu:Id="P">{BODY}</wsp:Policy>') == policy(more=BODY)
    with pytest.raises(PolicyError, match="refers to itself"):
        read_reference(reference, *policies)


def test_references_that_fan_out() -> None:
    """A hundred policies, each of which refers to the next one twice, cost no more than they hold."""

    def chain(length: int, last: str) -> list[str]:
        links = [
            f'<wsp:Policy wsu:Id="P{i}">{f"""<wsp:PolicyReference URI="#P{i + 1}"/>""" * 2}</wsp:Policy>'
            for i in range(length)
        ]
        return [*links, f'<wsp:Policy wsu:Id="P{length}">{last}</wsp:Policy>']

    reference = '<wsp:PolicyReference URI="#P0"/>'
    assert read_reference(reference, *chain(25, BODY)) == policy(more=BODY)
    with pytest.raises(PolicyError, match="deeply"):
        read_reference(reference, *chain(100, BODY))


def test_assertions_that_fan_out_are_bounded() -> None:
    """Assertions that multiply through references are counted as what they become."""

    def tree(levels: int) -> list[str]:
        links = []
        for i in range(levels):
            branch = nested_in_assertions(1, f'<wsp:PolicyReference URI="#P{i + 1}"/>')
            links.append(f'<wsp:Policy wsu:Id="P{i}">{branch * 10}</wsp:Policy>')
        return [*links, f'<wsp:Policy wsu:Id="P{levels}">{BODY}</wsp:Policy>']

    reference = '<wsp:PolicyReference URI="#P0"/>'
    assert read_reference(reference, *tree(2)) == policy()
    with pytest.raises(PolicyError, match="1,000"):
        read_reference(reference, *tree(8))


def test_assertions_that_grow_by_references_are_bounded() -> None:
    """Assertions do not nest deeper because they were put together piece by piece."""

    def pieces(count: int) -> list[str]:
        first = f'<wsp:Policy wsu:Id="P0">{nested_in_assertions(1)}</wsp:Policy>'
        links = [first]
        for i in range(1, count):
            inner = nested_in_assertions(1, f'<wsp:PolicyReference URI="#P{i - 1}"/>')
            links.append(f'<wsp:Policy wsu:Id="P{i}">{inner}</wsp:Policy>')
        return links

    def references(count: int) -> str:
        return "".join(f'<wsp:PolicyReference URI="#P{i}"/>' for i in range(count))

    assert read_reference(references(30), *pieces(30)) == policy()
    with pytest.raises(PolicyError, match="deeply"):
        read_reference(references(100), *pieces(100))
