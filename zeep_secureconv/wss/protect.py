"""Makes one message look like its policy says: signs, encrypts, and writes the wsse:Security header."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeGuard

from lxml import etree

from ..environment import Environment
from ..errors import ConfigurationError, PolicyError
from ..limits import Limits
from ..names import DS, WSA_2004, WSA_2005, WSSE, WSSE11, WSU, XENC
from ..policy.model import Direction, Policy, TransportBinding, X509Token
from ..policy.support import supported
from ..soap.envelope import Soap
from . import base64
from .c14n import canonicalize
from .cipher import PartCipher
from .elements import hides_signature, holds, is_within, outermost, select
from .header import CONFIRMATION, SAML_IDS, SIGNATURE
from .keys import ContextKey, EphemeralKey, Keyring
from .layout import HeaderLayout
from .message_keys import message_keys
from .pieces import Ids, KeyRequest, Piece, SigningKey
from .seen import OLDEST, Seen
from .signing import Covered, digest_of, sign
from .supporting import Carried, hides_tokens, supporting_tokens
from .times import write_time

_ID = f"{{{WSU}}}Id"
_CRYPTO = (f"{{{DS}}}", f"{{{XENC}}}")
_TO = tuple(f"{{{wsa}}}To" for wsa in (WSA_2005, WSA_2004))
_ENCRYPTED_HEADER = f"{{{WSSE11}}}EncryptedHeader"

# lxml makes up ns0, ns1 … for attributes; people read these messages
etree.register_namespace("wsu", WSU)
etree.register_namespace("wsse11", WSSE11)


@dataclass(frozen=True, kw_only=True)
class Protected:
    """What was sent: what the reply must answer to.

    Args:
        message_id: the request's MessageID, or None when it has none.
        signature_values: every SignatureValue in it, in bytes.
        context: the context key it was protected with, or None for a bootstrap message.
        ephemeral: the key that it brings along, for its answer; or None.
        signed: names of the signed parts, for people.
        encrypted: names of the encrypted parts, for people.
    """

    message_id: str | None
    signature_values: tuple[bytes, ...] = field(repr=False)
    context: ContextKey | None
    ephemeral: EphemeralKey | None = field(default=None, repr=False)
    signed: tuple[str, ...]
    encrypted: tuple[str, ...]


def protect(
    soap: Soap,
    policy: Policy,
    keyring: Keyring,
    environment: Environment,
    *,
    direction: Direction,
    message_id: str | None = None,
    confirm: tuple[bytes, ...] = (),
    seen: Seen | None = None,
) -> Protected:
    """Sign and encrypt a message in place, as *policy* says.

    Args:
        soap: the message in the clear, with its addressing headers.
        policy: the effective policy of this message.
        keyring: the keys to use.
        environment: time and randomness.
        direction: whether the message goes to the recipient or back.
        message_id: its MessageID, kept in the result.
        confirm: for an answer, the signature values of its request; used where the policy wants them confirmed.
        seen: memory of what we receive; the signatures are put into it, so that they are not taken back as those
            of the other side.

    Raises:
        PolicyError: when the policy asks for what cannot be done.
        ConfigurationError: when a key is missing.
    """
    binding = supported(policy)
    _refuse_second_header(soap)
    _refuse_missing_parts(soap, policy)
    if isinstance(binding, TransportBinding) and not keyring.over_tls:
        raise PolicyError(
            "The policy leaves security to TLS, and this message does not travel over verified TLS",
            assertion="TransportBinding",
            hint="call the service by its https address, with certificate verification on",
        )
    ids = Ids(environment.random)
    request = KeyRequest(
        policy=policy,
        keyring=keyring,
        direction=direction,
        random=environment.random,
        ids=ids,
        encrypts=_encrypts(policy, direction, soap.version),
    )
    keys = message_keys(request)
    confirmed = confirm if policy.confirms_signatures else ()
    layout = HeaderLayout(
        binding=binding,
        keys=keys,
        stamps=(_timestamp(environment, ids),) if binding.include_timestamp else (),
        carried=supporting_tokens(request, keys.endorsing, environment.clock.now()),
        confirmations=tuple(_confirmation(ids.new("SC"), value) for value in confirmed),
    )
    suite = binding.algorithm_suite
    cipher = PartCipher(suite.encryption, keys.encryption, environment.random, ids, soap.version)
    message = _Message(soap, policy, layout, cipher=cipher, ids=ids, limits=environment.limits)
    values = message.secure()
    if seen is not None:
        now = environment.clock.now()
        age = (
            environment.message_lifetime + 2 * environment.clock_skew if binding.include_timestamp else OLDEST
        )
        for value in values:
            seen.add(value, until=now + age, now=now)
    return Protected(
        message_id=message_id,
        signature_values=values,
        context=keys.context,
        ephemeral=keys.ephemeral,
        signed=tuple(message.signed),
        encrypted=tuple(cipher.done),
    )


def _encrypts(policy: Policy, direction: Direction, soap: str) -> bool:
    """Whether anything of a message may be encrypted. TLS does it under a TransportBinding."""
    if isinstance(policy.binding, TransportBinding):
        return False
    return bool(policy.encrypted) or hides_signature(policy, soap) or hides_tokens(policy, direction)


def _refuse_missing_parts(soap: Soap, policy: Policy) -> None:
    tags = [str(block.tag) for block in soap.blocks()]
    for part in policy.required.headers:
        if not any(part.matches(tag) for tag in tags):
            raise ConfigurationError(
                f"The policy demands a header {part.name or part.namespace}, and the message has none",
                hint="give it in _soapheaders= of the call",
            )
    for path in policy.required.elements:
        if not select([path], soap.envelope):
            raise ConfigurationError(
                f"The policy demands an element {path.xpath}, and the message has none",
                hint="give it in the call, or in its _soapheaders=",
            )


def _refuse_second_header(soap: Soap) -> None:
    if any(block.tag == f"{{{WSSE}}}Security" for block in soap.blocks()):
        raise ConfigurationError(
            "The message has a wsse:Security header already",
            hint="remove other WS-Security plugins from wsse= and plugins=",
        )


class _Message:
    """One message on its way to being secured.

    Args:
        soap: the message.
        policy: its policy.
        layout: the pieces of its header.
        cipher: encrypts, and knows what it encrypted.
        ids: names for what is signed.
        limits: bounds what XPaths of the policy may name.
    """

    def __init__(
        self,
        soap: Soap,
        policy: Policy,
        layout: HeaderLayout,
        *,
        cipher: PartCipher,
        ids: Ids,
        limits: Limits,
    ) -> None:
        self._soap = soap
        self._policy = policy
        self._layout = layout
        self._cipher = cipher
        self._ids = ids
        self._limits = limits
        self._suite = layout.binding.algorithm_suite
        # TLS protects everything, so that no part needs more
        self._over_tls = isinstance(layout.binding, TransportBinding)
        self._header = layout.write(soap.version)
        self._replaced: list[tuple[etree._Element, etree._Element]] = []
        self._emptied: list[etree._Element] = []
        self.signed: list[str] = []

    def secure(self) -> tuple[bytes, ...]:
        """Sign and encrypt; the values of the signatures."""
        self._soap.need_header().append(self._header.element)
        layout, before = self._layout, self._layout.binding.encrypt_before_signing
        parts = [] if self._over_tls else self._signed_parts()
        endorsed = {carried: self._endorsed_parts(carried) for carried in layout.endorsements}
        if before and layout.keys.encryption is not None:
            lines = {part: [part, *part.iterancestors()] for part in chain(parts, *endorsed.values())}
            self._encrypt_parts(self._header.list_of(layout.last))
            inside = [new for _, new in self._replaced if new.tag == _ENCRYPTED_HEADER]
            parts = _each_once([*self._as_replaced(parts, lines), *inside])
            endorsed = {carried: self._as_replaced(named, lines) for carried, named in endorsed.items()}
        values = self._sign(parts, endorsed)
        if layout.keys.encryption is not None:
            listed = self._header.list_of(layout.keys.encryption.carrier or layout.first)
            if not before:
                self._encrypt_parts(listed)
            self._encrypt_inside(listed)
            self._header.drop_empty_lists()
        return values

    # ------------------------------------------------------------------------------------------ signing

    def _signed_parts(self) -> list[etree._Element]:
        """What the policy has signed, outside the header and in it."""
        signed, header = self._policy.signed, self._header.element
        parts = [block for block in self._blocks() if signed.header(str(block.tag))]
        if signed.body:
            parts.insert(0, self._soap.body)
        for element in select(signed.elements, self._soap.envelope, self._limits):
            ours = element is header or (element.tag == SIGNATURE and element.getparent() is header)
            if not ours and not holds(parts, element):
                self._refuse_half(element)
                parts.append(element)
        return parts

    def _refuse_half(self, element: etree._Element) -> None:
        whole = (self._soap.envelope, self._soap.header, self._header.element)
        entire = any(element.getparent() is one for one in whole)
        if self._layout.binding.only_sign_entire_headers_and_body and not entire:
            raise PolicyError(
                f"The policy has {etree.QName(element).localname} signed by an XPath, and signs entire headers and "
                "Body only (OnlySignEntireHeadersAndBody)",
                hint="the policy contradicts itself: ask the service for one without either",
            )

    def _sign(
        self, parts: list[etree._Element], endorsed: dict[Carried, list[etree._Element]]
    ) -> tuple[bytes, ...]:
        layout, values = self._layout, []
        for part in (*parts, *chain.from_iterable(endorsed.values())):
            self._id_of(part)  # before any digest: a part may stand inside another one
        anchors = [self._covered_piece(piece) for piece in layout.stamps] if self._over_tls else []
        if layout.keys.signing is not None:
            covered = self._covered(self._signed_pieces(layout.keys.signing.token), parts)
            element, value = self._write(layout.signature, layout.keys.signing, covered)
            values.append(value)
            if layout.endorsements:
                anchors = [(element.get("Id", ""), self._digest(element))]
        for carried, place in layout.endorsements.items():
            assert carried.key is not None
            pieces = [carried.key.token] if self._protects(carried.key.token) else []
            covered = [*anchors, *self._covered(pieces, endorsed[carried])]
            values.append(self._write(place, carried.key, covered)[1])
        if self._over_tls and layout.endorsements:
            self.signed += ["Timestamp"] * bool(layout.stamps)
        return tuple(values)

    def _write(self, place: Piece, key: SigningKey, covered: list[Covered]) -> tuple[etree._Element, bytes]:
        if not covered:
            raise PolicyError(
                "The policy has the message signed, and it names nothing that is in it",
                hint="ask the service for a policy with sp:IncludeTimestamp, or with sp:SignedParts that are there",
            )
        return sign(self._header.places[place], self._ids.new("SIG"), key, self._suite, covered)

    def _signed_pieces(self, own: Piece | None) -> list[Piece]:
        """The pieces of the header under the primary signature; *own* is the token of its key."""
        layout = self._layout
        tokens = [entry.piece for entry in layout.carried if entry.entry.signed and entry.piece is not None]
        pieces = list(dict.fromkeys([*layout.stamps, *layout.confirmations, *tokens]))
        if self._protects(own) and own not in pieces:
            pieces.append(own)
        self.signed += ["Timestamp"] * bool(layout.stamps)
        return pieces

    def _protects(self, token: Piece | None) -> TypeGuard[Piece]:
        return token is not None and self._layout.binding.protect_tokens

    def _endorsed_parts(self, carried: Carried) -> list[etree._Element]:
        """What an endorsing signature covers besides the primary one, or the Timestamp.

        Over TLS a certificate signs wsa:To too: WCF wants to know that the message was for it.
        """
        named = carried.entry.signed_parts
        to = self._over_tls and isinstance(carried.entry.token, X509Token)
        parts = [
            block
            for block in self._blocks()
            if named.header(str(block.tag)) or (to and str(block.tag) in _TO)
        ]
        if named.body:
            parts.insert(0, self._soap.body)
        extra = select(named.elements, self._soap.envelope, self._limits)
        places = [self._header.places[piece] for piece in self._layout.stamps] if self._over_tls else []
        return parts + [e for e in extra if not holds(parts + places, e) and e.tag != SIGNATURE]

    def _covered(self, pieces: list[Piece], parts: list[etree._Element]) -> list[Covered]:
        places = [self._header.places[piece] for piece in pieces]
        covered = [self._covered_piece(piece) for piece in pieces]
        for part in parts:
            if not holds(places, part):
                self.signed.append(etree.QName(part).localname)
                covered.append((self._id_of(part), self._digest(part)))
        return covered

    def _covered_piece(self, piece: Piece) -> Covered:
        # what was written in canonical form need not be canonicalized, unless lxml renamed its prefixes
        if piece.canonical and not self._header.is_renamed():
            return piece.id, digest_of(self._suite.digest, piece.text.encode())
        return piece.id, self._digest(self._header.places[piece])

    def _digest(self, part: etree._Element) -> str:
        return digest_of(self._suite.digest, canonicalize(part))

    def _id_of(self, part: etree._Element) -> str:
        own = "Id" if str(part.tag).startswith(_CRYPTO) else SAML_IDS.get(str(part.tag), _ID)
        name = part.get(own)
        if name is None:
            name = self._ids.new("id")
            part.set(own, name)
        return name

    # ---------------------------------------------------------------------------------------- encryption

    def _encrypt_parts(self, listed: etree._Element) -> None:
        """Encrypt Body, header blocks, and elements outside our header."""
        encrypted, header = self._policy.encrypted, self._header.element
        elements, contents = (
            outermost(select(paths, self._soap.envelope, self._limits))
            for paths in (encrypted.elements, encrypted.contents)
        )
        blocks = [block for block in self._blocks() if encrypted.header(str(block.tag))]
        whole = [header, *blocks, *([self._soap.body] if encrypted.body else [])]
        # what is inside of something else that is encrypted needs no more, and would be hidden before it is listed
        elements = [e for e in elements if not any(holds(contents, node) for node in e.iterancestors())]
        for element in elements:
            if not is_within(element, whole):
                self._replaced.append((element, self._cipher.element(element, listed)))
        whole += elements
        for element in contents:
            if not is_within(element, whole):
                self._emptied.append(element)
                self._cipher.content(element, listed)
        if encrypted.body:
            self._emptied.append(self._soap.body)
            self._cipher.content(self._soap.body, listed)
        for block in blocks:
            self._replaced.append((block, self._cipher.block(block, listed)))

    def _encrypt_inside(self, listed: etree._Element) -> None:
        """Encrypt what stands in our header: tokens, signatures, and what confirms signatures."""
        layout, header = self._layout, self._header.element
        hidden = [entry.piece for entry in layout.carried if entry.encrypted and entry.piece is not None]
        elements = [self._header.places[piece] for piece in hidden]
        if layout.binding.encrypt_signature:
            elements += [*header.findall(CONFIRMATION), *header.findall(SIGNATURE)[:1]]
        if not self._over_tls:
            named = select(self._policy.encrypted.elements, self._soap.envelope, self._limits)
            elements += [e for e in named if e.getparent() is header and not holds(elements, e)]
        for element in _each_once(elements):
            self._cipher.element(element, listed)

    def _as_replaced(
        self, parts: list[etree._Element], lines: dict[etree._Element, list[etree._Element]]
    ) -> list[etree._Element]:
        """What is signed after encryption: what stands now in the place of a part, or holds what hides it.

        Args:
            parts: as they were in the clear.
            lines: each with what was around it then.
        """
        now = []
        for part in parts:
            hiding = [new for node in lines[part] for old, new in self._replaced if old is node]
            hiding += [node for node in lines[part][1:] if holds(self._emptied, node)]
            now.append(hiding[-1] if hiding else part)
        return _each_once(now)

    def _blocks(self) -> list[etree._Element]:
        return [block for block in self._soap.blocks() if block is not self._header.element]


def _each_once(elements: Iterable[etree._Element]) -> list[etree._Element]:
    return list(dict.fromkeys(elements))


# What the header itself holds of signed text is written in canonical form, declarations included.


def _timestamp(environment: Environment, ids: Ids) -> Piece:
    now, name = environment.clock.now(), ids.new("TS")
    created, expires = write_time(now), write_time(now + environment.message_lifetime)
    times = f"<wsu:Created>{created}</wsu:Created><wsu:Expires>{expires}</wsu:Expires>"
    text = f'<wsu:Timestamp xmlns:wsu="{WSU}" wsu:Id="{name}">{times}</wsu:Timestamp>'
    return Piece(text=text, id=name, canonical=True)


def _confirmation(name: str, value: bytes) -> Piece:
    """WSS 1.1, section 8.5."""
    start = f'<wsse11:SignatureConfirmation xmlns:wsse11="{WSSE11}" xmlns:wsu="{WSU}"'
    end = "</wsse11:SignatureConfirmation>"
    text = f'{start} Value="{base64.encode(value)}" wsu:Id="{name}">{end}'
    return Piece(text=text, id=name, canonical=True)
