"""Experiment 7: does marked music show somebody without the key that it is marked?

Each track gives two neighbouring halves, of which a coin marks one. Three observers judge them: one who knows
the published scheme (that blocks repeat, when columns begin), one who knows nothing and learns from examples,
and one who has the original.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.music import SAMPLE_RATE
from benchmarks.security_material import Finding, Material, mark
from benchmarks.security_scheme import Grid, open_grid, read_cells, read_frames, read_levels
from benchmarks.tools import Audio

Scores = NDArray[np.float64]

THEORY = (
    "Two blocks of a file carry the same chips: the product of cells one block apart has the mean d^2, "
    "d the mark's share of a cell whose host has 1, so M pairs of cells give d^2 sqrt(M) deviations; "
    "music that repeats itself is in the way. Gains step where columns begin, which the beginning of a "
    "whole file tells."
)
TRACKS = {True: 12, False: 60}
SECONDS = {True: (15.0,), False: (15.0, 30.0)}
FOLDS = 5
RIDGE = 1.0
BOOTSTRAPS = 1000
# Lags beside one block that stand for the host's own repetitions.
NEAR_LAGS = tuple(lag for lag in range(-12, 13) if abs(lag) > 1)


def repetition(audio: Audio, grid: Grid) -> float:
    """How much more alike cells one block apart are than cells nearly one block apart, in deviations."""
    cells = read_cells(audio, grid)

    def alike(lag: int) -> float:
        return float((cells[lag:] * cells[:-lag]).mean()) if lag < len(cells) else 0.0

    beside = np.array([alike(grid.columns + lag) for lag in NEAR_LAGS])
    return float((alike(grid.columns) - beside.mean()) / (beside.std() + 1e-9))


def column_clock(audio: Audio, grid: Grid) -> float:
    """How much more the spectrum moves where columns begin than between."""
    moves = (np.diff(read_frames(audio, grid), axis=0) ** 2).mean(axis=1)
    per_column = grid.profile.frames_per_column
    # Move number i leads to frame i + 1, which begins a column where i + 1 is a multiple.
    phase = (np.arange(len(moves)) + 1) % per_column
    return float(moves[phase == 0].mean() / moves[phase != 0].mean())


def describe(audio: Audio, grid: Grid) -> Scores:
    """Describe a spectrogram for a classifier that does not know the scheme: 48 figures.

    In each of six parts of the frequency axis: spread and tails of the whitened levels, and their likeness
    to neighbours in time and in frequency.
    """
    frames = read_frames(audio, grid)
    levels = np.diff(read_levels(audio, grid), axis=0)
    figures = []
    for part, level in zip(np.array_split(frames, 6, axis=1), np.array_split(levels, 6, axis=1), strict=True):
        power = float((part**2).mean()) + 1e-9
        figures += [
            np.log(power),
            float((part**4).mean()) / power**2,
            float(np.log(np.abs(level).mean() + 1e-6)),
        ]
        figures += [float((part[lag:] * part[:-lag]).mean()) / power for lag in (2, 4, 8)]
        figures += [float((part[:, lag:] * part[:, :-lag]).mean()) / power for lag in (1, 2)]
    return np.array(figures)


def train(features: Scores, marked: NDArray[np.bool_]) -> Callable[[Scores], Scores]:
    """Fit a linear discriminant with a ridge; return what scores further examples."""
    centre, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    scaled = (features - centre) / spread
    target = np.where(marked, 1.0, -1.0)
    weights = np.linalg.solve(
        scaled.T @ scaled + RIDGE * len(scaled) * np.eye(scaled.shape[1]) / 10, scaled.T @ target
    )
    return lambda others: np.asarray((others - centre) / spread @ weights)


def cross_validate(features: Scores) -> Scores:
    """Score marked and unmarked halves (tracks, 2, figures) by a classifier that never saw their track."""
    scores = np.zeros(features.shape[:2])
    for fold in range(FOLDS):
        held = np.arange(len(features)) % FOLDS == fold
        known = features[~held].reshape(-1, features.shape[2])
        # The two halves of a track differ by the track, too: only what is marked is told.
        classify = train(known, np.tile([True, False], int((~held).sum())))
        scores[held] = classify(features[held].reshape(-1, features.shape[2])).reshape(-1, 2)
    return scores


def area(scores: Scores) -> float:
    """Area under the ROC curve of scores (tracks, 2), marked first: 0.5 tells nothing."""
    marked, plain = scores[:, 0][:, None], scores[:, 1][None]
    return float((marked > plain).mean() + 0.5 * (marked == plain).mean())


def interval(scores: Scores, rng: np.random.Generator) -> tuple[float, float]:
    """95 % confidence interval of the area, from resampled tracks."""
    draws = [area(scores[rng.integers(len(scores), size=len(scores))]) for _ in range(BOOTSTRAPS)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


SCHEME_BLOCK, SCHEME_CLOCK, LEARNT, ORIGINAL = (
    "knows the scheme: blocks repeat",
    "knows the scheme: columns begin",
    "knows nothing, has learnt from examples",
    "has the original",
)


def judge(material: Material, seconds: float, grid: Grid) -> dict[str, Scores]:
    """Score both halves of every track by every observer: (tracks, 2), the marked half first."""
    rng = material.rng("coin")
    figures, block, clock, original = [], [], [], []
    for host in material.hosts(TRACKS[material.short], 2 * seconds, learning=True):
        halves = np.split(host.audio, 2, axis=1)
        chosen = int(rng.integers(2))
        key, payload = rng.bytes(32), rng.bytes(8)
        pair = (
            mark(np.ascontiguousarray(halves[chosen]), key, payload, profile=grid.profile),
            halves[1 - chosen],
        )
        block.append([repetition(half, grid) for half in pair])
        clock.append([column_clock(half, grid) for half in pair])
        figures.append([describe(half, grid) for half in pair])
        original.append([float(np.abs(pair[0] - halves[chosen]).max()), 0.0])
    return {
        SCHEME_BLOCK: np.array(block),
        SCHEME_CLOCK: np.array(clock),
        LEARNT: cross_validate(np.array(figures)),
        ORIGINAL: np.array(original),
    }


def measure(material: Material) -> Finding:
    """Run the experiment."""
    grid = open_grid(SAMPLE_RATE, material.profile)
    rng = material.rng("bootstrap")
    rows, judged = [], {}
    for seconds in SECONDS[material.short]:
        judged[seconds] = judge(material, seconds, grid)
        for observer, scores in judged[seconds].items():
            low, high = interval(scores, rng)
            rows.append(
                {
                    "observer without the key": observer,
                    "clip s": seconds,
                    "tracks": len(scores),
                    "AUC": round(area(scores), 3),
                    "95 %": f"{low:.2f} to {high:.2f}",
                    "marked half told": f"{100 * (scores[:, 0] > scores[:, 1]).mean():.0f} %",
                }
            )
    return Finding(
        theory=THEORY,
        tables={"marked and unmarked halves of tracks told apart": rows},
        note="AUC 0.5: nothing is told; marked half told: it has the higher score of its track's two halves",
        data={"scores": {f"{s:g} s, {o}": v.tolist() for s, some in judged.items() for o, v in some.items()}},
        draw=lambda axes: draw(axes, judged[max(judged)]),
    )


def draw(axes: Any, judged: dict[str, Scores]) -> None:
    """Draw the ROC curves."""
    for observer, scores in judged.items():
        limits = np.concatenate([[np.inf], np.sort(scores.ravel())[::-1]])
        rates = np.array([[(scores[:, kind] >= limit).mean() for kind in (1, 0)] for limit in limits])
        axes.plot(rates[:, 0], rates[:, 1], label=observer)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="unmarked called marked", ylabel="marked called marked")
    axes.legend(fontsize="small")
