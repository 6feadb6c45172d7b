"""Lines: the placements on which pieces of a query lie in a track, at the exact speed and pitch."""

from collections.abc import Sequence

import numpy as np

from .agreement import soft_agreement
from .outcome import Placement, Sketch
from .path import FOREIGN, Run
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
from .sketch import IDENTITY, SketchQuery, warp_query

# Lines that are followed at most.
MAX_LINES = 32
# Lines that two speeds are compared by.
LIKELY_LINES = 4
# Pieces that are looked for in what no line explains, in seconds, and the agreement they must reach.
SHORT_PIECES_S = (2.0, 0.8, 0.4)
SHORT_AGREEMENT = {2.0: 0.45, 0.8: 0.5, 0.4: 0.6}


def settle_warp(
    query: SketchQuery, track: Sketch, hints: Sequence[Placement]
) -> tuple[Placement, list[Peak]] | None:
    """Return exact speed and pitch of a query, and where its pieces lie in the track; None where nothing
    agrees.

    They come from the first of the hints, or are looked for. What is found at a speed of its own must agree
    better, over the whole query, than the query as it is: pieces of a noisy query that lie between two words
    of the track agree better at a wrong speed, which passes through the right place.
    """
    found = hints[0] if hints else find_warp(query, track)
    if found is None:
        return None
    warp, peaks = _settle(query, track, found)
    if hints or (found.time_scale, found.pitch_semitones) == (1.0, 0.0):
        return warp, peaks
    plain, plain_agreement = _best_line(query, track, IDENTITY, _piece_peaks(query, track, IDENTITY))
    if plain_agreement < _best_line(query, track, warp, peaks)[1]:
        return warp, peaks
    return _settle(query, track, plain)


def _best_line(
    query: SketchQuery, track: Sketch, warp: Placement, peaks: list[Peak]
) -> tuple[Placement, float]:
    """Return the line, of the likeliest, on which the whole query agrees best, and how well."""
    lines = choose_lines(query, peaks, (), warp)[:LIKELY_LINES]
    agreements = [soft_agreement(query, track, line) for line in lines]
    best = int(np.argmax(agreements))
    return lines[best], agreements[best]


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


def choose_lines(
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


def search_unexplained(
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
