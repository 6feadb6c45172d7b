"""C2PA Soft Binding Resolution API 2.4: from a watermark or fingerprint back to the manifest of the released
file.

It is anonymous, and read alone: manifests get in by issuing and stamping. Where the specification says 400, a
request that does not match gets that, and not this service's own 422.
"""

import base64
import binascii
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ledger.errors import LedgerError

from ..access import Caller
from ..errors import AudioRefusedError
from ..evidence import Evidence
from ..installation import now
from ..manifests import ManifestPlace, is_watermark, list_algorithms, read_store, select_manifest
from ..verification import collect
from .admission import ask_detector, limit_length, limit_versions
from .authorisation import open_to_all
from .context import Context, UsedContext
from .problems import declare_problems
from .uploads import UPLOAD_BODY, receive_upload

PREFIX = "/c2pa"
SPEC_VERSION = "2.4.0"
CAPABILITIES = ["queryByContent"]
MAX_QUERY_CHARACTERS, MAX_VALUE_CHARACTERS, MAX_ID_CHARACTERS, MAX_RESULTS = 2048, 16_384, 256, 100


class PlainRoute(APIRoute):
    """A route whose malformed requests are answered with 400, as the specification has it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                faults = "; ".join(
                    f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5]
                )
                raise HTTPException(400, faults) from error

        return answer


router = APIRouter(route_class=PlainRoute, tags=["c2pa"])


class Lenient(BaseModel):
    """Base of what the specification defines: members that it may add are not an error."""

    model_config = ConfigDict(extra="ignore")


class BindingQuery(Lenient):
    """A soft binding: the algorithm's name, and the value in base64."""

    alg: Annotated[str, Field(max_length=256, examples=["example.provenote.watermark.pn3"])]
    value: Annotated[str, Field(max_length=MAX_VALUE_CHARACTERS)]


class ManifestMatch(Lenient):
    """A manifest that fits; it is to be had here, at `/manifests/{manifestId}`."""

    manifestId: Annotated[  # noqa: N815 - the specification's names, here and below
        str, Field(examples=["urn:c2pa:f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4"])
    ]


class QueryResult(Lenient):
    """Manifests that fit, the best first."""

    matches: list[ManifestMatch]


class Algorithm(Lenient):
    """A soft-binding algorithm by name."""

    alg: str


class Algorithms(Lenient):
    """The algorithms that are resolved here."""

    watermarks: list[Algorithm]
    fingerprints: list[Algorithm]


class Capabilities(Lenient):
    """Which of the optional operations there are."""

    c2paSpecificationVersion: str  # noqa: N815
    supportedCapabilities: list[str]  # noqa: N815


class ServiceStatus(Lenient):
    """Whether the service works now."""

    status: Literal["ok", "degraded", "down"]
    timestamp: str


class Discovery(Lenient):
    """Where the service is."""

    apiEndpoint: str  # noqa: N815
    c2paSpecificationVersion: str  # noqa: N815
    capabilitiesEndpoint: str  # noqa: N815
    statusEndpoint: str  # noqa: N815


MaxResults = Annotated[int, Query(alias="maxResults", ge=1, description=f"At most {MAX_RESULTS} are given.")]


