"""How well a query agrees with a track's sketch at a placement: bit errors, and agreement weighed by size.

errors = bit_errors(query, track, placement)
rate = verify_sketch(query, track, placement)          # 0.08 after MP3 64, 0.5 for another recording
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .outcome import Placement, Sketch
from .sketch import SketchFrames, SketchQuery, warp_query

# A rate over fewer bits than this (a quarter of a second) is no rate: 1.0 is returned.
LEAST_BITS = 200


@dataclass(frozen=True)
class BitErrors:
    """Per-frame Hamming distances of a placed query, one row for each word of the track from `first_word` on.

    Parameters
    ----------
    first_word : int
        Word w of the track stands for the time w * profile.word_s.
    errors : int64 (n,)
        Bits that differ, out of `bits`.
    bits : int64 (n,)
        Bits compared; 0 where query or track is too quiet.
    """

    first_word: int
    errors: npt.NDArray[np.int64]
    bits: npt.NDArray[np.int64]

    @property
    def rate(self) -> float:
        """Share of the compared bits that differ; 1.0 where hardly any could be compared."""
        compared = int(self.bits.sum())
        return float(self.errors.sum()) / compared if compared >= LEAST_BITS else 1.0


def bit_errors(query: SketchQuery, track: Sketch, placement: Placement) -> BitErrors:
    """Count the bits in which each frame of the placed query differs from the track.

    Raises
    ------
    ValueError
        The sketch is of another profile than the query.
    """
    frames = placed_frames(query, track, placement)
    words = track.words[frames.first_word : frames.first_word + len(frames.audible)]
    compared = np.isfinite(frames.differences) & frames.audible[:, None]
    compared &= track.audible[frames.first_word : frames.first_word + len(words), None]
    with np.errstate(invalid="ignore"):
        wrong = ((frames.differences > 0) != word_bits(words, query.profile.bits)) & compared
    return BitErrors(frames.first_word, wrong.sum(axis=1), compared.sum(axis=1))


def verify_sketch(
    query: SketchQuery,
    track: Sketch,
    placement: Placement,
    *,
    query_start_s: float = 0.0,
    query_end_s: float = np.inf,
) -> float:
    """Return the bit error rate of the placed query over a range of its time.

    1.0 where too little is audible to say.

    Raises
    ------
    ValueError
        The sketch is of another profile than the query.
    """
    counted = bit_errors(query, track, placement)
    times = (counted.first_word + np.arange(len(counted.bits))) * query.profile.word_s
    query_times = (times - placement.track_start_s) / placement.time_scale
    inside = (query_times >= query_start_s) & (query_times < query_end_s)
    return BitErrors(0, counted.errors[inside], counted.bits[inside]).rate


def soft_agreement(query: SketchQuery, track: Sketch, placement: Placement) -> float:
    """Mean of the track's signs times the query's differences, each at most its typical size: 1 where all
    agree, 0 by chance.
    """
    frames = placed_frames(query, track, placement)
    values, weights = frame_agreements(frames, track)
    total = float(weights.sum())
    return float(values.sum()) / total if total > 0 else 0.0


def frame_agreements(
    frames: SketchFrames, track: Sketch
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum over the bits of each frame: sign times clipped difference, and clipped size: float64 (n,) both.

    A difference near zero says little about its sign, and counts little.
    """
    first, count = frames.first_word, len(frames.audible)
    signs = np.where(word_bits(track.words[first : first + count], frames.differences.shape[1]), 1.0, -1.0)
    differences = np.nan_to_num(frames.differences, nan=0.0)
    sizes = np.abs(differences)
    typical = float(sizes[frames.audible].mean()) if frames.audible.any() else 1.0
    clipped = np.minimum(sizes, 2 * max(typical, 1e-9))
    counted = (frames.audible & track.audible[first : first + count])[:, None]
    values = np.where(counted, np.sign(differences) * clipped * signs, 0.0).sum(axis=1)
    return values, np.where(counted, clipped, 0.0).sum(axis=1)


def placed_frames(query: SketchQuery, track: Sketch, placement: Placement) -> SketchFrames:
    """Return the query's frames over the words that the track has."""
    if track.profile_name != query.profile.name:
        raise ValueError(f"expected a sketch of {query.profile.name!r}, got {track.profile_name!r}")
    frames = warp_query(query, placement)
    count = max(0, min(len(frames.audible), len(track.words) - frames.first_word))
    return SketchFrames(
        frames.first_word, frames.differences[:count], frames.audible[:count], frames.loudness[:count]
    )


def word_bits(words: npt.NDArray[np.uint32], bits: int) -> npt.NDArray[np.bool_]:
    """Return the bits of words, bool (n, bits), lowest first."""
    return np.asarray((words[:, None] >> np.arange(bits, dtype=np.uint32)) & np.uint32(1) != 0, np.bool_)
