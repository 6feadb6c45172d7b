"""Weights files: found in the package, checked against pinned SHA-256 digests, then loaded.

The digests are in weights/digests.json beside the files; the file is part of the code. A file with another
digest is refused: what a signed statement says about the model must be true.
"""

import hashlib
import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TypeVar

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays

from .chordmodel import ChordConfig, ChordModel
from .composer import Composer, ComposerConfig
from .drumkit import DrumKit
from .errors import WeightsError
from .timbre import TimbreConfig, TimbreNetwork

COMPOSER, TIMBRE, DRUMS = "composer.safetensors", "timbre.safetensors", "drums.safetensors"
CHORDS, TUNES = "chords.safetensors", "tunes.safetensors"
FILES = (COMPOSER, TIMBRE, DRUMS, CHORDS, TUNES)
MAX_FILE_BYTES = 32_000_000
_Model = TypeVar("_Model", bound=torch.nn.Module)


def weights_folder() -> Traversable:
    """Where the weights are installed."""
    return files("generator") / "weights"


def read_digests(folder: Traversable) -> dict[str, str]:
    """Pinned digests: file name -> SHA-256 in hex."""
    try:
        digests = json.loads((folder / "digests.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"expected the pinned digests in digests.json, got {error}") from error
    missing = sorted(set(FILES) - set(digests))
    if missing:
        raise WeightsError(f"expected a pinned digest for each weights file, got none for {missing[0]}")
    return {str(name): str(digest) for name, digest in digests.items()}


def read_weights(folder: Traversable, name: str, digest: str) -> bytes:
    """Bytes of one weights file, checked.

    Raises
    ------
    WeightsError
        The file is missing, too large, or not the published one.
    """
    try:
        with (folder / name).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"expected the weights file {name}, got {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise WeightsError(f"expected {name} with SHA-256 {digest}, got {found}")
    return data


def _config(data: bytes) -> dict[str, object]:
    """The configuration in a safetensors header."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return dict(json.loads(header["__metadata__"]["config"]))


def load_composer(data: bytes) -> Composer:
    """The composer in float32, ready for sampling."""
    model = Composer(ComposerConfig(**_config(data)))  # type: ignore[arg-type]
    return _fill(model, data)


def load_timbre(data: bytes) -> TimbreNetwork:
    """The timbre network in float32."""
    model = TimbreNetwork(TimbreConfig(**_config(data)))  # type: ignore[arg-type]
    return _fill(model, data)


def load_chords(data: bytes) -> ChordModel:
    """The chord model in float32."""
    config = _config(data)
    labels = tuple((int(root), str(quality), int(bass)) for root, quality, bass in config["labels"])  # type: ignore[attr-defined]
    return _fill(ChordModel(ChordConfig(labels, int(config["hidden"]), int(config["rank"]))), data)  # type: ignore[call-overload]


def load_drums(data: bytes) -> DrumKit:
    """The drum kit in float32."""
    return _fill(DrumKit(), data)


def _fill(model: _Model, data: bytes) -> _Model:
    state = safetensors.torch.load(data)
    model.load_state_dict({name: value.float() for name, value in state.items()})
    return model.eval()


def load_sequences(data: bytes) -> NDArray[np.uint32]:
    """Sorted hashes of the training tunes' note sequences."""
    return load_arrays(data)["sequences"].view(np.uint32)
