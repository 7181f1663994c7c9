"""Policies, keys and clear messages to protect."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from lxml import etree

from tests.unit.parties import environment, identity, trust
from zeep_secureconv import Limits, Policy
from zeep_secureconv.conversation.policies import ConversationPolicy, conversation_policy
from zeep_secureconv.environment import Environment
from zeep_secureconv.names import SOAP11, WSA_2005, WSC_200512, WSSE, sct_type
from zeep_secureconv.policy import (
    SUITES,
    AsymmetricBinding,
    DerivedKeys,
    Direction,
    EndpointPolicy,
    HeaderPart,
    Include,
    Parts,
    SecureConversationToken,
    SymmetricBinding,
    X509Token,
)
from zeep_secureconv.policy.model import (
    ElementPath,
    HttpsToken,
    KeyToken,
    PasswordForm,
    SuppliedToken,
    SupportingToken,
    TransportBinding,
    UsernameToken,
)
from zeep_secureconv.soap.addressing import address_request
from zeep_secureconv.soap.envelope import Soap, new_envelope, parse, serialize
from zeep_secureconv.wss.credentials import LtpaToken, XmlToken
from zeep_secureconv.wss.credentials import UsernameToken as Username
from zeep_secureconv.wss.keys import ContextKey, Keyring
from zeep_secureconv.wss.protect import Protected, protect
from zeep_secureconv.wss.seen import SeenSignatures
from zeep_secureconv.wss.unprotect import Verified, unprotect

ADDRESSING = (HeaderPart(namespace=WSA_2005),)
SIGNED = Parts(body=True, headers=ADDRESSING)
BODY = Parts(body=True)
TICKET = "urn:test:ticket"
ENDPOINT = "http://localhost:8080/peer"
SECRET = bytes(range(32))


def context(**changes: Any) -> ContextKey:
    """A context key with the secret 00..1f."""
    wsc = changes.pop("wsc", WSC_200512)
    identifier = changes.pop("identifier", "urn:uuid:sct-1")
    instance = changes.get("instance")
    inner = f"<c:Identifier>{identifier}</c:Identifier>"
    inner += f"<c:Instance>{instance}</c:Instance>" if instance else ""
    token = (
        f'<c:SecurityContextToken xmlns:c="{wsc}" xmlns:u="http://docs.oasis-open.org/wss/2004/01/'
        f'oasis-200401-wss-wssecurity-utility-1.0.xsd" u:Id="sct-id">{inner}</c:SecurityContextToken>'
    )
    known: dict[str, Any] = {
        "identifier": identifier,
        "instance": None,
        "wsc": wsc,
        "secret": SECRET,
        "token": token.encode(),
    }
    return ContextKey(**(known | changes))


def symmetric(suite: str = "Basic128", **changes: Any) -> Policy:
    """A policy with a SymmetricBinding over a context: everything signed, the Body encrypted.

    Args:
        suite: name of the algorithm suite.
        changes: fields of the policy, of its binding, or of its token.
    """
    usual = {"include": Include.ALWAYS_TO_RECIPIENT, "derived_keys": DerivedKeys.EXPLICIT}
    token = SecureConversationToken(**(usual | _take(changes, SecureConversationToken)))
    parts = _take(changes, Policy)
    binding = SymmetricBinding(
        signature_token=token,
        encryption_token=token,
        algorithm_suite=SUITES[suite],
        **({"include_timestamp": True} | changes),
    )
    return Policy(binding=binding, **({"signed": SIGNED, "encrypted": BODY} | parts))


def _take(changes: dict[str, Any], kind: type) -> dict[str, Any]:
    """Take the fields of a dataclass out of *changes*."""
    return {field.name: changes.pop(field.name) for field in fields(kind) if field.name in changes}


def asymmetric(suite: str = "Basic128", **changes: Any) -> Policy:
    """A policy with an AsymmetricBinding: the client's certificate travels, the server's never does.

    Args:
        suite: name of the algorithm suite.
        changes: fields of the policy or of its binding; ``initiator`` and ``recipient`` are the tokens.
    """
    initiator = changes.pop("initiator", X509Token(include=Include.ALWAYS_TO_RECIPIENT))
    recipient = changes.pop("recipient", X509Token(include=Include.NEVER))
    parts = _take(changes, Policy)
    binding = AsymmetricBinding(
        initiator_signature_token=initiator,
        initiator_encryption_token=initiator,
        recipient_signature_token=recipient,
        recipient_encryption_token=recipient,
        algorithm_suite=SUITES[suite],
        **({"include_timestamp": True} | changes),
    )
    return Policy(binding=binding, **({"signed": SIGNED, "encrypted": BODY} | parts))


def message(
    content: str = '<e:echo xmlns:e="urn:test"><e:text>hello</e:text></e:echo>',
    *,
    version: str = SOAP11,
    headers: str = "",
) -> Soap:
    """A clear message with addressing headers.

    Args:
        content: the inside of the Body.
        version: namespace of SOAP.
        headers: further header blocks, first in the header.
    """
    text = f'<s:Envelope xmlns:s="{version}"><s:Header>{headers}</s:Header><s:Body>{content}</s:Body></s:Envelope>'
    soap = Soap.of(parse(text.encode(), Limits()))
    address_request(soap, wsa=WSA_2005, to=ENDPOINT, action="urn:test:echo", random=environment().random)
    return soap


def bare(version: str = SOAP11) -> Soap:
    """A message with nothing in it."""
    return new_envelope(version)


def conversation(suite: str = "Basic128", *, soap: str = SOAP11, **changes: Any) -> ConversationPolicy:
    """The secure conversation of an endpoint: :func:`symmetric` with :func:`asymmetric` as its bootstrap.

    Args:
        suite: name of the algorithm suite of both.
        soap: namespace of SOAP.
        changes: as for :func:`symmetric`.
    """
    changes.setdefault("bootstrap", asymmetric(suite))
    return conversation_policy(EndpointPolicy(endpoint=symmetric(suite, **changes), soap=soap))


def rings(direction: Direction = Direction.REQUEST) -> tuple[Keyring, Keyring]:
    """(the sender's keys, the receiver's keys) of a message that goes in *direction*."""
    client, server = identity("client"), identity("server")
    known = context()
    of_client = Keyring(
        signing=client,
        decrypting=client,
        peer=server.certificate,
        signers=(server.certificate,),
        trust=trust(),
        role="server",
        context=known,
    )
    of_server = Keyring(signing=server, decrypting=server, trust=trust(), role="client", context=known)
    if direction is Direction.REQUEST:
        return of_client, of_server
    # the service answers to the certificate that signed the request
    return replace(of_server, peer=client.certificate), of_client


def secured(
    soap: Soap,
    policy: Policy,
    *,
    direction: Direction = Direction.REQUEST,
    ring: Keyring | None = None,
    env: Environment | None = None,
) -> Protected:
    """Protect *soap* in place with the sender's keys."""
    return protect(soap, policy, ring or rings(direction)[0], env or environment(), direction=direction)


