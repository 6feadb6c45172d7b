"""How often a mark is read after an attack: `python -m benchmarks.robustness [--short] [--list NAME]`.

Tracks are marked, a clip is cut at a random place, attacked and read; each trial's key, payload, place and
attack are drawn from the seed alone, so every system is tried on the same clips. An outcome is "exact" (the
payload), "wrong" (another payload: must never happen), "none", "error" (the clip was refused; counts as not
read), or "void" where the attack left digital silence (the side signal of a mono track). Trials are kept one
by one in a log next to the result, so an interrupted run goes on; those of other watermark or attack code are
not used again.

--candidate adds the test for one known mark as a system of its own, with another payload of the key as its
control; --placed the same where the recording is registered, so that its fingerprint names the place;
--registry adds reading with 1,000 registered marks at hand, as the service reads; --strengths tries ours at
several strengths; --peer puts others beside it (see docs/benchmarks.md).
"""

import argparse
import hashlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import watermark
from benchmarks import plots, rates
from benchmarks.attack import Attack, apply
from benchmarks.attacks import LISTS, find, short_list
from benchmarks.marking import derive_secret, load_section, mark_section, open_system, shorten
from benchmarks.music import SAMPLE_RATE, Track, choose, list_tracks
from benchmarks.peaq import compare
from benchmarks.rates import ERROR, VOID
from benchmarks.report import (
    describe_run,
    digest_attacks,
    digest_code,
    make_parser,
    run_main,
    show_progress,
    write_json,
)
from benchmarks.systems import CANDIDATE, OURS, PLACED, REGISTRY, Reading, name_marker
from benchmarks.tools import Audio, BenchmarkError
from benchmarks.trials import TrialLog, run_trials

CLIPS_S = (5.0, 10.0, 30.0)
SHORT_CLIPS_S = (10.0, 30.0)
SILENCE_RMS = 1e-5
GRADED_S = 30.0  # of each marked section, by PEAQ
Row = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One clip of one track, cut, attacked and read; without an attack, the section's audibility."""

    system: str  # as given on the command line
    version: str
    code: str  # of ours, "" for peers
    cache: Path
    track: Track
    seed: int
    other: Track | None = None  # the unmarked song that attacks mix or splice in
    attack: str = ""
    clip_s: float = 0.0
    repeat: int = 0

    @property
    def clip_seed(self) -> int:
        """Seed of the cut and of the attack: the same for every system."""
        text = f"{self.seed} {self.track.sha256} {self.attack} {self.clip_s} {self.repeat}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])

    def identify(self) -> Row:
        """Everything that the outcome depends on."""
        identity: Row = {
            "system": shorten(self.system),
            "version": self.version,
            "code": self.code,
            "track": self.track.sha256[:16],
            "seed": self.seed,
        }
        if self.other is None:
            return {**identity, "graded_s": GRADED_S}
        return {
            **identity,
            "attacks": digest_attacks(),
            "other": self.other.sha256[:16],
            "attack": self.attack,
            "clip_s": self.clip_s,
            "repeat": self.repeat,
        }


def make_clip(trial: Trial) -> tuple[Audio, int]:
    """Cut and attack a trial's clip."""
    assert trial.other is not None
    marked = mark_section(name_marker(trial.system), trial.track, trial.cache, trial.seed)
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


def make_trial(trial: Trial) -> Row:
    """Make one trial and describe its outcome as a row of the log."""
    if trial.code not in ("", digest_code()):
        raise BenchmarkError("expected watermark/ to stay as it is during a run, got other sources")
    row = {"id": trial.identify(), "name": trial.track.name, "split": trial.track.split}
    if trial.other is None:
        return {**row, "odg": grade(trial)}
    system = open_system(trial.system)
    audio, sample_rate = make_clip(trial)
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


