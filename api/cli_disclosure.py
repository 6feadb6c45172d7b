"""The command that tells others how a track came to be, in the form that they ask for."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .audiofile import write_synced
from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .disclosing import disclose_track
from .disclosure import FORMS
from .installation import open_installation
from .settings import read_settings


def add_commands(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("disclose")(disclose_command)


def disclose_command(
    track_id: Annotated[str, typer.Argument(help="A registered track.")],
    form: Annotated[str, typer.Option("--as", help="ddex, c2pa, aigc or json.")] = "json",
    file: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to this new file instead.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how a track came to be: DDEX fragment, C2PA assertions, China's AIGC label, plain JSON."""
    if form not in FORMS:
        raise typer.BadParameter(f"expected one of {', '.join(FORMS)}, got {form!r}", param_hint="--as")
    with open_installation(read_settings(home)) as installation:
        disclosure = disclose_track(installation, track_id)
    text = FORMS[form](disclosure)
    if file is not None:
        write_synced(file, text.encode("utf-8"))
    if as_json:
        body = {"text": text} if form == "ddex" else {"document": json.loads(text)}
        print_json({"track_id": disclosure.track_id, "form": form, **body})
    elif file is None:
        output.print(text, end="", markup=False, highlight=False, soft_wrap=True)
    else:
        output.print(f"  {file}: {form}", markup=False)
