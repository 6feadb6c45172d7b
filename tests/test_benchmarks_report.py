"""Tables, result files and the log of trials."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from benchmarks.tools import BenchmarkError
from benchmarks.trials import TrialLog, run_trials


def test_a_table_prints_every_cell_however_narrow_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    cells = ["a name of a piece of music that is long", "97 % 29/30", "100 % 30/30"]
    show_table("title of the table", ["piece", "5 s", "30 s"], [cells], note="wrong payloads: 0")
    printed = capsys.readouterr().out
    assert all(text in printed for text in [*cells, "title of the table", "wrong payloads: 0", "5 s"])


def test_a_result_names_command_seed_machine_and_versions(tmp_path: Path) -> None:
    options = make_parser("test").parse_args(["--seed", "7", "--output", str(tmp_path)])
    write_json(tmp_path / "deep" / "x.json", "x", describe_run(options), {"rows": [1, 2]})
    result = json.loads((tmp_path / "deep" / "x.json").read_text())
    assert result["benchmark"] == "x"
    assert result["rows"] == [1, 2]
    assert result["run"]["options"]["seed"] == "7"
    assert result["run"]["machine"]["cpu"]
    assert result["run"]["versions"]["numpy"]
    assert result["run"]["command"].startswith("python -m benchmarks.")
    assert not list(tmp_path.rglob("*.new"))


def test_progress_passes_items_on_and_tells_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(show_progress(iter("abc"), total=3, what="letters")) == ["a", "b", "c"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "letters: 3 of 3" in captured.err


def test_what_is_missing_ends_in_one_line_and_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    def measure() -> None:
        raise BenchmarkError("expected music, got none")

    assert run_main(measure) == 3
    assert capsys.readouterr().err == "benchmark: expected music, got none\n"


def identify(number: int) -> dict[str, Any]:
    return {"number": number}


def make(number: int) -> dict[str, Any]:
    return {"id": identify(number), "square": number**2}


def refuse(number: int) -> dict[str, Any]:
    raise AssertionError(f"trial {number} was made twice")


@pytest.mark.parametrize("jobs", [1, 2])
def test_trials_done_are_not_made_again(tmp_path: Path, jobs: int) -> None:
    path = tmp_path / "log.jsonl"
    first = list(run_trials([1, 2, 3], TrialLog(path), identify=identify, make=make, jobs=jobs))
    assert sorted(row["square"] for row in first) == [1, 4, 9]
    again = list(run_trials([3, 1, 2], TrialLog(path), identify=identify, make=refuse, jobs=jobs))
    assert [row["square"] for row in again] == [9, 1, 4]


def test_an_interrupted_run_goes_on_after_half_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.jsonl"
    list(run_trials([1, 2], TrialLog(path), identify=identify, make=make, jobs=1))
    path.write_bytes(path.read_bytes()[:-9])
    log = TrialLog(path)
    assert "line 2 is not a trial" in capsys.readouterr().err
    assert log.find(identify(2)) is None
    list(run_trials([1, 2, 3], log, identify=identify, make=make, jobs=1))
    assert sorted(row["square"] for row in TrialLog(path).done.values()) == [1, 4, 9]


def test_a_stopped_run_keeps_what_was_made(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    run = run_trials([1, 2, 3], TrialLog(path), identify=identify, make=make, jobs=1)
    next(run)
    run.close()
    assert list(TrialLog(path).done) == ['{"number": 1}']
