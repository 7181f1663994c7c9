"""The demonstration service behind the middleware, put together for ``serve`` and ``demo``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ..limits import Limits
from ..policy import read_wsdl
from ..service.contract import Published, demonstration_wsdl
from ..service.demonstration import DemonstrationService
from ..service.middleware import SecureConversationMiddleware
from ..soap.envelope import parse
from ..wss.certificates import Trust
from ..wss.keys import Identity

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Where the service lies on its server.
PATH = "/peer"


def protected_service(
    policy_document: bytes,
    *,
    location: str,
    endpoint: str,
    soap: str,
    identity: Identity,
    trust: Trust,
    lifetime: timedelta,
) -> WSGIApplication:
    """The demonstration service under a policy, with its WSDL at ``?wsdl``.

    Args:
        policy_document: a WSDL of the contract, or a wsp:Policy.
        location: where the document came from, for messages to people.
        endpoint: URL that the service will have.
        soap: "1.1" or "1.2", for a wsp:Policy.
        identity: the service's.
        trust: judges clients.
        lifetime: of the security contexts.

    Raises:
        ConfigurationError: when the document is of no use.
        PolicyError: when the policy cannot be satisfied.
    """
    wsdl = demonstration_wsdl(policy_document, address=endpoint, soap=soap)
    policy = read_wsdl(parse(wsdl, Limits()), location=location)
    middleware = SecureConversationMiddleware(
        DemonstrationService(),
        policy=policy,
        identity=identity,
        trust=trust,
        lifetime=lifetime,
        endpoint=endpoint,
    )
    return Published(middleware, wsdl)
