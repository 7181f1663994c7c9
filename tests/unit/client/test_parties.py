"""Whom a client talks as, and to."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.messages import asymmetric
from tests.unit.parties import CLIENT, CLIENT2, NOW, SERVER, identity, pem, trust
from zeep_secureconv import ConfigurationError, Trust
from zeep_secureconv.client.parties import Parties, Peer, need_everything, need_valid
from zeep_secureconv.policy.needs import needs

URL, OTHER = "http://localhost/a", "http://localhost/b"
_CLIENT, _SERVER = identity("client"), identity("server")


def keyring_peer(peer: object, url: str = URL) -> tuple[object, ...]:
    """(the certificate to encrypt to, *those that may sign) for an endpoint."""
    ring = Parties.of(_CLIENT, trust(), peer).keyring(url)  # type: ignore[arg-type]
    return (ring.peer, *ring.signers)


def test_one_certificate_is_for_everything(tmp_path: Path) -> None:
    """A certificate as object, PEM bytes or path is encrypted to, and signs."""
    path = tmp_path / "server.pem"
    path.write_bytes(pem(SERVER.make()))
    for peer in (SERVER.make(), pem(SERVER.make()), path, str(path)):
        assert keyring_peer(peer) == (SERVER.make(), SERVER.make(), SERVER.make())


def test_a_pair_tells_signer_and_recipient() -> None:
    """The first of a pair signs, the second is encrypted to; both may sign."""
    assert keyring_peer((CLIENT.make(), SERVER.make())) == (SERVER.make(), CLIENT.make(), SERVER.make())


def test_a_mapping_goes_by_endpoint() -> None:
    """A mapping gives each endpoint its own, and an endpoint that is not in it none."""
    peers: dict[str, Peer] = {URL: SERVER.make(), OTHER: (CLIENT.make(), CLIENT2.make())}
    assert keyring_peer(peers)[0] == SERVER.make()
    assert keyring_peer(peers, OTHER) == (CLIENT2.make(), CLIENT.make(), CLIENT2.make())
    assert keyring_peer(peers, "http://localhost/c") == (None,)


def test_a_single_pin_is_the_peer() -> None:
    """Without peer= the only pin of trust= is the service; with two, or none, nothing is."""

    def peer_of(*pins: object) -> object:
        return Parties.of(_CLIENT, Trust.of(pins), None).keyring(URL).peer  # type: ignore[arg-type]

    assert peer_of(SERVER.make()) == SERVER.make()
    assert peer_of(SERVER.make(), CLIENT.make()) is None
    assert Parties.of(_CLIENT, trust(), None).keyring(URL).peer is None
    assert Parties.of(_CLIENT, None, None).keyring(URL).peer is None


def test_an_identity_may_be_a_pair() -> None:
    """The first identity signs, the second decrypts."""
    ring = Parties.of((_CLIENT, _SERVER), trust(), None).keyring(URL)
    assert (ring.signing, ring.decrypting) == (_CLIENT, _SERVER)
    single = Parties.of(_CLIENT, trust(), None).keyring(URL)
    assert single.signing is single.decrypting is _CLIENT
    assert Parties.of(None, None, None).keyring(URL).signing is None


def test_a_peer_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    """A missing file, and one that is no certificate, are ConfigurationErrors that name what it is."""
    for peer in (tmp_path / "missing.pem", b"garbage"):
        with pytest.raises(ConfigurationError, match="peer's certificate"):
            Parties.of(_CLIENT, trust(), peer).keyring(URL)


def test_different_parties_have_different_fingerprints() -> None:
    """Identity, signer and recipient count; the form they were given in does not."""
    one = Parties.of(_CLIENT, trust(), SERVER.make()).fingerprint(URL)
    assert Parties.of(_CLIENT, None, pem(SERVER.make())).fingerprint(URL) == one
    assert Parties.of((_CLIENT, _CLIENT), trust(), {URL: SERVER.make()}).fingerprint(URL) == one
    others = [
        Parties.of(_SERVER, trust(), SERVER.make()),
        Parties.of((_CLIENT, _SERVER), trust(), SERVER.make()),
        Parties.of(_CLIENT, trust(), CLIENT2.make()),
        Parties.of(_CLIENT, trust(), (SERVER.make(), CLIENT2.make())),
        Parties.of(_CLIENT, trust(), None),
        Parties.of(None, trust(), SERVER.make()),
    ]
    prints = [parties.fingerprint(URL) for parties in others]
    assert len({one, *prints}) == 1 + len(others)


def test_everything_is_needed() -> None:
    """The first thing that is missing, or out of date, is named with the argument that gives it."""
    wanted = needs(asymmetric(), None)
    good = Parties.of(_CLIENT, trust(), SERVER.make()).keyring(URL)
    need_everything(wanted, good, URL)
    need_valid(wanted, good, URL, NOW)
    for parties, hint in (
        (Parties.of(None, trust(), SERVER.make()), "identity="),
        (Parties.of(_CLIENT, None, SERVER.make()), "trust="),
        (Parties.of(_CLIENT, trust(), None), "peer="),
    ):
        with pytest.raises(ConfigurationError, match="AsymmetricBinding") as caught:
            need_everything(wanted, parties.keyring(URL), URL)
        assert hint in str(caught.value.hint)
        assert caught.value.endpoint == URL
    later = NOW + timedelta(days=2)
    with pytest.raises(ConfigurationError, match="Our certificate is not valid now") as caught:
        need_valid(wanted, good, URL, later)
    assert "set the clock" in str(caught.value.hint)
    old = Parties.of(_CLIENT, trust(), SERVER.but(end=NOW - timedelta(hours=1)).make()).keyring(URL)
    with pytest.raises(ConfigurationError, match="The service's certificate"):
        need_valid(wanted, old, URL, NOW)


def test_its_repr_shows_no_key() -> None:
    """Parties may be printed."""
    shown = repr(Parties.of(_CLIENT, trust(), SERVER.make()))
    assert "PRIVATE" not in shown
    assert "lambda" not in shown
