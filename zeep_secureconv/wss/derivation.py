"""Keys of an outgoing message, made from the secret of a token as its policy says (WS-SecurityPolicy 1.2, 5.3)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ..names import WSC_2005
from ..policy.model import DerivedKeys
from . import base64, references
from .kdf import derive_key
from .pieces import KeyRequest, Piece
from .tokens import DEFAULT_LENGTH

_NONCE_BYTES = 16
_START_TAG = re.compile(r"<[^\s/>]+")


@dataclass(frozen=True, kw_only=True)
class KeyBase:
    """A secret that keys are made from, and how the message names it.

    Args:
        secret: in bytes.
        reference: the SecurityTokenReference to it.
        wsc: namespace of WS-SecureConversation for what is derived from it.
        token: the token in the header, where it is there.
    """

    secret: bytes = field(repr=False)
    reference: str
    wsc: str
    token: Piece | None = None


#: (key in bytes, the SecurityTokenReference to it, what stands in the header for it).
DerivedKey = tuple[bytes, str, tuple[Piece, ...]]


def _explicit(request: KeyRequest, base: KeyBase, length: int, _whole: bool) -> DerivedKey:
    """A DerivedKeyToken for each use, with a fresh nonce (WS-SecureConversation 1.4, section 7.1)."""
    nonce = request.random(_NONCE_BYTES)
    name = request.ids.new("DK")
    text = (
        f'<wsc:DerivedKeyToken xmlns:wsc="{base.wsc}" wsu:Id="{name}">{base.reference}<wsc:Offset>0</wsc:Offset>'
        f"<wsc:Length>{length}</wsc:Length><wsc:Nonce>{base64.encode(nonce)}</wsc:Nonce></wsc:DerivedKeyToken>"
    )
    key = derive_key(base.secret, nonce, length=length)
    return key, references.derived_key_reference(name, base.wsc), (Piece(text=text, id=name),)


def _implied(request: KeyRequest, base: KeyBase, length: int, whole: bool) -> DerivedKey:
    """Nonce and Length on the reference itself (WS-SecureConversation 1.4, section 7.3).

    2005/02 has no Length: the key has the default length then.
    """
    nonce = request.random(_NONCE_BYTES)
    attributes = f' xmlns:implied="{base.wsc}" implied:Nonce="{base64.encode(nonce)}"'
    if base.wsc == WSC_2005:
        length = DEFAULT_LENGTH if whole else length
    else:
        attributes += f' implied:Length="{length}"'
    start = _START_TAG.match(base.reference)
    assert start is not None
    reference = f"{start.group()}{attributes}{base.reference[start.end() :]}"
    return derive_key(base.secret, nonce, length=length), reference, ()


def _raw(_request: KeyRequest, base: KeyBase, length: int, whole: bool) -> DerivedKey:
    """The secret itself: whole for signatures, its first bytes for encryption (as WSS4J does)."""
    return (base.secret if whole else base.secret[:length]), base.reference, ()


_DERIVE: dict[DerivedKeys, Callable[[KeyRequest, KeyBase, int, bool], DerivedKey]] = {
    DerivedKeys.EXPLICIT: _explicit,
    DerivedKeys.EITHER: _explicit,
    DerivedKeys.IMPLIED: _implied,
    DerivedKeys.NONE: _raw,
    DerivedKeys.ANY: _raw,
}


def derive(
    form: DerivedKeys, request: KeyRequest, base: KeyBase, length: int, *, whole: bool = False
) -> DerivedKey:
    """A key for one use.

    Args:
        form: what the policy of the token says.
        request: gives nonces and ids.
        base: what the key is made from.
        length: of the key, in bytes.
        whole: where nothing is derived, take the whole secret; otherwise its first *length* bytes.
    """
    return _DERIVE[form](request, base, length, whole)
