"""Requests and their retries: problems become errors, 429 and 503 are waited for as the service asks.

What is retried: every request that was refused with 429 or 503, since then nothing was done; and one whose
connection failed, if it reads or carries an `Idempotency-Key`. The wait is `Retry-After` (seconds or a date),
or grows from a second where there is none. `Attempts` decides that for both clients.
"""

import email.utils
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import anyio.to_thread
import httpx

from .calls import Audio, Call
from .errors import (
    ConnectionFailedError,
    ProblemError,
    RefusedError,
    UnauthorisedError,
    UnavailableError,
    UnknownError,
)

RETRIED = (429, 503)
FIRST_WAIT_S = 1.0
CHUNK_BYTES = 1 << 16
Value = TypeVar("Value")


@dataclass(frozen=True)
class Patience:
    """How often a request is sent again, and how long is waited for that at most."""

    retries: int
    max_wait_s: float


class Attempts:
    """The attempts at one call: what comes of each decides whether and when there is another."""

    def __init__(self, call: Call[Any], patience: Patience) -> None:
        self._call, self._patience, self._done = call, patience, 0

    def take(self, response: httpx.Response) -> float | None:
        """Take an answer: None where it is good, else how long to wait before the next attempt."""
        if response.status_code < 400:
            return None
        asked_s = read_retry_after(response.headers.get("retry-after"))
        problem = make_error(response, asked_s)
        # Sent again with its key, while the first one is still worked on.
        working = self._done > 0 and self._call.key is not None and problem.slug == "conflict"
        wait_s = FIRST_WAIT_S * 2.0**self._done if asked_s is None else asked_s
        again = (response.status_code in RETRIED or working) and self._call.resendable
        if not again or self._is_last() or wait_s > self._patience.max_wait_s:
            raise problem
        self._done += 1
        return wait_s

    def fail(self, error: httpx.HTTPError) -> float:
        """Take a connection that failed: how long to wait before the next attempt, or its error."""
        if not self._call.harmless or self._is_last():
            raise ConnectionFailedError(f"{self._call.method} {self._call.path}: {error}") from error
        self._done += 1
        return min(FIRST_WAIT_S * 2.0 ** (self._done - 1), self._patience.max_wait_s)

    def _is_last(self) -> bool:
        return self._done >= self._patience.retries


class Transport:
    """Sends the requests of a `Client`."""

    def __init__(self, http: httpx.Client, patience: Patience, sleep: Callable[[float], None]) -> None:
        self.http = http
        self.sleep = sleep
        self._patience = patience

    def ask(self, call: Call[Value]) -> Value:
        """Send a request and return what its answer says.

        Raises
        ------
        ProblemError
            The service answered with a problem, and retries did not help.
        ConnectionFailedError
            It cannot be reached.
        AnswerError
            The answer is not understood.
        """
        attempts = Attempts(call, self._patience)
        while True:
            try:
                with ExitStack() as stack:
                    content = None if call.upload is None else stack.enter_context(open_audio(call.upload))
                    response = self.http.request(
                        call.method,
                        call.path,
                        params=call.parameters,
                        json=call.body,
                        content=content,
                        headers=call.headers,
                    )
            except httpx.HTTPError as error:
                self.sleep(attempts.fail(error))
                continue
            wait_s = attempts.take(response)
            if wait_s is None:
                return call.read(response)
            self.sleep(wait_s)

    def save(self, call: Call[Any], file: BinaryIO) -> None:
        """Write the answer to a request into a file as it comes; errors as `ask`."""
        attempts = Attempts(call, self._patience)
        while True:
            try:
                with self.http.stream(
                    call.method, call.path, params=call.parameters, headers=call.headers
                ) as response:
                    if response.status_code < 400:
                        for chunk in response.iter_bytes(CHUNK_BYTES):
                            file.write(chunk)
                        return
                    response.read()
            except httpx.HTTPError as error:
                wait_s: float | None = attempts.fail(error)
                file.seek(0)
                file.truncate()
            else:
                wait_s = attempts.take(response)
            assert wait_s is not None  # of an answer that is good nothing is left to be taken
            self.sleep(wait_s)

    @contextmanager
    def stream_lines(self, path: str, headers: Mapping[str, str]) -> Iterator[tuple[int, Iterator[str]]]:
        """Open a stream once and give its status and lines; ConnectionFailedError where it breaks."""
        try:
            with self.http.stream("GET", path, headers=dict(headers)) as response:
                if response.status_code >= 400:
                    response.read()
                    raise make_error(response, read_retry_after(response.headers.get("retry-after")))
                yield response.status_code, response.iter_lines()
        except httpx.HTTPError as error:
            raise ConnectionFailedError(f"GET {path}: {error}") from error


