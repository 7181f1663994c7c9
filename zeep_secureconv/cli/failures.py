"""What went wrong, for people: every error that a user can cause, as type, message and hint."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import click
import requests.exceptions
import zeep.exceptions

from ..errors import LimitExceeded, SecureConversationError, VerificationError


@dataclass(frozen=True)
class Failure:
    """One error, without a traceback.

    Args:
        type: name of the exception's class.
        message: what went wrong.
        hint: what to change, or None.
    """

    type: str
    message: str
    hint: str | None

    def as_dict(self) -> dict[str, str | None]:
        """The ``error`` object of ``--json``."""
        return {"type": self.type, "message": self.message, "hint": self.hint}


class _Row(NamedTuple):
    """How the exceptions of one class are told."""

    exception: type[BaseException]
    message: Callable[[Any], str]
    hint: str | None


def _own(error: SecureConversationError) -> str:
    text = str(error).replace(f"\nHint: {error.hint}", "")
    if isinstance(error.__cause__, requests.exceptions.RequestException):
        reason = _reason(error.__cause__)
        return text if reason in text else f"{text}: {reason}"
    return text


def _verification(error: VerificationError) -> str:
    return f"{_own(error)} [check {error.check}]"


def _fault(error: zeep.exceptions.Fault) -> str:
    return f"The service answered with a fault: {error.message}"


def _transport(error: zeep.exceptions.TransportError) -> str:
    if error.status_code:
        return f"The server answered with HTTP status {_status(error.status_code)} and no SOAP message"
    return "The server answered with something that is no SOAP message"


def _http(error: requests.exceptions.HTTPError) -> str:
    response = error.response
    if response is None:
        return "The server answered with an HTTP error"
    return f"{_address(response.url)} answered with HTTP status {_status(response.status_code)}"


def _os(error: OSError) -> str:
    reason = error.strerror or _text(error)
    return f"{reason}: {error.filename}" if error.filename else reason


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _at(what: str) -> Callable[[requests.exceptions.RequestException], str]:
    """A message that names the address and the reason of a request that had no answer."""

    def message(error: requests.exceptions.RequestException) -> str:
        address = _address(error.request.url) if error.request is not None else "the server"
        return f"{what} {address}: {_reason(error)}"

    return message


#: The first row whose class fits is taken, so a class stands before its bases.
_TABLE: tuple[_Row, ...] = (
    _Row(LimitExceeded, _own, None),
    _Row(VerificationError, _verification, None),
    _Row(SecureConversationError, _own, "check the options of the call against the policy of the service"),
    _Row(
        zeep.exceptions.Fault, _fault, "the call reached the operation; the fault is the operation's answer"
    ),
    _Row(
        zeep.exceptions.XMLSyntaxError,
        lambda _: "The document is not XML, so it is no WSDL",
        "open the address in a browser: it must show XML; the address of a WSDL often ends with ?wsdl",
    ),
    _Row(
        zeep.exceptions.TransportError,
        _transport,
        "check the address of the service; --endpoint URL gives another one than the WSDL",
    ),
    _Row(zeep.exceptions.ValidationError, _text, "compare the values with the operation's signature"),
    _Row(zeep.exceptions.Error, _text, "check the WSDL"),
    _Row(
        requests.exceptions.SSLError,
        _at("TLS failed with"),
        "give the CA of the server with --tls-ca FILE; the certificate must be for the host in the address",
    ),
    _Row(
        requests.exceptions.ProxyError,
        _at("The proxy failed for"),
        "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
    ),
    _Row(
        requests.exceptions.Timeout,
        _at("No answer in time from"),
        "check that the service is up, or wait longer with --timeout SECONDS",
    ),
    _Row(
        requests.exceptions.ConnectionError,
        _at("No connection to"),
        "check host and port, and that the service is running",
    ),
    _Row(requests.exceptions.HTTPError, _http, "check the address of the WSDL"),
    _Row(
        requests.exceptions.TooManyRedirects,
        _at("Too many redirects from"),
        "give the address that they lead to",
    ),
    _Row(requests.exceptions.InvalidURL, _text, "write http://HOST:PORT/PATH"),
    _Row(requests.exceptions.MissingSchema, _text, "write http://HOST:PORT/PATH"),
    _Row(requests.exceptions.InvalidSchema, _text, "write http://HOST:PORT/PATH"),
    _Row(
        requests.exceptions.RequestException, _at("The request failed to"), "check the address of the service"
    ),
    _Row(FileNotFoundError, _os, "give the path of an existing file"),
    _Row(PermissionError, _os, "give a path, or a port, that you have the rights for"),
    _Row(IsADirectoryError, _os, "give the path of a file"),
    _Row(OSError, _os, None),
)

#: What hints of the library call arguments are options here.
_OPTIONS = tuple(
    (re.compile(pattern), option)
    for pattern, option in (
        (r"\bidentity=(Identity\.\w+\([^)]*\))?", "--identity FILE"),
        (r"\btrust=(Trust\.\w+\([^)]*\))?", "--trust FILE"),
        (r"\bpeer=('[^']*')?", "--peer FILE"),
        (r"\bpolicy=('[^']*')?", "--policy FILE"),
        (r"\bendpoint=('[^']*')?", "--endpoint URL"),
        (r"\busername=(UsernameToken\([^)]*\))?", "--username NAME and --password TEXT"),
        (
            r"\btokens=\[LtpaToken\(…\)\] or tokens=\[XmlToken\(…\)\]",
            "--ltpa FILE; other tokens only Python gives",
        ),
        (r"\bdialect=('[^']*')?", "--dialect NAME"),
        (r"\bauthenticate= an object.*", "--users FILE, or --demo-users"),
        (r"; raise the limit in Limits\(\.\.\.\).*", ""),
        (r", or widen clock_skew=", ""),
        (r"raise the timeout of the transport", "wait longer with --timeout SECONDS"),
        (r"let the session trust .*", "give the CA of the server with --tls-ca FILE"),
    )
)

#: What :func:`explain` explains; anything else is a defect of this program.
EXPLAINED: tuple[type[BaseException], ...] = tuple(row.exception for row in _TABLE)


def explain(error: BaseException) -> Failure:
    """The failure that an exception of :data:`EXPLAINED` means."""
    row = next(row for row in _TABLE if isinstance(error, row.exception))
    hint = row.hint
    if isinstance(error, SecureConversationError) and error.hint is not None:
        hint = error.hint
        for pattern, option in _OPTIONS:
            hint = pattern.sub(option, hint)
    return Failure(type(error).__name__, printable(row.message(error)), hint)


def report(failure: Failure) -> None:
    """Tell a failure on standard error."""
    click.echo(f"{failure.type}: {failure.message}", err=True)
    if failure.hint:
        click.echo(f"Hint: {failure.hint}", err=True)


def printable(text: str) -> str:
    """*text* on one line, without characters that would steer a terminal: some of it may come from a peer."""
    return "".join(
        c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _address(url: str | None) -> str:
    """A URL without user name, password and query."""
    parts = urlsplit(url or "")
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _reason(error: BaseException) -> str:
    """What the operating system or OpenSSL said, from inside the exceptions of requests and urllib3."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        inner = waiting.pop(0)
        if not isinstance(inner, BaseException) or id(inner) in seen:
            continue
        seen.add(id(inner))
        # every exception of requests is an OSError too, and says less than what it was made from
        if isinstance(inner, OSError) and not isinstance(inner, requests.exceptions.RequestException):
            return getattr(inner, "verify_message", None) or inner.strerror or _text(inner)
        waiting += [getattr(inner, "reason", None), inner.__cause__, inner.__context__, *inner.args]
    return type(error).__name__
