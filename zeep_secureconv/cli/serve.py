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

from ..errors import ConfigurationError
from ..service.server import HttpServer
from ..wss.certificates import Trust, read_source
from ..wss.keys import Identity
from .embedded import PATH, protected_service
from .options import FILE, Credentials, credential_options, credentials

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
""",
)
@click.option("--policy", required=True, metavar="FILE", help="A WSDL of the contract, or a wsp:Policy file.")
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
@credential_options
@click.option(
    "--lifetime",
    type=click.IntRange(min=1),
    default=7200,
    show_default=True,
    metavar="SECONDS",
    help="How long a security context lives.",
)
@click.option("--parent", is_flag=True, help="End when standard input is closed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready.")
def serve(*, policy: str, as_json: bool, parent: bool, **options: Any) -> None:
    """Serve the demonstration contract (echo, sum, fail, big, whoami), secured as --policy demands.

    The policy is that of a WSDL of the contract, for example one saved from another stack that serves it, or
    a wsp:Policy file. The WSDL is published at the address with ?wsdl. The service ends on SIGTERM or Ctrl-C.
    """
    # on standard error: why a message was refused, which the peer is not told
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    ended = _end_of_service(parent=parent)
    identity, trust = _required(credentials(options))
    document = _policy_document(policy)
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


def _required(who: Credentials) -> tuple[Identity, Trust]:
    identity, trust = who.load_identity(), who.load_trust()
    if identity is None:
        raise ConfigurationError(
            "The service needs a certificate with its private key", hint=f"give --identity FILE; {_TRY}"
        )
    if trust is None:
        raise ConfigurationError(
            "Nothing says which clients to trust", hint=f"give --trust FILE with their CA; {_TRY}"
        )
    return identity, trust


def _policy_document(name: str) -> bytes:
    if not Path(name).exists():
        raise ConfigurationError(
            f"--policy: there is no file {name}, and no preset of that name",
            hint="give a WSDL of the contract or a wsp:Policy file; this version has no presets",
        )
    return read_source(name, "policy file")


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
