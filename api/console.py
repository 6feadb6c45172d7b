"""The terminal: answers on standard output, progress and errors on standard error."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from .marking import Progress as ProgressCallback
from .outcomes import PROBLEM_BASE, classify, describe, list_facts

output = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_error(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong, on standard error and with --json also as an object; return the exit code."""
    outcome = classify(error)
    errors.print(f"[red]error:[/red] {outcome.title.lower()}:", end=" ")
    errors.print(describe(error), markup=False)
    if as_json:
        print_json(
            {
                "type": PROBLEM_BASE + outcome.slug,
                "title": outcome.title,
                "detail": describe(error),
                "exit_code": outcome.exit_code,
                **list_facts(error),
            }
        )
    return outcome.exit_code


@contextlib.contextmanager
def show_progress(*, quiet: bool) -> Iterator[ProgressCallback]:
    """Give a callback (stage, fraction 0..1) that draws one bar for each stage on a terminal."""
    progress = Progress(
        SpinnerColumn(finished_text="[green]✓[/green]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        TimeElapsedColumn(),
        console=errors,
        transient=False,
        disable=quiet or not errors.is_terminal,
    )
    tasks: dict[str, TaskID] = {}

    def report(stage: str, fraction: float) -> None:
        if stage not in tasks:
            for earlier in tasks.values():
                progress.update(earlier, completed=1.0)
            tasks[stage] = progress.add_task(stage, total=1.0)
        progress.update(tasks[stage], completed=fraction)

    with progress:
        yield report
        for task in tasks.values():
            progress.update(task, completed=1.0)
