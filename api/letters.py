"""What a case desk writes to the two sides, as plain text: a pure function of the case as it was read.

| letter | to | says |
| --- | --- | --- |
| receipt | claimant | it came in, what it was taken for, what happens next: DSA Art. 16(4) |
| missing | claimant | which fields are missing, by provision, and how to add them: 512(c)(3)(B)(ii) |
| counter-notice | claimant | the counter-notice, and by when an action in court must be told: 512(g)(2)(B) |
| decision | claimant | what was decided, by automated means or not, and redress: DSA Art. 16(5) |
| reasons | respondent | the statement of reasons, and redress: DSA Art. 17, 512(g)(2)(A) |

Nothing is sent from here. Where what a letter needs was erased, it says so.
"""

from collections.abc import Callable, Mapping
from typing import Any

from . import casestates as cs
from .casehistory import CaseView
from .deadlines import (
    COUNTER_LETTER,
    DECISION_LETTER,
    LETTERS,
    MISSING_LETTER,
    REASONS_LETTER,
    RECEIPT,
    find_complaint_end,
    find_window,
)
from .errors import ConflictError, MissingError
from .notices import STATEMENTS, Notice, VerificationRequest
from .requirements import REQUIREMENTS

ERASED = "(what was written here was erased)"
DISCLAIMER = (
    "A custody record is evidence of who signed what and when; it never proves authorship or infringement."
)


def write_letter(view: CaseView, letter: str) -> str:
    """Return the text of a letter.

    Parameters
    ----------
    view
        The case as read.
    letter
        receipt, missing, counter-notice, decision or reasons.

    Raises
    ------
    MissingError
        No such letter.
    ConflictError
        The case has come to nothing that it could say.
    """
    if letter not in _WRITERS:
        raise MissingError(f"no letter {letter!r:.40}: expected one of {', '.join(LETTERS)}")
    lines = _WRITERS[letter](view)
    return "\n".join([f"Case {view.row.case_id}", "", *lines, "", DISCLAIMER, ""])


def _write_receipt(view: CaseView) -> list[str]:
    what = "notice" if view.row.kind == cs.NOTICE else "verification request"
    laws = view.steps[0].facts.get("laws", ())
    names = {"dmca": "17 U.S.C. 512(c)(3)", "dsa": "Article 16 of Regulation (EU) 2022/2065"}
    under = f" under {' and '.join(names[law] for law in laws)}" if laws else ""
    lines = [f"We received your {what}{under} at {view.row.opened}."]
    missing = list_missing_lines(view)
    if view.state.status == cs.INCOMPLETE:
        lines += ["It is not complete. Please add:", *missing]
    else:
        lines.append("It is complete. A case worker will look at it.")
    return [*lines, "You will be told of the decision and of how to complain about it."]


def _write_missing(view: CaseView) -> list[str]:
    if view.state.status != cs.INCOMPLETE:
        raise ConflictError("nothing is missing in this case")
    return [
        "Your notice cannot be acted on yet. Please add:",
        *list_missing_lines(view),
        "Use the case number and the access code that you were given.",
    ]


def list_missing_lines(view: CaseView) -> list[str]:
    """Return a line for each field that the newest check of a case found missing."""
    checks = [step for step in view.steps if step.step == cs.CHECKED]
    texts = {
        (item.provision, item.field): item.text
        for kind in (Notice, VerificationRequest)
        for item in REQUIREMENTS[kind]
    }
    missing = checks[-1].facts["missing"] if checks else []
    return [
        f"- {texts.get((item['provision'], item['field']), item['field'])} ({item['provision']})".replace(
            " ()", ""
        )
        for item in missing
    ]


def _write_counter_notice(view: CaseView) -> list[str]:
    if not view.state.countered:
        raise ConflictError("no counter-notice stands in this case")
    first, last = find_window(view.state.countered)
    form = view.find_value("counter_notice")
    lines = [f"A counter-notice came in at {view.state.countered}:", ""]
    lines += [ERASED] if form is None else _quote_counter_notice(form)
    return [
        *lines,
        "",
        f"The material will be put back between {first} and {last} (17 U.S.C. 512(g)(2)(C)), unless we are "
        "told before that you have filed an action seeking a court order to restrain the subscriber.",
    ]


