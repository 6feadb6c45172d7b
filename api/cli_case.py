"""Commands about cases: `provenote case ...`; what is done in one is in `cli_case_steps`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .caseforms import FORMS, make_form
from .casehistory import CaseView, describe_case, describe_row, list_due, read_case
from .caseintake import accept_case, close_case, open_case, supplement_case
from .casestates import STATUSES
from .cli_bundle import read_limited
from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .errors import RefusedError
from .installation import open_installation
from .notices import MAX_FORM_BYTES, FormType, Notice, VerificationRequest, parse_form
from .settings import read_settings

CaseArgument = Annotated[str, typer.Argument(help="The case.")]
FormArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON: see case form.")]
KeyOption = Annotated[
    list[Path] | None, typer.Option("--key", help="Signing key file of a court, platform or owner.")
]
app = typer.Typer(help="Verification requests, notices, decisions, stay-down.", no_args_is_help=True)


@app.command("form")
def form_command(
    name: Annotated[str, typer.Argument(help="notice, request, counter-notice, complaint or reasons.")],
) -> None:
    """Print an empty form to fill in, as JSON, and on standard error what the laws ask for in it."""
    if name not in FORMS:
        raise typer.BadParameter(f"expected one of {', '.join(FORMS)}", param_hint="NAME")
    empty = make_form(name)
    print_json(empty.form)
    for item in empty.requirements:
        typer.echo(f"{item.field}: {item.text} {item.provision}".rstrip(), err=True)
    for statement, words in empty.statements.items():
        typer.echo(f"statements.{statement} says: {words}", err=True)


@app.command("open")
def open_command(
    file: FormArgument,
    request: Annotated[
        bool, typer.Option("--request", help="It is a verification request, not a notice.")
    ] = False,
    tracks: Annotated[
        list[str] | None, typer.Option("--track", help="A track it is about; may be repeated.")
    ] = None,
    urgent: Annotated[bool, typer.Option("--urgent", help="Decide within 48 hours.")] = False,
    person: Annotated[str | None, typer.Option(help="Whose data it holds: see custody add-person.")] = None,
    respondent: Annotated[
        str | None, typer.Option(help="Who put the material up, as a person of the vault: counts repeats.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in a notice or a verification request, check it, and say what is missing."""
    form: Notice | VerificationRequest
    form = read_form(file, VerificationRequest) if request else read_form(file, Notice)
    with open_installation(read_settings(home)) as installation:
        opened = open_case(
            installation, form, tracks=tracks or (), urgent=urgent, person=person, respondent=respondent
        )
        view = read_case(installation, opened.case_id)
    missing = [vars(item) for item in opened.missing]
    if as_json:
        print_json({**describe_row(view.row), "access_code": opened.code, "missing": missing})
        return
    output.print(f"[green]✓[/green] case {opened.case_id}: {view.state.status}")
    for item in missing:
        output.print(f"  missing: {item['text']} ({item['field']}) {item['provision']}", markup=False)
    output.print(f"  access code for whoever sent it: {opened.code}", markup=False)


