"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from .marking import Strength

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Ledger folder; default: PROVENOTE_HOME or ./provenote-ledger.", file_okay=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON object on standard output.")]
InputFile = typer.Argument(exists=True, dir_okay=False, help="Audio file: WAV, FLAC, Ogg, Opus, MP3, AIFF.")
StrengthOption = Annotated[
    Strength,
    typer.Option(
        "--strength", help="How strongly the mark is embedded: gentle is heard less, strong holds more."
    ),
]
