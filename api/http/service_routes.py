"""The service itself: whether it lives, whether it can be given requests, and its figures."""

import importlib.metadata
import os
import shutil

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from ledger.errors import LedgerError

from ..access import Scope
from ..errors import OverloadError
from ..publishing import read_published
from ..scrubbing import read_progress
from ..settings import Settings
from .authorisation import open_to_all, require_scope
from .context import Context, UsedContext
from .problems import declare_problems
from .schemas import Health, Readiness

router = APIRouter(tags=["service"])
FREE_BYTES = 256 << 20
"""With less on the disk of the ledger folder no uploads are taken any more: the record must go on."""


@router.get(
    "/health",
    summary="Whether the service lives",
    dependencies=[open_to_all()],
    responses=declare_problems(503),
)
def get_health(context: UsedContext) -> Health:
    """Say that the process answers, and how its ledger stands; without its database it is `degraded`."""
    settings = context.installation.settings
    published, scrubbed = read_published(settings), read_progress(settings.scrubbing)
    try:
        size: int | None = context.installation.store.state().size
    except LedgerError:
        size = None
    return Health(
        status="ok" if size is not None else "degraded",
        version=importlib.metadata.version("provenote"),
        ledger_size=size,
        published_size=published.size if published else None,
        witnessed=published.witnessed if published else False,
        alarms=list(published.alarms) if published else [],
        damaged=sorted({item["index"] for item in scrubbed.known if item["index"] is not None}),
    )


@router.get(
    "/ready",
    summary="Whether requests may be sent here",
    dependencies=[open_to_all()],
    responses=declare_problems(503),
)
def get_readiness(context: UsedContext) -> Readiness:
    """Look whether database, queue and ledger folder can be used; 503 names what cannot."""
    missing = find_missing(context)
    if missing:
        raise OverloadError(f"not ready: {'; '.join(missing)}")
    return Readiness(ready=True)


def find_missing(context: Context) -> list[str]:
    """Return what stands in the way of taking requests."""
    missing = ["the service is stopping"] if context.is_stopping() else []
    for name, look in (
        ("database", context.installation.store.state),
        ("queue", context.jobs.queue.is_empty),
    ):
        try:
            look()
        except LedgerError:
            missing.append(f"the {name} does not answer")
    return missing + _find_folder_faults(context.installation.settings)


def _find_folder_faults(settings: Settings) -> list[str]:
    try:
        free = shutil.disk_usage(settings.incoming).free
    except OSError:
        return ["the ledger folder is gone"]
    faults = [] if os.access(settings.incoming, os.W_OK) else ["the ledger folder cannot be written to"]
    return faults if free >= FREE_BYTES else [*faults, f"{free >> 20} MiB are left on its disk"]


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    dependencies=[require_scope(Scope.OPERATOR)],
    response_class=Response,
    responses={
        **declare_problems(503),
        200: {
            "description": "Prometheus' text format",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
    },
)
def get_metrics(context: UsedContext) -> Response:
    """Return counts of requests and verifications, and how ledger, jobs, publication and scrubbing stand."""
    return Response(
        context.metrics.format(context.installation), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4}
    )
