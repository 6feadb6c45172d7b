"""Issuing and stamping: both are jobs (`job_routes`), both for issuers alone."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ..access import Scope
from ..declaration import parse_declaration
from ..factors import parse_factors
from ..incipit import decode_midi, read_incipit
from ..margin import MarginPolicy
from ..marking import Strength
from ..resemblance import ResemblancePolicy
from .authorisation import require_scope
from .context import UsedContext
from .idempotent import IdempotentRoute, takes_key
from .job_schemas import (
    IF_KNOWN,
    MARGIN_POLICY,
    OVERSIGHT,
    PRIORITIES,
    PRIORITY,
    ROYALTY_CLASS,
    STRENGTH,
    EngineInfo,
    EngineList,
    IssueRequest,
    Job,
    Priority,
)
from .problems import declare_problems
from .uploads import UPLOAD_BODY, receive_upload

router = APIRouter(route_class=IdempotentRoute, dependencies=[require_scope(Scope.ISSUER)])


@router.post(
    "/v1/tracks",
    status_code=202,
    tags=["issue"],
    summary="Issue a track from a prompt",
    dependencies=[takes_key()],
    responses=declare_problems(409, 413, 503, 507),
)
def issue_track(body: IssueRequest, response: Response, context: UsedContext) -> Job:
    """Queue a job that generates a track, marks, signs and logs it; `Location` is the job's address.

    `GET /v1/engines` lists the engines that can be asked for.
    """
    context.engines.find(body.engine)
    parse_factors(oversight=body.oversight, royalty_class=body.royalty_class)
    seed = secrets.randbelow(1 << 32) if body.seed is None else body.seed
    abc = read_incipit(abc=body.abc, midi=decode_midi(body.midi), parameters=body.parameters)
    asked = {**body.model_dump(mode="json", exclude={"priority", "midi"}), "abc": abc, "seed": seed}
    row = context.jobs.submit("issue", asked, priority=PRIORITIES[body.priority])
    response.headers["location"] = f"/v1/jobs/{row.job_id}"
    return Job.of(row)


@router.get(
    "/v1/engines", tags=["issue"], summary="Engines that can be asked for", responses=declare_problems(503)
)
def list_engines(context: UsedContext) -> EngineList:
    """Return the engines that are set up; none is loaded for it."""
    return EngineList(engines=[EngineInfo.of(item) for item in context.engines.list()])


@router.post(
    "/v1/stamps",
    status_code=202,
    tags=["issue"],
    summary="Stamp a recording",
    dependencies=[takes_key()],
    responses=declare_problems(400, 409, 413, 415, 503, 507),
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
    oversight: Annotated[str | None, Query(max_length=32, description=OVERSIGHT)] = None,
    royalty_class: Annotated[str | None, Query(max_length=32, description=ROYALTY_CLASS)] = None,
    training_class: Annotated[
        list[str] | None,
        Query(max_length=3, description="Of the data that a model was trained on; may be repeated."),
    ] = None,
    container: Annotated[str, Query(alias="format", pattern="^(flac|wav)$")] = "flac",
    bits: Annotated[int, Query(description="16 or 24", ge=16, le=24, multiple_of=8)] = 24,
    margin: Annotated[MarginPolicy, Query(description=MARGIN_POLICY)] = MarginPolicy.REPORT,
    strength: Annotated[Strength, Query(description=STRENGTH)] = Strength.DEFAULT,
    if_known: Annotated[ResemblancePolicy, Query(description=IF_KNOWN)] = ResemblancePolicy.REFUSE,
    priority: Annotated[Priority, Query(description=PRIORITY)] = "normal",
) -> Job:
    """Queue a job that marks, signs and logs the uploaded recording; `Location` is the job's address."""
    # What cannot be declared is said now, not by a job that fails.
    parse_declaration(title=title, artist=artist, isrc=isrc, source_type=source_type)
    parse_factors(oversight=oversight, royalty_class=royalty_class, training_classes=training_class or [])
    path = await receive_upload(request, context.installation.settings)
    asked = {
        "title": title,
        "artist": artist,
        "isrc": isrc,
        "source_type": source_type,
        "oversight": oversight,
        "royalty_class": royalty_class,
        "training_class": training_class or [],
        "format": container,
        "bits": bits,
        "margin": margin.value,
        "strength": strength.value,
        "if_known": if_known.value,
    }
    row = await run_in_threadpool(
        context.jobs.submit, "stamp", asked, upload=path, priority=PRIORITIES[priority]
    )
    response.headers["location"] = f"/v1/jobs/{row.job_id}"
    return Job.of(row)
