"""Screening a data set: every file in its class, hostile ones too, resumable, and signed so that it shows."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dying_worker
import numpy as np
import pytest
import soundfile
from conftest import SAMPLE_RATE, Audio, Shell, Stamped, make_music, write_audio

import api.screening
from api.assembly import assemble
from api.dataset import FILE, NO_ACCESS, SPECIAL, SYMLINK, format_path, list_items, parse_path
from api.errors import ManifestError, RefusedError, StoppedError, WriteError
from api.installation import make_installation, open_installation
from api.issuing import stamp
from api.journal import Journal
from api.manifest import ROWS_NAME, open_manifest
from api.outcomes import BAD
from api.screening import JOURNAL_NAME, screen
from api.settings import read_settings

ROOT = Path(__file__).parent.parent

NOBODY = 65534


@pytest.fixture(scope="module")
def stamped_once(tmp_path_factory: pytest.TempPathFactory) -> Stamped:
    """A ledger with one short recording, in place of the longer one of other files."""
    folder = tmp_path_factory.mktemp("short")
    source = write_audio(folder / "song.flac", make_music(6.0, seed=1, channels=1), subtype="PCM_24")
    settings = read_settings(folder / "ledger", {})
    make_installation(settings, origin="test.example/log")
    with open_installation(settings) as installation:
        issued = stamp(installation, source)
    return Stamped(settings.home, source, issued.audio, issued.track_id, issued.entry_index, "")


def make_noise(path: Path, seed: int, seconds: float = 0.5) -> Path:
    """Sound that is like nothing else."""
    rng = np.random.default_rng(seed)
    audio = 0.1 * rng.standard_normal((1, round(seconds * SAMPLE_RATE))) * rng.uniform(0.2, 1)
    return write_audio(path, audio.astype(np.float32), subtype="PCM_16")


def make_tune(seed: int, seconds: float = 7.0) -> Audio:
    """Short tones of any pitch: sound that has a fingerprint."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(0.3 * SAMPLE_RATE)) / SAMPLE_RATE
    audio = 1e-4 * rng.standard_normal(round(seconds * SAMPLE_RATE))
    for start in range(0, audio.size - time_s.size, SAMPLE_RATE // 11):
        for frequency in rng.uniform(200, 4_000, 2):
            tone = 0.1 * np.exp(-8 * time_s) * np.sin(2 * np.pi * frequency * time_s)
            audio[start : start + time_s.size] += tone
    return audio[None].astype(np.float32)


@pytest.fixture(scope="module")
def dataset_once(stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of everything."""
    folder = tmp_path_factory.mktemp("set")
    (folder / "deep" / "er").mkdir(parents=True)
    shutil.copy(stamped_once.audio, folder / "deep" / "er" / "ours.flac")
    shutil.copy(stamped_once.source, folder / "source.flac")
    noise = make_noise(folder / "noise.wav", 1)
    shutil.copy(noise, folder / "same-bytes.wav")
    frames, rate = soundfile.read(noise, dtype="int16")
    soundfile.write(folder / "same-samples.flac", frames, rate)
    make_noise(folder / "other.wav", 2)
    tune = make_tune(1)
    write_audio(folder / "tune.wav", tune, subtype="PCM_16")
    write_audio(folder / "tune again.ogg", 0.7 * tune)
    write_audio(folder / "tune, a part.wav", tune[:, SAMPLE_RATE : round(5.5 * SAMPLE_RATE)])
    write_audio(folder / "tune, another.wav", make_tune(2, 4.5))
    (folder / "notes.txt").write_text("no audio")
    (folder / "empty.mp3").touch()
    (folder / "cut.flac").write_bytes((folder / "source.flac").read_bytes()[:200])
    (folder / "up").symlink_to(folder.parent)
    (folder / "passwords.wav").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.wav")
    shutil.copy(folder / "other.wav", os.path.join(os.fsencode(folder), b"\xff\n.wav"))  # noqa: PTH118
    return folder


CLASSES = {
    "\\xff\n.wav": ("duplicate", None),
    "cut.flac": ("unreadable", None),
    "deep/er/ours.flac": ("stamped", "exact"),
    "empty.mp3": ("unreadable", None),
    "noise.wav": ("unknown", "nothing-found"),
    "notes.txt": ("unreadable", None),
    "other.wav": ("unknown", "nothing-found"),
    "passwords.wav": ("skipped", None),
    "pipe.wav": ("skipped", None),
    "same-bytes.wav": ("duplicate", "nothing-found"),
    "same-samples.flac": ("duplicate", "nothing-found"),
    "source.flac": ("known", "unmarked-original"),
    "tune again.ogg": ("unknown", "nothing-found"),
    "tune, a part.wav": ("unknown", "nothing-found"),
    "tune, another.wav": ("unknown", "nothing-found"),
    "tune.wav": ("duplicate", "nothing-found"),
    "up": ("skipped", None),
}


@pytest.fixture(scope="module")
def screened(stamped_once: Stamped, dataset_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of that folder."""
    output = tmp_path_factory.mktemp("manifest") / "out"
    with open_installation(read_settings(stamped_once.home, {})) as installation:
        screen(installation, dataset_once, output)
    return output


def read_rows(output: Path) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in map(json.loads, (output / ROWS_NAME).read_text().splitlines())}


def test_every_file_is_in_its_class(screened: Path) -> None:
    rows = read_rows(screened)
    assert {path: row["class"] for path, row in rows.items()} == {
        path: kind for path, (kind, _) in CLASSES.items()
    }
    for path, (_, verdict) in CLASSES.items():
        assert verdict is None or rows[path]["verdict"] == verdict, path
    assert rows["noise.wav"]["duplicate_of"] is None
    assert {rows[path]["duplicate_of"] for path in ("same-bytes.wav", "same-samples.flac")} == {"noise.wav"}
    assert rows["same-bytes.wav"]["sha256"] == rows["noise.wav"]["sha256"]
    assert rows["same-samples.flac"]["sha256"] != rows["noise.wav"]["sha256"]
    assert rows["same-samples.flac"]["pcm_sha256"] == rows["noise.wav"]["pcm_sha256"]
    codes = {path: row["code"] for path, row in rows.items() if "code" in row}
    assert codes["notes.txt"] == "not-audio"
    assert codes["empty.mp3"] == "empty"
    assert codes["passwords.wav"] == codes["up"] == "symlink"
    assert codes["pipe.wav"] == "special"
    assert rows["notes.txt"]["sha256"] is not None


def test_the_same_sound_is_found_under_other_samples_and_a_part_is_told_from_the_whole(
    screened: Path,
) -> None:
    rows = read_rows(screened)
    assert rows["tune.wav"]["duplicate_of"] == "tune again.ogg"
    assert rows["tune.wav"]["same"] == "sound"
    assert rows["same-bytes.wav"]["same"] == "bytes"
    assert rows["same-samples.flac"]["same"] == "samples"
    assert rows["tune, a part.wav"]["shares_sound_with"] == ["tune again.ogg", "tune.wav"]
    assert "shares_sound_with" not in rows["tune, another.wav"]
    assert not (screened / "sounds").exists()


def test_the_manifest_is_signed_and_any_change_shows(
    stamped_once: Stamped, screened: Path, tmp_path: Path
) -> None:
    with open_installation(read_settings(stamped_once.home, {})) as installation:
        keys = installation.public.reports
        issuers = installation.public.issuers
    found = open_manifest(screened, keys)
    assert found.predicate["rows"] == len(found.rows) == len(CLASSES)
    assert found.predicate["classes"]["duplicate"] == 4
    assert str(stamped_once.home) not in json.dumps(dict(found.predicate))
    with pytest.raises(ManifestError):
        open_manifest(screened, issuers)
    for name, change in (
        (ROWS_NAME, lambda text: text.replace('"stamped"', '"unknown"')),
        (ROWS_NAME, lambda text: text.split("\n", 1)[1]),
        (ROWS_NAME, lambda text: text + "{}\n"),
        ("manifest.json", lambda text: text.replace("sig", "gis")),
    ):
        copy = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(screened, copy)
        (copy / name).write_text(change((copy / name).read_text()))
        with pytest.raises(ManifestError):
            open_manifest(copy, keys)


def test_the_commands_check_the_files_too(
    shell: Shell, stamped_once: Stamped, dataset_once: Path, screened: Path, tmp_path: Path
) -> None:
    where = ("--home", stamped_once.home)
    dataset = tmp_path / "set"
    shutil.copytree(dataset_once, dataset, symlinks=True, ignore=shutil.ignore_patterns("pipe.wav"))
    assert shell.json("check-manifest", screened, "--dataset", dataset, *where)["ok"]
    (dataset / "other.wav").write_bytes(b"x" * (dataset / "other.wav").stat().st_size)
    (dataset / "noise.wav").unlink()
    (dataset / "new.wav").touch()
    found = shell.json("check-manifest", screened, "--dataset", dataset, *where, code=BAD)
    assert found["differences"] == {
        "missing": ["noise.wav"],
        "changed": ["other.wav"],
        "not in the manifest": ["new.wav"],
    }
    code, text = shell("check-manifest", screened, *where)
    assert code == 0
    assert text.startswith("holds")


def test_what_was_screened_is_not_listened_to_again(
    stamped_once: Stamped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = tmp_path / "set", tmp_path / "out"
    folder.mkdir()
    for seed in range(3):
        make_noise(folder / f"{seed}.wav", seed, 0.5 + 0.1 * seed)
    listened: list[bytes] = []

    def count(work: Callable[..., Any], items: list[Any], cancelled: Callable[[], bool]) -> Any:
        for item in items:
            if len(listened) == 2:
                raise StoppedError("stopped")
            listened.append(item.path)
            yield item, {**format_path(item.path), "class": "unknown", "pcm_sha256": None, "n": len(listened)}

    monkeypatch.setattr(api.screening.Crew, "run", lambda _, *arguments: count(*arguments))
    with open_installation(read_settings(stamped_once.home, {})) as installation:
        with pytest.raises(StoppedError):
            screen(installation, folder, output)
        listened.clear()
        (folder / "0.wav").write_bytes((folder / "2.wav").read_bytes()[:9000])
        found = screen(installation, folder, output)
    assert listened == [b"0.wav", b"2.wav"]
    assert found.resumed == 2
    assert [row["n"] for row in found.rows] == [1, 2, 2]


def test_a_killed_screening_goes_on_leaves_no_process_and_names_what_is_ours(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    folder, output = tmp_path / "set", tmp_path / "out"
    folder.mkdir()
    for seed in range(4):
        make_noise(folder / f"{seed}.wav", seed, 1.0 + 0.01 * seed)
    shutil.copy(stamped.audio, folder / "evil\x1b[2J.flac")
    arguments = ["screen", folder, "-o", output, "--workers", "1", "--home", stamped.home]
    process = subprocess.Popen(
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    journal = output / JOURNAL_NAME
    while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    code, text = shell(*arguments)
    assert code == BAD
    assert "files had been screened before" in shell.errors
    assert not journal.exists()
    assert "\x1b[2J" not in text
    assert f"evil\\x1b[2J.flac: exact, track {stamped.track_id}" in text
    assert [row["class"] for row in read_rows(output).values()] == ["unknown"] * 4 + ["stamped"]
    # The worker of the killed one has ended by itself.
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    code, _ = shell(*arguments)
    assert "finished manifest" in shell.errors


def test_a_worker_that_dies_of_a_file_costs_that_file_alone(
    stamped_once: Stamped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text("x" * (number + 1))
    monkeypatch.setattr(api.screening, "start_worker", dying_worker.start)
    monkeypatch.setattr(api.screening, "screen_item", dying_worker.listen)
    with open_installation(read_settings(stamped_once.home, {})) as installation:
        found = screen(installation, folder, tmp_path / "out", workers=2)
    assert [row["code"] for row in found.rows] == ["fine", "crashed", "fine", "fine"]


def test_a_journal_survives_being_cut_anywhere_and_ends_with_its_context(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "set" / name).write_text(name)
    items = list_items(tmp_path / "set")
    path = tmp_path / JOURNAL_NAME
    with Journal.open(path, {"log_size": 1}) as journal:
        for item in items:
            journal.add(item, {"path": item.path.decode()})
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        with Journal.open(path, {"log_size": 1}) as journal:
            found = [journal.find(item) for item in items]
            lines = max(0, whole[:length].count(b"\n") - 1)
            assert [row is not None for row in found] == [number < lines for number in range(3)]
            journal.add(items[2], {"path": "again"})
        with Journal.open(path, {"log_size": 1}) as journal:
            assert journal.find(items[2]) == {"path": "again"}
    path.write_bytes(whole)
    with Journal.open(path, {"log_size": 2}) as journal:
        assert journal.count == 0


def test_links_and_special_files_are_listed_and_never_opened(dataset_once: Path, tmp_path: Path) -> None:
    items = {item.path: item for item in list_items(dataset_once)}
    assert items[b"up"].kind == items[b"passwords.wav"].kind == SYMLINK
    assert items[b"pipe.wav"].kind == SPECIAL
    assert items[b"deep/er/ours.flac"].kind == FILE
    assert list(items) == sorted(items)
    assert b"deep/er/ours.flac" not in {
        item.path for item in list_items(dataset_once, leave_out=(dataset_once / "deep",))
    }
    assert all(parse_path(format_path(path)) == path for path in items)
    with pytest.raises(OSError, match="No such file"):
        list_items(tmp_path / "none")


def test_a_folder_that_cannot_be_read_is_listed() -> None:
    owner = os.geteuid()
    # Not below pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "closed").mkdir(mode=0)
        try:
            if owner == 0:
                os.seteuid(NOBODY)  # root reads everything
            kinds = [item.kind for item in list_items(folder)]
        finally:
            os.seteuid(owner)
    assert kinds == [NO_ACCESS]


def test_an_output_that_is_not_ours_is_left_alone(stamped_once: Stamped, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with open_installation(read_settings(stamped_once.home, {})) as installation:
        with pytest.raises(RefusedError, match="new folder"):
            screen(installation, tmp_path, tmp_path)
        with pytest.raises(WriteError):
            screen(installation, tmp_path, tmp_path / "mine.txt")


def test_an_empty_folder_has_an_empty_manifest(stamped_once: Stamped, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with open_installation(read_settings(stamped_once.home, {})) as installation:
        found = screen(installation, tmp_path / "set", tmp_path / "out")
        assert found.rows == open_manifest(tmp_path / "out", installation.public.reports).rows == ()
    assert list(assemble([], {}, {}, {})) == []
