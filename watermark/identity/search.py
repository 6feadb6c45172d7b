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
from .decision import CLAIMED_PROBABILITY, Agreement, bound_false_alarm, measure_agreement
from .extraction import Query, cut_query
from .hashing import UNCHANGED, Hypothesis, group_peaks
from .landmarks import thin_landmarks
from .outcome import Identification, Match, Placement, Sketch
from .profile import PROFILE, FingerprintProfile, Stage
from .segment import Segment
from .voting import Candidate, count_votes

# Votes that a candidate needs to be held against its sketch.
LEAST_VOTES = 4
# Placements of one track this close together, and scales, are the same.
SAME_S = 0.4
SAME_SCALE = 0.02
# A change of pitch that goes with the scale like this (semitones) is one of speed.
SPEED_TOLERANCE = 0.1
# A range begins and ends where agreement falls under this share of what it is inside.
RANGE_SHARE = 0.4


@dataclass(frozen=True)
class Index:
    """What is searched: segments of one profile, and the sketch of each track in them.

    `sketch_of` gives the sketch of a track by its number; None where it is no longer to be found.
    """

    segments: Sequence[Segment]
    sketch_of: Callable[[int], Sketch | None]


@dataclass(frozen=True)
class _Found:
    """A candidate that was held against its track, on the window's clock."""

    track: int
    placement: Placement
    agreement: Agreement
    probability: float


def identify(query: Query, index: Index, *, profile: FingerprintProfile = PROFILE) -> Identification:
    """Find the recordings that a query, or parts of it, are.

    Parameters
    ----------
    query : Query
        From `extract_query` or `Extractor`; of any length.
    index : Index

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
    for start_s in starts:
        end_s = query.seconds if len(starts) == 1 else start_s + profile.window_s
        window, begins_s = cut_query(query, start_s=start_s, end_s=end_s, profile=profile)
        expected = [_on_clock(match, begins_s) for match in matches if match.query_end_s > begins_s]
        found, tried = _search_window(window, index, expected, profile)
        hypotheses = max(hypotheses, tried)
        for each in found:
            matches.append(_describe(each, window, begins_s, len(starts)))
    joined = _join(matches)
    joined.sort(key=lambda match: (match.false_alarm_probability, match.bit_error_rate))
    return Identification(tuple(joined), hypotheses)


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
    window: Query, index: Index, expected: Sequence[tuple[int, Placement]], profile: FingerprintProfile
) -> tuple[list[_Found], int]:
    """Search a window round by round; `expected` is where earlier windows say it goes on."""
    hypotheses = [UNCHANGED]
    trials = len(expected)
    found = _verify(window, index, expected, trials)
    # What goes on plainly is not looked for again.
    if found:
        return found, 1
    for stage in (profile.plain, profile.deep, profile.swept):
        if stage is profile.swept:
            hypotheses = list_hypotheses(profile)
        candidates = _vote(window, index, stage, hypotheses, profile)
        places = [(candidate.track, _place(candidate, profile)) for candidate in candidates]
        trials += len(places)
        found = _verify(window, index, places, trials)
        if found:
            break
    return found, len(hypotheses) + (stage is profile.swept)


def _vote(
    window: Query, index: Index, stage: Stage, hypotheses: Sequence[Hypothesis], profile: FingerprintProfile
) -> list[Candidate]:
    """Return the candidates of a round, the most promising first."""
    peaks = thin_landmarks(window.landmarks, stage.density, profile=profile)
    slowest = min(1.0, *(hypothesis.time_scale for hypothesis in hypotheses), 1.0)
    found: list[Candidate] = []
    grouped = {}
    for segment in index.segments:
        kind = segment.kind
        if kind not in grouped:
            grouped[kind] = group_peaks(peaks, kind, fan=kind.query_fan, slowest=slowest)
        for hypothesis in hypotheses:
            found += count_votes(segment, grouped[kind], hypothesis, limit=stage.limit, best=stage.best)
    found = [candidate for candidate in found if candidate.votes >= LEAST_VOTES]
    found.sort(key=lambda candidate: -candidate.score)
    return found[: stage.verified]


def _place(candidate: Candidate, profile: FingerprintProfile) -> Placement:
    semitones = candidate.pitch_bands * 12 / profile.bands_per_octave
    # Where the hypothesis was one of speed, pitch follows the scale that the votes gave.
    speed = 12 * math.log2(candidate.time_scale)
    tied = candidate.pitch_bands != 0.0 and abs(speed - semitones) < 0.5
    start_s = candidate.start_frame * profile.frame_s
    return Placement(start_s, candidate.time_scale, speed if tied else semitones)


def _verify(
    window: Query, index: Index, places: Sequence[tuple[int, Placement]], trials: int
) -> list[_Found]:
    """Hold places against their sketches; keep those that cannot be chance, one for each track."""
    best: dict[int, _Found] = {}
    for track, placement in places:
        sketch = index.sketch_of(track)
        if sketch is None:
            continue
        agreement = measure_agreement(window.sketch, sketch, placement)
        probability = bound_false_alarm(agreement.total, trials)
        known = best.get(track)
        if probability <= CLAIMED_PROBABILITY and (known is None or agreement.total > known.agreement.total):
            best[track] = _Found(track, placement, agreement, probability)
    found = []
    for track, each in best.items():
        sketch = index.sketch_of(track)
        assert sketch is not None
        placement = _refine(window, sketch, each.placement)
        agreement = measure_agreement(window.sketch, sketch, placement)
        if agreement.total < each.agreement.total:
            placement, agreement = each.placement, each.agreement
        found.append(_Found(track, placement, agreement, bound_false_alarm(agreement.total, trials)))
    return found


def _refine(window: Query, sketch: Sketch, placement: Placement) -> Placement:
    refined = refine_alignment(window.sketch, sketch, placement)
    if placement.pitch_semitones == 0.0:
        return refined
    speed = 12 * math.log2(refined.time_scale)
    if abs(placement.pitch_semitones - 12 * math.log2(placement.time_scale)) < SPEED_TOLERANCE:
        return replace(refined, pitch_semitones=speed)
    return refine_pitch(window.sketch, sketch, refined)


def _describe(found: _Found, window: Query, begins_s: float, windows: int) -> Match:
    """Say on the query's clock what was found in a window that begins at `begins_s`."""
    first, last = _matching_range(found.agreement)
    word_s = window.sketch.profile.word_s
    scale, start_s = found.placement.time_scale, found.placement.track_start_s
    word = found.agreement.first_word
    low_s = ((word + first) * word_s - start_s) / scale
    high_s = ((word + last) * word_s - start_s) / scale
    # A range that comes within half a second of the window's end reaches it.
    low_s = 0.0 if low_s < 0.5 else low_s
    high_s = window.seconds if high_s > window.seconds - 0.5 else high_s
    low_s = max(low_s, -start_s / scale)
    return Match(
        track=found.track,
        placement=replace(found.placement, track_start_s=start_s - scale * begins_s),
        query_start_s=begins_s + low_s,
        query_end_s=begins_s + high_s,
        bit_error_rate=found.agreement.bit_error_rate,
        false_alarm_probability=min(1.0, windows * found.probability),
    )


