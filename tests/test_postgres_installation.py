"""A whole installation over PostgreSQL: the same folder of files, every table in one database."""

import contextlib
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Shell, Stamped, make_music, write_audio
from http_service import served
from test_api_http import wait_for

import ledger
from api.access import ANYBODY
from api.accesslog import find_break
from api.backup import make_backup
from api.erasing import erase_track
from api.errors import BackupError, SettingsError
from api.installation import make_installation, open_installation
from api.issuing import stamp
from api.jobs import Jobs
from api.restoration import restore_backup
from api.settings import Settings, read_settings
from api.worker import Worker
from benchmarks.postgres_cluster import Cluster
from ledger.inspection import fsck
from ledger.migration import downgrade, head_revision, upgrade

pytestmark = pytest.mark.tool("pg_createcluster")
PASSPHRASE = "correct horse battery"


@dataclass(frozen=True)
class Shared:
    """A ledger folder whose database is PostgreSQL's, with one stamped track."""

    home: Path
    url: str
    source: Path
    audio: Path
    track_id: str
    token: str

    @property
    def settings(self) -> Settings:
        """As a process with PROVENOTE_DATABASE reads them."""
        return read_settings(self.home, {"PROVENOTE_DATABASE": self.url})


@pytest.fixture(scope="module")
def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    folder = tmp_path_factory.mktemp("shared")
    url = cluster.create(f"whole_{secrets.token_hex(6)}")
    settings = read_settings(folder / "ledger", {"PROVENOTE_DATABASE": url})
    _, token = make_installation(settings, origin="test.example/shared")
    source = write_audio(folder / "song.flac", make_music(8.0, seed=41), subtype="PCM_16")
    with open_installation(settings) as installation:
        issued = stamp(installation, source, title="Song")
    return Shared(settings.home, url, source, issued.audio, issued.track_id, token)


def test_nothing_is_kept_in_sqlite(shared: Shared) -> None:
    assert not list(shared.home.glob("*.db*"))


def test_two_services_and_a_worker_share_one_database(shared: Shared, tmp_path: Path) -> None:
    environment = {"PROVENOTE_DATABASE": shared.url, "PROVENOTE_JOB_WORKERS": "0"}
    song = write_audio(tmp_path / "a.flac", make_music(6.0, seed=42))
    headers = {"authorization": f"Bearer {shared.token}"}
    stamped = Stamped(shared.home, shared.source, shared.audio, shared.track_id, 1, shared.token)
    with served(shared.home, **environment) as first, served(shared.home, **environment) as second:
        answer = first.post("/v1/stamps?margin=off", content=song.read_bytes(), headers=headers)
        assert second.get(answer.headers["location"], headers=headers).json()["state"] == "queued"
        with (
            open_installation(shared.settings) as installation,
            contextlib.closing(Jobs(installation)) as jobs,
        ):
            worker = Worker(installation, jobs.queue)
            worker.run(until_empty=True)
            assert worker.taken == 1
        job = wait_for(second, stamped, answer.headers["location"])
        assert job["state"] == "done", job
        verified = second.post("/v1/verifications", content=shared.audio.read_bytes(), headers=headers)
        assert verified.json()["verdict"] == "exact"
        found = first.post("/v1/identifications", content=shared.source.read_bytes(), headers=headers).json()
        assert found["matches"][0]["track_id"] == shared.track_id
        assert "provenote_database_up 1.0" in second.get("/metrics", headers=headers).text
        assert first.get("/ready").status_code == 200


def test_many_threads_append_to_one_ledger(shared: Shared) -> None:
    with open_installation(shared.settings) as one, open_installation(shared.settings) as other:
        before = one.store.state().size

        def anchor(number: int) -> None:
            opened = (one, other)[number % 2]
            opened.access_log.append(ANYBODY, "GET /x", "200", time="2026-01-01T00:00:00Z")

        threads = [threading.Thread(target=anchor, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert find_break(iter(one.access_log.walk())) is None
        assert one.store.state().size == before


def test_the_command_line_works_over_the_database(
    shared: Shared, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENOTE_DATABASE", shared.url)
    assert shell.json("verify", shared.audio, "--home", shared.home)["verdict"] == "exact"
    assert shell.json("log", "fsck", "--home", shared.home)["ok"]
    assert shell.json("upgrade", "--home", shared.home)["schema"] == head_revision()
    assert shell("work", "--until-empty", "--home", shared.home)[0] == 0


def test_a_backup_is_restored_into_another_database(shared: Shared, cluster: Cluster, tmp_path: Path) -> None:
    with open_installation(shared.settings) as installation:
        made = make_backup(installation, tmp_path / "backup", passphrase=PASSPHRASE)
        reports = installation.public.reports
    assert made.facts["database"] == "database.dump"
    other = cluster.create(f"whole_{secrets.token_hex(6)}")
    settings = read_settings(tmp_path / "restored", {"PROVENOTE_DATABASE": other})
    restore_backup(made.folder, settings, reports, passphrase=PASSPHRASE)
    with open_installation(settings) as installation:
        assert installation.registry.get_released(shared.track_id)
        report = fsck(settings.database_url, vkey=installation.public.vkey)
        assert report.ok
    again = read_settings(tmp_path / "again", {"PROVENOTE_DATABASE": other})
    with pytest.raises(BackupError, match="expected an empty database"):
        restore_backup(made.folder, again, reports)
    sqlite = read_settings(tmp_path / "sqlite", {})
    with pytest.raises(BackupError, match="the same kind of database"):
        restore_backup(made.folder, sqlite, reports)


def test_a_track_is_erased(shared: Shared) -> None:
    with open_installation(shared.settings) as installation:
        erase_track(installation, shared.track_id, ground="request")
        assert installation.registry.get_released(shared.track_id).title != "Song"


def test_the_migrations_run_down_and_up_again(cluster: Cluster) -> None:
    url = cluster.create(f"steps_{secrets.token_hex(6)}")
    upgrade(url)
    downgrade(url, "base")
    upgrade(url)
    with contextlib.closing(ledger.database.open_database(url)) as database, database.read() as connection:
        assert ledger.migration.read_revision(connection) == head_revision()


@pytest.mark.parametrize("url", ["mysql://x/y", "postgresql://a:b@c/", "ledger.db", "sqlite:///a.db"])
def test_another_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError, match="expected postgresql://") as caught:
        read_settings(Path("x"), {"PROVENOTE_DATABASE": url})
    assert url not in str(caught.value)
    assert "secret" not in repr(read_settings(Path("x"), {"PROVENOTE_DATABASE": "postgresql://a:secret@h/n"}))
