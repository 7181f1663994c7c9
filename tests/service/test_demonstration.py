from __future__ import annotations

import http.client
import io
import socket
import ssl
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import requests
import zeep
from lxml import etree

from zeep_secureconv import ConfigurationError, Limits, service
from zeep_secureconv.names import SOAP11, SOAP12, WSDL_SOAP11, WSDL_SOAP12, WSP_2004, WSP_W3C, WSSE
from zeep_secureconv.policy import Parts, SymmetricBinding, read_wsdl
from zeep_secureconv.service.contract import NAMESPACE, Published, demonstration_wsdl
from zeep_secureconv.service.demonstration import PRINCIPAL, DemonstrationService
from zeep_secureconv.service.server import HttpServer

_POLICY = files(service).joinpath("demonstration-policy.xml").read_bytes()
_CONTENT_TYPES = {SOAP11: "text/xml; charset=utf-8", SOAP12: "application/soap+xml; charset=utf-8"}


def _envelope(body: str, *, header: str = "", soap: str = SOAP11) -> bytes:
    return f'<s:Envelope xmlns:s="{soap}" xmlns="{NAMESPACE}">{header}<s:Body>{body}</s:Body></s:Envelope>'.encode()


_WHOAMI = _envelope("<whoami/>")


def _post(app: DemonstrationService, body: bytes, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    """Call the application as a WSGI server does; (status, headers, body)."""
    answer: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None, /) -> Any:
        answer.append((status, dict(headers)))

    asked = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    content = b"".join(app({**asked, **environ}, start_response))
    ((status, headers),) = answer
    return status, headers, content


def _fault(content: bytes) -> tuple[str, str]:
    """(code, text) of the fault that is the body of an answer."""
    root = etree.fromstring(content)
    code = root.findtext(".//faultcode") or root.findtext(f".//{{{SOAP12}}}Code/{{{SOAP12}}}Value") or ""
    text = root.findtext(".//faultstring") or root.findtext(f".//{{{SOAP12}}}Text") or ""
    return code, text


@pytest.fixture(params=["1.1", "1.2"])
def client(request: pytest.FixtureRequest) -> Iterator[zeep.Client]:
    """A client without security, of a service without it, for both versions of SOAP."""
    with HttpServer() as server, requests.Session() as session:
        wsdl = demonstration_wsdl(None, address=f"{server.url}/peer", soap=request.param)
        server.app = Published(DemonstrationService(), wsdl)
        yield zeep.Client(f"{server.url}/peer?wsdl", transport=zeep.Transport(session=session))


# ---------------------------------------------------------------------------------------------- operations


@pytest.mark.parametrize(
    "text",
    ["hello", "Grüße \N{SNOWMAN} \N{GRINNING FACE}", "]]>", "a\r\nb\rc\nd\te", " <&>\"' ", "x" * 1_000_000],
    ids=["plain", "non-ascii", "cdata-end", "line-ends", "markup", "1MB"],
)
def test_echo_gives_the_very_text(client: zeep.Client, text: str) -> None:
    """Every character of an xs:string comes back as it was sent."""
    assert client.service.echo(text) == text


def test_echo_gives_the_empty_text(client: zeep.Client) -> None:
    """An empty text comes back empty; zeep reads an empty element as None."""
    assert client.service.echo("") is None


@pytest.mark.parametrize(("values", "total"), [([], 0), ([5], 5), ([1, -2, 3], 2), ([2**31 - 1], 2**31 - 1)])
def test_sum_adds(client: zeep.Client, values: Sequence[int], total: int) -> None:
    """The sum of no, one and several numbers is right, up to the largest xs:int."""
    assert client.service.sum(values) == total


def test_fail_gives_the_declared_fault(client: zeep.Client) -> None:
    """The fault has the text and the detail that the contract declares."""
    with pytest.raises(zeep.exceptions.Fault) as raised:
        client.service.fail("X-17")
    assert raised.value.message == "failed with X-17"
    declared = client.wsdl.types.deserialize(raised.value.detail[0])
    assert declared.code == "X-17"


@pytest.mark.parametrize("size", [0, 1, 26, 1_000])
def test_big_repeats_the_alphabet(client: zeep.Client, size: int) -> None:
    """The text has the size asked for, the same for the same size."""
    text = client.service.big(size) or ""
    assert text == ("abcdefghijklmnopqrstuvwxyz" * 40)[:size]


def test_whoami_is_anonymous_without_middleware(client: zeep.Client) -> None:
    """Where nobody authenticated the caller, it is anonymous."""
    assert client.service.whoami() == "anonymous"


