"""Arrangement: a tune, its chords and a form to a score of parts, with dynamics and an ending.

Parts are the melody and, as asked for, chords, bass, a harmony voice and drums. The melody keeps its
register near the middle of its instrument; phrases of four bars swell and fall; the last bar slows down into
a bar of the held tonic chord.
"""

import numpy as np

from .accompaniment import Backing, Hand, accompany_bar, hold_chord
from .drumming import closing_strokes, drum_bar, fill, groove
from .form import Form
from .harmony import Chord, ChordSpan, triads
from .instruments import BY_NAME, KIT, Instrument
from .prompt import Settings
from .score import TICKS_PER_UNIT, Note, Part, Score
from .secondvoice import VoiceNote, voice_shift, write_second_voice
from .tune import METRES, Bar, Tune, pitch_of

# Share of its written length that a melody note sounds, struck or sustained.
_DETACHED, _LEGATO = 0.94, 0.97
_MELODY_VELOCITY, _SECOND_VELOCITY = 84, 74
# Tempo in the last bar of the tune: (share of the bar, factor).
_SLOWDOWN = ((0.0, 0.96), (0.5, 0.88), (0.75, 0.78))


def arrange(
    tune: Tune,
    chords: list[list[list[ChordSpan]]],
    form: Form,
    settings: Settings,
    *,
    title: str,
    random: np.random.Generator,
) -> Score:
    """Make the score. chords as from harmonise(tune); random varies velocities by a few steps, never
    onsets.
    """
    player = BY_NAME[settings.melody]
    shift = melody_shift(tune, player)
    hand = None
    if settings.accompaniment:
        bass = BY_NAME[settings.bass or settings.accompaniment]
        hand = Hand(BY_NAME[settings.accompaniment], bass)
    melody: list[Note] = []
    second: list[Note] = []
    if settings.second:
        voice = write_second_voice(tune, chords)
        partner = BY_NAME[settings.second]
        lower = voice_shift(voice, shift, partner)
    backing = Backing()
    drums: list[Note] = []
    bar_ticks = tune.bar_units * TICKS_PER_UNIT
    pickup_units = tune.sections[form.order[0]].pickup_units
    pickup_ticks = pickup_units * TICKS_PER_UNIT
    tonic, dominant = _tonic_and_dominant(tune)
    position = 0
    intro_bars = form.intro_bars if hand or settings.drums else 0
    for number in range(intro_bars):
        last = number == intro_bars - 1
        if hand:
            spans = [ChordSpan(0, tune.bar_units, dominant if last else tonic)]
            limit = tune.bar_units - pickup_units if last else tune.bar_units
            backing.extend(accompany_bar(spans, tune, hand, position, level=0.85, limit_units=limit))
        if settings.drums:
            strokes = fill(tune) if last else groove(tune, bright=False)
            drums += drum_bar(strokes, position, level=0.85, opens=False, limit_units=tune.bar_units)
        position += bar_ticks
    opens_short = position == 0
    if opens_short:
        # No introduction: a pick-up needs room of its own.
        position = pickup_ticks
    for turn, number in enumerate(form.order):
        section = tune.sections[number]
        bars = section.bars[1:] if section.pickup_units else section.bars
        level = (0.94, 1.0, 0.97)[turn % 3]
        if section.pickup_units:
            melody += _play_bar(section.bars[0], position - pickup_ticks, tune, shift, player, level)
        for bar_number, bar in enumerate(bars):
            loudness = level * _phrase_level(bar_number, len(bars))
            melody += _play_bar(bar, position, tune, shift, player, loudness)
            if settings.second:
                second += _play_voice(voice[number][bar_number], position, lower, partner, loudness)
            if hand:
                spans = chords[number][bar_number]
                backing.extend(
                    accompany_bar(spans, tune, hand, position, level=loudness, limit_units=tune.bar_units)
                )
            if settings.drums:
                ends = bar_number == len(bars) - 1 and len(bars) > 1
                strokes = fill(tune) if ends else groove(tune, bright=number % 2 == 1)
                opens = bar_number == 0 and turn > 0
                drums += drum_bar(strokes, position, level=level, opens=opens, limit_units=tune.bar_units)
            position += bar_ticks
    held = round(bar_ticks * 0.98)
    melody.append(Note(_final_pitch(tonic, melody[-1].pitch, player), position, held, 78))
    if settings.second:
        near = second[-1].pitch if second else melody[-1].pitch
        second.append(Note(_chord_pitch(tonic, melody[-1].pitch, near, partner), position, held, 70))
    parts = [_part("melody", player, melody, random, pan=0.18 if hand else 0.0, gain_db=0.0)]
    if hand:
        backing.extend(hold_chord(tonic, hand, position, held))
        parts.append(_part("chords", hand.instrument, backing.chords, random, pan=-0.22, gain_db=-2.0))
        pan, gain_db = (-0.05, 0.0) if settings.bass else (-0.22, -2.0)
        parts.append(_part("bass", hand.bass_instrument, backing.bass, random, pan=pan, gain_db=gain_db))
    if settings.second:
        parts.append(_part("harmony", partner, second, random, pan=0.42, gain_db=-1.5))
    if settings.drums:
        drums += closing_strokes(position, held)
        parts.append(_part("drums", KIT, drums, random, pan=0.0, gain_db=2.5))
    return Score(
        title=title,
        tonic=tune.tonic,
        mode=tune.mode,
        metre=METRES[tune.metre],
        tempo_bpm=form.tempo_bpm,
        slowdown=tuple(
            (position - bar_ticks + int(share * bar_ticks), round(form.tempo_bpm * factor, 2))
            for share, factor in _SLOWDOWN
        ),
        parts=tuple(parts),
        pickup_ticks=pickup_ticks if opens_short else 0,
    )


