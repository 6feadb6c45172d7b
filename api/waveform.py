"""What is kept of a file's samples to draw them: the peaks of each hundredth of a second."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .audiofile import PcmDigest, hash_file
from .decoding import AudioFormat, Limits, open_recording
from .errors import RefusedError
from .marking import Block

PEAKS_PER_S = 100
Peaks = NDArray[np.float32]
"""Highest and lowest sample of each hundredth of a second, over all channels: float32 (2, n)."""


class PeakMeter:
    """Takes peaks of a stream of blocks; a `marking.Meter`."""

    def __init__(self) -> None:
        self._samples = 1
        self._rest = np.zeros((2, 0), np.float32)
        self._peaks: list[Peaks] = []

    def begin(self, audio_format: AudioFormat) -> None:
        """Learn what blocks will come."""
        self._samples = max(1, audio_format.sample_rate // PEAKS_PER_S)

    def push(self, block: Block) -> None:
        """Take the next samples, float32 (channels, n)."""
        extreme = np.stack([block.max(axis=0), block.min(axis=0)])
        joined = np.concatenate([self._rest, extreme], axis=1)
        whole = joined.shape[1] // self._samples
        parts = joined[:, : whole * self._samples].reshape(2, whole, self._samples)
        self._peaks.append(np.stack([parts[0].max(axis=1), parts[1].min(axis=1)]))
        self._rest = joined[:, whole * self._samples :]

    def finish(self) -> Peaks:
        """Return the peaks; what is less than a hundredth of a second at the end is left out."""
        return np.concatenate([np.zeros((2, 0), np.float32), *self._peaks], axis=1)


def read_peaks(path: Path, limits: Limits, *, file_sha256: str, pcm_sha256: str) -> Peaks:
    """Return the peaks of the file that a report is about.

    Raises
    ------
    RefusedError
        It is another file: neither its bytes nor its samples are those of the report.
    """
    meter, digest = PeakMeter(), PcmDigest()
    with open_recording(path, limits) as recording:
        meter.begin(recording.format)
        for block in recording.blocks():
            meter.push(block)
            digest.push(block)
    if hash_file(path) != file_sha256 and digest.hex() != pcm_sha256:
        raise RefusedError(f"the report is about another file than {path.name}")
    return meter.finish()
