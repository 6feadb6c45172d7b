"""What lies between the intact pieces of a query, told by kind: the reading of the gaps.

Between two pieces of the backbone a stretch of the query, a stretch of the track, or both are left over. Both
and of one length: replaced or, where the track still shows through, overlaid. Only the query's: inserted;
only the track's: removed. A piece off the backbone was moved (reordered) unless its stretch of the track is
still in place too: then it is a copy, and counts as foreign sound.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .evidence import Evidence
from .outcome import INSERTED, OVERLAID, REMOVED, REORDERED, REPLACED
from .path import CONTRADICTION
from .pieces import SAME_LINE_S, Piece

# A left-over stretch shorter than this is the blur of the borders: share of a longer one, and seconds.
BLUR_S = 0.16
BLUR_SHARE = 0.2
# The same around moved pieces, whose borders blur on both sides.
MOVED_BLUR_S = 0.5
# Least length of a gap within one line, and at the ends of the query, where windows are half empty.
LEAST_GAP_S = 0.12
LEAST_END_S = 0.4
# A gap whose mean agreement lies this many deviations (of chance, a moment's being CHANCE) over zero, and
# over the share given of the typical one, still holds the track.
CHANCE = 0.24
OVERLAY_DEVIATIONS = 2.0
OVERLAY_SHARE = 0.12
SHOWS = 0.06
# How much further out the borders of pieces lie than they are told: window and lag reach over a border, so
# a gap seems wider than it is.
REACH_S = -0.05
# The same at silence, which leaves what sounds in the window beside it as it is.
REACH_MUTED_S = 0.01
# Nats of evidence at which a change is given a confidence of 1 - 1/e.
CONFIDENCE_NATS = 8.0


@dataclass(frozen=True)
class Gap:
    """A change on the track's scale of time, as `outcome.Change`, before it is put on the query's."""

    kind: str
    start_s: float
    end_s: float
    track_start_s: float
    track_end_s: float
    confidence: float
    line: int
    band: str = "audible"
    # Whether the track shows through, if only a little more than by chance.
    shows: bool = True


def read_gaps(
    evidence: Evidence, pieces: tuple[Piece, ...], intact: list[Piece], query_s: float, track_s: float
) -> tuple[Gap, ...]:
    """Tell the kinds of all gaps between the pieces that are `intact`, in order.

    `query_s` is the query's length on the track's scale, `track_s` the track's.
    """
    strays = [piece for piece in pieces if piece not in intact]
    moved = [piece for piece in strays if not _covered(piece, intact)]
    gaps = []
    if intact:
        gaps += _read_head(evidence, intact[0], moved)
        for before, after in pairwise(intact):
            gaps += _read_between(evidence, before, after, moved)
        gaps += _read_tail(evidence, intact[-1], moved, query_s, track_s)
    return tuple(sorted(gaps, key=lambda gap: (gap.start_s, gap.track_start_s)))


def _covered(piece: Piece, intact: list[Piece]) -> bool:
    """Whether most of a piece's stretch of the track is in place besides."""
    common = sum(
        max(0.0, min(piece.track_end_s, other.track_end_s) - max(piece.track_start_s, other.track_start_s))
        for other in intact
    )
    return common > 0.5 * piece.seconds


def _read_between(evidence: Evidence, before: Piece, after: Piece, moved: list[Piece]) -> list[Gap]:
    start_s, end_s = before.end_s - REACH_S, after.start_s + REACH_S
    inside = [piece for piece in moved if before.last <= piece.first and piece.last <= after.first]
    jump_s = after.shift_s - before.shift_s
    if abs(jump_s) < SAME_LINE_S and not inside:
        if after.start_s - before.end_s < LEAST_GAP_S:
            return []
        kind = _over_or_in_place(evidence, before.line, before.last, after.first)
        shift_s = (before.shift_s + after.shift_s) / 2
        if evidence.muted[before.line, before.last : after.first].mean() > 0.3:
            start_s, end_s = before.end_s - REACH_MUTED_S, after.start_s + REACH_MUTED_S
        nats = _nats_against(evidence, before.line, before.last, after.first)
        told = Gap(kind, start_s, end_s, start_s + shift_s, end_s + shift_s, _trust(nats), before.line)
        return [replace(told, shows=_shows(evidence, before.line, before.last, after.first))]
    nats = _jump_nats(evidence, before, after)
    gaps = [_reordered(evidence, piece) for piece in inside]
    sources = [piece for piece in moved if _within(piece, before.track_end_s, after.track_start_s)]
    left_query = (after.start_s - before.end_s) - sum(piece.seconds for piece in inside)
    left_track = left_query + jump_s + sum(piece.seconds for piece in inside)
    left_track -= sum(piece.seconds for piece in sources)
    blur = max(BLUR_S, BLUR_SHARE * max(left_query, left_track))
    if inside or sources:
        blur = max(blur, MOVED_BLUR_S)
    middle_s = (before.end_s + after.start_s) / 2
    if left_query < blur and left_track < blur:
        return gaps
    if left_track < blur:
        length_s = left_query if inside else -jump_s
        start_s, end_s = middle_s - length_s / 2, middle_s + length_s / 2
        at_s = middle_s + (before.shift_s + after.shift_s) / 2
        return [*gaps, Gap(INSERTED, start_s, end_s, at_s, at_s, _trust(nats), before.line)]
    if left_query < blur:
        at_s = middle_s + (before.shift_s + after.shift_s) / 2
        length_s = left_track if sources else jump_s
        track_start_s, track_end_s = at_s - length_s / 2, at_s + length_s / 2
        return [
            *gaps,
            Gap(REMOVED, middle_s, middle_s, track_start_s, track_end_s, _trust(nats), before.line),
        ]
    track_start_s, track_end_s = start_s + before.shift_s, end_s + after.shift_s
    return [*gaps, Gap(REPLACED, start_s, end_s, track_start_s, track_end_s, _trust(nats), before.line)]


