"""Users for ``authenticate=``."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from zeep_secureconv import ConfigurationError
from zeep_secureconv.service.users import DemoUsers, Users
from zeep_secureconv.wss.credentials import ReceivedToken


def test_users_of_a_file(tmp_path: Path) -> None:
    """Each line is a name, a colon and the password, colons and spaces of which count."""
    path = tmp_path / "users"
    path.write_text("\ufeffalice: won:der \n\n# bob:builder\nj\u00fcrgen:p\u00e4ss\r\n", encoding="utf-8")
    users = Users.from_file(path)
    assert users.password("alice") == " won:der "
    assert users.password("j\u00fcrgen") == "p\u00e4ss"
    assert users.password("bob") is None
    assert users.password("# bob") is None
    assert "won" not in repr(users)


@pytest.mark.parametrize("content", [b"alice:x\nhunter2\n", b":hunter2", b"alice:\xff\xfe"])
def test_a_file_that_is_none_is_told(tmp_path: Path, content: bytes) -> None:
    """What is wrong is told by its line, without the line, which may hold a password."""
    path = tmp_path / "users"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        Users.from_file(path)
    assert "hunter2" not in str(caught.value)
    assert "name:password" in str(caught.value.hint) + caught.value.message
    with pytest.raises(ConfigurationError):
        Users.from_file(tmp_path / "missing")


def test_demo_users_have_one_password() -> None:
    """Every name is a user with the password "secret", but for the empty one; every token has an owner."""
    users = DemoUsers()
    assert users.check("anybody", "secret")
    assert not users.check("anybody", "Secret")
    assert not users.check("", "secret")
    assert (users.password("anybody"), users.password("")) == ("secret", None)
    token = ReceivedToken(kind="{urn:x}LTPAv2", element=etree.Element("a"))
    assert users.token(token) == "bearer of LTPAv2"
