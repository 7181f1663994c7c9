from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from lxml import etree

from tests.peers.variants import VARIANTS, Variant
from zeep_secureconv.names import WSDL
from zeep_secureconv.policy.presets import PRESETS, preset
from zeep_secureconv.service.contract import demonstration_wsdl


class Result(Protocol):
    """What a command line led to (see conftest.py)."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object."""


CommandLine = Callable[..., Result]

_RECORDED: dict[str, dict[str, dict[str, str]]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "layouts.json").read_text("utf-8")
)

_SHORT = {"DerivedKeyToken": "DKT", "SignatureConfirmation": "SC", "SecurityContextToken": "SCT"}
_RAMPART = "Rampart writes each derived key right before its use, and leaves confirmations in clear"
#: Where a stack writes another order than this library, which has one order for all: (stack, what it writes) ->
#: (what this library writes, why both are right). See _SHORT for abbreviations.
_OTHERWISE = {
    ("metro", "Timestamp BinarySecurityToken EncryptedKey Signature"): (
        "Timestamp EncryptedKey BinarySecurityToken Signature",
        "Metro writes certificates before keys; neither needs the other, and it reads both orders",
    ),
    ("cxf", "BinarySecurityToken Timestamp Signature"): (
        "Timestamp BinarySecurityToken Signature",
        "under a TransportBinding CXF writes certificates before the Timestamp; neither needs the other",
    ),
    ("rampart", "Timestamp DKT ReferenceList DKT EncryptedData"): (
        "Timestamp DKT DKT ReferenceList EncryptedData",
        _RAMPART,
    ),
    ("rampart", "Timestamp SCT DKT ReferenceList DKT EncryptedData"): (
        "Timestamp SCT DKT DKT ReferenceList EncryptedData",
        _RAMPART,
    ),
    ("rampart", "Timestamp EncryptedKey DKT ReferenceList EncryptedData DKT EncryptedData"): (
        "Timestamp EncryptedKey DKT DKT ReferenceList EncryptedData EncryptedData",
        _RAMPART,
    ),
    ("rampart", "Timestamp EncryptedKey DKT ReferenceList BinarySecurityToken DKT EncryptedData Signature"): (
        "Timestamp EncryptedKey DKT DKT ReferenceList BinarySecurityToken EncryptedData Signature",
        _RAMPART,
    ),
    ("rampart", "Timestamp DKT ReferenceList SC SC DKT EncryptedData"): (
        "Timestamp DKT DKT ReferenceList EncryptedData EncryptedData EncryptedData",
        _RAMPART,
    ),
}
#: Answers of Rampart repeat the context, whatever IncludeToken says.
_RAMPART_ANSWER = "Timestamp DKT DKT ReferenceList EncryptedData"


def _expected(stack: str, message: str, recorded: str) -> str:
    if stack == "rampart" and message == "application_response":
        return _RAMPART_ANSWER
    return _OTHERWISE.get((stack, recorded), (recorded, ""))[0]


def _short(names: list[str]) -> str:
    return " ".join(_SHORT.get(name, name) for name in names)


@pytest.fixture
def given(credentials: list[object]) -> list[object]:
    """Options that supply certificates, and neither user nor token."""
    return credentials


# --------------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_layouts_are_those_of_recorded_messages(cli: CommandLine, tmp_path: Path, variant: Variant) -> None:
    """For each policy of each stack the four headers are those that the stack was recorded with."""
    told = cli("explain", variant.write_wsdl(tmp_path), "--json").json
    recorded = _RECORDED[variant.stack.name].get(variant.name)
    if recorded is None:
        assert not variant.is_secured
        assert [problem["message"] for problem in told["problems"]] == [
            "The policy does not ask for secure conversation"
        ]
        return
    assert {message: _short(names) for message, names in told["layout"].items()} == {
        message: _expected(variant.stack.name, message, _short(names.split()))
        for message, names in recorded.items()
    }
    wrong = [problem["assertion"] for problem in told["problems"]]
    rm = "{http://docs.oasis-open.org/ws-rx/wsrmp/200702}RMAssertion"
    assert wrong == ([rm] if variant.is_reliable else [])


