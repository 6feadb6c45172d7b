"""The same client for asyncio and trio: what is asked and how answers are read is in `calls`, for both."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
import httpx

from . import calls
from .answers import Custody, EngineInfo, Job, Recognition, Track
from .calls import Audio
from .errors import AnswerError, ConnectionFailedError
from .report import Report
from .transport import AsyncTransport, Patience


class AsyncClient:
    """Asks one service as `Client` does: its methods are awaited, `follow` and `tracks` are asynchronous
    iterators.

    Parameters
    ----------
    transport, sleep
        For tests and special connections; `sleep` is awaited.
    url, key, timeout_s, retries, max_wait_s
        As of `Client`.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 120.0,
        retries: int = 4,
        max_wait_s: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout_s, transport=transport)
        self._transport = AsyncTransport(http, Patience(retries, max_wait_s), sleep)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give up the connections."""
        await self._transport.http.aclose()

    async def verify(self, audio: Audio) -> Report:
        """Verify a recording (a path, bytes or an open file) and return the signed report."""
        return await self._transport.ask(calls.verify(audio))

    async def identify(self, audio: Audio) -> Recognition:
        """Say which recordings of the catalogue a clip is, by its sound alone."""
        return await self._transport.ask(calls.identify(audio))

    async def issue(self, prompt: str, **options: Any) -> Job:
        """Ask for a track from a prompt; options as in `POST /v1/tracks`: seconds, seed, engine ..."""
        return await self._transport.ask(calls.issue(prompt, options))

    async def stamp(self, audio: Audio, **options: Any) -> Job:
        """Ask for a recording to be stamped; options as in `POST /v1/stamps`: title, artist, isrc ..."""
        return await self._transport.ask(calls.stamp(audio, options))

    async def job(self, job: Job | str) -> Job:
        """Return how far a job is."""
        return await self._transport.ask(calls.job(job))

    async def cancel(self, job: Job | str) -> Job:
        """Ask a job to stop."""
        return await self._transport.ask(calls.cancel(job))

    async def follow(self, job: Job | str) -> AsyncIterator[Job]:
        """Yield a job after each change until it has ended, by server-sent events; comes back if cut off."""
        following = calls.Following(job)
        while True:
            try:
                async with self._transport.stream_lines(following.path, following.headers) as (status, lines):
                    if status == 204:
                        yield await self.job(job)
                        return
                    async for line in lines:
                        found = following.take(line)
                        if found is not None:
                            yield found
                            if found.ended:
                                return
            except ConnectionFailedError as error:
                following.fail(error)
            await self._transport.sleep(following.pause_s)

    async def wait(self, job: Job | str, *, progress: Callable[[Job], None] | None = None) -> Track:
        """Wait for a job and return its track; JobError where it ended without one."""
        async for state in self.follow(job):
            if progress is not None:
                progress(state)
            if state.ended:
                return await self.track(calls.conclude(state))
        raise AnswerError(f"the events of job {calls.name_job(job)} ended before it did")

    async def engines(self) -> list[EngineInfo]:
        """Return the engines that tracks can be issued with."""
        return await self._transport.ask(calls.engines())

    async def tracks(self) -> AsyncIterator[Track]:
        """Yield all released tracks, page by page."""
        page, after = await self._transport.ask(calls.tracks(None))
        for item in page:
            yield item
        while after is not None:
            page, after = await self._transport.ask(calls.tracks(after))
            for item in page:
                yield item

    async def track(self, track_id: str) -> Track:
        """Return the public facts of a track."""
        return await self._transport.ask(calls.track(track_id))

    async def statement(self, track_id: str) -> Mapping[str, Any]:
        """Return the newest statement about a track and its envelope."""
        return await self._transport.ask(calls.statement(track_id))

    async def custody(self, track_id: str) -> Custody:
        """Return a track's history as the service has checked it just now."""
        return await self._transport.ask(calls.custody(track_id))

    async def bundle(self, track_id: str) -> bytes:
        """Return the custody bundle of a track, for `provenote bundle check`; exact bytes."""
        return await self._transport.ask(calls.bundle(track_id))

    async def download(self, track_id: str, path: str | Path) -> None:
        """Write the released audio of a track to a new file, as it comes; where that fails it is gone."""
        with calls.new_file(path) as file:
            await self._transport.save(calls.audio(track_id), file)

    async def checkpoint(self, size: int | None = None) -> str:
        """Return the log's signed tree head (C2SP), the newest or of a size."""
        return await self._transport.ask(calls.checkpoint(size))

    async def entry(self, index: int) -> Mapping[str, Any]:
        """Return an entry of the log as stored."""
        return await self._transport.ask(calls.entry(index))

    async def inclusion(self, index: int, size: int | None = None) -> Mapping[str, Any]:
        """Return the proof that an entry is in the log (RFC 6962, 2.1.1)."""
        return await self._transport.ask(calls.inclusion(index, size))

    async def consistency(self, old_size: int, new_size: int | None = None) -> Mapping[str, Any]:
        """Return the proof that the log only grew between two sizes (RFC 6962, 2.1.2)."""
        return await self._transport.ask(calls.consistency(old_size, new_size))

    async def answer(self, *, asset: str | None = None, sha256: str | None = None) -> bytes:
        """Return the log's answer about an asset or digest, for `provenote log check-answer`; exact bytes."""
        return await self._transport.ask(calls.answer(asset, sha256))

    async def mark_answer(self, mark_id: str) -> bytes:
        """Return the log's answer about a mark by its id in hex, which it holds; needs a key."""
        return await self._transport.ask(calls.mark_answer(mark_id))

    async def keys(self) -> Mapping[str, Any]:
        """Return the public keys of the service: of the log, of issuers, of reports."""
        return await self._transport.ask(calls.keys())