def test_whoami_is_the_principal_of_the_environment() -> None:
    """The caller's name is what the middleware left in the environment, however it is written."""
    status, _, content = _post(DemonstrationService(), _WHOAMI, **{PRINCIPAL: "CN=client,O=<A&B>"})
    assert status == "200 OK"
    assert etree.fromstring(content).findtext(f".//{{{NAMESPACE}}}return") == "CN=client,O=<A&B>"


def test_calls_are_counted() -> None:
    """Operations that were carried out count, the failing one included, and refused requests do not."""
    app = DemonstrationService()
    for body in ("<whoami/>", "<fail><code>a</code></fail>", "<other/>", "<echo/>"):
        _post(app, _envelope(body))
    assert app.calls == 2


# -------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("soap", [SOAP11, SOAP12])
def test_answers_have_the_version_of_the_request(soap: str) -> None:
    """Envelope and Content-Type of answer and fault are those of the request's SOAP version."""
    for body, expected in (("<whoami/>", "200"), ("<fail><code>a</code></fail>", "500")):
        status, headers, content = _post(DemonstrationService(), _envelope(body, soap=soap))
        assert status.startswith(expected)
        assert headers == {"Content-Type": _CONTENT_TYPES[soap], "Content-Length": str(len(content))}
        assert etree.fromstring(content).tag == f"{{{soap}}}Envelope"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<other/>", "names no operation"),
        ('<whoami xmlns="urn:other"/>', "names no operation"),
        ("", "names no operation"),
        ("<whoami/><whoami/>", "more than one"),
        ("<echo/>", "schema of echo"),
        ("<echo><text>a</text><text>b</text></echo>", "schema of echo"),
        ("<echo><text>a<b/></text></echo>", "schema of echo"),
        ("<sum><values>1e3</values></sum>", "schema of sum"),
        ("<sum><values>2147483648</values></sum>", "schema of sum"),
        ("<sum><values>2147483647</values><values>1</values></sum>", "does not fit"),
        ("<big><size>-1</size></big>", "not between"),
        ("<big><size>2000000000</size></big>", "not between"),
    ],
)
@pytest.mark.parametrize(("soap", "code"), [(SOAP11, "soap:Client"), (SOAP12, "soap:Sender")])
def test_requests_that_the_contract_does_not_know_are_faults(
    body: str, said: str, soap: str, code: str
) -> None:
    """What is no operation, or does not fit its schema, is the sender's fault."""
    status, _, content = _post(DemonstrationService(), _envelope(body, soap=soap))
    assert status == "500 Internal Server Error"
    assert _fault(content)[0] == code
    assert said in _fault(content)[1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        _WHOAMI[:-5],
        b"<whoami/>",
        b'<!DOCTYPE a SYSTEM "file:///etc/hostname">' + _WHOAMI,
        b'<!DOCTYPE a [<!ENTITY e "x">]>' + _envelope("<echo><text>&e;</text></echo>"),
        b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
        + _envelope("<echo><text>&e;</text></echo>"),
        _WHOAMI.replace(SOAP11.encode(), b"urn:other-envelope"),
    ],
    ids=["empty", "text", "truncated", "no-envelope", "dtd", "entity", "external-entity", "other-version"],
)
def test_what_is_no_soap_message_is_a_fault(body: bytes) -> None:
    """Broken XML, other documents and anything with a DTD are refused with one text, and run nothing."""
    app = DemonstrationService()
    status, _, content = _post(app, body)
    assert status == "500 Internal Server Error"
    assert _fault(content) == ("soap:Client", "The request is not a SOAP message")
    assert app.calls == 0
    assert _post(app, _WHOAMI)[0] == "200 OK"


def test_headers_that_must_be_understood() -> None:
    """A header block that must be understood and is not is refused, a Security header among them."""
    for namespace, must, expected in (
        ("urn:other", "1", "500"),
        ("urn:other", "0", "200"),
        (WSSE, "1", "500"),
        ("http://www.w3.org/2005/08/addressing", "1", "200"),
    ):
        header = f'<s:Header><h:To xmlns:h="{namespace}" s:mustUnderstand="{must}">x</h:To></s:Header>'
        status, _, content = _post(DemonstrationService(), _envelope("<whoami/>", header=header))
        assert status.startswith(expected), (namespace, must)
        assert ("MustUnderstand" in _fault(content)[0]) == (expected == "500")


