"""Segments: immutable sorted postings of many tracks, in the layout that a file of the index has.

A posting is one number of 64 bits, the key above the *position*: the time line of a segment strings its
tracks together, frame after frame, with silence between. The bytes, lowest first:

    0     "PVSG", version 1, kind (2 rich, 3 lean), 2 zero bytes, name of the profile in 8 bytes of ASCII
    16    number of tracks m, of postings n, of fences f: unsigned 64-bit numbers, 8 zero bytes
    48    zeros up to 4096
    4096  tracks int64 (m,), starts int64 (m,), frames int64 (m,), fences uint64 (f,), zeros up to a page
    ...   postings uint64 (n,), ascending

A fence is the first posting of a page of 4096 bytes. Fences stay in memory; a look-up then reads one page of
a file that is mapped into memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from watermark.errors import WatermarkError

from .hashing import index_keys
from .outcome import Landmarks
from .profile import PROFILE, FingerprintProfile, KeyKind

KeyArray = npt.NDArray[np.uint64]
IndexArray = npt.NDArray[np.int64]

MAGIC = b"PVSG"
VERSION = 1
HEAD_BYTES = 48
PAGE = 4096
PAGE_POSTINGS = PAGE // 8
# How long a range is that ends near its first posting.
NEAR_POSTINGS = 16
# Silence between two tracks on the time line: a window of a query that starts before its track, or goes on
# after it, stays clear of the neighbour.
GAP_FRAMES = 1_500
MAX_POSITION = 2**32
_SHIFT = np.uint64(32)


class SegmentError(WatermarkError):
    """Bytes that are no segment, or segments that cannot be put together."""


@dataclass(frozen=True)
class Segment:
    """Sorted postings of many tracks.

    Parameters
    ----------
    profile_name : str
    kind : KeyKind
    tracks : int64 (m,)
        The numbers under which the catalogue knows the tracks.
    starts, frames : int64 (m,)
        Where each track begins on the segment's time line, ascending, and how long it is.
    fences : uint64 (f,)
        Every 512th posting.
    postings : uint64 (n,)
        Ascending; the key is in the upper half, the position in the lower.
    """

    profile_name: str
    kind: KeyKind
    tracks: IndexArray
    starts: IndexArray
    frames: IndexArray
    fences: KeyArray
    postings: KeyArray

    @property
    def end(self) -> int:
        """First position after the last track and its silence."""
        return int(self.starts[-1] + self.frames[-1]) + GAP_FRAMES if self.starts.size else GAP_FRAMES


def build_segment(
    landmarks: Mapping[int, Landmarks], kind: KeyKind, *, profile: FingerprintProfile = PROFILE
) -> Segment:
    """Build a segment from the landmarks of tracks by their numbers.

    Raises
    ------
    SegmentError
        More music than one segment can hold (about two and a half years).
    """
    starts, frames, pieces = [], [], [np.zeros(0, np.uint64)]
    position = GAP_FRAMES
    for found in landmarks.values():
        keys, at = index_keys(found, kind, profile=profile)
        length = int(found.frames[-1]) + 1 if found.frames.size else 0
        starts.append(position)
        frames.append(length)
        pieces.append((keys.astype(np.uint64) << _SHIFT) | (at + position).astype(np.uint64))
        position += length + GAP_FRAMES
    check_length(position)
    return make_segment(profile.name, kind, list(landmarks), starts, frames, np.sort(np.concatenate(pieces)))


def make_segment(
    profile_name: str,
    kind: KeyKind,
    tracks: Sequence[int] | IndexArray,
    starts: Sequence[int] | IndexArray,
    frames: Sequence[int] | IndexArray,
    postings: KeyArray,
) -> Segment:
    """Put a segment together from sorted postings; the fences follow from them."""
    return Segment(
        profile_name,
        kind,
        np.asarray(tracks, np.int64),
        np.asarray(starts, np.int64),
        np.asarray(frames, np.int64),
        np.ascontiguousarray(postings[::PAGE_POSTINGS]),
        postings,
    )


def find_ranges(
    segment: Segment, low: npt.NDArray[np.uint32], high: npt.NDArray[np.uint32]
) -> tuple[IndexArray, IndexArray]:
    """Find ranges of keys, from `low` to `high`: fastest where `low` ascends.

    Returns
    -------
    (first, counts) : int64 (n,), int64 (n,)
        Index of the first posting of each range, and how many there are.
    """
    first = _search(segment, low.astype(np.uint64) << _SHIFT)
    last = (high.astype(np.uint64) << _SHIFT) | np.uint64(MAX_POSITION - 1)
    counts = np.zeros(first.size, np.int64)
    # Many ranges hold nothing: their first posting is beyond them.
    held = np.flatnonzero(first < segment.postings.size)
    held = held[segment.postings[first[held]] < last[held]]
    counts[held] = _count_under(segment, first[held], last[held])
    return first, counts


def read_positions(segment: Segment, first: IndexArray, counts: IndexArray) -> IndexArray:
    """Return the positions of `counts` postings each from `first` on, one after the other: int64 (n,)."""
    ends = np.cumsum(counts)
    at = np.arange(int(ends[-1]) if ends.size else 0) + np.repeat(first - ends + counts, counts)
    return (segment.postings[at] & np.uint64(MAX_POSITION - 1)).astype(np.int64)


def format_segment(segment: Segment) -> list[bytes]:
    """Return the bytes of a segment as pieces to be written one after the other."""
    return [format_head(segment), segment.postings.astype("<u8").tobytes()]


def format_head(segment: Segment) -> bytes:
    """Return what comes before the postings, for who writes those piece by piece."""
    head = (
        MAGIC
        + bytes([VERSION, segment.kind.peaks, 0, 0])
        + segment.profile_name.encode("ascii").ljust(8, b"\0")
        + np.array([segment.tracks.size, segment.postings.size, segment.fences.size], "<u8").tobytes()
    )
    columns = (segment.tracks, segment.starts, segment.frames, segment.fences)
    table = b"".join(column.astype("<u8").tobytes() for column in columns)
    return head.ljust(PAGE, b"\0") + table + bytes(-len(table) % PAGE)


def parse_segment(
    data: bytes | memoryview | npt.NDArray[np.uint8], *, profile: FingerprintProfile = PROFILE
) -> Segment:
    """Read a segment's bytes; postings are not copied, so that `data` may be a file mapped into memory.

    Raises
    ------
    SegmentError
        They are no segment of this profile, or not whole. Postings are not checked: a file's digest is what
        vouches for them.
    """
    view = np.frombuffer(data, np.uint8)
    head = view[:HEAD_BYTES].tobytes()
    kind = parse_kind(head, profile=profile)
    tracks, postings, fences = (int(n) for n in np.frombuffer(head, "<u8", 3, 16))
    table = 24 * tracks + 8 * fences
    first = PAGE + table + -table % PAGE
    if max(tracks, postings, fences) > view.size or view.size != first + 8 * postings:
        raise SegmentError(f"expected {first + 8 * postings} bytes of segment, got {view.size}")
    if fences != -(-postings // PAGE_POSTINGS):
        raise SegmentError(f"expected {-(-postings // PAGE_POSTINGS)} fences, got {fences}")
    columns = [np.array(view[PAGE + 8 * tracks * k :][: 8 * tracks].view("<i8")) for k in range(3)]
    return Segment(
        profile_name=profile.name,
        kind=kind,
        tracks=columns[0],
        starts=columns[1],
        frames=columns[2],
        fences=np.array(view[PAGE + 24 * tracks :][: 8 * fences].view("<u8")),
        postings=view[first:].view("<u8"),
    )


def parse_kind(head: bytes, *, profile: FingerprintProfile = PROFILE) -> KeyKind:
    """Read from the first `HEAD_BYTES` of a segment which kind of index it is.

    Raises
    ------
    SegmentError
        They are of no segment of this profile.
    """
    if len(head) < HEAD_BYTES or head[:4] != MAGIC:
        raise SegmentError("expected a segment, got other bytes")
    if head[4] != VERSION:
        raise SegmentError(f"expected a segment of version {VERSION}, got version {head[4]}")
    kinds = {kind.peaks: kind for kind in (profile.rich, profile.lean)}
    if head[5] not in kinds:
        raise SegmentError(f"expected a segment of kind {list(kinds)}, got {head[5]}")
    if head[8:16] != profile.name.encode("ascii").ljust(8, b"\0"):
        raise SegmentError(f"expected a segment of profile {profile.name!r}, got {head[8:16]!r}")
    return kinds[head[5]]


def _search(segment: Segment, wanted: KeyArray) -> IndexArray:
    """Return the index of the first posting not under each of `wanted`, int64 (n,)."""
    postings, fences = segment.postings, segment.fences
    if not postings.size:
        return np.zeros(wanted.size, np.int64)
    page = np.searchsorted(fences, wanted, "left")
    # The page's own first posting is under what is wanted: one of the 512 places after it is the answer.
    found = np.maximum(page - 1, 0) * PAGE_POSTINGS
    beyond = int(found.max(initial=0)) + PAGE_POSTINGS > postings.size
    step = PAGE_POSTINGS // 2
    while step:
        probe = found + step
        if beyond:
            # Past the end the last posting stands for all: where it too is under, so is everything.
            np.minimum(probe, postings.size - 1, out=probe)
        found += (postings[probe] < wanted) * step
        step //= 2
    return np.where(page > 0, np.minimum(found + 1, postings.size), 0).astype(np.int64)


def _count_under(segment: Segment, first: IndexArray, last: KeyArray) -> IndexArray:
    """Return how many postings, from each of `first` on, are under each of `last`; the first one is."""
    postings, end = segment.postings, segment.postings.size - 1
    # Most ranges are short: their end is looked for in the page that the first posting was read from.
    far = np.flatnonzero(postings[np.minimum(first + NEAR_POSTINGS, end)] < last)
    found = first.copy()
    step = NEAR_POSTINGS // 2
    while step:
        found += (postings[np.minimum(found + step, end)] < last) * step
        step //= 2
    found = np.minimum(found, end) + 1
    found[far] = _search(segment, last[far])
    return found - first


def check_length(position: int) -> None:
    """Raise SegmentError where a time line would be longer than positions can say."""
    if position >= MAX_POSITION:
        raise SegmentError(f"expected less than {MAX_POSITION} frames of music, got {position}")
