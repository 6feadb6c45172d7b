"""Look-ups of ranges of keys in all segments: which of them are rare enough to be read, and their postings.

In a large catalogue the segments are asked by several threads at once, where the caller has them: NumPy lets
go of the interpreter while it searches and reads.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .segment import Segment, find_ranges, read_positions

IndexArray = npt.NDArray[np.int64]
KeyArray = npt.NDArray[np.uint32]
# The first posting of each range, and how many there are.
Ranges = tuple[IndexArray, IndexArray]

# Which ranges are rare is told by the largest segments that have this share of all postings; of the ranges
# that these say are the rarest, so many times the limit is looked up in the others.
SAMPLE_SHARE = 0.1
SAMPLE_MARGIN = 2
# From so many postings on, some thousand tracks, asking in threads is faster.
PARALLEL_POSTINGS = 1 << 25
# A segment by its number, and which ranges: from one to before another.
_Part = tuple[int, int, int]
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Workers:
    """Who looks up: `count` at once, to whom `apply`, like `map`, gives one job after the other."""

    count: int
    apply: Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


ALONE = Workers(1, map)


def is_large(segments: Sequence[Segment]) -> bool:
    """Say whether workers are faster than one."""
    return sum(segment.postings.size for segment in segments) >= PARALLEL_POSTINGS


def find_rarest(
    segments: Sequence[Segment],
    low: KeyArray,
    high: KeyArray,
    guesses: IndexArray,
    limit: int,
    workers: Workers = ALONE,
) -> tuple[IndexArray, list[Ranges]]:
    """Return which ranges are read, and their first postings and counts in each segment.

    All are looked up only in a sample of the segments; in the others, those that can be among the rarest.
    """
    sizes = np.array([segment.postings.size for segment in segments])
    largest = np.argsort(-sizes, kind="stable")
    share = np.cumsum(sizes[largest]) / max(int(sizes.sum()), 1)
    first = largest[: 1 + int(np.searchsorted(share, SAMPLE_SHARE, "left"))].tolist()
    ranges = _find_each(segments, first, low, high, workers)
    kept = np.arange(low.size)
    if len(first) < sizes.size:
        sampled = np.sum([counts for _, counts in ranges.values()], axis=0)
        guessed = np.rint(sampled / share[len(first) - 1]).astype(np.int64)
        likely = choose_rarest(guessed, guesses, SAMPLE_MARGIN * limit)
        # All that are as rare in the sample as the last of these, and by luck a little less: small counts
        # tell little. What the sample lacks altogether is the rarest of all, where others have it.
        most = np.zeros(int(guesses.max(initial=0)) + 1)
        np.maximum.at(most, guesses[likely], sampled[likely])
        kept = np.flatnonzero(sampled <= (most + np.sqrt(most))[guesses])
        ranges = {k: (at[kept], counts[kept]) for k, (at, counts) in ranges.items()}
        ranges |= _find_each(segments, largest[len(first) :].tolist(), low[kept], high[kept], workers)
    totals = np.sum([counts for _, counts in ranges.values()], axis=0)
    chosen = np.flatnonzero(choose_rarest(totals, guesses[kept], limit))
    found = [ranges[k] for k in range(len(segments))]
    return kept[chosen], [(at[chosen], counts[chosen]) for at, counts in found]


def read_each(
    segments: Sequence[Segment], ranges: Sequence[Ranges], workers: Workers = ALONE
) -> list[IndexArray]:
    """Return the positions of the postings in ranges of each segment, one range after the other."""

    size = ranges[0][0].size if ranges else 0

    def read(job: _Part) -> IndexArray:
        number, a, b = job
        first, counts = ranges[number]
        return read_positions(segments[number], first[a:b], counts[a:b])

    return [np.concatenate(some) for some in _ask(read, segments, range(len(segments)), size, workers)]


def choose_rarest(totals: IndexArray, guesses: IndexArray, limit: int) -> npt.NDArray[np.bool_]:
    """Say which ranges are read: of each hypothesis the rarest, as long as they have `limit` postings."""
    order = np.lexsort((totals, guesses))
    running = np.cumsum(totals[order])
    starts = np.searchsorted(guesses[order], guesses[order], "left")
    before = np.concatenate([[0], running])[starts]
    chosen = np.zeros(totals.size, np.bool_)
    chosen[order] = running - before <= limit
    return chosen & (totals > 0)


def _find_each(
    segments: Sequence[Segment], numbers: Sequence[int], low: KeyArray, high: KeyArray, workers: Workers
) -> dict[int, Ranges]:
    """Find ranges in segments, by their numbers."""

    def find(job: _Part) -> Ranges:
        number, a, b = job
        return find_ranges(segments[number], low[a:b], high[a:b])

    joined = {}
    for number, found in zip(numbers, _ask(find, segments, numbers, low.size, workers), strict=True):
        first, counts = zip(*found, strict=True)
        joined[number] = np.concatenate(first), np.concatenate(counts)
    return joined


def _ask(
    ask: Callable[[_Part], _Answer],
    segments: Sequence[Segment],
    numbers: Sequence[int],
    ranges: int,
    workers: Workers,
) -> list[list[_Answer]]:
    """Ask about so many ranges in segments, by their numbers; in a segment that is much of a large index, in
    parts for the workers. Returns the answers of each segment, part by part.
    """
    if not is_large(segments):
        workers = ALONE
    total = sum(segments[number].postings.size for number in numbers)
    parts = [max(1, round(workers.count * segments[k].postings.size / max(total, 1))) for k in numbers]
    jobs = [
        (number, a, b)
        for number, count in zip(numbers, parts, strict=True)
        for a, b in pairwise(np.linspace(0, ranges, count + 1).astype(int).tolist())
    ]
    answers = iter(workers.apply(ask, jobs))
    return [[next(answers) for _ in range(count)] for count in parts]