def test_processing_instructions_do_not_cut_a_text() -> None:
    """A text goes on behind a processing instruction and a comment."""
    body = _envelope("<echo><text>one<?pi x?><!-- c --> two<![CDATA[ <3>]]></text></echo>")
    content = _post(DemonstrationService(), body)[2]
    assert etree.fromstring(content).findtext(f".//{{{NAMESPACE}}}return") == "one two <3>"


def test_other_methods_are_told_to_post() -> None:
    """Everything but POST has status 405."""
    for method in ("GET", "PUT", "HEAD"):
        status, headers, _ = _post(DemonstrationService(), b"", REQUEST_METHOD=method)
        assert status.startswith("405")
        assert headers["Allow"] == "POST"


def test_messages_have_a_limit() -> None:
    """A message of the largest size is read, and one byte more is refused, whether its length is told or not."""
    app = DemonstrationService(limits=Limits(message_bytes=len(_WHOAMI)))
    told: dict[str, Any] = {}
    chunked: dict[str, Any] = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    for environ in (told, chunked):
        assert _post(app, _WHOAMI, **environ)[0] == "200 OK"
        assert _post(app, _WHOAMI + b" ", **environ)[0].startswith("413")


def test_body_shorter_than_its_length_is_refused() -> None:
    """A body that ends early is no message, even where what came is one."""
    app = DemonstrationService()
    status, _, content = _post(app, _WHOAMI, CONTENT_LENGTH=str(len(_WHOAMI) + 1))
    assert status.startswith("500")
    assert _fault(content)[1] == "The request is not a SOAP message"
    assert app.calls == 0


# ------------------------------------------------------------------------------------------------- contract


def test_wsdl_without_policy() -> None:
    """The contract has every operation with its actions, the address, and no policy."""
    wsdl = demonstration_wsdl(None, address="http://127.0.0.1:1/a?b&c")
    client = zeep.Client(io.BytesIO(wsdl))
    assert set(client.service._operations) == {"echo", "sum", "fail", "big", "whoami"}
    assert client.service._binding_options["address"] == "http://127.0.0.1:1/a?b&c"
    assert b"olicy" not in wsdl


@pytest.mark.parametrize(("soap", "namespace"), [("1.1", WSDL_SOAP11), ("1.2", WSDL_SOAP12)])
def test_wsdl_has_the_binding_asked_for(soap: str, namespace: str) -> None:
    """The binding is for SOAP 1.1 or 1.2, throughout."""
    root = etree.fromstring(demonstration_wsdl(None, address="http://a/", soap=soap))
    assert {etree.QName(e).namespace for e in root.iter("{*}binding", "{*}body", "{*}address")} == {
        "http://schemas.xmlsoap.org/wsdl/",
        namespace,
    }


def test_policy_is_attached_to_the_binding() -> None:
    """The shipped policy, once published, is that of secure conversation with derived keys for every operation."""
    policy = read_wsdl(etree.fromstring(demonstration_wsdl(_POLICY, address="http://a/")))
    assert set(policy.operations) == {"echo", "sum", "fail", "big", "whoami"}
    for operation in policy.operations.values():
        for one in (operation.request, operation.response, *operation.faults.values()):
            assert isinstance(one.binding, SymmetricBinding)
            assert one.conversation_token is not None
            assert one.signed.body
            assert one.encrypted == Parts(body=True)


def test_shipped_policy_is_that_of_the_peer() -> None:
    """Requests and responses under the shipped policy look as under the variant asym-dk of the peers."""
    variant = Path(__file__).parents[1] / "peers/cxf/src/main/resources/policies/asym-dk.xml"
    endpoint, message = etree.parse(variant).getroot().iterchildren("{*}Policy")
    alternative = endpoint.find(".//{*}All")
    assert alternative is not None
    alternative.extend(list(message))
    theirs, ours = (
        read_wsdl(etree.fromstring(demonstration_wsdl(document, address="http://a/")))
        for document in (etree.tostring(endpoint), _POLICY)
    )
    assert ours.operations["echo"].request == theirs.operations["echo"].request
    assert ours.operations["echo"].response == theirs.operations["echo"].response


@pytest.mark.parametrize("namespace", [WSP_2004, WSP_W3C])
@pytest.mark.parametrize("identifier", ["", "My&amp;Policy"])
def test_policies_of_both_namespaces_with_and_without_an_id(namespace: str, identifier: str) -> None:
    """The reference at the binding is in the policy's namespace and finds it, whatever its Id."""
    document = _POLICY.replace(WSP_W3C.encode(), namespace.encode()).replace(
        b'wsu:Id="SecureConversation"', f'wsu:Id="{identifier}"'.encode() if identifier else b""
    )
    wsdl = demonstration_wsdl(document, address="http://a/")
    reference = etree.fromstring(wsdl).find(f".//{{{namespace}}}PolicyReference")
    assert reference is not None
    assert read_wsdl(etree.fromstring(wsdl)).endpoint.conversation_token is not None


