"""The limiter keeps the true peak, touches nothing below it, and the loudness is reached."""

import numpy as np
import pytest
from scipy import signal

from generator.loudness import loudness_lufs, true_peak
from generator.mastering import PEAK_LIMIT_DBTP, Limiter, Master, plan_gain_db

RATE = 44_100
CEILING = 10 ** (PEAK_LIMIT_DBTP / 20)


def limit(audio: np.ndarray, block: int = 10_000) -> np.ndarray:
    """A signal through the limiter, block by block."""
    limiter = Limiter(RATE, len(audio))
    parts = [limiter.push(audio[:, start : start + block]) for start in range(0, audio.shape[1], block)]
    return np.concatenate([*parts, limiter.finish()], axis=1)


def plucks(seconds: float, level: float = 0.3) -> np.ndarray:
    """Decaying tones with a sharp attack and a crest factor of about 20 dB, float32 (2, n)."""
    random = np.random.default_rng(3)
    t = np.arange(int(seconds * RATE)) / RATE
    total = np.zeros(len(t))
    for onset in np.arange(0.0, seconds, 0.25):
        since = np.maximum(t - onset, 0)
        hertz = random.uniform(200, 1200)
        total += (t >= onset) * np.exp(-since / 0.06) * np.sin(2 * np.pi * hertz * since + 1.0)
    return (level * np.stack([total, 0.8 * total])).astype(np.float32)


def test_what_stays_below_the_ceiling_is_untouched_and_complete() -> None:
    quiet = plucks(1.0, 0.1)
    assert np.array_equal(limit(quiet), quiet)


@pytest.mark.parametrize("drive_db", [3.0, 12.0, 24.0])
def test_the_true_peak_never_passes_the_limit(drive_db: float) -> None:
    random = np.random.default_rng(int(drive_db))
    loud = plucks(1.5, 1.0) * 10 ** (drive_db / 20)
    loud[:, 20_000:30_000] += random.standard_normal((2, 10_000)).astype(np.float32)
    # A quarter of the sample rate, 45 degrees off: its peaks lie between the samples.
    loud[:, 40_000:45_000] += 2 * np.sin(np.pi / 2 * np.arange(5_000) + np.pi / 4).astype(np.float32)
    limited = limit(loud)
    assert limited.shape == loud.shape
    assert true_peak(limited) <= CEILING
    assert float(np.abs(signal.resample_poly(limited, 16, 1, axis=1)).max()) <= CEILING * 10 ** (0.2 / 20)
    assert true_peak(limited) > 0.8 * CEILING


def test_a_stream_is_limited_as_the_whole_whatever_its_blocks() -> None:
    loud = plucks(1.0, 2.0)
    whole = limit(loud, loud.shape[1])
    for block in (700, 32_768):
        assert np.allclose(limit(loud, block), whole, atol=1e-6)


def test_gain_moves_before_the_peak_and_without_a_step() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)).astype(np.float32)[None]
    peaked = tone.copy()
    peaked[:, 20_000:20_200] *= 4
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = limit(peaked) / peaked
    known = gain[0][np.abs(peaked[0]) > 0.1]
    assert known.min() < 0.5
    assert float(np.abs(np.diff(known)).max()) < 0.05
    assert float(gain[0, 19_700]) < 1.0 or float(gain[0, 19_950]) < 1.0
    assert np.nanmax(gain[0, :19_000]) == 1.0


@pytest.mark.parametrize("level", [0.01, 0.3])
def test_plucked_sound_reaches_the_loudness_too(level: float) -> None:
    mix = plucks(8.0, level)
    gain_db = plan_gain_db([mix[:, : 2 * RATE]], RATE, target_lufs=-14.0)
    master = Master(RATE, 2, gain_db=gain_db, length_s=8.0)
    parts = [master.push(mix[:, start : start + 32_768]) for start in range(0, mix.shape[1], 32_768)]
    mastered = np.concatenate([*parts, master.finish()], axis=1)
    assert mastered.shape == mix.shape
    assert loudness_lufs(mastered, RATE) == pytest.approx(-14.0, abs=0.3)
    assert true_peak(mastered) <= CEILING


def test_a_plan_that_was_wrong_is_steered_right() -> None:
    mix = plucks(16.0, 0.3)
    gain_db = plan_gain_db([mix[:, : 2 * RATE]], RATE, target_lufs=-14.0)
    for wrong_db in (-1.2, 1.2):
        master = Master(RATE, 2, gain_db=gain_db + wrong_db, length_s=16.0)
        parts = [master.push(mix[:, start : start + 32_768]) for start in range(0, mix.shape[1], 32_768)]
        mastered = np.concatenate([*parts, master.finish()], axis=1)
        assert loudness_lufs(mastered, RATE) == pytest.approx(-14.0, abs=0.5)


def test_silence_stays_silence() -> None:
    silence = np.zeros((2, RATE), dtype=np.float32)
    assert np.isfinite(plan_gain_db([silence], RATE, target_lufs=-14.0))
    assert not limit(silence).any()
