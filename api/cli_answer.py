"""Commands that ask the log about an asset, file or mark: `provenote log ask` and `log check-answer`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.answer import MAX_ANSWER_BYTES, Answer, MarkId, Question, check_answer
from ledger.errors import BundleError

from .answering import answer_question, parse_question
from .audiofile import hash_file, write_synced
from .cli_bundle import PolicyOption, VkeyOption, read_limited, read_policy
from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .errors import RefusedError
from .installation import open_installation
from .outcomes import BAD
from .settings import read_settings

FileOption = Annotated[
    Path | None, typer.Option("--file", exists=True, dir_okay=False, help="A file: its SHA-256 is asked for.")
]


MarkOption = Annotated[
    str | None, typer.Option("--mark", help="A mark's id, in hex, as a report names it to its owner.")
]


def add_commands(log: typer.Typer) -> None:
    """Register the commands of this file."""
    log.command("ask")(ask_command)
    log.command("check-answer")(check_command)


def ask_command(
    answer: Annotated[Path, typer.Option("--output", "-o", help="New file.", dir_okay=False)],
    asset: Annotated[str | None, typer.Option(help="An asset, such as track:TRACK_ID.")] = None,
    file: FileOption = None,
    sha256: Annotated[str | None, typer.Option(help="A digest, in hex.")] = None,
    mark_id: MarkOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what the log says of an asset, digest or mark, or that it says nothing; to be checked offline."""
    if sum(item is not None for item in (asset, file, sha256, mark_id)) != 1:
        raise RefusedError("expected one of --asset, --file, --sha256 and --mark")
    question = parse_question(asset=asset, sha256=hash_file(file) if file else sha256, mark_id=mark_id)
    with open_installation(read_settings(home)) as installation:
        content = answer_question(installation, question)
        found = check_answer(content, vkey=installation.public.vkey)
    write_synced(answer, content)
    _print(found, as_json=as_json)


def check_command(
    answer: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="answer.json")],
    file: FileOption = None,
    mark_id: MarkOption = None,
    vkey: VkeyOption = None,
    policy: PolicyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check an answer offline; with --file or --mark also that it is about that one. Needs no ledger."""
    if file and mark_id:
        raise RefusedError("expected one of --file and --mark")
    question: Question | None = None
    if file or mark_id:
        question = parse_question(sha256=hash_file(file) if file else None, mark_id=mark_id)
    try:
        content = read_limited(answer, MAX_ANSWER_BYTES)
        found = check_answer(content, vkey=vkey, policy=read_policy(policy), question=question)
    except BundleError as error:
        if as_json:
            print_json({"ok": False, "code": error.code, "message": str(error)})
        else:
            output.print("[bold red]does not hold[/bold red]:", end=" ")
            output.print(f"{error} ({error.code})", markup=False)
        raise typer.Exit(BAD) from error
    _print(found, as_json=as_json)


def _print(found: Answer, *, as_json: bool) -> None:
    document = _describe(found)
    if as_json:
        print_json(document)
        return
    count = document["events"]
    said = f"events: {count}, the last {document['last_leaf_hash']}" if count else "no event"
    output.print("[bold green]holds[/bold green]", end=" ")
    among = f"the first {document['as_of']} entries"
    if document["since"]:
        among = f"the entries {document['since']} to {document['as_of'] - 1}, from the log's mark key on"
    output.print(f"{document['subject']}: {said}, among {among}", markup=False)
    if not document["vkey_pinned"]:
        output.print("  the log's key is the answer's own: compare it with the published one, or pass --vkey")
    if not document["witnessed"]:
        output.print("  nobody relied upon has witnessed the log: pass --policy")


def _describe(found: Answer) -> dict[str, Any]:
    subject, last = found.question.subject, found.records[-1] if found.records else None
    named = subject.mark_id.hex() if isinstance(subject, MarkId) else subject
    return {
        "ok": True,
        "origin": found.report.origin,
        "vkey": found.report.vkey,
        "vkey_pinned": found.report.vkey_pinned,
        "subject": named.hex() if isinstance(named, bytes) else named,
        "events": found.events,
        "last_leaf_hash": last.head.hex() if last else None,
        "since": found.since,
        "as_of": found.as_of,
        "witnessed": found.report.witnessed,
        "cosigned_by": list(found.report.cosigned),
    }
