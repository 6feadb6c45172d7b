"""Commands for backups: backup, check-backup, restore; and upgrade, before which one is made."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

import ledger
from ledger.migration import head_revision

from .backup import FILES_NAME, Backup, check_backup, make_backup
from .cli_options import HomeOption, JsonOption
from .console import output, print_json, show_progress
from .errors import BackupError
from .installation import check_layout, open_installation
from .keyring import read_public_keys
from .outcomes import BAD
from .passphrase import read_passphrase
from .restoration import restore_backup
from .settings import Settings, read_settings

BackupFolder = Annotated[Path, typer.Argument(help="Folder of the backup.", file_okay=False)]
TrustOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the public-keys.json that is believed; default: the backup's own, which proves "
        "that nothing was damaged, not who made it.",
        file_okay=False,
        exists=True,
    ),
]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="File with the passphrase; default: PROVENOTE_PASSPHRASE, or asked for.")
]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("backup")(backup_command)
    app.command("check-backup")(check_command)
    app.command("restore")(restore_command)
    app.command("upgrade")(upgrade_command)


def backup_command(
    folder: Annotated[Path, typer.Argument(help="New or empty folder.", file_okay=False)],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="The secret keys as well, sealed under a passphrase.")
    ] = False,
    with_persons: Annotated[
        bool,
        typer.Option(
            "--with-persons",
            help="Persons' keys as well: who is erased later can be read as long as this backup lives.",
        ),
    ] = False,
    passphrase_file: PassphraseFile = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy database and files, while they are in use, into a signed backup."""
    passphrase = read_passphrase(passphrase_file, confirm=True) if with_keys or with_persons else None
    with open_installation(read_settings(home)) as installation, show_progress(quiet=as_json) as progress:
        made = make_backup(
            installation, folder, passphrase=passphrase, persons=with_persons, progress=progress
        )
    _tell(made, as_json=as_json, pinned=True)
    if passphrase is None and not as_json:
        output.print(
            f"  without the secret keys in {installation.settings.keys}: keep them apart", markup=False
        )


def check_command(
    folder: BackupFolder, trust: TrustOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Check a backup's signature and every byte of it. Exit code 1 if it does not hold."""
    keys = _read_report_keys(folder, trust, read_settings(home))
    try:
        with show_progress(quiet=as_json) as progress:
            found = check_backup(folder, keys, progress)
    except BackupError as error:
        if as_json:
            print_json({"ok": False, "message": str(error)})
        else:
            output.print("[red]✗[/red]", end=" ")
            output.print(str(error), markup=False)
        raise typer.Exit(BAD) from error
    _tell(found, as_json=as_json, pinned=trust is not None)


def restore_command(
    folder: BackupFolder,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Open the sealed keys of the backup.")
    ] = False,
    trust: TrustOption = None,
    passphrase_file: PassphraseFile = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a ledger folder and its database from a backup; both must be new or empty."""
    settings = read_settings(home)
    passphrase = read_passphrase(passphrase_file, confirm=False) if with_keys else None
    keys = _read_report_keys(folder, trust, settings)
    with show_progress(quiet=as_json) as progress:
        done = restore_backup(folder, settings, keys, passphrase=passphrase, progress=progress)
    _tell(done, as_json=as_json, pinned=trust is not None)
    if not as_json:
        output.print(
            "  next: the secret keys in their place, `provenote upgrade` if the program is newer, "
            "`provenote log fsck`; docs/deployment.md has the drill"
        )


def upgrade_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Bring the database to this program's schema; stop the service and make a backup first."""
    settings = read_settings(home)
    check_layout(settings)
    ledger.upgrade(settings.database_url)
    open_installation(settings).close()
    if as_json:
        print_json({"schema": head_revision()})
    else:
        output.print(f"{settings.home} has schema {head_revision()}", markup=False)


def _read_report_keys(folder: Path, trust: Path | None, settings: Settings) -> tuple[ledger.PublicKey, ...]:
    source = (trust or folder / FILES_NAME).absolute()
    return read_public_keys(replace(settings, home=source)).reports


def _tell(found: Backup, *, as_json: bool, pinned: bool) -> None:
    if as_json:
        print_json({"ok": True, "folder": str(found.folder), "pinned": pinned, **found.facts})
        return
    output.print(
        f"[green]✓[/green] {found.files} files, {found.total_bytes} bytes, of {found.facts['time']}, log of "
        f"{found.facts['checkpoint'].splitlines()[1]} entries"
    )
    if not pinned:
        output.print("  signed by the keys that are in it: --trust FOLDER checks whose they are")
