"""The score: what is played, when, by which instrument. Plain frozen data, no behaviour beyond lengths.

Time is counted in ticks of 1/480 quarter note (the MIDI division written to files); a tempo in quarter notes
per minute turns ticks into seconds. Pitch and velocity are MIDI numbers (60 = middle C, 1..127).
"""

from dataclasses import dataclass

TICKS_PER_QUARTER = 480
# Tune notation counts in 1/96 of a whole note: the least unit in which 1/32 notes and eighth triplets are
# both whole.
TICKS_PER_UNIT = TICKS_PER_QUARTER * 4 // 96


@dataclass(frozen=True, slots=True)
class Note:
    """One note: pitch (MIDI number), onset and duration (ticks), velocity (1..127)."""

    pitch: int
    onset: int
    duration: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Part:
    """Notes of one player. `program` is the General MIDI program (0-based), `pan` -1 (left) .. +1 (right)."""

    name: str
    instrument: str
    program: int
    pan: float
    gain_db: float
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """A whole piece.

    tonic is a pitch name ("D", "Bb"), mode one of major, minor, dorian, mixolydian; metre (beats, beat unit);
    tempo_bpm counts quarter notes per minute; `slowdown` holds (tick, tempo_bpm) changes after the start,
    ascending. `pickup_ticks` come before the first full bar.
    """

    title: str
    tonic: str
    mode: str
    metre: tuple[int, int]
    tempo_bpm: float
    slowdown: tuple[tuple[int, float], ...]
    parts: tuple[Part, ...]
    pickup_ticks: int = 0

    @property
    def length_ticks(self) -> int:
        """Tick at which the last note ends."""
        return max((n.onset + n.duration for p in self.parts for n in p.notes), default=0)

    def tick_to_s(self, tick: int) -> float:
        """Seconds from the start of the piece to `tick`, following the tempo changes."""
        seconds, position, tempo = 0.0, 0, self.tempo_bpm
        for change, next_tempo in self.slowdown:
            if change >= tick:
                break
            seconds += (change - position) * 60.0 / (tempo * TICKS_PER_QUARTER)
            position, tempo = change, next_tempo
        return seconds + (tick - position) * 60.0 / (tempo * TICKS_PER_QUARTER)

    @property
    def length_s(self) -> float:
        """Seconds to the end of the last note, without the sound's decay."""
        return self.tick_to_s(self.length_ticks)
