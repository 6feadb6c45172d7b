"""The most probable story of a query: which moment lies on which line, intact or covered, and which on none.

Viterbi's algorithm over two states for each line, *matched* and *covered* (something lies on top, but the
track still shows), and one for *foreign*. A change of state costs; so a single bad frame is no change, and
of two identical repeats the one is kept that the query is already in.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .evidence import Evidence

DoubleArray = npt.NDArray[np.float64]

MATCHED, COVERED, FOREIGN = "matched", "covered", "foreign"

# Gains of a moment over being foreign, in nats. Matched: a line through 0 at half the typical agreement,
# cut off. Covered: through 0 a little over what chance gives, cut off lower, so that plain agreement is
# better told as matched. The slopes allow for neighbouring moments that are no independent witnesses.
MATCHED_SLOPE = 8.0
MATCHED_LIMIT = 3.0
COVERED_FROM = 0.14
COVERED_SLOPE = 6.0
COVERED_LIMIT = 1.0
# What is silent in one and loud in the other speaks against a match.
CONTRADICTION = -1.5
# Where both are silent nothing speaks for a change.
UNKNOWN_GAIN = 0.02
# Cost of leaving a line for nothing or coming back, of being covered or no longer, and of a jump.
LEAVE_COST = 6.0
COVER_COST = 6.0
JUMP_COST = 12.0


@dataclass(frozen=True)
class Run:
    """Moments `first` to `last` (exclusive) in one state; `line` is -1 where foreign."""

    state: str
    line: int
    first: int
    last: int


def score_moments(evidence: Evidence) -> tuple[DoubleArray, DoubleArray]:
    """Return the gains of being matched and of being covered, float64 (lines, moments) both."""
    agreement = evidence.agreement
    known = np.isfinite(agreement)
    value = np.where(known, agreement, 0.0)
    matched = np.clip((value - evidence.typical / 2) * MATCHED_SLOPE, -MATCHED_LIMIT, MATCHED_LIMIT)
    covered = np.clip((value - COVERED_FROM) * COVERED_SLOPE, -COVERED_LIMIT, COVERED_LIMIT)
    wrong = evidence.muted | evidence.added | evidence.outside
    matched = np.where(wrong, CONTRADICTION, np.where(known, matched, UNKNOWN_GAIN))
    return matched, np.where(wrong, CONTRADICTION, np.where(known, covered, 0.0))


def find_path(evidence: Evidence) -> tuple[Run, ...]:
    """Return the runs of the best path, in order, covering every moment of the query."""
    matched, covered = score_moments(evidence)
    lines, moments = matched.shape
    # States: matched 0..lines-1, covered lines..2*lines-1, foreign last.
    score = np.concatenate((matched[:, 0], covered[:, 0] - COVER_COST, [-LEAVE_COST]))
    back = np.zeros((moments, 2 * lines + 1), np.int32)
    own = np.arange(2 * lines + 1)
    other = np.concatenate((np.arange(lines, 2 * lines), np.arange(lines)))
    for moment in range(1, moments):
        from_foreign = score[-1] - LEAVE_COST
        best_line = int(score[:lines].argmax())
        from_jump = score[best_line] - JUMP_COST
        arrive, source = (from_jump, best_line) if from_jump > from_foreign else (from_foreign, 2 * lines)
        step, origin = score.copy(), own.copy()
        swap = score[other] - COVER_COST
        better = swap > step[:-1]
        step[:-1][better] = swap[better]
        origin[:-1][better] = other[better]
        late = step[:-1] < arrive
        step[:-1][late] = arrive
        origin[:-1][late] = source
        top = int(score[:-1].argmax())
        if score[top] - LEAVE_COST > step[-1]:
            step[-1], origin[-1] = score[top] - LEAVE_COST, top
        step[:lines] += matched[:, moment]
        step[lines : 2 * lines] += covered[:, moment]
        score = step
        back[moment] = origin
    state = int(score.argmax())
    states = np.zeros(moments, np.int64)
    for moment in range(moments - 1, -1, -1):
        states[moment] = state
        state = int(back[moment, state])
    borders = [0, *(np.flatnonzero(np.diff(states)) + 1).tolist(), moments]
    runs = []
    for first, last in pairwise(borders):
        name = FOREIGN if states[first] == 2 * lines else MATCHED if states[first] < lines else COVERED
        line = -1 if name == FOREIGN else int(states[first]) % lines
        runs.append(Run(name, line, first, last))
    return tuple(runs)
