"""Extraction: a stream gives what the whole gives, a cut query is the query of the cut."""

from collections.abc import Callable

import numpy as np
import pytest

from watermark.errors import AudioError
from watermark.identity import Extractor, extract, extract_query, format_fingerprint, make_fingerprint
from watermark.identity.extraction import cut_query
from watermark.identity.profile import PROFILE

RATE = 16_000


def test_a_stream_gives_the_fingerprint_of_the_whole(music: Callable[..., np.ndarray]) -> None:
    audio = music(25.0, seed=1, sample_rate=RATE)
    extractor = Extractor(sample_rate=RATE, channels=2)
    for first in range(0, audio.shape[1], 70_001):
        extractor.push(audio[:, first : first + 70_001])
    streamed = make_fingerprint(extractor.finish())
    assert format_fingerprint(streamed) == format_fingerprint(extract(audio, sample_rate=RATE))
    assert streamed.seconds == 25.0
    assert streamed.profile_name == "fp1"


def test_a_fingerprint_stores_fewer_landmarks_than_a_query_has(music: Callable[..., np.ndarray]) -> None:
    query = extract_query(music(25.0, seed=2, sample_rate=RATE), sample_rate=RATE)
    stored = make_fingerprint(query).landmarks
    assert 25 < stored.frames.size <= 25 * 1.6 * PROFILE.rich.density
    assert stored.frames.size < query.landmarks.frames.size


def test_a_cut_query_is_about_its_part_alone(music: Callable[..., np.ndarray]) -> None:
    query = extract_query(music(12.0, seed=3, sample_rate=RATE), sample_rate=RATE)
    part, begins_s = cut_query(query, start_s=4.005, end_s=9.0)
    assert begins_s == pytest.approx(4.02)
    assert part.seconds == pytest.approx(9.0 - 4.02)
    first = round(begins_s / PROFILE.frame_s)
    assert np.array_equal(part.sketch.power, query.sketch.power[first:450])
    inside = (query.landmarks.frames >= first) & (query.landmarks.frames < 450)
    assert np.array_equal(part.landmarks.frames + first, query.landmarks.frames[inside])
    whole, zero = cut_query(query, start_s=-3.0, end_s=99.0)
    assert zero == 0.0
    assert whole.landmarks.frames.size == query.landmarks.frames.size


def test_silence_and_nothing_have_a_fingerprint_without_landmarks() -> None:
    for samples in (0, 1, 4_000, 80_000):
        found = extract(np.zeros((1, samples), np.float32), sample_rate=RATE)
        assert found.landmarks.frames.size == 0
        assert not found.sketch.audible.any()


def test_audio_that_cannot_be_worked_on_is_refused() -> None:
    for audio in (np.zeros((1, 100)), np.zeros(100, np.float32), np.full((1, 9), np.inf, np.float32), None):
        with pytest.raises(AudioError):
            extract(audio, sample_rate=RATE)  # type: ignore[arg-type]
