"""The client: one method for each thing to ask."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from . import calls
from .answers import Custody, EngineInfo, Job, Recognition, Track
from .calls import Audio
from .errors import AnswerError, ConnectionFailedError
from .report import Report
from .transport import Patience, Transport


class Client:
    """Asks one service.

    Parameters
    ----------
    url
        Where it is, such as https://provenote.example.
    key
        An API key or token; verifying and reading need none.
    timeout_s
        For connecting, and between two pieces of an answer.
    retries
        How often a request that was told to wait (429, 503) is sent again.
    max_wait_s
        Longest wait for one retry: where the service asks for more, the error is raised at once.
    transport, sleep
        For tests and special connections.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 120.0,
        retries: int = 4,
        max_wait_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, transport=transport)
        self._transport = Transport(http, Patience(retries, max_wait_s), sleep)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connections."""
        self._transport.http.close()

    def verify(self, audio: Audio) -> Report:
        """Verify a recording (a path, bytes or an open file) and return the signed report."""
        return self._transport.ask(calls.verify(audio))

    def identify(self, audio: Audio) -> Recognition:
        """Say which recordings of the catalogue a clip is, by its sound alone."""
        return self._transport.ask(calls.identify(audio))

    def issue(self, prompt: str, **options: Any) -> Job:
        """Ask for a track from a prompt; options as in `POST /v1/tracks`: seconds, seed, engine ..."""
        return self._transport.ask(calls.issue(prompt, options))

    def stamp(self, audio: Audio, **options: Any) -> Job:
        """Ask for a recording to be stamped; options as in `POST /v1/stamps`: title, artist, isrc ..."""
        return self._transport.ask(calls.stamp(audio, options))

    def job(self, job: Job | str) -> Job:
        """Return how far a job is."""
        return self._transport.ask(calls.job(job))

    def cancel(self, job: Job | str) -> Job:
        """Ask a job to stop."""
        return self._transport.ask(calls.cancel(job))

    def follow(self, job: Job | str) -> Iterator[Job]:
        """Yield a job after each change until it has ended, by server-sent events; comes back if cut off."""
        following = calls.Following(job)
        while True:
            try:
                with self._transport.stream_lines(following.path, following.headers) as (status, lines):
                    if status == 204:
                        yield self.job(job)
                        return
                    for line in lines:
                        found = following.take(line)
                        if found is not None:
                            yield found
                            if found.ended:
                                return
            except ConnectionFailedError as error:
                following.fail(error)
            self._transport.sleep(following.pause_s)

    def wait(self, job: Job | str, *, progress: Callable[[Job], None] | None = None) -> Track:
        """Wait for a job and return its track; JobError where it ended without one."""
        for state in self.follow(job):
            if progress is not None:
                progress(state)
            if state.ended:
                return self.track(calls.conclude(state))
        raise AnswerError(f"the events of job {calls.name_job(job)} ended before it did")

    def engines(self) -> list[EngineInfo]:
        """Return the engines that tracks can be issued with."""
        return self._transport.ask(calls.engines())

    def tracks(self) -> Iterator[Track]:
        """Yield all released tracks, page by page."""
        page, after = self._transport.ask(calls.tracks(None))
        yield from page
        while after is not None:
            page, after = self._transport.ask(calls.tracks(after))
            yield from page

    def track(self, track_id: str) -> Track:
        """Return the public facts of a track."""
        return self._transport.ask(calls.track(track_id))

    def statement(self, track_id: str) -> Mapping[str, Any]:
        """Return the newest statement about a track and its envelope."""
        return self._transport.ask(calls.statement(track_id))

    def custody(self, track_id: str) -> Custody:
        """Return a track's history as the service has checked it just now."""
        return self._transport.ask(calls.custody(track_id))

    def bundle(self, track_id: str) -> bytes:
        """Return the custody bundle of a track, for `provenote bundle check`; exact bytes."""
        return self._transport.ask(calls.bundle(track_id))

    def download(self, track_id: str, path: str | Path) -> None:
        """Write the released audio of a track to a new file, as it comes; where that fails it is gone."""
        with calls.new_file(path) as file:
            self._transport.save(calls.audio(track_id), file)

    def checkpoint(self, size: int | None = None) -> str:
        """Return the log's signed tree head (C2SP), the newest or of a size."""
        return self._transport.ask(calls.checkpoint(size))

    def entry(self, index: int) -> Mapping[str, Any]:
        """Return an entry of the log as stored."""
        return self._transport.ask(calls.entry(index))

    def inclusion(self, index: int, size: int | None = None) -> Mapping[str, Any]:
        """Return the proof that an entry is in the log (RFC 6962, 2.1.1)."""
        return self._transport.ask(calls.inclusion(index, size))

    def consistency(self, old_size: int, new_size: int | None = None) -> Mapping[str, Any]:
        """Return the proof that the log only grew between two sizes (RFC 6962, 2.1.2)."""
        return self._transport.ask(calls.consistency(old_size, new_size))

    def answer(self, *, asset: str | None = None, sha256: str | None = None) -> bytes:
        """Return the log's answer about an asset or digest, for `provenote log check-answer`; exact bytes."""
        return self._transport.ask(calls.answer(asset, sha256))

    def mark_answer(self, mark_id: str) -> bytes:
        """Return the log's answer about a mark by its id in hex, which it holds; needs a key."""
        return self._transport.ask(calls.mark_answer(mark_id))

    def keys(self) -> Mapping[str, Any]:
        """Return the public keys of the service: of the log, of issuers, of reports."""
        return self._transport.ask(calls.keys())
