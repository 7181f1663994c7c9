"""zeep's transport, without the work that requests repeats for every call."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any

import requests
import zeep
from lxml import etree

from ..errors import ConfigurationError, SecureConversationError
from ..limits import Limits
from ..soap.envelope import refuse_width
from .call import CURRENT
from .exchange import nothing_in, reaching, read_soap
from .policies import loading, without_password

_MOST_WAYS = 100
_DOING = "calling the service"
_SOAP_TYPES = frozenset({"text/xml", "application/soap+xml", "application/xml"})
#: Answers in several parts; zeep takes them apart.
_PACKAGES = frozenset({"multipart/related", "application/xop+xml"})
_END = re.compile(rb"Envelope\s*>\s*\Z")
_WEB_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+)?html\b", re.IGNORECASE)
_NO_LIMITS_KNOWN = Limits()


@dataclass(frozen=True)
class _Way:
    """How requests reach an address: what requests works out from session and environment.

    Args:
        prepared: a request without a body, with the session's headers and authentication.
        settings: proxies, verification, client certificate.
    """

    prepared: requests.PreparedRequest
    settings: dict[str, Any]


class SecureTransport(zeep.Transport):
    """A zeep transport for secured calls. Redirects are not followed.

    requests reads the environment (proxies, netrc) and merges the settings of the session anew for every call,
    which takes longer than the HTTP exchange itself. Here that is done once for an address and a state of the
    session. Sessions with cookies or an authentication object go the ordinary way, since those may change what is
    sent from call to call.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._ways: dict[tuple[object, ...], _Way] = {}

    def load(self, url: str) -> bytes:
        """Load a WSDL or a schema.

        Raises:
            TransportError: when it cannot be fetched.
            ConfigurationError: when it is a web page.
            OSError: when it is a file that cannot be read.
        """
        with loading(str(url)):
            content: bytes = super().load(url)
        refuse_web_page(content, str(url))
        return content

    def post_xml(self, address: str, envelope: etree._Element, headers: dict[str, str]) -> requests.Response:
        """Post a request, and refuse an answer that is no SOAP message before zeep looks at it.

        Where the answer says that the service lost the context, the request is secured and posted again, once.

        Raises:
            TransportError: when there is no answer, or none that is SOAP.
            LimitExceeded: when the answer is too large.
        """
        call = CURRENT.get()
        try:
            response = self._exchange(address, envelope, headers)
            if (
                call is not None
                and call.recover is not None
                and call.recover(envelope, response.content or b"")
            ):
                response = self._exchange(address, envelope, headers)
        except BaseException:
            if call is not None:
                call.end()
            raise
        return response

    def _exchange(self, address: str, envelope: etree._Element, headers: dict[str, str]) -> requests.Response:
        response: requests.Response = super().post_xml(address, envelope, headers)
        try:
            check_answer(response, address)
        except SecureConversationError as error:
            raise error.at(doing=_DOING, endpoint=address, context=_context()) from error.__cause__
        return response

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> requests.Response:
        """Post a message.

        Raises:
            TransportError: when there is no answer.
        """
        with reaching("The service", doing=_DOING, endpoint=address, context=_context()):
            return self._post(address, message, headers)

    def _post(self, address: str, message: bytes, headers: dict[str, str]) -> requests.Response:
        session = self.session
        if (
            type(session) is not requests.Session
            or session.auth is not None
            or session.params
            or len(session.cookies)
            or self.logger.isEnabledFor(logging.DEBUG)
        ):
            response: requests.Response = super().post(address, message, headers)
            return response
        way = self._way(session, address)
        request = way.prepared.copy()
        request.headers.update(headers)
        request.prepare_body(message, None)
        return session.send(request, timeout=self.operation_timeout, allow_redirects=False, **way.settings)

    def _way(self, session: requests.Session, address: str) -> _Way:
        state = (
            address,
            session.verify,
            session.cert,
            session.trust_env,
            tuple(session.proxies.items()),
            tuple(session.headers.items()),
            tuple(session.hooks["response"]),
        )
        way = self._ways.get(state)
        if way is None:
            if len(self._ways) >= _MOST_WAYS:
                self._ways.clear()
            settings = session.merge_environment_settings(address, {}, None, None, None)
            way = _Way(session.prepare_request(requests.Request("POST", address)), dict(settings))
            self._ways[state] = way
        return way


def refuse_web_page(content: bytes, url: str) -> None:
    """Refuse a page for people where a WSDL or a schema is expected.

    Raises:
        ConfigurationError: when it is one.
    """
    if _WEB_PAGE.match(content):
        raise ConfigurationError(
            f"There is a web page at {without_password(url)}, not a WSDL or schema",
            hint="open the address in a browser: it must show XML; that of a WSDL often ends with ?wsdl",
        )


def check_answer(response: requests.Response, address: str) -> None:
    """Refuse what zeep could tell nothing about; what looks like a SOAP message is parsed by zeep alone.

    Raises:
        TransportError: when it is empty, or no SOAP message.
        LimitExceeded: when it is too large.
    """
    content = response.content
    if not content:
        # zeep takes these two for the answer to a one-way operation
        if response.status_code not in (201, 202):
            raise nothing_in(response, address)
        return
    call = CURRENT.get()
    limits = call.sent.limits if call is not None and call.sent is not None else _NO_LIMITS_KNOWN
    media_type = response.headers.get("Content-Type", "text/xml").partition(";")[0].strip().lower()
    if media_type in _PACKAGES:
        return
    refuse_width(content, limits)
    if media_type not in _SOAP_TYPES or not _END.search(content[-256:]):
        read_soap(response, content, address, limits)


def _context() -> str | None:
    """The context of the call that is on its way."""
    call = CURRENT.get()
    return call.sent.context.identifier if call is not None and call.sent is not None else None
