"""Screening a data set, auditing a catalogue: which files are ours, known, twice there, or unknown.

    list -> files of one size: hashed first -> listen to one of each content -> rows -> signed manifest

What was found of a file goes into a journal at once. Started again on the same output after it was killed,
screening goes on where it was: a file is listened to again only if its size or time changed, and all are if
the ledger, its keys or the program changed meanwhile.
"""

import importlib.metadata
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import watermark

from .assembly import assemble
from .collection import FETCHED_NAME, Collection, FolderCollection
from .crew import SPAWN, Crew
from .dataset import FILE, Heard, Item, format_path
from .errors import RefusedError, WriteError
from .installation import Installation, now
from .journal import Journal
from .manifest import MANIFEST_NAME, ROWS_NAME, SCREENING_TYPE, Row, count_rows, write_manifest
from .marking import CancelCheck, Progress, never_cancelled, report_nothing
from .nearness import SOUNDS_NAME, Near, build_index, has_sound, is_sound_kept
from .recognition import detection_profiles
from .screenwork import (
    PASSING,
    Task,
    describe_unreadable,
    find_near,
    hash_item,
    screen_item,
    start_worker,
)

JOURNAL_NAME = "journal.jsonl"
CRASHED = "crashed"
LIMITS = (
    "A mark can be removed, and a recording changed beyond what its fingerprint holds: unknown does not mean "
    "that a file is free to use.",
    "Only what is registered or catalogued in this ledger is known; marks under other keys cannot be seen.",
)


@dataclass(frozen=True)
class Kind:
    """What is made of a collection: the type of its statement, what names the collection in it, what is said
    of its limits, and the files that are written beside the rows, each by a function of predicate and rows.
    """

    type: str
    member: str
    limits: tuple[str, ...]
    forms: Mapping[str, Callable[[Mapping[str, Any], Sequence[Row]], bytes]] = field(default_factory=dict)


SCREENING = Kind(SCREENING_TYPE, "folder", LIMITS)


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
    collection = FolderCollection(folder.absolute(), (output.absolute(),))
    return survey(
        installation, collection, output, SCREENING, workers=workers, progress=progress, cancelled=cancelled
    )


def survey(
    installation: Installation,
    collection: Collection,
    output: Path,
    kind: Kind,
    *,
    workers: int = 1,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Screening:
    """Go through a collection and write what was found into `output`, signed; parameters and errors as
    `screen`, and SourceError where a store cannot be listed.
    """
    _prepare(output, kind)
    items = collection.list_items()
    progress("list", 1.0)
    context = describe_context(installation)
    task = Task(collection, output.absolute(), collection.near, SPAWN.Event())
    with Journal.open(output / JOURNAL_NAME, context) as journal:
        resumed = journal.count
        with Crew(
            start_worker, (installation.settings, task), stopping=task.stopping, workers=workers
        ) as crew:
            originals = _hash_equal_sizes(crew, items, progress, cancelled) if collection.near else {}
            unheard = [
                item
                for item in items
                if item.kind == FILE and originals.get(item.path, item.path) == item.path
            ]
            rows = _listen(crew, unheard, journal, task, progress, cancelled)
            if collection.near:
                near = _find_near(crew, unheard, rows, output, progress, cancelled)
            else:
                near, originals = {}, _find_equal(items, rows)
    complete = tuple(assemble(items, rows, originals, near))
    facts = {**context, kind.member: collection.name, "time": now(), "limits": list(kind.limits)}
    sums = count_rows(complete, kind.type)
    forms = {name: form({**facts, **sums}, complete) for name, form in kind.forms.items()}
    predicate = write_manifest(
        output, complete, facts, installation.keyring.report_signing_key, kind=kind.type, forms=forms
    )
    (output / JOURNAL_NAME).unlink(missing_ok=True)
    for name in (SOUNDS_NAME, FETCHED_NAME):
        shutil.rmtree(output / name, ignore_errors=True)
    return Screening(predicate, complete, resumed)


def describe_context(installation: Installation) -> dict[str, Any]:
    """Return what findings depend on beside the file: the log, what is registered, the keys, the program."""
    state = installation.store.state()
    return {
        "origin": installation.public.origin,
        "log_size": state.size,
        "catalogue": installation.catalogue.rows.count(),
        "watermark_keys": [epoch.name for epoch in installation.keyring.epochs],
        "profiles": [profile.name for profile in detection_profiles(installation)],
        "detector": watermark.PROFILE.name,
        "program": f"provenote {importlib.metadata.version('provenote')}",
    }


def _prepare(output: Path, kind: Kind) -> None:
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
    for name in (ROWS_NAME, *kind.forms):  # of a try that ended between its files
        (output / name).unlink(missing_ok=True)
    shutil.rmtree(output / FETCHED_NAME, ignore_errors=True)


def _hash_equal_sizes(
    crew: Crew, items: list[Item], progress: Progress, cancelled: CancelCheck
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
    crew: Crew,
    items: list[Item],
    journal: Journal,
    task: Task,
    progress: Progress,
    cancelled: CancelCheck,
) -> dict[bytes, Row]:
    """Return the row of each item: from the journal, or listened to now."""
    rows = {
        item.path: row
        for item in items
        if (row := journal.find(item)) is not None and (not task.compared or is_sound_kept(task.output, row))
    }
    missing = [item for item in items if item.path not in rows]
    total = max(1, sum(map(_weigh, items)))
    done = sum(map(_weigh, items)) - sum(map(_weigh, missing))
    progress("listen", done / total)
    for item, found in crew.run(screen_item, missing, cancelled):
        if isinstance(found, BaseException):
            row = {**format_path(item.path), "bytes": item.size, **describe_unreadable(CRASHED)}
        else:
            row = found
        passing = row.pop(PASSING, False)
        rows[item.path] = row
        if not passing:
            journal.add(item, row)
        done += _weigh(item)
        progress("listen", done / total)
    return rows


def _weigh(item: Item) -> int:
    """Return an item's share of the work: its size, where that is known before it is fetched."""
    return max(1, item.size)


def _find_equal(items: list[Item], rows: Mapping[bytes, Row]) -> dict[bytes, bytes]:
    """Return for each file whose bytes an earlier one has, that one's path, by the digests in their rows."""
    first: dict[str, bytes] = {}
    originals = {}
    for item in items:
        digest = rows[item.path]["sha256"]
        if digest is not None and first.setdefault(digest, item.path) != item.path:
            originals[item.path] = first[digest]
    return originals


def _find_near(
    crew: Crew,
    items: list[Item],
    rows: Mapping[bytes, Row],
    output: Path,
    progress: Progress,
    cancelled: CancelCheck,
) -> dict[str, tuple[Near, ...]]:
    """Return for each recording, by its PCM digest, the others that it sounds like."""
    lengths: dict[str, float] = {}
    wanted: list[Heard] = []
    for item in items:
        row = rows[item.path]
        if has_sound(row) and row["pcm_sha256"] not in lengths:
            lengths[row["pcm_sha256"]] = row["milliseconds"] / 1000
            wanted.append(Heard(item, row["pcm_sha256"]))
    build_index(output, lengths)
    near: dict[str, tuple[Near, ...]] = {}
    if len(wanted) < 2:
        return near
    for done, (heard, found) in enumerate(crew.run(find_near, wanted, cancelled), start=1):
        if not isinstance(found, BaseException):
            near[heard.pcm_sha256] = found
        progress("compare sound", done / len(wanted))
    return near