def wire(soap: Soap) -> Soap:
    """The message as it arrives: serialized and parsed again."""
    return Soap.of(parse(serialize(soap.envelope), Limits()))


def read(
    soap: Soap,
    policy: Policy,
    *,
    direction: Direction = Direction.REQUEST,
    ring: Keyring | None = None,
    env: Environment | None = None,
    seen: SeenSignatures | None = None,
) -> Verified:
    """Unprotect *soap* with the receiver's keys."""
    return unprotect(soap, policy, ring or rings(direction)[1], env or environment(), seen=seen)


def security(soap: Soap) -> etree._Element:
    """The wsse:Security header."""
    (found,) = [block for block in soap.blocks() if block.tag == f"{{{WSSE}}}Security"]
    return found


def order(soap: Soap) -> list[str]:
    """Local names of the children of wsse:Security."""
    return [etree.QName(child).localname for child in security(soap)]


def canonical(element: etree._Element) -> bytes:
    """The canonical form of an element, to compare content by."""
    return etree.tostring(element, method="c14n", exclusive=True)


SCT = sct_type(WSC_200512)

# What only some bindings have.

TICKETED = f'<t:Ticket xmlns:t="{TICKET}">secret</t:Ticket>'
LTPA = "{http://www.ibm.com/websphere/appserver/tokentype}LTPAv2"
SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}Assertion"
ASSERTION = '<a:Assertion xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion" ID="_1"><a:Issuer>me</a:Issuer></a:Assertion>'
THUMBPRINT = X509Token(include=Include.NEVER)
ENDORSER = SupportingToken(token=X509Token(include=Include.ALWAYS_TO_RECIPIENT), endorsing=True)


def username(form: PasswordForm = PasswordForm.TEXT, **flags: Any) -> SupportingToken:
    """A UsernameToken as a supporting token."""
    return SupportingToken(token=UsernameToken(password=form), **flags)


def supplied(accepts: str, **flags: Any) -> SupportingToken:
    """A token that is carried and not understood."""
    token = SuppliedToken(assertion="{urn:test}Token", accepts=frozenset({accepts}))
    return SupportingToken(token=token, **flags)


def path(local: str, *, inside: str = "", namespace: str | None = None) -> ElementPath:
    """Elements of a name, or with another one around them, anywhere in the envelope."""
    outer = f"//*[local-name()='{inside}']" if inside else "/"
    return ElementPath(
        xpath=f"{outer}//x:{local}" if namespace else f"{outer}//*[local-name()='{local}']",
        namespaces=(("x", namespace),) if namespace else (),
    )


def with_certificate(suite: str = "Basic128", *, token: KeyToken = THUMBPRINT, **changes: Any) -> Policy:
    """A SymmetricBinding under the key of an EncryptedKey: a bootstrap as WCF, Metro and Rampart have it."""
    policy = symmetric(suite, **changes)
    assert isinstance(policy.binding, SymmetricBinding)
    return replace(policy, binding=replace(policy.binding, signature_token=token, encryption_token=token))


def over_tls(*supporting: SupportingToken, timestamp: bool = True, **changes: Any) -> Policy:
    """A TransportBinding with supporting tokens."""
    binding = TransportBinding(
        transport_token=HttpsToken(), algorithm_suite=SUITES["Basic128"], include_timestamp=timestamp
    )
    return Policy(binding=binding, supporting=supporting, **changes)


def keyrings(direction: Direction = Direction.REQUEST) -> tuple[Keyring, Keyring]:
    """(the sender's, the receiver's) keys, with every token that these tests use, over TLS."""
    tokens = (Username("alice", "s3cret"), LtpaToken("bHRwYQ=="), XmlToken(ASSERTION))
    passwords = {"alice": "s3cret"}
    sender, receiver = (replace(ring, over_tls=True) for ring in rings(direction))
    if direction is Direction.RESPONSE:
        return replace(sender, password_of=passwords.get), replace(receiver, tokens=tokens)
    return replace(sender, tokens=tokens), replace(receiver, password_of=passwords.get)
