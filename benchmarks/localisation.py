"""How well changes are located: edits of known place and kind, found again after coding, speed and noise.

`python -m benchmarks.localisation` registers 75 s of each track, edits a 65 s excerpt of it in every way of
`localisation_edits`, sends that through each condition, and compares what `compare` tells with the truth,
without hints. An edit is found when a told range of its kind of time line overlaps it by more than half of
their union; borders are those of found edits. A false range is one that touches no edit. The part `hidden`
does so with additions that nobody hears, or hardly. The part `untouched` compares transcodes of tracks that
nothing was tuned on, and loops of every fifth, with their own sketches. `--parts` names which of them run.
"""

import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attack import Scene
from benchmarks.attacks_channel import add_noise
from benchmarks.attacks_codec import transcode
from benchmarks.attacks_timing import sox
from benchmarks.localisation_edits import EDITS, HIDDEN_EDITS, SAMPLE_RATE, Edit, Truth
from benchmarks.localisation_untouched import CLEAN_S, CODECS, extract, measure_untouched, show_untouched
from benchmarks.music import Track, choose, list_tracks, load
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from benchmarks.tools import Audio
from watermark.identity.localisation import compare
from watermark.identity.outcome import REMOVED, Change, Comparison, Sketch
from watermark.identity.sketch import SketchQuery, build_sketch

REGISTERED_S = 75.0
CLIP_START_S = 5.0
CLIP_S = 65.0
SPEED = 1.02
FOUND_IOU = 0.5
TRACKS, SHORT_TRACKS = 20, 2
PARTS = ("edits", "hidden", "untouched")
# Conditions, each with the lengths of edits that go through it.
CONDITIONS = {
    "mp3 64": (0.5, 1.0, 2.0, 5.0),
    "mp3 64, speed +2 %": (0.5, 1.0, 2.0),
    "noise 15 dB": (1.0, 2.0),
}
SHORT_LENGTHS = (1.0,)


def make_versions(edited: Audio, edit: Edit, *, short: bool) -> Iterator[tuple[str, float, SketchQuery]]:
    """Yield the conditions that an edit goes through: name, speed, what is compared."""
    if edit in HIDDEN_EDITS:
        yield "none", 1.0, extract(edited, SAMPLE_RATE)
        for name, effect in CODECS:
            coded, rate = effect(edited, SAMPLE_RATE, Scene())
            yield name, 1.0, extract(coded, rate)
        return
    coded, rate = transcode("mp3", kbit=64)(edited, SAMPLE_RATE, Scene())
    yield "mp3 64", 1.0, extract(coded, rate)
    if short or edit.seconds in CONDITIONS["mp3 64, speed +2 %"]:
        faster, rate = sox("speed", f"{SPEED:g}")(coded, rate, Scene())
        yield "mp3 64, speed +2 %", SPEED, extract(faster, rate)
    if short or edit.seconds in CONDITIONS["noise 15 dB"]:
        noisy, rate = add_noise(15)(edited, SAMPLE_RATE, Scene(np.random.default_rng(5)))
        yield "noise 15 dB", 1.0, extract(noisy, rate)


def times(change: Change | Truth, speed: float = 1.0) -> tuple[float, float]:
    """Return the range that a change is judged by: the track's for what was removed, else the query's."""
    if change.kind == REMOVED:
        return change.track_start_s, change.track_end_s
    return change.query_start_s / speed, change.query_end_s / speed


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Intersection over union of two ranges."""
    common = min(a[1], b[1]) - max(a[0], b[0])
    return max(0.0, common) / max(max(a[1], b[1]) - min(a[0], b[0]), 1e-9)


def judge(comparison: Comparison, truth: Truth, speed: float) -> dict[str, Any]:
    """Score one comparison against the truth."""
    actual = times(truth, speed)
    same_side = [c for c in comparison.changes if (c.kind == REMOVED) == (truth.kind == REMOVED)]
    best = max(same_side, key=lambda change: overlap(times(change), actual), default=None)
    iou = overlap(times(best), actual) if best else 0.0
    found = best is not None and iou > FOUND_IOU
    told = times(best) if best is not None and found else None
    at_s = (truth.query_start_s / speed, max(truth.query_end_s / speed, truth.query_start_s / speed + 0.1))
    false = [
        change
        for change in comparison.changes
        if change is not best
        and not (change.query_start_s < at_s[1] + 0.5 and change.query_end_s > at_s[0] - 0.5)
    ]
    return {
        "assessable": comparison.assessable,
        "found": found,
        "noticed": iou > 0,
        "iou": iou,
        "kind_right": bool(best and best.kind == truth.kind and best.band == truth.band) if found else None,
        "errors_ms": [1000 * abs(t - a) for t, a in zip(told, actual, strict=True)] if told else [],
        "false": len(false),
    }


@lru_cache(maxsize=4)
def register(track: Track, cache: Path) -> tuple[Audio, Sketch] | None:
    """Return a track's beginning and its sketch; None of one that is too short."""
    audio = load(track, cache, start_s=2.0, seconds=REGISTERED_S)
    if audio.shape[1] < REGISTERED_S * SAMPLE_RATE - SAMPLE_RATE:
        return None
    return audio, build_sketch(extract(audio, SAMPLE_RATE))


