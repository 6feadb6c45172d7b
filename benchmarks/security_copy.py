"""Experiment 3: the mark of recording A lifted and put on recording B."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.music import SAMPLE_RATE
from benchmarks.security_averaging import to_pattern
from benchmarks.security_material import Finding, Material, count, grade, log_p, mark, mean, read
from benchmarks.security_scheme import (
    Grid,
    bin_power,
    fold_cells,
    open_grid,
    push_cells,
    read_cells,
    read_levels,
    write_bins,
)
from benchmarks.tools import Audio

THEORY = (
    "The mark multiplies the host's spectrum. A difference signal is tied to the host it was made from "
    "and lands where B has other energy; a ratio of spectra is tied to nothing. Without the original a "
    "cell of A shows its chip under its host's noise, which folding over the blocks of a long "
    "recording takes away."
)
PAIRS = {True: 1, False: 10}
CLIP_S = 15.0
LONG_S = {True: 60.0, False: 90.0}
# Ratios of spectra beyond this are noise of empty bins, not mark.
MOST_RATIO_DB = 3.0
LIMIT_DB, TARGET = 1.0, 1.5


@dataclass(frozen=True)
class Source:
    """What a copier has of A: the marked clip, its original where there is one, and a longer marked part."""

    marked: Audio
    original: Audio
    long_marked: Audio


def add_difference(source: Source, target: Audio, times: float) -> Audio:
    """Add A's difference signal to B."""
    return np.asarray(target + times * (source.marked - source.original), np.float32)


def multiply_ratio(source: Source, target: Audio, grid: Grid) -> Audio:
    """Multiply B's spectrum by the ratio of A's, marked over original."""
    ratio = np.sqrt((bin_power(source.marked, grid) + 1e-14) / (bin_power(source.original, grid) + 1e-14))
    limit = 10 ** (MOST_RATIO_DB / 20)
    return write_bins(target, np.clip(ratio, 1 / limit, limit) - 1, grid)


def push_change(source: Source, target: Audio, grid: Grid) -> Audio:
    """Write the signs of A's change of level, folded over its blocks if they repeat, onto B."""
    change = read_levels(source.marked, grid) - read_levels(source.original, grid)
    pattern = to_pattern(change if grid.profile.blocks > 1 else fold_cells(change, grid))
    return push_cells(target, pattern, grid, limit_db=LIMIT_DB, target=TARGET)


def push_cells_of(marked: Audio, target: Audio, grid: Grid, *, folded: bool) -> Audio:
    """Write what A's whitened cells say, with its host's noise in them, onto B."""
    cells = read_cells(marked, grid)
    pattern = to_pattern(fold_cells(cells, grid) if folded else cells)
    return push_cells(target, pattern, grid, limit_db=LIMIT_DB, target=TARGET)


METHODS: dict[str, tuple[str, Callable[[Source, Audio, Grid], Audio]]] = {
    "difference signal added": ("yes", lambda s, b, _: add_difference(s, b, 1.0)),
    "difference signal added three times": ("yes", lambda s, b, _: add_difference(s, b, 3.0)),
    "ratio of spectra": ("yes", multiply_ratio),
    "change of cells, folded over blocks": ("yes", push_change),
    "cells of the marked clip": ("no", lambda s, b, g: push_cells_of(s.marked, b, g, folded=False)),
    "the same, folded over blocks": ("no", lambda s, b, g: push_cells_of(s.marked, b, g, folded=True)),
    "the same, from a long recording": (
        "no",
        lambda s, b, g: push_cells_of(s.long_marked, b, g, folded=True),
    ),
}


def measure(material: Material) -> Finding:
    """Run the experiment."""
    grid = open_grid(SAMPLE_RATE, material.profile)
    trials: list[dict[str, Any]] = []
    long_s = LONG_S[material.short]
    hosts = list(material.hosts(PAIRS[material.short] + 1, long_s))
    clip_samples = round(CLIP_S * SAMPLE_RATE)
    for number, host in enumerate(hosts[:-1]):
        key = material.derive(f"copy key {host.name}")
        payload = material.derive(f"copied {host.name}", 8)
        whole = mark(host.audio, key, payload, profile=grid.profile)
        source = Source(whole[:, :clip_samples], host.audio[:, :clip_samples], whole)
        target = hosts[number + 1].audio[:, :clip_samples]
        for name, (needs_original, method) in METHODS.items():
            forged = method(source, target, grid)
            found = read(forged, key, profile=grid.profile)
            trials.append(
                {
                    "method": name,
                    "needs the original": needs_original,
                    "from": host.name,
                    "onto": hosts[number + 1].name,
                    "read": found.payload == payload,
                    "other": found.payload not in (None, payload),
                    "log10_p": log_p(found.false_alarm_probability),
                    "odg": grade(target, forged),
                }
            )
    rows: list[dict[str, Any]] = []
    for name, (needs_original, _) in METHODS.items():
        some = [row for row in trials if row["method"] == name]
        rows.append(
            {
                "method": name,
                "needs the original": needs_original,
                "A's payload read on B": count([row["read"] for row in some]),
                "another read": count([row["other"] for row in some]),
                "median log10 p": round(float(np.median([row["log10_p"] for row in some])), 1),
                "ODG of B": mean([row["odg"] for row in some]),
            }
        )
    return Finding(
        theory=THEORY,
        tables={"the mark of A on B": rows},
        note=f"clips of {CLIP_S:g} s; long recording: {long_s:g} s; B is marked from its beginning on",
        data={"trials": trials},
    )
