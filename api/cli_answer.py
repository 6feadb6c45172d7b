"""Commands that ask the log about an asset or file: `provenote log ask` and `provenote log check-answer`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.answer import MAX_ANSWER_BYTES, Answer, Question, check_answer, make_answer
from ledger.canonical import check_hex
from ledger.errors import BundleError
from ledger.event import KEYS_ASSET, check_asset

from .audiofile import hash_file, write_synced
from .cli_bundle import PolicyOption, VkeyOption, read_limited, read_policy
from .cli_options import HomeOption, JsonOption
from .collecting import collect_evidence
from .console import output, print_json
from .errors import RefusedError
from .installation import open_installation
from .outcomes import BAD
from .settings import read_settings

FileOption = Annotated[
    Path | None, typer.Option("--file", exists=True, dir_okay=False, help="A file: its SHA-256 is asked for.")
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
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what the log says of an asset or digest, or that it says nothing; to be checked offline."""
    question = _read_question(asset, file, sha256)
    with open_installation(read_settings(home)) as installation:
        evidence = collect_evidence(installation, KEYS_ASSET)
        content = make_answer(installation.store, question, evidence)
        found = check_answer(content, vkey=installation.public.vkey)
    write_synced(answer, content)
    _print(found, as_json=as_json)


def check_command(
    answer: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="answer.json")],
    file: FileOption = None,
    vkey: VkeyOption = None,
    policy: PolicyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check an answer offline; with --file also that it is about that file. Needs no ledger."""
    try:
        content = read_limited(answer, MAX_ANSWER_BYTES)
        question = Question(bytes.fromhex(hash_file(file))) if file else None
        found = check_answer(content, vkey=vkey, policy=read_policy(policy), question=question)
    except BundleError as error:
        if as_json:
            print_json({"ok": False, "code": error.code, "message": str(error)})
        else:
            output.print("[bold red]does not hold[/bold red]:", end=" ")
            output.print(f"{error} ({error.code})", markup=False)
        raise typer.Exit(BAD) from error
    _print(found, as_json=as_json)


def _read_question(asset: str | None, file: Path | None, sha256: str | None) -> Question:
    if sum(item is not None for item in (asset, file, sha256)) != 1:
        raise RefusedError("expected one of --asset, --file and --sha256")
    if asset is not None:
        return Question(check_asset(asset))
    return Question(bytes.fromhex(hash_file(file)) if file else check_hex(sha256, "--sha256"))


def _print(found: Answer, *, as_json: bool) -> None:
    document = _describe(found)
    if as_json:
        print_json(document)
        return
    count = document["events"]
    said = f"events: {count}, the last {document['last_leaf_hash']}" if count else "no event"
    output.print("[bold green]holds[/bold green]", end=" ")
    output.print(f"{document['subject']}: {said}, among the first {document['as_of']} entries", markup=False)
    if not document["vkey_pinned"]:
        output.print("  the log's key is the answer's own: compare it with the published one, or pass --vkey")
    if not document["witnessed"]:
        output.print("  nobody relied upon has witnessed the log: pass --policy")


def _describe(found: Answer) -> dict[str, Any]:
    subject, record = found.question.subject, found.record
    return {
        "ok": True,
        "origin": found.report.origin,
        "vkey": found.report.vkey,
        "vkey_pinned": found.report.vkey_pinned,
        "subject": subject.hex() if isinstance(subject, bytes) else subject,
        "events": record.count if record else 0,
        "last_leaf_hash": record.head.hex() if record else None,
        "as_of": found.as_of,
        "witnessed": found.report.witnessed,
        "cosigned_by": list(found.report.cosigned),
    }
