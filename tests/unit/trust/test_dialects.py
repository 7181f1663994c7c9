"""The dialects: actions of each, and which request each action is."""

from __future__ import annotations

import pytest

from zeep_secureconv.names import WSC_2005, WSC_200512, WST_2005, WST_200512
from zeep_secureconv.policy.model import Direction
from zeep_secureconv.trust import (
    DIALECTS,
    RequestSecurityToken,
    RequestType,
    action_of,
    dialect_for,
    dialect_of_answer,
    is_trust_action,
)

_ISSUE, _RENEW, _CANCEL, _VALIDATE = RequestType

_ANSWERS = [
    # What CXF, Metro and WCF send.
    ("/RST/SCT", _ISSUE, "/RSTR/SCT"),
    ("/RST/SCT/Renew", _RENEW, "/RSTR/SCT/Renew"),
    ("/RST/SCT/Cancel", _CANCEL, "/RSTR/SCT/Cancel"),
    # What WebSphere sends.
    ("/RST/Renew", _RENEW, "/RSTR/RenewFinal"),
    ("/RST/Cancel", _CANCEL, "/RSTR/Cancel"),
    ("/RST/Validate", _VALIDATE, "/RSTR/ValidateFinal"),
]


@pytest.mark.parametrize("wst", [WST_2005, WST_200512])
@pytest.mark.parametrize(("request_end", "request_type", "response_end"), _ANSWERS)
def test_an_action_is_recognised_and_answered_in_its_family(
    wst: str, request_end: str, request_type: RequestType, response_end: str
) -> None:
    """Both families of actions, in both generations, lead to the request meant and to their own answer."""
    recognised = action_of(wst + request_end)
    assert recognised is not None
    found_type, dialect = recognised
    assert (found_type, dialect.wst) == (request_type, wst)
    assert dialect.action(found_type, Direction.RESPONSE) == wst + response_end


def test_a_plain_issue_is_recognised() -> None:
    """The action of WS-Trust itself means Issue too, and its answer has another name in each generation."""
    for wst, answer in ((WST_200512, "/RSTRC/IssueFinal"), (WST_2005, "/RSTR/Issue")):
        recognised = action_of(f"{wst}/RST/Issue")
        assert recognised is not None
        request_type, dialect = recognised
        assert request_type is _ISSUE
        assert dialect.action(_ISSUE, Direction.RESPONSE) == wst + answer


@pytest.mark.parametrize(
    "action",
    [
        f"{WST_200512}/RST/SCT/Amend",
        f"{WST_200512}/RSTR/SCT",
        f"{WST_200512}/RST/SCT/Validate",
        f"{WST_200512}/rst/sct",
        "/RST/SCT",
        "http://example.com/RST/SCT",
        "",
    ],
)
def test_another_action_is_no_request_for_a_token(action: str) -> None:
    """Amendments, answers and foreign namespaces are not recognised, the nearest real action is."""
    assert action_of(f"{WST_200512}/RST/SCT") is not None
    assert action_of(action) is None


def test_the_actions_of_ws_trust_are_known_as_such() -> None:
    """Those that are no requests for a token too, of either generation; nobody else's."""
    for wst in (WST_2005, WST_200512):
        for end in ("/RST/SCT", "/RST/SCT/Amend", "/RST/KET", "/RSTR/SCT", "/RSTRC/IssueFinal"):
            assert is_trust_action(wst + end)
    for action in ("", "/RST/SCT", "urn:RST", WST_200512, f"{WST_200512}/Issue", f"x{WST_200512}/RST/SCT"):
        assert not is_trust_action(action)


@pytest.mark.parametrize("wst", [WST_2005, WST_200512])
def test_a_shared_action_is_answered_in_the_requester_s_dialect(wst: str) -> None:
    """WebSphere's @Context tells it from others whose actions it shares, and they get what it leaves out."""
    websphere = DIALECTS["websphere13"].in_generation(wst)
    for end, kind, shared in (
        ("/RST/SCT", _ISSUE, True),
        ("/RST/Renew", _RENEW, True),
        ("/RST/SCT/Renew", _RENEW, False),
    ):
        recognised = action_of(wst + end)
        assert recognised is not None
        for context in ("http://www.ibm.com/login/", "https://www.ibm.com/login/", "urn:other", None):
            request = RequestSecurityToken(wst=wst, request_type=kind, context=context)
            dialect = dialect_of_answer(recognised[1], request)
            is_websphere = shared and context is not None and "ibm" in context
            assert (dialect == websphere) == is_websphere
            assert bool(dialect.left_out) == is_websphere
            assert dialect.action(kind, Direction.RESPONSE) == recognised[1].action(kind, Direction.RESPONSE)
            assert (dialect.wst, dialect.collection_for) == (
                (wst, websphere.collection_for) if is_websphere else (wst, recognised[1].collection_for)
            )


def test_the_standard_dialect_follows_the_generation() -> None:
    """1.3 answers in a collection, the draft never does; namespaces belong together."""
    oasis, draft = dialect_for(WST_200512), dialect_for(WST_2005)
    assert (oasis.name, oasis.wsc) == ("oasis13", WSC_200512)
    assert (draft.name, draft.wsc) == ("draft200502", WSC_2005)
    assert oasis.collection_for >= {_ISSUE, _RENEW, _CANCEL}
    assert draft.collection_for == frozenset()
    with pytest.raises(KeyError):
        dialect_for("http://schemas.xmlsoap.org/ws/2004/04/trust")


def test_every_dialect_validates_with_the_actions_of_ws_trust() -> None:
    """Validate has no action of its own in WS-SecureConversation; its answer is no collection, as WebSphere's."""
    for dialect in DIALECTS.values():
        assert dialect.action(_VALIDATE, Direction.REQUEST) == f"{dialect.wst}/RST/Validate"
        assert dialect.action(_VALIDATE, Direction.RESPONSE) == f"{dialect.wst}/RSTR/ValidateFinal"
        assert _VALIDATE not in dialect.collection_for


def test_a_dialect_in_another_generation_keeps_its_manners() -> None:
    """WCF and WebSphere in the draft keep order, target and key size, change namespaces, and answer bare."""
    for name in ("wcf", "websphere13"):
        dialect = DIALECTS[name]
        draft = dialect.in_generation(WST_2005)
        assert (draft.wst, draft.wsc, draft.collection_for) == (WST_2005, WSC_2005, frozenset())
        assert draft.request_order == dialect.request_order
        assert (draft.target, draft.key_size) == (dialect.target, dialect.key_size)
        assert dialect.in_generation(WST_200512) is dialect


def test_dialects_are_values() -> None:
    """A dialect can be hashed and cannot be changed."""
    assert len(set(DIALECTS.values())) == len(DIALECTS) == 4
    with pytest.raises(AttributeError):
        DIALECTS["wcf"].name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        DIALECTS["wcf"].actions[_VALIDATE, Direction.REQUEST] = "/RST/Validate"  # type: ignore[index]
