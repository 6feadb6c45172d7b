"""A case as it is read: its steps checked, what they amount to, what is due, what people wrote."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ledger

from .cases import CaseRow, DocumentRow
from .casestates import DENIED, UPHELD, CaseState
from .casesteps import Step, name_case
from .casewriter import find_events, load_steps
from .deadlines import TIME_FORMAT, Deadline, find_complaint_end, find_window, list_deadlines
from .installation import Installation, now

NO_LATER = "9999-12-31T23:59:59Z"


@dataclass(frozen=True)
class LoggedEvent:
    """An event of the ledger that names a step: of which track, at which index, of which type."""

    step: int
    track_id: str
    index: int
    event: str


@dataclass(frozen=True)
class CaseView:
    """Everything about a case; `values` has what people wrote by step and label, None where it was erased."""

    row: CaseRow
    state: CaseState
    steps: tuple[Step, ...]
    deadlines: tuple[Deadline, ...]
    logged: tuple[LoggedEvent, ...]
    values: Mapping[tuple[int, str], object | None]
    openings: tuple[ledger.Opening, ...]
    documents: tuple[DocumentRow, ...]

    def find_value(self, *labels: str) -> Any:
        """Return the newest value with one of these labels; None where there is none, or it was erased."""
        found = [value for (_, label), value in sorted(self.values.items()) if label in labels]
        return found[-1] if found else None


def read_case(installation: Installation, case_id: str) -> CaseView:
    """Return a case, its signatures and order checked.

    Raises
    ------
    MissingError
        No such case.
    ledger.errors.CorruptError
        The stored steps do not hold.
    """
    steps, state = load_steps(installation, case_id)
    openings = installation.vault.open_asset(name_case(case_id))
    opened = {ledger.commit(item.label, item.salt, item.value): item.value for item in openings}
    by_digest = {step.digest: step.n for step in steps}
    return CaseView(
        row=installation.cases.get_case(case_id),
        state=state,
        steps=steps,
        deadlines=list_deadlines([step.happened() for step in steps]),
        logged=tuple(
            LoggedEvent(by_digest[digest], track_id, index, kind)
            for track_id in state.tracks
            for index, _, kind, digest in find_events(installation, track_id, set(by_digest))
        ),
        values={
            (step.n, label): opened.get(digest)
            for step in steps
            for label, digest in step.commitments.items()
        },
        openings=openings,
        documents=tuple(installation.cases.list_documents(case_id)),
    )


def list_due(
    installation: Installation, *, within_days: int | None = None, limit: int = 200
) -> list[CaseRow]:
    """Return cases with a deadline, the nearest first; where given, only those due within so many days."""
    by = NO_LATER
    if within_days is not None:
        then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=within_days)
        by = then.strftime(TIME_FORMAT)
    return installation.cases.list_cases(limit=limit, due_by=by)


def describe_row(row: CaseRow, *, time: str | None = None) -> dict[str, Any]:
    """Return a case's row as JSON: nothing personal."""
    return {
        "case_id": row.case_id,
        "kind": row.kind,
        "status": row.status,
        "claim": row.claim or None,
        "opened": row.opened,
        "updated": row.updated,
        "due": row.due,
        "late": row.due is not None and (time or now()) > row.due,
        "urgent": row.urgent,
        "public": row.public,
        "tracks": row.tracks.split(),
    }


def describe_case(view: CaseView, *, personal: bool = True, time: str | None = None) -> dict[str, Any]:
    """Return a case as JSON: its row, flags, timeline and deadlines; with `personal`, what people wrote.

    Parameters
    ----------
    view
        As read.
    personal
        Also show what the vault opens; an erased value is null.
    time
        As of when deadlines are late; now.
    """
    time = time or now()
    state = view.state
    window = find_window(state.countered) if state.countered else None
    return {
        **describe_row(view.row, time=time),
        "status": state.status,  # as the signed steps have it, whatever the row says
        "tracks": list(state.tracks),
        "complete": state.complete,
        "restricted": state.restricted,
        "countered": state.countered or None,
        "court": state.court,
        "complaint": state.complaint or None,
        "decided": state.decided or None,
        "restore_window": window and {"from": window[0], "until": window[1]},
        "complaint_until": find_complaint_end(state.decided) if state.status in (UPHELD, DENIED) else None,
        "person": view.row.person,
        "respondent": view.row.respondent,
        "deadlines": [
            {
                "name": item.name,
                "earliest": item.earliest or None,
                "due": item.due,
                "basis": item.basis,
                "firm": item.firm,
                "late": item.is_late(time),
            }
            for item in view.deadlines
        ],
        "timeline": [_describe_step(view, step, personal=personal) for step in view.steps],
        "documents": [item.sha256 for item in view.documents],
    }


def _describe_step(view: CaseView, step: Step, *, personal: bool) -> dict[str, Any]:
    return {
        "n": step.n,
        "step": step.step,
        "time": step.time,
        "facts": dict(step.facts),
        "key_ids": list(step.key_ids),
        "digest": step.digest.hex(),
        "entries": [
            {"track_id": item.track_id, "index": item.index, "event": item.event}
            for item in view.logged
            if item.step == step.n
        ],
        "values": {label: view.values[step.n, label] if personal else None for label in step.commitments},
    }
