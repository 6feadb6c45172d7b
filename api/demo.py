"""The whole story on real audio, told in the terminal: `provenote demo`.

    init -> issue a track from a prompt -> stamp a recording -> what becomes of them -> somebody registers one
    again -> verify each -> the same over HTTP -> check a proof from the bundle alone

Everything it makes stays in one folder. It uses the same functions as the command line and the service.
"""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import uvicorn
from rich.rule import Rule
from rich.table import Table

import ledger

from .cli_verify import print_report
from .console import output, show_progress
from .demo_material import (
    REPLACED_S,
    cut_faster,
    damage_ledger,
    encode_mp3,
    find_material,
    forge_tags,
    lift_mark,
    play_faster,
    replace_part,
)
from .engines import LoadedEngine, Request, load_engine
from .errors import LedgerFolderError, RefusedError, RegisteredError
from .http.server import bind, build_server, hold_serving_lock
from .illustration import illustrate
from .installation import make_installation, open_installation
from .issuing import Issued, issue, stamp
from .labelverdict import METADATA_FORGED
from .report import Report
from .settings import Settings, read_settings
from .verdict import (
    ALTERED,
    EXACT,
    EXCERPT,
    LEDGER_BROKEN,
    MARK_REMOVED,
    MARK_TRANSPLANTED,
    NOTHING_FOUND,
    RE_ENCODED,
)
from .verification import verify

PROMPT = "slow waltz in D minor, piano"
SECONDS = 30.0
SEED = 7
MARKER = "provenote-demo.txt"
START_S, ANSWER_S = 30.0, 120.0


@dataclass(frozen=True)
class Case:
    """A file to verify against a ledger, the verdict it must get, and those it got."""

    what: str
    file: Path
    settings: Settings
    expected: str
    by_command: str = ""
    by_http: str = ""

    @property
    def right(self) -> bool:
        """Whether both answers are the expected one."""
        return self.by_command == self.by_http == self.expected


def run_demo(folder: Path, *, song: Path | None, offline: bool) -> bool:
    """Tell the story into a folder of its own; return whether every verdict and check was the expected one.

    Raises
    ------
    LedgerFolderError
        The folder holds something already, or cannot be made.
    """
    started = time.monotonic()
    folder = folder.absolute()
    try:
        files = _make_folder(folder)
    except OSError as error:
        raise LedgerFolderError(f"{folder}: cannot be made: {error.strerror}") from error
    settings = replace(read_settings(folder / "ledger"), keys=folder / "ledger" / "keys")
    output.print(Rule("1  a ledger of our own"))
    with _timed("folder, keys, database, first entry"):
        public, _ = make_installation(settings)
    output.print(f"  {settings.home}: log {public.origin}", markup=False)
    issued, stamped, source = _make_tracks(settings, files, song=song, offline=offline)
    output.print(Rule("4  what becomes of them"))
    with _timed("MP3, excerpt 5 % faster, a part replaced, the mark lifted, one byte of the ledger changed"):
        cases = _prepare_cases(settings, files, issued, stamped, source)
    output.print(Rule("5  somebody registers the recording as their own, 3 % faster"))
    refused = _register_again(settings, source, files / "somebody-elses.wav")
    output.print(Rule("6  verify each, from the command line"))
    cases = [_verify_case(case) for case in cases]
    output.print(Rule("7  the same over HTTP"))
    cases = _verify_over_http(cases)
    output.print(Rule("8  one inclusion proof, offline, from the bundle alone"))
    proven = _check_bundle(stamped.folder / "bundle.json", public.vkey)
    output.print(Rule("outcome"))
    _print_outcome(cases)
    output.print(f"bundle: {'[green]holds[/green]' if proven else '[red]DOES NOT HOLD[/red]'}")
    output.print(f"registered again: {'[green]refused[/green]' if refused else '[red]TAKEN[/red]'}")
    output.print(f"{time.monotonic() - started:.0f} s; everything is in {folder}", markup=False)
    return proven and refused and all(case.right for case in cases)


