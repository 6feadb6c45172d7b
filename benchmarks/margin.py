"""What the stamper's prediction costs and whether it is true: `python -m benchmarks.margin [--short]`.

Sections of 90 s are marked and written as 24-bit FLAC, and `api.margin` predicts from the file. The truth it
is compared with comes another way: the section is encoded by ffmpeg (LAME), and clips are cut out of it at
random places. Predicted and found shares are of exact payloads, over all tracks; the CPU seconds are those of
this process, for one prediction.
"""

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from api.audiofile import AudioWriter
from api.margin import AS_WRITTEN, CODINGS, MP3_KBIT_S, WINDOWS_S, Margin, predict
from benchmarks.attack import apply
from benchmarks.attacks import find
from benchmarks.marking import load_section
from benchmarks.music import SAMPLE_RATE, choose, list_tracks
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from benchmarks.tools import Audio
from watermark import detect, embed

SHORTEST_S = 35.0
CLIPS = 4  # random clips of each length, coding and track


def predict_marked(marked: Audio, key: bytes, payload: bytes) -> tuple[Margin, float]:
    """Write a marked section as `stamp` would, and predict; the margin and its CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.flac"
        with AudioWriter(
            path, container="flac", sample_rate=SAMPLE_RATE, channels=marked.shape[0], bits=24
        ) as writer:
            writer.push(marked)
        start = sum(os.times()[:2])
        margin = predict(path, watermark_key=key, payload=payload)
        return margin, sum(os.times()[:2]) - start


def read_clips(
    marked: Audio, key: bytes, payload: bytes, rng: np.random.Generator
) -> Counter[tuple[str, int]]:
    """Count the random clips that give the payload, by coding and length."""
    found: Counter[tuple[str, int]] = Counter()
    for coding in CODINGS:
        coded, rate = marked, SAMPLE_RATE
        if coding != AS_WRITTEN:
            coded, rate = apply(find(f"mp3 {MP3_KBIT_S[coding]}"), marked, SAMPLE_RATE)
        for window_s in WINDOWS_S:
            for _ in range(CLIPS):
                start = int(rng.integers(0, coded.shape[1] - window_s * rate))
                clip = np.ascontiguousarray(coded[:, start : start + window_s * rate])
                payload_found = detect(clip, sample_rate=rate, watermark_keys=[key]).payload
                found[coding, window_s] += payload_found == payload
    return found


def measure() -> None:
    """Run the benchmark."""
    options = make_parser(__doc__).parse_args()
    options.tracks = options.tracks or (6 if options.short else 24)
    long_enough = [t for t in list_tracks(options.cache, split=options.split) if t.seconds > SHORTEST_S]
    tracks = choose(long_enough, options.tracks)
    predicted: Counter[tuple[str, int]] = Counter()
    windows: Counter[tuple[str, int]] = Counter()
    found: Counter[tuple[str, int]] = Counter()
    costs_s, insufficient = [], []
    for number, track in enumerate(show_progress(tracks, total=len(tracks), what="tracks")):
        rng = np.random.default_rng([options.seed, number])
        key, payload = rng.bytes(32), rng.bytes(8)
        host = load_section(track, options.cache, options.seed)
        marked = embed(host, sample_rate=SAMPLE_RATE, watermark_key=key, payload=payload)
        margin, cost_s = predict_marked(marked, key, payload)
        costs_s.append(cost_s)
        for row in margin.rows:
            predicted[row.coding, row.window_s] += row.read
            windows[row.coding, row.window_s] += row.windows
        found += read_clips(marked, key, payload, rng)
        if not margin.sufficient:
            insufficient.append({"track": track.name, "reasons": list(margin.reasons)})
    clips = CLIPS * len(tracks)
    rows = [
        {
            "coding": coding,
            "window_s": window_s,
            "predicted": predicted[coding, window_s] / windows[coding, window_s],
            "windows": windows[coding, window_s],
            "found": found[coding, window_s] / clips,
            "clips": clips,
        }
        for coding in CODINGS
        for window_s in WINDOWS_S
    ]
    columns = ["coding", "clip s", "predicted", "of", "found", "of"]
    show_table(
        "share of clips that give the payload",
        columns,
        [
            (
                row["coding"],
                str(row["window_s"]),
                f"{row['predicted']:.0%}",
                str(row["windows"]),
                f"{row['found']:.0%}",
                str(row["clips"]),
            )
            for row in rows
        ],
    )
    print(f"CPU seconds of a prediction: mean {np.mean(costs_s):.1f}, worst {max(costs_s):.1f}")
    print(f"warned about: {len(insufficient)} of {len(tracks)}")
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / ("margin-short.json" if options.short else "margin.json")
    results = {"rows": rows, "cpu_s": costs_s, "warned": insufficient, "tracks": [t.name for t in tracks]}
    write_json(path, "margin", describe_run(options), results)
    print(f"JSON in {path}")


if __name__ == "__main__":
    sys.exit(run_main(measure))
