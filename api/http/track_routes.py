"""Verifying files, and everything public about a track; its audio and its opened bundle need a key."""

import json
import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

import ledger
from ledger import make_bundle

from ..access import Caller, Scope
from ..audiocode import code_file
from ..coarse import coarsen_axis
from ..collecting import collect_evidence
from ..custody import check_custody
from ..errors import MissingError
from ..likeness import identify_sound
from ..listening import listen
from ..openings import list_openings
from ..passingfiles import name_passing
from ..recipients import open_personal
from ..release import name_asset
from ..rendering import Rendering
from ..report import format_likeness
from ..verification import verify
from ..waveform import PeakMeter
from .admission import ask_detector, limit_length, limit_versions
from .authorisation import open_to_all, require_scope
from .context import Context, UsedContext
from .negotiation import HTML, JSON, PDF, choose_form
from .problems import declare_problems
from .report_routes import FORMS, AcceptHeader, answer_rendering
from .schemas import (
    Custody,
    CustodyItem,
    Fault,
    Match,
    Recognition,
    Statement,
    Track,
    TrackId,
    TrackList,
    VerificationReport,
)
from .uploads import UPLOAD_BODY, receive_upload

router = APIRouter(dependencies=[open_to_all()])
AnyCaller = Annotated[Caller, open_to_all()]
MEDIA_TYPES = {"flac": "audio/flac", "wav": "audio/wav"}
SCORES = {"abc": ("score.abc", "text/vnd.abc"), "midi": ("score.mid", "audio/midi")}


def _binary(*media: str) -> dict[int | str, dict[str, object]]:
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in media}
    return {200: {"description": "The file's bytes", "content": content}}


@router.post(
    "/v1/verifications",
    tags=["verify"],
    summary="Verify a recording",
    response_model=VerificationReport,
    responses={
        **declare_problems(400, 413, 415, 422, 429, 503, 507),
        200: {"description": "The signed report, in the form that `Accept` asks for", "content": FORMS},
    },
    openapi_extra=UPLOAD_BODY,
)
async def verify_recording(
    request: Request,
    context: UsedContext,
    caller: Annotated[Caller, ask_detector()],
    accept: AcceptHeader = None,
) -> VerificationReport | Response:
    """Say what is known about the uploaded file, in a signed report. The file is not kept.

    Without a key the report is coarse, and files are counted: for each address, and for each track. As a page
    or a PDF, by `Accept`, it has the file's waveform as well.
    """
    form = choose_form(accept, (JSON, HTML, PDF))
    path = await receive_upload(request, context.installation.settings)

    def work() -> VerificationReport | Response:
        meter = PeakMeter()
        meters = () if form == JSON else (meter,)
        with context.take_place():
            begun_s = time.perf_counter()
            report = verify(
                limit_length(context, caller),
                path,
                meters=meters,
                coarse=not caller.known,
                admit=limit_versions(context, caller),
            )
            context.metrics.count_verification(report.verdict.code, time.perf_counter() - begun_s)
        if form == JSON:
            return VerificationReport.model_validate(report.document())
        origin = context.installation.public.origin
        return answer_rendering(Rendering(report, origin, meter.finish()), form)

    try:
        return await run_in_threadpool(work)
    finally:
        path.unlink(missing_ok=True)


@router.post(
    "/v1/identifications",
    tags=["verify"],
    summary="Identify a recording",
    responses=declare_problems(400, 413, 415, 429, 503, 507),
    openapi_extra=UPLOAD_BODY,
)
async def identify_recording(
    request: Request, context: UsedContext, caller: Annotated[Caller, ask_detector()]
) -> Recognition:
    """Say which recordings of the catalogue the uploaded clip is, by its sound alone. It is not kept.

    Without a key the figures are coarse, and files are counted for each address.
    """
    path = await receive_upload(request, context.installation.settings)

    def work() -> Recognition:
        with context.take_place():
            heard = listen(path, limits=limit_length(context, caller).settings.limits)
            found = identify_sound(context.installation, heard.query)
            code = code_file(path, context.installation.settings.limits)
        told = [format_likeness(item) for item in found.matches]
        if not caller.known:
            told = coarsen_axis(told)
        matches = [Match.model_validate(item) for item in told]
        return Recognition(known=bool(matches), seconds=heard.seconds, iscc=code, matches=matches)

    try:
        return await run_in_threadpool(work)
    finally:
        path.unlink(missing_ok=True)


@router.get("/v1/tracks", tags=["tracks"], summary="List tracks", responses=declare_problems(503))
def list_tracks(
    context: UsedContext,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str, Query(pattern="^([a-z2-7]{16})?$", description="`next` of the page before.")] = "",
) -> TrackList:
    """Return released tracks, a page at a time."""
    rows = context.installation.registry.list_tracks(limit=limit + 1, after=after)
    tracks = [Track.of(row) for row in rows[:limit]]
    return TrackList(tracks=tracks, next=tracks[-1].track_id if len(rows) > limit else None)


