"""The hash chain over all entries, in log order.

    chain[-1] = SHA-256("provenote/chain/v1/origin\\n" || origin)
    chain[i]  = SHA-256("provenote/chain/v1/link\\n" || chain[i-1] || leaf_hash[i])

It says the same as the Merkle tree by a second construction: a copy of the last link alone pins the whole
log, and a break names its entry without a checkpoint. The links are kept in the rows, not in the statements:
an actor who signs elsewhere cannot know what the log will take in just before.
"""

from __future__ import annotations

import hashlib


def start_chain(origin: str) -> bytes:
    """Return the link before the first entry of the log named `origin`."""
    return hashlib.sha256(b"provenote/chain/v1/origin\n" + origin.encode("utf-8")).digest()


def extend_chain(previous: bytes, leaf_hash: bytes) -> bytes:
    """Return the link of an entry from the link before it and the entry's leaf hash (32 bytes each)."""
    return hashlib.sha256(b"provenote/chain/v1/link\n" + previous + leaf_hash).digest()
