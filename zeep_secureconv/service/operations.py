"""Which operation of a policy a message is for, and what its answer must look like."""

from __future__ import annotations

from dataclasses import replace

from ..errors import VerificationError
from ..policy.model import EndpointPolicy, HeaderPart, OperationPolicy, Parts, Policy, TransportBinding
from ..soap.envelope import Soap
from ..wss.unprotect import Verified


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


def operation_of_call(
    policy: EndpointPolicy, operation: OperationPolicy, verified: Verified, claimed: str
) -> tuple[str, OperationPolicy]:
    """(action, operation) of a verified call, as far as it proves them.

    SOAPAction, and a wsa:Action that no signature covers, are anybody's word. They count only where the Body, which is
    signed, leaves no choice; and where there is no WSDL to say what Body an operation has, they do not count at all.

    Args:
        policy: the policy that it satisfied.
        operation: the operation that it claimed to be.
        verified: the call.
        claimed: the action in clear or of HTTP, "" where there was none.

    Returns:
        The action "" where there is no WSDL and none is proven.

    Raises:
        VerificationError: check "action", when the actions differ or leave open what is to be done; "operation", when
            the Body is not that of the operation: a message could be judged by the policy of one, and run as another.
    """
    written = verified.addressing.action
    if claimed and written not in (None, claimed):
        # it was encrypted, and SOAPAction chose the policy
        raise VerificationError("action", "SOAPAction and wsa:Action differ")
    over_tls = isinstance(operation.request.binding, TransportBinding)
    is_proven = over_tls or verified.is_signed(verified.addressing.elements.get("Action"))
    action = (written or claimed) if is_proven else ""
    if not policy.operations:
        return action, operation
    if action:
        operation = operation_of(policy, action)
    else:
        operation = _operation_of_body(policy, verified.soap)
        if claimed and claimed not in operation.actions:
            raise VerificationError("operation", "The Body is not that of the operation that Action names")
        action = claimed or min(operation.actions, default="")
    payload = verified.soap.payload
    if (None if payload is None else payload.tag) != operation.input_element:
        raise VerificationError("operation", "The Body is not that of the operation that Action names")
    return action, operation


def _operation_of_body(policy: EndpointPolicy, soap: Soap) -> OperationPolicy:
    """The operation of a verified message whose action is not proven: its Body must name one alone."""
    tag = None if soap.payload is None else soap.payload.tag
    found = [operation for operation in policy.operations.values() if operation.input_element == tag]
    if len(found) != 1:
        raise VerificationError("action", "Neither a signed action nor the Body names one operation")
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
    return signed_fault(secured, wsa), actions.get(f"{operation.name}:fault:{local}")


def signed_fault(policy: Policy, wsa: str) -> Policy:
    """The policy of a fault, with Body and addressing signed.

    Many policies have no parts for faults, and such a fault would prove nothing to the client.
    """
    return replace(policy, signed=policy.signed | Parts(body=True, headers=(HeaderPart(namespace=wsa),)))
