"""How well recordings are identified: `python -m benchmarks.identity [--short] [--split test]`.

Clips of 10 s and of 5 s, cut at a random place out of every indexed track and attacked, are asked about in
a rich and in a lean index of at least 1,000 tracks (tracks of the split, altered copies to fill it up). Clips
of the other splits' music, which is in neither, count false matches, and hold the stated probabilities
against what was seen. Extraction, look-up and size are measured on the way; `benchmarks.identity_scale` has
the index of a million tracks, `benchmarks.identity_peers` the other systems,
`benchmarks.identity_calibration` how recordings agree that are not the same.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attacks import find
from benchmarks.identity_attacks import GROUPS, OWN
from benchmarks.identity_material import (
    CLIP_S,
    digest_search,
    fill_catalogue,
    list_sources,
    load_fingerprint,
    make_clip,
)
from benchmarks.identity_report import show_results, summarise
from benchmarks.music import SAMPLE_RATE, SPLITS, Track, choose, list_tracks, load
from benchmarks.report import describe_run, make_parser, run_main, show_progress, write_json
from benchmarks.trials import TrialLog, run_trials
from watermark.identity import PROFILE, Index, build_segment, extract_query, identify
from watermark.identity.extraction import cut_query, make_fingerprint
from watermark.identity.segment import format_segment

LENGTHS_S = (10.0, 5.0)
KINDS = ("rich", "lean")
# A match is right when it names the track; its place counts as found within this, for other places are
# repetitions of the same sound.
PLACE_S = 0.5
# Probabilities at which claims on unindexed music are counted.
LEVELS = (1e-2, 1e-3, 1e-4, 1e-6)


@dataclass(frozen=True)
class Plan:
    """One clip: of an indexed track after an attack, or of unindexed music from `start_s` on."""

    track: Track
    attack: str
    start_s: float
    number: int
    catalogue: "Catalogue"


@dataclass(frozen=True)
class Catalogue:
    """How to make the index again in another process."""

    cache: Path
    split: str
    tracks: int
    size: int
    seed: int


@lru_cache(maxsize=1)
def load_catalogue(wanted: Catalogue) -> tuple[list[str], dict[str, Index]]:
    """Make both indexes; returns the source of each number in them beside."""
    indexed = choose(list_tracks(wanted.cache, split=wanted.split), wanted.tracks)
    found = [load_fingerprint(track, wanted.cache) for track in indexed]
    catalogue = fill_catalogue(found, wanted.size, wanted.seed)
    landmarks = {number: each.landmarks for number, each in catalogue.items()}
    indexes = {
        kind: Index((build_segment(landmarks, getattr(PROFILE, kind)),), lambda n: catalogue[n].sketch)
        for kind in KINDS
    }
    return list_sources(indexed, wanted.size), indexes


def identify_plan(plan: Plan) -> dict[str, Any]:
    """What a trial's outcome depends on."""
    made = plan.catalogue
    return {
        "code": digest_search(),
        "track": plan.track.name,
        "attack": plan.attack,
        "start_s": plan.start_s,
        "index": [made.split, made.tracks, made.size, made.seed],
    }


def make_trial(plan: Plan) -> dict[str, Any]:
    """Ask both indexes about one clip, whole and its first half."""
    made = plan.catalogue
    sources, indexes = load_catalogue(made)
    start_s = plan.start_s
    if plan.attack:
        attack = OWN.get(plan.attack) or find(plan.attack)
        clip = make_clip(plan.track, attack, made.cache, made.seed)
        audio, sample_rate, start_s = clip.audio, clip.sample_rate, clip.start_s
    else:
        audio = load(plan.track, made.cache, start_s=start_s, seconds=CLIP_S)
        sample_rate = SAMPLE_RATE
    query = extract_query(audio, sample_rate=sample_rate)
    row: dict[str, Any] = {"id": identify_plan(plan), "attack": plan.attack, "answers": []}
    for length_s in LENGTHS_S:
        part, _ = cut_query(query, start_s=0.0, end_s=length_s)
        for kind in KINDS:
            started, began = time.process_time(), time.perf_counter()
            # Unindexed music is asked about with an ear for what is far from being claimed.
            options = {} if plan.attack else {"claimed_probability": max(LEVELS)}
            found = identify(part, indexes[kind], **options)
            cpu_s, wall_s = time.process_time() - started, time.perf_counter() - began
            best = found.matches[0] if found.matches else None
            answer: dict[str, Any] = {"kind": kind, "length_s": length_s, "cpu_s": cpu_s, "wall_s": wall_s}
            answer["hypotheses"] = found.hypotheses
            if best is not None:
                answer |= {
                    "track": best.track,
                    "source": sources[best.track],
                    "start_s": best.placement.track_start_s,
                    "time_scale": best.placement.time_scale,
                    "pitch": best.placement.pitch_semitones,
                    "ber": best.bit_error_rate,
                    "probability": best.false_alarm_probability,
                }
            row["answers"].append(answer)
    row |= {"number": plan.number, "source": plan.track.sha256, "true_start_s": start_s}
    return row


