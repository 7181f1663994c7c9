"""The policies that the peers publish, all of them."""

from __future__ import annotations

import pytest

from tests.peers.variants import VARIANTS, Variant
from tests.unit.policy.documents import parsed
from zeep_secureconv.errors import PolicyError
from zeep_secureconv.names import WST_2005, WST_200512
from zeep_secureconv.policy import (
    AsymmetricBinding,
    Binding,
    EndpointPolicy,
    SecureConversationToken,
    SymmetricBinding,
    TransportBinding,
    UsernameToken,
    X509Token,
    read_alternatives,
    read_wsdl,
)
from zeep_secureconv.policy.support import is_supported

_READ = [variant for variant in VARIANTS if variant.is_secured and not variant.is_reliable]
_RELIABLE = [variant for variant in VARIANTS if variant.is_reliable]

#: Words in the name of a variant, and the binding of its bootstrap.
_BOOTSTRAPS: dict[str, type[Binding]] = {
    "tls": TransportBinding,
    "asym": AsymmetricBinding,
    "sym": SymmetricBinding,
    "symx509": SymmetricBinding,
    "username": SymmetricBinding,
}


def read(variant: Variant) -> EndpointPolicy:
    """What is read of a variant."""
    return read_wsdl(parsed(variant.wsdl("https://localhost/peer")), location="peer.wsdl")


def token(found: EndpointPolicy) -> SecureConversationToken:
    """Its SecureConversationToken."""
    assert found.endpoint.conversation_token is not None
    return found.endpoint.conversation_token


def words(variant: Variant) -> list[str]:
    """The words of a variant's name."""
    return variant.name.split("-")


@pytest.mark.parametrize("variant", _READ, ids=str)
def test_every_variant_is_a_conversation_that_can_be_had(variant: Variant) -> None:
    """Every policy of every peer is read, into one alternative, and everything in it can be done."""
    found = read(variant)
    assert is_supported(found.endpoint)
    assert found.endpoint.rejected == ()
    assert read_alternatives(parsed(variant.wsdl("https://localhost/peer")), location="peer.wsdl") == (found,)
    for operation in found.operations.values():
        assert is_supported(operation.request)
        assert operation.request.conversation_token == operation.response.conversation_token == token(found)


@pytest.mark.parametrize("variant", _READ, ids=str)
def test_bindings_of_the_variants(variant: Variant) -> None:
    """The binding of the bootstrap, and the generation, are those that the variant is named for."""
    found = read(variant)
    bootstrap = token(found).bootstrap
    assert bootstrap is not None
    named = [_BOOTSTRAPS[word] for word in words(variant) if word in _BOOTSTRAPS]
    assert named == [] or type(bootstrap.binding) in named
    application = (
        TransportBinding
        if "endorsing-sct" in variant.name or "tls-x509" in variant.name
        else SymmetricBinding
    )
    assert isinstance(found.endpoint.binding, application)
    assert found.endpoint.wst == (WST_2005 if "draft" in words(variant) else WST_200512)


@pytest.mark.parametrize("variant", [variant for variant in _READ if variant.wants_username], ids=str)
def test_user_names_of_the_variants(variant: Variant) -> None:
    """A variant with a user name has it in its bootstrap or in its requests."""
    found = read(variant)
    bootstrap = token(found).bootstrap
    assert bootstrap is not None
    leg = found.endpoint if "app" in words(variant) else bootstrap
    assert [type(entry.token) for entry in leg.supporting] == [UsernameToken]


def test_endorsing_certificates_of_the_variants() -> None:
    """The variants in which a certificate endorses the bootstrap have it there, and no other variant has."""
    endorsed = set()
    for variant in _READ:
        bootstrap = token(read(variant)).bootstrap
        assert bootstrap is not None
        if any(entry.endorsing and isinstance(entry.token, X509Token) for entry in bootstrap.supporting):
            endorsed.add(str(variant))
    assert {"cxf-symx509-endorsing-dk", "cxf-tls-x509-bootstrap", "rampart-sym-dk"} <= endorsed
    assert not any("asym" in name for name in endorsed)


@pytest.mark.parametrize("variant", _RELIABLE, ids=str)
def test_reliable_messaging_is_refused_by_name(variant: Variant) -> None:
    """WS-ReliableMessaging is not passed over where it is demanded."""
    with pytest.raises(PolicyError, match="wsrmp:RMAssertion is not supported") as caught:
        read(variant)
    assert caught.value.position is not None
    assert caught.value.position.endswith(" of peer.wsdl")
    assert "WS-ReliableMessaging is not supported yet" in str(caught.value.hint)
