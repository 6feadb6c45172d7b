"""The case desk: what is due, each case with its signed steps and letters, and every step that can be taken.

For case workers who have signed in. A step is taken as the interface takes it (`/v1/cases`). Those with many
fields (a supplement, a restriction, a counter-notice, a complaint, upholding) have a page each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from ..access import Scope
from ..caseexamination import examine_clip
from ..casefile import freeze_case
from ..casehistory import CaseView, describe_case, describe_row, list_due, read_case
from ..casestates import UPHELD, VERIFICATION
from ..errors import MissingError, RefusedError
from ..http.authorisation import require_scope
from ..http.case_actions import take
from ..http.case_routes import get_letter, get_report
from ..http.case_schemas import CaseId, LetterName
from ..http.case_step_schemas import AnyStep
from ..http.context import UsedContext
from ..notices import Complaint, CounterNotice, Form, Notice, VerificationRequest
from ..outcomes import EXPECTED, classify, describe
from ..reasons import Reasons
from ..uploadcheck import describe_entry
from .forms import receive_form
from .modelforms import list_fields, read_fields
from .rendering import render
from .sessions import UsedSession, check_form_token, check_same_site, with_session
from .textforms import UsedForm

router = APIRouter(prefix="/desk/cases", dependencies=[with_session(), require_scope(Scope.CASE_WORKER)])
PAGE_SIZE = 50
DUE_SHOWN = 10


@dataclass(frozen=True)
class DeskStep:
    """A step as the desk offers it: its words, the step of the interface that it is, the fields of the page
    that it takes, what stands fixed in it; and the member that a form of its own fills, with its model.
    """

    words: str
    step: str
    fields: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    member: str = ""
    model: type[Form] | None = None


STEPS: Mapping[str, DeskStep] = {
    "note": DeskStep("Add a note", "note", ("text",)),
    "accept": DeskStep("Take the case up", "accept", ("despite",)),
    "sent": DeskStep("A letter went out", "sent", ("letter", "to")),
    "court-action": DeskStep("The claimant told of an action in court", "court-action", ("text",)),
    "decide": DeskStep("Deny the notice", "decide", ("reason",), {"outcome": "denied"}),
    "decide-complaint": DeskStep(
        "Confirm the decision after a complaint", "decide-complaint", ("reason",), {"outcome": "confirmed"}
    ),
    "reverse": DeskStep(
        "Reverse the decision after a complaint", "decide-complaint", ("reason",), {"outcome": "reversed"}
    ),
    "restore": DeskStep("Put back what was taken down", "restore", ("reason",)),
    "withdraw": DeskStep("The claimant has withdrawn", "withdraw"),
    "close": DeskStep("Close without taking it up", "close", ("reason",)),
}
"""Steps that need few words."""
LONG_STEPS: Mapping[str, DeskStep] = {
    "uphold": DeskStep(
        "Uphold the notice", "decide", ("reason", "override"), {"outcome": "upheld"}, "reasons", Reasons
    ),
    "restrict": DeskStep(
        "Access was disabled before the decision", "restrict", member="reasons", model=Reasons
    ),
    "counter": DeskStep("A counter-notice came in", "counter", member="counter_notice", model=CounterNotice),
    "complain": DeskStep("A complaint came in", "complain", member="complaint", model=Complaint),
    "supplement": DeskStep("Add what was missing", "supplement", member="additions", model=Notice),
    "supplement-request": DeskStep(
        "Add what was missing", "supplement", member="additions", model=VerificationRequest
    ),
}
"""Steps with a form of their own."""
OF_REQUESTS = frozenset({"supplement-request"})
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


@router.get("/stay-down")
def show_stay_down(
    request: Request, context: UsedContext, after: Annotated[int, Query(ge=0, le=2**53 - 1)] = 0
) -> Response:
    """Show what must not come again, and respondents with several upheld notices."""
    cases = context.installation.cases
    rows = cases.list_stay_down(limit=PAGE_SIZE + 1, after=after)
    entries = [describe_entry(row) for row in rows[:PAGE_SIZE]]
    return render(
        request,
        "stay-down.html",
        entries=entries,
        following=entries[-1]["entry_id"] if len(rows) > PAGE_SIZE else None,
        repeated=cases.count_by_respondent(UPHELD, at_least=2),
    )


@router.get("/{case_id}")
def show_case(case_id: CaseId, request: Request, context: UsedContext, session: UsedSession) -> Response:
    """Show a case: its signatures and order were checked just now."""
    return _show(request, session, read_case(context.installation, case_id), {}, "")


def _show(
    request: Request, session: UsedSession, view: CaseView, values: Mapping[str, str], refused: str
) -> Response:
    return render(
        request,
        "case.html",
        status=422 if refused else 200,
        case=describe_case(view),
        steps=STEPS,
        long_steps=_long_steps(view),
        letters=LETTERS,
        values=values,
        refused=refused,
        form_token=session.form_token if session else "",
    )


def _long_steps(view: CaseView) -> dict[str, DeskStep]:
    """Return the steps with forms of their own that a case of this kind may take."""
    request = view.state.kind == VERIFICATION
    return {name: step for name, step in LONG_STEPS.items() if (name in OF_REQUESTS) == request}


@router.get("/{case_id}/steps/{name}")
def show_form(
    case_id: CaseId, name: str, request: Request, context: UsedContext, session: UsedSession
) -> Response:
    """Show the form of a step that has one."""
    return _show_form(request, session, read_case(context.installation, case_id), name, {}, "")


def _show_form(
    request: Request,
    session: UsedSession,
    view: CaseView,
    name: str,
    values: Mapping[str, str],
    refused: str,
) -> Response:
    step = _long_steps(view).get(name)
    if step is None or step.model is None:
        raise MissingError(f"no form {name!r:.40} for this case")
    return render(
        request,
        "case-step.html",
        status=422 if refused else 200,
        case_id=view.row.case_id,
        name=name,
        step=step,
        fields=list_fields(step.model),
        values=values,
        refused=refused,
        form_token=session.form_token if session else "",
    )


@router.post("/{case_id}/steps")
def take_step(
    case_id: CaseId, request: Request, context: UsedContext, session: UsedSession, form: UsedForm
) -> Response:
    """Take a step, and show the case as it then stands; what is refused is said beside what was typed."""
    name = form.get("step", "")
    view = read_case(context.installation, case_id)
    long_step = _long_steps(view).get(name)
    try:
        step = long_step or STEPS.get(name)
        if step is None:
            raise RefusedError(f"expected one of {', '.join(STEPS)}, got {name!r:.40}")
        take(context.installation, case_id, _read_step(step, form))
    except ValidationError as error:
        refused = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors()[:4])
    except EXPECTED as error:
        if classify(error).status >= 500:
            raise
        refused = describe(error)
    else:
        return RedirectResponse(f"/desk/cases/{case_id}", 303)
    if long_step is not None:
        return _show_form(request, session, view, name, form, refused)
    return _show(request, session, view, form, refused)


def _read_step(step: DeskStep, form: Mapping[str, str]) -> Any:
    """Return the step of the interface that a form asks for; ValidationError where it does not hold."""
    asked: dict[str, Any] = {name: form[name].strip() for name in step.fields if form.get(name, "").strip()}
    if "override" in asked:
        asked["override"] = True
    if step.model is not None:
        asked[step.member] = read_fields(step.model, form)
    return _STEP.validate_python({"step": step.step, **step.fixed, **asked})


@router.post("/{case_id}/clips")
async def add_clip(case_id: CaseId, request: Request, context: UsedContext, session: UsedSession) -> Response:
    """Verify the clip in the form, keep the signed report with the case, and not the clip."""
    check_same_site(request, context)  # before gigabytes of somebody else's form are read
    form = await receive_form(request, context.installation.settings)

    def work() -> Response:
        with context.take_place():
            try:
                examine_clip(context.installation, case_id, form.path)
            except EXPECTED as error:
                if classify(error).status >= 500:
                    raise
                view = read_case(context.installation, case_id)
                return _show(request, session, view, {}, describe(error))
        return RedirectResponse(f"/desk/cases/{case_id}", 303)

    try:
        check_form_token(session, form.texts.get("form_token", ""))
        return await run_in_threadpool(work)
    finally:
        form.path.unlink(missing_ok=True)


@router.post("/{case_id}/file")
def freeze(case_id: CaseId, context: UsedContext, form: UsedForm) -> Response:
    """Give the case file as an archive; the case records that it was frozen."""
    content = freeze_case(context.installation, case_id, opened="opened" in form)
    headers = {"content-disposition": f'attachment; filename="case-{case_id}.zip"'}
    return Response(content, 200, headers, "application/zip")


router.add_api_route("/{case_id}/letters/{letter}", get_letter)
router.add_api_route("/{case_id}/reports/{sha256}", get_report)
