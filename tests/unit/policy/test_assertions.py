from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.policy.documents import (
    binding,
    parsed,
    policy,
    policy_text,
    refused,
)
from zeep_secureconv.errors import PolicyError
from zeep_secureconv.names import (
    SP_2005,
    SP_200512,
    SP_200702,
    WSA_2004,
    WSA_2005,
    WSC_2005,
    WSC_200512,
    WSSE,
    WST_2005,
    WST_200512,
)
from zeep_secureconv.policy import (
    SUITES,
    AsymmetricBinding,
    DerivedKeys,
    HeaderPart,
    Include,
    Layout,
    Parts,
    ReferenceStyle,
    SecureConversationToken,
    SymmetricBinding,
    TrustOptions,
    Wss,
    X509Token,
    read_policy,
)

MTOM = "http://schemas.xmlsoap.org/ws/2004/09/policy/optimizedmimeserialization"


def token(**slots: str) -> SecureConversationToken:
    """The conversation token of the policy with *slots*."""
    found = policy(**slots).conversation_token
    assert found is not None
    return found


def bootstrap_binding(**slots: str) -> AsymmetricBinding:
    """The binding of its bootstrap."""
    bootstrap = token(**slots).bootstrap
    assert bootstrap is not None
    assert isinstance(bootstrap.binding, AsymmetricBinding)
    return bootstrap.binding


def recipient(**slots: str) -> X509Token:
    """The token that the recipient signs the bootstrap with."""
    found = bootstrap_binding(**slots).recipient_signature_token
    assert found is not None
    return found


def test_defaults_of_the_standard() -> None:
    """What a policy does not say has the standard's default."""
    x509 = X509Token(include=Include.ALWAYS)
    assert binding().layout is Layout.LAX
    assert binding().algorithm_suite == SUITES["Basic256"]
    assert token().include is Include.ALWAYS
    assert token().derived_keys is DerivedKeys.NONE
    assert token().wsc is None
    assert recipient() == x509
    assert policy().signed == Parts()


@pytest.mark.parametrize(
    ("assertion", "field", "value"),
    [
        ("<sp:IncludeTimestamp/>", "include_timestamp", True),
        ("<sp:EncryptBeforeSigning/>", "encrypt_before_signing", True),
        ("<sp:EncryptSignature/>", "encrypt_signature", True),
        ("<sp:ProtectTokens/>", "protect_tokens", True),
        ("<sp:OnlySignEntireHeadersAndBody/>", "only_sign_entire_headers_and_body", True),
        ("<sp:Layout><wsp:Policy><sp:Strict/></wsp:Policy></sp:Layout>", "layout", Layout.STRICT),
    ],
)
def test_options_of_a_binding(assertion: str, field: str, value: Any) -> None:
    """Every option of a binding changes its own field and nothing else."""
    assert getattr(binding(), field) != value
    assert binding(binding=assertion) == replace(binding(), **{field: value})


@pytest.mark.parametrize("layout", [Layout.LAX_TIMESTAMP_FIRST, Layout.LAX_TIMESTAMP_LAST])
def test_layouts_with_a_timestamp(layout: Layout) -> None:
    """A layout that says where the Timestamp stands demands that there is one."""
    found = binding(binding=f"<sp:Layout><wsp:Policy><sp:{layout.value}/></wsp:Policy></sp:Layout>")
    assert found == replace(binding(), layout=layout, include_timestamp=True)


