"""Tending the index: beside a service, and at the end of commands; what fails there fails nothing else."""

import time
from pathlib import Path

import pytest
from conftest import SAMPLE_RATE, Shell, Stamped, make_free_music, write_audio

from api import indexmerging
from api.catalogue import Catalogue
from api.errors import WriteError
from api.indextending import make_tender
from api.installation import Installation, open_installation
from api.leading import Lead
from api.settings import read_settings

WAIT_S = 30.0


@pytest.fixture(autouse=True)
def _all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexmerging, "SMALL_BYTES", 0)
    monkeypatch.setattr(indexmerging, "LEAST_BYTES", 0)


def add_songs(shell: Shell, home: Path, folder: Path, seeds: range) -> None:
    files = [write_audio(folder / f"{seed}.wav", make_free_music(3.0, seed=seed)) for seed in seeds]
    shell.json("fingerprint", "add", *files, "--home", home)


def count_segments(installation: Installation) -> int:
    return len(installation.catalogue.rows.list_segments())


def test_commands_that_add_merge_what_is_large(stamped: Stamped, tmp_path: Path, shell: Shell) -> None:
    add_songs(shell, stamped.home, tmp_path, range(4))
    with open_installation(read_settings(stamped.home, {})) as installation:
        # The stamped track is longer than all of them.
        assert count_segments(installation) == 2


def test_a_merge_that_fails_is_told_and_what_was_added_is_found(
    stamped: Stamped, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise WriteError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "tidy", fail)
        song = write_audio(tmp_path / "song.wav", make_free_music(6.0, seed=5))
        assert shell("fingerprint", "add", song, "--home", stamped.home)[0] == 0
        assert "could not be merged: no space left" in shell.errors
    assert shell.json("identify", song, "--home", stamped.home)["known"]


def test_a_service_merges_beside_its_work_and_goes_on_after_a_fault(
    stamped: Stamped, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidy, calls = Catalogue.tidy, 0

    def fail_once(self: Catalogue, **options: object) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a fault of ours")
        return tidy(self, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "tidy", lambda *_, **__: 0)
        add_songs(shell, stamped.home, tmp_path, range(4))
    settings = read_settings(stamped.home, {})
    with open_installation(settings) as installation:
        assert count_segments(installation) == 5
        monkeypatch.setattr(Catalogue, "tidy", fail_once)
        lead = Lead(settings)
        tender = make_tender(installation, lead, interval_s=0.01)
        tender.start()
        try:
            deadline = time.monotonic() + WAIT_S
            while count_segments(installation) > 2 and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            tender.close()
            lead.close()
        assert count_segments(installation) == 2
    assert calls > 1
    clip = write_audio(tmp_path / "clip.ogg", make_free_music(3.0, seed=2), SAMPLE_RATE)
    assert shell.json("identify", clip, "--home", stamped.home)["matches"][0]["name"] == "2"
