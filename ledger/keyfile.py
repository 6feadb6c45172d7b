"""Secrets in files that only their owner can read.

A signing key is a PKCS#8 PEM; a secret of 32 bytes, or of 64 as some watermark keys have, is one line of
hex digits. Files are made with mode 0600 and never replaced; one that others may read is refused when loaded,
since its secret may be out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

from .canonical import check_hex
from .errors import FormatError, KeyFileError
from .keys import SigningKey

SECRET_BYTES = 32
LONG_SECRET_BYTES = 64
MAX_FILE_BYTES = 4096


def save_signing_key(path: str | os.PathLike[str], signing_key: SigningKey) -> None:
    """Write a new key file, mode 0600, synced to the disk with its folder.

    Raises
    ------
    KeyFileError : the file exists already (a key is never overwritten), or cannot be written
    """
    _write_new(Path(path), signing_key.pem())


def load_signing_key(path: str | os.PathLike[str]) -> SigningKey:
    """Read a key file; KeyFileError when missing, open to others, or not an Ed25519 key."""
    try:
        return SigningKey.from_pem(_read_private(Path(path)))
    except FormatError as error:
        raise KeyFileError(f"{path}: {error}") from error


def save_secret(path: str | os.PathLike[str], secret: bytes) -> None:
    """Write a new file with a secret of 32 or 64 bytes as hex digits and a newline; errors as
    `save_signing_key`.
    """
    if len(secret) not in (SECRET_BYTES, LONG_SECRET_BYTES):
        raise ValueError(
            f"expected a secret of {SECRET_BYTES} or {LONG_SECRET_BYTES} bytes, got {len(secret)}"
        )
    _write_new(Path(path), secret.hex().encode("ascii") + b"\n")


def load_secret(path: str | os.PathLike[str], *, lengths: Collection[int] = (SECRET_BYTES,)) -> bytes:
    """Read a secret of one of `lengths` bytes; KeyFileError when missing, open to others, or not hex."""
    content = _read_private(Path(path))
    try:
        text = content.decode("ascii").removesuffix("\n")
        octets = len(text) // 2 if len(text) // 2 in lengths else SECRET_BYTES
        return check_hex(text, str(path), octets=octets)
    except (FormatError, UnicodeDecodeError):
        # The content is not repeated in the message: it may be a secret in another format.
        digits = " or ".join(str(2 * octets) for octets in lengths)
        raise KeyFileError(f"{path}: expected {digits} hex digits and a newline") from None


def _write_new(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise KeyFileError(f"{path}: a key file is never overwritten, and this one exists") from error
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # the umask may only have narrowed it
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileError(f"{path}: expected a regular file")
            if mode & 0o077:
                raise KeyFileError(
                    f"{path}: expected mode 0600, got {stat.S_IMODE(mode):04o}: others may have read it"
                )
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise KeyFileError(f"{path}: expected at most {MAX_FILE_BYTES} bytes, got more")
    return content
