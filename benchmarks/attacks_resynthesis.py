"""Attacks that keep a clip's magnitudes and make its phases anew: what neural codecs do, by formula.

No neural codec can be had without its weights, which lie on a hub. These proxies share what makes such
codecs destroy marks: nothing of the waveform survives but a picture of its short-time magnitudes, whole
(Griffin and Lim 1984, in the accelerated form of Perraudin et al. 2013; random phases) or smoothed to mel
bands as in vocoders. They claim nothing about any codec. The phase vocoder is here for its transform.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from benchmarks.attack import Attack, Effect, Scene
from benchmarks.attacks_codec import transcode
from benchmarks.tools import Audio

Spectra = NDArray[np.complex64]  # (channels, frames, bins)
Magnitudes = NDArray[np.float32]

SIZE = 2048
HOP = 512
MOMENTUM = 0.99  # of the accelerated iteration
ITERATIONS = 32
MEL_BANDS = 128
MEL_RANGE_HZ = (20.0, 16_000.0)
MEL_UPDATES = 8
WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SIZE) / SIZE)).astype(np.float32)


def analyse(audio: Audio) -> Spectra:
    """Short-time spectra under a Hann window, hop a quarter of it; the first frame centres on sample 0."""
    count = audio.shape[1]
    padded = np.pad(audio, ((0, 0), (SIZE // 2, SIZE // 2 + (-count) % HOP)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, SIZE, axis=1)[:, ::HOP]
    return np.asarray(fft.rfft(frames * WINDOW, axis=2), dtype=np.complex64)


def synthesise(spectra: Spectra, count: int) -> Audio:
    """Least-squares signal of `count` samples for the spectra (Griffin and Lim 1984, eq. 6)."""
    channels, frames = spectra.shape[:2]
    pieces = fft.irfft(spectra, SIZE, axis=2) * WINDOW
    parts = SIZE // HOP
    total = np.zeros((channels, frames + parts - 1, HOP), dtype=np.float32)
    weight = np.zeros((frames + parts - 1, HOP), dtype=np.float32)
    for part in range(parts):
        total[:, part : part + frames] += pieces[:, :, part * HOP : (part + 1) * HOP]
        weight[part : part + frames] += WINDOW[part * HOP : (part + 1) * HOP] ** 2
    signal = (total / np.maximum(weight, 1e-8)).reshape(channels, -1)
    return np.asarray(signal[:, SIZE // 2 : SIZE // 2 + count], dtype=np.float32)


def with_random_phases(magnitudes: Magnitudes, rng: np.random.Generator) -> Spectra:
    """Give every bin a phase of its own."""
    phases = rng.random(magnitudes.shape, dtype=np.float32) * np.float32(2 * np.pi)
    return (magnitudes * np.exp(1j * phases)).astype(np.complex64)


def find_signal(magnitudes: Magnitudes, count: int, rng: np.random.Generator) -> Audio:
    """Find a signal of those magnitudes from random phases, by the accelerated Griffin-Lim iteration."""
    guess = with_random_phases(magnitudes, rng)
    before = np.zeros_like(guess)
    for _ in range(ITERATIONS):
        consistent = analyse(synthesise(guess, count))
        ahead = consistent + MOMENTUM * (consistent - before)
        guess = magnitudes * (ahead / np.maximum(np.abs(ahead), 1e-12))
        before = consistent
    return synthesise(guess, count)


def to_mono(audio: Audio) -> Audio:
    """The mean of the channels, (1, samples)."""
    return audio.mean(axis=0, keepdims=True, dtype=np.float32)


def griffin_lim(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
    """Mono; the magnitudes kept, the phases found anew."""
    mono = to_mono(audio)
    return find_signal(np.abs(analyse(mono)), mono.shape[1], scene.rng), sample_rate


def randomise_phases(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
    """Mono; the magnitudes kept, the phases random and left so."""
    mono = to_mono(audio)
    return synthesise(with_random_phases(np.abs(analyse(mono)), scene.rng), mono.shape[1]), sample_rate


@lru_cache(maxsize=4)
def mel_weights(sample_rate: int) -> Magnitudes:
    """Triangles equally spaced on the mel scale m = 2595 lg(1 + f / 700), (bands, bins)."""
    low, high = MEL_RANGE_HZ[0], min(MEL_RANGE_HZ[1], sample_rate / 2)
    marks = np.linspace(*(2595 * np.log10(1 + np.array([low, high]) / 700)), MEL_BANDS + 2)
    corners_hz = 700 * (10 ** (marks / 2595) - 1)
    frequency_hz = np.arange(SIZE // 2 + 1) * sample_rate / SIZE
    # A band narrower than a bin is widened to it, so that none is empty.
    width_hz = np.maximum(np.diff(corners_hz), sample_rate / SIZE)
    rise = 1 - (corners_hz[1:-1, None] - frequency_hz) / width_hz[:-1, None]
    fall = 1 - (frequency_hz - corners_hz[1:-1, None]) / width_hz[1:, None]
    weights = np.maximum(0, np.minimum(rise, fall))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def invert_mel(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
    """Mono; the magnitudes averaged to 128 mel bands, spread over the bins again, the phases found anew."""
    mono = to_mono(audio)
    weights = mel_weights(sample_rate)
    bands = np.abs(analyse(mono)) @ weights.T  # (1, frames, bands)
    # Non-negative least squares by the multiplicative rule of Lee and Seung (2001).
    magnitudes = bands @ (weights / weights.sum(axis=0).clip(1e-3))
    for _ in range(MEL_UPDATES):
        magnitudes *= (bands @ weights) / np.maximum((magnitudes @ weights.T) @ weights, 1e-9)
    return find_signal(magnitudes, mono.shape[1], scene.rng), sample_rate


def stretch_by_phase_vocoder(rate: float) -> Effect:
    """Play `rate` times as fast at the same pitch by a phase vocoder (Flanagan and Golden 1966).

    As in librosa's time_stretch: frames of 2048, a hop of 512, phases advanced bin by bin, no care for
    transients. The result is cut, or filled with silence, to the clip's length, as both benchmarks do.
    """

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        count = audio.shape[1]
        spectra = np.pad(analyse(audio), ((0, 0), (0, 2), (0, 0)))
        steps = np.arange(0, spectra.shape[1] - 2, rate)
        frame = steps.astype(np.int64)
        share = (steps - frame)[None, :, None]
        size = np.abs(spectra)
        size = (1 - share) * size[:, frame] + share * size[:, frame + 1]
        phase = np.angle(spectra)
        advance = 2 * np.pi * HOP * np.arange(SIZE // 2 + 1) / SIZE
        change = phase[:, frame + 1] - phase[:, frame] - advance
        change = advance + change - 2 * np.pi * np.round(change / (2 * np.pi))
        turned = phase[:, :1] + np.cumsum(np.concatenate([0 * change[:, :1], change[:, :-1]], axis=1), axis=1)
        changed = synthesise((size * np.exp(1j * turned)).astype(np.complex64), round(count / rate))
        return np.pad(changed[:, :count], ((0, 0), (0, max(0, count - changed.shape[1])))), sample_rate

    return effect


RESYNTHESIS = {"resynthesis": "phases made anew, mel inversion, Opus 12: in place of neural codecs"}
_SOURCE = "in place of neural codecs"
PROXIES = (
    Attack("opus 12", "resynthesis", (transcode("opus", kbit=12),), _SOURCE, "12 kbit/s"),
    Attack("griffin-lim", "resynthesis", (griffin_lim,), _SOURCE, f"{ITERATIONS} iterations, mono"),
    Attack("random phases", "resynthesis", (randomise_phases,), _SOURCE, "mono"),
    Attack("mel inversion", "resynthesis", (invert_mel,), _SOURCE, f"{MEL_BANDS} bands, mono"),
)
