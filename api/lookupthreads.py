"""Threads that look up in a large index: as many as there are processors, kept from one query to the next."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from watermark.identity.lookup import ALONE, Workers

MOST_THREADS = 8


def get_workers() -> Workers:
    """Return the threads of this process; a forked child has none of its parent's, and gets its own."""
    count = min(len(os.sched_getaffinity(0)), MOST_THREADS)
    return _make_workers(os.getpid(), count) if count > 1 else ALONE


@lru_cache(maxsize=1)
def _make_workers(process: int, count: int) -> Workers:
    # None is started before it has something to do.
    return Workers(count, ThreadPoolExecutor(count, f"look-up {process}").map)
