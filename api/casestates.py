"""Cases as a state machine. Pure: state and step in, state out.

A notice (somebody asks that material be removed) and a verification request (somebody asks what is known
about a recording) are both cases. What stands beside the status: `complete`, `restricted` (access is disabled
before the decision), `countered` (a counter-notice stands, its clock runs), `court` (the claimant went to
court, the clock is stopped), `complaint` (open, decided or none). Registered tracks that the case is about
are named until it is decided.

| step | of | allowed when | then |
| --- | --- | --- | --- |
| received | both | nothing happened yet | received |
| checked | both | received, not complete | fields are missing: incomplete; else received, complete |
| supplemented | both | incomplete | received |
| accepted | both | received and complete; incomplete notices too, if it says despite what | valid |
| examined | both | not closed | verification that is valid: answered |
| restricted | notice | valid, not restricted | restricted |
| countered | notice | valid or upheld, no counter-notice stands | countered |
| court-action | notice | a counter-notice stands, not in court yet | court |
| decided upheld | notice | valid | upheld, restricted |
| decided denied | notice | valid | denied, not restricted |
| complained | notice | upheld or denied, no complaint before | complaint open |
| complaint-decided confirmed | notice | complaint open | complaint decided |
| complaint-decided reversed | notice | complaint open | upheld becomes restored, denied becomes upheld |
| restored | notice | upheld, no complaint open | restored, not restricted |
| withdrawn | both | received, incomplete, valid; upheld notice | closed; from upheld: restored |
| closed | both | received, incomplete | closed |
| listed | notice | upheld | on the stay-down list |
| sent, noted, frozen, erased | both | received | nothing changes |

A step that is not allowed is refused with a code:

    code               meaning of a CaseError
    step-unknown       no such step, or no such outcome of it
    not-begun          the first step must be received
    already-begun      received is a first step only
    wrong-kind         this step is not for a verification request
    not-complete       fields are missing
    not-incomplete     no fields are missing, or the case is past its intake
    not-received       the case is past its intake
    not-valid          the case was not accepted, or is decided
    not-upheld         the notice was not upheld
    not-decided        neither upheld nor denied
    restricted         access is disabled already
    countered          a counter-notice stands already
    not-countered      no counter-notice stands
    court              the court action is known already
    complaint          there was a complaint already
    complaint-open     a complaint is open
    no-complaint       no complaint is open
    closed             the case is closed
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .errors import ConflictError

NOTICE, VERIFICATION = "notice", "verification"
KINDS = (NOTICE, VERIFICATION)

RECEIVED, INCOMPLETE, VALID, UPHELD, DENIED, RESTORED, ANSWERED, CLOSED = (
    "received",
    "incomplete",
    "valid",
    "upheld",
    "denied",
    "restored",
    "answered",
    "closed",
)
STATUSES = (RECEIVED, INCOMPLETE, VALID, UPHELD, DENIED, RESTORED, ANSWERED, CLOSED)
INTAKE = frozenset({RECEIVED, INCOMPLETE})
UNDECIDED = frozenset({RECEIVED, INCOMPLETE, VALID})
TAKEN_UP = frozenset({VALID, UPHELD, DENIED})
"""Of a notice: the ledger has it, and every change from here on is a decision."""

CHECKED, SUPPLEMENTED, ACCEPTED, EXAMINED, RESTRICTED, COUNTERED, COURT_ACTION, DECIDED = (
    "checked",
    "supplemented",
    "accepted",
    "examined",
    "restricted",
    "countered",
    "court-action",
    "decided",
)
COMPLAINED, COMPLAINT_DECIDED, WITHDRAWN, LISTED, SENT, NOTED, FROZEN, ERASED = (
    "complained",
    "complaint-decided",
    "withdrawn",
    "listed",
    "sent",
    "noted",
    "frozen",
    "erased",
)
CONFIRMED, REVERSED = "confirmed", "reversed"
OPEN, SETTLED = "open", "decided"


class CaseError(ConflictError):
    """A step that the case's state does not allow; `code` is one of the module's list."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class CaseState:
    """What a case's steps so far amount to; times are RFC 3339 UTC, "" for what has not happened.

    Attributes
    ----------
    steps : how many there were
    complete : no field is missing, or the case worker accepted it all the same
    countered : when the counter-notice came in whose clock runs
    decided : when it was decided last
    tracks : the registered tracks that the case is about
    """

    kind: str = ""
    status: str = ""
    steps: int = 0
    complete: bool = False
    restricted: bool = False
    countered: str = ""
    court: bool = False
    complaint: str = ""
    decided: str = ""
    tracks: tuple[str, ...] = ()


