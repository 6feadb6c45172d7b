"""Ledgers of millions of entries, written straight into the tables: to measure what size costs.

Appending four million signed events would take an hour. What is measured (opening, proofs) reads tree nodes,
checkpoints and the last entries, so all but the last entries are short: no events, but entries, with their
leaf hashes, chain and tree. Growing goes on through the ordinary writer.
"""

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

from benchmarks.ledger_material import LOG_KEY, make_ledger
from ledger import Store
from ledger.chain import extend_chain
from ledger.checkpoint import sign_checkpoint
from ledger.growth import grow_tree
from ledger.merkle import leaf_hash
from ledger.rows import CHECKPOINT, ENTRY, NODE, read_state
from ledger.transaction import Edge, read_edge

CHUNK = 20_000


def grow_ledger(url: str, size: int) -> None:
    """Bring a ledger, made if need be, to a size by short entries."""
    with Store(url) as store:
        database = store.database
        while True:
            with database.begin() as connection:
                state = read_state(connection)
                assert state is not None
                if state.size >= size:
                    return
                edge = read_edge(database, connection, state)
                _add_chunk(database, connection, edge, min(CHUNK, size - state.size))
                database.commit(connection)


def _add_chunk(database: Any, connection: Any, edge: Edge, count: int) -> None:
    state = edge.state
    entries = list(itertools.islice(_short_entries(state.size), count))
    leaves = [leaf_hash(entry) for entry in entries]
    growth = grow_tree(state.size, edge.frontier, leaves)
    link, rows = state.chain_hash, []
    for index, entry in enumerate(entries, start=state.size):
        leaf = leaves[index - state.size]
        link = extend_chain(link, leaf)
        rows.append((index, entry, leaf, link, f"short:{index}", 0))
    database.insert_rows(connection, ENTRY, rows)
    nodes = [(level, position, hashed) for (level, position), hashed in growth.nodes()]
    database.insert_rows(connection, NODE, nodes)
    note = sign_checkpoint(state.origin, growth.size, growth.root, LOG_KEY)
    database.insert_rows(connection, CHECKPOINT, [(growth.size, note)])
    connection.exec_driver_sql(
        "UPDATE ledger_state SET size = ?, root = ?, chain_hash = ?", (growth.size, growth.root, link)
    )


def _short_entries(start: int) -> Iterator[bytes]:
    for index in itertools.count(start):
        yield hashlib.sha256(b"short entry %d" % index).digest()


__all__ = ["grow_ledger", "make_ledger"]
