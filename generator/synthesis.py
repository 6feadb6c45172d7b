"""Synthesiser: notes of one part to samples, by a harmonic-plus-noise model with an inverse-STFT head.

Every partial of every note becomes, in each frame, the main lobe of the window's transform at its exact
frequency and phase (Rodet and Depalle, "Spectral envelopes and inverse FFT synthesis", AES 1992); noise
bands get random phase. The frames of all notes share two spectra, so a part costs two inverse transforms
however many notes it has. Levels come from the timbre network. A part is rendered block by block.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from .instruments import Instrument
from .lobes import WINDOW_TERMS, add_partials, lobe_table
from .loudness import k_power
from .timbre import (
    FFT_SIZE,
    FRAME_HOP,
    HARMONICS,
    LEARNED_HOLD_S,
    NOISE_BANDS,
    SAMPLE_RATE,
    NoteCode,
    TimbreNetwork,
    noise_band_matrix,
)

# Partials below this level are not drawn.
AUDIBLE_DB = -86.0
VIBRATO_HZ = 5.4
VIBRATO_DELAY_S = 0.25
_SLOPE_S = 0.5
# From here on levels are drawn for every other frame, 11.6 ms apart, and the mean of two lies between.
_ATTACK_S = 0.12
# Angles that the phase of a bin of noise is drawn from.
_PHASES = 4096
_FADE_S = 0.04
# A block of 0.74 s: long enough to be worth its overhead, short enough to be heard soon.
BLOCK_FRAMES = 128
BLOCK_SAMPLES = BLOCK_FRAMES * FRAME_HOP
OVERLAP_SAMPLES = FFT_SIZE - FRAME_HOP
LEAD_SAMPLES = FFT_SIZE // 2


@dataclass(frozen=True, slots=True)
class TimedNote:
    """A note in seconds: pitch (MIDI number), onset_s, duration_s, velocity (1..127)."""

    pitch: int
    onset_s: float
    duration_s: float
    velocity: int


class PartSynthesiser:
    """One part as blocks of BLOCK_SAMPLES samples, each of which can be asked for by itself.

    Time in the blocks runs LEAD_SAMPLES late: the first frame is centred there. All randomness is drawn from
    generators named by seed, block and note, so a block is the same whichever were rendered before.
    """

    def __init__(
        self,
        network: TimbreNetwork,
        notes: Sequence[TimedNote],
        instrument: Instrument,
        row: int,
        *,
        seed: tuple[int, ...],
    ) -> None:
        self._network, self._instrument, self._seed = network, instrument, seed
        self._table = lobe_table()
        self._onset = torch.tensor([n.onset_s for n in notes], dtype=torch.float64)
        self._held = torch.tensor([n.duration_s for n in notes], dtype=torch.float64)
        self._ends = self._onset + self._held + instrument.tail_s
        pitch = torch.tensor([float(n.pitch) for n in notes])
        random = np.random.default_rng((*seed, 0))
        # Phases in turns, in float64: long notes at high partials need it.
        self._phase = torch.from_numpy(random.random((len(notes), HARMONICS)))
        self._wobble = torch.from_numpy(random.random(len(notes)))
        with torch.inference_mode():
            velocity = torch.tensor([float(n.velocity) for n in notes])
            self._codes = network.encode_notes(torch.full((len(notes),), row), pitch, velocity)
        self._sustains = torch.full((len(notes),), instrument.sustains)
        self._f0, self._stretch = partial_series(self._codes, pitch, self._sustains)

    def block(self, number: int) -> NDArray[np.float32]:
        """What the frames of one block sound: its samples and the OVERLAP_SAMPLES after them, float32."""
        first_frame = number * BLOCK_FRAMES
        bins = FFT_SIZE // 2 + 1
        starts_s, stops_s = (f * FRAME_HOP / SAMPLE_RATE for f in (first_frame, first_frame + BLOCK_FRAMES))
        active = torch.nonzero((self._onset < stops_s) & (self._ends > starts_s)).flatten()
        if len(active) == 0:
            return np.zeros(BLOCK_SAMPLES + OVERLAP_SAMPLES, dtype=np.float32)
        spectrum = torch.zeros(2, BLOCK_FRAMES * bins)
        noise_power = torch.zeros(BLOCK_FRAMES, NOISE_BANDS)
        with torch.inference_mode():
            self._draw(active, first_frame, spectrum, noise_power)
            frames = torch.complex(spectrum[0], spectrum[1]).view(BLOCK_FRAMES, bins)
            harmonic = overlap_add(torch.fft.irfft(frames, FFT_SIZE), FRAME_HOP)
            random = np.random.default_rng((*self._seed, 1, number))
            noise_frames = torch.fft.irfft(noise_spectrum(noise_power, noise_band_matrix(), random), FFT_SIZE)
            noise = overlap_add(noise_frames * torch.hann_window(FFT_SIZE), FRAME_HOP)
            # Blackman-Harris frames add up to 4 a0; Hann frames of independent noise to a power of 4 * 0.375.
            mixed: NDArray[np.float32] = (harmonic / (4 * WINDOW_TERMS[0]) + noise / math.sqrt(1.5)).numpy()
        return mixed

    def power(self, steps: int, step_s: float) -> NDArray[np.float64]:
        """K-weighted power of the partials in each of some steps from the start of the score, (steps,)."""
        fine_s = step_s / 2
        first = torch.ceil(self._onset / fine_s).long()
        counts = (torch.ceil(self._ends / fine_s).long().clamp(max=2 * steps) - first).clamp(min=0)
        index = torch.repeat_interleave(torch.arange(len(counts)), counts)
        place = first[index] + torch.arange(len(index)) - (torch.cumsum(counts, 0) - counts)[index]
        since_onset = (place * fine_s - self._onset[index]).float()
        with torch.inference_mode():
            levels = held_levels_db(self._network, self._codes, index, since_onset, self._sustains)
            released = (since_onset - self._held[index].float()).clamp(min=0)[:, None]
            levels = (levels - released * self._codes.release_db_per_s[index])[:, :HARMONICS].double()
        hertz = (self._f0[:, None] * self._stretch).numpy()
        weights = k_power(np.minimum(hertz, 0.49 * SAMPLE_RATE), SAMPLE_RATE) * (hertz < 0.45 * SAMPLE_RATE)
        of_row = (0.5 * 10 ** (levels / 10) * torch.from_numpy(weights)[index]).sum(1)
        total = np.bincount(place.numpy(), of_row.numpy(), minlength=2 * steps)[: 2 * steps]
        return np.asarray(total.reshape(steps, 2).mean(1))

    def _draw(
        self, active: torch.Tensor, first_frame: int, spectrum: torch.Tensor, noise_power: torch.Tensor
    ) -> None:
        """Add the partials and noise of the active notes to the spectra of a block."""
        frame_s = FRAME_HOP / SAMPLE_RATE
        first = torch.ceil(self._onset[active] / frame_s).long().clamp(min=first_frame)
        last = torch.ceil(self._ends[active] / frame_s).long().clamp(max=first_frame + BLOCK_FRAMES)
        counts = (last - first).clamp(min=0)
        local = torch.repeat_interleave(torch.arange(len(active)), counts)
        index = active[local]  # note of each row
        starts = torch.cumsum(counts, 0) - counts
        frame = first[local] + torch.arange(len(index)) - starts[local]
        since_onset = (frame * frame_s - self._onset[index]).float()
        since_end = since_onset - self._held[index].float()
        levels = torch.empty(len(index), HARMONICS + NOISE_BANDS)
        between = _between(frame, since_onset, starts[counts > 0])
        asked = torch.ones(len(index), dtype=torch.bool)
        asked[between] = False
        levels[asked] = held_levels_db(
            self._network, self._codes, index[asked], since_onset[asked], self._sustains
        )
        levels[between] = (levels[between - 1] + levels[between + 1]) / 2
        levels = levels - since_end.clamp(min=0)[:, None] * self._codes.release_db_per_s[index]
        levels = levels + release_fade_db(since_end, self._instrument.tail_s)[:, None]
        row = frame - first_frame
        noise_power.index_add_(0, row, 10 ** (levels[:, HARMONICS:] / 10))
        pitch_ratio, seconds = swing_pitch(
            since_onset.double(), self._wobble[index], self._instrument.vibrato_cents
        )
        turns = self._f0[index] * seconds
        hertz = self._f0[:, None] * self._stretch
        drawn = (levels[:, :HARMONICS] > AUDIBLE_DB) & (hertz < 0.45 * SAMPLE_RATE)[index]
        at, k = drawn.nonzero(as_tuple=True)
        note = index[at]
        amplitude = 0.5 * 10 ** (levels[at, k] / 20)
        add_partials(
            spectrum,
            self._table,
            row[at],
            hertz[note, k] * pitch_ratio[at],
            turns[at] * self._stretch[note, k] + self._phase[note, k],
            amplitude,
        )


def render_part(
    network: TimbreNetwork,
    notes: Sequence[TimedNote],
    instrument: Instrument,
    row: int,
    *,
    length_samples: int,
    seed: tuple[int, ...],
) -> NDArray[np.float32]:
    """All samples of one part at once, mono float32 (length_samples,)."""
    part = PartSynthesiser(network, notes, instrument, row, seed=seed)
    blocks = -(-(length_samples + LEAD_SAMPLES) // BLOCK_SAMPLES)
    samples = np.zeros(blocks * BLOCK_SAMPLES + OVERLAP_SAMPLES, dtype=np.float32)
    for number in range(blocks):
        start = number * BLOCK_SAMPLES
        samples[start : start + BLOCK_SAMPLES + OVERLAP_SAMPLES] += part.block(number)
    return samples[LEAD_SAMPLES : LEAD_SAMPLES + length_samples]


def _between(frame: torch.Tensor, since_onset_s: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """Rows whose levels lie half way between those of their neighbours: every other frame of a note, once its
    attack is over. starts: first row of each note; the first and last row of a note have no neighbours.
    """
    settled = (frame % 2 == 1) & (since_onset_s > _ATTACK_S)
    settled[starts] = False
    settled[starts[1:] - 1] = False
    settled[-1:] = False
    return settled.nonzero().flatten()


def partial_series(
    codes: NoteCode, pitch: torch.Tensor, sustains: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fundamental in Hz (N,) of notes at MIDI pitches (N,), and what it is multiplied by for each partial
    (N, HARMONICS), stretched where strings are stiff; float64.
    """
    f0 = 440.0 * 2 ** ((pitch.double() - 69) / 12)
    f0 = f0 * 2 ** (codes.detune_cents.double().clamp(-15, 15) / 1200)
    numbers = torch.arange(1, HARMONICS + 1, dtype=torch.float64)
    stiffness = codes.stiffness.double().clamp(0, 6e-3)[:, None] * ~sustains[:, None]
    return f0, numbers * torch.sqrt(1 + stiffness * numbers**2)


