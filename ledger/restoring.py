"""A ledger brought back from its tiles: from nothing, or from a backup that is older than they are.

What the tiles hold is the entries; hashes, tree and indexes follow from them. Before a slice of entries is
appended, the tree that it would give is proven to be a part of the tree under the tiles' signed checkpoint;
then it goes through the ordinary writer, which checks signatures, order and the rules of custody again. So a
restored log is a copy of what was signed, or an error that names the slice, and a restoration that was
interrupted is continued by starting it again.

Not in the tiles: idempotency keys, and whatever else stands in the same database (the registry, sealed
values). A lock store, where there is one, says whether what was acknowledged is there again.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import merkle
from .checkpoint import Checkpoint
from .errors import LedgerError, ProofError
from .growth import grow_tree
from .keys import SigningKey
from .store import Store
from .tilereader import TileLog, check_growth, fetch_entries, tile_reader
from .tiles import ENTRIES, WIDTH, find_tile


@dataclass(frozen=True)
class Restoration:
    """What a restoration did: the ledger's size before and after."""

    size_before: int
    size: int


def restore(store: Store, log: TileLog, *, log_signing_key: SigningKey) -> Restoration:
    """Append what the tiles hold beyond a ledger's end.

    Parameters
    ----------
    store : a ledger of the same log, empty or older; opened with `adopt_guard` where it has a lock store
    log : the log's tiles, their checkpoint opened
    log_signing_key : the log's own key, which signs the checkpoints in between

    Raises
    ------
    ProofError : the tiles are older than the ledger, of another history, or not those of their checkpoint
    LedgerError : an entry that the ledger may not take, whatever the tiles say; or the database fails
    """
    state, goal = store.state(), log.checkpoint
    check_growth(log, Checkpoint(goal.origin, state.size, state.root))
    read = tile_reader(log.fetch, goal.size)
    size, frontier = state.size, store.nodes(merkle.cover_range(0, state.size))
    while size < goal.size:
        bundle = find_tile(ENTRIES, size // WIDTH, goal.size)
        assert bundle is not None
        entries = fetch_entries(log.fetch, bundle)[size - bundle.start :]
        growth = grow_tree(size, frontier, [merkle.leaf_hash(entry) for entry in entries])
        _check_part(read, growth.size, growth.root, goal.size, goal.root, size)
        try:
            receipts = store.append(entries, log_signing_key=log_signing_key)
        except LedgerError as error:
            error.add_note(f"while entries {size} to {growth.size - 1} were restored")
            raise
        if [item.index for item in receipts] != list(range(size, growth.size)):
            raise ProofError(f"expected new entries from {size} on, got some that the ledger had before")
        size, frontier = growth.size, growth.frontier()
    restored = store.state()
    if (restored.size, restored.root) != (goal.size, goal.root):
        raise ProofError(f"expected the root of the tiles at size {goal.size}, got another")
    return Restoration(state.size, restored.size)


def _check_part(
    read: merkle.Reader, size: int, root: bytes, goal_size: int, goal_root: bytes, start: int
) -> None:
    try:
        proof = merkle.consistency_proof(read, size, goal_size)
        merkle.check_consistency(size, goal_size, root, goal_root, proof)
    except ProofError as error:
        raise ProofError(f"entries {start} to {size - 1} are not those of the checkpoint: {error}") from error
