"""AudioMarkBench's perturbations without access to a detector: `--list audiomarkbench`.

Liu, Guo, Jiang, Wang, Gong: AudioMarkBench: Benchmarking Robustness of Audio Watermarking. NeurIPS 2024,
datasets and benchmarks; the parameters are those of no-box/nobox_audioseal_librispeech.py of its repository
moyangkuo/AudioMarkBench, commit 51c7f78. As there, everything happens to a mono clip at 16 kHz. What that
benchmark does to speech of 5 s is done here to music of any length.

Its background noise is one recording of babble in a room that cannot be had here: a babble of synthesised
voices in a synthetic room stands for it.
"""

import numpy as np
from scipy.signal import firwin, oaconvolve

from benchmarks.attack import Attack, AttackList, Effect, Scene
from benchmarks.attacks_channel import add_babble, add_noise
from benchmarks.attacks_codec import resample, transcode
from benchmarks.attacks_resynthesis import PROXIES, RESYNTHESIS, stretch_by_phase_vocoder, to_mono
from benchmarks.tools import Audio

PUBLICATION = "AudioMarkBench"
RATE = 16_000  # Hz
SINC_ZEROS = 8  # zero crossings of julius' windowed sinc on each side
ECHO_LEVEL = 0.4

SPEEDS = (0.7, 0.9, 1.1, 1.3, 1.5)
SNR_DB = (40, 30, 20, 10, 5)
LEVELS = (4, 8, 16, 32, 64)
OPUS_KBIT = (4, 8, 16, 31)
MP3_KBIT = (8, 16, 24, 32, 40)
CORNERS = (0.1, 0.2, 0.3, 0.4)  # of the sample rate
WINDOWS = (6, 10, 14, 18, 22)  # samples
DELAYS_S = (0.1, 0.3, 0.5, 0.7, 0.9)

FAMILIES = {
    "amb: time stretch": "phase vocoder, rate 0.7 to 1.5",
    "amb: white noise": "SNR 40 to 5 dB",
    "amb: babble": "SNR 40 to 5 dB",
    "amb: quantisation": "4 to 64 levels between the clip's extremes",
    "amb: opus": "4 to 31 kbit/s",
    "amb: mp3": "8 to 40 kbit/s",
    "amb: low-pass": "0.1 to 0.4 of 16 kHz",
    "amb: high-pass": "0.1 to 0.4 of 16 kHz",
    "amb: smoothing": "mean of 6 to 22 samples",
    "amb: echo": "0.4 as loud, after 0.1 to 0.9 s",
    **RESYNTHESIS,
}


def narrow(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
    """Mono at 16 kHz."""
    return resample(RATE)(to_mono(audio), sample_rate, scene)


def quantise_range(levels: int) -> Effect:
    """Round to `levels` values between the clip's lowest and highest sample."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        low, high = float(audio.min()), float(audio.max())
        step = (high - low) / (levels - 1) or 1.0
        return (np.round((audio - low) / step) * step + low).astype(np.float32), sample_rate

    return effect


def filter_sharply(corner: float, *, high: bool) -> Effect:
    """A sinc under a Hann window, its corner in parts of the sample rate; high-pass: what it takes away."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        half = int(SINC_ZEROS / corner / 2)
        taps = firwin(2 * half + 1, corner, window="hann", fs=1.0)
        padded = np.pad(audio, ((0, 0), (half, half)), mode="edge")
        low = oaconvolve(padded, taps[None], mode="valid", axes=1)
        return (audio - low if high else low).astype(np.float32), sample_rate

    return effect


def smooth(samples: int) -> Effect:
    """The mean of each `samples` neighbours; the end is silent where there are too few."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        mean = oaconvolve(audio, np.full((1, samples), 1 / samples), mode="valid", axes=1)
        return np.pad(mean, ((0, 0), (0, samples - 1))).astype(np.float32), sample_rate

    return effect


def echo_once(delay_s: float) -> Effect:
    """Add the clip 0.4 as loud and `delay_s` away, scaled to the peak it had; the end is silent.

    The published code correlates with the response where it means to convolve, without padding: the faint
    copy comes before the loud one, and `delay_s` of the clip are lost. So it is here.
    """

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        delay = round(delay_s * sample_rate) - 1
        both = audio[:, : audio.shape[1] - delay] + ECHO_LEVEL * audio[:, delay:]
        both *= np.abs(audio).max() / max(float(np.abs(both).max()), 1e-12)
        return np.pad(both, ((0, 0), (0, delay))).astype(np.float32), sample_rate

    return effect


def _rows(family: str, parameters: dict[str, Effect]) -> list[Attack]:
    return [
        Attack(f"amb: {family} {text}", f"amb: {family}", (narrow, effect), PUBLICATION, text)
        for text, effect in parameters.items()
    ]


ATTACKS: tuple[Attack, ...] = (
    *_rows("time stretch", {f"x{rate:g}": stretch_by_phase_vocoder(rate) for rate in SPEEDS}),
    *_rows("white noise", {f"{db} dB": add_noise(db) for db in SNR_DB}),
    *_rows("babble", {f"{db} dB": add_babble(db) for db in SNR_DB}),
    *_rows("quantisation", {f"{levels} levels": quantise_range(levels) for levels in LEVELS}),
    *_rows("opus", {f"{kbit} kbit/s": transcode("opus", kbit=kbit, complexity=1) for kbit in OPUS_KBIT}),
    *_rows("mp3", {f"{kbit} kbit/s": transcode("mp3", kbit=kbit) for kbit in MP3_KBIT}),
    *_rows("low-pass", {f"{corner * 16:g} kHz": filter_sharply(corner, high=False) for corner in CORNERS}),
    *_rows("high-pass", {f"{corner * 16:g} kHz": filter_sharply(corner, high=True) for corner in CORNERS}),
    *_rows("smoothing", {f"{samples} samples": smooth(samples) for samples in WINDOWS}),
    *_rows("echo", {f"{delay_s:g} s": echo_once(delay_s) for delay_s in DELAYS_S}),
    *PROXIES,
)

AUDIOMARKBENCH = AttackList(
    name="audiomarkbench",
    source=f"{PUBLICATION}, NeurIPS 2024",
    families=FAMILIES,
    attacks=ATTACKS,
    short=(
        "amb: time stretch x1.1",
        "amb: white noise 10 dB",
        "amb: babble 10 dB",
        "amb: quantisation 16 levels",
        "amb: opus 16 kbit/s",
        "amb: mp3 24 kbit/s",
        "amb: low-pass 3.2 kHz",
        "amb: high-pass 1.6 kHz",
        "amb: smoothing 10 samples",
        "amb: echo 0.3 s",
        "opus 12",
    ),
    left_out={
        "SoundStream, 4 to 16 quantisers": "its weights lie on a hub",
        "EnCodec 24 kHz, 1.5 to 24 kbit/s": "its weights lie on a hub",
        "low-pass 8 kHz, high-pass 8 kHz": "at 16 kHz they change nothing and leave nothing",
        "Opus 1 and 2 kbit/s": "the encoder gives the same stream as for 4 kbit/s",
        "black-box and white-box attacks": "made against a detector's scores, of which ours shows none",
    },
)
