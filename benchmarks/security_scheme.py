"""What the security experiments know of the marking scheme: the one file that a new profile may need changed.

Two kinds of knowledge are kept apart. Anybody has the source code, so anybody knows the grid of cells, how to
read them and how to write to them (`Grid`, `read_cells`, `push_cells`). Only the holder of the watermark key
knows the chips (`Truth`); experiments use those to score an attacker, never to help one.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.tools import Audio, BenchmarkError
from watermark.layout import codeword_of, first_column_of, layout_of
from watermark.profile import PROFILE, Profile
from watermark.spectrogram import (
    DB_PER_LOG_POWER,
    FrameGrid,
    band_edges_hz,
    band_levels,
    cumulative_log_power,
    frame_grid,
    frame_power,
    hann,
)
from watermark.whitening import clip, whiten

Plane = NDArray[np.float32]
Chips = NDArray[np.int8]

# Where a wiped cell is driven to: beyond 0, so that what cannot be wiped elsewhere is balanced.
WIPE_TARGET = 1.0

NEEDED = ("period_columns", "blocks", "frames_per_column", "column_s", "clip_deviations")


@dataclass(frozen=True)
class Grid:
    """The public grid of cells: `columns` make a block; `row_bands` (rows, 2) are its rows."""

    profile: Profile
    frames: FrameGrid
    row_bands: NDArray[np.int64]

    @property
    def columns(self) -> int:
        """Columns of a block."""
        return self.profile.period_columns

    @property
    def rows(self) -> int:
        """Rows of cells."""
        return len(self.row_bands)

    @property
    def cells(self) -> int:
        """Cells of a block."""
        return self.columns * self.rows


@dataclass(frozen=True)
class Truth:
    """What the key decides, in the block's own order: each array is (columns, rows).

    `sync` holds +-1 where a cell carries synchronisation that repeats in every block, else 0; `payload` +-1
    where it carries the codeword position `position`, else 0.
    """

    sync: Chips
    payload: Chips
    position: NDArray[np.int64]


def open_grid(sample_rate: int, profile: Profile = PROFILE) -> Grid:
    """Lay out what is public of a profile's cells at a sample rate (Hz)."""
    missing = [name for name in NEEDED if not hasattr(profile, name)]
    if missing:
        raise BenchmarkError(
            f"expected profile {profile.name} to be laid out in one grid, it lacks {', '.join(missing)}: "
            "teach benchmarks/security_scheme.py its cells"
        )
    # Any key will do: the rows are the same for all.
    return Grid(profile, frame_grid(profile, sample_rate), layout_of(bytes(32), profile).row_bands)


def open_truth(watermark_key: bytes, grid: Grid) -> Truth:
    """Give the chips under a key that repeat in every block, and those that would but for their masks."""
    layout = layout_of(watermark_key, grid.profile)
    return Truth(layout.pilot_chips, layout.payload_chips, layout.codeword_position)


def chips_written(watermark_key: bytes, payload: bytes, grid: Grid, columns: int) -> Chips:
    """Give the chips of a file with `payload` from its beginning on: (columns, rows)."""
    layout = layout_of(watermark_key, grid.profile)
    chips = layout.chips(codeword_of(payload, watermark_key, grid.profile))
    return _unrolled(chips, watermark_key, payload, grid, columns)


def sync_written(watermark_key: bytes, payload: bytes, grid: Grid, columns: int) -> Chips:
    """Give the synchronisation chips of a file from its beginning on, 0 elsewhere: (columns, rows)."""
    layout = layout_of(watermark_key, grid.profile)
    return _unrolled(layout.sync_chips, watermark_key, payload, grid, columns)


def _unrolled(chips: Chips, watermark_key: bytes, payload: bytes, grid: Grid, columns: int) -> Chips:
    column = first_column_of(payload, watermark_key, grid.profile) + np.arange(columns)
    block, place = np.divmod(column, grid.columns)
    masks = layout_of(watermark_key, grid.profile).masks
    return chips[place] if masks is None else chips[place] * masks[block % grid.profile.blocks, place]


def first_column(watermark_key: bytes, payload: bytes, grid: Grid) -> int:
    """Column of the block that a file with this payload begins with."""
    return first_column_of(payload, watermark_key, grid.profile) % grid.columns


def _analyse(audio: Audio, grid: Grid) -> Plane:
    """Band levels in log power, (frames, bands)."""
    count = grid.frames.frames(audio.shape[1])
    power = frame_power(np.asarray(audio, np.float32), grid.frames, 0, count, 0)
    edges_hz = band_edges_hz(grid.profile, 0, 0.0)
    return band_levels(cumulative_log_power(power, grid.profile), grid.frames, edges_hz)


