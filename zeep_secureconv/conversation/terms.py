"""What a service grants to those who ask it for contexts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ..errors import ConfigurationError
from ..policy.model import DerivedKeys
from .policies import ConversationPolicy

#: Whose entropy makes the key of a context (WS-Trust 1.3, sections 4.4.3 and 4.4.4).
KeyEntropy = Literal["both", "service", "client"]

_NOTHING = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a service grants. The defaults are those of WebSphere's trust service; its names stand in quotes.

    Args:
        lifetime: how long a context lives at most: "token timeout".
        minimum_lifetime: how long it lives at least, where a client asks for less; a shorter *lifetime* is the minimum
            itself.
        renew_after_expiry: whether a context that is over may be renewed: "allow renewal after timeout". Metro's client
            renews no sooner.
        keep_after_expiry: for how long after its end that is possible: "time in cache after expiration".
        allow_200502: whether requests in the draft version of February 2005 are answered where the policy is of the
            standard: "Tolerate Secure Conversation Token v200502".
        key_entropy: whose entropy makes keys. Where a client sends none, the key is the service's alone.
        key_size: length of all keys, in bytes; None gives what is asked for, within the algorithm suite.

    Raises:
        ConfigurationError: when they make no sense.
    """

    lifetime: timedelta = timedelta(minutes=120)
    minimum_lifetime: timedelta = timedelta(minutes=10)
    renew_after_expiry: bool = False
    keep_after_expiry: timedelta = timedelta(minutes=120)
    allow_200502: bool = True
    key_entropy: KeyEntropy = "both"
    key_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("lifetime", "minimum_lifetime"):
            if getattr(self, name) <= _NOTHING:
                raise ConfigurationError(f"{name}= must be positive", hint="give timedelta(minutes=120)")
        if self.keep_after_expiry < _NOTHING:
            raise ConfigurationError("keep_after_expiry= is negative", hint="give timedelta(minutes=120)")
        if self.key_entropy not in ("both", "service", "client"):
            raise ConfigurationError(
                f"There is no key_entropy= {self.key_entropy!r}", hint="give 'both', 'service' or 'client'"
            )

    def check(self, policy: ConversationPolicy) -> None:
        """Refuse terms that a policy contradicts, before anything is served.

        Raises:
            ConfigurationError: naming the term, and the assertion.
        """
        assert policy.application.binding is not None
        suite, trust = policy.application.binding.algorithm_suite, policy.application.trust
        shortest, longest = suite.minimum_key_length, suite.maximum_key_length
        if policy.token.derived_keys is DerivedKeys.NONE:
            shortest = longest = suite.encryption_key_length
        if self.key_size is not None and not shortest <= self.key_size <= longest:
            raise ConfigurationError(
                f"key_size= is {self.key_size}, and keys under {suite.name} have {shortest} to {longest} bytes",
                hint="give a length that the algorithm suite allows, or none",
            )
        contradicted = {
            "client": trust is not None and trust.require_server_entropy and "RequireServerEntropy",
            "service": trust is not None and trust.require_client_entropy and "RequireClientEntropy",
        }.get(self.key_entropy)
        if contradicted:
            raise ConfigurationError(
                f"key_entropy= is {self.key_entropy!r}, and the policy says sp:{contradicted}",
                hint="leave key_entropy= out: both sides add to the key then",
            )
