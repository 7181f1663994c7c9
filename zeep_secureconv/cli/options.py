"""Options that several commands share, and what they lead to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import ConfigurationError
from ..trust import DIALECTS
from ..wss.certificates import Trust, read_source
from ..wss.credentials import LtpaToken, UsernameToken
from ..wss.keys import Identity

_Command = TypeVar("_Command", bound=Callable[..., Any])

_TIMEOUT = 60.0

#: A path, whose absence is told by whoever opens it.
FILE = click.Path(path_type=Path)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who we are and whom we trust, as the options say it.

    Args:
        identity: a PKCS#12 file, or a PEM file with the certificate.
        identity_password: of the PKCS#12 file or the key.
        key: a PEM file with the key, when it is not in *identity*.
        trust: files with certificates.
        crl: files with lists of revoked certificates.
        username: our name as a user.
        password: its password.
        ltpa: a file with an LTPA token.
    """

    identity: Path | None = None
    identity_password: str | None = field(default=None, repr=False)
    key: Path | None = None
    trust: tuple[Path, ...] = ()
    crl: tuple[Path, ...] = ()
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ltpa: Path | None = None

    def load_identity(self) -> Identity | None:
        """The identity, or None when the options give none.

        Raises:
            ConfigurationError: when a file or the password is wrong.
        """
        if self.identity is None:
            if self.key is not None:
                raise ConfigurationError(
                    "--key gives a key without its certificate",
                    hint="give the certificate with --identity FILE",
                )
            return None
        data = read_source(self.identity, "identity file")
        # an empty password takes back the one of the environment
        password = self.identity_password or None
        if b"-----BEGIN" in data:
            return Identity.from_pem(data, self.key, password)
        return Identity.from_pkcs12(data, password)

    def load_trust(self) -> Trust | None:
        """The trust, or None when the options give none.

        Raises:
            ConfigurationError: when a file cannot be read or holds nothing of the kind.
        """
        if self.crl and not self.trust:
            raise ConfigurationError(
                "--crl gives lists of revoked certificates, and nothing is trusted anyway",
                hint="give the CA of each list with --trust FILE",
            )
        return Trust.from_pem(*self.trust, crl=self.crl) if self.trust else None

    def load_username(self) -> UsernameToken | None:
        """The user, or None when the options name none; without a password where they give none."""
        # a password alone may be in the environment for other calls
        return UsernameToken(self.username, self.password or None) if self.username is not None else None

    def load_tokens(self) -> tuple[LtpaToken, ...]:
        """The tokens that the options give; an LTPA token for policies of either version.

        Raises:
            ConfigurationError: when the file cannot be read.
        """
        if self.ltpa is None:
            return ()
        value = read_source(self.ltpa, "file of the LTPA token").decode("ascii", errors="replace").strip()
        return LtpaToken(value), LtpaToken(value, version=1)


_IDENTITY = (
    click.option(
        "--identity", type=FILE, metavar="FILE", help="Our certificate: a PKCS#12 file, or PEM with --key."
    ),
    click.option(
        "--identity-password",
        metavar="TEXT",
        envvar="ZEEP_SECURECONV_IDENTITY_PASSWORD",
        show_envvar=True,
        help="Password of the identity; better in the environment, where other users cannot see it.",
    ),
    click.option(
        "--key", type=FILE, metavar="FILE", help="The private key (PEM), if --identity does not hold it."
    ),
    click.option(
        "--trust",
        type=FILE,
        metavar="FILE",
        multiple=True,
        help="Whom to trust (PEM): CAs, and single certificates. May be given again.",
    ),
    click.option(
        "--crl",
        type=FILE,
        metavar="FILE",
        multiple=True,
        help="Certificates that the CAs of --trust have revoked (PEM or DER). May be given again.",
    ),
)
_TOKENS = (
    click.option("--username", metavar="NAME", help="Our name as a user, where the policy wants one."),
    click.option(
        "--password",
        metavar="TEXT",
        envvar="ZEEP_SECURECONV_PASSWORD",
        show_envvar=True,
        help="Password of the user; better in the environment, where other users cannot see it.",
    ),
    click.option(
        "--ltpa",
        type=FILE,
        metavar="FILE",
        help="An LTPA token, as in the cookie LtpaToken2 (or LtpaToken) of WebSphere.",
    ),
)


_STORE = (
    click.option(
        "--store",
        metavar="URL",
        envvar="ZEEP_SECURECONV_STORE",
        show_envvar=True,
        help="Keep contexts in file:PATH or redis://HOST:PORT/DB, encrypted with --store-key.",
    ),
    click.option(
        "--store-key",
        type=FILE,
        metavar="FILE",
        multiple=True,
        envvar="ZEEP_SECURECONV_STORE_KEY",
        show_envvar=True,
        help="The key of --store: a file with 32 random bytes, or with a passphrase. Given again: older keys.",
    ),
)


def identity_options(command: _Command) -> _Command:
    """Add the options for certificates that :func:`credentials` reads."""
    return _with(command, _IDENTITY)


def credential_options(command: _Command) -> _Command:
    """Add the options of a client that :func:`credentials` reads."""
    return _with(command, (*_IDENTITY, *_TOKENS))


def store_options(command: _Command) -> _Command:
    """Add ``--store`` and ``--store-key``, for :func:`.stores.open_store`."""
    return _with(command, _STORE)


_WAY = (
    click.option("--peer", type=FILE, metavar="FILE", help="The service's certificate (PEM)."),
    click.option(
        "--policy",
        metavar="FILE|PRESET",
        help="A WSDL or wsp:Policy file, or the name of a preset, to use instead of the WSDL's policy.",
    ),
    click.option(
        "--tls-ca", type=FILE, metavar="FILE", help="CAs (PEM) for https, instead of the usual ones."
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=_TIMEOUT,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for the server.",
    ),
)


def service_options(command: _Command) -> _Command:
    """Add the options that say how to reach a service and what its policy is."""
    return _with(command, _WAY)


def dialect_option(command: _Command) -> _Command:
    """Add ``--dialect``."""
    choice = click.Choice(["auto", *DIALECTS])
    text = "The dialect of WS-Trust that the service speaks."
    return click.option("--dialect", type=choice, default="auto", show_default=True, help=text)(command)


def credentials(options: dict[str, Any]) -> Credentials:
    """Take the options of :func:`credential_options` or :func:`identity_options` out of *options*."""
    names = [one.name for one in fields(Credentials)]
    return Credentials(**{name: options.pop(name) for name in names if name in options})


def _with(command: _Command, options: Sequence[Callable[[_Command], _Command]]) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command
