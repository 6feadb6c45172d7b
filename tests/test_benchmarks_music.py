"""The benchmark music: fixed splits, varied choice, fetching and its errors."""

import hashlib
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.fetch_music import fetch
from benchmarks.music import SPLITS, Track, choose, list_tracks, load, split_of, write_list
from benchmarks.tools import BenchmarkError


def make_track(package: str, number: int) -> Track:
    name = f"{number}.ogg"
    digest = hashlib.sha256(f"{package} {number}".encode()).hexdigest()
    return Track(f"{package}/{name}", package, f"music/{package}/{name}", 60.0, "test", "CC0", digest)


def make_package(folder: Path, package: str) -> None:
    """Build a Debian package with 45 s of tones, 5 s of tones, 45 s of silence and a copyright file."""
    tree = folder / "tree"
    music = tree / "usr/share/games/music"
    doc = tree / f"usr/share/doc/{package}"
    for path in (music, doc, tree / "DEBIAN"):
        path.mkdir(parents=True)
    (doc / "copyright").write_text("Files: *\nLicense: CC-BY-SA-3.0\n\nLicense: GPL-2+\n free text\n")
    control = f"Package: {package}\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\n"
    (tree / "DEBIAN/control").write_text(control + "Description: music\n")
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(45 * 8000) / 8000)
    soundfile.write(music / "long.wav", tone, 8000)
    soundfile.write(music / "short.wav", tone[: 5 * 8000], 8000)
    soundfile.write(music / "silent.wav", 0 * tone, 8000)
    (music / "broken.ogg").write_bytes(b"OggS but not audio")
    target = folder / f"{package}_1_all.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", tree, target], check=True, capture_output=True
    )
    shutil.rmtree(tree)


def test_a_tracks_split_never_changes() -> None:
    pinned = {
        "frontiers.mp3": "tune",
        "machine_wars.mp3": "dev",
        "music-game.ogg": "test",
        "vengeful.ogg": "dev",
        "track17.opus": "test",
        "gr1.ogg": "tune",
    }
    assert {name: split_of(name) for name in pinned} == pinned


def test_splits_are_thirds() -> None:
    counts = Counter(split_of(f"{number}.ogg") for number in range(3000))
    assert set(counts) == set(SPLITS)
    assert all(900 < count < 1100 for count in counts.values())


def test_choice_takes_packages_in_turn() -> None:
    tracks = [make_track(package, number) for package in ("a", "b", "c") for number in range(5)]
    chosen = choose(tracks, 6)
    assert {track.package for track in chosen[:3]} == {"a", "b", "c"}
    assert Counter(track.package for track in chosen) == {"a": 2, "b": 2, "c": 2}
    assert choose(list(reversed(tracks)), 6) == chosen


def test_tracks_are_listed_by_split(tmp_path: Path) -> None:
    tracks = [make_track("a", 1), make_track("a", 2)]
    write_list(tmp_path, tracks)
    assert list_tracks(tmp_path, split="test") == tracks
    assert list_tracks(tmp_path, split="tune") == []
    with pytest.raises(ValueError, match="expected split to be one of"):
        list_tracks(tmp_path, split="train")


def test_missing_music_names_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="fetch_music"):
        list_tracks(tmp_path)


@pytest.mark.tool("dpkg-deb")
@pytest.mark.tool("ffmpeg")
def test_fetching_keeps_long_sounding_tracks_and_can_be_repeated(tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None or shutil.which("apt-get") is None or shutil.which("ffmpeg") is None:
        pytest.skip("needs dpkg-deb, apt-get and ffmpeg")
    (tmp_path / "packages").mkdir()
    make_package(tmp_path / "packages", "titanion-data")
    tracks = fetch(tmp_path, megabytes=5)
    assert [track.name for track in tracks] == ["titanion-data/long.wav"]
    assert tracks[0].seconds == 45.0
    assert tracks[0].licence == "CC-BY-SA-3.0, GPL-2+"
    assert fetch(tmp_path, megabytes=5) == tracks
    audio = load(tracks[0], tmp_path, start_s=2.0, seconds=3.0)
    assert audio.shape == (2, 3 * 44_100)
    assert audio.dtype == np.float32
    # Mono spreads over both channels at the same power, 3 dB down on each.
    assert np.array_equal(audio[0], audio[1])
    assert np.abs(audio).max() == pytest.approx(0.3 / np.sqrt(2), rel=0.01)


@pytest.fixture
def say_apt_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put an apt-get in front of the system's that only fails, with the given words."""
    if shutil.which("dpkg") is None or shutil.which("ffmpeg") is None:
        pytest.skip("needs dpkg and ffmpeg")
    tools = tmp_path / "bin"
    tools.mkdir()
    apt_get = tools / "apt-get"
    apt_get.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    return lambda words: apt_get.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 100\n")


@pytest.mark.tool("ffmpeg")
def test_fetching_without_a_network_says_so_and_keeps_what_there_is(
    tmp_path: Path, say_apt_get: Callable[[str], None]
) -> None:
    say_apt_get("E: Could not resolve host")
    write_list(tmp_path, [make_track("a", 1)])
    with pytest.raises(BenchmarkError, match=r"no network.*the 1 tracks.*Could not resolve host"):
        fetch(tmp_path, megabytes=5)
    assert list_tracks(tmp_path) == [make_track("a", 1)]


@pytest.mark.tool("ffmpeg")
def test_packages_that_a_release_lacks_are_left_out(
    tmp_path: Path, say_apt_get: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    say_apt_get("E: Unable to locate package titanion-data")
    with pytest.raises(BenchmarkError, match="apt-get update"):
        fetch(tmp_path, megabytes=5)
    assert "titanion-data: not in this system" in capsys.readouterr().err
    write_list(tmp_path, [make_track("a", 1)])
    assert fetch(tmp_path, megabytes=5) == [make_track("a", 1)]
