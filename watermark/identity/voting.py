"""Votes: where in the index a query lies if a hypothesis is true.

Every posting that a key of the query hits says at which position the query would begin. Those that agree to
within a sixth of a second are one candidate.

Many hypotheses, and all segments, are counted together: each hypothesis has a stretch of one long time line,
on which the segments lie one after the other. Most votes are alone where they point to. Those are told, and
left out before anything is sorted, by a table of counts whose cells several places share: it can only count
too many.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .hashing import Groups, Hypothesis, QueryKeys, query_keys
from .segment import GAP_FRAMES, Segment, find_ranges, read_positions

IndexArray = npt.NDArray[np.int64]
DoubleArray = npt.NDArray[np.float64]

# Hypotheses are counted together as long as they may read so many postings: what they need in memory.
BATCH_POSTINGS = 1_000_000
# Votes are counted in bins of 8 frames, each with its successor.
BIN_BITS = 3
# Frames of a query, on the track's clock, that a vote can hold: 80 s.
FRAME_BITS = 12
# Cells of the table for each vote, and bounds of its size, as powers of two.
CELLS_BITS = 2
LEAST_TABLE_BITS = 12
MOST_TABLE_BITS = 22
MOST_COUNTED = 127
# Which ranges are rare is told by the largest segments that have this share of all postings; of the ranges
# that these say are the rarest, so many times the limit is looked up in the others.
SAMPLE_SHARE = 0.1
SAMPLE_MARGIN = 2
# The line through a candidate's votes: how many frames off it the votes of each next fit may lie, how long
# the votes must reach, and how much the hypothesis may have missed the scale by.
LINE_REACHES = (8.0, 4.0, 2.5)
LEAST_SPAN_FRAMES = 75
STEEPEST = 0.05


@dataclass(frozen=True)
class Candidate:
    """A place in a track that votes point to.

    `start_frame` is where the query would begin, `time_scale` the slope through its votes; `score` is by how
    many deviations its votes exceed what chance would give.
    """

    track: int
    start_frame: float
    time_scale: float
    pitch_bands: float
    votes: int
    score: float


@dataclass(frozen=True)
class _Windows:
    """Pairs of neighbouring bins with enough votes: the first vote and the number of them, bin, hypothesis,
    score.
    """

    first: IndexArray
    votes: IndexArray
    bins: IndexArray
    guesses: IndexArray
    scores: DoubleArray

    def take(self, chosen: IndexArray) -> "_Windows":
        return _Windows(
            self.first[chosen],
            self.votes[chosen],
            self.bins[chosen],
            self.guesses[chosen],
            self.scores[chosen],
        )


def count_votes(
    segments: Sequence[Segment],
    groups: Groups,
    hypotheses: Sequence[Hypothesis],
    *,
    limit: int,
    best: int,
    most: int,
    most_groups: int | None = None,
) -> list[Candidate]:
    """Return the candidates of segments of one kind, those first that chance explains least.

    Parameters
    ----------
    limit : int
        At most so many postings are read for each hypothesis; the commonest keys, which say least, are left
        out where there would be more.
    best : int
        Candidates of each hypothesis, at most.
    most : int
        Candidates of all.
    most_groups : int or None
        Groups of each hypothesis that are looked up, at most.
    """
    if not segments:
        return []
    together = max(1, BATCH_POSTINGS // max(limit, 1))
    found: list[Candidate] = []
    for first in range(0, len(hypotheses), together):
        some = hypotheses[first : first + together]
        keys = query_keys(groups, segments[0].kind, some, most=most_groups)
        found += _count_together(segments, keys, some, limit=limit, best=best, most=most)
    found.sort(key=lambda candidate: -candidate.score)
    return found[:most]


def _count_together(
    segments: Sequence[Segment],
    keys: QueryKeys,
    hypotheses: Sequence[Hypothesis],
    *,
    limit: int,
    best: int,
    most: int,
) -> list[Candidate]:
    bases = np.concatenate([[0], np.cumsum([segment.end + GAP_FRAMES for segment in segments])])
    # A hypothesis's stretch begins on a border of bins.
    span = (int(bases[-1]) + GAP_FRAMES + (2 << BIN_BITS)) >> BIN_BITS << BIN_BITS
    votes, read = _read_votes(segments, bases, keys, span, limit, len(hypotheses))
    least = segments[0].kind.least_votes
    votes = np.sort(votes[find_crowded(votes >> (FRAME_BITS + BIN_BITS), least)])
    windows = _choose_windows(votes, read, span, best, least)
    windows = windows.take(np.argsort(-windows.scores, kind="stable")[:most])
    found = []
    for first, count, guess, score in zip(
        windows.first, windows.votes, windows.guesses, windows.scores, strict=True
    ):
        some = votes[first : first + count]
        frames = (some & ((1 << FRAME_BITS) - 1)).astype(np.float64)
        starts = (some >> FRAME_BITS) - (GAP_FRAMES + int(guess) * span)
        place = _find_track(segments, bases, float(np.median(starts)))
        if place is not None:
            track, begin = place
            start, slope = _fit_line(frames, (starts - begin).astype(np.float64))
            guessed = hypotheses[guess]
            found.append(
                Candidate(
                    track=track,
                    start_frame=start,
                    time_scale=guessed.time_scale * (1 + slope),
                    pitch_bands=guessed.pitch_bands,
                    votes=int(count),
                    score=float(score),
                )
            )
    return found


def _read_votes(
    segments: Sequence[Segment], bases: IndexArray, keys: QueryKeys, span: int, limit: int, guesses: int
) -> tuple[IndexArray, IndexArray]:
    """Return the votes, unsorted, and how many there are for each hypothesis.

    A vote has above where the query begins, below the frame that said so, to fit a line through later.
    """
    # In the order of the keys, neighbouring look-ups read neighbouring pages.
    order = np.argsort(keys.low, kind="stable")
    low, high = keys.low[order], keys.high[order]
    kept, ranges = _find_rarest(segments, low, high, keys.guesses[order], limit)
    order = order[kept]
    frames = keys.frames[order]
    heads = ((keys.guesses[order] * span + GAP_FRAMES - frames) << FRAME_BITS) | frames
    pieces = []
    for segment, base, (first, counts) in zip(segments, bases[:-1], ranges, strict=True):
        positions = read_positions(segment, first, counts) + base
        pieces.append((positions << FRAME_BITS) + np.repeat(heads, counts))
    totals = np.sum([counts for _, counts in ranges], axis=0)
    read = np.bincount(keys.guesses[order], totals, guesses).astype(np.int64)
    return np.concatenate(pieces), read


def _find_rarest(
    segments: Sequence[Segment],
    low: npt.NDArray[np.uint32],
    high: npt.NDArray[np.uint32],
    guesses: IndexArray,
    limit: int,
) -> tuple[IndexArray, list[tuple[IndexArray, IndexArray]]]:
    """Return which ranges are read, and their first postings and counts in each segment.

    In a large catalogue one range in thirty is: so all are looked up only in a sample of the segments.
    """
    sizes = np.array([segment.postings.size for segment in segments])
    largest = np.argsort(-sizes, kind="stable")
    share = np.cumsum(sizes[largest]) / max(int(sizes.sum()), 1)
    first = largest[: 1 + int(np.searchsorted(share, SAMPLE_SHARE, "left"))]
    ranges = {int(k): find_ranges(segments[k], low, high) for k in first}
    kept = np.arange(low.size)
    if first.size < sizes.size:
        sampled = np.sum([counts for _, counts in ranges.values()], axis=0)
        guessed = np.rint(sampled / share[first.size - 1]).astype(np.int64)
        likely = choose_rarest(guessed, guesses, SAMPLE_MARGIN * limit)
        # All that are as rare in the sample as the last of these, and by luck a little less: small counts
        # tell little. What the sample lacks altogether is the rarest of all, where others have it.
        most = np.zeros(int(guesses.max(initial=0)) + 1)
        np.maximum.at(most, guesses[likely], sampled[likely])
        kept = np.flatnonzero(sampled <= (most + np.sqrt(most))[guesses])
        ranges = {k: (at[kept], counts[kept]) for k, (at, counts) in ranges.items()}
        low, high = low[kept], high[kept]
        ranges |= {int(k): find_ranges(segments[k], low, high) for k in largest[first.size :]}
    totals = np.sum([counts for _, counts in ranges.values()], axis=0)
    chosen = np.flatnonzero(choose_rarest(totals, guesses[kept], limit))
    found = [ranges[k] for k in range(len(segments))]
    return kept[chosen], [(at[chosen], counts[chosen]) for at, counts in found]


def choose_rarest(totals: IndexArray, guesses: IndexArray, limit: int) -> npt.NDArray[np.bool_]:
    """Say which ranges are read: of each hypothesis the rarest, as long as they have `limit` postings."""
    order = np.lexsort((totals, guesses))
    running = np.cumsum(totals[order])
    starts = np.searchsorted(guesses[order], guesses[order], "left")
    before = np.concatenate([[0], running])[starts]
    chosen = np.zeros(totals.size, np.bool_)
    chosen[order] = running - before <= limit
    return chosen & (totals > 0)


def find_crowded(bins: IndexArray, least_votes: int) -> IndexArray:
    """Return the votes, by their index, of bins that have so many with a neighbour, and perhaps some others:
    int64 (n,).
    """
    bits = int(np.clip(int(bins.size).bit_length() + CELLS_BITS, LEAST_TABLE_BITS, MOST_TABLE_BITS))
    cells = bins & ((1 << bits) - 1)
    counts = np.empty(1 << bits, np.uint8)
    # More than a byte holds is enough in any case; a table of bytes stays in the processor's cache.
    np.minimum(np.bincount(cells, minlength=1 << bits), MOST_COUNTED, out=counts, casting="unsafe")
    # Cell k and its successor, then whichever of its two pairs has more.
    pairs = counts + np.roll(counts, -1)
    crowded = np.maximum(pairs, np.roll(pairs, 1)) >= least_votes
    return np.flatnonzero(crowded[cells])


def _choose_windows(votes: IndexArray, read: IndexArray, span: int, best: int, least_votes: int) -> _Windows:
    """Return the windows of sorted votes, `best` of each hypothesis at most, none beside another."""
    bins = votes >> (FRAME_BITS + BIN_BITS)
    edges = np.flatnonzero(np.diff(bins, prepend=-2))
    numbers = bins[edges]
    counts = np.diff(edges, append=bins.size)
    paired = counts.copy()
    follows = np.flatnonzero(np.diff(numbers) == 1)
    paired[follows] += counts[follows + 1]
    enough = np.flatnonzero(paired >= least_votes)
    guesses = numbers[enough] // (span >> BIN_BITS)
    chance = 2 * read[guesses] * (1 << BIN_BITS) / span
    scores = (paired[enough] - chance) / np.sqrt(chance + 1)
    windows = _Windows(edges[enough], paired[enough], numbers[enough], guesses, scores)
    windows = windows.take(np.lexsort((-windows.votes, windows.guesses)))
    rank = np.arange(enough.size) - np.searchsorted(windows.guesses, windows.guesses, "left")
    windows = windows.take(np.flatnonzero(rank < 3 * best))
    chosen, taken = [], set[int]()
    left = np.full(read.size, best)
    for row, (number, guess) in enumerate(zip(windows.bins.tolist(), windows.guesses.tolist(), strict=True)):
        if left[guess] and number not in taken:
            taken |= {number - 1, number, number + 1}
            left[guess] -= 1
            chosen.append(row)
    return windows.take(np.array(chosen, np.int64))


def _find_track(segments: Sequence[Segment], bases: IndexArray, position: float) -> tuple[int, int] | None:
    """Return the track at a position of the common time line, and where it begins; None before the first."""
    number = max(0, int(np.searchsorted(bases, position + GAP_FRAMES, "right")) - 1)
    segment = segments[min(number, len(segments) - 1)]
    base = int(bases[min(number, len(segments) - 1)])
    row = int(np.searchsorted(segment.starts, position - base + GAP_FRAMES, "right")) - 1
    return None if row < 0 else (int(segment.tracks[row]), int(segment.starts[row]) + base)


def _fit_line(frames: DoubleArray, starts: DoubleArray) -> tuple[float, float]:
    """Fit starts = start + slope * frames, outliers left out; returns start and slope."""
    start, slope = float(np.median(starts)), 0.0
    kept = np.ones(frames.size, np.bool_)
    for reach in LINE_REACHES:
        x, y = frames[kept], starts[kept]
        # Few votes, or votes of one moment, say where but not how fast.
        if x.size < 8 or np.ptp(x) < LEAST_SPAN_FRAMES:
            break
        apart = x - x.mean()
        slope = float(apart @ y / (apart @ apart))
        start = float(y.mean() - slope * x.mean())
        kept = np.abs(starts - start - slope * frames) < reach
    return (start, slope) if abs(slope) < STEEPEST else (float(np.median(starts)), 0.0)
