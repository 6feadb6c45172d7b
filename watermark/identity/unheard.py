"""What was added where nobody hears it, under 20 and over 16,000 Hz, told by levels.

A lossy codec leaves noise of its own there: Opus, whose lowest band reaches from 0 to 200 Hz, and AAC
spread the bass downwards, up to a tenth of it for a few rows. So what is under 20 Hz has to be more than
that, unless the query's own rows show that its codec leaves the band as it was. A tone is told from noise in
`tones.py`.
"""

import numpy as np
import numpy.typing as npt

from .excess import Span
from .raised import Raised, find_runs
from .sketch_profile import SketchProfile

DoubleArray = npt.NDArray[np.float64]

# Power under which nothing is told.
LEAST_DB = -70.0
# So many times over what is expected as the column's median deviation, within bounds, over so many rows.
SPREADS = 8.0
LEAST_EXCESS_DB = (1.5, 5.0)
SLOPE = 3.5
LIMITS = (-2.0, 4.0)
LEAST_ROWS = 3
ULTRASOUND_HZ = 16_000.0
# Noise over the whole range is no ultrasound: the power per Hz that was added there must be so many times
# that added in the treble.
DENSITY_RATIO = 4.0
# What stands under 20 Hz must be more than these shares of the bass and of all the row has: the first pair
# where three rows in four hold it within FAITHFUL_DB, the second where a codec does not.
FAITHFUL_SHARES = (1e-2, 0.0)
SPREAD_SHARES = (0.1, 0.03)
FAITHFUL_DB = 1.0
# Over 20 kHz it must be more than this share of the column below: at every stroke of a drum Opus leaves 1/100
# of what is loud under 20 kHz above it.
SPREAD_UP_SHARE = 0.03
SPREAD_UP_HZ = 20_000.0


def find_unheard(spans: tuple[Span, ...], profile: SketchProfile) -> tuple[Raised, ...]:
    """Find what was added under 20 and over 16,000 Hz."""
    if not spans:
        return ()
    top = profile.first_high
    bass = slice(1, profile.first_middle)
    bass_hz = profile.low_edges_hz[-1] - profile.low_edges_hz[1]
    raised = _find_column(spans, 0, "infrasonic", bass, 18.0 / bass_hz, _passing(spans, bass))
    treble_hz = profile.high_edges_hz[2] - profile.high_edges_hz[0]
    for place, low_hz in enumerate(profile.high_edges_hz[:-1]):
        if low_hz >= ULTRASOUND_HZ:
            width_hz = min(profile.high_edges_hz[place + 1], 24_000.0) - low_hz
            beside, share, column = slice(top, top + 2), width_hz / treble_hz, top + place
            least = SPREAD_UP_SHARE if low_hz >= SPREAD_UP_HZ else 0.0
            passing = [
                _added(span)[:, column] > least * np.nan_to_num(span.found[:, column - 1]) for span in spans
            ]
            raised += _find_column(spans, column, "ultrasonic", beside, share, passing)
    return tuple(raised)


def _find_column(
    spans: tuple[Span, ...],
    column: int,
    band: str,
    beside: slice,
    share: float,
    passing: list[npt.NDArray[np.bool_]],
) -> list[Raised]:
    """Find runs of rows in which a column is raised and much more was added, per Hz, than `beside` it, which
    is wider by 1 / `share`; only rows that are `passing` count.
    """
    least_db = _least_db(spans, column)
    raised = []
    for span, may in zip(spans, passing, strict=True):
        added = _added(span)
        narrow = added[:, column] > DENSITY_RATIO * share * added[:, beside].sum(axis=1)
        loud = np.nan_to_num(span.found[:, column]) > 10 ** (LEAST_DB / 10)
        excess = np.nan_to_num(span.excess_db[:, column])
        gains = np.clip((excess / least_db - 1) * SLOPE, *LIMITS)
        for first, last in find_runs(np.where(loud & narrow & may, gains, LIMITS[0])):
            if last - first >= LEAST_ROWS:
                raised.append(Raised(span, first, last, column, band))
    return raised


def _passing(spans: tuple[Span, ...], bass: slice) -> list[npt.NDArray[np.bool_]]:
    """Say of each row whether more was added under 20 Hz than a codec leaves there."""
    plain = np.concatenate([span.excess_db[span.matched, 0] for span in spans])
    loud = np.concatenate([span.found[span.matched, 0] for span in spans]) > 10 ** (LEAST_DB / 10)
    changed = np.abs(plain[loud & np.isfinite(plain)])
    faithful = len(changed) > 0 and float(np.quantile(changed, 0.75)) < FAITHFUL_DB
    of_bass, of_all = FAITHFUL_SHARES if faithful else SPREAD_SHARES
    passing = []
    for span in spans:
        found = np.nan_to_num(span.found)
        added = _added(span)[:, 0]
        passing.append((added > of_bass * found[:, bass].sum(axis=1)) & (added > of_all * found.sum(axis=1)))
    return passing


def _added(span: Span) -> DoubleArray:
    return np.asarray(np.maximum(np.nan_to_num(span.found - span.expected), 0.0))


def _least_db(spans: tuple[Span, ...], column: int) -> float:
    """Excess from which a column is raised: several times what is usual in it."""
    plain = np.concatenate([span.excess_db[span.matched, column] for span in spans])
    usual = float(np.median(np.abs(np.nan_to_num(plain)))) if len(plain) else 0.0
    return float(np.clip(SPREADS * usual, *LEAST_EXCESS_DB))
