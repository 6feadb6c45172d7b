"""Commands that keep the log's storage sound: `provenote log scrub` and `provenote log restore`."""

from typing import Annotated

import typer

import ledger
from ledger import Store
from ledger.database import open_database
from ledger.migration import read_revision
from ledger.note import parse_vkey
from ledger.restoring import restore
from ledger.tilereader import open_tile_log

from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .errors import LedgerFolderError
from .installation import check_layout, open_installation
from .keyring import open_keyring, read_public_keys
from .outcomes import BAD
from .scrubbing import read_progress, scrub_some
from .settings import Settings, read_settings
from .tilefetch import open_source


def add_commands(log: typer.Typer) -> None:
    """Register the commands of this file."""
    log.command("scrub")(scrub_command)
    log.command("restore")(restore_command)


def scrub_command(
    seconds: Annotated[
        float | None, typer.Option(help="Stop after so long; the next run goes on from there.", min=0)
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hash the stored log again, up to its signed root, from where the last run stopped. For a schedule.

    Exit code 1 when anything is wrong, now or in the round before; each damage is named with its entry.
    """
    settings = read_settings(home)
    with open_installation(settings) as installation:
        reports = scrub_some(installation, limit_s=seconds)
    known = read_progress(settings.scrubbing).known
    start, stop, size = reports[0].start, reports[-1].stop, reports[-1].size
    if as_json:
        document = {"ok": not known, "start": start, "stop": stop, "size": size, "findings": list(known)}
        print_json(document)
    else:
        for item in known[:20]:
            output.print(f"entry {item['index']}: {item['message']} ({item['code']})", markup=False)
        mark = f"[red]{len(known)} findings[/red]" if known else "[green]✓[/green]"
        output.print(f"{mark} entries {start} to {stop} of {size} hashed again")
    if known:
        raise typer.Exit(BAD)


def restore_command(
    source: Annotated[str, typer.Argument(help="Folder of tiles, or the URL prefix of a log.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the log back from its tiles: without a database from nothing, with an older one from its end.

    Everything is proven and checked before it is appended. The registry is not in the tiles: tracks, marks
    and what opens commitments come back with a backup of the database alone.
    """
    settings = read_settings(home)
    check_layout(settings)
    public, keyring = read_public_keys(settings), open_keyring(settings)
    with open_source(source) as fetch:
        log = open_tile_log(fetch, parse_vkey(public.vkey).name, public.vkey)
        if not _has_database(settings):
            _make_database(settings, public.origin, keyring.log_signing_key)
        with Store(settings.database_url, adopt_guard=True) as store:
            if (store.origin, store.vkey) != (public.origin, public.vkey):
                raise LedgerFolderError(
                    f"{store.database.where}: expected the log {public.vkey}, got {store.vkey}"
                )
            done = restore(store, log, log_signing_key=keyring.log_signing_key)
    if as_json:
        print_json({"size_before": done.size_before, "size": done.size})
    else:
        output.print(f"{done.size - done.size_before} entries restored; the log has {done.size} again")


def _has_database(settings: Settings) -> bool:
    if settings.uses_file:
        return settings.database.exists()
    database = open_database(settings.database_url)
    try:
        with database.translate_errors(), database.read() as connection:
            return read_revision(connection) is not None
    finally:
        database.close()


def _make_database(settings: Settings, origin: str, log_signing_key: ledger.SigningKey) -> None:
    ledger.upgrade(settings.database_url)
    if settings.uses_file:
        settings.database.chmod(0o600)
    Store.create(settings.database_url, origin=origin, log_signing_key=log_signing_key).close()
