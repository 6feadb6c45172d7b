"""Experiment 2: copies of one track with different payloads, mixed so that none may be read."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.music import SAMPLE_RATE
from benchmarks.security_material import (
    Finding,
    Host,
    Material,
    count,
    grade,
    is_present,
    log_p,
    mark,
    mean,
    read,
)
from benchmarks.tools import Audio

THEORY = (
    "In the mean of K copies each mark keeps 1/K of its gain, so each statistic falls to z/K: read "
    "blindly down to a z of about 12, where the synchronisation is found, and shown as a known mark "
    "down to about 8 (p < 1e-6 after the search). An innocent payload needs a collision of the keyed "
    "check: 2^-32 for each word decoded."
)
COPIES = {True: (2, 4), False: (2, 3, 4, 5, 7, 10)}
VICTIMS = {True: 1, False: 8}
SECONDS = {True: 15.0, False: 20.0}
# Of the members and of as many innocents, how many are put to the candidate test.
TESTED = {True: 1, False: 10}
PIECE_S = 0.25


def splice(copies: Audio) -> Audio:
    """Take quarter seconds from one copy after the other; `copies` is (copies, channels, samples)."""
    samples = copies.shape[2]
    turn = np.arange(samples) // round(PIECE_S * SAMPLE_RATE) % len(copies)
    return np.ascontiguousarray(copies[turn, :, np.arange(samples)].T)


MIXES: dict[str, Callable[[Audio], Audio]] = {
    "mean": lambda copies: copies.mean(axis=0),
    "median": lambda copies: np.median(copies, axis=0).astype(np.float32),
    "minimum": lambda copies: copies.min(axis=0),
    "maximum": lambda copies: copies.max(axis=0),
    "mean of minimum and maximum": lambda copies: (copies.min(axis=0) + copies.max(axis=0)) / 2,
    "alternating 0.25 s": splice,
}
SHORT_MIXES = ("mean", "minimum", "alternating 0.25 s")


def collude(material: Material, host: Host, copies: int, mixes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Mix copies of one host in every way and read what is left."""
    key = material.derive(f"collusion key {host.name}")
    members = [material.derive(f"member {host.name} {number}", 8) for number in range(copies)]
    innocents = [material.derive(f"innocent {host.name} {number}", 8) for number in range(copies)]
    marked = np.stack([mark(host.audio, key, payload, profile=material.profile) for payload in members])
    tested = TESTED[material.short]
    rows = []
    for name in mixes:
        mixed = MIXES[name](marked)
        found = read(mixed, key, profile=material.profile)
        guilty = [is_present(mixed, key, payload, profile=material.profile) for payload in members[:tested]]
        others = [is_present(mixed, key, payload, profile=material.profile) for payload in innocents[:tested]]
        rows.append(
            {
                "host": host.name,
                "mix": name,
                "copies": copies,
                "member_read": found.payload in members,
                "innocent_read": found.payload is not None and found.payload not in members,
                "members_present": [match.present for match in guilty],
                "innocents_present": [match.present for match in others],
                "member_log10_p": [log_p(match.false_alarm_probability) for match in guilty],
                "odg": grade(host.audio, mixed),
            }
        )
    return rows


def measure(material: Material) -> Finding:
    """Run the experiment."""
    mixes = SHORT_MIXES if material.short else tuple(MIXES)
    trials = [
        row
        for host in material.hosts(VICTIMS[material.short], SECONDS[material.short])
        for copies in COPIES[material.short]
        for row in collude(material, host, copies, mixes)
    ]
    rows = []
    for name in mixes:
        for copies in COPIES[material.short]:
            some = [row for row in trials if (row["mix"], row["copies"]) == (name, copies)]
            exponents = [p for row in some for p in row["member_log10_p"]]
            rows.append(
                {
                    "mix": name,
                    "copies": copies,
                    "a member read": count([row["member_read"] for row in some]),
                    "an innocent read": count([row["innocent_read"] for row in some]),
                    "members shown": count([flag for row in some for flag in row["members_present"]]),
                    "median log10 p": round(float(np.median(exponents)), 1),
                    "innocents shown": count([flag for row in some for flag in row["innocents_present"]]),
                    "ODG": mean([row["odg"] for row in some]),
                }
            )
    return Finding(
        theory=THEORY,
        tables={f"what is read from mixed copies of {SECONDS[material.short]:g} s": rows},
        note="shown: the candidate test finds that mark; innocents: payloads of the key that are in no copy",
        data={"trials": trials},
        draw=lambda axes: draw(axes, rows),
    )


def draw(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Draw the evidence against a member over the number of copies."""
    for name in dict.fromkeys(row["mix"] for row in rows):
        points = [(row["copies"], -row["median log10 p"]) for row in rows if row["mix"] == name]
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.axhline(6, color="grey", linestyle="--", label="shown from here")
    axes.set(xlabel="copies mixed", ylabel="-log10 p of a member, median", yscale="symlog")
    axes.legend(fontsize="small")
