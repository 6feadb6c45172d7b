"""Where the marks of one synchronisation key lie in a signal, segment by segment.

    segment -> placements by the synchronisation pattern -> cells, and cells along paths over cuts

Every segment finds its own placements, so drift, cuts and reordering between segments do no harm. All keys
that share the synchronisation half read the same cells: the search is made once for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .false_alarm import presence_log_probability
from .layout import Layout
from .synchronisation import (
    Placement,
    Segment,
    placements_searched,
    read_cells,
    refine,
    scales_for,
    search,
    settle,
    sync_statistic,
)
from .tracking import follow

FloatArray = npt.NDArray[np.float32]

# Placements of the full search that are refined, and those whose cells are kept for decoding.
REFINED = 6
KEPT = 4
# Placements from which cuts are followed.
FOLLOWED = 3
# A lead to follow where the search has none: no change of scale or pitch, any place.
UNTOUCHED = Placement(scale=1.0, shift_bands=0.0, start_frames=0.0, statistic=0.0)
# What a nudge and a jump of a path must add to the statistic to be worth believing: what they add by chance
# on unmarked music.
NUDGE_COST = 0.35
JUMP_COST = 0.55
# The full search looks at the middle of a segment alone, unless the segment is all there is.
SEARCHED_S = 9.0
# A mark that stands this plainly, and in every quarter of the segment by nearly its part, was not cut there:
# following paths would only cost.
PLAIN_STATISTIC = 16.0
PLAIN_SHARE = 0.75
# Bound under which a placement found without the full search is taken to be the mark.
QUICK_LOG_PROBABILITY = float(np.log(1e-5))


@dataclass(frozen=True)
class Reading:
    """A placement in a segment and the cells read at it, or along a path that leads on from it."""

    placement: Placement
    # In single precision: an hour of segments is kept.
    cells: FloatArray
    statistic: float
    # What a path gains by its freedom alone.
    freedom: float = 0.0

    @property
    def rank(self) -> float:
        """The statistic, less what a path gains by its freedom alone."""
        return self.statistic - self.freedom


@dataclass(frozen=True)
class SegmentReadings:
    """What was read of one segment, best first."""

    start_s: float
    end_s: float
    readings: tuple[Reading, ...]
    # Of the best single placement: paths are not counted in the stated probability of presence.
    placement_statistic: float

    @property
    def best(self) -> Reading:
        """The reading of the highest rank."""
        return self.readings[0]


class Finder:
    """The readings of a signal under one synchronisation key and one profile."""

    def __init__(self, layout: Layout) -> None:
        self.segments: list[SegmentReadings] = []
        # How many placements were tried in all.
        self.placements = 0
        self._layout = layout
        self._tracked: tuple[float, ...] = ()

    def read(self, segment: Segment, start_s: float, end_s: float, *, alone: bool) -> bool:
        """Find placements in the segment: the usual scales first, the full search if those show nothing.

        `alone`: the segment is the whole signal. Return whether the pattern is plainly there.
        """
        found, log_p = self._placed(segment, (1.0, *self._tracked), None, refined=1)
        leads = found
        if log_p > QUICK_LOG_PROBABILITY:
            span = _middle(segment, segment.frames if alone else round(SEARCHED_S / segment.hop_s))
            scales = tuple(scales_for(segment.profile, span[1] - span[0]))
            quick = found
            found, log_p = self._placed(segment, scales, span, refined=REFINED)
            found = sorted([*found, *quick], key=lambda p: -p.statistic)
            # Cut to pieces and otherwise untouched, no single placement may stand out: so follow that, too.
            leads = [*found[:FOLLOWED], UNTOUCHED]
        if not found:
            return False
        if log_p <= QUICK_LOG_PROBABILITY and found[0].scale != 1.0:
            self._tracked = (found[0].scale,)
        readings = [
            Reading(p, read_cells(segment, self._layout, p).astype(np.float32), p.statistic) for p in found
        ]
        for lead in () if self._is_plain(segment, found[0]) else leads:
            path = follow(segment, self._layout, lead)
            if len(path.runs) > 1:
                freedom = NUDGE_COST * path.nudges + JUMP_COST * path.jumps
                cells = path.cells.astype(np.float32)
                readings.append(Reading(path.runs[0].placement, cells, path.statistic, freedom))
        # The best single placement is kept whatever the paths say.
        others = sorted(readings[1:], key=lambda reading: -reading.rank)[:KEPT]
        kept = sorted([readings[0], *others], key=lambda reading: -reading.rank)
        self.segments.append(SegmentReadings(start_s, end_s, tuple(kept), found[0].statistic))
        return log_p <= QUICK_LOG_PROBABILITY

    def _is_plain(self, segment: Segment, placement: Placement) -> bool:
        """Say whether the pattern lies at one placement from the segment's beginning to its end."""
        if placement.statistic < PLAIN_STATISTIC:
            return False
        edges = [segment.frames * quarter / 4 for quarter in range(5)]
        least = PLAIN_SHARE * placement.statistic / 2  # a quarter of the cells has half the statistic
        return all(
            sync_statistic(read_cells(segment, self._layout, placement, first, last), self._layout) >= least
            for first, last in pairwise(edges)
        )

    def _placed(
        self, segment: Segment, scales: Sequence[float], span: tuple[int, int] | None, *, refined: int
    ) -> tuple[list[Placement], float]:
        rough = search(segment, self._layout, scales, refined, span)
        tried = placements_searched(self._layout.profile, len(scales), refined)
        self.placements += tried
        if rough and rough[0].scale == 1.0 and rough[0].shift_bands == 0.0:
            # Nearly all clips are neither sped up nor shifted: where that explains one well, enough is known.
            plain = settle(segment, self._layout, rough[0])
            log_p = presence_log_probability(plain.statistic, tried)
            if log_p <= QUICK_LOG_PROBABILITY:
                return [plain], log_p
        found = sorted((refine(segment, self._layout, p, span) for p in rough), key=lambda p: -p.statistic)
        return found, presence_log_probability(found[0].statistic, tried) if found else 0.0


def _middle(segment: Segment, frames: int) -> tuple[int, int]:
    """Return the first and the stop frame of the middle `frames` of a segment."""
    first = max((segment.frames - frames) // 2, 0)
    return first, min(first + frames, segment.frames)
