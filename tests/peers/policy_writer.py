"""Writes policies of secure conversation as the CXF peer takes them with ``--policies``."""

from __future__ import annotations

from dataclasses import dataclass

from tests.unit.policy.writer import write_policy
from zeep_secureconv.names import SP_200702, WSA_2005, WSAM, WSP_W3C, WSU
from zeep_secureconv.policy import Policy, TransportBinding

_WSAW = "http://www.w3.org/2006/05/addressing/wsdl"
_INCLUDE = f"{SP_200702}/IncludeToken"

ADDRESSING = ("To", "From", "FaultTo", "ReplyTo", "MessageID", "RelatesTo", "Action")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What of one message is signed and encrypted.

    Args:
        signed: "body"; "names" for Body and every addressing header by its name; "namespace" for Body and the
            whole namespace of addressing.
        encrypted: whether Body is encrypted.
    """

    signed: str = "namespace"
    encrypted: bool = True


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One policy, in the terms of WS-SecurityPolicy.

    Args:
        suite: algorithm suite of application messages.
        bootstrap_suite: algorithm suite of the bootstrap, "" for the same one.
        soap: "1.1" or "1.2".
        wsp: namespace of WS-Policy.
        attached: where the parts stand: at the "binding", the "operation" or the "message"; "operation-binding" has
            the SymmetricBinding at the operation too. Only "message" tells *request* from *response*.
        request, response: parts of application messages.
        bootstrap: parts of the request for a context and its answer.
        derived_keys: "RequireDerivedKeys", "RequireExplicitDerivedKeys", or "" for none.
        context_token: IncludeToken of the SecureConversationToken.
        initiator, recipient: IncludeToken of the client's and the server's X509Token.
        reference: the assertion inside both X509Tokens that demands a style, or "".
        wss: "Wss10" or "Wss11", and the styles that both sides can read.
        layout: of both bindings.
        timestamp: whether both bindings have sp:IncludeTimestamp.
        entropy: who must give entropy.
        addressing: "wsaw:UsingAddressing" or "wsam:Addressing".
        extra: further assertions in both bindings, for example "EncryptSignature".
    """

    suite: str = "Basic128"
    bootstrap_suite: str = ""
    soap: str = "1.1"
    wsp: str = WSP_W3C
    attached: str = "message"
    request: Parts = Parts()
    response: Parts = Parts()
    bootstrap: Parts = Parts()
    derived_keys: str = "RequireDerivedKeys"
    context_token: str = "AlwaysToRecipient"
    initiator: str = "AlwaysToRecipient"
    recipient: str = "Never"
    reference: str = ""
    wss: tuple[str, ...] = ("Wss10", "KeyIdentifier", "IssuerSerial")
    layout: str = "Strict"
    timestamp: bool = True
    entropy: tuple[str, ...] = ("Client", "Server")
    addressing: str = "wsaw:UsingAddressing"
    extra: tuple[str, ...] = ()


def variant(shape: Shape) -> str:
    """The file for ``--policies`` that asks for *shape*."""
    addressing = f"<{shape.addressing}/>"
    entropy = (f"Require{side}Entropy" for side in shape.entropy)
    trust = _assertion("Trust13", "MustSupportIssuedTokens", *entropy)
    binding = _application_binding(shape) + trust
    parts = _parts(shape.request)
    attached = {
        "binding": {"Endpoint": addressing + binding + parts},
        "operation": {"Endpoint": addressing + binding, "Operation": parts},
        "operation-binding": {"Endpoint": addressing, "Operation": binding + parts},
        "message": {"Endpoint": addressing + binding, "Input": parts, "Output": _parts(shape.response)},
    }[shape.attached]
    policies = "".join(
        f'<wsp:Policy wsu:Id="{name}"><wsp:ExactlyOne><wsp:All>{content}</wsp:All></wsp:ExactlyOne></wsp:Policy>'
        for name, content in attached.items()
    )
    return (
        f'<variant soap="{shape.soap}" xmlns:wsp="{shape.wsp}" xmlns:sp="{SP_200702}" xmlns:wsu="{WSU}" '
        f'xmlns:wsaw="{_WSAW}" xmlns:wsam="{WSAM}">{policies}</variant>'
    )


def written(policy: Policy, *, soap: str = "1.1") -> str:
    """The file for ``--policies`` that asks for a policy of the model, for every message.

    Args:
        policy: the policy of the endpoint.
        soap: "1.1" or "1.2".
    """
    tls = ' transport="https"' if isinstance(policy.binding, TransportBinding) else ""
    return f'<variant soap="{soap}"{tls} xmlns:wsp="{WSP_W3C}">{write_policy(policy, "Endpoint")}</variant>'


def _application_binding(shape: Shape) -> str:
    bootstrap = _policy(
        _initial_binding(shape), _assertion(shape.wss[0], *_styles(shape.wss[1:])), _parts(shape.bootstrap)
    )
    token = (
        f'<sp:SecureConversationToken sp:IncludeToken="{_INCLUDE}/{shape.context_token}">'
        + _policy(_empty(shape.derived_keys), f"<sp:BootstrapPolicy>{bootstrap}</sp:BootstrapPolicy>")
        + "</sp:SecureConversationToken>"
    )
    return _wrap("SymmetricBinding", _wrap("ProtectionToken", token), *_options(shape, shape.suite))


def _initial_binding(shape: Shape) -> str:
    tokens = (
        _wrap(
            role,
            f'<sp:X509Token sp:IncludeToken="{_INCLUDE}/{include}">'
            + _policy(_empty("WssX509V3Token10"), _empty(shape.reference))
            + "</sp:X509Token>",
        )
        for role, include in (("InitiatorToken", shape.initiator), ("RecipientToken", shape.recipient))
    )
    return _wrap("AsymmetricBinding", *tokens, *_options(shape, shape.bootstrap_suite or shape.suite))


def _options(shape: Shape, suite: str) -> tuple[str, ...]:
    return (
        _wrap("AlgorithmSuite", _empty(suite)),
        _wrap("Layout", _empty(shape.layout)),
        _empty("IncludeTimestamp" if shape.timestamp else ""),
        _empty("OnlySignEntireHeadersAndBody"),
        *map(_empty, shape.extra),
    )


def _parts(parts: Parts) -> str:
    headers = {
        "body": "",
        "names": "".join(f'<sp:Header Name="{name}" Namespace="{WSA_2005}"/>' for name in ADDRESSING),
        "namespace": f'<sp:Header Namespace="{WSA_2005}"/>',
    }[parts.signed]
    encrypted = "<sp:EncryptedParts><sp:Body/></sp:EncryptedParts>" if parts.encrypted else ""
    return f"<sp:SignedParts><sp:Body/>{headers}</sp:SignedParts>{encrypted}"


def _styles(styles: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"MustSupportRef{style}" for style in styles)


def _assertion(name: str, *inside: str) -> str:
    return _wrap(name, *map(_empty, inside))


def _wrap(name: str, *inside: str) -> str:
    return f"<sp:{name}>{_policy(*inside)}</sp:{name}>"


def _policy(*inside: str) -> str:
    return f"<wsp:Policy>{''.join(inside)}</wsp:Policy>"


def _empty(name: str) -> str:
    return f"<sp:{name}/>" if name else ""
