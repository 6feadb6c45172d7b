"""Harmony, form and arrangement: chords that fit, a length that is met, and a waltz that goes oom-pah-pah."""

import io
from functools import cache

import mido
import numpy as np
import pytest

from generator.arrangement import arrange
from generator.chordmodel import ChordModel
from generator.form import TAIL_S, plan_form
from generator.harmony import _name_above, harmonise, triads
from generator.instruments import BY_NAME
from generator.midi import format_midi
from generator.notation import parse_tune, split_tunes
from generator.prompt import Settings, read_prompt
from generator.score import TICKS_PER_QUARTER, Score
from generator.tune import Tune
from generator.weights import CHORDS, load_chords, read_digests, read_weights, weights_folder

WALTZ = """X:1
T:test waltz
M:3/4
L:1/4
K:Dm
A d f | e c A | B d g | a3 | f e d | c e A | d ^c e | d3 :|
f g a | g f e | f e d | e3 | f g a | g f e | d e ^c | d3 :|
"""


@cache
def model() -> ChordModel:
    """The published chord model."""
    folder = weights_folder()
    return load_chords(read_weights(folder, CHORDS, read_digests(folder)[CHORDS]))


def waltz() -> Tune:
    """Two sections of eight bars."""
    return parse_tune(split_tunes(WALTZ)[0])


def settings_of(prompt: str) -> Settings:
    """Settings of a prompt."""
    return read_prompt(prompt, {}, seed=0)


def score_of(prompt: str, seconds: float) -> Score:
    """The test waltz arranged."""
    settings = settings_of(prompt)
    tune, form = waltz(), plan_form(settings, seconds)
    return arrange(
        tune, harmonise(tune, model()), form, settings, title=prompt, random=np.random.default_rng(1)
    )


def test_a_tune_begins_and_ends_on_the_tonic_chord_with_a_dominant_before_the_end() -> None:
    chords = harmonise(waltz(), model())
    names = [[spans[0].chord.name for spans in section] for section in chords]
    assert names[0][0] == "Dm"
    assert names[0][-1] == names[1][-1] == "Dm"
    assert names[1][-2].split("/")[0] == "A"


def test_chords_carry_most_of_the_melody_on_the_beat() -> None:
    tune = waltz()
    for section, rows in zip(tune.sections, harmonise(tune, model()), strict=True):
        carried = 0
        for bar, spans in zip(section.bars, rows, strict=True):
            step = bar[0].step
            assert step is not None
            scale = (0, 2, 3, 5, 7, 8, 10)
            pitch_class = (62 + scale[step % 7] + bar[0].alter) % 12
            carried += pitch_class in spans[0].chord.pitch_classes
        assert carried >= 7


@pytest.mark.parametrize("mode", ["major", "minor", "dorian", "mixolydian"])
def test_candidate_chords_are_major_or_minor_triads(mode: str) -> None:
    for chord, _ in triads("D", mode):
        intervals = {(p - chord.root) % 12 for p in chord.pitch_classes}
        assert intervals in ({0, 4, 7}, {0, 3, 7})


@pytest.mark.parametrize(
    "prompt", ["slow waltz, piano", "waltz in 3/4 for solo flute", "fast reel", "air in 6/8"]
)
@pytest.mark.parametrize("seconds", [10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 180.0, 400.0])
def test_the_form_meets_the_length_within_a_tenth_or_a_bar(prompt: str, seconds: float) -> None:
    settings = settings_of(prompt)
    form = plan_form(settings, seconds)
    quarters = {"3/4": 3, "4/4": 4, "6/8": 3}[settings.metre]
    length = form.total_bars * quarters * 60 / form.tempo_bpm + TAIL_S
    bar_s = quarters * 60 / form.tempo_bpm
    assert abs(length - seconds) < max(0.1 * seconds, bar_s)
    assert 0.85 < form.tempo_bpm / settings.tempo_bpm < 1.15


def test_a_tempo_in_figures_is_kept() -> None:
    assert plan_form(settings_of("waltz at 100 bpm"), 33.0).tempo_bpm == 100.0


