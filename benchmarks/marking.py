"""Sections of tracks and their marks: for one seed the same in every benchmark; kept between trials."""

import hashlib
from functools import lru_cache
from pathlib import Path

from benchmarks.music import SAMPLE_RATE, Track, load
from benchmarks.systems import Provenote, System, open_peer
from benchmarks.tools import Audio

SECTION_S = 90.0  # how much of a long track is marked and cut from


@lru_cache(maxsize=4)
def open_system(name: str) -> System:
    """Open a system by its name on the command line; once in each process."""
    return Provenote() if name == "provenote" else open_peer(name)


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
