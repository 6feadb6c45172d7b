"""Arrangement: a tune, its chords and a form to a score with melody, accompaniment, dynamics and an ending.

Accompaniment patterns are written for each metre: a waltz has its bass on the first beat and chords on the other two,
a reel or march alternates bass and chord, slow airs are broken chords. The melody keeps its register near the middle of
its instrument; phrases swell and fall; the last bars slow down into a held tonic chord.
"""

from dataclasses import dataclass

import numpy as np

from .form import Form
from .harmony import Chord, ChordSpan, triads
from .instruments import BY_NAME, Instrument
from .prompt import Settings
from .score import TICKS_PER_UNIT, Note, Part, Score
from .tune import Bar, Tune, pitch_of

# (start, length) in units of 1/96 whole, and what sounds: "bass" root, "fifth" (root or fifth below), "chord",
# or a number: that tone of the broken chord, counted upwards.
Figure = tuple[int, int, str | int]
_PATTERNS: dict[str, tuple[Figure, ...]] = {
    "2/4": ((0, 11, "bass"), (12, 9, "chord"), (24, 11, "fifth"), (36, 9, "chord")),
    "3/4": ((0, 64, "bass"), (24, 18, "chord"), (48, 18, "chord")),
    "4/4": ((0, 22, "bass"), (24, 18, "chord"), (48, 22, "fifth"), (72, 18, "chord")),
    "6/8": ((0, 22, "bass"), (24, 10, "chord"), (36, 22, "fifth"), (60, 10, "chord")),
    "9/8": ((0, 22, "bass"), (24, 10, "chord"), (36, 22, "fifth"), (60, 10, "chord"), (72, 22, "fifth"),
            (96, 10, "chord")),
}  # fmt: skip
_BROKEN: dict[str, tuple[Figure, ...]] = {
    "3/4": ((0, 68, "bass"), (12, 56, 0), (24, 44, 1), (36, 34, 2), (48, 24, 1), (60, 12, 0)),
    "4/4": ((0, 46, "bass"), (12, 34, 0), (24, 24, 1), (36, 12, 2), (48, 46, "bass"), (60, 34, 0), (72, 24, 1),
            (84, 12, 2)),
    "6/8": ((0, 34, "bass"), (12, 24, 0), (24, 12, 1), (36, 34, 2), (48, 24, 1), (60, 12, 0)),
}  # fmt: skip
_BROKEN_RHYTHMS = ("air", "song")
BASS_LOW, CHORD_LOW, CHORD_HIGH = 36, 50, 66
# Share of the written length that a melody note sounds, and the same for single-line sustaining instruments.
_ARTICULATION, _LEGATO = 0.94, 0.97


@dataclass(slots=True)
class _Hand:
    """What the accompaniment has played last, so that the next chord lies near it."""

    chord: tuple[int, ...] = ()
    bass: int = 43


