"""Alignment: a rough placement becomes exact in time, scale and pitch."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import signal

from watermark.identity import Placement, Query, Sketch, extract, extract_query
from watermark.identity.alignment import refine_alignment, refine_pitch

RATE = 8_000
START_S = 5.2


@pytest.fixture(scope="module")
def audio(music: Callable[..., np.ndarray]) -> np.ndarray:
    return music(24.0, seed=7, sample_rate=RATE, channels=1)


@pytest.fixture(scope="module")
def track(audio: np.ndarray) -> Sketch:
    return extract(audio, sample_rate=RATE).sketch


def cut(audio: np.ndarray, seconds: float, speed: float = 1.0) -> Query:
    clip = audio[:, round(START_S * RATE) : round((START_S + seconds * speed) * RATE)]
    clip = signal.resample(clip, round(clip.shape[1] / speed), axis=1).astype(np.float32)
    return extract_query(clip, sample_rate=RATE)


@pytest.mark.parametrize("off_s", [-0.05, -0.01, 0.0, 0.03, 0.045])
@pytest.mark.parametrize("off_scale", [-0.003, 0.0, 0.004])
def test_a_rough_placement_is_put_right(
    audio: np.ndarray, track: Sketch, off_s: float, off_scale: float
) -> None:
    # Wrong by `off_s` in the middle of the clip.
    rough = Placement(START_S + off_s - 5.0 * off_scale, 1.0 + off_scale, 0.0)
    found = refine_alignment(cut(audio, 10.0).sketch, track, rough)
    assert found.track_start_s == pytest.approx(START_S, abs=0.006)
    assert found.time_scale == pytest.approx(1.0, abs=6e-4)


@pytest.mark.parametrize("speed", [0.9, 1.15])
def test_so_is_one_at_another_speed(audio: np.ndarray, track: Sketch, speed: float) -> None:
    rough = Placement(START_S + 0.03, speed * 1.001, 12 * np.log2(speed))
    found = refine_alignment(cut(audio, 10.0, speed).sketch, track, rough)
    assert found.track_start_s == pytest.approx(START_S, abs=0.008)
    assert found.time_scale == pytest.approx(speed, rel=6e-4)


def test_a_short_clip_is_moved_but_not_scaled(audio: np.ndarray, track: Sketch) -> None:
    found = refine_alignment(cut(audio, 3.0).sketch, track, Placement(START_S + 0.04, 1.0, 0.0))
    assert found.track_start_s == pytest.approx(START_S, abs=0.006)
    assert found.time_scale == 1.0


def test_pitch_is_put_right(audio: np.ndarray, track: Sketch) -> None:
    query = cut(audio, 10.0, 1.05).sketch
    semitones = 12 * np.log2(1.05)
    for off in (-0.2, 0.0, 0.15):
        rough = Placement(START_S, 1.05, semitones + off)
        assert refine_pitch(query, track, rough).pitch_semitones == pytest.approx(semitones, abs=0.06)
