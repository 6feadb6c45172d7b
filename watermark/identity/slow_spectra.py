"""Spectra of 2 s of what lies under 20 Hz, by which a tone is told from the noise that a codec leaves there.

A query has them beside the levels of its sketch, which are too short to part 12 Hz from 15; registered
sketches hold none.
"""

import numpy as np
import numpy.typing as npt
from scipy import signal

from watermark.audio import check_block, check_format

from .slow_audio import SlowFilter
from .stretches import Stretch, Stretches

FloatArray = npt.NDArray[np.float32]

# Windows of WINDOW_S, STEP_S apart: window n has its middle at (n + 1/2) * STEP_S.
WINDOW_S = 2.0
STEP_S = 0.5
# Bins from LOWEST_HZ up, BIN_HZ apart: half the width of a tone under the window. Over 17.5 Hz a note of
# 20 Hz, which is music, would reach in.
BIN_HZ = 0.5
LOWEST_HZ = 3.0
BINS = 30
# Windows worked on at once: 10 s.
CHUNK_WINDOWS = 20


class SlowSpectra:
    """Measures the spectra from blocks of audio at its full rate; the powers of channels are averaged."""

    def __init__(self, *, sample_rate: int, channels: int) -> None:
        check_format(sample_rate, channels)
        self._channels = channels
        self._filter = SlowFilter(sample_rate)
        self._samples = 2 * round(WINDOW_S * self._filter.rate / 2)
        margin = int(sample_rate * WINDOW_S / 2) + self._filter.reach
        self._stretches = Stretches(
            sample_rate=sample_rate, channels=channels, row_s=STEP_S, rows=CHUNK_WINDOWS, margin=margin
        )
        window = signal.windows.hann(self._samples, sym=False)
        # A full-scale sine sums to 1 over its bins.
        scale = np.sqrt(4.0 / (self._samples * np.sum(window**2)))
        times = np.arange(self._samples) / self._filter.rate
        hz = LOWEST_HZ + BIN_HZ * np.arange(BINS)
        self._waves = (np.exp(-2j * np.pi * times[:, None] * hz) * (scale * window)[:, None]).astype(
            np.complex64
        )
        self._mean = (window / window.sum()).astype(np.float32)
        self._spectra: list[FloatArray] = [np.zeros((0, BINS), np.float32)]

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
        """Return the powers, float32 (windows, BINS), of every window whose middle lies inside the audio."""
        count, rest = self._stretches.finish()
        for stretch in rest:
            self._measure(stretch)
        return np.concatenate(self._spectra)[:count]

    def _measure(self, stretch: Stretch) -> None:
        views = self._filter.windows(stretch.audio, stretch.centres, self._samples)
        # A constant offset is no infrasound.
        views = views - (views @ self._mean)[..., None]
        waves = views @ self._waves  # (channels, windows, BINS)
        power = (waves.real**2 + waves.imag**2).mean(axis=0)
        self._spectra.append(np.asarray(power, np.float32))
