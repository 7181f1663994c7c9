"""What the tests of the trust messages share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from zeep_secureconv.limits import Limits
from zeep_secureconv.soap.envelope import Soap, parse

_VECTORS = Path(__file__).parents[2] / "vectors"

Payload = Callable[[str], etree._Element]


@pytest.fixture
def payload() -> Payload:
    """Gives the child of the Body of a message under tests/vectors, by "folder/name"."""

    def load(name: str) -> etree._Element:
        soap = Soap.of(parse((_VECTORS / f"{name}.xml").read_bytes(), Limits()))
        assert soap.payload is not None
        return soap.payload

    return load
