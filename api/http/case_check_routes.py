"""Do cases hold? All of them, a page at a time, and a case file that somebody hands in. For case workers."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from ..access import Scope
from ..casecheck import check_page
from ..casefilecheck import MAX_ARCHIVE_BYTES, CaseFileError, check_case_file
from ..casefilereport import describe_report
from .authorisation import require_scope
from .case_schemas import CaseId, Status
from .context import UsedContext
from .problems import declare_problems
from .schemas import TIME, TrackId, Wire
from .uploads import receive_file

router = APIRouter(tags=["cases"])
ARCHIVE_BODY = {
    "requestBody": {
        "required": True,
        "description": "The archive's bytes, as `POST /v1/cases/{case_id}/file` gave them.",
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}}
            for media in ("application/zip", "application/octet-stream")
        },
    }
}


class CaseFault(Wire):
    """A case that does not hold, and what is wrong with it."""

    case_id: CaseId
    message: str


class CaseCheckPage(Wire):
    """A page of checked cases: how many, and those that do not hold."""

    ok: bool
    cases: Annotated[int, Field(examples=[50])]
    faults: list[CaseFault]
    next: CaseId | None


class ProvenStep(Wire):
    """A signed step of a case file."""

    n: int
    step: Annotated[str, Field(examples=["decided"])]
    time: Annotated[str, Field(examples=[TIME])]


class ProvenEvent(Wire):
    """An event of the ledger that names a step, proven in a bundle of the case file."""

    step: int
    track_id: TrackId
    index: int
    event: Annotated[str, Field(examples=["decision"])]


class CaseFileHolds(Wire):
    """What a case file proves; `pinned`: under the keys of this service, and not its own alone."""

    ok: Literal[True]
    case_id: CaseId
    time: Annotated[str, Field(examples=[TIME])]
    origin: Annotated[str, Field(description="The log whose it is.")]
    pinned: bool
    kind: Literal["notice", "verification"]
    status: Status
    tracks: list[TrackId]
    steps: list[ProvenStep]
    reports: int
    opened: Annotated[int, Field(description="Commitments to what people wrote that are opened.")]
    closed: int
    logged: list[ProvenEvent]


class CaseFileFails(Wire):
    """A case file that does not prove what it claims: the step of the check that failed, and why."""

    ok: Literal[False]
    code: Annotated[str, Field(examples=["files"])]
    message: str


@router.get(
    "/v1/case-checks",
    summary="Check cases",
    dependencies=[require_scope(Scope.CASE_WORKER)],
    responses=declare_problems(503),
)
def check_all(
    context: UsedContext,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    after: Annotated[str, Query(pattern="^([a-z2-7]{16})?$", description="`next` of the page before.")] = "",
) -> CaseCheckPage:
    """Check steps, rows, reports, the log's events and the stay-down list of each case, a page at a time."""
    found, following = check_page(context.installation, limit=limit, after=after)
    faults = [CaseFault(case_id=item.case_id, message=item.message) for item in found.faults]
    return CaseCheckPage(ok=not faults, cases=found.cases, faults=faults, next=following)


@router.post(
    "/v1/case-files/checks",
    summary="Check a case file",
    dependencies=[require_scope(Scope.CASE_WORKER, Scope.AUDITOR)],
    responses=declare_problems(400, 413, 415, 503, 507),
    openapi_extra=ARCHIVE_BODY,
)
async def check_file(
    request: Request,
    context: UsedContext,
    keys: Annotated[
        Literal["service", "file"],
        Query(description="Whose keys it must be signed with: this service's, or those it brings itself."),
    ] = "service",
) -> CaseFileHolds | CaseFileFails:
    """Say what the case file in the body proves; it is not kept. One that proves nothing is an answer.

    Witnesses and time-stamps are not asked for: `provenote case check-file` does, by a policy and roots.
    """
    path = await receive_file(request, context.installation.settings, limit=MAX_ARCHIVE_BYTES)

    def work() -> CaseFileHolds | CaseFileFails:
        public = context.installation.public if keys == "service" else None
        with context.take_place():
            try:
                report = check_case_file(path.read_bytes(), public=public)
            except CaseFileError as error:
                return CaseFileFails(ok=False, code=error.code, message=str(error))
        document = describe_report(report)
        del document["witnessed"]  # nobody was asked for here
        return CaseFileHolds.model_validate(document)

    try:
        return await run_in_threadpool(work)
    finally:
        path.unlink(missing_ok=True)
