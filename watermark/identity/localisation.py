"""Localisation: a query held against one track's sketch, and every range told that was changed.

1. Speed and pitch: from hints, or found by trying.  2. Lines: where pieces of the query lie in the track.
3. Evidence of each moment for each line.  4. The best path over lines.  5. What no line explains is looked
for again in shorter pieces.  6. Gaps between intact pieces are told by kind; additions that leave the words
alone are found by their levels.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .additions import describe_raised, join_additions, judge_gaps
from .agreement import bit_errors
from .channel import find_channel
from .evidence import Evidence, gather_evidence
from .excess import measure_excess
from .kinds import Gap, read_gaps
from .moves import recognise_moves
from .outcome import OVERLAID, REPLACED, Change, Comparison, IntactRange, Placement, Sketch
from .path import FOREIGN, Run, find_path
from .pieces import Piece, choose_backbone, collect_pieces, line_placement
from .proposals import (
    PIECE_S,
    PIECE_STEP_S,
    Peak,
    TrackSpectrum,
    clip_differences,
    find_peaks,
    find_warp,
    measure_drift,
    sharpen_warp,
)
from .raised import find_raised
from .sketch import SketchQuery, warp_query
from .tones import find_tones
from .unheard import find_unheard

# Lines that are followed at most.
MAX_LINES = 32
# Pieces that are looked for in what no line explains, in seconds, and the agreement they must reach.
SHORT_PIECES_S = (2.0, 0.8, 0.4)
SHORT_AGREEMENT = {2.0: 0.45, 0.8: 0.5, 0.4: 0.6}
# A query of less than this, or with less of it audible, is not judged.
LEAST_S = 1.0
# Silence of this length is told as not assessable.
LEAST_SILENCE_S = 0.4
# Bit error rate of the intact part above which nothing is told.
MOST_ERRORS = 0.30
# The same for the best piece of a line, by its length in seconds: unrelated music of few notes reaches 0.27
# over a second somewhere, and 0.33 over many (tests/test_identity_localisation.py).
MOST_ERRORS_OF_PIECE = ((4.0, 0.36), (2.0, 0.27), (1.0, 0.22), (0.0, 0.18))
# A change is not told where so much of it lies in ranges whose mixing is doubtful.
DOUBTFUL_SHARE = 0.9
# Noise is looked for when so much of the query lies on one line. Where it is known, and the signs that it may
# have turned are left out, those left are wrong so much less often; and so many must be left, of all.
LEAST_LINE_SHARE = 0.25
KNOWN_NOISE_SHARE = 0.6
LEAST_TOLD_SHARE = 0.05
# Together they must last this long, or for this share of a short query.
LEAST_SURE_S = 2.0
LEAST_SURE_SHARE = 0.4
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
    warp = hints[0] if hints else find_warp(query, track)
    if warp is None:
        return _refuse("no stretch of the recording agrees with the track", agrees=False)
    warp, peaks = _settle(query, track, warp)
    lines = _choose_lines(query, peaks, hints, warp)
    evidence = gather_evidence(query, track, lines)
    runs = find_path(evidence)
    more = _search_unexplained(query, track, warp, runs, lines)
    if more:
        lines = (*lines, *more)[: 2 * MAX_LINES]
        evidence = gather_evidence(query, track, lines)
        runs = find_path(evidence)
    pieces = collect_pieces(evidence, runs, query.profile.word_s)
    backbone = [pieces[place] for place in choose_backbone(pieces)]
    channel = None
    if _longest_line_s(backbone) >= LEAST_LINE_SHARE * query.seconds * warp.time_scale:
        channel = find_channel(query, track, warp, backbone)
    if channel is not None:
        query = replace(query, noise=channel.band_noise)
        evidence = gather_evidence(query, track, lines, channel)
        pieces = collect_pieces(evidence, find_path(evidence), query.profile.word_s)
    pieces = _keep_sure(query, track, evidence, pieces)
    backbone = [pieces[place] for place in choose_backbone(pieces)]
    if not backbone:
        return _refuse("no stretch of the recording agrees with the track well enough", agrees=False)
    scale = warp.time_scale
    intact = tuple(_intact_range(query, track, evidence, piece, scale) for piece in backbone)
    seconds = np.array([one.query_end_s - one.query_start_s for one in intact])
    rate = float(np.average([one.bit_error_rate for one in intact], weights=seconds))
    told_share = _share_told(query, track, evidence, backbone)
    if told_share < LEAST_TOLD_SHARE:
        return _refuse(f"too damaged to judge: noise leaves {told_share:.0%} of the bits", rate)
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
    told, doubtful = _leave_doubtful(join_additions(told, additions), query, scale)
    changes = tuple(_change(gap, scale) for gap in told)
    silent = _silent_ranges(evidence, backbone, query.profile.word_s)
    unassessable = _on_query([*damaged, *silent, *doubtful], query, scale)
    return Comparison(True, "", intact, changes, unassessable, rate)


def _refuse(reason: str, rate: float = 1.0, *, agrees: bool = True) -> Comparison:
    return Comparison(False, reason, (), (), (), rate, agrees)


def _settle(query: SketchQuery, track: Sketch, warp: Placement) -> tuple[Placement, list[Peak]]:
    """Make speed and pitch exact, and find where pieces of the query lie."""
    warp = sharpen_warp(query, track, warp)
    peaks = _piece_peaks(query, track, warp)
    for _ in range(2):
        drift = measure_drift(peaks)
        if abs(drift) * query.seconds < 0.2 * query.profile.word_s:
            break
        warp = Placement(warp.track_start_s, warp.time_scale * (1 + drift), warp.pitch_semitones)
        peaks = _piece_peaks(query, track, warp)
    return warp, peaks


def _piece_peaks(query: SketchQuery, track: Sketch, warp: Placement) -> list[Peak]:
    word_s = query.profile.word_s
    frames = warp_query(query, Placement(0.0, warp.time_scale, warp.pitch_semitones))
    differences = clip_differences(frames)
    length = min(round(PIECE_S / word_s), max(1, len(differences)))
    spectrum = TrackSpectrum(track, query.profile.bits, length)
    starts = np.arange(0, max(1, len(differences) - length + 1), round(PIECE_STEP_S / word_s))
    return find_peaks(differences, spectrum, starts.astype(np.int64))


def _choose_lines(
    query: SketchQuery, peaks: list[Peak], hints: Sequence[Placement], warp: Placement
) -> tuple[Placement, ...]:
    """Return the lines that most pieces lie on, at shifts finer than a word."""
    groups: list[list[Peak]] = []
    for peak in sorted(peaks, key=lambda peak: -peak.agreement):
        near = [group for group in groups if abs(group[0].shift - peak.shift) < 1.0]
        if near:
            near[0].append(peak)
        else:
            groups.append([peak])
    groups.sort(key=lambda group: -sum(peak.agreement for peak in group))
    word_s = query.profile.word_s
    shifts = [
        float(np.average([p.shift for p in group], weights=[p.agreement**4 for p in group])) * word_s
        for group in groups
    ]
    for start_s in (warp.track_start_s, *(hint.track_start_s for hint in hints)):
        if all(abs(start_s - shift) > word_s for shift in shifts):
            shifts.insert(0, start_s)
    return tuple(Placement(shift, warp.time_scale, warp.pitch_semitones) for shift in shifts[:MAX_LINES])


def _search_unexplained(
    query: SketchQuery, track: Sketch, warp: Placement, runs: tuple[Run, ...], lines: tuple[Placement, ...]
) -> tuple[Placement, ...]:
    """Look for what lies on no line: new lines."""
    word_s = query.profile.word_s
    frames = warp_query(query, Placement(0.0, warp.time_scale, warp.pitch_semitones))
    differences = clip_differences(frames)
    found: list[Peak] = []
    for seconds in SHORT_PIECES_S:
        length = round(seconds / word_s)
        starts: list[int] = []
        for run in runs:
            if run.state == FOREIGN and run.last - run.first >= length + 2:
                starts += range(run.first + 1, run.last - length, max(1, length // 2))
        if starts:
            spectrum = TrackSpectrum(track, query.profile.bits, length)
            peaks = find_peaks(differences, spectrum, np.array(starts, np.int64), peaks=2)
            found += [peak for peak in peaks if peak.agreement > SHORT_AGREEMENT[seconds]]
    more: list[Placement] = []
    for peak in sorted(found, key=lambda peak: -peak.agreement):
        shift_s = peak.shift * word_s
        if all(abs(shift_s - line.track_start_s) > 0.5 * word_s for line in (*lines, *more)):
            more.append(Placement(shift_s, warp.time_scale, warp.pitch_semitones))
    return tuple(more[:MAX_LINES])


def _keep_sure(
    query: SketchQuery, track: Sketch, evidence: Evidence, pieces: tuple[Piece, ...]
) -> tuple[Piece, ...]:
    """Return the pieces of lines that agree beyond what music of one kind agrees by chance, of few notes in
    one tempo above all: the shorter all its pieces on a line are, the better the best must agree.
    """
    sure: set[int] = set()
    sure_s = 0.0
    strictness = 1.0 if query.noise is None else KNOWN_NOISE_SHARE
    for piece in pieces:
        most = next(rate for seconds, rate in MOST_ERRORS_OF_PIECE if piece.seconds >= seconds)
        if _piece_errors(query, track, evidence, piece) <= most * strictness:
            sure.add(piece.line)
            sure_s += piece.seconds
    if sure_s < min(LEAST_SURE_S, LEAST_SURE_SHARE * query.seconds):
        return ()
    return tuple(piece for piece in pieces if piece.line in sure)


def _piece_errors(query: SketchQuery, track: Sketch, evidence: Evidence, piece: Piece) -> float:
    """Bit error rate of a piece; 1 where nothing of it is audible."""
    errors = bit_errors(query, track, line_placement(evidence.lines[piece.line], piece))
    first = round(piece.track_start_s / query.profile.word_s) - errors.first_word
    last = round(piece.track_end_s / query.profile.word_s) - errors.first_word
    part = slice(max(0, first), max(0, last))
    bits = int(errors.bits[part].sum())
    return float(errors.errors[part].sum()) / bits if bits else 1.0


def _longest_line_s(pieces: list[Piece]) -> float:
    """Seconds of the line that most of the pieces lie on."""
    seconds: dict[int, float] = {}
    for piece in pieces:
        seconds[piece.line] = seconds.get(piece.line, 0.0) + piece.seconds
    return max(seconds.values(), default=0.0)


def _share_told(query: SketchQuery, track: Sketch, evidence: Evidence, pieces: list[Piece]) -> float:
    """Share of the bits of what is loud enough that noise leaves to be compared; 1 without known noise."""
    if query.noise is None:
        return 1.0
    told = audible = 0
    for piece in pieces:
        errors = bit_errors(query, track, line_placement(evidence.lines[piece.line], piece))
        told += int(errors.bits.sum())
        audible += query.profile.bits * len(errors.bits)
    return told / max(audible, 1)


def _intact_range(
    query: SketchQuery, track: Sketch, evidence: Evidence, piece: Piece, scale: float
) -> IntactRange:
    placement = line_placement(evidence.lines[piece.line], piece)
    rate = _piece_errors(query, track, evidence, piece)
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
