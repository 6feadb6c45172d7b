"""Trials that survive an interruption: a log of a JSON object a line, and a runner of what it lacks."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

Plan = TypeVar("Plan")


class TrialLog:
    """Trials done so far, one JSON object a line, so that an interrupted benchmark goes on where it stopped.

    A trial is found again by its `id`, an object of everything its outcome depends on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, dict[str, Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            return
        for number, line in enumerate(path.read_text().splitlines(), 1):
            try:
                row = json.loads(line)
                self.done[self.name(row["id"])] = row
            except (json.JSONDecodeError, KeyError, TypeError):
                # A kill in mid-write leaves half a line; that trial is made again.
                print(f"{path}: line {number} is not a trial, left out", file=sys.stderr)

    @staticmethod
    def name(identity: Mapping[str, Any]) -> str:
        """Canonical text of a trial's identity."""
        return json.dumps(identity, sort_keys=True)

    def find(self, identity: Mapping[str, Any]) -> dict[str, Any] | None:
        """Find a trial's row, or None where it was not made yet."""
        return self.done.get(self.name(identity))

    def append(self, row: dict[str, Any]) -> None:
        """Add a trial; on disk before the call returns."""
        line = json.dumps(row).encode() + b"\n"
        with self.path.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.done[self.name(row["id"])] = row


def run_trials(
    plans: Sequence[Plan],
    log: TrialLog,
    *,
    identify: Callable[[Plan], dict[str, Any]],
    make: Callable[[Plan], dict[str, Any]],
    jobs: int,
) -> Iterator[dict[str, Any]]:
    """Make the trials that the log lacks, in `jobs` processes; yields the rows of all, done ones first.

    Parameters
    ----------
    identify : gives a plan's `id`
    make : makes a trial; a module's function, since other processes call it; its row holds the same `id`
    """
    missing = []
    for plan in plans:
        row = log.find(identify(plan))
        if row is None:
            missing.append(plan)
        else:
            yield row
    if jobs == 1:
        for plan in missing:
            row = make(plan)
            log.append(row)
            yield row
        return
    # Spawned workers read these settings as numpy is imported: one thread each.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(make, plan) for plan in missing]
        try:
            for future in as_completed(futures):
                row = future.result()
                log.append(row)
                yield row
        finally:
            # Where the caller stops early, trials not begun are not made.
            pool.shutdown(cancel_futures=True)
