"""base64 of xs:base64Binary: any white space, nothing else that is foreign."""

from __future__ import annotations

import binascii

try:  # SIMD; 30 times the speed of the standard library for large bodies, and installed by the extra "fast"
    import pybase64 as _codec
except ImportError:
    import base64 as _codec  # type: ignore[no-redef]


def encode(data: bytes) -> str:
    """base64 without line breaks."""
    return _codec.b64encode(data).decode("ascii")


def encode_octets(data: bytes) -> bytes:
    """base64 without line breaks, as ASCII octets: lxml takes them for text, and large ones are not copied again."""
    return _codec.b64encode(data)


def decode(text: str) -> bytes:
    """The octets of *text*.

    Raises:
        ValueError: when it is not base64.
    """
    try:
        return _codec.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return _codec.b64decode("".join(text.split()), validate=True)
