"""Calls the greeting service of wsgi_service.py in a secure conversation.

    python call_service.py --keys keys --wsdl http://127.0.0.1:8000/greeting?wsdl World

Several names are several calls in one conversation: the first call asks for a security context, all of them use
it, and it is cancelled at the end. An empty name ('') shows what a fault looks like.
"""
# ruff: noqa: INP001, T201 - a script, which prints

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import zeep.exceptions

from zeep_secureconv import Event, Identity, SecureConversation, SecureConversationError, Trust


def tell(event: Event) -> None:
    """Print what happens to the context."""
    print(f"  [{event.kind} {event.identifier or ''} {event.detail}]".replace(" ]", "]"))


def call(arguments: argparse.Namespace) -> None:
    """Make the calls."""
    keys: Path = arguments.keys
    with SecureConversation(
        identity=Identity.from_pkcs12(keys / "client.p12", "changeit"),
        trust=Trust.from_pem(keys / "ca.pem"),
        peer=keys / "server.pem",
        on_event=tell,
    ) as sc:
        client = sc.client(arguments.wsdl)
        for name in arguments.names:
            print(client.service.greet(name))


def main() -> int:
    """Exit status 0 when every call was answered, 1 otherwise."""
    parser = argparse.ArgumentParser(description="Calls the greeting service in a secure conversation.")
    parser.add_argument(
        "--keys", type=Path, default=Path("keys"), help="folder made by 'zeep-secureconv pki'"
    )
    parser.add_argument(
        "--wsdl", default="http://127.0.0.1:8000/greeting?wsdl", help="path or URL of the WSDL"
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="whom to greet")
    try:
        call(parser.parse_args())
    except SecureConversationError as error:
        # not secure, or not reached: the text says what is wrong, and its hint what to change
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except zeep.exceptions.Fault as fault:
        # the service's own answer, proven to come from it
        print(f"The service answers with a fault: {fault.message}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
