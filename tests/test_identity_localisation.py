"""Localisation: each kind of change is found where it is, nothing is found where there is none, and what
cannot be judged is not called intact.
"""

import numpy as np
import pytest
from conftest import make_music as pluck
from scipy.signal import butter, resample_poly, sosfilt
from sound_material import SAMPLE_RATE, add_noise, make_music

from watermark.identity import extract_query
from watermark.identity.localisation import compare
from watermark.identity.outcome import INSERTED, OVERLAID, REMOVED, REORDERED, REPLACED, Placement
from watermark.identity.sketch import build_sketch

SECONDS = 30.0
CLIP_START_S = 3.0
NEAR_S = 0.15


def seconds_of(audio, start_s, end_s):
    return audio[:, round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]


@pytest.fixture(scope="module")
def recording():
    return make_music(10, SECONDS)


@pytest.fixture(scope="module")
def track(recording):
    return build_sketch(extract_query(recording, sample_rate=SAMPLE_RATE).sketch)


@pytest.fixture(scope="module")
def clip(recording):
    """An excerpt, with a little noise as a codec leaves it."""
    return add_noise(seconds_of(recording, CLIP_START_S, 27.0), 35)


@pytest.fixture(scope="module")
def other():
    return make_music(11, 8.0)


def compared(audio, track, hints=(), sample_rate=SAMPLE_RATE):
    return compare(extract_query(audio, sample_rate=sample_rate).sketch, track, hints)


def the_change(comparison):
    assert comparison.assessable
    assert len(comparison.changes) == 1, comparison.changes
    return comparison.changes[0]


def assert_ranges(change, query_s, track_s):
    found = (change.query_start_s, change.query_end_s, change.track_start_s, change.track_end_s)
    assert found == pytest.approx((*query_s, *track_s), abs=NEAR_S)


def test_an_untouched_excerpt_is_intact_at_its_place(clip, track):
    comparison = compared(clip, track)
    assert comparison.assessable
    assert comparison.changes == ()
    assert len(comparison.intact) == 1
    assert comparison.intact[0].placement.track_start_s == pytest.approx(CLIP_START_S, abs=0.015)
    assert comparison.intact[0].query_end_s == pytest.approx(24.0, abs=0.3)
    assert comparison.bit_error_rate < 0.15


@pytest.mark.parametrize("length_s", [0.6, 2.0])
def test_a_replaced_range_is_told_on_both_time_lines(clip, track, other, length_s):
    edited = clip.copy()
    seconds_of(edited, 9.0, 9.0 + length_s)[:] = seconds_of(other, 2.0, 2.0 + length_s)
    change = the_change(compared(edited, track))
    assert change.kind == REPLACED
    assert_ranges(change, (9.0, 9.0 + length_s), (12.0, 12.0 + length_s))
    assert change.confidence > 0.9


def test_a_muted_range_is_replaced(clip, track):
    edited = clip.copy()
    seconds_of(edited, 9.0, 10.5)[:] = 0
    change = the_change(compared(edited, track))
    assert change.kind == REPLACED
    assert_ranges(change, (9.0, 10.5), (12.0, 13.5))


@pytest.mark.parametrize("length_s", [0.6, 2.0])
def test_an_inserted_range_is_empty_in_the_track(clip, track, other, length_s):
    pieces = (seconds_of(clip, 0, 9.0), seconds_of(other, 2.0, 2.0 + length_s), seconds_of(clip, 9.0, 24.0))
    change = the_change(compared(np.concatenate(pieces, axis=1), track))
    assert change.kind == INSERTED
    assert_ranges(change, (9.0, 9.0 + length_s), (12.0, 12.0))
    assert change.track_start_s == change.track_end_s


