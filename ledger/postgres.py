"""PostgreSQL as the ledger's database, for the workers of many processes and hosts.

The driver is psycopg 3 (extra `postgresql`). A server that does not sync what it commits is refused. Many
values travel as arrays, one for a column, in binary (`%b`): of text, psycopg looks for what to quote in each.
Appending goes through one elected process (`sharing`), so nothing here queues writers; `begin` keeps the few
others apart (making a ledger, migrations).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, Connection, Engine, Integer, LargeBinary, Table
from sqlalchemy.engine import URL

from .errors import (
    BusyError,
    CorruptError,
    DiskFullError,
    OutcomeUnknownError,
    ReadOnlyError,
    SchemaError,
    StorageError,
)
from .event import Head
from .merkle import Coordinate
from .tables import APPEND_ONLY

CONNECT_TIMEOUT_S = 10
WRITER_LOCK = 0x70726F76_6E6F7465
"""Advisory lock of whoever changes the ledger outside the elected sequencer: "provnote" in ASCII."""

ROWS_LOCK = 0x70726F76_726F7773
"""Advisory lock of a transaction that reads rows and writes what follows from them: "provrows" in ASCII."""

SETTINGS = {"synchronous_commit": "on", "fsync": "on", "full_page_writes": "on"}
_ERRORS: Mapping[str, type[StorageError]] = {
    "53100": DiskFullError,
    "25006": ReadOnlyError,
    "42501": ReadOnlyError,
    "55P03": BusyError,
    "57014": BusyError,
    "3D000": SchemaError,
    "XX001": CorruptError,
    "XX002": CorruptError,
}
"""Condition codes (PostgreSQL, appendix A) that mean something to a caller."""
_BROKEN = ("08", "57P")
"""Classes of codes that tell of a lost connection or a server going down."""


class PostgresDatabase:
    """A database of a PostgreSQL server."""

    def __init__(self, url: URL) -> None:
        """Open the database of a URL such as `postgresql://user@host/name`; it connects at the first use.

        Raises
        ------
        StorageError : psycopg is not installed
        """
        self.where = f"{url.host or url.query.get('host') or 'localhost'}/{url.database}"
        try:
            self.engine: Engine = sqlalchemy.create_engine(
                url.set(drivername="postgresql+psycopg"),
                connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
                pool_pre_ping=True,  # the server may have been restarted
                pool_size=8,
                max_overflow=64,
            )
        except ModuleNotFoundError as error:
            raise StorageError(f"{self.where}: PostgreSQL needs the package psycopg: {error}") from error
        driver: Any = self.engine.dialect.dbapi
        self._driver_error: type[Exception] = driver.Error
        sqlalchemy.event.listen(self.engine, "connect", self._check_settings)
        sqlalchemy.event.listen(self.engine, "begin", _begin_transaction)

    def _check_settings(self, connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            for name, expected in SETTINGS.items():
                found = cursor.execute(f"SHOW {name}").fetchone()[0]
                if found != expected:
                    raise StorageError(f"{self.where}: expected {name}={expected}, got {found}")
        connection.commit()

    @contextlib.contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turn the driver's errors inside the block into StorageErrors that name the database."""
        try:
            yield
        except sqlalchemy.exc.DBAPIError as error:
            raise self.describe_error(error.orig) from error
        except self._driver_error as error:  # from where the driver is used by itself
            raise self.describe_error(error) from error

    def describe_error(self, error: BaseException | None) -> StorageError:
        """Return the domain error for an error of the driver, by its condition code."""
        code = getattr(error, "sqlstate", None) or ""
        text = " ".join(str(error).split())
        if 'database "' in text and "does not exist" in text:  # refused on connecting: without a code
            code = "3D000"
        return _ERRORS.get(code, StorageError)(f"{self.where}: {text}")

    def hold_writer(self, _timeout_s: float) -> contextlib.AbstractContextManager[None]:
        """Nothing to hold: `begin` itself waits."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment of the database throughout."""
        with self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="REPEATABLE READ")

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction that holds the lock of those who change the ledger."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (WRITER_LOCK,))
            yield connection

    def commit(self, connection: Connection) -> None:
        """Commit: a lost connection leaves open whether the log holds the transaction."""
        try:
            connection.commit()
        except sqlalchemy.exc.DBAPIError as error:
            code = getattr(error.orig, "sqlstate", None) or "08"
            described = self.describe_error(error.orig)
            if code.startswith(_BROKEN):
                raise OutcomeUnknownError(f"the commit failed: {described}") from error
            raise described from error

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows by one statement over arrays, a column each."""
        arrays = ", ".join(f"%b::{name_type(column.type)}[]" for column in table.columns)
        sql = f"INSERT INTO {table.name} SELECT * FROM unnest({arrays})"
        connection.exec_driver_sql(sql, tuple(list(values) for values in zip(*rows, strict=True)))

    def read_heads(self, connection: Connection, assets: Sequence[str]) -> dict[str, Head]:
        """Return the last event of each asset that has one."""
        rows = connection.exec_driver_sql(
            "SELECT wanted, n, leaf_hash FROM unnest(%b::text[]) wanted CROSS JOIN LATERAL (SELECT n,"
            " leaf_hash FROM ledger_entry WHERE asset = wanted ORDER BY n DESC LIMIT 1) head",
            (list(assets),),
        )
        return {asset: Head(n, leaf) for asset, n, leaf in rows}

    def read_nodes(
        self, connection: Connection, coordinates: Sequence[Coordinate]
    ) -> dict[Coordinate, bytes]:
        """Return the stored tree nodes among these coordinates; level 0 is the entries' leaf hashes."""
        inner = [coordinate for coordinate in coordinates if coordinate[0]]
        found: dict[Coordinate, bytes] = {}
        if inner:
            rows = connection.exec_driver_sql(
                "SELECT level, position, hash FROM unnest(%b::int[], %b::bigint[]) wanted(l, p)"
                " JOIN ledger_node ON level = l AND position = p",
                ([level for level, _ in inner], [position for _, position in inner]),
            )
            found = {(level, position): hashed for level, position, hashed in rows}
        leaves = [position for level, position in coordinates if level == 0]
        if leaves:
            rows = connection.exec_driver_sql(
                "SELECT entry_index, leaf_hash FROM ledger_entry WHERE entry_index = ANY(%b::bigint[])",
                (leaves,),
            )
            found |= {(0, index): leaf for index, leaf in rows}
        return found

    def sync(self) -> None:
        """Nothing to do: the server syncs its own folders."""

    def check_integrity(self, _connection: Connection) -> list[str]:
        """Return nothing: damaged pages show as errors when they are read (data checksums)."""
        return []

    def read_triggers(self, connection: Connection) -> dict[str, str]:
        """Return what each trigger on the ledger's tables does, and whether it is in force."""
        rows = connection.exec_driver_sql(
            "SELECT c.relname || '.' || t.tgname, pg_get_triggerdef(t.oid, true), t.tgenabled, p.prosrc"
            " FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid"
            " WHERE NOT t.tgisinternal AND c.relname LIKE 'ledger\\_%%'"
            " AND pg_table_is_visible(c.oid)"
        )
        return {name: f"{definition} [{enabled}]\n{body}" for name, definition, enabled, body in rows}

    def expected_triggers(self) -> Mapping[str, str]:
        """Return what `read_triggers` gives for a sound ledger."""
        expected = {}
        for table in (*APPEND_ONLY, "ledger_state"):
            function = "ledger_state_grows" if table == "ledger_state" else "ledger_append_only"
            body = STATE_GROWS if table == "ledger_state" else STAYS
            for name, events, unit in (
                ("rows", "BEFORE DELETE OR UPDATE", "ROW"),
                ("table", "BEFORE TRUNCATE", "STATEMENT"),
            ):
                expected[f"{table}.{table}_{name}"] = (
                    f"CREATE TRIGGER {table}_{name} {events} ON {table} FOR EACH {unit} "
                    f"EXECUTE FUNCTION {function}() [O]\n{body}"
                )
        return expected

    def distrust(self) -> None:
        """Nothing to do: what failed is the server's memory, and the pool gives out no broken connection."""

    def renew(self, _connection: Connection) -> None:
        """Nothing to do: since version 12, a server whose sync fails stops, and recovers from its log."""

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


STAYS = "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END"
"""Body of the function that keeps tables append-only."""
STATE_GROWS = (
    "BEGIN IF TG_OP <> 'UPDATE' THEN RAISE EXCEPTION 'ledger_state cannot be deleted'; END IF; "
    "IF NEW.id <> OLD.id OR NEW.origin <> OLD.origin OR NEW.vkey <> OLD.vkey OR NEW.size <= OLD.size "
    "THEN RAISE EXCEPTION 'ledger_state only grows'; END IF; RETURN NEW; END"
)
"""Body of the function that lets the state row only grow."""


def _begin_transaction(connection: Connection) -> None:
    """Keep transactions apart that read first and write then, by the option that is SQLite's IMMEDIATE."""
    if connection.get_execution_options().get("sqlite_begin") == "IMMEDIATE":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (ROWS_LOCK,))


def name_type(kind: sqlalchemy.types.TypeEngine[Any]) -> str:
    """Return PostgreSQL's name of a column's type."""
    if isinstance(kind, LargeBinary):
        return "bytea"
    if isinstance(kind, BigInteger):
        return "bigint"
    return "integer" if isinstance(kind, Integer) else "text"
