"""Commands about who may use the service: `provenote access create`, `list`, `revoke`, `log`."""

import datetime
from typing import Annotated, Any

import typer

from .access import COMMAND_LINE, SCOPES, Scope, parse_scopes
from .accesskeys import AccessKeyRow
from .accesslog import find_break
from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .installation import Installation, now, open_installation
from .outcomes import BAD
from .settings import read_settings

DEFAULT_DAYS = 365
MAX_DAYS = 36_500
app = typer.Typer(help="API keys of the service: who may do what.", no_args_is_help=True)


@app.command("create")
def create_command(
    scopes: Annotated[
        list[Scope],
        typer.Argument(
            help="What the key is for: " + "; ".join(f"{k}: {v}" for k, v in SCOPES.items()) + "."
        ),
    ],
    label: Annotated[str, typer.Option(help="Whose key it is: an organisation or a machine, no person.")],
    days: Annotated[int, typer.Option(help="How long it holds.", min=1, max=MAX_DAYS)] = DEFAULT_DAYS,
    forever: Annotated[bool, typer.Option("--forever", help="It holds until it is revoked.")] = False,
    daily: Annotated[
        int | None, typer.Option(help="Verifications a day; default: no bound.", min=1, max=1_000_000)
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key and show it, once: only its digest is kept. A running service takes it at once."""
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    expires = None if forever else end.strftime("%Y-%m-%dT%H:%M:%SZ")
    with open_installation(read_settings(home)) as installation:
        made = installation.access.create(scopes, label=label, created=now(), expires=expires, daily=daily)
        _write_down(installation, "access create", made.row)
    if as_json:
        print_json({**describe_key(made.row), "key": made.key})
        return
    output.print(f"[green]✓[/green] API key {made.row.key_id} for {made.row.scopes}", highlight=False)
    output.print(f"  {made.key}", markup=False)
    output.print(f"  it is not shown again; it holds {_format_end(made.row)}", markup=False)


@app.command("list")
def list_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List every API key ever made: what for, whose, until when, last used; never the keys themselves."""
    with open_installation(read_settings(home)) as installation:
        rows = installation.access.list_keys()
    if as_json:
        print_json({"keys": [describe_key(row) for row in rows]})
        return
    for row in rows:
        used = f"used {row.used}" if row.used else "never used"
        bound = f"{row.daily} a day  " if row.daily is not None else ""
        facts = (
            row.key_id,
            f"{row.state(now()):7}",
            row.scopes,
            f"{bound}{_format_end(row)}",
            used,
            row.label,
        )
        output.print("  ".join(facts), markup=False)


@app.command("revoke")
def revoke_command(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `access list` shows it.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """End an API key at once, also in a service that runs."""
    with open_installation(read_settings(home)) as installation:
        row = installation.access.revoke(key_id, now=now())
        _write_down(installation, "access revoke", row)
    if as_json:
        print_json(describe_key(row))
    else:
        output.print(f"[green]✓[/green] API key {row.key_id} is revoked ({row.label})", highlight=False)


@app.command("log")
def log_command(
    last: Annotated[int, typer.Option("--last", "-n", help="How many lines to show.", min=1)] = 50,
    known: Annotated[str | None, typer.Option(help="Hash of a line that was there once.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who did what, and check the whole trail. Exit code 1 if it was changed, or cut before --known."""
    with open_installation(read_settings(home)) as installation:
        trail = installation.access_log
        size, broken = trail.size(), find_break(trail.walk())
        shown = trail.read(after=max(0, size - last), limit=last)
        missing = known is not None and all(item.hash.hex() != known for item in trail.walk())
    events = [item.document() for item in shown if broken is None or item.n < broken]
    ok = broken is None and not missing
    if as_json:
        print_json({"ok": ok, "size": size, "broken_at": broken, "known_missing": missing, "events": events})
    else:
        for event in events:
            said = (
                event["time"],
                event["actor"],
                event["action"],
                event["outcome"],
                *event["object"].values(),
            )
            output.print("  ".join(said), markup=False)
        output.print(f"{size} lines, the last {events[-1]['hash']}" if events else "no lines", markup=False)
        if broken is not None:
            output.print(f"[bold red]does not hold[/bold red] from line {broken} on")
        if missing:
            output.print("[bold red]does not hold[/bold red]: the known line is not in it")
    if not ok:
        raise typer.Exit(BAD)


def _write_down(installation: Installation, action: str, row: AccessKeyRow) -> None:
    about = {"key_id": row.key_id, "scopes": row.scopes}
    installation.access_log.append(COMMAND_LINE, action, "done", time=now(), about=about)


def describe_key(row: AccessKeyRow) -> dict[str, Any]:
    """Return what may be told of a key."""
    return {
        "key_id": row.key_id,
        "state": row.state(now()),
        "scopes": sorted(parse_scopes(row.scopes)),
        "label": row.label,
        "created": row.created,
        "expires": row.expires,
        "revoked": row.revoked,
        "used": row.used,
        "daily": row.daily,
    }


def _format_end(row: AccessKeyRow) -> str:
    return "until it is revoked" if row.expires is None else f"until {row.expires}"
