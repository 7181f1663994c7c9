"""Every exception of the library.

All derive from :class:`zeep.exceptions.Error`, so that ``except zeep.exceptions.Error`` goes on working, and carry
a ``hint`` that says what to change. The text of an error that a peer caused names the check that refused; it never
holds keys, plaintext or what the peer sent, except the text of faults, which is marked.
"""

from __future__ import annotations

from typing import Any

import zeep.exceptions
from lxml import etree

_OTHER_POLICY = "check that both sides have the same policy; policy= gives another one than the WSDL's"
_FORGED = "the message is forged or damaged: look for what stands between here and the peer"
_CLOCKS = "set the clocks of both sides, or widen clock_skew="
_REPORT = "if a known stack sent this, report it with the policy and the message"
_RAISE_LIMIT = "check the address of the peer; raise the limit in Limits(...) if such messages are wanted"
_CALL_AGAIN = "call again: the next call asks for a new context"

#: What to do about a message that a check refused, where the place that refused knows nothing better.
_HINTS = {
    "message-size": _RAISE_LIMIT,
    "elements": _RAISE_LIMIT,
    "depth": _RAISE_LIMIT,
    "attributes": _RAISE_LIMIT,
    "header-size": _RAISE_LIMIT,
    "xml": "check the address, and what stands between here and the peer: something cuts or rewrites messages",
    "dtd": _FORGED,
    "envelope": "check the address: what answers there may be no SOAP service",
    "soap-version": "use the WSDL of the service: its binding has another SOAP version",
    "security-header": "the peer may have secured the message by another policy, or not at all; check policy=",
    "duplicate-id": _FORGED,
    "addressing": "leave WS-Addressing headers to this library: remove WsAddressingPlugin",
    "timestamp": _CLOCKS,
    "replay": "something repeats messages, or somebody replays them",
    "reflection": "somebody sends our own messages back: check the address of the peer",
    "relates-to": "answers were mixed up or forged; call again",
    "no-request": "call through a zeep client, and do not call the hooks yourself",
    "empty-answer": "something dropped the answer: the log of the service may tell",
    "token-reference": _REPORT,
    "token": _REPORT,
    "context": _CALL_AGAIN,
    "context-token": _FORGED,
    "derived-key": _OTHER_POLICY,
    "encrypted-key": "give the peer our certificate, the one of identity=",
    "signer": "name every certificate that the peer signs with: peer= on a client, trust= on a service",
    "certificate": "add its CA, or the certificate itself, to trust=",
    "signature-missing": _OTHER_POLICY,
    "signature-form": _FORGED,
    "algorithm": _OTHER_POLICY,
    "canonicalization": _REPORT,
    "transform": _REPORT,
    "reference": _FORGED,
    "signature": "the message was changed, or both sides have different keys",
    "digest": "a signed part was changed: look for what rewrites messages between here and the peer",
    "signature-confirmation": _OTHER_POLICY,
    "decryption": "check the certificates that messages are encrypted to: peer= here, identity= there",
    "encryption-form": _FORGED,
    "signed-parts": _OTHER_POLICY,
    "encrypted-parts": _OTHER_POLICY,
    "protection-order": _OTHER_POLICY,
    "supporting-token": _OTHER_POLICY,
    "layout": _OTHER_POLICY,
    "endorsement": _OTHER_POLICY,
    "username-token": _CLOCKS,
    "transport": "the policy is for https: call the service by its https address, and end TLS at the service itself",
    "authentication": "check username= or tokens= of the client; the service's authenticate= refused them",
    "action": "use the WSDL of the service",
    "operation": "use the WSDL of the service",
    "reply-to": "leave wsa:ReplyTo and wsa:FaultTo anonymous",
    "trust-message": "if a known stack sent this, report it; another dialect= may help",
    "context-key": "check that the service gives the keys that its policy says",
    "context-reused": "the service is at fault: it gave a context that it had given before",
    "lifetime": _CLOCKS,
    "required-parts": _OTHER_POLICY,
    "contexts": "raise Limits.contexts, or let contexts live shorter",
    "contexts-per-principal": "raise Limits.contexts_per_principal, or let contexts live shorter",
}


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

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied by its attributes, since the arguments of the classes differ."""
        return _bare, (type(self), self.args), self.__dict__.copy()

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


def _bare(kind: type[SecureConversationError], args: tuple[Any, ...]) -> SecureConversationError:
    """An error whose attributes are still to come."""
    error = kind.__new__(kind)
    error.args = args
    return error


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
        super().__init__(
            message,
            hint=hint or "ask the service's people for another policy, or give one of your own with policy=",
            doing=doing,
            endpoint=endpoint,
            context=context,
        )
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
        super().__init__(
            message,
            hint=hint or self._default_hint(check),
            doing=doing,
            endpoint=endpoint,
            context=context,
        )
        self.check = check

    @staticmethod
    def _default_hint(check: str) -> str:
        return _HINTS.get(check, _REPORT)


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

    @staticmethod
    def _default_hint(check: str) -> str:
        # a value out of bounds shares its check with one that is malformed
        return _HINTS[check] if check.startswith("contexts") else _RAISE_LIMIT


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

    _hint: str

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
            self,
            text,
            hint=hint or (None if verified else self._hint),
            doing=doing,
            endpoint=endpoint,
            context=context,
        )
        self.code = code
        self.actor = actor
        self.detail = detail
        self.subcodes = subcodes
        self.verified = verified

    def __reduce__(self) -> tuple[Any, ...]:
        make, arguments, state = super().__reduce__()
        if self.detail is not None:
            state["detail"] = etree.tostring(self.detail, with_tail=False)
        return make, arguments, state

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        state = dict(state or {})
        if isinstance(state.get("detail"), bytes):
            state["detail"] = etree.fromstring(state["detail"], etree.XMLParser(resolve_entities=False))
        self.__dict__.update(state)

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

    _hint = "check identity=, peer= and policy= against what the service expects; its log tells more"

    @property
    def name(self) -> str:
        """The local name of the fault code."""
        return (self.code or "").rpartition("}")[2]


class UnsecuredFault(_FaultError):
    """Any other fault that the peer sent without the security that would prove its origin."""

    _hint = "the service may have sent this without the security that proves it; its log should confirm it"
