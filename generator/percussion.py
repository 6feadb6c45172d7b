"""Drum part to samples: strokes from the drum kit's model, mixed where they fall to the sample.

Strokes on one drum that are about equally hard share one of VARIANTS sounds, drawn from the model when first
needed: noise differs between the variants, so that a roll is not one sound repeated.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from .drumkit import DRUM_OF_KEY, DRUM_ROW, FINE_FFT, FINE_HOP, Drum, DrumKit, fine_band_matrix
from .loudness import LoudnessMeter
from .synthesis import (
    BLOCK_SAMPLES,
    LEAD_SAMPLES,
    OVERLAP_SAMPLES,
    TimedNote,
    noise_spectrum,
    overlap_add,
)
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
        spectrum = noise_spectrum(10 ** (levels / 10), fine_band_matrix(), random)
        noise = overlap_add(torch.fft.irfft(spectrum, FINE_FFT) * torch.hann_window(FINE_FFT), FINE_HOP)
        # Hann frames of independent noise add up to a power of 4 * 0.375.
        sound = noise[FINE_FFT // 2 :][:samples] / math.sqrt(1.5)
        sound = sound + kit.modes(row, float(velocity), samples)[: len(sound)]
    fade = np.minimum(1.0, (len(sound) - np.arange(len(sound))) / (_FADE_S * SAMPLE_RATE))
    return np.asarray(sound.numpy() * fade, dtype=np.float32)


class DrumSynthesiser:
    """The drum part as blocks, like `synthesis.PartSynthesiser`."""

    def __init__(self, kit: DrumKit, notes: Sequence[TimedNote], *, seed: tuple[int, ...]) -> None:
        self._kit, self._seed = kit, seed
        self._sounds: dict[tuple[str, int, int], NDArray[np.float32]] = {}
        self._strokes: list[tuple[int, NDArray[np.float32]]] = []
        last: dict[str, int] = {}
        for number, note in enumerate(sorted(notes, key=lambda n: (n.onset_s, n.pitch))):
            drum = DRUM_OF_KEY[note.pitch]
            place = round(note.onset_s * SAMPLE_RATE) + LEAD_SAMPLES
            for name, stroke in list(last.items()):
                if drum.name in _chokers(name):
                    self._strokes[stroke] = self._choke(*self._strokes[stroke], place)
                    del last[name]
            self._strokes.append((place, self._sound(drum, note.velocity, number)))
            last[drum.name] = len(self._strokes) - 1

    def block(self, number: int) -> NDArray[np.float32]:
        """Samples of one block, and nothing in the OVERLAP_SAMPLES after them."""
        start = number * BLOCK_SAMPLES
        total = np.zeros(BLOCK_SAMPLES + OVERLAP_SAMPLES, dtype=np.float32)
        for place, sound in self._strokes:
            begin, end = max(place, start), min(place + len(sound), start + BLOCK_SAMPLES)
            if begin < end:
                total[begin - start : end - start] += sound[begin - place : end - place]
        return total

    def power(self, steps: int, step_s: float) -> NDArray[np.float64]:
        """K-weighted power in each of some steps from the start of the score, (steps,)."""
        total = np.zeros(steps)
        weighted: dict[int, NDArray[np.float64]] = {}
        for place, sound in self._strokes:
            if id(sound) not in weighted:
                meter = LoudnessMeter(SAMPLE_RATE, 1)
                meter.push(np.pad(sound, (0, int(step_s * SAMPLE_RATE)))[None])
                weighted[id(sound)] = meter.power
            power = weighted[id(sound)]
            first = int((place - LEAD_SAMPLES) / SAMPLE_RATE / step_s)
            fitting = power[: max(0, steps - first)]
            total[first : first + len(fitting)] += fitting
        return total

    def _sound(self, drum: Drum, velocity: int, number: int) -> NDArray[np.float32]:
        step = max(1, round(velocity / _VELOCITY_STEP))
        which = (drum.name, step, number % VARIANTS)
        if which not in self._sounds:
            random = np.random.default_rng((*self._seed, DRUM_ROW[drum.name], step, which[2]))
            self._sounds[which] = strike(self._kit, drum, min(127, step * _VELOCITY_STEP), random)
        return self._sounds[which]

    @staticmethod
    def _choke(place: int, sound: NDArray[np.float32], stop: int) -> tuple[int, NDArray[np.float32]]:
        """A sound that is stopped by the next stroke."""
        length = int(_FADE_S * SAMPLE_RATE)
        end = min(len(sound), max(0, stop - place) + length)
        fade = np.minimum(1.0, (end - np.arange(end)) / length)
        return place, np.asarray(sound[:end] * fade, dtype=np.float32)


def _chokers(name: str) -> tuple[str, ...]:
    """Drums whose stroke stops the one named."""
    return next(drum.choked_by for drum in DRUM_OF_KEY.values() if drum.name == name)
