"""Screening a data set: which of its files are ours, known, twice there, unknown, or not to be read.

    list -> files of one size: hashed first -> listen to one of each content -> rows -> signed manifest

What was found of a file goes into a journal at once. Started again on the same output after it was killed,
screening goes on where it was: a file is listened to again only if its size or time changed, and all are if
the ledger, its keys or the program changed meanwhile.
"""

import concurrent.futures
import importlib.metadata
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import watermark

from .dataset import FILE, Item, Task, format_path, list_items
from .errors import RefusedError, StoppedError, WriteError
from .installation import Installation, now
from .journal import Journal
from .manifest import DUPLICATE, MANIFEST_NAME, SKIPPED, UNKNOWN, Row, write_manifest
from .marking import CancelCheck, Progress, never_cancelled, report_nothing
from .recognition import detection_profiles
from .screenwork import CHANGED, describe_unreadable, hash_item, screen_item, start_worker

# Spawned, not forked: a copy of an open database connection must not be used.
SPAWN = multiprocessing.get_context("spawn")
JOURNAL_NAME = "journal.jsonl"
# Tasks handed to each worker ahead of time.
AHEAD = 3
CRASHED = "crashed"
LIMITS = (
    "A mark can be removed, and a recording changed beyond what its fingerprint holds: unknown does not mean "
    "that a file is free to use.",
    "Only what is registered or catalogued in this ledger is known; marks under other keys cannot be seen.",
)


@dataclass(frozen=True)
class Screening:
    """A finished screening: the predicate that was signed, the rows, and how many came from the journal."""

    predicate: Mapping[str, Any]
    rows: tuple[Row, ...]
    resumed: int


