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
from .lookup import ALONE, Workers, find_rarest, is_large, read_each
from .segment import GAP_FRAMES, Segment

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
    workers: Workers = ALONE,
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
    workers : Workers
        Who looks up where there is much to be looked up in.
    """
    if not segments:
        return []
    together = max(1, BATCH_POSTINGS // max(limit, 1))
    batches = -(-len(hypotheses) // together)
    apart = is_large(segments) and len(hypotheses) >= 2 * workers.count > 2
    if apart:
        # Each worker counts hypotheses of its own, and asks all segments about them.
        batches = -(-batches // workers.count) * workers.count

    def count(first: int) -> list[Candidate]:
        some = hypotheses[first::batches]
        keys = query_keys(groups, segments[0].kind, some, most=most_groups)
        who = ALONE if apart else workers
        return _count_together(segments, keys, some, who, limit=limit, best=best, most=most)

    counted = (workers if apart else ALONE).apply(count, range(batches))
    found = [candidate for some in counted for candidate in some]
    found.sort(key=lambda candidate: -candidate.score)
    return found[:most]


def _count_together(
    segments: Sequence[Segment],
    keys: QueryKeys,
    hypotheses: Sequence[Hypothesis],
    workers: Workers,
    *,
    limit: int,
    best: int,
    most: int,
) -> list[Candidate]:
    bases = np.concatenate([[0], np.cumsum([segment.end + GAP_FRAMES for segment in segments])])
    # A hypothesis's stretch begins on a border of bins.
    span = (int(bases[-1]) + GAP_FRAMES + (2 << BIN_BITS)) >> BIN_BITS << BIN_BITS
    votes, read = _read_votes(segments, bases, keys, span, limit, len(hypotheses), workers)
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
    segments: Sequence[Segment],
    bases: IndexArray,
    keys: QueryKeys,
    span: int,
    limit: int,
    guesses: int,
    workers: Workers,
) -> tuple[IndexArray, IndexArray]:
    """Return the votes, unsorted, and how many there are for each hypothesis.

    A vote has above where the query begins, below the frame that said so, to fit a line through later.
    """
    # In the order of the keys, neighbouring look-ups read neighbouring pages.
    order = np.argsort(keys.low, kind="stable")
    low, high = keys.low[order], keys.high[order]
    kept, ranges = find_rarest(segments, low, high, keys.guesses[order], limit, workers)
    order = order[kept]
    frames = keys.frames[order]
    heads = ((keys.guesses[order] * span + GAP_FRAMES - frames) << FRAME_BITS) | frames
    positions = read_each(segments, ranges, workers)
    pieces = [
        ((at + base) << FRAME_BITS) + np.repeat(heads, counts)
        for at, base, (_, counts) in zip(positions, bases[:-1], ranges, strict=True)
    ]
    totals = np.sum([counts for _, counts in ranges], axis=0)
    read = np.bincount(keys.guesses[order], totals, guesses).astype(np.int64)
    return np.concatenate(pieces), read


def find_crowded(bins: IndexArray, least_votes: int) -> IndexArray:
    """Return the votes, by their index, of bins that have so many with a neighbour, and perhaps some others:
    int64 (n,).
    """
    bits = int(np.clip(int(bins.size).bit_length() + CELLS_BITS, LEAST_TABLE_BITS, MOST_TABLE_BITS))
    cells = bins & ((1 << bits) - 1)
    # A table of bytes stays in the processor's cache. Where a byte did not suffice the sum tells, and
    # counting is slower.
    counts = np.zeros(1 << bits, np.uint8)
    np.add.at(counts, cells, np.uint8(1))
    if int(counts.sum(dtype=np.uint32)) == cells.size:
        np.minimum(counts, MOST_COUNTED, out=counts)
    else:
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
