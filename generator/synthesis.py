"""Synthesiser: notes of one part to samples, by a harmonic-plus-noise model with an inverse-STFT head.

Every partial of every note becomes, in each frame, the main lobe of the window's transform at its exact
frequency and phase (Rodet and Depalle, "Spectral envelopes and inverse FFT synthesis", AES 1992); noise
bands get random phase. The frames of all notes share two spectra, so a part costs two inverse transforms
however many notes it has. Levels come from the timbre network. A part is rendered block by block.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .instruments import Instrument
from .lobes import WINDOW_TERMS, add_partials, lobe_table
from .loudness import k_power
from .movement import KINDS, Movement
from .noise import draw_angles, noise_spectrum
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
# A player's vibrato grows from the onset on, and so long, to its full swing.
VIBRATO_RISE_S = 0.3
_SLOPE_S = 0.5
# From here on levels are drawn for every other frame, 11.6 ms apart, and the mean of two lies between.
_ATTACK_S = 0.12
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
    generators named by seed, block and note, so a block is the same whichever were rendered before. The
    arithmetic is done where the network lies.
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
        self._device = device = network.frame_out.weight.device
        self._table = lobe_table().to(device)
        self._bands = noise_band_matrix().to(device)
        self._onset = torch.tensor([n.onset_s for n in notes], dtype=torch.float64, device=device)
        self._held = torch.tensor([n.duration_s for n in notes], dtype=torch.float64, device=device)
        self._ends = self._onset + self._held + instrument.tail_s
        pitch = torch.tensor([float(n.pitch) for n in notes], device=device)
        random = np.random.default_rng((*seed, 0))
        # Phases in turns, in float64: long notes at high partials need it.
        self._phase = torch.from_numpy(random.random((len(notes), HARMONICS))).to(device)
        self._wobble = torch.from_numpy(random.random(len(notes))).to(device)
        with torch.inference_mode():
            velocity = torch.tensor([float(n.velocity) for n in notes], device=device)
            rows = torch.full((len(notes),), row, device=device)
            self._codes = network.encode_notes(rows, pitch, velocity)
        self._sustains = torch.full((len(notes),), instrument.sustains, device=device)
        self._f0, self._stretch = partial_series(self._codes, pitch, self._sustains)
        self._hertz = self._f0[:, None] * self._stretch
        kind = KINDS.get(instrument.name)
        self._movement = None
        if kind is not None:
            self._movement = Movement(kind, self._hertz, instrument.largest_bend, random)

    def block(self, number: int) -> NDArray[np.float32]:
        """What the frames of one block sound: its samples and the OVERLAP_SAMPLES after them, float32."""
        alone: NDArray[np.float32] = self.blocks(number, 1)[0]
        return alone

    def blocks(self, first: int, count: int) -> NDArray[np.float32]:
        """So many blocks from number `first` on in one batch, (count, BLOCK_SAMPLES + OVERLAP_SAMPLES).

        Each is what `block` gives, but for the last bits: sums over a larger batch may come in another order.
        """
        begins = torch.arange(first, first + count, device=self._device) * BLOCK_FRAMES
        starts_s, stops_s = (f.double() * FRAME_HOP / SAMPLE_RATE for f in (begins, begins + BLOCK_FRAMES))
        # Every note in every block that it sounds in, block after block.
        block, note = torch.nonzero(
            (self._onset < stops_s[:, None]) & (self._ends > starts_s[:, None]), as_tuple=True
        )
        if len(note) == 0:
            return np.zeros((count, BLOCK_SAMPLES + OVERLAP_SAMPLES), dtype=np.float32)
        frames, bins = count * BLOCK_FRAMES, FFT_SIZE // 2 + 1
        spectrum = torch.zeros(2, frames * bins, device=self._device)
        noise_power = torch.zeros(frames, NOISE_BANDS, device=self._device)
        angles = np.concatenate(
            [
                draw_angles(np.random.default_rng((*self._seed, 1, number)), BLOCK_FRAMES, bins)
                for number in range(first, first + count)
            ]
        )
        with torch.inference_mode():
            self._draw(note, begins[block], first * BLOCK_FRAMES, spectrum, noise_power)
            partials = torch.fft.irfft(torch.complex(spectrum[0], spectrum[1]).view(frames, bins), FFT_SIZE)
            noise = torch.fft.irfft(noise_spectrum(noise_power, self._bands, angles), FFT_SIZE)
            noise = noise * torch.hann_window(FFT_SIZE, device=self._device)
            harmonic, rough = (
                overlap_add(x.view(count, BLOCK_FRAMES, FFT_SIZE), FRAME_HOP) for x in (partials, noise)
            )
            # Blackman-Harris frames add up to 4 a0; Hann frames of independent noise to a power of 4 * 0.375.
            mixed = harmonic / (4 * WINDOW_TERMS[0]) + rough / math.sqrt(1.5)
        return np.asarray(mixed.cpu().numpy())

    def power(self, steps: int, step_s: float) -> NDArray[np.float64]:
        """K-weighted power of the partials in each of some steps from the start of the score, (steps,)."""
        fine_s = step_s / 2
        first = torch.ceil(self._onset / fine_s).long()
        counts = (torch.ceil(self._ends / fine_s).long().clamp(max=2 * steps) - first).clamp(min=0)
        index = torch.repeat_interleave(counts)
        row = torch.arange(len(index), device=self._device)
        place = first[index] + row - (torch.cumsum(counts, 0) - counts)[index]
        since_onset = (place * fine_s - self._onset[index]).float()
        with torch.inference_mode():
            levels = held_levels_db(self._network, self._codes, index, since_onset, self._sustains)
            released = (since_onset - self._held[index].float()).clamp(min=0)[:, None]
            levels = (levels - released * self._codes.release_db_per_s[index])[:, :HARMONICS].double()
        hertz = self._hertz.cpu().numpy()
        weights = k_power(np.minimum(hertz, 0.49 * SAMPLE_RATE), SAMPLE_RATE) * (hertz < 0.45 * SAMPLE_RATE)
        if self._movement is not None:
            levels = levels + self._movement.mean_db
        of_row = (0.5 * 10 ** (levels / 10) * torch.from_numpy(weights).to(self._device)[index]).sum(1)
        total = np.bincount(place.cpu().numpy(), of_row.cpu().numpy(), minlength=2 * steps)[: 2 * steps]
        return np.asarray(total.reshape(steps, 2).mean(1))

    def _draw(
        self,
        note: torch.Tensor,
        begin: torch.Tensor,
        first_frame: int,
        spectrum: torch.Tensor,
        noise_power: torch.Tensor,
    ) -> None:
        """Add partials and noise of notes, each in the block that begins at frame `begin`, (N,) both, to
        spectra of the frames from `first_frame` on.
        """
        frame_s = FRAME_HOP / SAMPLE_RATE
        first = torch.maximum(torch.ceil(self._onset[note] / frame_s).long(), begin)
        last = torch.minimum(torch.ceil(self._ends[note] / frame_s).long(), begin + BLOCK_FRAMES)
        counts = (last - first).clamp(min=0)
        local = torch.repeat_interleave(counts)
        index = note[local]  # note of each row
        starts = torch.cumsum(counts, 0) - counts
        frame = first[local] + torch.arange(len(index), device=self._device) - starts[local]
        since_onset = (frame * frame_s - self._onset[index]).float()
        since_end = since_onset - self._held[index].float()
        levels = torch.empty(len(index), HARMONICS + NOISE_BANDS, device=self._device)
        between = _between(frame, since_onset, starts[counts > 0])
        asked = torch.ones(len(index), dtype=torch.bool, device=self._device)
        asked[between] = False
        levels[asked] = held_levels_db(
            self._network, self._codes, index[asked], since_onset[asked], self._sustains
        )
        levels[between] = (levels[between - 1] + levels[between + 1]) / 2
        levels = levels - since_end.clamp(min=0)[:, None] * self._codes.release_db_per_s[index]
        levels = levels + release_fade_db(since_end, self._instrument.tail_s)[:, None]
        row = frame - first_frame
        noise_power.index_add_(0, row, 10 ** (levels[:, HARMONICS:] / 10))
        bend, seconds = swing_pitch(
            since_onset.double(),
            self._wobble[index],
            self._instrument.largest_bend,
            self._instrument.vibrato_hz,
        )
        drawn = (levels[:, :HARMONICS] > AUDIBLE_DB) & (self._hertz < 0.45 * SAMPLE_RATE)[index]
        at, k = drawn.nonzero(as_tuple=True)
        # Partials of all notes in one row: looked up in one dimension they cost half.
        which = index[at] * HARMONICS + k
        stretch, hertz = self._stretch.flatten()[which], self._hertz.flatten()[which]
        level = levels[at, k]
        turns = (self._f0[index] * seconds)[at] * stretch + self._phase.flatten()[which]
        if self._movement is not None:
            moved_db, moved_turns = self._movement.at(which, since_onset[at], bend.float()[at])
            level, turns = level + moved_db, turns + moved_turns
        add_partials(
            spectrum,
            self._table,
            row[at],
            hertz * (1 + bend)[at],
            turns,
            0.5 * 10 ** (level / 20),
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
    numbers = torch.arange(1, HARMONICS + 1, dtype=torch.float64, device=pitch.device)
    stiffness = codes.stiffness.double().clamp(0, 6e-3)[:, None] * ~sustains[:, None]
    return f0, numbers * torch.sqrt(1 + stiffness * numbers**2)


def swing_pitch(
    since_onset_s: torch.Tensor,
    wobble: torch.Tensor,
    largest_bend: float | torch.Tensor,
    vibrato_hz: float | torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Vibrato: by what share of itself the pitch is bent at times since the onset, and the seconds that a
    steady pitch would have taken to come to the same phase; wobble: where its swing begins, in turns.
    """
    rise = (since_onset_s / VIBRATO_RISE_S).clamp(0, 1)
    swing = largest_bend * rise
    turn = 2 * math.pi * (vibrato_hz * since_onset_s + wobble)
    return swing * torch.sin(turn), since_onset_s - swing * torch.cos(turn) / (2 * math.pi * vibrato_hz)


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
        end = torch.full((len(codes.code),), LEARNED_HOLD_S, device=since_onset_s.device)
        late = network.levels_db(codes.code, end)
        earlier = network.levels_db(codes.code, end - _SLOPE_S)
        slope = ((late - earlier) / _SLOPE_S).clamp(max=-2.0) * ~sustains[:, None]
        levels = levels + slope[index] * beyond[:, None]
    return levels


def overlap_add(frames: torch.Tensor, hop: int) -> torch.Tensor:
    """Frames (..., count, size) added up hop apart, (..., (count + size / hop - 1) * hop) samples."""
    *batch, count, size = frames.shape
    steps = size // hop
    parts = frames.view(*batch, count, steps, hop)
    total = torch.zeros(*batch, count + steps - 1, hop, device=frames.device)
    for step in range(steps):
        total[..., step : step + count, :] += parts[..., step, :]
    return total.flatten(-2)
