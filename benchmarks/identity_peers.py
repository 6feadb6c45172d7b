"""Other fingerprints on the same clips: `python -m benchmarks.identity_peers [--short]`.

Chromaprint (`fpcalc`) and audfprint2, each where it is installed; neither is part of this project or needed
by it. They index the tracks of the split alone, without the altered copies that ours is filled up with, and
answer about the same attacked clips.

Chromaprint has no public search: its raw words are held against every track at every offset, and the lowest
share of different bits is its answer. A threshold for it is what lets one clip in 1,000 of the other splits
through, or none where fewer were asked. audfprint2 answers with its own thresholds
(`--audfprint PATH` names its command).
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from benchmarks.attacks import find
from benchmarks.identity import plan_unindexed_places
from benchmarks.identity_attacks import GROUPS, OWN
from benchmarks.identity_material import CLIP_S, make_clip
from benchmarks.music import SAMPLE_RATE, choose, list_tracks, load
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from benchmarks.tools import Audio, BenchmarkError, run

LENGTHS_S = (10.0, 5.0)
# Bits of different recordings differ in about half; under this an answer is not even looked at.
CHROMAPRINT_WORST = 0.45
FALSE_SHARE = 1e-3


class Peer(Protocol):
    """Another fingerprint; answers with a track's number and a distance (smaller is surer), or None."""

    name: str
    version: str

    def index(self, number: int, path: Path) -> None:
        """Take a track in."""

    def ask(self, path: Path) -> tuple[int, float] | None:
        """Look a clip up."""


class Chromaprint:
    """Raw words of Chromaprint, held against all tracks."""

    name = "Chromaprint, exhaustive"

    def __init__(self) -> None:
        self.version = run(["fpcalc", "-version"]).decode().strip()
        self._tracks: dict[int, np.ndarray] = {}

    def index(self, number: int, path: Path) -> None:
        self._tracks[number] = self._measure(path)

    def ask(self, path: Path) -> tuple[int, float] | None:
        words = self._measure(path)
        best = (0, 1.0)
        for number, track in self._tracks.items():
            if words.size == 0 or track.size < words.size:
                continue
            views = np.lib.stride_tricks.sliding_window_view(track, words.size)
            errors = np.bitwise_count(views ^ words).sum(axis=1).min() / (32 * words.size)
            if errors < best[1]:
                best = (number, float(errors))
        return best if best[1] < CHROMAPRINT_WORST else None

    @staticmethod
    def _measure(path: Path) -> np.ndarray:
        done = subprocess.run(
            ["fpcalc", "-raw", "-json", "-length", "100000", str(path)],
            capture_output=True,
            check=False,
        )
        # It tells nothing of a clip too short or silent for a single word. Its exit code says little:
        # Debian's ends with an error at the end of every file.
        found = json.loads(done.stdout)["fingerprint"] if done.stdout.strip() else []
        return np.array(found, np.uint32)


