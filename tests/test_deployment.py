"""The files that run the service elsewhere say nothing that the program does not know."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from api import accesssettings, settings
from api.cli import app

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
UNITS = sorted((ROOT / "deploy").glob("*.service"))
TABLES = (settings.__doc__ or "") + (accesssettings.__doc__ or "")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(COMPOSE)
    return document


def find_commands(text: str) -> list[str]:
    """Return the commands that lines of shell run."""
    return re.findall(r"(?:^\s*|\|\| |bin/)provenote ([a-z][a-z-]+)", text, re.M)


def test_every_setting_that_is_named_exists() -> None:
    known = set(re.findall(r"^\| (PROVENOTE_\w+) \|", TABLES, re.M)) | {"PROVENOTE_PASSPHRASE"}
    texts = [DOCKERFILE, COMPOSE, GUIDE, *(path.read_text() for path in UNITS)]
    named = {name for text in texts for name in re.findall(r"PROVENOTE_[A-Z_]+", text)}
    assert named <= known
    assert {"PROVENOTE_DATABASE", "PROVENOTE_HOME", "PROVENOTE_TRUSTED_PROXIES"} <= named


def test_every_command_that_is_run_exists() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    starts = re.findall(r"ExecStart=\S+/provenote (\w+)", "".join(path.read_text() for path in UNITS))
    starts += re.findall(r'"provenote", "([\w-]+)"', DOCKERFILE + COMPOSE)
    starts += find_commands(COMPOSE)
    starts += [name for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.S) for name in find_commands(block)]
    assert {"serve", "work", "init", "upgrade", "backup", "restore"} <= set(starts)
    assert set(starts) <= set(commands)


def test_the_image_copies_what_is_there_and_all_that_is_installed() -> None:
    copied = [name for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.M) for name in line.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == set(copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    # A package that is declared and not there stops the build of the image.
    packages = {name.partition(".")[0] for name in project["tool"]["setuptools"]["packages"]}
    assert packages | {"alembic"} <= set(copied)
    extras = re.search(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.M)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(project["project"]["optional-dependencies"])


def test_compose_names_only_what_it_declares(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        assert set(service["networks"]) <= set(compose["networks"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (ROOT / source).exists(), (name, volume)
    variables = set(re.findall(r"(?<!\$)\$\{(\w+):\?\}", COMPOSE))
    assert all(f"{name}=" in GUIDE for name in variables)


def test_compose_shares_one_database_and_trusts_its_own_network(compose: dict[str, Any]) -> None:
    services = compose["services"]
    environments = [services[name]["environment"] for name in ("prepare", "service", "worker")]
    assert len({environment["PROVENOTE_DATABASE"] for environment in environments}) == 1
    (network,) = compose["networks"]["inside"]["ipam"]["config"]
    assert services["service"]["environment"]["PROVENOTE_TRUSTED_PROXIES"] == network["subnet"]
    assert services["worker"]["command"] == ["provenote", "work"]
    values = dict.fromkeys(re.findall(r"\$\{(\w+):\?\}", COMPOSE), "x" * 8)
    given = {
        name: re.sub(r"\$\{(\w+):\?\}", lambda found: values[found[1]], text)
        for name, text in services["service"]["environment"].items()
    }
    read = settings.read_settings(Path("/x"), given)
    assert read.job_workers == 0
    assert read.given_database_url == "postgresql://provenote:xxxxxxxx@database/provenote"


def test_the_proxy_sends_to_the_port_that_is_served(compose: dict[str, Any]) -> None:
    proxy = (ROOT / "deploy" / "Caddyfile").read_text()
    name, port = re.findall(r"dynamic a (\S+) (\d+)", proxy)[0]
    assert name in compose["services"]
    assert f"EXPOSE {port}" in DOCKERFILE
    serve = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    assert next(item.default for item in serve.params if item.name == "port") == int(port)


@pytest.mark.tool("caddy")
def test_caddy_takes_the_proxy_file() -> None:
    command = ["caddy", "adapt", "--adapter", "caddyfile", "--config", str(ROOT / "deploy" / "Caddyfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "reverse_proxy" in done.stdout


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_are_lines_of_sections(path: Path) -> None:
    sections = re.findall(r"^\[(\w+)\]$", path.read_text(), re.M)
    assert sections == ["Unit", "Service", "Install"]
    for line in path.read_text().splitlines():
        assert not line or line.startswith(("[", "#")) or re.match(r"[A-Z]\w+=", line), line