def _quote_counter_notice(form: Mapping[str, Any]) -> list[str]:
    person = form["respondent"]
    return [
        *(
            f"  {line}"
            for line in (person["name"], person["postal_address"], person["phone"], person["email"])
            if line
        ),
        *(f"  Material: {item}" for item in form["material"]["locations"]),
        *([f"  {form['reasons']}"] if form["reasons"] else []),
        *(f"  {STATEMENTS[name]}" for name, stated in form["statements"].items() if stated),
        f"  Signed: {form['signature']}",
    ]


def _write_decision(view: CaseView) -> list[str]:
    decisions = {
        cs.UPHELD: "Your notice was upheld: the material is taken down, and recognised when it comes again.",
        cs.DENIED: "Your notice was not upheld: the material stays.",
        cs.RESTORED: "The material was put back.",
    }
    if view.state.status not in decisions:
        raise ConflictError("nothing is decided in this case")
    facts = _find_decision(view)
    lines = [f"{decisions[view.state.status]} Decided at {view.state.decided}."]
    lines.append(f"Ground: {facts['reason']}.") if facts.get("reason") else None
    automated = facts.get("automated_decision") or facts.get("automated_detection")
    lines.append(f"Automated means were {'used' if automated else 'not used'} for the decision.")
    return [*lines, *_tell_redress(view)]


def _write_reasons(view: CaseView) -> list[str]:
    reasons = view.find_value("reasons")
    stated = [step for step in view.steps if "reasons" in step.commitments]
    if not stated or not view.state.restricted:
        raise ConflictError("nothing is restricted in this case")
    if reasons is None:
        return ["Statement of reasons", ERASED, *_tell_redress(view)]
    yes = {True: "yes", False: "no", None: "not stated"}
    return [
        "Statement of reasons (Article 17 of Regulation (EU) 2022/2065)",
        f"Material: {' '.join(f'track:{item}' for item in view.state.tracks) or 'as the notice names it'}",
        f"Measure: {reasons['measure']}; where: {reasons['territory']}; for how long: {reasons['duration']}",
        f"Since: {stated[-1].time}",
        f"Facts: {reasons['facts']}",
        f"It follows from: {reasons['source']}",
        f"Found by automated means: {yes[reasons['automated_detection']]}",
        f"Decided by automated means: {yes[reasons['automated_decision']]}",
        f"Ground ({reasons['ground']}): {reasons['provision']}",
        f"Why it applies: {reasons['explanation']}",
        *_tell_redress(view),
    ]


def _tell_redress(view: CaseView) -> list[str]:
    """Art. 17(3)(f): complaint, dispute settlement out of court, court; and the counter-notice of 512(g)."""
    lines = ["", "What you can do:"]
    if view.state.status in (cs.UPHELD, cs.DENIED) and not view.state.complaint:
        lines.append(
            f"- complain to us, free of charge, until {find_complaint_end(view.state.decided)} (Art. 20)"
        )
    lines.append("- turn to a certified body for the settlement of disputes out of court (Art. 21)")
    lines.append("- go to court")
    if "dmca" in view.steps[0].facts.get("laws", ()) and view.state.restricted and not view.state.countered:
        lines.append("- whoever put the material up: send a counter-notice (17 U.S.C. 512(g)(3))")
    return lines


def _find_decision(view: CaseView) -> Mapping[str, Any]:
    deciding = (cs.DECIDED, cs.COMPLAINT_DECIDED, cs.RESTORED, cs.WITHDRAWN)
    return next(step.facts for step in reversed(view.steps) if step.step in deciding)


_WRITERS: Mapping[str, Callable[[CaseView], list[str]]] = {
    RECEIPT: _write_receipt,
    MISSING_LETTER: _write_missing,
    COUNTER_LETTER: _write_counter_notice,
    DECISION_LETTER: _write_decision,
    REASONS_LETTER: _write_reasons,
}
