"""Editing a ledger's database behind its back, as anybody with its shell can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ledger.database import open_database
from ledger.postgres import PostgresDatabase


class Editor:
    """Executes SQL, written as SQLite has it, on a database of either kind."""

    def __init__(self, connection: Any, postgres: bool) -> None:
        self.connection = connection
        self.postgres = postgres

    def execute(self, sql: str, values: Sequence[object] = ()) -> Any:
        """Execute a statement with `?` for values; for blobs it may say `x'00'` and `zeroblob(32)`."""
        if self.postgres:
            sql = sql.replace("zeroblob(32)", "decode(repeat('00', 32), 'hex')")
            sql = sql.replace("x'00'", "'\\x00'::bytea").replace("%", "%%").replace("?", "%s")
        return self.connection.execute(sql, tuple(values))


@contextmanager
def edit(url: str, *, keep_triggers: bool = True) -> Iterator[Editor]:
    """Open a database with its triggers out of the way, and put them back unless told otherwise."""
    database = open_database(url)
    triggers = database.expected_triggers()
    with database.engine.connect() as pooled:
        connection: Any = pooled.connection.dbapi_connection
        postgres = isinstance(database, PostgresDatabase)
        if postgres:
            tables = sorted({name.split(".")[0] for name in triggers})
            away = [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in tables]
            back = [f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in tables]
        else:
            connection.execute("BEGIN")
            away, back = [f"DROP TRIGGER {name}" for name in triggers], list(triggers.values())
        for sql in away:
            connection.execute(sql)
        yield Editor(connection, postgres)
        for sql in back if keep_triggers else ():
            connection.execute(sql)
        connection.commit()
    database.close()
