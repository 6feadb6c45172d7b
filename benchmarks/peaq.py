"""PEAQ Basic: how audible the difference between two recordings is, by the model of ITU-R BS.1387-1.

    quality = compare(original, marked, sample_rate=44_100)
    quality.odg            # 0 imperceptible ... -4 very annoying; an identical pair reads about +0.2
    quality.total_nmr_db   # noise over masking threshold; below about -10 dB is safely masked

The ear model is in peaq_ear, the model output variables in peaq_variables; here they are averaged and put
through the standard's neural network. An objective measure, not a listening test: it was fitted to codecs,
and it is optimistic about small differences.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter, resample_poly

from benchmarks.peaq_ear import FRAMES_PER_S, SAMPLE_RATE, Matrix, hear, split_frames
from benchmarks.peaq_variables import (
    AUDIBLE_NMR,
    TINY,
    NoiseToMask,
    compare_modulation,
    detect_steps,
    measure_bandwidths,
    measure_error_harmonics,
    measure_noise_loudness,
    measure_noise_to_mask,
)
from benchmarks.tools import Audio

SOUND_LEVEL = 200 / 32768  # sum of five samples above which a recording counts as begun

VARIABLES = (
    "bandwidth_reference",
    "bandwidth_test",
    "total_nmr_db",
    "windowed_modulation_difference",
    "average_distorted_block",
    "error_harmonic_structure",
    "average_modulation_difference_1",
    "average_modulation_difference_2",
    "rms_noise_loudness",
    "max_filtered_detection_probability",
    "relative_disturbed_frames",
)
# BS.1387-1, tables 14 to 17: range of each variable, weights of the three hidden nodes, and the output node.
RANGES = (
    (393.916656, 921.0),
    (361.965332, 881.131226),
    (-24.045116, 16.212030),
    (1.110661, 107.137772),
    (-0.206623, 2.886017),
    (0.074318, 13.933351),
    (1.113683, 63.257874),
    (0.950345, 1145.018555),
    (0.029985, 14.819740),
    (0.000101, 1.0),
    (0.0, 1.0),
)
HIDDEN_WEIGHTS = (
    (-0.502657, 0.436333, 1.219602),
    (4.307481, 3.246017, 1.123743),
    (4.984241, -2.211189, -0.192096),
    (0.051056, -1.762424, 4.331315),
    (2.321580, 1.789971, -0.754560),
    (-5.303901, -3.452257, -10.814982),
    (2.730991, -6.111805, 1.519223),
    (0.624950, -1.331523, -5.955151),
    (3.102889, 0.871260, -5.922878),
    (-1.051468, -0.939882, -0.142913),
    (-1.804679, -0.503610, -0.620456),
)
HIDDEN_BIAS = (-2.518254, 0.654841, -2.207228)
OUTPUT_WEIGHTS = (-3.817048, 4.107138, 4.629582)
OUTPUT_BIAS = -0.307594


@dataclass(frozen=True)
class Quality:
    """Outcome of a comparison.

    `odg` is the objective difference grade; `total_nmr_db` the mean noise-to-mask ratio over frames and bands
    (then in dB), `worst_second_nmr_db` that of the worst second, `audible_share` the share of frames in which
    some band exceeds the mask by 1.5 dB; `variables` the eleven model output variables by name, mean of the
    channels.
    """

    odg: float
    total_nmr_db: float
    worst_second_nmr_db: float
    audible_share: float
    variables: dict[str, float]


def trim_silence(reference: Matrix, test: Matrix) -> tuple[Matrix, Matrix]:
    """Cut both (channels, samples) to the part from the first to the last sound of the reference."""
    sums = np.stack([np.convolve(np.abs(row), np.ones(5), "valid") for row in reference]).max(axis=0)
    sounding = np.flatnonzero(sums > SOUND_LEVEL)
    if not sounding.size:
        raise ValueError("expected a reference with sound above -44 dB of full scale, got silence")
    part = slice(int(sounding[0]), int(sounding[-1]) + 5)
    return reference[:, part], test[:, part]


def to_decibel(ratio: float) -> float:
    """Power ratio to dB, -120 at the lowest."""
    return float(10 * np.log10(max(ratio, TINY)))


def find_worst_second(nmr: NoiseToMask) -> float:
    """Highest mean over a second of the frames' noise-to-mask ratios, in dB."""
    span = min(round(FRAMES_PER_S), len(nmr.mean))
    return to_decibel(float(np.convolve(nmr.mean, np.full(span, 1 / span), "valid").max()))


