"""WebSphere's compact form: assertions without operators, and the direction in the wsu:Id."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.policy.documents import parsed, wsdl_text
from zeep_secureconv.errors import PolicyError
from zeep_secureconv.names import SP_200512, WSA_2004, WSA_2005, WSP_2004, WST_2005, WST_200512
from zeep_secureconv.policy import (
    AsymmetricBinding,
    DerivedKeys,
    EndpointPolicy,
    HeaderPart,
    Parts,
    Policy,
    SecureConversationToken,
    SuppliedToken,
    SymmetricBinding,
    UsernameToken,
    load_policy,
    read_policy,
    read_wsdl,
)

_ADDRESSING = f'<sp:Header Namespace="{WSA_2004}"/><sp:Header Namespace="{WSA_2005}"/>'
_WSA = (HeaderPart(namespace=WSA_2004), HeaderPart(namespace=WSA_2005))
_SIGNED = f"<sp:SignedParts><sp:Body/>{_ADDRESSING}</sp:SignedParts>"
_ENCRYPTED = "<sp:EncryptedParts><sp:Body/></sp:EncryptedParts>"
_TOKEN = "<sp:SupportingTokens><wsp:Policy>{}</wsp:Policy></sp:SupportingTokens>"


def part(name: str, content: str) -> str:
    """A nested policy with an id."""
    return f'<wsp:Policy wsu:Id="{name}">{content}</wsp:Policy>'


def x509(place: str) -> str:
    """A token of the bootstrap's binding."""
    token = f'<sp:X509Token sp:IncludeToken="{SP_200512}/IncludeToken/Never"/>'
    return f"<sp:{place}><wsp:Policy>{token}</wsp:Policy></sp:{place}>"


def compact(*, main: str = "", bootstrap: str = "", token: str = "") -> str:
    """A policy.xml with *main* beside its binding and *bootstrap* beside that of its bootstrap."""
    suite = "<sp:AlgorithmSuite><wsp:Policy><sp:Basic128Rsa15/></wsp:Policy></sp:AlgorithmSuite>"
    tokens = "".join(
        x509(f"{party}{use}Token")
        for party in ("Initiator", "Recipient")
        for use in ("Signature", "Encryption")
    )
    return f"""<wsp:Policy xmlns:wsp="{WSP_2004}" xmlns:sp="{SP_200512}"
      xmlns:spe="http://www.ibm.com/xmlns/prod/websphere/200605/ws-securitypolicy-ext"
      xmlns:wsu="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd">
     <sp:SymmetricBinding><wsp:Policy>
      <sp:ProtectionToken><wsp:Policy><sp:SecureConversationToken><wsp:Policy>
       <sp:RequireImplicitDerivedKeys/>{token}
       <sp:BootstrapPolicy><wsp:Policy>
        <sp:AsymmetricBinding><wsp:Policy>{tokens}{suite}</wsp:Policy></sp:AsymmetricBinding>{bootstrap}
       </wsp:Policy></sp:BootstrapPolicy>
      </wsp:Policy></sp:SecureConversationToken></wsp:Policy></sp:ProtectionToken>{suite}
     </wsp:Policy></sp:SymmetricBinding>{main}
    </wsp:Policy>"""


def read(*, main: str = "", bootstrap: str = "", token: str = "") -> EndpointPolicy:
    """What is read from it."""
    return read_policy(parsed(compact(main=main, bootstrap=bootstrap, token=token)))


def conversation(policy: Policy) -> SecureConversationToken:
    """The token of a conversation."""
    assert policy.conversation_token is not None
    return policy.conversation_token


def test_vocabulary_of_200512() -> None:
    """The committee draft's own names are known: implicit derived keys, separate tokens, the draft's token."""
    found = read(token="<sp:SC200502SecurityContextToken/>").endpoint
    assert isinstance(found.binding, SymmetricBinding)
    assert conversation(found).derived_keys is DerivedKeys.IMPLIED
    bootstrap = conversation(found).bootstrap
    assert bootstrap is not None
    assert isinstance(bootstrap.binding, AsymmetricBinding)
    assert bootstrap.binding.initiator_encryption_token is not None
    assert (found.spec, found.wst) == (SP_200512, WST_2005)
    assert read().endpoint.wst == WST_200512


def test_directions_of_application_messages() -> None:
    """What is marked for one direction holds for its messages alone; anything else holds for both."""
    main = part("request:app_signparts", _SIGNED) + part("response:app_encparts", _ENCRYPTED)
    found = read(main=main + part("both", "<sp:RequiredParts><sp:Body/></sp:RequiredParts>"))
    operation = found.everywhere()
    assert operation.request.signed == Parts(body=True, headers=_WSA)
    assert operation.request.encrypted == Parts()
    assert operation.response.signed == Parts()
    assert operation.response.encrypted == Parts(body=True)
    assert operation.fault == operation.response
    assert operation.request.required == operation.response.required == Parts(body=True)
    assert operation.request.conversation_token == operation.response.conversation_token


