"""Sound that was added: where a query is louder, band by band, than the track can make it.

Every intact row of 0.2 s and column is expected at the track's level times the query's gain, plus its
stationary noise; both are fitted. What exceeds that over some rows was laid on top. Levels hold within half a
dB after MP3 64, so speech 12 dB under music shows; a tone shows though it moves hardly any sign bit.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .outcome import Placement, Sketch
from .pieces import SAME_LINE_S, Piece
from .sketch import SketchQuery, stored_levels, warp_levels
from .sketch_profile import SketchProfile

DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Levels under which nothing is expected: what lies under -90 dB is rounding, dither or a codec's own.
FLOOR_DB = -90.0
# Noise power in a bin of the spectrogram is that of so many Hz; mixing two channels halves it.
BIN_HZ = 11.7
MONO_LOSS = 2.0
# Stored levels are rounded to half a dB, which is no noise.
ROUNDING = 1.12
# The spread of what is no addition: never taken for less than this, and widened over the median deviation.
LEAST_SPREAD_DB = 0.4
SPREAD_WIDENING = 1.8
# Gain of a row for being raised: the two largest excesses in spreads, each at most so many, less the bias.
MOST_SPREADS = 12.0
ROW_BIAS = 5.0
ROW_LIMITS = (-4.0, 8.0)
CHANGE_COST = 5.0
# A column so far under the loudest of its row is masked, and a codec does with it what it likes.
MASKED_DB = 18.0
# A row is buried when in this share of its columns the noise is stronger than the track.
BURIED_SHARE = 0.6
# A cell so far under what is expected is lower than the track, if that is at least of this power.
LOWERED_DB = -1.5
LEAST_MISSED = 1e-8
# A single cell counts for at most so much in a mean deviation.
MOST_DEVIATION_DB = 8.0
# What nobody hears: at least so loud, about so much over what is expected, over so many rows.
UNHEARD_LEAST_DB = -70.0
UNHEARD_EXCESS_DB = 5.0
UNHEARD_SLOPE = 0.7
UNHEARD_LIMITS = (-2.0, 4.0)
UNHEARD_ROWS = 3
ULTRASOUND_HZ = 16_000.0
# How much of the bass counts as spread into infrasound: what nine rows in ten have, at most -15 dB.
LEAK_QUANTILE = 0.9
MOST_LEAK = 10**-1.5
# Noise over the whole range is no ultrasound: the power per Hz that was added there must be so many times
# that added in the treble.
UNHEARD_RATIO = 4.0


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


@dataclass(frozen=True)
class Raised:
    """Rows `first` to `last` of a span that are louder than they can be; `column` is the one that is most."""

    span: Span
    first: int
    last: int
    column: int
    band: str


def measure_excess(
    query: SketchQuery, track: Sketch, warp: Placement, intact: list[Piece]
) -> tuple[Span, ...]:
    """Compare the levels of query and track along the intact pieces, given in order."""
    groups: list[list[Piece]] = []
    for piece in intact:
        if groups and abs(groups[-1][-1].shift_s - piece.shift_s) < SAME_LINE_S:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    profile = query.profile
    stored = np.asarray(stored_levels(track, profile), np.float64)
    rows = []
    for group in groups:
        placement = Placement(group[0].shift_s, warp.time_scale, warp.pitch_semitones)
        levels = np.asarray(warp_levels(query, placement, len(stored)), np.float64)
        first = int(np.ceil(group[0].track_start_s / profile.stored_row_s + 0.25))
        last = int(np.floor(group[-1].track_end_s / profile.stored_row_s - 0.25))
        first, last = max(0, first), min(len(stored), last)
        rows.append((group, first, max(first, last), levels))
    matched = [_matched_rows(group, first, last, profile.stored_row_s) for group, first, last, _ in rows]
    found = [10 ** (levels[first:last] / 10) for _, first, last, levels in rows]
    held = [10 ** (stored[first:last] / 10) for _, first, last, _ in rows]
    gain, noise = _fit(np.concatenate(found), np.concatenate(held), np.concatenate(matched), profile)
    leak = _fit_leak(np.concatenate(found), profile)
    spans = []
    for (group, first, _, _), flags, powers, track_powers in zip(rows, matched, found, held, strict=True):
        expected = gain * track_powers + noise
        expected[:, 0] += leak * np.nan_to_num(powers[:, 1 : profile.first_middle]).sum(axis=1)
        excess = 10 * np.log10(np.maximum(powers, 1e-13) / expected)
        middle = slice(profile.first_middle, profile.first_high)
        under = (gain * track_powers)[:, middle] < noise[middle]
        buried = under.mean(axis=1) > BURIED_SHARE
        spans.append(Span(group[0].line, group[0].shift_s, first, excess, flags, buried, expected, powers))
    return tuple(spans)


def _matched_rows(group: list[Piece], first: int, last: int, row_s: float) -> BoolArray:
    starts = np.arange(first, last) * row_s
    inside = np.zeros(len(starts), np.bool_)
    for piece in group:
        inside |= (starts >= piece.track_start_s + 0.1) & (starts + row_s <= piece.track_end_s - 0.1)
    return inside


def _fit(
    found: DoubleArray, held: DoubleArray, matched: BoolArray, profile: SketchProfile
) -> tuple[DoubleArray, DoubleArray]:
    """Gain of each column, from its louder intact rows, and its noise, from the quietest of all: float64
    (columns,) both.

    Columns outside the spectrogram's range take the gain of the middle ones: what was added there from end
    to end must not pass for gain.
    """
    columns = found.shape[1]
    gain, noise = np.ones(columns), np.full(columns, 10 ** (FLOOR_DB / 10))
    if np.count_nonzero(matched) < 5:
        return gain, noise
    middle = range(profile.first_middle, profile.first_high)
    for column in middle:
        known = np.isfinite(found[:, column]) & np.isfinite(held[:, column]) & (held[:, column] > 0)
        if np.count_nonzero(known) < 5:
            continue
        powers, references = found[known, column], held[known, column]
        loud = (references >= np.quantile(references, 0.6)) & matched[known]
        if not loud.any():
            continue
        gain[column] = np.median(powers[loud] / references[loud])
        # Stationary noise is what is left where the track is quietest, and never more than the least heard.
        quiet = references <= np.quantile(references, max(0.05, min(1.0, 8 / len(references))))
        rest = np.maximum(powers[quiet] - ROUNDING * gain[column] * references[quiet], 0.0)
        noise[column] += min(float(np.quantile(rest, 0.75)), 1.2 * float(np.quantile(powers, 0.05)))
    whole = float(np.median(gain[profile.first_middle : profile.first_high]))
    # Noise goes on beside the spectrogram's range at the density that it has where it is seen best.
    fitted = max(0.0, float(noise[profile.first_middle : profile.first_high].max()) - 10 ** (FLOOR_DB / 10))
    low_hz, high_hz = np.diff(profile.low_edges_hz), np.diff(profile.high_edges_hz)
    widths = np.concatenate((low_hz, np.zeros(profile.middle_columns), high_hz))
    for column in range(columns):
        if column not in middle:
            gain[column] = whole
            noise[column] += MONO_LOSS * fitted / BIN_HZ * widths[column]
    return gain, noise


def _fit_leak(found: DoubleArray, profile: SketchProfile) -> float:
    """Share of the bass that a codec spreads under 20 Hz: Opus -20 dB of it, most codecs nothing."""
    bass = found[:, 1 : profile.first_middle].sum(axis=1)
    loud = bass > 10 ** (UNHEARD_LEAST_DB / 10)
    if not loud.any():
        return 0.0
    return min(MOST_LEAK, float(np.quantile(found[loud, 0] / bass[loud], LEAK_QUANTILE)))


def find_raised(spans: tuple[Span, ...], profile: SketchProfile) -> tuple[Raised, ...]:
    """Find rows that are raised in the range of the spectrogram, gaps between pieces included."""
    middle = slice(profile.first_middle, profile.first_high)
    plain = np.concatenate([span.excess_db[span.matched & ~span.buried, middle] for span in spans])
    if len(plain) < 5:
        return ()
    with np.errstate(invalid="ignore"):
        centre = np.nan_to_num(np.nanmedian(np.where(np.isfinite(plain), plain, 0.0), axis=0))
        deviation = np.nanmedian(np.abs(np.nan_to_num(plain) - centre), axis=0)
    spread = np.maximum(LEAST_SPREAD_DB, SPREAD_WIDENING * 1.4826 * deviation)
    raised = []
    for span in spans:
        sizes = np.nan_to_num((span.excess_db[:, middle] - centre) / spread, nan=0.0)
        found = np.nan_to_num(span.found[:, middle])
        masked = found < 10 ** (-MASKED_DB / 10) * found.max(axis=1, keepdims=True)
        sizes = np.where(masked, np.minimum(sizes, 1.0), sizes)
        sizes = np.where(span.buried[:, None], np.minimum(sizes, 1.0), np.clip(sizes, -3, MOST_SPREADS))
        top = np.sort(sizes, axis=1)[:, -2:].sum(axis=1)
        gains = np.clip(top - ROW_BIAS, *ROW_LIMITS)
        for first, last in _raised_runs(gains):
            column = int(np.nansum(sizes[first:last], axis=0).argmax()) + profile.first_middle
            raised.append(Raised(span, first, last, column, "audible"))
    return tuple(raised)


def find_unheard(spans: tuple[Span, ...], profile: SketchProfile) -> tuple[Raised, ...]:
    """Find what was added under 20 and over 16,000 Hz."""
    top = profile.first_high
    bass_hz = profile.low_edges_hz[-1] - profile.low_edges_hz[1]
    treble_hz = profile.high_edges_hz[2] - profile.high_edges_hz[0]
    # Column, band, its width, the columns beside it that noise would fill as well, and their width.
    places = [(0, "infrasonic", 18.0, slice(1, profile.first_middle), bass_hz)]
    for place, low_hz in enumerate(profile.high_edges_hz[:-1]):
        if low_hz >= ULTRASOUND_HZ:
            width_hz = min(profile.high_edges_hz[place + 1], 24_000.0) - low_hz
            places.append((top + place, "ultrasonic", width_hz, slice(top, top + 2), treble_hz))
    raised = []
    for column, band, width_hz, beside, beside_hz in places:
        for span in spans:
            added = np.maximum(np.nan_to_num(span.found - span.expected), 0.0)
            density = added[:, beside].sum(axis=1) / beside_hz
            excess = np.nan_to_num(span.excess_db[:, column])
            gains = np.clip((excess - UNHEARD_EXCESS_DB) * UNHEARD_SLOPE, *UNHEARD_LIMITS)
            loud = np.nan_to_num(span.found[:, column]) > 10 ** (UNHEARD_LEAST_DB / 10)
            narrow = added[:, column] / width_hz > UNHEARD_RATIO * density
            gains = np.where(loud & narrow, gains, UNHEARD_LIMITS[0])
            for first, last in _raised_runs(gains):
                if last - first >= UNHEARD_ROWS:
                    raised.append(Raised(span, first, last, column, band))
    return tuple(raised)


def _raised_runs(gains: DoubleArray) -> list[tuple[int, int]]:
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


def mean_deviation_db(span: Span, start_row: float, end_row: float, profile: SketchProfile) -> float:
    """How far levels lie from what is expected, mean size in dB over rows between two places.

    Columns that the row's loudest masks are left out; NaN without rows.
    """
    first = max(0, int(start_row) - span.first_row)
    rows = slice(first, max(first, int(np.ceil(end_row)) - span.first_row))
    middle = slice(profile.first_middle, profile.first_high)
    cells, found = span.excess_db[rows, middle], np.nan_to_num(span.found[rows, middle])
    heard = found > 10 ** (-MASKED_DB / 10) * found.max(axis=1, initial=0.0, keepdims=True)
    heard |= span.expected[rows, middle] > 10 ** (-MASKED_DB / 10) * found.max(
        axis=1, initial=0.0, keepdims=True
    )
    known = np.abs(cells[np.isfinite(cells) & heard])
    return float(np.minimum(known, MOST_DEVIATION_DB).mean()) if len(known) else float("nan")