def _decode(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HTTPException(400, f"value: expected base64, got {value[:40]!r}") from error


def _check_algorithm(context: Context, algorithm: str) -> None:
    known = [name for names in list_algorithms(context.installation) for name in names]
    if algorithm not in known:
        raise HTTPException(400, f"alg: expected one of {', '.join(known)}, got {algorithm[:80]!r}")


def _answer(places: list[ManifestPlace], most: int) -> QueryResult:
    ids = list(dict.fromkeys(place.manifest_id for place in places))
    return QueryResult(matches=[ManifestMatch(manifestId=item) for item in ids[: min(most, MAX_RESULTS)]])


def _match_binding(context: Context, algorithm: str, value: str, most: int) -> QueryResult:
    _check_algorithm(context, algorithm)
    place = context.manifests.find_bound(algorithm, _decode(value))
    return _answer([] if place is None else [place], most)


@router.get(
    f"{PREFIX}/matches/byBinding",
    summary="Manifests with a soft binding",
    dependencies=[open_to_all()],
    responses=declare_problems(400, 414, 503),
)
def query_by_binding(
    context: UsedContext,
    value: Annotated[str, Query(description="The soft binding's value, in base64.")],
    alg: Annotated[str, Query(max_length=256, description="The algorithm's name.")],
    most: MaxResults = 10,
) -> QueryResult:
    """Return the manifests that carry this soft binding; none is an empty list."""
    if len(value) > MAX_QUERY_CHARACTERS:
        raise HTTPException(414, f"value: expected at most {MAX_QUERY_CHARACTERS} characters: use POST")
    return _match_binding(context, alg, value, most)


@router.post(
    f"{PREFIX}/matches/byBinding",
    summary="Manifests with a large soft binding",
    dependencies=[open_to_all()],
    responses=declare_problems(400, 413, 503),
)
def query_by_large_binding(context: UsedContext, body: BindingQuery, most: MaxResults = 10) -> QueryResult:
    """Return the manifests that carry this soft binding; none is an empty list."""
    return _match_binding(context, body.alg, body.value, most)


@router.post(
    f"{PREFIX}/matches/byContent",
    summary="Manifests of a recording",
    responses=declare_problems(400, 413, 415, 429, 503, 507),
    openapi_extra=UPLOAD_BODY,
)
async def query_by_content(
    request: Request,
    context: UsedContext,
    caller: Annotated[Caller, ask_detector()],
    alg: Annotated[str | None, Query(max_length=256, description="Look by this algorithm alone.")] = None,
    hint_alg: Annotated[str | None, Query(alias="hintAlg", max_length=256)] = None,
    hint_value: Annotated[str | None, Query(alias="hintValue", max_length=MAX_QUERY_CHARACTERS)] = None,
    most: MaxResults = 10,
) -> QueryResult:
    """Read the watermark and look up the sound of the recording in the body; it is not kept.

    A hint is a soft binding that the client believes to be in it: it decides the order, never what fits.
    """
    if alg is not None:
        _check_algorithm(context, alg)
    hint = None
    if hint_alg is not None and hint_value is not None:
        hint = context.manifests.find_bound(hint_alg, _decode(hint_value))
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not kind.startswith("audio/") and kind != "application/octet-stream":
        raise HTTPException(415, f"expected audio as the body, got {kind[:80]!r}")
    try:
        path = await receive_upload(request, context.installation.settings)
    except AudioRefusedError as error:
        raise HTTPException(400, str(error)) from error

    def work() -> QueryResult:
        with context.take_place():
            try:
                _, evidence = collect(limit_length(context, caller), path)
            except AudioRefusedError as error:
                raise HTTPException(415, str(error)) from error
        limit_versions(context, caller)(evidence)
        found = [context.manifests.find_track(track_id) for track_id in list_tracks(evidence, alg)]
        places = [place for place in found if place is not None]
        return _answer(sorted(places, key=lambda place: place != hint), most)

    try:
        return await run_in_threadpool(work)
    finally:
        path.unlink(missing_ok=True)


def list_tracks(evidence: Evidence, algorithm: str | None) -> list[str]:
    """Return the tracks that a recording is bound to by its mark or its sound, by one algorithm or by all.

    A mark counts where it opens the commitment that the track's entry, and so its manifest, states.
    """
    tracks = []
    mark = evidence.watermark
    if (algorithm is None or is_watermark(algorithm)) and mark.found and mark.opens_commitment:
        tracks.append(mark.track_id)
    if algorithm is None or not is_watermark(algorithm):
        tracks += [item.track_id for item in evidence.identity.matches]
    return [track_id for track_id in tracks if track_id is not None]


@router.get(
    f"{PREFIX}/manifests/{{activeManifestId}}",
    summary="A manifest store by the id of its active manifest",
    dependencies=[open_to_all()],
    response_class=Response,
    responses={
        **declare_problems(400, 404, 503),
        200: {"description": "The manifest store", "content": {"application/c2pa": {}}},
    },
)
def get_manifest(
    activeManifestId: str,
    context: UsedContext,
    alone: Annotated[
        bool, Query(alias="returnActiveManifest", description="Without the manifests of its ingredients.")
    ] = False,
) -> Response:
    """Return the manifest store that the file was released with, byte for byte, or its active manifest."""
    if len(activeManifestId) > MAX_ID_CHARACTERS or not activeManifestId.isprintable():
        raise HTTPException(400, "activeManifestId: expected the id of a manifest, such as urn:c2pa:...")
    place = context.manifests.find(activeManifestId)
    store = read_store(context.installation, place)
    content = select_manifest(store, place.manifest_id) if alone else store
    return Response(content, media_type="application/c2pa")


@router.get(
    f"{PREFIX}/services/supportedAlgorithms",
    summary="Soft-binding algorithms that are resolved",
    dependencies=[open_to_all()],
    responses=declare_problems(503),
)
def get_algorithms(context: UsedContext) -> Algorithms:
    """Return the names of the algorithms; they are not registered in C2PA's list."""
    marks, prints = list_algorithms(context.installation)
    return Algorithms(
        watermarks=[Algorithm(alg=name) for name in marks],
        fingerprints=[Algorithm(alg=name) for name in prints],
    )


@router.get(
    f"{PREFIX}/services/capabilities",
    summary="Optional operations of this service",
    dependencies=[open_to_all()],
    responses=declare_problems(),
)
def get_capabilities() -> Capabilities:
    """Return which optional operations there are."""
    return Capabilities(c2paSpecificationVersion=SPEC_VERSION, supportedCapabilities=CAPABILITIES)


@router.get(
    f"{PREFIX}/services/status",
    summary="Whether resolution works",
    dependencies=[open_to_all()],
    responses=declare_problems(),
)
def get_status(context: UsedContext) -> ServiceStatus:
    """Return `ok`, or `degraded` where the ledger cannot be read."""
    try:
        context.installation.store.state()
    except LedgerError:
        return ServiceStatus(status="degraded", timestamp=now())
    return ServiceStatus(status="ok", timestamp=now())


@router.get(
    "/.well-known/c2pa-soft-binding-resolution",
    summary="Discovery of soft-binding resolution",
    dependencies=[open_to_all()],
    responses=declare_problems(),
)
def discover(request: Request, context: UsedContext) -> Discovery:
    """Return where the service is, by `PROVENOTE_PUBLIC_URL` or else by the address that was asked."""
    base = context.installation.settings.public_url or str(request.base_url).rstrip("/")
    return Discovery(
        apiEndpoint=f"{base}{PREFIX}",
        c2paSpecificationVersion=SPEC_VERSION,
        capabilitiesEndpoint=f"{base}{PREFIX}/services/capabilities",
        statusEndpoint=f"{base}{PREFIX}/services/status",
    )
