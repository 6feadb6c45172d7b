"""Do all cases hold? What `log fsck` is for the ledger, for casework.

For each case, the first of these that fails is named:

1. its stored steps are signed, in order, and may follow each other
2. its row says what they come to
3. the report of each examination is there, byte for byte
4. every notice that was taken up, and every decision, is in the history of each track
5. the stay-down list has its tracks if, and only if, it is upheld
"""

import hashlib
from dataclasses import dataclass

from ledger.errors import CorruptError
from ledger.predicate import DECISION, NOTICE

from . import casestates as cs
from .casehistory import CaseView, read_case
from .cases import CaseRow
from .casesteps import list_decisions
from .installation import Installation

PAGE = 100


@dataclass(frozen=True)
class CaseFault:
    """A case that does not hold, and what is wrong with it."""

    case_id: str
    message: str


@dataclass(frozen=True)
class CaseCheck:
    """How many cases were checked, and those that do not hold."""

    cases: int
    faults: tuple[CaseFault, ...]


def check_cases(installation: Installation) -> CaseCheck:
    """Check every case.

    Raises
    ------
    ledger.StorageError
        The database cannot be read at all.
    """
    cases, after = 0, ""
    faults: list[CaseFault] = []
    while True:
        found, following = check_page(installation, limit=PAGE, after=after)
        cases += found.cases
        faults += found.faults
        if following is None:
            return CaseCheck(cases, tuple(faults))
        after = following


def check_page(installation: Installation, *, limit: int, after: str = "") -> tuple[CaseCheck, str | None]:
    """Check `limit` cases after a case id, in the order of their ids; also return where the next page begins,
    None after the last. Errors as `check_cases`.
    """
    rows = installation.cases.list_cases(limit=limit + 1, after=after)
    page = rows[:limit]
    found = [(row.case_id, _find_fault(installation, row)) for row in page]
    faults = tuple(CaseFault(case_id, message) for case_id, message in found if message)
    return CaseCheck(len(page), faults), page[-1].case_id if len(rows) > limit else None


def _find_fault(installation: Installation, row: CaseRow) -> str:
    """Return what is wrong with a case, "" for nothing."""
    # 1
    try:
        view = read_case(installation, row.case_id)
    except CorruptError as error:
        return str(error)
    # 2
    state = view.state
    found = (state.kind, state.status, " ".join(state.tracks))
    if (row.kind, row.status, row.tracks) != found:
        return (
            f"its row says {row.kind} {row.status} {row.tracks}, its steps come to {' '.join(found)}".rstrip()
        )
    # 3
    present = {item.sha256 for item in view.documents}
    changed = [item.sha256 for item in view.documents if _hash(item.content) != item.sha256]
    named = {str(step.facts["report_sha256"]) for step in view.steps if step.step == cs.EXAMINED}
    if changed or named - present:
        return f"report {sorted({*changed, *(named - present)})[0]} is missing or was changed"
    # 4, 5
    return find_unlogged(view) or _find_unlisted(installation, view)


def find_unlogged(view: CaseView) -> str:
    """Return which notice or decision of a case a track's history lacks, "" for none."""
    if view.state.kind != cs.NOTICE:
        return ""
    noticed = {item.track_id for item in view.logged if item.event == NOTICE}
    decided = {(item.step, item.track_id) for item in view.logged if item.event == DECISION}
    for track_id in view.state.tracks:
        if any(step.step == cs.ACCEPTED for step in view.steps) and track_id not in noticed:
            return f"no notice of it is in the history of track {track_id}"
        for n in list_decisions(view.steps):
            if (n, track_id) not in decided:
                return f"step {n} ({view.steps[n].step}) is not in the history of track {track_id}"
    return ""


def _find_unlisted(installation: Installation, view: CaseView) -> str:
    entries = installation.cases.list_stay_down(case_id=view.row.case_id)
    upheld = view.state.kind == cs.NOTICE and view.state.status == cs.UPHELD
    listed = {row.track_id for row in entries if row.track_id is not None}
    if listed != (set(view.state.tracks) if upheld else set()) or (entries and not upheld):
        return f"the stay-down list does not fit its status {view.state.status}"
    recorded = {step.facts["recording"] for step in view.steps if step.step == cs.LISTED}
    if upheld and {row.number for row in entries if row.number is not None} != recorded:
        return "the stay-down list has other recordings than its steps name"
    return ""


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
