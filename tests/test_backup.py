"""Backups: made while the ledger is in use, checked byte by byte, restored to a ledger that goes on."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Shell, Stamped
from ledger_editor import edit

from api.backup import CONTENTS_NAME, FILES_NAME, KEYS_NAME, MANIFEST_NAME, check_backup, make_backup
from api.databasecopy import copy_database
from api.errors import BackupError, LedgerFolderError, RefusedError
from api.installation import check_layout, open_installation
from api.jobtable import JobRow
from api.keybackup import open_folder, seal_folder
from api.outcomes import BAD, USAGE
from api.release import recover
from api.restoration import drop_moved, restore_backup
from api.settings import Settings, read_settings
from ledger import PublicKey, SigningKey
from ledger.errors import RollbackError

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def backed_up(stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A ledger folder with work in progress, and its backup with keys; copy the backup before damaging it."""
    folder = tmp_path_factory.mktemp("backup")
    home = folder / "ledger"
    shutil.copytree(stamped_once.home, home)
    (home / "incoming" / "0123456789abcdef.input").write_bytes(b"an upload that a job waits for")
    (home / "incoming" / "upload-1").write_bytes(b"an upload of a verification")
    (home / "keys" / "persons").mkdir()
    (home / "keys" / "persons" / ("a" * 32 + ".key")).write_bytes(b"k" * 32)
    with open_installation(read_settings(home, {})) as installation:
        installation.jobs.add(
            JobRow(
                job_id="0123456789abcdef",
                kind="stamp",
                state="queued",
                stage="queued",
                fraction=0.0,
                request="{}",
                track_id="t" * 16,
                created="2026-01-01T00:00:00Z",
                updated="2026-01-01T00:00:00Z",
            )
        )
        made = make_backup(installation, folder / "backup", passphrase=PASSPHRASE)
    assert made.facts["database"] == "database.sqlite"
    return home, folder / "backup"


@pytest.fixture
def backup(backed_up: tuple[Path, Path], tmp_path: Path) -> Path:
    shutil.copytree(backed_up[1], tmp_path / "backup")
    return tmp_path / "backup"


@pytest.fixture
def report_keys(backed_up: tuple[Path, Path]) -> tuple[PublicKey, ...]:
    with open_installation(read_settings(backed_up[0], {})) as installation:
        return installation.public.reports


def test_a_backup_has_everything_but_locks_uploads_and_the_queue(backup: Path) -> None:
    paths = {str(path.relative_to(backup)) for path in backup.rglob("*") if path.is_file()}
    assert {"database.sqlite", KEYS_NAME, CONTENTS_NAME, MANIFEST_NAME} <= paths
    assert f"{FILES_NAME}/incoming/0123456789abcdef.input" in paths
    assert any(path.endswith("track.flac") for path in paths)
    for name in (".lock", "upload-", "ledger.db", "queue.db", f"{FILES_NAME}/keys"):
        assert not [path for path in paths if name in path]
    assert backup.stat().st_mode & 0o077 == 0
    assert (backup / "database.sqlite").stat().st_mode & 0o077 == 0


def test_a_restored_ledger_is_the_same_and_goes_on(
    backup: Path, stamped_once: Stamped, report_keys: tuple[PublicKey, ...], tmp_path: Path, shell: Shell
) -> None:
    settings = read_settings(tmp_path / "restored", {})
    done = restore_backup(backup, settings, report_keys, passphrase=PASSPHRASE)
    size = int(done.facts["checkpoint"].splitlines()[1])
    with open_installation(settings) as installation:
        assert installation.store.state().size == size
        assert installation.registry.get_released(stamped_once.track_id)
        assert installation.jobs.get("0123456789abcdef").state == "queued"
        installation.store.check_ancestor(done.facts["checkpoint"].encode())
    assert shell.json("log", "fsck", "--home", settings.home)["ok"]
    audio = settings.tracks / stamped_once.track_id / "track.flac"
    assert shell.json("verify", audio, "--home", settings.home)["verdict"] == "exact"
    recorded = ("custody", "record", stamped_once.track_id, "published", "--set", "channel=web")
    assert shell(*recorded, "--home", settings.home)[0] == 0
    with open_installation(settings) as installation:
        assert installation.store.state().size == size + 1


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap_signer(backup: Path) -> None:
    """Sign the statement of a backup with another key."""
    from ledger import sign_envelope
    from ledger.envelope import parse_envelope

    path = backup / MANIFEST_NAME
    payload = parse_envelope(path.read_bytes()).unverified_payload
    path.write_bytes(sign_envelope(payload, [SigningKey.generate()]))


