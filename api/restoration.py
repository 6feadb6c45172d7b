"""From a backup to a ledger folder that can be used: everything checked, then copied, then named.

Order of writes: files, database, keys, and provenote.json last; a folder without it is refused everywhere, so
a restoration that was cut short is started again in an empty folder.
"""

import os
import shutil
from pathlib import Path

import ledger

from .audiofile import sync_file
from .backup import FILES_NAME, KEYS_NAME, Backup, check_backup
from .databasecopy import restore_database
from .errors import BackupError, WriteError
from .keybackup import open_folder
from .marking import Progress, report_nothing
from .settings import Settings


def restore_backup(
    folder: Path,
    settings: Settings,
    public_keys: tuple[ledger.PublicKey, ...],
    *,
    passphrase: str | None = None,
    progress: Progress = report_nothing,
) -> Backup:
    """Make the ledger folder of the settings, and its database, from a backup.

    Parameters
    ----------
    folder
        The backup; it is checked first, whole.
    settings
        Where to: a folder that is new, or holds nothing but the folder of keys; a database that is new, or
        empty.
    public_keys
        Whose signature on the backup is believed.
    passphrase
        Opens the sealed keys, if they are in the backup and wanted.

    Raises
    ------
    BackupError
        The backup does not hold, the target holds something, or the passphrase does not open the keys.
    WriteError
        The target cannot be written.
    """
    checked = check_backup(folder, public_keys, progress)
    keys = None if passphrase is None else _open_keys(folder, passphrase)
    home, source = settings.home, folder / FILES_NAME
    apart = {settings.keys.name} if settings.keys.parent == home else set()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        there = sorted({path.name for path in home.iterdir()} - apart)
        if there:
            raise BackupError(f"{home}: expected an empty or new folder, it holds {there[0]!r:.80}")
        if keys is not None:
            _write_keys(settings, keys)
        description = settings.description.name
        for path in sorted(source.iterdir()):
            if path.is_dir():
                shutil.copytree(path, home / path.name)
            elif path.name != description:
                shutil.copy2(path, home / path.name)
        for name in (settings.tracks, settings.incoming):
            name.mkdir(exist_ok=True)
        drop_moved(settings)
        restore_database(settings, folder / checked.facts["database"])
        _sync_all(home)
        shutil.copy2(source / description, settings.description)
        sync_file(settings.description)
        sync_file(home)
    except OSError as error:
        raise WriteError(f"{home}: cannot be restored: {error.strerror}") from error
    return checked


def drop_moved(settings: Settings) -> None:
    """Remove from incoming/ what was copied twice: it was moved to its place while the backup was made."""
    for path in settings.incoming.iterdir():
        if path.is_dir() and (
            (settings.tracks / path.name).is_dir() or (settings.copies / path.stem).is_dir()
        ):
            shutil.rmtree(path)


def _open_keys(folder: Path, passphrase: str) -> dict[str, bytes]:
    path = folder / KEYS_NAME
    if not path.is_file():
        raise BackupError(f"{folder}: no keys in this backup: put them in their place by hand")
    return open_folder(path.read_bytes(), passphrase)


def _write_keys(settings: Settings, keys: dict[str, bytes]) -> None:
    if settings.keys.is_dir() and any(settings.keys.iterdir()):
        raise BackupError(f"{settings.keys}: there are keys already")
    settings.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in keys.items():
        path = settings.keys / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _sync_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if not path.is_symlink():
            sync_file(path)