def test_no_difference_between_directions() -> None:
    """A policy whose directions are alike is the same for requests and answers."""
    main = part("request:app_signparts", _SIGNED) + part("response:app_signparts", _SIGNED)
    assert read(main=main).response is None
    assert read(main=main) == read(main=_SIGNED)


@pytest.mark.parametrize("inside", [False, True])
def test_token_of_requests(inside: bool) -> None:
    """The token policy is for requests, whether its id is at the assertion's policy or at one around it."""
    tokens = _TOKEN.format("<sp:UsernameToken/>")
    named = tokens.replace("<wsp:Policy>", '<wsp:Policy wsu:Id="request:token_auth">', 1)
    found = read(main=named if inside else part("request:token_auth", tokens))
    assert [type(entry.token) for entry in found.endpoint.supporting] == [UsernameToken]
    assert found.response is not None
    assert found.response.supporting == ()


def test_token_of_answers_is_refused() -> None:
    """Answers carry no tokens here; a policy that wants some is not read as if it did not."""
    tokens = _TOKEN.format("<sp:UsernameToken/>")
    assert read(main=part("request:token_auth", tokens)).endpoint.supporting
    with pytest.raises(PolicyError, match="is for answers") as caught:
        read(main=part("response:token_auth", tokens))
    assert caught.value.assertion == f"{{{SP_200512}}}SupportingTokens"


def test_ltpa_token() -> None:
    """LTPA is a token that the user supplies."""
    (entry,) = read(main=part("request:token_auth", _TOKEN.format("<spe:LTPAToken/>"))).endpoint.supporting
    assert isinstance(entry.token, SuppliedToken)
    assert "{http://www.ibm.com/websphere/appserver/tokentype}LTPAv2" in entry.token.accepts


_BOOTSTRAP = (
    part("request:bootstrap_signparts", _SIGNED)
    + part("request:bootstrap_token", _TOKEN.format("<sp:UsernameToken/>"))
    + part("response:bootstrap_encparts", _ENCRYPTED)
)


def test_directions_of_the_bootstrap() -> None:
    """Inside the BootstrapPolicy they are requests for contexts and their answers."""
    found = read(bootstrap=_BOOTSTRAP)
    assert found.response is None
    request, response = (
        conversation(found.endpoint).bootstrap,
        conversation(found.endpoint).bootstrap_response,
    )
    assert request is not None
    assert response is not None
    assert (request.signed.body, request.encrypted.body, len(request.supporting)) == (True, False, 1)
    assert (response.signed.body, response.encrypted.body, response.supporting) == (False, True, ())
    assert request.binding == response.binding


def test_bootstrap_policies_beside_the_binding() -> None:
    """Policies named after the bootstrap belong to it, and not to application messages, wherever they stand."""
    assert read(main=_BOOTSTRAP) == read(bootstrap=_BOOTSTRAP)


def test_no_bootstrap_to_belong_to() -> None:
    """Demands on a bootstrap that there is none of are an error of the policy, not nothing."""
    text = compact(main=_BOOTSTRAP)
    assert read_policy(parsed(text)).endpoint.binding is not None
    start, end = text.index("<sp:BootstrapPolicy>"), text.index("</sp:BootstrapPolicy>")
    with pytest.raises(PolicyError, match="outside of a sp:BootstrapPolicy"):
        read_policy(parsed(text[:start] + text[end + len("</sp:BootstrapPolicy>") :]))


def test_one_bootstrap_for_both_directions() -> None:
    """A bootstrap whose directions are alike has one policy."""
    alike = part("request:bootstrap_signparts", _SIGNED) + part("response:bootstrap_signparts", _SIGNED)
    assert conversation(read(bootstrap=alike).endpoint).bootstrap_response is None


def test_parts_of_the_application_inside_the_bootstrap() -> None:
    """A direction without the mark of the bootstrap holds where it stands."""
    found = read(bootstrap=part("request:int_body", _SIGNED) + part("response:int_body", _SIGNED))
    bootstrap = conversation(found.endpoint).bootstrap
    assert bootstrap is not None
    assert bootstrap.signed.body
    assert found.endpoint.signed == Parts()


def test_compact_form_in_a_wsdl() -> None:
    """Attached to a WSDL, it means the same for every message."""
    main = part("request:app_signparts", _SIGNED) + part("response:app_encparts", _ENCRYPTED)
    operation = read_wsdl(parsed(wsdl_text(binding=compact(main=main)))).operations["op"]
    alone = read(main=main).everywhere()
    assert (operation.request, operation.response, operation.fault) == (
        alone.request,
        alone.response,
        alone.fault,
    )
    assert operation.faults == {"{urn:t}oops": alone.response}


def test_policy_xml_is_a_policy_file(tmp_path: Path) -> None:
    """A policy.xml of WebSphere can be given as policy=."""
    main = part("request:app_signparts", _SIGNED)
    path = tmp_path / "policy.xml"
    path.write_text(compact(main=main))
    assert load_policy(path) == read(main=main)
