"""Credentials for files made of a track: signed only for the track, logged, verified like its own."""

import subprocess
from pathlib import Path

import pytest
import soundfile
from conftest import Shell, Stamped, make_music, write_audio

from api.credentialkeys import read_own_root
from api.decoding import DEFAULT_LIMITS
from api.labels import Anchors, read_labels
from api.settings import read_settings


def encode(source: Path, target: Path) -> Path:
    frames, rate = soundfile.read(source, dtype="float32")
    return write_audio(target, frames.T, rate)


def test_an_mp3_of_a_track_gets_a_credential_that_verifies(
    stamped: Stamped, tmp_path: Path, shell: Shell
) -> None:
    mp3, signed = encode(stamped.audio, tmp_path / "a.mp3"), tmp_path / "signed.mp3"
    home = ("--home", stamped.home)
    document = shell.json("credential", "sign", stamped.track_id, mp3, "--output", signed, *home)
    assert document["sidecar"] is None
    own = Anchors(own=read_own_root(read_settings(stamped.home, {})))
    credential = read_labels(signed, DEFAULT_LIMITS, own).credential
    assert credential is not None
    manifest = credential["store"]["manifests"][credential["label"]]
    actions = manifest["assertions"][0]["data"]
    assert [item["action"] for item in actions["actions"]] == ["c2pa.opened", "c2pa.transcoded"]
    assert actions["allActionsIncluded"] is False
    released = read_labels(stamped.audio, DEFAULT_LIMITS, own).credential
    assert released is not None
    assert [item["active_manifest"] for item in manifest["ingredients"]] == [released["label"]]
    report = shell.json("verify", signed, *home)
    assert report["verdict"] == "re-encoded"
    assert "credentials-valid" in [item["code"] for item in report["reasons"]]
    assert report["credential"]["manifest_id"] == document["credential"]["id"]
    assert report["credential"]["released_with"] == released["label"]
    shown = shell.json("credential", "show", signed, *home)
    assert (shown["state"], shown["claims"]["track_id"]) == ("trusted", stamped.track_id)


def test_what_is_not_the_track_is_not_signed(stamped: Stamped, tmp_path: Path, shell: Shell) -> None:
    foreign = write_audio(tmp_path / "foreign.mp3", make_music(3.0, seed=5))
    target = tmp_path / "signed.mp3"
    home = ("--home", stamped.home)
    refused = shell.json("credential", "sign", stamped.track_id, foreign, "--output", target, *home, code=2)
    assert "does not verify" in refused["detail"]
    shell.json("credential", "sign", "a" * 16, foreign, "--output", target, *home, code=2)
    shell.json("credential", "sign", stamped.track_id, foreign, "--output", foreign, *home, code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign.mp3", "ledger"]
    assert shell.json("log", "show", "--last", 1, *home)["size"] == 2


@pytest.mark.tool("ffmpeg")
@pytest.mark.parametrize("ending", ["m4a", "ogg"])
def test_what_cannot_be_decoded_or_embedded_in_has_its_way(
    stamped: Stamped, tmp_path: Path, shell: Shell, ending: str
) -> None:
    source, target = tmp_path / f"a.{ending}", tmp_path / f"signed.{ending}"
    subprocess.run(["ffmpeg", "-v", "error", "-i", stamped.audio, source], check=True, timeout=60)
    home = ("--home", stamped.home)
    sign = ("credential", "sign", stamped.track_id, source, "--output", target)
    if ending == "m4a":
        shell.json(*sign, *home, code=2)
    document = shell.json(*sign, "--unchecked", *home)
    beside = () if ending == "m4a" else ("--sidecar", document["sidecar"])
    assert shell.json("credential", "show", target, *beside, *home)["state"] == "trusted"
    if ending == "ogg":
        assert target.read_bytes() == source.read_bytes()
        assert shell.json("credential", "show", target, *home, code=1)["state"] == "unsupported"
