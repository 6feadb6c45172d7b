"""Watermark keys by epoch: the key that embeds, and the earlier and foreign ones that only detect.

    keys/
    |- watermark-0001.key        64 secret bytes, or 32; the number is the epoch
    |- watermark-0002.key        64: the 32 that a family of epochs shares, and 32 of its own
    `- watermark-epochs.json     {"created": {"1": "2026-11-22T17:31:32Z", ...}, "detect_only": [2]}

The key files are what counts: the highest epoch that is not listed as detect-only embeds, all of them detect.
The JSON file adds what a key file cannot say; an epoch that it does not name was made by an older version or
by hand, at a time that is not known, and may embed. To retire an epoch, move its key file elsewhere: marks
under it are no longer found.

A new epoch shares the synchronisation pattern of the one that embedded before (`watermark.epoch_key`): one
search serves for the whole family. An independent one shares nothing, and is searched for on its own.
"""

import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import watermark
from ledger.keyfile import load_secret, save_secret

from .errors import LedgerFolderError, RefusedError

WATERMARK_KEY_BYTES = 32
EPOCH_KEY_BYTES = 64
KEY_LENGTHS = (WATERMARK_KEY_BYTES, EPOCH_KEY_BYTES)
MAX_EPOCHS = 32
"""What one detection is asked to try at most."""
NOTES_NAME = "watermark-epochs.json"
_KEY_NAME = re.compile(r"watermark-([0-9]{4})\.key")


@dataclass(frozen=True)
class Epoch:
    """A watermark key and its number; `created` is RFC 3339 UTC, "" when not known.

    `imported`: it came from an archive and did not embed here when it came.
    """

    number: int
    watermark_key: bytes = field(repr=False)
    created: str = ""
    active: bool = False
    imported: bool = False

    @property
    def name(self) -> str:
        """Public name of the key."""
        return name_watermark_key(self.watermark_key)

    @property
    def family(self) -> str:
        """Public name of the half that keys synchronisation: the same for all epochs of a family."""
        return name_watermark_key(self.watermark_key[:WATERMARK_KEY_BYTES])


@dataclass(frozen=True)
class _Notes:
    created: dict[int, str]
    detect_only: frozenset[int]


def name_watermark_key(watermark_key: bytes) -> str:
    """Return a public name of a watermark key: 16 hex digits of a one-way function of it."""
    return sha256(b"provenote/watermark-key-id/v1\n" + watermark_key).hexdigest()[:16]


def make_watermark_key() -> bytes:
    """Draw a new watermark key from the operating system's random source: it begins a family.

    64 bytes, so that what later epochs share with it is the synchronisation half alone.
    """
    return secrets.token_bytes(EPOCH_KEY_BYTES)


def list_epochs(folder: Path) -> tuple[Epoch, ...]:
    """Load the watermark keys of a folder, the newest first; none when there is no key.

    Raises
    ------
    ledger.KeyFileError
        A key file is open to others or damaged.
    LedgerFolderError
        The folder cannot be read, or the file of notes is damaged.
    """
    notes = _read_notes(folder)
    numbers = _list_numbers(folder)
    active = max((number for number in numbers if number not in notes.detect_only), default=None)
    return tuple(
        Epoch(
            number,
            load_secret(_key_path(folder, number), lengths=KEY_LENGTHS),
            created=notes.created.get(number, ""),
            active=number == active,
            imported=number in notes.detect_only,
        )
        for number in sorted(numbers, reverse=True)
    )


def add_epoch(folder: Path, watermark_key: bytes, *, created: str) -> Epoch:
    """Write a new key that embeds from now on; return its epoch.

    A crash after the key file and before the notes leaves an epoch that embeds and whose time is not known.

    Raises
    ------
    RefusedError
        There are MAX_EPOCHS epochs already.
    ledger.KeyFileError, LedgerFolderError
        A file cannot be written.
    """
    with _hold(folder):
        return _add_held(folder, watermark_key, created)


def begin_epoch(folder: Path, *, created: str, independent: bool = False) -> Epoch:
    """Draw a key that embeds from now on, of the family of the one that embeds now; return its epoch.

    Parameters
    ----------
    independent : bool
        Begin a family instead: where the present key may be known to somebody else, its synchronisation
        pattern is known with it. So is done where no key embeds: those that are there came from elsewhere.

    Raises
    ------
    RefusedError, ledger.KeyFileError, LedgerFolderError
        As `add_epoch`.
    """
    with _hold(folder):
        present = next((epoch for epoch in list_epochs(folder) if epoch.active), None)
        watermark_key = make_watermark_key()
        if present is not None and not independent:
            watermark_key = watermark.epoch_key(
                present.watermark_key, secrets.token_bytes(WATERMARK_KEY_BYTES)
            )
        return _add_held(folder, watermark_key, created)


