import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from ledger_world import LOG_KEY, ORIGIN, append, check, draft, fill, find_path, make_store, make_url
from sqlmodel import SQLModel

import ledger
from ledger import Store, migration, tables
from ledger.database import open_database
from ledger.errors import CorruptError, LedgerError, ReadOnlyError, SchemaError, StorageError
from ledger.sqlite import check_filesystem, check_library

PROJECT = Path(__file__).resolve().parents[1]
OLD_LEDGER = PROJECT / "tests" / "vectors" / "ledger" / "ledger-0.1.0.db"
"""Made by version 0.1.0 with the keys of `ledger_world`: two key entries, six events, seven checkpoints."""


def list_schema(url: str, kind: str) -> dict[str, str]:
    connection = sqlite.connect(find_path(url))
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = ? AND name LIKE 'ledger_%'", (kind,)
    ).fetchall()
    connection.close()
    return dict(rows)


def test_migrations_run_up_down_and_up_again(tmp_path: Path) -> None:
    url = make_url(tmp_path)
    migration.upgrade(url)
    migration.upgrade(url)
    first = list_schema(url, "table"), list_schema(url, "trigger")
    assert len(first[0]) == 8
    migration.downgrade(url, "base")
    assert list_schema(url, "table") == list_schema(url, "trigger") == {}
    migration.upgrade(url)
    assert (list_schema(url, "table"), list_schema(url, "trigger")) == first


def test_the_migrated_schema_is_the_one_of_the_tables(tmp_path: Path) -> None:
    url = make_url(tmp_path)
    migration.upgrade(url)
    database = open_database(url)

    def is_ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or (name or "").startswith("ledger_")

    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": is_ours, "compare_type": True}
        )
        assert compare_metadata(context, SQLModel.metadata) == []
    database.close()
    expected = tables.build_triggers()
    assert list_schema(url, "trigger") == expected
    for name in ("ledger_node", "ledger_subject"):
        assert "WITHOUT ROWID" in list_schema(url, "table")[name]


def test_an_entry_survives_every_migration_byte_for_byte(tmp_path: Path) -> None:
    with make_store(tmp_path) as store:
        fill(store, 5)
        entries, url = store.entries(0, 99), store.url
    migration.upgrade(url)
    with Store(url) as store:
        assert store.entries(0, 99) == entries
        assert check(store).ok


def test_a_ledger_of_version_0_1_0_is_brought_up_to_date_and_stays_verifiable(tmp_path: Path) -> None:
    url = make_url(tmp_path)
    shutil.copy(OLD_LEDGER, find_path(url))
    with pytest.raises(SchemaError, match="older 0002_registry: upgrade the database first"):
        Store(url)
    connection = sqlite.connect(OLD_LEDGER)
    query = "SELECT entry FROM ledger_entry ORDER BY entry_index"
    entries = [entry for (entry,) in connection.execute(query)]
    notes = dict(connection.execute("SELECT size, note FROM ledger_checkpoint").fetchall())
    connection.close()
    migration.upgrade(url)
    with Store(url) as store:
        assert store.entries(0, 99) == entries
        assert {size: store.checkpoint(size) for size in notes} == notes
        assert check(store).ok
        assert append(store, entries[5])[0].index == 5
        fill(store, 3)
        assert store.check_ancestor(notes[8]).size == 8
        assert check(store).ok
        entries = store.entries(0, 99)
    migration.downgrade(url, "0002_registry")
    assert "leaf_hash" in list_schema(url, "trigger")["ledger_entry_no_replace"]
    migration.upgrade(url)
    with Store(url) as store:
        assert store.entries(0, 99) == entries
        assert check(store).ok


def set_revision(url: str, revision: str | None) -> None:
    connection = sqlite.connect(find_path(url))
    connection.execute("DELETE FROM alembic_version")
    if revision:
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    connection.commit()
    connection.close()


def test_databases_of_other_versions_are_told_apart(tmp_path: Path) -> None:
    with make_store(tmp_path) as store:
        url = store.url
    set_revision(url, "9999_later")
    with pytest.raises(SchemaError, match="newer version"):
        Store(url)
    with pytest.raises(SchemaError, match="newer version"):
        migration.upgrade(url)
    set_revision(url, None)
    with pytest.raises(SchemaError, match="without schema version"):
        Store(url)
    set_revision(url, migration.head_revision())
    Store(url).close()


def test_an_older_schema_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with make_store(tmp_path) as store:
        url = store.url
    if migration.head_revision() == "0001_ledger":
        folder = tmp_path / "scripts"
        (folder / "versions").mkdir(parents=True)
        for name in ("env.py", "versions/0001_ledger.py"):
            (folder / name).write_bytes((migration.SCRIPTS / name).read_bytes())
        (folder / "versions" / "0002_later.py").write_text(
            'revision = "0002_later"\ndown_revision = "0001_ledger"\n\n'
            "def upgrade():\n    pass\n\ndef downgrade():\n    pass\n"
        )
        monkeypatch.setattr(migration, "SCRIPTS", folder)
    else:
        set_revision(url, "0001_ledger")
    with pytest.raises(SchemaError, match="older 0001_ledger: upgrade the database first"):
        Store(url)


