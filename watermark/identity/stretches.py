"""Audio in fixed stretches with context: how large a caller's blocks are changes no rounding.

A meter looks at windows around the middles of rows, `row_s` apart: row n has its middle at (n + 1/2) row_s.
CHUNK_ROWS rows are worked on at once, with all the audio that their windows and filters reach.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Stretch:
    """Audio for the rows from `first_row` on, float32 (channels, samples).

    `centres`, int64 (rows,), are the samples of `audio` on which the middles of the rows fall.
    """

    first_row: int
    audio: FloatArray
    centres: npt.NDArray[np.int64]


class Stretches:
    """Cuts audio that comes in blocks into stretches of whole rows; before its start and after its end is
    silence.

    Parameters
    ----------
    sample_rate : Hz
    channels : int
    row_s : float
    rows : int
        Rows in a stretch.
    margin : int
        Samples on either side of a row's middle that it looks at.
    """

    def __init__(self, *, sample_rate: int, channels: int, row_s: float, rows: int, margin: int) -> None:
        self._rate = sample_rate
        self._channels = channels
        self._row_s = row_s
        self._rows = rows
        self._margin = margin
        # The audio from absolute sample `_origin` on, in blocks.
        self._blocks = [np.zeros((channels, margin), np.float32)]
        self._origin = -margin
        self._end = 0
        self._next_row = 0

    def push(self, block: FloatArray) -> Iterator[Stretch]:
        """Take the next block, float32 (channels, samples), and yield the stretches that are whole."""
        self._blocks.append(block.copy())
        self._end += block.shape[1]
        if self._end < self._needed(self._next_row + self._rows - 1):
            return
        audio = np.concatenate(self._blocks, axis=1)
        while self._end >= self._needed(self._next_row + self._rows - 1):
            first = self._needed(self._next_row) - 2 * self._margin - self._origin
            last = self._needed(self._next_row + self._rows - 1) - self._origin
            numbers = range(self._next_row, self._next_row + self._rows)
            centres = np.array([self._centre(row) for row in numbers], np.int64) - self._origin - first
            yield Stretch(self._next_row, audio[:, first:last], centres)
            self._next_row += self._rows
        keep = self._needed(self._next_row) - 2 * self._margin - self._origin
        self._blocks = [audio[:, keep:].copy()]
        self._origin += keep

    def finish(self) -> tuple[int, Iterator[Stretch]]:
        """Return how many rows have their middle inside the audio, and the stretches that remain."""
        rows = round(self._end / (self._rate * self._row_s))
        return rows, self._rest(rows)

    def _rest(self, rows: int) -> Iterator[Stretch]:
        while self._next_row < rows:
            missing = self._needed(self._next_row + self._rows - 1) - self._end
            yield from self.push(np.zeros((self._channels, max(missing, 1)), np.float32))

    def _centre(self, row: int) -> int:
        return round((row + 0.5) * self._row_s * self._rate)

    def _needed(self, row: int) -> int:
        """First sample after those that `row` looks at."""
        return self._centre(row) + self._margin
