"""The evidence of the axis *watermark*: what was read, where, and whether the signed entries bear it out."""

import math

import ledger
import watermark
from ledger.commitment import check_opening
from ledger.errors import FormatError, ProofError
from ledger.event import parse_commitments

from .copies import CopyRow
from .custody import Custody
from .evidence import Range, WatermarkEvidence
from .marking import Examination
from .registry import MarkRow

QUIET_MEAN_SQUARE = 1e-6
"""-60 dB below full scale, in the loudest second: fades, pauses and digital silence lie below."""


def opens_commitment(custody: Custody, mark: MarkRow | CopyRow) -> bool:
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


def describe_mark(
    found: Examination, mark: MarkRow | CopyRow | None, opens: bool | None
) -> WatermarkEvidence:
    """Return what was read in a file; `opens` says whether a signed entry bears it out."""
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


def describe_traced(
    mark: MarkRow | CopyRow, probability: float, alignment: watermark.Alignment | None, *, opens: bool
) -> WatermarkEvidence:
    """Return what is known of a mark that was told among those of the track that the sound is like."""
    return WatermarkEvidence(
        found=True,
        false_alarm_probability=probability,
        profile=mark.profile,
        as_candidate=True,
        track_id=mark.track_id,
        opens_commitment=opens,
        speed=alignment.speed if alignment else 1.0,
        pitch_semitones=alignment.pitch_semitones if alignment else 0.0,
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
