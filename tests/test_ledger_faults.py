"""Disks that fail: power cuts, errors at each write, full disks, and what the ledger makes of them.

The writes are those of the SQLite library that the ledger runs on, and of its lock store, passing through a
recording VFS (`benchmarks.recording_vfs`).
"""

import itertools
import re
import resource
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger
from benchmarks.flipped_bits import Flip, choose_flips, judge_flip
from benchmarks.ledger_material import LOG_KEY, ORIGIN, draft_event, make_ledger
from benchmarks.powercuts import cut_power, judge, record_run
from benchmarks.recording_vfs import record
from benchmarks.write_faults import (
    append_through,
    count_operations,
    make_ground,
    open_store,
    restore,
    sweep,
)
from ledger import Store, sqlite
from ledger.errors import CorruptError, DiskFullError, OutcomeUnknownError, StorageError
from ledger.sqlite import SqliteDatabase

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder in memory: every sync here is simulated anyway."""
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="faults-") as name:
        yield Path(name)


def test_a_power_cut_at_any_moment_loses_nothing_acknowledged(folder: Path) -> None:
    run = record_run(folder, commits=12, seed=1)
    moved = [item for item in run.operations if item.kind == "write" and item.name == "ledger.db"]
    assert len(moved) > 20, "the WAL was hardly moved into the database: the run is too short"
    states = list(cut_power(run, 30, seed=2))
    assert len(states[-1][1]) > 15
    assert [judge(image, receipts) for image, receipts in states] == [None] * len(states)


def test_the_simulation_would_show_a_commit_that_is_not_synced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sqlite.PRAGMAS, "synchronous", 1)  # NORMAL: the WAL is synced when it is moved only
    run = record_run(folder, commits=10, seed=1)
    problems = [judge(image, receipts) for image, receipts in cut_power(run, 20, seed=2)]
    assert any(problem is not None and "old copy" in problem for problem in problems)


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("in_a_row", [1, 2])
def test_a_write_or_sync_that_fails_loses_nothing_then_or_in_a_power_cut_later(
    folder: Path, how: str, in_a_row: int
) -> None:
    ground = make_ground(folder)
    count = count_operations(folder, ground)
    assert count > 60
    numbers = range(in_a_row, count, 13)  # the benchmark takes each
    told = 0
    for outcome, problems in sweep(folder, ground, numbers, how=how, in_a_row=in_a_row, cuts=1, seed=3):
        assert outcome.problem is None
        assert problems == []
        told += outcome.errors > 0
    assert told > 1


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_commit_whose_sync_failed_is_not_built_upon(folder: Path, beside: bool, count: int) -> None:
    """After a failed sync the kernel may drop what it should have written, and call later syncs successes."""
    ground = make_ground(folder)
    failed: list[str] = []

    def fail_first_syncs(kind: str, name: str, _count: int) -> str | None:
        if kind == "sync" and name == "ledger.db-wal" and len(failed) < count:
            failed.append(name)
            return "before"
        return None

    outcome = append_through(folder, ground, fail_first_syncs, beside=beside)
    assert (outcome.problem, failed) == (None, ["ledger.db-wal"] * count)
    assert outcome.errors >= 1
    for seed in range(6):
        ((image, receipts),) = cut_power(outcome.run, 1, seed=seed, at_the_end=True)
        assert len(receipts) == len(ground.entries)
        assert judge(image, receipts) is None


@pytest.mark.parametrize("kept", [0, 1, 4, 9])
def test_a_full_disk_records_nothing_and_is_said_so(folder: Path, kept: int) -> None:
    ground = make_ground(folder)
    entries = ground.entries
    restore(folder, ground)
    writes = itertools.count()

    def fill_up(kind: str, _name: str, _count: int) -> str | None:
        return "full" if kind == "write" and next(writes) >= kept else None

    with record(folder) as recorder, open_store(folder) as store:
        before = store.state()
        recorder.fault = fill_up
        for _ in range(3):
            with pytest.raises(DiskFullError if kept < 9 else (DiskFullError, OutcomeUnknownError)):
                store.append([entries[0]], log_signing_key=LOG_KEY)
        recorder.fault = None
        assert store.state().size in (before.size, before.size + (kept >= 9))
        (receipt,) = store.append([entries[0]], log_signing_key=LOG_KEY)
        assert receipt.index == before.size
        assert ledger.fsck(store, vkey=store.vkey).ok


def test_nothing_is_built_on_what_another_process_could_not_sync(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nobody has the file open any more, SQLite takes what the page cache still shows as committed."""
    ground = make_ground(folder)
    monkeypatch.setattr(SqliteDatabase, "distrust", lambda self: self.engine.dispose())
    failed = itertools.count()

    def fail_log_syncs(kind: str, name: str, _count: int) -> str | None:
        return "before" if kind == "sync" and name == "ledger.db-wal" and next(failed) < 2 else None

    outcome = append_through(folder, ground, fail_log_syncs)
    assert (outcome.errors, outcome.problem) == (1, None)
    for seed in range(4):  # what survives a failed sync is drawn once for each
        assert [judge(*state) for state in cut_power(outcome.run, 6, seed=seed)] == [None] * 6


