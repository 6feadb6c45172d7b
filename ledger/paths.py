"""Audit paths of several entries under one root, each hash written once.

A path is a list of leaf ranges that index and tree size determine (RFC 6962, section 2.1.1). Those of several
entries share the upper ones, so the hashes of all different ranges are written in one row, in the order of
(start, stop); maker and reader need nothing else to find them again:

    entries 2 and 5 of 7:    [0,2) [0,4) [3,4) [4,5) [4,7) [6,7)
    path of 2: [3,4) [0,2) [4,7)        path of 5: [4,5) [6,7) [0,4)

Every entry is then checked by itself, so a false one is named.
"""

from __future__ import annotations

from collections.abc import Sequence

from .errors import ProofError
from .merkle import HASH_BYTES, Range, Reader, inclusion_ranges, read_ranges

MAX_ENTRIES = 5000


def path_ranges(indexes: Sequence[int], size: int) -> list[Range]:
    """Return the leaf ranges that the paths of these entries need, in order; ValueError if index >= size."""
    return sorted({item for index in indexes for item in inclusion_ranges(index, size)})


def make_paths(read: Reader, indexes: Sequence[int], size: int) -> bytes:
    """Return the hashes of the paths of these entries in the tree of `size`, one after the other."""
    return b"".join(read_ranges(read, path_ranges(indexes, size)))


def split_paths(hashes: bytes, indexes: Sequence[int], size: int) -> dict[int, tuple[bytes, ...]]:
    """Return the audit path of each entry, unverified.

    Raises
    ------
    ProofError : more or fewer hashes than these entries need, an index beyond the tree, or too many entries
    """
    if len(indexes) > MAX_ENTRIES or any(not 0 <= index < size for index in indexes):
        raise ProofError(
            f"paths: expected at most {MAX_ENTRIES} indexes below {size}, got {list(indexes)[:8]}"
        )
    ranges = path_ranges(indexes, size)
    if len(hashes) != len(ranges) * HASH_BYTES:
        raise ProofError(
            f"paths: expected {len(ranges)} hashes of {HASH_BYTES} bytes for {len(indexes)} entries, "
            f"got {len(hashes)} bytes"
        )
    found = {
        item: hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES] for number, item in enumerate(ranges)
    }
    return {index: tuple(found[item] for item in inclusion_ranges(index, size)) for index in indexes}
