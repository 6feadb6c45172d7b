"""How short a clip may be for one known mark: `python -m benchmarks.candidate [--short]`.

Clips without an attack, cut at random places out of marked tracks, are read blindly and tested for their own
mark, for another payload under the same key, and, before marking, for the mark that they will get. The last
two columns must be 0.
"""

import sys

import numpy as np

from benchmarks.marking import load_section
from benchmarks.music import SAMPLE_RATE, choose, list_tracks
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from watermark import detect, embed, match_candidate

CLIPS_S = (2.0, 3.0, 5.0)


def measure() -> None:
    """Run the benchmark."""
    options = make_parser(__doc__).parse_args()
    options.tracks = options.tracks or (6 if options.short else 40)
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    rows = {clip_s: np.zeros(5, np.int64) for clip_s in CLIPS_S}
    for number, track in enumerate(show_progress(tracks, total=len(tracks), what="tracks")):
        rng = np.random.default_rng([options.seed, number])
        key, payload = rng.bytes(32), rng.bytes(8)
        host = load_section(track, options.cache, options.seed)
        marked = embed(host, sample_rate=SAMPLE_RATE, watermark_key=key, payload=payload)
        for clip_s in CLIPS_S:
            length = round(clip_s * SAMPLE_RATE)
            for _ in range(2):
                start = int(rng.integers(0, host.shape[1] - length))
                clip = np.ascontiguousarray(marked[:, start : start + length])
                plain = np.ascontiguousarray(host[:, start : start + length])
                own, other, unmarked = (
                    match_candidate(audio, sample_rate=SAMPLE_RATE, watermark_key=key, payload=mark).present
                    for audio, mark in ((clip, payload), (clip, rng.bytes(8)), (plain, payload))
                )
                blind = detect(clip, sample_rate=SAMPLE_RATE, watermark_keys=[key]).payload == payload
                rows[clip_s] += [1, blind, own, other, unmarked]
    columns = ["clip s", "clips", "read blindly", "own mark", "other payload", "unmarked"]
    show_table("clips", columns, [[f"{s:g}", *map(str, row)] for s, row in rows.items()])
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / ("candidate-short.json" if options.short else "candidate.json")
    results = {"rows": [dict(zip(columns, [s, *map(int, row)], strict=True)) for s, row in rows.items()]}
    write_json(path, "candidate", describe_run(options), {**results, "tracks": [t.name for t in tracks]})
    print(f"JSON in {path}")


if __name__ == "__main__":
    sys.exit(run_main(measure))
