"""How an engine is set up: its kind, where its checkpoint lies, and what its operator declares about it.

The shell reads this from a file (`api.enginefile`); a plug-in's factory gets it as its only argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import EngineError


@dataclass(frozen=True, slots=True)
class EngineSetup:
    """One engine, as its operator set it up.

    name: by which it is asked for. kind: which factory opens it (`generator.kinds`). folder: its checkpoint.
    device: `cpu`, `cuda`, `cuda:1`. licence, training_corpus, training_classes, royalty_class: what the
    operator declares, None or empty where nothing. options: JSON members that only this kind knows.
    """

    name: str
    kind: str
    folder: Path | None = None
    device: str = "cpu"
    licence: str | None = None
    training_corpus: str | None = None
    training_classes: tuple[str, ...] = ()
    royalty_class: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def require_folder(self) -> Path:
        """Return the checkpoint folder; EngineError where none is given."""
        if self.folder is None:
            raise EngineError(f"engine {self.name}: expected a `folder` with its checkpoint, got none")
        return self.folder

    def refuse_unknown(self, *known: str) -> None:
        """Raise EngineError for options that this kind does not know."""
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            names = ", ".join(known) or "none"
            raise EngineError(f"engine {self.name}: expected options out of {names}, got {unknown[0]!r:.80}")

    def read_number(self, name: str, default: float, *, least: float, most: float) -> float:
        """Return an option that is a number within limits; EngineError for anything else."""
        value = self.options.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise EngineError(
                f"engine {self.name}: {name}: expected {least:g} to {most:g}, got {value!r:.40}"
            )
        return value

    def read_text(self, name: str, default: str | None = None) -> str:
        """Return an option that is a text; EngineError for anything else, or where it has no default."""
        value = self.options.get(name, default)
        if not isinstance(value, str) or not value:
            raise EngineError(f"engine {self.name}: {name}: expected a text, got {value!r:.80}")
        return value
