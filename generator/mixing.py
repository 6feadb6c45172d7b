"""Mixing: parts to a stereo signal with a room and an even loudness.

Loudness after ITU-R BS.1770-4 (K-weighting, gating); the room is a fixed synthetic impulse response,
decaying noise that loses its high frequencies first (Moorer, "About this reverberation business", 1979).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

TARGET_LUFS = -14.0
PEAK_LIMIT_DBTP = -1.0
ROOM_S = 1.4
ROOM_LEVEL_DB = -13.0
_ROOM_SEED = 1770


def pan_mono(samples: NDArray[np.float32], pan: float, gain_db: float) -> NDArray[np.float32]:
    """Place a mono part between left (-1) and right (+1) at constant power, (2, n)."""
    angle = (pan + 1) * np.pi / 4
    gains = np.array([np.cos(angle), np.sin(angle)]) * 10 ** (gain_db / 20)
    return np.asarray(gains[:, None] * samples[None], dtype=np.float32)


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


def add_room(dry: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Add the room's answer to a stereo signal, same length."""
    wet = signal.oaconvolve(dry, room_response(sample_rate).astype(np.float32), axes=1)[:, : dry.shape[1]]
    return np.asarray(dry + 10 ** (ROOM_LEVEL_DB / 20) * wet, dtype=np.float32)


def loudness_lufs(audio: NDArray[np.float32], sample_rate: int) -> float:
    """Integrated loudness of (channels, n), ITU-R BS.1770-4; -inf for silence or less than 0.4 s."""
    weighted = signal.sosfilt(_k_weighting(sample_rate), audio.astype(np.float64), axis=1)
    block, hop = int(0.4 * sample_rate), int(0.1 * sample_rate)
    if audio.shape[1] < block:
        return -np.inf
    power = np.concatenate([np.zeros((len(audio), 1)), np.cumsum(weighted**2, axis=1)], axis=1)
    starts = np.arange(0, audio.shape[1] - block + 1, hop)
    energy = ((power[:, starts + block] - power[:, starts]) / block).sum(0)
    with np.errstate(divide="ignore"):
        levels = -0.691 + 10 * np.log10(energy)
        loud = energy[levels > -70.0]
        if len(loud) == 0:
            return -np.inf
        relative = -0.691 + 10 * np.log10(loud.mean()) - 10.0
    kept = energy[(levels > -70.0) & (levels > relative)]
    return float(-0.691 + 10 * np.log10(kept.mean()))


def _k_weighting(sample_rate: int) -> NDArray[np.float64]:
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


def true_peak(audio: NDArray[np.float32]) -> float:
    """Largest magnitude between the samples too, by four-fold oversampling."""
    return float(np.abs(signal.resample_poly(audio, 4, 1, axis=1)).max(initial=0.0))


def set_level(audio: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Scale to TARGET_LUFS, or as near as PEAK_LIMIT_DBTP allows. Only a gain: dynamics stay."""
    peak = true_peak(audio)
    if peak == 0.0:
        return audio.copy()
    wanted_db = TARGET_LUFS - loudness_lufs(audio, sample_rate)
    gain_db = min(wanted_db, PEAK_LIMIT_DBTP - 20 * np.log10(peak))
    return np.asarray(audio * 10 ** (gain_db / 20), dtype=np.float32)
