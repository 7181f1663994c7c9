"""Cancels that carry the tokens of calls, as Metro's client and Rampart's send them."""

from __future__ import annotations

import pytest

from tests.unit.messages import conversation
from tests.unit.service.peer import URL, Peer
from zeep_secureconv import SecurityContext, UsernameToken
from zeep_secureconv.conversation.policies import conversation_policy
from zeep_secureconv.names import WST_200512
from zeep_secureconv.policy import Policy
from zeep_secureconv.policy.presets import preset
from zeep_secureconv.service.system import by_default
from zeep_secureconv.service.users import Users
from zeep_secureconv.soap.envelope import serialize

_ACTION = f"{WST_200512}/RST/SCT/Cancel"
_POLICY = preset("Username SecureConversation").policy()
_CONVERSATION = conversation_policy(_POLICY)
_FORMS = {
    "in-clear": _CONVERSATION.cancel_with_tokens[0],
    "in-full": _CONVERSATION.cancel_with_tokens[1],
    "in-full-without": _CONVERSATION.cancel_in_full,
    "in-clear-without": _CONVERSATION.cancel,
}


def _peer(password: str) -> Peer:
    return Peer(
        policy=_POLICY,
        tokens=(UsernameToken("alice", password),),
        authenticate=Users({"alice": "wonderland"}),
        endpoint=URL,
    )


def _cancel(peer: Peer, context: SecurityContext, policy: Policy) -> int:
    """The HTTP status of the answer to a Cancel that is secured so."""
    content = (
        f'<t:RequestSecurityToken xmlns:t="{WST_200512}"><t:RequestType>{WST_200512}/Cancel</t:RequestType>'
        f"<t:CancelTarget>{context.key.token.decode()}</t:CancelTarget></t:RequestSecurityToken>"
    )
    soap, _ = peer.secured(context, content.replace(" wsu:Id=", " Id="), action=_ACTION, policy=policy)
    return peer.post(serialize(soap.envelope), _ACTION)[0]


@pytest.mark.parametrize("form", _FORMS)
def test_a_cancel_may_have_the_tokens_of_calls(form: str) -> None:
    """With them or without, encrypted or in clear, the context ends."""
    peer = _peer("wonderland")
    context = peer.issue()
    store = peer.middleware._store
    assert list(store.items("service"))
    assert _cancel(peer, context, _FORMS[form].request) == 200
    assert not list(store.items("service"))


@pytest.mark.parametrize("form", ["in-clear", "in-full"])
def test_a_token_that_comes_with_a_cancel_is_checked(form: str) -> None:
    """A wrong password is refused there too, and the context stays; nobody needs to send one."""
    peer = _peer("wrong")
    context = peer.issue()
    store = peer.middleware._store
    assert _cancel(peer, context, _FORMS[form].request) == 500
    assert list(store.items("service"))
    assert _cancel(peer, context, _CONVERSATION.cancel_in_full.request) == 200
    assert not list(store.items("service"))


def test_where_calls_have_no_tokens_there_are_two_forms() -> None:
    """No form is tried twice."""
    assert len(by_default(_CONVERSATION)) == len(_FORMS)
    assert len(by_default(conversation())) == 2
