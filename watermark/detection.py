"""Looking for marks in a signal, segment by segment, under several keys and every published profile."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .audio import check_block, check_format
from .outcome import Detection
from .profile import PROFILES
from .reader import KeyReader
from .spectrogram import frame_grid, frame_power
from .synchronisation import Segment

FloatArray = npt.NDArray[np.float32]

SEGMENT_S = 16.0
# A last stretch shorter than this joins the segment before it.
SHORTEST_SEGMENT_S = 8.0


def detect(audio: FloatArray, *, sample_rate: int, watermark_keys: Sequence[bytes]) -> Detection:
    """Return what marks under `watermark_keys` the clip carries.

    Parameters
    ----------
    audio : float32, shape (channels, samples)
    sample_rate : int
        Hz, 8,000 to 192,000.
    watermark_keys : sequence of 32 bytes each
        All are tried; the strongest mark found is reported.

    Raises
    ------
    AudioError
        The audio cannot be worked on. Finding nothing is a result.
    """
    channels = audio.shape[0] if isinstance(audio, np.ndarray) and audio.ndim == 2 else 1
    detector = Detector(sample_rate=sample_rate, channels=channels, watermark_keys=watermark_keys)
    detector.push(audio)
    return detector.finish()


class Detector:
    """Looks for marks in a signal that comes in blocks; holds at most 24 s of it at a time."""

    def __init__(self, *, sample_rate: int, channels: int, watermark_keys: Sequence[bytes]) -> None:
        check_format(sample_rate, channels)
        if not watermark_keys:
            raise ValueError("expected at least one watermark key")
        self._sample_rate = sample_rate
        self._channels = channels
        self._readers = [
            KeyReader(watermark_key, profile, index)
            for profile in PROFILES
            for index, watermark_key in enumerate(watermark_keys)
        ]
        self._pending: list[FloatArray] = []
        self._pending_samples = 0
        self._start = 0
        self._finished = False

    def push(self, block: FloatArray) -> None:
        """Take the next samples, float32 (channels, n)."""
        if self._finished:
            raise ValueError("the detector is finished")
        check_block(block, self._channels)
        segment = round(SEGMENT_S * self._sample_rate)
        enough = segment + round(SHORTEST_SEGMENT_S * self._sample_rate)
        # In slices, so that a block of any size costs no more memory than the segments do.
        for a in range(0, block.shape[1], segment):
            # A copy: the caller may use its block again.
            piece = block[:, a : a + segment].copy()
            self._pending.append(piece)
            self._pending_samples += piece.shape[1]
            while self._pending_samples >= enough:
                self._read(segment)

    def finish(self) -> Detection:
        """Return the outcome for everything pushed."""
        if self._finished:
            raise ValueError("the detector is finished")
        self._finished = True
        if self._pending_samples:
            self._read(self._pending_samples)
        outcomes = [reader.conclude(len(self._readers)) for reader in self._readers]
        return min(outcomes, key=lambda found: (not found.detected, found.false_alarm_probability))

    def _read(self, samples: int) -> None:
        """Let every reader read the first `samples` pending samples, and forget them."""
        pending = np.concatenate(self._pending, axis=1)
        audio, rest = pending[:, :samples], pending[:, samples:]
        self._pending, self._pending_samples = ([rest] if rest.shape[1] else []), rest.shape[1]
        start_s, end_s = self._start / self._sample_rate, (self._start + samples) / self._sample_rate
        segments: dict[str, Segment] = {}
        for reader in self._readers:
            profile = reader.layout.profile
            if profile.name not in segments:
                grid = frame_grid(profile, self._sample_rate)
                power = frame_power(audio, grid, 0, grid.frames(samples), 0)
                segments[profile.name] = Segment(power, grid, profile)
            reader.read(segments[profile.name], start_s, end_s)
        self._start += samples
