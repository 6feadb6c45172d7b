"""Sections of tracks and their marks: for one seed the same in every benchmark; kept between trials.

A system is named by a text: provenote, provenote@1.5 (at strength 1.5), provenote-candidate (the test for one
known mark), provenote-placed (that of a recording that is known as well), provenote-registry (reading with a
registry of marks at hand), audiowmark=PROGRAM,
audiowmark-speed@15=PROGRAM, perth=PYTHON, aware=PYTHON.
"""

import hashlib
import re
from functools import cache, lru_cache
from pathlib import Path

from benchmarks.music import SAMPLE_RATE, Track, load
from benchmarks.peers import Audiowmark, NeuralPeer
from benchmarks.systems import (
    CANDIDATE,
    OURS,
    PLACED,
    REGISTRY,
    CandidateTest,
    PlacedTest,
    Provenote,
    RegistryReading,
    System,
)
from benchmarks.tools import Audio, BenchmarkError

SECTION_S = 90.0  # how much of a long track is marked and cut from


@cache
def open_system(text: str) -> System:
    """Open a system by its name, once in each process.

    Raises
    ------
    BenchmarkError
        There is no such system, its program is missing, or it has no strength to be set.
    """
    name, _, program = text.partition("=")
    form = re.fullmatch(r"([a-z-]+)(?:@(\d+(?:\.\d+)?))?", name)
    base, strength = (form[1], float(form[2]) if form[2] else None) if form else (name, None)
    ours = {OURS: Provenote, CANDIDATE: CandidateTest, PLACED: PlacedTest, REGISTRY: RegistryReading}
    if base in ours and not program:
        return ours[base](strength=strength)
    if base in ("audiowmark", "audiowmark-speed") and program:
        strength = 10.0 if strength is None else strength
        return Audiowmark(program, name=name, strength=strength, detect_speed=base.endswith("-speed"))
    if base in ("perth", "aware") and program and strength is None:
        return NeuralPeer(program, name=name)
    raise BenchmarkError(
        "expected a system as provenote[-candidate|-placed|-registry][@STRENGTH], "
        f"audiowmark[-speed][@STRENGTH]=PROGRAM, perth=PYTHON or aware=PYTHON, got {text!r}"
    )


@lru_cache(maxsize=3)
def load_section(track: Track, cache: Path, seed: int) -> Audio:
    """Load up to 90 s of a track, from a place drawn by the seed."""
    spare_s = max(0.0, track.seconds - SECTION_S)
    digest = hashlib.sha256(f"section {seed} {track.sha256}".encode()).digest()
    start_s = round(spare_s * int.from_bytes(digest[:4]) / 2**32, 3)
    return load(track, cache, start_s=start_s, seconds=SECTION_S)


def derive_secret(track: Track, seed: int) -> bytes:
    """The secret that key and payload of a track come from."""
    return hashlib.sha256(f"secret {seed} {track.sha256}".encode()).digest()


@lru_cache(maxsize=3)
def mark_section(system: str, track: Track, cache: Path, seed: int) -> Audio:
    """Mark a track's section; kept for the trials that follow."""
    audio = load_section(track, cache, seed)
    return open_system(system).mark(audio, sample_rate=SAMPLE_RATE, secret=derive_secret(track, seed))


def shorten(system: str) -> str:
    """A system's name without its path."""
    return system.partition("=")[0]
