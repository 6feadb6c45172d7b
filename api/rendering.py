"""Reports as files for people: which form is asked for, and writing it.

A report is rendered from its signed predicate, once its signature was made or checked here.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from ledger import PublicKey
from ledger.canonical import format_json
from ledger.envelope import MAX_ENTRY_BYTES
from ledger.errors import FormatError

from .audiofile import write_synced
from .errors import RefusedError
from .report import Report, open_report
from .reportpage import format_page
from .reportpdf import format_pdf
from .verdict import Verdict
from .waveform import Peaks

MAX_REPORT_BYTES = 4 * MAX_ENTRY_BYTES
"""Of a report that repeats its envelope's content beside it, as `verify --json` and the service answer."""

MEMBERS = frozenset(
    [
        "verdict",
        "good",
        "text",
        "reasons",
        "track",
        "content",
        "identity",
        "watermark",
        "copies",
        "credential",
        "tags",
        "ledger",
        "signer",
        "time",
        "limits",
        "examined",
    ]
)
"""Members of a report's predicate, all of which are shown."""


@dataclass(frozen=True)
class Rendering:
    """A report with all that a page of it shows."""

    report: Report
    origin: str
    peaks: Peaks | None = None
    name: str | None = None

    def page(self) -> str:
        """Return it as an HTML page."""
        return format_page(
            self.report.predicate, self.report.envelope, origin=self.origin, peaks=self.peaks, name=self.name
        )

    def pdf(self) -> bytes:
        """Return it as a PDF; RefusedError where reportlab is not installed."""
        return format_pdf(
            self.report.predicate, self.report.envelope, origin=self.origin, peaks=self.peaks, name=self.name
        )

    def write(self, *, page: Path | None, pdf: Path | None) -> None:
        """Write it into new files.

        Raises
        ------
        RefusedError
            reportlab is not installed.
        WriteError
            A file cannot be written, or exists.
        """
        paper = None if pdf is None else self.pdf()
        if page is not None:
            write_synced(page, self.page().encode("utf-8"))
        if pdf is not None and paper is not None:
            write_synced(pdf, paper)


def read_envelope(content: bytes) -> bytes:
    """Return the envelope of a report: as it is, or out of the JSON that `verify --json` answers with.

    Nothing of the JSON beside the envelope is read. RefusedError where there is none.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RefusedError("expected a report: JSON") from error
    if not isinstance(document, dict) or not isinstance(document.get("envelope"), dict):
        return content
    try:
        return format_json(document["envelope"])
    except FormatError as error:
        raise RefusedError(f"expected a report's envelope: {error}") from error


def reopen_report(content: bytes, public_keys: tuple[PublicKey, ...]) -> Report:
    """Check the signature of a verification report that was kept, and return it.

    Raises
    ------
    ledger.LedgerError
        Not a statement, or not signed by one of the keys.
    RefusedError
        Not a verification report, or one that lacks what is shown.
    """
    envelope = read_envelope(content)
    predicate = open_report(envelope, public_keys)
    missing = MEMBERS - predicate.keys()
    if missing:
        raise RefusedError(f"a report of an earlier program, without {', '.join(sorted(missing))}")
    reasons = tuple(str(item["code"]) for item in predicate["reasons"])
    return Report(Verdict(str(predicate["verdict"]), reasons), predicate, envelope)
