"""Reading the faults of a service, those that are secured and those that cannot be."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

from lxml import etree

from tests.unit.parties import identity
from zeep_secureconv import Limits, Policy, SecureConversationError
from zeep_secureconv.conversation.policies import ConversationPolicy
from zeep_secureconv.conversation.store import Store
from zeep_secureconv.environment import Environment
from zeep_secureconv.names import WSSE, XENC
from zeep_secureconv.policy.model import Parts
from zeep_secureconv.soap.envelope import Soap, parse
from zeep_secureconv.soap.faults import Fault, read_fault
from zeep_secureconv.wss.elements import hides_signature
from zeep_secureconv.wss.encryption import key_transport
from zeep_secureconv.wss.keys import ContextKey, EphemeralKey, Keyring
from zeep_secureconv.wss.unprotect import Verified, unprotect


@dataclass(frozen=True)
class Refusal:
    """A fault, and what it proves; None where it is not secured."""

    fault: Fault
    verified: Verified | None

    @property
    def proven(self) -> bool:
        """Whether Body and all of addressing are signed."""
        if self.verified is None:
            return False
        headers = self.verified.addressing.elements
        assert {"Action", "MessageID", "To"} <= headers.keys()
        return all(self.verified.is_signed(one) for one in (self.verified.soap.body, *headers.values()))


def read_refusal(
    content: bytes,
    request: bytes,
    policies: Iterable[Policy],
    rings: Iterable[Keyring],
    environment: Environment,
    *,
    store: Store,
) -> Refusal:
    """The fault in an answer, opened by whatever key it takes.

    Those of the clients, of the contexts in *store*, and the one that *request* brought.
    """
    soap = Soap.of(parse(content, Limits()))
    if not any(block.tag == f"{{{WSSE}}}Security" for block in soap.blocks()):
        assert soap.is_fault(), content
        assert not any(etree.QName(block).localname != "NotUnderstood" for block in soap.blocks())
        return Refusal(read_fault(soap), None)

    def find(identifier: str, instance: str | None) -> ContextKey | None:
        keys = [context.key for _, context in store.items("service") if context.identifier == identifier]
        return next((key for key in keys if instance in (None, key.instance)), None)

    refused: list[SecureConversationError] = []
    for policy, ring in product(list(policies), list(rings)):
        ephemeral = _brought(request, policy)
        keys = replace(ring, lookup=find, ephemeral=ephemeral)
        found = _opened(content, policy, keys, environment)
        if isinstance(found, Verified):
            assert found.soap.is_fault()
            return Refusal(read_fault(found.soap), found)
        refused.append(found)
    raise AssertionError(refused, content)


def _brought(request: bytes, policy: Policy) -> EphemeralKey | None:
    """The key that a request brought, opened as the service does."""
    found = Soap.of(parse(request, Limits())).envelope.findtext(
        f".//{{{XENC}}}EncryptedKey//{{{XENC}}}CipherValue"
    )
    if not found or policy.binding is None:
        return None
    wrapped = base64.b64decode(found)
    try:
        secret = identity("server").decrypt(wrapped, key_transport(policy.binding.algorithm_suite))
    except ValueError:
        return None
    return EphemeralKey(secret=secret, sha1=hashlib.sha1(wrapped).digest())


def _opened(
    content: bytes, policy: Policy, ring: Keyring, environment: Environment
) -> Verified | SecureConversationError:
    """A message that may have less security than the policy says, verified; or why it is not."""
    soap = Soap.of(parse(content, Limits()))
    hides = hides_signature(policy, soap.version)
    hidden = Parts(elements=policy.encrypted.elements) if hides else Parts()
    lenient = replace(policy, signed=Parts(), encrypted=hidden, required=Parts(), wss=None)
    try:
        return unprotect(soap, lenient, ring, environment)
    except SecureConversationError as error:
        return error


def policies_of(conversation: ConversationPolicy) -> list[Policy]:
    """Every policy that an answer may be secured by."""
    exchanges = (conversation.bootstrap, conversation.cancel, conversation.cancel_in_full)
    return [
        conversation.application,
        *(policy for one in exchanges for policy in (one.response, one.request)),
    ]
