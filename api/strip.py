"""The picture of a report: the waveform, and under it, on the same time line, what was found where.

    clip             the waveform; behind it, tinted, each range that was changed
    changes          intact, replaced, inserted, removed, reordered, laid over
    in the track     which part of the track the sound was found to be
    mark             where the mark was looked for: present, absent

Everything is drawn from the report's predicate alone, so that a picture shows what was signed, and nothing
else; only the waveform is of the file itself, and is left out where that is not at hand.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from watermark.identity.outcome import CHANGE_KINDS

from .drawing import Box, Drawing, Label, Line, Mark, Shape
from .waveform import Peaks

WIDTH, GUTTER, MARGIN = 560.0, 66.0, 10.0
PLOT = WIDTH - GUTTER - MARGIN
WAVE_HEIGHT, LANE_HEIGHT, LANE_GAP = 84.0, 17.0, 6.0
COLUMNS = 480
LEAST_WIDTH = 2.5
"""A range narrower than this is drawn this wide, so that it is seen."""
TICK_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
MAX_TICKS = 9
WORDS = {
    "intact": "intact",
    "change-replaced": "replaced",
    "change-inserted": "inserted",
    "change-removed": "cut out here",
    "change-reordered": "moved",
    "change-overlaid": "laid over",
    "marked": "mark present",
    "unmarked": "mark absent",
}


def draw_report(predicate: Mapping[str, Any], peaks: Peaks | None = None) -> Drawing | None:
    """Return the picture of a verification report; None where there is nothing to draw.

    Parameters
    ----------
    predicate : of a report (`report.build_predicate`)
    peaks : of the file, float32 (2, n); None where it is not at hand
    """
    seconds = predicate["content"]["milliseconds"] / 1000
    comparison = predicate["identity"]["comparison"] or {}
    lanes = list(_list_lanes(predicate, comparison))
    if seconds <= 0 or (not lanes and peaks is None):
        return None
    scale = _Scale(seconds)
    marks: list[Mark] = []
    top = 4.0
    if peaks is not None and peaks.shape[1]:
        marks.extend(_draw_wave(peaks, comparison, scale, top))
        top += WAVE_HEIGHT + LANE_GAP
    bottom = top + len(lanes) * (LANE_HEIGHT + LANE_GAP)
    ticks = list(_list_ticks(seconds))
    grid: list[Mark] = [Line((scale.x(time_s), 4.0), (scale.x(time_s), bottom), "grid") for time_s in ticks]
    for name, boxes in lanes:
        marks.append(Label(GUTTER - 6, top + LANE_HEIGHT - 5, name, "end"))
        marks.append(Box(GUTTER, top, PLOT, LANE_HEIGHT, "paper", "grid"))
        marks.extend(
            box for kind, start_s, end_s, hint in boxes for box in scale.bar(kind, start_s, end_s, top, hint)
        )
        top += LANE_HEIGHT + LANE_GAP
    marks.append(Line((GUTTER, bottom), (GUTTER + PLOT, bottom), "ink"))
    marks.extend(Label(scale.x(time_s), bottom + 11, format_clock(time_s), "middle", 8) for time_s in ticks)
    legend, height = _draw_legend({kind for _, boxes in lanes for kind, *_ in boxes}, bottom + 24)
    title = f"What was found where: {predicate['verdict']}"
    return Drawing(WIDTH, height, (*grid, *marks, *legend), title, _describe(seconds, lanes))


class _Scale:
    """From seconds of the file to places in the picture."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def x(self, time_s: float) -> float:
        return GUTTER + PLOT * min(1.0, max(0.0, time_s / self._seconds))

    def span(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Return left edge and width of a range, never too narrow to be seen."""
        left, right = self.x(start_s), self.x(end_s)
        width = max(LEAST_WIDTH, right - left)
        return max(GUTTER, min(left, GUTTER + PLOT - width)), width

    def bar(self, kind: str, start_s: float, end_s: float, top: float, hint: str) -> Iterator[Mark]:
        left, width = self.span(start_s, end_s)
        role = "intact" if kind == "found" else kind
        yield Box(left, top, width, LANE_HEIGHT, role, "ink", hint)
        if kind == "found" and width > 58:
            yield Label(left + width / 2, top + LANE_HEIGHT - 5, hint.split(": ")[-1], "middle", 8)


Bar = tuple[str, float, float, str]


def _list_lanes(
    predicate: Mapping[str, Any], comparison: Mapping[str, Any]
) -> Iterator[tuple[str, list[Bar]]]:
    """Yield name and bars of each lane that has any."""
    changes = [_bar("intact", item, "intact") for item in comparison.get("intact", ())]
    changes += [
        _bar(f"change-{item['kind']}", item["file"], WORDS[f"change-{item['kind']}"])
        for item in comparison.get("changed", ())
    ]
    if changes:
        yield "changes", changes
    track = comparison.get("track_id") or (predicate["track"] or {}).get("track_id")
    matches = [item for item in predicate["identity"]["matches"] if track and item["track_id"] == track]
    if matches:
        yield "in the track", [_place(item) for item in matches]
    mark = predicate["watermark"]
    marks = [_bar("marked", item, "mark present") for item in mark.get("present", ())]
    marks += [_bar("unmarked", item, "mark absent") for item in mark.get("absent", ())]
    if marks:
        yield "mark", marks


def _bar(kind: str, item: Mapping[str, int], words: str) -> Bar:
    start_s, end_s = item["start_ms"] / 1000, item["end_ms"] / 1000
    return kind, start_s, end_s, f"{words}, {format_clock(start_s)} to {format_clock(end_s)}"


def _place(item: Mapping[str, Any]) -> Bar:
    file, track = item["file"], item["recording"]
    place = f"{format_clock(track['start_ms'] / 1000)} – {format_clock(track['end_ms'] / 1000)}"
    return "found", file["start_ms"] / 1000, file["end_ms"] / 1000, f"found in the track at: {place}"


def _draw_wave(peaks: Peaks, comparison: Mapping[str, Any], scale: _Scale, top: float) -> Iterator[Mark]:
    yield Label(GUTTER - 6, top + WAVE_HEIGHT / 2 + 3, "clip", "end")
    count = min(COLUMNS, peaks.shape[1])
    edges = np.linspace(0, peaks.shape[1], count + 1).astype(np.int64)[:-1]
    high = np.maximum.reduceat(peaks[0], edges)
    low = np.minimum.reduceat(peaks[1], edges)
    reach = max(float(np.abs(high).max()), float(np.abs(low).max()), 1e-3)
    middle, half = top + WAVE_HEIGHT / 2, WAVE_HEIGHT / 2 - 1
    places = GUTTER + PLOT * (np.arange(count) + 0.5) / count
    upper = [(float(x), float(middle - half * y / reach)) for x, y in zip(places, high, strict=True)]
    lower = [(float(x), float(middle - half * y / reach)) for x, y in zip(places, low, strict=True)]
    yield Shape((*upper, *reversed(lower)), "wave")
    for item in comparison.get("changed", ()):
        left, width = scale.span(item["file"]["start_ms"] / 1000, item["file"]["end_ms"] / 1000)
        role = f"change-{item['kind']}"
        yield Box(left, top, width, 3.5, role)
        yield Box(left, top + WAVE_HEIGHT - 3.5, width, 3.5, role)
        for x in (left, left + width):
            yield Line((x, top), (x, top + WAVE_HEIGHT), role, 0.8)


def _list_ticks(seconds: float) -> Iterator[float]:
    step = next((step for step in TICK_STEPS_S if seconds / step <= MAX_TICKS), TICK_STEPS_S[-1])
    return (number * step for number in range(int(seconds / step + 1e-9) + 1))


def _draw_legend(kinds: set[str], top: float) -> tuple[list[Mark], float]:
    """Return the legend of the kinds that are drawn, and the height of the picture with it."""
    order = ("intact", *(f"change-{kind}" for kind in CHANGE_KINDS), "marked", "unmarked")
    marks: list[Mark] = []
    x = GUTTER
    for kind in (kind for kind in order if kind in kinds):
        width = 26 + 4.7 * len(WORDS[kind])
        if x + width > WIDTH:
            x, top = GUTTER, top + 15
        marks.append(Box(x, top, 14, 9, kind, "ink"))
        marks.append(Label(x + 18, top + 8, WORDS[kind], size=8))
        x += width
    return marks, top + 15 if marks else top - 8


def _describe(seconds: float, lanes: Sequence[tuple[str, list[Bar]]]) -> str:
    """Return the picture in words."""
    parts = [f"A file of {format_clock(seconds)}."]
    for name, bars in lanes:
        said = [
            bar[3] if bar[0] != "found" else f"{format_clock(bar[1])} to {format_clock(bar[2])}, {bar[3]}"
            for bar in bars
        ]
        parts.append(f"{name[0].upper()}{name[1:]}: " + "; ".join(said) + ".")
    return " ".join(parts)


def format_clock(seconds: float) -> str:
    """Return minutes and seconds, with tenths where they are not zero: 1:05.3."""
    tenths = round(10 * max(0.0, seconds))
    minutes, rest = divmod(tenths, 600)
    whole, tenth = divmod(rest, 10)
    return f"{minutes}:{whole:02d}" + (f".{tenth}" if tenth else "")
