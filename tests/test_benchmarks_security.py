"""The security experiments: the attacker's tools against known answers, and every experiment small."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from benchmarks import (
    security,
    security_brute_force,
    security_collusion,
    security_copy,
    security_estimation,
    security_keyless,
    security_oracle,
    security_remarking,
    security_removal,
)
from benchmarks.music import SAMPLE_RATE, Track, write_list
from benchmarks.report import run_main
from benchmarks.security_averaging import (
    align,
    find_partners,
    lay_over,
    predict_similarity,
    rightly_aligned,
    roll_all,
    similarity,
    to_pattern,
)
from benchmarks.security_material import Material, find_least, grade, mark, open_material, read
from benchmarks.security_scheme import (
    Truth,
    chips_written,
    fold_cells,
    open_grid,
    open_truth,
    push_cells,
    read_both,
    read_cells,
    read_levels,
    write_gains,
)
from watermark.profile import PN2, PN3

Audio = NDArray[np.float32]
KEY, PAYLOAD = bytes(range(32)), b"8 bytes!"
# The tools are tested on a profile whose blocks repeat; what differs where they do not has tests of its own.
GRID = open_grid(SAMPLE_RATE, PN2)


@pytest.fixture(scope="module")
def host(music: Callable[..., Audio]) -> Audio:
    """Ten seconds of synthetic music."""
    return music(10.0, seed=41)


@pytest.fixture(scope="module")
def marked(host: Audio) -> Audio:
    """The same, marked."""
    return mark(host, KEY, PAYLOAD, profile=PN2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, music: Callable[..., Audio]) -> Path:
    """A music cache of two synthetic tracks of 12 s to attack and two to learn from."""
    folder = tmp_path_factory.mktemp("cache")
    tracks = []
    for number in range(4):
        path = folder / f"{number}.flac"
        soundfile.write(path, music(12.0, seed=50 + number).T, SAMPLE_RATE)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        split = "test" if number < 2 else "tune"
        tracks.append(Track(f"made/{number}.flac", f"made-{number}", path.name, 12.0, split, "made", digest))
    write_list(folder, tracks)
    return folder


@pytest.fixture
def material(cache: Path) -> Material:
    """What every experiment is handed, for the short mode."""
    return open_material(cache, split="test", tracks=2, seed=1, short=True)


def true_pattern() -> NDArray[np.int8]:
    """The chips that `marked` carries, from its beginning on."""
    return chips_written(KEY, PAYLOAD, GRID, GRID.columns)


def test_the_public_reading_shows_the_chips_of_a_marked_file_and_of_no_other(
    host: Audio, marked: Audio
) -> None:
    chips = true_pattern()
    assert similarity(fold_cells(read_cells(marked, GRID), GRID), chips) > 0.15
    # Independent chips over some thousand cells: beyond 0.06 with a chance below 1e-6.
    assert abs(similarity(fold_cells(read_cells(host, GRID), GRID), chips)) < 0.06
    cells, levels = read_both(marked, GRID)
    assert np.array_equal(cells, read_cells(marked, GRID))
    assert np.array_equal(levels, read_levels(marked, GRID))


def test_folding_averages_the_blocks_that_a_cell_was_in() -> None:
    cells = np.arange(GRID.columns + 3, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32)
    folded = fold_cells(cells, GRID)
    assert folded[0, 0] == pytest.approx(GRID.columns / 2)
    assert folded[3, 0] == pytest.approx(3)


def test_gains_are_written_where_they_are_meant(host: Audio) -> None:
    nothing = np.zeros((GRID.columns, GRID.rows), np.float32)
    assert np.array_equal(write_gains(host, nothing, GRID), host)
    # Inside the first column: what a window and a half beside it does not touch.
    louder = read_levels(write_gains(host, nothing + 3, GRID), GRID) - read_levels(host, GRID)
    assert np.median(louder) == pytest.approx(3.0, abs=0.05)


def test_a_pattern_written_by_the_attackers_tool_is_read_by_the_detector_and_wiped_by_it(
    host: Audio, marked: Audio
) -> None:
    chips = true_pattern().astype(np.float32)
    forged = push_cells(host, chips, GRID, limit_db=1.5, target=1.5)
    assert read(forged, KEY, profile=PN2).payload == PAYLOAD
    wiped = push_cells(marked, -chips, GRID, limit_db=1.0, target=1.0)
    folded = [fold_cells(read_cells(audio, GRID), GRID) for audio in (marked, wiped)]
    before, after = (similarity(plane, true_pattern()) for plane in folded)
    assert after < before / 2


def test_cells_that_already_agree_are_left_alone(host: Audio) -> None:
    agreeing = np.sign(read_cells(host, GRID))
    changes = [
        float(np.square(push_cells(host, pattern, GRID, limit_db=1.0, target=0.0) - host).sum())
        for pattern in (agreeing, -agreeing)
    ]
    assert changes[0] < 0.05 * changes[1]


def make_planes(
    files: int, strength: float, *, seed: int
) -> tuple[NDArray[np.float32], Truth, NDArray[np.int64]]:
    """Folded files of an invented key: unit noise, chips of `strength`, codeword signs of each file's own."""
    rng = np.random.default_rng(seed)
    shape, positions = (40, 30), 64
    is_sync = rng.random(shape) < 0.2
    chips = rng.choice([-1, 1], shape).astype(np.int8)
    position = np.where(is_sync, 0, rng.integers(positions, size=shape))
    truth = Truth(np.where(is_sync, chips, 0), np.where(is_sync, 0, chips), position)
    shifts = rng.integers(shape[0], size=files)
    planes = rng.standard_normal((files, *shape))
    for plane in planes:
        signs = rng.choice([-1, 1], positions)
        plane += strength * (truth.sync + truth.payload * signs[position])
    rolled = roll_all(planes.astype(np.float32), -shifts)
    return rolled, truth, shifts


