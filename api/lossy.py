"""What an MP3 encoder leaves of a signal: LAME through libsndfile, in memory, at a constant bit rate.

libsndfile turns a compression level L in 0..1 into 320 - L * (320 - 32) kbit/s for the MPEG-1 rates (32, 44.1
and 48 kHz), so signals at other rates are resampled to one of these first, as most encoders would do. MP3
carries two channels at most: more are folded to two, odd ones left, even ones right.
"""

import io

import numpy as np
import soundfile
from scipy import fft

from .errors import RefusedError
from .marking import Block

MPEG1_RATES_HZ = (32_000, 44_100, 48_000)
MIN_KBIT_S, MAX_KBIT_S = 32, 320


def simulate_mp3(audio: Block, *, sample_rate: int, kbit_s: int) -> tuple[Block, int]:
    """Encode to MP3 and decode again.

    Parameters
    ----------
    audio : float32, shape (channels, samples), at least one sample
    sample_rate : int
        Hz.
    kbit_s : int
        32 to 320.

    Returns
    -------
    float32, shape (1 or 2 channels, samples) and its sample rate: one of MPEG1_RATES_HZ

    Raises
    ------
    RefusedError
        This machine's libsndfile writes no MP3 (the one in soundfile's wheels does).
    ValueError
        A bit rate outside the range.
    """
    if not MIN_KBIT_S <= kbit_s <= MAX_KBIT_S:
        raise ValueError(f"expected {MIN_KBIT_S} to {MAX_KBIT_S} kbit/s, got {kbit_s}")
    if "MP3" not in soundfile.available_formats():
        raise RefusedError(
            f"libsndfile {soundfile.__libsndfile_version__} writes no MP3, so no margin can be predicted"
        )
    rate = mp3_rate(sample_rate)
    folded = _resample(_fold(audio), sample_rate, rate)
    file = io.BytesIO()
    soundfile.write(
        file,
        folded.T,
        rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=(MAX_KBIT_S - kbit_s) / (MAX_KBIT_S - MIN_KBIT_S),
        bitrate_mode="CONSTANT",
    )
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32", always_2d=True)
    return np.ascontiguousarray(decoded.T, np.float32), rate


def mp3_rate(sample_rate: int) -> int:
    """Return the MPEG-1 rate for a signal: its own, a whole fraction or multiple of it, else 44.1 kHz."""
    if sample_rate in MPEG1_RATES_HZ:
        return sample_rate
    related = [rate for rate in MPEG1_RATES_HZ if sample_rate % rate == 0 or rate % sample_rate == 0]
    return max(related, default=44_100)


def _fold(audio: Block) -> Block:
    if audio.shape[0] <= 2:
        return audio
    return np.stack([audio[0::2].mean(0), audio[1::2].mean(0)]).astype(np.float32)


def _resample(audio: Block, from_rate: int, to_rate: int) -> Block:
    """Resample by cutting or extending the spectrum of the whole piece, which is some seconds long."""
    if from_rate == to_rate:
        return audio
    samples = audio.shape[1]
    # Padded to whole seconds, so that both lengths are integers; the last second keeps end and start apart.
    seconds = -(-samples // from_rate) + 1
    spectrum = fft.rfft(audio, seconds * from_rate, axis=1)
    bins = min(seconds * from_rate, seconds * to_rate) // 2
    kept = np.zeros((audio.shape[0], seconds * to_rate // 2 + 1), spectrum.dtype)
    kept[:, :bins] = spectrum[:, :bins]  # without the bin at the lower Nyquist frequency
    resampled = fft.irfft(kept, seconds * to_rate, axis=1) * (to_rate / from_rate)
    return np.asarray(resampled[:, : -(-samples * to_rate // from_rate)], np.float32)
