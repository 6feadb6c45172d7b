"""SQLite as the ledger's database: one library, its settings read back, its errors translated.

SQLite 3.7.0 to 3.51.2 can lose committed pages of a WAL database when one connection writes while another
checkpoints, so an affected library is refused. All code of a process that opens the ledger's file must do so
through `SqliteDatabase`: a second SQLite library in the same process would drop the first one's POSIX locks.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite
import sqlalchemy
from sqlalchemy import Connection, Engine, Table
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
from .lock import hold_writer_lock
from .merkle import Coordinate
from .rewriting import rewrite_file
from .tables import build_triggers

BUSY_TIMEOUT_MS = 10_000
"""How long SQLite itself waits for another connection; the ledger's writers queue before that, on a lock."""
FIXED_SINCE = (3, 51, 3)
FIXED_BACKPORTS = {(3, 44): 6, (3, 50): 7}

NETWORK_FILESYSTEMS = frozenset(
    {
        "afs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "glusterfs",
        "lustre",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    }
)
MOUNTS = Path("/proc/self/mounts")

MAX_ROWS = 128
"""Rows in one INSERT. Each step of a statement gives up the interpreter lock, and may wait long to have it
back: few long steps, not many short ones."""

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: a commit returns when the WAL is on the disk
    "foreign_keys": 1,
    "trusted_schema": 0,
    "cell_size_check": 1,
    "recursive_triggers": 1,
    "cache_size": -65_536,  # KiB: the indexes of assets and digests are written all over
    "wal_autocheckpoint": 4_000,  # pages
}


