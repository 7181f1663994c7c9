"""What the store in a file does besides."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.conversation.store.processes import users
from tests.unit.conversation.store.test_contract import KEY, OTHER, made
from tests.unit.conversation.store.user import KEY as STORE_KEY
from tests.unit.conversation.store.user import RECORD
from tests.unit.conversation.store.user import made as made_now
from tests.unit.parties import Time
from zeep_secureconv import ConfigurationError, FileStore, LimitExceeded, StoreError

#: Every step of a change, and whether the change is there when a process dies at it.
STEPS = {
    "locked": False,
    "read": False,
    "created": False,
    "written": False,
    "synced": False,
    "replaced": True,
    "folder synced": True,
    "unlocked": True,
}


#: Every operation on the file.
ACTS: list[Callable[[FileStore], object]] = [
    lambda store: store.get(KEY),
    lambda store: store.add(OTHER, made()),
    lambda store: store.replace(KEY, made(), made()),
    lambda store: store.drop(KEY, made()),
    lambda store: store.held_by("CN=a"),
    lambda store: store.items("client"),
    lambda store: store.rotate(bytes(32)),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is to be."""
    return tmp_path / "contexts"


def opened(path: Path, time: Time | None = None) -> FileStore:
    """The store."""
    return FileStore(path, key=STORE_KEY, clock=(time or Time()).clock)


def test_only_its_owner_may_read_it(path: Path) -> None:
    """The file and its lock are for their owner alone, whatever the mode was before."""
    store = opened(path)
    store.add(KEY, made())
    path.chmod(0o644)
    store.add(OTHER, made())
    assert [stat.S_IMODE(one.stat().st_mode) for one in sorted(path.parent.iterdir())] == [0o600, 0o600]
    assert [one.name for one in sorted(path.parent.iterdir())] == ["contexts", "contexts.lock"]


def test_a_link_stays_a_link(path: Path) -> None:
    """What a link leads to is replaced, and not the link."""
    link = path.with_name("link")
    link.symlink_to(path)
    opened(link).add(KEY, made())
    assert link.is_symlink()
    assert opened(path).get(KEY) == made()


def test_a_change_in_vain_writes_nothing(path: Path) -> None:
    """What is not done does not touch the file."""
    store = opened(path)
    store.add(KEY, made())
    before = path.read_bytes()
    assert not store.add(KEY, made("urn:uuid:2"))
    assert not store.replace(KEY, made("urn:uuid:2"), made())
    assert not store.drop(OTHER, made())
    assert path.read_bytes() == before
    assert store.replace(KEY, made(), made())
    assert path.read_bytes() != before


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_in_a_change_leaves_the_old_or_the_new(path: Path, step: str) -> None:
    """Kill -9 at any step: what is there is whole, the lock is free, and the next change works and tidies up."""
    store = FileStore(path, key=STORE_KEY)
    old = made_now("urn:uuid:1")
    assert store.add(RECORD, old)
    with users(str(path), "die", [step]) as (user,):
        assert user.line() == ""
        assert user.end() == -9
    found = store.get(RECORD)
    assert found is not None
    assert found.instance == ("new" if STEPS[step] else None)
    assert FileStore(path, key=STORE_KEY).get(RECORD) == found
    assert store.replace(RECORD, found, made_now("urn:uuid:1", "newer"))
    assert [one.name for one in sorted(path.parent.iterdir())] == ["contexts", "contexts.lock"]


def test_the_steps_are_those_of_a_change(path: Path) -> None:
    """The test above kills at every step there is."""
    reached: list[str] = []

    class Watched(FileStore):
        def _reached(self, step: str) -> None:
            reached.append(step)

    Watched(path, key=STORE_KEY).add(KEY, made())
    assert reached == list(STEPS)


def test_a_process_killed_while_it_works_leaves_a_whole_file(path: Path) -> None:
    """Kill -9 at any moment between and in changes: the file can be read, and the work goes on."""
    store = FileStore(path, key=STORE_KEY)
    assert store.add(RECORD, made_now("urn:uuid:1"))
    for changes in (1, 3, 10):
        with users(str(path), "work", [""]) as (user,):
            last = [user.line() for _ in range(changes)][-1]
            user.kill()
            assert user.end() == -9
        found = store.get(RECORD)
        assert found is not None
        assert int(found.instance or "") >= int(last)


def test_a_damaged_file_is_told_and_left_alone(path: Path) -> None:
    """A flipped bit, a cut or an addition anywhere is a StoreError for every operation, and nothing is overwritten."""
    opened(path).add(KEY, made())
    good = path.read_bytes()
    flipped = [
        good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in (0, 3, 4, 5, 6, 7, 20, 24, 28, 40, -1)
    ]
    cut = [good[:length] for length in (0, 3, 27, 39, 40, len(good) - 1)]
    for bad in (*flipped, *cut, good + b"\0", b"x" * 100):
        path.write_bytes(bad)
        for act in ACTS:
            with pytest.raises(StoreError) as caught:
                act(opened(path))
            assert caught.value.hint
        assert path.read_bytes() == bad
    path.write_bytes(good)
    assert opened(path).get(KEY) == made()


