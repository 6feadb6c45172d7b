"""Recordings of a data set that sound the same: other encodings, other levels, a little faster or slower.

While files are listened to, each one's fingerprint is kept beside the manifest, and an index is built of all.
Then twelve seconds from the middle of each are looked up in it. Two recordings are the same if those lie in
the other where they should, and the lengths agree as well.

    sounds/<PCM SHA-256>.fp     fingerprints
    sounds/lengths.json         seconds by PCM SHA-256; numbers in the index are places in it
    sounds/<number>.seg         the index, SEGMENT_RECORDINGS to a file
"""

import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from watermark.identity import (
    PROFILE,
    Extractor,
    Fingerprint,
    Index,
    Match,
    Query,
    Segment,
    Sketch,
    build_segment,
    format_fingerprint,
    format_segment,
    identify,
    make_fingerprint,
    parse_fingerprint,
    parse_segment,
)

from .decoding import Limits, open_recording
from .errors import WriteError

SOUNDS_NAME = "sounds"
LENGTHS_NAME = "lengths.json"
SEGMENT_RECORDINGS = 500
EXCERPT_S = 12.0
# Shorter ones are compared by their samples alone.
SHORTEST_S = 4.0
# Lengths and places of the same recording differ by this much at most: cut silence, a codec's padding.
TOLERANCE_S = 2.0
TOLERANCE_SHARE = 0.01


@dataclass(frozen=True)
class Near:
    """A recording, by its PCM digest, that the middle of another was found in; `whole`: they are the same."""

    pcm_sha256: str
    whole: bool


def has_sound(row: Mapping[str, Any]) -> bool:
    """Say whether a row is of a recording that is long enough to be compared by its sound."""
    return row["pcm_sha256"] is not None and row["milliseconds"] >= 1000 * SHORTEST_S


def is_sound_kept(folder: Path, row: Mapping[str, Any]) -> bool:
    """Say whether all that comparing a row needs is there."""
    return not has_sound(row) or locate_sound(folder, row["pcm_sha256"]).exists()


def locate_sound(folder: Path, pcm_sha256: str) -> Path:
    """Return where a recording's fingerprint is kept."""
    return folder / SOUNDS_NAME / f"{pcm_sha256}.fp"


def keep_sound(folder: Path, pcm_sha256: str, query: Query) -> None:
    """Keep what a recording sounds like; WriteError where that fails."""
    path = locate_sound(folder, pcm_sha256)
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(exist_ok=True)
        fresh.write_bytes(format_fingerprint(make_fingerprint(query)))
        fresh.replace(path)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror}") from error


def build_index(folder: Path, lengths: Mapping[str, float]) -> None:
    """Write the index of kept recordings, given by their PCM digests with their seconds."""
    digests = list(lengths)
    try:
        (folder / SOUNDS_NAME).mkdir(exist_ok=True)
        (folder / SOUNDS_NAME / LENGTHS_NAME).write_text(json.dumps(lengths), encoding="ascii")
        for first in range(0, len(digests), SEGMENT_RECORDINGS):
            some = range(first, min(first + SEGMENT_RECORDINGS, len(digests)))
            landmarks = {number: _read(folder, digests[number]).landmarks for number in some}
            path = folder / SOUNDS_NAME / f"{first}.seg"
            with path.open("wb") as file:
                file.writelines(format_segment(build_segment(landmarks, PROFILE.rich)))
    except OSError as error:
        raise WriteError(f"{folder / SOUNDS_NAME}: cannot be written: {error.strerror}") from error


class Neighbours:
    """The index of a data set, opened in a worker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seconds: dict[str, float] = json.loads((folder / SOUNDS_NAME / LENGTHS_NAME).read_bytes())
        self._digests = list(self._seconds)
        segments = [_open(folder, first) for first in range(0, len(self._digests), SEGMENT_RECORDINGS)]
        self._sketch = lru_cache(maxsize=256)(self._read_sketch)
        self._index = Index(tuple(segments), self._sketch)

    def find(self, path: Path, pcm_sha256: str, limits: Limits) -> tuple[Near, ...]:
        """Return the other recordings that the middle of one is found in.

        Raises
        ------
        AudioRefusedError, TooLargeError
            The file cannot be decoded any more.
        OSError
            It cannot be read.
        """
        seconds = self._seconds[pcm_sha256]
        start_s = max(0.0, (seconds - EXCERPT_S) / 2)
        query = _listen(path, start_s, limits)
        near: dict[str, bool] = {}
        for match in identify(query, self._index).matches:
            other = self._digests[match.track]
            if other != pcm_sha256:
                whole = is_whole(match, start_s, seconds, self._seconds[other])
                near[other] = near.get(other, False) or whole
        return tuple(Near(other, whole) for other, whole in near.items())

    def _read_sketch(self, number: int) -> Sketch | None:
        return _read(self._folder, self._digests[number]).sketch


def is_whole(match: Match, start_s: float, seconds: float, other_s: float) -> bool:
    """Say whether a recording of `seconds`, matched from `start_s` on, is the other in full."""
    place = match.placement
    begin_s = place.track_start_s - place.time_scale * start_s
    tolerance_s = TOLERANCE_S + TOLERANCE_SHARE * other_s
    return abs(begin_s) <= tolerance_s and abs(place.time_scale * seconds - other_s) <= tolerance_s


def _listen(path: Path, start_s: float, limits: Limits) -> Query:
    with open_recording(path, limits) as recording:
        shape = recording.format
        extractor = Extractor(sample_rate=shape.sample_rate, channels=shape.channels)
        first, stop = round(start_s * shape.sample_rate), round((start_s + EXCERPT_S) * shape.sample_rate)
        for block in recording.blocks():
            begin = recording.samples - block.shape[1]
            piece = block[:, max(0, first - begin) : max(0, stop - begin)]
            if piece.shape[1]:
                extractor.push(piece)
            if recording.samples >= stop:
                break
        return extractor.finish()


def _read(folder: Path, pcm_sha256: str) -> Fingerprint:
    return parse_fingerprint(locate_sound(folder, pcm_sha256).read_bytes())


def _open(folder: Path, first: int) -> Segment:
    with (folder / SOUNDS_NAME / f"{first}.seg").open("rb") as file:
        return parse_segment(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
