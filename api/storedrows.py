"""What all that keeps rows in the database has in common: its connections, and one transaction a call."""

import contextlib
from collections.abc import Iterator

from sqlalchemy import Engine, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from ledger.database import open_database


class StoredRows:
    """Reads and writes of some tables; each method of a subclass is one transaction.

    Raises (every method)
    ---------------------
    ledger.StorageError
        The database is missing, damaged, full, busy or read-only.
    """

    def __init__(self, url: str) -> None:
        self._database = open_database(url)

    def close(self) -> None:
        """Give up the connections."""
        self._database.close()

    @contextlib.contextmanager
    def _session(self, *, write: bool = False) -> Iterator[Session]:
        """Open a session; one that writes holds the database from its beginning on, and commits."""
        options = {"sqlite_begin": "IMMEDIATE"} if write else {}
        engine = self._database.engine.execution_options(**options)
        with self._database.translate_errors(), Session(engine, expire_on_commit=False) as session:
            yield session
            if write:
                session.commit()


def insert_into(table: Table, engine: Engine) -> sqlite.Insert | postgresql.Insert:
    """Return an insert that can say ON CONFLICT: both databases have it, each under its own name."""
    return postgresql.insert(table) if engine.dialect.name == "postgresql" else sqlite.insert(table)
