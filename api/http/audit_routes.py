"""Audits of catalogues, as jobs: begun, followed (`job_routes`), read and removed. For auditors."""

import os
from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from pydantic import Field

from ..access import Scope
from ..auditjob import AUDIT, FILES, check_request, find_file, get_audit, list_files, read_sums, remove_audit
from ..auditsources import read_sources
from ..jobtable import DONE
from .authorisation import require_scope
from .context import UsedContext
from .idempotent import IdempotentRoute, takes_key
from .job_schemas import PRIORITIES, PRIORITY, Job, JobId, Priority
from .problems import declare_problems
from .schemas import Wire

router = APIRouter(route_class=IdempotentRoute, dependencies=[require_scope(Scope.AUDITOR)], tags=["audits"])
MEDIA_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".parquet": "application/vnd.apache.parquet",
}
MAX_WORKERS = os.cpu_count() or 1


class AuditSourceInfo(Wire):
    """A catalogue that may be audited."""

    name: Annotated[str, Field(examples=["masters"])]
    kind: Annotated[Literal["folder", "store", "addresses"], Field(examples=["folder"])]


class AuditSourceList(Wire):
    """Catalogues that may be audited."""

    sources: list[AuditSourceInfo]


class AuditRequest(Wire):
    """What to audit, and in which forms the rows are wanted beside `files.jsonl`."""

    source: Annotated[str, Field(min_length=1, max_length=64, examples=["masters"])]
    addresses: Annotated[
        list[Annotated[str, Field(pattern="^https?://[!-~]+$", max_length=2000)]],
        Field(default=[], max_length=1000, description="For a catalogue of addresses, and no other."),
    ]
    formats: Annotated[list[Literal["csv", "html", "parquet"]], Field(default=["csv", "html"], max_length=3)]
    workers: Annotated[int, Field(default=1, ge=1, le=256, description="Processes, of those there are.")]
    priority: Annotated[Priority, Field(default="normal", description=PRIORITY)]


class Audit(Wire):
    """An audit: its job and, once that is done, what it counted, as signed, and its files."""

    job: Job
    sums: dict[str, Any] | None
    files: list[str]


@router.get("/v1/audit-sources", summary="Catalogues that may be audited", responses=declare_problems(503))
def list_sources(context: UsedContext) -> AuditSourceList:
    """Return the catalogues that this service's operator has named."""
    sources = read_sources(context.installation.settings).values()
    return AuditSourceList(
        sources=[AuditSourceInfo.model_validate({"name": one.name, "kind": one.kind}) for one in sources]
    )


@router.post(
    "/v1/audits",
    status_code=202,
    summary="Audit a catalogue",
    dependencies=[takes_key()],
    responses=declare_problems(404, 409, 413, 503, 507),
)
def begin_audit(body: AuditRequest, response: Response, context: UsedContext) -> Job:
    """Queue a job that says of every file what it is, counts, and signs that; `Location` is the audit."""
    check_request(context.installation.settings, body.source, tuple(body.addresses), list(body.formats))
    asked = body.model_dump(mode="json", exclude={"priority"})
    asked["workers"] = min(body.workers, MAX_WORKERS)
    row = context.jobs.submit(AUDIT, asked, priority=PRIORITIES[body.priority])
    response.headers["location"] = f"/v1/audits/{row.job_id}"
    return Job.of(row)


@router.get("/v1/audits/{job_id}", summary="An audit", responses=declare_problems(404, 503))
def get_result(job_id: JobId, context: UsedContext) -> Audit:
    """Return how far an audit is and, once it is done, its sums and files."""
    job = get_audit(context.installation, job_id)
    files = list_files(context.installation, job_id) if job.state == DONE else []
    sums = dict(read_sums(context.installation, job_id)) if files else None
    return Audit(job=Job.of(job), sums=sums, files=files)


@router.get(
    "/v1/audits/{job_id}/files/{name}",
    summary="A file of an audit",
    response_class=FileResponse,
    responses={
        **declare_problems(404, 409, 503),
        200: {
            "description": "The file",
            "content": {
                kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
                for kind in MEDIA_TYPES.values()
            },
        },
    },
)
def get_file(job_id: JobId, name: Literal[FILES], context: UsedContext) -> FileResponse:  # type: ignore[valid-type]
    """Return the manifest, the rows, or another form of them; `provenote check-manifest` checks them all."""
    path = find_file(context.installation, job_id, name)
    return FileResponse(
        path, media_type=MEDIA_TYPES[PurePath(name).suffix], filename=f"audit-{job_id}-{name}"
    )


@router.delete(
    "/v1/audits/{job_id}",
    status_code=204,
    summary="Remove the files of an audit",
    responses=declare_problems(404, 409, 503),
)
def remove_result(job_id: JobId, context: UsedContext) -> None:
    """Remove what an audit that has ended left; cancelling one is `DELETE /v1/jobs/{job_id}`."""
    remove_audit(context.installation, job_id)
