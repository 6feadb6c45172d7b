"""The counting in the generator's benchmarks, on cases small enough to know the answer."""

import pytest

from benchmarks.generator_notes import score_f1
from benchmarks.generator_tunes import HISTOGRAMS, overlap
from generator.notation import parse_tune, split_tunes
from generator.synthesis import TimedNote
from generator.tune import Tune


def read(notes: str) -> Tune:
    """A tune of one bar."""
    return parse_tune(split_tunes(f"X:1\nM:4/4\nL:1/4\nK:C\n{notes} |]")[0])


def test_a_note_counts_once_at_its_pitch_and_time_whatever_the_constant_delay() -> None:
    written = [TimedNote(60, 0.5, 0.4, 80), TimedNote(64, 1.0, 0.4, 80)]
    late = [(0.54, 60), (1.04, 64)]
    assert score_f1(written, late) == 1.0
    assert score_f1(written, [*late, (1.05, 64)]) == pytest.approx(0.8)
    assert score_f1(written, [(0.54, 61), (1.04, 64)]) == pytest.approx(0.5)
    # One early, one late: no one delay suits both.
    assert score_f1(written, [(0.4, 60), (1.1, 64)]) == pytest.approx(0.5)
    assert score_f1(written, []) == 0.0


def test_histograms_overlap_by_the_lesser_share() -> None:
    first, second = read("C C C E"), read("C E E G")
    assert overlap([first], [first], HISTOGRAMS["degrees"]) == 1.0
    assert overlap([first], [second], HISTOGRAMS["degrees"]) == pytest.approx(0.5)
    assert overlap([first], [second], HISTOGRAMS["lengths"]) == 1.0
    assert overlap([first], [second], HISTOGRAMS["intervals"]) == pytest.approx(2 / 3)
