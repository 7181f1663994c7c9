"""What other stacks make of a Validate, which none of them knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.our_side import our_client
from tests.peers.peer import PeerServer
from zeep_secureconv import TokenFault, UnsecuredFault


@pytest.mark.parametrize("dialect", ["auto", "websphere13"])
def test_cxf_does_not_validate_and_that_is_told(cxf: PeerServer, pki: Path, dialect: str) -> None:
    """CXF takes the question for an unknown operation; the error says so, and the context goes on working."""
    with our_client(pki, dialect=dialect) as sc:
        client = sc.client(cxf.wsdl("asym-dk"))
        assert client.service.echo("before") == "before"
        (context,) = sc.contexts()
        with pytest.raises((TokenFault, UnsecuredFault)) as caught:
            sc.validate(context)
        assert isinstance(caught.value, (TokenFault, UnsecuredFault))
        assert "WebSphere" in (caught.value.hint or "")
        assert client.service.echo("after") == "after"
        assert sc.contexts() == [context]
