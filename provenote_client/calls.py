"""What can be asked of a service: for each question its request, and how its answer is read.

    call = calls.verify("clip.mp3")             a value; nothing is sent
    client.ask(call)                            `Client` sends it, `AsyncClient` awaits it

So both clients ask the same. What makes something carries an `Idempotency-Key`: sent again, it is not done
twice.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import httpx

from .answers import Custody, CustodyEvent, EngineInfo, Job, Match, Recognition, Track, pick
from .errors import AnswerError, ConnectionFailedError, JobError
from .report import Report

PAGE = 200
MOST_FAILURES = 5
LONGEST_PAUSE_S = 30.0
PAUSE_S = 0.5
Audio = str | Path | bytes | BinaryIO
Value = TypeVar("Value")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Call(Generic[Value]):
    """A request, and what makes its answer a value."""

    method: str
    path: str
    read: Callable[[httpx.Response], Value]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    upload: Audio | None = None
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers of this request alone."""
        headers = {} if self.upload is None else {"content-type": "application/octet-stream"}
        return headers if self.key is None else {**headers, "idempotency-key": self.key}

    @property
    def parameters(self) -> dict[str, Any]:
        """What stands in the query: members without a value do not."""
        return {name: value for name, value in self.query.items() if value is not None}

    @property
    def resendable(self) -> bool:
        """Whether its body can be sent again: an open file may be at its end."""
        return self.upload is None or isinstance(self.upload, str | Path | bytes)

    @property
    def harmless(self) -> bool:
        """Whether it may be sent again though it may have arrived."""
        return self.method == "GET" or (self.key is not None and self.resendable)


def verify(audio: Audio) -> Call[Report]:
    """Verify a recording."""

    def read(response: httpx.Response) -> Report:
        document = read_json(response)
        if not isinstance(document, dict) or "verdict" not in document:
            raise AnswerError("expected a verification report")
        return Report(document)

    return Call("POST", "/v1/verifications", read, upload=audio)


def identify(audio: Audio) -> Call[Recognition]:
    """Say which recordings a clip is."""

    def make(found: Any) -> Recognition:
        matches = tuple(Match.of(item) for item in found["matches"])
        return Recognition(found["known"], found["seconds"], matches)

    return Call("POST", "/v1/identifications", reading(make), upload=audio)


def issue(prompt: str, options: Mapping[str, Any]) -> Call[Job]:
    """Ask for a track."""
    return Call("POST", "/v1/tracks", read_job, body={"prompt": prompt, **options}, key=make_key())


def stamp(audio: Audio, options: Mapping[str, Any]) -> Call[Job]:
    """Ask for a recording to be stamped."""
    return Call("POST", "/v1/stamps", read_job, query=options, upload=audio, key=make_key())


def job(wanted: Job | str) -> Call[Job]:
    """Ask how far a job is."""
    return Call("GET", f"/v1/jobs/{name_job(wanted)}", read_job)


def cancel(wanted: Job | str) -> Call[Job]:
    """Ask a job to stop."""
    return Call("DELETE", f"/v1/jobs/{name_job(wanted)}", read_job)


def engines() -> Call[list[EngineInfo]]:
    """Ask for the engines."""
    make = reading(lambda found: [pick(EngineInfo, item) for item in found["engines"]])
    return Call("GET", "/v1/engines", make)


def tracks(after: str | None) -> Call[tuple[list[Track], str | None]]:
    """Ask for a page of tracks: those after an id, and the id that the next page begins after."""
    make = reading(lambda found: ([pick(Track, item) for item in found["tracks"]], found["next"]))
    return Call("GET", "/v1/tracks", make, query={"limit": PAGE, "after": after})


def track(track_id: str) -> Call[Track]:
    """Ask for a track's public facts."""
    return Call("GET", f"/v1/tracks/{track_id}", reading(lambda found: pick(Track, found)))


def statement(track_id: str) -> Call[Mapping[str, Any]]:
    """Ask for a track's newest statement."""
    return Call("GET", f"/v1/tracks/{track_id}/statement", read_json)


def custody(track_id: str) -> Call[Custody]:
    """Ask for a track's history."""

    def make(found: Any) -> Custody:
        return pick(Custody, found, events=tuple(pick(CustodyEvent, item) for item in found["events"]))

    return Call("GET", f"/v1/tracks/{track_id}/custody", reading(make))


