"""Writes policies of the model as WS-SecurityPolicy 1.2, the reverse of the reader."""

from __future__ import annotations

from collections.abc import Iterable

from zeep_secureconv.names import SP_200702, SP_200802, WSA_2004, WSP_W3C, WST_2005
from zeep_secureconv.names import WSC_2005 as _DRAFT
from zeep_secureconv.policy import (
    AlgorithmSuite,
    AsymmetricBinding,
    Binding,
    DerivedKeys,
    ElementPath,
    HttpsToken,
    Parts,
    PasswordForm,
    Policy,
    SecureConversationToken,
    SuppliedToken,
    SupportingToken,
    SymmetricBinding,
    Token,
    TransportBinding,
    UsernameToken,
    X509Token,
)
from zeep_secureconv.policy.suites import CXF_SUITES

_NAMESPACES = {
    "wsp": WSP_W3C,
    "sp": SP_200702,
    "sp13": SP_200802,
    "cxf": CXF_SUITES,
    "wsam": "http://www.w3.org/2007/05/addressing/metadata",
    "wsap": "http://schemas.xmlsoap.org/ws/2004/08/addressing/policy",
}
_DERIVED = {
    DerivedKeys.NONE: "",
    DerivedKeys.EITHER: "<sp:RequireDerivedKeys/>",
    DerivedKeys.EXPLICIT: "<sp:RequireExplicitDerivedKeys/>",
    DerivedKeys.IMPLIED: "<sp:RequireImpliedDerivedKeys/>",
}
_PASSWORDS = {
    PasswordForm.TEXT: "",
    PasswordForm.DIGEST: "<sp:HashPassword/>",
    PasswordForm.NONE: "<sp:NoPassword/>",
}


def write_policy(policy: Policy, identifier: str = "") -> str:
    """A wsp:Policy that says what *policy* does, with a wsu:Id where *identifier* is given."""
    declared = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NAMESPACES.items())
    if identifier:
        wsu = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
        declared += f' xmlns:wsu="{wsu}" wsu:Id="{identifier}"'
    return f"<wsp:Policy{declared}><wsp:ExactlyOne><wsp:All>{_policy(policy)}</wsp:All></wsp:ExactlyOne></wsp:Policy>"


def _policy(policy: Policy) -> str:
    return "".join(
        (
            _addressing(policy.addressing),
            _binding(policy.binding),
            *map(_supporting, policy.supporting),
            _parts(policy.signed, "Signed"),
            _parts(policy.encrypted, "Encrypted"),
            _parts(policy.required, "Required"),
            _wss(policy),
            _trust(policy),
        )
    )


def _within(name: str, *inside: str, attributes: str = "") -> str:
    """An assertion with a policy inside it."""
    return f"<{name}{attributes}><wsp:Policy>{''.join(inside)}</wsp:Policy></{name}>"


def _if(value: bool, name: str) -> str:
    return f"<{name}/>" if value else ""


def _addressing(namespace: str | None) -> str:
    if namespace is None:
        return ""
    return (
        "<wsap:UsingAddressing/>"
        if namespace == WSA_2004
        else "<wsam:Addressing><wsp:Policy/></wsam:Addressing>"
    )


def _suite(suite: AlgorithmSuite) -> str:
    prefix = "cxf" if suite.namespace == CXF_SUITES else "sp"
    return _within("sp:AlgorithmSuite", f"<{prefix}:{suite.name}/>")


def _binding(binding: Binding | None) -> str:
    if binding is None:
        return ""
    options = (
        _suite(binding.algorithm_suite),
        _within("sp:Layout", f"<sp:{binding.layout.value}/>"),
        _if(binding.include_timestamp, "sp:IncludeTimestamp"),
        _if(binding.encrypt_before_signing, "sp:EncryptBeforeSigning"),
        _if(binding.encrypt_signature, "sp:EncryptSignature"),
        _if(binding.protect_tokens, "sp:ProtectTokens"),
        _if(binding.only_sign_entire_headers_and_body, "sp:OnlySignEntireHeadersAndBody"),
    )
    return _within(f"sp:{type(binding).__name__}", *_binding_tokens(binding), *options)


def _binding_tokens(binding: Binding) -> Iterable[str]:
    if isinstance(binding, TransportBinding):
        return (_within("sp:TransportToken", _https(binding.transport_token)),)
    if isinstance(binding, SymmetricBinding):
        if binding.signature_token == binding.encryption_token:
            return (_place("Protection", binding.signature_token),)
        return _place("Signature", binding.signature_token), _place("Encryption", binding.encryption_token)
    assert isinstance(binding, AsymmetricBinding)
    return (
        _place("InitiatorSignature", binding.initiator_signature_token),
        _place("InitiatorEncryption", binding.initiator_encryption_token),
        _place("RecipientSignature", binding.recipient_signature_token),
        _place("RecipientEncryption", binding.recipient_encryption_token),
    )


