"""Files that arrive as a request body: streamed to disk under a byte limit, never held in memory."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ..errors import AudioRefusedError, TooLargeError, WriteError
from ..passingfiles import name_passing
from ..settings import Settings

DRAIN_BYTES = 32 << 20
"""How much more of a too large body is read and dropped: a client still sending would not see the answer."""
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "description": "The audio file's bytes, as they are (no form, no base64).",
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}}
            for media in ("application/octet-stream", "audio/*")
        },
    }
}


async def receive_upload(request: Request, settings: Settings) -> Path:
    """Write an audio file in the body to a new file in the incoming folder; the caller removes it.

    Raises
    ------
    AudioRefusedError
        An empty body.
    TooLargeError, HTTPException, WriteError
        As `receive_file`, with `settings.limits.max_bytes` as limit.
    """
    path = await receive_file(request, settings, limit=settings.limits.max_bytes)
    if path.stat().st_size == 0:
        path.unlink()
        raise AudioRefusedError("empty", "the request has no body")
    return path


async def receive_file(request: Request, settings: Settings, *, limit: int) -> Path:
    """Write the body to a new file in the incoming folder and return it; the caller removes it.

    Raises
    ------
    TooLargeError
        More bytes than `limit`, announced or sent.
    HTTPException
        415 for a form: the file itself is the body here; 400 where the connection ended before the body.
    WriteError
        The disk is full.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    # Not application/x-www-form-urlencoded: that is what curl says of any file when it is told nothing else.
    if kind.startswith("multipart/") or kind == "application/json":
        raise HTTPException(415, "expected the file itself as the body, such as curl --data-binary @FILE")
    announced = request.headers.get("content-length", "")
    chunks = request.stream()
    if announced.isdigit() and int(announced) > limit:
        await _drain(chunks)
        raise TooLargeError(f"expected at most {limit} bytes, got {announced}")
    path = name_passing(settings)
    try:
        await _write(chunks, path, limit)
    except ClientDisconnect as error:
        path.unlink(missing_ok=True)
        raise HTTPException(400, "the connection ended before the body did") from error
    except OSError as error:
        path.unlink(missing_ok=True)
        raise WriteError(f"the upload cannot be kept: {error.strerror}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


async def _write(chunks: AsyncIterator[bytes], path: Path, limit: int) -> None:
    total = 0
    with path.open("xb") as file:
        async for chunk in chunks:
            total += len(chunk)
            if total > limit:
                await _drain(chunks)
                raise TooLargeError(f"expected at most {limit} bytes, got more")
            await run_in_threadpool(file.write, chunk)


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    dropped = 0
    with contextlib.suppress(ClientDisconnect):
        async for chunk in chunks:
            dropped += len(chunk)
            if dropped > DRAIN_BYTES:
                return
