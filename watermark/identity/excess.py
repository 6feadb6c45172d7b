"""Sound that was added: where a query is louder, band by band, than the track can make it.

Every intact row of 0.2 s and column is expected at the track's level times the query's gain, plus its
stationary noise (`channel.py`). What exceeds that over some rows was laid on top. Levels hold within half a
dB after MP3 64, so speech 12 dB under music shows; a tone shows though it moves hardly any sign bit.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .channel import fit_channel, pair_rows
from .outcome import Placement, Sketch
from .pieces import Piece
from .sketch import SketchQuery
from .sketch_profile import SketchProfile

DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A column so far under the loudest of its row is masked, and a codec does with it what it likes.
MASKED_DB = 18.0
# What is loudest outside the spectrogram's range, bass above all, masks what is in it as if it were lower by
# so much: under loud bass Opus fills what is 42 dB and more down, for as long as the bass lasts.
OUTER_MASK_DB = 24.0
# A row is buried when in this share of its columns the noise is stronger than the track.
BURIED_SHARE = 0.6
# A cell so far under what is expected is lower than the track, if that is at least of this power.
LOWERED_DB = -1.5
LEAST_MISSED = 1e-8
# A single cell counts for at most so much in a mean deviation.
MOST_DEVIATION_DB = 8.0


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
    played : float64 (rows, columns)
        The part of what is expected that is the track's, at the query's gain.
    """

    line: int
    shift_s: float
    first_row: int
    excess_db: DoubleArray
    matched: BoolArray
    buried: BoolArray
    expected: DoubleArray
    found: DoubleArray
    played: DoubleArray


def measure_excess(
    query: SketchQuery, track: Sketch, warp: Placement, intact: list[Piece]
) -> tuple[Span, ...]:
    """Compare the levels of query and track along the intact pieces, given in order."""
    rows = pair_rows(query, track, warp, intact)
    profile = query.profile
    found, held = [one.found for one in rows], [one.held for one in rows]
    gain, noise = fit_channel(rows, profile)
    spans = []
    for one, powers, track_powers in zip(rows, found, held, strict=True):
        played = gain * track_powers
        expected = played + noise
        excess = 10 * np.log10(np.maximum(powers, 1e-13) / expected)
        middle = slice(profile.first_middle, profile.first_high)
        buried = (played[:, middle] < noise[middle]).mean(axis=1) > BURIED_SHARE
        spans.append(
            Span(one.line, one.shift_s, one.first, excess, one.matched, buried, expected, powers, played)
        )
    return tuple(spans)


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
    """Largest excess over rows between two places, of columns that are not masked; NaN without rows, and
    minus infinity where all are masked.
    """
    rows, heard = _rows_heard(span, start_row, end_row, profile)
    cells = span.excess_db[rows, profile.first_middle : profile.first_high]
    known = np.isfinite(cells)
    if not known.any():
        return float("nan")
    return float(cells[known & heard].max(initial=-np.inf))


def mean_deviation_db(span: Span, start_row: float, end_row: float, profile: SketchProfile) -> float:
    """How far levels lie from what is expected, mean size in dB over rows between two places.

    Columns that are masked are left out: 0 where all are. NaN without rows.
    """
    rows, heard = _rows_heard(span, start_row, end_row, profile)
    cells = span.excess_db[rows, profile.first_middle : profile.first_high]
    known = np.isfinite(cells)
    if not known.any():
        return float("nan")
    sizes = np.minimum(np.abs(cells[known & heard]), MOST_DEVIATION_DB)
    return float(sizes.mean()) if len(sizes) else 0.0


def find_masking(powers: DoubleArray, profile: SketchProfile) -> DoubleArray:
    """Return the power that masks the cells of each row in the spectrogram's range: float64 (rows, 1).

    That of the loudest of them, or of what is loudest outside, OUTER_MASK_DB down.
    """
    powers = np.nan_to_num(powers)
    middle = powers[:, profile.first_middle : profile.first_high].max(axis=1, initial=0.0, keepdims=True)
    everywhere = powers.max(axis=1, initial=0.0, keepdims=True)
    return np.asarray(np.maximum(middle, 10 ** (-OUTER_MASK_DB / 10) * everywhere))


def _rows_heard(
    span: Span, start_row: float, end_row: float, profile: SketchProfile
) -> tuple[slice, BoolArray]:
    """Rows between two places, and their cells that are not masked."""
    first = max(0, int(start_row) - span.first_row)
    rows = slice(first, max(first, int(np.ceil(end_row)) - span.first_row))
    middle = slice(profile.first_middle, profile.first_high)
    least = 10 ** (-MASKED_DB / 10) * find_masking(span.found[rows], profile)
    found, expected = np.nan_to_num(span.found[rows, middle]), span.expected[rows, middle]
    return rows, (found > least) | (expected > least)
