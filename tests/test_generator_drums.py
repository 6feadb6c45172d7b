"""The kit sounds like drums, strokes fall where they are written, patterns fill their bars."""

from functools import cache

import numpy as np
import pytest
import torch

from generator import percussion
from generator.drumkit import DRUM_OF_KEY, DRUMS, MODE_VELOCITIES, Drum, DrumKit, damped_mode
from generator.drumming import closing_strokes, drum_bar, fill, groove
from generator.percussion import DrumSynthesiser, strike
from generator.score import TICKS_PER_UNIT
from generator.synthesis import BLOCK_SAMPLES, LEAD_SAMPLES, TimedNote
from generator.timbre import SAMPLE_RATE
from generator.training.drums import LEAD_S, fit_mode, noise_levels, project
from generator.tune import METRES, RHYTHMS, Section, Tune, TuneNote, bar_units
from generator.weights import DRUMS as DRUMS_FILE
from generator.weights import load_drums, read_digests, read_weights, weights_folder

KEYS = {drum.name: drum.key for drum in DRUMS}


@cache
def kit() -> DrumKit:
    """The published kit."""
    folder = weights_folder()
    return load_drums(read_weights(folder, DRUMS_FILE, read_digests(folder)[DRUMS_FILE]))


@cache
def stroke(name: str, velocity: int = 90, seed: int = 1) -> np.ndarray:
    """One stroke, float64."""
    return strike(kit(), DRUM_OF_KEY[KEYS[name]], velocity, np.random.default_rng(seed)).astype(np.float64)


def centroid_hz(x: np.ndarray) -> float:
    """Where the power lies on average."""
    power = np.abs(np.fft.rfft(x)) ** 2
    return float((power * np.arange(len(power))).sum() / power.sum() * SAMPLE_RATE / len(x))


