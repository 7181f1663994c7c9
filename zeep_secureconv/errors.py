"""Every exception of the library.

All derive from :class:`zeep.exceptions.Error`, so that ``except zeep.exceptions.Error`` goes on working, and carry
a ``hint`` that says what to change. The text of an error that a peer caused names the check that refused; it never
holds keys, plaintext or what the peer sent, except the text of faults, which is marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zeep.exceptions

if TYPE_CHECKING:
    from lxml import etree


class SecureConversationError(zeep.exceptions.Error):
    """Base of all errors of this library.

    Args:
        message: what went wrong, in one sentence.
        hint: what to change, in one sentence.
        doing: what was being done, for example "issuing a context".
        endpoint: URL of the service.
        context: identifier of the security context, never its key.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        doing: str | None = None,
        endpoint: str | None = None,
        context: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.doing = doing
        self.endpoint = endpoint
        self.context = context

    def at(
        self, *, doing: str | None = None, endpoint: str | None = None, context: str | None = None
    ) -> SecureConversationError:
        """This error, with the circumstances filled in where they are not known yet."""
        self.doing = self.doing or doing
        self.endpoint = self.endpoint or endpoint
        self.context = self.context or context
        return self

    def __str__(self) -> str:
        where = ", ".join(
            part
            for part in (
                self.doing,
                f"endpoint {self.endpoint}" if self.endpoint else None,
                f"context {self.context}" if self.context else None,
            )
            if part
        )
        text = f"{self.message} ({where})" if where else self.message
        return f"{text}\nHint: {self.hint}" if self.hint else text


class ConfigurationError(SecureConversationError):
    """Something that the user must supply or change; raised before any traffic."""


class PolicyError(SecureConversationError):
    """Something that the policy says cannot be done: an assertion unsupported or unsatisfiable.

    Args:
        assertion: the QName of the assertion, in Clark notation.
        position: where it stands, for example "line 14 of peer.wsdl".
    """

    def __init__(
        self,
        message: str,
        *,
        assertion: str | None = None,
        position: str | None = None,
        hint: str | None = None,
        doing: str | None = None,
        endpoint: str | None = None,
        context: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, doing=doing, endpoint=endpoint, context=context)
        self.assertion = assertion
        self.position = position


class VerificationError(SecureConversationError, zeep.exceptions.SignatureVerificationFailed):
    """A message is not what the policy and the conversation demand.

    Args:
        check: the id of the check that refused. All failures of decryption have the same one.
    """

    def __init__(
        self,
        check: str,
        message: str,
        *,
        hint: str | None = None,
        doing: str | None = None,
        endpoint: str | None = None,
        context: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, doing=doing, endpoint=endpoint, context=context)
        self.check = check


class TransportError(SecureConversationError, zeep.exceptions.TransportError):
    """The service was not reached, or answered with something that is no SOAP message.

    Args:
        status_code: of HTTP, 0 when there was no answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 0,
        hint: str | None = None,
        doing: str | None = None,
        endpoint: str | None = None,
        context: str | None = None,
    ) -> None:
        SecureConversationError.__init__(
            self, message, hint=hint, doing=doing, endpoint=endpoint, context=context
        )
        self.status_code = status_code
        self.content = None


class LimitExceeded(VerificationError):
    """A message goes beyond one of :class:`~zeep_secureconv.Limits`."""


class ContextExpired(SecureConversationError):
    """The security context is over and cannot be replaced."""


class StoreError(SecureConversationError):
    """A store of contexts did not answer, or holds what cannot be read."""


class _FaultError(SecureConversationError, zeep.exceptions.Fault):
    """A SOAP fault that the peer answered with.

    ``message`` is the peer's text as it came; ``str()`` marks it when nothing proves who wrote it.

    Args:
        code: the fault code (SOAP 1.1) or the innermost subcode (SOAP 1.2) in Clark notation, or None.
        verified: True when the fault was covered by a signature of the context that the request used.
        detail: the detail element, or None.
    """

    def __init__(
        self,
        text: str,
        *,
        code: str | None = None,
        verified: bool = False,
        detail: etree._Element | None = None,
        actor: str | None = None,
        subcodes: list[Any] | None = None,
        hint: str | None = None,
        doing: str | None = None,
        endpoint: str | None = None,
        context: str | None = None,
    ) -> None:
        SecureConversationError.__init__(
            self, text, hint=hint, doing=doing, endpoint=endpoint, context=context
        )
        self.code = code
        self.actor = actor
        self.detail = detail
        self.subcodes = subcodes
        self.verified = verified

    def __str__(self) -> str:
        text = super().__str__()
        return (
            text
            if self.verified
            else f"{text}\n[unauthenticated: anybody on the network could have sent this]"
        )


class TokenFault(_FaultError):
    """A fault of WS-SecureConversation, WS-Trust or WS-Security, such as BadContextToken.

    Args:
        name: the local name of its code, for example "BadContextToken".
    """

    @property
    def name(self) -> str:
        """The local name of the fault code."""
        return (self.code or "").rpartition("}")[2]


class UnsecuredFault(_FaultError):
    """Any other fault that the peer sent without the security that would prove its origin."""
