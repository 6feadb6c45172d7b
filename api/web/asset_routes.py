"""Stylesheet, scripts and icon: files of the package, by name from a fixed list."""

import functools
import hashlib
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from ..errors import MissingError
from ..http.authorisation import open_to_all

router = APIRouter(dependencies=[open_to_all()])
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@functools.lru_cache(maxsize=1)
def read_assets() -> dict[str, tuple[bytes, str, str]]:
    """Return content, media type and entity tag of each file that is served, by name."""
    found = {}
    for item in files("api").joinpath("pages").iterdir():
        media_type = MEDIA_TYPES.get("." + item.name.rpartition(".")[2])
        if media_type is not None:
            content = item.read_bytes()
            found[item.name] = content, media_type, f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    return found


@router.get("/assets/{name}")
def get_asset(name: str, request: Request) -> Response:
    """Return a file of the pages; a browser that has it is told so."""
    found = read_assets().get(name)
    if found is None:
        raise MissingError(f"no file {name!r:.80}")
    content, media_type, tag = found
    # Asked again each time: an update of the program must not leave an old script beside a new page.
    headers = {"etag": tag, "cache-control": "no-cache", "x-content-type-options": "nosniff"}
    if request.headers.get("if-none-match") == tag:
        return Response(None, 304, headers)
    return Response(content, 200, headers, media_type)
