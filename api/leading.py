"""Of several services of one ledger folder, the one that publishes and scrubs: whoever holds a lock.

The lock ends with its process, so that another takes over within its next round.
"""

import fcntl
import os
import threading

from .errors import WriteError
from .settings import Settings


class Lead:
    """The right to do what one service does for all; taken when it is free, kept until `close`."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home / "lead.lock"
        self._lock = threading.Lock()
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Tell whether the right is ours, and take it if it is free; WriteError when that cannot be known."""
        with self._lock:
            if self._descriptor is not None:
                return True
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise WriteError(f"{self._path}: cannot be opened: {error.strerror}") from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                if isinstance(error, BlockingIOError):
                    return False
                raise WriteError(f"{self._path}: cannot be locked: {error.strerror}") from error
            self._descriptor = descriptor
            return True

    def close(self) -> None:
        """Give the right up."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
