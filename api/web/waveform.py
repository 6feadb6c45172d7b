"""The picture of a clip: its waveform, the ranges that were changed, and where its mark was read.

What the template `waveform.svg` draws: places along the time as percentages, so that text keeps its size at
every width, and the outline as a path in a coordinate system of its own. No colour is said here; a range is
told by its number and its row in the table below the picture as well.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..waveform import Peaks

COLUMNS = 900
"""Of the outline: about what a screen has pixels for."""
HALF_HEIGHT = 50.0
LEAST_PERCENT = 0.5
"""A range narrower than this is drawn this wide, so that it is seen."""
TICK_STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
MAX_TICKS = 6


@dataclass(frozen=True)
class Band:
    """A range along the picture: left edge and width in percent, its kind, and its number in the table."""

    left: float
    width: float
    kind: str
    number: int | None = None

    @property
    def middle(self) -> float:
        """Where its number stands, in percent."""
        return round(self.left + self.width / 2, 2)


@dataclass(frozen=True)
class Tick:
    """A time on the axis: its place in percent, and its label."""

    left: float
    label: str


@dataclass(frozen=True)
class Waveform:
    """Everything that is drawn."""

    path: str
    changes: tuple[Band, ...]
    marks: tuple[Band, ...]
    ticks: tuple[Tick, ...]
    seconds: float


def outline(peaks: Peaks, columns: int = COLUMNS) -> str:
    """Return the SVG path of an outline: `columns` wide, 2 x HALF_HEIGHT high, as loud as fits."""
    count = peaks.shape[1]
    if not count:
        return ""
    edges = np.linspace(0, count, min(columns, count) + 1).astype(np.int64)
    above = np.maximum.reduceat(peaks[0], edges[:-1])
    below = np.minimum.reduceat(peaks[1], edges[:-1])
    loudest = max(float(above.max()), -float(below.min()), 1e-4)
    x = np.linspace(0, columns, len(above))
    top = HALF_HEIGHT * (1 - np.maximum(above, 0) / loudest)
    bottom = HALF_HEIGHT * (1 - np.minimum(below, 0) / loudest)
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(x, top, strict=True)]
    points += [f"{a:.1f} {b:.1f}" for a, b in zip(x[::-1], bottom[::-1], strict=True)]
    return "M" + "L".join(points) + "Z"


def draw_waveform(peaks: Peaks, report: Mapping[str, Any]) -> Waveform:
    """Return the picture of an examined clip, from its peaks and what the report says of it."""
    total_ms = max(1, int(report["content"]["milliseconds"]))
    comparison, mark = report["identity"]["comparison"], report["watermark"]
    changed = comparison["changed"] if comparison is not None else ()
    changes = [
        _place(item["file"], total_ms, item["kind"], number) for number, item in enumerate(changed, start=1)
    ]
    marks = [
        _place(item, total_ms, kind)
        for kind in ("present", "absent")
        for item in (mark.get(kind, ()) if mark["found"] else ())
    ]
    seconds = total_ms / 1000
    return Waveform(outline(peaks), tuple(changes), tuple(marks), tuple(place_ticks(seconds)), seconds)


def place_ticks(seconds: float) -> Sequence[Tick]:
    """Return at most MAX_TICKS + 1 round times along a recording, the first at its start."""
    step = next((item for item in TICK_STEPS_S if seconds / item <= MAX_TICKS), None)
    step = step or 3600 * math.ceil(seconds / 3600 / MAX_TICKS)
    # None too near the end, where its label would leave the picture.
    times = [number * step for number in range(MAX_TICKS + 1) if number * step <= 0.97 * seconds]
    return [Tick(round(100 * item / seconds, 2), _label(item)) for item in times]


def _label(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:04.1f}" if rest != int(rest) else f"{int(rest):02d}"
    return f"{hours}:{minutes:02d}:{text}" if hours else f"{minutes}:{text}"


def _place(item: Mapping[str, int], total_ms: int, kind: str, number: int | None = None) -> Band:
    start, end = (100 * min(max(item[name], 0), total_ms) / total_ms for name in ("start_ms", "end_ms"))
    width = max(LEAST_PERCENT, end - start)
    return Band(round(min(start, 100 - width), 2), round(width, 2), kind, number)
