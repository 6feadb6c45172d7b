"""Commands about C2PA credentials: show the one in a file, sign one for a file made of a track."""

from pathlib import Path
from typing import Annotated

import typer

from .audiofile import refuse_existing
from .cli_options import HomeOption, JsonOption
from .cli_tracks import open_for_writing
from .console import output, print_json
from .credentialcheck import read_credential
from .installation import open_installation
from .labelcheck import read_anchors
from .labelreport import describe_credential, format_credential
from .labels import read_labels
from .outcomes import BAD
from .settings import read_settings
from .signing import sign_derived

app = typer.Typer(help="C2PA credentials in files.", no_args_is_help=True)
HOLDING = ("trusted", "valid")


@app.command("show")
def show_command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Any file, M4A too.")],
    sidecar: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A manifest store that stands apart.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whose credential a file carries and what it says. Exit code 0 if it holds, 1 otherwise.

    Only the file's own words: `verify` holds them against the sound and the ledger.
    """
    with open_installation(read_settings(home)) as installation:
        labels = read_labels(
            file,
            installation.settings.limits,
            read_anchors(installation),
            sidecar=None if sidecar is None else sidecar.read_bytes(),
        )
    found = read_credential(labels)
    document = format_credential(found)
    if as_json:
        store = labels.credential["store"] if labels.credential is not None else None
        print_json({**document, "store": store})
    else:
        output.print(f"{file.name}: {describe_credential(document)}", markup=False)
        for name, value in (document["claims"] or {}).items():
            output.print(f"  {name.replace('_', ' ')}: {value}", markup=False)
    if found.state not in HOLDING:
        raise typer.Exit(BAD)


@app.command("sign")
def sign_command(
    track_id: Annotated[str, typer.Argument(help="The released track that the file was made of.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An MP3, M4A, ... of it.")],
    destination: Annotated[Path, typer.Option("--output", "-o", help="The new file with a credential.")],
    unchecked: Annotated[
        bool,
        typer.Option("--unchecked", help="On your own word: for what cannot be decoded here, such as M4A."),
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a credential for a file that was made of a track, and log that. It must verify as the track."""
    refuse_existing(destination)
    with open_for_writing(home) as installation:
        signed = sign_derived(installation, track_id, file, destination, unchecked=unchecked)
    document = {
        "file": str(signed.audio),
        "sidecar": None if signed.sidecar is None else str(signed.sidecar),
        "credential": {"id": signed.credential.manifest_id, "sha256": signed.credential.sha256},
        "time_stamp": signed.credential.authority,
        "entry": signed.entry_index,
    }
    if as_json:
        print_json(document)
        return
    output.print(f"[green]✓[/green] {signed.credential.manifest_id}, entry {signed.entry_index}")
    output.print(f"  {', '.join(str(path) for path in (signed.audio, signed.sidecar) if path)}", markup=False)
