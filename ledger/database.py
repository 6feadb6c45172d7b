"""The database behind the ledger, by URL: SQLite in a file (`sqlite`), or PostgreSQL (`postgres`).

What the two do differently is said here, as one protocol; every other query is SQLAlchemy's and the same for
both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import sqlalchemy
from sqlalchemy import Connection, Engine, Table
from sqlalchemy.engine import make_url

from .errors import SchemaError
from .event import Head
from .merkle import Coordinate
from .postgres import PostgresDatabase
from .sqlite import SqliteDatabase


class Database(Protocol):
    """An open database: its connection pool, and what its dialect does in its own way."""

    engine: Engine
    where: str
    """The database as messages name it: a path, or host and name without a password."""

    def translate_errors(self) -> AbstractContextManager[None]:
        """Turn the library's errors inside the block into StorageErrors that name the database."""

    def hold_writer(self, timeout_s: float) -> AbstractContextManager[None]:
        """Hold the exclusive right to append; BusyError when it is not ours in time."""

    def read(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one moment of the database throughout."""

    def begin(self) -> AbstractContextManager[Connection]:
        """Open a transaction for writing that no other such can be beside; the caller commits."""

    def commit(self, connection: Connection) -> None:
        """Make a transaction durable; OutcomeUnknownError when it may or may not have become so."""

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows given as tuples in the order of the table's columns."""

    def read_heads(self, connection: Connection, assets: Sequence[str]) -> dict[str, Head]:
        """Return the last event of each asset that has one."""

    def read_nodes(
        self, connection: Connection, coordinates: Sequence[Coordinate]
    ) -> dict[Coordinate, bytes]:
        """Return the stored tree nodes among these coordinates; level 0 is the entries' leaf hashes."""

    def sync(self) -> None:
        """Make the database's own place durable, after its tables were made."""

    def check_integrity(self, connection: Connection) -> list[str]:
        """Return what the database itself finds wrong with its files."""

    def read_triggers(self, connection: Connection) -> dict[str, str]:
        """Return name and definition of the triggers on the ledger's tables."""

    def expected_triggers(self) -> Mapping[str, str]:
        """Return what `read_triggers` gives for a sound ledger."""

    def renew(self, connection: Connection) -> None:
        """Make sure that what is read is on the disk, before anything is built on it."""

    def distrust(self) -> None:
        """After an error of storage: see to it that no connection that saw it is used again."""

    def close(self) -> None:
        """Close the pooled connections."""


def open_database(url: str, *, create: bool = False) -> Database:
    """Open a database by its URL.

    Parameters
    ----------
    url : `sqlite:///relative`, `sqlite:////absolute`, or `postgresql://user@host/name`
    create : make an SQLite file where there is none; otherwise a missing file is an error

    Raises
    ------
    SchemaError : not such a URL, or no such database
    StorageError : as the dialect's class
    """
    try:
        parsed = make_url(url)
    except sqlalchemy.exc.ArgumentError as error:
        raise SchemaError(
            f"expected a database URL such as sqlite:////folder/ledger.db, got {url!r}"
        ) from error
    if parsed.get_backend_name() == "postgresql":
        return PostgresDatabase(parsed)
    if parsed.get_backend_name() != "sqlite":
        raise SchemaError(f"expected sqlite:///file or postgresql://, got {parsed.render_as_string()!r}")
    return SqliteDatabase(parsed, create=create)
