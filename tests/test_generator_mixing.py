"""Loudness against the standard's own figures, true peak, panning and the room."""

import numpy as np
import pytest

from generator.mixing import add_room, loudness_lufs, pan_mono, room_response, set_level, true_peak


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


def test_level_is_set_without_passing_the_peak_limit() -> None:
    quiet = np.stack([sine(440, -40)] * 2)
    assert loudness_lufs(set_level(quiet, 44_100), 44_100) == pytest.approx(-14.0, abs=0.1)
    clicks = np.zeros((2, 44_100), dtype=np.float32)
    clicks[:, ::8000] = 0.01
    assert true_peak(set_level(clicks, 44_100)) <= 10 ** (-1 / 20) + 1e-4
    silence = np.zeros((2, 44_100), dtype=np.float32)
    assert not set_level(silence, 44_100).any()


def test_pan_keeps_power() -> None:
    tone = sine(440, 0)
    for pan in (-1.0, -0.3, 0.0, 1.0):
        placed = pan_mono(tone, pan, 0.0)
        assert float((placed.astype(np.float64) ** 2).sum()) == pytest.approx(
            float((tone**2).sum()), rel=1e-3
        )
    assert float(np.abs(pan_mono(tone, -1.0, 0.0)[1]).max()) < 1e-6


def test_the_room_follows_the_sound_and_dies_away() -> None:
    response = room_response(44_100)
    energy = np.cumsum(response[0][::-1] ** 2)[::-1]
    decay_db = 10 * np.log10(energy / energy[0])
    assert decay_db[int(0.9 * 44_100)] < -35
    click = np.zeros((2, 44_100), dtype=np.float32)
    click[:, 1000] = 1.0
    wet = add_room(click, 44_100)
    assert not wet[:, :1000].any() or float(np.abs(wet[:, :1000]).max()) < 1e-5
    assert wet[0, 1000] == pytest.approx(1.0, abs=1e-3)
