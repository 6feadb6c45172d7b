"""Cases: anybody may send one in and see how it stands; the rest is for case workers."""

import hmac
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ..access import Caller, Scope
from ..caseexamination import examine_clip
from ..casefile import freeze_case
from ..casehistory import CaseView, describe_case, describe_row, list_due, read_case
from ..caseintake import hash_code, open_case, supplement_case
from ..casestates import UPHELD
from ..errors import MissingError, RefusedError, ScopeError
from ..installation import Installation
from ..letters import list_missing_lines, write_letter
from ..quotas import DAY_S, Bound, name_client
from ..transparency import state_for_database
from ..uploadcheck import check_upload, describe_entry, list_recording
from .authorisation import open_to_all, require_scope
from .case_actions import take
from .case_schemas import (
    AnyStep,
    Case,
    CaseId,
    CaseItem,
    CaseList,
    CaseReceipt,
    CaseRequest,
    CaseStatus,
    LetterName,
    ListedRecording,
    MissingField,
    RecognisedEntry,
    RepeatedRespondent,
    RepeatedRespondents,
    Status,
    StayDownEntry,
    StayDownList,
    UploadAnswer,
)
from .context import Context, UsedContext
from .idempotent import IdempotentRoute, takes_key
from .problems import declare_problems
from .schemas import TrackId
from .uploads import UPLOAD_BODY, receive_upload

public_router = APIRouter(route_class=IdempotentRoute, dependencies=[open_to_all()], tags=["cases"])
router = APIRouter(
    route_class=IdempotentRoute, dependencies=[require_scope(Scope.CASE_WORKER)], tags=["cases"]
)
upload_router = APIRouter(
    dependencies=[require_scope(Scope.CASE_WORKER, Scope.ISSUER, Scope.AUDITOR)], tags=["cases"]
)
AnyCaller = Annotated[Caller, open_to_all()]
AccessCode = Annotated[
    str, Header(alias="case-code", max_length=100, description="Shown when it was opened.")
]
INTAKE_PER_DAY = 20
QUESTIONS_PER_DAY = 500
REPORT = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@public_router.post(
    "/v1/cases",
    status_code=201,
    summary="Send in a notice or a verification request",
    dependencies=[takes_key()],
    responses=declare_problems(403, 404, 409, 413, 429, 503, 507),
)
def send_case(body: CaseRequest, request: Request, context: UsedContext, caller: AnyCaller) -> CaseReceipt:
    """Open a case and say what is missing in it, by field, law and provision. Keep the access code."""
    worker = caller.may(Scope.CASE_WORKER)
    if not worker:
        if body.tracks or body.urgent or body.person or body.respondent:
            raise ScopeError("tracks, urgent, person and respondent are for case workers")
        _count(context, request, "intake", INTAKE_PER_DAY)
    form = body.notice or body.request
    if form is None or (body.notice and body.request):
        raise RefusedError("expected a notice or a request, one of them")
    opened = open_case(
        context.installation,
        form,
        tracks=body.tracks,
        urgent=body.urgent,
        public=not worker,
        person=body.person,
        respondent=body.respondent,
    )
    view = read_case(context.installation, opened.case_id)
    return CaseReceipt(
        case_id=opened.case_id,
        status=view.row.status,  # type: ignore[arg-type]  # one of STATUSES
        access_code=opened.code,
        missing=[MissingField(**vars(item)) for item in opened.missing],
        receipt=write_letter(view, "receipt"),
    )


@public_router.get(
    "/v1/cases/{case_id}/status",
    summary="How a case stands",
    responses=declare_problems(404, 429, 503),
)
def get_status(case_id: CaseId, code: AccessCode, request: Request, context: UsedContext) -> CaseStatus:
    """Say to whoever sent a case in how it stands; the access code is needed."""
    return _describe_status(_open_by_code(context, request, case_id, code))


@public_router.post(
    "/v1/cases/{case_id}/supplements",
    summary="Add what was missing",
    dependencies=[takes_key()],
    responses=declare_problems(404, 409, 413, 429, 503, 507),
)
def supplement(
    case_id: CaseId,
    code: AccessCode,
    additions: dict[str, object],
    request: Request,
    context: UsedContext,
) -> CaseStatus:
    """Add to an incomplete form: members that are new or changed. The access code is needed."""
    _open_by_code(context, request, case_id, code)
    supplement_case(context.installation, case_id, additions)
    return _describe_status(read_case(context.installation, case_id))


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


def _answer(installation: Installation, case_id: str) -> Case:
    return Case.model_validate(describe_case(read_case(installation, case_id)))


def _describe_status(view: CaseView) -> CaseStatus:
    row = view.row
    missing = list_missing_lines(view) if view.state.status == "incomplete" else []
    return CaseStatus.model_validate(
        {
            **{name: getattr(row, name) for name in ("case_id", "kind", "status", "opened", "updated")},
            "missing": [line.removeprefix("- ") for line in missing],
        }
    )


def _open_by_code(context: Context, request: Request, case_id: str, code: str) -> CaseView:
    """Return a case to whoever has its code; a wrong code is answered like a case that is not there."""
    _count(context, request, "questions", QUESTIONS_PER_DAY)
    row = context.installation.cases.get_case(case_id)
    if row.code_hash is None or not hmac.compare_digest(hash_code(code), row.code_hash):
        raise MissingError(f"no case {case_id!r:.80}")
    return read_case(context.installation, case_id)


def _count(context: Context, request: Request, what: str, most: int) -> None:
    """Count a stranger's question by address; QuotaError beyond so many a day."""
    client = name_client(request.client.host if request.client else None)
    bound = Bound(most, DAY_S, f"{most} times a day from one address")
    context.quotas.take(f"cases/{what}/{client}", [bound])
