"""The lock store: what is acknowledged there can never be taken back by an old copy of the database."""

import os
import shutil
from pathlib import Path

import pytest
from ledger_world import LOG_KEY, ORIGIN, append, check, draft, fill, find_path, make_store, make_url, sha

import ledger
from ledger import Store, guard, open_checkpoint, sign_checkpoint
from ledger.errors import GuardError, OutcomeUnknownError, RollbackError
from ledger.guard import SLOT_BYTES, FileGuard


def make_guarded(folder: Path, name: str = "data") -> tuple[str, FileGuard]:
    (folder / name).mkdir()
    with make_store(folder / name) as store:
        url = store.url
    return url, FileGuard(folder / "lock")


def copy_ledger(url: str, folder: Path) -> str:
    """Copy a closed ledger, as a backup does."""
    folder.mkdir()
    shutil.copy(find_path(url), folder / "ledger.db")
    return make_url(folder)


def size_of(lock: FileGuard) -> int:
    return lock.read().checkpoint.size


def test_the_lock_store_follows_every_append(tmp_path: Path) -> None:
    url, lock = make_guarded(tmp_path)
    with Store(url, guard=lock) as store:
        assert not lock.exists()
        for count in range(5):
            fill(store, 1)
            assert lock.read().note == store.latest_checkpoint()
            assert size_of(lock) == count + 2
        assert check(store).ok
    assert lock.path.stat().st_size == 2 * SLOT_BYTES
    assert [item.name for item in tmp_path.iterdir() if item.is_file()] == ["lock"]


def test_a_restored_old_backup_stops_the_log(tmp_path: Path) -> None:
    url, lock = make_guarded(tmp_path)
    with Store(url, guard=lock) as store:
        fill(store, 3)
    backup = copy_ledger(url, tmp_path / "backup")
    with Store(url, guard=lock) as store:
        fill(store, 2)
    shutil.copy(find_path(backup), find_path(url))
    with pytest.raises(RollbackError, match="size 6 was acknowledged, but the database has 4"):
        Store(url, guard=lock)
    with Store(url) as store, pytest.raises(GuardError, match="must be named"):
        append(store, draft("track:1"))


def test_a_backup_that_is_put_back_under_an_open_ledger_is_noticed_as_well(tmp_path: Path) -> None:
    url, lock = make_guarded(tmp_path)
    with Store(url, guard=lock) as store:
        fill(store, 3)
        store.close()
        backup = copy_ledger(url, tmp_path / "backup")
        fill(store, 2)
        store.close()
        shutil.copy(find_path(backup), find_path(url))
        with pytest.raises(RollbackError):
            append(store, draft("track:1"))
        assert store.state().size == 4


def test_of_two_copies_that_run_side_by_side_one_is_stopped_before_it_signs(tmp_path: Path) -> None:
    url, lock = make_guarded(tmp_path)
    with Store(url, guard=lock) as store:
        fill(store, 2)
    twin_url = copy_ledger(url, tmp_path / "twin")
    with Store(url, guard=lock) as store, Store(twin_url, guard=lock) as twin:
        append(store, draft("track:1"))
        with pytest.raises(RollbackError, match="old copy"):
            append(twin, draft("track:2"))
        assert twin.state().size == 3
        append(store, draft("track:1"))
        assert (store.state().size, size_of(lock)) == (5, 5)


def test_another_history_of_the_same_size_or_longer_is_refused(tmp_path: Path) -> None:
    url, lock = make_guarded(tmp_path)
    twin_url = copy_ledger(url, tmp_path / "twin")
    with Store(twin_url) as twin:  # without the lock store, as nothing has told it of one
        append(twin, draft("track:2"))
    with Store(url, guard=lock) as store:
        append(store, draft("track:1"))
    for _ in range(2):
        with pytest.raises(RollbackError, match="another history"):
            Store(twin_url, guard=lock)
        with Store(twin_url) as twin:
            append(twin, draft("track:2"))


