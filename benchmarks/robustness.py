"""How often a mark is read after an attack: `python -m benchmarks.robustness [--short] [--peer NAME=PATH]`.

Tracks are marked, a clip is cut at a random place, attacked and read; each trial's key, payload, place and
attack are drawn from the seed alone, so every system is tried on the same clips. An outcome is "exact" (the
payload), "wrong" (another payload: must never happen), "none", "error" (the clip was refused; counts as not
read), or "void" where the attack left digital silence (the side signal of a mono track). Trials are kept one
by one in a log next to the result, so an interrupted run goes on; those of other watermark code are not used
again.
"""

import argparse
import hashlib
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import watermark
from benchmarks.attack import Attack, apply
from benchmarks.attacks import ATTACKS, FAMILIES, find, short_list
from benchmarks.marking import derive_secret, load_section, mark_section, open_system, shorten
from benchmarks.music import SAMPLE_RATE, Track, choose, list_tracks
from benchmarks.report import (
    describe_run,
    digest_code,
    make_parser,
    run_main,
    show_progress,
    show_table,
    write_json,
)
from benchmarks.systems import EXACT, NONE, WRONG, Reading
from benchmarks.tools import Audio, BenchmarkError
from benchmarks.trials import TrialLog, run_trials

CLIPS_S = (5.0, 10.0, 15.0, 30.0)
VOID, ERROR = "void", "error"
SILENCE_RMS = 1e-5


@dataclass(frozen=True)
class Trial:
    """One clip of one track, cut, attacked and read."""

    system: str  # "provenote", or a peer as given on the command line
    cache: Path
    track: Track
    other: Track  # the unmarked song that attacks mix or splice in
    attack: str
    clip_s: float
    repeat: int
    seed: int

    @property
    def clip_seed(self) -> int:
        """Seed of the cut and of the attack: the same for every system."""
        text = f"{self.seed} {self.track.sha256} {self.attack} {self.clip_s} {self.repeat}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])

    def identify(self, version: str) -> dict[str, Any]:
        """Everything that the outcome depends on."""
        code = digest_code() if self.system == "provenote" else ""
        return {
            "system": self.system,
            "version": version,
            "code": code,
            "track": self.track.sha256[:16],
            "other": self.other.sha256[:16],
            "attack": self.attack,
            "clip_s": self.clip_s,
            "repeat": self.repeat,
            "seed": self.seed,
        }


def make_clip(trial: Trial) -> tuple[Audio, int]:
    """Cut and attack a trial's clip."""
    marked = mark_section(trial.system, trial.track, trial.cache, trial.seed)
    count = round(trial.clip_s * SAMPLE_RATE)
    if count > marked.shape[1]:
        raise BenchmarkError(
            f"expected {trial.track.name} to hold {trial.clip_s} s, got {marked.shape[1] / SAMPLE_RATE:.1f} s"
        )
    rng = np.random.default_rng(trial.clip_seed)
    start = int(rng.integers(marked.shape[1] - count + 1))
    song = load_section(trial.other, trial.cache, trial.seed)
    clip = marked[:, start : start + count]
    return apply(find(trial.attack), clip, SAMPLE_RATE, seed=trial.clip_seed, song=song)


def make_trial(trial: Trial) -> dict[str, Any]:
    """Make one trial and describe its outcome as a row of the log."""
    system = open_system(trial.system)
    audio, sample_rate = make_clip(trial)
    row = {"id": trial.identify(system.version), "name": trial.track.name, "split": trial.track.split}
    if float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) < SILENCE_RMS:
        return {**row, "outcome": VOID}
    start = sum(os.times()[:4])
    try:
        reading = system.read(audio, sample_rate=sample_rate, secret=derive_secret(trial.track, trial.seed))
    except watermark.WatermarkError as error:
        # Counts as not read, and is shown: one clip that is refused must not end a run of hours.
        reading = Reading(ERROR, {"error": str(error)})
    cpu_s = sum(os.times()[:4]) - start
    return {**row, "outcome": reading.outcome, "cpu_s": round(cpu_s, 3), **reading.facts}


def plan_trials(options: argparse.Namespace, systems: Sequence[str]) -> list[Trial]:
    """List all trials, those of one track together, so that each track is marked once."""
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    if len(tracks) < 2:
        raise BenchmarkError(f"expected two tracks or more in split {options.split}, got {len(tracks)}")
    return [
        Trial(
            system=system,
            cache=options.cache,
            track=track,
            other=tracks[(number + 1) % len(tracks)],
            attack=attack.name,
            clip_s=clip_s,
            repeat=repeat,
            seed=options.seed,
        )
        for number, track in enumerate(tracks)
        for system in systems
        for attack in options.attacks
        for clip_s in options.clips
        for repeat in range(options.repeats)
        if clip_s <= track.seconds
    ]


def identify(trial: Trial) -> dict[str, Any]:
    """Everything that a trial's outcome depends on."""
    return trial.identify(open_system(trial.system).version)


