"""Which policy holds for a call: from the user, or from the WSDL as zeep loaded it."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from lxml import etree

from ..errors import ConfigurationError, TransportError
from ..policy.files import PolicySource, load_policy, parse_document
from ..policy.model import EndpointPolicy
from ..policy.reader import read_wsdl
from .exchange import reaching

log = logging.getLogger(__name__)


class Policies:
    """Finds the policy of an endpoint.

    Args:
        given: what the user gave as ``policy=``: for all endpoints, or by endpoint; None reads WSDLs.
    """

    def __init__(self, given: PolicySource | Mapping[str, PolicySource] | None) -> None:
        self._given = given
        self._lock = threading.Lock()
        self._files: dict[tuple[str, str | None], EndpointPolicy] = {}
        self._wsdls: weakref.WeakKeyDictionary[Any, dict[str, EndpointPolicy]] = weakref.WeakKeyDictionary()

    def is_given(self, endpoint: str) -> bool:
        """Whether the user himself gave the policy of this endpoint."""
        return self._source(endpoint) is not None

    def given(self, endpoint: str) -> EndpointPolicy | None:
        """The policy that the user gave for an endpoint."""
        return self._load_given(self._source(endpoint), None)

    def of_call(self, endpoint: str, binding: Any) -> EndpointPolicy:
        """The policy of a call through a zeep binding.

        Raises:
            ConfigurationError: when the WSDL cannot be loaded again.
            PolicyError: when it cannot be satisfied.
        """
        source = self._source(endpoint)
        if source is not None:
            given = self._load_given(source, binding.name.text)
            assert given is not None
            return given
        wsdl, name = binding.wsdl, binding.name.text
        known = self._wsdls.get(wsdl, {}).get(name)
        if known is None:
            # not under the lock: it may take a while, and others go elsewhere
            known = _read_from(wsdl, name)
            with self._lock:
                self._wsdls.setdefault(wsdl, {})[name] = known
        return known

    def _source(self, endpoint: str) -> PolicySource | None:
        if isinstance(self._given, Mapping):
            return self._given.get(endpoint)
        return self._given

    def _load_given(self, source: PolicySource | None, binding: str | None) -> EndpointPolicy | None:
        if source is None:
            return None
        if not isinstance(source, (str, Path)):
            return load_policy(source)
        key = (str(source), binding)
        with self._lock:
            if key not in self._files:
                self._files[key] = load_policy(source, binding=binding)
            return self._files[key]


def _read_from(wsdl: Any, binding: str) -> EndpointPolicy:
    location = wsdl.location
    if not isinstance(location, str) or not location:
        raise ConfigurationError(
            "The WSDL was given as an open file or document, so its policy cannot be read again",
            hint="give zeep the WSDL's path or URL, or give SecureConversation(policy='service.wsdl')",
        )
    if urlsplit(location).scheme == "http":
        log.warning("The policy is read from %s over http, where anybody on the way can change it", location)

    def load(where: str) -> etree._Element:
        with loading(where):
            data = wsdl.transport.load(where)
        return parse_document(data, where)

    return read_wsdl(load(location), location=location, load=load, binding=binding)


@contextmanager
def loading(location: str) -> Iterator[None]:
    """What requests raises inside, while a WSDL or schema is loaded, becomes an error that says what to change.

    Raises:
        TransportError: when it cannot be fetched.
    """
    where = without_password(location)
    try:
        with reaching(where, doing="reading the WSDL", address="the address of the WSDL"):
            yield
    except TransportError as error:
        cause = error.__cause__
        if not isinstance(cause, requests.HTTPError) or cause.response is None:
            raise
        status = cause.response.status_code
        raise TransportError(
            f"{where} answered with HTTP status {status}",
            status_code=status,
            hint="check the address of the WSDL",
            doing="reading the WSDL",
        ) from cause


def without_password(location: str) -> str:
    """A URL as it may be shown, without user name and password."""
    parts = urlsplit(location)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
