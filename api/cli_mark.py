"""The bare mark, without a ledger: `provenote mark embed`, `mark detect` and `mark match`.

For measuring, and for other people's pipelines. A key file holds 64 hex digits and a newline
(`provenote keys new watermark --file FILE`), or 32 raw bytes; that of an epoch twice as many.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

import watermark

from .cli_margin import MarginOption, RequireMarginOption, choose_policy, print_margin, print_warning
from .cli_options import InputFile, JsonOption, StrengthOption
from .console import errors, output, print_json, show_progress
from .decoding import DEFAULT_LIMITS, open_recording
from .epochs import KEY_LENGTHS
from .errors import LedgerFolderError, MarkedError, RefusedError
from .margin import document_margin
from .markedfile import embed_file
from .marking import MARK_BYTES, Progress, Strength, examine, find_profile

app = typer.Typer(help="The bare mark, without a ledger.", no_args_is_help=True)
KeyOption = Annotated[
    Path,
    typer.Option(
        "--key",
        exists=True,
        dir_okay=False,
        help="Watermark key: 64 or 128 hex digits, or 32 or 64 raw bytes.",
    ),
]
ProfileOption = Annotated[
    list[str] | None,
    typer.Option("--profile", help="Profile of the mark; may be repeated. Default: all, a search for each."),
]


@app.command("embed")
def embed_command(
    source: Annotated[Path, InputFile],
    destination: Annotated[Path, typer.Argument(help="New file: .flac or .wav.")],
    key_file: KeyOption,
    payload: Annotated[str, typer.Option(help="16 hex digits.")],
    bits: Annotated[int, typer.Option(help="16 or 24; default: 16 for 16-bit sources, else 24.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the destination if it exists; nothing else.")
    ] = False,
    over_mark: Annotated[
        bool,
        typer.Option("--over-mark", help="Do not look for a mark of this key first, and mark over it."),
    ] = False,
    margin: MarginOption = True,
    require_margin: RequireMarginOption = False,
    strength: StrengthOption = Strength.DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Write a marked copy of an audio file; nothing is registered.

    Refused when the audio carries a mark of this key already; marks of other keys cannot be seen.
    """
    mark = _parse_payload(payload)
    container = destination.suffix.lower().removeprefix(".")
    if container not in ("flac", "wav"):
        raise typer.BadParameter(f"expected a name ending in .flac or .wav, got {destination.name!r}")
    if bits not in (0, 16, 24):
        raise typer.BadParameter(f"expected 16 or 24, got {bits}", param_hint="--bits")
    policy = choose_policy(predicted=margin, required=require_margin)
    if destination.exists() and destination.stat().st_size > 0 and not force:
        raise RefusedError(f"{destination}: exists; --force replaces it")
    key = read_watermark_key(key_file)
    with show_progress(quiet=as_json) as progress:
        if not over_mark:
            _check_unmarked(source, key, progress)
        written = embed_file(
            source,
            destination,
            watermark_key=key,
            payload=mark,
            bits=bits,
            strength=strength,
            policy=policy,
            progress=progress,
        )
    if written.damage:
        errors.print(f"warning: {source.name} is damaged: {written.damage}")
    if as_json:
        print_json(
            {
                "file": str(destination),
                "payload": mark.hex(),
                "profile": watermark.PROFILE.name,
                "strength_percent": strength.percent,
                "samples": written.samples,
                "clipped_samples": written.clipped,
                "margin": document_margin(written.margin),
            }
        )
        print_warning(written.margin)
    else:
        output.print(f"[green]✓[/green] {destination}: {written.seconds:.1f} s marked")
        print_margin(written.margin)


def _check_unmarked(source: Path, watermark_key: bytes, progress: Progress) -> None:
    found = examine(
        source, limits=DEFAULT_LIMITS, watermark_keys=(watermark_key,), stage="examine", progress=progress
    ).detection
    if found.detected and found.payload is not None:
        raise MarkedError(
            f"{source.name} carries mark {found.payload.hex()} of this key already; "
            "--over-mark marks it once more, and then both are read worse",
            found.payload.hex(),
        )


