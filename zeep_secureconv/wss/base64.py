"""base64 of xs:base64Binary: any white space, nothing else that is foreign."""

from __future__ import annotations

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
        return _strict(text)
    except ValueError:
        return _strict("".join(text.split()))


def _strict(text: str) -> bytes:
    # the standard library of Python 3.10 takes "AAAA=", and pybase64 and later versions do not
    if len(text) % 4:
        raise ValueError("the length is not that of base64")
    return _codec.b64decode(text, validate=True)
