from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from tests.unit.policy.documents import parsed, policy, policy_text, refused, wsdl_text
from zeep_secureconv.errors import PolicyError
from zeep_secureconv.names import SP_2005, SP_200702, WST_2005, WST_200512
from zeep_secureconv.policy import (
    SUITES,
    AsymmetricBinding,
    DerivedKeys,
    ElementPath,
    HeaderPart,
    HttpsToken,
    Include,
    Layout,
    Parts,
    PasswordForm,
    Policy,
    SecureConversationToken,
    SuppliedToken,
    SupportingToken,
    SymmetricBinding,
    TransportBinding,
    UsernameToken,
    X509Token,
    read_policy,
    read_wsdl,
)

_SAML_1 = "{urn:oasis:names:tc:SAML:1.0:assertion}Assertion"
_SAML_2 = "{urn:oasis:names:tc:SAML:2.0:assertion}Assertion"
_SUITE = "<sp:AlgorithmSuite><wsp:Policy><sp:Basic128/></wsp:Policy></sp:AlgorithmSuite>"
_HTTPS = "<sp:HttpsToken><wsp:Policy/></sp:HttpsToken>"
_TO_RECIPIENT = f'sp:IncludeToken="{SP_200702}/IncludeToken/AlwaysToRecipient"'


def supporting(*tokens: str, kind: str = "", more: str = "") -> tuple[SupportingToken, ...]:
    """The supporting tokens of a policy with *tokens* in one assertion."""
    return policy(more=assertion(*tokens, kind=kind, more=more)).supporting


def assertion(*tokens: str, kind: str = "", more: str = "") -> str:
    """A sp:…SupportingTokens."""
    name = f"sp:{kind}SupportingTokens"
    return f"<{name}><wsp:Policy>{''.join(tokens)}{more}</wsp:Policy></{name}>"


def transport(token: str = _HTTPS, *, binding: str = "", more: str = "") -> Policy:
    """A policy with a sp:TransportBinding and nothing but *more*."""
    head = policy_text().partition("<wsp:ExactlyOne>")[0]
    return read_policy(
        parsed(
            f"{head}<sp:TransportBinding><wsp:Policy>"
            f"<sp:TransportToken><wsp:Policy>{token}</wsp:Policy></sp:TransportToken>{_SUITE}{binding}"
            f"</wsp:Policy></sp:TransportBinding>{more}</wsp:Policy>"
        )
    ).endpoint


# ------------------------------------------------------------------------------------- supporting tokens


@pytest.mark.parametrize(
    ("kind", "signed", "encrypted", "endorsing"),
    [
        ("", False, False, False),
        ("Signed", True, False, False),
        ("Encrypted", False, True, False),
        ("SignedEncrypted", True, True, False),
        ("Endorsing", False, False, True),
        ("SignedEndorsing", True, False, True),
        ("EndorsingEncrypted", False, True, True),
        ("SignedEndorsingEncrypted", True, True, True),
    ],
)
def test_kinds_of_supporting_tokens(kind: str, signed: bool, encrypted: bool, endorsing: bool) -> None:
    """The name of the assertion says whether its tokens are signed, encrypted and endorse."""
    (found,) = supporting("<sp:X509Token/>", kind=kind)
    assert found == SupportingToken(
        token=X509Token(include=Include.ALWAYS), signed=signed, encrypted=encrypted, endorsing=endorsing
    )
    assert found.source.startswith("line ")


def test_several_supporting_tokens_are_all_demanded() -> None:
    """Tokens in one assertion, and in several, are demanded together in the order of the policy."""
    more = assertion("<sp:UsernameToken/>", "<sp:X509Token/>", kind="Signed")
    more += assertion("<sp:SamlToken/>", kind="Signed") + assertion("<sp:X509Token/>", kind="Endorsing")
    found = policy(more=more).supporting
    kinds = [UsernameToken, X509Token, SuppliedToken, X509Token]
    assert [type(entry.token) for entry in found] == kinds
    assert [entry.endorsing for entry in found] == [False, False, False, True]