@router.get("/v1/tracks/{track_id}", tags=["tracks"], summary="A track", responses=declare_problems(404, 503))
def get_track(track_id: TrackId, context: UsedContext) -> Track:
    """Return a track's public facts, as registered; `statement` has the signed ones."""
    return Track.of(context.installation.registry.get_released(track_id))


@router.get(
    "/v1/tracks/{track_id}/statement",
    tags=["tracks"],
    summary="The newest statement about a track",
    responses=declare_problems(404, 503),
)
def get_statement(track_id: TrackId, context: UsedContext) -> Statement:
    """Return the newest statement, its signatures checked against the trusted issuers, with its envelope."""
    installation = context.installation
    installation.registry.get_released(track_id)
    index, entry = installation.store.chain(name_asset(track_id))[-1]
    opened = ledger.open_envelope(entry, installation.public.issuers)
    return Statement(
        index=index,
        key_ids=list(opened.key_ids),
        statement=json.loads(opened.payload),
        envelope=json.loads(entry),
    )


@router.get(
    "/v1/tracks/{track_id}/custody",
    tags=["tracks"],
    summary="The custody chain of a track",
    responses=declare_problems(404, 503),
)
def get_custody(track_id: TrackId, context: UsedContext) -> Custody:
    """Check a track's whole history against the log's newest checkpoint, and return it or what is wrong."""
    installation = context.installation
    installation.registry.get_released(track_id)
    found = check_custody(installation.store, installation.public, name_asset(track_id)).evidence
    fault = found.fault
    return Custody(
        origin=found.origin,
        size=found.size,
        root=found.root,
        events=[
            CustodyItem(
                index=item.index,
                leaf_hash=item.leaf_hash,
                event=item.event,
                time=item.time,
                key_ids=list(item.key_ids),
                disputed=item.disputed,
            )
            for item in found.events
        ],
        status=found.status,
        fault=None if fault is None else Fault(index=fault.index, code=fault.code, message=fault.message),
    )


@router.get(
    "/v1/tracks/{track_id}/bundle",
    tags=["tracks"],
    summary="The custody bundle of a track",
    response_class=Response,
    responses={
        **declare_problems(404, 503),
        200: {
            "description": "RFC 8785 JSON",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
    },
)
def get_bundle(track_id: TrackId, context: UsedContext, caller: AnyCaller) -> Response:
    """Return what checks the track offline. For issuers and auditors it also opens the commitments."""
    installation = context.installation
    track = installation.registry.get_released(track_id)
    openings: tuple[ledger.Opening, ...] = ()
    mark = installation.registry.get_mark_of(track_id) if caller.may(Scope.ISSUER, Scope.AUDITOR) else None
    if mark is not None:
        credits = installation.registry.list_credits(track_id)
        openings = (
            *list_openings(track, mark, credits),
            *open_personal(installation, track_id),
        )
    evidence = collect_evidence(installation, name_asset(track_id))
    content = make_bundle(installation.store, name_asset(track_id), openings=openings, evidence=evidence)
    headers = {"content-disposition": f'attachment; filename="{track_id}.bundle.json"'}
    return Response(content, 200, headers, "application/json")


@router.get(
    "/v1/tracks/{track_id}/audio",
    tags=["tracks"],
    summary="The audio of a track",
    response_class=FileResponse,
    dependencies=[require_scope(Scope.ISSUER, Scope.AUDITOR, Scope.CASE_WORKER)],
    responses={**declare_problems(404, 503), **_binary("audio/flac", "audio/wav")},
)
def get_audio(track_id: TrackId, context: UsedContext) -> FileResponse:
    """Return the released file, byte for byte."""
    track = context.installation.registry.get_released(track_id)
    path = context.installation.settings.tracks / track_id / track.audio_name
    if path.is_file() or context.installation.objects is None:
        return _send_file(context, track_id, track.audio_name, MEDIA_TYPES[track.container])
    fetched = name_passing(context.installation.settings)
    context.installation.objects.fetch(track_id, track.audio_name, fetched, sha256=track.file_sha256)
    return FileResponse(
        fetched,
        media_type=MEDIA_TYPES[track.container],
        filename=f"{track_id}{path.suffix}",
        background=BackgroundTask(fetched.unlink, missing_ok=True),
    )


@router.get(
    "/v1/tracks/{track_id}/score/{notation}",
    tags=["tracks"],
    summary="The score of a generated track",
    response_class=FileResponse,
    dependencies=[require_scope(Scope.ISSUER, Scope.AUDITOR, Scope.CASE_WORKER)],
    responses={**declare_problems(404, 503), **_binary("text/vnd.abc", "audio/midi")},
)
def get_score(track_id: TrackId, notation: Literal["abc", "midi"], context: UsedContext) -> FileResponse:
    """Return the score, as ABC notation or as a Standard MIDI File."""
    context.installation.registry.get_released(track_id)
    name, media_type = SCORES[notation]
    return _send_file(context, track_id, name, media_type)


def _send_file(context: Context, track_id: str, name: str, media_type: str) -> FileResponse:
    path = context.installation.settings.tracks / track_id / name
    if not path.is_file():
        raise MissingError(f"track {track_id} has no {name}")
    return FileResponse(path, media_type=media_type, filename=f"{track_id}{path.suffix}")
