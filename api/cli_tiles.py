"""Commands that show the log to others: `provenote log publish`, `log export-tiles` and `log check-tiles`."""

from pathlib import Path
from typing import Annotated

import typer

import ledger
from ledger.attestation import OPENTIMESTAMPS, RFC3161
from ledger.errors import FormatError, NotFoundError, ProofError, SignatureError
from ledger.note import parse_note, parse_vkey
from ledger.replay import Replay
from ledger.tilefolder import export_tiles
from ledger.tilereader import check_growth, check_tiles, open_tile_log

from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .installation import open_installation
from .outcomes import BAD
from .publishing import complete_once, find_published_note, publish_once, stamp_once, web_post
from .settings import read_settings
from .tilefetch import open_source


def add_commands(log: typer.Typer) -> None:
    """Register the commands of this file."""
    log.command("publish")(publish_command)
    log.command("export-tiles")(export_command)
    log.command("check-tiles")(check_command)
    log.command("export-stamps")(stamps_command)


def publish_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Publish the newest checkpoint: sign it with the log's second key, have the witnesses cosign it.

    Exit code 1 when a quorum is asked for and not reached, or a witness knows another history of this log.
    """
    with open_installation(read_settings(home)) as installation, web_post() as post:
        found = publish_once(installation, post)
        stamped = stamp_once(installation, found)
        wanted = installation.policy.quorum is not None
        completed = complete_once(installation)
    submissions = [
        {"witness": item.witness.name, "outcome": item.outcome.value, "detail": item.detail}
        for item in found.submissions
    ]
    stamps = [
        {
            "authority": item.authority,
            "time": item.timestamp.time.isoformat() if item.timestamp else None,
            "detail": item.detail,
        }
        for item in stamped
    ]
    if as_json:
        print_json(
            {
                "size": found.checkpoint.size,
                "witnessed": found.witnessed,
                "cosigned_by": [item.name for item in found.cosigned.cosignatures],
                "submissions": submissions,
                "time_stamps": stamps,
                "promises_kept": completed,
                "checkpoint": found.note.decode("utf-8"),
            }
        )
    else:
        state = "witnessed" if found.witnessed else "[bold red]unwitnessed[/bold red]"
        output.print(f"checkpoint of {found.checkpoint.size} entries: {state}")
        for item in submissions:
            output.print(f"  {item['witness']}: {item['outcome']} ({item['detail']})", markup=False)
        for stamp in stamps:
            output.print(
                f"  time-stamp of {stamp['authority']}: {stamp['time'] or stamp['detail']}", markup=False
            )
        if completed:
            output.print(f"  {completed} checkpoints are in a block now")
    if found.alarms or (wanted and not found.witnessed):
        raise typer.Exit(BAD)


def export_command(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="New folder, or an earlier export.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the log as static files (C2SP tlog-tiles) for any web server; an earlier export is continued."""
    with open_installation(read_settings(home)) as installation:
        public, store = installation.public, installation.store
        note = find_published_note(installation)
        written = export_tiles(store, folder, note, origin=public.origin, vkey=public.vkey)
        size = ledger.open_checkpoint(note, public.origin, public.vkey).size
    if as_json:
        print_json({"folder": str(folder), "size": size, "tiles_written": written})
    else:
        output.print(f"{folder}: {size} entries, {written} tiles written", markup=False)


def stamps_command(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="New or existing folder.")],
    last: Annotated[int, typer.Option(help="Of how many checkpoints, the newest first.", min=1)] = 100,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write time-stamps as files for other programs: checkpoint-SIZE.txt, and .tsr (RFC 3161) or .ots beside.

    `openssl ts -verify -data checkpoint-SIZE.txt -token_in -in ...` and any OpenTimestamps client check them.
    """
    suffixes = {RFC3161: "token.tsr", OPENTIMESTAMPS: "ots"}
    written = []
    with open_installation(read_settings(home)) as installation:
        store, attestations = installation.store, installation.attestations
        folder.mkdir(parents=True, exist_ok=True)
        sizes = {size for kind in suffixes for size in attestations.list_sizes(kind, last=last)}
        for size in sorted(sizes, reverse=True)[:last]:
            data = folder / f"checkpoint-{size}.txt"
            data.write_bytes(parse_note(store.checkpoint(size))[0].encode("utf-8"))
            for item in attestations.list_of(size):
                if item.kind in suffixes:
                    path = data.with_name(f"{data.name}.{item.source}.{suffixes[item.kind]}")
                    path.write_bytes(item.content)
                    written.append(path.name)
    if as_json:
        print_json({"folder": str(folder), "stamps": written})
    else:
        output.print(f"{folder}: {len(written)} time-stamps of {len(sizes)} checkpoints", markup=False)


def check_command(
    source: Annotated[str, typer.Argument(help="Folder of tiles, or the URL prefix of a log.")],
    vkey: Annotated[str, typer.Option(help="The log's verifier key, from a source you trust.")],
    known: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A checkpoint kept from earlier, from which the log must have grown.",
        ),
    ] = None,
    tree_only: Annotated[
        bool,
        typer.Option("--tree-only", help="Do not judge the entries as events: a log of another program."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a whole log from its tiles alone: tree, signed root, each event, each anchor. Needs no ledger."""
    origin = parse_vkey(vkey).name
    replay = None if tree_only else Replay(origin)
    try:
        with open_source(source) as fetch:
            log = open_tile_log(fetch, origin, vkey)
            if known is not None:
                check_growth(log, ledger.open_checkpoint(known.read_bytes(), origin, vkey))
            check_tiles(log, replay.take if replay else None)
    except (ProofError, FormatError, SignatureError, NotFoundError) as error:
        if as_json:
            print_json({"ok": False, "message": str(error)})
        else:
            output.print("[bold red]does not hold[/bold red]:", end=" ")
            output.print(str(error), markup=False)
        raise typer.Exit(BAD) from error
    document = {"ok": True, "origin": origin, "size": log.checkpoint.size, "root": log.checkpoint.root.hex()}
    if replay is not None:
        document |= {"assets": replay.assets, "anchors": replay.anchors}
    if as_json:
        print_json(document)
    else:
        output.print(f"[bold green]holds[/bold green] {log.checkpoint.size} entries of {origin}")
        if replay is not None:
            output.print(
                f"  every event follows from those before it; {replay.anchors} anchored maps are right"
            )
