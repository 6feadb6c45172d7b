"""Moves: what was inserted here and removed there, recognised as one stretch that changed its place."""

from dataclasses import replace

import numpy as np

from .evidence import gather_evidence
from .kinds import Gap
from .outcome import INSERTED, REMOVED, REORDERED, REPLACED, Placement, Sketch
from .sketch import SketchQuery

# Lengths of the two may differ by this much, in seconds and as a share.
LENGTH_S = 0.2
LENGTH_SHARE = 0.2
# Shifts that are tried around the one that the borders tell.
REACH_S = 0.16
STEP_S = 0.02
# The borders of the stretch are left out, where the window holds what lies beside it.
BLUR_S = 0.08
# Agreement, of the typical one, from which the stretch is the same.
SAME_SHARE = 0.5


def recognise_moves(
    gaps: list[Gap], query: SketchQuery, track: Sketch, warp: Placement, typical: float
) -> list[Gap]:
    """Return the gaps with those that are a move told as reordered; a removal that one explains is gone."""
    told = list(gaps)
    gone: set[int] = set()
    for place, gap in enumerate(gaps):
        if gap.kind not in (INSERTED, REPLACED):
            continue
        for other_place, other in enumerate(gaps):
            if other.kind not in (REMOVED, REPLACED) or other_place in gone or other_place == place:
                continue
            length_s, taken_s = gap.end_s - gap.start_s, other.track_end_s - other.track_start_s
            if abs(length_s - taken_s) > max(LENGTH_S, LENGTH_SHARE * length_s):
                continue
            near_s = (other.track_start_s + other.track_end_s - gap.start_s - gap.end_s) / 2
            shift_s, agreement = _best_shift(gap, near_s, query, track, warp)
            if agreement > SAME_SHARE * typical:
                told[place] = replace(
                    gap,
                    kind=REORDERED,
                    track_start_s=gap.start_s + shift_s,
                    track_end_s=gap.end_s + shift_s,
                )
                if other.kind == REMOVED:
                    gone.add(other_place)
                break
    return [gap for place, gap in enumerate(told) if place not in gone]


def _best_shift(
    gap: Gap, near_s: float, query: SketchQuery, track: Sketch, warp: Placement
) -> tuple[float, float]:
    """Shift near the given one at which the gap's stretch agrees with the track best, and how well."""
    shifts = near_s + np.arange(-REACH_S, REACH_S + 1e-9, STEP_S)
    lines = tuple(Placement(float(s), warp.time_scale, warp.pitch_semitones) for s in shifts)
    evidence = gather_evidence(query, track, lines)
    first = round((gap.start_s + BLUR_S) / query.profile.word_s)
    last = max(first + 1, round((gap.end_s - BLUR_S) / query.profile.word_s))
    values = np.nan_to_num(evidence.agreement[:, first:last], nan=0.0).mean(axis=1)
    best = int(values.argmax())
    return float(shifts[best]), float(values[best])
