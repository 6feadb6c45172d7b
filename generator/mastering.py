"""Mastering: a mix to TARGET_LUFS under PEAK_LIMIT_DBTP, as a stream of blocks.

The limiter looks ahead. Every sample asks for the gain that keeps the largest magnitude about it, four-fold
oversampled, under the ceiling; the least gain asked for within LOOK_AHEAD_S holds, comes back by
RELEASE_DB_PER_S, and is smoothed by a window as long as the look-ahead, so that it has arrived when the peak
does (after Giannoulis, Massberg and Reiss, "Digital dynamic range compressor design", JAES 2012). Loudness is
steered: a first gain from a look at some places of the piece, then small slow corrections by what has been
heard, so that the whole ends at its target.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from .loudness import OVERSAMPLING, LoudnessMeter

TARGET_LUFS = -14.0
PEAK_LIMIT_DBTP = -1.0
# The gain moves between the oversampled points; this much is kept for what lies between them.
_MARGIN_DB = 0.1
LOOK_AHEAD_S = 0.005
RELEASE_DB_PER_S = 60.0
# The interpolator's reach, in samples, on either side.
_REACH = 16
STEERING_FROM_S, STEERING_DB_PER_S, MAX_STEERING_DB = 2.0, 0.3, 2.0
# The limiter takes some of each rise away: the gain is found in rounds, until so near to the target.
_PLANNING_ROUNDS, _PLANNED_DB = 4, 0.1
# Near silence is not blown up.
MAX_GAIN_DB = 40.0


class Limiter:
    """True-peak limiter for a stream of blocks: what goes in comes out later, the last of it by `finish`."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._ahead = int(LOOK_AHEAD_S * sample_rate) | 1
        self._window = np.hanning(self._ahead + 2)[1:-1]
        self._window /= self._window.sum()
        self._release_db = RELEASE_DB_PER_S / sample_rate
        taps = signal.firwin(2 * _REACH * OVERSAMPLING + 1, 1 / OVERSAMPLING, window=("kaiser", 6.0))
        # Rows: the filter's phases, each from the samples about a place to a value between them.
        padded = np.concatenate([taps * OVERSAMPLING, np.zeros(OVERSAMPLING - 1)])
        self._phases = padded.reshape(-1, OVERSAMPLING).T
        self._input = np.zeros((channels, 2 * _REACH), dtype=np.float32)
        # Gains asked for from here on; before the first sample nothing is.
        self._asked_db = np.zeros(self._ahead - 1)
        self._held_db = np.zeros(self._ahead - 1)
        self._waiting = np.zeros((channels, 0), dtype=np.float32)
        self._last_db = 0.0
        self._skip = _REACH

    def push(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take in (channels, n); give out as many samples as are settled."""
        buffer = np.concatenate([self._input, audio], axis=1)
        centre = buffer[:, _REACH:-_REACH] if buffer.shape[1] > 2 * _REACH else buffer[:, :0]
        self._input = buffer[:, buffer.shape[1] - 2 * _REACH :]
        if centre.shape[1] == 0:
            return centre
        peaks = np.zeros(centre.shape[1])
        for taps in self._phases:
            between = signal.oaconvolve(buffer, taps[None].astype(np.float32), mode="valid", axes=1)
            np.maximum(peaks, np.abs(between[:, : len(peaks)]).max(0), out=peaks)
        np.maximum(peaks, np.abs(centre).max(0), out=peaks)
        # The first samples are those of the empty past.
        dropped = min(self._skip, len(peaks))
        self._skip -= dropped
        centre, peaks = centre[:, dropped:], peaks[dropped:]
        ceiling_db = PEAK_LIMIT_DBTP - _MARGIN_DB
        wanted = np.minimum(0.0, ceiling_db - 20 * np.log10(np.maximum(peaks, 1e-9)))
        return self._apply(centre, wanted)

    def _apply(self, centre: NDArray[np.float32], wanted_db: NDArray[np.float64]) -> NDArray[np.float32]:
        """Gains from what is wanted at each sample, and the samples that they are settled for."""
        ahead = self._ahead
        asked = np.concatenate([self._asked_db, wanted_db])
        self._asked_db = asked[len(asked) - (ahead - 1) :]
        # Least over the last `ahead` samples: a peak's gain holds from its arrival to the look-ahead's end.
        least = ndimage.minimum_filter1d(asked, ahead, origin=(ahead - 1) // 2)[ahead - 1 :]
        # It comes back at a constant rate: e[n] = min over k <= n of least[k] + rate (n - k).
        steps = self._release_db * np.arange(1, len(least) + 1)
        held = np.minimum(np.minimum.accumulate(least - steps) + steps, self._last_db + steps)
        held = np.minimum(held, 0.0)
        if len(held):
            self._last_db = float(held[-1])
        track = np.concatenate([self._held_db, held])
        self._held_db = track[len(track) - (ahead - 1) :]
        gain_db = np.convolve(track, self._window, mode="valid")  # settled for what came `ahead - 1` before
        waiting = np.concatenate([self._waiting, centre], axis=1)
        ready = max(0, waiting.shape[1] - (ahead - 1))
        self._waiting = waiting[:, ready:]
        gains = 10 ** (gain_db[len(gain_db) - ready :] / 20)
        return np.asarray(waiting[:, :ready] * gains, dtype=np.float32)

    def finish(self) -> NDArray[np.float32]:
        """What is still inside."""
        silence = np.zeros((len(self._input), _REACH + self._ahead - 1), dtype=np.float32)
        return self.push(silence)


class Master:
    """A stream of mixed blocks, length_s in all, to the level of TARGET_LUFS, limited."""

    def __init__(self, sample_rate: int, channels: int, *, gain_db: float, length_s: float) -> None:
        self._rate, self._length_s = sample_rate, length_s
        self._gain_db, self._steering_db = gain_db, 0.0
        self._limiter = Limiter(sample_rate, channels)
        self._meter = LoudnessMeter(sample_rate, channels)
        self._heard_s = 0.0

    def push(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take in a block, give out what is ready."""
        before = self._steering_db
        self._steer(audio.shape[1] / self._rate)
        ramp = self._gain_db + np.linspace(before, self._steering_db, audio.shape[1], dtype=np.float32)
        ready = self._limiter.push(np.asarray(audio * 10 ** (ramp / 20), dtype=np.float32))
        self._meter.push(ready)
        self._heard_s += ready.shape[1] / self._rate
        return ready

    def _steer(self, block_s: float) -> None:
        """Move the gain towards what makes up, in the rest of the piece, for what was missed so far."""
        heard = self._meter.integrated_lufs()
        left_s = self._length_s - self._heard_s
        if self._heard_s < STEERING_FROM_S or left_s <= 0 or not np.isfinite(heard):
            return
        share = 10 ** ((heard - TARGET_LUFS) / 10)  # power heard, of what it should have been
        needed = (self._length_s - share * self._heard_s) / left_s
        wanted_db = 10 * np.log10(max(needed, 1e-3))
        wanted_db = float(np.clip(wanted_db, -MAX_STEERING_DB, MAX_STEERING_DB))
        step_db = STEERING_DB_PER_S * block_s
        self._steering_db += float(np.clip(wanted_db - self._steering_db, -step_db, step_db))

    def finish(self) -> NDArray[np.float32]:
        """What is still inside."""
        return self._limiter.finish()


def plan_gain_db(samples: list[NDArray[np.float32]], sample_rate: int, *, target_lufs: float) -> float:
    """Gain that brings some places of a mix, each (channels, n), to a loudness behind the limiter."""
    gain_db = 0.0
    for _ in range(_PLANNING_ROUNDS):
        meter = LoudnessMeter(sample_rate, len(samples[0]))
        for piece in samples:
            limiter = Limiter(sample_rate, len(piece))
            scaled = np.asarray(piece * 10 ** (gain_db / 20), dtype=np.float32)
            meter.push(np.concatenate([limiter.push(scaled), limiter.finish()], axis=1))
        found = meter.integrated_lufs()
        if not np.isfinite(found):
            return gain_db
        gain_db = float(min(gain_db + target_lufs - found, MAX_GAIN_DB))
        if abs(target_lufs - found) < _PLANNED_DB:
            break
    return gain_db
