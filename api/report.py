"""The signed verification report: an in-toto statement about the examined file, in a DSSE envelope.

    {"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "file", ...}, {"name": "pcm", ...}],
     "predicateType": "https://provenote.example/verification-report/v1",
     "predicate": {"detail": "full", "verdict": "excerpt", "good": true, "text": "...",
                   "reasons": [{"code": ..., "text": ...}],
                   "content": {...}, "identity": {...}, "watermark": {...}, "copies": {...},
                   "ledger": {...},
                   "signer": {...}, "time": {...}, "track": {...}, "limits": [...],
                   "examined": {"time": ..., "detector": ..., "program": ...}}}

No floats: durations are whole milliseconds, speed is in millionths, pitch in cents. The false-alarm
probability is rounded up to a power of ten and no statistic is shown, so that a report helps little to tune
an attack; one for the public (`"detail": "coarse"`) has less still (`api.coarse`). The submitted audio is not
in it and is not kept.
"""

import importlib.metadata
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ledger
import watermark
from ledger.predicate import PREDICATE_BASE

from .coarse import coarsen
from .errors import RefusedError
from .evidence import (
    ContentComparison,
    ContentEvidence,
    CopyEvidence,
    Evidence,
    IdentityEvidence,
    LedgerEvidence,
    Likeness,
    Range,
    WatermarkEvidence,
)
from .labelreport import format_credential, format_tags
from .verdict import REASONS, Verdict

REPORT_TYPE = PREDICATE_BASE + "verification-report/v1"
MIN_EXPONENT = -30
LIMITS = (
    "A custody record is evidence of who stamped what and when; it never proves authorship or infringement.",
    "Finding nothing does not mean that a person made the recording.",
    "Times are those of the issuer's clock; only a time-stamp that is named says by when an entry was there.",
    "A mark says which track a sound carries, not that all of the sound belongs to it.",
)


@dataclass(frozen=True)
class Report:
    """A report: its predicate, and the signed envelope (exact bytes) that carries it."""

    verdict: Verdict
    predicate: Mapping[str, Any]
    envelope: bytes

    def document(self) -> dict[str, Any]:
        """Return the JSON object that is handed out: readable report and signed envelope."""
        return {**self.predicate, "envelope": json.loads(self.envelope)}


def sign_report(
    evidence: Evidence,
    verdict: Verdict,
    *,
    time: str,
    signing_key: ledger.SigningKey,
    coarse: bool = False,
) -> Report:
    """Put evidence and verdict into a signed statement; `time` is RFC 3339 UTC, `coarse` for the public."""
    predicate = build_predicate(evidence, verdict, time=time)
    if coarse:
        predicate = coarsen(predicate)
    subjects = (
        ledger.Subject("file", bytes.fromhex(evidence.content.file_sha256)),
        ledger.Subject("pcm", bytes.fromhex(evidence.content.pcm_sha256)),
    )
    payload = ledger.build_statement(REPORT_TYPE, subjects, predicate)
    return Report(verdict, predicate, ledger.sign_envelope(payload, [signing_key]))


def open_report(envelope: bytes, public_keys: tuple[ledger.PublicKey, ...]) -> Mapping[str, Any]:
    """Verify a report's envelope and return its predicate.

    Raises
    ------
    ledger.LedgerError
        Not a statement, or not signed by one of the keys.
    RefusedError
        A signed statement, but not a verification report.
    """
    statement = ledger.parse_statement(ledger.open_envelope(envelope, public_keys).payload)
    if statement.predicate_type != REPORT_TYPE:
        raise RefusedError(f"expected a statement of type {REPORT_TYPE}, got {statement.predicate_type}")
    return statement.predicate


def build_predicate(evidence: Evidence, verdict: Verdict, *, time: str) -> dict[str, Any]:
    """Return the report's predicate: JSON without floats."""
    track = evidence.track
    return {
        "detail": "full",
        "verdict": verdict.code,
        "good": verdict.good,
        "text": verdict.text,
        "reasons": [{"code": code, "text": REASONS[code]} for code in verdict.reasons],
        "track": None
        if track is None
        else {
            "track_id": track.track_id,
            "origin": track.origin,
            "milliseconds": round(1000 * track.seconds),
            "sample_rate": track.sample_rate,
            "channels": track.channels,
            "digital_source_type": track.digital_source_type,
            **({} if track.factors is None else {"factors": dict(track.factors)}),
        },
        "content": _format_content(evidence.content),
        "identity": _format_identity(evidence.identity),
        "watermark": _format_watermark(evidence.watermark),
        "copies": _format_copies(evidence.copies),
        "credential": format_credential(evidence.credential),
        "tags": format_tags(evidence.tags),
        "ledger": _format_ledger(evidence.ledger),
        "signer": _format_signer(evidence.ledger),
        "time": _format_time(evidence.ledger),
        "limits": list(LIMITS),
        "examined": {
            "time": time,
            "detector": f"{watermark.PROFILE.name}",
            "program": f"provenote {importlib.metadata.version('provenote')}",
        },
    }


