"""Makes one message look like its policy says: signs, encrypts, and writes the wsse:Security header."""

from __future__ import annotations

from dataclasses import dataclass, field

from lxml import etree

from ..environment import Environment
from ..errors import ConfigurationError, PolicyError
from ..names import DS, EXC_C14N, WSSE, WSSE11, WSU, XENC
from ..policy.model import AsymmetricBinding, Binding, Direction, Layout, Policy
from ..soap.envelope import Soap
from . import base64, signature
from .c14n import canonicalize
from .cipher import PartCipher
from .header import CONFIRMATION
from .keys import ContextKey, Keyring
from .message_keys import Ids, KeyRequest, MessageKeys, SigningKey, message_keys
from .tokens import write_time

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
        signed: names of the signed parts, for people.
        encrypted: names of the encrypted parts, for people.
    """

    message_id: str | None
    signature_values: tuple[bytes, ...] = field(repr=False)
    context: ContextKey | None
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

    Raises:
        PolicyError: when the policy asks for what cannot be done.
        ConfigurationError: when a key is missing.
    """
    binding = _supported(policy)
    _refuse_second_header(soap)
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
        timestamp=ids.new("TS") if binding.include_timestamp else None,
        digests=[(part.get(_ID, ""), _digest(suite.digest, part)) for part in signed],
        listed=cipher.plan(planned),
        confirmed=confirmed,
        environment=environment,
        name=ids.new("SIG"),
    )
    security = header.parse(soap.version)
    soap.need_header().append(security)
    value = header.sign(security)
    if not binding.encrypt_before_signing:
        cipher.encrypt_parts(soap, body=body, headers=headers)
    if binding.encrypt_signature:
        for element in [*security.findall(CONFIRMATION), _signature_in(security)]:
            cipher.encrypt_element(element)
    return Protected(
        message_id=message_id,
        signature_values=(value,),
        context=keys.context,
        signed=(("Timestamp",) if header.timestamp else ()) + names,
        encrypted=tuple(cipher.done),
    )


def _supported(policy: Policy) -> Binding:
    """The binding, if everything it asks for can be done; nothing is left out without a word."""
    binding = policy.binding
    if binding is None:
        raise PolicyError("The policy has no security binding, so nothing would be protected")
    if binding.protect_tokens:
        raise PolicyError("The policy asks for signed tokens (ProtectTokens), which is not supported")
    return binding


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


@dataclass(frozen=True, kw_only=True)
class _Header:
    """The wsse:Security header of one message.

    Args:
        binding: says the layout and the algorithms.
        keys: the keys and their tokens.
        timestamp: id of the Timestamp, or None for none.
        digests: (id, digest) of each signed part outside the header.
        listed: ids of the encrypted data.
        confirmed: signature values of the request, for an answer that confirms them.
        environment: the time.
        name: id of the signature.
    """

    binding: Binding
    keys: MessageKeys
    timestamp: str | None
    digests: list[tuple[str, str]]
    listed: list[str]
    confirmed: tuple[bytes, ...]
    environment: Environment
    name: str

    def parse(self, soap_version: str) -> etree._Element:
        """The header; the digest of the Timestamp and the signature value are still missing."""
        return etree.fromstring(
            f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}" xmlns:ds="{DS}" xmlns:xenc="{XENC}" '
            f'xmlns:soap="{soap_version}" soap:mustUnderstand="1">{"".join(self._children())}</wsse:Security>'
        )

    def sign(self, security: etree._Element) -> bytes:
        """Fill in what depends on where the header stands: prefixes may change when it joins the envelope."""
        info, value_element = _signature_in(security)[:2]
        inside = [*security.findall(f"{{{WSU}}}Timestamp"), *security.findall(CONFIRMATION)]
        for element, reference in zip(inside, info[2:], strict=False):
            reference[2].text = _digest(self.binding.algorithm_suite.digest, element)
        value = self.keys.signing.sign(canonicalize(info))
        value_element.text = base64.encode(value)
        return value

    def _children(self) -> list[str]:
        """What stands in the header, in order.

        What comes first was applied last: WSS4J works from the top down, so the ReferenceList stands before the
        Signature when the message was signed first. Tokens stand before what uses them (Layout Strict), which
        every layout allows.
        """
        signing, encryption = self.keys.signing, self.keys.encryption
        encryption_tokens = encryption.tokens if encryption is not None else ()
        carrier = encryption.carrier if encryption is not None else str
        signed = [*self._confirmations(), self._signature(signing)]
        if self.binding.encrypt_before_signing:
            # what hides the signature was applied last, what hides the parts first
            hidden = (1 + len(self.confirmed)) * self.binding.encrypt_signature
            parts, last = self.listed[: len(self.listed) - hidden], self.listed[len(self.listed) - hidden :]
            rest = [*encryption_tokens, *signing.tokens, carrier(_listed(last)), *signed, _listed(parts)]
        elif isinstance(self.binding, AsymmetricBinding):
            rest = [*encryption_tokens, carrier(_listed(self.listed)), *signing.tokens, *signed]
        else:
            rest = [*signing.tokens, *encryption_tokens, carrier(_listed(self.listed)), *signed]
        stamp = self._timestamp()
        if self.binding.layout is Layout.LAX_TIMESTAMP_LAST:
            return [*self.keys.shared, *rest, *stamp]
        return [*stamp, *self.keys.shared, *rest]

    def _timestamp(self) -> list[str]:
        if self.timestamp is None:
            return []
        now = self.environment.clock.now()
        created, expires = write_time(now), write_time(now + self.environment.message_lifetime)
        times = f"<wsu:Created>{created}</wsu:Created><wsu:Expires>{expires}</wsu:Expires>"
        return [f'<wsu:Timestamp wsu:Id="{self.timestamp}">{times}</wsu:Timestamp>']

    def _confirmations(self) -> list[str]:
        start = f'<wsse11:SignatureConfirmation xmlns:wsse11="{WSSE11}"'
        return [
            f'{start} wsu:Id="{self._confirmation_id(number)}" Value="{base64.encode(value)}"/>'
            for number, value in enumerate(self.confirmed)
        ]

    def _confirmation_id(self, number: int) -> str:
        return f"SC-{number}-{self.name}"

    def _signature(self, key: SigningKey) -> str:
        suite = self.binding.algorithm_suite
        inside = [self.timestamp] if self.timestamp else []
        inside += [self._confirmation_id(number) for number in range(len(self.confirmed))]
        parts = [*((name, "") for name in inside), *self.digests]
        listed = "".join(
            f'<ds:Reference URI="#{name}"><ds:Transforms><ds:Transform Algorithm="{EXC_C14N}"/></ds:Transforms>'
            f'<ds:DigestMethod Algorithm="{suite.digest}"/><ds:DigestValue>{value}</ds:DigestValue></ds:Reference>'
            for name, value in parts
        )
        return (
            f'<ds:Signature Id="{self.name}"><ds:SignedInfo>'
            f'<ds:CanonicalizationMethod Algorithm="{EXC_C14N}"/>'
            f'<ds:SignatureMethod Algorithm="{key.algorithm}"/>{listed}</ds:SignedInfo><ds:SignatureValue/>'
            f"<ds:KeyInfo>{key.reference}</ds:KeyInfo></ds:Signature>"
        )
