"""Which policy holds for a call: from the user, or from the WSDL as zeep loaded it."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from cryptography import x509
from lxml import etree

from ..conversation.store.forks import in_child
from ..errors import ConfigurationError, PolicyError, TransportError
from ..policy.algorithms import Algorithms
from ..policy.choice import Satisfiable
from ..policy.files import PolicySource, load_policy, parse_document
from ..policy.model import EndpointPolicy, Policy
from ..policy.presets import is_preset, preset
from ..policy.reader import read_wsdl
from ..wss.certificates import load_certificates
from .exchange import reaching
from .way import is_https

log = logging.getLogger(__name__)


#: Says why a policy cannot be satisfied at an endpoint: (policy, endpoint, over TLS, certificate in the WSDL).
Against = Callable[[Policy, str, bool, "x509.Certificate | None"], "str | None"]
_Read = Callable[[Satisfiable | None], EndpointPolicy]


class Policies:
    """Finds the policy of an endpoint, and among its alternatives the first that can be satisfied.

    Args:
        given: what the user gave as ``policy=``: for all endpoints, or by endpoint; None reads WSDLs.
        algorithms: what was agreed on besides the policies.
        against: says why an alternative cannot be satisfied; None: any can.
    """

    def __init__(
        self,
        given: PolicySource | Mapping[str, PolicySource] | None,
        *,
        algorithms: Algorithms | None = None,
        against: Against | None = None,
    ) -> None:
        self._given = given
        self._algorithms = algorithms or Algorithms()
        self._against = against
        self._remake()
        in_child(self._remake)
        self._files: dict[tuple[str, str | None, str, bool], EndpointPolicy] = {}
        self._wsdls: weakref.WeakKeyDictionary[Any, dict[tuple[str, str, bool], EndpointPolicy]] = (
            weakref.WeakKeyDictionary()
        )

    def _remake(self) -> None:
        self._lock = threading.Lock()

    def is_given(self, endpoint: str) -> bool:
        """Whether the user himself gave the policy of this endpoint."""
        return self._source(endpoint) is not None

    def given(self, endpoint: str) -> EndpointPolicy | None:
        """The policy that the user gave for an endpoint."""
        source = self._source(endpoint)
        if source is None:
            return None
        return self._load_given(source, None, endpoint, over_tls=is_https(endpoint))

    def dialect(self, endpoint: str) -> str | None:
        """The dialect of WS-Trust that belongs to the preset which the user gave for an endpoint."""
        source = self._source(endpoint)
        return preset(source).dialect if isinstance(source, str) and is_preset(source) else None

    def of_call(self, endpoint: str, binding: Any, *, over_tls: bool = False) -> EndpointPolicy:
        """The policy of a call through a zeep binding.

        Args:
            endpoint: the address of the call.
            binding: zeep's binding object.
            over_tls: whether it travels over TLS with verified certificates.

        Raises:
            ConfigurationError: when the WSDL cannot be loaded again.
            PolicyError: when it cannot be satisfied.
        """
        source, name = self._source(endpoint), binding.name.text
        if source is not None:
            return self._load_given(source, name, endpoint, over_tls=over_tls)
        wsdl, key = binding.wsdl, (name, endpoint, over_tls)
        known = self._wsdls.get(wsdl, {}).get(key)
        if known is None:
            # not under the lock: it may take a while, and others go elsewhere
            known = self._choose(_reading(wsdl, name), endpoint, over_tls=over_tls)
            with self._lock:
                self._wsdls.setdefault(wsdl, {})[key] = known
        return known

    def _source(self, endpoint: str) -> PolicySource | None:
        if isinstance(self._given, Mapping):
            return self._given.get(endpoint)
        return self._given

    def _load_given(
        self, source: PolicySource, binding: str | None, endpoint: str, *, over_tls: bool
    ) -> EndpointPolicy:
        def read(satisfiable: Satisfiable | None) -> EndpointPolicy:
            return load_policy(source, binding=binding, satisfiable=satisfiable)

        if not isinstance(source, (str, Path)):
            return self._algorithms.apply(read(None))
        key = (str(source), binding, endpoint, over_tls)
        with self._lock:
            if key not in self._files:
                self._files[key] = self._choose(read, endpoint, over_tls=over_tls)
            return self._files[key]

    def _choose(self, read: _Read, endpoint: str, *, over_tls: bool) -> EndpointPolicy:
        """The first alternative that can be satisfied; the first of all where none can.

        What is missing for that one is told when it is used, with the argument that supplies it.
        """
        named = read(None).identity
        certificate = _certificate(named) if named is not None else None

        def against(policy: Policy) -> str | None:
            reason = self._algorithms.against(policy)
            if reason is None and self._against is not None:
                reason = self._against(policy, endpoint, over_tls, certificate)
            return reason

        try:
            chosen = read(against)
        except PolicyError as error:
            log.debug("no alternative can be satisfied: %s", error.message)
            chosen = read(None)
        return self._algorithms.apply(chosen)


def _certificate(der: bytes) -> x509.Certificate | None:
    try:
        return load_certificates(der)[0]
    except ConfigurationError:
        return None


def _reading(wsdl: Any, binding: str) -> _Read:
    """Reads the policies of a WSDL that zeep loaded, as often as it is asked to; each document is loaded once."""
    location = wsdl.location
    if not isinstance(location, str) or not location:
        raise ConfigurationError(
            "The WSDL was given as an open file or document, so its policy cannot be read again",
            hint="give zeep the WSDL's path or URL, or give SecureConversation(policy='service.wsdl')",
        )
    if urlsplit(location).scheme == "http":
        log.warning("The policy is read from %s over http, where anybody on the way can change it", location)
    loaded: dict[str, etree._Element] = {}

    def load(where: str) -> etree._Element:
        if where not in loaded:
            with loading(where):
                data = wsdl.transport.load(where)
            loaded[where] = parse_document(data, where)
        return loaded[where]

    def read(satisfiable: Satisfiable | None) -> EndpointPolicy:
        return read_wsdl(
            load(location), location=location, load=load, binding=binding, satisfiable=satisfiable
        )

    return read


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
