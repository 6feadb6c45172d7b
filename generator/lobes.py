"""Partials drawn into short-time spectra: each is the main lobe of the window's transform at its exact
frequency and phase (Rodet and Depalle, "Spectral envelopes and inverse FFT synthesis", AES 1992).

The arithmetic is differentiable in the amplitudes, so training can listen to what the synthesiser plays.
"""

import numpy as np
import torch

from .timbre import FFT_SIZE, SAMPLE_RATE

# 4-term Blackman-Harris window: side lobes at -92 dB, so nine bins of the transform are the whole partial;
# shifted by a quarter of its length it adds up to a constant.
WINDOW_TERMS = (0.35875, 0.48829, 0.14128, 0.01168)
_LOBE_BINS = 4
_LOBE_STEPS = 1024


def lobe_table() -> torch.Tensor:
    """Transform of the window around its centre, (2 * _LOBE_BINS + 1, _LOBE_STEPS + 1).

    Row r, column c holds it at (r - _LOBE_BINS) - (c / _LOBE_STEPS - 0.5) bins: bin offset less the partial's
    offset from its nearest bin.
    """
    offset = np.arange(-_LOBE_BINS, _LOBE_BINS + 1)[:, None] - (
        np.arange(_LOBE_STEPS + 1) / _LOBE_STEPS - 0.5
    )
    a0, a1, a2, a3 = WINDOW_TERMS
    value = a0 * np.sinc(offset)
    for term, shift in ((a1, 1), (a2, 2), (a3, 3)):
        value = value + term / 2 * (np.sinc(offset - shift) + np.sinc(offset + shift))
    return torch.from_numpy((FFT_SIZE * value).astype(np.float32))


def add_partials(
    spectrum: torch.Tensor,
    table: torch.Tensor,
    row: torch.Tensor,
    hertz: torch.Tensor,
    turns: torch.Tensor,
    amplitude: torch.Tensor,
) -> None:
    """Add partials to the spectra of frames.

    spectrum: (2, frames * (FFT_SIZE // 2 + 1)), real and imaginary parts, changed in place; table: of
    `lobe_table`; per partial its frame (row), frequency, phase in turns (both float64) and half amplitude.
    """
    angle = (2 * torch.pi * torch.frac(turns)).float()
    bin_place = (hertz * FFT_SIZE / SAMPLE_RATE).float()
    nearest = bin_place.round()
    column = ((bin_place - nearest + 0.5) * _LOBE_STEPS).round().long()
    base = row * (FFT_SIZE // 2 + 1)
    parity = 1 - 2 * (nearest.long() % 2)
    real, imaginary = amplitude * torch.cos(angle) * parity, amplitude * torch.sin(angle) * parity
    for offset in range(-_LOBE_BINS, _LOBE_BINS + 1):
        target = nearest.long() + offset
        # A frame is centred on its middle sample: shifting by half a frame turns every other bin by pi.
        lobe = table[offset + _LOBE_BINS, column] * (1 - 2 * (offset % 2))
        # A lobe that reaches below 0 Hz comes back conjugated.
        mirror = torch.where(target < 0, -1.0, 1.0)
        place = base + target.abs()
        spectrum[0].index_add_(0, place, real * lobe)
        spectrum[1].index_add_(0, place, imaginary * lobe * mirror)
