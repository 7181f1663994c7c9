"""zeep's asynchronous transport, which secures calls: only there can they wait without blocking the event loop."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import httpx
import requests
from lxml import etree
from zeep.transports import HTTPX_PROXY_KWARG_NAME, AsyncTransport
from zeep.wsdl.utils import etree_to_string

from ..errors import ConfigurationError, SecureConversationError, TransportError
from ..limits import Limits
from .async_way import HttpxWay, need_open, reaching, send, verifies, watch_client
from .call import CURRENT, PENDING, Call, Pending, refuse_answer
from .policies import without_password
from .transport import check_answer, refuse_web_page
from .way import NoWay, Way

if HTTPX_PROXY_KWARG_NAME is None:
    # what zeep makes of it when packaging is missing, with httpx or without
    raise ModuleNotFoundError("zeep's asynchronous transport needs httpx and packaging")

_DOING = "calling the service"
_NO_LIMITS_KNOWN = Limits()


class AsyncSecureTransport(AsyncTransport):
    """A zeep transport for secured calls in an event loop. Redirects are not followed.

    Args:
        client: an httpx client for calls, which stays the caller's; by default one with the arguments below. It
            counts as one that verifies certificates unless *verify_ssl* is False.
        wsdl_client: an httpx client for WSDLs and schemas.
        cache: of zeep, for WSDLs and schemas.
        timeout: for WSDLs and schemas, in seconds.
        operation_timeout: for calls, in seconds, or an ``httpx.Timeout``; None for none.
        verify_ssl: True, or an ``ssl.SSLContext``, verifies certificates.
        proxy: URL of a proxy.
    """

    def __init__(
        self,
        *,
        client: httpx.AsyncClient | None = None,
        wsdl_client: httpx.Client | None = None,
        cache: Any = None,
        timeout: float = 300,
        operation_timeout: Any = None,
        verify_ssl: Any = True,
        proxy: Any = None,
    ) -> None:
        given = [(one, one.headers) for one in (client, wsdl_client) if one is not None]
        super().__init__(
            client=client,
            wsdl_client=wsdl_client,
            cache=cache,
            timeout=timeout,
            operation_timeout=operation_timeout,
            verify_ssl=verify_ssl,
            proxy=proxy,
        )
        for one, headers in given:
            one.headers = headers  # zeep puts its own in their place
        self._makes_client = client is None
        self._makes_wsdl_client = wsdl_client is None
        self._options = {"verify": verify_ssl, "timeout": operation_timeout, HTTPX_PROXY_KWARG_NAME: proxy}
        unverified = isinstance(verify_ssl, ssl.SSLContext) and verify_ssl.verify_mode != ssl.CERT_REQUIRED
        self._verified = bool(verify_ssl) and not unverified and verifies(self.client)
        self._loop: asyncio.AbstractEventLoop | None = None

    def way(self) -> HttpxWay:
        """The way of a call in the running event loop.

        Raises:
            ConfigurationError: when none runs, or the client is closed.
        """
        need_open(self.client)
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                "An asynchronous client is called outside of an event loop",
                hint="call it in a coroutine, and await the result; sc.client(wsdl) makes a client for other code",
            ) from None
        return HttpxWay(self.client, self._loop, self._verified, self._spare)

    def _spare(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(**self._options)

    def load(self, url: str) -> bytes:
        """Load a WSDL or a schema.

        Raises:
            TransportError: when it cannot be fetched.
            ConfigurationError: when it is a web page.
            OSError: when it is a file that cannot be read.
        """
        content: bytes = super().load(url)
        refuse_web_page(content, str(url))
        return content

    def _load_remote_data(self, url: str) -> bytes:
        where = without_password(url)
        with reaching(where, doing="reading the WSDL", address="the address of the WSDL"):
            response = self.wsdl_client.get(url)
        if not response.is_success:
            raise TransportError(
                f"{where} answered with HTTP status {response.status_code}",
                status_code=response.status_code,
                hint="check the address of the WSDL",
                doing="reading the WSDL",
            )
        content: bytes = response.content
        return content

    async def post_xml(
        self, address: str, envelope: etree._Element, headers: dict[str, str]
    ) -> requests.Response:
        """Secure a request and post it, and refuse an answer that is no SOAP message before zeep looks at it.

        Where the answer says that the service lost the context, the request is secured and posted again, once.

        Raises:
            ConfigurationError: when something is missing, before any traffic.
            PolicyError: when the policy cannot be satisfied.
            VerificationError, TokenFault: when no context could be got.
            TransportError: when there is no answer, or none that is SOAP.
            LimitExceeded: when the answer is too large.
        """
        pending = PENDING.get()
        PENDING.set(None)
        if pending is None or not pending.is_for(envelope, headers):
            return await self._exchange(address, envelope, headers, None)
        call = await _made(pending)
        CURRENT.set(call)
        try:
            await pending.calls.secure(call, envelope)
            response = await self._exchange(address, envelope, headers, call)
            if await pending.calls.recover(call, envelope, response.content or b""):
                response = await self._exchange(address, envelope, headers, call)
        except BaseException:
            call.end()
            raise
        return response

    async def _exchange(
        self, address: str, envelope: etree._Element, headers: dict[str, str], call: Call | None
    ) -> requests.Response:
        sent = call.sent if call is not None else None
        limits = sent.limits if sent is not None else _NO_LIMITS_KNOWN
        message: bytes = etree_to_string(envelope)
        self.logger.debug("HTTP Post to %s:\n%s", address, message)
        try:
            response = await send(self.client, address, message, headers, limits)
            if call is not None:
                refuse_answer(call, response.status_code, response.content)
            check_answer(response, address)
        except SecureConversationError as error:
            known = sent.context.identifier if sent is not None else None
            raise error.at(doing=_DOING, endpoint=address, context=known) from error.__cause__
        self.logger.debug(
            "HTTP Response from %s (status: %d):\n%s", address, response.status_code, response.content
        )
        return response

    async def aclose(self) -> None:
        """Close the client for calls, as zeep does, and the one for WSDLs if it is not the caller's."""
        if self._makes_wsdl_client:
            self.wsdl_client.close()
        await self.client.aclose()

    async def aclose_here(self) -> None:
        """Close what is not the caller's, unless another event loop uses it."""
        if self._loop in (None, asyncio.get_running_loop()):
            if self._makes_wsdl_client:
                self.wsdl_client.close()
            if self._makes_client:
                await self.client.aclose()


def async_way_of(transport: AsyncTransport) -> Way:
    """How the messages of an asynchronous zeep transport travel."""
    if isinstance(transport, AsyncSecureTransport):
        return transport.way()
    watch_client(transport.client)
    return NoWay(verifies(transport.client))


async def _made(pending: Pending) -> Call:
    """The call, made in a thread where its policy has to be read.

    Raises:
        ConfigurationError: when the reply would not be verified.
    """
    if not pending.applied:
        raise ConfigurationError(
            "SecureConversation is in plugins= but not wsse=, so the reply would not be verified",
            hint="write AsyncClient(wsdl, wsse=sc, plugins=[sc], transport=sc.async_transport()) "
            "or sc.async_client(wsdl)",
        )
    return pending.make() if pending.is_quick else await pending.calls.run(pending.make)
