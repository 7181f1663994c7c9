"""``zeep-secureconv sessions``: the contexts in a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import requests
import zeep

from ..client.contexts import Contexts
from ..client.parties import Parties
from ..client.partner import Partners
from ..client.policies import Policies
from ..client.transport import SecureTransport
from ..client.way import RequestsWay
from ..conversation.context import SecurityContext
from ..conversation.store import RecordKey, Store
from ..environment import Environment
from ..errors import ConfigurationError
from ..trust import DIALECTS
from .failures import EXPLAINED, Failure, explain, printable, report
from .options import (
    Credentials,
    credential_options,
    credentials,
    dialect_option,
    service_options,
    store_options,
)
from .outcome import rfc3339
from .progress import progress
from .stores import store_of
from .wsdl import read_wsdl, soap_ports, trust_authorities

_ROLES = ("client", "service")


@dataclass
class _Session:
    """A context in the store, and what came of the action.

    Args:
        key: its record key.
        context: the context; after a renewal the renewed one.
        outcome: "valid", "not valid", "renewed", "cancelled", "not confirmed", "skipped" or "failed"; None when it was
            listed only.
        failure: why it failed.
    """

    key: RecordKey
    context: SecurityContext
    outcome: str | None = None
    failure: Failure | None = None

    def as_dict(self, environment: Environment) -> dict[str, Any]:
        """An entry of ``--json``."""
        context = self.context
        return {
            "role": self.key[0],
            "endpoint": context.endpoint,
            "identifier": context.identifier,
            "instance": context.instance,
            "created": rfc3339(context.created),
            "expires": rfc3339(context.expires),
            "over": context.is_over(environment.clock),
            "renewable": context.renewable,
            "dialect": context.dialect or None,
            "principal": context.principal,
            "outcome": self.outcome,
            "error": self.failure.as_dict() if self.failure else None,
        }

    def line(self, environment: Environment) -> str:
        """The same for people."""
        context = self.context
        end = "expired" if context.is_over(environment.clock) else "until"
        parts = [
            self.key[0],
            context.identifier,
            f"instance {context.instance}" if context.instance else None,
            context.endpoint,
            f"{end} {rfc3339(context.expires)}" if context.expires else "without end",
            f"of {context.principal}" if context.principal else None,
            f"- {self.outcome}" if self.outcome else None,
        ]
        return printable(" ".join(part for part in parts if part is not None))


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What is to be done, and how the service is reached: the options that are not the store or credentials."""

    action: str
    identifier: str | None
    wsdl: str | None
    endpoint: str | None
    peer: Path | None
    policy: str | None
    dialect: str
    tls_ca: Path | None
    timeout: float


@dataclass
class _Report:
    """What came of it, filled in as it happens."""

    action: str
    sessions: list[_Session] = field(default_factory=list)
    error: Failure | None = None

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for was done."""
        return self.error is None and all(session.outcome in _GOOD for session in self.sessions)

    def tell(self, environment: Environment, *, as_json: bool) -> None:
        """Print it: one JSON object, or a line for each context."""
        if as_json:
            entries = [session.as_dict(environment) for session in self.sessions]
            error = self.error.as_dict() if self.error else None
            told = {"ok": self.ok, "action": self.action, "contexts": entries, "error": error}
            click.echo(json.dumps(told))
            return
        for session in self.sessions:
            click.echo(session.line(environment))
            if session.failure is not None:
                report(session.failure)
        if self.error is not None:
            report(self.error)
        elif not self.sessions:
            click.echo("No contexts", err=True)


@click.command(
    "sessions",
    short_help="List, validate, renew and cancel the contexts in a store.",
    epilog="""\b
Examples:
  zeep-secureconv sessions --store file:contexts --store-key store.key
  zeep-secureconv sessions --store redis://localhost:6379/0 --store-key store.key \\
      validate --wsdl http://localhost:8080/peer?wsdl --identity client.p12 --trust ca.pem --peer server.pem
  zeep-secureconv sessions --store file:contexts --store-key store.key \\
      cancel urn:uuid:5cce... --policy peer.wsdl ...
