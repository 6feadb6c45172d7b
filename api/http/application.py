"""The application: routes, errors, limits on bodies, what is opened at its start and closed at its end."""

import contextlib
import importlib.metadata
import re
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..childprocess import keep_warm
from ..decoding import DECODER
from ..engines import EngineRack
from ..errors import SlowBodyError, TooLargeError
from ..idempotency import RequestKeys
from ..indextending import make_tender
from ..installation import open_installation
from ..jobs import Jobs, format_problem
from ..keyring import load_token_hash
from ..labels import READER
from ..leading import Lead
from ..manifests import ManifestIndex
from ..oidc import TokenChecker
from ..publishing import Publisher
from ..quotas import load_name_key, open_quotas
from ..rounds import Rounds
from ..scrubbing import make_scrubber
from ..settings import Settings
from ..web.application import add_pages
from ..worker import Worker, settle
from . import (
    access_routes,
    audit_routes,
    case_check_routes,
    case_intake_routes,
    case_routes,
    issue_routes,
    job_routes,
    log_routes,
    release_routes,
    report_routes,
    sbr_routes,
    service_routes,
    stay_down_routes,
    tile_routes,
    track_routes,
)
from .authorisation import describe_security
from .context import Context
from .metrics import Metrics
from .problems import Problem, add_handlers, answer, declare_problems
from .protection import add_protection
from .tracing import RequestTrace
from .trail import AuditTrail

JSON_BODY_BYTES = 64 << 10
STREAM_THREADS = 4
"""Threads that look after jobs for the streams of their events."""
UPLOAD_PATHS = re.compile(
    "/v1/(identifications|release-checks|stamps|verifications|(case-files|stay-down)/checks)"
    "|/v1/cases/[a-z2-7]{16}/(clips|recordings)|/c2pa/matches/byContent"
    "|/verify|/desk/recordings|/desk/cases/(checks|[a-z2-7]{16}/clips)"
)
DESCRIPTION = """Provenance for audio: issue and stamp tracks, verify files, check proofs.

Verifying and reading are open; the other routes need an API key, and say with which scope: `provenote access
create` makes keys, and the token that `provenote init` shows once may do everything. Every error is an RFC
9457 problem. A custody record is evidence of who stamped what and when; it never proves authorship or
infringement."""
TAGS = [
    {"name": "verify", "description": "What is known about a file."},
    {"name": "issue", "description": "New tracks, as jobs. For issuers."},
    {"name": "tracks", "description": "Registered tracks and their history."},
    {"name": "audits", "description": "What is what in a catalogue, as jobs. For auditors."},
    {"name": "cases", "description": "Notices, verification requests, decisions, stay-down."},
    {"name": "log", "description": "The transparency log: checkpoints, entries, proofs, keys."},
    {"name": "access", "description": "Who did what. For operators."},
    {"name": "c2pa", "description": "C2PA Soft Binding Resolution API 2.4."},
    {"name": "service", "description": "The service itself."},
]


def create_app(settings: Settings, *, is_stopping: Callable[[], bool] = lambda: False) -> FastAPI:
    """Build the service for a ledger folder; the folder is opened when the application starts.

    `is_stopping` is asked by streams of events, which end by it.
    """

    metrics = Metrics()

    @contextlib.asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(keep_warm(DECODER, READER))
            installation = stack.enter_context(open_installation(settings))
            engines = EngineRack.of(settings)
            quotas = open_quotas(settings)
            stack.callback(quotas.close)
            request_keys = RequestKeys(
                settings.database_url,
                load_name_key(settings),
                kept_hours=settings.access.request_key_hours,
            )
            stack.callback(request_keys.close)
            jobs = Jobs(installation)
            stack.callback(jobs.close)
            lead = Lead(settings)
            stack.callback(lead.close)
            settle(installation)
            parts: list[Publisher | Rounds | Worker] = [
                Publisher(installation, lead),
                make_scrubber(installation, lead, settings.scrub_interval_s),
                make_tender(installation, lead),
                *(Worker(installation, jobs.queue, engines) for _ in range(settings.job_workers)),
            ]
            for part in parts:
                part.start()
                stack.callback(part.close)
            app.state.context = Context(
                installation=installation,
                jobs=jobs,
                token_hash=load_token_hash(settings),
                places=threading.BoundedSemaphore(settings.verifications),
                metrics=metrics,
                quotas=quotas,
                request_keys=request_keys,
                stream_threads=anyio.CapacityLimiter(STREAM_THREADS),
                is_stopping=is_stopping,
                engines=engines,
                manifests=ManifestIndex(installation),
                oidc=open_checker(settings),
            )
            yield

    app = FastAPI(
        title="Provenote",
        version=importlib.metadata.version("provenote"),
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=run,
        docs_url=None,  # the documentation page would load its scripts from somebody else's server
        redoc_url=None,
        openapi_url="/openapi.json",
        telemetry={"logs": False, "operation_spans": False, "exclude": has_query},
    )
    for module in (
        track_routes,
        report_routes,
        release_routes,
        audit_routes,
        issue_routes,
        job_routes,
        case_intake_routes,
        case_routes,
        case_check_routes,
        stay_down_routes,
        log_routes,
        tile_routes,
        sbr_routes,
        access_routes,
        service_routes,
    ):
        app.include_router(module.router)
    app.include_router(stay_down_routes.upload_router)
    add_pages(app)
    add_handlers(app)
    app.add_middleware(JsonBodyLimit)
    app.add_middleware(AuditTrail)
    add_protection(app, settings.access)
    app.add_middleware(RequestTrace, metrics=metrics)  # the last one added is the outermost
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]
    return app


def has_query(scope: Scope) -> bool:
    """Keep a request out of OpenTelemetry traces: its query, which may be a title, would be in them."""
    return bool(scope.get("query_string"))


def open_checker(settings: Settings) -> TokenChecker | None:
    """Return what checks the tokens of an OpenID Connect provider, where one is set."""
    oidc = settings.access.oidc
    return None if oidc is None else TokenChecker(oidc, load_name_key(settings))


def _describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the problem schema that every route refers to."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        describe_security(document)
        _describe_bodies(document)
        schema = Problem.model_json_schema()
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = schema
        app.openapi_schema = document
    return app.openapi_schema


def _describe_bodies(document: dict[str, Any]) -> None:
    """Add what every route with a body may answer: broken text, too slow, too large."""
    for operation in (item for methods in document["paths"].values() for item in methods.values()):
        if "requestBody" in operation:
            for status, answer_to in declare_problems(400, 408, 413).items():
                operation["responses"].setdefault(str(status), answer_to)


class JsonBodyLimit:
    """Refuse bodies over 64 KiB where no upload is expected: the framework would read them whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or UPLOAD_PATHS.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        received = bytearray()
        more = True
        while more:
            try:
                message = await receive()
            except SlowBodyError as late:
                await answer(format_problem(late))(scope, receive, send)
                return
            if message["type"] == "http.disconnect":
                return
            received += message.get("body", b"")
            more = message.get("more_body", False)
            if len(received) > JSON_BODY_BYTES:
                error = TooLargeError(f"expected at most {JSON_BODY_BYTES} bytes, got more")
                await answer(format_problem(error))(scope, receive, send)
                return
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": bytes(received), "more_body": False}

        await self._app(scope, replay, send)
