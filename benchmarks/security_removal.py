"""Experiment 8: blind attacks that hit everything, at the least strength that removes the mark from 30 s."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import istft, stft

from benchmarks.attacks_channel import rms
from benchmarks.music import SAMPLE_RATE
from benchmarks.security_material import (
    Finding,
    Host,
    Material,
    count,
    find_least,
    grade,
    is_present,
    mark,
    mean,
    read,
)
from benchmarks.security_scheme import Grid, open_grid, write_gains
from benchmarks.tools import Audio

Spectra = NDArray[np.complexfloating]

THEORY = (
    "Without the pattern an attacker must make every cell unreliable: independent gains of a dB lower "
    "the statistic by sqrt(1 + (a / h)^2), h the host's own deviation of 4 to 6 dB, and smoothing "
    "takes away the mark only with the music's own detail."
)
HOSTS = {True: 1, False: 8}
SECONDS = 30.0
WINDOW = 2048
TINY = 1e-9


def jitter_cells(marked: Audio, strength: float, grid: Grid, rng: np.random.Generator) -> Audio:
    """Give every cell of the file an independent gain of `strength` dB (deviation)."""
    columns = -(-grid.frames.frames(marked.shape[1]) // grid.profile.frames_per_column)
    gains_db = strength * rng.standard_normal((columns, grid.rows))
    return write_gains(marked, gains_db.astype(np.float32), grid)


def change_spectra(marked: Audio, change: Callable[[Spectra], Spectra], window: int = WINDOW) -> Audio:
    """Change the short-time spectra (channels, bins, frames) of a signal."""
    _, _, spectra = stft(marked, SAMPLE_RATE, nperseg=window, noverlap=3 * window // 4)
    _, audio = istft(change(spectra), SAMPLE_RATE, nperseg=window, noverlap=3 * window // 4)
    return np.asarray(audio[:, : marked.shape[1]], np.float32)


def smooth(axis: int) -> Callable[[Audio, float, Grid, np.random.Generator], Audio]:
    """Smooth log magnitudes over `strength` frames (axis 2) or bins (axis 1), phases kept."""

    def attack(marked: Audio, strength: float, _grid: Grid, _rng: np.random.Generator) -> Audio:
        def change(spectra: Spectra) -> Spectra:
            levels = np.log(np.abs(spectra) + TINY)
            return np.asarray(spectra * np.exp(uniform_filter1d(levels, round(strength), axis=axis) - levels))

        return change_spectra(marked, change)

    return attack


def stretch(audio: Audio, ratio: float, window: int = WINDOW) -> Audio:
    """Make a signal `ratio` times as long by a phase vocoder (Flanagan and Golden 1966)."""
    hop = window // 4
    _, _, spectra = stft(audio, SAMPLE_RATE, nperseg=window, noverlap=window - hop)
    place = np.arange(0, spectra.shape[2] - 1, 1 / ratio)
    index, fraction = place.astype(np.int64), place - place.astype(np.int64)
    magnitude = np.abs(spectra)
    magnitude = magnitude[..., index] * (1 - fraction) + magnitude[..., index + 1] * fraction
    # What a bin's phase gains over a hop beyond its own frequency, wrapped.
    own = 2 * np.pi * hop * np.arange(spectra.shape[1]) / window
    gained = np.angle(spectra[..., index + 1]) - np.angle(spectra[..., index]) - own[:, None]
    gained = own[:, None] + (gained + np.pi) % (2 * np.pi) - np.pi
    phase = np.cumsum(gained, axis=2) - gained[..., :1] + np.angle(spectra[..., :1])
    _, longer = istft(magnitude * np.exp(1j * phase), SAMPLE_RATE, nperseg=window, noverlap=window - hop)
    return np.asarray(longer, np.float32)


def vocode(marked: Audio, strength: float, _grid: Grid, _rng: np.random.Generator) -> Audio:
    """Stretch by a phase vocoder to `strength` times the length in reverse: shortened, then back again."""
    there = stretch(marked, 1 / strength)
    back = stretch(there, strength)
    short = marked.shape[1] - back.shape[1]
    return np.pad(back, ((0, 0), (0, max(0, short))))[:, : marked.shape[1]]


def add_white_noise(marked: Audio, strength: float, _grid: Grid, rng: np.random.Generator) -> Audio:
    """Add white noise `strength` dB above 20 dB under the signal."""
    noise = rng.standard_normal(marked.shape) * rms(marked) * 10 ** ((strength - 20) / 20)
    return np.asarray(marked + noise, np.float32)


@dataclass(frozen=True)
class Blind:
    """An attack and its strengths, weakest first, in a unit that is named."""

    name: str
    unit: str
    strengths: tuple[float, ...]
    attack: Callable[[Audio, float, Grid, np.random.Generator], Audio]


ATTACKS = (
    Blind("noise on cells", "dB", (1, 2, 3, 4, 6, 8, 12), jitter_cells),
    Blind("smoothing over time", "frames of 11.6 ms", (3, 5, 7, 11, 15, 23, 31), smooth(2)),
    Blind("smoothing over frequency", "bins of 21.5 Hz", (3, 5, 7, 11, 15, 23, 31), smooth(1)),
    Blind("phase vocoder, shortened and back", "times", (1.1, 1.25, 1.5, 2, 3, 4, 6), vocode),
    Blind("white noise", "dB over -20 dB SNR", (0, 5, 10, 15, 20, 25, 30), add_white_noise),
)

SHORT = ("noise on cells", "smoothing over time", "phase vocoder, shortened and back")


def thin_out(blind: Blind) -> Blind:
    """Keep every other strength."""
    return replace(blind, strengths=blind.strengths[1::2])


def attack_host(material: Material, host: Host, attacks: Sequence[Blind], grid: Grid) -> list[dict[str, Any]]:
    """Mark a host and look for the least strength of each attack that removes the mark."""
    key = material.derive(f"removal key {host.name}")
    payload = material.derive(f"removal payload {host.name}", 8)
    marked = mark(host.audio, key, payload, profile=grid.profile)
    rows: list[dict[str, Any]] = [{"attack": "none", "host": host.name, "odg": grade(host.audio, marked)}]
    for blind in attacks:

        def run(strength: float, blind: Blind = blind) -> Audio:
            # The same noise at every strength.
            return blind.attack(marked, strength, grid, material.rng(f"removal {host.name}"))

        def works(strength: float, run: Callable[[float], Audio] = run) -> bool:
            return not read(run(strength), key, profile=grid.profile).detected

        least = find_least(blind.strengths, works)
        attacked = run(least if least is not None else blind.strengths[-1])
        rows.append(
            {
                "attack": blind.name,
                "host": host.name,
                "removed": least is not None,
                "strength": least,
                "odg": grade(host.audio, attacked),
                "present": is_present(attacked, key, payload, profile=grid.profile).present,
            }
        )
    return rows


def measure(material: Material) -> Finding:
    """Run the experiment."""
    grid = open_grid(SAMPLE_RATE, material.profile)
    attacks = [thin_out(blind) for blind in ATTACKS if blind.name in SHORT] if material.short else ATTACKS
    trials = [
        row
        for host in material.hosts(HOSTS[material.short], SECONDS)
        for row in attack_host(material, host, attacks, grid)
    ]
    before = mean([row["odg"] for row in trials if row["attack"] == "none"])
    rows = []
    for blind in attacks:
        some = [row for row in trials if row["attack"] == blind.name]
        rows.append(
            {
                "attack": blind.name,
                "removed": count([row["removed"] for row in some]),
                "least strength": mean([row["strength"] for row in some]),
                "unit": blind.unit,
                "ODG when removed": mean([row["odg"] for row in some if row["removed"]]),
                "ODG at the strongest, not removed": mean([row["odg"] for row in some if not row["removed"]]),
                "candidate test finds": count([row["present"] for row in some]),
            }
        )
    return Finding(
        theory=THEORY,
        tables={f"least blind attack that removes the mark from {SECONDS:g} s": rows},
        note=f"ODG of the marked clips before: {before}",
        data={"trials": trials},
    )
