"""The music that the benchmarks work on: the Debian packages it comes from, its three fixed splits, decoding.

`python -m benchmarks.fetch_music` fills the cache folder and writes its list, `tracks.json`:

    {"tracks": [{"name": "asc-music/frontiers.mp3", "package": "asc-music",
                 "path": "music/asc-music/frontiers.mp3", "seconds": 440.8, "split": "tune",
                 "licence": "GPL-2+", "sha256": "..."}, ...]}

Splits exist so that nobody tunes on what is reported: choose constants on `tune`, look at `dev` while
working, report `test`.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.tools import Audio, BenchmarkError, decode

CACHE = Path(__file__).resolve().parent.parent / "benchmark-cache"
LIST_NAME = "tracks.json"
SAMPLE_RATE = 44_100  # Hz: what nearly all of this music was made at
CHANNELS = 2
SPLITS = ("tune", "dev", "test")
MIN_TRACK_S = 40.0  # leaves room for a 30 s clip at a random offset, and leaves out sound effects

# Music in Debian 12 (main), with download size in MB. Chosen for variety: orchestra, rock, ambient,
# electronic, chiptune, solo instruments, General MIDI; lossy sources nearly all, as music on the net is.
PACKAGES: dict[str, int] = {
    "titanion-data": 5,
    "gunroar-data": 5,
    "parsec47-data": 5,
    "tumiki-fighters-data": 5,
    "torus-trooper-data": 6,
    "tomatoes-data": 9,
    "hex-a-hop-data": 10,
    "asc-music": 11,
    "ri-li-data": 14,
    "frozen-bubble-data": 22,
    "fretsonfire-songs-sectoid": 30,
    "drascula-music": 37,
    "extremetuxracer-data": 41,
    "starfighter-data": 46,
    "singularity-music": 52,
    "planetblupi-music-ogg": 61,
    "hyperrogue-music": 64,
    "warzone2100-music": 86,
    "wesnoth-1.16-music": 154,
}


@dataclass(frozen=True)
class Track:
    """One piece of music in the cache; `path` is relative to it, `licence` as the package states it."""

    name: str
    package: str
    path: str
    seconds: float
    split: str
    licence: str
    sha256: str


def split_of(file_name: str) -> str:
    """Name a track's split: a third of all file names by SHA-256, so adding music moves no other track."""
    return SPLITS[hashlib.sha256(b"provenote-benchmark-split:" + file_name.encode()).digest()[0] * 3 // 256]


def write_list(cache: Path, tracks: Iterable[Track]) -> None:
    """Write the list of tracks into the cache folder."""
    rows = [asdict(track) for track in sorted(tracks, key=lambda track: track.name)]
    (cache / LIST_NAME).write_text(json.dumps({"tracks": rows}, indent=1) + "\n")


def list_tracks(cache: Path = CACHE, *, split: str = "all") -> list[Track]:
    """List the tracks of a split ("tune", "dev", "test" or "all") in order of name.

    Raises
    ------
    BenchmarkError
        Nothing was fetched yet.
    """
    if split not in (*SPLITS, "all"):
        raise ValueError(f"expected split to be one of {(*SPLITS, 'all')}, got {split!r}")
    path = cache / LIST_NAME
    if not path.exists():
        raise BenchmarkError(
            f"expected music in {cache}, got none: run `python -m benchmarks.fetch_music` first"
        )
    tracks = [Track(**row) for row in json.loads(path.read_text())["tracks"]]
    return [track for track in tracks if split in ("all", track.split)]


def choose(tracks: Sequence[Track], count: int) -> list[Track]:
    """Choose `count` tracks, one package after the other in turn, so that a few tracks already vary."""
    by_package: dict[str, list[Track]] = defaultdict(list)
    for track in sorted(tracks, key=lambda track: track.sha256):
        by_package[track.package].append(track)
    rows = [(turn, track.sha256, track) for some in by_package.values() for turn, track in enumerate(some)]
    return [track for _, _, track in sorted(rows, key=lambda row: row[:2])][:count]


def load(track: Track, cache: Path = CACHE, *, start_s: float = 0.0, seconds: float = 0.0) -> Audio:
    """Decode a track, or `seconds` of it from `start_s`: float32 (2, samples) at 44.1 kHz.

    A mono source gives two equal channels of the same power together, so 3 dB down each.
    """
    audio = decode(
        cache / track.path, sample_rate=SAMPLE_RATE, channels=CHANNELS, start_s=start_s, seconds=seconds
    )
    if not audio.shape[1]:
        raise BenchmarkError(f"expected audio in {track.path} from {start_s} s, got none")
    return audio
