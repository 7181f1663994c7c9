"""The presets as the stacks' clients can read them, and what each client makes of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lxml import etree

from tests.peers.grid import (
    AT_TIMES,
    BIG,
    EVERYTHING,
    USER,
    USER_OPTIONS,
    Cell,
    Way,
    checked,
    described,
    expected,
    tabulated,
)
from tests.peers.our_side import CLIENT, OurService
from tests.peers.peer import CXF, METRO, RAMPART, STACKS, PeerClients, Stack
from tests.peers.variants import Variant
from tests.unit.policy.writer import write_policy
from zeep_secureconv.names import (
    SP_2005,
    SP_200702,
    WSA_2005,
    WSDL,
    WSP_W3C,
    WST_2005,
    WST_200512,
)
from zeep_secureconv.policy.model import (
    AsymmetricBinding,
    HeaderPart,
    Parts,
    Policy,
    ReferenceStyle,
    SymmetricBinding,
    TrustOptions,
    Wss,
)
from zeep_secureconv.policy.presets import PRESETS, Preset
from zeep_secureconv.policy.suites import HMAC_SHA256, RSA_SHA256
from zeep_secureconv.service.contract import demonstration_wsdl

#: sp:Header without a Name is not in every stack.
_HEADERS = tuple(
    HeaderPart(namespace=WSA_2005, name=name)
    for name in ("To", "From", "FaultTo", "ReplyTo", "MessageID", "RelatesTo", "Action")
)
_WSS = Wss(version="1.0", references=frozenset({ReferenceStyle.KEY_IDENTIFIER, ReferenceStyle.ISSUER_SERIAL}))


def preset_wsdl(preset: Preset, address: str) -> bytes:
    """The contract under a preset, in a form that CXF, Metro and Rampart read.

    That of WCF's presets is theirs. Of WebSphere's form none of them reads anything: the assertions are those of
    WS-SecurityPolicy 200512, all of them stand beside each other, and the direction is in the names of the policies.
    Here they are of 200702, or of 2005/07 for the draft, and what is signed and encrypted is attached to the messages.

    Args:
        preset: the preset.
        address: URL of the service.
    """
    if preset.dialect == "wcf":
        return demonstration_wsdl(preset.document(), address=address, soap="1.2")
    policy = preset.policy().everywhere()
    parts = {"Input": policy.request, "Output": policy.response}
    definitions = etree.fromstring(demonstration_wsdl(None, address=address))
    for number, (name, text) in enumerate(
        {
            "Binding": _binding(preset, policy.request),
            **{name: _text(preset, _parts(one), name) for name, one in parts.items()},
        }.items()
    ):
        definitions.insert(number, etree.fromstring(text))
        where = {"Binding": "wsdl:binding"}.get(name, f"wsdl:binding/wsdl:operation/wsdl:{name.lower()}")
        for place in definitions.iterfind(where, {"wsdl": WSDL}):
            place.insert(0, etree.Element(f"{{{WSP_W3C}}}PolicyReference", URI=f"#{name}"))
    return etree.tostring(definitions)


def _binding(preset: Preset, policy: Policy) -> str:
    """What holds for every message of a preset of WebSphere, in the terms that the stacks know."""
    token = policy.conversation_token
    assert token is not None
    assert token.bootstrap is not None
    wst = WST_2005 if token.wsc is not None and "2005/02" in token.wsc else WST_200512
    trust = TrustOptions(wst=wst, require_client_entropy=True, require_server_entropy=True)
    bootstrap = replace(_hidden(token.bootstrap), wss=_WSS, trust=trust)
    bootstrap = replace(bootstrap, signed=_named(bootstrap.signed), encrypted=Parts(body=True))
    token = replace(token, bootstrap=bootstrap, wsc=None)
    policy = _hidden(policy)
    assert isinstance(policy.binding, SymmetricBinding)
    supporting = tuple(replace(entry, signed=True, encrypted=True) for entry in policy.supporting)
    whole = replace(
        policy,
        binding=replace(policy.binding, signature_token=token, encryption_token=token),
        supporting=supporting,
        signed=Parts(),
        encrypted=Parts(),
        trust=trust,
        wss=_WSS,
    )
    return _text(preset, whole, "Binding")


def _hidden(policy: Policy) -> Policy:
    """A policy that says without XPath that Signature is encrypted, and that Body itself is signed.

    Metro signs the child of Body where sp:OnlySignEntireHeadersAndBody is missing, which our service refuses.
    """
    assert isinstance(policy.binding, SymmetricBinding | AsymmetricBinding)
    binding = replace(policy.binding, encrypt_signature=True, only_sign_entire_headers_and_body=True)
    return replace(policy, binding=binding)


def _named(parts: Parts) -> Parts:
    """Body, and the addressing headers by their names; elements of wsse:Security are left to the binding."""
    return replace(parts, headers=_HEADERS, elements=())


def _parts(policy: Policy) -> Policy:
    return Policy(signed=_named(policy.signed), encrypted=replace(policy.encrypted, elements=()))


def _text(preset: Preset, policy: Policy, name: str) -> str:
    """The document of a policy, with one token for signing and encrypting, as there was in the draft alone."""
    text = write_policy(policy, name)
    for side in ("Initiator", "Recipient"):
        text = re.sub(f"<sp:{side}EncryptionToken>.*?</sp:{side}EncryptionToken>", "", text)
        text = text.replace(f"sp:{side}SignatureToken", f"sp:{side}Token")
    if "draft" in preset.name:
        for new, old in _OF_THE_DRAFT.items():
            text = text.replace(new, old)
    return text


#: What WS-SecurityPolicy of July 2005 lacks, and what comes nearest.
_OF_THE_DRAFT: Mapping[str, str] = {
    "IncludeToken/AlwaysToInitiator": "IncludeToken/Never",
    "SignedEncryptedSupportingTokens": "SignedSupportingTokens",
    SP_200702: SP_2005,
}


# ------------------------------------------------------------------------------------------------------- the table

_NO_LTPA = "No stack has LTPA tokens, or knows the assertion for them"
_SHA256 = "Metro does not sign with the algorithms of this preset, for which policies have no assertion"
_OTHER_KEY = (
    "Calls of Rampart's cannot be decrypted with the key that was agreed on, under any of the SHA-256 suites"
)
_CLEAR_USER = (
    "In the policy language of the draft no supporting token is encrypted, and Rampart sends the user name so"
)
_UNSIGNED = "Rampart refuses the answer that has the context as not signed, which over TLS it never is"
_NO_CALLS = "no calls"
_CXF_USUAL = expected(Variant(CXF, "asym-dk"), Way.THEIR_CLIENT)

#: What is expected of a stack's client under presets whose names have all of these words; the first that fits.
_EXPECTED: dict[Stack, tuple[tuple[tuple[str, ...], Cell], ...]] = {
    CXF: (
        (("LTPA",), Cell(_NO_CALLS, _NO_LTPA)),
        (("WCF", "Certificate"), AT_TIMES),
        ((), _CXF_USUAL),
    ),
    METRO: (
        (("LTPA",), Cell(_NO_CALLS, _NO_LTPA)),
        (("SHA256",), Cell(_NO_CALLS, _SHA256)),
        ((), EVERYTHING),
    ),
    RAMPART: (
        (("LTPA",), Cell(_NO_CALLS, _NO_LTPA)),
        (("SHA256",), Cell(_NO_CALLS, _OTHER_KEY)),
        (("WCF",), Cell(_NO_CALLS, _UNSIGNED)),
        (("Username", "draft"), Cell(_NO_CALLS, _CLEAR_USER)),
        ((), EVERYTHING),
    ),
}

#: What CXF's client signs with under the SHA256 presets: their policies have no assertion for it.
_CXF_SHA256 = {
    "set": {
        "ws-security.asymmetric.signature.algorithm": RSA_SHA256,
        "ws-security.symmetric.signature.algorithm": HMAC_SHA256,
    }
}

#: What was seen since this module was loaded.
seen_in_this_run: dict[tuple[Stack, str], str] = {}


def expected_under(stack: Stack, name: str) -> Cell:
    """What stands in a cell of the table of presets."""
    return next(cell for words, cell in _EXPECTED[stack] if all(word in name for word in words))


def options_under(stack: Stack, preset: Preset) -> dict[str, Any]:
    """What a stack's client must be told besides its WSDL."""
    options: dict[str, Any] = {}
    if "User" in preset.name:
        options |= USER_OPTIONS
    if stack is CXF and "SHA256" in preset.name:
        options |= _CXF_SHA256
    if stack is RAMPART and preset.dialect == "wcf":
        options |= {"soap": "1.2"}
    return options


