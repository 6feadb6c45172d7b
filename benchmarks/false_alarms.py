"""Whether stated false-alarm probabilities are true: `python -m benchmarks.false_alarms [--short]`.

Clips of unmarked music are searched under random watermark keys, and clips of marked music under wrong ones.
Nothing may be detected, and of n queries no more than about n / 10^k may state p <= 10^-k: p bounds the
chance of so good a trace in audio that is independent of the key, over everything a query tries. The last
column is the chance of a count this high if the stated p were exact (binomial): a small value there says that
p is stated too small.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

import watermark
from benchmarks.attack import apply
from benchmarks.attacks import find
from benchmarks.marking import load_section, mark_section
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
from benchmarks.tools import BenchmarkError
from benchmarks.trials import TrialLog, run_trials

UNMARKED, MARKED = "unmarked music", "marked music, wrong key"
# A false alarm must be as rare on transformed clips: the attacks take turns.
TREATMENTS = ("none", "mp3 128", "speed +5 %", "pitch -1 (sox)")
EXPONENTS = (1, 2, 3, 4, 5, 6)


@dataclass(frozen=True)
class Query:
    """One clip, searched under `keys` watermark keys that it was not marked with."""

    kind: str
    cache: Path
    track: Track
    treatment: str
    clip_s: float
    number: int
    keys: int
    seed: int

    def identify(self) -> dict[str, Any]:
        """Everything that the outcome depends on."""
        return {
            "kind": self.kind,
            "version": watermark.PROFILE.name,
            "code": digest_code(),
            "track": self.track.sha256[:16],
            "treatment": self.treatment,
            "clip_s": self.clip_s,
            "number": self.number,
            "keys": self.keys,
            "seed": self.seed,
        }


def make_query(query: Query) -> dict[str, Any]:
    """Cut a clip and search it under wrong keys."""
    if query.kind == MARKED:
        audio = mark_section("provenote", query.track, query.cache, query.seed)
    else:
        audio = load_section(query.track, query.cache, query.seed)
    text = f"{query.seed} {query.track.sha256} {query.kind} {query.number}"
    digest = hashlib.sha256(text.encode()).digest()
    clip_seed = int.from_bytes(digest[:6])
    count = min(round(query.clip_s * SAMPLE_RATE), audio.shape[1])
    start = int(np.random.default_rng(clip_seed).integers(audio.shape[1] - count + 1))
    clip, sample_rate = apply(
        find(query.treatment), audio[:, start : start + count], SAMPLE_RATE, seed=clip_seed
    )
    keys = [hashlib.sha256(digest + number.to_bytes(4)).digest() for number in range(query.keys)]
    found = watermark.detect(clip, sample_rate=sample_rate, watermark_keys=keys)
    return {
        "id": query.identify(),
        "name": query.track.name,
        "seconds": round(clip.shape[1] / sample_rate, 2),
        "p": found.false_alarm_probability,
        "detected": found.detected,
        "payload": found.payload.hex() if found.payload is not None else None,
    }


def plan_queries(options: argparse.Namespace) -> list[Query]:
    """List the queries, those of one track together."""
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    if not tracks:
        raise BenchmarkError(f"expected tracks in split {options.split}, got none")
    return [
        Query(
            kind=kind,
            cache=options.cache,
            track=track,
            treatment=TREATMENTS[number % len(TREATMENTS)],
            clip_s=options.clip,
            number=number,
            keys=options.keys,
            seed=options.seed,
        )
        for track in tracks
        for kind in (UNMARKED, MARKED)
        for number in range(options.queries)
    ]


def count_alarms(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Count queries at or below each p, with the expectation and the chance of so many if p were exact."""
    counts = []
    for kind in (UNMARKED, MARKED):
        stated = np.array([row["p"] for row in rows if row["id"]["kind"] == kind])
        for exponent in EXPONENTS:
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


def show_counts(counts: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> None:
    """Print counts against expectation."""
    detected = sum(row["detected"] for row in rows)
    payloads = sum(row["payload"] is not None for row in rows)
    hours = sum(row["seconds"] for row in rows) / 3600
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
        note=f"detected: {detected}, payloads returned: {payloads} (both must be 0); {hours:.2f} h searched",
    )


def measure() -> None:
    """Run the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--clip", type=float, default=15.0, help="clip length in s (default: %(default)s)")
    parser.add_argument("--queries", type=int, help="per track and kind")
    parser.add_argument("--keys", type=int, default=1, help="watermark keys in each query")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    options.tracks = options.tracks or (6 if options.short else 60)
    options.queries = options.queries or (10 if options.short else 100)
    name = f"false_alarms-{options.split}"
    queries = plan_queries(options)
    log = TrialLog(options.output / f"{name}.jsonl")
    made = run_trials(queries, log, identify=Query.identify, make=make_query, jobs=options.jobs)
    rows = list(show_progress(made, total=len(queries), what="queries"))
    counts = count_alarms(rows)
    show_counts(counts, rows)
    stem = f"{name}-short" if options.short else name
    results = {
        "profile": watermark.PROFILE.name,
        "counts": counts,
        "detected": sum(row["detected"] for row in rows),
        "payloads": sum(row["payload"] is not None for row in rows),
        "tracks": sorted({query.track.name for query in queries}),
        "trials": rows,
    }
    write_json(options.output / f"{stem}.json", "false_alarms", describe_run(options), results)
    print(f"{len(rows)} queries; JSON in {options.output}/{stem}.json")


if __name__ == "__main__":
    sys.exit(run_main(measure))
