"""The synthesiser for training: stretches of many notes at once, differentiable in the levels of the network.

It draws what `synthesis.py` draws, frame by frame; two things differ. All chance comes from torch, and
levels are asked for in every frame, where the synthesiser takes the mean of two neighbours after an attack.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..instruments import INSTRUMENTS
from ..lobes import WINDOW_TERMS, add_partials, lobe_table
from ..movement import KINDS, Movement
from ..synthesis import AUDIBLE_DB, held_levels_db, partial_series, release_fade_db, swing_pitch
from ..timbre import (
    FFT_SIZE,
    FRAME_HOP,
    HARMONICS,
    NOISE_BANDS,
    SAMPLE_RATE,
    NoteCode,
    TimbreNetwork,
    noise_band_matrix,
)

# A frame covers so many hops; only where all of them are there is the sound complete.
_OVERLAPS = FFT_SIZE // FRAME_HOP
# Keeps the slope of a square root finite where a band is empty.
_LEAST_POWER = 1e-16


@dataclass(frozen=True, slots=True)
class Stretches:
    """Which notes, (N,) each: embedding row, MIDI pitch, onset_s on the clock of the frames, held_s, and the
    number of the first frame.
    """

    row: torch.Tensor
    pitch: torch.Tensor
    onset_s: torch.Tensor
    held_s: torch.Tensor
    first_frame: torch.Tensor


def decoded_samples(frames: int) -> int:
    """How many samples `decode_stretches` gives for so many frames."""
    return (frames - _OVERLAPS + 1) * FRAME_HOP


def first_sample(first_frame: torch.Tensor) -> torch.Tensor:
    """Place of the first decoded sample on the clock of the frames."""
    return (first_frame + _OVERLAPS - 1) * FRAME_HOP - FFT_SIZE // 2


def decode_stretches(
    network: TimbreNetwork, codes: NoteCode, notes: Stretches, frames: int, random: torch.Generator
) -> torch.Tensor:
    """Sound of stretches of notes, (N, decoded_samples(frames)); codes: of the same notes."""
    count, bins = len(notes.row), FFT_SIZE // 2 + 1
    sustains = torch.tensor([item.sustains for item in INSTRUMENTS])[notes.row]
    vibrato = torch.tensor(
        [(item.largest_bend, item.vibrato_hz) for item in INSTRUMENTS], dtype=torch.float64
    )[notes.row]
    tail_s = torch.tensor([item.tail_s for item in INSTRUMENTS])[notes.row]
    index = torch.repeat_interleave(torch.arange(count), frames)
    frame = (notes.first_frame[:, None] + torch.arange(frames)).flatten()
    since_onset = frame * (FRAME_HOP / SAMPLE_RATE) - notes.onset_s[index]
    since_end = (since_onset - notes.held_s[index]).float()
    levels = held_levels_db(network, codes, index, since_onset.float(), sustains)
    levels = levels - since_end.clamp(min=0)[:, None] * codes.release_db_per_s[index]
    levels = levels + release_fade_db(since_end, tail_s[index])[:, None]
    sounds = (since_onset >= 0) & (since_end < tail_s[index])
    # 1. Partials, at phases of chance.
    f0, stretch = partial_series(codes, notes.pitch, sustains)
    f0, stretch = f0.detach(), stretch.detach()
    wobble = torch.rand(count, generator=random, dtype=torch.float64)[index]
    bend, seconds = swing_pitch(since_onset, wobble, *vibrato[index].unbind(1))
    phase = torch.rand(count, HARMONICS, generator=random, dtype=torch.float64)
    hertz = f0[:, None] * stretch
    drawn = (levels[:, :HARMONICS].detach() > AUDIBLE_DB) & (hertz < 0.45 * SAMPLE_RATE)[index]
    at, k = (drawn & sounds[:, None]).nonzero(as_tuple=True)
    note = index[at]
    moved_db, moved_turns = move_partials(
        notes.row, hertz, note, k, since_onset[at].float(), bend[at].float(), random
    )
    spectrum = torch.zeros(2, count * frames * bins)
    add_partials(
        spectrum,
        lobe_table(),
        at,
        hertz[note, k] * (1 + bend)[at],
        (f0[index] * seconds)[at] * stretch[note, k] + phase[note, k] + moved_turns,
        0.5 * 10 ** ((levels[at, k] + moved_db) / 20),
    )
    partials = torch.complex(spectrum[0], spectrum[1]).view(count, frames, bins)
    # 2. Noise.
    power = 10 ** (levels[:, HARMONICS : HARMONICS + NOISE_BANDS] / 10) * sounds[:, None]
    # A copy, since the synthesiser may have been the first to ask for the bands, and in inference mode.
    magnitude = torch.sqrt(FFT_SIZE * (power @ noise_band_matrix().clone()) + _LEAST_POWER)
    angle = 2 * math.pi * torch.rand(magnitude.shape, generator=random)
    noise = torch.polar(magnitude, angle).view(count, frames, bins)
    # 3. Back to time, and only what is complete; the gains are those of the synthesiser.
    waves = torch.fft.irfft(partials, FFT_SIZE) / (4 * WINDOW_TERMS[0])
    waves = waves + torch.fft.irfft(noise, FFT_SIZE) * torch.hann_window(FFT_SIZE) / math.sqrt(1.5)
    parts = waves.view(count, frames, _OVERLAPS, FRAME_HOP)
    total = sum(
        parts[:, _OVERLAPS - 1 - step : frames - step, step] for step in range(_OVERLAPS)
    )  # (N, frames - _OVERLAPS + 1, FRAME_HOP)
    assert isinstance(total, torch.Tensor)
    return total.flatten(1)


def move_partials(
    row: torch.Tensor,
    hertz: torch.Tensor,
    note: torch.Tensor,
    partial: torch.Tensor,
    since_onset_s: torch.Tensor,
    bend: torch.Tensor,
    random: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Level in dB and phase in turns that movement adds; row (N,) and hertz (N, HARMONICS) of the notes; (P,)
    each: indices of note and partial, the rest as for `Movement.at`.
    """
    level_db = torch.zeros(len(note))
    turns = torch.zeros(len(note), dtype=torch.float64)
    for number in sorted(set(row.tolist())):
        begin = np.random.default_rng(int(torch.randint(2**31, (1,), generator=random)))
        instrument = INSTRUMENTS[number]
        kind = KINDS.get(instrument.name)
        if kind is None:
            continue
        own = (row[note] == number).nonzero().flatten()
        movement = Movement(kind, hertz, instrument.largest_bend, begin)
        which = note[own] * hertz.shape[1] + partial[own]
        level_db[own], turns[own] = movement.at(which, since_onset_s[own], bend[own])
    return level_db, turns
