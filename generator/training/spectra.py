"""How far two sounds lie apart, by the magnitudes of their short-time spectra at four resolutions.

After Yamamoto et al., "Parallel WaveGAN" (ICASSP 2020), and Engel et al., "DDSP" (ICLR 2020): the mean
absolute difference of log magnitudes (nepers: 0.115 is one decibel). What lies FLOOR_DB below the loudest
place of the reference counts as that floor. For training the magnitudes themselves stand beside their
logarithms, and so do the logarithms of mel bands: most bins of a transform lie high, where little is heard,
and without the bands the thump of a key below its note is soon forgotten.
"""

from functools import cache

import torch

from ..timbre import mel_bands

FFT_SIZES = (2048, 1024, 512, 256)
FLOOR_DB = 70.0
# In the loss, beside 1 for the logarithms of the magnitudes.
MAGNITUDE_WEIGHT, BAND_WEIGHT = 0.25, 1.0
# Mel bands at each resolution, and where the lowest lies.
BANDS, LOWEST_HZ = (96, 64, 40, 24), 60.0


@cache
def _bands(number: int) -> torch.Tensor:
    return mel_bands(BANDS[number], FFT_SIZES[number], LOWEST_HZ)


def magnitudes(sounds: torch.Tensor, fft_size: int) -> torch.Tensor:
    """Magnitudes (N, bins, frames) of whole frames of sounds (N, samples), Hann window, three quarters
    overlapped.
    """
    window = torch.hann_window(fft_size)
    return torch.stft(sounds, fft_size, fft_size // 4, window=window, center=False, return_complex=True).abs()


def peak_magnitudes(sounds: torch.Tensor) -> torch.Tensor:
    """Loudest place of each sound at each resolution, (N, len(FFT_SIZES))."""
    return torch.stack([magnitudes(sounds, size).amax((1, 2)) for size in FFT_SIZES], 1)


def log_distance(sounds: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of log magnitudes above the floor, over four resolutions, (N,)."""
    distances = []
    for size in FFT_SIZES:
        first, second = magnitudes(sounds, size), magnitudes(references, size)
        floor = second.amax((1, 2), keepdim=True).clamp(min=1e-9) * 10 ** (-FLOOR_DB / 20)
        first, second = torch.maximum(first, floor), torch.maximum(second, floor)
        distances.append((first.log() - second.log()).abs().mean((1, 2)))
    return torch.stack(distances).mean(0)


def spectral_loss(sounds: torch.Tensor, references: torch.Tensor, peaks: torch.Tensor) -> torch.Tensor:
    """What training makes small, (N,); peaks (N, len(FFT_SIZES)): of the whole notes that the sounds and
    references are stretches of.

    The floor is added instead of cut off, so that what is too quiet is still drawn upwards.
    """
    losses = []
    for number, size in enumerate(FFT_SIZES):
        first, second = magnitudes(sounds, size), magnitudes(references, size)
        floor = peaks[:, number, None, None] * 10 ** (-FLOOR_DB / 20)
        logs = (torch.log(first + floor) - torch.log(second + floor)).abs().mean((1, 2))
        whole = (second + floor).mean((1, 2))
        shares = MAGNITUDE_WEIGHT * (first - second).abs().mean((1, 2)) / whole
        # Half the logarithm of a power is that of a magnitude.
        powers = [torch.log(_bands(number) @ magnitude**2 + floor**2) / 2 for magnitude in (first, second)]
        losses.append(logs + shares + BAND_WEIGHT * (powers[0] - powers[1]).abs().mean((1, 2)))
    return torch.stack(losses).mean(0)
