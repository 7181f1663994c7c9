"""References to policies in other documents."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.unit.policy.documents import BODY, HEADER, parsed, policy, policy_text, wsdl_text
from zeep_secureconv.errors import ConfigurationError, PolicyError
from zeep_secureconv.names import SP_200702, WSP_W3C, WSU
from zeep_secureconv.policy import Policy, load_policy, read_policy, read_wsdl

_HERE = "http://example.org/services/peer.wsdl"


def document(content: str, *, name: str = "") -> str:
    """A wsp:Policy, or where *name* is given some XML around one of that name."""
    namespaces = f'xmlns:wsp="{WSP_W3C}" xmlns:sp="{SP_200702}" xmlns:wsu="{WSU}"'
    if not name:
        return f"<wsp:Policy {namespaces}>{content}</wsp:Policy>"
    return f'<all {namespaces}><wsp:Policy wsu:Id="{name}">{content}</wsp:Policy></all>'


def loader(**texts: str) -> Callable[[str], etree._Element]:
    """Loads *texts*, whose names have no ending, from the folder of the WSDL."""

    def load(location: str) -> etree._Element:
        return parsed(texts[location.rpartition("/")[2].removesuffix(".xml")])

    return load


def referring(uri: str) -> str:
    """A policy with a reference."""
    return policy_text(more=f'<wsp:PolicyReference URI="{uri}"/>')


def follow(uri: str, *, location: str | None = _HERE, allow_external: bool = False, **texts: str) -> Policy:
    """What is read of a policy with a reference."""
    return read_policy(
        parsed(referring(uri)), location=location, load=loader(**texts), allow_external=allow_external
    ).endpoint


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("parts.xml", ""),
        ("./parts.xml", ""),
        ("parts.xml#P", "P"),
        ("/elsewhere/parts.xml", ""),
        ("http://example.org/services/parts.xml", ""),
    ],
)
def test_reference_to_another_document(uri: str, name: str) -> None:
    """A document of the same origin may be referred to: its root policy, or one in it by its id."""
    assert follow(uri, parts=document(BODY, name=name)) == policy(more=BODY)


@pytest.mark.parametrize(
    ("location", "uri"),
    [
        (_HERE, "https://example.org/services/parts.xml"),
        (_HERE, "http://example.org:8080/parts.xml"),
        (_HERE, "//other.example.org/parts.xml"),
        (_HERE, "file:///etc/parts.xml"),
        ("/home/user/wsdl/peer.wsdl", "../parts.xml"),
        ("/home/user/wsdl/peer.wsdl", "/etc/parts.xml"),
        ("/home/user/wsdl/peer.wsdl", "sub/../../parts.xml"),
        ("/home/user/wsdl/peer.wsdl", "%2e%2e/parts.xml"),
        ("file:///home/user/wsdl/peer.wsdl", "sub/%2e%2e/%2E%2E/parts.xml"),
        ("file:///home/user/wsdl/peer.wsdl", "http://example.org/parts.xml"),
        ("peer.wsdl", "../parts.xml"),
        ("peer.wsdl", "/etc/parts.xml"),
    ],
)
def test_reference_to_somewhere_else(location: str, uri: str) -> None:
    """Another origin, and a file outside of the document's folder, are referred to only where that is allowed."""
    parts = document(BODY)
    with pytest.raises(PolicyError, match="outside the document, which is not allowed") as caught:
        follow(uri, location=location, parts=parts)
    assert uri in caught.value.message
    assert caught.value.assertion == f"{{{WSP_W3C}}}PolicyReference"
    assert caught.value.position is not None
    assert follow(uri, location=location, allow_external=True, parts=parts) == policy(more=BODY)


@given(st.lists(st.sampled_from(["..", ".", "a", "%2e%2e", "", "b.xml", "..\\"]), min_size=1, max_size=6))
def test_no_relative_path_leads_out_of_a_folder(steps: list[str]) -> None:
    """Whatever a reference is made of, what is loaded is in the folder of the document or below."""
    loaded = []

    def load(location: str) -> etree._Element:
        loaded.append(location)
        return parsed(document(BODY))

    with suppress(PolicyError):
        read_policy(parsed(referring("/".join(steps))), location="/home/user/wsdl/peer.wsdl", load=load)
    for location in loaded:
        assert location.startswith("/home/user/wsdl/")
        assert ".." not in location
        assert "%2e" not in location.lower()


@pytest.mark.parametrize(
    "location", ["/home/user/wsdl/peer.wsdl", "file:///home/user/peer.wsdl", "peer.wsdl"]
)
@pytest.mark.parametrize("uri", ["parts.xml", "sub/parts.xml", "sub/../parts.xml"])
def test_reference_to_a_file_beside_it(location: str, uri: str) -> None:
    """Files in the folder of the document and below may be referred to."""
    assert follow(uri, location=location, parts=document(BODY)) == policy(more=BODY)


def test_references_go_on() -> None:
    """References in another document are relative to it, and stay in the origin of the first."""
    texts: dict[str, Any] = {
        "one": document('<wsp:PolicyReference URI="../services/two.xml"/>'),
        "two": document(HEADER),
    }
    assert follow("one.xml", **texts) == policy(more=HEADER)
    out = document('<wsp:PolicyReference URI="http://other.example.org/two.xml"/>')
    with pytest.raises(PolicyError, match="outside the document"):
        follow("one.xml", one=out, two=document(HEADER))


