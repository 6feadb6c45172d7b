"""A log as a folder of static files, for any web server or object store (c2sp.org/tlog-tiles).

    folder/checkpoint
    folder/tile/0/000.p/112
    folder/tile/entries/000.p/112

The order of writes is bundles and tiles, synced, then the checkpoint: a crash in between leaves files that no
checkpoint speaks of yet, and the next export writes them again. Each file appears whole (written beside,
synced, renamed). Partial tiles go once a checkpoint has their full tile, as the specification allows.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from . import merkle
from .checkpoint import Checkpoint, open_checkpoint
from .errors import BusyError, CorruptError, DiskFullError, NotFoundError, ProofError, StorageError
from .note import MAX_NOTE_BYTES
from .tilereader import Fetch, tile_reader
from .tiles import (
    ENTRIES,
    MAX_TILE_BYTES,
    WIDTH,
    Tile,
    TileSource,
    decode_entries,
    format_path,
    list_tiles,
    read_tile,
    split_hashes,
)

CHECKPOINT_NAME = "checkpoint"
LOCK_NAME = ".export.lock"


def export_tiles(source: TileSource, folder: Path, note: bytes, *, origin: str, vkey: str) -> int:
    """Bring a folder up to a checkpoint of the log; return the number of tiles written.

    Parameters
    ----------
    source : the log, such as a `Store`
    folder : made where it is missing; one with an older export of the same log is continued
    note : the checkpoint to publish, with whatever cosignatures it carries

    Raises
    ------
    ProofError : the folder holds a newer checkpoint, or one that this log has not grown from
    CorruptError : the log's entries and hashes contradict each other or the checkpoint
    BusyError : another export is writing to the folder
    StorageError : the folder cannot be written
    """
    checkpoint = open_checkpoint(note, origin, vkey)
    with _translate_errors(folder), _hold_lock(folder):
        since = _check_older(source, folder, checkpoint, vkey)
        tiles = list_tiles(checkpoint.size, since=since)
        for tile in tiles:
            _write(folder / format_path(tile), read_tile(source, tile, checkpoint.size))
        _check_written(folder, tiles, checkpoint)
        _write(folder / CHECKPOINT_NAME, note)
        for tile in tiles:
            if tile.width == WIDTH:
                partial = (folder / format_path(replace(tile, width=1))).parent
                shutil.rmtree(partial, ignore_errors=True)
        return len(tiles)


def folder_fetch(folder: Path) -> Fetch:
    """Return a fetch over a folder of tiles, for `ledger.tilereader`."""

    def fetch(path: str) -> bytes:
        limit = MAX_NOTE_BYTES if path == CHECKPOINT_NAME else MAX_TILE_BYTES
        with _translate_errors(folder):
            try:
                with (folder / path).open("rb") as file:
                    content = file.read(limit + 1)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise NotFoundError(f"{folder}: there is no {path}") from error
        if len(content) > limit:
            raise StorageError(f"{folder / path}: expected at most {limit} bytes, got more")
        return content

    return fetch


def _check_older(source: TileSource, folder: Path, checkpoint: Checkpoint, vkey: str) -> int:
    """Return the size that the folder has reached, having checked that this log has grown from it."""
    try:
        note = folder_fetch(folder)(CHECKPOINT_NAME)
    except NotFoundError:
        return 0
    older = open_checkpoint(note, checkpoint.origin, vkey)
    if older.size > checkpoint.size:
        raise ProofError(f"{folder}: holds a checkpoint of size {older.size}, newer than {checkpoint.size}")
    if merkle.read_root(source.nodes, older.size) != older.root:
        raise ProofError(f"{folder}: holds a checkpoint of size {older.size} with another history")
    return older.size


def _check_written(folder: Path, tiles: list[Tile], checkpoint: Checkpoint) -> None:
    """Read back what will be published: entries give their leaf hashes, hashes the root."""
    fetch = folder_fetch(folder)
    for tile in tiles:
        if tile.level != ENTRIES:
            continue
        hashes = split_hashes(replace(tile, level=0), fetch(format_path(replace(tile, level=0))))
        for offset, entry in enumerate(decode_entries(tile, fetch(format_path(tile)))):
            if merkle.leaf_hash(entry) != hashes[offset]:
                index = tile.start + offset
                raise CorruptError(f"entry {index} does not give its leaf hash: run fsck", index=index)
    if merkle.read_root(tile_reader(fetch, checkpoint.size), checkpoint.size) != checkpoint.root:
        raise CorruptError(f"the tiles do not give the root of size {checkpoint.size}: run fsck")


def _write(path: Path, content: bytes) -> None:
    """Make a file appear whole and durably, with every new folder above it."""
    _make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _hold_lock(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{folder}: another export is writing here") from error
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translate_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"{folder}: no space left on the device") from error
        raise StorageError(f"{folder}: {error.strerror}") from error
