"""Commands that make tracks: init, generate, stamp."""

import json
import secrets
import shutil
from pathlib import Path
from typing import Annotated

import typer

from .audiofile import refuse_existing
from .catalogue import FINGERPRINT_NAME
from .cli_bundle import read_limited
from .cli_margin import MarginOption, RequireMarginOption, choose_policy, print_margin, print_warning
from .cli_options import HomeOption, InputFile, JsonOption, StrengthOption
from .cli_tending import tend
from .console import errors, output, print_json, show_progress
from .copyrelease import recover_copies
from .declaration import SOURCE_TYPES, parse_declaration
from .engines import EMBEDDED, ROYALTY_CLASSES, TRAINING_CLASSES, EngineRack, Request
from .errors import RefusedError, WriteError
from .factors import OVERSIGHT_LEVELS, parse_factors
from .incipit import MAX_MIDI_BYTES, read_incipit
from .installation import Installation, make_installation, open_installation
from .issuing import Issued, issue, stamp
from .margin import document_margin
from .marking import Strength
from .release import recover
from .report import count_alike, format_closest, format_likeness
from .resemblance import ResemblancePolicy
from .settings import read_settings
from .source import Encoding

ContainerOption = Annotated[str, typer.Option("--format", help="flac or wav.")]
IfKnownOption = Annotated[
    ResemblancePolicy,
    typer.Option(
        "--if-known",
        help="If it sounds like a known recording: refuse, link it as derived, or allow and log that.",
    ),
]
BitsOption = Annotated[int, typer.Option("--bits", help="16 or 24 bits per sample.")]
OversightOption = Annotated[
    str | None,
    typer.Option(help=f"Declare how far people oversaw it: {', '.join(OVERSIGHT_LEVELS)}."),
]
RoyaltyOption = Annotated[
    str | None, typer.Option("--royalty-class", help=f"Declare what is owed: {', '.join(ROYALTY_CLASSES)}.")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Also copy the released files into this new folder.")
]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("init")(init_command)
    app.command("generate")(generate_command)
    app.command("stamp")(stamp_command)