def _make_folder(folder: Path) -> Path:
    """Make the folder anew and return the one for files; only an earlier demo is ever removed."""
    if (folder / MARKER).is_file():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise LedgerFolderError(f"{folder}: expected an empty or new folder, it holds files")
    (folder / MARKER).write_text("Made by `provenote demo`, which replaces this folder.\n", encoding="utf-8")
    files = folder / "files"
    files.mkdir()
    return files


def _make_tracks(
    settings: Settings, files: Path, *, song: Path | None, offline: bool
) -> tuple[Issued, Issued, Path]:
    engines: list[LoadedEngine] = []

    def engine() -> LoadedEngine:
        if not engines:
            engines.append(load_engine())
        return engines[0]

    with open_installation(settings) as installation:
        output.print(Rule(f"2  issue a track: {PROMPT!r}"))
        request = Request(prompt=PROMPT, seconds=SECONDS, seed=SEED)
        with _timed("generate, mark, read back, sign, log"), show_progress(quiet=False) as progress:
            issued = issue(installation, engine(), request, progress=progress)
        _print_track(issued)
        output.print(Rule("3  stamp a recording"))
        with _timed("find a recording"):
            material = find_material(files, song=song, offline=offline, load_engine=engine)
        output.print(f"  the recording: {material.note}", markup=False)
        with _timed("look for a mark, mark, read back, sign, log"), show_progress(quiet=False) as progress:
            stamped = stamp(installation, material.song, progress=progress)
        _print_track(stamped)
    return issued, stamped, material.song


def _prepare_cases(
    settings: Settings, files: Path, issued: Issued, stamped: Issued, source: Path
) -> list[Case]:
    mp3, excerpt = files / "recording.mp3", files / "excerpt-5-percent-faster.wav"
    replaced, lifted = files / "part-replaced.wav", files / "mark-lifted.wav"
    forged = files / "forged-tags.flac"
    unmarked, other = files / "without-its-mark.mp3", files / "never-stamped.wav"
    encode_mp3(stamped.audio, mp3)
    cut_faster(stamped.audio, excerpt)
    replace_part(stamped.audio, other, replaced)
    encode_mp3(source, unmarked)
    forge_tags(issued.audio, forged)
    with open_installation(settings) as installation:
        mark = installation.registry.get_mark_of(stamped.track_id)
        assert mark is not None
        key = installation.keyring.watermark_key
        lift_mark(other, lifted, watermark_key=key, mark_id=bytes.fromhex(mark.mark_id))
    damaged = replace(settings, home=files / "damaged-ledger", keys=files / "damaged-ledger" / "keys")
    place = damage_ledger(settings, damaged.home, stamped.entry_index)
    output.print(f"  changed: byte {place} of {damaged.database}", markup=False)
    return [
        Case("issued track, untouched", issued.audio, settings, EXACT),
        Case("issued track, its tags forged", forged, settings, METADATA_FORGED),
        Case("stamped recording, untouched", stamped.audio, settings, EXACT),
        Case("its MP3", mp3, settings, RE_ENCODED),
        Case("15 s of it, 5 % faster", excerpt, settings, EXCERPT),
        Case(f"{REPLACED_S:.0f} s of it replaced by other sound", replaced, settings, ALTERED),
        Case("its mark lifted onto another recording", lifted, settings, MARK_TRANSPLANTED),
        Case("the recording as MP3, without its mark", unmarked, settings, MARK_REMOVED),
        Case("another file, never stamped", other, settings, NOTHING_FOUND),
        Case("untouched, one byte of the ledger changed", stamped.audio, damaged, LEDGER_BROKEN),
    ]


