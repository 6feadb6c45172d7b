"""A clip that comes with a case is verified; the signed report stays with the case, the clip does not."""

import hashlib
from pathlib import Path
from typing import Any

import ledger

from . import casestates as cs
from .caseevents import draft_notices
from .casehistory import read_case
from .casewriter import take_step
from .deskkey import open_desk_key
from .installation import Installation
from .marking import CancelCheck, Progress, never_cancelled, report_nothing
from .report import Report
from .verification import verify


def examine_clip(
    installation: Installation,
    case_id: str,
    path: Path,
    *,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Report:
    """Verify a clip for a case and keep the signed report with it; this answers a verification request.

    A registered track that the report names becomes one of the case's, until the case is decided.

    Raises
    ------
    MissingError, CaseError
        No such case; or it is closed.
    AudioRefusedError, TooLargeError, StoppedError, OSError, ledger.LedgerError
        As `verify`.
    """
    view = read_case(installation, case_id)
    cs.advance(view.state, cs.EXAMINED, {}, time=view.row.updated)  # before the work is done for nothing
    report = verify(installation, path, progress=progress, cancelled=cancelled)
    track = report.predicate["track"]
    track_id = None if track is None else str(track["track_id"])
    content = report.predicate["content"]
    facts: dict[str, Any] = {
        "verdict": report.verdict.code,
        "reasons": list(report.verdict.reasons),
        "track": track_id,
        "report_sha256": hashlib.sha256(report.envelope).hexdigest(),
    }
    adds = track_id is not None and track_id not in view.state.tracks
    if adds and (view.state.status in cs.UNDECIDED or view.state.kind == cs.VERIFICATION):
        facts["tracks"] = [track_id]
    desk = open_desk_key(installation)
    take_step(
        installation,
        case_id,
        cs.EXAMINED,
        facts,
        signing_keys=[desk],
        subjects=[ledger.Subject(name, bytes.fromhex(content[f"{name}_sha256"])) for name in ("file", "pcm")],
        document=report.envelope,
        drafts=draft_notices(installation, view.steps, view.row.claim, [desk]),
    )
    return report
