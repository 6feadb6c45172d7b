"""Keys: two or three peaks as one number of 32 bits, as the track has them or as a query guesses them.

A key names the distances of its peaks in steps of frames and bands, and in its lowest bits, finely, the pitch
of the first one:

    rich   | frames 5 | bands 6 | pitch 11 |
    lean   | frames 5 | frames 5 | bands 6 | bands 6 | pitch 10 |

So the keys that differ in that pitch alone are neighbours, and a look-up takes a range of them. A change of
tempo stretches distances in time, one of pitch moves the pitch: what a query would be at another speed is
arithmetic on its peaks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .landmarks import rank_landmarks, thin_landmarks
from .outcome import Landmarks
from .profile import PROFILE, FingerprintProfile, KeyKind

IndexArray = npt.NDArray[np.int64]
DoubleArray = npt.NDArray[np.float64]

FRAME_BITS = 5
BAND_BITS = 6


@dataclass(frozen=True)
class Hypothesis:
    """What may have been done to a query: it runs `time_scale` times as fast as the track, its pitches lie
    `pitch_bands` higher.
    """

    time_scale: float
    pitch_bands: float


UNCHANGED = Hypothesis(1.0, 0.0)


@dataclass(frozen=True)
class Groups:
    """Peaks that are close enough to make keys, under every hypothesis.

    Parameters
    ----------
    frames : float64 (n, peaks)
    pitches : float64 (n, peaks)
    """

    frames: DoubleArray
    pitches: DoubleArray


@dataclass(frozen=True)
class QueryKeys:
    """Ranges of keys to look up, and where in the query, on the track's clock, each has its first peak.

    Parameters
    ----------
    low, high : uint32 (n,)
        First and last key of each range.
    frames : int64 (n,)
        Frame of the first peak, times the time scale.
    guesses : int64 (n,)
        Which of the hypotheses the range belongs to.
    """

    low: npt.NDArray[np.uint32]
    high: npt.NDArray[np.uint32]
    frames: IndexArray
    guesses: IndexArray


def index_keys(
    landmarks: Landmarks, kind: KeyKind, *, profile: FingerprintProfile = PROFILE
) -> tuple[npt.NDArray[np.uint32], IndexArray]:
    """Return the keys that a track is indexed under and the frame of each: uint32 (n,), int64 (n,)."""
    peaks = thin_landmarks(landmarks, kind.density, profile=profile)
    groups = group_peaks(peaks, kind, fan=kind.fan, slowest=1.0)
    codes, kept = _distance_codes(groups, kind, 1.0)
    pitch = np.rint(groups.pitches[kept, 0] * kind.pitch_steps).astype(np.int64)
    keys = (codes << _pitch_bits(kind)) | pitch
    return keys.astype(np.uint32), groups.frames[kept, 0].astype(np.int64)


def query_keys(
    groups: Groups, kind: KeyKind, hypotheses: Sequence[Hypothesis], *, most: int | None = None
) -> QueryKeys:
    """Return the ranges of keys that the track of a query has if one of the hypotheses is true, in their
    order; of each at most the first `most` groups.
    """
    bits = _pitch_bits(kind)
    last = (1 << bits) - 1
    codes_at: dict[float, tuple[IndexArray, IndexArray, IndexArray]] = {}
    pieces = [np.zeros((4, 0), np.int64)]
    for guess, hypothesis in enumerate(hypotheses):
        scale = hypothesis.time_scale
        if scale not in codes_at:
            codes, kept = (found[:most] for found in _distance_codes(groups, kind, scale))
            codes_at[scale] = codes << bits, kept, np.rint(groups.frames[kept, 0] * scale).astype(np.int64)
        base, kept, frames = codes_at[scale]
        pitch = groups.pitches[kept, 0] - hypothesis.pitch_bands
        low = np.ceil((pitch - kind.pitch_tolerance) * kind.pitch_steps).astype(np.int64)
        high = np.floor((pitch + kind.pitch_tolerance) * kind.pitch_steps).astype(np.int64)
        inside = (high >= 0) & (low <= last)
        ranges = (base | np.maximum(low, 0), base | np.minimum(high, last), frames, np.full(base.size, guess))
        pieces.append(np.stack(ranges)[:, inside])
    joined = np.concatenate(pieces, axis=1)
    return QueryKeys(joined[0].astype(np.uint32), joined[1].astype(np.uint32), joined[2], joined[3])


def group_peaks(landmarks: Landmarks, kind: KeyKind, *, fan: int, slowest: float) -> Groups:
    """Join peaks that may make a key at any time scale from `slowest` on.

    Of each first peak the nearest `fan` that lie within reach at time scale 1 are joined, and those further
    away in proportion as the scale allows. Groups of strong peaks come first.
    """
    ranks = rank_landmarks(landmarks)
    frames = landmarks.frames.astype(np.float64)
    pitches = landmarks.pitches.astype(np.float64)
    reach = (kind.reach_frames + 1) / slowest
    first, second = _pairs_within(frames, pitches, reach, kind.reach_bands)
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    starts = np.searchsorted(first, np.arange(frames.size + 1))
    rank = np.arange(first.size) - starts[first]
    kept = rank < round(fan / slowest)
    first, second, rank = first[kept], second[kept], rank[kept]
    if kind.peaks == 2:
        members = np.stack([first, second], axis=1)
    else:
        starts = np.searchsorted(first, np.arange(frames.size + 1))
        after = starts[first + 1] - np.arange(first.size) - 1
        left = np.repeat(np.arange(first.size), after)
        right = left + 1 + np.arange(left.size) - np.repeat(np.cumsum(after) - after, after)
        members = np.stack([first[left], second[left], second[right]], axis=1)
    # The likeliest to be indexed first: those whose weakest peak has the fewest stronger ones around.
    members = members[np.argsort(ranks[members].max(axis=1, initial=0), kind="stable")]
    return Groups(frames[members], pitches[members])


def _pairs_within(
    frames: DoubleArray, pitches: DoubleArray, reach_frames: float, reach_bands: int
) -> tuple[IndexArray, IndexArray]:
    pieces = [np.zeros((2, 0), np.int64)]
    for k in range(1, frames.size):
        apart = frames[k:] - frames[:-k]
        near = apart <= reach_frames
        if not near.any():
            break
        first = np.flatnonzero(near & (np.abs(pitches[k:] - pitches[:-k]) < reach_bands + 1))
        pieces.append(np.stack([first, first + k]))
    joined = np.concatenate(pieces, axis=1)
    return joined[0], joined[1]


def _pitch_bits(kind: KeyKind) -> int:
    return 11 if kind.peaks == 2 else 10


def _distance_codes(groups: Groups, kind: KeyKind, time_scale: float) -> tuple[IndexArray, IndexArray]:
    """Return the part of each key that names distances, and which groups have one at this time scale."""
    apart = (groups.frames[:, 1:] - groups.frames[:, :1]) * time_scale
    bands = groups.pitches[:, 1:] - groups.pitches[:, :1]
    frame_code = np.floor(apart / kind.frame_step).astype(np.int64)
    band_code = np.floor((bands + kind.reach_bands) / kind.band_step).astype(np.int64)
    fits = (apart >= kind.least_frames) & (apart <= kind.reach_frames)
    fits &= (band_code >= 0) & (band_code < 1 << BAND_BITS)
    kept = np.flatnonzero(fits.all(axis=1))
    codes = np.zeros(kept.size, np.int64)
    for column in range(kind.peaks - 1):
        codes = (codes << FRAME_BITS) | frame_code[kept, column]
    for column in range(kind.peaks - 1):
        codes = (codes << BAND_BITS) | band_code[kept, column]
    return codes, kept
