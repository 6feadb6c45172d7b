"""The command `provenote verify`, and a report on the terminal."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from .audiofile import refuse_existing
from .cli_options import HomeOption, InputFile, JsonOption
from .cli_report import PageOption, PdfOption
from .console import output, print_json, show_progress
from .errors import WriteError
from .factors import describe_factors
from .illustration import check_picture, illustrate
from .installation import open_installation
from .labelreport import describe_credential, describe_tags
from .outcomes import BAD
from .rendering import Rendering
from .report import Report
from .settings import read_settings
from .tracing import name_reported
from .verification import verify
from .waveform import PeakMeter


def add_commands(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("verify")(verify_command)


def verify_command(
    file: Annotated[Path, InputFile],
    report_file: Annotated[
        Path | None,
        typer.Option("--report", help="Write the signed report (DSSE envelope) to this new file."),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="Draw what was changed, under the waveform: new file, .png or .svg."),
    ] = None,
    alignment: Annotated[
        Path | None,
        typer.Option("--alignment", help="Draw the track's time against the file's: .png or .svg."),
    ] = None,
    page: PageOption = None,
    pdf: PdfOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is known about a file. Exit code 0 for a track whose record holds, 1 otherwise."""
    for path in (report_file, picture, alignment, page, pdf):
        refuse_existing(path)
    for path in (picture, alignment):
        check_picture(path)
    meter = PeakMeter()
    meters = (meter,) if page is not None or pdf is not None else ()
    with open_installation(read_settings(home)) as installation, show_progress(quiet=as_json) as progress:
        report = verify(installation, file, meters=meters, progress=progress)
        if picture is not None or alignment is not None:
            illustrate(installation, file, report.predicate, changes=picture, alignment=alignment)
        if meters:
            origin = installation.public.origin
            Rendering(report, origin, meter.finish(), file.name).write(page=page, pdf=pdf)
        recipients = name_reported(installation, report.predicate)
    if report_file is not None:
        try:
            with report_file.open("xb") as stream:
                stream.write(report.envelope)
        except OSError as error:
            raise WriteError(f"{report_file}: cannot be written: {error.strerror}") from error
    if as_json:
        print_json({**report.document(), **({"recipients": recipients} if recipients else {})})
    else:
        print_report(report, file.name)
        for copy_id, name in recipients.items():
            output.print(f"  copy {copy_id}: {name or '(erased)'}", markup=False)
    if not report.verdict.good:
        raise typer.Exit(BAD)


def print_report(report: Report, name: str) -> None:
    """Print a report for people."""
    predicate = report.predicate
    colour = "green" if report.verdict.good else "red"
    output.print(f"[bold {colour}]{report.verdict.code}[/bold {colour}]", end="  ")
    output.print(f"{name}: {report.verdict.text}", markup=False)
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 2))
    for axis, text in _describe_axes(predicate):
        table.add_row(axis, text)
    output.print(table)
    for reason in predicate["reasons"]:
        output.print(f"  - {reason['text']} ({reason['code']})", markup=False)


def _describe_axes(predicate: Any) -> list[tuple[str, str]]:
    content, mark, history = predicate["content"], predicate["watermark"], predicate["ledger"]
    rows = []
    if predicate["track"] is not None:
        track = predicate["track"]
        rows.append(
            ("track", f"{track['track_id']}, {track['origin']}, {track['milliseconds'] / 1000:.1f} s")
        )
        rows.extend(("making", line) for line in describe_factors(track.get("factors") or {}))
    shape = (
        f"{content['milliseconds'] / 1000:.1f} s, {content['sample_rate']} Hz, {content['channels']} channels"
    )
    rows.append(("content", f"{shape}, {content['container']}; matched: {content['matched'] or 'nothing'}"))
    if history is None or history["fault"] is None:  # nothing is compared with what a broken record says
        rows.append(("identity", _describe_identity(predicate["identity"])))
    if mark["found"]:
        change = f"speed {mark['speed_ppm'] / 1e4:.2f} %, pitch {mark['pitch_cents']:+d} cents"
        rows.append(("watermark", f"found (by chance: at most {mark['false_alarm_at_most']}), {change}"))
    else:
        rows.append(("watermark", "not found"))
    rows.append(("credential", describe_credential(predicate["credential"])))
    rows.extend(("tags", line) for line in describe_tags(predicate["tags"]))
    if history is not None:
        if history["fault"] is None:
            listed = ", ".join(
                f"{item['event'].rsplit('/', 2)[-2]} #{item['index']}" for item in history["events"]
            )
            rows.append(("ledger", f"{listed}; proven in a log of {history['size']} entries"))
        else:
            index = history["fault"]["index"]
            place = "" if index is None else f"entry {index}: "
            rows.append(("ledger", f"BROKEN: {place}{history['fault']['message']}"))
    if predicate["time"] is not None:
        rows.append(("time", f"{predicate['time']['stated']} ({predicate['time']['rests_on']})"))
    return rows


def _describe_identity(identity: Any) -> str:
    comparison = identity["comparison"]
    if comparison is not None and comparison["foreign"]:
        return f"nothing of it is of track {comparison['track_id']}, whose mark it carries"
    if comparison is not None and not comparison["assessable"]:
        return f"compared with track {comparison['track_id']}: not assessable, {comparison['reason']}"
    if comparison is not None:
        changes = [
            f"{item['kind']} {item['file']['start_ms'] / 1000:.2f}-{item['file']['end_ms'] / 1000:.2f} s"
            for item in comparison["changed"]
        ]
        intact_s = sum(item["end_ms"] - item["start_ms"] for item in comparison["intact"]) / 1000
        return f"{intact_s:.1f} s are those of track {comparison['track_id']}; " + (
            ", ".join(changes) or "nothing changed in between"
        )
    if identity["matches"]:
        first = identity["matches"][0]
        what = f"track {first['track_id']}" if first["track_id"] else f"recording {first['name']}"
        return f"sounds like {what} (by chance: at most {first['false_alarm_at_most']})"
    return "like nothing in the catalogue" if identity["searched"] else "too short to be looked up"
