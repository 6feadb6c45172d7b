"""Votes: where in the index a query lies if a hypothesis is true.

Every posting that a key of the query hits says at which position the query would begin. Those that agree to
within a sixth of a second are one candidate.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .hashing import Groups, Hypothesis, query_keys
from .segment import GAP_FRAMES, Segment, look_up

DoubleArray = npt.NDArray[np.float64]

# Votes are counted in bins of 8 frames, each with its successor.
BIN_BITS = 3
# Frames of a query, on the track's clock, that a vote can hold: 80 s.
FRAME_BITS = 12
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


def count_votes(
    segment: Segment, groups: Groups, hypothesis: Hypothesis, *, limit: int, best: int
) -> list[Candidate]:
    """Return the `best` candidates of a segment under a hypothesis, most votes first.

    At most `limit` postings are read.
    """
    keys = query_keys(groups, segment.kind, hypothesis)
    hits, positions = look_up(segment, keys, limit=limit)
    if not hits.size:
        return []
    # Above: where the query begins; below: the frame that said so, to fit a line through later.
    starts = positions - keys.frames[hits] + GAP_FRAMES
    votes = np.sort((starts << FRAME_BITS) | keys.frames[hits])
    bins = votes >> (FRAME_BITS + BIN_BITS)
    edges = np.flatnonzero(np.diff(bins, prepend=-2))
    numbers = bins[edges]
    counts = np.diff(edges, append=bins.size)
    paired = counts.copy()
    follows = np.flatnonzero(np.diff(numbers) == 1)
    paired[follows] += counts[follows + 1]
    chance = 2 * hits.size * (1 << BIN_BITS) / max(segment.end, 1)
    found: list[Candidate] = []
    taken: set[int] = set()
    for top in np.argsort(-paired, kind="stable")[: 3 * best]:
        number = int(numbers[top])
        if number in taken:
            continue
        taken |= {number - 1, number, number + 1}
        last = edges[top] + paired[top]
        candidate = _describe(segment, votes[edges[top] : last], hypothesis, chance)
        if candidate is not None:
            found.append(candidate)
        if len(found) == best:
            break
    return found


def _describe(
    segment: Segment, votes: npt.NDArray[np.int64], hypothesis: Hypothesis, chance: float
) -> Candidate | None:
    frames = votes & ((1 << FRAME_BITS) - 1)
    starts = (votes >> FRAME_BITS) - GAP_FRAMES
    middle = float(np.median(starts))
    row = int(np.searchsorted(segment.starts, middle + GAP_FRAMES, "right")) - 1
    if row < 0:
        return None
    start, slope = _fit_line(frames.astype(np.float64), starts.astype(np.float64))
    return Candidate(
        track=int(segment.tracks[row]),
        start_frame=start - float(segment.starts[row]),
        time_scale=hypothesis.time_scale * (1 + slope),
        pitch_bands=hypothesis.pitch_bands,
        votes=votes.size,
        score=(votes.size - chance) / (chance + 1) ** 0.5,
    )


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
