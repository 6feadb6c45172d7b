"""ABC notation, read and written (ABC music standard 2.1, abcnotation.com/wiki/abc:standard:v2.1).

    X:1
    T:slow waltz
    M:3/4
    L:1/8
    K:Dm
    |: A2 d2 f2 | e2 c2 A2 :|

Of several voices the first is read. One voice of melody: chords give their top note, grace notes, slurs and
decorations are left out, of two endings the second is kept. What cannot be kept exactly (other tuplets than
triplets, changes of metre or key) is refused.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from .errors import RequestError
from .tune import LETTERS, METRES, UNITS_PER_WHOLE, Bar, Section, Tune, TuneNote, bar_units, signature

if TYPE_CHECKING:
    from .harmony import ChordSpan  # which needs torch

MAX_CHARACTERS = 20_000
TRIPLET_UNITS = (4, 8, 16)

_METRE_NAMES = {"C": "4/4", "C|": "4/4", "2/2": "4/4", **{name: name for name in METRES}}
_MODE_NAMES = {"": "major", "maj": "major", "ion": "major", "m": "minor", "min": "minor", "aeo": "minor"}
_MODE_NAMES |= {"dor": "dorian", "mix": "mixolydian"}
_SKIPPED = re.compile(r'%[^\n]*|"[^"\n]*"|\{[^}\n]*\}|![^!\n]*!|\+[a-zA-Z0-9]+\+|\\')
_ITEM = re.compile(
    r"(?P<tuplet>\((?P<count>\d)(?::\d*){0,2})"
    r"|(?P<inline>\[[A-Za-z]:[^\]]*\])"
    r"|(?P<chord>\[(?:[\^_=]*[A-Ga-g][,']*\d*/*\d*)+\](?P<chordlen>\d*/*\d*))"
    r"|(?P<bar>:*\|[|:\]]*|\[\|[|:]*|::+)(?P<ending>\s*\[?\d(?:[,-]\d)*)?"
    r"|(?P<volta>\[\d(?:[,-]\d)*)"
    r"|(?P<note>(?P<accidental>\^\^?|__?|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']*)(?P<length>\d*/*\d*))"
    r"|(?P<rest>[zx](?P<restlen>\d*/*\d*))"
    r"|(?P<broken>>+|<+)"
    r"|(?P<tie>-)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_ACCIDENTALS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}


@dataclass(frozen=True, slots=True)
class RawTune:
    """Header fields (letter -> text, first of each) and the body text of one tune in a file.

    voices: names of its voices (V: fields), of which the body holds the first; empty where none is named.
    """

    fields: Mapping[str, str]
    body: str
    voices: tuple[str, ...] = ()


def split_tunes(text: str) -> list[RawTune]:
    """Split an ABC file into its tunes: header lines up to K:, body after it."""
    tunes: list[RawTune] = []
    fields: dict[str, str] = {}
    body: list[str] | None = None
    voices: list[str] = []
    voice = ""
    for line in [*text.splitlines(), "X:0"]:
        if line.startswith("X:"):
            if body is not None:
                tunes.append(RawTune(fields, "\n".join(body), tuple(voices)))
            fields, body = {}, None
            voices, voice = [], ""
        elif body is None and re.match(r"[A-Za-z]:", line):
            fields.setdefault(line[0], line[2:].split("%")[0].strip())
            if line[0] == "K":
                body = []
        elif body is not None and (changed := re.match(r"\[?V:\s*(\S+?)(?:\s.*|\](.*))?$", line)):
            voice = changed[1]
            if voice not in voices:
                voices.append(voice)
            if changed[2] and voice == voices[0]:
                body.append(changed[2])
        elif voices and voice != voices[0]:
            continue
        elif body is not None and not line.startswith("%") and not re.match(r"[BDFGHINOPQRSTWZw]:", line):
            body.append(line)
    return tunes


def parse_key(text: str) -> tuple[str, str]:
    """Tonic and mode of a K: field ("Dm", "A Mixolydian", "Bb").

    Raises
    ------
    RequestError
        Not a key, or a mode that the tunes here are not written in.
    """
    found = re.match(r"([A-G])([#b]?)\s*([A-Za-z]*)", text)
    if not found:
        raise RequestError(f"expected a key such as Dm or G in the K: field, got {text!r}")
    mode = _MODE_NAMES.get(found[3][:3].lower() if found[3] != "M" else "?")
    if mode is None:
        raise RequestError(f"expected a major, minor, dorian or mixolydian key, got {text!r}")
    return found[1] + found[2], mode


def _length(text: str) -> Fraction:
    """Multiplier of the unit note length: "" 1, "3" 3, "/" 1/2, "//" 1/4, "3/2" 3/2."""
    found = re.fullmatch(r"(\d*)(/*)(\d*)", text)
    assert found
    top = Fraction(int(found[1] or 1))
    if not found[2]:
        return top
    below = int(found[3]) if found[3] else 2 ** len(found[2])
    if below == 0:
        raise RequestError(f"expected a note length, got {text!r}")
    return top / below


@dataclass(slots=True)
class _Reader:
    """State while one tune body is read."""

    tonic: str
    mode: str
    unit: Fraction

    def step_and_alter(self, letter: str, octave: str, accidental: int | None) -> tuple[int, int]:
        register = (1 if letter.islower() else 0) + octave.count("'") - octave.count(",")
        step = LETTERS.index(letter.upper()) - LETTERS.index(self.tonic[0]) + 7 * register
        own = signature(self.tonic, self.mode)[letter.upper()]
        return step, 0 if accidental is None else accidental - own


def parse_tune(raw: RawTune, *, open_ended: bool = False) -> Tune:
    """Read one tune, its rhythm left empty; open_ended lets the last bar be any part of a bar.

    Raises
    ------
    RequestError
        Something is not ABC or cannot be kept exactly; the message names it.
    """
    metre = _METRE_NAMES.get(raw.fields.get("M", "").strip())
    if metre is None:
        raise RequestError(
            f"expected a metre out of {', '.join(METRES)}, got {raw.fields.get('M', 'none')!r}"
        )
    if "K" not in raw.fields:
        raise RequestError("expected a K: field (the key) before the notes, got none")
    tonic, mode = parse_key(raw.fields["K"])
    beats, beat_unit = METRES[metre]
    unit = Fraction(1, 16) if Fraction(beats, beat_unit) < Fraction(3, 4) else Fraction(1, 8)
    if "L" in raw.fields:
        found = re.fullmatch(r"1/(\d{1,2})", raw.fields["L"].strip())
        if not found or found[1] not in ("2", "4", "8", "16", "32"):
            raise RequestError(f"expected a note length such as 1/8 in the L: field, got {raw.fields['L']!r}")
        unit = Fraction(1, int(found[1]))
    bars = _read_bars(raw.body, _Reader(tonic, mode, unit * UNITS_PER_WHOLE))
    sections = tuple(
        _close_section(notes, repeated, bar_units(metre), open_ended) for notes, repeated in _sections(bars)
    )
    if not sections:
        raise RequestError("expected at least one bar of notes, got none")
    return Tune(metre, tonic, mode, "", sections)


def _read_bars(body: str, reader: _Reader) -> list[tuple[list[TuneNote], str, str]]:
    """Bars as (notes, bar line after them, ending number that begins after that line)."""
    bars: list[tuple[list[TuneNote], str, str]] = []
    notes: list[TuneNote] = []
    lengths: list[Fraction] = []
    accidentals: dict[tuple[str, str], int] = {}
    tuplet_left, broken, tied = 0, Fraction(1), False
    text = _SKIPPED.sub("", body)
    for item in _ITEM.finditer(text):
        kind = item.lastgroup
        if item["tuplet"]:
            if item["count"] != "3":
                raise RequestError(f"expected triplets only, got a tuplet of {item['count']}")
            tuplet_left = 3
        elif item["inline"]:
            raise RequestError(f"expected one key and metre throughout, got a change {item['inline']!r}")
        elif item["note"] or item["chord"] or item["rest"]:
            top, length_text = item, item["length"]
            if item["chord"]:
                inner = [m for m in _ITEM.finditer(item["chord"][1 : item["chord"].rindex("]")]) if m["note"]]
                top = max(inner, key=lambda m: reader.step_and_alter(m["letter"], m["octave"], None)[0])
                length_text = item["chordlen"] or top["length"]
            length = reader.unit * _length(item["restlen"] if item["rest"] else length_text or "") * broken
            broken = Fraction(1)
            step: int | None = None
            alter = 0
            if not item["rest"]:
                place = (top["letter"], top["octave"])
                if top["accidental"]:
                    accidentals[place] = _ACCIDENTALS[top["accidental"]]
                step, alter = reader.step_and_alter(*place, accidentals.get(place))
            if tuplet_left:
                length, tuplet_left = length * Fraction(2, 3), tuplet_left - 1
            in_triplet = length.denominator == 1 and int(length) in TRIPLET_UNITS
            if tied and notes and notes[-1].step == step and notes[-1].alter == alter and not in_triplet:
                lengths[-1] += length
            else:
                notes.append(TuneNote(step, alter, 0, in_triplet))
                lengths.append(length)
            tied = False
        elif item["broken"]:
            if not lengths:
                raise RequestError("expected a note before '>' or '<', got none")
            factor = Fraction(1, 2 ** len(item["broken"]))
            long, short = 2 - factor, factor
            lengths[-1] *= long if item["broken"][0] == ">" else short
            broken = short if item["broken"][0] == ">" else long
        elif item["tie"]:
            tied = True
        elif item["bar"]:
            bars.append((_fix_lengths(notes, lengths), item["bar"], (item["ending"] or "").strip(" [\n")))
            notes, lengths, accidentals = [], [], {}
            tied = False
        elif item["volta"]:
            bars.append((_fix_lengths(notes, lengths), "|", item["volta"][1:]))
            notes, lengths, accidentals = [], [], {}
        elif kind == "other" and item["other"] in "Z[]&":
            raise RequestError(f"expected one voice of notes, rests and bar lines, got {item['other']!r}")
        elif kind == "other" and item["other"] not in " \t\r\n.~HKLMOPQRSTUVikuv()$*`;y":
            raise RequestError(f"expected ABC notation, got {item['other']!r}")
    if notes:
        bars.append((_fix_lengths(notes, lengths), "", ""))
    return bars


def _fix_lengths(notes: list[TuneNote], lengths: list[Fraction]) -> list[TuneNote]:
    """Give the notes of a bar their lengths; triplets must come in threes of one length."""
    fixed = []
    for note, length in zip(notes, lengths, strict=True):
        if length.denominator != 1 or length <= 0:
            raise RequestError(f"expected note lengths that are whole 1/96 notes, got {length}")
        units = int(length)
        fixed.append(replace(note, units=units, in_triplet=units in TRIPLET_UNITS))
    index = 0
    while index < len(fixed):
        if fixed[index].in_triplet:
            group = fixed[index : index + 3]
            if len(group) < 3 or len({n.units for n in group}) != 1:
                raise RequestError("expected triplets of three equal notes, got another grouping")
            index += 3
        else:
            index += 1
    return fixed


def _sections(bars: list[tuple[list[TuneNote], str, str]]) -> list[tuple[list[list[TuneNote]], bool]]:
    """Group bars into sections at double bars and repeats; a first ending gives way to the second."""
    sections: list[tuple[list[list[TuneNote]], bool]] = []
    current: list[list[TuneNote]] = []
    common: int | None = None
    pending_second = False
    for notes, line, ending in bars:
        if notes:
            current.append(notes)
        if ending.startswith("1"):
            common = len(current)
            continue
        if ending.startswith("2") and common is not None:
            current, pending_second, common = current[:common], True, None
            continue
        strong = ":" in line or "||" in line or "]" in line or "[|" in line or line == ""
        if strong and current:
            sections.append((current, line.startswith(":") or pending_second))
            current, common, pending_second = [], None, False
    if current:
        sections.append((current, False))
    return sections


def _close_section(bars: list[list[TuneNote]], repeated: bool, full: int, open_ended: bool) -> Section:
    """Check the bars of a section and make its last bar complete the pick-up, by the last note's length."""
    totals = [sum(n.units for n in bar) for bar in bars]
    pickup = totals[0] if totals[0] < full and len(bars) > 1 else 0
    for number, total in enumerate(totals[:-1]):
        if total != full and not (number == 0 and pickup):
            raise RequestError(f"expected {full} units of 1/96 note in bar {number + 1}, got {total}")
    if open_ended and totals[-1] <= full:
        return Section(pickup, tuple(tuple(bar) for bar in bars), repeated)
    wanted = full - pickup
    last = list(bars[-1])
    excess = totals[-1] - wanted
    while excess > 0 and last and last[-1].units <= excess and not last[-1].in_triplet:
        excess -= last.pop().units
    if excess and last and not last[-1].in_triplet and last[-1].units - excess > 0:
        last[-1] = replace(last[-1], units=last[-1].units - excess)
        excess = 0
    if excess or not last:
        raise RequestError(f"expected a last bar of {wanted} units of 1/96 note, got {totals[-1]}")
    return Section(pickup, (*(tuple(bar) for bar in bars[:-1]), tuple(last)), repeated)


