"""Following a mark across cuts: pieces of a segment may lie at other places of the block than their
neighbours.

Scale and pitch of a placement are kept; the place is found anew for each half second from the synchronisation
pattern, and a Viterbi search picks the path of places that explains the segment best, where staying costs
nothing, a small jump (a short cut) some and any jump (a splice) more. Only synchronisation chips are looked
at, so the bound of `false_alarm` for a payload read along the path holds as it does for one placement.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.ndimage import maximum_filter1d

from .correlation import fold
from .layout import Layout
from .segment import Placement, Segment, read_cells, read_steps, sync_statistic
from .sequence import Stretch, go_on

DoubleArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

# A piece has a place of its own.
PIECE_S = 0.5
# Costs in nats: of moving by at most NUDGE_S (a time-stretcher's jitter), by at most SHORT_CUT_S, and to
# anywhere in the block.
NUDGE_COST = 1.5
SHORT_CUT_COST = 3.3
SPLICE_COST = 7.5
NUDGE_S = 0.0145
SHORT_CUT_S = 0.2
# A piece's statistic is weighted by what it is expected to be: bounds of that expectation, in deviations.
LEAST_EXPECTED = 1.8
MOST_EXPECTED = 4.0
# After a cut the numbers of blocks go on as before unless others explain the chain by this many deviations
# better.
BLOCK_LEAD = 2.5


@dataclass(frozen=True)
class Run:
    """A stretch of a segment, in frames, and the placement at which it is read."""

    first_frame: float
    last_frame: float
    placement: Placement


@dataclass(frozen=True)
class Path:
    """The runs of a segment in order, the cells read along them, and their synchronisation statistic.

    Between runs lie `nudges` moves by a jitter and `jumps` over cuts.
    """

    runs: tuple[Run, ...]
    nudges: int
    jumps: int
    cells: DoubleArray
    statistic: float


def follow(segment: Segment, layout: Layout, placement: Placement) -> Path:
    """Return the best path of places through the segment that starts from `placement`'s scale and pitch."""
    profile = layout.profile
    steps = profile.period_columns * profile.follow_steps
    step_frames = profile.frames_per_column / (profile.follow_steps * placement.scale)
    values, first_step = read_steps(segment, layout, placement)
    per_piece = round(PIECE_S * profile.follow_steps / profile.column_s)
    pieces = max(len(values) // per_piece, 1)
    bounds = np.append(np.arange(pieces) * per_piece, len(values))
    chips = np.repeat(layout.pilot_chips, profile.follow_steps, axis=0)
    pattern = np.conj(fft.rfft(chips.astype(np.float64), axis=0))
    scores = np.stack(
        [_scores(values[a:b], first_step + int(a), pattern, steps) for a, b in pairwise(bounds)]
    )
    # The statistic is that of all synchronisation chips.
    share = np.sqrt(profile.pilot_share / profile.sync_share)
    expected = np.clip(share * placement.statistic / np.sqrt(pieces), LEAST_EXPECTED, MOST_EXPECTED)
    step_s = profile.column_s / profile.follow_steps
    nudge, short = max(round(NUDGE_S / step_s), 1), round(SHORT_CUT_S / step_s)
    places = _best_path(expected * scores, nudge, short)
    # A block's beginning is held while the path stays; place p lies p steps after the placement's own.
    edges = placement.start_frames + (first_step + bounds) * step_frames
    edges[0], edges[-1] = 0.0, segment.frames
    # The way from one place to the next is the shorter one around the block.
    moves = [(b - a + steps // 2) % steps - steps // 2 for a, b in pairwise(places.tolist())]
    travelled = int(places[0]) + np.concatenate([[0], np.cumsum(np.array(moves, np.int64))])
    runs: list[Run] = []
    chains: list[list[int]] = []  # runs that belong to one passage of the marked signal
    for number, ((first, last), place) in enumerate(zip(pairwise(edges), travelled.tolist(), strict=True)):
        moved = replace(
            placement, start_frames=placement.start_frames + place * step_frames, first_block=None
        )
        if runs and runs[-1].placement.start_frames == moved.start_frames:
            runs[-1] = replace(runs[-1], last_frame=float(last))
            continue
        if not chains or abs(moves[number - 1]) > short:
            chains.append([])
        chains[-1].append(len(runs))
        runs.append(Run(float(first), float(last), moved))
    if layout.masks is not None:
        _number(segment, layout, runs, chains)
    cells = np.sum(
        [read_cells(segment, layout, r.placement, r.first_frame, r.last_frame) for r in runs], axis=0
    )
    nudges = sum(0 < abs(move) <= nudge for move in moves)
    jumps = sum(abs(move) > nudge for move in moves)
    return Path(tuple(runs), nudges, jumps, cells, sync_statistic(cells, layout))


def _number(segment: Segment, layout: Layout, runs: list[Run], chains: list[list[int]]) -> None:
    """Find the block numbers of each chain of runs: they go on as before unless others are plainly better."""
    expected = None
    for chain in chains:
        stretches = [Stretch(runs[i].placement, runs[i].first_frame, runs[i].last_frame) for i in chain]
        expected = go_on(segment, layout, stretches, expected, BLOCK_LEAD)
        for i in chain:
            runs[i] = replace(runs[i], placement=replace(runs[i].placement, first_block=expected))


def _scores(values: DoubleArray, first: int, pattern: npt.NDArray[np.complex128], steps: int) -> DoubleArray:
    """Return the statistic of one piece, (steps,), for each place of the block, in its own deviations."""
    folded = fold(values, first, steps)
    correlation = fft.irfft((fft.rfft(folded, axis=0) * pattern).sum(axis=1), steps)
    deviation = float(correlation.std())
    return np.asarray(correlation / deviation if deviation > 0 else correlation)


def _best_path(gains: DoubleArray, nudge: int, short: int) -> IndexArray:
    """Return the place of each piece, (pieces,), that maximises the gains, (pieces, steps), less the costs
    of moves by at most `nudge` and `short` steps and of longer ones.
    """
    pieces, steps = gains.shape
    every = np.arange(steps)
    came_from = np.zeros((pieces, steps), np.int64)
    best = gains[0].copy()
    for piece in range(1, pieces):
        total, origin = best.copy(), every.copy()
        for move in (m for m in range(-nudge, nudge + 1) if m):
            total, origin = _better(total, origin, np.roll(best, move) - NUDGE_COST, (every - move) % steps)
        nearby = maximum_filter1d(best, 2 * short + 1, mode="wrap")
        if (nearby - SHORT_CUT_COST > total).any():
            around = np.lib.stride_tricks.sliding_window_view(np.pad(best, short, mode="wrap"), 2 * short + 1)
            source = (every + around.argmax(axis=1) - short) % steps
            total, origin = _better(total, origin, nearby - SHORT_CUT_COST, source)
        top = int(best.argmax())
        total, origin = _better(total, origin, np.full(steps, best[top] - SPLICE_COST), np.full(steps, top))
        came_from[piece] = origin
        best = total + gains[piece]
    places = np.zeros(pieces, np.int64)
    places[-1] = int(best.argmax())
    for piece in range(pieces - 1, 0, -1):
        places[piece - 1] = came_from[piece, places[piece]]
    return places


def _better(
    total: DoubleArray, origin: IndexArray, other: DoubleArray, other_origin: IndexArray
) -> tuple[DoubleArray, IndexArray]:
    wins = other > total
    return np.where(wins, other, total), np.where(wins, other_origin, origin)
