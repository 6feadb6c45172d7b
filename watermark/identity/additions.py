"""Additions made exact and told together with the gaps: which of them are one change, and where it begins."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .excess import Span, largest_rise_db, mean_deviation_db, share_lowered
from .kinds import Gap
from .outcome import OVERLAID, REPLACED, Placement
from .raised import Raised
from .sketch import SketchQuery
from .sketch_profile import SketchProfile

DoubleArray = npt.NDArray[np.float64]

# Shares of cells that are lower than the track under which a gap is covered, over which replaced; between
# them what the words say stands.
COVERED_SHARE = 0.10
REPLACED_SHARE = 0.22
# A gap whose levels are what the track and the query's noise give together, within this, is no change: its
# words are lost in noise, or the sound is so steady that they mean nothing.
LEAST_DEVIATION_DB = 1.5
# What lies on top makes the loudest risen column of some row higher by this.
LEAST_RISE_DB = 1.5
# A gap told as replaced that fills less of a raised run than this is part of what lies on top.
INSIDE_SHARE = 0.7
# Additions of one kind with less between them are one: speech has pauses.
JOIN_S = 1.0
# Borders are sought so far around a raised run, by the step between means over this long.
SEARCH_S = 0.08
STEP_S = 0.12
# A row that holds so much of what the next one holds counts as filled.
FILLED_SHARE = 0.7
FULL_DB = 3.0
# The window of the spectrogram reaches so far over a border at which something loud begins.
BLUR_S = 0.025


def judge_gaps(
    gaps: tuple[Gap, ...], spans: tuple[Span, ...], query: SketchQuery
) -> tuple[list[Gap], list[tuple[float, float]]]:
    """Correct replaced and overlaid by the levels, and take out gaps that are damage.

    Returns the gaps that stay and the ranges, on the track's scale of time, that nothing can be said of.
    """
    profile = query.profile
    told, damaged = [], []
    for gap in gaps:
        span = _span_of(gap, spans)
        if gap.kind not in (REPLACED, OVERLAID) or span is None:
            told.append(gap)
            continue
        first, last = gap.track_start_s / profile.stored_row_s, gap.track_end_s / profile.stored_row_s
        unrisen = gap.kind == OVERLAID and largest_rise_db(span, first, last, profile) < LEAST_RISE_DB
        if unrisen or mean_deviation_db(span, first, last, profile) < LEAST_DEVIATION_DB:
            damaged.append((gap.start_s, gap.end_s))
            continue
        share = share_lowered(span, first, last, profile)
        kind = gap.kind
        if share < COVERED_SHARE and gap.shows:
            kind = OVERLAID
        elif share > REPLACED_SHARE:
            kind = REPLACED
        told.append(replace(gap, kind=kind))
    return told, damaged


def join_additions(gaps: list[Gap], additions: list[Gap]) -> list[Gap]:
    """Return the gaps together with what was added; what meets a gap widens or confirms it."""
    told = list(gaps)
    for addition in additions:
        meets = [gap for gap in told if _overlap(gap, addition) > 0 and gap.band == addition.band]
        others = [gap for gap in told if _overlap(gap, addition) > 0 and gap.band != addition.band]
        if addition.band != "audible" and others:
            continue
        if not meets:
            told.append(addition)
            continue
        if all(gap.kind == OVERLAID or _is_inside(gap, addition) for gap in meets):
            whole = addition
            for gap in meets:
                whole = _widen(gap, whole)
                told.remove(gap)
            told.append(whole)
    return _join_neighbours(told)


def add_apart(gaps: list[Gap], additions: list[Gap]) -> list[Gap]:
    """Return the gaps together with additions whose borders are rough, where nothing else is told."""
    apart = [one for one in additions if all(_overlap(gap, one) <= 0 for gap in gaps)]
    return _join_neighbours([*gaps, *apart])


def describe_raised(run: Raised, query: SketchQuery, warp: Placement) -> Gap:
    """Return a raised run as a gap, its borders sought in the query's own spectrogram where that holds it."""
    profile = query.profile
    row_s = profile.stored_row_s
    start_s = (run.span.first_row + run.first - _share_beyond(run, run.first, -1, profile)) * row_s
    end_s = (run.span.first_row + run.last + _share_beyond(run, run.last - 1, 1, profile)) * row_s
    if profile.first_middle <= run.column < profile.first_high:
        start_s = _border(run, query, warp, start_s, rising=True) + BLUR_S
        end_s = _border(run, query, warp, end_s, rising=False) - BLUR_S
    excess = run.span.excess_db[run.first : run.last, run.column]
    nats = float(np.nansum(np.minimum(excess, 12.0)))
    shift_s = run.span.shift_s
    trust = float(1 - np.exp(-max(nats, 0.0) / 8.0))
    return Gap(OVERLAID, start_s - shift_s, end_s - shift_s, start_s, end_s, trust, run.span.line, run.band)