def _register_again(settings: Settings, source: Path, disguised: Path) -> bool:
    """Try to stamp the recording in a disguise; return whether that was refused."""
    play_faster(source, disguised, percent=3.0)
    try:
        with _timed("listen, look up"), open_installation(settings) as installation:
            issued = stamp(installation, disguised)
    except RegisteredError as error:
        output.print(f"  refused: {error}", markup=False)
        return True
    _print_track(issued)
    return False


def _verify_case(case: Case) -> Case:
    with _timed(case.what), open_installation(case.settings) as installation:
        report = verify(installation, case.file)
    print_report(report, case.file.name)
    if report.verdict.code == ALTERED:
        _draw(case, report)
    return replace(case, by_command=report.verdict.code)


def _draw(case: Case, report: Report) -> None:
    """Draw what was changed, where matplotlib is installed."""
    picture = case.file.with_suffix(".png")
    try:
        with open_installation(case.settings) as installation:
            illustrate(installation, case.file, report.predicate, changes=picture, alignment=None)
    except RefusedError as error:
        output.print(f"  no picture: {error}", markup=False)
    else:
        output.print(f"  a picture of it: {picture}", markup=False)


def _verify_over_http(cases: list[Case]) -> list[Case]:
    answered: list[Case] = []
    for settings in dict.fromkeys(case.settings for case in cases):
        with _serve(settings) as address, httpx.Client(base_url=address, timeout=ANSWER_S) as client:
            output.print(f"  {settings.home} on {address}", markup=False)
            for case in [case for case in cases if case.settings == settings]:
                started = time.monotonic()
                with case.file.open("rb") as body:
                    answer = client.post("/v1/verifications", content=body)
                document = answer.json()
                verdict = str(document.get("verdict", document.get("title")))
                elapsed = time.monotonic() - started
                said = f"{answer.status_code} {verdict}, {elapsed:.1f} s"
                output.print(f"  POST /v1/verifications < {case.file.name}: {said}", markup=False)
                answered.append(replace(case, by_http=verdict))
    return answered


@contextmanager
def _serve(settings: Settings) -> Iterator[str]:
    """Serve a ledger folder on a free loopback port, in a thread, and give its address."""
    with hold_serving_lock(settings), bind("127.0.0.1", 0) as sock:
        server = build_server(settings)
        thread = threading.Thread(target=_run_server, args=(server, sock), name="demo-service")
        thread.start()
        try:
            deadline = time.monotonic() + START_S
            while not server.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise LedgerFolderError(f"{settings.home}: the service did not start")
                time.sleep(0.02)
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _run_server(server: uvicorn.Server, sock: object) -> None:
    server.run(sockets=[sock])  # type: ignore[list-item]


def _check_bundle(bundle: Path, vkey: str) -> bool:
    output.print(
        f"  {bundle.name}: {bundle.stat().st_size} bytes; trusted: the log's key {vkey}", markup=False
    )
    try:
        report = ledger.check_bundle(bundle.read_bytes(), vkey=vkey)
    except ledger.LedgerError as error:
        output.print(f"  {error}", markup=False)
        return False
    for item in report.events:
        kind = item.event.statement.predicate_type
        output.print(
            f"  entry {item.index} of {report.checkpoint.size}: {kind}, signed, proven", markup=False
        )
    output.print(f"  opened: {json.dumps(sorted(report.openings))}", markup=False)
    return True


def _print_outcome(cases: list[Case]) -> None:
    table = Table("file", "expected", "command line", "HTTP", "")
    for case in cases:
        mark = "[green]✓[/green]" if case.right else "[red]✗[/red]"
        table.add_row(case.what, case.expected, case.by_command, case.by_http, mark)
    output.print(table)


def _print_track(issued: Issued) -> None:
    files = ", ".join(sorted(path.name for path in issued.folder.iterdir()))
    output.print(
        f"  track {issued.track_id}: entry {issued.entry_index}, {issued.seconds:.1f} s", markup=False
    )
    output.print(f"  {issued.folder}: {files}", markup=False)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    output.print(f"  {what}: {time.monotonic() - started:.1f} s", markup=False)
