"""Which operation of a policy a message is for, and what its answer must look like."""

from __future__ import annotations

from dataclasses import replace

from ..errors import VerificationError
from ..policy.model import EndpointPolicy, HeaderPart, OperationPolicy, Parts, Policy
from ..soap.envelope import Soap


def operation_of(policy: EndpointPolicy, action: str) -> OperationPolicy:
    """The operation that an action names.

    Without an action it is any, where requests of all look alike: clients of SOAP 1.2 that send no addressing headers
    say what they want in the Body alone.

    Raises:
        VerificationError: check "action".
    """
    if not policy.operations:
        return policy.everywhere()
    for operation in policy.operations.values():
        if action in operation.actions:
            return operation
    first, *others = policy.operations.values()
    if action or any(other.request != first.request for other in others):
        raise VerificationError("action", "No operation has this action")
    return first


def operation_of_body(policy: EndpointPolicy, soap: Soap, action: str) -> OperationPolicy:
    """The operation of a verified message that named none in the clear: by its Action, or by its Body alone.

    Raises:
        VerificationError: check "action".
    """
    if not policy.operations or action:
        return operation_of(policy, action)
    tag = None if soap.payload is None else soap.payload.tag
    found = [operation for operation in policy.operations.values() if operation.input_element == tag]
    if len(found) != 1:
        raise VerificationError("action", "Neither an action nor the Body names one operation")
    return found[0]


def reply_policy(
    policy: EndpointPolicy, operation: OperationPolicy, reply: Soap, wsa: str
) -> tuple[Policy, str | None]:
    """(policy, action) of what the application answered."""
    actions = policy.response_actions
    if not reply.is_fault():
        return operation.response, actions.get(f"{operation.name}:output")
    payload = reply.payload
    detail = None
    if payload is not None:
        holders = [child for child in payload if str(child.tag).rpartition("}")[2].lower() == "detail"]
        children = holders[0] if holders else ()
        detail = next((child.tag for child in children if isinstance(child.tag, str)), None)
    local = str(detail).rpartition("}")[2]
    secured = operation.faults.get(str(detail), operation.fault)
    return _signed_fault(secured, wsa), actions.get(f"{operation.name}:fault:{local}")


def _signed_fault(policy: Policy, wsa: str) -> Policy:
    """The policy of a fault, with Body and addressing signed.

    Many policies have no parts for faults, and such a fault would prove nothing to the client.
    """
    return replace(policy, signed=policy.signed | Parts(body=True, headers=(HeaderPart(namespace=wsa),)))
