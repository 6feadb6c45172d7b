"""Drum patterns by metre and dance: what the kit plays in a bar.

A bar is a groove; the last bar of a section turns into a fill on the toms, the first bar of the next opens
with a crash. Airs use side stick and ride in place of snare and hats. Positions count units of 1/96 whole
note.
"""

from .drumkit import DRUMS
from .score import TICKS_PER_UNIT, Note
from .tune import Tune

KEY = {drum.name: drum.key for drum in DRUMS}
# (position, drum, velocity)
Stroke = tuple[int, str, int]


def _row(drum: str, *strokes: tuple[int, int]) -> tuple[Stroke, ...]:
    return tuple((position, drum, velocity) for position, velocity in strokes)


def _even(
    drum: str, step: int, bar: int, accents: tuple[int, ...], loud: int, soft: int
) -> tuple[Stroke, ...]:
    """A drum on every `step` of a bar, louder at the accents."""
    return tuple((p, drum, loud if p in accents else soft) for p in range(0, bar, step))


_BY_METRE: dict[str, tuple[Stroke, ...]] = {
    "4/4": (
        *_row("kick", (0, 92), (48, 84), (60, 58)),
        *_row("snare", (24, 84), (72, 88)),
        *_even("closed hat", 12, 96, (0, 24, 48, 72), 62, 44),
    ),
    "2/4": (
        *_row("kick", (0, 92), (24, 80)),
        *_row("snare", (12, 66), (36, 76)),
        *_even("closed hat", 12, 48, (0, 24), 58, 44),
    ),
    "3/4": (
        *_row("kick", (0, 86)),
        *_row("snare", (24, 50), (48, 56)),
        *_even("closed hat", 24, 72, (0,), 54, 46),
    ),
    "6/8": (
        *_row("kick", (0, 92), (60, 54)),
        *_row("snare", (36, 82)),
        *_even("closed hat", 12, 72, (0, 36), 62, 42),
    ),
    "9/8": (
        *_row("kick", (0, 92), (60, 60)),
        *_row("snare", (36, 70), (72, 82)),
        *_even("closed hat", 12, 108, (0, 36, 72), 60, 42),
    ),
}
_SWING = (0, 18, 24, 42, 48, 66, 72, 90)
_SWUNG = (*_row("kick", (0, 90), (48, 82)), *_row("snare", (24, 78), (72, 84), (90, 40)))
_BY_DANCE: dict[tuple[str, str], tuple[Stroke, ...]] = {
    ("reel", "4/4"): (
        *_row("kick", (0, 94), (36, 60), (48, 86)),
        *_row("snare", (24, 82), (72, 86), (90, 38)),
        *_even("closed hat", 12, 96, (12, 36, 60, 84), 60, 46),
    ),
    ("march", "4/4"): (
        *_row("kick", (0, 96), (48, 88)),
        *_row("snare", (0, 70), (24, 74), (36, 52), (42, 46), (48, 70)),
        *_row("snare", (72, 76), (78, 48), (84, 58), (90, 52)),
    ),
    ("march", "2/4"): (
        *_row("kick", (0, 96), (24, 84)),
        *_row("snare", (0, 66), (12, 72), (18, 48), (24, 66), (36, 76), (42, 54)),
    ),
    ("march", "6/8"): (
        *_row("kick", (0, 96), (36, 86)),
        *_row("snare", (0, 62), (24, 56), (36, 72), (48, 48), (60, 64), (66, 48)),
    ),
    ("hornpipe", "4/4"): (*_SWUNG, *_row("closed hat", *((p, 58 if p % 24 == 0 else 44) for p in _SWING))),
    ("strathspey", "4/4"): (*_SWUNG, *_row("tambourine", *((p, 50 if p % 24 == 0 else 64) for p in _SWING))),
    ("slip jig", "9/8"): (
        *_row("kick", (0, 90), (60, 56)),
        *_row("side stick", (36, 66), (72, 74)),
        *_even("tambourine", 12, 108, (0, 36, 72), 60, 40),
    ),
    ("waltz", "3/4"): (
        *_row("kick", (0, 86)),
        *_row("side stick", (24, 50), (48, 56)),
        *_even("ride", 24, 72, (0,), 52, 44),
        *_row("pedal hat", (24, 50), (48, 50)),
    ),
    ("air", "4/4"): (
        *_row("kick", (0, 66), (60, 46)),
        *_row("side stick", (48, 52)),
        *_even("ride", 24, 96, (0,), 48, 40),
    ),
    ("air", "3/4"): (
        *_row("kick", (0, 62)),
        *_row("side stick", (48, 46)),
        *_even("ride", 24, 72, (0,), 46, 38),
    ),
    ("air", "6/8"): (
        *_row("kick", (0, 64)),
        *_row("side stick", (36, 50)),
        *_even("ride", 12, 72, (0, 36), 46, 34),
    ),
}
_TOMS = ("snare", "high tom", "mid tom", "low tom")
_STROKE_UNITS = 6


def groove(tune: Tune, *, bright: bool) -> tuple[Stroke, ...]:
    """The bar of a dance; bright moves the hats to the ride, for contrast between sections."""
    strokes = _BY_DANCE.get((tune.rhythm, tune.metre), _BY_METRE[tune.metre])
    if not bright:
        return strokes
    return tuple((p, "ride" if drum == "closed hat" else drum, v) for p, drum, v in strokes)


def fill(tune: Tune) -> tuple[Stroke, ...]:
    """The bar that leads to the next section: the groove, then a run over the toms in its second half."""
    half = tune.bar_units // 2 if tune.metre != "3/4" else 24
    kept = tuple(s for s in groove(tune, bright=False) if s[0] < half)
    step = 12 if tune.rhythm == "air" else 6
    places = range(half, tune.bar_units, step)
    run = tuple(
        (
            p,
            _TOMS[round(3 * n / max(1, len(places) - 1))],
            62 + 24 * n // len(places) + (8 if n % 2 == 0 else 0),
        )
        for n, p in enumerate(places)
    )
    return kept + run


def drum_bar(
    strokes: tuple[Stroke, ...], start_tick: int, *, level: float, opens: bool, limit_units: int
) -> list[Note]:
    """Notes of a bar of strokes; opens adds a crash on one. Nothing sounds from limit_units on."""
    notes = [
        Note(KEY[drum], start_tick + p * TICKS_PER_UNIT, _STROKE_UNITS * TICKS_PER_UNIT, _velocity(v * level))
        for p, drum, v in strokes
        if p < limit_units
    ]
    if opens:
        notes.append(Note(KEY["crash"], start_tick, _STROKE_UNITS * TICKS_PER_UNIT, _velocity(78 * level)))
    return notes


def closing_strokes(start_tick: int, length: int) -> list[Note]:
    """Kick and crash under the last held chord."""
    return [Note(KEY["kick"], start_tick, length, 88), Note(KEY["crash"], start_tick, length, 74)]


def _velocity(value: float) -> int:
    return min(120, max(20, round(value)))
