"""Policies in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator

from ..names import SOAP11, SOAP12, WSA_2004, WSA_2005, WSC_2005, WSC_200512, WST_2005, WST_200512
from ..policy.model import (
    AsymmetricBinding,
    Binding,
    DerivedKeys,
    Direction,
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
    Token,
    TransportBinding,
    UsernameToken,
    X509Token,
)
from ..policy.suites import AlgorithmSuite

#: Names that people know namespaces by.
KNOWN_AS = {
    SOAP11: "SOAP 1.1",
    SOAP12: "SOAP 1.2",
    WSA_2004: "WS-Addressing 2004/08",
    WSA_2005: "WS-Addressing 1.0",
    WST_2005: "WS-Trust 2005/02",
    WST_200512: "WS-Trust 1.3",
    WSC_2005: "WS-SecureConversation 2005/02",
    WSC_200512: "WS-SecureConversation 1.3",
}

_DERIVED = {
    DerivedKeys.NONE: "used as it is",
    DerivedKeys.EXPLICIT: "used through derived keys, each with a DerivedKeyToken",
    DerivedKeys.EITHER: "used through derived keys, each with a DerivedKeyToken",
    DerivedKeys.IMPLIED: "used through derived keys, whose nonces stand in the references (implied)",
    DerivedKeys.ANY: "used as it is or through derived keys",
}
_TRAVELS = {
    Include.NEVER: "never travels itself",
    Include.ONCE: "travels in the first request",
    Include.ALWAYS_TO_RECIPIENT: "travels in every request",
    Include.ALWAYS_TO_INITIATOR: "travels in every answer",
    Include.ALWAYS: "travels in every message",
}
_LAYOUTS = {
    Layout.STRICT: "Strict: what is used stands before its use",
    Layout.LAX: "Lax: in any order that works",
    Layout.LAX_TIMESTAMP_FIRST: "LaxTsFirst: the Timestamp stands first",
    Layout.LAX_TIMESTAMP_LAST: "LaxTsLast: the Timestamp stands last",
}
_REFERENCES = {
    ReferenceStyle.KEY_IDENTIFIER: "key identifier",
    ReferenceStyle.ISSUER_SERIAL: "issuer and serial number",
    ReferenceStyle.THUMBPRINT: "thumbprint",
    ReferenceStyle.EXTERNAL_URI: "external URI",
    ReferenceStyle.EMBEDDED_TOKEN: "embedded token",
    ReferenceStyle.ENCRYPTED_KEY: "hash of the encrypted key",
}
_PASSWORDS = {
    PasswordForm.TEXT: "with the password as text",
    PasswordForm.DIGEST: "with a digest of the password",
    PasswordForm.NONE: "without a password",
}


def binding_sentences(policy: Policy) -> list[str]:
    """How messages are secured, a sentence each."""
    binding = policy.binding
    if binding is None:
        return ["There is no security binding: messages are not secured."]
    endorsing = [
        entry.token for entry in policy.supporting if isinstance(entry.token, SecureConversationToken)
    ]
    return [
        *_binding(binding),
        *(sentence for token in endorsing for sentence in _context(token)),
        *_options(binding, policy),
        *_trust(policy),
    ]


def message_sentences(policy: Policy, direction: Direction) -> list[str]:
    """What is in one kind of message, and which parts of it are protected."""
    tokens = policy.supporting if direction is Direction.REQUEST else ()
    return [*_parts(policy), *(_supporting(entry, policy) for entry in tokens)]


def suite_sentence(suite: AlgorithmSuite) -> str:
    """The algorithms of a suite, by the ends of their URIs."""
    return (
        f"Algorithm suite {suite.name}: digests {_end(suite.digest)}; signatures {_end(suite.symmetric_signature)} "
        f"and {_end(suite.asymmetric_signature)}; encryption {_end(suite.encryption)}; keys for certificates by "
        f"{_end(suite.asymmetric_key_wrap)}; derived keys of {suite.signature_key_length} bytes for signatures "
        f"and {suite.encryption_key_length} for encryption."
    )


def algorithms(suite: AlgorithmSuite) -> dict[str, str | int]:
    """The algorithms of a suite, by their URIs, and its lengths in bytes."""
    return {
        "name": suite.name,
        "digest": suite.digest,
        "symmetric_signature": suite.symmetric_signature,
        "asymmetric_signature": suite.asymmetric_signature,
        "encryption": suite.encryption,
        "asymmetric_key_wrap": suite.asymmetric_key_wrap,
        "canonicalization": suite.canonicalization,
        "signature_key_length": suite.signature_key_length,
        "encryption_key_length": suite.encryption_key_length,
        "minimum_key_length": suite.minimum_key_length,
    }


def known_as(uri: str | None) -> str:
    """The name that people know a namespace by, or the namespace."""
    return "unknown" if uri is None else KNOWN_AS.get(uri, uri)


def parts_words(parts: Parts) -> list[str]:
    """Each part in words."""
    return [
        *(["Body"] if parts.body else []),
        *(_header(part) for part in parts.headers),
        *(dict.fromkeys(_element(path) for path in parts.elements)),
        *(dict.fromkeys(f"the content of {_element(path)}" for path in parts.contents)),
    ]


def token_words(token: Token | None) -> str:
    """A token in words."""
    if token is None:
        return "none"
    if isinstance(token, X509Token):
        return "an X.509 certificate"
    if isinstance(token, SecureConversationToken):
        return "the security context"
    if isinstance(token, UsernameToken):
        extras = [word for word, wanted in (("a nonce", token.nonce), ("its time", token.created)) if wanted]
        return " and ".join([f"a UsernameToken {_PASSWORDS[token.password]}", *extras])
    accepted = f" ({', '.join(_end(kind) for kind in sorted(token.accepts))})" if token.accepts else ""
    return f"a token of the user's, as {_end(token.assertion)} asks for{accepted}"


# ---------------------------------------------------------------------------------------- the binding


def _binding(binding: Binding) -> Iterator[str]:
    if isinstance(binding, TransportBinding):
        yield "TransportBinding: TLS protects the messages; https with verified certificates is needed."
        yield from _https(binding.transport_token)
    elif isinstance(binding, AsymmetricBinding):
        yield from _asymmetric(binding)
    else:
        yield from _symmetric(binding)


def _https(token: HttpsToken) -> Iterator[str]:
    for wanted, sentence in (
        (token.require_client_certificate, "The client shows a certificate in the TLS handshake."),
        (token.http_basic_authentication, "The client authenticates by HTTP Basic."),
        (token.http_digest_authentication, "The client authenticates by HTTP Digest."),
    ):
        if wanted:
            yield sentence


def _asymmetric(binding: AsymmetricBinding) -> Iterator[str]:
    yield "AsymmetricBinding: both sides sign with their certificates (RSA) and encrypt to each other's."
    for whose, what, token in (
        ("client's", "signs requests", binding.initiator_signature_token),
        ("service's", "signs answers", binding.recipient_signature_token),
        ("service's", "is what requests are encrypted to", binding.recipient_encryption_token),
        ("client's", "is what answers are encrypted to", binding.initiator_encryption_token),
    ):
        if token is not None:
            yield f"The {whose} certificate {what}; it {_TRAVELS[token.include]}{_named_by(token)}."


def _symmetric(binding: SymmetricBinding) -> Iterator[str]:
    signing, encrypting = binding.signature_token, binding.encryption_token
    if signing == encrypting:
        yield f"SymmetricBinding: signatures and encryption are by one key, {_key(signing)}."
        tokens = [signing]
    else:
        yield f"SymmetricBinding: signatures are by a key {_key(signing)}."
        yield f"Encryption is by another key, {_key(encrypting)}."
        tokens = [signing, encrypting]
    for token in tokens:
        if isinstance(token, SecureConversationToken):
            yield from _context(token)


def _key(token: Token | None) -> str:
    if isinstance(token, SecureConversationToken):
        return f"that of the security context, {_DERIVED[token.derived_keys]}"
    if isinstance(token, X509Token):
        return (
            "made by the client for each request and encrypted to the service's certificate (EncryptedKey), "
            f"{_DERIVED[token.derived_keys]}; the certificate {_TRAVELS[token.include]}{_named_by(token)}"
        )
    if isinstance(token, UsernameToken):
        return f"made from the user's password, {_DERIVED[token.derived_keys]}"
    return "of no token"


def _context(token: SecureConversationToken) -> Iterator[str]:
    """What a SecureConversationToken asks for beyond its use."""
    yield f"The SecurityContextToken {_TRAVELS[token.include]}."
    if token.require_external_uri_reference:
        yield "It is referred to by its Identifier, even where it is in the message."
    forbidden = [
        name
        for name, never in (
            ("Cancel", token.must_not_send_cancel),
            ("Renew", token.must_not_send_renew),
            ("Amend", token.must_not_send_amend),
        )
        if never
    ]
    if forbidden:
        yield f"The client must not send {' or '.join(forbidden)}."


def _named_by(token: X509Token) -> str:
    styles = [_REFERENCES[style] for style in sorted(token.references, key=lambda style: style.value)]
    return f" and is named by {' or '.join(styles)}" if styles else ""


# ---------------------------------------------------------------------------------------- what it does


def _options(binding: Binding, policy: Policy) -> Iterator[str]:
    yield suite_sentence(binding.algorithm_suite)
    if not isinstance(binding, TransportBinding):
        yield f"Messages are {_ORDER[binding.encrypt_before_signing]}."
    for wanted, sentence in (
        (binding.include_timestamp, "Messages have a Timestamp."),
        (binding.encrypt_signature, "Signatures and signature confirmations are encrypted."),
        (binding.protect_tokens, "Tokens that sign are signed themselves (ProtectTokens)."),
        (
            binding.only_sign_entire_headers_and_body,
            "Only whole headers and the whole Body are signed, nothing inside them.",
        ),
        (policy.confirms_signatures, "Answers confirm the signatures of their request."),
    ):
        if wanted:
            yield sentence
    yield f"Layout {_LAYOUTS[binding.layout]}."


_ORDER = {False: "signed first, then encrypted", True: "encrypted first, then signed"}


def _parts(policy: Policy) -> Iterator[str]:
    by_tls = " (done by TLS)" if isinstance(policy.binding, TransportBinding) else ""
    for what, parts in (
        (f"Signed{by_tls}", policy.signed),
        (f"Encrypted{by_tls}", policy.encrypted),
        ("Required in the message", policy.required),
    ):
        words = parts_words(parts)
        if words:
            yield f"{what}: {', '.join(words)}."


def _header(part: HeaderPart) -> str:
    namespace = known_as(part.namespace)
    return f"every header of {namespace}" if part.name is None else f"header {part.name} ({namespace})"


def _element(path: ElementPath) -> str:
    """The last name in an XPath, or all of it where that is no name."""
    last = path.xpath.strip().rstrip("/").rpartition("/")[2]
    if "local-name()" in last:
        return f"element {last.rpartition('local-name()')[2].strip(' =]').split(']')[0].strip(chr(39) + chr(34))}"
    local = last.partition("[")[0].rpartition(":")[2]
    return f"element {local}" if local.isidentifier() else f"what {path.xpath.strip()} finds"


def is_named(token: Token, parts: Parts) -> bool:
    """Whether parts name the element of a supporting token by XPath, as WebSphere's policy sets do."""
    local = "UsernameToken" if isinstance(token, UsernameToken) else "BinarySecurityToken"
    return any(_element(path) == f"element {local}" for path in parts.elements)


