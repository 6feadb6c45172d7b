"""The embedded database: one SQLite library, its settings read back, its errors translated.

SQLite 3.7.0 to 3.51.2 can lose committed pages of a WAL database when one connection writes while another
checkpoints, so an affected library is refused. All code of a process that opens the ledger's file must do so
through `open_engine`: a second SQLite library in the same process would drop the first one's POSIX locks.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite
import sqlalchemy
from sqlalchemy.engine import URL, make_url

from .errors import BusyError, CorruptError, DiskFullError, ReadOnlyError, SchemaError, StorageError

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

_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: a commit returns when the WAL is on the disk
    "foreign_keys": 1,
    "trusted_schema": 0,
    "cell_size_check": 1,
    "recursive_triggers": 1,
}


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


def database_path(url: str) -> Path:
    """Return the file of an SQLite URL; SchemaError for any other, also one in memory: it is not durable."""
    try:
        parsed = make_url(url)
    except sqlalchemy.exc.ArgumentError as error:
        raise SchemaError(
            f"expected a database URL such as sqlite:////folder/ledger.db, got {url!r}"
        ) from error
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise SchemaError(f"expected sqlite:///file, got {parsed.render_as_string()!r}")
    assert parsed.database is not None
    return Path(parsed.database).absolute()


def open_engine(url: str, *, create: bool = False) -> sqlalchemy.Engine:
    """Return an engine whose every connection is checked for durable settings.

    Parameters
    ----------
    url : `sqlite:///relative` or `sqlite:////absolute`
    create : make the file where there is none; otherwise a missing file is an error

    Raises
    ------
    StorageError : the library is affected by the WAL-reset bug, or the disk is not local
    SchemaError : not an SQLite file URL, or no such file
    ReadOnlyError : file or folder not writable
    """
    check_library(sqlite.sqlite_version_info)
    path = database_path(url)
    _check_file(path, create=create)
    if MOUNTS.exists():
        check_filesystem(path.resolve(), MOUNTS.read_text("utf-8", "surrogateescape"))
    engine = sqlalchemy.create_engine(
        URL.create("sqlite", database=str(path)),
        module=sqlite,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
    )
    sqlalchemy.event.listen(engine, "connect", _configure_connection)
    sqlalchemy.event.listen(engine, "begin", _begin_transaction)
    return engine


@contextlib.contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Turn the database's errors inside the block into StorageErrors that name the file."""
    try:
        yield
    except sqlalchemy.exc.DBAPIError as error:
        raise describe_error(error.orig, path) from error
    except sqlite.Error as error:
        raise describe_error(error, path) from error


def describe_error(error: BaseException | None, path: Path) -> StorageError:
    """Return the domain error for an error of the SQLite library (by its result code)."""
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
    for name, expected in _PRAGMAS.items():
        try:
            # Set, fetched, and read back: an error of the disk shows only when the result is fetched.
            connection.execute(f"PRAGMA {name}={expected}").fetchall()
            actual = connection.execute(f"PRAGMA {name}").fetchone()[0]
        except sqlite.Error as error:
            raise describe_error(error, path) from error
        if actual != expected:
            raise StorageError(f"{path}: expected PRAGMA {name}={expected}, got {actual}")


def _begin_transaction(connection: sqlalchemy.Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
