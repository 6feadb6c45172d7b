"""Form: how many bars are composed, in which order they are played, and at what tempo, to meet a length.

30 s of slow waltz -> 2 bars of introduction, A (8 bars), A, closing bar: (8,) played (0, 0) ...
"""

import math
from dataclasses import dataclass

from .prompt import MAX_TEMPO_BPM, MIN_TEMPO_BPM, Settings
from .tune import bar_units

# Sound after the last note has been let go: decay and room.
TAIL_S = 1.8
ENDING_BARS = 1
# How far the usual tempo of a form may bend to meet a length, and one given in figures.
FREE_BEND, EXACT_BEND = 0.14, 0.0


@dataclass(frozen=True, slots=True)
class Form:
    """sections: bars of each section to compose; order: section numbers as played; intro_bars before them."""

    sections: tuple[int, ...]
    order: tuple[int, ...]
    intro_bars: int
    tempo_bpm: float

    @property
    def total_bars(self) -> int:
        """Bars from the start to the end of the closing bar."""
        return self.intro_bars + sum(self.sections[s] for s in self.order) + ENDING_BARS


def _bodies(longest_bars: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(section lengths, order) of the forms worth playing, up to about longest_bars."""
    bodies: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((2,), (0,)), ((4,), (0,)), ((4, 4), (0, 1))]
    bodies += [((4, 4), (0, 0, 1)), ((8, 8), (0, 1)), ((8, 4), (0, 0, 1)), ((8, 8), (0, 0, 1)), ((8,), (0,))]
    rounds = ((0, 0, 1, 1), (0, 0, 1, 1, 0), (0, 0, 1, 1, 0, 1), (0, 0, 1, 1, 2), (0, 0, 1, 1, 2, 2))
    for base in rounds:
        lengths = (8,) * (max(base) + 1)
        bodies.append((lengths, base))
    order: tuple[int, ...] = (0, 0, 1, 1, 2, 2)
    step = 0
    while 8 * len(order) < longest_bars + 8:
        order = (*order, (0, 1, 2)[step % 3])
        step += 1
        bodies.append(((8, 8, 8), order))
    return bodies


def plan_form(settings: Settings, seconds: float) -> Form:
    """The form and tempo that come nearest to `seconds`, bending the tempo least."""
    quarters = bar_units(settings.metre) / 24
    bend = EXACT_BEND if settings.tempo_is_exact else FREE_BEND
    sounding_s = max(1.0, seconds - TAIL_S)
    wanted_bars = sounding_s * settings.tempo_bpm / 60 / quarters
    best: tuple[float, Form] | None = None
    for sections, order in _bodies(math.ceil(wanted_bars)):
        body = sum(sections[s] for s in order)
        for intro in (0, 2, 4):
            if intro * 3 > body:
                continue
            total = body + intro + ENDING_BARS
            # The closing slowdown costs about one beat and a half.
            tempo = settings.tempo_bpm * (total + 1.5 / quarters) / wanted_bars
            bent = min(max(tempo, settings.tempo_bpm * (1 - bend)), settings.tempo_bpm * (1 + bend))
            bent = min(max(bent, MIN_TEMPO_BPM), MAX_TEMPO_BPM)
            miss = abs(math.log(tempo / bent)) * 10 + abs(math.log(bent / settings.tempo_bpm))
            miss += {0: 0.03, 2: 0.0, 4: 0.0}[intro]
            if best is None or miss < best[0]:
                best = miss, Form(sections, order, intro, round(bent, 2))
    assert best is not None
    return best[1]
