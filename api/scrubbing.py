"""Scrubbing on a schedule: where the last run stopped, what it found, and the service's own rounds.

`scrub.json` in the ledger folder, written after each slice:

    {"next": 1280, "rounds": 3, "round_began": "2026-11-22T17:31:32Z", "findings": [{"index": 7, ...}],
    "earlier": []}

`findings` are of the round under way, `earlier` of the one before: a damage is told until a whole round has
not seen it. Losing the file costs nothing but a new beginning.
"""

import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ledger.scrubbing import ScrubReport, scrub

from .installation import Installation, now
from .leading import Lead
from .rounds import Rounds

MAX_FINDINGS = 100
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far scrubbing has come."""

    next: int = 0
    rounds: int = 0
    round_began: str = ""
    findings: tuple[dict[str, Any], ...] = ()
    earlier: tuple[dict[str, Any], ...] = ()

    def advance(self, report: ScrubReport) -> "Progress":
        """Return the progress after a slice."""
        found = (*self.findings, *(asdict(item) for item in report.findings))[:MAX_FINDINGS]
        began = self.round_began if report.start and self.round_began else now()
        if report.ended:
            return Progress(0, self.rounds + 1, "", (), found)
        return Progress(report.stop, self.rounds, began, found, self.earlier)

    @property
    def known(self) -> tuple[dict[str, Any], ...]:
        """What is known to be wrong."""
        return tuple({json.dumps(item): item for item in (*self.earlier, *self.findings)}.values())


def read_progress(path: Path) -> Progress:
    """Read where scrubbing stands; a file that is missing or cannot be read is a new beginning."""
    try:
        members = json.loads(path.read_bytes())
        return Progress(
            int(members["next"]),
            int(members["rounds"]),
            str(members["round_began"]),
            tuple(members["findings"]),
            tuple(members["earlier"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return Progress()


def write_progress(path: Path, progress: Progress) -> None:
    """Write where scrubbing stands; the file appears whole."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(progress), indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def scrub_some(installation: Installation, *, limit_s: float | None = None) -> list[ScrubReport]:
    """Scrub on from where the last run stopped, to the log's end or for so many seconds (one slice at least).

    Raises
    ------
    ledger.LedgerError
        The database cannot be read.
    OSError
        The progress cannot be written.
    """
    path = installation.settings.scrubbing
    progress = read_progress(path)
    start, reports = time.monotonic(), []
    while True:
        report = scrub(installation.store, vkey=installation.public.vkey, start=progress.next)
        progress = progress.advance(report)
        write_progress(path, progress)
        reports.append(report)
        for item in report.findings:
            logger.error("scrubbing: %s (%s)", item.message, item.code)
        if report.ended or (limit_s is not None and time.monotonic() - start >= limit_s):
            return reports


def make_scrubber(installation: Installation, lead: Lead, interval_s: float) -> Rounds:
    """Return what scrubs a slice of the log every few seconds."""
    return Rounds("scrubbing", lambda _: scrub_some(installation, limit_s=0.0), lead, interval_s)
