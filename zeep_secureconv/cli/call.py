"""``zeep-secureconv call``: secured calls of one operation."""

from __future__ import annotations

import base64
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import click
import requests
import zeep
from lxml import etree
from zeep.helpers import serialize_object
from zeep.wsdl.bindings.soap import SoapBinding
from zeep.wsdl.definitions import Port

from .. import Event, SecureConversation, SecurityContext
from ..errors import ConfigurationError
from .failures import EXPLAINED, Failure, explain, printable
from .options import FILE, credential_options, credentials
from .progress import progress
from .values import read_values

_TIMEOUT = 60.0


@dataclass(frozen=True, kw_only=True)
class _Options:
    """The options that belong to calls alone."""

    peer: Path | None
    policy: str | None
    endpoint: str | None
    port_name: str | None
    tls_ca: Path | None
    timeout: float
    repeat: int
    cancel: bool
    keep: bool


@dataclass
class _Outcome:
    """What came of it, filled in as it happens.

    Args:
        result: what the last call gave.
        context: the security context of the calls.
        cancelled: None when there was nothing to cancel, or it was to be kept.
        events: kinds of the events of the conversation, in their order.
        bootstrap: how long the first call took to get a context, in seconds.
        durations: of each call without the bootstrap, in seconds.
        error: what ended it.
    """

    result: Any = None
    context: SecurityContext | None = None
    cancelled: bool | None = None
    events: list[str] = field(default_factory=list)
    bootstrap: float | None = None
    durations: list[float] = field(default_factory=list)
    error: Failure | None = None
    _started: float = 0.0

    def note(self, event: Event) -> None:
        """Take an event of the conversation."""
        self.events.append(event.kind)
        if event.kind == "issued" and self.bootstrap is None:
            self.bootstrap = time.perf_counter() - self._started

    def run(self, operation: Callable[[], Any]) -> None:
        """Carry out one call and measure it."""
        first = self.bootstrap is None
        self._started = time.perf_counter()
        self.result = serialize_object(operation(), target_cls=dict)
        spent = time.perf_counter() - self._started
        self.durations.append(spent - (self.bootstrap or 0.0) if first else spent)

    def as_dict(self) -> dict[str, Any]:
        """The object of ``--json``."""
        context = self.context
        return {
            "ok": self.error is None,
            "result": self.result,
            "calls": len(self.durations),
            "context": None
            if context is None
            else {
                "identifier": context.identifier,
                "instance": context.instance,
                "expires": _rfc3339(context.expires),
            },
            "cancelled": self.cancelled,
            "events": self.events,
            "timing": {
                "bootstrap_ms": _rounded(self.bootstrap, 1e3),
                "median_us": _rounded(statistics.median(self.durations) if self.durations else None, 1e6),
                "p90_us": _rounded(_percentile_90(self.durations), 1e6),
            },
            "error": self.error.as_dict() if self.error else None,
        }


