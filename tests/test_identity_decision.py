"""How sure a match is: coin tosses agree by chance, the same recording does not, more trials cost."""

import math

import numpy as np
import pytest

from watermark.identity.decision import (
    LEAST_PROBABILITY,
    Agreement,
    Background,
    agree,
    bound_false_alarm,
    measure_agreement,
    measure_background,
    most_wrong,
)
from watermark.identity.outcome import Placement, Sketch
from watermark.identity.sketch import SketchQuery, build_sketch
from watermark.identity.sketch_profile import SKETCH_PROFILE

HERE = Placement(0.0, 1.0, 0.0)


def make_query(seed: int, seconds: float = 20.0) -> SketchQuery:
    """A spectrogram of independent noise: its bits are coin tosses but for the overlap of frames."""
    rng = np.random.default_rng(seed)
    frames = round(seconds / SKETCH_PROFILE.spectrum_hop_s)
    power = rng.gamma(0.5, 1e-3, (frames, SKETCH_PROFILE.spectrum_bands)).astype(np.float32)
    return SketchQuery(SKETCH_PROFILE, seconds, power, np.zeros((0, 8), np.float32))


def make_sketch(seed: int, words: int = 500) -> Sketch:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, words, dtype=np.uint32)
    return Sketch(SKETCH_PROFILE.name, bits, np.ones(words, np.bool_), np.zeros((0, 16), np.uint8))


def test_coin_tosses_agree_like_coin_tosses() -> None:
    query = make_query(1)
    values = [measure_agreement(query, make_sketch(seed), HERE).total for seed in range(2, 202)]
    # 200 draws: four standard errors.
    assert abs(np.mean(values)) < 0.29
    assert abs(np.std(values) - 1) < 0.2


def test_the_same_recording_agrees_wholly() -> None:
    query = make_query(3)
    found = measure_agreement(query, build_sketch(query), HERE)
    assert found.bit_error_rate == 0.0
    assert found.total > 80
    assert found.compared == pytest.approx(500 * 32, abs=200)


def test_agreement_of_the_first_and_the_second_half_of_a_splice() -> None:
    query = make_query(4)
    sketch = build_sketch(query)
    words = sketch.words.copy()
    words[250:] = make_sketch(5).words[250:]
    spliced = Sketch(sketch.profile_name, words, sketch.audible, sketch.extra)
    found = measure_agreement(query, spliced, HERE)
    assert agree(found.values[:250], found.squares[:250]) > 50
    assert abs(agree(found.values[250:], found.squares[250:])) < 5
    assert found.bit_error_rate == pytest.approx(0.25, abs=0.02)


def test_too_little_to_compare_is_no_agreement() -> None:
    query = make_query(6, seconds=0.8)
    assert measure_agreement(query, build_sketch(query), HERE).total == 0.0
    beyond = measure_agreement(make_query(6), make_sketch(7), Placement(1_000.0, 1.0, 0.0))
    assert (beyond.total, beyond.bit_error_rate) == (0.0, 1.0)
    silent = Sketch("fp1", make_sketch(8).words, np.zeros(500, np.bool_), np.zeros((0, 16), np.uint8))
    assert measure_agreement(make_query(6), silent, HERE).total == 0.0
    assert Agreement(0, np.zeros(0), np.zeros(0), 0, 0).total == 0.0