def test_a_full_file_system_records_nothing(tmp_path: Path) -> None:
    """A real one: a quota of the process on the size of files, as a full disk gives, at the size it has."""
    make_ledger(tmp_path)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Store(url) as store:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        big = [draft_event(f"track:{number}") for number in range(200)]
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
            with pytest.raises(StorageError):
                store.append(big, log_signing_key=LOG_KEY)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, ignored)
        assert store.state().size == 1
        store.append(big, log_signing_key=LOG_KEY)
        assert store.state().size == 201
        assert ledger.fsck(store, vkey=store.vkey).ok


def test_a_clock_that_runs_backwards_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_ledger(tmp_path)
    clock = itertools.count(2_000_000_000, -86_400)
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    with open_store(tmp_path) as store:
        for _ in range(5):
            store.append([draft_event("track:1")], log_signing_key=LOG_KEY)
        assert store.state().size == 6
        assert ledger.fsck(store, vkey=store.vkey).ok


def test_a_flipped_bit_is_found_or_was_in_bytes_that_hold_nothing(folder: Path) -> None:
    image = make_ground(folder).image
    vkey = ledger.format_vkey(ORIGIN, LOG_KEY.public_key)
    found = Counter(judge_flip(image, flip, vkey) for flip in choose_flips(image, 40, seed=5))
    assert found["found"] > 0
    assert found["missed"] == 0


def test_the_judge_would_show_a_flip_that_is_missed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_ground(folder).image
    vkey = ledger.format_vkey(ORIGIN, LOG_KEY.public_key)
    # Of pages that were split, an old copy may be left in free space.
    places = [match.start() for match in re.finditer(b"payload", image["ledger.db"])]
    flips = [Flip("ledger.db", place, 1) for place in places]
    flip = next(flip for flip in flips if judge_flip(image, flip, vkey) == "found")
    monkeypatch.setattr(ledger, "fsck", lambda *_, **__: ledger.FsckReport(9))
    assert judge_flip(image, flip, vkey) == "missed"


def test_a_damaged_schema_that_is_no_text_is_corruption(tmp_path: Path) -> None:
    """SQLite quotes the damage in its message, which is then no UTF-8."""
    make_ledger(tmp_path)
    path = tmp_path / "ledger.db"
    content = path.read_bytes()
    at = content.index(b"CREATE TRIGGER ledger_key_no_delete")
    path.write_bytes(content[:at] + b"CREATE\xd4TRIGGER" + content[at + 14 :])
    with pytest.raises(CorruptError):
        Store(f"sqlite:///{path}")
    report = ledger.fsck(f"sqlite:///{path}", vkey=ledger.format_vkey(ORIGIN, LOG_KEY.public_key))
    assert {item.code for item in report.findings} >= {"database-corrupt"}
