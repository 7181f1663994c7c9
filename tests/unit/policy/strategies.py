"""Policies of the model for property-based tests: whatever WS-SecurityPolicy can say and the model can hold."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from zeep_secureconv.names import SP_200702, WSA_2004, WSA_2005, WSC_2005, WSC_200512, WST_2005, WST_200512
from zeep_secureconv.policy import (
    SUITES,
    AlgorithmSuite,
    AsymmetricBinding,
    Binding,
    DerivedKeys,
    ElementPath,
    HeaderPart,
    HttpsToken,
    Include,
    Layout,
    Parts,
    PasswordForm,
    Policy,
    ReferenceStyle,
    SecureConversationToken,
    SuppliedToken,
    SupportingToken,
    SymmetricBinding,
    TransportBinding,
    TrustOptions,
    UsernameToken,
    Wss,
    X509Token,
)

_SAML = frozenset(
    {"{urn:oasis:names:tc:SAML:1.0:assertion}Assertion", "{urn:oasis:names:tc:SAML:2.0:assertion}Assertion"}
)
#: What a token may demand, and what Wss10 and Wss11 name.
_TOKEN_STYLES = (
    ReferenceStyle.KEY_IDENTIFIER,
    ReferenceStyle.ISSUER_SERIAL,
    ReferenceStyle.THUMBPRINT,
    ReferenceStyle.EMBEDDED_TOKEN,
)
_WSS11_ONLY = {ReferenceStyle.THUMBPRINT, ReferenceStyle.ENCRYPTED_KEY}
_WSS10_STYLES = tuple(style for style in ReferenceStyle if style not in _WSS11_ONLY)

_flags = st.booleans()
_derived_keys = st.sampled_from([keys for keys in DerivedKeys if keys is not DerivedKeys.ANY])
_includes = st.sampled_from(Include)
_suites = st.sampled_from([SUITES[name] for name in sorted(SUITES)])

header_parts = st.builds(
    HeaderPart, namespace=st.sampled_from([WSA_2005, "urn:h"]), name=st.sampled_from([None, "To", "Action"])
)
element_paths = st.sampled_from(
    [
        ElementPath(xpath="/s:Envelope/s:Body/x:part", namespaces=(("s", "urn:s"), ("x", "urn:x"))),
        ElementPath(xpath="//x:part", namespaces=(("x", "urn:other"),)),
        ElementPath(xpath="/*[namespace-uri()='urn:s' and local-name()='Envelope']/*"),
    ]
)


def _several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=2, unique=True).map(tuple)


signed_parts = st.builds(Parts, body=_flags, headers=_several(header_parts), elements=_several(element_paths))
encrypted_parts = st.builds(
    Parts,
    body=_flags,
    headers=_several(header_parts),
    elements=_several(element_paths),
    contents=_several(element_paths),
)

x509_tokens = st.builds(
    X509Token,
    include=_includes,
    token_type=st.sampled_from(["WssX509V3Token10", "WssX509V3Token11", "WssX509PkiPathV1Token10"]),
    references=st.frozensets(st.sampled_from(_TOKEN_STYLES), max_size=2),
    derived_keys=_derived_keys,
)
username_tokens = st.builds(
    UsernameToken,
    include=_includes,
    token_type=st.sampled_from(["WssUsernameToken10", "WssUsernameToken11"]),
    password=st.sampled_from(PasswordForm),
    nonce=_flags,
    created=_flags,
    derived_keys=_derived_keys,
)
supplied_tokens = st.builds(
    SuppliedToken, include=_includes, assertion=st.just(f"{{{SP_200702}}}SamlToken"), accepts=st.just(_SAML)
)
https_tokens = st.builds(
    HttpsToken,
    require_client_certificate=_flags,
    http_basic_authentication=_flags,
    http_digest_authentication=_flags,
)


def _bound(kind: type[Binding], suites: st.SearchStrategy[AlgorithmSuite], **tokens: Any) -> Any:
    """Bindings of a kind. A Timestamp that must stand somewhere is there."""
    options: dict[str, Any] = dict.fromkeys(
        () if kind is TransportBinding else ("encrypt_before_signing", "encrypt_signature"), _flags
    )
    if kind is not TransportBinding:
        options |= dict.fromkeys(("protect_tokens", "only_sign_entire_headers_and_body"), _flags)
    layouts = st.one_of(
        st.tuples(st.sampled_from([Layout.STRICT, Layout.LAX]), _flags),
        st.tuples(st.sampled_from([Layout.LAX_TIMESTAMP_FIRST, Layout.LAX_TIMESTAMP_LAST]), st.just(True)),
    )

    def build(layout: tuple[Layout, bool], given: dict[str, Any]) -> Any:
        return kind(layout=layout[0], include_timestamp=layout[1], **given)

    return st.builds(build, layouts, st.fixed_dictionaries({"algorithm_suite": suites, **options, **tokens}))


def symmetric_bindings(tokens: st.SearchStrategy[Any]) -> st.SearchStrategy[SymmetricBinding]:
    """Bindings with one token for everything, or one for each use."""

    def both(found: Any) -> dict[str, Any]:
        return {"signature_token": found[0], "encryption_token": found[1]}

    pairs = st.one_of(tokens.map(lambda token: (token, token)), st.tuples(tokens, tokens)).map(both)
    plain = _bound(SymmetricBinding, _suites, signature_token=st.none(), encryption_token=st.none())

    def fill(binding: SymmetricBinding, pair: dict[str, Any]) -> SymmetricBinding:
        return SymmetricBinding(**{**vars(binding), **pair})

    found: st.SearchStrategy[SymmetricBinding] = st.builds(fill, plain, pairs)
    return found


asymmetric_bindings = _bound(
    AsymmetricBinding,
    _suites,
    initiator_signature_token=x509_tokens,
    initiator_encryption_token=x509_tokens,
    recipient_signature_token=x509_tokens,
    recipient_encryption_token=x509_tokens,
)
transport_bindings = _bound(TransportBinding, _suites, transport_token=https_tokens)


def supporting_tokens(tokens: st.SearchStrategy[Any]) -> st.SearchStrategy[SupportingToken]:
    """Supporting tokens of any kind."""
    return st.builds(
        SupportingToken,
        token=tokens,
        signed=_flags,
        encrypted=_flags,
        endorsing=_flags,
        signed_parts=st.one_of(st.just(Parts()), signed_parts),
        encrypted_parts=st.one_of(st.just(Parts()), encrypted_parts),
        algorithm_suite=st.one_of(st.none(), _suites),
    )


_wss = st.one_of(
    st.none(),
    st.builds(Wss, version=st.just("1.0"), references=st.frozensets(st.sampled_from(_WSS10_STYLES))),
    st.builds(
        Wss,
        version=st.just("1.1"),
        references=st.frozensets(st.sampled_from(ReferenceStyle)),
        require_signature_confirmation=_flags,
    ),
)
_entropy = {"require_client_entropy": _flags, "require_server_entropy": _flags}
_trust = st.one_of(
    st.none(),
    st.builds(TrustOptions, wst=st.just(WST_2005), **_entropy),
    st.builds(
        TrustOptions,
        wst=st.just(WST_200512),
        require_rstr_collection=_flags,
        require_applies_to=_flags,
        scope_policy_15=_flags,
        **_entropy,
    ),
)


def _policies(bindings: Any, supporting: Any) -> st.SearchStrategy[Policy]:
    return st.builds(
        Policy,
        binding=bindings,
        supporting=_several(supporting),
        signed=signed_parts,
        encrypted=encrypted_parts,
        required=signed_parts,
        wss=_wss,
        trust=_trust,
        addressing=st.sampled_from([None, WSA_2004, WSA_2005]),
    )


_bootstrap_tokens = st.one_of(x509_tokens, username_tokens)
#: Policies of requests for contexts.
bootstraps = _policies(
    st.one_of(asymmetric_bindings, transport_bindings, symmetric_bindings(_bootstrap_tokens)),
    supporting_tokens(st.one_of(_bootstrap_tokens, supplied_tokens)),
)
conversation_tokens = st.builds(
    SecureConversationToken,
    include=_includes,
    derived_keys=_derived_keys,
    require_external_uri_reference=_flags,
    wsc=st.sampled_from([None, WSC_2005, WSC_200512]),
    bootstrap=bootstraps,
    must_not_send_cancel=_flags,
    must_not_send_renew=_flags,
    must_not_send_amend=_flags,
)
#: Policies of application messages: the context protects them, or endorses them under TLS.
applications = st.one_of(
    _policies(
        symmetric_bindings(conversation_tokens),
        supporting_tokens(st.one_of(_bootstrap_tokens, supplied_tokens)),
    ),
    _policies(transport_bindings, supporting_tokens(conversation_tokens)),
)
