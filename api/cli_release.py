"""Commands for a release pipeline: `check-release` and `release-policy`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from .audiofile import refuse_existing, write_synced
from .cli_options import HomeOption, InputFile, JsonOption
from .console import output, print_json, show_progress
from .installation import open_installation
from .outcomes import BAD
from .releasecheck import ReleaseCheck, check_release
from .releasepolicy import FOLDER, POLICY_NAME, ReleasePolicy, find_policy, read_policy_file
from .releaserules import FAIL, PASS, RuleResult
from .settings import Settings, read_settings

PolicyOption = Annotated[
    str,
    typer.Option("--policy", help="A policy file, or a name: default, streaming, broadcast, or your own."),
]
COLOURS = {PASS: "green", FAIL: "red"}


def add_commands(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("check-release")(check_release_command)
    app.command("release-policy")(policy_command)


def check_release_command(
    file: Annotated[Path, InputFile],
    policy: PolicyOption = "default",
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write the signed result (DSSE envelope) to this new file."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a file may be published: stamped, signed, logged, unaltered, loudness, labels, rights.

    Exit code 0 if every rule that the policy requires has passed, 1 if one has failed or cannot be assessed.
    """
    refuse_existing(report)
    settings = read_settings(home)
    asked = choose_policy(policy, settings)
    with open_installation(settings) as installation, show_progress(quiet=as_json) as progress:
        checked = check_release(installation, file, asked, progress=progress)
    if report is not None:
        write_synced(report, checked.envelope)
    if as_json:
        print_json(checked.document())
    else:
        _print(checked, file.name, asked)
    if not checked.passed:
        raise typer.Exit(BAD)


def policy_command(
    policy: Annotated[str, typer.Argument(help="A policy file, or a name.")] = "default",
    home: HomeOption = None,
) -> None:
    """Check a policy and print it in full, with every setting that it leaves as it is by default."""
    document = choose_policy(policy, read_settings(home)).document()
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def choose_policy(policy: str, settings: Settings) -> ReleasePolicy:
    """Return the policy that a name or path stands for: a name, unless it has a dot or slash."""
    if POLICY_NAME.fullmatch(policy):
        return find_policy(policy, settings.home / FOLDER)
    return read_policy_file(Path(policy))


def _print(checked: ReleaseCheck, name: str, policy: ReleasePolicy) -> None:
    word = {PASS: "may be published", FAIL: "may not be published"}.get(checked.outcome, "cannot be assessed")
    colour = "green" if checked.passed else "red"
    output.print(f"[bold {colour}]{checked.outcome}[/bold {colour}]", end="  ")
    output.print(f"{name}: {word} by policy {policy.name}", markup=False)
    for result in checked.results:
        _print_result(result)
    measured = checked.predicate["measured"]
    loudness = measured["integrated_lufs"] or "no"
    output.print(
        f"  measured: {loudness} LUFS, range {measured['range_lu'] or '-'} LU, true peak "
        f"{measured['true_peak_dbtp']} dBTP",
        markup=False,
    )


def _print_result(result: RuleResult) -> None:
    colour = COLOURS.get(result.outcome, "yellow")
    output.print(f"  [{colour}]{result.outcome:<12}[/{colour}]", end=" ")
    advised = "" if result.enforce == "required" else " (advised)"
    output.print(f"{result.rule}{advised}", markup=False)
    for item in result.findings:
        details = ", ".join(f"{key} {_show(value)}" for key, value in item.details.items() if value)
        output.print(f"    - {item.text} ({item.code}){': ' + details if details else ''}", markup=False)


def _show(value: object) -> str:
    text = ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
