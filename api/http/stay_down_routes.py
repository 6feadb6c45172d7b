"""The stay-down list: what is on it, what is put there, and whether an upload is; repeated respondents."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from ..access import Scope
from ..casestates import UPHELD
from ..uploadcheck import check_upload, describe_entry, list_recording
from .authorisation import require_scope
from .case_schemas import (
    CaseId,
    ListedRecording,
    RecognisedEntry,
    RepeatedRespondent,
    RepeatedRespondents,
    StayDownEntry,
    StayDownList,
    UploadAnswer,
)
from .context import UsedContext
from .idempotent import IdempotentRoute, takes_key
from .problems import declare_problems
from .uploads import UPLOAD_BODY, receive_upload

router = APIRouter(
    route_class=IdempotentRoute, dependencies=[require_scope(Scope.CASE_WORKER)], tags=["cases"]
)
upload_router = APIRouter(
    dependencies=[require_scope(Scope.CASE_WORKER, Scope.ISSUER, Scope.AUDITOR)], tags=["cases"]
)


@router.post(
    "/v1/cases/{case_id}/recordings",
    status_code=201,
    summary="Put a recording that is not ours on the stay-down list",
    dependencies=[takes_key()],
    responses=declare_problems(400, 404, 409, 413, 415, 503, 507),
    openapi_extra=UPLOAD_BODY,
)
async def add_recording(case_id: CaseId, request: Request, context: UsedContext) -> ListedRecording:
    """List the uploaded recording of an upheld case: its fingerprint is kept, the file is not."""
    path = await receive_upload(request, context.installation.settings)

    def work() -> ListedRecording:
        with context.take_place():
            number = list_recording(context.installation, case_id, path)
        return ListedRecording(case_id=case_id, recording=number)

    try:
        return await run_in_threadpool(work)
    finally:
        path.unlink(missing_ok=True)


@router.get("/v1/stay-down", summary="The stay-down list", responses=declare_problems(503))
def list_stay_down(
    context: UsedContext,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[int, Query(ge=0, le=2**53 - 1)] = 0,
) -> StayDownList:
    """Return what must not come again, a page at a time."""
    rows = context.installation.cases.list_stay_down(limit=limit + 1, after=after)
    entries = [StayDownEntry.model_validate(describe_entry(row)) for row in rows[:limit]]
    return StayDownList(entries=entries, next=entries[-1].entry_id if len(rows) > limit else None)


@router.get(
    "/v1/repeated-respondents",
    summary="Respondents with several upheld notices",
    responses=declare_problems(503),
)
def list_repeated(
    context: UsedContext, at_least: Annotated[int, Query(ge=1, le=1000)] = 2
) -> RepeatedRespondents:
    """Return respondents by their person's id, those with most upheld notices first."""
    found = context.installation.cases.count_by_respondent(UPHELD, at_least=at_least)
    return RepeatedRespondents(
        respondents=[RepeatedRespondent(person=person, upheld=count) for person, count in found]
    )


@upload_router.post(
    "/v1/stay-down/checks",
    summary="Must this upload stay down?",
    responses=declare_problems(400, 413, 415, 503, 507),
    openapi_extra=UPLOAD_BODY,
)
async def check_stay_down(request: Request, context: UsedContext) -> UploadAnswer:
    """Say whether the uploaded file is on the stay-down list, by digest, mark or sound. It is not kept."""
    path = await receive_upload(request, context.installation.settings)

    def work() -> UploadAnswer:
        with context.take_place():
            found = check_upload(context.installation, path)
        matches = [RecognisedEntry(**describe_entry(item.entry), by=list(item.by)) for item in found]  # type: ignore[arg-type]
        return UploadAnswer(listed=bool(matches), matches=matches)

    try:
        return await run_in_threadpool(work)
    finally:
        path.unlink(missing_ok=True)
