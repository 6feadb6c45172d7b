"""The issue desk: a prompt or a recording goes in, a job with progress comes of it, then player and score.

For issuers who have signed in. What is asked for is checked and queued as the interface does it.
"""

import secrets
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from ..access import Scope
from ..declaration import SOURCE_TYPES, parse_declaration
from ..errors import MissingError, RefusedError
from ..http.authorisation import require_scope
from ..http.context import Context, UsedContext
from ..http.job_routes import describe_job, find_job, stream_job
from ..http.job_schemas import PRIORITIES, IssueRequest, JobId
from ..http.schemas import TrackId
from ..http.track_routes import get_audio, get_score
from ..incipit import MAX_MIDI_BYTES, read_incipit
from ..jobtable import UNFINISHED
from ..margin import MarginPolicy
from ..marking import Strength
from ..outcomes import EXPECTED, classify, describe
from ..resemblance import ResemblancePolicy
from ..scorepicture import draw_roll, engrave
from .forms import receive_form
from .rendering import render
from .sessions import Session, UsedSession, check_form_token, check_same_site, with_session
from .textforms import read_form

router = APIRouter(prefix="/desk", dependencies=[with_session(), require_scope(Scope.ISSUER)])
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""A picture of notation brings its own style, and needs nothing else."""
EXAMPLES = ("slow waltz in D minor, piano", "lively jig in G, fiddle and guitar", "calm air, flute and harp")


@router.get("")
def show_desk(request: Request, context: UsedContext, session: UsedSession) -> Response:
    """Show both forms, and the newest tracks."""
    return _show_forms(request, context, session, {}, "")


def _show_forms(
    request: Request, context: Context, session: Session | None, values: Mapping[str, str], refused: str
) -> Response:
    return render(
        request,
        "desk.html",
        status=422 if refused else 200,
        values=values,
        refused=refused,
        tracks=context.installation.registry.list_newest(limit=8),
        form_token=session.form_token if session else "",
        examples=EXAMPLES,
        engines=context.engines.list(),
        source_types=sorted(SOURCE_TYPES),
        strengths=[item.value for item in Strength],
    )


@router.post("/tracks")
async def issue_track(request: Request, context: UsedContext, session: UsedSession) -> Response:
    """Queue a job that generates a track from the prompt, and from an opening where one is given."""
    form, midi = await _read_order(request, context, session)
    return await run_in_threadpool(_queue_track, request, context, session, form, midi)


async def _read_order(
    request: Request, context: Context, session: Session | None
) -> tuple[Mapping[str, str], bytes | None]:
    """Return the texts of the form, and the MIDI file where the form can carry one and does."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await read_form(request, context, session), None
    check_same_site(request, context)
    form = await receive_form(request, context.installation.settings, limit=MAX_MIDI_BYTES, required=False)
    try:
        check_form_token(session, form.texts.get("form_token", ""))
        midi = await run_in_threadpool(form.path.read_bytes)
    finally:
        form.path.unlink(missing_ok=True)
    return form.texts, midi or None


def _queue_track(
    request: Request, context: Context, session: Session | None, form: Mapping[str, str], midi: bytes | None
) -> Response:
    members = ("prompt", "seconds", "seed", "engine", "strength", "abc")
    asked = {name: form[name] for name in members if form.get(name, "").strip()}
    try:
        body = IssueRequest.model_validate(asked, strict=False)
        context.engines.find(body.engine)
        abc = read_incipit(abc=body.abc, midi=midi, parameters=body.parameters)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:4])
        return _show_forms(request, context, session, form, faults)
    except EXPECTED as error:
        if classify(error).status >= 500:
            raise
        return _show_forms(request, context, session, form, describe(error))
    seed = secrets.randbelow(1 << 32) if body.seed is None else body.seed
    wanted = {**body.model_dump(mode="json", exclude={"priority", "midi"}), "abc": abc, "seed": seed}
    row = context.jobs.submit("issue", wanted, priority=PRIORITIES[body.priority])
    return RedirectResponse(f"/desk/jobs/{row.job_id}", 303)


