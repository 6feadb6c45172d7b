"""The embedded engine: prompt -> settings -> form -> tune -> harmony -> score -> sound, all from the files here.

Deterministic: every random choice comes from generators derived from the request's seed, and the arithmetic runs on
one thread, so equal requests give equal samples on one machine whatever its number of threads.
"""

import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version as library_version

import numpy as np
import torch
from numpy.typing import NDArray

from .arrangement import arrange
from .composer import Composer
from .copying import RUN_LIMIT_NOTES, check_copying
from .engine import (
    CancelCheck,
    CopyCheck,
    EngineDescription,
    ModelIdentity,
    Progress,
    Request,
    Result,
    never_cancelled,
    report_nothing,
)
from .errors import Cancelled, GeneratorError, RequestError
from .form import TAIL_S, Form, plan_form
from .harmony import harmonise
from .instruments import BY_NAME, EMBEDDING_ROW
from .midi import format_midi
from .mixing import add_room, pan_mono, set_level
from .notation import format_tune
from .opening import Opening, read_opening
from .prompt import PARAMETERS, Settings, read_prompt
from .sampling import draw_tunes
from .score import Score
from .synthesis import TimedNote, render_part
from .timbre import SAMPLE_RATE, TimbreNetwork
from .tokens import TOKEN_ID, decode_tokens
from .tune import Tune
from .weights import (
    COMPOSER,
    TIMBRE,
    TUNES,
    load_composer,
    load_sequences,
    load_timbre,
    read_digests,
    read_weights,
    weights_folder,
)

NAME, VERSION = "embedded", "1"
MIN_SECONDS, MAX_SECONDS = 5.0, 600.0
MAX_SEED = 2**63 - 1
DRAFTS = 4
# After so many rounds of drafts that all copy too much, give up loudly.
MAX_ROUNDS = 5
LICENCE = "Apache-2.0"
TRAINING_CORPUS = (
    "public-domain dance tunes (music21 10.5.1 corpus: oneills1850, airdsAirs, ryansMammoth, miscFolk); "
    "timbre from FluidR3_GM (MIT)"
)