def _place(name: str, token: Token | None) -> str:
    return _within(f"sp:{name}Token", _token(token)) if token is not None else ""


def _https(token: HttpsToken) -> str:
    return _within(
        "sp:HttpsToken",
        _if(token.require_client_certificate, "sp:RequireClientCertificate"),
        _if(token.http_basic_authentication, "sp:HttpBasicAuthentication"),
        _if(token.http_digest_authentication, "sp:HttpDigestAuthentication"),
    )


def _token(token: Token) -> str:
    attributes = f' sp:IncludeToken="{SP_200702}/IncludeToken/{token.include.value}"'
    if isinstance(token, SuppliedToken):
        return _within(f"sp:{token.assertion.rpartition('}')[2]}", attributes=attributes)
    return _within(f"sp:{type(token).__name__}", *_token_options(token), attributes=attributes)


def _token_options(token: X509Token | UsernameToken | SecureConversationToken) -> Iterable[str]:
    yield _DERIVED[token.derived_keys]
    if isinstance(token, X509Token):
        yield f"<sp:{token.token_type}/>"
        yield from (f"<sp:Require{style.value}Reference/>" for style in token.references)
    elif isinstance(token, UsernameToken):
        yield f"<sp:{token.token_type}/>{_PASSWORDS[token.password]}"
        yield _if(token.nonce, "sp13:Nonce") + _if(token.created, "sp13:Created")
    else:
        yield _if(token.require_external_uri_reference, "sp:RequireExternalUriReference")
        if token.wsc is not None:
            yield f"<sp:SC{'10' if token.wsc == _DRAFT else '13'}SecurityContextToken/>"
        for what in ("cancel", "renew", "amend"):
            yield _if(getattr(token, f"must_not_send_{what}"), f"sp:MustNotSend{what.title()}")
        if token.bootstrap is not None:
            yield _within("sp:BootstrapPolicy", _policy(token.bootstrap))


def _supporting(entry: SupportingToken) -> str:
    # Endorsing goes before Encrypted in the names of the standard, and after Signed.
    kind = ("Signed" if entry.signed else "") + ("Endorsing" if entry.endorsing else "")
    kind += "Encrypted" if entry.encrypted else ""
    suite = _suite(entry.algorithm_suite) if entry.algorithm_suite is not None else ""
    parts = _parts(entry.signed_parts, "Signed") + _parts(entry.encrypted_parts, "Encrypted")
    return _within(f"sp:{kind}SupportingTokens", _token(entry.token), suite, parts)


def _parts(parts: Parts, kind: str) -> str:
    inside = _if(parts.body, "sp:Body")
    for header in parts.headers:
        name = f' Name="{header.name}"' if header.name else ""
        inside += f'<sp:Header{name} Namespace="{header.namespace}"/>'
    named = f"<sp:{kind}Parts>{inside}</sp:{kind}Parts>" if inside else ""
    return named + _elements(parts.elements, kind) + _elements(parts.contents, f"Content{kind}")


def _elements(paths: Iterable[ElementPath], kind: str) -> str:
    inside = "".join(_path(path) for path in paths)
    return f"<sp:{kind}Elements>{inside}</sp:{kind}Elements>" if inside else ""


def _path(path: ElementPath) -> str:
    declared = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in path.namespaces)
    return f"<sp:XPath{declared}>{path.xpath}</sp:XPath>"


def _wss(policy: Policy) -> str:
    if policy.wss is None:
        return ""
    return _within(
        f"sp:Wss{policy.wss.version.replace('.', '')}",
        *(f"<sp:MustSupportRef{style.value}/>" for style in policy.wss.references),
        _if(policy.wss.require_signature_confirmation, "sp:RequireSignatureConfirmation"),
    )


def _trust(policy: Policy) -> str:
    trust = policy.trust
    if trust is None:
        return ""
    return _within(
        "sp:Trust10" if trust.wst == WST_2005 else "sp:Trust13",
        "<sp:MustSupportIssuedTokens/>",
        _if(trust.require_client_entropy, "sp:RequireClientEntropy"),
        _if(trust.require_server_entropy, "sp:RequireServerEntropy"),
        _if(trust.require_rstr_collection, "sp:RequireRequestSecurityTokenCollection"),
        _if(trust.require_applies_to, "sp:RequireAppliesTo"),
        _if(trust.scope_policy_15, "sp13:ScopePolicy15"),
    )
