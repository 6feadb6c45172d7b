"""What a case desk does: each verb checks what it was given, then takes one step (`api.casewriter`).

How a case begins is in `api.caseintake`. What people write is sealed under a person of the vault: the
claimant's, or the respondent's for what the other side writes and for the reasons that it is given. Who signs
is the case desk, together with the keys that are passed in: a court's, a platform's, an owner's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import ledger
from ledger.errors import FormatError
from ledger.predicate import check_code

from . import casestates as cs
from .caseevents import draft_counter_notice, draft_decision, draft_notices
from .casehistory import CaseView, read_case
from .casestates import CaseError
from .casewriter import Drafts, Taken, no_events, take_step
from .deadlines import LETTERS, find_complaint_end, find_window
from .deskkey import open_desk_key
from .errors import MissingError, RefusedError
from .installation import Installation, now
from .notices import DMCA, Complaint, CounterNotice, check_size
from .reasons import Reasons, find_missing_reasons, state_reasons
from .requirements import find_missing, list_missing

MAX_NOTE_CHARACTERS = 8_000
SIDES = ("claimant", "respondent")


def restrict_case(
    installation: Installation,
    case_id: str,
    reasons: Reasons,
    *,
    signing_keys: Sequence[ledger.SigningKey] = (),
) -> Taken:
    """Record that access to the material was disabled before the decision, with the statement of reasons.

    Raises
    ------
    MissingError, CaseError, RefusedError
        No such case; it may not be restricted now; or fields of the statement of reasons are missing.
    """
    view = read_case(installation, case_id)
    _check_reasons(reasons)
    return take_as_desk(
        installation,
        view,
        cs.RESTRICTED,
        state_reasons(reasons),
        signing_keys,
        personal={"reasons": reasons.model_dump()},
        of_respondent=True,
    )


def counter_case(
    installation: Installation,
    case_id: str,
    form: CounterNotice,
    *,
    person: str | None = None,
    signing_keys: Sequence[ledger.SigningKey] = (),
) -> Taken:
    """Take in a complete counter-notice; its clock runs from now. Logged where the owner's key signs.

    Raises
    ------
    RefusedError
        Fields are missing: the message names each with its provision.
    MissingError, CaseError
        No such case or person; or none may be sent in now.
    """
    missing = find_missing(check_size(form))
    if missing:
        raise RefusedError(f"the counter-notice is not complete: {list_missing(missing)}")
    view = read_case(installation, case_id)
    cs.advance(view.state, cs.COUNTERED, {}, time=now())  # before a person is made for it
    desk = open_desk_key(installation)
    drafts = draft_counter_notice(installation, view.steps, signing_keys)
    return take_step(
        installation,
        case_id,
        cs.COUNTERED,
        {},
        signing_keys=[desk, *signing_keys],
        personal={"counter_notice": form.model_dump()},
        person=_find_respondent(installation, view, person),
        drafts=drafts,
    )


def note_court_action(
    installation: Installation,
    case_id: str,
    text: str = "",
    *,
    signing_keys: Sequence[ledger.SigningKey] = (),
) -> Taken:
    """Record that the claimant told of an action in court, which stops the clock; errors as `add_note`."""
    view = read_case(installation, case_id)
    personal = {"court_action": _check_note(text)} if text else {}
    return take_as_desk(installation, view, cs.COURT_ACTION, {}, signing_keys, personal=personal)


def decide_case(
    installation: Installation,
    case_id: str,
    outcome: str,
    reason: str,
    *,
    reasons: Reasons | None = None,
    override: bool = False,
    signing_keys: Sequence[ledger.SigningKey] = (),
) -> Taken:
    """Decide a notice: upheld or denied. Logs the decision; an upheld one puts tracks on the stay-down list.

    Parameters
    ----------
    installation, case_id
        The case.
    outcome, reason
        upheld or denied, and why, as a code such as `infringing`.
    reasons
        The statement of reasons, needed to uphold.
    override
        Decide although the clock of a counter-notice says otherwise; the step says so.
    signing_keys
        Of a court or platform; else the case desk's.

    Raises
    ------
    MissingError, CaseError
        No such case; or it may not be decided so now: `clock-early` before the 10th business day after a
        counter-notice, `clock-runs` to uphold against one without a court action.
    RefusedError
        The statement of reasons is missing, or fields of it.
    """
    view = read_case(installation, case_id)
    facts: dict[str, Any] = {"outcome": outcome, "reason": reason}
    personal: dict[str, object] = {}
    if outcome == cs.UPHELD:
        if reasons is None:
            raise RefusedError("a notice is upheld with a statement of reasons (DSA Art. 17)")
        _check_reasons(reasons)
        facts, personal = {**facts, **state_reasons(reasons)}, {"reasons": reasons.model_dump()}
    facts["clock"] = _check_clock(view, outcome, override=override)
    return take_as_desk(
        installation,
        view,
        cs.DECIDED,
        facts,
        signing_keys,
        personal=personal,
        of_respondent=True,
        decision=reason,
    )


def complain_about(
    installation: Installation, case_id: str, form: Complaint, *, person: str | None = None
) -> Taken:
    """Take in a complaint against the decision, of either side; within six months of it.

    Raises
    ------
    RefusedError
        Fields are missing: the message names each.
    MissingError, CaseError
        No such case; or none may be sent in now; `complaint-late` after six months.
    """
    missing = find_missing(check_size(form))
    if missing:
        raise RefusedError(f"the complaint is not complete: {list_missing(missing)}")
    view = read_case(installation, case_id)
    if view.state.decided and now() > (until := find_complaint_end(view.state.decided)):
        raise CaseError("complaint-late", f"the decision could be complained about until {until}")
    cs.advance(view.state, cs.COMPLAINED, {}, time=now())
    of_respondent = form.by == "respondent"
    return take_step(
        installation,
        case_id,
        cs.COMPLAINED,
        {"by": form.by},
        signing_keys=[open_desk_key(installation)],
        personal={"complaint": form.model_dump()},
        person=_find_respondent(installation, view, person) if of_respondent else view.row.person,
    )


def decide_complaint(
    installation: Installation,
    case_id: str,
    outcome: str,
    reason: str,
    *,
    signing_keys: Sequence[ledger.SigningKey] = (),
) -> Taken:
    """Decide a complaint: confirmed, or reversed, which restores or upholds. Errors as `decide_case`."""
    view = read_case(installation, case_id)
    facts = {"outcome": outcome, "reason": reason, "automated": False}
    return take_as_desk(installation, view, cs.COMPLAINT_DECIDED, facts, signing_keys, decision=reason)


def restore_case(
    installation: Installation,
    case_id: str,
    reason: str,
    *,
    override: bool = False,
    signing_keys: Sequence[ledger.SigningKey] = (),
) -> Taken:
    """Put back what an upheld notice took down, and lift its stay-down entries; errors as `decide_case`."""
    view = read_case(installation, case_id)
    facts = {"reason": reason, "clock": _check_clock(view, cs.RESTORED, override=override)}
    return take_as_desk(installation, view, cs.RESTORED, facts, signing_keys, decision=reason)


def withdraw_case(
    installation: Installation, case_id: str, *, signing_keys: Sequence[ledger.SigningKey] = ()
) -> Taken:
    """Record that the claimant has withdrawn; what was taken down is put back."""
    view = read_case(installation, case_id)
    return take_as_desk(installation, view, cs.WITHDRAWN, {}, signing_keys, decision="withdrawn")


def note_sent(installation: Installation, case_id: str, letter: str, to: str) -> Taken:
    """Record that a letter (`deadlines.LETTERS`) went out to claimant or respondent.

    Raises
    ------
    RefusedError
        There is no such letter, or nobody else to send it to.
    MissingError
        No such case.
    """
    if letter not in LETTERS or to not in SIDES:
        raise RefusedError(f"expected a letter of {LETTERS} to one of {SIDES}, got {letter!r:.40} {to!r:.40}")
    view = read_case(installation, case_id)
    return take_as_desk(installation, view, cs.SENT, {"letter": letter, "to": to}, ())


def add_note(installation: Installation, case_id: str, text: str) -> Taken:
    """Add a note of the case worker's; sealed like everything that people write.

    Raises
    ------
    RefusedError
        Empty or longer than 8,000 characters.
    MissingError
        No such case.
    """
    view = read_case(installation, case_id)
    return take_as_desk(installation, view, cs.NOTED, {}, (), personal={"note": _check_note(text)})


def take_as_desk(
    installation: Installation,
    view: CaseView,
    step: str,
    facts: Mapping[str, Any],
    signing_keys: Sequence[ledger.SigningKey],
    *,
    personal: Mapping[str, object] | None = None,
    of_respondent: bool = False,
    notices: bool = False,
    decision: str = "",
) -> Taken:
    """Take a step, signed by the case desk and by the keys given; errors as `take_step`.

    Parameters
    ----------
    installation, view, step, facts, signing_keys, personal
        As `take_step`; the case as it was read.
    of_respondent
        What is personal is the respondent's, not the claimant's.
    notices, decision
        Also log a notice for each track that has none; or the decision for this reason.
    """
    for name in ("reason", "despite"):
        if name in facts:
            _check_code(facts[name], name)
    desk = open_desk_key(installation)
    actors = list(signing_keys) or [desk]
    drafts: Drafts = no_events
    if notices:
        drafts = draft_notices(installation, view.steps, view.row.claim, actors)
    elif decision:
        drafts = draft_decision(installation, view.steps, view.row.claim, decision, actors)
    person = view.row.person
    if personal and of_respondent:
        cs.advance(view.state, step, facts, time=now())  # before a person is made for it
        person = _find_respondent(installation, view, None)
    signers = [desk, *(key for key in signing_keys if key.key_id != desk.key_id)]
    return take_step(
        installation,
        view.row.case_id,
        step,
        facts,
        signing_keys=signers,
        personal=personal,
        person=person,
        drafts=drafts,
    )


def _check_reasons(reasons: Reasons) -> None:
    missing = find_missing_reasons(reasons)
    if missing:
        raise RefusedError(f"the statement of reasons is not complete: {list_missing(missing)}")


def _check_clock(view: CaseView, outcome: str, *, override: bool) -> str:
    """Return how a decision lies to the clock of a counter-notice under 17 U.S.C. 512(g)."""
    state = view.state
    if not state.countered or DMCA not in view.steps[0].facts.get("laws", ()):
        return "none"
    first, last = find_window(state.countered)
    time = now()
    if outcome == cs.UPHELD:
        if not state.court and not override:
            raise CaseError("clock-runs", "a counter-notice stands and no court action is known: not upheld")
        return "court" if state.court else "overridden"
    if state.court:
        if not override:
            raise CaseError("clock-court", "the claimant went to court: it stays down until that is decided")
        return "overridden"
    if time < first:
        if not override:
            raise CaseError("clock-early", f"put back between {first} and {last}: 17 U.S.C. 512(g)(2)(C)")
        return "overridden"
    return "in-time" if time <= last else "late"


def _find_respondent(installation: Installation, view: CaseView, person: str | None) -> str:
    """Return the person that the other side's data are sealed under; made when needed."""
    known = person or view.row.respondent
    if known is not None and not installation.vault.is_known(known):
        raise MissingError(f"nothing is known of person {known!r:.80}")
    known = known or installation.vault.add_person()
    if known != view.row.respondent:
        installation.cases.set_respondent(view.row.case_id, known)
    return known


def _check_code(text: str, what: str) -> None:
    try:
        check_code(text, what)
    except FormatError as error:
        raise RefusedError(str(error)) from error


def _check_note(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= MAX_NOTE_CHARACTERS:
        raise RefusedError(f"expected a note of 1 to {MAX_NOTE_CHARACTERS} characters, got {len(text)}")
    return text
