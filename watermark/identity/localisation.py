"""Localisation: a query held against one track's sketch, and every range told that was changed.

1. Speed and pitch: from hints, or found by trying.  2. Lines: where pieces of the query lie in the track.
3. Evidence of each moment for each line.  4. The best path over lines.  5. What no line explains is looked
for again in shorter pieces.  6. Gaps between intact pieces are told by kind; additions that leave the words
alone are found by their levels.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .additions import add_apart, describe_raised, join_additions, judge_gaps
from .certainty import keep_sure, longest_line_s, piece_errors, share_told
from .channel import find_channel
from .contradictions import find_contradictions
from .evidence import Evidence, gather_evidence
from .excess import measure_excess
from .kinds import Gap, read_gaps
from .lines import MAX_LINES, choose_lines, search_unexplained, settle_warp
from .moves import recognise_moves
from .outcome import OVERLAID, REPLACED, Change, Comparison, IntactRange, Placement, Sketch
from .path import find_path
from .pieces import Piece, choose_backbone, collect_pieces, line_placement
from .raised import find_raised
from .sketch import SketchQuery
from .tones import find_tones
from .unheard import find_unheard

# A query of less than this, or with less of it audible, is not judged.
LEAST_S = 1.0
# Silence of this length is told as not assessable.
LEAST_SILENCE_S = 0.4
# Bit error rate of the intact part above which nothing is told.
MOST_ERRORS = 0.30
# Noise is looked for when so much of the query lies on one line. Where it is known, so many of all signs must
# be left that it cannot have turned.
LEAST_LINE_SHARE = 0.25
LEAST_TOLD_SHARE = 0.05
# A change is not told where so much of it lies in ranges whose mixing is doubtful.
DOUBTFUL_SHARE = 0.9
# Over this the recording agrees no better than another of the same tempo and instruments.
SIBLING_ERRORS = 0.32


def compare(query: SketchQuery, track: Sketch, hints: Sequence[Placement] = ()) -> Comparison:
    """Tell which ranges of a query are a track's, and what was changed.

    Parameters
    ----------
    query : SketchQuery
    track : Sketch
        As registered.
    hints : placements that a search found, best first
        The first one's speed and pitch are taken as they are, near enough; without hints they are looked for.

    Raises
    ------
    ValueError
        The sketch is of another profile than the query.
    """
    if track.profile_name != query.profile.name:
        raise ValueError(f"expected a sketch of {query.profile.name!r}, got {track.profile_name!r}")
    if query.seconds < LEAST_S:
        return _refuse(f"the recording is shorter than {LEAST_S:g} s")
    settled = settle_warp(query, track, hints)
    if settled is None:
        return _refuse("no stretch of the recording agrees with the track", agrees=False)
    warp, peaks = settled
    lines = choose_lines(query, peaks, hints, warp)
    evidence = gather_evidence(query, track, lines)
    runs = find_path(evidence)
    more = search_unexplained(query, track, warp, runs, lines)
    if more:
        lines = (*lines, *more)[: 2 * MAX_LINES]
        evidence = gather_evidence(query, track, lines)
        runs = find_path(evidence)
    pieces = collect_pieces(evidence, runs, query.profile.word_s)
    backbone = [pieces[place] for place in choose_backbone(pieces)]
    channel = None
    if longest_line_s(backbone) >= LEAST_LINE_SHARE * query.seconds * warp.time_scale:
        channel = find_channel(query, track, warp, backbone)
    if channel is not None:
        query = replace(query, noise=channel.band_noise)
        evidence = gather_evidence(query, track, lines, channel)
        pieces = collect_pieces(evidence, find_path(evidence), query.profile.word_s)
    pieces = keep_sure(query, track, evidence, pieces)
    backbone = [pieces[place] for place in choose_backbone(pieces)]
    if not backbone:
        return _refuse("no stretch of the recording agrees with the track well enough", agrees=False)
    scale = warp.time_scale
    intact = tuple(_intact_range(query, track, evidence, piece, scale) for piece in backbone)
    seconds = np.array([one.query_end_s - one.query_start_s for one in intact])
    rate = float(np.average([one.bit_error_rate for one in intact], weights=seconds))
    left = share_told(query, track, evidence, backbone)
    if left < LEAST_TOLD_SHARE:
        return _refuse(f"too damaged to judge: noise leaves {left:.0%} of the bits", rate)
    if rate > MOST_ERRORS:
        reason = f"too damaged to judge: {rate:.0%} of the bits of what agrees best are wrong"
        return _refuse(reason, rate, agrees=rate <= SIBLING_ERRORS)
    track_s = len(track.words) * query.profile.word_s
    gaps = read_gaps(evidence, pieces, backbone, query.seconds * scale, track_s)
    spans = measure_excess(query, track, warp, backbone)
    told, damaged = judge_gaps(gaps, spans, query)
    told = recognise_moves(told, query, track, warp, evidence.typical)
    raised = find_raised(spans, query.profile) + find_unheard(spans, query.profile)
    additions = [describe_raised(run, query, warp) for run in raised]
    additions += find_tones(query, spans, warp)
    told = add_apart(join_additions(told, additions), find_contradictions(query, track, evidence, backbone))
    told, doubtful = _leave_doubtful(told, query, scale)
    changes = tuple(_change(gap, scale) for gap in told)
    silent = _silent_ranges(evidence, backbone, query.profile.word_s)
    unassessable = _on_query([*damaged, *silent, *doubtful], query, scale)
    return Comparison(True, "", intact, changes, unassessable, rate)


def _refuse(reason: str, rate: float = 1.0, *, agrees: bool = True) -> Comparison:
    return Comparison(False, reason, (), (), (), rate, agrees)


def _intact_range(
    query: SketchQuery, track: Sketch, evidence: Evidence, piece: Piece, scale: float
) -> IntactRange:
    placement = line_placement(evidence.lines[piece.line], piece)
    rate = piece_errors(query, track, evidence, piece)
    start_s, end_s = max(0.0, float(piece.start_s / scale)), min(query.seconds, float(piece.end_s / scale))
    return IntactRange(start_s, end_s, placement, rate)


def _silent_ranges(evidence: Evidence, intact: list[Piece], word_s: float) -> list[tuple[float, float]]:
    """Stretches of the intact pieces in which query or track are too quiet for words to mean anything."""
    ranges = []
    for piece in intact:
        quiet = ~np.isfinite(evidence.agreement[piece.line, piece.first : piece.last])
        edges = np.flatnonzero(np.diff(np.concatenate(([0], quiet.astype(np.int8), [0]))))
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            if (last - first) * word_s >= LEAST_SILENCE_S:
                ranges.append((piece.start_s + int(first) * word_s, piece.start_s + int(last) * word_s))
    return ranges


def _leave_doubtful(
    gaps: list[Gap], query: SketchQuery, scale: float
) -> tuple[list[Gap], list[tuple[float, float]]]:
    """Take out gaps that lie where the track's channels may have been mixed otherwise than the query's."""
    told: list[Gap] = []
    doubtful = []
    for gap in gaps:
        first_s, last_s = gap.start_s / scale, gap.end_s / scale
        common = sum(max(0.0, min(b, last_s) - max(a, first_s)) for a, b in query.doubtful)
        if gap.kind in (REPLACED, OVERLAID) and common > DOUBTFUL_SHARE * (last_s - first_s):
            doubtful.append((gap.start_s, gap.end_s))
        else:
            told.append(gap)
    return told, doubtful


def _on_query(
    ranges: list[tuple[float, float]], query: SketchQuery, scale: float
) -> tuple[tuple[float, float], ...]:
    """Return ranges on the track's scale as seconds of the query, in order."""
    inside = ((max(0.0, a / scale), min(query.seconds, b / scale)) for a, b in ranges)
    return tuple(sorted((float(a), float(b)) for a, b in inside))


def _change(gap: Gap, scale: float) -> Change:
    return Change(
        gap.kind,
        float(gap.start_s / scale),
        float(gap.end_s / scale),
        float(gap.track_start_s),
        float(gap.track_end_s),
        gap.confidence,
        gap.band,
    )
