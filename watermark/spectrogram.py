"""The log-frequency, log-magnitude spectrogram that marks are written to and read from.

A band's value is the mean over its frequencies of the log power of single bins: a sum of logs, not a log of a
sum, since the latter is ruled by the band's largest partial. Means over any interval of frequency come from a
cumulative sum read between bins, so a pitch shift never needs a new transform.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from .profile import Profile

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]

# One natural log unit of power in dB: 10 / ln(10).
DB_PER_LOG_POWER = 4.342944819
# Power under which a bin counts as silent: -140 dB relative to the bin of a full-scale sine, well under the
# rounding noise of 16 bits, so that a clip turned down by 40 dB reads as before.
SILENCE_POWER = 1e-14
# How far over the highest band a mark may be read that was shifted up; bins over that are not looked at.
MARGIN_OCTAVES = 0.5


@dataclass(frozen=True)
class FrameGrid:
    """Where the frames of a transform lie: frame n is centred on sample round(n * hop_s * sample_rate).

    `bins` is how many of the transform's bins are looked at, from 0 Hz on.
    """

    sample_rate: int
    window_samples: int
    hop_s: float
    bins: int

    def centre(self, frame: int) -> int:
        """Return the sample that frame number `frame` is centred on."""
        return round(frame * self.hop_s * self.sample_rate)

    def frames(self, samples: int) -> int:
        """Return how many frames have their centre inside the first `samples` samples."""
        count = int(samples / (self.hop_s * self.sample_rate)) + 2
        while count > 0 and self.centre(count - 1) >= samples:
            count -= 1
        return count


def frame_grid(profile: Profile, sample_rate: int) -> FrameGrid:
    """Return the frames of `profile` at `sample_rate` Hz; the window is an even number that an FFT likes."""
    window_samples = 2 * fft.next_fast_len(round(profile.window_s * sample_rate / 2), real=True)
    highest_bin = profile.highest_hz * 2**MARGIN_OCTAVES * window_samples / sample_rate
    bins = min(window_samples // 2 + 1, int(highest_bin) + profile.floor_bins + 3)
    return FrameGrid(sample_rate, window_samples, profile.column_s / profile.frames_per_column, bins)


def hann(samples: int) -> FloatArray:
    """Return the periodic Hann window, float32 (samples,)."""
    phase = 2 * np.pi * np.arange(samples) / samples
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


def frame_power(audio: FloatArray, grid: FrameGrid, first: int, count: int, origin: int) -> FloatArray:
    """Return the power of each bin, summed over channels, of `count` frames from number `first`.

    Parameters
    ----------
    audio : float32 (channels, samples)
        The signal from absolute sample `origin` on; outside it is silence.

    Returns
    -------
    float32 (count, grid.bins)
        A full-scale sine has power 1 in its bin.
    """
    half = grid.window_samples // 2
    starts = np.array([grid.centre(n) for n in range(first, first + count)], np.int64) - origin - half
    before = max(0, -int(starts[0]))
    after = max(0, int(starts[-1]) + grid.window_samples - audio.shape[1])
    padded = np.pad(audio, ((0, 0), (before, after))) if before or after else audio
    window = hann(grid.window_samples)
    window /= window.sum() / 2
    views = np.lib.stride_tricks.sliding_window_view(padded, grid.window_samples, axis=1)
    power = np.zeros((count, grid.bins), np.float32)
    for channel in range(audio.shape[0]):
        # In slices, so that memory stays small.
        for a in range(0, count, 256):
            spectrum = fft.rfft(views[channel, starts[a : a + 256] + before] * window, axis=1)[:, : grid.bins]
            power[a : a + 256] += spectrum.real**2 + spectrum.imag**2
    return power


def cumulative_log_power(power: FloatArray, profile: Profile) -> DoubleArray:
    """Return the running sum over bins of the floored log power: float64 (frames, bins + 1), first column
    0.
    """
    frames, bins = power.shape
    running = np.zeros((frames, bins + 1))
    np.cumsum(power, axis=1, out=running[:, 1:])
    low = np.maximum(np.arange(bins) - profile.floor_bins, 0)
    high = np.minimum(np.arange(bins) + profile.floor_bins + 1, bins)
    neighbourhood = (running[:, high] - running[:, low]) / (high - low)
    logs = np.log(power + (profile.floor_ratio * neighbourhood + SILENCE_POWER))
    np.cumsum(logs, axis=1, out=running[:, 1:])
    return running


def band_levels(cumulative: DoubleArray, grid: FrameGrid, edges_hz: DoubleArray) -> FloatArray:
    """Return the mean log power between neighbouring `edges_hz` (ascending), float32 (frames, edges - 1).

    Bin k stands for the frequencies k - 1/2 to k + 1/2; a band that lies above the last bin is 0.
    """
    bins = cumulative.shape[1] - 1
    position = np.clip(edges_hz * (grid.window_samples / grid.sample_rate) + 0.5, 0, bins)
    index = np.minimum(position.astype(np.int64), bins - 1)
    fraction = position - index
    at_edges = cumulative[:, index] * (1 - fraction) + cumulative[:, index + 1] * fraction
    width = np.diff(position)
    levels = np.diff(at_edges, axis=1) / np.maximum(width, 1e-6)
    return np.where(width > 1e-6, levels, 0.0).astype(np.float32)


def band_edges_hz(profile: Profile, margin_bands: int, shift_bands: float) -> DoubleArray:
    """Return the edges of the profile's bands and `margin_bands` more on either side, moved up by
    `shift_bands`.
    """
    steps = np.arange(-margin_bands, profile.bands + margin_bands + 1) + shift_bands
    return np.asarray(profile.lowest_hz * 2.0 ** (steps / profile.bands_per_octave), np.float64)
