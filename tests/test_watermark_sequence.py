"""The sequence of blocks: which block is which, and marks without their pilot."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import make_music
from hypothesis import given
from hypothesis import strategies as st

import watermark
from watermark.finding import Finder
from watermark.layout import codeword_of, first_column_of, layout_of
from watermark.profile import PN3
from watermark.reader import payload_statistic
from watermark.segment import Placement, Segment, read_cells
from watermark.sequence import (
    Stretch,
    numbered,
    places_in_sequence,
    rank_blocks,
    search_sequence,
)
from watermark.spectrogram import frame_grid, frame_power
from watermark.synchronisation import search

WATERMARK_KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("fedcba9876543210")
RATE = 22_050
LAYOUT = layout_of(WATERMARK_KEY, PN3)
# What a detector sees of a mark whose pilot was removed: the pilot's chips tell nothing.
WRONG = np.random.default_rng(1).choice(np.array([-1, 1], np.int8), LAYOUT.sync_chips.shape)
PILOTLESS = replace(
    LAYOUT,
    sync_chips=np.where(LAYOUT.pilot_chips != 0, WRONG, LAYOUT.sync_chips),
    pilot_chips=np.where(LAYOUT.pilot_chips != 0, WRONG, 0).astype(np.int8),
)


@pytest.fixture(scope="module")
def marked() -> np.ndarray:
    host = make_music(34.0, seed=31, sample_rate=RATE)
    return watermark.embed(host, sample_rate=RATE, watermark_key=WATERMARK_KEY, payload=PAYLOAD, profile=PN3)


def segment_of(audio: np.ndarray) -> Segment:
    grid = frame_grid(PN3, RATE)
    return Segment(frame_power(audio, grid, 0, grid.frames(audio.shape[1]), 0), grid, PN3)


def block_at(start_s: float, placement: Placement) -> int:
    """Give the number of the block that begins at a placement of a clip cut `start_s` into the signal."""
    hop_s = PN3.column_s / PN3.frames_per_column
    column = first_column_of(PAYLOAD, WATERMARK_KEY, PN3)
    column += round((start_s / hop_s + placement.start_frames) / PN3.frames_per_column)
    assert min(column % PN3.period_columns, -column % PN3.period_columns) <= 1
    return round(column / PN3.period_columns) % PN3.blocks


@pytest.mark.parametrize("start_s", [0.0, 3.3, 11.9])
def test_the_number_of_a_block_is_told_at_any_place(start_s: float, marked: np.ndarray) -> None:
    segment = segment_of(marked[:, round(start_s * RATE) : round((start_s + 6.0) * RATE)])
    (rough,) = search(segment, LAYOUT, [1.0], 1)
    assert rough.first_block is None
    (found,) = numbered(segment, LAYOUT, rough)
    assert found.first_block == block_at(start_s, found)
    assert found.statistic > 8


def test_stretches_count_as_parts_of_one_sequence(marked: np.ndarray) -> None:
    segment = segment_of(marked[:, : 9 * RATE])
    (rough,) = search(segment, LAYOUT, [1.0], 1)
    whole = rank_blocks(segment, LAYOUT, [Stretch(rough)])
    parts = rank_blocks(segment, LAYOUT, [Stretch(rough, 0.0, 300.5), Stretch(rough, 300.5)])
    assert whole[0][0] == parts[0][0]
    # The cell that is cut in two counts in parts.
    assert parts[1][0] == pytest.approx(whole[1][0], rel=0.05)


@given(
    blocks=st.integers(-300, 300),
    start=st.floats(0, 339.9),
    first=st.integers(0, PN3.blocks - 1),
    scale=st.sampled_from([0.8, 1.0, 1.25]),
)
def test_a_placement_is_told_by_any_block_of_its_sequence(
    blocks: int, start: float, first: int, scale: float
) -> None:
    period = PN3.period_columns * PN3.frames_per_column / scale
    start = start / scale
    told = Placement(scale, 0.0, start + blocks * period, 0.0, (first + blocks) % PN3.blocks).wrapped(PN3)
    apart = abs(told.start_frames - start)
    assert min(apart, period - apart) < 1e-6
    assert told.first_block == first or apart > period / 2


def test_the_place_is_found_without_a_pilot(marked: np.ndarray) -> None:
    segment = segment_of(marked[:, 7 * RATE : 15 * RATE])
    best = search_sequence(segment, PILOTLESS, 3)[0]
    assert best.first_block == block_at(7.0, best)
    statistic = payload_statistic(
        read_cells(segment, LAYOUT, best), LAYOUT, codeword_of(PAYLOAD, WATERMARK_KEY, PN3)
    )
    assert statistic > 15


def test_a_finder_reads_the_mark_without_its_pilot(marked: np.ndarray) -> None:
    finder = Finder(PILOTLESS)
    finder.read(segment_of(marked[:, 7 * RATE : 15 * RATE]), 0.0, 8.0, alone=True)
    codeword = codeword_of(PAYLOAD, WATERMARK_KEY, PN3)
    best = finder.segments[0].best
    assert best.placement.first_block == block_at(7.0, best.placement)
    assert payload_statistic(best.cells.astype(np.float64), LAYOUT, codeword) > 15


def test_a_mark_whose_pilot_was_inverted_is_found(marked: np.ndarray) -> None:
    inverted = replace(
        LAYOUT, sync_chips=LAYOUT.sync_chips - 2 * LAYOUT.pilot_chips, pilot_chips=-LAYOUT.pilot_chips
    )
    finder = Finder(inverted)
    assert finder.read(segment_of(marked[:, 7 * RATE : 15 * RATE]), 0.0, 8.0, alone=True)
    best = finder.segments[0].best
    assert best.placement.first_block == block_at(7.0, best.placement)


def test_segments_that_show_nothing_alone_are_read_together(marked: np.ndarray) -> None:
    noise = np.random.default_rng(3).standard_normal(marked.shape)
    noisy = (marked + NOISE * marked.std() * noise).astype(np.float32)

    def detect(audio: np.ndarray) -> watermark.Detection:
        return watermark.detect(audio, sample_rate=RATE, watermark_keys=[WATERMARK_KEY], profiles=[PN3])

    assert not detect(noisy[:, : 16 * RATE]).detected
    assert not detect(noisy[:, 16 * RATE :]).detected
    found = detect(noisy)
    assert found.payload == PAYLOAD
    assert sum(segment.present for segment in found.segments) == 2


NOISE = 0.18


def test_every_place_of_the_search_is_counted() -> None:
    assert places_in_sequence(LAYOUT, 6) > 6 * PN3.sequence_columns * PN3.search_steps
