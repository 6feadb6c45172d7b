"""Where a change to the signal would be heard, and how far it is turned down there.

Simultaneous masking needs nothing done: gains of less than a decibel on the host's own spectrum stay under
it. What does is time: a frame's change is spread over its whole window (pre-echo), and a full-scale host has
no room.
"""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from .profile import Profile
from .spectrogram import SILENCE_POWER, FrameGrid

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# How far a window's energy reaches to either side of its centre, in windows.
GUARD_WINDOWS = 0.75
# Half width of the span in which the change is turned down around a sample that it would drive over full
# scale.
PEAK_GUARD_SAMPLES = 256


def transient_guard(
    power: FloatArray, grid: FrameGrid, edges_hz: DoubleArray, profile: Profile
) -> FloatArray:
    """Return the factor, 0 to 1, that keeps each frame's gains from being heard beside it: (frames, bands).

    A change to a frame is spread over the whole window: before an attack it would be heard as pre-echo,
    after a stop as a tail. So the change is held to the power that stands there: the smallest of the frames
    within half a window before (pre-masking hides `attack_ratio` more) and after (post-masking hides
    `release_ratio` more).
    """
    running = np.zeros((power.shape[0], power.shape[1] + 1))
    np.cumsum(power, axis=1, out=running[:, 1:])
    # Mean power over about a critical band around each band.
    centre_hz = np.sqrt(edges_hz[:-1] * edges_hz[1:])
    to_bin = grid.window_samples / grid.sample_rate
    low = np.clip(np.round(centre_hz * 2 ** (-1 / 6) * to_bin), 0, power.shape[1] - 1).astype(np.int64)
    high = np.clip(np.round(centre_hz * 2 ** (1 / 6) * to_bin), 0, power.shape[1] - 1).astype(np.int64) + 1
    local = (running[:, high] - running[:, low]) / (high - low) + SILENCE_POWER
    reach = round(grid.window_samples / (grid.hop_s * grid.sample_rate) * GUARD_WINDOWS)
    before = minimum_filter1d(local, reach + 1, axis=0, origin=reach // 2, mode="nearest")
    after = minimum_filter1d(local, reach + 1, axis=0, origin=-((reach + 1) // 2), mode="nearest")
    allowed = np.minimum(profile.attack_ratio * before, profile.release_ratio * after)
    return np.asarray(np.sqrt(np.minimum(1.0, allowed / local)), np.float32)


def guard_peaks(host: FloatArray, change: FloatArray) -> FloatArray:
    """Return host + change, with the change turned down around samples that it would drive over full scale.

    A host that is itself over full scale is left as it is there. Both arrays are float32 (channels,
    samples); the turning down is the same on all channels and smooth over PEAK_GUARD_SAMPLES.
    """
    limit = np.maximum(1.0, np.abs(host))
    over = np.abs(host + change) > limit
    if not over.any():
        return host + change
    room = np.where(over, np.maximum(limit - np.abs(host), 0) / np.maximum(np.abs(change), 1e-12), 1.0).min(
        axis=0
    )
    lowest = minimum_filter1d(room, 2 * PEAK_GUARD_SAMPLES + 1, mode="nearest")
    factor = np.minimum(
        uniform_filter1d(lowest, PEAK_GUARD_SAMPLES + 1, mode="nearest"), lowest + (1 - over.max(axis=0))
    )
    return np.asarray(np.clip(host + change * factor, -limit, limit), np.float32)