def grade(variables: Matrix) -> float:
    """Map the eleven variables to the objective difference grade by the standard's network."""
    lowest, highest = np.array(RANGES).T
    scaled = (variables - lowest) / (highest - lowest)
    hidden = 1 / (1 + np.exp(-(scaled @ np.array(HIDDEN_WEIGHTS) + np.array(HIDDEN_BIAS))))
    index = OUTPUT_BIAS + float(hidden @ np.array(OUTPUT_WEIGHTS))
    return float(-3.98 + (0.22 + 3.98) / (1 + np.exp(-index)))


def compare(reference: Audio, test: Audio, *, sample_rate: int) -> Quality:
    """Compare a recording with a changed version of it.

    Parameters
    ----------
    reference, test : float (channels, samples) of the same shape, aligned in time, in [-1, 1]; 1 or 2
    channels
    sample_rate : Hz; other rates than 48 kHz are resampled

    Raises
    ------
    ValueError
        The shapes differ, or the reference is silent.
    """
    if reference.shape != test.shape or reference.ndim != 2 or not 1 <= len(reference) <= 2:
        raise ValueError(
            f"expected two signals of one shape with 1 or 2 channels, got {reference.shape} and {test.shape}"
        )
    left, right = np.asarray(reference, dtype=np.float64), np.asarray(test, dtype=np.float64)
    if sample_rate != SAMPLE_RATE:
        common = np.gcd(sample_rate, SAMPLE_RATE)
        left, right = (
            resample_poly(x, SAMPLE_RATE // common, sample_rate // common, axis=1) for x in (left, right)
        )
    left, right = trim_silence(left, right)
    rows, nmrs, probabilities, steps = [], [], [], []
    for original, changed in zip(left, right, strict=True):
        heard, heard_changed = hear(original), hear(changed)
        nmr = measure_noise_to_mask(heard, heard_changed)
        windowed, first, second = compare_modulation(heard, heard_changed)
        harmonics = measure_error_harmonics(
            heard, heard_changed, split_frames(original), split_frames(changed)
        )
        rows.append(
            (
                *measure_bandwidths(heard, heard_changed),
                to_decibel(float(nmr.mean.mean())),
                windowed,
                0.0,  # the average distorted block and the detection probability are binaural: set below
                harmonics,
                first,
                second,
                measure_noise_loudness(heard, heard_changed),
                0.0,
                float((nmr.worst > AUDIBLE_NMR).mean()),
            )
        )
        nmrs.append(nmr)
        probability, step = detect_steps(heard, heard_changed)
        probabilities.append(probability)
        steps.append(step)
    variables = np.mean(rows, axis=0)
    variables[4], variables[9] = detect_binaurally(np.array(probabilities), np.array(steps))
    return Quality(
        odg=grade(variables),
        total_nmr_db=float(variables[2]),
        worst_second_nmr_db=float(np.mean([find_worst_second(nmr) for nmr in nmrs])),
        audible_share=float(variables[10]),
        variables={name: float(value) for name, value in zip(VARIABLES, variables, strict=True)},
    )


def detect_binaurally(probabilities: Matrix, steps: Matrix) -> tuple[float, float]:
    """ADB and MFPD from the better ear in each band; both arguments are (channels, T, 109)."""
    frame_probability = 1 - np.prod(1 - probabilities.max(axis=0), axis=1)
    frame_steps = steps.max(axis=0).sum(axis=1)
    disturbed = frame_probability > 0.5
    block = 0.0
    if disturbed.any():
        mean_steps = frame_steps[disturbed].mean()
        block = float(np.log10(mean_steps)) if mean_steps > 0 else -0.5
    return block, float(lfilter([0.1], [1, -0.9], frame_probability).max())
