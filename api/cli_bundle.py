"""Commands about custody bundles: `provenote bundle make` and `provenote bundle check`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509

import ledger
from ledger import make_bundle
from ledger.bundle_form import MAX_BUNDLE_BYTES
from ledger.errors import BundleError
from ledger.policy import Policy, parse_policy
from ledger.timestamp import load_roots

from .audiofile import write_synced
from .cli_options import HomeOption, JsonOption
from .collecting import collect_evidence
from .console import output, print_json
from .errors import LedgerFolderError, TooLargeError
from .installation import open_installation
from .openings import list_openings
from .outcomes import BAD
from .recipients import open_personal
from .release import name_asset
from .settings import read_settings

VkeyOption = Annotated[str | None, typer.Option(help="The log's verifier key, from a source you trust.")]
PolicyOption = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="Witnesses and their quorum (C2SP tlog-policy)."),
]
app = typer.Typer(help="Custody bundles.", no_args_is_help=True)


@app.command("make")
def make_command(
    track_id: Annotated[str, typer.Argument(help="The track.")],
    file: Annotated[Path, typer.Option("--output", "-o", help="New file.", dir_okay=False)],
    opened: Annotated[
        bool,
        typer.Option(
            "--open",
            help="Open the commitments: mark, prompt, and what is personal and not erased, but for copies.",
        ),
    ] = False,
    copy_id: Annotated[
        str | None, typer.Option("--copy", help="Also open whose this delivered copy is, and its mark.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what checks a track offline: its history, proofs, witnesses, time-stamps."""
    with open_installation(read_settings(home)) as installation:
        track, asset = installation.registry.get_released(track_id), name_asset(track_id)
        opened = opened or copy_id is not None
        mark = installation.registry.get_mark_of(track_id) if opened else None
        openings = (
            ()
            if mark is None
            else (
                *list_openings(track, mark, installation.registry.list_credits(track_id)),
                *open_personal(installation, track_id, copy_id),
            )
        )
        evidence = collect_evidence(installation, asset)
        content = make_bundle(installation.store, asset, openings=openings, evidence=evidence)
    write_synced(file, content)
    if as_json:
        print_json({"file": str(file), "bytes": len(content)})
    else:
        output.print(f"{file}: {len(content)} bytes", markup=False)


@app.command("check")
def check_command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="bundle.json")],
    vkey: VkeyOption = None,
    policy: PolicyOption = None,
    roots: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="PEM certificates of time-stamping authorities."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a bundle offline: proofs, signatures, order, rules, what is hidden. Needs no ledger."""
    content = read_limited(file, MAX_BUNDLE_BYTES)
    try:
        report = ledger.check_bundle(content, vkey=vkey, policy=read_policy(policy), roots=_read_roots(roots))
    except BundleError as error:
        if as_json:
            print_json({"ok": False, "code": error.code, "entry": error.index, "message": str(error)})
        else:
            output.print(f"[bold red]does not hold[/bold red] {file.name}:", end=" ")
            output.print(f"{error} ({error.code})", markup=False)
        raise typer.Exit(BAD) from error
    document = describe_report(report)
    if as_json:
        print_json(document)
        return
    output.print(f"[bold green]holds[/bold green] {file.name}: {len(report.events)} events of {report.asset}")
    for item in document["events"]:
        disputed = "  disputed: its key was revoked from there on" if item["disputed"] else ""
        output.print(f"  #{item['index']}  {item['event']}{disputed}", markup=False)
    for line in _describe(document):
        output.print(f"  {line}", markup=False)


def describe_report(report: ledger.BundleReport) -> dict[str, Any]:
    """Return what a bundle proves as JSON."""
    state = report.state
    return {
        "ok": True,
        "origin": report.origin,
        "vkey": report.vkey,
        "vkey_pinned": report.vkey_pinned,
        "asset": report.asset,
        "size": report.checkpoint.size,
        "events": [
            {
                "index": item.index,
                "event": item.event.statement.predicate_type,
                "key_ids": list(item.event.key_ids),
                "disputed": item.disputed,
                "subjects": {sub.name: sub.sha256.hex() for sub in item.event.statement.subjects},
            }
            for item in report.events
        ],
        "status": state.status if state else None,
        "owner": state.owner if state else None,
        "whole_as_of": report.whole_as_of,
        "keys": [
            {
                "key_id": record.public_key.key_id,
                "party": record.party,
                "roles": sorted(record.roles),
                "from_entry": record.added_at,
                "to_entry": record.retired_at,
                "disputed_from": record.disputed_from,
            }
            for record in report.keys
        ],
        "witnessed": report.witnessed,
        "cosigned_by": list(report.cosigned),
        "time_stamps": [
            {
                "authority": item.authority,
                "size": item.size,
                "time": item.timestamp.time.isoformat() if item.timestamp else None,
            }
            for item in report.timestamps
        ],
        "openings": dict(report.openings),
    }


def _describe(document: Mapping[str, Any]) -> list[str]:
    lines = [f"proven in a log of {document['size']} entries, key {document['vkey']}"]
    if not document["vkey_pinned"]:
        lines.append("the log's key is the bundle's own: compare it with the published one, or pass --vkey")
    if document["status"] is not None:
        lines.append(f"{document['status']}; owned by {document['owner']}")
    if document["whole_as_of"] is None:
        lines.append("later events, and revoked keys, may not be shown: no anchored map covers this")
    else:
        lines.append(f"all its events among the first {document['whole_as_of']} entries are shown")
    names = ", ".join(document["cosigned_by"])
    if document["witnessed"]:
        lines.append(f"witnessed by {names}")
    elif names:
        lines.append(f"cosigned, as it claims, by {names}: pass --policy to rely on it")
    for item in document["time_stamps"]:
        when = item["time"] or "not checked: pass --roots"
        lines.append(f"time-stamp of {item['authority']} over {item['size']} entries: {when}")
    return lines


def read_limited(path: Path, limit: int) -> bytes:
    """Return a file's bytes; TooLargeError beyond a limit in bytes, LedgerFolderError if unreadable."""
    try:
        size = path.stat().st_size
        if size > limit:
            raise TooLargeError(f"expected at most {limit} bytes, got {size}")
        return path.read_bytes()
    except OSError as error:
        raise LedgerFolderError(f"{path}: cannot be read: {error.strerror}") from error


def read_policy(path: Path | None) -> Policy | None:
    """Return the policy in a file, None where no file is named; FormatError for another text."""
    return None if path is None else parse_policy(read_limited(path, MAX_BUNDLE_BYTES))


def _read_roots(path: Path | None) -> list[x509.Certificate] | None:
    return None if path is None else load_roots(read_limited(path, MAX_BUNDLE_BYTES))
