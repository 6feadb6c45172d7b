"""The measuring benchmarks end to end, on synthetic music: trials, counts, tables, files."""

import dataclasses
import hashlib
import inspect
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import watermark
from benchmarks import audibility, false_alarms, robustness
from benchmarks.alarms import KINDS, MARKED, UNMARKED, count_alarms
from benchmarks.audibility import find_silence
from benchmarks.false_alarms import walk
from benchmarks.hard_signals import MAKERS, SAMPLES, make_signal
from benchmarks.marking import open_system
from benchmarks.music import Track, write_list
from benchmarks.rates import count_one
from benchmarks.report import run_main
from benchmarks.systems import EXACT, NONE, WRONG, CandidateTest, PlacedTest, Provenote, Reading, derive
from benchmarks.tools import BenchmarkError

Audio = NDArray[np.float32]
RATE = 44_100
pytestmark = pytest.mark.tool("ffmpeg")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, music: Callable[..., Audio]) -> Path:
    """A music cache of two synthetic tracks of 16 s, one of them mono."""
    folder = tmp_path_factory.mktemp("cache")
    tracks = []
    for number, channels in ((1, 2), (2, 1)):
        path = folder / f"{number}.flac"
        soundfile.write(path, music(16.0, seed=20 + number, channels=channels).T, RATE)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        tracks.append(Track(f"made/{number}.flac", f"made-{number}", path.name, 16.0, "test", "made", digest))
    write_list(folder, tracks)
    return folder


