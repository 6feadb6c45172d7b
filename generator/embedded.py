"""The embedded engine: prompt -> settings -> form -> tune -> harmony -> score -> sound, all from the files
here.

Deterministic on the CPU: every random choice comes from generators derived from the request's seed, and the
arithmetic runs on one thread, so equal requests give equal samples on one machine whatever its number of
threads. On another device only the pitched parts are played there, in batches, and sums may end otherwise.
"""

import math
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version as library_version

import numpy as np
import torch
from numpy.typing import NDArray

from .arrangement import arrange
from .chordmodel import ChordModel
from .composer import Composer
from .composition import compose_tune
from .drumkit import DrumKit
from .engine import (
    Account,
    CancelCheck,
    EngineDescription,
    ModelIdentity,
    Progress,
    Request,
    Result,
    Sink,
    collect_result,
    never_cancelled,
    report_nothing,
)
from .errors import Cancelled, EngineError, RequestError
from .form import plan_form
from .harmony import harmonise
from .midi import format_midi
from .notation import format_tune
from .opening import read_opening
from .partwriting import write_parts
from .prompt import PARAMETERS, read_prompt
from .rendering import BATCH_BLOCKS, count_blocks, render_blocks
from .setup import EngineSetup
from .timbre import SAMPLE_RATE, TimbreNetwork
from .weights import (
    CHORDS,
    COMPOSER,
    DRUMS,
    FILES,
    TIMBRE,
    TUNES,
    load_chords,
    load_composer,
    load_drums,
    load_sequences,
    load_timbre,
    read_digests,
    read_weights,
    weights_folder,
)

# Another version where equal conditions and seed give other samples: 2 chooses drafts by a clear key, in 3
# the partials of held notes move.
NAME, VERSION = "embedded", "3"
CPU = "cpu"
# Shorter than a form of two bars with its ending is no piece; longer ones only repeat their sections.
MIN_SECONDS, MAX_SECONDS = 5.0, 300.0
MAX_SEED = 2**63 - 1
# The weights fall under the licence of this project (SPDX reference).
LICENCE = "LicenseRef-Provenote"
TRAINING_CORPUS = (
    "public-domain dance tunes (music21 10.5.1 corpus: oneills1850, airdsAirs, ryansMammoth, miscFolk); "
    "harmony from Bach's chorales (the same corpus); "
    "timbres and drums from FluidR3_GM (MIT)"
)
TRAINING_CLASSES = ("licensed", "public-domain")


def open_embedded(setup: EngineSetup) -> "EmbeddedEngine":
    """Open it as one kind among others (`generator.kinds`); it takes no folder and no options."""
    if setup.folder is not None:
        raise EngineError(
            f"engine {setup.name}: the embedded engine has its own weights, and takes no folder"
        )
    setup.refuse_unknown()
    return open_embedded_engine(setup)