def test_declarations_that_only_a_text_uses_stay() -> None:
    """A prefix that only the text of an sp:XPath uses is still declared in the published WSDL."""
    extra = b"<sp:SignedElements><sp:XPath xmlns:odd='urn:odd'>//odd:a</sp:XPath></sp:SignedElements>"
    document = _POLICY.replace(b"<sp:SignedParts>", extra + b"<sp:SignedParts>")
    xpath = etree.fromstring(demonstration_wsdl(document, address="http://a/")).find(".//{*}XPath")
    assert xpath is not None
    assert xpath.nsmap["odd"] == "urn:odd"


def test_wsdl_keeps_everything_but_its_address() -> None:
    """A WSDL of the contract is published as it is, except for where the service is."""
    theirs = demonstration_wsdl(_POLICY, address="http://elsewhere/", soap="1.2")
    ours = demonstration_wsdl(theirs, address="http://here/")
    expected = theirs.replace(b"http://elsewhere/", b"http://here/")
    assert etree.tostring(etree.fromstring(ours), method="c14n") == etree.tostring(
        etree.fromstring(expected), method="c14n"
    )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"<html/>", "neither a WSDL nor a wsp:Policy"),
        (b"hello", "not well-formed"),
        (b"<!DOCTYPE a>" + _POLICY.partition(b"?>")[2], "document type"),
        (demonstration_wsdl(None, address="x").replace(NAMESPACE.encode(), b"urn:other"), "another contract"),
        (demonstration_wsdl(None, address="x").replace(b"wsdl:port ", b"wsdl:mort "), "cannot be read"),
        (demonstration_wsdl(None, address="x").replace(b"soap:address", b"soap:addrezz"), "no port"),
    ],
)
def test_documents_that_are_no_policy_are_refused(document: bytes, said: str) -> None:
    """What is neither a WSDL of the contract nor a policy is refused with a hint."""
    with pytest.raises(ConfigurationError) as raised:
        demonstration_wsdl(document, address="http://a/")
    assert said in raised.value.message
    assert raised.value.hint


def test_published_answers_get_wsdl_alone() -> None:
    """``?wsdl`` in any case gives the document; everything else goes to the application."""
    with HttpServer() as server:
        server.app = Published(DemonstrationService(), b"<wsdl/>")
        for query in ("wsdl", "WSDL", "Wsdl"):
            assert requests.get(f"{server.url}/any?{query}", timeout=10).content == b"<wsdl/>"
        assert requests.get(f"{server.url}/any", timeout=10).status_code == 405
        assert requests.post(f"{server.url}/any?wsdl", data=_WHOAMI, timeout=10).status_code == 200


# --------------------------------------------------------------------------------------------------- server


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """A server with the service, small limits."""
    limits = Limits(message_bytes=100_000)
    with HttpServer(DemonstrationService(limits=limits), limits=limits) as running:
        yield running


@pytest.fixture
def connection(server: HttpServer) -> Iterator[http.client.HTTPConnection]:
    """One connection to it."""
    one = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=30)
    yield one
    one.close()


def _chunked(connection: http.client.HTTPConnection, *pieces: bytes) -> tuple[int, bytes]:
    """POST the pieces as a chunk each; (status, body)."""
    connection.request(
        "POST", "/peer", body=iter(pieces), headers={"Transfer-Encoding": "chunked"}, encode_chunked=True
    )
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_chunked_bodies_are_read_to_the_end(connection: http.client.HTTPConnection) -> None:
    """Chunks of any size are one message, and the connection is kept for the next."""
    text = b"y" * 50_000
    body = _envelope(f"<echo><text>{text.decode()}</text></echo>")
    local = None
    for size in (1_000, 4_096, 49_999, len(body)):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        status, content = _chunked(connection, *pieces)
        assert status == 200
        assert text in content
        assert local in (None, connection.sock.getsockname())
        local = connection.sock.getsockname()


def test_idle_connections_hold_no_threads(server: HttpServer) -> None:
    """More clients than threads, each keeping its connection after a chunked request, are all served at once."""
    port = int(server.url.rpartition(":")[2])
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=8) for _ in range(25)]
    for _ in range(2):
        for one in connections:
            assert _chunked(one, _WHOAMI)[0] == 200
    for one in connections:
        one.close()


