"""Whether what was verified in a message is what its policy demands."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cryptography import x509
from lxml import etree

from ..environment import Environment
from ..errors import VerificationError
from ..names import DS, WSC_2005, WSC_200512, WSSE, WSSE11, WSU, XENC
from ..policy.model import (
    Binding,
    DerivedKeys,
    ElementPath,
    KeyToken,
    Layout,
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
from ..soap.addressing import is_addressing
from ..soap.envelope import Soap
from . import base64
from .credentials import ReceivedToken, ReceivedUsername, kind_of
from .elements import holds, is_within, select
from .header import (
    ACTOR,
    BINARY_TOKEN,
    CERTIFICATES,
    CONFIRMATION,
    CONTEXT_TOKENS,
    EMBEDDED,
    ENCRYPTED_DATA,
    ENCRYPTED_HEADER,
    SAML_IDS,
    SIGNATURE,
    USERNAME,
    SecurityHeader,
)
from .keys import ContextKey, EphemeralKey, Keyring
from .references import read_reference
from .seen import SeenSignatures
from .signature_form import SignatureForm
from .sources import KeySource
from .supporting import is_encrypted
from .times import read_time
from .tokens import read_certificates, read_username

_DERIVED = {
    DerivedKeys.EXPLICIT: (DerivedKeys.EXPLICIT,),
    DerivedKeys.IMPLIED: (DerivedKeys.IMPLIED,),
    DerivedKeys.EITHER: (DerivedKeys.EXPLICIT, DerivedKeys.IMPLIED),
    DerivedKeys.NONE: (DerivedKeys.NONE,),
    DerivedKeys.ANY: (DerivedKeys.NONE, DerivedKeys.EXPLICIT, DerivedKeys.IMPLIED),
}


_SECURITY = frozenset({WSSE, WSSE11, WSU, DS, XENC, WSC_2005, WSC_200512})
_TIMESTAMP_PLACES = {Layout.LAX_TIMESTAMP_FIRST: 0, Layout.LAX_TIMESTAMP_LAST: -1}


@dataclass
class VerifiedSignature:
    """A signature whose value was verified.

    Args:
        place: which child of the header it is.
        form: what it says.
        source: the key that made it.
        hidden: whether it was encrypted.
        elements: what it covers, once the digests were compared.
        body_was_clear: whether Body was decrypted when that was done.
    """

    place: int
    form: SignatureForm
    source: KeySource
    hidden: bool
    elements: list[etree._Element] = field(default_factory=list)
    body_was_clear: bool = False


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A message with everything verified and decrypted, before it is judged.

    Args:
        soap: the message.
        header: its wsse:Security header.
        timestamp: its Timestamp, or None.
        signatures: in the order of the header.
        decrypted: elements that were encrypted as a whole.
        contents: elements whose content was encrypted.
        ephemeral: the key of an EncryptedKey that it was encrypted under, or None.
    """

    soap: Soap
    header: SecurityHeader
    timestamp: etree._Element | None
    signatures: tuple[VerifiedSignature, ...]
    decrypted: tuple[etree._Element, ...]
    contents: tuple[etree._Element, ...]
    ephemeral: EphemeralKey | None

    def was_encrypted(self, element: etree._Element) -> bool:
        """Whether an element was encrypted, itself or with something around it."""
        return is_within(element, self.decrypted) or self.content_was_encrypted(element.getparent())

    def content_was_encrypted(self, element: etree._Element | None) -> bool:
        """Whether everything inside an element was encrypted."""
        if element is None:
            return False
        return is_within(element, self.decrypted) or is_within(element, self.contents)


# ------------------------------------------------------------------------------------------------ keys


def fits(token: Token, source: KeySource) -> bool:
    """Whether a key is of the kind that a supporting token, or a token of an AsymmetricBinding, gives."""
    kinds: dict[type[Token], object] = {
        X509Token: source.certificate,
        SecureConversationToken: source.context,
        UsernameToken: source.username,
    }
    return kinds.get(type(token)) is not None


def fits_binding(token: KeyToken | None, source: KeySource) -> bool:
    """Whether a key is of the kind that a token of a SymmetricBinding gives: a certificate gives an EncryptedKey."""
    if token is None:
        return False
    return source.ephemeral is not None if isinstance(token, X509Token) else fits(token, source)


