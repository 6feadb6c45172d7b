"""Commands about copies: deliver, copies, trace."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from .audiofile import refuse_existing, write_synced
from .cli_options import HomeOption, InputFile, JsonOption, StrengthOption
from .cli_tracks import BitsOption, ContainerOption, open_for_writing, parse_encoding
from .console import errors, output, print_json, show_progress
from .copies import CopyRow
from .copysource import open_original
from .deliveries import Delivered, deliver
from .errors import RefusedError, WriteError
from .installation import open_installation
from .marking import Strength
from .outcomes import BAD
from .recipients import list_by_recipient, parse_recipient
from .report import round_up_probability
from .settings import read_settings
from .tracing import Traced, name_copies, sign_trace, trace

MAX_LIST_BYTES = 10_000_000
MAX_COPIES = 100_000
TrackArgument = Annotated[str, typer.Argument(help="The track.")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("deliver")(deliver_command)
    app.command("copies")(copies_command)
    app.command("trace")(trace_command)


def deliver_command(
    track_id: TrackArgument,
    recipient: Annotated[
        str | None, typer.Option("--to", help="Who receives it; the ledger holds only a commitment to it.")
    ] = None,
    count: Annotated[int, typer.Option(help="Copies for that recipient.", min=1, max=MAX_COPIES)] = 1,
    recipients: Annotated[
        Path | None,
        typer.Option(
            "--list", exists=True, dir_okay=False, help="Recipients, one to a line: a copy for each."
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", exists=True, dir_okay=False, help="The recording that was stamped, if it is not kept."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also for recipients who have a copy of this track.")
    ] = False,
    person: Annotated[
        str | None, typer.Option(help="Whose data the name is: see custody add-person. Default: a new one.")
    ] = None,
    output_folder: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also put the copies into this new folder.")
    ] = None,
    container: ContainerOption = "flac",
    bits: BitsOption = 24,
    strength: StrengthOption = Strength.DEFAULT,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make copies of a track, each with a mark of its own that names it when it leaks, and log them.

    A recipient who has a copy gets no second one without --again: the answer names the first. So a list that
    was interrupted is finished by calling it again.
    """
    names = _read_names(recipient, recipients, count)
    encoding = parse_encoding(container, bits)
    if person is not None and recipients is not None:
        raise typer.BadParameter("a person is one recipient, not a list of them", param_hint="--person")
    refuse_existing(output_folder)
    made: list[dict[str, Any]] = []
    with open_for_writing(home) as installation, show_progress(quiet=as_json) as progress:
        original = open_original(installation, track_id, source, progress=progress)
        known = list_by_recipient(installation, track_id)
        earlier = {name: known.get(name, []) for name in names}
        wanted = [name for name in names if again or not earlier[name]]
        if output_folder is not None:
            _make_folder(output_folder)
        made += [
            _describe(row, name, new=False) for name, rows in earlier.items() if not again for row in rows
        ]
        # One person for all copies of one name: erasing them reaches every copy.
        persons = {name: person or (rows[0].person if rows else None) for name, rows in earlier.items()}
        for number, name in enumerate(wanted):
            prefix = f"{number + 1}/{len(wanted)} " if len(wanted) > 1 else ""
            delivered = deliver(
                installation,
                original,
                name,
                person=persons[name],
                encoding=encoding,
                strength=strength,
                progress=lambda stage, fraction, prefix=prefix: progress(prefix + stage, fraction),  # type: ignore[misc]
            )
            persons[name] = delivered.row.person
            made.append(_describe(delivered.row, name, new=True, entry=delivered.entry_index))
            if output_folder is not None:
                _copy_out(delivered, output_folder)
            if not as_json:
                _print_copy(delivered, name)
    if as_json:
        print_json({"track_id": track_id, "copies": made})
        return
    for item in made:
        if not item["new"]:
            output.print(
                f"{item['recipient']} has copy {item['copy_id']} of {item['created']}: --again makes another",
                markup=False,
            )


