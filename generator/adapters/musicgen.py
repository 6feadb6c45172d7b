"""MusicGen by Hugging Face transformers, from a local checkpoint folder: `kind: transformers`.

    {"kind": "transformers", "folder": "/srv/models/musicgen-small", "licence": "CC-BY-NC-4.0"}

The model writes codec tokens, 50 frames a second for the published checkpoints, for at most `window_s`
seconds at a time (30, what it was trained on). A longer piece is continued: the last `overlap_s` seconds are
encoded again as the opening of the next window, and the two renderings of the seam are blended over 20 ms.
Audio is written window by window. Sampling uses torch's global generator, seeded for the piece.
"""

import json
import math
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..checkpoint import Checkpoint, keep_offline, read_checkpoint
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
from ..errors import Cancelled, EngineError, WeightsError
from ..setup import EngineSetup
from .drawing import seeded
from .stating import (
    UNSTATED,
    check_request,
    describe_checkpoint,
    identify,
    read_number,
    refuse_score,
    refuse_unknown,
)

MODEL_TYPE = "musicgen"
PARAMETERS = {
    "guidance_scale": "1 to 20: how closely the prompt is followed",
    "temperature": "0.05 to 5: how freely tokens are drawn",
    "top_k": "1 to 10000: among how many tokens each is drawn",
}
SEAM_S = 0.02


def open_engine(setup: EngineSetup) -> "MusicgenEngine":
    """Read, check and load a checkpoint folder.

    Raises
    ------
    WeightsError
        The folder is no MusicGen checkpoint in safetensors, or has code in it.
    EngineError
        An option is not what it must be.
    """
    setup.refuse_unknown("window_s", "overlap_s", "max_seconds")
    window_s = setup.read_number("window_s", 30.0, least=1.0, most=60.0)
    overlap_s = setup.read_number("overlap_s", window_s / 3, least=0.1, most=window_s / 2)
    most_s = setup.read_number("max_seconds", 300.0, least=1.0, most=3600.0)
    checkpoint = read_checkpoint(setup.require_folder())
    check_model_type(checkpoint)
    keep_offline()
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    strict: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = transformers.AutoProcessor.from_pretrained(checkpoint.folder, **strict)
        model = transformers.MusicgenForConditionalGeneration.from_pretrained(
            checkpoint.folder, use_safetensors=True, **strict
        )
        model = model.to(setup.device).eval()
    # Somebody else's file in somebody else's library: whatever it raises, the folder is not usable.
    except Exception as error:
        raise WeightsError(f"{checkpoint.folder}: cannot be loaded: {error}") from error
    checkpoint.check_unchanged()
    return MusicgenEngine(setup, checkpoint, processor, model, window_s, overlap_s, most_s)


