"""WS-SecureConversation for zeep: call SOAP services that demand secure conversation, and serve them.

from zeep_secureconv import Identity, SecureConversation, Trust

with SecureConversation(
    identity=Identity.from_pkcs12("client.p12", "changeit"),
    trust=Trust.from_pem("ca.pem"),
    peer="server.pem",
) as sc:
    client = sc.client("https://example.org/service?wsdl")
    client.service.echo("hello")
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .client.conversation import SecureConversation
from .client.events import Event
from .conversation.context import SecurityContext
from .conversation.store import Store
from .conversation.store.file import FileStore
from .conversation.store.memory import MemoryStore
from .conversation.store.redis import RedisStore
from .errors import (
    ConfigurationError,
    ContextExpired,
    LimitExceeded,
    PolicyError,
    SecureConversationError,
    StoreError,
    TokenFault,
    TransportError,
    UnsecuredFault,
    VerificationError,
)
from .limits import Limits
from .policy.algorithms import Algorithms, SuiteChanges
from .policy.model import Policy
from .wss.certificates import Trust
from .wss.credentials import LtpaToken, UsernameToken, XmlToken
from .wss.keys import Identity

if TYPE_CHECKING:
    from .service.middleware import SecureConversationMiddleware

__all__ = [
    "Algorithms",
    "ConfigurationError",
    "ContextExpired",
    "Event",
    "FileStore",
    "Identity",
    "LimitExceeded",
    "Limits",
    "LtpaToken",
    "MemoryStore",
    "Policy",
    "PolicyError",
    "RedisStore",
    "SecureConversation",
    "SecureConversationError",
    "SecureConversationMiddleware",
    "SecurityContext",
    "Store",
    "StoreError",
    "SuiteChanges",
    "TokenFault",
    "TransportError",
    "Trust",
    "UnsecuredFault",
    "UsernameToken",
    "VerificationError",
    "XmlToken",
]

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    # who only calls services need not load what serves them
    if name == "SecureConversationMiddleware":
        from .service.middleware import SecureConversationMiddleware

        return SecureConversationMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
