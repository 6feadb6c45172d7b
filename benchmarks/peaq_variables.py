"""The eleven model output variables of PEAQ Basic, for one channel, from two ear images.

Source: ITU-R BS.1387-1, annex 2, and Kabal 2003 (see peaq_ear). A row of each array is a frame, a column a
band.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.peaq_ear import (
    BAND_COUNT,
    FRAMES_PER_S,
    HOP,
    EarImage,
    Matrix,
    make_bands,
    smooth,
    smoothing,
)

START_S = 0.5  # modulation and loudness start this late: adaptation has settled
LOUD_SONE = 0.1
AFTER_LOUD_S = 0.05
AUDIBLE_NMR = 10**0.15  # 1.5 dB
NOISE_FLOOR_BIN = 921  # 21.6 kHz: above it there is only noise
REFERENCE_BANDWIDTH_BIN = 346  # 8.1 kHz: frames of less bandwidth say nothing about it
QUIET_ENERGY = 8000 / 32768**2  # of half a frame; below it the error's harmonic structure is not looked at
LAGS = 256
TINY = 1e-12


@dataclass(frozen=True)
class NoiseToMask:
    """Noise-to-mask ratio per frame, linear: mean over bands and worst band, each (T,)."""

    mean: Matrix
    worst: Matrix


def modulate(image: EarImage) -> tuple[Matrix, Matrix]:
    """Modulation of the loudness envelope per band, and the average loudness it refers to."""
    coefficients = smoothing(0.008, 0.050)
    loudness = image.unsmeared**0.3
    change = FRAMES_PER_S * np.abs(np.diff(loudness, axis=0, prepend=np.zeros((1, BAND_COUNT))))
    average = smooth(loudness, coefficients)
    return smooth(change, coefficients) / (1 + average / 0.3), average


def adapt(reference: Matrix, test: Matrix) -> tuple[Matrix, Matrix]:
    """Take slow level and spectral differences out of two excitation patterns."""
    coefficients = smoothing(0.008, 0.050)
    smooth_reference, smooth_test = smooth(reference, coefficients), smooth(test, coefficients)
    momentary = np.sqrt(smooth_reference * smooth_test).sum(axis=1) / smooth_test.sum(axis=1)
    level = (momentary**2)[:, None]
    reference = np.where(level > 1, reference / level, reference)
    test = np.where(level > 1, test, test * level)
    # Running correlation and energy; both carry the same factor (1 - a), which their ratio does not show.
    cross = smooth(reference * test, coefficients)
    energy = smooth(reference * reference, coefficients)
    for_test = np.where(cross >= energy, energy / cross, 1.0)
    for_reference = np.where(cross >= energy, 1.0, cross / energy)
    return reference * blur_bands(for_reference, coefficients), test * blur_bands(for_test, coefficients)


def blur_bands(ratios: Matrix, coefficients: Matrix) -> Matrix:
    """Average over 3 bands below to 4 above (fewer at the ends), then over time."""
    sums = np.concatenate([np.zeros((len(ratios), 1)), np.cumsum(ratios, axis=1)], axis=1)
    band = np.arange(BAND_COUNT)
    first, last = np.maximum(band - 3, 0), np.minimum(band + 4, BAND_COUNT - 1)
    return smooth((sums[:, last + 1] - sums[:, first]) / (last + 1 - first), coefficients)


def compare_modulation(reference: EarImage, test: EarImage) -> tuple[float, float, float]:
    """Modulation differences: (WinModDiff1, AvgModDiff1, AvgModDiff2)."""
    mod_reference, average = modulate(reference)
    mod_test, _ = modulate(test)
    start = min(int(np.ceil(START_S * FRAMES_PER_S)), len(average) - 1)
    first = 100 / BAND_COUNT * (np.abs(mod_reference - mod_test) / (1 + mod_reference)).sum(axis=1)
    rise = np.where(mod_test >= mod_reference, 1.0, 0.1) * np.abs(mod_test - mod_reference)
    second = 100 / BAND_COUNT * (rise / (0.01 + mod_reference)).sum(axis=1)
    weight = (average / (average + 100 * make_bands().internal_noise ** 0.3)).sum(axis=1)[start:]
    first, second = first[start:], second[start:]
    roots = np.sqrt(first)
    windows = np.convolve(roots, np.full(4, 0.25), "valid") if len(roots) >= 4 else roots
    windowed = np.sqrt(np.mean(windows**4))
    return float(windowed), float(first @ weight / weight.sum()), float(second @ weight / weight.sum())


def sones(excitation: Matrix) -> Matrix:
    """Loudness per frame in sone (T,), after Zwicker and Feldtkeller."""
    hertz = make_bands().centre_hz
    index = 10 ** ((-2 - 2.05 * np.arctan(hertz / 4000) - 0.75 * np.arctan((hertz / 1600) ** 2)) / 10)
    threshold = 10 ** (0.364 * (hertz / 1000) ** -0.8)
    specific = (threshold / (index * 1e4)) ** 0.23 * (
        (1 - index + index * excitation / threshold) ** 0.23 - 1
    )
    return np.asarray(24 / BAND_COUNT * 1.07664 * np.maximum(specific, 0).sum(axis=1))


def measure_noise_loudness(reference: EarImage, test: EarImage) -> float:
    """RmsNoiseLoud: loudness of the added noise, partly masked by the signal, over the loud frames."""
    noise = make_bands().internal_noise
    factor_reference = 0.15 * modulate(reference)[0] + 0.5
    factor_test = 0.15 * modulate(test)[0] + 0.5
    level_reference, level_test = adapt(reference.excitation, test.excitation)
    masked = np.exp(np.clip(-1.5 * (level_test - level_reference) / level_reference, -50, 50))
    excess = np.maximum(factor_test * level_test - factor_reference * level_reference, 0)
    partial = excess / (noise + factor_reference * level_reference * masked)
    loudness = 24 / BAND_COUNT * ((noise / factor_test) ** 0.23 * ((1 + partial) ** 0.23 - 1)).sum(axis=1)
    both = np.minimum(sones(reference.excitation), sones(test.excitation)) > LOUD_SONE
    first_loud = int(np.argmax(both)) if both.any() else 0
    start = max(np.ceil(START_S * FRAMES_PER_S), first_loud + np.ceil(AFTER_LOUD_S * FRAMES_PER_S))
    start = min(int(start), len(loudness) - 1)
    return float(np.sqrt(np.mean(np.maximum(loudness[start:], 0) ** 2)))


def measure_bandwidths(reference: EarImage, test: EarImage) -> tuple[float, float]:
    """BandwidthRef and BandwidthTest: mean bin up to which each stands out of the test's noise floor."""
    floor = test.power[:, NOISE_FLOOR_BIN:].max(axis=1, keepdims=True)
    bins = np.arange(1, NOISE_FLOOR_BIN + 1)
    in_reference = reference.power[:, :NOISE_FLOOR_BIN] >= 10 * floor  # 10 dB
    width_reference = np.where(in_reference, bins, 0).max(axis=1)
    in_test = (test.power[:, :NOISE_FLOOR_BIN] >= 10**0.5 * floor) & (bins <= width_reference[:, None])
    width_test = np.where(in_test, bins, 0).max(axis=1)
    wide = width_reference > REFERENCE_BANDWIDTH_BIN
    if not wide.any():
        return 0.0, 0.0
    return float(width_reference[wide].mean()), float(width_test[wide].mean())


