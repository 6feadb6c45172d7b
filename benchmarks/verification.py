"""How long an upload of 30 s takes to verify over HTTP, beside a catalogue of many tracks.

    python -m benchmarks.verification [--short] [--registered N] [--tracks N] [--requests N] [--clients N]

A ledger with `--registered` tracks is served by `provenote serve`, a process of its own. `--tracks` of them
are real: sections of real music, stamped. The others are rows, entries and fingerprints of altered copies
of other music (`benchmarks.identity_material`), in the ledger, the registry and the index as real ones are.
Asked are clips of 30 s of the released files, cut at random places, as MP3, FLAC and WAV in turn, one after
the other by one client: wall time, and processor time of the service with all its children. Then as many
clips that are in no track. Then `--clients` clients ask at once; each must be answered, or told by 429 or
503 to come back, which it does. The load of the machine is told beside the figures: other programs slow the
service by what they take.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

from api.installation import make_installation, open_installation
from api.issuing import stamp
from api.margin import MarginPolicy
from api.settings import read_settings
from benchmarks.music import SAMPLE_RATE, choose, list_tracks, load
from benchmarks.processes import MemoryWatch, measure_cpu_s
from benchmarks.registered import register_synthetic
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from benchmarks.service import serve_apart

CLIP_S = 30.0
SECTION_S = 60.0
FORMATS = ("MP3", "FLAC", "WAV")
WARM_UP = 3
TIMEOUT_S = 300
LONGEST_S = 600.0
BUSY = (429, 503)


@dataclass(frozen=True)
class Clip:
    """An upload: its bytes, and the track that must be named; None for a stranger's."""

    content: bytes
    track_id: str | None


def write_clip(audio: np.ndarray[tuple[int, int], np.dtype[np.float32]], kind: str) -> bytes:
    """Return audio (channels, samples) as the bytes of a file."""
    with tempfile.NamedTemporaryFile(suffix=f".{kind.lower()}") as file:
        soundfile.write(file.name, audio.T, SAMPLE_RATE, format=kind)
        return Path(file.name).read_bytes()


def stamp_sections(home: Path, options: argparse.Namespace) -> dict[str, Path]:
    """Stamp a section of each track; return their ids with the released files."""
    issued = {}
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    with open_installation(read_settings(home, {})) as installation:
        for track in show_progress(tracks, total=len(tracks), what="tracks stamped"):
            audio = load(track, options.cache, start_s=track.seconds / 4, seconds=SECTION_S)
            source = home.parent / "source.flac"
            soundfile.write(source, audio.T, SAMPLE_RATE, subtype="PCM_16")
            done = stamp(installation, source, margin=MarginPolicy.OFF)
            issued[done.track_id] = done.audio
            source.unlink()
    return issued


def cut_clips(issued: dict[str, Path], options: argparse.Namespace) -> list[Clip]:
    """Cut clips out of the released files, one after the other."""
    rng = np.random.default_rng([options.seed, 1])
    clips = []
    for number in range(options.requests + WARM_UP):
        track_id = list(issued)[number % len(issued)]
        audio, _ = soundfile.read(issued[track_id], dtype="float32")
        start = int(rng.integers(0, max(1, len(audio) - round(CLIP_S * SAMPLE_RATE))))
        part = audio[start : start + round(CLIP_S * SAMPLE_RATE)].T
        clips.append(Clip(write_clip(part, FORMATS[number % len(FORMATS)]), track_id))
    return clips


def cut_strange(options: argparse.Namespace) -> list[Clip]:
    """Cut clips out of music that is in no track."""
    others = [track for track in list_tracks(options.cache) if track.split != options.split]
    return [
        Clip(write_clip(load(track, options.cache, start_s=5.0, seconds=CLIP_S), FORMATS[0]), None)
        for track in choose(others, options.strangers)
    ]


def ask_each(address: str, pid: int, token: str, clips: Sequence[Clip]) -> dict[str, Any]:
    """Send clips one after the other; the first few only warm the service up."""
    walls, cpus, right = [], [], 0
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=address, headers=headers, timeout=TIMEOUT_S) as client:
        for clip in clips:
            cpu, begun_s = measure_cpu_s(pid), time.perf_counter()
            answer = client.post("/v1/verifications", content=clip.content)
            walls.append(time.perf_counter() - begun_s)
            cpus.append(measure_cpu_s(pid) - cpu)
            right += (
                answer.status_code == 200
                and (answer.json().get("track") or {}).get("track_id") == clip.track_id
            )
    walls, cpus = walls[min(WARM_UP, len(walls) - 1) :], cpus[min(WARM_UP, len(cpus) - 1) :]
    return {
        "requests": len(walls),
        "right": right / len(clips),
        "wall_s_p50": statistics.median(walls),
        "wall_s_p95": float(np.quantile(walls, 0.95)),
        "cpu_s_p50": statistics.median(cpus),
        "cpu_s_p95": float(np.quantile(cpus, 0.95)),
        "load": round(os.getloadavg()[0], 2),
    }


