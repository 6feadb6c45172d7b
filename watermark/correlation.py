"""The whitened plane read at a time scale, folded over the length of a block, and held against the pilot."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from .layout import Layout
from .profile import Profile

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]
ComplexArray = npt.NDArray[np.complex64]

# Bands of room on either side of the plane: +-16 of 36 to the octave is +-5.3 semitones.
MARGIN_BANDS = 16


@dataclass(frozen=True)
class Correlation:
    """The statistic of every place and shift at one time scale.

    `values`: float32 (steps of a block, whole bands of shift from -MARGIN_BANDS on, 2); the last axis is half
    a band. `step_frames`: the length of a step.
    """

    scale: float
    step_frames: float
    values: FloatArray


def correlate(
    plane: ComplexArray, layout: Layout, scales: Sequence[float] | DoubleArray
) -> Iterator[Correlation]:
    """Yield the correlation of the pilot with a plane at each of `scales`, but for silence.

    `plane` is the running sum over time of two planes, half a band apart: complex64 (frames + 1, bands).
    """
    profile = layout.profile
    steps = profile.period_columns * profile.search_steps
    frames = len(plane) - 1
    pattern, pattern_norm = pattern_spectrum(layout)
    for scale in scales:
        step_frames = profile.frames_per_column / (profile.search_steps * float(scale))
        count = int(frames / step_frames)
        position = np.arange(count + 1, dtype=np.float64) * step_frames
        folded = fold(np.diff(between(plane, position), axis=0), 0, steps)
        spectrum = fft.fft2(folded)
        spectrum *= pattern
        correlation = fft.ifft2(spectrum)[:, : 2 * MARGIN_BANDS + 1]
        energy = float(np.sqrt((folded.real**2 + folded.imag**2).sum() / 2))
        if energy == 0:
            continue
        values = np.stack([correlation.real, correlation.imag], axis=-1) / np.float32(energy * pattern_norm)
        yield Correlation(float(scale), step_frames, np.asarray(values, np.float32))


def lowest_searched_band(profile: Profile) -> int:
    """Return the first band of the plane, its room included, that the search looks at."""
    return profile.search_octave * profile.bands_per_octave


def pattern_spectrum(layout: Layout) -> tuple[npt.NDArray[np.complex64], float]:
    """Return the conjugate spectrum of the pilot on the search's plane, and the pilot's norm."""
    profile = layout.profile
    bands = np.zeros((profile.period_columns, profile.bands + 2 * MARGIN_BANDS), np.float32)
    for row, (first, stop) in enumerate(layout.row_bands):
        bands[:, first:stop] = layout.pilot_chips[:, row : row + 1] / (stop - first)
    bands = bands[:, lowest_searched_band(profile) :]
    pattern = np.repeat(bands, profile.search_steps, axis=0)
    norm = float(np.sqrt((pattern**2).sum() / pattern.size))
    return np.conj(fft.fft2(pattern)).astype(np.complex64), norm


def fold(rows: DoubleArray, first: int, period: int) -> DoubleArray:
    """Return the sums of rows (n, m) whose numbers, counted from `first`, are equal modulo `period`:
    (period, m).
    """
    before = first % period
    padded = np.pad(rows, ((before, -(before + len(rows)) % period), (0, 0)))
    return np.asarray(padded.reshape(-1, period, rows.shape[1]).sum(axis=0))


def between(running: npt.NDArray[np.inexact], position: npt.NDArray[np.floating]) -> npt.NDArray[np.inexact]:
    """Return rows of a running sum at fractional positions, linearly between; held at both ends."""
    position = np.clip(position, 0, running.shape[0] - 1)
    index = np.minimum(position.astype(np.int64), running.shape[0] - 2)
    fraction = (position - index)[:, None].astype(running.real.dtype)
    lower = running[index]
    return np.asarray(lower + fraction * (running[index + 1] - lower))
