"""Levels of what the spectrogram of 180-3800 Hz does not hold: infrasound, bass, treble, ultrasound.

Powers of all channels are added, never their samples: what is written with opposite signs into left and
right would vanish from a mono mix.
"""

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from watermark.audio import check_block, check_format

from .sketch_profile import SketchProfile
from .slow_audio import SlowFilter
from .stretches import Stretch, Stretches

FloatArray = npt.NDArray[np.float32]

# Rows worked on at once. Fixed, so that the size of the caller's blocks changes no rounding.
CHUNK_ROWS = 200
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
        self._filter = SlowFilter(sample_rate)
        self._low_samples = 2 * round(profile.low_window_s * self._filter.rate / 2)
        self._high_samples = fft.next_fast_len(round(profile.high_window_s * sample_rate), real=True)
        # Enough context on either side of a row's centre for the longer of the windows and the filter.
        margin = int(sample_rate * profile.low_window_s / 2) + self._filter.reach
        self._stretches = Stretches(
            sample_rate=sample_rate,
            channels=channels,
            row_s=profile.row_s,
            rows=CHUNK_ROWS,
            margin=max(margin, self._high_samples),
        )
        self._rows: list[FloatArray] = []

    def push(self, block: FloatArray) -> None:
        """Take the next block, float32 (channels, samples) at the full rate.

        Raises
        ------
        AudioError
            It is no float32 of that many channels, or not finite.
        """
        check_block(block, self._channels)
        for stretch in self._stretches.push(block):
            self._measure(stretch)

    def finish(self) -> FloatArray:
        """Return the powers, float32 (rows, low and high columns); NaN where the rate holds no such band.

        A row counts when its middle lies inside the audio.
        """
        rows, rest = self._stretches.finish()
        for stretch in rest:
            self._measure(stretch)
        columns = self._profile.columns - self._profile.middle_columns
        return np.concatenate([np.zeros((0, columns), np.float32), *self._rows])[:rows]

    def _measure(self, stretch: Stretch) -> None:
        low, high = self._low(stretch), self._high(stretch)
        self._rows.append(np.concatenate((low, high), axis=1))

    def _low(self, stretch: Stretch) -> FloatArray:
        views = self._filter.windows(stretch.audio, stretch.centres, self._low_samples)
        power = _hann_power(views).sum(axis=0)
        return self._columns(power, self._filter.rate / self._low_samples, self._profile.low_edges_hz)

    def _high(self, stretch: Stretch) -> FloatArray:
        views = np.lib.stride_tricks.sliding_window_view(stretch.audio, self._high_samples, axis=1)
        power = np.zeros((len(stretch.centres), self._high_samples // 2 + 1), np.float32)
        for channel in range(self._channels):
            power += _hann_power(views[channel, stretch.centres - self._high_samples // 2])
        return self._columns(power, self._rate / self._high_samples, self._profile.high_edges_hz)

    def _columns(self, power: FloatArray, bin_hz: float, edges_hz: tuple[float, ...]) -> FloatArray:
        columns = np.full((power.shape[0], len(edges_hz) - 1), np.nan, np.float32)
        for column in range(len(edges_hz) - 1):
            if edges_hz[column] < NYQUIST_SHARE * self._rate / 2:
                first, last = (int(np.ceil(edge / bin_hz)) for edge in edges_hz[column : column + 2])
                columns[:, column] = power[:, first:last].sum(axis=1) / self._channels
        return columns
