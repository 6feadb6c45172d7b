"""What the service answers, as values: made from its JSON, members that are unknown here left out."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

ENDED = frozenset({"done", "failed", "cancelled", "interrupted"})
_Value = TypeVar("_Value")


def pick(kind: type[_Value], members: Mapping[str, Any], **more: Any) -> _Value:
    """Return a value of a dataclass from the members of that name; KeyError for one that is missing and
    has no default.
    """
    known = fields(kind)  # type: ignore[arg-type]
    names = {item.name for item in known if item.name in members or item.default is MISSING}
    return kind(**{name: members[name] for name in names - set(more)}, **more)


@dataclass(frozen=True)
class Job:
    """A job: `state` is queued, running, done, failed, cancelled or interrupted; `track_id` once done.

    `closest` is the known recording that sounds most like the track, though it may be no match.
    """

    job_id: str
    kind: str
    state: str
    stage: str
    fraction: float
    track_id: str | None
    margin: Mapping[str, Any] | None
    problem: Mapping[str, Any] | None
    closest: Mapping[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED


@dataclass(frozen=True)
class Track:
    """Public facts of a registered track."""

    track_id: str
    origin: str
    title: str
    created: str
    container: str
    sample_rate: int
    channels: int
    samples: int
    file_sha256: str
    pcm_sha256: str

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.sample_rate


@dataclass(frozen=True)
class EngineInfo:
    """An engine that tracks can be issued with; `problem` where it cannot be used now."""

    name: str
    kind: str
    summary: str
    licence: str | None
    training_classes: list[str]
    royalty_class: str | None
    problem: str | None


@dataclass(frozen=True)
class Match:
    """A stretch of a clip that is a stretch of a recording: times in seconds, speed 1.05 for 5 % faster."""

    track_id: str | None
    name: str | None
    clip_s: tuple[float, float]
    recording_s: tuple[float, float]
    speed: float
    semitones: float

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> "Match":
        """Return a match of an answer."""
        return cls(
            track_id=members["track_id"],
            name=members["name"],
            clip_s=read_range(members["file"]),
            recording_s=read_range(members["recording"]),
            speed=members["speed_ppm"] / 1e6,
            semitones=members["pitch_cents"] / 100,
        )


@dataclass(frozen=True)
class Recognition:
    """Which recordings a clip is; nothing known is the answer "unknown"."""

    known: bool
    seconds: float
    matches: tuple[Match, ...]


@dataclass(frozen=True)
class ChangedRange:
    """A range that is not the track's: `kind` is replaced, inserted, missing ...; times in seconds."""

    kind: str
    clip_s: tuple[float, float]
    track_s: tuple[float, float]


@dataclass(frozen=True)
class CustodyEvent:
    """A verified event of a track's history."""

    index: int
    leaf_hash: str
    event: str
    time: str
    key_ids: list[str]
    disputed: bool


@dataclass(frozen=True)
class Custody:
    """A track's history, checked just now; `fault` says what does not hold, None where all does."""

    origin: str
    size: int | None
    root: str | None
    status: str
    events: tuple[CustodyEvent, ...]
    fault: Mapping[str, Any] | None


def read_range(members: Mapping[str, Any]) -> tuple[float, float]:
    """Return start and end in seconds."""
    return members["start_ms"] / 1000, members["end_ms"] / 1000