def copies_command(track_id: TrackArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List a track's copies and whose they are."""
    with open_installation(read_settings(home)) as installation:
        installation.registry.get_released(track_id)
        names = name_copies(installation, track_id)
        rows = installation.copies.list_of_track(track_id)
    if as_json:
        listed = [_describe(row, names[row.copy_id]) for row in rows]
        print_json({"track_id": track_id, "copies": listed})
        return
    for row in rows:
        name = names[row.copy_id] or "(erased)"
        output.print(f"  {row.copy_id}  {row.created}  {name}", markup=False)
    output.print(f"{len(rows)} copies of track {track_id}")


def trace_command(
    file: Annotated[Path, InputFile],
    track_id: Annotated[str, typer.Option("--track", help="The track whose copies are the candidates.")],
    report_file: Annotated[
        Path | None,
        typer.Option("--report", help="Write the signed report (DSSE envelope, no names) to this new file."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which copy of a track a clip was made from; all of them, where several were mixed.

    Works on weaker and shorter clips than verify, which must find the track first. Exit code 0 if a copy or
    the track itself is named, 1 otherwise.
    """
    refuse_existing(report_file)
    with open_installation(read_settings(home)) as installation, show_progress(quiet=as_json) as progress:
        traced = trace(installation, file, track_id, progress=progress)
        names = name_copies(installation, track_id)
        predicate, envelope = sign_trace(installation, traced)
    if report_file is not None:
        write_synced(report_file, envelope)
    if as_json:
        named = [item["copy_id"] for item in predicate["named"] if item["copy_id"] is not None]
        print_json({**predicate, "recipients": {copy_id: names[copy_id] for copy_id in named}})
    else:
        _print_trace(traced, names, file.name)
    if not traced.named:
        raise typer.Exit(BAD)


def _read_names(recipient: str | None, listed: Path | None, count: int) -> list[str]:
    if (recipient is None) == (listed is None):
        raise typer.BadParameter("expected --to NAME or --list FILE, one of them", param_hint="--to")
    if recipient is not None:
        return [parse_recipient(recipient)] * count
    assert listed is not None
    if count != 1:
        raise typer.BadParameter("a list has one copy for each line", param_hint="--count")
    if listed.stat().st_size > MAX_LIST_BYTES:
        raise RefusedError(f"{listed}: expected at most {MAX_LIST_BYTES} bytes")
    try:
        lines = listed.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise RefusedError(f"{listed}: expected UTF-8 text: {error.reason}") from error
    names = [parse_recipient(line) for line in lines if line.strip()]
    if not 1 <= len(names) <= MAX_COPIES:
        raise RefusedError(f"{listed}: expected 1 to {MAX_COPIES} names, one to a line, got {len(names)}")
    return list(dict.fromkeys(names))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made: {error.strerror}") from error


def _copy_out(delivered: Delivered, folder: Path) -> None:
    target = folder / f"{delivered.row.copy_id}{delivered.audio.suffix}"
    try:
        shutil.copyfile(delivered.audio, target)
    except OSError as error:
        raise WriteError(
            f"copy {delivered.row.copy_id} is delivered in {delivered.audio}, but not copied: {error}"
        ) from error


def _describe(
    row: CopyRow, recipient: str | None, *, new: bool | None = None, entry: int | None = None
) -> dict[str, Any]:
    return {
        "copy_id": row.copy_id,
        "recipient": recipient,
        "person": row.person,
        "created": row.created,
        "audio": f"copies/{row.copy_id}/{row.audio_name}",
        "file_sha256": row.file_sha256,
        **({} if new is None else {"new": new}),
        **({} if entry is None else {"entry": entry}),
    }


def _print_copy(delivered: Delivered, name: str) -> None:
    output.print(f"[green]✓[/green] copy {delivered.row.copy_id}, entry {delivered.entry_index}:", end=" ")
    output.print(name, markup=False)
    output.print(f"  {delivered.audio}", markup=False)
    if delivered.clipped:
        output.print(f"  {delivered.clipped} samples beyond full scale were clipped", markup=False)


def _print_trace(traced: Traced, names: dict[str, str | None], file_name: str) -> None:
    colour = "green" if traced.named else "red"
    head = "several copies" if traced.several else "a copy" if traced.named else "nobody"
    output.print(f"[bold {colour}]{head}[/bold {colour}]", end="  ")
    output.print(f"{file_name}, of {traced.candidates} candidates", markup=False)
    for mark in traced.marks:
        bound = round_up_probability(mark.false_alarm_probability)
        if not mark.named and bound == "1e0":
            continue
        whose = "the released track itself"
        if mark.copy is not None:
            whose = f"copy {mark.copy.copy_id}, {names[mark.copy.copy_id] or '(erased)'}"
        verb = "named" if mark.named else "not named"
        output.print(f"  {verb}: {whose} (by chance: at most {bound})", markup=False)
    if traced.foreign:
        errors.print("  it also carries a mark of these keys that is none of the candidates")
