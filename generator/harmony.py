"""Harmony: one chord for each bar (two in 4/4) under a melody.

Major and minor are harmonised by the model learned from Bach's chorales (`chordmodel.py`), bass tones
included. Only the ends are given: the tune closes on the tonic in root position, a section on tonic or
dominant.

Dorian and mixolydian, which the chorales lack, follow a rule. Candidates are the mode's own triads. A chord
scores the melody notes it carries, by length and metrical weight: chord tones for it, others against it.
Moving from chord to chord scores the strength of the root motion (falling fifth best, repetition allowed
but not for long). Either way Viterbi's algorithm finds the best sequence of the whole tune.
"""

from dataclasses import dataclass, replace

import numpy as np

from .chordmodel import MODEL_MODES, ChordModel, Label, Stretch, best_labels
from .tune import LETTERS, NATURAL_SEMITONES, SCALES, Bar, Tune, TuneNote, pitch_of, tonic_pitch

# Degrees (0 = tonic) whose triads are used in each mode, with how readily.
_DEGREES = {
    "major": {0: 0.35, 3: 0.2, 4: 0.25, 5: 0.0, 1: 0.0, 2: -0.35},
    "minor": {0: 0.35, 3: 0.2, 4: 0.15, 5: 0.1, 6: 0.05, 2: 0.05},
    "dorian": {0: 0.35, 3: 0.15, 6: 0.25, 4: -0.1, 2: 0.0},
    "mixolydian": {0: 0.35, 3: 0.15, 6: 0.25, 4: -0.2, 1: -0.1},
}
# Root motion in scale steps upwards (mod 7): a falling fifth is +3.
_MOTION = {0: 0.0, 3: 0.3, 4: 0.15, 1: 0.1, 5: 0.05, 6: 0.05, 2: -0.1}
_CHORD_TONE, _ROOT_BONUS, _STRANGER = 1.0, 0.15, -0.8
_NAMES_SHARP = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_NAMES_FLAT = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True, slots=True)
class Chord:
    """A triad: degree of its root in the scale, root pitch class, pitch classes, its name ("Dm", "A/C#"), and
    the pitch class in the bass.
    """

    degree: int
    root: int
    pitch_classes: tuple[int, int, int]
    name: str
    bass: int


@dataclass(frozen=True, slots=True)
class ChordSpan:
    """A chord from `start` units into a bar, for `units`."""

    start: int
    units: int
    chord: Chord


def triads(tonic: str, mode: str) -> list[tuple[Chord, float]]:
    """Candidate chords of a key with how readily each is used."""
    scale = SCALES[mode]
    low = tonic_pitch(tonic)
    chords = []
    for degree, liking in _DEGREES[mode].items():
        steps = [scale[(degree + third) % 7] for third in (0, 2, 4)]
        chords.append((_triad(degree, low, steps, tonic), liking))
    if mode == "minor":
        chords.append((_triad(4, low, [scale[4], scale[6] + 1, scale[1]], tonic), 0.3))
    return chords


def _triad(degree: int, low: int, steps: list[int], tonic: str) -> Chord:
    root, third, fifth = ((low + step) % 12 for step in steps)
    names = _names(tonic)
    kind = {(4, 7): "", (3, 7): "m", (3, 6): "dim"}[(third - root) % 12, (fifth - root) % 12]
    return Chord(degree, root, (root, third, fifth), names[root] + kind, root)


def _names(tonic: str) -> tuple[str, ...]:
    """Names of the pitch classes, as a key spells them."""
    flat = "b" in tonic or tonic == "F" or (tonic in "DGC" and len(tonic) == 1)
    return _NAMES_FLAT if flat else _NAMES_SHARP


def _name_above(root: str, letters: int, pitch_class: int) -> str:
    """Name of a pitch class as the tone some letters above a root: C# as the third of A."""
    place = (LETTERS.index(root[0]) + letters) % 7
    change = (pitch_class - NATURAL_SEMITONES[place] + 6) % 12 - 6
    return LETTERS[place] + ("#" * change if change > 0 else "b" * -change)


def _chord_of(label: Label, tonic: str, mode: str) -> Chord:
    """A label of the model in a key."""
    low = tonic_pitch(tonic)
    degree = next((d for d, step in enumerate(SCALES[mode]) if step == label.root), -1)
    chord = _triad(degree, low, list(label.pitch_classes), tonic)
    bass = chord.pitch_classes[label.bass]
    if bass == chord.root:
        return chord
    return replace(chord, bass=bass, name=f"{chord.name}/{_name_above(chord.name, 2 * label.bass, bass)}")


