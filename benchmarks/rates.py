"""From trials to rates: outcomes counted by attack or family, with intervals, beside targets and peers."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.attacks import find, list_families, list_names
from benchmarks.report import show_table
from benchmarks.systems import EXACT, NONE, OURS, WRONG
from benchmarks.targets import find_target

VOID, ERROR = "void", "error"
NORMAL_95 = 1.959964  # two-sided 95 % of the normal distribution
Row = dict[str, Any]


def find_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); (0, 1) without trials."""
    if not trials:
        return 0.0, 1.0
    share, spread = successes / trials, NORMAL_95**2 / trials
    centre = share + spread / 2
    half = math.sqrt(spread * share * (1 - share) + spread**2 / 4)
    return max(0.0, (centre - half) / (1 + spread)), min(1.0, (centre + half) / (1 + spread))


def count_one(counter: Counter[str]) -> Row:
    """Turn outcomes into counts and the share of exact ones among those that are not void."""
    trials = counter[EXACT] + counter[WRONG] + counter[NONE] + counter[ERROR]
    low, high = find_interval(counter[EXACT], trials)
    return {
        "trials": trials,
        "exact": counter[EXACT],
        "wrong": counter[WRONG],
        "error": counter[ERROR],
        "void": counter[VOID],
        "rate": round(counter[EXACT] / trials, 4) if trials else None,
        "low": round(low, 4),
        "high": round(high, 4),
    }


def count_outcomes(rows: Iterable[Row], by: str) -> list[Row]:
    """Count outcomes by system, clip length and `by` ("family" or "attack"), beside the target."""
    counts: dict[tuple[str, str, float], Counter[str]] = defaultdict(Counter)
    for row in rows:
        attack = find(row["id"]["attack"])
        group = attack.family if by == "family" else attack.name
        counts[group, row["id"]["system"], row["id"]["clip_s"]][row["outcome"]] += 1
    result = []
    for (group, system, clip_s), counter in counts.items():
        family = group if by == "family" else find(group).family
        target = find_target(system, family, clip_s)
        result.append({by: group, "system": system, "clip_s": clip_s, "target": target, **count_one(counter)})
    return result


def count_totals(families: Iterable[Row]) -> list[Row]:
    """Add up the counts of all families by system and clip length."""
    totals: dict[tuple[str, float], Counter[str]] = defaultdict(Counter)
    for row in families:
        missed = row["trials"] - row["exact"] - row[WRONG] - row[ERROR]
        counts = {EXACT: row["exact"], WRONG: row[WRONG], ERROR: row[ERROR], VOID: row[VOID], NONE: missed}
        totals[row["system"], row["clip_s"]].update(counts)
    return [{"system": s, "clip_s": clip_s, **count_one(counter)} for (s, clip_s), counter in totals.items()]


def describe_attacks(names: Iterable[str]) -> list[Row]:
    """Source and parameter of each attack, and what each list leaves out, for the result file."""
    return [
        {"name": attack.name, "family": attack.family, "source": attack.source, "parameter": attack.parameter}
        for attack in map(find, names)
    ]


def compare_readings(rows: Iterable[Row], ours: str, peer: str) -> list[Row]:
    """Compare two systems clip by clip: how often each alone read the payload, by family and length."""
    outcomes: dict[tuple[Any, ...], dict[str, str]] = defaultdict(dict)
    for row in rows:
        identity = row["id"]
        clip = tuple(identity[name] for name in ("attack", "clip_s", "track", "repeat", "seed"))
        outcomes[clip][identity["system"]] = row["outcome"]
    counts: dict[tuple[str, float], Counter[str]] = defaultdict(Counter)
    lost: dict[tuple[str, float], Counter[str]] = defaultdict(Counter)
    for (attack, clip_s, *_), some in outcomes.items():
        if ours in some and peer in some and VOID not in (some[ours], some[peer]):
            group = find(attack).family, clip_s
            both = ("we" if some[ours] == EXACT else "", "they" if some[peer] == EXACT else "")
            counts[group][" and ".join(filter(None, both)) or "neither"] += 1
            if both == ("", "they"):
                lost[group][attack] += 1
    return [
        {
            "family": family,
            "clip_s": clip_s,
            "peer": peer,
            "clips": counter.total(),
            "both": counter["we and they"],
            "only_ours": counter["we"],
            "only_peer": counter["they"],
            "lost": dict(lost[family, clip_s]),
        }
        for (family, clip_s), counter in counts.items()
    ]