def _supporting(entry: SupportingToken, policy: Policy) -> str:
    ways = [
        word
        for word, wanted in (
            ("signed", entry.signed or is_named(entry.token, policy.signed)),
            ("encrypted", entry.encrypted or is_named(entry.token, policy.encrypted)),
            ("endorsing the message with its key", entry.endorsing),
        )
        if wanted
    ]
    token = entry.token
    sentence = f"In the message: {token_words(token)}"
    if entry.endorsing and not isinstance(token, SuppliedToken):
        sentence += f", {_DERIVED[token.derived_keys]}" if token.derived_keys is not DerivedKeys.NONE else ""
    by_tls = " but by TLS" if isinstance(policy.binding, TransportBinding) else ""
    sentence += f", {' and '.join(ways)}" if ways else f", neither signed nor encrypted{by_tls}"
    for what, parts in (("signs", entry.signed_parts), ("encrypts", entry.encrypted_parts)):
        words = parts_words(parts)
        if words:
            sentence += f"; it also {what} {', '.join(words)}"
    return f"{sentence}."


def _trust(policy: Policy) -> Iterator[str]:
    trust = policy.trust
    if trust is None:
        return
    entropy = {
        (True, True): "Both sides contribute to the context's key.",
        (True, False): "The client contributes to the context's key.",
        (False, True): "The service contributes to the context's key.",
        (False, False): "Nothing is said of who contributes to the context's key.",
    }
    yield entropy[trust.require_client_entropy, trust.require_server_entropy]
    if trust.require_rstr_collection:
        yield "Answers to requests for tokens stand in a RequestSecurityTokenResponseCollection."
    if trust.require_applies_to:
        yield "Requests for tokens say which endpoint they are for (AppliesTo)."


def _end(name: str) -> str:
    """The end of a URI or Clark name, which is what people call it by."""
    return name.rpartition("}")[2].rpartition("#")[2].rpartition("/")[2]
