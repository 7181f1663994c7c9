"""``zeep-secureconv call``: secured calls of one operation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import requests
import zeep
from zeep.wsdl.bindings.soap import SoapBinding

from .. import SecureConversation
from ..errors import ConfigurationError, ContextExpired
from .failures import EXPLAINED, explain
from .options import credential_options, credentials, dialect_option, service_options, store_options
from .outcome import Outcome, tell
from .progress import progress
from .stores import store_of
from .values import read_values
from .wsdl import read_wsdl, soap_ports, trust_authorities


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What is to be called, and how: the arguments and options that belong to calls alone."""

    wsdl: str
    operation: str
    arguments: dict[str, Any]
    peer: Path | None
    policy: str | None
    dialect: str
    endpoint: str | None
    port_name: str | None
    tls_ca: Path | None
    timeout: float
    repeat: int
    renew: bool
    validate: bool
    cancel: bool
    keep: bool


@click.command(
    "call",
    short_help="Call an operation in a secure conversation.",
    epilog="""\b
Examples:
  zeep-secureconv call http://localhost:8080/peer?wsdl echo text=hello \\
      --identity client.p12 --trust ca.pem --peer server.pem
  zeep-secureconv call peer.wsdl sum values=1 values=2 --repeat 1000 --json ...
  zeep-secureconv call orders.wsdl place 'order:={"id": 7, "lines": [1, 2]}' ...
  zeep-secureconv call https://localhost:8443/peer?wsdl echo text=hello \\
      --username alice --password secret --tls-ca ca.pem
""",
)
@click.argument("wsdl")
@click.argument("operation")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@credential_options
@service_options
@dialect_option
@click.option("--endpoint", metavar="URL", help="Address of the service, instead of the WSDL's.")
@click.option("--port-name", metavar="NAME", help="The wsdl:port to use, where there are several.")
@store_options
@click.option(
    "--repeat", type=click.IntRange(min=1), default=1, metavar="N", help="Make N calls, and time them."
)
@click.option("--renew", is_flag=True, help="Renew the context after the first call.")
@click.option(
    "--validate", is_flag=True, help="Fail when the service does not confirm that the context is valid."
)
@click.option(
    "--cancel", is_flag=True, help="Fail when the service does not confirm the cancelling at the end."
)
@click.option("--keep", is_flag=True, help="Do not cancel the context at the end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def call(ctx: click.Context, /, *, values: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Call OPERATION of the service that WSDL (a file or a URL) describes.

    Values are NAME=VALUE; a NAME given again makes a list, NAME:=JSON gives structures, numbers and null.
    Messages are secured as the policy in the WSDL demands; a WSDL without a policy is refused. The security
    context is issued for the first call and cancelled at the end, unless --keep. With --store it is taken from
    there, if there is one of the same endpoint, policy and credentials, and kept there, unless --cancel.
    """
    if options["cancel"] and options["keep"]:
        raise click.UsageError("--cancel and --keep exclude each other")
    who, place = credentials(options), {name: options.pop(name) for name in ("store", "store_key")}
    shared = place["store"] is not None and not options["cancel"]
    order = _Order(arguments=read_values(values), **{**options, "keep": options["keep"] or shared})
    outcome = Outcome()
    try:
        conversation = SecureConversation(
            identity=who.load_identity(),
            trust=who.load_trust(),
            peer=order.peer,
            username=who.load_username(),
            tokens=who.load_tokens(),
            policy=order.policy,
            dialect=order.dialect,
            endpoint=order.endpoint,
            store=store_of(place),
            on_event=outcome.note,
            cancel_on_close=not order.keep,
        )
        with requests.Session() as session, conversation:
            _converse(conversation, session, order, outcome)
    except EXPLAINED as error:
        outcome.error = explain(error)
    tell(outcome, as_json=as_json)
    ctx.exit(0 if outcome.error is None else 1)


def _converse(
    conversation: SecureConversation, session: requests.Session, order: _Order, outcome: Outcome
) -> None:
    with progress(f"Reading {order.wsdl}"):
        client = _client(conversation, session, order)
        service = _service(client, order)
    try:
        with progress(f"Calling {order.operation}", order.repeat) as step:
            for number in range(order.repeat):
                outcome.run(lambda: service[order.operation](**order.arguments))
                step()
                if order.renew and number == 0:
                    conversation.renew()
        if order.validate:
            _validate(conversation, outcome)
    except EXPLAINED as error:
        outcome.error = explain(error)
    _end(conversation, order, outcome)


def _validate(conversation: SecureConversation, outcome: Outcome) -> None:
    with progress("Asking whether the context is valid"):
        outcome.valid = all(conversation.validate(context) for context in conversation.contexts())
    if not outcome.valid:
        raise ContextExpired(
            "The service says that the context is not valid",
            hint="call again: another is asked for when a call is refused",
        )


def _end(conversation: SecureConversation, order: _Order, outcome: Outcome) -> None:
    """Note the context, and cancel it; failing to do so is a failure only where --cancel demands it."""
    contexts = conversation.contexts()
    if not contexts:
        return
    outcome.context = contexts[-1]
    if order.keep:
        return
    try:
        with progress("Cancelling the context"):
            outcome.cancelled = conversation.cancel() > 0
        if order.cancel and not outcome.cancelled:
            raise ConfigurationError(
                "The service did not confirm that the context is cancelled",
                hint="leave out --cancel: a context that the service keeps ends by itself when it expires",
            )
    except EXPLAINED as error:
        outcome.cancelled = False
        if order.cancel and outcome.error is None:
            outcome.error = explain(error)


def _client(conversation: SecureConversation, session: requests.Session, order: _Order) -> zeep.Client:
    trust_authorities(session, order.tls_ca)
    transport = conversation.transport(
        session=session, timeout=order.timeout, operation_timeout=order.timeout
    )
    return read_wsdl(lambda: conversation.client(order.wsdl, transport=transport, port_name=order.port_name))


def _service(client: zeep.Client, order: _Order) -> Any:
    """The port to call, once it is certain that it has the operation and takes the values."""
    ports = {(service_name, port.name): port for service_name, port in soap_ports(client)}
    if not ports:
        raise ConfigurationError(
            "The WSDL describes no service with a SOAP port", hint="give the WSDL that has the wsdl:service"
        )
    for (service_name, port_name), port in ports.items():
        if order.port_name in (None, port_name):
            _check_arguments(port.binding, order)
            if order.endpoint is not None:
                return client.create_service(port.binding.name, order.endpoint)
            return client.bind(service_name, port_name)
    raise ConfigurationError(
        f"The WSDL has no SOAP port {order.port_name}", hint=f"it has: {', '.join(name for _, name in ports)}"
    )


def _check_arguments(binding: SoapBinding, order: _Order) -> None:
    """Let zeep build the message in clear, so that wrong values are told before any traffic."""
    operations = binding.all()
    if order.operation not in operations:
        raise ConfigurationError(
            f"The service has no operation {order.operation}", hint=f"it has: {', '.join(sorted(operations))}"
        )
    operation = operations[order.operation]
    try:
        operation.create(**order.arguments)
    except (zeep.exceptions.Error, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ConfigurationError(
            f"The values do not fit the operation: {str(error).partition(' Signature: ')[0]}",
            hint=f"write {order.operation} with {operation.input.signature() or 'no values'}",
        ) from error
