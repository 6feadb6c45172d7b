"""Commands about the log as tiles: `provenote log export-tiles` and `provenote log check-tiles`."""

from pathlib import Path
from typing import Annotated

import typer

import ledger
from ledger.errors import FormatError, NotFoundError, ProofError, SignatureError
from ledger.note import parse_vkey
from ledger.tilefolder import export_tiles
from ledger.tilereader import check_growth, check_tiles, open_tile_log

from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .installation import open_installation
from .outcomes import BAD
from .settings import read_settings
from .tilefetch import open_source


def add_commands(log: typer.Typer) -> None:
    """Register the commands of this file."""
    log.command("export-tiles")(export_command)
    log.command("check-tiles")(check_command)


def export_command(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="New folder, or an earlier export.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the log as static files (C2SP tlog-tiles) for any web server; an earlier export is continued."""
    with open_installation(read_settings(home)) as installation:
        public, store = installation.public, installation.store
        note = store.latest_checkpoint()
        written = export_tiles(store, folder, note, origin=public.origin, vkey=public.vkey)
        size = ledger.open_checkpoint(note, public.origin, public.vkey).size
    if as_json:
        print_json({"folder": str(folder), "size": size, "tiles_written": written})
    else:
        output.print(f"{folder}: {size} entries, {written} tiles written", markup=False)


def check_command(
    source: Annotated[str, typer.Argument(help="Folder of tiles, or the URL prefix of a log.")],
    vkey: Annotated[str, typer.Option(help="The log's verifier key, from a source you trust.")],
    known: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A checkpoint kept from earlier, from which the log must have grown.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a whole log from its tiles alone: every entry, every tile, the signed root. Needs no ledger."""
    origin = parse_vkey(vkey).name
    try:
        with open_source(source) as fetch:
            log = open_tile_log(fetch, origin, vkey)
            if known is not None:
                check_growth(log, ledger.open_checkpoint(known.read_bytes(), origin, vkey))
            check_tiles(log)
    except (ProofError, FormatError, SignatureError, NotFoundError) as error:
        if as_json:
            print_json({"ok": False, "message": str(error)})
        else:
            output.print("[bold red]does not hold[/bold red]:", end=" ")
            output.print(str(error), markup=False)
        raise typer.Exit(BAD) from error
    document = {"ok": True, "origin": origin, "size": log.checkpoint.size, "root": log.checkpoint.root.hex()}
    if as_json:
        print_json(document)
    else:
        output.print(f"[bold green]holds[/bold green] {log.checkpoint.size} entries of {origin}")
