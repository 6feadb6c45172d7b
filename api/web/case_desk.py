"""The case desk: what is due, each case with its signed steps and letters, and the steps that need few words.

For case workers who have signed in. A step is taken as the interface takes it; those with long forms of their
own (a supplement, a restriction, a counter-notice, a complaint, upholding a notice) come over `/v1/cases` or
the command line, and are shown here.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from ..access import Scope
from ..casehistory import CaseView, describe_case, describe_row, list_due, read_case
from ..errors import RefusedError
from ..http.authorisation import require_scope
from ..http.case_actions import take
from ..http.case_routes import get_letter, get_report
from ..http.case_schemas import AnyStep, CaseId, LetterName
from ..http.context import UsedContext
from ..outcomes import EXPECTED, classify, describe
from .rendering import render
from .sessions import UsedSession, with_session
from .textforms import UsedForm

router = APIRouter(prefix="/desk/cases", dependencies=[with_session(), require_scope(Scope.CASE_WORKER)])
PAGE_SIZE = 50
DUE_SHOWN = 10
# Step of the interface -> its words, and which of the form's fields it takes.
STEPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "note": ("Add a note", ("text",)),
    "accept": ("Take the case up", ("despite",)),
    "sent": ("A letter went out", ("letter", "to")),
    "court-action": ("The claimant told of an action in court", ("text",)),
    "decide": ("Deny the notice", ("reason",)),
    "decide-complaint": ("Confirm the decision after a complaint", ("reason",)),
    "restore": ("Put back what was taken down", ("reason",)),
    "withdraw": ("The claimant has withdrawn", ()),
    "close": ("Close without taking it up", ("reason",)),
}
FIXED = {"decide": {"outcome": "denied"}, "decide-complaint": {"outcome": "confirmed"}}
LETTERS: tuple[str, ...] = LetterName.__args__  # type: ignore[attr-defined]
_STEP: TypeAdapter[Any] = TypeAdapter(AnyStep)


@router.get("")
def show_cases(
    request: Request,
    context: UsedContext,
    after: Annotated[str, Query(pattern="^([a-z2-7]{16})?$")] = "",
) -> Response:
    """List what is due next, and all cases, a page at a time."""
    installation = context.installation
    rows = installation.cases.list_cases(limit=PAGE_SIZE + 1, after=after)
    return render(
        request,
        "cases.html",
        due=[describe_row(row) for row in list_due(installation, limit=DUE_SHOWN)],
        cases=[describe_row(row) for row in rows[:PAGE_SIZE]],
        following=rows[PAGE_SIZE - 1].case_id if len(rows) > PAGE_SIZE else None,
    )


@router.get("/{case_id}")
def show_case(case_id: CaseId, request: Request, context: UsedContext, session: UsedSession) -> Response:
    """Show a case: its signatures and order were checked just now."""
    return _show(request, session, read_case(context.installation, case_id), {}, "")


def _show(
    request: Request, session: UsedSession, view: CaseView, values: dict[str, str], refused: str
) -> Response:
    return render(
        request,
        "case.html",
        status=422 if refused else 200,
        case=describe_case(view),
        steps=STEPS,
        letters=LETTERS,
        values=values,
        refused=refused,
        form_token=session.form_token if session else "",
    )


@router.post("/{case_id}/steps")
def take_step(
    case_id: CaseId, request: Request, context: UsedContext, session: UsedSession, form: UsedForm
) -> Response:
    """Take a step, and show the case as it then stands; what is refused is said beside what was typed."""
    step = form.get("step", "")
    try:
        if step not in STEPS:
            raise RefusedError(f"expected one of {', '.join(STEPS)}, got {step!r:.40}")
        asked = {name: form[name].strip() for name in STEPS[step][1] if form.get(name, "").strip()}
        wanted = _STEP.validate_python({"step": step, **FIXED.get(step, {}), **asked})
        take(context.installation, case_id, wanted)
    except ValidationError as error:
        faults = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors()[:4])
        return _show(request, session, read_case(context.installation, case_id), form, faults)
    except EXPECTED as error:
        if classify(error).status >= 500:
            raise
        return _show(request, session, read_case(context.installation, case_id), form, describe(error))
    return RedirectResponse(f"/desk/cases/{case_id}", 303)


router.add_api_route("/{case_id}/letters/{letter}", get_letter)
router.add_api_route("/{case_id}/reports/{sha256}", get_report)
