"""Backups of a ledger folder: made while it is in use, signed, checked, and restored from.

    backup/
    |- database.sqlite or database.dump    a consistent moment: SQLite's backup, or pg_dump's custom format
    |- files/...                           the ledger folder, without LEFT_OUT, locks and uploads
    |- keys.sealed                         the folder of secret keys under a passphrase, if asked for
    |- contents.jsonl                      a row for each of these files: path, bytes, SHA-256
    `- manifest.json                       DSSE envelope over a statement about contents.jsonl; written last

The database is copied first, and with it the catalogue, which is held still for so long; then incoming/, then
the rest, while releases go on. So every file that a row speaks of is there: files come before their rows
(`api.release`), a track that moved from incoming/ to tracks/ meanwhile is in one of them, and what is half
made is finished or removed by the next start, as after a crash. A folder without its manifest is an
unfinished backup, and is refused.

Not in it: the lock store, which is there to notice that an old backup was restored; the secret keys, unless
they are asked for; the queue of jobs, which makes itself anew; and locks.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ledger
from ledger.canonical import check_hex, format_json, parse_object
from ledger.envelope import MAX_ENTRY_BYTES
from ledger.errors import FormatError, LedgerError
from ledger.migration import head_revision
from ledger.predicate import PREDICATE_BASE

from .audiofile import sync_file, write_synced
from .databasecopy import copy_database, name_copy
from .errors import BackupError, WriteError
from .installation import Installation, now
from .keybackup import check_passphrase, seal_folder
from .marking import Progress, report_nothing
from .passingfiles import PREFIX
from .settings import Settings

BACKUP_TYPE = PREDICATE_BASE + "backup/v1"
FILES_NAME, KEYS_NAME = "files", "keys.sealed"
CONTENTS_NAME, MANIFEST_NAME = "contents.jsonl", "manifest.json"
LEFT_OUT = ("ledger.db", "queue.db", "keys")
"""What names in the ledger folder begin with that are copied in another way, or not at all."""
MAX_ROW_BYTES = 10_000
MAX_CONTENTS_BYTES = 1 << 30
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Backup:
    """A finished or checked backup: what its statement says, and how much it holds."""

    folder: Path
    facts: Mapping[str, Any]
    files: int
    total_bytes: int


def make_backup(
    installation: Installation,
    folder: Path,
    *,
    passphrase: str | None = None,
    persons: bool = False,
    progress: Progress = report_nothing,
) -> Backup:
    """Copy everything into a new folder, durably; the manifest, written last, makes it a backup.

    Parameters
    ----------
    installation
        The ledger folder; it may be in use.
    folder
        New or empty.
    passphrase
        Copy the secret keys too, sealed under it.
    persons
        Among them those of persons, which erasing destroys: in this backup they live on.

    Raises
    ------
    BackupError, WriteError
        The folder holds something, or cannot be written; what was written is left there.
    RefusedError
        The passphrase is too short.
    ledger.LedgerError
        The database cannot be read.
    """
    settings = installation.settings
    if passphrase is not None:
        check_passphrase(passphrase)
    _make_folder(settings, folder)
    try:
        with installation.catalogue.hold():
            note = installation.store.latest_checkpoint()  # before the copy: what it says is in there
            copy_database(settings, folder / name_copy(settings))
            _copy_tree(settings, settings.catalogue, folder / FILES_NAME)
        _copy_files(settings, folder / FILES_NAME, progress)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be written: {error.strerror}") from error
    if passphrase is not None:
        write_synced(folder / KEYS_NAME, seal_folder(settings.keys, passphrase, persons=persons))
        (folder / KEYS_NAME).chmod(0o600)
    rows = [_describe(folder, path) for path in _list_files(folder)]
    content = b"".join(format_json(row) + b"\n" for row in rows)
    facts = {
        "time": now(),
        "origin": installation.public.origin,
        "schema": head_revision(),
        "checkpoint": note.decode("utf-8"),
        "database": name_copy(settings),
        "keys": passphrase is not None,
        "files": len(rows),
        "bytes": sum(row["bytes"] for row in rows),
    }
    subject = ledger.Subject("contents", hashlib.sha256(content).digest())
    payload = ledger.build_statement(BACKUP_TYPE, (subject,), facts)
    write_synced(folder / CONTENTS_NAME, content)
    sync_file(folder)
    write_synced(
        folder / MANIFEST_NAME, ledger.sign_envelope(payload, [installation.keyring.report_signing_key])
    )
    sync_file(folder)
    return Backup(folder, facts, len(rows), facts["bytes"])


def check_backup(
    folder: Path, public_keys: tuple[ledger.PublicKey, ...], progress: Progress = report_nothing
) -> Backup:
    """Check a backup's signature, and that its files are those that were signed, all of them and no others.

    Parameters
    ----------
    folder
        The backup.
    public_keys
        The report keys of the installation that made it (`reports` of public-keys.json).

    Raises
    ------
    BackupError
        Unfinished, signed by none of the keys, or a file is missing, changed, or not of it.
    """
    facts, rows = _open_manifest(folder, public_keys)
    found = {str(path.relative_to(folder)) for path in _list_files(folder)}
    extra = found - rows.keys()
    if extra:
        raise BackupError(f"{folder}: {len(extra)} files are not of this backup, such as {min(extra)!r:.200}")
    done, total = 0, max(1, sum(row["bytes"] for row in rows.values()))
    for name, row in rows.items():
        if name not in found or _describe(folder, folder / name) != row:
            raise BackupError(f"{folder / name}: missing, or not the file that was backed up")
        done += row["bytes"]
        progress("check", done / total)
    return Backup(folder, facts, len(rows), total)


def _open_manifest(
    folder: Path, public_keys: tuple[ledger.PublicKey, ...]
) -> tuple[Mapping[str, Any], dict[str, dict[str, Any]]]:
    try:
        envelope = _read(folder / MANIFEST_NAME, MAX_ENTRY_BYTES)
        content = _read(folder / CONTENTS_NAME, MAX_CONTENTS_BYTES)
    except OSError as error:
        raise BackupError(f"{folder}: no finished backup here: {error.strerror}") from error
    try:
        statement = ledger.parse_statement(ledger.open_envelope(envelope, public_keys).payload)
        rows = [parse_object(line, max_bytes=MAX_ROW_BYTES) for line in content.split(b"\n")[:-1]]
        for row in rows:
            check_hex(row["sha256"], "sha256")
    except (LedgerError, KeyError) as error:
        raise BackupError(f"{folder}: its manifest does not hold: {error}") from error
    digest = hashlib.sha256(content).digest()
    if statement.predicate_type != BACKUP_TYPE:
        raise BackupError(f"{folder}: expected a manifest of type {BACKUP_TYPE}")
    if [(item.name, item.sha256) for item in statement.subjects] != [("contents", digest)]:
        raise BackupError(f"{folder / CONTENTS_NAME}: not the list that was signed")
    return statement.predicate, {row["path"]: row for row in rows}


def _read(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise BackupError(f"{path}: expected at most {max_bytes} bytes")
    return content


def _make_folder(settings: Settings, folder: Path) -> None:
    if folder.resolve().is_relative_to(settings.home.resolve()):
        raise BackupError(f"{folder}: expected a folder outside the ledger folder, which is what is copied")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BackupError(f"{folder}: expected an empty or new folder, it holds files")
        folder.chmod(0o700)  # the database holds prompts and marks
        (folder / FILES_NAME).mkdir(mode=0o700)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made: {error.strerror}") from error


def _copy_files(settings: Settings, target: Path, progress: Progress) -> None:
    """Copy what is not the catalogue's; incoming/ first, see the module."""
    names = sorted(path.name for path in settings.home.iterdir() if not path.name.startswith(LEFT_OUT))
    names.sort(key=lambda name: name != settings.incoming.name)
    for number, name in enumerate(names):
        if name != settings.catalogue.name:
            _copy_tree(settings, settings.home / name, target)
        progress("copy", (number + 1) / len(names))


