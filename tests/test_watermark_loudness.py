"""Loudness and true peak: the synthetic signals of EBU Tech 3341 and 3342, and what the meter must not do."""

import numpy as np
import pytest
from numpy.typing import NDArray

from watermark.errors import AudioError
from watermark.loudness import Loudness, LoudnessMeter, design_weighting

RATE = 48_000
Audio = NDArray[np.float32]


def measure(audio: Audio, rate: int = RATE, block: int = 50_000) -> Loudness:
    meter = LoudnessMeter(sample_rate=rate, channels=audio.shape[0])
    for start in range(0, audio.shape[1], block):
        meter.push(audio[:, start : start + block])
    return meter.finish()


def make_sine(
    parts: list[tuple[float, float]], *, hz: float = 1_000.0, rate: int = RATE, channels: int = 2
) -> Audio:
    """A sine without breaks, its peak level and seconds part by part, the same in all channels."""
    gains = np.concatenate([np.full(round(seconds * rate), 10 ** (db / 20)) for db, seconds in parts])
    wave = gains * np.sin(2 * np.pi * hz * np.arange(gains.size) / rate)
    return np.tile(wave, (channels, 1)).astype(np.float32)


# EBU Tech 3341, table 1: levels in dBFS with their seconds, and the integrated loudness, +-0.1 LU.
INTEGRATED = {
    1: ([(-23, 20)], -23.0),
    2: ([(-33, 20)], -33.0),
    3: ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
    4: ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
    5: ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
}
# EBU Tech 3342, table 1: loudness range, +-1 LU.
RANGES = {
    1: ([(-20, 20), (-30, 20)], 10.0),
    2: ([(-20, 20), (-15, 20)], 5.0),
    3: ([(-40, 20), (-20, 20)], 20.0),
    4: ([(-50, 20), (-35, 20), (-20, 20), (-35, 20), (-50, 20)], 15.0),
}


@pytest.mark.parametrize("case", INTEGRATED)
def test_integrated_loudness_of_tech_3341(case: int) -> None:
    parts, expected = INTEGRATED[case]
    assert measure(make_sine(parts)).integrated_lufs == pytest.approx(expected, abs=0.1)


def test_the_channels_of_tech_3341_case_6_count_by_their_place() -> None:
    levels = np.array([-28.0, -28.0, -24.0, -30.0, -30.0])
    wave = make_sine([(0, 20)], channels=5) * (10 ** (levels[:, None] / 20)).astype(np.float32)
    assert measure(wave).integrated_lufs == pytest.approx(-23.0, abs=0.1)
    with_bass = np.insert(wave, 3, wave[0] * 8, axis=0)  # low-frequency effects do not count
    assert measure(with_bass).integrated_lufs == pytest.approx(-23.0, abs=0.1)


def test_short_term_and_momentary_maxima_of_tech_3341_cases_9_and_12() -> None:
    slow = measure(make_sine([(-20, 1.34), (-30, 1.66)] * 5))
    assert slow.max_short_term_lufs == pytest.approx(-23.0, abs=0.1)
    fast = measure(make_sine([(-20, 0.18), (-30, 0.22)] * 25))
    assert fast.max_momentary_lufs == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("case", RANGES)
def test_loudness_range_of_tech_3342(case: int) -> None:
    parts, expected = RANGES[case]
    assert measure(make_sine(parts)).range_lu == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize(
    ("divisor", "degrees", "amplitude", "expected"),
    [(4, 0, 0.5, -6.0), (4, 45, 0.5, -6.0), (6, 60, 0.5, -6.0), (8, 67.5, 0.5, -6.0), (4, 45, 1.41, 3.0)],
    ids=["15", "16", "17", "18", "19"],
)
@pytest.mark.parametrize("rate", [48_000, 44_100, 96_000])
def test_true_peak_of_tech_3341(
    rate: int, divisor: int, degrees: float, amplitude: float, expected: float
) -> None:
    phase = 2 * np.pi * np.arange(rate) / divisor + np.deg2rad(degrees)
    fade = np.minimum(1, np.minimum(np.arange(rate), np.arange(rate)[::-1]) / 2_000)
    audio = (amplitude * fade * np.sin(phase))[None].astype(np.float32)
    found = measure(audio, rate)
    assert expected - 0.4 <= found.true_peak_dbtp <= expected + 0.2
    if degrees:
        assert found.sample_peak_dbfs < found.true_peak_dbtp - 0.1


def test_the_filter_is_that_of_the_tables_of_bs_1770() -> None:
    shelf, high_pass = design_weighting(48_000)
    table = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    assert shelf == pytest.approx(table, abs=1e-8)
    assert high_pass == pytest.approx([1, -2, 1, 1, -1.99004745483398, 0.99007225036621], abs=1e-8)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 96_000, 192_000])
def test_a_sine_reads_the_same_at_every_sample_rate(rate: int) -> None:
    found = measure(make_sine([(-23, 3)], hz=997.0, rate=rate), rate)
    assert found.integrated_lufs == pytest.approx(-23.0, abs=0.1)


def test_the_size_of_blocks_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    audio = (0.2 * rng.standard_normal((2, 3 * RATE))).astype(np.float32)
    whole, pieces = measure(audio, block=audio.shape[1]), measure(audio, block=777)
    assert pieces.integrated_lufs == pytest.approx(whole.integrated_lufs, abs=1e-9)
    assert pieces.true_peak_dbtp == pytest.approx(whole.true_peak_dbtp, abs=1e-5)


def test_a_peak_in_the_last_samples_is_found() -> None:
    audio = np.zeros((1, 5_000), np.float32)
    audio[0, -2:] = 0.9  # between them the wave goes higher
    found = measure(audio, block=4_999)
    assert found.true_peak_dbtp > found.sample_peak_dbfs + 0.5


def test_silence_short_sound_and_unknown_layouts_have_no_loudness() -> None:
    silent = measure(np.zeros((2, RATE), np.float32))
    assert silent.integrated_lufs is None
    assert silent.range_lu is None
    assert silent.true_peak_dbtp == -np.inf
    assert measure(make_sine([(-20, 0.3)])).integrated_lufs is None
    seven = measure(make_sine([(-20, 1)], channels=7))
    assert seven.integrated_lufs is None
    assert seven.true_peak_dbtp == pytest.approx(-20, abs=0.1)


def test_what_is_no_audio_is_refused() -> None:
    with pytest.raises(AudioError):
        LoudnessMeter(sample_rate=4_000, channels=1)
    with pytest.raises(AudioError):
        LoudnessMeter(sample_rate=RATE, channels=2).push(np.zeros((1, 10), np.float32))
