"""Segments: what is looked up is what is there, merged or not, in memory or from bytes."""

import numpy as np
import pytest
from test_identity_hashing import KINDS, make_landmarks

from watermark.identity.merging import merge_segments, plan_merge
from watermark.identity.profile import PROFILE, KeyKind
from watermark.identity.segment import (
    GAP_FRAMES,
    PAGE,
    PAGE_POSTINGS,
    Segment,
    SegmentError,
    build_segment,
    find_ranges,
    format_segment,
    make_segment,
    parse_segment,
    read_positions,
)

TRACKS = {number: make_landmarks(number) for number in (11, 5, 42, 7)}


def same(first: Segment, second: Segment) -> bool:
    return first.kind == second.kind and all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("tracks", "starts", "frames", "fences", "postings")
    )


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 5_000])
def test_look_up_agrees_with_a_search_of_everything(size: int) -> None:
    rng = np.random.default_rng(size)
    # Few different keys, so that one goes over several pages.
    keys = rng.integers(0, 6 if size == 5_000 else 3_000, size).astype(np.uint64)
    postings = np.sort((keys << np.uint64(32)) | rng.integers(0, 2**32 - 1, size).astype(np.uint64))
    segment = make_segment("fp1", PROFILE.rich, [1], [GAP_FRAMES], [100], postings)
    low = rng.integers(0, 3_000, 200)
    high = low + rng.integers(0, 40, 200)
    low[:8] = high[:8] = np.arange(8)
    high[8] = 2**32 - 1
    first, counts = find_ranges(segment, low.astype(np.uint32), high.astype(np.uint32))
    hits, positions = np.repeat(np.arange(low.size), counts), read_positions(segment, first, counts)
    expected = []
    for k in range(low.size):
        inside = (postings >> np.uint64(32) >= low[k]) & (postings >> np.uint64(32) <= high[k])
        expected += [(k, int(posting) & (2**32 - 1)) for posting in postings[inside]]
    assert list(zip(hits.tolist(), positions.tolist(), strict=True)) == expected


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_merging_gives_what_building_at_once_gives(kind: KeyKind) -> None:
    parts = [build_segment({number: TRACKS[number]}, kind) for number in TRACKS]
    assert same(merge_segments(parts), build_segment(TRACKS, kind))
    left = {number: found for number, found in TRACKS.items() if number != 5}
    assert same(merge_segments(parts, without=frozenset({5})), build_segment(left, kind))
    assert same(
        merge_segments([build_segment(TRACKS, kind)], without=frozenset({5})), build_segment(left, kind)
    )


@pytest.mark.parametrize("without", [frozenset[int](), frozenset({5, 11}), frozenset(TRACKS)])
@pytest.mark.parametrize("piece", [1, 1_500, 1 << 21])
def test_pieces_of_a_merge_are_the_postings_in_their_order(piece: int, without: frozenset[int]) -> None:
    parts = [build_segment({n: TRACKS[n] for n in some}, PROFILE.rich) for some in ((11, 5), (42,), (), (7,))]
    merge = plan_merge(parts, without=without)
    pieces = list(merge.make_postings(piece=piece))
    expected = build_segment({n: TRACKS[n] for n in TRACKS if n not in without}, PROFILE.rich)
    assert np.array_equal(np.concatenate(pieces), expected.postings)
    assert merge.count_postings() == expected.postings.size
    assert merge.empty.tracks.tolist() == expected.tracks.tolist()
    # The commonest key bounds how small a piece can be.
    _, most = np.unique(expected.postings >> np.uint64(32), return_counts=True)
    assert max(map(len, pieces)) <= piece + 5 * PAGE_POSTINGS + most.max(initial=0)


def test_rows_that_do_not_follow_each_other_closely_are_moved_one_by_one() -> None:
    made = build_segment({5: TRACKS[5], 7: TRACKS[7]}, PROFILE.rich)
    late = made.postings + np.uint64(1_000)
    apart = make_segment("fp1", PROFILE.rich, made.tracks, made.starts + 1_000, made.frames, late)
    assert same(merge_segments([apart]), made)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_bytes_and_back(kind: KeyKind) -> None:
    segment = build_segment(TRACKS, kind)
    data = b"".join(format_segment(segment))
    parsed = parse_segment(data)
    assert same(parsed, segment)
    assert b"".join(format_segment(parsed)) == data
    # Postings begin on a page of their own, and are not copied.
    assert len(data) % PAGE == 8 * segment.postings.size % PAGE
    assert parsed.postings.base is not None
    empty = build_segment({}, kind)
    assert same(parse_segment(b"".join(format_segment(empty))), empty)


def test_bytes_that_are_no_segment_are_refused() -> None:
    data = b"".join(format_segment(build_segment(TRACKS, PROFILE.rich)))
    for changed, message in [
        (b"", "other bytes"),
        (b"PK" + data[2:], "other bytes"),
        (data[:4] + b"\x02" + data[5:], "version"),
        (data[:5] + b"\x07" + data[6:], "kind"),
        (data[:8] + b"fp9" + data[11:], "profile"),
        (data[:-1], "bytes of segment"),
        (data + b"\0", "bytes of segment"),
        (data[:40], "other bytes"),
        (data[:16] + b"\xff" * 8 + data[24:], "bytes of segment"),
        (data[:32] + bytes([data[32] + 1]) + data[33:], "fences|bytes of segment"),
    ]:
        with pytest.raises(SegmentError, match=message):
            parse_segment(changed)


def test_kinds_are_not_mixed() -> None:
    with pytest.raises(SegmentError, match="one profile and kind"):
        merge_segments([build_segment(TRACKS, kind) for kind in KINDS])
    with pytest.raises(ValueError, match="got none"):
        merge_segments([])


def test_a_time_line_that_is_too_long_is_refused() -> None:
    first = build_segment({1: TRACKS[5]}, PROFILE.rich)
    long = make_segment("fp1", PROFILE.rich, [2], [GAP_FRAMES], [2**32 - 4_000], first.postings[:0])
    with pytest.raises(SegmentError, match="frames of music"):
        merge_segments([first, long])