def format_tune(
    tune: Tune,
    *,
    chords: "list[list[list[ChordSpan]]] | None" = None,
    parts: Sequence[str] = (),
    title: str,
    tempo_bpm: float,
) -> str:
    """Write a tune as ABC, four bars a line, with chord symbols where chords (as from harmonise) are given.

    parts: text of further voices (`partwriting.write_parts`). tempo_bpm counts quarter notes per minute.
    """
    mode = {"major": "", "minor": "m", "dorian": "dor", "mixolydian": "mix"}[tune.mode]
    clean_title = re.sub(r"[^\w ,.'()-]", " ", title).strip() or "untitled"
    lines = ["X:1", f"T:{clean_title[:120]}"]
    if tune.rhythm:
        lines.append(f"R:{tune.rhythm}")
    lines += [f"M:{tune.metre}", "L:1/8", f"Q:1/4={round(tempo_bpm)}", f"K:{tune.tonic}{mode}"]
    if parts:
        lines.append("V:1")
    for number, section in enumerate(tune.sections):
        rows: list[list[ChordSpan]] = [[]] if section.pickup_units else []
        rows += chords[number] if chords is not None else [[]] * section.full_bars
        texts = [_format_bar(bar, tune, spans) for bar, spans in zip(section.bars, rows, strict=True)]
        opening, closing = ("|: ", " :|") if section.repeated else ("", " |]")
        for start in range(0, len(texts), 4):
            end = closing if start + 4 >= len(texts) else " |"
            lines.append((opening if start == 0 else "") + " | ".join(texts[start : start + 4]) + end)
    return "\n".join([*lines, *parts]) + "\n"