@pytest.mark.parametrize(
    ("assertion", "field", "value"),
    [
        ("<sp:RequireDerivedKeys/>", "derived_keys", DerivedKeys.EITHER),
        ("<sp:RequireExplicitDerivedKeys/>", "derived_keys", DerivedKeys.EXPLICIT),
        ("<sp:RequireImpliedDerivedKeys/>", "derived_keys", DerivedKeys.IMPLIED),
        ("<sp:RequireImplicitDerivedKeys/>", "derived_keys", DerivedKeys.IMPLIED),
        ("<sp:RequireExternalUriReference/>", "require_external_uri_reference", True),
        ("<sp:SC13SecurityContextToken/>", "wsc", WSC_200512),
        ("<sp:SC10SecurityContextToken/>", "wsc", WSC_2005),
        ("<sp:SC200502SecurityContextToken/>", "wsc", WSC_2005),
        ("<sp:MustNotSendCancel/>", "must_not_send_cancel", True),
        ("<sp:MustNotSendAmend/>", "must_not_send_amend", True),
        ("<sp:MustNotSendRenew/>", "must_not_send_renew", True),
        ("<mssp:MustNotSendCancel/>", "must_not_send_cancel", True),
        ("<mssp:MustNotSendRenew/>", "must_not_send_renew", True),
    ],
)
def test_options_of_a_secure_conversation_token(assertion: str, field: str, value: Any) -> None:
    """Every option of sp:SecureConversationToken changes its own field and nothing else."""
    assert getattr(token(), field) != value
    assert token(token=assertion) == replace(token(), **{field: value})


@pytest.mark.parametrize(
    ("assertion", "field", "value"),
    [
        *(
            (f"<sp:{name}/>", "token_type", name)
            for name in (
                "WssX509V3Token11",
                "WssX509Pkcs7Token10",
                "WssX509Pkcs7Token11",
                "WssX509PkiPathV1Token10",
                "WssX509PkiPathV1Token11",
                "WssX509V1Token11",
            )
        ),
        *(
            (f"<sp:Require{style.value}Reference/>", "references", frozenset({style}))
            for style in (
                ReferenceStyle.KEY_IDENTIFIER,
                ReferenceStyle.ISSUER_SERIAL,
                ReferenceStyle.EMBEDDED_TOKEN,
                ReferenceStyle.THUMBPRINT,
            )
        ),
        (
            "<sp:RequireThumbprintReference/><sp:RequireIssuerSerialReference/>",
            "references",
            frozenset({ReferenceStyle.THUMBPRINT, ReferenceStyle.ISSUER_SERIAL}),
        ),
        ("<sp:RequireDerivedKeys/>", "derived_keys", DerivedKeys.EITHER),
        ("<sp:RequireExplicitDerivedKeys/>", "derived_keys", DerivedKeys.EXPLICIT),
        ("<sp:RequireImpliedDerivedKeys/>", "derived_keys", DerivedKeys.IMPLIED),
    ],
)
def test_options_of_an_x509_token(assertion: str, field: str, value: Any) -> None:
    """Every option of sp:X509Token changes its own field and nothing else."""
    assert getattr(recipient(), field) != value
    assert recipient(x509=assertion) == replace(recipient(), **{field: value})


@pytest.mark.parametrize("attribute", ["sp:IncludeToken", "IncludeToken", "sp13:IncludeToken"])
@pytest.mark.parametrize("generation", [SP_2005, SP_200512, SP_200702])
@pytest.mark.parametrize("include", list(Include))
def test_token_inclusion(attribute: str, generation: str, include: Include) -> None:
    """IncludeToken is read qualified or not, with the URI of any generation."""
    written = f'{attribute}="{generation}/IncludeToken/{include.value}"'
    assert token(include=written).include is include
    assert recipient(x509_include=written).include is include


def test_unknown_token_inclusion_is_refused() -> None:
    """An IncludeToken that is no known URI is refused, not taken for the default."""
    error = refused(include='sp:IncludeToken="urn:x:sometimes"')
    assert error.assertion == f"{{{SP_200702}}}SecureConversationToken"


