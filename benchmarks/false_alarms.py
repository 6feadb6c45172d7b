"""Whether stated false-alarm probabilities are true: `python -m benchmarks.false_alarms [--short]`.

Three kinds of query, none of which may find anything: clips of unmarked music under random watermark keys;
clips of marked music, each under a wrong key of its own; and the test for one known mark on marked music
under the right key, for another payload. Of n queries no more than about n / 10^k may state p <= 10^-k: p
bounds the chance of so good a trace in audio that is independent of the key, over everything a query tries.
The last column is the chance of a count this high if the stated p were exact (binomial): a small value there
says that p is stated too small.

Unmarked music is walked from end to end, turn after turn, until --hours are searched. Each turn shifts the
grid of clips, draws fresh keys and hands the treatments on by one, so that no stretch of music is searched
twice in the same form or under the same key.
"""

import argparse
import hashlib
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import watermark
from benchmarks.alarms import CANDIDATE, KINDS, MARKED, UNMARKED, count_alarms, show, summarise
from benchmarks.attack import apply
from benchmarks.attacks import find
from benchmarks.marking import derive_secret, mark_section
from benchmarks.music import SAMPLE_RATE, Track, choose, list_tracks, load
from benchmarks.plots import plot_alarms
from benchmarks.report import (
    describe_run,
    digest_attacks,
    digest_code,
    make_parser,
    run_main,
    show_progress,
    write_json,
)
from benchmarks.systems import OURS, derive
from benchmarks.tools import Audio, BenchmarkError
from benchmarks.trials import TrialLog, run_trials

# A false alarm must be as rare on transformed clips: the attacks take turns.
TREATMENTS = ("none", "mp3 128", "speed +5 %", "pitch -1 (sox)")
STRETCH_S = 300.0  # what is decoded and logged at a time
Row = dict[str, Any]


@dataclass(frozen=True)
class Stretch:
    """`clips` clips of one track that are queried together; the track is decoded once for them."""

    kind: str
    cache: Path
    track: Track
    turn: int
    start_s: float
    clips: int
    clip_s: float
    keys: int
    profiles: tuple[str, ...]
    seed: int
    code: str

    def identify(self) -> Row:
        """Everything that the outcome depends on."""
        return {
            "kind": self.kind,
            "version": watermark.PROFILE.name,
            "code": self.code,
            "attacks": digest_attacks(),
            "track": self.track.sha256[:16],
            "turn": self.turn,
            "start_s": self.start_s,
            "clips": self.clips,
            "clip_s": self.clip_s,
            "keys": self.keys,
            "profiles": list(self.profiles),
            "seed": self.seed,
        }

    def digest(self, number: int) -> bytes:
        """Seed of a clip's place, treatment and keys."""
        facts = (self.seed, self.track.sha256, self.kind, self.turn, self.start_s, number)
        return hashlib.sha256(" ".join(map(str, facts)).encode()).digest()


def cut_clips(stretch: Stretch) -> Iterator[Audio]:
    """Yield the clips: side by side of unmarked music, at random places of a marked section."""
    count = round(stretch.clip_s * SAMPLE_RATE)
    if stretch.kind == UNMARKED:
        seconds = stretch.clips * stretch.clip_s
        audio = load(stretch.track, stretch.cache, start_s=stretch.start_s, seconds=seconds)
        starts = [number * count for number in range(stretch.clips)]
    else:
        audio = mark_section(OURS, stretch.track, stretch.cache, stretch.seed)
        rng = np.random.default_rng(list(stretch.digest(0)))
        starts = rng.integers(max(1, audio.shape[1] - count + 1), size=stretch.clips).tolist()
    for start in starts:
        yield audio[:, start : start + count]


def query(stretch: Stretch, clip: Audio, sample_rate: int, digest: bytes) -> Row:
    """Search one clip for what is not in it."""
    if stretch.kind == CANDIDATE:
        secret = derive_secret(stretch.track, stretch.seed)
        matched = watermark.match_candidate(
            clip,
            sample_rate=sample_rate,
            watermark_key=derive(secret, "watermark key", 32),
            payload=derive(digest, "wrong payload", 8),
        )
        return {"p": matched.false_alarm_probability, "detected": matched.present, "payload": None}
    keys = [derive(digest, f"wrong key {number}", 32) for number in range(stretch.keys)]
    profiles = [profile for profile in watermark.PROFILES if profile.name in stretch.profiles]
    found = watermark.detect(clip, sample_rate=sample_rate, watermark_keys=keys, profiles=profiles)
    payload = found.payload.hex() if found.payload is not None else None
    return {"p": found.false_alarm_probability, "detected": found.detected, "payload": payload}


