"""The ISCC Audio-Code: what others compute, near for another encoding, absent where it cannot be made."""

import base64
import json
import subprocess
from pathlib import Path

import pytest
import soundfile
from conftest import SAMPLE_RATE, Shell, Stamped, make_music, write_audio

from api.audiocode import can_code, code_features, code_file
from api.custody import check_custody
from api.decoding import DEFAULT_LIMITS
from api.disclosing import find_registration
from api.installation import open_installation
from api.release import name_asset
from api.settings import read_settings

pytest.importorskip("iscc_lib")
needs_fpcalc = pytest.mark.tool("fpcalc")


def count_different_bits(first: str, second: str) -> int:
    numbers = [int.from_bytes(base64.b32decode(code.removeprefix("ISCC:"))[2:]) for code in (first, second)]
    return (numbers[0] ^ numbers[1]).bit_count()


def test_the_code_of_nothing_is_that_of_the_standard() -> None:
    assert code_features([]) == "ISCC:EIAQAAAAAAAAAAAA"


@needs_fpcalc
def test_the_code_is_that_of_chromaprint_on_the_file_itself(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "song.wav", make_music(12.0, seed=3))
    command = ["fpcalc", "-raw", "-signed", "-json", "-length", "0", str(path)]
    # Debian's ends with an error at the end of every file, after it told what it found.
    told = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    assert code_file(path, DEFAULT_LIMITS) == code_features(told["fingerprint"])


@needs_fpcalc
def test_another_encoding_is_near_and_another_song_is_not(tmp_path: Path) -> None:
    song = make_music(12.0, seed=4)
    first = code_file(write_audio(tmp_path / "song.wav", song), DEFAULT_LIMITS)
    soundfile.write(tmp_path / "song.mp3", song.T, SAMPLE_RATE, format="MP3")
    second = code_file(tmp_path / "song.mp3", DEFAULT_LIMITS)
    other = code_file(write_audio(tmp_path / "other.wav", make_music(12.0, seed=5)), DEFAULT_LIMITS)
    assert first is not None
    assert second is not None
    assert other is not None
    assert count_different_bits(first, second) <= 6 < count_different_bits(first, other)


@needs_fpcalc
def test_a_clip_that_is_too_short_has_none(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "short.wav", make_music(1.0, seed=6))
    assert code_file(path, DEFAULT_LIMITS) is None


def test_without_chromaprint_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_audio(tmp_path / "song.wav", make_music(4.0, seed=7))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not can_code()
    assert code_file(path, DEFAULT_LIMITS) is None


@needs_fpcalc
def test_a_chromaprint_that_dies_costs_nothing_but_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_audio(tmp_path / "song.wav", make_music(8.0, seed=8))
    (tmp_path / "fpcalc").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "fpcalc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert can_code()
    assert code_file(path, DEFAULT_LIMITS) is None


@needs_fpcalc
def test_the_entry_of_a_track_states_the_code_of_its_file_and_identify_tells_it(
    stamped: Stamped, shell: Shell
) -> None:
    with open_installation(read_settings(stamped.home, {})) as installation:
        custody = check_custody(installation.store, installation.public, name_asset(stamped.track_id))
    event = find_registration(custody.events)
    assert event is not None
    code = code_file(stamped.audio, DEFAULT_LIMITS)
    assert event.statement.predicate["identifiers"] == {"iscc": code}
    assert shell.json("identify", stamped.audio, "--home", stamped.home)["iscc"] == code
