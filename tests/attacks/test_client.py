"""Attacks on the whole client, over a real socket, by whoever sits on the line."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
import zeep
import zeep.exceptions
from lxml import etree

from tests.attacks.embedded import DIALECT
from tests.attacks.forge import NS, Message, Vault, World, element
from tests.attacks.line import ATTACH, Forward, Line, is_bootstrap
from tests.loopback import Answer, Loopback, Request
from tests.unit.parties import identity
from tests.unit.policy.documents import cxf_wsdl
from zeep_secureconv import (
    ConfigurationError,
    PolicyError,
    SecureConversation,
    TokenFault,
    TransportError,
    UnsecuredFault,
    VerificationError,
)
from zeep_secureconv.conversation.policies import conversation_policy
from zeep_secureconv.names import WSC_200512, WST_200512, sct_type
from zeep_secureconv.policy.model import Direction
from zeep_secureconv.soap.addressing import address_reply
from zeep_secureconv.soap.envelope import new_envelope, serialize
from zeep_secureconv.trust import (
    RequestSecurityTokenResponse,
    RequestType,
    TokenReference,
    new_context_token,
    response_to_xml,
)
from zeep_secureconv.wss.keys import Identity, Keyring
from zeep_secureconv.wss.protect import protect

SECRET = "text-that-must-not-leak"


@pytest.fixture
def line(world: World) -> Iterator[Line]:
    """The service, and nobody on the line yet."""
    with Line(world) as line:
        yield line


@pytest.fixture(params=ATTACH)
def how(request: pytest.FixtureRequest) -> str:
    """Each way to attach a SecureConversation to zeep."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture(autouse=True)
