"""Command about music engines: engines."""

from typing import Annotated, Any

import typer
from rich.table import Table

from .cli_options import HomeOption, JsonOption
from .console import output, print_json
from .engines import EngineListing, EngineRack, LoadedEngine
from .settings import read_settings


def add_commands(app: typer.Typer) -> None:
    """Register the command of this file."""
    app.command("engines")(engines_command)


def engines_command(
    name: Annotated[
        str | None,
        typer.Argument(help="Open this one, which takes a while, and show what it says of itself."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the engines that `generate --engine` takes: the embedded one, those of engines.json, plug-ins."""
    rack = EngineRack.of(read_settings(home))
    if name is not None:
        document = describe_engine(rack.get(name))
        if as_json:
            print_json(document)
        else:
            _print_engine(document)
        return
    listed = rack.list()
    if as_json:
        print_json({"engines": [describe_listing(item) for item in listed]})
        return
    table = Table(box=None)
    for heading in ("engine", "kind", "licence", "trained on", ""):
        table.add_column(heading)
    for item in listed:
        setup = item.setup
        trained = ", ".join(setup.training_classes)
        table.add_row(setup.name, setup.kind, setup.licence or "", trained, item.problem or item.summary)
    output.print(table)


def describe_listing(item: EngineListing) -> dict[str, Any]:
    """Return the JSON object of an engine that was not opened: what its operator declares."""
    setup = item.setup
    return {
        "name": setup.name,
        "kind": setup.kind,
        "package": item.package,
        "summary": item.summary,
        "folder": None if setup.folder is None else str(setup.folder),
        "device": setup.device,
        "licence": setup.licence,
        "training_corpus": setup.training_corpus,
        "training_classes": list(setup.training_classes),
        "royalty_class": setup.royalty_class,
        "problem": item.problem,
    }


def describe_engine(engine: LoadedEngine) -> dict[str, Any]:
    """Return the JSON object of an opened engine: what it says of itself."""
    found = engine.description
    return {
        "name": found.name,
        "kind": found.kind,
        "version": found.version,
        "weights": dict(found.weights),
        "device": found.device,
        "sample_rate": found.sample_rate,
        "channels": found.channels,
        "seconds": [found.min_seconds, found.max_seconds],
        "accepts": list(found.accepts),
        "parameters": dict(found.parameters),
        "deterministic": found.deterministic,
        "licence": found.licence,
        "training_corpus": found.training_corpus,
        "training_classes": list(found.training_classes),
        "royalty_class": found.royalty_class,
        "watts": engine.watts,
    }


def _print_engine(document: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False)
    for key, value in document.items():
        if isinstance(value, dict):
            value = "\n".join(f"{name}: {text}" for name, text in value.items())
        elif isinstance(value, list):
            value = ", ".join(str(item) for item in value)
        if value not in (None, ""):
            table.add_row(key.replace("_", " "), str(value))
    output.print(table)
