"""Kinds of engines: those shipped here, and those that other packages add by an entry point.

A package adds a kind in its pyproject.toml:

    [project.entry-points."provenote.engines"]
    my-engine = "my_package.engine:open_engine"

where `open_engine(setup: EngineSetup)` returns an `Engine`. A plug-in cannot take the name of a shipped kind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from .engine import Engine
from .errors import EngineError, RequestError
from .setup import EngineSetup

GROUP = "provenote.engines"
EngineFactory = Callable[[EngineSetup], Engine]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of engine.

    target: `module:function` of its factory. package: the distribution that brings it. extra: the extra of
    this project that it needs, None for a plug-in or for none. libraries: modules that must be there.
    """

    name: str
    target: str
    package: str
    summary: str
    extra: str | None = None
    libraries: tuple[str, ...] = ()


_HERE = "provenote"
SHIPPED: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "embedded",
            "generator.embedded:open_embedded",
            _HERE,
            "composer and synthesiser of this project",
            "generator",
            ("torch", "safetensors", "mido"),
        ),
        Kind(
            "transformers",
            "generator.adapters.musicgen:open_engine",
            _HERE,
            "MusicGen by Hugging Face transformers, from a local checkpoint folder",
            "engines",
            ("torch", "transformers"),
        ),
        Kind(
            "diffusers",
            "generator.adapters.diffusion:open_engine",
            _HERE,
            "audio pipelines of Hugging Face diffusers (Stable Audio, ACE-Step ...), from a local folder",
            "engines",
            ("torch", "diffusers"),
        ),
        Kind(
            "audiolm",
            "generator.adapters.audiolm:open_engine",
            _HERE,
            "AudioLM of audiolm-pytorch, made by a factory of yours",
            "generator",
            ("torch",),
        ),
        Kind(
            "command",
            "generator.adapters.command:open_engine",
            _HERE,
            "any program: JSON on its standard input, WAV on its standard output",
        ),
    )
}


def list_kinds() -> tuple[Kind, ...]:
    """Return every kind, the shipped ones first; nothing is imported for it."""
    return (*SHIPPED.values(), *(_describe(point) for point in _find_points()))


def find_kind(name: str) -> Kind:
    """Return a kind by its name; RequestError for one that is not there."""
    kinds = {kind.name: kind for kind in list_kinds()}
    if name not in kinds:
        raise RequestError(f"expected an engine out of {', '.join(kinds)}, got {name!r:.80}")
    return kinds[name]


def open_engine(setup: EngineSetup | str = "embedded") -> Engine:
    """Open an engine: checks and loads its weights.

    Raises
    ------
    RequestError
        No such kind.
    WeightsError, EngineError
        Its weights are missing or not as they must be; it is not set up as it must be.
    ImportError
        Its libraries are not installed.
    """
    if isinstance(setup, str):
        setup = EngineSetup(setup, setup)
    kind = find_kind(setup.kind)
    if kind.name in SHIPPED:
        module, _, function = kind.target.partition(":")
        # Here and not at the top: this module must work, and be quick, without torch.
        factory = getattr(import_module(module), function)
    else:
        factory = next(point for point in _find_points() if point.name == kind.name).load()
    engine = factory(setup)
    for method in ("describe", "perform"):
        if not callable(getattr(engine, method, None)):
            raise EngineError(
                f"engine {setup.name}: {kind.target} of {kind.package} returned {type(engine).__name__}, "
                f"which has no method {method}"
            )
    opened: Engine = engine
    return opened


def _find_points() -> list[EntryPoint]:
    """Entry points of other packages, the first of a name alone, by name."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name not in SHIPPED:
            found.setdefault(point.name, point)
    return [found[name] for name in sorted(found)]


def _describe(point: EntryPoint) -> Kind:
    package = "unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    return Kind(point.name, point.value, package, f"plug-in of {package}")
