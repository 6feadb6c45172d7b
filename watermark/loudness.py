"""Programme loudness and true peak of a stream of blocks, by ITU-R BS.1770-4 and EBU R 128.

    meter = LoudnessMeter(sample_rate=48_000, channels=2)
    meter.push(block) ...
    meter.finish()        Loudness(integrated_lufs=-23.0, range_lu=5.1, true_peak_dbtp=-1.2, ...)

Loudness: K-weighting (BS.1770-4, Annex 1), mean squares of 400 ms with 75 % overlap, gated at -70 LUFS and
then at 10 LU below the mean. Range: EBU Tech 3342, from the 10th to the 95th percentile of 3 s, gated at -70
LUFS and 20 LU. True peak: Annex 2, oversampled to 176.4 kHz at least. What is kept is one sum for each tenth
of a second, so memory stays small for hours of sound.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import signal

from .errors import AudioError

Block = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

STEP_S = 0.1
MOMENTARY_STEPS, SHORT_TERM_STEPS = 4, 30
OFFSET_LU = -0.691
"""What makes a 997 Hz sine of 0 dBFS in one front channel read -3.01 LUFS (BS.1770-4, Annex 1)."""
ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU, RANGE_GATE_LU = -70.0, -10.0, -20.0
RANGE_PERCENTILES = (10.0, 95.0)
SURROUND = 10.0**0.15
"""+1.5 dB, BS.1770-4 Annex 3: for channels at 60 to 120 degrees."""
# By number of channels, in the order of WAVE files; low-frequency effects do not count.
WEIGHTS: dict[int, tuple[float, ...]] = {
    1: (1.0,),
    2: (1.0, 1.0),
    3: (1.0, 1.0, 1.0),
    4: (1.0, 1.0, SURROUND, SURROUND),
    5: (1.0, 1.0, 1.0, SURROUND, SURROUND),
    6: (1.0, 1.0, 1.0, 0.0, SURROUND, SURROUND),
    8: (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, SURROUND, SURROUND),
}
OVERSAMPLED_HZ = 176_400
PHASE_TAPS = 24
"""Taps of each phase of the interpolating filter; Annex 2 has 12."""


@dataclass(frozen=True)
class Loudness:
    """What was measured. Loudness is None where nothing reaches -70 LUFS, or the layout of the channels is
    not one of `WEIGHTS`; the range also where there are not 3 s. Peaks are -inf for digital silence.
    """

    integrated_lufs: float | None
    range_lu: float | None
    max_momentary_lufs: float | None
    max_short_term_lufs: float | None
    true_peak_dbtp: float
    sample_peak_dbfs: float


class LoudnessMeter:
    """Measures a stream of blocks.

    Parameters
    ----------
    sample_rate : Hz
    channels : in the order of WAVE files

    Raises
    ------
    AudioError
        A sample rate below 8 kHz, or no channel.
    """

    def __init__(self, *, sample_rate: int, channels: int) -> None:
        if sample_rate < 8_000 or channels < 1:
            raise AudioError(f"expected 8 kHz and a channel at least, got {sample_rate} Hz and {channels}")
        self._rate = sample_rate
        self._weights = WEIGHTS.get(channels)
        self._filter = design_weighting(sample_rate)
        self._state = np.zeros((len(self._filter), channels, 2))
        self._samples = 0
        self._sums: list[float] = []
        self._peaks = _PeakFinder(sample_rate, channels)

    def push(self, block: Block) -> None:
        """Take the next samples, float32 (channels, n)."""
        if block.ndim != 2 or block.shape[0] != self._state.shape[1]:
            raise AudioError(f"expected {self._state.shape[1]} channels, got an array {block.shape}")
        if not block.shape[1]:
            return
        self._peaks.push(block)
        if self._weights is None:
            return
        weighted, self._state = signal.sosfilt(self._filter, block, axis=1, zi=self._state)
        power = np.asarray(self._weights) @ np.square(weighted)  # (n,)
        start = 0
        while start < power.size:
            step = self._find_step(self._samples)
            stop = min(power.size, start + self._edge(step + 1) - self._samples)
            if step == len(self._sums):
                self._sums.append(0.0)
            self._sums[step] += float(power[start:stop].sum())
            self._samples += stop - start
            start = stop

    def finish(self) -> Loudness:
        """Return what was measured; a last step that is not whole is left out."""
        true_peak, sample_peak = self._peaks.finish()
        whole = int(self._samples / self._rate / STEP_S + 1e-9)
        lengths = np.array([self._edge(step + 1) - self._edge(step) for step in range(whole)], np.float64)
        sums = np.array(self._sums[:whole])
        momentary = _average(sums, lengths, MOMENTARY_STEPS)
        short_term = _average(sums, lengths, SHORT_TERM_STEPS)
        integrated = _gate(momentary, RELATIVE_GATE_LU)
        return Loudness(
            integrated_lufs=None if integrated.size == 0 else float(to_lufs(integrated.mean())),
            range_lu=_measure_range(short_term),
            max_momentary_lufs=_loudest(momentary),
            max_short_term_lufs=_loudest(short_term),
            true_peak_dbtp=_to_db(true_peak),
            sample_peak_dbfs=_to_db(sample_peak),
        )

    def _edge(self, step: int) -> int:
        """Return the first sample of a step: a tenth of a second need not be a whole number of them."""
        return round(step * STEP_S * self._rate)

    def _find_step(self, sample: int) -> int:
        step = int(sample / self._rate / STEP_S)
        while self._edge(step + 1) <= sample:
            step += 1
        while self._edge(step) > sample:
            step -= 1
        return step


@lru_cache(maxsize=16)
def design_weighting(sample_rate: int) -> FloatArray:
    """Return K-weighting for a sample rate as second-order sections (2, 6).

    The analogue prototypes behind the tables of BS.1770-4 (which are for 48 kHz), by the bilinear transform:
    a shelf of +4 dB for the head, and the high-pass of the revised low-frequency curve.
    """
    shelf_hz, gain_db, shelf_q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k = np.tan(np.pi * shelf_hz / sample_rate)
    high = 10 ** (gain_db / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / shelf_q + k * k
    shelf = [
        (high + band * k / shelf_q + k * k) / a0,
        2 * (k * k - high) / a0,
        (high - band * k / shelf_q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / shelf_q + k * k) / a0,
    ]
    pass_hz, pass_q = 38.13547087602444, 0.5003270373238773
    k = np.tan(np.pi * pass_hz / sample_rate)
    a0 = 1 + k / pass_q + k * k
    high_pass = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / pass_q + k * k) / a0]
    return np.array([shelf, high_pass])


class _PeakFinder:
    """The highest sample, and the highest value between samples (BS.1770-4, Annex 2)."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._factor = 1
        while self._factor * sample_rate < OVERSAMPLED_HZ:
            self._factor *= 2
        self._taps = design_interpolation(self._factor)  # (phases, taps)
        self._most = float(np.abs(self._taps).sum(axis=1).max())
        self._tail = np.zeros((channels, PHASE_TAPS - 1), np.float32)
        self._sample_peak = 0.0
        self._peak = 0.0

    def push(self, block: Block) -> None:
        reach = float(np.abs(block).max())
        joined = np.concatenate([self._tail, block], axis=1)
        self._tail = joined[:, -(PHASE_TAPS - 1) :].copy()
        self._sample_peak = max(self._sample_peak, reach)
        # No phase can lift a value beyond this, so most blocks of quiet passages need no filtering.
        if self._factor > 1 and self._most * float(np.abs(joined).max()) > self._peak:
            self._peak = max(self._peak, self._interpolate(joined))

    def finish(self) -> tuple[float, float]:
        if self._factor > 1:
            silence = np.zeros((self._tail.shape[0], PHASE_TAPS - 1), np.float32)
            self._peak = max(self._peak, self._interpolate(np.concatenate([self._tail, silence], axis=1)))
        return max(self._peak, self._sample_peak), self._sample_peak

    def _interpolate(self, joined: Block) -> float:
        """Return the highest value between the samples, where the filter has all it needs."""
        highest = 0.0
        for channel in joined:
            between = signal.upfirdn(self._taps.T.ravel(), channel, up=self._factor)
            first = (PHASE_TAPS - 1) * self._factor
            inside = between[first : first + (channel.size - PHASE_TAPS + 1) * self._factor]
            highest = max(highest, float(np.abs(inside).max(initial=0.0)))
        return highest


