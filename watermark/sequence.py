"""Where in the sequence of blocks a signal lies, for profiles with more than one block.

The pilot repeats in every block, so it tells scale, pitch and the place in a block, but not which block it
is. The other synchronisation chips, which never repeat within the sequence, tell that: `rank_blocks` holds
the cells of each block against those of every block of the sequence. At the plain speed they also tell the
place without the pilot, by correlation with the whole sequence (`search_sequence`), so that a mark whose
pilot was removed is still read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import fft

from .correlation import fold
from .layout import Layout, lowest_rows, row_limits
from .segment import Placement, Segment, read_cells, read_columns, row_means, sync_statistic
from .synchronisation import settle

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# Length of the transforms that the sequence is searched with, in steps; what is looked for is at most half.
TRANSFORM_STEPS = 8192
# What settling one placement tries.
SETTLED = 7
# Peaks of the sequence's correlation closer than this are one, in steps.
NEAR_STEPS = 4


@dataclass(frozen=True)
class Stretch:
    """A part of a segment, in frames, and the placement at which it is read."""

    placement: Placement
    first_frame: float = 0.0
    last_frame: float = np.inf


def rank_blocks(
    segment: Segment, layout: Layout, stretches: Sequence[Stretch]
) -> tuple[npt.NDArray[np.int64], DoubleArray]:
    """Return the numbers of the sequence's blocks, likeliest first, as that which begins at the placements'
    `start_frames`, and the statistic of each: the best of those of the lowest rows.

    All stretches are read as parts of one sequence: their placements are told by the same block. Only chips
    that are the same for all payloads are looked at, unless the layout is a known mark's
    (`candidate.known_pattern`).
    """
    groups = _block_chips(layout)
    period, blocks = layout.profile.period_columns, layout.profile.blocks
    chips = (layout.sync_chips - layout.pilot_chips).astype(np.float64)
    totals = np.zeros((len(groups), blocks))
    energy = np.zeros((len(groups), 1))
    for stretch in stretches:
        cells, first = read_columns(
            segment, layout, stretch.placement, stretch.first_frame, stretch.last_frame
        )
        before = first % period
        rows = cells.shape[1]
        padded = np.pad(cells, ((before, -(before + len(cells)) % period), (0, 0)))
        values = (padded.reshape(-1, period, rows) * chips).reshape(-1, period * rows)
        for group, (chosen, masks) in enumerate(groups):
            some = values[:, chosen].astype(np.float32)
            energy[group] += float((some * some).sum())
            for number, score in enumerate((masks @ some.T).T):
                # The block that begins at `start_frames` has this many between it and the one scored.
                totals[group] += np.roll(score, -(first // period + number))
    values = np.cumsum(totals, axis=0) / np.sqrt(np.maximum(np.cumsum(energy, axis=0), 1e-12))
    best = values.max(axis=0)
    order = np.argsort(-best, kind="stable")
    return order, best[order]


def go_on(
    segment: Segment, layout: Layout, stretches: Sequence[Stretch], expected: int | None, lead: float
) -> int:
    """Return the likeliest block, or `expected` unless another leads it by `lead` deviations."""
    order, values = rank_blocks(segment, layout, stretches)
    if expected is None or values[0] >= values[order == expected][0] + lead:
        return int(order[0])
    return expected


def numbered(
    segment: Segment,
    layout: Layout,
    placement: Placement,
    first_frame: float = 0.0,
    last_frame: float = np.inf,
    *,
    likeliest: int = 1,
) -> list[Placement]:
    """Return the placement with the numbers of its likeliest blocks, and the statistic that it then has from
    `first_frame` to `last_frame`; as it is where there is but one block.
    """
    if layout.masks is None:
        return [placement]
    order, _ = rank_blocks(segment, layout, [Stretch(placement, first_frame, last_frame)])
    known = [replace(placement, first_block=block) for block in order[:likeliest].tolist()]
    return [
        replace(p, statistic=sync_statistic(read_cells(segment, layout, p, first_frame, last_frame), layout))
        for p in known
    ]


@dataclass(frozen=True)
class Rows:
    """Values of the rows of a signal at no change of speed and pitch, in steps: float32 (steps, rows).

    Step n, counted from the beginning of the whole signal, covers n to n + 1 times `step_frames`; the first
    one here has the number `first_step`.
    """

    first_step: int
    values: FloatArray


def read_rows(segment: Segment, layout: Layout, start_frames: float = 0.0) -> Rows:
    """Read a segment's rows; `start_frames` is where it begins in the whole signal."""
    step_frames = steps_of(layout)
    first = int(np.ceil(start_frames / step_frames - 1e-9))
    begin = first * step_frames - start_frames
    count = max(int((segment.frames - begin) / step_frames), 0)
    position = begin + np.arange(count + 1, dtype=np.float64) * step_frames
    values = row_means(segment, layout, Placement(1.0, 0.0, 0.0, 0.0), position)
    return Rows(first, values.astype(np.float32))