def test_files_are_laid_over_each_other_without_the_key() -> None:
    planes, truth, true_shifts = make_planes(12, 0.6, seed=1)
    shifts = align(planes)
    assert rightly_aligned(shifts, true_shifts, planes.shape[1]) == 1.0
    estimate = lay_over(roll_all(planes, shifts).mean(axis=0), truth.sync)
    # One file: strength 0.6 against noise 1. The prediction is for many cells; here are about 240.
    assert similarity(estimate, truth.sync) == pytest.approx(predict_similarity(0.6, 12), abs=0.05)
    assert rightly_aligned(np.array([3, 4, 0]), np.array([1, 2, 0]), 40) == pytest.approx(2 / 3)


def test_cells_of_one_codeword_position_betray_each_other_over_many_files() -> None:
    planes, truth, shifts = make_planes(100, 1.0, seed=2)
    straight = roll_all(planes, shifts)
    assert find_partners(straight, truth, np.random.default_rng(0)) > 0.95
    noise = np.random.default_rng(3).standard_normal(straight.shape).astype(np.float32)
    # By chance one partner in 64 is of the same position, one in two of those with the right sign.
    assert find_partners(noise, truth, np.random.default_rng(0)) < 0.05


def test_a_pattern_fades_where_its_estimate_is_weak() -> None:
    pattern = to_pattern(np.array([[4.0, -4.0, 0.1, 0.0]], np.float32))
    assert pattern[0].tolist() == pytest.approx([1.0, -1.0, 0.035, 0.0], abs=0.01)


def test_the_least_level_that_works_is_found_where_a_higher_one_does_not() -> None:
    assert find_least((1, 2, 3, 4), lambda level: level in (2, 3)) == 2
    assert find_least((1, 2), lambda _: False) is None


def test_copies_are_mixed_sample_by_sample_or_in_turns() -> None:
    copies = np.stack([np.full((2, SAMPLE_RATE), value, np.float32) for value in (0.1, 0.2, 0.6)])
    found = {name: float(mix(copies)[0, 0]) for name, mix in security_collusion.MIXES.items()}
    assert found == pytest.approx(
        {
            "mean": 0.3,
            "median": 0.2,
            "minimum": 0.1,
            "maximum": 0.6,
            "mean of minimum and maximum": 0.35,
            "alternating 0.25 s": 0.1,
        }
    )
    turns = security_collusion.splice(copies)
    assert turns.shape == (2, SAMPLE_RATE)
    assert [float(turns[1, round((0.25 * n + 0.1) * SAMPLE_RATE)]) for n in range(4)] == pytest.approx(
        [0.1, 0.2, 0.6, 0.1]
    )


