"""The counting in the generator's benchmarks, on cases small enough to know the answer."""

import struct

import numpy as np
import pytest

from benchmarks.generator_fad import frechet_distance, level, play_sawtooth
from benchmarks.generator_notes import score_f1
from benchmarks.generator_tunes import HISTOGRAMS, overlap
from benchmarks.musicnn_network import MEL_BANDS, mel_weights, read_table
from benchmarks.tools import BenchmarkError
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


def test_the_frechet_distance_is_that_of_the_normal_distributions() -> None:
    random = np.random.default_rng(1)
    first = random.standard_normal((4_000, 3))
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(first, first + np.array([3.0, 4.0, 0.0])) == pytest.approx(25.0)
    # Twice as wide in each of three directions: 3 (2 - 1)^2, where the covariances commute.
    assert frechet_distance(first, 2 * first) == pytest.approx(
        3.0, abs=0.2 + float((first.mean(0) ** 2).sum())
    )


def test_the_sawtooth_has_the_pitch_and_a_level_that_is_set() -> None:
    audio = play_sawtooth([TimedNote(69, 0.1, 1.0, 127)], 44_100)
    assert not audio[:4_400].any()
    steady = audio[8_820:41_580]
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert spectrum.argmax() * 44_100 / len(steady) == pytest.approx(440, abs=2)
    louder = level(audio, 2 * audio)
    assert np.allclose(louder, 2 * audio)


def test_mel_filters_are_slaneys() -> None:
    weights = mel_weights()
    assert weights.shape == (MEL_BANDS, 257)
    # Triangles of unit area over hertz, for those wide enough to be well sampled by bins of 31.25 Hz.
    assert weights[60:].sum(1) * 31.25 == pytest.approx(np.ones(36), abs=0.05)
    assert (np.diff(weights.argmax(1)) >= 0).all()


def test_a_table_of_keys_is_read_and_another_file_is_refused() -> None:
    def block(rows: list[tuple[int, bytes, bytes]]) -> bytes:
        body = b"".join(bytes([shared, len(rest), len(value)]) + rest + value for shared, rest, value in rows)
        return body + struct.pack("<II", 0, 1) + b"\0" + bytes(4)

    data = block([(0, b"dense/bias", b"one"), (6, b"kernel", b"two")])
    size = len(data) - 5
    index = block([(0, b"z", bytes([0, size]))])
    place, length = len(data), len(index) - 5
    footer = (bytes([0, 0, place, length])).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    assert read_table(data + index + footer) == {"dense/bias": b"one", "dense/kernel": b"two"}
    with pytest.raises(BenchmarkError, match="TensorFlow checkpoint"):
        read_table(bytes(200))