def arrange(tune: Tune, chords: list[list[list[ChordSpan]]], form: Form, settings: Settings, *, title: str,
            random: np.random.Generator) -> Score:  # fmt: skip
    """Make the score. chords as from harmonise(tune); random humanises velocities (never onsets)."""
    melody_instrument = BY_NAME[settings.melody]
    shift = melody_octaves(tune, melody_instrument)
    melody: list[Note] = []
    backing: list[Note] = []
    hand = _Hand()
    bar_ticks = tune.bar_units * TICKS_PER_UNIT
    pickup_ticks = tune.sections[form.order[0]].pickup_units * TICKS_PER_UNIT
    # A pick-up with no introduction before it needs room of its own.
    position = 0 if form.intro_bars else pickup_ticks
    backing_instrument = BY_NAME[settings.accompaniment] if settings.accompaniment else None
    tonic_chord = next(c for c, _ in triads(tune.tonic, tune.mode) if c.degree == 0)
    if backing_instrument:
        for number in range(form.intro_bars):
            spans = [ChordSpan(0, tune.bar_units, tonic_chord)]
            if number == form.intro_bars - 1:
                spans = [ChordSpan(0, tune.bar_units, _dominant(tune))]
            if pickup_ticks and number == form.intro_bars - 1:
                limit = (tune.bar_units * TICKS_PER_UNIT - pickup_ticks) // TICKS_PER_UNIT
            else:
                limit = tune.bar_units
            backing += _accompany(spans, tune, backing_instrument, hand, position, 0.85, limit)
            position += bar_ticks
    played: set[int] = set()
    for turn, number in enumerate(form.order):
        section = tune.sections[number]
        bars = section.bars[1:] if section.pickup_units else section.bars
        level = (0.92, 1.0, 0.96)[turn % 3] * (1.05 if number in played else 1.0)
        if section.pickup_units:
            melody += _play_bar(
                section.bars[0], position - pickup_ticks, tune, shift, melody_instrument, level
            )
        for bar_number, bar in enumerate(bars):
            phrase = _phrase_level(bar_number, len(bars)) * level
            melody += _play_bar(bar, position, tune, shift, melody_instrument, phrase)
            if backing_instrument:
                spans = chords[number][bar_number]
                backing += _accompany(spans, tune, backing_instrument, hand, position, phrase, tune.bar_units)
            position += bar_ticks
        played.add(number)
    end_of_tune = position
    melody, backing = _close(
        melody,
        backing,
        tonic_chord,
        hand,
        end_of_tune,
        bar_ticks,
        backing_instrument,
        melody_instrument,
        tune,
        shift,
    )
    quarters = max(1, tune.bar_units // 24)
    beat = bar_ticks // quarters
    slowdown = tuple(
        (end_of_tune - bar_ticks + int(step * beat), round(form.tempo_bpm * factor, 2))
        for step, factor in ((0, 0.96), (quarters / 2, 0.88), (quarters - 1, 0.78))
    )
    parts = [_part("melody", melody_instrument, melody, random, backing_instrument is not None)]
    if backing_instrument:
        parts.append(_part("accompaniment", backing_instrument, backing, random, True))
    return Score(
        title=title,
        tonic=tune.tonic,
        mode=tune.mode,
        metre=(int(tune.metre.split("/")[0]), int(tune.metre.split("/")[1])),
        tempo_bpm=form.tempo_bpm,
        slowdown=slowdown,
        parts=tuple(parts),
    )


def melody_octaves(tune: Tune, instrument: Instrument) -> int:
    """Semitones (a multiple of 12) that bring the melody nearest to the instrument's centre, within its range."""
    pitches = [
        pitch_of(n.step, n.alter, tune.tonic, tune.mode)
        for s in tune.sections for b in s.bars for n in b if n.step is not None
    ]  # fmt: skip
    options = sorted(
        range(-36, 37, 12), key=lambda s: abs(sum(pitches) / len(pitches) + s - instrument.centre)
    )

    def outside(s: int) -> int:
        return max(0, instrument.low - min(pitches) - s) + max(0, max(pitches) + s - instrument.high)

    return min(options[:3], key=outside)


def _phrase_level(bar_number: int, bars: int) -> float:
    """Loudness over a four-bar phrase: a swell to its third bar; the end of the section a little softer."""
    swell = (0.94, 1.0, 1.05, 0.97)[bar_number % 4]
    return swell * (0.96 if bar_number == bars - 1 else 1.0)


def _play_bar(
    bar: Bar, start: int, tune: Tune, shift: int, instrument: Instrument, level: float
) -> list[Note]:
    """Melody notes of one bar; the first beat and other beats are stressed."""
    notes = []
    position = 0
    beat = 36 if tune.metre in ("6/8", "9/8") else 24
    share = _LEGATO if instrument.sustains else _ARTICULATION
    for note in bar:
        if note.step is not None:
            stress = 1.08 if position == 0 else 1.02 if position % beat == 0 else 0.96
            pitch = pitch_of(note.step, note.alter, tune.tonic, tune.mode) + shift
            while pitch > instrument.high:
                pitch -= 12
            while pitch < instrument.low:
                pitch += 12
            length = max(1, round(note.units * TICKS_PER_UNIT * share))
            velocity = int(np.clip(84 * stress * level, 30, 120))
            notes.append(Note(pitch, start + position * TICKS_PER_UNIT, length, velocity))
        position += note.units
    return notes


def _accompany(spans: list[ChordSpan], tune: Tune, instrument: Instrument, hand: _Hand, start: int, level: float,
               limit: int) -> list[Note]:  # fmt: skip
    """Accompaniment of one bar; nothing begins at or after `limit` units."""
    broken = tune.rhythm in _BROKEN_RHYTHMS and tune.metre in _BROKEN
    notes = []
    placed: Chord | None = None
    for position, units, what in (_BROKEN if broken else _PATTERNS)[tune.metre]:
        if position >= limit:
            break
        span = next(s for s in reversed(spans) if s.start <= position)
        if span.chord is not placed:
            hand.chord = voice_chord(span.chord, hand.chord, instrument)
            placed = span.chord
            new_chord = True
        else:
            new_chord = False
        onset, length = start + position * TICKS_PER_UNIT, min(units, limit - position) * TICKS_PER_UNIT
        if what == "bass" or (what == "fifth" and new_chord):
            hand.bass = _near(span.chord.root, hand.bass, instrument)
            notes.append(Note(hand.bass, onset, length, _velocity(70 * level)))
        elif what == "fifth":
            fifth = _near(span.chord.pitch_classes[2], hand.bass - 2, instrument)
            notes.append(Note(fifth, onset, length, _velocity(64 * level)))
        elif what == "chord":
            notes += [Note(p, onset, length, _velocity(54 * level)) for p in hand.chord]
        else:
            tone = hand.chord[int(what) % len(hand.chord)]
            notes.append(Note(tone, onset, length, _velocity(56 * level)))
    return notes


def _velocity(value: float) -> int:
    return int(np.clip(round(value), 25, 120))


def _near(pitch_class: int, last: int, instrument: Instrument) -> int:
    """Bass note of a pitch class nearest to the last one, within an octave and a half above the lowest."""
    low = max(BASS_LOW, instrument.low)
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
            following = tones[-1] + 1
            while following % 12 not in chord.pitch_classes:
                following += 1
            tones.append(following)
        if tones[-1] <= high:
            options.append(tuple(tones))
    centre = (low + high) / 2
    before = last or (int(centre) - 4, int(centre), int(centre) + 4)
    return min(
        options,
        key=lambda o: sum(abs(a - b) for a, b in zip(o, before, strict=True)) + abs(o[1] - centre) / 4,
    )


def _dominant(tune: Tune) -> Chord:
    """The chord that leads back to the tonic: major dominant, or the seventh degree of the old modes."""
    wanted = 6 if tune.mode in ("dorian", "mixolydian") else 4
    options = [chord for chord, _ in triads(tune.tonic, tune.mode) if chord.degree == wanted]
    return options[-1]


def _close(melody: list[Note], backing: list[Note], tonic: Chord, hand: _Hand, start: int, length: int,
           backing_instrument: Instrument | None, melody_instrument: Instrument, tune: Tune,
           shift: int) -> tuple[list[Note], list[Note]]:  # fmt: skip
    """A closing bar: the tonic held by the melody and under it the tonic chord."""
    last = melody[-1].pitch
    root = min(
        (p for p in range(melody_instrument.low, melody_instrument.high + 1) if p % 12 == tonic.root),
        key=lambda p: (abs(p - last), p),
    )
    held = round(length * 0.98)
    melody = [*melody, Note(root, start, held, 78)]
    if backing_instrument:
        bass = _near(tonic.root, hand.bass, backing_instrument)
        chord = voice_chord(tonic, hand.chord, backing_instrument)
        backing = [*backing, Note(bass, start, held, 66), *(Note(p, start, held, 56) for p in chord)]
    return melody, backing


def _part(
    name: str, instrument: Instrument, notes: list[Note], random: np.random.Generator, paired: bool
) -> Part:
    """A part with velocities humanised by a few steps, notes in order, panned a little apart from the other."""
    wobble = random.integers(-3, 4, len(notes))
    human = [
        Note(n.pitch, n.onset, n.duration, int(np.clip(n.velocity + w, 1, 127)))
        for n, w in zip(notes, wobble, strict=True)
    ]
    human.sort(key=lambda n: (n.onset, n.pitch))
    pan = (0.18 if name == "melody" else -0.22) if paired else 0.0
    gain = 0.0 if name == "melody" else -2.0
    return Part(name, instrument.name, instrument.program, pan, gain, tuple(human))
