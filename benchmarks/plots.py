"""Pictures of the results as PNG: rates with 95 % intervals (Wilson), detection over false alarms."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from benchmarks.attacks import list_families

Row = Mapping[str, Any]
DOTS_PER_INCH = 120


def open_panels(rows: int, columns: int, *, width: float = 6.0, height: float = 4.5) -> tuple[Any, Any]:
    """Make a figure of `rows` by `columns` panels; matplotlib is imported here, drawing to files only."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    size = (width * columns, height * rows)
    return pyplot.subplots(rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")


def open_family_panels(rows: Sequence[Row]) -> tuple[Any, dict[str, Any]]:
    """Make a figure of a panel for each family among `rows`, in the order of the tables."""
    families = [name for name in list_families() if name in {row["family"] for row in rows}]
    columns = min(5, len(families))
    figure, panels = open_panels(-(-len(families) // columns), columns, width=3.2, height=3.2)
    for spare in panels.flat[len(families) :]:
        spare.set_axis_off()
    for line in panels:
        line[0].set_ylabel("exact payload (%), 95 % intervals")
    return figure, dict(zip(families, panels.flat, strict=False))


def save(figure: Any, path: Path) -> None:
    """Write a figure and forget it."""
    from matplotlib import pyplot

    figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")
    pyplot.close(figure)


def draw_rates(panel: Any, points: Sequence[tuple[float, Row]], *, label: str) -> None:
    """Draw rates in percent over x, with their intervals."""
    some = sorted(((x, row) for x, row in points if row["rate"] is not None), key=lambda point: point[0])
    if not some:
        return
    rates = np.array([100 * row["rate"] for _, row in some])
    lows, highs = (np.array([100 * row[name] for _, row in some]) for name in ("low", "high"))
    panel.errorbar(
        [x for x, _ in some],
        rates,
        yerr=np.maximum(0, [rates - lows, highs - rates]),
        marker="o",
        markersize=4,
        linewidth=1.3,
        capsize=2,
        elinewidth=0.8,
        label=label,
    )


def finish(panel: Any, *, title: str, xlabel: str) -> None:
    """Give a panel of rates its scale and words."""
    panel.set(title=title, xlabel=xlabel, ylim=(-3, 103))
    panel.grid(visible=True, alpha=0.3)


def add_legend(figure: Any, panels: Iterable[Any]) -> None:
    """One legend for all panels, below them."""
    handles = {
        label: handle
        for panel in panels
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(6, len(handles)))


def plot_lengths(rows: Sequence[Row], systems: Sequence[str], path: Path) -> None:
    """Decode rate over clip length: a panel per family, a line per system, a dash for each target."""
    figure, panels = open_family_panels(rows)
    lengths = sorted({row["clip_s"] for row in rows})
    for family, panel in panels.items():
        panel.set_xscale("log")
        panel.set_xticks(lengths, [f"{clip_s:g}" for clip_s in lengths])
        panel.minorticks_off()
        panel.set_xlim(lengths[0] / 1.3, lengths[-1] * 1.3)
        for number, system in enumerate(systems):
            apart = 1.025 ** (number - (len(systems) - 1) / 2)  # so that intervals do not cover each other
            some = [row for row in rows if (row["family"], row["system"]) == (family, system)]
            draw_rates(panel, [(row["clip_s"] * apart, row) for row in some], label=system)
        aims = [(row["clip_s"], row["target"]) for row in rows if row["family"] == family]
        some_aims = {clip_s: target for clip_s, target in aims if target is not None}
        if some_aims:
            shares = [100 * target for target in some_aims.values()]
            panel.plot(list(some_aims), shares, "k_", markersize=16, label="target")
        finish(panel, title=family, xlabel="clip length (s)")
    add_legend(figure, panels.values())
    save(figure, path)


def split_strength(system: str) -> tuple[str, float | None]:
    """A system's name without its strength, and that."""
    base, _, strength = system.partition("@")
    return base, float(strength) if strength else None


def plot_strengths(rows: Sequence[Row], stem: Path) -> list[Path]:
    """Decode rate over embedding strength: a panel per family, a line per clip length.

    One picture for each system that was run at two strengths or more; returns their paths.
    """
    strengths: dict[str, set[float]] = {}
    for row in rows:
        base, strength = split_strength(row["system"])
        strengths.setdefault(base, set()).update([] if strength is None else [strength])
    paths = []
    for base in (base for base, some in strengths.items() if len(some) > 1):
        own = [row for row in rows if split_strength(row["system"])[0] == base and "@" in row["system"]]
        figure, panels = open_family_panels(own)
        for family, panel in panels.items():
            for clip_s in sorted({row["clip_s"] for row in own}):
                points = [
                    (float(row["system"].partition("@")[2]), row)
                    for row in own
                    if (row["family"], row["clip_s"]) == (family, clip_s)
                ]
                draw_rates(panel, points, label=f"{clip_s:g} s")
            finish(panel, title=family, xlabel=f"strength of {base}")
        add_legend(figure, panels.values())
        paths.append(stem.with_name(f"{stem.name}-{base}.png"))
        save(figure, paths[-1])
    return paths


def plot_audibility(totals: Sequence[Row], audibility: Mapping[str, Mapping[str, Any]], path: Path) -> bool:
    """Decode rate over all attacks against mean ODG: a panel per clip length, systems joined over strength.

    `totals` counts over all families. False, and nothing drawn, with fewer than two graded systems.
    """
    systems = [system for system in dict.fromkeys(row["system"] for row in totals) if system in audibility]
    if len(systems) < 2:
        return False
    clips = sorted({row["clip_s"] for row in totals})
    figure, panels = open_panels(1, len(clips), width=5.0)
    for panel, clip_s in zip(panels[0], clips, strict=True):
        for base in dict.fromkeys(split_strength(system)[0] for system in systems):
            points = [
                (audibility[row["system"]]["odg_mean"], row)
                for row in totals
                if row["clip_s"] == clip_s
                and row["system"] in systems
                and split_strength(row["system"])[0] == base
            ]
            draw_rates(panel, points, label=base)
        finish(panel, title=f"{clip_s:g} s", xlabel="mean ODG (right: less audible)")
    panels[0][0].set_ylabel("exact payload, all attacks (%)")
    add_legend(figure, panels.flat)
    save(figure, path)
    return True


def plot_detections(detections: Sequence[Row], path: Path) -> None:
    """Detection over the stated false-alarm probability: a panel per clip length, a line per family."""
    clips = sorted({row["clip_s"] for row in detections})
    figure, panels = open_panels(1, len(clips), width=5.0)
    for panel, clip_s in zip(panels[0], clips, strict=True):
        for family in list_families():
            for row in detections:
                if (row["family"], row["clip_s"]) == (family, clip_s):
                    points = sorted((10.0**-k, 100 * share) for k, share in row["share"].items())
                    panel.step(*zip(*points, strict=True), label=family, where="post")
        alarms = np.logspace(-12, 0, 100)
        panel.plot(alarms, 100 * alarms, "k--", linewidth=1, label="theory, without a mark")
        panel.set_xscale("log")
        finish(panel, title=f"{clip_s:g} s", xlabel="stated false-alarm probability")
    panels[0][0].set_ylabel("detected (%)")
    add_legend(figure, panels.flat)
    save(figure, path)


def plot_alarms(stated: Mapping[str, Sequence[float]], path: Path) -> None:
    """How many queries stated p or less, over p, beside what an exact p would give, with its 95 % band."""
    most = max(map(len, stated.values()))
    figure, panels = open_panels(1, len(stated), width=5.0)
    for panel, (kind, values) in zip(panels[0], stated.items(), strict=True):
        count = len(values)
        x = np.logspace(-max(4.0, np.ceil(np.log10(max(count, 1)))), 0, 400)
        ordered = np.sort(values)
        panel.plot(x, np.searchsorted(ordered, x, side="right"), label="observed", linewidth=1.6)
        panel.plot(x, count * x, "k--", linewidth=1, label="theory: n p")
        low, high = binom.ppf(0.025, count, x), binom.ppf(0.975, count, x)
        panel.fill_between(x, low, high, color="k", alpha=0.12, label="95 % of exact p", linewidth=0)
        panel.set(xscale="log", xlabel="stated p", title=f"{kind}: {count:,} queries")
        panel.set_yscale("symlog", linthresh=1)
        panel.set_ylim(0, max(most, 1) * 1.5)
        panel.grid(visible=True, alpha=0.3)
    panels[0][0].set_ylabel("queries that state p or less")
    panels[0][0].legend(loc="upper left", fontsize="small")
    save(figure, path)