def spans_of_bar(metre: str, bar_units: int) -> list[tuple[int, int]]:
    """(start, length) of the stretches of a bar that carry one chord each."""
    if metre == "4/4":
        return [(0, bar_units // 2), (bar_units // 2, bar_units // 2)]
    return [(0, bar_units)]


# Bar, start and length in it, whether a section and whether the tune ends there.
Place = tuple[Bar, int, int, bool, bool]


def harmonise(tune: Tune, model: ChordModel) -> list[list[list[ChordSpan]]]:
    """Chords by section, full bar and span: the best sequence for the tune played once through.

    The result has one list for each section, in it one for each bar in time (the pick-up has none), in it
    the spans.
    """
    stretches = spans_of_bar(tune.metre, tune.bar_units)
    places: list[Place] = []
    for number, section in enumerate(tune.sections):
        bars = section.bars[1:] if section.pickup_units else section.bars
        for bar_number, bar in enumerate(bars):
            for start, length in stretches:
                last = bar_number == len(bars) - 1 and start + length == tune.bar_units
                places.append((bar, start, length, last, last and number == len(tune.sections) - 1))
    chosen = _learned(tune, places, model) if tune.mode in MODEL_MODES else _ruled(tune, places)
    result: list[list[list[ChordSpan]]] = []
    remaining = iter(chosen)
    for section in tune.sections:
        result.append(
            [
                [ChordSpan(start, length, next(remaining)) for start, length in stretches]
                for _ in range(section.full_bars)
            ]
        )
    return result


def _learned(tune: Tune, places: list[Place], model: ChordModel) -> list[Chord]:
    """The model's chords."""
    tonic = tonic_pitch(tune.tonic)
    stretches = []
    for number, (bar, start, length, ends_section, ends_tune) in enumerate(places):
        notes, position = [], 0
        for note in bar:
            overlap = min(position + note.units, start + length) - max(position, start)
            if overlap > 0 and note.step is not None:
                notes.append(((_pitch_class(note, tune) - tonic) % 12, overlap / 24))
            position += note.units
        kind = 1 if length <= 48 else 2
        stretches.append(Stretch(tuple(notes), kind, start == 0, number == 0, ends_section, ends_tune))
    labels = model.labels
    home = np.array([label.root == 0 and label.bass == 0 for label in labels])
    own = "minor" if tune.mode == "minor" else "major"
    home &= np.array([label.quality == own for label in labels])
    resting = np.array(
        [label.root in (0, 7) and label.bass == 0 and label.quality != "diminished" for label in labels]
    )
    allowed = np.ones((len(places), len(labels)), dtype=np.bool_)
    for number, (_, _, _, ends_section, ends_tune) in enumerate(places):
        if ends_section:
            allowed[number] = home if ends_tune else resting
    return [
        _chord_of(label, tune.tonic, tune.mode) for label in best_labels(model, stretches, tune.mode, allowed)
    ]


def _ruled(tune: Tune, places: list[Place]) -> list[Chord]:
    """Chords by the rule."""
    candidates = triads(tune.tonic, tune.mode)
    scores: list[list[float]] = []
    origins: list[list[int]] = []
    for index, (bar, start, length, ends_section, ends_tune) in enumerate(places):
        row, origin = [], []
        for chord, liking in candidates:
            fit = _fit(bar, start, length, chord, tune) + liking
            if (index == 0 or ends_tune) and chord.degree != 0:
                fit -= 2.0 if index == 0 else 100.0
            if ends_section and chord.degree not in (0, 4):
                fit -= 1.0
            best, came = 0.0, 0
            if index:
                options = [
                    scores[-1][k] + _move(before, chord, ends_section)
                    for k, (before, _) in enumerate(candidates)
                ]
                came = max(range(len(options)), key=lambda k: options[k])
                best = options[came]
            row.append(fit + best)
            origin.append(came)
        scores.append(row)
        origins.append(origin)
    chosen = [max(range(len(candidates)), key=lambda k: scores[-1][k])]
    for origin in reversed(origins[1:]):
        chosen.append(origin[chosen[-1]])
    chosen.reverse()
    return [candidates[k][0] for k in chosen]


def _fit(bar: Bar, start: int, length: int, chord: Chord, tune: Tune) -> float:
    """How well a chord carries the notes that sound in a stretch of a bar, about -0.8 .. 1.15."""
    total = weight_sum = 0.0
    position = 0
    beat = 36 if tune.metre in ("6/8", "9/8") else 24
    for note in bar:
        overlap = min(position + note.units, start + length) - max(position, start)
        if overlap > 0 and note.step is not None:
            stress = 2.0 if position == start else 1.4 if position % beat == 0 else 1.0
            weight = overlap * stress
            pitch_class = _pitch_class(note, tune)
            value = _CHORD_TONE if pitch_class in chord.pitch_classes else _STRANGER
            total += weight * (value + (_ROOT_BONUS if pitch_class == chord.root else 0.0))
            weight_sum += weight
        position += note.units
    return 1.6 * total / weight_sum if weight_sum else 0.0


def _pitch_class(note: TuneNote, tune: Tune) -> int:
    assert note.step is not None
    return pitch_of(note.step, note.alter, tune.tonic, tune.mode) % 12


def _move(before: Chord, after: Chord, cadence: bool) -> float:
    """Score of a chord change; a dominant before the tonic at the end of a section is worth most."""
    bonus = 0.4 if cadence and before.degree == 4 and after.degree == 0 else 0.0
    return _MOTION[(after.degree - before.degree) % 7] + bonus
