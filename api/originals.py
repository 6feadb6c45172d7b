"""The recording as it was before its mark, kept sealed, so that copies with marks of their own can be made
of it.

    originals/<track id>.sealed = "provenote-original/v1\\n" || salt (16 bytes) || chunks
    chunk = length (4 bytes, big-endian) || AES-256-GCM(key, nonce, plaintext, first line || salt || track id)
    key   = HKDF-SHA256(keys/originals.key, salt, "provenote/original/v1/" || track id)
    nonce = number of the chunk (8 bytes, big-endian) || 000000 || 1 for the last chunk, else 0

The first chunk is JSON, `{"channels": 2, "sample_rate": 44100}`, the last one empty, and those between are
FLAC files of 24 bits and a few seconds each. The chunks are sealed as STREAM does it (Hoang et al. 2015):
none can be left out, repeated, moved, or taken from another track. No unmarked sample is written to the disk
in the clear. Samples finer than 24 bits are rounded to 24.

The key file is made when first needed. Who has it and the ledger folder has the recordings without marks; who
has the watermark keys, beside which it lies, could remove the marks as well.
"""

import contextlib
import io
import json
import os
import secrets
import struct
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import soundfile
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.keyfile import load_secret

from .audiofile import quantise, sync_file
from .errors import MissingError, OriginalError, WriteError
from .marking import Block
from .secretfile import open_secret
from .settings import Settings

MAGIC = b"provenote-original/v1\n"
KEY_NAME = "originals.key"
SALT_BYTES = 16
BITS = 24
CHUNK_S = 5.0
# More than any chunk of 8 channels at 192 kHz can come to.
MAX_CHUNK_BYTES = 64 << 20


@dataclass(frozen=True)
class Shape:
    """Rate in Hz and number of channels of a kept recording."""

    sample_rate: int
    channels: int


def locate_original(settings: Settings, track_id: str) -> Path:
    """Return where a track's original is kept, if it is."""
    return settings.originals / f"{track_id}.sealed"


def keep_blocks(
    blocks: Iterable[Block], settings: Settings, track_id: str, *, sample_rate: int, channels: int
) -> Iterator[Block]:
    """Pass blocks on and keep them sealed; the file is complete and durable when they are used up.

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    path = locate_original(settings, track_id)
    try:
        settings.originals.mkdir(mode=0o700, exist_ok=True)
        with _create(path) as file:
            sealer = _Sealer(file, open_secret(settings.keys / KEY_NAME), track_id)
            sealer.push(json.dumps({"channels": channels, "sample_rate": sample_rate}).encode("ascii"))
            pending: list[Block] = []
            for block in blocks:
                pending.append(block)
                if sum(some.shape[1] for some in pending) >= CHUNK_S * sample_rate:
                    sealer.push(_encode(pending, sample_rate))
                    pending = []
                yield block
            if sum(some.shape[1] for some in pending):
                sealer.push(_encode(pending, sample_rate))
            sealer.push(b"", last=True)
            file.flush()
            os.fsync(file.fileno())
        sync_file(settings.originals)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror}") from error


def drop_original(settings: Settings, track_id: str) -> None:
    """Remove what was kept of a track, if anything was."""
    with contextlib.suppress(OSError):
        locate_original(settings, track_id).unlink(missing_ok=True)


def read_shape(settings: Settings, track_id: str) -> Shape:
    """Return rate and channels of a kept recording.

    Raises
    ------
    MissingError
        None was kept.
    OriginalError
        The file is damaged, of another track, or under another key.
    """
    chunks = _open_chunks(settings, track_id)
    try:
        return _parse_shape(next(chunks))
    finally:
        chunks.close()


def read_blocks(settings: Settings, track_id: str) -> Iterator[Block]:
    """Yield a kept recording as float32 blocks (channels, samples); errors as `read_shape`.

    A file that is cut short raises once its end is reached.
    """
    chunks = _open_chunks(settings, track_id)
    shape = _parse_shape(next(chunks))
    for chunk in chunks:
        frames, _ = soundfile.read(io.BytesIO(chunk), dtype="float32", always_2d=True)
        if frames.shape[1] != shape.channels:
            raise OriginalError(f"expected {shape.channels} channels in the original, got {frames.shape[1]}")
        yield np.ascontiguousarray(frames.T)


def _parse_shape(chunk: bytes) -> Shape:
    members = json.loads(chunk)
    return Shape(int(members["sample_rate"]), int(members["channels"]))


def _encode(blocks: list[Block], sample_rate: int) -> bytes:
    frames = quantise(np.concatenate(blocks, axis=1), bits=BITS)
    buffer = io.BytesIO()
    soundfile.write(buffer, frames, sample_rate, subtype=f"PCM_{BITS}", format="FLAC")
    return buffer.getvalue()


def _create(path: Path) -> IO[bytes]:
    # One of a try that failed half-way may be there: it belongs to no track.
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _derive(key: bytes, salt: bytes, track_id: str) -> AESGCM:
    label = b"provenote/original/v1/" + track_id.encode("ascii")
    return AESGCM(HKDF(SHA256(), 32, salt, label).derive(key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(8, "big") + bytes(3) + bytes([last])


class _Sealer:
    """Writes chunks, one after the other."""

    def __init__(self, file: IO[bytes], key: bytes, track_id: str) -> None:
        salt = secrets.token_bytes(SALT_BYTES)
        self._file = file
        self._cipher = _derive(key, salt, track_id)
        self._context = MAGIC + salt + track_id.encode("ascii")
        self._number = 0
        file.write(MAGIC + salt)

    def push(self, plaintext: bytes, *, last: bool = False) -> None:
        """Seal and write one chunk."""
        sealed = self._cipher.encrypt(_nonce(self._number, last=last), plaintext, self._context)
        self._file.write(struct.pack(">I", len(sealed)) + sealed)
        self._number += 1


def _open_chunks(settings: Settings, track_id: str) -> Generator[bytes, None, None]:
    """Yield the plaintexts of all chunks but the last."""
    path = locate_original(settings, track_id)
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise MissingError(
            f"the recording that track {track_id} was made from is not kept here: give it with --from FILE"
        ) from error
    with file:
        if file.read(len(MAGIC)) != MAGIC:
            raise OriginalError(f"{path}: expected {MAGIC.decode().strip()}, got another format")
        salt = file.read(SALT_BYTES)
        key = load_secret(settings.keys / KEY_NAME)
        cipher, context = _derive(key, salt, track_id), MAGIC + salt + track_id.encode("ascii")
        number, last = 0, False
        while not last:
            sealed = _read_chunk(file, path)
            last = file.peek(1) == b""
            try:
                plaintext = cipher.decrypt(_nonce(number, last=last), sealed, context)
            except InvalidTag as error:
                raise OriginalError(
                    f"{path}: chunk {number} does not open: damaged, cut short, or of another track or key"
                ) from error
            if not last:
                yield plaintext
            number += 1


def _read_chunk(file: IO[bytes], path: Path) -> bytes:
    head = file.read(4)
    size = struct.unpack(">I", head)[0] if len(head) == 4 else 0
    if not 16 <= size <= MAX_CHUNK_BYTES:
        raise OriginalError(f"{path}: damaged: expected a chunk, got {size} bytes")
    sealed = file.read(size)
    if len(sealed) != size:
        raise OriginalError(f"{path}: cut short: expected {size} bytes, got {len(sealed)}")
    return sealed
