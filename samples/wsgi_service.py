"""A SOAP service of a few lines behind SecureConversationMiddleware.

The application below knows nothing of security: it reads a clear SOAP message and answers with one. Its
contract and the policy that the middleware enforces are in greeting.wsdl.

    zeep-secureconv pki keys
    python wsgi_service.py --keys keys --port 8000

Any WSGI server can run it; this script takes the one of the extra "service". With gunicorn, for example:

    gunicorn --threads 8 'wsgi_service:make_application("keys", "http://127.0.0.1:8000/greeting")'

One process, as contexts are kept in its memory; with --store several can share them, as cluster/ does.
"""
# ruff: noqa: INP001, T201 - a script, which prints

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lxml import etree

from zeep_secureconv import Identity, RedisStore, SecureConversationMiddleware, Store, Trust
from zeep_secureconv.service.contract import published_wsdl
from zeep_secureconv.service.health import Health
from zeep_secureconv.service.server import HttpServer, bound_socket

WSDL = Path(__file__).with_name("greeting.wsdl")
NAMESPACE = "urn:example:greeting"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
PATH = "/greeting"

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def greeting(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The application: ``greet(name)`` answers with a greeting, or with a fault where there is no name."""
    length = int(environ["CONTENT_LENGTH"])
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    envelope = etree.fromstring(environ["wsgi.input"].read(length), parser)
    name = (envelope.findtext(f"{{{SOAP}}}Body/{{{NAMESPACE}}}greet/{{{NAMESPACE}}}name") or "").strip()
    # the subject of the client's certificate; the middleware has verified it
    caller = environ["zeep_secureconv.principal"]
    status, reply = answer(name, caller)
    start_response(status, [("Content-Type", "text/xml; charset=utf-8")])
    return [etree.tostring(reply, xml_declaration=True, encoding="UTF-8")]


def answer(name: str, caller: str) -> tuple[str, etree._Element]:
    """HTTP status and SOAP envelope of the answer."""
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    body = etree.SubElement(envelope, f"{{{SOAP}}}Body")
    if not name:
        fault = etree.SubElement(body, f"{{{SOAP}}}Fault")
        etree.SubElement(fault, "faultcode").text = "soap:Client"
        etree.SubElement(fault, "faultstring").text = "There is nobody to greet"
        return "500 Internal Server Error", envelope
    response = etree.SubElement(body, f"{{{NAMESPACE}}}greetResponse", nsmap={None: NAMESPACE})
    etree.SubElement(response, f"{{{NAMESPACE}}}text").text = f"Hello {name}, says the service to {caller}"
    return "200 OK", envelope


def make_application(keys: str | Path, address: str, store: Store | None = None) -> Application:
    """The application behind the middleware, with its WSDL at ``?wsdl`` and its health at ``/health``.

    Args:
        keys: folder with server.p12 (password "changeit") and ca.pem.
        address: URL of the service, as clients write it.
        store: where contexts are kept; in memory without one.
    """
    secured = SecureConversationMiddleware(
        greeting,
        policy=WSDL,
        identity=Identity.from_pkcs12(Path(keys) / "server.p12", "changeit"),
        trust=Trust.from_pem(Path(keys) / "ca.pem"),
        endpoint=address,
        store=store,
    )
    published = published_wsdl(WSDL.read_bytes(), address=address)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "GET":
            return secured(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/xml; charset=utf-8")])
        return [published]

    return Health(application, store=store)


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description="A greeting service that demands secure conversation.")
    parser.add_argument(
        "--keys", type=Path, default=Path("keys"), help="folder made by 'zeep-secureconv pki'"
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any free one (default: %(default)s)")
    parser.add_argument("--address", help="URL of the service, where a proxy has another one")
    parser.add_argument("--store", metavar="URL", help="keep contexts in a Redis, redis://127.0.0.1:6379/0")
    parser.add_argument("--store-key", type=Path, help="file with the 32 bytes that they are encrypted with")
    arguments = parser.parse_args()
    if (arguments.store is None) != (arguments.store_key is None):
        parser.error("--store and --store-key belong together")
    store = RedisStore(arguments.store, key=arguments.store_key.read_bytes()) if arguments.store else None
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    # whoever comes before the application is there waits
    listening = bound_socket(arguments.host, arguments.port)
    here = f"http://{arguments.host}:{listening.getsockname()[1]}{PATH}"
    application = make_application(arguments.keys, arguments.address or here, store)
    with HttpServer(application, listening=listening):
        print(f"Serving {here}?wsdl; Ctrl-C ends it", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