def test_every_exception_is_needed() -> None:
    """The table of other orders has no row that no recorded message needs."""
    seen = {
        (stack, _short(names.split()))
        for stack, variants in _RECORDED.items()
        for messages in variants.values()
        for names in messages.values()
    }
    assert set(_OTHERWISE) <= seen


@pytest.mark.parametrize("name", PRESETS)
def test_layouts_of_presets(cli: CommandLine, name: str) -> None:
    """Every preset is explained with the headers of all four messages."""
    told = cli("explain", name, "--json").json
    assert told["source"] == {"name": name, "kind": "preset", "description": preset(name).description}
    assert told["problems"] == []
    assert told["dialect"] == preset(name).dialect
    assert list(told["layout"]) == [
        f"{leg}_{direction}" for leg in ("bootstrap", "application") for direction in ("request", "response")
    ]
    assert all("Timestamp" in names for names in told["layout"].values())


def test_hidden_and_derived_parts_are_named(cli: CommandLine) -> None:
    """The layout says what an EncryptedData hides, and what each derived key is for."""
    (calls,) = cli("explain", "Username SecureConversation", "--json").json["application"]
    children = calls["request"]["layout"]["security"]
    assert [(child["name"], child["hides"], child["use"]) for child in children] == [
        ("Timestamp", None, ""),
        ("SecurityContextToken", None, ""),
        ("DerivedKeyToken", None, "signature"),
        ("DerivedKeyToken", None, "encryption"),
        ("ReferenceList", None, ""),
        ("EncryptedData", "UsernameToken", ""),
        ("EncryptedData", "Signature", ""),
    ]
    assert "UsernameToken" in calls["request"]["layout"]["signed"]
    assert "UsernameToken" not in calls["response"]["layout"]["signed"]


def test_endorsing_signatures_are_told_from_primary_ones(cli: CommandLine, tmp_path: Path) -> None:
    """Of two signatures the one over the other is called endorsing."""
    variant = next(one for one in VARIANTS if str(one) == "cxf-symx509-endorsing-dk")
    told = cli("explain", variant.write_wsdl(tmp_path), "--json").json
    children = told["bootstrap"]["request"]["layout"]["security"]
    assert [child["use"] for child in children if child["name"] == "Signature"] == ["", "endorsing"]


# ------------------------------------------------------------------------------------------ credentials


def test_what_is_missing_is_told_with_its_option(cli: CommandLine) -> None:
    """Without credentials the exit status is 1, and each need is named with assertion, place and option."""
    found = cli("explain", "SecureConversation", "--json")
    assert found.status == 1
    assert found.json["ok"] is False
    assert [need["option"] for need in found.json["missing"]] == [
        "--identity FILE",
        "--identity FILE",
        "--trust FILE",
        "--peer FILE",
    ]
    assert {need["leg"] for need in found.json["credentials"]} == {"bootstrap"}
    assert "sp:AsymmetricBinding, line 26 of preset SecureConversation" in found.json["missing"][0]["why"]


@pytest.mark.parametrize("name", PRESETS)
def test_nothing_is_missing_when_everything_is_given(
    cli: CommandLine, given: list[object], name: str, tmp_path: Path
) -> None:
    """With what the policy needs the exit status is 0."""
    ltpa = tmp_path / "token"
    ltpa.write_text("c2FtcGxl", encoding="ascii")
    options = [*given, "--username", "alice", "--password", "secret", "--ltpa", ltpa]
    found = cli("explain", name, *options, "--endpoint", "https://localhost/a", "--json")
    assert found.status == 0
    assert found.json["ok"] is True
    assert found.json["missing"] == []
    assert all(need["given"] for need in found.json["credentials"])


