"""How recordings agree that are not the same: `python -m benchmarks.identity_calibration [--short]`.

Clips of one split's music are held against the places of another split's tracks that a search would propose.
The first table gives the distribution of their agreement beside the Gaussian that decisions start from; the
second counts the probabilities that are stated for a single place, the background taken into account, against
what they would be if they were exact: no more than that may be as small. Pairs that share sound (agreement
over `SHARED`) are listed, not counted.
"""

import argparse
import sys

import numpy as np
from scipy import special

from benchmarks.identity_material import CLIP_S, load_fingerprint
from benchmarks.music import SAMPLE_RATE, SPLITS, choose, list_tracks, load
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from watermark.identity import PROFILE, Index, build_segment
from watermark.identity.decision import (
    DEVIATION,
    MEAN,
    bound_false_alarm,
    measure_agreement,
    measure_background,
)
from watermark.identity.extraction import cut_query, extract_query
from watermark.identity.hashing import UNCHANGED
from watermark.identity.search import list_hypotheses, propose_places

LENGTHS_S = (10.0, 5.0)
THRESHOLDS = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0)
LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
# More than any chance gives: the two recordings have sound in common.
SHARED = 15.0


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__)
    parser.set_defaults(split="tune")
    parser.add_argument("--against", choices=SPLITS, default="dev", help="whose tracks are in the index")
    options = parser.parse_args()
    options.tracks = options.tracks or (6 if options.short else 58)
    return options


def measure() -> None:
    """Run the benchmark."""
    options = parse_options()
    clips = choose(list_tracks(options.cache, split=options.split), options.tracks)
    indexed = choose(list_tracks(options.cache, split=options.against), options.tracks)
    prints = {number: load_fingerprint(track, options.cache) for number, track in enumerate(indexed)}
    landmarks = {number: found.landmarks for number, found in prints.items()}
    index = Index((build_segment(landmarks, PROFILE.rich),), lambda number: prints[number].sketch)
    totals: dict[float, list[float]] = {length_s: [] for length_s in LENGTHS_S}
    stated: dict[float, list[float]] = {length_s: [] for length_s in LENGTHS_S}
    shared = set()
    rng = np.random.default_rng(options.seed)
    for track in show_progress(clips, total=len(clips), what="tracks"):
        start_s = float(rng.uniform(0, track.seconds - CLIP_S - 1))
        audio = load(track, options.cache, start_s=start_s, seconds=CLIP_S)
        query = extract_query(audio, sample_rate=SAMPLE_RATE)
        for length_s in LENGTHS_S:
            part, _ = cut_query(query, start_s=0.0, end_s=length_s)
            for stage in (PROFILE.plain, PROFILE.deep, PROFILE.swept):
                guesses = list_hypotheses() if stage is PROFILE.swept else [UNCHANGED]
                for number, placement in propose_places(part, index, stage, guesses, PROFILE):
                    sketch = prints[number].sketch
                    total = measure_agreement(part.sketch, sketch, placement).total
                    if total >= SHARED:
                        shared.add((track.name, indexed[number].name))
                        continue
                    background = measure_background(part.sketch, sketch, placement)
                    totals[length_s].append(total)
                    stated[length_s].append(bound_false_alarm(total, 1, background))
    rows = []
    for length_s, some in totals.items():
        values = np.array(some)
        row: dict[str, float] = {
            "length_s": length_s,
            "places": values.size,
            "mean": float(values.mean()),
            "deviation": float(values.std()),
            "largest": float(values.max()),
        }
        row |= {f"over {limit:g}": float((values > limit).mean()) for limit in THRESHOLDS}
        rows.append(row)
    bound = {f"over {x:g}": float(special.ndtr(-(x - MEAN) / DEVIATION)) for x in THRESHOLDS}
    rows.append({"length_s": 0.0, "places": 0, "mean": MEAN, "deviation": DEVIATION, "largest": 0.0, **bound})
    shown = [["bound" if not row["places"] else f"{row['length_s']:g} s"] for row in rows]
    for text, row in zip(shown, rows, strict=True):
        text += [f"{value:.3g}" for name, value in row.items() if name != "length_s"]
    show_table("agreement of different recordings", ["clip", *list(rows[0])[1:]], shown)
    counts = [
        {
            "length_s": length_s,
            "places": len(some),
            **{f"p <= {level:g}": sum(p <= level for p in some) for level in LEVELS},
            **{f"exact {level:g}": level * len(some) for level in LEVELS},
        }
        for length_s, some in stated.items()
    ]
    told = [
        [f"{c['length_s']:g} s", *(f"{c[f'p <= {x:g}']} of {c[f'exact {x:g}']:.3g}" for x in LEVELS)]
        for c in counts
    ]
    show_table(
        "places with a probability so small, of how many there would be if it were exact",
        ["clip", *(f"{level:g}" for level in LEVELS)],
        told,
    )
    print(f"sound in common, left out: {sorted(shared) or 'none'}")
    path = options.output / (
        "identity_calibration-short.json" if options.short else "identity_calibration.json"
    )
    results = {
        "rows": rows,
        "stated": counts,
        "shared": sorted(shared),
        "tracks": [track.name for track in clips],
    }
    write_json(path, "identity_calibration", describe_run(options), results)
    print(f"JSON in {path}")


if __name__ == "__main__":
    sys.exit(run_main(measure))
