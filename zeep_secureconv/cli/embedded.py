"""The demonstration service behind the middleware, put together for ``serve`` and ``demo``."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING

from ..conversation.store import Store
from ..limits import Limits
from ..policy.model import EndpointPolicy
from ..policy.presets import Preset
from ..policy.reader import read_alternatives
from ..service.authentication import Authenticate
from ..service.contract import Published, demonstration_wsdl
from ..service.demonstration import DemonstrationService
from ..service.health import Health
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
    identity: Identity | None,
    trust: Trust | None,
    lifetime: timedelta,
    authenticate: Authenticate | None = None,
    preset: Preset | None = None,
    store: Store | None = None,
    renew_after_expiry: bool = False,
    tolerate: Collection[str] = (),
) -> WSGIApplication:
    """The demonstration service under a policy, with its WSDL at ``?wsdl``, and its health at ``/health``.

    Args:
        policy_document: a WSDL of the contract, or a wsp:Policy.
        location: where the document came from, for messages to people.
        endpoint: URL that the service will have.
        soap: "1.1" or "1.2", for a wsp:Policy.
        identity: the service's, where the policy wants one.
        trust: judges clients, where they have certificates.
        lifetime: of the security contexts.
        authenticate: checks users and tokens, where the policy wants them.
        preset: where the document is of one, that.
        store: where contexts are kept; in memory by default.
        renew_after_expiry: as of :class:`SecureConversationMiddleware`.
        tolerate: likewise.

    Raises:
        ConfigurationError: when the document is of no use.
        PolicyError: when the policy cannot be satisfied.
    """
    wsdl = demonstration_wsdl(policy_document, address=endpoint, soap=soap)
    middleware = SecureConversationMiddleware(
        DemonstrationService(),
        policy=alternatives(wsdl, location=location, preset=preset),
        identity=identity,
        trust=trust,
        authenticate=authenticate,
        lifetime=lifetime,
        endpoint=endpoint,
        store=store,
        renew_after_expiry=renew_after_expiry,
        tolerate=tolerate,
    )
    return Health(Published(middleware, wsdl), store=store)


def alternatives(wsdl: bytes, *, location: str, preset: Preset | None) -> tuple[EndpointPolicy, ...]:
    """Every alternative of the policy in a WSDL.

    Args:
        wsdl: the document.
        location: where its policy came from, for messages to people.
        preset: where that is of one, it says the rest.

    Raises:
        PolicyError: when none can be satisfied.
    """
    found = read_alternatives(parse(wsdl, Limits()), location=location)
    return found if preset is None else tuple(preset.adjust(policy) for policy in found)
