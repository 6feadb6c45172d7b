"""Sketches: what their words and levels say, their bytes, and how a query is held against them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly
from sound_material import SAMPLE_RATE, add_noise, make_music

from watermark.errors import AudioError
from watermark.identity import SketchError, extract_query, format_sketch, parse_sketch
from watermark.identity.agreement import bit_errors, verify_sketch
from watermark.identity.outcome import Placement, Sketch
from watermark.identity.sketch import SketchExtractor, build_sketch, stored_levels
from watermark.identity.sketch_profile import SKETCH_PROFILE

SECONDS = 12.0


@pytest.fixture(scope="module")
def music():
    return make_music(1, SECONDS)


def query_of(audio, sample_rate=SAMPLE_RATE):
    return extract_query(audio, sample_rate=sample_rate).sketch


@pytest.fixture(scope="module")
def sketch(music):
    return build_sketch(query_of(music))


def test_a_recording_agrees_with_its_own_sketch_in_every_bit(music, sketch):
    errors = bit_errors(query_of(music), sketch, Placement(0.0, 1.0, 0.0))
    assert errors.errors.sum() == 0
    assert errors.bits.sum() == 32 * sketch.audible.sum() > 9_000


def test_noise_moves_few_bits_and_other_music_half_of_them(music, sketch):
    plain = Placement(0.0, 1.0, 0.0)
    assert verify_sketch(query_of(add_noise(music, 15)), sketch, plain) < 0.3
    # Bits of 12 s deviate from one half by 0.02 at most once in 10^9.
    assert 0.42 < verify_sketch(query_of(make_music(2, SECONDS)), sketch, plain) < 0.58


def test_an_excerpt_agrees_at_its_own_place_alone(music, sketch):
    excerpt = query_of(music[:, 5 * SAMPLE_RATE + 100 : 9 * SAMPLE_RATE])
    place_s = 5 + 100 / SAMPLE_RATE
    assert verify_sketch(excerpt, sketch, Placement(place_s, 1.0, 0.0)) < 0.08
    assert verify_sketch(excerpt, sketch, Placement(place_s + 1.0, 1.0, 0.0)) > 0.4


def test_a_query_is_stretched_and_shifted_onto_the_track(music, sketch):
    faster = resample_poly(music, 20, 21, axis=1).astype(np.float32)
    query = query_of(faster)
    warped = Placement(0.0, 1.05, 12 * np.log2(1.05))
    assert verify_sketch(query, sketch, warped) < 0.2
    assert verify_sketch(query, sketch, Placement(0.0, 1.0, 0.0)) > 0.4


def test_a_range_of_the_query_is_judged_by_itself(music, sketch):
    half = round(SECONDS / 2 * SAMPLE_RATE)
    spliced = np.concatenate((music[:, :half], make_music(3, SECONDS / 2)), axis=1)
    query = query_of(spliced)
    plain = Placement(0.0, 1.0, 0.0)
    assert verify_sketch(query, sketch, plain, query_end_s=5.8) < 0.02
    assert verify_sketch(query, sketch, plain, query_start_s=6.2) > 0.4


def test_a_rate_over_hardly_any_bits_is_no_match(music, sketch):
    assert verify_sketch(query_of(music), sketch, Placement(11.9, 1.0, 0.0)) == 1.0
    assert verify_sketch(query_of(np.zeros_like(music)), sketch, Placement(0.0, 1.0, 0.0)) == 1.0


def test_silence_is_not_audible_and_its_words_are_zero():
    audio = make_music(4, 6.0)
    audio[:, 2 * SAMPLE_RATE : 4 * SAMPLE_RATE] = 0
    sketch = build_sketch(query_of(audio))
    assert not sketch.audible[55:95].any()
    assert not sketch.words[~sketch.audible].any()
    assert sketch.audible[:45].all()


def test_levels_are_those_of_the_sound():
    time_s = np.arange(4 * 44_100) / 44_100
    tone = 0.1 * np.sin(2 * np.pi * 12 * time_s) + 0.01 * np.sin(2 * np.pi * 18_500 * time_s)
    stereo = np.stack((tone, -tone)).astype(np.float32)  # opposite signs: gone from a mono mix
    levels = stored_levels(build_sketch(query_of(stereo, 44_100)), SKETCH_PROFILE)[2:-2]
    assert levels[:, 0] == pytest.approx(-20.0, abs=0.6)
    assert levels[:, SKETCH_PROFILE.first_high + 3] == pytest.approx(-40.0, abs=0.6)
    assert levels[:, SKETCH_PROFILE.first_high + 1].max() < -90


def test_a_constant_offset_is_no_infrasound():
    offset = np.full((1, 3 * SAMPLE_RATE), 0.3, np.float32)
    levels = stored_levels(build_sketch(query_of(offset)), SKETCH_PROFILE)[2:-2]
    assert levels[:, 0].max() < -90


def test_bands_over_the_sample_rate_count_as_not_measured(sketch):
    high = sketch.extra[:, SKETCH_PROFILE.first_high :]
    assert high[:, 0].all()  # 3.8-8 kHz
    assert not high[:, 1:].any()  # from 8 kHz on, half of 16,000 Hz


@pytest.mark.parametrize("size", [997, 20_000])
def test_blocks_of_any_size_give_the_same_bits(size):
    audio = np.concatenate((make_music(5, 23.0), make_music(6, 23.0)))
    whole, parts = (SketchExtractor(sample_rate=SAMPLE_RATE, channels=2) for _ in range(2))
    whole.push_audio(audio)
    for start in range(0, audio.shape[1], size):
        parts.push_audio(audio[:, start : start + size])
    assert np.array_equal(whole.finish(23.0).outer, parts.finish(23.0).outer, equal_nan=True)


def test_audio_and_levels_of_another_shape_are_refused():
    extractor = SketchExtractor(sample_rate=SAMPLE_RATE, channels=2)
    with pytest.raises(AudioError, match="shape"):
        extractor.push_audio(np.zeros((1, 100), np.float32))
    with pytest.raises(ValueError, match="158"):
        extractor.push_levels(np.zeros((10, 36), np.float32))


def test_a_sketch_of_another_profile_is_refused(music, sketch):
    with pytest.raises(ValueError, match="fp0"):
        bit_errors(query_of(music), replace(sketch, profile_name="fp0"), Placement(0.0, 1.0, 0.0))


def test_bytes_come_back_and_are_few(sketch):
    data = format_sketch(sketch)
    again = parse_sketch(data)
    assert format_sketch(again) == data
    assert np.array_equal(again.words, sketch.words)
    assert np.array_equal(again.audible, sketch.audible)
    assert np.array_equal(again.extra, sketch.extra)
    assert len(data) <= 12_000 * SECONDS / 60


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_any_sketch_survives_its_bytes(words, rows, seed):
    rng = np.random.default_rng(seed)
    audible = rng.random(words) < 0.8
    values = np.where(audible, rng.integers(0, 2**32, words, dtype=np.uint32), np.uint32(0))
    extra = rng.integers(0, 256, (rows, SKETCH_PROFILE.columns), dtype=np.uint8)
    data = format_sketch(Sketch("fp1", values, audible, extra))
    assert format_sketch(parse_sketch(data)) == data


def test_damaged_bytes_are_refused(sketch):
    short = Sketch("fp1", sketch.words[:13], sketch.audible[:13], sketch.extra[:3])
    data = format_sketch(short)
    for length in range(len(data)):
        with pytest.raises(SketchError):
            parse_sketch(data[:length])
    with pytest.raises(SketchError, match="bytes"):
        parse_sketch(data + b"\0")
    head = 4 + 2 + 3 + 8
    for place in range(head):
        with pytest.raises(SketchError):
            parse_sketch(data[:place] + bytes([data[place] ^ 0x81]) + data[place + 1 :])
    last_mark = head + 13 * 4 + 1
    assert data[last_mark] == 0b11111
    with pytest.raises(SketchError, match="zeros"):
        parse_sketch(data[:last_mark] + bytes([0b111111]) + data[last_mark + 1 :])
    with pytest.raises(SketchError, match="zeros"):
        parse_sketch(data[:last_mark] + bytes([0b1111]) + data[last_mark + 1 :])


def test_sketches_of_unequal_parts_are_not_written(sketch):
    with pytest.raises(ValueError, match="columns"):
        format_sketch(replace(sketch, audible=sketch.audible[:-1]))
