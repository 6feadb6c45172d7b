"""Chords and bass in ABC: every bar adds up, pitches are those played, others read it."""

import re
import shutil
import subprocess
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from generator.chordmodel import ChordModel
from generator.harmony import harmonise
from generator.notation import format_tune, parse_tune, split_tunes
from generator.partwriting import events_of, write_parts
from generator.prompt import read_prompt
from generator.score import TICKS_PER_UNIT, Note
from generator.tune import Tune
from generator.weights import CHORDS, load_chords, read_digests, read_weights, weights_folder

TUNES = {
    "waltz": "M:3/4\nL:1/4\nK:Dm\nA d f | e c A | B d g | a3 | f e d | c e A | d ^c e | d3 :|",
    "reel": "M:4/4\nL:1/8\nK:A\nE2 | A2cA eAcA | B2dB fBdB | A2cA efga | e2c2 A2 :|",
    "jig": "M:6/8\nL:1/8\nK:Edor\nEFG BAG | FDF AFD | EFG BAG | FED E3 :|",
    "slip jig": "M:9/8\nL:1/8\nK:Bb\nBcd def fdB | c3 cde edc | Bcd def fdB | c3 FGA B3 |]",
    "polka": "M:2/4\nL:1/8\nK:C\nce gc' | ba ge | fd BG | c2 c2 |]",
}


@cache
def chord_model() -> ChordModel:
    """The published chord model."""
    folder = weights_folder()
    return load_chords(read_weights(folder, CHORDS, read_digests(folder)[CHORDS]))


def parse(name: str) -> Tune:
    """One of the tunes."""
    return parse_tune(split_tunes("X:1\n" + TUNES[name])[0])


def written(name: str, prompt: str) -> str:
    """A tune with all its voices."""
    tune = parse(name)
    settings = read_prompt(prompt, {"metre": tune.metre}, seed=0)
    chords = harmonise(tune, chord_model())
    parts = write_parts(tune, chords, settings)
    return format_tune(tune, chords=chords, parts=parts, title=name, tempo_bpm=100.0)


def units_of(bar: str) -> Fraction:
    """Length of a bar of ABC in eighths."""
    total = Fraction(0)
    for length in re.findall(r"(?:\[[^\]]*\]|z|[_^=]*[A-Ga-g][,']*)(\d*(?:/\d+)?)", bar):
        top, _, below = length.partition("/")
        total += Fraction(int(top or 1), int(below or 1))
    return total


@pytest.mark.parametrize("name", sorted(TUNES))
def test_every_bar_of_every_voice_adds_up_and_the_melody_is_still_read(name: str) -> None:
    abc = written(name, f"{name} for flute, second flute, guitar and bass")
    tune = parse(name)
    assert parse_tune(split_tunes(abc)[0]).sections == tune.sections
    voices = re.split(r"^V:\d.*$", abc, flags=re.MULTILINE)[2:]
    assert len(voices) == 3
    for text in voices:
        lines = [line for line in text.splitlines() if line and not line.startswith("%")]
        bars = [
            bar for bar in re.split(r"[|:\]]*\|[|:\]]*", " ".join(lines).replace("|]", "|")) if bar.strip()
        ]
        lengths = [int(units_of(bar) * 12) for bar in bars]
        wanted = [sum(note.units for note in bar) for section in tune.sections for bar in section.bars]
        assert lengths == wanted


def test_a_melody_alone_has_no_further_voices() -> None:
    assert "V:" not in written("jig", "jig for solo flute")


def test_notes_last_to_the_next_or_to_an_eighth() -> None:
    notes = [Note(60, 0, 11 * TICKS_PER_UNIT, 80), Note(64, 12 * TICKS_PER_UNIT, 40 * TICKS_PER_UNIT, 80)]
    notes += [Note(67, 12 * TICKS_PER_UNIT, 40 * TICKS_PER_UNIT, 80), Note(72, 36 * TICKS_PER_UNIT, 200, 80)]
    assert events_of(notes, 48) == [(0, 12, (60,)), (12, 24, (64, 67)), (36, 12, (72,))]


@pytest.mark.tool("abc2midi")
def test_abc2midi_reads_all_voices(tmp_path: Path) -> None:
    if shutil.which("abc2midi") is None:
        pytest.skip("abc2midi is not installed")
    for name in TUNES:
        (tmp_path / "tune.abc").write_text(written(name, f"{name} for flute, guitar and bass"))
        command = ["abc2midi", str(tmp_path / "tune.abc"), "-o", str(tmp_path / "tune.mid")]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert not re.search("error|warning", said, re.IGNORECASE), said
