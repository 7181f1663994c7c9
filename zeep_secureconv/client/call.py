"""One call of an operation on its way, and the watch over what zeep would take without asking."""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests
from lxml import etree
from requests.adapters import HTTPAdapter

from ..conversation.context import SecurityContext
from ..errors import ConfigurationError, SecureConversationError, TransportError, VerificationError
from ..limits import Limits
from ..policy.model import OperationPolicy
from ..soap.envelope import Soap
from ..wss.keys import Keyring
from ..wss.protect import Protected
from .exchange import read_content
from .flights import Lease
from .partner import Partner
from .way import Way

if TYPE_CHECKING:
    from .async_calls import AsyncCalls


@dataclass(frozen=True)
class Held:
    """What a message says: its header blocks, and what is in its Body.

    Between egress and apply the message is without it, so that a client that has SecureConversation in ``plugins=``
    but not in ``wsse=`` sends nothing in the clear.
    """

    blocks: list[etree._Element]
    text: str | None
    content: list[etree._Element]

    def put_back(self, envelope: etree._Element) -> None:
        """Put it into *envelope*, in front of what is there."""
        soap = Soap.of(envelope)
        if self.blocks:
            soap.need_header()[0:0] = self.blocks
        soap.body.text = self.text
        soap.body[0:0] = self.content


def hold_back(envelope: etree._Element) -> Held:
    """Take header blocks and the content of Body out of a message."""
    soap = Soap.of(envelope)
    held = Held(list(soap.header) if soap.header is not None else [], soap.body.text, list(soap.body))
    for element in (*held.blocks, *held.content):
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)
    soap.body.text = None
    return held


@dataclass(frozen=True)
class Clear:
    """What a message said before it was secured, so that it can be secured again.

    Args:
        blocks: its header blocks.
        text: of Body.
        content: the children of Body.
    """

    blocks: list[etree._Element]
    text: str | None
    content: list[etree._Element]

    @classmethod
    def of(cls, soap: Soap, *, whole: bool) -> Clear:
        """The message as it is.

        Args:
            soap: the message.
            whole: copy everything, because securing it changes what is inside; otherwise its parts are only moved.
        """
        blocks, content = soap.blocks(), list(soap.body)
        if whole:
            blocks, content = copy.deepcopy(blocks), copy.deepcopy(content)
        return cls(blocks, soap.body.text, content)

    def restore(self, envelope: etree._Element) -> None:
        """Make the message say this again, and nothing else."""
        soap = Soap.of(envelope)
        soap.need_header()[:] = self.blocks
        soap.body[:] = self.content
        soap.body.text = self.text


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request that was secured: what its reply is checked against."""

    context: SecurityContext
    keyring: Keyring
    protected: Protected
    limits: Limits


@dataclass(eq=False, kw_only=True)
class Call:
    """A call, from zeep's egress to its reply.

    zeep tells the wsse object neither operation nor address, and neither of its hooks sees the other's arguments;
    a context variable joins them, so that threads and tasks cannot take each other's calls.

    Args:
        owner: the SecureConversation that it belongs to.
        partner: whom it goes to.
        operation: the policies of the operation.
        has_output: whether an answer is due.
        action: wsa:Action of the request.
        envelope, headers: what egress was given, by which apply knows the call again.
        from_plugin: whether egress made it, so that ingress will end it.
        sent: set by apply.
        way: the way its messages go; None leaves it to the partner.
        held: header blocks and Body content, kept out of the message until apply secures it.
        verified: the envelope that verify let pass.
        lease: its use of the context's key, until the reply is there.
        clear: what it said before it was secured.
        resent: whether it was sent again already.
        given_up: whether its context was forgotten already, because of its answer.
        recover: secures it again where its answer says that it was not executed: (envelope, answer) -> whether to
            send it again.
    """

    owner: object
    partner: Partner
    operation: OperationPolicy
    has_output: bool
    action: str
    envelope: etree._Element | None
    headers: dict[str, str] | None
    from_plugin: bool = False
    way: Way | None = None
    held: Held | None = field(default=None, repr=False)
    sent: Sent | None = None
    verified: etree._Element | None = None
    lease: Lease | None = field(default=None, repr=False)
    clear: Clear | None = field(default=None, repr=False)
    resent: bool = False
    given_up: bool = False
    recover: Callable[[etree._Element, bytes], bool] | None = field(default=None, repr=False)

    def is_for(self, owner: object, envelope: etree._Element, headers: dict[str, str]) -> bool:
        """Whether these are the arguments of the call that is to be secured next."""
        mine = self.owner is owner and self.sent is None
        return mine and (self.envelope is envelope or self.headers is headers)

    def put_back(self, envelope: etree._Element) -> None:
        """Put what was held back into the message again, in front of what other plugins added."""
        if self.held is not None:
            self.held.put_back(envelope)
            self.held = None

    def end(self) -> None:
        """Its context's key may change: nothing of the call is on its way any more."""
        if self.lease is not None:
            self.lease.end()

    def finish(self, envelope: etree._Element) -> None:
        """Keep nothing but the reply that was verified, until ingress passes it on."""
        self.verified, self.envelope, self.headers = envelope, None, None
        self.clear = self.recover = None


