"""Commands about the record: `provenote log show|prove|fsck`; `cli_upkeep` has scrub and restore."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

import ledger
from ledger.envelope import parse_envelope
from ledger.merkle import leaf_hash

from .cli_options import HomeOption, JsonOption
from .console import errors, output, print_json
from .installation import open_installation
from .keyring import read_public_keys
from .outcomes import BAD
from .settings import read_settings

log = typer.Typer(help="The ledger.", no_args_is_help=True)


@log.command("show")
def show_command(
    index: Annotated[int | None, typer.Argument(help="Show one entry in full.", min=0)] = None,
    last: Annotated[int, typer.Option(help="How many entries, counted from the end.", min=1, max=1000)] = 20,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the newest entries, or show one. The entries are shown as stored; `log fsck` checks them."""
    with open_installation(read_settings(home)) as installation:
        store = installation.store
        if index is not None:
            entry = store.entry(index)
            document = describe_entry(index, entry)
            print_json({**document, "envelope": json.loads(entry)})
            return
        size = store.state().size
        start = max(0, size - last)
        documents = [describe_entry(start + i, entry) for i, entry in enumerate(store.entries(start, size))]
    if as_json:
        print_json({"size": size, "entries": documents})
        return
    table = Table("index", "event", "asset", "n", "time", "leaf hash", box=None)
    for document in documents:
        table.add_row(
            str(document["index"]),
            document["event"],
            document["asset"],
            str(document["n"]),
            document["time"],
            document["leaf_hash"][:16],
        )
    output.print(table)
    output.print(f"{size} entries")


def describe_entry(index: int, entry: bytes) -> dict[str, Any]:
    """Return what an entry says, not checked; an unreadable entry is described as that."""
    found = {
        "index": index,
        "leaf_hash": leaf_hash(entry).hex(),
        "event": "?",
        "asset": "?",
        "n": "?",
        "time": "",
    }
    try:
        statement = ledger.parse_statement(parse_envelope(entry).unverified_payload)
        place = ledger.event.parse_place(statement)
    except ledger.LedgerError as error:
        return {**found, "unreadable": str(error)}
    return {
        **found,
        "event": statement.predicate_type.rsplit("/", 2)[-2],
        "asset": place.asset,
        "n": place.n,
        "time": str(statement.predicate.get("time", "")),
    }


@log.command("prove")
def prove_command(
    index: Annotated[int, typer.Argument(help="The entry.", min=0)],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the inclusion proof of an entry (C2SP tlog-proof), after checking it."""
    with open_installation(read_settings(home)) as installation:
        store, public = installation.store, installation.public
        text = store.receipt(index, store.state().size).text()
        leaf = leaf_hash(store.entry(index))
        try:
            _, checkpoint = ledger.check_proof(text, leaf, public.origin, public.vkey)
        except ledger.LedgerError as error:
            errors.print(f"entry {index} is not proven by its own log: {error}", markup=False)
            raise typer.Exit(BAD) from error
    if as_json:
        document = {
            "index": index,
            "leaf_hash": leaf.hex(),
            "size": checkpoint.size,
            "proof": text.decode("utf-8"),
        }
        print_json(document)
    else:
        typer.echo(text.decode("utf-8"), nl=False)


@log.command("fsck")
def fsck_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Recompute the whole ledger. Exit code 1 when anything is wrong; the first broken entry is named."""
    settings = read_settings(home)
    public = read_public_keys(settings)
    # By URL and not through an open installation: a damaged database must be described, not refused.
    report = ledger.fsck(settings.database_url, vkey=public.vkey, public_keys=public.issuers)
    if as_json:
        findings = [{"index": f.index, "code": f.code, "message": f.message} for f in report.findings]
        document = {
            "ok": report.ok,
            "size": report.size,
            "first_broken": report.first_broken,
            "findings": findings,
        }
        print_json(document)
    elif report.ok:
        output.print(
            f"[green]✓[/green] {report.size} entries: hashes, chain, tree, checkpoints and signatures hold"
        )
    else:
        for finding in report.findings[:20]:
            place = "ledger" if finding.index is None else f"entry {finding.index}"
            output.print(f"{place}: {finding.message} ({finding.code})", markup=False)
        output.print(f"[red]{len(report.findings)} findings in {report.size} entries[/red]")
    if not report.ok:
        raise typer.Exit(BAD)
