"""Commands about the sound itself: `provenote identify` and `provenote fingerprint ...`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from .audiocode import code_file
from .cataloguing import add_file, add_missing
from .cli_options import HomeOption, InputFile, JsonOption
from .cli_tending import tend
from .console import errors, output, print_json, show_progress
from .errors import RefusedError
from .installation import open_installation
from .likeness import identify_sound
from .listening import listen
from .outcomes import BAD
from .report import format_likeness
from .settings import read_settings

app = typer.Typer(help="The catalogue of fingerprints.", no_args_is_help=True)


def add_commands(top: typer.Typer) -> None:
    """Register the commands of this file."""
    top.command("identify")(identify_command)
    top.add_typer(app, name="fingerprint")


def identify_command(
    clip: Annotated[Path, InputFile], home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Say which recordings of the catalogue a clip is, which part of them, at which speed and pitch.

    Exit code 0 for a match, 1 for "unknown".
    """
    with open_installation(read_settings(home)) as installation, show_progress(quiet=as_json) as progress:
        heard = listen(clip, limits=installation.settings.limits, progress=progress)
        found = identify_sound(installation, heard.query)
        code = code_file(clip, installation.settings.limits)
    if as_json:
        print_json(
            {
                "known": bool(found.matches),
                "seconds": heard.seconds,
                "iscc": code,
                "matches": [format_likeness(item) for item in found.matches],
            }
        )
    elif not found.matches:
        output.print(f"{clip.name}: unknown", markup=False)
    for item in () if as_json else found.matches:
        what = f"track {item.track_id}" if item.track_id is not None else f"recording {item.name}"
        change = f"speed {item.speed:.4f}, pitch {item.pitch_semitones:+.2f} semitones"
        output.print(
            f"{clip.name} {item.file.start_s:.2f}-{item.file.end_s:.2f} s: {what}, "
            f"{item.recording.start_s:.2f}-{item.recording.end_s:.2f} s of it, {change}",
            markup=False,
        )
        output.print(f"  by chance with a probability of at most {item.false_alarm_probability:.1e}")
    if code is not None and not as_json:
        output.print(f"  {code}", markup=False)
    if not found.matches:
        raise typer.Exit(BAD)


@app.command("add")
def add_command(
    files: Annotated[list[Path], InputFile], home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Take recordings into the catalogue, to compare others with; they are neither marked nor logged.

    A file that cannot be taken is named, the others are taken; the exit code is then 2.
    """
    added: list[dict[str, Any]] = []
    with open_installation(read_settings(home)) as installation:
        refused = None
        for file in files:
            try:
                with show_progress(quiet=as_json) as progress:
                    number, new, heard = add_file(installation, file, progress=progress)
            except RefusedError as error:
                refused = error
                errors.print(f"{file.name}: {error}", markup=False)
                continue
            added.append({"file": str(file), "number": number, "new": new, "seconds": heard.seconds})
            if not as_json:
                word = "added as" if new else "was there as"
                output.print(f"[green]✓[/green] {file.name}: {word} recording {number}")
        if as_json:
            print_json({"recordings": added})
        tend(installation, quiet=as_json)
    if refused is not None:
        raise refused


@app.command("list")
def list_command(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    after: Annotated[int, typer.Option(help="Only numbers after this one.")] = 0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what the catalogue holds, by number."""
    with open_installation(read_settings(home)) as installation:
        rows = installation.catalogue.rows.list_rows(limit=limit, after=after)
        total = installation.catalogue.rows.count()
    if as_json:
        listed = [
            {
                "number": row.number,
                "track_id": row.track_id,
                "name": row.name,
                "milliseconds": row.milliseconds,
                "profile": row.profile,
                "sha256": row.sha256,
                "created": row.created,
            }
            for row in rows
        ]
        print_json({"total": total, "recordings": listed})
        return
    table = Table("number", "track", "name", "seconds", box=None)
    for row in rows:
        table.add_row(str(row.number), row.track_id or "", row.name, f"{row.milliseconds / 1000:.1f}")
    output.print(table)
    output.print(f"{len(rows)} of {total}")


@app.command("remove")
def remove_command(
    number: Annotated[int, typer.Argument(help="Number of a recording that was added for comparison.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget a recording that was added for comparison; registered tracks stay."""
    with open_installation(read_settings(home)) as installation:
        row = installation.catalogue.remove(number)
    if as_json:
        print_json({"removed": number, "name": row.name})
    else:
        output.print(f"[green]✓[/green] recording {number} ({row.name}) is forgotten")


@app.command("rebuild")
def rebuild_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Build the index anew, and add registered tracks that are not in it."""
    with open_installation(read_settings(home)) as installation, show_progress(quiet=as_json) as progress:
        added = add_missing(installation, progress)
        total = installation.catalogue.rebuild(progress)
    if as_json:
        print_json({"recordings": total, "added": added})
    else:
        output.print(f"[green]✓[/green] {total} recordings indexed, {added} tracks added")


@app.command("check")
def check_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Check every file of the catalogue against its digest. Exit code 1 when one is not what it should be."""
    with open_installation(read_settings(home)) as installation, show_progress(quiet=as_json) as progress:
        faults = installation.catalogue.check(progress)
        total = installation.catalogue.rows.count()
    if as_json:
        print_json({"recordings": total, "faults": faults})
    else:
        for fault in faults:
            errors.print(fault, markup=False)
        output.print(f"{total} recordings, {len(faults)} faults")
    if faults:
        raise typer.Exit(BAD)
