"""Loudness (ITU-R BS.1770-4: K-weighting, gating) and true peak, of whole signals and of a stream."""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
OVERSAMPLING = 4
STEP_S = 0.1


def loudness_lufs(audio: NDArray[np.float32], sample_rate: int) -> float:
    """Integrated loudness of (channels, n); -inf for silence or less than 0.4 s."""
    meter = LoudnessMeter(sample_rate, len(audio))
    meter.push(audio)
    return meter.integrated_lufs()


class LoudnessMeter:
    """Integrated loudness of what has been pushed so far."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._sections = k_weighting(sample_rate)
        self._state = np.zeros((len(self._sections), channels, 2))
        self._step = round(STEP_S * sample_rate)
        self._rest = np.zeros(0)
        self._steps: list[float] = []

    def push(self, audio: NDArray[np.float32]) -> None:
        """Take in the next samples, (channels, n)."""
        weighted, self._state = signal.sosfilt(
            self._sections, audio.astype(np.float64), axis=1, zi=self._state
        )
        power = np.concatenate([self._rest, (weighted**2).sum(0)])
        whole = len(power) // self._step * self._step
        self._steps += list(power[:whole].reshape(-1, self._step).mean(1))
        self._rest = power[whole:]

    @property
    def power(self) -> NDArray[np.float64]:
        """K-weighted power of each STEP_S heard so far, summed over the channels."""
        return np.array(self._steps)

    def integrated_lufs(self) -> float:
        """Loudness of what was heard; -inf for silence or less than 0.4 s."""
        return gated_lufs(self.power)


def gated_lufs(power: NDArray[np.float64]) -> float:
    """Loudness of all 0.4 s blocks, 0.1 s apart, that pass both gates; -inf where none does."""
    if len(power) < 4:
        return -np.inf
    energy = np.lib.stride_tricks.sliding_window_view(power, 4).mean(1)
    loud = energy[energy > 10 ** ((ABSOLUTE_GATE_LUFS + 0.691) / 10)]
    if len(loud) == 0:
        return -np.inf
    kept = loud[loud > loud.mean() * 10 ** (RELATIVE_GATE_LU / 10)]
    return float(-0.691 + 10 * np.log10(kept.mean()))


def k_weighting(sample_rate: int) -> NDArray[np.float64]:
    """The two filters of BS.1770 at any rate, from their analogue prototypes (as in De Man, 2014)."""
    sections = []
    k = np.tan(np.pi * 1681.974450955533 / sample_rate)
    q, vh = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    vb = vh**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [(vh + vb * k / q + k * k) / a0, 2 * (k * k - vh) / a0, (vh - vb * k / q + k * k) / a0]
    sections.append([*shelf, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0])
    k = np.tan(np.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    a0 = 1 + k / q + k * k
    sections.append([1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0])
    return np.array(sections)


def k_power(hertz: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Power gain of the K-weighting at some frequencies, same shape."""
    _, response = signal.sosfreqz(k_weighting(sample_rate), worN=hertz.ravel(), fs=sample_rate)
    return np.asarray((np.abs(response) ** 2).reshape(hertz.shape))


def true_peak(audio: NDArray[np.float32]) -> float:
    """Largest magnitude between the samples too, by four-fold oversampling."""
    return float(np.abs(signal.resample_poly(audio, OVERSAMPLING, 1, axis=1)).max(initial=0.0))
