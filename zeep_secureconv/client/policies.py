"""Which policy holds for a call: from the user, or from the WSDL as zeep loaded it."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union
from urllib.parse import urlsplit

from lxml import etree

from ..errors import ConfigurationError
from ..policy.model import EndpointPolicy, Policy
from ..policy.reader import read_document, read_wsdl
from ..soap.envelope import parser

log = logging.getLogger(__name__)

#: What ``policy=`` takes for one endpoint.
PolicySource = Union[str, Path, Policy, EndpointPolicy]


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
        with self._lock:
            known = self._wsdls.setdefault(wsdl, {})
            if name not in known:
                known[name] = _read_from(wsdl, name)
            return known[name]

    def _source(self, endpoint: str) -> PolicySource | None:
        if isinstance(self._given, Mapping):
            return self._given.get(endpoint)
        return self._given

    def _load_given(self, source: PolicySource | None, binding: str | None) -> EndpointPolicy | None:
        if source is None or isinstance(source, EndpointPolicy):
            return source
        if isinstance(source, Policy):
            return EndpointPolicy(endpoint=source)
        key = (str(source), binding)
        with self._lock:
            if key not in self._files:
                self._files[key] = _read_file(source, binding)
            return self._files[key]


def _read_file(source: str | Path, binding: str | None) -> EndpointPolicy:
    path = Path(source)
    if not path.is_file():
        raise ConfigurationError(
            f"There is no policy {str(source)!r}",
            hint="give the path of a WSDL or wsp:Policy file",
        )

    def load(location: str) -> etree._Element:
        return _parse(Path(location).read_bytes(), location)

    root = _parse(path.read_bytes(), str(path))
    is_wsdl = etree.QName(root).localname == "definitions"
    return read_document(
        root, location=str(path.resolve()), load=load, binding=binding if is_wsdl and _has(root, binding) else None
    )


def _has(root: etree._Element, binding: str | None) -> bool:
    """Whether a policy file has the binding that the client was made from; a policy of another WSDL need not."""
    local = (binding or "").rpartition("}")[2]
    return any(child.get("name") == local for child in root if etree.QName(child).localname == "binding")


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
        return _parse(wsdl.transport.load(where), where)

    return read_wsdl(load(location), location=location, load=load, binding=binding)


def _parse(data: bytes, location: str) -> etree._Element:
    try:
        return etree.fromstring(data, parser())
    except etree.XMLSyntaxError as error:
        raise ConfigurationError(
            f"{location} is not well-formed XML: {error}", hint="give a WSDL or a wsp:Policy file"
        ) from error
