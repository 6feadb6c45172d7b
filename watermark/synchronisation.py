"""Finding a mark's alignment: time scale, pitch shift and place in the block, from the synchronisation
pattern.

On the log-frequency plane a pitch shift is a translation and a tempo change a scaling of time. For each time
scale the plane is read in fractions of a column, folded over the length of a block, and correlated with the
pattern by one two-dimensional FFT, which gives the statistic of every shift and every place at once (DESIGN:
the search; the idea of reading scale off a log-frequency pattern is Xiang et al. 2014). The best few are
then refined by reading the cells exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .correlation import MARGIN_BANDS, Correlation
from .layout import Layout
from .profile import Profile
from .segment import Placement, Segment, read_cells, score, sync_statistic

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# Natural log of the time scales searched: 0.74 .. 1.35.
LOG_SCALE_LIMIT = 0.3
# A neighbouring scale may drift this much over the segment, in columns, from its middle to its ends.
DRIFT_COLUMNS = 0.75
# How much likelier another scale or pitch must be than "not sped up" or "not shifted" to be believed.
PLAIN_NATS = 3.0
# Candidates kept of each scale and of the search.
PEAKS_PER_SCALE = 3
# So many placements at least are refined to the end.
LEAST_REFINED = 2
# Placements whose blocks begin closer than this (0.17 s) are near copies of one another.
NEAR_FRAMES = 15


def scales_for(profile: Profile, frames: int) -> DoubleArray:
    """Return the time scales of a full search over `frames` frames, spaced so that none drifts by more than
    DRIFT_COLUMNS.
    """
    columns = frames / profile.frames_per_column
    step = min(max(2 * DRIFT_COLUMNS / max(columns, 1.0), 0.0015), 0.02)
    count = int(np.ceil(LOG_SCALE_LIMIT / step))
    return np.exp(np.arange(-count, count + 1, dtype=np.float64) * (LOG_SCALE_LIMIT / count))


def search(
    segment: Segment,
    layout: Layout,
    scales: Sequence[float] | DoubleArray,
    keep: int,
    span: tuple[int, int] | None = None,
    *,
    peaks: int = PEAKS_PER_SCALE,
) -> list[Placement]:
    """Return the `keep` best placements of the pilot over `scales`, all shifts and all places, best first,
    unrefined; which block is which is not known of them.

    At most `peaks` come from each scale. Only the frames of `span` (first, stop) are looked at; by default
    all of them.
    """
    profile = layout.profile
    first_frame, stop_frame = span or (0, segment.frames)
    found: list[Placement] = []
    for correlation in segment.correlate(layout, scales, first_frame, stop_frame):
        found += _peaks(correlation, profile.search_steps, peaks)
    found = [replace(p, start_frames=p.start_frames + first_frame).wrapped(profile) for p in found]
    found.sort(key=lambda placement: -placement.statistic)
    return _distinct(found, keep)


def settle(segment: Segment, layout: Layout, placement: Placement) -> Placement:
    """Return the placement with its beginning moved to the best statistic near it: scale and pitch stay."""
    profile = layout.profile
    best = score(segment, layout, placement)
    for move in profile.frames_per_column / (2 * profile.search_steps) * np.array([1.0, 0.5, 0.25]):
        for start in (best.start_frames - move, best.start_frames + move):
            best = _better(segment, layout, best, replace(best, start_frames=float(start)))
    return best.wrapped(profile)


def refine(
    segment: Segment,
    layout: Layout,
    placements: Sequence[Placement],
    span: tuple[int, int] | None = None,
) -> list[Placement]:
    """Return the placements moved to the best statistics near them, by coordinates, reading the cells
    exactly; best first.

    Moves get smaller from pass to pass, and only the better half goes on to the next: a true placement leads
    false ones by more than the last passes can give. `span` is what the search looked at.
    """
    profile = layout.profile
    first_frame, stop_frame = span or (0, segment.frames)
    columns = (stop_frame - first_frame) / profile.frames_per_column
    steps = _Steps(
        scale=min(max(DRIFT_COLUMNS / max(columns, 1.0), 0.00075), 0.01),
        start_frames=profile.frames_per_column / (2 * profile.search_steps),
        shift_bands=0.25,
        middle=(first_frame + stop_frame) / 2,
    )
    found = [score(segment, layout, placement) for placement in placements]
    going = len(found)
    for shrink in (1.0, 0.5, 0.25):
        found[:going] = [_climb(segment, layout, best, steps, shrink) for best in found[:going]]
        found.sort(key=lambda placement: -placement.statistic)
        going = min(max((going + 1) // 2, LEAST_REFINED), len(found))
    plain = [_plainest(segment, layout, placement, steps.middle) for placement in found]
    return sorted((p.wrapped(profile) for p in plain), key=lambda placement: -placement.statistic)


@dataclass(frozen=True)
class _Steps:
    """The moves of the first pass of a refinement, and the frame that stays when the scale moves."""

    scale: float
    start_frames: float
    shift_bands: float
    middle: float


def _climb(segment: Segment, layout: Layout, best: Placement, steps: _Steps, shrink: float) -> Placement:
    """Return the best of a placement and those at one move each of scale, beginning and pitch."""
    for scale in best.scale * (1 + steps.scale * shrink * np.array([-1.0, -0.5, 0.5, 1.0])):
        start = steps.middle - (steps.middle - best.start_frames) * best.scale / scale
        best = _better(segment, layout, best, replace(best, scale=float(scale), start_frames=float(start)))
    start = best.start_frames
    for move in (-steps.start_frames * shrink, steps.start_frames * shrink):
        best = _better(segment, layout, best, replace(best, start_frames=start + move))
    shift = best.shift_bands
    for move in (-steps.shift_bands * shrink, steps.shift_bands * shrink):
        moved = min(max(shift + move, -MARGIN_BANDS), MARGIN_BANDS - 0.001)
        best = _better(segment, layout, best, replace(best, shift_bands=moved))
    return best


def _plainest(segment: Segment, layout: Layout, best: Placement, middle: float) -> Placement:
    """Return the placement without its change of speed or pitch where that explains the segment as well."""
    unsped = replace(best, scale=1.0, start_frames=middle - (middle - best.start_frames) * best.scale)
    for plain in (unsped, replace(best, shift_bands=0.0)):
        statistic = sync_statistic(read_cells(segment, layout, plain), layout)
        if statistic > 0 and statistic**2 >= best.statistic**2 - 2 * PLAIN_NATS:
            best = replace(plain, statistic=statistic)
    return best


def _better(segment: Segment, layout: Layout, best: Placement, other: Placement) -> Placement:
    statistic = sync_statistic(read_cells(segment, layout, other), layout)
    return replace(other, statistic=statistic) if statistic > best.statistic else best


def _peaks(correlation: Correlation, steps_per_column: int, count: int) -> list[Placement]:
    """Return the placements of the largest values that do not lie beside a larger one."""
    values = correlation.values
    looked_at = 4 * count  # a peak is several of the largest values wide
    order = np.argpartition(values.ravel(), -looked_at)[-looked_at:]
    order = order[np.argsort(-values.ravel()[order])]
    peaks: list[Placement] = []
    for flat in order:
        step, shift, half = np.unravel_index(flat, values.shape)
        placement = Placement(
            scale=correlation.scale,
            shift_bands=float(shift) - MARGIN_BANDS + 0.5 * float(half),
            start_frames=float(step) * correlation.step_frames,
            statistic=float(values[step, shift, half]),
        )
        if all(
            abs(p.shift_bands - placement.shift_bands) > 1
            or abs(p.start_frames - placement.start_frames) > 2 * steps_per_column * correlation.step_frames
            for p in peaks
        ):
            peaks.append(placement)
    return peaks[:count]


def _distinct(found: list[Placement], keep: int) -> list[Placement]:
    """Return the first `keep` placements that are no near copy of one before them."""
    distinct: list[Placement] = []
    for placement in found:
        near = any(
            abs(np.log(p.scale / placement.scale)) < 0.012
            and abs(p.shift_bands - placement.shift_bands) <= 1
            and abs(p.start_frames - placement.start_frames) < NEAR_FRAMES
            for p in distinct
        )
        if not near:
            distinct.append(placement)
        if len(distinct) == keep:
            break
    return distinct


def placements_searched(profile: Profile, scales: int, refined: int) -> int:
    """Return how many placements a search over `scales` scales and the refinement of `refined` of them
    tries.
    """
    steps = profile.period_columns * profile.search_steps
    return scales * steps * 2 * (2 * MARGIN_BANDS + 1) + 30 * refined