def test_a_ratio_of_spectra_carries_the_mark_to_another_recording(
    host: Audio, marked: Audio, music: Callable[..., Audio]
) -> None:
    other = music(10.0, seed=42)
    source = security_copy.Source(marked, host, marked)
    assert read(security_copy.multiply_ratio(source, other, GRID), KEY, profile=PN2).payload == PAYLOAD
    same = security_copy.Source(host, host, host)
    assert np.allclose(security_copy.multiply_ratio(same, other, GRID), other, atol=1e-6)
    assert np.allclose(security_copy.add_difference(source, host, 1.0), marked, atol=1e-6)


def test_repeated_blocks_show_a_mark_to_who_knows_their_length(host: Audio, marked: Audio) -> None:
    assert security_keyless.repetition(marked, GRID) > security_keyless.repetition(host, GRID) + 1


def test_the_area_under_the_curve_and_its_interval() -> None:
    told = np.column_stack([np.arange(10) + 10.0, np.arange(10)])
    assert security_keyless.area(told) == 1.0
    assert security_keyless.area(np.zeros((5, 2))) == 0.5
    noise = np.random.default_rng(0).standard_normal((200, 2))
    low, high = security_keyless.interval(noise, np.random.default_rng(1))
    assert 0.4 < low < 0.5 < high < 0.6


def test_a_classifier_finds_what_is_there_and_nothing_where_nothing_is() -> None:
    rng = np.random.default_rng(4)
    features = rng.standard_normal((60, 2, 20))
    assert security_keyless.area(security_keyless.cross_validate(features)) == pytest.approx(0.5, abs=0.12)
    features[:, 0, 7] += 2
    assert security_keyless.area(security_keyless.cross_validate(features)) > 0.8


def test_blocks_that_differ_show_a_mark_less(host: Audio, marked: Audio) -> None:
    grid = open_grid(SAMPLE_RATE, PN3)
    other = mark(host, KEY, PAYLOAD, profile=PN3)
    gained = [
        security_keyless.repetition(audio, grid) - security_keyless.repetition(host, grid)
        for audio in (marked, other)
    ]
    # The pilot still repeats: 12 % of the cells.
    assert gained[1] < 0.4 * gained[0]


def test_what_repeats_where_blocks_differ_is_the_pilot_alone(host: Audio) -> None:
    grid = open_grid(SAMPLE_RATE, PN3)
    truth = open_truth(KEY, grid)
    assert (truth.sync != 0).mean() == pytest.approx(PN3.pilot_share, abs=0.003)
    long = chips_written(KEY, PAYLOAD, grid, 3 * grid.columns)
    first, second, third = np.split(long, 3)
    assert (first == second).mean() == pytest.approx(0.5 + PN3.pilot_share / 2, abs=0.02)
    assert (first == third).mean() == pytest.approx(0.5 + PN3.pilot_share / 2, abs=0.02)
    replayed = push_cells(host, long[:240].astype(np.float32), grid, limit_db=1.5, target=1.5)
    assert read(replayed[:, : 5 * SAMPLE_RATE], KEY, profile=PN3).payload == PAYLOAD


def test_the_right_key_stands_out_and_a_bit_wrong_is_as_wrong_as_any(marked: Audio) -> None:
    folded = fold_cells(read_cells(marked, GRID), GRID)
    near = security_brute_force.flip_bit(KEY, np.random.default_rng(0))
    assert sum((a ^ b).bit_count() for a, b in zip(KEY, near, strict=True)) == 1
    right, wrong = security_brute_force.try_keys(folded, [KEY, near], GRID)
    # Best of one place for each column, in deviations: beyond 6 with a chance below 1e-6.
    assert wrong < 6 < right
    spectrum, energy = security_brute_force.prepare(folded)
    known = chips_written(KEY, PAYLOAD, GRID, GRID.columns)
    assert security_brute_force.try_chips(spectrum, energy, known) > right
    assert security_brute_force.cost_row("all", 257, 1.0)["years on one core"] == pytest.approx(
        2**256 / 31557600
    )


