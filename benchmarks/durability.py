"""What the ledger survives: `python -m benchmarks.durability [--short]`.

1. Power cuts: appends to SQLite and the lock store are recorded write by write (`recording_vfs`); disks that
   a cut at any moment could leave are made of them, with writes lost, torn and reordered (`powercuts`). On
   each the ledger must open, hold what was acknowledged, pass the full check, and go on. As a control, the
   same with `synchronous=NORMAL`, which must lose something: else the simulation shows nothing.
2. Failing writes: each write, truncate and sync of some appends fails, before and after it persists, once and
   twice in a row (`write_faults`); the caller appends again, and a power cut follows.
3. Full disk: from each write on, every write says that the disk is full.
4. `kill -9`: writers killed at seeded random moments (`killed_writers`), on SQLite and PostgreSQL.
5. Two writers started by mistake, and a clock that runs backwards.
6. Flipped bits: a bit of the stored files changed; found, or nothing stored has changed (`flipped_bits`).

Every row must end with 0 lost. How quick the ledger is, `benchmarks.ledger_speed` says.
"""

import argparse
import collections
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pysqlite3.dbapi2 as sqlite

import ledger
from benchmarks.flipped_bits import choose_flips, judge_flip
from benchmarks.killed_writers import kill_writers, start_twice
from benchmarks.ledger_material import LOG_KEY, ORIGIN, draft_event, make_ledger
from benchmarks.postgres_cluster import run_cluster
from benchmarks.powercuts import LOCK_NAME, cut_power, judge, read_image, record_run
from benchmarks.recording_vfs import record
from benchmarks.report import OUTPUT, describe_run, run_main, show_progress, show_table, write_json
from benchmarks.write_faults import Ground, count_operations, make_ground, open_store, restore, sweep
from ledger import Store, format_vkey
from ledger import sqlite as ledger_sqlite
from ledger.errors import LedgerConflictError, StorageError
from ledger.guard import FileGuard

COMMITS = 12
"""In one recorded run."""
CUTS_PER_RUN = 100
FLIPPED_ENTRIES = 60
PARTS = ("cuts", "failing", "full", "kills", "flips")


@dataclass(frozen=True)
class Amounts:
    """How much of each part is done."""

    cuts: int
    control: int
    every_operation: int
    full_disks: int
    kills: int
    shared_kills: int
    flips: int


FULL = Amounts(10_000, 200, 1, 83, 500, 50, 2_000)
SHORT = Amounts(200, 60, 10, 8, 20, 5, 60)


@dataclass(frozen=True)
class Row:
    """One line of the table: trials of a fault, and how many of them lost or broke something."""

    fault: str
    trials: int
    lost: int
    detail: str
    cpu_s: float


def cut_many(states: int, seed: int) -> tuple[int, list[str]]:
    """Judge `states` disks after power cuts, 100 of each run; return how many, and what was wrong."""
    problems: list[str] = []
    done = 0
    for number in itertools.count():
        if done >= states:
            return done, problems
        with _memory_folder() as folder:
            run = record_run(folder, COMMITS, seed + number)
        for image, receipts in cut_power(run, min(CUTS_PER_RUN, states - done), seed + number):
            problem = judge(image, receipts)
            done += 1
            if problem is not None:
                problems.append(f"run {seed + number}: {problem}")
    raise AssertionError


def measure_cuts(amounts: Amounts, seed: int) -> Iterator[Row]:
    """Cut the power, with the ledger's own settings and with one that is known to lose commits."""
    start = time.process_time()
    done, problems = cut_many(amounts.cuts, seed)
    yield Row("power cut", done, len(problems), "; ".join(problems[:3]), time.process_time() - start)
    start = time.process_time()
    with mock.patch.dict(ledger_sqlite.PRAGMAS, {"synchronous": 1}):
        done, problems = cut_many(amounts.control, seed)
    detail = f"as it must: {len(problems)} lost acknowledged entries"
    lost = 0 if problems else done  # a control that loses nothing shows that the simulation is broken
    yield Row("control: power cut, synchronous=NORMAL", done, lost, detail, time.process_time() - start)


def measure_failing(amounts: Amounts, seed: int) -> Iterator[Row]:
    """Fail each operation of some appends."""
    for how, in_a_row in itertools.product(("before", "after"), (1, 2)):
        start, lost, told, trials = time.process_time(), 0, 0, 0
        with _memory_folder() as folder:
            ground = make_ground(folder)
            numbers = range(0, count_operations(folder, ground), amounts.every_operation)
            for outcome, problems in sweep(
                folder, ground, numbers, how=how, in_a_row=in_a_row, cuts=2, seed=seed
            ):
                trials += 1
                told += outcome.errors > 0
                lost += outcome.problem is not None or bool(problems)
        what = "once" if in_a_row == 1 else "twice in a row"
        yield Row(
            f"a write or sync fails {what}, {how} it persists",
            trials,
            lost,
            f"{told} told to the caller, the others made good by SQLite",
            time.process_time() - start,
        )


def measure_full(amounts: Amounts) -> Iterator[Row]:
    """Fill the disk from each write on, and free it again."""
    start, lost = time.process_time(), 0
    with _memory_folder() as folder:
        ground = make_ground(folder)
        for kept in range(amounts.full_disks):
            lost += not _survives_full_disk(folder, ground, kept)
    yield Row("the disk is full from a write on", amounts.full_disks, lost, "", time.process_time() - start)


