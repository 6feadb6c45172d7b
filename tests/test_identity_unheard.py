"""Sound added where nobody hears it: tones are told from a codec's noise, and the noise is no addition."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import butter, sosfilt
from sound_material import make_music

from watermark.identity import extract_query
from watermark.identity.localisation import compare
from watermark.identity.outcome import OVERLAID, Comparison
from watermark.identity.sketch import build_sketch
from watermark.identity.slow_spectra import BIN_HZ, LOWEST_HZ, STEP_S, SlowSpectra

RATE = 16_000
HIGH_RATE = 44_100
SECONDS = 20.0
FloatArray = np.ndarray


def make_sine(hz: float, amplitude: float, start_s: float, end_s: float) -> FloatArray:
    """A tone between two seconds of SECONDS, float32 (1, samples)."""
    times = np.arange(round(SECONDS * RATE)) / RATE
    tone = amplitude * np.sin(2 * np.pi * hz * times) * fade(start_s, end_s)
    return tone[None].astype(np.float32)


def fade(start_s: float, end_s: float) -> FloatArray:
    """1 between two seconds, without the clicks that a cut would make: float64 (samples,)."""
    times = np.arange(round(SECONDS * RATE)) / RATE
    inside = np.clip(np.minimum(times - start_s, end_s - times) / 0.2 + 0.5, 0.0, 1.0)
    return np.sin(np.pi / 2 * inside) ** 2


def make_rumble(level: float, start_s: float, end_s: float, *, seed: int = 5) -> FloatArray:
    """Noise under 20 Hz of so large an rms between two seconds, as a codec leaves beside bass."""
    noise = np.random.default_rng(seed).standard_normal((1, round(SECONDS * RATE)))
    noise = sosfilt(butter(4, (3, 16), "bandpass", fs=RATE, output="sos"), noise, axis=1)
    noise *= level / noise.std()
    return (noise * fade(start_s, end_s)).astype(np.float32)


@pytest.fixture(scope="module")
def music() -> FloatArray:
    """Music with a loud bass, -12 dBFS."""
    return make_music(12, SECONDS, sample_rate=RATE) + make_sine(70, 0.35, 0, SECONDS)


def compared(original: FloatArray, edited: FloatArray, sample_rate: int = RATE) -> Comparison:
    sketch = build_sketch(extract_query(original, sample_rate=sample_rate).sketch)
    return compare(extract_query(edited, sample_rate=sample_rate).sketch, sketch)


@pytest.mark.parametrize("hz", [5.0, 7.3, 12.0, 15.5])
def test_a_tone_under_the_noise_that_a_codec_leaves_is_found(music: FloatArray, hz: float) -> None:
    noise = make_rumble(0.02, 0, SECONDS)
    (change,) = compared(music, music + noise + make_sine(hz, 0.028, 8, 13)).changes
    assert (change.kind, change.band) == (OVERLAID, "infrasonic")
    assert (change.query_start_s, change.query_end_s) == pytest.approx((8, 13), abs=0.3)


@pytest.mark.parametrize("seed", [5, 6])
def test_noise_that_a_codec_leaves_beside_bass_is_no_addition(music: FloatArray, seed: int) -> None:
    # Where the bass is loudest only, so that it is what the query does at other times that changes.
    noise = make_rumble(0.04, 6, 9, seed=seed) + make_rumble(0.02, 0, SECONDS, seed=seed + 10)
    assert compared(music, music + noise).changes == ()


def test_noise_under_20_hz_is_told_where_the_codec_leaves_the_band_as_it_was(music: FloatArray) -> None:
    track = music + make_rumble(0.004, 0, SECONDS)
    (change,) = compared(track, track + make_rumble(0.04, 8, 12, seed=6)).changes
    assert (change.kind, change.band) == (OVERLAID, "infrasonic")
    assert (change.query_start_s, change.query_end_s) == pytest.approx((8, 12), abs=0.3)


def test_a_tone_that_the_track_itself_has_is_no_addition(music: FloatArray) -> None:
    track = music + make_sine(11, 0.03, 5, 15)
    assert compared(track, track + make_rumble(0.02, 0, SECONDS)).changes == ()
    # Nor is the image that a codec leaves of a steady bass, a 25th of its amplitude.
    assert compared(music, music + make_sine(11, 0.35 / 25, 5, 15)).changes == ()


def test_strokes_just_under_20_khz_that_spread_above_are_no_ultrasound() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(round(SECONDS * HIGH_RATE)) / HIGH_RATE
    strokes = np.exp(-(times % 0.5) / 0.2) * rng.standard_normal(times.size)
    noise = sosfilt(butter(8, (15_500, 19_000), "bandpass", fs=HIGH_RATE, output="sos"), strokes)
    spread = sosfilt(butter(8, 20_300, "highpass", fs=HIGH_RATE, output="sos"), strokes)
    spread *= 0.07 * noise.std() / spread.std()
    track = make_music(12, SECONDS, sample_rate=HIGH_RATE) + 0.1 * noise[None].astype(np.float32)
    part = (times > 6) & (times < 10)
    assert compared(track, (track + 0.1 * spread * part).astype(np.float32), HIGH_RATE).changes == ()
    (change,) = compared(track, (track + 1.0 * spread * part).astype(np.float32), HIGH_RATE).changes
    assert (change.kind, change.band) == (OVERLAID, "ultrasonic")


@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 96_000])
def test_slow_spectra_hold_a_tone_in_its_bin_at_its_power(sample_rate: int) -> None:
    times = np.arange(8 * sample_rate) / sample_rate
    tone = (0.5 * np.sin(2 * np.pi * 10 * times) + 0.3).astype(np.float32)
    meter = SlowSpectra(sample_rate=sample_rate, channels=2)
    meter.push(np.stack((tone, -tone)))  # channels that cancel in a mix hide nothing
    spectra = meter.finish()
    assert len(spectra) == 8 / STEP_S
    place = round((10 - LOWEST_HZ) / BIN_HZ)
    inside = spectra[3:-3]
    assert (inside.argmax(axis=1) == place).all()
    assert inside[:, place - 1 : place + 2].sum(axis=1) == pytest.approx(0.25, rel=0.02)
    assert inside[:, : place - 2].max() < 1e-6


@pytest.mark.parametrize("size", [1_999, 70_001, 400_000])
def test_slow_spectra_of_blocks_of_any_size_are_the_same_bits(size: int) -> None:
    audio = make_music(4, 25.0)
    whole, parts = (SlowSpectra(sample_rate=16_000, channels=1) for _ in range(2))
    whole.push(audio)
    borders = [*range(0, audio.shape[1], size), audio.shape[1]]
    for first, last in pairwise(borders):
        parts.push(audio[:, first:last])
    assert np.array_equal(parts.finish(), whole.finish())
