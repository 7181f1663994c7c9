"""A security context: its key, its parties and its age."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..clock import Clock
from ..errors import ConfigurationError, StoreError
from ..wss.keys import ContextKey

#: The form of stored contexts. Another one is another number: what an older version stored is told apart by it.
_VERSION = 2
_FAMILY = b"zsc"
_MAGIC = b"%s%d" % (_FAMILY, _VERSION)
_NONCE_BYTES = 12
_OTHER_VERSION = "The security context was stored by another version of this library"
_ASK_ANEW = "remove what is stored; contexts are asked for anew then"


@dataclass(frozen=True, kw_only=True)
class SecurityContext:
    """A security context shared by this process and one other party.

    Args:
        endpoint: URL of the service it is for.
        created, expires: its lifetime as the issuer said it, aware UTC; None where it is not said.
        dialect: name of the dialect it was negotiated in.
        key: what messages are protected with.
        first: the key that it began with, once it was renewed, or None. Metro has further renewals endorsed by it.
        renewable: whether the issuer allows renewal.
        renewable_late: whether it allows that after the end too (wst:Renewing/@OK).
        principal: on a service, the name of whom it was issued to; None on a client.
        owner: on a service, what tells that principal from others of the same name.
        policy: fingerprint of the policy it was issued under.
        used: on a service, whether a call was made in it; what never was goes first when there are too many.
        kept_until: on a service, until when it is kept after its end, for a renewal; None leaves that to the store.
        received: reading of the monotonic clock when this process got it; None when it came from a store.
        obtained: what the wall clock of the process that received it showed then; set by stores.
    """

    endpoint: str
    created: datetime | None
    expires: datetime | None
    dialect: str
    key: ContextKey = field(repr=False)
    first: ContextKey | None = field(default=None, repr=False)
    renewable: bool = True
    renewable_late: bool = False
    principal: str | None = None
    owner: str | None = field(default=None, repr=False)
    policy: str = field(default="", repr=False)
    used: bool = field(default=False, repr=False)
    kept_until: datetime | None = field(default=None, repr=False)
    received: float | None = field(default=None, repr=False, compare=False)
    obtained: datetime | None = field(default=None, repr=False, compare=False)

    @property
    def identifier(self) -> str:
        """wsc:Identifier, the name of the context."""
        return self.key.identifier

    @property
    def instance(self) -> str | None:
        """wsc:Instance, the name of its current key; None before the first renewal."""
        return self.key.instance

    def remaining(self, clock: Clock) -> timedelta | None:
        """How long it still lives, negative once it is over; None where it has no end.

        What this process received itself ages on the monotonic clock from receipt, so that neither skew between
        the parties nor a jump of the wall clock shortens or lengthens it. What another process received and kept
        in a store ages on the wall clock, from receipt too.
        """
        if self.expires is None:
            return None
        if self.created is not None and self.received is not None:
            return self.expires - self.created - timedelta(seconds=clock.monotonic() - self.received)
        if self.created is not None and self.obtained is not None:
            return self.expires - self.created - (clock.now() - self.obtained)
        return self.expires - clock.now()

    def is_over(self, clock: Clock) -> bool:
        """Whether its lifetime is over."""
        remaining = self.remaining(clock)
        return remaining is not None and remaining <= timedelta(0)

    def for_others(self, clock: Clock) -> SecurityContext:
        """As other processes may have it: without a reading of the monotonic clock, which is ours alone."""
        if self.received is None:
            return self
        obtained = clock.now() - timedelta(seconds=clock.monotonic() - self.received)
        return replace(self, received=None, obtained=obtained)

    def to_bytes(self, key: bytes) -> bytes:
        """This context, encrypted and authenticated with AES-GCM.

        Args:
            key: 16, 24 or 32 secret bytes.
        """
        cipher, nonce = _cipher(key), secrets.token_bytes(_NONCE_BYTES)
        return _MAGIC + nonce + cipher.encrypt(nonce, json.dumps(self.record()).encode(), _MAGIC)

    @classmethod
    def from_bytes(cls, key: bytes, data: bytes) -> SecurityContext:
        """A context out of :meth:`to_bytes`.

        Raises:
            StoreError: when the key is another one, or the data was changed.
        """
        cipher, start = _cipher(key), len(_MAGIC) + _NONCE_BYTES
        if data.startswith(_FAMILY) and not data.startswith(_MAGIC):
            raise StoreError(_OTHER_VERSION, hint=_ASK_ANEW)
        if not data.startswith(_MAGIC) or len(data) < start:
            raise StoreError(
                "These bytes are no stored security context", hint="give what to_bytes() returned"
            )
        try:
            plain = cipher.decrypt(data[len(_MAGIC) : start], data[start:], _MAGIC)
        except InvalidTag:
            raise StoreError(
                "The stored security context cannot be opened", hint="use the key that it was stored with"
            ) from None
        return cls.from_record(json.loads(plain))

    def record(self) -> dict[str, Any]:
        """All of it but the reading of the monotonic clock, as JSON has it. It holds secrets: only for encryption."""
        return {
            "version": _VERSION,
            "endpoint": self.endpoint,
            "created": self.created.isoformat() if self.created else None,
            "expires": self.expires.isoformat() if self.expires else None,
            "dialect": self.dialect,
            "renewable": self.renewable,
            "renewable_late": self.renewable_late,
            "principal": self.principal,
            "owner": self.owner,
            "policy": self.policy,
            "used": self.used,
            "kept_until": self.kept_until.isoformat() if self.kept_until else None,
            "obtained": self.obtained.isoformat() if self.obtained else None,
            "key": _key_record(self.key),
            "first": _key_record(self.first) if self.first else None,
        }

    @classmethod
    def from_record(cls, record: Any) -> SecurityContext:
        """A context out of :meth:`record`.

        Raises:
            StoreError: when another version of this library made it.
        """
        if not isinstance(record, dict) or record.get("version") != _VERSION:
            raise StoreError(_OTHER_VERSION, hint=_ASK_ANEW)
        return cls(
            endpoint=record["endpoint"],
            created=_time(record["created"]),
            expires=_time(record["expires"]),
            dialect=record["dialect"],
            renewable=record["renewable"],
            renewable_late=record.get("renewable_late", False),
            principal=record["principal"],
            owner=record["owner"],
            policy=record["policy"],
            used=record.get("used", False),
            kept_until=_time(record.get("kept_until")),
            obtained=_time(record["obtained"]),
            key=_key_of(record["key"]),
            first=_key_of(record["first"]) if record["first"] else None,
        )


def _key_record(key: ContextKey) -> dict[str, Any]:
    return {
        "identifier": key.identifier,
        "instance": key.instance,
        "wsc": key.wsc,
        "secret": _text(key.secret),
        "token": _text(key.token),
        "attached": _text(key.attached),
        "unattached": _text(key.unattached),
    }


def _key_of(record: dict[str, Any]) -> ContextKey:
    return ContextKey(
        identifier=record["identifier"],
        instance=record["instance"],
        wsc=record["wsc"],
        secret=_octets(record["secret"]) or b"",
        token=_octets(record["token"]) or b"",
        attached=_octets(record["attached"]),
        unattached=_octets(record["unattached"]),
    )


def _cipher(key: bytes) -> AESGCM:
    try:
        return AESGCM(key)
    except ValueError as error:
        raise ConfigurationError(
            "The key for stored contexts has the wrong length", hint="give 16, 24 or 32 random bytes"
        ) from error


def _text(octets: bytes | None) -> str | None:
    return None if octets is None else base64.b64encode(octets).decode()


def _octets(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