def init_command(
    home: HomeOption = None,
    origin: Annotated[str | None, typer.Option(help="Name of the log, such as example.org/log.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a ledger: folder, keys, database, first entry."""
    settings = read_settings(home)
    public, token = make_installation(settings, origin=origin)
    if as_json:
        print_json(
            {"home": str(settings.home), "origin": public.origin, "log_vkey": public.vkey, "api_token": token}
        )
        return
    output.print(f"[green]✓[/green] ledger made in {settings.home}")
    output.print(f"  origin      {public.origin}", markup=False)
    output.print(f"  log key     {public.vkey}", markup=False)
    output.print(f"  API token   {token}  (shown once: for issuing over HTTP)", markup=False)


def generate_command(
    prompt: Annotated[str, typer.Argument(help="What to play, such as: slow waltz in D minor, piano.")],
    engine: Annotated[str, typer.Option(help="One that `provenote engines` lists.")] = EMBEDDED,
    seconds: Annotated[float, typer.Option(help="Wished length.")] = 30.0,
    seed: Annotated[int | None, typer.Option(help="Same prompt, seed and weights: same music.")] = None,
    abc: Annotated[
        Path | None, typer.Option("--abc", exists=True, dir_okay=False, help="Opening in ABC notation.")
    ] = None,
    midi: Annotated[
        Path | None,
        typer.Option("--midi", exists=True, dir_okay=False, help="Opening in a MIDI file: its melody."),
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: overrides what the prompt says.")
    ] = None,
    oversight: OversightOption = None,
    royalty_class: RoyaltyOption = None,
    container: ContainerOption = "flac",
    bits: BitsOption = 24,
    output_folder: OutputOption = None,
    margin: MarginOption = True,
    require_margin: RequireMarginOption = False,
    strength: StrengthOption = Strength.DEFAULT,
    if_known: IfKnownOption = ResemblancePolicy.REFUSE,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Generate a track from a prompt; mark, sign and log it."""
    factors = parse_factors(oversight=oversight, royalty_class=royalty_class)
    parameters = _parse_parameters(parameter or [])
    request = Request(
        prompt=prompt,
        seconds=seconds,
        seed=secrets.randbelow(1 << 32) if seed is None else seed,
        abc=read_incipit(
            abc=None if abc is None else _read_text(abc),
            midi=None if midi is None else read_limited(midi, MAX_MIDI_BYTES),
            parameters=parameters,
        ),
        parameters=parameters,
    )
    encoding = parse_encoding(container, bits)
    policy = choose_policy(predicted=margin, required=require_margin)
    refuse_existing(output_folder)
    with open_for_writing(home) as installation:
        with show_progress(quiet=as_json) as progress:
            loaded = EngineRack.of(installation.settings).get(engine)
            issued = issue(
                installation,
                loaded,
                request,
                factors=factors,
                encoding=encoding,
                margin=policy,
                strength=strength,
                resemblance=if_known,
                progress=progress,
            )
        _print_issued(issued, _copy_out(issued, output_folder), as_json=as_json, seed=request.seed)
        tend(installation, quiet=as_json)


def stamp_command(
    file: Annotated[Path, InputFile],
    title: Annotated[
        str | None, typer.Option(help="Title in the registry; default: the file's name.")
    ] = None,
    artist: Annotated[str | None, typer.Option(help="Who plays; goes into the tags.")] = None,
    isrc: Annotated[str | None, typer.Option(help="ISRC of the recording, such as NLA012600001.")] = None,
    source_type: Annotated[
        str | None,
        typer.Option(help=f"How it came to be, by IPTC's vocabulary: {', '.join(SOURCE_TYPES)}."),
    ] = None,
    oversight: OversightOption = None,
    royalty_class: RoyaltyOption = None,
    training_class: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Declare what a model was trained on (repeatable): {', '.join(TRAINING_CLASSES)}."
        ),
    ] = None,
    container: ContainerOption = "flac",
    bits: BitsOption = 24,
    output_folder: OutputOption = None,
    margin: MarginOption = True,
    require_margin: RequireMarginOption = False,
    strength: StrengthOption = Strength.DEFAULT,
    if_known: IfKnownOption = ResemblancePolicy.REFUSE,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mark, sign and log a recording; the file itself is not changed.

    Refused when the recording is registered or carries a mark of ours; marks under keys that are not in this
    ledger cannot be seen.
    """
    declared = parse_declaration(title=title, artist=artist, isrc=isrc, source_type=source_type)
    factors = parse_factors(
        oversight=oversight, royalty_class=royalty_class, training_classes=training_class or []
    )
    encoding = parse_encoding(container, bits)
    policy = choose_policy(predicted=margin, required=require_margin)
    refuse_existing(output_folder)
    with open_for_writing(home) as installation:
        with show_progress(quiet=as_json) as progress:
            issued = stamp(
                installation,
                file,
                declared=declared,
                factors=factors,
                encoding=encoding,
                margin=policy,
                strength=strength,
                resemblance=if_known,
                progress=progress,
            )
        _print_issued(issued, _copy_out(issued, output_folder), as_json=as_json)
        tend(installation, quiet=as_json)


def parse_encoding(container: str, bits: int) -> Encoding:
    """Check container and bit depth; a usage error otherwise."""
    if container not in ("flac", "wav"):
        raise typer.BadParameter(f"expected flac or wav, got {container!r}", param_hint="--format")
    if bits not in (16, 24):
        raise typer.BadParameter(f"expected 16 or 24, got {bits}", param_hint="--bits")
    return Encoding(container, bits)


def open_for_writing(home: Path | None) -> Installation:
    """Open the ledger and put right what a crash may have left."""
    installation = open_installation(read_settings(home))
    recovery = recover(installation)
    for track_id in recovery.finished:
        errors.print(f"track {track_id} was logged when the program stopped: its release is finished now")
    for track_id in recovery.removed:
        errors.print(f"track {track_id} was never logged: its leftovers are removed")
    recovery = recover_copies(installation)
    for copy_id in recovery.finished:
        errors.print(f"copy {copy_id} was logged when the program stopped: its release is finished now")
    for copy_id in recovery.removed:
        errors.print(f"copy {copy_id} was never logged: its leftovers are removed")
    return installation


def _print_issued(issued: Issued, copied: Path | None, *, as_json: bool, seed: int | None = None) -> None:
    files = sorted(path.name for path in issued.folder.iterdir() if path.name != FINGERPRINT_NAME)
    if as_json:
        document = {
            "track_id": issued.track_id,
            "folder": str(copied or issued.folder),
            "audio": issued.audio.name,
            "files": files,
            "entry": issued.entry_index,
            "leaf_hash": issued.leaf_hash.hex(),
            "seconds": issued.seconds,
            "clipped_samples": issued.clipped,
            "margin": document_margin(issued.margin),
            "nearest": [format_likeness(item) for item in issued.nearest],
            "closest": None if issued.closest is None else format_closest(issued.closest),
        }
        print_warning(issued.margin)
        print_json(document if seed is None else {**document, "seed": seed})
        return
    output.print(
        f"[green]✓[/green] track {issued.track_id}, entry {issued.entry_index}, {issued.seconds:.1f} s"
    )
    if seed is not None:
        output.print(f"  seed {seed}", markup=False)
    if issued.clipped:
        output.print(f"  {issued.clipped} samples beyond full scale were clipped", markup=False)
    output.print(f"  {copied or issued.folder}: {', '.join(files)}", markup=False)
    _print_closest(issued)
    print_margin(issued.margin)


def _print_closest(issued: Issued) -> None:
    if issued.closest is None:
        output.print("  nearest known: no recording in the catalogue has anything in common with it")
        return
    first = issued.closest
    what = f"track {first.track_id}" if first.track_id is not None else f"recording {first.name}"
    if issued.nearest:
        shared_s = sum(item.file.seconds for item in issued.nearest if item.track_id == first.track_id)
        told = f"{shared_s:.1f} s of it, {count_alike(first)} % of bits alike"
    else:
        told = f"{count_alike(first)} % of bits alike, which is no match (unrelated music: 50 to 60)"
    output.print(f"  nearest known: {what}, {told}", markup=False)


def _copy_out(issued: Issued, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    try:
        # The fingerprint stays: who has it knows what a disguise must change.
        shutil.copytree(issued.folder, folder, ignore=shutil.ignore_patterns(FINGERPRINT_NAME))
    except (OSError, shutil.Error) as error:
        raise WriteError(
            f"track {issued.track_id} is released in {issued.folder}, but cannot be copied: {error}"
        ) from error
    return folder


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(f"{path}: expected UTF-8 text: {error.reason}") from error


def _parse_parameters(items: list[str]) -> dict[str, str]:
    parameters = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"expected NAME=VALUE, got {json.dumps(item)}", param_hint="--set")
        parameters[name] = value
    return parameters
