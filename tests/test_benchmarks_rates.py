"""Counting of trials: shares with intervals, targets, peers clip by clip, and what is drawn of them."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import plots
from benchmarks.attacks import TABLE
from benchmarks.rates import (
    compare_readings,
    count_detections,
    count_one,
    count_outcomes,
    count_totals,
    find_interval,
    format_cell,
    show_counts,
    show_systems,
    summarise_audibility,
)
from benchmarks.targets import TARGETS, find_target

Row = dict[str, Any]


def make_row(
    system: str, attack: str, outcome: str, *, track: str = "t", clip_s: float = 5.0, **facts: Any
) -> Row:
    identity = {"system": system, "attack": attack, "clip_s": clip_s, "track": track, "repeat": 0, "seed": 1}
    return {"id": identity, "outcome": outcome, **facts}


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (38, 40, 0.8350, 0.9862)],
)
def test_intervals_are_wilsons(successes: int, trials: int, low: float, high: float) -> None:
    assert find_interval(successes, trials) == pytest.approx((low, high), abs=5e-4)


def test_no_trials_say_nothing() -> None:
    assert find_interval(0, 0) == (0.0, 1.0)


def test_void_trials_do_not_count_and_wrong_ones_show() -> None:
    cell = count_one(Counter({"exact": 3, "none": 1, "void": 5, "wrong": 1}))
    assert (cell["trials"], cell["rate"]) == (5, 0.6)
    assert format_cell(cell) == "60 % 3/5 !1 wrong"
    assert format_cell({**cell, "target": 0.61}) == "60 % 3/5 < !1 wrong"
    assert format_cell({**cell, "target": 0.6}) == "60 % 3/5 !1 wrong"
    assert format_cell(count_one(Counter({"void": 2}))) == "-"


def test_targets_stand_for_our_table_and_our_systems_alone() -> None:
    assert set(TARGETS) == set(TABLE.families) - {"resynthesis"}
    assert find_target("provenote", "plain", 10.0) == 0.995
    assert find_target("provenote@1.5", "plain", 10.0) == 0.995
    assert find_target("provenote-candidate", "mix", 5.0) == 0.95
    assert find_target("provenote-candidate", "mix", 10.0) is None
    assert find_target("audiowmark", "plain", 10.0) is None
    assert find_target("provenote", "raw: mixing", 10.0) is None
    for some in TARGETS.values():
        assert some[5.0] <= some[10.0] <= some[30.0] <= 1


def test_outcomes_are_counted_by_family_and_by_attack() -> None:
    rows = [
        make_row("provenote", "mp3 128", "exact"),
        make_row("provenote", "mp3 64", "none"),
        make_row("provenote", "none", "exact"),
        make_row("audiowmark", "mp3 64", "exact"),
    ]
    families = {(row["family"], row["system"]): row for row in count_outcomes(rows, "family")}
    assert families["codec", "provenote"]["rate"] == 0.5
    assert families["codec", "provenote"]["target"] == 0.9
    assert families["codec", "audiowmark"]["target"] is None
    attacks = {(row["attack"], row["system"]): row["exact"] for row in count_outcomes(rows, "attack")}
    assert attacks == {
        ("mp3 128", "provenote"): 1,
        ("mp3 64", "provenote"): 0,
        ("none", "provenote"): 1,
        ("mp3 64", "audiowmark"): 1,
    }
    totals = {
        row["system"]: (row["exact"], row["trials"]) for row in count_totals(count_outcomes(rows, "family"))
    }
    assert totals == {"provenote": (2, 3), "audiowmark": (1, 1)}


def test_peers_are_compared_on_the_same_clips() -> None:
    rows = [
        make_row("provenote", "mp3 64", "none", track="a"),
        make_row("audiowmark", "mp3 64", "exact", track="a"),
        make_row("provenote", "mp3 128", "exact", track="a"),
        make_row("audiowmark", "mp3 128", "none", track="a"),
        make_row("provenote", "mp3 128", "exact", track="b"),
        make_row("audiowmark", "mp3 128", "exact", track="b"),
        make_row("provenote", "aac 64", "void", track="b"),
        make_row("audiowmark", "aac 64", "exact", track="b"),
        make_row("audiowmark", "aac 96", "exact", track="b"),  # a clip that ours was not tried on
    ]
    assert compare_readings(rows, "provenote", "audiowmark") == [
        {
            "family": "codec",
            "clip_s": 5.0,
            "peer": "audiowmark",
            "clips": 3,
            "both": 1,
            "only_ours": 1,
            "only_peer": 1,
            "lost": {"mp3 64": 1},
        }
    ]


def test_detection_counts_refused_clips_as_not_detected() -> None:
    rows = [
        make_row("provenote", "none", "exact", p=1e-9),
        make_row("provenote", "none", "none", p=1e-3),
        make_row("provenote", "none", "error"),
        make_row("provenote", "none", "void"),
        make_row("provenote-candidate", "none", "exact", p=1e-30),
    ]
    (row,) = count_detections(rows, "provenote")
    assert row["clips"] == 3
    assert (row["share"][0], row["share"][3], row["share"][4], row["share"][9], row["share"][10]) == (
        1.0,
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
        pytest.approx(1 / 3),
        0.0,
    )


def test_audibility_leaves_out_what_cannot_be_graded() -> None:
    rows = [{"id": {"system": "provenote"}, "odg": odg} for odg in (-0.2, 0.1, None)]
    assert summarise_audibility(rows) == {"provenote": {"odg_mean": -0.05, "odg_worst": -0.2, "sections": 2}}


def test_tables_show_the_aim_and_every_system(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        make_row(name, "mp3 64", "none", clip_s=s) for name in ("provenote", "perth") for s in (5.0, 30.0)
    ]
    systems = ["provenote", "perth"]
    show_counts(count_outcomes(rows, "family"), "family", systems, [5.0, 30.0])
    show_systems({"provenote": {"odg_mean": 0.05, "odg_worst": -0.1, "sections": 4}}, {"provenote": "64 bit"})
    printed = capsys.readouterr().out
    for text in (
        "90 / 100",
        "0 % 0/1 <",
        "perth 30 s",
        "wrong payloads: provenote 0, perth 0",
        "64 bit",
        "0.05",
    ):
        assert text in printed, text


def test_pictures_are_drawn_of_what_there_is(tmp_path: Path) -> None:
    names = ("provenote@1", "provenote@2", "audiowmark")
    rows = [
        make_row(name, attack, "exact" if clip_s > 5 else "none", clip_s=clip_s, p=1e-8)
        for name in names
        for attack in ("none", "mp3 64")
        for clip_s in (5.0, 10.0)
    ]
    families = count_outcomes(rows, "family")
    graded = {name: {"odg_mean": -0.1 * number} for number, name in enumerate(names)}
    plots.plot_lengths(families, names, tmp_path / "lengths.png")
    assert plots.plot_strengths(families, tmp_path / "strengths") == [tmp_path / "strengths-provenote.png"]
    assert plots.plot_audibility(count_totals(families), graded, tmp_path / "odg.png")
    plots.plot_detections(count_detections(rows, names[0]), tmp_path / "roc.png")
    plots.plot_alarms({"unmarked": np.linspace(0.001, 1, 1000).tolist()}, tmp_path / "alarms.png")
    assert len({path.read_bytes()[:4] for path in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 5

    alone = [row for row in families if row["system"] == "provenote@1"]
    assert not plots.plot_strengths(alone, tmp_path / "none")
    assert not plots.plot_audibility(count_totals(alone), graded, tmp_path / "none.png")
    assert len(list(tmp_path.iterdir())) == 5
