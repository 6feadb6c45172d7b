"""A checkpoint folder of somebody else's model: what is in it, and that nothing in it is run.

The digest is SHA-256 over the list of the files' digests, as `sha256sum` writes it, so that anybody can check
it. Files and folders whose names begin with a dot are left out (caches and notes of download tools):

    find -L . -type f -not -path '*/.*' -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum

Only weights in safetensors are loaded: a pickle can run code, and so can a Python file in the folder, which
is refused. Libraries are told to read local files alone; a folder that changes while it is read is refused.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import WeightsError

MAX_FILES = 2_000
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRANSFORMERS_OFFLINE": "1"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder as it was read: SHA-256 by relative path, and what the file system said of each file."""

    folder: Path
    files: Mapping[str, str]
    states: Mapping[str, tuple[int, int, int]]

    @property
    def sha256(self) -> str:
        """Digest over the whole folder, in hex."""
        listing = "".join(f"{digest}  {name}\n" for name, digest in self.files.items())
        return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()

    def check_unchanged(self) -> None:
        """Raise WeightsError if the folder is not as it was when its digest was taken."""
        found = {name: _state(path) for name, path in _list_files(self.folder)}
        if found != dict(self.states):
            changed = sorted(set(found.items()) ^ set(self.states.items()))
            raise WeightsError(f"{self.folder}: {changed[0][0]} changed while the model was loaded")


def read_checkpoint(folder: Path, *, loaded_here: bool = True) -> Checkpoint:
    """Hash every file of a checkpoint folder; `loaded_here` False where other people's code will read it.

    Raises
    ------
    WeightsError
        No such folder, or what cannot be read; where it is loaded here also: no safetensors, or code.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder}: expected a folder with a checkpoint")
    files, states = {}, {}
    try:
        for name, path in _list_files(folder):
            states[name] = _state(path)
            with path.open("rb") as file:
                files[name] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{error.filename or folder}: cannot be read: {error.strerror}") from error
    if not loaded_here:
        return Checkpoint(folder, files, states)
    code = [name for name in files if name.lower().endswith((".py", ".pyc", ".so"))]
    if code:
        raise WeightsError(f"{folder}: expected weights and settings alone, got code: {code[0]}")
    if not any(name.endswith(".safetensors") for name in files):
        raise WeightsError(f"{folder}: expected weights in safetensors, got none (pickles are not read)")
    return Checkpoint(folder, files, states)


def keep_offline() -> None:
    """Tell Hugging Face's libraries never to use the network; before they are imported."""
    os.environ.update(OFFLINE)


def _list_files(folder: Path) -> list[tuple[str, Path]]:
    """Files below a folder, by relative path in the order of their bytes; links to files are followed."""
    found = []
    for place, folders, names in os.walk(folder, onerror=_refuse):
        here = Path(place)
        folders[:] = [name for name in folders if not name.startswith(".")]
        linked = [name for name in folders if (here / name).is_symlink()]
        if linked:
            raise WeightsError(f"{here / linked[0]}: a link to a folder is not followed")
        for name in names:
            path = here / name
            if name.startswith("."):
                continue
            relative = str(path.relative_to(folder))
            if "\n" in relative or "\\" in relative or not path.is_file():
                raise WeightsError(f"{folder}: expected plain files, got {relative!r:.120}")
            found.append((relative, path))
            if len(found) > MAX_FILES:
                raise WeightsError(f"{folder}: expected at most {MAX_FILES} files, got more")
    return sorted(found, key=lambda item: os.fsencode(item[0]))


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _refuse(error: OSError) -> None:
    raise error