def _format_content(content: ContentEvidence) -> dict[str, Any]:
    extent = content.extent
    return {
        "matched": content.matched,
        "file_sha256": content.file_sha256,
        "pcm_sha256": content.pcm_sha256,
        "container": extent.container,
        "encoding": extent.encoding,
        "sample_rate": extent.sample_rate,
        "channels": extent.channels,
        "milliseconds": round(1000 * extent.seconds),
        "damage": extent.damage,
    }


def _format_identity(identity: IdentityEvidence) -> dict[str, Any]:
    return {
        "searched": identity.searched,
        "matches": [format_likeness(item) for item in identity.matches],
        "comparison": None if identity.comparison is None else _format_comparison(identity.comparison),
    }


def format_likeness(item: Likeness) -> dict[str, Any]:
    """Return the JSON object of a match; the name only of what is no registered track."""
    return {
        "track_id": item.track_id,
        "name": None if item.track_id is not None else item.name,
        "file": _format_range(item.file),
        "recording": _format_range(item.recording),
        "speed_ppm": round(1e6 * item.speed),
        "pitch_cents": round(100 * item.pitch_semitones),
        "false_alarm_at_most": round_up_probability(item.false_alarm_probability),
    }


def format_closest(item: Likeness) -> dict[str, Any]:
    """Return the JSON object of what is closest though it may be no match: with the bits that are alike."""
    return {**format_likeness(item), "alike_percent": count_alike(item)}


def count_alike(item: Likeness) -> int:
    """Return how many of a hundred bits of the fingerprints are the same where they overlap."""
    return round(100 * (1 - item.bit_error_rate))


def _format_comparison(comparison: ContentComparison) -> dict[str, Any]:
    return {
        "track_id": comparison.track_id,
        "assessable": comparison.assessable,
        "reason": comparison.reason,
        "foreign": comparison.foreign,
        "intact": [_format_range(item) for item in comparison.intact],
        "changed": [
            {
                "kind": item.kind,
                "file": _format_range(item.file),
                "track": _format_range(item.track),
                "band": item.band,
            }
            for item in comparison.changed
        ],
    }


def _format_watermark(mark: WatermarkEvidence) -> dict[str, Any]:
    if not mark.found:
        return {"found": False}
    return {
        "found": True,
        "profile": mark.profile,
        "told_by": "candidate" if mark.as_candidate else "registry" if mark.with_registry else "code",
        "track_id": mark.track_id,
        "opens_commitment": mark.opens_commitment,
        "false_alarm_at_most": round_up_probability(mark.false_alarm_probability),
        "speed_ppm": round(1e6 * mark.speed),
        "pitch_cents": round(100 * mark.pitch_semitones),
        "present": [_format_range(item) for item in mark.present],
        "absent": [_format_range(item) for item in mark.absent],
    }


def _format_copies(copies: CopyEvidence | None) -> dict[str, Any] | None:
    if copies is None:
        return None
    return {
        "named": [
            {
                "copy_id": item.copy_id,
                "entry": item.entry_index,
                "by": item.by,
                "false_alarm_at_most": None
                if item.by == "digest"
                else round_up_probability(item.false_alarm_probability),
            }
            for item in copies.named
        ],
        "several": copies.several,
        "foreign": copies.foreign,
        "candidates": copies.candidates,
    }


def round_up_probability(probability: float) -> str:
    """Return a power of ten that is no less than the probability, as text: 3e-8 gives 1e-7."""
    if probability <= 0.0:
        return f"1e{MIN_EXPONENT}"
    exponent = math.ceil(math.log10(probability) - 1e-12)
    return f"1e{max(MIN_EXPONENT, min(0, exponent))}"


def _format_range(item: Range) -> dict[str, int]:
    return {"start_ms": round(1000 * item.start_s), "end_ms": round(1000 * item.end_s)}


def _format_ledger(history: LedgerEvidence | None) -> dict[str, Any] | None:
    if history is None:
        return None
    fault = history.fault
    return {
        "origin": history.origin,
        "size": history.size,
        "root": history.root,
        "events": [
            {
                "index": item.index,
                "leaf_hash": item.leaf_hash,
                "event": item.event,
                "time": item.time,
                "disputed": item.disputed,
            }
            for item in history.events
        ],
        "status": history.status,
        "fault": None
        if fault is None
        else {"index": fault.index, "code": fault.code, "message": fault.message},
    }


def _format_signer(history: LedgerEvidence | None) -> dict[str, Any] | None:
    if history is None or history.fault is not None:
        return None
    return {
        "key_ids": sorted({key_id for item in history.events for key_id in item.key_ids}),
        "trusted": True,
    }


def _format_time(history: LedgerEvidence | None) -> dict[str, Any] | None:
    if history is None or history.fault is not None or not history.events:
        return None
    stamped = history.stamped
    if stamped is None:
        return {"stated": history.events[0].time, "rests_on": "the issuer's clock", "stamped": None}
    return {
        "stated": history.events[0].time,
        "rests_on": f"the issuer's clock; a time-stamp of {stamped.authority} at {stamped.time}",
        "stamped": {
            "time": stamped.time,
            "authority": stamped.authority,
            "log_size": stamped.log_size,
        },
    }