def test_answers_yes_or_no_tell_as_much_of_a_linear_detector_as_theory_says() -> None:
    rng = np.random.default_rng(5)
    cells, queries = 500, 400
    chips = rng.choice([-1.0, 1.0], cells)
    changes = rng.choice([-1.0, 1.0], (queries, cells))
    estimate = np.sign(changes @ chips + 0.5) @ changes
    cosine = float(estimate @ chips / np.sqrt(cells * (estimate @ estimate)))
    expected = security_oracle.expect_cosine(security_oracle.YES_NO, queries, cells)
    assert cosine == pytest.approx(expected, abs=0.08)


def test_the_phase_vocoder_keeps_pitch_and_length() -> None:
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    sine = np.stack([np.sin(2 * np.pi * 1000 * time)] * 2).astype(np.float32)
    longer = security_removal.stretch(sine, 1.5)
    assert longer.shape[1] == pytest.approx(3 * SAMPLE_RATE, rel=0.05)
    spectrum = np.abs(np.fft.rfft(longer[0, : 2 * SAMPLE_RATE]))
    assert np.argmax(spectrum) / 2 == pytest.approx(1000, abs=2)
    rng = np.random.default_rng(0)
    assert security_removal.vocode(sine, 2.0, GRID, rng).shape == sine.shape


def test_white_noise_comes_at_its_level(host: Audio) -> None:
    noisy = security_removal.add_white_noise(host, 5.0, GRID, np.random.default_rng(0))
    ratio = np.mean((noisy - host) ** 2) / np.mean(host**2)
    assert 10 * np.log10(ratio) == pytest.approx(-15, abs=0.1)


needs_ffmpeg = pytest.mark.tool("ffmpeg")


@needs_ffmpeg
def test_hosts_are_seeded_parts_of_tracks_and_victims_teach_nobody(material: Material) -> None:
    first, again = (list(material.hosts(2, 6.0)) for _ in range(2))
    assert [h.audio.shape for h in first] == [(2, 6 * SAMPLE_RATE)] * 2
    assert all(np.array_equal(a.audio, b.audio) for a, b in zip(first, again, strict=True))
    taught = {host.name for host in material.hosts(2, 6.0, learning=True)}
    assert taught.isdisjoint(host.name for host in first)
    with pytest.raises(Exception, match="the music has 2"):
        list(material.hosts(3, 6.0))


