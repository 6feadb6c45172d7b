"""What repetition does to agreement by chance: `python -m benchmarks.identity_loops [--short]`.

Pieces of 12 s of one split's tracks, and loops of one and two seconds cut out of them and played as long, are
held against each other: all pairs of different tracks, at every shift. Loops of one period are the hardest
strangers there are. A table gives the redundancy that the decision allows for, and the deviation of agreement
before and after it is divided by its root: the decision counts on 1.5 at most.
"""

import argparse
import sys

import numpy as np
from scipy import fft

from benchmarks.music import SAMPLE_RATE, choose, list_tracks, load
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from watermark.identity import Placement, Query, extract_query, make_fingerprint
from watermark.identity.decision import ROOT_DEVIATION, compare_words, measure_background

PIECE_S = 12.0
PERIODS_S = (0.0, 2.0, 1.0)
HERE = Placement(0.0, 1.0, 0.0)


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__)
    parser.set_defaults(split="tune")
    options = parser.parse_args()
    options.tracks = options.tracks or (6 if options.short else 24)
    return options


def measure_pairs(queries: list[Query]) -> dict[str, float]:
    """Hold every piece against every other, at every shift."""
    sketches = [make_fingerprint(query).sketch for query in queries]
    raw, divided, redundancies = [], [], []
    for i, query in enumerate(queries):
        for j, sketch in enumerate(sketches):
            if i == j:
                continue
            _, weighted, signs = compare_words(query.sketch, sketch, HERE)
            products = (fft.rfft(weighted, axis=0).conj() * fft.rfft(signs, axis=0)).sum(axis=1)
            agreement = fft.irfft(products, len(signs)) / np.sqrt(np.square(weighted).sum())
            redundancy = measure_background(query.sketch, sketch, HERE).redundancy
            raw.append(agreement)
            divided.append(agreement / redundancy**0.5)
            redundancies.append(redundancy)
    values = np.abs(np.concatenate(divided))
    return {
        "pairs": len(raw),
        "redundancy, median": float(np.median(redundancies)),
        "redundancy, p95": float(np.quantile(redundancies, 0.95)),
        "deviation": float(np.concatenate(raw).std()),
        "divided": float(np.concatenate(divided).std()),
        "1 in 1,000 over": float(np.quantile(values, 0.999)),
        "largest": float(values.max()),
    }


def measure() -> None:
    """Run the benchmark."""
    options = parse_options()
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    rng = np.random.default_rng(options.seed)
    pieces: dict[float, list[Query]] = {period_s: [] for period_s in PERIODS_S}
    for track in show_progress(tracks, total=len(tracks), what="tracks"):
        start_s = float(rng.uniform(2.0, track.seconds - PIECE_S - 2.0))
        audio = load(track, options.cache, start_s=start_s, seconds=PIECE_S)
        for period_s, some in pieces.items():
            once = audio[:, : round(period_s * SAMPLE_RATE)] if period_s else audio
            whole = np.tile(once, (1, round(PIECE_S / period_s))) if period_s else once
            some.append(extract_query(whole, sample_rate=SAMPLE_RATE))
    rows = [{"loop_s": period_s, **measure_pairs(some)} for period_s, some in pieces.items()]
    shown = [
        [f"{row['loop_s']:g} s" if row["loop_s"] else "none", *(f"{v:.3g}" for v in list(row.values())[1:])]
        for row in rows
    ]
    show_table(
        "agreement of different recordings, by what repeats in them",
        ["loop", *list(rows[0])[1:]],
        shown,
        note=f"divided: by the root of the redundancy; the bound counts on {ROOT_DEVIATION:g}",
    )
    path = options.output / ("identity_loops-short.json" if options.short else "identity_loops.json")
    results = {"rows": rows, "tracks": [track.name for track in tracks]}
    write_json(path, "identity_loops", describe_run(options), results)
    print(f"JSON in {path}")


if __name__ == "__main__":
    sys.exit(run_main(measure))
