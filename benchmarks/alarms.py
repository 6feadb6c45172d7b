"""False alarms counted: how many queries state p or less, beside what an exact p would give."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binom

from benchmarks.report import show_table

UNMARKED, MARKED, CANDIDATE = "unmarked music", "marked music, wrong key", "known-mark test, wrong payload"
KINDS = (UNMARKED, MARKED, CANDIDATE)
EXPONENTS = (1, 2, 3, 4, 5, 6)
Row = dict[str, Any]


def count_alarms(queries: Sequence[Row]) -> list[Row]:
    """Count queries at or below each p, with the expectation and the chance of so many if p were exact."""
    counts = []
    for kind in KINDS:
        stated = np.array([row["p"] for row in queries if row["kind"] == kind])
        for exponent in EXPONENTS if len(stated) else ():
            p = 10.0**-exponent
            count = int((stated <= p).sum())
            counts.append(
                {
                    "kind": kind,
                    "p": p,
                    "queries": len(stated),
                    "count": count,
                    "expected_at_most": len(stated) * p,
                    "chance_of_so_many": float(binom.sf(count - 1, len(stated), p)),
                }
            )
    return counts


def summarise(rows: Sequence[Row], queries: Sequence[Row]) -> list[Row]:
    """What was searched, found and spent, by kind."""
    summary = []
    for kind in KINDS:
        some = [row for row in queries if row["kind"] == kind]
        hours = sum(row["seconds"] for row in some) / 3600
        cpu_s = sum(row["cpu_s"] for row in rows if row["id"]["kind"] == kind)
        if some:
            summary.append(
                {
                    "kind": kind,
                    "queries": len(some),
                    "hours": round(hours, 3),
                    "detected": sum(row["detected"] for row in some),
                    "payloads": sum(row["payload"] is not None for row in some),
                    "lowest_p": min(row["p"] for row in some),
                    "cpu_s": round(cpu_s, 1),
                    "cpu_s_per_hour": round(cpu_s / hours, 1),
                }
            )
    return summary


def show(counts: Sequence[Row], summary: Sequence[Row]) -> None:
    """Print counts against expectation, and the totals."""
    show_table(
        "queries that state p or less",
        ["kind", "p", "queries", "count", "expected at most", "chance of so many"],
        [
            [
                row["kind"],
                f"{row['p']:g}",
                str(row["queries"]),
                str(row["count"]),
                f"{row['expected_at_most']:.3g}",
                f"{row['chance_of_so_many']:.3g}",
            ]
            for row in counts
        ],
    )
    show_table(
        "what was searched",
        ["kind", "hours", "detected", "payloads", "lowest p", "CPU s", "CPU s per hour of audio"],
        [
            [
                row["kind"],
                f"{row['hours']:.2f}",
                *(str(row[name]) for name in ("detected", "payloads")),
                f"{row['lowest_p']:.2g}",
                f"{row['cpu_s']:.0f}",
                f"{row['cpu_s_per_hour']:.0f}",
            ]
            for row in summary
        ],
        note="detected and payloads must be 0",
    )
