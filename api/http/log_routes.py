"""The log for everybody: checkpoint, entries, proofs, answers, keys; and answers about marks, for some."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ledger.errors import NotFoundError
from ledger.merkle import leaf_hash

from ..access import Scope
from ..answering import answer_question, parse_question
from ..errors import MissingError
from ..keyring import format_public_keys
from .admission import count_other
from .authorisation import open_to_all, require_scope
from .context import UsedContext
from .problems import declare_problems
from .schemas import AppendedEntry, ConsistencyProof, Entry, InclusionProof, Keys, MarkQuestion

router = APIRouter(dependencies=[open_to_all()])
MAX_INDEX = (1 << 63) - 1
Index = Annotated[int, Path(ge=0, le=MAX_INDEX)]
Size = Annotated[int, Query(ge=1, le=MAX_INDEX)]


@router.get(
    "/v1/log/checkpoint",
    tags=["log"],
    summary="The newest checkpoint",
    response_class=Response,
    responses={
        **declare_problems(404, 503),
        200: {
            "description": "C2SP signed note",
            "content": {
                "text/plain": {
                    "schema": {"type": "string"},
                    "example": "localhost/provenote/9f86d081884c7d65\n3\nVxdf...=\n\n— localhost/... M9e0...",
                }
            },
        },
    },
)
def get_checkpoint(
    context: UsedContext,
    size: Annotated[int | None, Query(ge=0, le=MAX_INDEX, description="An older one.")] = None,
) -> Response:
    """Return the signed tree head, exactly as signed."""
    store = context.installation.store
    note = store.latest_checkpoint() if size is None else store.checkpoint(size)
    return Response(note, media_type="text/plain; charset=utf-8")


@router.post(
    "/v1/log/entries",
    tags=["log"],
    summary="Append an event",
    status_code=201,
    dependencies=[require_scope(Scope.ISSUER, Scope.CASE_WORKER)],
    responses=declare_problems(409, 413, 503),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    },
)
async def append_entry(request: Request, context: UsedContext) -> AppendedEntry:
    """Append an envelope (RFC 8785 bytes) that an actor has signed for the asset's next place.

    The actor's key must be in the ledger; order and rules are the writer's to judge. The same bytes again get
    the same answer.
    """
    installation = context.installation
    (receipt,) = await run_in_threadpool(
        installation.store.append,
        [await request.body()],
        log_signing_key=installation.keyring.log_signing_key,
    )
    proof = receipt.text().decode("utf-8")
    return AppendedEntry(index=receipt.index, leaf_hash=receipt.leaf_hash.hex(), proof=proof)


@router.get("/v1/log/entries/{index}", tags=["log"], summary="An entry", responses=declare_problems(404, 503))
def get_entry(index: Index, context: UsedContext) -> Entry:
    """Return an entry as stored. Its RFC 8785 bytes are the leaf; nothing is checked here."""
    entry = context.installation.store.entry(index)
    try:
        envelope = json.loads(entry)
    except ValueError as error:
        raise MissingError(f"entry {index} is damaged: {error}") from error
    return Entry(index=index, leaf_hash=leaf_hash(entry).hex(), envelope=envelope)


@router.get(
    "/v1/log/inclusion", tags=["log"], summary="An inclusion proof", responses=declare_problems(404, 503)
)
def get_inclusion(
    context: UsedContext,
    index: Annotated[int, Query(ge=0, le=MAX_INDEX)],
    size: Annotated[
        int | None, Query(ge=1, le=MAX_INDEX, description="Tree size; default: the newest.")
    ] = None,
) -> InclusionProof:
    """Return the path from an entry to the root of the tree of `size`."""
    store = context.installation.store
    size = store.state().size if size is None else size
    hashes = store.inclusion_proof(index, size)
    try:
        note: str | None = store.checkpoint(size).decode("utf-8")
    except NotFoundError:
        note = None  # no commit ended at this size, so no checkpoint of it was ever signed
    return InclusionProof(
        index=index,
        size=size,
        leaf_hash=leaf_hash(store.entry(index)).hex(),
        hashes=[item.hex() for item in hashes],
        checkpoint=note,
    )


@router.get(
    "/v1/log/consistency", tags=["log"], summary="A consistency proof", responses=declare_problems(404, 503)
)
def get_consistency(context: UsedContext, old_size: Size, new_size: Size) -> ConsistencyProof:
    """Return the proof that the log of `new_size` entries only adds to that of `old_size`."""
    hashes = context.installation.store.consistency_proof(old_size, new_size)
    return ConsistencyProof(old_size=old_size, new_size=new_size, hashes=[item.hex() for item in hashes])


ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "RFC 8785 JSON: `provenote log check-answer` checks it",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


@router.get(
    "/v1/log/answers",
    tags=["log"],
    summary="What the log says of an asset or digest",
    response_class=Response,
    dependencies=[count_other("answers")],
    responses={**declare_problems(404, 422, 429, 503), **ANSWER},
)
def get_answer(
    context: UsedContext,
    asset: Annotated[str | None, Query(max_length=128, description="Such as `track:TRACK_ID`.")] = None,
    sha256: Annotated[str | None, Query(max_length=64, description="Of a file or of its samples.")] = None,
) -> Response:
    """Return the proof of what the log has of one of these, or that it has nothing, as of its last map.

    404 until the first map is published. Without a key counted by address.
    """
    content = answer_question(context.installation, parse_question(asset=asset, sha256=sha256))
    return Response(content, media_type="application/json")


@router.post(
    "/v1/log/mark-answers",
    tags=["log"],
    summary="What the log says of a mark",
    response_class=Response,
    dependencies=[require_scope(Scope.ISSUER, Scope.AUDITOR, Scope.CASE_WORKER)],
    responses={**declare_problems(404, 422, 503), **ANSWER},
)
def post_mark_question(question: MarkQuestion, context: UsedContext) -> Response:
    """Return the proof of what the log has of a mark, or that it has nothing, since it began to tag marks.

    The id travels in the body, and in the answer: neither is for the public. From the answer's `vrf` follows
    the tag that an event about the mark has to name.
    """
    content = answer_question(context.installation, parse_question(mark_id=question.mark_id))
    return Response(content, media_type="application/json")


@router.get("/v1/keys", tags=["log"], summary="Public keys", responses=declare_problems(503))
def get_keys(context: UsedContext) -> Keys:
    """Return the keys that this service's statements, checkpoints and reports are checked with."""
    return Keys.model_validate(format_public_keys(context.installation.public))