def swing_pitch(
    since_onset_s: torch.Tensor, wobble: torch.Tensor, vibrato_cents: float | torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Vibrato: what the pitch is multiplied by at times since the onset, and the seconds that a steady pitch
    would have taken to come to the same phase; wobble: where its swing begins, in turns.
    """
    rise = ((since_onset_s - VIBRATO_DELAY_S) / 0.3).clamp(0, 1)
    swing = vibrato_cents / 1200 * math.log(2) * rise
    turn = 2 * math.pi * (VIBRATO_HZ * since_onset_s + wobble)
    return 1 + swing * torch.sin(turn), since_onset_s - swing * torch.cos(turn) / (2 * math.pi * VIBRATO_HZ)


def release_fade_db(since_end_s: torch.Tensor, tail_s: float | torch.Tensor) -> torch.Tensor:
    """Gain in dB that brings a released note to silence at the end of its tail."""
    return 20 * torch.log10(((tail_s - since_end_s) / _FADE_S).clamp(1e-4, 1.0))


def held_levels_db(
    network: TimbreNetwork,
    codes: NoteCode,
    index: torch.Tensor,
    since_onset_s: torch.Tensor,
    sustains: torch.Tensor,
) -> torch.Tensor:
    """Levels of held notes, also past what the network learned: a note that does not sustain (N,) goes on
    falling at its last slope.
    """
    levels = network.levels_db(codes.code[index], since_onset_s.clamp(max=LEARNED_HOLD_S))
    beyond = (since_onset_s - LEARNED_HOLD_S).clamp(min=0)
    if bool(((beyond > 0) & ~sustains[index]).any()):
        every = torch.arange(len(codes.code))
        late = network.levels_db(codes.code, torch.full((len(every),), LEARNED_HOLD_S))
        earlier = network.levels_db(codes.code, torch.full((len(every),), LEARNED_HOLD_S - _SLOPE_S))
        slope = ((late - earlier) / _SLOPE_S).clamp(max=-2.0) * ~sustains[:, None]
        levels = levels + slope[index] * beyond[:, None]
    return levels


def noise_spectrum(power: torch.Tensor, bands: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Random-phase spectra with the given power per band, (frames, bins) complex64; bands (bands, bins)."""
    fft_size = 2 * (bands.shape[1] - 1)
    magnitude = torch.sqrt(fft_size * (power @ bands)).numpy()
    drawn = random.integers(0, _PHASES, magnitude.shape, dtype=np.uint16)
    return torch.from_numpy(magnitude * np.take(_phase_table(), drawn))


@cache
def _phase_table() -> NDArray[np.complex64]:
    """Unit vectors of _PHASES angles: looking one up costs a tenth of its sine and cosine."""
    table: NDArray[np.complex64] = np.exp(2j * np.pi * np.arange(_PHASES) / _PHASES).astype(np.complex64)
    return table


def overlap_add(frames: torch.Tensor, hop: int) -> torch.Tensor:
    """Frames (count, size) added up hop apart, (count + size / hop - 1) * hop samples."""
    steps = frames.shape[1] // hop
    parts = frames.view(len(frames), steps, hop)
    total = torch.zeros(len(frames) + steps - 1, hop)
    for step in range(steps):
        total[step : step + len(frames)] += parts[:, step]
    return total.flatten()