def open_embedded_engine(setup: EngineSetup | None = None) -> "EmbeddedEngine":
    """Read, check and load the weights.

    Raises
    ------
    WeightsError
        A file is missing or is not the published one.
    EngineError
        The device to play on is not there.
    """
    folder = weights_folder()
    digests = read_digests(folder)
    data = {name: read_weights(folder, name, digests[name]) for name in FILES}
    timbre, device = load_timbre(data[TIMBRE]), CPU if setup is None else setup.device
    try:
        timbre = timbre.to(device)
    except (RuntimeError, AssertionError) as error:  # what torch raises without CUDA, without a GPU
        raise EngineError(f"expected a device {device} to play on, got {error}") from error
    return EmbeddedEngine(
        load_composer(data[COMPOSER]),
        timbre,
        load_drums(data[DRUMS]),
        load_chords(data[CHORDS]),
        load_sequences(data[TUNES]),
        digests,
        royalty_class=None if setup is None else setup.royalty_class,
        device=device,
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: sums then come in one order, and vector loops end at the same places."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class EmbeddedEngine:
    """Composer, arranger and synthesiser behind the engine interface."""

    def __init__(
        self,
        composer: Composer,
        timbre: TimbreNetwork,
        drums: DrumKit,
        chords: ChordModel,
        sequences: NDArray[np.uint32],
        digests: Mapping[str, str],
        *,
        royalty_class: str | None = None,
        device: str = CPU,
    ) -> None:
        self._royalty_class = royalty_class
        self._composer, self._timbre, self._drums, self._chords = composer, timbre, drums, chords
        self._sequences = sequences
        self._digests = dict(digests)
        self._device = device

    def describe(self) -> EngineDescription:
        """Limits, inputs and origin of the embedded engine."""
        return EngineDescription(
            name=NAME,
            version=VERSION,
            sample_rate=SAMPLE_RATE,
            channels=2,
            min_seconds=MIN_SECONDS,
            max_seconds=MAX_SECONDS,
            accepts=("text", "abc"),
            parameters=PARAMETERS,
            deterministic=self._device == CPU,
            licence=LICENCE,
            training_corpus=TRAINING_CORPUS,
            training_classes=TRAINING_CLASSES,
            royalty_class=self._royalty_class,
            device=self._device,
            weights=dict(self._digests),
        )

    def perform(
        self,
        request: Request,
        sink: Sink,
        *,
        progress: Progress = report_nothing,
        cancelled: CancelCheck = never_cancelled,
    ) -> Account:
        """Make a piece of about request.seconds, written block by block; see `Engine.perform`."""
        check_request(request)
        cpu_s = time.thread_time()  # all of the work is on this thread

        def step(stage: str, fraction: float) -> None:
            if cancelled():
                raise Cancelled(stage)
            progress(stage, fraction)

        clock = [time.monotonic()]
        timings: dict[str, float] = {}

        def stop_clock(stage: str) -> None:
            clock.append(time.monotonic())
            timings[stage] = round(clock[-1] - clock[-2], 3)

        opening = read_opening(request.abc) if request.abc is not None else None
        settings = read_prompt(request.prompt, request.parameters, seed=request.seed)
        if opening is not None:
            settings = opening.settle(settings)
        form = plan_form(settings, request.seconds)
        if opening is not None:
            form = opening.fit(form)
        with one_thread():
            tune, copying = compose_tune(
                self._composer,
                self._sequences,
                self._digests[TUNES],
                settings,
                form,
                opening,
                seed=request.seed,
                progress=lambda fraction: step("compose", fraction),
            )
            stop_clock("compose")
            step("arrange", 0.0)
            chords = harmonise(tune, self._chords)
            title = " ".join(request.prompt.split())[:120] or "untitled"
            random = np.random.default_rng((request.seed, 2))
            score = arrange(tune, chords, form, settings, title=title, random=random)
            parts = write_parts(tune, chords, settings)
            abc = format_tune(tune, chords=chords, parts=parts, title=title, tempo_bpm=form.tempo_bpm)
            midi = format_midi(score)
            stop_clock("arrange")
            expected = count_blocks(score)
            at_once = 1 if self._device == CPU else BATCH_BLOCKS
            blocks = render_blocks(self._timbre, self._drums, score, seed=request.seed, at_once=at_once)
            for number, block in enumerate(blocks):
                step("render", min(1.0, number / expected))
                sink.write(block, sample_rate=SAMPLE_RATE)
            stop_clock("render")
        understood = {**settings.understood, "seconds": f"{request.seconds:g}"}
        understood["bars"] = f"{form.total_bars} at {form.tempo_bpm:g} quarter notes per minute"
        progress("done", 1.0)
        return Account(
            score=score,
            abc=abc,
            midi=midi,
            model=self._identity(),
            understood=understood,
            seed=request.seed,
            timings_s=timings,
            training_corpus=TRAINING_CORPUS,
            copy_check=copying,
            cpu_s=time.thread_time() - cpu_s,
        )

    def generate(
        self,
        request: Request,
        *,
        progress: Progress = report_nothing,
        cancelled: CancelCheck = never_cancelled,
    ) -> Result:
        """Make a piece and return it whole, with its audio; errors as `perform`."""
        return collect_result(self, request, progress=progress, cancelled=cancelled)

    def _identity(self) -> ModelIdentity:
        libraries = {
            name: library_version(name) for name in ("torch", "numpy", "scipy", "mido", "safetensors")
        }
        libraries["python"] = platform.python_version()
        return ModelIdentity(NAME, VERSION, dict(self._digests), LICENCE, libraries)


def check_request(request: Request) -> None:
    """Refuse a request that cannot be served, before any work."""
    seconds = request.seconds
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise RequestError(f"expected a length in seconds, got {seconds!r}")
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise RequestError(
            f"expected a length of {MIN_SECONDS:g} to {MAX_SECONDS:g} seconds, got {seconds:g}"
        )
    if (
        isinstance(request.seed, bool)
        or not isinstance(request.seed, int)
        or not 0 <= request.seed <= MAX_SEED
    ):
        raise RequestError(f"expected a seed of 0 to {MAX_SEED}, got {request.seed!r}")
