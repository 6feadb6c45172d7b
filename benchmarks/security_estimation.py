"""Experiment 1: the pattern of a key estimated from N marked files, then used to remove and forge marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.music import SAMPLE_RATE
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
from benchmarks.security_material import (
    Finding,
    Host,
    Material,
    count,
    find_least,
    grade,
    is_present,
    log_p,
    mark,
    mean,
    read,
)
from benchmarks.security_scheme import (
    WIPE_TARGET,
    Chips,
    Grid,
    Plane,
    chips_written,
    first_column,
    fold_cells,
    open_grid,
    open_truth,
    push_cells,
    read_both,
    read_cells,
    read_levels,
    sync_written,
)
from benchmarks.tools import Audio

THEORY = (
    "A cell's estimate has the signal-to-noise ratio x = s sqrt(N), s that of one file's blocks "
    "together, and correlates with the chips by x / sqrt(1 + x^2). Payload cells add up only under one "
    "payload; pairs of them, over payloads, by s^2 sqrt(N). Who has the original as well sees the "
    "gains themselves."
)
FILES = {True: (10, 20), False: (10, 50, 200)}
SECONDS = {True: 12.0, False: 30.0}
VICTIMS = {True: 1, False: 8}
SAME_PAYLOAD_FILES = {True: 5, False: 10}
CLIP_S = 15.0
# Length of a track whose own blocks are folded.
OWN_S = {True: 60.0, False: 120.0}
LIMITS_DB = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.5)
# What a forger writes with: the strength and target of the published embedder.
FORGING_LIMIT_DB, FORGING_TARGET = 1.0, 1.5


@dataclass(frozen=True)
class Learned:
    """What one attacker has: an estimate in the block's own order, and what it should have been."""

    attacker: str
    files: int
    estimate: Plane
    chips: Chips


@dataclass(frozen=True)
class Library:
    """Marked files of one key: `marked` as anybody reads them, folded unless blocks differ and the payload is
    one; `change` of the first one alone, folded unless blocks differ.
    """

    marked: Plane
    change: Plane
    shifts: np.ndarray[Any, np.dtype[np.int64]]
    payloads: tuple[bytes, ...]


def collect(material: Material, key: bytes, grid: Grid, files: int, *, one_payload: bool) -> Library:
    """Mark files for an attacker to learn from."""
    marked, shifts, payloads = [], [], []
    for number, host in enumerate(material.hosts(files, SECONDS[material.short], learning=True)):
        payload = material.derive(f"learning payload {0 if one_payload else number}", 8)
        audio = mark(host.audio, key, payload, profile=grid.profile)
        cells, levels = read_both(audio, grid)
        # Files of one payload begin at the same column: where blocks differ they still add up as they are.
        marked.append(cells if one_payload and grid.profile.blocks > 1 else fold_cells(cells, grid))
        if not number:
            change = levels - read_levels(host.audio, grid)
            change = change if grid.profile.blocks > 1 else fold_cells(change, grid)
        shifts.append(first_column(key, payload, grid))
        payloads.append(payload)
    return Library(np.stack(marked), change, np.array(shifts), tuple(payloads))


