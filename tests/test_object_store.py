"""Released files in an object store: put there with the release, read from there when no file is here."""

import shutil
from pathlib import Path

import fsspec
import pytest
from conftest import Stamped
from http_service import served

from api.errors import SettingsError, SourceError, WriteError
from api.installation import open_installation
from api.objectstore import ObjectStore
from api.release import Fate, finish_release, recover_track
from api.settings import read_settings


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_release_is_finished_when_the_store_has_its_files(
    kind: str, stamped: Stamped, tmp_path: Path
) -> None:
    url = f"file://{tmp_path / 'objects'}" if kind == "file" else f"memory://{tmp_path.name}/objects"
    settings = read_settings(stamped.home, {"PROVENOTE_OBJECTS": url})
    with open_installation(settings) as installation:
        track = installation.registry.get_released(stamped.track_id)
        finish_release(installation, track)
        finish_release(installation, track)  # as after a crash
        assert installation.objects is not None
        files, prefix = fsspec.core.url_to_fs(url)
        found = {Path(name).name for name in files.ls(f"{prefix}/tracks/{track.track_id}", detail=False)}
        there = {path.name for path in (settings.tracks / track.track_id).iterdir()}
        assert found == there - {"bundle.json", "fingerprint.bin"}
        copy = tmp_path / "copy"
        installation.objects.fetch(track.track_id, track.audio_name, copy, sha256=track.file_sha256)
    assert copy.read_bytes() == stamped.audio.read_bytes()


def test_a_store_that_takes_nothing_leaves_the_release_to_the_next_start(
    stamped: Stamped, tmp_path: Path
) -> None:
    blocked = tmp_path / "objects"
    blocked.write_text("a file where the folder should be")
    settings = read_settings(stamped.home, {"PROVENOTE_OBJECTS": f"file://{blocked}"})
    with open_installation(settings) as installation:
        track = installation.registry.get_released(stamped.track_id)
        with pytest.raises(WriteError, match="does not take"):
            finish_release(installation, track)
        blocked.unlink()
        assert finish_release(installation, track).is_dir()
        assert recover_track(installation, track.track_id) is Fate.FINISHED


def test_audio_comes_from_the_store_where_the_local_file_is_gone(stamped: Stamped, tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    settings = read_settings(stamped.home, {"PROVENOTE_OBJECTS": f"file://{objects}"})
    content = stamped.audio.read_bytes()
    with open_installation(settings) as installation:
        finish_release(installation, installation.registry.get_released(stamped.track_id))
    stamped.audio.unlink()
    address, headers = f"/v1/tracks/{stamped.track_id}/audio", {"authorization": f"Bearer {stamped.token}"}
    with served(stamped.home, PROVENOTE_OBJECTS=f"file://{objects}") as client:
        assert client.get(address, headers=headers).raise_for_status().content == content
        with next(objects.rglob("track.flac")).open("r+b") as file:
            file.write(b"other")
        changed = client.get(address, headers=headers)
        shutil.rmtree(objects)
        gone = client.get(address, headers=headers)
    assert (changed.status_code, gone.status_code) == (503, 503)
    assert "another file" in changed.json()["detail"]
    assert list(settings.incoming.iterdir()) == []


def test_a_store_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="PROVENOTE_OBJECTS"):
        ObjectStore("nothing-like-this://bucket")
    with pytest.raises(SourceError, match="does not give"):
        ObjectStore("memory://none").fetch("t", "track.flac", Path("/nonexistent/x"), sha256=None)
    assert "secret" not in repr(read_settings(Path("x"), {"PROVENOTE_OBJECTS": "s3://key:secret@b"}))
