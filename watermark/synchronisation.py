"""Finding a mark's alignment: time scale, pitch shift and place in the block, from the synchronisation
pattern.

On the log-frequency plane a pitch shift is a translation and a tempo change a scaling of time. For each time
scale the plane is read in fractions of a column, folded over the length of a block, and correlated with the
pattern by one two-dimensional FFT, which gives the statistic of every shift and every place at once (DESIGN:
the search; the idea of reading scale off a log-frequency pattern is Xiang et al. 2014). The best few are
then refined by reading the cells exactly.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import fft

from .layout import Layout
from .profile import Profile
from .spectrogram import FrameGrid, band_edges_hz, band_levels, cumulative_log_power
from .whitening import clip, whiten

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# Bands of room on either side of the plane: +-16 of 36 to the octave is +-5.3 semitones.
MARGIN_BANDS = 16
# Natural log of the time scales searched: 0.74 .. 1.35.
LOG_SCALE_LIMIT = 0.3
# A neighbouring scale may drift this much over the segment, in columns, from its middle to its ends.
DRIFT_COLUMNS = 0.75
# How much likelier another scale or pitch must be than "not sped up" or "not shifted" to be believed.
PLAIN_NATS = 3.0
# Candidates kept of each scale and of the search.
PEAKS_PER_SCALE = 3
# Placements whose blocks begin closer than this (0.17 s) are near copies of one another.
NEAR_FRAMES = 15


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
        self._planes: dict[float, DoubleArray] = {}

    def at_plain_pitch(self) -> "Segment":
        """Return the segment as it is read without a shift, and in no other way: a tenth of the memory."""
        light = copy.copy(self)
        light._cumulative = self._cumulative[:0]
        light._planes = {0.0: self.plane(0.0)}
        return light

    def plane(self, fraction_bands: float) -> DoubleArray:
        """Return the running sum over time of the whitened plane whose bands are moved up by a fraction of
        one.

        float64 (frames + 1, bands + 2 * MARGIN_BANDS).
        """
        if fraction_bands not in self._planes:
            edges_hz = band_edges_hz(self.profile, MARGIN_BANDS, fraction_bands)
            levels = band_levels(self._cumulative, self._grid, edges_hz)
            plane = clip(whiten(levels, self.profile)[0], self.profile.clip_deviations)
            running = np.zeros((self.frames + 1, plane.shape[1]))
            np.cumsum(plane, axis=0, out=running[1:])
            if len(self._planes) >= 8:
                self._planes.pop(next(iter(self._planes)))
            self._planes[fraction_bands] = running
        return self._planes[fraction_bands]


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
    profile = segment.profile
    column_frames = profile.frames_per_column / placement.scale
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
    step_frames = segment.profile.frames_per_column / (segment.profile.follow_steps * placement.scale)
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
    between = np.diff(_between(plane[:, first_band : first_band + layout.profile.bands], position), axis=0)
    rows = layout.row_bands
    return np.asarray(np.add.reduceat(between, rows[:, 0], axis=1) / np.diff(rows, axis=1)[:, 0])


def fold(rows: DoubleArray, first: int, period: int) -> DoubleArray:
    """Return the sums of rows (n, m) whose numbers, counted from `first`, are equal modulo `period`:
    (period, m).
    """
    before = first % period
    padded = np.pad(rows, ((before, -(before + len(rows)) % period), (0, 0)))
    return np.asarray(padded.reshape(-1, period, rows.shape[1]).sum(axis=0))


def sync_statistic(cells: DoubleArray, layout: Layout) -> float:
    """Return the normalised correlation of folded cells with the synchronisation chips."""
    values = cells[layout.sync_chips != 0]
    energy = float((values * values).sum())
    return float((layout.sync_chips * cells).sum() / np.sqrt(energy)) if energy > 0 else 0.0


def score(segment: Segment, layout: Layout, placement: Placement) -> Placement:
    """Return the placement with the statistic of its cells, read exactly."""
    return replace(placement, statistic=sync_statistic(read_cells(segment, layout, placement), layout))


def scales_for(profile: Profile, frames: int) -> DoubleArray:
    """Return the time scales of a full search over `frames` frames, spaced so that none drifts by more than
    DRIFT_COLUMNS.
    """
    columns = frames / profile.frames_per_column
    step = min(max(2 * DRIFT_COLUMNS / max(columns, 1.0), 0.0015), 0.02)
    count = int(np.ceil(LOG_SCALE_LIMIT / step))
    return np.exp(np.arange(-count, count + 1, dtype=np.float64) * (LOG_SCALE_LIMIT / count))


def search(
    segment: Segment,
    layout: Layout,
    scales: Sequence[float] | DoubleArray,
    keep: int,
    span: tuple[int, int] | None = None,
    *,
    peaks: int = PEAKS_PER_SCALE,
) -> list[Placement]:
    """Return the `keep` best placements of the pilot over `scales`, all shifts and all places, best first,
    unrefined; which block is which is not known of them.

    At most `peaks` come from each scale. Only the frames of `span` (first, stop) are looked at; by default
    all of them.
    """
    profile = segment.profile
    steps = profile.period_columns * profile.search_steps
    first_frame, stop_frame = span or (0, segment.frames)
    frames = stop_frame - first_frame
    # Two planes, half a band apart, in one complex array.
    part = np.s_[first_frame : stop_frame + 1, profile.search_octave * profile.bands_per_octave :]
    plane = (segment.plane(0.0)[part] + 1j * segment.plane(0.5)[part]).astype(np.complex64)
    plane -= plane[0]
    pattern, pattern_norm = _pattern_spectrum(layout)
    found: list[Placement] = []
    for scale in scales:
        step_frames = profile.frames_per_column / (profile.search_steps * float(scale))
        count = int(frames / step_frames)
        position = np.arange(count + 1, dtype=np.float64) * step_frames
        read = np.diff(_between(plane, position), axis=0)
        folded = fold(read, 0, steps)
        spectrum = fft.fft2(folded)
        spectrum *= pattern
        correlation = fft.ifft2(spectrum)[:, : 2 * MARGIN_BANDS + 1]
        energy = float(np.sqrt((folded.real**2 + folded.imag**2).sum() / 2))
        if energy == 0:
            continue
        # (steps, shifts, 2): the last axis is the half band
        values = np.stack([correlation.real, correlation.imag], axis=-1) / np.float32(energy * pattern_norm)
        found += _peaks(values, float(scale), step_frames, profile.search_steps, peaks)
    found = [replace(p, start_frames=p.start_frames + first_frame).wrapped(profile) for p in found]
    found.sort(key=lambda placement: -placement.statistic)
    return _distinct(found, keep)


def settle(segment: Segment, layout: Layout, placement: Placement) -> Placement:
    """Return the placement with its beginning moved to the best statistic near it: scale and pitch stay."""
    profile = segment.profile
    best = score(segment, layout, placement)
    for move in profile.frames_per_column / (2 * profile.search_steps) * np.array([1.0, 0.5, 0.25]):
        for start in (best.start_frames - move, best.start_frames + move):
            best = _better(segment, layout, best, replace(best, start_frames=float(start)))
    return best.wrapped(profile)


def refine(
    segment: Segment, layout: Layout, placement: Placement, span: tuple[int, int] | None = None
) -> Placement:
    """Return the placement moved to the best statistic near it, by coordinates, reading the cells exactly.

    `span` is what the search looked at.
    """
    profile = segment.profile
    first_frame, stop_frame = span or (0, segment.frames)
    columns = (stop_frame - first_frame) / profile.frames_per_column
    best = score(segment, layout, placement)
    scale_step = min(max(DRIFT_COLUMNS / max(columns, 1.0), 0.00075), 0.01)
    start_step = profile.frames_per_column / (2 * profile.search_steps)
    middle = (first_frame + stop_frame) / 2
    for shrink in (1.0, 0.5, 0.25):
        for scale in best.scale * (1 + scale_step * shrink * np.array([-1.0, -0.5, 0.5, 1.0])):
            # The middle of what was searched stays where it is.
            start = middle - (middle - best.start_frames) * best.scale / scale
            best = _better(
                segment, layout, best, replace(best, scale=float(scale), start_frames=float(start))
            )
        for move in start_step * shrink * np.array([-1.0, 1.0]):
            best = _better(segment, layout, best, replace(best, start_frames=best.start_frames + float(move)))
        for move in 0.25 * shrink * np.array([-1.0, 1.0]):
            shift = float(np.clip(best.shift_bands + move, -MARGIN_BANDS, MARGIN_BANDS - 0.001))
            best = _better(segment, layout, best, replace(best, shift_bands=shift))
    # The plain answers, where they explain the segment as well.
    unsped = replace(best, scale=1.0, start_frames=middle - (middle - best.start_frames) * best.scale)
    for plain in (unsped, replace(best, shift_bands=0.0)):
        statistic = sync_statistic(read_cells(segment, layout, plain), layout)
        if statistic > 0 and statistic**2 >= best.statistic**2 - 2 * PLAIN_NATS:
            best = replace(plain, statistic=statistic)
    return best.wrapped(profile)


def _better(segment: Segment, layout: Layout, best: Placement, other: Placement) -> Placement:
    statistic = sync_statistic(read_cells(segment, layout, other), layout)
    return replace(other, statistic=statistic) if statistic > best.statistic else best


def _between(running: npt.NDArray[np.inexact], position: npt.NDArray[np.floating]) -> npt.NDArray[np.inexact]:
    """Return rows of a running sum at fractional positions, linearly between; held at both ends."""
    position = np.clip(position, 0, running.shape[0] - 1)
    index = np.minimum(position.astype(np.int64), running.shape[0] - 2)
    fraction = (position - index)[:, None].astype(running.real.dtype)
    lower = running[index]
    return np.asarray(lower + fraction * (running[index + 1] - lower))


def _pattern_spectrum(layout: Layout) -> tuple[npt.NDArray[np.complex64], float]:
    """Return the conjugate spectrum of the pilot on the search's plane, and the pilot's norm."""
    profile = layout.profile
    bands = np.zeros((profile.period_columns, profile.bands + 2 * MARGIN_BANDS), np.float32)
    for row, (first, stop) in enumerate(layout.row_bands):
        bands[:, first:stop] = layout.pilot_chips[:, row : row + 1] / (stop - first)
    bands = bands[:, profile.search_octave * profile.bands_per_octave :]
    pattern = np.repeat(bands, profile.search_steps, axis=0)
    norm = float(np.sqrt((pattern**2).sum() / pattern.size))
    return np.conj(fft.fft2(pattern)).astype(np.complex64), norm


def _peaks(
    values: npt.NDArray[np.floating], scale: float, step_frames: float, steps_per_column: int, count: int
) -> list[Placement]:
    """Return the placements of the largest values, (steps, shifts, 2), that do not lie beside a larger
    one.
    """
    looked_at = 4 * count  # a peak is several of the largest values wide
    order = np.argpartition(values.ravel(), -looked_at)[-looked_at:]
    order = order[np.argsort(-values.ravel()[order])]
    peaks: list[Placement] = []
    for flat in order:
        step, shift, half = np.unravel_index(flat, values.shape)
        placement = Placement(
            scale=scale,
            shift_bands=float(shift) - MARGIN_BANDS + 0.5 * float(half),
            start_frames=float(step) * step_frames,
            statistic=float(values[step, shift, half]),
        )
        if all(
            abs(p.shift_bands - placement.shift_bands) > 1
            or abs(p.start_frames - placement.start_frames) > 2 * steps_per_column * step_frames
            for p in peaks
        ):
            peaks.append(placement)
    return peaks[:count]


def _distinct(found: list[Placement], keep: int) -> list[Placement]:
    """Return the first `keep` placements that are no near copy of one before them."""
    distinct: list[Placement] = []
    for placement in found:
        near = any(
            abs(np.log(p.scale / placement.scale)) < 0.012
            and abs(p.shift_bands - placement.shift_bands) <= 1
            and abs(p.start_frames - placement.start_frames) < NEAR_FRAMES
            for p in distinct
        )
        if not near:
            distinct.append(placement)
        if len(distinct) == keep:
            break
    return distinct


def placements_searched(profile: Profile, scales: int, refined: int) -> int:
    """Return how many placements a search over `scales` scales and the refinement of `refined` of them
    tries.
    """
    steps = profile.period_columns * profile.search_steps
    return scales * steps * 2 * (2 * MARGIN_BANDS + 1) + 30 * refined
