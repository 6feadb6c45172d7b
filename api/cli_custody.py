"""Commands about what happens to a track later: `provenote custody ...`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

import ledger
from ledger.keyfile import load_signing_key

from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .custody import check_custody
from .erasing import erase_track
from .errors import RefusedError
from .forgetting import forget_person
from .installation import open_installation
from .outcomes import BAD
from .recording import add_actor, record_event, revoke_key
from .release import name_asset
from .settings import read_settings

app = typer.Typer(help="What happened to a track: events, actors' keys, erasure.", no_args_is_help=True)


@app.command("show")
def show_command(
    track_id: Annotated[str, typer.Argument(help="The track.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a track's whole history and print it. Exit code 1 when it does not hold."""
    with open_installation(read_settings(home)) as installation:
        installation.registry.get_released(track_id)
        found = check_custody(installation.store, installation.public, name_asset(track_id)).evidence
    if as_json:
        fault = found.fault
        print_json(
            {
                "ok": fault is None,
                "status": found.status if fault is None else None,
                "events": [
                    {
                        "index": item.index,
                        "event": item.event,
                        "time": item.time,
                        "key_ids": list(item.key_ids),
                        "disputed": item.disputed,
                    }
                    for item in found.events
                ],
                "fault": fault and {"index": fault.index, "code": fault.code, "message": fault.message},
            }
        )
    else:
        for item in found.events:
            disputed = "  disputed" if item.disputed else ""
            name = item.event.rsplit("/", 2)[-2]
            output.print(f"  #{item.index}  {name}  {item.time}{disputed}", markup=False)
        if found.fault is None:
            output.print(f"[bold green]holds[/bold green]: {found.status}")
        else:
            output.print("[bold red]does not hold[/bold red]:", end=" ")
            output.print(f"{found.fault.message} ({found.fault.code})", markup=False)
    if found.fault is not None:
        raise typer.Exit(BAD)


@app.command("record")
def record_command(
    track_id: Annotated[str, typer.Argument(help="The track.")],
    event: Annotated[str, typer.Argument(help="Such as delivered, published, licensed, notice, decision.")],
    facts: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE of the predicate; VALUE is JSON or text.")
    ] = None,
    personal: Annotated[
        list[str] | None, typer.Option("--personal", help="LABEL=TEXT that is only committed to.")
    ] = None,
    person: Annotated[str | None, typer.Option(help="Whose the personal values are: see add-person.")] = None,
    keys: Annotated[
        list[Path] | None, typer.Option("--key", help="Signing key file; default: the issuer's.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Append an event to a track's history; the rules of custody decide whether it may follow."""
    with open_installation(read_settings(home)) as installation:
        receipt = record_event(
            installation,
            track_id,
            event,
            {name: _read_value(text) for name, text in _split(facts)},
            personal=dict(_split(personal)),
            person=person,
            signing_keys=[load_signing_key(path) for path in keys or ()],
        )
    _print_receipt(receipt, event, as_json=as_json)


@app.command("add-key")
def add_key_command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The actor's signing key file.")],
    party: Annotated[str, typer.Option(help="Whom it belongs to: an organisation, such as label.example.")],
    roles: Annotated[
        list[str], typer.Option("--role", help="operator, issuer, owner, platform or court; may be repeated.")
    ],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an actor's key into the ledger, signed by it and by the issuer."""
    with open_installation(read_settings(home)) as installation:
        receipt = add_actor(installation, load_signing_key(file), roles, party)
    _print_receipt(receipt, "key-added", as_json=as_json)


@app.command("revoke-key")
def revoke_key_command(
    key_id: Annotated[str, typer.Argument(help="The key.")],
    reason: Annotated[str, typer.Option(help="A code, such as compromised.")],
    disputed_from: Annotated[
        int | None, typer.Option("--from", help="Dispute what it signed from this entry on.", min=0)
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a key from the next entry on."""
    with open_installation(read_settings(home)) as installation:
        receipt = revoke_key(installation, key_id, reason, disputed_from=disputed_from)
    _print_receipt(receipt, "key-revoked", as_json=as_json)


@app.command("add-person")
def add_person_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Make a key for a person; the random id printed stands for them, and who that is, is not kept."""
    with open_installation(read_settings(home)) as installation:
        person = installation.vault.add_person()
    if as_json:
        print_json({"person": person})
    else:
        typer.echo(person)


@app.command("erase")
def erase_command(
    person: Annotated[str, typer.Argument(help="The person's id.")],
    ground: Annotated[str, typer.Option(help="A code, such as gdpr-17.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Destroy a person's key and log it: their values cannot be opened any more, all proofs stay valid."""
    with open_installation(read_settings(home)) as installation:
        erasure = forget_person(installation, person, ground)
    if as_json:
        indexes = [receipt.index for receipt in erasure.receipts]
        print_json({"values": erasure.values, "entries": indexes})
    else:
        output.print(f"{erasure.values} values erased, logged in {len(erasure.receipts)} entries")


@app.command("erase-track")
def erase_track_command(
    track_id: Annotated[str, typer.Argument(help="The track.")],
    ground: Annotated[str, typer.Option(help="A code, such as gdpr-17.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget a track's prompt, title and artist and log it; its mark, files and history stay as they are."""
    with open_installation(read_settings(home)) as installation:
        erasure = erase_track(installation, track_id, ground)
    if as_json:
        indexes = [receipt.index for receipt in erasure.receipts]
        print_json({"values": erasure.values, "entries": indexes})
    else:
        output.print(f"{erasure.values} values erased, logged in {len(erasure.receipts)} entries")


def _split(items: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for item in items or ():
        name, separator, text = item.partition("=")
        if not separator or not name:
            raise RefusedError(f"expected NAME=VALUE, got {item!r:.80}")
        pairs.append((name, text))
    return pairs


def _read_value(text: str) -> Any:
    """Read JSON, or take the text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print_receipt(receipt: ledger.Receipt, event: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"index": receipt.index, "leaf_hash": receipt.leaf_hash.hex(), "event": event})
    else:
        output.print(f"[green]✓[/green] {event}: entry {receipt.index}")
