"""A ledger brought back from its tiles."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_world import (
    ACTOR_KEY,
    LOG_KEY,
    ORIGIN,
    OTHER_KEY,
    VKEY,
    append,
    check,
    draft,
    draft_key,
    fill,
    make_store,
    make_url,
)

import ledger
from ledger import Store
from ledger.errors import GuardError, ProofError, RollbackError
from ledger.guard import FileGuard
from ledger.restoring import Restoration, restore
from ledger.tilefolder import export_tiles, folder_fetch
from ledger.tilereader import TileLog, fetch_entries, open_tile_log
from ledger.tiles import ENTRIES, find_tile

COUNT = 300


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ledger of COUNT entries and, in `tiles`, of its tiles."""
    folder = tmp_path_factory.mktemp("exported")
    with make_store(folder) as store:
        append(store, draft_key(OTHER_KEY, ACTOR_KEY, OTHER_KEY))
        append(store, *(draft(f"track:{number % 7}", number=number) for number in range(COUNT - 2)))
        export_tiles(store, folder / "tiles", store.latest_checkpoint(), origin=ORIGIN, vkey=VKEY)
    return folder


@pytest.fixture
def log(exported: Path) -> TileLog:
    return open_tile_log(folder_fetch(exported / "tiles"), ORIGIN, VKEY)


@pytest.fixture
def empty(new_url: Callable[[], str]) -> Iterator[Store]:
    url = new_url()
    ledger.upgrade(url)
    with Store.create(url, origin=ORIGIN, log_signing_key=LOG_KEY) as store:
        yield store


def test_a_lost_ledger_comes_back_whole(exported: Path, log: TileLog, empty: Store) -> None:
    assert restore(empty, log, log_signing_key=LOG_KEY) == Restoration(0, COUNT)
    with Store(make_url(exported)) as original:
        assert empty.entries(0, COUNT) == original.entries(0, COUNT)
        assert empty.state() == original.state()
        assert empty.latest_checkpoint() == original.latest_checkpoint()
        assert empty.public_keys() == original.public_keys()
    assert check(empty).ok
    fill(empty, 3)
    assert check(empty).ok


def test_an_older_backup_is_brought_forward_and_an_interrupted_restoration_goes_on(
    log: TileLog, empty: Store
) -> None:
    for size in (1, 5, 100):
        append(empty, *_entries(log)[empty.state().size : size])

    def fail_later(path: str) -> bytes:
        if path.startswith("tile/entries/001"):
            raise ProofError("the connection was lost")
        return log.fetch(path)

    with pytest.raises(ProofError, match="connection"):
        restore(empty, TileLog(fail_later, log.checkpoint, log.note), log_signing_key=LOG_KEY)
    assert restore(empty, log, log_signing_key=LOG_KEY) == Restoration(256, COUNT)
    assert restore(empty, log, log_signing_key=LOG_KEY) == Restoration(COUNT, COUNT)
    assert check(empty).ok


def test_tiles_that_are_older_or_of_another_history_restore_nothing(log: TileLog, empty: Store) -> None:
    append(empty, *_entries(log)[:20])
    append(empty, draft("track:other"))
    with pytest.raises(ProofError):
        restore(empty, log, log_signing_key=LOG_KEY)
    assert empty.state().size == 21
    append(empty, *(draft(f"track:{number}") for number in range(COUNT)))
    with pytest.raises(ProofError, match="shows only 300"):
        restore(empty, log, log_signing_key=LOG_KEY)


@pytest.mark.parametrize("index", [3, 260, 299])
def test_an_altered_entry_is_refused_before_it_is_appended(log: TileLog, empty: Store, index: int) -> None:
    entry = _entries(log)[index]

    def fetch(path: str) -> bytes:
        return log.fetch(path).replace(entry, entry[:-40] + b"A" + entry[-39:])

    forged = TileLog(fetch, log.checkpoint, log.note)
    start = 0 if index < 256 else 256
    with pytest.raises(ProofError, match=f"entries {start} to .* are not those of the checkpoint"):
        restore(empty, forged, log_signing_key=LOG_KEY)
    assert empty.state().size == start


def test_a_lock_store_says_what_the_tiles_did_not_bring_back(tmp_path: Path) -> None:
    lock, tiles, fresh = FileGuard(tmp_path / "lock"), tmp_path / "tiles", f"sqlite:///{tmp_path / 'new.db'}"
    with make_store(tmp_path) as made:
        url = made.url
    with Store(url, guard=lock) as store:
        fill(store, 10)
        export_tiles(store, tiles, store.latest_checkpoint(), origin=ORIGIN, vkey=VKEY)
        fill(store, 2)
    ledger.upgrade(fresh)
    with Store.create(fresh, origin=ORIGIN, log_signing_key=LOG_KEY) as store:
        restore(store, open_tile_log(folder_fetch(tiles), ORIGIN, VKEY), log_signing_key=LOG_KEY)
    with pytest.raises(RollbackError, match="size 13 was acknowledged, but the database has 11"):
        Store(fresh, guard=lock)


def test_a_guarded_backup_is_restored_without_its_lock_store_and_then_agrees_with_it(tmp_path: Path) -> None:
    lock = FileGuard(tmp_path / "lock")
    (tmp_path / "data").mkdir()
    with make_store(tmp_path / "data") as made:
        url = made.url
    with Store(url, guard=lock) as store:
        fill(store, 2)
    backup = tmp_path / "backup.db"
    backup.write_bytes((tmp_path / "data" / "ledger.db").read_bytes())
    with Store(url, guard=lock) as store:
        fill(store, 8)
        export_tiles(store, tmp_path / "tiles", store.latest_checkpoint(), origin=ORIGIN, vkey=VKEY)
    with pytest.raises(RollbackError):
        Store(f"sqlite:///{backup}", guard=lock)
    with Store(f"sqlite:///{backup}") as store, pytest.raises(GuardError, match="must be named"):
        fill(store, 1)
    log = open_tile_log(folder_fetch(tmp_path / "tiles"), ORIGIN, VKEY)
    with Store(f"sqlite:///{backup}", adopt_guard=True) as store:
        assert restore(store, log, log_signing_key=LOG_KEY) == Restoration(3, 11)
    with Store(f"sqlite:///{backup}", guard=lock) as store:
        fill(store, 1)
        assert check(store).ok


def _entries(log: TileLog) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < log.checkpoint.size:
        bundle = find_tile(ENTRIES, len(found) // 256, log.checkpoint.size)
        assert bundle is not None
        found += fetch_entries(log.fetch, bundle)
    return found