@pytest.mark.parametrize("drum", DRUMS, ids=lambda drum: drum.name)
def test_a_stroke_is_loud_at_once_and_dies_away(drum: object) -> None:
    x = stroke(drum.name)  # type: ignore[attr-defined]
    assert np.isfinite(x).all()
    start, end = x[: SAMPLE_RATE // 20], x[-SAMPLE_RATE // 20 :]
    assert float(np.abs(start).max()) > 0.01
    assert float((end**2).mean()) < 0.05 * float((start**2).mean())
    # The beginning is sharp: the first 6 ms already hold a good part of the peak.
    assert float(np.abs(x[:265]).max()) > 0.2 * float(np.abs(x).max())


def test_drums_are_told_apart_by_their_spectra() -> None:
    names = ("kick", "low tom", "snare", "closed hat", "open hat", "crash")
    found = {name: centroid_hz(stroke(name)[: SAMPLE_RATE // 2]) for name in names}
    assert found["kick"] < 500
    assert found["low tom"] < found["snare"] < found["closed hat"]
    assert all(found[name] > 3_000 for name in ("closed hat", "open hat", "crash"))


def test_harder_is_louder_and_variants_differ_in_noise_only() -> None:
    levels = [float((stroke("snare", velocity) ** 2).sum()) for velocity in (20, 50, 90, 120)]
    assert levels == sorted(levels)
    first, second = stroke("closed hat", seed=1), stroke("closed hat", seed=2)
    assert not np.array_equal(first, second)
    assert float((first**2).sum()) == pytest.approx(float((second**2).sum()), rel=0.5)


def test_strokes_fall_on_their_sample_in_every_block() -> None:
    times = (0.1, 0.8, 0.82)
    notes = [TimedNote(KEYS["kick"], t, 0.1, 90) for t in times]
    part = DrumSynthesiser(kit(), notes, seed=(1,))
    blocks = [part.block(n) for n in range(4)]
    assert all(not block[BLOCK_SAMPLES:].any() for block in blocks)
    whole = np.concatenate([block[:BLOCK_SAMPLES] for block in blocks])
    first = int(np.flatnonzero(whole)[0])
    assert abs(first - LEAD_SAMPLES - round(0.1 * SAMPLE_RATE)) <= 2
    assert np.array_equal(DrumSynthesiser(kit(), notes, seed=(1,)).block(1), blocks[1])
    power = part.power(20, 0.1)
    assert power.argmax() in (1, 8)
    assert power[:1].sum() == 0.0


def test_a_sound_is_drawn_when_it_is_first_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def counted(model: DrumKit, drum: Drum, velocity: int, random: np.random.Generator) -> np.ndarray:
        drawn.append(drum.name)
        return strike(model, drum, velocity, random)

    monkeypatch.setattr(percussion, "strike", counted)
    notes = [TimedNote(KEYS[name], t, 0.1, 90) for name, t in (("kick", 0.1), ("snare", 2.0), ("kick", 2.5))]
    part = DrumSynthesiser(kit(), notes, seed=(1,))
    assert drawn == []
    part.block(0)
    assert drawn == ["kick"]
    part.power(40, 0.1)
    assert drawn == ["kick", "snare"]


def test_a_closed_hat_stops_the_open_one() -> None:
    open_hat = TimedNote(KEYS["open hat"], 0.0, 0.1, 100)
    alone = DrumSynthesiser(kit(), [open_hat], seed=(1,)).block(0)
    choked = DrumSynthesiser(kit(), [open_hat, TimedNote(KEYS["closed hat"], 0.2, 0.1, 20)], seed=(1,)).block(
        0
    )
    late = slice(int(0.5 * SAMPLE_RATE), int(0.7 * SAMPLE_RATE))
    assert float((choked[late] ** 2).sum()) < 0.1 * float((alone[late] ** 2).sum())


@pytest.mark.parametrize("rhythm", RHYTHMS)
@pytest.mark.parametrize("metre", METRES)
def test_patterns_stay_in_their_bar_and_begin_on_one(rhythm: str, metre: str) -> None:
    bar = bar_units(metre)
    tune = Tune(metre, "D", "major", rhythm, (Section(0, ((TuneNote(0, 0, bar),),), False),))
    for strokes in (groove(tune, bright=False), groove(tune, bright=True), fill(tune)):
        notes = drum_bar(strokes, 960, level=1.0, opens=False, limit_units=bar)
        assert all(960 <= note.onset < 960 + bar * TICKS_PER_UNIT for note in notes)
        assert all(note.pitch in DRUM_OF_KEY and 1 <= note.velocity <= 127 for note in notes)
        assert any(note.pitch == KEYS["kick"] and note.onset == 960 for note in notes)
    toms = [drum for _, drum, _ in fill(tune)]
    assert "low tom" in toms
    opened = drum_bar(groove(tune, bright=False), 0, level=1.0, opens=True, limit_units=bar)
    assert sum(note.pitch == KEYS["crash"] for note in opened) == 1
    assert not drum_bar(groove(tune, bright=False), 0, level=1.0, opens=False, limit_units=0)
    assert {note.pitch for note in closing_strokes(0, 480)} == {KEYS["kick"], KEYS["crash"]}


def test_fitting_finds_a_falling_mode_and_leaves_the_noise() -> None:
    t = torch.arange(int(0.08 * SAMPLE_RATE), dtype=torch.float64) / SAMPLE_RATE
    wave = damped_mode(t, *(torch.tensor([v], dtype=torch.float64) for v in (60.0, 12.0, 0.7)))[0]
    sound = 0.5 * wave.real + 1e-3 * torch.from_numpy(np.random.default_rng(1).standard_normal(len(t)))
    hertz, decay, glide, taken = fit_mode(sound, gliding=True)
    assert taken > 0.9 * float((sound**2).sum())
    assert hertz == pytest.approx(60.0, rel=0.15)
    assert (decay, glide) != (0.0, 0.0)
    solved, _ = project(
        sound, damped_mode(t, *(torch.tensor([v], dtype=torch.float64) for v in (60.0, 12.0, 0.7)))
    )
    assert float(torch.hypot(solved[0], solved[1])) == pytest.approx(0.5, rel=0.01)
    assert len(MODE_VELOCITIES) == 3
    assert LEAD_S > 0
    levels = noise_levels(1e-2 * torch.from_numpy(np.random.default_rng(2).standard_normal(20_000)))
    assert float(levels[20:-20, 12:20].mean()) == pytest.approx(-42.5, abs=2.5)
