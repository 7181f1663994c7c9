from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from lxml import etree

from zeep_secureconv import policy as policy_package
from zeep_secureconv.conversation.policies import conversation_policy
from zeep_secureconv.errors import ConfigurationError
from zeep_secureconv.names import SP_200512, WSC_2005, WSC_200512, WSP_2004, WST_2005, WST_200512
from zeep_secureconv.policy import (
    AsymmetricBinding,
    Policy,
    SecureConversationToken,
    SymmetricBinding,
    read_policy,
)
from zeep_secureconv.policy.files import load_policy
from zeep_secureconv.policy.model import SuppliedToken, TransportBinding, UsernameToken, X509Token
from zeep_secureconv.policy.presets import NAMES, PRESETS, is_preset, preset
from zeep_secureconv.policy.suites import HMAC_SHA1, HMAC_SHA256, RSA_SHA1, RSA_SHA256, SHA1, SHA256
from zeep_secureconv.trust import DIALECTS

_WEBSPHERE = [name for name, one in PRESETS.items() if one.dialect == "websphere13"]
_WCF = [name for name, one in PRESETS.items() if one.dialect == "wcf"]


def _tokens(name: str) -> list[type]:
    return [type(entry.token) for entry in preset(name).policy().endpoint.supporting]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_secure_conversation(name: str) -> None:
    """A preset can be read, done and used as it is: it has a context and a way to ask for one."""
    found = conversation_policy(preset(name).policy())
    assert found.token.bootstrap is not None
    assert preset(name).dialect in DIALECTS


@pytest.mark.parametrize("name", PRESETS)
def test_draft_presets_are_of_february_2005(name: str) -> None:
    """The name says the generation of WS-Trust and WS-SecureConversation."""
    found = preset(name).policy().endpoint
    expected = (WST_2005, WSC_2005) if name.endswith("(draft)") else (WST_200512, WSC_200512)
    assert (found.wst, found.wsc) == expected


@pytest.mark.parametrize("name", _WEBSPHERE)
def test_websphere_sets_have_the_compact_form(name: str) -> None:
    """As in a shipped policy set: namespace 200512, WS-Policy 1.2, no alternatives, directions by wsu:Id."""
    root = etree.fromstring(preset(name).document())
    assert root.tag == f"{{{WSP_2004}}}Policy"
    assert {etree.QName(one).localname for one in root.iter(f"{{{WSP_2004}}}*")} == {"Policy"}
    assert {etree.QName(one).namespace for one in root.iter(f"{{{SP_200512}}}*")} == {SP_200512}
    ids = {value for one in root.iter(f"{{{WSP_2004}}}Policy") for value in one.attrib.values()}
    assert ids >= {
        f"{direction}:{leg}_{parts}"
        for direction in ("request", "response")
        for leg in ("app", "bootstrap")
        for parts in ("signparts", "encparts")
    }


@pytest.mark.parametrize("name", _WEBSPHERE)
def test_websphere_sets_sign_and_encrypt_with_derived_keys_after_a_bootstrap_with_certificates(
    name: str,
) -> None:
    """Symmetric binding for messages, asymmetric binding for requests for contexts."""
    endpoint = preset(name).policy().endpoint
    assert isinstance(endpoint.binding, SymmetricBinding)
    token = endpoint.binding.signature_token
    assert isinstance(token, SecureConversationToken)
    assert endpoint.binding.encryption_token == token
    assert token.bootstrap is not None
    assert isinstance(token.bootstrap.binding, AsymmetricBinding)
    for one in (endpoint, token.bootstrap):
        assert one.signed.body
        assert one.encrypted.body
        assert one.signed.header("{http://www.w3.org/2005/08/addressing}Action")
        assert all("Timestamp" in path.xpath or "UsernameToken" in path.xpath for path in one.signed.elements)
        assert any("Signature" in path.xpath for path in one.encrypted.elements)


def test_supporting_tokens_of_the_sets() -> None:
    """The name of a set says what its requests carry besides."""
    assert _tokens("SecureConversation") == []
    assert _tokens("Username SecureConversation") == [UsernameToken]
    assert _tokens("LTPA SecureConversation") == [SuppliedToken]


def test_username_is_hidden_in_requests_and_absent_from_answers() -> None:
    """The UsernameToken is signed and encrypted in requests; nothing is said of one in answers."""
    found = preset("Username SecureConversation").policy().everywhere()
    for parts in (found.request.signed, found.request.encrypted):
        assert any("UsernameToken" in path.xpath for path in parts.elements)
    for parts in (found.response.signed, found.response.encrypted):
        assert not any("UsernameToken" in path.xpath for path in parts.elements)