def _reordered(evidence: Evidence, piece: Piece) -> Gap:
    start_s, end_s = piece.start_s + REACH_S, piece.end_s - REACH_S
    nats = float(np.nansum(evidence.agreement[piece.line, piece.first : piece.last])) * 3
    return Gap(
        REORDERED, start_s, end_s, start_s + piece.shift_s, end_s + piece.shift_s, _trust(nats), piece.line
    )


def _read_head(evidence: Evidence, first: Piece, moved: list[Piece]) -> list[Gap]:
    inside = [piece for piece in moved if piece.last <= first.first]
    gaps = [_reordered(evidence, piece) for piece in inside]
    left_s = first.start_s - sum(piece.seconds for piece in inside)
    if left_s < LEAST_END_S or inside:
        return gaps
    end_s = first.start_s + REACH_S
    track_end_s = end_s + first.shift_s
    if first.shift_s < -BLUR_S:
        at_s = max(0.0, track_end_s - end_s)
        nats = _nats_against(evidence, -1, 0, first.first)
        if track_end_s < BLUR_S + BLUR_SHARE * end_s:
            return [Gap(INSERTED, 0.0, end_s, 0.0, 0.0, _trust(nats), first.line)]
        return [Gap(REPLACED, 0.0, end_s, at_s, track_end_s, _trust(nats), first.line)]
    kind = _over_or_in_place(evidence, first.line, 0, first.first)
    nats = _nats_against(evidence, first.line, 0, first.first)
    return [Gap(kind, 0.0, end_s, first.shift_s, track_end_s, _trust(nats), first.line)]


def _read_tail(
    evidence: Evidence, last: Piece, moved: list[Piece], query_s: float, track_s: float
) -> list[Gap]:
    inside = [piece for piece in moved if piece.first >= last.last]
    gaps = [_reordered(evidence, piece) for piece in inside]
    left_s = query_s - last.end_s - sum(piece.seconds for piece in inside)
    if left_s < LEAST_END_S or inside:
        return gaps
    start_s = last.end_s - REACH_S
    track_start_s = start_s + last.shift_s
    track_end_s = query_s + last.shift_s
    moments = evidence.agreement.shape[1]
    if track_end_s > track_s + BLUR_S:
        nats = _nats_against(evidence, -1, last.last, moments)
        if track_s - track_start_s < BLUR_S + BLUR_SHARE * left_s:
            return [Gap(INSERTED, start_s, query_s, track_s, track_s, _trust(nats), last.line)]
        return [Gap(REPLACED, start_s, query_s, track_start_s, track_s, _trust(nats), last.line)]
    kind = _over_or_in_place(evidence, last.line, last.last, moments)
    nats = _nats_against(evidence, last.line, last.last, moments)
    return [Gap(kind, start_s, query_s, track_start_s, track_end_s, _trust(nats), last.line)]


def _over_or_in_place(evidence: Evidence, line: int, first: int, last: int) -> str:
    """Whether the track still shows between two moments, or was silent there itself."""
    if evidence.added[line, first:last].mean() > 0.5:
        return OVERLAID
    values = evidence.agreement[line, first:last]
    known = values[np.isfinite(values)]
    if not len(known) or evidence.muted[line, first:last].mean() > 0.3:
        return REPLACED
    chance = CHANCE / np.sqrt(len(known))
    least = OVERLAY_SHARE * evidence.typical + OVERLAY_DEVIATIONS * chance
    return OVERLAID if known.mean() > least else REPLACED


def _shows(evidence: Evidence, line: int, first: int, last: int) -> bool:
    """Whether the moments agree with the line at all, or it is silent there."""
    if evidence.added[line, first:last].mean() > 0.5:
        return True
    values = evidence.agreement[line, first:last]
    known = values[np.isfinite(values)]
    return len(known) > 0 and float(known.mean()) > SHOWS + CHANCE / np.sqrt(len(known))


def _nats_against(evidence: Evidence, line: int, first: int, last: int) -> float:
    """How much the moments speak against lying intact on the line."""
    if line < 0:
        return 0.5 * (last - first)
    values = evidence.agreement[line, first:last]
    wrong = evidence.muted[line, first:last] | evidence.added[line, first:last]
    against = np.where(wrong, -CONTRADICTION, np.nan_to_num(evidence.typical - values, nan=0.0) * 3)
    return float(against.sum())


def _jump_nats(evidence: Evidence, before: Piece, after: Piece) -> float:
    """How much better the piece after a jump lies on its own line than on the one before, over 2 s."""
    last = min(after.last, after.first + 50)
    own = np.nan_to_num(evidence.agreement[after.line, after.first : last])
    other = np.nan_to_num(evidence.agreement[before.line, after.first : last])
    return float((own - other).sum() * 3)


def _trust(nats: float) -> float:
    return float(1 - np.exp(-max(nats, 0.0) / CONFIDENCE_NATS))


def _within(piece: Piece, start_s: float, end_s: float) -> bool:
    middle_s = (piece.track_start_s + piece.track_end_s) / 2
    return start_s < middle_s < end_s
