"""Audio pipelines of Hugging Face diffusers, from a local folder: `kind: diffusers`.

    {"kind": "diffusers", "folder": "/srv/models/stable-audio-open-1.0", "device": "cuda"}

| pipeline | length | parameters beside `steps` and `guidance_scale` |
| --- | --- | --- |
| StableAudioPipeline | to what its transformer was made for | negative_prompt |
| StableAudio3Pipeline | as set up | negative_prompt |
| AceStepPipeline | as set up | lyrics, vocal_language, bpm, keyscale, timesignature |

The class is the one that the folder's model_index.json names, and it is one of these; components come from
diffusers and transformers alone. A pipeline gives its audio as a whole, at the end of its steps.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
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
from ..errors import Cancelled, EngineError, RequestError, WeightsError
from ..setup import EngineSetup
from .stating import (
    UNSTATED,
    check_request,
    describe_checkpoint,
    identify,
    read_number,
    refuse_score,
    refuse_unknown,
)

INDEX = "model_index.json"
LIBRARIES = frozenset({"diffusers", "transformers", "stable_audio", "stable_audio_3", "ace_step"})
MAX_TEXT_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class Shape:
    """How a pipeline is called: the argument for the length, its usual steps and guidance, further texts and
    whole numbers that it takes, and whether it tells of each step by `callback_on_step_end`.
    """

    length: str
    steps: int
    guidance: float
    texts: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    modern: bool = True


SHAPES: Mapping[str, Shape] = {
    "StableAudioPipeline": Shape("audio_end_in_s", 100, 7.0, ("negative_prompt",), modern=False),
    "StableAudio3Pipeline": Shape("duration", 100, 1.0, ("negative_prompt",)),
    "AceStepPipeline": Shape(
        "audio_duration", 8, 7.0, ("lyrics", "vocal_language", "keyscale", "timesignature"), ("bpm",)
    ),
}
MEANINGS = {
    "steps": "1 to 500: how many steps the sound is refined in",
    "guidance_scale": "1 to 30: how closely the prompt is followed",
    "negative_prompt": "what is not wanted",
    "lyrics": "words to be sung, with marks such as [verse]",
    "vocal_language": "code of the language sung, such as en",
    "keyscale": "such as D minor",
    "timesignature": "such as 3",
    "bpm": "30 to 300: beats per minute",
}


def open_engine(setup: EngineSetup) -> "DiffusionEngine":
    """Read, check and load a pipeline's folder.

    Raises
    ------
    WeightsError
        The folder is no pipeline that is taken, not in safetensors, or has code in it.
    EngineError
        An option is not what it must be.
    """
    setup.refuse_unknown("max_seconds", "steps")
    most_s = setup.read_number("max_seconds", 240.0, least=1.0, most=3600.0)
    checkpoint = read_checkpoint(setup.require_folder())
    name = check_index(checkpoint)
    steps = setup.read_number("steps", SHAPES[name].steps, least=1, most=500)
    keep_offline()
    import diffusers
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    try:
        pipeline = getattr(diffusers, name).from_pretrained(
            checkpoint.folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        pipeline = pipeline.to(setup.device)
    # Somebody else's file in somebody else's library: whatever it raises, the folder is not usable.
    except Exception as error:
        raise WeightsError(f"{checkpoint.folder}: cannot be loaded: {error}") from error
    pipeline.set_progress_bar_config(disable=True)
    checkpoint.check_unchanged()
    return DiffusionEngine(setup, checkpoint, name, pipeline, most_s, round(steps))


def check_index(checkpoint: Checkpoint) -> str:
    """Return the pipeline class that a folder names; WeightsError for one that is not taken."""
    try:
        index = json.loads((checkpoint.folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{checkpoint.folder}: expected a {INDEX}, got {error}") from error
    name = index.get("_class_name") if isinstance(index, dict) else None
    if name not in SHAPES:
        raise WeightsError(
            f"{checkpoint.folder}: expected a pipeline out of {', '.join(SHAPES)}, got {name!r:.80}"
        )
    for part, value in index.items():
        if part.startswith("_") or not isinstance(value, list) or value == [None, None]:
            continue
        if not value or value[0] not in LIBRARIES:
            raise WeightsError(f"{checkpoint.folder}: {part} comes from {value!r:.120}, which is not loaded")
    return str(name)


class DiffusionEngine:
    """A loaded pipeline."""

    def __init__(
        self,
        setup: EngineSetup,
        checkpoint: Checkpoint,
        name: str,
        pipeline: Any,
        most_s: float,
        steps: int,
    ) -> None:
        self._setup, self._checkpoint, self._name, self._pipeline = setup, checkpoint, name, pipeline
        self._shape, self._steps = SHAPES[name], steps
        self._rate = int(pipeline.vae.config.sampling_rate)
        self._most_s = most_s
        if name == "StableAudioPipeline":
            longest = pipeline.transformer.config.sample_size * pipeline.vae.hop_length / self._rate
            self._most_s = min(most_s, longest)

    def describe(self) -> EngineDescription:
        """Limits and origin, as the folder and its operator state them."""
        return describe_checkpoint(
            self._setup,
            self._checkpoint.sha256,
            sample_rate=self._rate,
            channels=int(self._pipeline.vae.config.audio_channels),
            most_s=self._most_s,
            accepts=("text", "lyrics") if "lyrics" in self._shape.texts else ("text",),
            parameters={name: MEANINGS[name] for name in self._list_parameters()},
        )

    def perform(
        self,
        request: Request,
        sink: Sink,
        *,
        progress: Progress = report_nothing,
        cancelled: CancelCheck = never_cancelled,
    ) -> Account:
        """Make a piece of the length asked for; see `Engine.perform`."""
        check_request(request, most_s=self._most_s)
        refuse_score(request, self._setup.name)
        refuse_unknown(request, self._list_parameters(), self._setup.name)
        steps = round(read_number(request, "steps", self._steps, least=1, most=500))
        guidance = read_number(request, "guidance_scale", self._shape.guidance, least=1.0, most=30.0)
        started = time.monotonic()

        def report(step: int) -> None:
            if cancelled():
                raise Cancelled("render")
            progress("render", min(1.0, (step + 1) / steps))

        report(-1)
        audio = self._call(request, steps, guidance, report)
        wanted = round(request.seconds * self._rate)
        if audio.ndim != 2 or audio.shape[1] == 0 or not np.isfinite(audio).all():
            raise EngineError(f"expected finite audio of the pipeline, got shape {audio.shape}")
        write_blocks(audio[:, :wanted], sink, sample_rate=self._rate)
        return Account(
            model=identify(
                self._setup.name,
                self._checkpoint.sha256[:12],
                {"checkpoint": self._checkpoint.sha256},
                self._setup.licence,
                ("torch", "diffusers", "transformers", "safetensors"),
            ),
            understood={"prompt": "given to the model as it is", "seconds": f"{request.seconds:g}"},
            seed=request.seed,
            timings_s={"render": round(time.monotonic() - started, 3)},
            training_corpus=self._setup.training_corpus or UNSTATED,
            settings={
                "pipeline": self._name,
                "steps": str(steps),
                "guidance_scale": f"{guidance:g}",
                **{
                    name: request.parameters[name]
                    for name in self._shape.numbers
                    if name in request.parameters
                },
            },
        )

    def _list_parameters(self) -> tuple[str, ...]:
        return ("steps", "guidance_scale", *self._shape.texts, *self._shape.numbers)

    def _call(self, request: Request, steps: int, guidance: float, report: Any) -> NDArray[np.float32]:
        arguments: dict[str, Any] = {
            "prompt": request.prompt,
            self._shape.length: float(request.seconds),
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "generator": torch.Generator(self._setup.device).manual_seed(request.seed),
            "output_type": "pt",
        }
        for name in self._shape.texts:
            text = request.parameters.get(name)
            if text is not None and len(text) > MAX_TEXT_CHARACTERS:
                raise RequestError(
                    f"{name}: expected at most {MAX_TEXT_CHARACTERS} characters, got {len(text)}"
                )
            if text is not None:
                arguments[name] = text
        for name in self._shape.numbers:
            if name in request.parameters:
                arguments[name] = round(read_number(request, name, 0.0, least=30, most=300))
        if self._shape.modern:

            def after(_pipeline: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
                report(step)
                return tensors

            arguments["callback_on_step_end"] = after
        else:
            arguments["callback"] = lambda step, _time, _latents: report(step)
        with torch.inference_mode():
            audio = self._pipeline(**arguments).audios[0]  # (C, T)
        found: NDArray[np.float32] = audio.float().cpu().numpy()
        return found
