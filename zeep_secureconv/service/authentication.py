"""Who sent a message: what certificates, passwords and tokens in it prove, and what the service needs to check them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from ..conversation.issuer import ANONYMOUS, Principal
from ..errors import ConfigurationError, PolicyError, VerificationError
from ..policy.needs import Kind, Need
from ..wss.certificates import holder
from ..wss.credentials import ReceivedToken, ReceivedUsername, UsernameToken
from ..wss.keys import Keyring
from ..wss.unprotect import Verified


@runtime_checkable
class ChecksPasswords(Protocol):
    """Knows whether a password is a user's, such as by a hash of it."""

    def check(self, name: str, password: str) -> bool:
        """True when there is a user of that name with that password; anything else refuses."""
        ...


@runtime_checkable
class KnowsPasswords(Protocol):
    """Knows passwords themselves, as digests and keys made from passwords need."""

    def password(self, name: str) -> str | None:
        """The password of a user, or None when there is no such user."""
        ...


@runtime_checkable
class JudgesTokens(Protocol):
    """Knows what tokens mean that this library only carries: LTPA, SAML, any other."""

    def token(self, received: ReceivedToken) -> str | None:
        """Whose token it is, or None when it is not to be believed."""
        ...


#: What ``authenticate=`` takes: an object with whichever of these methods the policy needs.
Authenticate = ChecksPasswords | KnowsPasswords | JudgesTokens

_LACKING: dict[Kind, str] = {
    "signing identity": "The policy wants answers signed with the service's certificate, and there is none",
    "decrypting identity": "The policy wants requests encrypted to the service's certificate, and there is none",
    "trust": "Nothing says which clients to trust",
    "user check": "The policy wants user names with passwords, and nothing checks them",
    "user passwords": "The policy wants digests of passwords or keys made from them, and nothing knows the passwords",
    "token check": "The policy wants tokens, and nothing judges them",
}


class Authentication:
    """Tells who sent a message.

    Args:
        authenticate: what the service's people gave to check users and tokens, or None.
    """

    def __init__(self, authenticate: Authenticate | None) -> None:
        self._authenticate = authenticate
        self.password_of = authenticate.password if isinstance(authenticate, KnowsPasswords) else None

    def need_everything(self, wanted: Iterable[Need], ring: Keyring) -> None:
        """Check, before anything is served, that all that the policy needs is there.

        Args:
            wanted: what it needs.
            ring: the service's keys.

        Raises:
            ConfigurationError: naming the first thing that is missing, and the assertion that wants it.
            PolicyError: when passwords would be needed themselves, and ``authenticate=`` does not know them.
        """
        given = self._authenticate
        knows = self.password_of is not None
        present: dict[Kind, bool] = {
            "signing identity": ring.signing is not None,
            "decrypting identity": ring.decrypting is not None,
            "trust": ring.trust is not None,
            "user check": knows or isinstance(given, ChecksPasswords),
            "user passwords": knows,
            "token check": isinstance(given, JudgesTokens),
            # each request shows whether it came over TLS
            "https": True,
        }
        for need in wanted:
            if present[need.kind]:
                continue
            told = f"{_LACKING[need.kind]} ({need.why})"
            if need.kind == "user passwords" and given is not None:
                raise PolicyError(told, hint=need.hint)
            raise ConfigurationError(told, hint=need.hint)

    def principal(self, verified: Verified) -> Principal:
        """Whose a context is that a message asks for.

        It bears the name of the user, else of whose the token is, else of the holder of the certificate that signed or
        endorsed the message, else of nobody in particular; as CXF 3.6 does. It belongs to all of them together, so
        that no one of them renews it alone. Every password and token is checked, whoever it is.

        Raises:
            VerificationError: check "authentication".
        """
        parties = [
            *((name, f"user={name}") for name in self._users(verified)),
            *((name, f"token={name}") for name in self._owners(verified)),
            *(
                (certificate.subject.rfc4514_string() or "anonymous", holder(certificate))
                for certificate in (*filter(None, [verified.signer]), *verified.endorsers)
            ),
        ]
        if parties:
            return Principal(name=parties[0][0], owner=" ".join(owner for _, owner in parties))
        return ANONYMOUS

    def username(self, verified: Verified) -> str | None:
        """The user that a call itself names, or whose token it carries; None where it does neither.

        Raises:
            VerificationError: check "authentication".
        """
        return next(iter((*self._users(verified), *self._owners(verified))), None)

    def credentials(self, verified: Verified) -> tuple[UsernameToken, ...]:
        """What an answer is secured with where its request was by a key made from a password: the same password."""
        if self.password_of is None:
            return ()
        names = [user.username for user in verified.usernames if user.proven]
        return tuple(UsernameToken(name, self.password_of(name)) for name in names)

    def _users(self, verified: Verified) -> list[str]:
        """The names that are proven. One without a password is anybody's claim."""
        claims = [user for user in verified.usernames if not (user.proven or _has_password(user))]
        proven = [user for user in verified.usernames if user not in claims]
        for user in proven:
            if not self._is_user(user):
                raise _unknown()
        return [user.username for user in proven]

    def _is_user(self, user: ReceivedUsername) -> bool:
        if user.proven:
            return True
        if user.password == "":
            # some directories take a login with an empty password for one of nobody, and say that it went well
            return False
        given = self._authenticate
        if user.password is not None and isinstance(given, ChecksPasswords):
            # a coroutine, which nobody waits for here, is true as well
            return given.check(user.username, user.password) is True
        password = self.password_of(user.username) if self.password_of is not None else None
        return isinstance(password, str) and bool(password) and user.matches(password)

    def _owners(self, verified: Verified) -> list[str]:
        owners = []
        for token in verified.tokens:
            owner = self._authenticate.token(token) if isinstance(self._authenticate, JudgesTokens) else None
            if not isinstance(owner, str):
                raise _unknown()
            owners.append(owner)
        return owners


def _has_password(user: ReceivedUsername) -> bool:
    return user.password is not None or user.digest is not None


def _unknown() -> VerificationError:
    """The same for an unknown user and a wrong password."""
    return VerificationError("authentication", "A user name with its password, or a token, is not accepted")
