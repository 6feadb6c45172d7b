"""Dynamics and a graphic equaliser as RAW-Bench has them: pydub's compressor by samples, 24 Bark bands."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import freqz_sos, oaconvolve

from benchmarks.attack import Effect, Scene
from benchmarks.tools import Audio

ATTACK_S = 0.005
RELEASE_S = 0.05
# Zwicker 1961
# fmt: off
BARK_CENTRES_HZ = np.array([
    50.0, 150, 250, 350, 450, 570, 700, 840, 1000, 1170, 1370, 1600, 1850, 2150, 2500, 2900, 3400, 4000, 4800,
    5800, 7000, 8500, 10_500, 13_500,
])
# fmt: on
LAST_WIDTH_HZ = 6000.0  # of the band that has no neighbour above, as RAW-Bench's equaliser has it
EQ_TAPS = 8192
NEIGHBOUR_SHARE = 0.4  # a band's gain in dB at the centre above it, as a share of that at its own


def follow_level(audio: Audio, sample_rate: int) -> NDArray[np.float64]:
    """RMS over all channels of the last 5 ms before each sample, the peak of the clip being 1."""
    power = np.mean(np.square(audio, dtype=np.float64), axis=0)
    window = int(ATTACK_S * sample_rate)
    total = np.concatenate([[0.0], np.cumsum(power)])
    end = np.arange(audio.shape[1])
    start = np.maximum(end - window, 0)
    peak = float(np.abs(audio).max()) or 1.0
    mean = (total[end] - total[start]) / np.maximum(end - start, 1)
    return np.sqrt(np.maximum(mean, 0.0)) / peak


def turn_down(wanted_db: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Attenuation in dB, following `wanted_db` as pydub's compressor does.

    It rises by wanted / attack per sample and falls by wanted / release; while nothing is wanted, it stays
    where it is, since the step is taken from what is wanted.
    """
    rise, fall = 1 / (ATTACK_S * sample_rate), 1 / (RELEASE_S * sample_rate)
    state, states = 0.0, []
    for wanted in wanted_db.tolist():
        if wanted > 0 and state <= wanted:
            state = min(state + wanted * rise, wanted)
        else:
            state = max(state - wanted * fall, 0.0)
        states.append(state)
    return np.array(states)


def change_dynamics(threshold_db: float, slope: float) -> Effect:
    """Turn the clip down by `slope` dB for each dB that its level is over the threshold.

    Slope 1 - 1/ratio compresses, 1 limits, ratio - 1 is what RAW-Bench calls expansion. `threshold_db` is
    relative to the clip's peak.
    """

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        level_db = 20 * np.log10(np.maximum(follow_level(audio, sample_rate), 1e-9))
        attenuation_db = turn_down(slope * np.maximum(level_db - threshold_db, 0), sample_rate)
        return (audio * 10 ** (-attenuation_db / 20)).astype(np.float32), sample_rate

    return effect


def design_equaliser(log_gains: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Sections of a graphic equaliser (Liski and Välimäki 2017, eq. 9), one peak filter per Bark band.

    `log_gains` are natural logarithms of the bands' gains, none 0.
    """
    above_hz = BARK_CENTRES_HZ[1:]
    width_hz = np.append(above_hz - BARK_CENTRES_HZ[:-1] ** 2 / above_hz, LAST_WIDTH_HZ)
    centre, width = (2 * np.pi * hz / sample_rate for hz in (BARK_CENTRES_HZ, width_hz))
    gain = np.exp(log_gains)
    neighbour = np.exp(NEIGHBOUR_SHARE * log_gains)
    beta = np.sqrt(np.abs(neighbour**2 - 1) / np.abs(gain**2 - neighbour**2)) * np.tan(width / 2)
    middle = -2 * np.cos(centre)
    sections = np.stack(
        [1 + gain * beta, middle, 1 - gain * beta, 1 + beta, middle, 1 - beta], axis=1
    )  # (bands, b0 b1 b2 a0 a1 a2)
    return sections / sections[:, 3:4]


def equalise_bark(*intervals: tuple[float, float]) -> Effect:
    """24 bands, each gain drawn uniformly from one of `intervals` (natural logarithms), itself drawn.

    Applied by its impulse response of 8,192 taps; the length stays.
    """

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        some = np.array(intervals)[scene.rng.integers(len(intervals), size=len(BARK_CENTRES_HZ))]
        bands = sample_rate / 2 > BARK_CENTRES_HZ
        log_gains = scene.rng.uniform(some[:, 0], some[:, 1])
        sections = design_equaliser(log_gains, sample_rate)[bands]
        _, response = freqz_sos(sections, np.linspace(0, np.pi, EQ_TAPS // 2 + 1))
        taps = np.fft.irfft(response, EQ_TAPS)
        wet = oaconvolve(audio, taps[None], axes=1)[:, : audio.shape[1]]
        return wet.astype(np.float32), sample_rate

    return effect
