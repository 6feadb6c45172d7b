"""Harmonic analysis of single notes: what the timbre network learns from.

    python -m generator.training.notes --soundfont /usr/share/sounds/sf2/FluidR3_GM.sf2 --output FOLDER

Renders every instrument of `instruments.py` with FluidSynth (no reverb, no chorus): every second semitone at
three velocities for training, and other semitones for validation. Each note is then taken apart after Serra
and Smith, "Spectral modeling synthesis" (1990): the known pitch is refined, partial k is placed at
k f0 sqrt(1 + B k^2) (Fletcher's stiff string), every partial is shifted to 0 Hz and smoothed to give its
complex amplitude per frame, and what remains after taking the partials away is measured in bands as noise.

Writes notes.npz: per note instrument row, pitch, velocity, detune (cents), B, and its frames of levels in
dB (float16). No audio is kept.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from ..instruments import INSTRUMENTS, Instrument
from ..timbre import FLOOR_DB, FRAME_HOP, HARMONICS, SAMPLE_RATE, noise_band_matrix

HOLD_S = 2.3
RELEASE_S = 0.7
GAP_S = 1.5
LEAD_S = 0.1
TRAIN_VELOCITIES = (45, 80, 115)
VALIDATION_VELOCITY = 95
STEP = 2


def notes_of(instrument: Instrument) -> list[tuple[int, int, bool]]:
    """(pitch, velocity, is validation) of every note to be rendered; validation pitches lie between the
    others.
    """
    rows = [(p, v, False) for p in range(instrument.low, instrument.high + 1, STEP) for v in TRAIN_VELOCITIES]
    middle = (instrument.low + instrument.high) // 2
    for target in (instrument.low + 7, middle, instrument.high - 6):
        pitch = target + 1 if (target - instrument.low) % STEP == 0 else target
        rows.append((pitch, VALIDATION_VELOCITY, True))
    return rows


def render(instrument: Instrument, soundfont: Path) -> list[NDArray[np.float64]]:
    """Left channel of every note of `notes_of`, LEAD_S before its onset to RELEASE_S after its end."""
    ticks_per_s = 960
    track = mido.MidiTrack([mido.Message("program_change", program=instrument.program, time=0)])
    rows = notes_of(instrument)
    wait = int(LEAD_S * ticks_per_s)
    for pitch, velocity, _ in rows:
        track.append(mido.Message("note_on", note=pitch, velocity=velocity, time=wait))
        track.append(mido.Message("note_off", note=pitch, velocity=0, time=int(HOLD_S * ticks_per_s)))
        wait = int((RELEASE_S + GAP_S + LEAD_S) * ticks_per_s)
    with tempfile.TemporaryDirectory() as folder:
        midi_path, wav_path = Path(folder, "notes.mid"), Path(folder, "notes.wav")
        mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(midi_path)
        command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", "0.6", "-r", str(SAMPLE_RATE)]
        command += ["-O", "float", "-F", str(wav_path), str(soundfont), str(midi_path)]
        subprocess.run(command, check=True, capture_output=True)
        audio, rate = soundfile.read(wav_path, dtype="float64", always_2d=True)
    assert rate == SAMPLE_RATE
    period = LEAD_S + HOLD_S + RELEASE_S + GAP_S
    length = int((LEAD_S + HOLD_S + RELEASE_S) * SAMPLE_RATE)
    return [
        audio[int(i * period * SAMPLE_RATE) : int(i * period * SAMPLE_RATE) + length, 0]
        for i in range(len(rows))
    ]


def partial_tracks(
    audio: torch.Tensor, phase: torch.Tensor, numbers: torch.Tensor, window_samples: int
) -> torch.Tensor:
    """Complex amplitude per partial and frame, (K, frames): shift each partial to 0 Hz, smooth with a Hann
    window.

    phase: phase of the fundamental per sample (rad, float64); numbers: (K,) frequency ratios to the
    fundamental.
    """
    decimation = 16
    rows = []
    window = torch.hann_window(window_samples // decimation, periodic=False, dtype=torch.float64)
    window = window / window.sum()
    for number in numbers:
        angle = -(phase * number)
        shifted = torch.complex(audio * torch.cos(angle), audio * torch.sin(angle))
        shifted = shifted[: len(shifted) // decimation * decimation].reshape(-1, decimation).mean(1)
        pad = torch.zeros(window_samples // decimation // 2, dtype=shifted.dtype)
        frames = torch.cat([pad, shifted, pad]).unfold(0, len(window), FRAME_HOP // decimation)
        rows.append(2 * (frames.real @ window + 1j * (frames.imag @ window)))
    return torch.stack(rows)


def frequency_offsets(tracks: torch.Tensor) -> torch.Tensor:
    """Frequency of each partial track relative to where it was looked for, Hz, (K, frames - 1)."""
    turn = torch.angle(tracks[:, 1:] * tracks[:, :-1].conj())
    return turn * SAMPLE_RATE / (2 * torch.pi * FRAME_HOP)


def fit_string(
    audio: torch.Tensor,
    f0: float,
    k: torch.Tensor,
    detune: float,
    stiffness: float,
    window_samples: int,
    start: int,
    stop: int,
) -> tuple[float, float]:
    """Detuning (ratio less one) and stiffness B of a struck string from its partials k, given a first guess.

    (f_k / k f0)^2 = (1 + detune)^2 (1 + B k^2) is linear in k^2; partials count by their strength.
    """
    t = torch.arange(len(audio), dtype=torch.float64)
    ratio = (1 + detune) * torch.sqrt(1 + stiffness * k**2)
    phase = 2 * torch.pi * f0 * t / SAMPLE_RATE
    tracks = partial_tracks(audio, phase, k * ratio, window_samples)
    power = (tracks.abs() ** 2)[:, 1:][:, start:stop]
    offset = (frequency_offsets(tracks)[:, start:stop] * power).sum(1) / (power.sum(1) + 1e-18)
    squares = (ratio + offset / (f0 * k)) ** 2
    strength = power.sum(1)
    weight = torch.sqrt(strength / strength.max()).clamp(max=0.3) * k * (strength > 1e-5 * strength.max())
    if int((weight > 0).sum()) < 3:
        return detune, stiffness
    design = torch.stack([torch.ones_like(k), k**2], 1)
    level, slope = torch.linalg.lstsq(
        design * weight[:, None], (squares * weight)[:, None]
    ).solution.flatten()
    if not 0.95 < float(level) < 1.05:
        return detune, stiffness
    return float(torch.sqrt(level)) - 1, float((slope / level).clamp(0.0, 6e-3))


def analyse(audio: NDArray[np.float64], pitch: int, *, stiff: bool) -> dict[str, NDArray[np.float32] | float]:
    """Partials and noise of one note. Levels in dB, (frames, HARMONICS) and (frames, NOISE_BANDS)."""
    x = torch.from_numpy(audio)
    f0 = 440.0 * 2 ** ((pitch - 69) / 12)
    window = max(1024, 2 ** int(np.ceil(np.log2(3.2 * SAMPLE_RATE / f0))))
    t = torch.arange(len(x), dtype=torch.float64)
    count = int(min(HARMONICS, 20000 // f0))
    k = torch.arange(1, count + 1, dtype=torch.float64)
    # 1. Refine the pitch from the first partials: frame by frame where the player bends it; for a struck
    # string once, together with its stiffness B, looking further up as the places of the partials become
    # known.
    start = int(0.25 * SAMPLE_RATE / FRAME_HOP)
    stop = int((LEAD_S + HOLD_S) * SAMPLE_RATE / FRAME_HOP)
    detune, stiffness = 0.0, 0.0
    if stiff:
        for highest in (4, 6, 9, 14):
            detune, stiffness = fit_string(
                x, f0, k[:highest], detune, stiffness, max(window, 2048), start, stop
            )
        track = torch.full((len(x),), f0 * (1 + detune), dtype=torch.float64)
    else:
        low = k[:4]
        first = partial_tracks(x, 2 * torch.pi * f0 * t / SAMPLE_RATE, low, max(window, 2048))
        weight = (first.abs() ** 2)[:, 1:] * low[:, None]
        per_frame = (frequency_offsets(first) / (f0 * low[:, None]) * weight).sum(0) / (weight.sum(0) + 1e-18)
        power = weight.sum(0)[start:stop]
        detune = float((per_frame[start:stop] * power).sum() / (power.sum() + 1e-18))
        smooth = torch.nn.functional.avg_pool1d(
            torch.nn.functional.pad(per_frame[None, None].clamp(-0.03, 0.03), (3, 3), mode="replicate"), 7, 1
        )
        smooth[..., :start], smooth[..., stop:] = smooth[..., start : start + 1], smooth[..., stop - 1 : stop]
        ratio = torch.nn.functional.interpolate(smooth, size=len(x), mode="linear")[0, 0]
        track = f0 * (1 + ratio)
    phase = torch.cumsum(2 * torch.pi * track / SAMPLE_RATE, 0)
    # 2. All partials.
    numbers = k * torch.sqrt(1 + stiffness * k**2)
    numbers = numbers[numbers * f0 < 20500]
    tracks = partial_tracks(x, phase, numbers, window)
    # 3. What remains is noise.
    remainder = x.clone()
    for number, amplitude in zip(numbers, tracks, strict=True):
        fine = torch.nn.functional.interpolate(
            torch.view_as_real(amplitude).T[None], size=len(amplitude) * FRAME_HOP, mode="linear"
        )[0]
        # Frame i is centred on sample i * hop; linear interpolation centres it half a hop later.
        fine = torch.nn.functional.pad(fine[:, FRAME_HOP // 2 :], (0, len(x)))[:, : len(x)]
        remainder = remainder - (fine[0] * torch.cos(phase * number) - fine[1] * torch.sin(phase * number))
    spectrum = torch.stft(
        remainder, 1024, FRAME_HOP, window=torch.hann_window(1024, dtype=torch.float64), return_complex=True
    )
    power = spectrum.abs() ** 2 / (0.375 * 1024)
    bands = noise_band_matrix().double()
    noise = (bands @ power) / bands.sum(1, keepdim=True)
    frames = min(tracks.shape[1], noise.shape[1])
    levels = torch.full((frames, HARMONICS), FLOOR_DB, dtype=torch.float64)
    levels[:, : len(numbers)] = 20 * torch.log10(tracks[:, :frames].abs().T + 1e-9)
    return {
        "harmonics": levels.clamp(min=FLOOR_DB).float().numpy(),
        "noise": (10 * torch.log10(noise[:, :frames].T + 1e-18)).clamp(min=FLOOR_DB).float().numpy(),
        "detune_cents": 1200 * float(np.log2(1 + detune)),
        "stiffness": stiffness,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--soundfont", type=Path, default=Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"))
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    columns: dict[str, list[object]] = {
        name: []
        for name in (
            "row",
            "pitch",
            "velocity",
            "validation",
            "detune_cents",
            "stiffness",
            "harmonics",
            "noise",
        )
    }
    for row, instrument in enumerate(INSTRUMENTS):
        struck = not instrument.sustains
        for (pitch, velocity, validation), audio in zip(
            notes_of(instrument), render(instrument, arguments.soundfont), strict=True
        ):
            found = analyse(audio, pitch, stiff=struck)
            facts = {"row": row, "pitch": pitch, "velocity": velocity, "validation": validation, **found}
            for name, values in columns.items():
                values.append(facts[name])
        print(f"{instrument.name}: {len(columns['row'])} notes so far", flush=True)  # noqa: T201
    arrays = {
        name: np.array(values) for name, values in columns.items() if name not in ("harmonics", "noise")
    }
    for name in ("harmonics", "noise"):
        arrays[name] = np.stack([np.asarray(v) for v in columns[name]]).astype(np.float16)
    np.savez_compressed(arguments.output / "notes.npz", allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
