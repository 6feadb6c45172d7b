"""Search: which recordings a query is, or contains, or lies in.

    index = Index(segments=(segment,), sketch_of=sketches.get)
    found = identify(query, index)
    found.matches[0].track, found.matches[0].placement.track_start_s

A query is asked about in windows. Each goes through rounds until one finds something: as it is, then with
more of its landmarks, then with changed speed, tempo or pitch. Landmarks vote for places in tracks, and the
best places are held against the tracks' sketches, which decide. Windows that continue each other are one
match.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .alignment import refine_alignment, refine_pitch
from .decision import (
    CLAIMED_PROBABILITY,
    Agreement,
    bound_false_alarm,
    measure_agreement,
    measure_background,
    most_wrong,
)
from .extraction import Query, cut_query
from .hashing import UNCHANGED, Hypothesis, group_peaks
from .landmarks import thin_landmarks
from .lookup import ALONE, Workers
from .matches import find_range, join_matches, place_in_window
from .outcome import Identification, Match, Placement, Sketch
from .profile import PROFILE, FingerprintProfile, Stage
from .segment import Segment
from .voting import Candidate, count_votes

# A change of pitch that goes with the scale like this (semitones) is one of speed.
SPEED_TOLERANCE = 0.1
# A place is looked at more closely when it is this likely to be claimed.
LIKELY_PROBABILITY = 0.1
# With more bits wrong than this a match does not end the search: music that resembles the query, or holds the
# same sound backwards, is found too, and the track itself perhaps only at another speed.
POOR_BIT_ERROR_RATE = 1 / 3
# A range that comes this close to an end of the query reaches it.
END_S = 0.5


@dataclass(frozen=True)
class Index:
    """What is searched: segments of one profile, and the sketch of each track in them.

    `sketch_of` gives the sketch of a track by its number; None where it is no longer to be found. `workers`
    look up in segments that are large.
    """

    segments: Sequence[Segment]
    sketch_of: Callable[[int], Sketch | None]
    workers: Workers = ALONE


@dataclass(frozen=True)
class _Found:
    """A candidate that was held against its track, on the window's clock."""

    track: int
    placement: Placement
    agreement: Agreement
    probability: float


def identify(
    query: Query,
    index: Index,
    *,
    claimed_probability: float = CLAIMED_PROBABILITY,
    profile: FingerprintProfile = PROFILE,
) -> Identification:
    """Find the recordings that a query, or parts of it, are.

    Parameters
    ----------
    query : Query
        From `extract_query` or `Extractor`; of any length.
    index : Index
    claimed_probability : float
        A match is claimed when the bound on its false-alarm probability is at most this.

    Returns
    -------
    Identification
        Matches with the smallest false-alarm probability first, each with its range of the query; none is
        the answer "unknown". The probability is over all windows, places and hypotheses.

    Raises
    ------
    ValueError
        A segment or sketch is of another profile.
    """
    for segment in index.segments:
        if segment.profile_name != profile.name:
            raise ValueError(f"expected segments of {profile.name!r}, got {segment.profile_name!r}")
    starts = _window_starts(query.seconds, profile)
    hypotheses = 0
    matches: list[Match] = []
    closest: tuple[_Found, float] | None = None
    for start_s in starts:
        end_s = query.seconds if len(starts) == 1 else start_s + profile.window_s
        window, begins_s = cut_query(query, start_s=start_s, end_s=end_s, profile=profile)
        expected = [
            (match.track, place_in_window(match.placement, begins_s))
            for match in matches
            if match.query_end_s > begins_s
        ]
        found, nearest, tried = _search_window(
            window, index, expected, claimed_probability / len(starts), profile
        )
        hypotheses = max(hypotheses, tried)
        for each in found:
            sketch = index.sketch_of(each.track)
            if sketch is not None:
                matches.append(_describe(each, query, sketch, begins_s, len(starts), profile))
        if nearest and (closest is None or nearest.agreement.total > closest[0].agreement.total):
            closest = nearest, begins_s
    joined = join_matches(matches)
    joined.sort(key=lambda match: (match.false_alarm_probability, match.bit_error_rate))
    unclaimed = None
    if closest is not None and not joined:
        sketch = index.sketch_of(closest[0].track)
        if sketch is not None:
            described = _describe(closest[0], query, sketch, closest[1], len(starts), profile)
            # The bound alone, without the background and with any number of wrong bits, says nothing.
            unclaimed = replace(described, false_alarm_probability=1.0)
    return Identification(tuple(joined), hypotheses, unclaimed)


