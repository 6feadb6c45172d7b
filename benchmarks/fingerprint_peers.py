"""Other fingerprints, and ours, asked alike: by files. None of the others is part of this project.

| name | what is asked | a smaller number is surer |
| --- | --- | --- |
| Provenote, rich and lean | `watermark.identity`, claims at its own 1e-6 | the stated probability |
| Chromaprint | raw words of `fpcalc`, against every track at every offset | share of different bits |
| audfprint2 | its command, with its defaults | common hashes, negated |
| Olaf | its C core (`make compile_core`), with its defaults | aligned matches, negated |

Chromaprint has no public search, so its words are compared here. Olaf takes audio as 32-bit float at 16 kHz.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from benchmarks.tools import decode, read_audio, run
from watermark.identity import PROFILE, Fingerprint, Index, build_segment, extract_query, identify

# A track's number, and how unsure it is.
Answer: TypeAlias = tuple[int, float] | None
# Bits of different recordings differ in about half; under this an answer is not even looked at.
CHROMAPRINT_WORST = 0.45
OLAF_RATE = 16_000


class Peer(Protocol):
    """A fingerprint; `own_threshold` says whether its answers need none set here."""

    name: str
    version: str
    own_threshold: bool

    def index(self, paths: Sequence[Path]) -> None:
        """Take tracks in, numbered in this order."""

    def ask(self, paths: Sequence[Path]) -> list[Answer]:
        """Look clips up."""


class Provenote:
    """Ours, over one kind of index; the tracks' fingerprints are given, altered copies among them."""

    own_threshold = True

    def __init__(self, kind: str, catalogue: dict[int, Fingerprint]) -> None:
        self.name = f"Provenote, {kind}"
        self.version = PROFILE.name
        landmarks = {number: each.landmarks for number, each in catalogue.items()}
        segment = build_segment(landmarks, getattr(PROFILE, kind))
        self._index = Index((segment,), lambda number: catalogue[number].sketch)

    def index(self, paths: Sequence[Path]) -> None:
        """Nothing: the catalogue has them."""

    def ask(self, paths: Sequence[Path]) -> list[Answer]:
        return [self._ask(path) for path in paths]

    def _ask(self, path: Path) -> Answer:
        audio, sample_rate = read_audio(path)
        matches = identify(extract_query(audio, sample_rate=sample_rate), self._index).matches
        return (matches[0].track, matches[0].false_alarm_probability) if matches else None


class Chromaprint:
    """Raw words of Chromaprint, held against all tracks."""

    name = "Chromaprint, exhaustive"
    own_threshold = False

    def __init__(self) -> None:
        self.version = run(["fpcalc", "-version"]).decode().strip()
        self._tracks: list[np.ndarray] = []

    def index(self, paths: Sequence[Path]) -> None:
        self._tracks = [self._measure(path) for path in paths]

    def ask(self, paths: Sequence[Path]) -> list[Answer]:
        return [self._ask(path) for path in paths]

    def _ask(self, path: Path) -> Answer:
        words = self._measure(path)
        best = (0, 1.0)
        for number, track in enumerate(self._tracks):
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
    own_threshold = False

    def __init__(self, command: str, folder: Path) -> None:
        self._command = command
        self._base = folder / "audfprint.hdf"
        self._numbers: dict[str, int] = {}
        python = Path(command).resolve().with_name("python")
        told = run([python, "-c", "import importlib.metadata as m; print(m.version('audfprint2'))"])
        self.version = told.decode().strip()

    def index(self, paths: Sequence[Path]) -> None:
        self._numbers = {str(path): number for number, path in enumerate(paths)}
        run([self._command, "new", *paths, "--dbase", self._base])

    def ask(self, paths: Sequence[Path]) -> list[Answer]:
        # Its matches are told in its log alone, one line for each clip.
        done = subprocess.run(
            [self._command, "match", *map(str, paths), "--dbase", str(self._base), "--verbose"],
            capture_output=True,
            text=True,
            check=False,
        )
        found: dict[str, Answer] = {}
        line = r"Matched (\S+) .* as (\S+) .* with +(\d+) of"
        for clip, track, hashes in re.findall(line, done.stdout + done.stderr):
            found.setdefault(clip, (self._numbers[track], -float(hashes)))
        return [found.get(str(path)) for path in paths]


class Olaf:
    """The core of Olaf; its database lies in the folder it is given as home."""

    name = "Olaf"
    own_threshold = False

    def __init__(self, command: str, folder: Path) -> None:
        self._command = command
        self._home = folder / "olaf"
        (self._home / ".olaf" / "db").mkdir(parents=True)
        self.version = "source"

    def index(self, paths: Sequence[Path]) -> None:
        for number, path in enumerate(paths):
            self._call("store", path, f"track-{number}")

    def ask(self, paths: Sequence[Path]) -> list[Answer]:
        return [self._ask(path) for path in paths]

    def _ask(self, path: Path) -> Answer:
        # matches, query start, query stop, name, number, track start, track stop; the best comes first.
        lines = re.findall(r"^(\d+), .*?, track-(\d+),", self._call("query", path, "clip"), re.MULTILINE)
        best = max(((int(count), int(number)) for count, number in lines), default=None)
        return None if best is None else (best[1], -float(best[0]))

    def _call(self, verb: str, path: Path, name: str) -> str:
        raw = path.with_suffix(".raw")
        raw.write_bytes(decode(path, sample_rate=OLAF_RATE, channels=1).tobytes())
        done = subprocess.run(
            [self._command, verb, str(raw), name],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "HOME": str(self._home)},
        )
        raw.unlink()
        return done.stdout


def list_peers(folder: Path, *, audfprint: str, olaf: str) -> list[Peer]:
    """Those of the others that are installed."""
    makers: list[tuple[str, Callable[[str], Peer]]] = [
        ("fpcalc", lambda _command: Chromaprint()),
        (audfprint, lambda command: Audfprint(command, folder)),
        (olaf, lambda command: Olaf(command, folder)),
    ]
    found = [(shutil.which(name), make) for name, make in makers]
    return [make(command) for command, make in found if command]
