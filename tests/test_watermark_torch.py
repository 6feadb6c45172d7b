"""With torch making the transforms, here on the CPU, planes, searches and answers are those of numpy."""

from collections.abc import Sequence

import numpy as np
import pytest
from conftest import make_music

import watermark
from watermark.layout import layout_of
from watermark.profile import PN1, PN3, Profile
from watermark.segment import Segment, prepare
from watermark.synchronisation import scales_for, search

torch_segment = pytest.importorskip("watermark.torch_segment", reason="torch is not installed")

WATERMARK_KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("fedcba9876543210")
RATE = 22_050
ON_CPU = torch_segment.prepare_on("cpu")


@pytest.fixture(scope="module")
def marked() -> np.ndarray:
    music = make_music(20.0, seed=41, sample_rate=RATE)
    return watermark.embed(music, sample_rate=RATE, watermark_key=WATERMARK_KEY, payload=PAYLOAD)


def both(audio: np.ndarray, profile: Profile) -> tuple[Segment, Segment]:
    return prepare(audio, RATE, profile), ON_CPU(audio, RATE, profile)


@pytest.mark.parametrize("profile", [PN3, PN1], ids=lambda profile: profile.name)
def test_planes_are_equal_within_rounding(profile: Profile, marked: np.ndarray) -> None:
    plain, on_device = both(marked[:, : 6 * RATE], profile)
    assert on_device.frames == plain.frames
    for fraction in (0.0, 0.5, 0.8125):
        # A bin at the edge of a clip may fall on either side of it; sums over time hold a few such.
        assert on_device.plane(fraction) == pytest.approx(plain.plane(fraction), abs=2e-2)


def test_silence_and_a_fade_are_prepared_as_without_torch() -> None:
    audio = make_music(4.0, seed=42, sample_rate=RATE)
    audio[:, : 2 * RATE] = 0
    audio[:, 3 * RATE :] *= np.linspace(1, 0, RATE, dtype=np.float32)
    plain, on_device = both(audio, PN3)
    assert on_device.plane(0.0) == pytest.approx(plain.plane(0.0), abs=2e-2)
    silent = np.zeros((1, 4 * RATE), np.float32)
    layout = layout_of(WATERMARK_KEY, PN3)
    assert search(ON_CPU(silent, RATE, PN3), layout, [1.0], 3) == []


def test_correlations_are_equal_at_every_scale(marked: np.ndarray) -> None:
    plain, on_device = both(marked[:, : 10 * RATE], PN3)
    layout = layout_of(WATERMARK_KEY, PN3)
    scales = scales_for(PN3, 700)[::7]
    expected = list(plain.correlate(layout, scales, 40, 740))
    found = list(on_device.correlate(layout, scales, 40, 740))
    assert [item.scale for item in found] == [item.scale for item in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.step_frames == other.step_frames
        assert one.values == pytest.approx(other.values, abs=2e-3)


def answers(clips: Sequence[np.ndarray], **options: object) -> list[watermark.Detection]:
    return watermark.detect_batch(
        clips, sample_rate=RATE, watermark_keys=[WATERMARK_KEY], profiles=[PN3], **options
    )


def test_a_batch_is_answered_as_its_clips_are_one_by_one(marked: np.ndarray) -> None:
    sped_up = np.stack([np.interp(np.arange(0, 9 * RATE, 1.06), np.arange(len(c)), c) for c in marked])
    unmarked = make_music(5.0, seed=43, sample_rate=RATE)
    clips = [marked[:, 3 * RATE : 9 * RATE], sped_up.astype(np.float32), unmarked]
    expected = answers(clips)
    assert [item.payload for item in expected] == [PAYLOAD, PAYLOAD, None]
    for found in (answers(clips, workers=2), answers(clips, preparation=ON_CPU, workers=2)):
        for one, other in zip(found, expected, strict=True):
            assert (one.detected, one.payload) == (other.detected, other.payload)
            assert np.log10(one.false_alarm_probability) == pytest.approx(
                np.log10(other.false_alarm_probability), rel=0.02, abs=0.05
            )


def test_segments_that_are_searched_together_keep_nothing_on_the_device(marked: np.ndarray) -> None:
    segment = ON_CPU(marked[:, : 4 * RATE], RATE, PN3)
    expected = segment.plane(0.0).copy()
    light = segment.at_plain_pitch()
    assert np.array_equal(light.plane(0.0), expected)
    assert not light._searched
    assert light._running.numel() == 0


@pytest.mark.parametrize("device", ["abacus", "cuda:97", "meta"])
def test_a_device_that_cannot_be_used_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match="torch device"):
        torch_segment.prepare_on(device)
