"""The FFT ear model of PEAQ Basic: from samples to excitation patterns in 109 quarter-Bark bands.

Source: ITU-R BS.1387-1, annex 2, as interpreted by P. Kabal, "An Examination and Interpretation of ITU-R
BS.1387", TSP Lab, McGill University, 2003. Names follow Kabal. Rows are frames (T), columns FFT bins (1025)
or bands (109).
"""

import functools
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Matrix: TypeAlias = NDArray[np.float64]

SAMPLE_RATE = 48_000  # Hz, fixed by the standard
FRAME = 2048  # samples
HOP = FRAME // 2
BINS = FRAME // 2 + 1
FRAMES_PER_S = SAMPLE_RATE / HOP
BAND_COUNT = 109
BAND_BARK = 0.25
LISTENING_LEVEL_DB = 92.0  # sound pressure level of a full-scale sine
POWER_LAW = 0.4  # exponent under which spread excitations add


@dataclass(frozen=True)
class Bands:
    """What depends on frequency alone: arrays (109,), but `grouping` (1025, 109) and `ear` (1025,)."""

    centre_hz: Matrix
    grouping: Matrix  # share of each bin's energy that falls into each band
    ear: Matrix  # power response of outer and middle ear at each bin
    internal_noise: Matrix  # energy of the ear's own noise
    masking: Matrix  # factor from excitation down to masking threshold


def hertz_to_bark(hertz: Matrix) -> Matrix:
    """Schroeder's Bark scale, as PEAQ uses it."""
    return np.asarray(7.0 * np.arcsinh(hertz / 650.0))


def bark_to_hertz(bark: Matrix) -> Matrix:
    """The inverse of `hertz_to_bark`."""
    return np.asarray(650.0 * np.sinh(bark / 7.0))


@functools.cache
def make_bands() -> Bands:
    """Tabulate the bands from 80 Hz to 18 kHz and the ear's weighting."""
    low_bark, high_bark = hertz_to_bark(np.array([80.0, 18_000.0]))
    lower = low_bark + BAND_BARK * np.arange(BAND_COUNT)
    upper = np.minimum(lower + BAND_BARK, high_bark)
    lower_hz, upper_hz = bark_to_hertz(lower), bark_to_hertz(upper)
    centre_hz = bark_to_hertz((lower + upper) / 2)
    bin_hz = SAMPLE_RATE / FRAME
    edges = (np.arange(BINS + 1) - 0.5)[:, None] * bin_hz
    overlap_hz = np.minimum(edges[1:], upper_hz) - np.maximum(edges[:-1], lower_hz)
    grouping = np.maximum(overlap_hz, 0) / bin_hz  # (1025, 109)
    khz = np.arange(1, BINS) * bin_hz / 1000
    response_db = -2.184 * khz**-0.8 + 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) - 0.001 * khz**3.6
    ear = np.concatenate([[0.0], 10 ** (response_db / 10)])
    internal_noise = 10 ** (0.1456 * (centre_hz / 1000) ** -0.8)
    distance_bark = BAND_BARK * np.arange(BAND_COUNT)
    masking_db = np.where(distance_bark <= 12, 3.0, 0.25 * distance_bark)
    return Bands(centre_hz, grouping, ear, internal_noise, 10 ** (-masking_db / 10))


@functools.cache
def make_window() -> Matrix:
    """The Hann window, scaled so that a full-scale sine at 1019.5 Hz reads 92 dB in its strongest bin."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))
    place = 1019.5 / SAMPLE_RATE * FRAME
    # Distance of the sine to the nearest bin, in units of the window's own frequency grid.
    offset = min(np.ceil(place) - place, place - np.floor(place)) * (FRAME - 1) / FRAME
    scalloping = np.sin(np.pi * offset) / (np.pi * offset * (1 - offset**2))
    return np.asarray(hann * 10 ** (LISTENING_LEVEL_DB / 20) / (scalloping * (FRAME - 1) / 4))


def smoothing(tau_min_s: float, tau_100_s: float) -> Matrix:
    """One-pole coefficients per band: time constants fall from `tau_100_s` at 100 Hz to `tau_min_s`."""
    tau_s = tau_min_s + 100.0 / make_bands().centre_hz * (tau_100_s - tau_min_s)
    return np.asarray(np.exp(-1.0 / (FRAMES_PER_S * tau_s)))


def smooth(rows: Matrix, coefficients: Matrix) -> Matrix:
    """Low-pass each band over time: y[n] = a y[n-1] + (1 - a) x[n], from rest."""
    columns = [lfilter([1 - a], [1, -a], rows[:, band]) for band, a in enumerate(coefficients)]
    return np.stack(columns, axis=1)


def spread_unnormalised(energy: Matrix) -> Matrix:
    """Spread energies over frequency: -27 dB/Bark downwards, by level upwards, adding by power law."""
    down = 10 ** (-2.7 * BAND_BARK)
    up = 10 ** ((-2.4 - 23.0 / make_bands().centre_hz) * BAND_BARK) * energy ** (0.2 * BAND_BARK)  # (T, 109)
    band = np.arange(BAND_COUNT)
    # Total area of each band's two-sided spreading function, so that energy is conserved.
    area = (1 - down ** (band + 1)) / (1 - down) + (1 - up ** (BAND_COUNT - band)) / (1 - up) - 1
    source = (energy / area) ** POWER_LAW
    total = lfilter([1.0], [1.0, -(down**POWER_LAW)], source[:, ::-1], axis=1)[:, ::-1].copy()
    slope, carried = up**POWER_LAW, source
    for distance in range(1, BAND_COUNT):
        carried = carried * slope
        total[:, distance:] += carried[:, :-distance]
    return np.asarray(total ** (1 / POWER_LAW))


@functools.cache
def make_spreading_norm() -> Matrix:
    """What unit energy in every band spreads to; patterns are divided by it."""
    return spread_unnormalised(np.ones((1, BAND_COUNT)))


def split_frames(samples: Matrix) -> Matrix:
    """Half-overlapping frames (T, 2048); a signal shorter than one frame is padded with zeros."""
    padded = np.pad(samples, (0, max(0, FRAME - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]


@dataclass(frozen=True)
class EarImage:
    """One channel as the ear model sees it."""

    power: Matrix  # (T, 1025) FFT power at the listening level
    weighted: Matrix  # (T, 1025) after outer and middle ear
    unsmeared: Matrix  # (T, 109) spread over frequency, internal noise included
    excitation: Matrix  # (T, 109) also smeared over time: forward masking


def hear(samples: Matrix) -> EarImage:
    """Run one channel (samples at 48 kHz, float64 in [-1, 1]) through the ear model."""
    bands = make_bands()
    power = np.abs(np.fft.rfft(split_frames(samples) * make_window(), axis=1)) ** 2
    weighted = power * bands.ear
    pitch = np.maximum(weighted @ bands.grouping, 1e-12) + bands.internal_noise
    unsmeared = spread_unnormalised(pitch) / make_spreading_norm()
    excitation = np.maximum(smooth(unsmeared, smoothing(0.008, 0.030)), unsmeared)
    return EarImage(power, weighted, unsmeared, excitation)