def estimate_all(
    material: Material, key: bytes, grid: Grid
) -> tuple[list[Learned], list[dict[str, Any]], dict[str, Any]]:
    """Estimate as each attacker would: what they learned, rows of how well, facts for the picture."""
    truth = open_truth(key, grid)
    library = collect(material, key, grid, max(FILES[material.short]), one_payload=False)
    straight = roll_all(library.marked, library.shifts)
    single = float(np.mean([similarity(plane, truth.sync) for plane in straight]))
    strength = single / np.sqrt(1 - single**2)
    learned, rows = [], []
    for files in FILES[material.short]:
        shifts = align(library.marked[:files])
        rights = rightly_aligned(shifts, library.shifts[:files], grid.columns)
        averages = {
            "places known": (straight[:files].mean(axis=0), 1.0),
            "places searched": (roll_all(library.marked[:files], shifts).mean(axis=0), rights),
        }
        for attacker, (average, aligned) in averages.items():
            estimate = lay_over(average, truth.sync)
            learned.append(Learned(attacker, files, estimate, truth.sync))
            row = {
                "attacker": attacker,
                "files": files,
                "aligned": f"{100 * aligned:.0f} %",
                "sync chips": round(similarity(estimate, truth.sync), 3),
                "theory": round(predict_similarity(strength, files), 3),
                "payload chips": None,
                "pairs right": f"{100 * find_partners(straight[:files], truth, material.rng('pairs')):.1f} %",
            }
            rows.append(row)
    same = collect(material, key, grid, SAME_PAYLOAD_FILES[material.short], one_payload=True)
    # From the file's beginning on.
    average = same.marked.mean(axis=0)
    chips = chips_written(key, same.payloads[0], grid, len(average))
    own = chips_written(key, library.payloads[0], grid, len(library.change))
    learned.append(Learned("one payload in all files", SAME_PAYLOAD_FILES[material.short], average, chips))
    learned.append(Learned("has the original", 1, library.change, own))
    for item, payload in zip(learned[-2:], (same.payloads[0], library.payloads[0]), strict=True):
        sync = sync_written(key, payload, grid, len(item.chips))
        rows.append(
            {
                "attacker": item.attacker,
                "files": item.files,
                "aligned": "-",
                "sync chips": round(similarity(item.estimate, sync), 3),
                "theory": None,
                "payload chips": round(
                    similarity(item.estimate, np.where(sync == 0, item.chips, 0).astype(np.int8)), 3
                ),
                "pairs right": "-",
            }
        )
    return learned, rows, {"single_file_similarity": round(single, 4), "strength": round(float(strength), 4)}


def wipe(
    host: Host, marked: Audio, mark_of: tuple[bytes, bytes], pattern: Plane, grid: Grid
) -> dict[str, Any]:
    """Subtract a pattern from a marked track, as much as it takes; `mark_of` is its key and payload."""
    key, payload = mark_of
    # A pattern longer than a block is another file's: what of it repeats is what there is to remove.
    block = pattern if len(pattern) == grid.columns else fold_cells(pattern, grid)
    placed = lay_over(block, fold_cells(read_cells(marked, grid), grid))

    def attack(limit_db: float) -> Audio:
        return push_cells(marked, -placed, grid, limit_db=limit_db, target=WIPE_TARGET)

    limit_db = find_least(LIMITS_DB, lambda db: not read(attack(db), key, profile=grid.profile).detected)
    attacked = attack(limit_db or LIMITS_DB[-1])
    return {
        "removed": limit_db is not None,
        "gain_db": limit_db,
        "before": grade(host.audio, marked),
        "after": grade(host.audio, attacked),
        "present": is_present(attacked, key, payload, profile=grid.profile).present,
    }