def test_supporting_tokens_have_parts_and_a_suite() -> None:
    """Parts inside the assertion are those that its tokens sign, or that are encrypted because of them."""
    more = (
        '<sp:SignedParts><sp:Header Namespace="urn:h" Name="To"/></sp:SignedParts>'
        "<sp:SignedElements><sp:XPath>//x:a</sp:XPath></sp:SignedElements>"
        "<sp:EncryptedParts/><sp:ContentEncryptedElements><sp:XPath>//x:b</sp:XPath>"
        "</sp:ContentEncryptedElements><sp:EncryptedElements><sp:XPath>//x:c</sp:XPath></sp:EncryptedElements>"
        "<sp:AlgorithmSuite><wsp:Policy><sp:Basic256/></wsp:Policy></sp:AlgorithmSuite>"
    )
    (found,) = supporting("<sp:X509Token/>", kind="Endorsing", more=more)

    def path(name: str) -> tuple[ElementPath, ...]:
        return (ElementPath(xpath=f"//x:{name}", namespaces=(("x", "urn:x"),)),)

    assert found.signed_parts == Parts(
        headers=(HeaderPart(namespace="urn:h", name="To"),), elements=path("a")
    )
    assert found.encrypted_parts == Parts(body=True, elements=path("c"), contents=path("b"))
    assert found.algorithm_suite == SUITES["Basic256"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "SupportingTokens"),
        ("<sp:SignedParts><sp:Body/></sp:SignedParts>", "SupportingTokens"),
        ("<sp:UsernameToken><wsp:Policy><sp:Unheard/></wsp:Policy></sp:UsernameToken>", "Unheard"),
        ("<sp:UsernameToken/><sp:IncludeTimestamp/>", "IncludeTimestamp"),
        ("<sp:UsernameToken><sp:Issuer/></sp:UsernameToken>", "Issuer"),
        (
            (
                "<sp:UsernameToken><wsp:Policy><sp:WssUsernameToken10/><sp:WssUsernameToken11/></wsp:Policy>"
                "</sp:UsernameToken>"
            ),
            "WssUsernameToken11",
        ),
        (
            "<sp:SamlToken><wsp:Policy><sp:RequireDerivedKeys/></wsp:Policy></sp:SamlToken>",
            "RequireDerivedKeys",
        ),
    ],
)
def test_supporting_tokens_that_cannot_be_expressed(content: str, named: str) -> None:
    """An assertion without tokens, and options that no token here has, are refused by name."""
    assert refused(more=assertion(content)).assertion == f"{{{SP_200702}}}{named}"


# ---------------------------------------------------------------------------------------- UsernameToken


@pytest.mark.parametrize(
    ("option", "changed"),
    [
        ("<sp:NoPassword/>", {"password": PasswordForm.NONE}),
        ("<sp:HashPassword/>", {"password": PasswordForm.DIGEST}),
        ("<sp:WssUsernameToken11/>", {"token_type": "WssUsernameToken11"}),
        ("<sp13:Created/>", {"created": True}),
        ("<sp13:Nonce/>", {"nonce": True}),
        ("<sp:RequireDerivedKeys/>", {"derived_keys": DerivedKeys.EITHER}),
        ("<sp:RequireExplicitDerivedKeys/>", {"derived_keys": DerivedKeys.EXPLICIT}),
        (
            "<sp:HashPassword/><sp13:Nonce/><sp13:Created/>",
            {"password": PasswordForm.DIGEST, "nonce": True, "created": True},
        ),
    ],
)
def test_options_of_a_username_token(option: str, changed: dict[str, Any]) -> None:
    """Every option of sp:UsernameToken changes its own field and nothing else."""
    (found,) = supporting(f"<sp:UsernameToken><wsp:Policy>{option}</wsp:Policy></sp:UsernameToken>")
    assert found.token == replace(UsernameToken(include=Include.ALWAYS), **changed)


def test_tokens_of_a_symmetric_binding() -> None:
    """Certificates and user names may protect messages too, one to sign and another to encrypt."""
    text = policy_text()
    start, end = text.index("<sp:ProtectionToken>"), text.index("</sp:ProtectionToken>")
    tokens = (
        "<sp:SignatureToken><wsp:Policy><sp:UsernameToken/></wsp:Policy></sp:SignatureToken>"
        "<sp:EncryptionToken><wsp:Policy><sp:X509Token/></wsp:Policy></sp:EncryptionToken>"
    )
    found = read_policy(parsed(text[:start] + tokens + text[end + len("</sp:ProtectionToken>") :])).endpoint
    assert isinstance(found.binding, SymmetricBinding)
    assert found.binding.signature_token == UsernameToken(include=Include.ALWAYS)
    assert found.binding.encryption_token == X509Token(include=Include.ALWAYS)


# ------------------------------------------------------------------------------- tokens that are carried


