"""What the security experiments share: hosts, keys, how a clip is read and graded, what a finding is."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import watermark
from benchmarks.music import SAMPLE_RATE, Track, choose, list_tracks, load
from benchmarks.peaq import compare
from benchmarks.tools import Audio, BenchmarkError
from watermark import PROFILE, Profile

# What is left of a track's beginning at least, where there is room: it is often a fade.
MARGIN_S = 5.0


@dataclass(frozen=True)
class Host:
    """Unmarked audio, float32 (2, samples) at 44.1 kHz, and the track it was cut from."""

    name: str
    audio: Audio


@dataclass(frozen=True)
class Material:
    """Music, seed and size of a run: `victims` are attacked, `others` serve an attacker to learn from."""

    victims: tuple[Track, ...]
    others: tuple[Track, ...]
    cache: Path
    seed: int
    short: bool
    profile: Profile = PROFILE

    def derive(self, label: str, count: int = 32) -> bytes:
        """Derive up to 32 bytes (a key, a payload) for one purpose."""
        return hashlib.sha256(f"security {self.seed} {label}".encode()).digest()[:count]

    def rng(self, label: str) -> np.random.Generator:
        """Make a generator for one purpose."""
        return np.random.default_rng(int.from_bytes(self.derive(f"random {label}", 8)))

    def hosts(self, count: int, seconds: float, *, learning: bool = False) -> Iterator[Host]:
        """Yield `count` hosts of `seconds`, each from another track while they last.

        When the tracks are used up, they give further parts that do not overlap the earlier ones.
        """
        tracks = [t for t in (self.others if learning else self.victims) if t.seconds >= seconds]
        rounds = [
            (part, track)
            for part in range(64)
            for track in tracks
            if part == 0 or (part + 1) * seconds + 3 * MARGIN_S <= track.seconds
        ]
        if len(rounds) < count:
            raise BenchmarkError(f"expected {count} parts of {seconds:g} s, the music has {len(rounds)}")
        for part, track in rounds[:count]:
            audio = self.cut(track, part, seconds)
            yield Host(f"{track.name} part {part}", audio)

    def cut(self, track: Track, part: int, seconds: float) -> Audio:
        """Cut part number `part` of a track; where the first one begins is drawn by the seed."""
        spare_s = max(0.0, track.seconds - seconds)
        draw = int.from_bytes(self.derive(f"begin {track.sha256}", 4)) / 2**32
        # Near the beginning: a decoder has to read a lossy file from its start.
        begin_s = MARGIN_S + draw * MARGIN_S + part * seconds
        audio = load(track, self.cache, start_s=round(min(begin_s, spare_s), 3), seconds=seconds)
        count = round(seconds * SAMPLE_RATE)
        return np.ascontiguousarray(np.pad(audio, ((0, 0), (0, max(0, count - audio.shape[1]))))[:, :count])


@dataclass(frozen=True)
class Finding:
    """Outcome of an experiment: tables by title, columns named by their rows' keys; facts; a picture."""

    theory: str
    tables: dict[str, Sequence[dict[str, Any]]]
    note: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    draw: Callable[[Any], None] | None = None


def open_material(
    cache: Path, *, split: str, tracks: int, seed: int, short: bool, profile: Profile = PROFILE
) -> Material:
    """Choose the victims from a split, and what an attacker learns from out of all other music."""
    victims = choose(list_tracks(cache, split=split), tracks)
    if len(victims) < 2:
        raise BenchmarkError(f"expected two tracks or more in split {split}, got {len(victims)}")
    known = {track.sha256 for track in victims}
    every = list_tracks(cache)
    others = choose([track for track in every if track.sha256 not in known], len(every))
    return Material(tuple(victims), tuple(others or victims), cache, seed, short, profile)


def mark(audio: Audio, watermark_key: bytes, payload: bytes, *, profile: Profile) -> Audio:
    """Mark a host."""
    return watermark.embed(
        audio, sample_rate=SAMPLE_RATE, watermark_key=watermark_key, payload=payload, profile=profile
    )


def read(audio: Audio, *watermark_keys: bytes, profile: Profile) -> watermark.Detection:
    """Read a clip blindly."""
    return watermark.detect(
        np.asarray(audio, np.float32),
        sample_rate=SAMPLE_RATE,
        watermark_keys=watermark_keys,
        profiles=[profile],
    )


def is_present(
    audio: Audio, watermark_key: bytes, payload: bytes, *, profile: Profile
) -> watermark.CandidateMatch:
    """Test a clip for one known mark."""
    return watermark.match_candidate(
        np.asarray(audio, np.float32),
        sample_rate=SAMPLE_RATE,
        watermark_key=watermark_key,
        payload=payload,
        profile=profile,
    )


def grade(reference: Audio, test: Audio) -> float | None:
    """ODG of a changed recording (0 imperceptible, -4 very annoying); None where the reference is silent."""
    try:
        return round(compare(reference, test, sample_rate=SAMPLE_RATE).odg, 3)
    except ValueError:
        return None


def find_least(levels: Sequence[float], works: Callable[[float], bool]) -> float | None:
    """Find the least of ascending levels at which an attack works; None where none does.

    One after the other, not by bisection: a pattern subtracted too strongly stands there again, inverted.
    """
    return next((level for level in levels if works(level)), None)


def mean(values: Sequence[float | None], digits: int = 2) -> float | None:
    """Mean of those that are there."""
    some = [value for value in values if value is not None]
    return round(float(np.mean(some)), digits) + 0.0 if some else None


def log_p(probability: float) -> float:
    """Power of ten of a probability."""
    return round(float(np.log10(probability)), 1)


def count(flags: Sequence[bool]) -> str:
    """Say "3/4"."""
    return f"{sum(flags)}/{len(flags)}"
