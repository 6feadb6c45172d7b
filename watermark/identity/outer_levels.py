"""Levels of what the spectrogram of 180-3800 Hz does not hold: infrasound, bass, treble, ultrasound.

Powers of all channels are added, never their samples: what is written with opposite signs into left and
right would vanish from a mono mix.
"""

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from watermark.audio import check_block, check_format

from .sketch_profile import SketchProfile

FloatArray = npt.NDArray[np.float32]

# Rows worked on at once. Fixed, so that the size of the caller's blocks changes no rounding.
CHUNK_ROWS = 200
# The low columns are measured at about this rate, reached in two steps: plain means down to the first, a
# filter from there. What the means let through around multiples of the first rate lies 40 dB down.
MEANS_RATE_HZ = 5_500
LOW_RATE_HZ = 600
# A column counts as measured when its lower edge lies under this share of half the sample rate.
NYQUIST_SHARE = 0.93


def _hann_power(views: FloatArray) -> FloatArray:
    """Power of each bin under a Hann window, where a full-scale sine sums to 1 over its bins.

    float32 (..., samples) to (..., bins). The mean is taken out under the window, so that a constant
    offset is no infrasound.
    """
    samples = views.shape[-1]
    window = signal.windows.hann(samples, sym=False).astype(np.float32)
    offset = (views @ window) / window.sum()
    spectrum = fft.rfft((views - offset[..., None]) * window, axis=-1)
    scale = 4.0 / (samples * float(np.sum(window.astype(np.float64) ** 2)))
    return np.asarray((spectrum.real**2 + spectrum.imag**2) * np.float32(scale), np.float32)


class OuterLevels:
    """Measures the columns under and over the spectrogram's range from blocks of audio at its full rate."""

    def __init__(self, profile: SketchProfile, *, sample_rate: int, channels: int) -> None:
        check_format(sample_rate, channels)
        self._profile = profile
        self._rate = sample_rate
        self._channels = channels
        self._mean_of = max(1, sample_rate // MEANS_RATE_HZ)
        self._keep_of = max(1, sample_rate // self._mean_of // LOW_RATE_HZ)
        self._low_rate = sample_rate / (self._mean_of * self._keep_of)
        self._taps = signal.firwin(8 * self._keep_of + 1, 0.8 / self._keep_of) if self._keep_of > 1 else [1.0]
        self._low_samples = 2 * round(profile.low_window_s * self._low_rate / 2)
        self._high_samples = fft.next_fast_len(round(profile.high_window_s * sample_rate), real=True)
        # Enough context on either side of a row's centre for the longer of the windows and the filter.
        self._margin = int(sample_rate * profile.low_window_s / 2) + 8 * self._mean_of * self._keep_of
        self._margin = max(self._margin, self._high_samples)
        # The audio from absolute sample `_origin` on, in blocks; what lies before the start is silence.
        self._blocks = [np.zeros((channels, self._margin), np.float32)]
        self._origin = -self._margin
        self._end = 0
        self._next_row = 0
        self._rows: list[FloatArray] = []

    def push(self, block: FloatArray) -> None:
        """Take the next block, float32 (channels, samples) at the full rate.

        Raises
        ------
        AudioError
            It is no float32 of that many channels, or not finite.
        """
        check_block(block, self._channels)
        self._take(block)

    def finish(self) -> FloatArray:
        """Return the powers, float32 (rows, low and high columns); NaN where the rate holds no such band.

        A row counts when its middle lies inside the audio.
        """
        rows = round(self._end / (self._rate * self._profile.row_s))
        while self._next_row < rows:
            missing = self._needed(self._next_row + CHUNK_ROWS - 1) - self._end
            self._take(np.zeros((self._channels, max(missing, 1)), np.float32))
        columns = self._profile.columns - self._profile.middle_columns
        return np.concatenate([np.zeros((0, columns), np.float32), *self._rows])[:rows]

    def _take(self, block: FloatArray) -> None:
        self._blocks.append(block.copy())
        self._end += block.shape[1]
        if self._end < self._needed(self._next_row + CHUNK_ROWS - 1):
            return
        audio = np.concatenate(self._blocks, axis=1)
        while self._end >= self._needed(self._next_row + CHUNK_ROWS - 1):
            first = self._needed(self._next_row) - 2 * self._margin - self._origin
            last = self._needed(self._next_row + CHUNK_ROWS - 1) - self._origin
            self._measure(audio[:, first:last], self._origin + first)
            self._next_row += CHUNK_ROWS
        keep = self._needed(self._next_row) - 2 * self._margin - self._origin
        self._blocks = [audio[:, keep:].copy()]
        self._origin += keep

    def _centre(self, row: int) -> int:
        return round((row + 0.5) * self._profile.row_s * self._rate)

    def _needed(self, row: int) -> int:
        """First sample after those that `row` looks at."""
        return self._centre(row) + self._margin

    def _measure(self, audio: FloatArray, origin: int) -> None:
        """Add the next rows, given all the audio that they look at, from absolute sample `origin` on."""
        rows = range(self._next_row, self._next_row + CHUNK_ROWS)
        centres = np.array([self._centre(row) for row in rows], np.int64) - origin
        self._rows.append(np.concatenate((self._low(audio, centres), self._high(audio, centres)), axis=1))

    def _low(self, audio: FloatArray, centres: npt.NDArray[np.int64]) -> FloatArray:
        whole = audio.shape[1] // self._mean_of * self._mean_of
        means = audio[:, :whole].reshape(self._channels, -1, self._mean_of).mean(axis=2)
        taps = np.asarray(self._taps, np.float32)
        slow = np.lib.stride_tricks.sliding_window_view(means, len(taps), axis=1)[:, :: self._keep_of] @ taps
        # Sample n of `slow` stands for the middle of the filter over the means it was made from.
        middle = (len(taps) * self._mean_of - 1) / 2
        starts = np.rint((centres - middle) / (self._mean_of * self._keep_of)).astype(np.int64)
        views = np.lib.stride_tricks.sliding_window_view(slow, self._low_samples, axis=1)
        power = _hann_power(views[:, starts - self._low_samples // 2]).sum(axis=0)
        return self._columns(power, self._low_rate / self._low_samples, self._profile.low_edges_hz)

    def _high(self, audio: FloatArray, centres: npt.NDArray[np.int64]) -> FloatArray:
        views = np.lib.stride_tricks.sliding_window_view(audio, self._high_samples, axis=1)
        power = np.zeros((len(centres), self._high_samples // 2 + 1), np.float32)
        for channel in range(self._channels):
            power += _hann_power(views[channel, centres - self._high_samples // 2])
        return self._columns(power, self._rate / self._high_samples, self._profile.high_edges_hz)

    def _columns(self, power: FloatArray, bin_hz: float, edges_hz: tuple[float, ...]) -> FloatArray:
        columns = np.full((power.shape[0], len(edges_hz) - 1), np.nan, np.float32)
        for column in range(len(edges_hz) - 1):
            if edges_hz[column] < NYQUIST_SHARE * self._rate / 2:
                first, last = (int(np.ceil(edge / bin_hz)) for edge in edges_hz[column : column + 2])
                columns[:, column] = power[:, first:last].sum(axis=1) / self._channels
        return columns
