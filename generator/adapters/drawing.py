"""Torch's global generator, seeded for one piece: models that draw from it alone leave no other way."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_drawing = threading.Lock()  # there is one for the whole process


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generator for a block of work, one such block at a time, and put it back afterwards."""
    devices = [device] if device.type == "cuda" else []
    with _drawing, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
