"""Distinguished names as text, compared across the ways in which stacks write them."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: The attributes of a relative distinguished name, and the relative names of a name; both in a fixed order.
NormalName = tuple[tuple[str, ...], ...]

#: Keywords that are written for an attribute, by its OID (RFC 4514 section 3; Java, .NET and OpenSSL have more).
_KEYWORDS = {
    "2.5.4.3": ("CN",),
    "2.5.4.4": ("SN", "SURNAME"),
    "2.5.4.5": ("SERIALNUMBER",),
    "2.5.4.6": ("C",),
    "2.5.4.7": ("L",),
    "2.5.4.8": ("ST", "S"),
    "2.5.4.9": ("STREET", "STREETADDRESS"),
    "2.5.4.10": ("O",),
    "2.5.4.11": ("OU",),
    "2.5.4.12": ("T", "TITLE"),
    "2.5.4.17": ("POSTALCODE", "PC"),
    "2.5.4.42": ("G", "GN", "GIVENNAME"),
    "2.5.4.43": ("I", "INITIALS"),
    "2.5.4.44": ("GENERATION", "GENERATIONQUALIFIER"),
    "2.5.4.46": ("DNQ", "DNQUALIFIER"),
    "2.5.4.65": ("PSEUDONYM",),
    "2.5.4.97": ("ORGANIZATIONIDENTIFIER", "ORGANIZATIONID"),
    "1.2.840.113549.1.9.1": ("E", "EMAIL", "EMAILADDRESS"),
    "0.9.2342.19200300.100.1.1": ("UID", "USERID"),
    "0.9.2342.19200300.100.1.25": ("DC", "DOMAINCOMPONENT"),
}
_OIDS = {keyword: oid for oid, keywords in _KEYWORDS.items() for keyword in keywords}

#: How the string types of ASN.1 are encoded, by tag.
_STRINGS = {0x0C: "utf-8", 0x12: "ascii", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii"} | {
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}

#: One token of a name: an escape, a quoted string, a separator, or other text.
_TOKEN = re.compile(
    r"""(?P<bytes>(?:\\[0-9A-Fa-f]{2})+)|\\(?P<char>.)|"(?P<quoted>(?:[^"\\]|\\.|"")*)"|(?P<separator>[,;+])"""
    r"""|(?P<text>[^\\",;+]+|.)""",
    re.DOTALL,
)
_IN_QUOTES = re.compile(r'(?P<bytes>(?:\\[0-9A-Fa-f]{2})+)|\\(?P<char>.)|"(?P<quote>")', re.DOTALL)


def normal_name(text: str) -> NormalName:
    """A distinguished name without the differences that stacks have in writing it.

    Read are the forms of RFC 4514, RFC 2253 and RFC 1779, and what Java and .NET add. Order, case and white space do
    not count, nor whether an attribute is named by keyword or OID, and its value escaped, quoted or in hexadecimal.
    """
    relative: list[list[str]] = [[]]
    for attribute, separator in _attributes(text):
        relative[-1].append(attribute)
        if separator != "+":
            relative.append([])
    return tuple(sorted(tuple(sorted(attributes)) for attributes in relative if attributes))


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Each attribute in its normal form, with the separator behind it."""
    raw, value = "", ""
    for match in _TOKEN.finditer(text):
        separator = match["separator"]
        if separator:
            yield _normal(raw, value), separator
            raw, value = "", ""
        else:
            raw += match[0]
            value += _meant(match)
    yield _normal(raw, value), ""


def _meant(match: re.Match[str]) -> str:
    if match["quoted"] is not None:
        return _IN_QUOTES.sub(lambda inner: inner["quote"] or _unescaped(inner), match["quoted"])
    return match["text"] or _unescaped(match)


def _unescaped(match: re.Match[str]) -> str:
    if match["bytes"]:
        return bytes.fromhex(match["bytes"].replace("\\", "")).decode("utf-8", "backslashreplace")
    return match["char"]


def _normal(raw: str, meant: str) -> str:
    """``OID=value`` of an attribute, from its text and the same without escapes."""
    key = raw.partition("=")[0].strip().upper().removeprefix("OID.")
    hexadecimal = raw.partition("=")[2].strip()
    value = meant.partition("=")[2]
    if hexadecimal.startswith("#"):
        value = _decoded(hexadecimal[1:])
    return f"{_OIDS.get(key, key)}={' '.join(value.split()).casefold()}"


def _decoded(text: str) -> str:
    """The string in a DER value that is written in hexadecimal, or the text itself where there is none."""
    try:
        data = bytes.fromhex(text)
        length = data[1]
        start = 2
        if length > 0x80:
            start += length - 0x80
            length = int.from_bytes(data[2:start], "big")
        if length == len(data) - start:
            return data[start:].decode(_STRINGS[data[0]])
    except (ValueError, IndexError, KeyError):
        pass
    return "#" + text
