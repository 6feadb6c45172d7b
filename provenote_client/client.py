"""The client: one method for each thing to ask."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx

from .answers import Custody, CustodyEvent, EngineInfo, Job, Match, Recognition, Track, pick
from .errors import AnswerError, ConnectionFailedError, JobError
from .report import Report
from .transport import Audio, Transport

PAGE = 200
_Answer = TypeVar("_Answer")


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
        self._transport = Transport(http, retries=retries, max_wait_s=max_wait_s, sleep=sleep)
        self._sleep = sleep

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
        document = self._transport.read_json("POST", "/v1/verifications", upload=audio)
        if not isinstance(document, dict) or "verdict" not in document:
            raise AnswerError("expected a verification report")
        return Report(document)

    def identify(self, audio: Audio) -> Recognition:
        """Say which recordings of the catalogue a clip is, by its sound alone."""
        found = self._transport.read_json("POST", "/v1/identifications", upload=audio)
        return _read(
            lambda: Recognition(
                found["known"], found["seconds"], tuple(Match.of(item) for item in found["matches"])
            )
        )

    def issue(self, prompt: str, **options: Any) -> Job:
        """Ask for a track from a prompt; options as in `POST /v1/tracks`: seconds, seed, engine ..."""
        return self._job("POST", "/v1/tracks", body={"prompt": prompt, **options})

    def stamp(self, audio: Audio, **options: Any) -> Job:
        """Ask for a recording to be stamped; options as in `POST /v1/stamps`: title, artist, isrc ..."""
        return self._job("POST", "/v1/stamps", query=options, upload=audio)

    def job(self, job: Job | str) -> Job:
        """Return how far a job is."""
        return self._job("GET", f"/v1/jobs/{_name(job)}")

    def cancel(self, job: Job | str) -> Job:
        """Ask a job to stop."""
        return self._job("DELETE", f"/v1/jobs/{_name(job)}")

    def follow(self, job: Job | str) -> Iterator[Job]:
        """Yield a job after each change until it has ended, by server-sent events; comes back if cut off."""
        path, last, failures = f"/v1/jobs/{_name(job)}/events", "", 0
        while True:
            try:
                headers = {"last-event-id": last} if last else {}
                for status, lines in self._transport.stream_lines(path, headers):
                    if status == 204:
                        yield self.job(job)
                        return
                    for line in lines:
                        name, _, value = line.partition(":")
                        if name == "id":
                            last = value.strip()
                        elif name == "data":
                            failures = 0
                            found = _read(lambda value=value: pick(Job, json.loads(value)))  # type: ignore[misc]
                            yield found
                            if found.ended:
                                return
            except ConnectionFailedError:
                failures += 1
                if failures > 5:
                    raise
            self._sleep(min(2.0**failures, 30.0) if failures else 0.5)

    def wait(self, job: Job | str, *, progress: Callable[[Job], None] | None = None) -> Track:
        """Wait for a job and return its track; JobError where it ended without one."""
        for state in self.follow(job):
            if progress is not None:
                progress(state)
            if state.ended:
                if state.state != "done" or state.track_id is None:
                    raise JobError(state)
                return self.track(state.track_id)
        raise AnswerError(f"the events of job {_name(job)} ended before it did")

    def engines(self) -> list[EngineInfo]:
        """Return the engines that tracks can be issued with."""
        found = self._transport.read_json("GET", "/v1/engines")
        return _read(lambda: [pick(EngineInfo, item) for item in found["engines"]])

    def tracks(self) -> Iterator[Track]:
        """Yield all released tracks, page by page."""
        after: str | None = None
        while True:
            page = self._transport.read_json("GET", "/v1/tracks", query={"limit": PAGE, "after": after})
            yield from _read(lambda page=page: [pick(Track, item) for item in page["tracks"]])  # type: ignore[misc]
            after = page["next"]
            if after is None:
                return

    def track(self, track_id: str) -> Track:
        """Return the public facts of a track."""
        found = self._transport.read_json("GET", f"/v1/tracks/{track_id}")
        return _read(lambda: pick(Track, found))

    def statement(self, track_id: str) -> Mapping[str, Any]:
        """Return the newest statement about a track and its envelope."""
        found: Mapping[str, Any] = self._transport.read_json("GET", f"/v1/tracks/{track_id}/statement")
        return found

    def custody(self, track_id: str) -> Custody:
        """Return a track's history as the service has checked it just now."""
        found = self._transport.read_json("GET", f"/v1/tracks/{track_id}/custody")
        return _read(
            lambda: pick(Custody, found, events=tuple(pick(CustodyEvent, item) for item in found["events"]))
        )

    def bundle(self, track_id: str) -> bytes:
        """Return the custody bundle of a track, for `provenote bundle check`; exact bytes."""
        return self._transport.send("GET", f"/v1/tracks/{track_id}/bundle").content

    def download(self, track_id: str, path: str | Path) -> None:
        """Write the released audio of a track to a new file."""
        content = self._transport.send("GET", f"/v1/tracks/{track_id}/audio").content
        with Path(path).open("xb") as file:
            file.write(content)

    def checkpoint(self, size: int | None = None) -> str:
        """Return the log's signed tree head (C2SP), the newest or of a size."""
        return self._transport.send("GET", "/v1/log/checkpoint", query={"size": size}).text

    def entry(self, index: int) -> Mapping[str, Any]:
        """Return an entry of the log as stored."""
        found: Mapping[str, Any] = self._transport.read_json("GET", f"/v1/log/entries/{index}")
        return found

    def inclusion(self, index: int, size: int | None = None) -> Mapping[str, Any]:
        """Return the proof that an entry is in the log (RFC 6962, 2.1.1)."""
        query = {"index": index, "size": size}
        found: Mapping[str, Any] = self._transport.read_json("GET", "/v1/log/inclusion", query=query)
        return found

    def consistency(self, old_size: int, new_size: int | None = None) -> Mapping[str, Any]:
        """Return the proof that the log only grew between two sizes (RFC 6962, 2.1.2)."""
        query = {"old_size": old_size, "new_size": new_size}
        found: Mapping[str, Any] = self._transport.read_json("GET", "/v1/log/consistency", query=query)
        return found

    def answer(self, *, asset: str | None = None, sha256: str | None = None) -> bytes:
        """Return the log's answer about an asset or digest, for `provenote log check-answer`; exact bytes."""
        query = {"asset": asset, "sha256": sha256}
        return self._transport.send("GET", "/v1/log/answers", query=query).content

    def mark_answer(self, mark_id: str) -> bytes:
        """Return the log's answer about a mark by its id in hex, which it holds; needs a key."""
        return self._transport.send("POST", "/v1/log/mark-answers", body={"mark_id": mark_id}).content

    def keys(self) -> Mapping[str, Any]:
        """Return the public keys of the service: of the log, of issuers, of reports."""
        found: Mapping[str, Any] = self._transport.read_json("GET", "/v1/keys")
        return found

    def _job(self, method: str, path: str, **more: Any) -> Job:
        found = self._transport.read_json(method, path, **more)
        return _read(lambda: pick(Job, found))


def _name(job: Job | str) -> str:
    return job if isinstance(job, str) else job.job_id


def _read(make: Callable[[], _Answer]) -> _Answer:
    """Make a value of an answer; AnswerError where a member is missing or of another kind."""
    try:
        return make()
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"an answer is not of the form expected: {error!r}") from error
