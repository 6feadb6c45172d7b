"""A stretch of signal prepared for reading, where a mark may lie in it, and the cells read there.

What is read depends on a profile's plane of time and log frequency alone: profiles with the same plane share
a segment.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .correlation import MARGIN_BANDS, Correlation, between, correlate, fold, lowest_searched_band
from .layout import Layout
from .profile import Profile
from .spectrogram import (
    FrameGrid,
    band_edges_hz,
    band_levels,
    cumulative_log_power,
    frame_grid,
    frame_power,
)
from .whitening import clip, whiten

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# Planes kept of a segment: all that `refine` asks for, whose smallest move is a sixteenth of a band.
PLANES_KEPT = 16


@dataclass(frozen=True)
class Placement:
    """Where the pattern lies in a segment.

    `scale`: the segment's time axis runs this much faster than the marked signal's. `shift_bands`: its
    frequencies lie this many bands higher. `start_frames`: where column 0 of a block begins, in frames from
    the segment's beginning, modulo a block. `statistic`: the normalised correlation. `first_block`: the
    number of that block in the sequence; None where it is not known yet (and where there is but one).
    """

    scale: float
    shift_bands: float
    start_frames: float
    statistic: float
    first_block: int | None = None

    def wrapped(self, profile: Profile) -> "Placement":
        """Return the same placement told by a block that begins within a block's length of the segment's
        start.
        """
        period_frames = profile.period_columns * profile.frames_per_column / self.scale
        blocks, start = divmod(self.start_frames, period_frames)
        first = None if self.first_block is None else (self.first_block - int(blocks)) % profile.blocks
        return replace(self, start_frames=start, first_block=first)


class Segment:
    """A stretch of signal prepared for reading: its log spectrum, and whitened planes made from it on
    demand.
    """

    def __init__(self, power: FloatArray, grid: FrameGrid, profile: Profile) -> None:
        self.frames = power.shape[0]
        self.hop_s = grid.hop_s
        self.profile = profile
        self._grid = grid
        self._cumulative = cumulative_log_power(power, profile)
        self._planes: dict[float, FloatArray] = {}

    def correlate(
        self, layout: Layout, scales: Sequence[float] | DoubleArray, first_frame: int, stop_frame: int
    ) -> Iterator[Correlation]:
        """Yield the correlation of the pilot with the frames `first_frame` to `stop_frame` at each scale."""
        part = np.s_[first_frame : stop_frame + 1, lowest_searched_band(layout.profile) :]
        # Two planes, half a band apart, in one complex array.
        plane = (self.plane(0.0)[part] + 1j * self.plane(0.5)[part]).astype(np.complex64)
        plane -= plane[0]
        return correlate(plane, layout, scales)

    def at_plain_pitch(self) -> "Segment":
        """Return the segment as it is read without a shift, and in no other way: a tenth of the memory."""
        light = copy.copy(self)
        light._cumulative = self._cumulative[:0]
        light._planes = {0.0: self.plane(0.0)}
        return light

    def plane(self, fraction_bands: float) -> FloatArray:
        """Return the running sum over time of the whitened plane whose bands are moved up by a fraction of
        one.

        float32 (frames + 1, bands + 2 * MARGIN_BANDS): whitened values are clipped and have no mean, so
        their sums stay small enough for single precision.
        """
        if fraction_bands not in self._planes:
            edges_hz = band_edges_hz(self.profile, MARGIN_BANDS, fraction_bands)
            levels = band_levels(self._cumulative, self._grid, edges_hz)
            plane = clip(whiten(levels, self.profile)[0], self.profile.clip_deviations)
            running = np.zeros((self.frames + 1, plane.shape[1]), np.float32)
            running[1:] = np.cumsum(plane, axis=0, dtype=np.float64)
            if len(self._planes) >= PLANES_KEPT:
                self._planes.pop(next(iter(self._planes)))
            self._planes[fraction_bands] = running
        return self._planes[fraction_bands]


class Segments:
    """The segments of one stretch of signal, one for all profiles that have the same plane.

    Only the last one made is kept: profiles with the same plane should follow one another.
    """

    def __init__(self, audio: FloatArray, sample_rate: int, preparation: "Preparation") -> None:
        self._audio = audio
        self._sample_rate = sample_rate
        self._preparation = preparation
        self._last: tuple[tuple[float, ...], Segment] | None = None

    def of(self, profile: Profile) -> Segment:
        """Return the segment on the profile's plane."""
        if self._last is None or self._last[0] != profile.plane:
            segment = self._preparation(self._audio, self._sample_rate, profile)
            self._last = profile.plane, segment
        return self._last[1]


