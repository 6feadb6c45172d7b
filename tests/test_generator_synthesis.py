"""The synthesiser plays the pitch, at the time, as loud as it is asked; with the published weights."""

from functools import cache

import numpy as np
import pytest
from scipy import signal

from generator.instruments import BY_NAME, EMBEDDING_ROW
from generator.synthesis import PartSynthesiser, TimedNote, render_part
from generator.timbre import SAMPLE_RATE, TimbreNetwork
from generator.weights import TIMBRE, load_timbre, read_digests, read_weights, weights_folder


@cache
def network() -> TimbreNetwork:
    """The published timbre network."""
    folder = weights_folder()
    return load_timbre(read_weights(folder, TIMBRE, read_digests(folder)[TIMBRE]))


def play(name: str, notes: list[TimedNote], seconds: float, seed: int = 1) -> np.ndarray:
    """Notes on one instrument."""
    return render_part(
        network(),
        notes,
        BY_NAME[name],
        EMBEDDING_ROW[name],
        length_samples=int(seconds * SAMPLE_RATE),
        seed=(seed,),
    )


def band_rms(x: np.ndarray, start_s: float, stop_s: float) -> float:
    """RMS between two times."""
    part = x[int(start_s * SAMPLE_RATE) : int(stop_s * SAMPLE_RATE)].astype(np.float64)
    return float(np.sqrt((part**2).mean()))


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_note_sounds_at_its_pitch(name: str) -> None:
    instrument = BY_NAME[name]
    for pitch in (instrument.centre, instrument.centre + 7):
        x = play(name, [TimedNote(pitch, 0.1, 1.5, 90)], 1.8)[int(0.4 * SAMPLE_RATE) : int(1.4 * SAMPLE_RATE)]
        spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)), 4 * len(x)))
        hertz = np.arange(len(spectrum)) * SAMPLE_RATE / (4 * len(x))
        f0 = 440 * 2 ** ((pitch - 69) / 12)
        # Strengths of the partials of every candidate pitch: the asked one must explain most.
        scores = {}
        for semitone in range(-14, 15):
            candidate = f0 * 2 ** (semitone / 12)
            partials = [candidate * k for k in range(1, 7)]
            near = [spectrum[np.abs(hertz - p) < p * 0.009].max(initial=0) for p in partials]
            scores[semitone] = sum(near)
        best = max(scores, key=lambda s: scores[s])
        assert best in (0, 12, -12)
        assert scores[0] >= 0.7 * scores[best]


@pytest.mark.parametrize("name", ["piano", "guitar", "flute", "violin", "harp", "organ"])
def test_a_note_begins_when_it_should_and_dies_away_after_its_end(name: str) -> None:
    x = play(name, [TimedNote(70, 0.5, 0.6, 90)], 3.2)
    loudest = max(band_rms(x, t, t + 0.05) for t in np.arange(0.5, 1.1, 0.05))
    assert band_rms(x, 0.0, 0.48) < 1e-3 * loudest
    assert band_rms(x, 0.5, 0.56) > 0.05 * loudest
    assert band_rms(x, 2.9, 3.2) < 0.02 * loudest


def test_onsets_of_a_phrase_lie_where_the_notes_are() -> None:
    times = [0.2, 0.55, 0.8, 1.3, 1.55]
    x = play("piano", [TimedNote(60 + i, t, 0.2, 95) for i, t in enumerate(times)], 2.2)
    _, _, spectrum = signal.stft(x, SAMPLE_RATE, nperseg=1024, noverlap=1024 - 256)
    flux = np.maximum(0, np.diff(np.log10(np.abs(spectrum) + 1e-4), axis=1)).sum(0)
    peaks, _ = signal.find_peaks(flux, height=0.3 * flux.max(), distance=17)
    found = (peaks + 1) * 256 / SAMPLE_RATE
    for time in times:
        assert np.abs(found - time).min() < 0.025


def test_louder_velocities_are_louder() -> None:
    levels = [band_rms(play("piano", [TimedNote(64, 0.1, 0.8, v)], 1.2), 0.1, 0.9) for v in (40, 80, 120)]
    assert levels[0] < levels[1] < levels[2]


def test_there_are_no_clicks_in_a_held_note() -> None:
    x = play("flute", [TimedNote(72, 0.1, 2.0, 90)], 2.6).astype(np.float64)
    steady = x[int(0.5 * SAMPLE_RATE) : int(2.0 * SAMPLE_RATE)]
    # A click is a broadband jump: it would stand out in what a sharp high-pass leaves.
    high = signal.sosfilt(signal.butter(6, 12_000, "highpass", fs=SAMPLE_RATE, output="sos"), steady)[2000:]
    assert float(np.abs(high).max()) < 12 * float(np.sqrt((high**2).mean()) + 1e-7)


def test_two_notes_add_up() -> None:
    alone = [play("harp", [TimedNote(p, 0.1, 0.5, 80)], 1.0) for p in (60, 67)]
    both = play("harp", [TimedNote(60, 0.1, 0.5, 80), TimedNote(67, 0.1, 0.5, 80)], 1.0)
    power = [band_rms(x, 0.1, 0.6) ** 2 for x in (*alone, both)]
    assert power[2] == pytest.approx(power[0] + power[1], rel=0.25)


def test_a_part_without_notes_is_silent_and_everything_is_finite() -> None:
    assert not play("piano", [], 0.5).any()
    extreme = [TimedNote(28, 0.0, 6.0, 127), TimedNote(100, 0.0, 6.0, 1)]
    assert np.isfinite(play("piano", extreme, 6.5)).all()


def test_the_same_seed_gives_the_same_samples() -> None:
    note = [TimedNote(69, 0.05, 0.4, 90)]
    assert np.array_equal(play("violin", note, 0.6), play("violin", note, 0.6))
    assert not np.array_equal(play("violin", note, 0.6), play("violin", note, 0.6, seed=2))


def test_a_block_is_the_same_whichever_were_rendered_before() -> None:
    notes = [TimedNote(60 + i, 0.2 * i, 0.4, 80) for i in range(10)]
    part = PartSynthesiser(network(), notes, BY_NAME["violin"], EMBEDDING_ROW["violin"], seed=(1,))
    later = part.block(2)
    first = part.block(0)
    assert np.array_equal(part.block(2), later)
    assert np.array_equal(part.block(0), first)
    assert not part.block(9).any()


@pytest.mark.parametrize("name", ["violin", "piano"])
def test_blocks_of_a_batch_are_those_made_singly(name: str) -> None:
    notes = [TimedNote(60 + i, 0.3 * i, 0.5, 80) for i in range(8)]
    part = PartSynthesiser(network(), notes, BY_NAME[name], EMBEDDING_ROW[name], seed=(1,))
    singly = np.stack([part.block(number) for number in range(1, 5)])
    # Sums over a larger batch may round otherwise.
    assert part.blocks(1, 4) == pytest.approx(singly, abs=1e-6)
    assert np.abs(singly[0]).max() > 0.01
