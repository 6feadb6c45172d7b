"""Loudness against the standard's own figures, true peak."""

import numpy as np
import pytest

from generator.loudness import LoudnessMeter, loudness_lufs, true_peak


def sine(hz: float, level_db: float, *, sample_rate: int = 44_100, seconds: float = 3.0) -> np.ndarray:
    """A sine with a peak of level_db, float32 (n,)."""
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def test_a_997_hz_sine_at_full_scale_reads_minus_3_01_lufs() -> None:
    # ITU-R BS.1770-4, annex 1: one channel, 0 dBFS, 997 Hz.
    for rate in (44_100, 48_000):
        assert loudness_lufs(sine(997, 0, sample_rate=rate)[None], rate) == pytest.approx(-3.01, abs=0.05)


def test_two_channels_are_three_db_louder_and_silence_between_is_gated() -> None:
    tone = sine(997, -20)
    both = np.stack([tone, tone])
    assert loudness_lufs(both, 44_100) == pytest.approx(-20.0, abs=0.05)
    gap = np.concatenate([both, np.zeros_like(both), both], axis=1)
    assert loudness_lufs(gap, 44_100) == pytest.approx(-20.0, abs=0.5)
    assert loudness_lufs(np.zeros_like(both), 44_100) == -np.inf


def test_true_peak_sees_between_the_samples() -> None:
    # A quarter of the sample rate, 45 degrees off: samples at 0.707 of the peak.
    t = np.arange(44_100)
    tone = np.sin(np.pi / 2 * t + np.pi / 4).astype(np.float32)[None]
    assert float(np.abs(tone).max()) == pytest.approx(0.7071, abs=1e-3)
    assert true_peak(tone) == pytest.approx(1.0, abs=0.02)


def test_a_meter_fed_in_pieces_reads_the_same() -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal((2, 50_000)).astype(np.float32)
    meter = LoudnessMeter(44_100, 2)
    for start in range(0, 50_000, 7_777):
        meter.push(noise[:, start : start + 7_777])
    assert meter.integrated_lufs() == pytest.approx(loudness_lufs(noise, 44_100), abs=1e-9)