def test_migrations_are_found_from_any_folder(tmp_path: Path) -> None:
    code = f"import ledger; ledger.upgrade('sqlite:///{tmp_path}/ledger.db')"
    subprocess.run([sys.executable, "-c", code], cwd="/", check=True)
    assert len(list_schema(make_url(tmp_path), "table")) == 8


def test_the_alembic_folder_hides_no_library() -> None:
    assert not (PROJECT / "alembic" / "__init__.py").exists()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://localhost/ledger",
        "not a url",
    ],
)
def test_urls_that_are_no_database_file_are_refused(url: str) -> None:
    with pytest.raises(SchemaError, match="expected"):
        migration.upgrade(url)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no ledger here"):
        Store(make_url(tmp_path))
    with pytest.raises(SchemaError, match="no such folder"):
        migration.upgrade(make_url(tmp_path / "none"))
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(SchemaError, match="regular file"):
        migration.upgrade(make_url(tmp_path))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("content", [b"this is not a database" * 400, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(CorruptError, match="damaged"):
        migration.upgrade(make_url(tmp_path))
    with pytest.raises(CorruptError, match="damaged"):
        Store(make_url(tmp_path))
    assert path.read_bytes() == content


def test_a_sqlite_with_the_wal_reset_bug_is_refused() -> None:
    for version in ((3, 40, 1), (3, 51, 2), (3, 50, 6), (3, 44, 5), (3, 45, 9)):
        with pytest.raises(StorageError, match=re.escape("3.51.3 or newer")):
            check_library(version)
    for version in ((3, 51, 3), (3, 53, 4), (3, 50, 7), (3, 44, 6), (4, 0, 0)):
        check_library(version)


def test_a_network_file_system_is_refused() -> None:
    mounts = (
        "/dev/vda1 / ext4 rw 0 0\n"
        "host:/music /srv/music nfs4 rw 0 0\n"
        "/dev/vdb /srv/music/local\\040disk xfs rw 0 0\n"
    )
    check_filesystem(Path("/srv/ledger.db"), mounts)
    check_filesystem(Path("/srv/music/local disk/ledger.db"), mounts)
    check_filesystem(Path("/srv/musical/ledger.db"), mounts)
    with pytest.raises(StorageError, match="network file system nfs4"):
        check_filesystem(Path("/srv/music/ledger.db"), mounts)


def test_the_settings_that_durability_rests_on_are_in_force(tmp_path: Path) -> None:
    with make_store(tmp_path) as store, store.database.engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "trusted_schema", "recursive_triggers")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "trusted_schema": 0, "recursive_triggers": 1}


def run_as_nobody(code: str, *arguments: str) -> str:
    """Run code as a user without rights to the folder: as root, file modes would not bind us."""
    prologue = """
        import os, sys
        sys.path[:0] = {paths!r}
        import ledger, ledger_world
        from ledger.errors import LedgerError
        import alembic.autogenerate, sqlalchemy.dialects.sqlite, logging.config
        if os.geteuid() == 0:
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        try:
    """
    paths = [str(PROJECT), str(PROJECT / "tests")]
    program = textwrap.dedent(prologue).format(paths=paths) + textwrap.indent(
        textwrap.dedent(code) + "\n", "    "
    )
    program += "except LedgerError as error:\n    print(type(error).__name__, error)\n"
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_read_only_folder_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    # However deep a test worker's folder lies, another user must be able to walk there.
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    folder = tmp_path / "shut"
    folder.mkdir()
    with make_store(folder) as store:
        before = store.state()
    find_path(store.url).chmod(0o444)
    folder.chmod(0o555)
    try:
        open_and_append = """
            store = ledger.Store(sys.argv[1])
            ledger_world.fill(store, 1)
            print("appended")
        """
        output = run_as_nobody(open_and_append, make_url(folder))
        assert output.startswith("ReadOnlyError"), output
        assert "ledger.db" in output
        (tmp_path / "empty").mkdir(mode=0o555)
        output = run_as_nobody("ledger.upgrade(sys.argv[1])", make_url(tmp_path / "empty"))
        assert output.startswith("ReadOnlyError"), output
        assert "read-only" in output
    finally:
        folder.chmod(0o755)
        find_path(store.url).chmod(0o644)
    with Store(make_url(folder)) as store:
        assert store.state() == before


def test_errors_of_storage_are_errors_of_the_ledger() -> None:
    assert issubclass(ReadOnlyError, StorageError)
    assert issubclass(StorageError, LedgerError)


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "50% of; a & b #1 (é)"
    folder.mkdir()
    with make_store(folder) as store:
        fill(store, 2)
        assert check(store).ok
    assert (folder / "ledger.db").is_file()


def test_a_second_ledger_in_another_file_is_independent(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with make_store(tmp_path) as first, make_store(tmp_path / "b") as second:
        append(first, draft("track:1"))
        assert (first.state().size, second.state().size) == (2, 1)
    url = f"sqlite:///{tmp_path / 'third.db'}"
    ledger.upgrade(url)
    Store.create(url, origin=ORIGIN + "/third", log_signing_key=LOG_KEY).close()
