"""Opening music engines, with a clear word where one cannot be had; and the only way to have one play.

An engine that is opened here plays onto a tape (`api.tape`) and nowhere else, and tapes are for the issue
flow: so what it plays is marked, signed and logged before anybody hears it.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

import generator
from generator.engine import (
    ROYALTY_CLASSES,
    TRAINING_CLASSES,
    Account,
    EngineDescription,
    Request,
)
from generator.kinds import SHIPPED, find_kind, list_kinds, open_engine
from generator.setup import EngineSetup
from generator.transcription import MAX_MIDI_BYTES, transcribe_midi

from .enginefile import EMBEDDED, ConfiguredEngine, read_engines
from .errors import GeneratorMissingError
from .marking import CancelCheck, Progress, never_cancelled, report_nothing
from .settings import Settings
from .tape import Tape

__all__ = [
    "EMBEDDED",
    "MAX_MIDI_BYTES",
    "ROYALTY_CLASSES",
    "TRAINING_CLASSES",
    "Account",
    "EngineDescription",
    "EngineListing",
    "EngineRack",
    "LoadedEngine",
    "Request",
    "list_engines",
    "load_engine",
    "transcribe_midi",
]


@dataclass(frozen=True)
class LoadedEngine:
    """An opened engine: what it says of itself, the power declared for it, and how to have it play."""

    description: EngineDescription
    watts: int | None
    _engine: generator.Engine = field(repr=False)

    def perform(
        self,
        request: Request,
        tape: Tape,
        *,
        progress: Progress = report_nothing,
        cancelled: CancelCheck = never_cancelled,
    ) -> Account:
        """Have it play onto a tape.

        Raises
        ------
        generator.GeneratorError
            The request cannot be served, was cancelled, or the engine broke; or it played nothing.
        """
        if not isinstance(tape, Tape):
            raise TypeError(f"engines play onto tapes alone, got {type(tape).__name__}")
        account = self._engine.perform(request, tape, progress=progress, cancelled=cancelled)
        if tape.samples == 0:
            raise generator.EngineError(f"engine {self.description.name} played nothing")
        return account


@dataclass(frozen=True)
class EngineListing:
    """An engine that can be asked for: its setup, who brings its kind, and why it cannot be opened, if so."""

    setup: EngineSetup
    package: str
    summary: str
    problem: str | None


def load_engine(configured: ConfiguredEngine | None = None) -> LoadedEngine:
    """Open an engine, the embedded one by default; its weights are checked and loaded now.

    Raises
    ------
    GeneratorMissingError
        The libraries of its kind are not installed.
    generator.GeneratorError
        No such kind; its weights are missing or changed; it is not set up as it must be.
    """
    configured = configured or ConfiguredEngine(EngineSetup(EMBEDDED, EMBEDDED))
    kind = find_kind(configured.setup.kind)
    try:
        engine = open_engine(configured.setup)
    except ImportError as error:
        extra = kind.extra or "generator"
        needs = (
            f"the extra '{extra}' (pip install 'provenote[{extra}]')"
            if kind.name in SHIPPED
            else kind.package
        )
        raise GeneratorMissingError(f"engine {configured.setup.name} needs {needs}: {error}") from error
    return LoadedEngine(engine.describe(), configured.watts, engine)


def list_engines(engines: Mapping[str, ConfiguredEngine]) -> list[EngineListing]:
    """Return what can be asked for: engines that are set up, then plug-ins that nobody set up."""
    setups = [item.setup for item in engines.values()]
    setups += [
        EngineSetup(kind.name, kind.name)
        for kind in list_kinds()
        if kind.name not in SHIPPED and kind.name not in engines
    ]
    return [_list(setup) for setup in setups]


def is_installed(library: str) -> bool:
    """Say whether a library is there, without importing it."""
    try:
        return find_spec(library) is not None
    except ModuleNotFoundError:
        return False  # somebody has barred its import


def _list(setup: EngineSetup) -> EngineListing:
    try:
        kind = find_kind(setup.kind)
    except generator.RequestError as error:
        return EngineListing(setup, "", "", str(error))
    problem = None
    missing = [name for name in kind.libraries if not is_installed(name)]
    if missing:
        problem = f"{', '.join(missing)} not installed: pip install 'provenote[{kind.extra}]'"
    elif setup.folder is not None and not setup.folder.is_dir():
        problem = f"{setup.folder}: no such folder"
    return EngineListing(setup, kind.package, kind.summary, problem)


class EngineRack:
    """The engines of one program: each is loaded when it is first asked for, which takes seconds to minutes.

    One is kept beside the embedded engine: another that is asked for takes its place, so that two large
    models are not in memory together.
    """

    def __init__(self, engines: Mapping[str, ConfiguredEngine]) -> None:
        self._engines = dict(engines)
        self._lock = threading.Lock()
        self._loaded: dict[str, LoadedEngine] = {}

    @classmethod
    def of(cls, settings: Settings) -> "EngineRack":
        """Return the rack of a ledger folder; SettingsError where its file is not as it should be."""
        return cls(read_engines(settings))

    def list(self) -> list[EngineListing]:
        """Return what can be asked for."""
        return list_engines(self._engines)

    def find(self, name: str) -> ConfiguredEngine:
        """Return the setup of an engine by name; generator.RequestError where there is none."""
        listed = {item.setup.name: item.setup for item in self.list()}
        if name not in listed:
            raise generator.RequestError(f"expected an engine out of {', '.join(listed)}, got {name!r:.80}")
        return self._engines.get(name) or ConfiguredEngine(listed[name])

    def get(self, name: str = EMBEDDED) -> LoadedEngine:
        """Return an engine, loaded at the first call; errors as `find` and `load_engine`."""
        configured = self.find(name)
        with self._lock:
            if name not in self._loaded:
                if name != EMBEDDED:
                    self._loaded = {key: item for key, item in self._loaded.items() if key == EMBEDDED}
                self._loaded[name] = load_engine(configured)
            return self._loaded[name]