@needs_ffmpeg
def test_the_command_writes_tables_facts_and_a_picture(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(security_keyless, "TRACKS", {True: 2})
    monkeypatch.setattr(security_keyless, "FOLDS", 2)
    monkeypatch.setattr(security_keyless, "SECONDS", {True: (6.0,)})
    monkeypatch.setattr(security_brute_force, "HOSTS", {True: 1})
    monkeypatch.setattr(security_brute_force, "KEYS", {True: 5})
    monkeypatch.setattr(security_brute_force, "QUERIES", {True: 1})
    monkeypatch.setattr(security_brute_force, "SECONDS", 6.0)
    arguments = ["--cache", str(cache), "--output", str(tmp_path), "--short", "--tracks", "2", "--jobs", "1"]
    monkeypatch.setattr("sys.argv", ["security", *arguments, "--only", "keyless", "--only", "keys"])
    assert run_main(security.measure) == 0
    for name in ("keyless", "keys"):
        result = json.loads((tmp_path / f"security-{name}-pn3-test-short.json").read_text())
        assert result["experiment"] == name
        assert result["run"]["options"]["seed"] == "1"
        assert all(rows for rows in result["tables"].values())
        assert (tmp_path / f"security-{name}-pn3-test-short.png").read_bytes().startswith(b"\x89PNG")
    assert "marked music told without the key" in capsys.readouterr().out
    assert not (tmp_path / "security-copy-pn3-test-short.json").exists()
    monkeypatch.setattr("sys.argv", ["security", *arguments, "--only", "magic"])
    assert run_main(security.measure) == 3


@needs_ffmpeg
def test_estimation_collusion_and_copies_run_whole(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "FILES": {True: (2,)},
        "SECONDS": {True: 6.0},
        "SAME_PAYLOAD_FILES": {True: 2},
        "CLIP_S": 3.0,
        "OWN_S": {True: 3.0},
        "LIMITS_DB": (1.5,),
    }.items():
        monkeypatch.setattr(security_estimation, name, value)
    finding = security_estimation.measure(material)
    similar, removals, forgeries = finding.tables.values()
    original = next(row for row in similar if row["attacker"] == "has the original")
    assert min(original["sync chips"], original["payload chips"]) > 0.5
    assert len(removals) == len(forgeries) + 1
    assert {row["other payload read"] for row in forgeries} == {"0/1"}

    monkeypatch.setattr(security_collusion, "COPIES", {True: (2,)})
    monkeypatch.setattr(security_collusion, "SHORT_MIXES", ("mean",))
    monkeypatch.setattr(security_collusion, "SECONDS", {True: 4.0})
    (rows,) = security_collusion.measure(material).tables.values()
    assert [row["innocents shown"] for row in rows] == ["0/1"]

    monkeypatch.setattr(security_copy, "CLIP_S", 6.0)
    monkeypatch.setattr(security_copy, "LONG_S", {True: 6.0})
    names = ("change of cells, folded over blocks", "cells of the marked clip")
    monkeypatch.setattr(security_copy, "METHODS", {name: security_copy.METHODS[name] for name in names})
    (rows,) = security_copy.measure(material).tables.values()
    copied = {row["method"]: row["A's payload read on B"] for row in rows}
    assert [copied[name] for name in names] == ["1/1", "0/1"]


@needs_ffmpeg
def test_remarking_oracle_and_removal_run_whole(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_remarking, "TIMES", {True: (1,)})
    monkeypatch.setattr(security_remarking, "SECONDS", 6.0)
    (rows,) = security_remarking.measure(material).tables.values()
    other_key = [row for row in rows if row["marked again with"] == security_remarking.OTHER_KEYS]
    assert [row["first mark read"] for row in other_key] == ["1/1", "1/1"]
    assert all(row["a payload never written"] == "0/1" for row in rows)

    monkeypatch.setattr(security_oracle, "QUERIES", {True: 2})
    monkeypatch.setattr(security_oracle, "COSINES", {True: (0.2,)})
    monkeypatch.setattr(security_oracle, "NOISE_DB", (2.0, 12.0))
    monkeypatch.setattr(security_oracle, "LIMITS_DB", (1.5,))
    monkeypatch.setattr(security_oracle, "SECONDS", 4.0)
    (rows,) = security_oracle.measure(material).tables.values()
    queries = {row["answers"]: row["queries"] for row in rows}
    assert queries[security_oracle.YES_NO] == queries[security_oracle.POWERS] == 2
    assert next(row for row in rows if row["answers"] == security_oracle.KEY)["removed"] == "1/1"

    blind = security_removal.Blind("noise on cells", "dB", (0.1, 20.0), security_removal.jitter_cells)
    monkeypatch.setattr(security_removal, "ATTACKS", (blind,))
    monkeypatch.setattr(security_removal, "SECONDS", 6.0)
    (rows,) = security_removal.measure(material).tables.values()
    assert rows[0]["removed"] == "1/1"
    assert rows[0]["least strength"] == 20.0


def test_silence_has_no_grade_and_truth_covers_every_cell_once() -> None:
    assert grade(np.zeros((2, SAMPLE_RATE), np.float32), np.zeros((2, SAMPLE_RATE), np.float32)) is None
    truth = open_truth(KEY, GRID)
    assert np.array_equal((truth.sync != 0) ^ (truth.payload != 0), np.ones((GRID.columns, GRID.rows), bool))
