"""Votes: a query's place in a track wins, also at a guessed speed, and its line tells the exact scale."""

import dataclasses

import numpy as np
import pytest
from test_identity_hashing import KINDS, make_landmarks

from watermark.identity.hashing import UNCHANGED, Hypothesis, group_peaks
from watermark.identity.outcome import Landmarks
from watermark.identity.profile import KeyKind
from watermark.identity.segment import build_segment
from watermark.identity.voting import Candidate, count_votes

TRACKS = {number: make_landmarks(number, frames=6_000, count=1_500) for number in range(20, 32)}


def cut(found: Landmarks, first: int, last: int, scale: float = 1.0) -> Landmarks:
    inside = (found.frames >= first) & (found.frames < last)
    return Landmarks(
        "fp1",
        np.rint((found.frames[inside] - first) / scale).astype(np.int32),
        found.pitches[inside],
        found.strengths[inside],
    )


def vote(query: Landmarks, kind: KeyKind, guess: Hypothesis = UNCHANGED) -> list[Candidate]:
    segment = build_segment(TRACKS, kind)
    groups = group_peaks(query, kind, fan=kind.query_fan, slowest=0.75)
    return count_votes(segment, groups, guess, limit=10**6, best=5)


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


def test_nothing_asked_nothing_found() -> None:
    for kind in KINDS:
        assert vote(cut(TRACKS[20], 0, 0), kind) == []
