"""A file written again as it is: what is to be done after a sync that failed.

The kernel may drop what a failed sync should have written, call the next sync a success, and go on showing
the lost bytes to everybody who reads (danluu.com/fsyncgate). Only bytes that are written anew are sure to be
synced. Whoever opens a file cannot know whether a process before had such an error.
"""

from __future__ import annotations

import os
from pathlib import Path

CHUNK_BYTES = 1 << 20


def rewrite_file(path: Path) -> None:
    """Write a file's bytes over themselves and sync them; nothing where there is no such file.

    Nobody else may write to it meanwhile. A crash in between leaves old bytes and the same bytes.

    Raises
    ------
    OSError : it cannot be read, written or synced
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        offset = 0
        while chunk := os.pread(descriptor, CHUNK_BYTES, offset):
            if os.pwrite(descriptor, chunk, offset) != len(chunk):
                raise OSError(0, "the write was cut short")
            offset += len(chunk)
        if offset:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
