"""Commands about data sets: screen, check-manifest."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from .audiofile import hash_file
from .cli_options import HomeOption, JsonOption
from .console import errors, output, print_json, show_progress
from .dataset import FILE, list_items, parse_path
from .errors import ManifestError
from .installation import open_installation
from .keyring import read_public_keys
from .manifest import CLASSES, KNOWN, SKIPPED, STAMPED, Manifest, Row, open_manifest
from .outcomes import BAD
from .screening import screen
from .settings import read_settings

SHOWN = 20
"""Files that are named on the terminal; all are in the manifest."""
FolderArgument = Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The data set.")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("screen")(screen_command)
    app.command("check-manifest")(check_manifest_command)


def screen_command(
    folder: FolderArgument,
    output_folder: Annotated[
        Path, typer.Option("--output", "-o", help="New folder for the manifest, or one to go on with.")
    ],
    workers: Annotated[
        int | None, typer.Option(help="Processes; default: one for each processor.", min=1, max=256)
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Split a data set into stamped, known, duplicate, unknown and unreadable files; sign the result.

    Exit code 1 if a file is stamped or known. Interrupted or killed, it goes on when called again.
    """
    with open_installation(read_settings(home)) as installation, show_progress(quiet=as_json) as progress:
        found = screen(
            installation,
            folder,
            output_folder,
            workers=workers or os.cpu_count() or 1,
            progress=progress,
        )
    if as_json:
        print_json({**found.predicate, "resumed": found.resumed, "output": str(output_folder)})
    else:
        if found.resumed:
            errors.print(f"{found.resumed} files had been screened before")
        _print_classes(found.predicate)
        _print_rows([row for row in found.rows if row["class"] in (STAMPED, KNOWN)])
        output.print(f"  {output_folder}", markup=False)
    if found.predicate["classes"][STAMPED] or found.predicate["classes"][KNOWN]:
        raise typer.Exit(BAD)


def check_manifest_command(
    manifest: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="What screen or audit wrote.")
    ],
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset", exists=True, file_okay=False, help="Compare these files with the manifest."
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a data set's manifest: signature, rows, and the files themselves with --dataset.

    Needs of the ledger folder only its public-keys.json. Exit code 1 if anything is not as signed.
    """
    public = read_public_keys(read_settings(home))
    differences: dict[str, list[str]] = {}
    predicate: dict[str, Any] = {}
    try:
        opened = open_manifest(manifest, public.reports)
        predicate = dict(opened.predicate)
        if dataset is not None:
            with show_progress(quiet=as_json) as progress:
                differences = _compare(opened, dataset, manifest, lambda share: progress("compare", share))
        fault = None
    except ManifestError as error:
        fault = str(error)
    ok = fault is None and not any(differences.values())
    if as_json:
        print_json({"ok": ok, "fault": fault, "differences": differences, "predicate": predicate or None})
    elif fault is not None:
        output.print("[bold red]does not hold[/bold red]:", end=" ")
        output.print(fault, markup=False)
    else:
        output.print(f"[bold {'green' if ok else 'red'}]{'holds' if ok else 'differs'}[/]", end="  ")
        output.print(f"{predicate['rows']} rows, signed for {predicate['origin']}", markup=False)
        for kind, paths in differences.items():
            for path in paths[:SHOWN]:
                output.print(f"  {kind}: {_show(path)}", markup=False)
    if not ok:
        raise typer.Exit(BAD)


def _compare(opened: Manifest, dataset: Path, manifest: Path, progress: Any) -> dict[str, list[str]]:
    """Return the files that are missing, changed, or not in the manifest."""
    items = {item.path: item for item in list_items(dataset, leave_out=(manifest,))}
    stated = {parse_path(row): row for row in opened.rows if row["class"] != SKIPPED}
    present = {path for path, item in items.items() if item.kind == FILE}
    changed = []
    for number, path in enumerate(sorted(stated.keys() & present), start=1):
        row = stated[path]
        full = Path(os.fsdecode(os.path.join(os.fsencode(dataset), path)))  # noqa: PTH118  # bytes
        if items[path].size != row["bytes"] or (
            row["sha256"] is not None and hash_file(full) != row["sha256"]
        ):
            changed.append(path)
        progress(number / len(stated))
    named = {
        "missing": sorted(stated.keys() - present),
        "changed": changed,
        "not in the manifest": sorted(present - stated.keys()),
    }
    return {
        kind: [path.decode("utf-8", "backslashreplace") for path in paths] for kind, paths in named.items()
    }


def _print_classes(predicate: Any) -> None:
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 2))
    for name in CLASSES:
        table.add_row(name, str(predicate["classes"][name]))
    output.print(table)


def _print_rows(rows: list[Row]) -> None:
    for row in rows[:SHOWN]:
        track = f", track {row['track_id']}" if row.get("track_id") else ""
        output.print(f"  {row['class']}: {_show(row['path'])}: {row['verdict']}{track}", markup=False)
    if len(rows) > SHOWN:
        output.print(f"  and {len(rows) - SHOWN} more")


def _show(path: str) -> str:
    """Return a name without what a terminal would act upon."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in path)
