"""The case desk's page of checks: whether all cases hold, and whether a case file does."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ..access import Scope
from ..casecheck import check_page
from ..casefilecheck import MAX_ARCHIVE_BYTES, CaseFileError, check_case_file
from ..casefilereport import CaseFileReport
from ..http.authorisation import require_scope
from ..http.context import Context, UsedContext
from .forms import receive_form
from .rendering import render
from .sessions import Session, UsedSession, check_form_token, check_same_site, with_session

router = APIRouter(prefix="/desk/cases", dependencies=[with_session(), require_scope(Scope.CASE_WORKER)])
PAGE_SIZE = 50


@router.get("/checks")
def show_checks(
    request: Request,
    context: UsedContext,
    session: UsedSession,
    after: Annotated[str, Query(pattern="^([a-z2-7]{16})?$")] = "",
) -> Response:
    """Check a page of cases just now, and show those that do not hold."""
    return _show(request, context, session, after)


def _show(
    request: Request, context: Context, session: Session | None, after: str = "", **outcome: Any
) -> Response:
    found, following = check_page(context.installation, limit=PAGE_SIZE, after=after)
    return render(
        request,
        "case-checks.html",
        cases=found.cases,
        faults=found.faults,
        following=following,
        form_token=session.form_token if session else "",
        **{"file_name": "", "report": None, "failure": None, **outcome},
    )


@router.post("/checks")
async def check_file(request: Request, context: UsedContext, session: UsedSession) -> Response:
    """Check the case file in the form, by the keys of this service or by its own, and keep nothing of it."""
    check_same_site(request, context)  # before megabytes of somebody else's form are read
    form = await receive_form(request, context.installation.settings, limit=MAX_ARCHIVE_BYTES)

    def work() -> Response:
        public = None if "own" in form.texts else context.installation.public
        report: CaseFileReport | None = None
        failure: CaseFileError | None = None
        with context.take_place():
            try:
                report = check_case_file(form.path.read_bytes(), public=public)
            except CaseFileError as error:
                failure = error
        return _show(request, context, session, file_name=form.file_name, report=report, failure=failure)

    try:
        check_form_token(session, form.texts.get("form_token", ""))
        return await run_in_threadpool(work)
    finally:
        form.path.unlink(missing_ok=True)
