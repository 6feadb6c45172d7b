"""The command `provenote check-report`: a signed report of verify or trace, checked by whoever got it."""

from pathlib import Path
from typing import Annotated

import typer

import ledger
from ledger.envelope import MAX_ENTRY_BYTES
from ledger.errors import LedgerError

from .audiofile import hash_file
from .cli_bundle import read_limited
from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .keyring import read_public_keys
from .outcomes import BAD
from .report import REPORT_TYPE
from .settings import read_settings
from .tracing import TRACE_TYPE


def add_commands(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("check-report")(check_report_command)


def check_report_command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What --report wrote.")],
    audio: Annotated[
        Path | None,
        typer.Option("--file", exists=True, dir_okay=False, help="Is the report about exactly this file?"),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the signature of a report of verify or trace, and print what it says.

    Needs of the ledger folder only its public-keys.json. Exit code 1 if the report is not ours, was changed,
    or is about another file.
    """
    public = read_public_keys(read_settings(home))
    statement, fault = _open(read_limited(file, MAX_ENTRY_BYTES), public.reports)
    if statement is not None and audio is not None:
        stated = {item.sha256.hex() for item in statement.subjects if item.name == "file"}
        if hash_file(audio) not in stated:
            fault = f"the report is about another file than {audio.name}"
    predicate = None if statement is None else dict(statement.predicate)
    if as_json:
        print_json({"ok": fault is None, "fault": fault, "report": predicate})
    elif fault is not None or predicate is None:
        output.print("[bold red]does not hold[/bold red]:", end=" ")
        output.print(str(fault), markup=False)
    else:
        what = predicate.get("verdict") or f"{len(predicate['named'])} named of {predicate['candidates']}"
        output.print("[bold green]holds[/bold green]", end="  ")
        output.print(f"signed for {public.origin}: {what}", markup=False)
    if fault is not None:
        raise typer.Exit(BAD)


def _open(
    envelope: bytes, public_keys: tuple[ledger.PublicKey, ...]
) -> tuple[ledger.Statement | None, str | None]:
    """Return the statement of a report, or what is wrong with it."""
    try:
        statement = ledger.parse_statement(ledger.open_envelope(envelope, public_keys).payload)
    except LedgerError as error:
        return None, str(error)
    if statement.predicate_type not in (REPORT_TYPE, TRACE_TYPE):
        return None, f"a signed statement, but no report: {statement.predicate_type:.200}"
    return statement, None
