"""A tune: one melody in sections of whole bars, written relative to its key.

Durations count units of 1/96 whole note. A section may open with a pick-up (less than a bar); its last bar
is then short by the same amount, so that a repeat joins exactly. Every other bar holds exactly `bar_units`
units.
"""

from dataclasses import dataclass

UNITS_PER_WHOLE = 96
METRES = {"2/4": (2, 4), "3/4": (3, 4), "4/4": (4, 4), "6/8": (6, 8), "9/8": (9, 8)}
MODES = ("major", "minor", "dorian", "mixolydian")
# Dances and forms that the composer knows, in the order of its vocabulary.
RHYTHMS = ("air", "hornpipe", "jig", "march", "polka", "reel", "slip jig", "song", "strathspey", "waltz")
# Semitones of the seven steps above the tonic.
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
LETTERS = "CDEFGAB"
NATURAL_SEMITONES = (0, 2, 4, 5, 7, 9, 11)
# Position on the circle of fifths of the natural letters, and how far each mode's signature lies from
# major's.
FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
MODE_FIFTHS = {"major": 0, "minor": -3, "dorian": -2, "mixolydian": -1}


@dataclass(frozen=True, slots=True)
class TuneNote:
    """step: scale steps above the tonic of the reference octave, None for a rest; alter: semitones off the
    scale.

    units: length in 1/96 whole; in_triplet: one of three notes written as a triplet.
    """

    step: int | None
    alter: int
    units: int
    in_triplet: bool = False


Bar = tuple[TuneNote, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Bars of one part of the tune. bars[0] is the pick-up alone when pickup_units > 0."""

    pickup_units: int
    bars: tuple[Bar, ...]
    repeated: bool

    @property
    def full_bars(self) -> int:
        """Number of bars in time, pick-up not counted."""
        return len(self.bars) - (1 if self.pickup_units else 0)


@dataclass(frozen=True, slots=True)
class Tune:
    """metre: a name of METRES; tonic: letter with optional # or b; mode: one of MODES; rhythm: see
    RHYTHMS.
    """

    metre: str
    tonic: str
    mode: str
    rhythm: str
    sections: tuple[Section, ...]

    @property
    def bar_units(self) -> int:
        """Length of a full bar."""
        return bar_units(self.metre)


def bar_units(metre: str) -> int:
    """Length of a full bar of `metre` in units of 1/96 whole note."""
    beats, unit = METRES[metre]
    return beats * UNITS_PER_WHOLE // unit


def tonic_fifths(tonic: str) -> int:
    """Position of a tonic on the circle of fifths (C = 0, G = 1, F = -1, F# = 6, Bb = -2)."""
    return FIFTHS[tonic[0]] + 7 * (tonic.count("#") - tonic.count("b"))


def signature(tonic: str, mode: str) -> dict[str, int]:
    """Accidental (-1, 0, +1) of each letter in the key signature."""
    fifths = tonic_fifths(tonic) + MODE_FIFTHS[mode]
    order = "FCGDAEB"
    if fifths >= 0:
        return {letter: 1 if order.index(letter) < fifths else 0 for letter in LETTERS}
    return {letter: -1 if order.index(letter) >= 7 + fifths else 0 for letter in LETTERS}


def tonic_pitch(tonic: str) -> int:
    """MIDI pitch of the tonic in the octave of middle C (60..71, C flat 59)."""
    return 60 + NATURAL_SEMITONES[LETTERS.index(tonic[0])] + tonic.count("#") - tonic.count("b")


def pitch_of(step: int, alter: int, tonic: str, mode: str) -> int:
    """MIDI pitch of a step above the tonic in the octave of middle C."""
    octave, degree = divmod(step, 7)
    return tonic_pitch(tonic) + 12 * octave + SCALES[mode][degree] + alter


def interior_bars_exact(tune: Tune) -> tuple[int, int]:
    """(bars that hold exactly bar_units, bars looked at) over all bars but the first and last of each
    section.
    """
    exact = looked = 0
    for section in tune.sections:
        for bar in section.bars[1:-1]:
            looked += 1
            exact += sum(note.units for note in bar) == tune.bar_units
    return exact, looked
