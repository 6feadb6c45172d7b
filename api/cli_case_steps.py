"""Commands for what is done in a case: restrict, counter, decide, complain, restore and the like."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ledger.keyfile import load_signing_key

from .caseexamination import examine_clip
from .casehistory import read_case
from .casestates import CONFIRMED, DENIED, REVERSED, UPHELD
from .casework import (
    add_note,
    complain_about,
    counter_case,
    decide_case,
    decide_complaint,
    note_court_action,
    note_sent,
    restore_case,
    restrict_case,
    withdraw_case,
)
from .cli_case import CaseArgument, FormArgument, KeyOption, print_case, read_form
from .cli_options import HomeOption, InputFile, JsonOption
from .console import print_json, show_progress
from .installation import open_installation
from .letters import write_letter
from .notices import Complaint, CounterNotice
from .reasons import Reasons
from .settings import read_settings
from .transparency import state_for_database

ReasonOption = Annotated[str, typer.Option("--reason", help="Why, as a code such as infringing.")]
OverrideOption = Annotated[
    bool, typer.Option("--override", help="Although the clock of a counter-notice says otherwise.")
]
PersonOption = Annotated[str | None, typer.Option(help="Whose data it is: see custody add-person.")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("examine")(examine_command)
    app.command("restrict")(restrict_command)
    app.command("counter")(counter_command)
    app.command("court-action")(court_action_command)
    app.command("decide")(decide_command)
    app.command("complain")(complain_command)
    app.command("decide-complaint")(decide_complaint_command)
    app.command("restore")(restore_command)
    app.command("withdraw")(withdraw_command)
    app.command("note")(note_command)
    app.command("sent")(sent_command)
    app.command("letter")(letter_command)
    app.command("statement")(statement_command)


def restrict_command(
    case_id: CaseArgument,
    reasons: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Statement of reasons, JSON.")],
    keys: KeyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record that access was disabled before the decision, with the statement of reasons."""
    form = read_form(reasons, Reasons)
    with open_installation(read_settings(home)) as installation:
        restrict_case(
            installation, case_id, form, signing_keys=[load_signing_key(path) for path in keys or ()]
        )
        print_case(read_case(installation, case_id), as_json=as_json)


def counter_command(
    case_id: CaseArgument,
    file: FormArgument,
    person: PersonOption = None,
    keys: KeyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in a counter-notice: its clock of 10 to 14 business days runs from now."""
    form = read_form(file, CounterNotice)
    with open_installation(read_settings(home)) as installation:
        signing_keys = [load_signing_key(path) for path in keys or ()]
        counter_case(installation, case_id, form, person=person, signing_keys=signing_keys)
        print_case(read_case(installation, case_id), as_json=as_json)


def court_action_command(
    case_id: CaseArgument,
    text: Annotated[str, typer.Option(help="Court and file number, as told.")] = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record that the claimant told of an action in court: the clock stops."""
    with open_installation(read_settings(home)) as installation:
        note_court_action(installation, case_id, text)
        print_case(read_case(installation, case_id), as_json=as_json)


def decide_command(
    case_id: CaseArgument,
    outcome: Annotated[str, typer.Argument(help="upheld or denied.")],
    reason: ReasonOption,
    reasons: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Statement of reasons, JSON; needed to uphold."),
    ] = None,
    override: OverrideOption = False,
    keys: KeyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide a notice. Upheld, its tracks are taken down in the ledger and go on the stay-down list."""
    if outcome not in (UPHELD, DENIED):
        raise typer.BadParameter("expected upheld or denied", param_hint="OUTCOME")
    form = None if reasons is None else read_form(reasons, Reasons)
    with open_installation(read_settings(home)) as installation:
        decide_case(
            installation,
            case_id,
            outcome,
            reason,
            reasons=form,
            override=override,
            signing_keys=[load_signing_key(path) for path in keys or ()],
        )
        print_case(read_case(installation, case_id), as_json=as_json)


def complain_command(
    case_id: CaseArgument,
    file: FormArgument,
    person: PersonOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in a complaint against the decision, within six months of it."""
    form = read_form(file, Complaint)
    with open_installation(read_settings(home)) as installation:
        complain_about(installation, case_id, form, person=person)
        print_case(read_case(installation, case_id), as_json=as_json)


def decide_complaint_command(
    case_id: CaseArgument,
    outcome: Annotated[str, typer.Argument(help="confirmed or reversed.")],
    reason: ReasonOption,
    keys: KeyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide a complaint: confirm the decision, or reverse it, which restores or upholds."""
    if outcome not in (CONFIRMED, REVERSED):
        raise typer.BadParameter("expected confirmed or reversed", param_hint="OUTCOME")
    with open_installation(read_settings(home)) as installation:
        signing_keys = [load_signing_key(path) for path in keys or ()]
        decide_complaint(installation, case_id, outcome, reason, signing_keys=signing_keys)
        print_case(read_case(installation, case_id), as_json=as_json)


def restore_command(
    case_id: CaseArgument,
    reason: ReasonOption,
    override: OverrideOption = False,
    keys: KeyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put back what an upheld notice took down; its stay-down entries are lifted."""
    with open_installation(read_settings(home)) as installation:
        signing_keys = [load_signing_key(path) for path in keys or ()]
        restore_case(installation, case_id, reason, override=override, signing_keys=signing_keys)
        print_case(read_case(installation, case_id), as_json=as_json)


def withdraw_command(case_id: CaseArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Record that the claimant has withdrawn; what was taken down is put back."""
    with open_installation(read_settings(home)) as installation:
        withdraw_case(installation, case_id)
        print_case(read_case(installation, case_id), as_json=as_json)


def note_command(
    case_id: CaseArgument,
    text: Annotated[str, typer.Argument(help="Sealed like what people write.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a note of the case worker's."""
    with open_installation(read_settings(home)) as installation:
        add_note(installation, case_id, text)
        print_case(read_case(installation, case_id), as_json=as_json)


def sent_command(
    case_id: CaseArgument,
    letter: Annotated[str, typer.Argument(help="receipt, missing, counter-notice, decision or reasons.")],
    to: Annotated[str, typer.Option(help="claimant or respondent.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record that a letter went out: its deadline is met."""
    with open_installation(read_settings(home)) as installation:
        note_sent(installation, case_id, letter, to)
        print_case(read_case(installation, case_id), as_json=as_json)


def examine_command(
    case_id: CaseArgument,
    file: Annotated[Path, InputFile],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a clip for a case and keep the signed report with it; this answers a verification request."""
    with open_installation(read_settings(home)) as installation, show_progress(quiet=as_json) as progress:
        examine_clip(installation, case_id, file, progress=progress)
        view = read_case(installation, case_id)
    print_case(view, as_json=as_json)


def letter_command(
    case_id: CaseArgument,
    letter: Annotated[str, typer.Argument(help="receipt, missing, counter-notice, decision or reasons.")],
    home: HomeOption = None,
) -> None:
    """Print a letter to claimant or respondent; nothing is sent."""
    with open_installation(read_settings(home)) as installation:
        text = write_letter(read_case(installation, case_id), letter)
    typer.echo(text, nl=False)


def statement_command(
    case_id: CaseArgument,
    content_date: Annotated[
        datetime | None,
        typer.Option(
            "--content-date", formats=["%Y-%m-%d"], help="When the material was put up; default: the track's."
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Print the statement of reasons as the DSA Transparency Database takes it; nothing is sent."""
    day = None if content_date is None else content_date.date()
    with open_installation(read_settings(home)) as installation:
        print_json(state_for_database(installation, case_id, content_date=day))