def nothing_leaks(line: Line, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No log record of any test here, not even zeep's own of whole messages, holds a key or a plaintext."""
    caplog.set_level(logging.DEBUG)
    yield
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert SECRET not in said
    for _, context in line.service.middleware._store.items("service"):
        vault = Vault()
        vault.add(context.key.secret)
        assert vault.leaks(said) == []


@pytest.fixture
def client(line: Line, how: str) -> Iterator[zeep.Client]:
    """A client that has called once, so that it holds a context."""
    with line.conversation(cancel_on_close=False) as sc:
        client = line.client(sc, how)
        assert client.service.echo(SECRET) == SECRET
        yield client


def _conversation(client: zeep.Client) -> SecureConversation:
    assert isinstance(client.wsse, SecureConversation)
    return client.wsse


# ---------------------------------------------------------------------------------- somebody else answers


class Impostor:
    """Answers requests for a context in the place of the service, with a key of its own choice.

    It cannot read what is encrypted to the service, and needs not: the MessageID is in the clear, and the policy
    takes a BinarySecret for a contribution of the server.

    Args:
        line: where it sits.
        signer: the identity that it signs with.
    """

    def __init__(self, line: Line, signer: Identity) -> None:
        self._line = line
        self._signer = signer

    def __call__(self, request: Request, forward: Forward) -> Answer:
        """Answer a bootstrap; pass anything else on."""
        if not is_bootstrap(request):
            return forward(request)
        environment = self._line.world.environment()
        message_id = Message(request.body).find("soap:Header/wsa:MessageID").text
        token = new_context_token("urn:uuid:chosen-by-the-impostor", wsc=WSC_200512, element_id="sct")
        response = RequestSecurityTokenResponse(
            wst=WST_200512,
            token_type=sct_type(WSC_200512),
            token=token,
            attached=TokenReference("#sct", sct_type(WSC_200512)),
            unattached=TokenReference(token.identifier, sct_type(WSC_200512)),
            proof_secret=b"a key that the impostor knows..."[:32],
        )
        soap = new_envelope(NS["soap"])
        soap.body.append(response_to_xml(response, DIALECT, RequestType.ISSUE))
        address_reply(
            soap,
            wsa=NS["wsa"],
            action=DIALECT.action(RequestType.ISSUE, Direction.RESPONSE) or "",
            relates_to=message_id,
            random=environment.random,
        )
        ring = Keyring(signing=self._signer, peer=identity("client").certificate)
        policy = conversation_policy(self._line.service.policy).bootstrap.response
        protect(soap, policy, ring, environment, direction=Direction.RESPONSE)
        return Answer(serialize(soap.envelope))


def test_another_client_of_the_ca_cannot_play_the_server(line: Line, how: str) -> None:
    """client2, whom the client's trust accepts, answers everything as the server would: the signer is not the server.

    Nothing of the call leaves the client. The same answer by the server itself gives the context.
    """
    line.post = Impostor(line, identity("client2"))
    with line.conversation() as sc:
        client = line.client(sc, how)
        with pytest.raises(VerificationError) as caught:
            client.service.echo(SECRET)
        assert caught.value.check == "signer"
        assert sc.contexts() == []
        assert [is_bootstrap(request) for request in line.loopback.posts] == [True]
        line.post = Impostor(line, identity("server"))
        assert sc.issue(line.endpoint).identifier == "urn:uuid:chosen-by-the-impostor"


def test_naming_two_certificates_admits_those_two(line: Line) -> None:
    """Who names client2 in peer= beside the server believes it; that is what peer= is for."""
    line.post = Impostor(line, identity("client2"))
    both = (identity("client2").certificate, identity("server").certificate)
    with line.conversation(peer=both, cancel_on_close=False) as sc, pytest.raises(TokenFault):
        line.client(sc).service.echo(SECRET)
    assert [is_bootstrap(request) for request in line.loopback.posts] == [True, False]


# ----------------------------------------------------------------------------------------- empty answers


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_empty_answer_is_no_success(client: zeep.Client, line: Line, status: int) -> None:
    """Zeep takes an empty 202 for a call without output; the operation has one, and somebody dropped it."""
    line.post = lambda _request, _forward: Answer(b"", status)
    with pytest.raises(VerificationError) as caught:
        client.service.echo(SECRET)
    assert caught.value.check == "empty-answer"
    line.let_pass()
    assert client.service.echo(SECRET) == SECRET
    assert len(_conversation(client).contexts()) == 1


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_answer_that_unpacks_to_nothing_is_no_success(
    client: zeep.Client, line: Line, status: int
) -> None:
    """An answer is empty if nothing is left after its Content-Encoding was undone."""
    line.post = lambda _request, _forward: Answer(gzip.compress(b""), status, {"Content-Encoding": "gzip"})
    with pytest.raises(VerificationError) as caught:
        client.service.echo(SECRET)
    assert caught.value.check == "empty-answer"


@pytest.mark.parametrize("status", [200, 202, 204, 404, 500])
def test_an_empty_answer_gives_no_context(line: Line, how: str, status: int) -> None:
    """The same for the trust service; nothing of the call is sent."""
    line.post = lambda _request, _forward: Answer(b"", status)
    with line.conversation(cancel_on_close=False) as sc:
        client = line.client(sc, how)
        with pytest.raises(TransportError) as caught:
            client.service.echo(SECRET)
        assert caught.value.status_code == status
        assert caught.value.hint
        line.let_pass()
        assert client.service.echo(SECRET) == SECRET


# --------------------------------------------------------------------------------------------- redirects


@pytest.fixture
def elsewhere() -> Iterator[Loopback]:
    """Another server, which would like to have the messages."""
    with Loopback(lambda _request: Answer(b"<html/>")) as other:
        yield other


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_call_is_not_redirected(client: zeep.Client, line: Line, elsewhere: Loopback, status: int) -> None:
    """A secured message is for its endpoint and for nobody else, also where HTTP would allow to send it on."""
    line.post = lambda _request, _forward: Answer(b"", status, {"Location": elsewhere.url})
    with pytest.raises(TransportError) as caught:
        client.service.echo(SECRET)
    assert caught.value.status_code == status
    assert elsewhere.requests == []
    line.let_pass()
    assert client.service.echo(SECRET) == SECRET


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_bootstrap_is_not_redirected(
    line: Line,
    how: str,
    elsewhere: Loopback,
    status: int,
) -> None:
    """The same for the request for a context."""
    line.post = lambda _request, _forward: Answer(b"", status, {"Location": elsewhere.url})
    with line.conversation() as sc:
        with pytest.raises(TransportError) as caught:
            line.client(sc, how).service.echo(SECRET)
        assert caught.value.status_code == status
    assert elsewhere.requests == []


def test_a_redirect_with_a_session_of_ones_own_is_refused(line: Line, elsewhere: Loopback) -> None:
    """Cookies or authentication make zeep post in another way, which follows redirects by itself."""
    session = requests.Session()
    session.cookies.set("a", "b")
    session.auth = ("user", "password")
    with line.conversation(cancel_on_close=False) as sc:
        client = sc.client(line.wsdl, transport=zeep.Transport(session=session))
        assert client.service.echo(SECRET) == SECRET
        line.post = lambda _request, _forward: Answer(b"", 307, {"Location": elsewhere.url})
        with pytest.raises(TransportError):
            client.service.echo(SECRET)
    assert elsewhere.requests == []


# ------------------------------------------------------------------------------------- never in the clear


def _without_policy() -> bytes:
    """The WSDL with everything of WS-Policy taken out, as an attacker would who hands it out."""
    root = etree.fromstring(cxf_wsdl("asym-dk").encode())
    for found in [e for e in root.iter() if isinstance(e.tag, str) and "Policy" in e.tag]:
        parent = found.getparent()
        if parent is not None:
            parent.remove(found)
    return etree.tostring(root)


def test_a_wsdl_without_policy_sends_nothing(world: World, how: str) -> None:
    """A WSDL from which somebody removed the policy does not switch security off: nothing is sent at all."""
    with Line(world, _without_policy()) as line, line.conversation() as sc:
        client = line.client(sc, how)
        with pytest.raises(PolicyError):
            client.service.echo(SECRET)
        assert line.loopback.posts == []


def test_an_operation_without_policy_sends_nothing(world: World, how: str) -> None:
    """Nor does one operation go in the clear because only the others have a policy."""
    wsdl = cxf_wsdl("asym-dk")
    start = wsdl.index("<wsdl:binding")
    policies = wsdl[start:].replace('<wsp:PolicyReference URI="#Message"/>', "", 2)
    with Line(world, (wsdl[:start] + policies).encode()) as line, line.conversation() as sc:
        client = line.client(sc, how)
        with pytest.raises(PolicyError) as caught:
            client.service.echo(SECRET)
        assert "unsigned" in caught.value.message
        assert line.loopback.posts == []


def test_a_policy_that_leaves_the_body_unsigned_is_the_users_own_choice(world: World) -> None:
    """From a WSDL it is refused; given with policy= it is taken."""
    wsdl = cxf_wsdl("asym-dk")
    start = wsdl.index('wsu:Id="Message"')
    weak = wsdl[:start] + wsdl[start:].replace("<sp:Body/>", "", 1)
    with Line(world, weak.encode()) as line:
        with line.conversation() as sc:
            with pytest.raises(PolicyError):
                line.client(sc).service.echo(SECRET)
            assert line.loopback.posts == []
        policy = line.service.policy
        chosen = replace(
            policy.operations["echo"].request,
            signed=replace(policy.operations["echo"].request.signed, body=False),
        )
        with line.conversation(policy=chosen, cancel_on_close=False) as sc:
            with pytest.raises(zeep.exceptions.Fault):
                line.client(sc).service.echo(SECRET)
            assert len(line.loopback.posts) == 2


@pytest.mark.parametrize(
    "setting", [{"raw_response": True}, {"strict": False}], ids=["raw_response", "strict"]
)
@pytest.mark.parametrize("scope", ["for the client", "for one call"])
def test_settings_under_which_nothing_is_checked_are_refused(
    client: zeep.Client, line: Line, setting: dict[str, bool], scope: str
) -> None:
    """raw_response hands out what nobody verified, strict=False repairs what was signed: both stop before sending."""
    before = len(line.loopback.posts)
    if scope == "for one call":
        with client.settings(**setting), pytest.raises(ConfigurationError):
            client.service.echo(SECRET)
    else:
        with _conversation(client) as sc:
            settings = zeep.Settings(**setting)
            other = zeep.Client(line.wsdl, wsse=sc, plugins=[sc], settings=settings)
            with pytest.raises(ConfigurationError):
                other.service.echo(SECRET)
    assert len(line.loopback.posts) == before
    assert client.service.echo(SECRET) == SECRET


def test_a_reply_that_nobody_verified_is_not_handed_out(line: Line) -> None:
    """Where wsse= was forgotten the reply stops at the plugin, and the request said nothing in the clear."""
    with line.conversation() as sc:
        client = zeep.Client(line.wsdl, plugins=[sc])
        line.post = lambda _request, _forward: Answer(
            f'<s:Envelope xmlns:s="{NS["soap"]}"><s:Body><echoResponse xmlns="urn:secureconv:peer">'
            "<return>forged</return></echoResponse></s:Body></s:Envelope>".encode()
        )
        with pytest.raises(ConfigurationError) as caught:
            client.service.echo(SECRET)
        assert "wsse=" in (caught.value.hint or "")
        client.transport.session.close()
    assert not any(SECRET.encode() in request.body for request in line.loopback.posts)


# ------------------------------------------------------------------------------------ forged and replayed


def _reads(client: zeep.Client, check: str) -> None:
    with pytest.raises(VerificationError) as caught:
        client.service.echo(SECRET)
    assert caught.value.check == check
    assert isinstance(caught.value, zeep.exceptions.SignatureVerificationFailed)
    assert SECRET not in str(caught.value) + repr(caught.value)


def test_a_replayed_answer_is_refused(client: zeep.Client, line: Line) -> None:
    """The genuine answer to the call before, sent again."""
    kept: list[Answer] = []

    def record(request: Request, forward: Forward) -> Answer:
        kept.append(forward(request))
        return kept[0]

    line.post = record
    assert client.service.echo(SECRET) == SECRET
    _reads(client, "replay")
    line.let_pass()
    assert client.service.echo(SECRET) == SECRET


def test_the_answer_to_another_call_is_refused(client: zeep.Client, line: Line) -> None:
    """A genuine answer that the client never got before, to a call that it made before."""
    kept: list[Answer] = []

    def hold_back(request: Request, forward: Forward) -> Answer:
        kept.append(forward(request))
        return Answer(b"try again", 503)

    line.post = hold_back
    with pytest.raises(zeep.exceptions.TransportError):
        client.service.echo(SECRET)
    line.post = lambda _request, _forward: kept[0]
    _reads(client, "relates-to")
    line.let_pass()
    assert client.service.echo(SECRET) == SECRET


def test_our_own_request_is_no_answer(client: zeep.Client, line: Line) -> None:
    """The request itself, sent back as it came."""
    line.post = lambda request, _forward: Answer(request.body)
    _reads(client, "reflection")
    line.let_pass()
    assert client.service.echo(SECRET) == SECRET


def test_a_request_of_another_call_is_no_answer(client: zeep.Client, line: Line) -> None:
    """A request that was made before, kept and sent back later, is remembered as one of our own."""
    earlier = line.loopback.posts[-1]
    line.post = lambda _request, _forward: Answer(earlier.body)
    _reads(client, "replay")
    line.let_pass()
    assert client.service.echo(SECRET) == SECRET


def test_a_forged_answer_is_refused(client: zeep.Client, line: Line) -> None:
    """The Body of the genuine answer exchanged, everything else as it was."""

    def forge(request: Request, forward: Forward) -> Answer:
        answer = Message(forward(request).body)
        answer.body[:] = [
            element('<echoResponse xmlns="urn:secureconv:peer"><return>forged</return></echoResponse>')
        ]
        return Answer(answer.bytes)

    line.post = forge
    _reads(client, "reference")
    line.let_pass()
    assert client.service.echo(SECRET) == SECRET


def test_a_clear_answer_is_refused(client: zeep.Client, line: Line) -> None:
    """An answer without any security."""
    line.post = lambda _request, _forward: Answer(
        f'<s:Envelope xmlns:s="{NS["soap"]}"><s:Body><echoResponse xmlns="urn:secureconv:peer">'
        "<return>forged</return></echoResponse></s:Body></s:Envelope>".encode()
    )
    _reads(client, "security-header")
    line.let_pass()
    assert client.service.echo(SECRET) == SECRET


def _fault(code: str = "soap:Server", extra: str = "") -> bytes:
    return (
        f'{extra}<soap:Envelope xmlns:soap="{NS["soap"]}" xmlns:wsc="{WSC_200512}"><soap:Body><soap:Fault>'
        f"<faultcode>{code}</faultcode><faultstring>forged</faultstring></soap:Fault></soap:Body></soap:Envelope>"
    ).encode()


@pytest.mark.parametrize("status", [200, 500])
def test_a_forged_fault_says_that_it_proves_nothing(client: zeep.Client, line: Line, status: int) -> None:
    """Any fault can be forged; it is raised as what it is, and costs a bootstrap at most."""
    line.post = lambda _request, _forward: Answer(_fault(), status)
    with pytest.raises(UnsecuredFault) as caught:
        client.service.echo(SECRET)
    assert not caught.value.verified
    line.let_pass()
    assert client.service.echo(SECRET) == SECRET
    assert len(_conversation(client).contexts()) == 1


def test_a_forged_bad_context_costs_a_bootstrap_and_no_more(client: zeep.Client, line: Line) -> None:
    """The call is not sent again: somebody may have had it executed. The next one asks for a new context."""
    line.post = lambda _request, _forward: Answer(_fault("wsc:BadContextToken"), 500)
    before = len(line.loopback.posts)
    with pytest.raises(TokenFault) as caught:
        client.service.echo(SECRET)
    assert not caught.value.verified
    assert len(line.loopback.posts) == before + 1
    line.let_pass()
    assert client.service.echo(SECRET) == SECRET
    assert len(_conversation(client).contexts()) == 1


def test_a_declared_fault_is_proven(client: zeep.Client) -> None:
    """The application's own fault, under the signature of the context, is zeep's ordinary Fault with its detail."""
    with pytest.raises(zeep.exceptions.Fault) as caught:
        client.service.fail("E42")
    assert not isinstance(caught.value, (TokenFault, UnsecuredFault))
    assert caught.value.detail is not None


@pytest.mark.parametrize(
    "declaration", ["<!DOCTYPE soap:Envelope []>", "<!DOCTYPE x [<!ATTLIST soap:Body a CDATA 'x'>]>"]
)
def test_a_document_type_declaration_is_refused_in_faults_too(
    client: zeep.Client, line: Line, declaration: str
) -> None:
    """Zeep lets a declaration pass that has no entities; no message with one is read, secured or not."""
    line.post = lambda request, forward: Answer(declaration.encode() + _strip(forward(request).body))
    _reads(client, "dtd")
    line.post = lambda _request, _forward: Answer(_fault(extra=declaration), 500)
    _reads(client, "dtd")


def _strip(body: bytes) -> bytes:
    return body.partition(b"?>")[2]


def test_an_entity_bomb_stops_at_the_parser(client: zeep.Client, line: Line) -> None:
    """A gigabyte from a kilobyte is an error of the transport, not the end of the memory."""
    bomb = "<!ENTITY a 'ha'>" + "".join(
        f"<!ENTITY {n} '{f'&{p};' * 10}'>" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    )
    line.post = lambda _request, _forward: Answer(
        f"<!DOCTYPE x [{bomb}]>".encode() + _fault().replace(b"forged", b"&i;")
    )
    with pytest.raises(zeep.exceptions.Error):
        client.service.echo(SECRET)
    line.let_pass()
    assert client.service.echo(SECRET) == SECRET


def test_an_answer_in_parts_is_checked_like_any_other(client: zeep.Client, line: Line) -> None:
    """The root of a multipart answer is verified; a forged one does not get through for being wrapped in MIME."""

    def parts(root: bytes) -> Answer:
        body = b"--b\r\nContent-Type: text/xml\r\nContent-ID: <r>\r\n\r\n" + root + b"\r\n--b--\r\n"
        return Answer(
            body, 200, {"Content-Type": 'multipart/related; boundary="b"; type="text/xml"; start="<r>"'}
        )

    line.post = lambda _request, _forward: parts(_fault().replace(b"soap:Fault", b"evil"))
    _reads(client, "security-header")