def principal_under(preset: Preset) -> str:
    """Whom our service takes the client for: the user where one asks for the context, as under WCF's preset."""
    return USER.username if preset.dialect == "wcf" and "User" in preset.name else CLIENT


def their_client_calls(
    stack: Stack, preset: Preset, service: OurService, client: PeerClients, wsdl: Path
) -> Sequence[str] | None:
    """A stack's client calls our service under a preset.

    Returns:
        What of Renew and Cancel our service's store tells of; None where no call came through.
    """
    report = client(wsdl=wsdl, check=True, size=BIG, **options_under(stack, preset))
    if report["ok"]:
        return checked(stack, report, service, principal_under(preset))
    assert service.app.calls == 0, (report, service.said)
    return None


def described_under(
    stack: Stack, name: str, done: Sequence[str] | None, tolerated: Sequence[str] | None
) -> str:
    """A cell of the table of presets."""
    if done is None or tolerated is None:
        return _NO_CALLS
    return described(stack, done, tolerated, expected_under(stack, name))


def table_of_presets() -> str:
    """The table in Markdown, from what was seen, and from what is expected of what was not tried this time."""
    return tabulated(
        ["preset", *(stack.title for stack in STACKS.values())],
        [
            (
                [f"`{name}`"],
                [
                    Cell(seen_in_this_run.get((stack, name), text), reason)
                    for stack in STACKS.values()
                    for text, reason in [expected_under(stack, name)]
                ],
            )
            for name in PRESETS
        ],
    )