def test_separate_tokens_for_signature_and_encryption() -> None:
    """Initiator and recipient may have one token for signatures and another for encryption."""
    types = {
        "InitiatorSignatureToken": "WssX509V3Token10",
        "InitiatorEncryptionToken": "WssX509V3Token11",
        "RecipientSignatureToken": "WssX509Pkcs7Token10",
        "RecipientEncryptionToken": "WssX509Pkcs7Token11",
    }
    tokens = "".join(
        f"<sp:{place}><wsp:Policy><sp:X509Token><wsp:Policy><sp:{name}/></wsp:Policy></sp:X509Token>"
        f"</wsp:Policy></sp:{place}>"
        for place, name in types.items()
    )
    text = policy_text(initiator=tokens)
    start, end = text.index("<sp:RecipientToken>"), text.index("</sp:RecipientToken>")
    found = read_policy(parsed(text[:start] + text[end + len("</sp:RecipientToken>") :])).endpoint
    assert found.conversation_token is not None
    assert found.conversation_token.bootstrap is not None
    asymmetric = found.conversation_token.bootstrap.binding
    assert isinstance(asymmetric, AsymmetricBinding)
    assert [
        asymmetric.initiator_signature_token,
        asymmetric.initiator_encryption_token,
        asymmetric.recipient_signature_token,
        asymmetric.recipient_encryption_token,
    ] == [X509Token(token_type=name) for name in types.values()]


def test_signature_and_encryption_token_of_a_symmetric_binding() -> None:
    """A symmetric binding may have a signature token alone."""
    text = policy_text().replace("ProtectionToken>", "SignatureToken>")
    found = read_policy(parsed(text)).endpoint.binding
    assert isinstance(found, SymmetricBinding)
    assert found.signature_token == binding().signature_token
    assert found.encryption_token is None


@pytest.mark.parametrize("prefix", ["sp", "sp13", "cxf"])
@pytest.mark.parametrize("name", sorted(SUITES))
def test_every_suite_is_read(prefix: str, name: str) -> None:
    """Every suite is known by its name in the standard's and CXF's namespaces."""
    assert binding(suite=f"<{prefix}:{name}/>").algorithm_suite == SUITES[name]


def test_suite_with_transforms_that_a_sender_may_use() -> None:
    """STRTransform10 and XPath10 beside a suite change nothing."""
    assert binding(suite="<sp:Basic256/><sp:STRTransform10/><sp:XPath10/>") == binding()


@pytest.mark.parametrize(
    ("suite", "assertion"),
    [
        ("<sp:Basic512/>", "Basic512"),
        ("<sp:Basic256/><sp:InclusiveC14N/>", "InclusiveC14N"),
        ("<sp:Basic256/><sp:SoapNormalization10/>", "SoapNormalization10"),
        ("<sp:Basic256/><sp:Basic128/>", "Basic128"),
        ("", "AlgorithmSuite"),
    ],
)
def test_suites_that_cannot_be_used(suite: str, assertion: str) -> None:
    """An unknown suite, options beyond this library, two suites and none are refused by name."""
    assert refused(suite=suite).assertion == f"{{{SP_200702}}}{assertion}"


def test_wss_options() -> None:
    """Wss10 and Wss11 give the reference styles and the demand of signature confirmation."""
    wss10 = "".join(
        f"<sp:MustSupportRef{style}/>"
        for style in ("KeyIdentifier", "IssuerSerial", "ExternalURI", "EmbeddedToken")
    )
    wss11 = f"{wss10}<sp:MustSupportRefThumbprint/><sp:MustSupportRefEncryptedKey/>"
    confirmed = f"{wss11}<sp:RequireSignatureConfirmation/>"
    assert policy(more=f"<sp:Wss10><wsp:Policy>{wss10}</wsp:Policy></sp:Wss10>").wss == Wss(
        version="1.0",
        references=frozenset(ReferenceStyle) - {ReferenceStyle.THUMBPRINT, ReferenceStyle.ENCRYPTED_KEY},
    )
    assert policy(more=f"<sp:Wss11><wsp:Policy>{confirmed}</wsp:Policy></sp:Wss11>").wss == Wss(
        version="1.1", references=frozenset(ReferenceStyle), require_signature_confirmation=True
    )


