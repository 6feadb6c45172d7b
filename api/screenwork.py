"""What is done for each file of a data set, in worker processes: one row of its manifest.

A worker opens the ledger folder once, for reading. A file is decoded in a child process without rights
(`api.decoding`), so a hostile one ends that child at worst.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

from watermark.errors import AudioError

from .audiofile import hash_file
from .childprocess import keep_warm
from .collection import Collection, ItemError
from .dataset import Heard, Item, format_path
from .decoding import DECODER
from .errors import AudioRefusedError, TooLargeError
from .evidence import RELEASED_DIGESTS, Evidence, Likeness
from .installation import Installation, open_installation
from .labels import READER
from .manifest import KNOWN, STAMPED, UNKNOWN, UNREADABLE, Row
from .nearness import Near, Neighbours, has_sound, keep_sound
from .origin import UNKNOWN as ORIGIN_UNKNOWN
from .origin import tell_origin
from .report import round_up_probability
from .settings import Settings
from .verdict import NOTHING_FOUND, Verdict, judge
from .verification import collect

NOT_READABLE = "not-readable"
PASSING = "passing"
"""Member of a row that is not to be remembered: another time the file may be had."""


@dataclass(frozen=True)
class Task:
    """What a worker needs to know of a collection: where its files are, where the manifest is made, whether
    they are compared by sound, and the event that stops all work.
    """

    collection: Collection
    output: Path
    compared: bool
    stopping: Event


class _Worker:
    """State of a worker process, made once in it."""

    warm: contextlib.ExitStack = contextlib.ExitStack()  # closed by the process's end
    installation: Installation | None = None
    task: Task | None = None
    neighbours: Neighbours | None = None


def start_worker(settings: Settings, task: Task) -> None:
    """Open the ledger in a new worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, too, and stops us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Worker.warm.enter_context(keep_warm(DECODER, READER))
    _Worker.installation = open_installation(settings)
    _Worker.task = task


def _end_with_parent() -> None:
    """End this process when its parent does, however that ends: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def hash_item(item: Item) -> str | None:
    """Return the SHA-256 of a file; None where it cannot be read or was changed."""
    assert _Worker.task is not None
    try:
        with _Worker.task.collection.hold(item) as path:
            return hash_file(path)
    except (OSError, ItemError):
        return None


def screen_item(item: Item) -> Row:
    """Listen to a file and return its row; without `duplicate_of`, which takes the others to say."""
    assert _Worker.installation is not None
    assert _Worker.task is not None
    row: Row = {**format_path(item.path), "bytes": item.size}
    try:
        with _Worker.task.collection.hold(item) as path:
            try:
                found = _examine(_Worker.installation, _Worker.task, path)
            except (AudioRefusedError, AudioError, TooLargeError) as error:
                found = {**describe_unreadable(_name_fault(error)), "sha256": hash_file(path)}
            return {**row, **found, "bytes": item.size or path.stat().st_size}
    except ItemError as error:
        return {**row, **describe_unreadable(error.code), **({PASSING: True} if error.passing else {})}
    except PermissionError:
        return {**row, **describe_unreadable(NOT_READABLE)}
    except OSError as error:
        # The file's fault, or the machine's: only what names the file is the file's.
        if error.filename is None or not str(error.filename).startswith("/proc/self/fd/"):
            raise
        return {**row, **describe_unreadable(NOT_READABLE)}


def find_near(heard: Heard) -> tuple[Near, ...]:
    """Return the recordings of the data set that one sounds like; none where it cannot be read any more."""
    assert _Worker.installation is not None
    assert _Worker.task is not None
    if _Worker.neighbours is None:
        _Worker.neighbours = Neighbours(_Worker.task.output)
    try:
        with _Worker.task.collection.hold(heard.item) as path:
            return _Worker.neighbours.find(path, heard.pcm_sha256, _Worker.installation.settings.limits)
    except (AudioRefusedError, AudioError, TooLargeError, ItemError, OSError):
        return ()


def describe_unreadable(code: str) -> Row:
    """Return the members of a file's row about which nothing is known."""
    return {
        "class": UNREADABLE,
        "code": code,
        "sha256": None,
        "pcm_sha256": None,
        "milliseconds": None,
        "verdict": None,
        "machine_made": ORIGIN_UNKNOWN,
    }


def _name_fault(error: Exception) -> str:
    if isinstance(error, AudioRefusedError):
        return error.code
    return "too-large" if isinstance(error, TooLargeError) else "not-audio"


def _examine(installation: Installation, task: Task, path: Path) -> Row:
    found, evidence = collect(installation, path, cancelled=task.stopping.is_set)
    verdict = judge(evidence)
    row: Row = {
        "class": classify(evidence, verdict),
        "sha256": found.file_sha256,
        "pcm_sha256": found.pcm_sha256,
        "milliseconds": round(1000 * found.seconds),
        "verdict": verdict.code,
        "reasons": list(verdict.reasons),
        "track_id": _name_track(evidence),
        "copies": [item.copy_id for item in evidence.copies.named] if evidence.copies else [],
        **_describe_record(evidence, verdict),
    }
    if evidence.watermark.found:
        row["false_alarm_at_most"] = round_up_probability(evidence.watermark.false_alarm_probability)
    if task.compared and has_sound(row) and found.query is not None:
        keep_sound(task.output, found.pcm_sha256, found.query)
    if evidence.identity.matches:
        row["sounds_like"] = _format_likeness(evidence.identity.matches[0])
    return row


def _describe_record(evidence: Evidence, verdict: Verdict) -> Row:
    """Return what the track's record says, and what the file says of itself against it."""
    track = evidence.track
    source_type = None if track is None else track.digital_source_type
    contradicted = (*evidence.tags.contradicted, *evidence.credential.contradicted)
    return {
        "machine_made": tell_origin(verdict.code, track=track is not None, source_type=source_type),
        "digital_source_type": source_type,
        "status": None if evidence.ledger is None or evidence.ledger.fault else evidence.ledger.status,
        "credential": evidence.credential.state,
        "contradicted": sorted({item.field for item in contradicted}),
    }


def _format_likeness(likeness: Likeness) -> Row:
    return {
        "track_id": likeness.track_id,
        "name": None if likeness.track_id is not None else likeness.name,
        "start_ms": round(1000 * likeness.file.start_s),
        "end_ms": round(1000 * likeness.file.end_s),
        "false_alarm_at_most": round_up_probability(likeness.false_alarm_probability),
    }


def classify(evidence: Evidence, verdict: Verdict) -> str:
    """Return a file's class: `stamped` by a mark of ours or a released digest, `known` by its source's digest
    or its sound, else `unknown`.
    """
    if evidence.watermark.found or evidence.content.matched in RELEASED_DIGESTS:
        return STAMPED
    return UNKNOWN if verdict.code == NOTHING_FOUND else KNOWN


def _name_track(evidence: Evidence) -> str | None:
    if evidence.track is not None:
        return evidence.track.track_id
    return evidence.content.track_id or evidence.watermark.track_id or evidence.identity.track_id
