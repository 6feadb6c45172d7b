"""Make the drum kit: modes and noise of the drums of a soundfont.

    python -m generator.training.drums --soundfont /usr/share/sounds/sf2/FluidR3_GM.sf2 \\
        --output generator/weights/drums.safetensors

Each drum of `drumkit.py` is rendered by FluidSynth at three velocities, and at a fourth for validation. Its
modes are found one after the other (matching pursuit with damped sinusoids; Goodwin and Vetterli, 1999): the
strongest peak of what is left, with the decay, fall of pitch and fine tuning that take away most energy,
strength and phase by least squares. A mode that takes away less than 2 % of what is left ends the search. The
noise that remains is measured in bands, and the network learns its levels.
"""

import argparse
import json
import math
import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from ..drumkit import (
    DRUMS,
    FINE_FFT,
    FINE_HOP,
    MODE_VELOCITIES,
    MODES,
    Drum,
    DrumKit,
    damped_mode,
    fine_band_matrix,
)
from ..timbre import FLOOR_DB, SAMPLE_RATE

VELOCITIES = (*(int(v) for v in MODE_VELOCITIES), 105)
LEAD_S, PERIOD_S = 0.1, 4.0
DECAYS = (4.0, 7.0, 12.0, 20.0, 33.0, 55.0, 90.0, 150.0)
GLIDES = (0.0, 0.15, 0.35, 0.7, 1.2, 2.0)
GLIDING = ("kick", "low tom", "mid tom", "high tom")