@pytest.mark.parametrize("length_s", [0.6, 2.0])
def test_a_removed_range_is_empty_in_the_query(clip, track, length_s):
    pieces = (seconds_of(clip, 0, 9.0), seconds_of(clip, 9.0 + length_s, 24.0))
    change = the_change(compared(np.concatenate(pieces, axis=1), track))
    assert change.kind == REMOVED
    assert_ranges(change, (9.0, 9.0), (12.0, 12.0 + length_s))
    assert change.query_start_s == change.query_end_s


@pytest.mark.parametrize("length_s", [0.6, 2.0])
def test_a_moved_range_is_reordered_and_not_removed_as_well(clip, track, length_s):
    pieces = (
        seconds_of(clip, 0, 6.0),
        seconds_of(clip, 6.0 + length_s, 14.0),
        seconds_of(clip, 6.0, 6.0 + length_s),
        seconds_of(clip, 14.0, 24.0),
    )
    change = the_change(compared(np.concatenate(pieces, axis=1), track))
    assert change.kind == REORDERED
    assert_ranges(change, (14.0 - length_s, 14.0), (9.0, 9.0 + length_s))


def test_music_laid_on_top_is_overlaid_not_replaced(clip, track, other):
    edited = clip.copy()
    seconds_of(edited, 9.0, 11.0)[:] += seconds_of(other, 2.0, 4.0)
    change = the_change(compared(edited, track))
    assert change.kind == OVERLAID
    assert_ranges(change, (9.0, 11.0), (12.0, 14.0))
    assert change.band == "audible"


def test_a_tone_that_moves_no_bits_is_found_by_its_level(clip, track):
    edited = clip.copy()
    time_s = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    seconds_of(edited, 9.0, 11.0)[:] += (0.1 * np.sin(2 * np.pi * 1_000 * time_s)).astype(np.float32)
    change = the_change(compared(edited, track))
    assert change.kind == OVERLAID
    assert_ranges(change, (9.0, 11.0), (12.0, 14.0))


@pytest.mark.parametrize(
    ("hz", "amplitude", "band"), [(12.0, 0.03, "infrasonic"), (18_500.0, 0.003, "ultrasonic")]
)
def test_tones_that_nobody_hears_are_told_with_their_band(hz, amplitude, band):
    whole = make_music(12, 16.0, sample_rate=44_100)
    sketch = build_sketch(extract_query(whole, sample_rate=44_100).sketch)
    edited = whole.copy()
    time_s = np.arange(3 * 44_100) / 44_100
    edited[:, 6 * 44_100 : 9 * 44_100] += (amplitude * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)
    change = the_change(compared(edited, sketch, sample_rate=44_100))
    assert (change.kind, change.band) == (OVERLAID, band)
    assert (change.query_start_s, change.query_end_s) == pytest.approx((6.0, 9.0), abs=0.25)


def test_infrasound_in_a_fifth_of_a_recording_is_not_taken_for_its_bass():
    time_s = np.arange(16 * 44_100) / 44_100
    whole = make_music(12, 16.0, sample_rate=44_100)
    whole += (0.25 * np.sin(2 * np.pi * 70 * time_s)).astype(np.float32)
    sketch = build_sketch(extract_query(whole, sample_rate=44_100).sketch)
    edited = whole.copy()
    tone = (0.04 * np.sin(2 * np.pi * 12 * time_s[: 3 * 44_100])).astype(np.float32)
    edited[:, 6 * 44_100 : 9 * 44_100] += tone
    change = the_change(compared(edited, sketch, sample_rate=44_100))
    assert (change.kind, change.band) == (OVERLAID, "infrasonic")


