"""What a case file was found to prove, once it was checked (`api.casefilecheck`)."""

from dataclasses import dataclass
from typing import Any

import ledger

from .casestates import CaseState
from .casesteps import Step


@dataclass(frozen=True)
class LoggedStep:
    """An event in a bundle that names a step."""

    step: int
    track_id: str
    index: int
    event: str


@dataclass(frozen=True)
class CaseFileReport:
    """What a checked case file proves.

    Attributes
    ----------
    pinned : the keys were given by the caller; otherwise they are the file's own
    opened : how many commitments are opened, `closed` how many are not (erased, or not opened)
    logged : events of the ledger that name steps, proven in the bundles
    witnessed : every bundle's checkpoint satisfies the caller's policy of witnesses
    """

    case_id: str
    time: str
    origin: str
    pinned: bool
    state: CaseState
    steps: tuple[Step, ...]
    reports: int
    opened: int
    closed: int
    logged: tuple[LoggedStep, ...]
    bundles: tuple[ledger.BundleReport, ...]
    witnessed: bool


def describe_report(report: CaseFileReport) -> dict[str, Any]:
    """Return what a case file proves as JSON."""
    return {
        "ok": True,
        "case_id": report.case_id,
        "time": report.time,
        "origin": report.origin,
        "pinned": report.pinned,
        "kind": report.state.kind,
        "status": report.state.status,
        "tracks": list(report.state.tracks),
        "steps": [{"n": step.n, "step": step.step, "time": step.time} for step in report.steps],
        "reports": report.reports,
        "opened": report.opened,
        "closed": report.closed,
        "logged": [vars(item) for item in report.logged],
        "witnessed": report.witnessed,
    }
