"""Where tiles are read from: a folder, or a web server, of this log or of anybody's."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import httpx

from ledger.errors import NotFoundError
from ledger.note import MAX_NOTE_BYTES
from ledger.tilefolder import CHECKPOINT_NAME, folder_fetch
from ledger.tilereader import Fetch
from ledger.tiles import MAX_TILE_BYTES

from .errors import RefusedError, SourceError

TIMEOUT_S = 30.0


@contextlib.contextmanager
def open_source(source: str) -> Iterator[Fetch]:
    """Give a fetch for a folder, or for the URL prefix of a log served over HTTP.

    Raises
    ------
    RefusedError
        Neither a folder nor an http or https URL.
    """
    if source.startswith(("http://", "https://")):
        with web_fetch(source) as fetch:
            yield fetch
        return
    folder = Path(source)
    if not folder.is_dir():
        raise RefusedError(f"{source}: expected a folder of tiles or an http(s) URL")
    yield folder_fetch(folder)


@contextlib.contextmanager
def web_fetch(prefix: str, *, transport: httpx.BaseTransport | None = None) -> Iterator[Fetch]:
    """Give a fetch over HTTP; it keeps its connection and bounds what it reads.

    The fetch raises NotFoundError for 404 and SourceError for everything else that is not the resource.
    """
    base = prefix.rstrip("/")

    def fetch(path: str) -> bytes:
        limit = MAX_NOTE_BYTES if path == CHECKPOINT_NAME else MAX_TILE_BYTES
        url = f"{base}/{path}"
        try:
            with client.stream("GET", url) as answer:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    raise NotFoundError(f"{url}: not there")
                if answer.status_code != httpx.codes.OK:
                    raise SourceError(f"{url}: expected status 200, got {answer.status_code}")
                content = bytearray()
                for chunk in answer.iter_bytes():
                    content += chunk
                    if len(content) > limit:
                        raise SourceError(f"{url}: expected at most {limit} bytes, got more")
                return bytes(content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(f"{url}: cannot be fetched: {error}") from error

    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True, transport=transport) as client:
        yield fetch
