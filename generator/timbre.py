"""Timbre network: instrument, pitch, velocity and time -> levels of partials and of noise bands.

The harmonic-plus-noise family of Engel et al., "DDSP: Differentiable digital signal processing" (ICLR 2020):
a small network says how loud every partial and every noise band is in each frame; `synthesis.py` turns that
into sound. Levels are in dB re full scale. A frame is FRAME_HOP samples (5.8 ms at 44.1 kHz).
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

SAMPLE_RATE = 44_100
FRAME_HOP = 256
HARMONICS = 80
NOISE_BANDS = 40
FLOOR_DB = -110.0
FFT_SIZE = 1024


@cache
def noise_band_matrix() -> torch.Tensor:
    """Triangular bands evenly spaced on the mel scale up to 20 kHz, (NOISE_BANDS, FFT_SIZE // 2 + 1), rows
    not scaled.

    Neighbours overlap so that the columns of bins between the first and last centre sum to one.
    """
    return mel_bands(NOISE_BANDS, FFT_SIZE, 60.0)


def mel_bands(bands: int, fft_size: int, lowest_hz: float) -> torch.Tensor:
    """Triangular bands from lowest_hz to 20 kHz over the bins of a transform, (bands, fft_size // 2 + 1)."""
    bins_hz = torch.arange(fft_size // 2 + 1) * SAMPLE_RATE / fft_size
    top = 2595 * math.log10(1 + 20_000 / 700)
    low = 2595 * math.log10(1 + lowest_hz / 700)
    mel = torch.linspace(low, top, bands)
    bins_mel = 2595 * torch.log10(1 + bins_hz / 700)
    spacing = float(mel[1] - mel[0])
    weights = (1 - (bins_mel[None] - mel[:, None]).abs() / spacing).clamp(min=0)
    # The lowest bands are narrower than a bin: give each at least its nearest bin, so that none is empty.
    nearest = (bins_mel[None] - mel[:, None]).abs().argmin(1)
    empty = weights.sum(1) < 0.05
    weights[empty, nearest[empty]] = 0.05
    return weights


@dataclass(frozen=True, slots=True)
class TimbreConfig:
    """Size of the network."""

    instruments: int
    code: int = 128
    hidden: int = 256
    layers: int = 3


@dataclass(frozen=True, slots=True)
class NoteCode:
    """What the network says once per note, each with first axis notes.

    code: (N, code); release_db_per_s: (N, HARMONICS + NOISE_BANDS) >= 0; detune_cents, stiffness: (N,).
    """

    code: torch.Tensor
    release_db_per_s: torch.Tensor
    detune_cents: torch.Tensor
    stiffness: torch.Tensor


# The network saw notes held this long; later levels follow the slope of the last half second (synthesis.py).
LEARNED_HOLD_S = 2.25
PITCH_WAVES = 10
TIME_CONSTANTS_S = (0.004, 0.012, 0.035, 0.1, 0.3, 0.9, 2.7)


class TimbreNetwork(nn.Module):
    """Notes to note codes, and note codes with the time since onset to levels in dB."""

    def __init__(self, config: TimbreConfig) -> None:
        super().__init__()
        self.config = config
        self.noise_bands = NOISE_BANDS
        outputs = HARMONICS + NOISE_BANDS
        self.instrument = nn.Embedding(config.instruments, 32)
        self.note_in = nn.Linear(32 + 2 * PITCH_WAVES + 3, config.hidden)
        self.note_mid = nn.Linear(config.hidden, config.hidden)
        self.note_out = nn.Linear(config.hidden, config.code)
        self.release = nn.Linear(config.code, outputs)
        self.tuning = nn.Linear(config.code, 2)
        self.frame_in = nn.Linear(config.code + len(TIME_CONSTANTS_S) + 2, config.hidden)
        self.frame_mid = nn.ModuleList(
            nn.Linear(config.hidden, config.hidden) for _ in range(config.layers - 1)
        )
        self.frame_out = nn.Linear(config.hidden, outputs)

    def encode_notes(self, row: torch.Tensor, pitch: torch.Tensor, velocity: torch.Tensor) -> NoteCode:
        """row: embedding row (N,) int64; pitch: MIDI number (N,) float; velocity: 1..127 (N,) float."""
        height = (pitch - 64.0) / 40.0
        waves = 2.0 ** (torch.arange(PITCH_WAVES, device=pitch.device) / 2) * math.pi / 2
        angle = height[:, None] * waves
        loud = velocity / 127.0
        features = torch.cat(
            [
                self.instrument(row),
                angle.sin(),
                angle.cos(),
                height[:, None],
                loud[:, None],
                (loud**2)[:, None],
            ],
            1,
        )
        hidden = nn.functional.gelu(self.note_in(features))
        hidden = hidden + nn.functional.gelu(self.note_mid(hidden))
        code = self.note_out(hidden)
        tuning = self.tuning(code)
        return NoteCode(
            code=code,
            release_db_per_s=100.0 * nn.functional.softplus(self.release(code)),
            detune_cents=5.0 * tuning[:, 0],
            stiffness=torch.exp(tuning[:, 1] - 9.0),
        )

    def levels_db(self, code: torch.Tensor, since_onset_s: torch.Tensor) -> torch.Tensor:
        """Levels (F, HARMONICS + NOISE_BANDS) of held notes; code (F, code), since_onset_s (F,) up to
        LEARNED_HOLD_S.
        """
        t = since_onset_s[:, None]
        decays = [torch.exp(-t.clamp(min=0) / constant) for constant in TIME_CONSTANTS_S]
        features = torch.cat([code, *decays, t, torch.log(t.clamp(min=0) + 0.002) / 3], 1)
        hidden = nn.functional.gelu(self.frame_in(features))
        for layer in self.frame_mid:
            hidden = hidden + nn.functional.gelu(layer(hidden))
        levels: torch.Tensor = 20.0 * self.frame_out(hidden) - 60.0
        return levels
