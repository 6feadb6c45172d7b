"""Pictures of a comparison: what was changed, under the waveform, and how clip and track lie on each other.

Pure functions from a `Comparison` to the bytes of a PNG (for reports) or an SVG (for pages). The same input
gives the same bytes. Kinds have a colour each, of Okabe and Ito's palette that colour-blind eyes tell apart,
and a hatching each, for print; text is dark on white and is never the colour's only explanation.
"""

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from watermark.identity.outcome import (
    CHANGE_KINDS,
    INSERTED,
    OVERLAID,
    REMOVED,
    REORDERED,
    REPLACED,
    Change,
    Comparison,
)

from .errors import RefusedError

FloatArray = npt.NDArray[np.float32]

FORMATS = ("png", "svg")
DPI = 110
WIDTH_INCHES = 10.0
COLUMNS = 900  # of the waveform: about what a picture has pixels for
INK, PAPER, GRID = "#1a1a1a", "#ffffff", "#d0d0d0"
# Okabe and Ito (2008). Hatchings differ as well.
COLOURS = {
    REPLACED: "#D55E00",
    INSERTED: "#0072B2",
    REMOVED: "#CC79A7",
    REORDERED: "#009E73",
    OVERLAID: "#E69F00",
}
HATCHINGS = {REPLACED: "///", INSERTED: "+++", REMOVED: "xxx", REORDERED: "---", OVERLAID: "\\\\\\"}
INTACT, UNCLEAR, MARKED, UNMARKED = "#c9d6df", "#ffffff", "#56B4E9", "#ffffff"
# A change narrower than this share of the picture is drawn that wide.
LEAST_SHARE = 0.004
# matplotlib reads some settings from a place that all threads share.
_SETTINGS = threading.Lock()


@dataclass(frozen=True)
class MarkBlock:
    """A stretch of the clip in which the mark was looked for; `present` None where nothing can be said."""

    start_s: float
    end_s: float
    present: bool | None


def draw_changes(
    samples: FloatArray,
    comparison: Comparison,
    *,
    sample_rate: int,
    title: str,
    marks: Sequence[MarkBlock] = (),
    picture_format: str = "png",
) -> bytes:
    """Draw the waveform of a clip, under it what was changed, where it lies in the track, and the mark.

    Parameters
    ----------
    samples : float32 (channels, samples)
    comparison : what `compare` said of them
    sample_rate : Hz
    title : str
    marks : blocks of the mark, if it was looked for
    picture_format : "png" or "svg"

    Raises
    ------
    RefusedError
        matplotlib, the extra `pictures`, is not installed.
    """
    seconds = samples.shape[1] / sample_rate
    lanes = ["changes", "in the track"] + (["mark"] if marks else [])
    with _settings(picture_format):
        figure = _figure(2.6 + 0.45 * len(lanes), title)
        grid = figure.add_gridspec(2, 1, height_ratios=(1.7, 0.5 * len(lanes)), hspace=0.08)
        wave, strip = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        _draw_waveform(wave, samples, seconds)
        _draw_lanes(strip, comparison, seconds, lanes, marks)
        _count_minutes(wave.xaxis)
        wave.tick_params(labelbottom=False)
        _add_legend(figure, comparison, marks)
        if not comparison.assessable:
            _say(wave, f"not assessable: {comparison.reason}")
        return _render(figure, picture_format)