@router.post("/recordings")
async def stamp_recording(request: Request, context: UsedContext, session: UsedSession) -> Response:
    """Queue a job that stamps the recording in the form."""
    check_same_site(request, context)  # before gigabytes of somebody else's form are read
    form = await receive_form(request, context.installation.settings)
    try:
        check_form_token(session, form.texts.get("form_token", ""))
        declared = {
            name: form.texts.get(name, "").strip() or None
            for name in ("title", "artist", "isrc", "source_type")
        }
        if any(value is not None and len(value) > 200 for value in declared.values()):
            raise RefusedError("expected at most 200 characters in each field")
        parse_declaration(**declared)
        asked = {
            **declared,
            "format": "flac",
            "bits": 24,
            "margin": MarginPolicy.REPORT.value,
            "strength": Strength(form.texts.get("strength") or Strength.DEFAULT).value,
            "if_known": ResemblancePolicy.REFUSE.value,
        }
        row = await run_in_threadpool(
            context.jobs.submit, "stamp", asked, upload=form.path, priority=PRIORITIES["normal"]
        )
    except ValueError as error:
        raise RefusedError(f"strength: {error}") from error
    finally:
        form.path.unlink(missing_ok=True)  # the job has taken it over under another name
    return RedirectResponse(f"/desk/jobs/{row.job_id}", 303)


@router.get("/jobs/{job_id}")
def show_job(
    job_id: JobId,
    request: Request,
    context: UsedContext,
    session: UsedSession,
    part: Annotated[str, Query(pattern="^(page|state)$")] = "page",
) -> Response:
    """Show how far a job got, and what came of it."""
    job = describe_job(context.installation, find_job(context, request.state.caller, job_id))
    return render(
        request,
        "job.html" if part == "page" else "job-state.html",
        job=job,
        unfinished=job.state in UNFINISHED,
        form_token=session.form_token if session else "",
    )


@router.post("/jobs/{job_id}/cancel", dependencies=[Depends(read_form)])
def cancel_job(job_id: JobId, request: Request, context: UsedContext) -> Response:
    """Ask a job to stop."""
    find_job(context, request.state.caller, job_id)
    context.jobs.cancel(job_id)
    return RedirectResponse(f"/desk/jobs/{job_id}", 303)


router.add_api_route("/jobs/{job_id}/events", stream_job)
router.add_api_route("/tracks/{track_id}/audio", get_audio)
router.add_api_route("/tracks/{track_id}/score/{notation}", get_score)


@router.get("/tracks/{track_id}")
def show_issued(track_id: TrackId, request: Request, context: UsedContext) -> Response:
    """Show a track to its issuer: to be heard, with the picture of its score where it was generated."""
    installation = context.installation
    track = installation.registry.get_released(track_id)
    folder = installation.settings.tracks / track_id
    return render(
        request,
        "issued.html",
        track=track,
        notation=(folder / "score.abc").is_file(),
        midi=(folder / "score.mid").is_file(),
    )


@router.get("/tracks/{track_id}/picture/{kind}.svg")
def draw_score(track_id: TrackId, kind: str, context: UsedContext) -> Response:
    """Return a picture of the score: `notation`, or `roll` (also where no notation can be engraved)."""
    folder = context.installation.settings.tracks / track_id
    context.installation.registry.get_released(track_id)
    picture = None
    if kind not in ("notation", "roll"):
        raise MissingError(f"no picture {kind!r:.40}: expected notation or roll")
    try:
        if kind == "notation":
            picture = engrave((folder / "score.abc").read_text(encoding="utf-8"))
        if picture is None:
            picture = draw_roll((folder / "score.mid").read_bytes())
    except FileNotFoundError as error:
        raise MissingError(f"track {track_id} has no score") from error
    headers = {"content-security-policy": PICTURE_POLICY, "cache-control": "private, max-age=3600"}
    return Response(picture, 200, headers, "image/svg+xml")