def list_hypotheses(profile: FingerprintProfile = PROFILE) -> list[Hypothesis]:
    """List the changes that the last round tries: speeds, tempos and pitches, the unchanged left out."""
    octave = profile.bands_per_octave
    low = math.ceil(octave * math.log2(profile.slowest) / profile.sweep_bands)
    high = math.floor(octave * math.log2(profile.fastest) / profile.sweep_bands)
    speeds = [profile.sweep_bands * k for k in range(low, high + 1) if k]
    low = math.ceil(math.log(profile.slowest) / profile.tempo_step)
    high = math.floor(math.log(profile.fastest) / profile.tempo_step)
    tempos = [math.exp(profile.tempo_step * k) for k in range(low, high + 1) if k]
    steps = round(profile.pitch_bands / profile.sweep_bands)
    pitches = [profile.sweep_bands * k for k in range(-steps, steps + 1) if k]
    return [
        *(Hypothesis(2.0 ** (bands / octave), bands) for bands in speeds),
        *(Hypothesis(tempo, 0.0) for tempo in tempos),
        *(Hypothesis(1.0, bands) for bands in pitches),
    ]


def _window_starts(seconds: float, profile: FingerprintProfile) -> list[float]:
    """Where windows begin; a query hardly longer than a window is one."""
    if seconds <= 1.5 * profile.window_s:
        return [0.0]
    count = math.ceil((seconds - profile.window_s) / profile.window_hop_s) + 1
    return [float(x) for x in np.linspace(0.0, seconds - profile.window_s, count)]


def _search_window(
    window: Query,
    index: Index,
    expected: Sequence[tuple[int, Placement]],
    claimed: float,
    profile: FingerprintProfile,
) -> tuple[list[_Found], _Found | None, int]:
    """Search a window round by round; `expected` is where earlier windows say it goes on.

    Returns what is claimed, what agrees best whether claimed or not, and how many hypotheses were tried.
    """
    hypotheses = [UNCHANGED]
    trials = len(expected)
    found, closest = _verify(window, index, expected, trials, claimed)
    # What goes on plainly is not looked for again.
    if found:
        return found, closest, 1
    for stage in (profile.plain, profile.deep, profile.swept):
        if stage is profile.swept:
            hypotheses = list_hypotheses(profile)
        places = propose_places(window, index, stage, hypotheses, profile)
        before, trials = trials, trials + len(places)
        added, nearest = _verify(window, index, places, trials, claimed)
        found = _unite(found, before, added, trials, claimed)
        if closest is None or (nearest and nearest.agreement.total > closest.agreement.total):
            closest = nearest
        if any(each.agreement.bit_error_rate <= POOR_BIT_ERROR_RATE for each in found):
            break
    return found, closest, len(hypotheses) + (stage is profile.swept)


def _unite(
    found: Sequence[_Found], before: int, added: Sequence[_Found], trials: int, claimed: float
) -> list[_Found]:
    """Put what earlier rounds found, of `before` places tried, beside what a later one did; of each track the
    better.
    """
    best = {each.track: each for each in added}
    for each in found:
        probability = min(1.0, each.probability * trials / max(before, 1))
        other = best.get(each.track)
        if probability <= claimed and (other is None or other.agreement.total < each.agreement.total):
            best[each.track] = replace(each, probability=probability)
    return list(best.values())


def propose_places(
    window: Query, index: Index, stage: Stage, hypotheses: Sequence[Hypothesis], profile: FingerprintProfile
) -> list[tuple[int, Placement]]:
    """Return the tracks and placements that a round holds against sketches, the most promising first."""
    slowest = min((1.0, *(hypothesis.time_scale for hypothesis in hypotheses)))
    found: list[Candidate] = []
    for kind in (profile.rich, profile.lean):
        segments = [segment for segment in index.segments if segment.kind == kind]
        if segments:
            density = min(stage.density, kind.query_density)
            peaks = thin_landmarks(window.landmarks, density, profile=profile)
            fan = round(kind.query_fan * density / profile.plain.density)
            groups = group_peaks(peaks, kind, fan=fan, slowest=slowest)
            lean = kind == profile.lean
            found += count_votes(
                segments,
                groups,
                hypotheses,
                most_groups=stage.lean_groups if lean else None,
                limit=stage.lean_limit if lean else stage.rich_limit,
                best=stage.best,
                most=stage.verified,
                workers=index.workers,
            )
    found.sort(key=lambda candidate: -candidate.score)
    return [(candidate.track, _place(candidate, profile)) for candidate in found[: stage.verified]]