def test_a_crash_between_the_commit_and_the_lock_store_is_made_good(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    url, lock = make_guarded(tmp_path)
    with Store(url, guard=lock) as store:
        fill(store, 2)

        def fail(*_: object) -> int:
            raise OSError(5, "Input/output error")

        entry: list[bytes] = []
        monkeypatch.setattr(guard.os, "pwrite", fail)
        with pytest.raises(OutcomeUnknownError, match="not acknowledged"):
            append(
                store,
                ledger.Draft(
                    "track:7", lambda place: entry.append(draft("track:7").build(place)) or entry[0]
                ),
            )  # type: ignore[func-returns-value]
        monkeypatch.undo()
        assert (store.state().size, size_of(lock)) == (4, 3)
        (receipt,) = append(store, entry[0])  # nothing new, and yet it is acknowledged only now
        assert (receipt.index, size_of(lock)) == (3, 4)
        fill(store, 1)
        assert size_of(lock) == 5
    Store(url, guard=lock).close()


def test_a_lost_lock_store_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    url, lock = make_guarded(tmp_path)
    with Store(url, guard=lock) as store:
        fill(store, 2)
    lock.path.unlink()
    with Store(url, guard=lock) as store, pytest.raises(GuardError, match="is not there"):
        append(store, draft("track:1"))
    with Store(url, guard=lock, adopt_guard=True) as store:
        append(store, draft("track:1"))
    with Store(url, guard=lock) as store:
        append(store, draft("track:1"))
        assert size_of(lock) == store.state().size == 5


def test_the_lock_store_of_another_ledger_is_refused(tmp_path: Path) -> None:
    url, lock = make_guarded(tmp_path)
    with Store(url, guard=lock) as store:
        fill(store, 1)
    (tmp_path / "other").mkdir()
    other_url = make_url(tmp_path / "other")
    ledger.upgrade(other_url)
    with (
        pytest.raises(GuardError, match="lock store of the log"),
        Store.create(other_url, origin=ORIGIN + "/2", log_signing_key=LOG_KEY, guard=lock),
    ):
        pass


@pytest.mark.parametrize("position", range(0, 2 * SLOT_BYTES, 64))
def test_a_damaged_slot_leaves_the_other(tmp_path: Path, position: int) -> None:
    lock = FileGuard(tmp_path / "lock")
    notes = [sign_checkpoint(ORIGIN, size, sha(str(size)), LOG_KEY) for size in (1, 2)]
    lock.create(notes[0])
    with lock.hold() as held:
        held.advance(notes[1])
    content = bytearray(lock.path.read_bytes())
    content[position : position + 16] = os.urandom(16)
    lock.path.write_bytes(content)
    assert lock.read().note == notes[position // SLOT_BYTES ^ 1]


def test_files_that_are_no_lock_store_are_refused(tmp_path: Path) -> None:
    lock = FileGuard(tmp_path / "lock")
    with pytest.raises(GuardError, match="No such file"):
        lock.read()
    for content in (b"", b"\0" * 9000, b"note" * 3000):
        lock.path.write_bytes(content)
        with pytest.raises(GuardError, match="no checkpoint"):
            lock.read()
    with pytest.raises(GuardError, match="File exists"):
        lock.create(sign_checkpoint(ORIGIN, 1, sha("x"), LOG_KEY))


def test_slots_are_written_in_turn_and_the_newer_counts(tmp_path: Path) -> None:
    lock = FileGuard(tmp_path / "lock")
    lock.create(sign_checkpoint(ORIGIN, 1, sha("1"), LOG_KEY))
    for size in range(2, 9):
        before = lock.path.read_bytes().ljust(2 * SLOT_BYTES, b"\0")
        with lock.hold() as held:
            held.advance(sign_checkpoint(ORIGIN, size, sha(str(size)), LOG_KEY))
        after = lock.path.read_bytes()
        kept = slice(0, SLOT_BYTES) if size % 2 == 0 else slice(SLOT_BYTES, 2 * SLOT_BYTES)
        assert before[kept] == after[kept]
        vkey = ledger.format_vkey(ORIGIN, LOG_KEY.public_key)
        assert open_checkpoint(lock.read().note, ORIGIN, vkey).size == size