def bundle(track_id: str) -> Call[bytes]:
    """Ask for a track's custody bundle."""
    return Call("GET", f"/v1/tracks/{track_id}/bundle", read_bytes)


def audio(track_id: str) -> Call[None]:
    """Ask for a track's released audio, which is written to a file as it comes."""
    return Call("GET", f"/v1/tracks/{track_id}/audio", lambda _: None)


def checkpoint(size: int | None) -> Call[str]:
    """Ask for a checkpoint."""
    return Call("GET", "/v1/log/checkpoint", lambda response: response.text, query={"size": size})


def entry(index: int) -> Call[Mapping[str, Any]]:
    """Ask for an entry of the log."""
    return Call("GET", f"/v1/log/entries/{index}", read_json)


def inclusion(index: int, size: int | None) -> Call[Mapping[str, Any]]:
    """Ask for an inclusion proof."""
    return Call("GET", "/v1/log/inclusion", read_json, query={"index": index, "size": size})


def consistency(old_size: int, new_size: int | None) -> Call[Mapping[str, Any]]:
    """Ask for a consistency proof."""
    query = {"old_size": old_size, "new_size": new_size}
    return Call("GET", "/v1/log/consistency", read_json, query=query)


def answer(asset: str | None, sha256: str | None) -> Call[bytes]:
    """Ask for the log's answer about an asset or digest."""
    query = {"asset": asset, "sha256": sha256}
    return Call("GET", "/v1/log/answers", read_bytes, query=query)


def mark_answer(mark_id: str) -> Call[bytes]:
    """Ask for the log's answer about a mark."""
    return Call("POST", "/v1/log/mark-answers", read_bytes, body={"mark_id": mark_id})


def keys() -> Call[Mapping[str, Any]]:
    """Ask for the public keys."""
    return Call("GET", "/v1/keys", read_json)


class Following:
    """How a job is followed over streams that break: where they go on, when to give up, how long to pause."""

    def __init__(self, wanted: Job | str) -> None:
        self.path = f"/v1/jobs/{name_job(wanted)}/events"
        self._last, self._failures = "", 0

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the next stream."""
        return {"last-event-id": self._last} if self._last else {}

    @property
    def pause_s(self) -> float:
        """Pause before the next stream."""
        return min(2.0**self._failures, LONGEST_PAUSE_S) if self._failures else PAUSE_S

    def take(self, line: str) -> Job | None:
        """Take a line of server-sent events; return the job that it tells of."""
        name, _, value = line.partition(":")
        if name == "id":
            self._last = value.strip()
        if name != "data":
            return None
        self._failures = 0
        return convert(lambda text: pick(Job, json.loads(text)), value)

    def fail(self, error: ConnectionFailedError) -> None:
        """Count a stream that broke; raise it where too many have."""
        self._failures += 1
        if self._failures > MOST_FAILURES:
            raise error


def conclude(ended: Job) -> str:
    """Return the track of a job that has ended; JobError where there is none."""
    if ended.state != "done" or ended.track_id is None:
        raise JobError(ended)
    return ended.track_id


@contextmanager
def new_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a new file to be written; it is gone again if what follows fails."""
    with Path(path).open("xb") as file:
        try:
            yield file
        except BaseException:
            Path(path).unlink(missing_ok=True)
            raise


def name_job(wanted: Job | str) -> str:
    """Return the id of a job."""
    return wanted if isinstance(wanted, str) else wanted.job_id


def make_key() -> str:
    """Return a new Idempotency-Key."""
    return str(uuid.uuid4())


def read_bytes(response: httpx.Response) -> bytes:
    """Return an answer as it is."""
    return response.content


def read_json(response: httpx.Response) -> Any:
    """Return the JSON of an answer; AnswerError where it is none."""
    try:
        return response.json()
    except ValueError as error:
        raise AnswerError(f"expected JSON, got {response.text[:80]!r}") from error


def reading(make: Callable[[Any], _Answer]) -> Callable[[httpx.Response], _Answer]:
    """Return what reads an answer as JSON and makes a value of it."""
    return lambda response: convert(make, read_json(response))


def convert(make: Callable[[Any], _Answer], found: Any) -> _Answer:
    """Make a value of JSON; AnswerError where a member is missing or of another kind."""
    try:
        return make(found)
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"an answer is not of the form expected: {error!r}") from error


read_job = reading(lambda found: pick(Job, found))
