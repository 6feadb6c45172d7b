"""Jobs: their state, cancelling, and their progress as server-sent events.

    GET /v1/jobs/9f86d081884c7d65/events

    retry: 2000

    event: running
    id: 7
    data: {"job_id": "9f86d081884c7d65", "state": "running", "stage": "mark", "fraction": 0.4, ...}

    event: done
    id: 9
    data: {...}

An event is the whole job (as `GET /v1/jobs/{job_id}` gives it) after a change, named by its state. Its id is
the row's version: a client that comes back with `Last-Event-ID` hears of what has changed since, by whichever
process it is answered. After the event of a job that has ended the stream ends, and a client that asks once
more is told 204, at which an EventSource stops asking.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

import ledger

from ..access import Caller, Scope
from ..auditjob import AUDIT
from ..errors import MissingError
from ..installation import Installation
from ..jobtable import DONE, UNFINISHED, JobRow
from ..margin import Margin, parse_margin
from ..release import name_asset
from .authorisation import require_scope
from .context import Context, UsedContext
from .job_schemas import Job, JobId
from .problems import declare_problems

SCOPES = {AUDIT: Scope.AUDITOR}
"""Whose the jobs of a kind are; those of all others are issuers'."""
router = APIRouter()
AnyOwner = Annotated[Caller, require_scope(Scope.ISSUER, Scope.AUDITOR)]
LOOK_S = 0.25
"""Between two looks at the row of a job that is streamed."""
QUIET_S = 15.0
"""After this long without an event a comment is sent: proxies close connections that are silent."""
RETRY_MS = 2000
Answer = TypeVar("Answer")


@router.get(
    "/v1/jobs/{job_id}", tags=["issue"], summary="State of a job", responses=declare_problems(404, 503)
)
def get_job(job_id: JobId, context: UsedContext, caller: AnyOwner) -> Job:
    """Return how far a job got, and why it failed if it did."""
    return describe_job(context.installation, find_job(context, caller, job_id))


@router.delete(
    "/v1/jobs/{job_id}",
    status_code=202,
    tags=["issue"],
    summary="Cancel a job",
    responses=declare_problems(404, 409, 503),
)
def cancel_job(job_id: JobId, context: UsedContext, caller: AnyOwner) -> Job:
    """Ask a job to stop; it ends as `cancelled`, or as `done` if its track was logged before."""
    find_job(context, caller, job_id)
    return Job.of(context.jobs.cancel(job_id))


@router.get(
    "/v1/jobs/{job_id}/events",
    tags=["issue"],
    summary="Progress of a job, as it happens",
    response_class=StreamingResponse,
    responses={
        **declare_problems(404, 503),
        200: {
            "description": "Server-sent events until the job has ended",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The job had ended by the event that `Last-Event-ID` names."},
    },
)
def stream_job(
    job_id: JobId,
    context: UsedContext,
    caller: AnyOwner,
    last_event_id: Annotated[
        str | None, Header(description="Id of the last event that was received.", pattern="^[0-9]{0,18}$")
    ] = None,
) -> Response:
    """Send an event for each change of the job, beginning with how it stands now."""
    job = find_job(context, caller, job_id)
    seen = int(last_event_id or 0)
    if job.state not in UNFINISHED and seen == job.version:
        return Response(status_code=204)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}  # nginx would collect the events
    return StreamingResponse(_watch(context, job, seen), media_type="text/event-stream", headers=headers)


def find_job(context: Context, caller: Caller, job_id: str) -> JobRow:
    """Return a job that is the caller's to see; MissingError for any other."""
    job = context.installation.jobs.get(job_id)
    if not caller.may(SCOPES.get(job.kind, Scope.ISSUER)):
        raise MissingError(f"no job {job_id!r:.80} that this key may see")
    return job


async def _watch(context: Context, job: JobRow, seen: int) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=RETRY_MS)
    told_s = time.monotonic()
    while True:
        if job.version != seen:  # not "greater": a wrong id must not silence the stream
            seen, told_s = job.version, time.monotonic()
            described = await _read(context, describe_job, context.installation, job)
            yield format_sse_event(event=job.state, id=str(seen), data_str=described.model_dump_json())
        if job.state not in UNFINISHED or context.is_stopping():
            return
        if time.monotonic() - told_s >= QUIET_S:
            told_s = time.monotonic()
            yield format_sse_event(comment="still there")
        await asyncio.sleep(LOOK_S)
        job = await _read(context, context.installation.jobs.get, job.job_id)


async def _read(context: Context, ask: Callable[..., Answer], *arguments: Any) -> Answer:
    """Ask the database in a thread; a few are kept for streams, so that they cannot take those of others."""
    return await anyio.to_thread.run_sync(ask, *arguments, limiter=context.stream_threads)


def describe_job(installation: Installation, row: JobRow) -> Job:
    """Return what is told of a job, with the margin of its track once there is one."""
    return Job.of(row, _read_margin(installation, row.track_id) if row.state == DONE else None)


def _read_margin(installation: Installation, track_id: str) -> Margin | None:
    """Return the margin that the track's first statement states, its signature checked."""
    history = installation.store.chain(name_asset(track_id))
    if not history:
        return None
    _, entry = history[0]
    opened = ledger.open_envelope(entry, installation.public.issuers)
    return parse_margin(json.loads(opened.payload)["predicate"])
