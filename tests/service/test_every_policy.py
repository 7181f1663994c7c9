"""Every policy of every stack between our client and our service: no Java, and nothing but loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.grid import ATTEMPTED, Way, expected, service_arguments, we_call_ourselves
from tests.peers.our_side import our_service
from tests.peers.variants import Variant


@pytest.mark.parametrize("variant", ATTEMPTED, ids=str)
def test_our_client_and_our_service(variant: Variant, pki: Path, tmp_path: Path) -> None:
    """Our client calls every operation of our service, gets the declared fault and cancels."""
    with our_service(pki, variant.write_wsdl(tmp_path), **service_arguments(variant)) as service:
        seen = we_call_ourselves(variant, service, pki)
    assert seen == expected(variant, Way.OURS).text
