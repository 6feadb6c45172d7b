"""How the tables of a sound database are defined: as this program's own migrations define them.

SQLite keeps the text of each CREATE, and the migrations, run in memory, give the same text; so every table,
index and trigger of the database is compared, the registry's as well (the ledger's triggers are by
`inspection`). Of PostgreSQL the ledger's tables are: columns, keys, checks and indexes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pysqlite3.dbapi2 as sqlite
import sqlalchemy
from sqlalchemy import CheckConstraint, Connection, Table, UniqueConstraint
from sqlmodel import SQLModel

from .audit import Finding, read_safely
from .database import Database
from .migration import migrate_connection, name_revision
from .postgres import name_type
from .sqlite import SqliteDatabase
from .tables import APPEND_ONLY

_LOCK = threading.Lock()
_BUILT: dict[str, Mapping[str, str]] = {}


def check_definitions(database: Database, connection: Connection, findings: list[Finding]) -> None:
    """Add a finding for each table or index that is not defined as it should be, or not there."""
    found = read_safely(findings, None, "schema", lambda: read_definitions(database, connection))
    expected = read_safely(
        findings, None, "schema version", lambda: expected_definitions(database, connection)
    )
    if found is None or expected is None:
        return
    tables = {name.rpartition(" of ")[2] for name in expected}
    for name in sorted(expected.keys() | found.keys()):
        if name not in expected and name.rpartition(" of ")[2] not in tables:
            continue  # a table of somebody else's beside ours
        if found.get(name) != expected.get(name):
            what = "missing" if name not in found else "altered" if name in expected else "unexpected"
            findings.append(Finding(None, "definition-altered", f"definition {name!r:.140} is {what}"))


def read_definitions(database: Database, connection: Connection) -> Mapping[str, str]:
    """Return what the tables and indexes of a database are defined as, by name."""
    if isinstance(database, SqliteDatabase):
        return _read_sqlite(connection)
    return _read_postgres(connection)


def expected_definitions(database: Database, connection: Connection) -> Mapping[str, str]:
    """Return what `read_definitions` gives for a sound database of the same revision."""
    if not isinstance(database, SqliteDatabase):
        return _describe_tables()
    revision = name_revision(connection)
    with _LOCK:  # alembic keeps one migration in the air for a process
        if revision not in _BUILT:
            engine = sqlalchemy.create_engine("sqlite://", module=sqlite)
            with engine.connect() as memory:
                migrate_connection(memory, revision)
                _BUILT[revision] = _read_sqlite(memory)
            engine.dispose()
        return _BUILT[revision]


def _read_sqlite(connection: Connection) -> Mapping[str, str]:
    query = (
        "SELECT type, name, tbl_name, sql FROM sqlite_master"
        " WHERE NOT (type = 'trigger' AND tbl_name LIKE 'ledger_%')"
    )
    rows = connection.exec_driver_sql(query).all()
    return {f"{kind} {name} of {table}": str(text) for kind, name, table, text in rows}


def _read_postgres(connection: Connection) -> Mapping[str, str]:
    found: dict[str, list[str]] = {}
    columns = connection.exec_driver_sql(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid WHERE c.relkind = 'r' AND c.relname = ANY(%s)"
        " AND pg_table_is_visible(c.oid) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        (_names(),),
    )
    for table, name, kind, required in columns:
        found.setdefault(table, []).append(f"{name} {kind}{' NOT NULL' if required else ''}")
    constraints = connection.exec_driver_sql(
        "SELECT c.relname, pg_get_constraintdef(k.oid, true) FROM pg_constraint k"
        " JOIN pg_class c ON c.oid = k.conrelid WHERE k.contype IN ('p', 'u', 'c')"
        " AND c.relname = ANY(%s) AND pg_table_is_visible(c.oid) ORDER BY 2",
        (_names(),),
    )
    indexes = connection.exec_driver_sql(
        "SELECT c.relname, 'INDEX ' || i.relname || ' (' || pg_get_indexdef(x.indexrelid, 1, true) || ')'"
        " FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid"
        " LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid WHERE k.oid IS NULL"
        " AND c.relname = ANY(%s) AND pg_table_is_visible(c.oid) ORDER BY 2",
        (_names(),),
    )
    for table, text in (*constraints, *indexes):
        found.setdefault(table, []).append(text.replace('"', ""))  # of `position`, a word of SQL
    return {table: ", ".join(parts) for table, parts in found.items()}


def _describe_tables() -> Mapping[str, str]:
    return {name: ", ".join(_describe(SQLModel.metadata.tables[name])) for name in _names()}


def _describe(table: Table) -> list[str]:
    columns = [
        f"{column.name} {name_type(column.type)}{'' if column.nullable else ' NOT NULL'}"
        for column in table.columns
    ]
    keys = [f"PRIMARY KEY ({', '.join(column.name for column in table.primary_key)})"]
    for item in table.constraints:
        if isinstance(item, UniqueConstraint):
            keys.append(f"UNIQUE ({', '.join(column.name for column in item.columns)})")
        elif isinstance(item, CheckConstraint):
            keys.append(f"CHECK ({item.sqltext})")
    indexes = [
        f"INDEX {item.name} ({', '.join(column.name for column in item.columns)})" for item in table.indexes
    ]
    return [*columns, *sorted(keys), *sorted(indexes)]


def _names() -> list[str]:
    return sorted({"ledger_state", *APPEND_ONLY})
