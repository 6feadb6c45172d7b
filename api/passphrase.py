"""Where a passphrase comes from: a file, the environment, or a prompt; never an argument, which others can
see in the list of processes.
"""

import getpass
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from .console import errors
from .errors import RefusedError

VARIABLE = "PROVENOTE_PASSPHRASE"
MAX_FILE_BYTES = 4096


def read_passphrase(file: Path | None, *, confirm: bool, environment: Mapping[str, str] | None = None) -> str:
    """Return the passphrase: of `file` (its first line), else of the environment, else asked for.

    Parameters
    ----------
    confirm : ask twice, for a passphrase that is to be used first now

    Raises
    ------
    RefusedError
        There is none: an empty file, no terminal to ask on, or two different answers.
    OSError
        The file cannot be read.
    """
    environment = os.environ if environment is None else environment
    if file is not None:
        found = _read_file(file)
    elif environment.get(VARIABLE):
        found = environment[VARIABLE]
    elif sys.stdin.isatty():
        found = getpass.getpass("Passphrase: ")
        if confirm and getpass.getpass("The same again: ") != found:
            raise RefusedError("the two passphrases are not the same")
    else:
        raise RefusedError(f"no passphrase: give --passphrase-file, set {VARIABLE}, or use a terminal")
    if not found:
        raise RefusedError("the passphrase is empty")
    return found


def _read_file(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
        open_to_others = os.fstat(file.fileno()).st_mode & 0o077
    if len(content) > MAX_FILE_BYTES:
        raise RefusedError(f"{path}: expected a passphrase of at most {MAX_FILE_BYTES} bytes, got more")
    if open_to_others and path.is_file():
        errors.print(f"warning: {path} can be read by others (mode 0600 keeps it secret)", markup=False)
    return content.split(b"\n")[0].removesuffix(b"\r").decode("utf-8", "surrogateescape")