def grade(trial: Trial) -> float | None:
    """PEAQ's ODG of the marked section's beginning; None where PEAQ hears nothing."""
    count = round(GRADED_S * SAMPLE_RATE)
    before = load_section(trial.track, trial.cache, trial.seed)[:, :count]
    after = mark_section(trial.system, trial.track, trial.cache, trial.seed)[:, :count]
    try:
        return round(compare(before, after, sample_rate=SAMPLE_RATE).odg, 4)
    except ValueError:
        return None


def plan_trials(options: argparse.Namespace, systems: Sequence[str]) -> list[Trial]:
    """List all trials, those of one track together, so that each track is marked once."""
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    if len(tracks) < 2:
        raise BenchmarkError(f"expected two tracks or more in split {options.split}, got {len(tracks)}")
    trials = []
    for number, track in enumerate(tracks):
        for system in systems:
            ours = shorten(system).partition("@")[0] in (OURS, CANDIDATE, PLACED, REGISTRY)
            common: Row = {
                "system": system,
                "version": open_system(system).version,
                "code": digest_code() if ours else "",
                "cache": options.cache,
                "track": track,
                "seed": options.seed,
            }
            if system == name_marker(system) and PLACED not in system:
                trials.append(Trial(**common))
            other = tracks[(number + 1) % len(tracks)]
            trials += [
                Trial(**common, other=other, attack=attack.name, clip_s=clip_s, repeat=repeat)
                for attack in options.attacks
                for clip_s in options.clips
                for repeat in range(options.repeats)
                if clip_s <= track.seconds
            ]
    return trials


