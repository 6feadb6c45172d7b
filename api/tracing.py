"""Which copy of a track a clip was made from: candidates are the track's own mark and those of its copies.

One search of the clip serves for all of them (`watermark.tracing`); it names copies where the payload can no
longer be decoded, and all of two or three that were mixed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ledger
import watermark
from ledger.predicate import PREDICATE_BASE

from .audiofile import PcmDigest, hash_file
from .copies import CopyRow
from .decoding import open_recording
from .errors import StoppedError
from .installation import Installation, now
from .marking import CancelCheck, Progress, never_cancelled, report_nothing
from .recipients import name_recipients
from .registry import MarkRow
from .report import round_up_probability

TRACE_TYPE = PREDICATE_BASE + "trace-report/v1"
LIMITS = (
    "A copy is named by the mark in the sound: whose copy it was is in the ledger, who passed it on is not.",
    "Naming nobody does not mean that the clip was made from none of the copies.",
)


@dataclass(frozen=True)
class TracedMark:
    """A mark that the clip may carry: of a copy, or of the released track itself (`copy` None)."""

    copy: CopyRow | None
    false_alarm_probability: float
    named: bool


@dataclass(frozen=True)
class Traced:
    """What tracing a clip over one track's copies came to; digests are hex SHA-256.

    `marks`: the likeliest first, those named before the others. `candidates`: over how many the bounds hold.
    `foreign`: the clip carries a mark under our keys beside those named, which is none of the candidates.
    """

    track_id: str
    candidates: int
    marks: tuple[TracedMark, ...]
    foreign: bool
    file_sha256: str
    pcm_sha256: str
    alignment: watermark.Alignment | None

    @property
    def named(self) -> tuple[TracedMark, ...]:
        """The marks that the clip carries."""
        return tuple(mark for mark in self.marks if mark.named)

    @property
    def several(self) -> bool:
        """Whether the clip was mixed from more than one marked file."""
        return len(self.named) > 1 or (bool(self.named) and self.foreign)


def trace(
    installation: Installation,
    path: Path,
    track_id: str,
    *,
    stage: str = "trace",
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Traced:
    """Say which of a track's copies a clip was made from.

    Raises
    ------
    MissingError
        No such track.
    AudioRefusedError, TooLargeError
        Not audio, or outside the limits.
    StoppedError
        `cancelled()` returned True.
    OSError, ledger.StorageError
        The file or the database cannot be read.
    """
    installation.registry.get_released(track_id)
    known = installation.marks.list_of_track(track_id)
    rows: dict[bytes, CopyRow | MarkRow] = {
        bytes.fromhex(row.mark_id): row for row in installation.copies.list_of_track(track_id)
    }
    digest = PcmDigest()
    with open_recording(path, installation.settings.limits) as recording:
        shape = recording.format
        tracer = watermark.Tracer(sample_rate=shape.sample_rate, channels=shape.channels, known=known)
        for block in recording.blocks():
            if cancelled():
                raise StoppedError(f"stopped while tracing {path.name}")
            digest.push(block)
            tracer.push(block)
            progress(stage, min(0.95, 0.9 * recording.samples / max(1, shape.claimed_samples)))
    found = tracer.finish()
    progress(stage, 1.0)
    bounds = {copy.payload: copy.false_alarm_probability for copy in found.named}
    others = [(payload, bound) for payload, bound in found.likeliest if payload not in bounds]

    def describe(payload: bytes, bound: float) -> TracedMark:
        row = rows.get(payload)
        return TracedMark(row if isinstance(row, CopyRow) else None, bound, payload in bounds)

    return Traced(
        track_id=track_id,
        candidates=sum(len(some.payloads) for some in known),
        marks=tuple(describe(payload, bound) for payload, bound in (*bounds.items(), *others)),
        foreign=found.foreign,
        file_sha256=hash_file(path),
        pcm_sha256=digest.hex(),
        alignment=found.named[0].alignment if found.named else None,
    )


def name_copies(installation: Installation, track_id: str) -> dict[str, str | None]:
    """Return whose each copy of a track is, by copy id; None for a recipient who was erased.

    For whoever holds the installation: no report has it.
    """
    names = name_recipients(installation, track_id)
    return {
        row.copy_id: names.get(row.recipient_commitment)
        for row in installation.copies.list_of_track(track_id)
    }


def name_reported(installation: Installation, predicate: Mapping[str, Any]) -> dict[str, str | None]:
    """Return whose the copies are that a verification report names, by copy id; as `name_copies`."""
    named = [item["copy_id"] for item in (predicate["copies"] or {"named": ()})["named"]]
    if not named:
        return {}
    names = name_copies(installation, predicate["track"]["track_id"])
    return {copy_id: names[copy_id] for copy_id in named}


def build_trace(traced: Traced, *, time: str) -> dict[str, Any]:
    """Return the predicate of a trace's report: JSON without floats, and without names."""
    return {
        "track_id": traced.track_id,
        "candidates": traced.candidates,
        "several": traced.several,
        "foreign": traced.foreign,
        "named": [_format_mark(mark) for mark in traced.named],
        "others": [_format_mark(mark) for mark in traced.marks if not mark.named],
        "limits": list(LIMITS),
        "time": time,
    }


def sign_trace(installation: Installation, traced: Traced) -> tuple[Mapping[str, Any], bytes]:
    """Return a trace's predicate and the signed envelope around it, an in-toto statement about the clip."""
    predicate = build_trace(traced, time=now())
    subjects = (
        ledger.Subject("file", bytes.fromhex(traced.file_sha256)),
        ledger.Subject("pcm", bytes.fromhex(traced.pcm_sha256)),
    )
    payload = ledger.build_statement(TRACE_TYPE, subjects, predicate)
    return predicate, ledger.sign_envelope(payload, [installation.keyring.report_signing_key])


def _format_mark(mark: TracedMark) -> dict[str, Any]:
    return {
        "copy_id": None if mark.copy is None else mark.copy.copy_id,
        "by_chance_at_most": round_up_probability(mark.false_alarm_probability),
    }
