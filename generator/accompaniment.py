"""Accompaniment: chords to a bass part and a part of chord notes, by patterns written for each metre.

A waltz has its bass on the first beat and chords on the other two; marches, reels and jigs alternate bass
and chord ("oom-pah"); slow airs and songs are broken chords. Chords lie close and move as little as they can.
"""

from dataclasses import dataclass, field

import numpy as np

from .harmony import Chord, ChordSpan
from .instruments import Instrument
from .score import TICKS_PER_UNIT, Note
from .tune import Tune

# (start, length) in units of 1/96 whole, and what sounds: "bass" the root, "fifth" the fifth (the root after
# a change of chord), "chord" all tones, or a number: that tone of the chord, counted upwards.
Figure = tuple[int, int, str | int]
_OOM_PAH: dict[str, tuple[Figure, ...]] = {
    "2/4": ((0, 11, "bass"), (12, 9, "chord"), (24, 11, "fifth"), (36, 9, "chord")),
    "3/4": ((0, 64, "bass"), (24, 18, "chord"), (48, 18, "chord")),
    "4/4": ((0, 22, "bass"), (24, 18, "chord"), (48, 22, "fifth"), (72, 18, "chord")),
    "6/8": ((0, 22, "bass"), (24, 10, "chord"), (36, 22, "fifth"), (60, 10, "chord")),
    "9/8": (
        *((0, 22, "bass"), (24, 10, "chord"), (36, 22, "fifth"), (60, 10, "chord")),
        *((72, 22, "fifth"), (96, 10, "chord")),
    ),
}
_BROKEN: dict[str, tuple[Figure, ...]] = {
    "3/4": ((0, 68, "bass"), (12, 56, 0), (24, 44, 1), (36, 34, 2), (48, 24, 1), (60, 12, 0)),
    "4/4": (
        *((0, 46, "bass"), (12, 34, 0), (24, 24, 1), (36, 12, 2)),
        *((48, 46, "bass"), (60, 34, 0), (72, 24, 1), (84, 12, 2)),
    ),
    "6/8": ((0, 34, "bass"), (12, 24, 0), (24, 12, 1), (36, 34, 2), (48, 24, 1), (60, 12, 0)),
}
_BROKEN_RHYTHMS = ("air", "song")
BASS_LOW, CHORD_LOW, CHORD_HIGH = 36, 50, 66
_BASS_VELOCITY, _FIFTH_VELOCITY, _CHORD_VELOCITY, _TONE_VELOCITY = 70, 64, 54, 56


@dataclass(slots=True)
class Hand:
    """Who plays chords and bass, and what was played last, so that the next chord lies near it."""

    instrument: Instrument
    bass_instrument: Instrument
    chord: tuple[int, ...] = ()
    bass: int = 43


@dataclass(slots=True)
class Backing:
    """Notes of the accompaniment by part."""

    chords: list[Note] = field(default_factory=list)
    bass: list[Note] = field(default_factory=list)

    def extend(self, other: "Backing") -> None:
        """Add the notes of another stretch."""
        self.chords += other.chords
        self.bass += other.bass


def accompany_bar(
    spans: list[ChordSpan], tune: Tune, hand: Hand, start_tick: int, *, level: float, limit_units: int
) -> Backing:
    """Accompaniment of one bar. level scales velocities; nothing sounds from limit_units on. Moves the
    hand.
    """
    broken = tune.rhythm in _BROKEN_RHYTHMS and tune.metre in _BROKEN
    notes = Backing()
    placed: Chord | None = None
    for position, units, what in (_BROKEN if broken else _OOM_PAH)[tune.metre]:
        if position >= limit_units:
            break
        chord = next(s for s in reversed(spans) if s.start <= position).chord
        changed = chord is not placed
        if changed:
            hand.chord, placed = voice_chord(chord, hand.chord, hand.instrument), chord
        onset = start_tick + position * TICKS_PER_UNIT
        length = min(units, limit_units - position) * TICKS_PER_UNIT
        if what == "bass" or (what == "fifth" and changed):
            hand.bass = bass_pitch(chord.bass, hand.bass, hand.bass_instrument)
            notes.bass.append(Note(hand.bass, onset, length, _velocity(_BASS_VELOCITY * level)))
        elif what == "fifth":
            other = chord.pitch_classes[2] if chord.bass == chord.root else chord.root
            fifth = bass_pitch(other, hand.bass - 2, hand.bass_instrument)
            notes.bass.append(Note(fifth, onset, length, _velocity(_FIFTH_VELOCITY * level)))
        elif what == "chord":
            notes.chords += [Note(p, onset, length, _velocity(_CHORD_VELOCITY * level)) for p in hand.chord]
        else:
            tone = hand.chord[int(what) % len(hand.chord)]
            notes.chords.append(Note(tone, onset, length, _velocity(_TONE_VELOCITY * level)))
    return notes


def hold_chord(chord: Chord, hand: Hand, start_tick: int, length: int) -> Backing:
    """Bass and chord held together: how a piece ends."""
    bass = bass_pitch(chord.root, hand.bass, hand.bass_instrument)
    tones = voice_chord(chord, hand.chord, hand.instrument)
    return Backing(
        chords=[Note(tone, start_tick, length, _CHORD_VELOCITY) for tone in tones],
        bass=[Note(bass, start_tick, length, _BASS_VELOCITY)],
    )


def _velocity(value: float) -> int:
    return int(np.clip(round(value), 25, 120))


def bass_pitch(pitch_class: int, last: int, instrument: Instrument) -> int:
    """Bass note of a pitch class nearest to the last one, within an octave and a half of the lowest."""
    low = instrument.low if instrument.name == "bass" else max(BASS_LOW, instrument.low)
    options = [p for p in range(low, low + 18) if p % 12 == pitch_class]
    return min(options, key=lambda p: (abs(p - last), p))


def voice_chord(chord: Chord, last: tuple[int, ...], instrument: Instrument) -> tuple[int, ...]:
    """Close position of a triad between CHORD_LOW and CHORD_HIGH that moves least from the last chord."""
    low = max(CHORD_LOW, instrument.low)
    high = max(CHORD_HIGH, low + 16)
    options = []
    for bottom in range(low, high - 8):
        if bottom % 12 not in chord.pitch_classes:
            continue
        tones = [bottom]
        while len(tones) < 3:
            tones.append(next(p for p in range(tones[-1] + 1, 128) if p % 12 in chord.pitch_classes))
        if tones[-1] <= high:
            options.append(tuple(tones))
    centre = (low + high) // 2
    before = last or (centre - 4, centre, centre + 4)
    return min(
        options,
        key=lambda tones: (
            sum(abs(a - b) for a, b in zip(tones, before, strict=True)) + abs(tones[1] - centre) / 4
        ),
    )
