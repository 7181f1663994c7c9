"""What ``from zeep_secureconv import …`` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import zeep_secureconv


@pytest.mark.parametrize("name", zeep_secureconv.__all__)
def test_every_name_is_there(name: str) -> None:
    """All that is promised can be imported, and has a docstring."""
    assert getattr(zeep_secureconv, name).__doc__


def test_what_serves_is_loaded_when_it_is_wanted() -> None:
    """Who only calls services does not load what serves them, nor what the extras are for."""
    program = """
import sys
import zeep_secureconv

extras = {"cheroot", "redis"}
assert not [name for name in sys.modules if name.startswith("zeep_secureconv.service.") or name in extras]
zeep_secureconv.SecureConversationMiddleware
assert "zeep_secureconv.service.middleware" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_other_names_are_not_there() -> None:
    """A name that is not promised is an AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Anything'"):
        _ = zeep_secureconv.Anything
