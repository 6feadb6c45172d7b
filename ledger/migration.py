"""Schema versions of the database, through alembic, without an ini file.

The scripts are in the project's `alembic/` folder, which has no `__init__.py`: one would hide the library of
that name.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from .database import open_database
from .errors import SchemaError

SCRIPTS = Path(__file__).resolve().parent.parent / "alembic"


def upgrade(url: str, revision: str = "head") -> None:
    """Create the database where there is none, and bring it to `revision`, durably.

    Raises
    ------
    SchemaError : the database is newer than this program
    StorageError : as `open_engine`
    """
    _run(url, "upgrade", revision, create=True)


def downgrade(url: str, revision: str) -> None:
    """Take the database back to `revision` (`base`: no tables at all), losing what the newer tables held."""
    _run(url, "downgrade", revision, create=False)


def read_revision(connection: sqlalchemy.Connection) -> str | None:
    """Return the revision that a database says it has, or None for none."""
    return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str:
    """Return the newest revision of this program."""
    return _list_revisions(SCRIPTS)[0]


def name_revision(connection: sqlalchemy.Connection) -> str:
    """Return the revision of a database if it is one of this program's, and otherwise the newest."""
    found = read_revision(connection)
    return found if found in _list_revisions(SCRIPTS) else head_revision()


def migrate_connection(connection: sqlalchemy.Connection, revision: str) -> None:
    """Bring an empty database up to a revision, over a connection; the caller commits, or does not."""
    command.upgrade(_configure(connection), revision)


def check_revision(connection: sqlalchemy.Connection) -> None:
    """Raise SchemaError unless the database has exactly this program's newest revision."""
    found, head = read_revision(connection), head_revision()
    if found == head:
        return
    if found is None:
        raise SchemaError(f"expected a ledger of schema {head}, got a database without schema version")
    if found in _list_revisions(SCRIPTS):
        raise SchemaError(f"expected schema {head}, got the older {found}: upgrade the database first")
    raise SchemaError(f"expected schema {head}, got {found!r}: made by a newer version of this program")


def _run(url: str, direction: str, revision: str, *, create: bool) -> None:
    database = open_database(url, create=create)
    try:
        with database.translate_errors(), database.begin() as connection, _translate_alembic():
            getattr(command, direction)(_configure(connection), revision)
            connection.commit()
        database.sync()
    finally:
        database.close()


@contextlib.contextmanager
def _translate_alembic() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise SchemaError(f"cannot migrate: {error}; made by a newer version of this program?") from error


def _configure(connection: sqlalchemy.Connection | None = None) -> Config:
    if not (SCRIPTS / "env.py").is_file():
        raise SchemaError(
            f"{SCRIPTS}: the migration scripts are missing; install the project from its folder"
        )
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@functools.lru_cache(maxsize=8)
def _list_revisions(_scripts: Path) -> tuple[str, ...]:
    """Return the revisions of this program, newest first; the scripts do not change while it runs."""
    return tuple(item.revision for item in ScriptDirectory.from_config(_configure()).walk_revisions())
