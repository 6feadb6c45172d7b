"""Commands about the stay-down list and about who is named again and again: `provenote case ...`."""

from pathlib import Path
from typing import Annotated

import typer

from .casestates import UPHELD
from .cli_case import CaseArgument
from .cli_options import HomeOption, InputFile, JsonOption
from .console import output, print_json, show_progress
from .installation import open_installation
from .outcomes import BAD
from .settings import read_settings
from .uploadcheck import check_upload, describe_entry, list_recording


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("check-upload")(check_upload_command)
    app.command("stay-down")(stay_down_command)
    app.command("list-recording")(list_recording_command)
    app.command("repeated")(repeated_command)


def check_upload_command(
    file: Annotated[Path, InputFile], home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Say whether a file is something that must stay down. Exit code 1 if it is."""
    with open_installation(read_settings(home)) as installation, show_progress(quiet=as_json) as progress:
        found = check_upload(installation, file, progress=progress)
    matches = [{**describe_entry(item.entry), "by": list(item.by)} for item in found]
    if as_json:
        print_json({"listed": bool(found), "matches": matches})
    else:
        for item in matches:
            what = f"track {item['track_id']}" if item["track_id"] else f"recording {item['recording']}"
            output.print(
                f"  {what} of case {item['case_id']}, by its {' and '.join(item['by'])}", markup=False
            )
        output.print("[bold red]must stay down[/bold red]" if found else "not on the stay-down list")
    if found:
        raise typer.Exit(BAD)


def stay_down_command(
    after: Annotated[int, typer.Option(help="Entries after this one.", min=0)] = 0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the stay-down list."""
    with open_installation(read_settings(home)) as installation:
        entries = [describe_entry(row) for row in installation.cases.list_stay_down(after=after)]
    if as_json:
        print_json({"entries": entries})
        return
    for item in entries:
        what = f"track {item['track_id']}" if item["track_id"] else f"recording {item['recording']}"
        output.print(f"  {item['entry_id']}  {item['created']}  case {item['case_id']}  {what}", markup=False)
    output.print(f"{len(entries)} entries")


def list_recording_command(
    case_id: CaseArgument,
    file: Annotated[Path, InputFile],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a recording that is not ours on the stay-down list of an upheld case."""
    with open_installation(read_settings(home)) as installation, show_progress(quiet=as_json) as progress:
        number = list_recording(installation, case_id, file, progress=progress)
    if as_json:
        print_json({"case_id": case_id, "recording": number})
    else:
        output.print(f"[green]✓[/green] recording {number} of the catalogue must stay down")


def repeated_command(
    at_least: Annotated[int, typer.Option(help="Upheld notices, from so many on.", min=1)] = 2,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List respondents with several upheld notices, by their person's id: for a repeat-infringer policy."""
    with open_installation(read_settings(home)) as installation:
        found = installation.cases.count_by_respondent(UPHELD, at_least=at_least)
    if as_json:
        print_json({"respondents": [{"person": person, "upheld": count} for person, count in found]})
        return
    for person, count in found:
        output.print(f"  {person}  {count} upheld", markup=False)
    output.print(f"{len(found)} respondents")