def open_embedded_engine() -> "EmbeddedEngine":
    """Read, check and load the weights.

    Raises
    ------
    WeightsError
        A file is missing or is not the published one.
    """
    folder = weights_folder()
    digests = read_digests(folder)
    data = {name: read_weights(folder, name, digests[name]) for name in (COMPOSER, TIMBRE, TUNES)}
    return EmbeddedEngine(
        load_composer(data[COMPOSER]), load_timbre(data[TIMBRE]), load_sequences(data[TUNES]), digests
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
        sequences: NDArray[np.uint32],
        digests: Mapping[str, str],
    ) -> None:
        self._composer, self._timbre, self._sequences = composer, timbre, sequences
        self._digests = dict(digests)

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
            deterministic=True,
            licence=LICENCE,
            training_corpus=TRAINING_CORPUS,
        )

    def generate(
        self,
        request: Request,
        *,
        progress: Progress = report_nothing,
        cancelled: CancelCheck = never_cancelled,
    ) -> Result:
        """Make a piece of about request.seconds; see `Engine.generate`."""
        check_request(request)

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
            tune, copying = self._compose(settings, form, opening, request.seed, step)
            stop_clock("compose")
            step("arrange", 0.0)
            chords = harmonise(tune)
            title = " ".join(request.prompt.split())[:120] or "untitled"
            random = np.random.default_rng((request.seed, 2))
            score = arrange(tune, chords, form, settings, title=title, random=random)
            abc = format_tune(tune, chords=chords, title=title, tempo_bpm=form.tempo_bpm)
            midi = format_midi(score)
            stop_clock("arrange")
            audio = self._render(score, request.seed, step, stop_clock)
        understood = {**settings.understood, "seconds": f"{request.seconds:g}"}
        understood["bars"] = f"{form.total_bars} at {form.tempo_bpm:g} quarter notes per minute"
        progress("done", 1.0)
        return Result(
            audio=audio,
            sample_rate=SAMPLE_RATE,
            score=score,
            abc=abc,
            midi=midi,
            model=self._identity(),
            understood=understood,
            seed=request.seed,
            timings_s=timings,
            training_corpus=TRAINING_CORPUS,
            copy_check=copying,
        )

    def _identity(self) -> ModelIdentity:
        libraries = {
            name: library_version(name) for name in ("torch", "numpy", "scipy", "mido", "safetensors")
        }
        libraries["python"] = platform.python_version()
        return ModelIdentity(NAME, VERSION, dict(self._digests), LICENCE, libraries)

    def _compose(
        self, settings: Settings, form: Form, opening: Opening | None, seed: int, step: Progress
    ) -> tuple[Tune, CopyCheck]:
        """Draw drafts until one passes the copy check; of those that pass, the one of the calmest line."""
        header = [TOKEN_ID[w] for w in (f"M:{settings.metre}", f"K:{settings.mode}", f"R:{settings.rhythm}")]
        start = opening.tokens(settings) if opening is not None else header
        rejected = 0
        for attempt in range(MAX_ROUNDS):
            sequences = draw_tunes(
                self._composer,
                start,
                plan=form.sections,
                seed=(seed, 1, attempt),
                drafts=DRAFTS,
                progress=lambda fraction: step("compose", fraction),
            )
            passed: list[tuple[float, Tune, CopyCheck]] = []
            for sequence in sequences:
                tune = decode_tokens(sequence, tonic=settings.tonic)
                found = check_copying(tune, self._sequences, index_sha256=self._digests[TUNES])
                if found.longest_run >= RUN_LIMIT_NOTES:
                    rejected += 1
                    continue
                passed.append((melodic_quality(tune), tune, found))
            if passed:
                _, tune, found = max(passed, key=lambda item: item[0])
                return tune, replace(found, rejected=rejected)
        raise GeneratorError(
            f"expected a tune with no run of {RUN_LIMIT_NOTES} notes from the training tunes, got none in "
            f"{MAX_ROUNDS * DRAFTS} drafts; another seed or opening may help"
        )

    def _render(
        self, score: Score, seed: int, step: Progress, stop_clock: Callable[[str], None]
    ) -> NDArray[np.float32]:
        length_s = score.length_s + TAIL_S
        length = math.ceil(length_s * SAMPLE_RATE)
        audio = np.zeros((2, length), dtype=np.float32)
        for number, part in enumerate(score.parts):
            notes = []
            for note in part.notes:
                onset = score.tick_to_s(note.onset)
                held = score.tick_to_s(note.onset + note.duration) - onset
                notes.append(TimedNote(note.pitch, onset, held, note.velocity))

            def part_progress(fraction: float, number: int = number) -> None:
                step("render", (number + fraction) / len(score.parts))

            mono = render_part(
                self._timbre,
                notes,
                BY_NAME[part.instrument],
                EMBEDDING_ROW[part.instrument],
                length_samples=length,
                random=np.random.default_rng((seed, 3, number)),
                progress=part_progress,
            )
            audio += pan_mono(mono, part.pan, part.gain_db)
        stop_clock("render")
        step("mix", 0.0)
        audio = add_room(audio, SAMPLE_RATE)
        fade = int(0.3 * SAMPLE_RATE)
        audio[:, -fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
        audio = set_level(audio, SAMPLE_RATE)
        assert bool(np.isfinite(audio).all())
        stop_clock("mix")
        return audio


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


def melodic_quality(tune: Tune) -> float:
    """How singable a line is: few leaps beyond a sixth, some variety, not the same note over and over."""
    steps = [n.step for s in tune.sections for b in s.bars for n in b if n.step is not None]
    moves = np.abs(np.diff(np.array(steps, dtype=np.int64)))
    if len(moves) == 0:
        return -10.0
    leaps, repeats = float((moves > 5).mean()), float((moves == 0).mean())
    bars = [b for s in tune.sections for b in s.bars]
    variety = len(set(bars)) / len(bars)
    return -3.0 * leaps - 1.5 * max(0.0, repeats - 0.25) - 2.0 * abs(variety - 0.75)