@lru_cache(maxsize=8)
def design_interpolation(factor: int) -> npt.NDArray[np.float32]:
    """Return the phases (factor, PHASE_TAPS) of a filter that gives `factor` values for each sample."""
    length = factor * PHASE_TAPS
    if factor == 1:
        return np.eye(1, PHASE_TAPS, dtype=np.float32)
    # An odd prototype, so that one phase is the samples themselves; a zero fills the last place.
    taps = np.append(signal.firwin(length - 1, 1.0 / factor, window=("kaiser", 6.0)), 0.0)
    phases = taps.reshape(PHASE_TAPS, factor).T
    return np.asarray(phases / phases.sum(axis=1, keepdims=True), np.float32)


def to_lufs(power: npt.ArrayLike) -> FloatArray:
    """Return the loudness of a weighted mean square (BS.1770-4, eq. 2)."""
    return np.asarray(OFFSET_LU + 10 * np.log10(np.maximum(power, 1e-20)))


def _average(sums: FloatArray, lengths: FloatArray, steps: int) -> FloatArray:
    """Return the mean squares of windows of so many steps, one for each step."""
    if sums.size < steps:
        return np.zeros(0)
    ones = np.ones(steps)
    return np.convolve(sums, ones, "valid") / np.convolve(lengths, ones, "valid")


def _gate(power: FloatArray, relative_lu: float) -> FloatArray:
    """Return the mean squares that count: above the absolute gate, then above that relative to their mean."""
    loud = power[to_lufs(power) > ABSOLUTE_GATE_LUFS]
    if loud.size == 0:
        return loud
    return loud[to_lufs(loud) > to_lufs(loud.mean()) + relative_lu]


def _measure_range(short_term: FloatArray) -> float | None:
    counted = _gate(short_term, RANGE_GATE_LU)
    if counted.size == 0:
        return None
    low, high = np.percentile(to_lufs(counted), RANGE_PERCENTILES, method="nearest")
    return float(high - low)


def _loudest(power: FloatArray) -> float | None:
    if power.size == 0 or to_lufs(power.max()) <= ABSOLUTE_GATE_LUFS:
        return None
    return float(to_lufs(power.max()))


def _to_db(value: float) -> float:
    return -np.inf if value == 0 else float(20 * np.log10(value))
