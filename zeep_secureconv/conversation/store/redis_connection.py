"""The way to Redis: its client, and what of its errors means what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    import redis

#: (what retrying and waiting will not cure, all that Redis and the way to it may raise).
Errors = tuple[tuple[type[Exception], ...], tuple[type[Exception], ...]]

_UNREACHABLE = (
    "check that the Redis server runs, and its URL; fallback='memory' lets a client go on without it"
)


class AwayError(StoreError):
    """Redis did not answer, or could not do what it was asked."""


def client_of(client: redis.Redis | str) -> Any:
    """The client that is meant by itself or its URL.

    Raises:
        ConfigurationError: when it is of no use.
    """
    module = _module()
    if isinstance(client, str):
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        try:
            return module.Redis.from_url(
                client, socket_connect_timeout=2.0, socket_timeout=5.0, retry=Retry(NoBackoff(), 1)
            )
        except ValueError:
            # its text may hold a part of the password
            raise ConfigurationError(
                "The URL of Redis cannot be read", hint="write redis://HOST:6379/0"
            ) from None
    if not isinstance(client, module.Redis):
        raise ConfigurationError(
            "RedisStore needs a URL or a redis.Redis", hint="give a client of redis, not of redis.asyncio"
        )
    if client.connection_pool.connection_kwargs.get("decode_responses"):
        raise ConfigurationError(
            "This Redis client decodes what it reads, and contexts are octets",
            hint="give RedisStore a client without decode_responses=True",
        )
    return client


def errors_of_redis() -> Errors:
    """(what retrying and waiting will not cure, all that Redis and the way to it may raise)."""
    module = _module().exceptions
    refused = (module.AuthenticationError, module.AuthorizationError, module.NoPermissionError)
    return refused, (module.RedisError, OSError)


@contextmanager
def asking(errors: Errors) -> Iterator[None]:
    """Held while Redis is asked; what goes wrong becomes an error of the store.

    Raises:
        AwayError: when Redis does not answer.
        StoreError: when it refuses this user.
    """
    refused, away = errors
    try:
        yield
    except refused as error:
        raise StoreError(
            "Redis refuses this user", hint="check name, password and rights in the URL of Redis"
        ) from error
    except away as error:
        # its text may hold what was sent
        raise AwayError(
            f"Redis does not answer as it should ({type(error).__name__})", hint=_UNREACHABLE
        ) from error


def _module() -> Any:
    try:
        import redis
    except ImportError as error:
        raise ConfigurationError(
            "RedisStore needs the package redis", hint="pip install 'zeep_secureconv[redis]'"
        ) from error
    return redis
