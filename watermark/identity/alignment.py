"""Alignment: a rough placement made exact, by where each part of the query agrees best with the sketch."""

import numpy as np
import numpy.typing as npt

from .decision import measure_agreement
from .outcome import Placement, Sketch
from .sketch import SketchQuery

DoubleArray = npt.NDArray[np.float64]

# Shifts that are tried around the placement, and the parts that a query is cut into.
STEP_S = 0.015
STEPS = 5
PART_S = 1.25
# Scales that are tried around that of the line: so that the ends of the query move by 2.5 ms a step.
SCALE_STEP_S = 0.005
SCALE_STEPS = 3
# Pitches that are tried, in semitones: a twelfth of a band's width apart.
PITCH_STEPS = (-0.24, -0.12, 0.0, 0.12, 0.24)


def refine_alignment(query: SketchQuery, track: Sketch, placement: Placement) -> Placement:
    """Return the placement moved by up to 75 ms, and its scale by what its parts say."""
    shifts = np.arange(-STEPS, STEPS + 1) * STEP_S
    profile = query.profile
    centres = np.arange(PART_S / 2, max(query.seconds, PART_S), PART_S)
    table = np.zeros((shifts.size, centres.size))
    energy = np.zeros(centres.size)
    for row, shift in enumerate(shifts):
        moved = Placement(placement.track_start_s + shift, placement.time_scale, placement.pitch_semitones)
        found = measure_agreement(query, track, moved)
        times = (found.first_word + np.arange(found.values.size)) * profile.word_s
        part = ((times - moved.track_start_s) / (placement.time_scale * PART_S)).astype(np.int64)
        inside = (part >= 0) & (part < centres.size)
        np.add.at(table[row], part[inside], found.values[inside])
        np.add.at(energy, part[inside], found.squares[inside])
    total = table.sum(axis=1)
    best = int(total.argmax())
    whole = shifts[best] + STEP_S * _vertex(total, best)
    # A line through the best shifts of the parts, each counted by how clear its peak is.
    rows = np.array([_best_near(table[:, c], best) for c in range(centres.size)])
    columns = np.arange(centres.size)
    offsets = np.array([shifts[r] + STEP_S * _vertex(table[:, c], r) for c, r in enumerate(rows)])
    clear = table[rows, columns] / np.sqrt(np.maximum(energy / shifts.size, 1e-12))
    weights = np.clip(clear - 3.0, 0.0, 12.0) ** 2
    if np.count_nonzero(weights) < 3 or query.seconds < 4 * PART_S * 0.75:
        return Placement(
            placement.track_start_s + float(whole), placement.time_scale, placement.pitch_semitones
        )
    for _ in range(3):
        start, slope = _fit(centres, offsets, weights)
        off = np.abs(offsets - start - slope * centres)
        weights = weights / (1 + (off / 0.01) ** 2)
    lined = Placement(
        placement.track_start_s + start, placement.time_scale + slope, placement.pitch_semitones
    )
    return _refine_scale(query, track, lined)


def _refine_scale(query: SketchQuery, track: Sketch, placement: Placement) -> Placement:
    """Return the placement turned about its middle to where all of the query agrees best.

    Few parts of a short query have a clear peak of their own; all words together have one. The parabola goes
    through every scale tried, since neighbours differ by little.
    """
    steps = np.arange(-SCALE_STEPS, SCALE_STEPS + 1) * (SCALE_STEP_S / query.seconds)
    turned = [
        Placement(
            placement.track_start_s - step * query.seconds / 2,
            placement.time_scale + step,
            placement.pitch_semitones,
        )
        for step in steps.tolist()
    ]
    totals = np.array([measure_agreement(query, track, each).total for each in turned])
    curve, slope, _ = np.polyfit(steps, totals, 2)
    if curve >= 0:
        return turned[int(totals.argmax())]
    step = float(np.clip(-slope / (2 * curve), steps[0], steps[-1]))
    return Placement(
        placement.track_start_s - step * query.seconds / 2,
        placement.time_scale + step,
        placement.pitch_semitones,
    )


def refine_pitch(query: SketchQuery, track: Sketch, placement: Placement) -> Placement:
    """Return the placement with the pitch, near its own, at which the query agrees best."""
    values = np.array(
        [
            measure_agreement(query, track, _at_pitch(placement, placement.pitch_semitones + step)).total
            for step in PITCH_STEPS
        ]
    )
    best = int(values.argmax())
    step = PITCH_STEPS[1] - PITCH_STEPS[0]
    return _at_pitch(placement, placement.pitch_semitones + PITCH_STEPS[best] + step * _vertex(values, best))


def _at_pitch(placement: Placement, semitones: float) -> Placement:
    return Placement(placement.track_start_s, placement.time_scale, semitones)


def _best_near(values: DoubleArray, row: int) -> int:
    """Row of the largest value within two steps of `row`."""
    low = max(0, row - 2)
    return low + int(values[low : row + 3].argmax())


def _vertex(values: DoubleArray, best: int) -> float:
    """Where the parabola through the best value and its neighbours has its top, in steps from it."""
    if not 0 < best < values.size - 1:
        return 0.0
    left, middle, right = values[best - 1 : best + 2]
    curve = 2 * middle - left - right
    return float(np.clip((right - left) / (2 * curve), -0.5, 0.5)) if curve > 0 else 0.0


def _fit(x: DoubleArray, y: DoubleArray, weights: DoubleArray) -> tuple[float, float]:
    """Weighted least squares line, held towards no slope as if the parts might be 5 ms off."""
    total = weights.sum()
    mean_x, mean_y = (weights * x).sum() / total, (weights * y).sum() / total
    spread = (weights * (x - mean_x) ** 2).sum()
    slope = float((weights * (x - mean_x) * (y - mean_y)).sum() / max(spread, 1e-12))
    return float(mean_y - slope * mean_x), slope
