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
from .whitening import moving_mean

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# How far a window's energy reaches to either side of its centre, in windows.
GUARD_WINDOWS = 0.75
# Half width of the span in which the change is turned down around a sample that it would drive over full
# scale.
PEAK_GUARD_SAMPLES = 256
# A few steps under the largest sample of 16 bits: a host that does not clip is not driven to where it would.
FULL_SCALE = 32762 / 32768


def local_power(power: FloatArray, grid: FrameGrid, edges_hz: DoubleArray) -> DoubleArray:
    """Return the mean power over a quarter octave, about a critical band, around each band: (frames,
    bands).
    """
    running = np.zeros((power.shape[0], power.shape[1] + 1))
    np.cumsum(power, axis=1, out=running[:, 1:])
    centre_hz = np.sqrt(edges_hz[:-1] * edges_hz[1:])
    to_bin = grid.window_samples / grid.sample_rate
    low, high = (
        np.clip(np.round(centre_hz * ratio * to_bin), 0, power.shape[1] - 1).astype(np.int64)
        for ratio in (2 ** (-1 / 8), 2 ** (1 / 8))
    )
    return np.asarray((running[:, high + 1] - running[:, low]) / (high + 1 - low) + SILENCE_POWER)


def transient_guard(local: DoubleArray, grid: FrameGrid, profile: Profile) -> FloatArray:
    """Return the factor, 0 to 1, that keeps each frame's gains from being heard beside it: (frames, bands).

    A change to a frame is spread over the whole window: before an attack it would be heard as pre-echo,
    after a stop as a tail. So the change is held to the `local` power that stands there: the smallest of the
    frames within the window's reach before (pre-masking hides `attack_ratio` more) and after (post-masking
    hides `release_ratio` more).
    """
    reach = round(grid.window_samples / (grid.hop_s * grid.sample_rate) * GUARD_WINDOWS)
    before = minimum_filter1d(local, reach + 1, axis=0, origin=reach // 2, mode="nearest")
    after = minimum_filter1d(local, reach + 1, axis=0, origin=-((reach + 1) // 2), mode="nearest")
    allowed = np.minimum(profile.attack_ratio * before, profile.release_ratio * after)
    return np.asarray(np.sqrt(np.minimum(1.0, allowed / local)), np.float32)


def steadiness_limit(local: DoubleArray, profile: Profile) -> FloatArray:
    """Return the share, `steady_share` to 1, of the gain limit that the host's own motion hides: (frames,
    bands).

    The ear hears a new modulation the better the steadier the sound is (the modulation differences of ITU-R
    BS.1387 divide by the host's own). Motion is the mean change of the `local` level over two frames, in dB.
    """
    level_db = 10 * np.log10(local)
    change_db = np.zeros_like(level_db)
    if len(level_db) > 2:
        change_db[1:-1] = np.abs(level_db[2:] - level_db[:-2])
        change_db[0], change_db[-1] = change_db[1], change_db[-2]
    motion_db = moving_mean(change_db.astype(np.float32), profile.motion_frames, 0)
    share = np.clip(motion_db / profile.motion_reference_db, profile.steady_share, 1.0)
    return np.asarray(share, np.float32)


def masking_share(under: FloatArray, profile: Profile) -> FloatArray:
    """Return what the limit of a gain is multiplied with for where its cell stands in its critical band:
    float32, the shape of `under`.

    `under` is the log power of the band around (`local_power`) less that of the cell. The noise-to-mask
    ratio of a gain g on a cell of power p is about g^2 p / local, so the same ratio everywhere would let g
    grow with (local / p)^(1/2), which is `masking_exponent` 1; less is taken, since what lies far under the
    mask is what codecs and noise destroy first.
    """
    low, high = profile.masking_bounds
    exponent = profile.masking_exponent / 2 * (under - profile.masking_reference)
    return np.asarray(np.clip(np.exp(exponent), low, high), np.float32)


def guard_peaks(host: FloatArray, change: FloatArray) -> FloatArray:
    """Return host + change, with the change turned down around samples that it would drive over full scale.

    A host that is itself over full scale is left as it is there. Both arrays are float32 (channels,
    samples); the turning down is the same on all channels and smooth over PEAK_GUARD_SAMPLES.
    """
    limit = np.maximum(FULL_SCALE, np.abs(host))
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
