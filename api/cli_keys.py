"""Commands about keys: `provenote keys new` and `provenote keys list`."""

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.keyfile import save_secret

from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .installation import open_installation
from .keyring import make_watermark_key, name_watermark_key
from .rotation import add_issuer, add_watermark_key
from .settings import read_settings

app = typer.Typer(help="Signing keys and watermark keys.", no_args_is_help=True)


class Purpose(enum.StrEnum):
    """What a new key is for."""

    ISSUER = "issuer"
    WATERMARK = "watermark"


@app.command("new")
def new_command(
    purpose: Annotated[Purpose, typer.Argument(help="issuer: signs statements. watermark: embeds marks.")],
    file: Annotated[
        Path | None,
        typer.Option(help="Only for watermark: write the key to this new file, outside any ledger."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key that is used from now on; older keys go on verifying and detecting."""
    if file is not None:
        if purpose is not Purpose.WATERMARK:
            raise typer.BadParameter("only a watermark key can be made outside a ledger", param_hint="--file")
        key = make_watermark_key()
        save_secret(file, key)
        name, place = name_watermark_key(key), str(file)
    else:
        with open_installation(read_settings(home)) as installation:
            add = add_issuer if purpose is Purpose.ISSUER else add_watermark_key
            name, path = add(installation)
            place = str(path)
    if as_json:
        print_json({"purpose": purpose.value, "key_id": name, "file": place})
    else:
        output.print(f"[green]✓[/green] {purpose.value} key {name} in {place}")


@app.command("list")
def list_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the keys in use, by public name."""
    with open_installation(read_settings(home)) as installation:
        ring, public = installation.keyring, installation.public
        document: dict[str, Any] = {
            "origin": public.origin,
            "log": {"vkey": public.vkey, "key_id": ring.log_signing_key.key_id},
            "issuers": [
                {"key_id": key.key_id, "signs": key.key_id == ring.issuer_signing_key.key_id}
                for key in public.issuers
            ],
            "reports": [{"key_id": key.key_id} for key in public.reports],
            "watermark": [
                {"key_id": name_watermark_key(key), "embeds": key == ring.watermark_key}
                for key in ring.watermark_keys
            ],
        }
    if as_json:
        print_json(document)
        return
    output.print(f"log        {document['log']['vkey']}", markup=False)
    for item in document["issuers"]:
        output.print(f"issuer     {item['key_id']}{'  signs' if item['signs'] else ''}", markup=False)
    for item in document["reports"]:
        output.print(f"report     {item['key_id']}", markup=False)
    for item in document["watermark"]:
        output.print(f"watermark  {item['key_id']}{'  embeds' if item['embeds'] else ''}", markup=False)
