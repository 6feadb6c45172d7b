"""The inside of one append: events in, rows out, within a transaction that the store holds open.

Steps, each in the function named after it:

1. `read_edge`    the right edge of the tree, checked against the state row and the last checkpoint
2. `Sequencer.add`  for each event: its place, signatures and rules; a repeated entry is only noted
3. `Sequencer.write`  rows, checkpoint, and the state row by compare-and-swap
4. `read_back`    what now stands in the tables, judged by the code of a verifier
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import sqlalchemy
from sqlalchemy import Connection, func, select

from . import merkle
from .chain import extend_chain, start_chain
from .checkpoint import open_checkpoint, sign_checkpoint
from .custodian import Custodian
from .errors import CorruptError, EventError, LedgerConflictError, LedgerError, StorageError, WeakKeyError
from .event import KEYS_ASSET, Event, Head, Place, open_event
from .keys import PublicKey, SigningKey
from .note import parse_vkey
from .receipt import Receipt
from .rows import CHECKPOINT, ENTRY, KEY, NODE, STATE, SUBJECT, node_reader, read_head, read_note


@dataclass(frozen=True)
class Draft:
    """An event that is built once its place is known, inside the writer lock.

    `build` gets the place and returns the signed entry's bytes; it must be quick, as every other writer waits
    for it.
    """

    asset: str
    build: Callable[[Place], bytes]


@dataclass(frozen=True)
class State:
    """The state row: the log's identity and its right edge."""

    origin: str
    vkey: str
    size: int
    root: bytes
    chain_hash: bytes


