"""The check that every public function makes of the audio it is given."""

import numpy as np
import numpy.typing as npt

from .errors import AudioError

FloatArray = npt.NDArray[np.float32]

# The lowest rate of telephony and the highest of studios.
MIN_SAMPLE_RATE = 8_000
MAX_SAMPLE_RATE = 192_000
MAX_CHANNELS = 8


def check_format(sample_rate: int, channels: int) -> None:
    """Raise AudioError unless the sample rate (Hz) and the number of channels are ones that can be worked
    on.
    """
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise AudioError(
            f"expected a sample rate of {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz, got {sample_rate}"
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"expected 1 to {MAX_CHANNELS} channels, got {channels}")


def check_block(block: FloatArray, channels: int) -> None:
    """Raise AudioError unless `block` is float32 of shape (channels, samples) and all finite."""
    if not isinstance(block, np.ndarray) or block.dtype != np.float32:
        raise AudioError(f"expected float32 samples, got {getattr(block, 'dtype', type(block).__name__)}")
    if block.ndim != 2 or block.shape[0] != channels:
        raise AudioError(f"expected shape ({channels}, samples), got {block.shape}")
    if not np.isfinite(block).all():
        raise AudioError("expected finite samples, got NaN or infinity")
