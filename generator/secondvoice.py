"""A second voice under the melody: one note for each beat, as an alto sings under a soprano.

A note of the voice is a tone of the chord or, dearer, of the scale, three to nine semitones below the lowest
melody note of its beat where that can be. Thirds and sixths below the melody are cheapest; steps are cheaper
than leaps, contrary motion than similar, and fifths and octaves in parallel with the melody cost most. The
cheapest line of a whole section is taken (Viterbi's algorithm).
"""

from dataclasses import dataclass
from itertools import pairwise

from .harmony import ChordSpan
from .instruments import Instrument
from .tune import SCALES, Bar, Tune, pitch_of, tonic_pitch

# Cost of an interval below the melody note that sounds at the beat, in semitones within the octave.
_INTERVAL = {0: 0.9, 1: 3.0, 2: 1.6, 3: 0.0, 4: 0.0, 5: 0.5, 6: 1.2, 7: 0.5, 8: 0.0, 9: 0.0, 10: 1.4, 11: 2.4}
_CLASH = {1: 0.9, 2: 0.3, 11: 0.7}
_SCALE_TONE, _PARALLEL, _SIMILAR_LEAP, _REPEATED = 0.8, 2.0, 0.4, 0.15
_NEAREST, _FARTHEST = 3, 9
_BEAT = {"6/8": 36, "9/8": 36}


@dataclass(frozen=True, slots=True)
class VoiceNote:
    """A note of the voice: start in its bar and length in units of 1/96 whole, MIDI pitch."""

    start: int
    units: int
    pitch: int


@dataclass(frozen=True, slots=True)
class _Beat:
    """What the melody and the chords do in a beat: (pitch, units) sounding, the first of them leads."""

    bar: int
    start: int
    units: int
    melody: tuple[tuple[int, int], ...]
    chord: tuple[int, int, int]


def write_second_voice(tune: Tune, chords: list[list[list[ChordSpan]]]) -> list[list[list[VoiceNote]]]:
    """Notes of the voice by section and bar in time, in the melody's own octave; silent where the melody is.

    chords as from `harmonise(tune)`. A note that would be struck again at once within a bar is held.
    """
    voice: list[list[list[VoiceNote]]] = []
    scale = {(tonic_pitch(tune.tonic) + step) % 12 for step in SCALES[tune.mode]}
    for section, rows in zip(tune.sections, chords, strict=True):
        bars = section.bars[1:] if section.pickup_units else section.bars
        pairs = enumerate(zip(bars, rows, strict=True))
        beats = [beat for number, (bar, spans) in pairs for beat in _beats(number, bar, spans, tune)]
        written: list[list[VoiceNote]] = [[] for _ in bars]
        for beat, pitch in zip(beats, _best_line(beats, scale), strict=True):
            row = written[beat.bar]
            if row and row[-1].pitch == pitch and row[-1].start + row[-1].units == beat.start:
                row[-1] = VoiceNote(row[-1].start, row[-1].units + beat.units, pitch)
            else:
                row.append(VoiceNote(beat.start, beat.units, pitch))
        voice.append(written)
    return voice


def voice_shift(voice: list[list[list[VoiceNote]]], melody_shift: int, instrument: Instrument) -> int:
    """Semitones (a multiple of 12) that bring the voice under the melody, in an instrument's range."""
    pitches = [note.pitch for section in voice for bar in section for note in bar] or [instrument.centre]

    def outside(shift: int) -> int:
        return max(0, instrument.low - min(pitches) - shift) + max(0, max(pitches) + shift - instrument.high)

    return min(range(melody_shift - 36, melody_shift + 1, 12), key=lambda shift: (outside(shift), -shift))


def _beats(number: int, bar: Bar, spans: list[ChordSpan], tune: Tune) -> list[_Beat]:
    """The beats of a bar in which the melody sounds."""
    length = _BEAT.get(tune.metre, 24)
    found = []
    total = sum(note.units for note in bar)
    for start in range(0, total, length):
        stop, position = min(start + length, total), 0
        melody = []
        for note in bar:
            overlap = min(position + note.units, stop) - max(position, start)
            if overlap > 0 and note.step is not None:
                melody.append((pitch_of(note.step, note.alter, tune.tonic, tune.mode), overlap))
            position += note.units
        chord = next(span.chord for span in reversed(spans) if span.start <= start)
        if melody:
            found.append(_Beat(number, start, stop - start, tuple(melody), chord.pitch_classes))
    return found


def _candidates(beat: _Beat, scale: set[int]) -> list[int]:
    lowest = min(pitch for pitch, _ in beat.melody)
    reach = range(lowest - _FARTHEST - 3, lowest - _NEAREST + 1)
    return [p for p in reach if p % 12 in beat.chord or p % 12 in scale]


def _note_cost(beat: _Beat, pitch: int) -> float:
    """What a pitch costs in its beat, whatever comes before."""
    cost = _INTERVAL[(beat.melody[0][0] - pitch) % 12]
    cost += 0.0 if pitch % 12 in beat.chord else _SCALE_TONE
    cost += sum(_CLASH.get((p - pitch) % 12, 0.0) * units / beat.units for p, units in beat.melody[1:])
    return cost + 0.15 * max(0, min(p for p, _ in beat.melody) - pitch - _FARTHEST)


def _move_cost(beat: _Beat, after: _Beat, pitch: int, following: int) -> float:
    """What it costs to go on to a pitch in the next beat."""
    move, lead = following - pitch, after.melody[0][0] - beat.melody[-1][0]
    cost = _REPEATED if move == 0 else 0.12 * max(0, abs(move) - 2)
    interval = (after.melody[0][0] - following) % 12
    if move and lead and (move > 0) == (lead > 0):
        cost += _SIMILAR_LEAP if abs(move) > 4 else 0.0
        if interval in (0, 7) and interval == (beat.melody[-1][0] - pitch) % 12:
            cost += _PARALLEL
    return cost


def _best_line(beats: list[_Beat], scale: set[int]) -> list[int]:
    """The cheapest pitches, one for each beat."""
    if not beats:
        return []
    best = {pitch: (_note_cost(beats[0], pitch), [pitch]) for pitch in _candidates(beats[0], scale)}
    for beat, after in pairwise(beats):
        following = {}
        for pitch in _candidates(after, scale):
            cost, line = min(
                ((c + _move_cost(beat, after, p, pitch), way) for p, (c, way) in best.items()),
                key=lambda item: item[0],
            )
            following[pitch] = (cost + _note_cost(after, pitch), [*line, pitch])
        best = following
    return min(best.values(), key=lambda item: item[0])[1]