def _format_bar(bar: Bar, tune: Tune, spans: "list[ChordSpan]") -> str:
    own = signature(tune.tonic, tune.mode)
    touched: set[str] = set()
    parts: list[str] = []
    waiting = list(spans)
    index = position = 0
    while index < len(bar):
        note = bar[index]
        group = bar[index : index + 3] if note.in_triplet else (note,)
        text = ""
        while waiting and waiting[0].start <= position:
            text = f'"{waiting.pop(0).chord.name}"'
        text += "(3" if note.in_triplet else ""
        for member in group:
            written = member.units * 3 // 2 if member.in_triplet else member.units
            length = Fraction(written, UNITS_PER_WHOLE // 8)
            text += _format_pitch(member, tune, own, touched) + _format_length(length)
        parts.append(text)
        index += len(group)
        position += sum(member.units for member in group)
    return " ".join(parts)


def _format_length(length: Fraction) -> str:
    top = "" if length.numerator == 1 else str(length.numerator)
    return top if length.denominator == 1 else f"{top}/{length.denominator}"


def _format_pitch(note: TuneNote, tune: Tune, own: dict[str, int], touched: set[str]) -> str:
    """Pitch of a note. Readers differ on whether an accidental holds in other octaves, so after one in a bar
    every note on that letter says its own."""
    if note.step is None:
        return "z"
    register, letter_index = divmod(note.step + LETTERS.index(tune.tonic[0]), 7)
    letter = LETTERS[letter_index]
    sign = ""
    if note.alter or letter in touched:
        sign = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}[own[letter] + note.alter]
        touched.add(letter)
    if register >= 1:
        return sign + letter.lower() + "'" * (register - 1)
    return sign + letter + "," * (-register)
