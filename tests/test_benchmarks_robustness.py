"""The measuring benchmarks end to end, on synthetic music: trials, counts, tables, files."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from benchmarks import audibility, false_alarms, robustness
from benchmarks.audibility import find_silence
from benchmarks.false_alarms import MARKED, UNMARKED, count_alarms
from benchmarks.hard_signals import MAKERS, SAMPLES, make_signal
from benchmarks.music import Track, write_list
from benchmarks.report import run_main
from benchmarks.robustness import count_one, format_cell
from benchmarks.systems import EXACT, NONE, Provenote, Reading, open_peer
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
    arguments = ["--tracks", "2", "--clips", "15", "--jobs", "1", "--attacks", "none;side only"]
    assert run(robustness, cache, tmp_path, monkeypatch, *arguments) == 0
    result = json.loads((tmp_path / "robustness-test.json").read_text())
    outcomes = {(row["name"], row["id"]["attack"]): row["outcome"] for row in result["trials"]}
    assert outcomes["made/1.flac", "none"] == EXACT
    assert outcomes["made/2.flac", "none"] == EXACT
    assert outcomes["made/2.flac", "side only"] == "void"
    assert result["families"] == [
        {
            "family": "plain",
            "system": "provenote",
            "clip_s": 15.0,
            **count_one(Counter(outcomes.values())),
        }
    ]
    assert (tmp_path / "robustness-test.png").read_bytes().startswith(b"\x89PNG")
    assert "wrong payloads: 0" in capsys.readouterr().out

    def refuse(trial: object) -> None:
        raise AssertionError(f"{trial} was made twice")

    monkeypatch.setattr(robustness, "make_trial", refuse)
    assert run(robustness, cache, tmp_path, monkeypatch, *arguments) == 0
    again = json.loads((tmp_path / "robustness-test.json").read_text())
    assert again["families"] == result["families"]


def test_false_alarms_finds_none_and_counts_all(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        run(false_alarms, cache, tmp_path, monkeypatch, "--queries", "1", "--clip", "8", "--jobs", "1") == 0
    )
    result = json.loads((tmp_path / "false_alarms-test.json").read_text())
    assert (result["detected"], result["payloads"], len(result["trials"])) == (0, 0, 4)
    assert {row["id"]["kind"] for row in result["trials"]} == {MARKED, UNMARKED}


@pytest.mark.parametrize("options", [["--attacks", "magic"], ["--families", "magic"], ["--peer", "magic=x"]])
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
    honest = [{"id": {"kind": UNMARKED}, "p": (number + 0.5) / 1000} for number in range(1000)]
    boastful = [{"id": {"kind": MARKED}, "p": row["p"] ** 2} for row in honest]
    counts = {(row["kind"], row["p"]): row for row in count_alarms(honest + boastful)}
    assert counts[UNMARKED, 0.1]["count"] == 100
    assert counts[UNMARKED, 0.1]["chance_of_so_many"] > 0.3
    assert counts[MARKED, 0.01]["count"] == 100
    assert counts[MARKED, 0.01]["chance_of_so_many"] < 1e-9


def test_void_trials_do_not_count_and_wrong_ones_show() -> None:
    cell = count_one(Counter({"exact": 3, "none": 1, "void": 5, "wrong": 1}))
    assert (cell["trials"], cell["rate"]) == (5, 0.6)
    assert format_cell(cell) == "60 % 3/5 !1 wrong"
    assert format_cell(count_one(Counter({"void": 2}))) == "-"


def test_a_reading_under_another_secret_is_none(music: Callable[..., Audio]) -> None:
    system, audio = Provenote(), music(15.0, seed=6)
    marked = system.mark(audio, sample_rate=RATE, secret=b"one")
    assert system.read(marked, sample_rate=RATE, secret=b"one").outcome == EXACT
    other: Reading = system.read(marked, sample_rate=RATE, secret=b"two")
    assert other.outcome == NONE
    assert other.facts["p"] > 1e-4


def test_a_peer_without_its_program_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="no-such-program"):
        open_peer("audiowmark=no-such-program")
    with pytest.raises(BenchmarkError, match="expected a peer as"):
        open_peer("audiowmark")


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
