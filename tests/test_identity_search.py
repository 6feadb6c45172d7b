"""Search: clips are found with their place, speed and pitch; what is in no track is unknown."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import signal

from watermark.identity import (
    PROFILE,
    Fingerprint,
    Identification,
    Index,
    Query,
    build_segment,
    decision,
    extract,
    extract_query,
    identify,
)
from watermark.identity.search import POOR_BIT_ERROR_RATE, list_hypotheses

RATE = 8_000
TRACK_S = 30.0
# How loud other music lies over a mash-up: about a third of its bits is then that of the track under it.
MASHED = 1.4
Audio = np.ndarray


@pytest.fixture(scope="module")
def tracks(music: Callable[..., Audio]) -> dict[int, Audio]:
    """Five tracks by number; another seed is another melody."""
    return {
        number: music(TRACK_S, seed=number, sample_rate=RATE, channels=1) for number in (3, 14, 15, 92, 65)
    }


@pytest.fixture(scope="module")
def fingerprints(tracks: dict[int, Audio]) -> dict[int, Fingerprint]:
    return {number: extract(audio, sample_rate=RATE) for number, audio in tracks.items()}


@pytest.fixture(scope="module")
def index(fingerprints: dict[int, Fingerprint]) -> Index:
    """Two segments, as an index has that was added to."""
    landmarks = {number: found.landmarks for number, found in fingerprints.items()}
    first = {number: landmarks[number] for number in (3, 14, 15)}
    second = {number: landmarks[number] for number in (92, 65)}
    segments = tuple(build_segment(some, PROFILE.rich) for some in (first, second))
    return Index(segments, lambda number: fingerprints[number].sketch)


def ask(audio: Audio, index: Index, sample_rate: int = RATE) -> Identification:
    return identify(extract_query(audio.astype(np.float32), sample_rate=sample_rate), index)


def cut(audio: Audio, start_s: float, end_s: float) -> Audio:
    return audio[:, round(start_s * RATE) : round(end_s * RATE)]


@pytest.mark.parametrize("number", [3, 15, 65])
@pytest.mark.parametrize("seconds", [5.0, 10.0])
def test_an_excerpt_is_found_at_its_place(
    tracks: dict[int, Audio], index: Index, number: int, seconds: float
) -> None:
    found = ask(cut(tracks[number], 7.123, 7.123 + seconds), index)
    best = found.matches[0]
    assert (best.track, found.hypotheses, found.closest) == (number, 1, None)
    assert best.placement.track_start_s == pytest.approx(7.123, abs=0.01)
    assert best.placement.time_scale == pytest.approx(1.0, abs=1e-3)
    assert best.placement.pitch_semitones == 0.0
    assert (best.query_start_s, best.query_end_s) == (0.0, pytest.approx(seconds, abs=0.03))
    assert best.bit_error_rate < 0.1
    assert best.false_alarm_probability < 1e-9


def test_noise_and_another_rate_do_not_hide_it(tracks: dict[int, Audio], index: Index) -> None:
    clip = signal.resample_poly(cut(tracks[92], 11.0, 20.0), 441, 80, axis=1)
    rng = np.random.default_rng(1)
    clip = clip + 0.3 * clip.std() * rng.standard_normal(clip.shape)
    best = ask(clip, index, 44_100).matches[0]
    assert best.track == 92
    assert best.placement.track_start_s == pytest.approx(11.0, abs=0.015)


@pytest.mark.parametrize("speed", [0.8, 0.95, 1.06, 1.2])
def test_another_speed_is_found_and_told(tracks: dict[int, Audio], index: Index, speed: float) -> None:
    clip = cut(tracks[14], 4.0, 4.0 + 10.0 * speed)
    faster = signal.resample(clip, round(clip.shape[1] / speed), axis=1)
    best = ask(faster, index).matches[0]
    assert best.track == 14
    assert best.placement.track_start_s == pytest.approx(4.0, abs=0.015)
    assert best.placement.time_scale == pytest.approx(speed, rel=1e-3)
    assert best.placement.pitch_semitones == pytest.approx(12 * np.log2(speed), abs=0.02)


def stretch(query: Query, scale: float) -> Query:
    """The query of audio whose pace alone was changed: frames and landmarks further apart."""
    power = query.sketch.power
    frames = round(len(power) / scale)
    positions = np.minimum(np.arange(frames) * scale, len(power) - 1).astype(int)
    sketch = type(query.sketch)(
        query.sketch.profile, query.seconds / scale, power[positions], query.sketch.outer
    )
    found = query.landmarks
    moved = type(found)("fp1", np.rint(found.frames / scale).astype(np.int32), found.pitches, found.strengths)
    return Query(moved, sketch)


@pytest.mark.parametrize("tempo", [0.85, 1.1])
def test_another_tempo_is_found_and_told(tracks: dict[int, Audio], index: Index, tempo: float) -> None:
    query = extract_query(cut(tracks[65], 6.0, 18.0), sample_rate=RATE)
    best = identify(stretch(query, tempo), index).matches[0]
    assert best.track == 65
    assert best.placement.time_scale == pytest.approx(tempo, rel=2e-3)
    assert best.placement.pitch_semitones == 0.0


def test_a_piece_at_another_tempo_with_many_wrong_bits_is_not_claimed(
    tracks: dict[int, Audio], index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = extract_query(cut(tracks[65], 6.0, 18.0), sample_rate=RATE)
    monkeypatch.setattr(decision, "WORST_AT_OTHER_TEMPO", 0.01)
    found = identify(stretch(query, 1.1), index)
    assert found.matches == ()
    assert found.closest is not None
    assert found.closest.track == 65
    assert identify(query, index).matches[0].track == 65


def test_music_that_is_not_indexed_is_unknown(music: Callable[..., Audio], index: Index) -> None:
    found = ask(music(8.0, seed=200, sample_rate=RATE, channels=1), index)
    assert found.matches == ()
    assert found.hypotheses == 1 + len(list_hypotheses())
    # What it is like more than the others is told all the same, and is no claim.
    assert found.closest is not None
    assert found.closest.track in (3, 14, 15, 92, 65)
    assert found.closest.bit_error_rate > POOR_BIT_ERROR_RATE
    assert found.closest.false_alarm_probability == 1.0
    rng = np.random.default_rng(2)
    assert ask(0.1 * rng.standard_normal((1, 5 * RATE)), index).matches == ()


def test_what_resembles_a_query_does_not_hide_the_track_at_another_speed(
    tracks: dict[int, Audio], fingerprints: dict[int, Fingerprint]
) -> None:
    track = tracks[14]
    faster = signal.resample(track, round(track.shape[1] / 1.2), axis=1)
    mashup = faster + MASHED * tracks[92][:, : faster.shape[1]]
    prints = {14: fingerprints[14], 7: extract(mashup.astype(np.float32), sample_rate=RATE)}
    landmarks = {number: found.landmarks for number, found in prints.items()}
    index = Index((build_segment(landmarks, PROFILE.rich),), lambda number: prints[number].sketch)
    found = ask(cut(faster, 6.0, 16.0), index)
    # As it is, the query lies in the mash-up, whose bits it hardly explains; that round finds nothing else.
    assert [match.track for match in found.matches] == [14, 7]
    assert found.matches[0].placement.time_scale == pytest.approx(1.2, rel=1e-3)
    assert found.matches[1].placement.time_scale == pytest.approx(1.0, abs=0.01)
    assert found.matches[1].bit_error_rate > POOR_BIT_ERROR_RATE


def test_silence_and_nothing_are_unknown(index: Index) -> None:
    for samples in (0, 100, 5 * RATE):
        assert ask(np.zeros((1, samples)), index).matches == ()
    empty = Index((), index.sketch_of)
    assert ask(np.zeros((1, 5 * RATE)), empty).matches == ()


def test_a_medley_names_each_part_with_its_range(
    tracks: dict[int, Audio], index: Index, music: Callable[..., Audio]
) -> None:
    unknown = music(12.0, seed=300, sample_rate=RATE, channels=1)
    medley = np.concatenate(
        [cut(tracks[3], 5.0, 21.0), unknown, cut(tracks[92], 2.0, 20.0), cut(tracks[3], 8.0, 22.0)], axis=1
    )
    parts = {
        (match.track, round(match.placement.track_start_s + match.query_start_s)): match
        for match in ask(medley, index).matches
    }
    expected = {(3, 5): (0.0, 16.0), (92, 2): (28.0, 46.0), (3, 8): (46.0, 60.0)}
    assert set(parts) == set(expected)
    for key, (start_s, end_s) in expected.items():
        assert parts[key].query_start_s == pytest.approx(start_s, abs=0.5)
        assert parts[key].query_end_s == pytest.approx(end_s, abs=0.5)


def test_a_query_that_begins_before_its_track_matches_from_there(
    tracks: dict[int, Audio], index: Index
) -> None:
    early = np.concatenate([np.zeros((1, 4 * RATE)), cut(tracks[15], 0.0, 8.0)], axis=1)
    best = ask(early, index).matches[0]
    assert best.track == 15
    assert best.placement.track_start_s == pytest.approx(-4.0, abs=0.015)
    assert best.query_start_s == pytest.approx(4.0, abs=0.3)


def test_a_track_that_is_gone_is_not_answered_with(tracks: dict[int, Audio], index: Index) -> None:
    gone = Index(index.segments, lambda number: None if number == 3 else index.sketch_of(number))
    clip = cut(tracks[3], 5.0, 15.0)
    assert ask(clip, index).matches[0].track == 3
    assert ask(clip, gone).matches == ()


def test_the_lean_index_finds_excerpts_and_speeds(
    tracks: dict[int, Audio], fingerprints: dict[int, Fingerprint]
) -> None:
    landmarks = {number: found.landmarks for number, found in fingerprints.items()}
    lean = Index((build_segment(landmarks, PROFILE.lean),), lambda number: fingerprints[number].sketch)
    for number in (3, 65):
        clip = cut(tracks[number], 9.0, 19.0)
        assert ask(clip, lean).matches[0].track == number
        faster = signal.resample(clip, round(clip.shape[1] / 1.08), axis=1)
        assert ask(faster, lean).matches[0].track == number


def test_a_stricter_claim_claims_less(tracks: dict[int, Audio], index: Index) -> None:
    query = extract_query(cut(tracks[14], 3.0, 8.0), sample_rate=RATE)
    assert identify(query, index).matches
    assert not identify(query, index, claimed_probability=0.0).matches


def test_segments_of_another_profile_are_refused(index: Index, tracks: dict[int, Audio]) -> None:
    import dataclasses

    other = Index((dataclasses.replace(index.segments[0], profile_name="fp0"),), index.sketch_of)
    with pytest.raises(ValueError, match="fp0"):
        ask(cut(tracks[3], 0.0, 5.0), other)
