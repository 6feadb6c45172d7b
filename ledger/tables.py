"""The ledger's tables, and the triggers that keep them append-only.

Rows are never objects of the program: nothing here checks anything, and what is signed is the blob `entry`
alone. Every other column and table can be recomputed from the entries, which is what `fsck` does.

| table | holds |
| --- | --- |
| ledger_state | one row: origin, verifier key, size, root and last chain link; the only row that changes |
| ledger_entry | the entries, verbatim, with leaf hash, chain link, asset and n |
| ledger_node | hashes of full subtrees above the leaves |
| ledger_checkpoint | the signed checkpoint of every commit |
| ledger_subject | which digests an entry is about: the index that answers "is this file known" |
| ledger_key | signing keys added by entries |
| ledger_request | idempotency keys under which entries were appended |
| ledger_guard | the lock store that must agree before the log goes on |

The same bytes cannot be entered twice: they claim one place in one asset's history, and a place is unique.
The index of places also is the table of asset heads.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

BIG = BigInteger().with_variant(Integer, "sqlite")
"""64 bits in both databases; in SQLite only `INTEGER` makes a primary key the row's own number."""


class StateRow(SQLModel, table=True):
    """The one row that changes, by compare-and-swap on `size` and `root`."""

    __tablename__ = "ledger_state"
    __table_args__ = (CheckConstraint("id = 1", name="ledger_state_single"),)

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    origin: str = Field(sa_column=Column(Text, nullable=False))
    vkey: str = Field(sa_column=Column(Text, nullable=False))
    size: int = Field(sa_column=Column(BIG, nullable=False))
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    chain_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class EntryRow(SQLModel, table=True):
    """One entry: the envelope's exact bytes and what follows from them."""

    __tablename__ = "ledger_entry"
    __table_args__ = (UniqueConstraint("asset", "n", name="ledger_entry_asset_n"),)

    entry_index: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    entry: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    leaf_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    chain_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    asset: str = Field(sa_column=Column(Text, nullable=False))
    n: int = Field(sa_column=Column(BIG, nullable=False))


class NodeRow(SQLModel, table=True):
    """The hash of a full subtree of 2^level leaves, level >= 1."""

    __tablename__ = "ledger_node"
    __table_args__ = ({"sqlite_with_rowid": False},)

    level: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    position: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class CheckpointRow(SQLModel, table=True):
    """The signed note of one tree size."""

    __tablename__ = "ledger_checkpoint"

    size: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    note: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class SubjectRow(SQLModel, table=True):
    """One subject of one entry."""

    __tablename__ = "ledger_subject"
    __table_args__ = (Index("ledger_subject_sha256", "sha256"), {"sqlite_with_rowid": False})

    entry_index: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    name: str = Field(sa_column=Column(Text, primary_key=True))
    sha256: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class KeyRow(SQLModel, table=True):
    """A signing key and the entry that added it."""

    __tablename__ = "ledger_key"

    key_id: str = Field(sa_column=Column(Text, primary_key=True))
    public_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    entry_index: int = Field(sa_column=Column(BIG, nullable=False))


class RequestRow(SQLModel, table=True):
    """An idempotency key and the entry that was appended under it."""

    __tablename__ = "ledger_request"

    idempotency_key: str = Field(sa_column=Column(Text, primary_key=True))
    entry_index: int = Field(sa_column=Column(BIG, nullable=False))


class GuardRow(SQLModel, table=True):
    """A lock store of this ledger, and the size at which it was taken into use."""

    __tablename__ = "ledger_guard"

    guard_id: str = Field(sa_column=Column(Text, primary_key=True))
    size: int = Field(sa_column=Column(BIG, nullable=False))


APPEND_ONLY = {
    "ledger_entry": "entry_index = NEW.entry_index OR (asset = NEW.asset AND n = NEW.n)",
    "ledger_node": "level = NEW.level AND position = NEW.position",
    "ledger_checkpoint": "size = NEW.size",
    "ledger_subject": "entry_index = NEW.entry_index AND name = NEW.name",
    "ledger_key": "key_id = NEW.key_id",
    "ledger_request": "idempotency_key = NEW.idempotency_key",
    "ledger_guard": "guard_id = NEW.guard_id",
}
"""Append-only tables, each with what makes a row the same as one there: INSERT OR REPLACE would delete that
row without firing a DELETE trigger, so such an insert is stopped as well."""


def build_triggers() -> dict[str, str]:
    """Return name and SQL of every trigger that a sound ledger has."""
    triggers = {}
    for table, same in APPEND_ONLY.items():
        for action in ("update", "delete"):
            triggers[f"{table}_no_{action}"] = (
                f"CREATE TRIGGER {table}_no_{action} BEFORE {action.upper()} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        triggers[f"{table}_no_replace"] = (
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    triggers["ledger_state_no_delete"] = (
        "CREATE TRIGGER ledger_state_no_delete BEFORE DELETE ON ledger_state "
        "BEGIN SELECT RAISE(ABORT, 'ledger_state cannot be deleted'); END"
    )
    triggers["ledger_state_grows"] = (
        "CREATE TRIGGER ledger_state_grows BEFORE UPDATE ON ledger_state "
        "WHEN NEW.id <> OLD.id OR NEW.origin <> OLD.origin OR NEW.vkey <> OLD.vkey OR NEW.size <= OLD.size "
        "BEGIN SELECT RAISE(ABORT, 'ledger_state only grows'); END"
    )
    return triggers
