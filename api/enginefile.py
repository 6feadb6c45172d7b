"""The engines that an operator set up: `engines.json` in the ledger folder, if it is there.

    {"musicgen": {"kind": "transformers", "folder": "/srv/models/musicgen-small", "device": "cuda",
                  "licence": "CC-BY-NC-4.0", "training_corpus": "20,000 hours of licensed music",
                  "training_classes": ["licensed"], "royalty_class": "non-commercial", "watts": 350},
     "house-style": {"kind": "command", "command": ["/opt/house/run"], "timeout_s": 600}}

`kind` is a shipped adapter or a plug-in (`generator.kinds`); members that are not named here are the kind's
own. `folder` is absolute or relative to the ledger folder. What is declared here goes into the statements of
all that the engine makes. `watts` is the power that the machine draws for it: then energy is that times the
time. An entry named `embedded` adds declarations to the embedded engine, which is there without one.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generator.engine import ROYALTY_CLASSES, TRAINING_CLASSES
from generator.setup import EngineSetup

from .errors import SettingsError
from .settings import Settings

FILE_NAME = "engines.json"
EMBEDDED = "embedded"
MAX_BYTES, MAX_ENGINES, MAX_TEXT_CHARACTERS, MAX_WATTS = 256 << 10, 64, 1_000, 1_000_000
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,3})?")
_OURS = (
    "kind",
    "folder",
    "device",
    "licence",
    "training_corpus",
    "training_classes",
    "royalty_class",
    "watts",
)


@dataclass(frozen=True)
class ConfiguredEngine:
    """An engine as set up; `watts` is the power that its operator declares, None where not."""

    setup: EngineSetup
    watts: int | None = None


def read_engines(settings: Settings) -> Mapping[str, ConfiguredEngine]:
    """Read the engines of a ledger folder by name, the embedded one first.

    Raises
    ------
    SettingsError
        The file cannot be read or is not what it should be.
    """
    path = settings.home / FILE_NAME
    engines = {EMBEDDED: ConfiguredEngine(EngineSetup(EMBEDDED, EMBEDDED))}
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return engines
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise SettingsError(f"{path}: expected at most {MAX_BYTES} bytes, got more")
    try:
        document = json.loads(content)
    except ValueError as error:
        raise SettingsError(f"{path}: expected JSON: {error}") from error
    if not isinstance(document, dict) or len(document) > MAX_ENGINES:
        raise SettingsError(f"{path}: expected an object of at most {MAX_ENGINES} engines by name")
    for name, members in document.items():
        if not _NAME.fullmatch(name):
            raise SettingsError(f"{path}: expected a name of a-z 0-9 . -, got {name!r:.80}")
        if not isinstance(members, dict):
            raise SettingsError(f"{path}: {name}: expected an object, got {members!r:.80}")
        try:
            engines[name] = _parse(settings, name, members)
        except ValueError as error:
            raise SettingsError(f"{path}: {name}: {error}") from error
    return engines


def _parse(settings: Settings, name: str, members: Mapping[str, Any]) -> ConfiguredEngine:
    """Read one engine; ValueError for what is not as it should be."""
    kind = members.get("kind", EMBEDDED if name == EMBEDDED else None)
    if not isinstance(kind, str) or not kind:
        raise ValueError(f"kind: expected a text, got {kind!r:.80}")
    if (name == EMBEDDED) != (kind == EMBEDDED):
        raise ValueError(f"kind: the embedded engine is called {EMBEDDED}, and no other is")
    folder = _take_text(members, "folder")
    device = _take_text(members, "device") or "cpu"
    if not _DEVICE.fullmatch(device):
        raise ValueError(f"device: expected cpu, cuda or cuda:N, got {device!r:.40}")
    royalty = _take_text(members, "royalty_class")
    if royalty is not None and royalty not in ROYALTY_CLASSES:
        raise ValueError(f"royalty_class: expected one of {', '.join(ROYALTY_CLASSES)}, got {royalty!r:.80}")
    classes = members.get("training_classes", [])
    if not isinstance(classes, list) or any(item not in TRAINING_CLASSES for item in classes):
        raise ValueError(f"training_classes: expected some of {', '.join(TRAINING_CLASSES)}")
    watts = members.get("watts")
    if watts is not None and (
        isinstance(watts, bool) or not isinstance(watts, int) or not 1 <= watts <= MAX_WATTS
    ):
        raise ValueError(f"watts: expected a whole number from 1 to {MAX_WATTS}, got {watts!r:.40}")
    setup = EngineSetup(
        name=name,
        kind=kind,
        folder=None if folder is None else settings.home / folder,
        device=device,
        licence=_take_text(members, "licence"),
        training_corpus=_take_text(members, "training_corpus"),
        training_classes=tuple(sorted(set(classes))),
        royalty_class=royalty,
        options={key: value for key, value in members.items() if key not in _OURS},
    )
    return ConfiguredEngine(setup, watts)


def _take_text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT_CHARACTERS or not value.isprintable():
        raise ValueError(
            f"{name}: expected 1 to {MAX_TEXT_CHARACTERS} printable characters, got {value!r:.80}"
        )
    return value