def find_audio(backup: Path) -> Path:
    return next(backup.rglob("track.flac"))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit of the database": (lambda b: flip(b / "database.sqlite"), "not the file"),
    "a bit of a track": (lambda b: flip(find_audio(b)), "not the file"),
    "a bit of the keys": (lambda b: flip(b / KEYS_NAME), "not the file"),
    "a file is missing": (lambda b: find_audio(b).unlink(), "missing"),
    "a file is added": (lambda b: (b / FILES_NAME / "extra").write_bytes(b""), "not of this backup"),
    "a link": (lambda b: (b / FILES_NAME / "link").symlink_to("/etc/passwd"), "not of this backup"),
    "a link for a file": (
        lambda b: (
            (find_audio(b).rename(b.parent / "a"), (b / FILES_NAME / "tracks").exists())[1]
            and next((b / FILES_NAME / "tracks").iterdir()).joinpath("track.flac").symlink_to(b.parent / "a")
        ),
        "link",
    ),
    "the list": (lambda b: flip(b / CONTENTS_NAME), "does not hold|not the list"),
    "a row less": (
        lambda b: (b / CONTENTS_NAME).write_bytes((b / CONTENTS_NAME).read_bytes().split(b"\n", 1)[1]),
        "not the list",
    ),
    "another signer": (swap_signer, "does not hold"),
    "unfinished": (lambda b: (b / MANIFEST_NAME).unlink(), "no finished backup"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_backup_is_found_out_and_not_restored(
    damage: str, backup: Path, report_keys: tuple[PublicKey, ...], tmp_path: Path
) -> None:
    act, message = DAMAGES[damage]
    act(backup)
    with pytest.raises(BackupError, match=message):
        check_backup(backup, report_keys)
    settings = read_settings(tmp_path / "restored", {})
    with pytest.raises(BackupError):
        restore_backup(backup, settings, report_keys)
    assert not settings.home.exists()


def test_a_backup_is_not_made_into_what_it_copies(stamped: Stamped) -> None:
    with (
        open_installation(read_settings(stamped.home, {})) as installation,
        pytest.raises(BackupError, match="outside the ledger folder"),
    ):
        make_backup(installation, stamped.home / "tracks" / "backup")


def test_a_track_released_while_the_files_are_copied_is_in_the_backup_once_restored(
    stamped: Stamped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A track is logged and in incoming/ when the database is copied, and in tracks/ when the files are."""
    settings = read_settings(stamped.home, {})
    final, incoming = settings.tracks / stamped.track_id, settings.incoming / stamped.track_id

    def copy_then_move(copied: Settings, target: Path) -> None:
        copy_database(copied, target)
        incoming.rename(final)

    final.rename(incoming)
    with edit(settings.database_url) as editor:
        editor.execute("UPDATE track SET state = 'pending'")
    monkeypatch.setattr("api.backup.copy_database", copy_then_move)
    with open_installation(settings) as installation:
        made = make_backup(installation, tmp_path / "backup", passphrase=PASSPHRASE)
        keys = installation.public.reports
    restored = read_settings(tmp_path / "restored", {})
    restore_backup(made.folder, restored, keys, passphrase=PASSPHRASE)
    with open_installation(restored) as installation:
        assert recover(installation).finished == (stamped.track_id,)
        assert installation.registry.get_released(stamped.track_id)


def test_a_restoration_overwrites_nothing(
    backup: Path, report_keys: tuple[PublicKey, ...], stamped: Stamped
) -> None:
    before = (stamped.home / "ledger.db").read_bytes()
    with pytest.raises(BackupError, match="expected an empty or new folder"):
        restore_backup(backup, read_settings(stamped.home, {}), report_keys)
    assert (stamped.home / "ledger.db").read_bytes() == before


def test_a_restoration_that_fails_half_way_leaves_a_folder_that_is_refused(
    backup: Path, report_keys: tuple[PublicKey, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_settings(tmp_path / "restored", {})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("api.restoration.restore_database", fail)
    with pytest.raises(Exception, match="No space left"):
        restore_backup(backup, settings, report_keys)
    with pytest.raises(LedgerFolderError):
        check_layout(settings)


def test_an_old_backup_is_not_appended_to_where_there_is_a_lock_store(
    stamped: Stamped, tmp_path: Path, shell: Shell
) -> None:
    environment = {"PROVENOTE_LOCK_STORE": str(tmp_path / "lock-store")}
    settings = read_settings(stamped.home, environment)

    def record() -> None:
        with open_installation(settings) as installation:
            from api.publishing import anchor_once

            anchor_once(installation)

    record()  # takes the lock store into use
    with open_installation(settings) as installation:
        made = make_backup(installation, tmp_path / "backup", passphrase=PASSPHRASE)
    shutil.copytree(settings.keys, tmp_path / "kept-keys")
    recorded = ("custody", "record", stamped.track_id, "published", "--set", "channel=web")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROVENOTE_LOCK_STORE", environment["PROVENOTE_LOCK_STORE"])
        assert shell(*recorded, "--home", stamped.home)[0] == 0
    assert made.folder == tmp_path / "backup"
    restored = replace(settings, home=tmp_path / "restored", keys=tmp_path / "restored" / "keys")
    with open_installation(settings) as installation:
        keys = installation.public.reports
    restore_backup(made.folder, restored, keys, passphrase=PASSPHRASE)
    with pytest.raises(RollbackError, match="old copy"):
        open_installation(restored)


def test_what_was_moved_while_it_was_copied_is_kept_once(stamped: Stamped) -> None:
    settings = read_settings(stamped.home, {})
    twice, once = settings.incoming / stamped.track_id, settings.incoming / ("b" * 16)
    twice.mkdir()
    once.mkdir()
    drop_moved(settings)
    assert (twice.exists(), once.exists()) == (False, True)


def test_keys_are_sealed_and_those_of_persons_only_if_asked_for(stamped: Stamped) -> None:
    keys = stamped.home / "keys"
    (keys / "persons").mkdir()
    (keys / "persons" / ("a" * 32 + ".key")).write_bytes(b"k" * 32)
    sealed = seal_folder(keys, PASSPHRASE, log_n=14)
    files = open_folder(sealed, PASSPHRASE)
    assert files == {path.name: path.read_bytes() for path in keys.iterdir() if path.is_file()}
    whole = open_folder(seal_folder(keys, PASSPHRASE, persons=True, log_n=14), PASSPHRASE)
    assert set(whole) - set(files) == {f"persons/{'a' * 32}.key"}
    with pytest.raises(BackupError, match="passphrase"):
        open_folder(sealed, PASSPHRASE + "x")
    for place in (40, len(sealed) // 2, len(sealed) - 3):
        broken = bytearray(sealed)
        broken[place] ^= 1
        with pytest.raises(BackupError):
            open_folder(bytes(broken), PASSPHRASE)
    with pytest.raises(RefusedError, match="12 characters"):
        seal_folder(keys, "short")


def test_the_commands_make_check_and_restore(
    stamped: Stamped, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, home = tmp_path / "backup", ("--home", stamped.home)
    made = shell.json("backup", backup, *home)
    assert made["keys"] is False
    assert shell.json("backup", backup, *home, code=USAGE)["detail"].endswith("it holds files")
    assert shell.json("check-backup", backup)["pinned"] is False
    assert shell.json("check-backup", backup, "--trust", stamped.home)["pinned"] is True
    restored = tmp_path / "restored"
    restored.mkdir()
    shutil.copytree(stamped.home / "keys", restored / "keys")  # kept apart, put in their place by hand
    shell.json("restore", backup, "--home", restored)
    assert shell.json("upgrade", "--home", restored)["schema"]
    assert shell.json("log", "fsck", "--home", restored)["ok"]
    flip(backup / "database.sqlite")
    assert shell.json("check-backup", backup, code=BAD)["ok"] is False
    assert json.loads((restored / "provenote.json").read_text())["format"] == 1
