"""Reading the ledger's tables: the queries that store, sequencer and fsck share.

Plain Core statements, since building ORM objects would cost more than the cryptography.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from sqlalchemy import Connection, Table, bindparam, func, select

from . import merkle
from .database import Database
from .errors import CorruptError, NotFoundError, WeakKeyError
from .event import Head
from .keys import PublicKey
from .merkle import Coordinate, Reader
from .receipt import Receipt
from .sequencer import State
from .tables import (
    CheckpointRow,
    EntryRow,
    GuardRow,
    KeyRow,
    NodeRow,
    RequestRow,
    StateRow,
    SubjectRow,
)


def _table(row: type) -> Table:
    return cast(Table, row.__table__)  # type: ignore[attr-defined]  # SQLModel gives every table class one


STATE = _table(StateRow)
ENTRY = _table(EntryRow)
NODE = _table(NodeRow)
CHECKPOINT = _table(CheckpointRow)
SUBJECT = _table(SubjectRow)
KEY = _table(KeyRow)
REQUEST = _table(RequestRow)
GUARD = _table(GuardRow)

# Built once: for a proof, building its queries costs as much as asking them.
_STATE = select(STATE)
_NOTE = select(CHECKPOINT.c.note).where(CHECKPOINT.c.size == bindparam("size"))
_LEAF = select(ENTRY.c.leaf_hash).where(ENTRY.c.entry_index == bindparam("index"))
_COVERING = select(func.min(CHECKPOINT.c.size)).where(CHECKPOINT.c.size > bindparam("index"))
ENTRIES_FROM = select(ENTRY).where(ENTRY.c.entry_index >= bindparam("start")).order_by(ENTRY.c.entry_index)
SUBJECTS_FROM = (
    select(SUBJECT).where(SUBJECT.c.entry_index >= bindparam("start")).order_by(SUBJECT.c.entry_index)
)
GUARDS = select(GUARD.c.guard_id)
_FIND = select(ENTRY.c.entry_index, ENTRY.c.leaf_hash).where(
    ENTRY.c.asset == bindparam("asset"), ENTRY.c.n == bindparam("n")
)


def node_reader(database: Database, connection: Connection) -> Reader:
    """Return a reader of tree nodes: leaf hashes from the entries, the others from the node table.

    It reads each node once: nodes never change, and proofs side by side share most of theirs.
    """
    found: dict[Coordinate, bytes] = {}

    def read(coordinates: Sequence[Coordinate]) -> list[bytes]:
        wanted = [coordinate for coordinate in coordinates if coordinate not in found]
        if wanted:
            found.update(database.read_nodes(connection, wanted))
        missing = [coordinate for coordinate in wanted if coordinate not in found]
        if missing:
            level, position = missing[0]
            raise CorruptError(
                f"tree node {position} of level {level} is missing: run fsck", index=position << level
            )
        return [found[coordinate] for coordinate in coordinates]

    return read


def read_state(connection: Connection) -> State | None:
    """Return the state row, or None in a database where no ledger was started.

    Raises
    ------
    CorruptError : a value is of another type: SQLite keeps any type in any column
    """
    row = connection.execute(_STATE).one_or_none()
    if row is None:
        return None
    state = State(row.origin, row.vkey, row.size, row.root, row.chain_hash)
    kinds = {"origin": str, "vkey": str, "size": int, "root": bytes, "chain_hash": bytes}
    for name, kind in kinds.items():
        if not isinstance(getattr(state, name), kind):
            raise CorruptError(f"state row: {name} is not of type {kind.__name__}: run fsck")
    return state


def read_note(connection: Connection, size: int) -> bytes:
    """Return the checkpoint note of a size, b"" where there is none."""
    note = connection.scalar(_NOTE, {"size": size})
    return note if isinstance(note, bytes) else b""


def read_receipt(connection: Connection, read: merkle.Reader, index: int, size: int | None = None) -> Receipt:
    """Return the receipt under a checkpoint size, by default the first that covers the entry."""
    if size is None:
        size = connection.scalar(_COVERING, {"index": index})
    leaf = connection.scalar(_LEAF, {"index": index})
    note = read_note(connection, size) if size is not None else b""
    if size is None or leaf is None or not note or index >= size:
        raise NotFoundError(f"the ledger has no entry {index} under a checkpoint of size {size}")
    return Receipt(index, leaf, note, merkle.inclusion_proof(read, index, size))


class KeyDirectory(Mapping[str, PublicKey]):
    """The signing keys that entries have added, by key id, each read and judged when it is asked for.

    Raises (every method)
    ---------------------
    CorruptError : a key in the list is not one that an entry could have added
    """

    def __init__(self, connection: Connection, cache: dict[str, PublicKey] | None = None) -> None:
        """Read over a connection; `cache` holds keys read before, which never change."""
        self._connection = connection
        self._cache = {} if cache is None else cache

    def __getitem__(self, key_id: str) -> PublicKey:
        if key_id not in self._cache:
            row = self._connection.execute(select(KEY).where(KEY.c.key_id == key_id)).one_or_none()
            if row is None:
                raise KeyError(key_id)
            try:
                public_key = PublicKey(row.public_key)
            except WeakKeyError as error:
                raise CorruptError(f"key list: {error}: run fsck", index=row.entry_index) from error
            if public_key.key_id != key_id:
                raise CorruptError(f"key list: key {key_id} is another: run fsck", index=row.entry_index)
            self._cache[key_id] = public_key
        return self._cache[key_id]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._connection.scalars(select(KEY.c.key_id).order_by(KEY.c.entry_index))))

    def __len__(self) -> int:
        return self._connection.scalar(select(func.count()).select_from(KEY)) or 0


class StoredHistory:
    """What the log holds, as the sequencer asks for it; heads of many assets are read at once."""

    def __init__(
        self,
        database: Database,
        connection: Connection,
        assets: Sequence[str],
        key_cache: dict[str, PublicKey] | None = None,
    ) -> None:
        """Read over a connection, the heads of `assets` in advance."""
        self.keys: Mapping[str, PublicKey] = KeyDirectory(connection, key_cache)
        self._database = database
        self._connection = connection
        heads = database.read_heads(connection, assets) if assets else {}
        self._heads: dict[str, Head | None] = {asset: heads.get(asset) for asset in assets}

    def head(self, asset: str) -> Head | None:
        """Return an asset's last event, or None when it has none."""
        if asset not in self._heads:
            self._heads[asset] = self._database.read_heads(self._connection, [asset]).get(asset)
        return self._heads[asset]

    def entries(self, asset: str) -> list[tuple[int, bytes]]:
        """Return index and bytes of an asset's events, in order."""
        query = select(ENTRY.c.entry_index, ENTRY.c.entry).where(ENTRY.c.asset == asset).order_by(ENTRY.c.n)
        return [(row.entry_index, row.entry) for row in self._connection.execute(query)]

    def find(self, asset: str, n: int) -> tuple[int, bytes] | None:
        """Return index and leaf hash of an asset's event."""
        row = self._connection.execute(_FIND, {"asset": asset, "n": n}).one_or_none()
        return (row.entry_index, row.leaf_hash) if row else None

    def find_request(self, idempotency_key: str) -> int | None:
        """Return the index of the event that was appended under an idempotency key."""
        index: int | None = self._connection.scalar(
            select(REQUEST.c.entry_index).where(REQUEST.c.idempotency_key == idempotency_key)
        )
        return index
