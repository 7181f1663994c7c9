"""The tokens of WS-SecurityPolicy (5.4), each with the table of what may stand in it."""

from __future__ import annotations

from dataclasses import replace

from ..names import WSC_2005, WSC_200512, WST_2005, WST_200512
from .alternatives import Assertion
from .model import (
    DerivedKeys,
    HttpsToken,
    Include,
    PasswordForm,
    ReferenceStyle,
    SecureConversationToken,
    SuppliedToken,
    UsernameToken,
    X509Token,
)
from .vocabulary import (
    FAMILIES,
    NOTHING,
    Fields,
    Reader,
    Table,
    attribute,
    name_of,
    policy_error,
    read,
    says,
)


def _include(assertion: Assertion) -> Include:
    value = attribute(assertion.element, "IncludeToken")
    if value is None:
        return Include.ALWAYS  # the default of the standard, 5.1.1
    include = _INCLUDE.get(value)
    if include is None:
        raise policy_error(assertion, "has an IncludeToken that is not known")
    return include


def _x509_token(assertion: Assertion) -> Fields:
    return {"token": X509Token(include=_include(assertion), **read(assertion.nested, _X509_TOKEN))}


def secure_conversation_token(bootstrap: Reader) -> Reader:
    """Reads sp:SecureConversationToken (5.4.7), the policy for requests in it by *bootstrap*."""
    table = {**_SECURE_CONVERSATION_TOKEN, "sp:BootstrapPolicy": bootstrap}

    def conversation(assertion: Assertion) -> Fields:
        found = read(assertion.nested, table)
        return {"token": SecureConversationToken(include=_include(assertion), **found)}

    return conversation


def _username_token(assertion: Assertion) -> Fields:
    return {"token": UsernameToken(include=_include(assertion), **read(assertion.nested, _USERNAME_TOKEN))}


def _supplied(*accepts: str, options: Table | None = None) -> Reader:
    """Reads a token that the user supplies: by default one of *accepts*, unless *options* in it say more."""

    def reader(assertion: Assertion) -> Fields:
        found = read(assertion.nested, options or {})
        token = SuppliedToken(
            include=_include(assertion),
            assertion=str(assertion.element.tag),
            accepts=found.get("accepts", frozenset(accepts)),
        )
        return {"token": token}

    return reader


def _issued_token(assertion: Assertion) -> Fields:
    found = _supplied(options=_ISSUED_TOKEN)(assertion)
    types = {
        found.text.strip()
        for template in assertion.parameters
        if name_of(template) == "sp:RequestSecurityTokenTemplate"
        for found in template.iter(*_TOKEN_TYPES)
        if found.text
    }
    accepts = frozenset(tag for uri in types for tag in _SAML_TYPES.get(uri, ()))
    return {"token": replace(found["token"], accepts=accepts)}


def _ltpa_token(*accepts: str) -> Reader:
    def reader(assertion: Assertion) -> Fields:
        # Its options are WebSphere's own and not published. They could but say which version of token the user
        # supplies, which the service will tell.
        return _supplied(*accepts)(replace(assertion, nested=()))

    return reader


def _custom_token(assertion: Assertion) -> Fields:
    """WebSphere's name of a custom token: the ValueType as a QName, or for SAML a token type."""
    uri, local = attribute(assertion.element, "uri"), attribute(assertion.element, "localname")
    if not local:
        raise policy_error(assertion, "has no localname")
    name = f"{{{uri}}}{local}" if uri else local
    return {"accepts": frozenset((name, *_SAML_TYPES.get(name, ())))}


def _https_token(assertion: Assertion) -> Fields:
    found = read(assertion.nested, _HTTPS_TOKEN)
    if attribute(assertion.element, "RequireClientCertificate") in ("true", "1"):  # 2005/07
        found["require_client_certificate"] = True
    return {"token": HttpsToken(**found)}


_INCLUDE = {
    f"{namespace}/IncludeToken/{include.value}": include
    for namespace, family in FAMILIES.items()
    if family == "sp"
    for include in Include
}

