"""Partials move against each other as the instrument's kind says, and keep still where it has none."""

import numpy as np
import pytest
import torch

from benchmarks.generator_movement import RATES_HZ, gather, moving_levels
from generator.instruments import BY_NAME, EMBEDDING_ROW
from generator.movement import KINDS, Body, Kind, Movement, Players, Reeds
from generator.synthesis import TimedNote, render_part
from generator.timbre import SAMPLE_RATE
from generator.weights import TIMBRE, load_timbre, read_digests, read_weights, weights_folder

FRAMES_A_S = 172.0
# 15 cents.
SWING = 0.0087


def move(kind: Kind, hertz: list[float], seconds: np.ndarray, bend: np.ndarray | None = None) -> np.ndarray:
    """Complex factor of partials of one note, (partials, times)."""
    movement = Movement(kind, torch.tensor([hertz], dtype=torch.float64), SWING, np.random.default_rng(1))
    times = torch.from_numpy(seconds.astype(np.float32))
    bends = torch.zeros(len(times)) if bend is None else torch.from_numpy(bend.astype(np.float32))
    rows = []
    for partial in range(len(hertz)):
        level, turns = movement.at(torch.full((len(times),), partial), times, bends)
        rows.append(10 ** (level.numpy() / 20) * np.exp(2j * np.pi * turns.numpy()))
    return np.array(rows)


def loudest_rate(level: np.ndarray) -> float:
    """Frequency, in Hz, of the strongest movement of a level."""
    power = np.abs(np.fft.rfft((level - level.mean()) * np.hanning(len(level)), 8 * len(level)))
    return float(power.argmax() * FRAMES_A_S / (8 * len(level)))


def test_reeds_beat_by_their_distance_the_faster_the_higher_the_partial() -> None:
    seconds = np.arange(int(4 * FRAMES_A_S)) / FRAMES_A_S
    factors = move(Reeds(16.0, 0.85), [440.0, 1_320.0], seconds)
    for hertz, factor in zip((440.0, 1_320.0), factors, strict=True):
        beat = loudest_rate(np.abs(factor) ** 2)
        assert beat == pytest.approx(hertz * (2 ** (16 / 1200) - 1), rel=0.05)


def test_players_spread_each_partial_by_their_cents() -> None:
    seconds = np.arange(int(30 * FRAMES_A_S)) / FRAMES_A_S
    (factor,) = move(Players(13.0, 0.0), [1_000.0], seconds)
    power = np.abs(np.fft.fft(factor)) ** 2
    offsets = np.fft.fftfreq(len(seconds), 1 / FRAMES_A_S)
    spread = float(np.sqrt((power * offsets**2).sum() / power.sum()))
    assert spread == pytest.approx(1_000 * (2 ** (13 / 1200) - 1), rel=0.15)
    steady = np.abs(np.fft.fft(move(Players(13.0, 0.7), [1_000.0], seconds)[0])) ** 2
    assert steady[0] / steady.sum() == pytest.approx(0.7, abs=0.05)


def test_a_body_answers_to_the_pitch_and_not_to_time() -> None:
    seconds = np.arange(200) / FRAMES_A_S
    still = move(Body(14.0), [2_000.0], seconds)[0]
    assert np.ptp(np.abs(still)) == 0.0
    bend = SWING * np.sin(2 * np.pi * 5.5 * seconds)
    hertz = [200.0] * 10 + [4_000.0] * 10
    moved = move(Body(14.0), hertz, seconds, bend)
    levels = 20 * np.log10(np.abs(moved))
    # High partials are carried across many resonances, low ones hardly across one; and none is louder for it.
    swings = levels.std(1)
    assert np.median(swings[:10]) < 1.0
    assert np.median(swings[10:]) > 2.0
    assert np.abs(levels.mean(1)).max() < 2.5
    # The same pitch has the same response, however late.
    assert np.allclose(move(Body(14.0), hertz, seconds + 7, bend), moved)


@pytest.mark.parametrize("kind", [Reeds(16.0, 0.85), Players(4.0, 0.7), Players(13.0, 0.25)], ids=repr)
def test_the_level_of_the_network_is_the_median_of_what_moves_in_time(kind: Kind) -> None:
    seconds = np.arange(int(300 * FRAMES_A_S)) / FRAMES_A_S
    level = 20 * np.log10(np.abs(move(kind, [1_000.0], seconds)[0]))
    assert np.median(level) == pytest.approx(0.0, abs=0.3)
    movement = Movement(kind, torch.full((1, 1), 1_000.0), SWING, np.random.default_rng(1))
    assert 10 * np.log10((10 ** (level / 10)).mean()) == pytest.approx(movement.mean_db, abs=0.2)


def played(name: str, pitch: int) -> np.ndarray:
    """A held note of the published synthesiser from its onset on."""
    folder = weights_folder()
    network = load_timbre(read_weights(folder, TIMBRE, read_digests(folder)[TIMBRE]))
    notes = [TimedNote(pitch, 0.0, 2.3, 80)]
    row = EMBEDDING_ROW[name]
    return render_part(network, notes, BY_NAME[name], row, length_samples=int(2.3 * SAMPLE_RATE), seed=(1,))


def test_an_accordion_moves_and_a_clarinet_does_not() -> None:
    swings = {name: gather(moving_levels(played(name, 69), 69)) for name in ("accordion", "clarinet")}
    lowest = {name: table[1] for name, table in swings.items()}  # the fundamental lies from 350 to 700 Hz
    # 440 Hz and 16 cents: a beat of 4.1 Hz.
    assert lowest["accordion"][RATES_HZ.index(4.0)] > 3.0
    assert lowest["clarinet"].max() < 0.5


def test_the_benchmark_measures_the_rate_and_depth_of_a_tone_that_moves() -> None:
    t = np.arange(int(2.3 * SAMPLE_RATE)) / SAMPLE_RATE
    swing_db = 3 * np.sqrt(2) * np.sin(2 * np.pi * 5.7 * t)
    table = gather(moving_levels(10 ** ((swing_db - 20) / 20) * np.sin(2 * np.pi * 440 * t), 69))
    assert table[1] == pytest.approx([0, 0, 3, 0, 0], abs=0.35)
    assert np.isnan(table[[0, 2, 3, 4, 5]]).all()


def test_the_kinds_are_of_instruments_that_sustain() -> None:
    assert all(BY_NAME[name].sustains for name in KINDS)
    bodies = {name for name, kind in KINDS.items() if isinstance(kind, Body)}
    assert all(BY_NAME[name].vibrato_cents > 0 for name in bodies)