def measure_noise_to_mask(reference: EarImage, test: EarImage) -> NoiseToMask:
    """Energy of the difference of the two magnitude spectra over the reference's masking threshold."""
    bands = make_bands()
    noise = (np.sqrt(reference.weighted) - np.sqrt(test.weighted)) ** 2 @ bands.grouping
    ratio = noise / (bands.masking * reference.excitation)
    return NoiseToMask(ratio.mean(axis=1), ratio.max(axis=1))


def measure_error_harmonics(
    reference: EarImage, test: EarImage, reference_frames: Matrix, test_frames: Matrix
) -> float:
    """EHS: 1000 x the mean strength of a harmonic structure in the spectral error: its cepstrum's peak."""
    energies = [(frames[:, HOP:] ** 2).sum(axis=1) for frames in (reference_frames, test_frames)]
    loud = np.maximum(*energies) >= QUIET_ENERGY
    if not loud.any():
        return 0.0
    floor = 1e-30
    error = np.log(
        np.maximum(test.weighted[loud, : 2 * LAGS], floor)
        / np.maximum(reference.weighted[loud, : 2 * LAGS], floor)
    )
    error[:, 0] = 0  # the ear's response is 0 at 0 Hz
    # Correlation of the first 256 bins with those shifted by each lag, normalised by both energies.
    left, both = np.fft.rfft(error[:, :LAGS], 4 * LAGS), np.fft.rfft(error, 4 * LAGS)
    correlation = np.fft.irfft(np.conj(left) * both, 4 * LAGS)[:, :LAGS]
    energy = np.concatenate([np.zeros((len(error), 1)), np.cumsum(error**2, axis=1)], axis=1)
    product = correlation[:, :1] * (energy[:, LAGS : 2 * LAGS] - energy[:, :LAGS])
    safe = np.where(product > 0, product, 1.0)
    correlation = np.where(product > 0, correlation / np.sqrt(safe), 1.0)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(LAGS) / (LAGS - 1))
    centred = (correlation - correlation.mean(axis=1, keepdims=True)) * hann * np.sqrt(8 / 3) / LAGS
    cepstrum = np.abs(np.fft.rfft(centred, axis=1)) ** 2
    # The slope down from lag 0 is no peak: only values above their left neighbour count.
    rising = np.where(cepstrum[:, 1:] > cepstrum[:, :-1], cepstrum[:, 1:], 0)
    return float(1000 * rising.max(axis=1).mean())


def detect_steps(reference: EarImage, test: EarImage) -> tuple[Matrix, Matrix]:
    """Probability of hearing a level difference, and its just noticeable steps, per frame and band."""
    level_reference, level_test = 10 * np.log10(reference.excitation), 10 * np.log10(test.excitation)
    difference = level_reference - level_test
    louder = difference > 0
    level = np.where(louder, 0.3 * level_reference + 0.7 * level_test, level_test)
    positive = np.maximum(level, 1e-9)
    polynomial = np.polyval([9.01033e-11, 5.05622e-6, -0.00102438, 0.0550197, -0.198719], level)
    step = np.where(level > 0, 5.95072 * (6.39468 / positive) ** 1.71332 + polynomial, 1e30)
    exponent = np.where(louder, 4, 6)
    probability = 1 - 0.5 ** (np.minimum(np.abs(difference / step), 1e3) ** exponent)
    return probability, np.abs(np.trunc(difference)) / step
