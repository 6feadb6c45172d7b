"""Mixing: parts placed in a stereo signal, and a room about them.

The room is a fixed synthetic impulse response, decaying noise that loses its high frequencies first (Moorer,
"About this reverberation business", 1979).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

ROOM_S = 1.4
ROOM_LEVEL_DB = -13.0
_ROOM_SEED = 1770


def pan_gains(pan: float, gain_db: float) -> NDArray[np.float32]:
    """Gains of left and right that place a mono part from left (-1) to right (+1) at constant power, (2,)."""
    angle = (pan + 1) * np.pi / 4
    return np.asarray(np.array([np.cos(angle), np.sin(angle)]) * 10 ** (gain_db / 20), dtype=np.float32)


def room_response(sample_rate: int) -> NDArray[np.float64]:
    """Impulse response of the room, (2, n), unit energy per channel, the same on every call."""
    random = np.random.default_rng(_ROOM_SEED)
    n = int(ROOM_S * sample_rate)
    t = np.arange(n) / sample_rate
    response = np.zeros((2, n))
    edges = (80.0, 700.0, 2500.0, 9000.0)
    for low, high, decay_s in (
        (edges[0], edges[1], 1.3),
        (edges[1], edges[2], 1.0),
        (edges[2], edges[3], 0.55),
    ):
        band = signal.butter(2, (low, high), "bandpass", fs=sample_rate, output="sos")
        noise = signal.sosfilt(band, random.standard_normal((2, n)), axis=1)
        response += noise * 10 ** (-3 * t / decay_s) * np.minimum(1.0, t / 0.02)
    fade = np.minimum(1.0, (n - np.arange(n)) / (0.1 * sample_rate))
    delayed = np.concatenate([np.zeros((2, int(0.012 * sample_rate))), response * fade], axis=1)
    return np.asarray(delayed / np.sqrt((delayed**2).sum(1, keepdims=True)), dtype=np.float64)


class Room:
    """The room's answer added to a stream of stereo blocks."""

    def __init__(self, sample_rate: int, block_samples: int) -> None:
        response = 10 ** (ROOM_LEVEL_DB / 20) * room_response(sample_rate)
        self._size = fft.next_fast_len(block_samples + response.shape[1] - 1, real=True)
        self._block_samples = block_samples
        self._spectrum = fft.rfft(response.astype(np.float32), self._size, axis=1)
        self._tail = np.zeros((2, response.shape[1] - 1), dtype=np.float32)

    def push(self, dry: NDArray[np.float32]) -> NDArray[np.float32]:
        """The block (2, block_samples) with the room's answer to it and to what came before."""
        n = self._block_samples
        wet = fft.irfft(fft.rfft(dry, self._size, axis=1) * self._spectrum, self._size, axis=1)
        wet = wet[:, : n + self._tail.shape[1]]
        wet[:, : self._tail.shape[1]] += self._tail
        self._tail = wet[:, n:]
        return np.asarray(dry + wet[:, :n], dtype=np.float32)