@pytest.mark.parametrize("name", _WEBSPHERE)
def test_sha256_presets_use_sha256_everywhere(name: str) -> None:
    """Digests and both kinds of signatures, on both legs, as the SHA256 bindings of WebSphere say."""
    endpoint = preset(name).policy().endpoint
    assert endpoint.conversation_token is not None
    bootstrap = endpoint.conversation_token.bootstrap
    assert bootstrap is not None
    strong = "SHA256" in name
    for one in (endpoint, bootstrap):
        assert one.binding is not None
        suite = one.binding.algorithm_suite
        assert (suite.digest, suite.symmetric_signature, suite.asymmetric_signature) == (
            (SHA256, HMAC_SHA256, RSA_SHA256) if strong else (SHA1, HMAC_SHA1, RSA_SHA1)
        )


def test_what_the_document_cannot_say_is_added_to_a_policy_that_was_read_from_it() -> None:
    """A service that publishes the document applies the rest of the preset to what it read."""
    found = preset("SecureConversation SHA256")
    read = read_policy(etree.fromstring(found.document()))
    assert read != found.policy()
    assert found.adjust(read) == found.policy()


def test_the_two_sets_of_the_trust_service_are_one_policy() -> None:
    """TrustServiceSecurityDefault is the bootstrap of TrustServiceSymmetricDefault, and mirrors that of the sets."""
    security, symmetric = (preset(f"TrustService{kind}Default") for kind in ("Security", "Symmetric"))
    assert security.policy() == symmetric.policy()
    assert security.description != symmetric.description
    mirrored = preset("SecureConversation").policy().endpoint.conversation_token
    assert security.policy().endpoint.conversation_token == mirrored


@pytest.mark.parametrize("name", _WCF)
def test_wcf_presets_leave_protection_to_tls(name: str) -> None:
    """TransportBinding on both legs; the context endorses, the credential proves who asks for it."""
    endpoint = preset(name).policy().endpoint
    assert isinstance(endpoint.binding, TransportBinding)
    assert [(type(one.token), one.endorsing) for one in endpoint.supporting] == [
        (SecureConversationToken, True)
    ]
    token = endpoint.conversation_token
    assert token is not None
    assert isinstance(token.bootstrap, Policy)
    assert isinstance(token.bootstrap.binding, TransportBinding)
    (credential,) = token.bootstrap.supporting
    assert type(credential.token) is (X509Token if "Certificate" in name else UsernameToken)
    assert credential.endorsing is ("Certificate" in name)
    assert credential.signed_parts.header("{http://www.w3.org/2005/08/addressing}To") is (
        "Certificate" in name
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("SecureConversation", "SecureConversation"),
        ("secureconversation", "SecureConversation"),
        ("Username SecureConversation", "Username SecureConversation"),
        ("ltpa-secure-conversation-sha256-draft", "LTPA SecureConversation SHA256 (draft)"),
        (
            "WCF TransportWithMessageCredential (Certificate)",
            "WCF TransportWithMessageCredential Certificate",
        ),
        ("WCF TransportWithMessageCredential", "WCF TransportWithMessageCredential UserName"),
    ],
)
def test_names_are_read_leniently(written: str, meant: str) -> None:
    """Case, spaces and punctuation do not count."""
    assert is_preset(written)
    assert preset(written) is PRESETS[meant]


@pytest.mark.parametrize("name", ["", "SecureConversations", "TrustService", "()"])
def test_other_names_are_refused(name: str) -> None:
    """An unknown name is an error whose hint lists those there are."""
    assert not is_preset(name)
    with pytest.raises(ConfigurationError, match="no preset") as caught:
        preset(name)
    assert caught.value.hint is not None
    assert NAMES in caught.value.hint


def test_a_preset_is_a_source_of_policies() -> None:
    """Wherever a policy file may be named, a preset may be."""
    assert load_policy("secureconversation") == preset("SecureConversation").policy()


def test_a_file_goes_before_a_preset_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a file that is called like a preset means the file."""
    monkeypatch.chdir(tmp_path)
    Path("SecureConversation").write_bytes(preset("Username SecureConversation").document())
    assert load_policy("SecureConversation") == preset("Username SecureConversation").policy()


def test_no_document_is_forgotten() -> None:
    """Every XML file of the package belongs to a preset."""
    folder = files(policy_package) / "presets"
    assert {one.name for one in folder.iterdir()} == {one.file for one in PRESETS.values()}
