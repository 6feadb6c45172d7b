"""Landmarks: found where the peaks are, the same in an excerpt and in a stream, as many as are asked for."""

import itertools

import numpy as np
import pytest

from watermark.identity.landmarks import (
    LandmarkFinder,
    find_landmarks,
    join_landmarks,
    rank_landmarks,
    thin_landmarks,
)
from watermark.identity.outcome import Landmarks
from watermark.identity.profile import PROFILE
from watermark.identity.spectrum import measure_levels


@pytest.fixture(scope="module")
def levels() -> np.ndarray:
    """Two minutes of spectrogram with random bumps: what peaks are picked from, without any audio."""
    rng = np.random.default_rng(2)
    levels = rng.normal(-12, 0.5, (6_000, PROFILE.bands))
    for _ in range(6_000):
        frame, band = rng.integers(0, 5_990), rng.integers(2, PROFILE.bands - 2)
        levels[frame : frame + 8, band - 1 : band + 2] += (
            rng.uniform(2, 6) * np.exp(-np.arange(8) / 4)[:, None]
        )
    return levels.astype(np.float32)


def test_a_burst_is_found_at_its_time_and_pitch() -> None:
    rate, at_s, hz = 16_000, 1.5, 777.0
    time_s = np.arange(3 * rate) / rate
    rng = np.random.default_rng(3)
    audio = 1e-3 * rng.standard_normal(time_s.size)
    audio += 0.5 * np.sin(2 * np.pi * hz * time_s) * np.exp(-(((time_s - at_s) / 0.05) ** 2))
    found = find_landmarks(measure_levels(audio[None].astype(np.float32), sample_rate=rate))
    strongest = int(found.strengths.argmax())
    assert abs(found.frames[strongest] * PROFILE.frame_s - at_s) <= PROFILE.frame_s
    assert abs(found.pitches[strongest] - 36 * np.log2(hz / PROFILE.lowest_hz)) < 0.3


def test_a_stream_finds_what_the_whole_has(levels: np.ndarray) -> None:
    whole = find_landmarks(levels)
    finder = LandmarkFinder()
    cuts = [0, 1, 700, 2_300, 2_301, 5_555, len(levels)]
    pieces = [finder.push(levels[a:b]) for a, b in itertools.pairwise(cuts)]
    joined = join_landmarks([*pieces, finder.finish()])
    for name in ("frames", "pitches", "strengths"):
        assert np.array_equal(getattr(joined, name), getattr(whole, name))
    assert (np.diff(whole.frames) >= 0).all()


def test_an_excerpt_has_the_landmarks_of_the_whole(levels: np.ndarray) -> None:
    whole, part = find_landmarks(levels), find_landmarks(levels[2_000:3_000])
    # Away from its ends by as much as a landmark can depend on.
    inside = (part.frames > 60) & (part.frames < 940)
    expected = (whole.frames > 2_060) & (whole.frames < 2_940)
    assert np.array_equal(part.frames[inside] + 2_000, whole.frames[expected])


def test_a_landmark_is_kept_by_how_many_stronger_ones_surround_it(levels: np.ndarray) -> None:
    found = find_landmarks(levels[:1_500])
    half = round(PROFILE.frames_per_s / 2)
    ranks = rank_landmarks(found)
    for k in range(found.frames.size):
        near = np.abs(found.frames - found.frames[k]) <= half
        stronger = near & (found.strengths > found.strengths[k])
        assert stronger.sum() == ranks[k]
    for density in (4, 13, 40):
        thinned = thin_landmarks(found, density)
        assert thinned.frames.size == (ranks < density).sum()


def test_silence_has_none() -> None:
    assert (
        find_landmarks(measure_levels(np.zeros((1, 80_000), np.float32), sample_rate=8_000)).frames.size == 0
    )
    empty = Landmarks("fp1", np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.float32))
    assert thin_landmarks(empty, 5).frames.size == 0
