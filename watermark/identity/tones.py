"""Tones under 20 Hz, which a codec's noise may exceed in level but never resembles.

The spectra of a query (`slow_spectra.py`) hold a tone in one bin, second after second; what a codec spreads
under 20 Hz is noise, whose power x in a bin, over its mean, has the density exp(-x). Against a tone that
makes it exponential of mean 1 + s the log likelihood ratio is

    g(x) = x s / (1 + s) - log(1 + s)

and since the mean of exp(g) under noise is 1, a sum of g over windows from any one on reaches t somewhere in
N bins and windows with a probability of at most N exp(-t) (Wald). Windows overlap, so t counts double.
"""

import numpy as np
import numpy.typing as npt

from .excess import Span
from .kinds import CONFIDENCE_NATS, Gap
from .outcome import OVERLAID, Placement
from .sketch import SketchQuery
from .slow_spectra import BINS, STEP_S, WINDOW_S

DoubleArray = npt.NDArray[np.float64]

# Chance that noise alone gives a tone in a recording.
FALSE_TONE = 1e-6
# s, and what a single window counts for at most: a tone must last.
TONE_RATIO = 10.0
MOST_OF_WINDOW = 12.0
# Three windows in four lie on the same audio.
OVERLAP = 2.0
# Noise is measured in so many bins on either side, and not in those next to the tone's.
NOISE_BINS = 8
TONE_BINS = 2
# Power under which nothing is told.
LEAST_POWER = 1e-7
# A tone must have so many times the power that the track itself has under 20 Hz, and this share of the bass:
# of a steady bass Vorbis leaves images 28 dB under it.
TRACK_RATIO = 3.0
LEAST_OF_BASS = 1 / 250
# Mean of the squared window.
WINDOW_POWER = 0.375


def find_tones(query: SketchQuery, spans: tuple[Span, ...], warp: Placement) -> tuple[Gap, ...]:
    """Find tones under 20 Hz that the track does not have, along the spans."""
    if query.slow is None or not len(query.slow):
        return ()
    power = query.slow.astype(np.float64)
    # A tone lies in its bin and one on either side.
    wide = np.pad(power, ((0, 0), (1, 1)))
    tones = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    ratios = power / np.maximum(_measure_noise(power), LEAST_POWER / BINS)
    enough = OVERLAP * np.log(power.size / FALSE_TONE)
    found: list[Gap] = []
    for span in spans:
        least = _least_powers(query, span, warp, len(power))
        gains = ratios * TONE_RATIO / (1 + TONE_RATIO) - np.log(1 + TONE_RATIO)
        lacking = ~(tones > least[:, None])
        gains = np.minimum(np.where(lacking, -np.log(1 + TONE_RATIO), gains), MOST_OF_WINDOW)
        runs = []
        for place in range(BINS):
            for score, first, last in _sum_runs(gains[:, place]):
                if score > enough:
                    runs.append((score, first, last, place))
        told: list[tuple[int, int]] = []
        for score, first, last, place in sorted(runs, reverse=True):
            if all(last <= a or b <= first for a, b in told):
                told.append((first, last))
                found.append(_describe(tones[:, place], first, last, span, warp, score - enough))
    return tuple(found)


def _measure_noise(power: DoubleArray) -> DoubleArray:
    """Mean power of noise in each bin: that of the bins around, and no less than the median of all."""
    sums = np.cumsum(np.pad(power, ((0, 0), (1, 0))), axis=1)
    noise = np.empty_like(power)
    for place in range(BINS):
        low, high = max(0, place - NOISE_BINS), min(BINS, place + NOISE_BINS + 1)
        first, last = max(0, place - TONE_BINS), min(BINS, place + TONE_BINS + 1)
        rest = sums[:, high] - sums[:, low] - (sums[:, last] - sums[:, first])
        noise[:, place] = rest / (high - low - (last - first))
    return np.asarray(np.maximum(noise, np.median(power, axis=1, keepdims=True) / np.log(2)))


def _least_powers(query: SketchQuery, span: Span, warp: Placement, windows: int) -> DoubleArray:
    """Power that a tone must have in each window: float64 (windows,), infinite off the span."""
    # The span's rows around each middle, weighed as the window weighs them.
    width = WINDOW_S * warp.time_scale / query.profile.stored_row_s
    middles = (np.arange(windows) + 0.5) * STEP_S * warp.time_scale + span.shift_s
    at = middles / query.profile.stored_row_s - 0.5 - span.first_row
    reach = int(np.ceil(width / 2))
    rows = np.floor(at).astype(np.int64)[:, None] + np.arange(-reach, reach + 2)
    weights = np.cos(np.pi * np.minimum(np.abs(rows - at[:, None]) / width, 0.5)) ** 4
    own, bass = span.played[:, 0], np.nan_to_num(span.found[:, 1 : query.profile.first_middle]).sum(axis=1)
    inside = (rows >= 0) & (rows < len(own))
    rows = np.where(inside, rows, 0)
    weights = np.where(inside & np.isfinite(own)[rows], weights, 0.0)
    total = weights.sum(axis=1)
    least = np.maximum(
        TRACK_RATIO * (weights * np.nan_to_num(own)[rows]).sum(axis=1),
        LEAST_OF_BASS * (weights * bass[rows]).sum(axis=1),
    )
    # Rows that are known must fill half the window.
    known = total > 0.5 * WINDOW_POWER * width
    return np.where(known, np.maximum(least / np.maximum(total, 1e-9), LEAST_POWER), np.inf)


def _sum_runs(gains: DoubleArray) -> list[tuple[float, int, int]]:
    """Return the runs with the largest sums, none overlapping: sum, first window, end."""
    runs = []
    total = best = 0.0
    first = last = 0
    for place, gain in enumerate(gains.tolist()):
        if total <= 0:
            if best > 0:
                runs.append((best, first, last))
            total, best, first = 0.0, 0.0, place
        total += gain
        if total > best:
            best, last = total, place + 1
    if best > 0:
        runs.append((best, first, last))
    return runs


def _describe(tone: DoubleArray, first: int, last: int, span: Span, warp: Placement, surplus: float) -> Gap:
    """Return a tone that sounds in windows `first` to `last` as a change; borders lie where its amplitude is
    half of the largest, as in a window whose middle lies on a border.
    """
    sizes = np.sqrt(tone)
    half = sizes[first:last].max() / 2
    over = first + np.flatnonzero(sizes[first:last] >= half)
    start_s = _find_border(sizes, half, int(over[0]), -1) * warp.time_scale
    end_s = _find_border(sizes, half, int(over[-1]), 1) * warp.time_scale
    trust = float(1 - np.exp(-surplus / CONFIDENCE_NATS))
    shift_s = span.shift_s
    return Gap(OVERLAID, start_s, end_s, start_s + shift_s, end_s + shift_s, trust, span.line, "infrasonic")


def _find_border(sizes: DoubleArray, half: float, place: int, step: int) -> float:
    """Second at which sizes, from a place on, fall under a half of what they were."""
    while 0 <= place + step < len(sizes) and sizes[place + step] >= half:
        place += step
    if not 0 <= place + step < len(sizes):
        return 0.0 if step < 0 else len(sizes) * STEP_S
    share = (sizes[place] - half) / (sizes[place] - sizes[place + step])
    return float((place + 0.5 + step * share) * STEP_S)
