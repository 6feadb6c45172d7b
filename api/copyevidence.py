"""Which of a track's copies a file is, or was made from, as far as signed entries bear it out.

A copy is named by its digest, or by its mark. As everywhere the tables are only hints: a digest must be
stated by a verified `delivered` event, a mark must open the commitment of one.
"""

from pathlib import Path

import ledger
from ledger.commitment import check_opening
from ledger.errors import FormatError, ProofError
from ledger.event import parse_commitments
from ledger.predicate import DELIVERED

from .copies import CopyRow
from .custody import Custody, check_custody
from .evidence import RELEASED_DIGESTS, CopyEvidence, Evidence, NamedCopy
from .installation import Installation
from .marking import CancelCheck, Examination, Progress
from .release import name_asset
from .tracing import trace


def find_copies(
    installation: Installation,
    path: Path,
    found: Examination,
    evidence: Evidence,
    *,
    progress: Progress,
    cancelled: CancelCheck,
) -> CopyEvidence | None:
    """Return which copies of the track that the evidence names the file comes from; None where there is no
    such track, it has no copies, or its history does not hold.
    """
    if evidence.track is None or evidence.ledger is None or evidence.ledger.fault is not None:
        return None
    track_id = evidence.track.track_id
    if not installation.copies.list_of_track(track_id):
        return None
    custody = check_custody(installation.store, installation.public, name_asset(track_id))
    if evidence.content.matched in RELEASED_DIGESTS:
        row = installation.copies.find_digest(found.file_sha256, found.pcm_sha256)
        # By its digest it is this copy, or the released track itself, and nothing need be listened to.
        named = () if row is None else (NamedCopy(row.copy_id, _find_digest(custody, row), "digest", 0.0),)
        return CopyEvidence(named)
    if not evidence.watermark.found:
        return None
    traced = trace(installation, path, track_id, progress=progress, cancelled=cancelled)
    return CopyEvidence(
        named=tuple(
            NamedCopy(mark.copy.copy_id, _find_mark(custody, mark.copy), "mark", mark.false_alarm_probability)
            for mark in traced.named
            if mark.copy is not None
        ),
        several=traced.several,
        foreign=traced.foreign,
        candidates=traced.candidates,
    )


def _find_digest(custody: Custody, row: CopyRow) -> int | None:
    """Return the index of the delivered event that states the copy's digest."""
    for item, event in zip(custody.evidence.events, custody.events, strict=True):
        stated = {subject.sha256.hex() for subject in event.statement.subjects}
        if event.statement.predicate_type == DELIVERED and row.file_sha256 in stated:
            return item.index
    return None


def _find_mark(custody: Custody, row: CopyRow) -> int | None:
    """Return the index of the delivered event whose commitment the copy's mark and salt open."""
    opening = ledger.Opening("mark_id", row.salt, row.mark_id)
    for item, event in zip(custody.evidence.events, custody.events, strict=True):
        commitment = parse_commitments(event.statement).get("mark_id")
        if event.statement.predicate_type != DELIVERED or commitment is None:
            continue
        try:
            check_opening(opening, commitment)
        except (ProofError, FormatError):
            continue
        return item.index
    return None
