"""The verify flow: what is known about a file, and what follows from it.

    file -> bounded decode -> digests, mark -> which track? -> its history, checked -> evidence -> verdict ->
    report

The registry and the ledger's database are not trusted here: a track is believed only as far as its signed
entries, proven against the log's checkpoint, say so; a mark only if the registry's salt opens the commitment
in them.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ledger
from ledger.commitment import check_opening
from ledger.errors import FormatError, ProofError
from ledger.event import parse_commitments
from ledger.predicate import DELIVERED, GENERATED, STAMPED

from .copies import CopyRow
from .copyevidence import find_copies
from .custody import Custody, check_custody
from .evidence import (
    DIGEST_NAMES,
    ContentEvidence,
    Evidence,
    Extent,
    LedgerFault,
    Range,
    TrackFacts,
    WatermarkEvidence,
)
from .installation import Installation, now
from .keyring import detection_keys
from .knownmarks import known_payloads
from .marking import CancelCheck, Examination, Progress, examine, never_cancelled, report_nothing
from .recognition import detection_profiles, find_mark
from .registry import MarkRow
from .release import name_asset
from .report import Report, sign_report
from .verdict import judge

REGISTERING = frozenset({GENERATED, STAMPED, DELIVERED})
"""Events whose digests are the track's own; a notice, say, may name a file that somebody else holds."""
QUIET_MEAN_SQUARE = 1e-6
"""-60 dB below full scale, in the loudest second: fades, pauses and digital silence lie below."""


