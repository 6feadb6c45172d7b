"""The inside of one commit: the rows of a batch written, read back and judged, in a transaction held open.

1. `read_edge`    the right edge of the tree, checked against the state row and the last checkpoint
2. `seal_batch`   what the sequencer accepted, as rows, with the checkpoint that will be signed
3. `write_batch`  rows, checkpoint, and the state row by compare-and-swap
4. `check_written`  what now stands in the tables, computed again from the stored bytes by another code path

A leaf hash that enters a signed tree with one flipped bit can never be repaired (it happened to a public log
in 2021), hence step 4. The caller commits, and hands out receipts only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, func, select

from . import merkle
from .chain import extend_chain, start_chain
from .checkpoint import open_checkpoint, sign_checkpoint
from .database import Database
from .errors import CorruptError, LedgerError, StorageError
from .growth import Growth, grow_tree
from .keys import SigningKey
from .receipt import Receipt
from .rows import (
    CHECKPOINT,
    ENTRIES_FROM,
    ENTRY,
    KEY,
    NODE,
    REQUEST,
    STATE,
    SUBJECT,
    SUBJECTS_FROM,
    node_reader,
    read_note,
    read_state,
)
from .sequencer import Accepted, State

_SWAP = (
    STATE.update()
    .where(
        STATE.c.id == 1,
        STATE.c.size == bindparam("before_size"),
        STATE.c.root == bindparam("before_root"),
    )
    .values(
        size=bindparam("after_size"), root=bindparam("after_root"), chain_hash=bindparam("after_chain_hash")
    )
)
"""Moves the state row on by compare-and-swap; built once, as a commit of one event has little else to do."""
REHASHED = 256
"""Entries before the edge whose bytes are hashed again when the edge is read."""


@dataclass(frozen=True)
class Edge:
    """The log's state and the hashes of `cover_range(0, size)`, checked against each other."""

    state: State
    frontier: tuple[bytes, ...]


@dataclass(frozen=True)
class Batch:
    """One commit: the edge before and after, the tree between, its checkpoint, and the rows by table."""

    before: State
    after: Edge
    growth: Growth
    note: bytes
    rows: dict[Table, list[tuple[Any, ...]]]

    def receipt(self, index: int) -> Receipt:
        """Return the receipt of an entry of this batch."""
        leaf = self.growth.levels[0].hashes[index - self.growth.levels[0].start]
        return Receipt(index, leaf, self.note, self.growth.path(index))


def read_edge(database: Database, connection: Connection, state: State) -> Edge:
    """Return the edge after checking that nodes, chain, state row, last entries and last checkpoint agree.

    Raises
    ------
    CorruptError : they do not, so appending would sign a contradiction
    """
    last = state.size - 1
    frontier = node_reader(database, connection)(merkle.cover_range(0, state.size))
    if merkle.fold_hashes(frontier) != state.root:
        raise CorruptError(
            f"stored nodes do not give the root at size {state.size}: run fsck", index=max(last, 0)
        )
    if connection.scalar(select(func.max(ENTRY.c.entry_index))) != (last if state.size else None):
        raise CorruptError(f"expected {state.size} entries, got others: run fsck", index=max(last, 0))
    query = select(ENTRY).where(ENTRY.c.entry_index >= state.size - REHASHED).order_by(ENTRY.c.entry_index)
    link = None if state.size > REHASHED else start_chain(state.origin)
    for row in connection.execute(query):
        if merkle.leaf_hash(row.entry) != row.leaf_hash:
            raise CorruptError(f"entry {row.entry_index} was altered: run fsck", index=row.entry_index)
        if link is not None and extend_chain(link, row.leaf_hash) != row.chain_hash:
            raise CorruptError(
                f"the chain breaks at entry {row.entry_index}: run fsck", index=row.entry_index
            )
        link = row.chain_hash
    if state.chain_hash != link:
        raise CorruptError(
            f"last chain link does not match the state at size {state.size}: run fsck", index=max(last, 0)
        )
    try:
        checkpoint = open_checkpoint(read_note(connection, state.size), state.origin, state.vkey)
    except LedgerError as error:
        raise CorruptError(f"checkpoint of size {state.size} does not open: {error}", index=last) from error
    if (checkpoint.size, checkpoint.root) != (state.size, state.root):
        raise CorruptError(f"checkpoint of size {state.size} signs another root: run fsck", index=last)
    return Edge(state, tuple(frontier))


