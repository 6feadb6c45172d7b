"""A melody in a MIDI file written down as ABC, so that it can be an opening like any other.

    transcribe_midi(Path("start.mid").read_bytes())   ->   "X:1\\nM:3/4\\nL:1/8\\nK:Dm\\nA2 d2 f2 | ..."

The melody is the first track with notes that are not drums; of notes that begin together the highest counts,
and a note ends where the next begins. Onsets are brought to sixteenth notes, to 1/32 where they lie on them,
and to triplets; a performance that does not keep to the beats of the file is refused. Bars without a note
before the melody are left out, a note held over a bar line is struck again.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import RequestError
from .instruments import DRUM_CHANNEL
from .keyfinding import find_key, name_tonic
from .notation import format_tune, parse_key
from .tokens import DURATIONS, PICKUPS
from .tune import METRES, SCALES, UNITS_PER_WHOLE, Bar, Section, Tune, TuneNote, bar_units, tonic_pitch

if TYPE_CHECKING:
    import mido

MAX_MIDI_BYTES = 1 << 18
MAX_MIDI_BARS = 64
UNITS_PER_QUARTER = UNITS_PER_WHOLE // 4
# An onset this near to a 1/32 note lies on it; else the nearest sixteenth is meant. In units of 1/96 note.
_SIXTEENTH, _THIRTY_SECOND, _ON_IT = 6, 3, 0.6
# A free performance lies one unit off its grid on average, one to a click half a unit.
_MAX_MEAN_ERROR = 0.75
# Lengths of three notes of a triplet together.
_TRIPLETS = (12, 24, 48)
# What is left of a note's time is a rest from an eighth on.
_REST_UNITS = 12
_METRES = {**{value: name for name, value in METRES.items()}, (2, 2): "4/4", (4, 8): "2/4"}


@dataclass(frozen=True, slots=True)
class _Note:
    """A note of the melody: pitch, onset and end in units of 1/96 note; `slot` the triplet note it is."""

    pitch: int
    onset: float
    end: float
    slot: int = 0


@dataclass(frozen=True, slots=True)
class _Melody:
    """What a file says: metre, tonic and mode if it names them, notes by onset."""

    metre: str
    key: tuple[str, str] | None
    notes: list[_Note]


def transcribe_midi(data: bytes, *, key: str | None = None) -> str:
    """Write the melody of a MIDI file down as ABC, for `Request.abc`.

    Parameters
    ----------
    data: a Standard MIDI File of at most MAX_MIDI_BYTES. Without a time signature it is in 4/4.
    key: such as "D dorian"; else the file's key signature, else the key that fits the notes best.

    Returns
    -------
    One voice in ABC notation, at most MAX_MIDI_BARS bars, its last bar perhaps open.

    Raises
    ------
    RequestError
        Not a MIDI file, or one whose melody cannot be written down; the message says why.
    ImportError
        The library that reads MIDI is not installed.
    """
    melody = _read_melody(data)
    tonic, mode = parse_key(key) if key is not None else melody.key or _find_key(melody.notes)
    bar = bar_units(melody.metre)
    skipped = int((melody.notes[0].onset + _SIXTEENTH / 4) // bar) * bar
    if (melody.notes[-1].onset - skipped) / bar > MAX_MIDI_BARS:
        raise RequestError(f"expected a melody of at most {MAX_MIDI_BARS} bars, got more")
    notes = _snap([_Note(n.pitch, n.onset - skipped, n.end - skipped) for n in melody.notes], bar)
    bars = _write_bars(notes, bar, tonic, mode)
    pickup = sum(note.units for note in bars[0]) if len(bars) > 1 else bar
    section = Section(pickup if pickup < bar else 0, tuple(bars), False)
    return format_tune(Tune(melody.metre, tonic, mode, "", (section,)), title="opening", tempo_bpm=120)


def _read_melody(data: bytes) -> _Melody:
    """The melody of a file, not yet brought to a grid."""
    import mido
    from mido.midifiles.meta import KeySignatureError

    if len(data) > MAX_MIDI_BYTES:
        raise RequestError(f"expected a MIDI file of at most {MAX_MIDI_BYTES} bytes, got {len(data)}")
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    except (OSError, EOFError, ValueError, LookupError, KeySignatureError) as error:
        raise RequestError(f"expected a Standard MIDI File, got {error or 'an end too early'}") from error
    ticks = file.ticks_per_beat
    if not 0 < ticks < 1 << 15:
        raise RequestError("expected a MIDI file that counts in quarter notes, got one that counts in frames")
    metres, keys = _signatures(file)
    short = 0.0
    if len(metres) > 1 and metres[0][0] == 0 and metres[1][0] * metres[0][2] == 4 * ticks * metres[0][1]:
        # A first bar of another metre, one bar long, is the pick-up, if it is shorter.
        short = metres[0][1] / metres[0][2]
    full = [(beats, unit) for _, beats, unit in (metres[1:] if short else metres)]
    for name, found in (("metre", full), ("key", keys)):
        if len(set(found)) > 1:
            raise RequestError(f"expected one {name} throughout, got {len(set(found))}")
    beats = full[0] if full else (4, 4)
    if beats not in _METRES:
        raise RequestError(f"expected a metre out of {', '.join(METRES)}, got {beats[0]}/{beats[1]}")
    for track in file.tracks:
        notes = _line(track, UNITS_PER_QUARTER / ticks)
        if notes:
            before = bar_units(_METRES[beats]) - UNITS_PER_WHOLE * short if short else 0.0
            if before < 0:
                raise RequestError("expected a first bar no longer than the others, got a longer one")
            notes = [_Note(n.pitch, n.onset + before, n.end + before) for n in notes]
            return _Melody(_METRES[beats], parse_key(keys[0]) if keys else None, notes)
    raise RequestError("expected a track with notes, got none but drums")


def _signatures(file: "mido.MidiFile") -> tuple[list[tuple[int, int, int]], list[str]]:
    """All time signatures of a file as (tick, beats, beat unit), and its key signatures."""
    metres, keys = [], []
    for track in file.tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == "time_signature":
                metres.append((now, message.numerator, message.denominator))
            elif message.type == "key_signature":
                keys.append(str(message.key))
    return metres, keys


def _line(track: "mido.MidiTrack", units_per_tick: float) -> list[_Note]:
    """The upper line of a track: of notes that begin together (within a 1/64 note) the highest."""
    now, found = 0, []
    sounding: dict[tuple[int, int], int] = {}
    for message in track:
        now += message.time
        if message.type not in ("note_on", "note_off") or message.channel == DRUM_CHANNEL:
            continue
        begun = sounding.pop((message.channel, message.note), None)
        if begun is not None:
            found.append(_Note(message.note, begun * units_per_tick, now * units_per_tick))
        if message.type == "note_on" and message.velocity > 0:
            sounding[message.channel, message.note] = now
    line: list[_Note] = []
    for note in sorted(found, key=lambda n: (n.onset, -n.pitch)):
        if line and note.onset - line[-1].onset < _THIRTY_SECOND / 2:
            if note.pitch > line[-1].pitch:
                line[-1] = _Note(note.pitch, line[-1].onset, note.end)
        else:
            line.append(note)
    return line


def _find_key(notes: list[_Note]) -> tuple[str, str]:
    lengths = [0.0] * 12
    for note in notes:
        lengths[note.pitch % 12] += note.end - note.onset
    pitch_class, mode = find_key(lengths)
    return name_tonic(pitch_class, mode), mode


def _snap(notes: list[_Note], bar: int) -> list[_Note]:
    """Notes on the grid, triplets marked by the length of their slot; ends as they were."""
    placed: dict[int, tuple[int, int]] = {}
    for whole in _TRIPLETS:
        slot = whole // 3
        for first in range(len(notes) - 2):
            group = range(first, first + 3)
            opens = int((notes[first].onset + slot / 4) // bar) * bar
            start = opens + round((notes[first].onset - opens) / whole) * whole
            if start + whole > opens + bar:
                continue
            off = [abs(notes[n].onset - start - slot * k) for k, n in enumerate(group)]
            straight = [abs(notes[n].onset - _nearest(notes[n].onset)) for n in group]
            alone = first + 3 == len(notes) or notes[first + 3].onset > start + whole - slot / 2
            if max(off) < slot / 4 and sum(off) < sum(straight) and alone and not placed.keys() & set(group):
                placed |= {n: (start + slot * k, slot) for k, n in enumerate(group)}
    snapped: list[_Note] = []
    error = 0.0
    for number, note in enumerate(notes):
        onset, slot = placed.get(number, (_nearest(note.onset), 0))
        if snapped and onset <= snapped[-1].onset:
            onset = round(note.onset / _THIRTY_SECOND) * _THIRTY_SECOND
        error += abs(note.onset - onset)
        if snapped and onset <= snapped[-1].onset:
            raise RequestError("expected notes of at least a 1/32 note, got shorter ones")
        snapped.append(_Note(note.pitch, onset, note.end, slot))
    if error / len(notes) > _MAX_MEAN_ERROR:
        raise RequestError("expected notes on the beats of the file, in sixteenths or triplets, got others")
    return snapped


def _nearest(onset: float) -> int:
    fine = round(onset / _THIRTY_SECOND) * _THIRTY_SECOND
    return fine if abs(onset - fine) <= _ON_IT else round(onset / _SIXTEENTH) * _SIXTEENTH


def _write_bars(notes: list[_Note], bar: int, tonic: str, mode: str) -> list[Bar]:
    """Bars of notes and rests; the first short if the melody begins with a pick-up."""
    first = int(notes[0].onset)
    pickup = bar - first
    opens_short = first > 0 and pickup in PICKUPS and 2 * pickup <= bar
    bars: list[list[TuneNote]] = [[]]
    position = first if opens_short else 0

    def put(step: int | None, alter: int, units: int, slot: int) -> None:
        """Write so many units, cut at bar lines and into lengths that have a sign."""
        nonlocal position
        while units > 0:
            if position == bar:
                bars.append([])
                position = 0
            room = min(units, bar - position)
            length = slot or max(d for d in DURATIONS if d <= room)
            bars[-1].append(TuneNote(step, alter, length, slot > 0))
            position, units = position + length, units - length
            if position < bar:
                step, alter = None, 0  # what no sign can say is silent

    if not opens_short:
        put(None, 0, first, 0)
    for number, note in enumerate(notes):
        onset = int(note.onset)
        step, alter = _spell(note.pitch, tonic, mode)
        left = bar - onset % bar
        following = int(notes[number + 1].onset) if number + 1 < len(notes) else None
        for units, silent in _lengths(note, following, left):
            put(None if silent else step, 0 if silent else alter, units, 0 if silent else note.slot)
    return [tuple(row) for row in bars]


def _lengths(note: _Note, following: int | None, left: int) -> Iterator[tuple[int, bool]]:
    """(units, whether it is a rest) from a note's onset to the next one's, or to the bar's end."""
    held = max(_SIXTEENTH, round((note.end - note.onset) / _SIXTEENTH) * _SIXTEENTH)
    available = min(held, left) if following is None else following - int(note.onset)
    if note.slot:
        sounds = note.slot
    elif available - held >= _REST_UNITS:
        sounds = held
    elif held <= left < available:
        sounds = left  # it ends with its bar, and the next one begins with a short rest
    else:
        sounds = available
    yield sounds, False
    if following is not None and available > sounds:
        yield available - sounds, True


def _spell(pitch: int, tonic: str, mode: str) -> tuple[int, int]:
    """Step above the tonic in the octave of middle C, alteration: none, else raised, else lowered."""
    octave, above = divmod(pitch - tonic_pitch(tonic), 12)
    for alter in (0, 1, -1):
        if (above - alter) % 12 in SCALES[mode]:
            step = SCALES[mode].index((above - alter) % 12)
            return step + 7 * (octave + (above - alter) // 12), alter
    raise AssertionError(f"expected a step for pitch {pitch}")
