"""Makes one message look like its policy says: signs, encrypts, and writes the wsse:Security header."""

from __future__ import annotations

from dataclasses import dataclass, field

from lxml import etree

from ..environment import Environment
from ..errors import ConfigurationError
from ..names import DS, EXC_C14N, WSSE, WSSE11, WSU, XENC
from ..policy.model import (
    AsymmetricBinding,
    Binding,
    Direction,
    Layout,
    Policy,
)
from ..policy.suites import AlgorithmSuite
from ..policy.support import supported
from ..soap.envelope import Soap
from . import base64, signature
from .c14n import canonicalize
from .cipher import PartCipher
from .header import CONFIRMATION, TIMESTAMP
from .keys import ContextKey, EphemeralKey, Keyring
from .message_keys import Ids, KeyRequest, MessageKeys, message_keys
from .seen import OLDEST, SeenSignatures
from .times import write_time

_ID = f"{{{WSU}}}Id"

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
    seen: SeenSignatures | None = None,
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
        seen: memory of what we receive; the signature is put into it, so that it is not taken back as a message
            of the other side.

    Raises:
        PolicyError: when the policy asks for what cannot be done.
        ConfigurationError: when a key is missing.
    """
    binding = supported(policy)
    _refuse_second_header(soap)
    _refuse_missing_headers(soap, policy)
    suite, ids = binding.algorithm_suite, Ids(environment.random)
    signed = _give_ids(_signed_parts(soap, policy), ids)
    names = tuple(etree.QName(part).localname for part in signed)
    headers = [block for block in soap.blocks() if policy.encrypted.header(str(block.tag))]
    body = policy.encrypted.body
    confirmed = confirm if policy.confirms_signatures else ()
    planned = body + len(headers) + (1 + len(confirmed)) * binding.encrypt_signature
    keys = message_keys(
        KeyRequest(
            policy=policy,
            keyring=keyring,
            direction=direction,
            random=environment.random,
            ids=ids,
            encrypts=planned > 0,
        )
    )
    cipher = PartCipher(suite.encryption, keys.encryption, environment.random, ids)
    if binding.encrypt_before_signing:
        cipher.encrypt_parts(soap, body=body, headers=headers)
        # a header that was encrypted is now inside an EncryptedHeader: the block in its place is signed
        signed = _give_ids(_signed_parts(soap, policy, also=f"{{{WSSE11}}}EncryptedHeader"), ids)
    header = _Header(
        binding=binding,
        keys=keys,
        timestamps=_timestamps(environment, ids) if binding.include_timestamp else (),
        confirmations=tuple(_confirmation(ids.new("SC"), value) for value in confirmed),
        outside=[(part.get(_ID, ""), _digest(suite.digest, part)) for part in signed],
        listed=cipher.plan(planned),
        name=ids.new("SIG"),
    )
    security, value = header.make(soap.version)
    soap.need_header().append(security)
    if _is_renamed(security):
        value = header.sign_again(security)
    if seen is not None:
        now = environment.clock.now()
        age = environment.message_lifetime + 2 * environment.clock_skew if header.timestamps else OLDEST
        seen.add(value, until=now + age, now=now)
    if not binding.encrypt_before_signing:
        cipher.encrypt_parts(soap, body=body, headers=headers)
    if binding.encrypt_signature:
        for element in [*security.findall(CONFIRMATION), _signature_in(security)]:
            cipher.encrypt_element(element)
    return Protected(
        message_id=message_id,
        signature_values=(value,),
        context=keys.context,
        signed=(("Timestamp",) if header.timestamps else ()) + names,
        encrypted=tuple(cipher.done),
    )


def _refuse_missing_headers(soap: Soap, policy: Policy) -> None:
    tags = [str(block.tag) for block in soap.blocks()]
    for part in policy.required.headers:
        if not any(part.matches(tag) for tag in tags):
            raise ConfigurationError(
                f"The policy demands a header {part.name or part.namespace}, and the message has none",
                hint="give it in _soapheaders= of the call",
            )


def _refuse_second_header(soap: Soap) -> None:
    if any(block.tag == f"{{{WSSE}}}Security" for block in soap.blocks()):
        raise ConfigurationError(
            "The message has a wsse:Security header already",
            hint="remove other WS-Security plugins from wsse= and plugins=",
        )


def _signed_parts(soap: Soap, policy: Policy, *, also: str = "") -> list[etree._Element]:
    parts = [block for block in soap.blocks() if policy.signed.header(str(block.tag)) or block.tag == also]
    return [soap.body, *parts] if policy.signed.body else parts


def _give_ids(parts: list[etree._Element], ids: Ids) -> list[etree._Element]:
    for part in parts:
        if part.get(_ID) is None:
            part.set(_ID, ids.new("id"))
    return parts


def _digest(algorithm: str, part: etree._Element) -> str:
    return base64.encode(signature.digest(algorithm, canonicalize(part)))


def _listed(names: list[str]) -> str:
    """A ReferenceList, or nothing where there is nothing to list."""
    items = "".join(f'<xenc:DataReference URI="#{name}"/>' for name in names)
    return f"<xenc:ReferenceList>{items}</xenc:ReferenceList>" if items else ""


def _signature_in(security: etree._Element) -> etree._Element:
    found = security.find(f"{{{DS}}}Signature")
    assert found is not None
    return found


# What the header itself holds of signed text is written in canonical form, declarations included: its octets are
# what the signature is over, and no canonicalization is needed.


@dataclass(frozen=True)
class _Inner:
    """A signed part inside the header: its id, and its text in canonical form."""

    id: str
    text: str


def _timestamps(environment: Environment, ids: Ids) -> tuple[_Inner, ...]:
    now, name = environment.clock.now(), ids.new("TS")
    created, expires = write_time(now), write_time(now + environment.message_lifetime)
    times = f"<wsu:Created>{created}</wsu:Created><wsu:Expires>{expires}</wsu:Expires>"
    return (_Inner(name, f'<wsu:Timestamp xmlns:wsu="{WSU}" wsu:Id="{name}">{times}</wsu:Timestamp>'),)


def _confirmation(name: str, value: bytes) -> _Inner:
    """WSS 1.1, section 8.5."""
    start = f'<wsse11:SignatureConfirmation xmlns:wsse11="{WSSE11}" xmlns:wsu="{WSU}"'
    end = "</wsse11:SignatureConfirmation>"
    return _Inner(name, f'{start} Value="{base64.encode(value)}" wsu:Id="{name}">{end}')


def _signed_info(suite: AlgorithmSuite, algorithm: str, digests: list[tuple[str, str]]) -> str:
    references = "".join(
        f'<ds:Reference URI="#{name}"><ds:Transforms><ds:Transform Algorithm="{EXC_C14N}"></ds:Transform>'
        f'</ds:Transforms><ds:DigestMethod Algorithm="{suite.digest}"></ds:DigestMethod>'
        f"<ds:DigestValue>{value}</ds:DigestValue></ds:Reference>"
        for name, value in digests
    )
    return (
        f'<ds:SignedInfo xmlns:ds="{DS}">'
        f'<ds:CanonicalizationMethod Algorithm="{EXC_C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{algorithm}"></ds:SignatureMethod>{references}</ds:SignedInfo>'
    )


def _is_renamed(security: etree._Element) -> bool:
    """Whether lxml changed prefixes when the header joined the envelope.

    It does so where the envelope declares one of these namespaces under another prefix.
    """
    written = {WSSE: "wsse", WSU: "wsu", DS: "ds", WSSE11: "wsse11"}
    return any(written.get(uri, prefix) != prefix for prefix, uri in security.nsmap.items())


@dataclass(frozen=True, kw_only=True)
class _Header:
    """The wsse:Security header of one message.

    Args:
        binding: says the layout and the algorithms.
        keys: the keys and their tokens.
        timestamps: the Timestamp, if there is one.
        confirmations: what confirms the signatures of the request, in an answer.
        outside: (id, digest) of each signed part outside the header.
        listed: ids of the encrypted data.
        name: id of the signature.
    """

    binding: Binding
    keys: MessageKeys
    timestamps: tuple[_Inner, ...]
    confirmations: tuple[_Inner, ...]
    outside: list[tuple[str, str]]
    listed: list[str]
    name: str

    def make(self, soap_version: str) -> tuple[etree._Element, bytes]:
        """(the header, its signature value)."""
        suite, signing = self.binding.algorithm_suite, self.keys.signing
        inside = [
            (inner.id, base64.encode(signature.digest(suite.digest, inner.text.encode())))
            for inner in (*self.timestamps, *self.confirmations)
        ]
        info = _signed_info(suite, signing.algorithm, [*inside, *self.outside])
        value = signing.sign(info.encode())
        signed = (
            f'<ds:Signature Id="{self.name}">{info}<ds:SignatureValue>{base64.encode(value)}</ds:SignatureValue>'
            f"<ds:KeyInfo>{signing.reference}</ds:KeyInfo></ds:Signature>"
        )
        security = etree.fromstring(
            f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" xmlns:ds="{DS}" xmlns:xenc="{XENC}" '
            f'xmlns:soap="{soap_version}" soap:mustUnderstand="1">{"".join(self._children(signed))}</wsse:Security>'
        )
        return security, value

    def sign_again(self, security: etree._Element) -> bytes:
        """Sign the header as it stands now, with other prefixes than it was written with."""
        info, value_element = _signature_in(security)[:2]
        inside = [*security.findall(TIMESTAMP), *security.findall(CONFIRMATION)]
        for element, reference in zip(inside, info[2:], strict=False):
            reference[2].text = _digest(self.binding.algorithm_suite.digest, element)
        value = self.keys.signing.sign(canonicalize(info))
        value_element.text = base64.encode(value)
        return value

    def _children(self, signature_text: str) -> list[str]:
        """What stands in the header, in order.

        What comes first was applied last: WSS4J works from the top down, so the ReferenceList stands before the
        Signature when the message was signed first. Tokens stand before what uses them (Layout Strict), which
        every layout allows.
        """
        signing, encryption = self.keys.signing, self.keys.encryption
        encryption_tokens = encryption.tokens if encryption is not None else ()
        carrier = encryption.carrier if encryption is not None else str
        signed = [*(inner.text for inner in self.confirmations), signature_text]
        if self.binding.encrypt_before_signing:
            # what hides the signature was applied last, what hides the parts first
            hidden = (1 + len(self.confirmations)) * self.binding.encrypt_signature
            parts, last = self.listed[: len(self.listed) - hidden], self.listed[len(self.listed) - hidden :]
            rest = [*encryption_tokens, *signing.tokens, carrier(_listed(last)), *signed, _listed(parts)]
        elif isinstance(self.binding, AsymmetricBinding):
            rest = [*encryption_tokens, carrier(_listed(self.listed)), *signing.tokens, *signed]
        else:
            rest = [*signing.tokens, *encryption_tokens, carrier(_listed(self.listed)), *signed]
        stamps = [inner.text for inner in self.timestamps]
        if self.binding.layout is Layout.LAX_TIMESTAMP_LAST:
            return [*self.keys.shared, *rest, *stamps]
        return [*stamps, *self.keys.shared, *rest]