def run(module: object, cache: Path, output: Path, patch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a benchmark's command line."""
    patch.setattr("sys.argv", ["benchmark", "--cache", str(cache), "--output", str(output), *arguments])
    return run_main(module.measure)  # type: ignore[attr-defined]


def test_robustness_counts_every_trial_and_resumes(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--tracks 2 --clips 8 --jobs 1 --candidate"
    arguments = [*options.split(), "--attacks", "none;side only"]
    assert run(robustness, cache, tmp_path, monkeypatch, *arguments) == 0
    result = json.loads((tmp_path / "robustness-test.json").read_text())
    read = [row for row in result["trials"] if "outcome" in row]
    for system in ("provenote", "provenote-candidate"):
        outcomes = {
            (row["name"], row["id"]["attack"]): row["outcome"]
            for row in read
            if row["id"]["system"] == system
        }
        assert outcomes["made/1.flac", "none"] == EXACT
        assert outcomes["made/2.flac", "none"] == EXACT
        assert outcomes["made/2.flac", "side only"] == "void"
        counts = {
            "family": "plain",
            "system": system,
            "clip_s": 8.0,
            "target": None,  # none was set for this length
            **count_one(Counter(outcomes.values())),
        }
        assert counts in result["families"]
    assert all(row["p_other"] > 1e-6 for row in read if "p_other" in row)
    assert result["audibility"]["provenote"]["sections"] == 2
    assert "provenote-candidate" not in result["audibility"]
    assert [row["name"] for row in result["rows"]] == ["none", "side only"]
    for name in ("robustness-test.png", "robustness-test-roc.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert "wrong payloads: provenote 0, provenote-candidate 0" in capsys.readouterr().out

    def refuse(trial: object) -> None:
        raise AssertionError(f"{trial} was made twice")

    monkeypatch.setattr(robustness, "make_trial", refuse)
    assert run(robustness, cache, tmp_path, monkeypatch, *arguments) == 0
    again = json.loads((tmp_path / "robustness-test.json").read_text())
    assert again["families"] == result["families"]


def test_code_that_changes_during_a_run_ends_it(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--tracks", "2", "--clips", "5", "--jobs", "1", "--attacks", "none"]
    plan = robustness.plan_trials

    def plan_other_code(*given: object) -> list[robustness.Trial]:
        return [dataclasses.replace(trial, code="0" * 16) for trial in plan(*given)]  # type: ignore[arg-type]

    monkeypatch.setattr(robustness, "plan_trials", plan_other_code)
    assert run(robustness, cache, tmp_path, monkeypatch, *arguments) == 3
    assert not (tmp_path / "robustness-test.json").exists()


def test_a_published_list_names_its_rows_and_what_it_lacks(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--list", "raw-bench", "--families", "raw: filters", "--short", "--clips", "6"]
    assert run(robustness, cache, tmp_path, monkeypatch, *arguments, "--tracks", "2", "--jobs", "1") == 0
    result = json.loads((tmp_path / "robustness-test-raw-bench-short.json").read_text())
    assert result["rows"] == [
        {
            "name": "raw: equaliser",
            "family": "raw: filters",
            "source": "RAW-Bench strict",
            "parameter": "24 Bark bands, +-0.375 to 0.75 nepers",
        }
    ]
    assert any("DAC" in name for name in result["lists"]["raw-bench"]["left_out"])
    assert "raw-bench lacks DAC 44 kHz" in capsys.readouterr().out


def test_false_alarms_finds_none_and_counts_all(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "--hours 0.005 --wrong-keys 1 --wrong-payloads 1 --clip 6 --jobs 1"
    arguments = options.split()
    assert run(false_alarms, cache, tmp_path, monkeypatch, *arguments) == 0
    result = json.loads((tmp_path / "false_alarms-test.json").read_text())
    assert (result["detected"], result["payloads"]) == (0, 0)
    queries = {row["kind"]: row["queries"] for row in result["summary"]}
    assert queries == dict(zip(KINDS, (3, 1, 1), strict=True))
    assert all(row["cpu_s_per_hour"] > 0 for row in result["summary"])
    assert (tmp_path / "false_alarms-test.png").read_bytes().startswith(b"\x89PNG")

    def refuse(stretch: object) -> None:
        raise AssertionError(f"{stretch} was made twice")

    monkeypatch.setattr(false_alarms, "make_stretch", refuse)
    assert run(false_alarms, cache, tmp_path, monkeypatch, *arguments) == 0
    again = json.loads((tmp_path / "false_alarms-test.json").read_text())
    assert again["counts"] == result["counts"]


def test_the_walk_covers_all_music_each_turn_on_another_grid() -> None:
    tracks = [Track(f"{n}", "p", "p", seconds, "test", "", str(n)) for n, seconds in enumerate((40.0, 700.0))]
    steps = walk(tracks, 15.0, seed=1)
    turns: dict[int, list[tuple[str, float, int]]] = {}
    for track, turn, start_s, clips in steps:
        if turn == 3:
            break
        turns.setdefault(turn, []).append((track.name, start_s, clips))
        assert start_s + clips * 15.0 <= track.seconds
        assert clips * 15.0 <= false_alarms.STRETCH_S
    assert all(sum(clips for name, _, clips in some if name == "1") >= 45 for some in turns.values())
    assert len({some[0][1] for some in turns.values()}) == 3  # other places each turn


@pytest.mark.parametrize(
    "options",
    [
        ["--attacks", "magic"],
        ["--families", "magic"],
        ["--peer", "magic=x"],
        ["--peer", "provenote"],
        ["--strengths", "strong"],
        ["--clips", "short"],
    ],
)
def test_unknown_names_on_the_command_line_end_in_code_3(
    options: list[str], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(robustness, cache, tmp_path, monkeypatch, *options) == 3


def test_audibility_measures_a_marked_piece(music: Callable[..., Audio]) -> None:
    piece = audibility.Piece("made", "track", music(6.0, seed=5), b"secret")
    row = audibility.measure_piece(piece, "provenote")
    assert row["odg"] > -2
    assert 10 < row["snr_db"] < 60
    assert (row["clipped"], row["silence_broken"]) == (0, 0)


def test_digital_silence_is_found_and_zero_crossings_are_not() -> None:
    audio = np.ones((2, 20_000), dtype=np.float32)
    audio[:, 5_000:12_000] = 0
    audio[:, 15_000:15_010] = 0
    audio[0, 17_000:] = 0
    silent = np.flatnonzero(find_silence(audio))
    assert silent.min() >= 5_000
    assert silent.max() < 12_000
    assert len(silent) > 2_000


def test_p_values_that_are_too_small_are_exposed() -> None:
    honest = [{"kind": UNMARKED, "p": (number + 0.5) / 1000} for number in range(1000)]
    boastful = [{"kind": MARKED, "p": row["p"] ** 2} for row in honest]
    counts = {(row["kind"], row["p"]): row for row in count_alarms(honest + boastful)}
    assert counts[UNMARKED, 0.1]["count"] == 100
    assert counts[UNMARKED, 0.1]["chance_of_so_many"] > 0.3
    assert counts[MARKED, 0.01]["count"] == 100
    assert counts[MARKED, 0.01]["chance_of_so_many"] < 1e-9


def test_a_reading_under_another_secret_is_none(music: Callable[..., Audio]) -> None:
    system, audio = Provenote(), music(8.0, seed=6)
    marked = system.mark(audio, sample_rate=RATE, secret=b"one")
    assert system.read(marked, sample_rate=RATE, secret=b"one").outcome == EXACT
    other: Reading = system.read(marked, sample_rate=RATE, secret=b"two")
    assert other.outcome == NONE
    assert other.facts["p"] > 1e-4


def test_the_candidate_test_is_absent_for_another_mark(music: Callable[..., Audio]) -> None:
    system, audio = CandidateTest(), music(6.0, seed=6)
    marked = system.mark(audio, sample_rate=RATE, secret=b"one")
    present = system.read(marked, sample_rate=RATE, secret=b"one")
    assert present.outcome == EXACT
    assert present.facts["p"] < 1e-6 < present.facts["p_other"]
    assert system.read(audio, sample_rate=RATE, secret=b"one").outcome == NONE
    # The control fails where the other payload is the one in the clip.
    options = {"sample_rate": RATE, "watermark_key": derive(b"one", "watermark key", 32)}
    other = watermark.embed(audio, **options, payload=derive(b"one", "another payload", 8))
    assert system.read(other, sample_rate=RATE, secret=b"one").outcome == WRONG


def test_the_placed_test_tells_weaker_marks_than_the_search(music: Callable[..., Audio]) -> None:
    searched, placed, audio = CandidateTest(), PlacedTest(), music(12.0, seed=6)
    marked = placed.mark(audio, sample_rate=RATE, secret=b"one")[:, 4 * RATE : 9 * RATE]
    noise = np.random.default_rng(1).standard_normal(marked.shape).astype(np.float32)
    noisy = marked + noise * (0.2 * marked.std())
    with_place = placed.read(noisy, sample_rate=RATE, secret=b"one")
    without = searched.read(noisy, sample_rate=RATE, secret=b"one")
    assert with_place.outcome == EXACT
    assert with_place.facts["p"] < 1e-2 * without.facts["p"]
    assert with_place.facts["p_other"] > 1e-6
    # Sound that is not the recording's is searched alone.
    other = music(5.0, seed=8)
    alone = placed.read(other, sample_rate=RATE, secret=b"one")
    assert alone.outcome == NONE
    assert alone.facts["p"] == pytest.approx(
        min(1.0, 2 * searched.read(other, sample_rate=RATE, secret=b"one").facts["p"])
    )


def test_a_strength_is_set_or_refused(music: Callable[..., Audio]) -> None:
    if "strength" not in inspect.signature(watermark.embed).parameters:
        with pytest.raises(BenchmarkError, match=f"profile {watermark.PROFILE.name} without one"):
            open_system("provenote@1.5")
        return
    with pytest.raises(BenchmarkError, match="expected a strength of"):
        open_system("provenote@1000")
    audio = music(6.0, seed=7)
    change = [
        open_system(f"provenote@{strength}").mark(audio, sample_rate=RATE, secret=b"one") - audio
        for strength in (0.7, 1.4)
    ]
    assert np.linalg.norm(change[0]) < 0.9 * np.linalg.norm(change[1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("audiowmark=no-such-program", "no-such-program"),
        ("perth=no-such-python", "no-such-python"),
        ("perth@2=python", "expected a system as"),
        ("audiowmark", "expected a system as"),
        ("provenote=x", "expected a system as"),
    ],
)
def test_a_system_that_cannot_run_is_refused(name: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        open_system(name)


def test_a_peer_that_is_not_installed_says_what_is_missing() -> None:
    with pytest.raises(BenchmarkError, match="No module named"):
        open_system(f"aware={sys.executable}")


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "speech"])
def test_hard_signals_are_seeded_and_within_full_scale(name: str) -> None:
    signal = make_signal(name, seed=1)
    assert signal.shape == (2, SAMPLES)
    assert 0 < np.abs(signal).max() <= 1
    assert np.array_equal(signal, make_signal(name, seed=1))


def test_the_bass_signal_is_bass_and_the_quiet_one_quiet() -> None:
    spectrum = np.abs(np.fft.rfft(make_signal("bass only", seed=1)[0])) ** 2
    assert spectrum[(800 * 20) :].sum() < 1e-4 * spectrum.sum()
    assert 20 * np.log10(np.sqrt(np.mean(make_signal("near-silence", seed=1) ** 2))) < -55
