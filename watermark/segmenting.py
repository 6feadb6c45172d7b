"""Cutting a signal that comes in blocks into segments that are read each for itself."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .audio import check_block, check_format

FloatArray = npt.NDArray[np.float32]

SEGMENT_S = 16.0
# A last stretch shorter than this joins the segment before it.
SHORTEST_SEGMENT_S = 8.0


class Segmenter:
    """Cuts a signal into segments of 16 s, the last one 8 to 24 s; holds at most one of them at a time."""

    def __init__(self, *, sample_rate: int, channels: int) -> None:
        check_format(sample_rate, channels)
        self._channels = channels
        self._segment_samples = round(SEGMENT_S * sample_rate)
        self._enough_samples = self._segment_samples + round(SHORTEST_SEGMENT_S * sample_rate)
        self._pending: list[FloatArray] = []
        self._pending_samples = 0
        self._start = 0
        self._finished = False

    def push(self, block: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        """Take the next samples, float32 (channels, n); yield (first sample, segment) as they become whole.

        The iterator must be used up before the next call.
        """
        if self._finished:
            raise ValueError("the detector is finished")
        check_block(block, self._channels)
        # In slices, so that a block of any size costs no more memory than the segments do.
        for a in range(0, block.shape[1], self._segment_samples):
            # A copy: the caller may use its block again.
            piece = block[:, a : a + self._segment_samples].copy()
            self._pending.append(piece)
            self._pending_samples += piece.shape[1]
            while self._pending_samples >= self._enough_samples:
                yield self._take(self._segment_samples)

    def finish(self) -> Iterator[tuple[int, FloatArray]]:
        """Yield the last segment, if there is one."""
        if self._finished:
            raise ValueError("the detector is finished")
        self._finished = True
        if self._pending_samples:
            yield self._take(self._pending_samples)

    def _take(self, samples: int) -> tuple[int, FloatArray]:
        pending = np.concatenate(self._pending, axis=1)
        audio, rest = pending[:, :samples], pending[:, samples:]
        self._pending, self._pending_samples = ([rest] if rest.shape[1] else []), rest.shape[1]
        start = self._start
        self._start += samples
        return start, audio