def test_a_user_without_a_password_is_not_enough(cli: CommandLine, given: list[object]) -> None:
    """Where the policy wants the password too, the name alone leaves it missing."""
    found = cli("explain", "Username SecureConversation", *given, "--username", "alice", "--json")
    assert found.status == 1
    assert [need["option"] for need in found.json["missing"]] == ["--password TEXT"]


def test_https_is_needed_where_the_policy_leaves_security_to_tls(cli: CommandLine) -> None:
    """Without an address https is assumed; an http address is a need that is not met."""

    def https(*more: str) -> object:
        needs = cli("explain", "WCF TransportWithMessageCredential UserName", *more, "--json").json[
            "credentials"
        ]
        return {need["given"] for need in needs if need["what"] == "an https address"}

    assert https() == {None}
    assert https("--endpoint", "http://localhost/a") == {False}
    assert https("--endpoint", "https://localhost/a") == {True}


def test_a_wrong_credential_is_an_error(cli: CommandLine, pki: Path) -> None:
    """A file that holds no identity is told as such, as JSON where that was asked for."""
    arguments = ("explain", "SecureConversation", "--identity", pki / "ca.pem", "--json")
    found = cli(*arguments)
    assert found.status == 1
    assert found.json["ok"] is False
    assert found.json["error"]["type"] == "ConfigurationError"


# -------------------------------------------------------------------------------------------- policies

_POLICY = """<wsp:Policy xmlns:wsp="http://www.w3.org/ns/ws-policy" xmlns:x="urn:x"
    xmlns:sp="http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702">
  <wsp:ExactlyOne>{alternatives}</wsp:ExactlyOne>
</wsp:Policy>"""
_ALTERNATIVE = """
  <wsp:All>
    <sp:SymmetricBinding><wsp:Policy>
      <sp:ProtectionToken><wsp:Policy>
        <sp:SecureConversationToken><wsp:Policy>
          <sp:BootstrapPolicy><wsp:Policy>
            <sp:AsymmetricBinding><wsp:Policy>
              <sp:InitiatorToken><wsp:Policy><sp:X509Token/></wsp:Policy></sp:InitiatorToken>
              <sp:RecipientToken><wsp:Policy><sp:X509Token/></wsp:Policy></sp:RecipientToken>
              <sp:AlgorithmSuite><wsp:Policy><sp:Basic128Sha256/></wsp:Policy></sp:AlgorithmSuite>
            </wsp:Policy></sp:AsymmetricBinding>
          </wsp:Policy></sp:BootstrapPolicy>
        </wsp:Policy></sp:SecureConversationToken>
      </wsp:Policy></sp:ProtectionToken>
      <sp:AlgorithmSuite><wsp:Policy><sp:{suite}/></wsp:Policy></sp:AlgorithmSuite>
    </wsp:Policy></sp:SymmetricBinding>
    <sp:SignedParts><sp:Body/></sp:SignedParts>
    {more}
  </wsp:All>"""


def _alternative(*, more: str = "", suite: str = "Basic128") -> str:
    return _ALTERNATIVE.format(more=more, suite=suite)


@pytest.fixture
def policy(tmp_path: Path) -> Callable[..., Path]:
    """Writes a policy with these alternatives into a file."""

    def write(*alternatives: str) -> Path:
        path = tmp_path / "policy.xml"
        path.write_text(_POLICY.format(alternatives="".join(alternatives)), encoding="utf-8")
        return path

    return write


_KERBEROS = "<sp:EndorsingSupportingTokens><wsp:Policy><sp:KerberosToken/></wsp:Policy></sp:EndorsingSupportingTokens>"


