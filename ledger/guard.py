"""The lock store: the last checkpoint that was acknowledged, kept apart from the data.

Whoever restores an old backup of the database, or starts a second copy of it, would sign a second history
without knowing. The lock store is what such a copy cannot carry back: a small file in another place (another
disk, outside the backup), which only ever moves forward. A database that is behind it is not appended to.

The order at a commit: the lock store is locked and must agree with where the database is; COMMIT; then the
new checkpoint is written and synced here; only then are receipts handed out. A crash in between leaves the
lock store one commit behind, which is no contradiction: nothing of that commit was acknowledged.

The file has two slots of 4,096 bytes, written in turn, so that a torn write leaves the other:

    provenote lock store v1
    7d0c2f...                          its id, which the ledger's database knows
    41                                 the number of the write; the higher one counts
    9f86d0...                          SHA-256 of the lines above, but the first, and of the note
    provenote.example/log              the checkpoint, a signed note, and zeros to the end
    ...
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .checkpoint import Checkpoint, parse_checkpoint
from .errors import FormatError, GuardError, RollbackError
from .note import parse_note

HEADER = b"provenote lock store v1"
SLOT_BYTES = 4096


@dataclass(frozen=True)
class Slot:
    """What one slot holds."""

    guard_id: str
    number: int
    note: bytes

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, its signature unchecked: this file is trusted."""
        return parse_checkpoint(parse_note(self.note)[0])


class FileGuard:
    """A lock store in a file.

    Raises (every method)
    ---------------------
    GuardError : the file is missing where it should be there, cannot be used, or holds no checkpoint
    """

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened."""
        self.path = path

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self.path.exists()

    def create(self, note: bytes) -> str:
        """Make the file, durably, with its first checkpoint, and return its id; never over another file."""
        guard_id = secrets.token_hex(16)
        with self._translate():
            temporary = self.path.with_name(f"{self.path.name}.{guard_id}")
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _write_slot(descriptor, Slot(guard_id, 0, note))
                os.link(temporary, self.path)
            finally:
                os.close(descriptor)
                temporary.unlink()
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return guard_id

    def read(self) -> Slot:
        """Return the newest slot."""
        with self.hold() as held:
            return held.slot

    @contextlib.contextmanager
    def hold(self) -> Iterator[HeldGuard]:
        """Lock the file against every other copy of the ledger on this host."""
        with self._translate():
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            with self._translate():
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                slots = [_parse_slot(os.pread(descriptor, SLOT_BYTES, at)) for at in (0, SLOT_BYTES)]
            found = [slot for slot in slots if slot is not None]
            if not found:
                raise GuardError(f"{self.path}: expected a lock store, found no checkpoint in it")
            yield HeldGuard(self, descriptor, max(found, key=lambda slot: slot.number))
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _translate(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise GuardError(f"{self.path}: the lock store cannot be used: {error.strerror}") from error


@dataclass
class HeldGuard:
    """A locked lock store and its newest slot."""

    guard: FileGuard
    descriptor: int
    slot: Slot

    def check_size(self, size: int, root: bytes) -> None:
        """Raise RollbackError when the database is behind, or at the same size has another root."""
        known = self.slot.checkpoint
        if size < known.size:
            raise RollbackError(
                f"{self.guard.path}: a checkpoint of size {known.size} was acknowledged, but the database "
                f"has {size} entries: it is an old copy, and going on would make a second history"
            )
        if size == known.size and root != known.root:
            raise RollbackError(
                f"{self.guard.path}: another checkpoint of size {size} was acknowledged: another history"
            )

    def advance(self, note: bytes) -> None:
        """Put a newer checkpoint in the place of the older slot, durably."""
        slot = Slot(self.slot.guard_id, self.slot.number + 1, note)
        with self.guard._translate():
            _write_slot(self.descriptor, slot)
        self.slot = slot


def _format_slot(slot: Slot) -> bytes:
    body = b"%b\n%d\n" % (slot.guard_id.encode("ascii"), slot.number)
    digest = hashlib.sha256(body + slot.note).hexdigest().encode("ascii")
    content = HEADER + b"\n" + body + digest + b"\n" + slot.note
    if len(content) > SLOT_BYTES:
        raise GuardError(f"expected a checkpoint of at most {SLOT_BYTES - 200} bytes, got {len(slot.note)}")
    return content.ljust(SLOT_BYTES, b"\0")


def _parse_slot(content: bytes) -> Slot | None:
    """Return what a slot holds, or None for one that was never written, or was torn."""
    parts = content.rstrip(b"\0").split(b"\n", 4)
    if len(parts) != 5 or parts[0] != HEADER:
        return None
    try:
        slot = Slot(parts[1].decode("ascii"), int(parts[2]), parts[4])
        return slot if _format_slot(slot) == content and slot.checkpoint else None
    except (ValueError, FormatError):
        return None


def _write_slot(descriptor: int, slot: Slot) -> None:
    content = _format_slot(slot)
    written = os.pwrite(descriptor, content, SLOT_BYTES * (slot.number % 2))
    if written != len(content):
        raise OSError(0, "the write was cut short")
    os.fsync(descriptor)
