"""Audio slowed down to some 600 samples a second, for what lies under the spectrogram's range."""

import numpy as np
import numpy.typing as npt
from scipy import signal

FloatArray = npt.NDArray[np.float32]

# Reached in two steps: plain means down to about the first rate, a filter from there. What the means let
# through around multiples of the first rate lies 40 dB down.
MEANS_RATE_HZ = 5_500
LOW_RATE_HZ = 600


class SlowFilter:
    """Slows audio of one sample rate down; `rate` is what is reached, in Hz."""

    def __init__(self, sample_rate: int) -> None:
        self._mean_of = max(1, sample_rate // MEANS_RATE_HZ)
        self._keep_of = max(1, sample_rate // self._mean_of // LOW_RATE_HZ)
        self.rate = sample_rate / (self._mean_of * self._keep_of)
        taps = signal.firwin(8 * self._keep_of + 1, 0.8 / self._keep_of) if self._keep_of > 1 else [1.0]
        self._taps = np.asarray(taps, np.float32)

    @property
    def reach(self) -> int:
        """Samples of audio that must lie on either side of what is wanted."""
        return 8 * self._mean_of * self._keep_of

    def windows(self, audio: FloatArray, centres: npt.NDArray[np.int64], samples: int) -> FloatArray:
        """Return so many slow samples around samples of the audio: float32 (channels, centres, samples)."""
        channels = audio.shape[0]
        whole = audio.shape[1] // self._mean_of * self._mean_of
        means = audio[:, :whole].reshape(channels, -1, self._mean_of).mean(axis=2)
        views = np.lib.stride_tricks.sliding_window_view(means, len(self._taps), axis=1)
        slow = views[:, :: self._keep_of] @ self._taps
        # Sample n of `slow` stands for the middle of the filter over the means it was made from.
        middle = (len(self._taps) * self._mean_of - 1) / 2
        starts = np.rint((centres - middle) / (self._mean_of * self._keep_of)).astype(np.int64)
        cut = np.lib.stride_tricks.sliding_window_view(slow, samples, axis=1)
        return np.asarray(cut[:, starts - samples // 2], np.float32)
