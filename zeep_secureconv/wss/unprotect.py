"""Checks one message against its policy and decrypts it.

The order is that of an attacker's cost: what is cheap and secret-free comes first, then the value of each signature
(so that nobody without a key gets any further, and a message is taken once), then decryption and digests in the
order of the header, then whether what was signed and encrypted is what the policy demands. Nothing is used that
was not reached through a verified reference or stands where the policy says.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from lxml import etree

from ..environment import Environment
from ..errors import LimitExceeded, PolicyError, VerificationError
from ..names import DS, WSSE, XENC, XENC_CONTENT, XENC_ELEMENT
from ..policy.model import (
    AsymmetricBinding,
    Binding,
    DerivedKeys,
    ElementPath,
    Policy,
    SymmetricBinding,
    TransportBinding,
    X509Token,
)
from ..soap.addressing import Addressing, read_addressing
from ..soap.envelope import Soap, refuse_depth, refuse_dtd, refuse_width
from . import encryption, signature
from .c14n import canonicalize
from .certificates import may_sign, same
from .credentials import ReceivedToken, ReceivedUsername
from .elements import hides_signature, holds, is_within, select
from .encryption import decryption_failed
from .forms import cipher_value, only
from .header import (
    CONFIRMATION,
    CONTEXT_TOKENS,
    DERIVED_KEYS,
    ENCRYPTED_DATA,
    ENCRYPTED_HEADER,
    ENCRYPTED_KEY,
    REFERENCE_LIST,
    SIGNATURE,
    TIMESTAMP,
    SecurityHeader,
)
from .judgement import (
    Judge,
    Opened,
    VerifiedSignature,
    check_derivation,
    check_length,
    fits_binding,
    name_of,
    primary_signature,
)
from .keys import ContextKey, EphemeralKey, Keyring
from .seen import OLDEST, SeenSignatures
from .signature_form import SignatureForm, SignedReference, read_signature
from .sources import KeyResolver, KeySource
from .splice import element_at, path_of, splice
from .tokens import read_timestamp

_OF_SIGNING = frozenset({SIGNATURE, CONFIRMATION})
#: What is needed to undo the rest of the header, so that it cannot be hidden itself.
_NEVER_HIDDEN = (
    frozenset({TIMESTAMP, REFERENCE_LIST, ENCRYPTED_KEY, ENCRYPTED_DATA}) | CONTEXT_TOKENS | DERIVED_KEYS
)


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a message proved.

    Args:
        soap: the message in the clear; its tree may be another one than the message's (see ``splice``).
        addressing: its addressing headers.
        signer: certificate of the primary signature (bootstrap), or None.
        context: key of the security context of the primary signature, or None.
        endorsed_by: context keys that endorsed the message: signed its primary signature, or its Timestamp over TLS.
        endorsers: certificates that did.
        usernames: the user names in it, with what proves them; not checked yet.
        tokens: the supporting tokens in it that are not understood here; not checked yet.
        ephemeral: the key that came with it, for the answer.
        signed: elements under the primary signature: Body, header blocks, tokens.
        decrypted: Body, header blocks, elements and tokens that were encrypted, themselves or their content.
        signature_values: of every signature, in bytes.
    """

    soap: Soap
    addressing: Addressing
    signer: x509.Certificate | None
    context: ContextKey | None
    endorsed_by: tuple[ContextKey, ...]
    endorsers: tuple[x509.Certificate, ...] = ()
    usernames: tuple[ReceivedUsername, ...] = ()
    tokens: tuple[ReceivedToken, ...] = ()
    ephemeral: EphemeralKey | None = field(default=None, repr=False)
    signed: tuple[etree._Element, ...] = field(repr=False)
    decrypted: tuple[etree._Element, ...] = field(repr=False)
    signature_values: tuple[bytes, ...] = field(repr=False)

    def is_signed(self, element: etree._Element | None) -> bool:
        """Whether this very element is under the primary signature."""
        return element is not None and holds(self.signed, element)