def render(soundfont: Path) -> dict[str, list[NDArray[np.float64]]]:
    """Every drum at VELOCITIES, mono from the stroke on, as long as it sounds."""
    track = mido.MidiTrack()
    wait = int(LEAD_S * 960)
    for drum in DRUMS:
        for velocity in VELOCITIES:
            track.append(mido.Message("note_on", channel=9, note=drum.key, velocity=velocity, time=wait))
            track.append(mido.Message("note_off", channel=9, note=drum.key, time=2880))
            wait = int(PERIOD_S * 960) - 2880
    with tempfile.TemporaryDirectory() as folder:
        midi_path, wav_path = Path(folder, "drums.mid"), Path(folder, "drums.wav")
        mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(midi_path)
        command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", "0.6", "-r", str(SAMPLE_RATE)]
        command += ["-O", "float", "-F", str(wav_path), str(soundfont), str(midi_path)]
        subprocess.run(command, check=True, capture_output=True)
        audio, rate = soundfile.read(wav_path, dtype="float64", always_2d=True)
    assert rate == SAMPLE_RATE
    found: dict[str, list[NDArray[np.float64]]] = {drum.name: [] for drum in DRUMS}
    for place in range(len(DRUMS) * len(VELOCITIES)):
        drum = DRUMS[place // len(VELOCITIES)]
        start = int((LEAD_S + place * PERIOD_S) * SAMPLE_RATE)
        found[drum.name].append(audio[start : start + int(drum.sounds_s * SAMPLE_RATE)].mean(1))
    return found


def fit_mode(left: torch.Tensor, *, gliding: bool) -> tuple[float, float, float, float]:
    """(hertz, decay, glide, energy taken away) of the damped sinusoid that takes away most of a signal."""
    spectrum = torch.fft.rfft(
        left * torch.exp(-torch.arange(len(left)) / (0.25 * SAMPLE_RATE)), 2 * len(left)
    )
    hertz = torch.arange(len(spectrum)) * SAMPLE_RATE / (2 * len(left))
    peak = float(hertz[int((spectrum.abs() * (hertz > 30)).argmax())])
    t = torch.arange(len(left), dtype=torch.float64) / SAMPLE_RATE
    best = (0.0, 0.0, 0.0, -1.0)
    for glide in GLIDES if gliding else (0.0,):
        ratios = (
            (0.8, 0.88, 0.95, 0.975, 1.0, 1.025) if glide else (0.99, 0.995, 0.998, 1.0, 1.002, 1.005, 1.01)
        )
        for ratio in ratios:
            for decay in DECAYS:
                wave = damped_mode(
                    t, *(torch.tensor([v], dtype=torch.float64) for v in (peak * ratio, decay, glide))
                )
                taken = project(left, wave)[1]
                if taken > best[3]:
                    best = (peak * ratio, decay, glide, taken)
    return best


def project(left: torch.Tensor, waves: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Cosine and sine strengths (2 M,) of modes in a signal by least squares, and the energy they take."""
    design = torch.cat([waves.real, -waves.imag]).T
    solved = torch.linalg.lstsq(design, left[:, None]).solution[:, 0]
    return solved, float((left**2).sum() - ((left - design @ solved) ** 2).sum())


def fit_drum(drum: Drum, sounds: list[NDArray[np.float64]], kit: DrumKit, row: int) -> list[torch.Tensor]:
    """Put the modes of a drum into the kit; what is left of its sounds."""
    middle = torch.from_numpy(sounds[1])
    left = middle.clone()
    chosen: list[tuple[float, float, float]] = []
    while len(chosen) < min(drum.modes, MODES):
        gliding = drum.name in GLIDING and not chosen
        hertz, decay, glide, taken = fit_mode(left, gliding=gliding)
        if drum.name in GLIDING and chosen:
            glide = chosen[0][2]
        if taken < 0.02 * float((left**2).sum()):
            break
        chosen.append((hertz, decay, glide))
        t = torch.arange(len(middle), dtype=torch.float64) / SAMPLE_RATE
        waves = damped_mode(t, *torch.tensor(chosen, dtype=torch.float64).T)
        solved, _ = project(middle, waves)
        left = middle - torch.cat([waves.real, -waves.imag]).T @ solved
    rests = []
    if not chosen:
        return [torch.from_numpy(sound) for sound in sounds]
    table = torch.tensor(chosen, dtype=torch.float64).T
    waves = damped_mode(torch.arange(len(middle), dtype=torch.float64) / SAMPLE_RATE, *table)
    count = len(chosen)
    phase = torch.zeros(count, dtype=torch.float64)
    for place in (1, 0, 2, 3):
        sound = torch.from_numpy(sounds[place])
        solved, _ = project(sound, waves)
        amplitude = torch.hypot(solved[:count], solved[count:])
        if place == 1:
            phase = torch.atan2(solved[count:], solved[:count])
        if place < len(MODE_VELOCITIES):
            kit.mode_amplitude[row, place, :count] = amplitude.float()
        rests.append((place, sound - torch.cat([waves.real, -waves.imag]).T @ solved))
    for name, values in zip(
        ("mode_hz", "mode_decay", "mode_glide", "mode_phase"), (*table, phase), strict=True
    ):
        getattr(kit, name)[row, :count] = values.float()
    return [rest for _, rest in sorted(rests, key=lambda item: item[0])]


def noise_levels(sound: torch.Tensor) -> torch.Tensor:
    """Levels of the noise bands of a sound in dB, (frames, FINE_BANDS)."""
    padded = torch.nn.functional.pad(sound, (FINE_FFT // 2, FINE_FFT // 2))
    window = torch.hann_window(FINE_FFT, dtype=torch.float64)
    spectrum = torch.stft(padded, FINE_FFT, FINE_HOP, window=window, center=False, return_complex=True)
    bands = fine_band_matrix().double()
    power = bands @ (spectrum.abs() ** 2 / (0.375 * FINE_FFT)) / bands.sum(1, keepdim=True)
    return (10 * torch.log10(power.T + 1e-18)).clamp(min=FLOOR_DB).float()


def main() -> None:
    """Fit the modes, train the network, write the kit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--soundfont", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2_500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    kit = DrumKit()
    columns: dict[str, list[torch.Tensor]] = {
        n: [] for n in ("row", "velocity", "time", "levels", "held_out")
    }
    for row, (drum, sounds) in enumerate(zip(DRUMS, render(arguments.soundfont).values(), strict=True)):
        for velocity, rest in zip(VELOCITIES, fit_drum(drum, sounds, kit, row), strict=True):
            levels = noise_levels(rest)
            frames = len(levels)
            columns["row"].append(torch.full((frames,), row))
            columns["velocity"].append(torch.full((frames,), float(velocity)))
            columns["time"].append(torch.arange(frames) * FINE_HOP / SAMPLE_RATE)
            columns["levels"].append(torch.maximum(levels, levels.max() - 80.0))
            columns["held_out"].append(torch.full((frames,), velocity == VELOCITIES[-1]))
        print(f"{drum.name}: {int((kit.mode_hz[row] > 0).sum())} modes", flush=True)  # noqa: T201
    data = {name: torch.cat(values) for name, values in columns.items()}
    known, unknown = (torch.nonzero(data["held_out"] == side).flatten() for side in (False, True))
    optimiser = torch.optim.AdamW(kit.parameters(), lr=1e-3, weight_decay=0.01)
    # Every drum, and its beginning, as often as the others.
    early = 1 / (0.02 + data["time"][known])
    per_drum = torch.bincount(data["row"][known], weights=early)
    weights = early / per_drum[data["row"][known]]

    def error(places: torch.Tensor) -> torch.Tensor:
        predicted = kit.noise_db(data["row"][places], data["velocity"][places], data["time"][places])
        return (predicted - data["levels"][places]).abs().mean()

    for step in range(1, arguments.steps + 1):
        rate = 4e-3 * min(step / 100, 0.5 * (1 + math.cos(math.pi * step / arguments.steps)) + 0.002)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = error(known[torch.multinomial(weights, 512, replacement=True)])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        facts = {
            "seed": arguments.seed,
            "steps": arguments.steps,
            "validation_db": round(float(error(unknown)), 3),
        }
    print(json.dumps(facts))  # noqa: T201
    state = {name: value.half().contiguous() for name, value in kit.state_dict().items()}
    # Frequencies and phases keep their precision.
    state |= {n: v.contiguous() for n, v in kit.state_dict().items() if n.startswith("mode_")}
    save_file(state, arguments.output, metadata={"config": "{}", "training": json.dumps(facts)})


if __name__ == "__main__":
    main()
