"""What every benchmark writes: a table on the terminal, and JSON that says how its figures came about.

A result file names the command, seed, date, machine, versions and music, so that a figure can be made again:

    {"benchmark": "robustness", "run": {"command": "...", "seed": 1, "machine": {...}, "versions": {...}},
    ...}
"""

import argparse
import datetime
import functools
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from benchmarks.music import CACHE, SPLITS
from benchmarks.tools import BenchmarkError

OUTPUT = CACHE.parent / "benchmark-output"
PACKAGES = ("provenote", "numpy", "scipy", "soundfile")
TOOLS = {"ffmpeg": "-version", "sox": "--version", "rubberband": "--version"}
PROGRESS_EVERY_S = 5.0

Item = TypeVar("Item")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser with the options that all benchmarks share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a few minutes on two cores")
    parser.add_argument("--split", choices=[*SPLITS, "all"], default="test", help="default: %(default)s")
    parser.add_argument("--tracks", type=int, help="number of tracks, as varied as they come")
    parser.add_argument("--seed", type=int, default=1, help="of keys, payloads, cuts and attacks")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where fetch_music put the music")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of results")
    return parser


def read_version(tool: str, option: str) -> str:
    """First line of what a tool says about its version; "missing" where it is not installed."""
    try:
        done = subprocess.run([tool, option], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "missing"
    return (done.stdout + done.stderr).strip().split("\n")[0][:80]


def read_cpu() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def read_commit() -> str:
    """The commit the working tree stands on, with a + where tracked files differ from it."""
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty=+"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def digest_sources(paths: Iterable[Path]) -> str:
    """Digest source files by name and content."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def digest_code() -> str:
    """Digest the watermark package's sources: results of other code must not be mixed with those of this."""
    return digest_sources((Path(__file__).resolve().parent.parent / "watermark").rglob("*.py"))


@functools.cache
def digest_attacks() -> str:
    """Digest the sources of the attacks, for the same reason."""
    folder = Path(__file__).resolve().parent
    return digest_sources([*folder.glob("attack*.py"), folder / "companions.py"])


def describe_run(options: argparse.Namespace) -> dict[str, Any]:
    """Describe how a result was made: command, options, machine, versions, date."""
    return {
        "command": shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "options": {name: str(value) for name, value in vars(options).items()},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": read_commit(),
        "watermark_code": digest_code(),
        "machine": {
            "cpu": read_cpu(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": platform.platform(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
            **{name: read_version(name, option) for name, option in TOOLS.items()},
        },
    }


def write_json(path: Path, benchmark: str, run: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Write a result file; an earlier one of that name is replaced only by a complete one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"benchmark": benchmark, "run": run, **results}, indent=1) + "\n")
    fresh.replace(path)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, note: str = "") -> None:
    """Print a table; the first column is text, the others are figures."""
    table = Table()
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=number > 0)
    for row in rows:
        table.add_row(*row)
    # Into a file or pipe a table must not be squeezed to 80 columns.
    width = None if sys.stdout.isatty() else 60 + 24 * len(columns)
    console = Console(width=width, highlight=False)
    console.print(f"\n{title}")
    console.print(table)
    if note:
        console.print(note)


def show_progress(items: Iterable[Item], *, total: int, what: str) -> Iterator[Item]:
    """Pass items on and tell on standard error, every few seconds, how many are done and what is left."""
    start = shown = time.monotonic()
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown > PROGRESS_EVERY_S or done == total:
            shown = now
            rest_s = (now - start) / done * (total - done)
            print(f"{what}: {done} of {total}, about {rest_s:.0f} s left", file=sys.stderr, flush=True)


def run_main(measure: Any) -> int:
    """Run a benchmark's `measure()`, turning what is missing into one line and exit code 3."""
    try:
        measure()
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 3
    return 0