""",
)
@click.argument(
    "action", type=click.Choice(["list", "validate", "renew", "cancel"]), default="list", required=False
)
@click.argument("identifier", required=False)
@store_options
@click.option("--wsdl", metavar="WSDL", help="The WSDL (a file or a URL) that the calls are made with.")
@click.option("--endpoint", metavar="URL", help="Only contexts for this address.")
@credential_options
@service_options
@dialect_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def sessions(ctx: click.Context, /, *, as_json: bool, **options: Any) -> None:
    """List the contexts in a store, or ask their services to validate, renew or cancel them.

    IDENTIFIER picks one context; without it all are meant. To validate, renew or cancel, give what the calls are made
    with: --wsdl or --policy, and the same credentials. Contexts of other credentials are skipped. The exit status
    is 1 when a context is not valid, or was not renewed, or its service did not confirm that it is cancelled.
    """
    who = credentials(options)
    place = {name: options.pop(name) for name in ("store", "store_key")}
    order, environment = _Order(**options), Environment()
    if place["store"] is None:
        raise click.UsageError("--store says where the contexts are")
    if order.action != "list" and order.wsdl is None and order.policy is None:
        raise click.UsageError(f"{order.action} needs --wsdl or --policy, which say how to ask the service")
    told = _Report(order.action)
    try:
        store = store_of(place)
        assert store is not None
        told.sessions = _found(store, order)
        if order.action != "list":
            with requests.Session() as session:
                _act(told, _Asking(store, who, order, session, environment), order)
    except EXPLAINED as error:
        told.error = explain(error)
    told.tell(environment, as_json=as_json)
    ctx.exit(0 if told.ok else 1)


def _found(store: Store, order: _Order) -> list[_Session]:
    """The contexts that are meant, each key of one once; those of clients alone where something is to be done."""
    found: dict[tuple[str, ...], _Session] = {}
    for role in _ROLES if order.action == "list" else _ROLES[:1]:
        for key, context in store.items(role):
            named = order.identifier in (None, context.identifier)
            if named and order.endpoint in (None, context.endpoint):
                # a service keeps the current key under two names
                name = (
                    *key[:2],
                    context.identifier,
                    context.instance or "",
                    *(key[2:] if role == "client" else ()),
                )
                found.setdefault(name, _Session(key, context))
    if order.identifier is not None and not found:
        raise ConfigurationError(
            "The store holds no such context",
            hint="zeep-secureconv sessions list shows what it holds",
            context=order.identifier,
        )
    return sorted(found.values(), key=lambda one: (one.key[0], one.context.endpoint, one.context.identifier))


class _Asking:
    """Asks services about contexts, as the client that they belong to.

    Args:
        store: where they are.
        who: our credentials.
        order: how the services are reached.
        session: the HTTP session.
        environment: time and bounds.
    """

    def __init__(
        self,
        store: Store,
        who: Credentials,
        order: _Order,
        session: requests.Session,
        environment: Environment,
    ) -> None:
        trust_authorities(session, order.tls_ca)
        self._way = RequestsWay(session, order.timeout)
        parties = Parties.of(
            who.load_identity(), who.load_trust(), order.peer, who.load_username(), who.load_tokens()
        )
        policies = Policies(order.policy, against=parties.against)
        self._partners = Partners(parties, policies, order.dialect)
        self._guesses = order.dialect == "auto"
        self._contexts = Contexts(self._partners, store, environment, None, renew_before=timedelta(0))
        # weak references alone lead from policies to the client
        self._client = self._read(order, session) if order.wsdl is not None else None

    def owns(self, one: _Session) -> bool:
        """Whether a context was asked for with our credentials, under the policy that is known."""
        endpoint = one.context.endpoint
        if self._client is None:
            self._partners.of_endpoint(endpoint).way = self._way
        else:
            for binding in _bindings(self._client, endpoint):
                self._partners.of_call(endpoint, binding, binding.nsmap["soap-env"], self._way)
        partner = self._partners.of_record(one.key)
        if partner is None:
            return False
        if self._guesses and one.context.dialect in DIALECTS:
            partner.dialect = DIALECTS[one.context.dialect].in_generation(partner.conversation.wst)
        return True

    def validate(self, one: _Session) -> str:
        """Ask whether a context is valid."""
        return "valid" if self._contexts.validate(one.context) else "not valid"

    def renew(self, one: _Session) -> str:
        """Ask for a new key."""
        one.context = self._contexts.renew(one.context)
        return "renewed"

    def cancel(self, one: _Session) -> str:
        """Remove a context, and tell its service."""
        return "cancelled" if self._contexts.cancel(one.context) else "not confirmed"

    def _read(self, order: _Order, session: requests.Session) -> zeep.Client:
        transport = SecureTransport(session=session, timeout=order.timeout, operation_timeout=order.timeout)
        with progress(f"Reading {order.wsdl}"):
            return read_wsdl(lambda: zeep.Client(order.wsdl, transport=transport))


def _bindings(client: zeep.Client, endpoint: str) -> Iterator[Any]:
    """Those of the WSDL with that address; all where it has another, since calls may be made to any address."""
    ports = [port for _, port in soap_ports(client)]
    at = [port for port in ports if port.binding_options["address"] == endpoint]
    return (port.binding for port in at or ports)


_Action = Callable[[_Asking, _Session], str]
_ACTIONS: dict[str, _Action] = {
    "validate": _Asking.validate,
    "renew": _Asking.renew,
    "cancel": _Asking.cancel,
}
_GOOD = frozenset({None, "valid", "renewed", "cancelled", "skipped"})


def _act(told: _Report, asking: _Asking, order: _Order) -> None:
    """Do what is to be done with each context of ours; a failure of one stops no other."""
    own = [session for session in told.sessions if asking.owns(session)]
    if told.sessions and not own:
        raise ConfigurationError(
            "None of these contexts was asked for with these credentials under this policy",
            hint="give --identity, --peer, --username, --dialect and --wsdl or --policy as for the calls",
        )
    with progress(f"{order.action.capitalize()} contexts", len(told.sessions)) as step:
        for session in told.sessions:
            try:
                session.outcome = _ACTIONS[order.action](asking, session) if session in own else "skipped"
            except EXPLAINED as error:
                session.outcome, session.failure = "failed", explain(error)
            step()
