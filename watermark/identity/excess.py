"""Sound that was added: where a query is louder, band by band, than the track can make it.

Every intact row of 0.2 s and column is expected at the track's level times the query's gain, plus its
stationary noise (`channel.py`). What exceeds that over some rows was laid on top. Levels hold within half a
dB after MP3 64, so speech 12 dB under music shows; a tone shows though it moves hardly any sign bit.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .channel import ROUNDING, fit_channel, pair_rows
from .outcome import Placement, Sketch
from .pieces import Piece
from .sketch import SketchQuery
from .sketch_profile import SketchProfile

DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A column so far under the loudest of its row is masked, and a codec does with it what it likes.
MASKED_DB = 18.0
# A row is buried when in this share of its columns the noise is stronger than the track.
BURIED_SHARE = 0.6
# A cell so far under what is expected is lower than the track, if that is at least of this power.
LOWERED_DB = -1.5
LEAST_MISSED = 1e-8
# A single cell counts for at most so much in a mean deviation.
MOST_DEVIATION_DB = 8.0
# Power under which nothing outside the ear's range is told.
UNHEARD_LEAST_DB = -70.0
# How much of the bass counts as spread into infrasound: what three rows in four have, at most -15 dB. With
# more rows a tone that was added to an eighth of a recording would be taken for the codec's.
LEAK_QUANTILE = 0.75
MOST_LEAK = 10**-1.5


@dataclass(frozen=True)
class Span:
    """A stretch of the query on one line, gaps in it included, with its rows of the track.

    Parameters
    ----------
    line : int
    shift_s : float
        Track seconds less seconds of the query on the track's scale.
    first_row : int
    excess_db : float64 (rows, columns)
        Level over what is expected; NaN where not measured.
    matched : bool (rows,)
        Rows that lie wholly in intact pieces.
    buried : bool (rows,)
        Rows in which the track lies under the query's noise.
    expected, found : float64 (rows, columns)
        Powers.
    """

    line: int
    shift_s: float
    first_row: int
    excess_db: DoubleArray
    matched: BoolArray
    buried: BoolArray
    expected: DoubleArray
    found: DoubleArray


def measure_excess(
    query: SketchQuery, track: Sketch, warp: Placement, intact: list[Piece]
) -> tuple[Span, ...]:
    """Compare the levels of query and track along the intact pieces, given in order."""
    rows = pair_rows(query, track, warp, intact)
    profile = query.profile
    found, held = [one.found for one in rows], [one.held for one in rows]
    gain, noise = fit_channel(rows, profile)
    leak = _fit_leak(np.concatenate(found), np.concatenate(held) * gain, profile)
    spans = []
    for one, powers, track_powers in zip(rows, found, held, strict=True):
        expected = gain * track_powers + noise
        expected[:, 0] += leak * np.nan_to_num(powers[:, 1 : profile.first_middle]).sum(axis=1)
        excess = 10 * np.log10(np.maximum(powers, 1e-13) / expected)
        middle = slice(profile.first_middle, profile.first_high)
        under = (gain * track_powers)[:, middle] < noise[middle]
        buried = under.mean(axis=1) > BURIED_SHARE
        spans.append(Span(one.line, one.shift_s, one.first, excess, one.matched, buried, expected, powers))
    return tuple(spans)


def _fit_leak(found: DoubleArray, held: DoubleArray, profile: SketchProfile) -> float:
    """Share of the bass that a codec spreads under 20 Hz, beyond what the track has there: Opus -20 dB of it,
    most codecs nothing.
    """
    bass = found[:, 1 : profile.first_middle].sum(axis=1)
    loud = bass > 10 ** (UNHEARD_LEAST_DB / 10)
    if not loud.any():
        return 0.0
    more = np.maximum(found[loud, 0] - ROUNDING * held[loud, 0], 0.0)
    return min(MOST_LEAK, float(np.quantile(more / bass[loud], LEAK_QUANTILE)))


def share_lowered(span: Span, start_row: float, end_row: float, profile: SketchProfile) -> float:
    """Share of cells that are clearly quieter than the track, of rows wholly between two places.

    Near 0 where something lies on top, near a half where something else stands in its place; NaN without
    rows.
    """
    first = max(0, int(np.ceil(start_row)) - span.first_row)
    last = int(np.floor(end_row)) - span.first_row
    middle = slice(profile.first_middle, profile.first_high)
    cells = span.excess_db[first : max(first, last), middle]
    # Where next to nothing is expected, nothing can be missing.
    missing = (cells < LOWERED_DB) & (span.expected[first : max(first, last), middle] > LEAST_MISSED)
    known = np.isfinite(cells)
    return float(missing[known].mean()) if known.any() else float("nan")


def largest_rise_db(span: Span, start_row: float, end_row: float, profile: SketchProfile) -> float:
    """Largest excess over rows between two places, of columns that the row's loudest does not mask; NaN
    without rows.
    """
    rows, heard = _rows_heard(span, start_row, end_row, profile)
    cells = span.excess_db[rows, profile.first_middle : profile.first_high]
    known = cells[np.isfinite(cells) & heard]
    return float(known.max()) if len(known) else float("nan")


def mean_deviation_db(span: Span, start_row: float, end_row: float, profile: SketchProfile) -> float:
    """How far levels lie from what is expected, mean size in dB over rows between two places.

    Columns that the row's loudest masks are left out; NaN without rows.
    """
    rows, heard = _rows_heard(span, start_row, end_row, profile)
    cells = span.excess_db[rows, profile.first_middle : profile.first_high]
    known = np.abs(cells[np.isfinite(cells) & heard])
    return float(np.minimum(known, MOST_DEVIATION_DB).mean()) if len(known) else float("nan")


def _rows_heard(
    span: Span, start_row: float, end_row: float, profile: SketchProfile
) -> tuple[slice, BoolArray]:
    """Rows between two places, and their cells that the row's loudest does not mask."""
    first = max(0, int(start_row) - span.first_row)
    rows = slice(first, max(first, int(np.ceil(end_row)) - span.first_row))
    middle = slice(profile.first_middle, profile.first_high)
    found, expected = np.nan_to_num(span.found[rows, middle]), span.expected[rows, middle]
    least = 10 ** (-MASKED_DB / 10) * found.max(axis=1, initial=0.0, keepdims=True)
    return rows, (found > least) | (expected > least)
