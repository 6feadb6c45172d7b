"""Tunes as token sequences for the composer, and the grammar that keeps them well formed.

    M:3/4 K:minor R:waltz U:0 d24 n4 n6 n8 | n9 n8 n6 | ... :| U:0 ... || end

Pitches are steps above the tonic, so a tune has one spelling in all keys. A duration token (`d` units of 1/96
whole, `t` units for three notes of a triplet) is written when the duration changes; `U` gives the pick-up of
a section. `Grammar` follows a sequence and says which tokens may come next: no note runs over its bar, a bar
line stands only after a full bar, a section ends only when its last bar completes the pick-up and the plan's
bars are reached.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .errors import RequestError
from .tune import METRES, MODES, RHYTHMS, Bar, Section, Tune, TuneNote, bar_units

LOWEST_STEP, HIGHEST_STEP = -8, 18
DURATIONS = (3, 6, 9, 12, 18, 24, 30, 36, 42, 48, 60, 72, 84, 96, 108)
TRIPLETS = (4, 8, 16)
PICKUPS = (0, 3, 6, 9, 12, 18, 24, 30, 36, 48, 60, 72)
BAR, REPEAT_END, SECTION_END, END, REST, PAD = "|", ":|", "||", "end", "z", "pad"

VOCABULARY = (
    PAD,
    END,
    BAR,
    REPEAT_END,
    SECTION_END,
    *(f"M:{m}" for m in METRES),
    *(f"K:{m}" for m in MODES),
    *(f"R:{r}" for r in RHYTHMS),
    *(f"U:{u}" for u in PICKUPS),
    *(f"d{d}" for d in DURATIONS),
    *(f"t{t}" for t in TRIPLETS),
    REST,
    *(f"n{s}{a}" for s in range(LOWEST_STEP, HIGHEST_STEP + 1) for a in ("", "#", "b")),
)
TOKEN_ID = {token: index for index, token in enumerate(VOCABULARY)}
NOTE_IDS = np.array([i for i, t in enumerate(VOCABULARY) if t[0] in "nz"], dtype=np.int64)
TONIC_IDS = np.array([TOKEN_ID[f"n{s}"] for s in (-7, 0, 7, 14)], dtype=np.int64)
# What a token is seen with: place in the bar (units of 1/32 note), bar number in the section, section number.
PLACES, BARS, SECTIONS = 40, 33, 6
_ALTER = {"": 0, "#": 1, "b": -1}
_SIGN = {0: "", 1: "#", -1: "b"}


def normal_octave(tune: Tune) -> int:
    """Octaves to take off every step so that the mean step lies in [2, 9): one register for all keys."""
    steps = [n.step for s in tune.sections for b in s.bars for n in b if n.step is not None]
    if not steps:
        raise RequestError("expected at least one note, got rests only")
    return int((sum(steps) / len(steps) - 2) // 7)


def encode_notes(tune: Tune, *, closed: bool = True) -> list[int]:
    """Token ids of a tune. closed=False leaves the last section open, to be continued.

    Raises
    ------
    RequestError
        A note length, pitch or pick-up lies outside the vocabulary.
    """
    shift = 7 * normal_octave(tune)
    words = [f"M:{tune.metre}", f"K:{tune.mode}", f"R:{tune.rhythm}"]
    duration = ""
    for number, section in enumerate(tune.sections):
        words.append(f"U:{section.pickup_units}")
        for bar_number, bar in enumerate(section.bars):
            triplet_left = 0
            for note in bar:
                if triplet_left == 0:
                    wanted = f"{'t' if note.in_triplet else 'd'}{note.units}"
                    if wanted != duration or note.in_triplet:
                        words.append(wanted)
                        duration = wanted
                    triplet_left = 3 if note.in_triplet else 0
                triplet_left = max(0, triplet_left - 1)
                words.append(
                    REST if note.step is None else f"n{note.step - shift}{_SIGN.get(note.alter, '?')}"
                )
            if bar_number < len(section.bars) - 1:
                words.append(BAR)
        if closed or number < len(tune.sections) - 1:
            words.append(REPEAT_END if section.repeated else SECTION_END)
    if closed:
        words.append(END)
    unknown = [word for word in words if word not in TOKEN_ID]
    if unknown:
        raise RequestError(f"expected notes and lengths that the composer knows, got {unknown[0]!r}")
    return [TOKEN_ID[word] for word in words]


@dataclass(slots=True)
class Grammar:
    """Follows one token sequence; `plan` gives the bars of each section to be reached, empty for no plan."""

    plan: tuple[int, ...] = ()
    bar: int = 0
    words: list[str] = field(default_factory=list)
    duration: int = 0
    triplet: bool = False
    triplet_left: int = 0
    after_duration: bool = False
    position: int = 0
    pickup: int = 0
    bar_number: int = 0
    section: int = 0
    notes_in_section: int = 0
    place: str = "metre"

    def push(self, token_id: int) -> None:
        """Follow one token. The caller keeps to `allowed` when composing; corpus tunes are checked on
        encoding.
        """
        word = VOCABULARY[token_id]
        self.words.append(word)
        self.after_duration = False
        if word[:2] == "M:":
            self.bar, self.place = bar_units(word[2:]), "mode"
        elif word[:2] == "K:":
            self.place = "rhythm"
        elif word[:2] == "R:":
            self.place = "pickup"
        elif word[:2] == "U:":
            self.pickup = int(word[2:])
            self.position = self.bar - self.pickup if self.pickup else 0
            self.bar_number = 0 if self.pickup else 1
            self.place = "notes"
        elif word[0] in "dt" and word != END:
            self.triplet = word[0] == "t"
            self.duration = int(word[1:])
            self.triplet_left = 3 if self.triplet else 0
            self.after_duration = True
        elif word[0] in "nz":
            self.position += self.duration
            self.notes_in_section += 1
            if self.triplet:
                self.triplet_left -= 1
                if self.triplet_left == 0:
                    self.duration, self.triplet = 0, False
        elif word == BAR:
            self.position, self.bar_number = 0, self.bar_number + 1
        elif word in (REPEAT_END, SECTION_END):
            self.section += 1
            self.position, self.bar_number, self.notes_in_section, self.place = 0, 0, 0, "pickup"
        elif word == END:
            self.place = "done"

    @property
    def context(self) -> tuple[int, int, int]:
        """(place in the bar, bar number, section number) as embedding rows."""
        return (
            min(self.position // 3, PLACES - 1),
            min(self.bar_number, BARS - 1),
            min(self.section, SECTIONS - 1),
        )

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next, (len(VOCABULARY),)."""
        mask = np.zeros(len(VOCABULARY), dtype=np.bool_)
        if self.place in ("metre", "mode", "rhythm"):
            letter = {"metre": "M:", "mode": "K:", "rhythm": "R:"}[self.place]
            mask[[i for i, word in enumerate(VOCABULARY) if word.startswith(letter)]] = True
        elif self.place == "pickup":
            if self.plan and self.section >= len(self.plan):
                mask[TOKEN_ID[END]] = True
                return mask
            first = [w for w in self.words if w.startswith("U:")][:1]
            # Sections of one tune share their pick-up, so that they can follow each other in any order.
            for pickup in PICKUPS:
                fits = pickup * 2 <= self.bar and (not first or first[0] == f"U:{pickup}")
                mask[TOKEN_ID[f"U:{pickup}"]] = fits
        elif self.place == "notes":
            self._allow_in_bar(mask)
        return mask

    def _allow_in_bar(self, mask: NDArray[np.bool_]) -> None:
        if self.triplet_left or self.after_duration:
            self._allow_notes(mask)
            return
        last = self._in_last_bar
        room = (self._closing if last else self.bar) - self.position
        if room == 0:
            if last:
                repeated = [w for w in self.words if w in (REPEAT_END, SECTION_END)][:1]
                for word in (REPEAT_END, SECTION_END):
                    mask[TOKEN_ID[word]] = not repeated or repeated[0] == word
            else:
                mask[TOKEN_ID[BAR]] = True
            return
        if 0 < self.duration <= room and self._fills(room - self.duration):
            self._allow_notes(mask)
        for duration in DURATIONS:
            fits = duration <= room and duration != self.duration and self._fills(room - duration)
            mask[TOKEN_ID[f"d{duration}"]] = fits
        for triplet in TRIPLETS:
            whole = 3 * triplet
            mask[TOKEN_ID[f"t{triplet}"]] = whole <= room and self.position % whole == 0

    def _allow_notes(self, mask: NDArray[np.bool_]) -> None:
        """Notes and rests that may stand here; a planned tune ends on its tonic."""
        ends_bar = self._in_last_bar and self.position + self.duration == self._closing
        if ends_bar and self.section == len(self.plan) - 1:
            mask[TONIC_IDS] = True
            return
        mask[NOTE_IDS] = True
        # A section opens and closes, and a triplet consists, of sounding notes.
        opens = not self.notes_in_section
        mask[TOKEN_ID[REST]] = not self.triplet_left and not opens and not ends_bar

    @property
    def _closing(self) -> int:
        """Where the last bar of a section ends, so that it completes the pick-up."""
        return self.bar - self.pickup

    @property
    def _in_last_bar(self) -> bool:
        return bool(self.plan) and self.bar_number >= self.plan[min(self.section, len(self.plan) - 1)]

    @staticmethod
    def _fills(rest: int) -> bool:
        """Whether durations of the vocabulary can fill what remains of the bar."""
        return rest % 3 == 0


def decode_tokens(token_ids: list[int], *, tonic: str) -> Tune:
    """The tune of a complete, well-formed sequence, in the register of the composer (`normal_octave`)."""
    grammar = Grammar()
    header: dict[str, str] = {}
    sections: list[Section] = []
    bars: list[Bar] = []
    notes: list[TuneNote] = []
    pickup = 0
    for token_id in token_ids:
        word = VOCABULARY[token_id]
        if word[1:2] == ":" and word[0] in "MKR":
            header[word[0]] = word[2:]
        elif word[:2] == "U:":
            pickup = int(word[2:])
        elif word[0] in "nz":
            units, in_triplet = grammar.duration, grammar.triplet
            sign = word[-1] if word[-1] in "#b" else ""
            step = None if word == REST else int(word[1 : len(word) - len(sign)])
            notes.append(TuneNote(step, _ALTER[sign], units, in_triplet))
        elif word in (BAR, REPEAT_END, SECTION_END):
            bars.append(tuple(notes))
            notes = []
            if word != BAR:
                sections.append(Section(pickup, tuple(bars), word == REPEAT_END))
                bars = []
        grammar.push(token_id)
    return Tune(header["M"], tonic, header["K"], header["R"], tuple(sections))