def make_stretch(stretch: Stretch) -> Row:
    """Query all clips of a stretch."""
    if stretch.code != digest_code():
        raise BenchmarkError("expected watermark/ to stay as it is during a run, got other sources")
    start = sum(os.times()[:4])
    queries = []
    for number, clip in enumerate(cut_clips(stretch)):
        digest = stretch.digest(number)
        treatment = TREATMENTS[(number + stretch.turn) % len(TREATMENTS)]
        treated, sample_rate = apply(find(treatment), clip, SAMPLE_RATE, seed=int.from_bytes(digest[:6]))
        facts = query(stretch, treated, sample_rate, digest)
        queries.append({"treatment": treatment, "seconds": round(clip.shape[1] / SAMPLE_RATE, 2), **facts})
    cpu_s = round(sum(os.times()[:4]) - start, 2)
    return {"id": stretch.identify(), "name": stretch.track.name, "cpu_s": cpu_s, "queries": queries}


def walk(tracks: Sequence[Track], clip_s: float, seed: int) -> Iterator[tuple[Track, int, float, int]]:
    """Walk through all music for ever: (track, turn, start in s, clips) of each stretch."""
    per_stretch = max(1, int(STRETCH_S / clip_s))
    for turn in itertools.count():
        for track in tracks:
            digest = hashlib.sha256(f"walk {seed} {turn} {track.sha256}".encode()).digest()
            spare_s = min(clip_s, max(0.0, track.seconds - clip_s))
            offset_s = round(spare_s * int.from_bytes(digest[:4]) / 2**32, 3)
            total = int((track.seconds - offset_s) / clip_s)
            for first in range(0, total, per_stretch):
                yield track, turn, round(offset_s + first * clip_s, 3), min(per_stretch, total - first)


def plan_stretches(options: argparse.Namespace) -> list[Stretch]:
    """List the stretches of all kinds."""
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks or 10**9)
    tracks = [track for track in tracks if track.seconds >= options.clip]
    if not tracks:
        raise BenchmarkError(f"expected tracks of {options.clip:g} s in split {options.split}, got none")
    common: Row = {
        "cache": options.cache,
        "clip_s": options.clip,
        "keys": options.keys,
        "profiles": (options.profile,) if options.profile else tuple(p.name for p in watermark.PROFILES),
        "seed": options.seed,
        "code": digest_code(),
    }
    plans = []
    missing = round(options.hours * 3600 / options.clip)
    for track, turn, start_s, clips in walk(tracks, options.clip, options.seed):
        if missing <= 0:
            break
        plans.append(
            Stretch(UNMARKED, track=track, turn=turn, start_s=start_s, clips=min(clips, missing), **common)
        )
        missing -= clips
    for kind, queries in ((MARKED, options.wrong_keys), (CANDIDATE, options.wrong_payloads)):
        # As evenly over the tracks as it goes.
        for number, track in enumerate(tracks):
            clips = queries // len(tracks) + (number < queries % len(tracks))
            if clips:
                plans.append(Stretch(kind, track=track, turn=0, start_s=0.0, clips=clips, **common))
    return plans


def parse_options() -> argparse.Namespace:
    """Read the command line; --short sets what was not set by hand."""
    parser = make_parser(__doc__)
    parser.add_argument("--clip", type=float, default=15.0, help="clip length in s (default: %(default)s)")
    parser.add_argument("--hours", type=float, help="of unmarked music (default: 20; short: 0.2)")
    parser.add_argument("--wrong-keys", type=int, help="queries of marked music (default: 1000; short: 40)")
    parser.add_argument("--wrong-payloads", type=int, help="known-mark tests (default: 1000; short: 40)")
    parser.add_argument("--keys", type=int, default=1, help="watermark keys in each search")
    parser.add_argument(
        "--profile",
        choices=[profile.name for profile in watermark.PROFILES],
        help="look for marks of this profile alone (default: of all)",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    for name, full, short in (("hours", 20.0, 0.2), ("wrong_keys", 1000, 40), ("wrong_payloads", 1000, 40)):
        if getattr(options, name) is None:
            setattr(options, name, short if options.short else full)
    if options.short:
        options.tracks = options.tracks or 6
    return options


def measure() -> None:
    """Run the benchmark."""
    options = parse_options()
    name = f"false_alarms-{options.split}"
    stretches = plan_stretches(options)
    log = TrialLog(options.output / f"{name}.jsonl")
    made = run_trials(stretches, log, identify=Stretch.identify, make=make_stretch, jobs=options.jobs)
    rows = list(show_progress(made, total=len(stretches), what="stretches"))
    queries = [{"kind": row["id"]["kind"], **one} for row in rows for one in row["queries"]]
    counts, summary = count_alarms(queries), summarise(rows, queries)
    show(counts, summary)
    stem = f"{name}-short" if options.short else name
    stated = {kind: [row["p"] for row in queries if row["kind"] == kind] for kind in KINDS}
    plot_alarms({kind: values for kind, values in stated.items() if values}, options.output / f"{stem}.png")
    results = {
        "profile": watermark.PROFILE.name,
        "counts": counts,
        "summary": summary,
        "detected": sum(row["detected"] for row in queries),
        "payloads": sum(row["payload"] is not None for row in queries),
        "tracks": sorted({stretch.track.name for stretch in stretches}),
        "trials": rows,
    }
    write_json(options.output / f"{stem}.json", "false_alarms", describe_run(options), results)
    print(f"{len(queries)} queries; plot and JSON in {options.output}/{stem}.*")


if __name__ == "__main__":
    sys.exit(run_main(measure))