def test_trust_options() -> None:
    """Trust10 and Trust13 give the generation of WS-Trust and its demands."""
    supported = "".join(
        f"<sp:MustSupport{what}/>"
        for what in ("IssuedTokens", "ClientChallenge", "ServerChallenge", "InteractiveChallenge")
    )
    trust10 = f"{supported}<sp:RequireClientEntropy/><sp:RequireServerEntropy/>"
    trust13 = f"{trust10}<sp:RequireRequestSecurityTokenCollection/><sp:RequireAppliesTo/>"
    old = policy(more=f"<sp:Trust10><wsp:Policy>{trust10}</wsp:Policy></sp:Trust10>")
    new = policy(more=f"<sp:Trust13><wsp:Policy>{trust13}</wsp:Policy></sp:Trust13>")
    scoped = policy(more="<sp:Trust13><wsp:Policy><sp13:ScopePolicy15/></wsp:Policy></sp:Trust13>")
    assert old.trust == TrustOptions(wst=WST_2005, require_client_entropy=True, require_server_entropy=True)
    assert new.trust == TrustOptions(
        wst=WST_200512,
        require_client_entropy=True,
        require_server_entropy=True,
        require_rstr_collection=True,
        require_applies_to=True,
    )
    assert scoped.trust == TrustOptions(wst=WST_200512, scope_policy_15=True)
    assert policy().trust is None


@pytest.mark.parametrize(
    ("assertion", "addressing"),
    [
        ("<wsam:Addressing/>", WSA_2005),
        ("<wsam:Addressing><wsp:Policy><wsam:AnonymousResponses/></wsp:Policy></wsam:Addressing>", WSA_2005),
        ('<UsingAddressing xmlns="http://www.w3.org/2006/05/addressing/wsdl"/>', WSA_2005),
        ('<UsingAddressing xmlns="http://www.w3.org/2005/02/addressing/wsdl"/>', WSA_2005),
        ('<UsingAddressing xmlns="http://schemas.xmlsoap.org/ws/2004/08/addressing/policy"/>', WSA_2004),
        ('<wsam:Addressing/><UsingAddressing xmlns="http://www.w3.org/2006/05/addressing/wsdl"/>', WSA_2005),
        ("", None),
    ],
)
def test_addressing(assertion: str, addressing: str | None) -> None:
    """Every assertion of WS-Addressing gives the namespace that it asks for."""
    assert policy(more=assertion).addressing == addressing


@pytest.mark.parametrize(
    ("assertion", "parts"),
    [
        ("<sp:{}><sp:Body/></sp:{}>", Parts(body=True)),
        ('<sp:{}><sp:Header Namespace="urn:h"/></sp:{}>', Parts(headers=(HeaderPart(namespace="urn:h"),))),
        (
            '<sp:{}><sp:Header Name="A" Namespace="urn:h"/><!-- nothing --></sp:{}>',
            Parts(headers=(HeaderPart(namespace="urn:h", name="A"),)),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["Signed", "Encrypted", "Required"])
def test_parts(kind: str, assertion: str, parts: Parts) -> None:
    """Parts of every kind are Body and headers; a Header without Name is a whole namespace."""
    name = f"{kind}Parts"
    changed: dict[str, Any] = {kind.lower(): parts}
    assert policy(more=assertion.format(name, name)) == replace(policy(), **changed)


def test_parts_said_twice_join() -> None:
    """Parts from several assertions of one alternative are demanded together."""
    more = "<sp:SignedParts><sp:Body/></sp:SignedParts>"
    more += '<sp:SignedParts><sp:Header Namespace="urn:h"/></sp:SignedParts>'
    assert policy(more=more).signed == Parts(body=True, headers=(HeaderPart(namespace="urn:h"),))


@pytest.mark.parametrize(
    ("assertion", "named"),
    [
        ("<sp:RequiredParts/>", "RequiredParts"),
        ("<sp:SignedParts><sp:Body/><sp:Attachments/></sp:SignedParts>", "Attachments"),
        ('<sp:SignedParts><sp:Header Name="A"/></sp:SignedParts>', "Header"),
        ("<sp:SignedParts><sp:Element/></sp:SignedParts>", "Element"),
    ],
)
def test_parts_that_cannot_be_expressed(assertion: str, named: str) -> None:
    """Parts beyond Body and headers, and sp:RequiredParts without any, are refused by name."""
    assert refused(more=assertion).assertion == f"{{{SP_200702}}}{named}"


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("Signed", Parts(body=True, headers=(HeaderPart(namespace=None),))),
        ("Encrypted", Parts(body=True)),
    ],
)
def test_an_empty_parts_assertion_has_the_meaning_of_the_standard(kind: str, parts: Parts) -> None:
    """Without parts, sp:SignedParts is Body and every header, and sp:EncryptedParts the Body."""
    changed: dict[str, Any] = {kind.lower(): parts}
    assert policy(more=f"<sp:{kind}Parts/>") == replace(policy(), **changed)


