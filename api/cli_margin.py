"""Options and output about the predicted margin of a mark, for the commands that embed."""

from typing import Annotated

import typer

from .console import errors, output
from .margin import CODINGS, Margin, MarginPolicy, name_coding

MarginOption = Annotated[
    bool,
    typer.Option(
        "--margin/--no-margin",
        help="Predict how well the mark is read from clips and after MP3 (some 12 CPU seconds a track).",
    ),
]
RequireMarginOption = Annotated[
    bool,
    typer.Option("--require-margin", help="Refuse audio whose mark would not survive an MP3 of 128 kbit/s."),
]


def choose_policy(*, predicted: bool, required: bool) -> MarginPolicy:
    """Return what the options ask for; a usage error when they contradict each other."""
    if required and not predicted:
        raise typer.BadParameter("cannot be required and left out", param_hint="--require-margin")
    return MarginPolicy.REQUIRE if required else MarginPolicy.REPORT if predicted else MarginPolicy.OFF


def print_margin(margin: Margin | None) -> None:
    """Print the counts for people, and the warning on standard error."""
    if margin is None:
        return
    for coding in CODINGS:
        rows = [row for row in margin.rows if row.coding == coding]
        if rows:
            counts = ", ".join(f"{row.window_s} s {row.read}/{row.windows}" for row in rows)
            output.print(f"  clips read {name_coding(coding)}: {counts}", markup=False)
    print_warning(margin)


def print_warning(margin: Margin | None) -> None:
    """Say on standard error why a mark has too little margin, if it has."""
    if margin is not None and margin.warning:
        errors.print(f"warning: {margin.warning}", markup=False)
