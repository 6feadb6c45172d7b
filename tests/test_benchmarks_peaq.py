"""PEAQ: calibration of the ear model, and grades that follow what is heard."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.peaq import VARIABLES, compare
from benchmarks.peaq_ear import BAND_COUNT, SAMPLE_RATE, hear, make_bands, spread_unnormalised

Audio = NDArray[np.float32]
RATE = 44_100


@pytest.fixture(scope="module")
def clip(music: Callable[..., Audio]) -> Audio:
    return music(5.0, seed=11)


def add_noise(clip: Audio, snr_db: float) -> Audio:
    noise = np.random.default_rng(7).standard_normal(clip.shape)
    level = np.sqrt(np.mean(clip.astype(np.float64) ** 2)) * 10 ** (-snr_db / 20)
    return (clip + level * noise).astype(np.float32)


def test_a_full_scale_sine_reads_92_db() -> None:
    sine = np.sin(2 * np.pi * 1019.5 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    assert 10 * np.log10(hear(sine).power.max()) == pytest.approx(92.0, abs=0.05)


def test_bands_cover_80_hz_to_18_khz_without_gap_or_overlap() -> None:
    bands = make_bands()
    assert bands.grouping.shape == (1025, BAND_COUNT)
    width_bins = (18_000 - 80) / (SAMPLE_RATE / 2048)
    assert bands.grouping.sum() == pytest.approx(width_bins, rel=1e-6)
    assert bands.grouping.sum(axis=1).max() <= 1 + 1e-12
    assert (np.diff(bands.centre_hz) > 0).all()


def test_spreading_is_steeper_downwards_and_widens_with_level() -> None:
    energy = np.full((2, BAND_COUNT), 1e-6)
    energy[:, 50] = [1e4, 1e8]
    spread_db = 10 * np.log10(spread_unnormalised(energy))
    below, above = spread_db[:, 50] - spread_db[:, 46], spread_db[:, 50] - spread_db[:, 54]
    assert (below > above).all()
    assert below[0] == pytest.approx(27.0, abs=0.5)  # dB over one Bark
    assert above[1] < above[0]


def test_an_identical_pair_is_graded_imperceptible(clip: Audio) -> None:
    quality = compare(clip, clip, sample_rate=RATE)
    assert 0.15 < quality.odg < 0.22
    assert quality.total_nmr_db == -120.0
    assert quality.audible_share == 0.0
    assert list(quality.variables) == list(VARIABLES)


def test_grades_fall_as_noise_rises(clip: Audio) -> None:
    grades = [compare(clip, add_noise(clip, snr), sample_rate=RATE) for snr in (80, 60, 50, 40, 30, 20)]
    assert (np.diff([quality.odg for quality in grades]) < 0).all()
    assert (np.diff([quality.total_nmr_db for quality in grades]) > 8).all()
    assert grades[0].odg > 0
    assert grades[-1].odg < -3


def test_masked_noise_is_graded_better_than_plain_noise_of_the_same_level(clip: Audio) -> None:
    signal = clip.astype(np.float64)
    spectrum = np.fft.rfft(signal, axis=1)
    phases = np.exp(2j * np.pi * np.random.default_rng(1).random(spectrum.shape))
    shaped = np.fft.irfft(spectrum * phases, clip.shape[1], axis=1)
    shaped *= 0.01 * np.sqrt(np.mean(signal**2) / np.mean(shaped**2))
    like_host = compare(clip, (signal + shaped).astype(np.float32), sample_rate=RATE)
    white = compare(clip, add_noise(clip, 40), sample_rate=RATE)
    assert like_host.odg > white.odg + 0.5
    assert like_host.total_nmr_db < white.total_nmr_db - 10


def test_a_change_of_level_by_a_twentieth_is_nearly_inaudible(clip: Audio) -> None:
    assert compare(clip, 0.95 * clip, sample_rate=RATE).odg > -0.2


def test_silence_around_the_recording_does_not_count(clip: Audio) -> None:
    noisy = add_noise(clip, 40)
    padded = [np.pad(audio, ((0, 0), (3 * RATE, 2 * RATE))) for audio in (clip, noisy)]
    alone = compare(clip, noisy, sample_rate=RATE).odg
    assert compare(*padded, sample_rate=RATE).odg == pytest.approx(alone, abs=0.15)


def test_a_seeded_pair_keeps_its_grade(clip: Audio) -> None:
    # Pinned when this implementation agreed to 5 digits with another one written after Kabal 2003.
    quality = compare(clip, add_noise(clip, 45), sample_rate=RATE)
    assert (round(quality.odg, 3), round(quality.total_nmr_db, 2)) == (-0.658, -14.63)


def test_signals_of_two_shapes_or_without_sound_are_refused(clip: Audio) -> None:
    with pytest.raises(ValueError, match="one shape"):
        compare(clip, clip[:, 1:], sample_rate=RATE)
    with pytest.raises(ValueError, match="one shape"):
        compare(clip[0], clip[0], sample_rate=RATE)
    with pytest.raises(ValueError, match="got silence"):
        compare(0 * clip, clip, sample_rate=RATE)
