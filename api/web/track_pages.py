"""Pages of tracks: the list, and for each track its facts, disclosure, custody and proof."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from ..custody import check_custody
from ..disclosing import disclose_event, find_registration
from ..http.authorisation import open_to_all
from ..http.context import UsedContext
from ..http.schemas import TrackId
from ..release import name_asset
from .rendering import render
from .sessions import with_session

router = APIRouter(dependencies=[with_session(), open_to_all()])
PAGE_SIZE = 25


@router.get("/tracks")
def show_tracks(
    request: Request,
    context: UsedContext,
    after: Annotated[str, Query(pattern="^([a-z2-7]{16})?$")] = "",
) -> Response:
    """List released tracks, a page at a time."""
    rows = context.installation.registry.list_tracks(limit=PAGE_SIZE + 1, after=after)
    following = rows[PAGE_SIZE - 1].track_id if len(rows) > PAGE_SIZE else None
    return render(request, "tracks.html", tracks=rows[:PAGE_SIZE], after=after, following=following)


@router.get("/tracks/{track_id}")
def show_track(track_id: TrackId, request: Request, context: UsedContext) -> Response:
    """Show what is public of a track, its history checked just now."""
    installation = context.installation
    track = installation.registry.get_released(track_id)
    custody = check_custody(installation.store, installation.public, name_asset(track_id))
    registration = find_registration(custody.events) if custody.evidence.fault is None else None
    disclosure = disclose_event(installation, track_id, registration) if registration else None
    return render(request, "track.html", track=track, custody=custody.evidence, disclosure=disclosure)