def test_unsupported_assertions_are_named_with_their_line(
    cli: CommandLine, policy: Callable[..., Path], given: list[object]
) -> None:
    """Each of them is told with its place, and the rest of the policy is explained without them."""
    path = policy(_alternative(more=f"{_KERBEROS}<x:Strange/>"))
    lines = path.read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if "Kerberos" in text)
    found = cli("explain", path, *given, "--json")
    assert found.status == 1
    assert sorted((one["assertion"], one["position"]) for one in found.json["unsupported"]) == [
        (
            "{http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702}KerberosToken",
            f"line {line} of {path}",
        ),
        ("{urn:x}Strange", f"line {line} of {path}"),
    ]
    assert found.json["layout"]["application_request"] == ["SecurityContextToken", "Signature"]
    assert {"depth": 1, "assertion": "KerberosToken", "line": line} in found.json["outline"]

    told = cli("explain", path, *given)
    assert told.status == 1
    assert "The policy cannot be satisfied:" in told.out
    assert f"KerberosToken (line {line}) <- here" in told.out
    assert cli("explain", policy(_alternative()), *given).status == 0


def test_a_policy_that_cannot_be_read_is_outlined(cli: CommandLine, policy: Callable[..., Path]) -> None:
    """Where nothing sensible is left without what is unknown, the assertions are shown as they are nested."""
    found = cli("explain", policy(_alternative(suite="Basic512")), "--json")
    assert found.status == 1
    assert [one["assertion"].rpartition("}")[2] for one in found.json["unsupported"]] == ["Basic512"]
    assert found.json["application"] == []
    assert found.json["layout"] == {}
    assert [entry["assertion"] for entry in found.json["outline"]][:3] == [
        "SymmetricBinding",
        "ProtectionToken",
        "SecureConversationToken",
    ]


def test_alternatives_that_are_passed_over_are_told_with_the_reason(
    cli: CommandLine, policy: Callable[..., Path], given: list[object]
) -> None:
    """The first alternative that can be done is taken; why not those before it is said."""
    found = cli("explain", policy(_alternative(more=_KERBEROS), _alternative()), *given, "--json")
    assert found.status == 0
    (calls,) = found.json["application"]
    assert len(calls["rejected"]) == 1
    assert "KerberosToken" in calls["rejected"][0]


def test_alternatives_are_chosen_by_what_was_given(
    cli: CommandLine, policy: Callable[..., Path], given: list[object]
) -> None:
    """An alternative that wants a user name is passed over by whoever gives none."""
    username = "<sp:SupportingTokens><wsp:Policy><sp:UsernameToken/></wsp:Policy></sp:SupportingTokens>"
    path = policy(_alternative(more=username), _alternative())
    found = cli("explain", path, *given, "--json")
    assert found.status == 0
    assert "user name" in found.json["application"][0]["rejected"][0]
    lacking = cli("explain", policy(_alternative(more=username)), *given, "--json")
    assert lacking.status == 1
    assert [need["what"] for need in lacking.json["missing"]] == ["a user name", "the user's password"]


def test_the_dialect_may_be_chosen(cli: CommandLine, policy: Callable[..., Path]) -> None:
    """--dialect wins over what the policy leads to."""
    path = policy(_alternative())
    assert cli("explain", path, "--json").json["dialect"] == "oasis13"
    assert cli("explain", path, "--dialect", "websphere13", "--json").json["dialect"] == "websphere13"


def test_weak_algorithms_are_reported(cli: CommandLine, policy: Callable[..., Path]) -> None:
    """What a message really uses and is weak is named; strong suites have nothing to report."""
    assert (
        "http://www.w3.org/2001/04/xmlenc#rsa-1_5"
        in cli("explain", "SecureConversation", "--json").json["weak"]
    )
    assert (
        "http://www.w3.org/2000/09/xmldsig#sha1"
        in cli("explain", policy(_alternative()), "--json").json["weak"]
    )
    strong = cli("explain", "SecureConversation SHA256", "--json").json["weak"]
    assert strong == ["http://www.w3.org/2001/04/xmlenc#rsa-1_5"]


