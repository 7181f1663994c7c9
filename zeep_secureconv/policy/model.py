"""What a message must look like: WS-SecurityPolicy as frozen values.

Names are those of WS-SecurityPolicy 1.2 (OASIS ws-securitypolicy-1.2-spec-os); every generation is read into these
same values. A :class:`Policy` is one alternative, complete for one message; an :class:`EndpointPolicy` holds the
policies of all messages of an endpoint. All values are hashable, so what follows from a policy can be worked out
once and kept.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import ClassVar

from ..names import SP_2005, SP_200702, WSC_2005, WSC_200512, WSSE, WST_2005, WST_200512
from .suites import AlgorithmSuite


class Include(enum.Enum):
    """sp:IncludeToken: in which messages a token itself travels (WS-SecurityPolicy 1.2, 5.1.1)."""

    NEVER = "Never"
    ONCE = "Once"
    ALWAYS_TO_RECIPIENT = "AlwaysToRecipient"
    ALWAYS_TO_INITIATOR = "AlwaysToInitiator"
    ALWAYS = "Always"

    def in_message(self, direction: Direction) -> bool:
        """Whether the token travels in messages of this direction."""
        if direction is Direction.REQUEST:
            return self in (Include.ONCE, Include.ALWAYS_TO_RECIPIENT, Include.ALWAYS)
        return self in (Include.ALWAYS_TO_INITIATOR, Include.ALWAYS)


class Direction(enum.Enum):
    """Which way a message goes."""

    REQUEST = "request"
    RESPONSE = "response"


class DerivedKeys(enum.Enum):
    """How keys are made from a token (5.3: Require[Explicit|Implied]DerivedKeys).

    EITHER is sp:RequireDerivedKeys: explicit ones are sent, and both are taken. ANY is in no policy that was read:
    it accepts the raw key and derived ones, for answers that stacks sign with either (CXF and Metro answer a Cancel
    with the raw key where the policy asks for derived ones).
    """

    NONE = "none"
    EXPLICIT = "explicit"
    IMPLIED = "implied"
    EITHER = "either"
    ANY = "any"


class ReferenceStyle(enum.Enum):
    """How a token that is not in the message is named."""

    KEY_IDENTIFIER = "KeyIdentifier"
    ISSUER_SERIAL = "IssuerSerial"
    THUMBPRINT = "Thumbprint"
    EXTERNAL_URI = "ExternalURI"
    EMBEDDED_TOKEN = "EmbeddedToken"
    ENCRYPTED_KEY = "EncryptedKey"


class Layout(enum.Enum):
    """sp:Layout (6.7)."""

    STRICT = "Strict"
    LAX = "Lax"
    LAX_TIMESTAMP_FIRST = "LaxTsFirst"
    LAX_TIMESTAMP_LAST = "LaxTsLast"


@dataclass(frozen=True, kw_only=True)
class X509Token:
    """sp:X509Token (5.4.3).

    Args:
        include: when the certificate travels as a BinarySecurityToken.
        token_type: the local name of the demanded type, for example "WssX509V3Token10".
        references: the styles demanded by Require…Reference; empty when the policy leaves it open.
        derived_keys: how keys are made from the EncryptedKey it protects (symmetric bindings).
    """

    include: Include = Include.ALWAYS
    token_type: str = "WssX509V3Token10"
    references: frozenset[ReferenceStyle] = frozenset()
    derived_keys: DerivedKeys = DerivedKeys.NONE


@dataclass(frozen=True, kw_only=True)
class SecureConversationToken:
    """sp:SecureConversationToken (5.4.7).

    Args:
        include: when the SecurityContextToken itself travels.
        derived_keys: how message keys are made from the context's key.
        require_external_uri_reference: refer by Identifier even where the token is in the message.
        wsc: namespace of WS-SecureConversation that the policy asks for, or None when it leaves it open.
        bootstrap: the policy of the RequestSecurityToken exchange; None when it is agreed out of band.
        bootstrap_response: that of its answer, where it is another one (WebSphere's form names directions).
        must_not_send_cancel, must_not_send_renew, must_not_send_amend: sp:MustNotSend….
    """

    include: Include = Include.ALWAYS_TO_RECIPIENT
    derived_keys: DerivedKeys = DerivedKeys.NONE
    require_external_uri_reference: bool = False
    wsc: str | None = None
    bootstrap: Policy | None = None
    bootstrap_response: Policy | None = None
    must_not_send_cancel: bool = False
    must_not_send_renew: bool = False
    must_not_send_amend: bool = False


class PasswordForm(enum.Enum):
    """How a UsernameToken proves the password (5.4.1: sp:NoPassword, sp:HashPassword)."""

    TEXT = "PasswordText"
    DIGEST = "PasswordDigest"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class UsernameToken:
    """sp:UsernameToken (5.4.1).

    Args:
        include: when the token travels.
        token_type: the local name of the demanded type, for example "WssUsernameToken10".
        password: how it proves the password.
        nonce, created: sp:Nonce and sp:Created (1.3, 5.4.1); a digest has both in any case.
        derived_keys: how keys are made from the key that the password gives (symmetric bindings, endorsing).
    """

    include: Include = Include.ALWAYS_TO_RECIPIENT
    token_type: str = "WssUsernameToken10"
    password: PasswordForm = PasswordForm.TEXT
    nonce: bool = False
    created: bool = False
    derived_keys: DerivedKeys = DerivedKeys.NONE


@dataclass(frozen=True, kw_only=True)
class SuppliedToken:
    """A token that this library carries and does not understand: LTPA, SAML, any other.

    Args:
        include: when the token travels.
        assertion: Clark name of the assertion, for messages to people.
        accepts: Clark names of what satisfies it: the element of an XML token, or the ValueType of a
            wsse:BinarySecurityToken. Empty: any that the user supplies.
    """

    include: Include = Include.ALWAYS_TO_RECIPIENT
    assertion: str
    accepts: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class HttpsToken:
    """sp:HttpsToken (5.4.10): TLS, and how the client is known to the server by it."""

    require_client_certificate: bool = False
    http_basic_authentication: bool = False
    http_digest_authentication: bool = False


#: What a key is made from.
KeyToken = X509Token | SecureConversationToken | UsernameToken
#: What may stand in a message.
Token = KeyToken | SuppliedToken


@dataclass(frozen=True, kw_only=True)
class HeaderPart:
    """A sp:Header of a parts assertion (4.1.1): one header, or all of a namespace when *name* is None.

    Without *namespace* it is every header but wsse:Security, which an empty sp:SignedParts means.
    """

    namespace: str | None
    name: str | None = None

    def matches(self, tag: str) -> bool:
        """Whether a header block with this tag (Clark notation) is meant."""
        if self.namespace is None:
            return tag != f"{{{WSSE}}}Security"
        namespace, _, local = tag[1:].rpartition("}") if tag[:1] == "{" else ("", "", tag)
        return namespace == self.namespace and self.name in (None, local)


@dataclass(frozen=True, kw_only=True)
class ElementPath:
    """A sp:XPath (4.1.2): elements of the message, from the envelope on.

    Args:
        xpath: XPath 1.0 without functions but those of node tests and names.
        namespaces: (prefix, URI) of the prefixes in it, as declared where it stands.
    """

    xpath: str
    namespaces: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Parts of a message, merged over all scopes: those signed, those encrypted, or those required.

    Args:
        body: sp:Body.
        headers: sp:Header of sp:SignedParts, sp:EncryptedParts, sp:RequiredParts (4.1.1, 4.2.1, 4.3.2).
        elements: sp:SignedElements, sp:EncryptedElements, sp:RequiredElements (4.1.2, 4.2.2, 4.3.1).
        contents: sp:ContentEncryptedElements (4.2.3).
    """

    body: bool = False
    headers: tuple[HeaderPart, ...] = ()
    elements: tuple[ElementPath, ...] = ()
    contents: tuple[ElementPath, ...] = ()

    def __or__(self, other: Parts) -> Parts:
        return Parts(
            body=self.body or other.body,
            headers=tuple(dict.fromkeys(self.headers + other.headers)),
            elements=tuple(dict.fromkeys(self.elements + other.elements)),
            contents=tuple(dict.fromkeys(self.contents + other.contents)),
        )

    def __bool__(self) -> bool:
        return self.body or bool(self.headers or self.elements or self.contents)

    def header(self, tag: str) -> bool:
        """Whether the header block with this tag (Clark notation) is one of these parts."""
        return any(part.matches(tag) for part in self.headers)


@dataclass(frozen=True, kw_only=True)
class SupportingToken:
    """One token of a sp:…SupportingTokens assertion (8); requests carry it, answers do not.

    Args:
        token: the token.
        signed: it is under the primary signature.
        encrypted: it is encrypted.
        endorsing: its key signs the primary signature, or under a TransportBinding the Timestamp.
        signed_parts: what an endorsing token signs besides.
        encrypted_parts: what is encrypted because of it.
        algorithm_suite: that of its signature, where the assertion names one.
        source: where it was read, for messages to people.
    """

    token: Token
    signed: bool = False
    encrypted: bool = False
    endorsing: bool = False
    signed_parts: Parts = Parts()
    encrypted_parts: Parts = Parts()
    algorithm_suite: AlgorithmSuite | None = None
    source: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class SymmetricBinding:
    """sp:SymmetricBinding (7.4). sp:ProtectionToken is both its signature and its encryption token."""

    signature_token: KeyToken | None
    encryption_token: KeyToken | None
    algorithm_suite: AlgorithmSuite
    layout: Layout = Layout.LAX
    include_timestamp: bool = False
    encrypt_before_signing: bool = False
    encrypt_signature: bool = False
    protect_tokens: bool = False
    only_sign_entire_headers_and_body: bool = False


@dataclass(frozen=True, kw_only=True)
class AsymmetricBinding:
    """sp:AsymmetricBinding (7.5). sp:InitiatorToken is both initiator tokens, likewise sp:RecipientToken."""

    initiator_signature_token: X509Token | None
    initiator_encryption_token: X509Token | None
    recipient_signature_token: X509Token | None
    recipient_encryption_token: X509Token | None
    algorithm_suite: AlgorithmSuite
    layout: Layout = Layout.LAX
    include_timestamp: bool = False
    encrypt_before_signing: bool = False
    encrypt_signature: bool = False
    protect_tokens: bool = False
    only_sign_entire_headers_and_body: bool = False

    def signature_token(self, direction: Direction) -> X509Token | None:
        """The token that signs messages of this direction."""
        if direction is Direction.REQUEST:
            return self.initiator_signature_token
        return self.recipient_signature_token

    def encryption_token(self, direction: Direction) -> X509Token | None:
        """The token that messages of this direction are encrypted to."""
        if direction is Direction.REQUEST:
            return self.recipient_encryption_token
        return self.initiator_encryption_token


@dataclass(frozen=True, kw_only=True)
class TransportBinding:
    """sp:TransportBinding (7.3): TLS protects the message; tokens in it say who sends it."""

    transport_token: HttpsToken
    algorithm_suite: AlgorithmSuite
    layout: Layout = Layout.LAX
    include_timestamp: bool = False

    # What TLS leaves nothing to do for, so that all bindings answer the same questions.
    encrypt_before_signing: ClassVar[bool] = False
    encrypt_signature: ClassVar[bool] = False
    protect_tokens: ClassVar[bool] = False
    only_sign_entire_headers_and_body: ClassVar[bool] = False


Binding = SymmetricBinding | AsymmetricBinding | TransportBinding


@dataclass(frozen=True, kw_only=True)
class Wss:
    """sp:Wss10 or sp:Wss11 (9.1, 9.2): the reference styles that both sides can read, and options."""

    version: str = "1.0"
    references: frozenset[ReferenceStyle] = frozenset()
    require_signature_confirmation: bool = False


@dataclass(frozen=True, kw_only=True)
class TrustOptions:
    """sp:Trust13 (10.1), or sp:Trust10 of earlier versions.

    *scope_policy_15* is sp13:ScopePolicy15 (1.3, 10.1): wsp:AppliesTo, where one is sent, is that of WS-Policy 1.5.
    """

    wst: str = WST_200512
    require_client_entropy: bool = False
    require_server_entropy: bool = False
    require_rstr_collection: bool = False
    require_applies_to: bool = False
    scope_policy_15: bool = False


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One alternative, effective for one message.

    Args:
        binding: the security binding, or None where the policy secures nothing.
        signed, encrypted, required: the parts, merged over all scopes.
        supporting: the supporting tokens of requests, in the order of the policy.
        wss: sp:Wss10 / sp:Wss11, or None.
        trust: sp:Trust10 / sp:Trust13, or None.
        addressing: namespace of WS-Addressing that the policy asks for, or None when it is silent.
        spec: namespace of WS-SecurityPolicy that it was written in, which tells the generation of WS-Trust.
        source: where it was read, for messages to people.
        rejected: the alternatives that were passed over for this one, each with the reason.
    """

    binding: Binding | None = None
    signed: Parts = Parts()
    encrypted: Parts = Parts()
    required: Parts = Parts()
    supporting: tuple[SupportingToken, ...] = ()
    wss: Wss | None = None
    trust: TrustOptions | None = None
    addressing: str | None = None
    spec: str = SP_200702
    source: str = field(default="", compare=False)
    rejected: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_hash"}

    @cached_property
    def _hash(self) -> int:
        """Worked out once: what follows from a policy is looked up by it for every message."""
        return hash(tuple(getattr(self, member.name) for member in fields(self) if member.compare))

    @property
    def conversation_token(self) -> SecureConversationToken | None:
        """The SecureConversationToken that protects messages under this policy, or endorses them, if one does."""
        candidates: list[Token | None] = [entry.token for entry in self.supporting if entry.endorsing]
        if isinstance(self.binding, SymmetricBinding):
            candidates = [self.binding.signature_token, self.binding.encryption_token, *candidates]
        return next((token for token in candidates if isinstance(token, SecureConversationToken)), None)

    @property
    def wst(self) -> str:
        """Namespace of WS-Trust: Trust13 in the outer policy gives 200512, Trust10 2005/02.

        Without either, the kind of SecurityContextToken decides, then the generation of the policy itself: 2005/07
        goes with 2005/02 (as WCF and Rampart do). The Trust assertion inside the bootstrap is not consulted (as CXF
        3.6 does).
        """
        if self.trust is not None:
            return self.trust.wst
        token = self.conversation_token
        if token is not None and token.wsc is not None:
            return WST_2005 if token.wsc == WSC_2005 else WST_200512
        return WST_2005 if self.spec == SP_2005 else WST_200512

    @property
    def wsc(self) -> str:
        """Namespace of WS-SecureConversation for references and derived keys."""
        return WSC_2005 if self.wst == WST_2005 else WSC_200512

    @property
    def confirms_signatures(self) -> bool:
        """Whether answers confirm the signatures of their request (sp:RequireSignatureConfirmation)."""
        return self.wss is not None and self.wss.require_signature_confirmation

    def parts_of(self, other: Policy) -> Policy:
        """This policy with the parts of *other* added: how message scopes join an endpoint's."""
        return replace(
            self,
            signed=self.signed | other.signed,
            encrypted=self.encrypted | other.encrypted,
            required=self.required | other.required,
            supporting=tuple(dict.fromkeys(self.supporting + other.supporting)),
        )


@dataclass(frozen=True, kw_only=True)
class OperationPolicy:
    """The effective policies of one operation.

    Args:
        name: the operation's local name.
        actions: every value of wsa:Action or SOAPAction that names its input.
        input_element: the QName (Clark notation) of the Body child of a request, or None for an empty Body.
        has_output: False for one-way operations.
        request, response: effective policies of input and output.
        faults: effective policy of each declared fault, by the QName of its detail element.
        fault: the policy of any other fault.
    """

    name: str
    actions: frozenset[str]
    input_element: str | None
    has_output: bool
    request: Policy
    response: Policy
    fault: Policy
    faults: Mapping[str, Policy] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class EndpointPolicy:
    """What an endpoint's messages must look like.

    Args:
        endpoint: the policy that holds for the whole endpoint; its binding carries the bootstrap.
        response: that of answers, where a bare policy has another one for them (WebSphere's form names directions).
        operations: by operation name; empty when the source was a bare policy, which then holds for all.
        soap: SOAP envelope namespace of the binding, or None when the source does not say.
        address: the soap:address of the port, or None.
        response_actions: wsa:Action of the output and fault messages by "operation:output" or
            "operation:fault:NAME".
        identity: the service's certificate (DER) as the WSDL names it; nothing says yet that it is to be believed.
    """

    endpoint: Policy
    response: Policy | None = None
    operations: Mapping[str, OperationPolicy] = field(default_factory=dict, hash=False)
    soap: str | None = None
    address: str | None = None
    response_actions: Mapping[str, str] = field(default_factory=dict, hash=False)
    identity: bytes | None = field(default=None, repr=False)

    def everywhere(self) -> OperationPolicy:
        """The endpoint's policy as that of an operation, for a source that knows no operations."""
        response = self.response or self.endpoint
        return OperationPolicy(
            name="the operation",
            actions=frozenset(),
            input_element=None,
            has_output=True,
            request=self.endpoint,
            response=response,
            fault=response,
        )