class AsyncTransport:
    """Sends the requests of an `AsyncClient`."""

    def __init__(
        self, http: httpx.AsyncClient, patience: Patience, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.http = http
        self.sleep = sleep
        self._patience = patience

    async def ask(self, call: Call[Value]) -> Value:
        """Send a request and return what its answer says; errors as `Transport.ask`."""
        attempts = Attempts(call, self._patience)
        while True:
            try:
                with ExitStack() as stack:
                    content, size = stream_content(
                        None if call.upload is None else stack.enter_context(open_audio(call.upload))
                    )
                    response = await self.http.request(
                        call.method,
                        call.path,
                        params=call.parameters,
                        json=call.body,
                        content=content,
                        headers={**call.headers, **size},
                    )
            except httpx.HTTPError as error:
                await self.sleep(attempts.fail(error))
                continue
            wait_s = attempts.take(response)
            if wait_s is None:
                return call.read(response)
            await self.sleep(wait_s)

    async def save(self, call: Call[Any], file: BinaryIO) -> None:
        """Write the answer to a request into a file as it comes; errors as `Transport.ask`."""
        attempts = Attempts(call, self._patience)
        while True:
            try:
                async with self.http.stream(
                    call.method, call.path, params=call.parameters, headers=call.headers
                ) as response:
                    if response.status_code < 400:
                        async for chunk in response.aiter_bytes(CHUNK_BYTES):
                            await anyio.to_thread.run_sync(file.write, chunk)
                        return
                    await response.aread()
            except httpx.HTTPError as error:
                wait_s: float | None = attempts.fail(error)
                file.seek(0)
                file.truncate()
            else:
                wait_s = attempts.take(response)
            assert wait_s is not None  # of an answer that is good nothing is left to be taken
            await self.sleep(wait_s)

    @asynccontextmanager
    async def stream_lines(
        self, path: str, headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[int, AsyncIterator[str]]]:
        """Open a stream once and give its status and lines; ConnectionFailedError where it breaks."""
        try:
            async with self.http.stream("GET", path, headers=dict(headers)) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise make_error(response, read_retry_after(response.headers.get("retry-after")))
                yield response.status_code, response.aiter_lines()
        except httpx.HTTPError as error:
            raise ConnectionFailedError(f"GET {path}: {error}") from error


@contextmanager
def open_audio(audio: Audio) -> Iterator[bytes | BinaryIO]:
    """Open a recording to be sent: a path anew for each attempt, bytes and files as they are."""
    if isinstance(audio, str | Path):
        with Path(audio).open("rb") as file:
            yield file
    else:
        yield audio


def stream_content(
    opened: bytes | BinaryIO | None,
) -> tuple[bytes | AsyncIterator[bytes] | None, dict[str, str]]:
    """Return what an asynchronous request sends of a recording, read in a thread; and how long it is."""
    if opened is None or isinstance(opened, bytes):
        return opened, {}

    async def read() -> AsyncIterator[bytes]:
        while chunk := await anyio.to_thread.run_sync(opened.read, CHUNK_BYTES):
            yield chunk

    if not opened.seekable():
        return read(), {}
    start = opened.tell()
    size = opened.seek(0, io.SEEK_END) - start
    opened.seek(start)
    return read(), {"content-length": str(size)}


def read_retry_after(text: str | None) -> float | None:
    """Return how long to wait in seconds; None where it is not said (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def make_error(response: httpx.Response, retry_after_s: float | None) -> ProblemError:
    """Return the error that an answer stands for."""
    try:
        members = response.json()
    except ValueError:
        members = None
    if not isinstance(members, dict):
        members = {"title": response.reason_phrase, "detail": response.text[:200]}
    status = response.status_code
    if status in (401, 403):
        return UnauthorisedError(status, members)
    if status == 404:
        return UnknownError(status, members)
    if status == 429 or status >= 500:
        return UnavailableError(status, members, retry_after_s)
    return RefusedError(status, members)
