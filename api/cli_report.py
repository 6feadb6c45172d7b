"""Commands about signed reports: `check-report` for whoever got one, `report render` for people to read."""

from pathlib import Path
from typing import Annotated

import typer

import ledger
from ledger.errors import LedgerError

from .audiofile import hash_file, refuse_existing
from .cli_bundle import read_limited
from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .errors import RefusedError
from .keyring import read_public_keys
from .outcomes import BAD
from .releasecheck import RELEASE_TYPE
from .rendering import MAX_REPORT_BYTES, Rendering, read_envelope, reopen_report
from .report import REPORT_TYPE
from .settings import read_settings
from .tracing import TRACE_TYPE
from .waveform import read_peaks

report = typer.Typer(no_args_is_help=True, help="Signed reports, for people.")
PageOption = Annotated[
    Path | None, typer.Option("--page", help="Write the report as an HTML page that stands alone: new file.")
]
PdfOption = Annotated[
    Path | None, typer.Option("--pdf", help="Write the report as a PDF (extra `pdf`): new file.")
]


def add_commands(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("check-report")(check_report_command)
    report.command("render")(render_command)


def check_report_command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What --report or --json wrote.")],
    audio: Annotated[
        Path | None,
        typer.Option("--file", exists=True, dir_okay=False, help="Is the report about exactly this file?"),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the signature of a report of verify, check-release or trace, and print what it says.

    Needs of the ledger folder only its public-keys.json. Exit code 1 if the report is not ours, was changed,
    or is about another file.
    """
    public = read_public_keys(read_settings(home))
    statement, fault = _open(read_limited(file, MAX_REPORT_BYTES), public.reports)
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
        what = (
            predicate.get("verdict")
            or predicate.get("outcome")
            or f"{len(predicate['named'])} named of {predicate['candidates']}"
        )
        output.print("[bold green]holds[/bold green]", end="  ")
        output.print(f"signed for {public.origin}: {what}", markup=False)
    if fault is not None:
        raise typer.Exit(BAD)


def render_command(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="A verification report, as --report or --json wrote it."
        ),
    ],
    page: PageOption = None,
    pdf: PdfOption = None,
    audio: Annotated[
        Path | None,
        typer.Option("--audio", exists=True, dir_okay=False, help="The examined file, to draw its waveform."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a signed verification report as a page or a PDF, after checking its signature.

    Needs of the ledger folder only its public-keys.json. Exit code 1, and nothing written, if the report is
    not ours or was changed.
    """
    if page is None and pdf is None:
        raise RefusedError("expected --page or --pdf")
    for path in (page, pdf):
        refuse_existing(path)
    settings = read_settings(home)
    public = read_public_keys(settings)
    try:
        opened = reopen_report(read_limited(file, MAX_REPORT_BYTES), public.reports)
    except LedgerError as error:
        if as_json:
            print_json({"ok": False, "fault": str(error)})
        else:
            output.print("[bold red]does not hold[/bold red]:", end=" ")
            output.print(str(error), markup=False)
        raise typer.Exit(BAD) from error
    content = opened.predicate["content"]
    peaks = None
    if audio is not None:
        peaks = read_peaks(
            audio, settings.limits, file_sha256=content["file_sha256"], pcm_sha256=content["pcm_sha256"]
        )
    name = None if audio is None else audio.name
    Rendering(opened, public.origin, peaks, name).write(page=page, pdf=pdf)
    written = [str(path) for path in (page, pdf) if path is not None]
    if as_json:
        print_json({"ok": True, "verdict": opened.verdict.code, "written": written})
    else:
        output.print(f"[green]✓[/green] {opened.verdict.code}:", end=" ")
        output.print(", ".join(written), markup=False)


def _open(
    content: bytes, public_keys: tuple[ledger.PublicKey, ...]
) -> tuple[ledger.Statement | None, str | None]:
    """Return the statement of a report, or what is wrong with it."""
    try:
        opened = ledger.open_envelope(read_envelope(content), public_keys)
        statement = ledger.parse_statement(opened.payload)
    except (LedgerError, RefusedError) as error:
        return None, str(error)
    if statement.predicate_type not in (REPORT_TYPE, TRACE_TYPE, RELEASE_TYPE):
        return None, f"a signed statement, but no report: {statement.predicate_type:.200}"
    return statement, None