def test_requests_are_served_in_parallel(server: HttpServer) -> None:
    """Calls from several threads all get their own answer."""

    def echo(number: int) -> bool:
        body = _envelope(f"<echo><text>n{number}n</text></echo>")
        return f">n{number}n<" in requests.post(server.url, data=body, timeout=30).text

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(echo, range(40)))


def test_what_the_application_leaves_of_a_body_is_not_the_next_request(
    server: HttpServer, connection: http.client.HTTPConnection
) -> None:
    """A chunked body that the application did not read is skipped."""
    connection.request(
        "PUT",
        "/",
        body=iter([b"POST /evil HTTP/1.1\r\n\r\n"]),
        headers={"Transfer-Encoding": "chunked"},
        encode_chunked=True,
    )
    refused = connection.getresponse()
    assert (refused.status, refused.read()) == (405, b"POST a SOAP message\n")
    assert _chunked(connection, _WHOAMI)[0] == 200
    assert isinstance(server.app, DemonstrationService)
    assert server.app.calls == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"zz\r\nhello", b"400"),
        (b"5\r\nhelloXX", b"400"),
        (b"5\r\nhe", b"400"),
        (b"FFFFFFFFFF\r\n", b"400"),
        (b"10000\r\n" + b"a" * 65_536 + b"\r\n" + b"10000\r\n" + b"a" * 65_536 + b"\r\n0\r\n\r\n", b"413"),
    ],
    ids=["no-size", "no-end", "ends-early", "huge-chunk", "too-long"],
)
def test_broken_chunks_are_refused(server: HttpServer, sent: bytes, status: bytes) -> None:
    """Malformed, endless and too long bodies are refused, and the server goes on."""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30) as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + sent)
        one.shutdown(socket.SHUT_WR)
        assert one.recv(12).split() == [b"HTTP/1.1", status]
    assert requests.post(server.url, data=_WHOAMI, timeout=30).status_code == 200


def test_answers_503_until_there_is_an_application() -> None:
    """The URL is known, and answers, before the application is there."""
    with HttpServer() as server:
        assert requests.get(server.url, timeout=10).status_code == 503
        server.app = DemonstrationService()
        assert requests.post(server.url, data=_WHOAMI, timeout=10).status_code == 200


def test_application_that_fails_gives_500(caplog: pytest.LogCaptureFixture) -> None:
    """A defect of the application is logged and told with status 500, and the server goes on."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/defect":
            raise KeyError("defect")
        start_response("200 OK", [("Content-Length", "0")])
        return []

    with HttpServer(app) as server:
        assert requests.get(f"{server.url}/defect", timeout=10).status_code == 500
        assert requests.get(server.url, timeout=10).status_code == 200
    assert "KeyError('defect')" in caplog.text


def test_small_answers_do_not_wait() -> None:
    """Nagle's algorithm is off on the listening socket, from which connections inherit it."""
    with HttpServer() as server:
        assert server._server is not None
        assert server._server.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_tls(pki: Path) -> None:
    """With a context it is https, and the application is told so."""
    schemes = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        schemes.append(environ["wsgi.url_scheme"])
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    client = ssl.create_default_context(cafile=pki / "ca.pem")
    with HttpServer(app, tls=context) as server:
        assert server.url.startswith("https://127.0.0.1:")
        port = int(server.url.rpartition(":")[2])
        one = http.client.HTTPSConnection("127.0.0.1", port, context=client, timeout=30)
        one.request("GET", "/")
        assert one.getresponse().read() == b"ok"
        one.close()
    assert schemes == ["https"]


def test_stops_and_frees_the_port() -> None:
    """After leaving the block nobody listens, the port can be used again, and there is no URL."""
    with HttpServer(DemonstrationService()) as first:
        port = int(first.url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    with pytest.raises(RuntimeError):
        _ = first.url
    with HttpServer(DemonstrationService(), port=port) as second:
        assert second.url == f"http://127.0.0.1:{port}"
    second.stop()


def test_port_in_use_is_a_configuration_error() -> None:
    """A port that somebody has is refused with a hint, and the server can be tried again elsewhere."""
    with HttpServer() as first:
        taken = HttpServer(port=int(first.url.rpartition(":")[2]))
        with pytest.raises(ConfigurationError) as raised:
            taken.__enter__()
        assert "Cannot listen" in raised.value.message
        assert raised.value.hint
