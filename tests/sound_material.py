"""Seeded synthetic music for tests of fingerprints: chords, drums and a melody that never quite repeat."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
SAMPLE_RATE = 16_000


def make_music(seed: int, seconds: float, *, sample_rate: int = SAMPLE_RATE) -> FloatArray:
    """Return float32 (1, samples) of notes with four partials each and soft noise bursts, peak 0.5."""
    rng = np.random.default_rng(seed)
    audio = np.zeros(round((seconds + 1.0) * sample_rate))
    for voice in range(4):
        at_s = 0.0
        while at_s < seconds:
            length_s = float(rng.choice([0.12, 0.18, 0.25, 0.4, 0.6]))
            hz = 110.0 * 2.0 ** (int(rng.integers(0, 40)) / 12 + 0.3 * voice)
            time_s = np.arange(round(length_s * sample_rate)) / sample_rate
            envelope = np.exp(-3.0 * time_s / length_s) * np.minimum(1.0, time_s / 0.01)
            note = sum(np.sin(2 * np.pi * hz * n * time_s + n) / n for n in range(1, 5))
            start = round(at_s * sample_rate)
            audio[start : start + len(time_s)] += rng.uniform(0.3, 1.0) * envelope * note
            at_s += length_s * float(rng.choice([0.5, 1.0, 1.0, 1.5]))
    for start in rng.integers(0, len(audio) - sample_rate // 4, int(seconds * 3)):
        burst = rng.standard_normal(sample_rate // 10) * np.exp(
            -np.arange(sample_rate // 10) / (0.02 * sample_rate)
        )
        audio[start : start + len(burst)] += 0.3 * burst
    audio = audio[: round(seconds * sample_rate)]
    return (0.5 * audio / np.abs(audio).max())[None].astype(np.float32)


def add_noise(audio: FloatArray, snr_db: float, *, seed: int = 0) -> FloatArray:
    """Return audio with white noise at a level under its own."""
    power = float(np.mean(audio.astype(np.float64) ** 2))
    noise = np.random.default_rng(seed).standard_normal(audio.shape) * np.sqrt(power * 10 ** (-snr_db / 10))
    return (audio + noise).astype(np.float32)