@app.command("supplement")
def supplement_command(
    case_id: CaseArgument, file: FormArgument, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Add to an incomplete form: the file has only the members that are new or changed."""
    additions = read_document(file)
    with open_installation(read_settings(home)) as installation:
        missing = supplement_case(installation, case_id, additions)
        view = read_case(installation, case_id)
    if as_json:
        print_json({**describe_row(view.row), "missing": [vars(item) for item in missing]})
        return
    output.print(f"case {case_id}: {view.state.status}")
    for item in missing:
        output.print(f"  missing: {item.text} ({item.field}) {item.provision}", markup=False)


@app.command("accept")
def accept_command(
    case_id: CaseArgument,
    despite: Annotated[
        str, typer.Option(help="A code why an incomplete notice is taken up, such as substantially-complete.")
    ] = "",
    tracks: Annotated[list[str] | None, typer.Option("--track", help="A track it is about, too.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a case up. A notice is logged in the history of each track that it is about."""
    with open_installation(read_settings(home)) as installation:
        accept_case(installation, case_id, despite=despite, tracks=tracks or ())
        print_case(read_case(installation, case_id), as_json=as_json)


@app.command("close")
def close_command(
    case_id: CaseArgument,
    reason: Annotated[str, typer.Option(help="A code, such as not-completed.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a case that was never taken up."""
    with open_installation(read_settings(home)) as installation:
        close_case(installation, case_id, reason)
        print_case(read_case(installation, case_id), as_json=as_json)


@app.command("list")
def list_command(
    due: Annotated[
        bool, typer.Option("--due", help="Only cases with a deadline, the nearest first.")
    ] = False,
    within: Annotated[
        int | None, typer.Option("--within", help="With --due: within so many days.", min=0, max=3660)
    ] = None,
    statuses: Annotated[
        list[str] | None, typer.Option("--status", help="Only with this status; may be repeated.")
    ] = None,
    track_id: Annotated[str | None, typer.Option("--track", help="Only about this track.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 200,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List cases: nothing personal."""
    unknown = sorted(set(statuses or ()) - set(STATUSES))
    if unknown:
        raise typer.BadParameter(f"expected one of {', '.join(STATUSES)}", param_hint="--status")
    with open_installation(read_settings(home)) as installation:
        if due:
            rows = list_due(installation, within_days=within, limit=limit)
        else:
            rows = installation.cases.list_cases(limit=limit, statuses=statuses or (), track_id=track_id)
    if as_json:
        print_json({"cases": [describe_row(row) for row in rows]})
        return
    for row in rows:
        item = describe_row(row)
        late = "  LATE" if item["late"] else ""
        output.print(
            f"  {row.case_id}  {row.kind}  {row.status}  due {row.due or '-'}{late}  {row.tracks}",
            markup=False,
        )
    output.print(f"{len(rows)} cases")


@app.command("show")
def show_command(
    case_id: CaseArgument,
    personal: Annotated[bool, typer.Option("--personal", help="Also what people wrote.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a case's signed steps and print its timeline and deadlines."""
    with open_installation(read_settings(home)) as installation:
        print_case(read_case(installation, case_id), as_json=as_json, personal=personal)


def read_document(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; RefusedError for anything else."""
    try:
        document = json.loads(read_limited(path, MAX_FORM_BYTES))
    except ValueError as error:
        raise RefusedError(f"{path}: expected JSON: {error}") from error
    if not isinstance(document, dict):
        raise RefusedError(f"{path}: expected a JSON object, got {type(document).__name__}")
    return document


def read_form(path: Path, kind: type[FormType]) -> FormType:
    """Return a form from a JSON file; RefusedError for anything else."""
    return parse_form(kind, read_document(path))


def print_case(view: CaseView, *, as_json: bool, personal: bool = False) -> None:
    """Print a case; with `personal` also what people wrote."""
    document = describe_case(view, personal=personal)
    if as_json:
        print_json(document)
        return
    flags = [name for name in ("restricted", "countered", "court", "complaint") if document[name]]
    output.print(f"case {view.row.case_id}: {view.row.kind}, {view.state.status} {' '.join(flags)}".rstrip())
    for item in document["timeline"]:
        entries = "".join(f"  entry {entry['index']}" for entry in item["entries"])
        facts = " ".join(f"{name}={value}" for name, value in item["facts"].items() if value not in ("", []))
        output.print(f"  {item['time']}  {item['step']}{entries}  {facts}".rstrip(), markup=False)
        for label in item["values"]:
            value = item["values"][label]
            if personal:
                text = "(erased)" if value is None else json.dumps(value, ensure_ascii=False)
                output.print(f"      {label}: {text}", markup=False)
    for item in document["deadlines"]:
        late = "  LATE" if item["late"] else ""
        earliest = f"from {item['earliest']} " if item["earliest"] else ""
        output.print(
            f"  due: {item['name']} {earliest}until {item['due']}{late}  ({item['basis']})", markup=False
        )