def test_the_bound_falls_with_agreement_and_grows_with_trials() -> None:
    bounds = [bound_false_alarm(value, 60) for value in (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] == 1.0
    assert bounds[-1] < 1e-15
    assert bound_false_alarm(12.0, 600) == pytest.approx(10 * bound_false_alarm(12.0, 60))
    assert bound_false_alarm(80.0, 1) == LEAST_PROBABILITY


def test_a_background_makes_the_bound_wider() -> None:
    assert bound_false_alarm(15.0, 60, Background(3.0, 1.0)) == bound_false_alarm(15.0, 60)
    assert bound_false_alarm(15.0, 60, Background(12.0, 1.0)) > 0.1
    assert bound_false_alarm(60.0, 60, Background(12.0, 1.0)) < 1e-15


def test_music_of_the_same_beat_agrees_and_its_background_says_why() -> None:
    """Two queries of noise of their own, with a note of one instrument every 0.4 s."""
    note = np.random.default_rng(11).gamma(0.3, 60.0, SKETCH_PROFILE.spectrum_bands)
    queries = []
    for seed in (9, 10):
        query = make_query(seed)
        sounding = (np.arange(len(query.power)) % 20 < 8)[:, None]
        power = query.power + 2e-4 * np.where(sounding, note, 0.0)
        queries.append(SketchQuery(query.profile, query.seconds, power.astype(np.float32), query.outer))
    other = build_sketch(queries[1])
    agreement = measure_agreement(queries[0], other, HERE).total
    background = measure_background(queries[0], other, HERE)
    assert agreement > 12
    assert bound_false_alarm(agreement, 60) < 1e-5
    # The same beat elsewhere in the track agrees as well.
    assert background.largest > 0.3 * agreement
    same = build_sketch(queries[0])
    assert (
        bound_false_alarm(
            measure_agreement(queries[0], same, HERE).total,
            60,
            measure_background(queries[0], same, HERE),
        )
        < 1e-15
    )


def make_loop(seed: int, period_s: float, seconds: float = 12.0) -> SketchQuery:
    """A spectrogram that says the same again after each period."""
    once = make_query(seed, period_s)
    power = np.tile(once.power, (round(seconds / period_s), 1))
    return SketchQuery(SKETCH_PROFILE, seconds, power, once.outer)


def test_loops_of_one_period_agree_by_chance_and_the_bound_says_so() -> None:
    """Five loops of 1 s, each against each other at 13 places: 20 pairs, 260 places."""
    queries = [make_loop(seed, 1.0) for seed in range(20, 25)]
    sketches = [build_sketch(query) for query in queries]
    stated, without = [], []
    for i, query in enumerate(queries):
        for j, sketch in enumerate(sketches):
            if i != j:
                places = [Placement(0.08 * k, 1.0, 0.0) for k in range(13)]
                best = max(places, key=lambda place: measure_agreement(query, sketch, place).total)
                agreement = measure_agreement(query, sketch, best).total
                stated.append(bound_false_alarm(agreement, 13, measure_background(query, sketch, best)))
                without.append(bound_false_alarm(agreement, 13))
    # As small a probability as 0.01 is due 0.2 times among 20; without the redundancy several are.
    assert sum(p <= 0.01 for p in stated) <= 1
    assert sum(p <= 0.01 for p in without) > 2
    own = measure_background(queries[0], sketches[0], HERE)
    assert 8 < own.redundancy < 20
    # The loop itself is still found.
    agreement = measure_agreement(queries[0], sketches[0], HERE).total
    assert bound_false_alarm(agreement, 60, own) < 1e-15


@pytest.mark.parametrize(
    ("scale", "semitones", "most"),
    [
        (1.0, 0.0, 0.4),
        (1.015, 0.0, 0.4),
        (1.25, 12 * math.log2(1.25), 0.4),
        (1.0, -3.0, 0.4),
        (1.25, 0.0, 0.37),
        (0.75, 0.0, 0.37),
        (1.1, -2.0, 0.37),
    ],
)
def test_another_tempo_must_agree_better(scale: float, semitones: float, most: float) -> None:
    assert most_wrong(Placement(0.0, scale, semitones)) == most


def test_noise_has_no_redundancy() -> None:
    query = make_query(40)
    assert measure_background(query, make_sketch(41), HERE).redundancy == pytest.approx(1.0, abs=0.15)
    short = make_query(42, seconds=0.4)
    assert measure_background(short, make_sketch(43), HERE) == Background(0.0, 1.0)
