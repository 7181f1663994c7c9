"""``zeep-secureconv serve``: the demonstration service under a policy."""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import ssl
import threading
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from ..conversation.policies import conversation_policy
from ..errors import ConfigurationError
from ..policy.model import EndpointPolicy
from ..policy.needs import service_needs
from ..policy.presets import NAMES, Preset, is_preset, preset
from ..service.authentication import Authenticate
from ..service.contract import demonstration_wsdl
from ..service.server import HttpServer
from ..service.users import DemoUsers, Users
from ..wss.certificates import read_source
from .embedded import PATH, alternatives, protected_service
from .options import FILE, credentials, identity_options, store_options
from .stores import store_of

_TRY = "'zeep-secureconv pki DIR' makes certificates for trying things out"


@click.command(
    "serve",
    short_help="Run the demonstration service under a policy.",
    epilog="""\b
Examples:
  zeep-secureconv pki keys
  zeep-secureconv serve --policy service.wsdl --identity keys/server.pem --key keys/server.key \\
      --trust keys/ca.pem --port 8080
  zeep-secureconv serve --policy policy.xml --json --parent ...    (as a child of another program)
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
@store_options
@click.option("--parent", is_flag=True, help="End when standard input is closed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready.")
def serve(*, policy: str, as_json: bool, parent: bool, **options: Any) -> None:
    """Serve the demonstration contract (echo, sum, fail, big, whoami), secured as --policy demands.

    The policy is that of a WSDL of the contract, for example one saved from another stack that serves it, a
    wsp:Policy file, or a preset. The WSDL is published at the address with ?wsdl. With --store contexts outlive
    the process, for a service at the same address. The service ends on SIGTERM or Ctrl-C.
    """
    # on standard error: why a message was refused, which the peer is not told
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    if options["users"] is not None and options["demo_users"]:
        raise click.UsageError("--users and --demo-users exclude each other")
    ended = _end_of_service(parent=parent)
    who, authenticate, store = credentials(options), _authenticate(options), store_of(options)
    identity, trust = who.load_identity(), who.load_trust()
    document, named = _policy_document(policy)
    _need_everything(
        alternatives(
            demonstration_wsdl(document, address="http://localhost/", soap=options["soap"]),
            location=policy,
            preset=named,
        ),
        {"identity": identity, "trust": trust, "users": authenticate, "tls": options["tls_identity"]},
    )
    with _server(options) as server:
        endpoint = server.url + PATH
        server.app = protected_service(
            document,
            location=policy,
            endpoint=endpoint,
            soap=options["soap"],
            identity=identity,
            trust=trust,
            lifetime=timedelta(seconds=options["lifetime"]),
            authenticate=authenticate,
            preset=named,
            store=store,
        )
        ready = {"ready": True, "url": endpoint, "wsdl": f"{endpoint}?wsdl", "policy": policy}
        click.echo(
            json.dumps(ready) if as_json else f"Serving {endpoint} (WSDL: {endpoint}?wsdl); Ctrl-C ends it"
        )
        ended.wait()


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


#: For each need of a service: what supplies it here, what is said without it, and what to do then.
_IDENTITY = (
    "identity",
    "The service needs a certificate with its private key",
    f"give --identity FILE; {_TRY}",
)
_USERS = ("users", "Nothing checks users and tokens", "give --users FILE, or --demo-users to try things out")
_NEEDS: dict[str, tuple[str, str, str]] = {
    "signing identity": _IDENTITY,
    "decrypting identity": _IDENTITY,
    "trust": ("trust", "Nothing says which clients to trust", f"give --trust FILE with their CA; {_TRY}"),
    "user check": _USERS,
    "user passwords": _USERS,
    "token check": _USERS,
    "https": (
        "tls",
        "The policy leaves security to TLS, and there is no TLS",
        f"give --tls-identity FILE; {_TRY}",
    ),
}


def _need_everything(policies: tuple[EndpointPolicy, ...], given: dict[str, Any]) -> None:
    """Refuse to start without what the policies want, by the names of the options that supply it."""
    for policy in policies:
        conversation = conversation_policy(policy)
        for secured in (conversation.bootstrap.request, conversation.application):
            for need in service_needs(secured):
                option, message, hint = _NEEDS[need.kind]
                if given[option] is None:
                    raise ConfigurationError(f"{message} ({need.why})", hint=hint)


def _authenticate(options: dict[str, Any]) -> Authenticate | None:
    users, demo = options["users"], options["demo_users"]
    if demo:
        return DemoUsers()
    return Users.from_file(users) if users is not None else None


def _policy_document(name: str) -> tuple[bytes, Preset | None]:
    """The document of a file, or of a preset, and that preset."""
    if Path(name).exists():
        return read_source(name, "policy file"), None
    if not is_preset(name):
        raise ConfigurationError(
            f"--policy: there is no file {name}, and no preset of that name",
            hint=f"give a WSDL of the contract, a wsp:Policy file, or one of: {NAMES}",
        )
    found = preset(name)
    return found.document(), found


def _server(options: dict[str, Any]) -> HttpServer:
    if options["tls_identity"] is None:
        return HttpServer(host=options["host"], port=options["port"])
    context = _tls_context(options["tls_identity"], options["tls_identity_password"])
    return HttpServer(host=options["host"], port=options["https_port"], tls=context)


def _tls_context(path: Path, password: str | None) -> ssl.SSLContext:
    """A server's TLS context from a PKCS#12 file, or a PEM file with certificate and key.

    Raises:
        ConfigurationError: when file or password are wrong.
    """
    data = read_source(path, "TLS identity file")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # ssl reads files only; what lies there for a moment is encrypted with a password that nobody has
    with TemporaryDirectory() as folder:
        file, secret = Path(folder) / "tls.pem", secrets.token_hex(16)
        try:
            if b"-----BEGIN" not in data:
                data, password = _pem_of_pkcs12(data, password, secret), secret
            file.write_bytes(data)
            context.load_cert_chain(file, password=password or "")
        except (ValueError, ssl.SSLError) as error:
            raise ConfigurationError(
                "The TLS identity cannot be used: the password is wrong, or certificate or key are missing",
                hint="give a PKCS#12 file, or one PEM file with certificate and key, and its password",
            ) from error
    return context


def _pem_of_pkcs12(data: bytes, password: str | None, secret: str) -> bytes:
    key, certificate, chain = pkcs12.load_key_and_certificates(data, password.encode() if password else None)
    if key is None or certificate is None:
        raise ValueError("no key or no certificate")
    encryption = serialization.BestAvailableEncryption(secret.encode())
    return b"".join(
        [
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption),
            *(one.public_bytes(serialization.Encoding.PEM) for one in (certificate, *chain)),
        ]
    )
