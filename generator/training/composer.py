"""Train the composer on the tokens that training.tunes wrote.

    python -m generator.training.composer --data FOLDER --output generator/weights/composer.safetensors

AdamW, cosine schedule, whole tunes packed into batches of about equal length; the weights with the lowest
validation loss are kept, in fp16, and written whenever they improve. The published weights: ComposerConfig's
defaults, 8 epochs, seed 1, one CPU core, about 40 minutes.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.nn import functional

from ..composer import Composer, ComposerConfig
from ..tokens import PAD, TOKEN_ID

PAD_ID = TOKEN_ID[PAD]
Batch = tuple[torch.Tensor, torch.Tensor]


def make_batches(
    tokens: NDArray[np.uint8], contexts: NDArray[np.uint8], lengths: NDArray[np.int32], *, batch_tokens: int
) -> list[Batch]:
    """Whole tunes of similar length, padded: tokens (B, T), contexts (B, T, 3)."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    order = np.argsort(lengths, kind="stable")
    batches: list[Batch] = []
    group: list[int] = []
    for index in order:
        if group and (len(group) + 1) * int(lengths[index]) > batch_tokens:
            batches.append(_pad(tokens, contexts, starts, group))
            group = []
        group.append(int(index))
    batches.append(_pad(tokens, contexts, starts, group))
    return batches


def _pad(
    tokens: NDArray[np.uint8], contexts: NDArray[np.uint8], starts: NDArray[np.int64], group: list[int]
) -> Batch:
    longest = max(int(starts[i + 1] - starts[i]) for i in group)
    rows = torch.full((len(group), longest), PAD_ID, dtype=torch.int64)
    places = torch.zeros((len(group), longest, 3), dtype=torch.int64)
    for row, i in enumerate(group):
        part = slice(int(starts[i]), int(starts[i + 1]))
        rows[row, : part.stop - part.start] = torch.from_numpy(tokens[part].astype(np.int64))
        places[row, : part.stop - part.start] = torch.from_numpy(contexts[part].astype(np.int64))
    return rows, places


def batch_loss(model: Composer, batch: Batch) -> tuple[torch.Tensor, int]:
    """Summed cross-entropy (nats) of the tokens after the three header tokens, and how many there are."""
    tokens, contexts = batch
    logits, _ = model(tokens[:, :-1], contexts[:, :-1])
    target = tokens[:, 1:].clone()
    target[:, :2] = PAD_ID
    total = functional.cross_entropy(
        logits.float().flatten(0, 1), target.flatten(), ignore_index=PAD_ID, reduction="sum"
    )
    return total, int((target != PAD_ID).sum())


def validate(model: Composer, batches: list[Batch]) -> float:
    """Mean validation loss, nats per token."""
    model.eval()
    with torch.no_grad():
        sums = [batch_loss(model, batch) for batch in batches]
    model.train()
    return sum(float(loss) for loss, _ in sums) / sum(count for _, count in sums)


def train(
    config: ComposerConfig,
    train_batches: list[Batch],
    validation: list[Batch],
    *,
    epochs: int,
    seed: int,
    device: str,
    keep: Callable[[Composer, float, int], None],
) -> None:
    """Train one network; `keep(model, validation loss, epoch)` is called whenever the validation loss
    improves.
    """
    torch.manual_seed(seed)
    model = Composer(config).to(device)
    shuffler = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.1, fused=True
    )
    steps, step = epochs * len(train_batches), 0
    best = math.inf
    for epoch in range(1, epochs + 1):
        for index in shuffler.permutation(len(train_batches)):
            step += 1
            rate = 2e-3 * min(step / 200, 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01)
            for group in optimiser.param_groups:
                group["lr"] = rate
            with torch.autocast(device, dtype=torch.bfloat16):
                loss, count = batch_loss(model, train_batches[index])
            optimiser.zero_grad(set_to_none=True)
            (loss / count).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
        now = validate(model, validation)
        print(f"epoch {epoch}: validation {now:.4f} nats per token", flush=True)  # noqa: T201
        if now < best:
            best = now
            keep(model, now, epoch)


def main() -> None:
    """Train and write the best network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch-tokens", type=int, default=2000)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    arrays = np.load(arguments.data / "tokens.npz")
    sides: dict[str, list[Batch]] = {}
    for side in ("train", "validation"):
        batches = make_batches(
            *(arrays[f"{side}_{name}"] for name in ("tokens", "contexts", "lengths")),
            batch_tokens=arguments.batch_tokens,
        )
        sides[side] = [(tokens.to(device), contexts.to(device)) for tokens, contexts in batches]
    started = time.monotonic()

    def keep(model: Composer, loss: float, epoch: int) -> None:
        facts = {
            "validation_nats": round(loss, 4),
            "epoch": epoch,
            "epochs": arguments.epochs,
            "seed": arguments.seed,
        }
        facts |= {"parameters": sum(p.numel() for p in model.parameters())}
        facts |= {"seconds": round(time.monotonic() - started)}
        print(json.dumps(facts), flush=True)  # noqa: T201
        config = asdict(replace(model.config, dropout=0.0))
        state = {name: value.half().contiguous().cpu() for name, value in model.state_dict().items()}
        save_file(
            state, arguments.output, metadata={"config": json.dumps(config), "training": json.dumps(facts)}
        )

    train(
        ComposerConfig(),
        sides["train"],
        sides["validation"],
        epochs=arguments.epochs,
        seed=arguments.seed,
        device=device,
        keep=keep,
    )


if __name__ == "__main__":
    main()
