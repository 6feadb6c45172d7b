"""Experiment 5: the public detector asked again and again, until it shows where the mark lies.

The attacker changes all cells of a block at random, asks, and adds up the random changes by the answers: the
sensitivity attack (Comesana et al.), in the form of a gradient estimated from decisions at the border of
detection. Once with answers yes and no, at the border; once with the power of ten of p that the report of a
found mark states, around the marked clip itself. Every change has its negative for a partner, so that what
both do alike (noise) cancels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.music import SAMPLE_RATE
from benchmarks.security_averaging import to_pattern
from benchmarks.security_material import Finding, Host, Material, count, find_least, grade, mark, mean, read
from benchmarks.security_scheme import (
    WIPE_TARGET,
    Grid,
    Plane,
    chips_written,
    open_grid,
    push_cells,
    write_gains,
)
from benchmarks.tools import Audio
from watermark import Profile

THEORY = (
    "Q answers yes or no at the border tell the direction of the chips, in n cells, with a cosine of "
    "about sqrt(1 / (1 + pi n / (2 Q))); answers with p, unrounded, with sqrt(1 / (1 + n / Q)) at "
    "best. Noise on the cells needs no answers but those that find its strength."
)
QUERIES = {True: 16, False: 400}
HOSTS = {True: 1, False: 2}
SECONDS = 10.0
# By how much the noise under the questions follows the answers.
STEP = 1.1
# Strength of the random changes asked about, dB on every cell.
PROBE_DB = 1.5
NOISE_DB = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0)
LIMITS_DB = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
YES_NO, POWERS, KEY = "yes or no", "power of ten of p", "the key itself"
# Estimates of these cosines are made up from the key, to learn how good one must be.
COSINES = {True: (0.2, 0.5), False: (0.1, 0.2, 0.3, 0.5)}


@dataclass(frozen=True)
class Scene:
    """A marked clip and whoever answers for it."""

    host: Host
    marked: Audio
    key: bytes
    chips: Plane
    profile: Profile

    def detected(self, audio: Audio) -> bool:
        """Answer a query with yes or no."""
        return read(audio, self.key, profile=self.profile).detected

    def power(self, audio: Audio) -> float:
        """Answer with the power of ten that a report would state; 0 where nothing is found."""
        found = read(audio, self.key, profile=self.profile)
        return float(np.ceil(np.log10(found.false_alarm_probability))) if found.detected else 0.0


def find_border(scene: Scene, noise: Plane, grid: Grid) -> tuple[float, Audio | None]:
    """Find the least cell noise, dB, that hides the mark: what an attacker does without further answers."""
    gain_db = find_least(
        NOISE_DB, lambda db: not scene.detected(write_gains(scene.marked, noise * np.float32(db), grid))
    )
    if gain_db is None:
        return NOISE_DB[-1], None
    return gain_db, write_gains(scene.marked, noise * np.float32(gain_db), grid)


def ask(
    scene: Scene, answers: str, noise: Plane, queries: int, grid: Grid, rng: np.random.Generator
) -> tuple[Plane, list[tuple[int, float]]]:
    """Ask about pairs of random changes, on top of `noise` (dB): the estimate of the chips and its course.

    Where both of a pair answer no there was too much noise, where both answer yes too little: the level
    follows, so that the answers stay at the border.
    """
    total = np.zeros((grid.columns, grid.rows), np.float32)
    course, level = [], 1.0
    for number in range(1, queries // 2 + 1):
        change = rng.choice([-PROBE_DB, PROBE_DB], total.shape).astype(np.float32)
        up, down = (
            write_gains(scene.marked, np.float32(level) * noise + sign * change, grid) for sign in (1, -1)
        )
        if answers == YES_NO:
            yes = scene.detected(up), scene.detected(down)
            difference = float(yes[0]) - float(yes[1])
            level *= STEP ** (sum(yes) - 1)
        else:
            difference = scene.power(down) - scene.power(up)
        total += np.float32(difference) * change
        norm = float(np.sqrt((total**2).sum() * (scene.chips**2).sum()))
        course.append((2 * number, float((total * scene.chips).sum()) / norm if norm else 0.0))
    return total, course


def attack(material: Material, scene: Scene, grid: Grid) -> list[dict[str, Any]]:
    """Attack a clip blindly, then by each kind of answer; grade what is left."""
    rng = material.rng(f"oracle {scene.host.name}")
    noise = rng.choice([-1.0, 1.0], (grid.columns, grid.rows)).astype(np.float32)
    noise_db, hidden = find_border(scene, noise, grid)
    rows = [
        {
            "host": scene.host.name,
            "answers": "none: cell noise",
            "queries": NOISE_DB.index(noise_db) + 1,
            "cosine": None,
            "removed": hidden is not None,
            "gain_db": noise_db,
            "odg": grade(scene.host.audio, hidden) if hidden is not None else None,
            "course": [],
        }
    ]
    queries = QUERIES[material.short]
    for answers in (YES_NO, POWERS):
        # At the border both answers occur; p says most where the mark is strong.
        at = noise * np.float32(noise_db if answers == YES_NO else 0.0)
        estimate, course = ask(scene, answers, at, queries, grid, rng)
        rows.append(subtract(scene, answers, estimate, course, grid))
    for cosine in COSINES[material.short]:
        error = rng.standard_normal(scene.chips.shape).astype(np.float32)
        estimate = cosine * scene.chips + np.sqrt(1 - cosine**2) * error
        row = subtract(scene, made_up(cosine), np.asarray(estimate, np.float32), [], grid)
        rows.append({**row, "queries": round(np.pi / 2 * grid.cells / (1 / cosine**2 - 1)), "cosine": cosine})
    rows.append({**subtract(scene, KEY, scene.chips, [], grid), "cosine": 1.0})
    return rows


def made_up(cosine: float) -> str:
    """Name an estimate that no answers gave."""
    return f"(made up) cosine {cosine:g}"


def subtract(
    scene: Scene, answers: str, estimate: Plane, course: list[tuple[int, float]], grid: Grid
) -> dict[str, Any]:
    """Subtract an estimate of the chips at the least strength that hides the mark."""
    pattern = to_pattern(estimate)

    def push(db: float) -> Audio:
        return push_cells(scene.marked, -pattern, grid, limit_db=db, target=WIPE_TARGET)

    limit_db = find_least(LIMITS_DB, lambda db: not scene.detected(push(db)))
    return {
        "host": scene.host.name,
        "answers": answers,
        "queries": course[-1][0] if course else 0,
        "cosine": course[-1][1] if course else None,
        "removed": limit_db is not None,
        "gain_db": limit_db,
        "odg": grade(scene.host.audio, push(limit_db)) if limit_db is not None else None,
        "course": course,
    }


def expect_cosine(answers: str, queries: int, cells: int) -> float | None:
    """Cosine between estimate and chips that theory gives at best."""
    if queries == 0 or answers not in (YES_NO, POWERS):
        return None
    loss = np.pi / 2 if answers == YES_NO else 1.0
    return float(np.sqrt(1 / (1 + loss * cells / queries)))


def measure(material: Material) -> Finding:
    """Run the experiment."""
    grid = open_grid(SAMPLE_RATE, material.profile)
    trials = []
    for host in material.hosts(HOSTS[material.short], SECONDS):
        key = material.derive(f"oracle key {host.name}")
        payload = material.derive(f"oracle payload {host.name}", 8)
        # Of the first block: where blocks differ, it takes as many answers for each.
        chips = chips_written(key, payload, grid, grid.columns)
        marked = mark(host.audio, key, payload, profile=grid.profile)
        trials += attack(material, Scene(host, marked, key, chips.astype(np.float32), grid.profile), grid)
    rows = []
    for answers in dict.fromkeys(row["answers"] for row in trials):
        some = [row for row in trials if row["answers"] == answers]
        queries = some[0]["queries"]
        rows.append(
            {
                "answers": answers,
                "queries": queries,
                "cosine with the chips": mean([row["cosine"] for row in some], 3),
                "in theory": expect_cosine(answers, queries, grid.cells),
                "removed": count([row["removed"] for row in some]),
                "gain dB": mean([row["gain_db"] for row in some]),
                "ODG when removed": mean([row["odg"] for row in some]),
            }
        )
    return Finding(
        theory=THEORY,
        tables={f"removal by asking, {SECONDS:g} s, {grid.cells} cells": rows},
        note=f"chance gives a cosine of +-{1 / np.sqrt(grid.cells):.3f}; made up: an estimate of that cosine "
        "from the key, and how many answers yes or no it would take in theory",
        data={"trials": trials, "cells": grid.cells},
        draw=lambda axes: draw(axes, trials, grid.cells),
    )


def draw(axes: Any, trials: list[dict[str, Any]], cells: int) -> None:
    """Draw how the estimate grows with the queries."""
    queries = np.geomspace(2, 1e5, 60)
    for answers, colour in ((YES_NO, "tab:blue"), (POWERS, "tab:orange")):
        for number, row in enumerate(row for row in trials if row["answers"] == answers):
            axes.plot(*zip(*row["course"], strict=True), color=colour, label=None if number else answers)
        theory = [expect_cosine(answers, int(q), cells) for q in queries]
        axes.plot(queries, theory, "--", color=colour, label=f"{answers}, theory")
    axes.axhspan(
        -2 / np.sqrt(cells), 2 / np.sqrt(cells), color="grey", alpha=0.3, label="chance, +-2 deviations"
    )
    axes.set(xscale="log", xlabel="queries", ylabel="cosine with the chips")
    axes.legend(fontsize="small")