@pytest.mark.parametrize(
    ("token", "accepts"),
    [
        ("<sp:SamlToken/>", {_SAML_1, _SAML_2}),
        ("<sp:SamlToken><wsp:Policy><sp:WssSamlV11Token10/></wsp:Policy></sp:SamlToken>", {_SAML_1}),
        (
            (
                "<sp:SamlToken><sp:Issuer/><wsp:Policy><sp:WssSamlV20Token11/><sp:RequireKeyIdentifierReference/>"
                "</wsp:Policy></sp:SamlToken>"
            ),
            {_SAML_2},
        ),
        (
            "<sp:RelToken><wsp:Policy><sp:WssRelV20Token11/></wsp:Policy></sp:RelToken>",
            {"{urn:mpeg:mpeg21:2003:01-REL-R-NS}license"},
        ),
        ("<sp:IssuedToken><sp:RequestSecurityTokenTemplate/></sp:IssuedToken>", set()),
        (
            (
                "<sp:IssuedToken><sp:Issuer>urn:sts</sp:Issuer><sp:RequestSecurityTokenTemplate>"
                f"<wst:TokenType>urn:oasis:names:tc:SAML:1.0:assertion</wst:TokenType><wst:KeyType>{WST_200512}/Bearer"
                "</wst:KeyType></sp:RequestSecurityTokenTemplate><wsp:Policy><sp:RequireInternalReference/></wsp:Policy>"
                "</sp:IssuedToken>"
            ),
            {_SAML_1},
        ),
        (
            f"<spe:LTPAToken {_TO_RECIPIENT}><wsp:Policy/></spe:LTPAToken>",
            {
                "{http://www.ibm.com/websphere/appserver/tokentype/5.0.2}LTPA",
                "{http://www.ibm.com/websphere/appserver/tokentype}LTPAv2",
            },
        ),
        (
            "<spe:LTPAPropagationToken/>",
            {"{http://www.ibm.com/websphere/appserver/tokentype}LTPA_PROPAGATION"},
        ),
        (
            (
                '<spe:CustomToken><wsp:Policy><spe:WssCustomToken spe:uri="urn:acme" spe:localname="Badge"/>'
                "</wsp:Policy></spe:CustomToken>"
            ),
            {"{urn:acme}Badge"},
        ),
        (
            (
                '<spe:CustomToken><wsp:Policy><spe:WssCustomToken uri="" localname="http://docs.oasis-open.org/wss/'
                'oasis-wss-saml-token-profile-1.1#SAMLV2.0"/></wsp:Policy></spe:CustomToken>'
            ),
            {"http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1#SAMLV2.0", _SAML_2},
        ),
    ],
)
def test_tokens_that_the_user_supplies(token: str, accepts: set[str]) -> None:
    """SAML, LTPA and the like are carried as the user supplies them; the assertion says what may be supplied."""
    (found,) = supporting(token, kind="Signed")
    assert isinstance(found.token, SuppliedToken)
    assert found.token.accepts == accepts
    prefix, _, local = token[1:].replace("/", " ").replace(">", " ").split()[0].partition(":")
    assert found.token.assertion == f"{{{etree.fromstring(policy_text()).nsmap[prefix]}}}{local}"


def test_inclusion_of_supplied_tokens() -> None:
    """IncludeToken is read at WebSphere's tokens too."""
    (found,) = supporting(f"<spe:LTPAToken {_TO_RECIPIENT}/>")
    assert found.token.include is Include.ALWAYS_TO_RECIPIENT


def test_custom_token_without_a_name_is_refused() -> None:
    """WebSphere's custom token says what it is called."""
    token = "<spe:CustomToken><wsp:Policy><spe:WssCustomToken {}/></wsp:Policy></spe:CustomToken>"
    assert supporting(token.format('localname="a"'))
    assert "no localname" in refused(more=assertion(token.format('uri="urn:x"'))).message


# ------------------------------------------------------------------------------------- TransportBinding


@pytest.mark.parametrize(
    ("token", "wanted"),
    [
        (_HTTPS, HttpsToken()),
        ("<sp:HttpsToken/>", HttpsToken()),
        ('<sp:HttpsToken RequireClientCertificate="false"/>', HttpsToken()),
        ('<sp:HttpsToken RequireClientCertificate="true"/>', HttpsToken(require_client_certificate=True)),
        ('<sp:HttpsToken sp:RequireClientCertificate="1"/>', HttpsToken(require_client_certificate=True)),
        *(
            (
                f"<sp:HttpsToken><wsp:Policy><sp:{name}/></wsp:Policy></sp:HttpsToken>",
                HttpsToken(**{field: True}),
            )
            for name, field in (
                ("RequireClientCertificate", "require_client_certificate"),
                ("HttpBasicAuthentication", "http_basic_authentication"),
                ("HttpDigestAuthentication", "http_digest_authentication"),
            )
        ),
    ],
)
def test_https_token(token: str, wanted: HttpsToken) -> None:
    """How the client is known by TLS or HTTP is read in the nested form and as the attribute of 2005/07."""
    assert transport(token).binding == TransportBinding(
        transport_token=wanted, algorithm_suite=SUITES["Basic128"]
    )


