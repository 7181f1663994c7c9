"""Whether the keys of a received message are those that the tokens of its policy give."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import VerificationError
from ..policy.model import (
    Binding,
    DerivedKeys,
    KeyToken,
    SecureConversationToken,
    SuppliedToken,
    SymmetricBinding,
    Token,
    TransportBinding,
    UsernameToken,
    X509Token,
)
from .elements import holds
from .header import SIGNATURE, SecurityHeader
from .keys import EphemeralKey, Keyring
from .opened import Opened, VerifiedSignature
from .sources import KeySource

#: How keys may have been made, by what a token's policy says.
_DERIVED = {
    DerivedKeys.EXPLICIT: (DerivedKeys.EXPLICIT,),
    DerivedKeys.IMPLIED: (DerivedKeys.IMPLIED,),
    DerivedKeys.EITHER: (DerivedKeys.EXPLICIT, DerivedKeys.IMPLIED),
    DerivedKeys.NONE: (DerivedKeys.NONE,),
    DerivedKeys.ANY: (DerivedKeys.NONE, DerivedKeys.EXPLICIT, DerivedKeys.IMPLIED),
}


class KeyRules:
    """What the binding says of the keys of one message, before anything is decrypted with them.

    Args:
        binding: the binding.
        keyring: says which side we are, and which key we sent along.
    """

    def __init__(self, binding: Binding, keyring: Keyring) -> None:
        self._binding = binding
        self._keyring = keyring
        self._apart = (
            isinstance(binding, SymmetricBinding) and binding.signature_token != binding.encryption_token
        )
        self._secrets: dict[bool, set[str]] = {True: set(), False: set()}

    def takes(self, key: EphemeralKey) -> bool:
        """Whether a key that came with a message may sign or encrypt under a SymmetricBinding.

        A service takes the key that a request brings; a client only its own, come back with the answer.
        """
        binding = self._binding
        if not isinstance(binding, SymmetricBinding):
            return False
        if not any(isinstance(t, X509Token) for t in (binding.signature_token, binding.encryption_token)):
            return False
        return self._keyring.role == "client" or key is self._keyring.ephemeral

    def refuse_second_secret(self, source: KeySource, *, signs: bool = False) -> None:
        """Each token of the binding gives one secret; where one token gives both keys, both come from the same.

        Before anything is decrypted: whoever may sign under one secret could try ciphertexts under another.

        Args:
            source: a key.
            signs: whether it signs; otherwise it encrypts.

        Raises:
            VerificationError: check "context".
        """
        if source.certificate is not None:
            return
        secrets = self._secrets[signs and self._apart]
        secrets.add(_name_of(source))
        if len(secrets) > 1:
            raise VerificationError("context", "The message is signed and encrypted under two contexts")


def _name_of(source: KeySource) -> str:
    """What tells the secrets apart that symmetric keys are made from."""
    if source.context is not None:
        return f"context {source.context.identifier}"
    if source.ephemeral is not None:
        return f"key {source.ephemeral.sha1.hex()}"
    return f"user {source.username.username if source.username else ''}"


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


def check_covers_token(opened: Opened, found: VerifiedSignature) -> None:
    """With sp:ProtectTokens a signature covers the token of its key, where that is in the message (6.5).

    Raises:
        VerificationError: check "signed-parts".
    """
    token = opened.token_of(found.source)
    if found.source.embedded or (token is not None and not holds(found.elements, token)):
        raise VerificationError("signed-parts", "The policy demands that tokens are signed, and one is not")


def check_order(found: VerifiedSignature, binding: Binding) -> None:
    """Where signing comes first, nothing that a signature covers was decrypted once its digest was compared.

    Who signs knows what it is then; anybody can put his signature over somebody else's ciphertext.

    Raises:
        VerificationError: check "protection-order".
    """
    if found.over_ciphertext and not binding.encrypt_before_signing:
        raise VerificationError("protection-order", "A signature covers ciphertext, and not what is in it")


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