def steps_of(layout: Layout) -> float:
    """Return the length of a step in frames."""
    return layout.profile.frames_per_column / layout.profile.search_steps


@dataclass(frozen=True)
class Place:
    """Where in the sequence a signal lies: the step of the sequence that its step 0 is; by how many of the
    lowest rows, with or without the pilot, and with which statistic.
    """

    step: int
    rows: int
    pilot: bool
    statistic: float


def search_rows(rows: Sequence[Rows], layout: Layout, keep: int) -> list[Place]:
    """Return the `keep` best places in the whole sequence of rows that follow one another, best first.

    Each place is judged with the pilot and without: somebody may have inverted it.
    """
    first = rows[0].first_step
    count = min(rows[-1].first_step + len(rows[-1].values) - first, TRANSFORM_STEPS // 2)
    if layout.masks is None or count < 1:
        return []
    values = np.zeros((count, layout.sync_chips.shape[1]), np.float32)
    for part in rows:
        begin = part.first_step - first
        values[begin : begin + len(part.values)] = part.values[: max(count - begin, 0)]
    spectrum = np.conj(fft.rfft(values, TRANSFORM_STEPS, axis=0))
    steps = layout.profile.sequence_columns * layout.profile.search_steps
    hop = TRANSFORM_STEPS // 2
    limits = row_limits(layout.profile)
    products = (spectrum * part for part in _sequence_spectra(layout))
    # (parts, groups of rows, steps), then added up from the lowest group on: (groups, steps)
    by_group = [
        fft.irfft(np.add.reduceat(product, (0, *limits[:-1]), axis=1).T, TRANSFORM_STEPS)[:, :hop]
        for product in products
    ]
    without = np.cumsum(np.concatenate(by_group, axis=1)[:, :steps], axis=0)
    pilot = np.cumsum(_correlate_pilot(values, layout), axis=0)
    with_pilot = without + np.tile(pilot, layout.profile.blocks)
    shares = {True: (layout.sync_chips != 0).mean()}
    shares[False] = shares[True] - (layout.pilot_chips != 0).mean()
    found: list[Place] = []
    for has_pilot, correlation in ((True, with_pilot), (False, without)):
        for values_of, limit in zip(correlation, limits, strict=True):
            energy = max(float(np.sqrt((values[:, :limit] ** 2).sum() * shares[has_pilot])), 1e-12)
            found += [
                Place((step - first) % steps, limit, has_pilot, float(values_of[step]) / energy)
                for step in np.argpartition(-values_of, NEAR_STEPS * keep)[: NEAR_STEPS * keep].tolist()
            ]
    found.sort(key=lambda place: -place.statistic)
    distinct: list[Place] = []
    taken = np.zeros(steps, bool)
    around = np.arange(-NEAR_STEPS, NEAR_STEPS + 1)
    for place in found:
        if not taken[place.step]:
            distinct.append(place)
            taken[(place.step + around) % steps] = True
        if len(distinct) == keep:
            break
    return distinct


def placement_at(place: Place, layout: Layout, start_frames: float = 0.0) -> Placement:
    """Return the placement at a place of a segment that begins at `start_frames` of the signal."""
    profile = layout.profile
    block, within = divmod(place.step, profile.period_columns * profile.search_steps)
    start = -within * steps_of(layout) - start_frames
    return Placement(1.0, 0.0, start, place.statistic, block).wrapped(profile)


def settle_at(place: Place, segment: Segment, layout: Layout, start_frames: float = 0.0) -> Placement:
    """Return the placement at a place of a segment that begins at `start_frames` of the signal, moved to the
    best statistic near it. The statistic is that of the place's rows.
    """
    placement = placement_at(place, layout, start_frames)
    return settle(segment, lowest_rows(layout, place.rows, pilot=place.pilot), placement)


def cells_at(rows: Rows, place: Place, layout: Layout) -> DoubleArray:
    """Return the cells of a signal at a place, unmasked and summed over blocks: float64 (period_columns,
    rows).

    To the nearest step: half a step to either side costs a few per cent of the statistic.
    """
    assert layout.masks is not None
    profile = layout.profile
    per_column = profile.search_steps
    step = place.step + rows.first_step
    skipped = -step % per_column
    count = (len(rows.values) - skipped) // per_column
    whole = rows.values[skipped : skipped + count * per_column]
    columns = whole.reshape(count, per_column, whole.shape[1]).mean(axis=1)
    first = (step + skipped) // per_column
    block, column = np.divmod(first + np.arange(count), profile.period_columns)
    unmasked = columns * layout.masks[block % profile.blocks, column]
    return fold(unmasked.astype(np.float64), first % profile.period_columns, profile.period_columns)


def search_sequence(segment: Segment, layout: Layout, keep: int) -> list[Placement]:
    """Return the `keep` best placements at the plain speed and pitch, over the whole sequence, best first,
    settled and numbered; none where there is but one block.
    """
    if layout.masks is None:
        return []
    places = search_rows([read_rows(segment, layout)], layout, keep)
    return sorted((settle_at(place, segment, layout) for place in places), key=lambda p: -p.statistic)


def places_in_sequence(layout: Layout, keep: int) -> int:
    """Return how many placements `search_sequence` tries."""
    return places_searched(layout) + SETTLED * keep


def places_searched(layout: Layout) -> int:
    """Return how many places `search_rows` tries."""
    profile = layout.profile
    return 2 * len(row_limits(profile)) * profile.sequence_columns * profile.search_steps


def _correlate_pilot(values: FloatArray, layout: Layout) -> FloatArray:
    """Return the correlation of rows, (steps, rows), with the pilot at each step of a block, by groups of
    rows: (groups, steps of a block).
    """
    profile = layout.profile
    period = profile.period_columns * profile.search_steps
    pattern = np.repeat(layout.pilot_chips.astype(np.float32), profile.search_steps, axis=0)
    spectrum = np.conj(fft.rfft(fold(values.astype(np.float64), 0, period), axis=0)) * fft.rfft(
        pattern, axis=0
    )
    groups = np.add.reduceat(spectrum, (0, *row_limits(profile)[:-1]), axis=1)
    return np.asarray(fft.irfft(groups.T, period), np.float32)


@lru_cache(maxsize=2)
def _sequence_spectra(layout: Layout) -> list[npt.NDArray[np.complex64]]:
    """Return the spectra of overlapping parts of the sequence's pattern without the pilot, (frequencies,
    rows) each.

    Each part gives the correlation at half a transform's steps.
    """
    assert layout.masks is not None
    profile = layout.profile
    chips = layout.sync_chips - layout.pilot_chips
    pattern = (chips * layout.masks).reshape(profile.sequence_columns, -1)
    columns = TRANSFORM_STEPS // profile.search_steps
    spectra = []
    for first in range(0, profile.sequence_columns, columns // 2):
        part = pattern[(first + np.arange(columns)) % profile.sequence_columns]
        steps = np.repeat(part.astype(np.float32), profile.search_steps, axis=0)
        spectra.append(fft.rfft(steps, axis=0).astype(np.complex64))
    return spectra


@lru_cache(maxsize=4)
def _block_chips(layout: Layout) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    """Return the cells that tell blocks apart, flat, and their masks in each block, (blocks, cells): for each
    group of rows, lowest first.
    """
    assert layout.masks is not None
    tells = ((layout.sync_chips != 0) & (layout.pilot_chips == 0)).ravel()
    row = np.arange(tells.size) % layout.sync_chips.shape[1]
    masks = layout.masks.reshape(layout.profile.blocks, -1)
    limits = row_limits(layout.profile)
    chosen = [np.flatnonzero(tells & (row >= low) & (row < high)) for low, high in pairwise((0, *limits))]
    return [(some, masks[:, some].astype(np.float32)) for some in chosen]
