"""Why a piece of audio carries a mark badly, or not at all: reasons for people, found in the sound itself.

The mark is a pattern of small gains on what sounds between `PROFILE.lowest_hz` and `highest_hz`. Where
nothing sounds there is nothing to change; where only a few steady partials sound, nearly all cells of the
pattern are empty. Whether a mark is there is for the detector to say: this explains its answer.

| code | said when |
| --- | --- |
| too-short | less than 5 s: not even the shortest of the windows that a prediction tries |
| silent | every sample is zero |
| near-silent | the loudest second looked at lies below -60 dB of full scale, in the mark's band and outside |
| out-of-band | there is sound, but outside the mark's band: a constant, subsonic or ultrasonic signal |
| partly-silent | more than a quarter of the seconds looked at lie below -60 dB in the mark's band |
| sustained-tone | nearly all power is in few spectral lines that stay as they are: tones, chords, beeps |
| full-scale | the signal stands at full scale: a mark there would be clipped off |
| unexplained | none of these: steady, sparse or very dark sound |
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import fft

import watermark

from .marking import Block

TOO_SHORT_S = 5.0
LOOKS = 24  # stretches of 2 s, spread over the file: what a look costs does not grow with it
QUIET_MEAN_SQUARE = 1e-6
PARTLY = 0.25
# A bin is empty when it lies 40 dB below the strongest one. Tones, chords, square and sawtooth waves fill at
# most 0.03 of the band's bins then, music mostly more.
EMPTY_RATIO = 1e-4
TONAL_SHARE = 0.05
# Cosine between the spectra of one second and the next: 0.9999 for tones; music passes this hardly ever.
STEADY_COSINE = 0.98
FULL_SCALE = 0.999
FULL_SCALE_SHARE = 0.2

TEXTS = {
    "too-short": "it is shorter than 5 s",
    "silent": "it is digital silence",
    "near-silent": "it is almost silent: below -60 dB of full scale",
    "out-of-band": "its sound lies outside the band that carries marks "
    f"({watermark.PROFILE.lowest_hz:.0f} Hz to {watermark.PROFILE.highest_hz:.0f} Hz)",
    "partly-silent": "parts of it are silent",
    "sustained-tone": "it is a sustained tone or chord without noise or change",
    "full-scale": "it stands at full scale, where a mark is clipped off",
    "unexplained": "its sound is too steady, too sparse or too dark to hold much of a mark",
}


@dataclass(frozen=True)
class _Look:
    """Two seconds: mean squares overall and in the band, and what the spectra say."""

    total: float
    in_band: float
    occupied: float
    steadiness: float
    at_full_scale: float


def explain(path: Path) -> tuple[str, ...]:
    """Return codes of why the audio in a file of ours is a poor carrier: the most telling first, never none.

    Parameters
    ----------
    path : an audio file that this program wrote; it is read in this process
    """
    with soundfile.SoundFile(path) as file:
        rate, samples = file.samplerate, file.frames
        found = ["too-short"] if samples < TOO_SHORT_S * rate else []
        size = min(samples, 2 * rate)
        count = max(1, min(LOOKS, samples // size))
        looks = []
        at = 0
        for index in range(count):
            start = (samples - size) * index // max(1, count - 1)
            # Read up to there, since libsndfile cannot seek in a tiny FLAC file behind an ID3 block.
            while at < start:
                file.read(min(start - at, rate), dtype="float32")
                at += min(start - at, rate)
            block = file.read(size, dtype="float32", always_2d=True).T
            at += size
            looks.append(_look(block, rate))
    return tuple(found + _judge(looks)) or ("unexplained",)


def describe(codes: tuple[str, ...]) -> str:
    """Return the reasons as a half sentence."""
    return "; ".join(TEXTS.get(code, code) for code in codes)


def _judge(looks: list[_Look]) -> list[str]:
    total = max(look.total for look in looks)
    in_band = [look.in_band for look in looks]
    if total == 0.0:
        return ["silent"]
    if max(in_band) < QUIET_MEAN_SQUARE:
        return ["near-silent"] if total < QUIET_MEAN_SQUARE else ["out-of-band"]
    found = []
    sounding = [look for look in looks if look.in_band >= QUIET_MEAN_SQUARE]
    if np.median([look.at_full_scale for look in sounding]) > FULL_SCALE_SHARE:
        found.append("full-scale")
    tonal = [look.occupied < TONAL_SHARE and look.steadiness > STEADY_COSINE for look in sounding]
    if np.mean(tonal) > 0.5:
        found.append("sustained-tone")
    if len(sounding) < (1 - PARTLY) * len(looks):
        found.append("partly-silent")
    return found


def _look(block: Block, rate: int) -> _Look:
    # The loudest channel, not their mean: opposite channels would cancel out.
    channel = block[int(np.argmax(np.square(block, dtype=np.float64).sum(1)))].astype(np.float64)
    half = channel.size // 2
    if half < 16:
        power = float(np.square(channel).mean())
        return _Look(power, power, 1.0, 0.0, 0.0)
    first, second = _spectrum(channel[:half]), _spectrum(channel[half : 2 * half])
    frequency = np.arange(first.size) * rate / half
    profile = watermark.PROFILE
    band = (frequency >= profile.lowest_hz) & (frequency < profile.highest_hz)
    both = (first + second)[band]
    strongest = float(both.max(initial=0.0))
    norm = float(np.linalg.norm(first[band]) * np.linalg.norm(second[band]))
    return _Look(
        total=float(np.square(channel).mean()),
        in_band=float(both.sum()) / 2,
        occupied=float((both > EMPTY_RATIO * strongest).mean()) if strongest > 0 else 0.0,
        steadiness=float(first[band] @ second[band]) / norm if norm > 0 else 0.0,
        at_full_scale=float((np.abs(channel) >= FULL_SCALE).mean()),
    )


def _spectrum(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the power in each bin; by Parseval, it sums to about the mean square."""
    # Blackman-Harris (Harris 1978, minimum 4-term): side lobes at -92 dB, so that tones stay lines.
    phase = 2 * np.pi * np.arange(samples.size) / samples.size
    window = 0.35875 - 0.48829 * np.cos(phase) + 0.14128 * np.cos(2 * phase) - 0.01168 * np.cos(3 * phase)
    power = np.abs(fft.rfft(samples * window)) ** 2 / (samples.size * np.square(window).sum())
    power[1:] *= 2
    return np.asarray(power, np.float64)