class Audfprint:
    """audfprint2 by its command line, with its defaults."""

    name = "audfprint2"

    def __init__(self, command: str, folder: Path) -> None:
        self._command = command
        self._base = folder / "audfprint.hdf"
        python = Path(command).resolve().with_name("python")
        told = run([python, "-c", "import importlib.metadata as m; print(m.version('audfprint2'))"])
        self.version = told.decode().strip()

    def index(self, number: int, path: Path) -> None:
        named = path.with_name(f"track-{number}.wav")
        shutil.copyfile(path, named)
        verb = "add" if self._base.exists() else "new"
        run([self._command, verb, str(named), "--dbase", str(self._base)])

    def ask(self, path: Path) -> tuple[int, float] | None:
        # Its matches are told in its log alone.
        done = subprocess.run(
            [self._command, "match", str(path), "--dbase", str(self._base), "--verbose"],
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.search(r"Matched .* as .*track-(\d+)\.wav .* with +(\d+) of", done.stdout + done.stderr)
        return (int(found[1]), -float(found[2])) if found else None


def list_peers(options: argparse.Namespace, folder: Path) -> list[Peer]:
    """Those that are installed."""
    peers: list[Peer] = []
    if shutil.which("fpcalc"):
        peers.append(Chromaprint())
    command = shutil.which(options.audfprint)
    if command:
        peers.append(Audfprint(command, folder))
    if not peers:
        raise BenchmarkError("expected fpcalc or audfprint to be installed, got neither")
    return peers


def write_clip(path: Path, audio: Audio, sample_rate: int, length_s: float) -> Path:
    """Write the first seconds of a clip as 16 bits."""
    soundfile.write(path, audio[:, : round(length_s * sample_rate)].T, sample_rate, subtype="PCM_16")
    return path


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--audfprint", default="audfprint", help="command of audfprint2")
    parser.add_argument("--unindexed", type=int, help="clips that are in no index: 200, short 8")
    options = parser.parse_args()
    options.tracks = options.tracks or (4 if options.short else 30)
    options.unindexed = options.unindexed or (8 if options.short else 200)
    return options


def choose_threshold(strangers: Sequence[tuple[int, float] | None]) -> float:
    """The distance under which so few strangers lie as are allowed."""
    distances = sorted(answer[1] for answer in strangers if answer is not None)
    allowed = int(FALSE_SHARE * len(strangers))
    return distances[allowed] if len(distances) > allowed else np.inf


def measure() -> None:
    """Run the benchmark."""
    options = parse_options()
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        peers = list_peers(options, folder)
        for number, track in enumerate(show_progress(tracks, total=len(tracks), what="tracks")):
            path = write_clip(folder / "track.wav", load(track, options.cache), SAMPLE_RATE, track.seconds)
            for peer in peers:
                peer.index(number, path)
        places = plan_unindexed_places(options.cache, options.split, options.unindexed)
        strangers: dict[tuple[str, float], list[tuple[int, float] | None]] = {}
        for track, start_s in show_progress(places, total=len(places), what="unindexed clips"):
            audio = load(track, options.cache, start_s=start_s, seconds=CLIP_S)
            for length_s in LENGTHS_S:
                path = write_clip(folder / "clip.wav", audio, SAMPLE_RATE, length_s)
                for peer in peers:
                    strangers.setdefault((peer.name, length_s), []).append(peer.ask(path))
        limits = {key: choose_threshold(some) for key, some in strangers.items()}
        rows = []
        attacks = [attack for group in GROUPS for attack in group.attacks]
        for attack in show_progress(attacks, total=len(attacks), what="attacks"):
            row: dict[str, object] = {"attack": attack.name}
            right = dict.fromkeys(limits, 0)
            for number, track in enumerate(tracks):
                clip = make_clip(
                    track, OWN.get(attack.name) or find(attack.name), options.cache, options.seed
                )
                for length_s in LENGTHS_S:
                    path = write_clip(folder / "clip.wav", clip.audio, clip.sample_rate, length_s)
                    for peer in peers:
                        key = (peer.name, length_s)
                        answer = peer.ask(path)
                        right[key] += answer is not None and answer[0] == number and answer[1] < limits[key]
            row |= {
                f"{name} {length_s:g} s": right[name, length_s] / len(tracks) for name, length_s in limits
            }
            rows.append(row)
    columns = list(rows[0])
    shown = [
        [str(v) if isinstance(v, str) else f"{100 * float(str(v)):.0f}" for v in r.values()] for r in rows
    ]
    false = {f"{name} {length_s:g} s": limits[name, length_s] for name, length_s in limits}
    show_table(f"identified, %, among {len(tracks)} tracks", columns, shown, note=f"thresholds: {false}")
    path = options.output / ("identity_peers-short.json" if options.short else "identity_peers.json")
    results = {
        "rows": rows,
        "versions": {peer.name: peer.version for peer in peers},
        "thresholds": {name: str(value) for name, value in false.items()},
        "unindexed": len(places),
        "tracks": [track.name for track in tracks],
    }
    write_json(path, "identity_peers", describe_run(options), results)
    print(f"JSON in {path}")


if __name__ == "__main__":
    sys.exit(run_main(measure))