def _cell_means(values: Plane, grid: Grid) -> Plane:
    """Means of (frames, bands) over the cells: (columns, rows); the last column may be short."""
    per_column = grid.profile.frames_per_column
    columns = -(-len(values) // per_column)
    padded = np.pad(values, ((0, columns * per_column - len(values)), (0, 0)), mode="edge")
    by_column = padded.reshape(columns, per_column, -1).mean(axis=1)
    sums = np.add.reduceat(by_column, grid.row_bands[:, 0], axis=1)
    return np.asarray(sums / np.diff(grid.row_bands, axis=1)[:, 0], np.float32)


def read_levels(audio: Audio, grid: Grid) -> Plane:
    """Read the level of every cell in dB, (columns of the file, rows)."""
    return _cell_means(_analyse(audio, grid), grid) * np.float32(DB_PER_LOG_POWER)


def read_both(audio: Audio, grid: Grid) -> tuple[Plane, Plane]:
    """Read what `read_cells` and `read_levels` read, at the cost of one."""
    levels = _analyse(audio, grid)
    whitened = clip(whiten(levels, grid.profile)[0], grid.profile.clip_deviations)
    return _cell_means(whitened, grid), _cell_means(levels, grid) * np.float32(DB_PER_LOG_POWER)


def read_frames(audio: Audio, grid: Grid) -> Plane:
    """Read whitened values of every frame and band, clipped as the detector does: (frames, bands)."""
    return clip(whiten(_analyse(audio, grid), grid.profile)[0], grid.profile.clip_deviations)


def read_cells(audio: Audio, grid: Grid) -> Plane:
    """Read the whitened value of every cell from the file's beginning: (columns of the file, rows)."""
    return _cell_means(read_frames(audio, grid), grid)


def fold_cells(cells: Plane, grid: Grid) -> Plane:
    """Average cells over the blocks of a file: (columns, rows), beginning with the file."""
    blocks = -(-len(cells) // grid.columns)
    padded = np.pad(cells, ((0, blocks * grid.columns - len(cells)), (0, 0)))
    count = np.pad(np.ones(len(cells), np.float32), (0, blocks * grid.columns - len(cells)))
    total = padded.reshape(blocks, grid.columns, -1).sum(axis=0)
    return np.asarray(total / np.maximum(count.reshape(blocks, -1).sum(axis=0), 1)[:, None], np.float32)


def push_cells(audio: Audio, pattern: Plane, grid: Grid, *, limit_db: float, target: float) -> Audio:
    """Write a pattern as the published embedder does, without its care for audibility.

    Parameters
    ----------
    pattern : (columns, rows), in [-1, 1], beginning with the file and repeated; its size scales the gain
    limit_db : most that a cell gets, dB
    target : where the whitened cell is driven to, in deviations along the pattern
    """
    whitened, deviation = whiten(_analyse(audio, grid), grid.profile)
    agreement, spread_db = (
        _cell_means(x, grid) for x in (whitened, deviation * np.float32(DB_PER_LOG_POWER))
    )
    chips = pattern[np.arange(len(agreement)) % len(pattern)]
    sign = np.sign(chips)
    gains_db = chips * np.clip((target - agreement * sign) * spread_db, 0, limit_db)
    return write_gains(audio, np.asarray(gains_db, np.float32), grid)


def write_gains(audio: Audio, gains_db: Plane, grid: Grid) -> Audio:
    """Multiply the cells of a signal by gains in dB, (columns, rows), repeated if they are fewer."""
    count = grid.frames.frames(audio.shape[1])
    size = grid.frames.window_samples
    frequency_hz = np.arange(size // 2 + 1) * grid.frames.sample_rate / size
    octaves = np.log2(np.maximum(frequency_hz, 1.0) / grid.profile.lowest_hz)
    band = np.floor(octaves * grid.profile.bands_per_octave).astype(np.int64)
    row = np.searchsorted(grid.row_bands[:, 0], band, side="right") - 1
    row = np.where((band >= 0) & (band < grid.row_bands[-1, 1]), row, grid.rows)
    column = np.arange(count) // grid.profile.frames_per_column % len(gains_db)
    factor = np.pad(10 ** (gains_db / 20) - 1, ((0, 0), (0, 1)))
    return write_bins(audio, np.asarray(factor[column][:, row], np.float32), grid)


def write_bins(audio: Audio, change: Plane, grid: Grid) -> Audio:
    """Add `change` (frames, bins) times each bin of each frame to the signal, on all channels alike."""
    size = grid.frames.window_samples
    hop = grid.profile.column_s / grid.profile.frames_per_column * grid.frames.sample_rate
    window = np.sqrt(hann(size))
    starts = [grid.frames.centre(number) for number in range(len(change))]
    padded = np.pad(audio, ((0, 0), (size // 2, size)))
    result = padded.copy()
    for number, start in enumerate(starts):
        spectrum = np.fft.rfft(padded[:, start : start + size] * window, axis=1)
        result[:, start : start + size] += (
            np.fft.irfft(spectrum * change[number], size, axis=1) * window * (2 * hop / size)
        )
    return np.asarray(result[:, size // 2 : size // 2 + audio.shape[1]], np.float32)


def bin_power(audio: Audio, grid: Grid) -> Plane:
    """Power of every frame and bin up to half the sample rate, summed over channels: (frames, bins)."""
    count = grid.frames.frames(audio.shape[1])
    every = replace(grid.frames, bins=grid.frames.window_samples // 2 + 1)
    return frame_power(np.asarray(audio, np.float32), every, 0, count, 0)
