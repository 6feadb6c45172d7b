"""What every engine offers: describe itself, and turn a request into audio with its identity attached.

    request -> Engine.perform(request, sink) -> blocks of audio into the sink, then an Account

The interface is the one that the rest of the system sees, and that other people's engines plug into
(`generator.kinds`). Audio never comes back as a value: it goes into the sink that the host gives, which in
the service is a tape that is marked before anybody hears it. An engine that only makes audio leaves `score`,
`abc` and `midi` empty.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import EngineError
from .score import Score

BLOCK_SAMPLES = 1 << 16
TRAINING_CLASSES = ("licensed", "proprietary", "public-domain")
"""What training data is: used under a licence, owned by the trainer, or free of rights."""
ROYALTY_CLASSES = ("non-commercial", "public-domain", "royalty-bearing", "royalty-free")
"""What is owed for using the music that an engine makes."""


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
    """What an engine can do, and what it says of itself.

    sample_rate, channels: None where only the audio will tell. accepts: of `text`, `abc`, `lyrics`.
    training_corpus: what it was trained on, in plain words; training_classes: the same as classes out of
    TRAINING_CLASSES, in alphabetical order, empty where nobody says; royalty_class: what is owed for its
    music, out of ROYALTY_CLASSES, None where nobody says; device: where it computes; weights: SHA-256 (hex)
    by name, as in `ModelIdentity`.
    """

    name: str
    version: str
    sample_rate: int | None
    channels: int | None
    min_seconds: float
    max_seconds: float
    accepts: tuple[str, ...]
    parameters: Mapping[str, str]
    deterministic: bool
    licence: str
    training_corpus: str
    training_classes: tuple[str, ...] = ()
    royalty_class: str | None = None
    kind: str = "embedded"
    device: str = "cpu"
    weights: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Account:
    """What an engine says of a piece that it has played; midi: Standard MIDI File bytes.

    understood: what the prompt was taken to mean, word for word what was ignored under "ignored".
    timings_s: seconds of wall time by stage (compose, arrange, render). cpu_s: processor seconds spent on
    this piece alone, None where the engine cannot tell. settings: how it was sampled, as texts.
    """

    score: Score | None = None
    abc: str | None = None
    midi: bytes | None = None
    model: ModelIdentity
    understood: Mapping[str, str]
    seed: int
    timings_s: Mapping[str, float]
    training_corpus: str
    copy_check: CopyCheck | None = None
    cpu_s: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Result(Account):
    """A whole piece: the account of it, and its audio, float32 (channels, samples) in [-1, 1]."""

    audio: NDArray[np.float32]
    sample_rate: int


Progress = Callable[[str, float], None]
CancelCheck = Callable[[], bool]


class Sink(Protocol):
    """Where an engine's audio goes, block by block: the host gives it, the engine has no other way out."""

    def write(self, block: NDArray[np.float32], *, sample_rate: int) -> None:
        """Take the next samples: float32 (channels, n) in [-1, 1]; rate and channels never change."""
        ...


def report_nothing(stage: str, fraction: float) -> None:
    """Default progress callback: ignores what it is told."""


def never_cancelled() -> bool:
    """Default cancel check: always False."""
    return False


class Engine(Protocol):
    """A music generator: conditions in, a stream of audio out."""

    def describe(self) -> EngineDescription:
        """Say what this engine can do, without generating anything."""
        ...

    def perform(
        self,
        request: Request,
        sink: Sink,
        *,
        progress: Progress = report_nothing,
        cancelled: CancelCheck = never_cancelled,
    ) -> Account:
        """Make audio, write it to the sink as it comes, and return the account of it.

        `progress(stage, fraction 0..1)` is called often; `cancelled()` is asked as often. An error after the
        first block makes what was written worthless; the host throws it away.

        Raises
        ------
        RequestError
            The request cannot be served. Nothing was written.
        EngineError
            The engine broke, or made something that is no audio.
        Cancelled
            `cancelled()` returned True.
        """
        ...


def write_blocks(audio: NDArray[np.float32], sink: Sink, *, sample_rate: int) -> None:
    """Write audio that is there as a whole, float32 (channels, samples), in blocks."""
    for start in range(0, audio.shape[1], BLOCK_SAMPLES):
        sink.write(audio[:, start : start + BLOCK_SAMPLES], sample_rate=sample_rate)


class Reel:
    """A sink that keeps all it gets, in memory; for programs that use this package by itself."""

    def __init__(self) -> None:
        self.blocks: list[NDArray[np.float32]] = []
        self.sample_rate = 0

    def write(self, block: NDArray[np.float32], *, sample_rate: int) -> None:
        """Keep a block."""
        self.blocks.append(block)
        self.sample_rate = sample_rate


def collect_result(
    engine: Engine,
    request: Request,
    *,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Result:
    """Have an engine play, and return the account together with all of the audio; errors as `perform`."""
    reel = Reel()
    account = engine.perform(request, reel, progress=progress, cancelled=cancelled)
    if not reel.blocks:
        raise EngineError(f"engine {account.model.engine} played nothing")
    facts = {item.name: getattr(account, item.name) for item in fields(account)}
    return Result(**facts, audio=np.concatenate(reel.blocks, axis=1), sample_rate=reel.sample_rate)