def test_what_a_policy_leaves_open_is_told(cli: CommandLine, policy: Callable[..., Path]) -> None:
    """Tokens in clear, and answers that could belong to any call, are warned of; a good policy has no warning."""

    def warnings(source: object) -> list[str]:
        (calls,) = cli("explain", source, "--json").json["application"]
        found = calls["warnings"]
        assert isinstance(found, list)
        return found

    assert "can be read on the way" in warnings("LTPA SecureConversation")[0]
    assert "the answers of one conversation" in warnings(policy(_alternative()))[0]
    assert warnings("Username SecureConversation") == []
    assert warnings("WCF TransportWithMessageCredential") == []


def test_tokens_that_parts_name_are_told_as_protected(cli: CommandLine) -> None:
    """The token of a WebSphere set is signed and encrypted because its parts say so by XPath."""
    assert (
        "a UsernameToken with the password as text, signed and encrypted."
        in cli("explain", "Username SecureConversation").out
    )
    assert "neither signed nor encrypted." in cli("explain", "LTPA SecureConversation").out


def test_a_policy_without_secure_conversation_is_explained_as_far_as_it_goes(
    cli: CommandLine, policy: Callable[..., Path]
) -> None:
    """What there is is told, and that it is no secure conversation."""
    found = cli("explain", policy("<wsp:All><sp:SignedParts><sp:Body/></sp:SignedParts></wsp:All>"), "--json")
    assert found.status == 1
    assert found.json["bootstrap"] is None
    assert "does not ask for secure conversation" in found.json["problems"][0]["message"]
    assert found.json["application"][0]["request"]["sentences"] == ["Signed: Body."]


# ----------------------------------------------------------------------------------------------- WSDLs


@pytest.fixture
def wsdl(tmp_path: Path, policy_file: Path) -> Path:
    """The WSDL of the demonstration service in a file."""
    path = tmp_path / "service.wsdl"
    path.write_bytes(demonstration_wsdl(policy_file.read_bytes(), address="http://localhost/peer"))
    return path


def test_a_wsdl_is_explained_from_its_url(cli: CommandLine, endpoint: str, given: list[object]) -> None:
    """A URL is fetched; the address of the service is told."""
    found = cli("explain", f"{endpoint}?wsdl", *given, "--json")
    assert found.status == 0
    assert found.json["source"]["kind"] == "wsdl"
    assert found.json["address"] == endpoint


def test_operations_that_are_alike_are_told_together(cli: CommandLine, wsdl: Path) -> None:
    """One entry for all operations under one policy, with their names."""
    (calls,) = cli("explain", wsdl, "--json").json["application"]
    assert calls["operations"] == ["echo", "sum", "fail", "big", "whoami"]


def test_operations_that_differ_are_told_apart(cli: CommandLine, wsdl: Path) -> None:
    """An operation with a policy of its own has an entry of its own, with its own layout."""
    text = wsdl.read_text("utf-8")
    own = (
        '<wsdl:input><wsp:Policy xmlns:wsp="http://www.w3.org/ns/ws-policy" '
        'xmlns:sp="http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702">'
        '<sp:EncryptedParts><sp:Header Name="ReplyTo" Namespace="http://www.w3.org/2005/08/addressing"/>'
        "</sp:EncryptedParts></wsp:Policy>"
    )
    binding = text.index("<wsdl:binding")
    wsdl.write_text(text[:binding] + text[binding:].replace("<wsdl:input>", own, 1), encoding="utf-8")
    first, rest = cli("explain", wsdl, "--json").json["application"]
    assert (first["operations"], rest["operations"]) == (["echo"], ["sum", "fail", "big", "whoami"])
    assert "ReplyTo" in first["request"]["layout"]["encrypted"]
    assert "ReplyTo" not in rest["request"]["layout"]["encrypted"]
    assert "Application: the calls of echo" in cli("explain", wsdl).out