def sum_up(attacker: str, seconds: float, trials: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Make a row of the table of removals."""
    return {
        "attacker": attacker,
        "clip s": seconds,
        "removed": count([row["removed"] for row in trials]),
        "gain dB": mean([row["gain_db"] for row in trials]),
        "ODG before": mean([row["before"] for row in trials]),
        "ODG after": mean([row["after"] for row in trials]),
        "candidate test finds": count([row["present"] for row in trials]),
    }


def remove(
    material: Material, key: bytes, grid: Grid, hosts: Sequence[Host], pattern: Plane, attacker: str
) -> dict[str, Any]:
    """Subtract a pattern learnt elsewhere from tracks of the same key."""
    trials = []
    for host in hosts:
        payload = material.derive(f"victim {host.name}", 8)
        trials.append(
            wipe(host, mark(host.audio, key, payload, profile=grid.profile), (key, payload), pattern, grid)
        )
    return sum_up(attacker, CLIP_S, trials)


def remove_own(material: Material, key: bytes, grid: Grid) -> dict[str, Any]:
    """Subtract from a track what its own blocks show when they are folded: no other file is needed."""
    trials, seconds = [], OWN_S[material.short]
    for host in material.hosts(VICTIMS[material.short], seconds):
        payload = material.derive(f"own {host.name}", 8)
        marked = mark(host.audio, key, payload, profile=grid.profile)
        own = to_pattern(fold_cells(read_cells(marked, grid), grid))
        trials.append(wipe(host, marked, (key, payload), own, grid))
    return sum_up("the track itself, folded", seconds, trials)


def forge(
    key: bytes, grid: Grid, hosts: Sequence[Host], pattern: Plane, label: str, payloads: Sequence[bytes]
) -> dict[str, Any]:
    """Write a pattern onto unmarked tracks; say whether the detector reads a payload there."""
    read_as, exponents, grades = [], [], []
    for host in hosts:
        forged = push_cells(host.audio, pattern, grid, limit_db=FORGING_LIMIT_DB, target=FORGING_TARGET)
        found = read(forged, key, profile=grid.profile)
        read_as.append(found.payload)
        exponents.append(log_p(found.false_alarm_probability))
        grades.append(grade(host.audio, forged))
    return {
        "attacker": label,
        "replayed payload read": count([payload in payloads for payload in read_as]),
        "other payload read": count([p is not None and p not in payloads for p in read_as]),
        "log10 p, best": min(exponents),
        "ODG": mean(grades),
    }


def measure(material: Material) -> Finding:
    """Run the experiment."""
    grid = open_grid(SAMPLE_RATE, material.profile)
    key = material.derive("estimated key")
    learned, rows, facts = estimate_all(material, key, grid)
    hosts = list(material.hosts(VICTIMS[material.short], CLIP_S))
    chance = material.rng("random pattern").choice([-1.0, 1.0], (grid.columns, grid.rows)).astype(np.float32)
    removals = [remove(material, key, grid, hosts, chance, "random pattern")]
    forgeries = [forge(key, grid, hosts, chance, "random pattern", [])]
    for item in learned:
        if item.attacker == "places known":
            continue
        label = f"{item.attacker}, {item.files}"
        pattern = to_pattern(item.estimate)
        removals.append(remove(material, key, grid, hosts, pattern, label))
        replayed = [material.derive("learning payload 0", 8)]
        forgeries.append(forge(key, grid, hosts, pattern, label, replayed))
    removals.append(remove_own(material, key, grid))
    return Finding(
        theory=THEORY,
        tables={
            "similarity of the estimate with the true chips": rows,
            "removal: the estimate subtracted from a track of the same key": removals,
            "forgery: the estimate written onto an unmarked track": forgeries,
        },
        note="gain dB: least limit, of "
        + ", ".join(f"{g:g}" for g in LIMITS_DB)
        + ", at which no mark is found",
        data=facts,
        draw=lambda axes: draw(axes, rows, facts["strength"]),
    )


def draw(axes: Any, rows: Sequence[dict[str, Any]], strength: float) -> None:
    """Draw similarity over the number of files, beside its theory."""
    files = np.unique(np.geomspace(1, 1000, 60).round())
    axes.plot(files, [predict_similarity(strength, n) for n in files], color="grey", label="theory")
    for attacker, marker in (
        ("places known", "o"),
        ("places searched", "x"),
        ("one payload in all files", "s"),
    ):
        points = [(row["files"], row["sync chips"]) for row in rows if row["attacker"] == attacker]
        axes.plot(*zip(*points, strict=True), marker, label=attacker)
    original = next(row["sync chips"] for row in rows if row["attacker"] == "has the original")
    axes.plot([1], [original], "*", label="has the original, 1 file")
    axes.set(
        xscale="log", xlabel="marked files under one key", ylabel="correlation with the chips", ylim=(0, 1)
    )
    axes.legend()