@dataclass
class Sequencer:
    """Collects the rows of one commit on top of a checked edge."""

    connection: Connection
    state: State
    frontier: list[bytes]
    known_keys: dict[str, PublicKey]
    custodian: Custodian = field(default_factory=Custodian)
    heads: dict[str, Head | None] = field(default_factory=dict)
    new_indexes: dict[bytes, int] = field(default_factory=dict)
    rows: dict[sqlalchemy.Table, list[dict[str, object]]] = field(default_factory=dict)
    chain_hash: bytes = b""

    def __post_init__(self) -> None:
        self.chain_hash = self.state.chain_hash
        self.rows = {ENTRY: [], NODE: [], SUBJECT: [], KEY: []}

    @property
    def size(self) -> int:
        """Entries with those collected so far."""
        return self.state.size + len(self.new_indexes)

    def add(self, event: Draft | bytes) -> int:
        """Take one event and return its index in the log; an entry that is there keeps its first index."""
        if isinstance(event, Draft):
            entry = event.build(Place.after(self.state.origin, event.asset, self._head(event.asset)))
        else:
            entry = event
        leaf = merkle.leaf_hash(entry)
        index = self._find(leaf)
        if index is not None:
            return index
        opened = open_event(entry, self.known_keys)
        if isinstance(event, Draft) and opened.place.asset != event.asset:
            raise EventError(
                f"expected an event of {event.asset!r} from its draft, got {opened.place.asset!r}"
            )
        self._check_place(opened.place)
        self.custodian.admit(opened, leaf, self.size, self._head(KEYS_ASSET), self._read_entries)
        return self._collect(entry, leaf, opened)

    def write(self, log_signing_key: SigningKey) -> None:
        """Insert the collected rows and move the state row on; nothing is durable before the commit."""
        frontier_root = merkle.fold_hashes(self.frontier)
        note = sign_checkpoint(self.state.origin, self.size, frontier_root, log_signing_key)
        for table, rows in self.rows.items():
            if rows:
                self.connection.execute(table.insert(), rows)
        self.connection.execute(CHECKPOINT.insert(), {"size": self.size, "note": note})
        swapped = self.connection.execute(
            STATE.update()
            .where(STATE.c.id == 1, STATE.c.size == self.state.size, STATE.c.root == self.state.root)
            .values(size=self.size, root=frontier_root, chain_hash=self.chain_hash)
        )
        if swapped.rowcount != 1:
            raise StorageError(f"the ledger moved on from size {self.state.size} while it was locked")

    def _head(self, asset: str) -> Head | None:
        if asset not in self.heads:
            self.heads[asset] = read_head(self.connection, asset)
        return self.heads[asset]

    def _read_entries(self, asset: str) -> list[tuple[int, bytes]]:
        query = select(ENTRY.c.entry_index, ENTRY.c.entry).where(ENTRY.c.asset == asset).order_by(ENTRY.c.n)
        return [(row.entry_index, row.entry) for row in self.connection.execute(query)]

    def _find(self, leaf: bytes) -> int | None:
        if leaf in self.new_indexes:
            return self.new_indexes[leaf]
        index: int | None = self.connection.scalar(
            select(ENTRY.c.entry_index).where(ENTRY.c.leaf_hash == leaf)
        )
        return index

    def _check_place(self, place: Place) -> None:
        if place.origin != self.state.origin:
            raise EventError(
                f"expected an event for the log {self.state.origin!r}, got {place.origin!r:.120}"
            )
        head = self._head(place.asset)
        expected = Place.after(self.state.origin, place.asset, head)
        if place != expected:
            raise LedgerConflictError(
                f"{place.asset}: expected event {expected.n} after {expected.prev.hex() or 'nothing'}, "
                f"got {place.n} after {place.prev.hex() or 'nothing'}",
                asset=place.asset,
                head=head,
            )

    def _collect(self, entry: bytes, leaf: bytes, opened: Event) -> int:
        index = self.size
        place, added = opened.place, opened.added_key
        if added is not None:
            if added == parse_vkey(self.state.vkey).public_key:
                raise EventError("expected a signing key apart from the log's own, got the log's key")
            self.known_keys[added.key_id] = added
            self.rows[KEY].append({"key_id": added.key_id, "public_key": added.raw, "entry_index": index})
        self.chain_hash = extend_chain(self.chain_hash, leaf)
        self.frontier, completed = merkle.complete_nodes(index, self.frontier, leaf)
        self.rows[ENTRY].append(
            {
                "entry_index": index,
                "entry": entry,
                "leaf_hash": leaf,
                "chain_hash": self.chain_hash,
                "asset": place.asset,
                "n": place.n,
            }
        )
        for level, node in enumerate(completed[1:], start=1):
            self.rows[NODE].append({"level": level, "position": index >> level, "hash": node})
        for subject in opened.statement.subjects:
            self.rows[SUBJECT].append({"entry_index": index, "name": subject.name, "sha256": subject.sha256})
        self.heads[place.asset] = Head(place.n, leaf)
        self.new_indexes[leaf] = index
        return index


def read_state(connection: Connection) -> State | None:
    """Return the state row, or None in a database where no ledger was started."""
    row = connection.execute(select(STATE)).one_or_none()
    return State(row.origin, row.vkey, row.size, row.root, row.chain_hash) if row else None


def read_edge(connection: Connection, state: State) -> list[bytes]:
    """Return the frontier after checking that nodes, chain, state row and last checkpoint agree.

    Raises
    ------
    CorruptError : they do not, so appending would sign a contradiction
    """
    last = state.size - 1
    frontier = list(node_reader(connection)(merkle.cover_range(0, state.size)))
    if merkle.fold_hashes(frontier) != state.root:
        raise CorruptError(
            f"stored nodes do not give the root at size {state.size}: run fsck", index=max(last, 0)
        )
    link = connection.scalar(select(ENTRY.c.chain_hash).where(ENTRY.c.entry_index == last))
    if state.chain_hash != (link if state.size else start_chain(state.origin)):
        raise CorruptError(
            f"last chain link does not match the state at size {state.size}: run fsck", index=last
        )
    if connection.scalar(select(func.max(ENTRY.c.entry_index))) != (last if state.size else None):
        raise CorruptError(f"expected {state.size} entries, got others: run fsck", index=last)
    note = connection.scalar(select(CHECKPOINT.c.note).where(CHECKPOINT.c.size == state.size))
    try:
        checkpoint = open_checkpoint(note or b"", state.origin, state.vkey)
    except LedgerError as error:
        raise CorruptError(f"checkpoint of size {state.size} does not open: {error}", index=last) from error
    if (checkpoint.size, checkpoint.root) != (state.size, state.root):
        raise CorruptError(f"checkpoint of size {state.size} signs another root: run fsck", index=last)
    return frontier


