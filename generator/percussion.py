"""Drum part to samples: strokes from the drum kit's model, mixed where they fall to the sample.

Strokes on one drum that are about equally hard share one of VARIANTS sounds, drawn from the model when first
needed: noise differs between the variants, so that a roll is not one sound repeated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from .drumkit import DRUM_OF_KEY, DRUM_ROW, FINE_FFT, FINE_HOP, Drum, DrumKit, fine_band_matrix
from .loudness import LoudnessMeter
from .noise import draw_angles, noise_spectrum
from .synthesis import BLOCK_SAMPLES, LEAD_SAMPLES, OVERLAP_SAMPLES, TimedNote, overlap_add
from .timbre import SAMPLE_RATE

VARIANTS = 3
_VELOCITY_STEP = 6
_FADE_S = 0.02


def strike(kit: DrumKit, drum: Drum, velocity: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Sound of one stroke, mono float32, from the stroke on."""
    samples = int(drum.sounds_s * SAMPLE_RATE)
    row = DRUM_ROW[drum.name]
    frames = samples // FINE_HOP + 1
    with torch.inference_mode():
        since = torch.arange(frames) * FINE_HOP / SAMPLE_RATE
        levels = kit.noise_db(torch.full((frames,), row), torch.full((frames,), float(velocity)), since)
        angles = draw_angles(random, frames, FINE_FFT // 2 + 1)
        spectrum = noise_spectrum(10 ** (levels / 10), fine_band_matrix(), angles)
        noise = overlap_add(torch.fft.irfft(spectrum, FINE_FFT) * torch.hann_window(FINE_FFT), FINE_HOP)
        # Hann frames of independent noise add up to a power of 4 * 0.375.
        sound = noise[FINE_FFT // 2 :][:samples] / math.sqrt(1.5)
        sound = sound + kit.modes(row, float(velocity), samples)[: len(sound)]
    fade = np.minimum(1.0, (len(sound) - np.arange(len(sound))) / (_FADE_S * SAMPLE_RATE))
    return np.asarray(sound.numpy() * fade, dtype=np.float32)


class DrumSynthesiser:
    """The drum part as blocks, like `synthesis.PartSynthesiser`; a sound is drawn when its first block is."""

    def __init__(self, kit: DrumKit, notes: Sequence[TimedNote], *, seed: tuple[int, ...]) -> None:
        self._kit, self._seed = kit, seed
        self._sounds: dict[_Which, NDArray[np.float32]] = {}
        self._strokes: list[_Stroke] = []
        last: dict[str, int] = {}
        for number, note in enumerate(sorted(notes, key=lambda n: (n.onset_s, n.pitch))):
            drum = DRUM_OF_KEY[note.pitch]
            place = round(note.onset_s * SAMPLE_RATE) + LEAD_SAMPLES
            for name, index in list(last.items()):
                if drum.name in _chokers(name):
                    self._strokes[index] = _choke(self._strokes[index], place)
                    del last[name]
            step = max(1, round(note.velocity / _VELOCITY_STEP))
            which = (drum.key, step, number % VARIANTS)
            self._strokes.append(_Stroke(place, int(drum.sounds_s * SAMPLE_RATE), which, choked=False))
            last[drum.name] = len(self._strokes) - 1

    def block(self, number: int) -> NDArray[np.float32]:
        """Samples of one block, and nothing in the OVERLAP_SAMPLES after them."""
        start = number * BLOCK_SAMPLES
        total = np.zeros(BLOCK_SAMPLES + OVERLAP_SAMPLES, dtype=np.float32)
        for stroke in self._strokes:
            begin, end = max(stroke.place, start), min(stroke.place + stroke.length, start + BLOCK_SAMPLES)
            if begin < end:
                part = self._sound(stroke.which)[begin - stroke.place : end - stroke.place]
                if stroke.choked:
                    left = stroke.place + stroke.length - np.arange(begin, end)
                    part = part * np.minimum(1.0, left / int(_FADE_S * SAMPLE_RATE)).astype(np.float32)
                total[begin - start : end - start] += part
        return total

    def blocks(self, first: int, count: int) -> NDArray[np.float32]:
        """So many blocks from number `first` on, (count, BLOCK_SAMPLES + OVERLAP_SAMPLES)."""
        return np.stack([self.block(number) for number in range(first, first + count)])

    def power(self, steps: int, step_s: float) -> NDArray[np.float64]:
        """K-weighted power in each of some steps from the start of the score, (steps,); the variants of a
        sound count as one.
        """
        total = np.zeros(steps)
        weighted: dict[_Which, NDArray[np.float64]] = {}
        step_samples = int(step_s * SAMPLE_RATE)
        for stroke in self._strokes:
            which = (*stroke.which[:2], 0)
            if which not in weighted:
                meter = LoudnessMeter(SAMPLE_RATE, 1)
                meter.push(np.pad(self._sound(which), (0, step_samples))[None])
                weighted[which] = meter.power
            first = (stroke.place - LEAD_SAMPLES) // step_samples
            power = weighted[which][: max(0, min(steps - first, -(-stroke.length // step_samples)))]
            total[first : first + len(power)] += power
        return total

    def _sound(self, which: "_Which") -> NDArray[np.float32]:
        if which not in self._sounds:
            drum, step, variant = DRUM_OF_KEY[which[0]], which[1], which[2]
            random = np.random.default_rng((*self._seed, DRUM_ROW[drum.name], step, variant))
            self._sounds[which] = strike(self._kit, drum, min(127, step * _VELOCITY_STEP), random)
        return self._sounds[which]


# A sound of the kit: key, velocity in steps, variant.
_Which = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Stroke:
    """One stroke: its first sample, how many it sounds, and whether another stroke ends it."""

    place: int
    length: int
    which: _Which
    choked: bool


def _choke(stroke: _Stroke, stop: int) -> _Stroke:
    """A stroke that the next one ends."""
    length = min(stroke.length, max(0, stop - stroke.place) + int(_FADE_S * SAMPLE_RATE))
    return replace(stroke, length=length, choked=True)


def _chokers(name: str) -> tuple[str, ...]:
    """Drums whose stroke stops the one named."""
    return next(drum.choked_by for drum in DRUM_OF_KEY.values() if drum.name == name)
