"""``zeep-secureconv serve``: the demonstration service under a policy."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import click

from ..errors import ConfigurationError
from ..service.server import bound_socket
from .deployment import LOG_FORMATS, Deployment
from .options import FILE, credentials, identity_options, store_options
from .stores import need_key
from .workers import Workers

log = logging.getLogger("zeep_secureconv.cli.serve")

_LEVELS = ("debug", "info", "warning", "error")
#: What systemd passes to a process besides the sockets themselves, whose numbers begin with 3 (sd_listen_fds(3)).
_PASSED_TO, _PASSED, _FIRST_PASSED = "LISTEN_PID", "LISTEN_FDS", 3


@click.command(
    "serve",
    short_help="Run the demonstration service under a policy.",
    epilog="""\b
Examples:
  zeep-secureconv pki keys
  zeep-secureconv serve --policy service.wsdl --identity keys/server.pem --key keys/server.key \\
      --trust keys/ca.pem --port 8080
  zeep-secureconv serve --policy policy.xml --json --parent ...    (as a child of another program)
  zeep-secureconv serve --policy policy.xml --workers 4 --store redis://localhost/0 --store-key store.key ...
  zeep-secureconv serve --policy 'WCF TransportWithMessageCredential UserName' --soap 1.2 \\
      --tls-identity keys/server.p12 --tls-identity-password changeit --demo-users
""",
)
@click.option(
    "--policy",
    required=True,
    metavar="FILE|PRESET",
    help="A WSDL of the contract, a wsp:Policy file, or the name of a preset.",
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="NAME", help="Where to listen.")
@click.option(
    "--address",
    default="",
    metavar="URL",
    help="The service's address as clients write it, where that is another, of a proxy for example.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="0 takes any free port.")
@click.option(
    "--soap",
    type=click.Choice(["1.1", "1.2"]),
    default="1.1",
    show_default=True,
    help="Version for a wsp:Policy; a WSDL brings its own.",
)
@click.option("--tls-identity", type=FILE, metavar="FILE", help="Serve https, with this PKCS#12 or PEM file.")
@click.option(
    "--tls-identity-password",
    metavar="TEXT",
    envvar="ZEEP_SECURECONV_TLS_IDENTITY_PASSWORD",
    show_envvar=True,
    help="Password of --tls-identity.",
)
@click.option(
    "--https-port", type=click.IntRange(0, 65535), default=0, metavar="N", help="The port for https."
)
@identity_options
@click.option(
    "--users",
    type=FILE,
    metavar="FILE",
    help="Users: a line name:password for each, where the policy wants them.",
)
@click.option("--demo-users", is_flag=True, help='Accept any user with the password "secret", and any token.')
@click.option(
    "--lifetime",
    type=click.IntRange(min=1),
    default=7200,
    show_default=True,
    metavar="SECONDS",
    help="How long a security context lives.",
)
@click.option(
    "--renew-after-expiry",
    is_flag=True,
    help="Renew contexts that are over too, as clients of Metro and CXF need.",
)
@click.option(
    "--tolerate",
    type=click.Choice(["cxf"]),
    multiple=True,
    help="Meet clients of a stack halfway: CXF's cancels contexts without their key.",
)
@store_options
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many processes serve; more than one need --store.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many requests each of them works on at once.",
)
@click.option(
    "--log",
    type=click.Choice(list(LOG_FORMATS)),
    default="text",
    show_default=True,
    help="Lines for people, or JSON objects, on standard error.",
)
@click.option(
    "--log-level", type=click.Choice(_LEVELS), default="warning", show_default=True, help="What is logged."
)
@click.option("--parent", is_flag=True, help="End when standard input is closed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready.")
def serve(
    *, as_json: bool, parent: bool, workers: int, host: str, port: int, https_port: int, **options: Any
) -> None:
    """Serve the demonstration contract (echo, sum, fail, big, whoami), secured as --policy demands.

    The policy is that of a WSDL of the contract, for example one saved from another stack that serves it, a
    wsp:Policy file, or a preset. The WSDL is published at the address with ?wsdl, and GET /health tells whether
    the service can work. With --store contexts outlive the process, for a service at the same address, and
    several processes and machines can share them. The service ends on SIGTERM or Ctrl-C, when it has answered
    what it was asked. A socket that systemd passes is taken instead of --host and --port.
    """
    deployment = _deployment(options)
    deployment.set_up_log()
    ended = _end_of_service(parent=parent)
    if workers > 1 and deployment.store is None:
        raise ConfigurationError(
            "Several workers cannot share contexts that are in the memory of one",
            hint="give --store redis://HOST:6379/0, or file:PATH, with --store-key FILE",
        )
    deployment.check()
    secure = deployment.tls_identity is not None
    with _passed_socket() or bound_socket(host, https_port if secure else port) as listening:
        deployment = replace(deployment, address=deployment.url_of(host, listening))
        for doubt in deployment.doubts(str(listening.getsockname()[0])):
            log.warning("%s", doubt)
        with Workers(deployment, listening, workers) if workers > 1 else deployment.served(listening):
            _say_ready(deployment, as_json=as_json)
            ended.wait()


def _deployment(options: dict[str, Any]) -> Deployment:
    """What the options say.

    Raises:
        click.UsageError: when they contradict each other.
    """
    if options["users"] is not None and options["demo_users"]:
        raise click.UsageError("--users and --demo-users exclude each other")
    if options["address"] and urlsplit(options["address"]).scheme not in ("http", "https"):
        raise click.UsageError("--address is no http or https URL")
    need_key(options["store"], options["store_key"])
    who = credentials(options)
    return Deployment(credentials=who, **options)


def _say_ready(deployment: Deployment, *, as_json: bool) -> None:
    url = deployment.address
    ready = {"ready": True, "url": url, "wsdl": f"{url}?wsdl", "policy": deployment.policy}
    click.echo(json.dumps(ready) if as_json else f"Serving {url} (WSDL: {url}?wsdl); Ctrl-C ends it")


def _passed_socket() -> socket.socket | None:
    """The socket that systemd passed to this process, or None; to its children it says nothing."""
    process, count = os.environ.pop(_PASSED_TO, None), os.environ.pop(_PASSED, None)
    if process != str(os.getpid()) or count != "1":
        return None
    return socket.socket(fileno=_FIRST_PASSED)


def _end_of_service(*, parent: bool) -> threading.Event:
    """Set on SIGTERM and Ctrl-C, and with *parent* when standard input is closed."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if parent:
        threading.Thread(target=_drain_input, args=(ended,), daemon=True).start()
    return ended


def _drain_input(ended: threading.Event) -> None:
    # not by sys.stdin, whose lock this thread would still hold when the interpreter ends
    try:
        while os.read(0, 4096):
            pass
    finally:
        ended.set()