def name_of(source: KeySource) -> str:
    """What tells the secrets apart that symmetric keys are made from."""
    if source.context is not None:
        return f"context {source.context.identifier}"
    if source.ephemeral is not None:
        return f"key {source.ephemeral.sha1.hex()}"
    return f"user {source.username.username if source.username else ''}"


def check_key(token: Token, source: KeySource, binding: Binding) -> None:
    """Whether a symmetric key is made as a token's policy says, and long enough for signatures.

    Raises:
        VerificationError: checks "derived-key" and "context".
    """
    check_derivation(token, source)
    check_length(source, binding)


def check_length(source: KeySource, binding: Binding) -> None:
    """Whether a symmetric key is long enough for signatures: whoever can guess it could sign.

    Raises:
        VerificationError: checks "derived-key" and "context".
    """
    suite = binding.algorithm_suite
    if source.certificate is not None:
        return
    if len(source.secret) < min(suite.signature_key_length, suite.minimum_key_length):
        raise VerificationError("derived-key", "The key of a signature is too short")
    if source.derived is not DerivedKeys.NONE and len(source.secret) < suite.signature_key_length:
        raise VerificationError("derived-key", "The key of a signature is too short")
    if source.context is not None and len(source.context.secret) < suite.minimum_key_length:
        raise VerificationError("context", "The key of the context is too short for the policy")


def check_derivation(token: Token | None, source: KeySource) -> None:
    """Whether keys are derived as a token's policy says.

    Raises:
        VerificationError: check "derived-key".
    """
    if source.certificate is not None or token is None or isinstance(token, SuppliedToken):
        return
    if source.derived not in _DERIVED[token.derived_keys]:
        raise VerificationError("derived-key", "Keys are not derived as the policy demands")


def primary_signature(
    signatures: Iterable[VerifiedSignature], binding: Binding, header: SecurityHeader, *, hides: bool
) -> VerifiedSignature | None:
    """The one signature by the binding's token; None under a TransportBinding, which has none.

    Raises:
        VerificationError: "signature-missing" when there is none, or more than one; "encrypted-parts" when it should
            have been encrypted.
    """
    if isinstance(binding, TransportBinding):
        return None
    symmetric = isinstance(binding, SymmetricBinding)
    token = binding.signature_token if isinstance(binding, SymmetricBinding) else None
    candidates = [
        found
        for found in signatures
        if (fits_binding(token, found.source) if symmetric else found.source.certificate is not None)
        and not _endorses(found, header)
    ]
    if len(candidates) != 1:
        raise VerificationError("signature-missing", "The message is not signed once as the policy demands")
    primary = candidates[0]
    if token is not None:
        check_key(token, primary.source, binding)
    if hides and not primary.hidden:
        raise VerificationError("encrypted-parts", "The policy demands an encrypted signature")
    return primary


def _endorses(found: VerifiedSignature, header: SecurityHeader) -> bool:
    """Whether a signature refers to another one."""
    named = (header.find(reference.id) for reference in found.form.references)
    return any(element is not None and element.tag == SIGNATURE for element in named)


