"""Votes: a query's place in a track wins, also at a guessed speed, and its line tells the exact scale."""

import dataclasses
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from test_identity_hashing import KINDS, make_landmarks

from api.lookupthreads import get_workers
from watermark.identity import lookup
from watermark.identity.hashing import UNCHANGED, Hypothesis, group_peaks
from watermark.identity.lookup import ALONE, Workers, choose_rarest
from watermark.identity.outcome import Landmarks
from watermark.identity.profile import KeyKind
from watermark.identity.segment import build_segment
from watermark.identity.voting import Candidate, count_votes, find_crowded

TRACKS = {number: make_landmarks(number, frames=6_000, count=1_500) for number in range(20, 32)}


def cut(found: Landmarks, first: int, last: int, scale: float = 1.0) -> Landmarks:
    inside = (found.frames >= first) & (found.frames < last)
    return Landmarks(
        "fp1",
        np.rint((found.frames[inside] - first) / scale).astype(np.int32),
        found.pitches[inside],
        found.strengths[inside],
    )


def vote(
    query: Landmarks, kind: KeyKind, *guesses: Hypothesis, limit: int = 10**6, workers: Workers = ALONE
) -> list[Candidate]:
    """Ask two segments."""
    halves = [{number: TRACKS[number] for number in some} for some in (range(20, 25), range(25, 32))]
    segments = [build_segment(half, kind) for half in halves]
    groups = group_peaks(query, kind, fan=kind.query_fan, slowest=0.75)
    return count_votes(
        segments, groups, guesses or [UNCHANGED], limit=limit, best=5, most=12, workers=workers
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("number", [20, 25, 31])
def test_an_excerpt_gets_the_most_votes_at_its_place(kind: KeyKind, number: int) -> None:
    best, *others = vote(cut(TRACKS[number], 1_234, 1_734), kind)
    assert best.track == number
    assert best.start_frame == pytest.approx(1_234, abs=0.3)
    assert best.time_scale == pytest.approx(1.0, abs=1e-3)
    assert all(best.votes > 4 * other.votes for other in others)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_guess_that_is_a_little_off_is_put_right(kind: KeyKind) -> None:
    best = vote(cut(TRACKS[27], 2_000, 2_600, scale=1.12), kind, Hypothesis(1.10, 0.0))[0]
    assert best.track == 27
    assert best.start_frame == pytest.approx(2_000, abs=3)
    assert best.time_scale == pytest.approx(1.12, abs=0.004)


def test_votes_that_differ_by_a_few_frames_count_together_wherever_they_lie() -> None:
    votes = []
    for first in range(1_500, 1_508):
        query = cut(TRACKS[29], first, first + 500)
        late = np.where(np.arange(query.frames.size) % 2, 4, 0).astype(np.int32)
        order = np.argsort(query.frames + late, kind="stable")
        moved = Landmarks("fp1", (query.frames + late)[order], query.pitches[order], query.strengths[order])
        votes.append(vote(moved, KINDS[0])[0].votes)
    assert min(votes) > 0.8 * max(votes)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_query_that_begins_before_its_track_is_at_a_negative_place(kind: KeyKind) -> None:
    early = cut(TRACKS[22], 0, 400)
    early = dataclasses.replace(early, frames=early.frames + np.int32(300))
    best = vote(early, kind)[0]
    assert best.track == 22
    assert best.start_frame == pytest.approx(-300, abs=0.5)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_place_is_proposed_twice(kind: KeyKind) -> None:
    places = [(found.track, found.start_frame) for found in vote(cut(TRACKS[24], 100, 900), kind)]
    for i, (track, start) in enumerate(places):
        for other, there in places[i + 1 :]:
            assert track != other or abs(start - there) > 4


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_guesses_are_counted_apart_and_the_right_one_leads(kind: KeyKind) -> None:
    query = cut(TRACKS[30], 800, 1_400, scale=1.2)
    guesses = [Hypothesis(scale, bands) for scale in (0.8, 1.0, 1.2) for bands in (-5.0, 0.0, 5.0)]
    together = vote(query, kind, *guesses)
    assert (together[0].track, together[0].pitch_bands) == (30, 0.0)
    assert together[0].time_scale == pytest.approx(1.2, abs=0.004)
    alone = vote(query, kind, Hypothesis(1.2, 0.0))
    assert together[0] == alone[0]
    assert [c.score for c in together] == sorted((c.score for c in together), reverse=True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_few_postings_still_point_to_the_place(kind: KeyKind) -> None:
    query = cut(TRACKS[26], 3_000, 3_600)
    everything, few = vote(query, kind)[0], vote(query, kind, limit=100)[0]
    assert few.track == everything.track == 26
    assert few.votes < everything.votes
    assert vote(query, kind, limit=0) == []


def test_the_commonest_keys_are_left_out_when_there_are_too_many() -> None:
    totals = np.array([100, 1, 50, 3, 7, 9, 200, 0])
    guesses = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    chosen = choose_rarest(totals, guesses, 20)
    # Of the first guess 11 postings, of the second 9; what nothing has is not read.
    assert np.flatnonzero(chosen).tolist() == [1, 3, 4, 5]


@pytest.mark.parametrize("count", [2, 5])
def test_threads_find_the_same(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    query = cut(TRACKS[30], 800, 1_400)
    alone = [vote(query, kind) for kind in KINDS]
    jobs: list[object] = []

    def apply(ask: Callable[[Any], Any], some: Iterable[Any]) -> Iterator[Any]:
        jobs.extend(some := list(some))
        return pool.map(ask, some)

    with ThreadPoolExecutor(count) as pool:
        assert [vote(query, kind, workers=Workers(count, apply)) for kind in KINDS] == alone
        assert jobs == []  # so little is faster without
        monkeypatch.setattr(lookup, "PARALLEL_POSTINGS", 0)
        assert [vote(query, kind, workers=Workers(count, apply)) for kind in KINDS] == alone
    assert len(jobs) > count


def test_a_forked_child_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "PARALLEL_POSTINGS", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    query = cut(TRACKS[30], 800, 1_400)
    expected = vote(query, KINDS[1], workers=get_workers())
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # ends a child that waits for threads it does not have
        os._exit(0 if vote(query, KINDS[1], workers=get_workers()) == expected else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_more_votes_than_a_byte_holds_are_all_kept() -> None:
    # 256 in one cell of the table would be none.
    bins = np.repeat(np.array([7, 7_000_000, 14_000_000]), [256, 2, 515])
    assert find_crowded(bins, 4).tolist() == [*range(256), *range(258, 773)]


@pytest.mark.parametrize("size", [0, 3, 200, 40_000])
def test_no_window_with_enough_votes_is_filtered_away(size: int) -> None:
    rng = np.random.default_rng(size)
    bins = rng.integers(0, 50 * size + 50, size)
    kept = np.zeros(size, np.bool_)
    kept[find_crowded(bins, 4)] = True
    numbers, back, counts = np.unique(bins, return_inverse=True, return_counts=True)
    of = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    for number, k in zip(bins.tolist(), kept.tolist(), strict=True):
        pair = of[number] + max(of.get(number - 1, 0), of.get(number + 1, 0))
        assert k or pair < 4
    if size == 40_000:
        assert kept.mean() < 0.05
    assert back.size == size


def test_nothing_asked_nothing_found() -> None:
    for kind in KINDS:
        assert vote(cut(TRACKS[20], 0, 0), kind) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("limit", [10**6, 1_000])
def test_a_catalogue_in_many_segments_is_searched_as_one(kind: KeyKind, limit: int) -> None:
    many = [build_segment({number: found}, kind) for number, found in TRACKS.items()]
    for number in (20, 31):
        groups = group_peaks(cut(TRACKS[number], 3_000, 3_600), kind, fan=kind.query_fan, slowest=0.75)
        options = {"limit": limit, "best": 5, "most": 12}
        best = count_votes(many, groups, [UNCHANGED], **options)[0]
        whole = count_votes([build_segment(TRACKS, kind)], groups, [UNCHANGED], **options)[0]
        # Of the twelve segments two are a sample that says which keys are rare.
        assert (best.track, whole.track) == (number, number)
        assert best.start_frame == pytest.approx(whole.start_frame, abs=0.5)
        assert best.votes == whole.votes if limit > 1_000 else best.votes > 0.5 * whole.votes
