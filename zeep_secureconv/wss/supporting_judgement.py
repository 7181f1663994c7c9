"""Whether the supporting tokens of a received message are those of its policy (WS-SecurityPolicy 1.2, 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lxml import etree

from ..environment import Environment
from ..errors import VerificationError
from ..policy.model import (
    Binding,
    PasswordForm,
    Policy,
    SecureConversationToken,
    SuppliedToken,
    SupportingToken,
    Token,
    UsernameToken,
    X509Token,
)
from .credentials import ReceivedToken, ReceivedUsername, kind_of
from .elements import holds, is_within, select
from .header import BINARY_TOKEN, CERTIFICATES, CONTEXT_TOKENS, SIGNATURE, USERNAME
from .key_judgement import check_covers_token, check_key, check_order, fits
from .opened import Opened, VerifiedSignature
from .references import read_reference
from .seen import Seen
from .sources import KeySource
from .supporting import is_encrypted
from .times import read_time
from .tokens import read_certificates, read_username


def endorsements(
    opened: Opened, binding: Binding, primary: VerifiedSignature | None
) -> tuple[VerifiedSignature, ...]:
    """The signatures over the primary one; over TLS those over the Timestamp (8.3).

    Over TLS without a Timestamp they sign what the policy names.
    """
    others = [found for found in opened.signatures if found is not primary]
    if primary is None and not binding.include_timestamp:
        return tuple(others)
    place = primary.place if primary is not None else None
    anchor = opened.timestamp if place is None else opened.header.element[place]
    return tuple(found for found in others if anchor is not None and holds(found.elements, anchor))


@dataclass(frozen=True)
class SupportingJudge:
    """Judges the supporting tokens of one request.

    Args:
        opened: the message.
        policy: its policy.
        binding: that of the policy.
        environment: time and bounds.
        primary: the binding's signature; None under a TransportBinding.
        seen: memory of nonces.
        usernames, tokens: what was found so far, in the order of the policy.
    """

    opened: Opened
    policy: Policy
    binding: Binding
    environment: Environment
    primary: VerifiedSignature | None
    seen: Seen | None
    usernames: list[ReceivedUsername] = field(default_factory=list)
    tokens: list[ReceivedToken] = field(default_factory=list)

    def judge(self, endorsing: tuple[VerifiedSignature, ...]) -> None:
        """Every supporting token that the policy demands of a request is there, and as it says.

        Each is found once: no signature and no token stands for two.

        Args:
            endorsing: the signatures that endorse the message.

        Raises:
            VerificationError: checks "endorsement", "supporting-token", "signed-parts", "protection-order",
                "username-token", "replay".
        """
        left = list(endorsing)
        present = self._present() if self.policy.supporting else []
        for entry in self.policy.supporting:
            if entry.endorsing:
                source = self._take_endorsement(entry, left)
                token = self.opened.token_of(source)
                if source.username is not None:
                    self.usernames.append(source.username)
            else:
                token = self._take_token(entry, present)
                self._read(entry.token, token)
            if self.primary is not None:
                self._check_protected(entry, token, self.primary)
        if any(found.source.context is None for found in left):
            # anybody can sign over a signature, and would pass for the one whose message it is
            raise VerificationError(
                "endorsement", "Somebody endorses the message whom the policy does not ask"
            )

    def _present(self) -> list[etree._Element]:
        """What may be a token in the header; a certificate that signed is none.

        One that a signature only describes may stand there as a supporting token.
        """
        signers = {
            found.source.place
            for found in self.opened.signatures
            if read_reference(found.form.key).id is not None
        }
        return [token for place, token in enumerate(self.opened.header.element) if place not in signers]

    # ------------------------------------------------------------------------------------ endorsements

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
            check_key(entry.token, found.source, self.binding)
            _check_endorsed(required, found)
            if required:
                check_order(found, self.binding)
            if self.binding.protect_tokens:
                check_covers_token(self.opened, found)
            return found.source
        raise VerificationError(
            "endorsement",
            f"The policy demands that a {_kind(entry.token)} endorses the message, and none does",
        )

    def _endorsed_parts(self, entry: SupportingToken) -> list[etree._Element]:
        """What an endorsing token signs besides the primary signature, or the Timestamp."""
        named, soap = entry.signed_parts, self.opened.soap
        required = [soap.body] if named.body else []
        required += [block for block in self.opened.blocks() if named.header(str(block.tag))]
        elements = select(named.elements, soap.envelope, self.environment.limits)
        return required + [element for element in elements if element.tag != SIGNATURE]

    # ---------------------------------------------------------------------------------------- tokens

    def _take_token(self, entry: SupportingToken, present: list[etree._Element]) -> etree._Element:
        found = [element for element in present if is_token(entry.token, element)]
        primary = self.primary
        if isinstance(entry.token, X509Token) and primary is not None:
            # certificates stand there for other reasons too, and none of these says anything of its own
            found.sort(key=lambda element: not self._is_protected(entry, element, primary))
        for element in found[:1]:
            present.remove(element)
            return element
        raise VerificationError(
            "supporting-token", f"The policy demands a {_kind(entry.token)}, and the message has none"
        )

    def _is_protected(
        self, entry: SupportingToken, token: etree._Element, primary: VerifiedSignature
    ) -> bool:
        signed = not entry.signed or holds(primary.elements, token)
        return signed and (not is_encrypted(entry, self.policy) or self.opened.was_encrypted(token))

    def _check_protected(
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

    def _read(self, policy: Token, token: etree._Element) -> None:
        if isinstance(policy, UsernameToken):
            user = read_username(token, self.environment.limits)
            self._check_username(policy, user)
            self.usernames.append(user)
        elif isinstance(policy, SuppliedToken):
            self.tokens.append(ReceivedToken(kind=kind_of(token), element=token))
        elif isinstance(policy, X509Token):
            read_certificates(token)

    def _check_username(self, policy: UsernameToken, user: ReceivedUsername) -> None:
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
        if user.nonce and self.seen is not None:
            mark = b"nonce " + user.username.encode() + b" " + user.nonce
            if not self.seen.add(mark, until=now + age + environment.clock_skew, now=now, created=created):
                raise VerificationError("replay", "A UsernameToken was received before")


def _check_endorsed(required: list[etree._Element], found: VerifiedSignature) -> None:
    for part in required:
        if not is_within(part, found.elements):
            name = etree.QName(part).localname
            raise VerificationError(
                "signed-parts", f"The policy demands that {name} is endorsed, and it is not"
            )


_IS_TOKEN: dict[type[Token], Callable[[str], bool]] = {
    UsernameToken: lambda tag: tag == USERNAME,
    SecureConversationToken: lambda tag: tag in CONTEXT_TOKENS,
}


def is_token(token: Token, element: etree._Element) -> bool:
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
