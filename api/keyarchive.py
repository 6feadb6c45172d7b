"""Watermark keys sealed under a passphrase: a text file to keep, print or carry to another machine.

    provenote-watermark-keys/v1
    names 5f0cba3c2d81e977 81aa04c8be11d2f0
    kdf scrypt 17 8 1 3f1d8e0c5b7a92e4d6c1b0a99f8e7d6c
    cipher chacha20-poly1305 a1b2c3d4e5f60718293a4b5c
    <empty line>
    kq3v... base64 of the sealed keys, 64 characters to a line ...
    <empty line>
    sha256 7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730

- `names`: public names of the keys in it, newest epoch first: which keys these are, and nothing else.
- `kdf`: scrypt (RFC 7914) with log2 N, r, p and the salt in hex; 17 8 1 takes 128 MiB and about half a
  second. The passphrase is UTF-8 in Unicode normal form C.
- `cipher`: ChaCha20-Poly1305 (RFC 8439) with its nonce in hex. Everything up to and with the first empty
  line is its associated data, so a changed header does not open.
- What is sealed is canonical JSON, {"epochs": [{"active", "created", "key", "number"}, ...]}; `created` may
  be "", `key` is 64 hex digits, or 128 for an epoch that shares the first half with others.
- `sha256`: over all bytes before this line. Everybody can compute it: it tells a damaged file from a wrong
  passphrase, which the cipher alone cannot. Somebody who alters the file on purpose can make it fit; then the
  cipher refuses.

Lines end with one line feed. `open_epochs` takes exactly what `seal_epochs` writes: nothing is trimmed, no
line may be missing, and scrypt's parameters are bounded, so that a stranger's file cannot take all memory.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ledger.canonical import check_hex, check_members, check_text, format_json, parse_object
from ledger.errors import FormatError

from .epochs import EPOCH_KEY_BYTES, MAX_EPOCHS, WATERMARK_KEY_BYTES, Epoch
from .errors import RefusedError

TITLE = "provenote-watermark-keys/v1"
MAX_BYTES = 64 << 10
LOG_N = 17
LOG_N_RANGE = range(14, 21)  # 16 MiB to 1 GiB
SCRYPT_R, SCRYPT_P = 8, 1
SALT_BYTES, NONCE_BYTES, SEAL_KEY_BYTES = 16, 12, 32
LINE_CHARACTERS = 64
MIN_PASSPHRASE_CHARACTERS = 12
MAX_NUMBER = 9999
_HEADER = re.compile(
    rf"{TITLE}\n"
    r"names ((?:[0-9a-f]{16} )*[0-9a-f]{16})\n"
    rf"kdf scrypt ([1-9][0-9]) {SCRYPT_R} {SCRYPT_P} ([0-9a-f]{{{2 * SALT_BYTES}}})\n"
    rf"cipher chacha20-poly1305 ([0-9a-f]{{{2 * NONCE_BYTES}}})\n\n"
)
_DIGEST = re.compile(r"sha256 ([0-9a-f]{64})\n")


@dataclass(frozen=True)
class _Archive:
    """A parsed archive, not yet opened."""

    names: tuple[str, ...]
    log_n: int
    salt: bytes
    nonce: bytes
    header: bytes
    sealed: bytes


def seal_epochs(epochs: Sequence[Epoch], passphrase: str, *, log_n: int = LOG_N) -> str:
    """Return the text of an archive of these keys.

    Raises
    ------
    RefusedError
        No key, or a passphrase of fewer than 12 characters.
    ValueError
        `log_n` outside 14 to 20.
    """
    if not epochs:
        raise RefusedError("expected at least one watermark key to export, got none")
    if len(passphrase) < MIN_PASSPHRASE_CHARACTERS:
        raise RefusedError(
            f"expected a passphrase of {MIN_PASSPHRASE_CHARACTERS} characters or more, got {len(passphrase)}"
        )
    if log_n not in LOG_N_RANGE:
        raise ValueError(f"expected log2 N of {LOG_N_RANGE.start} to {LOG_N_RANGE.stop - 1}, got {log_n}")
    ordered = sorted(epochs, key=lambda epoch: -epoch.number)
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    header = (
        f"{TITLE}\nnames {' '.join(epoch.name for epoch in ordered)}\n"
        f"kdf scrypt {log_n} {SCRYPT_R} {SCRYPT_P} {salt.hex()}\n"
        f"cipher chacha20-poly1305 {nonce.hex()}\n\n"
    )
    plain = format_json({"epochs": [_format_epoch(epoch) for epoch in ordered]})
    cipher = ChaCha20Poly1305(derive_seal_key(passphrase, salt, log_n))
    text = header + _wrap(cipher.encrypt(nonce, plain, header.encode("ascii"))) + "\n\n"
    return text + f"sha256 {hashlib.sha256(text.encode('ascii')).hexdigest()}\n"


def open_epochs(text: bytes, passphrase: str) -> tuple[Epoch, ...]:
    """Return the keys of an archive, newest epoch first.

    Raises
    ------
    RefusedError
        Not an archive of this version, damaged or cut short, or the passphrase is not the one it was sealed
        with (or somebody altered it and made its checksum fit).
    """
    archive = _parse(text)
    cipher = ChaCha20Poly1305(derive_seal_key(passphrase, archive.salt, archive.log_n))
    try:
        plain = cipher.decrypt(archive.nonce, archive.sealed, archive.header)
    except InvalidTag as error:
        raise RefusedError(
            "the passphrase does not open this archive of keys (its checksum holds, so it is a wrong "
            "passphrase, unless somebody altered the file on purpose)"
        ) from error
    try:
        epochs = _parse_epochs(plain)
    except FormatError as error:
        raise RefusedError(f"the archive opens, but does not hold watermark keys: {error}") from error
    if tuple(epoch.name for epoch in epochs) != archive.names:
        raise RefusedError("the archive opens, but its keys are not those that its header names")
    return epochs


def _parse(content: bytes) -> _Archive:
    if len(content) > MAX_BYTES:
        raise RefusedError(f"expected an archive of at most {MAX_BYTES} bytes, got {len(content)}")
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as error:
        raise RefusedError("not an archive of watermark keys: expected ASCII text") from error
    title, _, _ = text.partition("\n")
    if title != TITLE:
        kind, _, version = title.partition("/")
        if kind == TITLE.partition("/")[0] and version:
            raise RefusedError(f"expected an archive of keys {TITLE}, got version {version!r:.20}")
        raise RefusedError(f"not an archive of watermark keys: expected the first line {TITLE!r}")
    before, separator, last = text.rpartition("\n\n")
    before += separator
    stated = _DIGEST.fullmatch(last)
    if stated is None:
        raise RefusedError("the archive of keys is cut short: its last line, the checksum, is missing")
    if not hmac.compare_digest(stated[1], hashlib.sha256(before.encode("ascii")).hexdigest()):
        raise RefusedError("the archive of keys is damaged: its checksum does not hold")
    header = _HEADER.match(before)
    if header is None:
        raise RefusedError("the archive of keys is damaged: its header is not what version 1 writes")
    log_n = int(header[2])
    if log_n not in LOG_N_RANGE:
        raise RefusedError(
            f"expected scrypt with log2 N of {LOG_N_RANGE.start} to {LOG_N_RANGE.stop - 1}, got {log_n}"
        )
    body = before[header.end() : -2]
    try:
        sealed = base64.b64decode(body.replace("\n", ""), validate=True)
    except binascii.Error as error:
        raise RefusedError(f"the archive of keys is damaged: expected base64: {error}") from error
    if _wrap(sealed) != body:
        raise RefusedError("the archive of keys is damaged: its lines are not cut as version 1 cuts them")
    return _Archive(
        names=tuple(header[1].split(" ")),
        log_n=log_n,
        salt=bytes.fromhex(header[3]),
        nonce=bytes.fromhex(header[4]),
        header=header[0].encode("ascii"),
        sealed=sealed,
    )


def _wrap(sealed: bytes) -> str:
    body = base64.b64encode(sealed).decode("ascii")
    return "\n".join(body[i : i + LINE_CHARACTERS] for i in range(0, len(body), LINE_CHARACTERS))


def derive_seal_key(passphrase: str, salt: bytes, log_n: int) -> bytes:
    """Return the key that a passphrase gives by scrypt; RefusedError where memory is short."""
    kdf = Scrypt(salt=salt, length=SEAL_KEY_BYTES, n=1 << log_n, r=SCRYPT_R, p=SCRYPT_P)
    try:
        return kdf.derive(unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape"))
    except MemoryError as error:
        raise RefusedError(f"scrypt needs {(1 << log_n) * 128 * SCRYPT_R >> 20} MiB of memory") from error


def _format_epoch(epoch: Epoch) -> dict[str, Any]:
    return {
        "active": epoch.active,
        "created": epoch.created,
        "key": epoch.watermark_key.hex(),
        "number": epoch.number,
    }


def _parse_epochs(plain: bytes) -> tuple[Epoch, ...]:
    listed = check_members(parse_object(plain, max_bytes=MAX_BYTES), {"epochs"}, "archive")["epochs"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_EPOCHS:
        raise FormatError(f"expected 1 to {MAX_EPOCHS} epochs, got {type(listed).__name__}")
    epochs = tuple(_parse_epoch(item) for item in listed)
    numbers = [epoch.number for epoch in epochs]
    if numbers != sorted(set(numbers), reverse=True):
        raise FormatError("expected epochs in falling order, each once")
    if sum(epoch.active for epoch in epochs) > 1:
        raise FormatError("expected one active epoch at most")
    return epochs


def _parse_epoch(value: object) -> Epoch:
    members = check_members(value, {"active", "created", "key", "number"}, "epoch")
    number, active = members["number"], members["active"]
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAX_NUMBER:
        raise FormatError(f"expected an epoch from 1 to {MAX_NUMBER}, got {number!r:.40}")
    if not isinstance(active, bool):
        raise FormatError(f"expected active to be true or false, got {active!r:.40}")
    created = members["created"]
    if created != "":
        created = check_text(created, "created", max_characters=32)
    text = members["key"]
    long = isinstance(text, str) and len(text) == 2 * EPOCH_KEY_BYTES
    try:
        watermark_key = check_hex(text, "key", octets=EPOCH_KEY_BYTES if long else WATERMARK_KEY_BYTES)
    except FormatError:
        # The value is not repeated: it may be most of a key.
        digits = f"{2 * WATERMARK_KEY_BYTES} or {2 * EPOCH_KEY_BYTES}"
        raise FormatError(f"expected a key of {digits} hex digits") from None
    return Epoch(number, watermark_key, created, active)
