"""Fingerprints of audio, whole or in a stream: what a registry stores, and what a query is asked with.

extractor = Extractor(sample_rate=44_100, channels=2)
extractor.push(block)                    # float32 (channels, samples), any number of times
query = extractor.finish()               # to identify with
fingerprint = make_fingerprint(query)    # to store
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .landmarks import LandmarkFinder, join_landmarks, thin_landmarks
from .outcome import Fingerprint, Landmarks
from .profile import PROFILE, FingerprintProfile
from .sketch import SketchExtractor, SketchQuery, build_sketch
from .sketch_profile import SKETCH_PROFILES
from .spectrum import LevelMeter

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Query:
    """What a recording in hand is identified with: more landmarks than are stored, and its spectrogram."""

    landmarks: Landmarks
    sketch: SketchQuery

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.sketch.seconds


class Extractor:
    """Takes a recording in blocks of any size, with the same result as for the whole.

    Parameters
    ----------
    sample_rate : Hz
    channels : int

    Raises
    ------
    AudioError
        On audio that cannot be worked on, here and in `push`.
    """

    def __init__(self, *, sample_rate: int, channels: int, profile: FingerprintProfile = PROFILE) -> None:
        self._profile = profile
        self._rate = sample_rate
        self._samples = 0
        self._meter = LevelMeter(sample_rate=sample_rate, channels=channels, profile=profile)
        self._finder = LandmarkFinder(profile=profile)
        self._sketch = SketchExtractor(
            sample_rate=sample_rate, channels=channels, profile=SKETCH_PROFILES[profile.name]
        )
        self._landmarks: list[Landmarks] = []

    def push(self, block: FloatArray) -> None:
        """Take the next block, float32 (channels, samples)."""
        levels = self._meter.push(block)
        self._samples += block.shape[1]
        self._sketch.push_audio(block)
        self._take(levels)

    def finish(self) -> Query:
        """Return what was found; the extractor is then spent."""
        self._take(self._meter.finish())
        self._landmarks.append(self._finder.finish())
        return Query(
            landmarks=join_landmarks(self._landmarks, profile=self._profile),
            sketch=self._sketch.finish(self._samples / self._rate, self._meter.doubtful),
        )

    def _take(self, levels: FloatArray) -> None:
        self._sketch.push_levels(levels)
        self._landmarks.append(self._finder.push(levels))


def extract_query(samples: FloatArray, *, sample_rate: int, profile: FingerprintProfile = PROFILE) -> Query:
    """Return what a recording is identified with.

    Parameters
    ----------
    samples : float32 (channels, samples)
    sample_rate : Hz

    Raises
    ------
    AudioError
        The audio cannot be worked on.
    """
    channels = samples.shape[0] if isinstance(samples, np.ndarray) and samples.ndim == 2 else 1
    extractor = Extractor(sample_rate=sample_rate, channels=channels, profile=profile)
    extractor.push(samples)
    return extractor.finish()


def extract(samples: FloatArray, *, sample_rate: int, profile: FingerprintProfile = PROFILE) -> Fingerprint:
    """Return the fingerprint of a recording, float32 (channels, samples), as a registry stores it.

    Raises
    ------
    AudioError
        The audio cannot be worked on.
    """
    return make_fingerprint(extract_query(samples, sample_rate=sample_rate, profile=profile), profile=profile)


def make_fingerprint(query: Query, *, profile: FingerprintProfile = PROFILE) -> Fingerprint:
    """Return the part of a query that a registry stores."""
    return Fingerprint(
        profile_name=profile.name,
        seconds=query.seconds,
        landmarks=thin_landmarks(query.landmarks, profile.rich.density, profile=profile),
        sketch=build_sketch(query.sketch),
    )


def cut_query(
    query: Query, *, start_s: float, end_s: float, profile: FingerprintProfile = PROFILE
) -> tuple[Query, float]:
    """Return the part of a query between two times, and the second it begins at: its first whole frame."""
    first = max(0, int(np.ceil(start_s / profile.frame_s - 1e-6)))
    last = min(len(query.sketch.power), int(np.ceil(end_s / profile.frame_s - 1e-6)))
    found = query.landmarks
    inside = (found.frames >= first) & (found.frames < last)
    # Rows of outer levels are of another length; what is cut off a query is never asked about them.
    part = SketchQuery(
        profile=query.sketch.profile,
        seconds=max(0, last - first) * profile.frame_s,
        power=query.sketch.power[first:last],
        outer=query.sketch.outer[:0],
    )
    landmarks = Landmarks(
        found.profile_name,
        found.frames[inside] - np.int32(first),
        found.pitches[inside],
        found.strengths[inside],
    )
    return Query(landmarks, part), first * profile.frame_s
