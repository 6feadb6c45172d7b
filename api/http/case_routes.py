"""Cases as case workers see them: lists, a case, its steps, clips, letters and file."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ..access import Scope
from ..caseexamination import examine_clip
from ..casefile import freeze_case
from ..casehistory import describe_case, describe_row, list_due, read_case
from ..errors import MissingError
from ..installation import Installation
from ..letters import write_letter
from ..transparency import state_for_database
from .authorisation import require_scope
from .case_actions import take
from .case_schemas import Case, CaseId, CaseItem, CaseList, LetterName, Status
from .case_step_schemas import AnyStep
from .context import UsedContext
from .idempotent import IdempotentRoute, takes_key
from .problems import declare_problems
from .schemas import TrackId
from .uploads import UPLOAD_BODY, receive_upload

router = APIRouter(
    route_class=IdempotentRoute, dependencies=[require_scope(Scope.CASE_WORKER)], tags=["cases"]
)
REPORT = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@router.get("/v1/cases", summary="List cases", responses=declare_problems(503))
def list_cases(
    context: UsedContext,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str, Query(pattern="^([a-z2-7]{16})?$", description="`next` of the page before.")] = "",
    status: Annotated[list[Status] | None, Query(description="Only with one of these.")] = None,
    track: Annotated[TrackId | None, Query(description="Only about this track.")] = None,
) -> CaseList:
    """Return cases, a page at a time."""
    found = context.installation.cases.list_cases(
        limit=limit + 1, after=after, statuses=status or (), track_id=track
    )
    cases = [CaseItem.model_validate(describe_row(row)) for row in found[:limit]]
    return CaseList(cases=cases, next=cases[-1].case_id if len(found) > limit else None)


@router.get("/v1/deadlines", summary="Cases by their deadlines", responses=declare_problems(503))
def list_deadlines(
    context: UsedContext,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    within_days: Annotated[int | None, Query(ge=0, le=3660)] = None,
) -> CaseList:
    """Return cases with a deadline, the nearest first."""
    rows = list_due(context.installation, within_days=within_days, limit=limit)
    return CaseList(cases=[CaseItem.model_validate(describe_row(row)) for row in rows], next=None)


@router.get("/v1/cases/{case_id}", summary="A case", responses=declare_problems(404, 503))
def get_case(case_id: CaseId, context: UsedContext) -> Case:
    """Return a case: its signed steps, checked, its deadlines, and what people wrote."""
    return _answer(context.installation, case_id)


@router.post(
    "/v1/cases/{case_id}/steps",
    summary="Take a step in a case",
    dependencies=[takes_key()],
    responses=declare_problems(404, 409, 413, 503, 507),
)
def take_step(case_id: CaseId, body: AnyStep, context: UsedContext) -> Case:
    """Accept, restrict, decide ...; where the ledger has an event for it, that is logged in the same step."""
    take(context.installation, case_id, body)
    return _answer(context.installation, case_id)


@router.post(
    "/v1/cases/{case_id}/clips",
    summary="Verify a clip for a case",
    dependencies=[takes_key()],
    responses=declare_problems(400, 404, 409, 413, 415, 503, 507),
    openapi_extra=UPLOAD_BODY,
)
async def add_clip(case_id: CaseId, request: Request, context: UsedContext) -> Case:
    """Verify the uploaded clip, keep the signed report with the case, and not the clip."""
    path = await receive_upload(request, context.installation.settings)

    def work() -> Case:
        with context.take_place():
            examine_clip(context.installation, case_id, path)
        return _answer(context.installation, case_id)

    try:
        return await run_in_threadpool(work)
    finally:
        path.unlink(missing_ok=True)


@router.get(
    "/v1/cases/{case_id}/reports/{sha256}",
    summary="A signed report of a case",
    response_class=Response,
    responses={
        **declare_problems(404, 503),
        200: {
            "description": "DSSE envelope",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
    },
)
def get_report(case_id: CaseId, sha256: REPORT, context: UsedContext) -> Response:
    """Return a verification report that a step names, as it was signed."""
    for document in context.installation.cases.list_documents(case_id):
        if document.sha256 == sha256:
            return Response(document.content, media_type="application/json")
    raise MissingError(f"case {case_id} has no report {sha256}")


@router.get(
    "/v1/cases/{case_id}/letters/{letter}",
    summary="A letter of a case",
    response_class=Response,
    responses={
        **declare_problems(404, 409, 503),
        200: {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
def get_letter(case_id: CaseId, letter: LetterName, context: UsedContext) -> Response:
    """Return what the case desk writes to the claimant or respondent. Nothing is sent."""
    text = write_letter(read_case(context.installation, case_id), letter)
    return Response(text, media_type="text/plain; charset=utf-8")


@router.get(
    "/v1/cases/{case_id}/statement",
    summary="The statement of reasons for the DSA Transparency Database",
    responses=declare_problems(404, 409, 503),
)
def get_statement(
    case_id: CaseId,
    context: UsedContext,
    content_date: Annotated[date | None, Query(description="When the material was put up.")] = None,
) -> dict[str, Any]:
    """Return the newest statement of reasons as the Commission's database takes it. Nothing is sent."""
    return state_for_database(context.installation, case_id, content_date=content_date)


@router.post(
    "/v1/cases/{case_id}/file",
    summary="Freeze the case file",
    response_class=Response,
    responses={
        **declare_problems(404, 503, 507),
        200: {
            "description": "ZIP archive with a signed manifest",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
def freeze(
    case_id: CaseId,
    context: UsedContext,
    opened: Annotated[bool, Query(description="Also what people wrote: out of reach of an erasure.")] = False,
) -> Response:
    """Return steps, reports, custody bundles and signed manifest in one archive; the case records it."""
    content = freeze_case(context.installation, case_id, opened=opened)
    headers = {"content-disposition": f'attachment; filename="case-{case_id}.zip"'}
    return Response(content, 200, headers, "application/zip")


def _answer(installation: Installation, case_id: str) -> Case:
    return Case.model_validate(describe_case(read_case(installation, case_id)))