def test_one_way_operations_have_no_answer(cli: CommandLine, wsdl: Path) -> None:
    """An operation without an output has an entry without an answer."""
    root = etree.parse(wsdl).getroot()
    for operation in root.iterfind(f"{{{WSDL}}}*/{{{WSDL}}}operation[@name='echo']"):
        for output in operation.findall(f"{{{WSDL}}}output"):
            operation.remove(output)
    wsdl.write_bytes(etree.tostring(root))
    legs = cli("explain", wsdl, "--json").json["application"]
    assert [(leg["operations"], leg["response"] is None) for leg in legs] == [
        (["echo"], True),
        (["sum", "fail", "big", "whoami"], False),
    ]


def test_the_port_is_chosen_by_name(cli: CommandLine, wsdl: Path) -> None:
    """--port-name chooses a port; an unknown one is an error."""
    port = wsdl.read_text("utf-8").partition("<wsdl:port ")[2].partition('name="')[2].partition('"')[0]
    assert cli("explain", wsdl, "--port-name", port, "--json").json["error"] is None
    found = cli("explain", wsdl, "--port-name", "Other", "--json")
    assert found.status == 1
    assert "Other" in found.json["error"]["message"]


# -------------------------------------------------------------------------------------------- the text


def test_the_text_is_for_people(cli: CommandLine, given: list[object]) -> None:
    """Plain sentences, the four headers, needs, weaknesses and a verdict, in this order."""
    found = cli("explain", "secureconversation", *given)
    assert found.status == 0
    assert found.err == ""
    expected = [
        "Preset SecureConversation: WebSphere's set",
        "WS-Trust 1.3, WS-SecureConversation 1.3; dialect websphere13",
        "Bootstrap: how a context is asked for",
        "AsymmetricBinding: both sides sign with their certificates",
        "      EncryptedData of Signature\n",
        "Application: the calls",
        "SymmetricBinding: signatures and encryption are by one key, that of the security context",
        "      DerivedKeyToken (signature)\n      DerivedKeyToken (encryption)\n      ReferenceList\n",
        "  Answer\n",
        "What is needed",
        "given   a certificate with its private key, to sign with: --identity FILE",
        "Weak algorithms",
        "The policy can be satisfied.",
    ]
    rest = found.out
    for text in expected:
        before, text_found, rest = rest.partition(text)
        assert text_found, f"{text!r} is not in {before!r}"


def test_the_verdict_names_what_is_missing(cli: CommandLine) -> None:
    """Whoever gives nothing is told what to give."""
    found = cli("explain", "LTPA SecureConversation")
    assert found.status == 1
    last = found.out.splitlines()[-1]
    assert last.startswith("The policy can be satisfied, but something is missing: ")
    assert "--ltpa FILE" in last


@pytest.mark.parametrize("source", ["nothing", "no/such/file.wsdl"])
def test_what_is_neither_file_nor_preset_is_an_error(cli: CommandLine, source: str) -> None:
    """The hint lists the presets."""
    found = cli("explain", source)
    assert found.status == 1
    assert f"There is no file and no preset '{source}'" in found.err
    assert "Username SecureConversation" in found.err
    assert cli("explain", source, "--json").json["error"]["type"] == "ConfigurationError"


def test_a_file_that_is_no_policy_is_an_error(cli: CommandLine, tmp_path: Path) -> None:
    """XML of another kind, and what is no XML, are told as such."""
    path = tmp_path / "other.xml"
    path.write_text("<a/>", encoding="utf-8")
    assert cli("explain", path).status == 1
    path.write_text("<a", encoding="utf-8")
    found = cli("explain", path)
    assert found.status == 1
    assert "not well-formed" in found.err


def test_wrong_usage(cli: CommandLine) -> None:
    """Without a source there is nothing to explain."""
    assert cli("explain").status == 2
