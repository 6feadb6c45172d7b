"""What the identity benchmark asks about: fingerprints of music, altered copies to fill an index, clips."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache as keep
from pathlib import Path

import numpy as np

from benchmarks.attack import Attack, apply
from benchmarks.music import SAMPLE_RATE, Track, load
from benchmarks.report import digest_sources
from benchmarks.tools import Audio
from watermark.identity import Fingerprint, Landmarks, Sketch, extract, format_fingerprint, parse_fingerprint
from watermark.identity.profile import PROFILE
from watermark.identity.sketch_profile import SKETCH_PROFILE

CODE = Path(__file__).resolve().parent.parent / "watermark" / "identity"
# What a stored fingerprint depends on; search and decision may change without making it anew.
EXTRACTION = (
    "spectrum.py",
    "landmarks.py",
    "extraction.py",
    "sketch.py",
    "outer_levels.py",
    "slow_audio.py",
    "stretches.py",
    "profile.py",
)
SEARCH = ("hashing.py", "segment.py", "lookup.py", "voting.py", "search.py", "alignment.py", "decision.py")
# Source of a clip: enough for 10 s of what plays a quarter faster.
SOURCE_S = 13.0
CLIP_S = 10.0
# How altered copies differ from what they were made of, besides running backwards.
STRETCHES = (0.8, 1.25)
SHIFTS = (-3, 3)


@dataclass(frozen=True)
class Clip:
    """A clip that was attacked: its audio, and where in the track it begins."""

    audio: Audio
    sample_rate: int
    start_s: float


@keep
def digest_search() -> str:
    """Digest the sources that an answer depends on, so that trials of other code are not mixed in."""
    return digest_sources([CODE / name for name in (*EXTRACTION, *SEARCH, "agreement.py", "matches.py")])


def load_fingerprint(track: Track, cache: Path) -> Fingerprint:
    """Extract a track's fingerprint, or take it from the cache."""
    digest = digest_sources([CODE / name for name in EXTRACTION])
    path = cache / "identity" / f"{hashlib.sha256(track.name.encode()).hexdigest()[:16]}-{digest}.fp"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(format_fingerprint(extract(load(track, cache), sample_rate=SAMPLE_RATE)))
        fresh.replace(path)
    return parse_fingerprint(path.read_bytes())


def alter_fingerprint(found: Fingerprint, rng: np.random.Generator) -> Fingerprint:
    """Make another recording of the same statistics: backwards, at another pace, in another register."""
    stretch = float(rng.uniform(*STRETCHES))
    wide = int(rng.integers(SHIFTS[0], SHIFTS[1] + 1))
    bands = wide * PROFILE.bands / SKETCH_PROFILE.word_bands
    peaks = found.landmarks
    frames = np.rint((peaks.frames.max(initial=0) - peaks.frames) * stretch).astype(np.int32)[::-1]
    pitches = (peaks.pitches + bands)[::-1]
    kept = (pitches > 1) & (pitches < PROFILE.bands - 1)
    landmarks = Landmarks(
        peaks.profile_name,
        frames[kept],
        pitches[kept].astype(np.float32),
        peaks.strengths[::-1][kept],
    )
    words = found.sketch.words
    at = np.minimum((np.arange(round(words.size * stretch)) / stretch).astype(np.int64), words.size - 1)
    # Backwards, every difference over time has the other sign; another register is a shift of the bits.
    turned = ~words[::-1][at]
    shifted = turned << np.uint32(wide) if wide >= 0 else turned >> np.uint32(-wide)
    sketch = Sketch(
        found.sketch.profile_name, shifted, found.sketch.audible[::-1][at], found.sketch.extra[::-1]
    )
    return Fingerprint(found.profile_name, found.seconds * stretch, landmarks, sketch)


def fill_catalogue(indexed: Sequence[Fingerprint], size: int, seed: int) -> dict[int, Fingerprint]:
    """Number fingerprints from 0 on, and add altered copies of them until there are `size`."""
    rng = np.random.default_rng([seed, 77])
    catalogue = dict(enumerate(indexed))
    for number in range(len(indexed), size):
        catalogue[number] = alter_fingerprint(indexed[number % len(indexed)], rng)
    return catalogue


def list_sources(indexed: Sequence[Track], size: int) -> list[str]:
    """Digest, for each number of a filled catalogue, of the recording that it is or was made of."""
    return [indexed[number % len(indexed)].sha256 for number in range(size)]


def make_clip(track: Track, attack: Attack, cache: Path, seed: int) -> Clip:
    """Cut a clip out of a track at a random place and attack it; the first 10 s of what comes out."""
    rng = np.random.default_rng([seed, zlib.crc32(track.name.encode())])
    start = round(float(rng.uniform(1.0, track.seconds - SOURCE_S - 3.0)) * SAMPLE_RATE)
    source = load(track, cache, start_s=start / SAMPLE_RATE, seconds=SOURCE_S)
    audio, sample_rate = apply(attack, source, SAMPLE_RATE, seed=seed)
    return Clip(
        np.ascontiguousarray(audio[:, : round(CLIP_S * sample_rate)]), sample_rate, start / SAMPLE_RATE
    )