# ----------------------------------------------------------------------------------------------- parts


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a message proves besides its primary signature.

    Args:
        primary: the binding's signature; None under a TransportBinding.
        context: the context that secured the message.
        endorsed_by, endorsers, usernames, tokens: see :class:`Verified`.
    """

    primary: VerifiedSignature | None
    context: ContextKey | None
    endorsed_by: tuple[ContextKey, ...]
    endorsers: tuple[x509.Certificate, ...]
    usernames: tuple[ReceivedUsername, ...]
    tokens: tuple[ReceivedToken, ...]


@dataclass(frozen=True)
class Judge:
    """Judges one message.

    Args:
        opened: the message.
        policy: its policy.
        keyring: says which side we are.
        environment: time and bounds.
        hides: whether the policy wants the signature encrypted.
    """

    opened: Opened
    policy: Policy
    keyring: Keyring
    environment: Environment
    hides: bool

    def judge(self, sent: tuple[bytes, ...], seen: SeenSignatures | None) -> Judgement:
        """Whether the message is what the policy demands.

        Args:
            sent: signature values of the request that it answers.
            seen: memory of nonces.

        Raises:
            VerificationError: ``check`` names what is not.
        """
        binding, opened = self._binding, self.opened
        primary = primary_signature(opened.signatures, binding, opened.header, hides=self.hides)
        if primary is not None:
            self._check_signed(primary)
            self._check_encrypted(primary)
            if binding.protect_tokens:
                self._check_covers_token(primary)
        self._check_layout()
        self._check_required()
        self._check_nothing_hidden()
        if sent and self.policy.confirms_signatures and primary is not None:
            self._check_confirmed(primary, sent)
        endorsements = self._endorsements(primary)
        if primary is not None:
            self._check_places(primary, self.policy.signed)
        endorsed = [entry.signed_parts for entry in self.policy.supporting]
        for found in endorsements:
            self._check_places(found, functools.reduce(operator.or_, endorsed, Parts()))
        usernames, tokens = self._supporting(primary, endorsements, seen)
        if primary is not None and primary.source.username is not None:
            usernames = (primary.source.username, *usernames)
        contexts = tuple(found.source.context for found in endorsements if found.source.context is not None)
        context = primary.source.context if primary is not None else next(iter(contexts), None)
        return Judgement(
            primary=primary,
            context=context,
            endorsed_by=contexts,
            endorsers=tuple(
                found.source.certificate for found in endorsements if found.source.certificate is not None
            ),
            usernames=usernames,
            tokens=tokens,
        )

    def _select(self, paths: Iterable[ElementPath]) -> list[etree._Element]:
        return select(paths, self.opened.soap.envelope, self.environment.limits)

    def _check_signed(self, primary: VerifiedSignature) -> None:
        soap, signed = self.opened.soap, self.policy.signed
        required = [soap.body] if signed.body else []
        required += [block for block in _blocks(soap, self.opened.header) if signed.header(str(block.tag))]
        if self.opened.timestamp is not None and self._binding.include_timestamp:
            required.append(self.opened.timestamp)
        own = self.opened.header.element
        required += [
            element
            for element in self._select(signed.elements)
            if element is not own and not (element.tag == SIGNATURE and element.getparent() is own)
        ]
        for part in required:
            if not is_within(part, primary.elements):
                raise VerificationError(
                    "signed-parts", f"The policy demands that {_local(part)} is signed, and it is not"
                )

    @property
    def _binding(self) -> Binding:
        assert self.policy.binding is not None
        return self.policy.binding

    def _check_encrypted(self, primary: VerifiedSignature) -> None:
        soap, encrypted, opened = self.opened.soap, self.policy.encrypted, self.opened
        own = opened.header.element
        required = [block for block in _blocks(soap, opened.header) if encrypted.header(str(block.tag))]
        required += [
            e for e in self._select(encrypted.elements) if not (e.tag == SIGNATURE and e.getparent() is own)
        ]
        for part in required:
            if not opened.was_encrypted(part):
                raise _not_encrypted(part)
        contents = [soap.body] if encrypted.body else []
        contents += self._select(encrypted.contents)
        for part in contents:
            if not _is_empty(part) and not opened.content_was_encrypted(part):
                raise _not_encrypted(part)
        in_order = primary.body_was_clear != self._binding.encrypt_before_signing
        if encrypted.body and not in_order and holds(opened.contents, soap.body):
            raise VerificationError(
                "protection-order", "Signing and encryption are not in the policy's order"
            )

    def _check_covers_token(self, found: VerifiedSignature) -> None:
        """With sp:ProtectTokens a signature covers the token of its key, where that is in the message (6.5)."""
        token = self._token_of(found.source)
        if found.source.embedded or (token is not None and not holds(found.elements, token)):
            raise VerificationError(
                "signed-parts", "The policy demands that tokens are signed, and one is not"
            )

    def _token_of(self, source: KeySource) -> etree._Element | None:
        """The token in the header that a key comes from."""
        return None if source.place is None else self.opened.header.element[source.place]

    def _check_layout(self) -> None:
        """Where the Timestamp stands, if the policy says it (6.7), and that no part of a part was signed (6.6)."""
        binding, header, stamp = self._binding, self.opened.header.element, self.opened.timestamp
        place = _TIMESTAMP_PLACES.get(binding.layout)
        if place is not None and stamp is not None and header[place] is not stamp:
            raise VerificationError("layout", "The Timestamp is not where the policy demands it")
        if not binding.only_sign_entire_headers_and_body:
            return
        soap = self.opened.soap
        whole = [soap.envelope, soap.header, header]
        for found in self.opened.signatures:
            if not all(any(part.getparent() is one for one in whole) for part in found.elements):
                raise VerificationError(
                    "signed-parts", "A signature covers a part of a header or of Body only"
                )

    def _check_required(self) -> None:
        tags = [str(block.tag) for block in self.opened.soap.blocks()]
        for part in self.policy.required.headers:
            if not any(part.matches(tag) for tag in tags):
                raise VerificationError(
                    "required-parts", f"The policy demands a header {part.name or part.namespace}"
                )
        for path in self.policy.required.elements:
            if not self._select([path]):
                raise VerificationError("required-parts", f"The policy demands an element {path.xpath}")

    def _check_nothing_hidden(self) -> None:
        """Nothing stayed encrypted that the policy names: it would pass for something that is not there."""
        soap, encrypted, own = self.opened.soap, self.policy.encrypted, self.opened.header.element
        left = [block for block in _blocks(soap, self.opened.header) if block.tag == ENCRYPTED_HEADER]
        left = [block for block in left if not block.get(f"{{{soap.version}}}{ACTOR[soap.version]}")]
        left += own.iterchildren(ENCRYPTED_DATA)
        if encrypted.elements or encrypted.contents:
            left += soap.envelope.iterdescendants(ENCRYPTED_DATA)
        if left:
            raise VerificationError(
                "encryption-form", "Something is encrypted, and the message does not list it"
            )

    def _check_places(self, found: VerifiedSignature, named: Parts) -> None:
        """What a signature covers is a header block, Body, in the header of security, or what a path names.

        Otherwise somebody could put a signed part where nobody looks for it, as if it had never been in the message.
        """
        if not named:
            return  # of a fault, whose parts are asked for one by one
        soap, by_path = self.opened.soap, self._select(named.elements)
        halves = bool(named.elements) and not named.body
        for element in found.elements:
            parent = element.getparent()
            if parent is self.opened.header.element:
                stands = _is_of_security(element, self.policy)
            elif parent is soap.header:
                stands = not halves or self._is_a_header(str(element.tag), named)
            else:
                stands = element is soap.body or (parent is not None and parent.tag == EMBEDDED)
            # what hid a part when it was signed was signed for it
            if not stands and not any(is_within(part, [element]) for part in by_path):
                raise VerificationError(
                    "signed-parts", f"{_local(element)} is signed, and does not stand where the policy has it"
                )

    def _is_a_header(self, tag: str, named: Parts) -> bool:
        """Whether a header block with that tag is nothing that could have been taken out of Body."""
        return named.header(tag) or self.policy.encrypted.header(tag) or is_addressing(tag)

    def _check_confirmed(self, primary: VerifiedSignature, sent: tuple[bytes, ...]) -> None:
        """Every signature of the request is confirmed, under the answer's signature (WSS 1.1, section 8.5)."""
        confirmed = []
        for element in self.opened.header.element.iterchildren(CONFIRMATION):
            if not holds(primary.elements, element):
                raise VerificationError("signature-confirmation", "A SignatureConfirmation is not signed")
            try:
                confirmed.append(base64.decode(element.get("Value") or ""))
            except ValueError:
                raise VerificationError(
                    "signature-confirmation", "A SignatureConfirmation is not base64"
                ) from None
        if sorted(confirmed) != sorted(sent):
            raise VerificationError("signature-confirmation", "The answer does not confirm our signatures")

    # --------------------------------------------------------------------------------- supporting tokens

    def _endorsements(self, primary: VerifiedSignature | None) -> tuple[VerifiedSignature, ...]:
        """The signatures over the primary one; over TLS those over the Timestamp (WS-SecurityPolicy 1.2, 8.3).

        Over TLS without a Timestamp they sign what the policy names.
        """
        others = [found for found in self.opened.signatures if found is not primary]
        if primary is None and not self._binding.include_timestamp:
            return tuple(others)
        place = primary.place if primary is not None else None
        anchor = self.opened.timestamp if place is None else self.opened.header.element[place]
        return tuple(found for found in others if anchor is not None and holds(found.elements, anchor))

    def _supporting(
        self,
        primary: VerifiedSignature | None,
        endorsements: tuple[VerifiedSignature, ...],
        seen: SeenSignatures | None,
    ) -> tuple[tuple[ReceivedUsername, ...], tuple[ReceivedToken, ...]]:
        """Every supporting token that the policy demands of a request is there, and as it says.

        Each is found once: no signature and no token stands for two.
        """
        usernames: list[ReceivedUsername] = []
        tokens: list[ReceivedToken] = []
        if self.keyring.role != "client":
            return (), ()  # answers have none
        # a certificate that a signature only describes may stand there as a supporting token
        signers = {
            found.source.place
            for found in self.opened.signatures
            if read_reference(found.form.key).id is not None
        }
        left, present = (
            list(endorsements),
            [token for place, token in enumerate(self.opened.header.element) if place not in signers],
        )
        for entry in self.policy.supporting:
            if entry.endorsing:
                source = self._take_endorsement(entry, left)
                token = self._token_of(source)
                if source.username is not None:
                    usernames.append(source.username)
            else:
                token = self._take_token(entry, present, primary)
                self._read(entry.token, token, usernames, tokens, seen)
            if primary is not None:
                self._check_token(entry, token, primary)
        if any(found.source.context is None for found in left):
            # anybody can sign over a signature, and would pass for the one whose message it is
            raise VerificationError(
                "endorsement", "Somebody endorses the message whom the policy does not ask"
            )
        return tuple(usernames), tuple(tokens)

    def _take_endorsement(self, entry: SupportingToken, left: list[VerifiedSignature]) -> KeySource:
        fitting = [found for found in left if fits(entry.token, found.source)]
        required = self._endorsed_parts(entry)
        # the one that covers what is asked for, and no more: another entry may ask for the rest
        fitting.sort(
            key=lambda found: (
                sum(not is_within(part, found.elements) for part in required),
                len(found.elements),
            )
        )
        for found in fitting[:1]:
            left.remove(found)
            check_key(entry.token, found.source, self._binding)
            self._check_endorsed_parts(required, found)
            if self._binding.protect_tokens:
                self._check_covers_token(found)
            return found.source
        raise VerificationError(
            "endorsement",
            f"The policy demands that a {_kind(entry.token)} endorses the message, and none does",
        )

    def _endorsed_parts(self, entry: SupportingToken) -> list[etree._Element]:
        """What an endorsing token signs besides the primary signature, or the Timestamp."""
        named, soap = entry.signed_parts, self.opened.soap
        required = [soap.body] if named.body else []
        required += [block for block in _blocks(soap, self.opened.header) if named.header(str(block.tag))]
        return required + [element for element in self._select(named.elements) if element.tag != SIGNATURE]

    def _check_endorsed_parts(self, required: list[etree._Element], found: VerifiedSignature) -> None:
        for part in required:
            if not is_within(part, found.elements):
                raise VerificationError(
                    "signed-parts", f"The policy demands that {_local(part)} is endorsed, and it is not"
                )

    def _take_token(
        self, entry: SupportingToken, present: list[etree._Element], primary: VerifiedSignature | None
    ) -> etree._Element:
        found = [element for element in present if _is_token(entry.token, element)]
        if isinstance(entry.token, X509Token) and primary is not None:
            # certificates stand there for other reasons too, and none of these says anything of its own
            found.sort(key=lambda element: not self._protects(entry, element, primary))
        for element in found[:1]:
            present.remove(element)
            return element
        raise VerificationError(
            "supporting-token", f"The policy demands a {_kind(entry.token)}, and the message has none"
        )

    def _protects(self, entry: SupportingToken, token: etree._Element, primary: VerifiedSignature) -> bool:
        signed = not entry.signed or holds(primary.elements, token)
        return signed and (not is_encrypted(entry, self.policy) or self.opened.was_encrypted(token))

    def _check_token(
        self, entry: SupportingToken, token: etree._Element | None, primary: VerifiedSignature
    ) -> None:
        if token is None:
            # the key of a context says all that its token could
            if isinstance(entry.token, SecureConversationToken) or not (
                entry.signed or is_encrypted(entry, self.policy)
            ):
                return
            raise VerificationError(
                "supporting-token",
                f"The policy demands that the {_kind(entry.token)} is protected, and it is not in the header",
            )
        if entry.signed and not holds(primary.elements, token):
            raise VerificationError(
                "supporting-token",
                f"The policy demands that the {_kind(entry.token)} is signed, and it is not",
            )
        if is_encrypted(entry, self.policy) and not self.opened.was_encrypted(token):
            raise VerificationError(
                "supporting-token",
                f"The policy demands that the {_kind(entry.token)} is encrypted, and it is not",
            )

    def _read(
        self,
        policy: Token,
        token: etree._Element,
        usernames: list[ReceivedUsername],
        tokens: list[ReceivedToken],
        seen: SeenSignatures | None,
    ) -> None:
        if isinstance(policy, UsernameToken):
            user = read_username(token, self.environment.limits)
            self._check_username(policy, user, seen)
            usernames.append(user)
        elif isinstance(policy, SuppliedToken):
            tokens.append(ReceivedToken(kind=kind_of(token), element=token))
        elif isinstance(policy, X509Token):
            read_certificates(token)

    def _check_username(
        self, policy: UsernameToken, user: ReceivedUsername, seen: SeenSignatures | None
    ) -> None:
        """Whether a user name comes with what the policy wants, and a digest is fresh and comes once."""
        given = {
            PasswordForm.TEXT: user.password is not None,
            PasswordForm.DIGEST: user.digest is not None and bool(user.nonce) and bool(user.created),
            PasswordForm.NONE: user.password is None and user.digest is None,
        }
        lacking = (policy.nonce and not user.nonce) or (policy.created and not user.created)
        if not given[policy.password] or lacking:
            raise VerificationError("username-token", "A UsernameToken is not as the policy demands")
        environment = self.environment
        now, age = environment.clock.now(), environment.message_lifetime + environment.clock_skew
        created = read_time(user.created) if user.created else None
        if created is not None and not -environment.clock_skew <= now - created <= age:
            raise VerificationError("username-token", "A UsernameToken is too old, or from the future")
        if user.nonce and seen is not None:
            mark = b"nonce " + user.username.encode() + b" " + user.nonce
            if not seen.add(mark, until=now + age + environment.clock_skew, now=now, created=created):
                raise VerificationError("replay", "A UsernameToken was received before")