NEW_CASE = CaseState()


def advance(state: CaseState, step: str, facts: Mapping[str, Any], *, time: str, kind: str = "") -> CaseState:
    """Return the state after a step.

    Parameters
    ----------
    state
        As the steps before it left it.
    step, facts
        What happened, and the facts of its statement; of these `missing`, `despite`, `outcome` and `tracks`
        decide anything.
    time
        When, RFC 3339 UTC.
    kind
        Of the case, with its first step: notice or verification.

    Raises
    ------
    CaseError
        The step may not follow.
    """
    if step not in _STEPS:
        raise CaseError("step-unknown", f"expected a step of {sorted(_STEPS)}, got {step!r:.40}")
    if not state.steps and step != RECEIVED:
        raise CaseError("not-begun", f"expected received as first step, got {step}")
    if state.status == CLOSED and step not in _ALWAYS:
        raise CaseError("closed", f"the case is closed: {step} may not follow")
    if state.kind == VERIFICATION and step in _OF_NOTICES:
        raise CaseError("wrong-kind", f"{step} is not for a verification request")
    tracks = tuple(dict.fromkeys((*state.tracks, *facts.get("tracks", ()))))
    if state.kind == NOTICE and tracks != state.tracks:
        _require(
            state.status in UNDECIDED, "not-valid", f"the notice is {state.status}: no track can be added"
        )
    after = _STEPS[step](state, {**facts, "time": time, "kind": kind})
    return replace(after, steps=state.steps + 1, tracks=tracks)


def _receive(state: CaseState, facts: Mapping[str, Any]) -> CaseState:
    _require(not state.steps, "already-begun", "received is a first step only")
    kind = facts["kind"]
    _require(kind in KINDS, "step-unknown", f"expected a case of {KINDS}, got {kind!r:.40}")
    return replace(state, kind=kind, status=RECEIVED)


def _check(state: CaseState, facts: Mapping[str, Any]) -> CaseState:
    _require(state.status == RECEIVED and not state.complete, "not-received", "it was checked already")
    return replace(state, status=INCOMPLETE) if facts["missing"] else replace(state, complete=True)


def _supplement(state: CaseState, _facts: Mapping[str, Any]) -> CaseState:
    _require(state.status == INCOMPLETE, "not-incomplete", "nothing is missing")
    return replace(state, status=RECEIVED)


def _accept(state: CaseState, facts: Mapping[str, Any]) -> CaseState:
    _require(state.status in INTAKE, "not-received", f"the case is {state.status}")
    despite = state.kind == NOTICE and state.status == INCOMPLETE and bool(facts.get("despite"))
    _require(state.complete or despite, "not-complete", "fields are missing; it may be accepted despite them")
    return replace(state, status=VALID, complete=True)


def _examine(state: CaseState, facts: Mapping[str, Any]) -> CaseState:
    answers = state.kind == VERIFICATION and state.status == VALID
    return replace(state, status=ANSWERED, decided=facts["time"]) if answers else state


def _restrict(state: CaseState, _facts: Mapping[str, Any]) -> CaseState:
    _require(state.status == VALID, "not-valid", f"the notice is {state.status}")
    _require(not state.restricted, "restricted", "access is disabled already")
    return replace(state, restricted=True)


def _counter(state: CaseState, facts: Mapping[str, Any]) -> CaseState:
    _require(state.status in (VALID, UPHELD), "not-valid", f"the notice is {state.status}")
    _require(not state.countered, "countered", "a counter-notice stands already")
    return replace(state, countered=facts["time"])