def _matching_range(agreement: Agreement) -> tuple[int, int]:
    """First and last row of the stretch that agrees: the largest sum of what exceeds a share of the usual."""
    values = agreement.values
    if not values.size:
        return 0, 0
    smooth = np.convolve(values, np.ones(25) / 25, mode="same")
    usual = float(np.quantile(smooth, 0.8))
    running = np.concatenate([[0.0], np.cumsum(values - RANGE_SHARE * usual)])
    lowest = np.minimum.accumulate(running)
    last = int((running - lowest).argmax())
    first = int(running[: last + 1].argmin())
    return first, last


def _on_clock(match: Match, begins_s: float) -> tuple[int, Placement]:
    placement = match.placement
    start_s = placement.track_start_s + placement.time_scale * begins_s
    return match.track, replace(placement, track_start_s=start_s)


def _join(matches: Sequence[Match]) -> list[Match]:
    """Join matches of one track that continue each other."""
    joined: list[Match] = []
    for match in sorted(matches, key=lambda match: (match.track, match.query_start_s)):
        last = joined[-1] if joined else None
        if last is not None and last.track == match.track and _continues(last, match):
            joined[-1] = _unite(last, match)
        else:
            joined.append(match)
    return joined


def _continues(first: Match, second: Match) -> bool:
    if second.query_start_s > first.query_end_s + 1.0:
        return False
    here, there = first.placement, second.placement
    at = second.query_start_s
    expected = here.track_start_s + here.time_scale * at
    given = there.track_start_s + there.time_scale * at
    return abs(given - expected) < SAME_S and abs(here.time_scale / there.time_scale - 1) < SAME_SCALE


def _unite(first: Match, second: Match) -> Match:
    """Make one match of two: the line through both, the sum of their lengths' evidence."""
    here, there = first.placement, second.placement
    ends = (first.query_start_s, max(first.query_end_s, second.query_end_s))
    left = here.track_start_s + here.time_scale * ends[0]
    right = there.track_start_s + there.time_scale * ends[1]
    scale = (right - left) / max(ends[1] - ends[0], 1e-9)
    lengths = (first.query_end_s - first.query_start_s, second.query_end_s - second.query_start_s)
    share = lengths[0] / max(sum(lengths), 1e-9)
    return Match(
        track=first.track,
        placement=Placement(
            left - scale * ends[0],
            scale,
            share * here.pitch_semitones + (1 - share) * there.pitch_semitones,
        ),
        query_start_s=ends[0],
        query_end_s=ends[1],
        bit_error_rate=share * first.bit_error_rate + (1 - share) * second.bit_error_rate,
        false_alarm_probability=min(first.false_alarm_probability, second.false_alarm_probability),
    )
