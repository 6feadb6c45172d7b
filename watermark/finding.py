"""Where the marks of one synchronisation key lie in a signal, segment by segment.

    segment -> placements by the synchronisation pattern -> cells, and cells along paths over cuts

Every segment finds its own placements, so drift, cuts and reordering between segments do no harm. Where
blocks differ, segments that show nothing plainly are also searched together, a few at a time, at the plain
speed and pitch: what each hides in its noise they may show together. All keys that share the synchronisation
half read the same cells: the search is made once for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .false_alarm import presence_log_probability
from .layout import Layout
from .segment import Placement, Segment, read_cells, sync_statistic
from .sequence import (
    Place,
    Rows,
    numbered,
    places_in_sequence,
    read_rows,
    search_rows,
    search_sequence,
    settle_at,
)
from .synchronisation import placements_searched, refine, scales_for, search, settle
from .tracking import follow

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# Placements of the full search that are refined, and those whose cells are kept for decoding.
REFINED = 6
# Where blocks differ, so many placements of the pilot for each one refined are numbered and judged by all
# synchronisation chips; and so many places of the whole sequence are.
NUMBERED = 4
IN_SEQUENCE, SEQUENCE_KEPT = 6, 3
KEPT = 4
# The same for a signal of one segment, of which alone more can be kept.
REFINED_ALONE, KEPT_ALONE = 10, 10
# Numbers of blocks that are read for a placement that is not plain.
LIKELIEST = 3
# Places of a signal of one segment that are judged by their payload cells, since their synchronisation chips
# do not stand out.
FAINT = 120
# Segments that are searched together, and their common placements that are read.
TOGETHER, PLACED_TOGETHER = 3, 4
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


@dataclass(frozen=True)
class _Obscure:
    """A segment that shows nothing plainly: its number, where it begins in the signal, its rows."""

    index: int
    segment: Segment
    start_frames: float
    rows: Rows


class Finder:
    """The readings of a signal under one synchronisation key and one profile."""

    def __init__(self, layout: Layout) -> None:
        self.segments: list[SegmentReadings] = []
        # How many placements were tried in all.
        self.placements = 0
        # Cells of segments that were searched together, summed.
        self.together: list[DoubleArray] = []
        self._group: list[_Obscure] = []
        # Of a signal of one segment that shows nothing plainly: its rows, and where the mark may lie all the
        # same.
        self.faint: tuple[Rows, list[Place]] | None = None
        self._layout = layout
        self._tracked: tuple[float, ...] = ()

    def read(self, segment: Segment, start_s: float, end_s: float, *, alone: bool) -> bool:
        """Find placements in the segment: the usual scales first, the full search if those show nothing.

        `alone`: the segment is the whole signal. Return whether the pattern is plainly there.
        """
        found, log_p = self._placed(segment, (1.0, *self._tracked), None, refined=1)
        leads = found
        if log_p > QUICK_LOG_PROBABILITY and self._layout.masks is not None:
            # Without the pilot, or with a weak one: all synchronisation chips at the plain speed and pitch.
            in_sequence, log_p = self._in_sequence(segment)
            found = sorted([*in_sequence, *found], key=lambda p: -p.statistic)
            leads = found[:1]
        if log_p > QUICK_LOG_PROBABILITY:
            span = _middle(segment, segment.frames if alone else round(SEARCHED_S / segment.hop_s))
            scales = tuple(scales_for(self._layout.profile, span[1] - span[0]))
            quick = found
            found, log_p = self._placed(segment, scales, span, refined=REFINED_ALONE if alone else REFINED)
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
        if found[0].statistic < PLAIN_STATISTIC:
            # Other blocks than the likeliest may be meant.
            for placement in found[:FOLLOWED]:
                readings += [
                    Reading(p, read_cells(segment, self._layout, p).astype(np.float32), p.statistic)
                    for p in numbered(segment, self._layout, placement, likeliest=LIKELIEST)
                    if p.first_block != placement.first_block
                ]
        for lead in () if self._is_plain(segment, found[0]) else leads:
            path = follow(segment, self._layout, lead)
            if len(path.runs) > 1:
                freedom = NUDGE_COST * path.nudges + JUMP_COST * path.jumps
                cells = path.cells.astype(np.float32)
                readings.append(Reading(path.runs[0].placement, cells, path.statistic, freedom))
        # The best single placement is kept whatever the paths say.
        others = sorted(readings[1:], key=lambda reading: -reading.rank)
        kept = sorted(
            [readings[0], *others[: KEPT_ALONE if alone else KEPT]], key=lambda reading: -reading.rank
        )
        self.segments.append(SegmentReadings(start_s, end_s, tuple(kept), found[0].statistic))
        plain = log_p <= QUICK_LOG_PROBABILITY
        if self._layout.masks is not None:
            if plain:
                self._group.clear()
            elif alone:
                rows = read_rows(segment, self._layout)
                self.faint = rows, search_rows([rows], self._layout, FAINT)
            else:
                self._add_obscure(segment, start_s)
        return plain

    def finish(self) -> None:
        """Search what waits to be searched together."""
        if len(self._group) > 1:
            self._search_together()
        self._group.clear()

    def _add_obscure(self, segment: Segment, start_s: float) -> None:
        start = start_s / segment.hop_s
        rows = read_rows(segment, self._layout, start)
        self._group.append(_Obscure(len(self.segments) - 1, segment.at_plain_pitch(), start, rows))
        if len(self._group) == TOGETHER:
            self._search_together()
            self._group.clear()

    def _search_together(self) -> None:
        """Read the segments of the group where they lie in the sequence if they follow one another in it."""
        rows = [obscure.rows for obscure in self._group]
        self.placements += places_in_sequence(self._layout, PLACED_TOGETHER)
        for place in search_rows(rows, self._layout, PLACED_TOGETHER):
            total = np.zeros(self._layout.sync_chips.shape)
            for obscure in self._group:
                settled = settle_at(place, obscure.segment, self._layout, obscure.start_frames)
                cells = read_cells(obscure.segment, self._layout, settled)
                total += cells
                segment = self.segments[obscure.index]
                reading = Reading(settled, cells.astype(np.float32), settled.statistic)
                self.segments[obscure.index] = replace(segment, readings=(*segment.readings, reading))
            self.together.append(total)

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

    def _in_sequence(self, segment: Segment) -> tuple[list[Placement], float]:
        found = search_sequence(segment, self._layout, IN_SEQUENCE)
        tried = places_in_sequence(self._layout, IN_SEQUENCE)
        self.placements += tried
        return found[:SEQUENCE_KEPT], presence_log_probability(found[0].statistic, tried) if found else 0.0

    def _placed(
        self, segment: Segment, scales: Sequence[float], span: tuple[int, int] | None, *, refined: int
    ) -> tuple[list[Placement], float]:
        blocks = self._layout.profile.blocks
        rough = search(segment, self._layout, scales, refined if blocks == 1 else NUMBERED * refined, span)
        tried = placements_searched(self._layout.profile, len(scales), refined) * blocks
        self.placements += tried
        if blocks > 1:
            first, last = span or (0, segment.frames)
            scored = [numbered(segment, self._layout, p, first, last)[0] for p in rough]
            rough = sorted(scored, key=lambda p: -p.statistic)[:refined]
        if rough and rough[0].scale == 1.0 and rough[0].shift_bands == 0.0:
            # Nearly all clips are neither sped up nor shifted: where that explains one well, enough is known.
            plain = settle(segment, self._layout, rough[0])
            log_p = presence_log_probability(plain.statistic, tried)
            if log_p <= QUICK_LOG_PROBABILITY:
                return [plain], log_p
        found = refine(segment, self._layout, rough, span)
        return found, presence_log_probability(found[0].statistic, tried) if found else 0.0


def _middle(segment: Segment, frames: int) -> tuple[int, int]:
    """Return the first and the stop frame of the middle `frames` of a segment."""
    first = max((segment.frames - frames) // 2, 0)
    return first, min(first + frames, segment.frames)