def draw_alignment(
    comparison: Comparison,
    *,
    query_s: float,
    track_s: float,
    title: str,
    picture_format: str = "png",
) -> bytes:
    """Draw the time of the track against the time of the clip: one line where nothing was changed.

    Parameters
    ----------
    comparison : what `compare` said
    query_s, track_s : lengths in seconds
    title : str
    picture_format : "png" or "svg"

    Raises
    ------
    RefusedError
        matplotlib, the extra `pictures`, is not installed.
    """
    with _settings(picture_format):
        figure = _figure(6.2, title)
        axes = figure.add_subplot()
        for start_s, end_s in comparison.unassessable:
            axes.axvspan(start_s, end_s, facecolor=UNCLEAR, hatch="|||", edgecolor="#808080", linewidth=0)
        for change in comparison.changes:
            _draw_change(axes, change, query_s, track_s)
        for piece in comparison.intact:
            ends = [piece.query_start_s, piece.query_end_s]
            places = [piece.placement.track_start_s + piece.placement.time_scale * end for end in ends]
            axes.plot(ends, places, color=INK, linewidth=2.2, solid_capstyle="butt", zorder=4)
        axes.set_xlim(0, query_s)
        axes.set_ylim(0, track_s)
        axes.set_xlabel("time in the clip")
        axes.set_ylabel("time in the track")
        _style(axes)
        _count_minutes(axes.xaxis)
        _count_minutes(axes.yaxis)
        _add_legend(figure, comparison, (), line=True)
        if not comparison.assessable:
            _say(axes, f"not assessable: {comparison.reason}")
        return _render(figure, picture_format)


def _draw_waveform(axes: Any, samples: FloatArray, seconds: float) -> None:
    count = min(COLUMNS, max(1, samples.shape[1]))
    edges = np.linspace(0, samples.shape[1], count + 1).astype(np.int64)[:-1]
    high = np.maximum.reduceat(samples.max(axis=0), edges) if samples.size else np.zeros(1)
    low = np.minimum.reduceat(samples.min(axis=0), edges) if samples.size else np.zeros(1)
    times = np.linspace(0, seconds, len(high))
    axes.fill_between(times, low, high, color="#4d5b66", linewidth=0)
    axes.set_xlim(0, seconds)
    peak = max(float(np.abs(high).max()), float(np.abs(low).max()), 1e-3)
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    axes.set_yticks([0])
    axes.set_yticklabels(["clip"])
    _style(axes)


def _draw_lanes(
    axes: Any, comparison: Comparison, seconds: float, lanes: list[str], marks: Sequence[MarkBlock]
) -> None:
    least_s = LEAST_SHARE * seconds
    for piece in comparison.intact:
        for lane in (0, 1):
            _bar(axes, lane, piece.query_start_s, piece.query_end_s, INTACT)
        start_s, end_s = (
            piece.placement.track_start_s + piece.placement.time_scale * time_s
            for time_s in (piece.query_start_s, piece.query_end_s)
        )
        if piece.query_end_s - piece.query_start_s > 0.11 * seconds:
            middle_s = (piece.query_start_s + piece.query_end_s) / 2
            _write(axes, middle_s, 1, f"{_clock(start_s)} – {_clock(end_s)}")
    for start_s, end_s in comparison.unassessable:
        _bar(axes, 0, start_s, end_s, UNCLEAR, hatch="|||", ink="#808080")
    for change in comparison.changes:
        middle_s = (change.query_start_s + change.query_end_s) / 2
        half_s = max(change.query_end_s - change.query_start_s, least_s) / 2
        _bar(axes, 0, middle_s - half_s, middle_s + half_s, COLOURS[change.kind], HATCHINGS[change.kind])
        if change.kind == REORDERED and half_s > 0.055 * seconds:
            _write(axes, middle_s, 1, f"{_clock(change.track_start_s)} – {_clock(change.track_end_s)}")
    for block in marks:
        colour = MARKED if block.present else UNMARKED
        hatch = "|||" if block.present is None else ""
        _bar(axes, 2, block.start_s, block.end_s, colour, hatch=hatch, ink="#808080")
    axes.set_xlim(0, seconds)
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.set_yticks(range(len(lanes)))
    axes.set_yticklabels(lanes)
    axes.set_xlabel("time in the clip")
    _style(axes)
    _count_minutes(axes.xaxis)


def _draw_change(axes: Any, change: Change, query_s: float, track_s: float) -> None:
    from matplotlib.patches import Rectangle

    width = max(change.query_end_s - change.query_start_s, 2 * LEAST_SHARE * query_s)
    height = max(change.track_end_s - change.track_start_s, 2 * LEAST_SHARE * track_s)
    axes.add_patch(
        Rectangle(
            (change.query_start_s, change.track_start_s),
            width,
            height,
            facecolor=COLOURS[change.kind],
            edgecolor=INK,
            hatch=HATCHINGS[change.kind],
            linewidth=0.5,
            zorder=3,
        )
    )


