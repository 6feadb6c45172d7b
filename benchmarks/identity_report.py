"""The figures of the identity benchmark, out of its trials, and their tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.identity_attacks import GROUPS
from benchmarks.report import show_table


def summarise(
    rows: Sequence[Mapping[str, Any]],
    *,
    kinds: Sequence[str],
    lengths_s: Sequence[float],
    levels: Sequence[float],
    place_s: float,
) -> dict[str, Any]:
    """Count trials by attack, group, kind of index and length."""
    scales = {name: scale for group in GROUPS for name, scale in group.scales.items()}
    results: dict[str, Any] = {"attacks": [], "groups": [], "unindexed": [], "alignment": [], "queries": []}
    for kind in kinds:
        for length_s in lengths_s:
            cell = {"kind": kind, "length_s": length_s}
            asked = [(row, answer) for row in rows for answer in row["answers"] if _is(answer, cell)]
            hits = {}
            for row, answer in asked:
                if row["attack"]:
                    hits.setdefault(row["attack"], []).append((row, answer))
            errors = []
            for name, some in hits.items():
                right = [(row, answer) for row, answer in some if judge_answer(row, answer) == "right"]
                judged = [judge_answer(row, answer) for row, answer in some]
                placed = [
                    (
                        answer["start_s"] - row["true_start_s"],
                        answer["time_scale"] / scales.get(name, 1.0) - 1,
                    )
                    for row, answer in right
                    if abs(answer["start_s"] - row["true_start_s"]) < place_s
                ]
                errors += placed
                results["attacks"].append(
                    {
                        **cell,
                        "attack": name,
                        "clips": len(some),
                        "right": len(right),
                        "copies": judged.count("copy"),
                        "wrong": judged.count("wrong"),
                        "elsewhere": len(right) - len(placed),
                        **_describe_errors(placed),
                    }
                )
            for group in GROUPS:
                some = [each for attack in group.attacks for each in hits.get(attack.name, [])]
                right = sum(judge_answer(row, answer) == "right" for row, answer in some)
                target = group.target_10_s if length_s == max(lengths_s) else group.target_5_s
                results["groups"].append(
                    {
                        **cell,
                        "group": group.name,
                        "clips": len(some),
                        "rate": right / max(len(some), 1),
                        "target": target,
                    }
                )
            results["alignment"].append({**cell, "clips": len(errors), **_describe_errors(errors)})
            results["unindexed"].append({**cell, **_count_false(rows, cell, levels)})
            for title, some in (
                ("found", [a for r, a in asked if r["attack"] and "track" in a]),
                ("unknown", [a for r, a in asked if not r["attack"] and "track" not in a]),
            ):
                cpu = [answer["cpu_s"] for answer in some] or [0.0]
                results["queries"].append(
                    {
                        **cell,
                        "answer": title,
                        "cpu_ms_median": float(np.median(cpu)) * 1e3,
                        "cpu_ms_p95": float(np.quantile(cpu, 0.95)) * 1e3,
                    }
                )
    return results


def judge_answer(row: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    """Say whether an answer is "right", "wrong", "none", or names an altered "copy" of the track asked about.

    A copy runs backwards at another pace, but was made of the same sound, and music can hold its own mirror
    image: it is not what was asked for, nor another recording.
    """
    if "track" not in answer:
        return "none"
    if answer["track"] == row["number"]:
        return "right"
    return "copy" if answer["source"] == row["source"] else "wrong"


def _is(answer: Mapping[str, Any], cell: Mapping[str, Any]) -> bool:
    return all(answer[name] == value for name, value in cell.items())


def _describe_errors(placed: Sequence[tuple[float, float]]) -> dict[str, float]:
    if not placed:
        return {}
    errors = np.abs(np.array(placed))
    return {
        "offset_ms_median": float(np.median(errors[:, 0])) * 1e3,
        "offset_ms_p90": float(np.quantile(errors[:, 0], 0.9)) * 1e3,
        "scale_percent_median": float(np.median(errors[:, 1])) * 100,
        "scale_percent_p90": float(np.quantile(errors[:, 1], 0.9)) * 100,
    }


def _count_false(
    rows: Sequence[Mapping[str, Any]], cell: Mapping[str, Any], levels: Sequence[float]
) -> dict[str, Any]:
    asked = [
        (row, answer) for row in rows if not row["attack"] for answer in row["answers"] if _is(answer, cell)
    ]
    claims = {
        f"claims at {level:g}": sum(answer.get("probability", 1.0) <= level for _, answer in asked)
        for level in levels
    }
    pairs = [
        {"clip": row["id"]["track"], "start_s": row["id"]["start_s"], **answer}
        for row, answer in asked
        if answer.get("probability", 1.0) <= min(levels)
    ]
    return {"clips": len(asked), **claims, "pairs": pairs}


def show_results(results: Mapping[str, Any], *, kinds: Sequence[str], lengths_s: Sequence[float]) -> None:
    """Print the tables."""
    cells = [(kind, length_s) for kind in kinds for length_s in lengths_s]
    heads = [f"{kind} {length_s:g} s" for kind, length_s in cells]

    def row_of(rows: Sequence[Mapping[str, Any]], text: Any) -> list[str]:
        by_cell = {(row["kind"], row["length_s"]): row for row in rows}
        return [text(by_cell[cell]) if cell in by_cell else "-" for cell in cells]

    groups = [
        [group.name, *row_of([r for r in results["groups"] if r["group"] == group.name], _format_rate)]
        for group in GROUPS
    ]
    show_table("identified, % (target of rich)", ["group", *heads], groups)
    attacks = [
        [
            attack.name,
            *row_of(
                [r for r in results["attacks"] if r["attack"] == attack.name],
                lambda r: f"{100 * r['right'] / r['clips']:.1f} ({r['copies']}, {r['wrong']})",
            ),
        ]
        for group in GROUPS
        for attack in group.attacks
    ]
    show_table(
        "identified, %, by attack; answers with a copy of the track, with another",
        ["attack", *heads],
        attacks,
    )
    named = {
        "offset ms, median": "offset_ms_median",
        "offset ms, p90": "offset_ms_p90",
        "scale %, median": "scale_percent_median",
        "scale %, p90": "scale_percent_p90",
    }
    lines = [
        [title, *row_of(results["alignment"], lambda r, name=name: f"{r.get(name, float('nan')):.3g}")]
        for title, name in named.items()
    ]
    show_table("alignment, all attacks", ["error", *heads], lines)
    counts = [name for name in results["unindexed"][0] if name not in ("kind", "length_s", "pairs")]
    lines = [[name, *row_of(results["unindexed"], lambda r, name=name: str(r[name]))] for name in counts]
    show_table("music that is in no index", ["", *heads], lines)
    lines = [
        [
            f"{answer}, {share}",
            *row_of(
                [r for r in results["queries"] if r["answer"] == answer],
                lambda r, share=share: f"{r[f'cpu_ms_{share}']:.0f}",
            ),
        ]
        for answer in ("found", "unknown")
        for share in ("median", "p95")
    ]
    show_table("CPU ms a query, without extraction", ["answer", *heads], lines)
    sizes = ", ".join(f"{name} {value / 1000:.1f}" for name, value in results["bytes_per_minute"].items())
    print(f"extraction {results['extraction_times_real_time']:.0f} times real time; kB a minute: {sizes}")


def _format_rate(row: Mapping[str, Any]) -> str:
    return f"{100 * row['rate']:.1f} ({100 * row['target']:.0f})"