_DERIVED_KEYS: Table = {
    f"sp:Require{style}DerivedKeys": says(derived_keys=derived_keys)
    for style, derived_keys in (
        ("", DerivedKeys.EITHER),
        ("Explicit", DerivedKeys.EXPLICIT),
        ("Implied", DerivedKeys.IMPLIED),
        ("Implicit", DerivedKeys.IMPLIED),  # its name in 200512
    )
}
_X509_TYPES = (
    "WssX509V1Token10",  # in 2005/07 only
    "WssX509V3Token10",
    "WssX509Pkcs7Token10",
    "WssX509PkiPathV1Token10",
    "WssX509V1Token11",
    "WssX509V3Token11",
    "WssX509Pkcs7Token11",
    "WssX509PkiPathV1Token11",
)
_X509_TOKEN: Table = {
    **_DERIVED_KEYS,
    **{f"sp:{name}": says(token_type=name) for name in _X509_TYPES},
    **{
        f"sp:Require{style.value}Reference": says(references=frozenset({style}))
        for style in (
            ReferenceStyle.KEY_IDENTIFIER,
            ReferenceStyle.ISSUER_SERIAL,
            ReferenceStyle.EMBEDDED_TOKEN,
            ReferenceStyle.THUMBPRINT,
        )
    },
}
_SECURE_CONVERSATION_TOKEN: Table = {
    **_DERIVED_KEYS,
    "sp:RequireExternalUriReference": says(require_external_uri_reference=True),
    "sp:SC13SecurityContextToken": says(wsc=WSC_200512),
    "sp:SC10SecurityContextToken": says(wsc=WSC_2005),
    "sp:SC200502SecurityContextToken": says(wsc=WSC_2005),
    **{
        f"{family}:MustNotSend{operation.title()}": says(**{f"must_not_send_{operation}": True})
        for family in ("sp", "mssp")
        for operation in ("cancel", "amend", "renew")
    },
}

_USERNAME_TOKEN: Table = {
    **_DERIVED_KEYS,
    **{f"sp:{name}": says(token_type=name) for name in ("WssUsernameToken10", "WssUsernameToken11")},
    "sp:NoPassword": says(password=PasswordForm.NONE),
    "sp:HashPassword": says(password=PasswordForm.DIGEST),
    "sp:Nonce": says(nonce=True),
    "sp:Created": says(created=True),
}
_HTTPS_TOKEN: Table = {
    "sp:RequireClientCertificate": says(require_client_certificate=True),
    "sp:HttpBasicAuthentication": says(http_basic_authentication=True),
    "sp:HttpDigestAuthentication": says(http_digest_authentication=True),
}

_SAML_1 = "{urn:oasis:names:tc:SAML:1.0:assertion}Assertion"
_SAML_2 = "{urn:oasis:names:tc:SAML:2.0:assertion}Assertion"
_SAML_PROFILE = "http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1"
#: The elements of a token type, as WS-Trust templates and WebSphere's custom tokens name it.
_SAML_TYPES = {
    "urn:oasis:names:tc:SAML:1.0:assertion": (_SAML_1,),
    "urn:oasis:names:tc:SAML:2.0:assertion": (_SAML_2,),
    f"{_SAML_PROFILE}#SAMLV1.1": (_SAML_1,),
    f"{_SAML_PROFILE}#SAMLV2.0": (_SAML_2,),
}
_TOKEN_TYPES = tuple(f"{{{wst}}}TokenType" for wst in (WST_2005, WST_200512))
#: How a carried token is referred to; no signature here refers to one.
_CARRIED: Table = {
    f"sp:Require{style}Reference": NOTHING for style in ("KeyIdentifier", "External", "Internal")
}
_ISSUED_TOKEN = _CARRIED
_SAML_TOKEN: Table = {
    **_CARRIED,
    **{
        f"sp:WssSaml{version}Token{profile}": says(accepts=frozenset({tag}))
        for version, profile, tag in (
            ("V10", "10", _SAML_1),
            ("V11", "10", _SAML_1),
            ("V10", "11", _SAML_1),
            ("V11", "11", _SAML_1),
            ("V20", "11", _SAML_2),
        )
    },
}
_REL_TOKEN: Table = {
    **_CARRIED,
    **{f"sp:WssRelV{version}": NOTHING for version in ("10Token10", "20Token10", "10Token11", "20Token11")},
}
_IBM_TOKENS = "http://www.ibm.com/websphere/appserver/tokentype"
_LTPA = f"{{{_IBM_TOKENS}/5.0.2}}LTPA", f"{{{_IBM_TOKENS}}}LTPAv2"

#: A token that gives keys to both bindings.
X509_ONLY: Table = {"sp:X509Token": _x509_token}
#: Tokens that give keys, without sp:SecureConversationToken.
KEY_TOKENS: Table = {**X509_ONLY, "sp:UsernameToken": _username_token}
HTTPS_ONLY: Table = {"sp:HttpsToken": _https_token}
#: Tokens that the user supplies, and whose keys are not known here.
SUPPLIED_TOKENS: Table = {
    "sp:SamlToken": _supplied(_SAML_1, _SAML_2, options=_SAML_TOKEN),
    "sp:RelToken": _supplied("{urn:mpeg:mpeg21:2003:01-REL-R-NS}license", options=_REL_TOKEN),
    "sp:IssuedToken": _issued_token,
    "spe:LTPAToken": _ltpa_token(*_LTPA),
    "spe:LTPAPropagationToken": _ltpa_token(f"{{{_IBM_TOKENS}}}LTPA_PROPAGATION"),
    "spe:CustomToken": _supplied(options={"spe:WssCustomToken": _custom_token}),
}