def test_references_back() -> None:
    """Another document may refer to policies of the first."""
    text = referring("one.xml").replace(
        "</wsp:ExactlyOne>",
        f'<wsp:All><x:Never/><wsp:Policy wsu:Id="P">{BODY}</wsp:Policy></wsp:All></wsp:ExactlyOne>',
        1,
    )
    back = document('<wsp:PolicyReference URI="peer.wsdl#P"/>')
    assert read_policy(parsed(text), location=_HERE, load=loader(one=back)).endpoint == policy(more=BODY)


def test_circle_of_documents() -> None:
    """Documents that refer to each other in a circle are refused."""
    assert follow("one.xml", one=document(BODY)) == policy(more=BODY)
    with pytest.raises(PolicyError, match="refers to itself"):
        follow("one.xml", one=document('<wsp:PolicyReference URI="peer.wsdl"/>'))
    two: dict[str, Any] = {
        "one": document('<wsp:PolicyReference URI="two.xml"/>'),
        "two": document('<wsp:PolicyReference URI="one.xml"/>'),
    }
    with pytest.raises(PolicyError, match="refers to itself"):
        follow("one.xml", **two)


def test_documents_are_bounded() -> None:
    """A chain of documents ends."""

    def load(location: str) -> etree._Element:
        number = int(location.rpartition("/")[2])
        return parsed(document(f'<wsp:PolicyReference URI="{number + 1}"/>' if number < last else BODY))

    last = 20
    assert read_policy(parsed(referring("1")), location=_HERE, load=load).endpoint == policy(more=BODY)
    last = 1_000
    with pytest.raises(PolicyError, match=r"documents already|deeply"):
        read_policy(parsed(referring("1")), location=_HERE, load=load)


def test_each_document_is_loaded_once() -> None:
    """A document that is referred to often is loaded once."""
    loaded = []

    def load(location: str) -> etree._Element:
        loaded.append(location)
        return parsed(document(BODY))

    text = policy_text(more='<wsp:PolicyReference URI="parts.xml"/>' * 3)
    assert read_policy(parsed(text), location=_HERE, load=load).endpoint == policy(more=BODY)
    assert len(loaded) == 1


@pytest.mark.parametrize(
    ("uri", "location", "says"),
    [
        ("parts.xml#Q", _HERE, "leads to no policy"),
        ("parts.xml", None, "where that came from is not known"),
        ("http://[bad", _HERE, "is no URI"),
    ],
)
def test_references_that_cannot_be_followed(uri: str, location: str | None, says: str) -> None:
    """A reference that leads to nothing, or from nowhere, is refused by its text."""
    assert follow("parts.xml#P", parts=document(BODY, name="P")) == policy(more=BODY)
    with pytest.raises(PolicyError, match=says) as caught:
        follow(uri, location=location, parts=document(BODY, name="P"))
    assert uri in caught.value.message


def test_nothing_to_load_with() -> None:
    """Where nothing can be loaded, references out of the document are refused."""
    with pytest.raises(PolicyError, match="nothing can be loaded here"):
        read_policy(parsed(referring("parts.xml")), location=_HERE)


def test_an_error_names_the_other_document() -> None:
    """What is wrong in another document is told with its name."""
    with pytest.raises(PolicyError) as caught:
        follow("parts.xml", parts=document('<x:Unheard xmlns:x="urn:x"/>'))
    assert caught.value.position == "line 1 of http://example.org/services/parts.xml"


def test_references_of_a_wsdl() -> None:
    """PolicyReference and PolicyURIs of a WSDL lead to other documents too."""
    load = loader(parts=document(BODY))
    by_element = wsdl_text(binding='<wsp:PolicyReference URI="parts.xml"/>')
    by_attribute = wsdl_text(port_type_attribute='wsp:PolicyURIs="#P parts.xml"')
    for text in (by_element, by_attribute):
        found = read_wsdl(parsed(text), location=_HERE, load=load)
        assert found.endpoint.signed.body
    with pytest.raises(PolicyError, match="outside the document"):
        read_wsdl(
            parsed(by_element.replace("parts.xml", "http://other.example.org/parts.xml")),
            location=_HERE,
            load=load,
        )


def test_attachments_by_another_document_are_refused() -> None:
    """A wsp:PolicyAttachment would attach a policy to what it names; passing it over would lose a demand."""
    attachment = (
        f"<wsp:PolicyAttachment><wsp:AppliesTo/><wsp:Policy>{BODY}</wsp:Policy></wsp:PolicyAttachment>"
    )
    assert read_wsdl(parsed(wsdl_text())).endpoint.binding is None
    with pytest.raises(PolicyError, match="PolicyAttachment") as caught:
        read_wsdl(parsed(wsdl_text(definitions=attachment)))
    assert caught.value.assertion == f"{{{WSP_W3C}}}PolicyAttachment"


# ---------------------------------------------------------------------------------------------- files


def write(folder: Path, **texts: str) -> Path:
    """Files of a folder, of which the first is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.xml" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
    return paths[0]


def test_files_refer_to_files_beside_them(tmp_path: Path) -> None:
    """A policy file may refer to others in its folder, and to others elsewhere where that is allowed."""
    write(tmp_path, outside=document(HEADER))
    inside = write(tmp_path / "in", main=referring("sub/parts.xml"))
    write(tmp_path / "in" / "sub", parts=document(BODY))
    assert load_policy(inside).endpoint == policy(more=BODY)
    outside = write(tmp_path / "in", main=referring("../outside.xml"))
    with pytest.raises(PolicyError, match="outside the document"):
        load_policy(outside)
    assert load_policy(outside, allow_external=True).endpoint == policy(more=HEADER)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    """A reference to a file that is not there is an error that names it."""
    path = write(tmp_path, main=referring("parts.xml"))
    with pytest.raises(ConfigurationError, match=r"parts\.xml"):
        load_policy(path)