def _survives_full_disk(folder: Path, ground: Ground, kept: int) -> bool:
    restore(folder, ground)
    writes = itertools.count()

    def fill_up(kind: str, _name: str, _count: int) -> str | None:
        return "full" if kind == "write" and next(writes) >= kept else None

    with record(folder) as recorder, open_store(folder) as store:
        before = store.state().size
        recorder.fault = fill_up
        for entry in ground.entries:
            try:
                store.append([entry], log_signing_key=LOG_KEY)
            except (StorageError, LedgerConflictError):  # the latter: the event before it was not taken
                continue
        recorder.fault = None
        for entry in ground.entries:
            store.append([entry], log_signing_key=LOG_KEY)
        whole = set(ground.entries) <= set(store.entries(before, store.state().size))
        once = store.state().size == before + len(ground.entries)
        return whole and once and ledger.fsck(store, vkey=store.vkey).ok


def measure_kills(folder: Path, amounts: Amounts, seed: int) -> Iterator[Row]:
    """Kill writers, start two at once, and turn the clock back."""
    for name, url, kills in _list_databases(folder, amounts):
        with url() as made:
            start = time.process_time()
            killed = kill_writers(make_ledger(made), kills, seed)
            detail = f"{killed.acknowledged} acknowledged, fsck {'ok' if killed.sound else 'BROKEN'}"
            lost = killed.lost + (not killed.sound)
            yield Row(f"kill -9, {name}", kills, lost, detail, time.process_time() - start)
            start = time.process_time()
            twice = start_twice(made, 2, 40)
            detail = f"{twice.acknowledged} acknowledged, fsck {'ok' if twice.sound else 'BROKEN'}"
            lost = twice.lost + (not twice.sound)
            yield Row(f"two writers at once, {name}", 2, lost, detail, time.process_time() - start)
    yield _turn_clock_back(folder)


def _turn_clock_back(folder: Path) -> Row:
    start, appends = time.process_time(), 50
    place = folder / "clock"
    place.mkdir()
    url = make_ledger(place)
    clock = itertools.count(2e9, -86_400.0)
    with (
        mock.patch.object(time, "time", side_effect=clock),
        Store(url, guard=FileGuard(place / LOCK_NAME)) as store,
    ):
        for _ in range(appends):
            store.append([draft_event("track:1")], log_signing_key=LOG_KEY)
        lost = appends + 1 - store.state().size + (not ledger.fsck(store, vkey=store.vkey).ok)
    return Row("the clock a day back at each reading", appends, lost, "", time.process_time() - start)


def measure_flips(amounts: Amounts, seed: int) -> Iterator[Row]:
    """Flip bits of a ledger of some size, and of its lock store."""
    start = time.process_time()
    with _memory_folder() as folder:
        make_ledger(folder)
        with open_store(folder) as store:
            for number in range(FLIPPED_ENTRIES):
                store.append([draft_event(f"track:{number % 9}")], log_signing_key=LOG_KEY)
        image = read_image(folder)
    vkey = format_vkey(ORIGIN, LOG_KEY.public_key)
    flips = choose_flips(image, amounts.flips, seed)
    shown = show_progress(flips, total=len(flips), what="flipped bits")
    counts = collections.Counter(judge_flip(image, flip, vkey) for flip in shown)
    detail = f"{counts['found']} found, {counts['harmless']} in bytes that hold nothing"
    yield Row("a flipped bit", amounts.flips, counts["missed"], detail, time.process_time() - start)


def _list_databases(folder: Path, amounts: Amounts) -> Iterator[tuple[str, Callable[[], Any], int]]:
    @contextmanager
    def sqlite_url() -> Iterator[str]:
        yield f"sqlite:///{folder / 'killed.db'}"

    @contextmanager
    def postgres_url() -> Iterator[str]:
        with run_cluster() as cluster:
            yield cluster.create("killed")

    yield "SQLite", sqlite_url, amounts.kills
    if shutil.which("pg_createcluster"):
        yield "PostgreSQL", postgres_url, amounts.shared_kills


@contextmanager
def _memory_folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="durability-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def measure(arguments: Sequence[str] | None = None) -> None:
    """Run all parts, print the table and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a minute")
    parser.add_argument("--seed", type=int, default=1, help="of cuts, moments of killing and bits")
    parser.add_argument("--cuts", type=int, help="power cuts")
    parser.add_argument("--kills", type=int, help="on SQLite")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated")
    parser.add_argument("--folder", type=Path, help="for the killed writers; default: the temporary one")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of results")
    options = parser.parse_args(arguments)
    amounts = SHORT if options.short else FULL
    changes = {name: value for name in ("cuts", "kills") if (value := getattr(options, name)) is not None}
    amounts = Amounts(**{**asdict(amounts), **changes})
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="durability-") as name:
        parts = {
            "cuts": measure_cuts(amounts, options.seed),
            "failing": measure_failing(amounts, options.seed),
            "full": measure_full(amounts),
            "kills": measure_kills(Path(name), amounts, options.seed),
            "flips": measure_flips(amounts, options.seed),
        }
        for part in options.only or parts:
            for row in parts[part]:
                rows.append(row)
                print(f"{row.fault}: {row.trials}, {row.lost} lost", file=sys.stderr, flush=True)
    show_table(
        f"faults survived (SQLite {sqlite.sqlite_version}, WAL, synchronous=FULL, lock store)",
        ["fault", "trials", "lost", "CPU s", "detail"],
        [[row.fault, str(row.trials), str(row.lost), f"{row.cpu_s:.0f}", row.detail] for row in rows],
        note=f"seed {options.seed}; lost: trials after which something acknowledged was missing, or the full "
        "check found anything",
    )
    stem = "durability-short" if options.short else "durability"
    run = describe_run(options) | {"sqlite": sqlite.sqlite_version}
    write_json(options.output / f"{stem}.json", "durability", run, {"faults": [asdict(row) for row in rows]})
    print(f"JSON in {options.output}/{stem}.json")


if __name__ == "__main__":
    sys.exit(run_main(measure))
