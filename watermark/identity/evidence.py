"""What each moment of a query says for each place where it could lie in the track.

A *line* is a placement of the query, whole, of which a stretch may be true. Moments are words of the query on
the track's scale of time: moment i of line k stands at track second (i + phase[k]) * word_s + start of the
line, where the phase, at most half a word, brings the track's own words into step.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .agreement import frame_agreements, placed_frames
from .noise import Channel, find_lost
from .outcome import Placement, Sketch
from .sketch import SketchQuery

DoubleArray = npt.NDArray[np.float64]

# A moment is loud, or silent, when it lies this much over, or under, the power that makes it audible: in
# between, coding can turn the one into the other.
MARGIN_LOG_POWER = 2.5
# Moments over which the level of agreement is smoothed before the query's typical one is taken.
SMOOTHING = 9


@dataclass(frozen=True)
class Evidence:
    """Agreement of every moment of the query along every line.

    Parameters
    ----------
    lines : the placements
    agreement : float64 (lines, moments)
        1 where all signs agree, about 0 by chance; NaN where query or track is too quiet, or ends.
    outside : bool (lines, moments)
        Where the track has ended, or not begun.
    muted : bool (lines, moments)
        Where the track is audible, over the noise if there is some, and the query is not.
    added : bool (lines, moments)
        Where the query is loud and the track is not audible.
    phase : float64 (lines,)
    typical : float
        Agreement of what agrees, typical of this query: 0.95 after MP3 64, 0.5 when badly damaged.
    """

    lines: tuple[Placement, ...]
    agreement: DoubleArray
    outside: npt.NDArray[np.bool_]
    muted: npt.NDArray[np.bool_]
    added: npt.NDArray[np.bool_]
    phase: DoubleArray
    typical: float


def gather_evidence(
    query: SketchQuery, track: Sketch, lines: tuple[Placement, ...], channel: Channel | None = None
) -> Evidence:
    """Hold the query against the track along lines of one speed and pitch; `channel` is that of a noisy
    query, whose noise it knows.
    """
    word_s = query.profile.word_s
    moments = int(np.ceil(lines[0].time_scale * query.seconds / word_s)) + 1
    agreement = np.full((len(lines), moments), np.nan)
    outside = np.ones((len(lines), moments), np.bool_)
    muted = np.zeros((len(lines), moments), np.bool_)
    added = np.zeros((len(lines), moments), np.bool_)
    phase = np.zeros(len(lines))
    quiet = np.log(query.profile.audible_power)
    for row, line in enumerate(lines):
        frames = placed_frames(query, track, line)
        values, weights = frame_agreements(frames, track)
        shift = round(line.track_start_s / word_s)
        phase[row] = shift - line.track_start_s / word_s
        first = frames.first_word - shift
        keep = slice(max(0, -first), max(0, moments - first))
        at = slice(max(0, first), max(0, first) + len(values[keep]))
        known = weights[keep] > 0
        agreement[row, at] = np.where(known, values[keep] / np.where(known, weights[keep], 1.0), np.nan)
        outside[row, at] = False
        heard = track.audible[frames.first_word : frames.first_word + len(values)][keep]
        muted[row, at] = heard & (frames.loudness[keep] < quiet - MARGIN_LOG_POWER)
        if channel is not None:
            lost = find_lost(query, track, line, channel)
            lost = lost[frames.first_word : frames.first_word + len(values)][keep]
            muted[row, at] |= lost & ~(weights[keep] > 0)
        added[row, at] = ~heard & (frames.loudness[keep] > quiet + MARGIN_LOG_POWER)
    return Evidence(lines, agreement, outside, muted, added, phase, _typical(agreement))


def _typical(agreement: DoubleArray) -> float:
    """Median over the better half of moments of the best line's smoothed agreement."""
    filled = np.nan_to_num(agreement, nan=0.0)
    known = np.isfinite(agreement).astype(np.float64)
    kernel = np.ones(SMOOTHING)
    smooth = [
        np.convolve(values, kernel, "same") / np.maximum(np.convolve(flags, kernel, "same"), 1e-9)
        for values, flags in zip(filled, known, strict=True)
    ]
    best = np.max(np.where(known > 0, smooth, -1.0), axis=0)
    best = np.sort(best[best > -1.0])
    return float(np.median(best[len(best) // 2 :])) if len(best) else 0.0
