"""Users of a service, for ``authenticate=``: those of a file, and those of a demonstration."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigurationError
from ..wss.certificates import read_source
from ..wss.credentials import ReceivedToken

_DEMO_PASSWORD = "secret"


class Users:
    """Users whose passwords are known. They are kept in the clear, as digests and derived keys need them.

    Args:
        passwords: by user name.
    """

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._passwords = dict(passwords)

    def __repr__(self) -> str:
        return f"<{len(self._passwords)} users>"

    @classmethod
    def from_file(cls, path: str | Path) -> Users:
        """The users of a file with a line ``name:password`` for each; empty lines and those with # do not count.

        Raises:
            ConfigurationError: when it cannot be read, or a line is no such line.
        """
        try:
            lines = read_source(path, "file of users").decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise ConfigurationError(
                f"The file of users is not UTF-8: {path}", hint="write lines name:password in UTF-8"
            ) from error
        passwords = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            name, colon, password = line.partition(":")
            if not colon or not name.strip():
                # the line itself may hold a password
                raise ConfigurationError(
                    f"Line {number} of the file of users is no name:password: {path}",
                    hint="write a name, a colon and the password on each line",
                )
            passwords[name.strip()] = password
        return cls(passwords)

    def password(self, name: str) -> str | None:
        """The password of a user, or None when there is no such user."""
        return self._passwords.get(name)


class DemoUsers:
    """For trying things out: every name is a user with the password "secret", and every token is believed."""

    def check(self, name: str, password: str) -> bool:
        """Whether it is the one password."""
        return bool(name) and hmac.compare_digest(password.encode(), _DEMO_PASSWORD.encode())

    def password(self, name: str) -> str | None:
        """The one password."""
        return _DEMO_PASSWORD if name else None

    def token(self, received: ReceivedToken) -> str | None:
        """Whose token it is: nothing is known of it but its kind."""
        return f"bearer of {received.kind.rpartition('}')[2].rpartition('#')[2]}"
