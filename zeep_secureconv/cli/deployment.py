"""What the options of ``serve`` come to, in this process or in several."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..conversation.policies import conversation_policy
from ..conversation.store import Store
from ..errors import ConfigurationError
from ..policy.model import EndpointPolicy
from ..policy.needs import service_needs
from ..policy.presets import NAMES, Preset, is_preset, preset
from ..service.authentication import Authenticate
from ..service.contract import demonstration_wsdl
from ..service.logs import JsonFormatter, TextFormatter
from ..service.pki import is_for_trial
from ..service.server import HttpServer
from ..service.users import DemoUsers, Users
from ..wss.certificates import read_source
from .embedded import PATH, alternatives, protected_service
from .options import Credentials
from .stores import open_store
from .tls import tls_certificates, tls_context

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from cryptography import x509

_TRY = "'zeep-secureconv pki DIR' makes certificates for trying things out"

#: For each need of a service: what supplies it here, what is said without it, and what to do then.
_IDENTITY = (
    "identity",
    "The service needs a certificate with its private key",
    f"give --identity FILE; {_TRY}",
)
_USERS = ("users", "Nothing checks users and tokens", "give --users FILE, or --demo-users to try things out")
_NEEDS: dict[str, tuple[str, str, str]] = {
    "signing identity": _IDENTITY,
    "decrypting identity": _IDENTITY,
    "trust": ("trust", "Nothing says which clients to trust", f"give --trust FILE with their CA; {_TRY}"),
    "user check": _USERS,
    "user passwords": _USERS,
    "token check": _USERS,
    "https": (
        "tls",
        "The policy leaves security to TLS, and there is no TLS",
        f"give --tls-identity FILE; {_TRY}",
    ),
}

#: How long requests that are under way at the end may take, in seconds.
GRACE = 30.0

#: How the log is written, by the names of ``--log``.
LOG_FORMATS = {"text": TextFormatter, "json": JsonFormatter}


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What to serve, and how: a value that other processes can be given.

    Args:
        policy: a WSDL of the contract, a wsp:Policy file, or the name of a preset.
        soap: "1.1" or "1.2", for a wsp:Policy.
        address: URL of the service as clients write it; empty for that of the socket.
        credentials: the service's identity, and whom to trust.
        users: a file of users.
        demo_users: believe everybody who knows the one password.
        tls_identity: serve https with this file.
        tls_identity_password: of that file.
        lifetime: of contexts, in seconds.
        renew_after_expiry: whether contexts that are over may be renewed.
        tolerate: stacks whose clients are met halfway.
        store: URL of a store; contexts are in memory without one.
        store_key: files with the key, and older keys.
        threads: how many requests one process works on at once.
        log: "text" or "json".
        log_level: what is logged, as ``logging`` names it.
    """

    policy: str
    soap: str
    address: str
    credentials: Credentials
    users: Path | None
    demo_users: bool
    tls_identity: Path | None
    tls_identity_password: str | None = field(repr=False)
    lifetime: int
    renew_after_expiry: bool = False
    tolerate: tuple[str, ...] = ()
    store: str | None = field(repr=False)
    store_key: tuple[Path, ...]
    threads: int
    log: str
    log_level: str

    def set_up_log(self) -> None:
        """Write the log to standard error: there is why a message was refused, which the peer is not told."""
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(LOG_FORMATS[self.log]())
        logging.basicConfig(handlers=[handler], level=self.log_level.upper())

    def url_of(self, host: str, listening: socket.socket) -> str:
        """The URL of the service on a socket that was bound to a name."""
        scheme = "http" if self.tls_identity is None else "https"
        host = f"[{host}]" if ":" in host else host
        return self.address or f"{scheme}://{host}:{listening.getsockname()[1]}{PATH}"

    def check(self) -> None:
        """Find out whether it can be served, without a socket.

        Raises:
            ConfigurationError: when something is missing or wrong.
            PolicyError: when the policy cannot be satisfied.
        """
        document, named = _policy_document(self.policy)
        given = {
            "identity": self.credentials.load_identity(),
            "trust": self.credentials.load_trust(),
            "users": self._authenticate(),
            "tls": self._tls(),
        }
        policies = alternatives(
            demonstration_wsdl(document, address="http://localhost/", soap=self.soap),
            location=self.policy,
            preset=named,
        )
        _need_everything(policies, given)
        self._store()

    @contextmanager
    def served(self, listening: socket.socket) -> Iterator[None]:
        """Serve on a socket while the block runs, and answer what is under way then; ``address`` must be there."""
        application = self._application()
        with HttpServer(application, listening=listening, tls=self._tls(), threads=self.threads) as server:
            try:
                yield
            finally:
                with _bounded():
                    server.stop()

    def doubts(self, interface: str) -> tuple[str, ...]:
        """What others should not be able to reach: nothing where only this machine can.

        Args:
            interface: the IP address that it is served on.
        """
        if _is_loopback(interface):
            return ()
        found = [
            f"{what} from 'zeep-secureconv pki', whose keys are not protected: make others for a service that "
            "other machines reach"
            for what, certificates in self._certificates().items()
            if any(map(is_for_trial, certificates))
        ]
        if self.demo_users:
            found.append("--demo-users lets everybody in who can reach this service")
        return tuple(found)

    def _certificates(self) -> dict[str, tuple[x509.Certificate, ...]]:
        identity, trust = self.credentials.load_identity(), self.credentials.load_trust()
        tls = self.tls_identity
        return {
            "the certificate of --identity is": () if identity is None else (identity.certificate,),
            "certificates of --trust are": () if trust is None else trust.anchors + trust.pins,
            "the certificate of --tls-identity is": ()
            if tls is None
            else tls_certificates(tls, self.tls_identity_password),
        }

    def _application(self) -> WSGIApplication:
        document, named = _policy_document(self.policy)
        return protected_service(
            document,
            location=self.policy,
            endpoint=self.address,
            soap=self.soap,
            identity=self.credentials.load_identity(),
            trust=self.credentials.load_trust(),
            lifetime=timedelta(seconds=self.lifetime),
            authenticate=self._authenticate(),
            preset=named,
            store=self._store(),
            renew_after_expiry=self.renew_after_expiry,
            tolerate=self.tolerate,
        )

    def _authenticate(self) -> Authenticate | None:
        if self.demo_users:
            return DemoUsers()
        return Users.from_file(self.users) if self.users is not None else None

    def _store(self) -> Store | None:
        return None if self.store is None else open_store(self.store, self.store_key)

    def _tls(self) -> Any:
        path = self.tls_identity
        return None if path is None else tls_context(path, self.tls_identity_password)


@contextmanager
def _bounded() -> Iterator[None]:
    """End this process in any case where the block takes longer than requests that are under way may."""
    timer = threading.Timer(GRACE, os._exit, [1])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _need_everything(policies: tuple[EndpointPolicy, ...], given: dict[str, Any]) -> None:
    """Refuse to start without what the policies want, by the names of the options that supply it."""
    for policy in policies:
        conversation = conversation_policy(policy)
        for secured in (conversation.bootstrap.request, conversation.application):
            for need in service_needs(secured):
                option, message, hint = _NEEDS[need.kind]
                if given[option] is None:
                    raise ConfigurationError(f"{message} ({need.why})", hint=hint)


def _policy_document(name: str) -> tuple[bytes, Preset | None]:
    """The document of a file, or of a preset, and that preset."""
    if Path(name).exists():
        return read_source(name, "policy file"), None
    if not is_preset(name):
        raise ConfigurationError(
            f"--policy: there is no file {name}, and no preset of that name",
            hint=f"give a WSDL of the contract, a wsp:Policy file, or one of: {NAMES}",
        )
    found = preset(name)
    return found.document(), found
