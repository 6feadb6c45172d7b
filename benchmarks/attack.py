"""What an attack is: a named, seeded change of a clip, made of effects in a row.

An effect takes audio (float32 (channels, samples)), its sample rate in Hz and a `Scene`, and returns audio
and sample rate, either of which may have another length, channel count or rate.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from benchmarks.tools import Audio


@dataclass(frozen=True)
class Scene:
    """What an effect may draw on besides the clip: seeded randomness, and a song to mix or splice in.

    `song` is unmarked float32 (channels, samples) at `song_rate` Hz, or None to let the effect take one from
    the music cache.
    """

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    song: Audio | None = None
    song_rate: int = 44_100


Effect: TypeAlias = Callable[[Audio, int, Scene], tuple[Audio, int]]


@dataclass(frozen=True)
class Attack:
    """A row of a robustness table: `effects` in order; `family` is the row's group in the summary.

    `source` names where a row was published, `parameter` the value it has there.
    """

    name: str
    family: str
    effects: tuple[Effect, ...]
    source: str = "Provenote"
    parameter: str = ""


@dataclass(frozen=True)
class AttackList:
    """Attacks that are reported together.

    `families` gives each family's description, in the order of the table; `short` names the attacks of the
    short mode; `left_out` names what the source has and this list lacks, with the reason.
    """

    name: str
    source: str
    families: Mapping[str, str]
    attacks: tuple[Attack, ...]
    short: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def draw(make: Callable[[float], Effect], *intervals: tuple[float, float]) -> Effect:
    """An effect whose parameter is drawn uniformly from one of `intervals`, itself drawn at random."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        low, high = intervals[int(scene.rng.integers(len(intervals)))]
        return make(float(scene.rng.uniform(low, high)))(audio, sample_rate, scene)

    return effect


def apply(
    attack: Attack, audio: Audio, sample_rate: int, *, seed: int = 0, song: Audio | None = None
) -> tuple[Audio, int]:
    """Apply an attack to a clip.

    Parameters
    ----------
    attack : one of `benchmarks.attacks`, or one of your own
    audio : float32 (channels, samples); not changed
    sample_rate : Hz
    seed : the same seed, attack and clip give the same result
    song : unmarked audio at `sample_rate` for attacks that mix or splice; None takes a track from the music
        cache

    Returns
    -------
    (audio, sample_rate) : float32 (channels, samples) and Hz, as the attacked file would be decoded

    Raises
    ------
    BenchmarkError
        A tool is missing or failed.
    """
    rng = np.random.default_rng([seed, zlib.crc32(attack.name.encode())])
    scene = Scene(rng=rng, song=song, song_rate=sample_rate)
    for effect in attack.effects:
        audio, sample_rate = effect(audio, sample_rate, scene)
    return np.ascontiguousarray(audio, dtype=np.float32), sample_rate
