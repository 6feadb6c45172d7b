"""By when an entry was in the log, as a time-stamping authority says (RFC 3161).

Steps of `find_stamped`, for each checkpoint that a token is kept for, the oldest first:

1. the checkpoint is signed by the log's key, and the entry is proven to be in its tree
2. the token is over that checkpoint, and leads to an authority that is configured here

The database keeps both, and is not trusted: what does not verify is passed over.
"""

import ledger
from ledger.attestation import RFC3161
from ledger.errors import StorageError
from ledger.merkle import check_inclusion
from ledger.note import parse_note
from ledger.timestamp import hash_text, open_token

from .evidence import CustodyEvent, StampedTime
from .installation import Installation, format_time

MAX_CHECKPOINTS = 8
"""Checkpoints that are looked at: more than one only where a token or checkpoint was spoilt."""


def find_stamped(installation: Installation, event: CustodyEvent) -> StampedTime | None:
    """Return the earliest verified time-stamp that covers a verified event; None where there is none.

    Raises
    ------
    ledger.StorageError
        The database cannot be read.
    """
    above = event.index
    for _ in range(MAX_CHECKPOINTS):
        size = installation.attestations.first_size(RFC3161, above)
        if size is None:
            return None
        found = _open_stamps(installation, event, size)
        if found is not None:
            return found
        above = size
    return None


def _open_stamps(installation: Installation, event: CustodyEvent, size: int) -> StampedTime | None:
    store, public = installation.store, installation.public
    try:
        # 1
        note = store.checkpoint(size)
        root = ledger.open_checkpoint(note, public.origin, public.vkey).root
        proof = store.inclusion_proof(event.index, size)
        check_inclusion(event.index, size, bytes.fromhex(event.leaf_hash), proof, root)
        imprint = hash_text(parse_note(note)[0])
    except StorageError:
        raise
    except ledger.LedgerError:
        return None
    # 2
    roots = {item.name: item.roots for item in installation.authorities if item.kind == RFC3161}
    found = []
    for item in installation.attestations.list_of(size):
        if item.kind != RFC3161 or item.source not in roots:
            continue
        try:
            time_s = open_token(item.content, imprint, roots[item.source]).time.timestamp()
        except ledger.LedgerError:
            continue
        found.append(StampedTime(format_time(time_s), item.source, size))
    return min(found, key=lambda stamped: stamped.time, default=None)
