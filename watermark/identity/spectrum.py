"""The log-frequency spectrogram that landmarks and sketches are taken from, whole or in a stream.

Audio is mixed to one channel and resampled to the profile's rate. Frame n is centred on sample n * hop of
that; it has one frame for every centre inside the audio. A band's level is the natural log of its power,
the mean under a triangle over its frequencies (never narrower than the transform's own bins). Blocks have
fixed borders, so the levels do not depend, bit for bit, on how the audio was cut up for `push`.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from watermark.audio import check_block, check_format

from .profile import PROFILE, FingerprintProfile

FloatArray = npt.NDArray[np.float32]

# Power that counts as silent, relative to the bin of a full-scale sine: -120 dB, under the rounding noise of
# 16 bits, so that a clip turned down by 30 dB still reads as before.
SILENCE_POWER = 1e-12
# Periods of the resampling filter's cutoff on either side, and its Kaiser window: 50 dB down at the alias.
FILTER_REACH = 10
FILTER_BETA = 5.0
# Seconds of audio that are resampled, and frames that are transformed, at a time.
RESAMPLING_BLOCK_S = 4
TRANSFORM_FRAMES = 256
# Seconds that are mixed alike, and the ratio of power from which the difference of two channels is taken.
MIXING_S = 1.0
INVERTED_RATIO = 4.0
# Within this factor of it either may be taken after coding, or of an excerpt whose seconds begin elsewhere.
DOUBTFUL_FACTOR = 2.0


def measure_levels(
    samples: FloatArray, *, sample_rate: int, profile: FingerprintProfile = PROFILE
) -> FloatArray:
    """Measure the spectrogram of a whole recording.

    Parameters
    ----------
    samples : float32 (channels, samples)
    sample_rate : Hz

    Returns
    -------
    float32 (frames, profile.bands)
        Natural log of power; a full-scale sine at a band's centre has -0.7, in the widest bands -2.5.

    Raises
    ------
    AudioError
        The audio cannot be worked on.
    """
    meter = LevelMeter(sample_rate=sample_rate, channels=_count_channels(samples), profile=profile)
    return np.concatenate([meter.push(samples), meter.finish()])


class LevelMeter:
    """Measures the spectrogram of a recording that comes in blocks; memory does not grow with its length.

    Parameters
    ----------
    sample_rate : Hz
    channels : int

    Raises
    ------
    AudioError
        On audio that cannot be worked on, here and in `push`.
    """

    def __init__(self, *, sample_rate: int, channels: int, profile: FingerprintProfile = PROFILE) -> None:
        check_format(sample_rate, channels)
        self.profile = profile
        self._channels = channels
        self._mixer = _Mixer(sample_rate, channels)
        self._resampler = _Resampler(sample_rate, profile.sample_rate)
        self._window = signal.get_window("hann", profile.window_samples).astype(np.float32)
        self._window /= self._window.sum() / 2
        self._weights = band_weights(profile)
        # Samples from the window of the next frame on; the first window reaches back into silence.
        self._audio = np.zeros(profile.window_samples // 2, np.float32)
        self._samples = 0
        self._frames = 0

    @property
    def doubtful(self) -> tuple[tuple[float, float], ...]:
        """Ranges in seconds where the channels nearly cancel and might have been mixed otherwise."""
        return self._mixer.doubtful

    def push(self, block: FloatArray) -> FloatArray:
        """Take float32 (channels, samples) and return the levels that are ready: float32 (n, bands)."""
        check_block(block, self._channels)
        return self._take(self._resampler.push(self._mixer.push(block)))

    def finish(self) -> FloatArray:
        """Return the levels that remain, float32 (n, bands); the meter is then spent."""
        pieces = [
            self._take(self._resampler.push(self._mixer.finish())),
            self._take(self._resampler.finish()),
        ]
        frames = -(-self._samples // self.profile.hop_samples)
        self._audio = np.pad(self._audio, (0, self.profile.window_samples))
        pieces.append(self._transform(frames - self._frames))
        return np.concatenate(pieces)

    def _take(self, audio: FloatArray) -> FloatArray:
        self._samples += audio.size
        self._audio = np.concatenate([self._audio, audio])
        hop, window = self.profile.hop_samples, self.profile.window_samples
        blocks = max(0, (self._audio.size - window) // hop + 1) // TRANSFORM_FRAMES
        pieces = [self._transform(TRANSFORM_FRAMES) for _ in range(blocks)]
        return np.concatenate([np.zeros((0, self.profile.bands), np.float32), *pieces])

    def _transform(self, frames: int) -> FloatArray:
        hop = self.profile.hop_samples
        pieces = [np.zeros((0, self.profile.bands), np.float32)]
        for first in range(0, frames, TRANSFORM_FRAMES):
            count = min(TRANSFORM_FRAMES, frames - first)
            views = np.lib.stride_tricks.sliding_window_view(self._audio, self.profile.window_samples)
            spectrum = fft.rfft(views[: count * hop : hop] * self._window, axis=1)
            power = spectrum.real**2 + spectrum.imag**2
            pieces.append(np.log(power @ self._weights + np.float32(SILENCE_POWER)))
            self._audio = self._audio[count * hop :]
        self._frames += frames
        return np.concatenate(pieces)


@lru_cache
def band_weights(profile: FingerprintProfile) -> FloatArray:
    """Return the share of each bin in each band, float32 (window_samples // 2 + 1, bands); columns sum to
    1.
    """
    bin_hz = profile.sample_rate / profile.window_samples
    centres = band_to_hz(np.arange(profile.bands), profile) / bin_hz
    step = 2.0 ** (1 / profile.bands_per_octave)
    reach = np.maximum(centres * (step - 1 / step) / 2, 1.0)
    bins = np.arange(profile.window_samples // 2 + 1)
    weights = np.maximum(1 - np.abs(bins[:, None] - centres) / reach, 0.0)
    return np.asarray(weights / weights.sum(axis=0), np.float32)


def band_to_hz(
    bands: npt.NDArray[np.int64] | npt.NDArray[np.float32], profile: FingerprintProfile = PROFILE
) -> npt.NDArray[np.float64]:
    """Return the frequency in Hz of places on the axis of bands, float64 of the same shape."""
    return profile.lowest_hz * 2.0 ** (np.asarray(bands, np.float64) / profile.bands_per_octave)


def _count_channels(samples: FloatArray) -> int:
    return samples.shape[0] if isinstance(samples, np.ndarray) and samples.ndim == 2 else 1


class _Mixer:
    """Averages channels, in stretches of a second whose borders do not depend on what is pushed.

    Two channels of which one was inverted would cancel, and the recording would have no fingerprint: where
    their difference is much louder than their sum, the difference is taken.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._channels = channels
        self._stretch = round(MIXING_S * sample_rate)
        self._rest: list[FloatArray] = []
        self._waiting = 0
        self._mixed = 0
        self._doubtful: list[int] = []

    @property
    def doubtful(self) -> tuple[tuple[float, float], ...]:
        return tuple((number * MIXING_S, (number + 1) * MIXING_S) for number in self._doubtful)

    def push(self, block: FloatArray) -> FloatArray:
        if self._channels != 2:
            return np.asarray(block.mean(axis=0, dtype=np.float32))
        self._rest.append(block)
        self._waiting += block.shape[1]
        if self._waiting < self._stretch:
            return np.zeros(0, np.float32)
        joined = np.concatenate(self._rest, axis=1)
        whole = self._waiting // self._stretch * self._stretch
        self._rest, self._waiting = [joined[:, whole:]], self._waiting - whole
        return np.concatenate(
            [self._mix(joined[:, a : a + self._stretch]) for a in range(0, whole, self._stretch)]
        )

    def finish(self) -> FloatArray:
        if not self._waiting:
            return np.zeros(0, np.float32)
        return self._mix(np.concatenate(self._rest, axis=1))

    def _mix(self, stretch: FloatArray) -> FloatArray:
        total, difference = stretch[0] + stretch[1], stretch[0] - stretch[1]
        ratio = float(difference @ difference) / max(float(total @ total), 1e-30)
        inverted = ratio > INVERTED_RATIO
        if INVERTED_RATIO / DOUBTFUL_FACTOR < ratio < INVERTED_RATIO * DOUBTFUL_FACTOR:
            self._doubtful.append(self._mixed)
        self._mixed += 1
        return np.asarray((difference if inverted else total) / np.float32(2), np.float32)


class _Resampler:
    """Brings one channel to another rate, in blocks whose borders do not depend on what is pushed."""

    def __init__(self, rate_from: int, rate_to: int) -> None:
        ratio = Fraction(rate_to, rate_from)
        self._up, self._down = ratio.numerator, ratio.denominator
        self._filter = _lowpass(self._up, self._down)
        # Borders lie on multiples of `down`, where an output falls on an input; so does the context that the
        # filter needs on either side.
        self._context = self._down * -(-FILTER_REACH // self._up)
        self._body = self._down * -(-RESAMPLING_BLOCK_S * rate_from // self._down)
        self._audio = np.zeros(self._context, np.float32)
        self._samples = 0
        self._made = 0

    def push(self, audio: FloatArray) -> FloatArray:
        self._samples += audio.size
        self._audio = np.concatenate([self._audio, audio])
        pieces = [np.zeros(0, np.float32)]
        while self._audio.size >= self._body + 2 * self._context:
            pieces.append(self._resample(self._body))
        return np.concatenate(pieces)

    def finish(self) -> FloatArray:
        wanted = -(-self._samples * self._up // self._down) - self._made
        pieces = [np.zeros(0, np.float32)]
        self._audio = np.pad(self._audio, (0, self._body + 2 * self._context))
        for _ in range(0, wanted, self._body // self._down * self._up):
            pieces.append(self._resample(self._body))
        return np.concatenate(pieces)[:wanted]

    def _resample(self, body: int) -> FloatArray:
        if self._up == self._down:
            made = self._audio[self._context : self._context + body]
        else:
            # The filter delays by FILTER_REACH outputs.
            first = self._context // self._down * self._up + FILTER_REACH
            count = body // self._down * self._up
            piece = self._audio[: body + 2 * self._context]
            made = signal.upfirdn(self._filter, piece, self._up, self._down)[first : first + count]
        self._audio = self._audio[body:]
        self._made += made.size
        return np.asarray(made, np.float32)


@lru_cache
def _lowpass(up: int, down: int) -> FloatArray:
    reach = FILTER_REACH * down
    taps = signal.firwin(2 * reach + 1, 1 / down, window=("kaiser", FILTER_BETA)) if down > 1 else np.ones(1)
    return np.asarray(taps * up, np.float32)
