"""Quiet sound under music that plays on, told by the bits that it turns, in a faithful copy.

Speech 20 dB under music changes no level by as much as the registry's half dB, but turns signs of small
differences. Each bit of a word that differs contradicts by its difference in the query, in typical ones, at
most CLIPPED; their sum is averaged over windows of a second. A codec contradicts as well, in one passage ten
times as much as in another, and nothing tells that from an addition. But a copy that seven windows in ten
hardly contradict, lossless or coded at high rate, contradicts nowhere by more than half of LEAST
(docs/identity.md): what does was added.
"""

import numpy as np
import numpy.typing as npt

from .agreement import placed_frames, word_bits
from .evidence import Evidence
from .kinds import Gap
from .outcome import OVERLAID, Placement, Sketch
from .pieces import Piece, line_placement
from .sketch import SketchFrames, SketchQuery, warp_weakest

DoubleArray = npt.NDArray[np.float64]

WINDOW_S = 1.0
# Windows of the spectrogram and their distance reach so far over a border.
BLUR_S = 0.1
# Ends of a piece are left out, where windows of the spectrogram hold what lies beside it.
END_S = 0.24
# Least windows, in seconds, that the base is measured on, and which quantile of them it is. In a true copy
# it is MOST_BASE at most: of 638 copies 58 lossless ones and 68 of MP3 at 96 to 320 kbit/s had that, and no
# window over 0.18.
LEAST_S = 6.0
BASE_QUANTILE = 0.7
MOST_BASE = 0.06
LEAST = 0.3
# A difference counts for at most so many typical ones.
CLIPPED = 2.0
# Bands so far under the loudest of a word, or under what is loudest outside their range, are the codec's.
DEEPEST_DB = 45.0
DEEPEST_OUTER_DB = 42.0
# A window must be heard for this share.
HEARD_SHARE = 0.8
# A piece is placed where it contradicts least, around its line.
SHIFTS_S = (0.0, -0.003, -0.0015, 0.0015, 0.003)


def find_contradictions(
    query: SketchQuery, track: Sketch, evidence: Evidence, pieces: list[Piece]
) -> list[Gap]:
    """Find where pieces that hardly contradict the track elsewhere do so: as sound laid on top."""
    word_s = query.profile.word_s
    length = round(WINDOW_S / word_s)
    measured = [_measure_piece(query, track, evidence.lines[piece.line], piece) for piece in pieces]
    means = [_average(values, length) for _, values in measured]
    known = np.concatenate([one[np.isfinite(one)] for one in means]) if means else np.zeros(0)
    if len(known) * word_s < LEAST_S:
        return []
    base = float(np.quantile(known, BASE_QUANTILE))
    if base > MOST_BASE:
        return []
    found = []
    for piece, (first_word, _), one in zip(pieces, measured, means, strict=True):
        over = np.nan_to_num(one) > LEAST
        edges = np.flatnonzero(np.diff(np.concatenate(([0], over.astype(np.int8), [0]))))
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            most = float(one[first:last].max())
            # A window is over the limit from where it holds this share of what was added.
            held = min(1.0, (LEAST - base) / (most - base)) * length
            track_start_s = (first_word + first + length - held) * word_s + BLUR_S
            track_end_s = max((first_word + last - 1 + held) * word_s - BLUR_S, track_start_s + word_s)
            start_s, end_s = track_start_s - piece.shift_s, track_end_s - piece.shift_s
            trust = float(1 - np.exp(1 - most / LEAST - (last - first) / length))
            found.append(Gap(OVERLAID, start_s, end_s, track_start_s, track_end_s, trust, piece.line))
    return found


def _measure_piece(
    query: SketchQuery, track: Sketch, line: Placement, piece: Piece
) -> tuple[int, DoubleArray]:
    """Return the first word of a piece and by how much each of its words contradicts the track; NaN where
    query or track is not heard.
    """
    placed = line_placement(line, piece)
    trials = []
    for shift_s in SHIFTS_S:
        start_s = placed.track_start_s + shift_s
        moved = Placement(start_s, placed.time_scale, placed.pitch_semitones)
        trials.append(_measure_words(query, track, moved, piece))
    return min(trials, key=lambda trial: float(np.nansum(trial[1])))


def _measure_words(
    query: SketchQuery, track: Sketch, placement: Placement, piece: Piece
) -> tuple[int, DoubleArray]:
    frames = placed_frames(query, track, placement)
    words = track.words[frames.first_word : frames.first_word + len(frames.audible)]
    heard = frames.audible & track.audible[frames.first_word : frames.first_word + len(words)]
    differences = np.nan_to_num(frames.differences)
    typical = float(np.abs(differences[heard]).mean()) if heard.any() else 1.0
    wrong = (differences > 0) != word_bits(words, query.profile.bits)
    limit = frames.loudness - np.log(10) * DEEPEST_DB / 10
    limit = np.maximum(limit, _loudest_outside(query, placement, frames) - np.log(10) * DEEPEST_OUTER_DB / 10)
    counted = wrong & (warp_weakest(query, placement)[: len(words)] > limit[:, None])
    sizes = np.minimum(np.abs(differences) / max(typical, 1e-9), CLIPPED)
    values = np.where(heard, np.where(counted, sizes, 0.0).sum(axis=1), np.nan)
    word_s = query.profile.word_s
    first = max(0, int(np.ceil((piece.track_start_s + END_S) / word_s)) - frames.first_word)
    last = max(first, int(np.floor((piece.track_end_s - END_S) / word_s)) - frames.first_word)
    return frames.first_word + first, np.asarray(values[first:last], np.float64)


def _loudest_outside(query: SketchQuery, placement: Placement, frames: SketchFrames) -> DoubleArray:
    """Log power of what is loudest under and over the range of the words, float64 (words,)."""
    if not len(query.outer):
        return np.full(len(frames.audible), -np.inf)
    times = (frames.first_word + np.arange(len(frames.audible))) * query.profile.word_s
    rows = (times - placement.track_start_s) / (placement.time_scale * query.profile.row_s)
    loudest = np.nan_to_num(query.outer).max(axis=1)
    return np.asarray(np.log(loudest[np.clip(rows, 0, len(loudest) - 1).astype(np.int64)] + 1e-13))


def _average(values: DoubleArray, length: int) -> DoubleArray:
    """Means over windows of `length` from each word on; NaN where too little is heard."""
    if len(values) < length:
        return np.zeros(0)
    sums = np.concatenate(([0.0], np.cumsum(np.nan_to_num(values))))
    counts = np.concatenate(([0], np.cumsum(np.isfinite(values))))
    sums, counts = sums[length:] - sums[:-length], counts[length:] - counts[:-length]
    return np.asarray(np.where(counts >= HEARD_SHARE * length, sums / np.maximum(counts, 1), np.nan))
