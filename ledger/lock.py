"""One writer at a time, across threads and processes of a host, and none of them starved.

Two `flock`s in a row: whoever waits for the second (`writer`) already holds the first (`gate`), so a writer
that comes back at once has to queue behind it. SQLite's own busy handler retries blindly and was measured to
starve a process for seconds. The kernel drops both locks when a process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import BusyError, ReadOnlyError

POLL_S = 0.001


@contextlib.contextmanager
def hold_writer_lock(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold the exclusive right to append to the database at `path`.

    Raises
    ------
    BusyError : not ours within `timeout_s` seconds
    ReadOnlyError : the lock files cannot be made beside the database
    """
    deadline = time.monotonic() + timeout_s
    gate = _open_lock(path.with_name(path.name + ".gate"))
    try:
        _acquire(gate, path, deadline)
        writer = _open_lock(path.with_name(path.name + ".writer"))
        try:
            _acquire(writer, path, deadline)
            fcntl.flock(gate, fcntl.LOCK_UN)
            yield
        finally:
            os.close(writer)
    finally:
        os.close(gate)


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ReadOnlyError(f"{path}: cannot be written: {error.strerror}") from error


def _acquire(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BusyError(f"{path}: another writer holds the ledger") from None
            time.sleep(POLL_S)
        else:
            return