@pytest.mark.parametrize(("bass", "told"), [(0.4, False), (0.01, True)])
@pytest.mark.parametrize("fill", ["tone", "noise"])
def test_what_a_codec_fills_in_far_under_a_loud_bass_is_no_addition(bass, told, fill):
    """Opus at 32 kbit/s does so for as long as the bass lasts."""
    time_s = np.arange(16 * SAMPLE_RATE) / SAMPLE_RATE
    track = darken(8e-3 * make_music(12, 16.0))
    track += (bass * np.sin(2 * np.pi * 60 * time_s)).astype(np.float32)
    sketch = build_sketch(extract_query(track, sample_rate=SAMPLE_RATE).sketch)
    band = butter(4, (1_000, 2_500), "bandpass", fs=SAMPLE_RATE, output="sos")
    noise = sosfilt(band, np.random.default_rng(3).standard_normal(len(time_s)))
    # All of the copy has a little of it, which turns signs of what is empty in the track.
    track += (1e-4 * noise).astype(np.float32)
    added = noise if fill == "noise" else np.sin(2 * np.pi * 1_500 * time_s)
    added = added[: 4 * SAMPLE_RATE]
    seconds_of(track, 5.0, 9.0)[:] += (1.5e-3 * added).astype(np.float32)
    ranges = [(change.query_start_s, change.query_end_s) for change in compared(track, sketch).changes]
    assert ranges == ([pytest.approx((5.0, 9.0), abs=0.3)] if told else [])


def test_very_quiet_sound_in_a_pause_is_found(other):
    whole = make_music(13, 16.0)
    seconds_of(whole, 7.0, 10.0)[:] = 0
    sketch = build_sketch(extract_query(whole, sample_rate=SAMPLE_RATE).sketch)
    untouched = compared(whole, sketch)
    assert untouched.changes == ()
    assert untouched.unassessable == (pytest.approx((7.0, 10.0), abs=0.2),)
    edited = whole.copy()
    seconds_of(edited, 7.8, 9.2)[:] += 0.02 * seconds_of(other, 0.0, 1.4)  # 34 dB under the music
    change = the_change(compared(edited, sketch))
    assert change.kind == OVERLAID
    assert (change.query_start_s, change.query_end_s) == pytest.approx((7.8, 9.2), abs=0.3)


@pytest.fixture(scope="module")
def copy(recording):
    """An excerpt as it is, cut between two words of the track."""
    return seconds_of(recording, CLIP_START_S + 0.0173, 27.0)


@pytest.mark.parametrize("under_db", [20, 26])
def test_quiet_sound_under_a_faithful_copy_is_found_by_the_bits_it_turns(copy, track, other, under_db):
    edited = copy.copy()
    part = seconds_of(edited, 9.0, 13.0)
    added = seconds_of(other, 1.0, 5.0)
    part += added * (part.std() / added.std() * 10 ** (-under_db / 20))
    change = the_change(compared(edited, track))
    assert (change.kind, change.band) == (OVERLAID, "audible")
    assert (change.query_start_s, change.query_end_s) == pytest.approx((9.0, 13.0), abs=0.5)


@pytest.mark.parametrize("damage", ["none", "gain", "filter", "noise", "resampled"])
def test_a_copy_that_contradicts_the_track_alike_from_end_to_end_is_unchanged(copy, track, damage):
    damaged = {
        "none": copy,
        "gain": 0.3 * copy,
        "filter": sosfilt(butter(2, 1_500, fs=SAMPLE_RATE, output="sos"), copy, axis=1).astype(np.float32),
        "noise": add_noise(copy, 25, seed=8),
        "resampled": resample_poly(resample_poly(copy, 3, 2, axis=1), 2, 3, axis=1).astype(np.float32),
    }[damage]
    assert compared(damaged, track).changes == ()


def test_two_changes_are_told_as_two(clip, track, other):
    pieces = (
        seconds_of(clip, 0, 6.0),
        seconds_of(other, 1.0, 2.0),
        seconds_of(clip, 6.0, 13.0),
        seconds_of(clip, 14.0, 24.0),
    )
    kinds = [change.kind for change in compared(np.concatenate(pieces, axis=1), track).changes]
    assert kinds == [INSERTED, REMOVED]