def _go_to_court(state: CaseState, _facts: Mapping[str, Any]) -> CaseState:
    _require(bool(state.countered), "not-countered", "no counter-notice stands")
    _require(not state.court, "court", "the court action is known already")
    return replace(state, court=True)


def _decide(state: CaseState, facts: Mapping[str, Any]) -> CaseState:
    outcome = facts["outcome"]
    _require(outcome in (UPHELD, DENIED), "step-unknown", f"expected upheld or denied, got {outcome!s:.40}")
    _require(state.status == VALID, "not-valid", f"the notice is {state.status}")
    return replace(
        state, status=outcome, restricted=outcome == UPHELD, countered="", court=False, decided=facts["time"]
    )


def _complain(state: CaseState, _facts: Mapping[str, Any]) -> CaseState:
    _require(state.status in (UPHELD, DENIED), "not-decided", f"the notice is {state.status}")
    _require(not state.complaint, "complaint", "there was a complaint already")
    return replace(state, complaint=OPEN)


def _decide_complaint(state: CaseState, facts: Mapping[str, Any]) -> CaseState:
    outcome = facts["outcome"]
    _require(
        outcome in (CONFIRMED, REVERSED),
        "step-unknown",
        f"expected confirmed or reversed, got {outcome!s:.40}",
    )
    _require(state.complaint == OPEN, "no-complaint", "no complaint is open")
    settled = replace(state, complaint=SETTLED)
    if outcome == CONFIRMED:
        return settled
    if state.status == UPHELD:
        return _put_back(settled, facts)
    return replace(settled, status=UPHELD, restricted=True, decided=facts["time"])


def _restore(state: CaseState, facts: Mapping[str, Any]) -> CaseState:
    _require(state.status == UPHELD, "not-upheld", f"the notice is {state.status}")
    _require(state.complaint != OPEN, "complaint-open", "a complaint is open: decide it")
    return _put_back(state, facts)


def _put_back(state: CaseState, facts: Mapping[str, Any]) -> CaseState:
    return replace(state, status=RESTORED, restricted=False, countered="", court=False, decided=facts["time"])


def _withdraw(state: CaseState, facts: Mapping[str, Any]) -> CaseState:
    if state.kind == NOTICE and state.status == UPHELD:
        settled = replace(state, complaint=SETTLED) if state.complaint == OPEN else state
        return _put_back(settled, facts)
    _require(state.status in UNDECIDED, "not-valid", f"the case is {state.status}")
    return replace(state, status=CLOSED, restricted=False, countered="", court=False, decided=facts["time"])


def _close(state: CaseState, facts: Mapping[str, Any]) -> CaseState:
    _require(state.status in INTAKE, "not-received", f"the case is {state.status}")
    return replace(state, status=CLOSED, decided=facts["time"])


def _list(state: CaseState, _facts: Mapping[str, Any]) -> CaseState:
    _require(state.status == UPHELD, "not-upheld", f"the notice is {state.status}")
    return state


def _keep(state: CaseState, _facts: Mapping[str, Any]) -> CaseState:
    return state


def _require(holds: bool, code: str, message: str) -> None:
    if not holds:
        raise CaseError(code, message)


_STEPS: Mapping[str, Callable[[CaseState, Mapping[str, Any]], CaseState]] = {
    RECEIVED: _receive,
    CHECKED: _check,
    SUPPLEMENTED: _supplement,
    ACCEPTED: _accept,
    EXAMINED: _examine,
    RESTRICTED: _restrict,
    COUNTERED: _counter,
    COURT_ACTION: _go_to_court,
    DECIDED: _decide,
    COMPLAINED: _complain,
    COMPLAINT_DECIDED: _decide_complaint,
    RESTORED: _restore,
    WITHDRAWN: _withdraw,
    CLOSED: _close,
    LISTED: _list,
    SENT: _keep,
    NOTED: _keep,
    FROZEN: _keep,
    ERASED: _keep,
}
STEPS = tuple(_STEPS)
_ALWAYS = frozenset({SENT, NOTED, FROZEN, ERASED})
_OF_NOTICES = frozenset(
    {RESTRICTED, COUNTERED, COURT_ACTION, DECIDED, COMPLAINED, COMPLAINT_DECIDED, RESTORED, LISTED}
)
