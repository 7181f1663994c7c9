"""Whether what was verified in a message is what its policy demands."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

from cryptography import x509

from ..environment import Environment
from ..errors import VerificationError
from ..policy.model import Parts, Policy
from . import base64
from .credentials import ReceivedToken, ReceivedUsername
from .elements import holds
from .header import CONFIRMATION
from .key_judgement import check_covers_token, primary_signature
from .keys import ContextKey, Keyring
from .opened import Opened, VerifiedSignature
from .part_judgement import PartJudge
from .seen import Seen
from .supporting_judgement import SupportingJudge, endorsements


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a message proves.

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


def judge(
    opened: Opened,
    policy: Policy,
    keyring: Keyring,
    environment: Environment,
    *,
    hides: bool,
    sent: tuple[bytes, ...],
    seen: Seen | None,
) -> Judgement:
    """Whether a message is what its policy demands.

    Args:
        opened: the message.
        policy: its policy.
        keyring: says which side we are.
        environment: time and bounds.
        hides: whether the policy wants the signature encrypted.
        sent: signature values of the request that it answers.
        seen: memory of nonces.

    Raises:
        VerificationError: ``check`` names what is not.
    """
    binding = policy.binding
    assert binding is not None
    parts = PartJudge(opened, policy, binding, environment.limits)
    primary = primary_signature(opened.signatures, binding, opened.header, hides=hides)
    if primary is not None:
        parts.check_signed(primary)
        parts.check_encrypted(primary)
        if binding.protect_tokens:
            check_covers_token(opened, primary)
    parts.check_layout()
    parts.check_required()
    parts.check_nothing_hidden()
    if sent and policy.confirms_signatures and primary is not None:
        _check_confirmed(opened, primary, sent)
    endorsing = endorsements(opened, binding, primary)
    if primary is not None:
        parts.check_places(primary, policy.signed)
    endorsed = functools.reduce(operator.or_, (entry.signed_parts for entry in policy.supporting), Parts())
    for found in endorsing:
        parts.check_places(found, endorsed)
    supporting = SupportingJudge(opened, policy, binding, environment, primary, seen)
    if keyring.role == "client":  # answers have none
        supporting.judge(endorsing)
    return _proved(primary, endorsing, supporting)


def _check_confirmed(opened: Opened, primary: VerifiedSignature, sent: tuple[bytes, ...]) -> None:
    """Every signature of the request is confirmed, under the answer's signature (WSS 1.1, section 8.5)."""
    confirmed = []
    for element in opened.header.element.iterchildren(CONFIRMATION):
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


def _proved(
    primary: VerifiedSignature | None,
    endorsing: tuple[VerifiedSignature, ...],
    supporting: SupportingJudge,
) -> Judgement:
    sources = [found.source for found in endorsing]
    contexts = tuple(source.context for source in sources if source.context is not None)
    user = primary.source.username if primary is not None else None
    return Judgement(
        primary=primary,
        context=primary.source.context if primary is not None else next(iter(contexts), None),
        endorsed_by=contexts,
        endorsers=tuple(source.certificate for source in sources if source.certificate is not None),
        usernames=(*((user,) if user is not None else ()), *supporting.usernames),
        tokens=tuple(supporting.tokens),
    )
