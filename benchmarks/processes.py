"""A process and its children, looked at from outside: memory while they work, the time they have used."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

LOOK_S = 0.01
CPU_FIELDS = slice(11, 15)
"""utime, stime, cutime and cstime behind the name in /proc/PID/stat (proc(5)): of ended children as well."""


class MemoryWatch(threading.Thread):
    """Looks at the resident memory of a process and its children until told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        """Look every 10 ms."""
        while not self._ended.wait(LOOK_S):
            self.peak_bytes = max(self.peak_bytes, measure_memory(self._pid))

    def stop(self) -> None:
        """End the watch."""
        self._ended.set()
        self.join()


def list_tree(pid: int) -> Iterator[int]:
    """Yield a process and all its children."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                yield from list_tree(int(child))


def measure_memory(pid: int) -> int:
    """Return the sum of the resident sets of a process and its children; what they share counts for each."""
    return sum(_resident(item) for item in list_tree(pid))


def measure_cpu_s(pid: int) -> float:
    """Return the processor time that a process and its children, also those that ended, have used."""
    return sum(_used(item) for item in list_tree(pid)) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _used(pid: int) -> int:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[CPU_FIELDS])
    return 0
