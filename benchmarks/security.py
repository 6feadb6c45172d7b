"""Attacks on the mark by who knows its source code: `python -m benchmarks.security [--short] [--only NAME]`.

Each experiment says its theory, prints its tables and writes `security-NAME-SPLIT.json`, with a picture where
one says more. An attacker has everything but the watermark key. What it means is in docs/security.md.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import (
    security_brute_force,
    security_collusion,
    security_copy,
    security_estimation,
    security_keyless,
    security_oracle,
    security_remarking,
    security_removal,
)
from benchmarks.report import describe_run, make_parser, run_main, show_table, write_json
from benchmarks.security_material import Finding, Material, open_material
from benchmarks.tools import BenchmarkError
from watermark import PROFILE, PROFILES

EXPERIMENTS: dict[str, tuple[str, Callable[[Material], Finding]]] = {
    "estimation": ("pattern estimated from N marked files", security_estimation.measure),
    "collusion": ("copies of one track mixed", security_collusion.measure),
    "copy": ("the mark of A put on B", security_copy.measure),
    "remarking": ("marked again", security_remarking.measure),
    "oracle": ("the public detector asked again and again", security_oracle.measure),
    "keys": ("keys tried", security_brute_force.measure),
    "keyless": ("marked music told without the key", security_keyless.measure),
    "removal": ("blind removal", security_removal.measure),
}
VICTIMS = {True: 4, False: 24}


def format_value(value: Any) -> str:
    """A figure or word of a table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1e4 else f"{value:.1e}"
    return str(value)


def show(name: str, finding: Finding) -> None:
    """Print the tables of a finding."""
    print(f"\n== {name}: {EXPERIMENTS[name][0]}\n{finding.theory}", flush=True)
    for heading, rows in finding.tables.items():
        columns = list(rows[0])
        show_table(heading, columns, [[format_value(row[name]) for name in columns] for row in rows])
    if finding.note:
        print(finding.note)


def draw(title: str, finding: Finding, path: Path) -> None:
    """Draw a finding's picture as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    assert finding.draw is not None
    finding.draw(axes)
    axes.set_title(title)
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)


def choose_experiments(names: Sequence[str]) -> list[str]:
    """Check the names given by --only; without any, all."""
    unknown = sorted(set(names) - set(EXPERIMENTS))
    if unknown:
        raise BenchmarkError(f"expected experiments among {list(EXPERIMENTS)}, got {unknown}")
    return list(dict.fromkeys(names)) or list(EXPERIMENTS)


def run_experiment(name: str, material: Material, run: dict[str, Any], stem: Path) -> Finding:
    """Run one experiment and write its JSON and picture; the finding comes back without its picture."""
    title, experiment = EXPERIMENTS[name]
    start = time.monotonic()
    finding = experiment(material)
    results = {
        "experiment": name,
        "profile": material.profile.name,
        "theory": finding.theory,
        "tables": finding.tables,
        "note": finding.note,
        "facts": finding.data,
        "tracks": [track.name for track in material.victims],
        "seconds": round(time.monotonic() - start, 1),
    }
    write_json(stem.with_suffix(".json"), "security", run, results)
    if finding.draw is not None:
        draw(f"{title} ({material.profile.name})", finding, stem.with_suffix(".png"))
    # A picture is drawn by a function that another process cannot be handed.
    return replace(finding, draw=None)


def measure() -> None:
    """Run the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--only", action="append", default=[], help="an experiment; may be given again")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="experiments at the same time")
    profiles = {profile.name: profile for profile in PROFILES}
    parser.add_argument(
        "--profile", choices=list(profiles), default=PROFILE.name, help="default: %(default)s"
    )
    options = parser.parse_args()
    names = choose_experiments(options.only)
    options.tracks = options.tracks or VICTIMS[options.short]
    material = open_material(
        options.cache,
        split=options.split,
        tracks=options.tracks,
        seed=options.seed,
        short=options.short,
        profile=profiles[options.profile],
    )
    run = describe_run(options)
    suffix = f"{options.profile}-{options.split}" + ("-short" if options.short else "")
    stems = {name: options.output / f"security-{name}-{suffix}" for name in names}
    if options.jobs == 1 or len(names) == 1:
        for name in names:
            show(name, run_experiment(name, material, run, stems[name]))
    else:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
            futures = {n: pool.submit(run_experiment, n, material, run, stems[n]) for n in names}
            for name, future in futures.items():
                show(name, future.result())
    print(f"\nJSON and pictures: {options.output}/security-*-{suffix}.*")


if __name__ == "__main__":
    sys.exit(run_main(measure))
