"""Audits over HTTP: of catalogues that are named, as jobs that are followed, cancelled and removed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from conftest import Stamped, write_audio
from http_service import served

from api.access import Scope
from api.auditjob import AUDIT, carry_out, locate_audit
from api.auditsources import FORMAT, NAME, find_source, read_sources
from api.collection import ItemError
from api.errors import LedgerFolderError, StoppedError
from api.installation import Installation, now, open_installation
from api.jobs import Jobs
from api.jobtable import CANCELLED, DONE
from api.jobwork import clear_away
from api.manifest import open_manifest
from api.marking import never_cancelled, report_nothing
from api.screening import JOURNAL_NAME
from api.settings import read_settings
from api.worker import Worker

POLICY = {"hosts": ["cdn.example.org"], "max_bytes": 1000}


def name_sources(home: Path, sources: object) -> None:
    (home / NAME).write_text(json.dumps({"format": FORMAT, "sources": sources}), encoding="utf-8")


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording and a text."""
    folder = tmp_path_factory.mktemp("music")
    write_audio(folder / "a.wav", np.zeros((1, 44_100), np.float32), subtype="PCM_16")
    (folder / "readme.txt").write_text("no sound")
    return folder


@pytest.fixture
def installation(stamped: Stamped, music: Path) -> Iterator[Installation]:
    """A ledger whose operator has named catalogues."""
    sources = {"masters": {"folder": str(music)}, "partners": {"addresses": POLICY}}
    name_sources(stamped.home, sources)
    with open_installation(read_settings(stamped.home, {})) as opened:
        yield opened


def submit(installation: Installation) -> str:
    jobs = Jobs(installation)
    try:
        asked = {"source": "masters", "addresses": [], "formats": ["csv"], "workers": 1}
        return jobs.submit(AUDIT, asked).job_id
    finally:
        jobs.close()


@pytest.mark.parametrize(
    "sources",
    [
        [],
        {"a": {}},
        {"a": {"folder": "relative"}},
        {"a": {"folder": 3}},
        {"a": {"store": "/no/address"}},
        {"a": {"folder": "/x", "store": "s3://y"}},
        {"a": {"addresses": {"hosts": []}}},
        {"a": {"addresses": {"hosts": ["x.org"], "other": 1}}},
        {"a": {"elsewhere": "/x"}},
    ],
)
def test_a_file_of_catalogues_is_read_strictly(tmp_path: Path, sources: object) -> None:
    name_sources(tmp_path, sources)
    with pytest.raises(LedgerFolderError, match=NAME):
        read_sources(read_settings(tmp_path, {}))


def test_an_audit_is_followed_read_and_removed(stamped_once: Stamped, music: Path, tmp_path: Path) -> None:
    home = tmp_path / "ledger"
    shutil.copytree(stamped_once.home, home)
    name_sources(home, {"masters": {"folder": str(music)}, "partners": {"addresses": POLICY}})
    with open_installation(read_settings(home, {})) as opened:
        keys = {
            scope: opened.access.create([scope], label="test", created=now()).key
            for scope in (Scope.AUDITOR, Scope.ISSUER)
        }
    with served(home) as client:
        issuer = {"authorization": f"Bearer {keys[Scope.ISSUER]}"}
        client.headers["authorization"] = f"Bearer {keys[Scope.AUDITOR]}"
        assert client.get("/v1/audit-sources").json() == {
            "sources": [
                {"name": "masters", "kind": "folder"},
                {"name": "partners", "kind": "addresses"},
            ]
        }
        begun = client.post("/v1/audits", json={"source": "masters", "formats": ["csv", "html"]})
        assert begun.status_code == 202, begun.text
        job_id = begun.json()["job_id"]
        assert client.get(f"/v1/jobs/{job_id}", headers=issuer).status_code == 404
        assert client.delete(f"/v1/jobs/{job_id}", headers=issuer).status_code == 404
        states = follow(client, job_id)
        assert states[-1] == "done"
        found = client.get(begun.headers["location"]).json()
        assert (found["job"]["state"], found["job"]["track_id"]) == ("done", None)
        assert found["sums"]["classes"]["unreadable"] == 1
        assert set(found["files"]) == {"manifest.json", "files.jsonl", "audit.csv", "audit.html"}
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in found["files"]:
            answer = client.get(f"/v1/audits/{job_id}/files/{name}")
            (copy / name).write_bytes(answer.content)
        with open_installation(read_settings(home, {})) as opened:
            assert len(open_manifest(copy, opened.public.reports).rows) == 2
        assert client.get(f"/v1/audits/{job_id}/files/audit.parquet").status_code == 404
        assert client.get(f"/v1/audits/{job_id}/files/journal.jsonl").status_code == 422
        assert client.delete(f"/v1/audits/{job_id}").status_code == 204
        assert not locate_audit(read_settings(home, {}), job_id).exists()
        assert client.get(f"/v1/audits/{job_id}").json()["sums"] is None
        for wrong, status in (
            ({"source": "/etc"}, 404),
            ({"source": "masters", "addresses": ["https://cdn.example.org/a"]}, 422),
            ({"source": "partners"}, 422),
            ({"source": "masters", "formats": ["pdf"]}, 422),
        ):
            assert client.post("/v1/audits", json=wrong).status_code == status, wrong


def follow(client: httpx.Client, job_id: str) -> list[str]:
    with client.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        return [line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event")]


def test_an_audit_that_is_cancelled_leaves_nothing(installation: Installation) -> None:
    job = installation.jobs.get(submit(installation))
    folder = locate_audit(installation.settings, job.job_id)
    with pytest.raises(StoppedError):
        carry_out(installation, job, report_nothing, lambda: True)
    assert (folder / JOURNAL_NAME).exists()
    clear_away(installation.settings, job, CANCELLED)
    assert not list(folder.parent.iterdir())


def test_an_audit_whose_worker_died_after_its_last_file_is_done(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = installation.jobs.get(submit(installation))
    folder = locate_audit(installation.settings, job.job_id)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("signed")
    monkeypatch.setattr("api.auditjob.survey", None)
    carry_out(installation, job, report_nothing, never_cancelled)
    clear_away(installation.settings, job, DONE)
    assert (folder / "manifest.json").read_text() == "signed"


def test_an_audit_of_a_catalogue_that_is_named_no_more_fails_and_says_so(installation: Installation) -> None:
    job_id = submit(installation)
    name_sources(installation.settings.home, {})
    jobs = Jobs(installation)
    try:
        Worker(installation, jobs.queue).run(until_empty=True)
    finally:
        jobs.close()
    ended = installation.jobs.get(job_id)
    assert ended.state == "failed"
    assert "may be audited" in (ended.problem or "")


def test_addresses_are_asked_by_their_policy(installation: Installation, tmp_path: Path) -> None:
    source = find_source(installation.settings, "partners")
    listing = tmp_path / "listing"
    listing.write_text("https://cdn.example.org/a.wav\nhttps://elsewhere.example/b.wav\n")
    collection = source.open(tmp_path / "out", listing, installation.settings)
    assert [item.path for item in collection.list_items()] == [
        b"https://cdn.example.org/a.wav",
        b"https://elsewhere.example/b.wav",
    ]
    refused = collection.list_items()[1]
    with pytest.raises(ItemError, match="refused"), collection.hold(refused):
        pass
