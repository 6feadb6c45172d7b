"""What every engine offers: describe itself, and turn a request into audio with its identity attached.

The interface is the one that the rest of the system sees. The embedded engine composes a score and renders
it; an engine that only makes audio leaves `score`, `abc` and `midi` empty.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import RequestError
from .score import Score


@dataclass(frozen=True, slots=True)
class Request:
    """What to make.

    prompt: plain words; may be empty (then everything is chosen by default). seconds: wished length.
    seed: 0 .. 2**63 - 1. abc: optional opening in ABC notation, to be continued. parameters: settings that
    override the prompt (`EngineDescription.parameters` lists them).
    """

    prompt: str
    seconds: float
    seed: int
    abc: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model made it: engine name and version, SHA-256 (hex) of each weights file, licence, library
    versions.
    """

    engine: str
    version: str
    weights: Mapping[str, str]
    licence: str
    libraries: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CopyCheck:
    """How much of the melody's note sequence occurs in the training tunes (steps of the scale, rhythm
    ignored).

    hit_rate: share of 12-note sequences found; longest_run: notes in the longest chain of such sequences;
    rejected: drafts refused because of a chain of `limit` notes or more; index_sha256: digest of the index
    used.
    """

    hit_rate: float
    longest_run: int
    limit: int
    rejected: int
    index_sha256: str


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """What an engine can do: limits, accepted inputs, and whether equal requests give equal samples."""

    name: str
    version: str
    sample_rate: int
    channels: int
    min_seconds: float
    max_seconds: float
    accepts: tuple[str, ...]
    parameters: Mapping[str, str]
    deterministic: bool
    licence: str
    training_corpus: str


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What was made. audio: float32 (channels, samples) in [-1, 1]; midi: Standard MIDI File bytes.

    understood: what the prompt was taken to mean, word for word what was ignored under "ignored".
    timings_s: seconds of wall time by stage (compose, arrange, render).
    """

    audio: NDArray[np.float32]
    sample_rate: int
    score: Score | None
    abc: str | None
    midi: bytes | None
    model: ModelIdentity
    understood: Mapping[str, str]
    seed: int
    timings_s: Mapping[str, float]
    training_corpus: str
    copy_check: CopyCheck | None = None


Progress = Callable[[str, float], None]
CancelCheck = Callable[[], bool]


def report_nothing(stage: str, fraction: float) -> None:
    """Default progress callback: ignores what it is told."""


def never_cancelled() -> bool:
    """Default cancel check: always False."""
    return False


class Engine(Protocol):
    """A music generator."""

    def describe(self) -> EngineDescription:
        """Say what this engine can do, without generating anything."""
        ...

    def generate(
        self,
        request: Request,
        *,
        progress: Progress = report_nothing,
        cancelled: CancelCheck = never_cancelled,
    ) -> Result:
        """Make audio. `progress(stage, fraction 0..1)` is called often; `cancelled()` is asked as often.

        Raises
        ------
        RequestError
            The request cannot be served. Nothing was produced.
        Cancelled
            `cancelled()` returned True.
        """
        ...


ENGINES = ("embedded",)


def open_engine(name: str = "embedded") -> Engine:
    """Open an engine by name: checks its weights against the pinned digests and loads them.

    Raises
    ------
    RequestError
        Unknown engine name.
    WeightsError
        A weights file is missing or is not the published one.
    """
    if name not in ENGINES:
        raise RequestError(f"expected an engine name out of {', '.join(ENGINES)}, got {name!r}")
    # Here and not at the top: importing this package must work, and be quick, without torch.
    from .embedded import open_embedded_engine

    return open_embedded_engine()