def measure_edit(track: Track, edit: Edit, options: Any) -> list[dict[str, Any]]:
    """Edit one track in one way and score every condition."""
    registered = register(track, options.cache)
    if registered is None:
        return []
    audio, sketch = registered
    first = round(CLIP_START_S * SAMPLE_RATE)
    clip = audio[:, first : first + round(CLIP_S * SAMPLE_RATE)]
    rows = []
    seed = zlib.crc32(f"{options.seed} {track.name} {edit.name}".encode())
    edited, truth = edit.make(clip, CLIP_START_S, Scene(np.random.default_rng(seed)))
    for condition, speed, query in make_versions(edited, edit, short=options.short):
        start = time.process_time()
        comparison = compare(query, sketch)
        cpu_s = time.process_time() - start
        row = {"track": track.name, "edit": edit.name, "seconds": edit.seconds, "condition": condition}
        rows.append({**row, **judge(comparison, truth, speed), "cpu_s": cpu_s})
    return rows


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the rows of each edit and condition together."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["condition"], row["edit"]].append(row)
    summary = []
    for (condition, edit), some in groups.items():
        errors = [error for row in some for error in row["errors_ms"]]
        kinds = [row["kind_right"] for row in some if row["kind_right"] is not None]
        summary.append(
            {
                "condition": condition,
                "edit": edit,
                "count": len(some),
                "found": float(np.mean([row["found"] for row in some])),
                "noticed": float(np.mean([row["noticed"] for row in some])),
                "mean_iou": float(np.mean([row["iou"] for row in some])),
                "kind_right": float(np.mean(kinds)) if kinds else None,
                "border_median_ms": float(np.median(errors)) if errors else None,
                "border_p90_ms": float(np.quantile(errors, 0.9)) if errors else None,
                "false_ranges": sum(row["false"] for row in some),
                "not_assessable": sum(not row["assessable"] for row in some),
            }
        )
    return summary


def total(name: str, some: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarise rows as one."""
    if not some:
        return {}
    return summarise([{**row, "edit": name} for row in some])[0]


def describe(row: dict[str, Any]) -> list[str]:
    """Return a row of the table as text."""

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f}"

    def milliseconds(value: float | None) -> str:
        return "-" if value is None else f"{value:.0f}"

    return [
        f"{row['condition']}: {row['edit']}",
        str(row["count"]),
        percent(row["found"]),
        percent(row["noticed"]),
        f"{row['mean_iou']:.2f}",
        percent(row["kind_right"]),
        milliseconds(row["border_median_ms"]),
        milliseconds(row["border_p90_ms"]),
        str(row["false_ranges"]),
        str(row["not_assessable"]),
    ]


def measure_edits(options: Any, edits: tuple[Edit, ...]) -> list[dict[str, Any]]:
    """Make edits of as many tracks as asked for and score them, as far as the minutes reach."""
    count = options.tracks or (SHORT_TRACKS if options.short else TRACKS)
    tracks = choose(list_tracks(options.cache, split=options.split), count)
    rows: list[dict[str, Any]] = []
    plans = [(track, edit) for track in tracks for edit in edits]
    if np.isfinite(options.minutes):
        # In a fixed random order, so that a run that ends early has a fair sample of everything.
        plans = [plans[k] for k in np.random.default_rng([options.seed, 6]).permutation(len(plans))]
    ends = time.monotonic() + 60 * options.minutes
    for track, edit in show_progress(plans, total=len(plans), what="edits"):
        rows += measure_edit(track, edit, options)
        if time.monotonic() > ends:
            break
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--clean-tracks", type=int, help="tracks of the part without edits")
    parser.add_argument("--clean-start-s", type=float, default=0.0, help="where in its track that begins")
    parser.add_argument("--clean-seconds", type=float, default=CLEAN_S, help="how long it is")
    parser.add_argument(
        "--minutes", type=float, default=np.inf, help="report of each part what is done after so long"
    )
    options = parser.parse_args()
    run = describe_run(options)  # before the work: the code that it names is the code that ran
    lengths = SHORT_LENGTHS if options.short else CONDITIONS["mp3 64"]
    edits = tuple(edit for edit in EDITS if edit.seconds in lengths)
    plain = measure_edits(options, edits) if "edits" in options.parts else []
    hidden = measure_edits(options, HIDDEN_EDITS) if "hidden" in options.parts else []
    clean = measure_untouched(options) if "untouched" in options.parts else []
    summary = summarise([*plain, *hidden])
    totals = []
    for condition in CONDITIONS:
        here = [row for row in plain if row["condition"] == condition]
        totals += [
            total("all of 0.5 s", [row for row in here if row["seconds"] < 1.0]),
            total("all of 1 s and more", [row for row in here if row["seconds"] >= 1.0]),
        ]
    totals = [row for row in totals if row]
    columns = ("edit", "n", "found %", "noticed %", "IoU", "kind %", "median ms", "p90 ms", "false", "n/a")
    if summary:
        tracks = len({row["track"] for row in [*plain, *hidden]})
        show_table(
            f"Localisation: {tracks} tracks of split {options.split}, seed {options.seed}",
            columns,
            [describe(row) for row in [*summary, *totals]],
            note="found: IoU over 0.5; n/a: not assessable; borders in ms of error, of found edits",
        )
    if clean:
        show_untouched(clean)
    results = {"summary": summary, "totals": totals, "rows": [*plain, *hidden], "untouched": clean}
    name = "localisation-short.json" if options.short else "localisation.json"
    write_json(options.output / name, "localisation", run, results)


if __name__ == "__main__":
    sys.exit(run_main(main))
