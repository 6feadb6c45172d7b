"""Merging segments: piece by piece in the order of keys, so that memory does not limit how much is merged.

The tracks of one segment follow those of the one before on the new time line. A range of keys is taken out of
all of them, its positions moved, and sorted: that is the next piece of the new postings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .segment import (
    GAP_FRAMES,
    MAX_POSITION,
    PAGE_POSTINGS,
    Segment,
    SegmentError,
    check_length,
    make_segment,
)

KeyArray = npt.NDArray[np.uint64]
IndexArray = npt.NDArray[np.int64]

# About so many postings are sorted at a time.
PIECE_POSTINGS = 1 << 21
_SHIFT = np.uint64(32)
_POSITION = np.uint64(MAX_POSITION - 1)


@dataclass(frozen=True)
class _Part:
    """A segment to be merged: which of its rows stay, and where each begins on the new time line.

    `shift` is by how many frames all of them move, None where they do not.
    """

    segment: Segment
    kept: npt.NDArray[np.bool_]
    moved: IndexArray
    shift: int | None

    def move(self, postings: KeyArray) -> KeyArray:
        """Return postings of the segment as the new one has them, those of rows that go left out."""
        if self.shift is not None:
            # The sum cannot reach the key: the new time line has room.
            return postings + np.uint64(self.shift)
        starts = self.segment.starts
        place = (postings & _POSITION).astype(np.int64)
        row = np.searchsorted(starts, place, "right") - 1
        chosen = self.kept[row]
        row, place = row[chosen], place[chosen]
        at = (place - starts[row] + self.moved[row]).astype(np.uint64)
        return (postings[chosen] >> _SHIFT << _SHIFT) | at


@dataclass(frozen=True)
class Merge:
    """What comes out when segments are merged: a segment whose postings are made piece by piece.

    `empty` is that segment without postings.
    """

    empty: Segment
    parts: tuple[_Part, ...]

    def make_postings(self, *, piece: int = PIECE_POSTINGS) -> Iterator[KeyArray]:
        """Yield the postings in ascending order, about `piece` at a time."""
        for low, high in pairwise(self._cut_keys(piece)):
            moved = []
            for part in self.parts:
                postings = part.segment.postings
                first, last = (
                    postings.size if key is None else int(np.searchsorted(postings, key))
                    for key in (low, high)
                )
                moved.append(part.move(postings[first:last]))
            # The stable sort merges ascending runs.
            yield np.sort(np.concatenate(moved), kind="stable")

    def count_postings(self) -> int:
        """Return how many postings there will be: at once, unless rows go, whose postings must be counted."""
        if all(part.shift is not None for part in self.parts):
            return sum(part.segment.postings.size for part in self.parts)
        return sum(postings.size for postings in self.make_postings())

    def _cut_keys(self, piece: int) -> list[np.uint64 | None]:
        """Return the borders of the pieces; None stands for the end."""
        fences = np.sort(np.concatenate([part.segment.fences for part in self.parts]))
        step = max(1, piece // PAGE_POSTINGS)
        # Postings of one key stay together, however many there are: moving changes their order.
        borders = np.unique(fences[step::step] >> _SHIFT << _SHIFT)
        return [np.uint64(0), *(key for key in borders if key), None]


def plan_merge(segments: Sequence[Segment], *, without: frozenset[int] = frozenset()) -> Merge:
    """Say how segments are put together, tracks of `without` left out.

    Raises
    ------
    SegmentError
        They differ in profile or kind, or hold more music than one segment can.
    """
    if not segments:
        raise ValueError("expected segments, got none")
    if len({(segment.profile_name, segment.kind) for segment in segments}) > 1:
        raise SegmentError("expected segments of one profile and kind, got several")
    tracks, starts, frames, parts = [], [], [], []
    position = GAP_FRAMES
    gone = np.fromiter(without, np.int64, len(without))
    for segment in segments:
        kept = ~np.isin(segment.tracks, gone)
        lengths = np.where(kept, segment.frames + GAP_FRAMES, 0)
        moved = position + np.cumsum(lengths) - lengths
        shifts = np.unique(moved - segment.starts)
        alike = bool(kept.all()) and shifts.size <= 1 and shifts.min(initial=0) >= 0
        parts.append(_Part(segment, kept, moved, int(shifts.sum()) if alike else None))
        tracks.append(segment.tracks[kept])
        starts.append(moved[kept])
        frames.append(segment.frames[kept])
        position += int(lengths.sum())
    check_length(position)
    first = segments[0]
    empty = make_segment(
        first.profile_name,
        first.kind,
        np.concatenate(tracks),
        np.concatenate(starts),
        np.concatenate(frames),
        np.zeros(0, np.uint64),
    )
    return Merge(empty, tuple(parts))


def merge_segments(segments: Sequence[Segment], *, without: frozenset[int] = frozenset()) -> Segment:
    """Put segments together in memory; errors as `plan_merge`."""
    merge = plan_merge(segments, without=without)
    empty = merge.empty
    postings = np.concatenate(list(merge.make_postings()))
    return make_segment(empty.profile_name, empty.kind, empty.tracks, empty.starts, empty.frames, postings)
