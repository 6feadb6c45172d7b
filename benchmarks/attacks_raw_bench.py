"""RAW-Bench's attacks at their strict settings: `--list raw-bench`.

Özer, Choi, Serrà, Singh, Liao, Mitsufuji: A Comprehensive Real-World Assessment of Audio Watermarking
Algorithms: Will They Survive Neural Codecs? Interspeech 2025; the parameters are those of the file
configs/attack/attack_strict.yaml of its repository SonyResearch/raw_bench, commit 721a9bc, what they act on
is in raw_bench/attacks/ there. As there, a clip is made mono at 44.1 kHz, a parameter is drawn for each
clip, and a result above full scale is scaled back, except after a change of gain.

Two of its recordings cannot be had here: a babble of voices in a room stands for DEMAND's background noise,
a synthetic response for AIR's measured rooms.
"""

from collections.abc import Callable

import numpy as np
from scipy.signal import oaconvolve, sosfilt

from benchmarks.attack import Attack, AttackList, Effect, Scene, draw
from benchmarks.attacks_channel import add_babble, add_noise, rms, room_response
from benchmarks.attacks_codec import transcode
from benchmarks.attacks_dynamics import change_dynamics, equalise_bark
from benchmarks.attacks_resynthesis import PROXIES, RESYNTHESIS, stretch_by_phase_vocoder, to_mono
from benchmarks.tools import Audio

PUBLICATION = "RAW-Bench strict"
RATIO = 4.0  # of its compressor and expander
LONGEST_RESPONSE_S = 0.5
FIRST_ARRIVAL_S = (0.003, 0.015)  # direct sound over 1 to 5 m
DECAY_S = (0.2, 0.8)  # AIR's rooms, from booth to lecture hall
SHIFT_S = 0.1

FAMILIES = {
    "raw: mixing": "background and white noise, reverberation",
    "raw: codecs": "AAC 64, MP3 64, Vorbis 48 kbit/s, all mono",
    "raw: dynamics": "compressor, expander, limiter",
    "raw: filters": "Bark equaliser, high-pass, low-pass",
    "raw: low level": "gain, shift, polarity, 12-16 bit, jitter, time stretch",
    **RESYNTHESIS,
}


