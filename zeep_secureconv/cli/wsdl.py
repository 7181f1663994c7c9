"""A zeep client from the WSDL that a command line names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
import zeep
from requests.adapters import HTTPAdapter
from zeep.wsdl.bindings.soap import SoapBinding

from ..errors import ConfigurationError
from .failures import EXPLAINED


def trust_authorities(session: requests.Session, authorities: Path | None) -> None:
    """Let a session trust the CAs of ``--tls-ca``, where it is given, and no others.

    Raises:
        ConfigurationError: when there is no such file.
    """
    if authorities is None:
        return
    if not authorities.is_file():
        raise ConfigurationError(f"--tls-ca: there is no file {authorities}", hint="give a PEM file")
    session.mount("https://", _TrustingAdapter(authorities))


def read_wsdl(make: Callable[[], zeep.Client]) -> zeep.Client:
    """The client that *make* makes.

    Raises:
        ConfigurationError: when zeep cannot read the WSDL.
    """
    try:
        return make()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, EXPLAINED):
            raise
        # what zeep raises on XML that is no WSDL, or a damaged one
        raise ConfigurationError(
            f"zeep cannot read the WSDL: {type(error).__name__}: {error}",
            hint="check the file or the address",
        ) from error


def soap_ports(client: zeep.Client) -> Iterator[tuple[str, Any]]:
    """(name of the service, port) of each SOAP port."""
    for service in client.wsdl.services.values():
        for port in service.ports.values():
            if isinstance(port.binding, SoapBinding):
                yield service.name, port


class _TrustingAdapter(HTTPAdapter):
    """Trusts the CAs of a file; with ``session.verify`` REQUESTS_CA_BUNDLE in the environment would win.

    Args:
        authorities: a PEM file.
    """

    def __init__(self, authorities: Path) -> None:
        super().__init__()
        self._authorities = str(authorities)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request over TLS to a server that one of the CAs vouches for."""
        return super().send(request, *args, **{**kwargs, "verify": self._authorities})