def prepare(audio: FloatArray, sample_rate: int, profile: Profile) -> Segment:
    """Return a stretch of signal, float32 (channels, samples), prepared for reading by a profile."""
    grid = frame_grid(profile, sample_rate)
    return Segment(frame_power(audio, grid, 0, grid.frames(audio.shape[1]), 0), grid, profile)


Preparation: TypeAlias = Callable[[FloatArray, int, Profile], Segment]
"""What makes a segment of audio, its sample rate and a profile: `prepare`, or `torch_segment.prepare_on`."""


def read_cells(
    segment: Segment,
    layout: Layout,
    placement: Placement,
    first_frame: float = 0.0,
    last_frame: float = np.inf,
) -> DoubleArray:
    """Return the whitened values of the cells, unmasked and summed over blocks: float64 (period_columns,
    rows).

    Only frames from `first_frame` to `last_frame` count; a cell that lies partly outside counts in part.
    Where it is not known which blocks these are, all but the pilot's cells are 0.
    """
    cells, first = read_columns(segment, layout, placement, first_frame, last_frame)
    period = layout.profile.period_columns
    if layout.masks is None:
        return fold(cells, first, period)
    if placement.first_block is None:
        return np.asarray(fold(cells, first, period) * (layout.pilot_chips != 0))
    block, place = np.divmod(first + np.arange(len(cells)), period)
    return fold(
        cells * layout.masks[(placement.first_block + block) % layout.profile.blocks, place], first, period
    )


def read_columns(
    segment: Segment,
    layout: Layout,
    placement: Placement,
    first_frame: float = 0.0,
    last_frame: float = np.inf,
) -> tuple[DoubleArray, int]:
    """Return the whitened values of the cells of each column, float64 (columns, rows), as they are read, and
    the first column's number, counted from the placement's column 0.
    """
    column_frames = layout.profile.frames_per_column / placement.scale
    last_frame = min(last_frame, segment.frames)
    first = int(np.floor((first_frame - placement.start_frames) / column_frames))
    stop = int(np.ceil((last_frame - placement.start_frames) / column_frames))
    column = np.arange(first, max(stop, first) + 1)
    position = np.clip(placement.start_frames + column * column_frames, first_frame, last_frame)
    return row_means(segment, layout, placement, position) / column_frames, first


def read_steps(segment: Segment, layout: Layout, placement: Placement) -> tuple[DoubleArray, int]:
    """Return the whitened values of the rows, `follow_steps` to a column, and the first step's number.

    float64 (steps, rows); step 0 begins where the placement's column 0 does, and the first one returned holds
    the segment's first frame.
    """
    profile = layout.profile
    step_frames = profile.frames_per_column / (profile.follow_steps * placement.scale)
    first = int(np.floor(-placement.start_frames / step_frames))
    stop = int(np.floor((segment.frames - placement.start_frames) / step_frames))
    position = placement.start_frames + np.arange(first, max(stop, first) + 1) * step_frames
    return row_means(segment, layout, placement, position) / step_frames, first


def row_means(
    segment: Segment, layout: Layout, placement: Placement, position: npt.NDArray[np.floating]
) -> DoubleArray:
    """Return for each row the mean over its bands of the plane's sum between neighbouring frame positions."""
    whole = int(np.floor(placement.shift_bands))
    plane = segment.plane(placement.shift_bands - whole)
    first_band = MARGIN_BANDS + whole
    means = np.diff(between(plane[:, first_band : first_band + layout.profile.bands], position), axis=0)
    rows = layout.row_bands
    return np.asarray(np.add.reduceat(means, rows[:, 0], axis=1) / np.diff(rows, axis=1)[:, 0], np.float64)


def sync_statistic(cells: DoubleArray, layout: Layout) -> float:
    """Return the normalised correlation of folded cells with the synchronisation chips."""
    values = cells[layout.sync_chips != 0]
    energy = float((values * values).sum())
    return float((layout.sync_chips * cells).sum() / np.sqrt(energy)) if energy > 0 else 0.0


def score(segment: Segment, layout: Layout, placement: Placement) -> Placement:
    """Return the placement with the statistic of its cells, read exactly."""
    return replace(placement, statistic=sync_statistic(read_cells(segment, layout, placement), layout))
