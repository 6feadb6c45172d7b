"""Loads on a ledger: as much as it takes, or so many events a second; how long each waited for its proof."""

import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ledger_material import LOG_KEY, sign_chains
from ledger import Receipt, Store
from ledger.collection import settle_heap

Submission = Sequence[bytes]
"""Signed entries that are appended together."""


@dataclass(frozen=True)
class Load:
    """What a load came to.

    Attributes
    ----------
    events, wall_s, cpu_s : events appended, and the time that took, of the clock and of this process and its
        workers
    waits_s : for each submission, from the moment it was due to the moment its proof was there, sorted
    """

    events: int
    wall_s: float
    cpu_s: float
    waits_s: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Events per second of the clock."""
        return self.events / self.wall_s

    def wait_ms(self, share: float) -> float:
        """Return a quantile of the waits in milliseconds."""
        return 1000 * self.waits_s[min(len(self.waits_s) - 1, int(share * len(self.waits_s)))]


def saturate(store: Store, submissions: Sequence[Submission], in_flight: int) -> Load:
    """Append submissions one after the other, never more than `in_flight` events waiting for their proof."""
    room = threading.Semaphore(max(1, in_flight // len(submissions[0])))

    def wait(_number: int) -> float:
        room.acquire()
        return time.perf_counter()

    return _drive(store, submissions, wait, room.release)


def pace(store: Store, submissions: Sequence[Submission], rate: float) -> Load:
    """Append `rate` events a second, evenly, whether or not the ledger keeps up: an open load."""
    period = len(submissions[0]) / rate
    start = 0.0

    def wait(number: int) -> float:
        nonlocal start
        if not number:  # the ledger is warm now
            start = time.perf_counter()
        due = start + number * period
        time.sleep(max(0.0, due - time.perf_counter()))
        return due

    return _drive(store, submissions, wait, lambda: None)


def _drive(
    store: Store,
    submissions: Sequence[Submission],
    wait: Callable[[int], float],
    release: Callable[[], object],
) -> Load:
    warm_up(store)
    settle_heap()  # as the service does at its start
    waits: list[float] = []
    failures: list[BaseException] = []
    cpu_s, start = _read_cpu(), time.perf_counter()
    for number, submission in enumerate(submissions):
        due = wait(number)

        # Looks at the outcome and lets it go, as a caller does: what waits for nobody is no load.
        def note(future: Future[list[Receipt]], due: float = due) -> None:
            waits.append(time.perf_counter() - due)
            error = future.exception()
            if error is not None:
                failures.append(error)
            release()

        last = store.submit(submission, log_signing_key=LOG_KEY)
        last.add_done_callback(note)
    last.result()  # submissions of one caller keep their order
    while len(waits) < len(submissions):
        time.sleep(0.001)
    wall_s = time.perf_counter() - start
    if failures:
        raise failures[0]
    return Load(sum(map(len, submissions)), wall_s, _read_cpu() - cpu_s, tuple(sorted(waits)))


def warm_up(store: Store) -> None:
    """Have the ledger read its edge and its workers start, which is not what is measured."""
    chains = sign_chains(64, 1, prefix=secrets.token_hex(8))
    for future in [store.submit(chain, log_signing_key=LOG_KEY) for chain in chains]:
        future.result()


def _read_cpu() -> float:
    """Return the CPU seconds of this process and of its children that run."""
    ticks = 0
    for listed in Path("/proc/self/task").glob("*/children"):
        for child in listed.read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # utime and stime (proc(5))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def read_load() -> float:
    """Return the machine's load of the last minute, in processes: what else ran beside a measurement."""
    return os.getloadavg()[0]
