"""The README says what is: its links, its file tree, its commands and make targets exist."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from api.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:sh)?\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [line.split("#")[0].split() for block in BLOCKS for line in block.splitlines()]


@pytest.mark.parametrize("page", ["README.md", *sorted(p.name for p in (ROOT / "docs").glob("*.md"))])
def test_links_lead_to_files(page: str) -> None:
    path = ROOT / page if page == "README.md" else ROOT / "docs" / page
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if not (path.parent / link).exists()]
    assert not missing


def test_the_file_tree_is_the_folders_that_git_knows() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    folders = {name.split("/")[0] + "/" for name in listed if "/" in name}
    assert set(re.findall(r"^([.\w]+/) {2,}", README, flags=re.MULTILINE)) == folders


@pytest.mark.parametrize(
    "words", [c for c in COMMANDS if c[:1] == ["provenote"]], ids=lambda words: "-".join(words[1:3])
)
def test_commands_and_their_options_exist(words: list[str]) -> None:
    command = get_command(app)
    rest = words[1:]
    while rest and hasattr(command, "commands"):
        assert rest[0] in command.commands, words
        command = command.commands[rest.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_targets_of_the_readme_exist(target: str) -> None:
    assert ["make", target] in COMMANDS
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_benchmark_commands_in_the_docs_have_a_module() -> None:
    text = README + "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs").glob("*.md"))
    modules = set(re.findall(r"python -m (benchmarks\.\w+)", text))
    assert len(modules) >= 5
    for module in modules:
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file()
