"""How long a look-up takes in a large catalogue: `python -m benchmarks.identity_scale [--short]`.

The lean index of a million tracks of four minutes (`--entries`), in files that are mapped into memory. Its
postings are synthetic: either distance between peaks as real music has it, put together anew with another
(the triples of some tracks are a few of those that a million have), in another register each time, at random
places; the tracks of the split are indexed besides, so that clips of them can be found. Held against
sketches are those of real music, a synthetic track has that of some real one.

There are as many segments, of such sizes, as a catalogue has after so many tracks were added, one batch
after the other (`api.indexmerging`). Files of 50 kB a track are written to `--folder` and removed at the end,
unless `--keep`. Whether they fit into memory decides how fast the first look-ups are: both the first round
and the best of three later ones are told. With `--largest` no file is written of more tracks: in the place of
a larger segment one of half its size is mapped twice, under other numbers, so that every look-up searches and
counts as many postings as it would, in more segments and of fewer pages.
"""

import argparse
import mmap
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from api.catalogue import BATCH
from api.indexmerging import choose_group
from api.lookupthreads import get_workers
from benchmarks.identity_material import CLIP_S, load_fingerprint
from benchmarks.music import SAMPLE_RATE, Track, choose, list_tracks, load
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from watermark.identity import PROFILE, Fingerprint, Index, Query, build_segment, identify, parse_segment
from watermark.identity.extraction import extract_query
from watermark.identity.hashing import BAND_BITS, FRAME_BITS, index_keys
from watermark.identity.segment import GAP_FRAMES, PAGE_POSTINGS, Segment, format_head

TRACK_S = 240.0
PITCH_BITS = 10
# Synthetic triples of peaks that postings are drawn from, and rounds of drawing them.
MIXED, MIXED_SHORT, MIXED_ROUNDS = 30_000_000, 1_000_000, 8
# By how much the register of a synthetic posting differs from the real one's, in steps of pitch.
REGISTER = 40
# Postings made at a time.
PIECE = 4_000_000
FIRST_SYNTHETIC = 1_000_000


def draw_postings(keys: np.ndarray, copies: float, last: int, rng: np.random.Generator) -> np.ndarray:
    """Make sorted postings out of sorted real keys that share no distances with the next piece.

    Parameters
    ----------
    keys : uint32 (n,), ascending
    copies : how many postings each key becomes, on average
    last : first position that is not drawn

    Returns
    -------
    uint64 (about copies * n,), ascending
    """
    count = round(copies * keys.size)
    chosen = keys[rng.integers(0, keys.size, count)].astype(np.int64)
    mask = (1 << PITCH_BITS) - 1
    pitch = np.clip((chosen & mask) + rng.integers(-REGISTER, REGISTER + 1, count), 0, mask)
    drawn = ((chosen & ~mask) | pitch).astype(np.uint64)
    postings = (drawn << np.uint64(32)) | rng.integers(GAP_FRAMES, last, count).astype(np.uint64)
    postings.sort()
    return postings


@dataclass(frozen=True)
class Statistics:
    """What synthetic postings are drawn after: sorted keys, `per_s` of which a second of music has."""

    keys: np.ndarray
    per_s: float


