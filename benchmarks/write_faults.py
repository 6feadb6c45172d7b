"""Writes that fail: each write, truncate and sync of some appends, once before and once after it is done.

A caller that is told of an error appends the same entry again until it is taken, as the ledger asks for. Then
everything must be there once, pass the full check, and survive a power cut. A failed sync is the worst of
them: the kernel may drop what it should have written and call the next sync a success.
"""

import itertools
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import ledger
from benchmarks.ledger_material import LOG_KEY, draft_event, make_ledger, sign_chains
from benchmarks.powercuts import LOCK_NAME, Image, Run, cut_power, judge, read_image, small_checkpoints
from benchmarks.recording_vfs import Fault, record
from ledger import Store
from ledger.errors import StorageError
from ledger.guard import FileGuard

ATTEMPTS = 5
COMMITS = 6
"""Of the ledger before the appends that fail."""


@dataclass
class Failing:
    """A fault at the operations with these numbers; `how` as in `recording_vfs`."""

    numbers: range
    how: str
    seen: int = 0

    def __call__(self, _kind: str, _name: str, _count: int) -> str | None:
        self.seen += 1
        return self.how if self.seen - 1 in self.numbers else None


@dataclass(frozen=True)
class Ground:
    """What every run starts from: a disk with a ledger and its lock store, and signed entries to append."""

    image: Image
    entries: tuple[bytes, ...]


@dataclass(frozen=True)
class Outcome:
    """A run of appends through a fault: what was done, errors told, and what is wrong in the end."""

    run: Run
    errors: int
    problem: str | None


def open_store(folder: Path) -> Store:
    """Open the ledger of a folder with its lock store."""
    return Store(f"sqlite:///{folder / 'ledger.db'}", guard=FileGuard(folder / LOCK_NAME))


def make_ground(folder: Path) -> Ground:
    """Make the ground in an empty folder."""
    make_ledger(folder)
    with open_store(folder) as store:
        for _ in range(COMMITS):
            store.append([draft_event("track:1")], log_signing_key=LOG_KEY)
    return Ground(read_image(folder), tuple(itertools.chain(*sign_chains(2, 2, prefix="fault"))))


def restore(folder: Path, ground: Ground) -> None:
    """Bring a folder back to the ground."""
    shutil.rmtree(folder)
    folder.mkdir()
    for name, content in ground.image.items():
        (folder / name).write_bytes(content)


def append_through(folder: Path, ground: Ground, fault: Fault, *, beside: bool = False) -> Outcome:
    """Append the entries one by one, each again until it is taken, while operations fail.

    `beside` keeps another connection open, so that the database does not come to rest in between.
    """
    restore(folder, ground)
    errors = 0
    with ExitStack() as stack:
        recorder = stack.enter_context(record(folder))
        stack.enter_context(small_checkpoints())
        if beside:
            stack.enter_context(open_store(folder)).state()
        store = stack.enter_context(open_store(folder))
        store.append([draft_event("track:1")], log_signing_key=LOG_KEY)
        before = read_image(folder)
        recorder.operations.clear()
        recorder.fault = fault
        for entry in ground.entries:
            for _ in range(ATTEMPTS):
                try:
                    receipts = store.append([entry], log_signing_key=LOG_KEY)
                except StorageError:
                    errors += 1
                else:
                    recorder.remark(receipts)
                    break
        recorder.fault = None
        size = 2 + COMMITS + len(ground.entries)
        whole = store.state().size == size and set(ground.entries) < set(store.entries(0, size))
        report = ledger.fsck(store, vkey=store.vkey)
        run = Run(before, tuple(recorder.operations))
    problem = None if whole else "an entry is missing, or there twice"
    return Outcome(run, errors, problem or (None if report.ok else report.findings[0].message))


def count_operations(folder: Path, ground: Ground) -> int:
    """Return how many operations the appends are made of."""
    counter = Failing(range(0), "")
    append_through(folder, ground, counter)
    return counter.seen


def sweep(
    folder: Path, ground: Ground, numbers: range, *, how: str, in_a_row: int, cuts: int, seed: int
) -> Iterator[tuple[Outcome, list[str]]]:
    """Fail each of the operations `numbers`; yield the outcome and what is wrong after power cuts."""
    generator = random.Random(seed)
    for number in numbers:
        outcome = append_through(folder, ground, Failing(range(number, number + in_a_row), how))
        disks = [
            *cut_power(outcome.run, cuts, generator.randrange(1 << 30)),
            *cut_power(outcome.run, 1, generator.randrange(1 << 30), at_the_end=True),
        ]
        problems = [judge(image, receipts) for image, receipts in disks]
        yield outcome, [problem for problem in problems if problem is not None]
