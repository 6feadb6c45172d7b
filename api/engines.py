"""Opening a music generator, with a clear word where its libraries are not installed."""

import threading

import generator

from .errors import GeneratorMissingError


def load_engine(name: str = "embedded") -> generator.Engine:
    """Open an engine; its weights are loaded now.

    Raises
    ------
    GeneratorMissingError
        torch, or another library of the extra `generator`, is not installed.
    generator.GeneratorError
        No such engine, or its weights are missing or changed.
    """
    try:
        return generator.open_engine(name)
    except ImportError as error:
        raise GeneratorMissingError(
            f"generating needs the extra 'generator' (pip install 'provenote[generator]'): {error}"
        ) from error


class EngineSlot:
    """Holds an engine once it was asked for: its weights take seconds to load."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: generator.Engine | None = None

    def get(self) -> generator.Engine:
        """Return the engine, loaded at the first call; errors as `load_engine`."""
        with self._lock:
            if self._engine is None:
                self._engine = load_engine()
            return self._engine
