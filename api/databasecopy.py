"""A consistent copy of the database, while it is in use, and the way back.

SQLite is copied by its own backup interface, PostgreSQL by `pg_dump` and `pg_restore`, the server's own
programs (Debian: postgresql-client), which take the password from the URL by the environment, not by an
argument that others could see.
"""

import os
import shutil
import subprocess
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from ledger.database import open_database
from ledger.sqlite import SqliteDatabase

from .errors import BackupError
from .settings import Settings

SQLITE_NAME, DUMP_NAME = "database.sqlite", "database.dump"


def name_copy(settings: Settings) -> str:
    """Return the name of the copy of an installation's database."""
    return SQLITE_NAME if settings.uses_file else DUMP_NAME


def copy_database(settings: Settings, target: Path) -> None:
    """Copy the database as it is at one moment into a new file.

    Raises
    ------
    ledger.StorageError
        The database cannot be read.
    BackupError
        `pg_dump` is missing or failed.
    """
    if not settings.uses_file:
        _run_tool("pg_dump", "--format=custom", "--no-owner", f"--file={target}", url=settings.database_url)
        target.chmod(0o600)
        return
    database = open_database(settings.database_url)
    assert isinstance(database, SqliteDatabase)
    try:
        with database.translate_errors():
            database.copy_to(target)
    finally:
        database.close()


def restore_database(settings: Settings, source: Path) -> None:
    """Put a copy in the place of a database that is not there, or is empty.

    Raises
    ------
    BackupError
        It is the copy of another kind of database, there is one already, or `pg_restore` failed.
    """
    if source.name != name_copy(settings):
        raise BackupError(
            f"{source}: expected a copy of the kind {name_copy(settings)}: PROVENOTE_DATABASE must name "
            f"the same kind of database"
        )
    if settings.uses_file:
        if settings.database.exists():
            raise BackupError(f"{settings.database}: there is a database already")
        shutil.copyfile(source, settings.database)
        settings.database.chmod(0o600)
        return
    database = open_database(settings.database_url)
    try:
        with database.translate_errors(), database.engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
            ).scalar()
    finally:
        database.close()
    if found:
        raise BackupError(f"{database.where}: expected an empty database, it has {found} tables")
    _run_tool(
        "pg_restore",
        "--no-owner",
        "--exit-on-error",
        "--single-transaction",
        str(source),
        url=settings.database_url,
    )


def _run_tool(program: str, *arguments: str, url: str) -> None:
    parsed = make_url(url)
    environment = {**os.environ, **_name_server(parsed)}
    dbname = [f"--dbname={parsed.database}"]
    try:
        done = subprocess.run(
            [program, *dbname, *arguments], env=environment, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise BackupError(f"{program} cannot be run (Debian: postgresql-client): {error.strerror}") from error
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip()[-500:]}")


def _name_server(url: URL) -> dict[str, str]:
    host = url.host or url.query.get("host")
    named = {"PGHOST": host, "PGPORT": url.port, "PGUSER": url.username, "PGPASSWORD": url.password}
    named["PGSSLMODE"] = url.query.get("sslmode")
    return {name: str(value) for name, value in named.items() if value}
