"""Movement: how the partials of a held note rise and fall against each other, instrument by instrument.

The levels of the timbre network are smooth in time; the partials of the reference are not. An accordion's
beat, since two reeds a few cents apart sound each note. Those of string players and of organ pipes wander,
the faster the higher they lie. Those of a violin, cello or flute swell with the vibrato, which carries each
across the resonances of the body. In each case level and phase follow a wave, one for all notes; every
partial of every note begins at a place of its own and moves along it in time or with its pitch.

The network's level is the middle of what is heard: the median in time, the mean over a swing of the pitch.
What the figures here were measured on: docs/generator.md.
"""

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
import torch

# A power of two, so that a place beyond the end begins again by a mask.
WAVE_STEPS = 32_768
# Players of an ensemble spread by the normal distribution, whose deviation is so many turns of the wave.
_PLAYERS, _DEVIATION_TURNS = 16, 48
# The same wave as a body's response over frequency: it changes within 1 / (2 pi deviation) of its length.
_CORRELATED_SHARE = 1 / (2 * math.pi * _DEVIATION_TURNS)
# Places over a swing whose mean level is taken off.
_SWING_STEPS = 9
# Faster movement would be lost, or folded back, between frames that are 5.8 ms apart.
_FASTEST_HZ = 40.0
_DEEPEST_DB = -30.0


@dataclass(frozen=True, slots=True)
class Reeds:
    """Two reeds for each note, so far apart, one with the softer amplitude."""

    apart_cents: float
    softer: float


@dataclass(frozen=True, slots=True)
class Players:
    """Many for each note, tuned about it with this standard deviation; `steady`: share of the power of one
    who keeps to it.
    """

    spread_cents: float
    steady: float


@dataclass(frozen=True, slots=True)
class Body:
    """One player, whose vibrato moves each partial across resonances that are about so wide."""

    resonance_hz: float


Kind = Reeds | Players | Body
# By name of the instrument; the partials of the others keep still.
KINDS: dict[str, Kind] = {
    "organ": Players(4.0, 0.7),
    "accordion": Reeds(16.0, 0.85),
    "violin": Body(14.0),
    "cello": Body(5.0),
    "strings": Players(13.0, 0.25),
    "flute": Body(12.0),
}


@dataclass(frozen=True, slots=True)
class Wave:
    """One turn of movement, (WAVE_STEPS,) each: level in dB over the median, and phase in turns."""

    level_db: torch.Tensor
    turns: torch.Tensor


class Movement:
    """The partials of the notes of one part, as they move.

    hertz: (N, partials), where each partial lies; swing: by what share of itself the vibrato bends the pitch
    at most; random: whence the places where partials begin. `mean_db`: the mean power over the middle level.
    """

    def __init__(self, kind: Kind, hertz: torch.Tensor, swing: float, random: np.random.Generator) -> None:
        wave, self._speed, self._follows_pitch = _wave_and_speed(kind, hertz.flatten())
        self._wave = Wave(wave.level_db.to(hertz.device), wave.turns.to(hertz.device))
        self._begin = torch.from_numpy(random.random(hertz.numel(), dtype=np.float32)).to(hertz.device)
        self._middle_db = torch.zeros(hertz.numel(), device=hertz.device)
        self.mean_db = 0.0
        if self._follows_pitch:
            angles = torch.linspace(-math.pi / 2, math.pi / 2, _SWING_STEPS, device=hertz.device)
            bends = swing * torch.sin(angles)
            steps = _steps_at(self._begin[..., None] + self._speed[..., None] * bends)
            self._middle_db = self._wave.level_db[steps].mean(-1)
        else:
            self.mean_db = float(10 * torch.log10((10 ** (self._wave.level_db / 10)).mean()))

    def at(
        self, which: torch.Tensor, since_onset_s: torch.Tensor, bend: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Level in dB and phase in turns to be added; (P,) each: which partial, all those of the first note
        before those of the next, seconds since the onset, and by what share of itself the pitch is bent
        (float32).
        """
        clock = bend if self._follows_pitch else since_onset_s
        step = _steps_at(self._begin[which] + self._speed[which] * clock)
        level, turns = self._wave.level_db[step], self._wave.turns[step]
        return (level - self._middle_db[which] if self._follows_pitch else level), turns


def _steps_at(place: torch.Tensor) -> torch.Tensor:
    """Steps of a wave at places in turns; what lies beyond its end begins again."""
    return (place * WAVE_STEPS).long() & (WAVE_STEPS - 1)


def _wave_and_speed(kind: Kind, hertz: torch.Tensor) -> tuple[Wave, torch.Tensor, bool]:
    """The wave of a kind, how fast each partial moves along it, and whether with pitch, not time."""
    if isinstance(kind, Reeds):
        # One reed turns forth and one back: the beat is twice their speed.
        spread_hz = hertz * (2 ** (kind.apart_cents / 1200) - 1) / 2
        return _beating(kind.softer), spread_hz.clamp(max=_FASTEST_HZ).float(), False
    if isinstance(kind, Players):
        spread_hz = hertz * (2 ** (kind.spread_cents / 1200) - 1)
        speed = spread_hz.clamp(max=_FASTEST_HZ) / _DEVIATION_TURNS
        return _wandering(kind.steady), speed.float(), False
    return _wandering(0.0), (hertz * _CORRELATED_SHARE / kind.resonance_hz).float(), True


@cache
def _beating(softer: float) -> Wave:
    """Two voices, of which one has a softer amplitude than the other."""
    return _sum_of_voices((1, -1), (0.0, 0.0), (1.0, softer))


@cache
def _wandering(steady: float) -> Wave:
    """Many voices about one steady one, which has a share of the power."""
    places = [NormalDist().inv_cdf((voice + 0.5) / _PLAYERS) for voice in range(_PLAYERS)]
    turns = [round(_DEVIATION_TURNS * place) for place in places]
    # Phases without a pattern: squares of the voice's number times the golden section.
    phases = [voice**2 * (math.sqrt(5) - 1) / 2 % 1 for voice in range(_PLAYERS)]
    amplitudes = [math.sqrt((1 - steady) / _PLAYERS)] * _PLAYERS
    return _sum_of_voices((*turns, 0), (*phases, 0.0), (*amplitudes, math.sqrt(steady)))


def _sum_of_voices(turns: tuple[int, ...], phases: tuple[float, ...], amplitudes: tuple[float, ...]) -> Wave:
    """The wave of voices that turn so many times each."""
    place = np.arange(WAVE_STEPS) / WAVE_STEPS
    total = np.zeros(WAVE_STEPS, dtype=np.complex128)
    for number, phase, amplitude in zip(turns, phases, amplitudes, strict=True):
        total += amplitude * np.exp(2j * np.pi * (number * place + phase))
    power = np.abs(total) ** 2
    level = np.maximum(10 * np.log10(power / np.median(power) + 1e-9), _DEEPEST_DB)
    return Wave(torch.from_numpy(level.astype(np.float32)), torch.from_numpy(np.angle(total) / (2 * np.pi)))
