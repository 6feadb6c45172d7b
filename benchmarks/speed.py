"""What marking and detecting cost: `python -m benchmarks.speed [--short] [--peer audiowmark=PATH]`.

CPU seconds (user and system, all threads, programs started included) per minute of 44.1 kHz stereo, mean and
worst over tracks, after a warm-up; and the peak memory of a process that streams a long file, beside that of
one that only imports the package. Other programs on the machine change these figures little; they would
change wall time.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import watermark
from benchmarks.attack import apply
from benchmarks.attacks import find
from benchmarks.marking import derive_secret, load_section, open_system, shorten
from benchmarks.music import SAMPLE_RATE, choose, list_tracks
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from benchmarks.systems import derive
from benchmarks.tools import Audio, BenchmarkError

SECTION_S = 60.0
WARM_UP_S = 10.0
BLOCK_S = 1.0
MEMORY_JOBS = ("import", "embed", "detect")
# What a detector is given: aligned clips, clips that need the search, and clips in which nothing can be
# found.
CLIPS = {
    "detect": "none",
    "detect, speed +5 %": "speed +5 %",
    "detect, tempo -10 %": "tempo -10 % (rubberband)",
    "detect, pitch -1": "pitch -1 (sox)",
}


def count_cpu_s(work: Callable[[], Any]) -> tuple[float, Any]:
    """Run work; CPU seconds of this process and its children, and the outcome."""
    start = sum(os.times()[:4])
    outcome = work()
    return sum(os.times()[:4]) - start, outcome


def measure_system(system_name: str, audio: Audio, secret: bytes) -> dict[str, float]:
    """CPU seconds per minute of one section, by task."""
    system = open_system(system_name)
    minutes = audio.shape[1] / SAMPLE_RATE / 60
    costs = {}
    cost, marked = count_cpu_s(lambda: system.mark(audio, sample_rate=SAMPLE_RATE, secret=secret))
    costs["embed"] = cost / minutes
    clips = {task: apply(find(attack), marked, SAMPLE_RATE) for task, attack in CLIPS.items()}
    clips["detect, unmarked"] = (audio, SAMPLE_RATE)
    for task, (clip, sample_rate) in clips.items():
        read = partial(system.read, clip, sample_rate=sample_rate, secret=secret)
        cost, _ = count_cpu_s(read)
        costs[task] = cost / (clip.shape[1] / sample_rate / 60)
    return costs


def measure_many_keys(audio: Audio, secret: bytes, count: int) -> dict[str, float]:
    """CPU seconds per minute of one pass under `count` keys, by task: keys of their own, none of them right;
    and epochs of one key, of which the last one marked the section, or none.
    """
    minutes = audio.shape[1] / SAMPLE_RATE / 60
    keys = [derive(secret, f"key {number}", 32) for number in range(count)]
    epochs = [keys[0], *(watermark.epoch_key(keys[0], key) for key in keys[1:])]
    marked = watermark.embed(audio, sample_rate=SAMPLE_RATE, watermark_key=epochs[-1], payload=bytes(8))
    tasks = {
        f"detect, {count} keys, unmarked": (audio, keys),
        f"detect, {count} epochs, unmarked": (audio, epochs),
        f"detect, {count} epochs, the oldest": (marked, epochs),
    }
    costs = {}
    for task, (clip, watermark_keys) in tasks.items():
        detect = partial(watermark.detect, clip, sample_rate=SAMPLE_RATE, watermark_keys=watermark_keys)
        cost, found = count_cpu_s(detect)
        costs[task] = float(cost / minutes)
        if found.detected != (clip is marked):
            raise BenchmarkError(f"expected a mark in the marked clip alone, got {found} for {task!r}")
    return costs


def stream(job: str, minutes: float, section: Audio) -> None:
    """Push `minutes` of audio, the section over and over, through a streaming class, second by second."""
    count = round(BLOCK_S * SAMPLE_RATE)
    blocks = round(minutes * 60 / BLOCK_S) if job != "import" else 0
    secret = bytes(range(32))
    embedder = watermark.Embedder(sample_rate=SAMPLE_RATE, channels=2, watermark_key=secret, payload=bytes(8))
    detector = watermark.Detector(sample_rate=SAMPLE_RATE, channels=2, watermark_keys=[secret])
    for number in range(blocks):
        places = (number * count + np.arange(count)) % section.shape[1]
        block = np.ascontiguousarray(section[:, places])
        if job == "embed":
            embedder.push(block)
        else:
            detector.push(block)
    if blocks:
        (embedder if job == "embed" else detector).finish()


def measure_memory(job: str, minutes: float, section_path: Path) -> dict[str, Any]:
    """Peak memory of a fresh process that does one job."""
    command = [sys.executable, "-m", "benchmarks.speed", "--child", job]
    command += ["--minutes", str(minutes), "--section", str(section_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"expected the {job} process to end with 0, got {done.stderr.strip()[-300:]}")
    return {"job": job, "minutes": minutes, **json.loads(done.stdout)}


def run_child(options: argparse.Namespace) -> None:
    """The fresh process: do the job, print its peak memory (MiB) and CPU seconds."""
    section = np.load(options.section, mmap_mode="r")
    cost, _ = count_cpu_s(lambda: stream(options.child, options.minutes, section))
    print(json.dumps({"peak_mib": read_peak_mib(), "cpu_s": round(cost, 2)}))


def read_peak_mib() -> float:
    """Peak resident memory of this process in MiB.

    From the kernel's VmHWM, since getrusage's figure also holds the parent's at the moment of starting this
    one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024, 1)