def read_known_keys(connection: Connection) -> dict[str, PublicKey]:
    """Return the signing keys that entries have added, by key id."""
    known = {}
    for row in connection.execute(select(KEY)):
        try:
            public_key = PublicKey(row.public_key)
        except WeakKeyError as error:
            raise CorruptError(f"key list: {error}: run fsck", index=row.entry_index) from error
        known[public_key.key_id] = public_key
    return known


def read_back(sequencer: Sequencer) -> dict[int, Receipt]:
    """Read what the transaction wrote, check it as a stranger would, and return the receipts by index.

    A leaf hash that enters a signed tree with one flipped bit can never be repaired (it happened to a public
    log in 2021), so hashes are computed again from the stored bytes, and proofs from the stored nodes.

    Raises
    ------
    CorruptError : memory, code or database got something wrong; the transaction must be rolled back
    """
    try:
        return _check_written(sequencer)
    except StorageError:
        raise
    except LedgerError as error:
        raise CorruptError(
            f"what was written does not verify: {error}", index=sequencer.state.size
        ) from error


def _check_written(sequencer: Sequencer) -> dict[int, Receipt]:
    connection, old = sequencer.connection, sequencer.state
    new = read_state(connection)
    assert new is not None
    note = read_note(connection, new.size)
    checkpoint = open_checkpoint(note, old.origin, old.vkey)
    if (checkpoint.size, checkpoint.root) != (new.size, new.root) or new.size != sequencer.size:
        raise CorruptError(f"checkpoint read back says size {checkpoint.size}, the state {new.size}")
    read = node_reader(connection)
    read(merkle.cover_proofs(range(old.size, new.size), new.size))  # all at once, not proof by proof
    if old.size:
        proof = merkle.consistency_proof(read, old.size, new.size)
        merkle.check_consistency(old.size, new.size, old.root, new.root, proof)
    link = old.chain_hash
    receipts = {}
    rows = connection.execute(
        select(ENTRY).where(ENTRY.c.entry_index >= old.size).order_by(ENTRY.c.entry_index)
    ).all()
    for row, written in zip(rows, sequencer.rows[ENTRY], strict=True):
        leaf = merkle.leaf_hash(row.entry)
        link = extend_chain(link, leaf)
        if dict(row._mapping) != written or (row.leaf_hash, row.chain_hash) != (leaf, link):
            raise CorruptError(f"entry {row.entry_index} read back differs", index=row.entry_index)
        path = merkle.inclusion_proof(read, row.entry_index, new.size)
        merkle.check_inclusion(row.entry_index, new.size, leaf, path, new.root)
        receipts[row.entry_index] = Receipt(row.entry_index, leaf, note, path)
    if link != new.chain_hash:
        raise CorruptError("chain read back does not end in the state row's link")
    _compare_rows(connection, sequencer, SUBJECT)
    _compare_rows(connection, sequencer, KEY)
    return receipts


def _compare_rows(connection: Connection, sequencer: Sequencer, table: sqlalchemy.Table) -> None:
    found: Sequence[sqlalchemy.Row[tuple[object, ...]]] = connection.execute(
        select(table).where(table.c.entry_index >= sequencer.state.size)
    ).all()
    as_sets = [
        {tuple(sorted(row.items())) for row in rows}
        for rows in ([dict(row._mapping) for row in found], sequencer.rows[table])
    ]
    if as_sets[0] != as_sets[1]:
        raise CorruptError(
            f"{table.name} read back differs from what was written", index=sequencer.state.size
        )
