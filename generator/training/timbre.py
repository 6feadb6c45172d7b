"""Train the timbre network on the analysed notes that training.notes wrote.

    python -m generator.training.timbre --data FOLDER --output generator/weights/timbre.safetensors

Regression of levels in dB, each frame weighted by how close a level lies to the loudest of its note: what is
70 dB below hardly counts. Validation notes lie on pitches and at a velocity that training never saw.
"""

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from ..instruments import INSTRUMENTS
from ..timbre import FLOOR_DB, FRAME_HOP, HARMONICS, SAMPLE_RATE, TimbreConfig, TimbreNetwork

# When the notes of training.notes begin and are let go.
LEAD_S, HOLD_S = 0.1, 2.3
RANGE_DB = 90.0


class Frames:
    """All frames of a set of notes on one device: note index, times, target levels and weights."""

    def __init__(
        self, arrays: dict[str, NDArray[np.float32]], chosen: NDArray[np.bool_], device: str
    ) -> None:
        def move(values: NDArray[np.float32], dtype: torch.dtype) -> torch.Tensor:
            return torch.as_tensor(values[chosen]).to(device=device, dtype=dtype)

        self.row, self.pitch = move(arrays["row"], torch.int64), move(arrays["pitch"], torch.float32)
        self.velocity = move(arrays["velocity"], torch.float32)
        self.detune, self.stiffness = (move(arrays[n], torch.float32) for n in ("detune_cents", "stiffness"))
        levels = torch.cat(
            [move(arrays["harmonics"], torch.float32), move(arrays["noise"], torch.float32)], 2
        )
        times = torch.arange(levels.shape[1], device=device) * FRAME_HOP / SAMPLE_RATE - LEAD_S
        sounding = times >= 0
        self.levels, self.times = levels[:, sounding], times[sounding]
        peak = self.levels[..., :HARMONICS].amax(dim=(1, 2), keepdim=True)
        self.floor = (peak - RANGE_DB).clamp(min=FLOOR_DB)
        self.levels = torch.maximum(self.levels, self.floor)
        self.weights = 0.05 + torch.sigmoid((self.levels - peak + 60.0) / 8.0)
        # Partials above the range of hearing were not measured.
        numbers = torch.arange(1, HARMONICS + 1, device=device)
        exists = 440 * 2 ** ((self.pitch[:, None] - 69) / 12) * numbers < 20_000
        self.weights[..., :HARMONICS] *= exists[:, None]

    def error(
        self,
        network: TimbreNetwork,
        note: torch.Tensor,
        frame: torch.Tensor,
        jitter: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Weighted mean error in dB of the frames named by note and frame index; and that of the tuning.

        jitter (N, 2), if given, moves pitch and velocity of each note a little: the network then bridges the
        pitches and velocities between those of the training notes.
        """
        pitch, velocity = self.pitch, self.velocity
        if jitter is not None:
            pitch, velocity = pitch + 0.5 * jitter[:, 0], (velocity + 5 * jitter[:, 1]).clamp(1, 127)
        code = network.encode_notes(self.row, pitch, velocity)
        t = self.times[frame]
        held = network.levels_db(code.code[note], t.clamp(max=HOLD_S))
        released = (t - HOLD_S).clamp(min=0)[:, None] * code.release_db_per_s[note]
        predicted = torch.maximum(held - released, self.floor[note, 0])
        weight = self.weights[note, frame]
        loss = ((predicted - self.levels[note, frame]).abs() * weight).sum() / weight.sum()
        stiff = self.stiffness > 1e-6
        tuning = (code.detune_cents - self.detune.clamp(-15, 15)).abs().mean()
        log_ratio = torch.log(code.stiffness) - torch.log(self.stiffness.clamp(min=1e-6))
        return loss, tuning + (log_ratio.abs() * stiff).sum() / stiff.sum().clamp(min=1)


def evaluate(network: TimbreNetwork, frames: Frames) -> tuple[float, dict[str, float]]:
    """Mean weighted error over all frames, dB, and by instrument."""
    network.eval()
    by_instrument: dict[str, list[float]] = {}
    with torch.no_grad():
        for index in range(len(frames.row)):
            every = torch.arange(len(frames.times), device=frames.row.device)
            loss, _ = frames.error(network, torch.full_like(every, index), every)
            by_instrument.setdefault(INSTRUMENTS[int(frames.row[index])].name, []).append(float(loss))
    network.train()
    means = {name: float(np.mean(values)) for name, values in by_instrument.items()}
    return float(np.mean(list(means.values()))), means


def main() -> None:
    """Train and write the network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--frames", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=3)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    arrays = dict(np.load(arguments.data / "notes.npz"))
    held_out = arrays["validation"].astype(bool)
    training, validation = Frames(arrays, ~held_out, device), Frames(arrays, held_out, device)
    torch.manual_seed(arguments.seed)
    chooser = torch.Generator(device).manual_seed(arguments.seed)
    config = TimbreConfig(len(INSTRUMENTS), hidden=arguments.hidden, layers=arguments.layers)
    network = TimbreNetwork(config).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.02)
    started = time.monotonic()
    best, best_state = math.inf, {k: v.clone() for k, v in network.state_dict().items()}
    for step in range(1, arguments.steps + 1):
        rate = 2e-3 * min(step / 300, 0.5 * (1 + math.cos(math.pi * step / arguments.steps)) + 0.002)
        for group in optimiser.param_groups:
            group["lr"] = rate
        note = torch.randint(len(training.row), (arguments.frames,), device=device, generator=chooser)
        # Two frames in five from the first 0.25 s, where most happens.
        early = int(0.25 * SAMPLE_RATE / FRAME_HOP)
        span = torch.where(
            torch.rand(arguments.frames, device=device, generator=chooser) < 0.4, early, len(training.times)
        )
        frame = (torch.rand(arguments.frames, device=device, generator=chooser) * span).long()
        jitter = torch.randn(len(training.row), 2, device=device, generator=chooser)
        loss, tuning = training.error(network, note, frame, jitter)
        optimiser.zero_grad(set_to_none=True)
        (loss + 0.1 * tuning).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        if step % 500 == 0 or step == arguments.steps:
            now, _ = evaluate(network, validation)
            print(f"step {step}: training {float(loss.detach()):.2f} dB, validation {now:.2f} dB", flush=True)  # noqa: T201
            if now < best:
                best, best_state = now, {k: v.clone() for k, v in network.state_dict().items()}
    network.load_state_dict(best_state)
    _, by_instrument = evaluate(network, validation)
    facts = {**asdict(config), "validation_db": round(best, 3), "seconds": round(time.monotonic() - started)}
    print(json.dumps({**facts, **{k: round(v, 2) for k, v in by_instrument.items()}}))  # noqa: T201
    state = {k: v.half().contiguous().cpu() for k, v in network.state_dict().items()}
    save_file(state, arguments.output, metadata={"config": json.dumps(asdict(config))})


if __name__ == "__main__":
    main()
