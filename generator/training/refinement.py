"""Train the timbre network further, end to end: on how its notes sound beside those of the soundfont.

    python -m generator.training.refinement --soundfont /usr/share/sounds/sf2/FluidR3_GM.sf2 \\
        --start build/training/timbre.safetensors --output generator/weights/timbre.safetensors

`training.timbre` regresses levels that an analysis measured; its errors (noise found between partials that
wander, attacks smeared by the window) are then heard. Here stretches of the training notes are decoded as the
synthesiser decodes them (`decoder.py`) and compared with the rendered notes by their spectra (`spectra.py`);
the slope goes back through the inverse transform into the network. Tuning is held where the start had it.

Seeded; on one thread it gives the same weights again. `--state FILE` is written every SAVE_STEPS steps and
taken up when it is there; `--log FILE` gets a line of JSON for each evaluation. Validation notes are watched,
not used: the weights written are those of the last step. Whether they are worth publishing, other ears must
say as well (docs/generator.md): `benchmarks.generator_fad --timbre FILE`. What no loss can teach, partials
that move by chance, is drawn here as it is played (`movement.py`).
"""

import argparse
import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from ..instruments import INSTRUMENTS
from ..synthesis import TimedNote, render_part
from ..timbre import FRAME_HOP, SAMPLE_RATE, NoteCode, TimbreNetwork
from ..weights import load_timbre
from .decoder import Stretches, decode_stretches, decoded_samples, first_sample
from .notes import HOLD_S, LEAD_S, notes_of, render
from .spectra import log_distance, peak_magnitudes, spectral_loss

STEPS, BATCH, FRAMES = 3_500, 16, 67
RATE, WARM_UP_STEPS = 4e-4, 100
SAVE_STEPS = 250
# Half of the stretches begin about the attack, where most happens.
EARLY_SHARE, EARLY_FRAMES = 0.5, 24
# As in training.timbre: spread of pitch (semitones) and velocity that bridges the notes between.
PITCH_JITTER, VELOCITY_JITTER = 0.5, 5.0
TUNING_WEIGHT = 0.05


@dataclass(frozen=True, slots=True)
class Notes:
    """Rendered notes: (N,) each of row, pitch and velocity, their sound (N, samples) and its peaks."""

    row: torch.Tensor
    pitch: torch.Tensor
    velocity: torch.Tensor
    sound: torch.Tensor
    peaks: torch.Tensor


def collect_notes(rows: list[tuple[int, int, int]], sounds: list[NDArray[np.float64]]) -> Notes:
    """Notes of (row, pitch, velocity) and their rendered sounds."""
    sound = torch.from_numpy(np.stack([s.astype(np.float32) for s in sounds]))
    peaks = torch.cat([peak_magnitudes(one[None]) for one in sound])
    row, pitch, velocity = (torch.tensor(column) for column in zip(*rows, strict=True))
    return Notes(row, pitch.float(), velocity.float(), sound, peaks.clamp(min=1e-6))


def render_notes(soundfont: Path) -> tuple[Notes, Notes]:
    """Training and validation notes of all instruments."""
    sets: dict[bool, tuple[list[tuple[int, int, int]], list[NDArray[np.float64]]]] = {
        False: ([], []),
        True: ([], []),
    }
    for row, instrument in enumerate(INSTRUMENTS):
        for (pitch, velocity, validation), sound in zip(
            notes_of(instrument), render(instrument, soundfont), strict=True
        ):
            rows, sounds = sets[validation]
            rows.append((row, pitch, velocity))
            sounds.append(sound)
    return collect_notes(*sets[False]), collect_notes(*sets[True])


