"""Reading the ledger's tables: the queries that store, sequencer and fsck share.

Plain Core statements, since building ORM objects would cost more than the cryptography.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import Connection, Table, select, tuple_

from .errors import CorruptError
from .event import Head
from .merkle import Coordinate, Reader
from .tables import CheckpointRow, EntryRow, KeyRow, NodeRow, StateRow, SubjectRow


def _table(row: type) -> Table:
    return cast(Table, row.__table__)  # type: ignore[attr-defined]  # SQLModel gives every table class one


STATE = _table(StateRow)
ENTRY = _table(EntryRow)
NODE = _table(NodeRow)
CHECKPOINT = _table(CheckpointRow)
SUBJECT = _table(SubjectRow)
KEY = _table(KeyRow)


MAX_PARAMETERS = 2000
"""Values in one query: SQLite's own limit is 32,766, and a long list is compiled anew each time."""


def node_reader(connection: Connection) -> Reader:
    """Return a reader of tree nodes: leaf hashes from the entries, the others from the node table.

    It reads each node once: nodes never change, and the proofs of one batch share most of theirs.
    """
    found: dict[Coordinate, bytes] = {}

    def read(coordinates: Sequence[Coordinate]) -> list[bytes]:
        wanted = [coordinate for coordinate in coordinates if coordinate not in found]
        leaves = [position for level, position in wanted if level == 0]
        inner = [coordinate for coordinate in wanted if coordinate[0] > 0]
        for start in range(0, len(leaves), MAX_PARAMETERS):
            chosen = ENTRY.c.entry_index.in_(leaves[start : start + MAX_PARAMETERS])
            query = select(ENTRY.c.entry_index, ENTRY.c.leaf_hash).where(chosen)
            found.update({(0, index): leaf for index, leaf in connection.execute(query)})
        for start in range(0, len(inner), MAX_PARAMETERS // 2):
            pairs = tuple_(NODE.c.level, NODE.c.position).in_(inner[start : start + MAX_PARAMETERS // 2])
            nodes = connection.execute(select(NODE).where(pairs))
            found.update({(row.level, row.position): row.hash for row in nodes})
        missing = [coordinate for coordinate in wanted if coordinate not in found]
        if missing:
            level, position = missing[0]
            raise CorruptError(
                f"tree node {position} of level {level} is missing: run fsck", index=position << level
            )
        return [found[coordinate] for coordinate in coordinates]

    return read


def read_head(connection: Connection, asset: str) -> Head | None:
    """Return an asset's last event, or None when it has none."""
    query = (
        select(ENTRY.c.n, ENTRY.c.leaf_hash).where(ENTRY.c.asset == asset).order_by(ENTRY.c.n.desc()).limit(1)
    )
    row = connection.execute(query).one_or_none()
    return Head(row.n, row.leaf_hash) if row else None


def read_note(connection: Connection, size: int) -> bytes:
    """Return the checkpoint note of a size, b"" where there is none."""
    note: bytes | None = connection.scalar(select(CHECKPOINT.c.note).where(CHECKPOINT.c.size == size))
    return note or b""