def melody_shift(tune: Tune, instrument: Instrument) -> int:
    """Semitones (a multiple of 12) that bring the melody near the instrument's centre and into its range."""
    pitches = [
        pitch_of(note.step, note.alter, tune.tonic, tune.mode)
        for section in tune.sections
        for bar in section.bars
        for note in bar
        if note.step is not None
    ]
    middle = sum(pitches) / len(pitches)

    def outside(shift: int) -> int:
        return max(0, instrument.low - min(pitches) - shift) + max(0, max(pitches) + shift - instrument.high)

    nearest = sorted(range(-36, 37, 12), key=lambda shift: abs(middle + shift - instrument.centre))
    return min(nearest[:3], key=outside)


def _tonic_and_dominant(tune: Tune) -> tuple[Chord, Chord]:
    """The chord of rest, and the one that leads back to it: V (major also in minor), VII in the old modes."""
    wanted = 6 if tune.mode in ("dorian", "mixolydian") else 4
    chords = [chord for chord, _ in triads(tune.tonic, tune.mode)]
    return next(c for c in chords if c.degree == 0), [c for c in chords if c.degree == wanted][-1]


def _phrase_level(bar_number: int, bars: int) -> float:
    """Loudness over a four-bar phrase: a swell to its third bar; the end of the section a little softer."""
    return (0.94, 1.0, 1.05, 0.97)[bar_number % 4] * (0.96 if bar_number == bars - 1 else 1.0)


def _play_bar(
    bar: Bar, start_tick: int, tune: Tune, shift: int, instrument: Instrument, level: float
) -> list[Note]:
    """Melody notes of one bar; its first note and those on a beat are stressed."""
    notes = []
    position = 0
    beat = 36 if tune.metre in ("6/8", "9/8") else 24
    share = _LEGATO if instrument.sustains else _DETACHED
    for note in bar:
        if note.step is not None:
            stress = 1.08 if position == 0 else 1.02 if position % beat == 0 else 0.96
            pitch = pitch_of(note.step, note.alter, tune.tonic, tune.mode) + shift
            pitch = fold_pitch(pitch, instrument)
            length = max(1, round(note.units * TICKS_PER_UNIT * share))
            velocity = int(np.clip(_MELODY_VELOCITY * stress * level, 30, 120))
            notes.append(Note(pitch, start_tick + position * TICKS_PER_UNIT, length, velocity))
        position += note.units
    return notes


def fold_pitch(pitch: int, instrument: Instrument) -> int:
    """A pitch moved by octaves into an instrument's range."""
    while pitch > instrument.high:
        pitch -= 12
    while pitch < instrument.low:
        pitch += 12
    return pitch


def _final_pitch(tonic: Chord, last: int, instrument: Instrument) -> int:
    """The tonic nearest to the last note."""
    options = [p for p in range(instrument.low, instrument.high + 1) if p % 12 == tonic.root]
    return min(options, key=lambda pitch: (abs(pitch - last), pitch))


def _play_voice(
    notes: list[VoiceNote], start_tick: int, shift: int, instrument: Instrument, level: float
) -> list[Note]:
    """Notes of the harmony voice in one bar, softer than the melody."""
    share = _LEGATO if instrument.sustains else _DETACHED
    velocity = int(np.clip(_SECOND_VELOCITY * level, 30, 120))
    return [
        Note(
            fold_pitch(note.pitch + shift, instrument),
            start_tick + note.start * TICKS_PER_UNIT,
            max(1, round(note.units * TICKS_PER_UNIT * share)),
            velocity,
        )
        for note in notes
    ]


def _chord_pitch(chord: Chord, below: int, last: int, instrument: Instrument) -> int:
    """Third or fifth of a chord under a pitch, nearest to the last one."""
    options = [
        p
        for p in range(instrument.low, instrument.high + 1)
        if p % 12 in chord.pitch_classes[1:] and p < max(below, instrument.low + 12)
    ]
    return min(options, key=lambda pitch: (abs(pitch - last), pitch))


def _part(
    name: str,
    instrument: Instrument,
    notes: list[Note],
    random: np.random.Generator,
    *,
    pan: float,
    gain_db: float,
) -> Part:
    """A part with its velocities varied by a few steps, notes in order of onset."""
    wobble = random.integers(-3, 4, len(notes))
    played = [
        Note(n.pitch, n.onset, n.duration, int(np.clip(n.velocity + w, 1, 127)))
        for n, w in zip(notes, wobble, strict=True)
    ]
    played.sort(key=lambda note: (note.onset, note.pitch))
    return Part(name, instrument.name, instrument.program, pan, gain_db, tuple(played))