def _copy_tree(settings: Settings, source: Path, target: Path) -> None:
    apart = {settings.lock_store, settings.keys}
    for path in sorted((source, *source.rglob("*"))):
        if path not in apart and not any(parent in apart for parent in path.parents):
            _copy(path, target / path.relative_to(settings.home))


def _copy(source: Path, target: Path) -> None:
    """Copy a file durably, or make a folder; what vanishes meanwhile was not needed any more."""
    if source.is_symlink() or source.suffix in (".lock", ".part") or source.name.startswith(PREFIX):
        return
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    try:
        with source.open("rb") as reader:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as writer:
                shutil.copyfileobj(reader, writer, CHUNK_BYTES)
                writer.flush()
                os.fsync(writer.fileno())
                shutil.copystat(source, target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)


def _list_files(folder: Path) -> Iterator[Path]:
    """Yield the files that a manifest is about, in a stable order; a link is one, and is refused later."""
    apart = (folder / CONTENTS_NAME, folder / MANIFEST_NAME)
    for path in sorted(folder.rglob("*")):
        if path not in apart and (path.is_symlink() or not path.is_dir()):
            yield path


def _describe(folder: Path, path: Path) -> dict[str, Any]:
    if path.is_symlink() or not path.is_file():
        raise BackupError(f"{path}: expected a file of a backup, got a link or something else")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    name = str(path.relative_to(folder))
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise FormatError(f"expected a file name in UTF-8, got {name!r:.200}") from error
    return {"path": name, "bytes": size, "sha256": digest}
