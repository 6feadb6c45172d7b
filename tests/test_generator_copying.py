"""The copy check finds what was taken from known tunes, in any octave and rhythm, and nothing else."""

import numpy as np

from generator.copying import RUN_LIMIT_NOTES, check_copying, hash_sequences, note_steps
from generator.tune import Section, Tune, TuneNote


def tune_of(steps: list[int], units: int = 12) -> Tune:
    """A tune of equal notes."""
    notes = [TuneNote(step, 0, units) for step in steps]
    bars = tuple(tuple(notes[i : i + 8]) for i in range(0, len(notes), 8))
    return Tune("4/4", "G", "major", "reel", (Section(0, bars, False),))


def steps_of(seed: int, count: int = 64) -> list[int]:
    """Random steps."""
    return [int(s) for s in np.random.default_rng(seed).integers(0, 10, count)]


def index_of(*tunes: list[int]) -> np.ndarray:
    """Sorted hashes of tunes."""
    return np.unique(np.concatenate([hash_sequences(note_steps(tune_of(t))) for t in tunes]))


def test_a_copied_tune_is_found_whole_in_any_octave_and_rhythm() -> None:
    known = index_of(steps_of(1))
    found = check_copying(tune_of([s - 7 for s in steps_of(1)], units=6), known, index_sha256="x")
    assert found.hit_rate == 1.0
    assert found.longest_run == 64


def test_a_new_tune_shares_nothing() -> None:
    # 53 sequences against 53 hashes of 32 bits: a chance hit has probability 7e-7.
    found = check_copying(tune_of(steps_of(2)), index_of(steps_of(1)), index_sha256="x")
    assert (found.hit_rate, found.longest_run) == (0.0, 0)


def test_the_run_counts_the_notes_that_were_taken() -> None:
    for taken in (11, 12, 23, 24, 40):
        # What stands before and after lies out of reach of the known tune, so that nothing agrees by chance.
        mixed = [40, 60] * 5 + steps_of(1)[5 : 5 + taken] + [40, 60] * 5
        found = check_copying(tune_of(mixed), index_of(steps_of(1)), index_sha256="x")
        expected = taken if taken >= 12 else 0
        assert found.longest_run == expected
        assert (found.longest_run >= RUN_LIMIT_NOTES) == (taken >= RUN_LIMIT_NOTES)


def test_a_tune_too_short_for_a_sequence_is_not_a_copy() -> None:
    assert check_copying(tune_of([1, 2, 3]), index_of(steps_of(1)), index_sha256="x").longest_run == 0
