"""Marks on whole files: examine a recording in one pass, and embed into a stream of blocks.

Memory stays bounded by the block size and by what `watermark` keeps, however long the recording is.
"""

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

import watermark
from watermark.identity.extraction import Extractor, Query
from watermark.segment import Preparation, prepare

from .audiofile import PcmDigest, hash_file
from .decoding import AudioFormat, Limits, open_recording
from .errors import StoppedError

MARK_BYTES = 8
MIN_FINGERPRINT_S = 1.0


class Strength(enum.StrEnum):
    """How strongly a mark is embedded; how that sounds is measured in docs/watermark.md."""

    GENTLE = "gentle"
    DEFAULT = "default"
    STRONG = "strong"

    @property
    def factor(self) -> float:
        """What `watermark.embed` takes as strength."""
        return {Strength.GENTLE: watermark.GENTLE, Strength.STRONG: watermark.STRONG}.get(self, 1.0)

    @property
    def percent(self) -> int:
        """The factor as a whole number, which can be signed."""
        return round(100 * self.factor)


Block = NDArray[np.float32]
Progress = Callable[[str, float], None]
CancelCheck = Callable[[], bool]


class Meter(Protocol):
    """Something that listens to all of a file while it is examined."""

    def begin(self, audio_format: AudioFormat) -> None:
        """Learn what blocks will come."""

    def push(self, block: Block) -> None:
        """Take the next samples, float32 (channels, n)."""


def report_nothing(stage: str, fraction: float) -> None:
    """Default progress callback: ignores what it is told."""


def find_profile(name: str) -> watermark.Profile | None:
    """Return the published profile of that name, if there is one."""
    return next((profile for profile in watermark.PROFILES if profile.name == name), None)


def never_cancelled() -> bool:
    """Default cancel check: always False."""
    return False


@dataclass(frozen=True)
class Examination:
    """What one pass over a file found; digests are hex SHA-256.

    `levels` is the mean square of each second, averaged over channels (the last one may be short). `query` is
    what the sound is compared with others by; None where that was not asked for, or the file is too short.
    """

    file_sha256: str
    pcm_sha256: str
    format: AudioFormat
    samples: int
    levels: tuple[float, ...]
    damage: str
    detection: watermark.Detection
    query: Query | None = None

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.format.sample_rate


def examine(
    path: Path,
    *,
    limits: Limits,
    watermark_keys: Sequence[bytes],
    profiles: Sequence[watermark.Profile] = watermark.PROFILES,
    known: Sequence[watermark.KnownPayloads] = (),
    preparation: Preparation = prepare,
    fingerprint: bool = False,
    meters: Sequence[Meter] = (),
    stage: str = "listen",
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Examination:
    """Decode a file once: its digests, its extent, the mark in it, of any of the keys and profiles, and on
    wish its fingerprint; `meters` listen to the same pass.

    Raises
    ------
    AudioRefusedError, TooLargeError
        Not audio, or outside the limits.
    StoppedError
        `cancelled()` returned True.
    OSError
        The file cannot be read.
    """
    file_sha256 = hash_file(path)
    with open_recording(path, limits) as recording:
        detector = watermark.Detector(
            sample_rate=recording.format.sample_rate,
            channels=recording.format.channels,
            watermark_keys=watermark_keys,
            profiles=profiles,
            known=known,
            preparation=preparation,
        )
        digest = PcmDigest()
        levels = LevelMeter(recording.format.sample_rate)
        listener = (
            Listener(sample_rate=recording.format.sample_rate, channels=recording.format.channels)
            if fingerprint
            else None
        )
        for meter in meters:
            meter.begin(recording.format)
        for block in recording.blocks():
            if cancelled():
                raise StoppedError(f"stopped while examining {path.name}")
            digest.push(block)
            levels.push(block)
            detector.push(block)
            if listener is not None:
                listener.push(block)
            for meter in meters:
                meter.push(block)
            progress(stage, min(0.95, 0.9 * recording.samples / max(1, recording.format.claimed_samples)))
        detection = detector.finish()
        progress(stage, 1.0)
        return Examination(
            file_sha256=file_sha256,
            pcm_sha256=digest.hex(),
            format=recording.format,
            samples=recording.samples,
            levels=levels.finish(),
            damage=recording.damage,
            detection=detection,
            query=None if listener is None else listener.finish(),
        )


class Listener:
    """Takes the fingerprint of a stream of blocks, where it is long enough."""

    def __init__(self, *, sample_rate: int, channels: int) -> None:
        self._extractor = Extractor(sample_rate=sample_rate, channels=channels)
        self._sample_rate = sample_rate
        self._samples = 0

    def push(self, block: Block) -> None:
        """Take the next samples, float32 (channels, n)."""
        self._extractor.push(block)
        self._samples += block.shape[1]

    def finish(self) -> Query | None:
        """Return the fingerprint; None for less than MIN_FINGERPRINT_S."""
        query = self._extractor.finish()
        return query if self._samples >= MIN_FINGERPRINT_S * self._sample_rate else None


class LevelMeter:
    """Mean square of each second of a stream of blocks."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._samples = 0
        self._sums: list[float] = []

    def push(self, block: Block) -> None:
        """Add a block (channels, samples)."""
        power = np.mean(np.square(block, dtype=np.float64), axis=0)
        start = 0
        while start < power.size:
            second, within = divmod(self._samples, self._sample_rate)
            stop = min(power.size, start + self._sample_rate - within)
            if second == len(self._sums):
                self._sums.append(0.0)
            self._sums[second] += float(power[start:stop].sum())
            self._samples += stop - start
            start = stop

    def finish(self) -> tuple[float, ...]:
        """Return the mean squares; a last, short second counts as if silence followed."""
        return tuple(total / self._sample_rate for total in self._sums)


def embed_blocks(
    blocks: Iterable[Block],
    *,
    sample_rate: int,
    channels: int,
    watermark_key: bytes,
    payload: bytes,
    strength: Strength = Strength.DEFAULT,
) -> Iterator[Block]:
    """Yield the marked signal of a stream of blocks; together they are as long as the input."""
    embedder = watermark.Embedder(
        sample_rate=sample_rate,
        channels=channels,
        watermark_key=watermark_key,
        payload=payload,
        strength=strength.factor,
    )
    for block in blocks:
        yield embedder.push(block)
    yield embedder.finish()
