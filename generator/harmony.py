"""Harmony: one chord for each bar (two in 4/4) under a melody, by dynamic programming.

The rule. Candidates are the mode's own triads, in minor with the major dominant as well. A chord scores the
melody notes it carries, by length and metrical weight: chord tones for it, others against it. Moving from
chord to chord scores the strength of the root motion (falling fifth best, repetition allowed but not for
long). The tune begins and ends on the tonic; a section ends on tonic or dominant. Viterbi's algorithm finds
the best sequence of the whole tune.
"""

from dataclasses import dataclass

from .tune import SCALES, Bar, Tune, TuneNote, pitch_of, tonic_pitch

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
    """A triad: degree of its root in the scale, root pitch class, pitch classes, and its name ("Dm", "A")."""

    degree: int
    root: int
    pitch_classes: tuple[int, int, int]
    name: str


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
    names = (
        _NAMES_FLAT if "b" in tonic or tonic == "F" or (tonic in "DGC" and len(tonic) == 1) else _NAMES_SHARP
    )
    kind = {(4, 7): "", (3, 7): "m", (3, 6): "dim"}[(third - root) % 12, (fifth - root) % 12]
    return Chord(degree, root, (root, third, fifth), names[root] + kind)


def spans_of_bar(metre: str, bar_units: int) -> list[tuple[int, int]]:
    """(start, length) of the stretches of a bar that carry one chord each."""
    if metre == "4/4":
        return [(0, bar_units // 2), (bar_units // 2, bar_units // 2)]
    return [(0, bar_units)]


def harmonise(tune: Tune) -> list[list[list[ChordSpan]]]:
    """Chords by section, full bar and span: the best sequence for the tune played once through.

    The result has one list for each section, in it one for each bar in time (the pick-up has none), in it
    the spans.
    """
    stretches = spans_of_bar(tune.metre, tune.bar_units)
    places: list[tuple[Bar, int, int, bool, bool]] = []  # bar, start, length, ends section, ends tune
    for number, section in enumerate(tune.sections):
        bars = section.bars[1:] if section.pickup_units else section.bars
        for bar_number, bar in enumerate(bars):
            for start, length in stretches:
                last = bar_number == len(bars) - 1 and start + length == tune.bar_units
                places.append((bar, start, length, last, last and number == len(tune.sections) - 1))
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
    result: list[list[list[ChordSpan]]] = []
    place = 0
    for section in tune.sections:
        rows = []
        for _ in range(section.full_bars):
            spans = []
            for start, length in stretches:
                spans.append(ChordSpan(start, length, candidates[chosen[place]][0]))
                place += 1
            rows.append(spans)
        result.append(rows)
    return result


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
