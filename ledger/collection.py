"""Keeping Python's cyclic collector out of the way of appends.

A commit makes thousands of objects that all live to its end: looking for garbage among them finds none, and
takes a fifth of the writer's time. What a commit leaves behind is looked at after it.

A full collection looks at every object of the program, and stops all its threads for as long: a tenth of a
second in a service, in which nobody gets a proof.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

GATHERED = 50_000
"""Objects made and not freed before the collector looks: more than the events that wait are made of."""

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


def settle_heap() -> None:
    """Set apart what a program holds once it has started: the collector does not look at it again.

    For programs that append all their life, when all is loaded; it acts on the whole process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GATHERED, *gc.get_threshold()[1:])
