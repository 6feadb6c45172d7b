"""Commands about evidence: `provenote case export`, `check-file` for whoever got one, `check` for all."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.timestamp import load_roots

from .audiofile import refuse_existing, write_synced
from .casecheck import check_cases
from .casefile import freeze_case
from .casefilecheck import MAX_ARCHIVE_BYTES, CaseFileError, check_case_file
from .casefilereport import describe_report
from .cli_bundle import PolicyOption, read_limited, read_policy
from .cli_case import CaseArgument
from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .installation import open_installation
from .keyring import parse_public_keys
from .outcomes import BAD
from .settings import read_settings

MAX_KEYS_BYTES = 1 << 20


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("export")(export_command)
    app.command("check-file")(check_file_command)
    app.command("check")(check_command)


def export_command(
    case_id: CaseArgument,
    file: Annotated[Path, typer.Option("--output", "-o", help="New file, .zip.", dir_okay=False)],
    opened: Annotated[
        bool, typer.Option("--open", help="Also what people wrote: out of reach of a later erasure.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the case file: steps, reports, custody bundles and a signed manifest in one archive."""
    refuse_existing(file)
    with open_installation(read_settings(home)) as installation:
        content = freeze_case(installation, case_id, opened=opened)
    write_synced(file, content)
    if as_json:
        print_json({"file": str(file), "bytes": len(content), "opened": opened})
    else:
        output.print(f"{file}: {len(content)} bytes", markup=False)


def check_file_command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What case export wrote.")],
    keys: Annotated[
        Path | None,
        typer.Option("--keys", exists=True, dir_okay=False, help="public-keys.json from a source you trust."),
    ] = None,
    policy: PolicyOption = None,
    roots: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="PEM certificates of time-stamping authorities."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a case file offline: signatures, digests, order, reports, the log's events. Needs no ledger."""
    public = None if keys is None else parse_public_keys(read_limited(keys, MAX_KEYS_BYTES), str(keys))
    certificates = None if roots is None else load_roots(read_limited(roots, MAX_KEYS_BYTES))
    try:
        report = check_case_file(
            read_limited(file, MAX_ARCHIVE_BYTES),
            public=public,
            policy=read_policy(policy),
            roots=certificates,
        )
    except CaseFileError as error:
        if as_json:
            print_json({"ok": False, "code": error.code, "message": str(error)})
        else:
            output.print(f"[bold red]does not hold[/bold red] {file.name}:", end=" ")
            output.print(f"{error} ({error.code})", markup=False)
        raise typer.Exit(BAD) from error
    document = describe_report(report)
    if as_json:
        print_json(document)
        return
    output.print(f"[bold green]holds[/bold green] {file.name}: case {report.case_id}, {report.state.status}")
    for step in report.steps:
        entries = "".join(
            f"  {item.event} {item.index} of {item.track_id}" for item in report.logged if item.step == step.n
        )
        output.print(f"  {step.time}  {step.step}{entries}", markup=False)
    output.print(f"  {report.opened} commitments opened, {report.closed} closed; {report.reports} reports")
    if not report.pinned:
        output.print("  the keys are the file's own: compare them with the published ones, or pass --keys")


def check_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Check every case: steps, rows, reports, the log's events, stay-down. Exit code 1 on a fault."""
    with open_installation(read_settings(home)) as installation:
        found = check_cases(installation)
    if as_json:
        faults = [{"case_id": item.case_id, "message": item.message} for item in found.faults]
        print_json({"ok": not found.faults, "cases": found.cases, "faults": faults})
    else:
        for item in found.faults:
            output.print(f"  case {item.case_id}: {item.message}", markup=False)
        held = found.cases - len(found.faults)
        output.print(f"{held} of {found.cases} cases hold")
    if found.faults:
        raise typer.Exit(BAD)