def format_cell(cell: Mapping[str, Any] | None) -> str:
    """A cell as "97 % 29/30", with a mark where it lies below its target."""
    if cell is None or cell["rate"] is None:
        return "-"
    wrong = f" !{cell['wrong']} wrong" if cell["wrong"] else ""
    below = " <" if cell.get("target") is not None and cell["rate"] < cell["target"] else ""
    return f"{100 * cell['rate']:.0f} % {cell['exact']}/{cell['trials']}{below}{wrong}"


def format_targets(group: str, by: str, clips: Sequence[float]) -> str:
    """The targets of a row as "97 / 99.5 / 100"."""
    family = group if by == "family" else find(group).family
    targets = [find_target(OURS, family, clip_s) for clip_s in clips]
    return " / ".join("-" if target is None else f"{100 * target:g}" for target in targets)


def show_counts(counts: Sequence[Row], by: str, systems: Sequence[str], clips: Sequence[float]) -> None:
    """Print the share of exact payloads by group, clip length and system, beside the targets."""
    cells = {(row[by], row["system"], row["clip_s"]): row for row in counts}
    order = list(list_families()) if by == "family" else list_names()
    aimed = any(row["target"] is not None for row in counts)
    columns = [by, *(["aim %"] if aimed else [])]
    columns += [f"{system} {clip_s:g} s" for system in systems for clip_s in clips]
    rows = []
    for group in order:
        found = [cells.get((group, system, clip_s)) for system in systems for clip_s in clips]
        if any(found):
            aim = [format_targets(group, by, clips)] if aimed else []
            rows.append([group, *aim, *map(format_cell, found)])
    wrong = ", ".join(
        f"{system} {sum(row[WRONG] for row in counts if row['system'] == system)}" for system in systems
    )
    refused = sum(row[ERROR] for row in counts)
    show_table(
        f"exact payload read, by {by} and clip length",
        columns,
        rows,
        note=f"wrong payloads: {wrong}; clips refused with an error: {refused}"
        + ("; <: below the aim" if aimed else ""),
    )


def show_comparison(comparison: Sequence[Row], ours: str) -> None:
    """Print who alone read how many clips, and the attacks by which we lost one."""
    order = list(list_families())
    comparison = sorted(comparison, key=lambda row: (row["peer"], order.index(row["family"]), row["clip_s"]))
    show_table(
        f"clip by clip: {ours} and its peers",
        ["family", "clip s", "peer", "clips", "both", "only we", "only the peer", "lost on"],
        [
            [
                row["family"],
                f"{row['clip_s']:g}",
                row["peer"],
                *(str(row[name]) for name in ("clips", "both", "only_ours", "only_peer")),
                ", ".join(f"{name} {count}" for name, count in sorted(row["lost"].items())) or "-",
            ]
            for row in comparison
        ],
    )


def show_systems(audibility: Mapping[str, Mapping[str, Any]], claims: Mapping[str, str]) -> None:
    """Print what each system's readings mean, and how audible its mark was on the same sections."""
    rows = []
    for system, claim in claims.items():
        some = audibility.get(system)
        figures = [f"{some[name]:.2f}" for name in ODG] + [str(some["sections"])] if some else ["-"] * 3
        rows.append([system, *figures, claim])
    show_table(
        "systems, with PEAQ's ODG of what they marked (0 imperceptible, -4 very annoying)",
        ["system", "ODG mean", "ODG worst", "sections", "read means"],
        rows,
    )


ODG = ("odg_mean", "odg_worst")


def summarise_audibility(rows: Iterable[Row]) -> dict[str, Row]:
    """Mean and worst ODG over the marked sections of each system."""
    grades: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["odg"] is not None:
            grades[row["id"]["system"]].append(row["odg"])
    return {
        system: {
            "odg_mean": round(sum(some) / len(some), 3),
            "odg_worst": round(min(some), 3),
            "sections": len(some),
        }
        for system, some in grades.items()
    }


def count_detections(rows: Iterable[Row], system: str) -> list[Row]:
    """The share of clips whose stated false-alarm probability is at most 10^-k: detection over alarms."""
    stated: dict[tuple[str, float], list[float]] = defaultdict(list)
    for row in rows:
        identity = row["id"]
        if identity["system"] == system and row["outcome"] != VOID:
            stated[find(identity["attack"]).family, identity["clip_s"]].append(row.get("p", 1.0))
    result = []
    for (family, clip_s), some in stated.items():
        shares = {k: sum(p <= 10.0**-k for p in some) / len(some) for k in range(13)}
        result.append({"family": family, "clip_s": clip_s, "clips": len(some), "share": shares})
    return result
