"""AudioLM as people host it: models of audiolm-pytorch, made by a factory of theirs. `kind: audiolm`.

    {"kind": "audiolm", "factory": "my_models.audiolm:make", "folder": "/srv/models/audiolm",
     "sample_rate": 24000, "tokens_per_second": 50}

AudioLM's authors released neither code nor weights, and audiolm-pytorch brings none: who trained the
transformers knows how to put them together. `make(folder, device)` returns that library's `AudioLM`; it is
called as `model(text=[prompt], batch_size=1, max_length=...)`, without `text` where the model takes none
(`has_text: false`), and gives a waveform, or a list of one. The factory is code of the operator's, named in
the operator's own file, and reads the folder in its own way: it is trusted as this program is.

`max_length` counts semantic tokens: `tokens_per_second` times the length. The model cannot be interrupted
while it plays; it is asked before and after. Sampling uses torch's global generator, seeded for the piece.
"""

import importlib
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..checkpoint import Checkpoint, read_checkpoint
from ..engine import (
    Account,
    CancelCheck,
    EngineDescription,
    Progress,
    Request,
    Sink,
    never_cancelled,
    report_nothing,
    write_blocks,
)
from ..errors import Cancelled, EngineError, RequestError
from ..setup import EngineSetup
from .drawing import seeded
from .stating import UNSTATED, check_request, describe_checkpoint, identify, refuse_score, refuse_unknown


def open_engine(setup: EngineSetup) -> "AudiolmEngine":
    """Take the folder's digest and have the operator's factory make the model.

    Raises
    ------
    WeightsError
        The folder is not there, or cannot be read.
    EngineError
        An option is not what it must be, or the factory is not there or fails.
    """
    setup.refuse_unknown("factory", "sample_rate", "tokens_per_second", "has_text", "max_seconds")
    target = setup.read_text("factory")
    module, separator, function = target.partition(":")
    if not separator or not module or not function:
        raise EngineError(f"engine {setup.name}: factory: expected module:function, got {target!r:.120}")
    if not isinstance(setup.options.get("has_text", True), bool):
        raise EngineError(f"engine {setup.name}: has_text: expected true or false")
    checkpoint = read_checkpoint(setup.require_folder(), loaded_here=False)
    try:
        model = getattr(importlib.import_module(module), function)(checkpoint.folder, setup.device)
    # The operator's own code: whatever it raises is told as it is.
    except Exception as error:
        raise EngineError(f"engine {setup.name}: {target} failed: {type(error).__name__}: {error}") from error
    if not callable(model):
        raise EngineError(f"engine {setup.name}: {target} returned {type(model).__name__}, no model")
    checkpoint.check_unchanged()
    return AudiolmEngine(setup, checkpoint, model)


class AudiolmEngine:
    """An AudioLM that a factory made."""

    def __init__(self, setup: EngineSetup, checkpoint: Checkpoint, model: Any) -> None:
        self._setup, self._checkpoint, self._model = setup, checkpoint, model
        self._rate = round(setup.read_number("sample_rate", 24_000, least=8_000, most=192_000))
        self._token_rate = setup.read_number("tokens_per_second", 50.0, least=1.0, most=1_000.0)
        self._has_text = bool(setup.options.get("has_text", True))
        self._most_s = setup.read_number("max_seconds", 30.0, least=1.0, most=3_600.0)

    def describe(self) -> EngineDescription:
        """Limits and origin, as the operator states them."""
        return describe_checkpoint(
            self._setup,
            self._checkpoint.sha256,
            sample_rate=self._rate,
            channels=1,
            most_s=self._most_s,
            accepts=("text",) if self._has_text else (),
            parameters={},
        )

    def perform(
        self,
        request: Request,
        sink: Sink,
        *,
        progress: Progress = report_nothing,
        cancelled: CancelCheck = never_cancelled,
    ) -> Account:
        """Make a piece of at most the length asked for; see `Engine.perform`."""
        check_request(request, most_s=self._most_s)
        refuse_score(request, self._setup.name)
        refuse_unknown(request, (), self._setup.name)
        if not self._has_text and request.prompt.strip():
            raise RequestError(f"engine {self._setup.name} takes no prompt: it was trained without text")
        started = time.monotonic()

        def report(fraction: float) -> None:
            if cancelled():
                raise Cancelled("render")
            progress("render", fraction)

        report(0.0)
        conditions = {"text": [request.prompt]} if self._has_text else {}
        tokens = max(1, round(request.seconds * self._token_rate))
        with seeded(request.seed, torch.device(self._setup.device)), torch.inference_mode():
            given = self._model(batch_size=1, max_length=tokens, **conditions)
        report(1.0)
        audio = self._shape(given)[:, : round(request.seconds * self._rate)]
        write_blocks(audio, sink, sample_rate=self._rate)
        return Account(
            model=identify(
                self._setup.name,
                self._checkpoint.sha256[:12],
                {"checkpoint": self._checkpoint.sha256},
                self._setup.licence,
                ("torch", "audiolm-pytorch"),
            ),
            understood={
                "prompt": "given to the model as it is" if self._has_text else "the model takes none",
                "seconds": f"{request.seconds:g}",
            },
            seed=request.seed,
            timings_s={"render": round(time.monotonic() - started, 3)},
            training_corpus=self._setup.training_corpus or UNSTATED,
            settings={"max_length": str(tokens)},
        )

    def _shape(self, given: Any) -> NDArray[np.float32]:
        """Return what the model gave as (1, samples): it gives (samples), (1, samples) or a list of one."""
        if isinstance(given, list | tuple) and len(given) == 1:
            given = given[0]
        if not isinstance(given, torch.Tensor):
            raise EngineError(f"engine {self._setup.name}: expected a waveform, got {type(given).__name__}")
        found: NDArray[np.float32] = given.detach().float().cpu().numpy().reshape(1, -1)
        if given.numel() != given.shape[-1] or given.numel() == 0 or not np.isfinite(found).all():
            raise EngineError(
                f"engine {self._setup.name}: expected one finite waveform, got {tuple(given.shape)}"
            )
        return found
