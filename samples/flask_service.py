"""A Flask application that speaks SOAP, behind SecureConversationMiddleware.

The view below knows nothing of security: it reads a clear SOAP message and answers with one. The middleware stands
between the WSGI server and Flask, so that everything that is posted to the application must be secured as the policy
in greeting.wsdl says. GET goes to Flask as it is.

    pip install flask
    zeep-secureconv pki keys
    python flask_service.py --keys keys --port 8000

Any WSGI server can run it; this script takes the one of the extra "service". With gunicorn, for example:

    gunicorn --threads 8 'flask_service:make_application("keys", "http://127.0.0.1:8000/greeting")'
"""
# ruff: noqa: INP001, T201 - a script, which prints

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from flask import Flask, Response, request
from lxml import etree

from zeep_secureconv import Identity, SecureConversationMiddleware, Trust
from zeep_secureconv.service.contract import published_wsdl
from zeep_secureconv.service.health import Health
from zeep_secureconv.service.server import HttpServer, bound_socket

WSDL = Path(__file__).with_name("greeting.wsdl")
NAMESPACE = "urn:example:greeting"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
PATH = "/greeting"
XML = "text/xml; charset=utf-8"


def make_application(keys: str | Path, address: str) -> Flask:
    """The Flask application, whose ``wsgi_app`` demands secure conversation.

    Args:
        keys: folder with server.p12 (password "changeit") and ca.pem.
        address: URL of the service, as clients write it.
    """
    app = Flask(__name__)
    wsdl = published_wsdl(WSDL.read_bytes(), address=address)

    @app.get(PATH)
    def describe() -> Response:
        return Response(wsdl, content_type=XML)

    @app.post(PATH)
    def greet() -> Response:
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        envelope = etree.fromstring(request.get_data(), parser)
        name = (envelope.findtext(f"{{{SOAP}}}Body/{{{NAMESPACE}}}greet/{{{NAMESPACE}}}name") or "").strip()
        if not name:
            return fault("There is nobody to greet")
        # the subject of the client's certificate; the middleware has verified it
        return greeting(f"Hello {name}, says Flask to {request.environ['zeep_secureconv.principal']}")

    secured = SecureConversationMiddleware(
        app.wsgi_app,
        policy=WSDL,
        identity=Identity.from_pkcs12(Path(keys) / "server.p12", "changeit"),
        trust=Trust.from_pem(Path(keys) / "ca.pem"),
        endpoint=address,
    )
    app.wsgi_app = Health(secured)
    return app


def greeting(text: str) -> Response:
    """The answer of ``greet``."""
    envelope, body = new_envelope()
    response = etree.SubElement(body, f"{{{NAMESPACE}}}greetResponse", nsmap={None: NAMESPACE})
    etree.SubElement(response, f"{{{NAMESPACE}}}text").text = text
    return Response(etree.tostring(envelope), content_type=XML)


def fault(text: str) -> Response:
    """A fault for which the client is to blame."""
    envelope, body = new_envelope()
    element = etree.SubElement(body, f"{{{SOAP}}}Fault")
    etree.SubElement(element, "faultcode").text = "soap:Client"
    etree.SubElement(element, "faultstring").text = text
    return Response(etree.tostring(envelope), status=500, content_type=XML)


def new_envelope() -> tuple[etree._Element, etree._Element]:
    """An envelope, and its Body."""
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    return envelope, etree.SubElement(envelope, f"{{{SOAP}}}Body")


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(
        description="A greeting service of Flask that demands secure conversation."
    )
    parser.add_argument(
        "--keys", type=Path, default=Path("keys"), help="folder made by 'zeep-secureconv pki'"
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any free one (default: %(default)s)")
    arguments = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    # whoever comes before the application is there waits
    listening = bound_socket(arguments.host, arguments.port)
    here = f"http://{arguments.host}:{listening.getsockname()[1]}{PATH}"
    application = make_application(arguments.keys, here)
    with HttpServer(application, listening=listening):
        print(f"Serving {here}?wsdl; Ctrl-C ends it", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
