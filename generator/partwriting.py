"""Chords, bass and harmony voice of a tune written out as further voices of its ABC.

    V:2 name="guitar"
    %%MIDI program 24
    |: z2 [A,DF]2 z2 [A,DF]2 | ...

What is written is what is played the first time through, less the shortening of notes: a note lasts to the
next one or to the next eighth.
"""

from fractions import Fraction

from .accompaniment import Backing, Hand, accompany_bar
from .harmony import ChordSpan
from .instruments import BY_NAME, Instrument
from .prompt import Settings
from .score import TICKS_PER_UNIT, Note
from .secondvoice import VoiceNote, write_second_voice
from .tune import LETTERS, NATURAL_SEMITONES, UNITS_PER_WHOLE, Section, Tune, signature

_EIGHTH = UNITS_PER_WHOLE // 8
# (start, length, pitches) in units of 1/96 whole.
Event = tuple[int, int, tuple[int, ...]]


def write_parts(tune: Tune, chords: list[list[list[ChordSpan]]], settings: Settings) -> list[str]:
    """Text of the voices for chords, bass and harmony, empty where the melody is alone."""
    voices = _write_backing(tune, chords, settings) if settings.accompaniment else []
    if settings.second:
        rows = [
            [[_as_note(note) for note in bar] for bar in section]
            for section in write_second_voice(tune, chords)
        ]
        voices.append(_format_voice(len(voices) + 2, BY_NAME[settings.second], "treble", tune, rows))
    return voices


def _as_note(note: VoiceNote) -> Note:
    """A note of the harmony voice as the score counts it."""
    return Note(note.pitch, note.start * TICKS_PER_UNIT, note.units * TICKS_PER_UNIT, 80)


def _write_backing(tune: Tune, chords: list[list[list[ChordSpan]]], settings: Settings) -> list[str]:
    """Chords and bass."""
    assert settings.accompaniment
    player = BY_NAME[settings.accompaniment]
    bass = BY_NAME[settings.bass or settings.accompaniment]
    hand = Hand(player, bass)
    upper: list[list[Backing]] = []
    for section, rows in zip(tune.sections, chords, strict=True):
        bars = []
        for number, spans in enumerate(rows):
            last = number == len(rows) - 1
            limit = tune.bar_units - (section.pickup_units if last else 0)
            bars.append(accompany_bar(spans, tune, hand, 0, level=1.0, limit_units=limit))
        upper.append(bars)
    return [
        _format_voice(2, player, "treble", tune, [[bar.chords for bar in bars] for bars in upper]),
        _format_voice(3, bass, "bass", tune, [[bar.bass for bar in bars] for bars in upper]),
    ]


def _format_voice(
    number: int, instrument: Instrument, clef: str, tune: Tune, sections: list[list[list[Note]]]
) -> str:
    lines = [f'V:{number} name="{instrument.name}" clef={clef}', f"%%MIDI program {instrument.program}"]
    for section, bars in zip(tune.sections, sections, strict=True):
        texts = [_format_rest(section.pickup_units)] if section.pickup_units else []
        for place, notes in enumerate(bars):
            length = tune.bar_units - (section.pickup_units if place == len(bars) - 1 else 0)
            texts.append(_format_bar(events_of(notes, length), length, tune))
        lines += _in_rows(texts, section)
    return "\n".join(lines)


def _in_rows(texts: list[str], section: Section) -> list[str]:
    """Four bars to a line, with the bar lines of the melody."""
    opening, closing = ("|: ", " :|") if section.repeated else ("", " |]")
    rows = []
    for start in range(0, len(texts), 4):
        end = closing if start + 4 >= len(texts) else " |"
        rows.append((opening if start == 0 else "") + " | ".join(texts[start : start + 4]) + end)
    return rows


def events_of(notes: list[Note], length: int) -> list[Event]:
    """Notes of a bar as events one after the other, each up to the next or to an eighth's end."""
    onsets = sorted({note.onset // TICKS_PER_UNIT for note in notes})
    events = []
    for onset, following in zip(onsets, [*onsets[1:], length], strict=True):
        together = [note for note in notes if note.onset // TICKS_PER_UNIT == onset]
        units = max(note.duration for note in together) // TICKS_PER_UNIT
        units = -(-units // _EIGHTH) * _EIGHTH
        events.append((onset, min(units, following - onset), tuple(sorted({n.pitch for n in together}))))
    return events


def _format_bar(events: list[Event], length: int, tune: Tune) -> str:
    touched: set[str] = set()
    texts, position = [], 0
    for start, units, pitches in events:
        if start > position:
            texts.append(_format_rest(start - position))
        spelled = [_spell(pitch, tune, touched) for pitch in pitches]
        body = spelled[0] if len(spelled) == 1 else "[" + "".join(spelled) + "]"
        texts.append(body + _format_length(units))
        position = start + units
    if position < length:
        texts.append(_format_rest(length - position))
    return " ".join(texts)


def _format_rest(units: int) -> str:
    return "z" + _format_length(units)


def _format_length(units: int) -> str:
    length = Fraction(units, _EIGHTH)
    top = "" if length.numerator == 1 else str(length.numerator)
    return top if length.denominator == 1 else f"{top}/{length.denominator}"


def _spell(pitch: int, tune: Tune, touched: set[str]) -> str:
    """A pitch as the key spells it: its own letter where it has one, else a raised, else a lowered one."""
    own = signature(tune.tonic, tune.mode)
    for change in (0, 1, -1, 2, -2):
        for letter, natural in zip(LETTERS, NATURAL_SEMITONES, strict=True):
            accidental = own[letter] + change
            if abs(accidental) <= 2 and (natural + accidental - pitch) % 12 == 0:
                register = (pitch - natural - accidental) // 12 - 5
                sign = ""
                # After an accidental every note on that letter in the bar says its own, as in the melody.
                if change or letter in touched:
                    sign = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}[accidental]
                    touched.add(letter)
                if register >= 1:
                    return sign + letter.lower() + "'" * (register - 1)
                return sign + letter + "," * (-register)
    raise AssertionError(f"expected a spelling for pitch {pitch}")