CURRENT: ContextVar[Call | None] = ContextVar("zeep_secureconv_call", default=None)


@dataclass(eq=False, kw_only=True)
class Pending:
    """A call in an event loop, from zeep's egress until its transport secures it.

    Args:
        owner: the SecureConversation that it belongs to.
        envelope, headers: what egress was given.
        held: header blocks and Body content, kept out of the message.
        make: makes the call; may read files and the network.
        is_quick: whether it does neither.
        calls: secures it.
        applied: whether zeep asked the wsse object too.
    """

    owner: object
    envelope: etree._Element
    headers: dict[str, str]
    held: Held = field(repr=False)
    make: Callable[[], Call]
    is_quick: bool
    calls: AsyncCalls
    applied: bool = False

    def is_for(self, envelope: etree._Element, headers: dict[str, str]) -> bool:
        """Whether these are its request."""
        return self.envelope is envelope or self.headers is headers


PENDING: ContextVar[Pending | None] = ContextVar("zeep_secureconv_pending", default=None)


#: The sessions of calls.
_WATCHED: weakref.WeakSet[requests.Session] = weakref.WeakSet()


def _connect_anew() -> None:
    """Connections of its own for a forked child: on those of its parent the answers of both would be mixed up."""
    for session in list(_WATCHED):
        adapters: list[Any] = [one for one in session.adapters.values() if isinstance(one, HTTPAdapter)]
        for adapter in adapters:
            adapter.__setstate__(adapter.__getstate__())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_connect_anew)


def watch(session: requests.Session) -> None:
    """Watch the answers on a session: zeep takes an empty 202 for success, and follows redirects by itself."""
    _WATCHED.add(session)
    hooks = session.hooks["response"]
    if _check_response not in hooks:
        hooks.append(_check_response)


def _check_response(response: requests.Response, **_: object) -> None:
    call = CURRENT.get()
    asked = response.request.body
    body = asked if isinstance(asked, bytes) else (asked or "").encode()
    if call is None or call.sent is None or not is_request_of(call.sent, body):
        return
    redirected = 300 <= response.status_code < 400
    if not redirected:
        # requests would read on without end, and keeps here what was read
        response._content = read_content(response, call.sent.limits)  # noqa: SLF001
    try:
        refuse_answer(call, response.status_code, b"" if redirected else response.content)
    except SecureConversationError:
        response.close()  # nobody will read it
        raise


def refuse_answer(call: Call, status: int, content: bytes) -> None:
    """Refuse what zeep would take without asking: redirects, and nothing where something is due.

    Args:
        call: the call that was answered.
        status: of HTTP.
        content: the answer; empty for a redirect.

    Raises:
        TransportError: when the service redirects.
        VerificationError: check "empty-answer".
    """
    redirected = 300 <= status < 400
    if not redirected and (content or status not in (200, 201, 202)):
        return
    call.end()
    if redirected:
        raise TransportError(
            "The service redirects, and a secured message is for nobody else",
            status_code=status,
            hint="give the address that it redirects to as the endpoint, if you trust it",
            doing="calling the service",
            endpoint=call.partner.endpoint,
        )
    if call.has_output:
        raise VerificationError(
            "empty-answer",
            "The answer is empty, and the operation has an output",
            hint="something between here and the service dropped or forged the answer",
            doing="calling the service",
            endpoint=call.partner.endpoint,
        )


def is_request_of(sent: Sent, body: bytes) -> bool:
    """Whether the body of an HTTP request is the call's own, and not another one on the same session afterwards."""
    return (sent.protected.message_id or "\0").encode() in body


def refuse_settings(settings: Any) -> None:
    """Refuse zeep settings under which replies could not be checked.

    Raises:
        ConfigurationError: for raw_response=True and strict=False.
    """
    if settings.raw_response:
        raise ConfigurationError(
            "Settings(raw_response=True) would hand out replies that nobody verified or decrypted",
            hint="call without raw_response; plugins see the decrypted reply in ingress()",
        )
    if not settings.strict:
        raise ConfigurationError(
            "Settings(strict=False) lets the parser repair messages, and signatures then fail or mean something else",
            hint="use strict=True",
        )