def test_every_header_is_not_the_one_that_holds_the_signature() -> None:
    """The wildcard matches every header but wsse:Security, which cannot sign itself."""
    everything = policy(more="<sp:SignedParts/>").signed
    assert everything.header("{urn:x}Any")
    assert everything.header("Unqualified")
    assert not everything.header(f"{{{WSSE}}}Security")


@pytest.mark.parametrize(
    ("assertion", "says"),
    [
        ("<wsrmp:RMAssertion/>", "WS-ReliableMessaging is not supported yet"),
        (f'<m:OptimizedMimeSerialization xmlns:m="{MTOM}"/>', "MTOM"),
        (
            "<wsam:Addressing><wsp:Policy><wsam:NonAnonymousResponses/></wsp:Policy></wsam:Addressing>",
            "answers",
        ),
    ],
)
def test_assertions_that_are_not_supported(assertion: str, says: str) -> None:
    """What is understood but cannot be done is refused by name with a hint, unless it is optional."""
    error = refused(more=assertion)
    assert "is not supported" in error.message
    assert error.hint is not None
    assert says in error.hint
    optional = f"<wsp:ExactlyOne>{assertion}<wsp:All/></wsp:ExactlyOne>"
    assert policy(more=optional) == policy()


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("sp:KerberosToken", "X509Token or UsernameToken"),
        ("sp:SpnegoContextToken", "negotiateServiceCredential=false"),
        ("mssp:SslContextToken", "negotiateServiceCredential=false"),
        ("mssp:RsaToken", ""),
        ("sp:KeyValueToken", ""),
        ("sp:SecurityContextToken", "BootstrapPolicy"),
    ],
)
@pytest.mark.parametrize("place", ["initiator", "more"])
def test_tokens_that_are_not_supported(token: str, says: str, place: str) -> None:
    """A token that cannot be had is refused by name with a hint, in a binding and as a supporting token."""
    assertion = "InitiatorToken" if place == "initiator" else "EndorsingSupportingTokens"
    error = refused(**{place: f"<sp:{assertion}><wsp:Policy><{token}/></wsp:Policy></sp:{assertion}>"})
    assert error.assertion is not None
    assert error.assertion.endswith("}" + token.partition(":")[2])
    assert "is not supported" in error.message
    assert error.hint is not None
    assert says in error.hint


@pytest.mark.parametrize("token", ["sp:SamlToken", "sp:IssuedToken", "sp:RelToken", "spe:LTPAToken"])
def test_tokens_without_a_key_protect_nothing(token: str) -> None:
    """A token that is carried and not understood cannot be the token of a binding."""
    error = refused(initiator=f"<sp:InitiatorToken><wsp:Policy><{token}/></wsp:Policy></sp:InitiatorToken>")
    assert "gives no key" in error.message
    assert error.assertion is not None
    assert error.assertion.endswith("}" + token.partition(":")[2])


