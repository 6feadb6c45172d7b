"""Keys: a track's own are among those its query looks up, at the same speed or at the right guess of it."""

import dataclasses

import numpy as np
import pytest

from watermark.identity.hashing import UNCHANGED, Hypothesis, group_peaks, index_keys, query_keys
from watermark.identity.landmarks import rank_landmarks
from watermark.identity.outcome import Landmarks
from watermark.identity.profile import PROFILE, KeyKind

KINDS = [PROFILE.rich, PROFILE.lean]


def make_landmarks(seed: int, frames: int = 1_500, count: int = 350) -> Landmarks:
    rng = np.random.default_rng(seed)
    return Landmarks(
        "fp1",
        np.sort(rng.integers(0, frames, count)).astype(np.int32),
        rng.uniform(20, 130, count).astype(np.float32),
        rng.uniform(1, 6, count).astype(np.float32),
    )


def share_found(
    track: Landmarks, query: Landmarks, kind: KeyKind, guess: Hypothesis, slowest: float
) -> float:
    """Share of the track's keys that are in a range the query looks up, at their time."""
    keys, frames = index_keys(track, kind)
    ranges = query_keys(group_peaks(query, kind, fan=kind.query_fan, slowest=slowest), kind, [guess])
    hit = 0
    for key, frame in zip(keys, frames, strict=True):
        covers = (ranges.low <= key) & (key <= ranges.high) & (np.abs(ranges.frames - frame) <= 1)
        hit += bool(covers.any())
    return hit / keys.size


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_key_of_a_track_is_looked_up_by_its_own_peaks(kind: KeyKind) -> None:
    track = make_landmarks(1)
    everything = dataclasses.replace(kind, query_fan=kind.fan)
    thinned = index_keys(track, kind)[0].size
    assert thinned > 500
    # The query has more peaks than are indexed: all of the track's groups are among its own.
    assert share_found(track, track, dataclasses.replace(everything, query_fan=64), UNCHANGED, 1.0) == 1.0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("scale", [0.8, 1.0, 1.25])
@pytest.mark.parametrize("bands", [-9.0, 0.0, 6.0])
def test_the_right_guess_finds_a_changed_query(kind: KeyKind, scale: float, bands: float) -> None:
    track = make_landmarks(2)
    changed = dataclasses.replace(
        track,
        frames=np.rint(track.frames / scale).astype(np.int32),
        pitches=(track.pitches + bands).astype(np.float32),
    )
    wide = dataclasses.replace(kind, query_fan=64)
    right = share_found(track, changed, wide, Hypothesis(scale, bands), 0.8)
    # Rounding of frames moves a distance over the border of its step in a part of them.
    assert right > (0.45 if kind.peaks == 2 else 0.25)
    if scale != 1.0:
        assert share_found(track, changed, wide, Hypothesis(1.0, bands), 0.8) < 0.2 * right
    if bands:
        assert share_found(track, changed, wide, Hypothesis(scale, 0.0), 0.8) < 0.2 * right


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_pitches_that_were_moved_out_of_range_are_not_looked_up(kind: KeyKind) -> None:
    groups = group_peaks(make_landmarks(3), kind, fan=8, slowest=1.0)
    assert query_keys(groups, kind, [Hypothesis(1.0, 400.0)]).low.size == 0
    moved = query_keys(groups, kind, [Hypothesis(1.0, 60.0)])
    assert 0 < moved.low.size < len(groups.frames)
    assert (moved.low <= moved.high).all()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_hypotheses_together_ask_for_what_each_asks_for_alone(kind: KeyKind) -> None:
    groups = group_peaks(make_landmarks(6), kind, fan=8, slowest=0.8)
    guesses = [UNCHANGED, Hypothesis(0.9, -3.0), Hypothesis(1.0, 4.0), Hypothesis(0.9, 0.0)]
    together = query_keys(groups, kind, guesses)
    for number, guess in enumerate(guesses):
        alone = query_keys(groups, kind, [guess])
        mine = together.guesses == number
        for name in ("low", "high", "frames"):
            assert np.array_equal(getattr(together, name)[mine], getattr(alone, name))
    few = query_keys(groups, kind, guesses, most=50)
    assert np.bincount(few.guesses).max() <= 50
    first = query_keys(groups, kind, [UNCHANGED])
    assert np.array_equal(few.low[few.guesses == 0], first.low[:50])


def test_groups_of_the_strongest_peaks_come_first() -> None:
    found = make_landmarks(7)
    ranks = rank_landmarks(found)
    place = {
        (frame, pitch): rank for frame, pitch, rank in zip(found.frames, found.pitches, ranks, strict=True)
    }
    for kind in KINDS:
        groups = group_peaks(found, kind, fan=8, slowest=1.0)
        worst = [
            max(place[np.int32(f), np.float32(p)] for f, p in zip(frames, pitches, strict=True))
            for frames, pitches in zip(groups.frames, groups.pitches, strict=True)
        ]
        assert worst == sorted(worst)
        assert worst[0] < worst[-1]


def test_groups_are_those_within_reach() -> None:
    found = make_landmarks(4, frames=400, count=80)
    kind = PROFILE.rich
    groups = group_peaks(found, kind, fan=1_000, slowest=1.0)
    expected = 0
    for i in range(80):
        for j in range(i + 1, 80):
            near = found.frames[j] - found.frames[i] <= kind.reach_frames + 1
            expected += bool(near and abs(found.pitches[j] - found.pitches[i]) < kind.reach_bands + 1)
    assert len(groups.frames) == expected
    triples = group_peaks(found, PROFILE.lean, fan=1_000, slowest=1.0)
    assert triples.frames.shape[1] == 3
    assert (np.diff(triples.frames, axis=1) >= 0).all()


def test_no_peaks_no_keys() -> None:
    empty = make_landmarks(5, count=0)
    for kind in KINDS:
        assert index_keys(empty, kind)[0].size == 0
        assert query_keys(group_peaks(empty, kind, fan=4, slowest=1.0), kind, [UNCHANGED]).low.size == 0
