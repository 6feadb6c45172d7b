"""The log as tiles (c2sp.org/tlog-tiles), below the prefix `/log`: made on demand from the database.

The same bytes can be exported as files (`provenote log export-tiles`) and served by any web server.
"""

import gzip
from typing import Annotated

from fastapi import APIRouter, Header, Response

from ledger.errors import FormatError
from ledger.tiles import ENTRIES, parse_path, read_tile

from ..errors import MissingError
from ..publishing import find_published_note
from .authorisation import open_to_all
from .context import UsedContext
from .problems import declare_problems

router = APIRouter(dependencies=[open_to_all()])
IMMUTABLE = "public, max-age=31536000, immutable"
MUTABLE = "no-cache"
BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@router.get(
    "/log/checkpoint",
    tags=["log"],
    summary="The published checkpoint",
    response_class=Response,
    responses={
        **declare_problems(503),
        200: {"description": "C2SP signed note", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
def get_published_checkpoint(context: UsedContext) -> Response:
    """Return the tree head that readers of tiles start from, with the cosignatures of its witnesses."""
    note = find_published_note(context.installation)
    return Response(note, media_type="text/plain; charset=utf-8", headers={"cache-control": MUTABLE})


@router.get(
    "/log/tile/{path:path}",
    tags=["log"],
    summary="A tile or an entry bundle",
    response_class=Response,
    responses={**declare_problems(404, 503), 200: {"description": "C2SP tlog-tiles", "content": BINARY}},
)
def get_tile(
    path: str, context: UsedContext, accept_encoding: Annotated[str, Header(include_in_schema=False)] = ""
) -> Response:
    """Return `LEVEL/INDEX[.p/WIDTH]` or `entries/INDEX[.p/WIDTH]`; what is returned never changes."""
    store = context.installation.store
    try:
        tile = parse_path(f"tile/{path}")
    except FormatError as error:
        raise MissingError(str(error)) from error
    content = read_tile(store, tile, store.state().size)
    headers = {"cache-control": IMMUTABLE}
    if tile.level == ENTRIES:
        headers["vary"] = "accept-encoding"
        if "gzip" in {item.partition(";")[0].strip() for item in accept_encoding.lower().split(",")}:
            headers["content-encoding"] = "gzip"
            content = gzip.compress(content, compresslevel=6, mtime=0)
    return Response(content, media_type="application/octet-stream", headers=headers)