@pytest.mark.parametrize(
    ("slot", "content", "named"),
    [
        ("parameter", "<sp:Issuer/>", "Issuer"),
        ("parameter", "<sp:IssuerName>urn:sts</sp:IssuerName>", "IssuerName"),
        ("x509_parameter", "<sp:Issuer/>", "Issuer"),
        ("more", "<sp:Trust13><wsp:Policy><sp:MustSupportUnheard/></wsp:Policy></sp:Trust13>", None),
        (
            "more",
            "<sp:Trust10><wsp:Policy><sp:RequireAppliesTo/></wsp:Policy></sp:Trust10>",
            "RequireAppliesTo",
        ),
        ("more", "<sp:Wss10><wsp:Policy><sp:MustSupportRefThumbprint/></wsp:Policy></sp:Wss10>", None),
        ("binding", "<sp:IncludeTimestamp><sp:Precision/></sp:IncludeTimestamp>", "Precision"),
        (
            "binding",
            "<sp:IncludeTimestamp><wsp:Policy><sp:Precision/></wsp:Policy></sp:IncludeTimestamp>",
            "Precision",
        ),
        ("binding", "<sp:SignedParts><sp:Body/></sp:SignedParts>", "SignedParts"),
        ("initiator", "<sp:InitiatorToken><wsp:Policy/></sp:InitiatorToken>", "InitiatorToken"),
        (
            "initiator",
            "<sp:InitiatorToken><wsp:Policy><sp:SecureConversationToken/></wsp:Policy></sp:InitiatorToken>",
            "SecureConversationToken",
        ),
        ("token", "<sp:RequireDerivedKeys/><sp:RequireImpliedDerivedKeys/>", "RequireImpliedDerivedKeys"),
        ("bootstrap", "<sp:TransportBinding/>", "TransportBinding"),
        ("more", "<sp:Wss10/><sp:Wss11/>", "Wss11"),
        ("more", "<sp:Trust10/><sp:Trust13/>", "Trust13"),
    ],
)
def test_nothing_is_dropped_silently(slot: str, content: str, named: str | None) -> None:
    """Options without a place in the model, misplaced ones and contradictions are refused by name."""
    error = refused(**{slot: content})
    assert error.assertion is not None
    assert error.assertion.startswith(f"{{{SP_200702}}}")
    assert named is None or error.assertion == f"{{{SP_200702}}}{named}"


def test_claims_and_non_anonymous_responses_are_refused() -> None:
    """Demands from other standards that cannot be met are refused as well."""
    assert "wst:Claims" in refused(parameter="<wst:Claims/>").message
    nested = "<wsp:Policy><wsam:NonAnonymousResponses/></wsp:Policy>"
    assert "NonAnonymousResponses" in refused(more=f"<wsam:Addressing>{nested}</wsam:Addressing>").message


def test_two_generations_of_addressing_contradict() -> None:
    """A message cannot follow two generations of WS-Addressing."""
    old = '<UsingAddressing xmlns="http://schemas.xmlsoap.org/ws/2004/08/addressing/policy"/>'
    assert policy(more=old).addressing == WSA_2004
    assert "contradicts" in refused(more=f"<wsam:Addressing/>{old}").message


def test_two_bindings_contradict() -> None:
    """Two different bindings in one alternative are refused."""
    text = policy_text()
    start = text.index("<sp:AsymmetricBinding>")
    end = text.index("</sp:AsymmetricBinding>") + len("</sp:AsymmetricBinding>")
    assert "contradicts" in refused(more=text[start:end]).message


def test_a_bootstrap_that_secures_nothing_is_refused() -> None:
    """A bootstrap policy without a binding would send secrets in clear."""
    text = policy_text()
    start = text.index("<sp:AsymmetricBinding>")
    end = text.index("</sp:AsymmetricBinding>") + len("</sp:AsymmetricBinding>")
    assert read_policy(parsed(text)).endpoint.binding is not None
    with pytest.raises(PolicyError) as caught:
        read_policy(parsed(text[:start] + text[end:]))
    assert caught.value.assertion == f"{{{SP_200702}}}BootstrapPolicy"