def list_systems(options: argparse.Namespace) -> list[str]:
    """The systems that the options name, ours first."""
    ours = [f"{OURS}@{strength:g}" for strength in options.strengths] or [OURS]
    tests = [name.replace(OURS, CANDIDATE) for name in ours] if options.candidate else []
    if options.placed:
        tests += [name.replace(OURS, PLACED) for name in ours]
    if options.registry:
        tests += [name.replace(OURS, REGISTRY) for name in ours]
    systems = [*ours, *tests, *options.peer]
    names = [shorten(system) for system in systems]
    if len(set(names)) < len(names):
        raise BenchmarkError(f"expected every system once, got {names}")
    return systems


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; --short sets what was not set by hand."""
    parser = make_parser(__doc__)
    parser.add_argument("--list", choices=[*LISTS, "all"], default="table", help="default: %(default)s")
    parser.add_argument("--clips", help="clip lengths in s, as 5,10,30")
    parser.add_argument("--attacks", help="names of attacks, separated by semicolons (default: the list's)")
    parser.add_argument("--families", help="families of attacks, separated by semicolons (default: all)")
    parser.add_argument("--repeats", type=int, default=1, help="clips per track, attack and length")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--candidate", action="store_true", help="also test for the known mark")
    parser.add_argument("--placed", action="store_true", help="the same, placed by the fingerprint")
    parser.add_argument("--registry", action="store_true", help="also read with a registry of 1,000 marks")
    parser.add_argument("--strengths", default="", help="embedding strengths of ours, as 0.7,1,1.4")
    parser.add_argument("--peer", action="append", default=[], help="as audiowmark=PATH; may be given again")
    parser.add_argument("--detail", action="store_true", help="also print a row for each attack")
    options = parser.parse_args(arguments)
    options.tracks = options.tracks or (4 if options.short else 40)
    try:
        default_clips = SHORT_CLIPS_S if options.short else CLIPS_S
        options.clips = tuple(map(float, options.clips.split(","))) if options.clips else default_clips
        options.strengths = tuple(map(float, filter(None, options.strengths.split(","))))
    except ValueError as error:
        raise BenchmarkError(f"expected numbers separated by commas: {error}") from error
    options.attacks = choose_attacks(options)
    return options


def choose_attacks(options: argparse.Namespace) -> tuple[Attack, ...]:
    """The attacks that the options name."""
    try:
        if options.attacks:
            return tuple(find(name.strip()) for name in options.attacks.split(";"))
    except ValueError as error:
        raise BenchmarkError(str(error)) from error
    lists = LISTS if options.list == "all" else [options.list]
    some = [short_list(name) if options.short else LISTS[name].attacks for name in lists]
    # The proxies of neural codecs are in several lists.
    attacks = tuple(dict.fromkeys(attack for part in some for attack in part))
    if not options.families:
        return attacks
    families = {name.strip() for name in options.families.split(";")}
    known = {attack.family for attack in attacks}
    if not families <= known:
        raise BenchmarkError(f"expected families among {sorted(known)}, got {sorted(families)}")
    return tuple(attack for attack in attacks if attack.family in families)


def draw(rows: Sequence[Row], families: Sequence[Row], systems: Sequence[str], stem: Path) -> None:
    """Draw all pictures that the trials allow."""
    plots.plot_lengths(families, systems, stem.with_name(f"{stem.name}.png"))
    plots.plot_strengths(families, stem.with_name(f"{stem.name}-strengths"))
    audibility = rates.summarise_audibility(row for row in rows if "odg" in row)
    totals = rates.count_totals(families)
    plots.plot_audibility(totals, audibility, stem.with_name(f"{stem.name}-odg.png"))
    detections = rates.count_detections((row for row in rows if "outcome" in row), systems[0])
    plots.plot_detections(detections, stem.with_name(f"{stem.name}-roc.png"))


def sum_cpu(rows: Sequence[Row]) -> dict[str, float]:
    """Mean CPU seconds of a reading, by system."""
    spent: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if "cpu_s" in row:
            spent[row["id"]["system"]].append(row["cpu_s"])
    return {system: round(sum(some) / len(some), 3) for system, some in spent.items()}


def measure() -> None:
    """Run the benchmark."""
    options = parse_options()
    systems = list_systems(options)
    opened = {shorten(system): open_system(system) for system in systems}
    names = list(opened)
    trials = plan_trials(options, systems)
    log = TrialLog(options.output / f"robustness-{options.split}.jsonl")
    made = run_trials(trials, log, identify=Trial.identify, make=make_trial, jobs=options.jobs)
    start = time.monotonic()
    rows = list(show_progress(made, total=len(trials), what="trials"))
    read = [row for row in rows if "outcome" in row]
    audibility = rates.summarise_audibility(row for row in rows if "odg" in row)
    families, attacks = rates.count_outcomes(read, "family"), rates.count_outcomes(read, "attack")
    comparison = [
        row for peer in map(shorten, options.peer) for row in rates.compare_readings(read, names[0], peer)
    ]
    rates.show_systems(audibility, {name: system.claim for name, system in opened.items()})
    if options.detail or options.list != "table":
        rates.show_counts(attacks, "attack", names, options.clips)
    if comparison:
        rates.show_comparison(comparison, names[0])
    rates.show_counts(families, "family", names, options.clips)
    lists = [LISTS[name] for name in (LISTS if options.list == "all" else [options.list])]
    name = f"robustness-{options.split}" + ("" if options.list == "table" else f"-{options.list}")
    stem = options.output / (f"{name}-short" if options.short else name)
    draw(rows, families, names, stem)
    options.attacks = [attack.name for attack in options.attacks]
    results = {
        "systems": {name: {"version": opened[name].version, "claim": opened[name].claim} for name in names},
        "lists": {some.name: {"source": some.source, "left_out": dict(some.left_out)} for some in lists},
        "seconds": round(time.monotonic() - start, 1),
        "cpu_s_per_reading": sum_cpu(read),
        "audibility": audibility,
        "families": families,
        "attacks": attacks,
        "rows": rates.describe_attacks(options.attacks),
        "comparison": comparison,
        "tracks": sorted({f"{trial.track.name} ({trial.track.licence})" for trial in trials}),
        "trials": rows,
    }
    write_json(stem.with_name(f"{stem.name}.json"), "robustness", describe_run(options), results)
    for some in lists:
        for left_out, reason in some.left_out.items():
            print(f"{some.name} lacks {left_out}: {reason}")
    print(f"{len(rows)} trials; tables, plots and JSON in {stem}*")


if __name__ == "__main__":
    sys.exit(run_main(measure))