def count_outcomes(rows: Sequence[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """Count outcomes by system, clip length and `by` ("family" or "attack")."""
    counts: dict[tuple[str, str, float], Counter[str]] = defaultdict(Counter)
    for row in rows:
        attack = find(row["id"]["attack"])
        group = attack.family if by == "family" else attack.name
        counts[group, row["id"]["system"], row["id"]["clip_s"]][row["outcome"]] += 1
    return [
        {by: group, "system": system, "clip_s": clip_s, **count_one(counter)}
        for (group, system, clip_s), counter in counts.items()
    ]


def count_one(counter: Counter[str]) -> dict[str, Any]:
    """Turn outcomes into counts and the share of exact ones among those that are not void."""
    trials = counter[EXACT] + counter[WRONG] + counter[NONE] + counter[ERROR]
    rate = round(counter[EXACT] / trials, 4) if trials else None
    return {
        "trials": trials,
        "exact": counter[EXACT],
        "wrong": counter[WRONG],
        "error": counter[ERROR],
        "void": counter[VOID],
        "rate": rate,
    }


def show_counts(
    counts: Sequence[dict[str, Any]], by: str, systems: Sequence[str], clips: Sequence[float]
) -> None:
    """Print the share of exact payloads by group, clip length and system."""
    cells = {(row[by], row["system"], row["clip_s"]): row for row in counts}
    order = list(FAMILIES) if by == "family" else [attack.name for attack in ATTACKS]
    columns = [by, *(f"{shorten(system)} {clip_s:g} s" for system in systems for clip_s in clips)]
    rows = []
    for group in order:
        found = [cells.get((group, system, clip_s)) for system in systems for clip_s in clips]
        if any(found):
            rows.append([group, *(format_cell(cell) for cell in found)])
    wrong, refused = (sum(row[outcome] for row in counts) for outcome in (WRONG, ERROR))
    show_table(
        f"exact payload read, by {by} and clip length",
        columns,
        rows,
        note=f"wrong payloads: {wrong}; clips refused with an error: {refused}",
    )


def format_cell(cell: dict[str, Any] | None) -> str:
    """A cell as "97 % 29/30"."""
    if cell is None or cell["rate"] is None:
        return "-"
    wrong = f" !{cell['wrong']} wrong" if cell["wrong"] else ""
    return f"{100 * cell['rate']:.0f} % {cell['exact']}/{cell['trials']}{wrong}"


def plot(counts: Sequence[dict[str, Any]], systems: Sequence[str], path: Path) -> None:
    """Draw decode rate over clip length, a line per family and a panel per system, as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        1, len(systems), figsize=(7 * len(systems), 5), sharey=True, squeeze=False
    )
    for panel, system in zip(panels[0], systems, strict=True):
        for family in FAMILIES:
            points = sorted(
                (row["clip_s"], 100 * row["rate"])
                for row in counts
                if row["family"] == family and row["system"] == system and row["rate"] is not None
            )
            if points:
                panel.plot(*zip(*points, strict=True), marker="o", label=family)
        panel.set(title=shorten(system), xlabel="clip length (s)", ylim=(-3, 103))
        panel.grid(visible=True, alpha=0.3)
    panels[0][0].set_ylabel("exact payload (%)")
    panels[0][-1].legend(loc="lower right", fontsize="small")
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; --short sets what was not set by hand."""
    parser = make_parser(__doc__)
    parser.add_argument("--clips", help="clip lengths in s, as 5,10,15,30")
    parser.add_argument("--attacks", help="names of attacks, separated by semicolons (default: all)")
    parser.add_argument("--families", help="families of attacks, separated by semicolons (default: all)")
    parser.add_argument("--repeats", type=int, default=1, help="clips per track, attack and length")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--peer", action="append", default=[], help="as audiowmark=PATH; may be given again")
    parser.add_argument("--detail", action="store_true", help="also print a row for each attack")
    options = parser.parse_args(arguments)
    options.tracks = options.tracks or (4 if options.short else 40)
    default_clips = (10.0, 30.0) if options.short else CLIPS_S
    options.clips = tuple(float(s) for s in options.clips.split(",")) if options.clips else default_clips
    options.attacks = choose_attacks(options)
    return options


def choose_attacks(options: argparse.Namespace) -> tuple[Attack, ...]:
    """The attacks that the options name."""
    try:
        if options.attacks:
            return tuple(find(name.strip()) for name in options.attacks.split(";"))
    except ValueError as error:
        raise BenchmarkError(str(error)) from error
    attacks = short_list() if options.short else ATTACKS
    if not options.families:
        return attacks
    families = {name.strip() for name in options.families.split(";")}
    if not families <= set(FAMILIES):
        raise BenchmarkError(f"expected families among {list(FAMILIES)}, got {sorted(families)}")
    return tuple(attack for attack in attacks if attack.family in families)


def measure() -> None:
    """Run the benchmark."""
    options = parse_options()
    systems = ["provenote", *options.peer]
    for peer in options.peer:
        open_system(peer)
    trials = plan_trials(options, systems)
    stem = f"robustness-{options.split}"
    log = TrialLog(options.output / f"{stem}.jsonl")
    made = run_trials(trials, log, identify=identify, make=make_trial, jobs=options.jobs)
    start = time.monotonic()
    rows = list(show_progress(made, total=len(trials), what="trials"))
    families, attacks = count_outcomes(rows, "family"), count_outcomes(rows, "attack")
    if options.detail:
        show_counts(attacks, "attack", systems, options.clips)
    show_counts(families, "family", systems, options.clips)
    name = f"{stem}-short" if options.short else stem
    plot(families, systems, options.output / f"{name}.png")
    options.attacks = [attack.name for attack in options.attacks]
    results = {
        "systems": {system: open_system(system).version for system in systems},
        "seconds": round(time.monotonic() - start, 1),
        "families": families,
        "attacks": attacks,
        "tracks": sorted({f"{trial.track.name} ({trial.track.licence})" for trial in trials}),
        "trials": rows,
    }
    write_json(options.output / f"{name}.json", "robustness", describe_run(options), results)
    print(f"{len(rows)} trials; table, plot and JSON in {options.output}/{name}.*")


if __name__ == "__main__":
    sys.exit(run_main(measure))