def seal_batch(edge: Edge, accepted: Sequence[Accepted], log_signing_key: SigningKey) -> Batch:
    """Put the accepted events after the edge and sign the checkpoint that covers them."""
    before = edge.state
    growth = grow_tree(before.size, edge.frontier, [item.leaf_hash for item in accepted])
    link = before.chain_hash
    rows: dict[Table, list[tuple[Any, ...]]] = {ENTRY: [], SUBJECT: [], KEY: [], REQUEST: []}
    for index, item in enumerate(accepted, start=before.size):
        place, added = item.event.place, item.event.added_key
        link = extend_chain(link, item.leaf_hash)
        rows[ENTRY].append((index, item.entry, item.leaf_hash, link, place.asset, place.n))
        for subject in item.event.statement.subjects:
            rows[SUBJECT].append((index, subject.name, subject.sha256))
        if added is not None:
            rows[KEY].append((added.key_id, added.raw, index))
        if item.idempotency_key is not None:
            rows[REQUEST].append((item.idempotency_key, index))
    rows[NODE] = [(level, position, hashed) for (level, position), hashed in growth.nodes()]
    after = State(before.origin, before.vkey, growth.size, growth.root, link)
    note = sign_checkpoint(before.origin, after.size, after.root, log_signing_key)
    rows[CHECKPOINT] = [(after.size, note)]
    return Batch(before, Edge(after, tuple(growth.frontier())), growth, note, rows)


def write_batch(database: Database, connection: Connection, batch: Batch) -> None:
    """Insert the rows and move the state row on; StorageError when it is not where the batch starts."""
    for table, rows in batch.rows.items():
        if rows:
            database.insert_rows(connection, table, rows)
    before, after = batch.before, batch.after.state
    swapped = connection.execute(
        _SWAP,
        {
            "before_size": before.size,
            "before_root": before.root,
            "after_size": after.size,
            "after_root": after.root,
            "after_chain_hash": after.chain_hash,
        },
    )
    if swapped.rowcount != 1:
        raise StorageError(f"the ledger moved on from size {before.size} while it was locked")


def check_written(database: Database, connection: Connection, edge: Edge, batch: Batch) -> None:
    """Read back what the transaction wrote and compute it again.

    The tree is built a second time from the stored bytes, entry by entry from `edge`; the audit paths that
    will be handed out are nodes of the first tree, which must be the same throughout.

    Raises
    ------
    CorruptError : memory, code or database got something wrong; the transaction must be rolled back
    """
    before, after = batch.before, batch.after.state
    if read_state(connection) != after:
        raise CorruptError(f"the state row read back differs at size {after.size}", index=before.size)
    link, frontier = before.chain_hash, list(edge.frontier)
    nodes: dict[merkle.Coordinate, bytes] = {}
    leaves = []
    stored = _read_from(connection, ENTRIES_FROM, before.size)
    if stored != batch.rows[ENTRY]:
        raise CorruptError(f"entries read back from {before.size} on differ", index=before.size)
    for index, entry, leaf_hash, chain_hash, _, _ in stored:
        leaf = merkle.leaf_hash(entry)
        link = extend_chain(link, leaf)
        if (leaf_hash, chain_hash) != (leaf, link):
            raise CorruptError(f"entry {index} read back does not give its hashes", index=index)
        frontier, completed = merkle.complete_nodes(index, frontier, leaf)
        for level in range(1, len(completed)):
            nodes[level, index >> level] = completed[level]
        leaves.append(leaf)
    if (link, merkle.fold_hashes(frontier)) != (after.chain_hash, after.root):
        raise CorruptError("the entries read back do not give the new root", index=before.size)
    if grow_tree(before.size, edge.frontier, leaves) != batch.growth:
        raise CorruptError("the tree computed again differs", index=before.size)
    if database.read_nodes(connection, list(nodes)) != nodes:
        raise CorruptError("tree nodes read back differ", index=before.size)
    if sorted(_read_from(connection, SUBJECTS_FROM, before.size)) != sorted(batch.rows[SUBJECT]):
        raise CorruptError("subjects read back differ", index=before.size)
    for table in (KEY, REQUEST):
        written = batch.rows[table]
        if written and sorted(_read_keyed(connection, table, written)) != sorted(written):
            raise CorruptError(f"{table.name} read back differs", index=before.size)
    note = read_note(connection, after.size)
    try:
        checkpoint = open_checkpoint(note, before.origin, before.vkey)
    except LedgerError as error:
        raise CorruptError(f"the checkpoint read back does not open: {error}", index=before.size) from error
    if note != batch.note or (checkpoint.size, checkpoint.root) != (after.size, after.root):
        raise CorruptError("the checkpoint read back differs", index=before.size)


def _read_from(connection: Connection, query: Select[Any], start: int) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(query, {"start": start}).all()]


def _read_keyed(connection: Connection, table: Table, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Read rows again by the text that is their primary key."""
    column = next(iter(table.primary_key.columns))
    query = select(table).where(column.in_([row[0] for row in rows]))
    return [tuple(row) for row in connection.execute(query)]