class SqliteDatabase:
    """A database file, with an engine whose every connection is checked for durable settings."""

    def __init__(self, url: URL, *, create: bool = False) -> None:
        """Open the file of an SQLite URL.

        Raises
        ------
        StorageError : the library is affected by the WAL-reset bug, or the disk is not local
        SchemaError : no file's URL, or no such file
        ReadOnlyError : file or folder not writable
        """
        check_library(sqlite.sqlite_version_info)
        self.path = read_path(url)
        self.where = str(self.path)
        _check_file(self.path, create=create)
        if MOUNTS.exists():
            check_filesystem(self.path.resolve(), MOUNTS.read_text("utf-8", "surrogateescape"))
        self.engine: Engine = sqlalchemy.create_engine(
            URL.create("sqlite", database=str(self.path)),
            module=sqlite,
            connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        )
        self._kept: Any = None
        sqlalchemy.event.listen(self.engine, "connect", _configure_connection)
        sqlalchemy.event.listen(self.engine, "begin", _begin_transaction)

    @contextlib.contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turn the library's errors inside the block into StorageErrors that name the file."""
        try:
            yield
        except sqlalchemy.exc.DBAPIError as error:
            raise describe_error(error.orig, self.path) from error
        except (sqlite.Error, UnicodeDecodeError) as error:
            raise describe_error(error, self.path) from error

    def hold_writer(self, timeout_s: float) -> contextlib.AbstractContextManager[None]:
        """Queue for the lock that the writers of a host share."""
        return hold_writer_lock(self.path, timeout_s=timeout_s)

    def read(self) -> Connection:
        """Open a transaction that sees one moment of the database throughout."""
        return self.engine.connect()

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction that holds SQLite's own write lock from the start."""
        with self.engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection:
            yield connection

    def commit(self, connection: Connection) -> None:
        """Commit: an error of the disk leaves open whether the log holds the transaction."""
        try:
            connection.commit()
        except sqlalchemy.exc.DBAPIError as error:
            described = describe_error(error.orig, self.path)
            if type(described) is StorageError:
                raise OutcomeUnknownError(f"the commit failed: {described}") from error
            raise described from error

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, many to a statement; sizes are powers of two, so that few statements are prepared."""
        start = 0
        while start < len(rows):
            count = min(MAX_ROWS, 1 << ((len(rows) - start).bit_length() - 1))
            values = tuple(itertools.chain.from_iterable(rows[start : start + count]))
            connection.exec_driver_sql(_insert_sql(table.name, len(table.columns), count), values)
            start += count

    def read_heads(self, connection: Connection, assets: Sequence[str]) -> dict[str, Head]:
        """Return the last event of each asset that has one."""
        rows = connection.exec_driver_sql(
            "SELECT asset, n, leaf_hash FROM json_each(?) CROSS JOIN ledger_entry ON asset = value"
            " WHERE n = (SELECT max(n) FROM ledger_entry WHERE asset = value)",
            (json.dumps(list(assets)),),
        )
        return {asset: Head(n, leaf) for asset, n, leaf in rows.all()}

    def read_nodes(
        self, connection: Connection, coordinates: Sequence[Coordinate]
    ) -> dict[Coordinate, bytes]:
        """Return the stored tree nodes among these coordinates; level 0 is the entries' leaf hashes."""
        inner = connection.exec_driver_sql(
            "SELECT level, position, hash FROM json_each(?) CROSS JOIN ledger_node"
            " ON level = value ->> 0 AND position = value ->> 1",
            (json.dumps([coordinate for coordinate in coordinates if coordinate[0]]),),
        )
        # Damage can change a value's type: what is no bytes is no node.
        found = {(level, position): node for level, position, node in inner if isinstance(node, bytes)}
        leaves = [position for level, position in coordinates if level == 0]
        if leaves:
            rows = connection.exec_driver_sql(
                "SELECT entry_index, leaf_hash FROM json_each(?) CROSS JOIN ledger_entry"
                " ON entry_index = value",
                (json.dumps(leaves),),
            )
            found |= {(0, index): leaf for index, leaf in rows if isinstance(leaf, bytes)}
        return found

    def copy_to(self, target: Path) -> None:
        """Copy the database as it is at one moment into a new file, durably, while others write."""
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        source = sqlite.connect(str(self.path), timeout=BUSY_TIMEOUT_MS / 1000)
        try:
            copy = sqlite.connect(str(target))
            try:
                # One step: a source that is written to between two would make the copy begin anew.
                source.backup(copy, pages=-1)
                copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, no log beside it
            finally:
                copy.close()
        finally:
            source.close()
        with target.open("rb") as file:
            os.fsync(file.fileno())

    def sync(self) -> None:
        """Sync the folder, so that the file is there after a power cut."""
        sync_folder(self.path.parent)

    def check_integrity(self, connection: Connection) -> list[str]:
        """Return the findings of SQLite's integrity check."""
        lines = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        return [] if lines == ["ok"] else [str(line) for line in lines]

    def read_triggers(self, connection: Connection) -> dict[str, str]:
        """Return name and SQL of the triggers on the ledger's tables."""
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'ledger_%'"
        return {row.name: row.sql for row in connection.exec_driver_sql(query)}

    def expected_triggers(self) -> Mapping[str, str]:
        """Return name and SQL of every trigger that a sound ledger has."""
        return build_triggers()

    def distrust(self) -> None:
        """Close the pooled connections: one that saw the disk fail may remember what is not there.

        Another stays open: the last one to close would move the WAL into the database, which must not be done
        with a WAL that is perhaps not on the disk.
        """
        if self._kept is None:
            # Not one of the pool's: it could be the one that saw the error, with its locks.
            with contextlib.suppress(sqlite.Error):
                kept = sqlite.connect(self.path, check_same_thread=False)
                kept.execute("SELECT count(*) FROM sqlite_master").fetchall()  # opens the WAL
                self._kept = kept
        self.engine.dispose()

    def renew(self, _connection: Connection) -> None:
        """Write the WAL again, in a transaction that holds the write lock; see `rewriting`.

        What the WAL shows may be left from a commit whose sync failed, here or in a process before: nothing
        may be built on it before it is surely on the disk.
        """
        try:
            rewrite_file(self.path.with_name(self.path.name + "-wal"))
        except OSError as error:
            kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
            raise kind(f"{self.path}: the write-ahead log cannot be synced: {error.strerror}") from error

    def close(self) -> None:
        """Close the connections."""
        if self._kept is not None:
            with contextlib.suppress(sqlalchemy.exc.DBAPIError, StorageError), self.begin() as connection:
                self.renew(connection)
            self._kept.close()
            self._kept = None
        self.engine.dispose()


