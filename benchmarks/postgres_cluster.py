"""A throw-away PostgreSQL cluster: the server of Debian's package, in a temporary folder, off the network."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BINARIES = Path("/usr/lib/postgresql")
USER = "nobody"
"""Whom the server runs as where the tests run as root, which it refuses."""
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "autovacuum_naptime": "10s",
}


@dataclass(frozen=True)
class Cluster:
    """A running server: where its socket and its programs are."""

    folder: Path
    programs: Path

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://ledger@/{name}?host={self.folder}"

    def create(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self.run("CREATE DATABASE " + name)
        return self.url(name)

    def run(self, sql: str) -> None:
        """Execute SQL as the superuser."""
        command = [
            self.programs / "psql",
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            self.folder,
            "-U",
            "ledger",
        ]
        subprocess.run([*command, "-d", "postgres", "-c", sql], check=True, capture_output=True)

    def control(self, action: str, *options: str) -> None:
        """Start, stop or restart the server (pg_ctl)."""
        data = self.folder / "data"
        command = [
            self.programs / "pg_ctl",
            "-D",
            data,
            "-w",
            "-s",
            "-l",
            self.folder / "log",
            *options,
            action,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **identity())


def identity() -> dict[str, Any]:
    """Return the options by which a subprocess is no longer root."""
    return {"user": USER, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def run_cluster(parent: Path | None = None) -> Iterator[Cluster]:
    """Make a cluster, by default in memory, and run its server until the end of the block."""
    programs = max(BINARIES.glob("*/bin"), key=lambda path: float(path.parent.name))
    memory = Path("/dev/shm")
    parent = parent or (memory if memory.is_dir() else None)
    folder = Path(tempfile.mkdtemp(prefix="ledger-pg-", dir=parent))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER, "nogroup")
        command = [programs / "initdb", "-D", folder / "data", "-U", "ledger", "-A", "trust", "-k"]
        command += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, **identity())
        settings = SETTINGS | {"unix_socket_directories": str(folder)}
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        cluster = Cluster(folder, programs)
        cluster.control("start")
        try:
            yield cluster
        finally:
            cluster.control("stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
