"""Requests and their retries: problems become errors, 429 and 503 are waited for as the service asks.

What is retried: every request that was refused with 429 or 503, since then nothing was done; and a GET whose
connection failed. The wait is `Retry-After` (seconds or a date), or grows from a second where there is none.
"""

import email.utils
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from .errors import (
    AnswerError,
    ConnectionFailedError,
    ProblemError,
    RefusedError,
    UnauthorisedError,
    UnavailableError,
    UnknownError,
)

Audio = str | Path | bytes | BinaryIO
RETRIED = (429, 503)
FIRST_WAIT_S = 1.0


class Transport:
    """Sends requests of one client; see `Client` for the arguments."""

    def __init__(
        self,
        http: httpx.Client,
        *,
        retries: int,
        max_wait_s: float,
        sleep: Callable[[float], None],
    ) -> None:
        self.http = http
        self._retries, self._max_wait_s, self._sleep = retries, max_wait_s, sleep

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        upload: Audio | None = None,
    ) -> httpx.Response:
        """Send a request and return its answer.

        Raises
        ------
        ProblemError
            The service answered with a problem, and retries did not help.
        ConnectionFailedError
            It cannot be reached.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None}
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                with ExitStack() as stack:
                    content = None if upload is None else stack.enter_context(open_audio(upload))
                    headers = {} if upload is None else {"content-type": "application/octet-stream"}
                    response = self.http.request(
                        method, path, params=given, json=body, content=content, headers=headers
                    )
            except httpx.HTTPError as error:
                if method != "GET" or last:
                    raise ConnectionFailedError(f"{method} {path}: {error}") from error
                self._sleep(min(FIRST_WAIT_S * 2**attempt, self._max_wait_s))
                continue
            if response.status_code < 400:
                return response
            wait_s = read_retry_after(response.headers.get("retry-after"))
            problem = make_error(response, wait_s)
            wait_s = FIRST_WAIT_S * 2**attempt if wait_s is None else wait_s
            repeatable = upload is None or isinstance(upload, str | Path | bytes)
            if response.status_code not in RETRIED or last or wait_s > self._max_wait_s or not repeatable:
                raise problem
            self._sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def read_json(self, method: str, path: str, **more: Any) -> Any:
        """Send a request and return the JSON of its answer; AnswerError where it is none."""
        response = self.send(method, path, **more)
        try:
            return response.json()
        except ValueError as error:
            raise AnswerError(f"{method} {path}: expected JSON, got {response.text[:80]!r}") from error

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


@contextmanager
def open_audio(audio: Audio) -> Iterator[bytes | BinaryIO]:
    """Open a recording to be sent: a path anew for each attempt, bytes and files as they are."""
    if isinstance(audio, str | Path):
        with Path(audio).open("rb") as file:
            yield file
    else:
        yield audio


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