def plan_indexed(catalogue: Catalogue, tracks: Sequence[Track], names: Sequence[str]) -> list[Plan]:
    """One clip of every track after every attack."""
    return [
        Plan(track, name, -1.0, number, catalogue) for name in names for number, track in enumerate(tracks)
    ]


def plan_unindexed(catalogue: Catalogue, count: int) -> list[Plan]:
    """Clips of the other splits' music."""
    places = plan_unindexed_places(catalogue.cache, catalogue.split, count)
    return [Plan(track, "", start_s, -1, catalogue) for track, start_s in places]


def plan_unindexed_places(cache: Path, split: str, count: int) -> list[tuple[Track, float]]:
    """Choose places of the music that is not in `split`, spread evenly, none twice."""
    places = [
        (track, float(start_s))
        for other in SPLITS
        if other != split
        for track in list_tracks(cache, split=other)
        for start_s in np.arange(0.0, track.seconds - CLIP_S, CLIP_S)
    ]
    step = max(1.0, len(places) / count)
    return [places[int(k * step)] for k in range(min(count, len(places)))]


def measure_extraction(tracks: Sequence[Track], cache: Path) -> float:
    """Return how many times faster than real time a minute of each track is extracted, on one core.

    The best of three turns: what else the machine does can only slow it.
    """
    seconds = spent = 0.0
    for track in tracks:
        audio = load(track, cache, seconds=60.0)
        turns = []
        for _ in range(3):
            started = time.process_time()
            make_fingerprint(extract_query(audio, sample_rate=SAMPLE_RATE))
            turns.append(time.process_time() - started)
        spent += min(turns)
        seconds += audio.shape[1] / SAMPLE_RATE
    return seconds / spent


def measure_sizes(catalogue: Catalogue) -> dict[str, float]:
    """Return the bytes a minute of indexed music takes, by kind of index, and of the sketch."""
    indexed = choose(list_tracks(catalogue.cache, split=catalogue.split), catalogue.tracks)
    found = {number: load_fingerprint(track, catalogue.cache) for number, track in enumerate(indexed)}
    minutes = sum(each.seconds for each in found.values()) / 60
    landmarks = {number: each.landmarks for number, each in found.items()}
    sizes = {}
    for kind in KINDS:
        segment = build_segment(landmarks, getattr(PROFILE, kind))
        sizes[kind] = sum(map(len, format_segment(segment))) / minutes
    sketches = [each.sketch for each in found.values()]
    sizes["sketch"] = sum(4 * s.words.size + s.audible.size / 8 + s.extra.size for s in sketches) / minutes
    return sizes


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--catalogue", type=int, help="tracks in the index: 1000, short 150")
    parser.add_argument("--unindexed", type=int, help="clips that are in no index: 2000, short 24")
    parser.add_argument("--only", choices=("indexed", "unindexed"), help="ask about these clips; both")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--minutes", type=float, default=np.inf, help="report what is done after so long; a later run goes on"
    )
    options = parser.parse_args()
    options.tracks = options.tracks or (6 if options.short else 60)
    options.catalogue = options.catalogue or (150 if options.short else 1_000)
    options.unindexed = options.unindexed or (24 if options.short else 2_000)
    return options


def measure() -> None:
    """Run the benchmark."""
    options = parse_options()
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    catalogue = Catalogue(options.cache, options.split, len(tracks), options.catalogue, options.seed)
    for track in show_progress(tracks, total=len(tracks), what="fingerprints"):
        load_fingerprint(track, options.cache)
    names = [attack.name for group in GROUPS for attack in group.attacks]
    plans = [] if options.only == "indexed" else plan_unindexed(catalogue, options.unindexed)
    plans += [] if options.only == "unindexed" else plan_indexed(catalogue, tracks, names)
    # In a fixed random order, so that a run that ends early has a fair sample of everything.
    order = np.random.default_rng([options.seed, 5]).permutation(len(plans))
    plans = [plans[k] for k in order]
    log = TrialLog(options.output / "identity-trials.jsonl")
    trials = run_trials(plans, log, identify=identify_plan, make=make_trial, jobs=options.jobs)
    rows = []
    ends = time.monotonic() + 60 * options.minutes
    for row in show_progress(trials, total=len(plans), what="clips"):
        rows.append(row)
        if time.monotonic() > ends:
            trials.close()
            break
    results = summarise(rows, kinds=KINDS, lengths_s=LENGTHS_S, levels=LEVELS, place_s=PLACE_S)
    results |= {
        "extraction_times_real_time": measure_extraction(tracks[:8], options.cache),
        "bytes_per_minute": measure_sizes(catalogue),
        "tracks": [track.name for track in tracks],
        "catalogue": options.catalogue,
    }
    show_results(results, kinds=KINDS, lengths_s=LENGTHS_S)
    path = options.output / ("identity-short.json" if options.short else "identity.json")
    write_json(path, "identity", describe_run(options), results)
    print(f"JSON in {path}")


if __name__ == "__main__":
    sys.exit(run_main(measure))