@click.command(
    "call",
    short_help="Call an operation in a secure conversation.",
    epilog="""\b
Examples:
  zeep-secureconv call http://localhost:8080/peer?wsdl echo text=hello \\
      --identity client.p12 --trust ca.pem --peer server.pem
  zeep-secureconv call peer.wsdl sum values=1 values=2 --repeat 1000 --json ...
  zeep-secureconv call orders.wsdl place 'order:={"id": 7, "lines": [1, 2]}' ...
""",
)
@click.argument("wsdl")
@click.argument("operation")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@credential_options
@click.option("--peer", type=FILE, metavar="FILE", help="The service's certificate (PEM).")
@click.option("--policy", metavar="FILE", help="A WSDL or wsp:Policy file to use instead of the WSDL's policy.")
@click.option("--endpoint", metavar="URL", help="Address of the service, instead of the WSDL's.")
@click.option("--port-name", metavar="NAME", help="The wsdl:port to use, where there are several.")
@click.option("--tls-ca", type=FILE, metavar="FILE", help="CAs (PEM) for https, instead of the usual ones.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the server.",
)
@click.option("--repeat", type=click.IntRange(min=1), default=1, metavar="N", help="Make N calls, and time them.")
@click.option("--cancel", is_flag=True, help="Fail when the service does not confirm the cancelling at the end.")
@click.option("--keep", is_flag=True, help="Do not cancel the context at the end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def call(
    ctx: click.Context, wsdl: str, operation: str, values: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Call OPERATION of the service that WSDL (a file or a URL) describes.

    Values are NAME=VALUE; a NAME given again makes a list, NAME:=JSON gives structures, numbers and null. Messages
    are secured as the policy in the WSDL demands; a WSDL without a policy is refused. The security context is issued
    for the first call and cancelled at the end, unless --keep.
    """
    if options["cancel"] and options["keep"]:
        raise click.UsageError("--cancel and --keep exclude each other")
    arguments = read_values(values)
    identity = credentials(options)
    chosen = _Options(**options)
    outcome = _Outcome()
    try:
        conversation = SecureConversation(
            identity=identity.load_identity(),
            trust=identity.load_trust(),
            peer=chosen.peer,
            policy=chosen.policy,
            endpoint=chosen.endpoint,
            on_event=outcome.note,
            cancel_on_close=not chosen.keep,
        )
        with conversation:
            _converse(conversation, wsdl, operation, arguments, chosen, outcome)
    except EXPLAINED as error:
        outcome.error = explain(error)
    _print(outcome, as_json=as_json)
    ctx.exit(0 if outcome.error is None else 1)


def _converse(
    conversation: SecureConversation,
    wsdl: str,
    operation: str,
    arguments: dict[str, Any],
    options: _Options,
    outcome: _Outcome,
) -> None:
    with progress(f"Reading {wsdl}"):
        client = _client(conversation, wsdl, options)
        port = _port(client, options.port_name)
        _check_arguments(port, operation, arguments)
    if options.endpoint is None:
        service = client.bind(_service_name(client, port), port.name)
    else:
        service = client.create_service(port.binding.name, options.endpoint)
    try:
        with progress(f"Calling {operation}", options.repeat) as step:
            for _ in range(options.repeat):
                outcome.run(lambda: service[operation](**arguments))
                step()
    except EXPLAINED as error:
        outcome.error = explain(error)
    _end(conversation, options, outcome)


def _end(conversation: SecureConversation, options: _Options, outcome: _Outcome) -> None:
    """Note the context, and cancel it; failing to do so is a failure only where --cancel demands it."""
    contexts = conversation.contexts()
    if not contexts:
        return
    outcome.context = contexts[-1]
    if options.keep:
        return
    try:
        with progress("Cancelling the context"):
            outcome.cancelled = conversation.cancel() > 0
        if options.cancel and not outcome.cancelled and outcome.error is None:
            raise ConfigurationError(
                "The service did not confirm that the context is cancelled",
                hint="leave out --cancel: a context that the service keeps ends by itself when it expires",
            )
    except EXPLAINED as error:
        outcome.cancelled = False
        if options.cancel and outcome.error is None:
            outcome.error = explain(error)


def _client(conversation: SecureConversation, wsdl: str, options: _Options) -> zeep.Client:
    session = requests.Session()
    if options.tls_ca is not None:
        if not options.tls_ca.is_file():
            raise ConfigurationError(f"--tls-ca: no such file: {options.tls_ca}", hint="give a PEM file")
        session.verify = str(options.tls_ca)
    transport = conversation.transport(
        session=session, timeout=options.timeout, operation_timeout=options.timeout
    )
    try:
        return conversation.client(wsdl, transport=transport, port_name=options.port_name)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, requests.exceptions.RequestException):
            raise
        # what zeep raises on XML that is no WSDL, or a damaged one
        raise ConfigurationError(
            f"zeep cannot read the WSDL: {type(error).__name__}: {error}", hint="check the file or the address"
        ) from error


def _ports(client: zeep.Client) -> list[tuple[str, Port]]:
    """Every SOAP port, with the name of its service."""
    return [
        (service.name, port)
        for service in client.wsdl.services.values()
        for port in service.ports.values()
        if isinstance(port.binding, SoapBinding)
    ]


def _port(client: zeep.Client, name: str | None) -> Port:
    ports = [port for _, port in _ports(client)]
    if not ports:
        raise ConfigurationError(
            "The WSDL describes no service with a SOAP port", hint="give the WSDL that has the wsdl:service"
        )
    for port in ports:
        if name in (None, port.name):
            return port
    raise ConfigurationError(
        f"The WSDL has no SOAP port {name}", hint=f"it has: {', '.join(sorted(port.name for port in ports))}"
    )


def _service_name(client: zeep.Client, port: Port) -> str:
    return next(service for service, candidate in _ports(client) if candidate is port)


def _check_arguments(port: Port, name: str, arguments: dict[str, Any]) -> None:
    """Let zeep build the message in clear, so that wrong values are told before any traffic."""
    operations = port.binding.all()
    if name not in operations:
        raise ConfigurationError(
            f"The service has no operation {name}", hint=f"it has: {', '.join(sorted(operations))}"
        )
    try:
        operations[name].create(**arguments)
    except (zeep.exceptions.Error, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        signature = operations[name].abstract.input_message.name.localname
        raise ConfigurationError(
            f"The values do not fit the operation: {str(error).partition(' Signature: ')[0]}",
            hint=f"{name}({operations[name].input.signature()}) [{signature}]",
        ) from error


def _print(outcome: _Outcome, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(outcome.as_dict(), default=_plain))
        return
    if outcome.durations:
        result = outcome.result
        click.echo(result if isinstance(result, str) else json.dumps(result, default=_plain, indent=2))
        click.echo(_summary(outcome), err=True)
    if outcome.error is not None:
        report(outcome.error)


def report(failure: Failure) -> None:
    """Tell a failure on standard error."""
    click.echo(f"{failure.type}: {failure.message}", err=True)
    if failure.hint:
        click.echo(f"Hint: {failure.hint}", err=True)


def _summary(outcome: _Outcome) -> str:
    timing = outcome.as_dict()["timing"]
    parts = [
        f"{len(outcome.durations)} call{'s' if len(outcome.durations) > 1 else ''}",
        f"median {timing['median_us']} µs, 90 % within {timing['p90_us']} µs",
    ]
    if outcome.bootstrap is not None:
        parts.append(f"bootstrap {timing['bootstrap_ms']} ms")
    if outcome.context is not None:
        ending = {None: "kept", True: "cancelled", False: "not cancelled"}[outcome.cancelled]
        parts.append(f"context {printable(outcome.context.identifier)} {ending}")
    return "; ".join(parts)


def _plain(value: Any) -> Any:
    """The JSON form of what zeep's types give and JSON does not know."""
    if isinstance(value, (datetime, date, time_of_day)):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, etree._Element):
        return etree.tostring(value, encoding="unicode")
    return str(value)


def _rfc3339(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _rounded(seconds: float | None, factor: float) -> float | None:
    return None if seconds is None else round(seconds * factor, 1)


def _percentile_90(durations: list[float]) -> float | None:
    return sorted(durations)[math.ceil(0.9 * len(durations)) - 1] if durations else None