def test_options_of_a_transport_binding() -> None:
    """Layout and Timestamp are read; what TLS leaves nothing to do for is refused as misplaced."""
    options = "<sp:IncludeTimestamp/><sp:Layout><wsp:Policy><sp:Strict/></wsp:Policy></sp:Layout>"
    found = transport(binding=options).binding
    assert isinstance(found, TransportBinding)
    assert (found.layout, found.include_timestamp) == (Layout.STRICT, True)
    with pytest.raises(PolicyError, match="sp:EncryptSignature"):
        transport(binding="<sp:EncryptSignature/>")


def test_the_context_may_endorse_under_tls() -> None:
    """An endorsing SecureConversationToken under a TransportBinding is a secure conversation (as WCF has it)."""
    text = policy_text()
    start, end = text.index("<sp:SecureConversationToken"), text.index("</sp:SecureConversationToken>")
    token = text[start : end + len("</sp:SecureConversationToken>")]
    found = transport(more=assertion(token, kind="Endorsing"))
    assert isinstance(found.binding, TransportBinding)
    assert isinstance(found.conversation_token, SecureConversationToken)
    assert found.conversation_token.bootstrap is not None
    assert isinstance(found.conversation_token.bootstrap.binding, AsymmetricBinding)
    assert transport(more=assertion(token, kind="Signed")).conversation_token is None


# --------------------------------------------------------------------------------------------- the issuer


@pytest.mark.parametrize(
    "address",
    [
        "http://www.w3.org/2005/08/addressing/anonymous",
        "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous",
    ],
)
def test_the_endpoint_as_issuer(address: str) -> None:
    """An anonymous issuer of contexts is the endpoint itself."""
    namespace = address.replace("/role", "").removesuffix("/anonymous")
    issuer = f'<sp:Issuer><a:Address xmlns:a="{namespace}"> {address} </a:Address></sp:Issuer>'
    assert policy(parameter=issuer) == policy()


def test_another_issuer_is_refused_by_name() -> None:
    """Contexts from elsewhere are not supported; the error names who should issue them, and where that stands."""
    issuer = (
        '<sp:Issuer><a:Address xmlns:a="http://www.w3.org/2005/08/addressing">https://sts.example.org/'
        "</a:Address></sp:Issuer>"
    )
    error = refused(parameter=issuer)
    assert error.assertion == f"{{{SP_200702}}}Issuer"
    assert "https://sts.example.org/" in error.message
    assert error.position is not None


def test_the_address_of_the_endpoint_as_issuer() -> None:
    """A WSDL may name its own endpoint as the issuer; a policy that stands alone has no address to compare with."""
    issuer = '<sp:Issuer><a:Address xmlns:a="http://www.w3.org/2005/08/addressing">http://example.org/a</a:Address></sp:Issuer>'
    text = wsdl_text(binding=policy_text(parameter=issuer))
    assert read_wsdl(parsed(text)).endpoint == policy()
    with pytest.raises(PolicyError, match="another issuer"):
        read_wsdl(parsed(text.replace('location="http://example.org/a"', 'location="http://example.org/b"')))
    assert "another issuer" in refused(parameter=issuer).message


# -------------------------------------------------------------------------------------------- generations


@pytest.mark.parametrize(
    ("namespace", "slots", "wst"),
    [
        (SP_2005, {}, WST_2005),
        (SP_2005, {"token": "<sp:SC10SecurityContextToken/>"}, WST_2005),
        (SP_2005, {"token": "<sp:SC13SecurityContextToken/>"}, WST_200512),
        (SP_2005, {"more": "<sp:Trust13/>"}, WST_200512),
        (SP_200702, {}, WST_200512),
        (SP_200702, {"token": "<sp:SC200502SecurityContextToken/>"}, WST_2005),
        (SP_200702, {"token": "<sp:SC13SecurityContextToken/>", "more": "<sp:Trust10/>"}, WST_2005),
        (SP_200702, {"bootstrap": "<sp:Trust10/>"}, WST_200512),
    ],
)
def test_generation_of_ws_trust(namespace: str, slots: dict[str, str], wst: str) -> None:
    """Trust10 or Trust13 decides the generation, then the token's version, then that of the policy itself."""
    found = read_policy(parsed(policy_text(**slots).replace(SP_200702, namespace))).endpoint
    assert found.spec == namespace
    assert found.wst == wst


def test_generation_is_that_of_the_binding() -> None:
    """Additions from another namespace do not change the generation."""
    more = f'<o:SignedParts xmlns:o="{SP_2005}"><o:Body/></o:SignedParts>'
    assert policy(more=more) == policy(more="<sp:SignedParts><sp:Body/></sp:SignedParts>")