def ask_at_once(address: str, clips: Sequence[Clip], clients: int) -> dict[str, Any]:
    """Have several strangers ask at the same time, each until it has its answer."""
    answers: Counter[str] = Counter()
    waits: list[float] = []

    def ask(number: int) -> None:
        clip, begun_s = clips[number % len(clips)], time.monotonic()
        while time.monotonic() - begun_s < LONGEST_S:
            try:
                answer = httpx.post(f"{address}/v1/verifications", content=clip.content, timeout=TIMEOUT_S)
            except httpx.HTTPError as error:
                answers[type(error).__name__] += 1
                return
            answers[str(answer.status_code)] += 1
            if answer.status_code not in BUSY:
                waits.append(time.monotonic() - begun_s)
                return
            time.sleep(float(answer.headers.get("retry-after", 1)))

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients)))
    return {
        "clients": clients,
        "answers": dict(answers),
        "answered": len(waits),
        "longest_s": max(waits, default=0.0),
    }


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--registered", type=int, help="tracks in all: 10000, short 500")
    parser.add_argument("--requests", type=int, help="clips of tracks: 60, short 9")
    parser.add_argument("--strangers", type=int, help="clips of no track: 12, short 3")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--home", type=Path, help="folder of a ledger that is kept, and used again")
    options = parser.parse_args()
    options.registered = options.registered or (500 if options.short else 10_000)
    options.requests = options.requests or (9 if options.short else 60)
    options.strangers = options.strangers or (3 if options.short else 12)
    options.tracks = options.tracks or (2 if options.short else 8)
    return options


def prepare(home: Path, options: argparse.Namespace) -> tuple[str, dict[str, Path]]:
    """Make the ledger; return the operator's token and the real tracks."""
    settings = read_settings(home, {})
    _, token = make_installation(settings)
    issued = stamp_sections(home, options)
    with open_installation(settings) as installation:
        register_synthetic(
            installation,
            options.registered - len(issued),
            [track for track in list_tracks(options.cache) if track.split != options.split],
            cache=options.cache,
            seed=options.seed,
        )
    (home / "benchmark-token").write_text(token)
    return token, issued


def reopen(home: Path) -> tuple[str, dict[str, Path]]:
    """Return token and real tracks of a ledger that an earlier run made."""
    with open_installation(read_settings(home, {})) as installation:
        found = {path.parent.name: path for path in sorted(installation.settings.tracks.glob("*/track.*"))}
    return (home / "benchmark-token").read_text(), found


def measure() -> None:
    """Run the benchmark."""
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder) / "ledger"
        token, issued = reopen(home) if home.exists() else prepare(home, options)
        clips, strange = cut_clips(issued, options), cut_strange(options)
        with serve_apart(home) as (address, pid):
            watch = MemoryWatch(pid)
            watch.start()
            rows = {
                "of a track": ask_each(address, pid, token, clips),
                "of no track": ask_each(address, pid, token, strange),
            }
            crowd = ask_at_once(address, clips, options.clients)
            watch.stop()
    columns = ["clips of 30 s", *next(iter(rows.values()))]
    shown = [[name, *(f"{value:.3g}" for value in row.values())] for name, row in rows.items()]
    show_table(f"verification beside {options.registered} registered tracks", columns, shown)
    print(
        f"{options.clients} clients at once: {crowd['answered']} answered, "
        f"the last after {crowd['longest_s']:.1f} s; answers {crowd['answers']}; "
        f"memory {watch.peak_bytes >> 20} MiB at most"
    )
    path = options.output / ("verification-short.json" if options.short else "verification.json")
    results = {"rows": rows, "crowd": crowd, "peak_bytes": watch.peak_bytes, "registered": options.registered}
    write_json(path, "verification", describe_run(options), results)


if __name__ == "__main__":
    sys.exit(run_main(measure))
