"""Forms that carry a file: read as a stream, the file straight into the incoming folder, all bounded.

A form post works without scripts. What a browser sends is multipart/form-data (RFC 7578): one part for each
field. Of the parts, `file` is the file; the others are short texts.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ..errors import AudioRefusedError, RefusedError, TooLargeError, WriteError
from ..passingfiles import name_passing
from ..settings import Settings

FILE_FIELD = "file"
MAX_FIELDS = 32
MAX_TEXT_BYTES = 64 << 10
ENVELOPE_BYTES = 1 << 20
"""What boundaries, headers and texts may add to the file's own bytes."""


@dataclass(frozen=True)
class Form:
    """A form that was read: its texts, and the file with the name that the sender gave it."""

    texts: Mapping[str, str]
    path: Path
    file_name: str


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    header_name: bytes = b""
    header_value: bytes = b""
    name: str = ""
    content: bytearray = field(default_factory=bytearray)


class _Reader:
    """Callbacks of the parser: texts are kept, the file's bytes are written."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit = file, limit
        self._part = _Part()
        self._parts = 0
        self.texts: dict[str, str] = {}
        self.file_name: str | None = None
        self.written = 0
        self.ended = False

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._take_name,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_FIELDS:
            raise RefusedError(f"expected a form of at most {MAX_FIELDS} fields")
        self._part = _Part()

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += data[start:end]

    def _end_header(self) -> None:
        part = self._part
        part.headers[part.header_name.lower()] = part.header_value
        part.header_name = part.header_value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._part.headers.get(b"content-disposition", b""))
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._part.name == FILE_FIELD:
            if self.file_name is not None:
                raise RefusedError("expected one file, got several")
            self.file_name = options.get(b"filename", b"").decode("utf-8", "replace")[:200]

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.name == FILE_FIELD:
            self.written += end - start
            if self.written > self._limit:
                raise TooLargeError(f"expected at most {self._limit} bytes, got more")
            self._file.write(data[start:end])
            return
        self._part.content += data[start:end]
        if len(self._part.content) > MAX_TEXT_BYTES:
            raise TooLargeError(f"expected at most {MAX_TEXT_BYTES} bytes in a field of the form, got more")

    def _end_part(self) -> None:
        if self._part.name != FILE_FIELD:
            self.texts[self._part.name] = self._part.content.decode("utf-8", "replace")

    def _end(self) -> None:
        self.ended = True


@contextlib.contextmanager
def _new_file(settings: Settings) -> Iterator[tuple[Path, IO[bytes]]]:
    """Give a new file in the incoming folder; it is removed again if what follows fails."""
    path = name_passing(settings)
    try:
        with path.open("xb") as file:
            yield path, file
    except ClientDisconnect as error:
        path.unlink(missing_ok=True)
        raise HTTPException(400, "the connection ended before the form did") from error
    except OSError as error:
        path.unlink(missing_ok=True)
        raise WriteError(f"the upload cannot be kept: {error.strerror}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def receive_form(
    request: Request, settings: Settings, *, limit: int | None = None, required: bool = True
) -> Form:
    """Read a form with a file; the caller removes it.

    Raises
    ------
    TooLargeError
        A file of more bytes than `limit`, by default that of recordings; or a long text.
    AudioRefusedError
        No file, or an empty one, where it is required.
    RefusedError
        Not a form of this kind, or one that breaks off.
    WriteError
        The disk is full.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 256:
        raise HTTPException(415, "expected a form as multipart/form-data")
    limit = settings.limits.max_bytes if limit is None else limit
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit + ENVELOPE_BYTES:
        raise TooLargeError(f"expected at most {limit} bytes, got {announced}")
    with _new_file(settings) as (path, file):
        reader = _Reader(file, limit)
        parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]  # its own TypedDict
        try:
            async for chunk in request.stream():
                await run_in_threadpool(parser.write, chunk)
        except MultipartParseError as error:  # also for headers that are too long or too many
            raise RefusedError(f"the form cannot be read: {error}") from error
        if not reader.ended:
            raise RefusedError("the form breaks off before its end")
        if required and not reader.written:
            raise AudioRefusedError("empty", "choose a file first: the form came without one")
        return Form(reader.texts, path, reader.file_name or "file")