def measure_costs(options: argparse.Namespace, systems: list[str]) -> list[dict[str, Any]]:
    """CPU seconds per minute by system, task and track."""
    rows = []
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    if not tracks:
        raise BenchmarkError(f"expected tracks in split {options.split}, got none")
    for system in systems:
        warm = load_section(tracks[0], options.cache, options.seed)[:, : round(WARM_UP_S * SAMPLE_RATE)]
        measure_system(system, warm, b"warm-up")
    work = [(system, track) for track in tracks for system in systems]
    for system, track in show_progress(work, total=len(work), what="tracks"):
        audio = load_section(track, options.cache, options.seed)[:, : round(SECTION_S * SAMPLE_RATE)]
        secret = derive_secret(track, options.seed)
        costs = measure_system(system, audio, secret)
        if system == "provenote" and track == tracks[0]:
            costs |= measure_many_keys(audio, secret, options.keys)
        rows += [
            {"system": system, "track": track.name, "task": task, "cpu_s_per_minute": round(cost, 3)}
            for task, cost in costs.items()
        ]
    return rows


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and worst over tracks by system and task."""
    summary = []
    for system, task in dict.fromkeys((row["system"], row["task"]) for row in rows):
        some = [row["cpu_s_per_minute"] for row in rows if (row["system"], row["task"]) == (system, task)]
        mean, worst = round(float(np.mean(some)), 3), max(some)
        summary.append({"system": system, "task": task, "tracks": len(some), "mean": mean, "worst": worst})
    return summary


def measure() -> None:
    """Run the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--minutes", type=float, help="length of the long file (default: 60; short: 5)")
    parser.add_argument(
        "--keys", type=int, help="keys and epochs of the passes under many (default: 32; short: 4)"
    )
    parser.add_argument("--peer", action="append", default=[], help="as audiowmark=PATH; may be given again")
    parser.add_argument("--child", choices=MEMORY_JOBS, help=argparse.SUPPRESS)
    parser.add_argument("--section", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options)
        return
    options.tracks = options.tracks or (2 if options.short else 10)
    options.keys = options.keys or (4 if options.short else 32)
    options.minutes = options.minutes or (5.0 if options.short else 60.0)
    systems = ["provenote", *options.peer]
    rows = measure_costs(options, systems)
    summary = summarise(rows)
    show_table(
        "CPU seconds per minute of 44.1 kHz stereo",
        ["task", "system", "mean", "worst"],
        [[r["task"], shorten(r["system"]), f"{r['mean']:.2f}", f"{r['worst']:.2f}"] for r in summary],
    )
    track = choose(list_tracks(options.cache, split=options.split), 1)[0]
    options.output.mkdir(parents=True, exist_ok=True)
    section_path = options.output / "speed-section.npy"
    np.save(section_path, load_section(track, options.cache, options.seed))
    memory = [measure_memory(job, options.minutes, section_path) for job in MEMORY_JOBS]
    section_path.unlink()
    show_table(
        f"peak memory, streaming {options.minutes:g} minutes",
        ["job", "peak MiB", "CPU s"],
        [[row["job"], f"{row['peak_mib']:.0f}", f"{row['cpu_s']:.1f}"] for row in memory],
        note="import: the package loaded and a section of 90 s mapped, no audio pushed",
    )
    stem = "speed-short" if options.short else "speed"
    results = {"summary": summary, "memory": memory, "rows": rows}
    write_json(options.output / f"{stem}.json", "speed", describe_run(options), results)
    print(f"JSON in {options.output}/{stem}.json")


if __name__ == "__main__":
    sys.exit(run_main(measure))
