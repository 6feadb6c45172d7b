"""The drum kit: what each drum is, and the model of how it sounds.

A drum is damped sinusoids, the modes of its skin or shell, whose pitch may fall at first, and noise in bands
that a small network draws in frames of 5.8 ms every 1.45 ms, from drum, velocity and time. Keys are General
MIDI's.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from .timbre import SAMPLE_RATE, mel_bands

FINE_FFT, FINE_HOP, FINE_BANDS = 256, 64, 24
MODES = 8
# Velocities at which the strength of the modes is known; between them it is interpolated in dB.
MODE_VELOCITIES = (50.0, 90.0, 120.0)
GLIDE_S = 0.02


@dataclass(frozen=True, slots=True)
class Drum:
    """One drum: General MIDI key, modes to look for, length of its sound. `choked_by` stop it when struck."""

    name: str
    key: int
    modes: int
    sounds_s: float
    choked_by: tuple[str, ...] = ()


DRUMS = (
    Drum("kick", 36, 4, 0.6),
    Drum("side stick", 37, 8, 0.3),
    Drum("snare", 38, 6, 0.5),
    Drum("closed hat", 42, 0, 0.35),
    Drum("pedal hat", 44, 0, 0.35),
    Drum("open hat", 46, 0, 1.2, ("closed hat", "pedal hat")),
    Drum("low tom", 45, 6, 1.0),
    Drum("mid tom", 47, 6, 0.9),
    Drum("high tom", 50, 6, 0.8),
    Drum("crash", 49, 8, 2.6),
    Drum("ride", 51, 8, 2.0),
    Drum("ride bell", 53, 8, 2.0),
    Drum("tambourine", 54, 4, 0.5),
)
DRUM_ROW = {drum.name: row for row, drum in enumerate(DRUMS)}
DRUM_OF_KEY = {drum.key: drum for drum in DRUMS}


@cache
def fine_band_matrix() -> torch.Tensor:
    """Bands of the noise, (FINE_BANDS, FINE_FFT // 2 + 1)."""
    return mel_bands(FINE_BANDS, FINE_FFT, 150.0)


TIME_CONSTANTS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


class DrumKit(nn.Module):
    """Modes as tables, noise levels as a network."""

    mode_hz: torch.Tensor
    mode_decay: torch.Tensor
    mode_glide: torch.Tensor
    mode_phase: torch.Tensor
    mode_amplitude: torch.Tensor

    def __init__(self, hidden: int = 96) -> None:
        super().__init__()
        self._waves: dict[int, torch.Tensor] = {}
        self.drum = nn.Embedding(len(DRUMS), 16)
        self.layer_in = nn.Linear(16 + 2 + len(TIME_CONSTANTS_S) + 2, hidden)
        self.layer_mid = nn.Linear(hidden, hidden)
        self.layer_out = nn.Linear(hidden, FINE_BANDS)
        for name in ("mode_hz", "mode_decay", "mode_glide", "mode_phase"):
            self.register_buffer(name, torch.zeros(len(DRUMS), MODES))
        self.register_buffer("mode_amplitude", torch.zeros(len(DRUMS), len(MODE_VELOCITIES), MODES))

    def noise_db(self, row: torch.Tensor, velocity: torch.Tensor, since_s: torch.Tensor) -> torch.Tensor:
        """Levels of the noise bands, (F, FINE_BANDS); row (F,) int64, velocity 1..127 (F,), since_s (F,)."""
        t = since_s[:, None].clamp(min=0)
        loud = velocity[:, None] / 127.0
        decays = [torch.exp(-t / constant) for constant in TIME_CONSTANTS_S]
        features = [self.drum(row), loud, loud**2, *decays, t, torch.log(t + 0.001) / 3]
        hidden = nn.functional.gelu(self.layer_in(torch.cat(features, 1)))
        hidden = hidden + nn.functional.gelu(self.layer_mid(hidden))
        levels: torch.Tensor = 20.0 * self.layer_out(hidden) - 60.0
        return levels

    def modes(self, row: int, velocity: float, samples: int) -> torch.Tensor:
        """Sum of the modes of one drum, (samples,), at most as long as the drum sounds."""
        table = self.mode_amplitude[row].double().clamp(min=1e-9).log()
        known = MODE_VELOCITIES
        place = min(max(velocity, known[0]), known[-1])
        upper = 1 if place <= known[1] else 2
        share = (place - known[upper - 1]) / (known[upper] - known[upper - 1])
        amplitude = torch.exp(table[upper - 1] * (1 - share) + table[upper] * share)
        # Below the softest known velocity: as its square, like the rest of General MIDI.
        amplitude = amplitude * min(1.0, velocity / known[0]) ** 2
        return amplitude.float() @ self._unit_modes(row)[:, :samples]

    def _unit_modes(self, row: int) -> torch.Tensor:
        """Modes of one drum at unit strength over its whole sound, (M, n) float32, drawn when first needed:
        the tables do not change once they are loaded.
        """
        waves = self._waves.get(row)
        if waves is None:
            t = torch.arange(int(DRUMS[row].sounds_s * SAMPLE_RATE), dtype=torch.float64) / SAMPLE_RATE
            hertz, decay, glide, phase = (
                table[row].double()
                for table in (self.mode_hz, self.mode_decay, self.mode_glide, self.mode_phase)
            )
            angle = mode_angle(t, hertz, glide) + phase[:, None]
            waves = (torch.exp(-decay[:, None] * t) * torch.cos(angle)).float()
            self._waves[row] = waves
        return waves


def damped_mode(
    t: torch.Tensor, hertz: torch.Tensor, decay: torch.Tensor, glide: torch.Tensor
) -> torch.Tensor:
    """exp(-decay t) exp(i phi(t)) with the frequency hertz (1 + glide exp(-t / GLIDE_S)), (M, n) complex."""
    return torch.polar(torch.exp(-decay[:, None] * t), mode_angle(t, hertz, glide))


def mode_angle(t: torch.Tensor, hertz: torch.Tensor, glide: torch.Tensor) -> torch.Tensor:
    """Angle of modes whose pitch falls at first, radians less whole turns, (M, n)."""
    fallen = t + glide[:, None] * GLIDE_S * (1 - torch.exp(-t / GLIDE_S))
    return 2 * math.pi * torch.frac(hertz[:, None] * fallen)
