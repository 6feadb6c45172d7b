"""Noise by short-time spectra: bands of given power at angles of chance.

The angles come from numpy whatever the device, so that noise is the same wherever it is made.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

# Angles that the phase of a bin of noise is drawn from.
_PHASES = 4096


def draw_angles(random: np.random.Generator, frames: int, bins: int) -> NDArray[np.uint16]:
    """Angles of noise in all bins of some frames, in steps of which _PHASES are a turn."""
    return random.integers(0, _PHASES, (frames, bins), dtype=np.uint16)


def noise_spectrum(power: torch.Tensor, bands: torch.Tensor, angles: NDArray[np.uint16]) -> torch.Tensor:
    """Spectra with the given power per band at angles of `draw_angles`, (frames, bins) complex64; bands
    (bands, bins).
    """
    fft_size = 2 * (bands.shape[1] - 1)
    magnitude = torch.sqrt(fft_size * (power @ bands))
    return magnitude * torch.from_numpy(np.take(_angle_table(), angles)).to(magnitude.device)


@cache
def _angle_table() -> NDArray[np.complex64]:
    """Unit vectors of _PHASES angles: looking one up costs a tenth of its sine and cosine."""
    table: NDArray[np.complex64] = np.exp(2j * np.pi * np.arange(_PHASES) / _PHASES).astype(np.complex64)
    return table