def mono(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
    """Mix down to one channel."""
    return to_mono(audio), sample_rate


def keep_below_full_scale(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
    """Scale back to a peak of 1 what is above it."""
    return audio / np.float32(max(1.0, float(np.abs(audio).max()))), sample_rate


def amplify(factor: float) -> Effect:
    """Multiply, without clipping."""
    return lambda audio, sample_rate, _scene: ((audio * factor).astype(np.float32), sample_rate)


def mix_reverberation(dry_to_wet_db: float) -> Effect:
    """Add the clip as a room answers it, `dry_to_wet_db` below the clip: a response of up to 0.5 s."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        response = room_response(
            scene.rng.uniform(*DECAY_S), 0.0, sample_rate=sample_rate, channels=len(audio), rng=scene.rng
        )
        arrival = round(scene.rng.uniform(*FIRST_ARRIVAL_S) * sample_rate)
        response = np.pad(response, ((0, 0), (arrival, 0)))[:, : round(LONGEST_RESPONSE_S * sample_rate)]
        wet = oaconvolve(audio, response, axes=1)[:, : audio.shape[1]]
        level = rms(audio) / rms(wet) * 10 ** (-dry_to_wet_db / 20)
        return (audio + wet * level).astype(np.float32), sample_rate

    return effect


def filter_once(kind: str) -> Callable[[float], Effect]:
    """Make of a corner in Hz a biquad of Q 0.707 (Bristow-Johnson's cookbook, as in torchaudio)."""

    def make(corner_hz: float) -> Effect:
        def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
            angle = 2 * np.pi * corner_hz / sample_rate
            alpha, cosine = np.sin(angle) / (2 * 0.707), np.cos(angle)
            edge = (1 - cosine) / 2 if kind == "lowpass" else (1 + cosine) / 2
            sign = 2 if kind == "lowpass" else -2
            section = np.array([[edge, sign * edge, edge, 1 + alpha, -2 * cosine, 1 - alpha]]) / (1 + alpha)
            return sosfilt(section, audio, axis=1).astype(np.float32), sample_rate

        return effect

    return make


def shift(seconds: float) -> Effect:
    """Drop the first `seconds` (or, negative, the last) and fill the other end with silence."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        count = min(abs(round(seconds * sample_rate)), audio.shape[1])
        if seconds > 0:
            return np.pad(audio[:, count:], ((0, 0), (0, count))), sample_rate
        return np.pad(audio[:, : audio.shape[1] - count], ((0, 0), (count, 0))), sample_rate

    return effect


def jitter(samples: float) -> Effect:
    """Sample at times that are off by a normal deviation of `samples`, by linear interpolation."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        time = np.arange(audio.shape[1])
        off = time + scene.rng.normal(0, samples, len(time))
        return np.stack([np.interp(off, time, row) for row in audio]).astype(np.float32), sample_rate

    return effect


def quantise(bits: float) -> Effect:
    """Round to 2^bits - 2 steps between -1 and 1, a whole number of bits."""
    half = 2 ** int(bits) / 2 - 1
    return lambda audio, rate, _scene: ((np.round((audio + 1) * half) / half - 1).astype(np.float32), rate)


def _row(name: str, family: str, effect: Effect, parameter: str, *, scaled: bool = True) -> Attack:
    effects = (mono, effect, keep_below_full_scale) if scaled else (mono, effect)
    return Attack(f"raw: {name}", f"raw: {family}", effects, PUBLICATION, parameter)


ATTACKS: tuple[Attack, ...] = (
    _row("background babble", "mixing", draw(add_babble, (20, 35)), "SNR 20 to 35 dB"),
    _row("white noise", "mixing", draw(add_noise, (20, 40)), "SNR 20 to 40 dB"),
    _row(
        "reverberation", "mixing", draw(mix_reverberation, (0, 6)), "dry 0 to 6 dB over wet, response 0.5 s"
    ),
    _row("aac 64", "codecs", transcode("aac", kbit=64), "64 kbit/s mono"),
    _row("mp3 64", "codecs", transcode("mp3", kbit=64), "64 kbit/s mono"),
    _row("vorbis 48", "codecs", transcode("vorbis", quality=-1), "48 kbit/s, which is quality -1"),
    _row(
        "compressor",
        "dynamics",
        draw(lambda db: change_dynamics(db, 1 - 1 / RATIO), (-36, -18)),
        "threshold -36 to -18 dB, 4:1",
    ),
    _row(
        "expander",
        "dynamics",
        draw(lambda db: change_dynamics(db, RATIO - 1), (-16, -12)),
        "threshold -16 to -12 dB, 1:4",
    ),
    _row("limiter", "dynamics", draw(lambda db: change_dynamics(db, 1.0), (-36, -18)), "-36 to -18 dB"),
    _row(
        "equaliser",
        "filters",
        equalise_bark((-0.75, -0.375), (0.375, 0.75)),
        "24 Bark bands, +-0.375 to 0.75 nepers",
    ),
    _row("high-pass", "filters", draw(filter_once("highpass"), (250, 500)), "250 to 500 Hz, 12 dB/octave"),
    _row("low-pass", "filters", draw(filter_once("lowpass"), (3500, 6000)), "3.5 to 6 kHz, 12 dB/octave"),
    _row("gain", "low level", draw(amplify, (0.2, 0.5), (1.5, 5.0)), "0.2 to 0.5, 1.5 to 5", scaled=False),
    _row("shift", "low level", draw(shift, (-SHIFT_S, SHIFT_S)), "+-0.1 s"),
    _row("polarity", "low level", amplify(-1), "inverted"),
    _row("12 to 16 bit", "low level", draw(quantise, (12, 17)), "12 to 16 bit"),
    _row("jitter", "low level", draw(jitter, (0.01, 0.2)), "0.01 to 0.2 samples"),
    _row(
        "time stretch",
        "low level",
        draw(stretch_by_phase_vocoder, (0.75, 0.95), (1.05, 1.25)),
        "rate 0.75 to 0.95, 1.05 to 1.25",
    ),
    *PROXIES,
)

RAW_BENCH = AttackList(
    name="raw-bench",
    source=f"{PUBLICATION}, Interspeech 2025",
    families=FAMILIES,
    attacks=ATTACKS,
    short=(
        "raw: reverberation",
        "raw: vorbis 48",
        "raw: limiter",
        "raw: equaliser",
        "raw: shift",
        "raw: time stretch",
        "opus 12",
    ),
    left_out={
        "DAC 44 kHz, 7 to 9 codebooks": "its weights lie on a hub",
        "EnCodec 24 kHz, 16 and 32 codebooks": "its weights lie on a hub",
        "time mask, frequency mask": "there for training only",
    },
)
