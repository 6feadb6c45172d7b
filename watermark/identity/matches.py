"""Matches: what windows of a query found, as ranges of the whole query, joined where they continue."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .decision import Agreement
from .outcome import Match, Placement

# Placements of one track this close together, and scales, are the same.
SAME_S = 0.4
SAME_SCALE = 0.02
# Pieces of a match that are no further apart are one.
PAUSE_S = 1.0
# A range begins and ends where agreement falls under this share of what it is inside.
RANGE_SHARE = 0.4
# Words over which agreement is smoothed to say what is usual: 1 s.
SMOOTH_WORDS = 25


def find_range(agreement: Agreement) -> tuple[int, int]:
    """First and last row of the stretch that agrees: the largest sum of what exceeds a share of the usual."""
    values = agreement.values
    if not values.size:
        return 0, 0
    smooth = np.convolve(values, np.ones(SMOOTH_WORDS) / SMOOTH_WORDS, mode="same")
    usual = float(np.quantile(smooth, 0.8))
    running = np.concatenate([[0.0], np.cumsum(values - RANGE_SHARE * usual)])
    lowest = np.minimum.accumulate(running)
    last = int((running - lowest).argmax())
    first = int(running[: last + 1].argmin())
    return first, last


def place_in_window(placement: Placement, begins_s: float) -> Placement:
    """Return a placement as it is on the clock of a window that begins at that second of the query."""
    return replace(placement, track_start_s=placement.track_start_s + placement.time_scale * begins_s)


def join_matches(matches: Sequence[Match]) -> list[Match]:
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
    if second.query_start_s > first.query_end_s + PAUSE_S:
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
