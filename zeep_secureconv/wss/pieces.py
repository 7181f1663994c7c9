"""What an outgoing message is put together from: its ids, the children of its header, its keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..clock import RandomBytes
from ..errors import PolicyError
from ..policy.model import Direction, Policy
from ..policy.suites import AlgorithmSuite
from .keys import ContextKey, EphemeralKey, Keyring


class Ids:
    """Ids that no other message has.

    Args:
        random: where they come from.
    """

    def __init__(self, random: RandomBytes) -> None:
        self._base = random(12).hex()
        self._count = 0

    def new(self, kind: str) -> str:
        """A new id that begins with *kind*, as the stacks write theirs ("TS", "DK", "SIG" …)."""
        self._count += 1
        return f"{kind}-{self._base}-{self._count}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """One child of the header, as text. No two are equal, since each has a place of its own.

    Args:
        text: one element.
        id: its id, where a signature may cover it.
        canonical: whether the text is in canonical form already, so that its octets are what is digested.
    """

    text: str
    id: str = ""
    canonical: bool = False


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """Makes a signature.

    Args:
        algorithm: URI of the signature algorithm.
        sign: gives the signature value of octets.
        reference: the SecurityTokenReference in its KeyInfo.
        tokens: what stands in the header before the signature.
        token: the token in the header that the key comes from, where there is one (sp:ProtectTokens).
    """

    algorithm: str
    sign: Callable[[bytes], bytes] = field(repr=False)
    reference: str
    tokens: tuple[Piece, ...] = ()
    token: Piece | None = None


@dataclass(frozen=True, kw_only=True)
class EncryptionKey:
    """Encrypts parts.

    Args:
        key: the key, as long as the suite's cipher wants it.
        reference: the SecurityTokenReference in the KeyInfo of encrypted data.
        tokens: what stands in the header before the list of encrypted data.
        carrier: the EncryptedKey that holds the list of what it encrypts, where one does.
    """

    key: bytes = field(repr=False)
    reference: str
    tokens: tuple[Piece, ...] = ()
    carrier: Piece | None = None


@dataclass(frozen=True, kw_only=True)
class MessageKeys:
    """The keys of one message.

    Args:
        signing: makes the primary signature; None under a TransportBinding.
        encryption: encrypts parts, or None where nothing is encrypted.
        endorsing: makes the signatures of endorsing supporting tokens, in their order.
        shared: tokens that several keys are made from; they stand first.
        context: the security context that keys come from, or None.
        ephemeral: the key that the message brings along for its answer, or None.
    """

    signing: SigningKey | None
    encryption: EncryptionKey | None
    endorsing: tuple[SigningKey, ...] = ()
    shared: tuple[Piece, ...] = ()
    context: ContextKey | None = None
    ephemeral: EphemeralKey | None = None


@dataclass(frozen=True, kw_only=True)
class KeyRequest:
    """What the keys of a message depend on.

    Args:
        policy: the message's policy.
        keyring: the keys there are.
        direction: which way the message goes.
        random: where nonces and content keys come from.
        ids: names for tokens.
        encrypts: whether anything is encrypted.
    """

    policy: Policy
    keyring: Keyring
    direction: Direction
    random: RandomBytes
    ids: Ids
    encrypts: bool

    @property
    def suite(self) -> AlgorithmSuite:
        """The algorithms of the policy."""
        if self.policy.binding is None:
            raise PolicyError("The policy has no security binding, so nothing would be protected")
        return self.policy.binding.algorithm_suite