def test_speed_is_found_and_times_are_those_of_the_query(clip, track, other):
    edited = clip.copy()
    seconds_of(edited, 9.0, 11.0)[:] = seconds_of(other, 2.0, 4.0)
    faster = resample_poly(edited, 50, 51, axis=1).astype(np.float32)
    comparison = compared(faster, track)
    change = the_change(comparison)
    assert comparison.intact[0].placement.time_scale == pytest.approx(1.02, abs=0.001)
    assert change.kind == REPLACED
    assert_ranges(change, (9.0 / 1.02, 11.0 / 1.02), (12.0, 14.0))


@pytest.mark.parametrize("seconds", [1.2, 2.5, 6.0])
def test_a_short_excerpt_is_found_as_well(clip, track, seconds):
    comparison = compared(seconds_of(clip, 7.0, 7.0 + seconds), track)
    assert comparison.assessable
    assert comparison.changes == ()
    assert comparison.intact[0].placement.track_start_s == pytest.approx(CLIP_START_S + 7.0, abs=0.02)


def test_a_hint_spares_the_search(clip, track):
    plain = compared(clip, track, (Placement(CLIP_START_S + 0.05, 1.0, 0.0),))
    assert plain.changes == ()
    assert plain.intact[0].placement.track_start_s == pytest.approx(CLIP_START_S, abs=0.015)


def test_repeats_of_a_loop_are_no_changes():
    loop = make_music(14, 2.0)
    whole = np.concatenate([loop] * 10, axis=1) + 0.2 * make_music(15, 20.0)
    sketch = build_sketch(extract_query(whole, sample_rate=SAMPLE_RATE).sketch)
    for audio in (whole, add_noise(whole, 20), add_noise(seconds_of(whole, 3.3, 17.0), 20)):
        comparison = compared(audio, sketch)
        assert comparison.assessable
        assert comparison.changes == ()


def test_other_music_is_not_assessable(track):
    comparison = compared(make_music(16, 12.0), track)
    assert not comparison.assessable
    assert comparison.reason
    assert comparison.changes == comparison.intact == ()


def test_music_of_the_same_few_notes_is_no_intact_piece():
    sketch, other = (extract_query(pluck(20.0, seed=seed), sample_rate=44_100).sketch for seed in (5, 7))
    comparison = compare(other, build_sketch(sketch))
    assert not comparison.assessable
    assert not comparison.agrees
    assert comparison.intact == ()


@pytest.mark.parametrize("snr_db", [-6, -30])
def test_a_recording_lost_in_noise_is_not_assessable(clip, track, snr_db):
    comparison = compared(add_noise(clip, snr_db, seed=3), track)
    assert not comparison.assessable
    assert comparison.intact == ()


@pytest.mark.parametrize("snr_db", [15, 3])
def test_noise_is_no_change(clip, track, snr_db):
    comparison = compared(add_noise(clip, snr_db, seed=3), track)
    assert comparison.assessable
    assert comparison.changes == ()


def test_a_noisy_excerpt_between_two_words_is_not_taken_for_another_speed(recording, track):
    # Words are 40 ms apart: in the middle of them a wrong speed agrees better over a few seconds.
    comparison = compared(add_noise(seconds_of(recording, 3.3375, 28.0), 12, seed=3), track)
    (intact,) = comparison.intact
    assert intact.placement.time_scale == pytest.approx(1.0, abs=2e-4)
    assert comparison.changes == ()


