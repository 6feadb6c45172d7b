"""Untouched transcodes in the localisation benchmark, in which every range that is told is false.

Its tracks are of the splits `test` and `dev`, on which nothing was chosen; of every fifth a loop is made too.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attack import Scene
from benchmarks.attacks_codec import transcode
from benchmarks.localisation_edits import SAMPLE_RATE
from benchmarks.music import Track, choose, list_tracks, load
from benchmarks.report import show_progress
from benchmarks.tools import Audio
from watermark.identity import extract_query
from watermark.identity.localisation import compare
from watermark.identity.outcome import Sketch
from watermark.identity.sketch import SketchQuery, build_sketch

CLEAN_TRACKS, SHORT_CLEAN_TRACKS = 100, 4
CLEAN_S = 120.0
CODECS = (("mp3 64", transcode("mp3", kbit=64)), ("opus 32", transcode("opus", kbit=32)))
# Every so many untouched tracks a loop is made of one, so many seconds of it again and again.
LOOP_EVERY, LOOP_S = 5, 4.0


def extract(audio: Audio, sample_rate: int) -> SketchQuery:
    """Return what a clip is compared by."""
    return extract_query(audio, sample_rate=sample_rate).sketch


def make_loop(audio: Audio) -> Audio:
    """Return some seconds of a recording again and again, as long as it is."""
    first, length = audio.shape[1] // 3, round(LOOP_S * SAMPLE_RATE)
    loop = audio[:, first : first + length]
    return np.tile(loop, -(-audio.shape[1] // length))[:, : audio.shape[1]]


def measure_clean(
    track: Track, cache: Path, *, start_s: float = 0.0, seconds: float = CLEAN_S, loop: bool = False
) -> list[dict[str, Any]]:
    """Compare untouched transcodes of a track with its own sketch: every range told is false."""
    audio = load(track, cache, start_s=start_s, seconds=seconds)
    if loop:
        audio = make_loop(audio)
    sketch: Sketch = build_sketch(extract(audio, SAMPLE_RATE))
    rows = []
    for name, effect in CODECS:
        coded, rate = effect(audio, SAMPLE_RATE, Scene())
        comparison = compare(extract(coded, rate), sketch)
        ranges = [
            [c.kind, c.band, round(c.query_start_s, 2), round(c.query_end_s, 2)] for c in comparison.changes
        ]
        rows.append(
            {
                "track": track.name,
                "loop": loop,
                "codec": name,
                "seconds": audio.shape[1] / SAMPLE_RATE,
                "assessable": comparison.assessable,
                "bit_error_rate": comparison.bit_error_rate,
                "ranges": ranges,
            }
        )
    return rows


def measure_untouched(options: Any) -> list[dict[str, Any]]:
    """Compare untouched transcodes of tracks that nothing was chosen on, and loops of every fifth."""
    count = options.clean_tracks
    if count is None:
        count = SHORT_CLEAN_TRACKS if options.short else CLEAN_TRACKS
    unseen = [*list_tracks(options.cache, split="test"), *list_tracks(options.cache, split="dev")]
    start_s, seconds = options.clean_start_s, options.clean_seconds
    chosen = choose([track for track in unseen if track.seconds >= start_s + min(seconds, 30.0)], count)
    rows: list[dict[str, Any]] = []
    ends = time.monotonic() + 60 * options.minutes
    for place, track in show_progress(list(enumerate(chosen)), total=len(chosen), what="untouched"):
        rows += measure_clean(track, options.cache, start_s=start_s, seconds=seconds)
        if place % LOOP_EVERY == 0:
            rows += measure_clean(track, options.cache, start_s=start_s, seconds=seconds, loop=True)
        if time.monotonic() > ends:
            break
    return rows


def show_untouched(rows: list[dict[str, Any]]) -> None:
    """Print how many ranges were told of untouched transcodes, and each of them."""
    hours = sum(row["seconds"] for row in rows) / 3600
    false = sum(len(row["ranges"]) for row in rows)
    unclear = sum(not row["assessable"] for row in rows)
    loops = sum(row["loop"] for row in rows)
    tracks = len({row["track"] for row in rows})
    print(
        f"untouched: {len(rows)} transcodes of {tracks} tracks, {loops} of them of loops, {hours:.1f} h: "
        f"{false} false ranges, {unclear} not assessable"
    )
    for row in rows:
        for kind, band, start_s, end_s in row["ranges"]:
            loop = " (loop)" if row["loop"] else ""
            print(f"  {row['track']}{loop} {row['codec']}: {kind} {band} {start_s}-{end_s} s")