def check_library(version: tuple[int, int, int]) -> None:
    """Raise StorageError when this SQLite version has the WAL-reset bug."""
    backport = FIXED_BACKPORTS.get(version[:2])
    if version < FIXED_SINCE and (backport is None or version[2] < backport):
        raise StorageError(
            f"expected SQLite 3.51.3 or newer (WAL-reset bug), got {'.'.join(map(str, version))}"
        )


def check_filesystem(path: Path, mounts: str) -> None:
    """Raise StorageError when a file is on a network file system: WAL needs shared memory.

    `mounts` is the text of /proc/self/mounts (proc(5)): device, mount point, type and more on each line.
    """
    best, kind = -1, ""
    for line in mounts.splitlines():
        _, point, found, *_ = line.split(" ")
        folder = Path(point.replace("\\040", " "))
        if path.is_relative_to(folder) and len(folder.parts) >= best:
            best, kind = len(folder.parts), found
    if kind in NETWORK_FILESYSTEMS:
        raise StorageError(f"{path}: expected a local disk, got the network file system {kind}")


def read_path(url: URL) -> Path:
    """Return the file of an SQLite URL; SchemaError for one in memory: it is not durable."""
    if url.database in (None, "", ":memory:"):
        raise SchemaError(f"expected sqlite:///file, got {url.render_as_string()!r}")
    assert url.database is not None
    return Path(url.database).absolute()


def describe_error(error: BaseException | None, path: Path) -> StorageError:
    """Return the domain error for an error of the SQLite library (by its result code).

    A UnicodeDecodeError is what comes of its messages about a damaged schema, which quote the damage.
    """
    if isinstance(error, UnicodeDecodeError):
        return CorruptError(f"{path}: the database file is damaged: its text is not UTF-8")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # primary code; the upper bits refine it
    if code == sqlite.SQLITE_FULL:
        return DiskFullError(f"{path}: no space left on the device; nothing was recorded")
    if code in (sqlite.SQLITE_READONLY, sqlite.SQLITE_PERM, sqlite.SQLITE_CANTOPEN, sqlite.SQLITE_AUTH):
        return ReadOnlyError(f"{path}: cannot be opened for writing: {error}")
    if code in (sqlite.SQLITE_CORRUPT, sqlite.SQLITE_NOTADB):
        return CorruptError(f"{path}: the database file is damaged: {error}")
    if code in (sqlite.SQLITE_BUSY, sqlite.SQLITE_LOCKED):
        return BusyError(f"{path}: in use by another program for over {BUSY_TIMEOUT_MS / 1000:g} s")
    return StorageError(f"{path}: {error}")


def sync_folder(folder: Path) -> None:
    """Make a folder's list of files durable: SQLite does not report when its own attempt at this fails."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@functools.lru_cache(maxsize=256)
def _insert_sql(table: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {table} VALUES {', '.join([row] * rows)}"


def _check_file(path: Path, *, create: bool) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not create:
            raise SchemaError(f"{path}: no ledger here; make one first") from None
        if not path.parent.is_dir():
            raise SchemaError(f"{path.parent}: no such folder") from None
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise ReadOnlyError(f"{path.parent}: the folder is read-only") from None
        return
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise SchemaError(f"{path}: expected a regular file")


def _configure_connection(connection: Any, _record: object) -> None:
    path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    connection.isolation_level = None  # BEGIN is ours to say, see _begin_transaction
    for name, expected in PRAGMAS.items():
        try:
            # Set, fetched, and read back: an error of the disk shows only when the result is fetched.
            connection.execute(f"PRAGMA {name}={expected}").fetchall()
            actual = connection.execute(f"PRAGMA {name}").fetchone()[0]
        except (sqlite.Error, UnicodeDecodeError) as error:
            raise describe_error(error, path) from error
        if actual != expected:
            raise StorageError(f"{path}: expected PRAGMA {name}={expected}, got {actual}")


def _begin_transaction(connection: sqlalchemy.Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