def mix_distances(keys: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw triples of peaks that have the first distance of one key and the second of another, and sort
    them: uint32 (n,), hardly less than `count`.
    """
    pieces, left = [], count
    band, frame = (1 << BAND_BITS) - 1, (1 << FRAME_BITS) - 1
    for _ in range(MIXED_ROUNDS):
        one, other = (keys[rng.integers(0, keys.size, left)] for _ in range(2))
        # | frames of the first distance | of the second | bands of the first | of the second | pitch |
        shifts = PITCH_BITS + 2 * BAND_BITS + FRAME_BITS, PITCH_BITS + 2 * BAND_BITS
        first, second = one >> shifts[0] & frame, other >> shifts[1] & frame
        bands = one >> (PITCH_BITS + BAND_BITS) & band, other >> PITCH_BITS & band
        mixed = (first << shifts[0]) | (second << shifts[1]) | (bands[0] << (PITCH_BITS + BAND_BITS))
        mixed |= (bands[1] << PITCH_BITS) | (one & ((1 << PITCH_BITS) - 1))
        # The third peak does not come before the second.
        pieces.append(mixed[second >= first])
        left -= pieces[-1].size
    return np.sort(np.concatenate(pieces))


def write_segment(path: Path, music: Statistics, tracks: int, first: int, rng: np.random.Generator) -> None:
    """Write a segment of synthetic tracks, piece by piece."""
    frames = round(TRACK_S / PROFILE.frame_s)
    starts = GAP_FRAMES + np.arange(tracks, dtype=np.int64) * (frames + GAP_FRAMES)
    copies = tracks * TRACK_S * music.per_s / music.keys.size
    codes = music.keys >> np.uint32(PITCH_BITS)
    borders = [0]
    while borders[-1] < codes.size:
        # A piece ends where the distances change.
        stop = min(codes.size, borders[-1] + max(1, int(PIECE / copies)))
        borders.append(int(np.searchsorted(codes, codes[stop - 1], "right")))
    total = sum(round(copies * (b - a)) for a, b in pairwise(borders))
    fences = np.zeros(-(-total // PAGE_POSTINGS), np.uint64)
    segment = Segment(
        profile_name=PROFILE.name,
        kind=PROFILE.lean,
        tracks=np.arange(first, first + tracks, dtype=np.int64),
        starts=starts,
        frames=np.full(tracks, frames, np.int64),
        fences=fences,
        postings=np.broadcast_to(np.uint64(0), (total,)),
    )
    written = 0
    with path.open("wb") as file:
        file.seek(len(format_head(segment)))
        for a, b in pairwise(borders):
            postings = draw_postings(music.keys[a:b], copies, int(starts[-1]) + frames, rng)
            at = np.arange(-(-written // PAGE_POSTINGS), -(-(written + postings.size) // PAGE_POSTINGS))
            fences[at] = postings[at * PAGE_POSTINGS - written]
            file.write(postings.tobytes())
            written += postings.size
        file.seek(0)
        file.write(format_head(segment))


def list_sizes(entries: int, largest: int) -> list[int]:
    """Return how many tracks the segments have when `entries` were added, the largest first; those of more
    than `largest` halved until they are not.
    """
    sizes: list[int] = []
    frames = round(TRACK_S / PROFILE.frame_s) + GAP_FRAMES
    for first in range(0, entries, BATCH):
        sizes.append(min(BATCH, entries - first))
        while group := choose_group(sizes, [frames * size for size in sizes], least=0):
            merged = sum(sizes[k] for k in group)
            sizes = [*(size for k, size in enumerate(sizes) if k not in group), merged]
    while max(sizes) > largest:
        sizes.remove(most := max(sizes))
        sizes += [most // 2, most - most // 2]
    return sorted(sizes, reverse=True)


def open_catalogue(folder: Path, sizes: Sequence[int]) -> list[Segment]:
    """Map the file of each size, each time under other numbers."""
    segments, first = [], FIRST_SYNTHETIC
    for size in sizes:
        segment = open_segment(locate(folder, size))
        segments.append(replace(segment, tracks=segment.tracks + first))
        first += size
    return segments


def locate(folder: Path, size: int) -> Path:
    """Return the file of a segment of so many tracks."""
    return folder / f"synthetic-{size}.seg"


def open_segment(path: Path) -> Segment:
    """Map a segment's file into memory."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # Look-ups read single pages: reading ahead would only push others out.
    mapped.madvise(mmap.MADV_RANDOM)
    return parse_segment(memoryview(mapped))


def write_catalogue(folder: Path, music: Statistics, sizes: Sequence[int], seed: int) -> int:
    """Write a segment of each size; return how many bytes they have."""
    written = 0
    for size in show_progress(sizes, total=len(sizes), what="segments"):
        write_segment(locate(folder, size), music, size, 0, np.random.default_rng([seed, size]))
        written += locate(folder, size).stat().st_size
    return written


def ask(queries: Sequence[Query], index: Index, numbers: Sequence[int], turns: int) -> dict[str, float]:
    """Ask every query; times in ms, and the share that is answered with its own track (-1: unknown).

    Of several turns the fastest is told: what else the machine does can only slow one.
    """
    walls, cpus, right = [], [], 0
    for query, number in zip(queries, numbers, strict=True):
        times = []
        for _ in range(turns):
            wall, cpu = time.perf_counter(), time.process_time()
            found = identify(query, index)
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
        walls.append(1e3 * min(wall for wall, _ in times))
        cpus.append(1e3 * min(cpu for _, cpu in times))
        right += (found.matches[0].track if found.matches else -1) == number
    return {
        "queries": len(queries),
        "right": right / max(len(queries), 1),
        "wall_ms_median": float(np.median(walls)),
        "wall_ms_p95": float(np.quantile(walls, 0.95)),
        "cpu_ms_median": float(np.median(cpus)),
        "cpu_ms_p95": float(np.quantile(cpus, 0.95)),
    }


def cut_queries(tracks: Sequence[Track], cache: Path, seed: int) -> list[Query]:
    """Extract a clip of 10 s from a random place of each track."""
    rng = np.random.default_rng(seed)
    queries = []
    for track in tracks:
        start_s = float(rng.uniform(0, track.seconds - CLIP_S - 1))
        queries.append(
            extract_query(load(track, cache, start_s=start_s, seconds=CLIP_S), sample_rate=SAMPLE_RATE)
        )
    return queries


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--entries", type=int, help="synthetic tracks: 1000000, short 5000")
    parser.add_argument("--largest", type=int, help="tracks of the largest file: as many as come")
    parser.add_argument("--folder", type=Path, help="where the files go; default: the output folder")
    parser.add_argument("--keep", action="store_true", help="leave the files there")
    options = parser.parse_args()
    options.entries = options.entries or (5_000 if options.short else 1_000_000)
    options.largest = options.largest or options.entries
    options.tracks = options.tracks or (8 if options.short else 40)
    options.folder = options.folder or options.output / "identity-scale"
    return options


def measure() -> None:
    """Run the benchmark."""
    options = parse_options()
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    strangers = choose(
        [track for track in list_tracks(options.cache) if track.split != options.split], options.tracks
    )
    prints: dict[int, Fingerprint] = {
        number: load_fingerprint(track, options.cache) for number, track in enumerate([*tracks, *strangers])
    }
    keys = np.sort(np.concatenate([index_keys(p.landmarks, PROFILE.lean)[0] for p in prints.values()]))
    per_s = keys.size / sum(found.seconds for found in prints.values())
    mixed = mix_distances(keys, MIXED_SHORT if options.short else MIXED, np.random.default_rng(options.seed))
    music = Statistics(mixed, per_s)
    options.folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    sizes = list_sizes(options.entries, options.largest)
    files = sorted(set(sizes))
    size = write_catalogue(options.folder, music, files, options.seed)
    written_s = time.perf_counter() - started
    real = build_segment({number: prints[number].landmarks for number in range(len(tracks))}, PROFILE.lean)
    segments = (real, *open_catalogue(options.folder, sizes))
    index = Index(segments, lambda number: prints[number % len(prints)].sketch, get_workers())
    rows = []
    for title, some, numbers in (
        ("in the index", tracks, list(range(len(tracks)))),
        ("unknown", strangers, [-1] * len(strangers)),
    ):
        queries = cut_queries(some, options.cache, options.seed)
        for turn, turns in (("first time", 1), ("again, best of 3", 3)):
            rows.append({"clips": f"{title}, {turn}", **ask(queries, index, numbers, turns)})
    minutes = sum(files) * TRACK_S / 60
    shown = [[str(v) if isinstance(v, str) else f"{v:.3g}" for v in row.values()] for row in rows]
    show_table(
        f"lean index of {options.entries} synthetic tracks, {len(sizes)} segments, "
        f"{size / 2**30:.2f} GiB of files, {size / minutes / 1000:.1f} kB a minute, in {written_s:.0f} s",
        list(rows[0]),
        shown,
    )
    path = options.output / ("identity_scale-short.json" if options.short else "identity_scale.json")
    results = {
        "rows": rows,
        "entries": options.entries,
        "segments": sizes,
        "bytes": size,
        "bytes_per_minute": size / minutes,
    }
    write_json(path, "identity_scale", describe_run(options), results)
    print(f"JSON in {path}")
    if not options.keep:
        for each in files:
            locate(options.folder, each).unlink()


if __name__ == "__main__":
    sys.exit(run_main(measure))
