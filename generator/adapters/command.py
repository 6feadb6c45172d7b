"""Any program as an engine: JSON on its standard input, a WAV file on its standard output. `kind: command`.

    {"kind": "command", "command": ["/opt/engine/run", "--fast"], "version": "3.1", "timeout_s": 600}

It reads one line, and nothing else:

    {"version": 1, "prompt": "slow waltz", "seconds": 30.0, "seed": 7, "abc": null, "parameters": {}}

`parameters` are those of the request that the setup lists. On standard error it may report how far it is,
`progress 0.4` on a line of its own; the last other lines are told when it fails. How it is bounded and ended:
`program.py`; programs on a GPU need much address space (`memory_mb`). What is stated as its weights is the
SHA-256 of the program file, and of its checkpoint folder where one is given.
"""

import hashlib
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO

import numpy as np
import soundfile

from ..checkpoint import read_checkpoint
from ..engine import (
    BLOCK_SAMPLES,
    Account,
    CancelCheck,
    EngineDescription,
    Progress,
    Request,
    Sink,
    never_cancelled,
    report_nothing,
)
from ..errors import EngineError, WeightsError
from ..setup import EngineSetup
from .program import Bounds, run_program
from .stating import UNSTATED, check_request, identify, refuse_score, refuse_unknown

PROTOCOL = 1


def open_engine(setup: EngineSetup) -> "CommandEngine":
    """Check the setup and take the digest of the program.

    Raises
    ------
    EngineError
        An option is not what it must be.
    WeightsError
        The program is not there, or cannot be run; the checkpoint folder is not as it must be.
    """
    setup.refuse_unknown(
        "command", "version", "timeout_s", "max_mb", "memory_mb", "max_seconds", "parameters", "abc"
    )
    command = setup.options.get("command")
    if not isinstance(command, list) or not command or not all(isinstance(item, str) for item in command):
        raise EngineError(f"engine {setup.name}: command: expected a list of texts, got {command!r:.120}")
    parameters = setup.options.get("parameters", {})
    if not isinstance(parameters, dict) or not all(isinstance(item, str) for item in parameters.values()):
        raise EngineError(f"engine {setup.name}: parameters: expected names with what they mean")
    if not isinstance(setup.options.get("abc", False), bool):
        raise EngineError(f"engine {setup.name}: abc: expected true or false")
    program = shutil.which(command[0])
    if program is None:
        raise WeightsError(f"engine {setup.name}: {command[0]} is no program that can be run here")
    with Path(program).open("rb") as file:
        weights = {"program": hashlib.file_digest(file, "sha256").hexdigest()}
    if setup.folder is not None:
        weights["checkpoint"] = read_checkpoint(setup.folder, loaded_here=False).sha256
    return CommandEngine(setup, [program, *command[1:]], weights, dict(parameters))


class CommandEngine:
    """A program that makes music."""

    def __init__(
        self, setup: EngineSetup, command: list[str], weights: dict[str, str], parameters: dict[str, str]
    ) -> None:
        self._setup, self._command, self._weights, self._parameters = setup, command, weights, parameters
        self._version = setup.read_text("version", UNSTATED)
        self._bounds = Bounds(
            timeout_s=setup.read_number("timeout_s", 900.0, least=0.1, most=86_400.0),
            max_bytes=int(setup.read_number("max_mb", 1_024, least=1, most=4_000)) << 20,
            memory_kib=int(setup.read_number("memory_mb", 8_192, least=16, most=16_000_000)) << 10,
        )
        self._most_s = setup.read_number("max_seconds", 600.0, least=1.0, most=7_200.0)

    def describe(self) -> EngineDescription:
        """Limits and origin, as the operator states them."""
        setup = self._setup
        return EngineDescription(
            name=setup.name,
            version=self._version,
            sample_rate=None,
            channels=None,
            min_seconds=1.0,
            max_seconds=self._most_s,
            accepts=("text", "abc") if self._takes_score else ("text",),
            parameters=self._parameters,
            deterministic=False,
            licence=setup.licence or UNSTATED,
            training_corpus=setup.training_corpus or UNSTATED,
            training_classes=setup.training_classes,
            royalty_class=setup.royalty_class,
            kind=setup.kind,
            device=setup.device,
            weights=dict(self._weights),
        )

    @property
    def _takes_score(self) -> bool:
        return bool(self._setup.options.get("abc", False))

    def perform(
        self,
        request: Request,
        sink: Sink,
        *,
        progress: Progress = report_nothing,
        cancelled: CancelCheck = never_cancelled,
    ) -> Account:
        """Run the program once and write what it gave; see `Engine.perform`."""
        check_request(request, most_s=self._most_s)
        refuse_unknown(request, tuple(self._parameters), self._setup.name)
        if not self._takes_score:
            refuse_score(request, self._setup.name)
        order = {
            "version": PROTOCOL,
            "prompt": request.prompt,
            "seconds": float(request.seconds),
            "seed": request.seed,
            "abc": request.abc,
            "parameters": dict(request.parameters),
        }
        started = time.monotonic()
        line = json.dumps(order).encode() + b"\n"
        with tempfile.TemporaryFile() as output:
            cpu_s = run_program(
                self._setup.name,
                self._command,
                line,
                output,
                self._bounds,
                progress=progress,
                cancelled=cancelled,
            )
            self._write(output, sink)
        return Account(
            model=identify(self._setup.name, self._version, self._weights, self._setup.licence, ()),
            understood={"prompt": "given to the program as it is", "seconds": f"{request.seconds:g}"},
            seed=request.seed,
            timings_s={"render": round(time.monotonic() - started, 3)},
            training_corpus=self._setup.training_corpus or UNSTATED,
            cpu_s=cpu_s,
        )

    def _write(self, output: IO[bytes], sink: Sink) -> None:
        """Read the WAV file block by block."""
        output.seek(0)
        try:
            with soundfile.SoundFile(output) as sound:
                if sound.format not in ("WAV", "WAVEX", "RF64"):
                    raise EngineError(f"engine {self._setup.name}: expected a WAV file, got {sound.format}")
                limit = round(self._most_s * sound.samplerate) + sound.samplerate
                total = 0
                while len(frames := sound.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)):
                    total += len(frames)
                    if total > limit:
                        raise EngineError(
                            f"engine {self._setup.name}: expected at most {self._most_s:g} s, got more"
                        )
                    sink.write(np.ascontiguousarray(frames.T), sample_rate=sound.samplerate)
        except soundfile.LibsndfileError as error:
            raise EngineError(
                f"engine {self._setup.name}: expected a WAV file on standard output: {error.error_string}"
            ) from error
        if total == 0:
            raise EngineError(f"engine {self._setup.name}: the WAV file holds no samples")
