"""Options that several commands share, and what they lead to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import ConfigurationError
from ..wss.certificates import Trust, read_source
from ..wss.keys import Identity

_Command = TypeVar("_Command", bound=Callable[..., Any])

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
    """

    identity: Path | None
    identity_password: str | None = field(repr=False)
    key: Path | None
    trust: tuple[Path, ...]

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
            ConfigurationError: when a file cannot be read or holds no certificate.
        """
        return Trust.from_pem(*self.trust) if self.trust else None


_CREDENTIALS = (
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
)


def credential_options(command: _Command) -> _Command:
    """Add the options that :func:`credentials` reads."""
    for option in reversed(_CREDENTIALS):
        command = option(command)
    return command


def credentials(options: dict[str, Any]) -> Credentials:
    """Take the options of :func:`credential_options` out of *options*."""
    return Credentials(
        **{name: options.pop(name) for name in ("identity", "identity_password", "key", "trust")}
    )
