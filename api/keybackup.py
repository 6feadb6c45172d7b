"""The folder of secret keys in one file, sealed under a passphrase.

    provenote-keys-backup/v1
    kdf scrypt 17 8 1 3f1d8e0c5b7a92e4d6c1b0a99f8e7d6c
    cipher chacha20-poly1305 a1b2c3d4e5f60718293a4b5c
    <empty line>
    ... the sealed files, in base64, one line ...

As in `api.keyarchive`: scrypt (RFC 7914), ChaCha20-Poly1305 (RFC 8439), everything up to and with the empty
line as associated data. What is sealed is canonical JSON: {"files": {"NAME": "base64", ...}}.
"""

import base64
import binascii
import re
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from ledger.canonical import check_members, format_json, parse_object
from ledger.errors import FormatError

from .errors import BackupError, RefusedError, WriteError
from .keyarchive import (
    LOG_N,
    LOG_N_RANGE,
    MIN_PASSPHRASE_CHARACTERS,
    NONCE_BYTES,
    SALT_BYTES,
    SCRYPT_P,
    SCRYPT_R,
    derive_seal_key,
)

TITLE = "provenote-keys-backup/v1"
PERSONS = "persons"
"""Folder of the keys that persons' values are sealed under: erasing somebody is destroying theirs."""
MAX_BYTES = 64 << 20
_HEADER = re.compile(
    rf"{TITLE}\n"
    rf"kdf scrypt ([1-9][0-9]) {SCRYPT_R} {SCRYPT_P} ([0-9a-f]{{{2 * SALT_BYTES}}})\n"
    rf"cipher chacha20-poly1305 ([0-9a-f]{{{2 * NONCE_BYTES}}})\n\n"
)
_NAME = re.compile(rf"({PERSONS}/)?[A-Za-z0-9_-][A-Za-z0-9._-]*")


def check_passphrase(passphrase: str) -> None:
    """Raise RefusedError for a passphrase of fewer than 12 characters."""
    if len(passphrase) < MIN_PASSPHRASE_CHARACTERS:
        raise RefusedError(
            f"expected a passphrase of {MIN_PASSPHRASE_CHARACTERS} characters or more, got {len(passphrase)}"
        )


def seal_folder(folder: Path, passphrase: str, *, persons: bool = False, log_n: int = LOG_N) -> bytes:
    """Return the files of a folder of keys, sealed; those of persons only if asked for.

    Raises
    ------
    RefusedError
        A passphrase of fewer than 12 characters.
    WriteError
        A key file cannot be read.
    """
    check_passphrase(passphrase)
    files = {}
    try:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and _NAME.fullmatch(name) and (persons or not name.startswith(PERSONS)):
                files[name] = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise WriteError(f"{folder}: the keys cannot be read: {error.strerror}") from error
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    header = (
        f"{TITLE}\nkdf scrypt {log_n} {SCRYPT_R} {SCRYPT_P} {salt.hex()}\n"
        f"cipher chacha20-poly1305 {nonce.hex()}\n\n"
    ).encode("ascii")
    cipher = ChaCha20Poly1305(derive_seal_key(passphrase, salt, log_n))
    return header + base64.b64encode(cipher.encrypt(nonce, format_json({"files": files}), header)) + b"\n"


def open_folder(content: bytes, passphrase: str) -> dict[str, bytes]:
    """Return the key files of a sealed folder by name.

    Raises
    ------
    BackupError
        Not such a file, damaged, or another passphrase.
    """
    found = _HEADER.match(content[:400].decode("ascii", "replace"))
    if found is None or len(content) > MAX_BYTES or int(found[1]) not in LOG_N_RANGE:
        raise BackupError(f"expected sealed keys ({TITLE}), got something else")
    header = content[: found.end()]
    key = derive_seal_key(passphrase, bytes.fromhex(found[2]), int(found[1]))
    try:
        sealed = base64.b64decode(content[found.end() :].removesuffix(b"\n"), validate=True)
        plain = ChaCha20Poly1305(key).decrypt(bytes.fromhex(found[3]), sealed, header)
        files = check_members(parse_object(plain, max_bytes=MAX_BYTES), {"files"}, "keys")["files"]
        if not isinstance(files, dict) or not all(_NAME.fullmatch(name) for name in files):
            raise BackupError("the sealed keys have a file with a name that no key has")
        return {name: base64.b64decode(text, validate=True) for name, text in files.items()}
    except (InvalidTag, binascii.Error, FormatError) as error:
        raise BackupError("the passphrase does not open the sealed keys, or they are damaged") from error