def _bar(
    axes: Any, lane: int, start_s: float, end_s: float, colour: str, hatch: str = "", ink: str = INK
) -> None:
    axes.barh(
        lane,
        end_s - start_s,
        left=start_s,
        height=0.78,
        color=colour,
        hatch=hatch,
        edgecolor=ink,
        linewidth=0.6,
    )


def _write(axes: Any, x: float, y: float, words: str) -> None:
    text = axes.text(x, y, words, ha="center", va="center", fontsize=8, color=INK)
    text.set_parse_math(False)


def _say(axes: Any, words: str) -> None:
    box = {"facecolor": PAPER, "edgecolor": INK, "boxstyle": "round,pad=0.4"}
    text = axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, color=INK, bbox=box)
    text.set_parse_math(False)
    text.set_wrap(True)


def _add_legend(
    figure: Any, comparison: Comparison, marks: Sequence[MarkBlock], *, line: bool = False
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Any] = []
    if comparison.intact:
        plain = Line2D([], [], color=INK, linewidth=2.2, label="intact")
        entries.append(plain if line else Patch(facecolor=INTACT, edgecolor=INK, label="intact"))
    for kind in CHANGE_KINDS:
        some = [change for change in comparison.changes if change.kind == kind]
        if some:
            bands = sorted({change.band for change in some} - {"audible"})
            label = f"{kind} ({len(some)})" + "".join(f", {band}" for band in bands)
            entries.append(Patch(facecolor=COLOURS[kind], edgecolor=INK, hatch=HATCHINGS[kind], label=label))
    if comparison.unassessable:
        entries.append(Patch(facecolor=UNCLEAR, edgecolor="#808080", hatch="|||", label="not assessable"))
    if marks:
        entries.append(Patch(facecolor=MARKED, edgecolor="#808080", label="mark present"))
        entries.append(Patch(facecolor=UNMARKED, edgecolor="#808080", label="mark absent"))
    if entries:
        figure.legend(
            handles=entries,
            loc="outside lower center",
            ncols=min(6, len(entries)),
            fontsize=8.5,
            frameon=False,
        )


def _figure(height_inches: float, title: str) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, height_inches), dpi=DPI, facecolor=PAPER, layout="constrained")
    heading = figure.suptitle(title, fontsize=11, color=INK)
    heading.set_parse_math(False)
    return figure


def _style(axes: Any) -> None:
    axes.set_facecolor(PAPER)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _count_minutes(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 1.5, 2, 3, 5, 6, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _place: _clock(value)))


def _clock(seconds: float) -> str:
    """Minutes and seconds, tenths where they are not zero."""
    tenths = round(10 * max(0.0, seconds))
    minutes, rest = divmod(tenths, 600)
    whole, tenth = divmod(rest, 10)
    return f"{minutes}:{whole:02d}" + (f".{tenth}" if tenth else "")


def _render(figure: Any, picture_format: str) -> bytes:
    target = io.BytesIO()
    nothing = {"Date": None, "Creator": None} if picture_format == "svg" else {"Software": None}
    figure.savefig(target, format=picture_format, metadata=nothing)
    return target.getvalue()


@contextmanager
def _settings(picture_format: str) -> Iterator[None]:
    """Hold matplotlib's own defaults, whatever the machine's settings say, and what makes bytes repeat."""
    if picture_format not in FORMATS:
        raise ValueError(f"expected a format of {FORMATS}, got {picture_format!r}")
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise RefusedError(
            "pictures need matplotlib: install provenote with its extra, provenote[pictures]"
        ) from error
    fixed: Any = {
        "backend": "agg",
        "svg.hashsalt": "provenote",
        "svg.fonttype": "none",
        "hatch.linewidth": 0.6,
        "hatch.color": INK,
    }
    with _SETTINGS, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(fixed)
        yield
