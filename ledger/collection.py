"""Keeping Python's cyclic collector out of a commit.

A commit makes thousands of objects that all live to its end: looking for garbage among them finds none, and
takes a fifth of the writer's time. What a commit leaves behind is looked at after it.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_pauses = 0
_enabled = False


@contextlib.contextmanager
def pause_collector() -> Iterator[None]:
    """Collect no cyclic garbage in this process until the end of the block; blocks may overlap."""
    global _pauses, _enabled
    with _lock:
        if not _pauses:
            _enabled = gc.isenabled()
            gc.disable()
        _pauses += 1
    try:
        yield
    finally:
        with _lock:
            _pauses -= 1
            if not _pauses and _enabled:
                gc.enable()