class Refinement:
    """A network on its way: optimiser, step and random draws, all of which a state file holds."""

    def __init__(self, network: TimbreNetwork, notes: Notes, *, steps: int, batch: int, seed: int) -> None:
        self.network, self.notes, self.steps, self.batch = network, notes, steps, batch
        self.step = 0
        self._optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
        self._random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self._tuning = _tuning(network.encode_notes(notes.row, notes.pitch, notes.velocity))

    def advance(self) -> float:
        """One step on one batch: its loss."""
        rate = RATE * min(
            (self.step + 1) / WARM_UP_STEPS, 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        )
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        loss = self._loss()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimiser.step()
        self.step += 1
        return float(loss.detach())

    def _loss(self) -> torch.Tensor:
        """Loss of a batch of stretches drawn by chance."""
        notes, random, length = self.notes, self._random, self.notes.sound.shape[1]
        chosen = torch.randint(len(notes.row), (self.batch,), generator=random)
        # The onset falls anywhere between two frames: the clock of the frames is shifted against the sound's.
        shift = torch.randint(FRAME_HOP, (self.batch,), generator=random)
        last = (length - decoded_samples(FRAMES)) // FRAME_HOP - 3
        early = torch.rand(self.batch, generator=random) < EARLY_SHARE
        span = torch.where(early, EARLY_FRAMES, last)
        first = (torch.rand(self.batch, generator=random) * span).long()
        jitter = torch.randn(2, self.batch, generator=random)
        codes = self.network.encode_notes(
            notes.row[chosen],
            notes.pitch[chosen] + PITCH_JITTER * jitter[0],
            (notes.velocity[chosen] + VELOCITY_JITTER * jitter[1]).clamp(1, 127),
        )
        stretches = Stretches(
            notes.row[chosen],
            notes.pitch[chosen],
            LEAD_S + shift.double() / SAMPLE_RATE,
            torch.full((self.batch,), HOLD_S),
            first,
        )
        sounds = decode_stretches(self.network, codes, stretches, FRAMES, random)
        begin = first_sample(first) - shift
        places = begin[:, None] + torch.arange(sounds.shape[1])
        references = notes.sound[chosen[:, None], places.clamp(0, length - 1)] * (places >= 0)
        off = (_tuning(codes) - self._tuning[chosen]).abs().mean()
        return spectral_loss(sounds, references, notes.peaks[chosen]).mean() + TUNING_WEIGHT * off

    def state(self) -> dict[str, Any]:
        """All that the next steps depend on."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "random": self._random.get_state(),
            "tuning": self._tuning,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._random.set_state(state["random"])
        self._tuning = state["tuning"]
        self.step = int(state["step"])


def _tuning(codes: NoteCode) -> torch.Tensor:
    """Detuning in units of 5 cents and log stiffness of notes, (N, 2)."""
    return torch.stack([codes.detune_cents / 5.0, torch.log(codes.stiffness)], 1)


def measure_distance(network: TimbreNetwork, notes: Notes) -> dict[str, float]:
    """Mean distance of the synthesiser's notes from the rendered ones, by instrument."""
    by_instrument: dict[str, list[float]] = {}
    for row, pitch, velocity, sound in zip(notes.row, notes.pitch, notes.velocity, notes.sound, strict=True):
        instrument = INSTRUMENTS[int(row)]
        audio = render_part(
            network,
            [TimedNote(int(pitch), LEAD_S, HOLD_S, int(velocity))],
            instrument,
            int(row),
            length_samples=len(sound),
            seed=(int(pitch),),
        )
        distance = log_distance(torch.from_numpy(audio)[None], sound[None])
        by_instrument.setdefault(instrument.name, []).append(float(distance))
    return {name: float(np.mean(values)) for name, values in by_instrument.items()}


def refine(
    training: Refinement, validation: Notes, *, every: int, state: Path | None, log: Path | None
) -> None:
    """Take all steps that are left; every so many of them evaluate, log and save."""
    started, losses = time.process_time(), []
    while training.step < training.steps:
        losses.append(training.advance())
        if training.step % every and training.step < training.steps:
            continue
        distances = measure_distance(training.network, validation)
        facts = {
            "step": training.step,
            "loss": round(float(np.mean(losses)), 4),
            "validation": round(float(np.mean(list(distances.values()))), 4),
            "cpu_s": round(time.process_time() - started),
            **{name: round(value, 3) for name, value in distances.items()},
        }
        print(json.dumps(facts), flush=True)  # noqa: T201
        losses = []
        if log is not None:
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(facts) + "\n")
        if state is not None:
            part = state.with_suffix(".part")
            torch.save(training.state(), part)
            part.replace(state)


def main() -> None:
    """Render, refine and write the network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--soundfont", type=Path, default=Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"))
    parser.add_argument("--start", type=Path, required=True, help="weights of training.timbre")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--state", type=Path, help="where to save, and whence to go on")
    parser.add_argument("--log", type=Path, help="file of JSON lines to add to")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start = arguments.start.read_bytes()
    network = load_timbre(start)
    notes, validation = render_notes(arguments.soundfont)
    network.train()
    training = Refinement(network, notes, steps=arguments.steps, batch=arguments.batch, seed=arguments.seed)
    if arguments.state is not None and arguments.state.exists():
        training.resume(torch.load(arguments.state, weights_only=True))
    refine(training, validation, every=SAVE_STEPS, state=arguments.state, log=arguments.log)
    facts = {
        "start_sha256": hashlib.sha256(start).hexdigest(),
        "soundfont_sha256": hashlib.sha256(arguments.soundfont.read_bytes()).hexdigest(),
        "steps": arguments.steps,
        "batch": arguments.batch,
        "seed": arguments.seed,
    }
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    metadata = {"config": json.dumps(asdict(network.config)), "refinement": json.dumps(facts)}
    save_file(weights, arguments.output, metadata=metadata)


if __name__ == "__main__":
    main()
