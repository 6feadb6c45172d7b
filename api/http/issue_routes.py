"""Issuing and stamping: both are jobs, both for issuers alone."""

import json
import secrets
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

import generator
import ledger

from ..access import Scope
from ..declaration import parse_declaration
from ..installation import Installation
from ..issuing import Issued, issue, stamp
from ..margin import Margin, MarginPolicy, parse_margin
from ..marking import CancelCheck, Progress, Strength
from ..registry import DONE
from ..release import name_asset
from ..resemblance import ResemblancePolicy
from ..source import Encoding
from .authorisation import require_scope
from .context import UsedContext
from .problems import declare_problems
from .schemas import IF_KNOWN, MARGIN_POLICY, STRENGTH, IssueRequest, Job, JobId
from .uploads import UPLOAD_BODY, receive_upload

router = APIRouter(dependencies=[require_scope(Scope.ISSUER)])


@router.post(
    "/v1/tracks",
    status_code=202,
    tags=["issue"],
    summary="Issue a track from a prompt",
    responses=declare_problems(413, 503, 507),
)
def issue_track(body: IssueRequest, response: Response, context: UsedContext) -> Job:
    """Queue a job that generates a track, marks, signs and logs it; `Location` is the job's address."""
    request = generator.Request(
        prompt=body.prompt,
        seconds=body.seconds,
        seed=secrets.randbelow(1 << 32) if body.seed is None else body.seed,
        abc=body.abc,
        parameters=body.parameters,
    )

    def work(track_id: str, progress: Progress, cancelled: CancelCheck) -> Issued:
        return issue(
            context.installation,
            context.engine.get(),
            request,
            encoding=Encoding(body.format, body.bits),
            margin=body.margin,
            strength=body.strength,
            resemblance=body.if_known,
            track_id=track_id,
            progress=progress,
            cancelled=cancelled,
        )

    row = context.jobs.submit("issue", {**body.model_dump(), "seed": request.seed}, work, lambda: None)
    response.headers["location"] = f"/v1/jobs/{row.job_id}"
    return Job.of(row)


@router.post(
    "/v1/stamps",
    status_code=202,
    tags=["issue"],
    summary="Stamp a recording",
    responses=declare_problems(400, 413, 415, 503, 507),
    openapi_extra=UPLOAD_BODY,
)
async def stamp_recording(
    request: Request,
    response: Response,
    context: UsedContext,
    title: Annotated[str | None, Query(max_length=200, description="Title of the recording.")] = None,
    artist: Annotated[str | None, Query(max_length=200, description="Who plays.")] = None,
    isrc: Annotated[str | None, Query(max_length=32, description="Such as NLA012600001.")] = None,
    source_type: Annotated[
        str | None, Query(max_length=120, description="A term of IPTC's digital source types.")
    ] = None,
    container: Annotated[str, Query(alias="format", pattern="^(flac|wav)$")] = "flac",
    bits: Annotated[int, Query(description="16 or 24", ge=16, le=24, multiple_of=8)] = 24,
    margin: Annotated[MarginPolicy, Query(description=MARGIN_POLICY)] = MarginPolicy.REPORT,
    strength: Annotated[Strength, Query(description=STRENGTH)] = Strength.DEFAULT,
    if_known: Annotated[ResemblancePolicy, Query(description=IF_KNOWN)] = ResemblancePolicy.REFUSE,
) -> Job:
    """Queue a job that marks, signs and logs the uploaded recording; `Location` is the job's address."""
    declared = parse_declaration(title=title, artist=artist, isrc=isrc, source_type=source_type)
    path = await receive_upload(request, context.installation.settings)

    def work(track_id: str, progress: Progress, cancelled: CancelCheck) -> Issued:
        return stamp(
            context.installation,
            path,
            title="untitled",
            declared=declared,
            encoding=Encoding(container, bits),
            margin=margin,
            strength=strength,
            resemblance=if_known,
            track_id=track_id,
            progress=progress,
            cancelled=cancelled,
        )

    try:
        asked = {
            "title": title,
            "artist": artist,
            "isrc": isrc,
            "source_type": source_type,
            "format": container,
            "bits": bits,
            "margin": margin.value,
            "strength": strength.value,
            "if_known": if_known.value,
        }
        row = context.jobs.submit("stamp", asked, work, lambda: path.unlink(missing_ok=True))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    response.headers["location"] = f"/v1/jobs/{row.job_id}"
    return Job.of(row)


@router.get(
    "/v1/jobs/{job_id}", tags=["issue"], summary="State of a job", responses=declare_problems(404, 503)
)
def get_job(job_id: JobId, context: UsedContext) -> Job:
    """Return how far a job got, and why it failed if it did."""
    row = context.installation.registry.get_job(job_id)
    return Job.of(row, _read_margin(context.installation, row.track_id) if row.state == DONE else None)


def _read_margin(installation: Installation, track_id: str) -> Margin | None:
    """Return the margin that the track's first statement states, its signature checked."""
    history = installation.store.chain(name_asset(track_id))
    if not history:
        return None
    _, entry = history[0]
    opened = ledger.open_envelope(entry, installation.public.issuers)
    return parse_margin(json.loads(opened.payload)["predicate"])


@router.delete(
    "/v1/jobs/{job_id}",
    status_code=202,
    tags=["issue"],
    summary="Cancel a job",
    responses=declare_problems(404, 409, 503),
)
def cancel_job(job_id: JobId, context: UsedContext) -> Job:
    """Ask a job to stop; it ends as `cancelled`, or as `done` if its track was logged before."""
    return Job.of(context.jobs.cancel(job_id))
