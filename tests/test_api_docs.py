"""The documents repeat tables of the program: they must say the same."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from api.access import SCOPES, Scope
from api.cli import app
from api.http import create_app
from api.outcomes import INTERNAL, OUTCOMES
from api.settings import Settings
from api.verdict import GOOD, VERDICTS

ROOT = Path(__file__).parent.parent
CLI = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ACCESS = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# Problems of HTTP alone, which no error class of ours stands behind.
HTTP_ONLY = {"malformed": 422, "wrong-method": 405, "interrupted": 503}


def test_every_problem_has_its_status_in_the_http_document() -> None:
    written = {slug: int(status) for slug, status in re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", API, re.M)}
    assert (
        written
        == {outcome.slug: outcome.status for _, outcome in (*OUTCOMES, (Exception, INTERNAL))} | HTTP_ONLY
    )


def test_every_problem_has_its_exit_code_in_the_command_line_document() -> None:
    written = {}
    for slugs, code in re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| (\d+) \|$", CLI, re.M):
        written.update(dict.fromkeys(re.findall(r"`([a-z-]+)`", slugs), int(code)))
    assert written == {outcome.slug: outcome.exit_code for _, outcome in (*OUTCOMES, (Exception, INTERNAL))}


def test_every_verdict_is_listed_with_its_exit_code() -> None:
    written = {
        code: int(exit_code) for code, exit_code in re.findall(r"^\| `([a-z-]+)` \| ([01]) \|", CLI, re.M)
    }
    assert written == {code: 0 if code in GOOD else 1 for code in VERDICTS}


def list_commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Yield every command of the program by its words, with its options."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from list_commands(inner, (*path, name))
    if not hasattr(command, "commands"):
        yield path, {name for item in command.params for name in (*item.opts, *item.secondary_opts)}


def check_words(words: list[str], commands: dict[tuple[str, ...], set[str]]) -> tuple[str, ...]:
    """Return the command that a document writes, once its options are known to exist."""
    named = max((path for path in commands if tuple(words[: len(path)]) == path), default=())
    assert named, words
    options = {word.split("=")[0] for word in words[len(named) :] if word.startswith("--")}
    assert options <= commands[named] | {"--help"}, (words, options - commands[named])
    return named


def test_every_command_that_a_document_shows_exists_with_its_options() -> None:
    commands = dict(list_commands(get_command(app)))
    shown = 0
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for block in re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.S):
            for line in block.replace("\\\n", " ").splitlines():
                found = re.match(r"(?:.*(?:\|\||&&|bin/) *)?provenote ([^|&;]*)", line)
                if found:
                    check_words(shlex.split(found[1], comments=True), commands)
                    shown += 1
    assert shown > 60


def test_every_command_is_in_the_command_line_document_with_its_options() -> None:
    commands = dict(list_commands(get_command(app)))
    _, _, table = CLI.partition("## Commands")
    written: set[tuple[str, ...]] = set()
    last: tuple[str, ...] = ()
    for cell in re.findall(r"^\| (`[^`]+`.*?) (?<!\\)\| ", table.partition("\n### ")[0], re.M):
        for code in re.findall(r"`([^`]+)`", cell):
            words = re.sub(r"\\\||\[|\]|\.\.\.", " ", code).split()
            if (words[0],) not in {path[:1] for path in commands}:
                words = [last[0], *words]  # `fingerprint add FILE...`, `list`
            last = check_words(words, commands)
            written.add(last)
    bare = re.findall(r"provenote ((?:mark|keys) [a-z]+)", CLI)
    assert written | {tuple(words.split()) for words in bare} == set(commands)


def test_every_route_is_listed(tmp_path: Path) -> None:
    document = create_app(Settings(home=tmp_path, keys=tmp_path)).openapi()
    routes = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", API, re.M)) == routes


def test_every_route_is_listed_with_the_scopes_it_takes(tmp_path: Path) -> None:
    document = create_app(Settings(home=tmp_path, keys=tmp_path)).openapi()
    taken = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            scopes = {scope for entry in operation["security"] for scope in entry.get("HTTPBearer", [])}
            taken[f"{method.upper()} {path}"] = scopes - {"operator"}
    rows = re.findall(r"^\| `([A-Z]+ /[^`]*)` \|([^|]*)\|", API, re.M)
    written = {route: set(re.findall(r"`([a-z-]+)`", scopes)) - {"operator"} for route, scopes in rows}
    assert written == taken


def test_every_scope_is_explained() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \|", ACCESS, re.M)) == set(SCOPES) == set(Scope)


def test_every_file_of_the_shell_is_in_the_architecture_document() -> None:
    named = set()
    for name in re.findall(r"`(?:api/)?([a-z_]+\*?\.py)`", ARCHITECTURE):
        named |= {path.name for path in (ROOT / "api").glob(name)}
    present = {path.name for path in (ROOT / "api").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert named == present