def _is_of_security(element: etree._Element, policy: Policy) -> bool:
    """Whether an element is what belongs into wsse:Security."""
    name = etree.QName(element)
    if name.namespace in _SECURITY or name.text in SAML_IDS:
        return True
    return any(_is_token(entry.token, element) for entry in policy.supporting)


def _blocks(soap: Soap, header: SecurityHeader) -> list[etree._Element]:
    return [block for block in soap.blocks() if block is not header.element]


def _is_empty(element: etree._Element) -> bool:
    return not len(element) and not (element.text or "").strip()


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname


def _not_encrypted(part: etree._Element) -> VerificationError:
    return VerificationError(
        "encrypted-parts", f"The policy demands that {_local(part)} is encrypted, and it is not"
    )


_IS_TOKEN: dict[type[Token], Callable[[str], bool]] = {
    UsernameToken: lambda tag: tag == USERNAME,
    SecureConversationToken: lambda tag: tag in CONTEXT_TOKENS,
}


def _is_token(token: Token, element: etree._Element) -> bool:
    """Whether an element of the header may be what a supporting token's policy asks for."""
    if not isinstance(element.tag, str):
        return False
    if isinstance(token, X509Token):
        return element.tag == BINARY_TOKEN and element.get("ValueType") in CERTIFICATES
    if isinstance(token, SuppliedToken):
        kind = kind_of(element)
        return (
            kind in token.accepts
            if token.accepts
            else element.tag == BINARY_TOKEN and kind not in CERTIFICATES
        )
    return _IS_TOKEN[type(token)](element.tag)


def _kind(token: Token) -> str:
    if isinstance(token, SuppliedToken):
        return etree.QName(token.assertion).localname
    return type(token).__name__
