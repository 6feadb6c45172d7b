"""Marks looked for with torch: `python -m benchmarks.device [--short] [--device cuda]`.

Clips of 15 s, a third of them marked, a third marked and sped up by 5 %, a third unmarked, are read in a
batch with numpy and with torch on a device: wall and CPU seconds for a minute of audio, and how often both
say the same.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import watermark
from benchmarks.attack import apply
from benchmarks.attacks import find
from benchmarks.marking import derive_secret, load_section
from benchmarks.music import SAMPLE_RATE, Track, choose, list_tracks
from benchmarks.report import describe_run, make_parser, run_main, show_table, write_json
from benchmarks.tools import Audio, BenchmarkError
from watermark.segment import Preparation, prepare
from watermark.torch_segment import prepare_on

CLIP_S = 15.0
KEY = bytes(range(32))


def cut_clips(track: Track, cache: Path, seed: int) -> list[Audio]:
    """Return a marked, a sped up and an unmarked clip of a track."""
    host = load_section(track, cache, seed)[:, : round(2 * CLIP_S * SAMPLE_RATE)]
    payload = derive_secret(track, seed)[:8]
    marked = watermark.embed(host, sample_rate=SAMPLE_RATE, watermark_key=KEY, payload=payload)
    sped_up, _ = apply(find("speed +5 %"), marked, SAMPLE_RATE)
    length = round(CLIP_S * SAMPLE_RATE)
    return [np.ascontiguousarray(audio[:, -length:]) for audio in (marked, sped_up, host)]


def read_batch(clips: list[Audio], preparation: Preparation, workers: int) -> tuple[list[Any], float, float]:
    """Read the clips: the detections, wall and CPU seconds."""
    wall, cpu = time.perf_counter(), sum(os.times()[:2])
    found = watermark.detect_batch(
        clips,
        sample_rate=SAMPLE_RATE,
        watermark_keys=[KEY],
        profiles=[watermark.PROFILE],
        preparation=preparation,
        workers=workers,
    )
    return found, time.perf_counter() - wall, sum(os.times()[:2]) - cpu


def measure() -> None:
    """Run the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--device", default="cpu", help="torch device (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="clips at a time")
    options = parser.parse_args()
    options.tracks = options.tracks or (3 if options.short else 24)
    try:
        on_device = prepare_on(options.device)
    except ValueError as error:
        raise BenchmarkError(str(error)) from None
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    clips = [clip for track in tracks for clip in cut_clips(track, options.cache, options.seed)]
    minutes = sum(clip.shape[1] for clip in clips) / SAMPLE_RATE / 60
    rows, answers = [], []
    for name, preparation in (("numpy", prepare), (f"torch on {options.device}", on_device)):
        read_batch(clips[:3], preparation, 1)  # warm-up
        found, wall_s, cpu_s = read_batch(clips, preparation, options.workers)
        answers.append([(item.detected, item.payload) for item in found])
        rows.append({"by": name, "wall_s_per_minute": wall_s / minutes, "cpu_s_per_minute": cpu_s / minutes})
    same = sum(one == other for one, other in zip(*answers, strict=True))
    show_table(
        f"{len(clips)} clips of {CLIP_S:g} s, {options.workers} at a time",
        ["by", "wall s a minute", "CPU s a minute"],
        [[r["by"], f"{r['wall_s_per_minute']:.2f}", f"{r['cpu_s_per_minute']:.2f}"] for r in rows],
        note=f"the same answer for {same} of {len(clips)} clips; marks read: "
        f"{sum(item[0] for item in answers[0])} and {sum(item[0] for item in answers[1])}",
    )
    stem = "device-short" if options.short else "device"
    results = {"rows": rows, "clips": len(clips), "same_answers": same}
    write_json(options.output / f"{stem}.json", "device", describe_run(options), results)
    print(f"JSON in {options.output}/{stem}.json")


if __name__ == "__main__":
    sys.exit(run_main(measure))