def screen(
    installation: Installation,
    folder: Path,
    output: Path,
    *,
    workers: int = 1,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Screening:
    """Screen a folder and write its manifest into `output`, a new folder or one that was begun before.

    Raises
    ------
    RefusedError
        The output holds a finished manifest, or other files.
    StoppedError
        `cancelled()` returned True: call again to go on.
    WriteError, OSError, ledger.StorageError
        Folder, output or ledger cannot be used: call again to go on.
    """
    _prepare(output)
    items = list_items(folder, leave_out=(output,))
    progress("list", 1.0)
    context = describe_context(installation)
    task = Task(os.fsencode(folder.absolute()), SPAWN.Event())
    with Journal.open(output / JOURNAL_NAME, context) as journal:
        resumed = journal.count
        with _Crew(installation, task, workers) as crew:
            originals = _hash_equal_sizes(crew, items, progress, cancelled)
            unheard = [
                item
                for item in items
                if item.kind == FILE and originals.get(item.path, item.path) == item.path
            ]
            rows = _listen(crew, unheard, journal, progress, cancelled)
    complete = tuple(assemble(items, rows, originals))
    predicate = write_manifest(
        output,
        complete,
        {**context, "folder": folder.absolute().name, "time": now(), "limits": list(LIMITS)},
        installation.keyring.report_signing_key,
    )
    (output / JOURNAL_NAME).unlink(missing_ok=True)
    return Screening(predicate, complete, resumed)


def describe_context(installation: Installation) -> dict[str, Any]:
    """Return what findings depend on beside the file: the log, what is registered, the keys, the program."""
    state = installation.store.state()
    return {
        "origin": installation.public.origin,
        "log_size": state.size,
        "watermark_keys": [epoch.name for epoch in installation.keyring.epochs],
        "profiles": [profile.name for profile in detection_profiles(installation)],
        "detector": watermark.PROFILE.name,
        "program": f"provenote {importlib.metadata.version('provenote')}",
    }


def assemble(
    items: Iterable[Item], rows: Mapping[bytes, Row], originals: Mapping[bytes, bytes]
) -> Iterator[Row]:
    """Yield the row of every item, in their order; those with samples of an earlier one name it.

    Parameters
    ----------
    items : in the order of their paths
    rows : of each file that was listened to
    originals : for files whose bytes another has, that one's path
    """
    first: dict[str, str] = {}
    for item in items:
        if item.kind != FILE:
            yield {
                **format_path(item.path),
                "bytes": 0,
                **describe_unreadable(item.kind),
                "class": SKIPPED,
                "duplicate_of": None,
            }
            continue
        row = {**rows[originals.get(item.path, item.path)], "bytes": item.size}
        row.pop("path_hex", None)
        row |= format_path(item.path)
        digest = row["pcm_sha256"]
        earlier = first.setdefault(digest, row["path"]) if digest is not None else row["path"]
        again = earlier != row["path"]
        if again and row["class"] == UNKNOWN:
            row["class"] = DUPLICATE
        yield {**row, "duplicate_of": earlier if again else None}


def _prepare(output: Path) -> None:
    """Make the output, or find that it is one of ours that was begun."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        found = {path.name for path in output.iterdir()}
    except OSError as error:
        raise WriteError(f"{output}: cannot be made: {error.strerror}") from error
    if MANIFEST_NAME in found:
        raise RefusedError(f"{output}: holds a finished manifest")
    if found and JOURNAL_NAME not in found:
        raise RefusedError(f"{output}: expected a new folder, or one of an interrupted screening")
    (output / "files.jsonl").unlink(missing_ok=True)  # of a try that ended between its two files


def _hash_equal_sizes(
    crew: "_Crew", items: list[Item], progress: Progress, cancelled: CancelCheck
) -> dict[bytes, bytes]:
    """Return for each file whose bytes an earlier one has, that one's path: it need not be listened to."""
    sizes: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        if item.kind == FILE and item.size:
            sizes[item.size].append(item)
    twice = [item for some in sizes.values() if len(some) > 1 for item in some]
    digests: dict[bytes, str | None] = {}
    for done, (item, digest) in enumerate(crew.run(hash_item, twice, cancelled), start=1):
        digests[item.path] = None if isinstance(digest, BaseException) else digest
        progress("compare", done / len(twice))
    first: dict[str, bytes] = {}
    originals = {}
    for item in sorted(twice, key=lambda item: item.path):
        digest = digests[item.path]
        if digest is not None and first.setdefault(digest, item.path) != item.path:
            originals[item.path] = first[digest]
    return originals


def _listen(
    crew: "_Crew", items: list[Item], journal: Journal, progress: Progress, cancelled: CancelCheck
) -> dict[bytes, Row]:
    """Return the row of each item: from the journal, or listened to now."""
    rows = {item.path: row for item in items if (row := journal.find(item)) is not None}
    missing = [item for item in items if item.path not in rows]
    total = max(1, sum(item.size for item in items))
    done = sum(item.size for item in items) - sum(item.size for item in missing)
    progress("listen", done / total)
    for item, found in crew.run(screen_item, missing, cancelled):
        if isinstance(found, BaseException):
            row = {**format_path(item.path), "bytes": item.size, **describe_unreadable(CRASHED)}
        else:
            row = found
        rows[item.path] = row
        if row.get("code") != CHANGED:
            journal.add(item, row)
        done += item.size
        progress("listen", done / total)
    return rows


class _Crew:
    """Worker processes that open the ledger once; one that dies of a file takes nothing else with it."""

    def __init__(self, installation: Installation, task: Task, workers: int) -> None:
        self._arguments = (installation.settings, task)
        self._stopping = task.stopping
        self._workers = workers
        self._pool = self._make_pool()

    def __enter__(self) -> "_Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _make_pool(self) -> concurrent.futures.ProcessPoolExecutor:
        return concurrent.futures.ProcessPoolExecutor(
            self._workers,
            mp_context=SPAWN,
            initializer=start_worker,
            initargs=self._arguments,
        )

    def run(
        self, work: Callable[[Item], Any], items: list[Item], cancelled: CancelCheck
    ) -> Iterator[tuple[Item, Any]]:
        """Yield each item with its outcome, as they come; with a BrokenProcessPool for one that kills its
        worker.

        Raises
        ------
        StoppedError
            `cancelled()` returned True.
        """
        waiting, lost = iter(items), []
        running: dict[concurrent.futures.Future[Any], Item] = {}
        while True:
            if cancelled():
                raise StoppedError("stopped while screening: call again to go on")
            for item in islice(waiting, AHEAD * self._workers - len(running)):
                running[self._pool.submit(work, item)] = item
            if not running:
                break
            done, _ = concurrent.futures.wait(
                running, timeout=0.5, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                item = running.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    lost.append(item)
                    continue
                yield item, outcome
            if lost:
                # All that ran with it are lost too: each again by itself tells which one it was.
                suspects, lost = [*lost, *running.values()], []
                running = {}
                yield from self._run_alone(work, suspects)

    def _run_alone(self, work: Callable[[Item], Any], items: list[Item]) -> Iterator[tuple[Item, Any]]:
        self._restart()
        for item in items:
            try:
                yield item, self._pool.submit(work, item).result()
            except BrokenProcessPool as error:
                self._restart()
                yield item, error

    def _restart(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._make_pool()
