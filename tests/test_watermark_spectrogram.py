"""The spectrogram: levels, frames, and the reading between bins."""

from dataclasses import replace

import numpy as np
import pytest

from watermark.profile import PN1, PN2
from watermark.spectrogram import (
    band_edges_hz,
    band_levels,
    cumulative_log_power,
    frame_grid,
    frame_power,
)
from watermark.whitening import clip, moving_mean, whiten


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 44_100, 96_000])
def test_a_full_scale_sine_has_power_one_in_its_bin(sample_rate: int) -> None:
    grid = frame_grid(PN1, sample_rate)
    k = 40
    time = np.arange(sample_rate) / sample_rate
    sine = np.sin(2 * np.pi * k * sample_rate / grid.window_samples * time)[None].astype(np.float32)
    power = frame_power(sine, grid, 5, 10, 0)
    assert power[:, k] == pytest.approx(np.ones(10), rel=1e-3)


def test_frames_do_not_depend_on_where_the_buffer_begins() -> None:
    grid = frame_grid(PN1, 44_100)
    audio = np.random.default_rng(0).standard_normal((2, 60_000)).astype(np.float32)
    whole = frame_power(audio, grid, 20, 30, 0)
    cut = frame_power(audio[:, 5_000:], grid, 20, 30, 5_000)
    assert np.array_equal(whole, cut)


@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("samples", [0, 1, 511, 512, 100_000])
def test_frame_count_is_the_centres_inside(sample_rate: int, samples: int) -> None:
    grid = frame_grid(PN1, sample_rate)
    centres = [grid.centre(n) for n in range(samples + 2) if grid.centre(n) < samples]
    assert grid.frames(samples) == len(centres)


def test_a_band_is_the_mean_of_its_bins_and_shifts_between_them() -> None:
    grid = frame_grid(PN1, 44_100)
    power = np.exp(np.linspace(-5, 5, grid.window_samples // 2 + 1, dtype=np.float32))[None]
    edges_hz = band_edges_hz(PN1, 0, 0.0)
    levels = band_levels(cumulative_log_power(power, PN1), grid, edges_hz)[0]
    centre_bin = (edges_hz[1:] + edges_hz[:-1]) / 2 * grid.window_samples / grid.sample_rate
    # The log of the power is linear in the bin, but for the floor, which adds about 1 %.
    expected = -5 + 10 * centre_bin / (power.shape[1] - 1)
    assert np.abs(levels - expected).max() < 0.05


def test_bands_above_the_highest_bin_say_nothing() -> None:
    grid = frame_grid(PN1, 8_000)
    audio = np.random.default_rng(0).standard_normal((1, 8_000)).astype(np.float32)
    edges_hz = band_edges_hz(PN1, 0, 0.0)
    levels = band_levels(cumulative_log_power(frame_power(audio, grid, 0, 20, 0), PN1), grid, edges_hz)
    above = edges_hz[:-1] > 4_000 + 8_000 / grid.window_samples
    assert above.sum() > 30
    assert (levels[:, above] == 0).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_moving_mean_is_the_mean_of_what_lies_around(axis: int) -> None:
    values = np.random.default_rng(1).standard_normal((30, 20)).astype(np.float32)
    got = moving_mean(values, 4, axis)
    for i in range(values.shape[axis]):
        around = np.take(values, range(max(0, i - 4), min(values.shape[axis], i + 5)), axis)
        assert np.take(got, i, axis) == pytest.approx(around.mean(axis), abs=1e-5)


def test_whitening_forgets_level_tilt_and_gain() -> None:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((400, PN1.bands)).astype(np.float32)
    tilt = np.linspace(-10, 3, PN1.bands, dtype=np.float32)
    plain = clip(whiten(noise, PN1)[0], PN1.clip_deviations)
    tilted = clip(whiten(noise + tilt + 7, PN1)[0], PN1.clip_deviations)
    assert np.abs(plain - tilted)[:, 20:-20].max() < 1e-3
    assert 0.8 < plain.std() < 1.1
    assert np.abs(plain).max() <= PN1.clip_deviations


def test_silence_whitens_to_nothing() -> None:
    assert not np.abs(whiten(np.full((200, PN1.bands), -23.0, np.float32), PN1)[0]).max() > 1e-2


@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 96_000])
@pytest.mark.parametrize("shift_bands", [0.0, 16.9])
def test_levels_are_those_of_all_bins(sample_rate: int, shift_bands: float) -> None:
    grid = frame_grid(PN2, sample_rate)
    every = replace(grid, bins=grid.window_samples // 2 + 1)
    audio = np.random.default_rng(0).standard_normal((2, sample_rate)).astype(np.float32)
    edges_hz = band_edges_hz(PN2, 0, shift_bands)
    some, all_bins = (
        band_levels(cumulative_log_power(frame_power(audio, g, 0, 20, 0), PN2), g, edges_hz)
        for g in (grid, every)
    )
    assert np.array_equal(some, all_bins)
    assert grid.bins < every.bins or sample_rate == 8_000
