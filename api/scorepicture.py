"""Pictures of a generated score: a page of notation where abcm2ps is installed, and always a piano roll.

    abcm2ps -g -S -q -O - -      ABC from standard input, one SVG to standard output, no file is read

The roll is drawn here, from the MIDI file: time to the right, pitch upwards, a colour for each part. Both are
SVG that stands alone; notation is black on whatever lies under it.
"""

import io
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import escape

from .errors import MissingError

ABCM2PS = "abcm2ps"
ENGRAVING_TIMEOUT_S = 10.0
MAX_SVG_BYTES = 4 << 20
ROLL_WIDTH = 1000
NOTE_HEIGHT = 6
LABEL_HEIGHT = 22
# Okabe and Ito (2008), without black and yellow: told apart by colour-blind eyes, on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07a00", "#56b4e9")


@dataclass(frozen=True)
class RollNote:
    """A note of the roll: number of its part, MIDI pitch, start and end in seconds."""

    part: int
    pitch: int
    start_s: float
    end_s: float


def engrave(abc: str) -> bytes | None:
    """Return ABC notation as an SVG picture; None where abcm2ps is not installed or cannot read it."""
    program = shutil.which(ABCM2PS)
    if program is None:
        return None
    # Formatting directives and included files are none of the score's.
    plain = "\n".join(line for line in abc.splitlines() if not line.startswith(("%", "I:")))
    try:
        done = subprocess.run(
            [program, "-g", "-S", "-q", "-c", "-O", "-", "-"],
            input=plain.encode("utf-8"),
            capture_output=True,
            timeout=ENGRAVING_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    start = done.stdout.find(b"<svg")
    if start < 0 or len(done.stdout) > MAX_SVG_BYTES:
        return None
    picture = re.sub(rb"<!--.*?-->\n?", b"", done.stdout[start:], flags=re.DOTALL)  # one holds the time
    found = re.search(rb'width="([\d.]+)px" height="([\d.]+)px"', picture)
    if found is None:
        return None
    box = b'viewBox="0 0 %b %b" ' % found.groups()  # so that it can be shown at any width
    return picture.replace(b"width=", box + b"width=", 1)


def read_roll(midi: bytes) -> tuple[list[str], list[RollNote]]:
    """Return the names of the parts of a MIDI file, and its notes in seconds.

    Raises
    ------
    MissingError
        The library that reads MIDI (extra `generator`) is not installed, or the file cannot be read.
    """
    try:
        import mido
    except ImportError as error:
        raise MissingError("a piano roll needs the extra 'generator'") from error
    try:
        file = mido.MidiFile(file=io.BytesIO(midi))
    except (OSError, ValueError, EOFError) as error:
        raise MissingError(f"the score cannot be read: {error}") from error
    tempos: list[tuple[int, int]] = []
    raw: list[tuple[int, int, int, int]] = []
    names: list[str] = []
    for track in file.tracks:
        tick, open_notes, notes, name = 0, {}, [], "part"
        for message in track:
            tick += message.time
            if message.type == "set_tempo":
                tempos.append((tick, message.tempo))
            elif message.type == "track_name":
                name = message.name
            elif message.type == "note_on" and message.velocity > 0:
                open_notes[message.channel, message.note] = tick
            elif message.type in ("note_on", "note_off"):
                begun = open_notes.pop((message.channel, message.note), None)
                if begun is not None:
                    notes.append((len(names), message.note, begun, tick))
        if notes:
            names.append(name)
            raw += notes
    clock = _Clock(tempos, file.ticks_per_beat)
    return names, [RollNote(part, pitch, clock.seconds(a), clock.seconds(b)) for part, pitch, a, b in raw]


class _Clock:
    """Ticks to seconds, by the tempo changes of the conductor's track."""

    def __init__(self, tempos: list[tuple[int, int]], ticks_per_beat: int) -> None:
        self._changes = [(0, 0.0, 500_000)]
        self._ticks_per_beat = ticks_per_beat
        for tick, tempo in sorted(tempos):
            self._changes.append((tick, self.seconds(tick), tempo))

    def seconds(self, tick: int) -> float:
        """Return the time of a tick."""
        at, seconds, tempo = next(item for item in reversed(self._changes) if item[0] <= tick)
        return seconds + (tick - at) * tempo / (1e6 * self._ticks_per_beat)


def draw_roll(midi: bytes) -> bytes:
    """Return a piano roll as SVG; MissingError as `read_roll`, or where the file has no notes."""
    names, notes = read_roll(midi)
    if not notes:
        raise MissingError("the score has no notes")
    low, high = min(item.pitch for item in notes) - 1, max(item.pitch for item in notes) + 1
    length = max(item.end_s for item in notes)
    height = LABEL_HEIGHT + NOTE_HEIGHT * (high - low + 1)

    def y(pitch: int) -> int:
        return LABEL_HEIGHT + NOTE_HEIGHT * (high - pitch)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {ROLL_WIDTH} {height}" width="{ROLL_WIDTH}" '
        f'height="{height}" font-family="sans-serif" font-size="13">',
        f"<title>Piano roll: {escape(', '.join(names))}</title>",
    ]
    for pitch in range(low, high + 1):
        if pitch % 12 == 0:  # a line under each C
            parts.append(
                f'<path d="M0 {y(pitch) + NOTE_HEIGHT}H{ROLL_WIDTH}" stroke="#d0d0d0"/>'
                f'<text x="2" y="{y(pitch) + NOTE_HEIGHT - 2}" font-size="9" fill="#666666">'
                f"C{pitch // 12 - 1}</text>"
            )
    left = 26
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<rect x="{left}" y="5" width="11" height="11" rx="2" fill="{colour}"/>')
        parts.append(f'<text x="{left + 16}" y="15" fill="#333333">{escape(name)}</text>')
        left += 32 + 8 * len(name)
    for item in notes:
        x = ROLL_WIDTH * item.start_s / length
        width = max(1.5, ROLL_WIDTH * (item.end_s - item.start_s) / length - 0.6)
        parts.append(
            f'<rect x="{x:.1f}" y="{y(item.pitch)}" width="{width:.1f}" height="{NOTE_HEIGHT - 1}" rx="1" '
            f'fill="{COLOURS[item.part % len(COLOURS)]}"/>'
        )
    return ("".join(parts) + "</svg>").encode("utf-8")
