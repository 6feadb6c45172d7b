"""`log scrub` and `log restore`, and the lock store and the service's scrubbing by settings."""

import json
import shutil
import time
from pathlib import Path

import pytest
from conftest import Shell, Stamped
from ledger_editor import edit
from test_api_http import served

from api.installation import open_installation
from api.leading import Lead
from api.outcomes import BAD, ENVIRONMENT
from api.scrubbing import make_scrubber, read_progress, scrub_some
from api.settings import read_settings
from ledger.errors import RollbackError


def record(stamped: Stamped) -> tuple[object, ...]:
    facts = ("published", "--set", "channel=web")
    return ("custody", "record", stamped.track_id, *facts, "--home", stamped.home)


def damage(stamped: Stamped, statement: str) -> None:
    with edit(f"sqlite:///{stamped.home / 'ledger.db'}") as editor:
        editor.execute(statement)


def test_scrubbing_names_the_entry_until_a_whole_round_has_not_seen_it(
    shell: Shell, stamped: Stamped
) -> None:
    found = shell.json("log", "scrub", "--home", stamped.home)
    assert found == {"ok": True, "start": 0, "stop": 2, "size": 2, "findings": []}
    damage(stamped, "UPDATE ledger_subject SET sha256 = zeroblob(32) WHERE entry_index = 1 AND name = 'pcm'")
    found = shell.json("log", "scrub", "--home", stamped.home, "--seconds", "0", code=BAD)
    assert [(item["index"], item["code"]) for item in found["findings"]] == [(1, "subject-index")]
    code, text = shell("log", "scrub", "--home", stamped.home)
    assert code == BAD
    assert "entry 1: subjects of entry 1 are wrong in the index (subject-index)" in text
    with served(stamped.home) as client:
        assert client.get("/health").json()["damaged"] == [1]


def test_a_scrub_goes_on_where_the_last_one_stopped(
    stamped: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.scrubbing.SLICE", 1)
    with open_installation(read_settings(stamped.home, {})) as installation:
        path = installation.settings.scrubbing
        (first,) = scrub_some(installation, limit_s=0)
        assert (first.stop, read_progress(path).next) == (1, 1)
        (second,) = scrub_some(installation, limit_s=0)
        assert (second.start, second.ended, read_progress(path).next) == (1, True, 0)
        assert read_progress(path).rounds == 1
        path.write_text("{")
        assert len(scrub_some(installation)) == 2


def test_the_service_scrubs_by_itself(stamped: Stamped) -> None:
    with open_installation(read_settings(stamped.home, {})) as installation:
        scrubber = make_scrubber(installation, Lead(installation.settings), 0.01)
        scrubber.start()
        deadline = time.monotonic() + 30
        while read_progress(installation.settings.scrubbing).rounds < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        scrubber.close()
        assert read_progress(installation.settings.scrubbing).rounds >= 2


def test_a_lost_database_is_restored_from_exported_tiles(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    tiles = tmp_path / "tiles"
    shell.json("log", "publish", "--home", stamped.home)
    made = shell.json("log", "export-tiles", tiles, "--home", stamped.home)
    before = shell.json("log", "show", "1", "--home", stamped.home)
    for path in stamped.home.glob("ledger.db*"):
        path.unlink()
    found = shell.json("log", "restore", tiles, "--home", stamped.home)
    assert found == {"size_before": 0, "size": made["size"]}
    assert shell.json("log", "fsck", "--home", stamped.home)["ok"]
    assert shell.json("log", "show", "1", "--home", stamped.home) == before
    assert shell.json("log", "restore", tiles, "--home", stamped.home)["size_before"] == made["size"]


def test_an_older_backup_keeps_its_registry_and_gets_the_newer_entries(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    backup, tiles = tmp_path / "backup.db", tmp_path / "tiles"
    shutil.copy(stamped.home / "ledger.db", backup)
    shell.json(*record(stamped))
    shell.json("log", "export-tiles", tiles, "--home", stamped.home)
    for path in stamped.home.glob("ledger.db*"):
        path.unlink()
    shutil.copy(backup, stamped.home / "ledger.db")
    assert shell.json("log", "restore", tiles, "--home", stamped.home)["size"] == 3
    events = shell.json("custody", "show", stamped.track_id, "--home", stamped.home)["events"]
    assert [item["event"].rsplit("/", 2)[-2] for item in events] == ["stamped", "published"]


def test_tiles_of_another_history_are_refused(shell: Shell, stamped: Stamped, tmp_path: Path) -> None:
    tiles = tmp_path / "tiles"
    shell.json("log", "export-tiles", tiles, "--home", stamped.home)
    entries = tiles / "tile/entries/000.p/2"
    entries.write_bytes(entries.read_bytes().replace(b'"sig":"', b'"sig":"A', 1)[:-1])
    for path in stamped.home.glob("ledger.db*"):
        path.unlink()
    code, _ = shell("log", "restore", tiles, "--home", stamped.home)
    assert code != 0
    assert "not those of the checkpoint" in shell.errors or "entries" in shell.errors


def test_a_lock_store_named_in_the_settings_stops_an_old_copy(
    shell: Shell, stamped: Stamped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENOTE_LOCK_STORE", str(tmp_path / "lock"))
    shell.json(*record(stamped))
    shutil.copy(stamped.home / "ledger.db", tmp_path / "backup.db")
    shell.json(*record(stamped))
    shutil.copy(tmp_path / "backup.db", stamped.home / "ledger.db")
    code, _ = shell(*record(stamped))
    assert code == ENVIRONMENT
    assert "it is an old copy" in shell.errors
    with pytest.raises(RollbackError):
        open_installation(read_settings(stamped.home, {"PROVENOTE_LOCK_STORE": str(tmp_path / "lock")}))
    assert json.loads((stamped.home / "provenote.json").read_text())["format"] == 1
