"""The key of a context: known answers of real stacks, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from zeep_secureconv.errors import VerificationError
from zeep_secureconv.limits import Limits
from zeep_secureconv.names import WST_200512
from zeep_secureconv.trust import (
    Entropy,
    RequestSecurityTokenResponse,
    context_key,
    request_from_xml,
    response_from_xml,
)
from zeep_secureconv.wss.kdf import p_sha1

_KEYS = json.loads((Path(__file__).parents[2] / "vectors" / "trust" / "keys.json").read_text())
_OURS, _THEIRS = bytes(range(32)), bytes(range(32, 64))
_COMPUTED = RequestSecurityTokenResponse(
    wst=WST_200512, computed_key=f"{WST_200512}/CK/PSHA1", entropy=Entropy(_THEIRS)
)


def _key(
    response: RequestSecurityTokenResponse,
    *,
    ours: bytes | None = _OURS,
    size: int = 32,
    minimum: int = 16,
    server: bool = False,
) -> bytes:
    return context_key(ours, response, size, minimum=minimum, require_server_entropy=server)


def _refused(
    response: RequestSecurityTokenResponse, *, ours: bytes | None = _OURS, server: bool = False
) -> None:
    with pytest.raises(VerificationError) as caught:
        _key(response, ours=ours, server=server)
    assert caught.value.check == "context-key"


@pytest.mark.parametrize("exchange", _KEYS)
def test_the_key_is_the_one_that_the_stack_held(
    exchange: str, payload: Callable[[str], etree._Element]
) -> None:
    """From request and answer follows the very key that the server had, or that the samples lead to."""
    stack, _, operation = exchange.rpartition("-")
    name = f"seeds/{operation}" if stack == "seeds" else f"trust/{exchange}"
    rst = request_from_xml(payload(f"{name}-rst"), Limits())
    rstr = response_from_xml(payload(f"{name}-rstr"), Limits())
    ours = rst.entropy.secret if rst.entropy else None
    key = context_key(ours, rstr, rst.key_size or 32, minimum=16, require_server_entropy=True)
    assert key.hex() == _KEYS[exchange]


def test_both_entropies_are_combined() -> None:
    """ComputedKey and an Entropy without any proof both mean P_SHA1 of the two entropies."""
    expected = p_sha1(_OURS, _THEIRS, 32)
    assert _key(_COMPUTED, server=True) == expected
    assert _key(replace(_COMPUTED, computed_key=None), server=True) == expected


def test_the_issuer_decides_about_the_length() -> None:
    """KeySize of the answer wins over the length of its entropy."""
    assert _key(replace(_COMPUTED, key_size=16)) == p_sha1(_OURS, _THEIRS, 16)
    assert _key(replace(_COMPUTED, entropy=Entropy(_THEIRS[:24]))) == p_sha1(_OURS, _THEIRS[:24], 24)


def test_a_proof_secret_is_the_key() -> None:
    """A BinarySecret as proof is used as it is, even beside an Entropy."""
    proof = RequestSecurityTokenResponse(wst=WST_200512, proof_secret=_THEIRS)
    assert _key(proof, server=True) == _THEIRS
    assert _key(proof, ours=None, server=True) == _THEIRS
    assert _key(replace(proof, entropy=Entropy(_OURS)), server=True) == _THEIRS


def test_without_proof_and_entropy_the_key_is_ours() -> None:
    """An answer that brings nothing makes the requester's entropy the key, where the policy lets it."""
    silent = RequestSecurityTokenResponse(wst=WST_200512)
    assert _key(silent) == _OURS
    _refused(silent, server=True)
    _refused(silent, ours=None)


@pytest.mark.parametrize("computed_key", [f"{WST_200512}/CK/HASH", "", f"{WST_200512}/CK/PSHA1/", "urn:x"])
def test_another_way_to_compute_is_refused(computed_key: str) -> None:
    """Only PSHA1 of the same generation is computed."""
    assert _key(_COMPUTED)
    _refused(replace(_COMPUTED, computed_key=computed_key))


def test_half_of_a_computed_key_is_refused() -> None:
    """A key to be computed needs the entropies of both sides."""
    assert _key(_COMPUTED)
    _refused(replace(_COMPUTED, entropy=None))
    _refused(_COMPUTED, ours=None)


@pytest.mark.parametrize("field", ["proof_encrypted_key", "entropy_encrypted_key"])
def test_an_encrypted_key_must_have_been_opened(field: str) -> None:
    """No key is made up where the real one is still encrypted."""
    assert _key(_COMPUTED)
    _refused(replace(_COMPUTED, **{field: b"<EncryptedKey/>"}))  # type: ignore[arg-type]


def test_a_key_has_a_length_that_the_suite_allows() -> None:
    """Shorter than the minimum and longer than 64 bytes is refused, in every form the key may come."""
    for size in (16, 64):
        assert len(_key(replace(_COMPUTED, key_size=size))) == size
        assert (
            len(_key(replace(_COMPUTED, computed_key=None, proof_secret=bytes(size), entropy=None))) == size
        )
    for size in (1, 15, 65, 512):
        _refused(replace(_COMPUTED, key_size=size))
        _refused(replace(_COMPUTED, computed_key=None, proof_secret=bytes(size), entropy=None))
        _refused(RequestSecurityTokenResponse(wst=WST_200512), ours=bytes(size))


def test_the_issuer_must_contribute_where_the_policy_says_so() -> None:
    """Fewer than 16 bytes of server entropy, or our own entropy sent back as proof, are no contribution."""
    short = replace(_COMPUTED, entropy=Entropy(_THEIRS[:15]), key_size=32)
    echo = RequestSecurityTokenResponse(wst=WST_200512, proof_secret=_OURS)
    assert _key(replace(short, entropy=Entropy(_THEIRS[:16])), server=True)
    assert len(_key(short)) == 32
    assert _key(echo) == _OURS
    _refused(short, server=True)
    _refused(echo, server=True)


def test_the_size_asked_for_is_the_last_resort() -> None:
    """The requested size counts where the issuer tells none and its entropy is no key's length."""
    assert len(_key(_COMPUTED, size=24)) == 32
    for length in (8, 65):
        odd = replace(_COMPUTED, entropy=Entropy(bytes(length)))
        assert _key(odd, size=24) == p_sha1(_OURS, bytes(length), 24)
        assert len(_key(replace(odd, key_size=16), size=24)) == 16


def test_no_secret_stands_in_an_error() -> None:
    """What is refused is not repeated."""
    with pytest.raises(VerificationError) as caught:
        _key(replace(_COMPUTED, computed_key=None, proof_secret=b"topsecret", entropy=None))
    assert "topsecret" not in f"{caught.value!r} {caught.value}"
