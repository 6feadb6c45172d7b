"""The spectrogram of fingerprints: where a tone comes out, and that a stream gives what the whole gives."""

import itertools

import numpy as np
import pytest

from watermark.errors import AudioError
from watermark.identity.profile import PROFILE
from watermark.identity.spectrum import LevelMeter, band_to_hz, band_weights, measure_levels


def tone(hz: float, sample_rate: int, seconds: float = 1.0, channels: int = 1) -> np.ndarray:
    wave = np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate)
    return np.tile(wave.astype(np.float32), (channels, 1))


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("hz", [220.0, 1_000.0, 3_500.0])
def test_a_tone_lies_in_its_band_at_every_sample_rate(sample_rate: int, hz: float) -> None:
    levels = measure_levels(tone(hz, sample_rate), sample_rate=sample_rate)
    band = PROFILE.bands_per_octave * np.log2(hz / PROFILE.lowest_hz)
    assert abs(int(levels[25].argmax()) - band) < 1
    # A full-scale sine has power 1 in its bin; the mean over a band of up to 18 bins is less.
    assert -2.7 < levels[25].max() < 0.1


def test_a_tone_over_the_range_does_not_fold_back_into_it() -> None:
    levels = measure_levels(tone(6_500.0, 44_100), sample_rate=44_100)
    assert levels[10:40].max() < np.log(1e-5)


def test_a_frame_for_every_centre_inside_the_audio() -> None:
    for samples in (0, 1, 159, 160, 161, 1_000, 41_234):
        audio = np.zeros((1, samples), np.float32)
        assert len(measure_levels(audio, sample_rate=8_000)) == -(-samples // PROFILE.hop_samples)


def test_frames_are_centred_on_their_time() -> None:
    audio = np.zeros((1, 44_100), np.float32)
    audio[0, 22_050] = 1.0
    loudness = measure_levels(audio, sample_rate=44_100).mean(axis=1)
    at = round(0.5 / PROFILE.frame_s)
    assert loudness.argmax() == at
    # A delay of a millisecond would make one neighbour 0.2 louder than the other.
    assert loudness[at - 2] == pytest.approx(loudness[at + 2], abs=0.05)


@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 44_101, 48_000])
def test_a_stream_gives_the_levels_of_the_whole_bit_for_bit(sample_rate: int) -> None:
    rng = np.random.default_rng(1)
    audio = (0.1 * rng.standard_normal((2, 11 * sample_rate + 17))).astype(np.float32)
    whole = measure_levels(audio, sample_rate=sample_rate)
    meter = LevelMeter(sample_rate=sample_rate, channels=2)
    cuts = [0, 1, 5, *np.sort(rng.integers(5, audio.shape[1], 9)).tolist(), audio.shape[1]]
    pieces = [meter.push(audio[:, a:b]) for a, b in itertools.pairwise(cuts)]
    assert np.array_equal(np.concatenate([*pieces, meter.finish()]), whole)


def test_a_stream_holds_no_more_than_a_few_seconds() -> None:
    meter = LevelMeter(sample_rate=48_000, channels=1)
    block = np.zeros((1, 48_000), np.float32)
    held = []
    for _ in range(30):
        meter.push(block)
        held.append(meter._audio.size + meter._resampler._audio.size)
    assert max(held) < 6 * 48_000


def test_channels_are_mixed() -> None:
    left = tone(1_000.0, 8_000)
    stereo = np.concatenate([left, np.zeros_like(left)])
    mono, mixed = (measure_levels(some, sample_rate=8_000) for some in (left, stereo))
    assert np.allclose(mono.max(axis=1)[5:-5] - mixed.max(axis=1)[5:-5], np.log(4), atol=1e-3)


def test_weights_of_a_band_sum_to_one_and_peak_at_its_centre() -> None:
    weights = band_weights(PROFILE)
    assert np.allclose(weights.sum(axis=0), 1, atol=1e-5)
    centres = band_to_hz(np.arange(PROFILE.bands)) / (PROFILE.sample_rate / PROFILE.window_samples)
    assert np.abs(weights.argmax(axis=0) - centres).max() <= 0.5


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros((1, 100)), "float32"),
        (np.zeros(100, np.float32), "shape"),
        (np.full((1, 100), np.nan, np.float32), "finite"),
        (np.zeros((9, 100), np.float32), "channels"),
    ],
)
def test_audio_that_cannot_be_worked_on_is_refused(audio: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        measure_levels(audio, sample_rate=8_000)


def test_a_sample_rate_that_cannot_be_worked_on_is_refused() -> None:
    with pytest.raises(AudioError, match="sample rate"):
        LevelMeter(sample_rate=4_000, channels=1)


@pytest.mark.parametrize("cut", [1, 7_001, 50_000])
def test_an_inverted_channel_does_not_cancel_the_sound(cut: int) -> None:
    rng = np.random.default_rng(2)
    sound = (0.1 * rng.standard_normal((1, 150_000))).astype(np.float32)
    plain = measure_levels(np.concatenate([sound, sound]), sample_rate=44_100)
    inverted = np.concatenate([sound, -sound])
    whole = measure_levels(inverted, sample_rate=44_100)
    assert np.allclose(whole, plain, atol=1e-4)
    meter = LevelMeter(sample_rate=44_100, channels=2)
    step = max(cut, 2_000)
    pieces = [meter.push(inverted[:, :cut])]
    pieces += [meter.push(inverted[:, a : a + step]) for a in range(cut, inverted.shape[1], step)]
    assert np.array_equal(np.concatenate([*pieces, meter.finish()]), whole)
