"""What a client does with an answer: the reply it waits for, or a fault, and what proves each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..environment import Environment
from ..errors import VerificationError
from ..policy.model import Parts, Policy, TransportBinding
from ..soap.envelope import Soap, refuse_dtd
from ..soap.faults import Fault, read_fault
from .elements import hides_signature
from .header import ENCRYPTED_DATA, SIGNATURE, find_security
from .keys import Keyring
from .protect import Protected
from .seen import Seen
from .unprotect import Verified, unprotect


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A checked answer.

    Args:
        soap: the message in the clear.
        verified: what it proved, or None for an unsecured fault.
        fault: the fault it holds, or None.
        proven: whether the fault was signed, with our RelatesTo, by the context that the request used; or came over
            TLS where the policy leaves security to that.
    """

    soap: Soap
    verified: Verified | None
    fault: Fault | None = None
    proven: bool = False


def read_reply(
    soap: Soap,
    policy: Policy,
    keyring: Keyring,
    environment: Environment,
    *,
    request: Protected,
    seen: Seen | None,
) -> Reply:
    """Check an answer to *request*.

    A fault may come with less security than the policy asks, since the stacks send it so: CXF's declared faults
    have nothing but a signed Timestamp, and where security itself fails no stack can sign. Such a fault is read
    and never proves anything. Only a Body whose single child is soap:Fault gets this leave.

    Args:
        soap: the answer as it was received.
        policy: its effective policy.
        keyring: must allow the context of the request alone.
        environment: time and bounds.
        request: what was sent.
        seen: memory of signature values of this conversation.

    Raises:
        VerificationError: when the answer is not what the policy and the request demand.
    """
    refuse_dtd(soap.envelope)
    if soap.is_fault():
        if not _claims_security(soap, policy, environment):
            return Reply(soap=soap, verified=None, fault=read_fault(soap))
        # where a path hides the signature it does so in faults too
        hidden = (
            Parts(elements=policy.encrypted.elements) if hides_signature(policy, soap.version) else Parts()
        )
        policy = replace(policy, signed=Parts(), encrypted=hidden, required=Parts(), wss=None)
    verified = unprotect(
        soap,
        policy,
        keyring,
        environment,
        seen=seen,
        sent=request.signature_values,
    )
    answers = _answers(verified, request)
    if verified.soap.is_fault():
        relates_to = verified.addressing.elements.get("RelatesTo")
        signed = verified.is_signed(verified.soap.body) and verified.is_signed(relates_to)
        # over verified TLS a fault proves as much as any answer
        proven = answers and (signed or isinstance(policy.binding, TransportBinding))
        return Reply(soap=verified.soap, verified=verified, fault=read_fault(verified.soap), proven=proven)
    if not answers:
        raise VerificationError("relates-to", "The answer does not relate to our request")
    return Reply(soap=verified.soap, verified=verified)


def _claims_security(soap: Soap, policy: Policy, environment: Environment) -> bool:
    """Whether there is anything to verify; over TLS a Timestamp is enough.

    CXF's declared faults may have a header with tokens alone, where the policy has no Timestamp to be signed.
    """
    security = find_security(soap, environment.limits)
    if security is None:
        return False
    over_tls = isinstance(policy.binding, TransportBinding)
    return over_tls or any(child.tag in (SIGNATURE, ENCRYPTED_DATA) for child in security)


def _answers(verified: Verified, request: Protected) -> bool:
    return request.message_id is None or verified.addressing.relates_to == request.message_id