@pytest.mark.parametrize(
    ("content", "lacks"),
    [
        ("<sp:AlgorithmSuite><wsp:Policy><sp:Basic256/></wsp:Policy></sp:AlgorithmSuite>", "token"),
        (
            "<sp:InitiatorToken><wsp:Policy><sp:X509Token/></wsp:Policy></sp:InitiatorToken>",
            "algorithm suite",
        ),
    ],
)
def test_a_binding_without_tokens_or_suite_is_refused(content: str, lacks: str) -> None:
    """A binding that names no token at all, or no algorithm suite, is refused."""
    start = policy_text().partition("<sp:SymmetricBinding>")[0]
    end = "</wsp:All></wsp:ExactlyOne></wsp:Policy>"
    text = f"{start}<sp:AsymmetricBinding><wsp:Policy>{content}</wsp:Policy></sp:AsymmetricBinding>{end}"
    assert policy().binding is not None
    with pytest.raises(PolicyError, match=f"names no {lacks}") as caught:
        read_policy(parsed(text))
    assert caught.value.assertion == f"{{{SP_200702}}}AsymmetricBinding"


@pytest.mark.parametrize("slot", ["more", "binding", "token", "bootstrap"])
def test_unknown_assertion(slot: str) -> None:
    """An assertion that nobody knows is refused with its name and its line, wherever it stands."""
    root = parsed(policy_text(**{slot: "<x:Unheard/>"}))
    line = next(root.iter("{urn:x}Unheard")).sourceline
    assert policy().binding is not None
    with pytest.raises(PolicyError) as caught:
        read_policy(root, location="peer.xml")
    assert caught.value.assertion == "{urn:x}Unheard"
    assert caught.value.position == f"line {line} of peer.xml"
    assert "policy=" in str(caught.value)


def test_position_without_location() -> None:
    """Where the location is not known, the position still has the line."""
    position = refused(more="<x:Unheard/>").position
    assert position is not None
    assert position.startswith("line ")
    assert position.endswith(" of the policy")


def test_position_keeps_no_credentials() -> None:
    """A password in the location does not get into messages."""
    root = parsed(policy_text(more="<x:Unheard/>"))
    for location, shown in (
        ("http://alice:secret@example.org/peer?wsdl", "http://example.org/peer?wsdl"),
        ("http://[alice", "http://[alice"),
    ):
        with pytest.raises(PolicyError) as caught:
            read_policy(root, location=location)
        assert "secret" not in str(caught.value)
        assert caught.value.position is not None
        assert caught.value.position.endswith(f" of {shown}")


@pytest.mark.parametrize(
    "assertion",
    [
        '<KeyStore xmlns="http://schemas.sun.com/2006/03/wss/server"/>',
        '<TrustStore xmlns="http://schemas.sun.com/2006/03/wss/client" location="x"/>',
        '<SCConfiguration xmlns="http://schemas.sun.com/ws/2006/05/sc/server"><LifeTime>1</LifeTime></SCConfiguration>',
        '<SCClientConfiguration xmlns="http://schemas.sun.com/ws/2006/05/sc/client"/>',
        '<RampartConfig xmlns="http://ws.apache.org/rampart/policy"><user>a</user></RampartConfig>',
        '<client xmlns="http://cxf.apache.org/transports/http/configuration"/>',
        '<NegotiateAuthentication xmlns="http://schemas.microsoft.com/ws/06/2004/policy/http"/>',
        '<x:Unheard wsp:Ignorable="true"/>',
        '<x:Unheard wsp:Ignorable="1"><x:Parameter/></x:Unheard>',
    ],
)
def test_configuration_of_vendors_is_ignored(assertion: str) -> None:
    """Configuration of the publishing stack and what is marked wsp:Ignorable ask nothing of a message."""
    assert policy(more=assertion, bootstrap=assertion) == policy()


def test_ignorable_does_not_reach_security() -> None:
    """A demand of WS-SecurityPolicy is not ignored, whatever it is marked."""
    assert "KerberosToken" in refused(more='<sp:KerberosToken wsp:Ignorable="true"/>').message
    assert "Unheard" in refused(more='<x:Unheard wsp:Ignorable="false"/>').message
