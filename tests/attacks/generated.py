"""Policies made up from the model, genuine messages under them, and what such a message proves."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from tests.unit.messages import (
    ADDRESSING,
    LTPA,
    SAML,
    TICKET,
    TICKETED,
    canonical,
    keyrings,
    message,
    path,
    supplied,
    username,
)
from tests.unit.parties import CA, CLIENT, environment
from zeep_secureconv import Limits, Trust
from zeep_secureconv.environment import Environment
from zeep_secureconv.names import SOAP11, SOAP12, WSSE
from zeep_secureconv.policy import SUITES, DerivedKeys, Direction, HeaderPart, Include, Parts, Policy
from zeep_secureconv.policy.model import (
    AsymmetricBinding,
    Binding,
    ElementPath,
    HttpsToken,
    KeyToken,
    Layout,
    PasswordForm,
    ReferenceStyle,
    SecureConversationToken,
    SuppliedToken,
    SupportingToken,
    SymmetricBinding,
    TransportBinding,
    UsernameToken,
    Wss,
    X509Token,
)
from zeep_secureconv.policy.support import unsupported
from zeep_secureconv.soap.envelope import Soap, parse, serialize
from zeep_secureconv.wss.elements import is_within, select
from zeep_secureconv.wss.header import SIGNATURE, TIMESTAMP, find_security
from zeep_secureconv.wss.keys import Keyring
from zeep_secureconv.wss.protect import protect
from zeep_secureconv.wss.unprotect import Verified, unprotect

Dice = random.Random
_Any = TypeVar("_Any")

_STYLES = (ReferenceStyle.KEY_IDENTIFIER, ReferenceStyle.ISSUER_SERIAL, ReferenceStyle.THUMBPRINT)
_DERIVED = (DerivedKeys.NONE, DerivedKeys.EXPLICIT, DerivedKeys.IMPLIED, DerivedKeys.EITHER)
_CERTIFICATES = ("WssX509V3Token10", "WssX509PkiPathV1Token11")
_INCLUDED = (
    Include.NEVER,
    Include.ONCE,
    Include.ALWAYS_TO_RECIPIENT,
    Include.ALWAYS_TO_INITIATOR,
    Include.ALWAYS,
)
_TICKETS = HeaderPart(namespace=TICKET)
#: Paths to one element wherever it is, to one place, and into the header of WS-Security.
_PATHS = (
    path("Ticket"),
    path("text"),
    path("echo", namespace="urn:test"),
    ElementPath(xpath="/*/*[local-name()='Body']/*/*[local-name()='text']"),
    ElementPath(xpath="/*/*[local-name()='Header']/t:Ticket", namespaces=(("t", TICKET),)),
)
_INSIDE = tuple(path(local, inside="Security") for local in ("Timestamp", "UsernameToken", "Signature"))


# ------------------------------------------------------------------------------------------ policies


def policy(dice: Dice) -> Policy:
    """Any policy that the library does not say it cannot do, and that does not contradict itself."""
    while True:
        found = _policy(dice)
        if not list(unsupported(found)) and not _contradicts(found):
            return found


def _policy(dice: Dice) -> Policy:
    binding = dice.choice(_BINDINGS)(dice)
    over_tls = isinstance(binding, TransportBinding)
    return Policy(
        binding=binding,
        signed=_signed(dice),
        encrypted=_encrypted(dice),
        required=dice.choice(
            [Parts(), Parts(), Parts(headers=(_TICKETS,)), Parts(elements=(path("Ticket"),))]
        ),
        supporting=tuple(
            _supporting(dice, over_tls=over_tls) for _ in range(dice.choice([0, 0, 1, 1, 2, 3]))
        ),
        wss=dice.choice([None, _wss(dice)]),
    )


def _contradicts(found: Policy) -> bool:
    """Whether a policy asks for what excludes itself."""
    binding = found.binding
    assert binding is not None
    once = Counter(
        repr(entry.token) if isinstance(entry.token, SuppliedToken) else type(entry.token)
        for entry in found.supporting
        if isinstance(entry.token, (SuppliedToken, SecureConversationToken))
    )
    if max(once.values(), default=0) > 1:
        return True  # one id would stand twice
    if isinstance(binding, TransportBinding):
        # what is endorsed over TLS is the Timestamp (WS-SecurityPolicy 1.2, section 8.3)
        return not binding.include_timestamp and any(entry.endorsing for entry in found.supporting)
    parts = [found.signed, *(entry.signed_parts for entry in found.supporting)]
    halves = any("text" in one.xpath or "echo" in one.xpath for part in parts for one in part.elements)
    return (
        (binding.only_sign_entire_headers_and_body and halves)
        or not (found.signed.body or found.signed.headers or binding.include_timestamp)
        or _hides_its_key(found, binding)
        or (binding.protect_tokens and _repeats_a_certificate(found, binding))
    )


def _repeats_a_certificate(found: Policy, binding: Binding) -> bool:
    """Whether our certificate would be in the message for two reasons, of which one does not sign it."""
    entries = [entry for entry in found.supporting if isinstance(entry.token, X509Token)]
    signs = isinstance(binding, AsymmetricBinding)
    return len(entries) + signs > 1 or any(not (entry.signed or entry.endorsing) for entry in entries)


def _hides_its_key(found: Policy, binding: Binding) -> bool:
    """Whether the token is encrypted that the key of the encryption is made from."""
    if not _is_password(binding):
        return False
    users = [entry for entry in found.supporting if isinstance(entry.token, UsernameToken)]
    return _INSIDE[1] in found.encrypted.elements or any(
        entry.endorsing and entry.encrypted for entry in users
    )


def _flags(dice: Dice) -> dict[str, Any]:
    return {
        "algorithm_suite": SUITES[dice.choice(list(SUITES))],
        "layout": dice.choice(list(Layout)),
        "include_timestamp": dice.random() < 0.8,
        "encrypt_before_signing": dice.random() < 0.4,
        "encrypt_signature": dice.random() < 0.4,
        "protect_tokens": dice.random() < 0.3,
        "only_sign_entire_headers_and_body": dice.random() < 0.3,
    }


def _certificate(dice: Dice, include: Sequence[Include] = _INCLUDED, **fixed: Any) -> X509Token:
    return X509Token(
        include=dice.choice(include),
        token_type=dice.choice(_CERTIFICATES),
        references=frozenset(dice.sample(_STYLES, dice.choice([0, 0, 1]))),
        **fixed,
    )


def _conversation(dice: Dice, include: Sequence[Include] = _INCLUDED) -> SecureConversationToken:
    return SecureConversationToken(
        include=dice.choice(include),
        derived_keys=dice.choice(_DERIVED),
        require_external_uri_reference=dice.random() < 0.3,
    )


def _context(dice: Dice) -> SymmetricBinding:
    token = _conversation(dice)
    return SymmetricBinding(signature_token=token, encryption_token=token, **_flags(dice))


def _brought(dice: Dice) -> SymmetricBinding:
    token = _certificate(dice, derived_keys=dice.choice(_DERIVED))
    return SymmetricBinding(signature_token=token, encryption_token=token, **_flags(dice))


def _password(dice: Dice) -> SymmetricBinding:
    flags = _flags(dice)
    token = UsernameToken(derived_keys=DerivedKeys.EXPLICIT)
    return SymmetricBinding(signature_token=token, encryption_token=token, **flags)


def _separate(dice: Dice) -> SymmetricBinding:
    encrypts = _certificate(dice, derived_keys=dice.choice(_DERIVED))
    return SymmetricBinding(signature_token=_conversation(dice), encryption_token=encrypts, **_flags(dice))


def _certificates(dice: Dice) -> AsymmetricBinding:
    initiator, recipient = _certificate(dice), _certificate(dice)
    return AsymmetricBinding(
        initiator_signature_token=initiator,
        initiator_encryption_token=dice.choice([initiator, _certificate(dice)]),
        recipient_signature_token=recipient,
        recipient_encryption_token=dice.choice([recipient, _certificate(dice)]),
        **_flags(dice),
    )


def _tls(dice: Dice) -> TransportBinding:
    flags = {name: _flags(dice)[name] for name in ("algorithm_suite", "layout", "include_timestamp")}
    return TransportBinding(transport_token=HttpsToken(), **flags)


_BINDINGS = (_context, _context, _brought, _brought, _password, _separate, _certificates, _certificates, _tls)


def _signed(dice: Dice) -> Parts:
    return Parts(
        body=dice.random() < 0.8,
        headers=dice.choice(
            [(), ADDRESSING, ADDRESSING, (*ADDRESSING, _TICKETS), (HeaderPart(namespace=None),)]
        ),
        elements=_sample(dice, (*_PATHS, *_INSIDE[:2])),
    )


def _encrypted(dice: Dice) -> Parts:
    return Parts(
        body=dice.random() < 0.6,
        headers=dice.choice(
            [(), (), (_TICKETS,), (HeaderPart(namespace=ADDRESSING[0].namespace, name="To"),)]
        ),
        elements=_sample(dice, (_PATHS[0], _PATHS[1], _PATHS[3], _INSIDE[1], _INSIDE[2])),
        contents=_sample(dice, _PATHS[:4]),
    )


def _sample(dice: Dice, of: Sequence[_Any]) -> tuple[_Any, ...]:
    return tuple(dice.sample(of, dice.choice([0, 0, 0, 1, 1, 2])))


def _wss(dice: Dice) -> Wss:
    version = dice.choice(["1.0", "1.1"])
    return Wss(
        version=version,
        references=frozenset(dice.sample(_STYLES, dice.randint(0, 3))),
        require_signature_confirmation=version == "1.1" and dice.random() < 0.6,
    )


_TO_SERVICE = (Include.ONCE, Include.ALWAYS_TO_RECIPIENT, Include.ALWAYS)


def _supporting(dice: Dice, *, over_tls: bool) -> SupportingToken:
    flags: dict[str, Any] = {"signed": dice.random() < 0.6, "encrypted": dice.random() < 0.5}
    kind = dice.choice(
        ["username", "ltpa", "saml", "x509", "endorsing", "endorsing user", "endorsing context"]
    )
    if kind == "username":
        entry = username(dice.choice(list(PasswordForm)), **flags)
        assert isinstance(entry.token, UsernameToken)
        token = replace(entry.token, nonce=dice.random() < 0.5, created=dice.random() < 0.5)
        return replace(entry, token=token)
    if kind in ("ltpa", "saml"):
        return supplied(LTPA if kind == "ltpa" else SAML, **flags)
    if kind == "x509":
        return SupportingToken(token=_certificate(dice, _TO_SERVICE), **flags)
    key: KeyToken = _certificate(dice, (Include.NEVER, *_TO_SERVICE))
    if kind == "endorsing user":
        key = UsernameToken(derived_keys=DerivedKeys.EXPLICIT)
    elif kind == "endorsing context" and over_tls:
        key = _conversation(dice, (Include.NEVER, *_TO_SERVICE))
    parts = dice.choice(
        [Parts(), Parts(), Parts(headers=ADDRESSING), Parts(body=True), Parts(elements=_PATHS[:1])]
    )
    return SupportingToken(token=key, endorsing=True, signed_parts=parts, **flags)


# ------------------------------------------------------------------------------------------- messages


@dataclass(frozen=True, kw_only=True)
class Case:
    """A policy with the parties that use it.

    Args:
        policy: what messages look like.
        version: SOAP namespace.
        direction: which of the messages is looked at.
    """

    policy: Policy
    version: str = SOAP11
    direction: Direction = Direction.REQUEST
    environment: Environment = field(default_factory=environment, repr=False)

    @property
    def binding(self) -> Binding:
        """The policy's."""
        assert self.policy.binding is not None
        return self.policy.binding

    @property
    def over_tls(self) -> bool:
        """Whether TLS protects the message."""
        return isinstance(self.binding, TransportBinding)

    @property
    def is_request(self) -> bool:
        """Whether a service reads it."""
        return self.direction is Direction.REQUEST

    @cached_property
    def endorsed(self) -> bool:
        """Whether the policy has something endorsed in this message."""
        return self.is_request and any(entry.endorsing for entry in self.policy.supporting)

    @property
    def is_signed(self) -> bool:
        """Whether there is a signature in it."""
        return not self.over_tls or self.endorsed

    def line(self, text: str = "hello") -> Line:
        """A genuine message, and the reader of it."""
        content = f'<e:echo xmlns:e="urn:test"><e:text>{text}</e:text></e:echo>'
        soap = message(content, version=self.version, headers=TICKETED)
        mine, theirs = keyrings()
        theirs = replace(theirs, trust=Trust.of([CA.make(), CLIENT.make()]))  # certificates may stay at home
        sent = protect(soap, self.policy, mine, self.environment, direction=Direction.REQUEST)
        octets = serialize(soap.envelope)
        if self.is_request:
            return Line(case=self, octets=octets, ring=theirs, sent=())
        request = unprotect(_soap(octets), self.policy, theirs, self.environment)
        mine, theirs = keyrings(Direction.RESPONSE)
        signer = request.signer or next(iter(request.endorsers), mine.peer)
        soap = message(content, version=self.version, headers=TICKETED)
        protect(
            soap,
            self.policy,
            replace(mine, peer=signer, ephemeral=request.ephemeral),
            self.environment,
            direction=Direction.RESPONSE,
            confirm=request.signature_values,
        )
        theirs = replace(theirs, ephemeral=sent.ephemeral)
        return Line(case=self, octets=serialize(soap.envelope), ring=theirs, sent=sent.signature_values)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One genuine message on its way.

    Args:
        case: the policy it is under.
        octets: the message.
        ring: the reader's keys.
        sent: the signatures of the request that it answers.
    """

    case: Case
    octets: bytes = field(repr=False)
    ring: Keyring = field(repr=False)
    sent: tuple[bytes, ...] = field(repr=False)

    def read(self, octets: bytes | None = None, policy: Policy | None = None) -> Verified:
        """What the honest reader makes of the message, or of other octets."""
        return unprotect(
            _soap(self.octets if octets is None else octets),
            policy or self.case.policy,
            self.ring,
            self.case.environment,
            sent=self.sent,
        )


def case(dice: Dice) -> Case:
    """Any policy, SOAP version and direction."""
    found = policy(dice)
    # an answer under a key that is made from a password would want the password of its user
    one_way = found.binding is not None and (_is_password(found.binding) or _brings_nothing(found))
    return Case(
        policy=found,
        version=dice.choice([SOAP11, SOAP12]),
        direction=Direction.REQUEST if one_way else dice.choice(list(Direction)),
    )


def _brings_nothing(found: Policy) -> bool:
    """Whether a request may come without the key for its answer: nobody proves one under which nothing is encrypted."""
    binding = found.binding
    apart = isinstance(binding, SymmetricBinding) and binding.signature_token != binding.encryption_token
    return apart and not found.encrypted.body


def _is_password(binding: Binding) -> bool:
    return isinstance(binding, SymmetricBinding) and isinstance(binding.signature_token, UsernameToken)


def _soap(octets: bytes) -> Soap:
    return Soap.of(parse(octets, Limits()))


# --------------------------------------------------------------------------------------------- proofs


def proof(case: Case, verified: Verified) -> Counter[tuple[str, bytes]]:
    """Everything in an accepted message that its policy protects.

    That is:

    - Body and header blocks that the policy has signed, as they stand in the envelope;
    - what its paths have signed, wherever they find it: a path says all that there is to say of the place;
    - the Timestamp, and what endorsing signatures cover besides;
    - whose message it is: signer, context, endorsers, users and tokens.

    It is not:

    - a supporting token that the policy leaves unsigned, and whoever it names: anybody can put it there;
    - over TLS whatever no endorsing signature covers: nobody but the parties can reach it.
    """
    policy, soap = case.policy, verified.soap
    found: list[tuple[str, bytes]] = [
        ("context", (verified.context.identifier if verified.context else "").encode())
    ]
    if verified.signer is not None:
        found.append(("signer", verified.signer.public_bytes(Encoding.DER)))
    found += [("endorser", one.public_bytes(Encoding.DER)) for one in verified.endorsers]
    found += [("endorsing context", one.identifier.encode()) for one in verified.endorsed_by]
    if not case.over_tls:
        found += _parts(policy.signed, soap, "signed")
    if case.endorsed:
        for entry in policy.supporting:
            if entry.endorsing:
                found += _parts(entry.signed_parts, soap, "endorsed")
    if case.is_signed:
        found += [("stamp", canonical(one)) for one in _stamps(soap)] * policy_stamps(case)
    found += [("user", repr(user).encode()) for user in verified.usernames if user.proven]
    if case.is_request and not case.over_tls:
        found += _tokens(case, verified)
    return Counter(found)


def policy_stamps(case: Case) -> bool:
    """Whether the policy has a Timestamp, which is signed then."""
    return case.binding.include_timestamp


def _parts(parts: Parts, soap: Soap, how: str) -> Iterable[tuple[str, bytes]]:
    if parts.body:
        yield f"{how} body", canonical(soap.body)
    by_path = select(parts.elements, soap.envelope)
    for block in soap.blocks():
        if parts.header(str(block.tag)) and block.tag != f"{{{WSSE}}}Security" and block not in by_path:
            yield f"{how} block", canonical(block)
    for one in by_path:
        if one.tag != SIGNATURE:
            yield f"{how} element", canonical(one)


def _stamps(soap: Soap) -> list[etree._Element]:
    security = find_security(soap, Limits())
    return [] if security is None else list(security.iterchildren(TIMESTAMP))


def _tokens(case: Case, verified: Verified) -> Iterable[tuple[str, bytes]]:
    """Users and tokens that the policy has signed; each kind in the order of the policy."""
    signed = [entry for entry in case.policy.supporting if entry.signed and not entry.endorsing]
    if any(isinstance(entry.token, UsernameToken) for entry in signed):
        names = [user for user in verified.usernames if not user.proven]
        if all(
            entry.signed
            for entry in case.policy.supporting
            if isinstance(entry.token, UsernameToken) and not entry.endorsing
        ):
            yield from (("user", _all_of(user)) for user in names)
    yield from (
        ("token", canonical(token.element))
        for token in verified.tokens
        if is_within(token.element, verified.signed)
    )


def _all_of(user: Any) -> bytes:
    return repr((user.username, user.password, user.digest, user.nonce, user.created)).encode()