@pytest.mark.parametrize("snr_db", [20, 15])
@pytest.mark.parametrize("end", ["head", "tail"])
def test_a_quiet_end_that_noise_buries_is_not_told_as_changed(recording, snr_db, end):
    quiet = seconds_of(recording, 0.0, 20.0).copy()
    seconds_of(quiet, *((0.0, 5.0) if end == "head" else (15.0, 20.0)))[:] *= 0.01
    sketch = build_sketch(extract_query(quiet, sample_rate=SAMPLE_RATE).sketch)
    assert compared(add_noise(quiet, snr_db, seed=4), sketch).changes == ()


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 3.0), (21.0, 24.0)])
def test_an_end_that_was_replaced_is_told(clip, track, other, start_s, end_s):
    edited = clip.copy()
    seconds_of(edited, start_s, end_s)[:] = seconds_of(other, 2.0, 5.0)
    change = the_change(compared(add_noise(edited, 15), track))
    assert change.kind == REPLACED
    assert_ranges(change, (start_s, end_s), (start_s + CLIP_START_S, end_s + CLIP_START_S))


@pytest.mark.parametrize("audio", [np.zeros((1, 8_000), np.float32), np.zeros((1, 160_000), np.float32)])
def test_too_little_to_hear_is_not_assessable(audio, track):
    assert not compared(audio, track).assessable


def test_a_silent_track_has_nothing_to_compare(clip):
    silent = build_sketch(extract_query(np.zeros((1, 160_000), np.float32), sample_rate=SAMPLE_RATE).sketch)
    assert not compared(clip, silent).assessable


def test_same_input_same_answer(clip, track):
    assert compared(clip, track) == compared(clip, track)


def darken(audio):
    """Take away what lies over 600 Hz, so that noise buries most bands."""
    return sosfilt(butter(6, 600, fs=SAMPLE_RATE, output="sos"), audio, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def dark():
    return darken(make_music(10, 20.0))


@pytest.fixture(scope="module")
def dark_track(dark):
    return build_sketch(extract_query(dark, sample_rate=SAMPLE_RATE).sketch)


@pytest.mark.parametrize("kind", [REPLACED, REMOVED, "muted", OVERLAID])
def test_changes_are_found_where_noise_buries_most_bands(dark, dark_track, other, kind):
    before, within, after = (seconds_of(dark, a, b) for a, b in ((0, 8), (8, 10), (10, 20)))
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(within.shape[1]) / SAMPLE_RATE)
    changed = {
        REPLACED: darken(other[:, : within.shape[1]]),
        REMOVED: within[:, :0],
        "muted": np.zeros_like(within),
        OVERLAID: (within + tone).astype(np.float32),
    }[kind]
    noisy = add_noise(np.concatenate((before, changed, after), axis=1), 15, seed=4)
    change = the_change(compared(noisy, dark_track))
    assert change.kind == (REPLACED if kind == "muted" else kind)
    assert_ranges(change, (8, 8) if kind == REMOVED else (8, 10), (8, 10))


def test_noise_that_buries_most_bands_is_no_change(dark, dark_track):
    comparison = compared(add_noise(dark, 15, seed=4), dark_track)
    assert comparison.assessable
    assert comparison.changes == ()


def test_a_second_that_may_have_been_mixed_otherwise_is_not_told_as_changed():
    middle, side = make_music(20, 12.0), make_music(21, 12.0)
    second = slice(5 * SAMPLE_RATE, 6 * SAMPLE_RATE)

    def mix(ratio):
        """Make two channels whose difference has so many times the power of their sum in one second."""
        gains = np.full(side.shape, 0.2, np.float32)
        power = (middle[:, second] ** 2).sum() / (side[:, second] ** 2).sum()
        gains[:, second] = np.sqrt(ratio * power)
        return np.concatenate((middle + gains * side, middle - gains * side)).astype(np.float32) / 2

    track = build_sketch(extract_query(mix(4.1), sample_rate=SAMPLE_RATE).sketch)
    comparison = compared(mix(3.9), track)
    assert comparison.changes == ()
    ((start_s, end_s),) = comparison.unassessable
    assert (start_s, end_s) == pytest.approx((5, 6), abs=NEAR_S)
    # Where there is no doubt how to mix, other sound in that second is told.
    told = compared(mix(0.04), track)
    assert [change.kind for change in told.changes] == [REPLACED]
