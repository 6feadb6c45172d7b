"""The command `provenote audit`: a whole catalogue, with counts, files for other programs, and a page."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from .auditing import FORMS, choose_collection, make_kind
from .cli_options import HomeOption, JsonOption
from .console import errors, output, print_json, show_progress
from .installation import open_installation
from .manifest import CLASSES
from .origin import ORIGINS
from .screening import survey
from .settings import read_settings


def add_commands(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("audit")(audit_command)


def audit_command(
    source: Annotated[
        str, typer.Argument(help="A folder, a file with addresses, or the address of an object store.")
    ],
    output_folder: Annotated[
        Path, typer.Option("--output", "-o", help="New folder for the result, or one to go on with.")
    ],
    form: Annotated[
        list[str] | None,
        typer.Option("--format", help="csv, html, parquet; may be repeated."),
    ] = None,
    url_policy: Annotated[
        Path | None,
        typer.Option("--url-policy", exists=True, dir_okay=False, help="Which hosts may be asked."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes; default: one for each processor.", min=1, max=256)
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say of every file of a catalogue what it is, and how much of it a machine made; sign the result.

    Interrupted or killed, it goes on when called again. Exit code 0 whatever was found.
    """
    settings = read_settings(home)
    kind = make_kind(form or ["csv", "html"])
    collection = choose_collection(source, output_folder, settings, url_policy)
    with open_installation(settings) as installation, show_progress(quiet=as_json) as progress:
        found = survey(
            installation,
            collection,
            output_folder,
            kind,
            workers=workers or os.cpu_count() or 1,
            progress=progress,
        )
    if as_json:
        print_json({**found.predicate, "resumed": found.resumed, "output": str(output_folder)})
        return
    if found.resumed:
        errors.print(f"{found.resumed} files had been gone through before")
    _print_counts("files", [(name, found.predicate["classes"][name]) for name in CLASSES])
    _print_counts("verdicts", list(found.predicate["verdicts"].items()))
    _print_counts("made by a machine", [(name, found.predicate["machine_made"][name]) for name in ORIGINS])
    written = ", ".join(FORMS[name][0] for name in sorted(set(form or ["csv", "html"])))
    output.print(f"  {output_folder}: {written}", markup=False)


def _print_counts(title: str, counts: list[tuple[str, Any]]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 2))
    for name, count in counts:
        table.add_row(name, str(count))
    output.print(f"[bold]{title}[/bold]")
    output.print(table)