def unprotect(
    soap: Soap,
    policy: Policy,
    keyring: Keyring,
    environment: Environment,
    *,
    seen: SeenSignatures | None = None,
    sent: tuple[bytes, ...] = (),
) -> Verified:
    """Verify and decrypt a message, in place where that is exact.

    Args:
        soap: the message as it was received.
        policy: the effective policy of this message.
        keyring: the keys and contexts that are allowed.
        environment: time, randomness and bounds.
        seen: memory of signature values; a value in it is refused.
        sent: signature values of the request that this message answers; a message with one of them is our own,
            reflected, and they are what the policy may want confirmed.

    Raises:
        VerificationError: ``check`` names the check that refused.
        PolicyError: when the policy cannot be checked.
    """
    reader = _Reader(soap, policy, keyring, environment)
    reader.check_timestamp()
    reader.verify_values(seen, sent)
    return reader.verified(
        Judge(reader.walk(seen, sent), policy, keyring, environment, reader.hides), sent, seen
    )


_Place = Callable[["etree._Element", int], None]  # noqa: SLF001 - the only name lxml has for it


class _Reader:
    """One message on its way through the checks."""

    def __init__(self, soap: Soap, policy: Policy, keyring: Keyring, environment: Environment) -> None:
        if policy.binding is None:
            raise PolicyError("The policy has no security binding, so nothing could be verified")
        refuse_dtd(soap.envelope)
        refuse_depth(soap.envelope, environment.limits)
        self._soap = soap
        self._policy = policy
        self._binding = policy.binding
        self._suite = policy.binding.algorithm_suite
        self._keyring = keyring
        self._environment = environment
        over_tls = isinstance(policy.binding, TransportBinding)
        if over_tls and not keyring.over_tls:
            raise VerificationError("transport", "The policy leaves security to TLS, and there is none")
        self.hides = not over_tls and hides_signature(policy, soap.version)
        self._needed = not over_tls or policy.binding.include_timestamp or self._has_tokens()
        self._header = SecurityHeader(soap, environment.limits, needed=self._needed)
        self._keys = KeyResolver(
            keyring,
            self._suite,
            environment.limits,
            environment.random,
            derives=_derives_from_key(policy.binding),
        )
        self._timestamp: etree._Element | None = None
        self._created: datetime | None = None
        self._expires: datetime | None = None
        self._signatures: dict[int, VerifiedSignature] = {}
        self._decrypted: list[etree._Element] = []
        self._contents: list[etree._Element] = []
        self._secrets: set[str] = set()
        self._ephemeral: EphemeralKey | None = None
        self._undone: set[str] = set()

    # ------------------------------------------------------------------------------------------- time

    def check_timestamp(self) -> None:
        stamps = [child for child in self._header.element if child.tag == TIMESTAMP]
        if len(stamps) > 1:
            raise VerificationError("timestamp", "The message has two Timestamps")
        if not stamps:
            if self._binding.include_timestamp:
                raise VerificationError(
                    "timestamp", "The policy demands a Timestamp and the message has none"
                )
            return
        self._timestamp = stamps[0]
        stamp = read_timestamp(self._timestamp)
        now, skew = self._environment.clock.now(), self._environment.clock_skew
        if stamp.created > now + skew:
            raise VerificationError(
                "timestamp", "The message comes from the future", hint="set the clocks, or widen clock_skew="
            )
        expires = stamp.expires or stamp.created + self._environment.message_lifetime
        expires = min(expires, stamp.created + OLDEST)
        if expires <= stamp.created or expires <= now - skew:
            raise VerificationError(
                "timestamp", "The message is too old", hint="set the clocks, or widen clock_skew="
            )
        self._created, self._expires = stamp.created, expires + skew

    # ------------------------------------------------------------------------------- signature values

    def verify_values(self, seen: SeenSignatures | None, sent: tuple[bytes, ...]) -> None:
        """Verify the value of every signature that is in the clear, and whose token is.

        Where the policy hides none, the binding's own must be among them before anything is decrypted.
        """
        for place, child in enumerate(self._header.element):
            if child.tag == SIGNATURE:
                self._verify_value(place, child, seen, sent, hidden=False)
        if not self.hides:
            self._need_primary()

    def _need_primary(self) -> None:
        primary = primary_signature(self._signatures.values(), self._binding, self._header, hides=self.hides)
        if primary is not None:
            self._refuse_second_secret(primary.source)

    def _refuse_second_secret(self, source: KeySource) -> None:
        """Where one token gives both keys, both come from the same secret.

        Before anything is decrypted: whoever may sign under one secret could try ciphertexts under another.
        """
        binding = self._binding
        if source.certificate is None:
            self._secrets.add(name_of(source))
            one = (
                not isinstance(binding, SymmetricBinding)
                or binding.signature_token == binding.encryption_token
            )
            if one and len(self._secrets) > 1:
                raise VerificationError("context", "The message is signed and encrypted under two contexts")

    def _verify_value(
        self,
        place: int,
        element: etree._Element,
        seen: SeenSignatures | None,
        sent: tuple[bytes, ...],
        *,
        hidden: bool,
    ) -> None:
        form = read_signature(element, self._suite, self._environment.limits)
        if self._hidden_tokens() and self._keys.waits(form.key, self._header):
            return
        source = self._keys.resolve(form.key, self._header)
        if source.ephemeral is not None and not self._takes(source.ephemeral):
            raise VerificationError("token", "A signature is made with a key that came with the message")
        check_length(source, self._binding)
        if any(hmac.compare_digest(form.value, own) for own in sent):
            raise VerificationError("reflection", "The answer carries our own signature")
        if not self._value_is_good(form, source):
            raise VerificationError("signature", "A signature does not verify")
        # remembered before anything is decrypted: a changed ciphertext under a good signature is tried once
        now, created, until = self._environment.clock.now(), *self._worth_remembering(form)
        if seen is not None and not seen.add(
            self._told_apart(form, source), until=until, now=now, created=created
        ):
            raise VerificationError("replay", "The message was received before")
        self._signatures[place] = VerifiedSignature(place, form, source, hidden)

    def _told_apart(self, form: SignatureForm, source: KeySource) -> bytes:
        """What no other message has.

        Over TLS a context's signature covers the Timestamp alone: two messages of one second have the same from Metro,
        whose Created has whole seconds. MessageID, which TLS protects like everything else, tells them apart.
        """
        if not isinstance(self._binding, TransportBinding) or source.certificate is not None:
            return form.value
        return form.value + (read_addressing(self._soap).message_id or "").encode()

    def _hidden_tokens(self) -> bool:
        """Whether anything in the header is encrypted, so that a token may be missing until it is not."""
        return any(child.tag == ENCRYPTED_DATA for child in self._header.element)

    def _takes(self, key: EphemeralKey) -> bool:
        """Whether a key may sign or encrypt under a SymmetricBinding.

        A service takes the key that a request brings; a client only its own, come back with the answer.
        """
        binding = self._binding
        if not isinstance(binding, SymmetricBinding):
            return False
        if not any(isinstance(t, X509Token) for t in (binding.signature_token, binding.encryption_token)):
            return False
        return self._keyring.role == "client" or key is self._keyring.ephemeral

    def _worth_remembering(self, form: SignatureForm) -> tuple[datetime | None, datetime]:
        """(Created, until when a value could come back): its Timestamp tells, if the signature really covers that.

        Otherwise somebody could put a Timestamp of his own beside it, to have the value forgotten at once.
        """
        for reference in form.references:
            if self._timestamp is not None and self._header.find(reference.id) is self._timestamp:
                assert self._expires is not None
                self._check_digest(self._timestamp, reference)
                return self._created, self._expires
        return None, self._environment.clock.now() + OLDEST

    def _value_is_good(self, form: SignatureForm, source: KeySource) -> bool:
        certificate, suite = source.certificate, self._suite
        wanted = suite.symmetric_signature if certificate is None else suite.asymmetric_signature
        if form.algorithm != wanted:
            raise VerificationError("algorithm", "A signature algorithm is not that of the policy")
        data = canonicalize(form.info, form.prefixes)
        if certificate is None:
            # WebSphere leaves out Length where the suite fixes it; otherwise the default of 32 bytes holds
            lengths = (
                {len(source.secret), suite.signature_key_length} if source.unsized else {len(source.secret)}
            )
            return any(
                hmac.compare_digest(signature.mac(wanted, source.secret[:length], data), form.value)
                for length in lengths
            )
        self._check_signer(certificate, source.path)
        return signature.rsa_verify(wanted, certificate, data, form.value)

    def _check_signer(self, certificate: x509.Certificate, path: tuple[x509.Certificate, ...]) -> None:
        keyring = self._keyring
        if keyring.trust is None and not keyring.signers:
            raise VerificationError("signer", "Nothing says whose certificates to believe")
        if keyring.signers and not any(same(certificate, signer) for signer in keyring.signers):
            raise VerificationError(
                "signer",
                f"The message is signed by a certificate that is not the {keyring.role}'s",
                hint="name every certificate the service may sign with in peer=",
            )
        if not may_sign(certificate):
            raise VerificationError("signer", "The signer's certificate may not sign")
        if keyring.trust is not None:
            now = self._environment.clock.now()
            keyring.trust.check(certificate, role=keyring.role, now=now, intermediates=path)

    # ----------------------------------------------------------------------------- decrypt and digest

    def walk(self, seen: SeenSignatures | None, sent: tuple[bytes, ...]) -> Opened:
        """Undo the header's children from the top: what stands first was applied last."""
        if self.hides or self._hidden_tokens():
            self._reveal(seen, sent)
        place = 0
        while place < len(self._header.element):
            child = self._header.element[place]
            if child.tag in (REFERENCE_LIST, ENCRYPTED_KEY):
                self._decrypt_list(child)
            elif child.tag == SIGNATURE:
                self._check_digests(self._signatures[place])
            place += 1
        self._soap = Soap.of(self._soap.envelope)
        refuse_depth(self._soap.envelope, self._environment.limits)
        return Opened(
            soap=self._soap,
            header=self._header,
            timestamp=self._timestamp,
            signatures=tuple(found for _, found in sorted(self._signatures.items())),
            decrypted=tuple(self._decrypted),
            contents=tuple(self._contents),
            ephemeral=self._ephemeral,
        )

    def _reveal(self, seen: SeenSignatures | None, sent: tuple[bytes, ...]) -> None:
        """Decrypt what is hidden in the header, and nothing else before every signature is verified and remembered.

        Otherwise somebody without a key could try changed ciphertexts of the Body one after the other.
        """
        for place in range(len(self._header.element)):
            child = self._header.element[place]
            if child.tag in (REFERENCE_LIST, ENCRYPTED_KEY):
                self._decrypt_list(child, within=self._header.element)
        for place, child in enumerate(self._header.element):
            if child.tag == SIGNATURE and place not in self._signatures:
                hidden = holds(self._decrypted, child)
                self._verify_value(place, child, seen, sent, hidden=hidden)
                if place not in self._signatures:
                    raise VerificationError("token", "A reference names a token that is not in the header")
        self._need_primary()

    def _check_digests(self, found: VerifiedSignature) -> None:
        for reference in found.form.references:
            element = self._header.find(reference.id)
            if element is None:
                raise VerificationError(
                    "reference", "A signature refers to something that is not in the message"
                )
            self._check_digest(element, reference)
            found.elements.append(element)
        found.body_was_clear = holds(self._contents, self._soap.body)

    def _check_digest(self, element: etree._Element, reference: SignedReference) -> None:
        digest = signature.digest(self._suite.digest, canonicalize(element, reference.prefixes))
        if not hmac.compare_digest(digest, reference.digest):
            raise VerificationError("digest", "A signed part was changed")

    def _decrypt_list(self, child: etree._Element, *, within: etree._Element | None = None) -> None:
        """Decrypt what a ReferenceList lists, or an EncryptedKey that holds one.

        Args:
            child: of the header.
            within: decrypt only what stands directly in this element.
        """
        carried = child.tag == ENCRYPTED_KEY
        if carried and not (
            isinstance(self._binding, AsymmetricBinding)
            or self._takes(self._keys.open_key(child, self._header))
        ):
            raise VerificationError(
                "encrypted-key", "The policy has no use for a key that comes with the message"
            )
        listed = child.find(REFERENCE_LIST) if carried else child
        if listed is None:
            return
        names = [ref.get("URI") or "" for ref in listed.iterchildren(f"{{{XENC}}}DataReference")]
        if len(names) > self._environment.limits.references:
            raise LimitExceeded("reference", "A ReferenceList is too long")
        for uri in names:
            if uri in self._undone:
                continue
            data = self._header.find(uri[1:]) if uri.startswith("#") else None
            if data is None or data.tag != ENCRYPTED_DATA:
                raise VerificationError(
                    "reference", "A ReferenceList names something that is not encrypted data"
                )
            if len(self._undone) >= self._environment.limits.encrypted_parts:
                raise LimitExceeded("reference", "The message has too many encrypted parts")
            if within is None or data.getparent() is within:
                self._decrypt(data, self._keys.open_key(child, self._header) if carried else None)
                self._undone.add(uri)

    def _decrypt(self, data: etree._Element, carrier: EphemeralKey | None) -> None:
        """Put the plaintext of an EncryptedData in its place, if it stands where one may stand.

        A ReferenceList is not signed. Whoever can encrypt to us could otherwise put a second Body, or headers,
        anywhere into the tree.
        """
        place = self._place_of(data)
        method = only(data, f"{{{XENC}}}EncryptionMethod", "encryption-form")
        if method.get("Algorithm") != self._suite.encryption or len(method):
            raise VerificationError("algorithm", "An encryption algorithm is not that of the policy")
        key = self._data_key(data) if carrier is None else self._carried_key(carrier)
        parent, parent_path = data.getparent(), path_of(data)[:-1]
        position = path_of(data)[-1]
        assert parent is not None
        plaintext = encryption.decrypt(self._suite.encryption, key, cipher_value(data))
        refuse_width(plaintext, self._environment.limits)
        covering = self._covering(data)
        self._header.forget(data)
        parent = self._put(data, parent_path, plaintext)
        if data.get("Type") == XENC_ELEMENT:
            # encrypted before it was signed: the signature covered what stood in this place
            for found in covering:
                found.elements.append(parent[position])
        place(parent, position)

    def _place_of(self, data: etree._Element) -> _Place:
        """What to do when the plaintext stands in the place of *data*.

        Raises:
            VerificationError: check "encryption-form", when nothing encrypted may stand there.
        """
        parent, kind = data.getparent(), data.get("Type")
        encrypted = self._policy.encrypted
        if parent is not None:
            alone = len(parent) == 1 and not (parent.text or "").strip() and not (data.tail or "").strip()
            if kind == XENC_CONTENT and alone and self._may_hold_content(parent):
                return self._take_content
            if kind == XENC_ELEMENT and parent is self._header.element and self._may_hide():
                return self._take_header_child
            wraps = parent.tag == ENCRYPTED_HEADER and parent.getparent() is self._soap.header
            if kind == XENC_ELEMENT and wraps and alone:
                return self._take_header
            if kind == XENC_ELEMENT and encrypted.elements and parent is not self._header.element:
                return self._take_element
        raise VerificationError(
            "encryption-form", "Something is encrypted where the policy has nothing encrypted"
        )

    def _may_hold_content(self, element: etree._Element) -> bool:
        if element is self._soap.body:
            return True
        return holds(self._select(self._policy.encrypted.contents), element)

    def _may_hide(self) -> bool:
        """Whether anything in the header may be encrypted: signatures, or tokens of a request."""
        return self.hides or self._has_tokens()

    def _has_tokens(self) -> bool:
        """Whether the message has supporting tokens: requests have, answers have none."""
        return self._keyring.role == "client" and bool(self._policy.supporting)

    def _select(self, paths: tuple[ElementPath, ...]) -> list[etree._Element]:
        return select(paths, self._soap.envelope, self._environment.limits) if paths else []

    def _take_content(self, element: etree._Element, _position: int) -> None:
        self._contents.append(element)

    def _take_element(self, parent: etree._Element, position: int) -> None:
        """An element that the policy names, and no other: ciphertexts are anybody's to add."""
        if not holds(self._select(self._policy.encrypted.elements), parent[position]):
            raise decryption_failed()
        self._decrypted.append(parent[position])

    def _take_header_child(self, security: etree._Element, position: int) -> None:
        """A signature or what confirms one (EncryptSignature, 6.4), or a supporting token; nothing that is a key."""
        child = security[position]
        if not isinstance(child.tag, str) or child.tag in _NEVER_HIDDEN:
            raise decryption_failed()
        allowed = self.hides if child.tag in _OF_SIGNING else self._has_tokens()
        if not allowed:
            raise decryption_failed()
        self._decrypted.append(child)

    def _take_header(self, wrapper: etree._Element, _position: int) -> None:
        """The header block takes the place of its wsse11:EncryptedHeader (WSS 1.1, section 9.3)."""
        header, block = wrapper.getparent(), wrapper[0]
        assert header is not None
        if not isinstance(block.tag, str) or block.tag == self._header.element.tag:
            raise decryption_failed()
        header.replace(wrapper, block)
        self._header.forget(wrapper)
        self._decrypted.append(block)
        for found in self._covering(wrapper):
            found.elements.append(block)
        for found in self._signatures.values():
            found.elements = [element for element in found.elements if element is not wrapper]

    def _covering(self, ciphertext: etree._Element) -> list[VerifiedSignature]:
        """The signatures that cover what a ciphertext hides, where the policy encrypts before it signs.

        Elsewhere who signs has to know what it is: anybody can put his signature over somebody else's ciphertext.
        """
        if not self._binding.encrypt_before_signing:
            return []
        return [found for found in self._signatures.values() if holds(found.elements, ciphertext)]

    def _carried_key(self, key: EphemeralKey) -> bytes:
        if isinstance(self._binding, SymmetricBinding):
            return self._symmetric_data_key(self._binding, KeySource(ephemeral=key, secret=key.secret))
        self._refuse_second_secret(KeySource(ephemeral=key))
        return key.secret

    def _data_key(self, data: etree._Element) -> bytes:
        """The key that encrypted data names: of the binding's context made as the policy says, or one sent along."""
        key_info = only(data, f"{{{DS}}}KeyInfo", "token-reference")
        reference = only(key_info, f"{{{WSSE}}}SecurityTokenReference", "token-reference")
        source = self._keys.resolve(reference, self._header)
        binding = self._binding
        if isinstance(binding, AsymmetricBinding):
            # CXF's EncryptedKey stands apart from the list of what it encrypts when encryption came first
            if source.ephemeral is not None and source.derived is DerivedKeys.NONE:
                self._refuse_second_secret(source)
                return source.secret
        elif isinstance(binding, SymmetricBinding):
            return self._symmetric_data_key(binding, source)
        raise _foreign_key()

    def _symmetric_data_key(self, binding: SymmetricBinding, source: KeySource) -> bytes:
        if not fits_binding(binding.encryption_token, source):
            raise _foreign_key()
        if source.ephemeral is not None and not self._takes(source.ephemeral):
            raise _foreign_key()
        check_derivation(binding.encryption_token, source)
        self._refuse_second_secret(source)
        self._ephemeral = source.ephemeral or self._ephemeral
        length = encryption.key_length(self._suite.encryption)
        sized = source.derived is not DerivedKeys.NONE and not source.unsized
        return source.secret if sized else source.secret[:length]

    def _put(self, data: etree._Element, path: tuple[int, ...], plaintext: bytes) -> etree._Element:
        """Put plaintext in the place of *data*; find everything again where that made a new tree.

        Returns:
            The element at *path*: the parent of what was put.

        Raises:
            VerificationError: check "decryption", when an encrypted element is not one node; whatever stands
                behind it would then be another child of its parent than before.
        """
        for found in self._signatures.values():
            found.elements = [element for element in found.elements if element is not data]
            if any(is_within(element, [data]) for element in found.elements):
                # it would go away with the ciphertext, as if it had never been in the message
                raise VerificationError("signed-parts", "Something signed stands in a ciphertext")
        # what was inside the ciphertext leaves the message with it
        self._decrypted = [element for element in self._decrypted if not is_within(element, [data])]
        self._contents = [element for element in self._contents if not is_within(element, [data])]
        decrypted = [path_of(element) for element in self._decrypted]
        contents = [path_of(element) for element in self._contents]
        signed = [[path_of(element) for element in found.elements] for found in self._signatures.values()]
        one, siblings = data.get("Type") == XENC_ELEMENT, len(element_at(self._soap.envelope, path))
        root = splice(data, plaintext)
        parent = element_at(self._soap.envelope if root is None else root, path)
        if one and len(parent) != siblings:
            raise decryption_failed()
        if root is None:
            self._header.index(parent)
            return parent
        self._soap = Soap.of(root)
        self._header = SecurityHeader(self._soap, self._environment.limits, needed=self._needed)
        if self._timestamp is not None:
            self._timestamp = self._header.element.find(TIMESTAMP)
        self._decrypted = [element_at(root, place) for place in decrypted]
        self._contents = [element_at(root, place) for place in contents]
        for found, places in zip(self._signatures.values(), signed, strict=True):
            found.elements = [element_at(root, place) for place in places]
        return parent

    # -------------------------------------------------------------------------------------- judgement

    def verified(self, judge: Judge, sent: tuple[bytes, ...], seen: SeenSignatures | None) -> Verified:
        """What the message proved, if it is what the policy demands."""
        found = judge.judge(sent, seen)
        primary, opened = found.primary, judge.opened
        return Verified(
            soap=opened.soap,
            addressing=read_addressing(opened.soap),
            signer=primary.source.certificate if primary is not None else None,
            context=found.context,
            endorsed_by=found.endorsed_by,
            endorsers=found.endorsers,
            usernames=found.usernames,
            tokens=found.tokens,
            ephemeral=(primary.source.ephemeral if primary is not None else None) or opened.ephemeral,
            signed=tuple(primary.elements) if primary is not None else (),
            decrypted=tuple(e for e in (*opened.decrypted, *opened.contents) if e.tag not in _OF_SIGNING),
            signature_values=tuple(signed.form.value for signed in opened.signatures),
        )


def _foreign_key() -> VerificationError:
    return VerificationError("token", "Encrypted data does not use a key of the policy's binding")


def _derives_from_key(binding: Binding) -> bool:
    """Whether the key that a request brings is never used itself, only derived from."""
    if not isinstance(binding, SymmetricBinding):
        return False
    tokens = [t for t in (binding.signature_token, binding.encryption_token) if isinstance(t, X509Token)]
    return all(t.derived_keys not in (DerivedKeys.NONE, DerivedKeys.ANY) for t in tokens)
