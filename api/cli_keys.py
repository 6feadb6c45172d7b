"""Commands about keys: `provenote keys list`, `new`, `rotate`, `export` and `import`."""

import enum
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.keyfile import save_secret

from .cli_options import HomeOption, JsonOption
from .console import errors, output, print_json
from .epochs import list_epochs, make_watermark_key, merge_epochs, name_watermark_key
from .errors import RefusedError, WriteError
from .installation import check_layout, open_installation
from .keyarchive import MAX_BYTES, open_epochs, seal_epochs
from .keyring import check_private
from .marktags import find_logged_keys
from .passphrase import read_passphrase
from .rotation import add_issuer, rotate_watermark_key
from .settings import Settings, read_settings

app = typer.Typer(help="Signing keys and watermark keys.", no_args_is_help=True)
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        exists=True,
        dir_okay=False,
        help="First line is the passphrase; default: PROVENOTE_PASSPHRASE, or asked for.",
    ),
]


class Purpose(enum.StrEnum):
    """What a new key is for."""

    ISSUER = "issuer"
    WATERMARK = "watermark"


PurposeArgument = Annotated[
    Purpose, typer.Argument(help="issuer: signs statements. watermark: embeds marks.")
]

IndependentOption = Annotated[
    bool,
    typer.Option(
        "--independent",
        help="Only for watermark: share nothing with the key before (others know it); a search more.",
    ),
]

NewMarkKeyOption = Annotated[
    bool,
    typer.Option(
        "--new-mark-key",
        help="Only for issuer: also a new key for the tags by which the log knows marks, or the first.",
    ),
]


@app.command("new")
def new_command(
    purpose: PurposeArgument,
    file: Annotated[
        Path | None,
        typer.Option(help="Only for watermark: write the key to this new file, outside any ledger."),
    ] = None,
    independent: IndependentOption = False,
    new_mark_key: NewMarkKeyOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key: for a ledger the same as `rotate`, or with --file one that belongs to none."""
    if file is None:
        rotate_command(purpose, independent, new_mark_key, home, as_json)
        return
    if purpose is not Purpose.WATERMARK:
        raise typer.BadParameter("only a watermark key can be made outside a ledger", param_hint="--file")
    key = make_watermark_key()
    save_secret(file, key)
    _print_new(purpose, {"key_id": name_watermark_key(key), "file": str(file)}, as_json=as_json)


@app.command("rotate")
def rotate_command(
    purpose: PurposeArgument,
    independent: IndependentOption = False,
    new_mark_key: NewMarkKeyOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key that is used from now on; earlier ones go on verifying and detecting.

    A watermark key shares its synchronisation pattern with the one before, so that looking for both costs as
    much as for one. A service that runs goes on with the keys it started with: restart it.
    """
    if independent and purpose is not Purpose.WATERMARK:
        raise typer.BadParameter("an issuer's key always is", param_hint="--independent")
    if new_mark_key and purpose is not Purpose.ISSUER:
        raise typer.BadParameter("it comes with an issuer's key", param_hint="--new-mark-key")
    settings = read_settings(home)
    if purpose is Purpose.ISSUER:
        with open_installation(settings) as installation:
            name, path = add_issuer(installation, new_mark_key=new_mark_key)
        made: dict[str, Any] = {"key_id": name, "file": str(path)}
    else:
        epoch = rotate_watermark_key(settings, independent=independent)
        path = settings.keys / f"watermark-{epoch.number:04d}.key"
        made = {
            "key_id": epoch.name,
            "family": epoch.family,
            "file": str(path),
            "number": epoch.number,
            "created": epoch.created,
        }
    _print_new(purpose, made, as_json=as_json)


@app.command("list")
def list_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the keys in use, by public name; watermark keys with number, time, whether they embed, and family.

    Epochs of a family share their synchronisation pattern: a search finds them all.
    """
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
            "mark_tags": [{"public_key": key.raw.hex()} for key in find_logged_keys(installation)],
            "watermark": [
                {
                    "number": epoch.number,
                    "key_id": epoch.name,
                    "family": epoch.family,
                    "created": epoch.created or None,
                    "embeds": epoch.active,
                    "state": "active" if epoch.active else "detect-only",
                }
                for epoch in ring.epochs
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
    for item in document["mark_tags"]:
        output.print(f"mark-tag   {item['public_key']}", markup=False)
    for item in document["watermark"]:
        created = item["created"] or "time not known     "
        output.print(
            f"watermark  {item['key_id']}  epoch {item['number']:4d}  {created}  {item['state']:11}  "
            f"family {item['family']}",
            markup=False,
        )


@app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(help="New file; an existing one is never replaced.")],
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all watermark keys to a new file (mode 0600), sealed under a passphrase."""
    if os.path.lexists(file):
        raise RefusedError(f"{file}: exists already")
    settings = _check_keys(home)
    epochs = list_epochs(settings.keys)
    text = seal_epochs(epochs, read_passphrase(passphrase_file, confirm=True))
    _write_private(file, text.encode("ascii"))
    if as_json:
        print_json({"file": str(file), "keys": [epoch.name for epoch in epochs]})
    else:
        output.print(f"[green]✓[/green] {len(epochs)} watermark keys sealed in {file}")


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What `keys export` wrote.")],
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add the watermark keys of an export, to detect with; what embeds stays as it is.

    Where the ledger has no watermark key left, they are restored as they were, and the active one embeds.
    """
    settings = _check_keys(home)
    with file.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    found = open_epochs(content, read_passphrase(passphrase_file, confirm=False))
    added = merge_epochs(settings.keys, found)
    here = {epoch.watermark_key: epoch for epoch in list_epochs(settings.keys)}
    new_keys = {epoch.watermark_key for epoch in added}
    rows = [(here[epoch.watermark_key], epoch.watermark_key in new_keys) for epoch in found]
    if as_json:
        print_json(
            {
                "added": len(added),
                "keys": [
                    {"key_id": epoch.name, "number": epoch.number, "added": new, "embeds": epoch.active}
                    for epoch, new in rows
                ],
            }
        )
        return
    for epoch, new in rows:
        state = "active" if epoch.active else "detect-only"
        what = "added" if new else "here already"
        output.print(f"watermark  {epoch.name}  epoch {epoch.number:4d}  {what}, {state}", markup=False)
    if added:
        errors.print("a service that runs must be restarted to use them")


def _check_keys(home: Path | None) -> Settings:
    """Return the settings of a ledger folder whose keys only their owner can read."""
    settings = read_settings(home)
    check_layout(settings)
    check_private(settings.keys)
    return settings


def _print_new(purpose: Purpose, made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"purpose": purpose.value, **made})
    else:
        output.print(f"[green]✓[/green] {purpose.value} key {made['key_id']} in {made['file']}")


def _write_private(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise WriteError(f"{path}: cannot be made: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), 0o600)  # the umask may only have narrowed it
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise WriteError(f"{path}: cannot be written: {error.strerror}") from error