def _share_beyond(run: Raised, edge: int, step: int, profile: SketchProfile) -> float:
    """How far the addition reaches over the start of the run's first row, or the end of its last, in rows.

    Told by how much was added in the border's row and the one outside, against the row further in: the
    median over the columns where that stands out. Negative where the border's own row is not filled.
    """
    span = run.span
    columns = np.array([run.column])
    if run.band == "audible":
        columns = np.arange(profile.first_middle, profile.first_high)
    inner = edge - step if run.first <= edge - step < run.last else edge
    risen = np.nan_to_num(span.excess_db[:, columns])
    columns = columns[np.maximum(risen[edge], risen[inner]) > FULL_DB]
    if not len(columns):
        return 0.0
    added = np.maximum(np.nan_to_num(span.found[:, columns] - span.expected[:, columns]), 1e-13)
    here = float(np.median(np.minimum(1.0, added[edge] / added[inner])))
    outside = edge + step
    if here > FILLED_SHARE and 0 <= outside < len(added):
        return float(np.median(np.minimum(1.0, added[outside] / np.maximum(added[edge], added[inner]))))
    return here - 1.0


def _border(run: Raised, query: SketchQuery, warp: Placement, near_s: float, *, rising: bool) -> float:
    """Track second near the given one where the raised column steps up (or down) most in the query."""
    profile = query.profile
    split = np.linspace(0, profile.spectrum_bands, profile.middle_columns + 1)
    shift = warp.pitch_semitones * profile.bands_per_octave / 12
    low, high = split[run.column - profile.first_middle : run.column - profile.first_middle + 2] + shift
    bands = slice(max(0, round(low)), max(1, round(high)))
    reach = SEARCH_S + STEP_S
    times = near_s + np.arange(-reach, reach + 1e-9, profile.spectrum_hop_s)
    frames = (times - run.span.shift_s) / (warp.time_scale * profile.spectrum_hop_s)
    frames = np.clip(np.rint(frames), 0, len(query.power) - 1).astype(np.int64)
    rows = np.clip(times / profile.stored_row_s, 0, None).astype(np.int64) - run.span.first_row
    expected = run.span.expected[np.clip(rows, 0, len(run.span.expected) - 1), run.column]
    over = np.log(np.maximum(query.power[frames][:, bands].mean(axis=1) / expected, 1.0))
    width = round(STEP_S / profile.spectrum_hop_s)
    running = np.concatenate(([0.0], np.cumsum(np.minimum(over, 3.0))))
    places = np.arange(width, len(over) - width + 1)
    steps = (running[places + width] - running[places]) - (running[places] - running[places - width])
    place = int(places[(steps if rising else -steps).argmax()])
    return float(times[min(place, len(times) - 1)] - profile.spectrum_hop_s / 2)


def _widen(gap: Gap, addition: Gap) -> Gap:
    """One change out of two that overlap: neither tells too much, either may miss a weak beginning or end."""
    start_s, end_s = min(gap.start_s, addition.start_s), max(gap.end_s, addition.end_s)
    shift_s = gap.track_start_s - gap.start_s
    return Gap(
        OVERLAID,
        start_s,
        end_s,
        start_s + shift_s,
        end_s + shift_s,
        max(gap.confidence, addition.confidence),
        gap.line,
        gap.band,
    )


def _join_neighbours(gaps: list[Gap]) -> list[Gap]:
    joined: list[Gap] = []
    for gap in sorted(gaps, key=lambda gap: (gap.band, gap.start_s, gap.track_start_s)):
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.kind == gap.kind == OVERLAID
            and last.band == gap.band
            and gap.start_s - last.end_s < JOIN_S
            and abs((gap.track_start_s - gap.start_s) - (last.track_start_s - last.start_s)) < JOIN_S / 4
        ):
            joined[-1] = replace(
                last,
                end_s=max(last.end_s, gap.end_s),
                track_end_s=max(last.track_end_s, gap.track_end_s),
                confidence=max(last.confidence, gap.confidence),
            )
        else:
            joined.append(gap)
    return sorted(joined, key=lambda gap: (gap.start_s, gap.track_start_s, gap.band))


def _span_of(gap: Gap, spans: tuple[Span, ...]) -> Span | None:
    """The span whose line the gap lies on, if query and track are of one length in it."""
    if abs((gap.end_s - gap.start_s) - (gap.track_end_s - gap.track_start_s)) > 0.05:
        return None
    shift_s = gap.track_start_s - gap.start_s
    near = [span for span in spans if abs(span.shift_s - shift_s) < 0.06]
    return near[0] if near else None


def _is_inside(gap: Gap, addition: Gap) -> bool:
    """Whether a gap told as replaced is but the loudest part of an addition on its own line."""
    same_line = abs((gap.track_start_s - gap.start_s) - (addition.track_start_s - addition.start_s)) < 0.1
    length_s, whole_s = gap.end_s - gap.start_s, addition.end_s - addition.start_s
    return gap.kind == REPLACED and same_line and length_s < INSIDE_SHARE * whole_s


def _overlap(gap: Gap, other: Gap) -> float:
    return min(gap.end_s, other.end_s) - max(gap.start_s, other.start_s)