def verify(
    installation: Installation,
    path: Path,
    *,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Report:
    """Say what is known about a file, in a signed report.

    Raises
    ------
    AudioRefusedError, TooLargeError
        Not audio, or outside the limits.
    StoppedError
        `cancelled()` returned True.
    OSError, ledger.StorageError
        The file or the database cannot be read.
    """
    found = examine(
        path,
        limits=installation.settings.limits,
        watermark_keys=detection_keys(installation.keyring),
        profiles=detection_profiles(installation),
        known=known_payloads(installation),
        progress=progress,
        cancelled=cancelled,
    )
    evidence = gather(installation, found)
    copies = find_copies(installation, path, found, evidence, progress=progress, cancelled=cancelled)
    evidence = dataclasses.replace(evidence, copies=copies)
    return sign_report(
        evidence, judge(evidence), time=now(), signing_key=installation.keyring.report_signing_key
    )


def gather(installation: Installation, found: Examination) -> Evidence:
    """Look up and check everything that an examined file points to."""
    mark = _find_mark(installation, found)
    listed = _find_digest(installation, found)
    track_id = listed or (mark.track_id if mark else None)
    if track_id is None:
        return Evidence(_describe_content(found, None, None), _describe_mark(found, mark, None), None, None)
    custody = check_custody(installation.store, installation.public, name_asset(track_id))
    matched = _match_digest(custody, found)
    history = custody.evidence
    if listed is not None and matched is None and history.fault is None:
        message = f"the index lists a digest under track {listed} that no entry of it states"
        history = dataclasses.replace(history, fault=LedgerFault(None, "index-contradicts-entry", message))
    if history.fault is not None:
        # Nothing that a broken record says is believed, not even what it says about this file.
        return Evidence(
            _describe_content(found, None, track_id), _describe_mark(found, mark, None), history, None
        )
    opens = _opens_commitment(custody, mark) if mark is not None and mark.track_id == track_id else None
    return Evidence(
        content=_describe_content(found, matched, track_id if matched else None),
        watermark=_describe_mark(found, mark, opens),
        ledger=history,
        track=_read_facts(track_id, custody),
    )


def _find_mark(installation: Installation, found: Examination) -> MarkRow | CopyRow | None:
    payload = found.detection.payload
    return None if payload is None else find_mark(installation, payload)


def _find_digest(installation: Installation, found: Examination) -> str | None:
    """Return the track that the ledger's index of digests names for these bytes or samples."""
    for digest in (found.file_sha256, found.pcm_sha256):
        for _, asset in installation.store.find_subject(digest):
            if asset.startswith("track:"):
                return asset.removeprefix("track:")
    return None


def _match_digest(custody: Custody, found: Examination) -> str | None:
    """Return the name of the first digest of the file that a verified entry states."""
    stated = {
        (subject.name, subject.sha256.hex())
        for event in custody.events
        if event.statement.predicate_type in REGISTERING
        for subject in event.statement.subjects
    }
    for name in DIGEST_NAMES:
        digest = found.file_sha256 if name.endswith("file") else found.pcm_sha256
        if (name, digest) in stated:
            return name
    return None


def _opens_commitment(custody: Custody, mark: MarkRow | CopyRow) -> bool:
    """Say whether the registry's mark_id and salt open a commitment of a verified entry."""
    opening = ledger.Opening("mark_id", mark.salt, mark.mark_id)
    for event in custody.events:
        stated = parse_commitments(event.statement).get("mark_id")
        if stated is None:
            continue
        try:
            check_opening(opening, stated)
        except (ProofError, FormatError):
            continue
        return True
    return False


def _describe_content(found: Examination, matched: str | None, track_id: str | None) -> ContentEvidence:
    extent = Extent(
        container=found.format.container,
        encoding=found.format.subtype,
        sample_rate=found.format.sample_rate,
        channels=found.format.channels,
        samples=found.samples,
        damage=found.damage,
    )
    return ContentEvidence(found.file_sha256, found.pcm_sha256, extent, matched, track_id)


def _describe_mark(
    found: Examination, mark: MarkRow | CopyRow | None, opens: bool | None
) -> WatermarkEvidence:
    detection = found.detection
    if not detection.detected or detection.payload is None:
        return WatermarkEvidence(False, detection.false_alarm_probability)
    alignment = detection.alignment
    return WatermarkEvidence(
        found=True,
        false_alarm_probability=detection.false_alarm_probability,
        profile=detection.profile_name,
        with_registry=detection.with_registry,
        track_id=mark.track_id if mark else None,
        opens_commitment=opens,
        speed=alignment.speed if alignment else 1.0,
        pitch_semitones=alignment.pitch_semitones if alignment else 0.0,
        present=_join_ranges(found, present=True),
        absent=tuple(item for item in _join_ranges(found, present=False) if not _is_quiet(found, item)),
    )


def _join_ranges(found: Examination, *, present: bool) -> tuple[Range, ...]:
    """Return the stretches in which the mark was found, or was not, neighbours joined."""
    joined: list[Range] = []
    for segment in found.detection.segments:
        if segment.present is not present:
            continue
        if joined and segment.start_s <= joined[-1].end_s:
            joined[-1] = Range(joined[-1].start_s, max(joined[-1].end_s, segment.end_s))
        else:
            joined.append(Range(segment.start_s, segment.end_s))
    return tuple(joined)


def _is_quiet(found: Examination, stretch: Range) -> bool:
    """Say whether a stretch is too quiet to carry a mark, so that its absence says nothing."""
    levels = found.levels[int(stretch.start_s) : math.ceil(stretch.end_s)]
    return max(levels, default=0.0) < QUIET_MEAN_SQUARE


def _read_facts(track_id: str, custody: Custody) -> TrackFacts | None:
    """Read what the newest verified entry with audio says about the track; None when none says anything."""
    for event in reversed(custody.events):
        predicate: Mapping[str, Any] = event.statement.predicate
        audio = predicate.get("audio")
        if not isinstance(audio, Mapping):
            continue
        source_type = predicate.get("digital_source_type")
        return TrackFacts(
            track_id=track_id,
            origin=event.statement.predicate_type.rsplit("/", 2)[-2],
            seconds=int(audio["samples"]) / int(audio["sample_rate"]),
            sample_rate=int(audio["sample_rate"]),
            channels=int(audio["channels"]),
            digital_source_type=str(source_type) if source_type is not None else None,
        )
    return None