def test_a_piano_waltz_has_its_bass_on_one_and_chords_on_two_and_three() -> None:
    score = score_of("slow waltz in D minor, piano", 60.0)
    backing = [n for part in score.parts if part.name in ("chords", "bass") for n in part.notes]
    bar = 3 * TICKS_PER_QUARTER
    last_bar = score.length_ticks // bar
    for number in range(last_bar):
        notes = [n for n in backing if n.onset // bar == number]
        by_beat = {beat: [n for n in notes if n.onset % bar == beat * TICKS_PER_QUARTER] for beat in range(3)}
        assert len(by_beat[0]) == 1
        assert by_beat[0][0].pitch < 55
        for beat in (1, 2):
            assert len(by_beat[beat]) == 3
            assert all(n.pitch > by_beat[0][0].pitch for n in by_beat[beat])


def test_the_piece_slows_down_and_ends_on_the_tonic_held() -> None:
    score = score_of("slow waltz in D minor, piano", 40.0)
    tempos = [score.tempo_bpm, *(tempo for _, tempo in score.slowdown)]
    assert tempos == sorted(tempos, reverse=True)
    final = [n for part in score.parts for n in part.notes if n.onset + n.duration == score.length_ticks]
    assert {n.pitch % 12 for n in final} == {2, 5, 9}
    assert min(n.pitch for n in final) % 12 == 2
    assert all(n.duration > 2.5 * TICKS_PER_QUARTER for n in final)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_notes_stay_within_the_instrument(name: str) -> None:
    score = score_of(f"waltz for {name}", 30.0)
    assert [part.name for part in score.parts] == ["melody", "chords", "bass"]
    for part in score.parts:
        instrument = BY_NAME[part.instrument]
        assert all(instrument.low <= n.pitch <= instrument.high for n in part.notes)
        assert all(1 <= n.velocity <= 127 and n.duration > 0 and n.onset >= 0 for n in part.notes)


def test_midi_carries_every_note_at_its_tick() -> None:
    score = score_of("waltz for violin and harp", 30.0)
    file = mido.MidiFile(file=io.BytesIO(format_midi(score)))
    assert file.ticks_per_beat == TICKS_PER_QUARTER
    assert abs(file.length - score.length_s) < 0.05
    for part, track in zip(score.parts, file.tracks[1:], strict=True):
        tick, begun = 0, []
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                begun.append((tick, message.note, message.velocity))
        assert sorted(begun) == sorted((n.onset, n.pitch, n.velocity) for n in part.notes)


def test_seconds_follow_the_tempo_changes() -> None:
    score = score_of("waltz at 60 bpm", 60.0)
    first_change = score.slowdown[0][0]
    assert score.tick_to_s(first_change) == pytest.approx(first_change / TICKS_PER_QUARTER)
    assert score.length_s > score.length_ticks / TICKS_PER_QUARTER


def test_a_quartet_has_four_parts_and_its_drums_are_on_the_tenth_channel() -> None:
    score = score_of("waltz for fiddle, guitar, double bass and drums", 30.0)
    assert [(p.name, p.instrument) for p in score.parts] == [
        ("melody", "violin"),
        ("chords", "guitar"),
        ("bass", "bass"),
        ("drums", "drums"),
    ]
    bass = next(p for p in score.parts if p.name == "bass")
    assert all(28 <= n.pitch <= 46 for n in bass.notes)
    drums = score.parts[-1].notes
    bar = 3 * TICKS_PER_QUARTER
    assert {n.onset // bar for n in drums} >= set(range(score.length_ticks // bar))
    file = mido.MidiFile(file=io.BytesIO(format_midi(score)))
    channels = [{m.channel for m in track if m.type == "note_on"} for track in file.tracks[1:]]
    assert channels == [{0}, {1}, {2}, {9}]


def test_a_chord_over_its_third_names_that_by_the_chord() -> None:
    names = {
        _name_above(*row) for row in (("A", 2, 1), ("Dm", 2, 5), ("Eb", 4, 10), ("F#m", 4, 1), ("E", 2, 8))
    }
    assert names == {"C#", "F", "Bb", "G#"}


def test_modal_tunes_keep_to_the_triads_of_their_mode() -> None:
    text = "X:1\nM:6/8\nL:1/8\nK:Edor\nEFG BAG | FDF AFD | EFG BAG | FED E3 :|"
    (rows,) = harmonise(parse_tune(split_tunes(text)[0]), model())
    names = {span.chord.name for spans in rows for span in spans}
    assert names <= {"Em", "A", "D", "Bm", "G"}
    assert rows[-1][-1].chord.name == "Em"


def test_learned_harmony_uses_chord_tones_in_the_bass() -> None:
    text = "X:1\nM:4/4\nL:1/4\nK:C\nE F G A | G F E D | E D C E | D B, C2 |]"
    (rows,) = harmonise(parse_tune(split_tunes(text)[0]), model())
    chords = [span.chord for spans in rows for span in spans]
    assert all(chord.bass in chord.pitch_classes for chord in chords)
    assert chords[-1].name == "C"
    assert len({chord.name for chord in chords}) >= 3