def check_model_type(checkpoint: Checkpoint) -> None:
    """Raise WeightsError unless the folder's configuration is that of a MusicGen model."""
    try:
        config = json.loads((checkpoint.folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{checkpoint.folder}: expected a config.json, got {error}") from error
    found = config.get("model_type") if isinstance(config, dict) else None
    if found != MODEL_TYPE:
        raise WeightsError(
            f"{checkpoint.folder}: expected a model of type {MODEL_TYPE}, got {found!r:.80}: "
            "others make no music from a prompt alone"
        )


class MusicgenEngine:
    """A loaded MusicGen checkpoint."""

    def __init__(
        self,
        setup: EngineSetup,
        checkpoint: Checkpoint,
        processor: Any,
        model: Any,
        window_s: float,
        overlap_s: float,
        most_s: float,
    ) -> None:
        self._setup, self._checkpoint = setup, checkpoint
        self._processor, self._model = processor, model
        self._rate = int(model.config.audio_encoder.sampling_rate)
        self._hop = int(np.prod(model.config.audio_encoder.upsampling_ratios))  # samples of a frame
        self._window_frames = max(2, int(window_s * self._rate / self._hop))
        self._overlap_frames = max(1, int(overlap_s * self._rate / self._hop))
        self._most_s = most_s

    def describe(self) -> EngineDescription:
        """Limits and origin, as the folder and its operator state them."""
        return describe_checkpoint(
            self._setup,
            self._checkpoint.sha256,
            sample_rate=self._rate,
            channels=int(self._model.config.decoder.audio_channels),
            most_s=self._most_s,
            accepts=("text",),
            parameters=PARAMETERS,
        )

    def perform(
        self,
        request: Request,
        sink: Sink,
        *,
        progress: Progress = report_nothing,
        cancelled: CancelCheck = never_cancelled,
    ) -> Account:
        """Make a piece of the length asked for, to a frame; see `Engine.perform`."""
        check_request(request, most_s=self._most_s)
        refuse_score(request, self._setup.name)
        refuse_unknown(request, tuple(PARAMETERS), self._setup.name)
        sampling = {
            "guidance_scale": read_number(request, "guidance_scale", 3.0, least=1.0, most=20.0),
            "temperature": read_number(request, "temperature", 1.0, least=0.05, most=5.0),
            "top_k": round(read_number(request, "top_k", 250.0, least=1.0, most=10_000.0)),
        }
        started = time.monotonic()
        with seeded(request.seed, self._model.device), torch.inference_mode():
            self._write(request, sampling, sink, progress, cancelled)
        return Account(
            model=identify(
                self._setup.name,
                self._checkpoint.sha256[:12],
                {"checkpoint": self._checkpoint.sha256},
                self._setup.licence,
                ("torch", "transformers", "tokenizers", "safetensors"),
            ),
            understood={"prompt": "given to the model as it is", "seconds": f"{request.seconds:g}"},
            seed=request.seed,
            timings_s={"render": round(time.monotonic() - started, 3)},
            training_corpus=self._setup.training_corpus or UNSTATED,
            settings={name: f"{value:g}" for name, value in sampling.items()},
        )

    def _write(
        self,
        request: Request,
        sampling: dict[str, float],
        sink: Sink,
        progress: Progress,
        cancelled: CancelCheck,
    ) -> None:
        """Make window after window, and blend the seams."""
        wanted = max(1, math.ceil(request.seconds * self._rate / self._hop))  # frames
        seam = min(round(SEAM_S * self._rate), self._hop)
        written, tail = 0, None  # frames that are done; the last samples before the next window
        held: NDArray[np.float32] = np.zeros((1, 0), dtype=np.float32)
        while written < wanted:
            overlap = 0 if tail is None else tail.shape[1] // self._hop
            fresh = min(wanted - written, self._window_frames - overlap)
            done = written

            def report(frames: int, done: int = done) -> None:
                if cancelled():
                    raise Cancelled("render")
                progress("render", min(1.0, (done + frames) / wanted))

            audio = self._generate(request.prompt, sampling, tail, overlap, fresh, report)
            expected = (overlap + fresh) * self._hop
            if audio.shape[1] < expected:
                raise EngineError(f"expected {expected} samples of the model, got {audio.shape[1]}")
            audio = audio[:, :expected]
            new = audio[:, overlap * self._hop :]
            if held.shape[1]:
                ramp = np.linspace(0.0, 1.0, seam, dtype=np.float32)
                again = audio[:, overlap * self._hop - seam : overlap * self._hop]  # the seam, rendered anew
                write_blocks(held * (1 - ramp) + again * ramp, sink, sample_rate=self._rate)
            written += fresh
            last = written >= wanted
            write_blocks(new if last else new[:, :-seam], sink, sample_rate=self._rate)
            held = new[:, new.shape[1] - seam :]
            tail = audio[:, -self._overlap_frames * self._hop :]

    def _generate(
        self,
        prompt: str,
        sampling: dict[str, float],
        opening: NDArray[np.float32] | None,
        overlap: int,
        fresh: int,
        report: Any,
    ) -> NDArray[np.float32]:
        """One window: the opening (as its tokens render it) and `fresh` frames more, (channels, samples)."""
        device = self._model.device
        inputs = self._processor(text=[prompt], padding=True, return_tensors="pt").to(device)
        if opening is not None:
            values = torch.from_numpy(np.ascontiguousarray(opening))[None]  # (1, C, T)
            inputs["input_values"] = values.to(device, self._model.dtype)

        def count(tokens: torch.Tensor, _scores: Any, **_ignored: Any) -> torch.Tensor:
            report(max(0, tokens.shape[-1] - overlap))
            return torch.zeros(tokens.shape[0], dtype=torch.bool, device=tokens.device)

        # Codebook k runs k frames late: that many tokens more give the frames asked for.
        delay = int(self._model.config.decoder.num_codebooks // self._model.config.decoder.audio_channels) - 1
        audio = self._model.generate(
            **inputs,
            do_sample=True,
            guidance_scale=sampling["guidance_scale"],
            temperature=sampling["temperature"],
            top_k=int(sampling["top_k"]),
            max_new_tokens=fresh + delay,
            stopping_criteria=[count],
        )
        found: NDArray[np.float32] = audio[0].float().cpu().numpy()
        return found
