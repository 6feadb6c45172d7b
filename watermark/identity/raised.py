"""Rows that are louder than they can be: where something was added to the track.

A row is raised by its two largest excesses: a tone stands in one column, a voice in a few. Around such rows
quieter ones belong to the same sound when many of their columns are raised a little.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .excess import MASKED_DB, Span, find_masking
from .sketch_profile import SketchProfile

DoubleArray = npt.NDArray[np.float64]

# The spread of what is no addition: never taken for less than this, and widened over the median deviation.
LEAST_SPREAD_DB = 0.4
SPREAD_WIDENING = 1.8
# Gain of a row for being raised: the two largest excesses in spreads, each at most so many, less the bias.
MOST_SPREADS = 12.0
ROW_BIAS = 5.0
ROW_LIMITS = (-4.0, 8.0)
CHANGE_COST = 5.0
# Gain of a row beside one that is raised: its excesses together, each within limits, less what one row in
# twenty has without any addition.
BREADTH_LIMITS = (-1.5, 3.0)
BREADTH_QUANTILE = 0.95
# The level of a whole row is followed so far.
MOST_LEVEL_DB = 1.0
# So far under what masks it a codec rounds coarsely; there, and under noise, a cell is raised from CERTAIN_DB
# on.
COARSE_DB = 12.0
CERTAIN_DB = 6.0


@dataclass(frozen=True)
class Raised:
    """Rows `first` to `last` of a span that are louder than they can be; `column` is the one that is most."""

    span: Span
    first: int
    last: int
    column: int
    band: str


def find_raised(spans: tuple[Span, ...], profile: SketchProfile) -> tuple[Raised, ...]:
    """Find rows that are raised in the range of the spectrogram, gaps between pieces included."""
    if sum(np.count_nonzero(span.matched & ~span.buried) for span in spans) < 5:
        return ()
    spread = _Spread(spans, profile)
    raised = []
    for span in spans:
        sizes = _size_cells(span, spread, profile)
        top = np.sort(sizes, axis=1)[:, -2:].sum(axis=1) - ROW_BIAS
        wide = find_runs(np.clip(np.maximum(top, spread.measure_breadth(span)), *ROW_LIMITS))
        # What is sure, and what it is a part of.
        for first, last in _unite(find_runs(np.clip(top, *ROW_LIMITS)), wide):
            column = int(sizes[first:last].sum(axis=0).argmax()) + profile.first_middle
            raised.append(Raised(span, first, last, column, "audible"))
    return tuple(raised)


def _size_cells(span: Span, spread: "_Spread", profile: SketchProfile) -> DoubleArray:
    """Excess of the cells in the range of the spectrogram in spreads, as far as it can be believed."""
    middle = slice(profile.first_middle, profile.first_high)
    excess, found = np.nan_to_num(span.excess_db[:, middle]), np.nan_to_num(span.found[:, middle])
    under_db = 10 * np.log10(np.maximum(found, 1e-13) / np.maximum(find_masking(span.found, profile), 1e-13))
    coarse = (under_db < -COARSE_DB) | span.buried[:, None]
    unsure = (under_db < -MASKED_DB) | (coarse & (excess < CERTAIN_DB))
    sizes = spread.measure(span)[:, middle]
    return np.where(unsure, np.minimum(sizes, 1.0), np.clip(sizes, -3, MOST_SPREADS))


def _unite(sure: list[tuple[int, int]], wide: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Widen runs by those they touch; what then touches is one."""
    runs: list[tuple[int, int]] = []
    for first, last in sure:
        touching = [run for run in wide if run[0] < last and run[1] > first]
        first = min([first, *(run[0] for run in touching)])
        last = max([last, *(run[1] for run in touching)])
        if runs and runs[-1][1] >= first:
            first = runs.pop()[0]
        runs.append((first, last))
    return runs


class _Spread:
    """How excess is spread, column by column, where nothing was added."""

    def __init__(self, spans: tuple[Span, ...], profile: SketchProfile) -> None:
        plain = np.nan_to_num(np.concatenate([span.excess_db[span.matched & ~span.buried] for span in spans]))
        self._profile = profile
        self._centre = np.median(plain, axis=0)
        deviation = np.median(np.abs(plain - self._centre), axis=0)
        self._spread = np.maximum(LEAST_SPREAD_DB, SPREAD_WIDENING * 1.4826 * deviation)
        breadths = [self._sum_row(span)[span.matched & ~span.buried] for span in spans]
        self._usual = float(np.quantile(np.concatenate(breadths), BREADTH_QUANTILE))

    def measure(self, span: Span) -> DoubleArray:
        """Return each cell's excess in spreads, float64 (rows, columns)."""
        return np.asarray((np.nan_to_num(span.excess_db) - self._centre) / self._spread)

    def measure_breadth(self, span: Span) -> DoubleArray:
        """Return how far the cells of each row are raised together, beyond what rows without addition are:
        float64 (rows,).
        """
        return np.where(span.buried, -np.inf, self._sum_row(span) - self._usual)

    def _sum_row(self, span: Span) -> DoubleArray:
        # What the row's own level does to all of them is taken out.
        middle = slice(self._profile.first_middle, self._profile.first_high)
        weights = np.nan_to_num(span.expected[:, middle])
        risen = np.nan_to_num(span.excess_db[:, middle]) - self._centre[middle]
        level = (weights * risen).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-13)
        level = np.clip(level, -MOST_LEVEL_DB, MOST_LEVEL_DB)
        wide = slice(self._profile.first_middle - 1, self._profile.first_high + 1)
        sizes = (self.measure(span) - level[:, None] / self._spread)[:, wide]
        return np.asarray(np.clip(sizes, *BREADTH_LIMITS).sum(axis=1))


def find_runs(gains: DoubleArray) -> list[tuple[int, int]]:
    """Runs of rows whose gains are worth the cost of two changes, by Viterbi over two states."""
    count = len(gains)
    back = np.zeros((count, 2), np.int8)
    plain, high = 0.0, -CHANGE_COST
    for row in range(count):
        from_plain, from_high = plain, high
        back[row, 0] = from_high - CHANGE_COST > from_plain
        back[row, 1] = from_high >= from_plain - CHANGE_COST
        plain = max(from_plain, from_high - CHANGE_COST)
        high = max(from_high, from_plain - CHANGE_COST) + gains[row]
    state = int(high - CHANGE_COST > plain)
    flags = np.zeros(count + 2, np.int8)
    for row in range(count - 1, -1, -1):
        flags[row + 1] = state
        state = int(back[row, state])
    edges = np.flatnonzero(np.diff(flags))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