def _add_held(folder: Path, watermark_key: bytes, created: str) -> Epoch:
    notes = _read_notes(folder)
    used = _used_numbers(folder, notes)
    _check_room(len(_list_numbers(folder)) + 1)
    number = max(used, default=0) + 1
    save_secret(_key_path(folder, number), watermark_key)
    _write_notes(folder, _Notes({**notes.created, number: created}, notes.detect_only))
    return Epoch(number, watermark_key, created, active=True)


def merge_epochs(folder: Path, epochs: Sequence[Epoch]) -> tuple[Epoch, ...]:
    """Add keys from another place, to detect with; return those that were new, as they are here.

    A key that is here already is left alone. One whose number is taken gets the next free number. They never
    embed, except where the folder has no watermark key at all: then each has its own number, and the one
    that was active is so again.

    Raises
    ------
    RefusedError
        More than MAX_EPOCHS epochs would be here; nothing is written.
    ledger.KeyFileError, LedgerFolderError
        A file cannot be read or written.
    """
    with _hold(folder):
        present, notes = list_epochs(folder), _read_notes(folder)
        known = {epoch.watermark_key for epoch in present}
        new = sorted((e for e in epochs if e.watermark_key not in known), key=lambda e: e.number)
        _check_room(len(present) + len(new))
        used = _used_numbers(folder, notes) if present else set()
        placed = []
        for epoch in new:
            number = epoch.number if epoch.number not in used else max(used) + 1
            used.add(number)
            embeds = epoch.active and not present
            placed.append(replace(epoch, number=number, active=embeds, imported=not embeds))
        created = {**notes.created, **{e.number: e.created for e in placed if e.created}}
        asleep = (notes.detect_only if present else set()) | {e.number for e in placed if not e.active}
        # The notes first: a crash in between must not leave a foreign key that embeds.
        _write_notes(folder, _Notes(created, frozenset(asleep)))
        for epoch in placed:
            save_secret(_key_path(folder, epoch.number), epoch.watermark_key)
    return tuple(placed)


def _check_room(epochs: int) -> None:
    if epochs > MAX_EPOCHS:
        raise RefusedError(
            f"expected at most {MAX_EPOCHS} watermark keys, got {epochs}: move key files that are no longer "
            "needed out of the folder of keys (marks under them are then not found)"
        )


def _used_numbers(folder: Path, notes: _Notes) -> set[int]:
    """Return the numbers that epochs have or had: none is given twice."""
    return {*_list_numbers(folder), *notes.created, *notes.detect_only}


def _key_path(folder: Path, number: int) -> Path:
    return folder / f"watermark-{number:04d}.key"


def _list_numbers(folder: Path) -> list[int]:
    try:
        return [int(found[1]) for path in folder.iterdir() if (found := _KEY_NAME.fullmatch(path.name))]
    except OSError as error:
        raise LedgerFolderError(f"{folder}: no folder of keys: {error.strerror}") from error


def _read_notes(folder: Path) -> _Notes:
    path = folder / NOTES_NAME
    try:
        document = json.loads(path.read_bytes())
        return _Notes(
            created={int(number): str(time) for number, time in document["created"].items()},
            detect_only=frozenset(int(number) for number in document["detect_only"]),
        )
    except FileNotFoundError:
        return _Notes({}, frozenset())
    except OSError as error:
        raise LedgerFolderError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LedgerFolderError(f"{path}: expected the notes on watermark epochs: {error}") from error


def _write_notes(folder: Path, notes: _Notes) -> None:
    """Replace the file of notes in one step."""
    document = {
        "created": {str(number): notes.created[number] for number in sorted(notes.created)},
        "detect_only": sorted(notes.detect_only),
    }
    temporary = folder / f"{NOTES_NAME}.{os.getpid()}.new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(json.dumps(document, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / NOTES_NAME)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise LedgerFolderError(f"{folder / NOTES_NAME}: cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _hold(folder: Path) -> Iterator[None]:
    """Keep other processes from changing the epochs of a folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise LedgerFolderError(f"{folder}: no folder of keys: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