def test_a_wrong_key_overwrites_nothing(path: Path) -> None:
    """With another key or a passphrase every change is a StoreError, which tells no key, and the file stays."""
    opened(path).add(KEY, made())
    before = path.read_bytes()
    for store in (FileStore(path, key=bytes(32)), FileStore(path, passphrase="open sesame")):
        with pytest.raises(StoreError) as caught:
            store.add(OTHER, made())
        assert "another key" in caught.value.message
        assert "sesame" not in str(caught.value)
    assert path.read_bytes() == before
    path.unlink()
    assert store.add(OTHER, made())


def test_scrypt_is_bounded(path: Path) -> None:
    """A file that asks for more memory than is sane, or for a weak key, is refused before anything is computed."""
    FileStore(path, passphrase="open sesame").add(KEY, made())
    good = path.read_bytes()
    assert good[4:7] == bytes([15, 8, 3])
    for cost in ([30, 8, 3], [18, 8, 3], [13, 8, 3], [15, 255, 3], [15, 1, 3], [15, 8, 255], [15, 8, 0]):
        path.write_bytes(good[:4] + bytes(cost) + good[7:])
        with pytest.raises(StoreError) as caught:
            FileStore(path, passphrase="open sesame").get(KEY)
        assert "scrypt" in caught.value.message


def test_a_file_changes_its_key(path: Path) -> None:
    """After rotate() the object goes on, the new key or passphrase opens the file, and the old one does not."""
    store = opened(path)
    store.add(KEY, made())
    store.rotate("open sesame")
    assert store.get(KEY) == made()
    assert store.add(OTHER, made())
    with pytest.raises(StoreError):
        opened(path).get(KEY)
    again = FileStore(path, passphrase="open sesame", clock=Time().clock)
    assert dict(again.items("client")) == {KEY: made(), OTHER: made()}
    again.rotate(bytes(32))
    assert FileStore(path, key=bytes(32), clock=Time().clock).get(KEY) == made()
    with pytest.raises(ConfigurationError):
        again.rotate(bytes(5))


def test_what_is_over_goes_at_the_next_change(path: Path) -> None:
    """Contexts that are over make the file no longer, nor do they count when it is full of them."""
    time = Time()
    store = FileStore(path, key=STORE_KEY, clock=time.clock, size=3)
    for number in range(3):
        store.add((*KEY[:3], str(number)), made(f"urn:uuid:{number}"))
    with pytest.raises(LimitExceeded) as caught:
        store.add(KEY, made())
    assert caught.value.check == "contexts"
    size = path.stat().st_size
    time.forward(timedelta(hours=2))
    store.add(KEY, replace(made(), expires=time.now + timedelta(hours=1)))
    assert path.stat().st_size < size / 2
    assert [key for key, _ in store.items("client")] == [KEY]


def test_what_is_over_makes_room(path: Path) -> None:
    """Contexts that are kept for a renewal after their end go when the file is full; living ones never do."""
    time = Time()
    store = FileStore(path, key=STORE_KEY, clock=time.clock, size=2)
    late = replace(made("urn:uuid:2"), kept_until=time.now + timedelta(days=1))
    living = replace(made("urn:uuid:3"), expires=time.now + timedelta(days=1))
    keys = [("service", "/peer", f"urn:uuid:{number}", "") for number in (2, 3, 4, 5)]
    assert store.add(keys[0], late)
    assert store.add(keys[1], living)
    time.forward(timedelta(hours=2))
    assert store.get(keys[0]) == late
    assert store.add(keys[2], replace(living, key=made("urn:uuid:4").key))
    assert [store.get(key) is not None for key in keys] == [False, True, True, False]
    with pytest.raises(LimitExceeded):
        store.add(keys[3], made("urn:uuid:5"))


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    """A folder that is not there, or a folder in the place of the file, is a ConfigurationError."""
    opened(tmp_path / "contexts")
    for wrong in (tmp_path / "missing" / "contexts", tmp_path):
        with pytest.raises(ConfigurationError) as caught:
            opened(wrong)
        assert caught.value.hint


def test_a_file_that_cannot_be_written_is_told(path: Path) -> None:
    """When the system refuses to write, the error says where, and what was there stays."""
    store = opened(path)
    store.add(KEY, made())
    obstacle = path.with_name("contexts.new")
    (obstacle / "inside").mkdir(parents=True)
    with pytest.raises(StoreError) as caught:
        store.add(OTHER, made())
    assert str(path) in caught.value.message
    assert "disk" in (caught.value.hint or "")
    (obstacle / "inside").rmdir()
    obstacle.rmdir()
    assert (store.get(KEY), store.get(OTHER)) == (made(), None)
    assert store.add(OTHER, made())


def test_flights_leave_no_files(path: Path) -> None:
    """The lock of a flight is there while it lasts, and gone afterwards."""
    store = opened(path)
    with store.flight(KEY):
        (lock,) = path.parent.iterdir()
        assert lock.name.startswith("contexts.flight-")
    assert list(path.parent.iterdir()) == []
