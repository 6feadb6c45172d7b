"""Secrets that are made when they are first needed: by whichever process is first, for all of them."""

import secrets
from pathlib import Path

from ledger.errors import KeyFileError
from ledger.keyfile import SECRET_BYTES, load_secret, save_secret


def open_secret(path: Path) -> bytes:
    """Return the secret bytes in a file, which is made where it is missing.

    Raises
    ------
    ledger.KeyFileError
        It cannot be made or read.
    """
    if not path.exists():
        try:
            save_secret(path, secrets.token_bytes(SECRET_BYTES))
        except KeyFileError:
            if not path.exists():  # otherwise another process was first, and its secret is ours too
                raise
    return load_secret(path)
