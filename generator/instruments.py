"""The instruments that the synthesiser was trained on, in the order of its embedding rows.

`program` is the General MIDI program (0-based) of the reference sound; `low`..`high` the playable MIDI
pitches; `centre` where a melody sits best. Vibrato (cents, Hz) is as measured on held notes of the reference
sound, not learned.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument. `sustains`: a held note keeps sounding; `polyphonic`: one player can play chords."""

    name: str
    program: int
    low: int
    high: int
    centre: int
    sustains: bool
    polyphonic: bool
    vibrato_cents: float
    tail_s: float
    words: tuple[str, ...]
    vibrato_hz: float = 5.4

    @property
    def largest_bend(self) -> float:
        """By what share of itself the vibrato bends the pitch at most."""
        return self.vibrato_cents / 1200 * math.log(2)


INSTRUMENTS = (
    Instrument(
        "piano", 0, 28, 100, 72, False, True, 0.0, 0.6, ("piano", "pianoforte", "keyboard", "grand piano")
    ),
    Instrument("harpsichord", 6, 36, 88, 71, False, True, 0.0, 0.4, ("harpsichord", "cembalo", "clavecin")),
    Instrument("organ", 19, 36, 96, 71, True, True, 0.0, 0.6, ("organ", "church organ", "pipe organ")),
    Instrument("accordion", 21, 48, 93, 72, True, True, 0.0, 0.3, ("accordion", "concertina", "squeezebox")),
    Instrument(
        "guitar", 24, 40, 84, 67, False, True, 0.0, 0.5, ("guitar", "acoustic guitar", "nylon guitar")
    ),
    Instrument("bass", 32, 28, 60, 43, False, False, 0.0, 0.3, ("bass", "double bass", "contrabass")),
    Instrument("violin", 40, 55, 96, 74, True, False, 15.0, 0.4, ("violin", "fiddle"), 5.5),
    Instrument("cello", 42, 36, 79, 57, True, False, 9.0, 0.4, ("cello", "violoncello"), 5.2),
    Instrument("harp", 46, 31, 98, 72, False, True, 0.0, 1.6, ("harp", "celtic harp", "lyre")),
    Instrument(
        "strings", 48, 36, 93, 72, True, True, 6.0, 0.6, ("strings", "string ensemble", "string orchestra")
    ),
    Instrument("clarinet", 71, 50, 91, 69, True, False, 3.0, 0.25, ("clarinet",)),
    Instrument("flute", 73, 60, 96, 76, True, False, 8.0, 0.3, ("flute", "whistle", "fife"), 4.2),
)

# General MIDI: keys of this channel (the tenth) are drums.
DRUM_CHANNEL = 9
# The drum kit has no row of its own: drumkit.py says what it is.
KIT = Instrument("drums", 0, 35, 81, 42, False, True, 0.0, 0.0, ("drums",))

BY_NAME = {instrument.name: instrument for instrument in INSTRUMENTS}
EMBEDDING_ROW = {instrument.name: row for row, instrument in enumerate(INSTRUMENTS)}
