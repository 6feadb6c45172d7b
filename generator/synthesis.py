"""Synthesiser: notes of one part to samples, by a harmonic-plus-noise model with an inverse-STFT head.

Every partial of every note becomes, in each frame, the main lobe of the window's transform at its exact
frequency and phase (Rodet and Depalle, "Spectral envelopes and inverse FFT synthesis", AES 1992); noise
bands get random phase. The frames of all notes share two spectra, so a part costs two inverse transforms
however many notes it has. Levels come from the timbre network.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .instruments import Instrument
from .timbre import (
    FFT_SIZE,
    FRAME_HOP,
    HARMONICS,
    LEARNED_HOLD_S,
    SAMPLE_RATE,
    NoteCode,
    TimbreNetwork,
    noise_band_matrix,
)

# 4-term Blackman-Harris window: side lobes at -92 dB, so nine bins of the transform are the whole partial;
# shifted by a quarter of its length it adds up to a constant.
_WINDOW_TERMS = (0.35875, 0.48829, 0.14128, 0.01168)
_LOBE_BINS = 4
_LOBE_STEPS = 1024
# Partials below this level are not drawn.
AUDIBLE_DB = -96.0
VIBRATO_HZ = 5.4
VIBRATO_DELAY_S = 0.25
_SLOPE_S = 0.5
_NOTES_AT_ONCE = 32
_FADE_S = 0.04


@dataclass(frozen=True, slots=True)
class TimedNote:
    """A note in seconds: pitch (MIDI number), onset_s, duration_s, velocity (1..127)."""

    pitch: int
    onset_s: float
    duration_s: float
    velocity: int


def lobe_table() -> torch.Tensor:
    """Transform of the window around its centre, (2 * _LOBE_BINS + 1, _LOBE_STEPS + 1).

    Row r, column c holds it at (r - _LOBE_BINS) - (c / _LOBE_STEPS - 0.5) bins: bin offset less the partial's
    offset from its nearest bin.
    """
    offset = np.arange(-_LOBE_BINS, _LOBE_BINS + 1)[:, None] - (
        np.arange(_LOBE_STEPS + 1) / _LOBE_STEPS - 0.5
    )
    a0, a1, a2, a3 = _WINDOW_TERMS
    value = a0 * np.sinc(offset)
    for term, shift in ((a1, 1), (a2, 2), (a3, 3)):
        value = value + term / 2 * (np.sinc(offset - shift) + np.sinc(offset + shift))
    return torch.from_numpy((FFT_SIZE * value).astype(np.float32))


def render_part(
    network: TimbreNetwork,
    notes: list[TimedNote],
    instrument: Instrument,
    row: int,
    *,
    length_samples: int,
    random: np.random.Generator,
    progress: Callable[[float], None],
) -> NDArray[np.float32]:
    """Samples of one part, mono float32 (length_samples,). progress (0..1) may raise to stop."""
    frames = length_samples // FRAME_HOP + FFT_SIZE // FRAME_HOP + 1
    bins = FFT_SIZE // 2 + 1
    spectrum = torch.zeros(2, frames * bins)
    noise_power = torch.zeros(frames, network.noise_bands)
    table = lobe_table()
    with torch.inference_mode():
        for start in range(0, len(notes), _NOTES_AT_ONCE):
            progress(start / len(notes))
            group = notes[start : start + _NOTES_AT_ONCE]
            _draw_notes(network, group, instrument, row, spectrum, noise_power, frames, table, random)
        progress(1.0)
        harmonic = _overlap_add(torch.complex(spectrum[0], spectrum[1]).view(frames, bins), None)
        noise = _overlap_add(_noise_spectrum(noise_power, random), torch.hann_window(FFT_SIZE))
    # Blackman-Harris frames add up to 4 a0; Hann frames of independent noise to a power of 4 * 0.375.
    mixed = harmonic / (4 * _WINDOW_TERMS[0]) + noise / math.sqrt(1.5)
    return mixed[FFT_SIZE // 2 : FFT_SIZE // 2 + length_samples].numpy()


def _draw_notes(
    network: TimbreNetwork,
    notes: list[TimedNote],
    instrument: Instrument,
    row: int,
    spectrum: torch.Tensor,
    noise_power: torch.Tensor,
    frames: int,
    table: torch.Tensor,
    random: np.random.Generator,
) -> None:
    """Add the partials and noise of some notes to the part's spectra."""
    codes = network.encode_notes(
        torch.full((len(notes),), row),
        torch.tensor([float(n.pitch) for n in notes]),
        torch.tensor([float(n.velocity) for n in notes]),
    )
    frame_s = FRAME_HOP / SAMPLE_RATE
    first = [math.ceil(n.onset_s / frame_s) for n in notes]
    last = [min(frames, math.ceil((n.onset_s + n.duration_s + instrument.tail_s) / frame_s)) for n in notes]
    counts = torch.tensor([max(0, b - a) for a, b in zip(first, last, strict=True)])
    index = torch.repeat_interleave(torch.arange(len(notes)), counts)  # note of each row
    starts = torch.cumsum(counts, 0) - counts
    within = torch.arange(len(index)) - starts[index]
    frame = torch.tensor(first)[index] + within
    onset = torch.tensor([n.onset_s for n in notes], dtype=torch.float64)
    held = torch.tensor([n.duration_s for n in notes], dtype=torch.float64)
    since_onset = (frame * frame_s - onset[index]).float()
    since_end = since_onset - held[index].float()
    levels = held_levels_db(network, codes, index, since_onset, instrument)
    levels = levels - since_end.clamp(min=0)[:, None] * codes.release_db_per_s[index]
    fade = ((instrument.tail_s - since_end) / _FADE_S).clamp(1e-4, 1.0)
    levels = levels + 20 * torch.log10(fade)[:, None]
    noise_power.index_add_(0, frame, 10 ** (levels[:, HARMONICS:] / 10))
    # Phase of the fundamental, in turns, in float64: long notes at high partials need it.
    f0 = 440.0 * 2 ** ((torch.tensor([float(n.pitch) for n in notes]).double() - 69) / 12)
    f0 = f0 * 2 ** (codes.detune_cents.double().clamp(-15, 15) / 1200)
    phase0 = torch.from_numpy(random.random((len(notes), HARMONICS)))
    wobble = torch.from_numpy(random.random(len(notes)))
    rise = ((since_onset.double() - VIBRATO_DELAY_S) / 0.3).clamp(0, 1)
    swing = instrument.vibrato_cents / 1200 * math.log(2) * rise
    turn = 2 * math.pi * (VIBRATO_HZ * since_onset.double() + wobble[index])
    pitch_ratio = 1 + swing * torch.sin(turn)
    turns = f0[index] * (since_onset.double() - swing * torch.cos(turn) / (2 * math.pi * VIBRATO_HZ))
    numbers = torch.arange(1, HARMONICS + 1, dtype=torch.float64)
    stretch = numbers * torch.sqrt(
        1 + codes.stiffness.double().clamp(0, 6e-3)[:, None] * numbers**2
    )  # (N, K)
    if instrument.sustains:
        stretch = numbers.expand(len(notes), -1)
    hertz = f0[:, None] * stretch
    drawn = (levels[:, :HARMONICS] > AUDIBLE_DB) & (hertz < 0.45 * SAMPLE_RATE)[index]
    at, k = drawn.nonzero(as_tuple=True)
    note = index[at]
    amplitude = 0.5 * 10 ** (levels[at, k] / 20)
    angle = (2 * math.pi * torch.frac(turns[at] * stretch[note, k] + phase0[note, k])).float()
    bin_place = (hertz[note, k] * pitch_ratio[at] * FFT_SIZE / SAMPLE_RATE).float()
    nearest = bin_place.round()
    column = ((bin_place - nearest + 0.5) * _LOBE_STEPS).round().long()
    base = frame[at] * (FFT_SIZE // 2 + 1)
    parity = 1 - 2 * (nearest.long() % 2)
    real, imaginary = amplitude * torch.cos(angle) * parity, amplitude * torch.sin(angle) * parity
    for offset in range(-_LOBE_BINS, _LOBE_BINS + 1):
        target = nearest.long() + offset
        # A frame is centred on its middle sample: shifting by half a frame turns every other bin by pi.
        lobe = table[offset + _LOBE_BINS, column] * (1 - 2 * (offset % 2))
        # A lobe that reaches below 0 Hz comes back conjugated.
        mirror = torch.where(target < 0, -1.0, 1.0)
        place = base + target.abs()
        spectrum[0].index_add_(0, place, real * lobe)
        spectrum[1].index_add_(0, place, imaginary * lobe * mirror)


def held_levels_db(
    network: TimbreNetwork,
    codes: NoteCode,
    index: torch.Tensor,
    since_onset_s: torch.Tensor,
    instrument: Instrument,
) -> torch.Tensor:
    """Levels of held notes, also past what the network learned: a struck note goes on falling at its last
    slope.
    """
    levels = network.levels_db(codes.code[index], since_onset_s.clamp(max=LEARNED_HOLD_S))
    beyond = (since_onset_s - LEARNED_HOLD_S).clamp(min=0)
    if not instrument.sustains and bool((beyond > 0).any()):
        every = torch.arange(len(codes.code))
        late = network.levels_db(codes.code, torch.full((len(every),), LEARNED_HOLD_S))
        earlier = network.levels_db(codes.code, torch.full((len(every),), LEARNED_HOLD_S - _SLOPE_S))
        slope = ((late - earlier) / _SLOPE_S).clamp(max=-2.0)
        levels = levels + slope[index] * beyond[:, None]
    return levels


def _noise_spectrum(power: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Random-phase spectra with the given power per band, (frames, bins) complex64."""
    bands = noise_band_matrix()
    magnitude = torch.sqrt(FFT_SIZE * (power @ bands))
    angle = torch.from_numpy(random.random(tuple(magnitude.shape), dtype=np.float32)) * (2 * math.pi)
    return torch.polar(magnitude, angle)


def _overlap_add(spectrum: torch.Tensor, window: torch.Tensor | None) -> torch.Tensor:
    """Inverse transforms added up FRAME_HOP apart; sample FFT_SIZE // 2 is the centre of frame 0."""
    frames = torch.fft.irfft(spectrum, FFT_SIZE)
    if window is not None:
        frames = frames * window
    steps = FFT_SIZE // FRAME_HOP
    parts = frames.view(len(frames), steps, FRAME_HOP)
    total = torch.zeros(len(frames) + steps - 1, FRAME_HOP)
    for step in range(steps):
        total[step : step + len(frames)] += parts[:, step]
    return total.flatten()
