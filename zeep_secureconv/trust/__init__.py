"""WS-Trust messages for a SecurityContextToken, the dialects of the stacks, and the key of a context."""

from .dialects import (
    DIALECTS,
    Dialect,
    RenewalForm,
    action_of,
    dialect_for,
    dialect_of_answer,
    is_trust_action,
)
from .keys import context_key
from .messages import (
    new_context_token,
    request_from_xml,
    request_to_xml,
    response_from_xml,
    response_to_xml,
)
from .model import (
    ContextToken,
    Entropy,
    Lifetime,
    Renewing,
    RequestSecurityToken,
    RequestSecurityTokenResponse,
    RequestType,
    TokenReference,
)

__all__ = [
    "DIALECTS",
    "ContextToken",
    "Dialect",
    "Entropy",
    "Lifetime",
    "RenewalForm",
    "Renewing",
    "RequestSecurityToken",
    "RequestSecurityTokenResponse",
    "RequestType",
    "TokenReference",
    "action_of",
    "context_key",
    "dialect_for",
    "dialect_of_answer",
    "is_trust_action",
    "new_context_token",
    "request_from_xml",
    "request_to_xml",
    "response_from_xml",
    "response_to_xml",
]
