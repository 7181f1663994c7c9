"""P_SHA-1 and derived keys against the outputs of WSS4J."""

from __future__ import annotations

import base64
import hmac
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeep_secureconv.wss.kdf import derive_key, p_sha1

_VECTORS = Path(__file__).parents[2] / "vectors" / "wss4j" / "p_sha1.txt"
_LINES = _VECTORS.read_text().splitlines()
_CONTEXT_KEYS = {
    "CK256": (bytes(range(32)), bytes(range(32, 64)), 32),
    "CK128": (bytes(range(16)), bytes(range(16, 32)), 16),
    "CK128_from32": (bytes(range(32)), bytes(range(32, 64)), 16),
}
_K = p_sha1(*_CONTEXT_KEYS["CK256"])
_NONCE = bytes(range(0xA0, 0xB0))


def _lines(prefix: str) -> list[str]:
    return [line for line in _LINES if line.startswith(prefix)]


@pytest.mark.parametrize("line", _lines("CK"))
def test_a_context_key_is_that_of_wss4j(line: str) -> None:
    """P_SHA1 of two entropies gives what WSS4J's class gave."""
    name, expected = line.split()
    assert p_sha1(*_CONTEXT_KEYS[name]).hex() == expected


@pytest.mark.parametrize("line", _lines("DK"))
def test_a_derived_key_is_that_of_wss4j(line: str) -> None:
    """Every offset, length and label gives what WSS4J's class gave."""
    *_, expected = line.split()
    numbers = dict(re.findall(r"(off|len)(\d+)", line))
    label = re.search(r"label=(\S+)", line)
    secret, nonce = _K, _NONCE
    if "nonce=" in line:
        secret, nonce = bytes(range(16)), base64.b64decode("Kq/1ptgjZpX2g1q6MiJcSfTX")
    key = derive_key(
        secret,
        nonce,
        length=int(numbers["len"]),
        offset=int(numbers.get("off", 0)),
        label=label.group(1) if label else None,
    )
    assert key.hex() == expected


def test_an_empty_label_is_the_default_label() -> None:
    """A missing Label, an empty one and the default written out derive the same key."""
    written = derive_key(_K, _NONCE, length=24, label="WS-SecureConversation" * 2)
    assert derive_key(_K, _NONCE, length=24) == derive_key(_K, _NONCE, length=24, label="") == written
    assert derive_key(_K, _NONCE, length=24, label="other") != written


@given(st.binary(max_size=100), st.binary(max_size=100), st.integers(0, 150), st.integers(1, 100))
def test_a_derived_key_is_a_piece_of_the_stream(
    secret: bytes, nonce: bytes, offset: int, length: int
) -> None:
    """Offset and length cut the same stream that a straightforward reading of RFC 2246 makes."""
    seed = b"label" + nonce
    stream, a = b"", seed
    while len(stream) < offset + length:
        a = hmac.new(secret, a, "sha1").digest()
        stream += hmac.new(secret, a + seed, "sha1").digest()
    key = derive_key(secret, nonce, length=length, offset=offset, label="label")
    assert key == stream[offset : offset + length]


@pytest.mark.parametrize(("length", "offset"), [(0, 0), (-1, 0), (16, -1)])
def test_a_length_that_is_no_length_is_refused(length: int, offset: int) -> None:
    """No key is made of nothing, while the smallest possible one is made."""
    assert len(derive_key(_K, _NONCE, length=1)) == 1
    with pytest.raises(ValueError, match="length"):
        derive_key(_K, _NONCE, length=length, offset=offset)