@app.command("detect")
def detect_command(
    source: Annotated[Path, InputFile],
    key_file: KeyOption,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for a mark. Exit code 0 whether one is found or not."""
    profiles = _parse_profiles(profile or [])
    with show_progress(quiet=as_json) as progress:
        found = examine(
            source,
            limits=DEFAULT_LIMITS,
            watermark_keys=(read_watermark_key(key_file),),
            profiles=profiles,
            progress=progress,
        )
    document = format_detection(found.detection)
    if as_json:
        print_json(document)
    elif document["detected"]:
        alignment = document["alignment"]
        change = f"speed {alignment['speed']:.4f}, pitch {alignment['pitch_semitones']:+.2f} semitones"
        output.print(f"{source.name}: mark {document['payload']}, {change}", markup=False)
        output.print(f"  by chance with a probability of at most {document['false_alarm_probability']:.1e}")
    else:
        output.print(f"{source.name}: no mark of this key was found", markup=False)


@app.command("match")
def match_command(
    source: Annotated[Path, InputFile],
    key_file: KeyOption,
    payload: Annotated[str, typer.Option(help="16 hex digits.")],
    profile: Annotated[str, typer.Option(help="Profile of the mark.")] = watermark.PROFILE.name,
    as_json: JsonOption = False,
) -> None:
    """Test for one known mark, where it cannot be read. Exit code 0 whether it is there or not."""
    mark = _parse_payload(payload)
    (scheme,) = _parse_profiles([profile])
    with open_recording(source, DEFAULT_LIMITS) as recording, show_progress(quiet=as_json) as progress:
        matcher = watermark.CandidateMatcher(
            sample_rate=recording.format.sample_rate,
            channels=recording.format.channels,
            watermark_key=read_watermark_key(key_file),
            payload=mark,
            profile=scheme,
        )
        samples = 0
        for block in recording.blocks():
            matcher.push(block)
            samples += block.shape[1]
            progress("match", min(1.0, samples / max(1, recording.format.claimed_samples)))
        found = matcher.finish()
    if recording.damage:
        errors.print(f"warning: {source.name} is damaged: {recording.damage}")
    if as_json:
        print_json(
            {
                "present": found.present,
                "false_alarm_probability": found.false_alarm_probability,
                "alignment": format_alignment(found.alignment),
            }
        )
    else:
        answer = "is present" if found.present else "was not found"
        output.print(f"{source.name}: mark {mark.hex()} {answer}", markup=False)
        output.print(f"  by chance with a probability of at most {found.false_alarm_probability:.1e}")


def format_alignment(alignment: watermark.Alignment | None) -> dict[str, float] | None:
    """Return the JSON object of an alignment."""
    if alignment is None:
        return None
    return {
        "offset_s": alignment.offset_s,
        "speed": alignment.speed,
        "pitch_semitones": alignment.pitch_semitones,
    }


def format_detection(detection: watermark.Detection) -> dict[str, Any]:
    """Return the JSON object that `mark detect --json` prints."""
    return {
        "detected": detection.detected,
        "payload": detection.payload.hex() if detection.detected and detection.payload is not None else None,
        "profile": detection.profile_name if detection.detected else None,
        "false_alarm_probability": detection.false_alarm_probability,
        "alignment": format_alignment(detection.alignment if detection.detected else None),
    }


def read_watermark_key(path: Path) -> bytes:
    """Read a bare watermark key; unlike a ledger's own, it may be readable by others, with a warning."""
    try:
        content = path.read_bytes()
        open_to_others = path.stat().st_mode & 0o077
    except OSError as error:
        raise LedgerFolderError(f"{path}: cannot be read: {error.strerror}") from error
    if open_to_others:
        errors.print(f"warning: {path} can be read by others (mode 0600 keeps the key secret)", markup=False)
    # Hex first: 64 digits without a newline are a key of 32 bytes. Random bytes never look like that.
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) in KEY_LENGTHS:
        return key
    if len(content) in KEY_LENGTHS:
        return content
    # The content is not repeated: it may be a secret of another kind.
    raise RefusedError(
        f"{path}: expected 64 or 128 hex digits, or 32 or 64 raw bytes, got {len(content)} other bytes"
    )


def _parse_profiles(names: list[str]) -> tuple[watermark.Profile, ...]:
    found = {name: find_profile(name) for name in names}
    if None in found.values():
        known = ", ".join(profile.name for profile in watermark.PROFILES)
        unknown = next(name for name, profile in found.items() if profile is None)
        raise typer.BadParameter(f"expected one of {known}, got {unknown!r}", param_hint="--profile")
    return tuple(profile for profile in found.values() if profile is not None) or watermark.PROFILES


def _parse_payload(text: str) -> bytes:
    try:
        payload = bytes.fromhex(text)
    except ValueError:
        payload = b""
    if len(text) != 2 * MARK_BYTES or len(payload) != MARK_BYTES:
        raise typer.BadParameter(
            f"expected {2 * MARK_BYTES} hex digits, got {text!r}", param_hint="--payload"
        )
    return payload
