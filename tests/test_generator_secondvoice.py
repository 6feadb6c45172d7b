"""The harmony voice lies under the melody, agrees with its chords, and does not run in parallel with it."""

import itertools

import numpy as np
import pytest
from test_generator_partwriting import TUNES, chord_model, parse

from generator.arrangement import arrange
from generator.form import Form
from generator.harmony import harmonise
from generator.instruments import BY_NAME
from generator.prompt import read_prompt
from generator.secondvoice import voice_shift, write_second_voice
from generator.tune import pitch_of


def beats_of(name: str) -> list[tuple[int, int, bool]]:
    """(melody pitch, voice pitch, whether that is a tone of the chord) where a voice note begins."""
    tune = parse(name)
    chords = harmonise(tune, chord_model())
    voice = write_second_voice(tune, chords)
    found = []
    for section, rows, spans in zip(tune.sections, voice, chords, strict=True):
        bars = section.bars[1:] if section.pickup_units else section.bars
        for bar, row, chord_row in zip(bars, rows, spans, strict=True):
            assert sum(note.units for note in row) <= sum(note.units for note in bar)
            for note in row:
                position = 0
                for sung in bar:
                    if position <= note.start < position + sung.units and sung.step is not None:
                        pitch = pitch_of(sung.step, sung.alter, tune.tonic, tune.mode)
                        chord = next(s.chord for s in reversed(chord_row) if s.start <= note.start)
                        found.append((pitch, note.pitch, note.pitch % 12 in chord.pitch_classes))
                    position += sung.units
    return found


@pytest.mark.parametrize("name", sorted(TUNES))
def test_the_voice_is_under_the_melody_and_mostly_in_the_chord(name: str) -> None:
    found = beats_of(name)
    assert len(found) >= 6
    assert all(3 <= melody - voice <= 21 for melody, voice, _ in found)
    assert sum(in_chord for *_, in_chord in found) >= 0.7 * len(found)
    sweet = sum((melody - voice) % 12 in (3, 4, 8, 9) for melody, voice, _ in found)
    assert sweet >= 0.5 * len(found)


@pytest.mark.parametrize("name", sorted(TUNES))
def test_no_fifths_or_octaves_in_parallel(name: str) -> None:
    found = beats_of(name)
    for (melody, voice, _), (next_melody, next_voice, _) in itertools.pairwise(found):
        interval = (melody - voice) % 12
        if interval in (0, 7) and (next_melody - next_voice) % 12 == interval:
            assert (
                next_melody == melody or next_voice == voice or (next_melody > melody) != (next_voice > voice)
            )


def test_the_part_is_played_in_the_range_of_its_instrument() -> None:
    tune = parse("waltz")
    chords = harmonise(tune, chord_model())
    for player in ("violin", "cello", "bass", "flute"):
        settings = read_prompt(f"waltz on the flute, second {player}, guitar", {"harmony": player}, seed=0)
        form = Form((8,), (0, 0), 2, 120.0)
        score = arrange(tune, chords, form, settings, title="t", random=np.random.default_rng(1))
        part = next(part for part in score.parts if part.name == "harmony")
        assert part.instrument == player
        assert all(BY_NAME[player].low <= note.pitch <= BY_NAME[player].high for note in part.notes)
        melody = score.parts[0]
        assert part.notes[-1].onset == melody.notes[-1].onset
        assert (part.notes[-1].pitch - melody.notes[-1].pitch) % 12 in (3, 7)
    assert voice_shift([], 12, BY_NAME["violin"]) in (-24, -12, 0, 12)
