"""Taking the host out of the spectrogram: what is left of it is nearly white, bounded, and of unit spread.

Chips are random and short, the host is smooth: subtracting a moving mean over time and then over frequency
leaves most of the mark and little of the music. The rest is divided by its own running deviation and
clipped, so that a drum stroke counts no more than a quiet bar, and so that the sums have the light tails
that `false_alarm` needs nothing of but profits from.
"""

import numpy as np
import numpy.typing as npt

from .profile import Profile

FloatArray = npt.NDArray[np.float32]

# Log power; keeps silence, whose deviation is 0, from being blown up.
SMALLEST_DEVIATION = 0.02


def whiten(levels: FloatArray, profile: Profile) -> tuple[FloatArray, FloatArray]:
    """Return the whitened levels before clipping and their running deviation, both float32 (frames, bands).

    `levels` are band levels in log power; multiply by the deviation to go back to log power.
    """
    residue = levels - moving_mean(levels, profile.whitening_frames, 0)
    residue -= moving_mean(residue, profile.whitening_bands, 1)
    deviation = np.sqrt(moving_mean(residue * residue, profile.deviation_frames, 0)) + np.float32(
        SMALLEST_DEVIATION
    )
    return (residue / deviation).astype(np.float32), deviation.astype(np.float32)


def clip(whitened: FloatArray, limit: float) -> FloatArray:
    """Return `whitened` limited to +-`limit`."""
    return np.asarray(np.clip(whitened, -limit, limit), np.float32)


def moving_mean(values: FloatArray, half_width: int, axis: int) -> FloatArray:
    """Return the mean over +-`half_width` places along `axis` of a 2-D array; shorter at the ends."""
    moved = values if axis == 0 else values.T
    length = moved.shape[0]
    running = np.zeros((length + 1, moved.shape[1]))
    np.cumsum(moved, axis=0, out=running[1:])
    low = np.maximum(np.arange(length) - half_width, 0)
    high = np.minimum(np.arange(length) + half_width + 1, length)
    mean: FloatArray = ((running[high] - running[low]) / (high - low)[:, None]).astype(np.float32)
    return mean if axis == 0 else np.asarray(mean.T)