def _place(candidate: Candidate, profile: FingerprintProfile) -> Placement:
    semitones = candidate.pitch_bands * 12 / profile.bands_per_octave
    # Where the hypothesis was one of speed, pitch follows the scale that the votes gave.
    speed = 12 * math.log2(candidate.time_scale)
    tied = candidate.pitch_bands != 0.0 and abs(speed - semitones) < 0.5
    start_s = candidate.start_frame * profile.frame_s
    return Placement(start_s, candidate.time_scale, speed if tied else semitones)


def _verify(
    window: Query, index: Index, places: Sequence[tuple[int, Placement]], trials: int, claimed: float
) -> tuple[list[_Found], _Found | None]:
    """Hold places against their sketches; return those that cannot be chance, one for each track, and the one
    that agrees best in any case.
    """
    best: dict[int, tuple[Placement, Agreement]] = {}
    closest: _Found | None = None
    for track, placement in places:
        sketch = index.sketch_of(track)
        if sketch is None:
            continue
        agreement = measure_agreement(window.sketch, sketch, placement)
        bound = bound_false_alarm(agreement.total, trials)
        if closest is None or agreement.total > closest.agreement.total:
            closest = _Found(track, placement, agreement, bound)
        likely = bound <= max(claimed, LIKELY_PROBABILITY)
        if likely and (track not in best or agreement.total > best[track][1].total):
            best[track] = (placement, agreement)
    found = []
    for track, (placement, agreement) in best.items():
        sketch = index.sketch_of(track)
        assert sketch is not None
        refined = _refine(window, sketch, placement)
        again = measure_agreement(window.sketch, sketch, refined)
        if again.total > agreement.total:
            placement, agreement = refined, again
        background = measure_background(window.sketch, sketch, placement)
        probability = bound_false_alarm(agreement.total, trials, background)
        if probability <= claimed and agreement.bit_error_rate <= most_wrong(placement):
            found.append(_Found(track, placement, agreement, probability))
    return found, closest


def _refine(window: Query, sketch: Sketch, placement: Placement) -> Placement:
    refined = refine_alignment(window.sketch, sketch, placement)
    if placement.pitch_semitones == 0.0:
        return refined
    speed = 12 * math.log2(refined.time_scale)
    if abs(placement.pitch_semitones - 12 * math.log2(placement.time_scale)) < SPEED_TOLERANCE:
        return replace(refined, pitch_semitones=speed)
    return refine_pitch(window.sketch, sketch, refined)


def _describe(
    found: _Found, query: Query, sketch: Sketch, begins_s: float, windows: int, profile: FingerprintProfile
) -> Match:
    """Say on the query's clock what was found in a window that begins at `begins_s`.

    The range is looked for beyond the window too: the neighbours may have been taken up with another track.
    """
    around, around_s = cut_query(
        query,
        start_s=begins_s - profile.window_hop_s,
        end_s=begins_s + profile.window_s + profile.window_hop_s,
        profile=profile,
    )
    scale = found.placement.time_scale
    placement = replace(found.placement, track_start_s=found.placement.track_start_s - scale * begins_s)
    there = place_in_window(placement, around_s)
    agreement = measure_agreement(around.sketch, sketch, there)
    first, last = find_range(agreement)
    word_s = query.sketch.profile.word_s
    low_s = ((agreement.first_word + first) * word_s - placement.track_start_s) / scale
    high_s = ((agreement.first_word + last) * word_s - placement.track_start_s) / scale
    low_s = 0.0 if low_s < END_S else low_s
    high_s = query.seconds if high_s > query.seconds - END_S else high_s
    return Match(
        track=found.track,
        placement=placement,
        # Nothing of the query lies before the track's own beginning.
        query_start_s=max(low_s, -placement.track_start_s / scale),
        query_end_s=high_s,
        bit_error_rate=found.agreement.bit_error_rate,
        false_alarm_probability=min(1.0, windows * found.probability),
    )
