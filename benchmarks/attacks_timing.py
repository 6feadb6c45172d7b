"""Attacks on the time axis: speed, tempo, pitch, drift, cuts and changed order.

Speed changes pace and pitch together (a record played faster); tempo changes the pace alone; pitch the
frequencies alone. Percentages are of pace: speed +25 % leaves 80 % of the duration.
"""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.signal import resample_poly

from benchmarks.attack import Effect, Scene
from benchmarks.attacks_codec import QUIET
from benchmarks.tools import Audio, read_audio, run, write_audio

OVERSAMPLING = 2  # before the cubic spline of `warp`; keeps its error below -60 dB up to 16 kHz


def through_tool(audio: Audio, sample_rate: int, command: list[str]) -> tuple[Audio, int]:
    """Run a command on a float WAV file; "{in}" and "{out}" in it stand for the two paths."""
    with tempfile.TemporaryDirectory() as temporary:
        source, result = Path(temporary) / "in.wav", Path(temporary) / "out.wav"
        write_audio(source, audio, sample_rate=sample_rate)
        run([word.replace("{in}", str(source)).replace("{out}", str(result)) for word in command])
        return read_audio(result)


def sox(*words: str) -> Effect:
    """Any SoX effect, for instance sox("speed", "1.05")."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        command = ["sox", "-V1", "{in}", "-e", "floating-point", "-b", "32", "{out}", *words]
        return through_tool(audio, sample_rate, command)

    return effect


def ffmpeg(filters: str) -> Effect:
    """Any ffmpeg filter chain; "{rate}" in it stands for the sample rate, which stays."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        chain = filters.replace("{rate}", str(sample_rate))
        command = [*QUIET, "-i", "{in}", "-af", chain, "-ar", str(sample_rate), "-c:a", "pcm_f32le", "{out}"]
        return through_tool(audio, sample_rate, command)

    return effect


def rubberband(*options: str) -> Effect:
    """Rubber Band with its own options, for instance rubberband("--fine", "--tempo", "1.05")."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        command = ["rubberband", "--quiet", "--ignore-clipping", "--no-threads", *options, "{in}", "{out}"]
        return through_tool(audio, sample_rate, command)

    return effect


def warp(audio: Audio, position_samples: NDArray[np.float64]) -> Audio:
    """Read audio at fractional sample positions by cubic splines on the oversampled signal."""
    fine = resample_poly(audio, OVERSAMPLING, 1, axis=1)
    rows = [
        map_coordinates(row, position_samples[None] * OVERSAMPLING, order=3, mode="nearest") for row in fine
    ]
    return np.stack(rows).astype(np.float32)


def drift(parts_per_million: float) -> Effect:
    """A recorder whose clock runs off by `parts_per_million`, wandering by a tenth of that over 10 s."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        time_s = np.arange(audio.shape[1]) / sample_rate
        wander = np.sin(2 * np.pi * (time_s / 10 + scene.rng.random()))
        pace = 1 + parts_per_million * 1e-6 * (1 + 0.1 * wander)
        return warp(audio, np.cumsum(pace) - pace[0]), sample_rate

    return effect


def wow(percent: float) -> Effect:
    """Tape wow: pace swings by +-`percent` at 0.7 Hz, with flutter of a fifth of that at 6 Hz."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        time_s = np.arange(audio.shape[1]) / sample_rate
        phases = scene.rng.random(2)
        swing = np.sin(2 * np.pi * (0.7 * time_s + phases[0])) + 0.2 * np.sin(
            2 * np.pi * (6 * time_s + phases[1])
        )
        pace = 1 + percent / 100 * swing
        return warp(audio, np.cumsum(pace) - pace[0]), sample_rate

    return effect


def excerpt(seconds: float) -> Effect:
    """Keep `seconds` from a random place; a shorter clip stays whole."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        count = min(audio.shape[1], round(seconds * sample_rate))
        start = int(scene.rng.integers(audio.shape[1] - count + 1))
        return audio[:, start : start + count], sample_rate

    return effect


def remove_pieces(share: float, *, shortest_s: float = 0.02, longest_s: float = 0.2) -> Effect:
    """Remove a share of the samples in pieces of random length at random places and close the gaps."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        total = round(share * audio.shape[1])
        lengths: list[int] = []
        while sum(lengths) < total:
            length = int(scene.rng.uniform(shortest_s, longest_s) * sample_rate)
            lengths.append(max(1, min(length, total - sum(lengths))))
        # Places without overlap: distribute what is kept at random between the pieces.
        kept = audio.shape[1] - total
        cuts = np.sort(scene.rng.integers(0, kept + 1, len(lengths)))
        keep = np.ones(audio.shape[1], dtype=bool)
        removed = 0
        for cut, length in zip(cuts, lengths, strict=True):
            keep[cut + removed : cut + removed + length] = False
            removed += length
        return audio[:, keep], sample_rate

    return effect


def remove_regularly(piece_s: float, *, every_s: float) -> Effect:
    """Remove `piece_s` out of every `every_s` seconds and close the gaps."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        place = np.arange(audio.shape[1]) % round(every_s * sample_rate)
        return audio[:, place >= round(piece_s * sample_rate)], sample_rate

    return effect


def reverse_sections(count: int) -> Effect:
    """Cut the clip into `count` equal sections and play them in reversed order (each forwards)."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        sections = np.array_split(audio, count, axis=1)
        return np.concatenate(sections[::-1], axis=1), sample_rate

    return effect
