"""A known mark where the fingerprint says how the clip lies in the track: told from less than by a search."""

import numpy as np
import pytest
from conftest import SAMPLE_RATE, Audio, make_music
from scipy.signal import resample_poly

from watermark import CandidateMatch, CandidateMatcher, ClipPlacement, PlacedMatcher, detect, embed

KEY, PAYLOAD = bytes(range(32)), b"\x01\x23\x45\x67\x89\xab\xcd\xef"
START_S = 7.31


@pytest.fixture(scope="module")
def marked() -> Audio:
    audio = make_music(16.0, seed=3)
    return embed(audio, sample_rate=SAMPLE_RATE, watermark_key=KEY, payload=PAYLOAD)


def cut(audio: Audio, seconds: float) -> Audio:
    start = round(START_S * SAMPLE_RATE)
    return audio[:, start : start + round(seconds * SAMPLE_RATE)]


def match(clip: Audio, placement: ClipPlacement, payload: bytes = PAYLOAD) -> CandidateMatch:
    matcher = PlacedMatcher(
        sample_rate=SAMPLE_RATE, channels=2, watermark_key=KEY, payload=payload, placements=[placement]
    )
    matcher.push(clip)
    return matcher.finish()


def test_it_needs_less_than_the_search_or_blind_reading(marked: Audio) -> None:
    rng = np.random.default_rng(1)
    clip = cut(marked, 8.0)
    noise = rng.standard_normal(clip.shape).astype(np.float32)
    noisy = clip + noise * float(np.sqrt(np.mean(clip**2))) * 10 ** (-16 / 20)
    placed = match(noisy, ClipPlacement(0.0, 8.0, START_S, 1.0, 0.0))
    searcher = CandidateMatcher(sample_rate=SAMPLE_RATE, channels=2, watermark_key=KEY, payload=PAYLOAD)
    searcher.push(noisy)
    assert not detect(noisy, sample_rate=SAMPLE_RATE, watermark_keys=[KEY]).detected
    assert placed.present
    assert placed.false_alarm_probability < 1e-2 * searcher.finish().false_alarm_probability


@pytest.mark.parametrize(("move_s", "scale"), [(-0.04, 1.0), (0.04, 1.0), (0.0, 0.999), (0.02, 1.0015)])
def test_a_placement_may_be_a_little_wrong(marked: Audio, move_s: float, scale: float) -> None:
    clip = cut(marked, 6.0)
    assert match(clip, ClipPlacement(0.0, 6.0, START_S + move_s, scale, 0.0)).present


@pytest.mark.parametrize(
    ("start_s", "payload"),
    [(START_S + 1.0, PAYLOAD), (START_S, b"\xfe\xdc\xba\x98\x76\x54\x32\x10")],
    ids=["another place", "another mark"],
)
def test_another_place_or_mark_is_absent(marked: Audio, start_s: float, payload: bytes) -> None:
    found = match(cut(marked, 6.0), ClipPlacement(0.0, 6.0, start_s, 1.0, 0.0), payload)
    assert not found.present
    assert found.false_alarm_probability > 1e-2


def test_only_stretches_that_lie_in_the_track_are_looked_at(marked: Audio) -> None:
    found = match(cut(marked, 6.0), ClipPlacement(20.0, 30.0, START_S, 1.0, 0.0))
    assert (found.present, found.false_alarm_probability) == (False, 1.0)


def test_a_faster_clip_is_read_at_its_speed(marked: Audio) -> None:
    clip = resample_poly(cut(marked, 8.0), 20, 21, axis=1).astype(np.float32)
    semitones = 12 * float(np.log2(1.05))
    assert match(clip, ClipPlacement(0.0, 7.6, START_S, 1.05, semitones)).present
    assert not match(clip, ClipPlacement(0.0, 7.6, START_S, 1.0, 0.0)).present
