"""Landmarks: the peaks of the whitened spectrogram that stand out among those of their second.

Whether a peak is kept depends on nothing further away than `REACH` of it, so an excerpt has the landmarks of
the whole, and a stream those of the file.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .outcome import Landmarks
from .profile import PROFILE, FingerprintProfile

FloatArray = npt.NDArray[np.float32]

# Frames that are searched at a time, between fixed borders.
BLOCK_FRAMES = 2_048
# A peak must stand this far out of its surroundings, natural log units of power: 4.3 dB.
LEAST_STRENGTH = 1.0
# Levels under this say nothing: natural log of power, -95 dB.
QUIET_LEVEL = -22.0


def find_landmarks(levels: FloatArray, *, profile: FingerprintProfile = PROFILE) -> Landmarks:
    """Find the landmarks of a whole recording.

    Parameters
    ----------
    levels : float32 (frames, profile.bands)
        From `measure_levels`.
    """
    finder = LandmarkFinder(profile=profile)
    return join_landmarks([finder.push(levels), finder.finish()], profile=profile)


def join_landmarks(pieces: list[Landmarks], *, profile: FingerprintProfile = PROFILE) -> Landmarks:
    """Put the landmarks of consecutive pieces of a stream together."""
    return Landmarks(
        profile_name=profile.name,
        frames=np.concatenate([np.zeros(0, np.int32), *(piece.frames for piece in pieces)]),
        pitches=np.concatenate([np.zeros(0, np.float32), *(piece.pitches for piece in pieces)]),
        strengths=np.concatenate([np.zeros(0, np.float32), *(piece.strengths for piece in pieces)]),
    )


class LandmarkFinder:
    """Finds landmarks in levels that come in blocks; memory does not grow with their length."""

    def __init__(self, *, profile: FingerprintProfile = PROFILE) -> None:
        self.profile = profile
        self._context = _reach_frames(profile)
        self._levels = np.zeros((0, profile.bands), np.float32)
        self._first = 0
        self._next = 0

    def push(self, levels: FloatArray) -> Landmarks:
        """Take float32 (n, bands) and return the landmarks that are certain."""
        self._levels = np.concatenate([self._levels, levels])
        pieces = []
        while self._first + len(self._levels) >= self._next + BLOCK_FRAMES + self._context:
            pieces.append(self._search(BLOCK_FRAMES))
        return join_landmarks(pieces, profile=self.profile)

    def finish(self) -> Landmarks:
        """Return the landmarks that remain; the finder is then spent."""
        pieces = []
        while self._next < self._first + len(self._levels):
            pieces.append(self._search(BLOCK_FRAMES))
        return join_landmarks(pieces, profile=self.profile)

    def _search(self, frames: int) -> Landmarks:
        stop = self._next + frames
        found = _find_peaks(self._levels[: stop + self._context - self._first], self.profile)
        at = found.frames + np.int32(self._first)
        inside = (at >= self._next) & (at < stop)
        drop = max(0, stop - self._context - self._first)
        self._levels = self._levels[drop:]
        self._first += drop
        self._next = stop
        return Landmarks(self.profile.name, at[inside], found.pitches[inside], found.strengths[inside])


def rank_landmarks(landmarks: Landmarks, *, profile: FingerprintProfile = PROFILE) -> npt.NDArray[np.int64]:
    """Count, for each landmark, the stronger ones within half a second on either side: int64 (n,)."""
    half = round(profile.frames_per_s / 2)
    low = np.searchsorted(landmarks.frames, landmarks.frames - half, "left")
    high = np.searchsorted(landmarks.frames, landmarks.frames + half, "right")
    ranks = np.zeros(landmarks.frames.size, np.int64)
    # Neighbour by neighbour: every landmark is held against the k-th one after it.
    for k in range(1, int((high - np.arange(high.size)).max(initial=1))):
        first = np.flatnonzero(np.arange(high.size) + k < high)
        second = first + k
        wins = landmarks.strengths[first] >= landmarks.strengths[second]
        ranks[second[wins]] += 1
        ranks[first[~wins]] += 1
    assert (low <= high).all()
    return ranks


def thin_landmarks(landmarks: Landmarks, density: int, *, profile: FingerprintProfile = PROFILE) -> Landmarks:
    """Keep the landmarks that fewer than `density` stronger ones surround."""
    kept = rank_landmarks(landmarks, profile=profile) < density
    return Landmarks(
        landmarks.profile_name, landmarks.frames[kept], landmarks.pitches[kept], landmarks.strengths[kept]
    )


def whiten(levels: FloatArray, profile: FingerprintProfile) -> FloatArray:
    """Take the mean over the neighbourhood off levels, float32 (frames, bands)."""
    size = (2 * profile.whitening_frames + 1, 2 * profile.whitening_bands + 1)
    return levels - ndimage.uniform_filter(levels, size, mode="nearest")


def _reach_frames(profile: FingerprintProfile) -> int:
    return profile.whitening_frames + profile.peak_frames + round(profile.frames_per_s / 2) + 1


def _find_peaks(levels: FloatArray, profile: FingerprintProfile) -> Landmarks:
    white = whiten(levels, profile)
    size = (2 * profile.peak_frames + 1, 2 * profile.peak_bands + 1)
    peaks = (
        (white == ndimage.maximum_filter(white, size, mode="nearest"))
        & (white >= LEAST_STRENGTH)
        & (levels > QUIET_LEVEL)
    )
    frames, bands = np.nonzero(peaks[:, 1:-1])
    bands += 1
    strengths = white[frames, bands]
    # The top of the parabola through three neighbouring bands.
    left, right = white[frames, bands - 1], white[frames, bands + 1]
    curve = np.maximum(2 * strengths - left - right, np.float32(1e-6))
    pitches = bands + np.clip((right - left) / (2 * curve), -0.5, 0.5)
    found = Landmarks(
        profile.name, frames.astype(np.int32), pitches.astype(np.float32), strengths.astype(np.float32)
    )
    return thin_landmarks(found, profile.query_density, profile=profile)
